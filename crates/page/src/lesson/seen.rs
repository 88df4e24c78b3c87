//! What checks see: the page's objects, and what it has heard of the network and of kubectl.

use playground_lesson::View;
use serde_json::Value;

use crate::trace::Trace;
use crate::world::Snapshot;

/// Objects and trace.
pub struct Seen<'a> {
    /// The cluster's objects.
    pub snapshot: &'a Snapshot,
    /// What has passed.
    pub trace: &'a Trace,
}

impl View for Seen<'_> {
    fn objects(&self, resource: &str) -> Vec<&Value> {
        self.snapshot.list(resource).map(|object| &object.0).collect()
    }

    fn gone(&self, resource: &str) -> Vec<&Value> {
        self.snapshot.gone(resource).map(|object| &object.0).collect()
    }

    fn reached(&self, part: &str) -> bool {
        self.trace.reached(part)
    }

    fn asked(&self, verb: &str, object: &str) -> bool {
        self.trace.asked(verb, object)
    }
}
