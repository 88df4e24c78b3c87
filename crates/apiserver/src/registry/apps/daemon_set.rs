//! DaemonSet.

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use machinery::Timestamp;
use serde_json::Value;

use crate::registry::core::pod;
use crate::registry::info::Column;
use crate::registry::shared::defaults::{set, text};
use crate::registry::shared::printer::{
    AGE, CONTAINERS, IMAGES, NAME, SELECTOR, age, column, containers_and_images, format_labels, name,
};
use crate::registry::shared::workload::selector_cell;
use crate::registry::strategy::{Typed, parts};

/// DaemonSet's strategy.
pub static STRATEGY: Typed<DaemonSet> =
    Typed { generation: true, defaults, columns: COLUMNS, cells, ..Typed::new(parts!(DaemonSet: spec; status)) };

fn defaults(daemon_set: &mut DaemonSet) {
    let spec = &mut daemon_set.spec;
    let strategy = spec.update_strategy.get_or_insert_default();
    text(&mut strategy.type_, "RollingUpdate");
    if strategy.type_.as_deref() == Some("RollingUpdate") {
        let rolling = strategy.rolling_update.get_or_insert_default();
        set(&mut rolling.max_unavailable, IntOrString::Int(1));
        set(&mut rolling.max_surge, IntOrString::Int(0));
    }
    set(&mut spec.revision_history_limit, 10);
    pod::defaults::pod_template(&mut spec.template);
}

const COLUMNS: &[Column] = &[
    NAME,
    column("Desired", "integer", "Nodes that should run the pod."),
    column("Current", "integer", "Nodes that should run the pod and do."),
    column("Ready", "integer", "Nodes where the pod is ready."),
    column("Up-to-date", "integer", "Nodes where the pod has the current template."),
    column("Available", "integer", "Nodes where the pod has been ready for minReadySeconds."),
    column("Node Selector", "string", "Which nodes should run the pod."),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
];

fn cells(set: &DaemonSet, now: Timestamp) -> Vec<Value> {
    let status = set.status.clone().unwrap_or_default();
    let spec = &set.spec;
    let node_selector = spec.template.spec.as_ref().and_then(|spec| spec.node_selector.as_ref());
    let [containers, images] = containers_and_images(Some(&spec.template));
    vec![
        name(&set.metadata),
        status.desired_number_scheduled.into(),
        status.current_number_scheduled.into(),
        status.number_ready.into(),
        status.updated_number_scheduled.unwrap_or_default().into(),
        status.number_available.unwrap_or_default().into(),
        format_labels(node_selector),
        age(&set.metadata, now),
        containers,
        images,
        selector_cell(&spec.selector),
    ]
}
