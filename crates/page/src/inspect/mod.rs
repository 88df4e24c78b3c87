//! The inspector: one object, live, and what has passed lately.

mod actions;
mod activity;
mod edit;
mod findings;
mod logs;
mod view;
mod why;
mod yaml;

pub use activity::Activity;
pub use view::Inspector;
