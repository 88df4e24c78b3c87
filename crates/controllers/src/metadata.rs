//! Metadata of objects whose kind may be any.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use machinery::Encoded;

/// An object's metadata, whatever it is; none where it has none.
pub fn metadata_of(object: &Encoded) -> Option<Cow<'_, ObjectMeta>> {
    match object.object() {
        Some(object) => Some(Cow::Borrowed(object.metadata())),
        None => machinery::object::from_value(object.value().ok()?.get_mut("metadata")?.take()).ok().map(Cow::Owned),
    }
}
