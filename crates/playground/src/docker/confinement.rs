//! What a container's processes may ask of the kernel: seccomp and AppArmor, in Docker's words.

use std::fs;

use kubelet::runtime::{ErrorCode, LinuxSecurity, RuntimeError};

use super::connection::failed;
use super::engine::Engine;
use super::volumes::on_node;

/// The node's folder of seccomp profiles.
const SECCOMP: &str = "/var/lib/kubelet/seccomp";

/// Docker's security options for a container.
///
/// # Errors
/// When the node has not what is asked for.
pub async fn options(engine: &Engine, container: &str, security: &LinuxSecurity) -> Result<Vec<String>, RuntimeError> {
    let mut out = Vec::new();
    if security.no_new_privileges {
        out.push("no-new-privileges".to_owned());
    }
    if security.privileged {
        return Ok(out);
    }
    match security.seccomp_profile.as_str() {
        // Docker's own.
        "RuntimeDefault" => {}
        "" | "Unconfined" => out.push("seccomp=unconfined".into()),
        named => {
            let profile = seccomp(engine, named.trim_start_matches("Localhost/")).map_err(|why| {
                let what = format!("failed to generate security options for container {container:?}");
                let message = format!("{what}: failed to generate seccomp security options for container: {why}");
                RuntimeError::new(ErrorCode::Unknown, message)
            })?;
            out.push(format!("seccomp={profile}"));
        }
    }
    match security.apparmor_profile.as_str() {
        "" => {}
        "Unconfined" => out.push("apparmor=unconfined".into()),
        named => {
            let info = engine.docker.info().await.map_err(failed)?;
            if !info.security_options.unwrap_or_default().iter().any(|option| option.contains("apparmor")) {
                let message = "Cannot enforce AppArmor: AppArmor is not enabled on the host";
                return Err(RuntimeError::new(ErrorCode::Unknown, message));
            }
            out.extend(named.strip_prefix("Localhost/").map(|name| format!("apparmor={name}")));
        }
    }
    Ok(out)
}

/// A profile of the node's, as one line.
fn seccomp(engine: &Engine, name: &str) -> Result<String, String> {
    let path = format!("{SECCOMP}/{name}");
    let text = fs::read_to_string(on_node(engine, &path)).map_err(|error| {
        let why = if error.kind() == std::io::ErrorKind::NotFound {
            "no such file or directory".into()
        } else {
            error.to_string()
        };
        format!("cannot load seccomp profile {path:?}: open {path}: {why}")
    })?;
    let profile: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| format!("cannot load seccomp profile {path:?}: {error}"))?;
    Ok(profile.to_string())
}
