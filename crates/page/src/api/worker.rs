//! The transport to the cluster in the Web Worker: calls as messages.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};

use bytes::Bytes;
use futures::channel::{mpsc, oneshot};
use futures::stream::{Stream, StreamExt};
use js_sys::{Array, Reflect};
use wasm_bindgen::prelude::*;
use web_sys::{ErrorEvent, MessageEvent, Worker, WorkerOptions, WorkerType};

use super::{Answer, ApiError, Call, Connection, Frame};
use playground_control::tab::{self, Boot, CallId, FromWorker, ToWorker};

/// The Worker, and the calls it has not answered in full.
pub struct WorkerLink {
    worker: Worker,
    pending: RefCell<BTreeMap<CallId, Pending>>,
    last_id: Cell<CallId>,
    on_failure: Box<dyn Fn(String)>,
    listeners: RefCell<Vec<Box<dyn std::any::Any>>>,
}

/// The Worker's script is a module, as are its chunks.
fn module() -> WorkerOptions {
    let options = WorkerOptions::new();
    options.set_type(WorkerType::Module);
    options
}

/// The Worker that `index.html` has begun to load, and what was heard of it since; once.
fn begun() -> Option<(Worker, Array)> {
    let (global, name) = (js_sys::global(), JsValue::from_str("clusterWorker"));
    let worker = Reflect::get(&global, &name).ok()?.dyn_into::<Worker>().ok()?;
    Reflect::delete_property(&global, &name).ok()?;
    let heard = Reflect::get(&worker, &JsValue::from_str("heard")).ok()?.dyn_into().ok()?;
    Some((worker, heard))
}

struct Pending {
    head: Option<oneshot::Sender<u16>>,
    chunks: Option<mpsc::UnboundedSender<Bytes>>,
    frames: Option<mpsc::UnboundedSender<Frame>>,
}

/// Tells the Worker that nobody waits any more, when dropped.
struct Guard {
    link: Weak<WorkerLink>,
    id: CallId,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(link) = self.link.upgrade()
            && link.pending.borrow_mut().remove(&self.id).is_some()
        {
            link.post(&ToWorker::Cancel { id: self.id }, &[]);
        }
    }
}

impl WorkerLink {
    /// Starts the Worker whose loader script is at a URL and boots a cluster in it: a saved one, unless that is
    /// empty. `on_failure` hears
    /// of a Worker that cannot start or has died.
    ///
    /// # Errors
    /// When the browser refuses to start it.
    pub fn start(
        url: &str,
        boot: Boot,
        saved: &[u8],
        on_failure: impl Fn(String) + 'static,
    ) -> Result<Rc<Self>, JsValue> {
        let (worker, heard) = match begun() {
            Some(begun) => begun,
            None => (Worker::new_with_options(url, &module())?, Array::new()),
        };
        let link = Rc::new(Self {
            worker,
            pending: RefCell::default(),
            last_id: Cell::new(0),
            on_failure: Box::new(on_failure),
            listeners: RefCell::default(),
        });
        let weak = Rc::downgrade(&link);
        let on_message = Closure::<dyn Fn(MessageEvent)>::new(move |event: MessageEvent| {
            if let (Some(link), Some((message, bytes))) = (weak.upgrade(), tab::decode(&event.data())) {
                link.receive(message, bytes);
            }
        });
        let weak = Rc::downgrade(&link);
        let on_error = Closure::<dyn Fn(ErrorEvent)>::new(move |event: ErrorEvent| {
            if let Some(link) = weak.upgrade() {
                link.pending.borrow_mut().clear();
                (link.on_failure)(event.message());
            }
        });
        link.worker.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        link.worker.set_onerror(Some(on_error.as_ref().unchecked_ref()));
        link.listeners.borrow_mut().extend([Box::new(on_message) as Box<dyn std::any::Any>, Box::new(on_error)]);
        link.post(&ToWorker::Boot(boot), saved);
        for event in heard.iter().filter_map(|event| event.dyn_into::<web_sys::Event>().ok()) {
            link.worker.dispatch_event(&event)?;
        }
        Ok(link)
    }

    /// See [`super::Api::send`].
    pub async fn send(self: &Rc<Self>, call: Call) -> Result<Answer, ApiError> {
        let (chunks, body) = mpsc::unbounded();
        let (status, guard) = self.call(call, false, Some(chunks), None).await?;
        Ok(Answer { status, body: held(body, guard).boxed_local() })
    }

    /// See [`super::Api::connect`].
    pub async fn connect(self: &Rc<Self>, path: &str) -> Result<Connection, ApiError> {
        let (frames, receive) = mpsc::unbounded();
        let (status, guard) = self.call(Call::get(path), true, None, Some(frames)).await?;
        if status != 101 {
            return Err(ApiError(format!("HTTP {status} where a connection was expected")));
        }
        let (weak, id) = (Rc::downgrade(self), guard.id);
        let send = Rc::new(move |(channel, data): Frame| {
            if let Some(link) = weak.upgrade() {
                link.post(&ToWorker::Frame { id, channel }, &data);
            }
        });
        Ok(Connection { send, receive, guard: Box::new(guard) })
    }

    async fn call(
        self: &Rc<Self>,
        call: Call,
        upgrade: bool,
        chunks: Option<mpsc::UnboundedSender<Bytes>>,
        frames: Option<mpsc::UnboundedSender<Frame>>,
    ) -> Result<(u16, Guard), ApiError> {
        let id = self.last_id.get().wrapping_add(1);
        self.last_id.set(id);
        let (head, answered) = oneshot::channel();
        self.pending.borrow_mut().insert(id, Pending { head: Some(head), chunks, frames });
        let guard = Guard { link: Rc::downgrade(self), id };
        let Call { method, path, headers, body } = call;
        self.post(&ToWorker::Call { id, method, path, headers, upgrade }, &body);
        let status = answered.await.map_err(|_| ApiError("the cluster in this tab has stopped".into()))?;
        Ok((status, guard))
    }

    fn post(&self, message: &ToWorker, bytes: &[u8]) {
        if self.worker.post_message(&tab::encode(message, bytes)).is_err() {
            (self.on_failure)("a message could not be sent".into());
        }
    }

    fn receive(&self, message: FromWorker, bytes: Vec<u8>) {
        let mut pending = self.pending.borrow_mut();
        match message {
            FromWorker::Head { id, status, .. } => {
                if let Some(head) = pending.get_mut(&id).and_then(|pending| pending.head.take()) {
                    let _ = head.send(status);
                }
            }
            FromWorker::Chunk { id } => {
                if let Some(chunks) = pending.get(&id).and_then(|pending| pending.chunks.as_ref()) {
                    let _ = chunks.unbounded_send(bytes.into());
                }
            }
            FromWorker::Frame { id, channel } => {
                if let Some(frames) = pending.get(&id).and_then(|pending| pending.frames.as_ref()) {
                    let _ = frames.unbounded_send((channel, bytes.into()));
                }
            }
            FromWorker::End { id } => {
                pending.remove(&id);
            }
        }
    }
}

/// A stream that keeps a guard alive.
fn held<S: Stream + 'static>(stream: S, guard: Guard) -> impl Stream<Item = S::Item> {
    stream.map(move |item| {
        let _ = &guard;
        item
    })
}
