//! `test` and `[`.

use crate::fs::Kind;
use crate::process::Process;

/// `test` and `[`.
pub(super) async fn test(process: Process) -> i32 {
    let mut words: Vec<&str> = process.operands().iter().map(String::as_str).collect();
    if process.name() == "[" && words.pop() != Some("]") {
        return process.fail(2, "missing ]").await;
    }
    match (Test { process: &process, words: &words, at: 0 }).whole() {
        Ok(holds) => i32::from(!holds),
        Err(message) => process.fail(2, message).await,
    }
}

struct Test<'a> {
    process: &'a Process,
    words: &'a [&'a str],
    at: usize,
}

impl Test<'_> {
    fn whole(&mut self) -> Result<bool, String> {
        if self.words.is_empty() {
            return Ok(false);
        }
        let holds = self.or(0)?;
        match self.words.get(self.at) {
            None => Ok(holds),
            Some(word) => Err(format!("{word}: unknown operand")),
        }
    }

    fn eat(&mut self, word: &str) -> bool {
        let found = self.words.get(self.at) == Some(&word);
        self.at += usize::from(found);
        found
    }

    fn or(&mut self, depth: usize) -> Result<bool, String> {
        let mut holds = self.and(depth)?;
        while self.eat("-o") {
            holds |= self.and(depth)?;
        }
        Ok(holds)
    }

    fn and(&mut self, depth: usize) -> Result<bool, String> {
        let mut holds = self.primary(depth)?;
        while self.eat("-a") {
            holds &= self.primary(depth)?;
        }
        Ok(holds)
    }

    fn primary(&mut self, depth: usize) -> Result<bool, String> {
        const DEPTH_MAX: usize = 50;
        const BINARY: [&str; 13] = ["=", "==", "!=", "<", ">", "-eq", "-ne", "-lt", "-le", "-gt", "-ge", "-nt", "-ot"];
        let rest = self.words.get(self.at..).unwrap_or_default();
        if depth > DEPTH_MAX {
            return Err("too many nested conditions".into());
        }
        match rest {
            [left, operator, right, ..] if BINARY.contains(operator) => {
                self.at += 3;
                self.binary(left, operator, right)
            }
            ["!", _, ..] => {
                self.at += 1;
                self.primary(depth + 1).map(|holds| !holds)
            }
            ["(", _, ..] => {
                self.at += 1;
                let holds = self.or(depth + 1)?;
                if self.eat(")") { Ok(holds) } else { Err("closing paren expected".into()) }
            }
            [operator, operand, ..]
                if operator.len() == 2 && operator.starts_with('-') && *operand != "-a" && *operand != "-o" =>
            {
                self.at += 2;
                self.unary(operator, operand)
            }
            [word, ..] => {
                self.at += 1;
                Ok(!word.is_empty())
            }
            [] => Err("argument expected".into()),
        }
    }

    fn unary(&self, operator: &str, operand: &str) -> Result<bool, String> {
        unary(self.process, operator, operand)
    }

    fn binary(&self, left: &str, operator: &str, right: &str) -> Result<bool, String> {
        binary(self.process, left, operator, right)
    }
}

/// Whether `operator operand` holds, such as `-f path`.
///
/// # Errors
/// For what is no operator.
pub(crate) fn unary(process: &Process, operator: &str, operand: &str) -> Result<bool, String> {
    let fs = process.fs();
    let path = process.path(operand);
    let entry = || fs.metadata(&path).ok();
    Ok(match operator {
        "-n" => !operand.is_empty(),
        "-z" => operand.is_empty(),
        "-e" | "-a" => !operand.is_empty() && entry().is_some(),
        "-f" => entry().is_some_and(|entry| matches!(entry.kind, Kind::File(_) | Kind::Program(_))),
        "-d" => entry().is_some_and(|entry| entry.kind == Kind::Directory),
        "-L" | "-h" => fs.symlink_metadata(&path).is_ok_and(|entry| matches!(entry.kind, Kind::Symlink(_))),
        "-s" => entry().is_some_and(|entry| entry.size() > 0),
        "-r" => entry().is_some_and(|entry| fs.may(&entry, 0o4)),
        "-w" => entry().is_some_and(|entry| fs.may(&entry, 0o2)),
        "-x" => entry().is_some_and(|entry| entry.mode & 0o111 != 0 && fs.may(&entry, 0o1)),
        "-c" => entry().is_some_and(|entry| matches!(entry.kind, Kind::Device(_))),
        "-b" | "-p" | "-S" => false,
        "-t" => operand.parse().is_ok_and(|number| process.fd(number).tty().is_some()),
        other => return Err(format!("{other}: unknown operand")),
    })
}

/// Whether `left operator right` holds, such as `1 -lt 2`.
///
/// # Errors
/// For what is no number.
pub(crate) fn binary(process: &Process, left: &str, operator: &str, right: &str) -> Result<bool, String> {
    let number = |text: &str| text.trim().parse::<i64>().map_err(|_| format!("{text}: bad number"));
    Ok(match operator {
        "=" | "==" => left == right,
        "!=" => left != right,
        "<" => left < right,
        ">" => left > right,
        "-eq" => number(left)? == number(right)?,
        "-ne" => number(left)? != number(right)?,
        "-lt" => number(left)? < number(right)?,
        "-le" => number(left)? <= number(right)?,
        "-gt" => number(left)? > number(right)?,
        "-ge" => number(left)? >= number(right)?,
        _ => {
            let modified = |path: &str| process.fs().metadata(&process.path(path)).ok().map(|e| e.modified);
            if operator == "-ot" { modified(left) < modified(right) } else { modified(left) > modified(right) }
        }
    })
}
