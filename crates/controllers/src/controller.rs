//! What every controller is: informers whose events only add keys to a queue, and one idempotent sync.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

use client::{Client, Component, Context, WorkQueue};
use machinery::status::ApiError;
use machinery::{Kind, ObjectKey, Timestamp};

/// A controller's part that differs from all others. [`Driver`] makes a [`Component`] of it.
pub trait Controller {
    /// What a unit of work is named by; most use the key of the object they control.
    type Key: Ord + Clone + Display;

    /// Takes what the informers have and adds the keys it concerns to the queue. Nothing else: a
    /// controller that was cut off in between finds all it needs in the caches.
    fn observe(&mut self, cx: &mut Context<'_>, queue: &mut Queue<Self::Key>);

    /// Whether the informers have been filled once; nothing is processed before.
    fn synced(&self) -> bool;

    /// How many keys are synced before the informers are looked at again. One, where what a sync writes decides what
    /// the next may take, and is known by the informers alone.
    fn keys_per_poll(&self) -> usize {
        KEYS_PER_POLL
    }

    /// Makes the world as the object with this key wants it. Called again whenever it may not be so;
    /// after an error, with exponential backoff.
    ///
    /// # Errors
    /// What kept it from finishing.
    fn sync(&mut self, key: &Self::Key, queue: &mut Queue<Self::Key>) -> Result<(), ApiError>;

    /// Its queue, with its own backoff where upstream's controller has one.
    fn queue(&self) -> WorkQueue<Self::Key> {
        WorkQueue::default()
    }
}

/// A controller's work queue, which remembers what made it process each key.
pub struct Queue<K: Ord + Clone = ObjectKey> {
    work: WorkQueue<K>,
    causes: BTreeMap<K, u64>,
    now: Timestamp,
}

impl<K: Ord + Clone> Queue<K> {
    /// The time of this poll.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Adds a key because of nothing in particular.
    pub fn add(&mut self, key: K) {
        self.work.add(self.now, key);
    }

    /// Adds a key because of this object's newest revision.
    pub fn add_for<T: Kind>(&mut self, key: K, cause: &T) {
        self.add_caused(key, revision_of(cause));
    }

    /// Adds a key because of a revision; 0 for none.
    pub fn add_caused(&mut self, key: K, cause: u64) {
        self.causes.insert(key.clone(), cause);
        self.work.add(self.now, key);
    }

    /// [`Queue::add_for`], once `delay` has passed.
    pub fn add_for_after<T: Kind>(&mut self, key: K, cause: &T, delay: Duration) {
        self.causes.insert(key.clone(), revision_of(cause));
        self.work.add_after(self.now, key, delay);
    }

    /// Adds a key once `delay` has passed.
    pub fn add_after(&mut self, key: K, delay: Duration) {
        self.work.add_after(self.now, key, delay);
    }

    /// Adds a key at a time, at once if that has passed.
    pub fn add_at(&mut self, key: K, time: Timestamp) {
        let delay = time.duration_since(self.now);
        self.add_after(key, Duration::try_from(delay).unwrap_or(Duration::ZERO));
    }

    /// Adds a key after its backoff.
    pub fn add_rate_limited(&mut self, key: K) {
        self.work.add_rate_limited(self.now, key);
    }

    /// How often in a row the key's sync has failed.
    pub fn requeues(&self, key: &K) -> u32 {
        self.work.requeues(key)
    }
}

/// So many keys are synced before others have their turn: to look at all that changed costs as much as a small sync.
const KEYS_PER_POLL: usize = 16;

/// A controller as a component: polls it, and syncs a few keys at a time.
pub struct Driver<K: Ord + Clone> {
    client: Client,
    controller: Box<dyn Controller<Key = K>>,
    queue: Queue<K>,
    name: std::sync::Arc<str>,
}

impl<K: Ord + Clone + Display> Driver<K> {
    /// A component that writes through this client; it takes the client's name.
    pub fn new(client: Client, controller: Box<dyn Controller<Key = K>>) -> Self {
        let mut work = controller.queue();
        if let Some(metrics) = client.metrics() {
            work = work.counted(metrics, queue_name(&client.component()));
        }
        let queue = Queue { work, causes: BTreeMap::new(), now: Timestamp::UNIX_EPOCH };
        Self { name: client.component(), client, controller, queue }
    }
}

impl<K: Ord + Clone + Display> Component for Driver<K> {
    fn name(&self) -> &str {
        &self.name
    }

    fn poll(&mut self, cx: &mut Context<'_>) {
        self.queue.now = cx.now();
        self.controller.observe(cx, &mut self.queue);
        if !self.controller.synced() {
            return;
        }
        for _ in 0..self.controller.keys_per_poll() {
            let Some(key) = self.queue.work.get(cx.now()) else { break };
            let cause = self.queue.causes.remove(&key).unwrap_or_default();
            self.client.set_cause(&key.to_string(), cause);
            match self.controller.sync(&key, &mut self.queue) {
                Ok(()) => self.queue.work.forget(&key),
                Err(_) => self.queue.work.add_rate_limited(cx.now(), key),
            }
            self.queue.work.done();
        }
        if self.queue.work.has_ready(cx.now()) {
            cx.wake_now();
        } else if let Some(time) = self.queue.work.next_deadline() {
            cx.wake_at(time);
        }
    }
}

/// The name of a controller's queue in metrics, where it is not the controller's own.
fn queue_name(controller: &str) -> &str {
    match controller {
        "clusterrole-aggregation-controller" => "ClusterRoleAggregator",
        "endpoints-controller" => "endpoint",
        "endpointslice-controller" => "endpoint_slice",
        "endpointslice-mirroring-controller" => "endpoint_slice_mirroring",
        "garbage-collector-controller" => "garbage_collector_attempt_to_delete",
        "horizontal-pod-autoscaler-controller" => "horizontalpodautoscaler",
        "node-lifecycle-controller" => "node_lifecycle_controller",
        "persistentvolume-binder-controller" => "claims",
        "persistentvolume-protection-controller" => "pvprotection",
        "persistentvolumeclaim-protection-controller" => "pvcprotection",
        "pod-garbage-collector-controller" => "orphaned_pods_nodes",
        "replicationcontroller-controller" => "replicationmanager",
        "resourcequota-controller" => "resourcequota_primary",
        "root-ca-certificate-publisher-controller" => "root_ca_cert_publisher",
        "serviceaccount-token-controller" => "serviceaccount_tokens_secret",
        "ttl-after-finished-controller" => "ttl_jobs_to_delete",
        other => other.strip_suffix("-controller").unwrap_or(other),
    }
}

fn revision_of<T: Kind>(object: &T) -> u64 {
    object.metadata().resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or_default()
}
