//! Leases: keys that vanish unless somebody keeps them alive.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

/// A lease's id.
pub type LeaseId = i64;

/// All leases.
#[derive(Default)]
pub(crate) struct Leases {
    leases: BTreeMap<LeaseId, Lease>,
    /// By time of expiry, earliest first.
    expiries: BTreeSet<(Timestamp, LeaseId)>,
}

struct Lease {
    ttl_seconds: i64,
    expires: Timestamp,
    keys: BTreeSet<Arc<str>>,
}

impl Leases {
    pub(crate) fn contains(&self, id: LeaseId) -> bool {
        self.leases.contains_key(&id)
    }

    /// The smallest id greater than all in use.
    pub(crate) fn next_id(&self) -> LeaseId {
        self.leases.last_key_value().map_or(1, |(id, _)| id + 1)
    }

    pub(crate) fn grant(&mut self, id: LeaseId, ttl_seconds: i64, now: Timestamp) {
        let expires = expiry(now, ttl_seconds);
        self.leases.insert(id, Lease { ttl_seconds, expires, keys: BTreeSet::new() });
        self.expiries.insert((expires, id));
    }

    /// The lease lasts its full time from `now`; its seconds, or `None` if there is no such lease.
    pub(crate) fn keep_alive(&mut self, id: LeaseId, now: Timestamp) -> Option<i64> {
        let lease = self.leases.get_mut(&id)?;
        self.expiries.remove(&(lease.expires, id));
        lease.expires = expiry(now, lease.ttl_seconds);
        self.expiries.insert((lease.expires, id));
        Some(lease.ttl_seconds)
    }

    /// Ends the lease; the keys that go with it, or `None` if there is no such lease.
    pub(crate) fn revoke(&mut self, id: LeaseId) -> Option<BTreeSet<Arc<str>>> {
        let lease = self.leases.remove(&id)?;
        self.expiries.remove(&(lease.expires, id));
        Some(lease.keys)
    }

    pub(crate) fn attach(&mut self, id: LeaseId, key: Arc<str>) {
        if let Some(lease) = self.leases.get_mut(&id) {
            lease.keys.insert(key);
        }
    }

    pub(crate) fn detach(&mut self, id: LeaseId, key: &str) {
        if let Some(lease) = self.leases.get_mut(&id) {
            lease.keys.remove(key);
        }
    }

    /// The leases whose time has come.
    pub(crate) fn expired(&self, now: Timestamp) -> Vec<LeaseId> {
        self.expiries.iter().take_while(|(expires, _)| *expires <= now).map(|(_, id)| *id).collect()
    }

    pub(crate) fn next_expiry(&self) -> Option<Timestamp> {
        self.expiries.first().map(|(expires, _)| *expires)
    }

    /// Every lease with its time to live in seconds.
    pub(crate) fn ttls(&self) -> Vec<(LeaseId, i64)> {
        self.leases.iter().map(|(id, lease)| (*id, lease.ttl_seconds)).collect()
    }
}

fn expiry(now: Timestamp, ttl_seconds: i64) -> Timestamp {
    now.checked_add(SignedDuration::from_secs(ttl_seconds)).unwrap_or(Timestamp::MAX)
}
