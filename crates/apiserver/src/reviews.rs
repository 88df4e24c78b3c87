//! Kinds that are only asked, never stored: reviews, bindings by collection, component statuses.

use http::StatusCode;
use machinery::wire::Response;
use machinery::{ApiError, Encoded, GroupVersionKind};
use serde_json::{Value, json};

use crate::auth::UserInfo;
use crate::call::{Call, Result};
use crate::codec::{Payload, complete_type};
use crate::request_info::RequestInfo;
use crate::{read, subresources};

/// Answers a request for a kind that is not stored.
pub(crate) fn answer(call: &mut Call, payload: &Payload) -> Result<Response> {
    match (call.info.verb.as_str(), call.row.resource) {
        ("create", "bindings") => subresources::bind_by_collection(call, payload),
        ("get" | "list", "componentstatuses") => component_statuses(call),
        ("create", resource) => review(call, payload, resource),
        (verb, _) => Err(ApiError::method_not_supported(&call.resource(), verb)),
    }
}

fn review(call: &mut Call, payload: &Payload, resource: &str) -> Result<Response> {
    let kind = call.row.gvk();
    let mut review = payload.value(&call.headers, &kind)?;
    complete_type(&mut review, &kind)?;
    let spec = review.get("spec").cloned().unwrap_or_else(|| json!({}));
    let user = call.user.clone();
    review["status"] = match resource {
        "selfsubjectreviews" => json!({"userInfo": user_value(&user)}),
        "selfsubjectaccessreviews" => access(call, &user, &spec),
        "subjectaccessreviews" | "localsubjectaccessreviews" => {
            let text = |name: &str| spec.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            let groups = spec.get("groups").and_then(Value::as_array).into_iter().flatten();
            let groups = groups.filter_map(|group| group.as_str().map(str::to_owned)).collect();
            let subject = UserInfo { username: text("user"), uid: text("uid"), groups, ..UserInfo::default() };
            access(call, &subject, &spec)
        }
        "selfsubjectrulesreviews" => rules(call),
        "tokenreviews" => {
            let token = spec.get("token").and_then(Value::as_str).unwrap_or_default();
            let authenticator = call.server.options().authenticator.as_ref();
            match authenticator.and_then(|authenticator| authenticator.authenticate_token(token)) {
                Some(user) => json!({"authenticated": true, "user": user_value(&user)}),
                None => json!({"user": {}, "error": "invalid bearer token"}),
            }
        }
        _ => return Err(ApiError::method_not_supported(&call.resource(), "create")),
    };
    if review.get("metadata").is_none() {
        review["metadata"] = json!({"creationTimestamp": null});
    }
    answer_value(call, StatusCode::CREATED, &review)
}

fn answer_value(call: &Call, code: StatusCode, value: &Value) -> Result<Response> {
    let bytes = serde_json::to_vec(value).map_err(ApiError::internal)?;
    read::answer(call, code, Encoded::from_bytes(bytes.into()))
}

fn user_value(user: &UserInfo) -> Value {
    let mut value = json!({"username": user.username, "groups": user.groups});
    if !user.uid.is_empty() {
        value["uid"] = user.uid.as_str().into();
    }
    if !user.extra.is_empty() {
        value["extra"] = json!(user.extra);
    }
    value
}

/// Whether a user may do what a review's spec names.
fn access(call: &Call, user: &UserInfo, spec: &Value) -> Value {
    let text = |pointer: &str| spec.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let request = if spec.get("nonResourceAttributes").is_some() {
        RequestInfo {
            verb: text("/nonResourceAttributes/verb"),
            path: text("/nonResourceAttributes/path"),
            ..RequestInfo::default()
        }
    } else {
        RequestInfo {
            verb: text("/resourceAttributes/verb"),
            group: text("/resourceAttributes/group"),
            version: text("/resourceAttributes/version"),
            namespace: text("/resourceAttributes/namespace"),
            resource: text("/resourceAttributes/resource"),
            subresource: text("/resourceAttributes/subresource"),
            name: text("/resourceAttributes/name"),
            ..RequestInfo::default()
        }
    };
    match call.server.authorize(user, &request) {
        Ok(()) => json!({"allowed": true}),
        Err(reason) if reason.is_empty() => json!({"allowed": false}),
        Err(reason) => json!({"allowed": false, "reason": reason}),
    }
}

/// What a known user may do, where everything is allowed; an authorizer cannot be asked for a list.
fn rules(call: &Call) -> Value {
    if call.server.options().authorizer.is_some() {
        return json!({"resourceRules": [], "nonResourceRules": [], "incomplete": true});
    }
    json!({
        "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
        "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
        "incomplete": false,
    })
}

/// The parts of the control plane that upstream still reports this way.
fn component_statuses(call: &mut Call) -> Result<Response> {
    let kind = GroupVersionKind::from_api_version("v1", "ComponentStatus");
    let status = |name: &str| {
        json!({
            "kind": kind.kind,
            "apiVersion": "v1",
            "metadata": {"name": name, "creationTimestamp": null},
            "conditions": [{"type": "Healthy", "status": "True", "message": "ok"}],
        })
    };
    const NAMES: &[&str] = &["controller-manager", "scheduler", "etcd-0"];
    if call.info.verb == "get" {
        let Some(name) = NAMES.iter().find(|name| **name == call.info.name) else { return Err(call.not_found()) };
        return answer_value(call, StatusCode::OK, &status(name));
    }
    let items = NAMES.iter().map(|name| Encoded::from_bytes(status(name).to_string().into())).collect();
    read::answer_list(call, items)
}
