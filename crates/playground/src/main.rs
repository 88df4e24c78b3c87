//! The native binary; see the library.

fn main() -> std::process::ExitCode {
    playground::run()
}
