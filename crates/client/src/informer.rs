//! Caches that follow the API, shared between the controllers of a process.

use std::any::TypeId;
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

use machinery::{Encoded, Kind, Object, ObjectKey, Timestamp};

use crate::client::Client;
use crate::component::Context;
use crate::options::ListOptions;
use crate::reflector::{Delta, Reflector};
use crate::resource::{is_namespaced, path_of};

/// A change in an informer's cache.
#[derive(Debug)]
pub enum Event<K: ?Sized> {
    /// The object is new to the cache.
    Added(Arc<K>),
    /// The object changed, or was listed anew at the same revision.
    Updated {
        /// As the cache had it before.
        old: Arc<K>,
        /// As it is now.
        new: Arc<K>,
    },
    /// The object is gone; this is its last known state.
    Deleted(Arc<K>),
}

impl<K: ?Sized> Event<K> {
    /// The object as the event left it.
    pub fn object(&self) -> &Arc<K> {
        match self {
            Self::Added(object) | Self::Deleted(object) | Self::Updated { new: object, .. } => object,
        }
    }
}

impl<K: ?Sized> Clone for Event<K> {
    fn clone(&self) -> Self {
        match self {
            Self::Added(object) => Self::Added(object.clone()),
            Self::Updated { old, new } => Self::Updated { old: old.clone(), new: new.clone() },
            Self::Deleted(object) => Self::Deleted(object.clone()),
        }
    }
}

/// What an index files an object under: none, one or several values.
pub type IndexFn<K> = fn(&K) -> Vec<String>;

/// What an informer counts an object under, if under anything.
pub type CountFn<K> = fn(&K) -> Option<String>;

/// The informers of one process, a kind watched once however many controllers ask for it.
#[derive(Clone)]
pub struct SharedInformers {
    client: Client,
    /// By kind and selectors.
    kinds: Rc<RefCell<Kinds>>,
}

impl SharedInformers {
    /// Informers that list and watch through this client.
    pub fn new(client: Client) -> Self {
        Self { client, kinds: Rc::default() }
    }

    /// A handle on the informer of kind `K`, for all namespaces.
    pub fn informer<K: Kind>(&self) -> Informer<K> {
        self.filtered(&ListOptions::default())
    }

    /// A handle on the informer of kind `K` narrowed by selectors, such as `spec.nodeName=node-1`.
    pub fn filtered<K: Kind>(&self, options: &ListOptions) -> Informer<K> {
        let mut kinds = self.kinds.borrow_mut();
        let shared = kinds.entry((TypeId::of::<K>(), options.query(false))).or_insert_with(|| {
            let reflector = Reflector::new(self.client.clone(), path_of::<K>("", "", ""), options.clone());
            Rc::new(RefCell::new(Shared::new::<K>(reflector)))
        });
        Informer::subscribe(shared.clone())
    }
}

type Kinds = BTreeMap<(TypeId, String), Rc<RefCell<Shared>>>;

/// One reader of a cache that follows the API: it sees every change once, in order, and can look up
/// objects by key and by index. Objects are shared with the server and all other readers.
pub struct Informer<K: Kind> {
    shared: Rc<RefCell<Shared>>,
    /// What there was before this reader came, until it is taken.
    found: Vec<Event<dyn Object>>,
    id: u64,
    kind: PhantomData<K>,
}

/// What readers share. It holds objects of one kind without their type: this is the larger part of an
/// informer, and compiled once for all kinds.
struct Shared {
    reflector: Reflector,
    decode: fn(&Encoded) -> Option<Arc<dyn Object>>,
    namespaced: bool,
    synced: bool,
    objects: Objects,
    indexes: BTreeMap<&'static str, Index>,
    counts: Vec<Count>,
    unread: Unread,
    wakers: Arc<Wakers>,
    waker: Waker,
    last_id: u64,
}

/// Events that not all readers have taken yet, in order.
#[derive(Default)]
struct Unread {
    events: VecDeque<Event<dyn Object>>,
    /// Readers, and how many of the events each has taken.
    readers: Vec<(u64, usize)>,
}

/// An object's place, which the indexes have too: to change it is to change it in all of them.
type Slot = Rc<RefCell<Arc<dyn Object>>>;
type Objects = BTreeMap<ObjectKey, Slot>;
/// An [`IndexFn`] over objects without their type.
type IndexValues = Box<dyn Fn(&dyn Object) -> Vec<String>>;
/// By what objects are counted; none for those that are not.
type CountValue = Box<dyn Fn(&dyn Object) -> Option<String>>;

struct Index {
    values: IndexValues,
    entries: BTreeMap<String, Objects>,
}

/// How many objects there are of each value, in order of the values.
struct Count {
    name: &'static str,
    value: CountValue,
    counts: Vec<(String, usize)>,
}

/// Puts an object in the place of another, or into a place of its own; the place, and the other. Mostly there is one.
fn put(objects: &mut Objects, key: &ObjectKey, new: &Arc<dyn Object>) -> (Slot, Option<Arc<dyn Object>>) {
    match objects.get(key) {
        Some(slot) => (slot.clone(), Some(slot.replace(new.clone()))),
        None => {
            let slot = Rc::new(RefCell::new(new.clone()));
            objects.insert(key.clone(), slot.clone());
            (slot, None)
        }
    }
}

/// An object with its type again; a cache holds only objects of its kind.
fn typed<K: Kind>(object: &Arc<dyn Object>) -> Option<Arc<K>> {
    object.clone().into_any().downcast().ok()
}

/// What is in a place, with its type again.
fn typed_in<K: Kind>(slot: &Slot) -> Option<Arc<K>> {
    typed(&slot.borrow())
}

fn typed_event<K: Kind>(event: &Event<dyn Object>) -> Option<Event<K>> {
    Some(match event {
        Event::Added(object) => Event::Added(typed(object)?),
        Event::Updated { old, new } => Event::Updated { old: typed(old)?, new: typed(new)? },
        Event::Deleted(object) => Event::Deleted(typed(object)?),
    })
}

/// Wakes every reader of a shared watch.
struct Wakers {
    readers: Mutex<BTreeMap<u64, Waker>>,
    /// Whether the watch has something since it was last followed.
    news: AtomicBool,
}

impl Wake for Wakers {
    fn wake(self: Arc<Self>) {
        self.news.store(true, Ordering::Release);
        for waker in self.lock().values() {
            waker.wake_by_ref();
        }
    }
}

impl<K: Kind> Informer<K> {
    /// An informer of its own, for a component that shares with nobody.
    pub fn new(client: &Client, namespace: &str, options: ListOptions) -> Self {
        let reflector = Reflector::new(client.clone(), path_of::<K>(namespace, "", ""), options);
        Self::subscribe(Rc::new(RefCell::new(Shared::new::<K>(reflector))))
    }

    fn subscribe(shared: Rc<RefCell<Shared>>) -> Self {
        let mut inner = shared.borrow_mut();
        inner.last_id += 1;
        let id = inner.last_id;
        let found = inner.objects.values().map(|slot| Event::Added(slot.borrow().clone())).collect();
        inner.unread.subscribe(id);
        drop(inner);
        Self { shared, found, id, kind: PhantomData }
    }

    /// Files objects under an index of this name; the first function given for a name counts.
    #[must_use]
    pub fn indexed(self, name: &'static str, values: IndexFn<K>) -> Self {
        let mut shared = self.shared.borrow_mut();
        let Shared { indexes, objects, .. } = &mut *shared;
        indexes.entry(name).or_insert_with(|| {
            let values = move |object: &dyn Object| object.as_any().downcast_ref().map(values).unwrap_or_default();
            let mut index = Index { values: Box::new(values), entries: BTreeMap::new() };
            for (key, slot) in objects {
                index.replace(key, None, Some((slot, &*slot.borrow())));
            }
            index
        });
        drop(shared);
        self
    }

    /// Counts objects by a value under this name; the first function given for a name counts.
    #[must_use]
    pub fn counted(self, name: &'static str, value: CountFn<K>) -> Self {
        let mut shared = self.shared.borrow_mut();
        let Shared { counts, objects, .. } = &mut *shared;
        if !counts.iter().any(|count| count.name == name) {
            let value = move |object: &dyn Object| object.as_any().downcast_ref().and_then(value);
            let mut count = Count { name, value: Box::new(value), counts: Vec::new() };
            objects.values().for_each(|slot| count.replace(None, Some(&*slot.borrow())));
            counts.push(count);
        }
        drop(shared);
        self
    }

    /// Follows the API up to now and gives what changed since this reader's last poll.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> VecDeque<Event<K>> {
        let mut shared = self.shared.borrow_mut();
        shared.wakers.register(self.id, cx.waker());
        if shared.has_news(cx.now()) && shared.follow(cx.now()) {
            // Readers other than this one have events now, which no stream may wake them for.
            shared.wakers.wake_others(self.id);
        }
        if let Some(time) = shared.reflector.next_wake() {
            cx.wake_at(time);
        }
        let mut events: VecDeque<_> = std::mem::take(&mut self.found).iter().filter_map(typed_event).collect();
        shared.unread.take(self.id, &mut |event| events.extend(typed_event(event)));
        events
    }

    /// Whether the cache has been filled once. Until then, absence from it means nothing.
    pub fn synced(&self) -> bool {
        self.shared.borrow().synced
    }

    /// The newest revision the cache has seen.
    pub fn resource_version(&self) -> String {
        self.shared.borrow().reflector.resource_version().to_owned()
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.shared.borrow().objects.len()
    }

    /// Whether there are no objects.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The object with this key.
    pub fn get(&self, key: &ObjectKey) -> Option<Arc<K>> {
        self.shared.borrow().objects.get(key).and_then(typed_in)
    }

    /// The cluster-scoped object with this name.
    pub fn get_named(&self, name: &str) -> Option<Arc<K>> {
        self.get(&ObjectKey::new("", name))
    }

    /// All objects in key order. Costs as many as there are: not for every sync.
    pub fn list(&self) -> Vec<Arc<K>> {
        self.shared.borrow().objects.values().filter_map(typed_in).collect()
    }

    /// The objects of a namespace in name order.
    pub fn in_namespace(&self, namespace: &str) -> Vec<Arc<K>> {
        let shared = self.shared.borrow();
        let from = ObjectKey::new(namespace, "");
        let range = shared.objects.range(from..).take_while(|(key, _)| key.namespace == namespace);
        range.filter_map(|(_, slot)| typed_in(slot)).collect()
    }

    /// The objects an index files under a value, in key order; none for an index that does not exist.
    pub fn by_index(&self, index: &str, value: &str) -> Vec<Arc<K>> {
        let shared = self.shared.borrow();
        let entries = shared.indexes.get(index).and_then(|index| index.entries.get(value));
        entries.map(|objects| objects.values().filter_map(typed_in).collect()).unwrap_or_default()
    }

    /// How many objects an index files under a value.
    pub fn count_by_index(&self, index: &str, value: &str) -> usize {
        let shared = self.shared.borrow();
        shared.indexes.get(index).and_then(|index| index.entries.get(value)).map_or(0, BTreeMap::len)
    }

    /// How many objects are counted under each value that begins so, in order of the values.
    pub fn counts(&self, name: &str, prefix: &str) -> Vec<(String, usize)> {
        let shared = self.shared.borrow();
        let count = shared.counts.iter().find(|count| count.name == name);
        let counts = count.map(|count| count.counts.as_slice()).unwrap_or_default();
        let first = counts.partition_point(|(value, _)| value.as_str() < prefix);
        counts.iter().skip(first).take_while(|(value, _)| value.starts_with(prefix)).cloned().collect()
    }

    /// The values an index has objects for.
    pub fn index_values(&self, index: &str) -> Vec<String> {
        let shared = self.shared.borrow();
        shared.indexes.get(index).map(|index| index.entries.keys().cloned().collect()).unwrap_or_default()
    }
}

impl<K: Kind> Drop for Informer<K> {
    fn drop(&mut self) {
        let mut shared = self.shared.borrow_mut();
        shared.unread.unsubscribe(self.id);
        shared.wakers.lock().remove(&self.id);
    }
}

impl Shared {
    fn new<K: Kind>(reflector: Reflector) -> Self {
        let wakers = Arc::new(Wakers { readers: Mutex::default(), news: AtomicBool::new(true) });
        Self {
            reflector,
            decode: |object| object.get::<K>().ok().map(|object| object as Arc<dyn Object>),
            namespaced: is_namespaced::<K>(),
            synced: false,
            objects: BTreeMap::new(),
            indexes: BTreeMap::new(),
            counts: Vec::new(),
            unread: Unread::default(),
            waker: Waker::from(wakers.clone()),
            wakers,
            last_id: 0,
        }
    }

    /// Whether the reflector may have something: its watch has said so, or its time has come.
    fn has_news(&self, now: Timestamp) -> bool {
        self.wakers.news.swap(false, Ordering::AcqRel) || self.reflector.next_wake().is_some_and(|time| time <= now)
    }

    /// Takes what the reflector has; whether that was anything.
    fn follow(&mut self, now: Timestamp) -> bool {
        let waker = self.waker.clone();
        let deltas = self.reflector.poll(now, &waker);
        let changed = !deltas.is_empty();
        for delta in deltas {
            let read = match delta {
                Delta::Changed(object) => self.changed(&object),
                Delta::Deleted(object) => {
                    let object = (self.decode)(&object);
                    let read = object.is_some();
                    if let Some(object) = object {
                        self.set(&self.key_of(&*object), None, Some(object));
                    }
                    read
                }
                Delta::Replaced(objects) => self.replaced(&objects),
            };
            if !read {
                // The server validates, so this is a kind whose code could not be loaded.
                self.reflector.start_over(now);
                break;
            }
        }
        changed
    }

    fn key_of(&self, object: &dyn Object) -> ObjectKey {
        let metadata = object.metadata();
        let namespace = metadata.namespace.as_deref().filter(|_| self.namespaced);
        ObjectKey::new(namespace.unwrap_or_default(), metadata.name.as_deref().unwrap_or_default())
    }

    /// Whether the object could be read.
    fn changed(&mut self, object: &Encoded) -> bool {
        let Some(object) = (self.decode)(object) else { return false };
        self.set(&self.key_of(&*object), Some(object), None);
        true
    }

    /// Whether the objects could be read; nothing changes otherwise.
    fn replaced(&mut self, objects: &[Encoded]) -> bool {
        let Some(objects) = objects.iter().map(self.decode).collect::<Option<Vec<_>>>() else { return false };
        let mut gone = if self.synced { self.objects.clone() } else { Objects::new() };
        for object in objects {
            let key = self.key_of(&*object);
            gone.remove(&key);
            self.set(&key, Some(object), None);
        }
        for key in gone.into_keys() {
            self.set(&key, None, None);
        }
        self.synced = true;
        true
    }

    /// Sets or removes an object in the cache, its indexes, and tells the readers. `last` is the
    /// state a removed object had when it went.
    fn set(&mut self, key: &ObjectKey, new: Option<Arc<dyn Object>>, last: Option<Arc<dyn Object>>) {
        let (slot, old) = match &new {
            Some(new) => {
                let (slot, old) = put(&mut self.objects, key, new);
                (Some(slot), old)
            }
            None => (None, self.objects.remove(key).map(|slot| slot.borrow().clone())),
        };
        for index in self.indexes.values_mut() {
            index.replace(key, old.as_ref(), slot.as_ref().zip(new.as_ref()));
        }
        for count in &mut self.counts {
            count.replace(old.as_ref(), new.as_ref());
        }
        let event = match (old, new) {
            (None, Some(new)) => Event::Added(new),
            // A new uid under an old name: the deletion went by unseen.
            (Some(old), Some(new)) if old.metadata().uid != new.metadata().uid => {
                self.unread.push(Event::Deleted(old));
                Event::Added(new)
            }
            (Some(old), Some(new)) => Event::Updated { old, new },
            (Some(old), None) => Event::Deleted(last.unwrap_or(old)),
            (None, None) => return,
        };
        self.unread.push(event);
    }
}

impl Unread {
    fn subscribe(&mut self, id: u64) {
        self.readers.push((id, self.events.len()));
    }

    fn unsubscribe(&mut self, id: u64) {
        self.readers.retain(|(reader, _)| *reader != id);
        self.forget();
    }

    fn push(&mut self, event: Event<dyn Object>) {
        if !self.readers.is_empty() {
            self.events.push_back(event);
        }
    }

    /// Gives a reader what it has not taken yet.
    fn take(&mut self, id: u64, to: &mut dyn FnMut(&Event<dyn Object>)) {
        let Some((_, taken)) = self.readers.iter_mut().find(|(reader, _)| *reader == id) else { return };
        let before = std::mem::replace(taken, self.events.len());
        self.events.range(before..).for_each(to);
        // Only who was last can have held anything back.
        if before == 0 {
            self.forget();
        }
    }

    /// Lets go what all have taken.
    fn forget(&mut self) {
        let by_all = self.readers.iter().map(|(_, taken)| *taken).min().unwrap_or(self.events.len());
        self.readers.iter_mut().for_each(|(_, taken)| *taken -= by_all);
        if by_all == self.events.len() {
            // With its room: there may have been many.
            self.events = VecDeque::new();
        } else {
            self.events.drain(..by_all);
        }
    }
}

impl Index {
    fn replace(&mut self, key: &ObjectKey, old: Option<&Arc<dyn Object>>, new: Option<(&Slot, &Arc<dyn Object>)>) {
        let before = old.map(|old| (self.values)(&**old)).unwrap_or_default();
        let after = new.map(|(_, new)| (self.values)(&**new)).unwrap_or_default();
        for value in before.iter().filter(|value| !after.contains(value)) {
            if let Some(objects) = self.entries.get_mut(value) {
                objects.remove(key);
                if objects.is_empty() {
                    self.entries.remove(value);
                }
            }
        }
        if let Some((slot, _)) = new {
            for value in after.into_iter().filter(|value| !before.contains(value)) {
                self.entries.entry(value).or_default().insert(key.clone(), slot.clone());
            }
        }
    }
}

impl Count {
    fn replace(&mut self, old: Option<&Arc<dyn Object>>, new: Option<&Arc<dyn Object>>) {
        let before = old.and_then(|old| (self.value)(&**old));
        let after = new.and_then(|new| (self.value)(&**new));
        if before == after {
            return;
        }
        let place =
            |counts: &[(String, usize)], value: &str| counts.binary_search_by(|(one, _)| one.as_str().cmp(value));
        if let Some(value) = after {
            match place(&self.counts, &value) {
                Ok(at) => self.counts.get_mut(at).into_iter().for_each(|(_, count)| *count += 1),
                Err(at) => self.counts.insert(at, (value, 1)),
            }
        }
        if let Some(at) = before.and_then(|value| place(&self.counts, &value).ok())
            && let Some((_, count)) = self.counts.get_mut(at)
        {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(at);
            }
        }
    }
}

impl Wakers {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Waker>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake_others(&self, id: u64) {
        let wakers = self.lock();
        for (_, waker) in wakers.iter().filter(|(other, _)| **other != id) {
            waker.wake_by_ref();
        }
    }

    fn register(&self, id: u64, waker: &Waker) {
        let mut wakers = self.lock();
        match wakers.get_mut(&id) {
            Some(known) => known.clone_from(waker),
            None => {
                wakers.insert(id, waker.clone());
            }
        }
    }
}
