//! kubectl as a library: a command line in, text out.
//!
//! [`run`] executes one command line over a [`Host`], which sends requests to the API server, reads
//! files and writes to the terminal. kubectl knows nothing but the HTTP API, so the same code serves the
//! page's terminal, the native binary and any real cluster.

mod api;
mod args;
mod command;
mod commands;
mod complete;
mod credentials;
mod error;
mod files;
mod help;
pub mod host;
mod jsonpath;
pub mod kubeconfig;
mod kustomize;
mod pages;
mod print;
mod resources;
mod select;
mod session;
mod tar;
mod value;
mod yaml;

pub use host::{Connection, DirEntry, FileError, Host, Listener, SendError};
pub use kubeconfig::Endpoint;

use args::Invocation;
use error::Error;
use session::Session;

/// Runs one command line, such as `["get", "pods"]` (without the program's name), to its end. Returns the
/// process's exit code. Dropping the future cancels the command, as Ctrl-C does.
pub async fn run(args: &[String], host: &dyn Host) -> i32 {
    if let [hidden, line] = args
        && hidden == "__complete"
    {
        let found = complete::complete(line, line.len(), host).await;
        found.candidates.iter().for_each(|candidate| host.stdout(format!("{candidate}\n").as_bytes()));
        return 0;
    }
    let invocation = match Invocation::parse(args) {
        Ok(invocation) => invocation,
        Err(error) => {
            session::report(host, &error);
            return error.exit_code();
        }
    };
    if let Some(code) = help::answer(&invocation, host) {
        return code;
    }
    let session = Session::new(host, invocation);
    let mut result = match session.args.checked() {
        Ok(()) => commands::run(&session).await,
        Err(error) => Err(error),
    };
    if result.is_ok() && session.args.bool("warnings-as-errors") && session.warnings() > 0 {
        let count = session.warnings();
        let plural = if count == 1 { "" } else { "s" };
        result = Err(Error::message(format!("{count} warning{plural} received")));
    }
    match result {
        Ok(()) => 0,
        Err(error) => {
            session.report(&error);
            error.exit_code()
        }
    }
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
pub async fn complete(line: &str, cursor: usize, host: &dyn Host) -> Completion {
    complete::complete(line, cursor, host).await
}
