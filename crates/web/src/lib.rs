//! The Web Worker: a cluster, its turns, and the page's calls.
//!
//! The page (`crates/page`) is on the other side of the messages of [`playground_control::tab`].

mod calls;
mod room;
mod turns;

use std::cell::OnceCell;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use machinery::Timestamp;
use machinery::split::{NotLoaded, at_once};
use playground_control::tab::{self, Boot, FromWorker, ToWorker};
use playground_core::{Cluster, NodeOptions, Options, lesson_files};
use store::Store;
use wasm_bindgen::prelude::*;
use web_sys::{DedicatedWorkerGlobalScope, MessageEvent};

/// The nodes' names begin with it, as kind's do with the cluster's.
const CLUSTER: &str = "hello";

/// Listens to the page for ever, and makes the cluster once the page has said how.
///
/// # Errors
/// When this is no Web Worker.
pub fn listen() -> Result<(), JsValue> {
    let scope: DedicatedWorkerGlobalScope = js_sys::global().dyn_into()?;
    let calls = OnceCell::<calls::Calls>::new();
    let on_message = Closure::<dyn Fn(MessageEvent)>::new(move |event: MessageEvent| {
        let Some((message, bytes)) = tab::decode::<ToWorker>(&event.data()) else { return };
        match (message, calls.get()) {
            (ToWorker::Boot(boot), None) => match start(&boot, &bytes) {
                Ok(cluster) => {
                    let _ = calls.set(calls::Calls::new(cluster));
                }
                Err(message) => wasm_bindgen::throw_str(&message),
            },
            (message, Some(calls)) => calls.receive(message, bytes),
            (_, None) => {}
        }
    });
    scope.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
    // The Worker listens for as long as it lives.
    on_message.forget();
    // What the page has said meanwhile (`www/worker.js`).
    let heard = js_sys::Reflect::get(&scope, &"heard".into())?.dyn_into::<js_sys::Array>().unwrap_or_default();
    // A saved cluster may be among it.
    js_sys::Reflect::delete_property(&scope, &"heard".into())?;
    heard.iter().try_for_each(|event| scope.dispatch_event(event.unchecked_ref()).map(drop))
}

machinery::split! {
    texts,
    fn texts() -> &'static str {
        machinery::schema::DESCRIPTIONS_JSON
    }
}

/// The API's field documentation, in a chunk of its own.
fn descriptions() -> Result<bytes::Bytes, NotLoaded> {
    at_once(texts()).map(bytes::Bytes::from)
}

/// A new cluster, or a saved one that goes on.
fn start(boot: &Boot, saved: &[u8]) -> Result<Rc<Cluster>, String> {
    if boot.command {
        // The requests go out before this thread is busy.
        let mut loading = Box::pin(playground_core::load_terminal());
        if loading.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
            wasm_bindgen_futures::spawn_local(loading);
        }
    }
    let room = room::Room::default();
    room.make();
    let mut options = if saved.is_empty() {
        let start = Timestamp::from_millisecond(boot.start_ms).map_err(|error| error.to_string())?;
        let store = Store::new(&store::Options::default());
        Options { files: lesson_files(), ..Options::new(store, start, boot.seed) }
    } else {
        Options::resume(saved, boot.seed)?
    };
    if options.nodes.is_empty() {
        options.nodes = NodeOptions::cluster(CLUSTER, boot.nodes);
    }
    options.host_time = Some(Arc::new(host_time()));
    options.addons = true;
    options.descriptions = Some(descriptions);
    let cluster = Rc::new(Cluster::new(options)?);
    turns::start(Rc::clone(&cluster), room).map_err(|_| "this browser has no MessageChannel".to_owned())?;
    Ok(cluster)
}

/// The Worker's time since now.
fn host_time() -> impl Fn() -> Duration + Send + Sync {
    let start_ms = now_ms();
    move || Duration::from_secs_f64((now_ms() - start_ms).max(0.0) / 1_000.0)
}

/// The browser's steady clock, in milliseconds.
fn now_ms() -> f64 {
    thread_local! {
        static PERFORMANCE: Option<web_sys::Performance> =
            js_sys::Reflect::get(&js_sys::global(), &"performance".into()).ok().map(JsCast::unchecked_into);
    }
    PERFORMANCE.with(|performance| performance.as_ref().map_or(0.0, web_sys::Performance::now))
}

/// Sends a message to the page.
fn post(message: &FromWorker, bytes: &[u8]) {
    let scope: DedicatedWorkerGlobalScope = js_sys::global().unchecked_into();
    // It can fail only while the page is going away.
    let _ = scope.post_message(&tab::encode(message, bytes));
}
