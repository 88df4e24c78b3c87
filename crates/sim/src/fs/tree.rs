//! One tree of files, by absolute path, over an optional shared lower layer.

use std::cell::{LazyCell, RefCell};
use std::collections::BTreeMap;
use std::ops::{Bound, Deref};
use std::rc::Rc;

use bytes::Bytes;
use machinery::Timestamp;

use crate::errno::Errno;

/// A tree that several file systems may have mounted.
pub type SharedTree = Rc<RefCell<Tree>>;

/// A file, folder, link, program or device, with its attributes. Content is shared between copies.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Time of the last change.
    pub modified: Timestamp,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A folder.
    Directory,
    /// A file with its content.
    File(Rc<Vec<u8>>),
    /// A symbolic link with its target.
    Symlink(String),
    /// An executable: the name of a built-in program.
    Program(String),
    /// A device: `null`, `zero`, `full`, `urandom`, `stdin`, `stdout`, `stderr`, `tty`.
    Device(&'static str),
}

impl Entry {
    /// An empty folder, mode 0755, owned by root.
    pub fn directory(now: Timestamp) -> Self {
        Self { kind: Kind::Directory, mode: 0o755, uid: 0, gid: 0, modified: now }
    }

    /// A file, mode 0644, owned by root.
    pub fn file(data: impl Into<Vec<u8>>, now: Timestamp) -> Self {
        Self { kind: Kind::File(Rc::new(data.into())), mode: 0o644, uid: 0, gid: 0, modified: now }
    }

    /// A symbolic link.
    pub fn symlink(target: &str, now: Timestamp) -> Self {
        Self { kind: Kind::Symlink(target.into()), mode: 0o777, uid: 0, gid: 0, modified: now }
    }

    /// An executable, mode 0755.
    pub fn program(name: &str, now: Timestamp) -> Self {
        Self { kind: Kind::Program(name.into()), mode: 0o755, uid: 0, gid: 0, modified: now }
    }

    /// A device, mode 0666.
    pub fn device(name: &'static str, now: Timestamp) -> Self {
        Self { kind: Kind::Device(name), mode: 0o666, uid: 0, gid: 0, modified: now }
    }

    /// Size in bytes.
    pub fn size(&self) -> usize {
        match &self.kind {
            Kind::File(data) => data.len(),
            Kind::Symlink(target) => target.len(),
            Kind::Directory => 4096,
            Kind::Program(_) => 1_131_168,
            Kind::Device(_) => 0,
        }
    }

    /// What reading the whole gives.
    ///
    /// # Errors
    /// For folders.
    pub fn content(&self) -> Result<Bytes, Errno> {
        match &self.kind {
            Kind::File(data) => Ok(Bytes::copy_from_slice(data)),
            Kind::Directory => Err(Errno::IsADirectory),
            Kind::Program(name) => Ok(format!("\u{7f}ELF\u{2}\u{1}\u{1}\0{name}\0").into()),
            Kind::Symlink(_) | Kind::Device(_) => Ok(Bytes::new()),
        }
    }

    /// The type and permissions as `ls -l` shows them, such as `-rw-r--r--`.
    pub fn mode_text(&self) -> String {
        let kind = match self.kind {
            Kind::Directory => 'd',
            Kind::File(_) | Kind::Program(_) => '-',
            Kind::Symlink(_) => 'l',
            Kind::Device(_) => 'c',
        };
        let bits = (0..9).rev().map(|bit| match (self.mode >> bit) & 1 {
            0 => '-',
            _ => ['x', 'w', 'r'][bit % 3],
        });
        let mut text: Vec<char> = std::iter::once(kind).chain(bits).collect();
        // Set-user and set-group, and what only owners may remove from.
        for (bit, place, with, without) in [(0o4000, 3, 's', 'S'), (0o2000, 6, 's', 'S'), (0o1000, 9, 't', 'T')] {
            if self.mode & bit != 0
                && let Some(at) = text.get_mut(place)
            {
                *at = if *at == 'x' { with } else { without };
            }
        }
        text.into_iter().collect()
    }
}

/// What is done to a file.
#[derive(Clone, Copy)]
pub(super) enum Change<'a> {
    Append(&'a [u8]),
    Write(&'a [u8]),
}

/// A tree of files. What is written goes to its own layer; a lower layer, shared by many trees, shows
/// through where nothing was written or removed.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    /// By absolute path; `None` hides what is below. Boxed: a map has room for eleven, many trees have an entry.
    pub(super) own: BTreeMap<String, Option<Box<Entry>>>,
    pub(super) lower: Option<Lower>,
    /// Bytes of the files in `own`.
    pub(super) bytes: usize,
    /// Most bytes that it holds, where that is less than [`TREE_BYTES_MAX`].
    pub(super) limit: Option<usize>,
    /// How often it was changed.
    pub(super) changes: u64,
}

/// What shows through.
#[derive(Clone, Debug)]
pub(super) enum Lower {
    Shared(Rc<Tree>),
    /// Made when somebody looks.
    Later(Rc<LazyCell<Tree, Box<dyn FnOnce() -> Tree>>>),
}

impl Deref for Lower {
    type Target = Tree;

    fn deref(&self) -> &Tree {
        match self {
            Self::Shared(tree) => tree,
            Self::Later(tree) => tree,
        }
    }
}

/// Most bytes of files in one tree. A node's disk is larger; but all of it is in this program's memory.
const TREE_BYTES_MAX: usize = 256 << 20;

fn file_bytes(entry: &Option<Box<Entry>>) -> usize {
    entry.as_ref().map_or(0, |entry| match &entry.kind {
        Kind::File(data) => data.len(),
        _ => 0,
    })
}

impl Tree {
    /// An empty tree: a root folder.
    pub fn new(now: Timestamp) -> Self {
        Self { own: BTreeMap::from([("/".into(), Some(Box::new(Entry::directory(now))))]), ..Self::default() }
    }

    /// A tree over a shared layer.
    pub fn over(lower: Rc<Tree>) -> Self {
        Self { lower: Some(Lower::Shared(lower)), ..Self::default() }
    }

    /// A tree that is made when somebody looks into it, as few do with most volumes of pods; its root is known.
    pub fn later(root: Entry, make: impl FnOnce() -> Self + 'static) -> Self {
        let lower = Some(Lower::Later(Rc::new(LazyCell::new(Box::new(make)))));
        Self { own: BTreeMap::from([("/".into(), Some(Box::new(root)))]), lower, ..Self::default() }
    }

    /// The tree, to be mounted.
    pub fn share(self) -> SharedTree {
        Rc::new(RefCell::new(self))
    }

    /// What is at an absolute path; links are not followed.
    pub fn get(&self, path: &str) -> Option<Entry> {
        match self.own.get(path) {
            Some(own) => own.as_deref().cloned(),
            None => self.lower.as_ref()?.get(path),
        }
    }

    /// Puts an entry at an absolute path, with the folders on the way to it.
    pub fn insert(&mut self, path: &str, entry: Entry) {
        let mut at = path;
        while at != "/" {
            at = super::parent(at);
            if self.get(at).is_some() {
                break;
            }
            self.set(at.to_owned(), Some(Entry::directory(entry.modified)));
        }
        self.set(path.to_owned(), Some(entry));
    }

    /// Limits how many bytes of files it holds.
    pub fn set_limit(&mut self, bytes: usize) {
        self.limit = Some(bytes);
    }

    /// Whether so many more bytes have room.
    pub(super) fn has_room(&self, more: usize) -> bool {
        self.bytes.saturating_add(more) <= self.limit.unwrap_or(TREE_BYTES_MAX).min(TREE_BYTES_MAX)
    }

    pub(super) fn set(&mut self, path: String, entry: Option<Entry>) {
        self.changes += 1;
        let entry = entry.map(Box::new);
        let more = file_bytes(&entry);
        let less = self.own.insert(path, entry).map_or(0, |before| file_bytes(&before));
        self.bytes = (self.bytes + more).saturating_sub(less);
    }

    /// Takes away what is at an absolute path; what was below it goes too.
    pub fn remove(&mut self, path: &str) {
        let below = self.paths_below(path);
        for path in below.into_iter().chain([path.to_owned()]) {
            if self.lower.as_ref().is_some_and(|lower| lower.get(&path).is_some()) {
                self.set(path, None);
            } else {
                self.changes += 1;
                self.bytes = self.bytes.saturating_sub(self.own.remove(&path).map_or(0, |before| file_bytes(&before)));
            }
        }
    }

    /// Names and entries directly in a folder.
    pub fn children(&self, path: &str) -> BTreeMap<String, Entry> {
        let mut children = self.lower.as_ref().map(|lower| lower.children(path)).unwrap_or_default();
        let prefix = prefix_of(path);
        for (at, entry) in self.own.range::<str, _>((Bound::Excluded(prefix.as_str()), Bound::Unbounded)) {
            let Some(name) = at.strip_prefix(&prefix) else { break };
            if name.contains('/') {
                continue;
            }
            match entry {
                Some(entry) => children.insert(name.to_owned(), Entry::clone(entry)),
                None => children.remove(name),
            };
        }
        children
    }

    /// Bytes of all files written to this layer.
    pub fn own_bytes(&self) -> usize {
        self.bytes
    }

    /// Adds to a file, or writes it anew; makes it if it is new, as its folder is there.
    pub(super) fn change_file(
        &mut self,
        path: &str,
        now: Timestamp,
        change: Change<'_>,
        new: Entry,
    ) -> Result<(), Errno> {
        let mut entry = match self.get(path) {
            Some(entry) => entry,
            None if self.get(super::parent(path)).is_some() => new,
            None => return Err(Errno::NotFound),
        };
        let length = match change {
            Change::Append(data) => data.len(),
            Change::Write(data) => data.len().saturating_sub(entry.size()),
        };
        if length > 0 && !matches!(entry.kind, Kind::Directory | Kind::Device(_)) && !self.has_room(length) {
            return Err(Errno::NoSpace);
        }
        let apply = |file: &mut Vec<u8>| match change {
            Change::Append(data) => file.extend_from_slice(data),
            Change::Write(data) => *file = data.to_vec(),
        };
        match &mut entry.kind {
            Kind::Directory => return Err(Errno::IsADirectory),
            Kind::Device(_) => return Ok(()),
            Kind::File(data) => {
                // The tree's own copy is let go first, so that appending does not copy the file.
                if let Some(Some(own)) = self.own.get_mut(path)
                    && let Kind::File(stored) = &mut own.kind
                {
                    self.bytes = self.bytes.saturating_sub(stored.len());
                    *stored = Rc::default();
                }
                apply(Rc::make_mut(data));
            }
            kind => {
                let mut data = Vec::new();
                apply(&mut data);
                *kind = Kind::File(Rc::new(data));
            }
        }
        entry.modified = now;
        self.set(path.to_owned(), Some(entry));
        Ok(())
    }

    fn paths_below(&self, path: &str) -> Vec<String> {
        let prefix = prefix_of(path);
        let mut below = self.lower.as_ref().map(|lower| lower.paths_below(path)).unwrap_or_default();
        let own = self.own.range::<str, _>((Bound::Excluded(prefix.as_str()), Bound::Unbounded));
        below.extend(own.map(|(at, _)| at.clone()).take_while(|at| at.starts_with(&prefix)));
        below
    }
}

fn prefix_of(path: &str) -> String {
    if path == "/" { path.to_owned() } else { format!("{path}/") }
}
