//! The variables a process is given.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

/// Variables by name. Cheap to clone: whoever changes its own gets a copy, as after a fork.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment(Rc<BTreeMap<String, String>>);

impl Environment {
    /// As `/proc/<pid>/environ` has it: each variable ends with a zero byte.
    pub fn block(&self) -> String {
        self.iter().fold(String::new(), |text, (name, value)| text + name + "=" + value + "\0")
    }
}

impl Deref for Environment {
    type Target = BTreeMap<String, String>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Environment {
    fn deref_mut(&mut self) -> &mut Self::Target {
        Rc::make_mut(&mut self.0)
    }
}

impl From<BTreeMap<String, String>> for Environment {
    fn from(variables: BTreeMap<String, String>) -> Self {
        Self(Rc::new(variables))
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        BTreeMap::from_iter(variables).into()
    }
}
