//! The kinds of `flowcontrol.apiserver.k8s.io`.

use k8s_openapi::api::flowcontrol::v1::{FlowSchema, PriorityLevelConfiguration};
use machinery::Timestamp;
use machinery::field::{Error, ErrorList, Path};
use serde_json::Value;

use super::info::{Column, ResourceInfo, STATUS};
use super::shared::defaults::set;
use super::shared::printer::{AGE, NAME, age, column, name, or_none};
use super::shared::validate::one_of;
use super::strategy::{Typed, parts};

/// The group and version of these rows.
const V: (&str, &str) = ("flowcontrol.apiserver.k8s.io", "v1");

/// The rows of the group.
pub(super) static ROWS: &[ResourceInfo] = &[
    ResourceInfo {
        namespaced: false,
        subresources: &[STATUS],
        ..ResourceInfo::new(V, "flowschemas", "FlowSchema", "/registry/flowschemas", &FLOW_SCHEMA)
    },
    ResourceInfo {
        namespaced: false,
        subresources: &[STATUS],
        ..ResourceInfo::new(
            V,
            "prioritylevelconfigurations",
            "PriorityLevelConfiguration",
            "/registry/prioritylevelconfigurations",
            &PRIORITY_LEVEL_CONFIGURATION,
        )
    },
];

static FLOW_SCHEMA: Typed<FlowSchema> = Typed {
    generation: true,
    defaults: |schema| set(&mut schema.spec.matching_precedence, 1000),
    validate: validate_schema,
    validate_update: |new, _| validate_schema(new),
    columns: SCHEMA_COLUMNS,
    cells: schema_cells,
    ..Typed::new(parts!(FlowSchema: spec; status))
};

fn validate_schema(schema: &FlowSchema) -> ErrorList {
    const PRECEDENCE_MAX: i32 = 10_000;
    let mut errors = ErrorList::new();
    let path = Path::new("spec");
    let precedence = schema.spec.matching_precedence.unwrap_or_default();
    if precedence <= 0 {
        errors.push(Error::invalid(&path.child("matchingPrecedence"), precedence, "must be a positive value"));
    }
    if precedence > PRECEDENCE_MAX {
        let detail = format!("must not be greater than {PRECEDENCE_MAX}");
        errors.push(Error::invalid(&path.child("matchingPrecedence"), precedence, detail));
    }
    if schema.spec.priority_level_configuration.name.is_empty() {
        let detail = "must reference a priority level";
        errors.push(Error::required(&path.child("priorityLevelConfiguration.name"), detail));
    }
    errors
}

const SCHEMA_COLUMNS: &[Column] = &[
    NAME,
    column("PriorityLevel", "string", "The level its requests have."),
    column("MatchingPrecedence", "string", "Lower ones are looked at first."),
    column("DistinguisherMethod", "string", "What tells flows apart."),
    AGE,
    column("MissingPL", "string", "Whether the level is not there."),
];

fn schema_cells(schema: &FlowSchema, now: Timestamp) -> Vec<Value> {
    let spec = &schema.spec;
    let method = spec.distinguisher_method.as_ref().map(|method| method.type_.as_str());
    let conditions = schema.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let dangling = conditions.iter().find(|condition| condition.type_ == "Dangling");
    vec![
        name(&schema.metadata),
        spec.priority_level_configuration.name.clone().into(),
        spec.matching_precedence.unwrap_or_default().into(),
        or_none(method),
        age(&schema.metadata, now),
        dangling.and_then(|condition| condition.status.clone()).unwrap_or_else(|| "?".into()).into(),
    ]
}

static PRIORITY_LEVEL_CONFIGURATION: Typed<PriorityLevelConfiguration> = Typed {
    generation: true,
    defaults: level_defaults,
    validate: validate_level,
    validate_update: |new, _| validate_level(new),
    columns: LEVEL_COLUMNS,
    cells: level_cells,
    ..Typed::new(parts!(PriorityLevelConfiguration: spec; status))
};

fn level_defaults(level: &mut PriorityLevelConfiguration) {
    if let Some(exempt) = &mut level.spec.exempt {
        set(&mut exempt.nominal_concurrency_shares, 0);
        set(&mut exempt.lendable_percent, 0);
    }
    let Some(limited) = &mut level.spec.limited else { return };
    set(&mut limited.nominal_concurrency_shares, 30);
    set(&mut limited.lendable_percent, 0);
    if limited.limit_response.type_ == "Queue" {
        let queuing = limited.limit_response.queuing.get_or_insert_default();
        for (field, value) in
            [(&mut queuing.queues, 64), (&mut queuing.hand_size, 8), (&mut queuing.queue_length_limit, 50)]
        {
            if field.unwrap_or_default() == 0 {
                *field = Some(value);
            }
        }
    }
}

fn validate_level(level: &PriorityLevelConfiguration) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec");
    let spec = &level.spec;
    one_of(&mut errors, &path.child("type"), Some(&spec.type_), &["Exempt", "Limited"]);
    match (spec.type_.as_str(), &spec.limited) {
        ("Exempt", Some(_)) => {
            errors.push(Error::forbidden(&path.child("limited"), "must be nil if the type is not Limited"));
        }
        ("Limited", None) => {
            errors.push(Error::required(&path.child("limited"), "must not be empty when type is Limited"));
        }
        _ => {}
    }
    errors
}

const LEVEL_COLUMNS: &[Column] = &[
    NAME,
    column("Type", "string", "Limited or Exempt."),
    column("NominalConcurrencyShares", "string", "The level's part of what is served at once."),
    column("Queues", "string", "How many queues there are."),
    column("HandSize", "string", "How many queues a flow may use."),
    column("QueueLengthLimit", "string", "How many requests wait in a queue."),
    AGE,
];

fn level_cells(level: &PriorityLevelConfiguration, now: Timestamp) -> Vec<Value> {
    let limited = level.spec.limited.as_ref();
    let exempt = level.spec.exempt.as_ref().and_then(|exempt| exempt.nominal_concurrency_shares);
    let queuing = limited.and_then(|limited| limited.limit_response.queuing.clone()).unwrap_or_default();
    let number = |number: Option<i32>| number.map_or_else(|| Value::from("<none>"), Value::from);
    vec![
        name(&level.metadata),
        level.spec.type_.clone().into(),
        number(limited.and_then(|limited| limited.nominal_concurrency_shares).or(exempt)),
        number(queuing.queues),
        number(queuing.hand_size),
        number(queuing.queue_length_limit),
        age(&level.metadata, now),
    ]
}
