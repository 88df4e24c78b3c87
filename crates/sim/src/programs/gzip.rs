//! `gzip`, `gunzip`, `zcat`, and the format they share with `tar -z` (RFC 1952).

use miniz_oxide::deflate::compress_to_vec;
use miniz_oxide::inflate::decompress_to_vec_with_limit;

use crate::process::Process;

use super::options::Options;

const MAGIC: [u8; 3] = [0x1f, 0x8b, 8];
const HEADER_BYTES: usize = 10;
const TRAILER_BYTES: usize = 8;
/// What a small file may become.
const UNPACKED_BYTES_MAX: usize = 256 << 20;
const LEVEL: u8 = 6;

/// Which of the programs it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Tool {
    Gzip,
    Gunzip,
    Zcat,
}

pub(super) async fn gzip(process: Process, tool: Tool) -> i32 {
    const LONG: [(&str, &str); 4] = [("stdout", "c"), ("decompress", "d"), ("force", "f"), ("keep", "k")];
    let options = match Options::parse(process.operands(), "cdfknqtv123456789", &LONG) {
        Ok(options) => options,
        Err(message) => return process.fail(1, message).await,
    };
    let unpacks = tool != Tool::Gzip || options.has("d");
    let prints = tool == Tool::Zcat || options.has("c");
    let work = |data: &[u8]| if unpacks { unpack(data) } else { Ok(pack(data)) };
    if options.operands.is_empty() {
        let done = process.stdin().read_to_end().await.map_err(|error| error.to_string());
        return match done.and_then(|data| work(&data).map_err(Into::into)) {
            Ok(data) => i32::from(!process.print(data).await),
            Err(error) => process.fail(1, error).await,
        };
    }
    let mut code = 0;
    for operand in &options.operands {
        let path = process.path(operand);
        let target = match (unpacks, path.strip_suffix(".gz"), path.strip_suffix(".tgz")) {
            _ if prints => String::new(),
            (false, ..) => format!("{path}.gz"),
            (true, Some(name), _) => name.to_owned(),
            (true, None, Some(name)) => format!("{name}.tar"),
            (true, None, None) => {
                code = process.fail(1, format_args!("{operand}: unknown suffix - ignored")).await;
                continue;
            }
        };
        let data = match process.open(operand) {
            Ok(file) => file.read_to_end().await,
            Err(error) => Err(error),
        };
        let done = data.map_err(|error| error.to_string()).and_then(|data| work(&data).map_err(Into::into));
        let written = match done {
            Ok(data) if prints => {
                process.print(data).await;
                Ok(())
            }
            Ok(_) if process.fs().exists(&target) && !options.has("f") => Err(format!("{target} already exists")),
            Ok(data) => process.fs().write(&target, data, process.machine.now()).map_err(|error| error.to_string()),
            Err(error) => Err(error),
        };
        match written {
            Ok(()) if prints || options.has("k") => {}
            Ok(()) => {
                if let Err(error) = process.fs().remove(&path) {
                    code = process.fail(1, format_args!("{operand}: {error}")).await;
                }
            }
            Err(error) => code = process.fail(1, format_args!("{operand}: {error}")).await,
        }
    }
    code
}

/// Whether data begins as what `gzip` makes.
pub(super) fn is_packed(data: &[u8]) -> bool {
    data.starts_with(&MAGIC)
}

/// Data as one member: no name, no time.
pub(super) fn pack(data: &[u8]) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.resize(HEADER_BYTES - 1, 0);
    out.push(3);
    out.extend(compress_to_vec(data, LEVEL));
    out.extend(checksum(data).to_le_bytes());
    out.extend((data.len() as u32).to_le_bytes());
    out
}

/// The data of one member.
pub(super) fn unpack(data: &[u8]) -> Result<Vec<u8>, &'static str> {
    const CHECKED: u8 = 2;
    const EXTRA: u8 = 4;
    const NAME: u8 = 8;
    const COMMENT: u8 = 16;
    const CUT: &str = "unexpected end of file";
    if !is_packed(data) {
        return Err("invalid magic");
    }
    let flags = data.get(MAGIC.len()).copied().ok_or(CUT)?;
    let mut rest = data.get(HEADER_BYTES..).ok_or(CUT)?;
    if flags & EXTRA != 0 {
        let (length, after) = rest.split_first_chunk::<2>().ok_or(CUT)?;
        rest = after.get(usize::from(u16::from_le_bytes(*length))..).ok_or(CUT)?;
    }
    for flag in [NAME, COMMENT] {
        if flags & flag != 0 {
            let end = rest.iter().position(|byte| *byte == 0).ok_or(CUT)?;
            rest = rest.get(end + 1..).ok_or(CUT)?;
        }
    }
    if flags & CHECKED != 0 {
        rest = rest.get(2..).ok_or(CUT)?;
    }
    let (packed, trailer) = rest.split_at_checked(rest.len().wrapping_sub(TRAILER_BYTES)).ok_or(CUT)?;
    let unpacked = decompress_to_vec_with_limit(packed, UNPACKED_BYTES_MAX).map_err(|_| "corrupted data")?;
    match trailer.first_chunk::<4>() {
        Some(sum) if u32::from_le_bytes(*sum) == checksum(&unpacked) => Ok(unpacked),
        _ => Err("crc error"),
    }
}

/// CRC-32 as in Ethernet.
fn checksum(data: &[u8]) -> u32 {
    !data.iter().fold(!0, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| sum >> 1 ^ if sum & 1 == 1 { 0xedb8_8320 } else { 0 })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_gzip_made_is_read() {
        // `printf abc | gzip -n`
        let abc = b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x4b\x4c\x4a\x06\0\xc2\x41\x24\x35\x03\0\0\0";
        assert_eq!(unpack(abc), Ok(b"abc".to_vec()));
        assert_eq!(checksum(b"123456789"), 0xcbf4_3926);
        assert_eq!(unpack(b"abc"), Err("invalid magic"));
        assert_eq!(unpack(&MAGIC), Err("unexpected end of file"));
    }

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked(data: Vec<u8>, noise: Vec<u8>) {
            prop_assert_eq!(unpack(&pack(&data)), Ok(data));
            let _ = unpack(&[&MAGIC[..], &noise].concat());
        }
    }
}
