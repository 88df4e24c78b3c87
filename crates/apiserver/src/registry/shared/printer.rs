//! Table cells that many kinds have.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use machinery::Timestamp;
use serde_json::Value;

use crate::registry::info::Column;

/// A column that is always shown.
pub const fn column(name: &'static str, type_: &'static str, description: &'static str) -> Column {
    Column { name, type_, format: "", priority: 0, description }
}

/// A column that `-o wide` shows.
pub const fn wide(name: &'static str, type_: &'static str, description: &'static str) -> Column {
    Column { name, type_, format: "", priority: 1, description }
}

/// The column that names the object.
pub const NAME: Column = Column {
    name: "Name",
    type_: "string",
    format: "name",
    priority: 0,
    description: "Name of the object, unique in its namespace.",
};
/// The column that says how old the object is.
pub const AGE: Column = column("Age", "string", "Time since the object was created.");
/// The table of kinds that have nothing more to show.
pub const NAME_AND_AGE: &[Column] = &[NAME, AGE];

/// The cells under [`NAME_AND_AGE`].
pub fn name_and_age(metadata: &ObjectMeta, now: Timestamp) -> Vec<Value> {
    vec![name(metadata), age(metadata, now)]
}

/// The object's name.
pub fn name(metadata: &ObjectMeta) -> Value {
    metadata.name.clone().unwrap_or_default().into()
}

/// The object's age: `5m`.
pub fn age(metadata: &ObjectMeta, now: Timestamp) -> Value {
    since(metadata.creation_timestamp.as_ref(), now).into()
}

/// Time since then in short form, or `<unknown>`.
pub fn since(time: Option<&Time>, now: Timestamp) -> String {
    match time {
        Some(time) => short_human_duration(now.as_second().saturating_sub(time.0.as_second())),
        None => "<unknown>".into(),
    }
}

/// A duration as `kubectl get` shows ages: two units at most, the second only while it matters
/// (apimachinery's `duration.HumanDuration`).
pub fn short_human_duration(seconds: i64) -> String {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    const YEAR: i64 = 365 * DAY;
    let two = |first: i64, first_unit: &str, second: i64, second_unit: &str| match second {
        0 => format!("{first}{first_unit}"),
        _ => format!("{first}{first_unit}{second}{second_unit}"),
    };
    match seconds {
        i64::MIN..=-2 => "<invalid>".into(),
        -1 => "0s".into(),
        0..120 => format!("{seconds}s"),
        120..600 => two(seconds / MINUTE, "m", seconds % MINUTE, "s"),
        600..10_800 => format!("{}m", seconds / MINUTE),
        10_800..28_800 => two(seconds / HOUR, "h", seconds % HOUR / MINUTE, "m"),
        28_800..172_800 => format!("{}h", seconds / HOUR),
        172_800..691_200 => two(seconds / DAY, "d", seconds % DAY / HOUR, "h"),
        691_200..63_072_000 => format!("{}d", seconds / DAY),
        63_072_000..252_288_000 => two(seconds / YEAR, "y", seconds % YEAR / DAY, "d"),
        _ => format!("{}y", seconds / YEAR),
    }
}
