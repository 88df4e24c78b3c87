//! Which acts are one story: each write names the revision because of which its writer acted, so that a story is a
//! tree of revisions under what a person, or a clock, began.

use std::collections::BTreeMap;
use std::rc::Rc;

use playground_control::HopKind;

use super::log::{Act, Log};

/// A part that acts again on the same object without a new reason (its runtime is ready, its timer is due) goes on
/// with the object's story for this long, in milliseconds of the cluster's time.
const GOES_ON_MS: f64 = 120_000.0;
/// Calls of one command line are one story, if they come this close.
const ONE_COMMAND_MS: f64 = 15_000.0;

/// A story.
#[derive(Clone, Debug, PartialEq)]
pub struct Chain {
    /// The number of its first act, by which it is known.
    pub id: u64,
    /// The command line, or what was asked.
    pub title: String,
    /// Whether a person began it.
    pub by_person: bool,
    /// When it began, in the cluster's time.
    pub time: String,
    /// What happened, in its order.
    pub steps: Vec<Step>,
}

/// A step of a story.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// A part hears of a change, and will act.
    Hear {
        /// The part.
        who: String,
        /// The object, as `resource/namespace/name`.
        object: String,
        /// The change.
        revision: u64,
    },
    /// Acts of one part that are alike: calls to the API server, or to a container runtime.
    Do(Vec<Act>),
}

impl Step {
    /// The acts; none for what is only heard.
    pub fn acts(&self) -> &[Act] {
        match self {
            Self::Hear { .. } => &[],
            Self::Do(acts) => acts,
        }
    }

    /// The revision after which the cluster looks as this step left it.
    pub fn revision(&self) -> Option<u64> {
        match self {
            Self::Hear { revision, .. } => Some(*revision),
            Self::Do(acts) => acts.iter().rev().find_map(|act| act.revision),
        }
    }
}

/// Whether a name is a part of the cluster, not somebody who uses it.
pub fn is_part(name: &str) -> bool {
    name.starts_with("kubelet/")
        || name.starts_with("kube-")
        || name.ends_with("-controller")
        || matches!(
            name,
            "local-path-provisioner" | "metrics-server" | "ingress-nginx" | "addon-manager" | "playground"
        )
}

/// What a story grows by while acts are read.
struct Growing {
    chain: Chain,
    last_ms: f64,
}

/// A revision: its story, its object, and who needs not be told of it (any more), its writer first.
struct Written {
    of: usize,
    object: Rc<str>,
    told: Vec<String>,
}

/// The stories that are known, oldest first.
pub fn chains(log: &Log) -> Vec<Chain> {
    let mut stories: Vec<Growing> = Vec::new();
    let mut written: BTreeMap<u64, Written> = BTreeMap::new();
    // By object: its last revision.
    let mut newest: BTreeMap<Rc<str>, u64> = BTreeMap::new();
    for act in log.acts() {
        let hop = &act.hop;
        let now_ms = js_sys::Date::parse(&hop.time);
        let object: Rc<str> = base(&hop.object).into();
        let part = is_part(&hop.from);
        let last = newest.get(&object).copied();
        let reason = hop.because.filter(|revision| written.contains_key(revision)).or(last.filter(|_| part));
        let goes_on = |of: usize| hop.because.is_some() || now_ms - stories[of].last_ms < GOES_ON_MS;
        let story = match reason.and_then(|revision| Some((revision, written.get(&revision)?.of))) {
            Some((revision, of)) if part && goes_on(of) => Some((of, Some(revision))),
            _ if part => None,
            _ => {
                let same = stories.iter().rposition(|story| story.chain.by_person);
                let same = same.filter(|of| {
                    let story = &stories[*of];
                    hop.command.is_some()
                        && hop.command.as_deref() == Some(story.chain.title.as_str())
                        && now_ms - story.last_ms < ONE_COMMAND_MS
                });
                same.map(|of| (of, None))
            }
        };
        let (of, reason) = match story {
            Some(found) => found,
            None => {
                // What came to nothing and has no reason tells nothing.
                if act.revision.is_none() && hop.kind == HopKind::Request && part {
                    continue;
                }
                let asked = || format!("{} {}", hop.verb, hop.object);
                stories.push(Growing {
                    chain: Chain {
                        id: hop.sequence,
                        title: hop.command.clone().unwrap_or_else(asked),
                        by_person: !part,
                        time: hop.time.clone(),
                        steps: Vec::new(),
                    },
                    last_ms: now_ms,
                });
                (stories.len() - 1, None)
            }
        };
        let story = &mut stories[of];
        story.last_ms = now_ms;
        // A call that changed nothing is not worth a step, unless it was refused or it is all there is.
        let idle = act.revision.is_none() && hop.kind == HopKind::Request && hop.error.is_none();
        if idle && !story.chain.steps.is_empty() {
            continue;
        }
        let heard = reason.filter(|_| hop.kind == HopKind::Request).and_then(|revision| {
            let of = written.get_mut(&revision)?;
            if of.told.contains(&hop.from) {
                return None;
            }
            of.told.push(hop.from.clone());
            Some(Step::Hear { who: hop.from.clone(), object: of.object.to_string(), revision })
        });
        add(&mut story.chain.steps, heard, act.clone());
        if let Some(revision) = act.revision {
            written.insert(revision, Written { of, object: object.clone(), told: vec![hop.from.clone()] });
            newest.insert(object, revision);
        }
    }
    stories.into_iter().map(|story| story.chain).collect()
}

/// Adds a step, or to the last one where it is like it: three pods that are bound are one step.
fn add(steps: &mut Vec<Step>, heard: Option<Step>, act: Act) {
    let alike = |a: &Act, b: &Act| {
        let kind = |act: &Act| act.hop.object.split('/').next().map(str::to_owned);
        a.hop.kind == b.hop.kind
            && a.hop.verb == b.hop.verb
            && a.hop.from == b.hop.from
            && kind(a) == kind(b)
            && tail(&a.hop.object) == tail(&b.hop.object)
            && a.hop.error.is_some() == b.hop.error.is_some()
            && a.hop.object != b.hop.object
    };
    let hears_alike = |a: &Step, b: &Step| match (a, b) {
        (Step::Hear { who, object, .. }, Step::Hear { who: other, object: of, .. }) => {
            who == other && object.split('/').next() == of.split('/').next()
        }
        _ => false,
    };
    let joins = match (&heard, &mut steps[..]) {
        (Some(heard), [.., before, Step::Do(acts)]) => {
            hears_alike(before, heard) && acts.last().is_some_and(|last| alike(last, &act))
        }
        (None, [.., Step::Do(acts)]) => acts.last().is_some_and(|last| alike(last, &act)),
        _ => false,
    };
    match steps.last_mut() {
        Some(Step::Do(acts)) if joins => acts.push(act),
        _ => {
            steps.extend(heard);
            steps.push(Step::Do(vec![act]));
        }
    }
}

/// `resource/namespace/name` without a subresource.
pub fn base(object: &str) -> String {
    let parts: Vec<&str> = object.split('/').collect();
    match (parts.len(), tail(object)) {
        (_, "") => object.to_owned(),
        (count, _) => parts[..count - 1].join("/"),
    }
}

/// The subresource of `resource/namespace/name/subresource` or `resource/name/subresource`.
fn tail(object: &str) -> &str {
    const SUBRESOURCES: [&str; 10] = [
        "status",
        "binding",
        "scale",
        "eviction",
        "token",
        "approval",
        "finalize",
        "resize",
        "ephemeralcontainers",
        "exec",
    ];
    let last = object.rsplit('/').next().unwrap_or_default();
    let count = object.split('/').count();
    if count > 3 || (count == 3 && SUBRESOURCES.contains(&last) && object.starts_with("nodes/")) { last } else { "" }
}

#[cfg(test)]
mod tests {
    use playground_control::Hop;
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;

    fn call(log: &mut Log, sequence: u64, from: &str, object: &str, because: u64, revision: u64) {
        let command = (from == "kubectl").then(|| "kubectl create deployment web".to_owned());
        let hop = Hop {
            sequence,
            time: format!("2026-01-01T00:00:{:02}Z", sequence / 10),
            from: from.into(),
            verb: "create".into(),
            object: object.into(),
            because: (because > 0).then_some(because),
            command,
            ..Hop::default()
        };
        log.push(&hop);
        log.push(&Hop {
            kind: HopKind::Write,
            revision: Some(revision),
            cause: Some(sequence),
            sequence: sequence + 1,
            ..hop
        });
    }

    #[wasm_bindgen_test]
    fn a_story_goes_from_the_command_by_those_who_heard() {
        let mut log = Log::default();
        call(&mut log, 10, "kubectl", "deployments/default/web", 0, 100);
        call(&mut log, 20, "deployment-controller", "replicasets/default/web-1", 100, 101);
        // Somebody else's business at the same time.
        call(&mut log, 25, "kubectl-2", "configmaps/default/words", 0, 102);
        call(&mut log, 30, "replicaset-controller", "pods/default/web-1-a", 101, 103);
        call(&mut log, 40, "replicaset-controller", "pods/default/web-1-b", 101, 104);
        call(&mut log, 50, "kube-scheduler", "pods/default/web-1-a/binding", 103, 105);
        call(&mut log, 60, "kube-scheduler", "pods/default/web-1-b/binding", 104, 106);
        // Nothing was changed: the answer has an old revision.
        call(&mut log, 70, "deployment-controller", "deployments/default/web/status", 101, 101);
        let found = chains(&log);
        assert_eq!(found.len(), 2);
        let story = &found[0];
        assert_eq!((story.title.as_str(), story.by_person), ("kubectl create deployment web", true));
        let shape: Vec<String> = story
            .steps
            .iter()
            .map(|step| match step {
                Step::Hear { who, object, .. } => format!("{who} hears {object}"),
                Step::Do(acts) => format!("{} ×{}", acts[0].hop.from, acts.len()),
            })
            .collect();
        let expected = [
            "kubectl ×1",
            "deployment-controller hears deployments/default/web",
            "deployment-controller ×1",
            "replicaset-controller hears replicasets/default/web-1",
            "replicaset-controller ×2",
            "kube-scheduler hears pods/default/web-1-a",
            "kube-scheduler ×2",
        ];
        assert_eq!(shape, expected);
    }

    #[wasm_bindgen_test]
    fn subresources_belong_to_their_objects() {
        assert_eq!(base("pods/default/web/status"), "pods/default/web");
        assert_eq!(base("nodes/worker/status"), "nodes/worker");
        assert_eq!(base("pods/default/status"), "pods/default/status");
    }
}
