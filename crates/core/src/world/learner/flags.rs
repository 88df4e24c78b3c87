//! Command lines of kind, minikube and docker: words, and flags as Go's pflag reads them.

/// A command line, split.
#[derive(Debug, Default)]
pub struct Flags {
    /// What is no flag, in order.
    pub words: Vec<String>,
    given: Vec<(&'static str, String)>,
}

/// A flag: its long name, its letter (a space for none), and whether it takes a value.
pub type Known = (&'static str, char, bool);

impl Flags {
    /// Splits a command line. With `first_only`, flags end at the first word, as for what is to be run in a
    /// container.
    ///
    /// # Errors
    /// pflag's words for what is wrong.
    pub fn parse(arguments: &[String], known: &[Known], words_before: usize) -> Result<Self, String> {
        let mut flags = Self::default();
        let mut rest = arguments.iter();
        while let Some(word) = rest.next() {
            if flags.words.len() >= words_before {
                flags.words.push(word.clone());
                continue;
            }
            if word == "--" {
                flags.words.extend(rest.cloned());
                break;
            }
            if let Some(long) = word.strip_prefix("--") {
                let (name, value) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
                let (name, _, takes) =
                    known.iter().find(|(known, ..)| *known == name).ok_or_else(|| format!("unknown flag: --{name}"))?;
                let value = match value {
                    Some(value) => value.to_owned(),
                    None if *takes => {
                        rest.next().cloned().ok_or_else(|| format!("flag needs an argument: --{name}"))?
                    }
                    None => "true".to_owned(),
                };
                flags.given.push((name, value));
                continue;
            }
            let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) else {
                flags.words.push(word.clone());
                continue;
            };
            for (at, letter) in letters.char_indices() {
                let unknown = || format!("unknown shorthand flag: '{letter}' in -{letters}");
                let (name, _, takes) = known.iter().find(|(_, known, _)| *known == letter).ok_or_else(unknown)?;
                if !takes {
                    flags.given.push((name, "true".to_owned()));
                    continue;
                }
                let attached = letters.get(at + letter.len_utf8()..).unwrap_or_default().trim_start_matches('=');
                let value = match attached {
                    "" => rest
                        .next()
                        .cloned()
                        .ok_or_else(|| format!("flag needs an argument: '{letter}' in -{letters}"))?,
                    attached => attached.to_owned(),
                };
                flags.given.push((name, value));
                break;
            }
        }
        Ok(flags)
    }

    /// The last value of a flag.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.given.iter().rev().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// All values of a flag.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.given.iter().filter(move |(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// Whether a switch is on.
    pub fn is_on(&self, name: &str) -> bool {
        self.value(name).is_some_and(|value| value != "false")
    }

    /// A word by its place; empty if there is none.
    pub fn word(&self, index: usize) -> &str {
        self.words.get(index).map_or("", String::as_str)
    }
}
