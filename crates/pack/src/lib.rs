//! Large texts of a program, compressed in it, and whole when somebody first reads them.
//!
//! A crate's build script makes one by `build::text`, and the crate has it as
//! `static PAGES: Text = include!(concat!(env!("OUT_DIR"), "/pages.rs"));`. Programs in WebAssembly, which travel
//! compressed as a whole, have the text as it is.

#[cfg(feature = "build")]
pub mod build;

use std::sync::OnceLock;

/// A text.
pub struct Text {
    packed: &'static [u8],
    whole: OnceLock<String>,
    plain: &'static str,
}

impl Text {
    /// One that is there as it is.
    pub const fn plain(text: &'static str) -> Self {
        Self { packed: &[], whole: OnceLock::new(), plain: text }
    }

    /// One that the build has compressed by gzip.
    #[cfg(not(target_arch = "wasm32"))]
    pub const fn packed(bytes: &'static [u8]) -> Self {
        Self { packed: bytes, whole: OnceLock::new(), plain: "" }
    }

    /// The text.
    pub fn get(&'static self) -> &'static str {
        if self.packed.is_empty() { self.plain } else { self.whole.get_or_init(|| unpack(self.packed)) }
    }
}

/// What the build has compressed is whole, and was a text.
#[cfg(not(target_arch = "wasm32"))]
fn unpack(bytes: &[u8]) -> String {
    let mut text = String::new();
    let read = std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(bytes), &mut text);
    debug_assert!(read.is_ok(), "{read:?}");
    text
}

#[cfg(target_arch = "wasm32")]
fn unpack(_: &[u8]) -> String {
    String::new()
}
