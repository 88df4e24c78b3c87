//! HorizontalPodAutoscalers: as many pods as their metrics ask for, within what their behaviour allows
//! (`pkg/controller/podautoscaler`).

mod behavior;
mod metrics;
mod replicas;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use client::{ApiResource, Client, Context, Event, EventRecorder, EventType, Informer, Patch, key_of};
use k8s_openapi::api::autoscaling::v2::{
    HorizontalPodAutoscaler, HorizontalPodAutoscalerCondition, HorizontalPodAutoscalerStatus,
};
use k8s_openapi::api::core::v1::Pod;
use machinery::labels::Selector;
use machinery::status::ApiError;
use machinery::time::meta_time;
use machinery::{GroupVersionKind, ObjectKey, Timestamp};
use serde_json::{Value, json};

use self::behavior::{Memory, bounded, default_limit, limit, rules};
use crate::controller::{Controller, Queue};
use crate::{Setup, pods};

/// How often each autoscaler looks.
const PERIOD: Duration = Duration::from_secs(15);

/// The controller of HorizontalPodAutoscalers.
pub struct HorizontalPodAutoscalerController {
    client: Client,
    recorder: EventRecorder,
    autoscalers: Informer<HorizontalPodAutoscaler>,
    pods: Informer<Pod>,
    memories: BTreeMap<ObjectKey, Memory>,
    /// Which pods each autoscaler is for.
    selectors: BTreeMap<ObjectKey, Selector>,
}

/// Why there are no pods to measure: the Event's reason and message, and those of the condition where they differ.
type Unselected = (&'static str, String, Option<(&'static str, String)>);

/// What a scale subresource says.
struct Scale {
    path: String,
    spec: i32,
    /// As text; empty where it says none.
    selector: String,
}

impl HorizontalPodAutoscalerController {
    /// From the process's informers.
    pub fn new(setup: &Setup, client: &Client) -> Self {
        Self {
            client: client.clone(),
            recorder: EventRecorder::new(client.clone(), "horizontal-pod-autoscaler", ""),
            autoscalers: setup.informers.informer(),
            pods: setup.informers.informer(),
            memories: BTreeMap::new(),
            selectors: BTreeMap::new(),
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
        Ok(Scale { path, spec: number("/spec/replicas"), selector: selector.to_owned() })
    }

    /// The pods that a scale selects. Those that another autoscaler is for as well are nobody's.
    ///
    /// # Errors
    /// Reason and message of the Event, and message of the condition where that differs.
    fn selected(&mut self, key: &ObjectKey, selector: &str) -> Result<Vec<Arc<Pod>>, Unselected> {
        if selector.is_empty() {
            let told = "the HPA target's scale is missing a selector".to_owned();
            return Err(("SelectorRequired", "selector is required".into(), Some(("InvalidSelector", told))));
        }
        let parsed = Selector::parse(selector).map_err(|error| {
            let problem =
                format!("couldn't convert selector into a corresponding internal selector object: {}", error.0);
            ("InvalidSelector", problem, None)
        })?;
        let mut pods = self.pods.in_namespace(&key.namespace);
        pods.retain(|pod| parsed.matches(pod.metadata.labels.as_ref()));
        self.selectors.insert(key.clone(), parsed);
        let selects = |selector: &Selector| pods.iter().any(|pod| selector.matches(pod.metadata.labels.as_ref()));
        let own =
            self.selectors.iter().filter(|(other, selector)| other.namespace == key.namespace && selects(selector));
        let own: Vec<_> = own.map(|(other, _)| format!("{{{} {}}}", other.name, other.namespace)).collect();
        if own.len() > 1 {
            let own = own.join(" ");
            let problem = format!("pods by selector {selector} are controlled by multiple HPAs: [{own}]");
            return Err(("AmbiguousSelector", problem, None));
        }
        Ok(pods)
    }
}

impl Controller for HorizontalPodAutoscalerController {
    type Key = ObjectKey;

    fn observe(&mut self, cx: &mut Context<'_>, queue: &mut Queue) {
        for event in self.autoscalers.poll(cx) {
            let key = key_of(&**event.object());
            match &event {
                Event::Updated { old, new } if old.spec == new.spec => {}
                Event::Deleted(_) => {
                    self.memories.remove(&key);
                    self.selectors.remove(&key);
                }
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
        // What was measured before is said only as long as it is measured.
        status.current_metrics = None;
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
            let pods = self.selected(&key, &scale.selector).map_err(|(reason, problem, told)| {
                let mut warn = |reason| self.recorder.event(now, autoscaler, EventType::Warning, reason, &problem);
                warn(reason);
                warn("FailedComputeMetricsReplicas");
                let (reason, message) = told.unwrap_or_else(|| (reason, problem.clone()));
                condition(status, "ScalingActive", false, reason, &message, now);
                ApiError::internal(problem)
            })?;
            let target = metrics::Target {
                client: &self.client,
                namespace: &key.namespace,
                replicas: scale.spec,
                pods,
                tolerance: [down.tolerance, up.tolerance],
            };
            let computed = target.compute(spec.metrics.as_deref().unwrap_or_default(), now);
            status.current_metrics = Some(computed.statuses);
            for (reason, message) in &computed.failures {
                self.recorder.event(now, autoscaler, EventType::Warning, reason, message);
            }
            let best = computed.best.map_err(|summary| {
                if let Some((reason, message)) = computed.failures.first() {
                    let message = format!("the HPA was unable to compute the replica count: {message}");
                    condition(status, "ScalingActive", false, reason, &message, now);
                }
                let reason = "FailedComputeMetricsReplicas";
                self.recorder.event(now, autoscaler, EventType::Warning, reason, &summary);
                ApiError::internal(summary)
            })?;
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
            let pace = match behavior {
                Some(_) => (limit(&down, memory, scale.spec, false, now), limit(&up, memory, scale.spec, true, now)),
                None => (0, default_limit(scale.spec)),
            };
            let (bounded, limited, reason, message) = bounded(stable, scale.spec, (minimum, maximum), pace);
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
        memory.changed(scale.spec, wanted, if wanted > scale.spec { &up } else { &down }, now);
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
