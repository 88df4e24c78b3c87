//! The inspector: one object, live, and what has passed lately.

mod activity;
mod findings;
mod view;
mod why;
mod yaml;

pub use activity::Activity;
pub use view::Inspector;
