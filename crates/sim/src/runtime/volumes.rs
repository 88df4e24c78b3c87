//! Volumes of pods.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use kubelet::runtime::{ErrorCode, Medium, RuntimeError, StorageUse, Volume, VolumeFile, VolumeKind, set_up_failed};
use machinery::Timestamp;

use crate::fs::{Entry, Fs, Kind, SharedTree, Tree};
use crate::saved::{Saved, Saver};

/// The volumes of a node's pods, by pod uid and volume name.
#[derive(Default)]
pub(super) struct Volumes(RefCell<BTreeMap<String, BTreeMap<String, Box<Mounted>>>>);

/// A tree, and the path in it that is the volume.
#[derive(Clone)]
struct Mounted {
    tree: SharedTree,
    files: Option<Rc<BTreeMap<String, VolumeFile>>>,
    /// The volume's place in the tree: empty for all of it.
    root: String,
    /// `fsGroup`, once a container has it.
    group: Option<u32>,
    /// What it is made of: without power, what is not on disk is gone.
    medium: Medium,
}

impl Mounted {
    /// A tree of the pod's own.
    fn own_tree(tree: Tree, medium: Medium) -> Box<Self> {
        Box::new(Self { tree: tree.share(), files: None, root: String::new(), group: None, medium })
    }

    /// Whether it is an emptyDir.
    fn is_empty_dir(&self) -> bool {
        self.files.is_none() && self.root.is_empty()
    }
}

impl Mounted {
    /// Lets its group read, and write where anybody may, what is in it.
    fn own(&self) {
        let Some(group) = self.group else { return };
        let (folder, file) = if self.files.is_some() { (0o2550, 0o440) } else { (0o2770, 0o660) };
        let mut tree = self.tree.borrow_mut();
        let mut paths = vec!["/".to_owned()];
        while let Some(path) = paths.pop() {
            let Some(mut entry) = tree.get(&path) else { continue };
            if entry.kind == Kind::Directory {
                let below = if path == "/" { "" } else { path.as_str() };
                paths.extend(tree.children(&path).into_keys().map(|name| format!("{below}/{name}")));
            }
            entry.gid = group;
            entry.mode |= match entry.kind {
                Kind::Directory => folder,
                Kind::Symlink(_) => 0,
                _ => file,
            };
            tree.insert(&path, entry);
        }
    }
}

impl Volumes {
    /// The tree that a path of a volume is in, and its place there. A path inside a volume of files is what it leads
    /// to now: it does not follow when the files change.
    pub(super) fn get(
        &self,
        pod_uid: &str,
        name: &str,
        sub_path: &str,
        now: Timestamp,
    ) -> Option<(SharedTree, String)> {
        let all = self.0.borrow();
        let mounted = all.get(pod_uid)?.get(name)?;
        if mounted.files.is_none() || sub_path.is_empty() {
            return Some((mounted.tree.clone(), format!("{}/{sub_path}", mounted.root)));
        }
        const COPY: &str = "/..copy";
        let copy = Tree::new(now).share();
        let fs = Fs::new(mounted.tree.clone(), false);
        fs.mount(COPY, copy.clone(), "/", false);
        let inner = fs.follow(&format!("/{sub_path}")).ok()?;
        // A key that is not there is an empty folder, as the runtime makes it.
        let _ = fs.copy_all(&inner, &format!("{COPY}/it"), now);
        Some((copy, "/it".into()))
    }

    /// Whether a pod has a volume.
    pub(super) fn has(&self, pod_uid: &str, name: &str) -> bool {
        self.0.borrow().get(pod_uid).is_some_and(|pod| pod.contains_key(name))
    }

    /// Makes volumes, or brings their files up to date.
    pub(super) fn set_up(
        &self,
        pod_uid: &str,
        volumes: &[Volume],
        host: &SharedTree,
        image: &dyn Fn(&str) -> Result<Rc<Tree>, RuntimeError>,
        now: Timestamp,
    ) -> Result<(), RuntimeError> {
        let mut all = self.0.borrow_mut();
        let pod = all.entry(pod_uid.to_owned()).or_default();
        for volume in volumes {
            match &volume.kind {
                VolumeKind::EmptyDir { medium, size_limit } => {
                    pod.entry(volume.name.clone()).or_insert_with(|| {
                        let mut tree = Tree::new(now);
                        // Memory is a file system of its own, of that size; on disk, the kubelet looks now and then.
                        if let Some(limit) = size_limit.filter(|_| *medium != Medium::Disk) {
                            tree.set_limit(usize::try_from(limit).unwrap_or(usize::MAX));
                        }
                        tree.insert("/", Entry { mode: 0o777, ..Entry::directory(now) });
                        Mounted::own_tree(tree, *medium)
                    });
                }
                VolumeKind::Files(files) => {
                    let Some(mounted) = pod.get_mut(&volume.name) else {
                        let files = Rc::new(files.clone());
                        let first = files.clone();
                        let tree = Tree::later(root(now), move || {
                            let mut tree = Tree::new(now);
                            replace(&mut tree, &first, now);
                            tree
                        });
                        let mut mounted = Mounted::own_tree(tree, Medium::Memory);
                        mounted.files = Some(files);
                        pod.insert(volume.name.clone(), mounted);
                        continue;
                    };
                    if mounted.files.as_deref() != Some(files) {
                        replace(&mut mounted.tree.borrow_mut(), files, now);
                        mounted.files = Some(Rc::new(files.clone()));
                        mounted.own();
                    }
                }
                VolumeKind::Image { reference, .. } => {
                    if !pod.contains_key(&volume.name) {
                        // Nobody writes it: containers mount it read-only.
                        let files = Tree::over(image(reference)?);
                        pod.insert(volume.name.clone(), Mounted::own_tree(files, Medium::Memory));
                    }
                }
                VolumeKind::HostPath { path, path_type } => {
                    check_host_path(host, path, path_type, now).map_err(|error| RuntimeError {
                        message: set_up_failed(&volume.name, &error.message),
                        ..error
                    })?;
                    let (tree, root) = (host.clone(), path.clone());
                    let mounted = Mounted { tree, root, files: None, group: None, medium: Medium::Disk };
                    pod.insert(volume.name.clone(), Box::new(mounted));
                }
            }
        }
        Ok(())
    }

    /// Gives a volume, as far as it is the pod's own, to a group: upstream's `SetVolumeOwnership`.
    pub(super) fn give(&self, pod_uid: &str, name: &str, group: u32) {
        let mut all = self.0.borrow_mut();
        let mounted = all.get_mut(pod_uid).and_then(|pod| pod.get_mut(name));
        if let Some(mounted) = mounted.filter(|mounted| mounted.root.is_empty() && mounted.group != Some(group)) {
            mounted.group = Some(group);
            mounted.own();
        }
    }

    /// What a volume is made of.
    pub(super) fn medium(&self, pod_uid: &str, name: &str) -> Medium {
        self.0.borrow().get(pod_uid).and_then(|pod| pod.get(name)).map(|mounted| mounted.medium).unwrap_or_default()
    }

    /// What emptyDir volumes hold, as `<pod uid>/<volume>`.
    pub(super) fn usage(&self) -> Vec<StorageUse> {
        let all = self.0.borrow();
        let mounted =
            all.iter().flat_map(|(pod, volumes)| volumes.iter().map(move |(name, volume)| (pod, name, volume)));
        mounted
            .filter(|(.., volume)| volume.is_empty_dir())
            .map(|(pod, name, volume)| StorageUse {
                owner: format!("{pod}/{name}"),
                bytes: u64::try_from(volume.tree.borrow().own_bytes()).unwrap_or(u64::MAX),
            })
            .collect()
    }

    /// The emptyDirs that are on disk, as `<pod uid>/<volume>`.
    pub(super) fn save(&self, saver: &mut Saver<'_>) {
        for (pod, volumes) in self.0.borrow().iter() {
            for (name, volume) in
                volumes.iter().filter(|(_, volume)| volume.is_empty_dir() && volume.medium == Medium::Disk)
            {
                let tree = volume.tree.borrow();
                saver.part(&format!("{pod}/{name}"), tree.changes(), &|| tree.to_bytes());
            }
        }
    }

    /// Puts them back, for pods that are still there.
    pub(super) fn restore(&self, mut saved: Saved, is_there: &dyn Fn(&str) -> bool) {
        for pod in saved.names().into_iter().filter(|pod| is_there(pod)) {
            let mut volumes = saved.take_folder(&pod);
            for name in volumes.names() {
                let mut tree = Tree::default();
                if volumes.take(&name).is_some_and(|bytes| tree.restore(&bytes)) {
                    let mut all = self.0.borrow_mut();
                    all.entry(pod.clone()).or_default().insert(name, Mounted::own_tree(tree, Medium::Disk));
                }
            }
        }
    }

    /// Removes the volumes of a pod.
    pub(super) fn tear_down(&self, pod_uid: &str) {
        self.0.borrow_mut().remove(pod_uid);
    }
}

/// The folder that a volume of files is.
fn root(now: Timestamp) -> Entry {
    Entry { mode: 0o777, ..Entry::directory(now) }
}

/// Makes a tree hold exactly the given files, all at once: they are in a folder with the time for its name, to which
/// `..data` leads, and the names that are seen lead through `..data`. Upstream's `AtomicWriter`.
fn replace(tree: &mut Tree, files: &BTreeMap<String, VolumeFile>, now: Timestamp) {
    const DATA: &str = "/..data";
    let before = match tree.get(DATA).map(|entry| entry.kind) {
        Some(Kind::Symlink(target)) => Some(format!("/{target}")),
        _ => None,
    };
    let folder = format!("..{}.{}", now.strftime("%Y_%m_%d_%H_%M_%S"), now.subsec_nanosecond());
    tree.insert("/", root(now));
    tree.insert(&format!("/{folder}"), Entry::directory(now));
    for (path, file) in files {
        let entry = Entry { mode: file.mode, ..Entry::file(file.data.read(), now) };
        tree.insert(&crate::fs::absolute(&format!("/{folder}"), path), entry);
    }
    tree.insert(DATA, Entry::symlink(&folder, now));
    let first = |path: &String| path.trim_start_matches('/').split('/').next().unwrap_or_default().to_owned();
    let seen: Vec<String> = files.keys().map(first).collect();
    for (name, entry) in tree.children("/") {
        if matches!(entry.kind, Kind::Symlink(_)) && !name.starts_with("..") && !seen.contains(&name) {
            tree.remove(&format!("/{name}"));
        }
    }
    for name in seen {
        let path = format!("/{name}");
        if tree.get(&path).is_none() {
            tree.insert(&path, Entry::symlink(&format!("..data/{name}"), now));
        }
    }
    if let Some(before) = before.filter(|before| *before != format!("/{folder}")) {
        tree.remove(&before);
    }
}

fn check_host_path(host: &SharedTree, path: &str, path_type: &str, now: Timestamp) -> Result<(), RuntimeError> {
    let fs = Fs::new(Rc::clone(host), false);
    let kind = fs.metadata(path).ok().map(|entry| entry.kind);
    let refuse = |what: &str| {
        let message = format!("hostPath type check failed: {path} is not {what}");
        Err(RuntimeError::new(ErrorCode::Unknown, message))
    };
    match (path_type, kind) {
        ("DirectoryOrCreate", None) => {
            let _ = fs.create_dir_all(path, now);
            // What the local-path provisioner makes is for everybody.
            if path.contains("/local-path-provisioner/") {
                let _ = fs.update(path, |entry| entry.mode = 0o777);
            }
            Ok(())
        }
        ("FileOrCreate", None) => {
            let _ = fs.create_dir_all(crate::fs::parent(path), now);
            let _ = fs.write(path, "", now);
            Ok(())
        }
        ("" | "DirectoryOrCreate" | "Directory", Some(Kind::Directory))
        | ("FileOrCreate" | "File", Some(Kind::File(_))) => Ok(()),
        ("", _) => Ok(()),
        ("DirectoryOrCreate" | "Directory", _) => refuse("a directory"),
        ("FileOrCreate" | "File", _) => refuse("a file"),
        ("Socket", _) => refuse("a socket file"),
        ("CharDevice", _) => refuse("a character device"),
        _ => refuse("a block device"),
    }
}
