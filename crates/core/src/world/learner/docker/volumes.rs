//! Volumes: `docker volume`, and what `docker run` mounts. A volume is a folder of this computer, as with Docker's
//! own driver.

use kubelet::runtime::{Mount, MountSource};
use machinery::sort::Order;
use serde_json::{Value, json};
use sim::fs::{Entry, Fs, Kind};
use sim::image::Image;

use super::super::flags::{Flags, Known};
use super::copy::copy;
use super::text::columns;
use super::{Code, Docker, Own, Run};

const FOLDER: &str = "/var/lib/docker/volumes";
/// Docker names a volume so that has no name.
const ANONYMOUS_LENGTH: usize = 64;

const USAGE: &str = "\
Usage:  docker volume COMMAND

Manage volumes

Commands:
  create      Create a volume
  inspect     Display detailed information on one or more volumes
  ls          List volumes
  prune       Remove unused local volumes
  rm          Remove one or more volumes

Run 'docker volume COMMAND --help' for more information on a command.
";

/// Where a volume's files are.
fn data(name: &str) -> String {
    format!("{FOLDER}/{name}/_data")
}

/// The volume that a mount is of.
fn volume_of(mount: &Mount) -> Option<&str> {
    match &mount.source {
        MountSource::HostPath(path) => path.strip_prefix(FOLDER)?.strip_prefix('/')?.strip_suffix("/_data"),
        MountSource::Volume { .. } => None,
    }
}

fn is_anonymous(name: &str) -> bool {
    name.len() == ANONYMOUS_LENGTH && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn check_name(name: &str) -> Result<(), String> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if name.len() > 1 && name.bytes().all(good) && name.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric) {
        return Ok(());
    }
    if name.len() == 1 {
        return Err(format!(
            "create {name}: volume name is too short, names should be at least two alphanumeric characters"
        ));
    }
    Err(format!(
        "create {name}: {name:?} includes invalid characters for a local volume name, only \
         \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path"
    ))
}

/// What `-v` or `--mount` asks for.
struct Wanted {
    /// A path of this computer, a volume's name, or nothing for a volume without a name.
    source: String,
    target: String,
    read_only: bool,
    /// Whether a path that is absent is made.
    makes: bool,
}

impl Wanted {
    /// `-v [SOURCE:]TARGET[:OPTIONS]`
    fn of_volume(spec: &str, run: &Run) -> Result<Self, String> {
        let invalid = |why: &str| format!("invalid volume specification: '{spec}'{why}");
        let parts: Vec<&str> = spec.split(':').collect();
        let (source, target, options) = match *parts.as_slice() {
            [target] => ("", target, ""),
            [source, target] => (source, target, ""),
            [source, target, options] => (source, target, options),
            _ => return Err(invalid("")),
        };
        if !target.starts_with('/') {
            return Err(invalid(&format!(
                ": invalid mount config for type \"volume\": invalid mount path: '{target}' mount path must be absolute"
            )));
        }
        if target == "/" {
            return Err(invalid(": invalid specification: destination can't be '/'"));
        }
        let known = ["ro", "rw", "z", "Z", "nocopy", "cached", "delegated", "consistent"];
        if let Some(unknown) = options.split(',').find(|option| !option.is_empty() && !known.contains(option)) {
            return Err(format!("invalid mode: {unknown}"));
        }
        let source = if source.starts_with('.') { run.process.path(source) } else { source.to_owned() };
        if !source.is_empty() && !source.starts_with('/') {
            check_name(&source)?;
        }
        let read_only = options.split(',').any(|option| option == "ro");
        Ok(Self { source, target: target.to_owned(), read_only, makes: true })
    }

    /// `--mount type=…,source=…,target=…,readonly`
    fn of_mount(spec: &str, run: &Run) -> Result<Self, String> {
        let invalid = |why: String| format!("invalid argument {spec:?} for \"--mount\" flag: {why}");
        let (mut kind, mut source, mut target, mut read_only) = ("volume", "", "", false);
        for field in spec.split(',') {
            let (key, value) = field.split_once('=').unwrap_or((field, "true"));
            match key {
                "type" => kind = value,
                "source" | "src" => source = value,
                "target" | "dst" | "destination" => target = value,
                "readonly" | "ro" => read_only = matches!(value, "true" | "1"),
                _ => return Err(invalid(format!("unexpected key '{key}' in '{field}'"))),
            }
        }
        if target.is_empty() {
            return Err(invalid("target is required".into()));
        }
        let source = match kind {
            "bind" if source.is_empty() => {
                return Err("invalid mount config for type \"bind\": field Source must not be empty".into());
            }
            "bind" => run.process.path(source),
            "volume" => {
                if !source.is_empty() {
                    check_name(source)?;
                }
                source.to_owned()
            }
            other => return Err(format!("mount type unknown: {other:?}")),
        };
        let target = target.to_owned();
        Ok(Self { source, target, read_only, makes: kind == "volume" })
    }
}

impl Docker {
    /// This computer's files, as the daemon sees them.
    pub(super) fn files(&self) -> Fs {
        Fs::new(self.0.runtime.host_tree(), false)
    }

    /// The names of all volumes, in order.
    pub(super) fn volumes(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.files().list(FOLDER).unwrap_or_default().into_iter().map(|(name, _)| name).collect();
        names.order();
        names
    }

    pub(super) fn is_used(&self, volume: &str) -> bool {
        !self.users_of(volume).is_empty()
    }

    /// What a volume holds.
    pub(super) fn volume_bytes(&self, name: &str) -> u64 {
        fn of(files: &Fs, path: &str) -> u64 {
            let entries = files.list(path).unwrap_or_default();
            let size = |(name, entry): (String, Entry)| match entry.kind {
                Kind::Directory => of(files, &format!("{path}/{name}")),
                _ => u64::try_from(entry.size()).unwrap_or(u64::MAX),
            };
            entries.into_iter().map(size).sum()
        }
        of(&self.files(), &data(name))
    }

    /// The containers that have a volume.
    fn users_of(&self, volume: &str) -> Vec<Own> {
        let containers = self.0.containers.borrow();
        let uses = |own: &&Own| own.config.mounts.iter().any(|mount| volume_of(mount) == Some(volume));
        containers.iter().filter(uses).cloned().collect()
    }

    /// Removes the volumes without a name that a container has had to itself.
    pub(super) fn remove_anonymous(&self, own: &Own) {
        for name in own.config.mounts.iter().filter_map(volume_of).filter(|name| is_anonymous(name)) {
            if !self.is_used(name) {
                // It is there.
                let _ = self.files().remove_all(&format!("{FOLDER}/{name}"));
            }
        }
    }
}

impl Run {
    /// The mounts of `docker run`, whose volumes are there afterwards.
    pub(super) fn mounts(&self, flags: &Flags, image: &Image) -> Result<Vec<Mount>, String> {
        let volumes = flags.values("volume").map(|spec| Wanted::of_volume(spec, self));
        let mounts = flags.values("mount").map(|spec| Wanted::of_mount(spec, self));
        volumes.chain(mounts).map(|wanted| self.mount(wanted?, image)).collect()
    }

    fn mount(&self, wanted: Wanted, image: &Image) -> Result<Mount, String> {
        let (files, now) = (self.docker.files(), self.now());
        let Wanted { source, target, read_only, makes } = wanted;
        let path = if source.starts_with('/') {
            if !files.exists(&source) {
                if !makes {
                    return Err(format!(
                        "invalid mount config for type \"bind\": bind source path does not exist: {source}"
                    ));
                }
                files.create_dir_all(&source, now).map_err(|error| format!("mkdir {source}: {error}"))?;
            }
            source
        } else {
            let name = if source.is_empty() { self.docker.0.clusters.new_id() } else { source };
            let path = data(&name);
            files.create_dir_all(&path, now).map_err(|error| format!("create {name}: {error}"))?;
            // A new volume begins with what the image has there.
            if files.list(&path).is_ok_and(|entries| entries.is_empty()) {
                let layer = sim::fs::Tree::over(image.layer.clone()).share();
                let from = Fs::new(layer, true);
                if from.is_dir(&target) {
                    copy(&from, &target, &files, &path).map_err(|error| format!("create {name}: {error}"))?;
                }
            }
            path
        };
        Ok(Mount { container_path: target, read_only, source: MountSource::HostPath(path) })
    }

    pub(super) async fn volume(&self, words: &[String]) -> Code {
        let (command, rest) = words.split_first().map_or(("", words), |(first, rest)| (first.as_str(), rest));
        match command {
            "create" => self.create_volume(rest).await,
            "ls" | "list" => self.list_volumes(rest).await,
            "inspect" => {
                let flags = Flags::parse(rest, &[("format", 'f', true)], usize::MAX)?;
                let known = self.docker.volumes();
                let mut found = Vec::new();
                for name in &flags.words {
                    if !known.contains(name) {
                        return Err(format!("[]\nError response from daemon: get {name}: no such volume"));
                    }
                    found.push(self.described_volume(name));
                }
                match flags.value("format") {
                    Some(format) => self.fill(format, found).await,
                    None => self.print(format!("{:#}\n", Value::Array(found))).await,
                }
            }
            "rm" | "remove" => {
                let flags = Flags::parse(rest, &[("force", 'f', false)], usize::MAX)?;
                if flags.words.is_empty() {
                    return Err("docker: 'docker volume rm' requires at least 1 argument\n\nUsage:  docker volume rm [OPTIONS] VOLUME [VOLUME...]".into());
                }
                for name in &flags.words {
                    self.remove_volume(name, flags.is_on("force"))?;
                    self.process.print(format!("{name}\n")).await;
                }
                Ok(0)
            }
            "prune" => {
                const KNOWN: &[Known] = &[("force", 'f', false), ("all", 'a', false)];
                let flags = Flags::parse(rest, KNOWN, usize::MAX)?;
                let what = if flags.is_on("all") { "all" } else { "anonymous" };
                let warning = format!("This will remove {what} local volumes not used by at least one container.");
                if !flags.is_on("force") && !self.is_sure(&warning).await {
                    return Ok(1);
                }
                let told = self.prune_volumes(flags.is_on("all"));
                self.print(format!("{told}Total reclaimed space: 0B\n")).await
            }
            "" | "--help" | "-h" | "help" => self.print(USAGE).await,
            other => Err(format!(
                "docker: unknown command: docker volume {other}\n\nRun 'docker volume --help' for more information"
            )),
        }
    }

    async fn create_volume(&self, words: &[String]) -> Code {
        let flags = Flags::parse(words, &[("driver", 'd', true), ("name", ' ', true)], usize::MAX)?;
        let name = match (flags.word(0), flags.value("name")) {
            ("", None) => self.docker.0.clusters.new_id(),
            ("", Some(name)) | (name, _) => name.to_owned(),
        };
        if let Some(driver) = flags.value("driver").filter(|driver| *driver != "local") {
            return Err(format!(
                "Error response from daemon: create {name}: error looking up volume plugin {driver}: plugin {driver:?} not found"
            ));
        }
        check_name(&name).map_err(|error| format!("Error response from daemon: {error}"))?;
        let made = self.docker.files().create_dir_all(&data(&name), self.now());
        made.map_err(|error| format!("Error response from daemon: create {name}: {error}"))?;
        self.print(format!("{name}\n")).await
    }

    async fn list_volumes(&self, words: &[String]) -> Code {
        const KNOWN: &[Known] = &[("quiet", 'q', false), ("filter", 'f', true), ("format", ' ', true)];
        let flags = Flags::parse(words, KNOWN, usize::MAX)?;
        let mut names = self.docker.volumes();
        for filter in flags.values("filter") {
            match filter.split_once('=') {
                Some(("name", name)) => names.retain(|known| known.contains(name)),
                Some(("dangling", value)) => {
                    let dangling = matches!(value, "true" | "1");
                    names.retain(|name| self.docker.is_used(name) != dangling);
                }
                Some(("driver", driver)) => names.retain(|_| driver == "local"),
                _ => return Err(format!("invalid filter '{filter}'")),
            }
        }
        if let Some(format) = flags.value("format").filter(|format| !format.starts_with("table")) {
            let of =
                |name: &String| json!({"Driver": "local", "Name": name, "Mountpoint": data(name), "Scope": "local"});
            return self.fill(format, names.iter().map(of).collect()).await;
        }
        if flags.is_on("quiet") {
            return self.print(names.iter().map(|name| format!("{name}\n")).collect::<String>()).await;
        }
        let mut table = vec![["DRIVER", "VOLUME NAME"].map(str::to_owned).to_vec()];
        table.extend(names.into_iter().map(|name| vec!["local".to_owned(), name]));
        self.print(columns(&table)).await
    }

    fn described_volume(&self, name: &str) -> Value {
        let made = self.docker.files().metadata(&format!("{FOLDER}/{name}")).map(|entry| entry.modified);
        json!({
            "CreatedAt": made.unwrap_or_else(|_| self.now()).strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            "Driver": "local",
            "Labels": null,
            "Mountpoint": data(name),
            "Name": name,
            "Options": null,
            "Scope": "local",
        })
    }

    pub(super) fn remove_volume(&self, name: &str, force: bool) -> Result<(), String> {
        if !self.docker.volumes().iter().any(|known| known == name) {
            return match force {
                true => Ok(()),
                false => Err(format!("Error response from daemon: get {name}: no such volume")),
            };
        }
        let users: Vec<String> = self.docker.users_of(name).into_iter().map(|own| own.container_id).collect();
        if !users.is_empty() {
            return Err(format!(
                "Error response from daemon: remove {name}: volume is in use - [{}]",
                users.join(", ")
            ));
        }
        let removed = self.docker.files().remove_all(&format!("{FOLDER}/{name}"));
        removed.map_err(|error| format!("Error response from daemon: remove {name}: {error}"))
    }

    /// Removes volumes that nobody uses, and tells of them.
    pub(super) fn prune_volumes(&self, all: bool) -> String {
        let mut told = String::new();
        for name in self.docker.volumes() {
            let unused = (all || is_anonymous(&name)) && !self.docker.is_used(&name);
            if unused && self.remove_volume(&name, true).is_ok() {
                told.push_str(&format!("{name}\n"));
            }
        }
        if told.is_empty() { told } else { format!("Deleted Volumes:\n{told}\n") }
    }

    /// Asks before something is done that cannot be undone.
    pub(super) async fn is_sure(&self, warning: &str) -> bool {
        self.process.print(format!("WARNING! {warning}\nAre you sure you want to continue? [y/N] ")).await;
        let answer = self.process.stdin().read(1024).await.unwrap_or_default();
        String::from_utf8_lossy(&answer).trim().eq_ignore_ascii_case("y")
    }
}
