//! Setting what is absent, and writing amounts in one way.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;
use machinery::Quantity;

/// Sets a field that is absent.
pub fn set<T>(field: &mut Option<T>, value: T) {
    if field.is_none() {
        *field = Some(value);
    }
}

/// Sets a text that is absent or empty: upstream does not tell the two apart.
pub fn text(field: &mut Option<String>, value: &str) {
    if field.as_deref().unwrap_or_default().is_empty() {
        *field = Some(value.into());
    }
}

/// Writes amounts as upstream does: `1000m` is `1`, `1024Mi` is `1Gi`. What cannot be read stays, for
/// validation to complain of.
pub fn canonical(amounts: Option<&mut BTreeMap<String, Text>>) {
    for amount in amounts.into_iter().flat_map(BTreeMap::values_mut) {
        canonical_amount(amount);
    }
}

/// As [`canonical`], of one amount.
pub fn canonical_amount(amount: &mut Text) {
    if let Ok(canonical) = Quantity::canonical(&amount.0) {
        amount.0 = canonical;
    }
}
