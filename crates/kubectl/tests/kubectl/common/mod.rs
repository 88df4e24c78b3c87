//! A learner's machine in a map, and an API server behind it: command lines in, text out.

#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses a part of it, and a test may fail")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use apiserver::ApiServer;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::LocalBoxFuture;
use machinery::wire::{Request, Response};
use machinery::{Clock, Timestamp};
use playground_kubectl::{DirEntry, Endpoint, FileError, Host, SendError};

/// A clock that a test moves, in seconds since its first reading.
#[derive(Clone, Default)]
struct Moved(Arc<AtomicU64>);

impl Clock for Moved {
    fn now(&self) -> Timestamp {
        let start: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        start + Duration::from_secs(self.0.load(Ordering::Relaxed))
    }
}

type Editor = Box<dyn Fn(String) -> String>;

pub struct World {
    server: Option<ApiServer>,
    pub files: RefCell<BTreeMap<String, Vec<u8>>>,
    pub stdin: RefCell<Vec<u8>>,
    stdout: RefCell<Vec<u8>>,
    stderr: RefCell<Vec<u8>>,
    pub edit: RefCell<Option<Editor>>,
    clock: Moved,
}

impl World {
    /// A machine with a cluster that has nobody in it but the API server.
    pub fn new() -> Self {
        let store = store::Store::new(&store::Options::default());
        let clock = Moved::default();
        let server = ApiServer::new(apiserver::Options::new(store, Arc::new(clock.clone()), 7)).unwrap();
        server.bootstrap().unwrap();
        Self { server: Some(server), clock, ..Self::alone() }
    }

    /// A machine whose cluster does not answer.
    pub fn alone() -> Self {
        Self {
            server: None,
            files: RefCell::default(),
            stdin: RefCell::default(),
            stdout: RefCell::default(),
            stderr: RefCell::default(),
            edit: RefCell::default(),
            clock: Moved::default(),
        }
    }

    pub fn file(&self, path: &str, text: &str) -> &Self {
        self.files.borrow_mut().insert(path.to_owned(), text.as_bytes().to_vec());
        self
    }

    pub fn later(&self, seconds: u64) {
        self.clock.0.fetch_add(seconds, Ordering::Relaxed);
    }

    /// Runs a line: standard output, then standard error with `! ` before each line, then the exit code if
    /// it is not 0.
    pub fn run(&self, line: &str) -> String {
        let words = words(line);
        let code = playground_kubectl::run(&words, self).now_or_never().expect("the line ends at once");
        let mut out = String::from_utf8(self.stdout.take()).unwrap();
        for line in String::from_utf8(self.stderr.take()).unwrap().lines() {
            out.push_str(format!("! {line}").trim_end());
            out.push('\n');
        }
        if code != 0 {
            out.push_str(&format!("exit {code}\n"));
        }
        out
    }

    /// Runs a line and compares; the expectation starts on its own line and may be indented.
    #[track_caller]
    pub fn check(&self, line: &str, expected: &str) {
        let margin = expected
            .lines()
            .filter(|line| !line.trim().is_empty())
            .map(|line| line.len() - line.trim_start().len())
            .min()
            .unwrap_or(0);
        let mut lines: Vec<&str> = expected.lines().map(|line| line.get(margin..).unwrap_or("")).collect();
        if lines.first().is_some_and(|first| first.is_empty()) {
            lines.remove(0);
        }
        if lines.last().is_some_and(|last| last.is_empty()) {
            lines.pop();
        }
        let got = self.run(line);
        let got: Vec<&str> = got.lines().map(str::trim_end).collect();
        assert_eq!(got.join("\n"), lines.join("\n"), "kubectl {line}");
    }

    /// Runs a line for which no server answers at an address, such as `http://localhost:8080`: discovery is tried
    /// five times, then the original gives up.
    pub fn check_refused(&self, line: &str, server: &str) {
        let host = server.split("://").last().unwrap_or_default();
        let address = host.replace("localhost:", "127.0.0.1:");
        let attempt = format!(
            "! E0102 03:04:05.000000       1 memcache.go:265] \"Unhandled Error\" err=\"couldn't get current server API \
             group list: Get \\\"{server}/api?timeout=32s\\\": dial tcp {address}: connect: connection refused\"\n"
        );
        let refused = format!(
            "! The connection to the server {host} was refused - did you specify the right host or port?\nexit 1"
        );
        self.check(line, &(attempt.repeat(5) + &refused));
    }

    pub fn complete(&self, line: &str) -> Vec<String> {
        playground_kubectl::complete(line, line.len(), self).now_or_never().expect("completion ends at once").candidates
    }
}

fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, ' ') => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

impl Host for World {
    fn send<'a>(&'a self, _: &'a Endpoint, request: Request) -> LocalBoxFuture<'a, Result<Response, SendError>> {
        match &self.server {
            Some(server) => server.handle(request).map(Ok).boxed_local(),
            None => async { Err(SendError::Refused) }.boxed_local(),
        }
    }
    fn read_file<'a>(&'a self, path: &'a str) -> LocalBoxFuture<'a, Result<Bytes, FileError>> {
        let found = self.files.borrow().get(path).cloned();
        async move { found.map(Bytes::from).ok_or(FileError::NotFound) }.boxed_local()
    }
    fn write_file<'a>(&'a self, path: &'a str, data: Bytes) -> LocalBoxFuture<'a, Result<(), FileError>> {
        self.files.borrow_mut().insert(path.to_owned(), data.to_vec());
        async { Ok(()) }.boxed_local()
    }
    fn read_dir<'a>(&'a self, path: &'a str) -> LocalBoxFuture<'a, Result<Vec<DirEntry>, FileError>> {
        let folder = format!("{}/", path.trim_end_matches('/'));
        let files = self.files.borrow();
        let mut entries: Vec<DirEntry> = files
            .keys()
            .filter_map(|file| file.strip_prefix(&folder))
            .map(|rest| match rest.split_once('/') {
                Some((name, _)) => DirEntry { name: name.to_owned(), is_dir: true, is_executable: false },
                None => DirEntry { name: rest.to_owned(), is_dir: false, is_executable: false },
            })
            .collect();
        entries.dedup();
        let is_file = files.contains_key(path);
        async move {
            match entries.is_empty() {
                false => Ok(entries),
                true if is_file => Err(FileError::Other),
                true => Err(FileError::NotFound),
            }
        }
        .boxed_local()
    }
    fn fetch<'a>(&'a self, _: &'a str) -> LocalBoxFuture<'a, Result<(u16, Bytes), SendError>> {
        async { Ok((404, Bytes::new())) }.boxed_local()
    }
    fn read_stdin(&self) -> LocalBoxFuture<'_, Option<Bytes>> {
        let all = self.stdin.take();
        async move { (!all.is_empty()).then(|| all.into()) }.boxed_local()
    }
    fn stdout(&self, data: &[u8]) {
        self.stdout.borrow_mut().extend_from_slice(data);
    }
    fn stderr(&self, data: &[u8]) {
        self.stderr.borrow_mut().extend_from_slice(data);
    }
    fn now(&self) -> Timestamp {
        self.clock.now()
    }
    fn random(&self) -> u64 {
        7
    }
    fn sleep(&self, _: Duration) -> LocalBoxFuture<'_, ()> {
        async {}.boxed_local()
    }
    fn env(&self, name: &str) -> Option<String> {
        (name == "HOME").then(|| "/home/learner".to_owned())
    }
    fn edit<'a>(&'a self, _: &'a str, text: String) -> LocalBoxFuture<'a, Result<String, String>> {
        let edited = self.edit.borrow().as_ref().map(|edit| edit(text));
        async move { edited.ok_or_else(|| "no editor".to_owned()) }.boxed_local()
    }
}

pub const DEPLOYMENT: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  labels:
    app: web
spec:
  replicas: 2
  selector:
    matchLabels:
      app: web
  template:
    metadata:
      labels:
        app: web
    spec:
      containers:
      - name: web
        image: nginx:1.27
        ports:
        - containerPort: 80
";

pub const POD: &str = "\
apiVersion: v1
kind: Pod
metadata:
  name: web
  labels:
    app: web
spec:
  containers:
  - name: web
    image: nginx
";
