//! Volumes: directories and files under the data directory, bound into containers.
//!
//! ```text
//! <data-dir>/provisioned/<volume>/…
//! <data-dir>/pods/<pod uid>/resolv.conf
//! <data-dir>/pods/<pod uid>/hostname
//! <data-dir>/pods/<pod uid>/fs-group
//! <data-dir>/pods/<pod uid>/volumes/<volume>/…
//! <data-dir>/pods/<pod uid>/containers/<container>/<attempt>/termination-log
//! <data-dir>/pods/<pod uid>/containers/<container>/<attempt>/etc-hosts
//! ```
//!
//! Files of a volume are replaced as one: they are links through `..data`, which is switched from one
//! directory to the next, so that a reader never sees half an update.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, PermissionsExt, lchown, symlink};
use std::path::{Component, Path, PathBuf};

use bollard::models::MountType;
use kubelet::runtime::{
    ContainerConfig, ErrorCode, Medium, Mount, MountSource, NamespaceMode, PodSandboxConfig, PullPolicy, RuntimeError,
    Ticket, Volume, VolumeFile, VolumeKind, set_up_failed,
};
use rustix::fs::{Mode, OFlags, ResolveFlags};
use std::collections::BTreeMap;

use super::engine::Engine;
use super::held::{self, Held, Kind};
use super::images;

/// The link in a volume of files to those that are in force.
const DATA: &str = "..data";
/// Where the provisioner of the class `standard` has its volumes on a node.
const PROVISIONED: &str = "/var/local-path-provisioner";
/// Files of a pod that all its containers have in `/etc`.
const RESOLV_CONF: &str = "resolv.conf";
const HOSTNAME: &str = "hostname";
/// The group that a pod's volumes are given to, known with its first container.
const FS_GROUP: &str = "fs-group";

/// A path of the host, or a volume of Docker's, inside a container.
pub struct Bind {
    pub kind: MountType,
    pub source: String,
    pub target: String,
    pub read_only: bool,
}

/// Makes a pod's volumes, or brings their files up to date.
pub async fn set_up(engine: &Engine, ticket: Ticket, pod_uid: &str, volumes: &[Volume]) -> Result<(), RuntimeError> {
    for volume in volumes {
        let path = volume_dir(engine, pod_uid, &volume.name);
        let result = match &volume.kind {
            // Huge pages are the machine's to set aside: what asks for them is on its disk here.
            VolumeKind::EmptyDir { medium: Medium::Disk | Medium::HugePages, .. } => {
                make_dir(&path, 0o777).map_err(|error| error.to_string())
            }
            VolumeKind::EmptyDir { medium: Medium::Memory, size_limit } => {
                ask(engine, pod_uid, volume, Kind::Memory(*size_limit))
            }
            // What its sandbox holds stays as it is.
            VolumeKind::Image { .. } if held::is_asked(&pod_dir(engine, pod_uid), &segment(&volume.name)) => Ok(()),
            VolumeKind::Image { reference, pull_policy, pull_secrets } => {
                match image(engine, ticket, reference, *pull_policy, pull_secrets).await {
                    Ok(id) => ask(engine, pod_uid, volume, Kind::Image(id)),
                    Err(error) => Err(error.message),
                }
            }
            VolumeKind::Files(files) => write_files(&path, files)
                .and_then(|()| group(engine, pod_uid).map_or(Ok(()), |group| give(&path, group)))
                .map_err(|error| error.to_string()),
            VolumeKind::HostPath { path: target, path_type } => {
                let target = on_node(engine, target);
                host_path(&target, path_type).and_then(|()| {
                    // What the volume is, for containers that are made later.
                    make_dir(path.parent().unwrap_or(&path), 0o755)
                        .and_then(|()| replace_link(&target, &path))
                        .map_err(|error| error.to_string())
                })
            }
        };
        result.map_err(|error| RuntimeError::new(ErrorCode::Unknown, set_up_failed(&volume.name, &error)))?;
    }
    Ok(())
}

/// Has a volume made with the pod's sandbox.
fn ask(engine: &Engine, pod_uid: &str, volume: &Volume, kind: Kind) -> Result<(), String> {
    held::ask(&pod_dir(engine, pod_uid), &segment(&volume.name), &kind).map_err(|error| error.to_string())
}

/// The id of a volume's image, which is pulled as its policy says.
async fn image(
    engine: &Engine,
    ticket: Ticket,
    reference: &str,
    policy: PullPolicy,
    pull_secrets: &[String],
) -> Result<String, RuntimeError> {
    let found = images::status(engine, reference).await?;
    let pulls = policy.pulls(reference, found.is_some());
    match (pulls.map_err(|message| RuntimeError::new(ErrorCode::NotFound, message))?, found) {
        (false, Some(found)) => Ok(found.id),
        _ => Ok(images::pull(engine, ticket, reference, pull_secrets).await?.id),
    }
}

/// Removes all that was made for a pod.
pub fn tear_down(engine: &Engine, pod_uid: &str) -> Result<(), RuntimeError> {
    match fs::remove_dir_all(pod_dir(engine, pod_uid)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(RuntimeError::new(ErrorCode::Unknown, format!("cannot remove the pod's volumes: {error}")))
        }
        _ => Ok(()),
    }
}

/// Removes what one run of a container left; nothing is lost if that fails, the pod's end removes it.
pub fn remove_container_dir(engine: &Engine, pod_uid: &str, name: &str, attempt: u32) {
    let _ = fs::remove_dir_all(container_dir(engine, pod_uid, name, attempt));
}

/// Whether a container has something of those of its pod's volumes that the sandbox holds.
pub fn has_held(engine: &Engine, config: &ContainerConfig) -> bool {
    let pod_dir = pod_dir(engine, &config.pod_uid);
    let mounted = config.mounts.iter().filter_map(|mount| match &mount.source {
        MountSource::Volume { name, .. } => Some(name),
        MountSource::HostPath(_) => None,
    });
    let read = config.env_files.iter().map(|variable| &variable.volume);
    mounted.chain(read).any(|name| held::is_asked(&pod_dir, &segment(name)))
}

/// Everything bound into a container: its mounts, its hosts file and the file for its last words.
pub fn binds(
    engine: &Engine,
    config: &ContainerConfig,
    held: &BTreeMap<String, Held>,
) -> Result<Vec<Bind>, RuntimeError> {
    let fail = |error: io::Error| RuntimeError::new(ErrorCode::Unknown, format!("cannot prepare mounts: {error}"));
    if let Some(group) = config.security.fs_group.and_then(|group| u32::try_from(group).ok()) {
        give_all(engine, &config.pod_uid, group).map_err(fail)?;
    }
    let bind = |source: String, target: &str, read_only| {
        let target = target.to_owned();
        Bind { kind: MountType::BIND, source, target, read_only }
    };
    let mut out = Vec::new();
    for mount in &config.mounts {
        if let MountSource::Volume { name, sub_path } = &mount.source
            && sub_path.is_empty()
            && let Some(held) = held.get(&segment(name))
        {
            let bind = bind(held.name.clone(), &mount.container_path, mount.read_only);
            out.push(Bind { kind: MountType::VOLUME, ..bind });
            continue;
        }
        let source = source(engine, &config.pod_uid, mount, held)?;
        let read_only = mount.read_only || is_read_only(engine, &source);
        out.push(bind(text(&source)?, &mount.container_path, read_only));
    }
    let dir = container_dir(engine, &config.pod_uid, &config.name, config.attempt);
    make_dir(&dir, 0o755).map_err(fail)?;
    let taken = |path: &str, out: &[Bind]| out.iter().any(|bind| bind.target == path);
    if !config.etc_hosts.is_empty() && !taken("/etc/hosts", &out) {
        let path = dir.join("etc-hosts");
        fs::write(&path, &config.etc_hosts).map_err(fail)?;
        out.push(bind(text(&path)?, "/etc/hosts", false));
    }
    for name in [RESOLV_CONF, HOSTNAME] {
        let (path, target) = (pod_dir(engine, &config.pod_uid).join(name), format!("/etc/{name}"));
        if path.exists() && !taken(&target, &out) {
            out.push(bind(text(&path)?, &target, false));
        }
    }
    if !config.termination_message_path.is_empty() && !taken(&config.termination_message_path, &out) {
        let path = termination_log(engine, &config.pod_uid, &config.name, config.attempt);
        fs::write(&path, "").map_err(fail)?;
        // Any user of the container may write there.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).map_err(fail)?;
        out.push(bind(text(&path)?, &config.termination_message_path, false));
    }
    Ok(out)
}

/// Writes a pod's `resolv.conf`, what was asked for or the node's name server, and its `hostname`.
pub fn write_names(engine: &Engine, config: &PodSandboxConfig) -> Result<(), RuntimeError> {
    let dns = &config.dns;
    let mut text = String::new();
    if !dns.searches.is_empty() {
        text.push_str(&format!("search {}\n", dns.searches.join(" ")));
    }
    match dns.servers.as_slice() {
        [] => text.push_str(&format!("nameserver {}\n", engine.network.name_server())),
        servers => servers.iter().for_each(|server| text.push_str(&format!("nameserver {server}\n"))),
    }
    if !dns.options.is_empty() {
        text.push_str(&format!("options {}\n", dns.options.join(" ")));
    }
    let dir = pod_dir(engine, &config.uid);
    make_dir(&dir, 0o755)
        .and_then(|()| fs::write(dir.join(RESOLV_CONF), text))
        .and_then(|()| match config.network {
            NamespaceMode::Node => Ok(()),
            _ => fs::write(dir.join(HOSTNAME), format!("{}\n", config.hostname)),
        })
        .map_err(|error| RuntimeError::new(ErrorCode::Unknown, format!("cannot write the pod's names: {error}")))
}

/// Where a container leaves its last words.
pub fn termination_log(engine: &Engine, pod_uid: &str, name: &str, attempt: u32) -> PathBuf {
    container_dir(engine, pod_uid, name, attempt).join("termination-log")
}

/// The folder of all that is a pod's.
pub fn pod_dir(engine: &Engine, pod_uid: &str) -> PathBuf {
    engine.own().data_dir.join("pods").join(segment(pod_uid))
}

/// Variables whose values are in files of the pod's volumes.
///
/// # Errors
/// When one is missing that has to be there.
pub fn env_files(
    engine: &Engine,
    config: &ContainerConfig,
    held: &BTreeMap<String, Held>,
) -> Result<Vec<String>, String> {
    let mut out = Vec::new();
    for variable in &config.env_files {
        let folder = match held.get(&segment(&variable.volume)) {
            Some(held) => held.path.clone(),
            None => volume_dir(engine, &config.pod_uid, &variable.volume),
        };
        let text = read_inside(&folder, &variable.path).unwrap_or_default();
        out.extend(variable.value(&text)?.map(|value| format!("{}={value}", variable.name)));
    }
    Ok(out)
}

/// How much of a file with variables is read: upstream refuses larger ones.
const ENV_FILE_BYTES_MAX: u64 = 64 * 1024;

/// A file of a volume, which its containers have made as they liked: what leads out of the volume, by `..` or by a
/// link, and what is no file is not there.
fn read_inside(folder: &Path, path: &str) -> io::Result<String> {
    let folder = rustix::fs::open(folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    // Not to wait for the other end of a pipe.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = fs::File::from(rustix::fs::openat2(folder, path, flags, Mode::empty(), ResolveFlags::BENEATH)?);
    if !file.metadata()?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut text = String::new();
    file.take(ENV_FILE_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

fn volume_dir(engine: &Engine, pod_uid: &str, volume: &str) -> PathBuf {
    pod_dir(engine, pod_uid).join("volumes").join(segment(volume))
}

fn container_dir(engine: &Engine, pod_uid: &str, name: &str, attempt: u32) -> PathBuf {
    pod_dir(engine, pod_uid).join("containers").join(segment(name)).join(attempt.to_string())
}

/// A name as one path segment: the API allows no other, and nothing may leave the data directory.
fn segment(name: &str) -> String {
    let name: String = name.chars().map(|c| if matches!(c, '/' | '\0') { '_' } else { c }).collect();
    if name.is_empty() || name == "." || name == ".." { "_".into() } else { name }
}

fn source(
    engine: &Engine,
    pod_uid: &str,
    mount: &Mount,
    held: &BTreeMap<String, Held>,
) -> Result<PathBuf, RuntimeError> {
    let fail = |message: String| RuntimeError::new(ErrorCode::Unknown, message);
    let (name, sub_path) = match &mount.source {
        MountSource::HostPath(path) => return Ok(on_node(engine, path)),
        MountSource::Volume { name, sub_path } => (name, sub_path),
    };
    let base = match held.get(&segment(name)) {
        // Only who may look into it can tell whether what is there leads out of it.
        Some(held) => held.path.clone(),
        None => volume_dir(engine, pod_uid, name),
    };
    let base = fs::canonicalize(&base).map_err(|error| fail(format!("volume {name:?}: {error}")))?;
    if sub_path.is_empty() {
        return Ok(base);
    }
    let relative = Path::new(sub_path);
    if !relative.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
        return Err(fail(format!("failed to prepare subPath for volumeMount {name:?}: must not contain '..'")));
    }
    let path = base.join(relative);
    if !path.exists() {
        make_dir(&path, 0o755)
            .map_err(|error| fail(format!("failed to create subPath directory for volumeMount {name:?}: {error}")))?;
    }
    let path = fs::canonicalize(&path).map_err(|error| fail(format!("volume {name:?}: {error}")))?;
    // A link inside the volume must not lead out of it.
    if path.starts_with(&base) {
        Ok(path)
    } else {
        Err(fail(format!("failed to prepare subPath for volumeMount {name:?}: not within volume path")))
    }
}

/// Whether a path of this machine is one that a node may only read.
fn is_read_only(engine: &Engine, path: &Path) -> bool {
    engine.config.mounts.iter().any(|mount| mount.read_only && path.starts_with(&mount.host))
}

/// A node's path as this machine has it: the same, but for what is mounted there (`extraMounts`), and for
/// provisioned volumes, which are the cluster's.
pub fn on_node(engine: &Engine, path: &str) -> PathBuf {
    let provisioned = Path::new(path).strip_prefix(PROVISIONED).ok();
    let inside = provisioned.filter(|rest| rest.components().all(|part| matches!(part, Component::Normal(_))));
    if let Some(rest) = inside {
        return engine.own().data_dir.join("provisioned").join(rest);
    }
    let mounted = engine.config.mounts.iter().filter_map(|mount| {
        let rest = Path::new(path).strip_prefix(&mount.node).ok()?;
        // What leads out of it is the node's own again.
        let within = rest.components().all(|part| matches!(part, Component::Normal(_)));
        within.then(|| (mount.node.len(), Path::new(&mount.host).join(rest)))
    });
    mounted.max_by_key(|(length, _)| *length).map_or_else(|| path.into(), |(_, path)| path)
}

fn text(path: &Path) -> Result<String, RuntimeError> {
    path.to_str()
        .map(str::to_string)
        .ok_or_else(|| RuntimeError::new(ErrorCode::Unknown, format!("the path {} is not UTF-8", path.display())))
}

fn make_dir(path: &Path, mode: u32) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

/// The group that a pod's volumes were given to.
fn group(engine: &Engine, pod_uid: &str) -> Option<u32> {
    fs::read_to_string(pod_dir(engine, pod_uid).join(FS_GROUP)).ok()?.parse().ok()
}

/// Gives a pod's own volumes to its `fsGroup`, once; files that come later follow.
fn give_all(engine: &Engine, pod_uid: &str, to: u32) -> io::Result<()> {
    if group(engine, pod_uid) == Some(to) {
        return Ok(());
    }
    for volume in fs::read_dir(pod_dir(engine, pod_uid).join("volumes")).into_iter().flatten().flatten() {
        let path = volume.path();
        if fs::symlink_metadata(path.join(DATA)).is_ok() {
            give(&path, to)?;
        } else if volume.file_type()?.is_dir() && lchown(&path, None, Some(to)).is_ok() {
            // An empty directory, which everybody may write to: what is made there is the group's.
            fs::set_permissions(&path, fs::Permissions::from_mode(0o2777))?;
        }
    }
    fs::write(pod_dir(engine, pod_uid).join(FS_GROUP), to.to_string())
}

/// Lets a group read a volume's files, as upstream's kubelet does. Where this process may not give them to that group,
/// everybody reads them.
fn give(path: &Path, to: u32) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    let given = lchown(path, None, Some(to)).is_ok();
    if metadata.is_symlink() {
        return Ok(());
    }
    let more = match (metadata.is_dir(), given) {
        (true, true) => 0o2550,
        (true, false) => 0o555,
        (false, true) => 0o440,
        (false, false) => 0o444,
    };
    fs::set_permissions(path, fs::Permissions::from_mode(metadata.permissions().mode() | more))?;
    if metadata.is_dir() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path(), to)?;
        }
    }
    Ok(())
}

fn replace_link(target: &Path, link: &Path) -> io::Result<()> {
    if fs::read_link(link).is_ok_and(|old| old == target) {
        return Ok(());
    }
    let next = link.with_file_name(format!("{}.next", link.file_name().unwrap_or_default().to_string_lossy()));
    let _ = fs::remove_file(&next);
    symlink(target, &next)?;
    fs::rename(&next, link)
}

/// Writes a volume's files into a new directory and switches `..data` to it.
fn write_files(dir: &Path, files: &BTreeMap<String, VolumeFile>) -> io::Result<()> {
    make_dir(dir, 0o755)?;
    let link = dir.join(DATA);
    let current = fs::read_link(&link).ok();
    if current.as_ref().is_some_and(|current| is_same(&dir.join(current), files)) {
        return Ok(());
    }
    let number = |name: &Path| name.to_str().and_then(|name| name.strip_prefix("..")?.parse::<u64>().ok());
    let next = format!("..{}", current.as_deref().and_then(number).unwrap_or_default() + 1);
    let _ = fs::remove_dir_all(dir.join(&next));
    for (path, file) in files {
        let relative = Path::new(path);
        if !relative.components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("invalid path {path:?}")));
        }
        let target = dir.join(&next).join(relative);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&target, file.data.read())?;
        fs::set_permissions(&target, fs::Permissions::from_mode(file.mode & 0o777))?;
    }
    fs::create_dir_all(dir.join(&next))?;
    replace_link(Path::new(&next), &link)?;
    // The names a container sees: each first part of a path, through `..data`.
    let first = |path: &String| Path::new(path).components().next().map(|part| part.as_os_str().to_owned());
    let visible: std::collections::BTreeSet<_> = files.keys().filter_map(first).collect();
    for name in &visible {
        replace_link(&Path::new(DATA).join(name), &dir.join(name))?;
    }
    for entry in fs::read_dir(dir)?.flatten() {
        let name = entry.file_name();
        let hidden = name.to_string_lossy().starts_with("..");
        if !hidden && !visible.contains(&name) {
            fs::remove_file(entry.path())?;
        } else if hidden && name != *DATA && name != *next {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

fn is_same(dir: &Path, files: &BTreeMap<String, VolumeFile>) -> bool {
    fn count(dir: &Path) -> usize {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        entries.map(|entry| if entry.path().is_dir() { count(&entry.path()) } else { 1 }).sum()
    }
    count(dir) == files.len()
        && files.iter().all(|(path, file)| fs::read(dir.join(path)).is_ok_and(|data| data == file.data.read()))
}

/// Checks a path of the host against its declared type, and makes it where the type says so.
fn host_path(path: &Path, path_type: &str) -> Result<(), String> {
    let failed = || Err(format!("hostPath type check failed: {} is not a {}", path.display(), wording(path_type)));
    let metadata = fs::metadata(path).ok();
    let is = |test: fn(&fs::Metadata) -> bool| metadata.as_ref().is_some_and(test);
    let holds = match path_type {
        // Docker's bind mounts need something there; upstream's runtime made a directory too.
        "" | "DirectoryOrCreate" if metadata.is_none() => {
            return make_dir(path, 0o755).map_err(|error| error.to_string());
        }
        "FileOrCreate" if metadata.is_none() => {
            return fs::write(path, "").map_err(|error| error.to_string());
        }
        "" => true,
        "Directory" | "DirectoryOrCreate" => is(fs::Metadata::is_dir),
        "File" | "FileOrCreate" => is(fs::Metadata::is_file),
        "Socket" => is(|metadata| metadata.file_type().is_socket()),
        "CharDevice" => is(|metadata| metadata.file_type().is_char_device()),
        "BlockDevice" => is(|metadata| metadata.file_type().is_block_device()),
        _ => return Err(format!("{path_type} is an invalid volume type")),
    };
    if holds { Ok(()) } else { failed() }
}

fn wording(path_type: &str) -> &'static str {
    match path_type {
        "Directory" | "DirectoryOrCreate" => "directory",
        "Socket" => "socket file",
        "CharDevice" => "character device",
        "BlockDevice" => "block device",
        _ => "file",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leads_out_of_a_volume_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let volume = folder.path().join("volume");
        fs::create_dir(&volume).unwrap();
        fs::write(folder.path().join("secret"), "KEY=secret").unwrap();
        fs::write(volume.join("env"), "KEY=value").unwrap();
        symlink("env", volume.join("inside")).unwrap();
        symlink("../secret", volume.join("outside")).unwrap();
        symlink(folder.path().join("secret"), volume.join("absolute")).unwrap();
        let made = std::process::Command::new("mkfifo").arg(volume.join("pipe")).status().unwrap();
        assert!(made.success());
        let read = |path: &str| read_inside(&volume, path).ok();
        assert_eq!(read("env").as_deref(), Some("KEY=value"));
        assert_eq!(read("inside").as_deref(), Some("KEY=value"));
        for path in ["outside", "absolute", "../secret", "pipe", ".", "missing"] {
            assert_eq!(read(path), None, "{path}");
        }
    }
}
