//! The server's `/containerLogs/…`: which run is meant, and how its lines are written.

use bytes::Bytes;
use futures::StreamExt;
use futures::channel::mpsc;
use http::StatusCode;
use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus};
use machinery::Timestamp;
use machinery::time::format_micros;
use machinery::wire::{Body, Response};

use crate::kubelet::Kubelet;
use crate::runtime::{LogLine, LogRequest, LogStream, RuntimeError};
use crate::server::{Params, Refusal, Target, flag, number, refusal, value};
use crate::spec;
use crate::status::pod_status;
use crate::text::str;

/// Lines on their way to a reader; more wait in the runtime.
const LINES_QUEUED_MAX: usize = 64;

impl Kubelet {
    /// A container's log.
    pub(crate) fn container_logs(
        &mut self,
        now: Timestamp,
        target: &Target<'_>,
        params: &Params,
    ) -> Result<Response, Refusal> {
        let Target { namespace, pod, container } = *target;
        let bad = |message: String| refusal(StatusCode::BAD_REQUEST, message);
        let worker = self
            .find_pod(namespace, pod)
            .ok_or_else(|| refusal(StatusCode::NOT_FOUND, format!("pod does not exist: {pod:?}")))?;
        if spec::find(&worker.pod, container).is_none() {
            let message = format!("container {container:?} not found in pod {pod:?}");
            return Err(refusal(StatusCode::NOT_FOUND, message));
        }
        let status = pod_status(worker, &self.config, &self.version.name, now);
        let statuses =
            [&status.container_statuses, &status.init_container_statuses, &status.ephemeral_container_statuses];
        let status = statuses.into_iter().flatten().flatten().find(|status| status.name == *container);
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
        let mut response = http::Response::new(Body::Stream(Box::pin(stream)));
        response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("text/plain"));
        Ok(response)
    }
}

/// The run whose log is meant.
fn log_source(status: Option<&ContainerStatus>, container: &str, pod: &str, previous: bool) -> Result<String, String> {
    let not_yet = || format!("container {container:?} in pod {pod:?} is waiting to start - no logs yet");
    let status = status.ok_or_else(|| format!("container {container:?} in pod {pod:?} is not available"))?;
    let ended = |state: &Option<ContainerState>| {
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
