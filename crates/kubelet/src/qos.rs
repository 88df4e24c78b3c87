//! Resources: quality of service, and what a container's requests mean to the kernel.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::runtime::LinuxResources;
use crate::spec;

type Resources = BTreeMap<String, Quantity>;

/// `Guaranteed`, `Burstable` or `BestEffort`, by cpu and memory of all containers.
pub fn class(pod: &Pod) -> &'static str {
    let mut any = false;
    let mut guaranteed = true;
    for (container, _) in spec::all(pod) {
        for resource in ["cpu", "memory"] {
            let limit = limit(container, resource);
            // A request defaults to its limit.
            let request = request(container, resource).or(limit);
            any |= request.is_some() || limit.is_some();
            guaranteed &= limit.is_some() && request == limit;
        }
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

/// A container's limit of a resource in thousandths of its unit; `None` for none or 0.
pub fn limit(container: &Container, resource: &str) -> Option<i128> {
    amount(container.resources.as_ref()?.limits.as_ref()?, resource)
}

/// A container's request of a resource in thousandths of its unit; `None` for none or 0.
pub fn request(container: &Container, resource: &str) -> Option<i128> {
    amount(container.resources.as_ref()?.requests.as_ref()?, resource)
}

fn amount(resources: &Resources, resource: &str) -> Option<i128> {
    resources.get(resource).and_then(thousandths).filter(|amount| *amount > 0)
}

/// A quantity in thousandths, rounded up.
pub fn thousandths(quantity: &Quantity) -> Option<i128> {
    let text = quantity.0.trim();
    let end = text.find(|c: char| !matches!(c, '0'..='9' | '.' | '+' | '-')).unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    // Numerator and denominator of the suffix.
    let (times, by): (i128, i128) = match suffix {
        "" => (1, 1),
        "n" => (1, 1_000_000_000),
        "u" => (1, 1_000_000),
        "m" => (1, 1_000),
        "k" => (1_000, 1),
        "M" => (1_000_000, 1),
        "G" => (1_000_000_000, 1),
        "T" => (1_000_000_000_000, 1),
        "P" => (1_000_000_000_000_000, 1),
        "E" => (1_000_000_000_000_000_000, 1),
        "Ki" => (1 << 10, 1),
        "Mi" => (1 << 20, 1),
        "Gi" => (1 << 30, 1),
        "Ti" => (1 << 40, 1),
        "Pi" => (1 << 50, 1),
        "Ei" => (1 << 60, 1),
        exponent => {
            let power: u32 = exponent.strip_prefix(['e', 'E'])?.parse().ok()?;
            (10_i128.checked_pow(power)?, 1)
        }
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let scale = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let value = digits.checked_mul(times)?.checked_mul(1_000)?;
    let divisor = scale.checked_mul(by)?;
    Some(value.div_euclid(divisor) + i128::from(value.rem_euclid(divisor) != 0))
}

/// What a container's requests and limits mean to the kernel; `node_memory_bytes` is the node's
/// capacity, which OOM scores are relative to.
pub fn linux(pod: &Pod, container: &Container, node_memory_bytes: u64) -> LinuxResources {
    let cpu_limit = limit(container, "cpu");
    let milli_cpu = request(container, "cpu").or(cpu_limit).unwrap_or_default();
    LinuxResources {
        cpu_shares: u64::try_from(milli_cpu * 1024 / 1000).unwrap_or(u64::MAX).clamp(2, 262_144),
        cpu_quota_us: cpu_limit.map(|milli| u64::try_from(milli * 100).unwrap_or(u64::MAX).max(1_000)),
        memory_limit_bytes: limit(container, "memory").and_then(|milli| u64::try_from(milli / 1000).ok()),
        oom_score_adj: oom_score_adj(pod, container, node_memory_bytes),
    }
}

/// Guaranteed pods go last, best-effort pods first, others by the share of memory they asked for.
fn oom_score_adj(pod: &Pod, container: &Container, node_memory_bytes: u64) -> i32 {
    match class(pod) {
        "Guaranteed" => -997,
        "BestEffort" => 1000,
        _ => {
            let bytes = request(container, "memory").unwrap_or_default() / 1000;
            let share = (bytes * 1000).checked_div(i128::from(node_memory_bytes)).unwrap_or_default();
            i32::try_from(1000 - share).unwrap_or_default().clamp(3, 999)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_exactly() {
        let cases = [
            ("100m", 100),
            ("1", 1_000),
            ("1.5", 1_500),
            ("0.1m", 1),
            ("64Mi", 67_108_864_000),
            ("1e3", 1_000_000),
            ("500k", 500_000_000),
        ];
        for (text, expected) in cases {
            assert_eq!(thousandths(&Quantity(text.into())), Some(expected), "{text}");
        }
        assert_eq!(thousandths(&Quantity("lots".into())), None);
    }
}
