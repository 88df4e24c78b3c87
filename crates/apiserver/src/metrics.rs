//! `/metrics`: what the server counts, under upstream's names, in Prometheus' text format.

use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::StatusCode;
use machinery::metrics::{head, line};
use machinery::sort::Order;
use machinery::wire::{Body, Response};

use crate::health::{CHECKS, GIT_VERSION};
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

/// Upper bounds of `apiserver_response_sizes`, in bytes.
const SIZES: [u64; 7] = [1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000];
/// Upper bounds of admission's durations, in microseconds.
const ADMISSION_US: [u64; 6] = [5_000, 25_000, 100_000, 500_000, 1_000_000, 2_500_000];
/// Upper bounds of the durations of authentication and authorization, in microseconds.
const AUTH_US: [u64; 15] = [
    1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 128_000, 256_000, 512_000, 1_024_000, 2_048_000, 4_096_000,
    8_192_000, 16_384_000,
];
/// Durations in seconds are counted in these parts.
const MICROS: f64 = 1e6;

/// What the server counts.
#[derive(Default)]
pub(crate) struct Metrics(Mutex<State>);

#[derive(Default)]
struct State {
    /// In order of their labels, each with a count for every code in order.
    requests: Vec<Counted>,
    /// Requests being answered: those that only read, and those that write.
    in_flight: [u64; 2],
    /// What authentication, authorization and admission take.
    steps: Vec<(Step, Histogram)>,
    /// The place behind that of the step counted last: one follows the other as they did before.
    next_step: usize,
}

/// Something of the chain that is timed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// Who it is: `success` or `error`.
    Authentication(&'static str),
    /// Whether he may: `allowed` or `denied`.
    Authorization(&'static str),
    /// The plugins that change, or that look.
    Admission(Admitted),
}

impl Step {
    /// Whether it is made of the very same texts.
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Authentication(one), Self::Authentication(other)) => std::ptr::eq(*one, *other),
            (Self::Authorization(one), Self::Authorization(other)) => std::ptr::eq(*one, *other),
            (Self::Admission(one), Self::Admission(other)) => {
                std::ptr::eq(one.plugin, other.plugin)
                    && std::ptr::eq(one.step, other.step)
                    && std::ptr::eq(one.operation, other.operation)
                    && one.rejected == other.rejected
            }
            _ => false,
        }
    }
}

/// What admission did.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Admitted {
    /// Which plugin; empty for all of them together.
    pub(crate) plugin: &'static str,
    /// `admit` or `validate`.
    pub(crate) step: &'static str,
    /// `CREATE` or `UPDATE`: what is deleted passes no table of plugins, and is not counted.
    pub(crate) operation: &'static str,
    /// Whether the request was refused.
    pub(crate) rejected: bool,
}

impl Admitted {
    fn labels(&self) -> String {
        let Self { step, operation, rejected, .. } = self;
        format!("operation=\"{operation}\",rejected=\"{rejected}\",type=\"{step}\"")
    }
}

/// How many were no larger than each of some bounds.
#[derive(Default)]
struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    sum: u64,
}

impl Histogram {
    fn observe(&mut self, bounds: &[u64], value: u64) {
        self.buckets.resize(bounds.len(), 0);
        let bucket = bounds.partition_point(|bound| *bound < value);
        self.buckets.get_mut(bucket).into_iter().for_each(|count| *count += 1);
        self.count += 1;
        self.sum = self.sum.saturating_add(value);
    }

    /// The series, in units of which `parts` make one.
    fn write(&self, out: &mut String, name: &str, labels: &str, bounds: &[u64], parts: f64) {
        let mut sum = 0;
        for (bound, count) in bounds.iter().zip(&self.buckets) {
            sum += count;
            let bound = machinery::go::format_float(*bound as f64 / parts);
            line(out, &format!("{name}_bucket"), &format!("{labels},le=\"{bound}\""), sum);
        }
        line(out, &format!("{name}_bucket"), &format!("{labels},le=\"+Inf\""), self.count);
        let _ = writeln!(out, "{name}_sum{{{labels}}} {}", machinery::go::format_float(self.sum as f64 / parts));
        line(out, &format!("{name}_count"), labels, self.count);
    }
}

struct Counted {
    labels: Labels,
    codes: Vec<(u16, u64)>,
    /// By bucket, the last for what takes longer than all of them.
    durations: [u64; BUCKETS_MS.len() + 1],
    total: Duration,
    /// How large the answers of reads were.
    sizes: Histogram,
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
        let verb = if is_apply { "apply" } else { known(&verbs, &info.verb) };
        let (group, version, resource) = (row.group, row.version, row.resource);
        let labels = Self { group, version, resource, subresource, verb, scope, dry_run: false };
        // What only reads is no dry run, whatever it says.
        Self { dry_run: !labels.reads() && info.query.has("dryRun"), ..labels }
    }

    /// Whether the size of the answer is counted.
    fn has_size(&self) -> bool {
        matches!(self.verb, "get" | "list")
    }

    /// Whether it is made of the very same texts.
    fn is(&self, other: &Self) -> bool {
        let texts = |it: &Self| [it.resource, it.verb, it.subresource, it.scope, it.version, it.group].map(str::as_ptr);
        texts(self) == texts(other) && self.dry_run == other.dry_run
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

    /// Parts of the chain took so long.
    pub(crate) fn steps(&self, steps: &[(Step, Duration)]) {
        let mut state = self.lock();
        for (step, duration) in steps {
            let bounds = match step {
                Step::Authentication(_) | Step::Authorization(_) => &AUTH_US[..],
                Step::Admission(_) => &ADMISSION_US,
            };
            let at = state.place_of(step);
            let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
            state.steps.get_mut(at).into_iter().for_each(|(_, histogram)| histogram.observe(bounds, micros));
        }
    }

    /// A request is answered; how long a watch lasts says nothing about the server.
    pub(crate) fn end(&self, labels: Labels, code: StatusCode, duration: Duration, body: &Body) {
        let size = match body {
            _ if !labels.has_size() => 0,
            Body::Bytes(bytes) => bytes.len(),
            Body::Object(object) => object.len_at_most(),
            Body::List(list) => list.items.iter().map(|item| item.len_at_most()).sum(),
            Body::Watch(_) | Body::Stream(_) | Body::Upgrade(_) => 0,
        };
        let mut state = self.lock();
        let counted = state.counted(labels);
        match counted.codes.binary_search_by_key(&code.as_u16(), |(code, _)| *code) {
            Ok(at) => counted.codes.get_mut(at).into_iter().for_each(|(_, count)| *count += 1),
            Err(at) => counted.codes.insert(at, (code.as_u16(), 1)),
        }
        if labels.has_size() {
            counted.sizes.observe(&SIZES, size as u64);
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
    /// Where a step is counted. It is mostly the one that came here before, too, and its texts the same ones in memory.
    fn place_of(&mut self, step: &Step) -> usize {
        let next = self.next_step;
        let at = match self.steps.get(next) {
            Some((known, _)) if known.is(step) => next,
            _ => self.steps.iter().position(|(known, _)| known == step).unwrap_or_else(|| {
                self.steps.push((*step, Histogram::default()));
                self.steps.len() - 1
            }),
        };
        self.next_step = at + 1;
        at
    }

    fn counted(&mut self, labels: Labels) -> &mut Counted {
        // Their texts are mostly the same ones in memory.
        let known = self.requests.iter().position(|counted| counted.labels.is(&labels));
        let search = || self.requests.binary_search_by(|counted| counted.labels.cmp(&labels));
        let at = match known.map_or_else(search, Ok) {
            Ok(at) => at,
            Err(at) => {
                let new = Counted {
                    labels,
                    codes: Vec::new(),
                    durations: [0; BUCKETS_MS.len() + 1],
                    total: Duration::ZERO,
                    sizes: Histogram::default(),
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

/// Answers, if the path is one of these.
pub(crate) fn answer(server: &ApiServer, info: &RequestInfo) -> Option<Response> {
    let text = match info.path.as_str() {
        "/metrics" => text(server),
        "/metrics/slis" => checks(server),
        _ => return None,
    };
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
    durations(&mut out, &state, "apiserver_request_duration_seconds", DURATION_HELP, 0);
    durations(&mut out, &state, "apiserver_request_sli_duration_seconds", SLI_HELP, SLI_BUCKETS_SKIPPED);
    head(
        &mut out,
        "apiserver_response_sizes",
        "histogram",
        "[STABLE] Response size distribution in bytes for each group, version, verb, resource, subresource, scope and component.",
    );
    for counted in state.requests.iter().filter(|counted| counted.sizes.count > 0) {
        counted.sizes.write(&mut out, "apiserver_response_sizes", &counted.labels.common(), &SIZES, 1.0);
    }
    steps(&mut out, &state);
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

const DURATION_HELP: &str = "[STABLE] Response latency distribution in seconds for each verb, dry run value, group, version, resource, subresource, scope and component.";
const SLI_HELP: &str = "[STABLE] Response latency distribution (not counting webhook duration and priority & fairness queue wait times) in seconds for each verb, group, version, resource, subresource, scope and component.";
/// The second begins with longer ones, and does not say whether something was a dry run.
const SLI_BUCKETS_SKIPPED: usize = 2;

fn durations(out: &mut String, state: &State, name: &str, help: &str, skipped: usize) {
    head(out, name, "histogram", help);
    let mut requests = state.requests.iter().filter(|counted| counted.labels.verb != "watch").peekable();
    while let Some(counted) = requests.next() {
        let (mut durations, mut total) = (counted.durations, counted.total);
        let mut labels = counted.labels.common();
        if skipped == 0 {
            labels = format!("dry_run=\"{}\",{labels}", if counted.labels.dry_run { "All" } else { "" });
        } else if let Some(dry) = requests.next_if(|next| Labels { dry_run: false, ..next.labels } == counted.labels) {
            durations.iter_mut().zip(dry.durations).for_each(|(sum, count)| *sum += count);
            total += dry.total;
        }
        let mut sum = 0;
        for (index, count) in durations.iter().enumerate() {
            sum += count;
            if index >= skipped {
                let bound = BUCKETS_MS.get(index).map(|bound| f64::from(*bound) / 1000.0);
                let bound = bound.map_or("+Inf".into(), |bound| bound.to_string());
                line(out, &format!("{name}_bucket"), &format!("{labels},le=\"{bound}\""), sum);
            }
        }
        let _ = writeln!(out, "{name}_sum{{{labels}}} {}", total.as_secs_f64());
        line(out, &format!("{name}_count"), &labels, sum);
    }
}

/// What of a step is a family of series: its name, its help, its labels, and its bounds.
type Family = (&'static str, &'static str, LabelsOf, &'static [u64]);
/// The labels of a step that is in a family.
type LabelsOf = fn(&Step) -> Option<String>;

const STEPS: [Family; 4] = [
    (
        "apiserver_admission_controller_admission_duration_seconds",
        "[STABLE] Admission controller latency histogram in seconds, identified by name and broken out for each operation and API resource and type (validate or admit).",
        |step| match step {
            Step::Admission(one) if !one.plugin.is_empty() => Some(format!("name=\"{}\",{}", one.plugin, one.labels())),
            _ => None,
        },
        &ADMISSION_US,
    ),
    (
        "apiserver_admission_step_admission_duration_seconds",
        "[STABLE] Admission sub-step latency histogram in seconds, broken out for each operation and API resource and step type (validate or admit).",
        |step| match step {
            Step::Admission(all) if all.plugin.is_empty() => Some(all.labels()),
            _ => None,
        },
        &ADMISSION_US,
    ),
    (
        "authentication_duration_seconds",
        "[ALPHA] Authentication duration in seconds broken out by result.",
        authentication,
        &AUTH_US,
    ),
    (
        "authorization_duration_seconds",
        "[ALPHA] Authorization duration in seconds broken out by result.",
        authorization,
        &AUTH_US,
    ),
];

fn authentication(step: &Step) -> Option<String> {
    let Step::Authentication(result) = step else { return None };
    Some(format!("result=\"{result}\""))
}

fn authorization(step: &Step) -> Option<String> {
    let Step::Authorization(result) = step else { return None };
    Some(format!("result=\"{result}\""))
}

/// How often steps were taken: name, help and labels.
const ATTEMPTS: [(&str, &str, LabelsOf); 2] = [
    ("authentication_attempts", "[ALPHA] Counter of authenticated attempts.", authentication),
    (
        "authorization_attempts_total",
        "[ALPHA] Counter of authorization attempts broken down by result. It can be either 'allowed', 'denied', 'no-opinion' or 'error'.",
        authorization,
    ),
];

fn steps(out: &mut String, state: &State) {
    let mut ordered: Vec<&(Step, Histogram)> = state.steps.iter().collect();
    ordered.order_by(|(one, _), (other, _)| one.cmp(other));
    for (name, help, labels, bounds) in STEPS {
        head(out, name, "histogram", help);
        for (step, histogram) in &ordered {
            labels(step).into_iter().for_each(|labels| histogram.write(out, name, &labels, bounds, MICROS));
        }
    }
    for (name, help, labels) in ATTEMPTS {
        head(out, name, "counter", help);
        for (step, histogram) in &ordered {
            labels(step).into_iter().for_each(|labels| line(out, name, &labels, histogram.count));
        }
    }
    // Upstream tells no users apart but its own, of which there are none here.
    let known = state.steps.iter().find(|(step, _)| *step == Step::Authentication("success"));
    let help = "[ALPHA] Counter of authenticated requests broken out by username.";
    head(out, "authenticated_user_requests", "counter", help);
    let count = known.map_or(0, |(_, histogram)| histogram.count);
    line(out, "authenticated_user_requests", "username=\"other\"", count);
}

/// `/metrics/slis`: the health checks, and how often they were made.
fn checks(server: &ApiServer) -> String {
    let mut out = String::new();
    let state = server.metrics().lock();
    let types = ["healthz", "livez", "readyz"].map(|kind| {
        let asked = state.requests.iter().filter(|counted| counted.labels.subresource.trim_start_matches('/') == kind);
        let healthy = asked.flat_map(|counted| &counted.codes).filter(|(code, _)| *code == 200);
        (kind, healthy.map(|(_, count)| count).sum::<u64>())
    });
    let series = |name: &str, kind: &str| format!("name=\"{name}\",type=\"{kind}\"");
    let help = "[STABLE] This metric records the result of a single healthcheck.";
    head(&mut out, "kubernetes_healthcheck", "gauge", help);
    for name in CHECKS {
        types.iter().for_each(|(kind, _)| line(&mut out, "kubernetes_healthcheck", &series(name, kind), 1));
    }
    let help = "[STABLE] This metric records the results of all healthcheck.";
    head(&mut out, "kubernetes_healthchecks_total", "counter", help);
    for name in CHECKS {
        for (kind, count) in types {
            let labels = format!("name=\"{name}\",status=\"success\",type=\"{kind}\"");
            line(&mut out, "kubernetes_healthchecks_total", &labels, count);
        }
    }
    out
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
