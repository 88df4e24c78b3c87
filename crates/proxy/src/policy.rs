//! NetworkPolicy: which connections pods may make and take, after the API's documentation. The job that
//! a cluster's network plugin does on each node.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use client::{Component, Context, Event, Informer, SharedInformers};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::api::networking::v1::{IPBlock, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use machinery::labels::Selector;

use crate::rule::{Protocol, to_port};

type Labels = BTreeMap<String, String>;

/// Policies in force, shared between the component that keeps them and the network that asks them.
pub type SharedPolicies = Rc<RefCell<Policies>>;

/// One end of a connection.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its address, as the other end sees it.
    pub address: IpAddr,
    /// The pod at that address; none for a node, or the world outside.
    pub pod: Option<Arc<Pod>>,
}

/// The policies of a cluster, with the pods and namespaces that they speak of.
#[derive(Clone, Default)]
pub struct Policies {
    policies: Vec<Arc<NetworkPolicy>>,
    pods: BTreeMap<IpAddr, Arc<Pod>>,
    namespaces: Vec<(String, Labels)>,
}

/// Which way a policy is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Connections that a pod takes.
    Ingress,
    /// Connections that a pod makes.
    Egress,
}

/// Connections that a policy's rule allows, for hosts that program a real network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    /// With whom; anybody without.
    pub peers: Option<Peers>,
    /// Protocol, first and last port; all ports without any.
    pub ports: Vec<(Protocol, u16, u16)>,
}

/// Whom a policy's rule speaks of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peers {
    /// Addresses of pods.
    pub pods: Vec<IpAddr>,
    /// Ranges of addresses.
    pub blocks: Vec<Block>,
}

/// A range of addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its base and the number of its bits.
    pub cidr: (IpAddr, u8),
    /// Ranges inside that do not belong to it.
    pub except: Vec<(IpAddr, u8)>,
}

impl Policies {
    /// Whether there is none: everything is allowed.
    pub fn is_empty(&self) -> bool {
        self.policies.is_empty()
    }

    /// Who is at an address.
    pub fn peer(&self, address: IpAddr) -> Peer {
        Peer { address, pod: self.pods.get(&address).cloned() }
    }

    /// Whether a connection from one peer to a port of another is allowed by the policies of both.
    pub fn allows(&self, from: &Peer, to: &Peer, port: u16, protocol: Protocol) -> bool {
        self.admits(Direction::Egress, from, to, to, port, protocol)
            && self.admits(Direction::Ingress, to, from, to, port, protocol)
    }

    /// Whether a pod's policies of one direction allow a peer. `target` is the end whose port it is.
    fn admits(&self, way: Direction, own: &Peer, other: &Peer, target: &Peer, port: u16, protocol: Protocol) -> bool {
        let Some(pod) = &own.pod else { return true };
        let mut isolated = false;
        for policy in self.policies.iter().filter(|policy| selects(policy, pod, way)) {
            isolated = true;
            let namespace = policy.metadata.namespace.as_deref().unwrap_or_default();
            let Some(spec) = &policy.spec else { continue };
            let fits = |peers: Option<&Vec<NetworkPolicyPeer>>, ports: Option<&Vec<NetworkPolicyPort>>| {
                let peers = peers.map_or(&[][..], Vec::as_slice);
                let ports = ports.map_or(&[][..], Vec::as_slice);
                (peers.is_empty() || peers.iter().any(|peer| self.matches(peer, namespace, other)))
                    && (ports.is_empty() || ports.iter().any(|rule| port_fits(rule, target, port, protocol)))
            };
            let allowed = match way {
                Direction::Ingress => {
                    spec.ingress.iter().flatten().any(|rule| fits(rule.from.as_ref(), rule.ports.as_ref()))
                }
                Direction::Egress => {
                    spec.egress.iter().flatten().any(|rule| fits(rule.to.as_ref(), rule.ports.as_ref()))
                }
            };
            if allowed {
                return true;
            }
        }
        !isolated
    }

    /// What a pod's policies of one direction allow, as rules any of which suffices; none if no policy
    /// isolates the pod that way.
    pub fn allowed(&self, address: IpAddr, way: Direction) -> Option<Vec<Allowed>> {
        let own = self.peer(address);
        let pod = own.pod.as_ref()?;
        let mut found = None;
        for policy in self.policies.iter().filter(|policy| selects(policy, pod, way)) {
            let allowed: &mut Vec<Allowed> = found.get_or_insert_default();
            let namespace = policy.metadata.namespace.as_deref().unwrap_or_default();
            let Some(spec) = &policy.spec else { continue };
            match way {
                Direction::Ingress => {
                    for rule in spec.ingress.iter().flatten() {
                        let peers = self.peers(rule.from.as_deref(), namespace);
                        let ports = rule.ports.as_deref().unwrap_or_default();
                        let known = ports.iter().flat_map(|port| numbers(port, &own));
                        let known: Vec<_> = known.collect();
                        // Named ports alone, none of which the pod has, allow nothing.
                        if ports.is_empty() || !known.is_empty() {
                            allowed.push(Allowed { peers, ports: known });
                        }
                    }
                }
                Direction::Egress => {
                    for rule in spec.egress.iter().flatten() {
                        let peers = self.peers(rule.to.as_deref(), namespace);
                        let ports = rule.ports.as_deref().unwrap_or_default();
                        let is_named = |port: &&NetworkPolicyPort| matches!(port.port, Some(IntOrString::String(_)));
                        let plain: Vec<_> = ports.iter().filter(|port| !is_named(port)).collect();
                        if ports.is_empty() || !plain.is_empty() {
                            let ports = plain.into_iter().flat_map(|port| numbers(port, &own)).collect();
                            allowed.push(Allowed { peers: peers.clone(), ports });
                        }
                        let named: Vec<_> = ports.iter().filter(is_named).collect();
                        if named.is_empty() {
                            continue;
                        }
                        // What a name means is the other pod's to say.
                        let pods = peers.map_or_else(|| self.pods.keys().copied().collect(), |peers| peers.pods);
                        for target in pods {
                            let ports: Vec<_> =
                                named.iter().flat_map(|port| numbers(port, &self.peer(target))).collect();
                            if !ports.is_empty() {
                                let peers = Some(Peers { pods: vec![target], blocks: Vec::new() });
                                allowed.push(Allowed { peers, ports });
                            }
                        }
                    }
                }
            }
        }
        found
    }

    /// Takes in a pod at an address that the API does not have there.
    pub fn insert(&mut self, address: IpAddr, pod: Arc<Pod>) {
        self.pods.insert(address, pod);
    }

    fn peers(&self, rules: Option<&[NetworkPolicyPeer]>, namespace: &str) -> Option<Peers> {
        let rules = rules.filter(|rules| !rules.is_empty())?;
        let selectors: Vec<_> = rules.iter().filter(|rule| rule.ip_block.is_none()).collect();
        let selected = |address: &&IpAddr| {
            let peer = self.peer(**address);
            selectors.iter().any(|rule| self.matches(rule, namespace, &peer))
        };
        let pods = self.pods.keys().filter(selected).copied().collect();
        let blocks = rules.iter().filter_map(|rule| rule.ip_block.as_ref()).filter_map(|block| {
            let except = block.except.iter().flatten().filter_map(|except| range_of(except)).collect();
            Some(Block { cidr: range_of(&block.cidr)?, except })
        });
        Some(Peers { pods, blocks: blocks.collect() })
    }

    fn matches(&self, rule: &NetworkPolicyPeer, namespace: &str, peer: &Peer) -> bool {
        if let Some(block) = &rule.ip_block {
            return in_block(block, peer.address);
        }
        let Some(pod) = &peer.pod else { return false };
        let own = pod.metadata.namespace.as_deref().unwrap_or_default();
        let namespace_fits = match &rule.namespace_selector {
            None => own == namespace,
            Some(selector) => {
                let labels = self.namespaces.iter().find(|(name, _)| name == own).map(|(_, labels)| labels);
                Selector::from_label_selector(Some(selector)).is_ok_and(|selector| selector.matches(labels))
            }
        };
        let pod_fits = || match &rule.pod_selector {
            None => true,
            Some(selector) => Selector::from_label_selector(Some(selector))
                .is_ok_and(|selector| selector.matches(pod.metadata.labels.as_ref())),
        };
        namespace_fits && pod_fits()
    }

    fn put_pod(&mut self, pod: Arc<Pod>) {
        for address in addresses(&pod) {
            self.pods.insert(address, pod.clone());
        }
    }

    fn take_pod(&mut self, pod: &Pod) {
        for address in addresses(pod) {
            // The address may be another pod's by now.
            if self.pods.get(&address).is_some_and(|known| known.metadata.uid == pod.metadata.uid) {
                self.pods.remove(&address);
            }
        }
    }
}

/// A pod's addresses, which policies can speak of: not those of a pod on its node's network, nor of one
/// that has ended.
fn addresses(pod: &Pod) -> Vec<IpAddr> {
    let host_network = pod.spec.as_ref().and_then(|spec| spec.host_network).unwrap_or_default();
    let Some(status) = pod.status.as_ref().filter(|_| !host_network) else { return Vec::new() };
    if matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")) {
        return Vec::new();
    }
    status.pod_ips.iter().flatten().filter_map(|ip| ip.ip.parse().ok()).collect()
}

/// Whether a policy is about a pod, and about this direction.
fn selects(policy: &NetworkPolicy, pod: &Pod, way: Direction) -> bool {
    let Some(spec) = &policy.spec else { return false };
    let types = spec.policy_types.as_deref().unwrap_or_default();
    let about = match way {
        Direction::Ingress => types.is_empty() || types.iter().any(|kind| kind == "Ingress"),
        Direction::Egress => {
            (types.is_empty() && spec.egress.as_ref().is_some_and(|rules| !rules.is_empty()))
                || types.iter().any(|kind| kind == "Egress")
        }
    };
    about
        && policy.metadata.namespace == pod.metadata.namespace
        && spec.pod_selector.as_ref().is_none_or(|selector| {
            Selector::from_label_selector(Some(selector))
                .is_ok_and(|selector| selector.matches(pod.metadata.labels.as_ref()))
        })
}

fn port_fits(rule: &NetworkPolicyPort, target: &Peer, port: u16, protocol: Protocol) -> bool {
    if Protocol::from_api(rule.protocol.as_deref()) != protocol {
        return false;
    }
    let wanted = i32::from(port);
    match &rule.port {
        None => true,
        Some(IntOrString::Int(first)) => (*first..=rule.end_port.unwrap_or(*first)).contains(&wanted),
        Some(IntOrString::String(name)) => target.pod.as_ref().is_some_and(|pod| {
            let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
            let mut ports = containers.flat_map(|container| container.ports.iter().flatten());
            ports.any(|port| port.name.as_deref() == Some(name) && port.container_port == wanted)
        }),
    }
}

/// Protocol, first and last port that a rule means on a pod; several where a name is used twice.
fn numbers(rule: &NetworkPolicyPort, target: &Peer) -> Vec<(Protocol, u16, u16)> {
    let protocol = Protocol::from_api(rule.protocol.as_deref());
    match &rule.port {
        None => vec![(protocol, 0, u16::MAX)],
        Some(IntOrString::Int(first)) => {
            vec![(protocol, to_port(*first), to_port(rule.end_port.unwrap_or(*first)))]
        }
        Some(IntOrString::String(name)) => {
            let containers = target.pod.iter().flat_map(|pod| pod.spec.iter()).flat_map(|spec| &spec.containers);
            let ports = containers.flat_map(|container| container.ports.iter().flatten());
            let named = ports.filter(|port| port.name.as_deref() == Some(name));
            named.map(|port| to_port(port.container_port)).map(|port| (protocol, port, port)).collect()
        }
    }
}

fn in_block(block: &IPBlock, address: IpAddr) -> bool {
    in_range(&block.cidr, address) && !block.except.iter().flatten().any(|except| in_range(except, address))
}

pub(crate) fn range_of(cidr: &str) -> Option<(IpAddr, u8)> {
    let (base, bits) = cidr.split_once('/')?;
    Some((base.parse().ok()?, bits.parse().ok()?))
}

fn in_range(cidr: &str, address: IpAddr) -> bool {
    range_of(cidr).is_some_and(|range| holds(range, address))
}

/// Whether a range, by its base and the number of its bits, holds an address.
pub(crate) fn holds((base, bits): (IpAddr, u8), address: IpAddr) -> bool {
    let bits = u32::from(bits);
    match (base, address) {
        (IpAddr::V4(base), IpAddr::V4(address)) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(bits)).unwrap_or(0);
            u32::from(base) & mask == u32::from(address) & mask
        }
        (IpAddr::V6(base), IpAddr::V6(address)) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(bits)).unwrap_or(0);
            u128::from(base) & mask == u128::from(address) & mask
        }
        _ => false,
    }
}

/// The component that keeps [`Policies`] in step with the API.
pub struct PolicyAgent {
    policies: Informer<NetworkPolicy>,
    pods: Informer<Pod>,
    namespaces: Informer<Namespace>,
    shared: SharedPolicies,
    changed: Option<OnChange>,
}

/// Told after every change.
type OnChange = Box<dyn FnMut(&Policies)>;

impl PolicyAgent {
    /// The name under which it reads.
    pub const NAME: &str = "kube-network-policies";

    /// An agent over a process' informers.
    pub fn new(informers: &SharedInformers, shared: SharedPolicies) -> Self {
        let (policies, pods, namespaces) = (informers.informer(), informers.informer(), informers.informer());
        Self { policies, pods, namespaces, shared, changed: None }
    }

    /// Calls a function after every change: for a host that programs a real network.
    #[must_use]
    pub fn on_change(mut self, changed: impl FnMut(&Policies) + 'static) -> Self {
        self.changed = Some(Box::new(changed));
        self
    }
}

impl Component for PolicyAgent {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn poll(&mut self, cx: &mut Context<'_>) {
        let (pods, namespaces) = (self.pods.poll(cx), self.namespaces.poll(cx));
        let changed = !self.policies.poll(cx).is_empty();
        let any = changed || !pods.is_empty() || !namespaces.is_empty();
        let mut shared = self.shared.borrow_mut();
        for event in pods {
            match event {
                Event::Deleted(pod) => shared.take_pod(&pod),
                Event::Added(pod) => shared.put_pod(pod),
                Event::Updated { old, new } => {
                    shared.take_pod(&old);
                    shared.put_pod(new);
                }
            }
        }
        if !namespaces.is_empty() {
            let named = |namespace: Arc<Namespace>| {
                let meta = &namespace.metadata;
                (meta.name.clone().unwrap_or_default(), meta.labels.clone().unwrap_or_default())
            };
            shared.namespaces = self.namespaces.list().into_iter().map(named).collect();
        }
        if changed {
            shared.policies = self.policies.list();
        }
        if let Some(changed) = self.changed.as_mut().filter(|_| any) {
            changed(&shared);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_and_their_exceptions() {
        let block = IPBlock { cidr: "172.17.0.0/16".into(), except: Some(vec!["172.17.1.0/24".into()]) };
        for (address, inside) in [("172.17.2.3", true), ("172.17.1.9", false), ("172.18.0.1", false)] {
            assert_eq!(in_block(&block, address.parse().unwrap()), inside, "{address}");
        }
        assert!(in_range("0.0.0.0/0", "8.8.8.8".parse().unwrap()));
        assert!(!in_range("nonsense", "8.8.8.8".parse().unwrap()));
        assert!(!in_range("10.0.0.0/8", "::1".parse().unwrap()));
    }
}
