//! `serviceaccounts/token`: a token for a ServiceAccount (`pkg/registry/core/serviceaccount/storage/token.go`).

use std::any::Any;
use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use machinery::field::{Error, ErrorList, Path};
use machinery::wire::{Expires, Response};
use machinery::{ApiError, Encoded, GroupResource, GroupVersionKind, Object, Timestamp, go, time};
use serde_json::{Value, json};

use crate::auth::token::ISSUER;
use crate::call::{Call, Result};
use crate::codec::{Payload, complete_type};
use crate::server::ApiServer;
use crate::{read, registry, storage};

const API_VERSION: &str = "authentication.k8s.io/v1";
const KIND: &str = "TokenRequest";
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
    let kind = GroupVersionKind::from_api_version(API_VERSION, KIND);
    let mut request = payload.value(&call.headers, &kind)?;
    complete_type(&mut request, &kind)?;
    let account = storage::find::<ServiceAccount>(call, ("", "serviceaccounts"), &call.info.namespace, &call.info.name)
        .ok_or_else(|| call.not_found())?;
    let spec = request.get("spec").unwrap_or(&Value::Null);
    let seconds = spec.get("expirationSeconds").and_then(Value::as_i64).unwrap_or(SECONDS_DEFAULT);
    let errors = validate(seconds);
    if !errors.is_empty() {
        return Err(ApiError::invalid(&kind, "", &errors));
    }
    let audiences = spec.get("audiences").and_then(Value::as_array).into_iter().flatten();
    let mut audiences: Vec<String> = audiences.filter_map(Value::as_str).map(str::to_owned).collect();
    if audiences.is_empty() {
        audiences.push(ISSUER.to_owned());
    }
    let reference = spec.get("boundObjectRef").filter(|reference| reference.is_object());
    let bound = reference.map(|reference| bind(call, reference)).transpose()?;
    let bound_to_pod = bound.as_ref().is_some_and(|bound| bound.claim == POD);
    let of_volume = bound_to_pod && seconds == SECONDS_OF_VOLUMES && audiences == [ISSUER];
    let until = call.now.checked_add(jiff::SignedDuration::from_secs(seconds)).unwrap_or(call.now);
    let asked = Asked {
        namespace: call.info.namespace.clone(),
        account: (call.info.name.clone(), account.metadata.uid.clone()),
        bound,
        id: call.server.rng().uuid(),
        now: call.now,
        until,
        of_volume,
        seconds,
        audiences,
        // A map of JSON takes more memory than its text.
        metadata: request.get("metadata").map(Value::to_string),
        reference: reference.map(Value::to_string),
    };
    let answer = Unsigned { server: call.server.clone(), asked: Arc::new(asked), metadata: ObjectMeta::default() };
    let mut response = read::answer(call, StatusCode::CREATED, Encoded::from_object(Arc::new(answer)))?;
    response.extensions_mut().insert(Expires(until));
    Ok(response)
}

/// The claim of tokens that are bound to a pod.
const POD: &str = "pod";

/// What a token is to say, and what its request is answered with.
struct Asked {
    namespace: String,
    /// The account's name and uid.
    account: (String, Option<String>),
    bound: Option<Bound>,
    /// The token's own name.
    id: String,
    now: Timestamp,
    until: Timestamp,
    /// Whether it lives on for a year.
    of_volume: bool,
    seconds: i64,
    audiences: Vec<String>,
    /// The request's `metadata` and `spec.boundObjectRef`, as JSON.
    metadata: Option<String>,
    reference: Option<String>,
}

/// An object that a token is bound to.
struct Bound {
    claim: &'static str,
    name: String,
    uid: String,
    /// A pod's node, and its uid.
    node: Option<(String, Option<String>)>,
}

impl Asked {
    /// What is to be signed.
    fn claims(&self) -> Value {
        let now = self.now.as_second();
        let (name, uid) = &self.account;
        let mut about = json!({
            "namespace": self.namespace,
            "serviceaccount": {"name": name, "uid": uid},
        });
        if let Some(bound) = &self.bound {
            about[bound.claim] = json!({"name": bound.name, "uid": bound.uid});
            if let Some((node, uid)) = &bound.node {
                about["node"] = json!({"name": node});
                if let Some(uid) = uid {
                    about["node"]["uid"] = uid.as_str().into();
                }
            }
        }
        if self.of_volume {
            about["warnafter"] = (now + self.seconds).into();
        }
        let lifetime = if self.of_volume { SECONDS_EXTENDED } else { self.seconds };
        json!({
            "aud": self.audiences,
            "exp": now + lifetime,
            "iat": now,
            "iss": ISSUER,
            "jti": self.id,
            "kubernetes.io": about,
            "nbf": now,
            "sub": format!("system:serviceaccount:{}:{name}", self.namespace),
        })
    }

    /// The answer.
    fn answer(&self, token: String) -> Value {
        let read = |text: &Option<String>| text.as_ref().and_then(|text| serde_json::from_str::<Value>(text).ok());
        let mut metadata = read(&self.metadata).filter(Value::is_object).unwrap_or_else(|| json!({}));
        for (field, value) in [("name", &self.account.0), ("namespace", &self.namespace)] {
            metadata[field] = value.as_str().into();
        }
        metadata["creationTimestamp"] = time::format_seconds(self.now).into();
        json!({
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": metadata,
            "spec": {
                "audiences": self.audiences,
                "expirationSeconds": self.seconds,
                "boundObjectRef": read(&self.reference),
            },
            "status": {"token": token, "expirationTimestamp": time::format_seconds(self.until)},
        })
    }
}

/// An answered request whose token is signed when somebody reads it: most pods never look at theirs.
#[derive(Clone)]
struct Unsigned {
    server: ApiServer,
    asked: Arc<Asked>,
    /// It has none that anybody asks for without reading it.
    metadata: ObjectMeta,
}

impl Object for Unsigned {
    fn api_version(&self) -> &'static str {
        API_VERSION
    }
    fn kind(&self) -> &'static str {
        KIND
    }
    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }
    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
    fn to_value(&self) -> Value {
        self.asked.answer(self.server.signer().sign(&self.asked.claims().to_string()))
    }
    fn to_bytes(&self) -> Bytes {
        serde_json::to_vec(&self.to_value()).unwrap_or_default().into()
    }
    fn clone_object(&self) -> Box<dyn Object> {
        Box::new(self.clone())
    }
    fn unshare(self: Arc<Self>) -> Box<dyn Object> {
        Box::new(Self::clone(&self))
    }
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
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

/// What a token is tied to: a Pod, a Secret or a Node.
fn bind(call: &Call, reference: &Value) -> Result<Bound> {
    let text = |name: &str| reference.get(name).and_then(Value::as_str).unwrap_or_default();
    let (kind, name) = (text("kind"), text("name"));
    let (resource, claim, namespace) = match (text("apiVersion"), kind) {
        ("v1", "Pod") => ("pods", POD, call.info.namespace.as_str()),
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
    let node = spec.and_then(|spec| spec.node_name.as_deref()).filter(|node| !node.is_empty());
    let node = node.map(|node| (node.to_owned(), find("nodes", "", node).and_then(|node| node.metadata().uid.clone())));
    Ok(Bound { claim, name: name.to_owned(), uid, node })
}
