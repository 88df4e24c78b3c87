//! Percona XtraBackup as the documentation's replicated MySQL uses it: a copy of a running server's files with the place in
//! its log, streamed by `ncat`. What `xbstream` reads and writes is JSON.

use std::collections::BTreeMap;

use futures::future::{Either, select};

use super::mysql::{BINLOG_FILE, FOLDER, Source, binlog_end};
use super::{GRACEFUL, bind, until_stopped};
use crate::fs::Kind;
use crate::io::Fd;
use crate::network::ConnectError;
use crate::process::Process;
use crate::programs::{self, net::carry};

/// Most bytes of a copy.
const BYTES_MAX: usize = 64 << 20;

/// Files by their path below the data directory.
type Files = BTreeMap<String, String>;

/// `xtrabackup --backup --stream=xbstream` and `xtrabackup --prepare`.
pub(super) async fn main(process: Process) -> i32 {
    let has = |flag: &str| process.operands().iter().any(|word| word == flag);
    let host =
        process.operands().iter().find_map(|word| word.strip_prefix("--host=")).unwrap_or("127.0.0.1").to_owned();
    if has("--prepare") {
        process.eprint("InnoDB: Shutdown completed\ncompleted OK!\n").await;
        return 0;
    }
    if !has("--backup") {
        return process.fail(1, "one of --backup and --prepare is needed").await;
    }
    if let Err(error) = super::mysql::connect(&process, &host, "root", "", "").await {
        return process.fail(1, format_args!("Failed to connect to MySQL server: {error}")).await;
    }
    let fs = process.fs();
    let mut files = Files::new();
    for (folder, entry) in fs.list(FOLDER).unwrap_or_default() {
        if entry.kind != Kind::Directory {
            continue;
        }
        for (name, _) in fs.list(&format!("{FOLDER}/{folder}")).unwrap_or_default() {
            if let Ok(text) = fs.read_text(&format!("{FOLDER}/{folder}/{name}")) {
                files.insert(format!("{folder}/{name}"), text);
            }
        }
    }
    // A copy of a server that follows another one follows the same.
    let source = Source::read(fs).filter(|_| has("--slave-info"));
    let (name, text) = match source {
        Some(source) => (
            "xtrabackup_slave_info",
            format!("CHANGE MASTER TO MASTER_LOG_FILE='{BINLOG_FILE}', MASTER_LOG_POS={};\n", source.position),
        ),
        None => ("xtrabackup_binlog_info", format!("{BINLOG_FILE}\t{}\n", binlog_end(fs))),
    };
    files.insert(name.into(), text);
    let stream = serde_json::to_vec(&files).unwrap_or_default();
    if !process.print(stream).await {
        return 1;
    }
    process.eprint("completed OK!\n").await;
    0
}

/// `xbstream -x -C FOLDER`.
pub(super) async fn xbstream(process: Process) -> i32 {
    let words = process.operands();
    let folder =
        words.iter().position(|word| word == "-C").and_then(|at| words.get(at + 1)).map_or(".", String::as_str);
    let folder = process.path(folder);
    let data = process.stdin().read_up_to(BYTES_MAX).await.unwrap_or_default();
    let Ok(files) = serde_json::from_slice::<Files>(&data) else {
        return process.fail(1, "xb_stream_read_chunk(): wrong chunk magic at offset 0x0.").await;
    };
    let now = process.machine.now();
    for (name, text) in files {
        let path = crate::fs::absolute(&folder, &name);
        let below = path.strip_prefix(folder.trim_end_matches('/')).is_some_and(|rest| rest.starts_with('/'));
        if !below {
            return process.fail(1, format_args!("{name}: not below the folder")).await;
        }
        let made = process.fs().create_dir_all(crate::fs::parent(&path), now);
        if let Err(error) = made.and_then(|()| process.fs().write(&path, text, now)) {
            return process.fail(1, format_args!("failed to create file {name}: {error}")).await;
        }
    }
    0
}

/// `ncat --recv-only HOST PORT`, `ncat --listen [--keep-open] PORT -c COMMAND`, and `ncat HOST PORT`.
pub(super) async fn ncat(process: Process) -> i32 {
    let mut operands = Vec::new();
    let (mut listens, mut stays, mut command) = (false, false, None);
    let (mut sends, mut receives) = (true, true);
    let mut words = process.operands().iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "-l" | "--listen" => listens = true,
            "-k" | "--keep-open" => stays = true,
            "-c" | "--sh-exec" => command = words.next().cloned(),
            "--recv-only" => sends = false,
            "--send-only" => receives = false,
            word if word.starts_with('-') => {}
            word => operands.push(word.to_owned()),
        }
    }
    let port = operands.last().and_then(|port| port.parse::<u16>().ok());
    let Some(port) = port else {
        process.eprint("Ncat: You must specify a host to connect to. QUITTING.\n").await;
        return 2;
    };
    // Who only receives has nothing to send, but does not say so: the other side may take it for the end.
    let nothing = crate::io::pipe(process.machine.executor());
    let input = if sends { process.stdin() } else { nothing.0.clone() };
    let output = if receives { process.stdout() } else { Fd::null() };
    if !listens {
        let host = operands.first().map_or("", String::as_str);
        let why = match process.machine.connect(host, port).await {
            Ok(stream) => {
                let carried = carry(&stream, &input, &output);
                return match select(Box::pin(carried), Box::pin(process.signals.next())).await {
                    Either::Left(_) => 0,
                    Either::Right(_) => 1,
                };
            }
            Err(ConnectError::NameNotFound(name)) => {
                format!("Could not resolve hostname \"{name}\": Name or service not known. QUITTING.")
            }
            Err(error) => format!("{error}."),
        };
        process.eprint(format!("Ncat: {why}\n")).await;
        return 1;
    }
    let Ok(listener) = bind(&process, port) else {
        process.eprint(format!("Ncat: bind to 0.0.0.0:{port}: Address already in use. QUITTING.\n")).await;
        return 2;
    };
    until_stopped(&process, GRACEFUL, async {
        loop {
            let stream = listener.accept().await;
            match &command {
                Some(command) => {
                    let mut fds = process.fds.clone();
                    fds.extend([(0, if receives { stream.fd() } else { Fd::null() }), (1, stream.fd())]);
                    let words = ["sh", "-c", command.as_str()].map(String::from).into();
                    if let Some(child) = programs::spawn_with(&process, words, fds).await {
                        child.wait().await;
                    }
                    stream.shutdown();
                }
                None => carry(&stream, &input, &output).await,
            }
            if !stays {
                return 0;
            }
        }
    })
    .await
}
