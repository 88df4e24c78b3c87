//! Data that may be closed: ConfigMap's and Secret's.

use machinery::field::{Error, ErrorList, Path};

/// All data of one object may have this many bytes.
pub const BYTES_MAX: usize = 1 << 20;

/// An object once immutable stays so, with its data. Takes the new and the old `immutable`, and which
/// fields changed.
pub fn check(errors: &mut ErrorList, (new, old): (Option<bool>, Option<bool>), changed: &[(&str, bool)]) {
    const DETAIL: &str = "field is immutable when `immutable` is set";
    if old != Some(true) {
        return;
    }
    if new != Some(true) {
        errors.push(Error::forbidden(&Path::new("immutable"), DETAIL));
    }
    for (field, _) in changed.iter().filter(|(_, changed)| *changed) {
        errors.push(Error::forbidden(&Path::new(field), DETAIL));
    }
}
