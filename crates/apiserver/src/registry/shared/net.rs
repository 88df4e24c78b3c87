//! Addresses and networks in fields that know one way to write each (apimachinery `util/validation/ip.go`).

use std::net::{IpAddr, Ipv4Addr};

use super::validate::IP;

const CIDR: &str = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";

/// What is wrong with an address.
pub fn ip(text: &str) -> Vec<String> {
    let Some((address, zeros)) = lenient(text) else { return vec![IP.into()] };
    if zeros {
        vec!["must not have leading 0s".into()]
    } else if is_mapped(address) {
        vec!["must not be an IPv4-mapped IPv6 address".into()]
    } else {
        canonical(text, address.to_string())
    }
}

/// What is wrong with a network.
pub fn cidr(text: &str) -> Vec<String> {
    let Some((address, length, mut zeros)) = parts(text) else { return vec![CIDR.into()] };
    zeros |= text.rsplit('/').next().is_some_and(|length| length.len() > 1 && length.starts_with('0'));
    let mut complaints = if zeros {
        vec!["must not have leading 0s in IP or prefix length".into()]
    } else if is_mapped(address) {
        vec!["must not have an IPv4-mapped IPv6 address".into()]
    } else {
        canonical(text, format!("{address}/{length}"))
    };
    let beyond = match address {
        IpAddr::V4(address) => u32::from(address).checked_shl(length.into()).unwrap_or(0) != 0,
        IpAddr::V6(address) => u128::from(address).checked_shl(length.into()).unwrap_or(0) != 0,
    };
    if beyond {
        complaints.push("must not have bits set beyond the prefix length".into());
    }
    complaints
}

/// Whether the networks are one of each family.
pub fn is_dual_stack(networks: &[String]) -> bool {
    let families: Option<Vec<bool>> = networks.iter().map(|network| Some(parts(network)?.0.is_ipv4())).collect();
    families.is_some_and(|families| families.contains(&true) && families.contains(&false))
}

fn canonical(text: &str, canonical: String) -> Vec<String> {
    if text == canonical { Vec::new() } else { vec![format!("must be in canonical form ({canonical:?})")] }
}

fn is_mapped(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.to_ipv4_mapped().is_some())
}

/// A network's address and length, and whether the address has leading zeros.
fn parts(text: &str) -> Option<(IpAddr, u8, bool)> {
    let (address, length) = text.rsplit_once('/')?;
    let (address, zeros) = lenient(address)?;
    let digits = length.bytes().all(|byte| byte.is_ascii_digit());
    let length = length.parse().ok().filter(|length| digits && *length <= if address.is_ipv4() { 32 } else { 128 })?;
    Some((address, length, zeros))
}

/// An address as Go's old parser reads it, and whether that takes leading zeros.
fn lenient(text: &str) -> Option<(IpAddr, bool)> {
    if let Ok(address) = text.parse() {
        return Some((address, false));
    }
    let mut octets = [0; 4];
    let mut parts = text.split('.');
    for octet in &mut octets {
        *octet = parts.next().filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()?;
    }
    parts.next().is_none().then(|| (Ipv4Addr::from(octets).into(), true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_one_form() {
        for (text, complaint) in [
            ("10.1.2.3", ""),
            ("2001:db8::1", ""),
            ("010.1.2.3", "must not have leading 0s"),
            ("::ffff:1.2.3.4", "must not be an IPv4-mapped IPv6 address"),
            ("2001:DB8::1", "must be in canonical form (\"2001:db8::1\")"),
            ("300.1.2.3", IP),
            ("1.2.3", IP),
            ("1.2.3.4.5", IP),
            ("+1.2.3.4", IP),
            ("fe80::1%eth0", IP),
            ("", IP),
        ] {
            assert_eq!(ip(text).join(", "), complaint, "{text}");
        }
    }

    #[test]
    fn each_network_has_one_form() {
        for (text, complaint) in [
            ("10.0.0.0/8", ""),
            ("0.0.0.0/0", ""),
            ("2001:db8::/64", ""),
            ("10.0.0.1/8", "must not have bits set beyond the prefix length"),
            ("10.0.0.0/08", "must not have leading 0s in IP or prefix length"),
            ("010.0.0.0/8", "must not have leading 0s in IP or prefix length"),
            ("::ffff:10.0.0.0/104", "must not have an IPv4-mapped IPv6 address"),
            ("2001:DB8::/64", "must be in canonical form (\"2001:db8::/64\")"),
            ("10.0.0.0", CIDR),
            ("10.0.0.0/33", CIDR),
            ("10.0.0.0/+8", CIDR),
            ("x/8", CIDR),
        ] {
            assert_eq!(cidr(text).join(", "), complaint, "{text}");
        }
        let dual = |networks: [&str; 2]| is_dual_stack(&networks.map(str::to_owned));
        assert!(dual(["10.0.0.0/8", "fd00::/64"]) && !dual(["10.0.0.0/8", "11.0.0.0/8"]) && !dual(["10.0.0.0/8", "x"]));
    }
}
