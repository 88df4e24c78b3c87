//! From the parser's events to a JSON value, as goyaml and sigs.k8s.io/yaml do it.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};
use serde_json::{Map, Value};

use super::scalar::{self, Scalar};
use super::{Document, YamlError};
use crate::go;

/// Nodes that aliases may stand for, beyond which goyaml calls a document's aliasing excessive.
const ALIASED_NODES_MIN: usize = 100;
const NODES_MIN: usize = 1000;
const NODES_MAX: usize = 400_000;

/// Collections in each other, at most this deep: as many as JSON is decoded with.
const DEPTH_MAX: usize = 127;

/// Reads the first document of a text.
pub(super) fn read(text: &str) -> Result<Document, YamlError> {
    if let Some(line) = leading_tab_line(text) {
        return Err(YamlError::at(line, "found character that cannot start any token", OF_SCANNER));
    }
    let mut reader = Reader {
        text,
        parser: Parser::new_from_str(text),
        anchors: BTreeMap::new(),
        open: BTreeSet::new(),
        duplicates: Vec::new(),
        nodes: 0,
        aliased: 0,
        depth: 0,
    };
    let mut value = Value::Null;
    let mut read_one = false;
    while let Some((event, span)) = reader.next()? {
        match event {
            Event::StreamEnd | Event::DocumentEnd => break,
            event if event.is_node() => {
                value = reader.node(event, span)?.value;
                read_one = true;
            }
            _ => {}
        }
    }
    if read_one {
        reader.check_end()?;
    }
    Ok(Document { value, duplicates: reader.duplicates })
}

/// A node's value, and how many nodes it took.
#[derive(Clone)]
struct Node {
    value: Value,
    nodes: usize,
    /// Collections in each other.
    depth: usize,
    /// Set for plain `<<`.
    merge: bool,
    /// Set for scalars that are no strings, as keys and `!!binary` have to know.
    key: Key,
}

#[derive(Clone)]
enum Key {
    Text(String),
    Null,
    Collection,
}

struct Reader<'a> {
    text: &'a str,
    parser: Parser<'a, StrInput<'a>>,
    anchors: BTreeMap<usize, Node>,
    open: BTreeSet<usize>,
    duplicates: Vec<String>,
    nodes: usize,
    aliased: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, YamlError> {
        self.parser.next_event().transpose().map_err(|error| translate(self.text, &error))
    }

    /// A document's text is read to its end, as goyaml does: what follows must be another document.
    fn check_end(&mut self) -> Result<(), YamlError> {
        match self.next()? {
            Some((Event::StreamEnd | Event::DocumentStart(..), _)) | None => Ok(()),
            Some(_) => self.check_end(),
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span) -> Result<Node, YamlError> {
        self.nodes += 1;
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let node = scalar_node(&text, style, tag.as_deref())?;
                Ok(self.define(anchor, node))
            }
            Event::SequenceStart(_, anchor, _) => self.collection(anchor, Self::sequence),
            Event::MappingStart(_, anchor, _) => self.collection(anchor, Self::mapping),
            Event::Alias(id) => self.alias(id, span),
            _ => Ok(Node { value: Value::Null, nodes: 1, depth: 0, merge: false, key: Key::Null }),
        }
    }

    fn collection(&mut self, anchor: usize, read: fn(&mut Self) -> Result<Node, YamlError>) -> Result<Node, YamlError> {
        if self.depth >= DEPTH_MAX {
            return Err(too_deep());
        }
        self.depth += 1;
        self.open.insert(anchor);
        let node = read(self)?;
        self.open.remove(&anchor);
        self.depth -= 1;
        Ok(self.define(anchor, node))
    }

    fn sequence(&mut self) -> Result<Node, YamlError> {
        let (mut items, mut nodes, mut depth) = (Vec::new(), 1, 0);
        while let Some((event, span)) = self.next()? {
            if matches!(event, Event::SequenceEnd) {
                break;
            }
            let item = self.node(event, span)?;
            nodes += item.nodes;
            depth = depth.max(item.depth);
            items.push(item.value);
        }
        Ok(Node { value: Value::Array(items), nodes, depth: depth + 1, merge: false, key: Key::Collection })
    }

    fn define(&mut self, anchor: usize, node: Node) -> Node {
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        node
    }

    fn alias(&mut self, id: usize, span: Span) -> Result<Node, YamlError> {
        let Some(node) = self.anchors.get(&id).filter(|_| !self.open.contains(&id)) else {
            let name = span.slice(self.text).unwrap_or_default().trim_start_matches('*').to_owned();
            return Err(YamlError::new(format!("yaml: anchor '{name}' value contains itself")));
        };
        if self.depth + node.depth > DEPTH_MAX {
            return Err(too_deep());
        }
        self.nodes += node.nodes;
        self.aliased += node.nodes;
        let excessive =
            self.aliased > ALIASED_NODES_MIN && self.nodes > NODES_MIN && self.aliased * 100 > self.nodes * 99;
        if excessive || self.nodes > NODES_MAX && self.aliased * 10 > self.nodes {
            return Err(YamlError::new("yaml: document contains excessive aliasing"));
        }
        Ok(node.clone())
    }

    fn mapping(&mut self) -> Result<Node, YamlError> {
        let (mut fields, mut own) = (Map::new(), BTreeSet::new());
        let (mut nodes, mut depth) = (1, 0);
        while let Some((event, span)) = self.next()? {
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let key = self.node(event, span)?;
            let Some((event, span)) = self.next()? else { break };
            let line = span.start.line();
            let value = self.node(event, span)?;
            nodes += key.nodes + value.nodes;
            depth = depth.max(key.depth).max(value.depth);
            if key.merge {
                merge(&mut fields, value.value)?;
                continue;
            }
            let name = match key.key {
                Key::Text(name) => name,
                Key::Collection => {
                    return Err(YamlError::new(format!("yaml: invalid map key: {}", go_syntax(&key.value))));
                }
                Key::Null => {
                    let value = go_syntax(&value.value);
                    let message = format!("unsupported map key of type: %!s(<nil>), key: <nil>, value: {value}");
                    return Err(YamlError::new(message));
                }
            };
            if !own.insert(name.clone()) {
                self.duplicates.push(format!("line {line}: key {} already set in map", go::quote(&name)));
            }
            fields.insert(name, value.value);
        }
        Ok(Node { value: Value::Object(fields), nodes, depth: depth + 1, merge: false, key: Key::Collection })
    }
}

fn too_deep() -> YamlError {
    YamlError::new(format!("yaml: exceeded max depth of {DEPTH_MAX}"))
}

/// `<<`: the fields of a mapping, or of several of which earlier ones count more. What the mapping had
/// before is replaced, as goyaml does.
fn merge(fields: &mut Map<String, Value>, value: Value) -> Result<(), YamlError> {
    let no_map = || YamlError::new("yaml: map merge requires map or sequence of maps as the value");
    match value {
        Value::Object(more) => fields.extend(more),
        Value::Array(maps) => {
            for map in maps.into_iter().rev() {
                let Value::Object(more) = map else { return Err(no_map()) };
                fields.extend(more);
            }
        }
        _ => return Err(no_map()),
    }
    Ok(())
}

fn scalar_node(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Node, YamlError> {
    let core = tag.and_then(|tag| tag.suffix_in_namespace("tag:yaml.org,2002:"));
    let resolved = match (core.as_deref(), tag) {
        (Some("binary"), _) => return binary_node(text),
        (Some("str"), _) => Scalar::Text,
        (Some(name @ ("bool" | "int" | "float" | "null" | "timestamp")), _) => explicit(text, name)?,
        (Some(_), _) | (None, Some(_)) => Scalar::Text,
        (None, None) if style == ScalarStyle::Plain => scalar::resolve(text),
        (None, None) => Scalar::Text,
    };
    let merge = text == "<<" && (core.as_deref() == Some("merge") || tag.is_none() && style == ScalarStyle::Plain);
    let key = match &resolved {
        Scalar::Null => Key::Null,
        Scalar::Bool(flag) => Key::Text(flag.to_string()),
        Scalar::Integer(number) => Key::Text(number.to_string()),
        Scalar::Float(float) => Key::Text(float_key(*float)),
        _ => Key::Text(text.into()),
    };
    let value = match resolved.clone().into_value(text) {
        Some(value) => value,
        None => {
            let Scalar::Float(float) = resolved else { return Err(YamlError::new("yaml: invalid number")) };
            return Err(YamlError::new(format!("json: unsupported value: {}", go::format_float(float))));
        }
    };
    Ok(Node { value, nodes: 1, depth: 0, merge, key })
}

/// A scalar with an explicit tag must be what the tag says.
fn explicit(text: &str, tag: &str) -> Result<Scalar, YamlError> {
    let resolved = scalar::resolve(text);
    let (name, fits) = match &resolved {
        Scalar::Bool(_) => ("bool", tag == "bool"),
        Scalar::Integer(_) => ("int", matches!(tag, "int" | "float")),
        Scalar::Float(_) => ("float", tag == "float"),
        Scalar::Null => ("null", tag == "null"),
        Scalar::Time => ("timestamp", tag == "timestamp"),
        Scalar::Text => ("str", false),
    };
    match fits {
        true => Ok(resolved),
        false => Err(YamlError::new(format!("yaml: cannot decode !!{name} `{text}` as a !!{tag}"))),
    }
}

fn binary_node(text: &str) -> Result<Node, YamlError> {
    let text: String = text.split_ascii_whitespace().collect();
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(text)
        .map_err(|_| YamlError::new("yaml: !!binary value contains invalid base64 data"))?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(Node { value: Value::String(text.clone()), nodes: 1, depth: 0, merge: false, key: Key::Text(text) })
}

/// A float as a key; goyaml formats these as 32-bit floats.
fn float_key(float: f64) -> String {
    match float {
        float if float.is_nan() => ".nan".into(),
        f64::INFINITY => ".inf".into(),
        f64::NEG_INFINITY => "-.inf".into(),
        float => go::format_float(format!("{}", float as f32).parse().unwrap_or(float)),
    }
}

/// A value in Go's syntax, as `%#v` prints what goyaml decoded.
fn go_syntax(value: &Value) -> String {
    match value {
        Value::Null => "interface {}(nil)".into(),
        Value::String(text) => go::quote(text),
        Value::Bool(_) | Value::Number(_) => go::display(value),
        Value::Array(items) => {
            format!("[]interface {{}}{{{}}}", items.iter().map(go_syntax).collect::<Vec<_>>().join(", "))
        }
        Value::Object(fields) => {
            let fields: Vec<_> =
                fields.iter().map(|(key, value)| format!("{}:{}", go::quote(key), go_syntax(value))).collect();
            format!("map[interface {{}}]interface {{}}{{{}}}", fields.join(", "))
        }
    }
}

/// The first line that such words may name: none is named where a problem is in the text's first line, of which the
/// scanner counts from one, the parser from zero.
const OF_SCANNER: usize = 2;
const OF_PARSER: usize = 1;

/// A parser's error in libyaml's words. Its scanner counts lines from one, its parser from zero, and
/// neither says so in the first line.
fn translate(text: &str, error: &ScanError) -> YamlError {
    use ErrorKind as E;
    let marker = error.marker();
    let breaks = text.matches('\n').count();
    let scanner = |message: &'static str| (message, marker.line(), OF_SCANNER);
    let parser = |message: &'static str| (message, marker.line().saturating_sub(1), OF_PARSER);
    let (message, line, first) = match error.kind() {
        E::UnknownAnchor => {
            let rest: String = text.chars().skip(marker.index()).collect();
            let name: String = rest
                .trim_start_matches('*')
                .chars()
                .take_while(|c| c.is_alphanumeric() || matches!(c, '-' | '_'))
                .collect();
            return YamlError::new(format!("yaml: unknown anchor '{name}' referenced"));
        }
        E::MisplacedFlowCollectionEnd if wants_node(text, marker.index()) => {
            parser("did not find expected node content")
        }
        E::ExpectedBlockMappingKey
        | E::UnexpectedEofBlockMapping
        | E::MisplacedFlowCollectionEnd
        | E::InvalidTrailingSingleQuotedScalar
        | E::InvalidTrailingDoubleQuotedScalar
        | E::InvalidIndentation => parser("did not find expected key"),
        E::ExpectedBlockSequenceEntry | E::UnexpectedEofBlockSequence => parser("did not find expected '-' indicator"),
        E::UnclosedFlowCollection { open: '[' } => ("did not find expected ',' or ']'", breaks, OF_PARSER),
        E::UnclosedFlowCollection { .. } => ("did not find expected ',' or '}'", breaks, OF_PARSER),
        E::ExpectedFlowSequenceSeparator | E::UnexpectedEofFlowSequence => parser("did not find expected ',' or ']'"),
        E::ExpectedFlowMappingSeparator | E::UnexpectedEofFlowMapping | E::UnexpectedEofImplicitFlowMapping => {
            parser("did not find expected ',' or '}'")
        }
        E::ExpectedNodeContent | E::UnexpectedEof => parser("did not find expected node content"),
        E::ExpectedDocumentStart | E::InvalidDocumentEnd => parser("did not find expected <document start>"),
        E::UndeclaredTagHandle => parser("found undefined tag handle"),
        E::DuplicateVersionDirective => parser("found duplicate %YAML directive"),
        E::DuplicateTagDirective => parser("found duplicate %TAG directive"),
        E::UnsupportedYamlMajorVersion => parser("found incompatible YAML document"),
        E::SimpleKeyExpected | E::InvalidSimpleKey => {
            ("could not find expected ':'", next_token_line(text, marker.line()), OF_SCANNER)
        }
        E::MappingValueNotAllowed | E::InvalidColonPlacement | E::InvalidMappingValueWhitespace => {
            scanner("mapping values are not allowed in this context")
        }
        E::MappingKeyNotAllowed => scanner("mapping keys are not allowed in this context"),
        E::BlockSequenceEntryNotAllowed | E::BlockEntryInFlowCollection | E::InvalidBlockEntryWhitespace => {
            scanner("block sequence entries are not allowed in this context")
        }
        E::UnclosedQuotedScalar => ("found unexpected end of stream", breaks + 1, OF_SCANNER),
        E::InvalidQuotedScalarIndent => match closing_quote_line(text, marker.index()) {
            Some(line) => ("did not find expected key", line - 1, OF_PARSER),
            None => ("found unexpected end of stream", breaks + 1, OF_SCANNER),
        },
        E::DocumentIndicatorInQuotedScalar => scanner("found unexpected document indicator"),
        E::UnknownQuotedScalarEscape => scanner("found unknown escape character"),
        E::InvalidQuotedScalarHexEscape => scanner("did not find expected hexdecimal number"),
        E::InvalidUnicodeEscape
        | E::InvalidLowSurrogate
        | E::InvalidLowSurrogateHexEscape
        | E::MissingLowSurrogate
        | E::UnpairedLowSurrogate => scanner("found invalid Unicode character escape code"),
        E::ZeroBlockScalarIndent => scanner("found an indentation indicator equal to 0"),
        E::InvalidBlockScalarHeader => scanner("did not find expected comment or line break"),
        E::TabAtBlockScalarStart | E::InvalidBlockScalarIndent => {
            scanner("found a tab character where an indentation space is expected")
        }
        E::TabInPlainScalar => {
            ("found a tab character that violates indentation", tab_line(text, marker.line()), OF_SCANNER)
        }
        E::MissingAnchorOrAliasName => scanner("did not find expected alphabetic or numeric character"),
        E::InvalidTagTerminator => scanner("did not find expected whitespace or line break"),
        E::MissingTagUri => scanner("did not find expected tag URI"),
        E::UnclosedVerbatimTag => scanner("did not find the expected '>'"),
        E::InvalidDirectiveName | E::DirectiveDisallowed => scanner("found unknown directive name"),
        E::MissingDirectiveName => scanner("could not find expected directive name"),
        E::RecursionLimitExceeded => scanner("exceeded max depth of 10000"),
        _ => scanner("found character that cannot start any token"),
    };
    YamlError::at(line, message, first)
}

/// Whether what stands before an index is followed by a node.
fn wants_node(text: &str, index: usize) -> bool {
    let before: String = text.chars().take(index).collect();
    before.trim_end().ends_with([':', '-', '?', ','])
}

/// The line of the first token, where a tab is before it.
fn leading_tab_line(text: &str) -> Option<usize> {
    for (at, line) in text.lines().enumerate() {
        let rest = line.trim_start_matches(' ');
        if rest.starts_with('\t') {
            return Some(at + 1);
        }
        if !(rest.trim().is_empty() || rest.starts_with('#')) {
            return None;
        }
    }
    None
}

/// The line that a text which begins at a line goes on in, with a tab before it.
fn tab_line(text: &str, line: usize) -> usize {
    let indented = |line: &&str| line.trim_start_matches(' ').starts_with('\t');
    line + 1 + text.lines().skip(line).position(|line| indented(&line)).unwrap_or_default()
}

/// Where libyaml notices that a key has no colon: at the next token after the key's line.
fn next_token_line(text: &str, line: usize) -> usize {
    let blank = |text: &&str| text.trim().is_empty() || text.trim_start().starts_with('#');
    line + 1 + text.lines().skip(line).take_while(blank).count()
}

/// Where a quoted text that goes on at `index`, left of its key, would end. libyaml reads on to the
/// next quote, and stumbles over what comes after it.
fn closing_quote_line(text: &str, index: usize) -> Option<usize> {
    let at = text.char_indices().nth(index).map_or(text.len(), |(at, _)| at);
    let quote = text[..at].chars().rev().find(|c| matches!(c, '"' | '\''))?;
    let end = at + text[at..].find(quote)?;
    Some(text[..end].matches('\n').count() + 1)
}
