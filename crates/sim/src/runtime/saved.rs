//! What a node has on its disk when its power goes: files, emptyDirs, images, and what its runtime remembers of its
//! sandboxes and containers, with their logs. A runtime that is started again finds all of them ended, as containerd
//! does, unless it goes on from the past ([`as_of`]): nothing has ended then, so that containers which ran run on under
//! their ids, addresses and counts.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::sync::Arc;

use kubelet::runtime::{ContainerConfig, ContainerState, ContainerStatus, SandboxState, SandboxStatus};
use machinery::{ObjectKey, Timestamp};
use serde_json::{Value, json};

use super::container::Container;
use super::log::Log;
use super::sandbox::Sandbox;
use super::{Node, SimRuntime};
use crate::fs::{SharedTree, Tree};
use crate::network::Party;
use crate::saved::{Saved, Saver};

/// Of containers of which nobody knows how they ended: containerd's.
const UNKNOWN_EXIT_CODE: i32 = 255;
const UNKNOWN: &str = "Unknown";

const HOST: &str = "host";
const VOLUMES: &str = "volumes";
const RUNTIME: &str = "runtime";
const LOGS: &str = "logs";

impl SimRuntime {
    /// Visits what is on its disk.
    pub fn save(&self, saver: &mut Saver<'_>) {
        let node = &self.0;
        if node.keeps_host {
            let host = node.host.borrow();
            saver.part(HOST, host.changes(), &|| host.to_bytes());
        }
        saver.within(VOLUMES, &mut |saver| node.volumes.save(saver));
        saver.part(RUNTIME, node.version(), &|| node.to_json().to_string().into_bytes());
        saver.within(LOGS, &mut |saver| {
            for (id, container) in node.containers.borrow().iter() {
                let log = container.log();
                saver.part(id, log.count(), &|| log.to_bytes());
            }
        });
    }

    /// Goes on from what was on its disk. Containers have ended; the emptyDirs of pods that are gone are gone too.
    pub fn restore(&self, mut saved: Saved, is_there: &dyn Fn(&str) -> bool) {
        let node = &self.0;
        if let Some(host) = saved.take(HOST).filter(|_| node.keeps_host) {
            node.host.borrow_mut().restore(&host);
        }
        node.volumes.restore(saved.take_folder(VOLUMES), is_there);
        let remembered = saved.take(RUNTIME).and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
        if let Some(remembered) = remembered {
            node.remember(&remembered, saved.take_folder(LOGS));
        }
    }

    /// What a container has written over its image.
    pub fn layer(&self, container_id: &str) -> Option<SharedTree> {
        self.0.container(container_id).ok().map(|container| container.layer())
    }

    /// Lets a container that has not started go on from what another one has written.
    pub fn set_layer(&self, container_id: &str, layer: SharedTree) {
        if let Ok(container) = self.0.container(container_id) {
            container.set_layer(layer);
        }
    }
}

impl Node {
    /// Another one for whatever changes in what is remembered.
    fn version(&self) -> u64 {
        let mut seen: u64 = u64::from(self.stopped.get());
        let mut see = |text: &str, state: u64| {
            seen = seen.rotate_left(5) ^ machinery::random::fnv64a(text.as_bytes()).wrapping_add(state);
        };
        self.images.borrow().keys().for_each(|name| see(name, 0));
        for (id, sandbox) in self.sandboxes.borrow().iter() {
            see(id, u64::from(sandbox.status.state == SandboxState::Ready));
        }
        for (id, container) in self.containers.borrow().iter() {
            see(id, container.state() as u64);
        }
        seen
    }

    fn to_json(&self) -> Value {
        let sandboxes = self.sandboxes.borrow();
        let containers = self.containers.borrow();
        json!({
            "stopped": self.stopped.get(),
            "images": self.images.borrow().keys().collect::<Vec<_>>(),
            "address": self.addresses.borrow().last(),
            "sandboxes": sandboxes.values().map(|sandbox| sandbox_json(&sandbox.status)).collect::<Vec<_>>(),
            "containers": containers.values().map(|container| container_json(&container.status())).collect::<Vec<_>>(),
        })
    }

    /// The address that a pod had, for its first sandbox.
    pub(super) fn take_suspended_address(&self, pod_uid: &str) -> Option<Ipv4Addr> {
        self.suspended.borrow_mut().get_mut(pod_uid)?.address.take()
    }

    /// The container as which one goes on that the kubelet makes: once.
    pub(super) fn take_suspended(&self, config: &ContainerConfig) -> Option<SuspendedContainer> {
        let mut suspended = self.suspended.borrow_mut();
        let containers = &mut suspended.get_mut(&config.pod_uid)?.containers;
        let is_it = |one: &SuspendedContainer| (&one.name, one.attempt) == (&config.name, config.attempt);
        Some(containers.swap_remove(containers.iter().position(is_it)?))
    }

    fn remember(self: &Rc<Self>, remembered: &Value, mut logs: Saved) {
        let stopped = remembered["stopped"].as_bool().unwrap_or_default();
        self.stopped.set(stopped);
        self.down.set(stopped);
        let list = |name: &str| remembered[name].as_array().map(Vec::as_slice).unwrap_or_default();
        for image in list("images").iter().filter_map(Value::as_str) {
            // Whoever has loaded one that is in no registry brings it along.
            if self.image(image).is_none()
                && let Ok(image) = self.config.registry.built(image)
            {
                self.images.borrow_mut().insert(image.reference.to_string(), image);
            }
        }
        if let Some(address) = remembered["address"].as_str().and_then(|address| address.parse().ok()) {
            self.addresses.borrow_mut().set_last(address);
        }
        for pod in list("suspended") {
            let containers = pod["containers"].as_array().into_iter().flatten().map(|container| {
                let (id, log) = (text(container, "id"), Log::default());
                if let Some(lines) = logs.take(&id) {
                    log.restore(&lines);
                }
                let started_at = time(container, "started");
                SuspendedContainer {
                    name: text(container, "name"),
                    attempt: count(&container["attempt"]),
                    id,
                    started_at,
                    log,
                }
            });
            let suspended = SuspendedPod {
                address: pod["address"].as_str().and_then(|address| address.parse().ok()),
                containers: containers.collect(),
            };
            self.suspended.borrow_mut().insert(text(pod, "uid"), suspended);
        }
        for sandbox in list("sandboxes").iter().map(sandbox_status) {
            let party = Party::Pod(ObjectKey::new(sandbox.pod_namespace.clone(), sandbox.pod_name.clone()));
            let interface = self.config.interface.for_party(party);
            self.sandboxes.borrow_mut().insert(sandbox.id.clone(), Sandbox::ended(sandbox, interface));
        }
        for status in list("containers").iter().map(|value| container_status(value, self.executor.now())) {
            let log = Log::default();
            if let Some(lines) = logs.take(&status.id) {
                log.restore(&lines);
            }
            log.close(self.executor.now());
            if let Some(container) = self.ended_container(status, log) {
                self.containers.borrow_mut().insert(container.status().id, Rc::new(container));
            }
        }
    }

    /// A container of which only this is known.
    fn ended_container(&self, status: ContainerStatus, log: Log) -> Option<Container> {
        let image = self.image(&status.image).or_else(|| self.config.registry.built(&status.image).ok())?;
        Some(Container {
            config: ContainerConfig {
                name: status.name.clone(),
                attempt: status.attempt,
                pod_uid: status.pod_uid.clone(),
                image: status.image.clone(),
                ..ContainerConfig::default()
            },
            layer: RefCell::new(Tree::over(image.layer.clone()).share()),
            image,
            log,
            status: RefCell::new(status),
            running: RefCell::default(),
            sample: Cell::default(),
        })
    }
}

/// What is left of a pod that runs on where it was: its kubelet makes sandbox and containers anew, and they are these.
pub(super) struct SuspendedPod {
    address: Option<Ipv4Addr>,
    containers: Vec<SuspendedContainer>,
}

/// A container that runs on.
pub(super) struct SuspendedContainer {
    name: String,
    attempt: u32,
    pub(super) id: String,
    pub(super) started_at: Option<Timestamp>,
    pub(super) log: Log,
}

/// What a runtime remembers ([`SimRuntime::save`]) as it was when its node had these pods: of what it remembers now
/// (`bytes`) the images, of the pods' statuses the containers. Those that had ended have; those that ran go on.
pub fn as_of(bytes: &[u8], pods: &[Value]) -> Vec<u8> {
    let now: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let (mut containers, mut suspended) = (Vec::new(), Vec::new());
    for pod in pods {
        let (ended, running) = past_containers(pod);
        containers.extend(ended);
        let address = (pod["spec"]["hostNetwork"] != true).then(|| pod["status"]["podIP"].clone());
        suspended.push(json!({"uid": pod_uid(pod), "address": address, "containers": running}));
    }
    let then = json!({
        "images": now["images"],
        "address": now["address"],
        "containers": containers,
        "suspended": suspended,
    });
    then.to_string().into_bytes()
}

/// The uid by which the kubelet knows a pod: of one that a manifest on its node has made, its hash.
fn pod_uid(pod: &Value) -> &Value {
    let hash = &pod["metadata"]["annotations"]["kubernetes.io/config.hash"];
    if hash.is_null() { &pod["metadata"]["uid"] } else { hash }
}

/// The containers of a pod's status that had ended, and those that ran.
fn past_containers(pod: &Value) -> (Vec<Value>, Vec<Value>) {
    let (mut all_ended, mut running) = (Vec::new(), Vec::new());
    let is_over = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    for (list, is_init) in [("initContainerStatuses", true), ("containerStatuses", false)] {
        for status in pod["status"][list].as_array().into_iter().flatten() {
            let attempt = count(&status["restartCount"]);
            let (state, last) = (&status["state"], &status["lastState"]["terminated"]);
            let mut ended = |of: &Value, attempt: u32| all_ended.push(ended_json(pod, status, of, attempt));
            let runs = state["running"].is_object();
            if runs {
                let id = bare_id(&status["containerID"]);
                let started = micros(&state["running"]["startedAt"]);
                running.push(json!({"name": status["name"], "attempt": attempt, "id": id, "started": started}));
            }
            // The kubelet runs the init containers of a pod's new sandbox once more: under the number that they had.
            let anew = runs || (is_init && !is_over);
            match (state["terminated"].is_object(), attempt.checked_sub(1)) {
                (true, _) if !anew => ended(&state["terminated"], attempt),
                _ if !anew && last.is_object() => ended(last, attempt),
                (_, Some(before)) if anew => ended(last, before),
                _ => {}
            }
        }
    }
    (all_ended, running)
}

/// As [`container_json`] writes one that has ended, from the API's words on it.
fn ended_json(pod: &Value, status: &Value, of: &Value, attempt: u32) -> Value {
    json!({
        "id": bare_id(&of["containerID"]),
        "uid": pod_uid(pod),
        "name": status["name"],
        "attempt": attempt,
        "ended": true,
        "created": micros(&of["startedAt"]),
        "started": micros(&of["startedAt"]),
        "finished": micros(&of["finishedAt"]),
        "code": of["exitCode"],
        "reason": of["reason"],
        "message": of["message"],
        "image": status["image"],
        "imageRef": status["imageID"],
    })
}

/// A container's id, without the name of its runtime.
fn bare_id(id: &Value) -> &str {
    let id = id.as_str().unwrap_or_default();
    id.split_once("://").map_or(id, |(_, id)| id)
}

fn micros(time: &Value) -> Option<i64> {
    Some(time.as_str()?.parse::<Timestamp>().ok()?.as_microsecond())
}

type Words = Arc<BTreeMap<String, String>>;

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}

fn time(value: &Value, name: &str) -> Option<Timestamp> {
    Timestamp::from_microsecond(value[name].as_i64()?).ok()
}

fn words(value: &Value, name: &str) -> Words {
    let pairs = value[name].as_object().into_iter().flatten();
    Arc::new(pairs.map(|(name, word)| (name.clone(), word.as_str().unwrap_or_default().to_owned())).collect())
}

fn json_of(words: &Words) -> Value {
    words.iter().map(|(name, word)| (name.clone(), Value::from(word.as_str()))).collect()
}

fn count(value: &Value) -> u32 {
    value.as_u64().and_then(|count| count.try_into().ok()).unwrap_or(0)
}

fn sandbox_json(status: &SandboxStatus) -> Value {
    json!({
        "id": status.id,
        "name": status.pod_name,
        "namespace": status.pod_namespace,
        "uid": status.pod_uid,
        "attempt": status.attempt,
        "created": status.created_at.as_microsecond(),
        "labels": json_of(&status.labels),
        "annotations": json_of(&status.annotations),
    })
}

fn sandbox_status(value: &Value) -> SandboxStatus {
    SandboxStatus {
        id: text(value, "id"),
        pod_name: text(value, "name"),
        pod_namespace: text(value, "namespace"),
        pod_uid: text(value, "uid"),
        attempt: count(&value["attempt"]),
        state: SandboxState::NotReady,
        created_at: time(value, "created").unwrap_or_default(),
        ips: Vec::new(),
        labels: words(value, "labels"),
        annotations: words(value, "annotations"),
    }
}

fn container_json(status: &ContainerStatus) -> Value {
    json!({
        "id": status.id,
        "sandbox": status.sandbox_id,
        "uid": status.pod_uid,
        "name": status.name,
        "attempt": status.attempt,
        "ended": status.state == ContainerState::Exited,
        "created": status.created_at.as_microsecond(),
        "started": status.started_at.map(Timestamp::as_microsecond),
        "finished": status.finished_at.map(Timestamp::as_microsecond),
        "code": status.exit_code,
        "reason": status.reason,
        "message": status.message,
        "image": status.image,
        "imageRef": status.image_ref,
        "labels": json_of(&status.labels),
        "annotations": json_of(&status.annotations),
    })
}

fn container_status(value: &Value, now: Timestamp) -> ContainerStatus {
    let ended = value["ended"] == true;
    let code = value["code"].as_i64().and_then(|code| code.try_into().ok()).unwrap_or(0);
    ContainerStatus {
        id: text(value, "id"),
        sandbox_id: text(value, "sandbox"),
        pod_uid: text(value, "uid"),
        name: text(value, "name"),
        attempt: count(&value["attempt"]),
        state: ContainerState::Exited,
        created_at: time(value, "created").unwrap_or_default(),
        started_at: time(value, "started"),
        finished_at: if ended { time(value, "finished") } else { Some(now) },
        exit_code: if ended { code } else { UNKNOWN_EXIT_CODE },
        reason: if ended { text(value, "reason") } else { UNKNOWN.into() },
        message: text(value, "message"),
        image: text(value, "image"),
        image_ref: text(value, "imageRef"),
        labels: words(value, "labels"),
        annotations: words(value, "annotations"),
    }
}
