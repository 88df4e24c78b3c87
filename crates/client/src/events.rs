//! Writes Events about objects, as client-go's recorder and correlator do.
//!
//! Alike events become one with a count; many of one kind become one "(combined from similar
//! events)"; and an object that keeps making events is held to a few in a while (client-go's
//! `tools/record/events_cache.go`).

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use machinery::random::{fnv64a, fnv64a_on};
use machinery::sort::Order;
use machinery::status::ApiError;
use machinery::time::meta_time;
use machinery::{Kind, ObjectKey, Timestamp};
use serde_json::json;

use crate::client::Client;
use crate::options::Patch;

/// So many different messages of one reason about one object are written before they are combined.
const SIMILAR_MAX: usize = 10;
/// Messages further apart than this are not combined.
const SIMILAR_INTERVAL: Duration = Duration::from_secs(600);
/// An object may make this many events at once…
const BURST_MAX: f64 = 25.0;
/// …and one more after each such interval.
const REFILL_INTERVAL: Duration = Duration::from_secs(300);
/// So many series and objects are remembered; client-go's caches hold as many.
const CACHE_MAX: usize = 4096;

/// An event's `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventType {
    /// Something went as it should.
    Normal,
    /// Something needs attention.
    Warning,
}

impl EventType {
    /// As the API has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// Writes events under one component's name.
pub struct EventRecorder {
    client: Client,
    component: String,
    host: String,
    /// By object, type, reason and message: what makes two events one with a count.
    series: BTreeMap<Hash, Written>,
    /// By all that but the message.
    similar: BTreeMap<Hash, Messages>,
    /// By object.
    budgets: BTreeMap<Hash, Budget>,
}

/// What an event is found by, hashed: a recorder knows thousands. Two share a hash once in 2⁶⁴, and would then
/// be counted as one.
type Hash = u64;

struct Written {
    key: ObjectKey,
    count: i32,
    last: Timestamp,
}

struct Messages {
    distinct: Vec<Hash>,
    last: Timestamp,
}

struct Budget {
    tokens: f64,
    refilled: Timestamp,
}

impl EventRecorder {
    /// A recorder for a component (`kubelet`, `deployment-controller`) and, where it has one, its host.
    pub fn new(client: Client, component: &str, host: &str) -> Self {
        Self {
            client,
            component: component.into(),
            host: host.into(),
            series: BTreeMap::new(),
            similar: BTreeMap::new(),
            budgets: BTreeMap::new(),
        }
    }

    /// Records that something happened to an object. The API may refuse it (its namespace is going);
    /// an event is news, not state, so nothing is done about that.
    pub fn event<K: Kind>(&mut self, now: Timestamp, object: &K, kind: EventType, reason: &str, message: &str) {
        self.event_for(now, reference_to(object), kind, reason, message);
    }

    /// [`EventRecorder::event`] about what a reference names, such as a container of a pod.
    pub fn event_for(&mut self, now: Timestamp, object: ObjectReference, kind: EventType, reason: &str, message: &str) {
        let subject = identity(&object);
        if !self.take_token(subject, now) {
            return;
        }
        let similar = hash_on(subject, &["\n", kind.as_str(), "\n", reason]);
        let (message, combined) = self.aggregate(similar, message, now);
        let series = if combined { similar } else { hash_on(similar, &["\n", &message]) };
        if let Some(written) = self.series.get_mut(&series) {
            written.count += 1;
            written.last = now;
            let patch = json!({
                "count": written.count,
                "lastTimestamp": meta_time(now),
                "message": message,
            });
            match self.client.patch::<Event>(&written.key, &Patch::Strategic(patch)) {
                Err(error) if error.is_not_found() => {}
                _ => return,
            }
        }
        let event = self.build(now, object, kind, reason, message);
        let key = ObjectKey::new(
            event.metadata.namespace.clone().unwrap_or_default(),
            event.metadata.name.clone().unwrap_or_default(),
        );
        if self.client.create(event).is_ok() {
            bound(&mut self.series, |written| written.last);
            self.series.insert(series, Written { key, count: 1, last: now });
        }
    }

    fn build(&self, now: Timestamp, object: ObjectReference, kind: EventType, reason: &str, message: String) -> Event {
        let namespace = object.namespace.clone().filter(|namespace| !namespace.is_empty());
        Event {
            metadata: ObjectMeta {
                name: Some(event_name(object.name.as_deref().unwrap_or_default(), now, reason, &message)),
                namespace: Some(namespace.unwrap_or_else(|| "default".into())),
                ..ObjectMeta::default()
            },
            involved_object: object,
            reason: Some(reason.into()),
            message: Some(message),
            type_: Some(kind.as_str().into()),
            first_timestamp: Some(meta_time(now)),
            last_timestamp: Some(meta_time(now)),
            count: Some(1),
            source: Some(EventSource {
                component: Some(self.component.clone()),
                host: Some(self.host.clone()).filter(|host| !host.is_empty()),
            }),
            reporting_component: Some(self.component.clone()),
            reporting_instance: Some(self.host.clone()),
            ..Event::default()
        }
    }

    /// Whether the object may make another event: a token bucket each.
    fn take_token(&mut self, subject: Hash, now: Timestamp) -> bool {
        bound(&mut self.budgets, |budget| budget.refilled);
        let budget = self.budgets.entry(subject).or_insert(Budget { tokens: BURST_MAX, refilled: now });
        let passed = now.duration_since(budget.refilled).unsigned_abs();
        budget.tokens = (budget.tokens + passed.as_secs_f64() / REFILL_INTERVAL.as_secs_f64()).min(BURST_MAX);
        budget.refilled = now;
        let allowed = budget.tokens >= 1.0;
        if allowed {
            budget.tokens -= 1.0;
        }
        allowed
    }

    /// The message to write, and whether it stands for many.
    fn aggregate(&mut self, similar: Hash, message: &str, now: Timestamp) -> (String, bool) {
        bound(&mut self.similar, |messages| messages.last);
        let messages = self.similar.entry(similar).or_insert_with(|| Messages { distinct: Vec::new(), last: now });
        if now.duration_since(messages.last).unsigned_abs() > SIMILAR_INTERVAL {
            messages.distinct.clear();
        }
        messages.last = now;
        let hash = fnv64a(message.as_bytes());
        if !messages.distinct.contains(&hash) {
            messages.distinct.push(hash);
        }
        if messages.distinct.len() < SIMILAR_MAX {
            return (message.into(), false);
        }
        messages.distinct.remove(0);
        (format!("(combined from similar events): {message}"), true)
    }
}

/// A reference to an object as events and bindings carry it.
pub fn reference_to<K: Kind>(object: &K) -> ObjectReference {
    let metadata = object.metadata();
    ObjectReference {
        api_version: Some(K::API_VERSION.into()),
        kind: Some(K::KIND.into()),
        name: metadata.name.clone(),
        namespace: metadata.namespace.clone(),
        uid: metadata.uid.clone(),
        resource_version: metadata.resource_version.clone(),
        field_path: None,
    }
}

/// An event's name: its object's and 16 hex digits. Upstream takes the time in nanoseconds; virtual
/// time may stand still between two events, so reason and message go into the digits as well.
pub fn event_name(object: &str, now: Timestamp, reason: &str, message: &str) -> String {
    let text = reason.bytes().chain(message.bytes());
    let hash = text.fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let nanoseconds = u64::try_from(now.as_nanosecond()).unwrap_or_default();
    format!("{object}.{:x}", nanoseconds.wrapping_add(u64::from(hash) % 1_000_000))
}

fn identity(object: &ObjectReference) -> Hash {
    let fields = [&object.kind, &object.namespace, &object.name, &object.uid, &object.field_path];
    fields.into_iter().fold(fnv64a(b""), |hash, field| hash_on(hash, &["/", field.as_deref().unwrap_or_default()]))
}

fn hash_on(hash: Hash, texts: &[&str]) -> Hash {
    texts.iter().fold(hash, |hash, text| fnv64a_on(hash, text.as_bytes()))
}

/// Makes room in a cache: what was used longest ago goes.
fn bound<V>(cache: &mut BTreeMap<Hash, V>, last: impl Fn(&V) -> Timestamp) {
    if cache.len() < CACHE_MAX {
        return;
    }
    let mut times: Vec<_> = cache.values().map(&last).collect();
    times.order();
    if let Some(middle) = times.get(times.len() / 2).copied() {
        cache.retain(|_, value| last(value) > middle);
    }
}

/// Runs `attempt` again after a Conflict, up to five times, as client-go's `RetryOnConflict`. The
/// attempt reads the object anew each time.
///
/// # Errors
/// What the last attempt gave.
pub fn retry_on_conflict<T>(mut attempt: impl FnMut() -> Result<T, ApiError>) -> Result<T, ApiError> {
    const ATTEMPTS_MAX: usize = 5;
    let mut result = attempt();
    for _ in 1..ATTEMPTS_MAX {
        match &result {
            Err(error) if error.is_conflict() => result = attempt(),
            _ => break,
        }
    }
    result
}
