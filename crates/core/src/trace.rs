//! What passes between the parts of the cluster, as it happens. Nothing is recorded while nobody looks.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use apiserver::RequestInfo;
use futures::channel::mpsc;
use jiff::Timestamp;
use machinery::wire::{Body, ByteStream, Response};

use crate::control::{Hop, HopKind};

/// How many hops a reader may fall behind; a slower one misses the rest and sees a gap in the sequence.
const HOPS_QUEUED_MAX: usize = 4096;

/// Subresources to which one posts without changing what is stored.
const UNSTORED: [&str; 5] = ["token", "exec", "attach", "portforward", "proxy"];

/// Where hops are reported. Cheap to clone; all clones are one trace.
#[derive(Clone, Default)]
pub struct Trace(Arc<Mutex<State>>);

/// Who calls the API server, and why.
#[derive(Clone, Copy, Default)]
pub struct Asker<'a> {
    /// The component or client.
    pub name: &'a str,
    /// The revision whose change made it act; 0 where it does not say.
    pub because: u64,
    /// A person's command line.
    pub command: Option<&'a str>,
}

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
            time: time.to_string(),
            kind,
            from: from.into(),
            to: to.into(),
            verb: verb.into(),
            object: object.into(),
            ..Hop::default()
        });
    }

    /// Reports a call to the API server that has been answered and, where it changed something, the
    /// write that it caused: at the revision of the answer, or at the store's newest, `revision`, where the
    /// answer has none, as that to a deletion.
    pub fn exchange(&self, time: Timestamp, asker: &Asker<'_>, call: &RequestInfo, response: &Response, revision: i64) {
        if !self.is_watched() || !call.is_resource_request() {
            return;
        }
        let answered = match response.body() {
            Body::Object(object) => object.object(),
            _ => None,
        };
        let metadata = answered.map(|object| object.metadata());
        // The server chose the name of what was created with generateName.
        let name = match (call.name.as_str(), metadata.and_then(|metadata| metadata.name.as_deref())) {
            ("", Some(name)) => name,
            (name, _) => name,
        };
        let parts = [&call.resource, &call.namespace, name, &call.subresource];
        let object = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/");
        let status = response.status();
        let request = Hop {
            time: time.to_string(),
            from: asker.name.into(),
            to: "kube-apiserver".into(),
            verb: call.verb.clone(),
            object,
            because: (asker.because > 0).then_some(asker.because),
            command: asker.command.map(Into::into),
            error: (status.is_client_error() || status.is_server_error()).then(|| status.to_string()),
            ..Hop::default()
        };
        let reads = matches!(call.verb.as_str(), "get" | "list" | "watch");
        let kept = !UNSTORED.contains(&call.subresource.as_str()) && !call.resource.ends_with("reviews");
        let changed = status.is_success() && !reads && kept && !call.query.has("dryRun");
        let answered_revision = metadata.and_then(|metadata| metadata.resource_version.as_deref()?.parse().ok());
        let write = changed.then(|| Hop {
            kind: HopKind::Write,
            from: "kube-apiserver".into(),
            to: "etcd".into(),
            revision: answered_revision.or_else(|| u64::try_from(revision).ok()),
            ..request.clone()
        });
        let cause = self.report_with(|| request);
        if let Some(write) = write {
            self.report_with(|| Hop { cause, ..write });
        }
    }

    /// Reports a hop that is made only if anybody looks; its sequence number.
    pub fn report_with(&self, hop: impl FnOnce() -> Hop) -> Option<u64> {
        let mut state = self.lock();
        if state.readers.is_empty() {
            return None;
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
        Some(hop.sequence)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
