//! `list`: from stored bytes, in chunks, at a revision.

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::{DecodeError, Engine};
use http::StatusCode;
use machinery::wire::{List, Response};
use machinery::{ApiError, Encoded};
use serde_json::{Value, json};
use store::{Snapshot, StoreError};

use crate::call::{Call, Result};
use crate::negotiate::{View, negotiate};
use crate::read::{json_answer, list_answer, parse_resource_version, pretty, too_large_resource_version};
use crate::selection::Selection;
use crate::{list_options, storage, table};

/// Said when the revision a continue token was made at has been compacted.
const CONTINUE_TOO_OLD: &str = "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.";

/// A page of a list.
pub(crate) struct Page {
    /// The objects, in stored form.
    pub(crate) items: Vec<Encoded>,
    /// The revision of the list.
    pub(crate) revision: i64,
    /// For the next page; empty on the last.
    pub(crate) continue_token: String,
    /// How many more there are, if that is known.
    pub(crate) remaining: Option<i64>,
}

/// Answers `GET` of a collection.
pub(crate) fn list(call: &mut Call) -> Result<Response> {
    let selection = Selection::parse(call)?;
    let page = page(call, &selection)?;
    let representation = negotiate(&call.headers, pretty(call))?;
    let mut list = List {
        api_version: call.row.api_version(),
        kind: call.row.list_kind(),
        resource_version: page.revision.to_string(),
        continue_token: page.continue_token,
        remaining_item_count: page.remaining,
        items: page.items,
    };
    if representation.view == View::Table {
        let fields = table::ListFields {
            resource_version: list.resource_version,
            continue_token: list.continue_token,
            remaining: list.remaining_item_count,
        };
        let table = table::of_stored(call, &list.items, &fields)?;
        return json_answer(call, StatusCode::OK, table);
    }
    let row = call.row;
    for item in &mut list.items {
        *item = match representation.view {
            View::Metadata => Encoded::from_bytes(table::partial_metadata(item)),
            _ => storage::to_wire(row, item.clone()),
        };
    }
    if representation.view == View::Metadata {
        (list.api_version, list.kind) = ("meta.k8s.io/v1".into(), "PartialObjectMetadataList".into());
    }
    list_answer(call, list)
}

/// The page of a list that the request asks for.
pub(crate) fn page(call: &Call, selection: &Selection) -> Result<Page> {
    let prefix = storage::prefix(call.row, &call.info.namespace);
    let limit = match call.info.query.number("limit")? {
        Some(limit) if limit > 0 => usize::try_from(limit).unwrap_or(usize::MAX),
        _ => usize::MAX,
    };
    let (snapshot, from_key) = start(call, &prefix)?;
    // A name asked for is one key, whatever else is selected.
    if let Some(name) = selection.fields.exact("metadata.name")
        && (!call.row.namespaced || !call.info.namespace.is_empty())
    {
        let kv = snapshot.get(&format!("{prefix}{name}")).map(|kv| storage::read(call, kv));
        let mut items = Vec::new();
        if let Some(item) = kv
            && selection.selects(call.row, &item)?
        {
            items.push(item);
        }
        return Ok(Page { items, revision: snapshot.revision(), continue_token: String::new(), remaining: None });
    }
    let everything = selection.is_everything();
    let mut items = Vec::new();
    let mut keys = snapshot.range(&prefix, &from_key);
    let mut last_key = "";
    let mut more = false;
    for kv in keys.by_ref() {
        if items.len() == limit {
            more = true;
            break;
        }
        let item = storage::read(call, kv);
        if selection.selects(call.row, &item)? {
            items.push(item);
        }
        last_key = &kv.key;
    }
    let mut page = Page { items, revision: snapshot.revision(), continue_token: String::new(), remaining: None };
    if more {
        let after = last_key.strip_prefix(&*prefix).unwrap_or_default();
        page.continue_token = token(page.revision, &format!("{after}\0"));
        page.remaining = everything.then(|| i64::try_from(keys.count()).unwrap_or(i64::MAX).saturating_add(1));
    }
    Ok(page)
}

/// The snapshot to read and the key to begin with.
fn start(call: &Call, prefix: &str) -> Result<(Snapshot, String)> {
    let query = &call.info.query;
    list_options::validate(query, false)?;
    let store = call.server.store();
    let (wanted, matching) = (query.get("resourceVersion"), query.get("resourceVersionMatch"));
    let token = query.get("continue");
    if !token.is_empty() {
        if !wanted.is_empty() && wanted != "0" {
            return Err(ApiError::bad_request("specifying resource version is not allowed when using continue"));
        }
        let (revision, after) = read_token(token)?;
        let from_key = format!("{prefix}{after}");
        // Minus one: the client has accepted an inconsistent remainder.
        if revision < 0 {
            return Ok((store.snapshot(), from_key));
        }
        let snapshot = store.snapshot_at(revision).map_err(|error| match error {
            StoreError::Compacted { .. } => {
                let mut error = ApiError::expired(CONTINUE_TOO_OLD);
                error.0.metadata.continue_ = Some(self::token(-1, &after));
                error
            }
            other => storage::store_error(other),
        })?;
        return Ok((snapshot, from_key));
    }
    let revision = if wanted.is_empty() { 0 } else { parse_resource_version(wanted)? };
    let newest = store.snapshot();
    if revision > newest.revision() {
        return Err(too_large_resource_version(revision, newest.revision()));
    }
    // A limit without a match means the exact revision, as upstream has kept it.
    let exact = matching == "Exact" || (matching.is_empty() && revision > 0 && query.number("limit")?.unwrap_or(0) > 0);
    let snapshot = if exact {
        store.snapshot_at(revision).map_err(|error| match error {
            StoreError::Compacted { .. } => ApiError::expired("The resourceVersion for the provided list is too old."),
            other => storage::store_error(other),
        })?
    } else {
        newest
    };
    Ok((snapshot, String::new()))
}

/// A continue token, opaque to clients: the revision, and where to go on under the list's prefix.
fn token(revision: i64, start: &str) -> String {
    URL_SAFE_NO_PAD.encode(json!({"v": "meta.k8s.io/v1", "rv": revision, "start": start}).to_string())
}

fn read_token(token: &str) -> Result<(i64, String)> {
    let invalid =
        |error: &str| ApiError::bad_request(format!("invalid continue token: continue key is not valid: {error}"));
    let bytes =
        URL_SAFE_NO_PAD.decode(token.trim_end_matches('=')).map_err(|error| invalid(&illegal(token, &error)))?;
    let value = machinery::json::decode(&bytes).map_err(|error| invalid(&error.message))?.value;
    if value.get("v").and_then(Value::as_str) != Some("meta.k8s.io/v1") {
        return Err(invalid("server does not recognize this encoded version"));
    }
    let revision = value.get("rv").and_then(Value::as_i64).filter(|revision| *revision != 0);
    let revision =
        revision.ok_or_else(|| invalid("incorrect encoded start resourceVersion (version meta.k8s.io/v1)"))?;
    let start = value.get("start").and_then(Value::as_str).filter(|start| !start.is_empty());
    let start = start.ok_or_else(|| invalid("encoded start key empty (version meta.k8s.io/v1)"))?;
    Ok((revision, start.to_owned()))
}

/// Where text is not base64, in Go's words.
fn illegal(text: &str, error: &DecodeError) -> String {
    let at = match error {
        DecodeError::InvalidByte(at, _) | DecodeError::InvalidLastSymbol(at, _) => *at,
        DecodeError::InvalidLength(_) | DecodeError::InvalidPadding => text.len(),
    };
    format!("illegal base64 data at input byte {at}")
}
