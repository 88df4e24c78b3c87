//! Request bodies into objects, in upstream's words where they cannot be read.

use bytes::Bytes;
use http::HeaderMap;
use machinery::wire::Body;
use machinery::{ApiError, GroupVersionKind, Object, schema};
use serde_json::Value;

use crate::call::{Call, Result, invalid_options, options_kind};
use crate::duplicates::duplicate_fields;
use crate::negotiate::{BodyFormat, body_format};

/// A request body, all at hand.
pub(crate) enum Payload {
    /// Bytes with a content type.
    Bytes(Bytes),
    /// An object of a client in the same process.
    Object(machinery::Encoded),
}

impl Payload {
    /// Waits for a body that is still coming.
    pub(crate) async fn read(body: Body) -> Self {
        match body {
            Body::Object(object) => Self::Object(object),
            other => Self::Bytes(other.collect().await),
        }
    }

    /// The body as a JSON tree; `Null` if there is none.
    pub(crate) fn value(&self, headers: &HeaderMap, expected: &GroupVersionKind) -> Result<Value> {
        match self {
            Self::Object(object) => object.value().map_err(|error| unrecognized(expected, &error.to_string(), &[])),
            Self::Bytes(bytes) if bytes.is_empty() => Ok(Value::Null),
            Self::Bytes(bytes) => match body_format(headers)? {
                BodyFormat::Json => {
                    serde_json::from_slice(bytes).map_err(|error| unrecognized(expected, &error.to_string(), bytes))
                }
                BodyFormat::Protobuf => crate::protobuf::decode(bytes, expected)
                    .map_err(|error| unrecognized(expected, &error.to_string(), bytes)),
                BodyFormat::Yaml => {
                    let text = std::str::from_utf8(bytes)
                        .map_err(|error| unrecognized(expected, &error.to_string(), bytes))?;
                    machinery::yaml::from_str(text).map_err(|error| unrecognized(expected, &error.to_string(), bytes))
                }
            },
        }
    }
}

/// The object a request carries, of the call's kind and defaulted; its `apiVersion` and `kind` may be
/// left out.
pub(crate) fn decode_object(call: &mut Call, payload: &Payload) -> Result<Box<dyn Object>> {
    let row = call.row;
    if let Payload::Object(encoded) = payload
        && row.conversion.is_none()
        && let Some(object) = encoded.object()
        && object.kind() == row.kind
        && object.api_version() == row.api_version()
    {
        let mut object = object.clone_object();
        row.strategy.default(&mut *object);
        return Ok(object);
    }
    let value = payload.value(&call.headers, &row.gvk())?;
    if value.is_null() {
        return Err(unrecognized(&row.gvk(), "EOF", &[]));
    }
    let source = match payload {
        Payload::Bytes(bytes) => Some(bytes.clone()),
        Payload::Object(_) => None,
    };
    decode_value(call, value, source.as_deref())
}

/// As [`decode_object`], from a JSON tree: what a patch made. `source` is what the client wrote, for
/// finding keys given twice.
pub(crate) fn decode_value(call: &mut Call, mut value: Value, source: Option<&[u8]>) -> Result<Box<dyn Object>> {
    let row = call.row;
    complete_type(&mut value, &row.gvk())?;
    check_fields(call, &value, source)?;
    if let Some(conversion) = &row.conversion {
        value = (conversion.to_stored)(value);
    }
    let mut object = row.strategy.decode(value).map_err(|error| schema::decode_error(&row.gvk(), error))?;
    row.strategy.default(&mut *object);
    Ok(object)
}

/// Fills in `apiVersion` and `kind`, and refuses others than the expected.
pub(crate) fn complete_type(value: &mut Value, expected: &GroupVersionKind) -> Result<()> {
    let Some(object) = value.as_object_mut() else {
        let text = machinery::go::json(value);
        let error = "json: cannot unmarshal into Go value of type struct { APIVersion string; Kind string }";
        return Err(unrecognized(expected, error, text.as_bytes()));
    };
    let api_version = expected.api_version();
    for (name, wanted) in [("apiVersion", &api_version), ("kind", &expected.kind)] {
        let given = object.get(name).and_then(Value::as_str).unwrap_or_default();
        if given.is_empty() {
            object.insert(name.into(), wanted.as_str().into());
        } else if given != wanted {
            return Err(ApiError::bad_request(if name == "apiVersion" {
                format!("the API version in the data ({given}) does not match the expected API version ({wanted})")
            } else {
                format!(
                    "{given} in version {} cannot be handled as a {wanted}: converting (v1.{given}) to (v1.{wanted}): unknown conversion",
                    machinery::go::quote(&expected.version)
                )
            }));
        }
    }
    Ok(())
}

/// Finds fields the kind does not have and keys given twice, and does with them what
/// `fieldValidation` says; a value of the wrong type is an error in any case.
fn check_fields(call: &mut Call, value: &Value, source: Option<&[u8]>) -> Result<()> {
    let kind = call.row.gvk();
    let strictness = call.info.query.get("fieldValidation").to_owned();
    if !matches!(strictness.as_str(), "" | "Ignore" | "Warn" | "Strict") {
        let supported = "supported values: \"Ignore\", \"Strict\", \"Warn\"";
        let message = format!("Unsupported value: {}: {supported}", machinery::go::quote(&strictness));
        return Err(invalid_options("fieldValidation", &message, "FieldValueNotSupported", options_kind(call)));
    }
    if let Some(error) = schema::type_mismatch(&kind, value) {
        return Err(schema::decode_error(&kind, error));
    }
    if strictness == "Ignore" {
        return Ok(());
    }
    let mut problems = source.map(duplicate_fields).unwrap_or_default();
    problems.extend(schema::unknown_fields(&kind, value));
    if strictness == "Strict" && !problems.is_empty() {
        return Err(schema::strict_error(&kind, &problems));
    }
    call.warnings.extend(problems);
    Ok(())
}

/// 400: the body is no object at all.
fn unrecognized(expected: &GroupVersionKind, error: &str, body: &[u8]) -> ApiError {
    const SHOWN_BYTES_MAX: usize = 30;
    let shown = match body.get(..SHOWN_BYTES_MAX) {
        Some(head) => format!("{} ...", machinery::go::quote(&String::from_utf8_lossy(head))),
        None => machinery::go::quote(&String::from_utf8_lossy(body)),
    };
    ApiError::bad_request(format!(
        "the object provided is unrecognized (must be of type {}): {error} ({shown})",
        expected.kind
    ))
}
