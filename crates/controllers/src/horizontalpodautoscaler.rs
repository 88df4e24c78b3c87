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
use machinery::labels::Selector;
use machinery::quantity::Quantity;
use machinery::status::ApiError;
use machinery::time::{after, meta_time, since};
use machinery::{GroupVersionKind, ObjectKey, Timestamp};
use serde_json::{Value, json};

use crate::controller::{Controller, Queue};
use crate::{Setup, pods};

/// How often each autoscaler looks.
const PERIOD: Duration = Duration::from_secs(15);
/// Ratios this close to 1, in thousandths, change nothing.
const TOLERANCE: i64 = 100;
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
    current: i32,
    selector: Selector,
}

/// What one metric asks for.
struct Proposal {
    replicas: i32,
    status: MetricStatus,
    /// The metric by its name in conditions and events.
    name: String,
}

/// Use by container, of one pod: thousandths of a core or of bytes.
type Usage = BTreeMap<String, i64>;
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
        Ok(Scale { path, spec: number("/spec/replicas"), current: number("/status/replicas"), selector })
    }

    /// What the metrics server says of the pods, by pod.
    fn usage(&self, namespace: &str, resource: &str) -> Result<BTreeMap<String, Usage>, ApiError> {
        let path = format!("/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods");
        let list = self.client.get_path(&path)?;
        let mut usage = BTreeMap::new();
        for pod in list["items"].as_array().into_iter().flatten() {
            let containers = pod["containers"].as_array().into_iter().flatten().filter_map(|container| {
                let amount = container["usage"][resource].as_str()?;
                let amount = Quantity::try_from(&Text(amount.to_owned())).ok()?.milli_value();
                Some((container["name"].as_str()?.to_owned(), amount))
            });
            usage.insert(pod["metadata"]["name"].as_str().unwrap_or_default().to_owned(), containers.collect());
        }
        Ok(usage)
    }

    /// How many replicas a metric of the pods' resources asks for.
    fn propose(
        &self,
        namespace: &str,
        metric: &MetricSpec,
        (scale, pods): (&Scale, &Pods),
        now: Timestamp,
    ) -> Result<Proposal, (&'static str, String)> {
        let (resource, container, target) = match (&metric.resource, &metric.container_resource) {
            (Some(it), _) => (it.name.as_str(), None, &it.target),
            (None, Some(it)) => (it.name.as_str(), Some(it.container.as_str()), &it.target),
            (None, None) => {
                let (reason, api) = match metric.type_.as_str() {
                    "Pods" => ("FailedGetPodsMetric", "custom.metrics.k8s.io"),
                    "Object" => ("FailedGetObjectMetric", "custom.metrics.k8s.io"),
                    _ => ("FailedGetExternalMetric", "external.metrics.k8s.io"),
                };
                return Err((reason, format!("unable to fetch metrics from {api}: no such API is registered")));
            }
        };
        let reason = if container.is_some() { "FailedGetContainerResourceMetric" } else { "FailedGetResourceMetric" };
        let failed = |message: String| (reason, message);
        let unreadable = |error: ApiError| {
            failed(format!(
                "failed to get {resource} utilization: unable to get metrics for resource {resource}: {error}"
            ))
        };
        let usage = self.usage(namespace, resource).map_err(unreadable)?;
        let of_pod = |pod: &Pod| -> Option<i64> {
            let usage = usage.get(pods::name(pod)).filter(|usage| !usage.is_empty())?;
            match container {
                Some(name) => usage.get(name).copied(),
                None => Some(usage.values().sum()),
            }
        };
        let sample = Sample::take(pods, resource, of_pod, now);
        if sample.measured.is_empty() {
            return Err(failed(format!(
                "failed to get {resource} utilization: did not receive metrics for targeted pods (pods might be unready)"
            )));
        }
        let wanted = Wanted::of(target, pods, resource, container).map_err(failed)?;
        let (replicas, current) = sample.replicas(&wanted, scale.spec);
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
}

impl Wanted {
    fn of(target: &MetricTarget, pods: &Pods, resource: &str, container: Option<&str>) -> Result<Self, String> {
        if let Some(value) = &target.average_value {
            let value = Quantity::try_from(value).map(|it| it.milli_value()).unwrap_or(0);
            return Ok(Self { target: value.max(1), requests: None });
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
        Ok(Self { target: utilization, requests: Some(requests) })
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
    fn take(pods: &Pods, resource: &str, of_pod: impl Fn(&Pod) -> Option<i64>, now: Timestamp) -> Self {
        let mut sample = Self::default();
        for pod in pods.iter().filter(|pod| pods::is_active(pod)) {
            let name = pods::name(&**pod).to_owned();
            match of_pod(pod) {
                _ if pods::phase(pod) == "Pending" => sample.unready.push(name),
                None => sample.missing.push(name),
                Some(_) if resource == "cpu" && is_starting(pod, now) => sample.unready.push(name),
                Some(amount) => _ = sample.measured.insert(name, amount),
            }
        }
        sample
    }

    /// The replicas wanted, and the present utilization and average value (upstream GetResourceReplicas).
    fn replicas(&self, wanted: &Wanted, current: i32) -> (i32, (i64, i64)) {
        let request = |name: &String| wanted.requests.as_ref().and_then(|it| it.get(name)).copied().unwrap_or(0);
        let mut measured = self.measured.clone();
        let used: i64 = measured.values().sum();
        let average = used / i64::try_from(measured.len().max(1)).unwrap_or(1);
        // Thousandths of what is wanted.
        let ratio = |measured: &BTreeMap<String, i64>| {
            let used: i128 = measured.values().map(|it| i128::from(*it)).sum();
            let whole: i128 = match &wanted.requests {
                Some(_) => {
                    measured.keys().map(|name| i128::from(request(name))).sum::<i128>() * i128::from(wanted.target)
                        / 100
                }
                None => i128::from(wanted.target) * i128::try_from(measured.len()).unwrap_or(1),
            };
            i64::try_from(used * 1000 / whole.max(1)).unwrap_or(i64::MAX)
        };
        let requested: i64 = measured.keys().map(request).sum();
        let utilization = used.saturating_mul(100) / requested.max(1);
        let first = ratio(&measured);
        let up = first > 1000;
        let count = |measured: &BTreeMap<String, i64>, ratio: i64| {
            let exact = i128::from(ratio) * i128::try_from(measured.len()).unwrap_or(0);
            i32::try_from((exact + 999) / 1000).unwrap_or(i32::MAX)
        };
        let near = |ratio: i64| (ratio - 1000).abs() <= TOLERANCE;
        if self.missing.is_empty() && (self.unready.is_empty() || !up) {
            let replicas = if near(first) { current } else { count(&measured, first) };
            return (replicas, (utilization, average));
        }
        // What is not known counts against the change: as all that is wanted when shrinking, as nothing
        // when growing.
        for name in &self.missing {
            let share = wanted.requests.as_ref().map_or(wanted.target, |_| request(name));
            if first < 1000 {
                measured.insert(
                    name.clone(),
                    share.saturating_mul(if wanted.requests.is_some() { 1.max(wanted.target / 100) } else { 1 }),
                );
            } else if up {
                measured.insert(name.clone(), 0);
            }
        }
        if up {
            measured.extend(self.unready.iter().map(|name| (name.clone(), 0)));
        }
        let second = ratio(&measured);
        if near(second) || (first < 1000 && second > 1000) || (first > 1000 && second < 1000) {
            return (current, (utilization, average));
        }
        let replicas = count(&measured, second);
        if (second < 1000 && replicas > current) || (second > 1000 && replicas < current) {
            return (current, (utilization, average));
        }
        (replicas, (utilization, average))
    }
}

/// Whether the pod's processor use is that of its start.
fn is_starting(pod: &Pod, now: Timestamp) -> bool {
    let started = pod.status.as_ref().and_then(|status| status.start_time.as_ref());
    let (Some(started), Some(ready_since)) = (started.map(|time| time.0), pods::condition(pod, "Ready")) else {
        return true;
    };
    let changed = ready_since.last_transition_time.as_ref().map_or(started, |time| time.0);
    let ready = ready_since.status == "True";
    if after(started, CPU_INITIALIZATION) > now {
        // In its first minutes it counts once it is ready, measured from then on.
        !ready
    } else {
        !ready && after(started, READINESS_DELAY) > changed
    }
}

impl Memory {
    /// Holds a change back by the behaviour's windows (upstream stabilizeRecommendation).
    fn stabilize(&mut self, (up, down): (i32, i32), current: i32, wanted: i32, now: Timestamp) -> (i32, &'static str) {
        let window = |seconds: i32| Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
        let longest = window(up.max(down));
        self.recommendations.retain(|(time, _)| since(*time, now) <= longest);
        self.recommendations.push((now, wanted));
        let within = |seconds: i32| {
            let recent = self.recommendations.iter().filter(move |(time, _)| since(*time, now) <= window(seconds));
            recent.map(|(_, wanted)| *wanted)
        };
        let least = within(up).min().unwrap_or(wanted).min(wanted);
        let most = within(down).max().unwrap_or(wanted).max(wanted);
        if current < least {
            (least, if least == wanted { "ReadyForNewScale" } else { "ScaleUpStabilized" })
        } else if current > most {
            (most, if most == wanted { "ReadyForNewScale" } else { "ScaleDownStabilized" })
        } else if wanted < current {
            (current, "ScaleDownStabilized")
        } else if wanted > current {
            (current, "ScaleUpStabilized")
        } else {
            (current, "ReadyForNewScale")
        }
    }
}

/// How far a direction's policies let the number go (upstream calculateScaleUpLimitWithScalingRules).
fn limit(rules: &Rules, events: &[(Timestamp, i32)], current: i32, up: bool, now: Timestamp) -> i32 {
    if rules.select == "Disabled" {
        return current;
    }
    let limits = rules.policies.iter().map(|(kind, value, seconds)| {
        let period = Duration::from_secs(u64::try_from(*seconds).unwrap_or(0));
        let changed: i32 = events.iter().filter(|(time, _)| since(*time, now) < period).map(|(_, count)| *count).sum();
        let start = if up { current - changed } else { current + changed };
        let exact = i64::from(start) * i64::from(if up { 100 + *value } else { 100 - *value });
        match (kind.as_str(), up) {
            ("Pods", true) => start.saturating_add(*value),
            ("Pods", false) => start.saturating_sub(*value),
            (_, true) => i32::try_from((exact + 99).div_euclid(100)).unwrap_or(i32::MAX),
            (_, false) => i32::try_from(exact.div_euclid(100)).unwrap_or(0),
        }
    });
    let widest = (rules.select == "Max") == up;
    let limit = if widest { limits.max() } else { limits.min() };
    let limit = limit.unwrap_or(current);
    if up { limit.max(current) } else { limit.min(current) }
}

/// A direction's behaviour with its defaults.
struct Rules {
    select: String,
    window: i32,
    /// Type, value, period in seconds.
    policies: Vec<(String, i32, i32)>,
}

fn rules(stated: Option<&HPAScalingRules>, up: bool) -> Rules {
    let default: &[(&str, i32, i32)] =
        if up { &[("Pods", 4, 15), ("Percent", 100, 15)] } else { &[("Percent", 100, 15)] };
    let policies = stated.and_then(|it| it.policies.as_ref()).filter(|it| !it.is_empty());
    Rules {
        select: stated.and_then(|it| it.select_policy.clone()).unwrap_or_else(|| "Max".into()),
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
        status.current_replicas = Some(scale.current);
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
            let mut failure = None;
            for metric in spec.metrics.iter().flatten() {
                match self.propose(&key.namespace, metric, (&scale, &pods), now) {
                    Ok(proposal) => {
                        statuses.push(proposal.status.clone());
                        if best.as_ref().is_none_or(|best| proposal.replicas > best.replicas) {
                            best = Some(proposal);
                        }
                    }
                    Err(error) => failure = failure.or(Some(error)),
                }
            }
            let shrinks = best.as_ref().is_some_and(|best| best.replicas < scale.spec);
            let (Some(best), false) = (best, failure.is_some() && shrinks) else {
                let (reason, message) = failure.unwrap_or(("InvalidMetricSourceType", "no metrics".into()));
                self.recorder.event(now, autoscaler, EventType::Warning, reason, &message);
                let text = format!("the HPA was unable to compute the replica count: {message}");
                condition(status, "ScalingActive", false, reason, &text, now);
                self.recorder.event(
                    now,
                    autoscaler,
                    EventType::Warning,
                    "FailedComputeMetricsReplicas",
                    &format!(
                        "invalid metrics (1 invalid out of {}), first error is: {message}",
                        spec.metrics.iter().flatten().count()
                    ),
                );
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
            let (stable, reason) = memory.stabilize((up.window, down.window), scale.spec, best.replicas, now);
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
            let highest = limit(&up, &memory.ups, scale.spec, true, now);
            let lowest = limit(&down, &memory.downs, scale.spec, false, now);
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
        let up = rules(None, true);
        assert_eq!(limit(&up, &[], 1, true, at(100)), 5);
        assert_eq!(limit(&up, &[], 10, true, at(100)), 20);
        assert_eq!(limit(&up, &[(at(90), 4)], 5, true, at(100)), 5, "four were added within the period");
        let down = rules(None, false);
        assert_eq!(limit(&down, &[], 10, false, at(100)), 0);
        let slow = Rules { select: "Max".into(), window: 0, policies: vec![("Pods".into(), 1, 60)] };
        assert_eq!(limit(&slow, &[], 10, false, at(100)), 9);
        assert_eq!(limit(&slow, &[(at(90), 1)], 9, false, at(100)), 9);
    }

    #[test]
    fn fewer_are_wanted_only_after_the_window() {
        let mut memory = Memory::default();
        assert_eq!(memory.stabilize((0, 300), 5, 5, at(0)).0, 5);
        assert_eq!(memory.stabilize((0, 300), 5, 1, at(15)), (5, "ScaleDownStabilized"));
        assert_eq!(memory.stabilize((0, 300), 5, 8, at(30)).0, 8);
        assert_eq!(memory.stabilize((0, 300), 8, 1, at(400)), (1, "ReadyForNewScale"));
    }

    #[test]
    fn replicas_follow_the_ratio() {
        let requests: BTreeMap<String, i64> = (0..3).map(|index| (index.to_string(), 200)).collect();
        let wanted = Wanted { target: 50, requests: Some(requests) };
        let sample = |used: &[i64]| Sample {
            measured: used.iter().enumerate().map(|(index, used)| (index.to_string(), *used)).collect(),
            ..Sample::default()
        };
        assert_eq!(sample(&[200, 200, 200]).replicas(&wanted, 3), (6, (100, 200)));
        assert_eq!(sample(&[105, 100, 100]).replicas(&wanted, 3).0, 3, "within the tolerance");
        assert_eq!(sample(&[10, 10, 10]).replicas(&wanted, 3).0, 1);
        let partly = Sample { missing: vec!["2".into()], ..sample(&[200, 200]) };
        assert_eq!(partly.replicas(&wanted, 3).0, 4, "what is not known counts as idle");
    }
}
