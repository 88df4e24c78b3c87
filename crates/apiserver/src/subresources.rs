//! Subresources that are answered from the store: scale, binding, eviction, token.

use std::sync::Arc;

use http::StatusCode;
use k8s_openapi::api::core::v1::{Pod, PodCondition};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use machinery::labels::Selector;
use machinery::wire::Response;
use machinery::{ApiError, Encoded, GroupResource, GroupVersionKind, Object};
use serde_json::{Value, json};
use store::KeyValue;

use crate::call::{Call, Result};
use crate::codec::{Payload, complete_type};
use crate::delete::{DeleteOptions, Deleted, delete_object};
use crate::negotiate::content_type;
use crate::registry::{self, ScaleView};
use crate::storage::{self, Written};
use crate::{apply, patch, read, update};

/// How often a change of a subresource starts again because the object changed under it.
const ATTEMPTS: usize = 8;

fn stored(call: &Call) -> Result<(Arc<KeyValue>, Encoded)> {
    let kv = call.server.store().get(&call.key()).ok_or_else(|| call.not_found())?;
    let encoded = storage::stored(&kv);
    Ok((kv, encoded))
}

/// An `autoscaling/v1 Scale` of an object.
fn scale_value(object: &dyn Object, scale: &ScaleView) -> Value {
    let metadata = object.metadata();
    let mut status = json!({"replicas": scale.status_replicas});
    if !scale.selector.is_empty() {
        status["selector"] = scale.selector.as_str().into();
    }
    json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {
            "name": metadata.name,
            "namespace": metadata.namespace,
            "uid": metadata.uid,
            "resourceVersion": metadata.resource_version,
            "creationTimestamp": metadata.creation_timestamp,
        },
        "spec": {"replicas": scale.spec_replicas},
        "status": status,
    })
}

fn scale_of(call: &Call, object: &dyn Object) -> Result<Value> {
    let scale = call.row.strategy.scale(object).ok_or_else(ApiError::resource_not_found)?;
    Ok(scale_value(object, &scale))
}

fn answer_value(call: &Call, code: StatusCode, value: &Value) -> Result<Response> {
    let bytes = serde_json::to_vec(value).map_err(ApiError::internal)?;
    read::answer(call, code, Encoded::from_bytes(bytes.into()))
}

/// Answers `GET …/scale`.
pub(crate) fn get_scale(call: &mut Call) -> Result<Response> {
    let (_, encoded) = stored(call)?;
    let scale = scale_of(call, &*storage::typed(call.row, &encoded)?)?;
    answer_value(call, StatusCode::OK, &scale)
}

/// Answers `PUT` and `PATCH` of `…/scale`.
pub(crate) fn update_scale(call: &mut Call, payload: &Payload) -> Result<Response> {
    let kind = GroupVersionKind::from_api_version("autoscaling/v1", "Scale");
    // Scaling is a change of the object's own spec.
    call.scales = true;
    let subresource = std::mem::take(&mut call.info.subresource);
    let outcome = scaled(call, payload, &kind);
    call.info.subresource = subresource;
    let scale = scale_of(call, &*storage::typed(call.row, &outcome?)?)?;
    answer_value(call, StatusCode::OK, &scale)
}

/// The object, scaled as a request says.
fn scaled(call: &mut Call, payload: &Payload, kind: &GroupVersionKind) -> Result<Encoded> {
    if call.info.verb == "patch" && content_type(&call.headers) == patch::APPLY {
        return apply::apply_scale(call, payload, kind);
    }
    for _ in 0..ATTEMPTS {
        let (kv, encoded) = stored(call)?;
        let revision = kv.mod_revision;
        let old = storage::typed(call.row, &encoded)?;
        let mut scale = if call.info.verb == "patch" {
            patch::apply(call, payload, scale_of(call, &*old)?, kind)?
        } else {
            payload.value(&call.headers, kind)?
        };
        complete_type(&mut scale, kind)?;
        let name = scale.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        if name != call.info.name {
            return Err(ApiError::bad_request(format!(
                "the name of the object ({name}) does not match the name on the URL ({})",
                call.info.name
            )));
        }
        let replicas = scale.pointer("/spec/replicas").cloned().unwrap_or_else(|| 0.into());
        let replicas = replicas.as_i64().and_then(|replicas| i32::try_from(replicas).ok()).ok_or_else(|| {
            machinery::schema::decode_error(
                kind,
                "json: cannot unmarshal into Go struct field ScaleSpec.spec.replicas of type int32",
            )
        })?;
        if replicas < 0 {
            let path = machinery::field::Path::new("spec.replicas");
            let error = machinery::field::Error::invalid(&path, replicas, "must be greater than or equal to 0");
            return Err(ApiError::invalid(kind, &call.info.name, &vec![error]));
        }
        let version = scale.pointer("/metadata/resourceVersion").and_then(Value::as_str).unwrap_or_default();
        let bound = !version.is_empty() && (call.info.verb == "update" || version.parse() != Ok(revision));
        let mut object = old.clone_object();
        call.row.strategy.set_replicas(&mut *object, replicas);
        object.metadata_mut().resource_version = Some(if bound { version.to_owned() } else { revision.to_string() });
        if let Some(new) = update::replace(call, object, &kv)? {
            return Ok(new);
        }
    }
    Err(ApiError::modified(&call.resource(), &call.info.name))
}

fn success(code: StatusCode) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": code.as_u16()})
}

/// Answers `POST …/binding`: gives the pod its node.
pub(crate) fn bind(call: &mut Call, payload: &Payload) -> Result<Response> {
    let kind = GroupVersionKind::from_api_version("v1", "Binding");
    let mut binding = payload.value(&call.headers, &kind)?;
    complete_type(&mut binding, &kind)?;
    bind_value(call, &binding)?;
    answer_value(call, StatusCode::CREATED, &success(StatusCode::CREATED))
}

/// Binds the pod the call names.
fn bind_value(call: &mut Call, binding: &Value) -> Result<()> {
    let text = |pointer: &str| binding.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (node, uid) = (text("/target/name"), text("/metadata/uid"));
    let target_kind = text("/target/kind");
    let mut errors = machinery::field::ErrorList::new();
    if !matches!(target_kind, "" | "Node") {
        let path = machinery::field::Path::new("target.kind");
        errors.push(machinery::field::Error::not_supported(&path, target_kind, &["Node", "<empty>"]));
    }
    if node.is_empty() {
        errors.push(machinery::field::Error::required(&machinery::field::Path::new("target.name"), ""));
    }
    if !errors.is_empty() {
        let kind = GroupVersionKind::from_api_version("v1", "Binding");
        return Err(ApiError::invalid(&kind, &call.info.name, &errors));
    }
    for _ in 0..ATTEMPTS {
        let (kv, encoded) = stored(call)?;
        let mut object = storage::typed(call.row, &encoded)?.clone_object();
        let Some(pod) = object.as_any_mut().downcast_mut::<Pod>() else { return Err(call.not_found()) };
        let refused = |error: String| ApiError::conflict(&call.resource(), &call.info.name, error);
        let pod_uid = pod.metadata.uid.clone().unwrap_or_default();
        if !uid.is_empty() && uid != pod_uid {
            return Err(refused(format!(
                "Precondition failed: UID in precondition: {uid}, UID in object meta: {pod_uid}"
            )));
        }
        let name = pod.metadata.name.clone().unwrap_or_default();
        if pod.metadata.deletion_timestamp.is_some() {
            return Err(refused(format!("pod {name} is being deleted, cannot be assigned to a host")));
        }
        let spec = pod.spec.get_or_insert_default();
        if let Some(assigned) = spec.node_name.as_deref().filter(|assigned| !assigned.is_empty()) {
            return Err(refused(format!("pod {name} is already assigned to node {}", machinery::go::quote(assigned))));
        }
        if spec.scheduling_gates.as_ref().is_some_and(|gates| !gates.is_empty()) {
            return Err(refused(format!("pod {name} has non-empty .spec.schedulingGates")));
        }
        spec.node_name = Some(node.to_owned());
        let added = binding.pointer("/metadata/annotations").and_then(Value::as_object).into_iter().flatten();
        let mut added = added.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).peekable();
        if added.peek().is_some() {
            pod.metadata.annotations.get_or_insert_default().extend(added);
        }
        let status = pod.status.get_or_insert_default();
        let conditions = status.conditions.get_or_insert_default();
        conditions.retain(|condition| condition.type_ != "PodScheduled");
        conditions.push(PodCondition {
            type_: "PodScheduled".into(),
            status: "True".into(),
            last_transition_time: Some(machinery::time::meta_time(call.now)),
            ..PodCondition::default()
        });
        if call.dry_run()? {
            return Ok(());
        }
        if let Written::Done(_) = storage::write(call, &kv, object)? {
            return Ok(());
        }
    }
    Err(ApiError::modified(&call.resource(), &call.info.name))
}

/// Answers `POST …/eviction`: a deletion that disruption budgets may refuse.
pub(crate) fn evict(call: &mut Call, payload: &Payload) -> Result<Response> {
    let kind = GroupVersionKind::from_api_version("policy/v1", "Eviction");
    let value = payload.value(&call.headers, &kind)?;
    let mut options = DeleteOptions::from_value(value.get("deleteOptions").unwrap_or(&Value::Null))?;
    options.dry_run |= call.dry_run()?;
    if value.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default() != call.info.name {
        return Err(ApiError::bad_request("name in URL does not match name in Eviction object"));
    }
    let (_, encoded) = stored(call)?;
    let pod = encoded.get::<Pod>().map_err(ApiError::internal)?;
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default();
    if !matches!(phase, "Succeeded" | "Failed" | "Pending") && pod.metadata.deletion_timestamp.is_none() {
        take_disruption(call, &pod, options.dry_run)?;
    }
    if !options.dry_run {
        tell_of_eviction(call, &mut options)?;
    }
    let name = call.info.name.clone();
    match delete_object(call, &name, &options)? {
        Deleted::Gone(_) | Deleted::Pending(_) => {
            answer_value(call, StatusCode::CREATED, &success(StatusCode::CREATED))
        }
    }
}

/// Writes on a pod that it is evicted (upstream's `addConditionAndDeletePod`). A revision that the deletion asks for is
/// the pod's new one then.
fn tell_of_eviction(call: &Call, options: &mut DeleteOptions) -> Result<()> {
    for _ in 0..ATTEMPTS {
        let (kv, encoded) = stored(call)?;
        let mut object = storage::typed(call.row, &encoded)?.clone_object();
        let Some(pod) = object.as_any_mut().downcast_mut::<Pod>() else { return Err(call.not_found()) };
        let metadata = &pod.metadata;
        for (what, wanted, actual, done) in [
            ("UID", &options.uid, &metadata.uid, "deleted and then recreated"),
            ("ResourceVersion", &options.resource_version, &metadata.resource_version, "modified"),
        ] {
            let actual = actual.as_deref().unwrap_or_default();
            if let Some(wanted) = wanted.as_deref().filter(|wanted| !wanted.is_empty() && *wanted != actual) {
                let error = format!(
                    "the {what} in the precondition ({wanted}) does not match the {what} in record ({actual}). \
                     The object might have been {done}"
                );
                let kind = GroupResource { group: String::new(), resource: "Pod".into() };
                return Err(ApiError::conflict(&kind, &call.info.name, error));
            }
        }
        let mut told = PodCondition {
            type_: "DisruptionTarget".into(),
            status: "True".into(),
            reason: Some("EvictionByEvictionAPI".into()),
            message: Some("Eviction API: evicting".into()),
            observed_generation: metadata.generation,
            last_transition_time: Some(machinery::time::meta_time(call.now)),
            ..PodCondition::default()
        };
        let conditions = pod.status.get_or_insert_default().conditions.get_or_insert_default();
        match conditions.iter_mut().find(|condition| condition.type_ == told.type_) {
            None => conditions.push(told),
            Some(before) => {
                if before.status == told.status {
                    told.last_transition_time = before.last_transition_time.clone();
                }
                if *before == told {
                    return Ok(());
                }
                *before = told;
            }
        }
        if let Written::Done(written) = storage::write(call, &kv, object)? {
            if options.resource_version.is_some() {
                options.resource_version = storage::typed(call.row, &written)?.metadata().resource_version.clone();
            }
            return Ok(());
        }
    }
    Err(ApiError::modified(&call.resource(), &call.info.name))
}

/// Takes one disruption from the pod's budget, if it has one.
fn take_disruption(call: &mut Call, pod: &Pod, dry_run: bool) -> Result<()> {
    let Some(row) = registry::by_resource("policy", "v1", "poddisruptionbudgets") else { return Ok(()) };
    for _ in 0..ATTEMPTS {
        let snapshot = call.server.store().snapshot();
        let prefix = storage::prefix(row, &call.info.namespace);
        let mut budgets = Vec::new();
        for kv in snapshot.range(&prefix, "") {
            let budget = storage::stored(kv).get::<PodDisruptionBudget>().map_err(ApiError::internal)?;
            let selector = budget.spec.as_ref().and_then(|spec| spec.selector.as_ref());
            let selector = Selector::from_label_selector(selector).map_err(ApiError::internal)?;
            if selector.matches(pod.metadata.labels.as_ref()) {
                budgets.push((kv.clone(), budget));
            }
        }
        let (kv, budget) = match budgets.as_slice() {
            [] => return Ok(()),
            [only] => only,
            _ => {
                return Err(ApiError::internal(
                    "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
                ));
            }
        };
        let mut budget = PodDisruptionBudget::clone(budget);
        let generation = budget.metadata.generation;
        let name = budget.metadata.name.clone().unwrap_or_default();
        let status = budget.status.get_or_insert_default();
        let refused = |cause: String, retry: i32| {
            let cause = k8s_openapi::apimachinery::pkg::apis::meta::v1::StatusCause {
                reason: Some("DisruptionBudget".into()),
                message: Some(cause),
                field: None,
            };
            let message = "Cannot evict pod as it would violate the pod's disruption budget.";
            let mut error = ApiError::too_many_requests(message, retry).with_causes(vec![cause]);
            if retry == 0 {
                error.0.details.get_or_insert_default().retry_after_seconds = None;
            }
            error
        };
        if status.observed_generation.unwrap_or(0) < generation.unwrap_or(0) {
            return Err(refused(format!("The disruption budget {name} is still being processed by the server."), 10));
        }
        let allowed = status.disruptions_allowed.unwrap_or_default();
        if allowed <= 0 {
            return Err(refused(
                format!(
                    "The disruption budget {name} needs {} healthy pods and has {} currently",
                    status.desired_healthy.unwrap_or_default(),
                    status.current_healthy.unwrap_or_default()
                ),
                0,
            ));
        }
        if dry_run {
            return Ok(());
        }
        status.disruptions_allowed = Some(allowed - 1);
        let disrupted = status.disrupted_pods.get_or_insert_default();
        disrupted.insert(call.info.name.clone(), machinery::time::meta_time(call.now));
        let pods = std::mem::replace(&mut call.row, row);
        let written = storage::write(call, kv, Box::new(budget));
        call.row = pods;
        if let Written::Done(_) = written? {
            return Ok(());
        }
    }
    Err(ApiError::too_many_requests("couldn't update PodDisruptionBudget due to conflicts", 1))
}

/// Answers `POST` on `bindings`: the old way to bind, with the pod's name in the body.
pub(crate) fn bind_by_collection(call: &mut Call, payload: &Payload) -> Result<Response> {
    let mut binding = payload.value(&call.headers, &call.row.gvk())?;
    complete_type(&mut binding, &call.row.gvk())?;
    let name = binding.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    call.info.name = name.to_owned();
    call.row = registry::by_resource("", "v1", "pods").ok_or_else(ApiError::resource_not_found)?;
    bind_value(call, &binding)?;
    answer_value(call, StatusCode::CREATED, &success(StatusCode::CREATED))
}
