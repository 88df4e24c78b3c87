//! The ways from the API server, which any thread may call, to the kubelets' servers and into the event
//! loop, where the network and the control API live.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use apiserver::{ControlApi, NodeConnector};
use futures::FutureExt;
use futures::channel::{mpsc, oneshot};
use futures::future::BoxFuture;
use kubelet::KubeletServer;
use machinery::status::ApiError;
use machinery::wire::{Request, Response, Unreachable};

/// How many calls may wait for the event loop.
const CALLS_QUEUED_MAX: usize = 1024;

/// A request for something that lives in the event loop.
pub struct Call {
    /// Whom it is for.
    pub target: Target,
    /// The request.
    pub request: Request,
    /// Where its answer goes.
    pub reply: oneshot::Sender<Response>,
}

/// Whom a [`Call`] is for.
pub enum Target {
    /// An HTTP server at an address of the pod or node network.
    Address(String),
    /// A connection to a port of `localhost`, as the Services have it.
    HostPort(u16),
    /// A connection to an address of a simulated node or pod.
    Socket(SocketAddr),
    /// The control API.
    Control,
}

/// The outer end, for any thread.
#[derive(Clone)]
pub struct Gateway {
    /// One sender for all: each clone of a sender would have a place of its own in the queue.
    calls: Arc<Mutex<mpsc::Sender<Call>>>,
    kubelets: Arc<Mutex<BTreeMap<String, Way>>>,
}

/// The way to a kubelet.
struct Way {
    server: KubeletServer,
    /// Whether it is cut, from either end.
    cut: Arc<AtomicBool>,
}

/// Both ends.
pub fn gateway() -> (Gateway, mpsc::Receiver<Call>) {
    let (sender, receiver) = mpsc::channel(CALLS_QUEUED_MAX);
    (Gateway { calls: Arc::new(Mutex::new(sender)), kubelets: Arc::default() }, receiver)
}

impl Gateway {
    /// Makes a node's kubelet reachable, as long as the way is not cut.
    pub fn set_kubelet(&self, node: &str, server: KubeletServer, cut: Arc<AtomicBool>) {
        let mut kubelets = self.kubelets.lock().unwrap_or_else(PoisonError::into_inner);
        kubelets.insert(node.into(), Way { server, cut });
    }

    /// Hands a request into the event loop.
    pub fn call(&self, target: Target, request: Request) -> BoxFuture<'static, Response> {
        let (reply, answer) = oneshot::channel();
        let call = Call { target, request, reply };
        let queued = self.calls.lock().unwrap_or_else(PoisonError::into_inner).try_send(call);
        if let Err(error) = queued {
            let reason = if error.is_full() { "too many requests are waiting" } else { "the cluster has stopped" };
            let response = ApiError::service_unavailable(reason).into_response();
            return async move { response }.boxed();
        }
        answer
            .map(|answer| {
                answer.unwrap_or_else(|_| ApiError::service_unavailable("the cluster has stopped").into_response())
            })
            .boxed()
    }
}

impl NodeConnector for Gateway {
    fn connect(&self, node: &str, request: Request) -> BoxFuture<'static, Response> {
        let kubelets = self.kubelets.lock().unwrap_or_else(PoisonError::into_inner);
        match kubelets.get(node) {
            Some(way) if !way.cut.load(Ordering::Relaxed) => way.server.handle(request).boxed(),
            _ => async { Unreachable("connect: no route to host").into_response() }.boxed(),
        }
    }

    fn dial(&self, address: &str, request: Request) -> BoxFuture<'static, Response> {
        self.call(Target::Address(address.into()), request)
    }
}

impl ControlApi for Gateway {
    fn handle(&self, request: Request) -> BoxFuture<'static, Response> {
        self.call(Target::Control, request)
    }
}
