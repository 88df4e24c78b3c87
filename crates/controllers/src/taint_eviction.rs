//! Evicts pods from nodes whose NoExecute taints they do not tolerate, or no longer
//! (`pkg/controller/tainteviction`).

use std::collections::BTreeMap;
use std::time::Duration;

use client::{Client, Context, DeleteOptions, Event, EventRecorder, EventType, Informer, Patch, key_of};
use k8s_openapi::api::core::v1::{Node, Pod, Taint, Toleration};
use machinery::status::ApiError;
use machinery::time::{after, meta_time};
use machinery::{ObjectKey, Timestamp};
use serde_json::json;

use crate::Setup;
use crate::controller::{Controller, Queue};
use crate::pods::{self, BY_NODE};

/// The controller that evicts pods; its keys are pods.
pub struct TaintEvictionController {
    client: Client,
    recorder: EventRecorder,
    pods: Informer<Pod>,
    nodes: Informer<Node>,
    /// Since when a pod is on a tainted node, for those that tolerate it for a time.
    since: BTreeMap<ObjectKey, Timestamp>,
}

impl TaintEvictionController {
    /// From the process's informers.
    pub fn new(setup: &Setup, client: &Client) -> Self {
        Self {
            client: client.clone(),
            recorder: EventRecorder::new(client.clone(), "taint-eviction-controller", ""),
            pods: setup.informers.informer().indexed(BY_NODE, pods::node_of),
            nodes: setup.informers.informer(),
            since: BTreeMap::new(),
        }
    }

    fn evict(&mut self, key: &ObjectKey, pod: &Pod, now: Timestamp) -> Result<(), ApiError> {
        let message = format!("Marking for deletion Pod {key}");
        self.recorder.event(now, pod, EventType::Normal, "TaintManagerEviction", &message);
        let condition = json!({
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "DeletionByTaintManager",
            "message": "Taint manager: deleting due to NoExecute taint",
            "observedGeneration": pod.metadata.generation,
            "lastTransitionTime": meta_time(now),
        });
        let patch = Patch::Strategic(json!({ "status": { "conditions": [condition] } }));
        let marked = self.client.patch_status::<Pod>(key, &patch).map(drop);
        let deleted = marked.and_then(|()| self.client.delete::<Pod>(key, &DeleteOptions::uid(pods::uid(pod))));
        match deleted {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }
}

impl Controller for TaintEvictionController {
    type Key = ObjectKey;

    fn observe(&mut self, cx: &mut Context<'_>, queue: &mut Queue) {
        for event in self.nodes.poll(cx) {
            let before = match &event {
                Event::Updated { old, .. } => no_execute(old),
                _ => Vec::new(),
            };
            let node = event.object();
            if before != no_execute(node) {
                for pod in self.pods.by_index(BY_NODE, pods::name(&**node)) {
                    queue.add_for(key_of(&*pod), &**node);
                }
            }
        }
        for event in self.pods.poll(cx) {
            let pod = event.object();
            if matches!(event, Event::Deleted(_)) {
                self.since.remove(&key_of(&**pod));
                continue;
            }
            let moved = match &event {
                Event::Updated { old, new } => {
                    pods::node_name(old) != pods::node_name(new) || tolerations(old) != tolerations(new)
                }
                _ => true,
            };
            let node = pods::node_name(pod);
            if !moved || node.is_empty() {
                continue;
            }
            // Most nodes keep no pod away. When one begins to, its pods are looked at.
            let key = key_of(&**pod);
            let is_tainted = self.nodes.get_named(node).is_some_and(|node| !no_execute(&node).is_empty());
            if is_tainted || self.since.contains_key(&key) {
                queue.add_for(key, &**pod);
            }
        }
    }

    fn synced(&self) -> bool {
        self.pods.synced() && self.nodes.synced()
    }

    fn sync(&mut self, key: &ObjectKey, queue: &mut Queue) -> Result<(), ApiError> {
        let now = queue.now();
        let Some(pod) = self.pods.get(key).filter(|pod| !pods::is_deleting(&**pod)) else { return Ok(()) };
        let taints = self.nodes.get_named(pods::node_name(&pod)).map(|node| no_execute(&node)).unwrap_or_default();
        match tolerated_for(&taints, tolerations(&pod)) {
            Tolerated::Forever => {
                if self.since.remove(key).is_some() {
                    let message = format!("Cancelling deletion of Pod {key}");
                    self.recorder.event(now, &*pod, EventType::Normal, "TaintManagerEviction", &message);
                }
                Ok(())
            }
            Tolerated::For(duration) => {
                let time = after(*self.since.entry(key.clone()).or_insert(now), duration);
                if time > now {
                    queue.add_at(key.clone(), time);
                    return Ok(());
                }
                self.evict(key, &pod, now)
            }
        }
    }
}

#[derive(Debug, PartialEq)]
enum Tolerated {
    Forever,
    For(Duration),
}

/// For how long all the taints are tolerated: of the first toleration of each, as the least patient says.
fn tolerated_for(taints: &[Taint], tolerations: &[Toleration]) -> Tolerated {
    let mut shortest: Option<i64> = None;
    for taint in taints {
        let Some(toleration) = tolerations.iter().find(|toleration| tolerates(toleration, taint)) else {
            return Tolerated::For(Duration::ZERO);
        };
        shortest = [shortest, toleration.toleration_seconds].into_iter().flatten().min();
    }
    match shortest {
        None => Tolerated::Forever,
        Some(seconds) => Tolerated::For(Duration::from_secs(u64::try_from(seconds).unwrap_or(0))),
    }
}

/// Whether the toleration is for this taint (`ToleratesTaint`).
pub fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let is = |wanted: &Option<String>, value: &str| {
        wanted.as_deref().is_none_or(|wanted| wanted.is_empty() || wanted == value)
    };
    if !is(&toleration.effect, &taint.effect) || !is(&toleration.key, &taint.key) {
        return false;
    }
    match toleration.operator.as_deref().unwrap_or("Equal") {
        "Exists" => true,
        "" | "Equal" => toleration.value.as_deref().unwrap_or_default() == taint.value.as_deref().unwrap_or_default(),
        _ => false,
    }
}

fn tolerations(pod: &Pod) -> &[Toleration] {
    pod.spec.as_ref().and_then(|spec| spec.tolerations.as_deref()).unwrap_or_default()
}

fn no_execute(node: &Node) -> Vec<Taint> {
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
    taints.iter().filter(|taint| taint.effect == "NoExecute").cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_patient_toleration_counts() {
        let taint = |key: &str| Taint { key: key.into(), effect: "NoExecute".into(), ..Taint::default() };
        let toleration = |key: &str, seconds: Option<i64>| Toleration {
            key: Some(key.into()),
            operator: Some("Exists".into()),
            toleration_seconds: seconds,
            ..Toleration::default()
        };
        let seconds = |seconds| Tolerated::For(Duration::from_secs(seconds));
        assert_eq!(tolerated_for(&[], &[]), Tolerated::Forever);
        assert_eq!(tolerated_for(&[taint("a")], &[]), seconds(0));
        assert_eq!(tolerated_for(&[taint("a")], &[toleration("a", Some(300))]), seconds(300));
        assert_eq!(tolerated_for(&[taint("a")], &[toleration("a", None)]), Tolerated::Forever);
        let both = [toleration("a", Some(300)), toleration("b", Some(20))];
        assert_eq!(tolerated_for(&[taint("a"), taint("b")], &both), seconds(20));
        assert_eq!(tolerated_for(&[taint("a"), taint("c")], &both), seconds(0));
        let twice = [toleration("a", None), toleration("a", Some(20))];
        assert_eq!(tolerated_for(&[taint("a")], &twice), Tolerated::Forever, "the first of a taint's");
    }
}
