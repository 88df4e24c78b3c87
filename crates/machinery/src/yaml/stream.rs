//! Streams of manifests as `kubectl -f` reads them (apimachinery `util/yaml`).

use std::fmt;

use super::{Document, YamlError, document};
use crate::json::{self, JsonError};

/// Why a stream cannot be read on; kubectl puts `error parsing FILE: ` before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamError {
    /// `error converting YAML to JSON: yaml: line 4: …`, counted from the start of the document.
    Yaml(YamlError),
    /// `json: offset 30: …`, counted from the start of the stream.
    Json(JsonError),
    /// `unexpected EOF`: JSON without its end.
    Incomplete,
    /// `invalid Yaml document separator: …`, of a line that begins with `---`.
    Separator(String),
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Yaml(error) => error.fmt(f),
            Self::Json(error) => write!(f, "json: offset {}: {error}", error.offset),
            Self::Incomplete => f.write_str("unexpected EOF"),
            Self::Separator(text) => write!(f, "invalid Yaml document separator: {text}"),
        }
    }
}

impl std::error::Error for StreamError {}

/// What JSON's reader says of a text that ends too soon.
const INCOMPLETE: &str = "unexpected end of JSON input";

/// Reads a stream: JSON values one after the other, where the first character is a brace and as long as
/// they are JSON; YAML documents between lines of `---`. Ends at the first error. Documents with nothing
/// in them are left out.
pub fn stream(text: &str) -> Vec<Result<Document, StreamError>> {
    let mut found = Vec::new();
    let mut at = 0;
    let mut json_error = None;
    if text.trim_start().starts_with('{') {
        while !text[at..].trim_start().is_empty() {
            match json::decode_first(&text.as_bytes()[at..]) {
                Ok((decoded, length)) => {
                    found.push(Ok(Document { value: decoded.value, duplicates: decoded.duplicates }));
                    at += length;
                }
                Err(error) if error.to_string() == INCOMPLETE => {
                    found.push(Err(StreamError::Incomplete));
                    return found;
                }
                Err(error) => {
                    json_error = Some(JsonError { offset: error.offset + at, ..error });
                    break;
                }
            }
        }
        match json_error {
            None => return found,
            // Two values are a stream of JSON beyond doubt; after one, YAML may follow.
            Some(error) if found.len() > 1 => {
                found.push(Err(StreamError::Json(error)));
                return found;
            }
            Some(_) => {}
        }
    }
    for part in split(without_blank_lines(&text[at..])) {
        // The original reads by lines, of which the last ends, too.
        let read = part.and_then(|part| match part.ends_with('\n') {
            true => document(part).map_err(StreamError::Yaml),
            false => document(&format!("{part}\n")).map_err(StreamError::Yaml),
        });
        match (read, json_error.take()) {
            (Ok(document), _) if document.value.is_null() => {}
            (Ok(document), _) => found.push(Ok(document)),
            (Err(error), json) => {
                found.push(Err(json.map_or(error, StreamError::Json)));
                break;
            }
        }
    }
    found
}

/// The text from its first line that says something, with that line's indentation.
fn without_blank_lines(text: &str) -> &str {
    let blank = text.len() - text.trim_start_matches([' ', '\t', '\r', '\n']).len();
    text[..blank].rfind('\n').map_or(text, |newline| &text[newline + 1..])
}

/// The texts of a stream's YAML documents. A separator before the first belongs to it: lines count from
/// there.
fn split(text: &str) -> Vec<Result<&str, StreamError>> {
    let mut parts = Vec::new();
    let (mut start, mut at) = (0, 0);
    for line in text.split_inclusive('\n') {
        let end = at + line.len();
        if let Some(rest) = line.strip_prefix("---").map(str::trim) {
            if !rest.is_empty() && !rest.starts_with('#') {
                parts.push(Err(StreamError::Separator(rest.into())));
                return parts;
            }
            if at > start {
                parts.push(Ok(&text[start..at]));
                start = end;
            }
        }
        at = end;
    }
    parts.push(Ok(&text[start..]));
    parts
}
