//! What the page and the Worker say to each other over `postMessage`.
//!
//! A message is a JavaScript array: the JSON of a [`ToWorker`] or a [`FromWorker`], then an
//! `Uint8Array` with the message's bytes (a body, a chunk, a frame's data; empty where it has none).

use js_sys::{Array, Uint8Array};
use serde::Deserialize;
use serde::Serialize;
use serde::de::DeserializeOwned;
use wasm_bindgen::JsValue;

/// A call's number, chosen by the page.
pub type CallId = u32;

/// How to make the cluster. The Worker waits for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Boot {
    /// How many nodes.
    pub nodes: u16,
    /// The seed of everything random.
    pub seed: u64,
    /// The cluster's time at its birth, in milliseconds since 1970.
    pub start_ms: i64,
    /// Whether a command comes at once: what it needs loads while the cluster starts.
    pub command: bool,
}

/// What the page asks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ToWorker {
    /// Make the cluster; the bytes are a saved one that goes on, if any.
    Boot(Boot),
    /// Call the API; the bytes are the body.
    Call {
        /// The call's number.
        id: CallId,
        /// HTTP method.
        method: String,
        /// Path and query.
        path: String,
        /// Header names and values.
        headers: Vec<(String, String)>,
        /// Whether the connection is to become channels.
        upgrade: bool,
    },
    /// A frame on an upgraded call; the bytes are its data.
    Frame {
        /// The call's number.
        id: CallId,
        /// The channel's number.
        channel: u8,
    },
    /// Nobody waits for the call any more.
    Cancel {
        /// The call's number.
        id: CallId,
    },
}

/// What the Worker answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FromWorker {
    /// The call's answer begins.
    Head {
        /// The call's number.
        id: CallId,
        /// HTTP status.
        status: u16,
        /// Header names and values.
        headers: Vec<(String, String)>,
    },
    /// Bytes of the answer's body.
    Chunk {
        /// The call's number.
        id: CallId,
    },
    /// A frame of an upgraded call; the bytes are its data.
    Frame {
        /// The call's number.
        id: CallId,
        /// The channel's number.
        channel: u8,
    },
    /// The answer is complete, or the channels are closed.
    End {
        /// The call's number.
        id: CallId,
    },
}

/// A message as `postMessage` takes it.
pub fn encode<M: Serialize>(message: &M, bytes: &[u8]) -> JsValue {
    let head = serde_json::to_string(message).unwrap_or_default();
    Array::of2(&head.into(), &Uint8Array::from(bytes)).into()
}

/// A message as it arrived; `None` for what is not one of ours.
pub fn decode<M: DeserializeOwned>(data: &JsValue) -> Option<(M, Vec<u8>)> {
    let parts = Array::from(data);
    let message = serde_json::from_str(&parts.get(0).as_string()?).ok()?;
    let bytes = Uint8Array::new(&parts.get(1)).to_vec();
    Some((message, bytes))
}
