//! `kube-root-ca.crt` in each namespace: what pods need to trust the API server
//! (`pkg/controller/certificates/rootcacertpublisher`).

use std::collections::BTreeMap;
use std::rc::Rc;

use client::{Client, Context, Event, Informer, ListOptions, key_of};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use machinery::ObjectKey;
use machinery::status::ApiError;

use crate::controller::{Controller, Queue};
use crate::serviceaccount::is_active;
use crate::{Options, Setup, pods};

/// The ConfigMap's name.
const NAME: &str = "kube-root-ca.crt";
/// What `kubectl describe` tells about it.
const DESCRIPTION: (&str, &str) = (
    "kubernetes.io/description",
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the \
     internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes \
     clusters.",
);

/// The publisher of the root certificate; its keys are namespaces.
pub struct RootCaPublisher {
    client: Client,
    options: Rc<Options>,
    namespaces: Informer<Namespace>,
    config_maps: Informer<ConfigMap>,
}

impl RootCaPublisher {
    /// From the process's informers.
    pub fn new(setup: &Setup, client: &Client) -> Self {
        Self {
            client: client.clone(),
            options: setup.options.clone(),
            namespaces: setup.informers.informer(),
            // Not all that there are: an informer keeps what it follows.
            config_maps: setup.informers.filtered(&ListOptions::fields(format!("metadata.name={NAME}"))),
        }
    }
}

impl Controller for RootCaPublisher {
    type Key = ObjectKey;

    fn observe(&mut self, cx: &mut Context<'_>, queue: &mut Queue) {
        for event in self.namespaces.poll(cx) {
            queue.add_for(key_of(&**event.object()), &**event.object());
        }
        for event in self.config_maps.poll(cx) {
            let map = event.object();
            if !matches!(event, Event::Added(_)) {
                queue.add_for(ObjectKey::new("", pods::namespace(&**map)), &**map);
            }
        }
    }

    fn synced(&self) -> bool {
        self.namespaces.synced() && self.config_maps.synced()
    }

    fn sync(&mut self, key: &ObjectKey, _: &mut Queue) -> Result<(), ApiError> {
        if !self.namespaces.get(key).is_some_and(|namespace| is_active(&namespace)) {
            return Ok(());
        }
        let data = BTreeMap::from([("ca.crt".to_owned(), self.options.root_ca.clone())]);
        let description = DESCRIPTION;
        let written = match self.config_maps.get(&ObjectKey::new(key.name.as_str(), NAME)) {
            None => self.client.create(ConfigMap {
                metadata: ObjectMeta {
                    name: Some(NAME.into()),
                    namespace: Some(key.name.clone()),
                    annotations: Some(BTreeMap::from([(description.0.to_owned(), description.1.to_owned())])),
                    ..ObjectMeta::default()
                },
                data: Some(data),
                ..ConfigMap::default()
            }),
            Some(map) if map.data.as_ref() == Some(&data) && pods::annotation(&*map, description.0).is_some() => {
                return Ok(());
            }
            Some(map) => {
                let mut map = (*map).clone();
                map.data = Some(data);
                let annotations = map.metadata.annotations.get_or_insert_default();
                annotations.insert(description.0.into(), description.1.into());
                self.client.update(map)
            }
        };
        match written {
            Err(error) if error.is_already_exists() || error.has_cause("NamespaceTerminating") => Ok(()),
            other => other.map(drop),
        }
    }
}
