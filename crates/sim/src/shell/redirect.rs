//! Redirections.

use super::ast::{Redirect, Target};
use super::{Flow, Shell};
use crate::errno::Errno;
use crate::fs::{self, Kind, Mode};
use crate::io::Fd;

impl Shell {
    /// Applies redirections to the shell's descriptors; false where one failed, with its message told.
    pub(super) async fn redirect(&mut self, redirects: &[Redirect]) -> Result<bool, Flow> {
        for redirect in redirects {
            let opened = match &redirect.target {
                Target::Text(word) => Some(Fd::from_bytes(self.expand_one(word).await?.into_bytes())),
                Target::Duplicate(word) => {
                    let text = self.expand_one(word).await?;
                    match text.parse::<u32>() {
                        _ if text == "-" => None,
                        Ok(number) if self.fds.contains_key(&number) => self.fds.get(&number).cloned(),
                        Ok(_) => {
                            self.error(&format!("{text}: Bad file descriptor")).await;
                            return Ok(false);
                        }
                        Err(_) => match self.open(&text, Mode::Truncate).await {
                            // `>&file` is bash's `&>file`.
                            Some(fd) => {
                                self.fds.insert(2, fd.clone());
                                Some(fd)
                            }
                            None => return Ok(false),
                        },
                    }
                }
                Target::Read(word) | Target::Write(word) | Target::Append(word) => {
                    let mode = match redirect.target {
                        Target::Read(_) => Mode::Read,
                        Target::Append(_) => Mode::Append,
                        _ => Mode::Truncate,
                    };
                    let path = self.expand_one(word).await?;
                    match self.open(&path, mode).await {
                        Some(fd) => Some(fd),
                        None => return Ok(false),
                    }
                }
            };
            match opened {
                Some(fd) => self.fds.insert(redirect.fd, fd),
                None => self.fds.remove(&redirect.fd),
            };
        }
        Ok(true)
    }

    pub(super) async fn open(&mut self, path: &str, mode: Mode) -> Option<Fd> {
        let absolute = fs::absolute(&self.cwd, path);
        let device = match self.fs.metadata(&absolute).map(|entry| entry.kind) {
            Ok(Kind::Device("tty")) => self.fd(0).tty().map(crate::tty::Tty::fd),
            _ => match absolute.as_str() {
                "/dev/stdin" => Some(self.fd(0)),
                "/dev/stdout" | "/proc/self/fd/1" => Some(self.fd(1)),
                "/dev/stderr" | "/proc/self/fd/2" => Some(self.fd(2)),
                path => path.strip_prefix("/dev/fd/").and_then(|number| self.fds.get(&number.parse().ok()?).cloned()),
            },
        };
        if device.is_some() {
            return device;
        }
        match self.machine.open(&self.fs, &absolute, mode) {
            Ok(file) => Some(file),
            Err(error) => {
                let what = match (mode, error) {
                    (Mode::Read, Errno::NotFound) => format!("can't open {path}: no such file"),
                    (Mode::Read, error) => format!("can't open {path}: {error}"),
                    (_, Errno::NotFound) => format!("can't create {path}: nonexistent directory"),
                    (_, error) => format!("can't create {path}: {error}"),
                };
                self.error(&what).await;
                None
            }
        }
    }
}
