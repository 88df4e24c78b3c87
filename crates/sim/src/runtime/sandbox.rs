//! Pod sandboxes: a pod's network.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;

use kubelet::runtime::{
    ErrorCode, Event, NamespaceMode, Outcome, PodSandboxConfig, RuntimeError, SandboxState, SandboxStatus,
};
use machinery::ObjectKey;
use proxy::ResolvConf;

use super::{Completion, Node};
use crate::network::{Interface, InterfaceConfig, Party};
use crate::process::Processes;

/// A pod's network.
pub(super) struct Sandbox {
    pub(super) status: SandboxStatus,
    pub(super) hostname: String,
    pub(super) interface: Interface,
    /// `/etc/resolv.conf`.
    pub(super) resolv_conf: String,
    /// The processes that all containers see, if they share them.
    pub(super) processes: Option<Processes>,
    /// Kernel parameters of its own.
    pub(super) sysctls: Rc<BTreeMap<String, String>>,
    address: Option<Ipv4Addr>,
}

/// Which pod addresses of a node are taken.
#[derive(Default)]
pub(super) struct Addresses {
    taken: BTreeSet<Ipv4Addr>,
    /// The last one given: the next is sought after it, as the host-local plugin does.
    last: Option<Ipv4Addr>,
}

impl Addresses {
    /// The last one that was given.
    pub(super) fn last(&self) -> Option<Ipv4Addr> {
        self.last
    }

    /// The next one is sought after this.
    pub(super) fn set_last(&mut self, last: Ipv4Addr) {
        self.last = Some(last);
    }

    /// Takes a free address of a range such as `10.244.1.0/24`, the wanted one if it is; network, gateway and broadcast
    /// address are not given.
    fn take(&mut self, cidr: &str, wanted: Option<Ipv4Addr>) -> Option<Ipv4Addr> {
        let (base, bits) = cidr.split_once('/')?;
        let base = u32::from(base.parse::<Ipv4Addr>().ok()?);
        let host_bits = 32_u32.checked_sub(bits.parse().ok()?)?;
        let size = 1_u32.checked_shl(host_bits).unwrap_or(u32::MAX);
        let (first, last) = (base.checked_add(2)?, base.checked_add(size.checked_sub(2)?)?);
        let is_free =
            |address: &Ipv4Addr| (first..=last).contains(&u32::from(*address)) && !self.taken.contains(address);
        if let Some(wanted) = wanted.filter(is_free) {
            self.taken.insert(wanted);
            return Some(wanted);
        }
        let start = self.last.map_or(first, |last| u32::from(last).saturating_add(1));
        let start = if (first..=last).contains(&start) { start } else { first };
        let free =
            (start..=last).chain(first..start).map(Ipv4Addr::from).find(|address| !self.taken.contains(address))?;
        self.taken.insert(free);
        self.last = Some(free);
        Some(free)
    }
}

impl Sandbox {
    /// One that ended when its node did.
    pub(super) fn ended(status: SandboxStatus, interface: Interface) -> Self {
        Self {
            status,
            hostname: String::new(),
            interface,
            resolv_conf: String::new(),
            processes: None,
            sysctls: Rc::default(),
            address: None,
        }
    }

    /// Takes the sandbox off the network. Idempotent.
    pub(super) fn stop(&mut self, node: &Interface, addresses: &mut Addresses) {
        self.status.state = SandboxState::NotReady;
        if let Some(address) = self.address.take() {
            self.interface.close();
            node.unmap_ports(address.into());
            addresses.taken.remove(&address);
        }
    }
}

impl Node {
    pub(super) fn run_sandbox(self: &Rc<Self>, config: PodSandboxConfig) -> Completion {
        let party = Party::Pod(ObjectKey::new(config.namespace.clone(), config.name.clone()));
        let on_node = config.network == NamespaceMode::Node;
        let cidr = config.pod_cidr.as_deref().unwrap_or(&self.config.pod_cidr);
        let address = if on_node {
            None
        } else {
            self.addresses.borrow_mut().take(cidr, self.take_suspended_address(&config.uid))
        };
        if address.is_none() && !on_node {
            let message = format!(
                "rpc error: code = Unknown desc = failed to setup network for sandbox: plugin type=\"host-local\" failed \
                 (add): failed to allocate for range 0: no IP addresses available in range set: {cidr}"
            );
            return Err(RuntimeError::new(ErrorCode::Unknown, message));
        }
        let resolv_conf = resolv_conf(&config);
        let interface = match address {
            None => self.config.interface.for_party(party),
            Some(address) => self.config.network.attach(
                party,
                InterfaceConfig {
                    addresses: vec![address.into()],
                    node: Some(self.config.name.clone()),
                    tables: Some(self.config.tables.clone()),
                    resolv_conf: ResolvConf::parse(&resolv_conf),
                    is_node: false,
                },
            ),
        };
        if let Some(address) = address {
            self.map_ports(&config, address.into()).inspect_err(|_| {
                interface.close();
                self.addresses.borrow_mut().taken.remove(&address);
            })?;
        }
        let status = SandboxStatus {
            id: self.new_id(),
            pod_name: config.name,
            pod_namespace: config.namespace,
            pod_uid: config.uid,
            attempt: config.attempt,
            state: SandboxState::Ready,
            created_at: self.executor.now(),
            ips: address.iter().map(Ipv4Addr::to_string).collect(),
            labels: config.labels,
            annotations: config.annotations,
        };
        let processes = (config.pid == NamespaceMode::Pod).then(|| self.processes.of_pod(self.executor.now()));
        let (hostname, sysctls) = (config.hostname, Rc::new(config.sysctls));
        let sandbox = Sandbox { status: status.clone(), hostname, interface, resolv_conf, processes, sysctls, address };
        self.sandboxes.borrow_mut().insert(status.id.clone(), sandbox);
        Ok(Outcome::Sandbox(status))
    }

    /// Leads ports of the node to a pod's: all of them, or none where one is taken.
    fn map_ports(&self, config: &PodSandboxConfig, address: IpAddr) -> Result<(), RuntimeError> {
        let tcp = config.port_mappings.iter().filter(|mapping| !mapping.protocol.eq_ignore_ascii_case("UDP"));
        for mapping in tcp {
            if !self.config.interface.map_port(mapping.host_port, (address, mapping.container_port)) {
                self.config.interface.unmap_ports(address);
                let message = format!(
                    "rpc error: code = Unknown desc = failed to setup network for sandbox: plugin type=\"portmap\" failed \
                     (add): cannot open hostport {} for pod: listen tcp4 :{0}: bind: address already in use",
                    mapping.host_port
                );
                return Err(RuntimeError::new(ErrorCode::Unknown, message));
            }
        }
        Ok(())
    }

    /// Whether containers can be made and started in a sandbox.
    pub(super) fn check_ready(&self, sandbox_id: &str) -> Result<(), RuntimeError> {
        let state = self.sandboxes.borrow().get(sandbox_id).map(|sandbox| sandbox.status.state);
        let (code, problem) = match state {
            Some(SandboxState::Ready) => return Ok(()),
            Some(_) => {
                (ErrorCode::Unknown, format!("code = Unknown desc = sandbox container {sandbox_id:?} is not running"))
            }
            None => (
                ErrorCode::NotFound,
                format!("code = NotFound desc = failed to find sandbox id {sandbox_id:?}: not found"),
            ),
        };
        Err(RuntimeError::new(code, format!("rpc error: {problem}")))
    }

    pub(super) async fn stop_sandbox(self: &Rc<Self>, id: &str) -> Completion {
        // Before its containers end: nobody is to start them anew in it.
        let changed = self.sandboxes.borrow_mut().get_mut(id).and_then(|sandbox| {
            let before = std::mem::replace(&mut sandbox.status.state, SandboxState::NotReady);
            (before == SandboxState::Ready).then(|| sandbox.status.clone())
        });
        changed.into_iter().for_each(|status| self.tell(Event::SandboxChanged(status)));
        let running: Vec<_> = self
            .containers
            .borrow()
            .values()
            .filter(|container| container.status().sandbox_id == id)
            .cloned()
            .collect();
        for container in running {
            if let Some(machine) = container.machine() {
                machine.kill_all();
                container.wait().await;
            }
        }
        if let Some(sandbox) = self.sandboxes.borrow_mut().get_mut(id) {
            sandbox.stop(&self.config.interface, &mut self.addresses.borrow_mut());
        }
        Ok(Outcome::Done)
    }
}

fn resolv_conf(config: &PodSandboxConfig) -> String {
    let mut text = String::new();
    if !config.dns.searches.is_empty() {
        text.push_str(&format!("search {}\n", config.dns.searches.join(" ")));
    }
    for server in &config.dns.servers {
        text.push_str(&format!("nameserver {server}\n"));
    }
    if !config.dns.options.is_empty() {
        text.push_str(&format!("options {}\n", config.dns.options.join(" ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_given_in_turn_and_end() {
        let mut addresses = Addresses::default();
        assert_eq!(addresses.take("10.244.1.0/24", None), Some(Ipv4Addr::new(10, 244, 1, 2)));
        assert_eq!(addresses.take("10.244.1.0/24", None), Some(Ipv4Addr::new(10, 244, 1, 3)));
        addresses.taken.remove(&Ipv4Addr::new(10, 244, 1, 2));
        assert_eq!(addresses.take("10.244.1.0/24", None), Some(Ipv4Addr::new(10, 244, 1, 4)));
        for _ in 0..251 {
            assert!(addresses.take("10.244.1.0/24", None).is_some());
        }
        assert_eq!(addresses.take("10.244.1.0/24", None), None);
        for nonsense in ["", "10.244.1.0", "10.244.1.0/40", "x/24", "255.255.255.254/31"] {
            assert_eq!(Addresses::default().take(nonsense, None), None, "{nonsense}");
        }
    }
}
