//! The kinds of `apiregistration.k8s.io`.

use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use machinery::Timestamp;
use machinery::field::{Error, ErrorList, Path};
use serde_json::Value;

use super::info::{Column, ResourceInfo, STATUS};
use super::shared::defaults::set;
use super::shared::names;
use super::shared::printer::{AGE, NAME, age, column, name};
use super::strategy::{Typed, parts};

/// The rows of the group.
pub(super) static ROWS: &[ResourceInfo] = &[ResourceInfo {
    namespaced: false,
    categories: &["api-extensions"],
    subresources: &[STATUS],
    ..ResourceInfo::new(
        ("apiregistration.k8s.io", "v1"),
        "apiservices",
        "APIService",
        "/registry/apiregistration.k8s.io/apiservices",
        &STRATEGY,
    )
}];

static STRATEGY: Typed<APIService> = Typed {
    name: names::path_segment,
    defaults: |object| {
        if let Some(service) = object.spec.as_mut().and_then(|spec| spec.service.as_mut()) {
            set(&mut service.port, 443);
        }
    },
    validate,
    validate_update: |new, _| validate(new),
    columns: COLUMNS,
    cells,
    unconditional_update: false,
    ..Typed::new(parts!(APIService: spec; status))
};

fn validate(object: &APIService) -> ErrorList {
    let mut errors = ErrorList::new();
    let spec = object.spec.clone().unwrap_or_default();
    let (group, version) = (spec.group.unwrap_or_default(), spec.version.unwrap_or_default());
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let expected = format!("{version}.{group}");
    if name != expected {
        let detail = format!("must be `spec.version+\".\"+spec.group`: \"{expected}\"");
        errors.push(Error::invalid(&Path::new("metadata.name"), name, detail));
    }
    let path = Path::new("spec");
    if !(0..=20_000).contains(&spec.group_priority_minimum) {
        let detail = "must be positive and less than 20000";
        errors.push(Error::invalid(&path.child("groupPriorityMinimum"), spec.group_priority_minimum, detail));
    }
    if !(0..=1000).contains(&spec.version_priority) {
        let detail = "must be positive and less than 1000";
        errors.push(Error::invalid(&path.child("versionPriority"), spec.version_priority, detail));
    }
    errors
}

const COLUMNS: &[Column] = &[
    NAME,
    column("Service", "string", "Who serves the group's version."),
    column("Available", "string", "Whether it can be reached."),
    AGE,
];

fn cells(object: &APIService, now: Timestamp) -> Vec<Value> {
    let service = object.spec.as_ref().and_then(|spec| spec.service.clone());
    let service = service.map(|it| format!("{}/{}", it.namespace.unwrap_or_default(), it.name.unwrap_or_default()));
    let conditions = object.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let available = conditions.iter().find(|condition| condition.type_ == "Available");
    let available = match available {
        None => "Unknown".to_owned(),
        Some(condition) if condition.status == "True" => "True".to_owned(),
        Some(condition) => format!("{} ({})", condition.status, condition.reason.clone().unwrap_or_default()),
    };
    vec![
        name(&object.metadata),
        service.unwrap_or_else(|| "Local".into()).into(),
        available.into(),
        age(&object.metadata, now),
    ]
}
