//! File systems in memory: trees of files, layered as images are, and mounted as pods mount them.

mod open;
mod tree;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use bytes::Bytes;
use machinery::Timestamp;

use crate::errno::Errno;
pub use open::OpenFile;
pub use tree::{Entry, Kind, SharedTree, Tree};

/// How many symbolic links one path may lead through: Linux' limit.
const LINKS_MAX: usize = 40;

/// What a container or a computer sees: a root file system and what is mounted over it.
#[derive(Clone)]
pub struct Fs(Rc<RefCell<Mounts>>);

struct Mounts {
    /// By mount point; `/` is always there.
    points: BTreeMap<String, MountPoint>,
}

#[derive(Clone)]
struct MountPoint {
    tree: SharedTree,
    /// The path inside the tree that appears at the mount point: absolute, `/` for all of it.
    sub_path: String,
    read_only: bool,
}

impl Fs {
    /// A file system with the given root.
    pub fn new(root: SharedTree, read_only: bool) -> Self {
        let point = MountPoint { tree: root, sub_path: "/".into(), read_only };
        Self(Rc::new(RefCell::new(Mounts { points: BTreeMap::from([("/".into(), point)]) })))
    }

    /// Mounts a tree, or a path inside it, over an absolute path.
    pub fn mount(&self, path: &str, tree: SharedTree, sub_path: &str, read_only: bool) {
        let point = MountPoint { tree, sub_path: absolute("/", sub_path), read_only };
        self.0.borrow_mut().points.insert(absolute("/", path), point);
    }

    /// Mount points in order, with whether each is read-only.
    pub fn mounts(&self) -> Vec<(String, bool)> {
        self.0.borrow().points.iter().map(|(path, point)| (path.clone(), point.read_only)).collect()
    }

    /// What is at a path, through symbolic links.
    ///
    /// # Errors
    /// When there is nothing, or the way to it is not one of folders.
    pub fn metadata(&self, path: &str) -> Result<Entry, Errno> {
        let path = self.follow(path)?;
        self.entry(&path).ok_or(Errno::NotFound)
    }

    /// What is at a path, which may itself be a symbolic link.
    ///
    /// # Errors
    /// As [`Fs::metadata`].
    pub fn symlink_metadata(&self, path: &str) -> Result<Entry, Errno> {
        let path = self.follow_parent(path)?;
        self.entry(&path).ok_or(Errno::NotFound)
    }

    /// Whether there is something at a path, through symbolic links.
    pub fn exists(&self, path: &str) -> bool {
        self.metadata(path).is_ok()
    }

    /// Whether there is a folder at a path.
    pub fn is_dir(&self, path: &str) -> bool {
        self.metadata(path).is_ok_and(|entry| entry.kind == Kind::Directory)
    }

    /// A file's content.
    ///
    /// # Errors
    /// When there is no such file.
    pub fn read(&self, path: &str) -> Result<Bytes, Errno> {
        self.metadata(path)?.content()
    }

    /// A file's content as text; what is not UTF-8 is replaced.
    ///
    /// # Errors
    /// When there is no such file.
    pub fn read_text(&self, path: &str) -> Result<String, Errno> {
        Ok(String::from_utf8_lossy(&self.read(path)?).into_owned())
    }

    /// Writes a whole file, made with mode 0644 if it is new.
    ///
    /// # Errors
    /// When the folder is missing, the path is one, or the file system is read-only.
    pub fn write(&self, path: &str, data: impl Into<Bytes>, now: Timestamp) -> Result<(), Errno> {
        self.change_file(path, now, |file| *file = data.into().to_vec())
    }

    /// Adds to a file's end, making it if it is new.
    ///
    /// # Errors
    /// As [`Fs::write`].
    pub fn append(&self, path: &str, data: &[u8], now: Timestamp) -> Result<(), Errno> {
        self.change_file(path, now, |file| file.extend_from_slice(data))
    }

    /// Opens a file.
    ///
    /// # Errors
    /// As [`Fs::read`] and [`Fs::write`].
    pub fn open(&self, path: &str, mode: open::Mode, now: Timestamp) -> Result<OpenFile, Errno> {
        OpenFile::open(self, path, mode, now)
    }

    /// Makes a folder.
    ///
    /// # Errors
    /// When something is there already, or the parent is not.
    pub fn create_dir(&self, path: &str, now: Timestamp) -> Result<(), Errno> {
        let path = self.follow_parent(path)?;
        if self.entry(&path).is_some() {
            return Err(Errno::Exists);
        }
        self.insert(&path, Entry::directory(now))
    }

    /// Makes a folder and those on the way to it.
    ///
    /// # Errors
    /// When something on the way is not a folder.
    pub fn create_dir_all(&self, path: &str, now: Timestamp) -> Result<(), Errno> {
        let path = absolute("/", path);
        let ends = path.match_indices('/').skip(1).map(|(end, _)| end).chain([path.len()]);
        for part in ends.filter_map(|end| path.get(..end)) {
            match self.create_dir(part, now) {
                Err(Errno::Exists) if self.is_dir(part) => {}
                Err(Errno::Exists) => return Err(Errno::NotADirectory),
                result => result?,
            }
        }
        Ok(())
    }

    /// Names and entries in a folder, sorted.
    ///
    /// # Errors
    /// When it is not a folder.
    pub fn list(&self, path: &str) -> Result<Vec<(String, Entry)>, Errno> {
        let path = self.follow(path)?;
        match self.entry(&path).ok_or(Errno::NotFound)?.kind {
            Kind::Directory => {}
            _ => return Err(Errno::NotADirectory),
        }
        let (point, inner) = self.locate(&path);
        let mut names = point.tree.borrow().children(&inner);
        let below = if path == "/" { "/".to_owned() } else { format!("{path}/") };
        let mounts = self
            .0
            .borrow()
            .points
            .keys()
            .filter_map(|at| at.strip_prefix(&below))
            .map(str::to_owned)
            .collect::<Vec<_>>();
        for name in mounts.iter().filter_map(|rest| rest.split('/').next()).filter(|name| !name.is_empty()) {
            if let Some(entry) = self.entry(&format!("{below}{name}")) {
                names.insert(name.to_owned(), entry);
            }
        }
        Ok(names.into_iter().collect())
    }

    /// Removes a file, link or empty folder.
    ///
    /// # Errors
    /// When it is absent, not empty, or mounted.
    pub fn remove(&self, path: &str) -> Result<(), Errno> {
        let path = self.follow_parent(path)?;
        let entry = self.entry(&path).ok_or(Errno::NotFound)?;
        if entry.kind == Kind::Directory && !self.list(&path)?.is_empty() {
            return Err(Errno::NotEmpty);
        }
        if self.0.borrow().points.contains_key(&path) {
            return Err(Errno::Busy);
        }
        let (point, inner) = self.locate(&path);
        if point.read_only {
            return Err(Errno::ReadOnly);
        }
        point.tree.borrow_mut().remove(&inner);
        Ok(())
    }

    /// Removes whatever is at a path with all below it.
    ///
    /// # Errors
    /// As [`Fs::remove`]; some may be gone then.
    pub fn remove_all(&self, path: &str) -> Result<(), Errno> {
        if self.symlink_metadata(path)?.kind == Kind::Directory {
            for (name, _) in self.list(path)? {
                self.remove_all(&format!("{path}/{name}"))?;
            }
        }
        self.remove(path)
    }

    /// Moves a file or folder, also between file systems.
    ///
    /// # Errors
    /// When the source is absent or the target cannot be written.
    pub fn rename(&self, from: &str, to: &str, now: Timestamp) -> Result<(), Errno> {
        if self.follow_parent(from)? == self.follow_parent(to)? {
            return Ok(());
        }
        self.copy_all(from, to, now)?;
        self.remove_all(from)
    }

    /// Copies a file, link or folder with all below it.
    ///
    /// # Errors
    /// When the source is absent or the target cannot be written.
    pub fn copy_all(&self, from: &str, to: &str, now: Timestamp) -> Result<(), Errno> {
        let entry = self.symlink_metadata(from)?;
        let target = self.follow_parent(to)?;
        let folder = entry.kind == Kind::Directory;
        if !(folder && self.is_dir(&target)) {
            self.insert(&target, Entry { modified: now, ..entry })?;
        }
        if folder {
            let source = self.follow(from)?;
            if target == source || target.starts_with(&format!("{source}/")) {
                return Err(Errno::Invalid);
            }
            for (name, _) in self.list(&source)? {
                self.copy_all(&format!("{source}/{name}"), &format!("{target}/{name}"), now)?;
            }
        }
        Ok(())
    }

    /// Makes a symbolic link.
    ///
    /// # Errors
    /// When something is there already.
    pub fn symlink(&self, target: &str, path: &str, now: Timestamp) -> Result<(), Errno> {
        let path = self.follow_parent(path)?;
        if self.entry(&path).is_some() {
            return Err(Errno::Exists);
        }
        self.insert(&path, Entry::symlink(target, now))
    }

    /// Changes an entry's mode, owner or time.
    ///
    /// # Errors
    /// When it is absent or the file system is read-only.
    pub fn update(&self, path: &str, change: impl FnOnce(&mut Entry)) -> Result<(), Errno> {
        let path = self.follow(path)?;
        let mut entry = self.entry(&path).ok_or(Errno::NotFound)?;
        change(&mut entry);
        self.insert(&path, entry)
    }

    /// The absolute path a path leads to through symbolic links. The last part need not exist.
    ///
    /// # Errors
    /// When something on the way is absent, or links lead in a circle.
    pub fn follow(&self, path: &str) -> Result<String, Errno> {
        let mut path = self.follow_parent(path)?;
        for _ in 0..LINKS_MAX {
            match self.entry(&path).map(|entry| entry.kind) {
                Some(Kind::Symlink(target)) => path = self.follow_parent(&absolute(parent(&path), &target))?,
                _ => return Ok(path),
            }
        }
        Err(Errno::TooManyLinks)
    }

    /// As [`Fs::follow`], but the last part is left as it is.
    fn follow_parent(&self, path: &str) -> Result<String, Errno> {
        let path = absolute("/", path);
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let Some((last, folders)) = parts.split_last() else { return Ok("/".into()) };
        let mut at = String::from("/");
        let mut links = 0;
        for folder in folders {
            at = absolute(&at, folder);
            while let Some(Kind::Symlink(target)) = self.entry(&at).map(|entry| entry.kind) {
                links += 1;
                if links > LINKS_MAX {
                    return Err(Errno::TooManyLinks);
                }
                at = self.follow_parent(&absolute(parent(&at), &target))?;
            }
            match self.entry(&at).map(|entry| entry.kind) {
                Some(Kind::Directory) => {}
                Some(_) => return Err(Errno::NotADirectory),
                None => return Err(Errno::NotFound),
            }
        }
        Ok(absolute(&at, last))
    }

    fn locate(&self, path: &str) -> (MountPoint, String) {
        let mounts = self.0.borrow();
        let mut at = path;
        loop {
            if let Some(point) = mounts.points.get(at) {
                let rest = path.get(if at == "/" { 0 } else { at.len() }..).unwrap_or_default();
                return (point.clone(), absolute(&point.sub_path, rest.trim_start_matches('/')));
            }
            at = parent(at);
        }
    }

    fn entry(&self, path: &str) -> Option<Entry> {
        let (point, inner) = self.locate(path);
        point.tree.borrow().get(&inner)
    }

    fn insert(&self, path: &str, entry: Entry) -> Result<(), Errno> {
        let (point, inner) = self.locate(path);
        if point.read_only {
            return Err(Errno::ReadOnly);
        }
        point.tree.borrow_mut().insert(&inner, entry);
        Ok(())
    }

    fn change_file(&self, path: &str, now: Timestamp, change: impl FnOnce(&mut Vec<u8>)) -> Result<(), Errno> {
        let path = self.follow(path)?;
        let (point, inner) = self.locate(&path);
        if point.read_only {
            return Err(Errno::ReadOnly);
        }
        point.tree.borrow_mut().change_file(&inner, now, change)
    }
}

/// A path as an absolute one without `.`, `..` and doubled slashes.
pub fn absolute(cwd: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let base = if path.starts_with('/') { "" } else { cwd };
    for part in base.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// The folder of an absolute path; `/` is its own.
pub fn parent(path: &str) -> &str {
    match path.rfind('/') {
        None | Some(0) => "/",
        Some(end) => path.get(..end).unwrap_or("/"),
    }
}

/// The last part of a path.
pub fn file_name(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or_default()
}

pub use open::Mode;
