//! HorizontalPodAutoscalers: as many pods as their metrics ask for, within what their behaviour allows
//! (`pkg/controller/podautoscaler`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use client::{ApiResource, Client, Context, Event, EventRecorder, EventType, Informer, Patch, key_of};
use k8s_openapi::api::autoscaling::v2::{
    ContainerResourceMetricStatus, HPAScalingRules, HorizontalPodAutoscaler, HorizontalPodAutoscalerCondition,
    HorizontalPodAutoscalerStatus, MetricSpec, MetricStatus, MetricTarget, MetricValueStatus, ResourceMetricStatus,
};
use k8s_openapi::api::core::v1::{Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use machinery::labels::Selector;
use machinery::quantity::Quantity;
use machinery::status::ApiError;
use machinery::time::{after, meta_time, parse_duration, since};
use machinery::{GroupVersionKind, ObjectKey, Timestamp};
use serde_json::{Value, json};

use crate::controller::{Controller, Queue};
use crate::{Setup, pods};

/// How often each autoscaler looks.
const PERIOD: Duration = Duration::from_secs(15);
/// Ratios this close to 1, in thousandths, change nothing where the behaviour does not say how close.
const TOLERANCE: i128 = 100;
/// A pod's processor use says nothing for so long after its start.
const CPU_INITIALIZATION: Duration = Duration::from_secs(5 * 60);
/// A pod that was never ready for so long is still starting.
const READINESS_DELAY: Duration = Duration::from_secs(30);
/// How long the highest recommendation counts before fewer pods are wanted, unless said otherwise.
const STABILIZATION_DOWN: i32 = 300;

/// The controller of HorizontalPodAutoscalers.
pub struct HorizontalPodAutoscalerController {
    client: Client,
    recorder: EventRecorder,
    autoscalers: Informer<HorizontalPodAutoscaler>,
    pods: Informer<Pod>,
    memories: BTreeMap<ObjectKey, Memory>,
}

/// What is remembered of an autoscaler's past.
#[derive(Default)]
struct Memory {
    recommendations: Vec<(Timestamp, i32)>,
    /// How many pods were added and removed when.
    ups: Vec<(Timestamp, i32)>,
    downs: Vec<(Timestamp, i32)>,
}

/// What a scale subresource says.
struct Scale {
    path: String,
    spec: i32,
    selector: Selector,
}

/// What one metric asks for.
struct Proposal {
    replicas: i32,
    status: MetricStatus,
    /// The metric by its name in conditions and events.
    name: String,
}

/// What was measured of one pod.
struct Measured {
    /// When the measurement ended, and how long it took.
    time: Option<Timestamp>,
    window: Duration,
    /// Use by container: thousandths of a core or of bytes.
    containers: BTreeMap<String, i64>,
}

type Pods = Vec<Arc<Pod>>;

impl HorizontalPodAutoscalerController {
    /// From the process's informers.
    pub fn new(setup: &Setup, client: &Client) -> Self {
        Self {
            client: client.clone(),
            recorder: EventRecorder::new(client.clone(), "horizontal-pod-autoscaler", ""),
            autoscalers: setup.informers.informer(),
            pods: setup.informers.informer(),
            memories: BTreeMap::new(),
        }
    }

    fn scale(&self, autoscaler: &HorizontalPodAutoscaler) -> Result<Scale, ApiError> {
        let target = &autoscaler.spec.scale_target_ref;
        let wanted = GroupVersionKind::from_api_version(target.api_version.as_deref().unwrap_or("v1"), &target.kind);
        let resources = self.client.preferred_resources()?;
        let of_kind = |it: &&ApiResource| it.kind == wanted.kind && it.resource.group == wanted.group;
        let resource = resources.iter().find(of_kind).ok_or_else(|| {
            ApiError::internal(format!("no matches for kind {:?} in group {:?}", wanted.kind, wanted.group))
        })?;
        let path = resource.path(pods::namespace(autoscaler), &target.name, "scale");
        let scale = self.client.get_path(&path)?;
        let number = |pointer: &str| {
            scale.pointer(pointer).and_then(Value::as_i64).and_then(|it| i32::try_from(it).ok()).unwrap_or(0)
        };
        let selector = scale.pointer("/status/selector").and_then(Value::as_str).unwrap_or_default();
        if selector.is_empty() {
            return Err(ApiError::internal("selector is required"));
        }
        let selector = Selector::parse(selector).map_err(|error| ApiError::internal(error.0))?;
        Ok(Scale { path, spec: number("/spec/replicas"), selector })
    }

    /// What the metrics server says of the pods, by pod.
    fn usage(&self, namespace: &str, resource: &str) -> Result<BTreeMap<String, Measured>, ApiError> {
        let path = format!("/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods");
        let list = self.client.get_path(&path)?;
        let mut usage = BTreeMap::new();
        for pod in list["items"].as_array().into_iter().flatten() {
            let containers = pod["containers"].as_array().into_iter().flatten().filter_map(|container| {
                let amount = container["usage"][resource].as_str()?;
                let amount = Quantity::try_from(&Text(amount.to_owned())).ok()?.milli_value();
                Some((container["name"].as_str()?.to_owned(), amount))
            });
            let measured = Measured {
                time: pod["timestamp"].as_str().and_then(|time| time.parse().ok()),
                window: pod["window"].as_str().and_then(|it| parse_duration(it).ok()).unwrap_or_default(),
                containers: containers.collect(),
            };
            usage.insert(pod["metadata"]["name"].as_str().unwrap_or_default().to_owned(), measured);
        }
        Ok(usage)
    }

    /// How many replicas a metric of the pods' resources asks for.
    fn propose(
        &self,
        namespace: &str,
        metric: &MetricSpec,
        (scale, pods, tolerance): (&Scale, &Pods, Tolerance),
        now: Timestamp,
    ) -> Result<Proposal, (&'static str, String)> {
        let (resource, container, target) = match (&metric.resource, &metric.container_resource) {
            (Some(it), _) => (it.name.as_str(), None, &it.target),
            (None, Some(it)) => (it.name.as_str(), Some(it.container.as_str()), &it.target),
            (None, None) => return Err(unserved(namespace, metric)),
        };
        let reason = if container.is_some() { "FailedGetContainerResourceMetric" } else { "FailedGetResourceMetric" };
        let failed = |message: String| (reason, message);
        let unreadable = |error: ApiError| {
            failed(format!(
                "failed to get {resource} utilization: unable to get metrics for resource {resource}: {error}"
            ))
        };
        let usage = self.usage(namespace, resource).map_err(unreadable)?;
        let of_pod = |pod: &Pod| {
            let measured = usage.get(pods::name(pod)).filter(|measured| !measured.containers.is_empty())?;
            let amount = match container {
                Some(name) => measured.containers.get(name).copied(),
                None => Some(measured.containers.values().fold(0, |sum: i64, it| sum.saturating_add(*it))),
            };
            Some((amount?, measured))
        };
        let sample = Sample::take(pods, resource, of_pod, now);
        if sample.measured.is_empty() {
            return Err(failed(format!(
                "failed to get {resource} utilization: did not receive metrics for targeted pods (pods might be unready)"
            )));
        }
        let mut wanted = Wanted::of(target, pods, resource, container).map_err(failed)?;
        wanted.tolerance = tolerance;
        let (replicas, current) = sample
            .replicas(&wanted, scale.spec)
            .map_err(|error| failed(format!("failed to get {resource} utilization: {error}")))?;
        let current = MetricValueStatus {
            average_utilization: wanted.requests.as_ref().map(|_| i32::try_from(current.0).unwrap_or(i32::MAX)),
            average_value: Some(Text(milli(current.1))),
            value: None,
        };
        let kind = if wanted.requests.is_some() { "utilization (percentage of request)" } else { "" };
        let mut status = MetricStatus { type_: metric.type_.clone(), ..MetricStatus::default() };
        let name = match container {
            Some(container) => {
                status.container_resource =
                    Some(ContainerResourceMetricStatus { container: container.into(), current, name: resource.into() });
                format!("{resource} container resource {kind}")
            }
            None => {
                status.resource = Some(ResourceMetricStatus { current, name: resource.into() });
                format!("{resource} resource {kind}")
            }
        };
        Ok(Proposal { replicas, status, name: name.trim_end().into() })
    }
}

/// Why a metric cannot be had whose API nothing serves here: a cluster without adapter says the same.
fn unserved(namespace: &str, metric: &MetricSpec) -> (&'static str, String) {
    const CUSTOM: &str = "unable to fetch metrics from custom metrics API: \
                          no custom metrics API (custom.metrics.k8s.io) registered";
    if let Some(it) = &metric.pods {
        return ("FailedGetPodsMetric", format!("unable to get metric {}: {CUSTOM}", it.metric.name));
    }
    if let Some(it) = &metric.object {
        let (name, object) = (&it.metric.name, &it.described_object);
        let on = format!("{} on {namespace} {}", object.kind, object.name);
        return ("FailedGetObjectMetric", format!("unable to get metric {name}: {on}/{CUSTOM}"));
    }
    let wanted = metric.external.as_ref().map(|it| &it.metric);
    let name = wanted.map(|it| it.name.as_str()).unwrap_or_default();
    let selector = go_selector(wanted.and_then(|it| it.selector.as_ref()));
    let why = "unable to fetch metrics from external metrics API: the server could not find the requested resource";
    let message = format!(
        "unable to get external metric {namespace}/{name}/{selector}: {why} (get {name}.external.metrics.k8s.io)"
    );
    ("FailedGetExternalMetric", message)
}

/// A selector as Go's `%+v` writes a pointer to one.
fn go_selector(selector: Option<&LabelSelector>) -> String {
    let Some(selector) = selector else { return "nil".into() };
    let labels = selector.match_labels.iter().flatten().map(|(name, value)| format!("{name}: {value},"));
    let expressions = selector.match_expressions.iter().flatten().map(|it| {
        let values = it.values.as_deref().unwrap_or_default().join(" ");
        format!("LabelSelectorRequirement{{Key:{},Operator:{},Values:[{values}],}},", it.key, it.operator)
    });
    format!(
        "&LabelSelector{{MatchLabels:map[string]string{{{}}},MatchExpressions:[]LabelSelectorRequirement{{{}}},}}",
        labels.collect::<String>(),
        expressions.collect::<String>()
    )
}

/// A metric as the error names it that failed to be had (upstream computeReplicasForMetric).
fn described(metric: &MetricSpec) -> String {
    match (&metric.resource, &metric.container_resource, &metric.external) {
        (Some(it), ..) => format!("{} resource", it.name),
        (_, Some(it), _) => format!("{} container", it.container),
        (.., Some(it)) => format!("{} external", it.metric.name),
        _ if metric.object.is_some() => "object".into(),
        _ => "pods".into(),
    }
}

/// A quantity from thousandths.
fn milli(thousandths: i64) -> String {
    if thousandths % 1000 == 0 { (thousandths / 1000).to_string() } else { format!("{thousandths}m") }
}

/// What a metric is compared with.
struct Wanted {
    /// Per cent of the requests, or thousandths for each pod.
    target: i64,
    /// Requests by pod, where the target is a share of them.
    requests: Option<BTreeMap<String, i64>>,
    tolerance: Tolerance,
}

/// How far below and above 1, in thousandths, a ratio changes nothing.
type Tolerance = [i128; 2];

impl Wanted {
    fn of(target: &MetricTarget, pods: &Pods, resource: &str, container: Option<&str>) -> Result<Self, String> {
        if let Some(value) = &target.average_value {
            let value = Quantity::try_from(value).map(|it| it.milli_value()).unwrap_or(0);
            return Ok(Self { target: value.max(1), requests: None, tolerance: [TOLERANCE; 2] });
        }
        let utilization = i64::from(target.average_utilization.unwrap_or(80)).max(1);
        let mut requests = BTreeMap::new();
        for pod in pods {
            let Some(spec) = &pod.spec else { continue };
            let sum = requested(spec, resource, container).map_err(|container| {
                format!(
                    "failed to get {resource} utilization: missing request for {resource} in container {container} of Pod {}",
                    pods::name(&**pod)
                )
            })?;
            requests.insert(pods::name(&**pod).to_owned(), sum);
        }
        Ok(Self { target: utilization, requests: Some(requests), tolerance: [TOLERANCE; 2] })
    }
}

/// What a pod, or one of its containers, requests, in thousandths; else the container that does not.
fn requested(spec: &PodSpec, resource: &str, container: Option<&str>) -> Result<i64, String> {
    let sidecars = spec.init_containers.iter().flatten().filter(|it| it.restart_policy.as_deref() == Some("Always"));
    let counted = spec.containers.iter().chain(sidecars).filter(|it| container.is_none_or(|name| it.name == name));
    let mut sum = 0_i64;
    for container in counted {
        let requests = container.resources.as_ref().and_then(|it| it.requests.as_ref());
        let quantity = requests.and_then(|it| Quantity::try_from(it.get(resource)?).ok());
        sum = sum.saturating_add(quantity.ok_or_else(|| container.name.clone())?.milli_value());
    }
    Ok(sum)
}

/// Pods by what is known of them (upstream groupPods).
#[derive(Default)]
struct Sample {
    /// Use by pod, of those that count.
    measured: BTreeMap<String, i64>,
    /// Pods that are starting: they count for nothing yet.
    unready: Vec<String>,
    /// Pods without measurement.
    missing: Vec<String>,
}

impl Sample {
    fn take<'a>(
        pods: &Pods,
        resource: &str,
        of_pod: impl Fn(&Pod) -> Option<(i64, &'a Measured)>,
        now: Timestamp,
    ) -> Self {
        let mut sample = Self::default();
        for pod in pods.iter().filter(|pod| pods::is_active(pod)) {
            let name = pods::name(&**pod).to_owned();
            match of_pod(pod) {
                _ if pods::phase(pod) == "Pending" => sample.unready.push(name),
                None => sample.missing.push(name),
                Some((_, measured)) if resource == "cpu" && is_starting(pod, measured, now) => {
                    sample.unready.push(name);
                }
                Some((amount, _)) => _ = sample.measured.insert(name, amount),
            }
        }
        sample
    }

    /// The replicas wanted, and the present utilization and average value (upstream GetResourceReplicas
    /// and GetRawResourceReplicas).
    fn replicas(&self, wanted: &Wanted, current: i32) -> Result<(i32, (i64, i64)), String> {
        let mut measured = self.measured.clone();
        let (first, present) = wanted.ratio(&measured)?;
        if self.missing.is_empty() && (self.unready.is_empty() || !first.grows()) {
            let replicas = if first.is_near() { current } else { first.of(measured.len()) };
            return Ok((replicas, present));
        }
        // What is not known counts against the change: as all that is wanted when shrinking, as nothing
        // when growing.
        for name in &self.missing {
            if first.shrinks() {
                measured.insert(name.clone(), wanted.whole(name));
            } else if first.grows() {
                measured.insert(name.clone(), 0);
            }
        }
        if first.grows() {
            measured.extend(self.unready.iter().map(|name| (name.clone(), 0)));
        }
        let (second, _) = wanted.ratio(&measured)?;
        let replicas = second.of(measured.len());
        let turns = first.shrinks() && second.grows() || first.grows() && second.shrinks();
        let contradicts = second.shrinks() && replicas > current || second.grows() && replicas < current;
        Ok((if second.is_near() || turns || contradicts { current } else { replicas }, present))
    }
}

/// What is used of what is wanted.
#[derive(Clone, Copy)]
struct Ratio {
    used: i128,
    /// Above 0.
    wanted: i128,
    tolerance: Tolerance,
}

impl Ratio {
    fn grows(self) -> bool {
        self.used > self.wanted
    }

    fn shrinks(self) -> bool {
        self.used < self.wanted
    }

    /// Whether it is too close to 1 to change anything.
    fn is_near(self) -> bool {
        let [below, above] = self.tolerance;
        let difference = (self.used - self.wanted).saturating_mul(1000);
        difference >= -self.wanted.saturating_mul(below) && difference <= self.wanted.saturating_mul(above)
    }

    /// So many times this many, rounded up.
    fn of(self, pods: usize) -> i32 {
        let exact = self.used.saturating_mul(i128::try_from(pods).unwrap_or(i128::MAX));
        i32::try_from((exact + self.wanted - 1).div_euclid(self.wanted)).unwrap_or(i32::MAX)
    }
}

impl Wanted {
    /// How what is measured compares, and the present utilization, in whole per cent, and average value
    /// (upstream metrics.GetResourceUtilizationRatio and GetMetricUsageRatio).
    fn ratio(&self, measured: &BTreeMap<String, i64>) -> Result<(Ratio, (i64, i64)), String> {
        let request = |name: &String| self.requests.as_ref().map_or(Some(0), |it| it.get(name).copied());
        let known = measured.iter().filter_map(|(name, used)| Some((i128::from(*used), i128::from(request(name)?))));
        let (mut used, mut requested, mut pods) = (0, 0, 0);
        for (use_, request) in known {
            (used, requested, pods) = (used + use_, requested + request, pods + 1);
        }
        let number = |number: i128| i64::try_from(number).unwrap_or(i64::MAX);
        let average = used / pods.max(1);
        if self.requests.is_none() {
            return Ok((
                Ratio { used: average, wanted: self.target.into(), tolerance: self.tolerance },
                (0, number(average)),
            ));
        }
        if requested == 0 {
            return Err("no metrics returned matched known pods".into());
        }
        let utilization = used * 100 / requested;
        Ok((
            Ratio { used: utilization, wanted: self.target.into(), tolerance: self.tolerance },
            (number(utilization), number(average)),
        ))
    }

    /// What a pod of which nothing is known is taken to use when there may be too many: all that it
    /// requests, or what is wanted where that is more.
    fn whole(&self, pod: &str) -> i64 {
        let Some(requests) = &self.requests else { return self.target };
        let request = i128::from(requests.get(pod).copied().unwrap_or(0));
        i64::try_from(request * i128::from(self.target.max(100)) / 100).unwrap_or(i64::MAX)
    }
}

/// Whether the pod's processor use is that of its start.
fn is_starting(pod: &Pod, measured: &Measured, now: Timestamp) -> bool {
    let started = pod.status.as_ref().and_then(|status| status.start_time.as_ref());
    let (Some(started), Some(ready_since)) = (started.map(|time| time.0), pods::condition(pod, "Ready")) else {
        return true;
    };
    let changed = ready_since.last_transition_time.as_ref().map_or(started, |time| time.0);
    let ready = ready_since.status == "True";
    if after(started, CPU_INITIALIZATION) > now {
        // In its first minutes it counts once it is ready, measured from then on.
        !ready || measured.time.is_some_and(|time| time < after(changed, measured.window))
    } else {
        !ready && after(started, READINESS_DELAY) > changed
    }
}

impl Memory {
    /// The first recommendation is what there is, so that nothing shrinks just because this process is
    /// new (upstream recordInitialRecommendation).
    fn begin(&mut self, current: i32, now: Timestamp) {
        if self.recommendations.is_empty() {
            self.recommendations.push((now, current));
        }
    }

    /// Holds a change back by the windows, in seconds (upstream stabilizeRecommendation, and
    /// stabilizeRecommendationWithBehaviors).
    fn stabilize(&mut self, (up, down): (i32, i32), current: i32, wanted: i32, now: Timestamp) -> (i32, &'static str) {
        let window = |seconds: i32| Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
        let within = |seconds: i32| {
            let recent = self.recommendations.iter().filter(move |(time, _)| since(*time, now) < window(seconds));
            recent.map(|(_, wanted)| *wanted)
        };
        let least = within(up).min().unwrap_or(wanted).min(wanted);
        let most = within(down).max().unwrap_or(wanted).max(wanted);
        let longest = window(up.max(down));
        self.recommendations.retain(|(time, _)| since(*time, now) < longest);
        self.recommendations.push((now, wanted));
        let stable = current.max(least).min(most);
        let reason = match stable {
            _ if stable == wanted => "ReadyForNewScale",
            _ if wanted >= current => "ScaleUpStabilized",
            _ => "ScaleDownStabilized",
        };
        (stable, reason)
    }
}

/// How far the number may go up at once where no behaviour is stated (upstream calculateScaleUpLimit).
fn default_limit(current: i32) -> i32 {
    current.saturating_mul(2).max(4)
}

/// How far a direction's policies let the number go (upstream calculateScaleUpLimitWithScalingRules).
fn limit(rules: &Rules, memory: &Memory, current: i32, up: bool, now: Timestamp) -> i32 {
    if rules.select == "Disabled" {
        return current;
    }
    let limits = rules.policies.iter().map(|(kind, value, seconds)| {
        let period = Duration::from_secs(u64::try_from(*seconds).unwrap_or(0));
        let within = |events: &[(Timestamp, i32)]| -> i64 {
            events.iter().filter(|(time, _)| since(*time, now) < period).map(|(_, count)| i64::from(*count)).sum()
        };
        let start = i64::from(current) - within(&memory.ups) + within(&memory.downs);
        let value = i64::from(*value);
        match (kind.as_str(), up) {
            ("Pods", true) => start.saturating_add(value),
            ("Pods", false) => start.saturating_sub(value),
            (_, true) => start.saturating_mul(100 + value).saturating_add(99).div_euclid(100),
            (_, false) => start.saturating_mul(100 - value).div_euclid(100),
        }
    });
    let widest = (rules.select == "Max") == up;
    let limit = if widest { limits.max() } else { limits.min() };
    let limit = limit.map_or(current, |it| i32::try_from(it).unwrap_or(if it < 0 { 0 } else { i32::MAX }));
    if up { limit.max(current) } else { limit.clamp(0, current.max(0)) }
}

/// A direction's behaviour with its defaults.
struct Rules {
    select: String,
    window: i32,
    /// In thousandths.
    tolerance: i128,
    /// Type, value, period in seconds.
    policies: Vec<(String, i32, i32)>,
}

fn rules(stated: Option<&HPAScalingRules>, up: bool) -> Rules {
    let default: &[(&str, i32, i32)] =
        if up { &[("Pods", 4, 15), ("Percent", 100, 15)] } else { &[("Percent", 100, 15)] };
    let policies = stated.and_then(|it| it.policies.as_ref()).filter(|it| !it.is_empty());
    Rules {
        select: stated.and_then(|it| it.select_policy.clone()).unwrap_or_else(|| "Max".into()),
        tolerance: stated
            .and_then(|it| Quantity::try_from(it.tolerance.as_ref()?).ok())
            .map_or(TOLERANCE, |tolerance| tolerance.milli_value().into()),
        window: stated.and_then(|it| it.stabilization_window_seconds).unwrap_or(if up {
            0
        } else {
            STABILIZATION_DOWN
        }),
        policies: match policies {
            Some(policies) => policies.iter().map(|it| (it.type_.clone(), it.value, it.period_seconds)).collect(),
            None => default.iter().map(|(kind, value, period)| ((*kind).to_owned(), *value, *period)).collect(),
        },
    }
}

impl Controller for HorizontalPodAutoscalerController {
    type Key = ObjectKey;

    fn observe(&mut self, cx: &mut Context<'_>, queue: &mut Queue) {
        for event in self.autoscalers.poll(cx) {
            let key = key_of(&**event.object());
            match &event {
                Event::Updated { old, new } if old.spec == new.spec => {}
                Event::Deleted(_) => _ = self.memories.remove(&key),
                _ => queue.add_for(key, &**event.object()),
            }
        }
        self.pods.poll(cx);
    }

    fn synced(&self) -> bool {
        self.autoscalers.synced() && self.pods.synced()
    }

    fn sync(&mut self, key: &ObjectKey, queue: &mut Queue) -> Result<(), ApiError> {
        let Some(autoscaler) = self.autoscalers.get(key) else { return Ok(()) };
        queue.add_after(key.clone(), PERIOD);
        let now = queue.now();
        let mut status = autoscaler.status.clone().unwrap_or_default();
        status.observed_generation = autoscaler.metadata.generation;
        let outcome = self.reconcile(&autoscaler, &mut status, now);
        if autoscaler.status.as_ref() != Some(&status) {
            let updated = HorizontalPodAutoscaler { status: Some(status), ..(*autoscaler).clone() };
            match self.client.update_status(updated) {
                Err(error) if !error.is_not_found() && !error.is_conflict() => return Err(error),
                _ => {}
            }
        }
        // Looked at again with the next period, whatever went wrong.
        let _ = outcome;
        Ok(())
    }
}

impl HorizontalPodAutoscalerController {
    fn reconcile(
        &mut self,
        autoscaler: &HorizontalPodAutoscaler,
        status: &mut HorizontalPodAutoscalerStatus,
        now: Timestamp,
    ) -> Result<(), ApiError> {
        let spec = &autoscaler.spec;
        let key = key_of(autoscaler);
        let scale = match self.scale(autoscaler) {
            Ok(scale) => scale,
            Err(error) => {
                let message = format!("the HPA controller was unable to get the target's current scale: {error}");
                self.recorder.event(now, autoscaler, EventType::Warning, "FailedGetScale", &error.to_string());
                condition(status, "AbleToScale", false, "FailedGetScale", &message, now);
                return Err(error);
            }
        };
        let succeeded = "the HPA controller was able to get the target's current scale";
        condition(status, "AbleToScale", true, "SucceededGetScale", succeeded, now);
        status.current_replicas = Some(scale.spec);
        self.memories.entry(key.clone()).or_default().begin(scale.spec, now);
        let (minimum, maximum) = (spec.min_replicas.unwrap_or(1), spec.max_replicas);
        let behavior = spec.behavior.as_ref();
        let up = rules(behavior.and_then(|it| it.scale_up.as_ref()), true);
        let down = rules(behavior.and_then(|it| it.scale_down.as_ref()), false);
        let mut why = String::new();
        let wanted = if scale.spec == 0 && minimum != 0 {
            let message = "scaling is disabled since the replica count of the target is zero";
            condition(status, "ScalingActive", false, "ScalingDisabled", message, now);
            status.desired_replicas = 0;
            return Ok(());
        } else if scale.spec > maximum {
            why = "Current number of replicas above Spec.MaxReplicas".into();
            maximum
        } else if scale.spec < minimum {
            why = "Current number of replicas below Spec.MinReplicas".into();
            minimum
        } else {
            let mut pods = self.pods.in_namespace(&key.namespace);
            pods.retain(|pod| scale.selector.matches(pod.metadata.labels.as_ref()));
            let mut best: Option<Proposal> = None;
            let mut statuses = Vec::new();
            let (mut failure, mut failures) = (None, 0);
            let tolerance = [down.tolerance, up.tolerance];
            for metric in spec.metrics.iter().flatten() {
                match self.propose(&key.namespace, metric, (&scale, &pods, tolerance), now) {
                    Ok(proposal) => {
                        statuses.push(proposal.status.clone());
                        if best.as_ref().is_none_or(|best| proposal.replicas > best.replicas) {
                            best = Some(proposal);
                        }
                    }
                    Err((reason, message)) => {
                        failures += 1;
                        failure = failure.or_else(|| Some((reason, message, described(metric))));
                    }
                }
            }
            let shrinks = best.as_ref().is_some_and(|best| best.replicas < scale.spec);
            let (Some(best), false) = (best, failure.is_some() && shrinks) else {
                let (reason, message, metric) =
                    failure.unwrap_or(("InvalidMetricSourceType", "no metrics".into(), String::new()));
                self.recorder.event(now, autoscaler, EventType::Warning, reason, &message);
                let text = format!("the HPA was unable to compute the replica count: {message}");
                condition(status, "ScalingActive", false, reason, &text, now);
                let count = spec.metrics.iter().flatten().count();
                let message = format!(
                    "invalid metrics ({failures} invalid out of {count}), first error is: \
                     failed to get {metric} metric value: {message}"
                );
                self.recorder.event(now, autoscaler, EventType::Warning, "FailedComputeMetricsReplicas", &message);
                return Err(ApiError::internal(message));
            };
            status.current_metrics = Some(statuses);
            let message = format!("the HPA was able to successfully calculate a replica count from {}", best.name);
            condition(status, "ScalingActive", true, "ValidMetricFound", &message, now);
            if best.replicas > scale.spec {
                why = format!("{} above target", best.name);
            } else if best.replicas < scale.spec {
                why = "All metrics below target".into();
            }
            let memory = self.memories.entry(key.clone()).or_default();
            // Without a behaviour the highest recommendation counts even above what there is.
            let current = behavior.map_or(i32::MAX, |_| scale.spec);
            let (stable, reason) = memory.stabilize((up.window, down.window), current, best.replicas, now);
            let message = match reason {
                "ScaleUpStabilized" => {
                    "recent recommendations were lower than current one, applying the lowest recent recommendation"
                }
                "ScaleDownStabilized" => {
                    "recent recommendations were higher than current one, applying the highest recent recommendation"
                }
                _ => "recommended size matches current size",
            };
            condition(status, "AbleToScale", true, reason, message, now);
            let (highest, lowest) = match behavior {
                Some(_) => (limit(&up, memory, scale.spec, true, now), limit(&down, memory, scale.spec, false, now)),
                None => (default_limit(scale.spec), 0),
            };
            let (floor, ceiling) = (minimum.max(lowest), maximum.min(highest.max(scale.spec)));
            let bounded = stable.clamp(floor.min(ceiling), ceiling);
            let (limited, reason, message) = match (stable > bounded, stable < bounded) {
                (true, _) if bounded == maximum => {
                    (true, "TooManyReplicas", "the desired replica count is more than the maximum replica count")
                }
                (true, _) => {
                    (true, "ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate")
                }
                (_, true) if bounded == minimum => {
                    (true, "TooFewReplicas", "the desired replica count is less than the minimum replica count")
                }
                (_, true) => (
                    true,
                    "ScaleDownLimit",
                    "the desired replica count is decreasing faster than the maximum scale rate",
                ),
                _ => (false, "DesiredWithinRange", "the desired count is within the acceptable range"),
            };
            condition(status, "ScalingLimited", limited, reason, message, now);
            bounded
        };
        status.desired_replicas = wanted;
        if wanted == scale.spec {
            return Ok(());
        }
        let patch = Patch::Merge(json!({ "spec": { "replicas": wanted } }));
        if let Err(error) = self.client.patch_path(&scale.path, &patch) {
            let message = format!("New size: {wanted}; reason: {why}; error: {error}");
            self.recorder.event(now, autoscaler, EventType::Warning, "FailedRescale", &message);
            let message = format!("the HPA controller was unable to update the target scale: {error}");
            condition(status, "AbleToScale", false, "FailedUpdateScale", &message, now);
            return Err(error);
        }
        let message = format!("the HPA controller was able to update the target scale to {wanted}");
        condition(status, "AbleToScale", true, "SucceededRescale", &message, now);
        self.recorder.event(
            now,
            autoscaler,
            EventType::Normal,
            "SuccessfulRescale",
            &format!("New size: {wanted}; reason: {why}"),
        );
        status.last_scale_time = Some(meta_time(now));
        let memory = self.memories.entry(key).or_default();
        let (events, rules) = if wanted > scale.spec { (&mut memory.ups, &up) } else { (&mut memory.downs, &down) };
        let longest = rules.policies.iter().map(|(_, _, seconds)| *seconds).max().unwrap_or(0);
        events.retain(|(time, _)| since(*time, now) < Duration::from_secs(u64::try_from(longest).unwrap_or(0)));
        events.push((now, (wanted - scale.spec).abs()));
        Ok(())
    }
}

/// Sets one of the autoscaler's conditions; its time is that of the last change of its status.
fn condition(
    status: &mut HorizontalPodAutoscalerStatus,
    kind: &str,
    holds: bool,
    reason: &str,
    message: &str,
    now: Timestamp,
) {
    let conditions = status.conditions.get_or_insert_default();
    let holds = if holds { "True" } else { "False" };
    let changed = HorizontalPodAutoscalerCondition {
        type_: kind.into(),
        status: holds.into(),
        reason: Some(reason.into()),
        message: Some(message.into()),
        last_transition_time: Some(meta_time(now)),
        observed_generation: None,
    };
    match conditions.iter_mut().find(|condition| condition.type_ == kind) {
        Some(condition) if condition.status == holds => {
            *condition = HorizontalPodAutoscalerCondition {
                last_transition_time: condition.last_transition_time.take(),
                ..changed
            };
        }
        Some(condition) => *condition = changed,
        None => conditions.push(changed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn policies_limit_the_pace() {
        let added = |ups: &[(Timestamp, i32)]| Memory { ups: ups.to_vec(), ..Memory::default() };
        let up = rules(None, true);
        assert_eq!(limit(&up, &added(&[]), 1, true, at(100)), 5);
        assert_eq!(limit(&up, &added(&[]), 10, true, at(100)), 20);
        assert_eq!(limit(&up, &added(&[(at(90), 4)]), 5, true, at(100)), 5, "four were added within the period");
        let down = rules(None, false);
        assert_eq!(limit(&down, &added(&[]), 10, false, at(100)), 0);
        let slow =
            Rules { select: "Max".into(), window: 0, tolerance: TOLERANCE, policies: vec![("Pods".into(), 1, 60)] };
        assert_eq!(limit(&slow, &added(&[]), 10, false, at(100)), 9);
        let removed = Memory { downs: vec![(at(90), 1)], ..Memory::default() };
        assert_eq!(limit(&slow, &removed, 9, false, at(100)), 9);
        let huge = Rules {
            select: "Max".into(),
            window: 0,
            tolerance: TOLERANCE,
            policies: vec![("Percent".into(), i32::MAX, 60)],
        };
        assert_eq!(limit(&huge, &added(&[]), i32::MAX, true, at(100)), i32::MAX);
        assert_eq!(limit(&huge, &added(&[]), 10, false, at(100)), 0);
        assert_eq!([1, 2, 10].map(default_limit), [4, 4, 20]);
    }

    #[test]
    fn fewer_are_wanted_only_after_the_window() {
        let mut memory = Memory::default();
        memory.begin(5, at(0));
        assert_eq!(memory.stabilize((0, 300), 5, 1, at(15)), (5, "ScaleDownStabilized"));
        assert_eq!(memory.stabilize((0, 300), 5, 8, at(30)).0, 8);
        memory.begin(1, at(40));
        assert_eq!(memory.stabilize((0, 300), 8, 1, at(329)), (8, "ScaleDownStabilized"));
        assert_eq!(memory.stabilize((0, 300), 8, 1, at(330)), (1, "ReadyForNewScale"), "the window's end is outside");
    }

    #[test]
    fn replicas_follow_the_ratio() {
        let requests: BTreeMap<String, i64> = (0..3).map(|index| (index.to_string(), 200)).collect();
        let wanted = Wanted { target: 50, requests: Some(requests), tolerance: [TOLERANCE; 2] };
        let sample = |used: &[i64]| Sample {
            measured: used.iter().enumerate().map(|(index, used)| (index.to_string(), *used)).collect(),
            ..Sample::default()
        };
        assert_eq!(sample(&[200, 200, 200]).replicas(&wanted, 3), Ok((6, (100, 200))));
        assert_eq!(sample(&[105, 100, 100]).replicas(&wanted, 3).unwrap().0, 3, "within the tolerance");
        assert_eq!(sample(&[10, 10, 10]).replicas(&wanted, 3).unwrap().0, 1);
        let strict = Wanted { tolerance: [300, 0], ..wanted };
        assert_eq!(sample(&[105, 105, 105]).replicas(&strict, 3).unwrap().0, 4, "no tolerance upwards");
        assert_eq!(sample(&[70, 70, 70]).replicas(&strict, 3).unwrap().0, 3, "much downwards");
        let wanted = Wanted { tolerance: [TOLERANCE; 2], ..strict };
        let partly = Sample { missing: vec!["2".into()], ..sample(&[200, 200]) };
        assert_eq!(partly.replicas(&wanted, 3).unwrap().0, 4, "what is not known counts as idle");
        // 111 of 200 is 55 per cent, which is near enough to 50.
        assert_eq!(sample(&[111, 111, 111]).replicas(&wanted, 3), Ok((3, (55, 111))));
        let none: BTreeMap<String, i64> = (0..3).map(|index| (index.to_string(), 0)).collect();
        let nothing = Wanted { target: 50, requests: Some(none), tolerance: [TOLERANCE; 2] };
        assert_eq!(sample(&[1]).replicas(&nothing, 3), Err("no metrics returned matched known pods".into()));
        let more = Wanted { target: 150, ..wanted };
        let partly = Sample { missing: vec!["2".into()], ..sample(&[200, 200]) };
        assert_eq!(partly.replicas(&more, 3).unwrap().0, 3, "what is not known uses what is wanted");
    }

    #[test]
    fn a_pod_counts_once_it_was_measured_while_ready() {
        let pod: Pod = machinery::object::from_value(json!({ "status": {
            "startTime": "1970-01-01T00:00:00Z",
            "conditions": [{ "type": "Ready", "status": "True", "lastTransitionTime": "1970-01-01T00:00:10Z" }],
        } }))
        .unwrap();
        let measured =
            |end: i64| Measured { time: Some(at(end)), window: Duration::from_secs(15), containers: BTreeMap::new() };
        assert!(is_starting(&pod, &measured(24), at(30)));
        assert!(!is_starting(&pod, &measured(25), at(30)));
        assert!(!is_starting(&pod, &measured(24), at(300)), "only in its first five minutes");
    }
}
