//! The inspector: one object, live, and what has passed lately.

mod actions;
mod activity;
mod diff;
mod edit;
mod family;
mod findings;
mod logs;
mod mistake;
mod near;
mod view;
mod why;
mod yaml;

pub use diff::diff;
pub use view::{Chosen, Inspector, InspectorProps};
pub use yaml::text as yaml_text;
