//! `playground kubectl`: kubectl on this machine, with its files, its terminal and its sockets.

pub mod connection;
mod terminal;
mod tls;

use std::hash::{BuildHasher, Hasher};
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::future::LocalBoxFuture;
use futures::{FutureExt, StreamExt, stream};
use jiff::Timestamp;
use kubectl::editor::{self, Editor};
use kubectl::{Connection, DirEntry, Endpoint, FileError, Host, Listener, SendError};
use machinery::wire::{Channels, Request, Response};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, UnixListener};

use crate::ports;
use connection::Connections;
use terminal::Terminal;
pub use terminal::put_back as put_terminal_back;

const READ_BYTES_MAX: usize = 64 * 1024;
/// What a shell says of a program that a closed pipe has ended.
pub const BROKEN_PIPE: i32 = 128 + 13;

/// Runs one command line of kubectl's.
pub fn run(arguments: &[String]) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    if let Some(words) = kubectl::plugin_words(arguments)
        && let Err(problem) = plugin(arguments, words)
    {
        eprintln!("Error: {problem}");
        return ExitCode::FAILURE;
    }
    let machine = ThisMachine { connections: Connections::default(), terminal: Terminal };
    let code = runtime.block_on(kubectl::run(arguments, &machine));
    drop(machine);
    // Standard input may still be waited for.
    runtime.shutdown_background();
    u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from)
}

/// Becomes the plugin that a command line means, if there is one: the program with the longest name, of at least so
/// many words (upstream's `HandlePluginCommand`).
fn plugin(arguments: &[String], words_min: usize) -> Result<(), String> {
    let mut words: Vec<String> =
        arguments.iter().take_while(|word| !word.starts_with('-')).map(|word| word.replace('-', "_")).collect();
    if words.is_empty() {
        let first = arguments.first().map_or("", String::as_str);
        return Err(format!("flags cannot be placed before plugin name: {first}"));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    while words.len() >= words_min {
        let name = format!("kubectl-{}", words.join("-"));
        let is_program = |file: &std::path::PathBuf| {
            file.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
        };
        if let Some(program) = std::env::split_paths(&path).map(|folder| folder.join(&name)).find(is_program) {
            let rest = arguments.get(words.len()..).unwrap_or_default();
            return Err(std::process::Command::new(program).args(rest).exec().to_string());
        }
        words.pop();
    }
    Ok(())
}

struct ThisMachine {
    connections: Connections,
    terminal: Terminal,
}

impl Host for ThisMachine {
    fn send<'a>(&'a self, endpoint: &'a Endpoint, request: Request) -> LocalBoxFuture<'a, Result<Response, SendError>> {
        self.connections.send(endpoint, request).boxed_local()
    }

    fn read_file<'a>(&'a self, path: &'a str) -> LocalBoxFuture<'a, Result<Bytes, FileError>> {
        async move { tokio::fs::read(path).await.map(Bytes::from).map_err(|error| file_error(&error)) }.boxed_local()
    }

    fn write_file<'a>(&'a self, path: &'a str, data: Bytes) -> LocalBoxFuture<'a, Result<(), FileError>> {
        async move {
            let written = async {
                if let Some(folder) = Path::new(path).parent().filter(|folder| !folder.as_os_str().is_empty()) {
                    tokio::fs::create_dir_all(folder).await?;
                }
                tokio::fs::write(path, &data).await
            };
            written.await.map_err(|error| file_error(&error))
        }
        .boxed_local()
    }

    fn read_dir<'a>(&'a self, path: &'a str) -> LocalBoxFuture<'a, Result<Vec<DirEntry>, FileError>> {
        async move {
            let entries = std::fs::read_dir(path).map_err(|error| file_error(&error))?;
            let mut found: Vec<DirEntry> = entries
                .filter_map(Result::ok)
                .map(|entry| DirEntry {
                    is_dir: entry.path().is_dir(),
                    is_executable: entry.path().metadata().is_ok_and(|file| file.permissions().mode() & 0o111 != 0),
                    name: entry.file_name().to_string_lossy().into_owned(),
                })
                .collect();
            found.sort_by(|one, other| one.name.cmp(&other.name));
            Ok(found)
        }
        .boxed_local()
    }

    fn fetch<'a>(&'a self, url: &'a str) -> LocalBoxFuture<'a, Result<(u16, Bytes), SendError>> {
        self.connections.fetch(url).boxed_local()
    }

    fn read_stdin(&self) -> LocalBoxFuture<'_, Option<Bytes>> {
        async {
            let mut buffer = BytesMut::with_capacity(READ_BYTES_MAX);
            let count = tokio::io::stdin().read_buf(&mut buffer).await.unwrap_or(0);
            (count > 0).then(|| buffer.freeze())
        }
        .boxed_local()
    }

    fn stdout(&self, data: &[u8]) {
        let mut stdout = std::io::stdout().lock();
        if stdout.write_all(data).and_then(|()| stdout.flush()).is_err() {
            self.terminal.set_raw(false);
            std::process::exit(BROKEN_PIPE);
        }
    }

    fn stderr(&self, data: &[u8]) {
        // There is nowhere else to complain.
        let _ = std::io::stderr().write_all(data);
    }

    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn random(&self) -> u64 {
        random()
    }

    fn sleep(&self, duration: Duration) -> LocalBoxFuture<'_, ()> {
        tokio::time::sleep(duration).boxed_local()
    }

    fn env(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn terminal(&self) -> Option<(u16, u16)> {
        Terminal::size()
    }

    fn resized(&self) -> LocalBoxFuture<'_, ()> {
        async {
            #[cfg(unix)]
            if let Ok(mut signals) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::window_change()) {
                signals.recv().await;
                return;
            }
            std::future::pending().await
        }
        .boxed_local()
    }

    fn set_raw_mode(&self, raw: bool) {
        self.terminal.set_raw(raw);
    }

    fn edit<'a>(&'a self, name: &'a str, text: String) -> LocalBoxFuture<'a, Result<String, String>> {
        async move { edit(name, &text).map_err(|error| error.to_string()) }.boxed_local()
    }

    fn run_program<'a>(
        &'a self,
        words: &'a [String],
        variables: &'a [(String, String)],
    ) -> LocalBoxFuture<'a, Result<(i32, Bytes), SendError>> {
        async move {
            let Some((program, arguments)) = words.split_first() else { return Err(SendError::Refused) };
            let mut command = tokio::process::Command::new(program);
            command.args(arguments).envs(variables.iter().map(|(name, value)| (name, value)));
            command.stdin(Stdio::null()).stdout(Stdio::piped());
            let output = async { command.spawn()?.wait_with_output().await };
            match output.await {
                Ok(output) => Ok((output.status.code().unwrap_or(1), output.stdout.into())),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(SendError::Refused),
                Err(error) => Err(SendError::Failed(go_reason(&error))),
            }
        }
        .boxed_local()
    }

    fn listen<'a>(&'a self, address: &'a str, port: u16) -> LocalBoxFuture<'a, Result<Listener, String>> {
        async move {
            if address.starts_with('/') {
                return listen_at(address);
            }
            let bound = TcpListener::bind((address, port)).await;
            let failed = |error: &std::io::Error| {
                let reason = go_reason(error);
                format!("unable to create listener: Error listen tcp4 {address}:{port}: bind: {reason}")
            };
            let listener = bound.map_err(|error| failed(&error))?;
            let port = listener.local_addr().map_or(port, |address: SocketAddr| address.port());
            let connections = stream::unfold(listener, async |listener| {
                loop {
                    let Ok((stream, remote)) = listener.accept().await else {
                        tokio::time::sleep(Duration::from_secs(1)).await;
                        continue;
                    };
                    let (ours, channels) = Channels::pair();
                    tokio::spawn(ports::carry(stream, ours));
                    return Some((Connection { channels, remote: remote.to_string() }, listener));
                }
            });
            Ok(Listener { port, connections: connections.boxed_local() })
        }
        .boxed_local()
    }
}

/// Listens on a Unix socket, which nobody but this user may use. One that another run has left goes away.
fn listen_at(path: &str) -> Result<Listener, String> {
    let failed = |error: std::io::Error| format!("listen unix {path}: bind: {}", go_reason(&error));
    if std::fs::metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
        std::fs::remove_file(path).map_err(failed)?;
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).map_err(failed)?;
    let connections = stream::unfold(listener, async |listener| {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            };
            let (ours, channels) = Channels::pair();
            tokio::spawn(ports::carry(stream, ours));
            return Some((Connection { channels, remote: String::new() }, listener));
        }
    });
    Ok(Listener { port: 0, connections: connections.boxed_local() })
}

/// A number by the system's entropy.
fn random() -> u64 {
    std::hash::RandomState::new().build_hasher().finish()
}

/// Lets the user's editor change a text, as upstream's cmd/util/editor does.
fn edit(name: &str, text: &str) -> std::io::Result<String> {
    let file = std::env::temp_dir().join(editor::file_name(random(), name));
    std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file)?.write_all(text.as_bytes())?;
    let path = file.to_string_lossy();
    let editor = Editor::new(|name| std::env::var(name).ok(), &path);
    let (program, arguments) =
        editor.words.split_first().map_or(("vi", [].as_slice()), |(word, words)| (word.as_str(), words));
    let status = std::process::Command::new(program).args(arguments).status();
    let edited = std::fs::read_to_string(&file);
    std::fs::remove_file(&file)?;
    match status {
        Ok(status) if status.success() => edited,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !program.contains('/') => {
            Err(std::io::Error::other(editor.problem(false, &path)))
        }
        _ => Err(std::io::Error::other(editor.problem(true, &path))),
    }
}

fn file_error(error: &std::io::Error) -> FileError {
    match error.kind() {
        std::io::ErrorKind::NotFound => FileError::NotFound,
        std::io::ErrorKind::PermissionDenied => FileError::PermissionDenied,
        std::io::ErrorKind::IsADirectory => FileError::IsADirectory,
        _ => FileError::Other,
    }
}

/// The system's words for an error, as Go prints them: lower case, without the number.
fn go_reason(error: &std::io::Error) -> String {
    let text = error.to_string().to_lowercase();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}
