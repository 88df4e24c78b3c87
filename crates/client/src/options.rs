//! What calls can ask for, and how it is written in a query.

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

/// `metav1.ListOptions`, as far as components use them. Empty strings are left out of the query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListOptions {
    /// Label selector in string form.
    pub label_selector: String,
    /// Field selector in string form, such as `spec.nodeName=node-1`.
    pub field_selector: String,
    /// Revision to list at or to watch from.
    pub resource_version: String,
    /// `NotOlderThan` or `Exact`.
    pub resource_version_match: String,
    /// Items in one chunk.
    pub limit: Option<u32>,
    /// Token of the next chunk.
    pub continue_token: String,
    /// Ask for bookmarks in a watch.
    pub allow_watch_bookmarks: bool,
    /// After this long the server ends the watch.
    pub timeout: Option<Duration>,
}

impl ListOptions {
    /// Only objects with these labels.
    pub fn labels(selector: impl Into<String>) -> Self {
        Self { label_selector: selector.into(), ..Self::default() }
    }

    /// Only objects with these fields.
    pub fn fields(selector: impl Into<String>) -> Self {
        Self { field_selector: selector.into(), ..Self::default() }
    }

    pub(crate) fn query(&self, watch: bool) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let strings = [
            ("labelSelector", &self.label_selector),
            ("fieldSelector", &self.field_selector),
            ("resourceVersion", &self.resource_version),
            ("resourceVersionMatch", &self.resource_version_match),
            ("continue", &self.continue_token),
        ];
        for (name, value) in strings.into_iter().filter(|(_, value)| !value.is_empty()) {
            query.append_pair(name, value);
        }
        if let Some(limit) = self.limit {
            query.append_pair("limit", &limit.to_string());
        }
        if let Some(timeout) = self.timeout {
            query.append_pair("timeoutSeconds", &timeout.as_secs().to_string());
        }
        if watch {
            query.append_pair("watch", "true");
            if self.allow_watch_bookmarks {
                query.append_pair("allowWatchBookmarks", "true");
            }
        }
        query.finish()
    }
}

/// A patch: its kind and its body.
#[derive(Clone, Debug)]
pub enum Patch {
    /// `application/json-patch+json`.
    Json(Value),
    /// `application/merge-patch+json`.
    Merge(Value),
    /// `application/strategic-merge-patch+json`.
    Strategic(Value),
    /// `application/apply-patch+yaml`, which also takes JSON.
    Apply {
        /// The fields to apply.
        fields: Value,
        /// Take fields that another manager owns.
        force: bool,
    },
}

impl Patch {
    pub(crate) fn content_type(&self) -> &'static str {
        match self {
            Self::Json(_) => "application/json-patch+json",
            Self::Merge(_) => "application/merge-patch+json",
            Self::Strategic(_) => "application/strategic-merge-patch+json",
            Self::Apply { .. } => "application/apply-patch+yaml",
        }
    }

    pub(crate) fn body(&self) -> Bytes {
        let (Self::Json(value) | Self::Merge(value) | Self::Strategic(value) | Self::Apply { fields: value, .. }) =
            self;
        serde_json::to_vec(value).unwrap_or_default().into()
    }

    pub(crate) fn query(&self, field_manager: &str) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        if let Self::Apply { force, .. } = self {
            query.append_pair("fieldManager", field_manager);
            if *force {
                query.append_pair("force", "true");
            }
        }
        query.finish()
    }
}

/// What happens to an object's dependents when it is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// They lose their owner and stay.
    Orphan,
    /// The garbage collector deletes them afterwards.
    Background,
    /// The object stays until those that block its deletion are gone.
    Foreground,
}

/// `metav1.DeleteOptions`, as far as components use them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    /// Seconds until the object goes for good; 0 is at once.
    pub grace_period_seconds: Option<i64>,
    /// Delete only the object with this uid.
    pub uid: Option<String>,
    /// Delete only this revision of the object.
    pub resource_version: Option<String>,
    /// What happens to dependents.
    pub propagation: Option<Propagation>,
}

impl DeleteOptions {
    /// Deletes only the object with this uid.
    pub fn uid(uid: impl Into<String>) -> Self {
        Self { uid: Some(uid.into()), ..Self::default() }
    }

    /// The options as an object of the API.
    pub fn to_value(&self) -> Value {
        let mut options = serde_json::json!({ "kind": "DeleteOptions", "apiVersion": "v1" });
        if let Some(seconds) = self.grace_period_seconds {
            options["gracePeriodSeconds"] = seconds.into();
        }
        if let Some(uid) = &self.uid {
            options["preconditions"]["uid"] = uid.as_str().into();
        }
        if let Some(version) = &self.resource_version {
            options["preconditions"]["resourceVersion"] = version.as_str().into();
        }
        if let Some(propagation) = self.propagation {
            options["propagationPolicy"] = match propagation {
                Propagation::Orphan => "Orphan",
                Propagation::Background => "Background",
                Propagation::Foreground => "Foreground",
            }
            .into();
        }
        options
    }
}
