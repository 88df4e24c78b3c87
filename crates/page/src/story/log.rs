//! What the trace told, as far as stories are made of it.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use playground_control::{Hop, HopKind};

/// How far back stories reach: acts, and revisions whose hearers are remembered.
const ACTS_MAX: usize = 6_000;
const HEARD_MAX: usize = 6_000;

/// Something that a part did.
#[derive(Clone, Debug, PartialEq)]
pub struct Act {
    /// The call to the API server, or what the kubelet asked of its runtime.
    pub hop: Rc<Hop>,
    /// The store's revision after it, where it changed something.
    pub revision: Option<u64>,
}

/// Acts in their order, and who heard of what.
#[derive(Default)]
pub struct Log {
    acts: VecDeque<Act>,
    heard: BTreeMap<u64, Vec<Rc<str>>>,
    newest: u64,
    count: u64,
}

impl Log {
    /// Takes a hop over.
    pub fn push(&mut self, hop: &Hop) {
        self.count += 1;
        match hop.kind {
            HopKind::Request if matches!(hop.verb.as_str(), "get" | "list" | "watch") => {}
            HopKind::Request | HopKind::Runtime => {
                if self.acts.len() == ACTS_MAX {
                    self.acts.pop_front();
                }
                self.acts.push_back(Act { hop: Rc::new(hop.clone()), revision: None });
            }
            HopKind::Write => {
                // What changed nothing is answered with the revision of an earlier change.
                let Some(revision) = hop.revision.filter(|revision| *revision > self.newest) else { return };
                self.newest = revision;
                let asked = self.acts.iter_mut().rev().find(|act| Some(act.hop.sequence) == hop.cause);
                if let Some(act) = asked {
                    act.revision = Some(revision);
                }
            }
            HopKind::Watch => {
                let Some(revision) = hop.revision else { return };
                let hearers = self.heard.entry(revision).or_default();
                if hearers.iter().all(|known| **known != *hop.to) {
                    hearers.push(hop.to.as_str().into());
                }
                if self.heard.len() > HEARD_MAX {
                    self.heard.pop_first();
                }
            }
            HopKind::Network => {}
        }
    }

    /// How much there has been: another number means news.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The acts, in their order.
    pub fn acts(&self) -> impl Iterator<Item = &Act> {
        self.acts.iter()
    }

    /// Who has been told of a revision.
    pub fn heard(&self, revision: u64) -> &[Rc<str>] {
        self.heard.get(&revision).map_or(&[], Vec::as_slice)
    }
}
