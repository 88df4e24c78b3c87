//! From words to a command with its flags and arguments, with the messages of pflag and cobra.

use std::collections::BTreeMap;
use std::time::Duration;

use machinery::time;

use crate::command::{Command, Flag, FlagKind};
use crate::error::Error;

/// A command line, understood.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// The command.
    pub command: Command,
    /// What is no flag, in order.
    pub args: Vec<String>,
    /// How many of [`Self::args`] stand before `--`, if there is one.
    pub dash: Option<usize>,
    flags: Vec<Flag>,
    values: BTreeMap<&'static str, Vec<String>>,
    given: Vec<(&'static str, String)>,
}

/// Flags of `key=value`: `(command, flag)`.
const PAIRS: &[(&str, &str)] = &[("debug", "env"), ("debug", "set-image")];

impl Invocation {
    /// Finds the command and reads its flags.
    ///
    /// # Errors
    /// Unknown commands and flags, missing or malformed values.
    pub fn parse(words: &[String]) -> Result<Self, Error> {
        let (command, words) = find(words)?;
        let mut invocation = Self {
            command,
            args: Vec::new(),
            dash: None,
            flags: command.flags(),
            values: BTreeMap::new(),
            given: Vec::new(),
        };
        invocation.read(&words).map_err(|message| {
            Error::Verbatim(format!("Error: {message}\nSee '{} --help' for usage.", command.full_name()))
        })?;
        Ok(invocation)
    }

    fn read(&mut self, words: &[String]) -> Result<(), String> {
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if word == "--" {
                self.dash = Some(self.args.len());
                self.args.extend(words.cloned());
                break;
            } else if let Some(long) = word.strip_prefix("--") {
                self.read_long(long, &mut words)?;
            } else if word.len() > 1 && word.starts_with('-') {
                self.read_short(&word[1..], &mut words)?;
            } else {
                self.args.push(word.clone());
            }
        }
        Ok(())
    }

    fn read_long<'a>(&mut self, long: &str, rest: &mut impl Iterator<Item = &'a String>) -> Result<(), String> {
        let (name, value) = match long.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (long, None),
        };
        if name.is_empty() || name.starts_with('-') {
            return Err(format!("bad flag syntax: --{long}"));
        }
        let normal = name.replace('_', "-");
        let flag = self.flags.iter().find(|flag| flag.name == normal).copied();
        let flag = flag.ok_or_else(|| format!("unknown flag: --{name}"))?;
        let value = match (value, flag.bare) {
            (Some(value), _) | (None, Some(value)) => value.to_owned(),
            (None, None) => rest.next().cloned().ok_or_else(|| format!("flag needs an argument: --{name}"))?,
        };
        self.set(&flag, value)
    }

    fn read_short<'a>(&mut self, word: &str, rest: &mut impl Iterator<Item = &'a String>) -> Result<(), String> {
        for (at, letter) in word.char_indices() {
            let flag = self.flags.iter().find(|flag| flag.shorthand == Some(letter)).copied();
            let group = &word[at..];
            let flag = flag.ok_or_else(|| format!("unknown shorthand flag: '{letter}' in -{group}"))?;
            let after = &word[at + letter.len_utf8()..];
            if let Some(value) = after.strip_prefix('=').filter(|value| !value.is_empty()) {
                return self.set(&flag, value.to_owned());
            }
            if let Some(bare) = flag.bare {
                self.set(&flag, bare.to_owned())?;
                continue;
            }
            let value = if after.is_empty() { rest.next().cloned() } else { Some(after.to_owned()) };
            let value = value.ok_or_else(|| format!("flag needs an argument: '{letter}' in -{group}"))?;
            return self.set(&flag, value);
        }
        Ok(())
    }

    fn set(&mut self, flag: &Flag, value: String) -> Result<(), String> {
        let problem = match flag.kind {
            _ if flag.name == "vmodule" => {
                let is_level = |part: &str| {
                    part.is_empty() || part.split_once('=').is_some_and(|(_, level)| level.parse::<i64>().is_ok())
                };
                const SYNTAX: &str = "syntax error: expect comma-separated list of filename=N";
                (!value.split(',').all(is_level)).then(|| SYNTAX.to_owned())
            }
            // A flag of Go's own package, which says less.
            FlagKind::Duration if flag.name == "log-flush-frequency" => {
                parse_duration(&value).err().map(|_| "parse error".to_owned())
            }
            _ if flag.name == "aggregation-rule" => value
                .split(',')
                .find(|pair| !pair.contains('='))
                .map(|_| "malformed pair, expect string=string".to_owned()),
            _ if PAIRS.contains(&(self.command.path, flag.name)) => {
                let broken = split_csv(&value).into_iter().find(|pair| !pair.contains('='));
                broken.map(|pair| format!("{pair} must be formatted as key=value"))
            }
            FlagKind::Bool => {
                parse_bool(&value).is_none().then(|| format!("strconv.ParseBool: parsing {value:?}: invalid syntax"))
            }
            FlagKind::Int => {
                value.parse::<i64>().is_err().then(|| format!("strconv.ParseInt: parsing {value:?}: invalid syntax"))
            }
            FlagKind::Duration => parse_duration(&value).err(),
            _ => None,
        };
        if let Some(problem) = problem {
            let name = match flag.shorthand {
                Some(letter) => format!("-{letter}, --{}", flag.name),
                None => format!("--{}", flag.name),
            };
            return Err(format!("invalid argument {value:?} for {name:?} flag: {problem}"));
        }
        self.given.push((flag.name, value.clone()));
        let values = self.values.entry(flag.name).or_default();
        match flag.kind {
            FlagKind::List => values.extend(split_csv(&value)),
            FlagKind::Array => values.push(value),
            _ => *values = vec![value],
        }
        Ok(())
    }

    /// The flags as they were given, with their values.
    pub fn given(&self) -> &[(&'static str, String)] {
        &self.given
    }

    /// Whether the user gave the flag.
    pub fn changed(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// The flag's value or default; empty where the command has no such flag.
    pub fn string(&self, name: &str) -> &str {
        match self.values.get(name).and_then(|values| values.last()) {
            Some(value) => value,
            None => self.flags.iter().find(|flag| flag.name == name).map_or("", |flag| flag.default),
        }
    }

    /// A flag that every command has, unless this command means something else by it.
    pub fn global(&self, name: &str) -> &str {
        if self.command.has_own_flag(name) { "" } else { self.string(name) }
    }

    /// `--request-timeout`: seconds, or Go's notation; `None` for no limit.
    pub fn request_timeout(&self) -> Option<Duration> {
        let given = self.global("request-timeout");
        let limit = given.parse().map(Duration::from_secs).ok().or_else(|| parse_duration(given).ok());
        limit.filter(|limit| !limit.is_zero())
    }

    /// Whether the values of the flags that every command has make sense.
    ///
    /// # Errors
    /// kubectl's words for what does not.
    pub fn checked(&self) -> Result<(), Error> {
        let timeout = self.global("request-timeout");
        if timeout.parse::<u64>().is_err() && parse_duration(timeout).is_err() {
            return Err(Error::message(
                "Invalid timeout value. Timeout must be a single integer in seconds, or an integer followed by a \
                 corresponding time unit (e.g. 1s | 2m | 3h)",
            ));
        }
        match self.global("profile") {
            "" | "none" => Ok(()),
            known @ ("cpu" | "heap" | "goroutine" | "threadcreate" | "block" | "mutex" | "trace") => Err(
                Error::message(format!("profile '{known}' is one of Go's runtime, which this kubectl does not have")),
            ),
            other => Err(Error::message(format!("unknown profile '{other}'"))),
        }
    }

    /// A boolean flag.
    pub fn bool(&self, name: &str) -> bool {
        parse_bool(self.string(name)).unwrap_or_default()
    }

    /// A number.
    pub fn int(&self, name: &str) -> i64 {
        self.string(name).parse().unwrap_or_default()
    }

    /// A time span; negative ones count as none.
    pub fn duration(&self, name: &str) -> Duration {
        parse_duration(self.string(name)).unwrap_or_default()
    }

    /// All values of a repeatable flag.
    pub fn list(&self, name: &str) -> &[String] {
        self.values.get(name).map_or(&[], Vec::as_slice)
    }

    /// An error with a pointer to the command's help.
    pub fn usage_error(&self, message: impl std::fmt::Display) -> Error {
        Error::Verbatim(format!("error: {message}\nSee '{} -h' for help and examples", self.command.full_name()))
    }

    /// The same when the flags named are missing.
    ///
    /// # Errors
    /// Names of the flags that are required and were not given.
    pub fn require(&self, names: &[&str]) -> Result<(), Error> {
        let missing: Vec<String> =
            names.iter().filter(|name| !self.changed(name)).map(|name| format!("{name:?}")).collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(Error::message(format!("required flag(s) {} not set", missing.join(", "))))
    }
}

/// The path of the command that a line names, and its other words; `None` for a line that names none.
pub fn command_of(words: &[String]) -> Option<(&'static str, Vec<String>)> {
    find(words).ok().map(|(command, rest)| (command.path, rest))
}

/// Walks down the tree of commands, skipping flags on the way.
fn find(words: &[String]) -> Result<(Command, Vec<String>), Error> {
    let mut command = Command::root();
    let mut words = words.to_vec();
    while let Some(at) = first_argument(&command, &words) {
        let Some(next) = command.subcommand(&words[at]) else {
            if command.path.is_empty() {
                return Err(unknown_command(&command, &words[at]));
            }
            break;
        };
        words.remove(at);
        command = next;
    }
    Ok((command, words))
}

/// Where the first word is that is neither a flag nor a flag's value.
///
/// cobra looks before it knows `--help`, which therefore swallows the next word here.
fn first_argument(command: &Command, words: &[String]) -> Option<usize> {
    let mut flags = command.flags();
    flags.retain(|flag| flag.name != "help");
    let mut at = 0;
    while let Some(word) = words.get(at) {
        if word == "--" {
            return None;
        }
        let takes_next = if let Some(long) = word.strip_prefix("--") {
            !long.contains('=') && !flags.iter().any(|flag| flag.name == long && flag.bare.is_some())
        } else if let Some(short) = word.strip_prefix('-') {
            let letter = short.chars().next();
            short.chars().count() == 1 && !flags.iter().any(|flag| flag.shorthand == letter && flag.bare.is_some())
        } else if word.is_empty() {
            false
        } else {
            return Some(at);
        };
        at += 1 + usize::from(takes_next);
    }
    None
}

fn unknown_command(command: &Command, typed: &str) -> Error {
    let mut text = format!("Error: unknown command {typed:?} for {:?}", command.full_name());
    let suggestions = command.suggestions(typed);
    if !suggestions.is_empty() {
        text.push_str("\n\nDid you mean this?\n");
        for name in suggestions {
            text.push_str(&format!("\t{name}\n"));
        }
        text.push('\n');
    }
    Error::Verbatim(text)
}

fn parse_bool(value: &str) -> Option<bool> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// Reads Go's notation of time spans, `1h2m3.5s`; negative ones count as none.
///
/// # Errors
/// The message of `time.ParseDuration`.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    match text.strip_prefix('-') {
        Some(negative) => time::parse_duration(negative).map(|_| Duration::ZERO),
        None => time::parse_duration(text),
    }
}

/// Splits a value at commas that are not in double quotes.
fn split_csv(value: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    for c in value.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            _ => fields.last_mut().into_iter().for_each(|field| field.push(c)),
        }
    }
    if value.is_empty() { Vec::new() } else { fields }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Invocation, String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Invocation::parse(&words).map_err(|error| error.to_string())
    }

    #[test]
    fn reads_flags_in_all_their_forms() {
        let get = parse("-n kube-system get po -owide -l a=b,c=d --watch=false x -f a,b -f=c").unwrap();
        assert_eq!(get.command.path, "get");
        assert_eq!(get.args, ["po", "x"]);
        assert_eq!(get.string("namespace"), "kube-system");
        assert_eq!(get.string("output"), "wide");
        assert_eq!(get.string("selector"), "a=b,c=d");
        assert_eq!(get.list("filename"), ["a", "b", "c"]);
        let exec = parse("exec -it pod -- sh -c x").unwrap();
        assert!(exec.bool("stdin") && exec.bool("tty"));
        assert_eq!((exec.args.len(), exec.dash), (4, Some(1)));
        assert_eq!(parse("get --request_timeout=1s").unwrap().string("request-timeout"), "1s");
    }

    #[test]
    fn complains_as_cobra_does() {
        let error = |line| parse(line).unwrap_err();
        assert_eq!(error("get --foo"), "Error: unknown flag: --foo\nSee 'kubectl get --help' for usage.");
        assert_eq!(
            error("get pods -o"),
            "Error: flag needs an argument: 'o' in -o\nSee 'kubectl get --help' for usage."
        );
        assert_eq!(error("foo"), "Error: unknown command \"foo\" for \"kubectl\"\n\nDid you mean this?\n\ttop\n\n");
        assert_eq!(
            error("scale --replicas=x deploy/a"),
            "Error: invalid argument \"x\" for \"--replicas\" flag: strconv.ParseInt: parsing \"x\": invalid \
             syntax\nSee 'kubectl scale --help' for usage."
        );
    }
}
