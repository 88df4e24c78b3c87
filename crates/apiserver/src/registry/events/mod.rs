//! `events.k8s.io`: the core group's events under other names.

use super::core::event;
use super::info::ResourceInfo;

/// The rows of the group.
pub(super) static ROWS: &[ResourceInfo] = &[ResourceInfo {
    short_names: &["ev"],
    conversion: Some(event::CONVERSION),
    ..ResourceInfo::new(("events.k8s.io", "v1"), "events", "Event", "/registry/events", &event::STRATEGY)
}];
