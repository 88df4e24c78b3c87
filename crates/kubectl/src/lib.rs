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
mod der;
pub mod editor;
mod error;
mod files;
mod help;
pub mod host;
mod jsonpath;
mod key_pair;
pub mod kubeconfig;
mod kuberc;
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
pub use print::go_template::Template;

use futures::future::LocalBoxFuture;

use args::Invocation;
use error::Error;
use session::Session;

/// The command by which a shell of ours asks how a whole line may go on: a candidate a line.
pub const COMPLETE_LINE: &str = "__completeLine";

/// Runs one command line, such as `["get", "pods"]` (without the program's name), to its end. Returns the
/// process's exit code. Dropping the future cancels the command, as Ctrl-C does.
///
/// The future is boxed here: each crate that polls a plain one would hold all of kubectl's code once more.
pub fn run<'a>(args: &'a [String], host: &'a dyn Host) -> LocalBoxFuture<'a, i32> {
    Box::pin(run_line(args, host))
}

async fn run_line(args: &[String], host: &dyn Host) -> i32 {
    if let [hidden, line] = args
        && hidden == COMPLETE_LINE
    {
        let found = complete::complete(line, line.len(), host).await;
        found.candidates.iter().for_each(|candidate| host.stdout(format!("{candidate}\n").as_bytes()));
        return 0;
    }
    if let [hidden, words @ ..] = args
        && matches!(hidden.as_str(), "__complete" | "__completeNoDesc")
    {
        return complete::for_scripts(words, hidden == "__complete", host).await;
    }
    if args.first().is_some_and(|first| first == "alpha") {
        host.stderr(b"No alpha commands are available in this version of kubectl\n");
        return 0;
    }
    let words = match kuberc::applied(args, host).await {
        Ok(words) => words,
        Err(error) => {
            session::report(host, &error);
            return error.exit_code();
        }
    };
    let invocation = match Invocation::parse(&words) {
        Ok(invocation) => invocation,
        Err(error) => {
            session::report(host, &error);
            return error.exit_code();
        }
    };
    if invocation.changed("record") {
        host.stderr(b"Flag --record has been deprecated, --record will be removed in the future\n");
    }
    if invocation.changed("reorder") {
        host.stderr(
            b"Flag --reorder has been deprecated, use the new 'sortOptions' field in kustomization.yaml instead.\n",
        );
    }
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

/// How many words a plugin's name has at least that a command line may mean, where it names no command of kubectl's:
/// `kubectl-foo` for `foo`, `kubectl-create-foo` for `create foo`.
pub fn plugin_words(args: &[String]) -> Option<usize> {
    let first = args.iter().find(|word| !word.starts_with('-'))?;
    if first.starts_with("__complete") || first == "alpha" {
        return None;
    }
    match args::command_of(args) {
        None => Some(1),
        Some(("create", rest)) => rest.first().filter(|word| !word.starts_with('-')).map(|_| 2),
        Some(_) => None,
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
pub fn complete<'a>(line: &'a str, cursor: usize, host: &'a dyn Host) -> LocalBoxFuture<'a, Completion> {
    Box::pin(complete::complete(line, cursor, host))
}
