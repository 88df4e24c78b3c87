//! A Docker daemon for the tests, where the machine has none running.

use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::shell::{command, output, say};

/// A daemon started here, ended when dropped; or one that was running already.
pub struct Daemon(Option<Child>);

/// Makes sure that a Docker daemon answers.
///
/// # Errors
/// When none runs and none can be started.
pub fn ensure() -> Result<Daemon> {
    if answers() {
        return Ok(Daemon(None));
    }
    say("starting dockerd");
    std::fs::create_dir_all("target")?;
    let log = File::create("target/dockerd.log")?;
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let mut child = Command::new("dockerd")
        .env("PATH", path)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("cannot start dockerd")?;
    let deadline = Instant::now() + Duration::from_secs(60);
    while !answers() {
        if let Some(status) = child.try_wait()? {
            bail!("dockerd ended with {status}: see target/dockerd.log");
        }
        if Instant::now() > deadline {
            bail!("dockerd does not answer: see target/dockerd.log");
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(Daemon(Some(child)))
}

fn answers() -> bool {
    output(&["docker", "version", "--format", "{{.Server.Version}}"]).is_some()
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            // SIGTERM lets the daemon stop its containers; `Child::kill` would not.
            let _ = command(&["kill", &child.id().to_string()]).status();
            let _ = child.wait();
        }
    }
}
