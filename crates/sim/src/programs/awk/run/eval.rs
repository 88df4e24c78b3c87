//! Expressions, and calls of the program's own functions.

use std::cmp::Ordering;
use std::rc::Rc;

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use regex_lite::Regex;

use super::{Awk, CALLS_MAX, Cell, Done, Flow, TURN_TIME};
use crate::programs::awk::ast::Expr;
use crate::programs::awk::value::Value;
use crate::programs::grep;

impl Awk {
    pub(super) async fn text(&mut self, expr: &Expr) -> Done<String> {
        let format = self.variable_text("CONVFMT");
        Ok(self.eval(expr).await?.text(&format))
    }

    pub(super) async fn number(&mut self, expr: &Expr) -> Done<f64> {
        Ok(self.eval(expr).await?.number())
    }

    pub(super) fn regex(&mut self, pattern: &str) -> Done<Rc<Regex>> {
        if let Some(known) = self.regexes.get(pattern) {
            return Ok(known.clone());
        }
        let regex = Rc::new(grep::regex(pattern, true, false).map_err(Flow::Fatal)?);
        self.regexes.insert(pattern.to_owned(), regex.clone());
        Ok(regex)
    }

    /// The regular expression that an operand of `~` or an argument is.
    pub(super) async fn pattern(&mut self, expr: &Expr) -> Done<Rc<Regex>> {
        match expr {
            Expr::Regex(regex) => Ok(regex.clone()),
            other => {
                let text = self.text(other).await?;
                self.regex(&text)
            }
        }
    }

    pub(super) fn eval<'a>(&'a mut self, expr: &'a Expr) -> LocalBoxFuture<'a, Done<Value>> {
        let truth = |holds: bool| Value::Number(f64::from(u8::from(holds)));
        async move {
            Ok(match expr {
                Expr::Number(number) => Value::Number(*number),
                Expr::Text(text) => Value::Text(text.clone()),
                Expr::Regex(regex) => truth(regex.is_match(&self.whole())),
                Expr::Variable(name) => self.value_of(name)?,
                Expr::Field(index) => {
                    let index = Self::index_of(self.number(index).await?)?;
                    self.field(index)
                }
                Expr::Element(name, index) => {
                    let key = self.key(index).await?;
                    self.array(name)?.borrow_mut().entry(key).or_default().clone()
                }
                Expr::Assign(target, operator, value) => {
                    let value = match operator {
                        None => self.eval(value).await?,
                        Some(operator) => {
                            let right = self.number(value).await?;
                            let left = self.number(target).await?;
                            Value::Number(calculate(*operator, left, right)?)
                        }
                    };
                    self.store(target, value.clone()).await?;
                    value
                }
                Expr::Step(by, before, target) => {
                    let old = self.number(target).await?;
                    self.store(target, Value::Number(old + by)).await?;
                    Value::Number(if *before { old + by } else { old })
                }
                Expr::Not(inner) => truth(!self.eval(inner).await?.holds()),
                Expr::Sign(sign, inner) => Value::Number(sign * self.number(inner).await?),
                Expr::Arithmetic(operator, left, right) => {
                    let left = self.number(left).await?;
                    Value::Number(calculate(*operator, left, self.number(right).await?)?)
                }
                Expr::Concat(left, right) => {
                    let left = self.text(left).await?;
                    Value::Text(left + &self.text(right).await?)
                }
                Expr::Compare(operator, left, right) => {
                    let left = self.eval(left).await?;
                    let right = self.eval(right).await?;
                    let order = left.compare(&right, &self.variable_text("CONVFMT"));
                    truth(match *operator {
                        "<" => order == Ordering::Less,
                        "<=" => order != Ordering::Greater,
                        "==" => order == Ordering::Equal,
                        "!=" => order != Ordering::Equal,
                        ">" => order == Ordering::Greater,
                        _ => order != Ordering::Less,
                    })
                }
                Expr::Match(wanted, left, right) => {
                    let text = self.text(left).await?;
                    truth(self.pattern(right).await?.is_match(&text) == *wanted)
                }
                Expr::And(left, right) => truth(self.eval(left).await?.holds() && self.eval(right).await?.holds()),
                Expr::Or(left, right) => truth(self.eval(left).await?.holds() || self.eval(right).await?.holds()),
                Expr::Ternary(condition, then, otherwise) => {
                    let holds = self.eval(condition).await?.holds();
                    self.eval(if holds { then } else { otherwise }).await?
                }
                Expr::In(index, array) => {
                    let key = self.key(index).await?;
                    truth(self.array(array)?.borrow().contains_key(&key))
                }
                Expr::Group(list) => match list.as_slice() {
                    [only] => self.eval(only).await?,
                    list => Value::Text(self.key(list).await?),
                },
                Expr::Getline(into, source) => self.getline(into.as_deref(), source.as_ref()).await?,
                Expr::Builtin(name, arguments) => self.builtin(name, arguments).await?,
                Expr::Call(name, arguments) => self.call(name, arguments).await?,
            })
        }
        .boxed_local()
    }

    async fn call(&mut self, name: &str, arguments: &[Expr]) -> Done<Value> {
        let Some(function) = self.functions.get(name).cloned() else {
            return Err(Flow::Fatal(format!("calling undefined function {name}")));
        };
        if arguments.len() > function.params.len() {
            return Err(Flow::Fatal(format!(
                "function {name} called with {} args, accepts only {}",
                arguments.len(),
                function.params.len()
            )));
        }
        if self.frames.len() >= CALLS_MAX {
            return Err(Flow::Fatal("function calls nested too deeply".into()));
        }
        self.process.sleep(TURN_TIME).await;
        let mut frame = Vec::new();
        for argument in arguments {
            frame.push(match argument {
                Expr::Variable(name) => match self.cell(name) {
                    Some(Cell::Array(array)) => Cell::Array(array.clone()),
                    _ => Cell::Value(self.value_of(name)?),
                },
                other => Cell::Value(self.eval(other).await?),
            });
        }
        frame.resize_with(function.params.len(), || Cell::Value(Value::Unset));
        self.frames.push(frame);
        let done = self.statement(&function.body).await;
        let frame = self.frames.pop().unwrap_or_default();
        // A variable without a value that the function used as an array is one from now on.
        for (argument, cell) in arguments.iter().zip(frame) {
            if let (Expr::Variable(name), Cell::Array(_)) = (argument, &cell)
                && let Some(outer @ Cell::Value(Value::Unset)) = self.cell(name)
            {
                *outer = cell;
            }
        }
        match done {
            Err(Flow::Return(value)) => Ok(value),
            done => done.map(|()| Value::Unset),
        }
    }
}

fn calculate(operator: char, left: f64, right: f64) -> Done<f64> {
    Ok(match operator {
        '+' => left + right,
        '-' => left - right,
        '*' => left * right,
        '/' | '%' if right == 0.0 => return Err(Flow::Fatal("division by zero".into())),
        '/' => left / right,
        '%' => left % right,
        _ => left.powf(right),
    })
}
