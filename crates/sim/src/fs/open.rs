//! Open files.

use std::cell::Cell;
use std::task::{Context, Poll};

use bytes::Bytes;
use machinery::Timestamp;

use super::{Fs, Kind};
use crate::errno::Errno;
use crate::io::Device;

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// To read; it must exist.
    Read,
    /// To write from the start; made if absent, emptied if present.
    Truncate,
    /// To write at the end; made if absent.
    Append,
}

/// A file opened for reading or writing.
pub struct OpenFile {
    fs: Fs,
    path: String,
    mode: Mode,
    offset: Cell<usize>,
    opened_at: Timestamp,
    device: Option<&'static str>,
}

impl OpenFile {
    pub(super) fn open(fs: &Fs, path: &str, mode: Mode, now: Timestamp) -> Result<Self, Errno> {
        let path = fs.follow(path)?;
        let entry = fs.metadata(&path);
        if let (Ok(entry), Mode::Read) = (&entry, mode) {
            fs.check(entry, super::READ)?;
        }
        let kind = entry.map(|entry| entry.kind);
        let device = match &kind {
            Ok(Kind::Device(name)) => Some(*name),
            Ok(Kind::Directory) if mode != Mode::Read => return Err(Errno::IsADirectory),
            Err(error) if mode == Mode::Read => return Err(*error),
            _ => None,
        };
        match mode {
            Mode::Truncate if device.is_none() => fs.write(&path, Bytes::new(), now)?,
            Mode::Append if device.is_none() => fs.append(&path, &[], now)?,
            _ => {}
        }
        Ok(Self { fs: fs.clone(), path, mode, offset: Cell::new(0), opened_at: now, device })
    }

    /// The name of the device that it is, if it is one.
    pub fn device(&self) -> Option<&'static str> {
        self.device
    }
}

impl Device for OpenFile {
    fn poll_read(&self, _: &mut Context<'_>, max: usize) -> Poll<Result<Bytes, Errno>> {
        if self.mode != Mode::Read {
            return Poll::Ready(Err(Errno::BadDescriptor));
        }
        let part = self.fs.read_part(&self.path, self.offset.get(), max);
        Poll::Ready(part.inspect(|part| self.offset.set(self.offset.get() + part.len())))
    }

    fn poll_write(&self, _: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize, Errno>> {
        if self.mode == Mode::Read {
            return Poll::Ready(Err(Errno::BadDescriptor));
        }
        let result = match self.device {
            Some("full") => Err(Errno::NoSpace),
            Some(_) => Ok(()),
            None => self.fs.append(&self.path, data, self.opened_at),
        };
        Poll::Ready(result.map(|()| data.len()))
    }
}
