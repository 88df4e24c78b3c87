//! What passes between the cluster's parts, as the control API's trace tells it.

use std::cell::{Cell, Ref, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use futures::StreamExt;
use gloo::timers::future::TimeoutFuture;
use playground_control::{Hop, HopKind};
use playground_lesson::is_like;

use crate::api::{Api, Call};
use crate::following::Following;
use crate::story::Log;
use crate::text::{ASKS, AT_REVISION, HEARS, STORES, TELLS};

/// How many hops are kept for the list in words.
const KEPT_MAX: usize = 300;
/// Changes that come closer than this are one change: a command may make many.
const ONE_CHANGE_MS: f64 = 700.0;
/// How many changes the timeline reaches back.
const WRITES_MAX: usize = 5_000;
const RETRY_MS: u32 = 1_000;

/// The last hops, and how many there have been.
#[derive(Default)]
pub struct Trace {
    hops: RefCell<VecDeque<Rc<Hop>>>,
    count: Cell<usize>,
    writes: RefCell<Vec<Write>>,
    log: RefCell<Log>,
    /// The last request of a person, by its number.
    asked: Cell<Option<u64>>,
    following: Following,
}

/// A change that the store keeps.
#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    /// The store's revision after it.
    pub revision: u64,
    /// When, in the cluster's time.
    pub time: String,
    /// What was done.
    pub verb: String,
    /// The object, as `resource/namespace/name`.
    pub object: String,
    /// When the page heard of it, in milliseconds since 1970, where a person's command has made it.
    pub by_person_ms: Option<f64>,
}

/// Where undoing the last change of a person leads.
#[derive(Clone, Debug, PartialEq)]
pub struct UndoPoint {
    /// The revision before it.
    pub revision: u64,
    /// The cluster's time then.
    pub time: String,
    /// What was changed, as `create deployments/default/web`.
    pub what: String,
}

impl Trace {
    /// Reads the trace until the page goes or [`Trace::leave`], calling back after each hop worth telling.
    pub fn follow(self: &Rc<Self>, api: &Api, on_hop: impl Fn() + 'static) {
        let (trace, api) = (Rc::clone(self), api.clone());
        self.following.start(async move {
            loop {
                if let Ok(answer) = api.send(Call::get("/playground/v1/trace")).await
                    && answer.status == 200
                {
                    let mut lines = answer.lines();
                    while let Some(line) = lines.next().await {
                        if let Ok(hop) = serde_json::from_slice::<Hop>(&line)
                            && worth_telling(&hop)
                        {
                            trace.push(hop);
                            on_hop();
                        }
                    }
                }
                TimeoutFuture::new(RETRY_MS).await;
            }
        });
    }

    /// Nobody looks any more: it is not read on.
    pub fn leave(&self) {
        self.following.end();
    }

    /// Adds a hop.
    pub fn push(&self, hop: Hop) {
        if hop.kind == HopKind::Request && matches!(hop.from.as_str(), "kubectl" | "page") {
            self.asked.set(Some(hop.sequence));
        }
        if let (HopKind::Write, Some(revision)) = (hop.kind, hop.revision) {
            let by_person = hop.cause.is_some() && hop.cause == self.asked.get();
            let mut writes = self.writes.borrow_mut();
            if writes.last().is_none_or(|last| last.revision < revision) {
                if writes.len() == WRITES_MAX {
                    // Many at once: each time, all others move up.
                    writes.drain(..WRITES_MAX / 5);
                }
                let (verb, object) = (hop.verb.clone(), hop.object.clone());
                let by_person_ms = by_person.then(js_sys::Date::now);
                writes.push(Write { revision, time: hop.time.clone(), verb, object, by_person_ms });
            }
        }
        self.log.borrow_mut().push(&hop);
        let mut hops = self.hops.borrow_mut();
        for leg in legs(hop) {
            if hops.len() == KEPT_MAX {
                hops.pop_front();
            }
            hops.push_back(Rc::new(leg));
            self.count.set(self.count.get() + 1);
        }
    }

    /// The changes since the page came, by revision.
    pub fn writes(&self) -> Ref<'_, Vec<Write>> {
        self.writes.borrow()
    }

    /// What stories are made of.
    pub fn log(&self) -> Ref<'_, Log> {
        self.log.borrow()
    }

    /// Where undoing leads; nowhere while no person has changed anything.
    pub fn undo_point(&self) -> Option<UndoPoint> {
        let writes = self.writes.borrow();
        let mut first = None::<(f64, &Write)>;
        for write in writes.iter().rev() {
            match (write.by_person_ms, first) {
                (Some(ms), None) => first = Some((ms, write)),
                (Some(ms), Some((later, _))) if later - ms < ONE_CHANGE_MS => first = Some((ms, write)),
                (Some(_), Some(_)) => break,
                (None, _) => {}
            }
        }
        let (_, write) = first?;
        let what = format!("{} {}", write.verb, write.object);
        Some(UndoPoint { revision: write.revision.saturating_sub(1), time: write.time.clone(), what })
    }

    /// How many hops there have been: a position to give to [`Trace::since`].
    pub fn count(&self) -> usize {
        self.count.get()
    }

    /// The hops after a position, as far as they are kept.
    pub fn since(&self, position: usize) -> Vec<Rc<Hop>> {
        let hops = self.hops.borrow();
        let new = self.count.get().saturating_sub(position).min(hops.len());
        hops.iter().skip(hops.len() - new).cloned().collect()
    }

    /// Whether the cluster's network has carried something without error to a part, such as
    /// `service/default/web`; a `*` stands for anything.
    pub fn reached(&self, part: &str) -> bool {
        self.hops
            .borrow()
            .iter()
            .any(|hop| hop.kind == HopKind::Network && hop.error.is_none() && is_like(&hop.to, part))
    }

    /// Whether kubectl has asked the API server with this verb for an object whose address is like
    /// this.
    pub fn asked(&self, verb: &str, object: &str) -> bool {
        let asked = |hop: &Rc<Hop>| hop.from == "kubectl" && hop.verb == verb && is_like(&hop.object, object);
        self.hops.borrow().iter().any(|hop| hop.kind == HopKind::Request && asked(hop))
    }
}

/// A connection by way of a Service has two legs: to the Service, and on to what is behind it.
fn legs(hop: Hop) -> Vec<Hop> {
    if hop.kind != HopKind::Network || !hop.object.starts_with("service/") || hop.to == hop.object {
        return vec![hop];
    }
    let mut first = Hop { to: hop.object.clone(), object: String::new(), ..hop.clone() };
    if hop.error.is_some() {
        return vec![first];
    }
    first.error = None;
    let second = Hop { from: hop.object.clone(), object: String::new(), ..hop };
    vec![first, second]
}

/// Heartbeats, bookmarks and the standing reads of components would drown everything else.
fn worth_telling(hop: &Hop) -> bool {
    let resource = hop.object.split('/').next().unwrap_or_default();
    if hop.kind == HopKind::Watch && hop.verb == BOOKMARK {
        return false;
    }
    let read = hop.kind == HopKind::Request && matches!(hop.verb.as_str(), "get" | "list" | "watch");
    resource != "leases" && resource != "events" && (!read || hop.from == "kubectl")
}

/// A hop in words.
pub fn sentence(hop: &Hop) -> String {
    let object = if hop.object.is_empty() { String::new() } else { format!(" {}", hop.object) };
    let verb = &hop.verb;
    let mut words = match hop.kind {
        HopKind::Request => ASKS.with(&[&hop.from, verb, &object]),
        HopKind::Write => STORES.with(&[&object]),
        HopKind::Watch => HEARS.with(&[&hop.to, verb, &object]),
        HopKind::Runtime => TELLS.with(&[&hop.from, verb, &object]),
        HopKind::Network => format!("{} → {}: {verb}", hop.from, hop.to),
    };
    if let Some(revision) = hop.revision {
        words.push_str(&AT_REVISION.with(&[&revision.to_string()]));
    }
    if let Some(error) = &hop.error {
        words.push_str(&format!(": {error}"));
    }
    words
}

/// The event of a watch that tells of a revision alone.
const BOOKMARK: &str = "BOOKMARK";

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;

    fn hop(kind: HopKind, verb: &str, object: &str) -> Hop {
        Hop {
            sequence: 1,
            kind,
            from: "replicaset-controller".into(),
            to: "service/default/web".into(),
            verb: verb.into(),
            object: object.into(),
            ..Hop::default()
        }
    }

    #[wasm_bindgen_test]
    fn heartbeats_and_reads_are_not_told() {
        assert!(worth_telling(&hop(HopKind::Request, "create", "pods/default/web")));
        assert!(!worth_telling(&hop(HopKind::Request, "list", "pods")));
        assert!(worth_telling(&hop(HopKind::Watch, "ADDED", "pods/default/web")));
        assert!(!worth_telling(&hop(HopKind::Watch, "BOOKMARK", "networkpolicies")));
        assert!(!worth_telling(&hop(HopKind::Request, "update", "leases/kube-node-lease/n1")));
    }

    #[wasm_bindgen_test]
    fn undo_goes_to_before_the_last_command() {
        let trace = Trace::default();
        let write = |sequence: u64, from: &str, object: &str| {
            trace.push(Hop { sequence, from: from.into(), ..hop(HopKind::Request, "create", object) });
            let revision = Some(sequence * 10);
            trace.push(Hop { revision, cause: Some(sequence), ..hop(HopKind::Write, "create", object) });
        };
        write(1, "replicaset-controller", "pods/default/web-1");
        assert_eq!(trace.undo_point(), None);
        write(2, "kubectl", "deployments/default/web");
        write(3, "deployment-controller", "replicasets/default/web-1");
        write(4, "kubectl", "services/default/web");
        write(5, "kubelet", "pods/default/web-1/status");
        let point = trace.undo_point().unwrap();
        assert_eq!((point.revision, point.what.as_str()), (19, "create deployments/default/web"));
    }

    #[wasm_bindgen_test]
    fn positions_survive_forgetting() {
        let trace = Trace::default();
        for _ in 0..KEPT_MAX + 5 {
            trace.push(hop(HopKind::Network, "GET /", ""));
        }
        assert_eq!(trace.since(trace.count() - 2).len(), 2);
        assert_eq!(trace.since(0).len(), KEPT_MAX);
        assert!(trace.reached("service/default/web") && !trace.reached("service/default/other"));
    }

    #[wasm_bindgen_test]
    fn a_connection_by_a_service_has_two_legs() {
        let trace = Trace::default();
        let to = "pod/default/web-1".to_owned();
        trace.push(Hop { to: to.clone(), ..hop(HopKind::Network, "connect", "service/default/web") });
        let hops = trace.since(0);
        assert_eq!((hops[0].to.as_str(), hops[1].from.as_str()), ("service/default/web", "service/default/web"));
        assert_eq!(hops[1].to, to);
    }
}
