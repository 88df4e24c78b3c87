//! ConfigMap.

use k8s_openapi::api::core::v1::ConfigMap;
use machinery::Timestamp;
use serde_json::Value;

use crate::registry::shared::printer::{AGE, NAME, age, column, name};
use crate::registry::strategy::{Typed, parts};

/// ConfigMap's strategy.
pub static STRATEGY: Typed<ConfigMap> = Typed {
    columns: &[NAME, column("Data", "string", "Number of keys."), AGE],
    cells,
    ..Typed::new(parts!(ConfigMap: data, binary_data, immutable))
};

fn cells(map: &ConfigMap, now: Timestamp) -> Vec<Value> {
    let keys = map.data.as_ref().map_or(0, |data| data.len()) + map.binary_data.as_ref().map_or(0, |data| data.len());
    vec![name(&map.metadata), keys.into(), age(&map.metadata, now)]
}
