//! Running the probes of a pod's containers.

use machinery::time::after;

use crate::probes::{self, ProbeKind, Verdict};
use crate::runtime::{Outcome, RuntimeError};
use crate::spec;
use crate::tickets::Purpose;
use crate::worker::{Node, Worker};

impl Worker {
    /// Submits the probes that are due.
    pub(crate) fn sync_probes(&mut self, node: &mut Node<'_>) {
        if self.sandbox_status().is_none() {
            return;
        }
        let pod = self.pod.clone();
        for (spec, _) in spec::all(&pod).filter(|(_, role)| *role != spec::Role::Init) {
            for kind in ProbeKind::ALL {
                if kind.of(spec).is_some() {
                    self.sync_probe(node, spec, kind);
                }
            }
        }
    }

    fn sync_probe(&mut self, node: &mut Node<'_>, spec: &k8s_openapi::api::core::v1::Container, kind: ProbeKind) {
        let ips = self.ips(node.config);
        let terminating = self.termination.is_some();
        let Some(probe) = kind.of(spec) else { return };
        let Some(container) = self.containers.get_mut(&spec.name).filter(|container| container.is_up()) else {
            return;
        };
        // A container that is ending is only asked whether it is still ready.
        if (container.kill.is_some() || terminating) && kind != ProbeKind::Readiness {
            return;
        }
        let started = container.probes.started(spec);
        if started == (kind == ProbeKind::Startup) || container.probes.fatal().is_some() {
            return;
        }
        let Some(run) = &container.current else { return };
        let container_id = run.id.clone();
        let first = after(run.started_at.unwrap_or(node.now), probes::initial_delay(probe));
        let worker = container.probes.get_mut(kind);
        if worker.in_flight {
            return;
        }
        let due = *worker.next.get_or_insert(first.max(node.now));
        if node.now < due {
            node.wake_at(due);
            return;
        }
        let next = after(node.now, probes::period(probe));
        worker.next = Some(next);
        node.wake_at(next);
        let pod_ip = ips.first().map(String::as_str).unwrap_or_default();
        match probes::operation(probe, spec, &container_id, pod_ip) {
            Ok(operation) => {
                worker.in_flight = true;
                container.asked.retain(|(asked, _)| *asked != kind);
                container.asked.push((kind, operation.clone()));
                let purpose = Purpose::Probe { name: spec.name.clone(), kind, container_id };
                self.submit(node, purpose, operation);
            }
            Err(message) => {
                let message = format!("{} probe errored and resulted in unknown state: {message}", kind.title());
                self.container_event(node, &spec.name, true, "Unhealthy", message);
            }
        }
    }

    pub(crate) fn probe_done(
        &mut self,
        node: &mut Node<'_>,
        name: &str,
        kind: ProbeKind,
        container_id: &str,
        result: Result<Outcome, RuntimeError>,
    ) {
        let pod = self.pod.clone();
        let Some((spec, _)) = spec::find(&pod, name) else { return };
        let spec = &*spec;
        let Some(probe) = kind.of(spec) else { return };
        let Some(container) = self.containers.get_mut(name) else { return };
        if container.current.as_ref().is_none_or(|run| run.id != container_id) {
            return;
        }
        container.probes.get_mut(kind).in_flight = false;
        if !container.is_running() {
            return;
        }
        let asked = container.asked.iter().find(|(asked, _)| *asked == kind).map(|(_, operation)| operation.clone());
        let verdict = probes::judge(probe, asked.as_ref(), result);
        let worker = container.probes.get_mut(kind);
        match verdict {
            Verdict::Success => {
                worker.count(probe, true);
            }
            Verdict::Failure(output) => {
                worker.count(probe, false);
                let message = format!("{} probe failed: {output}", kind.title());
                self.container_event(node, name, true, "Unhealthy", message);
            }
            Verdict::Errored(error) => {
                let message = format!("{} probe errored and resulted in unknown state: {error}", kind.title());
                self.container_event(node, name, true, "Unhealthy", message);
            }
        }
    }
}
