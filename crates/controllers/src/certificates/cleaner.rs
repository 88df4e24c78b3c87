//! Deletes requests that have had their time (`pkg/controller/certificates/cleaner`).

use std::rc::Rc;
use std::time::Duration;

use client::{Client, Context, DeleteOptions, Informer, creation_time};
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use machinery::status::ApiError;
use machinery::time::after;
use machinery::{ObjectKey, Timestamp};

use super::{certificate, conditions, observe};
use crate::controller::{Controller, Queue};
use crate::{Options, Setup, pods};

/// How long those stay that were issued, denied or failed…
const DECIDED: Duration = Duration::from_secs(3600);
/// …and those that nobody decided about.
const PENDING: Duration = Duration::from_secs(24 * 3600);

/// The cleaner.
pub struct CertificateCleaner {
    client: Client,
    options: Rc<Options>,
    requests: Informer<CertificateSigningRequest>,
}

impl CertificateCleaner {
    /// From the process's informers.
    pub fn new(setup: &Setup, client: &Client) -> Self {
        Self { client: client.clone(), options: setup.options.clone(), requests: setup.informers.informer() }
    }

    /// When a request is to go; none where it is approved and waits for its certificate.
    fn end(&self, request: &CertificateSigningRequest) -> Option<Timestamp> {
        let decided = |kind: &str| {
            let condition = conditions(request).find(|condition| condition.type_ == kind)?;
            Some(after(condition.last_update_time.as_ref()?.0, DECIDED))
        };
        if conditions(request).next().is_none() {
            return Some(after(creation_time(request)?, PENDING));
        }
        let issued = certificate(request).and_then(|certificate| {
            let expired = self.options.authority.as_ref().and_then(|authority| authority.not_after(certificate));
            decided("Approved").into_iter().chain(expired).min()
        });
        issued.into_iter().chain(decided("Denied")).chain(decided("Failed")).min()
    }
}

impl Controller for CertificateCleaner {
    type Key = ObjectKey;

    fn observe(&mut self, cx: &mut Context<'_>, queue: &mut Queue) {
        observe(&mut self.requests, cx, queue);
    }

    fn synced(&self) -> bool {
        self.requests.synced()
    }

    fn sync(&mut self, key: &ObjectKey, queue: &mut Queue) -> Result<(), ApiError> {
        let Some(request) = self.requests.get(key) else { return Ok(()) };
        let Some(end) = self.end(&request) else { return Ok(()) };
        if end > queue.now() {
            queue.add_at(key.clone(), end);
            return Ok(());
        }
        match self.client.delete::<CertificateSigningRequest>(key, &DeleteOptions::uid(pods::uid(&*request))) {
            Err(error) if !error.is_not_found() && !error.is_conflict() => Err(error),
            _ => Ok(()),
        }
    }
}
