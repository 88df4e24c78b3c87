//! Where records come from, and their fields.

use crate::io::Fd;
use crate::process::Child;
use crate::programs::awk::ast::Expr;
use crate::programs::awk::input::{Separator, Source};
use crate::programs::awk::value::Value;
use crate::programs::{self, escape};

use super::{Awk, Cell, Done, FIELDS_MAX, Flow};

impl Awk {
    pub(super) fn separator(&mut self) -> Done<Separator> {
        let text = self.variable_text("RS");
        Ok(match text.as_bytes() {
            [] => Separator::Paragraph,
            [byte] => Separator::Char(*byte),
            _ => Separator::Regex((*self.regex(&text)?).clone()),
        })
    }

    /// Reads the next record of the main input, into a variable if one is given. False at the end.
    pub(super) async fn next_record(&mut self, into: Option<&Expr>) -> Done<bool> {
        self.flush_slowly().await;
        loop {
            if self.main_input.is_none() && !self.next_file().await? {
                return Ok(false);
            }
            let separator = self.separator()?;
            let Some(source) = &mut self.main_input else { return Ok(false) };
            match source.record(&separator).await {
                Ok(Some(record)) => {
                    for name in ["NR", "FNR"] {
                        let number = self.variable(name).number() + 1.0;
                        self.globals.insert(name.to_owned(), Cell::Value(Value::Number(number)));
                    }
                    match into {
                        Some(target) => self.store(target, Value::Input(record)).await?,
                        None => self.set_record(record),
                    }
                    return Ok(true);
                }
                Ok(None) => self.main_input = None,
                Err(error) => return Err(Flow::Fatal(format!("read error: {error}"))),
            }
        }
    }

    /// Opens the next operand that is a file, assigning variables on the way.
    pub(super) async fn next_file(&mut self) -> Done<bool> {
        while !self.operands.is_empty() {
            let word = self.operands.remove(0);
            let assignment = word
                .split_once('=')
                .filter(|(name, _)| !name.is_empty() && name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric()));
            if let Some((name, value)) = assignment {
                let value = escape::unescape(value).0;
                self.assign(name, &value);
                continue;
            }
            self.read_any = true;
            match self.process.open(&word) {
                Ok(fd) => {
                    self.globals.insert("FILENAME".into(), Cell::Value(Value::Input(word)));
                    self.globals.insert("FNR".into(), Cell::Value(Value::Number(0.0)));
                    self.main_input = Some(Source::new(fd, None));
                    return Ok(true);
                }
                Err(error) => {
                    self.flush().await;
                    self.exit_code = self.process.fail(2, format_args!("cannot open {word} ({error})")).await;
                }
            }
        }
        if std::mem::replace(&mut self.read_any, true) {
            return Ok(false);
        }
        self.main_input = Some(Source::new(self.process.stdin(), None));
        Ok(true)
    }

    pub(super) async fn getline(&mut self, into: Option<&Expr>, source: Option<&(char, Box<Expr>)>) -> Done<Value> {
        let Some((kind, name)) = source else {
            return Ok(Value::Number(f64::from(u8::from(self.next_record(into).await?))));
        };
        let name = self.text(name).await?;
        self.flush().await;
        if !self.sources.contains_key(&name) {
            let opened = if *kind == '<' {
                self.process.open(&name).ok().map(|fd| Source::new(fd, None))
            } else {
                let (reader, writer) = crate::io::pipe(self.process.machine.executor());
                let child = self.shell(&name, &[(1, writer)]).await;
                Some(Source::new(reader, child))
            };
            let Some(opened) = opened else { return Ok(Value::Number(-1.0)) };
            self.sources.insert(name.clone(), opened);
        }
        let separator = self.separator()?;
        let Some(source) = self.sources.get_mut(&name) else { return Ok(Value::Number(-1.0)) };
        match source.record(&separator).await {
            Ok(Some(record)) => {
                if *kind == '|' {
                    let number = self.variable("NR").number() + 1.0;
                    self.globals.insert("NR".into(), Cell::Value(Value::Number(number)));
                }
                match into {
                    Some(target) => self.store(target, Value::Input(record)).await?,
                    None => self.set_record(record),
                }
                Ok(Value::Number(1.0))
            }
            Ok(None) => Ok(Value::Number(0.0)),
            Err(_) => Ok(Value::Number(-1.0)),
        }
    }

    /// Starts a command with some descriptors of its own.
    pub(super) async fn shell(&self, command: &str, fds: &[(u32, Fd)]) -> Option<Child> {
        let mut all = self.process.fds.clone();
        all.extend(fds.iter().cloned());
        programs::spawn_with(&self.process, ["sh", "-c", command].map(str::to_owned).to_vec(), all).await
    }

    // Fields.

    pub(super) fn set_record(&mut self, record: String) {
        self.record = record;
        self.split = false;
        self.joined = true;
    }

    pub(super) fn split_record(&mut self) {
        if self.split {
            return;
        }
        self.split = true;
        let separator = self.variable_text("FS");
        let record = self.record.clone();
        self.fields = self.split_text(&record, &separator);
    }

    pub(super) fn split_text(&mut self, text: &str, separator: &str) -> Vec<String> {
        let owned = |parts: Vec<&str>| parts.into_iter().map(str::to_owned).collect();
        if text.is_empty() {
            return Vec::new();
        }
        match separator {
            " " => owned(text.split_whitespace().collect()),
            "" => text.chars().map(String::from).collect(),
            "\\" | "|" => owned(text.split(separator).collect()),
            one if one.chars().count() == 1 => owned(text.split(one).collect()),
            pattern => match self.regex(pattern) {
                Ok(regex) => owned(regex.split(text).collect()),
                Err(_) => vec![text.to_owned()],
            },
        }
    }

    /// The whole record.
    pub(super) fn whole(&mut self) -> String {
        if !self.joined {
            self.joined = true;
            let between = self.variable_text("OFS");
            self.record = self.fields.join(&between);
        }
        self.record.clone()
    }

    pub(super) fn field(&mut self, index: usize) -> Value {
        if index == 0 {
            return Value::Input(self.whole());
        }
        self.split_record();
        self.fields.get(index - 1).map_or(Value::Unset, |text| Value::Input(text.clone()))
    }

    pub(super) fn set_field(&mut self, index: usize, text: String) -> Done<()> {
        if index == 0 {
            self.set_record(text);
            return Ok(());
        }
        if index > FIELDS_MAX {
            return Err(Flow::Fatal(format!("trying to access out of range field {index}")));
        }
        self.split_record();
        if self.fields.len() < index {
            self.fields.resize(index, String::new());
        }
        if let Some(field) = self.fields.get_mut(index - 1) {
            *field = text;
        }
        self.joined = false;
        Ok(())
    }

    pub(super) fn index_of(number: f64) -> Done<usize> {
        if number < 0.0 {
            return Err(Flow::Fatal(format!("trying to access out of range field {number:.0}")));
        }
        Ok(number as usize)
    }

    // Variables.
}
