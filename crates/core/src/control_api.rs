//! Answers the control API.

use std::rc::Rc;

use bytes::Bytes;
use http::{Method, StatusCode, Uri, header};
use machinery::ObjectKey;
use machinery::status::ApiError;
use machinery::wire::{Body, Request, Response};
use serde::Serialize;

use crate::cluster::{Inner, Part};
use crate::control::{ClockPatch, ClockStatus, ComponentPatch, ComponentStatus, Fault, NodeRequest};
use crate::saved::Which;
use crate::world::Learner;

/// The control API of one cluster.
pub(crate) struct ControlPanel(Rc<Inner>);

impl ControlPanel {
    pub(crate) fn new(cluster: Rc<Inner>) -> Self {
        Self(cluster)
    }

    /// Answers one request, whose path begins with `/playground/v1/`.
    pub(crate) async fn handle(&self, request: Request) -> Response {
        if let Some((context, uri)) = of_other(&request) {
            let mut request = request;
            *request.uri_mut() = uri;
            return self.pass_on(&context, request).await;
        }
        let (parts, body) = request.into_parts();
        let query = parts.uri.query().unwrap_or_default();
        let path = parts.uri.path().trim_start_matches("/playground/v1/").trim_end_matches('/').to_owned();
        let body = body.collect().await;
        if let Some(name) = path.strip_prefix("files/").filter(|_| parts.method == Method::PUT) {
            return self.put_file(name, body);
        }
        if let Some(name) = path.strip_prefix("components/").filter(|_| parts.method == Method::PATCH) {
            return self.patch_component(name, &body);
        }
        match (&parts.method, path.as_str()) {
            (&Method::GET, "terminal") => self.terminal(),
            (&Method::GET, "clock") => json(&self.clock()),
            (&Method::PATCH, "clock") => self.patch_clock(&body),
            (&Method::POST, "clock/step") => self.step(),
            (&Method::GET, "saved") => self.save(query),
            (&Method::GET, "saved/version") => {
                json(&serde_json::json!({"version": format!("{:x}", self.0.state_version())}))
            }
            (&Method::GET, "clusters") => json(&self.0.learner.get().map(Learner::contexts).unwrap_or_default()),
            (&Method::GET, "faults") => json(&self.0.faults()),
            (&Method::POST, "faults") => self.change_faults(&body, |cluster, fault| cluster.begin(fault)),
            (&Method::DELETE, "faults") if body.is_empty() => {
                self.0.heal_all();
                json(&self.0.faults())
            }
            (&Method::DELETE, "faults") => self.change_faults(&body, |cluster, fault| cluster.heal(&fault)),
            (&Method::POST, "nodes") => self.add_node(&body),
            (&Method::DELETE, path) if path.starts_with("nodes/") => {
                match self.0.remove_node(path.trim_start_matches("nodes/")) {
                    Ok(()) => json(&serde_json::json!({})),
                    Err(error) => error.into_response(),
                }
            }
            (&Method::GET, "trace") => lines(Body::Stream(self.0.trace.subscribe())),
            (&Method::GET, "components") => json(&self.components()),
            (&Method::GET, "decisions") => json(&self.0.decisions.borrow().all()),
            (&Method::GET, path) if path.starts_with("decisions/") => self.decision(path),
            _ => ApiError::new(
                StatusCode::NOT_FOUND.as_u16(),
                "NotFound",
                "the server could not find the requested resource",
            )
            .into_response(),
        }
    }

    async fn pass_on(&self, context: &str, request: Request) -> Response {
        match self.0.learner.get().and_then(|learner| learner.api_of(context)) {
            Some(api) => api.handle(request).await,
            None => {
                ApiError::service_unavailable(format!("no cluster answers for the context {context:?}")).into_response()
            }
        }
    }

    /// The last decision about the pod of `decisions/NAMESPACE/NAME`.
    fn decision(&self, path: &str) -> Response {
        let key = path.trim_start_matches("decisions/").split_once('/');
        let key = key.map(|(namespace, name)| ObjectKey::new(namespace, name));
        match key.as_ref().and_then(|key| self.0.decisions.borrow().of(key)) {
            Some(decision) => json(&decision.to_value()),
            None => {
                ApiError::new(StatusCode::NOT_FOUND.as_u16(), "NotFound", "no decision about this pod is remembered")
                    .into_response()
            }
        }
    }

    fn save(&self, query: &str) -> Response {
        match Which::parse(query).and_then(|which| self.0.save(which)) {
            Ok(bytes) => {
                let mut response = lines(Body::Bytes(bytes.into()));
                let binary = http::HeaderValue::from_static("application/octet-stream");
                response.headers_mut().insert(header::CONTENT_TYPE, binary);
                response
            }
            Err(error) => error.into_response(),
        }
    }

    fn terminal(&self) -> Response {
        match self.0.learner.get() {
            Some(learner) => crate::world::upgraded(learner.open_terminal()),
            None => ApiError::service_unavailable("this cluster has no computer").into_response(),
        }
    }

    fn clock(&self) -> ClockStatus {
        let (speed, paused) = self.0.pace.get();
        let now = match &self.0.host_time {
            Some(host_time) => self.0.pace.cluster_time(host_time()),
            None => self.0.executor.now(),
        };
        ClockStatus { now: now.to_string(), speed, paused, adjustable: self.0.adjustable }
    }

    fn change_faults(&self, body: &Bytes, change: fn(&Inner, Fault) -> Result<(), ApiError>) -> Response {
        let fault = match serde_json::from_slice(body) {
            Ok(fault) => fault,
            Err(error) => return ApiError::bad_request(format!("cannot read the fault: {error}")).into_response(),
        };
        match change(&self.0, fault) {
            Ok(()) => json(&self.0.faults()),
            Err(error) => error.into_response(),
        }
    }

    fn add_node(&self, body: &Bytes) -> Response {
        let request = if body.is_empty() { Ok(NodeRequest::default()) } else { serde_json::from_slice(body) };
        let request = match request {
            Ok(request) => request,
            Err(error) => return ApiError::bad_request(format!("cannot read the node: {error}")).into_response(),
        };
        match self.0.join_node(request) {
            Ok(name) => json(&NodeRequest { name: Some(name) }),
            Err(error) => error.into_response(),
        }
    }

    fn patch_clock(&self, body: &Bytes) -> Response {
        let patch: ClockPatch = match serde_json::from_slice(body) {
            Ok(patch) => patch,
            Err(error) => {
                return ApiError::bad_request(format!("cannot read the clock's patch: {error}")).into_response();
            }
        };
        let Some(host_time) = self.0.host_time.clone().filter(|_| self.0.adjustable) else {
            return ApiError::bad_request("this cluster's time cannot be changed").into_response();
        };
        if let Some(speed) = patch.speed {
            if !(speed.is_finite() && speed > 0.0) {
                return ApiError::bad_request("speed must be more than 0").into_response();
            }
            self.0.pace.set_speed(speed, host_time());
        }
        if let Some(paused) = patch.paused {
            self.0.pace.set_paused(paused, host_time());
        }
        json(&self.clock())
    }

    /// Puts a file into the learner's home.
    fn put_file(&self, name: &str, text: Bytes) -> Response {
        if name.is_empty() || name.contains('/') || name.starts_with('.') {
            return ApiError::bad_request("a file needs a plain name").into_response();
        }
        let Some(learner) = self.0.learner.get() else {
            return ApiError::service_unavailable("this cluster has no computer").into_response();
        };
        match learner.put_file(name, text, self.0.executor.now()) {
            Ok(()) => json(&serde_json::json!({})),
            Err(error) => ApiError::bad_request(format!("cannot write {name}: {error}")).into_response(),
        }
    }

    fn components(&self) -> Vec<ComponentStatus> {
        let parts = self.0.parts.borrow();
        let status = |(name, part): (&String, &Part)| ComponentStatus { name: name.clone(), cut: part.is_cut() };
        parts.iter().map(status).collect()
    }

    /// Cuts a component off from the API server, or joins it again.
    fn patch_component(&self, name: &str, body: &Bytes) -> Response {
        let patch: ComponentPatch = match serde_json::from_slice(body) {
            Ok(patch) => patch,
            Err(error) => {
                return ApiError::bad_request(format!("cannot read the component's patch: {error}")).into_response();
            }
        };
        if !self.0.cut_off(name, patch.cut) {
            return ApiError::new(404, "NotFound", format!("there is no component {name}")).into_response();
        }
        json(&ComponentStatus { name: name.into(), cut: patch.cut })
    }

    /// Lets time jump to the next event. What is ready has been done: this call came after it.
    fn step(&self) -> Response {
        let Some(host_time) = self.0.host_time.clone().filter(|_| self.0.adjustable) else {
            return ApiError::bad_request("this cluster's time cannot be changed").into_response();
        };
        if let Some(next) = self.0.executor.next_timer() {
            self.0.pace.advance_to(next, host_time());
        }
        json(&self.clock())
    }
}

/// The context and the path there of a request for another cluster of the learner's computer, which comes to
/// `clusters/CONTEXT/` and that path.
fn of_other(request: &Request) -> Option<(String, Uri)> {
    let whole = request.uri().path_and_query()?.as_str();
    let (context, path) = whole.strip_prefix("/playground/v1/clusters/")?.split_once('/')?;
    Some((context.to_owned(), format!("/{path}").parse().ok()?))
}

fn json(value: &impl Serialize) -> Response {
    let mut response = lines(Body::Bytes(serde_json::to_vec(value).unwrap_or_default().into()));
    response.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    response
}

fn lines(body: Body) -> Response {
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static("application/x-ndjson"));
    response
}
