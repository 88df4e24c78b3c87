//! `watch`: the store's changes as the events of one resource, for one client.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Stream;
use http::StatusCode;
use machinery::wire::{Body, Response, WatchEvent, WatchEventType};
use machinery::{ApiError, Encoded, Rng, Timestamp};
use serde_json::json;
use store::{Event, KeyValue, Scope, StoreError, Watch, WatchOptions};

use crate::call::{Call, Result};
use crate::metrics::Labels;
#[cfg(feature = "protobuf")]
use crate::negotiate::Encoding;
use crate::negotiate::{View, negotiate_watch};
#[cfg(feature = "protobuf")]
use crate::protobuf;
use crate::read::{parse_resource_version, pretty, too_large_resource_version};
use crate::registry::ResourceInfo;
use crate::selection::Selection;
use crate::server::{ApiServer, response};
use crate::table::{self, Include, ListFields};
use crate::timers::Timer;
use crate::{list_options, storage};

/// How often a bookmark is sent to who wants them, as upstream.
const BOOKMARK_INTERVAL: Duration = Duration::from_secs(60);
/// Says that the objects that existed at the watch's start have all been sent.
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// Answers `GET` of a collection with `watch`.
pub(crate) fn watch(call: &mut Call) -> Result<Response> {
    let selection = Selection::parse(call)?;
    list_options::validate(&call.info.query, true)?;
    let query = &call.info.query;
    let version = query.get("resourceVersion");
    let revision = if version.is_empty() { 0 } else { parse_resource_version(version)? };
    let representation = negotiate_watch(&call.headers, pretty(call))?;
    let view = WatchView::of(call, representation.view)?;
    let timeout = timeout(call)?;
    let bookmarks = query.flag("allowWatchBookmarks");
    let with_state = if query.has("sendInitialEvents") { query.flag("sendInitialEvents") } else { revision == 0 };
    let store = call.server.store();
    let mut initial = VecDeque::new();
    let start = if with_state || revision == 0 {
        let snapshot = store.snapshot();
        if revision > snapshot.revision() {
            return Err(too_large_resource_version(revision, snapshot.revision()));
        }
        if with_state {
            for kv in snapshot.range(&storage::prefix(call.row, &call.info.namespace), "") {
                let object = storage::read(call, kv);
                if selection.selects(call.row, &object)? {
                    initial.push_back(WatchEvent { kind: WatchEventType::Added, object });
                }
            }
        }
        snapshot.revision()
    } else {
        revision
    };
    if with_state && bookmarks && query.flag("sendInitialEvents") {
        initial.push_back(bookmark(call.row, start, true));
    }
    let scope = scope(call, &selection);
    let source = match store.watch(WatchOptions::new(scope, start + 1)) {
        Ok(source) => Some(source),
        Err(StoreError::Compacted { compact_revision }) => {
            let error = ApiError::expired(format!("too old resource version: {start} ({compact_revision})"));
            let object = Encoded::from_bytes(error.to_bytes());
            initial = [WatchEvent { kind: WatchEventType::Error, object }].into();
            None
        }
        Err(other) => return Err(storage::store_error(other)),
    };
    let labels = Labels::of(&call.info, Some(call.row), false);
    call.server.metrics().watching(labels, true);
    let events = Events {
        server: call.server.clone(),
        row: call.row,
        selection,
        view,
        initial,
        source,
        deadline: timeout.map(|time| machinery::time::after(call.now, time)),
        next_bookmark: bookmarks.then(|| machinery::time::after(call.now, BOOKMARK_INTERVAL)),
        sent_revision: start,
        timer: None,
        labels,
        uncounted: 0,
    };
    #[cfg(feature = "protobuf")]
    if representation.encoding == Encoding::Protobuf {
        let frames = futures::StreamExt::map(events, |event| protobuf::watch_frame(&event));
        return Ok(response(StatusCode::OK, protobuf::WATCH_MEDIA_TYPE, Body::Stream(Box::pin(frames))));
    }
    Ok(response(StatusCode::OK, "application/json", Body::Watch(Box::pin(events))))
}

/// How long the watch lasts at most: as the client says, or upstream's 30 to 60 minutes at random, so that
/// not all of them start again at once. Components of this process know how to do without.
fn timeout(call: &Call) -> Result<Option<Duration>> {
    const SECONDS_MIN: u64 = 1800;
    let given = call.info.query.number("timeoutSeconds")?.filter(|seconds| *seconds > 0);
    Ok(match given.and_then(|seconds| u64::try_from(seconds).ok()) {
        Some(seconds) => Some(Duration::from_secs(seconds)),
        None if call.from_component => None,
        // Randomness of its own: names and uids are the same whoever watches.
        None => {
            let seed = call.server.options().seed ^ call.server.next_watch();
            Some(Duration::from_secs(Rng::new(seed).range(SECONDS_MIN, 2 * SECONDS_MIN)))
        }
    })
}

/// The smallest part of the store that the selection can be about.
fn scope(call: &Call, selection: &Selection) -> Scope {
    let prefix: Arc<str> = storage::prefix(call.row, &call.info.namespace).into();
    let one_key = !call.row.namespaced || !call.info.namespace.is_empty();
    if let Some(name) = selection.fields.exact("metadata.name")
        && one_key
    {
        return Scope::Key(format!("{prefix}{name}").into());
    }
    match storage::trigger_field(call.row).and_then(|field| selection.fields.exact(field)) {
        Some(value) => Scope::Trigger { prefix, value: value.into() },
        None => Scope::Prefix(prefix),
    }
}

/// The events of one watch.
struct Events {
    server: ApiServer,
    row: &'static ResourceInfo,
    selection: Selection,
    view: WatchView,
    /// Sent before anything of `source`.
    initial: VecDeque<WatchEvent>,
    /// `None` once the watch is over.
    source: Option<Watch>,
    deadline: Option<Timestamp>,
    next_bookmark: Option<Timestamp>,
    /// What the client knows already: a bookmark with this revision would tell nothing.
    sent_revision: i64,
    /// When this watch is to be woken for the time's sake.
    timer: Option<Timer>,
    /// Under which it is counted as open.
    labels: Labels,
    /// Events that are not counted yet.
    uncounted: u64,
}

impl Drop for Events {
    fn drop(&mut self) {
        self.stop_timer();
        self.count();
        self.server.metrics().watching(self.labels, false);
    }
}

/// What is made of each object.
#[derive(Clone, Copy)]
enum WatchView {
    Object,
    Metadata,
    Table { include: Include, columns_sent: bool },
}

impl WatchView {
    fn of(call: &Call, view: View) -> Result<Self> {
        Ok(match view {
            View::Object => Self::Object,
            View::Metadata => Self::Metadata,
            View::Table => Self::Table { include: Include::of(call)?, columns_sent: false },
        })
    }
}

impl Stream for Events {
    type Item = WatchEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<WatchEvent>> {
        loop {
            if let Some(event) = self.initial.pop_front() {
                return Poll::Ready(Some(self.show(event)));
            }
            let Some(source) = &mut self.source else { return Poll::Ready(None) };
            match Pin::new(source).poll_next(cx) {
                Poll::Ready(Some(Ok(event))) => {
                    self.sent_revision = event.commit.revision;
                    if let Some(event) = self.select(&event) {
                        return Poll::Ready(Some(self.show(event)));
                    }
                }
                // A watcher that was cut off starts again from where it was, as with a broken connection.
                Poll::Ready(Some(Err(_)) | None) => self.source = None,
                Poll::Pending => match self.poll_time(cx) {
                    Poll::Ready(event) => self.initial.extend(event),
                    Poll::Pending => {
                        self.count();
                        return Poll::Pending;
                    }
                },
            }
        }
    }
}

impl Events {
    /// A change as the client sees it through its selectors: what begins to match is added, what no
    /// longer matches is deleted.
    fn select(&self, event: &Event) -> Option<WatchEvent> {
        let change = event.change();
        let current = change.current.as_ref().filter(|kv| self.matches(kv));
        let previous = change.previous.as_ref().filter(|kv| self.matches(kv));
        let (kind, object) = match (current, previous) {
            (Some(current), None) => (WatchEventType::Added, storage::stored(current)),
            (Some(current), Some(_)) => (WatchEventType::Modified, storage::stored(current)),
            (None, Some(previous)) => (WatchEventType::Deleted, storage::deleted(event, previous)),
            (None, None) => return None,
        };
        Some(WatchEvent { kind, object })
    }

    fn matches(&self, kv: &KeyValue) -> bool {
        self.selection.is_everything() || self.selection.selects(self.row, &storage::stored(kv)).unwrap_or_default()
    }

    /// Counts what was sent, once it is quiet.
    fn count(&mut self) {
        let sent = std::mem::take(&mut self.uncounted);
        if sent > 0 {
            self.server.metrics().sent(self.labels, sent);
        }
    }

    fn stop_timer(&mut self) {
        if let Some(timer) = self.timer.take() {
            self.server.timers().remove(timer);
        }
    }

    /// What is due, or the time to come back at.
    fn poll_time(&mut self, cx: &mut Context<'_>) -> Poll<Option<WatchEvent>> {
        let now = self.server.now();
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            self.source = None;
            return Poll::Ready(None);
        }
        if self.next_bookmark.is_some_and(|time| time <= now) {
            self.next_bookmark = Some(machinery::time::after(now, BOOKMARK_INTERVAL));
            let progress = self.source.as_ref().and_then(Watch::progress);
            if let Some(revision) = progress.filter(|revision| *revision > self.sent_revision) {
                self.sent_revision = revision;
                return Poll::Ready(Some(bookmark(self.row, revision, false)));
            }
        }
        if let Some(time) = self.deadline.into_iter().chain(self.next_bookmark).min()
            && self.timer.is_none_or(|timer| timer.time <= now || time < timer.time)
        {
            self.stop_timer();
            self.timer = Some(self.server.timers().add(time, cx.waker().clone()));
        }
        Poll::Pending
    }

    /// The event in the representation the client asked for.
    fn show(&mut self, event: WatchEvent) -> WatchEvent {
        self.uncounted += 1;
        if event.kind == WatchEventType::Error {
            return event;
        }
        let row = self.row;
        let object = match &mut self.view {
            WatchView::Object => storage::to_wire(row, event.object),
            WatchView::Metadata => Encoded::from_bytes(table::partial_metadata(&event.object)),
            WatchView::Table { include, columns_sent } => {
                let columns = (!std::mem::replace(columns_sent, true)).then(|| row.columns());
                let line = match event.kind {
                    WatchEventType::Bookmark => bookmark_line(&event.object),
                    _ => table::row(row, &event.object, *include, self.server.now()).unwrap_or_default(),
                };
                let list = ListFields::at(resource_version(&event.object));
                Encoded::from_bytes(table::table(&[line], &list, columns))
            }
        };
        WatchEvent { kind: event.kind, object }
    }
}

fn resource_version(object: &Encoded) -> String {
    if let Some(typed) = object.object() {
        return typed.metadata().resource_version.clone().unwrap_or_default();
    }
    let value = object.value().unwrap_or_default();
    value.pointer("/metadata/resourceVersion").and_then(|v| v.as_str()).unwrap_or_default().to_owned()
}

fn bookmark(row: &ResourceInfo, revision: i64, initial_events_end: bool) -> WatchEvent {
    let mut metadata = json!({"resourceVersion": revision.to_string()});
    if initial_events_end {
        metadata["annotations"] = json!({INITIAL_EVENTS_END: "true"});
    }
    let object = json!({"kind": row.kind, "apiVersion": row.api_version(), "metadata": metadata});
    let object = Encoded::from_bytes(serde_json::to_vec(&object).unwrap_or_default().into());
    WatchEvent { kind: WatchEventType::Bookmark, object }
}

/// A bookmark's row in a table: no cells, and the metadata that says the revision.
fn bookmark_line(object: &Encoded) -> bytes::Bytes {
    let partial = table::partial_metadata(object);
    let mut line = b"{\"cells\":[],\"object\":".to_vec();
    line.extend_from_slice(&partial);
    line.push(b'}');
    line.into()
}
