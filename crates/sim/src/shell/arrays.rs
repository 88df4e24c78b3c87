//! Arrays, and assignments to them and to plain variables.

use super::arith;
use super::ast::{Assigned, Assignment, Subscript, Word};
use super::{Flow, Shell};

/// An array's elements: by number, in order; or by name, in the order in which they came.
#[derive(Clone, Debug, Default)]
pub(super) struct Elements {
    pub(super) named: bool,
    items: Vec<(String, String)>,
}

impl Elements {
    pub(super) fn get(&self, key: &str) -> Option<&String> {
        self.items.iter().find(|(known, _)| known == key).map(|(_, value)| value)
    }

    pub(super) fn set(&mut self, key: String, value: String) {
        if let Some((_, old)) = self.items.iter_mut().find(|(known, _)| *known == key) {
            *old = value;
            return;
        }
        let number = |key: &str| key.parse::<i64>().unwrap_or(0);
        let place = match self.named {
            true => self.items.len(),
            false => self.items.partition_point(|(known, _)| number(known) < number(&key)),
        };
        self.items.insert(place, (key, value));
    }

    fn remove(&mut self, key: &str) {
        self.items.retain(|(known, _)| known != key);
    }

    /// The number after the last.
    fn next(&self) -> i64 {
        self.items.last().and_then(|(key, _)| key.parse::<i64>().ok()).map_or(0, |last| last + 1)
    }

    pub(super) fn keys(&self) -> Vec<String> {
        self.items.iter().map(|(key, _)| key.clone()).collect()
    }

    pub(super) fn values(&self) -> Vec<String> {
        self.items.iter().map(|(_, value)| value.clone()).collect()
    }
}

impl Shell {
    /// The elements of an array; a plain variable is an array of one.
    pub(super) fn elements(&self, name: &str) -> Elements {
        match self.vars.get(name) {
            Some(variable) => match &variable.elements {
                Some(elements) => elements.clone(),
                None => Elements { named: false, items: vec![("0".into(), variable.value.clone())] },
            },
            None => Elements::default(),
        }
    }

    /// One element.
    pub(super) fn element(&self, name: &str, key: &str) -> Option<String> {
        let variable = self.vars.get(name)?;
        match &variable.elements {
            Some(elements) => elements.get(key).cloned(),
            None => (key == "0").then(|| variable.value.clone()),
        }
    }

    /// Assigns an element; what was a plain variable becomes an array.
    pub(super) fn set_element(&mut self, name: &str, key: String, value: String) {
        let elements = self.elements(name);
        let variable = self.vars.entry(name.to_owned()).or_default();
        if !variable.read_only {
            let unset = variable.elements.is_none() && variable.value.is_empty();
            let all = variable.elements.get_or_insert(if unset { Elements::default() } else { elements });
            all.set(key, value);
        }
    }

    /// Makes a variable an array.
    pub(super) fn make_array(&mut self, name: &str, named: bool) {
        let variable = self.vars.entry(name.to_owned()).or_default();
        if variable.elements.is_none() {
            variable.elements = Some(Elements { named, items: Vec::new() });
        }
    }

    /// Replaces an array by a list.
    pub(super) fn set_list(&mut self, name: &str, values: impl IntoIterator<Item = String>) {
        let items = values.into_iter().enumerate().map(|(index, value)| (index.to_string(), value)).collect();
        let variable = self.vars.entry(name.to_owned()).or_default();
        variable.elements = Some(Elements { named: false, items });
    }

    /// `unset 'name[key]'`; false if the word is no element.
    pub(super) fn unset_element(&mut self, word: &str) -> bool {
        let Some((name, rest)) = word.split_once('[') else { return false };
        let key = rest.trim_end_matches(']').trim_matches(['"', '\'']);
        if let Some(elements) = self.vars.get_mut(name).and_then(|variable| variable.elements.as_mut()) {
            elements.remove(key);
        }
        true
    }

    /// What an index means for an array: a name, or a number that may count from the end.
    pub(super) async fn key(&mut self, name: &str, index: &Word) -> Result<String, Flow> {
        let text = self.expand_one(index).await?;
        let elements = self.vars.get(name).and_then(|variable| variable.elements.as_ref());
        if elements.is_some_and(|elements| elements.named) {
            return Ok(text);
        }
        let next = elements.map_or(1, Elements::next);
        match arith::evaluate(&text, self) {
            Ok(number) if number < 0 => Ok((next + number).to_string()),
            Ok(number) => Ok(number.to_string()),
            Err(message) => Err(self.fatal(message).await),
        }
    }

    /// The values that `${name[…]}` lists; none where it is one value.
    pub(super) fn listed(&self, name: &str, index: Option<&Subscript>) -> Option<Vec<String>> {
        match (name, index) {
            ("@" | "*", None) => Some(self.params.clone()),
            (name, Some(Subscript::All(_))) => Some(self.elements(name).values()),
            _ => None,
        }
    }

    /// Carries an assignment out.
    pub(super) async fn assign(&mut self, assignment: &Assignment) -> Result<(), Flow> {
        let name = &assignment.name;
        if self.vars.get(name).is_some_and(|variable| variable.read_only) {
            return Err(self.fatal(&format!("{name}: is read only")).await);
        }
        match (&assignment.value, &assignment.index) {
            (Assigned::One(word), None) => {
                let value = self.expand_one(word).await?;
                let before = if assignment.append { self.get(name).unwrap_or_default() } else { String::new() };
                self.set(name, before + &value);
            }
            (Assigned::One(word), Some(index)) => {
                let key = self.key(name, index).await?;
                let value = self.expand_one(word).await?;
                let before = if assignment.append { self.element(name, &key) } else { None };
                self.set_element(name, key, before.unwrap_or_default() + &value);
            }
            (Assigned::Many(items), _) => {
                let named =
                    self.vars.get(name).and_then(|variable| variable.elements.as_ref()).is_some_and(|all| all.named);
                let mut all = match assignment.append {
                    true if self.vars.contains_key(name) => self.elements(name),
                    _ => Elements { named, items: Vec::new() },
                };
                for (index, word) in items {
                    match index {
                        Some(index) => {
                            let key = self.key(name, index).await?;
                            let value = self.expand_one(word).await?;
                            all.set(key, value);
                        }
                        None => {
                            for value in self.expand(std::slice::from_ref(word)).await? {
                                let key = all.next().to_string();
                                all.set(key, value);
                            }
                        }
                    }
                }
                let variable = self.vars.entry(name.clone()).or_default();
                variable.elements = Some(all);
            }
        }
        Ok(())
    }
}
