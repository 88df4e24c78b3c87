//! ConfigMap.

use k8s_openapi::api::core::v1::ConfigMap;
use machinery::Timestamp;
use machinery::field::{Error, ErrorList, Path};
use machinery::names::is_config_map_key;
use serde_json::Value;

use crate::registry::shared::immutable_data::{self, BYTES_MAX};
use crate::registry::shared::printer::{AGE, NAME, age, column, name};
use crate::registry::shared::validate::keys;
use crate::registry::strategy::{Typed, parts};

/// ConfigMap's strategy.
pub static STRATEGY: Typed<ConfigMap> = Typed {
    validate,
    validate_update,
    columns: &[NAME, column("Data", "string", "Number of keys."), AGE],
    cells,
    ..Typed::new(parts!(ConfigMap: data, binary_data, immutable))
};

fn cells(map: &ConfigMap, now: Timestamp) -> Vec<Value> {
    let keys = map.data.as_ref().map_or(0, |data| data.len()) + map.binary_data.as_ref().map_or(0, |data| data.len());
    vec![name(&map.metadata), keys.into(), age(&map.metadata, now)]
}

fn validate(map: &ConfigMap) -> ErrorList {
    let mut errors = ErrorList::new();
    keys(&mut errors, &Path::new("data"), map.data.as_ref(), is_config_map_key);
    let path = Path::new("binaryData");
    for key in map.binary_data.iter().flat_map(|data| data.keys()) {
        if map.data.as_ref().is_some_and(|data| data.contains_key(key)) {
            let detail = "duplicate of key present in data";
            errors.push(Error::invalid(&path.key(key), key.as_str(), detail));
        }
    }
    keys(&mut errors, &path, map.binary_data.as_ref(), is_config_map_key);
    let texts = map.data.iter().flat_map(|data| data.values()).map(String::len);
    let bytes: usize =
        texts.chain(map.binary_data.iter().flat_map(|data| data.values()).map(|data| data.0.len())).sum();
    if bytes > BYTES_MAX {
        // The object as a whole has no path; upstream prints its absence so.
        errors.push(Error::too_long(&Path::new("[]"), BYTES_MAX));
    }
    errors
}

fn validate_update(new: &ConfigMap, old: &ConfigMap) -> ErrorList {
    let mut errors = ErrorList::new();
    immutable_data::check(
        &mut errors,
        (new.immutable, old.immutable),
        &[("data", new.data != old.data), ("binaryData", new.binary_data != old.binary_data)],
    );
    errors.extend(validate(new));
    errors
}
