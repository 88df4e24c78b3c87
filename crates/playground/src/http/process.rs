//! What `/metrics` says of the process, under the names of Prometheus' own collector.

use std::fmt::Write;
use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::StatusCode;
use machinery::wire::{Body, Response};

/// Linux counts processor time and starts for its readers in hundredths of a second.
const TICKS_PER_SECOND: f64 = 100.0;
const PAGE_BYTES: u64 = 4096;

/// Adds the process to an answer that carries metrics.
pub fn add(response: Response) -> Response {
    if response.status() != StatusCode::OK {
        return response;
    }
    response.map(|body| match body {
        Body::Bytes(text) => Body::Bytes(Bytes::from([&text[..], metrics().as_bytes()].concat())),
        other => other,
    })
}

/// What can be found out; nothing where there is no `/proc`.
fn metrics() -> String {
    let mut out = String::new();
    let mut put = |name: &str, kind: &str, help: &str, value: Option<f64>| {
        if let Some(value) = value {
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
        }
    };
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // After the program's name, which may hold anything: the third field and what follows.
    let fields: Vec<f64> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .map(|field| field.parse().unwrap_or(0.0))
        .collect();
    let field = |number: usize| fields.get(number - 3).copied();
    let ticks = field(14).zip(field(15)).map(|(user, system)| user + system);
    let help = "Total user and system CPU time spent in seconds.";
    put("process_cpu_seconds_total", "counter", help, ticks.map(|ticks| ticks / TICKS_PER_SECOND));
    put("process_max_fds", "gauge", "Maximum number of open file descriptors.", files_max());
    let open = fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count() as f64);
    put("process_open_fds", "gauge", "Number of open file descriptors.", open);
    let resident = field(24).map(|pages| pages * PAGE_BYTES as f64);
    put("process_resident_memory_bytes", "gauge", "Resident memory size in bytes.", resident);
    let started = field(22).and_then(|ticks| started(ticks / TICKS_PER_SECOND));
    let help = "Start time of the process since unix epoch in seconds.";
    put("process_start_time_seconds", "gauge", help, started);
    put("process_virtual_memory_bytes", "gauge", "Virtual memory size in bytes.", field(23));
    out
}

/// Seconds since 1970, from seconds since the machine's start.
fn started(since_boot: f64) -> Option<f64> {
    let uptime: f64 = fs::read_to_string("/proc/uptime").ok()?.split_whitespace().next()?.parse().ok()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs_f64();
    Some(now - uptime + since_boot)
}

fn files_max() -> Option<f64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::metrics;

    #[test]
    fn a_process_knows_itself() {
        let text = metrics();
        for name in ["process_cpu_seconds_total", "process_open_fds", "process_resident_memory_bytes"] {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap();
            assert!(line.rsplit(' ').next().unwrap().parse::<f64>().unwrap() >= 0.0, "{line}");
        }
    }
}
