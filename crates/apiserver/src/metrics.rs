//! `/metrics`: what the server counts, under upstream's names, in Prometheus' text format.

use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::StatusCode;
use machinery::metrics::{head, line};
use machinery::wire::{Body, Response};

use crate::health::GIT_VERSION;
use crate::registry::{self, ResourceInfo};
use crate::request_info::RequestInfo;
use crate::server::{ApiServer, response};

const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8; escaping=values";

/// Upper bounds of `apiserver_request_duration_seconds`, in milliseconds.
const BUCKETS_MS: [u32; 23] = [
    5, 25, 50, 100, 200, 400, 600, 800, 1000, 1250, 1500, 2000, 3000, 4000, 5000, 6000, 8000, 10_000, 15_000, 20_000,
    30_000, 45_000, 60_000,
];

/// The paths of requests that are about no resource; others are counted together, so that no client
/// can make the counters many.
const PATHS: [&str; 8] = ["/api", "/apis", "/healthz", "/livez", "/metrics", "/openapi", "/readyz", "/version"];

/// What the server counts.
#[derive(Default)]
pub(crate) struct Metrics(Mutex<State>);

#[derive(Default)]
struct State {
    /// In order of their labels, each with a count for every code in order.
    requests: Vec<Counted>,
    /// Requests being answered: those that only read, and those that write.
    in_flight: [u64; 2],
}

struct Counted {
    labels: Labels,
    codes: Vec<(u16, u64)>,
    /// By bucket, the last for what takes longer than all of them.
    durations: [u64; BUCKETS_MS.len() + 1],
    total: Duration,
    /// Watches that are open.
    open: u64,
    /// What they were sent.
    events: u64,
}

/// What requests have in common that are counted together.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Labels {
    group: &'static str,
    version: &'static str,
    resource: &'static str,
    subresource: &'static str,
    verb: &'static str,
    scope: &'static str,
    dry_run: bool,
}

impl Labels {
    /// Of a request; `row` is the resource's, if it is about one.
    pub(crate) fn of(info: &RequestInfo, row: Option<&'static ResourceInfo>, is_apply: bool) -> Self {
        let Some(row) = row else {
            let path = PATHS
                .into_iter()
                .find(|path| info.path.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')));
            let (group, version, resource, scope) = ("", "", "", "");
            let verb = known(&["get", "post", "put", "patch", "delete"], &info.verb);
            return Self { group, version, resource, subresource: path.unwrap_or("/"), verb, scope, dry_run: false };
        };
        let verbs = ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"];
        let subresource = row.subresource(&info.subresource).map_or("", |row| row.name);
        let scope = match (info.name.is_empty(), info.namespace.is_empty()) {
            (false, _) => "resource",
            (true, false) => "namespace",
            (true, true) if info.verb == "create" => "resource",
            (true, true) => "cluster",
        };
        Self {
            group: row.group,
            version: row.version,
            resource: row.resource,
            subresource,
            verb: if is_apply { "apply" } else { known(&verbs, &info.verb) },
            scope,
            dry_run: info.query.has("dryRun"),
        }
    }

    /// Whether the request only reads.
    fn reads(&self) -> bool {
        matches!(self.verb, "get" | "list" | "watch")
    }

    fn verb(&self) -> &'static str {
        match self.verb {
            "get" => "GET",
            "list" => "LIST",
            "watch" => "WATCH",
            "create" | "post" => "POST",
            "update" | "put" => "PUT",
            "patch" => "PATCH",
            "apply" => "APPLY",
            "delete" => "DELETE",
            "deletecollection" => "DELETECOLLECTION",
            _ => "OTHER",
        }
    }

    /// The labels all series of requests have.
    fn common(&self) -> String {
        let Self { group, version, resource, subresource, scope, .. } = self;
        let verb = self.verb();
        format!(
            "component=\"apiserver\",group=\"{group}\",resource=\"{resource}\",scope=\"{scope}\",subresource=\"{subresource}\",verb=\"{verb}\",version=\"{version}\""
        )
    }
}

/// A request that is being answered.
pub(crate) struct InFlight<'a> {
    metrics: &'a Metrics,
    labels: Labels,
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        if let Some(count) = self.metrics.lock().in_flight.get_mut(usize::from(!self.labels.reads())) {
            *count = count.saturating_sub(1);
        }
    }
}

fn known(words: &[&'static str], word: &str) -> &'static str {
    words.iter().find(|known| **known == word).copied().unwrap_or("other")
}

impl Metrics {
    /// A request comes in: it is in flight until it is answered or given up, which drops what this gives.
    pub(crate) fn begin(&self, labels: Labels) -> InFlight<'_> {
        if let Some(count) = self.lock().in_flight.get_mut(usize::from(!labels.reads())) {
            *count += 1;
        }
        InFlight { metrics: self, labels }
    }

    /// A request is answered; how long a watch lasts says nothing about the server.
    pub(crate) fn end(&self, labels: Labels, code: StatusCode, duration: Duration) {
        let mut state = self.lock();
        let counted = state.counted(labels);
        match counted.codes.binary_search_by_key(&code.as_u16(), |(code, _)| *code) {
            Ok(at) => counted.codes.get_mut(at).into_iter().for_each(|(_, count)| *count += 1),
            Err(at) => counted.codes.insert(at, (code.as_u16(), 1)),
        }
        if labels.verb != "watch" {
            let bucket = BUCKETS_MS.partition_point(|bound| Duration::from_millis((*bound).into()) < duration);
            counted.durations.get_mut(bucket).into_iter().for_each(|count| *count += 1);
            counted.total += duration;
        }
    }

    /// A watch is opened, or ends.
    pub(crate) fn watching(&self, labels: Labels, opened: bool) {
        let mut state = self.lock();
        let open = &mut state.counted(labels).open;
        *open = if opened { *open + 1 } else { open.saturating_sub(1) };
    }

    /// A watch sent so many events.
    pub(crate) fn sent(&self, labels: Labels, events: u64) {
        self.lock().counted(labels).events += events;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn counted(&mut self, labels: Labels) -> &mut Counted {
        let at = match self.requests.binary_search_by(|counted| counted.labels.cmp(&labels)) {
            Ok(at) => at,
            Err(at) => {
                let new = Counted {
                    labels,
                    codes: Vec::new(),
                    durations: [0; BUCKETS_MS.len() + 1],
                    total: Duration::ZERO,
                    open: 0,
                    events: 0,
                };
                self.requests.insert(at, new);
                at
            }
        };
        &mut self.requests[at]
    }
}

/// Answers, if the path is this one.
pub(crate) fn answer(server: &ApiServer, info: &RequestInfo) -> Option<Response> {
    let text = (info.path == "/metrics").then(|| text(server))?;
    Some(response(StatusCode::OK, CONTENT_TYPE, Body::Bytes(text.into())))
}

fn text(server: &ApiServer) -> String {
    let mut out = String::new();
    let state = server.metrics().lock();
    head(
        &mut out,
        "apiserver_current_inflight_requests",
        "gauge",
        "[STABLE] Maximal number of currently used inflight request limit of this apiserver per request kind in last second.",
    );
    for (kind, count) in ["readOnly", "mutating"].iter().zip(state.in_flight) {
        line(&mut out, "apiserver_current_inflight_requests", &format!("request_kind=\"{kind}\""), count);
    }
    head(
        &mut out,
        "apiserver_longrunning_requests",
        "gauge",
        "[STABLE] Gauge of all active long-running apiserver requests broken out by verb, group, version, resource, scope and component. Not all requests are tracked this way.",
    );
    for counted in state.requests.iter().filter(|counted| counted.labels.verb == "watch") {
        line(&mut out, "apiserver_longrunning_requests", &counted.labels.common(), counted.open);
    }
    durations(&mut out, &state);
    head(
        &mut out,
        "apiserver_request_total",
        "counter",
        "[STABLE] Counter of apiserver requests broken out for each verb, dry run value, group, version, resource, scope, component, and HTTP response code.",
    );
    for counted in &state.requests {
        let dry_run = if counted.labels.dry_run { "All" } else { "" };
        for (code, count) in &counted.codes {
            let labels = format!("code=\"{code}\",dry_run=\"{dry_run}\",{}", counted.labels.common());
            line(&mut out, "apiserver_request_total", &labels, *count);
        }
    }
    deprecated(&mut out, &state);
    watch_events(&mut out, &state);
    drop(state);
    objects(&mut out, server);
    head(
        &mut out,
        "kubernetes_build_info",
        "gauge",
        "[BETA] A metric with a constant '1' value labeled by major, minor, git version, git commit, git tree state, build date, Go version, and compiler from which Kubernetes was built, and platform on which it is running.",
    );
    let labels = format!("compiler=\"rustc\",git_version=\"{GIT_VERSION}\",major=\"1\",minor=\"37\"");
    line(&mut out, "kubernetes_build_info", &labels, 1);
    server.component_metrics().write(&mut out);
    out
}

fn durations(out: &mut String, state: &State) {
    const NAME: &str = "apiserver_request_duration_seconds";
    head(
        out,
        NAME,
        "histogram",
        "[STABLE] Response latency distribution in seconds for each verb, dry run value, group, version, resource, subresource, scope and component.",
    );
    for counted in state.requests.iter().filter(|counted| counted.labels.verb != "watch") {
        let dry_run = if counted.labels.dry_run { "All" } else { "" };
        let labels = format!("dry_run=\"{dry_run}\",{}", counted.labels.common());
        let mut sum = 0;
        for (index, count) in counted.durations.iter().enumerate() {
            sum += count;
            let bound = BUCKETS_MS.get(index).map(|bound| f64::from(*bound) / 1000.0);
            let bound = bound.map_or("+Inf".into(), |bound| bound.to_string());
            line(out, &format!("{NAME}_bucket"), &format!("{labels},le=\"{bound}\""), sum);
        }
        let _ = writeln!(out, "{NAME}_sum{{{labels}}} {}", counted.total.as_secs_f64());
        line(out, &format!("{NAME}_count"), &labels, sum);
    }
}

/// How many events of each resource were sent, whatever part of it was watched.
fn watch_events(out: &mut String, state: &State) {
    const NAME: &str = "apiserver_watch_events_total";
    head(out, NAME, "counter", "[ALPHA] Number of events sent in watch clients");
    let mut sums: Vec<(String, u64)> = Vec::new();
    for counted in state.requests.iter().filter(|counted| counted.labels.verb == "watch") {
        let Labels { group, version, resource, .. } = counted.labels;
        let labels = format!("group=\"{group}\",resource=\"{resource}\",version=\"{version}\"");
        match sums.last_mut().filter(|(last, _)| *last == labels) {
            Some((_, sum)) => *sum += counted.events,
            None => sums.push((labels, counted.events)),
        }
    }
    sums.iter().for_each(|(labels, sum)| line(out, NAME, labels, *sum));
}

/// Which deprecated versions have been asked for; none of them has a release in which it ends.
fn deprecated(out: &mut String, state: &State) {
    const NAME: &str = "apiserver_requested_deprecated_apis";
    let help = "[STABLE] Gauge of deprecated APIs that have been requested, broken out by API group, version, resource, subresource, and removed_release.";
    head(out, NAME, "gauge", help);
    let mut lines: Vec<String> = Vec::new();
    for Labels { group, version, resource, subresource, .. } in state.requests.iter().map(|counted| counted.labels) {
        if registry::by_resource(group, version, resource).is_some_and(|row| row.deprecation.is_some()) {
            lines.push(format!("group=\"{group}\",removed_release=\"\",resource=\"{resource}\",subresource=\"{subresource}\",version=\"{version}\""));
        }
    }
    lines.dedup();
    lines.iter().for_each(|labels| line(out, NAME, labels, 1));
}

/// How many objects of each resource are stored.
fn objects(out: &mut String, server: &ApiServer) {
    const NAME: &str = "apiserver_storage_objects";
    const BY_GROUP: &str = "apiserver_resource_objects";
    let snapshot = server.store().snapshot();
    // Events are one store under two groups, and versions of a group share theirs.
    let mut counted: Vec<(&ResourceInfo, usize)> = Vec::new();
    for row in registry::all().filter(|row| row.is_stored()) {
        if !counted.iter().any(|(other, _)| other.storage_prefix == row.storage_prefix) {
            counted.push((row, snapshot.range(&format!("{}/", row.storage_prefix), "").count()));
        }
    }
    let help = "Number of stored objects at the time of last check split by kind. In case of a fetching error, the value will be -1.";
    head(out, BY_GROUP, "gauge", &format!("[ALPHA] {help}"));
    for (row, count) in &counted {
        let labels = format!("group=\"{}\",resource=\"{}\"", row.group, row.resource);
        line(out, BY_GROUP, &labels, *count as u64);
    }
    head(out, NAME, "gauge", &format!("[STABLE] (Deprecated since 1.34.0) {help}"));
    for (row, count) in &counted {
        line(out, NAME, &format!("resource=\"{}\"", row.group_resource()), *count as u64);
    }
}
