//! The functions that every program has.

use machinery::random::Rng;
use regex_lite::Regex;

use super::{Awk, Cell, Done, Flow};
use crate::programs::awk::ast::Expr;
use crate::programs::awk::value::Value;
use crate::programs::escape;

impl Awk {
    /// One of the functions that every program has.
    pub(super) async fn builtin(&mut self, name: &str, arguments: &[Expr]) -> Done<Value> {
        let wrong = || Flow::Fatal(format!("{name}: wrong number of arguments"));
        let at = |index: usize| arguments.get(index);
        Ok(match name {
            "length" => match at(0) {
                None => Value::Number(self.whole().chars().count() as f64),
                Some(Expr::Variable(name)) if matches!(self.cell(name), Some(Cell::Array(_))) => {
                    Value::Number(self.array(name)?.borrow().len() as f64)
                }
                Some(inner) => Value::Number(self.text(inner).await?.chars().count() as f64),
            },
            "substr" => {
                let text: Vec<char> = self.text(at(0).ok_or_else(wrong)?).await?.chars().collect();
                let start = self.number(at(1).ok_or_else(wrong)?).await?.round();
                let end = match at(2) {
                    Some(length) => start + self.number(length).await?.round(),
                    None => f64::INFINITY,
                };
                let from = (start.max(1.0) - 1.0) as usize;
                let to = ((end - 1.0).max(0.0) as usize).min(text.len());
                Value::Text(text.get(from..to.max(from)).unwrap_or_default().iter().collect())
            }
            "index" => {
                let text = self.text(at(0).ok_or_else(wrong)?).await?;
                let wanted = self.text(at(1).ok_or_else(wrong)?).await?;
                let place = text.find(&wanted).map(|at| text.get(..at).unwrap_or_default().chars().count() + 1);
                Value::Number(place.unwrap_or(0) as f64)
            }
            "split" => {
                let text = self.text(at(0).ok_or_else(wrong)?).await?;
                let Some(Expr::Variable(array)) = at(1) else { return Err(wrong()) };
                let parts = match at(2) {
                    Some(Expr::Regex(regex)) if !text.is_empty() => regex.split(&text).map(str::to_owned).collect(),
                    separator => {
                        let separator = match separator {
                            Some(separator) => self.text(separator).await?,
                            None => self.variable_text("FS"),
                        };
                        self.split_text(&text, &separator)
                    }
                };
                let count = parts.len();
                let values = parts.into_iter().enumerate();
                *self.array(array)?.borrow_mut() =
                    values.map(|(index, part)| ((index + 1).to_string(), Value::Input(part))).collect();
                Value::Number(count as f64)
            }
            "sub" | "gsub" => {
                let regex = self.pattern(at(0).ok_or_else(wrong)?).await?;
                let with = self.text(at(1).ok_or_else(wrong)?).await?;
                let record = Expr::Field(Box::new(Expr::Number(0.0)));
                let target = at(2).unwrap_or(&record);
                let text = self.text(target).await?;
                let (text, count) = substitute(&regex, &text, &with, name == "gsub");
                if count > 0 {
                    self.store(target, Value::Text(text)).await?;
                }
                Value::Number(count as f64)
            }
            "match" => {
                let text = self.text(at(0).ok_or_else(wrong)?).await?;
                let regex = self.pattern(at(1).ok_or_else(wrong)?).await?;
                let found = regex.find(&text);
                let start = found.map(|found| text.get(..found.start()).unwrap_or_default().chars().count() + 1);
                let length = found.map_or(-1.0, |found| found.as_str().chars().count() as f64);
                let start = start.unwrap_or(0) as f64;
                self.globals.insert("RSTART".into(), Cell::Value(Value::Number(start)));
                self.globals.insert("RLENGTH".into(), Cell::Value(Value::Number(length)));
                Value::Number(start)
            }
            "sprintf" => Value::Text(self.format(arguments).await?),
            "tolower" => Value::Text(self.text(at(0).ok_or_else(wrong)?).await?.to_lowercase()),
            "toupper" => Value::Text(self.text(at(0).ok_or_else(wrong)?).await?.to_uppercase()),
            "system" => {
                let command = self.text(at(0).ok_or_else(wrong)?).await?;
                self.flush().await;
                match self.shell(&command, &[]).await {
                    Some(child) => Value::Number(f64::from(child.wait().await)),
                    None => Value::Number(127.0),
                }
            }
            "close" => {
                let name = self.text(at(0).ok_or_else(wrong)?).await?;
                Value::Number(f64::from(self.close(&name).await))
            }
            "fflush" => {
                self.flush().await;
                Value::Number(0.0)
            }
            "rand" => Value::Number((self.rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64),
            "srand" => {
                let now = self.process.machine.now().as_second() as f64;
                let seed = match at(0) {
                    Some(seed) => self.number(seed).await?,
                    None => now,
                };
                self.rng = Rng::new(seed.to_bits());
                Value::Number(std::mem::replace(&mut self.seed, seed))
            }
            "atan2" => {
                let y = self.number(at(0).ok_or_else(wrong)?).await?;
                Value::Number(y.atan2(self.number(at(1).ok_or_else(wrong)?).await?))
            }
            name => {
                let number = self.number(at(0).ok_or_else(wrong)?).await?;
                Value::Number(match name {
                    "sin" => number.sin(),
                    "cos" => number.cos(),
                    "exp" => number.exp(),
                    "log" => number.ln(),
                    "sqrt" => number.sqrt(),
                    _ => number.trunc(),
                })
            }
        })
    }

    /// `printf`'s text: a format and its arguments.
    pub(super) async fn format(&mut self, list: &[Expr]) -> Done<String> {
        let Some((format, arguments)) = list.split_first() else {
            return Err(Flow::Fatal("printf: no format".into()));
        };
        let format = self.text(format).await?;
        let conversion_format = self.variable_text("CONVFMT");
        let mut values = Vec::new();
        for argument in arguments {
            values.push(self.eval(argument).await?);
        }
        let mut values = values.into_iter();
        let mut out = String::new();
        let mut chars = format.chars().peekable();
        while let Some(c) = chars.next() {
            if c != '%' {
                out.push(c);
                continue;
            }
            let mut spec = String::new();
            while let Some(c) = chars.peek().copied().filter(|c| "-+ #0123456789.*".contains(*c)) {
                chars.next();
                match c {
                    '*' => spec.push_str(&format!("{}", values.next().unwrap_or_default().number())),
                    c => spec.push(c),
                }
            }
            let Some(conversion) = chars.next() else {
                out.push('%');
                break;
            };
            if conversion == '%' {
                out.push('%');
                continue;
            }
            let value = values.next().unwrap_or_default();
            let argument = match (conversion, &value) {
                ('c', Value::Number(code)) => char::from_u32(*code as u32).map(String::from).unwrap_or_default(),
                ('s' | 'c', value) => value.text(&conversion_format),
                ('d' | 'i' | 'u' | 'x' | 'X' | 'o', value) => format!("{:.0}", value.number().trunc()),
                (_, value) => value.number().to_string(),
            };
            out.push_str(&escape::convert(conversion, &spec, &argument).map_err(Flow::Fatal)?);
        }
        Ok(out)
    }
}

/// Replaces matches; `&` in the replacement is what matched.
fn substitute(regex: &Regex, text: &str, with: &str, all: bool) -> (String, usize) {
    let mut out = String::new();
    let (mut last, mut count) = (0, 0);
    for found in regex.find_iter(text).take(if all { usize::MAX } else { 1 }) {
        out.push_str(text.get(last..found.start()).unwrap_or_default());
        let mut chars = with.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\\' if chars.peek() == Some(&'&') => out.extend(chars.next()),
                '&' => out.push_str(found.as_str()),
                c => out.push(c),
            }
        }
        last = found.end();
        count += 1;
    }
    out.push_str(text.get(last..).unwrap_or_default());
    (out, count)
}
