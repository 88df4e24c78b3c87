//! Addresses of a node's pods, each its own.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is in use in all nodes' ranges; given out in turn, so that an address that was just left rests
/// the longest.
#[derive(Default)]
pub struct Addresses(Mutex<State>);

#[derive(Default)]
struct State {
    taken: BTreeSet<Ipv4Addr>,
    last: Option<Ipv4Addr>,
}

impl Addresses {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes an address that is in use.
    pub fn take(&self, address: Ipv4Addr) {
        self.state().taken.insert(address);
    }

    /// An address of a range such as `10.244.1.0/24` that nobody has; none where all are taken, or that
    /// is no range.
    pub fn next(&self, range: &str) -> Option<Ipv4Addr> {
        let (base, bits) = range.split_once('/')?;
        let (base, bits) = (u32::from(base.parse::<Ipv4Addr>().ok()?), bits.parse::<u32>().ok()?);
        let size = 1_u32.checked_shl(32_u32.checked_sub(bits)?)?;
        let mut state = self.state();
        // The first is the range's own, the second may be the gateway's, the last is everybody's.
        let (first, count) = (base + 2, size.checked_sub(3)?);
        let last = state.last.map(u32::from).filter(|last| (first..first + count).contains(last));
        let start = last.map_or(0, |last| last + 1 - first);
        let mut turn = (0..count).map(|step| Ipv4Addr::from(first + (start + step) % count));
        let found = turn.find(|address| !state.taken.contains(address))?;
        state.taken.insert(found);
        state.last = Some(found);
        Some(found)
    }

    /// Gives an address back.
    pub fn release(&self, address: Ipv4Addr) {
        self.state().taken.remove(&address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_given_in_turn() {
        let addresses = Addresses::default();
        let next = || addresses.next("10.244.1.248/29").map(|address| address.octets()[3]);
        assert_eq!([next(), next(), next()], [Some(250), Some(251), Some(252)]);
        addresses.release([10, 244, 1, 250].into());
        assert_eq!([next(), next(), next(), next()], [Some(253), Some(254), Some(250), None]);
        assert_eq!(addresses.next("nonsense"), None);
    }
}
