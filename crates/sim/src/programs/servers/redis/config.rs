//! How a redis-server is set: by its configuration file, its flags and `CONFIG SET`.

use crate::process::Process;
use crate::shell::pattern::matches_text;

/// What a server is set to where nobody says otherwise: what people look at, of some 200 parameters.
const DEFAULTS: [(&str, &str); 15] = [
    ("appendonly", "no"),
    ("bind", "* -::*"),
    ("databases", "16"),
    ("dbfilename", "dump.rdb"),
    ("dir", "/data"),
    ("loglevel", "notice"),
    ("maxclients", "10000"),
    ("maxmemory", "0"),
    ("maxmemory-policy", "noeviction"),
    ("maxmemory-samples", "5"),
    ("port", "6379"),
    ("protected-mode", "no"),
    ("requirepass", ""),
    ("save", "3600 1 300 100 60 10000"),
    ("timeout", "0"),
];

const POLICIES: [&str; 8] = [
    "volatile-lru",
    "volatile-lfu",
    "volatile-random",
    "volatile-ttl",
    "allkeys-lru",
    "allkeys-lfu",
    "allkeys-random",
    "noeviction",
];

/// Parameters with their values, in order of their names.
pub(super) struct Config(Vec<(String, String)>);

impl Config {
    /// Of the file and the flags that a process is given.
    ///
    /// # Errors
    /// What the server says before it ends: of a file that cannot be read, or the line that is wrong.
    pub(super) fn read(process: &Process) -> Result<Self, String> {
        let mut config = Self(DEFAULTS.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect());
        let mut words = process.operands();
        let mut lines: Vec<String> = Vec::new();
        if let Some((path, rest)) = words.split_first().filter(|(path, _)| !path.starts_with('-')) {
            let text = process.fs().read_text(&process.path(path));
            let text = text.map_err(|error| format!("Fatal error, can't open config file '{path}': {error}\n"))?;
            lines.extend(text.lines().map(|line| line.trim().to_owned()));
            words = rest;
        }
        for word in words {
            match (word.strip_prefix("--"), lines.last_mut()) {
                (Some(name), _) => lines.push(name.to_owned()),
                (None, Some(line)) => line.push_str(&format!(" {word}")),
                (None, None) => {}
            }
        }
        for (index, line) in lines.iter().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
            let (name, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            config.set(name, value.trim().trim_matches('"')).map_err(|why| {
                let version = process.var("REDIS_VERSION");
                let at = index + 1;
                format!(
                    "\n*** FATAL CONFIG FILE ERROR (Redis {version}) ***\nReading the configuration file, at line {at}\n>>> '{line}'\n{why}\n"
                )
            })?;
        }
        Ok(config)
    }

    /// A parameter's value; empty for one that is not known.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// The parameters whose names match one of some patterns.
    pub(super) fn matching<'a>(&'a self, patterns: &'a [String]) -> impl Iterator<Item = (&'a str, &'a str)> {
        let wanted = |name: &str| patterns.iter().any(|pattern| matches_text(&pattern.to_lowercase(), name));
        self.0.iter().filter(move |(name, _)| wanted(name)).map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Sets a parameter.
    ///
    /// # Errors
    /// In the server's words, for a value that the parameter cannot have.
    pub(super) fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let name = name.to_lowercase();
        let value = match name.as_str() {
            "maxmemory" => bytes(value).ok_or("argument must be a memory value")?.to_string(),
            "maxmemory-policy" if !POLICIES.contains(&value) => {
                return Err(format!("argument(s) must be one of the following: {}", POLICIES.join(", ")));
            }
            _ => value.to_owned(),
        };
        match self.0.binary_search_by(|(known, _)| known.cmp(&name)) {
            Ok(at) => self.0.get_mut(at).into_iter().for_each(|(_, known)| known.clone_from(&value)),
            Err(at) => self.0.insert(at, (name, value)),
        }
        Ok(())
    }
}

/// `2mb`: thousands by `k`, 1,024s by `kb`.
fn bytes(text: &str) -> Option<u64> {
    let text = text.to_lowercase();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit: u64 = match text.get(digits.len()..)? {
        "" | "b" => 1,
        "k" => 1000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}
