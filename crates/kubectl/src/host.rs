//! What kubectl needs of the machine it runs on.
//!
//! The native host has files, sockets and a terminal; the learner's machine in the tab has its own small
//! file system and hands requests to the core. Tests implement it over a `BTreeMap` and a function.

use std::time::Duration;

use bytes::Bytes;
use futures::future::LocalBoxFuture;
use machinery::Timestamp;
use machinery::wire::{Channels, Request, Response};

use crate::kubeconfig::Endpoint;

/// Why a request got no response at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendError {
    /// Nobody listens at the endpoint.
    Refused,
    /// Anything else, in the words of the layer that failed, such as `x509: certificate signed by
    /// unknown authority`.
    Failed(String),
}

/// Why a file could not be read or written, as kubectl words it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileError {
    /// There is no such file or folder.
    NotFound,
    /// The host does not allow it.
    PermissionDenied,
    /// A folder where a file was expected.
    IsADirectory,
    /// Any other failure.
    Other,
}

impl FileError {
    /// The system's words for it: `no such file or directory`, …
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "no such file or directory",
            Self::PermissionDenied => "permission denied",
            Self::IsADirectory => "is a directory",
            Self::Other => "input/output error",
        }
    }
}

/// One name in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntry {
    /// The name, without the folder.
    pub name: String,
    /// Whether it is a folder itself.
    pub is_dir: bool,
    /// Whether anybody may run it, where it is a file.
    pub is_executable: bool,
}

/// A connection that somebody opened to a port of a [`Listener`]: channel 0 carries its bytes.
pub struct Connection {
    /// The two directions of the connection.
    pub channels: Channels,
    /// Where it comes from, for error messages.
    pub remote: String,
}

/// A port that is being listened on, until dropped.
pub struct Listener {
    /// The port, where 0 was asked for the one that was found.
    pub port: u16,
    /// Connections as they come.
    pub connections: futures::stream::LocalBoxStream<'static, Connection>,
}

/// The machine kubectl runs on.
///
/// A run is cancelled (Ctrl-C, a closed terminal) by dropping its future. Paths are as the user typed
/// them; the host resolves relative ones against its working directory.
pub trait Host {
    /// Sends a request to a cluster. The request's URI has a path and a query only: the endpoint says
    /// which server and which credentials; a host with one cluster may ignore it.
    fn send<'a>(&'a self, endpoint: &'a Endpoint, request: Request) -> LocalBoxFuture<'a, Result<Response, SendError>>;

    /// Reads a whole file.
    fn read_file<'a>(&'a self, path: &'a str) -> LocalBoxFuture<'a, Result<Bytes, FileError>>;

    /// Writes a whole file, making the folders on the way to it.
    fn write_file<'a>(&'a self, path: &'a str, data: Bytes) -> LocalBoxFuture<'a, Result<(), FileError>>;

    /// What is in a folder, sorted by name; [`FileError::Other`] if it is a file.
    fn read_dir<'a>(&'a self, path: &'a str) -> LocalBoxFuture<'a, Result<Vec<DirEntry>, FileError>>;

    /// Fetches a manifest by `http` or `https`: status code and body.
    fn fetch<'a>(&'a self, url: &'a str) -> LocalBoxFuture<'a, Result<(u16, Bytes), SendError>>;

    /// The next piece of standard input; `None` at its end.
    fn read_stdin(&self) -> LocalBoxFuture<'_, Option<Bytes>>;

    /// Writes to standard output, at once.
    fn stdout(&self, data: &[u8]);

    /// Writes to standard error, at once.
    fn stderr(&self, data: &[u8]);

    /// The time, for ages and timeouts.
    fn now(&self) -> Timestamp;

    /// A random number, for names that shall be unique.
    fn random(&self) -> u64;

    /// Completes after the given time.
    fn sleep(&self, duration: Duration) -> LocalBoxFuture<'_, ()>;

    /// An environment variable: `KUBECONFIG`, `HOME`, `KUBE_EDITOR`, …
    fn env(&self, name: &str) -> Option<String>;

    /// Columns and rows, if standard input and output are a terminal.
    fn terminal(&self) -> Option<(u16, u16)> {
        None
    }

    /// Whether the shell that runs this completes kubectl's words by itself, so that no script is wanted for it.
    fn completes_words(&self) -> bool {
        cfg!(target_arch = "wasm32")
    }

    /// Completes when the terminal has changed its size.
    fn resized(&self) -> LocalBoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }

    /// Puts the terminal into raw mode (`exec -it`), where Ctrl-C is a byte of standard input.
    fn set_raw_mode(&self, _raw: bool) {}

    /// Lets the user edit a text; the file name's ending tells the format. The edited text comes back.
    fn edit<'a>(&'a self, _name: &'a str, _text: String) -> LocalBoxFuture<'a, Result<String, String>> {
        Box::pin(async { Err("there is no editor on this machine".into()) })
    }

    /// Runs a program of this machine to its end, without standard input; what it says on standard error is shown.
    /// Exit code and standard output come back; [`SendError::Refused`] if there is no such program.
    fn run_program<'a>(
        &'a self,
        words: &'a [String],
        _variables: &'a [(String, String)],
    ) -> LocalBoxFuture<'a, Result<(i32, Bytes), SendError>> {
        let name = words.first().cloned().unwrap_or_default();
        Box::pin(async move { Err(SendError::Failed(format!("this machine runs no {name}: it is a simulated one"))) })
    }

    /// Listens on a port (`port-forward`, `proxy`). An address that begins with a slash is that of a Unix socket.
    fn listen<'a>(&'a self, _address: &'a str, _port: u16) -> LocalBoxFuture<'a, Result<Listener, String>> {
        Box::pin(async { Err("this machine has no ports".into()) })
    }
}
