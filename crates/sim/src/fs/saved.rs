//! Trees as bytes: a disk that is switched off.

use std::rc::Rc;

use machinery::Timestamp;

use super::{Entry, Kind, Tree};
use crate::saved::{put, take};

/// What is at a path, as a number.
const HIDDEN: u8 = 0;
const DIRECTORY: u8 = 1;
const FILE: u8 = 2;
const SYMLINK: u8 = 3;
const PROGRAM: u8 = 4;
const DEVICE: u8 = 5;
const DEVICES: [&str; 8] = ["null", "zero", "full", "urandom", "stdin", "stdout", "stderr", "tty"];

impl Tree {
    /// How often it was changed.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// What was written to it over its lower layer, as bytes: for each path itself, its attributes (kind, mode, user,
    /// group, and the microsecond of its last change) and its content, each with its length before it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (path, entry) in &self.own {
            let (kind, content) = match entry.as_ref().map(|entry| &entry.kind) {
                None => (HIDDEN, &b""[..]),
                Some(Kind::Directory) => (DIRECTORY, &b""[..]),
                Some(Kind::File(data)) => (FILE, data.as_slice()),
                Some(Kind::Symlink(target)) => (SYMLINK, target.as_bytes()),
                Some(Kind::Program(name)) => (PROGRAM, name.as_bytes()),
                Some(Kind::Device(name)) => (DEVICE, name.as_bytes()),
            };
            put(&mut out, path.as_bytes());
            let mut attributes = vec![kind];
            if let Some(entry) = entry {
                for number in [entry.mode, entry.uid, entry.gid] {
                    attributes.extend_from_slice(&number.to_le_bytes());
                }
                attributes.extend_from_slice(&entry.modified.as_microsecond().to_le_bytes());
            }
            put(&mut out, &attributes);
            put(&mut out, content);
        }
        out
    }

    /// Puts back what [`Tree::to_bytes`] has written, in place of what was written to it. Whether it is that; the tree
    /// stays as it was if not.
    pub fn restore(&mut self, bytes: &[u8]) -> bool {
        let mut read = Self { lower: self.lower.clone(), limit: self.limit, ..Self::default() };
        let mut rest = bytes;
        while !rest.is_empty() {
            let Some((path, entry)) = next(&mut rest) else { return false };
            read.set(path, entry);
        }
        read.changes = 0;
        *self = read;
        true
    }

    /// The same without a lower layer.
    pub fn flat(&self) -> Self {
        let mut flat = self.lower.as_ref().map(|lower| lower.flat()).unwrap_or_default();
        for (path, entry) in &self.own {
            match entry {
                Some(entry) => flat.set(path.clone(), Some(Entry::clone(entry))),
                None => flat.remove(path),
            }
        }
        flat
    }
}

fn next(rest: &mut &[u8]) -> Option<(String, Option<Entry>)> {
    let path = std::str::from_utf8(take(rest)?).ok()?.to_owned();
    let (kind, attributes) = take(rest)?.split_first()?;
    let content = take(rest)?;
    if *kind == HIDDEN {
        return Some((path, None));
    }
    let text = || std::str::from_utf8(content).ok().map(str::to_owned);
    let kind = match *kind {
        DIRECTORY => Kind::Directory,
        FILE => Kind::File(Rc::new(content.to_vec())),
        SYMLINK => Kind::Symlink(text()?),
        PROGRAM => Kind::Program(text()?),
        _ => Kind::Device(DEVICES.into_iter().find(|name| name.as_bytes() == content)?),
    };
    let (numbers, modified) = attributes.split_at_checked(12)?;
    let modified = Timestamp::from_microsecond(i64::from_le_bytes(modified.try_into().ok()?)).ok()?;
    let number = |at: usize| Some(u32::from_le_bytes(numbers.get(at..at + 4)?.try_into().ok()?));
    Some((path, Some(Entry { kind, mode: number(0)?, uid: number(4)?, gid: number(8)?, modified })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_comes_back_over_its_lower_layer() {
        let now = Timestamp::UNIX_EPOCH;
        let mut lower = Tree::new(now);
        lower.insert("/etc/gone", Entry::file("x", now));
        lower.insert("/etc/stays", Entry::file("y", now));
        let lower = Rc::new(lower);
        let mut tree = Tree::over(lower.clone());
        tree.remove("/etc/gone");
        tree.insert("/data/file", Entry { mode: 0o600, uid: 7, gid: 8, ..Entry::file([0, 255], now) });
        tree.insert("/data/link", Entry::symlink("file", now));
        tree.insert("/data/null", Entry::device("null", now));
        tree.insert("/data/ls", Entry::program("ls", now));
        let bytes = tree.to_bytes();
        let mut back = Tree::over(lower);
        assert!(back.restore(&bytes));
        for path in ["/etc/gone", "/etc/stays", "/data", "/data/file", "/data/link", "/data/null", "/data/ls"] {
            assert_eq!(back.get(path), tree.get(path), "{path}");
            assert_eq!(tree.flat().get(path), tree.get(path), "{path}");
        }
        assert_eq!(back.own_bytes(), tree.own_bytes());
        assert!(!back.restore(&bytes[..bytes.len() - 1]));
        assert!(back.get("/data/file").is_some());
    }
}
