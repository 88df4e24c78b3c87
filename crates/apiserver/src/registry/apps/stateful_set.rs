//! StatefulSet.

use k8s_openapi::api::apps::v1::StatefulSet;
use machinery::Timestamp;
use serde_json::Value;

use crate::registry::core::{persistent_volume_claim, pod};
use crate::registry::info::Column;
use crate::registry::shared::defaults::{set, text};
use crate::registry::shared::printer::{AGE, CONTAINERS, IMAGES, NAME, age, column, containers_and_images, name};
use crate::registry::shared::workload::selector_text;
use crate::registry::strategy::{ScaleFns, ScaleView, Typed, parts};

/// StatefulSet's strategy.
pub static STRATEGY: Typed<StatefulSet> = Typed {
    generation: true,
    defaults,
    columns: COLUMNS,
    cells,
    scale: Some(ScaleFns { view: scale, set: |set, replicas| set.spec.replicas = Some(replicas) }),
    ..Typed::new(parts!(StatefulSet: spec; status))
};

fn defaults(stateful_set: &mut StatefulSet) {
    let spec = &mut stateful_set.spec;
    text(&mut spec.pod_management_policy, "OrderedReady");
    let strategy = spec.update_strategy.get_or_insert_default();
    text(&mut strategy.type_, "RollingUpdate");
    if strategy.type_.as_deref() == Some("RollingUpdate") {
        set(&mut strategy.rolling_update.get_or_insert_default().partition, 0);
    }
    let retention = spec.persistent_volume_claim_retention_policy.get_or_insert_default();
    text(&mut retention.when_deleted, "Retain");
    text(&mut retention.when_scaled, "Retain");
    set(&mut spec.replicas, 1);
    set(&mut spec.revision_history_limit, 10);
    for claim in spec.volume_claim_templates.iter_mut().flatten() {
        persistent_volume_claim::defaults(claim);
    }
    pod::defaults::pod_template(&mut spec.template);
}

fn scale(set: &StatefulSet) -> ScaleView {
    ScaleView {
        spec_replicas: set.spec.replicas.unwrap_or_default(),
        status_replicas: set.status.as_ref().map(|status| status.replicas).unwrap_or_default(),
        selector: selector_text(&set.spec.selector),
    }
}

const COLUMNS: &[Column] =
    &[NAME, column("Ready", "string", "Pods that are ready, of those desired."), AGE, CONTAINERS, IMAGES];

fn cells(set: &StatefulSet, now: Timestamp) -> Vec<Value> {
    let spec = &set.spec;
    let desired = spec.replicas.unwrap_or_default();
    let ready = set.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or_default();
    let [containers, images] = containers_and_images(Some(&spec.template));
    vec![name(&set.metadata), format!("{ready}/{desired}").into(), age(&set.metadata, now), containers, images]
}
