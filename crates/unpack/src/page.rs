//! What `www/unpack.js` calls. Its memory is of the one call alone: a new instance for each module.
#![expect(unsafe_code, reason = "memory that a script fills is known by its address")]

use core::arch::wasm32::memory_grow;
use core::slice;

const PAGE_BYTES: usize = 64 * 1024;

/// Makes room for so many bytes, and gives their address.
#[unsafe(no_mangle)]
extern "C" fn room(bytes: usize) -> usize {
    match memory_grow::<0>(bytes.div_ceil(PAGE_BYTES)) {
        usize::MAX => core::arch::wasm32::unreachable(),
        pages => pages * PAGE_BYTES,
    }
}

/// Puts a module together that is in memory, and gives its address; 0 for what is not in this form, or broken.
#[unsafe(no_mangle)]
extern "C" fn unpack(wire: usize, length: usize) -> usize {
    // SAFETY: the script has filled this part of what `room` gave it; nothing else refers to it.
    let wire = unsafe { slice::from_raw_parts(wire as *const u8, length) };
    let Some(bytes) = crate::room(wire) else { return 0 };
    let address = room(bytes);
    // SAFETY: `room` gives memory that nothing else refers to, zeroed.
    let out = unsafe { slice::from_raw_parts_mut(address as *mut u8, bytes) };
    if crate::unpack(wire, out).is_some() { address } else { 0 }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}
