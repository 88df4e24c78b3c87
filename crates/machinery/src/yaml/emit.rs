//! Writes what `kubectl -o yaml` prints: goyaml's emitter with keys in natural order.

use std::cmp::Ordering;
use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::scalar::{self, Scalar};
use crate::go;

/// Lines are folded at the first space after this column.
const WIDTH: usize = 80;
const INDENT: usize = 2;
/// Longer keys, in bytes, stand behind a question mark.
const SIMPLE_KEY_LENGTH_MAX: usize = 128;

/// A value as one YAML document, ending with a line break.
pub fn emit(value: &Value) -> String {
    let mut emitter = Emitter { out: String::new(), column: 0 };
    match value {
        Value::Object(fields) if !fields.is_empty() => emitter.mapping(fields, 0, true),
        Value::Array(items) if !items.is_empty() => emitter.sequence(items, 0, true),
        value => {
            emitter.inline(value, 0);
            emitter.line_end();
        }
    }
    emitter.out
}

struct Emitter {
    out: String,
    /// Characters since the last line break.
    column: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    Plain,
    Single,
    Double,
    Literal,
}

impl Emitter {
    fn put(&mut self, c: char) {
        self.out.push(c);
        self.column = if c == '\n' { 0 } else { self.column + 1 };
    }

    fn put_str(&mut self, text: &str) {
        text.chars().for_each(|c| self.put(c));
    }

    fn line_end(&mut self) {
        if self.column > 0 {
            self.put('\n');
        }
    }

    fn indent(&mut self, columns: usize) {
        self.line_end();
        (0..columns).for_each(|_| self.put(' '));
    }

    /// The fields of a mapping; the first stands where the emitter is when `here`.
    fn mapping(&mut self, fields: &Map<String, Value>, indent: usize, here: bool) {
        let mut sorted: Vec<_> = fields.iter().collect();
        sort_naturally(&mut sorted);
        for (index, (key, value)) in sorted.into_iter().enumerate() {
            if index > 0 || !here {
                self.indent(indent);
            }
            if key.len() > SIMPLE_KEY_LENGTH_MAX || key.contains(is_break) {
                self.put_str("? ");
                self.scalar(key, value_style(key), indent + INDENT, true);
                self.indent(indent);
            } else {
                self.scalar(key, unbroken_style(key), indent, false);
            }
            self.put(':');
            match value {
                Value::Object(fields) if !fields.is_empty() => self.mapping(fields, indent + INDENT, false),
                Value::Array(items) if !items.is_empty() => self.sequence(items, indent, false),
                value => {
                    self.put(' ');
                    self.inline(value, indent);
                }
            }
        }
        self.line_end();
    }

    /// The items of a list, which stand as far left as their key.
    fn sequence(&mut self, items: &[Value], indent: usize, here: bool) {
        for (index, item) in items.iter().enumerate() {
            if index > 0 || !here {
                self.indent(indent);
            }
            self.put_str("- ");
            match item {
                Value::Object(fields) if !fields.is_empty() => self.mapping(fields, indent + INDENT, true),
                Value::Array(items) if !items.is_empty() => self.sequence(items, indent + INDENT, true),
                value => self.inline(value, indent),
            }
        }
        self.line_end();
    }

    /// A scalar or an empty collection, in a line that began at `indent`.
    fn inline(&mut self, value: &Value, indent: usize) {
        match value {
            Value::Null => self.put_str("null"),
            Value::Bool(flag) => self.put_str(if *flag { "true" } else { "false" }),
            Value::Number(_) => self.put_str(&go::display(value)),
            Value::Object(_) => self.put_str("{}"),
            Value::Array(_) => self.put_str("[]"),
            Value::String(text) => self.scalar(text, value_style(text), indent + INDENT, true),
        }
    }

    fn scalar(&mut self, text: &str, style: Style, indent: usize, fold: bool) {
        match style {
            Style::Plain => self.folded(text, indent, fold, |emitter, c| emitter.put(c)),
            Style::Single => {
                self.put('\'');
                self.folded(text, indent, fold, |emitter, c| {
                    if c == '\'' {
                        emitter.put(c);
                    }
                    emitter.put(c);
                });
                self.put('\'');
            }
            Style::Double => self.double_quoted(text, indent, fold),
            Style::Literal => self.literal(text, indent),
        }
    }

    /// Plain and single-quoted text: a lone space after the width becomes a line break.
    fn folded(&mut self, text: &str, indent: usize, fold: bool, put: impl Fn(&mut Self, char)) {
        let (mut spaces, mut start) = (false, true);
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            let next = chars.peek().copied();
            if c == ' ' && fold && !spaces && !start && self.column > WIDTH && next.is_some_and(|next| next != ' ') {
                self.indent(indent);
            } else {
                put(self, c);
            }
            spaces = c == ' ';
            start = false;
        }
    }

    fn double_quoted(&mut self, text: &str, indent: usize, fold: bool) {
        self.put('"');
        let (mut spaces, mut start) = (false, true);
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            let next = chars.peek().copied();
            if c == ' ' && fold && !spaces && !start && self.column > WIDTH && next.is_some() {
                self.indent(indent);
                if next == Some(' ') {
                    self.put('\\');
                }
            } else if !is_printable(c) || matches!(c, '\n' | '"' | '\\' | '\u{2028}' | '\u{2029}') {
                self.put_str(&escape(c));
            } else {
                self.put(c);
            }
            spaces = c == ' ';
            start = false;
        }
        self.put('"');
    }

    fn literal(&mut self, text: &str, indent: usize) {
        self.put('|');
        if text.starts_with([' ', '\n']) {
            self.put_str("2");
        }
        match text.strip_suffix(is_break) {
            None => self.put('-'),
            Some(rest) if rest.is_empty() || rest.ends_with(is_break) => self.put('+'),
            Some(_) => {}
        }
        self.put('\n');
        let mut at_start = true;
        for c in text.chars() {
            if is_break(c) {
                self.out.push(c);
                self.column = 0;
                at_start = true;
            } else {
                if at_start {
                    (0..indent).for_each(|_| self.put(' '));
                }
                self.put(c);
                at_start = false;
            }
        }
    }
}

fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// What goyaml prints as it is; four-byte characters are not among it.
fn is_printable(c: char) -> bool {
    matches!(u32::from(c), 0x0a | 0x20..=0x7e | 0xa0..=0xd7ff | 0xe000..=0xfefe | 0xff00..=0xfffd)
}

fn escape(c: char) -> String {
    let mut out = String::from('\\');
    match c {
        '\0' => out.push('0'),
        '\u{07}' => out.push('a'),
        '\u{08}' => out.push('b'),
        '\t' => out.push('t'),
        '\n' => out.push('n'),
        '\u{0b}' => out.push('v'),
        '\u{0c}' => out.push('f'),
        '\r' => out.push('r'),
        '\u{1b}' => out.push('e'),
        '"' | '\\' => out.push(c),
        '\u{85}' => out.push('N'),
        '\u{2028}' => out.push('L'),
        '\u{2029}' => out.push('P'),
        c => {
            let code = u32::from(c);
            let _ = match code {
                0..=0xff => write!(out, "x{code:02X}"),
                0x100..=0xffff => write!(out, "u{code:04X}"),
                _ => write!(out, "U{code:08X}"),
            };
        }
    }
    out
}

fn value_style(text: &str) -> Style {
    if text.contains('\n') {
        return match allowed(text).block {
            true => Style::Literal,
            false => Style::Double,
        };
    }
    unbroken_style(text)
}

fn unbroken_style(text: &str) -> Style {
    if scalar::resolve(text) != Scalar::Text || scalar::is_base60(text) {
        return Style::Double;
    }
    let allowed = allowed(text);
    match (allowed.plain, allowed.single) {
        (true, _) => Style::Plain,
        (_, true) => Style::Single,
        _ => Style::Double,
    }
}

struct Allowed {
    plain: bool,
    single: bool,
    block: bool,
}

/// In which styles text can be written so that it reads back the same.
fn allowed(text: &str) -> Allowed {
    let chars: Vec<char> = text.chars().collect();
    let blank = |c: Option<&char>| c.is_none_or(|c| matches!(c, ' ' | '\t') || is_break(*c) || *c == '\0');
    let mut indicators = text.starts_with("---") || text.starts_with("...");
    let (mut breaks, mut special, mut break_space, mut space_break) = (false, false, false, false);
    for (index, c) in chars.iter().enumerate() {
        let before = index.checked_sub(1).and_then(|index| chars.get(index));
        let after = chars.get(index + 1);
        indicators |= match c {
            '#' if index > 0 => blank(before),
            '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`' => {
                index == 0
            }
            '?' | '-' => index == 0 && blank(after),
            ':' => blank(after),
            _ => false,
        };
        special |= !is_printable(*c);
        breaks |= is_break(*c);
        break_space |= *c == ' ' && before.is_some_and(|before| is_break(*before));
        space_break |= is_break(*c) && before == Some(&' ');
    }
    let edge = |c: Option<&char>| c.is_some_and(|c| *c == ' ' || is_break(*c));
    let edges = edge(chars.first()) || edge(chars.last());
    let unquotable = space_break || special;
    Allowed {
        plain: !(edges || break_space || unquotable || breaks || indicators),
        single: !(break_space || unquotable),
        block: !(unquotable || chars.is_empty() || chars.last() == Some(&' ')),
    }
}

/// Sorts by [`natural_order`], which is no total order, so that the standard library's sort may panic.
fn sort_naturally(fields: &mut Vec<(&String, &Value)>) {
    if fields.len() > 12 {
        let mut right = fields.split_off(fields.len() / 2);
        sort_naturally(fields);
        sort_naturally(&mut right);
        let (mut left, mut right) = (std::mem::take(fields).into_iter().peekable(), right.into_iter().peekable());
        while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
            let next = if natural_order(b.0, a.0).is_lt() { right.next() } else { left.next() };
            fields.extend(next);
        }
        fields.extend(left.chain(right));
        return;
    }
    for end in 1..fields.len() {
        for at in (1..=end).rev() {
            if !natural_order(fields[at].0, fields[at - 1].0).is_lt() {
                break;
            }
            fields.swap(at, at - 1);
        }
    }
}

/// goyaml's order of keys: numbers in keys count as numbers, letters come after everything else.
fn natural_order(a: &str, b: &str) -> Ordering {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    for index in 0..a.len().min(b.len()) {
        let (x, y) = (a[index], b[index]);
        if x == y {
            continue;
        }
        match (x.is_alphabetic(), y.is_alphabetic()) {
            (true, true) => return x.cmp(&y),
            (true, false) => return Ordering::Greater,
            (false, true) => return Ordering::Less,
            (false, false) => {}
        }
        let (number_a, end_a) = number(&a, index, x == '0' || y == '0');
        let (number_b, end_b) = number(&b, index, x == '0' || y == '0');
        return number_a.cmp(&number_b).then(end_a.cmp(&end_b)).then(x.cmp(&y));
    }
    a.len().cmp(&b.len())
}

/// The number that begins at `start`, and where it ends. A zero inside a longer number counts its place.
fn number(chars: &[char], start: usize, zero: bool) -> (i64, usize) {
    let inside = zero && chars[..start].iter().rev().take_while(|c| c.is_ascii_digit()).any(|c| *c != '0');
    let mut value = i64::from(inside);
    let mut end = start;
    while let Some(digit) = chars.get(end).and_then(|c| c.to_digit(10)) {
        value = value.wrapping_mul(10).wrapping_add(i64::from(digit));
        end += 1;
    }
    (value, end)
}
