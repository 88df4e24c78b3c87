//! Built-in admission: what is changed or refused because of how an object fits the cluster.
//!
//! Plugins are functions in upstream's order, first those that change an object ([`mutate`]), then,
//! after validation, those that only look ([`validate`]). What the latter have looked at is among the
//! [`Terms`] of the write: it happens only while that is so, and writes along what they charge.

pub(crate) mod certificates;
mod defaults;
mod limit_ranger;
mod pod_security;
mod resource_quota;
mod runtime_class;
mod service_account;

use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Pod, Toleration};
use k8s_openapi::api::scheduling::v1::PriorityClass;
use machinery::{ApiError, Kind, Object, Timestamp};
use store::{Compare, Op, Relation, Target};

use crate::call::{Call, Result};
use crate::metrics::{Admitted, Step};
use crate::{registry, storage};

/// What is done to the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Create,
    Update,
}

/// A plugin that changes the object (new, old), or refuses it.
type Mutating = fn(&Call, Operation, &mut dyn Object, Option<&dyn Object>) -> Result<()>;
/// A plugin that only looks at the object (new, old), and adds to the terms on which it is written.
type Validating = fn(&Call, Operation, &dyn Object, Option<&dyn Object>, &mut Terms) -> Result<()>;

/// Names and order are upstream's. What users define comes at the end.
const MUTATING: &[(&str, Mutating)] = &[
    ("NamespaceLifecycle", |call, operation, object, _| namespace_lifecycle(call, operation, object).map(drop)),
    ("LimitRanger", limit_ranger::complete),
    ("ServiceAccount", service_account::admit),
    ("Priority", priority),
    ("DefaultTolerationSeconds", default_toleration_seconds),
    ("DefaultStorageClass", defaults::storage_class),
    ("StorageObjectInUseProtection", defaults::in_use_protection),
    ("RuntimeClass", runtime_class::admit),
    ("DefaultIngressClass", defaults::ingress_class),
];

/// Names and order are upstream's. What users define comes before the quotas, which are charged last.
const VALIDATING: &[(&str, Validating)] = &[
    ("NamespaceLifecycle", namespace_stays),
    ("LimitRanger", limit_ranger::check),
    ("PodSecurity", pod_security::check),
    ("PersistentVolumeClaimResize", defaults::resize),
    // And CertificateSigning.
    ("CertificateApproval", certificates::check),
    ("ResourceQuota", resource_quota::charge),
];

/// Namespaces that may not be deleted.
const IMMORTAL: &[&str] = &["default", "kube-system", "kube-public"];
/// How long a pod stays on a node that is lost, in seconds.
const LOST_NODE_TOLERATION_SECONDS: i64 = 300;

/// On what terms an object is let in.
#[derive(Default)]
pub(crate) struct Terms {
    /// What must hold when it is written.
    pub(crate) compare: Vec<Compare>,
    /// What is written with it.
    pub(crate) ops: Vec<Op>,
    /// Texts for Warning headers.
    pub(crate) warnings: Vec<String>,
}

impl Terms {
    /// The key must still have the revision.
    fn unchanged(&mut self, key: &std::sync::Arc<str>, mod_revision: i64) {
        let target = Target::ModRevision(mod_revision);
        self.compare.push(Compare { key: key.clone(), target, relation: Relation::Equal });
    }
}

/// Completes an object that is created or updated.
///
/// # Errors
/// What the first plugin that refuses says.
pub(crate) fn mutate(
    call: &Call,
    operation: Operation,
    object: &mut dyn Object,
    old: Option<&dyn Object>,
) -> Result<()> {
    // What of them a status does not reach is the old object's again afterwards.
    if call.info.subresource == "status" {
        return Ok(());
    }
    let mut timing = Timing::new(call, operation, "admit");
    let mut plugins = MUTATING.iter();
    let result =
        plugins.try_for_each(|(name, plugin)| timing.plugin(name, &mut || plugin(call, operation, object, old)));
    timing.end(result)
}

/// Lets a complete and valid object be written, on terms.
///
/// # Errors
/// What the first plugin that refuses says.
pub(crate) fn validate(
    call: &Call,
    operation: Operation,
    object: &dyn Object,
    old: Option<&dyn Object>,
) -> Result<Terms> {
    let mut terms = Terms::default();
    let mut timing = Timing::new(call, operation, "validate");
    let result = VALIDATING
        .iter()
        .try_for_each(|(name, plugin)| timing.plugin(name, &mut || plugin(call, operation, object, old, &mut terms)));
    timing.end(result)?;
    Ok(terms)
}

/// How long a step and its plugins take, and how they end: counted together.
struct Timing<'a> {
    call: &'a Call,
    operation: &'static str,
    step: &'static str,
    began: Timestamp,
    taken: Vec<(Step, Duration)>,
}

impl<'a> Timing<'a> {
    /// The step begins.
    fn new(call: &'a Call, operation: Operation, step: &'static str) -> Self {
        let operation = match operation {
            Operation::Create => "CREATE",
            Operation::Update => "UPDATE",
        };
        let plugins = MUTATING.len().max(VALIDATING.len());
        Self { call, operation, step, began: call.server.now(), taken: Vec::with_capacity(plugins + 1) }
    }

    fn plugin(&mut self, plugin: &'static str, act: &mut dyn FnMut() -> Result<()>) -> Result<()> {
        let began = self.call.server.now();
        let result = act();
        self.take(plugin, began, result.is_err());
        result
    }

    /// The step ends.
    fn end(mut self, result: Result<()>) -> Result<()> {
        self.take("", self.began, result.is_err());
        self.call.server.count(&self.taken);
        result
    }

    fn take(&mut self, plugin: &'static str, began: Timestamp, rejected: bool) {
        let admitted = Admitted { plugin, step: self.step, operation: self.operation, rejected };
        let duration = self.call.server.now().duration_since(began).unsigned_abs();
        self.taken.push((Step::Admission(admitted), duration));
    }
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

/// 403 for an object, in the words of upstream's `admission.NewForbidden`.
fn refused<T>(call: &Call, object: &dyn Object, error: impl std::fmt::Display) -> Result<T> {
    let name = object.metadata().name.as_deref().unwrap_or_default();
    Err(ApiError::forbidden(&call.resource(), name, error))
}

/// The objects of a resource in a namespace (empty: all), each with its key and revision.
fn all<K: Kind>(
    call: &Call,
    (group, resource): (&str, &str),
    namespace: &str,
) -> Vec<(std::sync::Arc<store::KeyValue>, std::sync::Arc<K>)> {
    let Some(row) = registry::by_resource(group, "v1", resource) else { return Vec::new() };
    let snapshot = call.server.store().snapshot();
    let prefix = storage::prefix(row, namespace);
    snapshot.range(&prefix, "").filter_map(|kv| Some((kv.clone(), storage::stored(kv).get::<K>().ok()?))).collect()
}

/// A new object needs a namespace that is there to stay: its key and revision, where there is one.
fn namespace_lifecycle(
    call: &Call,
    operation: Operation,
    object: &dyn Object,
) -> Result<Option<std::sync::Arc<store::KeyValue>>> {
    if !call.row.namespaced || operation != Operation::Create {
        return Ok(None);
    }
    let name = object.metadata().namespace.clone().unwrap_or_default();
    let row = registry::by_resource("", "v1", "namespaces").ok_or_else(ApiError::resource_not_found)?;
    let Some(kv) = call.server.store().get(&storage::key(row, "", &name)) else {
        return Err(ApiError::not_found(&row.group_resource(), &name));
    };
    let namespace = storage::stored(&kv).get::<Namespace>().map_err(ApiError::internal)?;
    if namespace.metadata.deletion_timestamp.is_some() {
        let error = format!("unable to create new content in namespace {name} because it is being terminated");
        let cause = k8s_openapi::apimachinery::pkg::apis::meta::v1::StatusCause {
            reason: Some("NamespaceTerminating".into()),
            message: Some(format!("namespace {name} is being terminated")),
            field: Some("metadata.namespace".into()),
        };
        return refused(call, object, error).map_err(|error: ApiError| error.with_causes(vec![cause]));
    }
    Ok(Some(kv))
}

/// The namespace is still there, and not terminating, when the object is written.
fn namespace_stays(
    call: &Call,
    operation: Operation,
    object: &dyn Object,
    _: Option<&dyn Object>,
    terms: &mut Terms,
) -> Result<()> {
    if let Some(kv) = namespace_lifecycle(call, operation, object)? {
        terms.unchanged(&kv.key, kv.mod_revision);
    }
    Ok(())
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
        return refused(call, pod, format!("no PriorityClass with name {name} was found"));
    }
    if name.is_empty() {
        spec.priority_class_name = class.as_ref().and_then(|class| class.metadata.name.clone());
    }
    let value = class.as_ref().and_then(|class| class.value).unwrap_or_default();
    let policy = class.and_then(|class| class.preemption_policy.clone());
    if let Some(given) = spec.priority.filter(|given| *given != value) {
        let error = format!(
            "the integer value of priority ({given}) must not be provided in pod spec; priority admission controller computed {value} from the given PriorityClass name"
        );
        return refused(call, pod, error);
    }
    spec.priority = Some(value);
    spec.preemption_policy = Some(policy.unwrap_or_else(|| "PreemptLowerPriority".into()));
    Ok(())
}

fn priority_class(call: &Call, name: &str) -> Option<std::sync::Arc<PriorityClass>> {
    storage::find(call, ("scheduling.k8s.io", "priorityclasses"), "", name)
}

/// The class of pods that name none: the global default with the lowest value, if there is one.
fn default_priority_class(call: &Call) -> Option<std::sync::Arc<PriorityClass>> {
    let classes = all::<PriorityClass>(call, ("scheduling.k8s.io", "priorityclasses"), "").into_iter();
    classes.map(|(_, class)| class).filter(|class| class.global_default == Some(true)).min_by_key(|class| class.value)
}
