//! Room in the Worker's memory for what comes. By itself it grows by 64 KiB whenever something does not fit, and each
//! growth costs the browser up to a millisecond: seconds for a cluster of 10,000 pods.

use std::cell::Cell;
use std::hint::black_box;

/// What a small cluster takes, at least.
const LEAST: usize = 16 << 20;
/// The room for what comes, as a part of what there is.
const PART: usize = 8;

/// How much memory there was after the last growth.
#[derive(Debug, Default)]
pub struct Room(Cell<usize>);

impl Room {
    /// Grows the memory by a good part at once if it has begun to grow by itself.
    pub fn make(&self) {
        if memory_bytes() <= self.0.get() {
            return;
        }
        let wanted = (memory_bytes() / PART).max(LEAST);
        // The allocator keeps what it is given back. What is not to be had is not missed yet.
        let mut room = Vec::<u8>::new();
        let _ = black_box(&mut room).try_reserve_exact(wanted);
        drop(black_box(room));
        self.0.set(memory_bytes());
    }
}

#[cfg(target_arch = "wasm32")]
fn memory_bytes() -> usize {
    const PAGE_BYTES: usize = 64 << 10;
    std::arch::wasm32::memory_size::<0>() * PAGE_BYTES
}

/// Elsewhere the system grows it.
#[cfg(not(target_arch = "wasm32"))]
fn memory_bytes() -> usize {
    0
}
