//! The way of the cluster's own components to the API server: a function call, which can be cut.

use std::cell::RefCell;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use apiserver::{ApiServer, RequestInfo, UserInfo};
use client::Transport;
use futures::{FutureExt, Stream};
use http::{Method, StatusCode};
use machinery::metrics::{Family, Kind};
use machinery::status::ApiError;
use machinery::wire::{Body, Origin, Request, Response, WatchEvent, WatchStream};
use machinery::{Clock, Encoded, Metrics, Timestamp};
use sim::Executor;

use crate::control::{Hop, HopKind};
use crate::trace::{Asker, Trace};

static REQUESTS: Family = Family {
    name: "rest_client_requests_total",
    help: "[ALPHA] Number of HTTP requests, partitioned by status code, method, and host.",
    kind: Kind::Counter,
};
static DURATION: Family = Family {
    name: "rest_client_request_duration_seconds",
    help: "[ALPHA] Request latency in seconds. Broken down by verb, and host.",
    kind: Kind::Histogram(&[0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0]),
};

/// Labels of requests with this method and answer, if there was one.
type Counted = (Method, Option<StatusCode>, [String; 2]);

/// One component's line to the API server. While it is cut, requests are refused and watches end.
pub struct Line {
    component: Arc<str>,
    api: ApiServer,
    executor: Executor,
    trace: Trace,
    /// Whether this line is cut; and whether the API server is away.
    cut: [Arc<AtomicBool>; 2],
    /// Labels by which requests are counted, made once: of the count, and of the duration.
    labels: RefCell<Vec<Counted>>,
}

impl Line {
    /// A line for the component of this name.
    pub fn new(component: &str, api: ApiServer, executor: Executor, trace: Trace, cut: [Arc<AtomicBool>; 2]) -> Self {
        Self { component: component.into(), api, executor, trace, cut, labels: RefCell::default() }
    }
}

impl Line {
    /// Counts a request as client-go does, by the status of its answer and how long that took, or without one.
    fn count(&self, method: Method, status: Option<StatusCode>, began: Timestamp) {
        let (host, metrics) = (self.api.address(), self.api.component_metrics());
        let mut known = self.labels.borrow_mut();
        let place = known.iter().position(|(other, code, _)| *other == method && *code == status);
        let place = place.unwrap_or_else(|| {
            let code = status.as_ref().map_or("<error>", StatusCode::as_str);
            let counted = format!("code=\"{code}\",host=\"{host}\",method=\"{method}\"");
            let timed = format!("host=\"{host}\",verb=\"{method}\"");
            known.push((method, status, [counted, timed]));
            known.len() - 1
        });
        let Some((.., [counted, timed])) = known.get(place) else { return };
        metrics.add(&REQUESTS, counted, 1);
        if status.is_some() {
            metrics.observe_since(&DURATION, timed, began);
        }
    }
}

impl Transport for Line {
    fn metrics(&self) -> Option<&Metrics> {
        Some(self.api.component_metrics())
    }

    fn send(&self, mut request: Request) -> Response {
        let (method, metrics) = (request.method().clone(), self.api.component_metrics());
        let began = metrics.now();
        if is_cut(&self.cut) {
            self.count(method, None, began);
            return ApiError::service_unavailable("connection refused").into_response();
        }
        let uri = request.uri().clone();
        let because = request.extensions().get::<Origin>().map_or(0, |origin| origin.cause);
        request.extensions_mut().insert(UserInfo::admin());
        // Plain verbs are ready at once. What waits for somebody else, a webhook say, lets the others
        // run meanwhile, at this very instant.
        let mut answer = Box::pin(self.api.handle(request));
        let response = match answer.as_mut().now_or_never() {
            Some(response) => Some(response),
            None => self.executor.block_on(self.executor.now(), answer),
        };
        let response = response.unwrap_or_else(|| ApiError::timeout("the server did not answer", 1).into_response());
        self.count(method.clone(), Some(response.status()), began);
        // Whom it is to be told, and what it is called then.
        if !self.trace.is_watched() && !matches!(response.body(), Body::Watch(_)) {
            return response;
        }
        let call = RequestInfo::parse(&method, uri.path(), uri.query().unwrap_or_default());
        let asker = Asker { name: &self.component, because, command: None };
        self.trace.exchange(self.executor.now(), &asker, &call, &response, self.api.store().revision());
        response.map(|body| match body {
            Body::Watch(events) => Body::Watch(Box::pin(Watched {
                events,
                component: self.component.clone(),
                resource: call.resource,
                clock: self.executor.clock(),
                trace: self.trace.clone(),
                cut: self.cut.clone(),
            })),
            body => body,
        })
    }
}

/// A watch whose events are reported as they pass, and which ends when the line is cut.
struct Watched {
    events: WatchStream,
    component: Arc<str>,
    resource: String,
    clock: Arc<dyn Clock>,
    trace: Trace,
    cut: [Arc<AtomicBool>; 2],
}

fn is_cut(cut: &[Arc<AtomicBool>; 2]) -> bool {
    cut.iter().any(|cut| cut.load(Ordering::Relaxed))
}

impl Stream for Watched {
    type Item = WatchEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<WatchEvent>> {
        if is_cut(&self.cut) {
            return Poll::Ready(None);
        }
        let event = self.events.as_mut().poll_next(cx);
        if let Poll::Ready(Some(event)) = &event
            && self.trace.is_watched()
        {
            self.trace.report_with(|| Hop {
                time: self.clock.now().to_string(),
                kind: HopKind::Watch,
                from: "kube-apiserver".into(),
                to: self.component.to_string(),
                verb: event.kind.as_str().into(),
                ..described(&self.resource, &event.object)
            });
        }
        event
    }
}

/// A hop with `resource/namespace/name` and the revision, for events whose object is decoded, as those in the same
/// process mostly are.
fn described(resource: &str, object: &Encoded) -> Hop {
    let Some(object) = object.object() else { return Hop { object: resource.to_owned(), ..Hop::default() } };
    let metadata = object.metadata();
    let name = metadata.name.as_deref().unwrap_or_default();
    let address = match metadata.namespace.as_deref() {
        Some(namespace) => format!("{resource}/{namespace}/{name}"),
        None => format!("{resource}/{name}"),
    };
    let revision = metadata.resource_version.as_deref().and_then(|version| version.parse().ok());
    Hop { object: address, revision, ..Hop::default() }
}
