//! `sed`.

use regex_lite::Regex;

use super::grep::regex;
use super::options::Options;
use super::text::{Texts, inputs, lines};
use crate::process::Process;

/// Which lines a `sed` command is for.
enum Address {
    Line(usize),
    Last,
    Match(Regex),
}

enum Action {
    Substitute { regex: Regex, with: String, all: bool, print: bool, nth: usize },
    Delete,
    Print,
    Quit,
    Append(String),
    Insert(String),
    Change(String),
}

struct Command {
    from: Option<Address>,
    to: Option<Address>,
    negated: bool,
    action: Action,
    inside: bool,
}

pub(super) async fn sed(process: Process) -> i32 {
    let options = match Options::parse(process.operands(), "nEre:i", &[("expression", "e"), ("quiet", "n")]) {
        Ok(options) => options,
        Err(message) => return process.fail(1, message).await,
    };
    let mut operands = options.operands.clone();
    let mut scripts = options.values("e").to_vec();
    if scripts.is_empty() {
        if operands.is_empty() {
            process.eprint("Usage: sed [-i] [-nrE] [-e SCRIPT]... [FILE]...\n").await;
            return 1;
        }
        scripts.push(operands.remove(0));
    }
    let is_extended = options.has("E") || options.has("r");
    let script = scripts.join("\n");
    let commands = match (Script { text: script.chars().collect(), at: 0, is_extended }).parse() {
        Ok(commands) => commands,
        Err(message) => return process.fail(1, message).await,
    };
    let mut editor = Editor { commands, quiet: options.has("n"), number: 0, held: None, ended: false };
    if options.has("i") {
        let (texts, code) = inputs(&process, &operands).await;
        for (path, data) in &texts {
            let mut edited = editor.take(data);
            edited.push_str(&editor.end());
            (editor.ended, editor.number) = (false, 0);
            if let Err(error) = process.fs().write(&process.path(path), edited, process.machine.now()) {
                return process.fail(4, format_args!("{path}: {error}")).await;
            }
        }
        return code;
    }
    let mut texts = Texts::new(&process, &operands);
    while !editor.ended
        && let Some(part) = texts.part().await
    {
        if !process.print(editor.take(&part)).await {
            return 1;
        }
    }
    process.print(editor.end()).await;
    texts.code
}

/// Edits lines as they come.
struct Editor {
    commands: Vec<Command>,
    quiet: bool,
    /// How many lines were edited.
    number: usize,
    /// A line that waits for its successor, where it matters which is the last.
    held: Option<String>,
    /// Whether a command has ended it.
    ended: bool,
}

impl Editor {
    /// What becomes of whole lines.
    fn take(&mut self, data: &[u8]) -> String {
        let last = |address: &Option<Address>| matches!(address, Some(Address::Last));
        let waits = self.commands.iter().any(|command| last(&command.from) || last(&command.to));
        let mut out = String::new();
        for line in lines(data) {
            let line = String::from_utf8_lossy(line).into_owned();
            let next = if waits { self.held.replace(line) } else { Some(line) };
            if let Some(line) = next {
                self.line(&line, false, &mut out);
            }
            if self.ended {
                break;
            }
        }
        out
    }

    /// What becomes of the line that waited.
    fn end(&mut self) -> String {
        let mut out = String::new();
        if let Some(line) = self.held.take().filter(|_| !self.ended) {
            self.line(&line, true, &mut out);
        }
        out
    }

    fn line(&mut self, whole: &str, last: bool, out: &mut String) {
        self.number += 1;
        let mut line = whole.trim_end_matches('\n').to_owned();
        let (mut deleted, mut after) = (false, String::new());
        for command in &mut self.commands {
            if !command.applies(self.number, last, &line) {
                continue;
            }
            match &command.action {
                Action::Substitute { regex, with, all, print, nth } => {
                    let (new, changed) = substitute(regex, &line, with, *all, *nth);
                    line = new;
                    if changed && *print {
                        out.push_str(&format!("{line}\n"));
                    }
                }
                Action::Delete => deleted = true,
                Action::Print => out.push_str(&format!("{line}\n")),
                Action::Quit => self.ended = true,
                Action::Append(text) => after.push_str(&format!("{text}\n")),
                Action::Insert(text) => out.push_str(&format!("{text}\n")),
                Action::Change(text) => {
                    out.push_str(&format!("{text}\n"));
                    deleted = true;
                }
            }
            if deleted || self.ended {
                break;
            }
        }
        if !deleted && !self.quiet {
            out.push_str(&line);
            if whole.ends_with('\n') {
                out.push('\n');
            }
        }
        out.push_str(&after);
    }
}

fn substitute(regex: &Regex, line: &str, with: &str, all: bool, nth: usize) -> (String, bool) {
    let mut out = String::new();
    let mut at = 0;
    let mut changed = false;
    for (index, found) in regex.captures_iter(line).enumerate() {
        let Some(whole) = found.get(0) else { break };
        if index + 1 < nth {
            continue;
        }
        out.push_str(line.get(at..whole.start()).unwrap_or_default());
        let mut chars = with.chars();
        while let Some(c) = chars.next() {
            match c {
                '&' => out.push_str(whole.as_str()),
                '\\' => match chars.next() {
                    Some('n') => out.push('\n'),
                    Some('t') => out.push('\t'),
                    Some(digit) if digit.is_ascii_digit() => {
                        let group = digit.to_digit(10).and_then(|group| found.get(group as usize));
                        out.push_str(group.map_or("", |group| group.as_str()));
                    }
                    Some(other) => out.push(other),
                    None => out.push('\\'),
                },
                c => out.push(c),
            }
        }
        at = whole.end();
        changed = true;
        if !all {
            break;
        }
    }
    out.push_str(line.get(at..).unwrap_or_default());
    (out, changed)
}

impl Address {
    fn holds(&self, number: usize, last: bool, line: &str) -> bool {
        match self {
            Self::Line(wanted) => *wanted == number,
            Self::Last => last,
            Self::Match(regex) => regex.is_match(line),
        }
    }
}

impl Command {
    fn applies(&mut self, number: usize, last: bool, line: &str) -> bool {
        let inside = match (&self.from, &self.to) {
            (None, _) => true,
            (Some(from), None) => from.holds(number, last, line),
            (Some(from), Some(to)) => {
                if self.inside {
                    self.inside = !to.holds(number, last, line);
                    true
                } else if from.holds(number, last, line) {
                    self.inside = !matches!(to, Address::Line(end) if *end <= number);
                    true
                } else {
                    false
                }
            }
        };
        inside != self.negated
    }
}

struct Script {
    text: Vec<char>,
    at: usize,
    is_extended: bool,
}

impl Script {
    fn peek(&self) -> Option<char> {
        self.text.get(self.at).copied()
    }

    fn skip(&mut self, chars: &str) {
        while self.peek().is_some_and(|c| chars.contains(c)) {
            self.at += 1;
        }
    }

    fn parse(mut self) -> Result<Vec<Command>, String> {
        let mut commands = Vec::new();
        loop {
            self.skip(" \t\n;");
            if self.peek().is_none() {
                return Ok(commands);
            }
            let from = self.address()?;
            let mut to = None;
            if from.is_some() && self.peek() == Some(',') {
                self.at += 1;
                to = self.address()?;
            }
            self.skip(" ");
            let negated = self.peek() == Some('!');
            self.at += usize::from(negated);
            let name = self.peek().ok_or("missing command")?;
            self.at += 1;
            let action = match name {
                's' => self.substitution()?,
                'd' => Action::Delete,
                'p' => Action::Print,
                'q' => Action::Quit,
                'a' => Action::Append(self.line()),
                'i' => Action::Insert(self.line()),
                'c' => Action::Change(self.line()),
                other => return Err(format!("unsupported command {other}")),
            };
            commands.push(Command { from, to, negated, action, inside: false });
        }
    }

    fn address(&mut self) -> Result<Option<Address>, String> {
        match self.peek() {
            Some('$') => {
                self.at += 1;
                Ok(Some(Address::Last))
            }
            Some('/') => {
                self.at += 1;
                let pattern = self.until('/')?;
                Ok(Some(Address::Match(regex(&pattern, self.is_extended, false)?)))
            }
            Some(c) if c.is_ascii_digit() => {
                let digits: String = self.text.iter().skip(self.at).take_while(|c| c.is_ascii_digit()).collect();
                self.at += digits.len();
                Ok(digits.parse().ok().map(Address::Line))
            }
            _ => Ok(None),
        }
    }

    /// Text up to a delimiter, which a backslash may quote.
    fn until(&mut self, delimiter: char) -> Result<String, String> {
        let mut text = String::new();
        loop {
            match self.peek() {
                None => return Err("unmatched '/'".into()),
                Some(c) if c == delimiter => {
                    self.at += 1;
                    return Ok(text);
                }
                Some('\\') if self.text.get(self.at + 1) == Some(&delimiter) => {
                    text.push(delimiter);
                    self.at += 2;
                }
                Some('\\') => {
                    text.push('\\');
                    text.extend(self.text.get(self.at + 1));
                    self.at += 2;
                }
                Some(c) => {
                    text.push(c);
                    self.at += 1;
                }
            }
        }
    }

    fn substitution(&mut self) -> Result<Action, String> {
        let delimiter = self.peek().ok_or("bad option in substitution expression")?;
        self.at += 1;
        let pattern = self.until(delimiter)?;
        let with = self.until(delimiter)?;
        let (mut all, mut print, mut ignore_case, mut nth) = (false, false, false, 1);
        while let Some(c) = self.peek() {
            match c {
                'g' => all = true,
                'p' => print = true,
                'i' | 'I' => ignore_case = true,
                c if c.is_ascii_digit() => nth = c.to_digit(10).unwrap_or(1).max(1) as usize,
                ' ' | ';' | '\n' | '}' => break,
                _ => return Err("bad option in substitution expression".into()),
            }
            self.at += 1;
        }
        Ok(Action::Substitute { regex: regex(&pattern, self.is_extended, ignore_case)?, with, all, print, nth })
    }

    /// The rest of the line: the text of `a`, `i` and `c`.
    fn line(&mut self) -> String {
        self.skip(" \t");
        if self.peek() == Some('\\') {
            self.at += 1;
            self.skip("\n");
        }
        let text: String = self.text.iter().skip(self.at).take_while(|c| **c != '\n').collect();
        self.at += text.chars().count();
        text
    }
}
