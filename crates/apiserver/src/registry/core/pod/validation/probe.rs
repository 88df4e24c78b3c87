//! What is wrong with probes and lifecycle handlers.

use k8s_openapi::api::core::v1::{
    Container, ExecAction, GRPCAction, HTTPGetAction, Lifecycle, LifecycleHandler, Probe, SleepAction, TCPSocketAction,
};
use machinery::field::{Error, ErrorList, Path};
use machinery::names::is_http_header_name;

use crate::registry::shared::validate::{anything, complain, nonnegative, one_of, port, port_number, required};

/// What a probe or a hook does: one of these.
#[derive(Default)]
struct Handler<'a> {
    exec: Option<&'a ExecAction>,
    http_get: Option<&'a HTTPGetAction>,
    tcp_socket: Option<&'a TCPSocketAction>,
    grpc: Option<&'a GRPCAction>,
    sleep: Option<&'a SleepAction>,
}

/// Everything that is wrong with a container's probes.
pub fn probes(errors: &mut ErrorList, path: &Path<'_>, container: &Container) {
    if let Some(probe) = &container.liveness_probe {
        restarting(errors, &path.child("livenessProbe"), probe);
    }
    if let Some(probe) = &container.readiness_probe {
        let at = path.child("readinessProbe");
        self::probe(errors, &at, probe);
        if let Some(seconds) = probe.termination_grace_period_seconds {
            let detail = "must not be set for readinessProbes";
            errors.push(Error::invalid(&at.child("terminationGracePeriodSeconds"), seconds, detail));
        }
    }
    if let Some(probe) = &container.startup_probe {
        restarting(errors, &path.child("startupProbe"), probe);
    }
}

/// Probes that restart the container succeed at once.
fn restarting(errors: &mut ErrorList, path: &Path<'_>, probe: &Probe) {
    self::probe(errors, path, probe);
    let threshold = probe.success_threshold.unwrap_or_default();
    if threshold != 1 {
        errors.push(Error::invalid(&path.child("successThreshold"), threshold, "must be 1"));
    }
}

fn probe(errors: &mut ErrorList, path: &Path<'_>, probe: &Probe) {
    handler(
        errors,
        path,
        &Handler {
            exec: probe.exec.as_ref(),
            http_get: probe.http_get.as_ref(),
            tcp_socket: probe.tcp_socket.as_ref(),
            grpc: probe.grpc.as_ref(),
            sleep: None,
        },
    );
    for (field, value) in [
        ("initialDelaySeconds", probe.initial_delay_seconds),
        ("timeoutSeconds", probe.timeout_seconds),
        ("periodSeconds", probe.period_seconds),
        ("successThreshold", probe.success_threshold),
        ("failureThreshold", probe.failure_threshold),
    ] {
        nonnegative(errors, &path.child(field), value.unwrap_or_default());
    }
    if let Some(seconds) = probe.termination_grace_period_seconds.filter(|seconds| *seconds <= 0) {
        errors.push(Error::invalid(&path.child("terminationGracePeriodSeconds"), seconds, "must be greater than 0"));
    }
}

/// Everything that is wrong with a container's hooks; `grace` is the pod's grace period in seconds.
pub fn lifecycle(errors: &mut ErrorList, path: &Path<'_>, lifecycle: Option<&Lifecycle>, grace: i64) {
    let Some(lifecycle) = lifecycle else { return };
    for (field, hook) in [("postStart", &lifecycle.post_start), ("preStop", &lifecycle.pre_stop)] {
        let Some(LifecycleHandler { exec, http_get, sleep, tcp_socket }) = hook else { continue };
        let at = path.child(field);
        handler(
            errors,
            &at,
            &Handler {
                exec: exec.as_ref(),
                http_get: http_get.as_ref(),
                tcp_socket: tcp_socket.as_ref(),
                grpc: None,
                sleep: sleep.as_ref(),
            },
        );
        if let Some(seconds) = sleep.as_ref().map(|sleep| sleep.seconds).filter(|it| !(0..=grace).contains(it)) {
            let detail = format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
            errors.push(Error::invalid(&at.child("sleep"), seconds, detail));
        }
    }
}

fn handler(errors: &mut ErrorList, path: &Path<'_>, handler: &Handler<'_>) {
    let mut first = true;
    let mut only = |errors: &mut ErrorList, field: &str| {
        let alone = std::mem::take(&mut first);
        if !alone {
            errors.push(Error::forbidden(&path.child(field), "may not specify more than 1 handler type"));
        }
        alone
    };
    if let Some(exec) = handler.exec
        && only(errors, "exec")
        && exec.command.iter().flatten().next().is_none()
    {
        errors.push(Error::required(&path.child("exec.command"), ""));
    }
    if let Some(action) = handler.http_get
        && only(errors, "httpGet")
    {
        http_get(errors, &path.child("httpGet"), action);
    }
    if let Some(action) = handler.tcp_socket
        && only(errors, "tcpSocket")
    {
        port(errors, &path.child("tcpSocket.port"), &action.port);
    }
    if let Some(action) = handler.grpc
        && only(errors, "grpc")
    {
        port_number(errors, &path.child("grpc.port"), action.port);
    }
    if handler.sleep.is_some() {
        only(errors, "sleep");
    }
    if first {
        errors.push(Error::required(path, "must specify a handler type"));
    }
}

fn http_get(errors: &mut ErrorList, path: &Path<'_>, action: &HTTPGetAction) {
    required(errors, &path.child("path"), action.path.as_deref().unwrap_or_default(), anything);
    port(errors, &path.child("port"), &action.port);
    one_of(errors, &path.child("scheme"), action.scheme.as_deref(), &["HTTP", "HTTPS"]);
    for header in action.http_headers.iter().flatten() {
        complain(errors, &path.child("httpHeaders"), &header.name, is_http_header_name(&header.name));
    }
}
