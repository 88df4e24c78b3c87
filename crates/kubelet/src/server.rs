//! The kubelet's HTTP server as a function: logs, exec, attach, port-forward, pods, stats.
//!
//! Paths and parameters are those of the kubelet's own server. A request that is refused is answered by
//! a line of text, as upstream's kubelet does; for logs by the Status that upstream's API server makes
//! of it.

use std::collections::BTreeMap;
use std::future::Future;

use bytes::Bytes;
use futures::channel::{mpsc, oneshot};
use http::StatusCode;
use machinery::Timestamp;
use machinery::wire::{Body, Channels, List, Request, Response, Unreachable};
use machinery::{ApiError, Encoded};

use crate::kubelet::Kubelet;
use crate::runtime::{AttachRequest, ExecRequest, Operation};
use crate::status::pod_status;
use crate::text::str;
use crate::tickets::Owner;
use crate::worker::Worker;

/// A request on its way into a kubelet.
pub(crate) struct Call {
    request: Request,
    reply: oneshot::Sender<Response>,
}

/// The way to a kubelet: cheap to clone, and to be used from any thread.
#[derive(Clone)]
pub struct KubeletServer {
    calls: mpsc::UnboundedSender<Call>,
}

impl KubeletServer {
    pub(crate) fn new(calls: mpsc::UnboundedSender<Call>) -> Self {
        Self { calls }
    }

    /// Answers one request. A kubelet that is gone is [`Unreachable`]: its connections are refused.
    pub fn handle(&self, request: Request) -> impl Future<Output = Response> + Send + 'static {
        let (reply, answer) = oneshot::channel();
        // A call that could not be sent is dropped here, and its reply with it.
        let sent = self.calls.unbounded_send(Call { request, reply }).is_ok();
        async move {
            match (sent, answer.await) {
                (true, Ok(response)) => response,
                _ => Unreachable("connect: connection refused").into_response(),
            }
        }
    }
}

/// A request's query.
pub(crate) type Params = BTreeMap<String, Vec<String>>;

/// The container a request is about.
pub(crate) struct Target<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) pod: &'a str,
    pub(crate) container: &'a str,
}

/// A request that is not served: a status and a line of text.
pub(crate) struct Refusal {
    status: StatusCode,
    message: String,
}

/// A refusal with a message.
pub(crate) fn refusal(status: StatusCode, message: impl Into<String>) -> Refusal {
    Refusal { status, message: message.into() }
}

impl Refusal {
    /// As the kubelet's server writes it.
    pub(crate) fn into_response(self) -> Response {
        text(self.status, &self.message)
    }

    /// As upstream's API server passes it on where no connection is upgraded: a Status.
    pub(crate) fn into_status(self) -> Response {
        let reason = match self.status {
            StatusCode::BAD_REQUEST => "BadRequest",
            StatusCode::NOT_FOUND => "NotFound",
            _ => "InternalError",
        };
        ApiError::new(self.status.as_u16(), reason, self.message).into_response()
    }
}

impl Kubelet {
    /// Answers a request that came to the server, now or later.
    pub(crate) fn serve(&mut self, now: Timestamp, call: Call) {
        let Call { request, reply } = call;
        let uri = request.uri().clone();
        let params = parameters(uri.query().unwrap_or_default());
        let segments: Vec<&str> = uri.path().trim_matches('/').split('/').collect();
        let answer = match segments.as_slice() {
            ["healthz"] | ["healthz", "ping"] => Ok(text(StatusCode::OK, "ok")),
            ["pods"] => Ok(self.pod_list(now)),
            ["stats", "summary"] => {
                self.stats_waiting.push(reply);
                self.tickets.submit(&mut *self.runtime, Owner::Stats, Operation::ListStats);
                return;
            }
            ["containerLogs", namespace, pod, container] => {
                let answer = self.container_logs(now, &Target { namespace, pod, container }, &params);
                Ok(answer.unwrap_or_else(Refusal::into_status))
            }
            ["exec", namespace, pod, container] | ["exec", namespace, pod, _, container] => {
                self.exec(&Target { namespace, pod, container }, &params)
            }
            ["attach", namespace, pod, container] | ["attach", namespace, pod, _, container] => {
                self.attach(&Target { namespace, pod, container }, &params)
            }
            ["portForward", namespace, pod] | ["portForward", namespace, pod, _] => {
                self.port_forward(namespace, pod, &params)
            }
            _ => Err(refusal(StatusCode::NOT_FOUND, "404 page not found")),
        };
        // A caller that has gone away does not need the answer.
        let _ = reply.send(answer.unwrap_or_else(Refusal::into_response));
    }

    pub(crate) fn find_pod(&self, namespace: &str, name: &str) -> Option<&Worker> {
        self.workers
            .values()
            .map(|slot| &slot.worker)
            .filter(|worker| str(&worker.pod.metadata.name) == name && str(&worker.pod.metadata.namespace) == namespace)
            // A pod that was replaced under its name may still be ending.
            .min_by_key(|worker| worker.removed)
    }

    /// The running container that exec and attach go to.
    fn running(&self, target: &Target<'_>) -> Result<String, Refusal> {
        let Target { namespace, pod, container } = *target;
        let missing = || refusal(StatusCode::NOT_FOUND, format!("container not found (\"{container}\")"));
        let worker =
            self.find_pod(namespace, pod).ok_or_else(|| refusal(StatusCode::NOT_FOUND, "pod does not exist"))?;
        let container = worker.containers.get(container).filter(|container| container.is_running());
        container.and_then(|container| container.current.as_ref()).map(|run| run.id.clone()).ok_or_else(missing)
    }

    fn exec(&mut self, target: &Target<'_>, params: &Params) -> Result<Response, Refusal> {
        let request = ExecRequest {
            container_id: self.running(target)?,
            command: params.get("command").cloned().unwrap_or_default(),
            stdin: flag(params, "input") || flag(params, "stdin"),
            stdout: flag(params, "output") || flag(params, "stdout"),
            stderr: flag(params, "error") || flag(params, "stderr"),
            tty: flag(params, "tty"),
        };
        if request.command.is_empty() {
            return Err(refusal(StatusCode::BAD_REQUEST, "you must specify at least 1 of stdin, stdout, stderr"));
        }
        let (ours, theirs) = Channels::pair();
        self.runtime.exec(request, ours);
        Ok(upgrade(theirs))
    }

    fn attach(&mut self, target: &Target<'_>, params: &Params) -> Result<Response, Refusal> {
        let request = AttachRequest {
            container_id: self.running(target)?,
            stdin: flag(params, "input") || flag(params, "stdin"),
            stdout: flag(params, "output") || flag(params, "stdout"),
            stderr: flag(params, "error") || flag(params, "stderr"),
            tty: flag(params, "tty"),
        };
        let (ours, theirs) = Channels::pair();
        self.runtime.attach(request, ours);
        Ok(upgrade(theirs))
    }

    fn port_forward(&mut self, namespace: &str, pod: &str, params: &Params) -> Result<Response, Refusal> {
        let worker =
            self.find_pod(namespace, pod).ok_or_else(|| refusal(StatusCode::NOT_FOUND, "pod does not exist"))?;
        let sandbox_id = worker.ready_sandbox().map(|sandbox| sandbox.id.clone()).ok_or_else(|| {
            refusal(StatusCode::INTERNAL_SERVER_ERROR, format!("pod not found (\"{pod}_{namespace}\")"))
        })?;
        let mut ports = Vec::new();
        let names = ["port", "ports"];
        for port in names.iter().filter_map(|name| params.get(*name)).flatten().flat_map(|list| list.split(',')) {
            match port.parse() {
                Ok(port) if port > 0 => ports.push(port),
                _ => return Err(refusal(StatusCode::BAD_REQUEST, format!("unable to parse {port:?} as a port"))),
            }
        }
        let (ours, theirs) = Channels::pair();
        self.runtime.port_forward(&sandbox_id, &ports, ours);
        Ok(upgrade(theirs))
    }

    fn pod_list(&self, now: Timestamp) -> Response {
        let items = self.workers.values().filter(|slot| !slot.worker.removed).map(|slot| {
            let mut pod = (*slot.worker.pod).clone();
            pod.status = Some(pod_status(&slot.worker, &self.config, &self.version.name, now));
            Encoded::from_object(std::sync::Arc::new(pod))
        });
        let list = List {
            api_version: "v1".into(),
            kind: "PodList".into(),
            resource_version: String::new(),
            continue_token: String::new(),
            remaining_item_count: None,
            items: items.collect(),
        };
        http::Response::new(Body::List(list))
    }
}

fn text(status: StatusCode, message: &str) -> Response {
    let mut response = http::Response::new(Body::Bytes(Bytes::from(message.to_string())));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

fn upgrade(channels: Channels) -> Response {
    let mut response = http::Response::new(Body::Upgrade(channels));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response
}

fn parameters(query: &str) -> Params {
    let mut params = Params::new();
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        params.entry(key.into_owned()).or_default().push(value.into_owned());
    }
    params
}

/// A parameter, if it is given and not empty.
pub(crate) fn value<'a>(params: &'a Params, name: &str) -> Option<&'a str> {
    params.get(name).and_then(|values| values.first()).map(String::as_str).filter(|value| !value.is_empty())
}

/// Whether a parameter is set to true.
pub(crate) fn flag(params: &Params, name: &str) -> bool {
    matches!(value(params, name), Some("true" | "1" | "True"))
}

/// A parameter that is a number.
pub(crate) fn number(params: &Params, name: &str) -> Result<Option<u64>, Refusal> {
    match value(params, name) {
        None => Ok(None),
        Some(text_value) => text_value
            .parse()
            .map(Some)
            .map_err(|_| refusal(StatusCode::BAD_REQUEST, format!("invalid {name}: {text_value:?}"))),
    }
}
