//! Where clusters are kept on this machine, and whether they are being served.
//!
//! A cluster is a directory: its store, its certificates, its settings, and the file that `serve` keeps
//! locked while it serves it. The one named [`DEFAULT_NAME`] has the usual place itself, others a folder
//! in it; `--data-dir` names any other place.

use std::fs::{File, TryLockError};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{Read, Seek, SeekFrom, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use playground_core::kind_config;
use serde::{Deserialize, Serialize};

use crate::certificates::write_private;
use crate::cli::{Runtime, Which};
use crate::docker::OwnConfig;

/// The cluster that is meant where none is named.
pub const DEFAULT_NAME: &str = "playground";
/// The folder of the others, in the usual place.
const OTHERS: &str = "clusters";
/// The file by which a data directory is known as one.
const STORE: &str = "store.redb";
const SETTINGS: &str = "cluster.json";
const SEAT: &str = "serve.json";
/// What `delete` removes; somebody else's files stay.
const OWN_FILES: [&str; 7] = [STORE, SETTINGS, SEAT, "kubeconfig", "pki", "volumes", "serve.log"];
/// How long whoever only looks may keep the lock.
const LOOKED_AT_MAX: Duration = Duration::from_secs(1);

/// A cluster's place on this machine.
#[derive(Clone, Debug)]
pub struct Home {
    /// The cluster's name: its nodes are named after it.
    pub name: String,
    /// Its data directory.
    pub directory: PathBuf,
    /// Whether it is in the usual place, where there is only one of its name.
    usual: bool,
}

/// What was said of a cluster when it was made or served last, for the next time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Settings {
    /// Its name.
    pub name: Option<String>,
    /// What runs the containers.
    pub runtime: Option<Runtime>,
    /// Where the server listens.
    pub listen: Option<SocketAddr>,
    /// How many nodes.
    pub nodes: Option<u16>,
    /// Simulated nodes beside them.
    pub sim_nodes: Option<u16>,
    /// kind's configuration, the file's text.
    pub config: Option<String>,
    /// Where the paths in it begin: the folder in which it was given.
    pub config_folder: Option<PathBuf>,
}

/// A server of a cluster, as it describes itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Running {
    /// Its process.
    pub pid: u32,
    /// Where it listens; none before it is ready.
    pub address: Option<SocketAddr>,
    /// The page's address, if the binary has the page.
    pub page: Option<String>,
}

/// A place that this process serves; free again when it is dropped or the process ends.
pub struct Seat(File);

impl Home {
    /// The cluster of that name, or in that directory.
    ///
    /// # Errors
    /// When the name cannot be one, there is no usual place, or the directory's cluster has another name.
    pub fn of(name: Option<&str>, data_dir: Option<&PathBuf>) -> Result<Self> {
        if let Some(name) = name {
            kind_config::check_name(name).map_err(anyhow::Error::msg)?;
        }
        let Some(directory) = data_dir else {
            let name = name.unwrap_or(DEFAULT_NAME).to_owned();
            let usual = usual_place()?;
            let directory = if name == DEFAULT_NAME { usual } else { usual.join(OTHERS).join(&name) };
            return Ok(Self { name, directory, usual: true });
        };
        // A server in the background is in another folder than its maker.
        let absolute = std::path::absolute(directory)?;
        let mut home = Self { name: DEFAULT_NAME.into(), directory: absolute, usual: false };
        let known = home.settings()?.name;
        if let (Some(known), Some(name)) = (&known, name)
            && known != name
        {
            bail!("the cluster in {} is named {known:?}, not {name:?}", directory.display());
        }
        home.name = known.or_else(|| name.map(str::to_owned)).unwrap_or(home.name);
        Ok(home)
    }

    /// The cluster that a command is about, which must exist.
    ///
    /// # Errors
    /// As [`Home::of`], and when there is no such cluster.
    pub fn existing(which: &Which) -> Result<Self> {
        let home = Self::of(which.name.as_deref(), which.data_dir.as_ref())?;
        if home.exists() {
            return Ok(home);
        }
        if which.data_dir.is_some() {
            bail!("there is no cluster in {}", home.directory.display());
        }
        let known: Vec<String> = Self::all()?.into_iter().map(|home| home.name).collect();
        match known.as_slice() {
            [] => bail!(
                "there is no cluster {:?}: make one with `playground create cluster`, or say the --data-dir of one that has its own",
                home.name
            ),
            known => bail!(
                "there is no cluster {:?}: there is {}; one with a --data-dir of its own is found by that",
                home.name,
                known.join(", ")
            ),
        }
    }

    /// All clusters in the usual place, by name.
    ///
    /// # Errors
    /// When there is no usual place.
    pub fn all() -> Result<Vec<Self>> {
        let usual = usual_place()?;
        let mut found = vec![Self { name: DEFAULT_NAME.into(), directory: usual.clone(), usual: true }];
        // Without the folder there are no others.
        for entry in std::fs::read_dir(usual.join(OTHERS)).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            found.push(Self { name, directory: entry.path(), usual: true });
        }
        found.retain(Self::exists);
        found.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(found)
    }

    /// Whether there is a cluster.
    pub fn exists(&self) -> bool {
        self.directory.join(STORE).is_file() || self.directory.join(SETTINGS).is_file()
    }

    /// Whether it is in the usual place.
    pub fn is_usual(&self) -> bool {
        self.usual
    }

    /// The name of its context in kubeconfig files.
    pub fn context(&self) -> String {
        match self.name.as_str() {
            DEFAULT_NAME => DEFAULT_NAME.into(),
            name => format!("{DEFAULT_NAME}-{name}"),
        }
    }

    /// Its kubeconfig file.
    pub fn kubeconfig(&self) -> PathBuf {
        self.directory.join("kubeconfig")
    }

    /// What a server in the background prints.
    pub fn log(&self) -> PathBuf {
        self.directory.join("serve.log")
    }

    /// Makes the directory, for its owner only: Secrets are in it. One that exists stays as it is.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn make(&self) -> Result<()> {
        use std::os::unix::fs::DirBuilderExt;
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.directory);
        made.with_context(|| {
            let directory = self.directory.display();
            format!(
                "cannot use the data directory {directory}; choose another with --data-dir or change its permissions"
            )
        })
    }

    /// What was said of it before; nothing where nothing was.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn settings(&self) -> Result<Settings> {
        let file = self.directory.join(SETTINGS);
        match std::fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .with_context(|| format!("{} is damaged: correct or remove it", file.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Settings::default()),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", file.display())),
        }
    }

    /// Keeps what was said.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, settings: &Settings) -> Result<()> {
        write_private(&self.directory.join(SETTINGS), &serde_json::to_string_pretty(settings)?)
    }

    /// Whose containers on Docker are this cluster's.
    ///
    /// # Errors
    /// When the directory is not there.
    pub fn own_on_docker(&self) -> Result<OwnConfig> {
        // Volumes are bound into containers by absolute paths.
        let data_dir = self.directory.canonicalize()?.join("volumes");
        // Only clusters in the usual place have the plain names.
        let suffix = match self.usual {
            true => String::new(),
            false => {
                let mut hasher = DefaultHasher::new();
                data_dir.hash(&mut hasher);
                format!("-{:06x}", hasher.finish() & 0xff_ffff)
            }
        };
        Ok(OwnConfig { cluster: self.name.clone(), suffix, data_dir })
    }

    /// Takes the place of its server.
    ///
    /// # Errors
    /// When another process serves it.
    pub fn take_seat(&self) -> Result<Seat> {
        use std::os::unix::fs::OpenOptionsExt;
        let path = self.directory.join(SEAT);
        let file = File::options().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = file.with_context(|| format!("cannot write {}", path.display()))?;
        let deadline = Instant::now() + LOOKED_AT_MAX;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                // Somebody may only be looking.
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                Err(TryLockError::WouldBlock) => bail!(
                    "the data directory {} is in use by another process; stop it or choose another with --data-dir",
                    self.directory.display()
                ),
                Err(TryLockError::Error(error)) => {
                    return Err(error).with_context(|| format!("cannot lock {}", path.display()));
                }
            }
        }
        let mut seat = Seat(file);
        seat.tell(&Running { pid: std::process::id(), address: None, page: None })?;
        Ok(seat)
    }

    /// The cluster's server, if there is one.
    pub fn running(&self) -> Option<Running> {
        let mut file = File::open(self.directory.join(SEAT)).ok()?;
        // Nobody holds it: it was left behind.
        if file.try_lock_shared().is_ok() {
            return None;
        }
        let mut text = String::new();
        file.read_to_string(&mut text).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Removes all that is the cluster's here.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn remove(&self) -> Result<()> {
        for name in OWN_FILES {
            let path = self.directory.join(name);
            let removed = if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
            match removed {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("cannot remove {}", path.display()));
                }
                _ => {}
            }
        }
        // Somebody else's files stay, and the directory with them.
        let _ = std::fs::remove_dir(&self.directory);
        if self.usual {
            let usual = usual_place()?;
            let _ = std::fs::remove_dir(usual.join(OTHERS)).and_then(|()| std::fs::remove_dir(usual));
        }
        Ok(())
    }
}

impl Seat {
    /// Says how the server can be reached.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn tell(&mut self, running: &Running) -> Result<()> {
        let text = serde_json::to_string(running)?;
        let mut write = || -> std::io::Result<()> {
            self.0.seek(SeekFrom::Start(0))?;
            self.0.set_len(0)?;
            self.0.write_all(text.as_bytes())
        };
        write().context("cannot write how this server can be reached")
    }
}

/// Where clusters are kept: a folder in the user's data directory.
fn usual_place() -> Result<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let data = variable("XDG_DATA_HOME").or_else(|| variable("HOME").map(|home| Path::new(&home).join(".local/share")));
    Ok(data.context("no home directory: say where to keep the data with --data-dir")?.join("playground"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_one_server() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::of(None, Some(&folder.path().to_path_buf())).unwrap();
        assert!(!home.exists());
        assert_eq!(home.running(), None);
        let mut seat = home.take_seat().unwrap();
        let running = Running { pid: 1, address: Some(([127, 0, 0, 1], 6443).into()), page: None };
        seat.tell(&running).unwrap();
        assert_eq!(home.running(), Some(running));
        assert!(home.take_seat().is_err_and(|error| error.to_string().contains("in use")));
        drop(seat);
        assert_eq!(home.running(), None, "what is left behind says nothing");
        home.take_seat().unwrap();
    }

    #[test]
    fn a_directory_keeps_its_name() {
        let folder = tempfile::tempdir().unwrap().path().join("data");
        let home = Home::of(Some("one"), Some(&folder)).unwrap();
        home.make().unwrap();
        home.save(&Settings { name: Some("one".into()), ..Settings::default() }).unwrap();
        assert_eq!(Home::of(None, Some(&folder)).unwrap().context(), "playground-one");
        assert!(Home::of(Some("two"), Some(&folder)).is_err());
        assert!(Home::of(Some("No"), None).is_err());
        home.remove().unwrap();
        assert!(!folder.exists());
    }
}
