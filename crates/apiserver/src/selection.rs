//! Which objects of a resource a request is about: namespace, label and field selectors.

use machinery::labels::{Labels, Selector};
use machinery::{ApiError, Encoded, Object, fields, raw};

use crate::call::{Call, Result};
use crate::registry::ResourceInfo;
use crate::storage;

/// The selectors of a list, a watch or a deletecollection.
#[derive(Clone)]
pub(crate) struct Selection {
    labels: Selector,
    pub(crate) fields: fields::Selector,
}

impl Selection {
    /// From the request's parameters.
    ///
    /// # Errors
    /// 400 for selectors that cannot be read, and for fields that cannot be selected by.
    pub(crate) fn parse(call: &Call) -> Result<Self> {
        let labels = Selector::parse(call.info.query.get("labelSelector"))
            .map_err(|error| ApiError::bad_request(error.to_string()))?;
        let mut fields = fields::Selector::parse(call.info.query.get("fieldSelector"))
            .map_err(|error| ApiError::bad_request(error.to_string()))?;
        let row = call.row;
        let renamed = row.conversion.map_or(&[][..], |conversion| conversion.fields);
        for requirement in &mut fields.requirements {
            let field = requirement.field.as_str();
            let metadata = field == "metadata.name" || (row.namespaced && field == "metadata.namespace");
            if !metadata && !row.selectable_fields().contains(&field) {
                return Err(ApiError::bad_request(unsupported(row, field)));
            }
            if let Some((_, stored)) = renamed.iter().find(|(name, _)| *name == field) {
                requirement.field = (*stored).to_owned();
            }
        }
        Ok(Self { labels, fields })
    }

    /// Whether every object is selected.
    pub(crate) fn is_everything(&self) -> bool {
        self.labels.is_everything() && self.fields.is_everything()
    }

    /// Whether a stored object is selected, found with as little work as there is to it.
    ///
    /// # Errors
    /// When it cannot be decoded.
    pub(crate) fn selects(&self, row: &ResourceInfo, stored: &Encoded) -> Result<bool> {
        if self.is_everything() {
            return Ok(true);
        }
        if self.fields.is_everything() && stored.object().is_none() {
            let metadata = stored.metadata();
            let members = raw::member(&metadata, "labels").into_iter().flat_map(raw::members);
            let labels: Labels = members.map(|(name, value)| (raw::text(name), raw::text(value))).collect();
            return Ok(self.labels.matches(Some(&labels)));
        }
        Ok(self.matches(row, &*storage::typed(row, stored)?))
    }

    /// Whether an object is selected.
    pub(crate) fn matches(&self, row: &ResourceInfo, object: &dyn Object) -> bool {
        let labels: Option<&Labels> = object.metadata().labels.as_ref();
        self.labels.matches(labels) && self.fields.matches(|field| row.field(object, field))
    }
}

/// Upstream's complaint about a field that is none of the kind's: some kinds list what they know.
fn unsupported(row: &ResourceInfo, field: &str) -> String {
    let quoted = machinery::go::quote(field);
    if row.selectable_fields().is_empty() {
        format!("{quoted} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"")
    } else {
        format!("field label not supported: {field}")
    }
}
