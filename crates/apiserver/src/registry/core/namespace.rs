//! Namespace.

use k8s_openapi::api::core::v1::Namespace;
use machinery::Timestamp;
use machinery::field::ErrorList;
use serde_json::Value;

use crate::registry::shared::names;
use crate::registry::shared::printer::{AGE, NAME, age, column, name};
use crate::registry::strategy::{Field, Subresource, Typed, parts};

/// The label that carries a namespace's name.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";
/// The finalizer that keeps a namespace until all in it is gone.
const FINALIZER: &str = "kubernetes";

/// Namespace's strategy. Spec, which is the finalizers, changes through `…/finalize` only.
pub static STRATEGY: Typed<Namespace> = Typed {
    name: names::label,
    defaults,
    prepare_for_create,
    prepare_for_update: |new, old| new.spec.clone_from(&old.spec),
    subresources: &[Subresource {
        name: "finalize",
        prepare: |new, old| new.status.clone_from(&old.status),
        validate: |_, _| ErrorList::new(),
    }],
    fields: &[Field { name: "status.phase", get: |namespace| phase(namespace).into() }],
    columns: &[NAME, column("Status", "string", "Active, or Terminating."), AGE],
    cells: |namespace, now| cells(namespace, now),
    ..Typed::new(parts!(Namespace: spec; status))
};

fn phase(namespace: &Namespace) -> &str {
    namespace.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

fn defaults(namespace: &mut Namespace) {
    if let Some(name) = namespace.metadata.name.clone().filter(|name| !name.is_empty()) {
        namespace.metadata.labels.get_or_insert_default().insert(NAME_LABEL.into(), name);
    }
}

fn prepare_for_create(namespace: &mut Namespace) {
    namespace.status.get_or_insert_default().phase = Some("Active".into());
    let finalizers = namespace.spec.get_or_insert_default().finalizers.get_or_insert_default();
    if !finalizers.iter().any(|finalizer| finalizer == FINALIZER) {
        finalizers.push(FINALIZER.into());
    }
}

fn cells(namespace: &Namespace, now: Timestamp) -> Vec<Value> {
    vec![name(&namespace.metadata), phase(namespace).into(), age(&namespace.metadata, now)]
}
