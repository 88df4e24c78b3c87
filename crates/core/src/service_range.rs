//! The range of Services' addresses.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// A range of IPv4 addresses for Services: `10.96.0.0/16`, as kubeadm chooses it, unless another is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceRange {
    base: Ipv4Addr,
    bits: u8,
}

/// The sizes a range may have: room for the name server, and at most upstream's twenty bits.
const BITS: std::ops::RangeInclusive<u8> = 12..=27;

impl ServiceRange {
    /// The name server's address: the tenth, as kubeadm chooses it.
    pub fn name_server(self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.base) + 10)
    }

    /// Its first address and the length of its prefix.
    pub fn base(self) -> (Ipv4Addr, u8) {
        (self.base, self.bits)
    }

    /// Whether it has addresses in common with a range of that base and length.
    pub fn overlaps(self, base: Ipv4Addr, bits: u8) -> bool {
        let shift = 32 - u32::from(self.bits.min(bits));
        u32::from(self.base).checked_shr(shift) == u32::from(base).checked_shr(shift)
    }
}

impl Default for ServiceRange {
    fn default() -> Self {
        Self { base: Ipv4Addr::new(10, 96, 0, 0), bits: 16 }
    }
}

impl FromStr for ServiceRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = || {
            let (base, bits) = text.split_once('/')?;
            let (base, bits) = (base.parse::<Ipv4Addr>().ok()?, bits.parse::<u8>().ok()?);
            let whole = BITS.contains(&bits) && u32::from(base).trailing_zeros() >= 32 - u32::from(bits);
            whole.then_some(Self { base, bits })
        };
        read().ok_or_else(|| {
            format!("{text:?} is no range for Services: give an IPv4 range of /12 to /27, such as 10.96.0.0/16")
        })
    }
}

impl fmt::Display for ServiceRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_and_compared() {
        let range: ServiceRange = "10.100.0.0/20".parse().unwrap();
        assert_eq!((range.to_string().as_str(), range.name_server()), ("10.100.0.0/20", [10, 100, 0, 10].into()));
        assert!(range.overlaps([10, 100, 0, 0].into(), 16));
        assert!(!range.overlaps([10, 101, 0, 0].into(), 16));
        for text in ["10.96.0.1/16", "10.96.0.0/30", "fd00::/108", "10.96.0.0"] {
            text.parse::<ServiceRange>().unwrap_err();
        }
    }
}
