//! `gzip`, `gunzip`, `zcat`, and the format they share with `tar -z` (RFC 1952).

use std::io::{ErrorKind, Read, Write};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

use crate::process::Process;

use super::options::Options;

const MAGIC: [u8; 3] = [0x1f, 0x8b, 8];
/// What a small file may become.
const UNPACKED_BYTES_MAX: u64 = 256 << 20;

/// Which of the programs it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Tool {
    Gzip,
    Gunzip,
    Zcat,
}

pub(super) async fn gzip(process: Process, tool: Tool) -> i32 {
    const LONG: [(&str, &str); 5] =
        [("stdout", "c"), ("decompress", "d"), ("force", "f"), ("keep", "k"), ("test", "t")];
    let options = match Options::parse(process.operands(), "cdfknqtv123456789", &LONG) {
        Ok(options) => options,
        Err(message) => return process.fail(1, message).await,
    };
    let tests = options.has("t");
    let unpacks = tests || tool != Tool::Gzip || options.has("d");
    let prints = tool == Tool::Zcat || options.has("c");
    let work = |data: &[u8]| if unpacks { unpack(data) } else { Ok(pack(data)) };
    if options.operands.is_empty() {
        let done = process.stdin().read_to_end().await.map_err(|error| error.to_string());
        return match done.and_then(|data| work(&data).map_err(Into::into)) {
            Ok(_) if tests => 0,
            Ok(data) => i32::from(!process.print(data).await),
            Err(error) => process.fail(1, error).await,
        };
    }
    let mut code = 0;
    for operand in &options.operands {
        let path = process.path(operand);
        let prints = prints || operand == "-";
        let target = match (unpacks, path.strip_suffix(".gz"), path.strip_suffix(".tgz")) {
            _ if prints || tests => String::new(),
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
            Ok(_) if tests => Ok(()),
            Ok(data) if prints => {
                process.print(data).await;
                Ok(())
            }
            Ok(_) if process.fs().exists(&target) && !options.has("f") => Err(format!("{target} already exists")),
            Ok(data) => process.fs().write(&target, data, process.machine.now()).map_err(|error| error.to_string()),
            Err(error) => Err(error),
        };
        match written {
            Ok(()) if prints || tests || options.has("k") => {}
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
    let mut out = GzEncoder::new(Vec::new(), Compression::default());
    let written = out.write_all(data).and_then(|()| out.finish());
    // Memory takes whatever is written.
    written.unwrap_or_default()
}

/// The data of all members.
pub(super) fn unpack(data: &[u8]) -> Result<Vec<u8>, &'static str> {
    if !is_packed(data) {
        return Err("invalid magic");
    }
    let mut out = Vec::new();
    let read = MultiGzDecoder::new(data).take(UNPACKED_BYTES_MAX + 1).read_to_end(&mut out);
    match read.map_err(|error| error.kind()) {
        Ok(length) if length as u64 > UNPACKED_BYTES_MAX => Err("too large for this machine"),
        Ok(_) => Ok(out),
        Err(ErrorKind::UnexpectedEof) => Err("unexpected end of file"),
        Err(_) => Err("corrupted data"),
    }
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
        assert_eq!(unpack(&[&abc[..], abc].concat()), Ok(b"abcabc".to_vec()));
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
