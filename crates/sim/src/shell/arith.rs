//! Arithmetic: `$((…))`.

/// How deeply an expression may be nested.
const DEPTH_MAX: usize = 60;

/// Variables of an expression: looked up and assigned.
pub(super) trait Variables {
    /// A variable's value; unset and not a number are 0.
    fn get(&self, name: &str) -> i64;
    /// Assigns.
    fn set(&mut self, name: &str, value: i64);
}

/// Evaluates an expression over 64-bit integers, which wrap around.
///
/// # Errors
/// What is wrong with it: `arithmetic syntax error`, `divide by zero`.
pub(super) fn evaluate(text: &str, variables: &mut dyn Variables) -> Result<i64, &'static str> {
    let mut evaluation = Evaluation { text: text.chars().collect(), at: 0, depth: 0, variables, live: true };
    evaluation.skip();
    if evaluation.at == evaluation.text.len() {
        return Ok(0);
    }
    let value = evaluation.comma()?;
    evaluation.skip();
    if evaluation.at < evaluation.text.len() { Err(SYNTAX) } else { Ok(value) }
}

const SYNTAX: &str = "arithmetic syntax error";

struct Evaluation<'a> {
    text: Vec<char>,
    at: usize,
    depth: usize,
    variables: &'a mut dyn Variables,
    /// False in a branch that is not taken: nothing is assigned there.
    live: bool,
}

/// Binary operators by precedence, loosest first. Longer ones come before their beginnings.
const LEVELS: [&[&str]; 8] =
    [&["||"], &["&&"], &["|"], &["^"], &["&"], &["==", "!="], &["<=", ">=", "<", ">"], &["<<", ">>"]];

impl Evaluation<'_> {
    fn skip(&mut self) {
        while self.text.get(self.at).is_some_and(|c| c.is_whitespace()) {
            self.at += 1;
        }
    }

    fn eat(&mut self, operator: &str) -> bool {
        self.skip();
        let found = operator.chars().enumerate().all(|(offset, c)| self.text.get(self.at + offset) == Some(&c));
        if found {
            self.at += operator.len();
        }
        found
    }

    fn peek(&self, offset: usize) -> Option<char> {
        self.text.get(self.at + offset).copied()
    }

    fn comma(&mut self) -> Result<i64, &'static str> {
        let mut value = self.ternary()?;
        while self.eat(",") {
            value = self.ternary()?;
        }
        Ok(value)
    }

    fn ternary(&mut self) -> Result<i64, &'static str> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(SYNTAX);
        }
        let condition = self.binary(0)?;
        let mut value = condition;
        if self.eat("?") {
            let live = self.live;
            self.live = live && condition != 0;
            let then = self.ternary()?;
            if !self.eat(":") {
                return Err(SYNTAX);
            }
            self.live = live && condition == 0;
            let otherwise = self.ternary()?;
            self.live = live;
            value = if condition != 0 { then } else { otherwise };
        }
        self.depth -= 1;
        Ok(value)
    }

    fn operator(&mut self, level: usize) -> Option<&'static str> {
        self.skip();
        let found = LEVELS.get(level)?.iter().find(|operator| {
            let here = operator.chars().enumerate().all(|(offset, c)| self.peek(offset) == Some(c));
            let next = self.peek(operator.len());
            // `&` is not `&&`, `<` is not `<<` or `<=`, and none is an assignment.
            let longer = match **operator {
                "|" => matches!(next, Some('|' | '=')),
                "&" => matches!(next, Some('&' | '=')),
                "^" | "<<" | ">>" => next == Some('='),
                "<" => matches!(next, Some('<' | '=')),
                ">" => matches!(next, Some('>' | '=')),
                _ => false,
            };
            here && !longer
        })?;
        self.at += found.len();
        Some(found)
    }

    fn binary(&mut self, level: usize) -> Result<i64, &'static str> {
        if level == LEVELS.len() {
            return self.sum();
        }
        let mut left = self.binary(level + 1)?;
        while let Some(operator) = self.operator(level) {
            let live = self.live;
            self.live = live && !(operator == "||" && left != 0 || operator == "&&" && left == 0);
            let right = self.binary(level + 1)?;
            self.live = live;
            left = match operator {
                "||" => i64::from(left != 0 || right != 0),
                "&&" => i64::from(left != 0 && right != 0),
                "|" => left | right,
                "^" => left ^ right,
                "&" => left & right,
                "==" => i64::from(left == right),
                "!=" => i64::from(left != right),
                "<=" => i64::from(left <= right),
                ">=" => i64::from(left >= right),
                "<" => i64::from(left < right),
                ">" => i64::from(left > right),
                "<<" => left.wrapping_shl(right as u32),
                _ => left.wrapping_shr(right as u32),
            };
        }
        Ok(left)
    }

    fn sum(&mut self) -> Result<i64, &'static str> {
        let mut left = self.product()?;
        loop {
            self.skip();
            let assignment = self.peek(1) == Some('=');
            left = match self.peek(0) {
                Some('+') if !assignment => {
                    self.at += 1;
                    left.wrapping_add(self.product()?)
                }
                Some('-') if !assignment => {
                    self.at += 1;
                    left.wrapping_sub(self.product()?)
                }
                _ => return Ok(left),
            };
        }
    }

    fn product(&mut self) -> Result<i64, &'static str> {
        let mut left = self.unary()?;
        loop {
            self.skip();
            let operator = match (self.peek(0), self.peek(1)) {
                (Some('*'), Some('*')) => return Ok(left),
                (Some(c @ ('*' | '/' | '%')), next) if next != Some('=') => c,
                _ => return Ok(left),
            };
            self.at += 1;
            let right = self.unary()?;
            left = match (operator, right) {
                ('*', _) => left.wrapping_mul(right),
                (_, 0) if self.live => return Err("divide by zero"),
                (_, 0) => 0,
                ('/', _) => left.wrapping_div(right),
                _ => left.wrapping_rem(right),
            };
        }
    }

    fn unary(&mut self) -> Result<i64, &'static str> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(SYNTAX);
        }
        self.skip();
        let value = match (self.peek(0), self.peek(1)) {
            (Some('+'), Some('+')) | (Some('-'), Some('-')) => {
                let step = if self.peek(0) == Some('+') { 1 } else { -1 };
                self.at += 2;
                let name = self.name().ok_or(SYNTAX)?;
                self.assign(&name, |old| Ok(old.wrapping_add(step)))
            }
            (Some('-'), _) => {
                self.at += 1;
                self.unary().map(i64::wrapping_neg)
            }
            (Some('+'), _) => {
                self.at += 1;
                self.unary()
            }
            (Some('!'), _) => {
                self.at += 1;
                self.unary().map(|value| i64::from(value == 0))
            }
            (Some('~'), _) => {
                self.at += 1;
                self.unary().map(|value| !value)
            }
            _ => {
                let base = self.primary()?;
                if self.eat("**") {
                    let exponent = self.unary()?;
                    u32::try_from(exponent)
                        .map(|exponent| base.wrapping_pow(exponent))
                        .map_err(|_| "exponent less than 0")
                } else {
                    Ok(base)
                }
            }
        }?;
        self.depth -= 1;
        Ok(value)
    }

    fn primary(&mut self) -> Result<i64, &'static str> {
        if self.eat("(") {
            let value = self.comma()?;
            return if self.eat(")") { Ok(value) } else { Err(SYNTAX) };
        }
        if self.peek(0).is_some_and(|c| c.is_ascii_digit()) {
            let mut digits = String::new();
            while let Some(c) = self.peek(0).filter(char::is_ascii_alphanumeric) {
                digits.push(c);
                self.at += 1;
            }
            let number = match (digits.strip_prefix("0x").or(digits.strip_prefix("0X")), digits.strip_prefix('0')) {
                (Some(hex), _) => i64::from_str_radix(hex, 16),
                (None, Some(octal)) if !octal.is_empty() => i64::from_str_radix(octal, 8),
                _ => digits.parse(),
            };
            return number.map_err(|_| SYNTAX);
        }
        let name = self.name().ok_or(SYNTAX)?;
        self.skip();
        for operator in ["+=", "-=", "*=", "/=", "%=", "<<=", ">>=", "&=", "|=", "^=", "="] {
            let comparison = operator == "=" && self.peek(1) == Some('=');
            if !comparison && self.eat(operator) {
                let right = self.ternary()?;
                let live = self.live;
                return self.assign(&name, |old| match operator {
                    "+=" => Ok(old.wrapping_add(right)),
                    "-=" => Ok(old.wrapping_sub(right)),
                    "*=" => Ok(old.wrapping_mul(right)),
                    "/=" | "%=" if right == 0 => {
                        if live {
                            Err("divide by zero")
                        } else {
                            Ok(0)
                        }
                    }
                    "/=" => Ok(old.wrapping_div(right)),
                    "%=" => Ok(old.wrapping_rem(right)),
                    "<<=" => Ok(old.wrapping_shl(right as u32)),
                    ">>=" => Ok(old.wrapping_shr(right as u32)),
                    "&=" => Ok(old & right),
                    "|=" => Ok(old | right),
                    "^=" => Ok(old ^ right),
                    _ => Ok(right),
                });
            }
        }
        for (operator, step) in [("++", 1), ("--", -1)] {
            if self.eat(operator) {
                let old = self.variables.get(&name);
                self.assign(&name, |old| Ok(old.wrapping_add(step)))?;
                return Ok(old);
            }
        }
        Ok(self.variables.get(&name))
    }

    fn name(&mut self) -> Option<String> {
        self.skip();
        let mut name = String::new();
        while let Some(c) = self.peek(0).filter(|c| *c == '_' || c.is_ascii_alphanumeric()) {
            name.push(c);
            self.at += 1;
        }
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        if self.peek(0) == Some('[') {
            self.at += 1;
            let index = self.comma().ok()?;
            if !self.eat("]") {
                return None;
            }
            name = format!("{name}[{index}]");
        }
        Some(name)
    }

    fn assign(&mut self, name: &str, new: impl FnOnce(i64) -> Result<i64, &'static str>) -> Result<i64, &'static str> {
        let value = new(self.variables.get(name))?;
        if self.live {
            self.variables.set(name, value);
        }
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    impl Variables for BTreeMap<String, i64> {
        fn get(&self, name: &str) -> i64 {
            BTreeMap::get(self, name).copied().unwrap_or(0)
        }
        fn set(&mut self, name: &str, value: i64) {
            self.insert(name.to_owned(), value);
        }
    }

    #[test]
    fn expressions() {
        let mut variables = BTreeMap::from([("x".to_owned(), 5)]);
        let cases = [
            ("1 + 2 * 3", 7),
            ("(1+2)*3", 9),
            ("x++ + x", 11),
            ("-x", -6),
            ("x > 3 && x < 10", 1),
            ("0x1f", 31),
            ("010", 8),
            ("x = 7", 7),
            ("x += 2", 9),
            ("x == 9 ? 1 : 0", 1),
            ("1 << 4", 16),
            ("2 ** 8", 256),
            ("x = 5, x + 1", 6),
            ("x = 9", 9),
            ("7 % 4", 3),
            ("!0", 1),
            ("", 0),
            ("1 || (y = 3)", 1),
            ("y", 0),
            ("5 - 3 - 1", 1),
            ("9223372036854775807 + 1", i64::MIN),
        ];
        for (text, value) in cases {
            assert_eq!(evaluate(text, &mut variables), Ok(value), "{text}");
        }
        assert_eq!(evaluate("1 / 0", &mut variables), Err("divide by zero"));
        for text in ["1 +", "(1", "1 2", "@", &"(".repeat(1000)] {
            assert_eq!(evaluate(text, &mut variables), Err(SYNTAX), "{text}");
        }
    }
}
