//! Archives as `tar` writes them: POSIX' ustar with GNU's long names; pax headers are read too.

use std::rc::Rc;

use machinery::Timestamp;

use crate::fs::{Entry, Kind};

const BLOCK_BYTES: usize = 512;
const NAME_BYTES: usize = 100;

/// The fields of a header block: where each is, and how long.
type Field = (usize, usize);
const NAME: Field = (0, NAME_BYTES);
const MODE: Field = (100, 8);
const UID: Field = (108, 8);
const GID: Field = (116, 8);
const SIZE: Field = (124, 12);
const MODIFIED: Field = (136, 12);
const CHECKSUM: Field = (148, 8);
const TYPE: Field = (156, 1);
const TARGET: Field = (157, NAME_BYTES);
const MAGIC: Field = (257, 8);
const PREFIX: Field = (345, 155);

/// What a member's header says it is.
mod kind {
    pub const FILE: u8 = b'0';
    pub const SYMLINK: u8 = b'2';
    pub const DIRECTORY: u8 = b'5';
    pub const LONG_TARGET: u8 = b'K';
    pub const LONG_NAME: u8 = b'L';
    pub const PAX: u8 = b'x';
}

/// An archive that is being written.
#[derive(Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// Adds a file, folder or link; nothing of what cannot be in an archive.
    pub fn add(&mut self, name: &str, entry: &Entry) {
        let (kind, target, data) = match &entry.kind {
            Kind::Directory => (kind::DIRECTORY, "", &[][..]),
            Kind::Symlink(target) => (kind::SYMLINK, target.as_str(), &[][..]),
            Kind::File(data) => (kind::FILE, "", data.as_slice()),
            Kind::Program(_) => {
                let content = entry.content().unwrap_or_default();
                return self.member(kind::FILE, name, "", entry, &content);
            }
            Kind::Device(_) => return,
        };
        self.member(kind, name, target, entry, data);
    }

    fn member(&mut self, kind: u8, name: &str, target: &str, entry: &Entry, data: &[u8]) {
        let name = if kind == kind::DIRECTORY { format!("{name}/") } else { name.to_owned() };
        for (long, text) in [(kind::LONG_TARGET, target), (kind::LONG_NAME, name.as_str())] {
            if text.len() > NAME_BYTES {
                self.header(long, "././@LongLink", "", entry, text.len() + 1);
                self.data(&[text.as_bytes(), &[0]].concat());
            }
        }
        self.header(kind, &name, target, entry, data.len());
        self.data(data);
    }

    fn header(&mut self, kind: u8, name: &str, target: &str, entry: &Entry, size: usize) {
        let mut block = [0; BLOCK_BYTES];
        let mut put = |(at, length): Field, text: &[u8]| {
            block.iter_mut().skip(at).zip(text.iter().take(length)).for_each(|(byte, value)| *byte = *value);
        };
        let octal = |(_, length): Field, number: u64| format!("{number:0width$o}", width = length - 1).into_bytes();
        put(NAME, name.as_bytes());
        put(MODE, &octal(MODE, entry.mode.into()));
        put(UID, &octal(UID, entry.uid.into()));
        put(GID, &octal(GID, entry.gid.into()));
        put(SIZE, &octal(SIZE, size as u64));
        put(MODIFIED, &octal(MODIFIED, u64::try_from(entry.modified.as_second()).unwrap_or_default()));
        put(CHECKSUM, b"        ");
        put(TYPE, &[kind]);
        put(TARGET, target.as_bytes());
        put(MAGIC, b"ustar\x0000");
        let sum = checksum(&block);
        let text = format!("{sum:06o}\0 ");
        block.iter_mut().skip(CHECKSUM.0).zip(text.bytes()).for_each(|(byte, value)| *byte = value);
        self.0.extend_from_slice(&block);
    }

    fn data(&mut self, data: &[u8]) {
        self.0.extend_from_slice(data);
        self.0.resize(self.0.len().next_multiple_of(BLOCK_BYTES), 0);
    }

    /// The archive's bytes.
    pub fn finish(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 2 * BLOCK_BYTES, 0);
        self.0
    }
}

/// The sum of a header's bytes, its own field taken for spaces.
fn checksum(block: &[u8]) -> u32 {
    let own = CHECKSUM.0..CHECKSUM.0 + CHECKSUM.1;
    block.iter().enumerate().map(|(at, byte)| if own.contains(&at) { u32::from(b' ') } else { u32::from(*byte) }).sum()
}

/// Reads the files, folders and links of an archive, in order, with their names.
///
/// # Errors
/// `invalid tar magic` for what is no archive, `short read` for one that is cut.
pub fn read(mut data: &[u8]) -> Result<Vec<(String, Entry)>, &'static str> {
    let mut members = Vec::new();
    let (mut long_name, mut long_target) = (None, None);
    while !data.is_empty() {
        let (block, rest) = data.split_at_checked(BLOCK_BYTES).ok_or("short read")?;
        if block.iter().all(|byte| *byte == 0) {
            break;
        }
        if number(block, CHECKSUM) != Some(checksum(block).into()) {
            return Err("invalid tar magic");
        }
        let size = number(block, SIZE).and_then(|size| usize::try_from(size).ok()).ok_or("invalid tar magic")?;
        let content = rest.get(..size).ok_or("short read")?;
        // The last block may be short of its padding.
        data = size.checked_next_multiple_of(BLOCK_BYTES).and_then(|padded| rest.get(padded..)).unwrap_or_default();
        let kind = bytes(block, TYPE).first().copied().unwrap_or_default();
        match kind {
            kind::LONG_NAME => long_name = Some(text(content)),
            kind::LONG_TARGET => long_target = Some(text(content)),
            kind::PAX => {
                for (key, value) in pax(content) {
                    match key {
                        "path" => long_name = Some(value.to_owned()),
                        "linkpath" => long_target = Some(value.to_owned()),
                        _ => {}
                    }
                }
            }
            _ => {
                let name = long_name.take().unwrap_or_else(|| match text(bytes(block, PREFIX)) {
                    prefix if prefix.is_empty() => text(bytes(block, NAME)),
                    prefix => format!("{prefix}/{}", text(bytes(block, NAME))),
                });
                let target = long_target.take().unwrap_or_else(|| text(bytes(block, TARGET)));
                if let Some(entry) = entry(block, kind, target, content) {
                    members.push((name, entry));
                }
            }
        }
    }
    Ok(members)
}

fn entry(block: &[u8], kind: u8, target: String, content: &[u8]) -> Option<Entry> {
    let kind = match kind {
        kind::FILE | 0 => Kind::File(Rc::new(content.to_vec())),
        kind::SYMLINK => Kind::Symlink(target),
        kind::DIRECTORY => Kind::Directory,
        _ => return None,
    };
    let small = |field| number(block, field).and_then(|number| u32::try_from(number).ok()).unwrap_or_default();
    let seconds = number(block, MODIFIED).and_then(|seconds| i64::try_from(seconds).ok()).unwrap_or_default();
    let modified = Timestamp::from_second(seconds).unwrap_or_default();
    Some(Entry { kind, mode: small(MODE) & 0o7777, uid: small(UID), gid: small(GID), modified })
}

fn bytes(block: &[u8], (at, length): Field) -> &[u8] {
    block.get(at..at + length).unwrap_or_default()
}

/// Text up to the first zero byte.
fn text(data: &[u8]) -> String {
    let end = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
    String::from_utf8_lossy(data.get(..end).unwrap_or_default()).into_owned()
}

fn number(block: &[u8], field: Field) -> Option<u64> {
    match text(bytes(block, field)).trim() {
        "" => Some(0),
        digits => u64::from_str_radix(digits, 8).ok(),
    }
}

/// The records of a pax header: `<length> <key>=<value>\n`.
fn pax(mut data: &[u8]) -> Vec<(&str, &str)> {
    let mut records = Vec::new();
    while let Some(space) = data.iter().position(|byte| *byte == b' ') {
        let length = data.get(..space).and_then(|digits| std::str::from_utf8(digits).ok()).and_then(|d| d.parse().ok());
        let Some(length) = length.filter(|length| *length > space + 1 && *length <= data.len()) else { break };
        let (record, rest) = data.split_at(length);
        data = rest;
        let record = record.get(space + 1..length - 1).and_then(|record| std::str::from_utf8(record).ok());
        records.extend(record.and_then(|record| record.split_once('=')));
    }
    records
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_again(members in prop::collection::vec(
            ("[a-z]{1,120}(/[a-z]{1,60}){0,2}", prop::collection::vec(any::<u8>(), 0..1200), 0u32..0o7777, 0..3u8), 0..5,
        )) {
            let mut writer = Writer::default();
            let mut expected = Vec::new();
            for (name, data, mode, kind) in members {
                let now = Timestamp::from_second(1_700_000_000).unwrap();
                let (kind, shown) = match kind {
                    0 => (Kind::File(Rc::new(data)), name.clone()),
                    1 => (Kind::Symlink(format!("../{name}")), name.clone()),
                    _ => (Kind::Directory, format!("{name}/")),
                };
                let entry = Entry { kind, mode, uid: 0, gid: 7, modified: now };
                writer.add(&name, &entry);
                expected.push((shown, entry));
            }
            prop_assert_eq!(read(&writer.finish()), Ok(expected));
        }

        #[test]
        fn hostile_archives_are_errors(
            mut data in prop::collection::vec(any::<u8>(), 0..2000),
            kind in prop_oneof![Just(kind::PAX), Just(kind::LONG_NAME), any::<u8>()],
            size in any::<u32>(),
        ) {
            let _ = read(&data);
            // With a header that is in order.
            let mut writer = Writer::default();
            writer.header(kind, "name", "", &Entry::file("", Timestamp::UNIX_EPOCH), (size % 4000) as usize);
            let mut archive = writer.0;
            archive.append(&mut data);
            let _ = read(&archive);
        }
    }
}
