//! Records from files, commands and standard input.

use regex_lite::Regex;

use crate::errno::Errno;
use crate::io::{Fd, PIPE_BYTES_MAX};
use crate::process::Child;

/// What ends a record.
pub(super) enum Separator {
    Char(u8),
    /// Blank lines.
    Paragraph,
    Regex(Regex),
}

/// A source of records.
pub(super) struct Source {
    fd: Fd,
    buffer: Vec<u8>,
    ended: bool,
    /// The command it is the output of.
    pub(super) child: Option<Child>,
}

impl Source {
    pub(super) fn new(fd: Fd, child: Option<Child>) -> Self {
        Self { fd, buffer: Vec::new(), ended: false, child }
    }

    /// The next record; none at the end.
    pub(super) async fn record(&mut self, separator: &Separator) -> Result<Option<String>, Errno> {
        loop {
            if let Some((length, skip)) = self.find(separator) {
                let record = String::from_utf8_lossy(self.buffer.get(..length).unwrap_or_default()).into_owned();
                self.buffer.drain(..length + skip);
                return Ok(Some(record));
            }
            if self.ended {
                if matches!(separator, Separator::Paragraph) {
                    while self.buffer.last() == Some(&b'\n') {
                        self.buffer.pop();
                    }
                }
                let rest = std::mem::take(&mut self.buffer);
                return Ok((!rest.is_empty()).then(|| String::from_utf8_lossy(&rest).into_owned()));
            }
            let part = self.fd.read(PIPE_BYTES_MAX).await?;
            self.ended = part.is_empty();
            self.buffer.extend_from_slice(&part);
        }
    }

    /// How long the record is that the buffer begins with, and what ends it.
    fn find(&mut self, separator: &Separator) -> Option<(usize, usize)> {
        match separator {
            Separator::Char(byte) => self.buffer.iter().position(|known| known == byte).map(|at| (at, 1)),
            Separator::Paragraph => {
                let blank = self.buffer.iter().take_while(|byte| **byte == b'\n').count();
                self.buffer.drain(..blank);
                let at = self.buffer.windows(2).position(|pair| pair == b"\n\n")?;
                let end = at + self.buffer.iter().skip(at).take_while(|byte| **byte == b'\n').count();
                // More blank lines may come.
                (end < self.buffer.len() || self.ended).then_some((at, end - at))
            }
            Separator::Regex(regex) => {
                let text = String::from_utf8_lossy(&self.buffer);
                let found = regex.find(&text).filter(|found| !found.is_empty())?;
                (found.end() < self.buffer.len() || self.ended).then_some((found.start(), found.len()))
            }
        }
    }
}
