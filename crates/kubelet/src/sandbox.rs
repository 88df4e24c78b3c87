//! The steps before containers: volumes, then the sandbox.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use machinery::time::after;

use crate::NodeConfig;
use crate::fieldref::Facts;
use crate::runtime::{
    DnsConfig, ErrorCode, NamespaceMode, Operation, Outcome, PodSandboxConfig, PortMapping, RuntimeError, SandboxState,
    SandboxStatus,
};
use crate::spec;
use crate::text::str;
use crate::tickets::Purpose;
use crate::volumes;
use crate::worker::{Node, Sandbox, VolumeState, Worker};

/// How long to wait after a failure to make or end a sandbox: the pod workers' `backOffPeriod`.
const RETRY: Duration = Duration::from_secs(10);
/// How long to wait after the first failure to make volumes, and at most; it doubles each time: upstream's
/// `exponentialbackoff`.
const MOUNT_RETRY: Duration = Duration::from_millis(500);
const MOUNT_RETRY_MAX: Duration = Duration::from_secs(122);
/// How often the sources of volumes are read again, as the kubelet's sync period with its cache.
const VOLUMES_REFRESH: Duration = Duration::from_secs(60);

impl Worker {
    /// Makes the pod's volumes, and refreshes them when that is due. True when they are there.
    pub(crate) fn sync_volumes(&mut self, node: &mut Node<'_>) -> bool {
        match self.volumes {
            VolumeState::Pending => return false,
            VolumeState::Ready(None) => return true,
            VolumeState::Ready(Some(refresh_at)) if node.now < refresh_at => {
                node.wake_at(refresh_at);
                return true;
            }
            VolumeState::None | VolumeState::Ready(_) => {}
        }
        let ready = matches!(self.volumes, VolumeState::Ready(_));
        if let Some(retry_at) = self.volumes_retry_at.filter(|retry_at| node.now < *retry_at) {
            node.wake_at(retry_at);
            return ready;
        }
        let (ips, host_ips) = (self.ips(node.config), node.config.internal_ips());
        let facts =
            Facts { pod: &self.pod, pod_ips: &ips, host_ips: &host_ips, allocatable: node.config.allocatable() };
        match volumes::resolve(&facts, node.objects, node.now) {
            Ok(resolved) => {
                let sources = volumes::may_change(&self.pod).then(|| after(node.now, VOLUMES_REFRESH));
                let refresh_at = [sources, resolved.refresh_at].into_iter().flatten().min();
                if let Some(refresh_at) = refresh_at {
                    node.wake_at(refresh_at);
                }
                if resolved.volumes.is_empty() {
                    self.volumes = VolumeState::Ready(None);
                    return true;
                }
                self.volumes = if ready { VolumeState::Ready(refresh_at) } else { VolumeState::Pending };
                let operation = Operation::SetUpVolumes { pod_uid: self.uid().into(), volumes: resolved.volumes };
                self.submit(node, Purpose::SetUpVolumes, operation);
                self.volumes_retry_at = None;
                ready
            }
            Err(message) => {
                self.volumes_failed(node, message);
                ready
            }
        }
    }

    pub(crate) fn volumes_done(&mut self, node: &mut Node<'_>, result: Result<Outcome, RuntimeError>) {
        match result {
            Ok(_) if self.volumes == VolumeState::Pending => {
                self.volumes_failures = 0;
                let sources = volumes::may_change(&self.pod) || has_token(&self.pod);
                self.volumes = VolumeState::Ready(sources.then(|| after(node.now, VOLUMES_REFRESH)));
            }
            Ok(_) => {}
            Err(error) => {
                if self.volumes == VolumeState::Pending {
                    self.volumes = VolumeState::None;
                }
                self.volumes_failed(node, error.message);
            }
        }
    }

    fn volumes_failed(&mut self, node: &mut Node<'_>, message: String) {
        let delay = MOUNT_RETRY.saturating_mul(1 << self.volumes_failures.min(16)).min(MOUNT_RETRY_MAX);
        self.volumes_failures = self.volumes_failures.saturating_add(1);
        let retry_at = after(node.now, delay);
        self.volumes_retry_at = Some(retry_at);
        node.wake_at(retry_at);
        self.event(node, true, "FailedMount", message);
    }

    /// Makes the sandbox, and another one if it has ended. True when it runs.
    pub(crate) fn sync_sandbox(&mut self, node: &mut Node<'_>) -> bool {
        match &self.sandbox {
            Sandbox::Exists(status) if status.state == SandboxState::Ready => return true,
            Sandbox::Exists(status) => {
                let status = status.clone();
                self.event(node, false, "SandboxChanged", "Pod sandbox changed, it will be killed and re-created.");
                self.old_sandboxes.push(status.id.clone());
                let operation = Operation::StopPodSandbox { sandbox_id: status.id.clone() };
                self.sandbox = Sandbox::Stopping(status);
                self.submit(node, Purpose::StopSandbox, operation);
                return false;
            }
            Sandbox::Starting(_) | Sandbox::Stopping(_) | Sandbox::Stopped(_) => return false,
            Sandbox::None => {}
        }
        if let Some(retry_at) = self.sandbox_retry_at.filter(|retry_at| node.now < *retry_at) {
            node.wake_at(retry_at);
            return false;
        }
        self.sandbox = Sandbox::Starting(None);
        let config = sandbox_config(&self.pod, node.config, self.sandbox_attempt);
        self.submit(node, Purpose::RunSandbox, Operation::RunPodSandbox(Box::new(config)));
        false
    }

    /// The sandbox is made and about to start: containers can be made meanwhile.
    pub(crate) fn sandbox_made(&mut self, node: &mut Node<'_>, status: SandboxStatus) {
        self.forget_made(node);
        if let Sandbox::Starting(made) = &mut self.sandbox {
            *made = Some(status);
        }
    }

    /// Removes what was made in a sandbox that does not start.
    fn forget_made(&mut self, node: &mut Node<'_>) {
        let Sandbox::Starting(Some(made)) = &self.sandbox else { return };
        let made = made.id.clone();
        let mut gone = Vec::new();
        for container in self.containers.values_mut() {
            if let Some(run) = container.current.take_if(|run| run.sandbox_id == made) {
                container.current = container.previous.take();
                gone.push(run.id);
            }
        }
        for container_id in gone {
            self.submit(node, Purpose::Forget, Operation::RemoveContainer { container_id });
        }
    }

    pub(crate) fn sandbox_started(&mut self, node: &mut Node<'_>, result: Result<Outcome, RuntimeError>) {
        if result.is_err() {
            self.forget_made(node);
        }
        match result {
            Ok(Outcome::Sandbox(status)) => {
                self.sandbox_attempt = status.attempt + 1;
                self.sandbox = Sandbox::Exists(status);
            }
            Ok(_) => self.sandbox = Sandbox::None,
            Err(error) => {
                self.sandbox = Sandbox::None;
                self.sandbox_attempt += 1;
                let retry_at = after(node.now, RETRY);
                self.sandbox_retry_at = Some(retry_at);
                node.wake_at(retry_at);
                let message = format!("Failed to create pod sandbox: {}", error.message);
                self.event(node, true, "FailedCreatePodSandBox", message);
            }
        }
    }

    pub(crate) fn sandbox_stopped(&mut self, node: &mut Node<'_>, result: Result<Outcome, RuntimeError>) {
        let Sandbox::Stopping(status) = &self.sandbox else { return };
        let status = status.clone();
        if let Err(error) = result
            && error.code != ErrorCode::NotFound
        {
            // Looked at again: a sandbox that runs is stopped again.
            self.sandbox = Sandbox::Exists(status);
            node.wake_at(after(node.now, RETRY));
            return;
        }
        self.sandbox = if self.termination.is_some() {
            Sandbox::Stopped(SandboxStatus { state: SandboxState::NotReady, ..status })
        } else {
            Sandbox::None
        };
    }
}

fn has_token(pod: &Pod) -> bool {
    spec::of(pod).and_then(|spec| spec.volumes.as_deref()).unwrap_or_default().iter().any(|volume| {
        let sources = volume.projected.as_ref().and_then(|projected| projected.sources.as_deref());
        sources.unwrap_or_default().iter().any(|source| source.service_account_token.is_some())
    })
}

fn sandbox_config(pod: &Pod, node: &NodeConfig, attempt: u32) -> PodSandboxConfig {
    let spec = spec::of(pod);
    let host_network = spec::is_host_network(pod);
    let mut port_mappings = Vec::new();
    for (container, _) in spec::all(pod).filter(|_| !host_network) {
        for port in container.ports.iter().flatten() {
            let Some(host_port) = port.host_port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0)
            else {
                continue;
            };
            port_mappings.push(PortMapping {
                protocol: port.protocol.clone().unwrap_or_else(|| "TCP".into()),
                container_port: u16::try_from(port.container_port).unwrap_or_default(),
                host_port,
                host_ip: str(&port.host_ip).into(),
            });
        }
    }
    let flag = |value: Option<bool>| value.unwrap_or_default();
    PodSandboxConfig {
        name: str(&pod.metadata.name).into(),
        namespace: str(&pod.metadata.namespace).into(),
        uid: str(&pod.metadata.uid).into(),
        attempt,
        hostname: hostname(pod, node),
        labels: Arc::new(pod.metadata.labels.clone().unwrap_or_default()),
        annotations: Arc::new(pod.metadata.annotations.clone().unwrap_or_default()),
        dns: dns_config(pod, node),
        port_mappings,
        network: if host_network { NamespaceMode::Node } else { NamespaceMode::Pod },
        pid: if flag(spec.and_then(|spec| spec.host_pid)) {
            NamespaceMode::Node
        } else if flag(spec.and_then(|spec| spec.share_process_namespace)) {
            NamespaceMode::Pod
        } else {
            NamespaceMode::Container
        },
        sysctls: spec
            .and_then(|spec| spec.security_context.as_ref())
            .and_then(|context| context.sysctls.as_ref())
            .into_iter()
            .flatten()
            .map(|sysctl| (sysctl.name.clone(), sysctl.value.clone()))
            .collect(),
        pod_cidr: node.pod_cidr.clone(),
    }
}

/// The pod's host name: its own choice, else its name, at most 63 characters; the node's on the node's
/// network.
pub fn hostname(pod: &Pod, node: &NodeConfig) -> String {
    if spec::is_host_network(pod) {
        return node.name.clone();
    }
    let chosen = spec::of(pod).and_then(|spec| spec.hostname.as_deref()).filter(|name| !name.is_empty());
    let name = chosen.unwrap_or(str(&pod.metadata.name));
    name.chars().take(63).collect::<String>().trim_end_matches(['-', '.']).to_string()
}

/// `/etc/hosts` of a pod, in the kubelet's own form.
pub fn etc_hosts(pod: &Pod, node: &NodeConfig, ips: &[String]) -> String {
    if spec::is_host_network(pod) {
        return String::new();
    }
    let mut out = String::from(
        "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n",
    );
    let hostname = hostname(pod, node);
    let subdomain = spec::of(pod).map(|spec| str(&spec.subdomain)).unwrap_or_default();
    for ip in ips {
        if subdomain.is_empty() {
            out.push_str(&format!("{ip}\t{hostname}\n"));
        } else {
            let namespace = str(&pod.metadata.namespace);
            let domain = &node.cluster_domain;
            out.push_str(&format!("{ip}\t{hostname}.{subdomain}.{namespace}.svc.{domain}\t{hostname}\n"));
        }
    }
    let aliases = spec::of(pod).and_then(|spec| spec.host_aliases.as_deref()).unwrap_or_default();
    if !aliases.is_empty() {
        out.push_str("\n# Entries added by HostAliases.\n");
        for alias in aliases {
            let names = alias.hostnames.as_deref().unwrap_or_default().join("\t");
            out.push_str(&format!("{}\t{names}\n", alias.ip));
        }
    }
    out
}

fn dns_config(pod: &Pod, node: &NodeConfig) -> DnsConfig {
    let spec = spec::of(pod);
    let policy = spec.and_then(|spec| spec.dns_policy.as_deref()).unwrap_or("ClusterFirst");
    let cluster = match policy {
        "ClusterFirst" => !spec::is_host_network(pod),
        "ClusterFirstWithHostNet" => true,
        _ => false,
    };
    let mut dns = DnsConfig::default();
    if cluster && !node.cluster_dns.is_empty() {
        let (namespace, domain) = (str(&pod.metadata.namespace), &node.cluster_domain);
        dns.servers.clone_from(&node.cluster_dns);
        dns.searches = vec![format!("{namespace}.svc.{domain}"), format!("svc.{domain}"), domain.clone()];
        dns.options = vec!["ndots:5".into()];
    }
    if let Some(config) = spec.and_then(|spec| spec.dns_config.as_ref()) {
        let add = |to: &mut Vec<String>, from: &Option<Vec<String>>| {
            for entry in from.iter().flatten() {
                if !to.contains(entry) {
                    to.push(entry.clone());
                }
            }
        };
        add(&mut dns.servers, &config.nameservers);
        add(&mut dns.searches, &config.searches);
        for option in config.options.iter().flatten() {
            let name = str(&option.name);
            dns.options.retain(|old| old.split(':').next() != Some(name));
            dns.options.push(match &option.value {
                Some(value) => format!("{name}:{value}"),
                None => name.into(),
            });
        }
    }
    dns
}
