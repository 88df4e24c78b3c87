//! `metav1.Status` as an error, in upstream's words (apimachinery `api/errors`).

use std::fmt;

use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Status, StatusCause, StatusDetails};

use crate::field::{self, ErrorList};
use crate::go;
use crate::gvk::{GroupResource, GroupVersionKind};
use crate::wire::{Body, Response};
use crate::{json, raw};

/// Why a request failed: a `Status` with reason, code, details and a message for people, which is what
/// `Display` prints.
#[derive(Clone, PartialEq)]
pub struct ApiError(pub Box<Status>);

impl ApiError {
    /// A failure with code, reason and message; the constructors below cover Kubernetes' own.
    pub fn new(code: u16, reason: &str, message: impl Into<String>) -> Self {
        Self(Box::new(Status {
            code: Some(code.into()),
            message: Some(message.into()),
            reason: Some(reason.to_owned()).filter(|reason| !reason.is_empty()),
            status: Some("Failure".into()),
            ..Status::default()
        }))
    }

    fn about(code: u16, reason: &str, resource: &GroupResource, name: &str, message: String) -> Self {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Self::new(code, reason, message).with_details(StatusDetails {
            group: some(&resource.group),
            kind: some(&resource.resource),
            name: some(name),
            ..StatusDetails::default()
        })
    }

    /// The same failure with other details.
    pub fn with_details(mut self, details: StatusDetails) -> Self {
        self.0.details = Some(details);
        self
    }

    /// The same failure with causes in its details.
    pub fn with_causes(mut self, causes: Vec<StatusCause>) -> Self {
        self.0.details.get_or_insert_default().causes = Some(causes);
        self
    }

    /// The same failure with the time after which a client may try again.
    pub fn with_retry_after(mut self, seconds: i32) -> Self {
        self.0.details.get_or_insert_default().retry_after_seconds = Some(seconds);
        self
    }

    /// 404: `pods "web" not found`.
    pub fn not_found(resource: &GroupResource, name: &str) -> Self {
        Self::about(404, "NotFound", resource, name, format!("{resource} {} not found", go::quote(name)))
    }

    /// 404 for a path or resource type that is not served.
    pub fn resource_not_found() -> Self {
        Self::new(404, "NotFound", "the server could not find the requested resource")
            .with_details(StatusDetails::default())
    }

    /// 409: `pods "web" already exists`.
    pub fn already_exists(resource: &GroupResource, name: &str) -> Self {
        Self::about(409, "AlreadyExists", resource, name, format!("{resource} {} already exists", go::quote(name)))
    }

    /// 409: `Operation cannot be fulfilled on pods "web": …`.
    pub fn conflict(resource: &GroupResource, name: &str, error: impl fmt::Display) -> Self {
        let message = format!("Operation cannot be fulfilled on {resource} {}: {error}", go::quote(name));
        Self::about(409, "Conflict", resource, name, message)
    }

    /// 409 for a write based on an older revision than the stored one.
    pub fn modified(resource: &GroupResource, name: &str) -> Self {
        let error = "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(resource, name, error)
    }

    /// 409 of server-side apply, a cause for each field in conflict.
    pub fn apply_conflict(causes: Vec<StatusCause>, message: impl Into<String>) -> Self {
        Self::new(409, "Conflict", message).with_causes(causes)
    }

    /// 422: `Pod "web" is invalid: …`, a cause for each error.
    pub fn invalid(kind: &GroupVersionKind, name: &str, errors: &ErrorList) -> Self {
        let resource = GroupResource { group: kind.group.clone(), resource: kind.kind.clone() };
        let message = match field::aggregate(errors) {
            list if list.is_empty() => format!("{resource} {} is invalid", go::quote(name)),
            list => format!("{resource} {} is invalid: {list}", go::quote(name)),
        };
        let causes = errors
            .iter()
            .map(|error| StatusCause {
                field: Some(error.field.clone()),
                message: Some(error.body()),
                reason: Some(error.kind.reason().into()),
            })
            .collect();
        Self::about(422, "Invalid", &resource, name, message).with_causes(causes)
    }

    /// 400.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// 401.
    pub fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    /// 403: `pods "web" is forbidden: …`. Resource and name may be empty.
    pub fn forbidden(resource: &GroupResource, name: &str, error: impl fmt::Display) -> Self {
        let message = match (resource.resource.is_empty() && resource.group.is_empty(), name) {
            (true, _) => format!("forbidden: {error}"),
            (false, "") => format!("{resource} is forbidden: {error}"),
            (false, name) => format!("{resource} {} is forbidden: {error}", go::quote(name)),
        };
        Self::about(403, "Forbidden", resource, name, message)
    }

    /// 410 with reason `Expired`: the revision or continue token asked for is compacted.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// 410 with reason `Gone`.
    pub fn gone(message: impl Into<String>) -> Self {
        Self::new(410, "Gone", message)
    }

    /// 405: `create is not supported on resources of kind "pods"`.
    pub fn method_not_supported(resource: &GroupResource, action: &str) -> Self {
        let message = format!("{action} is not supported on resources of kind \"{resource}\"");
        Self::about(405, "MethodNotAllowed", resource, "", message)
    }

    /// 405 for a method that a resource's path does not take.
    pub fn wrong_method() -> Self {
        Self::new(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
            .with_details(StatusDetails::default())
    }

    /// 406: nothing the client accepts is on offer.
    pub fn not_acceptable(offered: &[&str]) -> Self {
        let message = format!("only the following media types are accepted: {}", offered.join(", "));
        Self::new(406, "NotAcceptable", message)
    }

    /// 415: the body is in none of the accepted media types.
    pub fn unsupported_media_type(accepted: &[&str]) -> Self {
        let accepted = accepted.join(", ");
        let message =
            format!("the body of the request was in an unknown format - accepted media types include: {accepted}");
        Self::new(415, "UnsupportedMediaType", message)
    }

    /// 413.
    pub fn too_large(message: impl fmt::Display) -> Self {
        Self::new(413, "RequestEntityTooLarge", format!("Request entity too large: {message}"))
    }

    /// 429.
    pub fn too_many_requests(message: impl Into<String>, retry_after_seconds: i32) -> Self {
        Self::new(429, "TooManyRequests", message).with_retry_after(retry_after_seconds)
    }

    /// 503.
    pub fn service_unavailable(message: impl Into<String>) -> Self {
        Self::new(503, "ServiceUnavailable", message)
    }

    /// 504: `Timeout: …`.
    pub fn timeout(message: impl fmt::Display, retry_after_seconds: i32) -> Self {
        Self::new(504, "Timeout", format!("Timeout: {message}")).with_retry_after(retry_after_seconds)
    }

    /// 500 with reason `ServerTimeout`: the operation may be tried again.
    pub fn server_timeout(resource: &GroupResource, operation: &str, retry_after_seconds: i32) -> Self {
        let message = format!(
            "The {operation} operation against {resource} could not be completed at this time, please try again."
        );
        Self::about(500, "ServerTimeout", resource, operation, message).with_retry_after(retry_after_seconds)
    }

    /// 500: `Internal error occurred: …`.
    pub fn internal(error: impl fmt::Display) -> Self {
        Self::new(500, "InternalError", format!("Internal error occurred: {error}"))
            .with_causes(vec![StatusCause { message: Some(error.to_string()), ..StatusCause::default() }])
    }

    /// What a client makes of a failed answer: the Status in the body, or else one that says what the
    /// code means, in client-go's words.
    pub fn from_answer(code: StatusCode, body: &[u8]) -> Self {
        if let Ok(value) = serde_json::from_slice::<serde_json::Value>(body)
            && value.get("kind").and_then(|kind| kind.as_str()) == Some("Status")
            && let Ok(status) = crate::object::from_value::<Status>(value)
            && status.status.as_deref() != Some("Success")
        {
            return Self(Box::new(status));
        }
        let server_message = String::from_utf8_lossy(body).trim().to_owned();
        let (reason, message) = match code.as_u16() {
            400 => ("BadRequest", "the server rejected our request for an unknown reason".to_owned()),
            401 => ("Unauthorized", "the server has asked for the client to provide credentials".to_owned()),
            403 => ("Forbidden", server_message.clone()),
            404 => ("NotFound", "the server could not find the requested resource".to_owned()),
            405 => ("MethodNotAllowed", "the server does not allow this method on the requested resource".to_owned()),
            406 => (
                "NotAcceptable",
                "the server was unable to respond with a content type that the client supports".to_owned(),
            ),
            409 => ("Conflict", "the server reported a conflict".to_owned()),
            415 => ("UnsupportedMediaType", server_message.clone()),
            422 => ("Invalid", "the server rejected our request due to an error in our request".to_owned()),
            429 => (
                "TooManyRequests",
                "the server has received too many requests and has asked us to try again later".to_owned(),
            ),
            503 => ("ServiceUnavailable", "the server is currently unable to handle the request".to_owned()),
            504 => (
                "Timeout",
                "the server was unable to return a response in the time allotted, but may still be processing the request"
                    .to_owned(),
            ),
            500.. => (
                "InternalError",
                format!("an error on the server ({}) has prevented the request from succeeding", go::quote(&server_message)),
            ),
            other => {
                ("", format!("the server responded with the status code {other} but did not return more information"))
            }
        };
        Self::new(code.as_u16(), reason, message).with_causes(vec![StatusCause {
            reason: Some("UnexpectedServerResponse".into()),
            message: Some(server_message),
            ..StatusCause::default()
        }])
    }

    /// The HTTP status code; 500 where the Status has none.
    pub fn code(&self) -> StatusCode {
        self.0
            .code
            .and_then(|code| u16::try_from(code).ok())
            .and_then(|code| StatusCode::from_u16(code).ok())
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The machine-readable reason, such as `NotFound`; empty for unknown.
    pub fn reason(&self) -> &str {
        self.0.reason.as_deref().unwrap_or_default()
    }

    /// The message for people.
    pub fn message(&self) -> &str {
        self.0.message.as_deref().unwrap_or_default()
    }

    /// When the server says a client may try again, in seconds.
    pub fn retry_after_seconds(&self) -> Option<i32> {
        self.0.details.as_ref()?.retry_after_seconds.filter(|seconds| *seconds > 0)
    }

    /// Whether the object, or the resource, does not exist.
    pub fn is_not_found(&self) -> bool {
        self.reason() == "NotFound"
    }

    /// Whether an object of that name exists already.
    pub fn is_already_exists(&self) -> bool {
        self.reason() == "AlreadyExists"
    }

    /// Whether the write was based on an older revision, or its preconditions do not hold.
    pub fn is_conflict(&self) -> bool {
        self.reason() == "Conflict"
    }

    /// Whether the object did not pass validation.
    pub fn is_invalid(&self) -> bool {
        self.reason() == "Invalid"
    }

    /// Whether the request may not be made.
    pub fn is_forbidden(&self) -> bool {
        self.reason() == "Forbidden"
    }

    /// Whether a revision or continue token is compacted: list again.
    pub fn is_expired(&self) -> bool {
        matches!(self.reason(), "Expired" | "Gone")
    }

    /// Whether the client was told to slow down.
    pub fn is_too_many_requests(&self) -> bool {
        self.reason() == "TooManyRequests" || self.code() == StatusCode::TOO_MANY_REQUESTS
    }

    /// Whether the server could not be reached or is not ready.
    pub fn is_service_unavailable(&self) -> bool {
        self.reason() == "ServiceUnavailable"
    }

    /// Whether the details name a cause by its reason, such as `NamespaceTerminating` or `FieldManagerConflict`.
    pub fn has_cause(&self, reason: &str) -> bool {
        let causes = self.0.details.as_ref().and_then(|details| details.causes.as_ref());
        causes.is_some_and(|causes| causes.iter().any(|cause| cause.reason.as_deref() == Some(reason)))
    }

    /// The Status as compact JSON, its members in upstream's order: there are clients that compare the text.
    pub fn to_bytes(&self) -> bytes::Bytes {
        status_text(&self.0)
    }

    /// The answer that carries this error.
    pub fn into_response(self) -> Response {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(seconds) = self.retry_after_seconds() {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        // As Go's encoder, which ends what it writes with a line.
        let text = [&self.to_bytes()[..], b"\n"].concat();
        let mut response = Response::new(Body::Bytes(text.into()));
        *response.status_mut() = self.code();
        *response.headers_mut() = headers;
        response
    }
}

/// A Status as compact JSON, its members in the order in which upstream declares them.
pub fn status_text(status: &Status) -> bytes::Bytes {
    const MEMBERS: [&str; 8] = ["kind", "apiVersion", "metadata", "status", "message", "reason", "details", "code"];
    const DETAILS: [&str; 6] = ["name", "group", "kind", "uid", "causes", "retryAfterSeconds"];
    const CAUSE: [&str; 3] = ["reason", "message", "field"];
    let plain = |_: &str, text: &[u8]| text.to_vec();
    let causes = |name: &str, text: &[u8]| match name {
        "causes" => {
            let causes: Vec<Vec<u8>> = raw::items(text).map(|cause| raw::ordered(cause, &CAUSE, &plain)).collect();
            [b"[", causes.join(&b","[..]).as_slice(), b"]"].concat()
        }
        _ => text.to_vec(),
    };
    let details = |name: &str, text: &[u8]| match name {
        "details" => raw::ordered(text, &DETAILS, &causes),
        _ => text.to_vec(),
    };
    raw::ordered(&json::to_vec(status).unwrap_or_default(), &MEMBERS, &details).into()
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl fmt::Debug for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.code().as_u16(), self.reason(), self.message())
    }
}

impl std::error::Error for ApiError {}

impl From<Status> for ApiError {
    fn from(status: Status) -> Self {
        Self(Box::new(status))
    }
}

impl From<ApiError> for Response {
    fn from(error: ApiError) -> Self {
        error.into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::{Error, Path};

    fn deployments() -> GroupResource {
        GroupResource { group: "apps".into(), resource: "deployments".into() }
    }

    #[test]
    fn messages_are_upstreams() {
        let gvk = GroupVersionKind::from_api_version("apps/v1", "Deployment");
        let errors = vec![Error::required(&Path::new("spec.selector"), "")];
        let cases = [
            (ApiError::not_found(&deployments(), "web"), "deployments.apps \"web\" not found"),
            (
                ApiError::invalid(&gvk, "web", &errors),
                "Deployment.apps \"web\" is invalid: spec.selector: Required value",
            ),
            (ApiError::forbidden(&GroupResource::default(), "", "no"), "forbidden: no"),
            (
                ApiError::method_not_supported(&deployments(), "patch"),
                "patch is not supported on resources of kind \"deployments.apps\"",
            ),
        ];
        for (error, message) in cases {
            assert_eq!(error.to_string(), message);
        }
    }

    #[test]
    fn an_answer_gives_the_error_back() {
        let error = ApiError::modified(&deployments(), "web");
        assert_eq!(ApiError::from_answer(StatusCode::CONFLICT, &error.to_bytes()), error);
        let plain = ApiError::from_answer(StatusCode::BAD_GATEWAY, b"oops");
        assert_eq!(plain.message(), "an error on the server (\"oops\") has prevented the request from succeeding");
    }
}
