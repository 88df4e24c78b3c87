//! `get`, and how one object becomes an answer.

use http::StatusCode;
use machinery::wire::{Body, List, Response};
use machinery::{ApiError, Encoded};

use crate::call::{Call, Result};
use crate::negotiate::{Encoding, View, encode, negotiate};
use crate::server::response;
use crate::{storage, table};

/// Answers `GET` of one object.
pub(crate) fn get(call: &mut Call) -> Result<Response> {
    let snapshot = call.server.store().snapshot();
    let Some(kv) = snapshot.get(&call.key()) else { return Err(call.not_found()) };
    let wanted = call.info.query.get("resourceVersion");
    if !wanted.is_empty() {
        let revision = parse_resource_version(wanted)?;
        if revision > snapshot.revision() {
            return Err(too_large_resource_version(revision, snapshot.revision()));
        }
    }
    let object = storage::read(call, kv);
    match representation_view(call)? {
        View::Table => {
            let version = snapshot.revision().to_string();
            let table = table::of_stored(call, &[object], &table::ListFields::at(version))?;
            json_answer(call, StatusCode::OK, table)
        }
        _ => {
            let object = storage::to_wire(call.row, object);
            answer(call, StatusCode::OK, object)
        }
    }
}

fn representation_view(call: &Call) -> Result<View> {
    Ok(negotiate(&call.headers, pretty(call))?.view)
}

/// Whether the client wants indented JSON: it says so, or a person reads what it gets.
pub(crate) fn pretty(call: &Call) -> bool {
    if call.info.query.has("pretty") {
        return call.info.query.flag("pretty");
    }
    let agent = call.headers.get(http::header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    agent.starts_with("curl") || agent.starts_with("Wget")
}

/// An object, in its wire form, as the answer the client wants.
pub(crate) fn answer(call: &Call, code: StatusCode, object: Encoded) -> Result<Response> {
    let representation = negotiate(&call.headers, pretty(call))?;
    match representation.view {
        View::Object if representation.encoding == Encoding::Json => {
            Ok(response(code, "application/json", Body::Object(object)))
        }
        View::Object => {
            let (bytes, content_type) = encode(object.to_bytes(), representation.encoding);
            Ok(response(code, content_type, Body::Bytes(bytes)))
        }
        View::Metadata => {
            let partial = table::partial_metadata(&object);
            json_answer(call, code, partial)
        }
        View::Table => {
            let (version, kind) = (object.resource_version().unwrap_or_default(), object.kind());
            let table = match kind.as_str() {
                // It is what it is, however one wants objects.
                "Status" => object.to_bytes(),
                kind if kind == call.row.kind => table::of_wire(call, &[object], &version)?,
                _ => table::of_other(call, &object)?,
            };
            json_answer(call, code, table)
        }
    }
}

/// JSON in the encoding the client wants.
pub(crate) fn json_answer(call: &Call, code: StatusCode, json: bytes::Bytes) -> Result<Response> {
    let representation = negotiate(&call.headers, pretty(call))?;
    let (bytes, content_type) = encode(json, representation.encoding);
    Ok(response(code, content_type, Body::Bytes(bytes)))
}

/// A list in the encoding the client wants.
pub(crate) fn list_answer(call: &Call, list: List) -> Result<Response> {
    let encoding = negotiate(&call.headers, pretty(call))?.encoding;
    #[cfg(feature = "protobuf")]
    if encoding == Encoding::Protobuf
        && let Some(bytes) = crate::protobuf::encode_list(&list)
    {
        return Ok(response(StatusCode::OK, crate::protobuf::MEDIA_TYPE, Body::Bytes(bytes)));
    }
    match encoding {
        Encoding::Json => Ok(response(StatusCode::OK, "application/json", Body::List(list))),
        _ => json_answer(call, StatusCode::OK, list.to_bytes()),
    }
}

/// A resourceVersion as a number.
///
/// # Errors
/// 400 for anything else.
pub(crate) fn parse_resource_version(text: &str) -> Result<i64> {
    let revision = text.parse::<i64>().ok().filter(|revision| *revision >= 0);
    revision.ok_or_else(|| {
        let text = machinery::go::quote(text);
        let error = format!("Invalid value: {text}: strconv.ParseUint: parsing {text}: invalid syntax");
        ApiError::bad_request(format!("resourceVersion: {error}"))
    })
}

/// 504: the client knows a revision that this server has not.
pub(crate) fn too_large_resource_version(wanted: i64, current: i64) -> ApiError {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::StatusCause;
    ApiError::timeout(format!("Too large resource version: {wanted}, current: {current}"), 1).with_causes(vec![
        StatusCause {
            reason: Some("ResourceVersionTooLarge".into()),
            message: Some("Too large resource version".into()),
            ..StatusCause::default()
        },
    ])
}

/// A list of objects that are not stored, as the answer the client wants.
pub(crate) fn answer_list(call: &Call, items: Vec<Encoded>) -> Result<Response> {
    let representation = negotiate(&call.headers, pretty(call))?;
    if representation.view == View::Table {
        let table = table::of_stored(call, &items, &table::ListFields::default())?;
        return json_answer(call, StatusCode::OK, table);
    }
    let list = List {
        api_version: call.row.api_version(),
        kind: call.row.list_kind(),
        resource_version: String::new(),
        continue_token: String::new(),
        remaining_item_count: None,
        items,
    };
    list_answer(call, list)
}
