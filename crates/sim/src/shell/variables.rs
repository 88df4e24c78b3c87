//! Builtins that assign: `export`, `local`, `readonly`, `set`, `read`.

use std::time::Duration;

use futures::future::{Either, select};

use super::{Flow, Shell, Variable};
use crate::programs;

pub(super) async fn declare(shell: &mut Shell, how: &str, arguments: &[String]) -> Result<i32, Flow> {
    let arguments: Vec<&String> = arguments.iter().filter(|word| !matches!(word.as_str(), "-p" | "-n")).collect();
    if arguments.is_empty() {
        let chosen = shell.vars.iter().filter(|(_, variable)| match how {
            "export" => variable.exported,
            _ => variable.read_only,
        });
        let lines: String = chosen
            .map(|(name, variable)| format!("{how} {name}={}\n", programs::escape::quote_always(&variable.value)))
            .collect();
        let _ = shell.fd(1).write_all(lines.as_bytes()).await;
        return Ok(0);
    }
    for word in arguments {
        let (name, value) = word.split_once('=').map_or((word.as_str(), None), |(name, value)| (name, Some(value)));
        let valid = name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric());
        if !valid || name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            shell.error(&format!("{how}: {name}: bad variable name")).await;
            return Ok(2);
        }
        if how == "local"
            && let Some(hidden) = shell.locals.last_mut()
        {
            hidden.entry(name.to_owned()).or_insert_with(|| shell.vars.get(name).cloned());
            if value.is_none() {
                shell.vars.insert(name.to_owned(), Variable::default());
            }
        }
        if let Some(value) = value {
            shell.set(name, value.to_owned());
        }
        let variable = shell.vars.entry(name.to_owned()).or_default();
        variable.exported |= how == "export";
        variable.read_only |= how == "readonly";
    }
    Ok(0)
}

impl Shell {
    /// Switches an option by its letter; false if there is none.
    pub(super) fn set_option(&mut self, flag: char, on: bool) -> bool {
        let option = match flag {
            'e' => &mut self.options.errexit,
            'u' => &mut self.options.nounset,
            'x' => &mut self.options.xtrace,
            'f' => &mut self.options.noglob,
            _ => return false,
        };
        *option = on;
        true
    }

    /// Switches an option by its name; false if there is none.
    pub(super) fn set_option_named(&mut self, name: &str, on: bool) -> bool {
        match name {
            "errexit" => self.set_option('e', on),
            "nounset" => self.set_option('u', on),
            "xtrace" => self.set_option('x', on),
            "noglob" => self.set_option('f', on),
            "pipefail" => {
                self.options.pipefail = on;
                true
            }
            // What they switch is the same here either way.
            "posix" | "monitor" | "emacs" | "vi" | "noclobber" | "history" | "errtrace" => true,
            _ => false,
        }
    }
}

pub(super) async fn set(shell: &mut Shell, arguments: &[String]) -> Result<i32, Flow> {
    if arguments.is_empty() {
        let lines: String = shell
            .vars
            .iter()
            .map(|(name, variable)| format!("{name}={}\n", programs::escape::quote_always(&variable.value)))
            .collect();
        let _ = shell.fd(1).write_all(lines.as_bytes()).await;
        return Ok(0);
    }
    let mut rest = arguments;
    while let Some((word, tail)) = rest.split_first() {
        if word == "--" {
            shell.params = tail.to_vec();
            return Ok(0);
        }
        let Some(flags) = word.strip_prefix(['-', '+']).filter(|flags| !flags.is_empty()) else {
            shell.params = rest.to_vec();
            return Ok(0);
        };
        let on = word.starts_with('-');
        rest = tail;
        for flag in flags.chars() {
            let known = match flag {
                'o' => {
                    let name = rest.first().cloned().unwrap_or_default();
                    rest = rest.get(1..).unwrap_or_default();
                    name.is_empty() || shell.set_option_named(&name, on)
                }
                'm' | 'h' | 'b' | 'a' | 'n' | 'v' | 'C' | 'E' | 'T' => true,
                flag => shell.set_option(flag, on),
            };
            if !known {
                shell.error(&format!("set: illegal option {word}")).await;
                return Ok(2);
            }
        }
    }
    Ok(0)
}

/// `read`: one line into variables, split at the separators.
pub(super) async fn read(shell: &mut Shell, arguments: &[String]) -> Result<i32, Flow> {
    let mut raw = false;
    let (mut array, mut end, mut most, mut limit) = (None, b'\n', usize::MAX, None);
    let mut names = Vec::new();
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "-r" => raw = true,
            "-s" | "-e" => {}
            "-rs" | "-sr" | "-er" => raw = true,
            "-a" => array = words.next().cloned(),
            "-ra" => (raw, array) = (true, words.next().cloned()),
            "-d" => end = words.next().and_then(|word| word.bytes().next()).unwrap_or(0),
            "-n" | "-N" => most = words.next().and_then(|word| word.parse().ok()).unwrap_or(usize::MAX),
            "-t" => limit = words.next().and_then(|word| word.parse::<f64>().ok()),
            "-p" | "-rp" => {
                raw |= word == "-rp";
                let prompt = words.next().cloned().unwrap_or_default();
                let _ = shell.fd(2).write_all(prompt.as_bytes()).await;
            }
            name => names.push(name.to_owned()),
        }
    }
    let stdin = shell.fd(0);
    let mut line = Vec::new();
    let limit = limit.and_then(|limit| Duration::try_from_secs_f64(limit).ok()).unwrap_or(Duration::MAX);
    let mut late = shell.machine.executor().sleep(limit);
    let ended = loop {
        if line.len() >= most {
            break false;
        }
        let byte = match select(Box::pin(stdin.read(1)), &mut late).await {
            Either::Left((Ok(part), _)) => part.first().copied(),
            Either::Left((Err(_), _)) => None,
            // What bash says when time is up: more than 128.
            Either::Right(_) => return Ok(142),
        };
        match byte {
            None => break true,
            Some(b'\n') if !raw && line.last() == Some(&b'\\') => {
                line.pop();
            }
            Some(byte) if byte == end => break false,
            Some(byte) => line.push(byte),
        }
    };
    let text = String::from_utf8_lossy(&line).into_owned();
    let text = if raw { text } else { text.replace('\\', "") };
    let separators = shell.get("IFS").unwrap_or_else(|| " \t\n".into());
    if let Some(name) = array {
        let blank = separators.chars().all(char::is_whitespace);
        let parts = text.split(|c| separators.contains(c)).filter(|part| !blank || !part.is_empty());
        shell.set_list(&name, parts.map(str::to_owned));
        return Ok(i32::from(ended));
    }
    if names.is_empty() {
        names.push("REPLY".into());
    }
    let blank = |c: char| separators.contains(c) && c.is_whitespace();
    let mut rest = text.trim_matches(blank);
    for (index, name) in names.iter().enumerate() {
        let end = rest.find(|c| separators.contains(c));
        let (value, tail) = match end {
            Some(end) if index + 1 < names.len() => {
                let (value, tail) = rest.split_at(end);
                let tail = tail.trim_start_matches(blank);
                (value, tail.strip_prefix(|c: char| separators.contains(c) && !c.is_whitespace()).unwrap_or(tail))
            }
            _ => (rest, ""),
        };
        shell.set(name, value.to_owned());
        rest = tail;
    }
    Ok(i32::from(ended))
}
