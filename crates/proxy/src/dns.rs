//! Cluster DNS: what a name in the cluster's domain means, after the Kubernetes DNS specification and
//! CoreDNS' `kubernetes` plugin.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use k8s_openapi::api::core::v1::Service;
use machinery::ObjectKey;
use machinery::sort::Order;

use crate::rule::Rule;
use crate::tables::Tables;

/// The domain of a cluster unless it was given another.
pub const CLUSTER_DOMAIN: &str = "cluster.local";
/// How long an answer may be kept, in seconds: CoreDNS' default for the cluster's names.
pub const TTL_SECONDS: u32 = 30;

/// The weight of a record that is alone.
const WEIGHT: u16 = 100;

/// What a query asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordType {
    /// IPv4 address.
    A,
    /// IPv6 address.
    Aaaa,
    /// Host and port.
    Srv,
    /// Name of an address.
    Ptr,
}

/// One record of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The name the record is about, without the last dot.
    pub name: String,
    /// What it says.
    pub data: RecordData,
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordData {
    /// An address: A or AAAA by its family.
    Address(IpAddr),
    /// Another name to ask for.
    Cname(String),
    /// A host and port.
    Srv {
        /// Its share of the connections, of a hundred.
        weight: u16,
        /// The port.
        port: u16,
        /// The host's name.
        target: String,
    },
    /// The name of an address.
    Ptr(String),
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The name exists; of the type asked for there may be no record.
    Records(Vec<Record>),
    /// The name does not exist.
    NxDomain,
    /// The name is outside the cluster's domain: ask upstream.
    NotOurs,
    /// The name server cannot be reached.
    NoAnswer,
}

impl Answer {
    /// The addresses in the answer.
    pub fn addresses(&self) -> Vec<IpAddr> {
        let Self::Records(records) = self else { return Vec::new() };
        records
            .iter()
            .filter_map(|record| match record.data {
                RecordData::Address(address) => Some(address),
                _ => None,
            })
            .collect()
    }
}

impl fmt::Display for RecordData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "{address}"),
            Self::Cname(name) | Self::Ptr(name) => write!(f, "{name}."),
            Self::Srv { weight, port, target } => write!(f, "0 {weight} {port} {target}."),
        }
    }
}

/// Answers a query for an absolute name (with or without the last dot) in the given cluster domain.
pub fn answer(tables: &Tables, domain: &str, name: &str, kind: RecordType) -> Answer {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    if kind == RecordType::Ptr {
        return reverse(tables, domain, &name);
    }
    let Some(inside) = name.strip_suffix(domain).and_then(|rest| rest.strip_suffix('.')) else {
        return if name == domain { Answer::Records(Vec::new()) } else { Answer::NotOurs };
    };
    let labels: Vec<&str> = inside.split('.').collect();
    match labels.as_slice() {
        ["dns-version"] | ["svc"] | ["pod"] => Answer::Records(Vec::new()),
        [dashed, _namespace, "pod"] => pod(&name, dashed, kind),
        [service, namespace, "svc"] => with_service(tables, namespace, service, |key, object| {
            Query { tables, domain, name: &name, key, kind }.service(object)
        }),
        [port, protocol, service, namespace, "svc"] if port.starts_with('_') && protocol.starts_with('_') => {
            with_service(tables, namespace, service, |key, object| {
                Query { tables, domain, name: &name, key, kind }.srv(object, &port[1..], &protocol[1..])
            })
        }
        [host, service, namespace, "svc"] => with_service(tables, namespace, service, |key, object| {
            Query { tables, domain, name: &name, key, kind }.endpoint(object, host)
        }),
        _ => Answer::NxDomain,
    }
}

struct Query<'a> {
    tables: &'a Tables,
    domain: &'a str,
    name: &'a str,
    key: &'a ObjectKey,
    kind: RecordType,
}

impl Query<'_> {
    fn service(&self, service: &Service) -> Answer {
        let spec = service.spec.clone().unwrap_or_default();
        if spec.type_.as_deref() == Some("ExternalName") {
            let target = spec.external_name.unwrap_or_default();
            return self.records([RecordData::Cname(target.trim_end_matches('.').to_owned())]);
        }
        if is_headless(service) {
            if self.kind == RecordType::Srv {
                return self.records(self.rules().iter().flat_map(|rule| self.headless_srv(service, rule)));
            }
            // A headless Service without an endpoint does not exist for CoreDNS.
            let addresses = self.published(service);
            if addresses.is_empty() {
                return Answer::NxDomain;
            }
            return self.records(addresses.into_iter().map(|(address, _)| RecordData::Address(address)));
        }
        if self.kind == RecordType::Srv {
            return self.records(self.rules().iter().map(|rule| self.cluster_srv(rule)));
        }
        let cluster = spec.cluster_ips.unwrap_or_else(|| spec.cluster_ip.into_iter().collect());
        self.records(cluster.iter().filter_map(|address| address.parse().ok()).map(RecordData::Address))
    }

    fn srv(&self, service: &Service, port: &str, protocol: &str) -> Answer {
        let matching: Vec<&Rule> =
            self.rules().iter().filter(|rule| rule.port_name == port && rule.protocol.as_label() == protocol).collect();
        if matching.is_empty() {
            return Answer::NxDomain;
        }
        if self.kind != RecordType::Srv {
            return self.records([]);
        }
        if is_headless(service) {
            return self.records(matching.into_iter().flat_map(|rule| self.headless_srv(service, rule)));
        }
        self.records(matching.into_iter().map(|rule| self.cluster_srv(rule)))
    }

    fn endpoint(&self, service: &Service, host: &str) -> Answer {
        let addresses: Vec<_> = self.published(service).into_iter().filter(|(_, name)| name == host).collect();
        if addresses.is_empty() {
            return Answer::NxDomain;
        }
        self.records(addresses.into_iter().map(|(address, _)| RecordData::Address(address)))
    }

    fn rules(&self) -> &[Rule] {
        self.tables.rules(self.key)
    }

    /// The service's name in the cluster's domain.
    fn service_name(&self) -> String {
        format!("{}.{}.svc.{}", self.key.name, self.key.namespace, self.domain)
    }

    fn cluster_srv(&self, rule: &Rule) -> RecordData {
        RecordData::Srv { weight: WEIGHT, port: rule.port, target: self.service_name() }
    }

    fn headless_srv(&self, service: &Service, rule: &Rule) -> Vec<RecordData> {
        let published = publishes_unready(service);
        let endpoints = rule.endpoints.iter().filter(|endpoint| endpoint.ready || published);
        endpoints
            .map(|endpoint| {
                let host = host_label(endpoint.hostname.as_deref(), endpoint.address);
                let target = format!("{host}.{}", self.service_name());
                RecordData::Srv { weight: WEIGHT, port: endpoint.port, target }
            })
            .collect()
    }

    /// Addresses and host names of the endpoints, straight from the slices: a headless Service may have
    /// no port at all.
    fn published(&self, service: &Service) -> Vec<(IpAddr, String)> {
        let unready = publishes_unready(service);
        let mut found = Vec::new();
        for endpoint in self.tables.slices(self.key).flat_map(|slice| slice.endpoints.iter().flatten()) {
            let ready = endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true);
            if !ready && !unready {
                continue;
            }
            for address in endpoint.addresses.iter().filter_map(|address| address.parse().ok()) {
                found.push((address, host_label(endpoint.hostname.as_deref(), address)));
            }
        }
        found.order();
        found.dedup();
        found
    }

    fn records(&self, data: impl IntoIterator<Item = RecordData>) -> Answer {
        let fits = |data: &RecordData| match data {
            RecordData::Address(IpAddr::V4(_)) => self.kind == RecordType::A,
            RecordData::Address(IpAddr::V6(_)) => self.kind == RecordType::Aaaa,
            _ => true,
        };
        let records = data.into_iter().filter(fits).map(|data| Record { name: self.name.to_owned(), data });
        let mut records: Vec<Record> = records.collect();
        // Those of one answer share the hundred, as CoreDNS has it.
        let share = u16::try_from(usize::from(WEIGHT) / records.len().max(1)).unwrap_or(0);
        for record in &mut records {
            if let RecordData::Srv { weight, .. } = &mut record.data {
                *weight = share;
            }
        }
        Answer::Records(records)
    }
}

fn with_service(
    tables: &Tables,
    namespace: &str,
    name: &str,
    found: impl FnOnce(&ObjectKey, &Service) -> Answer,
) -> Answer {
    let key = ObjectKey::new(namespace, name);
    tables.service(&key).map_or(Answer::NxDomain, |service| found(&key, service))
}

/// `10-1-2-3.ns.pod.cluster.local`, answered for any address (CoreDNS' `pods insecure`).
fn pod(name: &str, dashed: &str, kind: RecordType) -> Answer {
    let Ok(address) = dashed.replace('-', ".").parse::<Ipv4Addr>() else { return Answer::NxDomain };
    let records = (kind == RecordType::A)
        .then(|| Record { name: name.to_owned(), data: RecordData::Address(address.into()) })
        .into_iter()
        .collect();
    Answer::Records(records)
}

fn reverse(tables: &Tables, domain: &str, name: &str) -> Answer {
    let Some(quad) = name.strip_suffix(".in-addr.arpa") else { return Answer::NotOurs };
    let forward: Vec<&str> = quad.split('.').rev().collect();
    let Ok(address) = forward.join(".").parse::<IpAddr>() else { return Answer::NxDomain };
    let record = |host: String| Record { name: name.to_owned(), data: RecordData::Ptr(format!("{host}.svc.{domain}")) };
    if let Some(key) = tables.owners(address).next() {
        return Answer::Records(vec![record(format!("{}.{}", key.name, key.namespace))]);
    }
    // Endpoints that have a host name, as those of a StatefulSet.
    let hosts = tables.named(address).into_iter();
    let records: Vec<Record> =
        hosts.map(|(key, host)| record(format!("{host}.{}.{}", key.name, key.namespace))).collect();
    if records.is_empty() { Answer::NxDomain } else { Answer::Records(records) }
}

fn is_headless(service: &Service) -> bool {
    service.spec.as_ref().and_then(|spec| spec.cluster_ip.as_deref()) == Some("None")
}

fn publishes_unready(service: &Service) -> bool {
    service.spec.as_ref().and_then(|spec| spec.publish_not_ready_addresses).unwrap_or(false)
}

fn host_label(hostname: Option<&str>, address: IpAddr) -> String {
    hostname.map_or_else(|| address.to_string().replace(['.', ':'], "-"), str::to_owned)
}
