//! Setting what is absent.

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
