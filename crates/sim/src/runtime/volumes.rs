//! Volumes of pods.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use kubelet::runtime::{ErrorCode, RuntimeError, StorageUse, Volume, VolumeFile, VolumeKind};
use machinery::Timestamp;

use crate::fs::{Entry, Fs, Kind, SharedTree, Tree};

/// The volumes of a node's pods, by pod uid and volume name.
#[derive(Default)]
pub(super) struct Volumes(RefCell<BTreeMap<String, BTreeMap<String, Mounted>>>);

/// A tree, and the path in it that is the volume.
#[derive(Clone)]
struct Mounted {
    tree: SharedTree,
    files: Option<BTreeMap<String, VolumeFile>>,
    /// The volume's place in the tree: empty for all of it.
    root: String,
}

impl Volumes {
    /// The tree that a volume is in, and its place there.
    pub(super) fn get(&self, pod_uid: &str, name: &str) -> Option<(SharedTree, String)> {
        self.0.borrow().get(pod_uid)?.get(name).map(|mounted| (mounted.tree.clone(), mounted.root.clone()))
    }

    /// Makes volumes, or brings their files up to date.
    pub(super) fn set_up(
        &self,
        pod_uid: &str,
        volumes: &[Volume],
        host: &SharedTree,
        now: Timestamp,
    ) -> Result<(), RuntimeError> {
        let mut all = self.0.borrow_mut();
        let pod = all.entry(pod_uid.to_owned()).or_default();
        for volume in volumes {
            match &volume.kind {
                VolumeKind::EmptyDir { .. } => {
                    pod.entry(volume.name.clone()).or_insert_with(|| {
                        let mut tree = Tree::new(now);
                        tree.insert("/", Entry { mode: 0o777, ..Entry::directory(now) });
                        Mounted { tree: tree.share(), root: String::new(), files: None }
                    });
                }
                VolumeKind::Files(files) => {
                    let mounted = pod.entry(volume.name.clone()).or_insert_with(|| Mounted {
                        tree: Tree::new(now).share(),
                        root: String::new(),
                        files: None,
                    });
                    if mounted.files.as_ref() != Some(files) {
                        replace(&mounted.tree, mounted.files.as_ref(), files, now);
                        mounted.files = Some(files.clone());
                    }
                }
                VolumeKind::HostPath { path, path_type } => {
                    check_host_path(host, path, path_type, now)?;
                    let mounted = Mounted { tree: host.clone(), root: path.clone(), files: None };
                    pod.insert(volume.name.clone(), mounted);
                }
            }
        }
        Ok(())
    }

    /// What emptyDir volumes hold, as `<pod uid>/<volume>`.
    pub(super) fn usage(&self) -> Vec<StorageUse> {
        let all = self.0.borrow();
        let mounted =
            all.iter().flat_map(|(pod, volumes)| volumes.iter().map(move |(name, volume)| (pod, name, volume)));
        mounted
            .filter(|(.., volume)| volume.files.is_none() && volume.root.is_empty())
            .map(|(pod, name, volume)| StorageUse {
                owner: format!("{pod}/{name}"),
                bytes: u64::try_from(volume.tree.borrow().own_bytes()).unwrap_or(u64::MAX),
            })
            .collect()
    }

    /// Removes the volumes of a pod.
    pub(super) fn tear_down(&self, pod_uid: &str) {
        self.0.borrow_mut().remove(pod_uid);
    }
}

/// Makes a tree hold exactly the given files, all at once.
fn replace(
    tree: &SharedTree,
    old: Option<&BTreeMap<String, VolumeFile>>,
    new: &BTreeMap<String, VolumeFile>,
    now: Timestamp,
) {
    let mut tree = tree.borrow_mut();
    for path in old.into_iter().flat_map(BTreeMap::keys).filter(|path| !new.contains_key(*path)) {
        tree.remove(&crate::fs::absolute("/", path));
    }
    for (path, file) in new {
        let entry = Entry { mode: file.mode, ..Entry::file(file.data.to_vec(), now) };
        tree.insert(&crate::fs::absolute("/", path), entry);
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
