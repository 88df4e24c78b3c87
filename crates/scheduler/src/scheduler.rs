//! The scheduler's control loop: watch pods and nodes, take the next pod, find it a node, bind it.

use std::collections::BTreeMap;
use std::sync::Arc;

use client::{
    Client, Component, Context, DeleteOptions, Event, EventRecorder, EventType, Informer, ListOptions, Patch,
};
use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use machinery::random::Rng;
use machinery::time::after;
use machinery::{ObjectKey, Timestamp};
use serde_json::{Value, json};

use crate::cache::Cache;
use crate::config::{Configuration, Profile};
use crate::decision::{Decision, Decisions};
use crate::framework::{Cycle, Filter, NodeInfo, PodInfo, Prepared, Rejection};
use crate::plugins::volume_binding::Storage;
use crate::plugins::{self, Change, image_locality, inter_pod_affinity, node_affinity, pod_topology_spread};
use crate::preemption::{self, Candidate};
use crate::queue::Queue;
use crate::resources;
use crate::selectors::Selectors;

/// The default profile's name: pods ask for it by `spec.schedulerName`.
pub const DEFAULT_SCHEDULER_NAME: &str = "default-scheduler";

/// Below this many nodes all are looked at; above, a share of them (upstream numFeasibleNodesToFind).
const FEASIBLE_NODES_MIN: usize = 100;
const FEASIBLE_PERCENTAGE_MIN: usize = 5;
/// So many pods are given nodes before whoever watches pods has its turn: all of them look at each poll of this one.
const PODS_PER_POLL: usize = 16;

/// What so many nodes' and pods' changes mean to each pod that fits nowhere is looked at; more are taken to help.
const LOOKED_AT: usize = 16;

/// How the message of a pod begins whose volumes could not be bound.
const VOLUMES_FAILED: &str = "running PreBind plugin \"VolumeBinding\": binding volumes";

/// kube-scheduler.
pub struct Scheduler {
    client: Client,
    pods: Informer<Pod>,
    nodes: Informer<Node>,
    namespaces: Informer<Namespace>,
    budgets: Informer<PodDisruptionBudget>,
    selectors: Selectors,
    storage: Storage,
    /// By profile: Events are told by the scheduler that the pod asks for.
    recorders: BTreeMap<String, EventRecorder>,
    rng: Rng,
    queue: Queue,
    cache: Cache,
    profiles: Vec<Profile>,
    percentage: usize,
    decisions: Decisions,
    /// The node looked at last: the next pod's search begins after it, so that all nodes get their turn.
    last_node: Arc<str>,
    /// Pods that have a node and wait for their volumes, until when.
    binding: BTreeMap<ObjectKey, (Arc<PodInfo>, Arc<str>, Timestamp)>,
    /// When the first of them has waited too long.
    binding_deadline: Option<Timestamp>,
    /// Whether something happened that they may wait for.
    binding_news: bool,
    /// Whether something was written that the next pod's decision depends on, and that is not known from the cache
    /// but only heard of: volumes and victims.
    unheard: bool,
}

impl Scheduler {
    /// A scheduler that knows nothing yet. `rng` breaks ties between nodes of equal score.
    pub fn new(client: Client, rng: Rng, configuration: &Configuration) -> Self {
        let profiles = configuration.profiles();
        let client = client.named(profiles.first().map_or(DEFAULT_SCHEDULER_NAME, |profile| &profile.name));
        let recorder =
            |profile: &Profile| (profile.name.clone(), EventRecorder::new(client.clone(), &profile.name, ""));
        let alive = ListOptions::fields("status.phase!=Succeeded,status.phase!=Failed");
        Self {
            pods: Informer::new(&client, "", alive),
            nodes: Informer::new(&client, "", ListOptions::default()),
            namespaces: Informer::new(&client, "", ListOptions::default()),
            budgets: Informer::new(&client, "", ListOptions::default()),
            selectors: Selectors::new(&client),
            storage: Storage::new(&client),
            recorders: profiles.iter().map(recorder).collect(),
            client,
            rng,
            queue: Queue::new(configuration.backoff()),
            cache: Cache::default(),
            profiles,
            percentage: configuration.percentage_of_nodes_to_score.unwrap_or(0),
            decisions: Decisions::default(),
            last_node: Arc::default(),
            binding: BTreeMap::new(),
            binding_deadline: None,
            binding_news: false,
            unheard: false,
        }
    }

    /// The last decisions, to be read by others.
    pub fn decisions(&self) -> Decisions {
        self.decisions.clone()
    }

    fn observe(&mut self, cx: &mut Context<'_>) {
        let now = cx.now();
        let mut changes = Vec::new();
        // Nodes that are new or have changed, and as they were; pods that have come or gone.
        let mut nodes: Vec<(String, Option<NodeInfo>)> = Vec::new();
        let mut pods: Vec<(Change, Arc<PodInfo>)> = Vec::new();
        let looks = self.queue.has_unschedulable();
        let mut changed = |change: Change, pod: Option<Arc<PodInfo>>| match pod {
            Some(pod) if looks && pods.len() < LOOKED_AT => pods.push((change, pod)),
            _ if changes.contains(&change) => {}
            _ => changes.push(change),
        };
        for event in self.nodes.poll(cx) {
            let looked_at = looks && nodes.len() < LOOKED_AT;
            let name = event.object().metadata.name.clone().unwrap_or_default();
            match event {
                Event::Added(node) => {
                    self.cache.set_node(node);
                    if looked_at { nodes.push((name, None)) } else { changed(Change::NodeAdded, None) }
                }
                Event::Updated { old, new } => {
                    if schedulable_traits(&old) != schedulable_traits(&new) {
                        if looked_at {
                            nodes.push((name.clone(), self.cache.node(&name).cloned()));
                        } else {
                            changed(Change::NodeChanged, None);
                        }
                    }
                    self.cache.set_node(new);
                }
                Event::Deleted(node) => {
                    self.cache.remove_node(node.metadata.name.as_deref().unwrap_or_default());
                    self.binding_news = true;
                    changed(Change::NodeGone, None);
                }
            }
        }
        for event in self.namespaces.poll(cx) {
            let (namespace, gone) = (event.object(), matches!(event, Event::Deleted(_)));
            let labels = (!gone).then(|| namespace.metadata.labels.clone().unwrap_or_default());
            self.cache.topology_mut().set_namespace(namespace.metadata.name.as_deref().unwrap_or_default(), labels);
            changed(Change::Namespace, None);
        }
        self.budgets.poll(cx);
        self.selectors.observe(cx);
        if self.storage.observe(cx) {
            changed(Change::Storage, None);
        }
        self.binding_news |= self.storage.take_news();
        for event in self.pods.poll(cx) {
            if let Event::Updated { old, new } = &event
                && schedulable_needs(old) == schedulable_needs(new)
                && !resources::is_resized(old)
                && !resources::is_resized(new)
            {
                // The pod as it was before has no other reader.
                self.cache.renew_pod(new);
                continue;
            }
            let gone = matches!(event, Event::Deleted(_));
            self.observe_pod(event.object(), gone, now, &mut changed);
        }
        self.queue.changed(&changes, now);
        if !nodes.is_empty() || !pods.is_empty() {
            self.look(&nodes, &pods, now);
        }
    }

    /// Lets those pods be tried again that changes of nodes and other pods may help.
    fn look(&mut self, nodes: &[(String, Option<NodeInfo>)], others: &[(Change, Arc<PodInfo>)], now: Timestamp) {
        let (pods, profiles, cache) = (&self.pods, &self.profiles, &self.cache);
        let namespaces = self.cache.topology().namespaces();
        let of_nodes = nodes.iter().map(|(_, old)| if old.is_none() { Change::NodeAdded } else { Change::NodeChanged });
        let kinds: Vec<Change> = of_nodes.chain(others.iter().map(|(change, _)| *change)).collect();
        let mut asked: Option<(PodInfo, &Profile)> = None;
        self.queue.changed_by(now, |key, plugin| {
            // Room on a node is for everybody.
            if plugin == "NodeResourcesFit" && kinds.contains(&Change::PodGone) {
                return true;
            }
            if !kinds.iter().any(|kind| plugins::helps(*kind, plugin)) {
                return false;
            }
            if asked.as_ref().is_none_or(|(pod, _)| pod.key != *key) {
                let pod = pods.get(key);
                asked =
                    pod.and_then(|pod| Some((PodInfo::new(pod.clone()), profiles.get(profile_of(profiles, &pod)?)?)));
            }
            let Some((pod, profile)) = &asked else { return true };
            let of_node = nodes.iter().any(|(name, before)| {
                cache
                    .node(name)
                    .is_some_and(|after| plugins::node_helps(&profile.filters, pod, plugin, before.as_ref(), after))
            });
            let of_pod =
                |(change, other): &(Change, Arc<PodInfo>)| plugins::pod_helps(*change, other, plugin, pod, namespaces);
            of_node || others.iter().any(of_pod)
        });
    }

    /// Takes in a pod's change, and says what it may mean to pods that fit nowhere.
    fn observe_pod(
        &mut self,
        pod: &Arc<Pod>,
        gone: bool,
        now: Timestamp,
        changed: &mut dyn FnMut(Change, Option<Arc<PodInfo>>),
    ) {
        let key = client::key_of(&**pod);
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).filter(|node| !node.is_empty());
        if gone || node.is_some() {
            // Room that was made for it elsewhere is free.
            if self.forget(&key).is_some_and(|nominated| Some(&*nominated) != node) {
                changed(Change::PodGone, None);
            }
        }
        if gone {
            if let Some(info) = self.cache.remove_pod(&key) {
                changed(Change::PodGone, Some(info));
            }
            return;
        }
        let Some(spec) = pod.spec.as_ref() else { return };
        if let Some(node) = node {
            let known = self.cache.pod(&key).filter(|_| self.cache.place_of(&key) == Some(node)).cloned();
            // Its own decision, which the cache has.
            let confirms = known.as_ref().is_some_and(|known| {
                known.pod.metadata.uid == pod.metadata.uid
                    && known.pod.metadata.labels == pod.metadata.labels
                    && known.pod.metadata.deletion_timestamp == pod.metadata.deletion_timestamp
                    && known.spec().is_some_and(|known| {
                        known.containers == spec.containers && known.init_containers == spec.init_containers
                    })
                    && !resources::is_resized(&known.pod)
                    && !resources::is_resized(pod)
            });
            if !confirms {
                let info = Arc::new(PodInfo::new(pod.clone()));
                if known.as_ref().is_some_and(|known| known.requests != info.requests) {
                    changed(Change::PodGone, None);
                }
                self.cache.set_pod(info.clone(), node);
                return match known {
                    None => changed(Change::PodPlaced, Some(info)),
                    Some(known) if known.labels() == info.labels() => {}
                    // It may help by what it was.
                    Some(_) => changed(Change::PodPlaced, None),
                };
            }
            // The pod as it was before has no other reader.
            drop(known);
            self.cache.renew_pod(pod);
            return changed(Change::PodPlaced, self.cache.pod(&key).cloned());
        }
        // An own decision that the informer has not seen yet.
        if self.cache.place_of(&key).is_some() && !self.binding.contains_key(&key) {
            return;
        }
        if self.profile_of(pod).is_none() {
            return;
        }
        if pod.metadata.deletion_timestamp.is_some() {
            let nominated = self.forget(&key);
            if self.cache.remove_pod(&key).is_some() || nominated.is_some() {
                changed(Change::PodGone, None);
            }
            return;
        }
        if self.binding.contains_key(&key) {
            return;
        }
        let gated = spec.scheduling_gates.as_ref().is_some_and(|gates| !gates.is_empty());
        self.queue.add(&key, spec.priority.unwrap_or(0), gated, now);
        let nominated = pod.status.as_ref().and_then(|status| status.nominated_node_name.clone());
        if let Some(node) = nominated.filter(|node| !node.is_empty()) {
            self.cache.nominate(&Arc::new(PodInfo::new(pod.clone())), Some(&node));
        }
    }

    /// Forgets a pod that needs no node any more; the node where room was made for it, if it was.
    fn forget(&mut self, key: &ObjectKey) -> Option<String> {
        self.queue.remove(key);
        self.binding.remove(key);
        self.cache.forget_nominated(key)
    }

    fn profile_of(&self, pod: &Pod) -> Option<usize> {
        profile_of(&self.profiles, pod)
    }

    fn schedule(&mut self, key: &ObjectKey, now: Timestamp) {
        let pod = self.pods.get(key);
        let Some((pod, profile)) = pod.and_then(|pod| Some((pod.clone(), self.profile_of(&pod)?))) else {
            self.forget(key);
            return;
        };
        let info = Arc::new(PodInfo::new(pod.clone()));
        let (mut decision, prepared) = self.decide(&info, profile, now);
        match decision.node.clone() {
            Some(node) => self.place(&info, &prepared, &node, now),
            None => self.fail(&pod, &info, profile, &prepared, &mut decision, now),
        }
        self.decisions.record(decision);
    }

    /// Filters and scores nodes. Pure but for the tie-breaking dice, what is counted by topology, and
    /// the place to begin next time.
    fn decide(&mut self, pod: &Arc<PodInfo>, profile: usize, now: Timestamp) -> (Decision, Prepared) {
        let Some(profile) = self.profiles.get(profile) else { return (self.undecided(pod, now), Prepared::default()) };
        let mut decision = Decision { scorers: profile.scorer_names.clone(), ..self.undecided(pod, now) };
        let volumes = match self.storage.prepare(pod) {
            Ok(volumes) => volumes,
            Err(reason) => {
                decision.reason = Some(("VolumeBinding", reason));
                return (decision, Prepared::default());
            }
        };
        // Pods that room was made for count as if they were there already.
        let expected = self.cache.expected(pod);
        for (other, node) in &expected {
            self.cache.set_pod(other.clone(), node);
        }
        let spread =
            pod_topology_spread::prepare(pod, &profile.spreading, || self.selectors.of(&pod.pod), &mut self.cache);
        let affinity = inter_pod_affinity::prepare(pod, &mut self.cache);
        let images = image_locality::prepare(pod, &self.cache);
        let prepared = Prepared { affinity, spread, volumes, limits: self.storage.limits(pod), images };
        let cycle = Cycle { pod, cache: &self.cache, prepared: &prepared };
        let filters: Vec<&dyn Filter> =
            profile.filters.iter().map(AsRef::as_ref).filter(|it| !it.skips(&cycle)).collect();
        let percentage = profile.percentage.unwrap_or(self.percentage);
        let enough = feasible_nodes_to_find(decision.nodes, percentage);
        let mut feasible: Vec<&NodeInfo> = Vec::new();
        let nominated = pod.nominated_node().and_then(|name| self.cache.node(name));
        if let Some(node) = nominated.filter(|node| rejection(&filters, &cycle, node).is_none()) {
            feasible.push(node);
        } else if let Some(names) = node_affinity::named_nodes(pod) {
            decision.narrowed_by = Some("NodeAffinity");
            search(
                &filters,
                &cycle,
                names.iter().filter_map(|name| self.cache.node(name)),
                enough,
                &mut feasible,
                &mut decision,
            );
        } else {
            let first = self.last_node.clone();
            let nodes = self.cache.nodes_after(&first);
            let last = search(&filters, &cycle, nodes, enough, &mut feasible, &mut decision);
            self.last_node = last.unwrap_or_default();
        }
        decision.feasible = feasible.iter().map(|node| node.name.clone()).collect();
        if !expected.is_empty() {
            for (other, _) in &expected {
                self.cache.remove_pod(&other.key);
            }
            // Those pods may not come after all: it must fit without them too, and they do not score.
            let cycle = Cycle { pod, cache: &self.cache, prepared: &prepared };
            let Decision { feasible: names, filtered, .. } = &mut decision;
            names.retain(|name| {
                let node = self.cache.node(name);
                let rejected = node.and_then(|node| first_rejection(profile, &cycle, node));
                let Some((plugin, rejection)) = rejected else { return node.is_some() };
                filtered.push((name.clone(), plugin, rejection));
                false
            });
            feasible = names.iter().filter_map(|name| self.cache.node(name)).collect();
        }
        let cycle = Cycle { pod, cache: &self.cache, prepared: &prepared };
        decision.scores = score(profile, &cycle, &feasible);
        let width = profile.scorers.len().max(1);
        let total = |index: usize| -> i64 { decision.scores.iter().skip(index * width).take(width).sum() };
        let mut winners: Vec<usize> = Vec::new();
        let mut best = i64::MIN;
        for index in 0..feasible.len() {
            let total = total(index);
            if total > best {
                best = total;
                winners.clear();
            }
            if total == best {
                winners.push(index);
            }
        }
        let dice = if winners.len() > 1 { self.rng.below(winners.len() as u64) as usize } else { 0 };
        decision.node = winners.get(dice).and_then(|index| decision.feasible.get(*index)).cloned();
        (decision, prepared)
    }

    fn undecided(&self, pod: &PodInfo, now: Timestamp) -> Decision {
        Decision {
            pod: pod.key.clone(),
            time: now,
            node: None,
            nominated: None,
            reason: None,
            filtered: Vec::new(),
            feasible: Vec::new(),
            scorers: std::rc::Rc::new([]),
            scores: Vec::new(),
            nodes: self.cache.len(),
            narrowed_by: None,
        }
    }

    /// A node is found: volumes first, then the pod.
    fn place(&mut self, pod: &Arc<PodInfo>, prepared: &Prepared, node: &Arc<str>, now: Timestamp) {
        self.work_at(pod);
        self.unheard |= prepared.volumes.is_waited_for();
        let bound = match self.cache.node(node) {
            Some(info) => self.storage.bind(pod, &prepared.volumes, info),
            None => return self.queue.retry(&pod.key, now),
        };
        match bound {
            Ok(true) => self.bind(pod, node, now),
            Ok(false) => {
                self.cache.set_pod(pod.clone(), node);
                let profile = self.profile_of(&pod.pod).and_then(|profile| self.profiles.get(profile));
                let deadline = after(now, profile.map(|profile| profile.bind_timeout).unwrap_or_default());
                self.binding_deadline = Some(self.binding_deadline.map_or(deadline, |first| first.min(deadline)));
                self.binding.insert(pod.key.clone(), (pod.clone(), node.clone(), deadline));
            }
            Err(error) => {
                self.report_error(pod, &format!("{VOLUMES_FAILED}: {error}"), now);
                self.queue.retry(&pod.key, now);
            }
        }
    }

    /// Pods whose volumes are ready now are bound; those that waited too long, or that cannot have them
    /// on their node any more, start anew.
    fn finish_binding(&mut self, now: Timestamp) {
        let outcome = |(pod, node, deadline): &(Arc<PodInfo>, Arc<str>, Timestamp)| {
            let node = self.cache.node(node).ok_or_else(|| format!("node {node:?} not found"));
            match node.and_then(|node| self.storage.all_bound(pod, node)) {
                Ok(false) if *deadline > now => None,
                Ok(false) => Some(Err("context deadline exceeded".to_owned())),
                Ok(true) => Some(Ok(())),
                Err(error) => Some(Err(error)),
            }
        };
        let due = self.binding.iter().filter_map(|(key, it)| Some((key.clone(), outcome(it)?)));
        let due: Vec<(ObjectKey, Result<(), String>)> = due.collect();
        for (key, outcome) in due {
            let Some((pod, node, _)) = self.binding.remove(&key) else { continue };
            self.cache.remove_pod(&key);
            match outcome {
                Ok(()) => self.bind(&pod, &node, now),
                Err(error) => {
                    self.report_error(&pod, &format!("{VOLUMES_FAILED}: {error}"), now);
                    self.queue.retry(&key, now);
                    self.queue.changed(&[Change::PodGone], now);
                }
            }
        }
        self.binding_deadline = self.binding.values().map(|(_, _, deadline)| *deadline).min();
    }

    /// Writes an Event on a pod, as the scheduler that another one asks for.
    fn tell(&mut self, now: Timestamp, of: &Pod, about: &Pod, kind: EventType, reason: &str, message: &str) {
        let asked = of.spec.as_ref().and_then(|spec| spec.scheduler_name.as_deref());
        let recorder = self.recorders.get_mut(asked.unwrap_or(DEFAULT_SCHEDULER_NAME));
        if let Some(recorder) = recorder {
            recorder.event(now, about, kind, reason, message);
        }
    }

    /// Writes from now on are because of this pod, as it was heard of.
    fn work_at(&self, pod: &PodInfo) {
        let heard = pod.pod.metadata.resource_version.as_deref().and_then(|version| version.parse().ok());
        self.client.set_cause(&pod.key.to_string(), heard.unwrap_or_default());
    }

    fn bind(&mut self, pod: &Arc<PodInfo>, node: &str, now: Timestamp) {
        let uid = pod.pod.metadata.uid.as_deref().unwrap_or_default();
        self.work_at(pod);
        match self.client.bind(&pod.key, uid, node) {
            Ok(()) => {
                self.queue.remove(&pod.key);
                let nominated = self.cache.forget_nominated(&pod.key);
                self.cache.set_pod(pod.clone(), node);
                if nominated.is_some_and(|nominated| nominated != node) {
                    self.queue.changed(&[Change::PodGone], now);
                }
                let message = format!("Successfully assigned {} to {node}", pod.key);
                self.tell(now, &pod.pod, &pod.pod, EventType::Normal, "Scheduled", &message);
            }
            Err(error) if error.is_not_found() => _ = self.forget(&pod.key),
            Err(error) => {
                let message = format!("binding rejected: running Bind plugin \"DefaultBinder\": {error}");
                self.report_error(pod, &message, now);
                self.queue.retry(&pod.key, now);
            }
        }
    }

    /// A node was found, and the pod did not come there all the same.
    fn report_error(&mut self, pod: &PodInfo, message: &str, now: Timestamp) {
        self.report_failure(&pod.pod, "SchedulerError", message, None, now);
    }

    /// No node is found: others may have to make room, and whoever looks is told why.
    fn fail(
        &mut self,
        pod: &Pod,
        info: &Arc<PodInfo>,
        profile: usize,
        prepared: &Prepared,
        decision: &mut Decision,
        now: Timestamp,
    ) {
        self.work_at(info);
        let mut message = decision.failure_message();
        let mut nominated = info.nominated_node().map(str::to_owned);
        if let Some(profile) = self.profiles.get(profile).filter(|it| it.preempts && decision.nodes > 0) {
            let budgets = self.budgets.list();
            let found =
                preemption::preempt(&mut self.cache, profile, (info, prepared), decision, &budgets, &mut self.rng);
            match found {
                Ok(candidate) => {
                    decision.nominated = Some(candidate.node.clone());
                    nominated = Some(candidate.node.to_string());
                    self.evict(info, &candidate, now);
                }
                Err(reason) => {
                    // One that waits for its victims to go keeps its place.
                    if !reason.starts_with("not eligible due to a terminating") {
                        nominated = None;
                    }
                    message = format!("{message} preemption: {reason}");
                }
            }
        }
        let before = self.cache.forget_nominated(&info.key);
        self.cache.nominate(info, nominated.as_deref());
        if before.is_some_and(|before| Some(&*before) != nominated.as_deref()) {
            self.queue.changed(&[Change::PodGone], now);
        }
        self.queue.unschedulable(&info.key, decision.rejectors(), now);
        self.report_failure(pod, "Unschedulable", &message, nominated, now);
    }

    /// Evicts the victims, and takes their hopes from less important pods that room was made for there.
    fn evict(&mut self, pod: &PodInfo, candidate: &Candidate, now: Timestamp) {
        let scheduler = pod.spec().and_then(|spec| spec.scheduler_name.as_deref()).unwrap_or(DEFAULT_SCHEDULER_NAME);
        self.unheard = true;
        for victim in candidate.victims.iter().filter(|victim| !victim.is_terminating()) {
            let condition = json!({
                "type": "DisruptionTarget",
                "status": "True",
                "reason": "PreemptionByScheduler",
                "message": format!("{scheduler}: preempting to accommodate a higher priority pod"),
                "observedGeneration": victim.pod.metadata.generation,
                "lastTransitionTime": machinery::time::format_seconds(now),
            });
            let patch = Patch::Strategic(json!({ "status": { "conditions": [condition] } }));
            let options = DeleteOptions::uid(victim.pod.metadata.uid.clone().unwrap_or_default());
            let gone = self.client.patch_status::<Pod>(&victim.key, &patch).map(drop);
            if gone.and_then(|()| self.client.delete::<Pod>(&victim.key, &options)).is_ok() {
                let uid = pod.pod.metadata.uid.as_deref().unwrap_or_default();
                let message = format!("Preempted by pod {uid} on node {}", candidate.node);
                self.tell(now, &pod.pod, &victim.pod, EventType::Normal, "Preempted", &message);
            }
        }
        let hopes =
            self.cache.nominated().filter(|(it, node)| *node == &*candidate.node && it.priority() < pod.priority());
        let hopes: Vec<ObjectKey> = hopes.map(|(it, _)| it.key.clone()).collect();
        for key in hopes {
            self.cache.forget_nominated(&key);
            self.queue.changed(&[Change::PodGone], now);
            let patch = Patch::Merge(json!({ "status": { "nominatedNodeName": null } }));
            // One that is gone has no hopes.
            let _ = self.client.patch_status::<Pod>(&key, &patch);
        }
    }

    fn report_failure(&mut self, pod: &Pod, reason: &str, message: &str, nominated: Option<String>, now: Timestamp) {
        self.tell(now, pod, pod, EventType::Warning, "FailedScheduling", message);
        let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
        let current = conditions.into_iter().flatten().find(|condition| condition.type_ == "PodScheduled");
        let before = pod.status.as_ref().and_then(|status| status.nominated_node_name.clone());
        let nominated = nominated.filter(|name| !name.is_empty());
        if before.filter(|name| !name.is_empty()) == nominated
            && current.is_some_and(|it| {
                it.status == "False" && it.reason.as_deref() == Some(reason) && it.message.as_deref() == Some(message)
            })
        {
            return;
        }
        let since = current.filter(|it| it.status == "False").and_then(|it| it.last_transition_time.clone());
        let since = since.map_or(now, |time| time.0);
        let patch = json!({"status": {
            "nominatedNodeName": nominated.map_or(Value::Null, Value::String),
            "conditions": [{
                "type": "PodScheduled",
                "status": "False",
                "reason": reason,
                "message": message,
                "observedGeneration": pod.metadata.generation,
                "lastProbeTime": null,
                "lastTransitionTime": machinery::time::format_seconds(since),
            }],
        }});
        // A failed report is made again with the next attempt.
        let _ = self.client.patch_status::<Pod>(&client::key_of(pod), &Patch::Strategic(patch));
    }
}

impl Component for Scheduler {
    fn name(&self) -> &str {
        "kube-scheduler"
    }

    fn poll(&mut self, cx: &mut Context<'_>) {
        self.observe(cx);
        let read = self.nodes.synced() && self.pods.synced() && self.namespaces.synced() && self.budgets.synced();
        if !read || !self.selectors.synced() || !self.storage.synced() {
            return;
        }
        let overdue = self.binding_deadline.is_some_and(|deadline| deadline <= cx.now());
        if std::mem::take(&mut self.binding_news) || overdue {
            self.finish_binding(cx.now());
        }
        self.unheard = false;
        for _ in 0..PODS_PER_POLL {
            let Some(key) = self.queue.pop(cx.now()) else { break };
            self.schedule(&key, cx.now());
            if self.unheard {
                break;
            }
        }
        if let Some(deadline) = self.binding_deadline {
            cx.wake_at(deadline);
        }
        if self.queue.is_ready() {
            cx.wake_now();
        } else if let Some(deadline) = self.queue.next_deadline() {
            cx.wake_at(deadline);
        }
    }
}

/// The profile that a pod asks for.
fn profile_of(profiles: &[Profile], pod: &Pod) -> Option<usize> {
    let name = pod.spec.as_ref()?.scheduler_name.as_deref().unwrap_or(DEFAULT_SCHEDULER_NAME);
    profiles.iter().position(|profile| profile.name == name)
}

/// The first plugin that says that the pod cannot run on a node, and why.
pub(crate) fn first_rejection(
    profile: &Profile,
    cycle: &Cycle<'_>,
    node: &NodeInfo,
) -> Option<(&'static str, Rejection)> {
    profile.filters.iter().find_map(|it| it.filter(cycle, node).err().map(|rejection| (it.name(), rejection)))
}

/// The same, of these plugins.
fn rejection(filters: &[&dyn Filter], cycle: &Cycle<'_>, node: &NodeInfo) -> Option<(&'static str, Rejection)> {
    filters.iter().find_map(|it| it.filter(cycle, node).err().map(|rejection| (it.name(), rejection)))
}

/// Looks at nodes until enough are found; the last it looked at.
fn search<'a>(
    filters: &[&dyn Filter],
    cycle: &Cycle<'_>,
    nodes: impl Iterator<Item = &'a NodeInfo>,
    enough: usize,
    feasible: &mut Vec<&'a NodeInfo>,
    decision: &mut Decision,
) -> Option<Arc<str>> {
    let mut last = None;
    for node in nodes {
        if feasible.len() == enough {
            break;
        }
        last = Some(&node.name);
        match rejection(filters, cycle, node) {
            None => feasible.push(node),
            Some((plugin, rejection)) => decision.filtered.push((node.name.clone(), plugin, rejection)),
        }
    }
    last.cloned()
}

/// Weighted, normalized scores: for each node a row with each plugin's.
fn score(profile: &Profile, cycle: &Cycle<'_>, nodes: &[&NodeInfo]) -> Vec<i64> {
    // With one node there is nothing to compare.
    if nodes.len() < 2 {
        return Vec::new();
    }
    let width = profile.scorers.len();
    let mut all = vec![0; nodes.len() * width];
    let mut scores = Vec::with_capacity(nodes.len());
    for (column, (plugin, weight)) in profile.scorers.iter().enumerate() {
        if plugin.skips(cycle) {
            continue;
        }
        scores.clear();
        scores.extend(nodes.iter().map(|node| plugin.score(cycle, node)));
        plugin.normalize(cycle, nodes, &mut scores);
        for (row, score) in all.chunks_mut(width).zip(&scores) {
            if let Some(cell) = row.get_mut(column) {
                *cell = score * weight;
            }
        }
    }
    all
}

fn feasible_nodes_to_find(nodes: usize, percentage: usize) -> usize {
    if nodes < FEASIBLE_NODES_MIN {
        return nodes;
    }
    let adaptive = 50usize.saturating_sub(nodes / 125).max(FEASIBLE_PERCENTAGE_MIN);
    let percentage = if percentage == 0 { adaptive } else { percentage.min(100) };
    (nodes * percentage / 100).max(FEASIBLE_NODES_MIN)
}

/// What of a pod decides where it fits, and whether it still has to go somewhere: not its status, which
/// this scheduler writes itself.
fn schedulable_needs(pod: &Pod) -> impl PartialEq + '_ {
    (&pod.spec, &pod.metadata.labels, &pod.metadata.deletion_timestamp)
}

/// What of a node decides whether pods fit: not its heartbeats.
fn schedulable_traits(node: &Node) -> impl PartialEq + '_ {
    let spec = node.spec.as_ref();
    (
        &node.metadata.labels,
        spec.and_then(|spec| spec.taints.as_ref()),
        spec.and_then(|spec| spec.unschedulable),
        node.status.as_ref().and_then(|status| status.allocatable.as_ref()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_clusters_are_searched_whole_and_large_ones_in_part() {
        for (nodes, expected) in [(3, 3), (99, 99), (100, 100), (1000, 420), (5000, 500), (15000, 750)] {
            assert_eq!(feasible_nodes_to_find(nodes, 0), expected, "{nodes} nodes");
        }
        assert_eq!(feasible_nodes_to_find(1000, 30), 300);
    }
}
