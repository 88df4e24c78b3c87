//! The kinds of `autoscaling`: one kind in two versions. The second is the stored one.

mod conversion;
mod defaults;
mod printer;

use k8s_openapi::api::autoscaling::v2::{HPAScalingRules, HorizontalPodAutoscaler, MetricTarget};
use machinery::Quantity;
use machinery::field::{Error, ErrorList, Path};

use super::info::{ResourceInfo, STATUS};
use super::rare::Rare;
use super::shared::validate::{NONNEGATIVE, nonnegative, one_of, required};
use super::strategy::{Typed, parts};
use machinery::names::is_path_segment_name;

const PREFIX: &str = "/registry/horizontalpodautoscalers";

/// The rows of the group.
pub(super) static ROWS: &[ResourceInfo] =
    &[row("v2"), ResourceInfo { conversion: Some(conversion::CONVERSION), ..row("v1") }];

const fn row(version: &'static str) -> ResourceInfo {
    ResourceInfo {
        short_names: &["hpa"],
        categories: &["all"],
        subresources: &[STATUS],
        ..ResourceInfo::new(
            ("autoscaling", version),
            "horizontalpodautoscalers",
            "HorizontalPodAutoscaler",
            PREFIX,
            &Rare::HorizontalPodAutoscaler,
        )
    }
}

pub(super) static STRATEGY: Typed<HorizontalPodAutoscaler> = Typed {
    generation: true,
    defaults: defaults::autoscaler,
    validate,
    validate_update: |new, _| validate(new),
    columns: printer::COLUMNS,
    cells: printer::cells,
    ..Typed::new(parts!(HorizontalPodAutoscaler: spec; status))
};

fn validate(autoscaler: &HorizontalPodAutoscaler) -> ErrorList {
    let path = Path::new("spec");
    let mut errors = ErrorList::new();
    let spec = &autoscaler.spec;
    let least = spec.min_replicas.unwrap_or_default();
    if least < 1 {
        let detail = "must be greater than or equal to 1";
        errors.push(Error::invalid(&path.child("minReplicas"), least, detail));
    }
    if spec.max_replicas < 1 {
        errors.push(Error::invalid(&path.child("maxReplicas"), spec.max_replicas, "must be greater than 0"));
    }
    if spec.max_replicas < least {
        let detail = "must be greater than or equal to `minReplicas`";
        errors.push(Error::invalid(&path.child("maxReplicas"), spec.max_replicas, detail));
    }
    let target = path.child("scaleTargetRef");
    required(&mut errors, &target.child("kind"), &spec.scale_target_ref.kind, is_path_segment_name);
    required(&mut errors, &target.child("name"), &spec.scale_target_ref.name, is_path_segment_name);
    metrics(&mut errors, &path.child("metrics"), autoscaler);
    if let Some(behavior) = &spec.behavior {
        for (field, rules) in [("scaleUp", &behavior.scale_up), ("scaleDown", &behavior.scale_down)] {
            if let Some(rules) = rules {
                let at = path.child("behavior");
                scaling_rules(&mut errors, &at.child(field), rules);
            }
        }
    }
    errors
}

fn metrics(errors: &mut ErrorList, path: &Path<'_>, autoscaler: &HorizontalPodAutoscaler) {
    const TYPES: [&str; 5] = ["ContainerResource", "External", "Object", "Pods", "Resource"];
    for (index, metric) in autoscaler.spec.metrics.iter().flatten().enumerate() {
        let at = path.index(index);
        if metric.type_.is_empty() {
            errors.push(Error::required(&at.child("type"), "must specify a metric source type"));
            continue;
        }
        if !TYPES.contains(&metric.type_.as_str()) {
            errors.push(Error::not_supported(&at.child("type"), metric.type_.as_str(), &TYPES));
            continue;
        }
        let (field, source): (&str, Option<&MetricTarget>) = match metric.type_.as_str() {
            "Resource" => ("resource", metric.resource.as_ref().map(|it| &it.target)),
            "ContainerResource" => ("containerResource", metric.container_resource.as_ref().map(|it| &it.target)),
            "External" => ("external", metric.external.as_ref().map(|it| &it.target)),
            "Object" => ("object", metric.object.as_ref().map(|it| &it.target)),
            _ => ("pods", metric.pods.as_ref().map(|it| &it.target)),
        };
        let at = at.child(field);
        match source {
            None => {
                let detail = format!("must populate information for the given metric source ({})", metric.type_);
                errors.push(Error::required(&at, detail));
            }
            Some(target) => self::target(errors, &at.child("target"), target),
        }
    }
}

fn target(errors: &mut ErrorList, path: &Path<'_>, target: &MetricTarget) {
    one_of(errors, &path.child("type"), Some(&target.type_), &["AverageValue", "Utilization", "Value"]);
    if let Some(percent) = target.average_utilization.filter(|percent| *percent < 1) {
        errors.push(Error::invalid(&path.child("averageUtilization"), percent, "must be greater than 0"));
    }
}

fn scaling_rules(errors: &mut ErrorList, path: &Path<'_>, rules: &HPAScalingRules) {
    const SECONDS_MAX: i32 = 3600;
    const PERIOD_SECONDS_MAX: i32 = 1800;
    let at = path.child("stabilizationWindowSeconds");
    let seconds = rules.stabilization_window_seconds.unwrap_or_default();
    nonnegative(errors, &at, seconds);
    if seconds > SECONDS_MAX {
        errors.push(Error::invalid(&at, seconds, format!("must be less than or equal to {SECONDS_MAX}")));
    }
    if let Some(tolerance) = rules.tolerance.as_ref()
        && Quantity::try_from(tolerance).is_ok_and(|it| it < Quantity::ZERO)
    {
        errors.push(Error::invalid(&path.child("tolerance"), tolerance.0.as_str(), NONNEGATIVE));
    }
    let at = path.child("policies");
    let policies = rules.policies.as_deref().unwrap_or_default();
    if policies.is_empty() {
        errors.push(Error::required(&at, "must specify at least one Policy"));
    }
    for (index, policy) in policies.iter().enumerate() {
        let at = at.index(index);
        one_of(errors, &at.child("type"), Some(&policy.type_), &["Pods", "Percent"]);
        if policy.value <= 0 {
            errors.push(Error::invalid(&at.child("value"), policy.value, "must be greater than zero"));
        }
        if policy.period_seconds <= 0 {
            let detail = "must be greater than zero";
            errors.push(Error::invalid(&at.child("periodSeconds"), policy.period_seconds, detail));
        }
        if policy.period_seconds > PERIOD_SECONDS_MAX {
            let detail = format!("must be less than or equal to {PERIOD_SECONDS_MAX}");
            errors.push(Error::invalid(&at.child("periodSeconds"), policy.period_seconds, detail));
        }
    }
}
