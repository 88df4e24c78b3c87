//! From forwarding tables and policies to a namespace's rules.
//!
//! Each pod's own namespace sends its connections to where they go, and lets in only what it may: a
//! Service's address exists nowhere, so the client's address stays as it is, and what one pod is sent to
//! is nobody else's business. A node's namespace does the same for its host network, and also sends on
//! what comes to its ports.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use kubelet::runtime::PortMapping;
use machinery::ObjectKey;
use proxy::policy::{Allowed, Direction};
use proxy::{Policies, Protocol, Rule, Tables, TrafficPolicy, Via};

use super::nft::{self, Batch, Hook, Register, Verdict, load};

/// Priorities of nf_tables: destinations are changed before filters look, sources after.
const DESTINATION_NAT: i32 = -100;
const FILTER: i32 = 0;
const SOURCE_NAT: i32 = 100;

/// What is the same for all namespaces.
pub struct Cluster {
    pub tables: std::sync::Arc<Tables>,
    pub policies: std::sync::Arc<Policies>,
    /// Addresses of the nodes.
    pub nodes: Vec<Ipv4Addr>,
    /// From where this machine reaches pods: its own end of their network, or the agent.
    pub neighbours: [Ipv4Addr; 2],
    /// The name server's address as pods know it, and where it is.
    pub name_server: (Ipv4Addr, Ipv4Addr),
    /// The range of Services' addresses: base and bits.
    pub services: (Ipv4Addr, u8),
}

/// One namespace.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// Its own address.
    pub address: Option<Ipv4Addr>,
    /// Its node's name.
    pub node: String,
    /// Whether it is the node's own.
    pub is_node: bool,
    /// For a node: ports that lead to pods on it.
    pub host_ports: Vec<(PortMapping, Ipv4Addr)>,
    /// Where it is sent by Services with session affinity, by Service and port name.
    pub affinity: BTreeMap<(ObjectKey, String), (IpAddr, u16)>,
}

/// Where a connection goes.
enum Way {
    To {
        endpoints: Vec<(Ipv4Addr, u16)>,
        by_source: bool,
        /// Ranges of the clients that may go there; empty for all.
        sources: Vec<(Ipv4Addr, u8)>,
    },
    Reject,
    Drop,
}

/// The batch that puts a namespace's rules in force.
pub fn compile(cluster: &Cluster, place: &mut Place) -> Vec<u8> {
    let mut batch = Batch::new();
    services(&mut batch, cluster, place);
    if place.is_node {
        batch.base_chain("postrouting", "nat", Hook::Postrouting, SOURCE_NAT);
        // What was sent on comes back this way.
        const DESTINATION_CHANGED: u32 = 1 << 5;
        let changed = connection(2, DESTINATION_CHANGED);
        let outside = [load::interface_out(Register(0)), nft::compare(Register(0), false, &nft::interface("lo"))];
        batch.rule("postrouting", changed.into_iter().chain(outside).chain([nft::masquerade()]));
    } else if let Some(address) = place.address {
        filter(&mut batch, cluster, address);
    }
    batch.finish()
}

fn services(batch: &mut Batch, cluster: &Cluster, place: &mut Place) {
    let mut ways: Vec<Way> = Vec::new();
    // Ways by Service, port, policy, whether it is let in and whether others are asked where they come from, so that all
    // addresses of a Service share one.
    let mut known = BTreeMap::<(ObjectKey, String, [bool; 3]), usize>::new();
    let mut doors = BTreeMap::<(Ipv4Addr, u8, u16), usize>::new();
    let mut lead = |door: (Ipv4Addr, u8, u16), rule: &Rule, via: Via, place: &mut Place| {
        let policy = match via {
            Via::ClusterIP => rule.internal_policy,
            // Pods are inside: every endpoint will do.
            _ if !place.is_node => TrafficPolicy::Cluster,
            _ => rule.external_policy,
        };
        // A pod's namespace has one client, a node's everybody outside.
        let guarded = place.is_node && via == Via::LoadBalancer && !rule.sources.is_empty();
        let admitted = guarded || place.address.is_none_or(|own| rule.admits(via, own.into()));
        let key = (rule.service.clone(), rule.port_name.clone(), [policy == TrafficPolicy::Local, admitted, guarded]);
        let index = *known.entry(key).or_insert_with(|| {
            let mut found = if admitted { way(&cluster.tables, rule, policy, place) } else { Way::Drop };
            if let Way::To { sources, .. } = &mut found
                && guarded
            {
                sources.extend(rule.sources.iter().filter_map(|(base, bits)| match base {
                    IpAddr::V4(base) => Some((*base, *bits)),
                    IpAddr::V6(_) => None,
                }));
                // Nobody has an address of the other kind.
                found = if sources.is_empty() { Way::Drop } else { found };
            }
            ways.push(found);
            ways.len() - 1
        });
        doors.entry(door).or_insert(index);
    };
    for (address, port, via, rule) in cluster.tables.doors() {
        if let IpAddr::V4(address) = address {
            lead((address, number_of(rule.protocol), port), rule, via, place);
        }
    }
    for rule in cluster.tables.iter() {
        let Some(port) = rule.node_port else { continue };
        for node in &cluster.nodes {
            lead((*node, number_of(rule.protocol), port), rule, Via::NodePort, place);
        }
    }
    let (name_server, at) = cluster.name_server;
    for protocol in [Protocol::Udp, Protocol::Tcp].map(number_of) {
        const DNS_PORT: u16 = playground_agent::DNS_PORT;
        ways.push(Way::to((at, DNS_PORT)));
        doors.entry((name_server, protocol, DNS_PORT)).or_insert(ways.len() - 1);
    }
    for (mapping, pod) in &place.host_ports {
        let Some(own) = place.address else { continue };
        // Another address of the node is none of its own here.
        ways.push(Way::to((*pod, mapping.container_port)));
        let protocol = number_of(Protocol::from_api(Some(&mapping.protocol)));
        doors.entry((own, protocol, mapping.host_port)).or_insert(ways.len() - 1);
    }

    for (index, way) in ways.iter().enumerate() {
        if let Way::To { endpoints, by_source, sources } = way {
            let chain = format!("to-{index}");
            send(batch, &chain, endpoints, *by_source);
            if !sources.is_empty() {
                guard(batch, &format!("from-{index}"), sources, &chain);
            }
        }
    }
    let of = |wanted: &dyn Fn(&Way) -> bool| -> Vec<(Vec<u8>, usize)> {
        let chosen = doors.iter().filter(|(_, index)| ways.get(**index).is_some_and(wanted));
        chosen
            .map(|((address, protocol, port), index)| (nft::address_protocol_port(*address, *protocol, *port), *index))
            .collect()
    };
    let to: Vec<_> = of(&|way| matches!(way, Way::To { .. }))
        .into_iter()
        .map(|(key, index)| {
            let guarded = matches!(ways.get(index), Some(Way::To { sources, .. }) if !sources.is_empty());
            (key, Verdict::Goto(format!("{}-{index}", if guarded { "from" } else { "to" })))
        })
        .collect();
    const KEY_BYTES: usize = 12;
    batch.verdict_map("services", KEY_BYTES, &to);
    let asked = || [load::destination(Register(0)), load::protocol(Register(1)), load::port(Register(2))];
    batch.base_chain("output", "nat", Hook::Output, DESTINATION_NAT);
    batch.rule("output", asked().into_iter().chain([nft::verdict_by("services")]));
    if place.is_node {
        batch.base_chain("prerouting", "nat", Hook::Prerouting, DESTINATION_NAT);
        batch.rule("prerouting", asked().into_iter().chain([nft::verdict_by("services")]));
    }

    let keys = |wanted: &dyn Fn(&Way) -> bool| of(wanted).into_iter().map(|(key, _)| key).collect::<Vec<_>>();
    let refused = keys(&|way| matches!(way, Way::Reject));
    let dropped = keys(&|way| matches!(way, Way::Drop));
    let hooks: &[(&str, Hook)] = if place.is_node {
        &[("refuse", Hook::Output), ("refuse-input", Hook::Input)]
    } else {
        &[("refuse", Hook::Output)]
    };
    for (name, keys) in [("refused", &refused), ("dropped", &dropped)] {
        if !keys.is_empty() {
            batch.set(name, keys);
        }
    }
    for (chain, hook) in hooks {
        batch.base_chain(chain, "filter", *hook, FILTER);
        if !refused.is_empty() {
            batch.rule(chain, asked().into_iter().chain([nft::in_set("refused"), nft::reject()]));
        }
        if !dropped.is_empty() {
            let drop = nft::verdict(&Verdict::Drop);
            batch.rule(chain, asked().into_iter().chain([nft::in_set("dropped"), drop]));
        }
    }
    // A port that a Service's address does not have: packets vanish.
    let (range, bits) = cluster.services;
    let inside = block(load::destination(Register(0)), range, bits, true);
    batch.rule("refuse", inside.into_iter().chain([nft::verdict(&Verdict::Drop)]));
}

fn way(tables: &Tables, rule: &Rule, policy: TrafficPolicy, place: &mut Place) -> Way {
    let eligible = tables.eligible(rule, policy, Some(&place.node));
    let mut endpoints: Vec<(Ipv4Addr, u16)> = Vec::new();
    for endpoint in &eligible {
        if let IpAddr::V4(address) = endpoint.address {
            endpoints.push((address, endpoint.port));
        }
    }
    if endpoints.is_empty() {
        let elsewhere = policy == TrafficPolicy::Local && rule.endpoints.iter().any(|endpoint| endpoint.ready);
        return if elsewhere { Way::Drop } else { Way::Reject };
    }
    if rule.affinity.is_some() && !place.is_node {
        // A pod's namespace has one client: it stays where it was sent first, while that is there.
        let slot = (rule.service.clone(), rule.port_name.clone());
        let kept = place.affinity.get(&slot).and_then(|(address, port)| {
            endpoints.iter().find(|endpoint| (IpAddr::V4(endpoint.0), endpoint.1) == (*address, *port))
        });
        let chosen = kept.or_else(|| {
            let number = place.address.map_or(0, u32::from).wrapping_mul(0x9E37_79B1) >> 8;
            endpoints.get(usize::try_from(number).unwrap_or_default() % endpoints.len())
        });
        if let Some(chosen) = chosen.copied() {
            place.affinity.insert(slot, (chosen.0.into(), chosen.1));
            endpoints = vec![chosen];
        }
    }
    Way::To { endpoints, by_source: rule.affinity.is_some(), sources: Vec::new() }
}

impl Way {
    /// To one place, for everybody.
    fn to(endpoint: (Ipv4Addr, u16)) -> Self {
        Self::To { endpoints: vec![endpoint], by_source: false, sources: Vec::new() }
    }
}

/// The chain that lets connections go on to another from some ranges alone.
fn guard(batch: &mut Batch, chain: &str, sources: &[(Ipv4Addr, u8)], to: &str) {
    batch.chain(chain);
    let on = Verdict::Goto(to.to_owned());
    for (base, bits) in sources {
        let inside = block(load::source(Register(0)), *base, *bits, true);
        batch.rule(chain, inside.into_iter().chain([nft::verdict(&on)]));
    }
    batch.rule(chain, [nft::verdict(&Verdict::Drop)]);
}

/// The chain that sends connections to one of some endpoints.
fn send(batch: &mut Batch, chain: &str, endpoints: &[(Ipv4Addr, u16)], by_source: bool) {
    batch.chain(chain);
    if let [(address, port)] = endpoints {
        let address = nft::value(Register(0), &address.octets());
        // Two bytes of a register's four.
        let port = nft::value(Register(1), &port.to_be_bytes());
        batch.rule(chain, [address, port, nft::destination_nat()]);
        return;
    }
    let count = u32::try_from(endpoints.len()).unwrap_or(u32::MAX);
    let pairs: Vec<_> = endpoints
        .iter()
        .enumerate()
        .map(|(index, (address, port))| (nft::index(index), nft::address_and_port(*address, *port)))
        .collect();
    batch.map(chain, &pairs);
    let mut expressions = if by_source {
        vec![load::source(Register(0)), load::hash(Register(0), count, Register(0))]
    } else {
        vec![load::random(count, Register(0))]
    };
    expressions.extend([nft::map(chain), nft::destination_nat()]);
    batch.rule(chain, expressions);
}

/// The policies of the pod at an address.
fn filter(batch: &mut Batch, cluster: &Cluster, address: Ipv4Addr) {
    for (way, chain, hook) in
        [(Direction::Ingress, "ingress", Hook::Input), (Direction::Egress, "egress", Hook::Output)]
    {
        let Some(allowed) = cluster.policies.allowed(address.into(), way) else { continue };
        batch.base_chain(chain, "filter", hook, FILTER + 10);
        let accept = || [nft::verdict(&Verdict::Accept)];
        const ESTABLISHED_OR_RELATED: u32 = 1 << 1 | 1 << 2;
        batch.rule(chain, connection(0, ESTABLISHED_OR_RELATED).into_iter().chain(accept()));
        let (interface, peer) = match way {
            Direction::Ingress => (load::interface_in(Register(0)), load::source as fn(Register) -> _),
            Direction::Egress => (load::interface_out(Register(0)), load::destination as fn(Register) -> _),
        };
        let own = [interface, nft::compare(Register(0), true, &nft::interface("lo"))];
        batch.rule(chain, own.into_iter().chain(accept()));
        // A node reaches its pods: probes, port-forward.
        if way == Direction::Ingress {
            for neighbour in cluster.neighbours {
                let node = [peer(Register(0)), nft::compare(Register(0), true, &neighbour.octets())];
                batch.rule(chain, node.into_iter().chain(accept()));
            }
        }
        for (index, rule) in allowed.iter().enumerate() {
            allow(batch, chain, index, rule, peer);
        }
        batch.rule(chain, [nft::verdict(&Verdict::Drop)]);
    }
}

fn allow(batch: &mut Batch, chain: &str, index: usize, rule: &Allowed, peer: fn(Register) -> nft::Expression) {
    let mut peers: Vec<Box<dyn Fn() -> Vec<nft::Expression>>> = Vec::new();
    match &rule.peers {
        None => peers.push(Box::new(Vec::new)),
        Some(known) => {
            let single = known.pods.iter().filter_map(|address| match address {
                IpAddr::V4(address) => Some(address.octets().to_vec()),
                IpAddr::V6(_) => None,
            });
            let single: Vec<_> = single.collect();
            if !single.is_empty() {
                let set = format!("{chain}-{index}");
                batch.set(&set, &single);
                peers.push(Box::new(move || vec![peer(Register(0)), nft::in_set(&set)]));
            }
            for range in &known.blocks {
                let (cidr, except) = (range.cidr, range.except.clone());
                peers.push(Box::new(move || {
                    let (IpAddr::V4(address), bits) = cidr else {
                        // No packet here has such an address.
                        return vec![nft::verdict(&Verdict::Drop)];
                    };
                    let mut all = Vec::from(block(peer(Register(0)), address, bits, true));
                    for (except, bits) in &except {
                        if let IpAddr::V4(except) = except {
                            all.extend(block(peer(Register(0)), *except, *bits, false));
                        }
                    }
                    all
                }));
            }
        }
    }
    for expressions in peers {
        if rule.ports.is_empty() {
            batch.rule(chain, expressions().into_iter().chain([nft::verdict(&Verdict::Accept)]));
        }
        for (protocol, first, last) in &rule.ports {
            let port = [
                load::protocol(Register(0)),
                nft::compare(Register(0), true, &[number_of(*protocol)]),
                load::port(Register(0)),
                nft::within(Register(0), &first.to_be_bytes(), &last.to_be_bytes()),
                nft::verdict(&Verdict::Accept),
            ];
            batch.rule(chain, expressions().into_iter().chain(port));
        }
    }
}

/// Goes on only where an address is in a range, or (`inside` false) is not.
fn block(address: nft::Expression, base: Ipv4Addr, bits: u8, inside: bool) -> [nft::Expression; 3] {
    let mask = u32::MAX.checked_shl(32_u32.saturating_sub(bits.into())).unwrap_or(0);
    let base = u32::from(base) & mask;
    [address, nft::mask(Register(0), mask.to_be_bytes()), nft::compare(Register(0), inside, &base.to_be_bytes())]
}

/// Goes on only where one of some bits is known of a connection.
fn connection(key: u32, bits: u32) -> [nft::Expression; 3] {
    [
        load::connection(key, Register(0)),
        nft::mask(Register(0), bits.to_ne_bytes()),
        nft::compare(Register(0), false, &[0; 4]),
    ]
}

/// The protocol's number in a packet.
fn number_of(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
        Protocol::Sctp => 132,
    }
}
