//! What components count, under upstream's names, in Prometheus' text format.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::clock::Clock;
use crate::go;

/// Series of one name, which differ by their labels.
#[derive(Debug)]
pub struct Family {
    /// Such as `workqueue_depth`.
    pub name: &'static str,
    /// What is said of it, with upstream's stability in front.
    pub help: &'static str,
    /// What its values are.
    pub kind: Kind,
}

/// What the values of a family are.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A number that grows.
    Counter,
    /// A number.
    Gauge,
    /// How often something took how many seconds, by these upper bounds.
    Histogram(&'static [f64]),
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }
}

/// The counters of one process. Clones count together.
#[derive(Clone)]
pub struct Metrics {
    clock: Arc<dyn Clock>,
    series: Arc<Mutex<AllSeries>>,
}

/// Names, each with its family and its series by their labels.
type AllSeries = BTreeMap<&'static str, (&'static Family, Vec<(String, Series)>)>;

#[derive(Clone, Default)]
struct Series {
    value: f64,
    /// By bucket; what is longer than all bounds is in `count` alone.
    buckets: Vec<u64>,
    count: u64,
}

impl Metrics {
    /// Nothing counted yet; durations are measured by this clock.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, series: Arc::default() }
    }

    /// When something begins whose duration is to be observed.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Counts so many more. Labels are as they are written: `name="deployment"`.
    pub fn add(&self, family: &'static Family, labels: &str, count: u64) {
        self.with(family, labels, |series| series.value += count as f64);
    }

    /// Sets a gauge.
    pub fn set(&self, family: &'static Family, labels: &str, value: f64) {
        self.with(family, labels, |series| series.value = value);
    }

    /// Counts something that took so long.
    pub fn observe(&self, family: &'static Family, labels: &str, duration: Duration) {
        let Kind::Histogram(bounds) = family.kind else { return };
        let seconds = duration.as_secs_f64();
        self.with(family, labels, |series| {
            series.buckets.resize(bounds.len(), 0);
            let bucket = bounds.partition_point(|bound| *bound < seconds);
            series.buckets.get_mut(bucket).into_iter().for_each(|count| *count += 1);
            series.count += 1;
            series.value += seconds;
        });
    }

    /// Counts something that began at a time and ends now.
    pub fn observe_since(&self, family: &'static Family, labels: &str, began: Timestamp) {
        self.observe(family, labels, self.now().duration_since(began).try_into().unwrap_or_default());
    }

    fn with(&self, family: &'static Family, labels: &str, change: impl FnOnce(&mut Series)) {
        let mut all = self.lock();
        let (_, series) = all.entry(family.name).or_insert_with(|| (family, Vec::new()));
        let at = match series.binary_search_by(|(other, _)| other.as_str().cmp(labels)) {
            Ok(at) => at,
            Err(at) => {
                series.insert(at, (labels.to_owned(), Series::default()));
                at
            }
        };
        if let Some((_, series)) = series.get_mut(at) {
            change(series);
        }
    }

    fn lock(&self) -> MutexGuard<'_, AllSeries> {
        self.series.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends everything in Prometheus' text format, in the order of the names.
    pub fn write(&self, out: &mut String) {
        for (family, series) in self.lock().values() {
            head(out, family.name, family.kind.name(), family.help);
            for (labels, series) in series {
                match family.kind {
                    Kind::Counter | Kind::Gauge => number(out, family.name, labels, series.value),
                    Kind::Histogram(bounds) => histogram(out, family.name, labels, bounds, series),
                }
            }
        }
    }
}

fn histogram(out: &mut String, name: &str, labels: &str, bounds: &[f64], series: &Series) {
    let mut sum = 0;
    for (bound, count) in bounds.iter().zip(&series.buckets) {
        sum += count;
        line(out, &format!("{name}_bucket"), &format!("{labels},le=\"{}\"", go::format_float(*bound)), sum);
    }
    line(out, &format!("{name}_bucket"), &format!("{labels},le=\"+Inf\""), series.count);
    number(out, &format!("{name}_sum"), labels, series.value);
    line(out, &format!("{name}_count"), labels, series.count);
}

/// Appends what stands before the series of a name.
pub fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

/// Appends a series with a whole number.
pub fn line(out: &mut String, name: &str, labels: &str, value: u64) {
    let _ = writeln!(out, "{name}{{{labels}}} {value}");
}

fn number(out: &mut String, name: &str, labels: &str, value: f64) {
    let _ = writeln!(out, "{name}{{{labels}}} {}", go::format_float(value));
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Noon;

    impl Clock for Noon {
        fn now(&self) -> Timestamp {
            Timestamp::from_second(43_200).unwrap()
        }
    }

    #[test]
    fn series_are_written_as_prometheus_reads_them() {
        static ADDS: Family = Family { name: "adds_total", help: "[BETA] Adds.", kind: Kind::Counter };
        static DEPTH: Family = Family { name: "depth", help: "[BETA] Depth.", kind: Kind::Gauge };
        static TIME: Family =
            Family { name: "time_seconds", help: "[BETA] Time.", kind: Kind::Histogram(&[1e-6, 0.5, 2.0]) };
        let metrics = Metrics::new(Arc::new(Noon));
        metrics.set(&DEPTH, "name=\"b\"", 1.5);
        metrics.add(&ADDS, "name=\"b\"", 2);
        metrics.add(&ADDS, "name=\"a\"", 1);
        metrics.add(&ADDS, "name=\"b\"", 1);
        metrics.observe(&TIME, "name=\"a\"", Duration::from_secs(2));
        metrics.observe_since(&TIME, "name=\"a\"", Timestamp::from_second(43_190).unwrap());
        let mut text = String::new();
        metrics.write(&mut text);
        let expected = "\
# HELP adds_total [BETA] Adds.
# TYPE adds_total counter
adds_total{name=\"a\"} 1
adds_total{name=\"b\"} 3
# HELP depth [BETA] Depth.
# TYPE depth gauge
depth{name=\"b\"} 1.5
# HELP time_seconds [BETA] Time.
# TYPE time_seconds histogram
time_seconds_bucket{name=\"a\",le=\"1e-06\"} 0
time_seconds_bucket{name=\"a\",le=\"0.5\"} 0
time_seconds_bucket{name=\"a\",le=\"2\"} 1
time_seconds_bucket{name=\"a\",le=\"+Inf\"} 2
time_seconds_sum{name=\"a\"} 12
time_seconds_count{name=\"a\"} 2
";
        assert_eq!(text, expected);
    }
}
