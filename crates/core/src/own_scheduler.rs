//! Schedulers that a cluster's users run: a kube-scheduler in a container that brings a configuration.

use std::rc::{Rc, Weak};
use std::sync::Arc;

use client::{Client, Component};
use machinery::random::Rng;
use scheduler::{Configuration, DEFAULT_SCHEDULER_NAME, Scheduler};
use serde::Deserialize;
use sim::executor::TaskId;

use crate::cluster::Inner;
use crate::elected::{Both, Elected, Election, Leadership};

/// What its command line and its configuration say.
pub(crate) struct Plan {
    configuration: Configuration,
    /// The Lease it stands for, where it does.
    lease: Option<String>,
}

/// `leaderElection` of a KubeSchedulerConfiguration.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct LeaderElection {
    leader_elect: Option<bool>,
    resource_name: Option<String>,
}

impl Plan {
    /// Reads a configuration (`kubescheduler.config.k8s.io/v1`).
    ///
    /// # Errors
    /// With what kube-scheduler logs.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let value = machinery::yaml::from_str(text).map_err(|error| error.to_string())?;
        let word = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        let (kind, version) = (word("kind"), word("apiVersion"));
        if kind != "KubeSchedulerConfiguration" || version != "kubescheduler.config.k8s.io/v1" {
            return Err(format!(
                "no kind {kind:?} is registered for version {version:?} in scheme \"pkg/runtime/scheme.go:110\""
            ));
        }
        let election: LeaderElection =
            machinery::object::from_value(value["leaderElection"].clone()).unwrap_or_default();
        let configuration: Configuration =
            machinery::object::from_value(value).map_err(|error| format!("strict decoding error: {error}"))?;
        configuration.check()?;
        let lease = election.resource_name.unwrap_or_else(|| "kube-scheduler".into());
        Ok(Self { configuration, lease: election.leader_elect.unwrap_or(true).then_some(lease) })
    }
}

/// A scheduler that runs until this is dropped.
pub(crate) struct OwnScheduler {
    inner: Weak<Inner>,
    task: TaskId,
}

impl OwnScheduler {
    /// Starts it, under the name that it stands for election by.
    pub(crate) fn start(inner: &Rc<Inner>, plan: &Plan, identity: &str, rng: Rng) -> Self {
        let profile = plan.configuration.profiles.first();
        let name = profile.map_or(DEFAULT_SCHEDULER_NAME, |profile| profile.name());
        let client = Client::new(inner.line(name, Arc::default()), name);
        let scheduler = Box::new(Scheduler::new(client.clone(), rng, &plan.configuration));
        let component: Box<dyn Component> = match &plan.lease {
            None => scheduler,
            Some(lease) => {
                let leadership = Rc::<Leadership>::default();
                let election = Election::new(client, lease, identity, name, leadership.clone());
                Box::new(Both(election, Elected::new(leadership, scheduler)))
            }
        };
        Self { inner: Rc::downgrade(inner), task: inner.executor.spawn_component(component) }
    }
}

impl Drop for OwnScheduler {
    fn drop(&mut self) {
        if let Some(inner) = self.inner.upgrade() {
            inner.executor.cancel(self.task);
        }
    }
}
