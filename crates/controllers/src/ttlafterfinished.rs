//! Deletes Jobs a while after they finished (`pkg/controller/ttlafterfinished`).

use std::time::Duration;

use client::{Client, Context, DeleteOptions, Event, Informer, Propagation, key_of};
use k8s_openapi::api::batch::v1::Job;
use machinery::ObjectKey;
use machinery::status::ApiError;
use machinery::time::after;

use crate::controller::{Controller, Queue};
use crate::job::conditions::finished_at;
use crate::{Setup, pods};

/// The controller of `ttlSecondsAfterFinished`.
pub struct TtlAfterFinishedController {
    client: Client,
    jobs: Informer<Job>,
}

impl TtlAfterFinishedController {
    /// From the process's informers.
    pub fn new(setup: &Setup, client: &Client) -> Self {
        Self { client: client.clone(), jobs: setup.informers.informer() }
    }
}

impl Controller for TtlAfterFinishedController {
    type Key = ObjectKey;

    fn observe(&mut self, cx: &mut Context<'_>, queue: &mut Queue) {
        for event in self.jobs.poll(cx) {
            let job = event.object();
            let limited = job.spec.as_ref().is_some_and(|spec| spec.ttl_seconds_after_finished.is_some());
            if limited && !matches!(event, Event::Deleted(_)) && finished_at(job).is_some() {
                queue.add_for(key_of(&**job), &**job);
            }
        }
    }

    fn synced(&self) -> bool {
        self.jobs.synced()
    }

    fn sync(&mut self, key: &ObjectKey, queue: &mut Queue) -> Result<(), ApiError> {
        let Some(job) = self.jobs.get(key).filter(|job| !pods::is_deleting(&**job)) else { return Ok(()) };
        let seconds = job.spec.as_ref().and_then(|spec| spec.ttl_seconds_after_finished);
        let (Some(seconds), Some(finished)) = (seconds, finished_at(&job)) else { return Ok(()) };
        let time = after(finished, Duration::from_secs(u64::try_from(seconds).unwrap_or(0)));
        if time > queue.now() {
            queue.add_at(key.clone(), time);
            return Ok(());
        }
        let options =
            DeleteOptions { propagation: Some(Propagation::Foreground), ..DeleteOptions::uid(pods::uid(&*job)) };
        match self.client.delete::<Job>(key, &options) {
            Err(error) if !error.is_not_found() && !error.is_conflict() => Err(error),
            _ => Ok(()),
        }
    }
}
