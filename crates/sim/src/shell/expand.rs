//! From words to fields.

use futures::FutureExt;
use futures::future::LocalBoxFuture;

use super::arith::{self, Variables};
use super::ast::{Operation, Piece, Subscript, Word};
use super::pattern::{self, Char};
use super::{Flow, Shell, braces};
use crate::io;

/// Fields in the making.
#[derive(Default)]
struct Fields {
    done: Vec<Vec<Char>>,
    current: Option<Vec<Char>>,
}

impl Fields {
    fn push(&mut self, text: &str, quoted: bool) {
        let current = self.current.get_or_insert_with(Vec::new);
        current.extend(text.chars().map(|c| (c, quoted)));
    }

    /// What an unquoted expansion gave: split at the separators.
    fn split(&mut self, text: &str, separators: &str) {
        for c in text.chars() {
            if !separators.contains(c) {
                self.current.get_or_insert_with(Vec::new).push((c, false));
            } else if self.current.is_some() || !c.is_whitespace() {
                self.end();
            }
        }
    }

    /// Ends the field.
    fn end(&mut self) {
        self.done.push(self.current.take().unwrap_or_default());
    }
}

impl Shell {
    /// Expands words to fields: parameters, commands, arithmetic, splitting, path names.
    pub(super) async fn expand(&mut self, words: &[Word]) -> Result<Vec<String>, Flow> {
        let mut all = Vec::new();
        let words: Vec<Word> = match self.bash {
            true => words.iter().flat_map(braces::expand).collect(),
            false => words.to_vec(),
        };
        for word in &words {
            // `"$@"` without parameters is no word at all.
            if let [Piece::Quoted(empty), Piece::Parameter { name, index, operation: Operation::Value, quoted: true }] =
                word.as_slice()
                && empty.is_empty()
                && (name == "@" || matches!(index, Some(Subscript::All(false))))
                && self.listed(name, index.as_ref()).is_some_and(|values| values.is_empty())
            {
                continue;
            }
            let mut fields = Fields::default();
            self.pieces(word, &mut fields, true).await?;
            if fields.current.is_some() {
                fields.end();
            }
            for field in fields.done {
                let text = || field.iter().map(|(c, _)| *c).collect::<String>();
                if pattern::is_pattern(&field) && !self.options.noglob {
                    let paths = pattern::expand(&self.fs, &self.cwd, &field);
                    if !paths.is_empty() {
                        all.extend(paths);
                        continue;
                    }
                }
                all.push(text());
            }
        }
        Ok(all)
    }

    /// Expands the words of a simple command. What the builtins that declare assign is not split, as in an
    /// assignment of its own: `export NAME=$(command)`.
    pub(super) async fn expand_command(&mut self, words: &[Word]) -> Result<Vec<String>, Flow> {
        const DECLARING: [&str; 5] = ["declare", "export", "local", "readonly", "typeset"];
        let declares = matches!(words.first().map(Vec::as_slice), Some([Piece::Literal(name)])
            if DECLARING.contains(&name.as_str()));
        if !declares {
            return self.expand(words).await;
        }
        let mut all = Vec::new();
        for word in words {
            match word.first() {
                Some(Piece::Literal(text)) if text.contains('=') => all.push(self.expand_one(word).await?),
                _ => all.extend(self.expand(std::slice::from_ref(word)).await?),
            }
        }
        Ok(all)
    }

    /// Expands a word to one string: no splitting, no path names.
    pub(super) async fn expand_one(&mut self, word: &Word) -> Result<String, Flow> {
        Ok(self.expand_pattern(word).await?.into_iter().map(|(c, _)| c).collect())
    }

    /// Expands a word to a pattern: characters that know whether they were quoted.
    pub(super) async fn expand_pattern(&mut self, word: &Word) -> Result<Vec<Char>, Flow> {
        let mut fields = Fields::default();
        self.pieces(word, &mut fields, false).await?;
        if fields.current.is_some() {
            fields.end();
        }
        Ok(fields.done.join(&(' ', true)))
    }

    fn pieces<'a>(
        &'a mut self,
        word: &'a Word,
        fields: &'a mut Fields,
        split: bool,
    ) -> LocalBoxFuture<'a, Result<(), Flow>> {
        async move {
            for piece in word {
                match piece {
                    Piece::Literal(text) => fields.push(text, false),
                    Piece::Quoted(text) => fields.push(text, true),
                    Piece::Tilde(user) => {
                        let home =
                            if user.is_empty() { self.get("HOME").unwrap_or_default() } else { self.home_of(user) };
                        fields.push(&home, true);
                    }
                    Piece::Substitution { command, quoted } => {
                        let text = self.substitute(command).await?;
                        self.add(fields, &text, *quoted, split);
                    }
                    Piece::Arithmetic { expression, quoted } => {
                        let text = self.expand_one(expression).await?;
                        let value = match arith::evaluate(&text, self) {
                            Ok(value) => value.to_string(),
                            Err(message) => return Err(self.fatal(message).await),
                        };
                        self.add(fields, &value, *quoted, split);
                    }
                    Piece::Process { command, input } => {
                        let path = self.pipe_to(command, *input);
                        fields.push(&path, true);
                    }
                    Piece::Parameter { name, index, operation, quoted } => {
                        let keys = matches!((index, operation), (Some(Subscript::All(_)), Operation::Indirect));
                        let listed = match keys {
                            true => Some(self.elements(name).keys()),
                            false => self.listed(name, index.as_ref()),
                        };
                        match listed {
                            Some(values) if !matches!(operation, Operation::Conditional { .. } | Operation::Length) => {
                                let values = self.each(values, name, operation).await?;
                                let star = name == "*" || matches!(index, Some(Subscript::All(true)));
                                if star && *quoted {
                                    let separator =
                                        self.vars.get("IFS").map_or(Some(' '), |ifs| ifs.value.chars().next());
                                    let joined = values.join(&separator.map(String::from).unwrap_or_default());
                                    fields.push(&joined, true);
                                    continue;
                                }
                                for (index, value) in values.iter().enumerate() {
                                    if index > 0 {
                                        fields.end();
                                    }
                                    self.add(fields, value, *quoted, split);
                                }
                            }
                            listed => {
                                let value = match (listed, index) {
                                    (Some(values), _) if *operation == Operation::Length => {
                                        fields.push(&values.len().to_string(), *quoted);
                                        continue;
                                    }
                                    (Some(values), _) if values.is_empty() => None,
                                    (Some(values), _) => Some(values.join(" ")),
                                    (None, Some(Subscript::At(index))) => {
                                        let key = self.key(name, index).await?;
                                        self.element(name, &key)
                                    }
                                    (None, _) => self.get(name),
                                };
                                self.parameter(name, value, operation, *quoted, fields, split).await?;
                            }
                        }
                    }
                }
            }
            Ok(())
        }
        .boxed_local()
    }

    fn add(&self, fields: &mut Fields, text: &str, quoted: bool, split: bool) {
        if quoted || !split {
            fields.push(text, quoted);
        } else {
            let separators = self.get("IFS").unwrap_or_else(|| " \t\n".into());
            fields.split(text, &separators);
        }
    }

    async fn parameter(
        &mut self,
        name: &str,
        value: Option<String>,
        operation: &Operation,
        quoted: bool,
        fields: &mut Fields,
        split: bool,
    ) -> Result<(), Flow> {
        let special = matches!(name, "@" | "*" | "#" | "?" | "-" | "$" | "!");
        if value.is_none() && self.options.nounset && !special && !matches!(operation, Operation::Conditional { .. }) {
            return Err(self.fatal(&format!("{name}: parameter not set")).await);
        }
        let text = match operation {
            Operation::Value => value.unwrap_or_default(),
            Operation::Length => value.unwrap_or_default().chars().count().to_string(),
            Operation::Conditional { kind, colon, word } => {
                let set = value.as_ref().is_some_and(|value| !colon || !value.is_empty());
                match (kind, set) {
                    ('+', false) => return Ok(()),
                    ('+', true) | ('-', false) => return self.pieces(word, fields, split && !quoted).await,
                    ('=', false) => {
                        let text = self.expand_one(word).await?;
                        self.set(name, text.clone());
                        text
                    }
                    ('?', false) => {
                        let text = self.expand_one(word).await?;
                        let text = if text.is_empty() { "parameter not set or null".to_owned() } else { text };
                        return Err(self.fatal(&format!("{name}: {text}")).await);
                    }
                    _ => value.unwrap_or_default(),
                }
            }
            Operation::Indirect => value.and_then(|name| self.get(&name)).unwrap_or_default(),
            Operation::Trim { .. } | Operation::Replace { .. } | Operation::Case { .. } => {
                let values = self.each(vec![value.unwrap_or_default()], name, operation).await?;
                values.concat()
            }
            Operation::Substring(offset, length) => {
                let text: Vec<char> = value.unwrap_or_default().chars().collect();
                let offset = self.number(offset).await?;
                let count = text.len() as i64;
                let start = if offset < 0 { count + offset } else { offset }.clamp(0, count);
                let end = match length {
                    None => count,
                    Some(length) => match self.number(length).await? {
                        length if length < 0 => count + length,
                        length => start.saturating_add(length),
                    },
                };
                let end = end.clamp(start, count);
                text.iter().skip(start as usize).take((end - start) as usize).collect()
            }
        };
        self.add(fields, &text, quoted, split);
        Ok(())
    }

    /// What an operation makes of each value of a list.
    async fn each(&mut self, mut values: Vec<String>, name: &str, operation: &Operation) -> Result<Vec<String>, Flow> {
        Ok(match operation {
            Operation::Trim { suffix, longest, pattern } => {
                let pattern = self.expand_pattern(pattern).await?;
                values.iter().map(|value| pattern::trim(value, &pattern, *suffix, *longest)).collect()
            }
            Operation::Replace { all, pattern, text } => {
                let pattern = self.expand_pattern(pattern).await?;
                let text = self.expand_one(text).await?;
                values.iter().map(|value| pattern::replace(value, &pattern, &text, *all)).collect()
            }
            Operation::Case { upper, all } => {
                let change = |text: &str| if *upper { text.to_uppercase() } else { text.to_lowercase() };
                let changed = |value: &String| {
                    let cut = if *all { value.len() } else { value.chars().next().map_or(0, char::len_utf8) };
                    let (head, tail) = value.split_at(cut);
                    change(head) + tail
                };
                values.iter().map(changed).collect()
            }
            Operation::Substring(offset, length) => {
                // The parameters begin with `$0`.
                if matches!(name, "@" | "*") {
                    values.insert(0, self.name.clone());
                }
                let count = values.len() as i64;
                let offset = self.number(offset).await?;
                let start = if offset < 0 { count + offset } else { offset }.clamp(0, count);
                let length = match length {
                    Some(length) => self.number(length).await?.max(0),
                    None => count,
                };
                values.into_iter().skip(start as usize).take(length as usize).collect()
            }
            _ => values,
        })
    }

    /// Starts a command whose output, or with `input` whose input, is a pipe with a name; that name.
    fn pipe_to(&mut self, command: &std::rc::Rc<super::ast::Command>, input: bool) -> String {
        let (reader, writer) = io::pipe(self.machine.executor());
        let (theirs, ours) = if input { (reader, writer) } else { (writer, reader) };
        self.subshell(command, None, |shell| {
            shell.fds.insert(u32::from(!input), theirs);
        });
        let number = (10..64).rev().find(|number| !self.fds.contains_key(number)).unwrap_or(63);
        self.fds.insert(number, ours);
        format!("/dev/fd/{number}")
    }

    async fn number(&mut self, word: &Word) -> Result<i64, Flow> {
        let text = self.expand_one(word).await?;
        match arith::evaluate(&text, self) {
            Ok(value) => Ok(value),
            Err(message) => Err(self.fatal(message).await),
        }
    }

    fn home_of(&self, user: &str) -> String {
        let passwd = self.fs.read_text("/etc/passwd").unwrap_or_default();
        let row = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|row| row.first() == Some(&user));
        row.and_then(|row| row.get(5).map(|home| (*home).to_owned())).unwrap_or_else(|| format!("~{user}"))
    }
}

impl Variables for Shell {
    fn get(&self, name: &str) -> i64 {
        let value = match name.split_once('[') {
            Some((name, key)) => self.element(name, key.trim_end_matches(']')),
            None => Shell::get(self, name),
        };
        value.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
    }

    fn set(&mut self, name: &str, value: i64) {
        match name.split_once('[') {
            Some((name, key)) => self.set_element(name, key.trim_end_matches(']').to_owned(), value.to_string()),
            None => Shell::set(self, name, value.to_string()),
        }
    }
}
