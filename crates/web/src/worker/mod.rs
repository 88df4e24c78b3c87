//! The Web Worker: a cluster, its pace, and the page's calls.

mod calls;
mod pace;
mod turns;

use std::rc::Rc;

use futures::future::LocalBoxFuture;
use machinery::Timestamp;
use machinery::wire::{Request, Response};
use wasm_bindgen::prelude::*;
use web_sys::{DedicatedWorkerGlobalScope, MessageEvent};

use crate::protocol::{self, Boot, FromWorker, ToWorker};

/// A cluster as the Worker drives it.
pub trait Machine {
    /// Answers a request to the Kubernetes API or the control API.
    fn handle(&self, request: Request) -> LocalBoxFuture<'static, Response>;
    /// The cluster's time.
    fn now(&self) -> Timestamp;
    /// Does one thing that is due up to `limit`; false when there is none, and time is `limit` then.
    fn step(&self, limit: Timestamp) -> bool;
    /// When something is due next, if anything is.
    fn next_timer(&self) -> Option<Timestamp>;
    /// Whether something can be done without time passing.
    fn has_ready(&self) -> bool;
    /// Calls back whenever something becomes ready.
    fn on_wake(&self, notify: fn());
}

/// Listens to the page for ever. `make` makes the cluster once the page has said how.
pub fn listen<M: Machine + 'static>(make: impl Fn(Boot) -> M + 'static) {
    let scope: DedicatedWorkerGlobalScope = js_sys::global().unchecked_into();
    let calls = std::cell::OnceCell::<calls::Calls>::new();
    let on_message = Closure::<dyn Fn(MessageEvent)>::new(move |event: MessageEvent| {
        let Some((message, bytes)) = protocol::decode::<ToWorker>(&event.data()) else { return };
        match (message, calls.get()) {
            (ToWorker::Boot(boot), None) => {
                let turns = turns::Turns::start(Rc::new(make(boot)));
                let _ = calls.set(calls::Calls::new(turns));
            }
            (message, Some(calls)) => calls.receive(message, bytes),
            (_, None) => {}
        }
    });
    scope.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
    // The Worker listens for as long as it lives.
    on_message.forget();
    post(&FromWorker::Ready, &[]);
}

/// Sends a message to the page.
fn post(message: &FromWorker, bytes: &[u8]) {
    let scope: DedicatedWorkerGlobalScope = js_sys::global().unchecked_into();
    // It can fail only while the page is going away.
    let _ = scope.post_message(&protocol::encode(message, bytes));
}
