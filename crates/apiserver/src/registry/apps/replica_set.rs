//! ReplicaSet.

use k8s_openapi::api::apps::v1::ReplicaSet;
use machinery::Timestamp;
use serde_json::Value;

use crate::registry::core::pod;
use crate::registry::shared::defaults::set;
use crate::registry::shared::workload::{REPLICAS_COLUMNS, replicas_cells, selector_cell, selector_text};
use crate::registry::strategy::{Field, ScaleFns, ScaleView, Typed, parts};

/// ReplicaSet's strategy.
pub static STRATEGY: Typed<ReplicaSet> = Typed {
    generation: true,
    defaults,
    fields: &[Field {
        name: "status.replicas",
        get: |set| set.status.as_ref().map(|status| status.replicas).unwrap_or_default().to_string(),
    }],
    columns: REPLICAS_COLUMNS,
    cells,
    scale: Some(ScaleFns { view: scale, set: |set, replicas| set.spec.replicas = Some(replicas) }),
    ..Typed::new(parts!(ReplicaSet: spec; status))
};

fn defaults(replica_set: &mut ReplicaSet) {
    let spec = &mut replica_set.spec;
    set(&mut spec.replicas, 1);
    pod::defaults::pod_template(spec.template.get_or_insert_default());
}

fn scale(set: &ReplicaSet) -> ScaleView {
    ScaleView {
        spec_replicas: set.spec.replicas.unwrap_or_default(),
        status_replicas: set.status.as_ref().map(|status| status.replicas).unwrap_or_default(),
        selector: selector_text(&set.spec.selector),
    }
}

fn cells(set: &ReplicaSet, now: Timestamp) -> Vec<Value> {
    let spec = &set.spec;
    let status = set.status.clone().unwrap_or_default();
    let replicas = [spec.replicas.unwrap_or_default(), status.replicas, status.ready_replicas.unwrap_or_default()];
    replicas_cells(&set.metadata, now, replicas, spec.template.as_ref(), selector_cell(&spec.selector))
}
