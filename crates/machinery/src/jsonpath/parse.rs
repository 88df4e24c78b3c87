//! Reads templates.

use serde_json::Value;

use super::{JsonPathError, Part, Slice, Step};
use crate::go;

/// Filters and unions in each other, at most this deep.
const DEPTH_MAX: usize = 32;

fn error<T>(message: impl Into<String>) -> Result<T, JsonPathError> {
    Err(JsonPathError(message.into()))
}

/// What an action holds besides steps.
enum Word {
    Range,
    End,
}

pub(super) fn parse(template: &str) -> Result<Vec<Part>, JsonPathError> {
    // The parts of the ranges that are open, below the template's own.
    let mut open: Vec<(Vec<Step>, Vec<Part>)> = vec![Default::default()];
    let mut rest = template;
    while let Some(at) = rest.find('{') {
        let (text, after) = rest.split_at(at);
        push(&mut open, (!text.is_empty()).then(|| Part::Text(text.into())));
        let mut scanner = Scanner { text: &after[1..], depth: 0 };
        let (steps, words) = scanner.action()?;
        rest = scanner.text;
        match words.first() {
            None => push(&mut open, Some(Part::Action(steps))),
            Some(Word::Range) => open.push((steps, Vec::new())),
            Some(Word::End) if open.len() > 1 => close(&mut open),
            Some(Word::End) => {
                let fails = Step::Fail("not in range, nothing to end".into());
                push(&mut open, Some(Part::Action(vec![fails])));
            }
        }
    }
    push(&mut open, (!rest.is_empty()).then(|| Part::Text(rest.into())));
    while open.len() > 1 {
        close(&mut open);
    }
    Ok(open.pop().map(|(_, parts)| parts).unwrap_or_default())
}

fn push(open: &mut [(Vec<Step>, Vec<Part>)], part: Option<Part>) {
    if let Some((_, parts)) = open.last_mut() {
        parts.extend(part);
    }
}

fn close(open: &mut Vec<(Vec<Step>, Vec<Part>)>) {
    if let Some((steps, parts)) = open.pop() {
        push(open, Some(Part::Range(steps, parts)));
    }
}

/// Reads the inside of actions; `text` is what is left.
struct Scanner<'a> {
    text: &'a str,
    depth: usize,
}

fn is_terminator(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n' | '.' | ',' | '[' | ']' | '$' | '@' | '{' | '}')
}

impl<'a> Scanner<'a> {
    /// The steps up to the closing brace.
    fn action(&mut self) -> Result<(Vec<Step>, Vec<Word>), JsonPathError> {
        let (mut steps, mut words) = (Vec::new(), Vec::new());
        loop {
            if let Some(rest) = self.text.strip_prefix('}') {
                self.text = rest;
                return Ok((steps, words));
            }
            if let Some(rest) = self.text.strip_prefix("[?(") {
                self.text = rest;
                steps.push(self.filter()?);
                continue;
            }
            if let Some(rest) = self.text.strip_prefix("..") {
                if steps.last() == Some(&Step::Recursive) {
                    return error("invalid multiple recursive descent");
                }
                self.text = rest;
                steps.push(Step::Recursive);
                if rest.starts_with(|c: char| c == '_' || c.is_alphanumeric()) {
                    steps.push(self.field());
                }
                continue;
            }
            let Some(c) = self.text.chars().next() else { return error("unclosed action") };
            match c {
                '\r' | '\n' => return error("unclosed action"),
                ' ' | '@' | '$' => self.skip(c),
                '[' => self.array(&mut steps)?,
                '"' | '\'' => steps.push(self.quoted(c)?),
                '.' => {
                    self.skip(c);
                    steps.push(self.field());
                }
                '+' | '-' => steps.push(self.number()?),
                c if c.is_numeric() => steps.push(self.number()?),
                c if c == '_' || c.is_alphabetic() => match self.word() {
                    "true" => steps.push(Step::Literal(true.into())),
                    "false" => steps.push(Step::Literal(false.into())),
                    "range" => words.push(Word::Range),
                    "end" => words.push(Word::End),
                    other => steps.push(Step::Fail(format!("unrecognized identifier {other}"))),
                },
                c => {
                    let shown = if go::is_print(c) { format!(" '{c}'") } else { String::new() };
                    return error(format!("unrecognized character in action: U+{:04X}{shown}", u32::from(c)));
                }
            }
        }
    }

    fn skip(&mut self, c: char) {
        self.text = &self.text[c.len_utf8()..];
    }

    /// The text up to a byte position, which is then left behind.
    fn take(&mut self, end: usize) -> &'a str {
        let (taken, rest) = self.text.split_at(end);
        self.text = rest;
        taken
    }

    fn word(&mut self) -> &'a str {
        let end = self.text.find(is_terminator).unwrap_or(self.text.len());
        self.take(end)
    }

    /// A field's name; a backslash before a dot keeps it in the name.
    fn field(&mut self) -> Step {
        let mut escaped = false;
        let end = self.text.find(|c| {
            let ends = !escaped && is_terminator(c);
            escaped = !escaped && c == '\\';
            ends
        });
        let name = self.take(end.unwrap_or(self.text.len()));
        if name == "*" { Step::Wildcard } else { Step::Field(name.replace('\\', "")) }
    }

    fn number(&mut self) -> Result<Step, JsonPathError> {
        let signed = usize::from(self.text.starts_with(['+', '-']));
        let digits = self.text[signed..].find(|c: char| c != '.' && !c.is_numeric());
        let number = self.take(digits.map_or(self.text.len(), |end| signed + end));
        let plain = number.strip_prefix('+').unwrap_or(number);
        if let Ok(integer) = plain.parse::<i64>() {
            return Ok(Step::Literal(integer.into()));
        }
        match plain.parse::<f64>().ok().and_then(serde_json::Number::from_f64) {
            Some(float) => Ok(Step::Literal(Value::Number(float))),
            None => error(format!("cannot parse number {number}")),
        }
    }

    fn quoted(&mut self, quote: char) -> Result<Step, JsonPathError> {
        let mut before = quote;
        let end = self.text.char_indices().skip(1).find(|(_, c)| {
            let ends = *c == '\n' || (*c == quote && before != '\\');
            before = *c;
            ends
        });
        let Some((end, _)) = end.filter(|(_, c)| *c == quote) else { return error("unterminated quoted string") };
        let whole = self.take(end + 1);
        match go::unquote(&whole[1..end], quote) {
            Some(text) => Ok(Step::Literal(text.into())),
            None => error(format!("unquote string {whole} error invalid syntax")),
        }
    }

    /// `[…]`: a union, a quoted field, an index or a slice.
    fn array(&mut self, steps: &mut Vec<Step>) -> Result<(), JsonPathError> {
        let Some(end) = self.text.find([']', '\n']).filter(|end| self.text[*end..].starts_with(']')) else {
            return error("unterminated array");
        };
        let whole = self.take(end + 1);
        let inner = match &whole[1..end] {
            "*" => ":",
            inner => inner,
        };
        if inner.contains(',') {
            let parts = inner.split(',').map(|part| self.inner(&format!("[{}]", part.trim_matches(' '))));
            steps.push(Step::Union(parts.collect::<Result<_, _>>()?));
            return Ok(());
        }
        let key = inner.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
        if let Some(key) = key.filter(|key| !key.contains('\'')) {
            steps.extend(self.inner(&format!(".{key}"))?);
            return Ok(());
        }
        steps.push(Step::Slice(slice(inner)?));
        Ok(())
    }

    /// The steps of a text that stands in braces of its own.
    fn inner(&self, text: &str) -> Result<Vec<Step>, JsonPathError> {
        if self.depth >= DEPTH_MAX {
            return error("expression is nested too deeply");
        }
        let text = format!("{text}}}");
        let mut scanner = Scanner { text: &text, depth: self.depth + 1 };
        Ok(scanner.action()?.0)
    }

    /// `[?(…)]`: a comparison, or whether something is there.
    fn filter(&mut self) -> Result<Step, JsonPathError> {
        let (mut begun, mut ended, mut pair, mut before) = (false, false, '"', '(');
        let mut end = None;
        for (index, c) in self.text.char_indices() {
            match c {
                '\n' => break,
                '"' | '\'' if !begun => (begun, pair) = (true, c),
                c if c == pair && begun && before != '\\' => ended = true,
                ')' if begun == ended => {
                    end = Some(index);
                    break;
                }
                _ => {}
            }
            before = c;
        }
        let Some(end) = end else { return error("unterminated filter") };
        let text = self.take(end);
        let Some(rest) = self.text.strip_prefix(")]") else { return error("unclosed array expect ]") };
        self.text = rest;
        let is_operator = |c: char| matches!(c, '!' | '<' | '>' | '=');
        let compared =
            text.find(is_operator).filter(|at| *at > 0).map(|at| text.split_at(at)).and_then(|(left, rest)| {
                let operator = &rest[..rest.find(|c| !is_operator(c)).unwrap_or(rest.len())];
                let right = &rest[operator.len()..];
                (!right.is_empty()).then_some((left, operator, right))
            });
        Ok(match compared {
            Some((left, operator, right)) => {
                Step::Filter { left: self.inner(left)?, operator: operator.into(), right: self.inner(right)? }
            }
            None => Step::Filter { left: self.inner(text)?, operator: "exists".into(), right: Vec::new() },
        })
    }
}

fn slice(text: &str) -> Result<Slice, JsonPathError> {
    let parts: Vec<&str> = text.split(':').collect();
    let shaped = |part: &&str| {
        let digits = part.strip_prefix('-').unwrap_or(part);
        digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    if parts.len() > 3 || !parts.iter().all(shaped) {
        return error(format!("invalid array index {text}"));
    }
    let number = |index: usize| match parts.get(index) {
        None | Some(&"") => Ok(None),
        Some(part) => match part.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => error(format!("array index {part} is not a number")),
        },
    };
    let (start, end, step): (Option<i64>, _, _) = (number(0)?, number(1)?, number(2)?);
    Ok(match parts.len() {
        1 => Slice { start, end: Some(start.unwrap_or(0).saturating_add(1)), step: None, one: true },
        _ => Slice { start, end, step, one: false },
    })
}
