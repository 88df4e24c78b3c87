//! The kinds of `scheduling.k8s.io`.

use k8s_openapi::api::scheduling::v1::PriorityClass;
use machinery::Timestamp;
use machinery::field::{Error, ErrorList, Path};
use serde_json::Value;

use super::info::ResourceInfo;
use super::shared::defaults::set;
use super::shared::meta::immutable;
use super::shared::printer::{AGE, NAME, age, column, name};
use super::shared::validate::optional_one_of;
use super::strategy::{Typed, parts};

/// The highest priority that users may give out.
const USER_PRIORITY_MAX: i32 = 1_000_000_000;
const SYSTEM_PREFIX: &str = "system-";
/// The classes that every cluster has.
const SYSTEM_CLASSES: [(&str, i32); 2] =
    [("system-node-critical", 2_000_001_000), ("system-cluster-critical", 2_000_000_000)];

/// The rows of the group.
pub(super) static ROWS: &[ResourceInfo] = &[ResourceInfo {
    namespaced: false,
    short_names: &["pc"],
    ..ResourceInfo::new(
        ("scheduling.k8s.io", "v1"),
        "priorityclasses",
        "PriorityClass",
        "/registry/priorityclasses",
        &PRIORITY_CLASS,
    )
}];

static PRIORITY_CLASS: Typed<PriorityClass> = Typed {
    generation: true,
    defaults: |class| set(&mut class.preemption_policy, "PreemptLowerPriority".into()),
    validate,
    validate_update,
    columns: &[
        NAME,
        column("Value", "integer", "The priority pods of the class get."),
        column("Global-Default", "boolean", "Whether pods that name no class get this one."),
        AGE,
        column("PreemptionPolicy", "string", "Whether pods of the class push others out."),
    ],
    cells,
    ..Typed::new(parts!(PriorityClass: description, global_default, preemption_policy, value))
};

fn validate(class: &PriorityClass) -> ErrorList {
    let mut errors = ErrorList::new();
    let name = class.metadata.name.as_deref().unwrap_or_default();
    let value = class.value.unwrap_or_default();
    if name.starts_with(SYSTEM_PREFIX) {
        if !SYSTEM_CLASSES.contains(&(name, value)) {
            let error = match SYSTEM_CLASSES.iter().find(|(known, _)| *known == name) {
                Some((_, value)) => format!("value of {name} PriorityClass must be {value}"),
                None => format!("{name} is not a known system priority class"),
            };
            let detail = format!(
                "priority class names with '{SYSTEM_PREFIX}' prefix are reserved for system use only. error: {error}"
            );
            errors.push(Error::forbidden(&Path::new("metadata.name"), detail));
        }
    } else if value > USER_PRIORITY_MAX {
        let detail = format!("maximum allowed value of a user defined priority is {USER_PRIORITY_MAX}");
        errors.push(Error::forbidden(&Path::new("value"), detail));
    }
    let policies = ["Never", "PreemptLowerPriority"];
    optional_one_of(&mut errors, &Path::new("preemptionPolicy"), class.preemption_policy.as_deref(), &policies);
    errors
}

fn validate_update(new: &PriorityClass, old: &PriorityClass) -> ErrorList {
    let mut errors = ErrorList::new();
    if new.value.unwrap_or_default() != old.value.unwrap_or_default() {
        errors.push(Error::forbidden(&Path::new("value"), "may not be changed in an update."));
    }
    errors.extend(immutable(&new.preemption_policy, &old.preemption_policy, &Path::new("preemptionPolicy")));
    errors
}

fn cells(class: &PriorityClass, now: Timestamp) -> Vec<Value> {
    vec![
        name(&class.metadata),
        class.value.unwrap_or_default().into(),
        (class.global_default == Some(true)).into(),
        age(&class.metadata, now),
        class.preemption_policy.clone().unwrap_or_default().into(),
    ]
}
