//! Kinds that are only asked, never stored: reviews, bindings by collection, component statuses.

use http::StatusCode;
use machinery::field::{Error, ErrorList, Path};
use machinery::wire::Response;
use machinery::{ApiError, Encoded, GroupVersionKind};
use serde_json::{Value, json};

use crate::auth::token::ISSUER;
use crate::auth::{UserInfo, rbac};
use crate::call::{Call, Result};
use crate::codec::{Payload, complete_type};
use crate::negotiate::{MEDIA_TYPES, View, negotiate};
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
    if negotiate(&call.headers, false)?.view == View::Table {
        return Err(ApiError::not_acceptable(MEDIA_TYPES));
    }
    let kind = call.row.gvk();
    let mut review = payload.value(&call.headers, &kind)?;
    complete_type(&mut review, &kind)?;
    let spec = review.get("spec").cloned().unwrap_or_else(|| json!({}));
    let user = call.user.clone();
    review["status"] = match resource {
        "selfsubjectreviews" => json!({"userInfo": user_value(&user)}),
        "selfsubjectaccessreviews" => {
            check_access(call, &spec, false)?;
            access(call, &user, &spec)
        }
        "subjectaccessreviews" | "localsubjectaccessreviews" => {
            check_access(call, &spec, true)?;
            access(call, &subject(&spec), &spec)
        }
        "selfsubjectrulesreviews" => {
            let namespace = spec.get("namespace").and_then(Value::as_str).unwrap_or_default();
            if namespace.is_empty() {
                return Err(ApiError::bad_request("no namespace on request"));
            }
            rules(call, &user, namespace)
        }
        "tokenreviews" => {
            let token = spec.get("token").and_then(Value::as_str).unwrap_or_default();
            if token.is_empty() {
                return Err(ApiError::bad_request("token is required for TokenReview in authentication"));
            }
            let audiences = spec.get("audiences").and_then(Value::as_array).into_iter().flatten();
            let audiences: Vec<String> = audiences.filter_map(|name| name.as_str().map(str::to_owned)).collect();
            match call.server.authenticate_token(token, &audiences) {
                Ok((user, audiences)) => {
                    let audiences = if audiences.is_empty() { vec![ISSUER.to_owned()] } else { audiences };
                    json!({"authenticated": true, "user": user_value(&user), "audiences": audiences})
                }
                Err(error) => json!({"user": {}, "error": error}),
            }
        }
        _ => return Err(ApiError::method_not_supported(&call.resource(), "create")),
    };
    if review.get("metadata").is_none() {
        review["metadata"] = json!({});
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

/// The user that a SubjectAccessReview is about.
fn subject(spec: &Value) -> UserInfo {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let texts = |value: &Value| value.as_array().into_iter().flatten().filter_map(text).collect::<Vec<_>>();
    let field = |name: &str| spec.get(name).unwrap_or(&Value::Null);
    let extra = field("extra").as_object().into_iter().flatten();
    UserInfo {
        username: text(field("user")).unwrap_or_default(),
        uid: text(field("uid")).unwrap_or_default(),
        groups: texts(field("groups")),
        extra: extra.map(|(key, values)| (key.clone(), texts(values))).collect(),
    }
}

/// What a review of access asks must be complete (`pkg/apis/authorization/validation`).
fn check_access(call: &Call, spec: &Value, of_subject: bool) -> Result<()> {
    let path = Path::new("spec");
    let has = |name: &str| spec.get(name).is_some_and(Value::is_object);
    let mut errors = ErrorList::new();
    match (has("resourceAttributes"), has("nonResourceAttributes")) {
        (true, true) => errors.push(Error::invalid(
            &path.child("nonResourceAttributes"),
            "{}",
            "cannot be specified in combination with resourceAttributes",
        )),
        (false, false) => errors.push(Error::invalid(
            &path.child("resourceAttributes"),
            Value::Null,
            "exactly one of nonResourceAttributes or resourceAttributes must be specified",
        )),
        _ => {}
    }
    if of_subject {
        let user = spec.get("user").and_then(Value::as_str).unwrap_or_default();
        let groups = spec.get("groups").and_then(Value::as_array).is_some_and(|groups| !groups.is_empty());
        if user.is_empty() && !groups {
            let detail = "at least one of user or group must be specified";
            errors.push(Error::invalid(&path.child("user"), "", detail));
        }
        let namespace = spec.pointer("/resourceAttributes/namespace").and_then(Value::as_str).unwrap_or_default();
        if call.row.namespaced && namespace != call.info.namespace {
            let detail = format!("must match metadata.namespace: {}", call.info.namespace);
            errors.push(Error::invalid(&path.child("resourceAttributes").child("namespace"), namespace, detail));
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(ApiError::invalid(&call.row.gvk(), "", &errors)) }
}

/// Whether a user may do what a review's spec names.
fn access(call: &Call, user: &UserInfo, spec: &Value) -> Value {
    let attributes = spec.get("resourceAttributes").or_else(|| spec.get("nonResourceAttributes"));
    let text =
        |name: &str| attributes.and_then(|all| all.get(name)).and_then(Value::as_str).unwrap_or_default().to_owned();
    let request = RequestInfo {
        verb: text("verb"),
        path: text("path"),
        group: text("group"),
        version: text("version"),
        namespace: text("namespace"),
        resource: text("resource"),
        subresource: text("subresource"),
        name: text("name"),
        ..RequestInfo::default()
    };
    let (allowed, reason) = match call.server.authorize(user, &request) {
        Ok(reason) => (true, reason),
        Err(reason) => (false, reason),
    };
    let mut status = json!({"allowed": allowed});
    if !reason.is_empty() {
        status["reason"] = reason.into();
    }
    status
}

/// The rules that bind a user in a namespace; a host's authorizer cannot be asked for them.
fn rules(call: &Call, user: &UserInfo, namespace: &str) -> Value {
    if call.server.options().authorizer.is_some() {
        return json!({"resourceRules": [], "nonResourceRules": [], "incomplete": true});
    }
    let (rules, errors) = rbac::rules_for(&call.server.store().snapshot(), user, namespace);
    let (mut resources, mut paths) = (Vec::new(), Vec::new());
    for rule in rules {
        if rule.resources.is_none() {
            paths.push(json!({"verbs": rule.verbs, "nonResourceURLs": rule.non_resource_urls}));
            continue;
        }
        let mut resource = json!({"verbs": rule.verbs, "apiGroups": rule.api_groups, "resources": rule.resources});
        if let Some(names) = rule.resource_names {
            resource["resourceNames"] = names.into();
        }
        resources.push(resource);
    }
    let mut status = json!({"resourceRules": resources, "nonResourceRules": paths, "incomplete": !errors.is_empty()});
    if !errors.is_empty() {
        status["evaluationError"] = errors.join(", ").into();
    }
    status
}

/// The parts of the control plane that upstream still reports this way.
fn component_statuses(call: &mut Call) -> Result<Response> {
    let kind = GroupVersionKind::from_api_version("v1", "ComponentStatus");
    let status = |name: &str| {
        json!({
            "kind": kind.kind,
            "apiVersion": "v1",
            "metadata": {"name": name},
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
