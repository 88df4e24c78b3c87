//! `/version`, `/healthz`, `/livez`, `/readyz`.

use bytes::Bytes;
use http::StatusCode;
use machinery::wire::{Body, Response};
use serde_json::json;

use crate::request_info::RequestInfo;
use crate::server::{ApiServer, response};

/// The version of Kubernetes this server is.
pub const GIT_VERSION: &str = "v1.37.0";

/// The checks, in the order they are listed; all pass as soon as there is a server to ask.
pub(crate) const CHECKS: &[&str] = &[
    "ping",
    "log",
    "etcd",
    "poststarthook/start-apiserver-admission-initializer",
    "poststarthook/generic-apiserver-start-informers",
    "poststarthook/priority-and-fairness-config-consumer",
    "poststarthook/start-service-ip-repair-controllers",
    "poststarthook/rbac/bootstrap-roles",
    "poststarthook/scheduling/bootstrap-system-priority-classes",
    "poststarthook/bootstrap-controller",
    "autoregister-completion",
    "poststarthook/apiservice-openapi-controller",
];

/// Answers, if the path is one of these.
pub(crate) fn answer(_: &ApiServer, info: &RequestInfo) -> Option<Response> {
    let path = info.path.trim_matches('/');
    if path == "version" {
        return Some(version());
    }
    let (check, name) = path.split_once('/').unwrap_or((path, ""));
    if !matches!(check, "healthz" | "livez" | "readyz") {
        return None;
    }
    if !name.is_empty() {
        return CHECKS.contains(&name).then(|| text("ok".into()));
    }
    if !info.query.has("verbose") {
        return Some(text("ok".into()));
    }
    let excluded = info.query.all("exclude");
    let mut report = String::new();
    for name in CHECKS {
        let outcome = if excluded.iter().any(|other| other == name) { "excluded: ok" } else { "ok" };
        report += &format!("[+]{name} {outcome}\n");
    }
    Some(text(format!("{report}{check} check passed\n")))
}

fn text(text: String) -> Response {
    response(StatusCode::OK, "text/plain; charset=utf-8", Body::Bytes(text.into()))
}

fn version() -> Response {
    let version = json!({
        "major": "1",
        "minor": "37",
        "emulationMajor": "1",
        "emulationMinor": "37",
        "minCompatibilityMajor": "1",
        "minCompatibilityMinor": "36",
        "gitVersion": GIT_VERSION,
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "2026-11-20T00:00:00Z",
        "goVersion": "none",
        "compiler": "rustc",
        "platform": "playground",
    });
    let bytes = Bytes::from(serde_json::to_vec_pretty(&version).unwrap_or_default());
    response(StatusCode::OK, "application/json", Body::Bytes(bytes))
}
