//! A first visit of the page, as a browser makes it: what it asks a static host for until nothing more comes.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::shell::command;

/// Without a request for so long, the page is idle.
const QUIET: Duration = Duration::from_secs(10);

/// The files of a built page that a browser with an empty cache fetches when it opens the page, by their paths
/// below the folder. What the service worker asks for again, of a browser that has it, is in there once.
///
/// # Errors
/// When there is no Chromium, or the page does not begin to run.
pub fn first(folder: &Path) -> Result<BTreeSet<String>> {
    let (visit, requests) = open(folder, "")?;
    let mut seen = BTreeSet::new();
    while let Ok(request) = requests.recv_timeout(QUIET) {
        if let Asked::File(path) = request {
            seen.insert(path);
        }
    }
    drop(visit);
    ensure!(seen.iter().any(|path| path.ends_with("worker_bg.wasm")), "the page did not start its Worker: {seen:?}");
    Ok(seen)
}

/// What a page of a folder tells by posting a line.
///
/// # Errors
/// When there is no Chromium, or nothing is told in that time.
pub fn told(folder: &Path, page: &str, time: Duration) -> Result<String> {
    let (visit, requests) = open(folder, page)?;
    let end = Instant::now() + time;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if let Asked::Told(line) = requests.recv_timeout(left).with_context(|| format!("{page} told nothing"))? {
            drop(visit);
            return Ok(line);
        }
    }
}

/// Something that a page asked of its host.
enum Asked {
    /// A file that there is.
    File(String),
    /// To be told a line.
    Told(String),
}

/// Opens a page of a folder in a browser.
fn open(folder: &Path, page: &str) -> Result<(Visit, Receiver<Asked>)> {
    let listener = TcpListener::bind("127.0.0.1:0").context("no free port")?;
    let address = listener.local_addr()?;
    let (asked, requests) = mpsc::channel();
    let files = folder.to_owned();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (files, asked) = (files.clone(), asked.clone());
            thread::spawn(move || answer(stream, &files, &asked));
        }
    });
    let profile = std::env::temp_dir().join(format!("playground-visit-{}", std::process::id()));
    let chromium = command(&["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"])
        .args(["--disable-dev-shm-usage", "--enable-precise-memory-info"])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!("http://{address}/{page}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start chromium")?;
    Ok((Visit { chromium, profile }, requests))
}

/// A browser that ends, and is forgotten, with the visit.
struct Visit {
    chromium: Child,
    profile: PathBuf,
}

impl Drop for Visit {
    fn drop(&mut self) {
        let _ = self.chromium.kill();
        let _ = self.chromium.wait();
        let _ = fs::remove_dir_all(&self.profile);
    }
}

/// Answers the requests of a connection as a static host does, and tells which files were sent, and what was posted.
fn answer(stream: TcpStream, folder: &Path, asked: &Sender<Asked>) {
    let Ok(mut out) = stream.try_clone() else { return };
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    while let Some(request) = lines.next() {
        lines.by_ref().take_while(|line| !line.is_empty()).for_each(drop);
        if request.starts_with("POST ") {
            let _ = asked.send(Asked::Told(lines.next().unwrap_or_default()));
        }
        let path = request.split_whitespace().nth(1).unwrap_or("/").split('?').next().unwrap_or("/");
        let path = if path == "/" { "index.html" } else { path.trim_start_matches('/') };
        let (status, body) = match fs::read(folder.join(path)) {
            Ok(body) if !path.contains("..") => ("200 OK", body),
            _ => ("404 Not Found", Vec::new()),
        };
        let kind = match Path::new(path).extension().and_then(|extension| extension.to_str()) {
            Some("html") => "text/html",
            Some("js") => "text/javascript",
            Some("css") => "text/css",
            Some("wasm") => "application/wasm",
            Some("svg") => "image/svg+xml",
            Some("woff2") => "font/woff2",
            _ => "text/plain",
        };
        if !body.is_empty() {
            let _ = asked.send(Asked::File(path.to_owned()));
        }
        let head = format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n", body.len());
        if out.write_all(head.as_bytes()).and_then(|()| out.write_all(&body)).is_err() {
            return;
        }
    }
}
