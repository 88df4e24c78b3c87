//! What the API server knows of each built-in kind: a row in a table and a strategy.
//!
//! A [`ResourceInfo`] row has what is said of a resource before any object is looked at: its names,
//! scope, verbs, subresources, place in etcd, selectable fields and print columns. Its [`Strategy`] has
//! what is done to objects: defaults, validation, what an update may change, table cells. A kind is
//! data: [`Typed`] is a struct of plain functions, and what all kinds share (generation, status apart
//! from spec, object metadata) is done once, in [`ResourceInfo::before_create`] and
//! [`ResourceInfo::before_update`].
//!
//! Rows of a group live in the group's folder; a kind with more than a few lines of behaviour has a
//! folder with `defaults.rs`, `validation.rs` and `printer.rs`. `shared` has what kinds share.

mod info;
mod rare;
mod shared;
mod strategy;

mod admissionregistration;
mod apiregistration;
mod apps;
mod authentication;
mod authorization;
mod autoscaling;
mod batch;
mod certificates;
mod coordination;
pub(crate) mod core;
mod discovery;
mod events;
mod flowcontrol;
mod networking;
mod node;
mod policy;
mod rbac;
mod scheduling;
mod storage;

#[cfg(test)]
mod tests;

pub use info::{
    Column, Conversion, OBJECT_VERBS, ResourceInfo, SubresourceInfo, VERBS, all, by_kind, by_resource, by_short_name,
};
pub(crate) use shared::printer;
pub use strategy::{Decoded, Field, Parts, Propagation, ScaleFns, ScaleView, Strategy, Subresource, Typed, Update};

/// The rows of each group, in discovery's order.
static GROUPS: &[&[ResourceInfo]] = &[
    core::ROWS,
    apiregistration::ROWS,
    apps::ROWS,
    events::ROWS,
    authentication::ROWS,
    authorization::ROWS,
    autoscaling::ROWS,
    batch::ROWS,
    certificates::ROWS,
    networking::ROWS,
    policy::ROWS,
    rbac::ROWS,
    storage::ROWS,
    admissionregistration::ROWS,
    scheduling::ROWS,
    coordination::ROWS,
    node::ROWS,
    discovery::ROWS,
    flowcontrol::ROWS,
];
