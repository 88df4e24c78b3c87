//! Command line options, as `getopt` reads them.

use std::collections::BTreeMap;

/// Options and operands of a command line.
#[derive(Clone, Debug, Default)]
pub(super) struct Options {
    values: BTreeMap<String, Vec<String>>,
    /// What is not an option, in order.
    pub(super) operands: Vec<String>,
}

impl Options {
    /// Reads arguments. `short` lists letters, a colon after those that take a value; `long` lists long
    /// names with the letter they stand for. Operands may stand among the options.
    ///
    /// # Errors
    /// `unrecognized option: x` or `option requires an argument: x`.
    pub(super) fn parse(arguments: &[String], short: &str, long: &[(&str, &str)]) -> Result<Self, String> {
        let mut options = Self::default();
        let takes_value =
            |letter: &str| short.find(letter).is_some_and(|at| short[at + letter.len()..].starts_with(':'));
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            if word == "--" {
                options.operands.extend(words.cloned());
                break;
            }
            if let Some(name) = word.strip_prefix("--") {
                let (name, value) = name.split_once('=').map_or((name, None), |(name, value)| (name, Some(value)));
                let letter = long.iter().find(|(known, _)| *known == name).map(|(_, letter)| *letter);
                let letter = letter.ok_or_else(|| format!("unrecognized option: {name}"))?;
                let value = match value {
                    Some(value) => value.to_owned(),
                    None if takes_value(letter) => {
                        words.next().cloned().ok_or_else(|| format!("option requires an argument: {name}"))?
                    }
                    None => String::new(),
                };
                options.values.entry(letter.to_owned()).or_default().push(value);
                continue;
            }
            let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) else {
                options.operands.push(word.clone());
                continue;
            };
            for (at, c) in letters.char_indices() {
                let letter = c.to_string();
                if c == ':' || !short.contains(c) {
                    return Err(format!("unrecognized option: {c}"));
                }
                if !takes_value(&letter) {
                    options.values.entry(letter).or_default().push(String::new());
                    continue;
                }
                let attached = letters.get(at + c.len_utf8()..).unwrap_or_default();
                let value = match attached {
                    "" => words.next().cloned().ok_or_else(|| format!("option requires an argument: {c}"))?,
                    attached => attached.to_owned(),
                };
                options.values.entry(letter).or_default().push(value);
                break;
            }
        }
        Ok(options)
    }

    /// Whether an option was given.
    pub(super) fn has(&self, letter: &str) -> bool {
        self.values.contains_key(letter)
    }

    /// The last value of an option.
    pub(super) fn value(&self, letter: &str) -> Option<&str> {
        self.values.get(letter).and_then(|values| values.last()).map(String::as_str)
    }

    /// All values of an option.
    pub(super) fn values(&self, letter: &str) -> &[String] {
        self.values.get(letter).map_or(&[], Vec::as_slice)
    }
}
