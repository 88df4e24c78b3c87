//! From what is measured to how many replicas that asks for (`podautoscaler/replica_calculator.go`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::autoscaling::v2::MetricTarget;
use k8s_openapi::api::core::v1::{Pod, PodSpec};
use machinery::Timestamp;
use machinery::quantity::Quantity;
use machinery::time::after;

use crate::pods;

/// Ratios this close to 1, in thousandths, change nothing where the behaviour does not say how close.
pub(super) const TOLERANCE: i128 = 100;
/// A pod's processor use says nothing for so long after its start.
const CPU_INITIALIZATION: Duration = Duration::from_secs(5 * 60);
/// A pod that was never ready for so long is still starting.
const READINESS_DELAY: Duration = Duration::from_secs(30);

pub(super) type Pods = Vec<Arc<Pod>>;

/// What was measured of one pod.
pub(super) struct Measured {
    /// When the measurement ended, and how long it took.
    pub time: Option<Timestamp>,
    pub window: Duration,
    /// Use by container: thousandths of a core or of bytes.
    pub containers: BTreeMap<String, i64>,
}

/// What a metric is compared with.
pub(super) struct Wanted {
    /// Per cent of the requests, or thousandths for each pod.
    target: i64,
    /// Requests by pod, where the target is a share of them.
    pub requests: Option<BTreeMap<String, i64>>,
    pub tolerance: Tolerance,
}

/// How far below and above 1, in thousandths, a ratio changes nothing.
pub(super) type Tolerance = [i128; 2];

impl Wanted {
    pub fn of(target: &MetricTarget, pods: &Pods, resource: &str, container: Option<&str>) -> Result<Self, String> {
        if let Some(value) = &target.average_value {
            let value = Quantity::try_from(value).map(|it| it.milli_value()).unwrap_or(0);
            return Ok(Self { target: value.max(1), requests: None, tolerance: [TOLERANCE; 2] });
        }
        let utilization = i64::from(target.average_utilization.unwrap_or(80)).max(1);
        let mut requests = BTreeMap::new();
        for pod in pods {
            let Some(spec) = &pod.spec else { continue };
            let sum = requested(spec, resource, container).map_err(|container| {
                format!(
                    "failed to get {resource} utilization: missing request for {resource} in container {container} of Pod {}",
                    pods::name(&**pod)
                )
            })?;
            requests.insert(pods::name(&**pod).to_owned(), sum);
        }
        Ok(Self { target: utilization, requests: Some(requests), tolerance: [TOLERANCE; 2] })
    }

    /// How what is measured compares, and the present utilization, in whole per cent, and average value
    /// (upstream metrics.GetResourceUtilizationRatio and GetMetricUsageRatio).
    fn ratio(&self, measured: &BTreeMap<String, i64>) -> Result<(Ratio, (i64, i64)), String> {
        let request = |name: &String| self.requests.as_ref().map_or(Some(0), |it| it.get(name).copied());
        let known = measured.iter().filter_map(|(name, used)| Some((i128::from(*used), i128::from(request(name)?))));
        let (mut used, mut requested, mut pods) = (0, 0, 0);
        for (use_, request) in known {
            (used, requested, pods) = (used + use_, requested + request, pods + 1);
        }
        let number = |number: i128| i64::try_from(number).unwrap_or(i64::MAX);
        let average = used / pods.max(1);
        if self.requests.is_none() {
            return Ok((
                Ratio { used: average, wanted: self.target.into(), tolerance: self.tolerance },
                (0, number(average)),
            ));
        }
        if requested == 0 {
            return Err("no metrics returned matched known pods".into());
        }
        let utilization = used * 100 / requested;
        Ok((
            Ratio { used: utilization, wanted: self.target.into(), tolerance: self.tolerance },
            (number(utilization), number(average)),
        ))
    }

    /// What a pod of which nothing is known is taken to use when there may be too many: all that it
    /// requests, or what is wanted where that is more.
    fn whole(&self, pod: &str) -> i64 {
        let Some(requests) = &self.requests else { return self.target };
        let request = i128::from(requests.get(pod).copied().unwrap_or(0));
        i64::try_from(request * i128::from(self.target.max(100)) / 100).unwrap_or(i64::MAX)
    }
}

/// What a pod, or one of its containers, requests, in thousandths; else the container that does not.
fn requested(spec: &PodSpec, resource: &str, container: Option<&str>) -> Result<i64, String> {
    let sidecars = spec.init_containers.iter().flatten().filter(|it| it.restart_policy.as_deref() == Some("Always"));
    let counted = spec.containers.iter().chain(sidecars).filter(|it| container.is_none_or(|name| it.name == name));
    let mut sum = 0_i64;
    for container in counted {
        let requests = container.resources.as_ref().and_then(|it| it.requests.as_ref());
        let quantity = requests.and_then(|it| Quantity::try_from(it.get(resource)?).ok());
        sum = sum.saturating_add(quantity.ok_or_else(|| container.name.clone())?.milli_value());
    }
    Ok(sum)
}

/// Pods by what is known of them (upstream groupPods).
#[derive(Default)]
pub(super) struct Sample {
    /// Use by pod, of those that count.
    pub measured: BTreeMap<String, i64>,
    /// Pods that are starting: they count for nothing yet.
    unready: Vec<String>,
    /// Pods without measurement.
    missing: Vec<String>,
}

impl Sample {
    pub fn take<'a>(
        pods: &Pods,
        resource: &str,
        of_pod: impl Fn(&Pod) -> Option<(i64, &'a Measured)>,
        now: Timestamp,
    ) -> Self {
        let mut sample = Self::default();
        for pod in pods.iter().filter(|pod| pods::is_active(pod)) {
            let name = pods::name(&**pod).to_owned();
            match of_pod(pod) {
                _ if pods::phase(pod) == "Pending" => sample.unready.push(name),
                None => sample.missing.push(name),
                Some((_, measured)) if resource == "cpu" && is_starting(pod, measured, now) => {
                    sample.unready.push(name);
                }
                Some((amount, _)) => _ = sample.measured.insert(name, amount),
            }
        }
        sample
    }

    /// The replicas wanted, and the present utilization and average value (upstream GetResourceReplicas
    /// and GetRawResourceReplicas).
    pub fn replicas(&self, wanted: &Wanted, current: i32) -> Result<(i32, (i64, i64)), String> {
        let mut measured = self.measured.clone();
        let (first, present) = wanted.ratio(&measured)?;
        if self.missing.is_empty() && (self.unready.is_empty() || !first.grows()) {
            let replicas = if first.is_near() { current } else { first.of(measured.len()) };
            return Ok((replicas, present));
        }
        // What is not known counts against the change: as all that is wanted when shrinking, as nothing
        // when growing.
        for name in &self.missing {
            if first.shrinks() {
                measured.insert(name.clone(), wanted.whole(name));
            } else if first.grows() {
                measured.insert(name.clone(), 0);
            }
        }
        if first.grows() {
            measured.extend(self.unready.iter().map(|name| (name.clone(), 0)));
        }
        let (second, _) = wanted.ratio(&measured)?;
        let replicas = second.of(measured.len());
        let turns = first.shrinks() && second.grows() || first.grows() && second.shrinks();
        let contradicts = second.shrinks() && replicas > current || second.grows() && replicas < current;
        Ok((if second.is_near() || turns || contradicts { current } else { replicas }, present))
    }
}

/// What is used of what is wanted.
#[derive(Clone, Copy)]
struct Ratio {
    used: i128,
    /// Above 0.
    wanted: i128,
    tolerance: Tolerance,
}

impl Ratio {
    fn grows(self) -> bool {
        self.used > self.wanted
    }

    fn shrinks(self) -> bool {
        self.used < self.wanted
    }

    /// Whether it is too close to 1 to change anything.
    fn is_near(self) -> bool {
        let [below, above] = self.tolerance;
        let difference = (self.used - self.wanted).saturating_mul(1000);
        difference >= -self.wanted.saturating_mul(below) && difference <= self.wanted.saturating_mul(above)
    }

    /// So many times this many, rounded up.
    fn of(self, pods: usize) -> i32 {
        let exact = self.used.saturating_mul(i128::try_from(pods).unwrap_or(i128::MAX));
        i32::try_from((exact + self.wanted - 1).div_euclid(self.wanted)).unwrap_or(i32::MAX)
    }
}

/// Whether the pod's processor use is that of its start.
fn is_starting(pod: &Pod, measured: &Measured, now: Timestamp) -> bool {
    let started = pod.status.as_ref().and_then(|status| status.start_time.as_ref());
    let (Some(started), Some(ready_since)) = (started.map(|time| time.0), pods::condition(pod, "Ready")) else {
        return true;
    };
    let changed = ready_since.last_transition_time.as_ref().map_or(started, |time| time.0);
    let ready = ready_since.status == "True";
    if after(started, CPU_INITIALIZATION) > now {
        // In its first minutes it counts once it is ready, measured from then on.
        !ready || measured.time.is_some_and(|time| time < after(changed, measured.window))
    } else {
        !ready && after(started, READINESS_DELAY) > changed
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn replicas_follow_the_ratio() {
        let requests: BTreeMap<String, i64> = (0..3).map(|index| (index.to_string(), 200)).collect();
        let wanted = Wanted { target: 50, requests: Some(requests), tolerance: [TOLERANCE; 2] };
        let sample = |used: &[i64]| Sample {
            measured: used.iter().enumerate().map(|(index, used)| (index.to_string(), *used)).collect(),
            ..Sample::default()
        };
        assert_eq!(sample(&[200, 200, 200]).replicas(&wanted, 3), Ok((6, (100, 200))));
        assert_eq!(sample(&[105, 100, 100]).replicas(&wanted, 3).unwrap().0, 3, "within the tolerance");
        assert_eq!(sample(&[10, 10, 10]).replicas(&wanted, 3).unwrap().0, 1);
        let strict = Wanted { tolerance: [300, 0], ..wanted };
        assert_eq!(sample(&[105, 105, 105]).replicas(&strict, 3).unwrap().0, 4, "no tolerance upwards");
        assert_eq!(sample(&[70, 70, 70]).replicas(&strict, 3).unwrap().0, 3, "much downwards");
        let wanted = Wanted { tolerance: [TOLERANCE; 2], ..strict };
        let partly = Sample { missing: vec!["2".into()], ..sample(&[200, 200]) };
        assert_eq!(partly.replicas(&wanted, 3).unwrap().0, 4, "what is not known counts as idle");
        // 111 of 200 is 55 per cent, which is near enough to 50.
        assert_eq!(sample(&[111, 111, 111]).replicas(&wanted, 3), Ok((3, (55, 111))));
        let none: BTreeMap<String, i64> = (0..3).map(|index| (index.to_string(), 0)).collect();
        let nothing = Wanted { target: 50, requests: Some(none), tolerance: [TOLERANCE; 2] };
        assert_eq!(sample(&[1]).replicas(&nothing, 3), Err("no metrics returned matched known pods".into()));
        let more = Wanted { target: 150, ..wanted };
        let partly = Sample { missing: vec!["2".into()], ..sample(&[200, 200]) };
        assert_eq!(partly.replicas(&more, 3).unwrap().0, 3, "what is not known uses what is wanted");
    }

    #[test]
    fn a_pod_counts_once_it_was_measured_while_ready() {
        let pod: Pod = machinery::object::from_value(json!({ "status": {
            "startTime": "1970-01-01T00:00:00Z",
            "conditions": [{ "type": "Ready", "status": "True", "lastTransitionTime": "1970-01-01T00:00:10Z" }],
        } }))
        .unwrap();
        let measured =
            |end: i64| Measured { time: Some(at(end)), window: Duration::from_secs(15), containers: BTreeMap::new() };
        assert!(is_starting(&pod, &measured(24), at(30)));
        assert!(!is_starting(&pod, &measured(25), at(30)));
        assert!(!is_starting(&pod, &measured(24), at(300)), "only in its first five minutes");
    }
}
