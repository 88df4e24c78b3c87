//! `serviceaccounts/token`: a token for a ServiceAccount (`pkg/registry/core/serviceaccount/storage/token.go`).

use http::StatusCode;
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use machinery::field::{Error, ErrorList, Path};
use machinery::wire::Response;
use machinery::{ApiError, Encoded, GroupResource, GroupVersionKind, go, time};
use serde_json::{Value, json};

use crate::auth::token::ISSUER;
use crate::call::{Call, Result};
use crate::codec::{Payload, complete_type};
use crate::{read, registry, storage};

/// How long a token lives unless the request says.
const SECONDS_DEFAULT: i64 = 3600;
const SECONDS_MIN: i64 = 600;
const SECONDS_MAX: i64 = 1 << 32;
/// What admission's volumes ask for: such a token lives on for a year, so that clients that never read it
/// again go on working; from this time on they are told apart.
const SECONDS_OF_VOLUMES: i64 = 3607;
const SECONDS_EXTENDED: i64 = 365 * 24 * 3600;

/// Answers `POST …/serviceaccounts/NAME/token`.
pub(crate) fn create(call: &mut Call, payload: &Payload) -> Result<Response> {
    let kind = GroupVersionKind::from_api_version("authentication.k8s.io/v1", "TokenRequest");
    let mut request = payload.value(&call.headers, &kind)?;
    complete_type(&mut request, &kind)?;
    let account = storage::find::<ServiceAccount>(call, ("", "serviceaccounts"), &call.info.namespace, &call.info.name)
        .ok_or_else(|| call.not_found())?;
    let spec = request.get("spec").cloned().unwrap_or_else(|| json!({}));
    let seconds = spec.get("expirationSeconds").and_then(Value::as_i64).unwrap_or(SECONDS_DEFAULT);
    let errors = validate(seconds);
    if !errors.is_empty() {
        return Err(ApiError::invalid(&kind, "", &errors));
    }
    let audiences = match spec.get("audiences").and_then(Value::as_array) {
        Some(audiences) if !audiences.is_empty() => audiences.clone(),
        _ => vec![ISSUER.into()],
    };
    let now = call.now.as_second();
    let (namespace, name) = (call.info.namespace.as_str(), call.info.name.as_str());
    let mut about = json!({
        "namespace": namespace,
        "serviceaccount": {"name": name, "uid": account.metadata.uid},
    });
    let reference = spec.get("boundObjectRef").filter(|reference| reference.is_object());
    let bound_to_pod = match reference {
        Some(reference) => bind(call, reference, &mut about)?,
        None => false,
    };
    let of_volume = bound_to_pod && seconds == SECONDS_OF_VOLUMES && audiences == [ISSUER];
    if of_volume {
        about["warnafter"] = (now + seconds).into();
    }
    let lifetime = if of_volume { SECONDS_EXTENDED } else { seconds };
    let token = call.server.signer().sign(&json!({
        "aud": audiences,
        "exp": now + lifetime,
        "iat": now,
        "iss": ISSUER,
        "jti": call.server.rng().uuid(),
        "kubernetes.io": about,
        "nbf": now,
        "sub": format!("system:serviceaccount:{namespace}:{name}"),
    }));
    let until = call.now.checked_add(jiff::SignedDuration::from_secs(seconds)).unwrap_or(call.now);
    let mut metadata = request.get("metadata").cloned().unwrap_or_else(|| json!({}));
    for (field, value) in [("name", name), ("namespace", namespace)] {
        metadata[field] = value.into();
    }
    metadata["creationTimestamp"] = time::format_seconds(call.now).into();
    request["metadata"] = metadata;
    request["spec"] = json!({
        "audiences": audiences,
        "expirationSeconds": seconds,
        "boundObjectRef": reference.cloned().unwrap_or(Value::Null),
    });
    request["status"] = json!({"token": token, "expirationTimestamp": time::format_seconds(until)});
    let bytes = serde_json::to_vec(&request).map_err(ApiError::internal)?;
    read::answer(call, StatusCode::CREATED, Encoded::from_bytes(bytes.into()))
}

fn validate(seconds: i64) -> ErrorList {
    let spec = Path::new("spec");
    let detail = match seconds {
        ..SECONDS_MIN => "may not specify a duration less than 10 minutes",
        SECONDS_MIN..=SECONDS_MAX => return ErrorList::new(),
        _ => "may not specify a duration larger than 2^32 seconds",
    };
    vec![Error::invalid(&spec.child("expirationSeconds"), seconds, detail)]
}

/// Ties the token to a Pod, a Secret or a Node; whether it is a Pod.
fn bind(call: &Call, reference: &Value, about: &mut Value) -> Result<bool> {
    let text = |name: &str| reference.get(name).and_then(Value::as_str).unwrap_or_default();
    let (kind, name) = (text("kind"), text("name"));
    let (resource, claim, namespace) = match (text("apiVersion"), kind) {
        ("v1", "Pod") => ("pods", "pod", call.info.namespace.as_str()),
        ("v1", "Secret") => ("secrets", "secret", call.info.namespace.as_str()),
        ("v1", "Node") => ("nodes", "node", ""),
        (version, kind) => {
            let kind = GroupVersionKind::from_api_version(version, kind);
            let shown = format!("{}/{}, Kind={}", kind.group, kind.version, kind.kind);
            return Err(ApiError::bad_request(format!("cannot bind token to object of type {shown}")));
        }
    };
    let find = |resource: &str, namespace: &str, name: &str| {
        let row = registry::by_resource("", "v1", resource)?;
        let kv = call.server.store().get(&storage::key(row, namespace, name))?;
        storage::typed(row, &storage::stored(&kv)).ok()
    };
    let group_resource = |resource: &str| GroupResource { group: String::new(), resource: resource.into() };
    let object = find(resource, namespace, name).ok_or_else(|| ApiError::not_found(&group_resource(resource), name))?;
    let pod = object.as_any().downcast_ref::<Pod>();
    let spec = pod.and_then(|pod| pod.spec.as_ref());
    if let Some(spec) = spec
        && spec.service_account_name.as_deref().unwrap_or_default() != call.info.name
    {
        return Err(ApiError::bad_request(format!(
            "cannot bind token for serviceaccount {} to pod running with different serviceaccount name.",
            go::quote(&call.info.name)
        )));
    }
    let uid = object.metadata().uid.clone().unwrap_or_default();
    if !text("uid").is_empty() && text("uid") != uid {
        let error = format!(
            "the UID in the bound object reference ({}) does not match the UID in record. The object might have been deleted and then recreated",
            text("uid")
        );
        return Err(ApiError::conflict(&group_resource(kind), name, error));
    }
    about[claim] = json!({"name": name, "uid": uid});
    if let Some(node) = spec.and_then(|spec| spec.node_name.as_deref()).filter(|node| !node.is_empty()) {
        about["node"] = json!({"name": node});
        if let Some(uid) = find("nodes", "", node).and_then(|node| node.metadata().uid.clone()) {
            about["node"]["uid"] = uid.into();
        }
    }
    Ok(pod.is_some())
}
