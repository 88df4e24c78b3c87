//! What a node is, told to its kubelet.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{NodeAddress, NodeSystemInfo, Taint};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::qos;

/// What a node is, told to its kubelet.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// The node's name.
    pub name: String,
    /// Labels the kubelet registers with, beside those every node has.
    pub labels: BTreeMap<String, String>,
    /// Taints the kubelet registers with.
    pub taints: Vec<Taint>,
    /// Resources of the node.
    pub capacity: BTreeMap<String, Quantity>,
    /// Resources for pods; the capacity, if empty.
    pub allocatable: BTreeMap<String, Quantity>,
    /// Addresses, such as `InternalIP` and `Hostname`.
    pub addresses: Vec<NodeAddress>,
    /// The range of its pods' addresses, if the host chooses it; else it comes from the Node's spec.
    pub pod_cidr: Option<String>,
    /// Kernel, operating system, versions; the runtime's version is filled in.
    pub system: NodeSystemInfo,
    /// The cluster DNS's address, for `resolv.conf`; empty for the runtime's own.
    pub cluster_dns: Vec<String>,
    /// The cluster's domain.
    pub cluster_domain: String,
}

impl NodeConfig {
    /// A Linux node with the given name, address, and 4 CPUs, 8 GiB and 110 pods.
    pub fn new(name: impl Into<String>, internal_ip: impl Into<String>) -> Self {
        let name = name.into();
        let quantity = |(resource, amount): (&str, &str)| (resource.to_string(), Quantity(amount.into()));
        let address = |type_: &str, address: String| NodeAddress { type_: type_.into(), address };
        Self {
            labels: BTreeMap::new(),
            taints: Vec::new(),
            capacity: [("cpu", "4"), ("memory", "8Gi"), ("ephemeral-storage", "100Gi"), ("pods", "110")]
                .map(quantity)
                .into(),
            allocatable: BTreeMap::new(),
            addresses: vec![address("InternalIP", internal_ip.into()), address("Hostname", name.clone())],
            pod_cidr: None,
            system: NodeSystemInfo {
                architecture: "amd64".into(),
                kernel_version: "6.12.0".into(),
                kubelet_version: crate::VERSION.into(),
                operating_system: "linux".into(),
                os_image: "playground".into(),
                ..NodeSystemInfo::default()
            },
            cluster_dns: Vec::new(),
            cluster_domain: "cluster.local".into(),
            name,
        }
    }

    /// Sets huge pages aside: of each size (`2Mi`, in bytes) so many. They are no memory for anything else.
    pub fn set_huge_pages(&mut self, pages: &[(&str, u64, u64)]) {
        let mut taken: u64 = 0;
        for (size, bytes, count) in pages {
            let all = bytes.saturating_mul(*count);
            taken = taken.saturating_add(all);
            let amount = if all == 0 { "0".into() } else { format!("{}Mi", all >> 20) };
            self.capacity.insert(format!("hugepages-{size}"), Quantity(amount));
        }
        if taken > 0 {
            let left = self.memory_bytes().saturating_sub(taken);
            self.allocatable = self.capacity.clone();
            self.allocatable.insert("memory".into(), Quantity(format!("{}Ki", left >> 10)));
        }
    }

    /// Resources for pods.
    pub fn allocatable(&self) -> &BTreeMap<String, Quantity> {
        if self.allocatable.is_empty() { &self.capacity } else { &self.allocatable }
    }

    /// The node's addresses inside the cluster.
    pub fn internal_ips(&self) -> Vec<String> {
        self.addresses
            .iter()
            .filter(|address| address.type_ == "InternalIP")
            .map(|address| address.address.clone())
            .collect()
    }

    /// Memory of the node, in bytes.
    pub fn memory_bytes(&self) -> u64 {
        let memory = self.capacity.get("memory").map(|quantity| qos::amount(quantity, "memory"));
        memory.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or_default()
    }
}
