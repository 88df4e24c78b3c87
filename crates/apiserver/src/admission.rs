//! Built-in admission: what is changed or refused because of how an object fits the cluster.

use k8s_openapi::api::core::v1::{Namespace, Pod, ServiceAccount, Toleration};
use k8s_openapi::api::scheduling::v1::PriorityClass;
use machinery::{ApiError, Kind, Object};

use crate::call::{Call, Result};
use crate::registry;
use crate::storage;

/// What is done to the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Create,
    Update,
}

/// A plugin: changes or refuses the object (new, old). Names and order are upstream's.
type Plugin = fn(&Call, Operation, &mut dyn Object, Option<&dyn Object>) -> Result<()>;

const PLUGINS: &[(&str, Plugin)] = &[
    ("NamespaceLifecycle", namespace_lifecycle),
    ("ServiceAccount", service_account),
    ("DefaultTolerationSeconds", default_toleration_seconds),
    ("Priority", priority),
];

/// Namespaces that may not be deleted.
const IMMORTAL: &[&str] = &["default", "kube-system", "kube-public"];
/// How long a pod stays on a node that is lost, in seconds.
const LOST_NODE_TOLERATION_SECONDS: i64 = 300;

/// Lets an object that is created or updated through all plugins.
///
/// # Errors
/// What the first plugin that refuses says.
pub(crate) fn admit(
    call: &Call,
    operation: Operation,
    object: &mut dyn Object,
    old: Option<&dyn Object>,
) -> Result<()> {
    PLUGINS.iter().try_for_each(|(_, plugin)| plugin(call, operation, object, old))
}

/// Lets an object be deleted.
///
/// # Errors
/// 403 for namespaces the cluster cannot be without.
pub(crate) fn admit_delete(call: &Call, object: &dyn Object) -> Result<()> {
    let name = object.metadata().name.as_deref().unwrap_or_default();
    if call.row.resource == "namespaces" && IMMORTAL.contains(&name) {
        return Err(ApiError::forbidden(&call.resource(), name, "this namespace may not be deleted"));
    }
    Ok(())
}

/// An object of another kind, as it is stored now.
fn find<K: Kind>(
    call: &Call,
    (group, resource): (&str, &str),
    namespace: &str,
    name: &str,
) -> Option<std::sync::Arc<K>> {
    let row = registry::by_resource(group, "v1", resource)?;
    let kv = call.server.store().get(&storage::key(row, namespace, name))?;
    storage::stored(&kv).get::<K>().ok()
}

fn namespace_lifecycle(
    call: &Call,
    operation: Operation,
    object: &mut dyn Object,
    _: Option<&dyn Object>,
) -> Result<()> {
    if !call.row.namespaced || operation != Operation::Create {
        return Ok(());
    }
    let name = object.metadata().namespace.clone().unwrap_or_default();
    let Some(namespace) = find::<Namespace>(call, ("", "namespaces"), "", &name) else {
        let namespaces = machinery::GroupResource { group: String::new(), resource: "namespaces".into() };
        return Err(ApiError::not_found(&namespaces, &name));
    };
    if namespace.metadata.deletion_timestamp.is_some() {
        let object_name = object.metadata().name.clone().unwrap_or_default();
        let error = format!("unable to create new content in namespace {name} because it is being terminated");
        let cause = k8s_openapi::apimachinery::pkg::apis::meta::v1::StatusCause {
            reason: Some("NamespaceTerminating".into()),
            message: Some(format!("namespace {name} is being terminated")),
            field: Some("metadata.namespace".into()),
        };
        return Err(ApiError::forbidden(&call.resource(), &object_name, error).with_causes(vec![cause]));
    }
    Ok(())
}

fn service_account(call: &Call, operation: Operation, object: &mut dyn Object, _: Option<&dyn Object>) -> Result<()> {
    let Some(pod) = object.as_any_mut().downcast_mut::<Pod>() else { return Ok(()) };
    let mirror = pod.metadata.annotations.as_ref().is_some_and(|all| all.contains_key("kubernetes.io/config.mirror"));
    if operation != Operation::Create || mirror {
        return Ok(());
    }
    let spec = pod.spec.get_or_insert_default();
    if spec.service_account_name.as_deref().unwrap_or_default().is_empty() {
        spec.service_account_name = Some("default".into());
    }
    spec.service_account.clone_from(&spec.service_account_name);
    let name = spec.service_account_name.clone().unwrap_or_default();
    let namespace = pod.metadata.namespace.clone().unwrap_or_default();
    match find::<ServiceAccount>(call, ("", "serviceaccounts"), &namespace, &name) {
        Some(account) => {
            if spec.image_pull_secrets.as_ref().is_none_or(Vec::is_empty) {
                spec.image_pull_secrets.clone_from(&account.image_pull_secrets);
            }
            Ok(())
        }
        // The default account comes a moment after its namespace, by a controller: upstream waits for
        // it, which a function that answers at once cannot.
        None if name == "default" => Ok(()),
        None => {
            let pod_name = pod.metadata.name.clone().unwrap_or_default();
            let error =
                format!("error looking up service account {namespace}/{name}: serviceaccount \"{name}\" not found");
            Err(ApiError::forbidden(&call.resource(), &pod_name, error))
        }
    }
}

fn default_toleration_seconds(_: &Call, _: Operation, object: &mut dyn Object, _: Option<&dyn Object>) -> Result<()> {
    let Some(pod) = object.as_any_mut().downcast_mut::<Pod>() else { return Ok(()) };
    let spec = pod.spec.get_or_insert_default();
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let tolerates = |toleration: &Toleration| {
            let is_key = toleration.key.as_deref().is_none_or(|given| given.is_empty() || given == key);
            let is_effect = toleration.effect.as_deref().is_none_or(|given| given.is_empty() || given == "NoExecute");
            is_key && is_effect
        };
        if !spec.tolerations.iter().flatten().any(tolerates) {
            spec.tolerations.get_or_insert_default().push(Toleration {
                key: Some(key.into()),
                operator: Some("Exists".into()),
                effect: Some("NoExecute".into()),
                toleration_seconds: Some(LOST_NODE_TOLERATION_SECONDS),
                ..Toleration::default()
            });
        }
    }
    Ok(())
}

fn priority(call: &Call, operation: Operation, object: &mut dyn Object, old: Option<&dyn Object>) -> Result<()> {
    let Some(pod) = object.as_any_mut().downcast_mut::<Pod>() else { return Ok(()) };
    let spec = pod.spec.get_or_insert_default();
    if operation == Operation::Update {
        if let Some(old) = old.and_then(|old| old.as_any().downcast_ref::<Pod>()).and_then(|old| old.spec.as_ref()) {
            if spec.priority.is_none() {
                spec.priority = old.priority;
            }
            if spec.preemption_policy.is_none() {
                spec.preemption_policy.clone_from(&old.preemption_policy);
            }
        }
        return Ok(());
    }
    let name = spec.priority_class_name.clone().unwrap_or_default();
    let class = if name.is_empty() { default_priority_class(call) } else { priority_class(call, &name) };
    if class.is_none() && !name.is_empty() {
        let pod_name = pod.metadata.name.clone().unwrap_or_default();
        let error = format!("no PriorityClass with name {name} was found");
        return Err(ApiError::forbidden(&call.resource(), &pod_name, error));
    }
    if name.is_empty() {
        spec.priority_class_name = class.as_ref().and_then(|class| class.metadata.name.clone());
    }
    let value = class.as_ref().and_then(|class| class.value).unwrap_or_default();
    let policy = class.and_then(|class| class.preemption_policy.clone());
    if spec.priority.is_some_and(|given| given != value) {
        let pod_name = pod.metadata.name.clone().unwrap_or_default();
        let given = spec.priority.unwrap_or_default();
        let error = format!(
            "the integer value of priority ({given}) must not be provided in pod spec; priority admission controller computed {value} from the given PriorityClass name"
        );
        return Err(ApiError::forbidden(&call.resource(), &pod_name, error));
    }
    spec.priority = Some(value);
    spec.preemption_policy = Some(policy.unwrap_or_else(|| "PreemptLowerPriority".into()));
    Ok(())
}

fn priority_class(call: &Call, name: &str) -> Option<std::sync::Arc<PriorityClass>> {
    find(call, ("scheduling.k8s.io", "priorityclasses"), "", name)
}

/// The class of pods that name none: the global default with the lowest value, if there is one.
fn default_priority_class(call: &Call) -> Option<std::sync::Arc<PriorityClass>> {
    let row = registry::by_resource("scheduling.k8s.io", "v1", "priorityclasses")?;
    let snapshot = call.server.store().snapshot();
    let prefix = storage::prefix(row, "");
    let classes = snapshot.range(&prefix, "").filter_map(|kv| storage::stored(kv).get::<PriorityClass>().ok());
    classes.filter(|class| class.global_default == Some(true)).min_by_key(|class| class.value)
}
