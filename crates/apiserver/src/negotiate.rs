//! Which representation a client wants, and in which one it sends.

use bytes::Bytes;
use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_TYPE};
use machinery::ApiError;
use machinery::sort::Order;

/// The media types of objects.
pub(crate) const MEDIA_TYPES: &[&str] =
    &["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];
/// The media types of watches.
const WATCH_MEDIA_TYPES: &[&str] =
    &["application/json;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch"];

/// How bytes are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// JSON, compact.
    Json,
    /// JSON, indented.
    PrettyJson,
    /// YAML.
    Yaml,
    /// Kubernetes' protobuf.
    #[cfg(feature = "protobuf")]
    Protobuf,
}

/// What is made of objects before they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// The object itself.
    Object,
    /// `meta.k8s.io/v1 Table`.
    Table,
    /// `meta.k8s.io/v1 PartialObjectMetadata`, or its list.
    Metadata,
}

/// The representation of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Representation {
    /// How it is written.
    pub encoding: Encoding,
    /// What is written.
    pub view: View,
}

/// One media range of an `Accept` header.
pub(crate) struct MediaRange<'a> {
    pub(crate) media_type: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
    quality_thousandths: u32,
}

impl MediaRange<'_> {
    /// A parameter such as `as`; empty if absent.
    pub(crate) fn parameter(&self, name: &str) -> &str {
        self.parameters.iter().find(|(key, _)| *key == name).map_or("", |(_, value)| value)
    }
}

/// What the client accepts, the most wanted first; anything if it does not say.
pub(crate) fn accepted(headers: &HeaderMap) -> Vec<MediaRange<'_>> {
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut ranges: Vec<MediaRange<'_>> = values.flat_map(|value| value.split(',')).map(parse_range).collect();
    ranges.retain(|range| !range.media_type.is_empty());
    if ranges.is_empty() {
        ranges.push(parse_range("*/*"));
    }
    ranges.order_by_key(|range| std::cmp::Reverse(range.quality_thousandths));
    ranges
}

fn parse_range(range: &str) -> MediaRange<'_> {
    let mut parts = range.split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default();
    let parameters: Vec<_> = parts.filter_map(|part| part.split_once('=')).collect();
    let quality = parameters.iter().find(|(key, _)| *key == "q").and_then(|(_, q)| q.parse::<f32>().ok());
    let quality_thousandths = quality.map_or(1000, |q| (q.clamp(0.0, 1.0) * 1000.0) as u32);
    MediaRange { media_type, parameters, quality_thousandths }
}

/// The best representation that client and server both know.
///
/// # Errors
/// 406 if there is none.
pub fn negotiate(headers: &HeaderMap, pretty: bool) -> Result<Representation, ApiError> {
    let json = if pretty { Encoding::PrettyJson } else { Encoding::Json };
    for range in accepted(headers) {
        let encoding = match range.media_type {
            "application/json" | "*/*" | "application/*" => json,
            "application/yaml" => Encoding::Yaml,
            // A table's cells are anything, for which protobuf has no type.
            #[cfg(feature = "protobuf")]
            crate::protobuf::MEDIA_TYPE if range.parameter("as") != "Table" => Encoding::Protobuf,
            _ => continue,
        };
        let known = range.parameter("g") == "meta.k8s.io" && range.parameter("v") == "v1";
        let view = match range.parameter("as") {
            "" => View::Object,
            "Table" if known => View::Table,
            "PartialObjectMetadata" | "PartialObjectMetadataList" if known => View::Metadata,
            _ => continue,
        };
        return Ok(Representation { encoding, view });
    }
    Err(ApiError::not_acceptable(MEDIA_TYPES))
}

/// As [`negotiate`], for a watch.
///
/// # Errors
/// 406 if there is none, or if it cannot be streamed.
pub(crate) fn negotiate_watch(headers: &HeaderMap, pretty: bool) -> Result<Representation, ApiError> {
    let found = negotiate(headers, pretty).ok().filter(|found| found.encoding != Encoding::Yaml);
    found.ok_or_else(|| ApiError::not_acceptable(WATCH_MEDIA_TYPES))
}

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFormat {
    /// JSON.
    Json,
    /// YAML.
    Yaml,
    /// Kubernetes' protobuf.
    #[cfg(feature = "protobuf")]
    Protobuf,
}

/// The media type of a request's body, without parameters; empty if not given.
pub(crate) fn content_type(headers: &HeaderMap) -> &str {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim()
}

/// How a request's body is written; JSON if it does not say.
///
/// # Errors
/// 415 for anything else.
pub fn body_format(headers: &HeaderMap) -> Result<BodyFormat, ApiError> {
    match content_type(headers) {
        "" | "application/json" => Ok(BodyFormat::Json),
        "application/yaml" => Ok(BodyFormat::Yaml),
        #[cfg(feature = "protobuf")]
        "application/vnd.kubernetes.protobuf" => Ok(BodyFormat::Protobuf),
        _ => Err(ApiError::unsupported_media_type(MEDIA_TYPES)),
    }
}

/// JSON bytes in another encoding, with its content type.
pub(crate) fn encode(json: Bytes, encoding: Encoding) -> (Bytes, &'static str) {
    match encoding {
        Encoding::Json => (json, "application/json"),
        Encoding::PrettyJson => (indent(json.trim_ascii_end()), "application/json"),
        Encoding::Yaml => {
            let value: serde_json::Value = serde_json::from_slice(&json).unwrap_or_default();
            (machinery::yaml::emit(&value).into(), "application/yaml")
        }
        #[cfg(feature = "protobuf")]
        Encoding::Protobuf => {
            let value = serde_json::from_slice(&json).ok();
            match value.and_then(|value| crate::protobuf::encode(&value)) {
                Some(bytes) => (bytes, crate::protobuf::MEDIA_TYPE),
                None => (json, "application/json"),
            }
        }
    }
}

/// Compact JSON over several lines, two spaces deeper for each level.
fn indent(json: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(json.len() * 2);
    let mut depth = 0_usize;
    let (mut in_string, mut escaped) = (false, false);
    let line = |out: &mut Vec<u8>, depth: usize| {
        out.push(b'\n');
        out.resize(out.len() + 2 * depth, b' ');
    };
    for (at, byte) in json.iter().copied().enumerate() {
        if in_string {
            out.push(byte);
            in_string = byte != b'"' || escaped;
            escaped = byte == b'\\' && !escaped;
            continue;
        }
        match byte {
            b'{' | b'[' => {
                out.push(byte);
                depth += 1;
                if !matches!(json.get(at + 1), Some(b'}' | b']')) {
                    line(&mut out, depth);
                }
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if !matches!(out.last(), Some(b'{' | b'[')) {
                    line(&mut out, depth);
                }
                out.push(byte);
            }
            b',' => {
                out.push(byte);
                line(&mut out, depth);
            }
            b':' => out.extend_from_slice(b": "),
            _ => {
                in_string = byte == b'"';
                out.push(byte);
            }
        }
    }
    out.push(b'\n');
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_indented_as_it_stands() {
        let json = br#"{"kind":"A","a":{},"b":[],"c":[1,{"d":"x\\\",:{"}]}"#;
        let expected = "{\n  \"kind\": \"A\",\n  \"a\": {},\n  \"b\": [],\n  \"c\": [\n    1,\n    {\n      \"d\": \"x\\\\\\\",:{\"\n    }\n  ]\n}\n";
        assert_eq!(indent(json), expected);
    }

    fn headers(accept: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, accept.parse().unwrap());
        headers
    }

    #[test]
    fn the_first_known_representation_is_taken() {
        let table = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
        let cases = [
            (table, Some((Encoding::Json, View::Table))),
            ("application/json;as=Table;v=v1beta1;g=meta.k8s.io, */*", Some((Encoding::Json, View::Object))),
            ("application/vnd.kubernetes.protobuf, application/json;q=0.5", Some((Encoding::Protobuf, View::Object))),
            (
                "application/json;q=0.5, application/vnd.kubernetes.protobuf;as=Table;g=meta.k8s.io;v=v1",
                Some((Encoding::Json, View::Object)),
            ),
            ("application/yaml;q=0.9, application/json;q=0.1", Some((Encoding::Yaml, View::Object))),
            (
                "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
                Some((Encoding::Json, View::Metadata)),
            ),
            ("text/html", None),
        ];
        for (accept, expected) in cases {
            let found = negotiate(&headers(accept), false).ok().map(|found| (found.encoding, found.view));
            assert_eq!(found, expected, "{accept}");
        }
    }
}
