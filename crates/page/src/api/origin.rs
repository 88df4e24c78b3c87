//! The transport to the `playground serve` that served this page: fetch and WebSocket.

use std::cell::Cell;
use std::rc::Rc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures::channel::{mpsc, oneshot};
use futures::stream::{self, StreamExt};
use js_sys::{Reflect, Uint8Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    AbortController, BinaryType, Headers, MessageEvent, ReadableStreamDefaultReader, Request, RequestInit, Response,
    WebSocket,
};

use super::{Answer, ApiError, Call, Connection, Frame};

/// The page's own origin, and the token it was opened with.
pub struct Origin {
    token: String,
}

/// Aborts the fetch, when dropped.
struct Abort(AbortController);

impl Drop for Abort {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Closes the socket, when dropped; its listeners live as long.
struct Socket {
    socket: WebSocket,
    _listeners: Vec<Box<dyn std::any::Any>>,
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.socket.set_onmessage(None);
        self.socket.set_onclose(None);
        let _ = self.socket.close();
    }
}

impl Origin {
    /// With the bearer token that `playground serve` put into the page's address.
    pub fn new(token: String) -> Self {
        Self { token }
    }

    /// See [`super::Api::send`].
    pub async fn send(&self, call: Call) -> Result<Answer, ApiError> {
        let abort = Abort(AbortController::new().map_err(failed)?);
        let headers = Headers::new().map_err(failed)?;
        headers.set("authorization", &format!("Bearer {}", self.token)).map_err(failed)?;
        for (name, value) in &call.headers {
            headers.append(name, value).map_err(failed)?;
        }
        let init = RequestInit::new();
        init.set_method(&call.method);
        init.set_headers(&headers);
        init.set_signal(Some(&abort.0.signal()));
        if !call.body.is_empty() {
            init.set_body(&Uint8Array::from(&call.body[..]));
        }
        let window = web_sys::window().ok_or_else(|| ApiError("no window".into()))?;
        let request = Request::new_with_str_and_init(&call.path, &init).map_err(failed)?;
        let response: Response =
            JsFuture::from(window.fetch_with_request(&request)).await.map_err(failed)?.dyn_into().map_err(failed)?;
        let status = response.status();
        let Some(body) = response.body() else { return Ok(Answer { status, body: stream::empty().boxed_local() }) };
        let reader: ReadableStreamDefaultReader = body.get_reader().unchecked_into();
        let body = stream::unfold((reader, abort), |(reader, abort)| async move {
            let part = JsFuture::from(reader.read()).await.ok()?;
            let value = Reflect::get(&part, &"value".into()).ok()?;
            if value.is_undefined() {
                return None;
            }
            Some((Bytes::from(Uint8Array::new(&value).to_vec()), (reader, abort)))
        });
        Ok(Answer { status, body: body.boxed_local() })
    }

    /// See [`super::Api::connect`]. Frames carry their channel as the first byte, as Kubernetes'
    /// channel protocol has it, and the token goes where Kubernetes takes it from browsers.
    pub async fn connect(&self, path: &str) -> Result<Connection, ApiError> {
        let window = web_sys::window().ok_or_else(|| ApiError("no window".into()))?;
        let origin = window.location().origin().map_err(failed)?.replacen("http", "ws", 1);
        let token = format!("base64url.bearer.authorization.k8s.io.{}", URL_SAFE_NO_PAD.encode(&self.token));
        let protocols = js_sys::Array::of2(&"v5.channel.k8s.io".into(), &token.into());
        let socket = WebSocket::new_with_str_sequence(&format!("{origin}{path}"), &protocols).map_err(failed)?;
        socket.set_binary_type(BinaryType::Arraybuffer);

        let (frames, receive) = mpsc::unbounded::<Frame>();
        let on_frame = frames.clone();
        let on_message = Closure::<dyn Fn(MessageEvent)>::new(move |event: MessageEvent| {
            let data = Bytes::from(Uint8Array::new(&event.data()).to_vec());
            if let Some(channel) = data.first() {
                let _ = on_frame.unbounded_send((*channel, data.slice(1..)));
            }
        });
        let (opened, open) = oneshot::channel();
        let opened = Rc::new(Cell::new(Some(opened)));
        let opener = Rc::clone(&opened);
        let on_open = Closure::<dyn Fn()>::new(move || {
            if let Some(opened) = opener.take() {
                let _ = opened.send(());
            }
        });
        let on_close = Closure::<dyn Fn()>::new(move || {
            opened.take();
            frames.close_channel();
        });
        socket.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        socket.set_onopen(Some(on_open.as_ref().unchecked_ref()));
        socket.set_onclose(Some(on_close.as_ref().unchecked_ref()));
        let guard = Socket {
            socket: socket.clone(),
            _listeners: vec![Box::new(on_message), Box::new(on_open), Box::new(on_close)],
        };
        open.await.map_err(|_| ApiError("the server refused the connection".into()))?;
        let send = Rc::new(move |(channel, data): Frame| {
            let mut message = Vec::with_capacity(data.len() + 1);
            message.push(channel);
            message.extend_from_slice(&data);
            let _ = socket.send_with_u8_array(&message);
        });
        Ok(Connection { send, receive, guard: Box::new(guard) })
    }
}

/// Whether the page came over HTTP/2 or later.
pub fn multiplexed() -> bool {
    let entry = web_sys::window()
        .and_then(|window| window.performance())
        .map(|performance| performance.get_entries_by_type("navigation").get(0))
        .and_then(|entry| Reflect::get(&entry, &"nextHopProtocol".into()).ok())
        .and_then(|protocol| protocol.as_string());
    entry.is_some_and(|protocol| protocol.starts_with("h2") || protocol.starts_with("h3"))
}

fn failed(error: JsValue) -> ApiError {
    let message = Reflect::get(&error, &"message".into()).ok().and_then(|message| message.as_string());
    ApiError(message.unwrap_or_else(|| "the browser could not reach the server".into()))
}
