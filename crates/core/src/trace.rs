//! What passes between the parts of the cluster, as it happens. Nothing is recorded while nobody looks.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::channel::mpsc;
use jiff::Timestamp;
use machinery::wire::ByteStream;

use crate::control::{Hop, HopKind};

/// How many hops a reader may fall behind; a slower one misses the rest and sees a gap in the sequence.
const HOPS_QUEUED_MAX: usize = 4096;

/// Where hops are reported. Cheap to clone; all clones are one trace.
#[derive(Clone, Default)]
pub struct Trace(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    sequence: u64,
    readers: Vec<mpsc::Sender<bytes::Bytes>>,
}

impl Trace {
    /// Whether anybody looks.
    pub fn is_watched(&self) -> bool {
        !self.lock().readers.is_empty()
    }

    /// A reader of all hops from now on: a JSON [`Hop`] a line.
    pub fn subscribe(&self) -> ByteStream {
        let (sender, receiver) = mpsc::channel(HOPS_QUEUED_MAX);
        self.lock().readers.push(sender);
        Box::pin(receiver)
    }

    /// Reports a hop; its sequence number is given here.
    pub fn report(&self, time: Timestamp, kind: HopKind, from: &str, to: &str, verb: &str, object: &str) {
        self.report_with(|| Hop {
            sequence: 0,
            time,
            kind,
            from: from.into(),
            to: to.into(),
            verb: verb.into(),
            object: object.into(),
            revision: None,
            cause: None,
            error: None,
        });
    }

    /// Reports a hop that is made only if anybody looks.
    pub fn report_with(&self, hop: impl FnOnce() -> Hop) {
        let mut state = self.lock();
        if state.readers.is_empty() {
            return;
        }
        state.sequence += 1;
        let mut hop = hop();
        hop.sequence = state.sequence;
        let mut line = serde_json::to_vec(&hop).unwrap_or_default();
        line.push(b'\n');
        let line = bytes::Bytes::from(line);
        // A full queue loses the hop; a closed one is a reader that has gone.
        state.readers.retain_mut(|reader| match reader.try_send(line.clone()) {
            Ok(()) => true,
            Err(error) => !error.is_disconnected(),
        });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
