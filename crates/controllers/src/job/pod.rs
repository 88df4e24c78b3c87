//! A Job's pods: how they are made, and how one sync sees them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{EnvVar, EnvVarSource, ObjectFieldSelector, Pod};

use machinery::Timestamp;

use crate::claim::controller_reference;
use crate::pod_control::pod_from_template;
use crate::pods;

/// Keeps a pod until it has been counted.
pub const FINALIZER: &str = "batch.kubernetes.io/job-tracking";
/// Label and annotation: which index of the Job the pod is for.
const INDEX: &str = "batch.kubernetes.io/job-completion-index";
/// Annotations: how often the pod's index had failed before it, and how often without that it counted.
const FAILURES: [&str; 2] =
    ["batch.kubernetes.io/job-index-failure-count", "batch.kubernetes.io/job-index-ignored-failure-count"];
/// Label: the uid of the pod's Job. The older form stands beside it.
pub const CONTROLLER_UID: [&str; 2] = ["batch.kubernetes.io/controller-uid", "controller-uid"];
/// Label: the name of the pod's Job. The older form stands beside it.
const JOB_NAME: [&str; 2] = ["batch.kubernetes.io/job-name", "job-name"];

/// A Job's pods, as one sync sees them.
#[derive(Default)]
pub struct Sorted {
    /// At work.
    pub active: Vec<Arc<Pod>>,
    /// On their way out.
    pub terminating: Vec<Arc<Pod>>,
    /// Ended well, and not counted for good yet.
    pub succeeded: Vec<Arc<Pod>>,
    /// Ended otherwise, or deleted before they could, and not counted for good yet.
    pub failed: Vec<Arc<Pod>>,
}

impl Sorted {
    /// The last failed pod of each index that waits for its next one, which takes over its counts: it is not to go
    /// before (upstream's `getPodsWithDelayedDeletionPerIndex`). `settled` says which indexes wait for none.
    pub fn awaiting(&self, settled: impl Fn(i32) -> bool) -> BTreeMap<i32, Arc<Pod>> {
        let mut last: BTreeMap<i32, Arc<Pod>> = BTreeMap::new();
        let rank = |pod: &Pod| (failures(pod), finished_at(pod));
        for pod in &self.failed {
            let Some(index) = index_of(pod).filter(|index| !settled(*index)) else { continue };
            let kept = last.entry(index).or_insert_with(|| pod.clone());
            if rank(kept) < rank(pod) {
                *kept = pod.clone();
            }
        }
        for index in self.active.iter().filter_map(|pod| index_of(pod)) {
            last.remove(&index);
        }
        last
    }
}

/// When the pod's last container ended; else when it stopped being ready, or was deleted, or came to be.
pub fn finished_at(pod: &Pod) -> Timestamp {
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_deref()).unwrap_or_default();
    let ends: Option<Vec<Timestamp>> =
        statuses.iter().map(|it| Some(it.state.as_ref()?.terminated.as_ref()?.finished_at.as_ref()?.0)).collect();
    let unready = || pods::condition(pod, "Ready").filter(|it| it.status == "False");
    let deleted = || {
        let grace = pod.metadata.deletion_grace_period_seconds.unwrap_or(0).try_into().unwrap_or(0);
        pod.metadata.deletion_timestamp.as_ref()?.0.checked_sub(Duration::from_secs(grace)).ok()
    };
    let ended = ends.and_then(|ends| ends.into_iter().max());
    let ended = ended.or_else(|| Some(unready()?.last_transition_time.as_ref()?.0));
    ended.or_else(deleted).or_else(|| client::creation_time(pod)).unwrap_or(Timestamp::MIN)
}

/// Sorts pods by what they mean for the Job.
pub fn sort(spec: &JobSpec, pods: &[Arc<Pod>]) -> Sorted {
    let replaces_failed_only = spec.pod_replacement_policy.as_deref() == Some("Failed");
    let mut sorted = Sorted::default();
    for pod in pods {
        let going = pods::is_deleting(&**pod);
        let list = match pods::phase(pod) {
            "Succeeded" => Some(&mut sorted.succeeded),
            "Failed" => Some(&mut sorted.failed),
            _ if !going => {
                sorted.active.push(pod.clone());
                None
            }
            _ => {
                sorted.terminating.push(pod.clone());
                (!replaces_failed_only).then_some(&mut sorted.failed)
            }
        };
        if let Some(list) = list.filter(|_| has_finalizer(pod)) {
            list.push(pod.clone());
        }
    }
    sorted
}

/// Whether the pod waits to be counted.
pub fn has_finalizer(pod: &Pod) -> bool {
    pod.metadata.finalizers.iter().flatten().any(|name| name == FINALIZER)
}

/// The index of the Job the pod is for.
pub fn index_of(pod: &Pod) -> Option<i32> {
    pods::annotation(pod, INDEX)?.parse().ok()
}

/// How often the pod's index had failed before it, and how often without that it counted.
pub fn failure_counts(pod: &Pod) -> [i32; 2] {
    let count = |name| pods::annotation(pod, name).and_then(|count| count.parse().ok()).unwrap_or(0).max(0);
    FAILURES.map(count)
}

/// How often the pod's index had failed before it, counted or not.
pub fn failures(pod: &Pod) -> i32 {
    let [counted, ignored] = failure_counts(pod);
    counted.saturating_add(ignored)
}

/// A pod of the Job, for an index where it has indexes, and where these have backoff limits of their own
/// with how often this one has failed ([`failure_counts`]).
pub fn pod_for(job: &Job, index: Option<i32>, failures: Option<[i32; 2]>) -> Pod {
    let template = job.spec.as_ref().map(|spec| spec.template.clone()).unwrap_or_default();
    let mut pod = pod_from_template(&template, job, controller_reference(job));
    let (name, uid) = (pods::name(job).to_owned(), pods::uid(job).to_owned());
    let labels = pod.metadata.labels.get_or_insert_default();
    for (keys, value) in [(CONTROLLER_UID, uid), (JOB_NAME, name.clone())] {
        labels.extend(keys.map(|key| (key.to_owned(), value.clone())));
    }
    pod.metadata.finalizers.get_or_insert_default().push(FINALIZER.into());
    let Some(index) = index else { return pod };
    labels.insert(INDEX.into(), index.to_string());
    let annotations = pod.metadata.annotations.get_or_insert_default();
    annotations.insert(INDEX.into(), index.to_string());
    if let Some([counted, ignored]) = failures {
        annotations.insert(FAILURES[0].into(), counted.to_string());
        annotations.extend((ignored > 0).then(|| (FAILURES[1].to_owned(), ignored.to_string())));
    }
    pod.metadata.generate_name = Some(format!("{name}-{index}-"));
    if let Some(spec) = &mut pod.spec {
        spec.hostname = Some(format!("{name}-{index}"));
        for container in spec.containers.iter_mut().chain(spec.init_containers.iter_mut().flatten()) {
            let environment = container.env.get_or_insert_default();
            if environment.iter().all(|variable| variable.name != "JOB_COMPLETION_INDEX") {
                environment.push(EnvVar {
                    name: "JOB_COMPLETION_INDEX".into(),
                    value_from: Some(EnvVarSource {
                        field_ref: Some(ObjectFieldSelector {
                            field_path: format!("metadata.labels['{INDEX}']"),
                            ..ObjectFieldSelector::default()
                        }),
                        ..EnvVarSource::default()
                    }),
                    ..EnvVar::default()
                });
            }
        }
    }
    pod
}
