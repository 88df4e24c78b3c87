//! `Table` and `PartialObjectMetadata`: what is made of objects for clients that ask.

use bytes::Bytes;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use machinery::{ApiError, Encoded};
use serde_json::{Map, Value, json};

use crate::call::{Call, Result};
use crate::registry::printer::{AGE, NAME, NAME_AND_CREATED, age, column, name, name_and_created};
use crate::registry::{Column, ResourceInfo};
use crate::storage;

/// A list's metadata.
#[derive(Clone, Default)]
pub(crate) struct ListFields {
    pub(crate) resource_version: String,
    pub(crate) continue_token: String,
    pub(crate) remaining: Option<i64>,
}

impl ListFields {
    /// At a revision, with nothing more to come.
    pub(crate) fn at(resource_version: String) -> Self {
        Self { resource_version, ..Self::default() }
    }
}

/// What a table's rows carry of their objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Include {
    /// Nothing but the cells.
    None,
    /// Metadata.
    Metadata,
    /// The whole object.
    Object,
}

impl Include {
    /// From the request's `includeObject`.
    ///
    /// # Errors
    /// 400 for a policy that is none.
    pub(crate) fn of(call: &Call) -> Result<Self> {
        match call.info.query.get("includeObject") {
            "" | "Metadata" => Ok(Self::Metadata),
            "None" => Ok(Self::None),
            "Object" => Ok(Self::Object),
            other => {
                Err(ApiError::bad_request(format!("unrecognized includeObject value: {}", machinery::go::quote(other))))
            }
        }
    }
}

/// A table of objects in stored form.
pub(crate) fn of_stored(call: &Call, objects: &[Encoded], list: &ListFields) -> Result<Bytes> {
    let include = Include::of(call)?;
    let rows = objects.iter().map(|object| row(call.row, object, include, call.now)).collect::<Result<Vec<_>>>()?;
    Ok(table(&rows, list, Some(call.row.columns())))
}

/// A table of objects in the form of the row's version.
pub(crate) fn of_wire(call: &Call, objects: &[Encoded], resource_version: &str) -> Result<Bytes> {
    let stored: Vec<Encoded> = match &call.row.conversion {
        None => objects.to_vec(),
        Some(conversion) => objects
            .iter()
            .map(|object| {
                let value = (conversion.to_stored)(object.value().unwrap_or_default());
                Encoded::from_bytes(serde_json::to_vec(&value).unwrap_or_default().into())
            })
            .collect(),
    };
    of_stored(call, &stored, &ListFields::at(resource_version.into()))
}

/// The table of one object of another kind than its resource's: a Scale, or what a review answers.
pub(crate) fn of_other(call: &Call, object: &Encoded) -> Result<Bytes> {
    const SCALE: &[Column] = &[
        NAME,
        column("Desired", "integer", "How many instances there should be."),
        column("Available", "integer", "How many instances there are."),
        AGE,
    ];
    let value = object.value().map_err(ApiError::internal)?;
    let metadata: ObjectMeta = machinery::object::from_value(value["metadata"].clone()).map_err(ApiError::internal)?;
    let number = |pointer: &str| value.pointer(pointer).cloned().unwrap_or_else(|| 0.into());
    let (columns, cells) = match value["kind"].as_str() {
        Some("Scale") => (
            SCALE,
            vec![name(&metadata), number("/spec/replicas"), number("/status/replicas"), age(&metadata, call.now)],
        ),
        _ => (NAME_AND_CREATED, name_and_created(&metadata)),
    };
    let line = line(&cells, object, Include::of(call)?, &|| object.to_bytes());
    let version = metadata.resource_version.unwrap_or_default();
    Ok(table(&[line], &ListFields::at(version), Some(columns)))
}

/// A table from its rows; without `columns` as all but the first table of a watch are.
pub(crate) fn table(rows: &[Bytes], list: &ListFields, columns: Option<&[Column]>) -> Bytes {
    let mut metadata = Map::new();
    metadata.insert("resourceVersion".into(), list.resource_version.as_str().into());
    if !list.continue_token.is_empty() {
        metadata.insert("continue".into(), list.continue_token.as_str().into());
    }
    if let Some(remaining) = list.remaining {
        metadata.insert("remainingItemCount".into(), remaining.into());
    }
    let columns: Value = columns.map(definitions).into();
    let head =
        json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "columnDefinitions": columns});
    let mut bytes = serde_json::to_vec(&head).unwrap_or_default();
    bytes.pop();
    bytes.extend_from_slice(b",\"rows\":[");
    for (index, row) in rows.iter().enumerate() {
        if index > 0 {
            bytes.push(b',');
        }
        bytes.extend_from_slice(row);
    }
    bytes.extend_from_slice(b"]}");
    bytes.into()
}

fn definitions(columns: &[Column]) -> Value {
    let column = |column: &Column| {
        json!({
            "name": column.name,
            "type": column.type_,
            "format": column.format,
            "description": column.description,
            "priority": column.priority,
        })
    };
    columns.iter().map(column).collect()
}

/// A row, with what it carries of its object.
pub(crate) fn row(info: &ResourceInfo, object: &Encoded, include: Include, now: machinery::Timestamp) -> Result<Bytes> {
    let typed = storage::typed(info, object)?;
    let cells = info.cells(&*typed, now);
    Ok(line(&cells, object, include, &|| storage::to_wire(info, object.clone()).to_bytes()))
}

fn line(cells: &[Value], object: &Encoded, include: Include, whole: &dyn Fn() -> Bytes) -> Bytes {
    let mut bytes = b"{\"cells\":".to_vec();
    bytes.extend_from_slice(&serde_json::to_vec(cells).unwrap_or_default());
    match include {
        Include::None => bytes.extend_from_slice(b",\"object\":null"),
        Include::Metadata => {
            bytes.extend_from_slice(b",\"object\":");
            bytes.extend_from_slice(&partial_metadata(object));
        }
        Include::Object => {
            bytes.extend_from_slice(b",\"object\":");
            bytes.extend_from_slice(&whole());
        }
    }
    bytes.push(b'}');
    bytes.into()
}

/// An object's metadata alone.
pub(crate) fn partial_metadata(object: &Encoded) -> Bytes {
    let mut partial = br#"{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":"#.to_vec();
    partial.extend_from_slice(&object.metadata());
    partial.push(b'}');
    partial.into()
}
