//! Probes: when they run, what they ask, and what their answers mean.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, ExecAction, HTTPGetAction, HTTPHeader, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use machinery::Timestamp;
use machinery::time::format_duration;

use crate::runtime::{ErrorCode, Health, Operation, Outcome, RuntimeError};
use crate::text::str;

/// Which probe of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProbeKind {
    /// Holds back the others until it succeeds once.
    Startup,
    /// Restarts the container when it fails.
    Liveness,
    /// Takes the pod out of its Services while it fails.
    Readiness,
}

impl ProbeKind {
    /// All kinds, in the order in which they are considered.
    pub const ALL: [Self; 3] = [Self::Startup, Self::Liveness, Self::Readiness];

    /// As events name it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Startup => "Startup",
            Self::Liveness => "Liveness",
            Self::Readiness => "Readiness",
        }
    }

    /// The container's probe of this kind.
    pub fn of(self, container: &Container) -> Option<&Probe> {
        match self {
            Self::Startup => container.startup_probe.as_ref(),
            Self::Liveness => container.liveness_probe.as_ref(),
            Self::Readiness => container.readiness_probe.as_ref(),
        }
    }
}

/// The probes of one run of a container.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Probes {
    startup: Worker,
    liveness: Worker,
    readiness: Worker,
}

/// One probe of one run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Worker {
    /// When it runs next; `None` before it was first considered.
    pub next: Option<Timestamp>,
    /// Whether it runs now.
    pub in_flight: bool,
    /// Its result, once a threshold was reached.
    pub result: Option<bool>,
    last: bool,
    run: i32,
}

impl Worker {
    /// Counts a result against the probe's thresholds; true if the probe's result changed.
    pub fn count(&mut self, probe: &Probe, success: bool) -> bool {
        self.run = if self.last == success { self.run.saturating_add(1) } else { 1 };
        self.last = success;
        let threshold =
            if success { probe.success_threshold.unwrap_or(1) } else { probe.failure_threshold.unwrap_or(3) };
        if self.run < threshold || self.result == Some(success) {
            return false;
        }
        self.result = Some(success);
        true
    }
}

impl Probes {
    /// The worker of a kind.
    pub fn get(&self, kind: ProbeKind) -> &Worker {
        match kind {
            ProbeKind::Startup => &self.startup,
            ProbeKind::Liveness => &self.liveness,
            ProbeKind::Readiness => &self.readiness,
        }
    }

    /// The worker of a kind, to change.
    pub fn get_mut(&mut self, kind: ProbeKind) -> &mut Worker {
        match kind {
            ProbeKind::Startup => &mut self.startup,
            ProbeKind::Liveness => &mut self.liveness,
            ProbeKind::Readiness => &mut self.readiness,
        }
    }

    /// Whether a running container has started: at once without a startup probe.
    pub fn started(&self, container: &Container) -> bool {
        container.startup_probe.is_none() || self.startup.result == Some(true)
    }

    /// Whether a running container is ready: when started without a readiness probe.
    pub fn ready(&self, container: &Container) -> bool {
        self.started(container) && (container.readiness_probe.is_none() || self.readiness.result == Some(true))
    }

    /// The probe because of which a running container must be restarted.
    pub fn fatal(&self) -> Option<ProbeKind> {
        [ProbeKind::Startup, ProbeKind::Liveness].into_iter().find(|kind| self.get(*kind).result == Some(false))
    }
}

/// How often a probe runs.
pub fn period(probe: &Probe) -> Duration {
    seconds(probe.period_seconds, 10)
}

/// How long after the container's start it runs first.
pub fn initial_delay(probe: &Probe) -> Duration {
    Duration::from_secs(u64::try_from(probe.initial_delay_seconds.unwrap_or_default()).unwrap_or_default())
}

fn timeout(probe: &Probe) -> Duration {
    seconds(probe.timeout_seconds, 1)
}

fn seconds(value: Option<i32>, default: u64) -> Duration {
    Duration::from_secs(value.and_then(|value| u64::try_from(value).ok()).filter(|value| *value > 0).unwrap_or(default))
}

/// The operation that a probe is.
///
/// # Errors
/// A message, when the probe asks for what is not there, such as an unknown port name.
pub fn operation(probe: &Probe, container: &Container, container_id: &str, pod_ip: &str) -> Result<Operation, String> {
    let timeout = timeout(probe);
    if let Some(action) = &probe.exec {
        return Ok(exec(action, container_id, timeout));
    }
    if let Some(action) = &probe.http_get {
        return http_get(action, container, pod_ip, timeout, "kube-probe/1.37");
    }
    if let Some(action) = &probe.tcp_socket {
        let host = action.host.as_deref().filter(|host| !host.is_empty()).unwrap_or(pod_ip);
        return Ok(Operation::TcpDial { host: host.into(), port: port(&action.port, container)?, timeout });
    }
    if let Some(action) = &probe.grpc {
        let port = u16::try_from(action.port).map_err(|_| format!("invalid port number: {}", action.port))?;
        return Ok(Operation::GrpcCheck { host: pod_ip.into(), port, service: str(&action.service).into(), timeout });
    }
    Err(format!("missing probe handler for {}", container.name))
}

/// The operation that an exec action is.
pub fn exec(action: &ExecAction, container_id: &str, timeout: Duration) -> Operation {
    Operation::ExecSync {
        container_id: container_id.into(),
        command: action.command.clone().unwrap_or_default(),
        timeout,
    }
}

/// The operation that an HTTP action is.
///
/// # Errors
/// When the port is not there.
pub fn http_get(
    action: &HTTPGetAction,
    container: &Container,
    pod_ip: &str,
    timeout: Duration,
    user_agent: &str,
) -> Result<Operation, String> {
    let host = action.host.as_deref().filter(|host| !host.is_empty()).unwrap_or(pod_ip);
    let path = str(&action.path);
    let path = if path.starts_with('/') { path.to_string() } else { format!("/{path}") };
    let mut headers: Vec<(String, String)> =
        action.http_headers.iter().flatten().map(|HTTPHeader { name, value }| (name.clone(), value.clone())).collect();
    for (name, value) in [("User-Agent", user_agent), ("Accept", "*/*")] {
        if !headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name)) {
            headers.push((name.into(), value.into()));
        }
    }
    Ok(Operation::HttpGet {
        https: action.scheme.as_deref() == Some("HTTPS"),
        host: host.into(),
        port: port(&action.port, container)?,
        path,
        headers,
        timeout,
    })
}

fn port(port: &IntOrString, container: &Container) -> Result<u16, String> {
    match port {
        IntOrString::Int(number) => u16::try_from(*number)
            .ok()
            .filter(|number| *number > 0)
            .ok_or_else(|| format!("invalid port number: {number}")),
        IntOrString::String(name) => container
            .ports
            .iter()
            .flatten()
            .find(|port| port.name.as_deref() == Some(name))
            .and_then(|port| u16::try_from(port.container_port).ok())
            .or_else(|| name.parse().ok())
            .ok_or_else(|| format!("couldn't find port: {name:?} in pod")),
    }
}

/// What came of a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It succeeded.
    Success,
    /// It failed, with the message of the event.
    Failure(String),
    /// It could not be made: its result does not count.
    Errored(String),
}

/// Judges a probe's answer; `asked` is the operation that was submitted for it.
pub fn judge(probe: &Probe, asked: Option<&Operation>, result: Result<Outcome, RuntimeError>) -> Verdict {
    match result {
        Ok(Outcome::Http(answer)) if (200..400).contains(&answer.status) => Verdict::Success,
        Ok(Outcome::Http(answer)) => Verdict::Failure(format!("HTTP probe failed with statuscode: {}", answer.status)),
        Ok(Outcome::Exec(end)) if end.exit_code == 0 => Verdict::Success,
        Ok(Outcome::Exec(end)) => Verdict::Failure(String::from_utf8_lossy(&end.output).into_owned()),
        Ok(Outcome::Health(health)) if health != Health::Serving => {
            Verdict::Failure(format!("service unhealthy (responded with \"{}\")", health.as_str()))
        }
        Ok(_) => Verdict::Success,
        Err(error) => {
            let late = error.code == ErrorCode::DeadlineExceeded;
            match asked {
                Some(Operation::HttpGet { https, host, port, path, .. }) => {
                    let scheme = if *https { "https" } else { "http" };
                    let cause = if late {
                        "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
                    } else {
                        &error.message
                    };
                    Verdict::Failure(format!("Get \"{scheme}://{host}:{port}{path}\": {cause}"))
                }
                Some(Operation::TcpDial { host, port, .. }) if late => {
                    Verdict::Failure(format!("dial tcp {host}:{port}: i/o timeout"))
                }
                Some(Operation::GrpcCheck { host, port, .. }) if late => Verdict::Failure(format!(
                    "timeout: failed to connect service \"{host}:{port}\" within {}: context deadline exceeded",
                    format_duration(timeout(probe))
                )),
                Some(Operation::GrpcCheck { .. }) => Verdict::Failure(error.message),
                Some(Operation::TcpDial { .. }) => Verdict::Failure(error.message),
                Some(Operation::ExecSync { command, .. }) if late => Verdict::Failure(format!(
                    "command timed out: {:?} timed out after {}",
                    command.join(" "),
                    format_duration(timeout(probe))
                )),
                _ => Verdict::Errored(error.message),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_change_at_their_thresholds_only() {
        let probe = Probe { failure_threshold: Some(3), success_threshold: Some(2), ..Probe::default() };
        let mut worker = Worker::default();
        let answers = [false, false, true, false, false, false, true, true];
        let changes: Vec<bool> = answers.iter().map(|success| worker.count(&probe, *success)).collect();
        assert_eq!(changes, [false, false, false, false, false, true, false, true]);
        assert_eq!(worker.result, Some(true));
    }
}
