//! `docker cp`: files between this computer and a container, whether it runs or not.

use sim::Errno;
use sim::fs::{self, Fs, Kind};

use super::super::flags::Flags;
use super::{Code, Container, Run};

const USAGE: &str = "\
docker: 'docker cp' requires 2 arguments

Usage:  docker cp [OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-
\tdocker cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH

Run 'docker cp --help' for more information";

/// One of the two places.
struct Place {
    fs: Fs,
    path: String,
    /// As it was written, and whose it is.
    given: String,
    container: Option<String>,
}

impl Place {
    fn absent(&self, path: &str) -> String {
        match &self.container {
            Some(name) => format!("Error response from daemon: Could not find the file {path} in container {name}"),
            None => format!("lstat {path}: no such file or directory"),
        }
    }
}

impl Run {
    pub(super) async fn copy(&self, words: &[String]) -> Code {
        let flags = Flags::parse(
            words,
            &[("archive", 'a', false), ("follow-link", 'L', false), ("quiet", 'q', false)],
            usize::MAX,
        )?;
        let [from, to] = flags.words.as_slice() else { return Err(USAGE.into()) };
        if from == "-" || to == "-" {
            return Err("docker: archives on standard input and output are not offered here: name a file".into());
        }
        let (from, to) = (self.place(from)?, self.place(to)?);
        match (&from.container, &to.container) {
            (Some(_), Some(_)) => return Err("copying between containers is not supported".into()),
            (None, None) => return Err("must specify at least one container source".into()),
            _ => {}
        }
        let contents = from.given.ends_with("/.");
        let source = from.fs.follow(&from.path).map_err(|_| from.absent(&from.path))?;
        let folder = from.fs.is_dir(&source);
        if !from.fs.exists(&source) {
            return Err(from.absent(&from.path));
        }
        let target = match to.fs.is_dir(&to.path) {
            true if folder && contents => to.path.clone(),
            true => format!("{}/{}", to.path.trim_end_matches('/'), fs::file_name(&from.path)),
            false if to.fs.exists(&to.path) && folder => return Err("cannot copy directory".into()),
            false if to.given.ends_with('/') && !folder => return Err("no such directory".into()),
            false => to.path.clone(),
        };
        let above = fs::parent(&target);
        if !to.fs.is_dir(above) {
            return Err(to.absent(above));
        }
        let bytes = copy(&from.fs, &source, &to.fs, &target).map_err(|error| match error {
            Errno::NoSpace => format!("write {target}: {error}"),
            error => format!("Error response from daemon: {error}"),
        })?;
        if self.process.stdout().tty().is_some() && !flags.is_on("quiet") {
            let shown = match to.container {
                Some(name) => format!("{name}:{}", to.path),
                None => to.path,
            };
            // An archive's end is two blocks.
            let kilobytes = (bytes + 1024) as f64 / 1000.0;
            self.process.eprint(format!("Successfully copied {} to {shown}\n", size(kilobytes))).await;
        }
        Ok(0)
    }

    /// A path of this computer, or `CONTAINER:PATH`.
    fn place(&self, word: &str) -> Result<Place, String> {
        let given = word.to_owned();
        let Some((name, path)) = word.split_once(':').filter(|(name, _)| !name.contains('/') && !name.starts_with('.'))
        else {
            return Ok(Place { fs: self.process.fs().clone(), path: self.process.path(word), given, container: None });
        };
        let runtime = &self.docker.0.runtime;
        let fs = match self.docker.find(name)? {
            Container::Own(own) => match (runtime.machine(&own.container_id), runtime.layer(&own.container_id)) {
                (Some(machine), _) => machine.fs().clone(),
                (None, Some(layer)) => Fs::new(layer, false),
                (None, None) => return Err(format!("Error response from daemon: No such container: {name}")),
            },
            Container::Node(cluster, node) => {
                let inner = cluster.inner().clone();
                let runtimes = inner.map(|inner| inner.world.runtimes()).unwrap_or_default();
                let found = runtimes.into_iter().find(|runtime| runtime.node_name() == node.options.name);
                let found =
                    found.ok_or_else(|| format!("Error response from daemon: container {} is not running", node.id))?;
                Fs::new(found.host_tree(), false)
            }
        };
        Ok(Place { fs, path: fs::absolute("/", path), given, container: Some(name.to_owned()) })
    }
}

/// Copies a file, or a folder with all below it, from one disk to another; how many bytes an archive of it has.
///
/// # Errors
/// When the source cannot be read, or the target not be written.
pub fn copy(from: &Fs, source: &str, to: &Fs, target: &str) -> Result<u64, Errno> {
    const BLOCK: u64 = 512;
    let entry = from.symlink_metadata(source)?;
    match &entry.kind {
        Kind::Directory => {
            // Before the target is made, which may be in the source.
            let inside = from.list(source)?;
            if !to.is_dir(target) {
                to.create_dir(target, entry.modified)?;
                to.update(target, |made| made.mode = entry.mode)?;
            }
            let mut bytes = BLOCK;
            for (name, _) in inside {
                bytes += copy(from, &format!("{source}/{name}"), to, &format!("{target}/{name}"))?;
            }
            Ok(bytes)
        }
        Kind::Symlink(leads) => {
            // In the place of what is there.
            let _ = to.remove(target);
            to.symlink(leads, target, entry.modified)?;
            Ok(BLOCK)
        }
        _ => {
            to.write(target, from.read(source)?, entry.modified)?;
            let size = u64::try_from(entry.size()).unwrap_or(u64::MAX);
            to.update(target, |made| (made.kind, made.mode) = (entry.kind, entry.mode))?;
            Ok(BLOCK.saturating_add(size.next_multiple_of(BLOCK)))
        }
    }
}

/// Three digits, as docker's rough sizes have them.
fn size(kilobytes: f64) -> String {
    let (amount, unit) = if kilobytes < 1000.0 { (kilobytes, "kB") } else { (kilobytes / 1000.0, "MB") };
    match amount {
        0.0..10.0 => format!("{amount:.2}{unit}"),
        10.0..100.0 => format!("{amount:.1}{unit}"),
        _ => format!("{amount:.0}{unit}"),
    }
}
