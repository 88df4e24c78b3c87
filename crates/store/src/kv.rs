//! Keys with their values, and what changes them.

use std::any::Any;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::lease::LeaseId;

/// What a reader made from a value, to be found by the others.
pub trait Remembered: Any + Send + Sync + Sized {
    /// What is remembered instead when the revision that wrote the value is some time ago: what keeps no
    /// memory that is not in use elsewhere, or nothing.
    fn faded(&self) -> Option<Self>;
}

type Shared = Arc<dyn Any + Send + Sync>;

/// A place for what a reader made from a value (the API server: the encoded object), shared by all
/// readers of that revision of the key. The store lets it fade some time after the revision: then it is
/// made again for the few who still ask.
#[derive(Default)]
pub struct Memo(Mutex<Option<Held>>);

struct Held {
    value: Shared,
    fade: fn(&(dyn Any + Send + Sync)) -> Option<Held>,
}

impl Held {
    fn new<T: Remembered>(value: Arc<T>) -> Self {
        Self { value, fade: |value| Some(Self::new(Arc::new(value.downcast_ref::<T>()?.faded()?))) }
    }
}

impl Memo {
    /// What is remembered, as a `T`; made now if nothing is, or something of another type.
    pub fn get_or_init<T: Remembered>(&self, make: impl FnOnce() -> T) -> Arc<T> {
        let mut held = self.lock();
        if let Some(held) = held.as_ref()
            && let Ok(value) = Arc::clone(&held.value).downcast::<T>()
        {
            return value;
        }
        let made = Arc::new(make());
        *held = Some(Held::new(made.clone()));
        made
    }

    /// What is remembered, if it is a `T`.
    pub fn get<T: Remembered>(&self) -> Option<Arc<T>> {
        self.lock().as_ref().and_then(|held| Arc::clone(&held.value).downcast::<T>().ok())
    }

    /// Lets what is remembered fade.
    pub(crate) fn fade(&self) {
        let mut held = self.lock();
        *held = held.take().and_then(|held| (held.fade)(&*held.value));
    }

    fn lock(&self) -> MutexGuard<'_, Option<Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Memo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.lock().is_some() { "Memo(set)" } else { "Memo(empty)" })
    }
}

/// A value: bytes, or the larger part of them and what makes the whole when somebody reads it.
#[derive(Clone)]
pub struct Value {
    part: Bytes,
    rest: Option<Arc<dyn Rest>>,
}

/// What is to be added to a part of a value.
pub trait Rest: Any + Send + Sync {
    /// The whole value. It is the same whenever it is asked for.
    fn whole(&self, part: &Bytes) -> Bytes;
    /// How many bytes this takes, about; what is shared with other values does not count.
    fn weight(&self) -> usize;
    /// For the writer's own type.
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
}

impl Value {
    /// A part of a value, and the rest.
    pub fn new(part: Bytes, rest: Option<Arc<dyn Rest>>) -> Self {
        Self { part, rest }
    }

    /// The whole value.
    pub fn bytes(&self) -> Bytes {
        match &self.rest {
            Some(rest) => rest.whole(&self.part),
            None => self.part.clone(),
        }
    }

    /// What is at hand of the value: all of it where there is no [`Value::rest`].
    pub fn part(&self) -> &Bytes {
        &self.part
    }

    /// What makes the whole.
    pub fn rest(&self) -> Option<&Arc<dyn Rest>> {
        self.rest.as_ref()
    }

    /// How many bytes it takes, about.
    pub(crate) fn weight(&self) -> usize {
        self.part.len() + self.rest.as_ref().map_or(0, |rest| rest.weight())
    }
}

impl<T: Into<Bytes>> From<T> for Value {
    fn from(bytes: T) -> Self {
        Self { part: bytes.into(), rest: None }
    }
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.bytes().fmt(f)
    }
}

/// A key at one revision, with etcd's bookkeeping.
#[derive(Debug)]
pub struct KeyValue {
    /// The key, such as `/registry/pods/default/web`.
    pub key: Arc<str>,
    /// The value.
    pub value: Value,
    /// The revision that created the key.
    pub create_revision: i64,
    /// The revision that wrote this value.
    pub mod_revision: i64,
    /// How many times the key was written since its creation; 1 when created.
    pub version: i64,
    /// The lease the key lives with, if any.
    pub lease: Option<LeaseId>,
    /// The value by which [`crate::Scope::Trigger`] watchers find this key's changes: for pods, the
    /// node's name. The writer supplies it.
    pub trigger: Option<Arc<str>>,
    /// What readers made from the value.
    pub memo: Memo,
}

/// Who wrote a revision, and why: the material of "what happened".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The component or user, such as `deployment-controller` or `kubectl`.
    pub writer: Arc<str>,
    /// What it was working at, such as `default/web`; empty if it did not say.
    pub key: Arc<str>,
    /// The revision whose change made it write; 0 if none did.
    pub cause: i64,
}

impl Origin {
    /// A writer without a known cause.
    pub fn new(writer: impl Into<Arc<str>>) -> Self {
        Self { writer: writer.into(), ..Self::default() }
    }
}

/// One key's change within a commit.
#[derive(Debug)]
pub struct Change {
    /// The key.
    pub key: Arc<str>,
    /// The key after the change; `None` if it was deleted.
    pub current: Option<Arc<KeyValue>>,
    /// The key before the change; `None` if it did not exist.
    pub previous: Option<Arc<KeyValue>>,
    /// What readers made from the change itself: the last state of a deleted object.
    pub memo: Memo,
}

/// One revision: what a transaction changed, atomically.
#[derive(Debug)]
pub struct Commit {
    /// The revision, shared by all its changes.
    pub revision: i64,
    /// Who wrote it and why.
    pub origin: Origin,
    /// The changes, in the transaction's order; never empty.
    pub changes: Vec<Change>,
}
