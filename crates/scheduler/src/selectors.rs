//! Which pods belong together: those of the same Services and the same controller (upstream
//! helper.DefaultSelector). They are spread where a pod says nothing of spreading.

use client::{Client, Context, Informer, ListOptions};
use k8s_openapi::api::apps::v1::{ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::{Pod, ReplicationController, Service};
use machinery::ObjectKey;
use machinery::labels::{Requirement, Selector};

/// Files a Service under its namespace and the first label it selects.
const BY_LABEL: &str = "label";

/// Services and controllers.
pub struct Selectors {
    services: Informer<Service>,
    replication_controllers: Informer<ReplicationController>,
    replica_sets: Informer<ReplicaSet>,
    stateful_sets: Informer<StatefulSet>,
}

impl Selectors {
    /// Selectors that know nothing yet.
    pub fn new(client: &Client) -> Self {
        Self {
            services: Informer::new(client, "", ListOptions::default()).indexed(BY_LABEL, |service: &Service| {
                let labels = service.spec.as_ref().and_then(|spec| spec.selector.as_ref());
                let namespace = service.metadata.namespace.as_deref().unwrap_or_default();
                labels
                    .and_then(|it| it.iter().next())
                    .map(|(key, value)| label_key(namespace, key, value))
                    .into_iter()
                    .collect()
            }),
            replication_controllers: Informer::new(client, "", ListOptions::default()),
            replica_sets: Informer::new(client, "", ListOptions::default()),
            stateful_sets: Informer::new(client, "", ListOptions::default()),
        }
    }

    /// Takes what is new.
    pub fn observe(&mut self, cx: &mut Context<'_>) {
        self.services.poll(cx);
        self.replication_controllers.poll(cx);
        self.replica_sets.poll(cx);
        self.stateful_sets.poll(cx);
    }

    /// Whether everything has been read once.
    pub fn synced(&self) -> bool {
        self.services.synced()
            && self.replication_controllers.synced()
            && self.replica_sets.synced()
            && self.stateful_sets.synced()
    }

    /// What selects the pods that belong together with this one; none where nothing does.
    pub fn of(&self, pod: &Pod) -> Option<Selector> {
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let mut requirements: Vec<Requirement> = Vec::new();
        let mut add = |selector: Selector| {
            for requirement in selector.requirements().unwrap_or_default() {
                if !requirements.contains(requirement) {
                    requirements.push(requirement.clone());
                }
            }
        };
        let labels = pod.metadata.labels.as_ref();
        for (key, value) in labels.into_iter().flatten() {
            for service in self.services.by_index(BY_LABEL, &label_key(namespace, key, value)) {
                let selector = service.spec.as_ref().and_then(|spec| spec.selector.as_ref());
                let selector = selector.map_or_else(Selector::nothing, Selector::from_set);
                if selector.matches(labels) {
                    add(selector);
                }
            }
        }
        let owner = pod.metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true));
        if let Some(owner) = owner {
            let key = ObjectKey::new(namespace, &*owner.name);
            let selector = match (owner.kind.as_str(), owner.api_version.as_str()) {
                ("ReplicationController", "v1") => {
                    let controller = self.replication_controllers.get(&key);
                    controller.and_then(|it| Some(Selector::from_set(it.spec.as_ref()?.selector.as_ref()?)))
                }
                ("ReplicaSet", "apps/v1") => {
                    let set = self.replica_sets.get(&key);
                    set.and_then(|it| Selector::from_label_selector(Some(&it.spec.selector)).ok())
                }
                ("StatefulSet", "apps/v1") => {
                    let set = self.stateful_sets.get(&key);
                    set.and_then(|it| Selector::from_label_selector(Some(&it.spec.selector)).ok())
                }
                _ => None,
            };
            selector.into_iter().for_each(add);
        }
        (!requirements.is_empty()).then(|| Selector::from_requirements(requirements))
    }
}

fn label_key(namespace: &str, key: &str, value: &str) -> String {
    format!("{namespace}/{key}={value}")
}
