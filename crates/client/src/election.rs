//! Leader election by Lease, as client-go's.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use machinery::status::ApiError;
use machinery::{ObjectKey, Timestamp};

use crate::client::Client;
use crate::component::Context;
use crate::events::{EventRecorder, EventType};

/// How long a leader that is not heard of keeps its lease.
const LEASE_DURATION: Duration = Duration::from_secs(15);
/// A leader that has not renewed for this long stops leading.
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// How often others try, and leaders whose renewal failed.
const RETRY_PERIOD: Duration = Duration::from_secs(2);
/// How often leaders renew. Upstream's do so at each [`RETRY_PERIOD`]; a cluster at rest would then be
/// mostly that.
const RENEW_PERIOD: Duration = Duration::from_secs(5);
/// How long a lease holds that was given back, in seconds.
const RELEASED_SECONDS: i32 = 1;

/// One candidate for a lease. Of all candidates at most one leads, provided that each stops working
/// as soon as [`LeaderElector::poll`] says so. One that is dropped gives its lease back, as upstream's
/// processes do when they are told to end.
pub struct LeaderElector {
    client: Client,
    lease: ObjectKey,
    identity: String,
    recorder: EventRecorder,
    /// The lease as last seen, and when this candidate saw it change: clocks of others do not count.
    observed: Option<(LeaseSpec, Timestamp)>,
    renewed: Option<Timestamp>,
    next_attempt: Timestamp,
}

impl LeaderElector {
    /// A candidate for the lease (`kube-system/kube-controller-manager`) under a unique identity. Whoever
    /// becomes leader says so in an Event from `component`.
    pub fn new(client: Client, lease: ObjectKey, identity: impl Into<String>, component: &str) -> Self {
        let identity = identity.into();
        let recorder = EventRecorder::new(client.clone(), component, "");
        Self { client, lease, identity, recorder, observed: None, renewed: None, next_attempt: Timestamp::MIN }
    }

    /// Renews or tries to acquire when it is time to; whether this candidate leads now.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        let now = cx.now();
        if now >= self.next_attempt {
            let led = self.leads(now);
            let mut pause = RETRY_PERIOD;
            match self.attempt(now) {
                Ok(Some(lease)) => {
                    pause = RENEW_PERIOD;
                    self.renewed = Some(now);
                    if !led {
                        self.tell(now, &lease, "became leader");
                    }
                }
                Ok(None) => self.renewed = None,
                // Cut off: it goes on leading until its renewal is overdue.
                Err(_) => {}
            }
            self.next_attempt = machinery::time::after(now, pause);
        }
        cx.wake_at(self.next_attempt);
        self.leads(now)
    }

    /// Whether this candidate leads.
    pub fn leads(&self, now: Timestamp) -> bool {
        self.renewed.is_some_and(|renewed| now.duration_since(renewed).unsigned_abs() < RENEW_DEADLINE)
    }

    fn tell(&mut self, now: Timestamp, lease: &Lease, what: &str) {
        let message = format!("{} {what}", self.identity);
        self.recorder.event(now, lease, EventType::Normal, "LeaderElection", &message);
    }

    /// The lease, if it is this candidate's now.
    fn attempt(&mut self, now: Timestamp) -> Result<Option<Arc<Lease>>, ApiError> {
        let lease = match self.client.get::<Lease>(&self.lease) {
            Ok(lease) => lease,
            Err(error) if error.is_not_found() => return self.write(None, LeaseSpec::default(), now),
            Err(error) => return Err(error),
        };
        let spec = lease.spec.clone().unwrap_or_default();
        if self.observed.as_ref().is_none_or(|(seen, _)| *seen != spec) {
            self.observed = Some((spec.clone(), now));
        }
        let holder = spec.holder_identity.as_deref().unwrap_or_default();
        let held = self.observed.as_ref().is_some_and(|(_, since)| {
            let duration = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
            now.duration_since(*since).unsigned_abs() < duration.map_or(LEASE_DURATION, Duration::from_secs)
        });
        if !holder.is_empty() && holder != self.identity && held {
            return Ok(None);
        }
        self.write(Some((*lease).clone()), spec, now)
    }

    fn write(&mut self, lease: Option<Lease>, old: LeaseSpec, now: Timestamp) -> Result<Option<Arc<Lease>>, ApiError> {
        let mine = old.holder_identity.as_deref() == Some(self.identity.as_str());
        let transitions = old.lease_transitions.unwrap_or(0);
        let spec = LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(LEASE_DURATION.as_secs()).ok(),
            acquire_time: if mine { old.acquire_time } else { Some(MicroTime(now)) },
            renew_time: Some(MicroTime(now)),
            lease_transitions: Some(if mine || lease.is_none() { transitions } else { transitions + 1 }),
            ..LeaseSpec::default()
        };
        let written = match lease {
            Some(lease) => self.client.update(Lease { spec: Some(spec.clone()), ..lease }),
            None => self.client.create(Lease {
                metadata: ObjectMeta {
                    name: Some(self.lease.name.clone()),
                    namespace: Some(self.lease.namespace.clone()),
                    ..ObjectMeta::default()
                },
                spec: Some(spec.clone()),
            }),
        };
        match written {
            Ok(lease) => {
                self.observed = Some((spec, now));
                Ok(Some(lease))
            }
            // Another candidate was faster.
            Err(error) if error.is_conflict() || error.is_already_exists() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Drop for LeaderElector {
    fn drop(&mut self) {
        let (Some(renewed), Ok(lease)) = (self.renewed, self.client.get::<Lease>(&self.lease)) else { return };
        let old = lease.spec.clone().unwrap_or_default();
        if old.holder_identity.as_deref() == Some(self.identity.as_str()) {
            let spec = LeaseSpec {
                lease_duration_seconds: Some(RELEASED_SECONDS),
                acquire_time: Some(MicroTime(renewed)),
                renew_time: Some(MicroTime(renewed)),
                lease_transitions: old.lease_transitions,
                ..LeaseSpec::default()
            };
            // Whoever cannot give it back leaves it to run out.
            let _ = self.client.update(Lease { spec: Some(spec), ..(*lease).clone() });
        }
    }
}
