//! One request about a resource, on its way through the chain.

use http::HeaderMap;
use machinery::field::{Error, ErrorList, Path};
use machinery::{ApiError, GroupResource, GroupVersionKind, Timestamp};

use crate::auth::UserInfo;
use crate::managed_fields::FieldSet;
use crate::registry::ResourceInfo;

use crate::request_info::RequestInfo;
use crate::server::ApiServer;

/// What a step of the chain gives.
pub(crate) type Result<T> = std::result::Result<T, ApiError>;

/// A request about a resource.
pub(crate) struct Call {
    pub(crate) server: ApiServer,
    pub(crate) info: RequestInfo,
    pub(crate) headers: HeaderMap,
    pub(crate) user: UserInfo,
    /// The row of the resource.
    pub(crate) row: &'static ResourceInfo,
    /// Who writes and why, for the store's trace.
    pub(crate) origin: store::Origin,
    /// Whether a component of this process asks.
    pub(crate) from_component: bool,
    /// The time of the request.
    pub(crate) now: Timestamp,
    /// What a server-side apply sets; its manager owns these fields, and not what it finds changed.
    pub(crate) applied: Option<FieldSet>,
    /// Whether the object is changed by way of its scale, which manages what it sets apart.
    pub(crate) scales: bool,
    /// Texts for Warning headers.
    pub(crate) warnings: Vec<String>,
}

impl Call {
    /// Group and resource, as messages name them.
    pub(crate) fn resource(&self) -> GroupResource {
        self.row.group_resource()
    }

    /// The key of the object the request names.
    pub(crate) fn key(&self) -> String {
        crate::storage::key(self.row, &self.info.namespace, &self.info.name)
    }

    /// 404 for the object the request names.
    pub(crate) fn not_found(&self) -> ApiError {
        ApiError::not_found(&self.resource(), &self.info.name)
    }

    /// Whether nothing is to be written (`dryRun=All`).
    ///
    /// # Errors
    /// 422 for anything but `All`.
    pub(crate) fn dry_run(&self) -> Result<bool> {
        let values = self.info.query.all("dryRun");
        dry_run(values.iter().map(AsRef::as_ref), options_kind(self))
    }

    /// The subresource through which this call's manager has the fields it sets; empty for the object itself.
    pub(crate) fn manages_through(&self) -> &str {
        if self.scales { "scale" } else { &self.info.subresource }
    }

    /// Refuses a field manager that is too long or cannot be printed.
    ///
    /// # Errors
    /// 422 with what is wrong with it.
    pub(crate) fn check_field_manager(&self) -> Result<()> {
        let (path, given) = (Path::new("fieldManager"), self.info.query.get("fieldManager"));
        let mut errors = ErrorList::new();
        if given.len() > FIELD_MANAGER_BYTES_MAX {
            errors.push(Error::too_long(&path, FIELD_MANAGER_BYTES_MAX));
        }
        for (at, _) in given.char_indices().filter(|(_, c)| !machinery::go::is_print(*c)) {
            let detail = format!("should only contain printable characters (at position {at})");
            errors.push(Error::invalid(&path, given, detail));
        }
        if errors.is_empty() {
            return Ok(());
        }
        let kind = GroupVersionKind::from_api_version("meta.k8s.io/v1", options_kind(self));
        Err(ApiError::invalid(&kind, "", &errors))
    }

    /// The field manager: as given, or the first word of the user agent.
    pub(crate) fn field_manager(&self) -> String {
        let given = self.info.query.get("fieldManager");
        if !given.is_empty() {
            return given.to_owned();
        }
        let agent = self.headers.get(http::header::USER_AGENT).and_then(|agent| agent.to_str().ok());
        let first = agent.unwrap_or_default().split('/').next().unwrap_or_default();
        let printable =
            first.chars().filter(|c| machinery::go::is_print(*c)).take(FIELD_MANAGER_BYTES_MAX).collect::<String>();
        if printable.is_empty() { "unknown".into() } else { printable }
    }

    /// 422 for an object with errors; nothing if there are none.
    pub(crate) fn check(&self, name: &str, errors: ErrorList) -> Result<()> {
        if errors.is_empty() { Ok(()) } else { Err(ApiError::invalid(&self.row.gvk(), name, &errors)) }
    }
}

/// How long a field manager's name may be.
const FIELD_MANAGER_BYTES_MAX: usize = 128;

/// Whether values of `dryRun` ask for it.
///
/// # Errors
/// 422 for anything but `All`.
pub(crate) fn dry_run<'a>(mut values: impl Iterator<Item = &'a str> + Clone, kind: &str) -> Result<bool> {
    match values.clone().find(|value| !matches!(*value, "" | "All")) {
        None => Ok(values.any(|value| value == "All")),
        Some(other) => Err(invalid_options(
            "dryRun",
            &format!("Unsupported value: {}: supported values: \"All\"", machinery::go::quote(other)),
            "FieldValueNotSupported",
            kind,
        )),
    }
}

/// The kind of the request's own parameters, as errors name it.
pub(crate) fn options_kind(call: &Call) -> &'static str {
    match call.info.verb.as_str() {
        "create" => "CreateOptions",
        "update" => "UpdateOptions",
        "patch" => "PatchOptions",
        "delete" | "deletecollection" => "DeleteOptions",
        _ => "ListOptions",
    }
}

/// 422 for a request's parameters: `kind.meta.k8s.io "" is invalid: field: message`.
pub(crate) fn invalid_options(field: &str, message: &str, reason: &str, kind: &str) -> ApiError {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{StatusCause, StatusDetails};
    let cause = StatusCause { field: Some(field.into()), message: Some(message.into()), reason: Some(reason.into()) };
    ApiError::new(422, "Invalid", format!("{kind}.meta.k8s.io \"\" is invalid: {field}: {message}")).with_details(
        StatusDetails {
            group: Some("meta.k8s.io".into()),
            kind: Some(kind.into()),
            causes: Some(vec![cause]),
            ..StatusDetails::default()
        },
    )
}
