//! Table cells that many kinds have.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use machinery::Timestamp;
use machinery::time::{format_seconds, human_age};
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
    human_age(time.map(|time| time.0), now)
}

/// A text, or `<none>` for none.
pub fn or_none(text: Option<&str>) -> Value {
    text.filter(|text| !text.is_empty()).unwrap_or("<none>").into()
}

/// Texts joined by commas.
pub fn joined<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    texts.into_iter().collect::<Vec<_>>().join(",")
}

/// Labels as `a=b,c=d`, or `<none>`.
pub fn format_labels(labels: Option<&BTreeMap<String, String>>) -> Value {
    let pairs: Vec<String> = labels.into_iter().flatten().map(|(key, value)| format!("{key}={value}")).collect();
    or_none(Some(&pairs.join(",")))
}

/// The columns that show a pod template with `-o wide`.
pub const CONTAINERS: Column = wide("Containers", "string", "Names of the containers in the template.");
/// Beside [`CONTAINERS`].
pub const IMAGES: Column = wide("Images", "string", "Images of the containers in the template.");
/// Beside [`CONTAINERS`].
pub const SELECTOR: Column = wide("Selector", "string", "Which pods belong to the object.");

/// The cells under [`CONTAINERS`] and [`IMAGES`].
pub fn containers_and_images(template: Option<&PodTemplateSpec>) -> [Value; 2] {
    let containers = template.and_then(|template| template.spec.as_ref()).map(|spec| spec.containers.as_slice());
    let containers = containers.unwrap_or_default();
    let names = joined(containers.iter().map(|container| container.name.as_str()));
    let images = joined(containers.iter().map(|container| container.image.as_deref().unwrap_or_default()));
    [names.into(), images.into()]
}

/// The first three of a list, and how many more there are.
pub fn first_three(list: &[String]) -> String {
    const SHOWN: usize = 3;
    let shown = joined(list.iter().take(SHOWN).map(String::as_str));
    match list.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} + {more} more..."),
    }
}

/// `10.0.0.1:80`, `[::1]:80`.
pub fn host_port(host: &str, port: i32) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// The table of kinds for which upstream has no printer: name and the time of creation.
pub const NAME_AND_CREATED: &[Column] = &[NAME, column("Created At", "date", "When the object was created.")];

/// The cells under [`NAME_AND_CREATED`].
pub fn name_and_created(metadata: &ObjectMeta) -> Vec<Value> {
    let created = metadata.creation_timestamp.as_ref().map(|time| format_seconds(time.0));
    vec![name(metadata), created.into()]
}
