//! What kinds share: metadata rules, names, table cells.

pub(super) mod defaults;
pub(super) mod immutable_data;
pub(super) mod meta;
pub(super) mod names;
pub(super) mod net;
pub(crate) mod printer;
pub(super) mod resources;
pub(super) mod validate;
pub(super) mod workload;
