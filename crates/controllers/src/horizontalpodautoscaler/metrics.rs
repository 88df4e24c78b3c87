//! What each metric of an autoscaler asks for (`podautoscaler/horizontal.go`, computeReplicasForMetric).

use std::collections::BTreeMap;

use client::Client;
use k8s_openapi::api::autoscaling::v2::{
    ContainerResourceMetricStatus, MetricSpec, MetricStatus, MetricValueStatus, ResourceMetricStatus,
};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;
use machinery::Timestamp;
use machinery::quantity::Quantity;
use machinery::status::ApiError;
use machinery::time::parse_duration;

use super::replicas::{Measured, Pods, Sample, Tolerance, Wanted};
use crate::metadata::go_selector;
use crate::pods;

/// What one metric asks for.
pub(super) struct Proposal {
    pub replicas: i32,
    status: MetricStatus,
    /// The metric by its name in conditions and events.
    pub name: String,
}

/// What the metrics are measured of.
pub(super) struct Target<'a> {
    pub client: &'a Client,
    pub namespace: &'a str,
    /// How many replicas its scale asks for now.
    pub replicas: i32,
    pub pods: Pods,
    pub tolerance: Tolerance,
}

/// What all metrics together ask for.
pub(super) struct Computed {
    /// The proposal with the most replicas; otherwise why no number of replicas can be said, in a sentence about all of
    /// the metrics. A metric that cannot be had only forbids to shrink.
    pub best: Result<Proposal, String>,
    /// What each metric is now, empty where it cannot be had.
    pub statuses: Vec<MetricStatus>,
    /// Reason and message of each metric that cannot be had.
    pub failures: Vec<(&'static str, String)>,
}

impl Target<'_> {
    /// Asks each metric (upstream computeReplicasForMetrics).
    pub(super) fn compute(&self, metrics: &[MetricSpec], now: Timestamp) -> Computed {
        let mut best: Option<Proposal> = None;
        let mut statuses = Vec::new();
        let (mut first, mut failures) = (String::from("no metrics"), Vec::new());
        for metric in metrics {
            match self.propose(metric, now) {
                Ok(proposal) => {
                    statuses.push(proposal.status.clone());
                    if best.as_ref().is_none_or(|best| proposal.replicas > best.replicas) {
                        best = Some(proposal);
                    }
                }
                Err((reason, message)) => {
                    statuses.push(MetricStatus::default());
                    if failures.is_empty() {
                        first = format!("failed to get {} metric value: {message}", described(metric));
                    }
                    failures.push((reason, message));
                }
            }
        }
        let best = best.filter(|best| failures.is_empty() || best.replicas >= self.replicas).ok_or_else(|| {
            let (invalid, all) = (failures.len(), metrics.len());
            format!("invalid metrics ({invalid} invalid out of {all}), first error is: {first}")
        });
        Computed { best, statuses, failures }
    }

    /// What the metrics server says of the pods, by pod.
    fn usage(&self, resource: &str) -> Result<BTreeMap<String, Measured>, ApiError> {
        let path = format!("/apis/metrics.k8s.io/v1beta1/namespaces/{}/pods", self.namespace);
        let list = self.client.get_path(&path)?;
        let mut usage = BTreeMap::new();
        for pod in list["items"].as_array().into_iter().flatten() {
            let containers = pod["containers"].as_array().into_iter().flatten().filter_map(|container| {
                let amount = container["usage"][resource].as_str()?;
                let amount = Quantity::try_from(&Text(amount.to_owned())).ok()?.milli_value();
                Some((container["name"].as_str()?.to_owned(), amount))
            });
            let measured = Measured {
                time: pod["timestamp"].as_str().and_then(|time| time.parse().ok()),
                window: pod["window"].as_str().and_then(|it| parse_duration(it).ok()).unwrap_or_default(),
                containers: containers.collect(),
            };
            usage.insert(pod["metadata"]["name"].as_str().unwrap_or_default().to_owned(), measured);
        }
        Ok(usage)
    }

    /// How many replicas a metric of the pods' resources asks for.
    fn propose(&self, metric: &MetricSpec, now: Timestamp) -> Result<Proposal, (&'static str, String)> {
        let (resource, container, target) = match (&metric.resource, &metric.container_resource) {
            (Some(it), _) => (it.name.as_str(), None, &it.target),
            (None, Some(it)) => (it.name.as_str(), Some(it.container.as_str()), &it.target),
            (None, None) => return Err(unserved(self.namespace, metric)),
        };
        let reason = if container.is_some() { "FailedGetContainerResourceMetric" } else { "FailedGetResourceMetric" };
        let failed = |message: String| (reason, message);
        let unreadable = |error: ApiError| {
            failed(format!(
                "failed to get {resource} utilization: unable to get metrics for resource {resource}: {error}"
            ))
        };
        let usage = self.usage(resource).map_err(unreadable)?;
        let of_pod = |pod: &Pod| {
            let measured = usage.get(pods::name(pod)).filter(|measured| !measured.containers.is_empty())?;
            let amount = match container {
                Some(name) => measured.containers.get(name).copied(),
                None => Some(measured.containers.values().fold(0, |sum: i64, it| sum.saturating_add(*it))),
            };
            Some((amount?, measured))
        };
        let sample = Sample::take(&self.pods, resource, of_pod, now);
        if sample.measured.is_empty() {
            return Err(failed(format!(
                "failed to get {resource} utilization: did not receive metrics for targeted pods (pods might be unready)"
            )));
        }
        let mut wanted = Wanted::of(target, &self.pods, resource, container).map_err(failed)?;
        wanted.tolerance = self.tolerance;
        let (replicas, current) = sample
            .replicas(&wanted, self.replicas)
            .map_err(|error| failed(format!("failed to get {resource} utilization: {error}")))?;
        let current = MetricValueStatus {
            average_utilization: wanted.requests.as_ref().map(|_| i32::try_from(current.0).unwrap_or(i32::MAX)),
            average_value: Some(Text(milli(current.1))),
            value: None,
        };
        let kind = if wanted.requests.is_some() { "utilization (percentage of request)" } else { "" };
        let mut status = MetricStatus { type_: metric.type_.clone(), ..MetricStatus::default() };
        let name = match container {
            Some(container) => {
                status.container_resource =
                    Some(ContainerResourceMetricStatus { container: container.into(), current, name: resource.into() });
                format!("{resource} container resource {kind}")
            }
            None => {
                status.resource = Some(ResourceMetricStatus { current, name: resource.into() });
                format!("{resource} resource {kind}")
            }
        };
        Ok(Proposal { replicas, status, name: name.trim_end().into() })
    }
}

/// Why a metric cannot be had whose API nothing serves here: a cluster without adapter says the same.
fn unserved(namespace: &str, metric: &MetricSpec) -> (&'static str, String) {
    const CUSTOM: &str = "unable to fetch metrics from custom metrics API: \
                          no custom metrics API (custom.metrics.k8s.io) registered";
    if let Some(it) = &metric.pods {
        return ("FailedGetPodsMetric", format!("unable to get metric {}: {CUSTOM}", it.metric.name));
    }
    if let Some(it) = &metric.object {
        let (name, object) = (&it.metric.name, &it.described_object);
        let on = format!("{} on {namespace} {}", object.kind, object.name);
        return ("FailedGetObjectMetric", format!("unable to get metric {name}: {on}/{CUSTOM}"));
    }
    let wanted = metric.external.as_ref().map(|it| &it.metric);
    let name = wanted.map(|it| it.name.as_str()).unwrap_or_default();
    let selector = go_selector(wanted.and_then(|it| it.selector.as_ref()));
    let why = "unable to fetch metrics from external metrics API: the server could not find the requested resource";
    let message = format!(
        "unable to get external metric {namespace}/{name}/{selector}: {why} (get {name}.external.metrics.k8s.io)"
    );
    ("FailedGetExternalMetric", message)
}

/// A metric as the error names it that failed to be had (upstream computeReplicasForMetric).
fn described(metric: &MetricSpec) -> String {
    match (&metric.resource, &metric.container_resource, &metric.external) {
        (Some(it), ..) => format!("{} resource", it.name),
        (_, Some(it), _) => format!("{} container", it.container),
        (.., Some(it)) => format!("{} external", it.metric.name),
        _ if metric.object.is_some() => "object".into(),
        _ => "pods".into(),
    }
}

/// A quantity from thousandths.
fn milli(thousandths: i64) -> String {
    if thousandths % 1000 == 0 { (thousandths / 1000).to_string() } else { format!("{thousandths}m") }
}
