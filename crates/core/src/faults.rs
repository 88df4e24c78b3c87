//! Faults: what goes wrong on request, and is made good again.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use k8s_openapi::api::core::v1::Node;
use machinery::ObjectKey;
use machinery::status::ApiError;
use sim::SimRuntime;
use sim::network::Link;
use sim::process::Signal;

use crate::cluster::Inner;
use crate::control::{Fault, NodeRequest};
use crate::options::NodeOptions;
use crate::world::learner::nodes::starts_with_node;

impl Inner {
    /// What is wrong now.
    pub(crate) fn faults(&self) -> Vec<Fault> {
        self.faults.borrow().clone()
    }

    /// Lets something go wrong.
    pub(crate) fn begin(&self, fault: Fault) -> Result<(), ApiError> {
        self.apply(&fault, true)?;
        let mut faults = self.faults.borrow_mut();
        faults.retain(|known| known.subject() != fault.subject());
        if !matches!(fault, Fault::ContainerCrash { .. }) {
            faults.push(fault);
        }
        Ok(())
    }

    /// Makes something good again.
    pub(crate) fn heal(&self, fault: &Fault) -> Result<(), ApiError> {
        self.apply(fault, false)?;
        self.faults.borrow_mut().retain(|known| known.subject() != fault.subject());
        Ok(())
    }

    /// Makes everything good again.
    pub(crate) fn heal_all(&self) {
        for fault in self.faults() {
            // What a fault was about may be gone meanwhile.
            let _ = self.heal(&fault);
        }
        self.faults.borrow_mut().clear();
    }

    fn apply(&self, fault: &Fault, active: bool) -> Result<(), ApiError> {
        let missing = |what: &str, name: &str| ApiError::new(404, "NotFound", format!("{what} {name:?} not found"));
        let known = |found: bool, what: &str, name: &str| if found { Ok(()) } else { Err(missing(what, name)) };
        match fault {
            Fault::NodeDown { node } => {
                let runtime = self.runtime(node)?;
                let kubelet = format!("kubelet/{node}");
                if active {
                    self.stop_component(&kubelet);
                    runtime.power_off();
                } else {
                    runtime.power_on();
                    if !starts_with_node(&runtime, "containerd") {
                        runtime.set_down(true);
                    }
                    if starts_with_node(&runtime, "kubelet") {
                        self.start_component(&kubelet);
                    }
                }
                Ok(())
            }
            Fault::ComponentDown { component } => {
                known(self.parts.borrow().contains_key(component), "component", component)?;
                if active {
                    self.stop_component(component);
                } else {
                    self.start_component(component);
                }
                Ok(())
            }
            Fault::ComponentCut { component } => {
                let parts = self.parts.borrow();
                let part = parts.get(component).ok_or_else(|| missing("component", component))?;
                part.cut.store(active, Ordering::Relaxed);
                Ok(())
            }
            Fault::ApiServerDown => {
                self.api_down.store(active, Ordering::Relaxed);
                Ok(())
            }
            Fault::ContainerCrash { pod, container } => {
                let (runtime, id) = self.container(pod, container)?;
                known(runtime.kill(&id, Signal::Kill), "running container", container)
            }
            Fault::ContainerHang { pod, container } => {
                let (runtime, id) = self.container(pod, container)?;
                let machine = runtime.machine(&id).ok_or_else(|| missing("running container", container))?;
                machine.set_frozen(active);
                Ok(())
            }
            Fault::Link { node, delay_ms, loss } => {
                self.runtime(node)?;
                if !(0.0..=1.0).contains(loss) {
                    return Err(ApiError::bad_request("loss must be between 0 and 1"));
                }
                let link = Link { delay: Duration::from_millis(*delay_ms), loss: *loss };
                self.world.network().set_link(node, if active { link } else { Link::default() });
                Ok(())
            }
            Fault::Pressure { node, memory_bytes, disk_bytes } => {
                let runtime = self.runtime(node)?;
                if active {
                    runtime.set_burden(*memory_bytes, *disk_bytes);
                } else {
                    runtime.set_burden(0, 0);
                }
                Ok(())
            }
            Fault::RegistryDown { registry } => {
                self.world.registry().set_outage(registry, active);
                Ok(())
            }
        }
    }

    fn runtime(&self, node: &str) -> Result<SimRuntime, ApiError> {
        let mut all = self.world.runtimes().into_iter();
        let missing = || ApiError::new(404, "NotFound", format!("simulated node {node:?} not found"));
        all.find(|runtime| runtime.node_name() == node).ok_or_else(missing)
    }

    /// A running container of a pod given as `namespace/name`.
    fn container(&self, pod: &str, container: &str) -> Result<(SimRuntime, String), ApiError> {
        let label = |labels: &BTreeMap<String, String>, name: &str| labels.get(name).cloned().unwrap_or_default();
        for runtime in self.world.runtimes() {
            for status in runtime.containers() {
                let namespace = label(&status.labels, "io.kubernetes.pod.namespace");
                let name = label(&status.labels, "io.kubernetes.pod.name");
                let running = status.state == kubelet::runtime::ContainerState::Running;
                if running && format!("{namespace}/{name}") == pod && status.name == container {
                    return Ok((runtime, status.id));
                }
            }
        }
        let message = format!("running container {container:?} of pod {pod:?} not found");
        Err(ApiError::new(404, "NotFound", message))
    }

    /// Adds a node to the running cluster; its name.
    pub(crate) fn join_node(self: &std::rc::Rc<Self>, request: NodeRequest) -> Result<String, ApiError> {
        if !self.adjustable {
            return Err(ApiError::bad_request("this cluster's nodes are not simulated"));
        }
        let names: Vec<String> = self.world.runtimes().iter().map(|runtime| runtime.node_name().to_owned()).collect();
        let prefix = names.first().map_or("node", |first| first.trim_end_matches("-control-plane")).to_owned();
        let free = (1..u16::MAX).map(|index| match index {
            1 => format!("{prefix}-worker"),
            index => format!("{prefix}-worker{index}"),
        });
        let name = match request.name {
            Some(name) => name,
            None => free.into_iter().find(|name| !names.contains(name)).unwrap_or_default(),
        };
        if names.contains(&name) {
            return Err(ApiError::new(409, "AlreadyExists", format!("node {name:?} already exists")));
        }
        if !machinery::names::is_dns1123_subdomain(&name).is_empty() {
            return Err(ApiError::bad_request(format!("{name:?} is not a node's name")));
        }
        let index = self.world.next_node_index();
        let mut rng = self.world.fork_rng();
        self.join_simulated(&NodeOptions::worker(&name, index), &mut rng);
        Ok(name)
    }

    /// Takes a node out of the cluster for good: its machine, and its object.
    pub(crate) fn remove_node(&self, name: &str) -> Result<(), ApiError> {
        let runtime = self.runtime(name)?;
        let part = format!("kubelet/{name}");
        self.stop_component(&part);
        runtime.power_off();
        self.world.remove_node(name);
        let line = self.line("playground", std::sync::Arc::default());
        self.parts.borrow_mut().remove(&part);
        self.faults.borrow_mut().retain(|fault| fault.node() != Some(name));
        let client = client::Client::new(line, "playground");
        match client.delete::<Node>(&ObjectKey::new("", name), &client::DeleteOptions::default()) {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }
}
