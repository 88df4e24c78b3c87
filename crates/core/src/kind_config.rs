//! kind's cluster configuration, `kind.x-k8s.io/v1alpha4` (upstream pkg/apis/config/v1alpha4).

use k8s_openapi::api::core::v1::Taint;
use serde_json::Value;

use crate::options::{CONTROL_PLANE, NodeOptions};

/// What a configuration says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KindConfig {
    /// The cluster's name.
    pub name: Option<String>,
    /// Its nodes, in the order in which they are numbered.
    pub nodes: Vec<NodePlan>,
    /// Where the API server listens; empty where nothing is said.
    pub api_server_address: String,
    /// At which port.
    pub api_server_port: Option<u16>,
    /// The range of pods' addresses; empty where nothing is said.
    pub pod_subnet: String,
    /// The range of Services' addresses; empty where nothing is said.
    pub service_subnet: String,
    /// `ipv4`, `ipv6` or `dual`; empty where nothing is said.
    pub ip_family: String,
}

/// A node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodePlan {
    /// Whether it holds the control plane.
    pub control_plane: bool,
    /// The image of its container.
    pub image: Option<String>,
    /// Its labels.
    pub labels: Vec<(String, String)>,
    /// Ports of the computer that lead to it.
    pub ports: Vec<PortMapping>,
    /// Paths of the computer that the node has too.
    pub mounts: Vec<ExtraMount>,
}

/// A path of the computer that a node has too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtraMount {
    /// The path on the computer.
    pub host: String,
    /// The path on the node: absolute.
    pub node: String,
    /// Whether nothing can be written there.
    pub read_only: bool,
}

/// A port of the computer that leads to a port of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortMapping {
    /// Port of the computer; 0 for a free one.
    pub host: u16,
    /// Port of the node.
    pub node: u16,
    /// Address of the computer.
    pub address: String,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
}

/// Whether a cluster may have that name.
///
/// # Errors
/// With kind's message.
pub fn check_name(name: &str) -> Result<(), String> {
    let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-');
    match !name.is_empty() && name.chars().all(valid) {
        true => Ok(()),
        false => Err(format!("'{name}' is not a valid cluster name, cluster names must match `^[a-z0-9.-]+$`")),
    }
}

impl KindConfig {
    /// Reads a configuration.
    ///
    /// # Errors
    /// With kind's message.
    pub fn parse(text: &str) -> Result<Self, String> {
        let value = machinery::yaml::from_str(text).map_err(|error| format!("unable to decode config: {error}"))?;
        let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
        let (kind, version) = (text(&value, "kind"), text(&value, "apiVersion"));
        if kind != "Cluster" || version != "kind.x-k8s.io/v1alpha4" {
            return Err(format!("unable to decode config: unknown apiVersion: {version}, kind: {kind}"));
        }
        const KNOWN: [&str; 9] = [
            "kind",
            "apiVersion",
            "name",
            "nodes",
            "networking",
            "featureGates",
            "runtimeConfig",
            "kubeadmConfigPatches",
            "containerdConfigPatches",
        ];
        let fields = value.as_object().into_iter().flatten().map(|(key, _)| key.as_str());
        if let Some(unknown) = fields.into_iter().find(|key| !KNOWN.contains(key)) {
            return Err(format!(
                "unable to decode config: yaml: unmarshal errors:\n  field {unknown} not found in type v1alpha4.Cluster"
            ));
        }
        let port = |value: &Value| value.as_u64().and_then(|port| u16::try_from(port).ok());
        let networking = &value["networking"];
        let mut config = Self {
            name: value["name"].as_str().map(str::to_owned),
            api_server_address: text(networking, "apiServerAddress"),
            api_server_port: port(&networking["apiServerPort"]),
            pod_subnet: text(networking, "podSubnet"),
            service_subnet: text(networking, "serviceSubnet"),
            ip_family: text(networking, "ipFamily"),
            ..Self::default()
        };
        for node in value["nodes"].as_array().into_iter().flatten() {
            let role = text(node, "role");
            let control_plane = match role.as_str() {
                "" | "control-plane" => true,
                "worker" => false,
                _ => return Err(format!("invalid configuration: {role:?} is not a valid node role")),
            };
            let labels = node["labels"].as_object().into_iter().flatten();
            let mut ports = Vec::new();
            for mapping in node["extraPortMappings"].as_array().into_iter().flatten() {
                let node = port(&mapping["containerPort"]).filter(|port| *port > 0);
                let node = node.ok_or("invalid configuration: invalid portMapping: invalid containerPort")?;
                ports.push(PortMapping {
                    host: port(&mapping["hostPort"]).unwrap_or(0),
                    node,
                    address: match text(mapping, "listenAddress") {
                        address if address.is_empty() => "0.0.0.0".to_owned(),
                        address => address,
                    },
                    protocol: match text(mapping, "protocol").to_lowercase() {
                        protocol if protocol.is_empty() => "tcp".to_owned(),
                        protocol => protocol,
                    },
                });
            }
            let mut mounts = Vec::new();
            for mount in node["extraMounts"].as_array().into_iter().flatten() {
                let (host, node) = (text(mount, "hostPath"), text(mount, "containerPath"));
                if host.is_empty() || !node.starts_with('/') {
                    return Err(
                        "invalid configuration: extraMounts need a hostPath and an absolute containerPath".into()
                    );
                }
                mounts.push(ExtraMount { host, node, read_only: mount["readOnly"].as_bool().unwrap_or_default() });
            }
            let label = |(key, value): (&String, &Value)| (key.clone(), value.as_str().unwrap_or_default().to_owned());
            config.nodes.push(NodePlan {
                control_plane,
                image: node["image"].as_str().map(str::to_owned),
                labels: labels.map(label).collect(),
                ports,
                mounts,
            });
        }
        Ok(config)
    }

    /// Makes sure that there is a node with the control plane: where no node is named, it is the only one.
    ///
    /// # Errors
    /// When nodes are named, and none has the control plane.
    pub fn complete(&mut self) -> Result<(), String> {
        if self.nodes.is_empty() {
            self.nodes.push(NodePlan { control_plane: true, ..NodePlan::default() });
        }
        match self.nodes.iter().any(|node| node.control_plane) {
            true => Ok(()),
            false => Err("must have at least one control-plane node".into()),
        }
    }

    /// The nodes as the cluster knows them, named as kind names them: `NAME-control-plane`, `NAME-worker`,
    /// `NAME-worker2`, … Where there are workers, the control plane's nodes take no workload.
    pub fn node_options(&self, name: &str, mut next_index: impl FnMut() -> u16) -> Vec<NodeOptions> {
        let tainted = self.nodes.iter().any(|node| !node.control_plane);
        let (mut planes, mut workers) = (0, 0);
        let mut nodes = Vec::new();
        for plan in &self.nodes {
            let (role, count) =
                if plan.control_plane { ("control-plane", &mut planes) } else { ("worker", &mut workers) };
            *count += 1;
            let number = if *count > 1 { count.to_string() } else { String::new() };
            let mut node = NodeOptions::worker(format!("{name}-{role}{number}"), next_index());
            node.labels.extend(plan.labels.iter().cloned());
            if plan.control_plane {
                node.labels.insert(CONTROL_PLANE.into(), String::new());
                if tainted {
                    let (key, effect) = (CONTROL_PLANE.into(), "NoSchedule".into());
                    node.taints.push(Taint { key, effect, ..Taint::default() });
                }
            }
            nodes.push(node);
        }
        nodes
    }
}
