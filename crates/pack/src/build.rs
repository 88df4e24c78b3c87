//! For build scripts: compressing what a program holds.

use std::io::{self, Write as _};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::{env, fs};

use flate2::Compression;
use flate2::write::GzEncoder;

/// Compresses by gzip: as far as it goes where the program is to be small (a tenth less, in thirty times the time).
///
/// # Errors
/// Never, as what is written to is memory.
pub fn compress(content: &[u8]) -> io::Result<Vec<u8>> {
    if env::var("OPT_LEVEL").is_ok_and(|level| level == "z") {
        let mut packed = Vec::new();
        let options = zopfli::Options { iteration_count: NonZeroU64::MIN, ..zopfli::Options::default() };
        zopfli::compress(options, zopfli::Format::Gzip, content, &mut packed)?;
        return Ok(packed);
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content)?;
    encoder.finish()
}

/// A file that the build makes.
pub fn out(name: &str) -> PathBuf {
    PathBuf::from(env::var("OUT_DIR").unwrap_or_default()).join(name)
}

/// Makes a text of a file, to be included as `NAME.rs`.
///
/// # Errors
/// When the file cannot be read, or the outcome not be written.
pub fn file(name: &str, path: &str) -> io::Result<()> {
    println!("cargo::rerun-if-changed={path}");
    text(name, &fs::read_to_string(path)?)
}

/// Makes a text, to be included as `NAME.rs`.
///
/// # Errors
/// When the outcome cannot be written.
pub fn text(name: &str, content: &str) -> io::Result<()> {
    let data = out(&format!("{name}.data"));
    let include = |how: &str, macro_name: &str, data: &Path| format!("pack::Text::{how}({macro_name}!({data:?}))");
    let expression = match env::var("CARGO_CFG_TARGET_ARCH").as_deref() {
        Ok("wasm32") => {
            fs::write(&data, content)?;
            include("plain", "include_str", &data)
        }
        _ => {
            fs::write(&data, compress(content.as_bytes())?)?;
            include("packed", "include_bytes", &data)
        }
    };
    fs::write(out(&format!("{name}.rs")), expression)
}
