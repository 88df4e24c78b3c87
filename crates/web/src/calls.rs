//! The page's calls: messages in, requests to the cluster, messages out.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use bytes::Bytes;
use futures::channel::mpsc;
use futures::future::{AbortHandle, abortable};
use futures::{SinkExt, StreamExt};
use http::StatusCode;
use machinery::wire::{Body, Channels, Frame, Request, Response};
use playground_control::tab::{CallId, FromWorker, ToWorker};
use playground_core::Cluster;

use crate::post;

/// The calls under way.
pub struct Calls {
    cluster: Rc<Cluster>,
    open: Rc<RefCell<BTreeMap<CallId, Open>>>,
}

struct Open {
    abort: AbortHandle,
    frames: mpsc::UnboundedSender<Frame>,
}

impl Calls {
    /// No calls yet.
    pub fn new(cluster: Rc<Cluster>) -> Self {
        Self { cluster, open: Rc::default() }
    }

    /// Takes a message from the page.
    pub fn receive(&self, message: ToWorker, bytes: Vec<u8>) {
        match message {
            ToWorker::Boot(_) => {}
            ToWorker::Call { id, method, path, headers, upgrade } => {
                match request(&method, &path, &headers, bytes, upgrade) {
                    Ok(request) => self.call(id, request),
                    Err(message) => self.answer(id, text(StatusCode::BAD_REQUEST, &message)),
                }
            }
            ToWorker::Frame { id, channel } => {
                if let Some(open) = self.open.borrow().get(&id) {
                    let _ = open.frames.unbounded_send(Frame { channel, data: Some(bytes.into()) });
                }
            }
            ToWorker::Cancel { id } => {
                if let Some(open) = self.open.borrow_mut().remove(&id) {
                    open.abort.abort();
                }
            }
        }
    }

    fn call(&self, id: CallId, request: Request) {
        let api = self.cluster.public_api().clone();
        self.run(id, async move { api.handle(request).await });
    }

    fn answer(&self, id: CallId, response: Response) {
        self.run(id, std::future::ready(response));
    }

    fn run(&self, id: CallId, response: impl Future<Output = Response> + 'static) {
        let (frames, from_page) = mpsc::unbounded();
        let (task, abort) = abortable(async move { send(id, response.await, from_page).await });
        self.open.borrow_mut().insert(id, Open { abort, frames });
        let open = Rc::clone(&self.open);
        wasm_bindgen_futures::spawn_local(async move {
            if task.await.is_ok() {
                open.borrow_mut().remove(&id);
                post(&FromWorker::End { id }, &[]);
            }
        });
    }
}

/// How many parts of a body may go to the page together.
const TOGETHER_MAX: usize = 256;

/// Sends an answer, part by part.
async fn send(id: CallId, response: Response, from_page: mpsc::UnboundedReceiver<Frame>) {
    let (head, body) = response.into_parts();
    let named = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let headers = head.headers.iter().map(named).collect();
    let upgraded = matches!(body, Body::Upgrade(_));
    let status = if upgraded { 101 } else { head.status.as_u16() };
    post(&FromWorker::Head { id, status, headers }, &[]);
    match body {
        Body::Upgrade(channels) => join(id, channels, from_page).await,
        other => {
            // What is there already goes in one message: a watch or the trace may have hundreds of lines at once.
            let mut parts = other.into_stream().ready_chunks(TOGETHER_MAX);
            while let Some(parts) = parts.next().await {
                post(&FromWorker::Chunk { id }, &parts.concat());
            }
        }
    }
}

/// Carries frames both ways until the cluster's side closes.
async fn join(id: CallId, channels: Channels, from_page: mpsc::UnboundedReceiver<Frame>) {
    let Channels { mut sender, mut receiver } = channels;
    let outward = async move {
        while let Some(Frame { channel, data }) = receiver.next().await {
            if let Some(data) = data {
                post(&FromWorker::Frame { id, channel }, &data);
            }
        }
    };
    let inward = async move {
        let mut from_page = from_page.map(Ok);
        let _ = sender.send_all(&mut from_page).await;
        std::future::pending::<()>().await;
    };
    futures::future::select(std::pin::pin!(outward), std::pin::pin!(inward)).await;
}

fn request(
    method: &str,
    path: &str,
    headers: &[(String, String)],
    body: Vec<u8>,
    upgrade: bool,
) -> Result<Request, String> {
    let mut request = http::Request::builder().method(method).uri(path).header("user-agent", "page");
    for (name, value) in headers {
        request = request.header(name, value);
    }
    if upgrade {
        request = request.header("connection", "Upgrade").header("upgrade", "websocket");
    }
    request.body(Body::Bytes(Bytes::from(body))).map_err(|error| error.to_string())
}

/// A Status with a message.
fn text(code: StatusCode, message: &str) -> Response {
    let status = serde_json::json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code.as_u16(),
        "message": message,
    });
    let mut response = Response::new(Body::Bytes(status.to_string().into()));
    *response.status_mut() = code;
    response
}
