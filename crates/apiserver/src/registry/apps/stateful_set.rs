//! StatefulSet.

use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use machinery::Timestamp;
use machinery::field::{Error, ErrorList, Path};
use serde_json::Value;

use crate::registry::core::{persistent_volume_claim, pod};
use crate::registry::info::Column;
use crate::registry::shared::defaults::{set, text};
use crate::registry::shared::printer::{AGE, CONTAINERS, IMAGES, NAME, age, column, containers_and_images, name};
use crate::registry::shared::validate::{
    at_most_all, count_or_percent, nonnegative, one_of, optional_one_of, percent, same, shown,
};
use crate::registry::shared::workload::{
    selector_text, validate_counts, validate_not_more, validate_selector_and_template,
};
use crate::registry::strategy::{ScaleFns, ScaleView, Typed, parts};

/// StatefulSet's strategy.
pub static STRATEGY: Typed<StatefulSet> = Typed {
    generation: true,
    defaults,
    validate,
    validate_update,
    validate_status,
    warnings: |new, old| pod::warnings::template(&new.spec.template, old.map(|old| &old.spec.template)),
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

fn validate(set: &StatefulSet) -> ErrorList {
    let path = Path::new("spec");
    let spec = &set.spec;
    let mut errors = ErrorList::new();
    one_of(
        &mut errors,
        &path.child("podManagementPolicy"),
        spec.pod_management_policy.as_deref(),
        &["OrderedReady", "Parallel"],
    );
    update_strategy(&mut errors, &path.child("updateStrategy"), spec);
    let retention = spec.persistent_volume_claim_retention_policy.clone().unwrap_or_default();
    let at = path.child("persistentVolumeClaimRetentionPolicy");
    for (field, policy) in [("whenDeleted", retention.when_deleted), ("whenScaled", retention.when_scaled)] {
        optional_one_of(&mut errors, &at.child(field), policy.as_deref(), &["Retain", "Delete"]);
    }
    nonnegative(&mut errors, &path.child("replicas"), spec.replicas.unwrap_or_default());
    nonnegative(&mut errors, &path.child("minReadySeconds"), spec.min_ready_seconds.unwrap_or_default());
    if let Some(ordinals) = &spec.ordinals {
        nonnegative(&mut errors, &path.child("ordinals.start"), ordinals.start.unwrap_or_default());
    }
    validate_selector_and_template(&mut errors, &path, &spec.selector, &spec.template, "StatefulSet");
    errors
}

fn update_strategy(errors: &mut ErrorList, path: &Path<'_>, spec: &StatefulSetSpec) {
    let strategy = spec.update_strategy.clone().unwrap_or_default();
    match (strategy.type_.as_deref().unwrap_or_default(), &strategy.rolling_update) {
        ("", _) => errors.push(Error::required(&path.child("type"), "")),
        ("OnDelete", Some(_)) => {
            let detail = "only allowed for updateStrategy 'RollingUpdate'";
            errors.push(Error::invalid(&path.child("rollingUpdate"), shown(&strategy.rolling_update), detail));
        }
        ("OnDelete" | "RollingUpdate", None) => {}
        ("RollingUpdate", Some(rolling)) => {
            let at = path.child("rollingUpdate");
            nonnegative(errors, &at.child("partition"), rolling.partition.unwrap_or_default());
            if let Some(unavailable) = &rolling.max_unavailable {
                let at = at.child("maxUnavailable");
                count_or_percent(errors, &at, unavailable);
                if *unavailable == IntOrString::Int(0) || percent(unavailable) == Some(0) {
                    errors.push(Error::invalid(&at, shown(unavailable), "cannot be 0"));
                }
                at_most_all(errors, &at, unavailable);
            }
        }
        (other, _) => {
            let detail = "must be 'RollingUpdate' or 'OnDelete'";
            errors.push(Error::invalid(&path.child("type"), other, detail));
        }
    }
}

fn validate_update(new: &StatefulSet, old: &StatefulSet) -> ErrorList {
    const DETAIL: &str = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', \
'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";
    let mut errors = validate(new);
    let mut allowed = new.spec.clone();
    let old = &old.spec;
    allowed.replicas = old.replicas;
    allowed.ordinals.clone_from(&old.ordinals);
    allowed.template.clone_from(&old.template);
    allowed.update_strategy.clone_from(&old.update_strategy);
    allowed.revision_history_limit = old.revision_history_limit;
    allowed.min_ready_seconds = old.min_ready_seconds;
    allowed.persistent_volume_claim_retention_policy.clone_from(&old.persistent_volume_claim_retention_policy);
    if !same(&allowed, old) {
        errors.push(Error::forbidden(&Path::new("spec"), DETAIL));
    }
    errors
}

fn validate_status(new: &StatefulSet, _old: &StatefulSet) -> ErrorList {
    let path = Path::new("status");
    let mut errors = ErrorList::new();
    let status = new.status.clone().unwrap_or_default();
    let counts = [
        ("readyReplicas", status.ready_replicas.unwrap_or_default()),
        ("currentReplicas", status.current_replicas.unwrap_or_default()),
        ("updatedReplicas", status.updated_replicas.unwrap_or_default()),
        ("availableReplicas", status.available_replicas.unwrap_or_default()),
    ];
    nonnegative(&mut errors, &path.child("replicas"), status.replicas);
    validate_counts(&mut errors, &path, &counts);
    validate_not_more(&mut errors, &path, &counts, status.replicas);
    errors
}
