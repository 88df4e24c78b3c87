//! Code that the tab loads when it is first needed.
//!
//! A page that is built with the feature `split` holds such code in chunks of its own (`cargo xtask split`,
//! called by Trunk, cuts them); everywhere else it is linked as any other code.

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// A chunk that could not be fetched. The next use tries again.
#[derive(Clone, Copy, Debug)]
pub struct NotLoaded;

impl fmt::Display for NotLoaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this part could not be loaded: check the network connection, then try again")
    }
}

#[cfg(feature = "split")]
impl From<wasm_split_helpers::SplitLoaderError> for NotLoaded {
    fn from(_: wasm_split_helpers::SplitLoaderError) -> Self {
        Self
    }
}

thread_local! {
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

/// How often this thread has come to [`at_once`]. What every cluster does from its birth on is not to: the chunk would
/// be part of each first visit.
pub fn calls() -> u64 {
    CALLS.get()
}

/// What a [`split!`](crate::split!) function gives, for chunks whose code is needed in the middle of something: the
/// tab's loader stands still until they are there (`AT_ONCE` in `xtask/src/split.rs`).
///
/// # Errors
/// When the chunk could not be fetched.
pub fn at_once<T>(call: impl Future<Output = Result<T, NotLoaded>>) -> Result<T, NotLoaded> {
    // It begins to load, then sees that it has ended.
    const POLLS: usize = 4;
    CALLS.set(CALLS.get() + 1);
    let mut call = pin!(call);
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..POLLS {
        if let Poll::Ready(result) = call.as_mut().poll(&mut cx) {
            return result;
        }
    }
    Err(NotLoaded)
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
        fn $name($($argument: $of),*) -> ::core::result::Result<$result, $crate::split::NotLoaded> {
            Ok($body)
        }

        $(#[$doc])*
        #[cfg(not(feature = "split"))]
        #[allow(clippy::unused_async)]
        async fn $name($($argument: $of),*) -> ::core::result::Result<$result, $crate::split::NotLoaded> {
            Ok($body)
        }
    };
}
