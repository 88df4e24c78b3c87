//! The `default` ServiceAccount of each namespace (`pkg/controller/serviceaccount`).

use client::{Client, Context, Event, Informer, key_of};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use machinery::ObjectKey;
use machinery::status::ApiError;

use crate::Setup;
use crate::controller::{Controller, Queue};
use crate::pods;

/// The account pods run as unless they say otherwise.
const DEFAULT: &str = "default";

/// The controller of default ServiceAccounts; its keys are namespaces.
pub struct ServiceAccountController {
    client: Client,
    namespaces: Informer<Namespace>,
    accounts: Informer<ServiceAccount>,
}

impl ServiceAccountController {
    /// From the process's informers.
    pub fn new(setup: &Setup, client: &Client) -> Self {
        Self { client: client.clone(), namespaces: setup.informers.informer(), accounts: setup.informers.informer() }
    }
}

impl Controller for ServiceAccountController {
    type Key = ObjectKey;

    fn observe(&mut self, cx: &mut Context<'_>, queue: &mut Queue) {
        for event in self.namespaces.poll(cx) {
            queue.add_for(key_of(&**event.object()), &**event.object());
        }
        for event in self.accounts.poll(cx) {
            if let Event::Deleted(account) = &event
                && pods::name(&**account) == DEFAULT
            {
                queue.add_for(ObjectKey::new("", pods::namespace(&**account)), &**account);
            }
        }
    }

    fn synced(&self) -> bool {
        self.namespaces.synced() && self.accounts.synced()
    }

    fn sync(&mut self, key: &ObjectKey, _: &mut Queue) -> Result<(), ApiError> {
        let active = self.namespaces.get(key).is_some_and(|namespace| is_active(&namespace));
        if !active || self.accounts.get(&ObjectKey::new(key.name.as_str(), DEFAULT)).is_some() {
            return Ok(());
        }
        let account = ServiceAccount {
            metadata: ObjectMeta {
                name: Some(DEFAULT.into()),
                namespace: Some(key.name.clone()),
                ..ObjectMeta::default()
            },
            ..ServiceAccount::default()
        };
        match self.client.create(account) {
            Err(error) if error.is_already_exists() || error.has_cause("NamespaceTerminating") => Ok(()),
            other => other.map(drop),
        }
    }
}

/// Whether things can be made in the namespace.
pub(crate) fn is_active(namespace: &Namespace) -> bool {
    let phase = namespace.status.as_ref().and_then(|status| status.phase.as_deref());
    !pods::is_deleting(namespace) && phase != Some("Terminating")
}
