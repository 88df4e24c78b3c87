//! The kinds of `node.k8s.io`.

use k8s_openapi::api::node::v1::RuntimeClass;
use machinery::field::{ErrorList, Path};
use machinery::names::is_dns1123_label;

use super::info::ResourceInfo;
use super::rare::Rare;
use super::shared::meta::immutable;
use super::shared::printer::{AGE, NAME, age, column, name};
use super::shared::resources::quantity;
use super::shared::validate::required;
use super::strategy::{Typed, parts};

/// The rows of the group.
pub(super) static ROWS: &[ResourceInfo] = &[ResourceInfo {
    namespaced: false,
    ..ResourceInfo::new(
        ("node.k8s.io", "v1"),
        "runtimeclasses",
        "RuntimeClass",
        "/registry/runtimeclasses",
        &Rare::RuntimeClass,
    )
}];

pub(super) static RUNTIME_CLASS: Typed<RuntimeClass> = Typed {
    validate,
    validate_update: |new, old| immutable(&new.handler, &old.handler, &Path::new("handler")),
    columns: &[NAME, column("Handler", "string", "The runtime's name for the class."), AGE],
    cells: |class, now| vec![name(&class.metadata), class.handler.clone().into(), age(&class.metadata, now)],
    unconditional_update: false,
    ..Typed::new(parts!(RuntimeClass: handler, overhead, scheduling))
};

fn validate(class: &RuntimeClass) -> ErrorList {
    let mut errors = ErrorList::new();
    required(&mut errors, &Path::new("handler"), &class.handler, is_dns1123_label);
    let path = Path::new("overhead.podFixed");
    for (resource, amount) in class.overhead.iter().filter_map(|overhead| overhead.pod_fixed.as_ref()).flatten() {
        quantity(&mut errors, &path.key(resource), resource, amount);
    }
    errors
}
