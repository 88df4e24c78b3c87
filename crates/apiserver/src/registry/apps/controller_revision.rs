//! ControllerRevision.

use k8s_openapi::api::apps::v1::ControllerRevision;
use machinery::Timestamp;
use serde_json::Value;

use crate::registry::info::Column;
use crate::registry::shared::printer::{AGE, NAME, age, column, name, or_none};
use crate::registry::strategy::{Typed, parts};

/// ControllerRevision's strategy.
pub static STRATEGY: Typed<ControllerRevision> =
    Typed { columns: COLUMNS, cells, ..Typed::new(parts!(ControllerRevision: data, revision)) };

const COLUMNS: &[Column] = &[
    NAME,
    column("Controller", "string", "What the revision is of."),
    column("Revision", "string", "Its number."),
    AGE,
];

fn cells(revision: &ControllerRevision, now: Timestamp) -> Vec<Value> {
    let controller = revision.metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true));
    let controller = controller.map(|owner| {
        let kind = owner.kind.to_ascii_lowercase();
        match owner.api_version.split_once('/') {
            Some((group, _)) => format!("{kind}.{group}/{}", owner.name),
            None => format!("{kind}/{}", owner.name),
        }
    });
    vec![
        name(&revision.metadata),
        or_none(controller.as_deref()),
        revision.revision.into(),
        age(&revision.metadata, now),
    ]
}
