//! The native binary; see the library.

/// A pod is some five thousand allocations until it is ready, which the C libraries' allocators, musl's above all,
/// take longer for.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    playground::run()
}
