//! Leader election by Lease, as client-go's.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use machinery::status::ApiError;
use machinery::{ObjectKey, Timestamp};

use crate::client::Client;
use crate::component::Context;

/// How long a leader that is not heard of keeps its lease.
const LEASE_DURATION: Duration = Duration::from_secs(15);
/// A leader that has not renewed for this long stops leading.
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// How often leaders renew and others try.
const RETRY_PERIOD: Duration = Duration::from_secs(2);

/// One candidate for a lease. Of all candidates at most one leads, provided that each stops working
/// as soon as [`LeaderElector::poll`] says so.
pub struct LeaderElector {
    client: Client,
    lease: ObjectKey,
    identity: String,
    /// The lease as last seen, and when this candidate saw it change: clocks of others do not count.
    observed: Option<(LeaseSpec, Timestamp)>,
    renewed: Option<Timestamp>,
    next_attempt: Timestamp,
}

impl LeaderElector {
    /// A candidate for the lease (`kube-system/kube-controller-manager`) under a unique identity.
    pub fn new(client: Client, lease: ObjectKey, identity: impl Into<String>) -> Self {
        let identity = identity.into();
        Self { client, lease, identity, observed: None, renewed: None, next_attempt: Timestamp::MIN }
    }

    /// Renews or tries to acquire when it is time to; whether this candidate leads now.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        let now = cx.now();
        if now >= self.next_attempt {
            match self.attempt(now) {
                Ok(true) => self.renewed = Some(now),
                Ok(false) => self.renewed = None,
                // Cut off: it goes on leading until its renewal is overdue.
                Err(_) => {}
            }
            self.next_attempt = now.saturating_add(RETRY_PERIOD).unwrap_or(Timestamp::MAX);
        }
        cx.wake_at(self.next_attempt);
        self.leads(now)
    }

    /// Whether this candidate leads.
    pub fn leads(&self, now: Timestamp) -> bool {
        self.renewed.is_some_and(|renewed| now.duration_since(renewed).unsigned_abs() < RENEW_DEADLINE)
    }

    fn attempt(&mut self, now: Timestamp) -> Result<bool, ApiError> {
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
            return Ok(false);
        }
        self.write(Some((*lease).clone()), spec, now)
    }

    fn write(&mut self, lease: Option<Lease>, old: LeaseSpec, now: Timestamp) -> Result<bool, ApiError> {
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
            Ok(_) => {
                self.observed = Some((spec, now));
                Ok(true)
            }
            // Another candidate was faster.
            Err(error) if error.is_conflict() || error.is_already_exists() => Ok(false),
            Err(error) => Err(error),
        }
    }
}
