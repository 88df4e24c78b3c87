//! List, then watch, and again after whatever goes wrong.

use std::task::{self, Poll, Waker};
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use machinery::status::ApiError;
use machinery::wire::{WatchEvent, WatchEventType, WatchStream};
use machinery::{Encoded, Timestamp};

use crate::client::Client;
use crate::options::ListOptions;

/// First and longest wait before listing or watching again after an error, as client-go's reflector.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(800), Duration::from_secs(30));

/// A change of what is watched, in the order of revisions.
pub enum Delta {
    /// Everything there is at a revision: what is not in it is gone.
    Replaced(Vec<Encoded>),
    /// An object was added or changed.
    Changed(Encoded),
    /// An object is gone, or matches no longer; this was its last state.
    Deleted(Encoded),
}

/// Follows one collection: lists it, watches from there, and starts over where it must. Errors, cut
/// connections and compacted revisions cost time but no change.
pub struct Reflector {
    client: Client,
    path: String,
    options: ListOptions,
    /// The revision to watch from; empty before the first list and when it is compacted.
    resource_version: String,
    state: State,
    failures: u32,
}

enum State {
    Ready,
    Waiting(Timestamp),
    /// The stream, and since when.
    Watching(WatchStream, Timestamp),
}

impl Reflector {
    /// Follows the collection at `path`, narrowed by the selectors of `options`.
    pub fn new(client: Client, path: String, options: ListOptions) -> Self {
        Self { client, path, options, resource_version: String::new(), state: State::Ready, failures: 0 }
    }

    /// The newest revision this has seen; empty before the first list.
    pub fn resource_version(&self) -> &str {
        &self.resource_version
    }

    /// When to poll again although nothing woke the waker.
    pub fn next_wake(&self) -> Option<Timestamp> {
        match self.state {
            State::Waiting(time) => Some(time),
            State::Ready | State::Watching(..) => None,
        }
    }

    /// Takes all changes there are now; `waker` is woken when there are more.
    pub fn poll(&mut self, now: Timestamp, waker: &Waker) -> Vec<Delta> {
        let mut deltas = Vec::new();
        loop {
            match &mut self.state {
                State::Waiting(time) if now < *time => return deltas,
                State::Waiting(_) | State::Ready => {
                    if let Err(error) = self.start(&mut deltas, now) {
                        self.failed(&error, now);
                    }
                }
                State::Watching(events, since) => match events.poll_next_unpin(&mut task::Context::from_waker(waker)) {
                    Poll::Pending => return deltas,
                    Poll::Ready(Some(event)) => self.observe(event, &mut deltas, now),
                    // The server ends a watch now and then; the next starts where it ended.
                    Poll::Ready(None) => {
                        if now.duration_since(*since).unsigned_abs() > BACKOFF.0 {
                            self.failures = 0;
                        }
                        self.wait(now);
                    }
                },
            }
        }
    }

    fn start(&mut self, deltas: &mut Vec<Delta>, now: Timestamp) -> Result<(), ApiError> {
        if self.resource_version.is_empty() {
            let list = self.client.list_path(&query(&self.path, &self.options))?;
            self.resource_version = list.resource_version;
            deltas.push(Delta::Replaced(list.items));
        }
        let options = ListOptions {
            resource_version: self.resource_version.clone(),
            allow_watch_bookmarks: true,
            ..self.options.clone()
        };
        self.state = State::Watching(self.client.watch_path(&self.path, &options)?, now);
        Ok(())
    }

    fn observe(&mut self, event: WatchEvent, deltas: &mut Vec<Delta>, now: Timestamp) {
        if event.kind == WatchEventType::Error {
            let status: Status = event.object.value().and_then(machinery::object::from_value).unwrap_or_default();
            return self.failed(&ApiError::from(status), now);
        }
        let Some(version) = event.object.resource_version() else {
            return self.failed(&ApiError::internal("a watch event has no resourceVersion"), now);
        };
        self.resource_version = version;
        self.failures = 0;
        match event.kind {
            WatchEventType::Added | WatchEventType::Modified => deltas.push(Delta::Changed(event.object)),
            WatchEventType::Deleted => deltas.push(Delta::Deleted(event.object)),
            WatchEventType::Bookmark | WatchEventType::Error => {}
        }
    }

    /// Lists again after a while: what came could not be read.
    pub fn start_over(&mut self, now: Timestamp) {
        self.resource_version.clear();
        self.failures = self.failures.max(1);
        self.wait(now);
    }

    fn failed(&mut self, error: &ApiError, now: Timestamp) {
        // 410: the revision is compacted, and only a new list helps. Anything unusual is treated so,
        // too; an outage keeps the revision, and the watch goes on from it afterwards.
        let unavailable = error.is_service_unavailable() || error.is_too_many_requests();
        if !unavailable {
            self.resource_version.clear();
        }
        if error.is_expired() && self.failures == 0 {
            self.failures = 1;
            self.state = State::Ready;
            return;
        }
        self.wait(now);
    }

    fn wait(&mut self, now: Timestamp) {
        let (min, max) = BACKOFF;
        let delay = min.saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX)).min(max);
        // The first reconnection is at once; then up to as long again, so that components cut off
        // together do not come back together. Seeded by name, hence the same in every run.
        let delay = if self.failures == 0 { Duration::from_millis(1) } else { delay + delay.mul_f64(self.jitter()) };
        self.failures = self.failures.saturating_add(1).min(16);
        self.state = State::Waiting(now.saturating_add(delay).unwrap_or(Timestamp::MAX));
    }

    /// A number from 0 to 1 from the component's name, the path and the count of failures (FNV-1a).
    fn jitter(&self) -> f64 {
        let component = self.client.component();
        let bytes = component.bytes().chain(self.path.bytes()).chain(self.failures.to_le_bytes());
        let hash = bytes.fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        f64::from(hash) / f64::from(u32::MAX)
    }
}

fn query(path: &str, options: &ListOptions) -> String {
    match options.query(false) {
        query if query.is_empty() => path.to_owned(),
        query => format!("{path}?{query}"),
    }
}
