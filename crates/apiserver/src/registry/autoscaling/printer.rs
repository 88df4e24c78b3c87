//! The table of autoscalers.

use k8s_openapi::api::autoscaling::v2::{
    HorizontalPodAutoscaler, MetricSpec, MetricStatus, MetricTarget, MetricValueStatus,
};
use machinery::Timestamp;
use serde_json::Value;

use crate::registry::info::Column;
use crate::registry::shared::printer::{AGE, NAME, age, column, name};

/// The columns of the table of autoscalers.
pub const COLUMNS: &[Column] = &[
    NAME,
    column("Reference", "string", "What is scaled."),
    column("Targets", "string", "Metrics: what they are and what they should be."),
    column("MinPods", "string", "The fewest pods."),
    column("MaxPods", "string", "The most pods."),
    column("Replicas", "string", "How many pods there are."),
    AGE,
];

/// The cells under [`COLUMNS`].
pub fn cells(autoscaler: &HorizontalPodAutoscaler, now: Timestamp) -> Vec<Value> {
    let spec = &autoscaler.spec;
    let status = autoscaler.status.clone().unwrap_or_default();
    let least = spec.min_replicas.map_or_else(|| Value::from("<unset>"), |least| least.to_string().into());
    let current = status.current_metrics.as_deref().unwrap_or_default();
    vec![
        name(&autoscaler.metadata),
        format!("{}/{}", spec.scale_target_ref.kind, spec.scale_target_ref.name).into(),
        targets(spec.metrics.as_deref().unwrap_or_default(), current).into(),
        least,
        spec.max_replicas.into(),
        status.current_replicas.unwrap_or_default().into(),
        age(&autoscaler.metadata, now),
    ]
}

/// `cpu: 12%/80%`, the first two and how many there are more.
fn targets(metrics: &[MetricSpec], current: &[MetricStatus]) -> String {
    const SHOWN: usize = 2;
    if metrics.is_empty() {
        return "<none>".into();
    }
    let one = |(index, metric)| target(metric, current.get(index));
    let shown: Vec<String> = metrics.iter().enumerate().take(SHOWN).map(one).collect();
    let shown = shown.join(", ");
    match metrics.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} + {more} more..."),
    }
}

fn target(metric: &MetricSpec, status: Option<&MetricStatus>) -> String {
    let now = |get: fn(&MetricStatus) -> Option<MetricValueStatus>| status.and_then(get).unwrap_or_default();
    match metric.type_.as_str() {
        "Resource" => {
            let Some(source) = &metric.resource else { return "<unknown type>".into() };
            let now = now(|status| status.resource.as_ref().map(|it| it.current.clone()));
            format!("{}: {}", source.name, share(&source.target, &now))
        }
        "ContainerResource" => {
            let Some(source) = &metric.container_resource else { return "<unknown type>".into() };
            let now = now(|status| status.container_resource.as_ref().map(|it| it.current.clone()));
            format!("{}: {}", source.name, share(&source.target, &now))
        }
        "Pods" => {
            let now = now(|status| status.pods.as_ref().map(|it| it.current.clone()));
            metric.pods.as_ref().map(|source| average(&source.target, &now, "")).unwrap_or_default()
        }
        "Object" => {
            let now = now(|status| status.object.as_ref().map(|it| it.current.clone()));
            metric.object.as_ref().map(|source| value(&source.target, &now)).unwrap_or_default()
        }
        "External" => {
            let now = now(|status| status.external.as_ref().map(|it| it.current.clone()));
            metric.external.as_ref().map(|source| value(&source.target, &now)).unwrap_or_default()
        }
        _ => "<unknown type>".into(),
    }
}

const UNKNOWN: &str = "<unknown>";

fn share(target: &MetricTarget, now: &MetricValueStatus) -> String {
    if target.average_value.is_some() {
        return average(target, now, "");
    }
    let percent = |percent: Option<i32>| percent.map(|percent| format!("{percent}%"));
    let current = percent(now.average_utilization).unwrap_or_else(|| UNKNOWN.into());
    format!("{current}/{}", percent(target.average_utilization).unwrap_or_else(|| "<auto>".into()))
}

fn average(target: &MetricTarget, now: &MetricValueStatus, suffix: &str) -> String {
    let current = now.average_value.as_ref().map_or(UNKNOWN, |quantity| quantity.0.as_str());
    let wanted = target.average_value.as_ref().map_or("<auto>", |quantity| quantity.0.as_str());
    format!("{current}/{wanted}{suffix}")
}

fn value(target: &MetricTarget, now: &MetricValueStatus) -> String {
    if target.average_value.is_some() {
        return average(target, now, " (avg)");
    }
    let current = now.value.as_ref().map_or(UNKNOWN, |quantity| quantity.0.as_str());
    let wanted = target.value.as_ref().map_or("<auto>", |quantity| quantity.0.as_str());
    format!("{current}/{wanted}")
}
