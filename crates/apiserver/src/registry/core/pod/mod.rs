//! Pod, and what other kinds take from it: the pod spec of a template.

pub mod defaults;
mod ephemeral;
mod printer;
mod qos;
pub(crate) use qos::class as qos_class;
pub mod validation;
pub mod warnings;

use k8s_openapi::api::core::v1::{Pod, PodCondition, PodSpec};

use crate::registry::strategy::{Field, Subresource, Typed, parts};

/// Pod's strategy (upstream's `pkg/registry/core/pod/strategy.go`).
pub static STRATEGY: Typed<Pod> = Typed {
    generation: true,
    defaults: defaults::pod,
    prepare_for_create,
    validate: validation::pod,
    validate_update: validation::pod_update,
    prepare_status_update,
    validate_status: validation::pod_status_update,
    subresources: &[
        Subresource {
            name: "ephemeralcontainers",
            prepare: |new, old| {
                keep_all_but(new, old, |kept, new| kept.ephemeral_containers = new.ephemeral_containers)
            },
            validate: validation::ephemeral_containers_update,
        },
        Subresource { name: "resize", prepare: prepare_resize, validate: validation::resize_update },
    ],
    warnings: warnings::pod,
    fields: FIELDS,
    columns: printer::COLUMNS,
    cells: printer::cells,
    grace_period_seconds,
    ..Typed::new(parts!(Pod: spec; status))
};

const FIELDS: &[Field<Pod>] = &[
    Field { name: "spec.nodeName", get: |pod| spec_text(pod, |spec| &spec.node_name) },
    Field { name: "spec.restartPolicy", get: |pod| spec_text(pod, |spec| &spec.restart_policy) },
    Field { name: "spec.schedulerName", get: |pod| spec_text(pod, |spec| &spec.scheduler_name) },
    Field { name: "spec.serviceAccountName", get: |pod| spec_text(pod, |spec| &spec.service_account_name) },
    Field {
        name: "spec.hostNetwork",
        get: |pod| pod.spec.as_ref().is_some_and(|spec| spec.host_network == Some(true)).to_string(),
    },
    Field { name: "status.phase", get: |pod| phase(pod).into() },
    Field {
        name: "status.podIP",
        get: |pod| pod.status.as_ref().and_then(|status| status.pod_ip.clone()).unwrap_or_default(),
    },
    Field {
        name: "status.nominatedNodeName",
        get: |pod| pod.status.as_ref().and_then(|status| status.nominated_node_name.clone()).unwrap_or_default(),
    },
];

fn spec_text(pod: &Pod, get: fn(&PodSpec) -> &Option<String>) -> String {
    pod.spec.as_ref().and_then(|spec| get(spec).clone()).unwrap_or_default()
}

fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

fn prepare_for_create(pod: &mut Pod) {
    let qos = qos::class(pod.spec.as_ref());
    let gated = pod.spec.as_ref().is_some_and(|spec| spec.scheduling_gates.iter().flatten().next().is_some());
    let status = pod.status.get_or_insert_default();
    status.phase = Some("Pending".into());
    status.qos_class = Some(qos.into());
    if gated {
        status.conditions = Some(vec![PodCondition {
            type_: "PodScheduled".into(),
            status: "False".into(),
            reason: Some("SchedulingGated".into()),
            message: Some("Scheduling is blocked due to non-empty scheduling gates".into()),
            ..PodCondition::default()
        }]);
    }
}

fn prepare_status_update(new: &mut Pod, old: &Pod) {
    new.metadata.owner_references.clone_from(&old.metadata.owner_references);
    let class = old.status.as_ref().and_then(|status| status.qos_class.clone());
    let status = new.status.get_or_insert_default();
    if status.qos_class.is_none() {
        status.qos_class = class;
    }
}

/// Takes the old pod, with one thing of the new one's spec.
fn keep_all_but(new: &mut Pod, old: &Pod, take: fn(&mut PodSpec, PodSpec)) {
    let spec = new.spec.take().unwrap_or_default();
    let resource_version = new.metadata.resource_version.take();
    new.clone_from(old);
    new.metadata.resource_version = resource_version;
    take(new.spec.get_or_insert_default(), spec);
}

/// A resize leaves metadata and status as they are.
fn prepare_resize(new: &mut Pod, old: &Pod) {
    let (spec, resource_version) = (new.spec.take(), new.metadata.resource_version.take());
    new.clone_from(old);
    new.spec = spec;
    new.metadata.resource_version = resource_version;
}

/// A pod that never reached a node, or is done, needs no time to end.
fn grace_period_seconds(pod: &Pod, requested: Option<i64>) -> i64 {
    let Some(spec) = &pod.spec else { return 0 };
    let unbound = spec.node_name.as_deref().unwrap_or_default().is_empty();
    if unbound || matches!(phase(pod), "Failed" | "Succeeded") {
        return 0;
    }
    match requested.or(spec.termination_grace_period_seconds).unwrap_or_default() {
        ..0 => 1,
        seconds => seconds,
    }
}
