//! The kubelet's HTTP server as a function: logs, exec, attach, port-forward, pods, stats.
//!
//! Paths and parameters are those of the kubelet's own server. Answers of 400 and above carry a line
//! of text, as upstream's do.

use std::collections::BTreeMap;
use std::future::Future;

use bytes::Bytes;
use futures::StreamExt;
use futures::channel::{mpsc, oneshot};
use http::StatusCode;
use k8s_openapi::api::core::v1::ContainerStatus;
use machinery::Timestamp;
use machinery::time::{format_micros, format_seconds};
use machinery::wire::{Body, Channels, List, Request, Response};
use machinery::{ApiError, Encoded};
use serde_json::{Value, json};

use crate::kubelet::Kubelet;
use crate::runtime::{AttachRequest, ExecRequest, LogLine, LogRequest, LogStream, Operation, Outcome, RuntimeError};
use crate::spec;
use crate::status::pod_status;
use crate::text::str;
use crate::tickets::Owner;
use crate::worker::Worker;

/// Lines on their way to a reader; more wait in the runtime.
const LINES_QUEUED_MAX: usize = 64;

/// A request on its way into a kubelet.
pub(crate) struct Call {
    request: Request,
    reply: oneshot::Sender<Response>,
}

/// The way to a kubelet: cheap to clone, and to be used from any thread.
#[derive(Clone)]
pub struct KubeletServer {
    node: String,
    calls: mpsc::UnboundedSender<Call>,
}

impl KubeletServer {
    pub(crate) fn new(node: String, calls: mpsc::UnboundedSender<Call>) -> Self {
        Self { node, calls }
    }

    /// Answers one request. A kubelet that is gone answers 503, as a refused connection.
    pub fn handle(&self, request: Request) -> impl Future<Output = Response> + Send + 'static {
        let (reply, answer) = oneshot::channel();
        let sent = self.calls.unbounded_send(Call { request, reply });
        let node = self.node.clone();
        async move {
            match (sent, answer.await) {
                (Ok(()), Ok(response)) => response,
                _ => ApiError::service_unavailable(format!("dial tcp {node}:10250: connect: connection refused"))
                    .into_response(),
            }
        }
    }
}

type Params = BTreeMap<String, Vec<String>>;

/// What a request asks of a container.
struct Target<'a> {
    namespace: &'a str,
    pod: &'a str,
    container: &'a str,
}

impl Kubelet {
    /// Answers a request that came to the server, now or later.
    pub(crate) fn serve(&mut self, now: Timestamp, call: Call) {
        let Call { request, reply } = call;
        let uri = request.uri().clone();
        let params = parameters(uri.query().unwrap_or_default());
        let segments: Vec<&str> = uri.path().trim_matches('/').split('/').collect();
        let answer = match segments.as_slice() {
            ["healthz" | "healthz/ping"] => Ok(text(StatusCode::OK, "ok")),
            ["pods"] => Ok(self.pod_list(now)),
            ["stats", "summary"] => {
                self.stats_waiting.push(reply);
                self.tickets.submit(&mut *self.runtime, Owner::Stats, Operation::ListStats);
                return;
            }
            ["containerLogs", namespace, pod, container] => {
                self.container_logs(now, &Target { namespace, pod, container }, &params)
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
            _ => Err(text(StatusCode::NOT_FOUND, "404 page not found")),
        };
        // A caller that has gone away does not need the answer.
        let _ = reply.send(answer.unwrap_or_else(|error| error));
    }

    fn find_pod(&self, namespace: &str, name: &str) -> Option<&Worker> {
        self.workers
            .values()
            .map(|slot| &slot.worker)
            .filter(|worker| str(&worker.pod.metadata.name) == name && str(&worker.pod.metadata.namespace) == namespace)
            // A pod that was replaced under its name may still be ending.
            .min_by_key(|worker| worker.removed)
    }

    fn container_logs(&mut self, now: Timestamp, target: &Target<'_>, params: &Params) -> Result<Response, Response> {
        let Target { namespace, pod, container } = *target;
        let bad = |message: String| text(StatusCode::BAD_REQUEST, &message);
        let worker = self
            .find_pod(namespace, pod)
            .ok_or_else(|| text(StatusCode::NOT_FOUND, &format!("pod does not exist: {pod:?}")))?;
        if spec::find(&worker.pod, container).is_none() {
            let message = format!("container {container:?} not found in pod {pod:?}");
            return Err(text(StatusCode::NOT_FOUND, &message));
        }
        let status = pod_status(worker, &self.config, &self.version.name, now);
        let statuses =
            status.container_statuses.iter().flatten().chain(status.init_container_statuses.iter().flatten());
        let status = statuses.into_iter().find(|status| status.name == *container);
        let container_id = log_source(status, container, pod, flag(params, "previous")).map_err(bad)?;
        let limit = number(params, "limitBytes")?;
        let since_seconds = number(params, "sinceSeconds")?;
        let since_time = match value(params, "sinceTime") {
            Some(time) => Some(time.parse::<Timestamp>().map_err(|error| bad(format!("invalid sinceTime: {error}")))?),
            None => None,
        };
        let since = since_seconds
            .and_then(|seconds| now.checked_sub(jiff::SignedDuration::from_secs(i64::try_from(seconds).ok()?)).ok())
            .or(since_time);
        let (sender, lines) = mpsc::channel(LINES_QUEUED_MAX);
        let request = LogRequest {
            container_id: container_id.clone(),
            follow: flag(params, "follow"),
            since,
            tail: number(params, "tailLines")?,
        };
        self.runtime.logs(request, sender);
        let format = LogFormat {
            timestamps: flag(params, "timestamps"),
            only: match value(params, "stream") {
                Some("Stdout") => Some(LogStream::Stdout),
                Some("Stderr") => Some(LogStream::Stderr),
                _ => None,
            },
            source: format!("{}://{container_id}", self.version.name),
        };
        let stream = format.bytes(lines, limit);
        let response = http::Response::builder().header(http::header::CONTENT_TYPE, "text/plain");
        Ok(response
            .body(Body::Stream(Box::pin(stream)))
            .unwrap_or_else(|_| text(StatusCode::INTERNAL_SERVER_ERROR, "")))
    }

    /// The running container that exec and attach go to.
    fn running(&self, target: &Target<'_>) -> Result<String, Response> {
        let Target { namespace, pod, container } = *target;
        let missing = || text(StatusCode::NOT_FOUND, &format!("container not found (\"{container}\")"));
        let worker = self.find_pod(namespace, pod).ok_or_else(|| text(StatusCode::NOT_FOUND, "pod does not exist"))?;
        let container = worker.containers.get(container).filter(|container| container.is_running());
        container.and_then(|container| container.current.as_ref()).map(|run| run.id.clone()).ok_or_else(missing)
    }

    fn exec(&mut self, target: &Target<'_>, params: &Params) -> Result<Response, Response> {
        let request = ExecRequest {
            container_id: self.running(target)?,
            command: params.get("command").cloned().unwrap_or_default(),
            stdin: flag(params, "input") || flag(params, "stdin"),
            stdout: flag(params, "output") || flag(params, "stdout"),
            stderr: flag(params, "error") || flag(params, "stderr"),
            tty: flag(params, "tty"),
        };
        if request.command.is_empty() {
            return Err(text(StatusCode::BAD_REQUEST, "you must specify at least 1 of stdin, stdout, stderr"));
        }
        let (ours, theirs) = Channels::pair();
        self.runtime.exec(request, ours);
        Ok(upgrade(theirs))
    }

    fn attach(&mut self, target: &Target<'_>, params: &Params) -> Result<Response, Response> {
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

    fn port_forward(&mut self, namespace: &str, pod: &str, params: &Params) -> Result<Response, Response> {
        let worker = self.find_pod(namespace, pod).ok_or_else(|| text(StatusCode::NOT_FOUND, "pod does not exist"))?;
        let sandbox_id = worker.ready_sandbox().map(|sandbox| sandbox.id.clone()).ok_or_else(|| {
            text(StatusCode::INTERNAL_SERVER_ERROR, &format!("pod not found (\"{pod}_{namespace}\")"))
        })?;
        let mut ports = Vec::new();
        let names = ["port", "ports"];
        for port in names.iter().filter_map(|name| params.get(*name)).flatten().flat_map(|list| list.split(',')) {
            match port.parse() {
                Ok(port) if port > 0 => ports.push(port),
                _ => return Err(text(StatusCode::BAD_REQUEST, &format!("unable to parse {port:?} as a port"))),
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

    /// Answers those who asked for resource use.
    pub(crate) fn answer_stats(&mut self, now: Timestamp, result: Result<Outcome, RuntimeError>) {
        let waiting = std::mem::take(&mut self.stats_waiting);
        let stats = match result {
            Ok(Outcome::Stats(stats)) => stats,
            Ok(_) => Vec::new(),
            Err(error) => {
                for reply in waiting {
                    let _ = reply.send(text(StatusCode::INTERNAL_SERVER_ERROR, &error.message));
                }
                return;
            }
        };
        let time = format_seconds(now);
        let usage = |cpu_nanos: u64, cpu_total: u64, memory: u64| {
            json!({
                "cpu": {"time": time, "usageNanoCores": cpu_nanos, "usageCoreNanoSeconds": cpu_total},
                "memory": {"time": time, "workingSetBytes": memory, "usageBytes": memory, "rssBytes": memory},
            })
        };
        let mut node = (0, 0, 0);
        let mut pods = Vec::new();
        for slot in self.workers.values() {
            let meta = &slot.worker.pod.metadata;
            let mut sum = (0, 0, 0);
            let mut containers = Vec::new();
            for (name, container) in &slot.worker.containers {
                let Some(run) = &container.current else { continue };
                let Some(stat) = stats.iter().find(|stat| stat.container_id == run.id) else { continue };
                let one = (stat.cpu_nano_cores, stat.cpu_usage_ns, stat.memory_working_set_bytes);
                sum = (sum.0 + one.0, sum.1 + one.1, sum.2 + one.2);
                let mut entry = usage(one.0, one.1, one.2);
                merge(&mut entry, json!({"name": name, "startTime": run.started_at.map(format_seconds)}));
                containers.push(entry);
            }
            if containers.is_empty() {
                continue;
            }
            node = (node.0 + sum.0, node.1 + sum.1, node.2 + sum.2);
            let mut entry = usage(sum.0, sum.1, sum.2);
            merge(
                &mut entry,
                json!({
                    "podRef": {"name": meta.name, "namespace": meta.namespace, "uid": meta.uid},
                    "startTime": format_seconds(slot.worker.start_time),
                    "containers": containers,
                }),
            );
            pods.push(entry);
        }
        let mut summary = usage(node.0, node.1, node.2);
        merge(&mut summary, json!({"nodeName": self.config.name}));
        let body = Bytes::from(json!({"node": summary, "pods": pods}).to_string());
        for reply in waiting {
            let _ = reply.send(
                http::Response::builder()
                    .header(http::header::CONTENT_TYPE, "application/json")
                    .body(Body::Bytes(body.clone()))
                    .unwrap_or_else(|_| text(StatusCode::INTERNAL_SERVER_ERROR, "")),
            );
        }
    }
}

fn merge(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from);
    }
}

/// The run whose log is meant.
fn log_source(status: Option<&ContainerStatus>, container: &str, pod: &str, previous: bool) -> Result<String, String> {
    let not_yet = || format!("container {container:?} in pod {pod:?} is waiting to start - no logs yet");
    let status = status.ok_or_else(|| format!("container {container:?} in pod {pod:?} is not available"))?;
    let ended = |state: &Option<k8s_openapi::api::core::v1::ContainerState>| {
        state.as_ref().and_then(|state| state.terminated.as_ref()).and_then(|end| end.container_id.clone())
    };
    let last = ended(&status.last_state);
    let id = if previous {
        last.ok_or_else(|| format!("previous terminated container {container:?} in pod {pod:?} not found"))?
    } else {
        let state = status.state.as_ref();
        let running = state.and_then(|state| state.running.as_ref()).and(status.container_id.clone());
        let waiting = state.and_then(|state| state.waiting.as_ref());
        match (running.or_else(|| ended(&status.state)).or(last), waiting) {
            (Some(id), _) => id,
            (None, Some(waiting)) => {
                let why = match str(&waiting.reason) {
                    "ErrImagePull" => "image can't be pulled",
                    "ImagePullBackOff" => "trying and failing to pull image",
                    reason => reason,
                };
                return Err(format!("container {container:?} in pod {pod:?} is waiting to start: {why}"));
            }
            (None, None) => return Err(not_yet()),
        }
    };
    Ok(id.split_once("://").map_or(id.clone(), |(_, id)| id.to_string()))
}

/// How log lines are written.
struct LogFormat {
    timestamps: bool,
    only: Option<LogStream>,
    source: String,
}

impl LogFormat {
    /// Lines as the bytes of the answer, at most `limit` of them.
    fn bytes(
        self,
        lines: mpsc::Receiver<Result<LogLine, RuntimeError>>,
        limit: Option<u64>,
    ) -> impl futures::Stream<Item = Bytes> + Send {
        let mut left = limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
        lines
            .filter_map(move |line| {
                let bytes = match line {
                    Ok(line) if self.only.is_some_and(|only| only != line.stream) => None,
                    Ok(line) if self.timestamps => {
                        let mut bytes = format!("{} ", nanos(line.time)).into_bytes();
                        bytes.extend_from_slice(&line.content);
                        Some(bytes.into())
                    }
                    Ok(line) => Some(line.content),
                    Err(_) => Some(Bytes::from(format!("unable to retrieve container logs for {}", self.source))),
                };
                futures::future::ready(bytes)
            })
            .scan((), move |(), bytes: Bytes| {
                futures::future::ready(match &mut left {
                    None => Some(bytes),
                    Some(0) => None,
                    Some(left) => {
                        let part = bytes.slice(..bytes.len().min(*left));
                        *left -= part.len();
                        Some(part)
                    }
                })
            })
    }
}

/// A line's time with all its digits, as container runtimes write it.
fn nanos(time: Timestamp) -> String {
    let micros = format_micros(time);
    let rest = time.subsec_nanosecond().rem_euclid(1000);
    format!("{}{rest:03}Z", micros.trim_end_matches('Z'))
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

fn value<'a>(params: &'a Params, name: &str) -> Option<&'a str> {
    params.get(name).and_then(|values| values.first()).map(String::as_str).filter(|value| !value.is_empty())
}

fn flag(params: &Params, name: &str) -> bool {
    matches!(value(params, name), Some("true" | "1" | "True"))
}

fn number(params: &Params, name: &str) -> Result<Option<u64>, Response> {
    match value(params, name) {
        None => Ok(None),
        Some(text_value) => text_value
            .parse()
            .map(Some)
            .map_err(|_| text(StatusCode::BAD_REQUEST, &format!("invalid {name}: {text_value:?}"))),
    }
}
