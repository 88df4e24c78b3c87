//! File systems in memory: trees of files, layered as images are, and mounted as pods mount them.

mod open;
mod saved;
mod tree;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use bytes::Bytes;
use machinery::Timestamp;

use crate::errno::Errno;
pub use open::OpenFile;
use tree::Change;
pub use tree::{Entry, Kind, SharedTree, Tree};

/// How many symbolic links one path may lead through: Linux' limit.
const LINKS_MAX: usize = 40;

/// What a container or a computer sees: a root file system and what is mounted over it. Cheap to clone; all clones are
/// one, but each may be somebody's ([`Fs::as_user`]).
#[derive(Clone)]
pub struct Fs {
    mounts: Rc<RefCell<Mounts>>,
    /// Who looks; none where nobody's permissions matter.
    who: Option<Rc<Who>>,
}

/// Somebody whose permissions count, and who owns what they make.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Who {
    /// User; 0 may do everything.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// More groups.
    pub groups: Vec<u32>,
}

const READ: u32 = 0o4;
const WRITE: u32 = 0o2;
const EXECUTE: u32 = 0o1;
/// What is made in a folder with this bit is of the folder's group.
const SET_GROUP: u32 = 0o2000;
/// From a folder with this bit only owners remove.
const STICKY: u32 = 0o1000;

impl Who {
    /// Whether an entry's mode allows them what the bits say.
    fn may(&self, entry: &Entry, bits: u32) -> bool {
        let shift = match entry {
            _ if self.uid == 0 => return true,
            Entry { uid, .. } if *uid == self.uid => 6,
            Entry { gid, .. } if *gid == self.gid || self.groups.contains(gid) => 3,
            _ => 0,
        };
        entry.mode >> shift & bits == bits
    }
}

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
        let mounts = Mounts { points: BTreeMap::from([("/".into(), point)]) };
        Self { mounts: Rc::new(RefCell::new(mounts)), who: None }
    }

    /// The same as somebody sees it.
    pub fn as_user(&self, who: Rc<Who>) -> Self {
        Self { mounts: self.mounts.clone(), who: Some(who) }
    }

    /// Whether they may do what the bits (4 read, 2 write, 1 execute) say.
    pub fn may(&self, entry: &Entry, bits: u32) -> bool {
        self.who.as_ref().is_none_or(|who| who.may(entry, bits))
    }

    fn check(&self, entry: &Entry, bits: u32) -> Result<(), Errno> {
        if self.may(entry, bits) { Ok(()) } else { Err(Errno::PermissionDenied) }
    }

    /// Whether they may change what a folder holds; the folder, as far as it is there.
    fn check_folder(&self, path: &str) -> Result<Option<Entry>, Errno> {
        let folder = self.entry(parent(path));
        if let Some(folder) = &folder {
            self.check(folder, WRITE | EXECUTE)?;
        }
        Ok(folder)
    }

    /// A new entry with its owner.
    fn owned(&self, folder: Option<&Entry>, mut entry: Entry) -> Entry {
        if let Some(who) = &self.who {
            (entry.uid, entry.gid) = (who.uid, who.gid);
        }
        if let Some(folder) = folder.filter(|folder| folder.mode & SET_GROUP != 0) {
            entry.gid = folder.gid;
            if entry.kind == Kind::Directory {
                entry.mode |= SET_GROUP;
            }
        }
        entry
    }

    /// Mounts a tree, or a path inside it, over an absolute path.
    pub fn mount(&self, path: &str, tree: SharedTree, sub_path: &str, read_only: bool) {
        let point = MountPoint { tree, sub_path: absolute("/", sub_path), read_only };
        self.mounts.borrow_mut().points.insert(absolute("/", path), point);
    }

    /// Mount points in order, with whether each is read-only.
    pub fn mounts(&self) -> Vec<(String, bool)> {
        self.mounts.borrow().points.iter().map(|(path, point)| (path.clone(), point.read_only)).collect()
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
        let entry = self.metadata(path)?;
        self.check(&entry, READ)?;
        entry.content()
    }

    /// A part of a file's content.
    ///
    /// # Errors
    /// When there is no such file.
    fn read_part(&self, path: &str, start: usize, max: usize) -> Result<Bytes, Errno> {
        let whole = match self.metadata(path)?.kind {
            Kind::File(data) => {
                let start = start.min(data.len());
                let end = start.saturating_add(max).min(data.len());
                return Ok(Bytes::copy_from_slice(data.get(start..end).unwrap_or_default()));
            }
            _ => self.metadata(path)?.content()?,
        };
        let start = start.min(whole.len());
        Ok(whole.slice(start..start.saturating_add(max).min(whole.len())))
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
        self.change_file(path, now, Change::Write(&data.into()))
    }

    /// Adds to a file's end, making it if it is new.
    ///
    /// # Errors
    /// As [`Fs::write`].
    pub fn append(&self, path: &str, data: &[u8], now: Timestamp) -> Result<(), Errno> {
        self.change_file(path, now, Change::Append(data))
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
        let folder = self.check_folder(&path)?;
        self.insert(&path, self.owned(folder.as_ref(), Entry::directory(now)))
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
        let folder = self.entry(&path).ok_or(Errno::NotFound)?;
        if folder.kind != Kind::Directory {
            return Err(Errno::NotADirectory);
        }
        self.check(&folder, READ)?;
        let (point, inner) = self.locate(&path);
        let mut names = point.tree.borrow().children(&inner);
        let below = if path == "/" { "/".to_owned() } else { format!("{path}/") };
        let mounts = self
            .mounts
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
        if let Some(folder) = self.check_folder(&path)?
            && folder.mode & STICKY != 0
            && self.who.as_ref().is_some_and(|who| who.uid != 0 && who.uid != entry.uid && who.uid != folder.uid)
        {
            return Err(Errno::NotPermitted);
        }
        if entry.kind == Kind::Directory && !self.list(&path)?.is_empty() {
            return Err(Errno::NotEmpty);
        }
        if self.mounts.borrow().points.contains_key(&path) {
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
        if !folder {
            self.check(&entry, READ)?;
        }
        if !(folder && self.is_dir(&target)) {
            let above = self.check_folder(&target)?;
            self.insert(&target, self.owned(above.as_ref(), Entry { modified: now, ..entry }))?;
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
        let folder = self.check_folder(&path)?;
        self.insert(&path, self.owned(folder.as_ref(), Entry::symlink(target, now)))
    }

    /// Changes an entry's mode, owner or time.
    ///
    /// # Errors
    /// When it is absent, somebody else's, or the file system is read-only. Only root gives things away.
    pub fn update(&self, path: &str, change: impl FnOnce(&mut Entry)) -> Result<(), Errno> {
        let path = self.follow(path)?;
        let mut entry = self.entry(&path).ok_or(Errno::NotFound)?;
        let before = (entry.uid, entry.gid);
        change(&mut entry);
        if let Some(who) = self.who.as_ref().filter(|who| who.uid != 0) {
            let own_group = entry.gid == before.1 || entry.gid == who.gid || who.groups.contains(&entry.gid);
            if before.0 != who.uid || entry.uid != before.0 || !own_group {
                return Err(Errno::NotPermitted);
            }
        }
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
                Some(Kind::Directory) if self.who.is_none() => {}
                Some(Kind::Directory) => match self.entry(&at) {
                    Some(folder) => self.check(&folder, EXECUTE)?,
                    None => return Err(Errno::NotFound),
                },
                Some(_) => return Err(Errno::NotADirectory),
                None => return Err(Errno::NotFound),
            }
        }
        Ok(absolute(&at, last))
    }

    fn locate(&self, path: &str) -> (MountPoint, String) {
        let mounts = self.mounts.borrow();
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
        let mut tree = point.tree.borrow_mut();
        if matches!(entry.kind, Kind::File(_)) && tree.get(&inner).is_none() && !tree.has_room(entry.size()) {
            return Err(Errno::NoSpace);
        }
        tree.insert(&inner, entry);
        Ok(())
    }

    fn change_file(&self, path: &str, now: Timestamp, change: Change<'_>) -> Result<(), Errno> {
        let path = self.follow(path)?;
        let mut new = Entry::file(Vec::new(), now);
        if self.who.is_some() {
            match self.entry(&path) {
                Some(entry) => self.check(&entry, WRITE)?,
                None => {
                    let folder = self.check_folder(&path)?;
                    new = self.owned(folder.as_ref(), new);
                }
            }
        }
        let (point, inner) = self.locate(&path);
        if point.read_only {
            return Err(Errno::ReadOnly);
        }
        point.tree.borrow_mut().change_file(&inner, now, change, new)
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
