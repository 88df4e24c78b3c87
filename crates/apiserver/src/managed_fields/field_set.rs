//! Sets of fields, as structured-merge-diff has them: a tree whose steps are `f:name` (a field),
//! `k:{…}` (an item of a list, by its keys), `v:…` (an item of a set) and `.` (the node itself).

use machinery::raw;

use super::lists::key_name;

/// The node itself.
pub(super) const SELF: &str = ".";

/// A set of fields. A leaf has no children.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FieldSet(pub(super) Steps);

/// The children of a node by their steps, in order of the steps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Steps(Vec<(String, FieldSet)>);

impl Steps {
    fn place(&self, step: &str) -> Result<usize, usize> {
        match self.0.last() {
            // Most are added in order.
            Some((last, _)) if last.as_str() < step => Err(self.0.len()),
            _ => self.0.binary_search_by(|(one, _)| one.as_str().cmp(step)),
        }
    }

    pub(super) fn insert(&mut self, step: String, below: FieldSet) {
        match self.place(&step) {
            Ok(at) => {
                if let Some((_, known)) = self.0.get_mut(at) {
                    *known = below;
                }
            }
            Err(at) => self.0.insert(at, (step, below)),
        }
    }

    pub(super) fn remove(&mut self, step: &str) {
        if let Ok(at) = self.place(step) {
            self.0.remove(at);
        }
    }

    pub(super) fn get(&self, step: &str) -> Option<&FieldSet> {
        self.0.get(self.place(step).ok()?).map(|(_, below)| below)
    }

    pub(super) fn get_mut(&mut self, step: &str) -> Option<&mut FieldSet> {
        let at = self.place(step).ok()?;
        self.0.get_mut(at).map(|(_, below)| below)
    }

    pub(super) fn contains_key(&self, step: &str) -> bool {
        self.place(step).is_ok()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&String, &FieldSet)> {
        self.0.iter().map(|(step, below)| (step, below))
    }
}

impl FieldSet {
    /// Reads the text of `fieldsV1`.
    pub(crate) fn read(fields: &[u8]) -> Self {
        let mut set = Self::default();
        for (step, below) in raw::members(fields) {
            set.0.insert(raw::text(step), Self::read(below));
        }
        set
    }

    /// Writes the text of `fieldsV1`.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        for (index, (step, below)) in self.0.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            raw::push_text(out, step);
            out.push(b':');
            below.write(out);
        }
        out.push(b'}');
    }

    /// Whether a field of this set may be in a set's text, too. Where not, neither takes anything from the
    /// other.
    pub(crate) fn may_meet(&self, fields: &[u8]) -> bool {
        let mut quoted = Vec::new();
        self.0.iter().any(|(step, below)| {
            quoted.clear();
            raw::push_text(&mut quoted, step);
            let theirs = raw::members(fields).find(|(name, _)| *name == quoted).map(|(_, theirs)| theirs);
            theirs.is_some_and(|theirs| below.0.is_empty() || theirs == b"{}" || below.may_meet(theirs))
        })
    }

    /// Whether no field is in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes a field out, and what is below it.
    pub(crate) fn remove_path(&mut self, path: &[&str]) {
        let [first, rest @ ..] = path else { return };
        let step = format!("f:{first}");
        if rest.is_empty() {
            self.0.remove(&step);
        } else if let Some(child) = self.0.get_mut(&step) {
            child.remove_path(rest);
            if child.is_empty() {
                self.0.remove(&step);
            }
        }
    }

    /// Whether the node at the root of this tree is itself in the set, and not only what is below it.
    pub(super) fn has_self(&self) -> bool {
        self.0.is_empty() || self.0.contains_key(SELF)
    }

    /// A tree of which the root is in the set, or not: `None` if nothing is.
    fn with_self(mut self, itself: bool) -> Option<Self> {
        match (itself, self.0.is_empty()) {
            (true, true) => Some(self),
            (true, false) => {
                self.0.insert(SELF.into(), Self::default());
                Some(self)
            }
            (false, true) => None,
            (false, false) => Some(self),
        }
    }

    /// The nodes that are in this set and, as `others` says, in the other or not. A node says nothing of
    /// those below it.
    fn select(&self, other: &Self, others: bool) -> Self {
        let mut selected = Self::default();
        for (step, below) in self.0.iter().filter(|(step, _)| *step != SELF) {
            let node = match other.0.get(step) {
                Some(theirs) => below.select(theirs, others).with_self(below.has_self() && theirs.has_self() == others),
                None if others => None,
                None => Some(below.clone()),
            };
            if let Some(node) = node {
                selected.0.insert(step.clone(), node);
            }
        }
        selected
    }

    /// What is in this set and not in the other.
    pub(crate) fn difference(&self, other: &Self) -> Self {
        self.select(other, false)
    }

    /// What is in both sets.
    pub(crate) fn intersection(&self, other: &Self) -> Self {
        self.select(other, true)
    }

    /// The set with each field of which a part is in it: to keep the part is to keep the field.
    pub(crate) fn with_parents(&self) -> Self {
        let mut all = Self::default();
        for (step, below) in self.0.iter() {
            let mut node = below.with_parents();
            if step.starts_with("f:") && !below.0.is_empty() {
                node.0.insert(SELF.into(), Self::default());
            }
            all.0.insert(step.clone(), node);
        }
        all
    }

    /// The paths of what is in the set, as conflicts name them: `.spec.replicas`,
    /// `.spec.containers[name="web"].image`.
    pub(crate) fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        for (step, below) in self.0.iter() {
            let name = match step.split_once(':') {
                Some(("f", name)) => format!(".{name}"),
                Some(("k", keys)) => key_name(keys),
                Some((_, value)) => format!("[={value}]"),
                None => continue,
            };
            let inner = below.paths().into_iter().map(|inner| format!("{name}{inner}"));
            paths.extend(below.has_self().then(|| name.clone()).into_iter().chain(inner));
        }
        paths
    }

    /// Adds all fields of the other set.
    pub(crate) fn extend(&mut self, other: Self) {
        for (step, below) in other.0.0 {
            match self.0.get_mut(&step) {
                Some(node) => {
                    let itself = node.has_self() || below.has_self();
                    node.extend(below);
                    if itself && !node.0.is_empty() {
                        node.0.insert(SELF.into(), Self::default());
                    }
                }
                None => {
                    self.0.insert(step, below);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_node_says_nothing_of_what_is_below_it() {
        let set = |fields: Value| FieldSet::read(fields.to_string().as_bytes());
        let whole = set(json!({"f:data": {".": {}, "f:a": {}, "f:b": {}}}));
        let node = set(json!({"f:data": {}}));
        let child = set(json!({"f:data": {"f:a": {}}}));
        assert_eq!(whole.difference(&node), set(json!({"f:data": {"f:a": {}, "f:b": {}}})));
        assert_eq!(whole.difference(&child), set(json!({"f:data": {".": {}, "f:b": {}}})));
        assert_eq!(node.difference(&child), node);
        assert_eq!(child.difference(&node), child);
        assert_eq!(whole.intersection(&node), node);
        assert_eq!(whole.intersection(&child), child);
        assert!(node.intersection(&child).is_empty());
        let mut both = node.clone();
        both.extend(child.clone());
        assert_eq!(both, set(json!({"f:data": {".": {}, "f:a": {}}})));
        assert_eq!(child.with_parents(), both);
        assert_eq!(whole.paths(), [".data", ".data.a", ".data.b"]);
    }
}
