//! PodSecurity: the pod security standards, as a namespace's labels ask for them
//! (`k8s.io/pod-security-admission`).

mod checks;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{Namespace, Pod, PodSpec, PodTemplate, PodTemplateSpec, ReplicationController};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use machinery::field::{Error, ErrorList, Path};
use machinery::sort::Order;
use machinery::{ApiError, Object, go, split};

use self::checks::Violation;
use super::{Operation, Terms, refused};
use crate::call::{Call, Result};
use crate::storage;

/// How many pods are looked at when a namespace becomes stricter.
const PODS_MAX: usize = 3000;
const LABELS: &str = "pod-security.kubernetes.io/";
/// Subresources of pods that change nothing that is checked.
const HARMLESS: [&str; 2] = ["status", "binding"];

/// How much a namespace lets its pods do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Privileged,
    Baseline,
    Restricted,
}

impl Level {
    const ALL: [(&str, Self); 3] =
        [("privileged", Self::Privileged), ("baseline", Self::Baseline), ("restricted", Self::Restricted)];
}

/// A level as it was in a minor version of Kubernetes 1; `None` for the latest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Standard {
    level: Level,
    minor: Option<u32>,
}

impl Standard {
    /// `restricted:latest`, in quotes.
    fn quoted(self) -> String {
        let level = Level::ALL.iter().find(|(_, level)| *level == self.level).map_or("", |(name, _)| name);
        match self.minor {
            Some(minor) => format!("\"{level}:v1.{minor}\""),
            None => format!("\"{level}:latest\""),
        }
    }

    /// What the labels of a namespace ask for in a mode; a label that cannot be read asks for the most.
    fn of(namespace: &ObjectMeta, mode: &str, errors: &mut ErrorList) -> Self {
        let path = Path::new("metadata.labels");
        let label = |name: &str| namespace.labels.as_ref().and_then(|labels| labels.get(name)).cloned();
        let mut standard = Self { level: Level::Privileged, minor: None };
        let name = format!("{LABELS}{mode}");
        if let Some(value) = label(&name) {
            match Level::ALL.iter().find(|(name, _)| *name == value) {
                Some((_, level)) => standard.level = *level,
                None => {
                    standard.level = Level::Restricted;
                    let detail = "must be one of privileged, baseline, restricted";
                    errors.push(Error::invalid(&path.key(&name), value, detail));
                }
            }
        }
        let name = format!("{LABELS}{mode}-version");
        if let Some(value) = label(&name).filter(|value| value != "latest") {
            standard.minor = value.strip_prefix("v1.").and_then(|minor| minor.parse().ok());
            if standard.minor.is_none() {
                errors.push(Error::invalid(&path.key(&name), value, "must be \"latest\" or \"v1.x\""));
            }
        }
        standard
    }
}

/// Refuses what violates the enforced standard, and warns of what violates the one to warn of.
pub(super) fn check(
    call: &Call,
    operation: Operation,
    object: &dyn Object,
    old: Option<&dyn Object>,
    terms: &mut Terms,
) -> Result<()> {
    if let Some(namespace) = object.as_any().downcast_ref::<Namespace>() {
        return if call.info.subresource.is_empty() { check_namespace(call, namespace, old, terms) } else { Ok(()) };
    }
    let pod = object.as_any().downcast_ref::<Pod>();
    let subresource = call.info.subresource.as_str();
    let skipped = if pod.is_some() { HARMLESS.contains(&subresource) } else { !subresource.is_empty() };
    if skipped {
        return Ok(());
    }
    let Some((metadata, spec)) = pod_of(object) else { return Ok(()) };
    let name = object.metadata().namespace.as_deref().unwrap_or_default();
    let Some(namespace) = storage::find::<Namespace>(call, ("", "namespaces"), "", name) else { return Ok(()) };
    let labelled = namespace.metadata.labels.iter().flatten().any(|(label, _)| label.starts_with(LABELS));
    if !labelled || (operation == Operation::Update && pod.is_some() && !is_significant(spec, old)) {
        return Ok(());
    }
    let standard = |mode: &str| Standard::of(&namespace.metadata, mode, &mut ErrorList::new());
    if pod.is_some() {
        let enforced = standard("enforce");
        let violations = violations(enforced, metadata, spec)?;
        if !violations.is_empty() {
            let error = format!("violates PodSecurity {}: {}", enforced.quoted(), details(&violations));
            return refused(call, object, error);
        }
    }
    let warned = standard("warn");
    let violations = violations(warned, metadata, spec)?;
    if !violations.is_empty() {
        terms.warnings.push(format!("would violate PodSecurity {}: {}", warned.quoted(), details(&violations)));
    }
    Ok(())
}

machinery::split! {
    rare,
    fn checked(standard: Standard, metadata: &ObjectMeta, spec: &PodSpec) -> Vec<Violation> {
        checks::violations(standard, metadata, spec)
    }
}

/// How a pod violates a standard. Most namespaces have none, so the checks are in a chunk.
fn violations(standard: Standard, metadata: &ObjectMeta, spec: &PodSpec) -> Result<Vec<Violation>> {
    split::at_once(checked(standard, metadata, spec)).map_err(|error| ApiError::service_unavailable(error.to_string()))
}

/// `reason (detail), …`
fn details(violations: &[Violation]) -> String {
    let each = violations.iter().map(|violation| match violation.detail.as_str() {
        "" => violation.reason.clone(),
        detail => format!("{} ({detail})", violation.reason),
    });
    each.collect::<Vec<_>>().join(", ")
}

/// Whether an update of a pod touches what is checked: images, or more containers.
fn is_significant(spec: &PodSpec, old: Option<&dyn Object>) -> bool {
    let Some(old) = old.and_then(|old| old.as_any().downcast_ref::<Pod>()).and_then(|pod| pod.spec.as_ref()) else {
        return true;
    };
    let images = |spec: &PodSpec| {
        let ordinary = spec.containers.iter().chain(spec.init_containers.iter().flatten());
        let ordinary = ordinary.map(|container| (container.name.clone(), container.image.clone()));
        let ephemeral = spec.ephemeral_containers.iter().flatten();
        ordinary.chain(ephemeral.map(|container| (container.name.clone(), container.image.clone()))).collect::<Vec<_>>()
    };
    images(spec) != images(old)
}

/// Labels must be readable where they change; pods that a stricter standard would refuse are told of.
fn check_namespace(call: &Call, namespace: &Namespace, old: Option<&dyn Object>, terms: &mut Terms) -> Result<()> {
    let mut errors = ErrorList::new();
    let read = |metadata: &ObjectMeta, errors: &mut ErrorList| {
        let standards = ["enforce", "audit", "warn"].map(|mode| Standard::of(metadata, mode, errors));
        standards[0]
    };
    let enforced = read(&namespace.metadata, &mut errors);
    let Some(old) = old else {
        let name = namespace.metadata.name.as_deref().unwrap_or_default();
        return call.check(name, errors);
    };
    let mut old_errors = ErrorList::new();
    let before = read(old.metadata(), &mut old_errors);
    let name = namespace.metadata.name.as_deref().unwrap_or_default();
    if errors != old_errors {
        call.check(name, errors)?;
    }
    let relaxed = enforced.minor == before.minor && enforced.level <= before.level;
    if enforced == before || enforced.level == Level::Privileged || relaxed {
        return Ok(());
    }
    let pods = super::all::<Pod>(call, ("", "pods"), name);
    if pods.len() > PODS_MAX {
        terms.warnings.push(format!(
            "new PodSecurity enforce level only checked against the first {PODS_MAX} of {} existing pods",
            pods.len()
        ));
    }
    // By what is wrong with them: the first pod, and how many there are.
    let mut found: Vec<(String, String, usize)> = Vec::new();
    for (_, pod) in pods.iter().take(PODS_MAX) {
        let Some(spec) = &pod.spec else { continue };
        let violations = violations(enforced, &pod.metadata, spec)?;
        if violations.is_empty() {
            continue;
        }
        let reasons = violations.iter().map(|violation| violation.reason.as_str()).collect::<Vec<_>>().join(", ");
        match found.iter_mut().find(|(known, ..)| *known == reasons) {
            Some((_, _, count)) => *count += 1,
            None => found.push((reasons, pod.metadata.name.clone().unwrap_or_default(), 1)),
        }
    }
    if !found.is_empty() {
        terms.warnings.push(format!(
            "existing pods in namespace {} violate the new PodSecurity enforce level {}",
            go::quote(name),
            enforced.quoted()
        ));
    }
    let mut lines: Vec<String> = found
        .into_iter()
        .map(|(reasons, pod, count)| match count {
            1 => format!("{pod}: {reasons}"),
            2 => format!("{pod} (and 1 other pod): {reasons}"),
            count => format!("{pod} (and {} other pods): {reasons}", count - 1),
        })
        .collect();
    lines.order();
    terms.warnings.append(&mut lines);
    Ok(())
}

/// The pod, or the template of pods, in an object.
fn pod_of(object: &dyn Object) -> Option<(&ObjectMeta, &PodSpec)> {
    let any = object.as_any();
    if let Some(pod) = any.downcast_ref::<Pod>() {
        return Some((&pod.metadata, pod.spec.as_ref()?));
    }
    let template: &PodTemplateSpec = if let Some(object) = any.downcast_ref::<Deployment>() {
        &object.spec.template
    } else if let Some(object) = any.downcast_ref::<ReplicaSet>() {
        object.spec.template.as_ref()?
    } else if let Some(object) = any.downcast_ref::<StatefulSet>() {
        &object.spec.template
    } else if let Some(object) = any.downcast_ref::<DaemonSet>() {
        &object.spec.template
    } else if let Some(object) = any.downcast_ref::<Job>() {
        &object.spec.as_ref()?.template
    } else if let Some(object) = any.downcast_ref::<CronJob>() {
        &object.spec.job_template.spec.as_ref()?.template
    } else if let Some(object) = any.downcast_ref::<ReplicationController>() {
        object.spec.as_ref()?.template.as_ref()?
    } else {
        any.downcast_ref::<PodTemplate>()?.template.as_ref()?
    };
    static NONE: std::sync::LazyLock<ObjectMeta> = std::sync::LazyLock::new(ObjectMeta::default);
    Some((template.metadata.as_ref().unwrap_or(&NONE), template.spec.as_ref()?))
}
