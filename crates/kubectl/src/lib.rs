//! kubectl as a library: a command line in, text out.
//!
//! [`run`] executes one command line over a [`Host`], which sends requests to the API server, reads
//! files and writes to the terminal. kubectl knows nothing but the HTTP API, so the same code serves the
//! page's terminal, the native binary and any real cluster.

pub mod host;
pub mod kubeconfig;

pub use host::{Connection, DirEntry, FileError, Host, Listener, SendError};
pub use kubeconfig::Endpoint;

/// Runs one command line, such as `["get", "pods"]` (without the program's name), to its end. Returns the
/// process's exit code. Dropping the future cancels the command, as Ctrl-C does.
pub async fn run(_args: &[String], host: &dyn Host) -> i32 {
    host.stderr(b"error: unknown command\n");
    1
}

/// Candidates for the word under the cursor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Completion {
    /// Byte offset in the line at which the word to replace starts.
    pub start: usize,
    /// What may stand there, sorted.
    pub candidates: Vec<String>,
}

/// Completes the word at `cursor` (a byte offset) of a line that starts with `kubectl` or an alias of it:
/// commands, flags, kinds, names.
pub async fn complete(_line: &str, cursor: usize, _host: &dyn Host) -> Completion {
    Completion { start: cursor, candidates: Vec::new() }
}
