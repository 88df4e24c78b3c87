//! Addresses and node ports of Services: given, kept, and given back.
//!
//! The store is the truth; what is held here is an index of it, made at the start and kept up with
//! every write of a Service.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::{Service, ServiceSpec};
use k8s_openapi::api::networking::v1::{IPAddress, IPAddressSpec, ParentReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use machinery::field::{Error, ErrorList, Path};
use machinery::{Object, Rng};
use store::Op;

use crate::call::{Call, Result};
use crate::options::Options;
use crate::registry;
use crate::registry::core::service::{
    EXTERNAL_NAME, HEADLESS, needs_cluster_ip, needs_health_check_node_port, needs_node_port, service_type,
};
use crate::server::ApiServer;
use crate::storage;

/// What is given out, and to whom: the Service's key.
pub(crate) struct ServiceAllocation {
    cidr: String,
    first: u32,
    last: u32,
    node_ports: (u16, u16),
    ips: BTreeMap<Ipv4Addr, String>,
    /// By number and protocol: one number serves one Service, for each protocol.
    ports: BTreeMap<(i32, String), String>,
}

/// What was taken for a write that is not yet done.
#[must_use = "what was reserved is kept or released"]
pub(crate) struct Reserved {
    ips: Vec<Ipv4Addr>,
    ports: Vec<(i32, String)>,
    /// What the write makes free.
    freed: Option<(Freed, ApiServer)>,
}

#[derive(Default)]
struct Freed {
    key: String,
    ips: Vec<Ipv4Addr>,
    ports: Vec<(i32, String)>,
}

impl ServiceAllocation {
    /// The index of a store's Services.
    ///
    /// # Errors
    /// When the CIDR is not an IPv4 block.
    pub(crate) fn new(options: &Options) -> std::result::Result<Self, String> {
        let (first, last) = block(&options.service_cidr)
            .ok_or_else(|| format!("the service CIDR {:?} is not an IPv4 block", options.service_cidr))?;
        let mut allocation = Self {
            cidr: options.service_cidr.clone(),
            first,
            last,
            node_ports: options.node_ports,
            ips: BTreeMap::new(),
            ports: BTreeMap::new(),
        };
        if let Some(row) = registry::by_resource("", "v1", "services") {
            for kv in options.store.snapshot().range(&storage::prefix(row, ""), "") {
                let Ok(object) = storage::typed(row, &storage::stored(kv)) else { continue };
                let Some(spec) = spec_of(&*object) else { continue };
                allocation.ips.extend(ips_of(spec).into_iter().map(|ip| (ip, kv.key.to_string())));
                allocation.ports.extend(ports_of(spec).into_iter().map(|port| (port, kv.key.to_string())));
            }
        }
        Ok(allocation)
    }

    fn contains(&self, ip: Ipv4Addr) -> bool {
        (self.first..=self.last).contains(&ip.to_bits())
    }

    /// A free address at random. As upstream, the first part of the block is left to those who choose
    /// their address themselves.
    fn free_ip(&self, rng: &mut Rng) -> Option<Ipv4Addr> {
        let size = self.last - self.first + 1;
        let reserved = (size / 16).clamp(16, 256);
        let start = self.first + if size > 2 * reserved { reserved } else { 0 };
        let offset = u32::try_from(rng.below(u64::from(self.last - start + 1))).unwrap_or_default();
        (start + offset..=self.last)
            .chain(self.first..start + offset)
            .map(Ipv4Addr::from_bits)
            .find(|ip| !self.ips.contains_key(ip))
    }

    fn free_port(&self, protocol: &str, rng: &mut Rng) -> Option<i32> {
        let (first, last) = (i32::from(self.node_ports.0), i32::from(self.node_ports.1));
        let size = last - first + 1;
        let reserved = (size / 32).clamp(0, 128);
        let start = first + if size > 2 * reserved { reserved } else { 0 };
        let offset = i32::try_from(rng.below((last - start + 1).unsigned_abs().into())).unwrap_or_default();
        (start + offset..=last)
            .chain(first..start + offset)
            .find(|port| !self.ports.contains_key(&(*port, protocol.to_owned())))
    }
}

/// Gives a Service what it lacks, and takes what it names; for anything else there is nothing to do.
///
/// # Errors
/// 422 for what is taken already or out of range, 500 when nothing is free.
pub(crate) fn reserve(call: &Call, object: &mut dyn Object, old: Option<&dyn Object>) -> Result<Reserved> {
    let mut reserved = Reserved { ips: Vec::new(), ports: Vec::new(), freed: None };
    let metadata = object.metadata();
    let name = metadata.name.clone().unwrap_or_default();
    let key = storage::key(call.row, metadata.namespace.as_deref().unwrap_or_default(), &name);
    let Some(service) = object.as_any_mut().downcast_mut::<Service>() else { return Ok(reserved) };
    if old.is_some() && !call.info.subresource.is_empty() {
        return Ok(reserved);
    }
    let spec = service.spec.get_or_insert_default();
    let mut rng = call.server.rng();
    let mut allocation = call.server.services();
    let mut errors = ErrorList::new();
    reserve_ip(&mut allocation, &mut rng, spec, &key, &mut reserved, &mut errors);
    reserve_ports(&mut allocation, &mut rng, spec, &key, &mut reserved, &mut errors);
    drop((rng, allocation));
    if !errors.is_empty() {
        reserved.release(call);
        call.check(&name, errors)?;
        return Ok(Reserved { ips: Vec::new(), ports: Vec::new(), freed: None });
    }
    if let Some(old) = old.and_then(spec_of) {
        let (ips, ports) = (ips_of(spec), ports_of(spec));
        let freed = Freed {
            key,
            ips: ips_of(old).into_iter().filter(|ip| !ips.contains(ip)).collect(),
            ports: ports_of(old).into_iter().filter(|port| !ports.contains(port)).collect(),
        };
        reserved.freed = Some((freed, call.server.clone()));
    }
    Ok(reserved)
}

fn reserve_ip(
    allocation: &mut ServiceAllocation,
    rng: &mut Rng,
    spec: &mut ServiceSpec,
    key: &str,
    reserved: &mut Reserved,
    errors: &mut ErrorList,
) {
    let wanted = spec.cluster_ip.clone().unwrap_or_default();
    if !needs_cluster_ip(spec) || wanted == HEADLESS {
        return;
    }
    let path = Path::new("spec.clusterIPs");
    let shown = serde_json::json!(spec.cluster_ips.clone().unwrap_or_else(|| vec![wanted.clone()]));
    if wanted.is_empty() {
        match allocation.free_ip(rng) {
            Some(ip) => {
                allocation.ips.insert(ip, key.to_owned());
                reserved.ips.push(ip);
                spec.cluster_ip = Some(ip.to_string());
                spec.cluster_ips = Some(vec![ip.to_string()]);
            }
            None => errors.push(Error::internal(&path, "failed to allocate a serviceIP: range is full")),
        }
        return;
    }
    let Ok(ip) = wanted.parse::<Ipv4Addr>() else { return };
    if !allocation.contains(ip) {
        let error = format!(
            "failed to allocate IP {ip}: the provided IP ({ip}) is not in the valid range. The range of valid IPs is {}",
            allocation.cidr
        );
        errors.push(Error::invalid(&path, shown, error));
        return;
    }
    match allocation.ips.get(&ip) {
        Some(owner) if owner != key => {
            let error = format!("failed to allocate IP {ip}: provided IP is already allocated");
            errors.push(Error::invalid(&path, shown, error));
        }
        Some(_) => {}
        None => {
            allocation.ips.insert(ip, key.to_owned());
            reserved.ips.push(ip);
        }
    }
}

fn reserve_ports(
    allocation: &mut ServiceAllocation,
    rng: &mut Rng,
    spec: &mut ServiceSpec,
    key: &str,
    reserved: &mut Reserved,
    errors: &mut ErrorList,
) {
    if needs_health_check_node_port(spec) {
        let path = Path::new("spec.healthCheckNodePort");
        let wanted = spec.health_check_node_port;
        spec.health_check_node_port = reserve_port(allocation, rng, wanted, "TCP", key, &path, reserved, errors);
    }
    if !needs_node_port(spec) {
        return;
    }
    for (index, port) in spec.ports.iter_mut().flatten().enumerate() {
        let protocol = port.protocol.clone().unwrap_or_else(|| "TCP".into());
        let ports = Path::new("spec.ports");
        let item = ports.index(index);
        let path = item.child("nodePort");
        port.node_port = reserve_port(allocation, rng, port.node_port, &protocol, key, &path, reserved, errors);
    }
}

#[allow(clippy::too_many_arguments, reason = "what is taken, for whom, and where to say what went wrong")]
fn reserve_port(
    allocation: &mut ServiceAllocation,
    rng: &mut Rng,
    wanted: Option<i32>,
    protocol: &str,
    key: &str,
    path: &Path<'_>,
    reserved: &mut Reserved,
    errors: &mut ErrorList,
) -> Option<i32> {
    let Some(port) = wanted.filter(|port| *port != 0) else {
        let Some(port) = allocation.free_port(protocol, rng) else {
            errors.push(Error::internal(path, "failed to allocate a nodePort: range is full"));
            return None;
        };
        allocation.ports.insert((port, protocol.to_owned()), key.to_owned());
        reserved.ports.push((port, protocol.to_owned()));
        return Some(port);
    };
    let (first, last) = allocation.node_ports;
    if !(i32::from(first)..=i32::from(last)).contains(&port) {
        let error = format!("provided port is not in the valid range. The range of valid ports is {first}-{last}");
        errors.push(Error::invalid(path, port, error));
        return Some(port);
    }
    let slot = (port, protocol.to_owned());
    // A number that another Service has under another protocol is taken too, as upstream has one
    // allocator for all protocols.
    let others = |((taken, _), owner): (&(i32, String), &String)| *taken == port && owner != key;
    if allocation.ports.range((port, String::new())..=(port, "~".into())).any(others) {
        errors.push(Error::invalid(path, port, "provided port is already allocated"));
    } else if allocation.ports.insert(slot.clone(), key.to_owned()).is_none() {
        reserved.ports.push(slot);
    }
    Some(port)
}

/// What writing or deleting (`None`) a Service does to the IPAddresses of its addresses; nothing for
/// anything else (`ipallocator`).
pub(crate) fn address_ops(call: &Call, key: &str, new: Option<&dyn Object>) -> Vec<Op> {
    if (call.row.group, call.row.resource) != ("", "services") {
        return Vec::new();
    }
    let Some(row) = registry::by_resource("networking.k8s.io", "v1", "ipaddresses") else { return Vec::new() };
    let old = call.server.store().get(key).and_then(|kv| storage::typed(call.row, &storage::stored(&kv)).ok());
    let ips = |object: Option<&dyn Object>| object.and_then(spec_of).map(ips_of).unwrap_or_default();
    let (before, after) = (ips(old.as_deref()), ips(new));
    let at = |ip: &Ipv4Addr| storage::key(row, "", &ip.to_string());
    let gone = before.iter().filter(|ip| !after.contains(ip)).map(|ip| Op::delete(at(ip)));
    let come = after.iter().filter(|ip| !before.contains(ip)).filter_map(|ip| {
        let metadata = new?.metadata();
        let mut address = ip_address(*ip, metadata.namespace.clone(), metadata.name.clone());
        address.metadata.uid = Some(call.server.rng().uuid());
        address.metadata.creation_timestamp = Some(machinery::time::meta_time(call.now));
        Some(Op::put(at(ip), storage::plain(&mut address)))
    });
    gone.chain(come).collect()
}

/// The IPAddress of a Service.
fn ip_address(ip: Ipv4Addr, namespace: Option<String>, name: Option<String>) -> IPAddress {
    let labels =
        [("ipaddress.kubernetes.io/ip-family", "IPv4"), ("ipaddress.kubernetes.io/managed-by", "ipallocator.k8s.io")];
    let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
    IPAddress {
        metadata: ObjectMeta {
            name: Some(ip.to_string()),
            labels: Some(BTreeMap::from(labels)),
            ..ObjectMeta::default()
        },
        spec: IPAddressSpec {
            parent_ref: ParentReference {
                group: None,
                resource: "services".into(),
                namespace,
                name: name.unwrap_or_default(),
            },
        },
    }
}

/// Gives back what a deleted Service had.
pub(crate) fn free(call: &Call, object: &dyn Object) {
    let Some(spec) = spec_of(object) else { return };
    let metadata = object.metadata();
    let key = storage::key(
        call.row,
        metadata.namespace.as_deref().unwrap_or_default(),
        metadata.name.as_deref().unwrap_or_default(),
    );
    let freed = Freed { key, ips: ips_of(spec), ports: ports_of(spec) };
    freed.give_back(&mut call.server.services());
}

impl Freed {
    /// Only the owner's: a Service of the same name may have come meanwhile with another address.
    fn give_back(self, allocation: &mut ServiceAllocation) {
        for ip in self.ips {
            if allocation.ips.get(&ip) == Some(&self.key) {
                allocation.ips.remove(&ip);
            }
        }
        for port in self.ports {
            if allocation.ports.get(&port) == Some(&self.key) {
                allocation.ports.remove(&port);
            }
        }
    }
}

impl Reserved {
    /// The write is done.
    pub(crate) fn keep(self) {
        if let Some((freed, server)) = self.freed {
            freed.give_back(&mut server.services());
        }
    }

    /// The write did not happen.
    pub(crate) fn release(self, call: &Call) {
        let mut allocation = call.server.services();
        for ip in self.ips {
            allocation.ips.remove(&ip);
        }
        for port in self.ports {
            allocation.ports.remove(&port);
        }
    }
}

fn spec_of(object: &dyn Object) -> Option<&ServiceSpec> {
    object.as_any().downcast_ref::<Service>()?.spec.as_ref()
}

fn ips_of(spec: &ServiceSpec) -> Vec<Ipv4Addr> {
    if service_type(spec) == EXTERNAL_NAME {
        return Vec::new();
    }
    spec.cluster_ip.iter().filter_map(|ip| ip.parse().ok()).collect()
}

fn ports_of(spec: &ServiceSpec) -> Vec<(i32, String)> {
    let protocol = |protocol: &Option<String>| protocol.clone().unwrap_or_else(|| "TCP".into());
    let ports = spec.ports.iter().flatten();
    let ports = ports.filter_map(|port| Some((port.node_port?, protocol(&port.protocol))));
    let health = spec.health_check_node_port.map(|port| (port, "TCP".to_owned()));
    ports.chain(health).filter(|(port, _)| *port != 0).collect()
}

/// First and last usable address of a block such as `10.96.0.0/16`.
fn block(cidr: &str) -> Option<(u32, u32)> {
    let (address, bits) = cidr.split_once('/')?;
    let (address, bits) = (address.parse::<Ipv4Addr>().ok()?.to_bits(), bits.parse::<u32>().ok()?);
    let size = 1u32.checked_shl(32_u32.checked_sub(bits)?)?;
    let first = address & !(size - 1);
    (size >= 4).then_some((first + 1, first + (size - 2)))
}

/// The first address of the block: the Service `kubernetes` has it.
pub(crate) fn first_address(cidr: &str) -> Option<Ipv4Addr> {
    block(cidr).map(|(first, _)| Ipv4Addr::from_bits(first))
}
