//! The inspector: one object, live, and what has passed lately.

mod actions;
mod activity;
mod diff;
mod edit;
mod family;
mod findings;
mod logs;
mod view;
mod why;
mod yaml;

pub use activity::Activity;
pub use diff::diff;
pub use view::Inspector;
pub use yaml::text as yaml_text;
