//! Requests and responses without sockets.
//!
//! The API server and each kubelet are functions from a [`Request`] to a [`Response`]. A host (axum,
//! the Web Worker) carries the bytes; a component in the same process hands objects over as they are.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures::channel::mpsc;
use futures::stream::{self, Stream, StreamExt};

use crate::object::Encoded;
use crate::status::ApiError;

/// A request to the API server or to a kubelet.
pub type Request = http::Request<Body>;
/// Its answer.
pub type Response = http::Response<Body>;
/// Watch events as they happen; the end of the stream is the end of the watch.
pub type WatchStream = Pin<Box<dyn Stream<Item = WatchEvent> + Send>>;
/// Bytes as they come: logs, proxied bodies.
pub type ByteStream = Pin<Box<dyn Stream<Item = Bytes> + Send>>;

/// What a request or a response carries.
pub enum Body {
    /// Bytes, all at hand; the content type is in the headers. Empty for no body.
    Bytes(Bytes),
    /// One object, not yet necessarily encoded.
    Object(Encoded),
    /// A list, whose items need no encoding for readers in the same process.
    List(List),
    /// A watch.
    Watch(WatchStream),
    /// Bytes that keep coming.
    Stream(ByteStream),
    /// The connection becomes a set of channels (exec, attach, port-forward).
    Upgrade(Channels),
}

/// A list of objects of one kind at one revision.
pub struct List {
    /// `apiVersion` of the list, such as `v1`.
    pub api_version: String,
    /// Kind of the list, such as `PodList`.
    pub kind: String,
    /// The revision the list was read at.
    pub resource_version: String,
    /// Token for the next chunk; empty on the last.
    pub continue_token: String,
    /// How many more items there are, where that is known.
    pub remaining_item_count: Option<i64>,
    /// The items, in key order.
    pub items: Vec<Encoded>,
}

/// Where a write comes from, for the trace. A component in the same process puts it among its
/// request's extensions; the API server gives it to the store with the write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The component that writes, such as `deployment-controller`.
    pub writer: Arc<str>,
    /// The key it was processing, such as `default/web`; empty for none.
    pub key: Arc<str>,
    /// The revision whose event made it process that key; 0 when no event did (a timer, a retry).
    pub cause: u64,
}

/// When what an answer gives expires: among the response's extensions, for who need not read the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expires(pub crate::Timestamp);

/// Why there is no way to a kubelet, in the words of a dialer (`connect: no route to host`): among the extensions of
/// the answer that stands for the kubelet's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreachable(pub &'static str);

impl Unreachable {
    /// The answer in the place of the kubelet's.
    pub fn into_response(self) -> Response {
        let mut response = ApiError::service_unavailable(self.0).into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// What happened to an object, as `metav1.WatchEvent`'s `type` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchEventType {
    /// The object is new, or newly matches the watch's selectors.
    Added,
    /// The object changed.
    Modified,
    /// The object is gone, or no longer matches; the event carries its last state.
    Deleted,
    /// Nothing changed up to the carried resourceVersion.
    Bookmark,
    /// The watch ends with the carried Status.
    Error,
}

impl WatchEventType {
    /// The wire form: `ADDED`, …
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
            Self::Bookmark => "BOOKMARK",
            Self::Error => "ERROR",
        }
    }
}

/// `metav1.WatchEvent`.
#[derive(Clone, Debug)]
pub struct WatchEvent {
    /// What happened.
    pub kind: WatchEventType,
    /// The object after the change; a Status for [`WatchEventType::Error`].
    pub object: Encoded,
}

impl WatchEvent {
    /// One line of a watch response: `{"type":…,"object":…}` and a newline.
    pub fn to_line(&self) -> Bytes {
        // Many watchers are told of a change, few of what there is when they come.
        if self.kind != WatchEventType::Added {
            self.object.bytes();
        }
        let mut line = Vec::with_capacity(self.object.len_at_most() + 40);
        line.extend_from_slice(b"{\"type\":\"");
        line.extend_from_slice(self.kind.as_str().as_bytes());
        line.extend_from_slice(b"\",\"object\":");
        self.object.write_to(&mut line);
        line.extend_from_slice(b"}\n");
        line.into()
    }
}

/// One message of an upgraded connection, as in Kubernetes' channel protocols: exec has channels 0
/// stdin, 1 stdout, 2 stderr, 3 error (a Status), 4 resize; port-forward has a data and an error
/// channel for each port. `None` as data closes the channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Channel number.
    pub channel: u8,
    /// The data, or the channel's end.
    pub data: Option<Bytes>,
}

/// One end of an upgraded connection. Dropping it closes the connection.
pub struct Channels {
    /// Frames to the other side.
    pub sender: mpsc::Sender<Frame>,
    /// Frames from the other side.
    pub receiver: mpsc::Receiver<Frame>,
}

impl Channels {
    /// Two ends joined, each queue holding a bounded number of frames.
    pub fn pair() -> (Self, Self) {
        const FRAMES_QUEUED_MAX: usize = 16;
        let (sender_a, receiver_b) = mpsc::channel(FRAMES_QUEUED_MAX);
        let (sender_b, receiver_a) = mpsc::channel(FRAMES_QUEUED_MAX);
        (Self { sender: sender_a, receiver: receiver_a }, Self { sender: sender_b, receiver: receiver_b })
    }
}

impl Body {
    /// No body.
    pub fn empty() -> Self {
        Self::Bytes(Bytes::new())
    }

    /// The body as the bytes that go over a socket, as they become available.
    /// An [`Body::Upgrade`] has none: hosts take its channels instead.
    pub fn into_stream(self) -> ByteStream {
        match self {
            Self::Bytes(bytes) => Box::pin(stream::iter((!bytes.is_empty()).then_some(bytes))),
            Self::Object(object) => Box::pin(stream::iter([object.to_bytes()])),
            Self::List(list) => Box::pin(stream::iter(list.into_parts())),
            Self::Watch(events) => Box::pin(events.map(|event| event.to_line())),
            Self::Stream(bytes) => bytes,
            Self::Upgrade(_) => Box::pin(stream::empty()),
        }
    }

    /// All bytes of the body, once it has ended.
    pub async fn collect(self) -> Bytes {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Object(object) => object.to_bytes(),
            Self::List(list) => list.to_bytes(),
            other => other
                .into_stream()
                .fold(Vec::new(), async |mut all, part| {
                    all.extend_from_slice(&part);
                    all
                })
                .await
                .into(),
        }
    }
}

/// About how long the parts of a list are.
const PART_BYTES: usize = 64 * 1024;
const LIST_END: &[u8] = b"]}\n";
/// The items of this list are of no kind of their own, and say so.
const PARTIAL_LIST: &str = "PartialObjectMetadataList";

impl List {
    /// The list as a line of JSON, written from the items' stored bytes.
    pub fn to_bytes(&self) -> Bytes {
        let size: usize = self.items.iter().map(|item| item.len_at_most() + 1).sum();
        let (mut out, type_meta) = (self.head(size), self.type_meta());
        for index in 0..self.items.len() {
            self.write_item(index, &type_meta, &mut out);
        }
        out.extend_from_slice(LIST_END);
        out.into()
    }

    /// As [`List::to_bytes`], in parts that are made as they are sent: a large list is nowhere as a whole.
    pub fn into_parts(self) -> impl Iterator<Item = Bytes> + Send {
        let (mut next, mut out, mut done) = (0, self.head(PART_BYTES), false);
        let type_meta = self.type_meta();
        std::iter::from_fn(move || {
            while next < self.items.len() && out.len() < PART_BYTES {
                self.write_item(next, &type_meta, &mut out);
                next += 1;
            }
            if next == self.items.len() && !std::mem::replace(&mut done, true) {
                out.extend_from_slice(LIST_END);
            }
            let rest = if done { Vec::new() } else { Vec::with_capacity(PART_BYTES + PART_BYTES / 4) };
            Some(Bytes::from(std::mem::replace(&mut out, rest))).filter(|part| !part.is_empty())
        })
    }

    /// Whether the list is long enough to be sent in parts.
    pub fn is_long(&self) -> bool {
        self.items.iter().map(Encoded::len_at_most).sum::<usize>() > 2 * PART_BYTES
    }

    /// What stands before the items.
    fn head(&self, item_bytes: usize) -> Vec<u8> {
        let metadata = self.metadata();
        let mut out = Vec::with_capacity(item_bytes + 160);
        out.extend_from_slice(
            format!(
                "{{\"kind\":{:?},\"apiVersion\":{:?},\"metadata\":{},\"items\":[",
                self.kind,
                self.api_version,
                serde_json::Value::Object(metadata)
            )
            .as_bytes(),
        );
        out
    }

    /// `metav1.ListMeta` of the list.
    pub fn metadata(&self) -> serde_json::Map<String, serde_json::Value> {
        let mut metadata = serde_json::Map::new();
        metadata.insert("resourceVersion".into(), self.resource_version.clone().into());
        if !self.continue_token.is_empty() {
            metadata.insert("continue".into(), self.continue_token.clone().into());
        }
        if let Some(count) = self.remaining_item_count {
            metadata.insert("remainingItemCount".into(), count.into());
        }
        metadata
    }

    /// What the items say of their kind if it is the list's: it is not said again, as in Go's typed lists.
    fn type_meta(&self) -> String {
        let kind = self.kind.strip_suffix("List").unwrap_or(&self.kind);
        format!("{{\"kind\":{kind:?},\"apiVersion\":{:?},", self.api_version)
    }

    fn write_item(&self, index: usize, type_meta: &str, out: &mut Vec<u8>) {
        if index > 0 {
            out.push(b',');
        }
        let start = out.len();
        self.items.get(index).into_iter().for_each(|item| item.write_to(out));
        if self.kind != PARTIAL_LIST && out.get(start..).is_some_and(|item| item.starts_with(type_meta.as_bytes())) {
            out.drain(start + 1..start + type_meta.len());
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "Bytes({})", String::from_utf8_lossy(bytes)),
            Self::Object(object) => write!(f, "Object({object:?})"),
            Self::List(list) => write!(f, "List({} {} items)", list.kind, list.items.len()),
            Self::Watch(_) => f.write_str("Watch"),
            Self::Stream(_) => f.write_str("Stream"),
            Self::Upgrade(_) => f.write_str("Upgrade"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lists_parts_are_the_list() {
        let item = |name: &str| format!(r#"{{"kind":"A","apiVersion":"v1","metadata":{{"name":"{name}"}}}}"#);
        for (count, padding) in [(0, 0), (1, 0), (3, 70_000), (2_000, 100)] {
            let items = || (0..count).map(|index| Encoded::from_bytes(item(&"x".repeat(padding + index % 7)).into()));
            let list = || List {
                api_version: "v1".into(),
                kind: "AList".into(),
                resource_version: "7".into(),
                continue_token: String::new(),
                remaining_item_count: None,
                items: items().collect(),
            };
            let parts: Vec<Bytes> = list().into_parts().collect();
            assert_eq!(parts.concat(), list().to_bytes(), "{count}");
            assert!(parts.iter().all(|part| part.len() < 3 * PART_BYTES), "{count}");
            assert_eq!(list().is_long(), count > 2);
            let value: serde_json::Value = serde_json::from_slice(&parts.concat()).unwrap();
            assert_eq!(value["items"].as_array().unwrap().len(), count);
            assert!(value["items"].as_array().unwrap().iter().all(|item| item.get("kind").is_none()));
        }
    }
}
