//! A Job's pods: how they are made, and how one sync sees them.

use std::collections::BTreeMap;
use std::sync::Arc;

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
/// Annotation: how often the pod's index had failed before it.
const FAILURES: &str = "batch.kubernetes.io/job-index-failure-count";
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
    /// When each index last failed.
    last_failures: BTreeMap<i32, Timestamp>,
}

impl Sorted {
    /// When an index last failed, by the failed pods that are still there.
    pub fn last_failure(&self, index: i32) -> Option<Timestamp> {
        self.last_failures.get(&index).copied()
    }
}

/// When the pod's last container ended.
fn ended_at(pod: &Pod) -> Option<Timestamp> {
    let statuses = pod.status.as_ref()?.container_statuses.iter().flatten();
    let ends = statuses.filter_map(|it| it.state.as_ref()?.terminated.as_ref()?.finished_at.as_ref());
    ends.map(|time| time.0).max().or_else(|| pods::ready_since(pod))
}

/// Sorts pods by what they mean for the Job.
pub fn sort(spec: &JobSpec, pods: &[Arc<Pod>]) -> Sorted {
    let replaces_failed_only = spec.pod_replacement_policy.as_deref() == Some("Failed");
    let mut sorted = Sorted::default();
    for pod in pods {
        let going = pods::is_deleting(&**pod);
        if let (Some(index), Some(time)) = (index_of(pod), ended_at(pod).filter(|_| pods::phase(pod) == "Failed")) {
            let last = sorted.last_failures.entry(index).or_insert(time);
            *last = time.max(*last);
        }
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

/// How often the pod's index had failed before it.
pub fn failure_count(pod: &Pod) -> i32 {
    pods::annotation(pod, FAILURES).and_then(|count| count.parse().ok()).unwrap_or(0)
}

/// A pod of the Job, for an index where it has indexes, and where these have backoff limits of their own
/// with how often this one has failed.
pub fn pod_for(job: &Job, index: Option<i32>, failures: Option<i32>) -> Pod {
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
    annotations.extend(failures.map(|count| (FAILURES.to_owned(), count.to_string())));
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
