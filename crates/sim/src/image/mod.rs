//! Images: programs with their files, environment and habits; and the registries they come from.

pub(crate) mod base;
mod catalog;
mod reference;
mod registry;
mod saved;

use std::rc::Rc;

pub use base::Base;
pub use reference::Reference;
pub use registry::{PullError, Registry};

use crate::fs::Tree;
use crate::process::Signal;

/// The variable by which a server knows what it stands in for.
const STANDS_IN: &str = "GENERIC_IMAGE";

/// An image.
#[derive(Clone, Debug)]
pub struct Image {
    /// Its full name.
    pub reference: Reference,
    /// `sha256:…` of its configuration, by which a runtime names it.
    pub id: String,
    /// `sha256:…` of its manifest, by which a registry names it.
    pub digest: String,
    /// What always runs.
    pub entrypoint: Vec<String>,
    /// Its default arguments, or the command where there is no entrypoint.
    pub cmd: Vec<String>,
    /// Environment.
    pub env: Vec<(String, String)>,
    /// Working directory.
    pub working_dir: String,
    /// User, by name or number; empty for root.
    pub user: String,
    /// Ports it says it listens on.
    pub ports: Vec<u16>,
    /// Its files.
    pub layer: Rc<Tree>,
    /// Compressed size, which a pull transfers.
    pub size_bytes: u64,
    /// Memory its main process holds.
    pub memory_bytes: u64,
    /// CPU it uses at rest, in billionths of a CPU.
    pub cpu_nano_cores: u64,
    /// What asks it to end.
    pub stop_signal: Signal,
}

impl Image {
    /// What runs in the place of a command that the image would have, were it not one that a generic server
    /// stands in for.
    pub fn stand_in(&self, command: &[String]) -> Option<Vec<String>> {
        self.env.iter().any(|(name, _)| name == STANDS_IN).then(|| {
            let server = std::iter::once("generic-server".to_owned());
            server.chain(command.iter().cloned()).collect()
        })
    }
}
