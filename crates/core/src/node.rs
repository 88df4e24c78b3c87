//! A node: its kubelet in the event loop, and the kubelet's HTTP server as a function.

use client::Client;
use kubelet::{ContainerRuntime, Kubelet, KubeletServer, NodeConfig};
use sim::Executor;
use sim::executor::TaskId;

use crate::options::NodeOptions;
use crate::world::CLUSTER_DNS;

/// A node that runs.
pub(crate) struct Node {
    /// The kubelet's HTTP server.
    pub(crate) server: KubeletServer,
    /// The kubelet.
    pub(crate) task: TaskId,
}

impl Node {
    /// Starts a node's kubelet.
    pub(crate) fn start(
        executor: &Executor,
        options: &NodeOptions,
        client: Client,
        runtime: Box<dyn ContainerRuntime>,
        seed: u64,
    ) -> Self {
        let config = NodeConfig {
            labels: options.labels.clone(),
            taints: options.taints.clone(),
            cluster_dns: vec![CLUSTER_DNS.to_string()],
            ..NodeConfig::new(&options.name, options.address.to_string())
        };
        let kubelet = Kubelet::new(config, client, runtime, seed);
        Self { server: kubelet.server(), task: executor.spawn_component(Box::new(kubelet)) }
    }
}
