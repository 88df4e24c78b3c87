//! Redirections and here-documents.

use super::ast::{Piece, Redirect, Target};
use super::parser::{Parse, Parser, SyntaxError, is_break};

/// A here-document whose body follows the next newline.
pub(super) struct Pending {
    delimiter: String,
    strip_tabs: bool,
}

impl Parser {
    pub(super) fn redirect(&mut self) -> Parse<Option<Redirect>> {
        let start = self.at;
        let mut digits = String::new();
        while let Some(c) = self.peek().filter(char::is_ascii_digit) {
            digits.push(c);
            self.at += 1;
        }
        let both = digits.is_empty() && self.peek() == Some('&') && self.peek_at(1) == Some('>');
        let number = digits.parse::<u32>().ok();
        if !both && (!matches!(self.peek(), Some('<' | '>')) || number.is_none() && !digits.is_empty()) {
            self.at = start;
            return Ok(None);
        }
        if number.is_none() && !both && self.peek_at(1) == Some('(') {
            self.at = start;
            return Ok(None);
        }
        const OPERATORS: [&str; 10] = ["&>", "<<<", "<<-", "<<", "<&", ">>", ">&", ">|", "<", ">"];
        let operator = OPERATORS.into_iter().find(|operator| self.eat(operator)).unwrap_or("<");
        self.skip_blanks();
        if self.peek().is_none() {
            // The line has ended; another would not make it right.
            let message = "syntax error: unexpected \"newline\"".to_owned();
            return Err(SyntaxError { message, incomplete: false });
        }
        let process = matches!(self.peek(), Some('<' | '>')) && self.peek_at(1) == Some('(');
        if self.peek().is_none_or(is_break) && !process {
            return Err(self.unexpected());
        }
        let fd = number.unwrap_or(u32::from(operator.contains('>')));
        let target = match operator {
            "<<" | "<<-" => self.heredoc(operator == "<<-")?,
            "<<<" => {
                let mut word = self.word()?;
                word.push(Piece::Quoted("\n".into()));
                Target::Text(word)
            }
            "<" => Target::Read(self.word()?),
            "<&" => Target::Duplicate(self.word()?),
            ">>" => Target::Append(self.word()?),
            ">&" => Target::Duplicate(self.word()?),
            _ => Target::Write(self.word()?),
        };
        // `&>file` is `>file 2>&1`: the second part is left to be read next.
        if operator == "&>" {
            self.text.splice(self.at..self.at, " 2>&1".chars());
        }
        Ok(Some(Redirect { fd, target }))
    }

    /// A here-document: its body stands after the line's end, which may not have been read yet. The body
    /// is found now, and skipped when the line's end is reached.
    fn heredoc(&mut self, strip_tabs: bool) -> Parse<Target> {
        let start = self.at;
        while self.peek().is_some_and(|c| !is_break(c)) {
            self.at += 1;
        }
        let raw: String = self.text.iter().skip(start).take(self.at - start).collect();
        let quoted = raw.contains(['\'', '"', '\\']);
        let delimiter = raw.replace(['\'', '"', '\\'], "");
        let line_end = self.text.iter().skip(self.at).position(|c| *c == '\n').map(|offset| self.at + offset + 1);
        let Some(mut at) = line_end else { return self.incomplete("unterminated here-document") };
        for pending in &self.heredocs {
            at = body_end(&self.text, at, &pending.delimiter, pending.strip_tabs)
                .ok_or_else(|| SyntaxError {
                    message: "syntax error: unterminated here-document".into(),
                    incomplete: true,
                })?
                .1;
        }
        let Some((body, _)) = body_end(&self.text, at, &delimiter, strip_tabs) else {
            return self.incomplete("unterminated here-document");
        };
        self.heredocs.push(Pending { delimiter, strip_tabs });
        if quoted {
            return Ok(Target::Text(vec![Piece::Quoted(body)]));
        }
        let mut inner = Parser::new(&body);
        inner.depth = self.depth;
        Ok(Target::Text(inner.double_quoted(None)?))
    }

    pub(super) fn skip_heredoc(&mut self, pending: &Pending) -> Parse<()> {
        match body_end(&self.text, self.at, &pending.delimiter, pending.strip_tabs) {
            Some((_, end)) => {
                self.at = end;
                Ok(())
            }
            None => self.incomplete("unterminated here-document"),
        }
    }
}

/// The body of a here-document that begins at `at`, and where the text goes on.
fn body_end(text: &[char], mut at: usize, delimiter: &str, strip_tabs: bool) -> Option<(String, usize)> {
    let mut body = String::new();
    while at < text.len() {
        let line: String = text.iter().skip(at).take_while(|c| **c != '\n').collect();
        let ended = at + line.chars().count();
        let shown = if strip_tabs { line.trim_start_matches('\t') } else { &line };
        at = ended + 1;
        if shown == delimiter {
            return Some((body, at.min(text.len())));
        }
        body.push_str(shown);
        body.push('\n');
    }
    None
}
