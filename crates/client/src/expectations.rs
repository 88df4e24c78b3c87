//! What a controller has done and not yet seen, so that it does not act on a stale cache.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use machinery::{ObjectKey, Timestamp};

/// After this long, expectations that were not met are given up: an event was lost.
const TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// Creations and deletions each owner waits to see in its informer, as upstream's
/// `UIDTrackingControllerExpectations`. While any is outstanding, the owner's sync must not create or
/// delete more.
#[derive(Debug, Default)]
pub struct Expectations {
    owners: BTreeMap<ObjectKey, Expected>,
}

#[derive(Debug, Default)]
struct Expected {
    creations: i64,
    deletions: BTreeSet<String>,
    since: Option<Timestamp>,
}

impl Expectations {
    /// Whether the owner's sync may go by its cache: everything expected was seen, nothing ever was
    /// expected, or it has been waited for long enough.
    pub fn satisfied(&self, owner: &ObjectKey, now: Timestamp) -> bool {
        let Some(expected) = self.owners.get(owner) else { return true };
        let met = expected.creations <= 0 && expected.deletions.is_empty();
        let expired = expected.since.is_none_or(|since| now.duration_since(since).unsigned_abs() > TIMEOUT);
        met || expired
    }

    /// When expectations that are still outstanding will have expired.
    pub fn deadline(&self, owner: &ObjectKey) -> Option<Timestamp> {
        self.owners.get(owner)?.since?.checked_add(TIMEOUT).ok()
    }

    /// The owner is about to create this many.
    pub fn expect_creations(&mut self, owner: &ObjectKey, count: i64, now: Timestamp) {
        let expected = self.owners.entry(owner.clone()).or_default();
        *expected = Expected { creations: count, since: Some(now), ..Expected::default() };
    }

    /// The owner is about to create this many besides what it expects already.
    pub fn add_creations(&mut self, owner: &ObjectKey, count: i64, now: Timestamp) {
        let expected = self.owners.entry(owner.clone()).or_default();
        expected.creations += count;
        expected.since = Some(now);
    }

    /// The owner is about to delete the objects with these keys or uids.
    pub fn expect_deletions(&mut self, owner: &ObjectKey, ids: impl IntoIterator<Item = String>, now: Timestamp) {
        let expected = self.owners.entry(owner.clone()).or_default();
        *expected = Expected { deletions: ids.into_iter().collect(), since: Some(now), ..Expected::default() };
    }

    /// A creation was seen, or failed.
    pub fn creation_observed(&mut self, owner: &ObjectKey) {
        if let Some(expected) = self.owners.get_mut(owner) {
            expected.creations -= 1;
        }
    }

    /// A deletion was seen, or failed.
    pub fn deletion_observed(&mut self, owner: &ObjectKey, id: &str) {
        if let Some(expected) = self.owners.get_mut(owner) {
            expected.deletions.remove(id);
        }
    }

    /// Forgets an owner that is gone.
    pub fn forget(&mut self, owner: &ObjectKey) {
        self.owners.remove(owner);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_waits_for_what_it_expects() {
        let (owner, start) = (ObjectKey::new("default", "web"), Timestamp::UNIX_EPOCH);
        let mut expectations = Expectations::default();
        assert!(expectations.satisfied(&owner, start));
        expectations.expect_creations(&owner, 2, start);
        expectations.creation_observed(&owner);
        assert!(!expectations.satisfied(&owner, start));
        expectations.creation_observed(&owner);
        assert!(expectations.satisfied(&owner, start));
        expectations.expect_deletions(&owner, ["a".to_owned()], start);
        expectations.deletion_observed(&owner, "b");
        assert!(!expectations.satisfied(&owner, start));
        assert!(
            expectations.satisfied(&owner, start + Duration::from_secs(301)),
            "a lost event is not waited for forever"
        );
        expectations.deletion_observed(&owner, "a");
        assert!(expectations.satisfied(&owner, start));
    }
}
