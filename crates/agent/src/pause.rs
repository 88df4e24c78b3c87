//! Waiting for the end.

use std::process::ExitCode;

/// Waits until a signal ends the process. Children that orphans become, in a process namespace that a
/// pod's containers share, are reaped by the kernel.
#[allow(unsafe_code)]
pub fn run() -> ExitCode {
    unsafe extern "C" {
        fn signal(number: i32, handler: usize) -> usize;
        fn pause() -> i32;
        fn _exit(code: i32) -> !;
    }
    extern "C" fn end(_: i32) {
        // SAFETY: `_exit` may be called in a signal handler.
        unsafe { _exit(0) }
    }
    const SIGINT: i32 = 2;
    const SIGTERM: i32 = 15;
    const SIGCHLD: i32 = 17;
    const SIG_IGN: usize = 1;
    let handler: extern "C" fn(i32) = end;
    // SAFETY: the C library's functions with their own types; the handler does nothing but end.
    unsafe {
        signal(SIGCHLD, SIG_IGN);
        signal(SIGINT, handler as usize);
        signal(SIGTERM, handler as usize);
        loop {
            pause();
        }
    }
}
