//! What a cluster is made up of: from what was said of it to its nodes.

use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::Taint;
use playground_core::kind_config::{ExtraMount, KindConfig, NodePlan, PortMapping};
use playground_core::{NodeOptions, ServiceRange};

use crate::cli::Shape;
use crate::home::{Home, Settings};

/// What KWOK's documents give its nodes, so that pods come to them only on purpose.
const KWOK_LABEL: (&str, &str) = ("type", "kwok");
const KWOK_TAINT: (&str, &str) = ("kwok.x-k8s.io/node", "fake");
/// Second byte of the first range of pods on simulated nodes beside Docker's: below those of [`crate::docker`].
const SIMULATED_RANGE: u16 = 128;

/// What was said before, and what is said now, which counts.
///
/// # Errors
/// When a file cannot be read, or is no configuration.
pub fn settings(home: &Home, said: &Shape, listen: Option<SocketAddr>) -> Result<Settings> {
    let before = home.settings()?;
    let config = said.config.as_deref().map(read_config).transpose()?;
    // Nodes by number and by description exclude each other.
    let (nodes, config) = match (said.nodes, config) {
        (None, None) => (before.nodes, before.config),
        said => said,
    };
    let config_folder = match said.config {
        Some(_) => std::env::current_dir().ok(),
        None => before.config_folder,
    };
    let settings = Settings {
        name: Some(home.name.clone()),
        runtime: said.runtime.or(before.runtime),
        listen: listen.or(before.listen),
        nodes,
        sim_nodes: said.sim_nodes.or(before.sim_nodes),
        config,
        config_folder,
    };
    // Whatever is wrong with it is told before anything is made.
    check(&plan(&settings, 1)?)?;
    Ok(settings)
}

/// The text of kind's configuration, from a file or (`-`) from standard input.
///
/// # Errors
/// When it cannot be read.
pub fn read_config(path: &Path) -> Result<String> {
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("error reading standard input")?;
        return Ok(text);
    }
    std::fs::read_to_string(path).with_context(|| format!("error reading file: open {}", path.display()))
}

/// The nodes that were asked for, or so many.
///
/// # Errors
/// When the configuration is none.
pub fn plan(settings: &Settings, count: u16) -> Result<KindConfig> {
    let mut plan = match &settings.config {
        Some(text) => KindConfig::parse(text).map_err(anyhow::Error::msg)?,
        None => {
            let node = |index| NodePlan { control_plane: index == 0, ..NodePlan::default() };
            KindConfig { nodes: (0..settings.nodes.unwrap_or(count)).map(node).collect(), ..KindConfig::default() }
        }
    };
    plan.complete().map_err(anyhow::Error::msg)?;
    let folder = settings.config_folder.clone().unwrap_or_default();
    for mount in plan.nodes.iter_mut().flat_map(|node| &mut node.mounts) {
        let path = folder.join(&mount.host);
        mount.host = path.to_str().map(str::to_owned).context("extraMounts: a hostPath is not UTF-8")?;
    }
    Ok(plan)
}

/// The plan's nodes.
pub fn nodes(plan: &KindConfig, cluster: &str) -> Vec<NodeOptions> {
    let mut indices = 0..;
    plan.node_options(cluster, || indices.next().unwrap_or(u16::MAX))
}

/// Finds out what cannot be made as it is described.
///
/// # Errors
/// With what is wrong.
pub fn check(plan: &KindConfig) -> Result<()> {
    if !matches!(plan.ip_family.as_str(), "" | "ipv4") {
        bail!("networking.ipFamily {:?} cannot be had: addresses are IPv4's", plan.ip_family);
    }
    pod_range(plan)?;
    service_range(plan)?;
    Ok(())
}

/// The range of Services' addresses.
///
/// # Errors
/// When it is no range that can be used.
pub fn service_range(plan: &KindConfig) -> Result<ServiceRange> {
    if plan.service_subnet.is_empty() {
        return Ok(ServiceRange::default());
    }
    let range: ServiceRange = plan.service_subnet.parse().map_err(anyhow::Error::msg)?;
    let [first, second] = pod_bytes(plan).unwrap_or([10, 244]);
    if range.overlaps(Ipv4Addr::new(first, second, 0, 0), 16) || range.overlaps(Ipv4Addr::new(172, 18, 0, 0), 16) {
        bail!(
            "networking.serviceSubnet {:?} cannot be used: pods or nodes have their addresses there",
            plan.service_subnet
        );
    }
    Ok(range)
}

fn pod_bytes(plan: &KindConfig) -> Option<[u8; 2]> {
    let base = plan.pod_subnet.strip_suffix("/16").and_then(|base| base.parse::<Ipv4Addr>().ok())?;
    let [first, second, rest @ ..] = base.octets();
    (rest == [0, 0]).then_some([first, second])
}

/// The first two bytes of pods' addresses, if they were asked for.
///
/// # Errors
/// When it is no range that can be used.
pub fn pod_range(plan: &KindConfig) -> Result<Option<[u8; 2]>> {
    if plan.pod_subnet.is_empty() {
        return Ok(None);
    }
    let services = plan.service_subnet.parse().unwrap_or_else(|_| ServiceRange::default());
    match pod_bytes(plan) {
        Some([first, second]) if !services.overlaps(Ipv4Addr::new(first, second, 0, 0), 16) => {
            Ok(Some([first, second]))
        }
        _ => bail!(
            "networking.podSubnet {:?} cannot be used: give an IPv4 range of /16 that is not the Services' \
             ({services}), such as 10.244.0.0/16",
            plan.pod_subnet
        ),
    }
}

/// The range of a node's pods; none beyond the end.
pub fn range_of_node([first, second]: [u8; 2], index: usize) -> Option<String> {
    let third = u8::try_from(index).ok()?;
    Some(format!("{first}.{second}.{third}.0/24"))
}

/// Paths of this machine that a node has elsewhere, as this machine knows them.
pub fn mounts(node: &NodePlan) -> Vec<ExtraMount> {
    let known = |path: &str| std::fs::canonicalize(path).or_else(|_| std::path::absolute(path)).ok();
    let as_known = |mount: &ExtraMount| {
        let host = known(&mount.host).and_then(|path| path.to_str().map(str::to_owned));
        ExtraMount { host: host.unwrap_or_else(|| mount.host.clone()), ..mount.clone() }
    };
    node.mounts.iter().map(as_known).collect()
}

/// Ports of this machine, and the addresses of the nodes that they lead to.
pub fn mappings(plan: &KindConfig, nodes: &[NodeOptions]) -> Vec<(PortMapping, Ipv4Addr)> {
    let of_node = |(plan, node): (&NodePlan, &NodeOptions)| {
        let address = node.address;
        plan.ports.iter().map(move |port| (port.clone(), address)).collect::<Vec<_>>()
    };
    plan.nodes.iter().zip(nodes).flat_map(of_node).collect()
}

/// Simulated nodes beside others: after so many simulated ones, or beside Docker's, set apart from these.
pub fn simulated(cluster: &str, count: u16, before: usize, apart: bool) -> Vec<NodeOptions> {
    let before = u16::try_from(before).unwrap_or(u16::MAX);
    let make = |number: u16| {
        let mut node = NodeOptions::worker(format!("{cluster}-sim{}", number + 1), before.saturating_add(number));
        if apart {
            let (key, value) = KWOK_TAINT;
            let taint =
                Taint { key: key.into(), value: Some(value.into()), effect: "NoSchedule".into(), ..Taint::default() };
            node.taints.push(taint);
            node.pod_range = Some(format!("10.{}.{}.0/24", SIMULATED_RANGE + number / 256, number % 256));
        }
        let (key, value) = KWOK_LABEL;
        node.labels.insert(key.into(), value.into());
        node
    };
    (0..count).map(make).collect()
}

/// What a configuration says that has no meaning here, each in a line for the user.
pub fn unheeded(text: &str) -> Vec<String> {
    const NODES_PATHS: [(&str, &str); 2] =
        [("image", "nodes need no image"), ("kubeadmConfigPatches", "there is no kubeadm")];
    const PATHS: [(&str, &str); 7] = [
        ("/featureGates", "features are as they are by default"),
        ("/runtimeConfig", "all APIs that there are are served"),
        ("/kubeadmConfigPatches", "there is no kubeadm"),
        ("/containerdConfigPatches", "containers are Docker's"),
        ("/networking/disableDefaultCNI", "the network is part of the cluster"),
        ("/networking/kubeProxyMode", "the network is part of the cluster"),
        ("/networking/dnsSearch", "pods search in their cluster and as this machine does"),
    ];
    let Ok(value) = machinery::yaml::from_str(text) else { return Vec::new() };
    let mut found = Vec::new();
    for (path, why) in PATHS {
        if value.pointer(path).is_some_and(|value| !value.is_null()) {
            found.push(format!("{} is not heeded: {why}", path.trim_start_matches('/').replace('/', ".")));
        }
    }
    for (path, why) in NODES_PATHS {
        let nodes = value["nodes"].as_array().into_iter().flatten();
        if nodes.into_iter().any(|node| !node[path].is_null()) {
            found.push(format!("nodes[].{path} is not heeded: {why}"));
        }
    }
    found
}

/// Where a configuration wants the API server, and at which port if it says so.
///
/// # Errors
/// When the address is none.
pub fn api_server(plan: &KindConfig) -> Result<(IpAddr, Option<u16>)> {
    let address = match plan.api_server_address.as_str() {
        "" => Ipv4Addr::LOCALHOST.into(),
        text => text.parse().with_context(|| format!("networking.apiServerAddress {text:?} is no address"))?,
    };
    Ok((address, plan.api_server_port.filter(|port| *port > 0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nnetworking: {podSubnet: 10.200.0.0/16, ipFamily: ipv4}\n\
        featureGates: {A: true}\nnodes:\n- role: control-plane\n  image: x\n  extraPortMappings: [{containerPort: 80, hostPort: 8080}]\n\
        - role: worker\n  labels: {tier: db}\n";

    #[test]
    fn a_configuration_makes_nodes() {
        let settings = Settings { config: Some(CONFIG.into()), ..Settings::default() };
        let plan = plan(&settings, 1).unwrap();
        let nodes = nodes(&plan, "one");
        let names: Vec<_> = nodes.iter().map(|node| node.name.as_str()).collect();
        assert_eq!(names, ["one-control-plane", "one-worker"]);
        assert_eq!(nodes[1].labels["tier"], "db");
        assert_eq!(nodes[0].taints.len(), 1);
        assert_eq!(pod_range(&plan).unwrap(), Some([10, 200]));
        let mappings = mappings(&plan, &nodes);
        assert_eq!((mappings[0].0.host, mappings[0].0.node, mappings[0].1), (8080, 80, nodes[0].address));
        assert_eq!(
            unheeded(CONFIG),
            [
                "featureGates is not heeded: features are as they are by default",
                "nodes[].image is not heeded: nodes need no image"
            ]
        );
    }

    #[test]
    fn what_cannot_be_is_said() {
        let subnet = |text: &str| pod_range(&KindConfig { pod_subnet: text.into(), ..KindConfig::default() });
        for text in ["10.96.0.0/16", "10.244.0.0/24", "fd00::/64", "x"] {
            assert!(subnet(text).is_err(), "{text}");
        }
        let services = |text: &str, family: &str| {
            let (service_subnet, ip_family) = (text.into(), family.into());
            check(&KindConfig { service_subnet, ip_family, ..KindConfig::default() })
        };
        for (text, family) in
            [("10.244.0.0/16", ""), ("172.16.0.0/12", ""), ("fd00::/108", ""), ("", "ipv6"), ("", "dual")]
        {
            assert!(services(text, family).is_err(), "{text} {family}");
        }
        services("10.100.0.0/16", "ipv4").unwrap();
        let workers = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nnodes: [{role: worker}]";
        let settings = Settings { config: Some(workers.into()), ..Settings::default() };
        assert_eq!(plan(&settings, 1).unwrap_err().to_string(), "must have at least one control-plane node");
    }

    #[test]
    fn simulated_nodes_are_set_apart_from_dockers() {
        let nodes = simulated("c", 300, 0, true);
        assert_eq!(nodes[299].name, "c-sim300");
        assert_eq!(nodes[299].pod_range.as_deref(), Some("10.129.43.0/24"));
        assert_eq!(nodes[0].taints[0].key, "kwok.x-k8s.io/node");
        assert!(simulated("c", 1, 3, false)[0].taints.is_empty());
    }
}
