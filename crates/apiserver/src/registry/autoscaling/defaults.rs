//! Defaults of autoscalers (upstream's `pkg/apis/autoscaling/v2/defaults.go`).

use k8s_openapi::api::autoscaling::v2::{
    HPAScalingPolicy, HPAScalingRules, HorizontalPodAutoscaler, MetricSpec, MetricTarget, ResourceMetricSource,
};

use crate::registry::shared::defaults::set;

/// The share of the requested cpu that pods should use, where nothing is said.
const CPU_PERCENT: i32 = 80;
/// The period of the policies that are there where nothing is said.
const PERIOD_SECONDS: i32 = 15;

/// Sets an autoscaler's defaults.
pub fn autoscaler(autoscaler: &mut HorizontalPodAutoscaler) {
    let spec = &mut autoscaler.spec;
    set(&mut spec.min_replicas, 1);
    if spec.metrics.as_ref().is_none_or(|metrics| metrics.is_empty()) {
        spec.metrics = Some(vec![cpu(CPU_PERCENT)]);
    }
    let Some(behavior) = &mut spec.behavior else { return };
    let up = behavior.scale_up.get_or_insert_default();
    set(&mut up.stabilization_window_seconds, 0);
    rules(up, &[("Pods", 4), ("Percent", 100)]);
    rules(behavior.scale_down.get_or_insert_default(), &[("Percent", 100)]);
}

fn rules(rules: &mut HPAScalingRules, policies: &[(&str, i32)]) {
    set(&mut rules.select_policy, "Max".into());
    if rules.policies.is_none() {
        let policy = |(kind, value): &(&str, i32)| HPAScalingPolicy {
            type_: (*kind).into(),
            value: *value,
            period_seconds: PERIOD_SECONDS,
        };
        rules.policies = Some(policies.iter().map(policy).collect());
    }
}

/// The metric that `targetCPUUtilizationPercentage` of the first version stands for.
fn cpu(percent: i32) -> MetricSpec {
    let target =
        MetricTarget { type_: "Utilization".into(), average_utilization: Some(percent), ..MetricTarget::default() };
    MetricSpec {
        type_: "Resource".into(),
        resource: Some(ResourceMetricSource { name: "cpu".into(), target }),
        ..MetricSpec::default()
    }
}
