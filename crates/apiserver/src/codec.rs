//! Request bodies into objects, in upstream's words where they cannot be read.

use bytes::Bytes;
use http::HeaderMap;
use machinery::field::{Error, Path};
use machinery::wire::Body;
use machinery::{ApiError, Encoded, GroupVersionKind, Object, schema};
use serde_json::Value;

use crate::call::{Call, Result, invalid_options, options_kind};
use crate::negotiate::{BodyFormat, body_format};
use crate::strict::{Source, json_problems};

/// A request body, all at hand.
pub(crate) enum Payload {
    /// Bytes with a content type.
    Bytes(Bytes),
    /// An object of a client in the same process.
    Object(Encoded),
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
        Ok(self.read_value(headers, expected)?.0)
    }

    /// As [`Payload::value`], with what strict decoding needs besides.
    fn read_value(&self, headers: &HeaderMap, expected: &GroupVersionKind) -> Result<(Value, Source<'_>)> {
        let bytes = match self {
            Self::Object(object) => {
                let value = object.value().map_err(|error| unrecognized(expected, &error.to_string(), &[]))?;
                return Ok((value, Source::Tree));
            }
            Self::Bytes(bytes) if bytes.is_empty() => return Ok((Value::Null, Source::Tree)),
            Self::Bytes(bytes) => bytes,
        };
        let refuse = |error: &dyn std::fmt::Display| unrecognized(expected, &error.to_string(), bytes);
        match body_format(headers)? {
            BodyFormat::Json => {
                let decoded = machinery::json::decode(bytes)
                    .map_err(|error| refuse(&format_args!("couldn't get version/kind; json parse error: {error}")))?;
                Ok((decoded.value, if decoded.duplicates.is_empty() { Source::Tree } else { Source::Json(bytes) }))
            }
            #[cfg(feature = "protobuf")]
            BodyFormat::Protobuf => {
                let value = crate::protobuf::decode(bytes, expected).map_err(|error| refuse(&error))?;
                Ok((value, Source::Tree))
            }
            BodyFormat::Yaml => {
                let text = std::str::from_utf8(bytes).map_err(|error| refuse(&error))?;
                let document = machinery::yaml::document(text).map_err(|error| refuse(&error))?;
                Ok((document.value, Source::Yaml(document.duplicates)))
            }
        }
    }
}

/// The object a request carries, of the call's kind and defaulted; its `apiVersion` and `kind` may be
/// left out.
///
/// What came as an object is taken out of the payload.
pub(crate) fn decode_object(call: &mut Call, payload: &mut Payload) -> Result<Box<dyn Object>> {
    let row = call.row;
    if let Payload::Object(encoded) = payload
        && row.conversion.is_none()
        && let Some(object) = encoded.object()
        && object.kind() == row.kind
        && object.api_version() == row.api_version()
    {
        let given = std::mem::replace(encoded, Encoded::from_bytes(Bytes::new()));
        if let Some(mut object) = given.into_object() {
            row.strategy.default(&mut *object);
            return Ok(object);
        }
    }
    let (value, source) = payload.read_value(&call.headers, &row.gvk())?;
    if value.is_null() {
        return Err(unrecognized(&row.gvk(), "EOF", &[]));
    }
    decode_value(call, value, source)
}

/// As [`decode_object`], from a JSON tree: what a patch made.
pub(crate) fn decode_value(call: &mut Call, mut value: Value, source: Source) -> Result<Box<dyn Object>> {
    let row = call.row;
    complete_type(&mut value, &row.gvk())?;
    let shown = source.shown();
    check_fields(call, &value, source)?;
    if let Some(schema) = schema::builtin().get(&row.gvk()) {
        schema::builtin().drop_empty(schema, &mut value);
    }
    if let Some(conversion) = &row.conversion {
        value = (conversion.to_stored)(value);
    }
    let mut object = row.strategy.decode(value).map_err(|error| undecodable(call, shown, &error.to_string()))?;
    row.strategy.default(&mut *object);
    Ok(object)
}

/// 400 for a body that is a list, a text or a number.
pub(crate) fn not_an_object(value: &Value, expected: &GroupVersionKind) -> ApiError {
    let error = "json: cannot unmarshal into Go value of type struct { APIVersion string; Kind string }";
    unrecognized(expected, error, machinery::go::json(value).as_bytes())
}

/// Fills in `apiVersion` and `kind`, and refuses others than the expected.
pub(crate) fn complete_type(value: &mut Value, expected: &GroupVersionKind) -> Result<()> {
    let Some(object) = value.as_object_mut() else { return Err(not_an_object(value, expected)) };
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
fn check_fields(call: &mut Call, value: &Value, source: Source) -> Result<()> {
    let kind = call.row.gvk();
    let strictness = field_validation(call)?;
    let shown = source.shown();
    if let Some(error) = schema::type_mismatch(&kind, value) {
        return Err(undecodable(call, shown, &error));
    }
    let (mut problems, yaml) = match (strictness, source) {
        (FieldValidation::Ignore, _) => return Ok(()),
        (_, Source::Json(text)) => (json_problems(text, schema::builtin().get(&kind)), Vec::new()),
        (_, Source::Yaml(duplicates)) => (schema::unknown_fields(&kind, value), duplicates),
        (_, Source::Tree) => (schema::unknown_fields(&kind, value), Vec::new()),
        (_, Source::Patch(mut problems, _)) => {
            problems.extend(schema::unknown_fields(&kind, value));
            (problems, Vec::new())
        }
    };
    if strictness == FieldValidation::Strict && !(problems.is_empty() && yaml.is_empty()) {
        if !yaml.is_empty() {
            problems.insert(0, yaml_error(&yaml));
        }
        return Err(undecodable(call, shown, &format!("strict decoding error: {}", problems.join(", "))));
    }
    call.warnings.extend(yaml);
    call.warnings.extend(problems);
    Ok(())
}

/// An object that is none of its kind: 400 for a body, 422 for what a patch made, which is `shown`.
fn undecodable(call: &Call, shown: Option<&dyn Fn() -> String>, error: &str) -> ApiError {
    match shown {
        None => schema::decode_error(&call.row.gvk(), error),
        Some(shown) => {
            let error = Error::invalid(&Path::new("patch"), shown(), error);
            ApiError::invalid(&GroupVersionKind::default(), "", &vec![error])
        }
    }
}

/// What is done with fields a kind has not, and with keys given twice.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum FieldValidation {
    /// Nothing.
    Ignore,
    /// The client is warned.
    Warn,
    /// The request is refused.
    Strict,
}

/// The request's `fieldValidation`; `Warn` if not given, as upstream.
///
/// # Errors
/// 422 for another word.
pub(crate) fn field_validation(call: &Call) -> Result<FieldValidation> {
    match call.info.query.get("fieldValidation") {
        "Ignore" => Ok(FieldValidation::Ignore),
        "" | "Warn" => Ok(FieldValidation::Warn),
        "Strict" => Ok(FieldValidation::Strict),
        other => {
            let supported = "supported values: \"Ignore\", \"Strict\", \"Warn\"";
            let message = format!("Unsupported value: {}: {supported}", machinery::go::quote(other));
            Err(invalid_options("fieldValidation", &message, "FieldValueNotSupported", options_kind(call)))
        }
    }
}

/// goyaml's error for keys given twice.
pub(crate) fn yaml_error(duplicates: &[String]) -> String {
    format!("yaml: unmarshal errors:\n  {}", duplicates.join("\n  "))
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
