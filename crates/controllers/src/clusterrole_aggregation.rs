//! Fills ClusterRoles with the rules of those they select (`pkg/controller/clusterroleaggregation`).

use client::{Client, Context, Event, Informer, Patch, key_of};
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule};
use machinery::ObjectKey;
use machinery::labels::Selector;
use machinery::status::ApiError;
use serde_json::json;

use crate::controller::{Controller, Queue};
use crate::{Setup, pods};

/// ClusterRoles that select others.
const AGGREGATES: &str = "aggregates";

/// The controller of aggregated ClusterRoles.
pub struct ClusterRoleAggregation {
    client: Client,
    roles: Informer<ClusterRole>,
}

impl ClusterRoleAggregation {
    /// From the process's informers.
    pub fn new(setup: &Setup, client: &Client) -> Self {
        let aggregates =
            |role: &ClusterRole| role.aggregation_rule.as_ref().map(|_| String::new()).into_iter().collect::<Vec<_>>();
        Self { client: client.clone(), roles: setup.informers.informer().indexed(AGGREGATES, aggregates) }
    }
}

impl Controller for ClusterRoleAggregation {
    type Key = ObjectKey;

    fn observe(&mut self, cx: &mut Context<'_>, queue: &mut Queue) {
        let events = self.roles.poll(cx);
        let changes = |event: &&Event<ClusterRole>| match event {
            Event::Updated { old, new } => {
                old.rules != new.rules
                    || old.metadata.labels != new.metadata.labels
                    || old.aggregation_rule != new.aggregation_rule
            }
            _ => true,
        };
        let Some(event) = events.iter().find(changes) else { return };
        for role in self.roles.by_index(AGGREGATES, "") {
            queue.add_for(key_of(&*role), &**event.object());
        }
    }

    fn synced(&self) -> bool {
        self.roles.synced()
    }

    fn sync(&mut self, key: &ObjectKey, _: &mut Queue) -> Result<(), ApiError> {
        let Some(role) = self.roles.get(key).filter(|role| !pods::is_deleting(&**role)) else { return Ok(()) };
        let Some(aggregation) = &role.aggregation_rule else { return Ok(()) };
        let mut rules: Vec<PolicyRule> = Vec::new();
        for selector in aggregation.cluster_role_selectors.iter().flatten() {
            let Ok(selector) = Selector::from_label_selector(Some(selector)) else { continue };
            for other in self.roles.list() {
                if pods::name(&*other) == key.name || !selector.matches(other.metadata.labels.as_ref()) {
                    continue;
                }
                for rule in other.rules.iter().flatten() {
                    if !rules.contains(rule) {
                        rules.push(rule.clone());
                    }
                }
            }
        }
        if role.rules.iter().flatten().eq(&rules) {
            return Ok(());
        }
        match self.client.patch::<ClusterRole>(key, &Patch::Merge(json!({ "rules": rules }))) {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }
}
