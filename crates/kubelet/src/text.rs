//! Wording shared by messages.

use std::fmt::Write;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;

/// A duration as Go prints it: `1m30s`, `2.5s`, `340ms`.
pub fn go_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    if nanos == 0 {
        return "0s".into();
    }
    if nanos < 1_000 {
        return format!("{nanos}ns");
    }
    if nanos < 1_000_000 {
        return format!("{}µs", decimal(nanos, 1_000));
    }
    if nanos < 1_000_000_000 {
        return format!("{}ms", decimal(nanos, 1_000_000));
    }
    let seconds = duration.as_secs();
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let mut out = String::new();
    if hours > 0 {
        let _ = write!(out, "{hours}h");
    }
    if hours > 0 || minutes > 0 {
        let _ = write!(out, "{minutes}m");
    }
    let rest = u128::from(seconds % 60) * 1_000_000_000 + u128::from(duration.subsec_nanos());
    let _ = write!(out, "{}s", decimal(rest, 1_000_000_000));
    out
}

fn decimal(value: u128, unit: u128) -> String {
    let (whole, mut rest) = (value / unit, value % unit);
    let mut out = whole.to_string();
    if rest > 0 {
        out.push('.');
        let mut unit = unit;
        while rest > 0 {
            unit /= 10;
            let _ = write!(out, "{}", rest / unit);
            rest %= unit;
        }
    }
    out
}

/// A pod as the kubelet's messages name it: `web_default(6f2c…)`.
pub fn pod_name(pod: &Pod) -> String {
    let meta = &pod.metadata;
    format!("{}_{}({})", str(&meta.name), str(&meta.namespace), str(&meta.uid))
}

/// An optional text, empty when absent.
pub fn str(text: &Option<String>) -> &str {
    text.as_deref().unwrap_or_default()
}

/// Names in Go's `%v` of a slice: `[a b]`.
pub fn names<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    format!("[{}]", names.into_iter().collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_in_go() {
        let cases = [
            (0, "0s"),
            (340_000_000, "340ms"),
            (1_500_000, "1.5ms"),
            (2_500_000_000, "2.5s"),
            (80_000_000_000, "1m20s"),
            (300_000_000_000, "5m0s"),
            (3_600_000_000_000, "1h0m0s"),
            (1_000_000_001, "1.000000001s"),
        ];
        for (nanos, text) in cases {
            assert_eq!(go_duration(Duration::from_nanos(nanos)), text);
        }
    }
}
