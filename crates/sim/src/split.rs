//! Code that the tab loads when it is first needed.
//!
//! A page that is built with the feature `split` holds such code in chunks of its own (`cargo xtask split`,
//! called by Trunk, cuts them); everywhere else it is linked as any other code.

use std::fmt;

/// A chunk that could not be fetched. The next use tries again.
#[derive(Clone, Copy, Debug)]
pub struct NotLoaded;

impl fmt::Display for NotLoaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this program could not be loaded: check the network connection, then try again")
    }
}

#[cfg(feature = "split")]
impl From<wasm_split_helpers::SplitLoaderError> for NotLoaded {
    fn from(_: wasm_split_helpers::SplitLoaderError) -> Self {
        Self
    }
}

/// Declares a function whose code, with all that only it reaches, belongs to a chunk. Called as an `async fn`
/// that loads the chunk first, hence its result's [`NotLoaded`]. A crate that declares one passes its own
/// feature `split` on to this one's.
#[macro_export]
macro_rules! split {
    ($chunk:ident, $(#[$doc:meta])* fn $name:ident($($argument:ident: $of:ty),*) -> $result:ty $body:block) => {
        $(#[$doc])*
        #[cfg(feature = "split")]
        #[$crate::wasm_split_helpers::wasm_split($chunk, fallible, wasm_split_path = $crate::wasm_split_helpers)]
        fn $name($($argument: $of),*) -> Result<$result, $crate::split::NotLoaded> {
            Ok($body)
        }

        $(#[$doc])*
        #[cfg(not(feature = "split"))]
        #[allow(clippy::unused_async)]
        async fn $name($($argument: $of),*) -> Result<$result, $crate::split::NotLoaded> {
            Ok($body)
        }
    };
}
