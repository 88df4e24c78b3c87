//! A program's lines as tokens, with the indentation that Python's blocks are made of.

/// A token.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Name(String),
    Int(i64),
    Float(f64),
    Text(String),
    /// An f-string: as written between its quotes.
    Format(String),
    Op(&'static str),
    NewLine,
    Indent,
    Dedent,
    End,
}

/// How long names may be.
const NAME_BYTES_MAX: usize = 64;

/// Operators, the longest first.
const OPS: [&str; 40] = [
    "**=", "//=", "...", "**", "//", "==", "!=", "<=", ">=", "+=", "-=", "*=", "/=", "%=", "->", ":=", "<<", ">>", "+",
    "-", "*", "/", "%", "<", ">", "=", "(", ")", "[", "]", "{", "}", ",", ":", ".", ";", "|", "&", "@", "~",
];

/// Tokens, each with its line; the error is a line and what is wrong there.
pub(super) fn tokens(text: &str) -> Result<Vec<(u32, Token)>, (u32, String)> {
    let mut out: Vec<(u32, Token)> = Vec::new();
    let mut indents = vec![0];
    let mut depth = 0_u32;
    let chars: Vec<char> = text.chars().collect();
    let (mut at, mut line) = (0, 1);
    let mut fresh = true;
    while at < chars.len() {
        if fresh && depth == 0 {
            let start = at;
            let mut width = 0;
            while let Some(c @ (' ' | '\t')) = chars.get(at) {
                width = if *c == '\t' { width / 8 * 8 + 8 } else { width + 1 };
                at += 1;
            }
            match chars.get(at) {
                Some('\n') => {
                    at += 1;
                    line += 1;
                    continue;
                }
                Some('#') => {
                    while chars.get(at).is_some_and(|c| *c != '\n') {
                        at += 1;
                    }
                    continue;
                }
                None => break,
                Some(_) => {}
            }
            fresh = false;
            let current = indents.last().copied().unwrap_or(0);
            if width > current {
                if out.is_empty() && start == 0 {
                    return Err((line, "unexpected indent".into()));
                }
                indents.push(width);
                out.push((line, Token::Indent));
            }
            while indents.last().copied().unwrap_or(0) > width {
                indents.pop();
                out.push((line, Token::Dedent));
            }
            if indents.last().copied().unwrap_or(0) != width {
                return Err((line, "unindent does not match any outer indentation level".into()));
            }
        }
        let Some(c) = chars.get(at).copied() else { break };
        match c {
            '\n' => {
                at += 1;
                if depth == 0 {
                    out.push((line, Token::NewLine));
                    fresh = true;
                }
                line += 1;
            }
            ' ' | '\t' | '\r' => at += 1,
            '\\' if chars.get(at + 1) == Some(&'\n') => {
                at += 2;
                line += 1;
            }
            '#' => {
                while chars.get(at).is_some_and(|c| *c != '\n') {
                    at += 1;
                }
            }
            c if c.is_ascii_digit() || (c == '.' && chars.get(at + 1).is_some_and(char::is_ascii_digit)) => {
                let start = at;
                while chars.get(at).is_some_and(|c| c.is_ascii_digit() || matches!(c, '.' | '_')) {
                    at += 1;
                }
                let text: String = chars.get(start..at).unwrap_or_default().iter().filter(|c| **c != '_').collect();
                let token = match text.parse::<i64>() {
                    Ok(number) => Token::Int(number),
                    Err(_) => Token::Float(text.parse().map_err(|_| (line, "invalid decimal literal".to_owned()))?),
                };
                out.push((line, token));
            }
            c if c.is_alphanumeric() || c == '_' || c == '"' || c == '\'' => {
                let start = at;
                while chars.get(at).is_some_and(|c| c.is_alphanumeric() || *c == '_') {
                    at += 1;
                }
                let name: String = chars.get(start..at).unwrap_or_default().iter().collect();
                let quoted = matches!(chars.get(at), Some('"' | '\''));
                let prefix = name.to_lowercase();
                if quoted && matches!(prefix.as_str(), "" | "f" | "r" | "b" | "rb" | "br" | "fr" | "rf" | "u") {
                    let begin = line;
                    let text = string(&chars, &mut at, &mut line, prefix.contains('r'))?;
                    match (out.last_mut(), prefix.contains('f')) {
                        // Strings beside each other are one.
                        (Some((_, Token::Text(before))), false) => before.push_str(&text),
                        (_, true) => out.push((begin, Token::Format(text))),
                        _ => out.push((begin, Token::Text(text))),
                    }
                } else if name.len() > NAME_BYTES_MAX {
                    return Err((line, "this stand-in for Python does not know names so long".into()));
                } else {
                    out.push((line, Token::Name(name)));
                }
            }
            _ => {
                let rest: String = chars.iter().skip(at).take(3).collect();
                let Some(op) = OPS.iter().find(|op| rest.starts_with(**op)) else {
                    return Err((line, format!("invalid character '{c}'")));
                };
                at += op.len();
                match *op {
                    "(" | "[" | "{" => depth += 1,
                    ")" | "]" | "}" => depth = depth.saturating_sub(1),
                    _ => {}
                }
                out.push((line, Token::Op(op)));
            }
        }
    }
    if !matches!(out.last(), None | Some((_, Token::NewLine))) {
        out.push((line, Token::NewLine));
    }
    out.extend(indents.iter().skip(1).map(|_| (line, Token::Dedent)));
    out.push((line, Token::End));
    Ok(out)
}

/// A string's text, its escapes read.
fn string(chars: &[char], at: &mut usize, line: &mut u32, raw: bool) -> Result<String, (u32, String)> {
    let begin = *line;
    let quote = chars.get(*at).copied().unwrap_or('"');
    let triple = chars.get(*at + 1) == Some(&quote) && chars.get(*at + 2) == Some(&quote);
    let width = if triple { 3 } else { 1 };
    *at += width;
    let mut out = String::new();
    loop {
        let Some(c) = chars.get(*at).copied() else {
            return Err((begin, "unterminated string literal".into()));
        };
        let closes = chars.iter().skip(*at).take(width).filter(|c| **c == quote).count() == width;
        if closes {
            *at += width;
            return Ok(out);
        }
        *at += 1;
        match c {
            '\n' if !triple => return Err((begin, "unterminated string literal".into())),
            '\\' if !raw => {
                let escaped = chars.get(*at).copied().unwrap_or('\\');
                *at += 1;
                match escaped {
                    'n' => out.push('\n'),
                    't' => out.push('\t'),
                    'r' => out.push('\r'),
                    '0' => out.push('\0'),
                    '\n' => *line += 1,
                    '\\' | '\'' | '"' => out.push(escaped),
                    other => out.extend(['\\', other]),
                }
            }
            c => {
                if c == '\n' {
                    *line += 1;
                }
                out.push(c);
            }
        }
    }
}
