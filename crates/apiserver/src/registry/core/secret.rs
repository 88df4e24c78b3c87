//! Secret.

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use machinery::Timestamp;
use serde_json::Value;

use crate::registry::shared::defaults::text;
use crate::registry::shared::printer::{AGE, NAME, age, column, name};
use crate::registry::strategy::{Field, Typed, parts};

/// Secret's strategy.
pub static STRATEGY: Typed<Secret> = Typed {
    defaults,
    fields: &[Field { name: "type", get: |secret| secret.type_.clone().unwrap_or_default() }],
    columns: &[
        NAME,
        column("Type", "string", "What the secret is for."),
        column("Data", "string", "Number of keys."),
        AGE,
    ],
    cells,
    ..Typed::new(parts!(Secret: data, type_, immutable))
};

/// `stringData` is written, never read: it becomes data.
fn defaults(secret: &mut Secret) {
    text(&mut secret.type_, "Opaque");
    if let Some(texts) = secret.string_data.take().filter(|texts| !texts.is_empty()) {
        let data = secret.data.get_or_insert_default();
        data.extend(texts.into_iter().map(|(key, text)| (key, ByteString(text.into_bytes()))));
    }
}

fn cells(secret: &Secret, now: Timestamp) -> Vec<Value> {
    vec![
        name(&secret.metadata),
        secret.type_.clone().unwrap_or_default().into(),
        secret.data.as_ref().map_or(0, |data| data.len()).into(),
        age(&secret.metadata, now),
    ]
}
