//! The component that keeps the forwarding tables in step with the API.

use std::cell::RefCell;
use std::rc::Rc;

use client::{Component, Context, Event, Informer, SharedInformers, key_of};
use k8s_openapi::api::core::v1::{Node, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;

use crate::tables::Tables;

/// Forwarding tables, shared between the component that writes them and the network that asks them.
pub type SharedTables = Rc<RefCell<Tables>>;

/// The label that says in which zone a node is.
const ZONE: &str = "topology.kubernetes.io/zone";

/// Told after every change.
type OnChange = Box<dyn FnMut(&Tables)>;

/// kube-proxy: watches Services and EndpointSlices and writes [`Tables`]. Several nodes may share one;
/// a node that is to lag behind the others gets its own.
pub struct Proxy {
    services: Informer<Service>,
    slices: Informer<EndpointSlice>,
    nodes: Informer<Node>,
    tables: SharedTables,
    changed: Option<OnChange>,
}

impl Proxy {
    /// A proxy over a process' informers.
    pub fn new(informers: &SharedInformers) -> Self {
        let tables = SharedTables::default();
        Self {
            services: informers.informer(),
            slices: informers.informer(),
            nodes: informers.informer(),
            tables,
            changed: None,
        }
    }

    /// Writes to the given tables instead of its own: a proxy that was restarted goes on with what its
    /// node has in force. What was deleted meanwhile is taken out once both lists have come.
    #[must_use]
    pub fn with_tables(mut self, tables: SharedTables) -> Self {
        self.tables = tables;
        self
    }

    /// Calls a function after every change: for a host that programs a real node.
    #[must_use]
    pub fn on_change(mut self, changed: impl FnMut(&Tables) + 'static) -> Self {
        self.changed = Some(Box::new(changed));
        self
    }

    /// The tables, to ask them.
    pub fn tables(&self) -> SharedTables {
        self.tables.clone()
    }
}

impl Component for Proxy {
    fn name(&self) -> &str {
        "kube-proxy"
    }

    fn poll(&mut self, cx: &mut Context<'_>) {
        let was_synced = self.services.synced() && self.slices.synced();
        let services = self.services.poll(cx);
        let slices = self.slices.poll(cx);
        for event in self.nodes.poll(cx) {
            let node = event.object();
            let name = node.metadata.name.as_deref().unwrap_or_default();
            let gone = matches!(event, Event::Deleted(_));
            let labels = node.metadata.labels.as_ref().filter(|_| !gone);
            let zone = labels.and_then(|labels| labels.get(ZONE)).map(String::as_str);
            self.tables.borrow_mut().set_zone(name, zone);
        }
        let synced = self.services.synced() && self.slices.synced();
        let first = synced && !was_synced;
        if services.is_empty() && slices.is_empty() && !first {
            return;
        }
        let mut tables = self.tables.borrow_mut();
        for event in services {
            let key = key_of(&**event.object());
            match event {
                Event::Deleted(_) => tables.remove_service(&key),
                Event::Added(service) | Event::Updated { new: service, .. } => tables.apply_service(&key, service),
            }
        }
        for event in slices {
            let key = key_of(&**event.object());
            match event {
                Event::Deleted(_) => tables.remove_slice(&key),
                Event::Added(slice) | Event::Updated { new: slice, .. } => tables.apply_slice(&key, slice),
            }
        }
        if first {
            tables.retain(|key| self.services.get(key).is_some(), |key| self.slices.get(key).is_some());
        }
        if let Some(changed) = &mut self.changed {
            changed(&tables);
        }
    }
}
