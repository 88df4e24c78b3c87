//! LimitRanger: default, least and greatest amounts of resources (`plugin/pkg/admission/limitranger`).

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Container, LimitRange, LimitRangeItem, PersistentVolumeClaim, Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;
use machinery::{Object, Quantity};

use super::{Operation, Terms, refused};
use crate::call::{Call, Result};

/// Amounts by resource, as objects have them.
type Amounts = BTreeMap<String, Text>;
/// Says on a pod what was set.
const ANNOTATION: &str = "kubernetes.io/limit-ranger";

/// The items of a namespace's ranges that are of a type.
fn items(call: &Call, object: &dyn Object, type_: &str) -> Vec<LimitRangeItem> {
    let namespace = object.metadata().namespace.as_deref().unwrap_or_default();
    let ranges = super::all::<LimitRange>(call, ("", "limitranges"), namespace).into_iter();
    let ranges = ranges.map(|(_, range): (_, Arc<LimitRange>)| range);
    let items = ranges.flat_map(|range| range.spec.clone().unwrap_or_default().limits);
    items.filter(|item| item.type_ == type_).collect()
}

/// Whether limits are a matter of this request: of new pods and of those that are resized.
fn concerns_pod(call: &Call, operation: Operation, object: &dyn Object) -> bool {
    let created = operation == Operation::Create || call.info.subresource == "resize";
    created && object.metadata().deletion_timestamp.is_none()
}

/// Gives a pod's containers the defaults of the namespace's ranges.
pub(super) fn complete(
    call: &Call,
    operation: Operation,
    object: &mut dyn Object,
    _: Option<&dyn Object>,
) -> Result<()> {
    if !object.as_any().is::<Pod>() || !concerns_pod(call, operation, object) {
        return Ok(());
    }
    let items = items(call, object, "Container");
    let Some(pod) = object.as_any_mut().downcast_mut::<Pod>() else { return Ok(()) };
    let mut notes = Vec::new();
    for item in &items {
        let spec = pod.spec.get_or_insert_default();
        for container in &mut spec.containers {
            fill(container, item, "container", &mut notes);
        }
        for container in spec.init_containers.iter_mut().flatten() {
            fill(container, item, "init container", &mut notes);
        }
    }
    if !notes.is_empty() {
        let note = format!("LimitRanger plugin set: {}", notes.join("; "));
        pod.metadata.annotations.get_or_insert_default().insert(ANNOTATION.into(), note);
    }
    Ok(())
}

fn fill(container: &mut Container, item: &LimitRangeItem, what: &str, notes: &mut Vec<String>) {
    let resources = container.resources.get_or_insert_default();
    let name = &container.name;
    let parts =
        [("request", &item.default_request, &mut resources.requests), ("limit", &item.default, &mut resources.limits)];
    for (part, defaults, amounts) in parts {
        let missing = defaults
            .iter()
            .flatten()
            .filter(|(resource, _)| !amounts.as_ref().is_some_and(|amounts| amounts.contains_key(*resource)));
        let missing: Vec<_> = missing.map(|(resource, amount)| (resource.clone(), amount.clone())).collect();
        if missing.is_empty() {
            continue;
        }
        let names = missing.iter().map(|(resource, _)| resource.as_str()).collect::<Vec<_>>().join(", ");
        notes.push(format!("{names} {part} for {what} {name}"));
        amounts.get_or_insert_default().extend(missing);
    }
}

/// Refuses what a range does not allow.
pub(super) fn check(
    call: &Call,
    operation: Operation,
    object: &dyn Object,
    _: Option<&dyn Object>,
    _: &mut Terms,
) -> Result<()> {
    let mut errors = Vec::new();
    if let Some(pod) = object.as_any().downcast_ref::<Pod>().filter(|_| concerns_pod(call, operation, object)) {
        let Some(spec) = &pod.spec else { return Ok(()) };
        for item in items(call, object, "Container") {
            for container in spec.containers.iter().chain(spec.init_containers.iter().flatten()) {
                let resources = container.resources.clone().unwrap_or_default();
                let (requests, limits) = (resources.requests.unwrap_or_default(), resources.limits.unwrap_or_default());
                bounds(&item, &requests, &limits, &mut errors);
            }
        }
        for item in items(call, object, "Pod") {
            bounds(&item, &together(spec, false), &together(spec, true), &mut errors);
        }
    } else if let Some(claim) = object.as_any().downcast_ref::<PersistentVolumeClaim>()
        && call.info.subresource.is_empty()
    {
        let resources = claim.spec.as_ref().and_then(|spec| spec.resources.clone()).unwrap_or_default();
        let requests = resources.requests.unwrap_or_default();
        for item in items(call, object, "PersistentVolumeClaim") {
            claim_bounds(&item, &requests, &mut errors);
        }
    }
    match errors.as_slice() {
        [] => Ok(()),
        [error] => refused(call, object, error),
        errors => refused(call, object, format!("[{}]", errors.join(", "))),
    }
}

/// Least, greatest, and how much greater a limit may be than its request.
fn bounds(item: &LimitRangeItem, requests: &Amounts, limits: &Amounts, errors: &mut Vec<String>) {
    let kind = &item.type_;
    let of = |amounts: &Amounts, resource: &str| {
        amounts.get(resource).map(|amount| (Quantity::of(Some(amount)), amount.0.clone()))
    };
    for (resource, bound) in item.min.iter().flatten() {
        let least = Quantity::of(Some(bound));
        let begin = format!("minimum {resource} usage per {kind} is {}", bound.0);
        match (of(requests, resource), of(limits, resource)) {
            (None, _) => errors.push(format!("{begin}.  No request is specified")),
            (Some((request, text)), _) if request < least => errors.push(format!("{begin}, but request is {text}")),
            (_, Some((limit, text))) if limit < least => errors.push(format!("{begin}, but limit is {text}")),
            _ => {}
        }
    }
    for (resource, bound) in item.max.iter().flatten() {
        let greatest = Quantity::of(Some(bound));
        let begin = format!("maximum {resource} usage per {kind} is {}", bound.0);
        match (of(requests, resource), of(limits, resource)) {
            (_, None) => errors.push(format!("{begin}.  No limit is specified")),
            (_, Some((limit, text))) if limit > greatest => errors.push(format!("{begin}, but limit is {text}")),
            (Some((request, text)), _) if request > greatest => errors.push(format!("{begin}, but request is {text}")),
            _ => {}
        }
    }
    for (resource, bound) in item.max_limit_request_ratio.iter().flatten() {
        let begin = format!("{resource} max limit to request ratio per {kind} is {}", bound.0);
        let amount =
            |amounts: &Amounts| of(amounts, resource).map(|(amount, _)| amount).filter(|amount| !amount.is_zero());
        match (amount(requests), amount(limits)) {
            (None, _) => errors.push(format!("{begin}, but no request is specified or request is 0")),
            (_, None) => errors.push(format!("{begin}, but no limit is specified or limit is 0")),
            (Some(request), Some(limit)) => {
                let ratio = limit.as_f64() / request.as_f64();
                if ratio > Quantity::of(Some(bound)).as_f64() {
                    errors.push(format!("{begin}, but provided ratio is {ratio:.6}"));
                }
            }
        }
    }
}

fn claim_bounds(item: &LimitRangeItem, requests: &Amounts, errors: &mut Vec<String>) {
    let sides = [("minimum", &item.min, -1), ("maximum", &item.max, 1)];
    for (word, bounds, side) in sides {
        for (resource, bound) in bounds.iter().flatten() {
            let begin = format!("{word} {resource} usage per {} is {}", item.type_, bound.0);
            match requests.get(resource) {
                None => errors.push(format!("{begin}.  No request is specified")),
                Some(request) => {
                    let beyond = Quantity::of(Some(request)) - Quantity::of(Some(bound));
                    if beyond.signum() == side {
                        errors.push(format!("{begin}, but request is {}", request.0));
                    }
                }
            }
        }
    }
}

/// What a pod's containers need together, or an init container of it alone.
fn together(spec: &PodSpec, limits: bool) -> Amounts {
    let of = |container: &Container| {
        let resources = container.resources.clone().unwrap_or_default();
        if limits { resources.limits } else { resources.requests }.unwrap_or_default()
    };
    let mut sum: Vec<(String, Quantity)> = Vec::new();
    let mut join = |amounts: Amounts, combine: fn(Quantity, Quantity) -> Quantity| {
        for (resource, amount) in amounts {
            let amount = Quantity::of(Some(&amount));
            match sum.iter_mut().find(|(other, _)| *other == resource) {
                Some((_, so_far)) => *so_far = combine(*so_far, amount),
                None => sum.push((resource, amount)),
            }
        }
    };
    for container in &spec.containers {
        join(of(container), |a, b| a + b);
    }
    for container in spec.init_containers.iter().flatten() {
        join(of(container), Quantity::max);
    }
    sum.into_iter().map(|(resource, amount)| (resource, Text(amount.to_string()))).collect()
}
