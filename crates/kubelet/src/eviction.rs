//! Eviction: pods that use more disk than they may, and pods of a node that runs out of memory or disk
//! (upstream's eviction manager, with its hard thresholds' defaults).

use std::time::Duration;

use client::{Context, EventType};
use k8s_openapi::api::core::v1::Pod;
use machinery::Timestamp;
use machinery::time::after;

use crate::admit;
use crate::kubelet::{Kubelet, Slot};
use crate::qos;
use crate::runtime::{NodeUse, Operation, StorageUse};
use crate::spec;
use crate::text::str;
use crate::tickets::Owner;
use crate::worker::{Failure, Worker};

/// How often the node is looked at.
const INTERVAL: Duration = Duration::from_secs(10);
/// How long a node is said to be under pressure after the last sign of it.
const TRANSITION: Duration = Duration::from_secs(300);
/// `memory.available<100Mi`.
const MEMORY_AVAILABLE_MIN: u64 = 100 << 20;
/// `nodefs.available<10%`.
const DISK_AVAILABLE_MIN_PERCENT: u64 = 10;
/// What evicted containers get to end.
const GRACE: Duration = Duration::from_secs(1);
/// Priorities from here on are critical: `system-cluster-critical`.
const CRITICAL: i32 = 2_000_000_000;

/// What a node can run out of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortage {
    /// Memory.
    Memory,
    /// Disk.
    Disk,
}

impl Shortage {
    /// Both, in the order in which they are looked at.
    pub const ALL: [Self; 2] = [Self::Memory, Self::Disk];

    /// The resource as messages name it.
    fn resource(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Disk => "ephemeral-storage",
        }
    }

    /// The node's condition.
    pub fn condition(self) -> &'static str {
        match self {
            Self::Memory => "MemoryPressure",
            Self::Disk => "DiskPressure",
        }
    }
}

/// What the kubelet remembers of its node's pressure.
#[derive(Debug)]
pub struct Pressure {
    next: Timestamp,
    asked: bool,
    /// When each shortage was last seen.
    seen: [Option<Timestamp>; 2],
}

impl Default for Pressure {
    fn default() -> Self {
        Self { next: Timestamp::MIN, asked: false, seen: [None; 2] }
    }
}

impl Pressure {
    /// Whether the node is said to lack something.
    pub fn has(&self, shortage: Shortage) -> bool {
        self.seen[shortage as usize].is_some()
    }

    /// Why a new pod is not taken by a node under pressure.
    pub fn refuse(&self, pod: &Pod) -> Option<Failure> {
        if is_critical(pod) {
            return None;
        }
        let tolerated = || {
            let tolerations = spec::of(pod).and_then(|spec| spec.tolerations.as_deref()).unwrap_or_default();
            tolerations.iter().any(|toleration| {
                matches!(toleration.key.as_deref(), Some("node.kubernetes.io/memory-pressure"))
                    || (str(&toleration.key).is_empty() && toleration.operator.as_deref() == Some("Exists"))
            })
        };
        let refused = |shortage: &Shortage| match shortage {
            Shortage::Memory => qos::class(pod) == "BestEffort" && !tolerated(),
            Shortage::Disk => true,
        };
        let shortage = Shortage::ALL.into_iter().find(|shortage| self.has(*shortage) && refused(shortage))?;
        let message = format!("Pod was rejected: The node had condition: [{}]. ", shortage.condition());
        Some(Failure { reason: "Evicted".into(), message, grace: None })
    }
}

/// Critical and static pods stay.
fn is_critical(pod: &Pod) -> bool {
    let priority = spec::of(pod).and_then(|spec| spec.priority).unwrap_or_default();
    priority >= CRITICAL || crate::static_pods::is_static(pod)
}

/// What a pod uses of both resources, by container.
struct PodUse {
    uid: String,
    containers: Vec<(String, [u64; 2])>,
    volumes: u64,
}

impl PodUse {
    fn total(&self, shortage: Shortage) -> u64 {
        let containers: u64 = self.containers.iter().map(|(_, used)| used[shortage as usize]).sum();
        containers + if shortage == Shortage::Disk { self.volumes } else { 0 }
    }
}

impl Kubelet {
    /// Looks at the node when that is due.
    pub(crate) fn watch_pressure(&mut self, cx: &mut Context<'_>) {
        if !self.runtime.tells_node_use() {
            return;
        }
        if !self.pressure.asked && cx.now() >= self.pressure.next {
            self.pressure.asked = true;
            self.tickets.submit(&mut *self.runtime, Owner::Pressure, Operation::NodeUse);
        }
        if !self.pressure.asked {
            cx.wake_at(self.pressure.next);
        }
    }

    /// The runtime cannot tell now.
    pub(crate) fn pressure_unknown(&mut self, now: Timestamp) {
        self.pressure.asked = false;
        self.pressure.next = after(now, INTERVAL);
    }

    /// Evicts what has to go.
    pub(crate) fn pressure_told(&mut self, now: Timestamp, told: &NodeUse) {
        self.pressure_unknown(now);
        let uses: Vec<PodUse> = self
            .workers
            .iter()
            .filter(|(_, slot)| can_go(slot))
            .map(|(uid, slot)| pod_use(uid, &slot.worker, told))
            .collect();
        let mut evicted = Vec::new();
        for used in &uses {
            if let Some(slot) = self.workers.get(&used.uid)
                && let Some(message) = over_limit(&slot.worker, used, told)
            {
                evicted.push((used.uid.clone(), message));
            }
        }
        let capacity = |resource: &str| {
            let quantity = self.config.capacity.get(resource);
            quantity.map_or(0, |quantity| u64::try_from(qos::amount(quantity, resource)).unwrap_or_default())
        };
        let (memory, disk) = (capacity("memory"), capacity("ephemeral-storage"));
        let looked = [
            (Shortage::Memory, memory.saturating_sub(told.memory_bytes), MEMORY_AVAILABLE_MIN),
            (Shortage::Disk, disk.saturating_sub(told.disk_bytes), disk / 100 * DISK_AVAILABLE_MIN_PERCENT),
        ];
        for (shortage, available, minimum) in looked {
            let before = self.pressure.has(shortage);
            let seen = &mut self.pressure.seen[shortage as usize];
            if available < minimum {
                *seen = Some(now);
            } else if seen.is_some_and(|seen| now >= after(seen, TRANSITION)) {
                *seen = None;
            }
            if before != self.pressure.has(shortage) {
                self.reporter.set_pressure(shortage, !before);
            }
            if available >= minimum {
                continue;
            }
            self.reporter.threshold_met(now, &self.config, &mut self.recorder, shortage.resource());
            // One pod at a time, as upstream; what goes for its own excess may be enough.
            if evicted.is_empty()
                && let Some(victim) = self.first_to_go(&uses, shortage)
                && let Some(slot) = self.workers.get(&victim.uid)
            {
                let message = low(&slot.worker, victim, shortage, available, minimum);
                evicted.push((victim.uid.clone(), message));
            }
        }
        for (uid, message) in evicted {
            if let Some(slot) = self.workers.get_mut(&uid) {
                self.recorder.event(now, &*slot.worker.pod, EventType::Warning, "Evicted", &message);
                slot.worker.failure = Some(Failure { reason: "Evicted".into(), message, grace: Some(GRACE) });
                self.mark(&uid);
            }
        }
    }

    /// Upstream's order: those beyond their requests, then by priority, then by how far they are beyond.
    fn first_to_go<'a>(&self, uses: &'a [PodUse], shortage: Shortage) -> Option<&'a PodUse> {
        uses.iter()
            .filter_map(|used| {
                let pod = &self.workers.get(&used.uid)?.worker.pod;
                let requested = admit::request(pod, shortage.resource());
                let excess = i64::try_from(used.total(shortage)).unwrap_or(i64::MAX).saturating_sub(requested);
                let priority = spec::of(pod).and_then(|spec| spec.priority).unwrap_or_default();
                (!is_critical(pod)).then_some(((excess > 0, std::cmp::Reverse(priority), excess), used))
            })
            .max_by_key(|(order, _)| *order)
            .map(|(_, used)| used)
    }
}

/// Whether a pod can still be evicted.
fn can_go(slot: &Slot) -> bool {
    let worker = &slot.worker;
    !worker.removed && worker.failure.is_none() && worker.termination.is_none()
}

fn sum(list: &[StorageUse], owned: impl Fn(&str) -> bool) -> u64 {
    list.iter().filter(|one| owned(&one.owner)).map(|one| one.bytes).sum()
}

fn pod_use(uid: &str, worker: &Worker, told: &NodeUse) -> PodUse {
    let containers = worker.containers.iter().filter_map(|(name, container)| {
        let id = container.current.as_ref()?.id.as_str();
        let memory = told.containers.iter().find(|stats| stats.container_id == id);
        let memory = memory.map_or(0, |stats| stats.memory_working_set_bytes);
        Some((name.clone(), [memory, sum(&told.layers, |owner| owner == id)]))
    });
    let prefix = format!("{uid}/");
    let volumes = sum(&told.volumes, |owner| owner.starts_with(&prefix));
    PodUse { uid: uid.into(), containers: containers.collect(), volumes }
}

/// Why a pod that uses more disk than it may is evicted.
fn over_limit(worker: &Worker, used: &PodUse, told: &NodeUse) -> Option<String> {
    let pod = &worker.pod;
    let volumes = spec::of(pod).and_then(|spec| spec.volumes.as_deref()).unwrap_or_default();
    for volume in volumes {
        let Some(limit) = volume.empty_dir.as_ref().and_then(|source| source.size_limit.as_ref()) else { continue };
        let owner = format!("{}/{}", used.uid, volume.name);
        let bytes = i64::try_from(sum(&told.volumes, |one| one == owner)).unwrap_or(i64::MAX);
        let most = qos::amount(limit, "memory");
        if most > 0 && bytes > most {
            return Some(format!("Usage of EmptyDir volume {:?} exceeds the limit {:?}. ", volume.name, limit.0));
        }
    }
    let resource = Shortage::Disk.resource();
    let limits = spec::containers(pod).iter().map(|spec| qos::limit(spec, resource));
    if let Some(most) = limits.sum::<Option<i64>>()
        && most > 0
        && used.total(Shortage::Disk) > most.unsigned_abs()
    {
        let most = quantity(most.unsigned_abs());
        return Some(format!("Pod ephemeral local storage usage exceeds the total limit of containers {most}. "));
    }
    spec::containers(pod).iter().find_map(|spec| {
        let most = qos::limit(spec, resource)?;
        let (_, bytes) = used.containers.iter().find(|(name, _)| *name == spec.name)?;
        (bytes[Shortage::Disk as usize] > most.unsigned_abs()).then(|| {
            let most = quantity(most.unsigned_abs());
            format!("Container {} exceeded its local ephemeral storage limit {most:?}. ", spec.name)
        })
    })
}

/// Why a pod goes when the node runs out of something.
fn low(worker: &Worker, used: &PodUse, shortage: Shortage, available: u64, minimum: u64) -> String {
    let resource = shortage.resource();
    let mut message = format!(
        "The node was low on resource: {resource}. Threshold quantity: {}, available: {}. ",
        quantity(minimum),
        quantity(available)
    );
    for (name, bytes) in &used.containers {
        let bytes = bytes[shortage as usize];
        let found = spec::find(&worker.pod, name);
        let request = found.and_then(|(spec, _)| qos::request(&spec, resource)).unwrap_or_default().unsigned_abs();
        if bytes > request {
            message.push_str(&format!(
                "Container {name} was using {}, request is {}, has larger consumption of {resource}. ",
                quantity(bytes),
                quantity(request)
            ));
        }
    }
    message
}

/// Bytes as a quantity with the largest unit that says them exactly, no finer than Ki.
fn quantity(bytes: u64) -> String {
    if bytes == 0 {
        return "0".into();
    }
    let kib = bytes.div_ceil(1024);
    match (kib % 1024, kib % (1 << 20)) {
        (_, 0) => format!("{}Gi", kib >> 20),
        (0, _) => format!("{}Mi", kib >> 10),
        _ => format!("{kib}Ki"),
    }
}
