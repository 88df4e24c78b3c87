//! What operators, indices and slices do with values.

use super::eval::{Done, World, error};
use super::value::{LENGTH_MAX, Value};

impl World<'_> {
    pub(super) fn slice(&self, of: &Value, from: &Value, to: &Value) -> Done<Value> {
        let length = self.length(of)?;
        let bound = |value: &Value, other: usize| match value.integer() {
            Some(at) if at < 0 => length.saturating_sub(usize::try_from(at.unsigned_abs()).unwrap_or(usize::MAX)),
            Some(at) => usize::try_from(at).unwrap_or(usize::MAX).min(length),
            None => other,
        };
        let (from, to) = (bound(from, 0), bound(to, length));
        if let Value::Text(of) = of {
            return self.heap.text(of.chars().skip(from).take(to.saturating_sub(from)).collect::<String>());
        }
        let part = self.items(of)?.all().get(from..to).unwrap_or_default().to_vec();
        if let Value::Tuple(_) = of { self.heap.tuple(part) } else { self.heap.list(part) }
    }

    pub(super) fn length(&self, of: &Value) -> Done<usize> {
        match of {
            Value::Text(of) => {
                self.heap.step(of.len() / 64)?;
                Ok(of.chars().count())
            }
            Value::List(items) | Value::Tuple(items) => Ok(items.len()),
            Value::Dict(items) => Ok(items.len() / 2),
            Value::Range(range) => Ok(range.len()),
            _ => error("TypeError", format!("object of type '{}' has no len()", of.type_name())),
        }
    }

    pub(super) fn compare(&self, op: &str, left: &Value, right: &Value) -> Done<bool> {
        use std::cmp::Ordering::{Greater, Less};
        Ok(match op {
            "==" | "is" => self.heap.equals(left, right)?,
            "!=" | "is not" => !self.heap.equals(left, right)?,
            "in" | "not in" => {
                let inside = match (left, right) {
                    (Value::Text(part), Value::Text(whole)) => {
                        self.heap.step(whole.len() / 16)?;
                        whole.contains(&***part)
                    }
                    (_, Value::Known(name)) if &**name == "os.environ" => {
                        self.process.env.contains_key(&self.heap.shown(left)?)
                    }
                    (_, Value::Dict(pairs)) => self.heap.find(pairs, left)?.is_some(),
                    (_, Value::Range(range)) => left.integer().is_some_and(|number| range.has(number)),
                    _ => {
                        let mut inside = false;
                        for item in self.items(right)?.all() {
                            inside = inside || self.heap.equals(&item, left)?;
                        }
                        inside
                    }
                };
                inside == (op == "in")
            }
            _ => {
                let Some(order) = self.heap.order(op, left, right)? else { return Ok(false) };
                match op {
                    "<" => order == Less,
                    "<=" => order != Greater,
                    ">" => order == Greater,
                    _ => order != Less,
                }
            }
        })
    }

    pub(super) fn binary(&self, op: &str, left: &Value, right: &Value) -> Done<Value> {
        self.heap.step(1)?;
        let overflows = || error("OverflowError", "this stand-in for Python has numbers of 64 bits");
        match (left, op, right) {
            (Value::Text(a), "+", Value::Text(b)) => {
                let mut sum = a.to_string();
                self.heap.grow(&mut sum, b)?;
                return self.heap.text(sum);
            }
            (Value::Text(a), "*", Value::Int(n)) => {
                let times = usize::try_from(*n).unwrap_or(0);
                if a.len().saturating_mul(times) > LENGTH_MAX {
                    return error("MemoryError", "");
                }
                return self.heap.text(a.repeat(times));
            }
            (Value::Text(a), "%", b) => {
                let values = match b {
                    Value::Tuple(values) => values.all(),
                    one => vec![one.clone()],
                };
                return self.percent(a, &values);
            }
            (Value::List(a), "+", Value::List(b)) => {
                let sum = self.heap.items(a.all())?;
                sum.extend(&b.all())?;
                return Ok(Value::List(sum));
            }
            _ => {}
        }
        let wrong = || {
            let (left, right) = (left.type_name(), right.type_name());
            error("TypeError", format!("unsupported operand type(s) for {op}: '{left}' and '{right}'"))
        };
        let zero = || error("ZeroDivisionError", if op == "%" { "integer modulo by zero" } else { "division by zero" });
        if let (Some(a), Some(b)) = (left.integer(), right.integer())
            && op != "/"
        {
            if b == 0 && matches!(op, "//" | "%") {
                return zero();
            }
            let result = match op {
                "+" => a.checked_add(b),
                "-" => a.checked_sub(b),
                "*" => a.checked_mul(b),
                "//" => a.checked_div_euclid(b).map(|q| if b < 0 && a.rem_euclid(b) != 0 { q - 1 } else { q }),
                "%" => a.checked_rem(b).map(|rest| if rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest }),
                "**" if b < 0 => return Ok(Value::Float((a as f64).powf(b as f64))),
                "**" => u32::try_from(b).ok().and_then(|b| a.checked_pow(b)),
                _ => return wrong(),
            };
            return result.map_or_else(overflows, |value| Ok(Value::Int(value)));
        }
        let (Some(a), Some(b)) = (left.number(), right.number()) else { return wrong() };
        if b == 0.0 && matches!(op, "/" | "//" | "%") {
            return zero();
        }
        Ok(Value::Float(match op {
            "+" => a + b,
            "-" => a - b,
            "*" => a * b,
            "/" => a / b,
            "//" => (a / b).floor(),
            "%" => a - b * (a / b).floor(),
            _ => a.powf(b),
        }))
    }

    pub(super) fn index(&self, of: &Value, index: &Value) -> Done<Value> {
        match of {
            Value::Dict(pairs) => match self.heap.find(pairs, index)?.and_then(|at| pairs.get(at)) {
                Some(value) => Ok(value),
                None => error("KeyError", self.heap.repr(index)?),
            },
            Value::Known(name) if &**name == "os.environ" => match self.process.env.get(&self.heap.shown(index)?) {
                Some(value) => self.heap.text(value.as_str()),
                None => error("KeyError", self.heap.repr(index)?),
            },
            Value::Text(_) | Value::List(_) | Value::Tuple(_) | Value::Range(_) => {
                let at = place(index, self.length(of)?);
                let found = match (of, at) {
                    (Value::Text(of), Some(at)) => {
                        of.chars().nth(at).map(|c| self.heap.text(c.to_string())).transpose()?
                    }
                    (Value::List(items) | Value::Tuple(items), Some(at)) => items.get(at),
                    (Value::Range(range), Some(at)) => range.get(at),
                    _ => None,
                };
                match found {
                    Some(item) => Ok(item),
                    None => error("IndexError", format!("{} index out of range", of.type_name())),
                }
            }
            _ => error("TypeError", format!("'{}' object is not subscriptable", of.type_name())),
        }
    }
}

/// An index, negative ones from the end.
pub(super) fn place(index: &Value, length: usize) -> Option<usize> {
    let index = index.integer()?;
    let at = if index < 0 { i64::try_from(length).ok()?.checked_add(index)? } else { index };
    usize::try_from(at).ok()
}
