//! A Docker daemon of a test's own, to be stopped and broken.
//!
//! It has a network namespace of its own, so that its bridges and its firewall's rules are nobody else's.
//! From outside there is no way to its containers' addresses: as with Docker in a virtual machine, or
//! rootless Docker.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::{docker_at, eventually, image_at};

/// A daemon; ends with what it runs when it is dropped.
pub struct Daemon {
    folder: TempDir,
    /// Holds the network namespace.
    holder: Child,
    process: Option<Child>,
}

impl Daemon {
    /// Starts one. None where this machine cannot: that is said.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn start() -> Option<Self> {
        let can = Command::new("unshare").args(["--net", "true"]).stderr(Stdio::null()).status();
        if !can.is_ok_and(|status| status.success()) {
            println!("SKIPPED: a Docker daemon of the test's own needs root");
            return None;
        }
        let holder = Command::new("unshare")
            .args(["--net", "sh", "-c", "PATH=$PATH:/usr/sbin:/sbin; ip link set lo up; exec sleep 100000"])
            .spawn()
            .expect("unshare");
        let mut daemon = Self { folder: TempDir::new().expect("a temporary folder"), holder, process: None };
        let namespace = format!("/proc/{}/ns/net", daemon.holder.id());
        let own = std::fs::read_link("/proc/self/ns/net").expect("a namespace");
        eventually("the daemon has a network of its own", || {
            std::fs::read_link(&namespace).ok().filter(|theirs| *theirs != own)
        });
        daemon.run();
        Some(daemon)
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Its address.
    pub fn host(&self) -> String {
        format!("unix://{}", self.path("sock"))
    }

    /// Starts it again.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn run(&mut self) {
        let log = File::options().create(true).append(true).open(self.path("log")).expect("a log file");
        let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
        let child = Command::new("nsenter")
            .arg(format!("--net=/proc/{}/ns/net", self.holder.id()))
            .args(["dockerd", "--host", &self.host(), "--data-root", &self.path("data")])
            .args(["--exec-root", &self.path("exec"), "--pidfile", &self.path("pid")])
            .env("PATH", path)
            .env_remove("DOCKER_HOST")
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log file"))
            .stderr(log)
            .spawn()
            .expect("nsenter");
        self.process = Some(child);
        eventually("dockerd answers", || {
            let mut version = Command::new("docker");
            let version = version.args(["version"]).env("DOCKER_HOST", self.host()).output().ok()?;
            version.status.success().then_some(())
        });
    }

    /// Ends it, as a service manager does; its containers end with it.
    ///
    /// # Panics
    /// When it does not end.
    pub fn stop(&mut self) {
        self.signal("TERM");
        if let Some(mut process) = self.process.take() {
            eventually("dockerd ends", || process.try_wait().ok().flatten());
        }
    }

    /// Holds it still: it takes connections, and says nothing.
    pub fn freeze(&self) {
        self.signal("STOP");
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        if let Some(process) = &self.process {
            let _ = Command::new("kill").args([&format!("-{name}"), &process.id().to_string()]).status();
        }
    }

    /// The output of a Docker line that succeeds.
    ///
    /// # Panics
    /// When it fails.
    pub fn docker(&self, arguments: &[&str]) -> String {
        docker_at(Some(&self.host()), arguments)
    }

    /// An image of busybox whose command is a shell line.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn image(&self, name: &str, line: &str) {
        image_at(Some(&self.host()), name, line);
    }

    /// Where its files are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.thaw();
        self.signal("TERM");
        if let Some(mut process) = self.process.take() {
            // Its containers' file systems are mounted until it has ended.
            let _ = process.wait();
        }
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
