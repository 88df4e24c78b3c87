//! What the page knows of the cluster: the objects of a few kinds, kept current by watches.

mod object;
mod past;
mod reflect;
mod shown;

use std::cell::{Cell, Ref, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::{Rc, Weak};

use gloo::render::{AnimationFrame, request_animation_frame};

use crate::following::Following;
pub use object::{Object, at, items, text};
pub use shown::Shown;

/// With more pods than this, the page is drawn anew less often than the browser draws: the map's motion goes on.
const MANY: usize = 400;
const MANY_APART_MS: f64 = 80.0;
/// The same for more than ten times as many.
const MANY_MORE_APART_MS: f64 = 400.0;

/// How many deleted objects are remembered, for lessons that ask whether something was deleted.
const GONE_MAX: usize = 200;

/// The objects of each watched resource by `namespace/name`, or `name` where there is no namespace.
#[derive(Clone, Default)]
pub struct Snapshot {
    resources: BTreeMap<String, BTreeMap<String, Rc<Object>>>,
    gone: VecDeque<(String, Rc<Object>)>,
    powerless: BTreeSet<String>,
}

impl Snapshot {
    /// The objects of a resource in key order.
    pub fn list(&self, resource: &str) -> impl Iterator<Item = &Rc<Object>> {
        self.resources.get(resource).into_iter().flat_map(BTreeMap::values)
    }

    /// One object.
    pub fn get(&self, resource: &str, key: &str) -> Option<&Rc<Object>> {
        self.resources.get(resource)?.get(key)
    }

    /// The last state of objects of a resource that have been deleted.
    pub fn gone(&self, resource: &str) -> impl Iterator<Item = &Rc<Object>> {
        self.gone.iter().filter(move |(name, _)| name == resource).map(|(_, object)| object)
    }

    /// Whether a node has lost its power, which Kubernetes notices only later.
    pub fn is_powerless(&self, node: &str) -> bool {
        self.powerless.contains(node)
    }

    /// Puts an object in, or its new state.
    pub fn put(&mut self, resource: &str, object: Object) {
        self.resources.entry(resource.into()).or_default().insert(object.key(), Rc::new(object));
    }

    /// Takes an object out and remembers it as gone.
    pub fn remove(&mut self, resource: &str, key: &str) {
        let Some(object) = self.resources.get_mut(resource).and_then(|objects| objects.remove(key)) else { return };
        if self.gone.len() == GONE_MAX {
            self.gone.pop_front();
        }
        self.gone.push_back((resource.into(), object));
    }

    /// Puts a whole list in; what it does not have is gone.
    pub fn replace(&mut self, resource: &str, objects: Vec<Object>) {
        let keys: BTreeSet<String> = objects.iter().map(Object::key).collect();
        let known: Vec<String> =
            self.resources.get(resource).map(|known| known.keys().cloned().collect()).unwrap_or_default();
        for key in known.iter().filter(|key| !keys.contains(*key)) {
            self.remove(resource, key);
        }
        for object in objects {
            self.put(resource, object);
        }
    }
}

/// The snapshot, how it is kept current, and who wants to hear of changes.
pub struct World {
    snapshot: RefCell<Snapshot>,
    /// The revision that is looked at instead, and the objects as they were.
    past: RefCell<Option<(u64, Snapshot)>>,
    /// Counts the wishes to look at another revision.
    wish: Cell<u32>,
    connected: Cell<Option<bool>>,
    following: Following,
    listeners: RefCell<BTreeMap<u32, Rc<dyn Fn()>>>,
    last_listener: Cell<u32>,
    frame: RefCell<Option<AnimationFrame>>,
    /// When the listeners were told last, by the browser's clock.
    told_ms: Cell<f64>,
    me: Weak<Self>,
}

/// Ends a subscription when dropped.
pub struct Subscription {
    world: Weak<World>,
    id: u32,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(world) = self.world.upgrade() {
            world.listeners.borrow_mut().remove(&self.id);
        }
    }
}

impl World {
    /// A world that knows nothing yet.
    pub fn new() -> Rc<Self> {
        Rc::new_cyclic(|me| Self {
            snapshot: RefCell::default(),
            past: RefCell::default(),
            wish: Cell::new(0),
            connected: Cell::new(None),
            following: Following::default(),
            listeners: RefCell::default(),
            last_listener: Cell::new(0),
            frame: RefCell::default(),
            told_ms: Cell::new(0.0),
            me: me.clone(),
        })
    }

    /// What is looked at: the present, or an earlier revision.
    pub fn snapshot(&self) -> Ref<'_, Snapshot> {
        let past = Ref::filter_map(self.past.borrow(), |past| past.as_ref().map(|(_, snapshot)| snapshot));
        past.unwrap_or_else(|_| self.live())
    }

    /// What is known now.
    pub fn live(&self) -> Ref<'_, Snapshot> {
        self.snapshot.borrow()
    }

    /// Whether the cluster answered the last time it was asked; nothing before its first answer.
    pub fn connected(&self) -> Option<bool> {
        self.connected.get()
    }

    /// Calls back after changes, at most once for each frame the browser draws.
    pub fn subscribe(&self, listener: impl Fn() + 'static) -> Subscription {
        let id = self.last_listener.get() + 1;
        self.last_listener.set(id);
        self.listeners.borrow_mut().insert(id, Rc::new(listener));
        Subscription { world: self.me.clone(), id }
    }

    /// Takes over which nodes have no power, and nobody knows but who has turned it off.
    pub fn set_powerless(&self, nodes: BTreeSet<String>) {
        if self.live().powerless != nodes {
            self.change(|snapshot| snapshot.powerless = nodes);
        }
    }

    /// Nobody looks any more: it is not kept current.
    pub fn leave(&self) {
        self.following.end();
    }

    /// Tells the listeners that something beside the objects has changed.
    pub fn touch(&self) {
        self.changed();
    }

    fn set_connected(&self, connected: bool) {
        let known = self.connected.get();
        let now = (connected || known.is_some()).then_some(connected);
        if self.connected.replace(now) != now {
            self.changed();
        }
    }

    fn change(&self, change: impl FnOnce(&mut Snapshot)) {
        change(&mut self.snapshot.borrow_mut());
        self.changed();
    }

    /// How long listeners are left alone.
    fn apart_ms(&self) -> f64 {
        match self.live().resources.get("pods").map_or(0, BTreeMap::len) {
            pods if pods > 10 * MANY => MANY_MORE_APART_MS,
            pods if pods > MANY => MANY_APART_MS,
            _ => 0.0,
        }
    }

    fn changed(&self) {
        let me = self.me.clone();
        self.frame.borrow_mut().get_or_insert_with(|| {
            request_animation_frame(move |now_ms| {
                let Some(world) = me.upgrade() else { return };
                world.frame.borrow_mut().take();
                if now_ms - world.told_ms.get() < world.apart_ms() {
                    return world.changed();
                }
                world.told_ms.set(now_ms);
                let listeners: Vec<_> = world.listeners.borrow().values().cloned().collect();
                for listener in listeners {
                    listener();
                }
            })
        });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;

    fn pod(name: &str) -> Object {
        Object(json!({"metadata": {"namespace": "default", "name": name}}))
    }

    #[wasm_bindgen_test]
    fn a_new_list_replaces_what_was_known() {
        let mut snapshot = Snapshot::default();
        snapshot.put("pods", pod("a"));
        snapshot.replace("pods", vec![pod("b"), pod("c")]);
        let names: Vec<_> = snapshot.list("pods").map(|pod| pod.name().to_owned()).collect();
        assert_eq!(names, ["b", "c"]);
        assert_eq!(snapshot.gone("pods").count(), 1);
    }
}
