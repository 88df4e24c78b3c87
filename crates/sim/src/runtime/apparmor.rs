//! AppArmor as far as a container notices it: a profile must be loaded on its node, has a name in `/proc/1/attr/current`,
//! and may keep the container from writing.

use kubelet::runtime::{ErrorCode, RuntimeError};

use super::Node;
use crate::fs::Fs;
use crate::process::Machine;

/// The profiles that are loaded on a node, a line each: `<name> (enforce)`, and `deny /** w` where they forbid to write.
pub const PROFILES: &str = "/sys/kernel/security/apparmor/profiles";

impl Node {
    fn apparmor_profile(&self, name: &str) -> Option<String> {
        let loaded = Fs::new(self.host.clone(), false).read_text(PROFILES).unwrap_or_default();
        loaded.lines().find(|line| line.split(' ').next() == Some(name)).map(str::to_owned)
    }

    /// A profile that is not loaded keeps a container from being made.
    pub(super) fn check_apparmor(&self, profile: &str) -> Result<(), RuntimeError> {
        let Some(name) = profile.strip_prefix("Localhost/").or_else(|| profile.strip_prefix("localhost/")) else {
            return Ok(());
        };
        if self.apparmor_profile(name).is_some() {
            return Ok(());
        }
        let message = format!(
            "failed to create containerd container: failed to generate apparmor spec opts: apparmor profile not found {name}"
        );
        Err(RuntimeError::new(ErrorCode::Unknown, message))
    }

    /// Puts a container's machine under its profile.
    pub(super) fn confine(&self, machine: &Machine, profile: &str, privileged: bool) {
        let loaded = profile.split_once('/').and_then(|(_, name)| Some((name, self.apparmor_profile(name)?)));
        match loaded {
            Some((name, line)) => machine.set_confinement(&format!("{name} (enforce)"), line.ends_with("deny /** w")),
            None if privileged || profile == "Unconfined" => {}
            None => machine.set_confinement("cri-containerd.apparmor.d (enforce)", false),
        }
    }
}
