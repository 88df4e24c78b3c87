//! From text to a filter.

use std::rc::Rc;

use serde_json::{Number, Value};

use super::ast::{Definition, Filter, Node, Part, Pattern};

const DEPTH_MAX: usize = 100;

/// Longer ones come before their beginnings.
const OPERATORS: [&str; 36] = [
    "?//", "//=", "|=", "+=", "-=", "*=", "/=", "%=", "==", "!=", "<=", ">=", "//", "..", "and", "or", "|", ",", "=",
    "<", ">", "+", "-", "*", "/", "%", "(", ")", "[", "]", "{", "}", ":", ";", ".", "?",
];

type Parse<T> = Result<T, String>;

/// Reads a filter, with functions before it.
///
/// # Errors
/// What is wrong with it.
pub(super) fn parse(text: &str) -> Parse<Node> {
    let mut parser = Parser { text: text.chars().collect(), at: 0, depth: 0 };
    parser.skip();
    let filter = match parser.text.len() == parser.at {
        true => Rc::new(Filter::Identity),
        false => parser.pipe()?,
    };
    parser.skip();
    if parser.at < parser.text.len() { Err(parser.unexpected()) } else { Ok(filter) }
}

struct Parser {
    text: Vec<char>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn skip(&mut self) {
        while let Some(c) = self.text.get(self.at) {
            if *c == '#' {
                while self.text.get(self.at).is_some_and(|c| *c != '\n') {
                    self.at += 1;
                }
            } else if c.is_whitespace() {
                self.at += 1;
            } else {
                return;
            }
        }
    }

    fn unexpected(&self) -> String {
        let rest: String = self.text.iter().skip(self.at).take(20).collect();
        match rest.as_str() {
            "" => "syntax error, unexpected end of file".into(),
            rest => format!("syntax error, unexpected {rest}"),
        }
    }

    fn peek(&self) -> Option<char> {
        self.text.get(self.at).copied()
    }

    /// The operator or keyword that comes next.
    fn operator(&mut self) -> Option<&'static str> {
        self.skip();
        OPERATORS.into_iter().find(|operator| {
            let here = operator.chars().enumerate().all(|(offset, c)| self.text.get(self.at + offset) == Some(&c));
            let word = operator.starts_with(char::is_alphabetic);
            here && !(word && self.text.get(self.at + operator.len()).is_some_and(|c| c.is_alphanumeric() || *c == '_'))
        })
    }

    fn eat(&mut self, wanted: &str) -> bool {
        let found = self.operator() == Some(wanted);
        if found {
            self.at += wanted.len();
        }
        found
    }

    fn expect(&mut self, wanted: &str) -> Parse<()> {
        if self.eat(wanted) { Ok(()) } else { Err(self.unexpected()) }
    }

    /// The name that comes next; may have `::` in it.
    fn name(&mut self) -> Option<String> {
        self.skip();
        let first = self.peek()?;
        if !first.is_ascii_alphabetic() && first != '_' {
            return None;
        }
        let name: String =
            self.text.iter().skip(self.at).take_while(|c| c.is_ascii_alphanumeric() || **c == '_').collect();
        self.at += name.len();
        Some(name)
    }

    fn eat_word(&mut self, word: &str) -> bool {
        let before = self.at;
        if self.name().as_deref() == Some(word) {
            return true;
        }
        self.at = before;
        false
    }

    fn variable(&mut self) -> Parse<String> {
        self.skip();
        if self.peek() != Some('$') {
            return Err(self.unexpected());
        }
        self.at += 1;
        self.name().ok_or_else(|| self.unexpected())
    }

    fn pipe(&mut self) -> Parse<Node> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err("too deeply nested".into());
        }
        let filter = self.pipe_inner();
        self.depth -= 1;
        filter
    }

    fn pipe_inner(&mut self) -> Parse<Node> {
        if self.eat_word("def") {
            let definition = self.definition()?;
            self.skip();
            let at_end = self.at == self.text.len();
            let rest = if at_end { Rc::new(Filter::Identity) } else { self.pipe()? };
            return Ok(Rc::new(Filter::Define(Rc::new(definition), rest)));
        }
        let left = self.comma()?;
        if self.eat("|") {
            return Ok(Rc::new(Filter::Pipe(left, self.pipe()?)));
        }
        Ok(left)
    }

    fn definition(&mut self) -> Parse<Definition> {
        let name = self.name().ok_or_else(|| self.unexpected())?;
        let mut params = Vec::new();
        if self.eat("(") {
            loop {
                self.skip();
                let value = self.peek() == Some('$');
                self.at += usize::from(value);
                let param = self.name().ok_or_else(|| self.unexpected())?;
                params.push(if value { format!("${param}") } else { param });
                if !self.eat(";") {
                    break;
                }
            }
            self.expect(")")?;
        }
        self.expect(":")?;
        let body = self.pipe()?;
        self.expect(";")?;
        Ok(Definition { name, params, body })
    }

    fn pattern(&mut self) -> Parse<Pattern> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err("too deeply nested".into());
        }
        let pattern = if self.eat("[") {
            let mut parts = Vec::new();
            loop {
                parts.push(self.pattern()?);
                if !self.eat(",") {
                    break;
                }
            }
            self.expect("]")?;
            Pattern::Array(parts)
        } else if self.eat("{") {
            let mut parts = Vec::new();
            loop {
                self.skip();
                let (key, variable) = if self.peek() == Some('$') {
                    let name = self.variable()?;
                    (Rc::new(Filter::Literal(Value::String(name.clone()))), Some(name))
                } else {
                    (self.key()?, None)
                };
                let value = if self.eat(":") { Some(self.pattern()?) } else { None };
                parts.push((key, variable, value));
                if !self.eat(",") {
                    break;
                }
            }
            self.expect("}")?;
            Pattern::Object(parts)
        } else {
            Pattern::Variable(self.variable()?)
        };
        self.depth -= 1;
        Ok(pattern)
    }

    /// A key of an object: a name, a string, or a filter in parentheses.
    fn key(&mut self) -> Parse<Node> {
        self.skip();
        if self.peek() == Some('"') {
            return self.string(None);
        }
        if self.eat("(") {
            let key = self.pipe()?;
            self.expect(")")?;
            return Ok(key);
        }
        if let Some(name) = self.name() {
            return Ok(Rc::new(Filter::Literal(Value::String(name))));
        }
        Err(self.unexpected())
    }

    fn comma(&mut self) -> Parse<Node> {
        let mut left = self.binary(0)?;
        while self.eat(",") {
            left = Rc::new(Filter::Comma(left, self.binary(0)?));
        }
        Ok(left)
    }

    /// Operators by precedence, loosest first.
    fn binary(&mut self, level: usize) -> Parse<Node> {
        match level {
            // `//` binds to the right.
            0 => {
                let left = self.binary(1)?;
                if self.eat("//") {
                    return Ok(Rc::new(Filter::Alternative(left, self.binary(0)?)));
                }
                Ok(left)
            }
            1 => {
                let left = self.binary(2)?;
                for (operator, with) in [
                    ("=", '='),
                    ("|=", '|'),
                    ("+=", '+'),
                    ("-=", '-'),
                    ("*=", '*'),
                    ("/=", '/'),
                    ("%=", '%'),
                    ("//=", 'A'),
                ] {
                    if self.eat(operator) {
                        return Ok(Rc::new(Filter::Assign(with, left, self.binary(0)?)));
                    }
                }
                Ok(left)
            }
            2 => {
                let mut left = self.binary(3)?;
                while self.eat("or") {
                    left = Rc::new(Filter::Or(left, self.binary(3)?));
                }
                Ok(left)
            }
            3 => {
                let mut left = self.binary(4)?;
                while self.eat("and") {
                    left = Rc::new(Filter::And(left, self.binary(4)?));
                }
                Ok(left)
            }
            4 => {
                let left = self.binary(5)?;
                for operator in ["==", "!=", "<=", ">=", "<", ">"] {
                    if self.eat(operator) {
                        return Ok(Rc::new(Filter::Compare(operator, left, self.binary(5)?)));
                    }
                }
                Ok(left)
            }
            level @ (5 | 6) => {
                let operators: &[&str] = if level == 5 { &["+", "-"] } else { &["*", "/", "%"] };
                let mut left = if level == 5 { self.binary(6)? } else { self.bound()? };
                while let Some(operator) = operators.iter().find(|operator| self.operator() == Some(**operator)) {
                    self.at += 1;
                    let right = if level == 5 { self.binary(6)? } else { self.bound()? };
                    left = Rc::new(Filter::Arithmetic(operator.chars().next().unwrap_or('+'), left, right));
                }
                Ok(left)
            }
            _ => self.bound(),
        }
    }

    /// A term, perhaps bound to names for all that follows.
    fn bound(&mut self) -> Parse<Node> {
        let term = self.postfix()?;
        if !self.eat_word("as") {
            return Ok(term);
        }
        let pattern = self.pattern()?;
        self.expect("|")?;
        Ok(Rc::new(Filter::Bind(term, pattern, self.pipe()?)))
    }

    fn postfix(&mut self) -> Parse<Node> {
        let mut node = self.primary()?;
        loop {
            self.skip();
            if self.peek() == Some('.') && self.text.get(self.at + 1) != Some(&'.') {
                self.at += 1;
                self.skip();
                node = match self.peek() {
                    Some('"') => Rc::new(Filter::Index(node, self.string(None)?)),
                    Some('[') => {
                        self.at += 1;
                        self.bracket(node)?
                    }
                    _ => {
                        let name = self.name().ok_or_else(|| self.unexpected())?;
                        Rc::new(Filter::Index(node, Rc::new(Filter::Literal(Value::String(name)))))
                    }
                };
            } else if self.peek() == Some('[') {
                self.at += 1;
                node = self.bracket(node)?;
            } else if self.operator() == Some("?") {
                self.at += 1;
                node = Rc::new(Filter::Try(node, None));
            } else {
                return Ok(node);
            }
        }
    }

    /// What stands in brackets after a value.
    fn bracket(&mut self, node: Node) -> Parse<Node> {
        if self.eat("]") {
            return Ok(Rc::new(Filter::Iterate(node)));
        }
        if self.eat(":") {
            let end = self.pipe()?;
            self.expect("]")?;
            return Ok(Rc::new(Filter::Slice(node, None, Some(end))));
        }
        let first = self.pipe()?;
        if self.eat(":") {
            let end = if self.operator() == Some("]") { None } else { Some(self.pipe()?) };
            self.expect("]")?;
            return Ok(Rc::new(Filter::Slice(node, Some(first), end)));
        }
        self.expect("]")?;
        Ok(Rc::new(Filter::Index(node, first)))
    }

    fn primary(&mut self) -> Parse<Node> {
        self.skip();
        let node = match self.peek() {
            None => return Err(self.unexpected()),
            Some('.') => {
                if self.eat("..") {
                    return Ok(Rc::new(Filter::Recurse));
                }
                self.at += 1;
                let here = Rc::new(Filter::Identity);
                match self.peek() {
                    Some('"') => Filter::Index(here, self.string(None)?),
                    Some(c) if c == '_' || c.is_ascii_alphabetic() => {
                        let name = self.name().unwrap_or_default();
                        Filter::Index(here, Rc::new(Filter::Literal(Value::String(name))))
                    }
                    _ => return Ok(here),
                }
            }
            Some('"') => return self.string(None),
            Some('@') => {
                self.at += 1;
                let format = self.name().ok_or_else(|| self.unexpected())?;
                self.skip();
                if self.peek() == Some('"') {
                    return self.string(Some(format));
                }
                Filter::Format(format)
            }
            Some('$') => {
                let name = self.variable()?;
                Filter::Variable(name)
            }
            Some('(') => {
                self.at += 1;
                let inner = self.pipe()?;
                self.expect(")")?;
                return Ok(inner);
            }
            Some('[') => {
                self.at += 1;
                if self.eat("]") {
                    Filter::Array(None)
                } else {
                    let inner = self.pipe()?;
                    self.expect("]")?;
                    Filter::Array(Some(inner))
                }
            }
            Some('{') => {
                self.at += 1;
                Filter::Object(self.members()?)
            }
            Some('-') => {
                self.at += 1;
                Filter::Negate(self.postfix()?)
            }
            Some(c) if c.is_ascii_digit() => {
                let text: String = self.text.iter().skip(self.at).take(400).collect();
                let length = number_length(&text);
                self.at += length;
                let number = text.get(..length).and_then(|digits| digits.parse::<Number>().ok());
                Filter::Literal(Value::Number(number.ok_or_else(|| self.unexpected())?))
            }
            Some(_) => {
                let before = self.at;
                let Some(word) = self.name() else { return Err(self.unexpected()) };
                match word.as_str() {
                    "if" => return self.condition(),
                    "try" => {
                        let body = self.postfix()?;
                        let handler = if self.eat_word("catch") { Some(self.postfix()?) } else { None };
                        Filter::Try(body, handler)
                    }
                    "reduce" | "foreach" => {
                        let source = self.postfix()?;
                        if !self.eat_word("as") {
                            return Err(self.unexpected());
                        }
                        let pattern = self.pattern()?;
                        self.expect("(")?;
                        let start = self.pipe()?;
                        self.expect(";")?;
                        let update = self.pipe()?;
                        let extract = if word == "foreach" && self.eat(";") { Some(self.pipe()?) } else { None };
                        self.expect(")")?;
                        match word.as_str() {
                            "reduce" => Filter::Reduce(source, pattern, start, update),
                            _ => Filter::Foreach(source, pattern, start, update, extract),
                        }
                    }
                    "label" => {
                        let name = self.variable()?;
                        self.expect("|")?;
                        Filter::Label(name, self.pipe()?)
                    }
                    "break" => Filter::Break(self.variable()?),
                    "def" => {
                        self.at = before;
                        return self.pipe();
                    }
                    "null" => Filter::Literal(Value::Null),
                    "true" => Filter::Literal(Value::Bool(true)),
                    "false" => Filter::Literal(Value::Bool(false)),
                    "then" | "elif" | "else" | "end" | "as" | "catch" | "and" | "or" | "import" | "include" => {
                        self.at = before;
                        return Err(self.unexpected());
                    }
                    _ => {
                        let mut arguments = Vec::new();
                        if self.peek() == Some('(') {
                            self.at += 1;
                            loop {
                                arguments.push(self.pipe()?);
                                if !self.eat(";") {
                                    break;
                                }
                            }
                            self.expect(")")?;
                        }
                        Filter::Call(word, arguments)
                    }
                }
            }
        };
        Ok(Rc::new(node))
    }

    fn condition(&mut self) -> Parse<Node> {
        let mut branches = Vec::new();
        loop {
            let condition = self.pipe()?;
            if !self.eat_word("then") {
                return Err(self.unexpected());
            }
            branches.push((condition, self.pipe()?));
            if self.eat_word("elif") {
                continue;
            }
            let otherwise = if self.eat_word("else") { Some(self.pipe()?) } else { None };
            if !self.eat_word("end") {
                return Err(self.unexpected());
            }
            return Ok(Rc::new(Filter::If(branches, otherwise)));
        }
    }

    fn members(&mut self) -> Parse<Vec<(Node, Node)>> {
        let mut members = Vec::new();
        while !self.eat("}") {
            self.skip();
            let (key, shorthand) = match self.peek() {
                Some('$') => {
                    let name = self.variable()?;
                    (Rc::new(Filter::Literal(Value::String(name.clone()))), Some(Rc::new(Filter::Variable(name))))
                }
                Some('@') => {
                    self.at += 1;
                    let format = self.name();
                    (self.string(format)?, None)
                }
                _ => {
                    let key = self.key()?;
                    (key.clone(), Some(Rc::new(Filter::Index(Rc::new(Filter::Identity), key))))
                }
            };
            let value = if self.eat(":") {
                // A value ends at a comma.
                let mut value = self.binary(0)?;
                while self.eat("|") {
                    value = Rc::new(Filter::Pipe(value, self.binary(0)?));
                }
                value
            } else {
                shorthand.ok_or_else(|| self.unexpected())?
            };
            members.push((key, value));
            if !self.eat(",") {
                self.expect("}")?;
                break;
            }
        }
        Ok(members)
    }

    /// A string, with what is put into it.
    fn string(&mut self, format: Option<String>) -> Parse<Node> {
        self.at += 1;
        let mut parts = Vec::new();
        let mut text = String::new();
        loop {
            let c = self.peek().ok_or_else(|| self.unexpected())?;
            self.at += 1;
            match c {
                '"' => break,
                '\\' => {
                    let escaped = self.peek().ok_or_else(|| self.unexpected())?;
                    self.at += 1;
                    match escaped {
                        '(' => {
                            parts.push(Part::Text(std::mem::take(&mut text)));
                            parts.push(Part::Filter(self.pipe()?));
                            self.expect(")")?;
                        }
                        'n' => text.push('\n'),
                        't' => text.push('\t'),
                        'r' => text.push('\r'),
                        'b' => text.push('\u{8}'),
                        'f' => text.push('\u{c}'),
                        'u' => {
                            let code = self.code_unit()?;
                            let mut units = vec![code];
                            if (0xd800..0xdc00).contains(&code)
                                && self.text.get(self.at..self.at + 2) == Some(&['\\', 'u'])
                            {
                                self.at += 2;
                                units.push(self.code_unit()?);
                            }
                            text.push_str(&String::from_utf16_lossy(&units));
                        }
                        c @ ('"' | '\\' | '/') => text.push(c),
                        _ => return Err("invalid escape in string".into()),
                    }
                }
                c => text.push(c),
            }
        }
        if parts.is_empty() {
            return Ok(Rc::new(Filter::Literal(Value::String(text))));
        }
        parts.push(Part::Text(text));
        Ok(Rc::new(Filter::Text(format, parts)))
    }

    fn code_unit(&mut self) -> Parse<u16> {
        let digits: String = self.text.iter().skip(self.at).take(4).collect();
        self.at += 4;
        u16::from_str_radix(&digits, 16).map_err(|_| "invalid \\u escape".into())
    }
}

fn number_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let digits = |mut at: usize| {
        while bytes.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        at
    };
    let whole = digits(0);
    let mut end = match bytes.get(whole) {
        Some(b'.') if bytes.get(whole + 1).is_some_and(u8::is_ascii_digit) => digits(whole + 1),
        _ => whole,
    };
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let exponent = digits(end + 1 + sign);
        if exponent > end + 1 + sign {
            end = exponent;
        }
    }
    end
}
