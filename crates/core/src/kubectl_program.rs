//! `kubectl` as a program of the learner's machine: its files and terminal are the machine's, its way
//! to the API server is a function call.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use apiserver::UserInfo;
use bytes::Bytes;
use futures::channel::mpsc;
use futures::future::LocalBoxFuture;
use futures::{FutureExt, StreamExt, stream};
use http::HeaderValue;
use kubectl::editor::{self, Editor};
use kubectl::{Connection, DirEntry, Endpoint, FileError, Host, Listener, SendError};
use machinery::Timestamp;
use machinery::split;
use machinery::wire::{Channels, Request, Response};
use sim::errno::Errno;
use sim::io::{Fd, PIPE_BYTES_MAX};
use sim::network::bridge;
use sim::process::{Completer, Environment, ExecError, Process, Program, Signal, Spawn};

use crate::hints;
use crate::public_api::COMMAND;
use crate::world::Clusters;

/// The channel of a [`Connection`] that carries its bytes.
const DATA: u8 = 0;

/// The program, for [`sim::process::Machine::install`].
pub(crate) fn program(clusters: Clusters) -> Rc<dyn Program> {
    Rc::new(move |process: Process| {
        let clusters = clusters.clone();
        async move {
            match kubectl_main().await {
                Ok(main) => main(process, clusters).await,
                Err(not_loaded) => process.fail(126, format_args!("kubectl: {not_loaded}")).await,
            }
        }
    })
}

/// kubectl's main function.
type Main = fn(Process, Clusters) -> LocalBoxFuture<'static, i32>;

split! {
    kubectl,
    /// kubectl.
    fn kubectl_main() -> Main {
        |process, clusters| main(process, clusters).boxed_local()
    }
}

/// Loads its code, for somebody who has begun to type.
pub(crate) async fn load() {
    // What cannot be loaded is told when it is wanted.
    let _ = kubectl_main().await;
}

async fn main(process: Process, clusters: Clusters) -> i32 {
    let (output, written) = mpsc::unbounded();
    let host = ProcessHost { process: Rc::new(process), clusters, output, errors: RefCell::default() };
    let process = host.process.clone();
    let run = async move {
        let arguments = host.process.operands().to_vec();
        let code = kubectl::run(&arguments, &host).await;
        let hint = if code == 0 { None } else { hints::hint(&arguments, &host.errors.borrow()) };
        if let Some(hint) = hint {
            host.stderr(format!("{hint}\n").as_bytes());
        }
        code
        // The host goes here, and with it the end of the output.
    };
    let (code, ()) = futures::join!(run, copy_out(process, written));
    code
}

/// Completes kubectl's arguments in the shell: kubectl says itself how a line may go on.
pub(crate) fn completer(env: Environment) -> Completer {
    Rc::new(move |machine, words| {
        let (machine, env) = (machine.clone(), env.clone());
        async move {
            let args = vec!["kubectl".to_owned(), kubectl::COMPLETE_LINE.to_owned(), words.join(" ")];
            let Ok(found) = machine.find(&args, &env, "/") else { return Vec::new() };
            let (stdout, out) = Fd::buffer();
            let child = machine.spawn(Spawn {
                program: found.program,
                args: found.args,
                env,
                cwd: "/".into(),
                uid: 0,
                gid: 0,
                fds: BTreeMap::from([(0, Fd::null()), (1, stdout), (2, Fd::null())]),
                parent: 0,
                group: None,
            });
            child.wait().await;
            let text = String::from_utf8_lossy(&out.borrow()).into_owned();
            text.lines().map(str::to_owned).collect()
        }
        .boxed_local()
    })
}

/// Which of a process' outputs.
#[derive(Clone, Copy)]
enum Stream {
    Stdout,
    Stderr,
}

/// kubectl writes at once; pipes and terminals take it as they can.
async fn copy_out(process: Rc<Process>, mut written: mpsc::UnboundedReceiver<(Stream, Bytes)>) {
    while let Some((stream, data)) = written.next().await {
        let fd = match stream {
            Stream::Stdout => process.stdout(),
            Stream::Stderr => process.stderr(),
        };
        // A reader that has gone does not end kubectl: it writes into nothing.
        let _ = fd.write_all(&data).await;
    }
}

/// How long a command line may be to be told whole.
const LINE_BYTES_MAX: usize = 400;

/// The line that a person typed, near enough: with quotes where they are needed.
fn command_line(arguments: &[String]) -> String {
    let mut line = "kubectl".to_owned();
    for argument in arguments {
        let plain = |c: char| c.is_ascii_graphic() && !"'\"\\$`;&|<>*?()#".contains(c);
        line.push(' ');
        match argument.chars().all(plain) && !argument.is_empty() {
            true => line.push_str(argument),
            false => line.push_str(&format!("'{}'", argument.replace('\'', "'\\''").replace(['\n', '\r', '\t'], " "))),
        }
    }
    match line.char_indices().find(|(at, _)| *at > LINE_BYTES_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

struct ProcessHost {
    process: Rc<Process>,
    clusters: Clusters,
    output: mpsc::UnboundedSender<(Stream, Bytes)>,
    /// The first of what went to standard error.
    errors: RefCell<String>,
}

/// Errors that tell what is wrong tell it soon.
const ERRORS_BYTES_MAX: usize = 4096;

impl ProcessHost {
    fn print(&self, stream: Stream, data: &[u8]) {
        // The receiver lives as long as kubectl runs.
        let _ = self.output.unbounded_send((stream, Bytes::copy_from_slice(data)));
    }
}

impl ProcessHost {
    /// Runs the user's editor on a file with the text, as upstream's cmd/util/editor does.
    async fn run_editor(&self, name: &str, text: String) -> Result<String, String> {
        let process = &self.process;
        let path = format!("/tmp/{}", editor::file_name(process.machine.random(), name));
        process.fs().write(&path, text, self.now()).map_err(|error| error.to_string())?;
        let editor = Editor::new(|name| self.env(name), &path);
        let outcome = match process.spawn(&editor.words, process.fds.clone(), None) {
            Ok(child) if child.wait().await == 0 => process.fs().read_text(&path).map_err(|error| error.to_string()),
            Err(ExecError::NotInPath) => Err(editor.problem(false, &path)),
            Ok(_) | Err(ExecError::Path(_)) => Err(editor.problem(true, &path)),
        };
        // Nobody needs it any more.
        let _ = process.fs().remove(&path);
        outcome
    }
}

impl Host for ProcessHost {
    fn send<'a>(
        &'a self,
        endpoint: &'a Endpoint,
        mut request: Request,
    ) -> LocalBoxFuture<'a, Result<Response, SendError>> {
        if let Ok(line) = HeaderValue::from_bytes(command_line(self.process.operands()).as_bytes()) {
            request.headers_mut().insert(COMMAND, line);
        }
        // Whoever sits at this computer has the administrator's kubeconfig, or is whose token it comes with.
        if !request.headers().contains_key(http::header::AUTHORIZATION) {
            request.extensions_mut().insert(UserInfo::admin());
        }
        match self.clusters.api(&endpoint.server).filter(|api| !api.is_down()) {
            Some(api) => api.handle(request).map(Ok).boxed_local(),
            None => async { Err(SendError::Refused) }.boxed_local(),
        }
    }

    fn read_file<'a>(&'a self, path: &'a str) -> LocalBoxFuture<'a, Result<Bytes, FileError>> {
        let outcome = self.process.fs().read(&self.process.path(path)).map_err(file_error);
        async move { outcome }.boxed_local()
    }

    fn write_file<'a>(&'a self, path: &'a str, data: Bytes) -> LocalBoxFuture<'a, Result<(), FileError>> {
        let path = self.process.path(path);
        let fs = self.process.fs();
        let folder = sim::fs::parent(&path);
        let outcome = fs.create_dir_all(folder, self.now()).and_then(|()| fs.write(&path, data, self.now()));
        async move { outcome.map_err(file_error) }.boxed_local()
    }

    fn read_dir<'a>(&'a self, path: &'a str) -> LocalBoxFuture<'a, Result<Vec<DirEntry>, FileError>> {
        let path = self.process.path(path);
        let fs = self.process.fs();
        let outcome = match fs.list(&path) {
            Ok(entries) => Ok(entries
                .into_iter()
                .map(|(name, entry)| DirEntry {
                    is_dir: fs.is_dir(&format!("{path}/{name}")),
                    is_executable: entry.mode & 0o111 != 0,
                    name,
                })
                .collect()),
            Err(error) => Err(file_error(error)),
        };
        async move { outcome }.boxed_local()
    }

    fn fetch<'a>(&'a self, url: &'a str) -> LocalBoxFuture<'a, Result<(u16, Bytes), SendError>> {
        if let Some(text) = crate::lesson_files::web_file(url) {
            return async move { Ok((200, Bytes::from(text))) }.boxed_local();
        }
        let host = url.split("://").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default();
        let reason = format!("dial tcp: lookup {host}: no such host");
        async move { Err(SendError::Failed(reason)) }.boxed_local()
    }

    fn read_stdin(&self) -> LocalBoxFuture<'_, Option<Bytes>> {
        async move {
            let data = self.process.stdin().read(PIPE_BYTES_MAX).await.unwrap_or_default();
            (!data.is_empty()).then_some(data)
        }
        .boxed_local()
    }

    fn stdout(&self, data: &[u8]) {
        self.print(Stream::Stdout, data);
    }

    fn stderr(&self, data: &[u8]) {
        let mut errors = self.errors.borrow_mut();
        if errors.len() < ERRORS_BYTES_MAX {
            errors.push_str(&String::from_utf8_lossy(data));
        }
        drop(errors);
        self.print(Stream::Stderr, data);
    }

    fn now(&self) -> Timestamp {
        self.process.machine.now()
    }

    fn sleep(&self, duration: Duration) -> LocalBoxFuture<'_, ()> {
        self.process.sleep(duration).boxed_local()
    }

    fn env(&self, name: &str) -> Option<String> {
        self.process.env.get(name).cloned()
    }

    fn terminal(&self) -> Option<(u16, u16)> {
        let stdout = self.process.stdout();
        self.process.stdin().tty().and(stdout.tty()).map(sim::tty::Tty::size)
    }

    fn random(&self) -> u64 {
        self.process.machine.random()
    }

    fn completes_words(&self) -> bool {
        true
    }

    fn resized(&self) -> LocalBoxFuture<'_, ()> {
        let signals = &self.process.signals;
        signals.handle(Signal::Winch);
        async move { while signals.next().await != Signal::Winch {} }.boxed_local()
    }

    fn edit<'a>(&'a self, name: &'a str, text: String) -> LocalBoxFuture<'a, Result<String, String>> {
        self.run_editor(name, text).boxed_local()
    }

    fn listen<'a>(&'a self, address: &'a str, port: u16) -> LocalBoxFuture<'a, Result<Listener, String>> {
        let bound = self.process.machine.interface().listen(port);
        let executor = self.process.machine.executor().clone();
        let listener = bound.map(|(port, listener)| {
            let connections = stream::unfold(listener, move |listener| {
                let executor = executor.clone();
                async move {
                    let stream = listener.accept().await;
                    let remote = stream.info().remote.to_string();
                    let (ours, channels) = Channels::pair();
                    executor.spawn(bridge(stream, ours, DATA));
                    Some((Connection { channels, remote }, listener))
                }
            });
            Listener { port, connections: connections.boxed_local() }
        });
        let failed = |error: Errno| {
            format!(
                "unable to create listener: Error listen tcp4 {address}:{port}: bind: {}",
                error.as_str().to_lowercase()
            )
        };
        let outcome = listener.map_err(failed);
        async move { outcome }.boxed_local()
    }

    fn set_raw_mode(&self, raw: bool) {
        if let Some(tty) = self.process.stdin().tty() {
            tty.set_raw(raw);
        }
    }
}

fn file_error(error: Errno) -> FileError {
    match error {
        Errno::NotFound => FileError::NotFound,
        Errno::PermissionDenied => FileError::PermissionDenied,
        Errno::IsADirectory => FileError::IsADirectory,
        _ => FileError::Other,
    }
}
