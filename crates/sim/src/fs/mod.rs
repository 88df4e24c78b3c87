//! File systems in memory: trees of files, layered as images are, and mounted as pods mount them.

mod open;
mod saved;
mod tree;

use std::borrow::Cow;
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
/// How long a path may be: Linux' limit.
const PATH_BYTES_MAX: usize = 4096;
/// How deep folders may lie. Linux has no limit but the path's; what walks them here goes as deep in the stack.
const PATH_DEPTH_MAX: usize = 200;

/// What a container or a computer sees: a root file system and what is mounted over it. Cheap to clone; all clones are
/// one, but each may be somebody's ([`Fs::as_user`]).
#[derive(Clone)]
pub struct Fs {
    mounts: Rc<RefCell<Mounts>>,
    /// Who looks; none where nobody's permissions matter.
    who: Option<Rc<Who>>,
    /// The process that looks, as `/proc/self` shows it; 0 for none.
    pid: u32,
}

/// What the kernel shows below `/proc`.
pub trait Proc {
    /// What is at a path below `/proc`, without that and a slash, as a process sees it.
    fn entry(&self, path: &str, pid: u32) -> Option<Entry>;
    /// What is in a folder there.
    fn children(&self, path: &str, pid: u32) -> Vec<(String, Entry)>;
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
    /// Whether a profile forbids them to write, whatever modes say.
    pub reads_only: bool,
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
        if self.reads_only && bits & WRITE != 0 {
            return false;
        }
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
    /// By mount point; `/` is always there. Boxed: a map has room for eleven.
    points: BTreeMap<String, Box<MountPoint>>,
    proc: Option<Rc<dyn Proc>>,
}

/// A mount point as `mount` and `df` show it.
pub struct Mounted {
    /// Where.
    pub path: String,
    /// Whether nothing may be written.
    pub read_only: bool,
    /// The device: `overlay`, `tmpfs` or a disk.
    pub device: &'static str,
}

/// The root of a container.
pub const OVERLAY: &str = "overlay";
/// What is in memory.
pub const TMPFS: &str = "tmpfs";
/// The device of huge pages.
pub const HUGE_PAGES: &str = "hugetlbfs";
/// A node's disk.
pub const DISK: &str = "/dev/vda1";

#[derive(Clone)]
struct MountPoint {
    tree: SharedTree,
    /// The path inside the tree that appears at the mount point: absolute, `/` for all of it.
    sub_path: Rc<str>,
    read_only: bool,
    device: &'static str,
}

impl MountPoint {
    /// Where what is at a path below the mount point is in its tree.
    fn inner<'a>(&self, at: &str, path: &'a str) -> Cow<'a, str> {
        let rest = if at == "/" { path } else { path.get(at.len()..).unwrap_or_default() };
        match (&*self.sub_path, rest) {
            ("/", "") => Cow::Borrowed("/"),
            ("/", rest) => plain(rest),
            (sub_path, rest) => Cow::Owned(absolute(sub_path, rest.trim_start_matches('/'))),
        }
    }
}

impl Fs {
    /// A file system with the given root.
    pub fn new(root: SharedTree, read_only: bool) -> Self {
        let point = MountPoint { tree: root, sub_path: "/".into(), read_only, device: OVERLAY };
        let mounts = Mounts { points: BTreeMap::from([("/".into(), Box::new(point))]), proc: None };
        Self { mounts: Rc::new(RefCell::new(mounts)), who: None, pid: 0 }
    }

    /// Shows processes below `/proc`.
    pub fn set_proc(&self, proc: Rc<dyn Proc>) {
        self.mounts.borrow_mut().proc = Some(proc);
    }

    /// The same as a process sees it.
    pub fn of_process(mut self, pid: u32) -> Self {
        self.pid = pid;
        self
    }

    /// What is seen from a folder on, as `chroot` has it.
    ///
    /// # Errors
    /// When there is no such folder.
    pub fn rooted(&self, path: &str) -> Result<Self, Errno> {
        let root = self.follow(path)?;
        if !self.is_dir(&root) {
            return Err(Errno::NotADirectory);
        }
        let (mut point, sub_path) = self.locate(&root);
        point.sub_path = sub_path.into();
        let below = format!("{}/", root.trim_end_matches('/'));
        let mounts = self.mounts.borrow();
        let inside = mounts
            .points
            .iter()
            .filter_map(|(at, point)| Some((format!("/{}", at.strip_prefix(&below)?), point.clone())));
        let mut points: BTreeMap<String, Box<MountPoint>> = inside.collect();
        points.insert("/".into(), Box::new(point));
        let mounts = Rc::new(RefCell::new(Mounts { points, proc: None }));
        Ok(Self { mounts, who: self.who.clone(), pid: self.pid })
    }

    /// Whether something could be made in a folder.
    ///
    /// # Errors
    /// Why it could not.
    pub fn writable(&self, path: &str) -> Result<(), Errno> {
        let path = self.follow(path)?;
        let entry = self.entry(&path).ok_or(Errno::NotFound)?;
        if self.locate(&path).0.read_only {
            return Err(Errno::ReadOnly);
        }
        self.check(&entry, WRITE | EXECUTE)
    }

    /// The same as somebody sees it.
    pub fn as_user(&self, who: Rc<Who>) -> Self {
        Self { mounts: self.mounts.clone(), who: Some(who), pid: self.pid }
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
        self.mount_from(TMPFS, path, tree, sub_path, read_only);
    }

    /// The same, of a device.
    pub fn mount_from(&self, device: &'static str, path: &str, tree: SharedTree, sub_path: &str, read_only: bool) {
        let point = MountPoint { tree, sub_path: plain(sub_path).into(), read_only, device };
        self.mounts.borrow_mut().points.insert(absolute("/", path), Box::new(point));
    }

    /// Mount points in order.
    pub fn mounts(&self) -> Vec<Mounted> {
        let mounts = self.mounts.borrow();
        let shown = mounts.points.iter().map(|(path, point)| Mounted {
            path: path.clone(),
            read_only: point.read_only,
            device: point.device,
        });
        shown.collect()
    }

    fn proc(&self) -> Option<Rc<dyn Proc>> {
        self.mounts.borrow().proc.clone()
    }

    /// What is at a path, through symbolic links.
    ///
    /// # Errors
    /// When there is nothing, or the way to it is not one of folders.
    pub fn metadata(&self, path: &str) -> Result<Entry, Errno> {
        self.follow_whole(path)?.1.ok_or(Errno::NotFound)
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

    /// Whether there is a file that may be read, and this is its content.
    pub fn is_text(&self, path: &str, text: &str) -> bool {
        self.metadata(path).is_ok_and(|entry| match &entry.kind {
            Kind::File(data) => self.may(&entry, READ) && data.as_slice() == text.as_bytes(),
            _ => false,
        })
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
        let path = plain(path);
        let ends = path.match_indices('/').skip(1).map(|(end, _)| end).chain([path.len()]);
        let parts: Vec<&str> = ends.filter_map(|end| path.get(..end)).collect();
        let there = parts.iter().rposition(|part| self.is_dir(part));
        for part in parts.iter().skip(there.map_or(0, |at| at + 1)) {
            match self.create_dir(part, now) {
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
        if let (Some(inner), Some(proc)) = (below.strip_prefix("/proc/"), self.proc()) {
            names.extend(proc.children(inner.trim_end_matches('/'), self.pid));
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
        Ok(self.follow_whole(path)?.0)
    }

    /// The same, and what is there.
    fn follow_whole(&self, path: &str) -> Result<(String, Option<Entry>), Errno> {
        let mut links = 0;
        let path = self.follow_folders(path, &mut links)?;
        self.follow_to(path, &mut links)
    }

    /// As [`Fs::follow`], but the last part is left as it is.
    fn follow_parent(&self, path: &str) -> Result<String, Errno> {
        self.follow_folders(path, &mut 0)
    }

    /// Where a path leads while a link is there, and what is there then. `links` counts those on the whole way.
    fn follow_to(&self, mut path: String, links: &mut usize) -> Result<(String, Option<Entry>), Errno> {
        loop {
            let entry = self.entry(&path);
            let Some(Entry { kind: Kind::Symlink(target), .. }) = &entry else { return Ok((path, entry)) };
            *links += 1;
            if *links > LINKS_MAX {
                return Err(Errno::TooManyLinks);
            }
            path = self.follow_folders(&absolute(parent(&path), target), links)?;
        }
    }

    fn follow_folders(&self, path: &str, links: &mut usize) -> Result<String, Errno> {
        let path = plain(path);
        let (folders, last) = path.rsplit_once('/').unwrap_or(("", &path));
        if path.len() > PATH_BYTES_MAX || folders.matches('/').count() >= PATH_DEPTH_MAX {
            return Err(Errno::NameTooLong);
        }
        let mut at = String::with_capacity(path.len());
        for folder in folders.split('/').skip(1) {
            at.push('/');
            at.push_str(folder);
            let (way, entry) = self.follow_to(at, links)?;
            match entry {
                Some(entry) if entry.kind == Kind::Directory => self.check(&entry, EXECUTE)?,
                Some(_) => return Err(Errno::NotADirectory),
                None => return Err(Errno::NotFound),
            }
            at = way;
            if at == "/" {
                at.clear();
            }
        }
        at.push('/');
        at.push_str(last);
        Ok(at)
    }

    /// The mount that a path is in, and its place there.
    fn locate<'a>(&self, path: &'a str) -> (MountPoint, Cow<'a, str>) {
        self.in_mount(path, |point, inner| (point.clone(), inner))
    }

    fn in_mount<'a, T>(&self, path: &'a str, look: impl FnOnce(&MountPoint, Cow<'a, str>) -> T) -> T {
        let mounts = self.mounts.borrow();
        let mut at = path;
        loop {
            if let Some(point) = mounts.points.get(at) {
                return look(point, point.inner(at, path));
            }
            at = parent(at);
        }
    }

    /// What is at a path without links on the way to it.
    pub(crate) fn entry(&self, path: &str) -> Option<Entry> {
        if let Some(inner) = path.strip_prefix("/proc/")
            && let Some(proc) = self.proc()
        {
            return proc.entry(inner, self.pid);
        }
        self.in_mount(path, |point, inner| point.tree.borrow().get(&inner))
    }

    fn insert(&self, path: &str, entry: Entry) -> Result<(), Errno> {
        let (point, inner) = self.locate(path);
        if point.read_only || path.starts_with("/proc/") && self.proc().is_some() {
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
        if point.read_only || path.starts_with("/proc/") && self.proc().is_some() {
            return Err(Errno::ReadOnly);
        }
        point.tree.borrow_mut().change_file(&inner, now, change, new)
    }
}

/// A path from the root, as [`absolute`] gives it; most are so already.
fn plain(path: &str) -> Cow<'_, str> {
    if is_plain(path) { Cow::Borrowed(path) } else { Cow::Owned(absolute("/", path)) }
}

/// Whether a path is as [`absolute`] gives it.
fn is_plain(path: &str) -> bool {
    let Some(parts) = path.strip_prefix('/') else { return false };
    // How many dots a part has begun with, as long as it is nothing else.
    let mut dots = Some(0);
    path == "/"
        || parts.bytes().chain([b'/']).all(|byte| {
            let is_name = byte != b'/' || !matches!(dots, Some(0..=2));
            dots = match (byte, dots) {
                (b'/', _) => Some(0),
                (b'.', Some(dots)) => Some(dots + 1),
                _ => None,
            };
            is_name
        })
}

/// A path as an absolute one without `.`, `..` and doubled slashes.
pub fn absolute(cwd: &str, path: &str) -> String {
    if is_plain(path) {
        return path.to_owned();
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_paths_are_what_they_are_made_to_be() {
        for path in [
            "/",
            "/a",
            "/a/b.c",
            "/..a",
            "/a/...",
            "/.a/..b/c.",
            "",
            "a",
            "/a/",
            "//",
            "//a",
            "/a//b",
            "/.",
            "/..",
            "/a/.",
            "/a/..",
            "/a/./b",
            "/a/../b",
            "./a",
            "..",
        ] {
            let made = absolute("/", path);
            assert_eq!(is_plain(path), made == path, "{path}");
            assert_eq!(plain(path), made);
            assert!(is_plain(&made), "{made}");
        }
    }
}
