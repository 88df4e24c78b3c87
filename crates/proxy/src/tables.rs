//! Forwarding tables: from a destination to the rule that forwards it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use machinery::{ObjectKey, Timestamp};

use crate::rule::{Endpoint, Protocol, Rule, TrafficPolicy, preferred, to_port};

/// The label by which an EndpointSlice belongs to its Service.
pub const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";

/// The cluster's forwarding tables. They are the same for all nodes; what differs between nodes is
/// asked with the node's name ([`Tables::forward`]).
///
/// Updating is incremental: a change touches only the rules of its own Service.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    services: BTreeMap<ObjectKey, Entry>,
    /// EndpointSlices by Service, then by name. They may arrive before their Service.
    slices: BTreeMap<ObjectKey, BTreeMap<String, Arc<EndpointSlice>>>,
    /// Cluster addresses, external addresses and load balancer addresses.
    by_address: BTreeMap<(IpAddr, u16, Protocol), (RuleId, Via)>,
    by_node_port: BTreeMap<(u16, Protocol), RuleId>,
    /// Ports at which nodes say how many endpoints of a Service they have (`healthCheckNodePort`).
    by_health_port: BTreeMap<u16, ObjectKey>,
    /// Load balancers known by a host name, such as `localhost`.
    by_host: BTreeMap<(String, u16, Protocol), RuleId>,
    virtual_addresses: BTreeMap<IpAddr, BTreeSet<ObjectKey>>,
    /// The nodes' zones.
    zones: BTreeMap<String, String>,
}

#[derive(Clone, Debug)]
struct Entry {
    service: Arc<Service>,
    rules: Vec<Rule>,
}

/// A Service and the index of one of its ports.
type RuleId = (ObjectKey, usize);

/// By which of its doors a connection entered a Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// The cluster address.
    ClusterIP,
    /// A port of a node.
    NodePort,
    /// A load balancer's address.
    LoadBalancer,
    /// One of `spec.externalIPs`.
    ExternalIP,
}

/// What the tables say about a destination.
#[derive(Clone, Debug, PartialEq)]
pub enum Forward<'a> {
    /// Not a Service's address: the packet goes on as it is.
    Direct,
    /// To this endpoint.
    To {
        /// The rule that decided.
        rule: &'a Rule,
        /// The door the connection came by.
        via: Via,
        /// The endpoint it goes to.
        endpoint: &'a Endpoint,
        /// Whether the node puts an address of its own in the place of the client's, as kube-proxy masquerades what
        /// comes from outside by policy Cluster, and what goes back to where it comes from.
        masqueraded: bool,
    },
    /// A Service without endpoints: refused, as kube-proxy's REJECT rule does.
    Reject {
        /// The Service.
        service: &'a ObjectKey,
        /// The door the connection came by.
        via: Via,
    },
    /// A Service that has endpoints, but none on this node, with policy Local; or a port the Service's
    /// address does not have: packets vanish.
    Drop {
        /// The Service, where one was found.
        service: Option<&'a ObjectKey>,
    },
}

/// Where a connection comes from, for policies, session affinity and the seeded choice.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The client's address.
    pub address: IpAddr,
    /// The node whose tables are asked.
    pub node: Option<&'a str>,
    /// Whether the client is a pod or a node of the cluster: the external traffic policy does not hold
    /// for it, as kube-proxy short-circuits such traffic to all endpoints.
    pub internal: bool,
    /// The time, for session affinity.
    pub now: Timestamp,
    /// A random number that chooses among the eligible endpoints.
    pub random: u64,
}

/// Which endpoint each client of a Service with `sessionAffinity: ClientIP` was sent to last. Each
/// node has its own.
#[derive(Clone, Debug, Default)]
pub struct Affinity(BTreeMap<(ObjectKey, String, IpAddr), (IpAddr, u16, Timestamp)>);

impl Tables {
    /// Puts a Service in, or its new revision.
    pub fn apply_service(&mut self, key: &ObjectKey, service: Arc<Service>) {
        self.unindex(key);
        self.services.insert(key.clone(), Entry { service, rules: Vec::new() });
        self.rebuild(key);
        self.index(key);
    }

    /// Takes a Service out.
    pub fn remove_service(&mut self, key: &ObjectKey) {
        self.unindex(key);
        self.services.remove(key);
    }

    /// Puts an EndpointSlice in, or its new revision. One without the Service label is ignored.
    pub fn apply_slice(&mut self, key: &ObjectKey, slice: Arc<EndpointSlice>) {
        let Some(service) = service_of(key, &slice) else { return self.remove_slice(key) };
        self.slices.entry(service.clone()).or_default().insert(key.name.clone(), slice);
        self.rebuild(&service);
    }

    /// Takes an EndpointSlice out.
    pub fn remove_slice(&mut self, key: &ObjectKey) {
        let owner = self
            .slices
            .iter()
            .find(|(service, slices)| service.namespace == key.namespace && slices.contains_key(&key.name))
            .map(|(service, _)| service.clone());
        let Some(service) = owner else { return };
        if let Some(slices) = self.slices.get_mut(&service) {
            slices.remove(&key.name);
            if slices.is_empty() {
                self.slices.remove(&service);
            }
        }
        self.rebuild(&service);
    }

    /// Says in which zone a node is, if in any.
    pub fn set_zone(&mut self, node: &str, zone: Option<&str>) {
        match zone {
            Some(zone) if self.zones.get(node).is_some_and(|known| known == zone) => {}
            Some(zone) => _ = self.zones.insert(node.to_owned(), zone.to_owned()),
            None => _ = self.zones.remove(node),
        }
    }

    /// Keeps only the Services and EndpointSlices for which the functions say so.
    pub fn retain(&mut self, service: impl Fn(&ObjectKey) -> bool, slice: impl Fn(&ObjectKey) -> bool) {
        let gone: Vec<ObjectKey> = self.services.keys().filter(|key| !service(key)).cloned().collect();
        for key in gone {
            self.remove_service(&key);
        }
        let in_namespace = |owner: &ObjectKey, name: &String| ObjectKey::new(owner.namespace.clone(), name.clone());
        let slices = self.slices.iter().flat_map(|(owner, slices)| slices.keys().map(|name| in_namespace(owner, name)));
        let gone: Vec<ObjectKey> = slices.filter(|key| !slice(key)).collect();
        for key in gone {
            self.remove_slice(&key);
        }
    }

    /// The rules of a Service, one for each port, in the order of its ports.
    pub fn rules(&self, service: &ObjectKey) -> &[Rule] {
        self.services.get(service).map_or(&[], |entry| &entry.rules)
    }

    /// The rules of all Services, in key order.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.services.values().flat_map(|entry| &entry.rules)
    }

    /// Every cluster, external and load balancer address with a port, and the rule that it leads to.
    pub fn doors(&self) -> impl Iterator<Item = (IpAddr, u16, Via, &Rule)> {
        self.by_address.iter().filter_map(|((address, port, _), (id, via))| {
            let rule = self.services.get(&id.0)?.rules.get(id.1)?;
            Some((*address, *port, *via, rule))
        })
    }

    /// A Service as the tables know it.
    pub fn service(&self, key: &ObjectKey) -> Option<&Arc<Service>> {
        self.services.get(key).map(|entry| &entry.service)
    }

    /// The EndpointSlices of a Service, in name order.
    pub fn slices(&self, service: &ObjectKey) -> impl Iterator<Item = &Arc<EndpointSlice>> {
        self.slices.get(service).into_iter().flat_map(BTreeMap::values)
    }

    /// The Services that own a cluster, external or load balancer address.
    pub fn owners(&self, address: IpAddr) -> impl Iterator<Item = &ObjectKey> {
        self.virtual_addresses.get(&address).into_iter().flatten()
    }

    /// Where a connection to an address goes. `affinity` is the asking node's.
    pub fn forward<'a>(
        &'a self,
        address: IpAddr,
        port: u16,
        protocol: Protocol,
        source: Source<'_>,
        affinity: &mut Affinity,
    ) -> Forward<'a> {
        match self.by_address.get(&(address, port, protocol)) {
            Some((id, via)) => self.choose(id, *via, source, affinity),
            None if self.virtual_addresses.contains_key(&address) => {
                Forward::Drop { service: self.owners(address).next() }
            }
            None => Forward::Direct,
        }
    }

    /// Where a connection to a port of a node goes; the node is the one in `source`.
    pub fn forward_node_port(
        &self,
        port: u16,
        protocol: Protocol,
        source: Source<'_>,
        affinity: &mut Affinity,
    ) -> Forward<'_> {
        match self.by_node_port.get(&(port, protocol)) {
            Some(id) => self.choose(id, Via::NodePort, source, affinity),
            None => Forward::Direct,
        }
    }

    /// Where a connection to a load balancer known by a host name, such as `localhost`, goes.
    pub fn forward_host(
        &self,
        host: &str,
        port: u16,
        protocol: Protocol,
        source: Source<'_>,
        affinity: &mut Affinity,
    ) -> Forward<'_> {
        match self.by_host.get(&(host.to_owned(), port, protocol)) {
            Some(id) => self.choose(id, Via::LoadBalancer, source, affinity),
            None => Forward::Direct,
        }
    }

    /// The Service of whose endpoints nodes tell at a port.
    pub fn health_check(&self, port: u16) -> Option<&ObjectKey> {
        self.by_health_port.get(&port)
    }

    /// How many ready endpoints a Service has on a node.
    pub fn local_endpoints(&self, service: &ObjectKey, node: &str) -> usize {
        let local = |endpoint: &&Endpoint| endpoint.ready && endpoint.node.as_deref() == Some(node);
        let addresses = self.rules(service).iter().flat_map(|rule| rule.endpoints.iter().filter(local));
        addresses.map(|endpoint| endpoint.address).collect::<BTreeSet<_>>().len()
    }

    /// The ready endpoints at an address that have a host name, with their Services.
    pub fn named(&self, address: IpAddr) -> Vec<(&ObjectKey, &str)> {
        let address = address.to_string();
        let mut found = Vec::new();
        for (service, slices) in &self.slices {
            for endpoint in slices.values().flat_map(|slice| slice.endpoints.iter().flatten()) {
                let ready = endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true);
                if let Some(name) = endpoint.hostname.as_deref().filter(|_| ready)
                    && endpoint.addresses.contains(&address)
                {
                    found.push((service, name));
                }
            }
        }
        found
    }

    /// All ports on which the outside reaches a Service: node ports, and ports of load balancers at the
    /// given host name. For hosts that open real sockets.
    pub fn external_ports(&self, host: &str) -> BTreeSet<(u16, Protocol)> {
        let balanced =
            self.by_host.keys().filter(|(name, ..)| name == host).map(|(_, port, protocol)| (*port, *protocol));
        self.by_node_port.keys().copied().chain(balanced).collect()
    }

    /// The endpoints that may answer a node's traffic under a policy, those that are meant for it where they say so.
    pub fn eligible<'a>(&self, rule: &'a Rule, policy: TrafficPolicy, node: Option<&str>) -> Vec<&'a Endpoint> {
        let eligible = rule.eligible(policy, node);
        match node.filter(|_| policy == TrafficPolicy::Cluster) {
            Some(node) => preferred(eligible, node, self.zones.get(node).map(String::as_str)),
            None => eligible,
        }
    }

    fn choose<'a>(&'a self, id: &RuleId, via: Via, source: Source<'_>, affinity: &mut Affinity) -> Forward<'a> {
        let Some((key, entry)) = self.services.get_key_value(&id.0) else { return Forward::Direct };
        let Some(rule) = entry.rules.get(id.1) else { return Forward::Direct };
        let policy = match via {
            Via::ClusterIP => rule.internal_policy,
            // Whoever balances sends its clients to nodes that have an endpoint.
            _ if source.internal || source.node.is_none() => TrafficPolicy::Cluster,
            Via::NodePort | Via::LoadBalancer | Via::ExternalIP => rule.external_policy,
        };
        if !rule.admits(via, source.address) {
            return Forward::Drop { service: Some(key) };
        }
        let to = |endpoint: &'a Endpoint| {
            let outside = via != Via::ClusterIP && rule.external_policy == TrafficPolicy::Cluster;
            Forward::To { rule, via, endpoint, masqueraded: outside || endpoint.address == source.address }
        };
        let eligible = self.eligible(rule, policy, source.node);
        let sticky = rule.affinity.map(|timeout| (timeout, (key.clone(), rule.port_name.clone(), source.address)));
        if let Some((timeout, slot)) = &sticky
            && let Some((address, port, seen)) = affinity.0.get(slot)
            && source.now.duration_since(*seen).unsigned_abs() < *timeout
            && let Some(endpoint) = eligible.iter().find(|e| (e.address, e.port) == (*address, *port))
        {
            let endpoint = *endpoint;
            affinity.0.insert(slot.clone(), (endpoint.address, endpoint.port, source.now));
            return to(endpoint);
        }
        let count = eligible.len() as u64;
        let chosen = source.random.checked_rem(count).and_then(|index| eligible.get(index as usize));
        match chosen {
            Some(endpoint) => {
                if let Some((_, slot)) = sticky {
                    affinity.0.insert(slot, (endpoint.address, endpoint.port, source.now));
                }
                to(endpoint)
            }
            None if !rule.eligible(TrafficPolicy::Cluster, None).is_empty() => Forward::Drop { service: Some(key) },
            None => Forward::Reject { service: key, via },
        }
    }

    fn rebuild(&mut self, key: &ObjectKey) {
        let Some(entry) = self.services.get_mut(key) else { return };
        let slices = self.slices.get(key);
        entry.rules = entry
            .service
            .spec
            .iter()
            .flat_map(|spec| spec.ports.iter().flatten())
            .map(|port| {
                Rule::new(key, &entry.service, port, slices.into_iter().flat_map(|s| s.values().map(Arc::as_ref)))
            })
            .collect();
    }

    fn index(&mut self, key: &ObjectKey) {
        let Some(entry) = self.services.get(key) else { return };
        let doors = Doors::of(&entry.service);
        for (index, rule) in entry.rules.iter().enumerate() {
            let id = (key.clone(), index);
            for (address, via) in &doors.addresses {
                self.by_address.entry((*address, rule.port, rule.protocol)).or_insert((id.clone(), *via));
            }
            for host in &doors.hosts {
                self.by_host.entry((host.clone(), rule.port, rule.protocol)).or_insert(id.clone());
            }
            if let Some(port) = rule.node_port {
                self.by_node_port.entry((port, rule.protocol)).or_insert(id);
            }
        }
        if let Some(port) = doors.health_port {
            self.by_health_port.entry(port).or_insert_with(|| key.clone());
        }
        for (address, _) in doors.addresses {
            self.virtual_addresses.entry(address).or_default().insert(key.clone());
        }
    }

    fn unindex(&mut self, key: &ObjectKey) {
        let Some(entry) = self.services.get(key) else { return };
        let doors = Doors::of(&entry.service);
        for rule in &entry.rules {
            for (address, _) in &doors.addresses {
                remove_own(&mut self.by_address, &(*address, rule.port, rule.protocol), |(id, _)| id.0 == *key);
            }
            for host in &doors.hosts {
                remove_own(&mut self.by_host, &(host.clone(), rule.port, rule.protocol), |id| id.0 == *key);
            }
            if let Some(port) = rule.node_port {
                remove_own(&mut self.by_node_port, &(port, rule.protocol), |id| id.0 == *key);
            }
        }
        if let Some(port) = doors.health_port {
            remove_own(&mut self.by_health_port, &port, |owner| owner == key);
        }
        for (address, _) in doors.addresses {
            if let Some(owners) = self.virtual_addresses.get_mut(&address) {
                owners.remove(key);
                if owners.is_empty() {
                    self.virtual_addresses.remove(&address);
                }
            }
        }
    }
}

/// A Service's own addresses and host names, and where nodes tell of its endpoints.
struct Doors {
    addresses: Vec<(IpAddr, Via)>,
    hosts: Vec<String>,
    health_port: Option<u16>,
}

impl Doors {
    fn of(service: &Service) -> Self {
        let spec = service.spec.as_ref();
        let kind = spec.and_then(|spec| spec.type_.as_deref()).unwrap_or("ClusterIP");
        let mut doors = Self { addresses: Vec::new(), hosts: Vec::new(), health_port: None };
        let Some(spec) = spec.filter(|_| kind != "ExternalName") else { return doors };
        doors.health_port = spec.health_check_node_port.map(to_port).filter(|port| *port != 0);
        let cluster = spec.cluster_ips.clone().unwrap_or_else(|| spec.cluster_ip.clone().into_iter().collect());
        let external = spec.external_ips.iter().flatten();
        // A headless Service's cluster IP is "None": it does not parse, and has no door.
        let parsed = |address: &String| address.parse().ok();
        doors.addresses.extend(cluster.iter().filter_map(parsed).map(|address| (address, Via::ClusterIP)));
        doors.addresses.extend(external.filter_map(parsed).map(|address| (address, Via::ExternalIP)));
        let ingress = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
        for point in ingress.iter().flat_map(|balancer| balancer.ingress.iter().flatten()) {
            if let Some(address) = point.ip.as_ref().and_then(parsed) {
                doors.addresses.push((address, Via::LoadBalancer));
            }
            doors.hosts.extend(point.hostname.clone());
        }
        doors
    }
}

fn service_of(key: &ObjectKey, slice: &EndpointSlice) -> Option<ObjectKey> {
    let name = slice.metadata.labels.as_ref()?.get(SERVICE_NAME_LABEL)?;
    Some(ObjectKey::new(key.namespace.clone(), name.clone()))
}

fn remove_own<K: Ord, V>(map: &mut BTreeMap<K, V>, key: &K, own: impl Fn(&V) -> bool) {
    if map.get(key).is_some_and(own) {
        map.remove(key);
    }
}
