//! Replication: a server writes down what changes it, and others do the same after it.
//!
//! The log is a file in the data directory, a line a statement; a position in it counts bytes, as MySQL's does.

use std::rc::Rc;
use std::time::Duration;

use futures::future::{Either, select};
use serde::{Deserialize, Serialize};

use super::super::notice::Notice;
use super::words::{self, Piece};
use super::{FOLDER, Reply, Session, SqlError, connect};
use crate::errno::Errno;
use crate::fs::{Fs, Kind};
use crate::process::Process;

/// The log's name, and where its first statement is.
pub(in super::super) const BINLOG_FILE: &str = "mysql-bin.000001";
const BEGINNING: usize = 154;
/// Most bytes of the log: then the disk is full.
const BINLOG_BYTES_MAX: usize = 16 << 20;
/// Most statements that are told at once.
const ANSWER_ROWS_MAX: usize = 1000;
/// Whom a server follows.
const SOURCE_FILE: &str = "master.json";
/// How long a server that has nothing to tell lets those who ask wait.
const HEARTBEAT: Duration = Duration::from_secs(30);
/// After this long without an answer a source is taken to be gone.
const PATIENCE: Duration = Duration::from_secs(60);

/// What all connections of a server share.
pub(super) struct Shared {
    pub(super) settings: Settings,
    /// The log has grown, or there is another source.
    pub(super) news: Notice,
}

/// What the configuration says.
#[derive(Default)]
pub(super) struct Settings {
    server_id: u32,
    logs: bool,
    pub(super) read_only: bool,
}

impl Settings {
    /// From the files in `/etc/mysql/conf.d`.
    pub(super) fn read(process: &Process) -> Self {
        let folder = "/etc/mysql/conf.d";
        let mut out = Self { server_id: 1, ..Self::default() };
        for (name, _) in process.fs().list(folder).unwrap_or_default() {
            let text = process.fs().read_text(&format!("{folder}/{name}")).unwrap_or_default();
            for line in text.lines() {
                let (key, value) = line.split_once('=').unwrap_or((line, ""));
                match key.trim().replace('-', "_").as_str() {
                    "server_id" => out.server_id = value.trim().parse().unwrap_or(out.server_id),
                    "log_bin" => out.logs = true,
                    "super_read_only" => out.read_only = true,
                    _ => {}
                }
            }
        }
        out
    }
}

/// Whom a server follows, and how far it has come.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(in super::super) struct Source {
    pub(in super::super) host: String,
    user: String,
    password: String,
    pub(in super::super) position: usize,
    retry_seconds: u64,
    pub(in super::super) running: bool,
}

impl Source {
    pub(in super::super) fn read(fs: &Fs) -> Option<Self> {
        serde_json::from_str(&fs.read_text(&format!("{FOLDER}/{SOURCE_FILE}")).ok()?).ok()
    }

    fn write(&self, process: &Process) -> Result<(), SqlError> {
        let text = serde_json::to_string(self).unwrap_or_default();
        let written = process.fs().write(&format!("{FOLDER}/{SOURCE_FILE}"), text, process.machine.now());
        written.map_err(|error| ("HY000", format!("1201 (HY000): Could not initialize master info structure: {error}")))
    }
}

/// The log's bytes, which are not copied.
fn log(fs: &Fs) -> Rc<Vec<u8>> {
    match fs.metadata(&format!("{FOLDER}/{BINLOG_FILE}")).map(|entry| entry.kind) {
        Ok(Kind::File(log)) => log,
        _ => Rc::default(),
    }
}

/// Where the log ends.
pub(in super::super) fn binlog_end(fs: &Fs) -> usize {
    BEGINNING + log(fs).len()
}

/// Whether a statement changes what is stored.
pub(super) fn is_change(statement: &str) -> bool {
    const VERBS: [&str; 8] = ["ALTER", "CREATE", "DELETE", "DROP", "INSERT", "REPLACE", "TRUNCATE", "UPDATE"];
    let verb = statement.split_whitespace().next().unwrap_or_default().to_uppercase();
    VERBS.contains(&verb.as_str())
}

/// The position from which a follower asks for the log.
pub(super) fn asked_from(query: &str) -> Option<usize> {
    query.strip_prefix("BINLOG DUMP ")?.parse().ok()
}

fn no_room(error: Errno) -> SqlError {
    ("HY000", format!("1026 (HY000): Error writing file '{FOLDER}/{BINLOG_FILE}' ({error})"))
}

/// An option of `CHANGE MASTER TO`: its name, and how it is taken; none for those that mean nothing here.
type MasterOption = (&'static str, Option<fn(&mut Source, String) -> bool>);

const MASTER_OPTIONS: [MasterOption; 14] = [
    (
        "MASTER_HOST",
        Some(|source, value| {
            // Another server's log begins anew.
            source.position = BEGINNING;
            source.host = value;
            true
        }),
    ),
    (
        "MASTER_USER",
        Some(|source, value| {
            source.user = value;
            true
        }),
    ),
    (
        "MASTER_PASSWORD",
        Some(|source, value| {
            source.password = value;
            true
        }),
    ),
    ("MASTER_LOG_POS", Some(|source, value| value.parse().map(|position| source.position = position).is_ok())),
    ("MASTER_CONNECT_RETRY", Some(|source, value| value.parse().map(|seconds| source.retry_seconds = seconds).is_ok())),
    ("MASTER_LOG_FILE", None),
    ("MASTER_PORT", None),
    ("MASTER_AUTO_POSITION", None),
    ("MASTER_DELAY", None),
    ("MASTER_HEARTBEAT_PERIOD", None),
    ("MASTER_RETRY_COUNT", None),
    ("MASTER_SSL", None),
    ("MASTER_SSL_VERIFY_SERVER_CERT", None),
    ("GET_MASTER_PUBLIC_KEY", None),
];

/// Takes the assignments of `CHANGE MASTER TO`, or of `CHANGE REPLICATION SOURCE TO`.
fn change_source(source: &mut Source, statement: &str) -> Result<(), SqlError> {
    let near = |piece: Option<&Piece>| {
        let what = match piece {
            Some(Piece::Word(text) | Piece::Text(text)) => text.clone(),
            Some(Piece::Mark(mark)) => mark.to_string(),
            None => String::new(),
        };
        ("42000", format!("syntax error at or near \"{what}\""))
    };
    let mut pieces = words::pieces(statement)?;
    pieces.retain(|piece| !matches!(piece, Piece::Mark(mark) if mark.is_whitespace()));
    let to = |piece: &Piece| matches!(piece, Piece::Word(word) if word.eq_ignore_ascii_case("to"));
    let Some(to) = pieces.iter().take(4).position(to) else { return Err(near(pieces.get(2))) };
    let assignments = pieces.get(to + 1..).unwrap_or_default();
    let mut given = Vec::new();
    for assignment in assignments.split(|piece| *piece == Piece::Mark(',')) {
        let [Piece::Word(name), Piece::Mark('='), Piece::Word(value) | Piece::Text(value)] = assignment else {
            return Err(near(assignment.first()));
        };
        let known = name.to_uppercase().replace("SOURCE", "MASTER");
        let Some(at) = MASTER_OPTIONS.iter().position(|(option, _)| *option == known) else {
            return Err(near(assignment.first()));
        };
        given.push((at, assignment, value));
    }
    // The host first: it takes back the position, which may be given before it.
    given.sort_by_key(|(at, ..)| *at);
    for (at, assignment, value) in given {
        let take = MASTER_OPTIONS.get(at).and_then(|(_, take)| *take);
        if take.is_some_and(|take| !take(source, value.clone())) {
            return Err(near(assignment.get(2)));
        }
    }
    if source.host.is_empty() {
        return Err(("HY000", "1210 (HY000): Incorrect arguments to MASTER_HOST".into()));
    }
    Ok(())
}

impl Session {
    /// The log's line of a statement to be done; none on a server that keeps no log.
    ///
    /// # Errors
    /// When the log has no room for it: what others would not hear of is not done.
    pub(super) fn to_record(&self, statement: &str) -> Result<Option<String>, SqlError> {
        if !self.shared.settings.logs {
            return Ok(None);
        }
        let line = serde_json::to_string(&(&self.database, statement)).unwrap_or_default() + "\n";
        if log(self.process.fs()).len() + line.len() > BINLOG_BYTES_MAX {
            return Err(no_room(Errno::NoSpace));
        }
        Ok(Some(line))
    }

    /// Writes a statement's line down.
    pub(super) fn record(&self, line: &str) -> Result<(), SqlError> {
        let process = &self.process;
        let now = process.machine.now();
        process.fs().append(&format!("{FOLDER}/{BINLOG_FILE}"), line.as_bytes(), now).map_err(no_room)?;
        self.shared.news.changed();
        Ok(())
    }

    /// Waits until the log is longer than its reader knows, or a while.
    pub(super) async fn wait_for_news(&self, from: usize) {
        let news = self.shared.news.until(|| (binlog_end(self.process.fs()) > from).then_some(()));
        select(Box::pin(news), Box::pin(self.process.sleep(HEARTBEAT))).await;
    }

    /// What is asked of the server rather than of its tables.
    pub(super) fn asks_of_server(&mut self, statement: &str) -> Result<Option<Reply>, SqlError> {
        let process = self.process.clone();
        let upper = statement.trim().to_uppercase();
        let words: Vec<&str> = upper.split_whitespace().collect();
        Ok(Some(match words.as_slice() {
            ["BINLOG", "DUMP", from] => {
                let from = from.parse::<usize>().unwrap_or(BEGINNING).saturating_sub(BEGINNING);
                let log = log(process.fs());
                let mut at = from;
                let rest = log.get(from..).unwrap_or_default().split_inclusive(|byte| *byte == b'\n');
                let rows = rest.map(|line| {
                    at += line.len();
                    vec![Some((BEGINNING + at).to_string()), Some(String::from_utf8_lossy(line).trim_end().to_owned())]
                });
                let rows = rows.take(ANSWER_ROWS_MAX).collect();
                Reply { columns: vec!["position".into(), "statement".into()], rows, tag: "SELECT".into() }
            }
            ["CHANGE", "MASTER" | "REPLICATION", ..] => {
                let mut source = Source::read(process.fs()).unwrap_or_default();
                if source.running {
                    let words = "3021 (HY000): This operation cannot be performed with a running slave io thread; run \
                                 STOP SLAVE IO_THREAD FOR CHANNEL '' first.";
                    return Err(("HY000", words.into()));
                }
                change_source(&mut source, statement)?;
                source.write(&process)?;
                Reply::default()
            }
            [verb @ ("START" | "STOP"), "SLAVE" | "REPLICA"] => {
                let Some(mut source) = Source::read(process.fs()) else {
                    let words = "1200 (HY000): The server is not configured as slave; fix in config file or with CHANGE \
                                 MASTER TO";
                    return Err(("HY000", words.into()));
                };
                source.running = *verb == "START";
                source.write(&process)?;
                self.shared.news.changed();
                Reply::default()
            }
            ["SHOW", "SLAVE" | "REPLICA", rest @ ..] if rest.first().is_some_and(|word| word.starts_with("STATUS")) => {
                let Some(source) = Source::read(process.fs()) else { return Ok(Some(Reply::default())) };
                let running = if source.running { "Yes" } else { "No" };
                let columns =
                    ["Master_Host", "Master_Log_File", "Read_Master_Log_Pos", "Slave_IO_Running", "Slave_SQL_Running"];
                let position = source.position.to_string();
                let row = [source.host.as_str(), BINLOG_FILE, position.as_str(), running, running];
                Reply {
                    columns: columns.map(String::from).into(),
                    rows: vec![row.map(|cell| Some(cell.to_owned())).into()],
                    tag: "SELECT 1".into(),
                }
            }
            ["SHOW", "MASTER" | "BINARY", rest @ ..] if rest.last().is_some_and(|word| word.starts_with("STATUS")) => {
                Reply {
                    columns: ["File", "Position"].map(String::from).into(),
                    rows: vec![vec![Some(BINLOG_FILE.into()), Some(binlog_end(process.fs()).to_string())]],
                    tag: "SELECT 1".into(),
                }
            }
            ["SELECT", ..] if upper.contains("@@") && !words.contains(&"FROM") => {
                let asked = statement.trim().get("SELECT".len()..).unwrap_or_default();
                let names: Vec<String> = asked.split(',').map(|name| name.trim().to_owned()).collect();
                let value = |name: &String| {
                    let name = name.trim_start_matches("@@").trim_start_matches("global.").to_lowercase();
                    Some(match name.as_str() {
                        "server_id" => self.shared.settings.server_id.to_string(),
                        "hostname" => process.machine.hostname().to_owned(),
                        "version" => process.var("MYSQL_VERSION").to_owned(),
                        "super_read_only" | "read_only" => u8::from(self.shared.settings.read_only).to_string(),
                        "log_bin" => u8::from(self.shared.settings.logs).to_string(),
                        "port" => super::PORT.to_string(),
                        "now()" => super::stamp(process.machine.now(), "%Y-%m-%d %H:%M:%S"),
                        number if number.parse::<i64>().is_ok() => number.to_owned(),
                        _ => return None,
                    })
                };
                let row: Vec<Option<String>> = names.iter().map(value).collect();
                if let Some(at) = row.iter().position(Option::is_none) {
                    let name = names.get(at).map_or("", |name| name.trim_start_matches("@@"));
                    return Err(("HY000", format!("1193 (HY000): Unknown system variable '{name}'")));
                }
                Reply { columns: names, rows: vec![row], tag: "SELECT 1".into() }
            }
            _ => return Ok(None),
        }))
    }
}

/// Does what the source does, as long as there is one to be followed.
pub(super) async fn follow(process: Rc<Process>, shared: Rc<Shared>) {
    let mut session =
        Session { process: process.clone(), database: String::new(), shared: shared.clone(), applies: true };
    loop {
        let source = || Source::read(process.fs()).filter(|source| source.running);
        let mut source = shared.news.until(source).await;
        let retry = Duration::from_secs(source.retry_seconds.clamp(1, 3600));
        read_on(&process, &mut session, &mut source).await;
        select(Box::pin(process.sleep(retry)), Box::pin(no_longer(&process, &shared, &source))).await;
    }
}

/// Waits until something else is to be followed, or from elsewhere, or nothing.
async fn no_longer(process: &Process, shared: &Shared, source: &Source) {
    let is_other = || (Source::read(process.fs()).as_ref() != Some(source)).then_some(());
    shared.news.until(is_other).await;
}

/// Reads a source's log until it is gone, or is not to be followed any more.
async fn read_on(process: &Process, session: &mut Session, source: &mut Source) {
    let Ok(mut client) = connect(process, &source.host, &source.user, &source.password, "").await else { return };
    let shared = session.shared.clone();
    loop {
        let question = format!("BINLOG DUMP {}", source.position);
        let reply = {
            let limit = select(Box::pin(process.sleep(PATIENCE)), Box::pin(no_longer(process, &shared, source)));
            let answer = select(Box::pin(client.query(&question)), Box::pin(limit)).await;
            let Either::Left((Ok(reply), _)) = answer else { return };
            reply
        };
        // What was asked for before somebody stopped or turned this server is not done.
        if Source::read(process.fs()).as_ref() != Some(&*source) {
            return;
        }
        let position = |row: &Vec<Option<String>>| row.first()?.as_ref()?.parse::<usize>().ok();
        let Some(last) = reply.rows.last() else { continue };
        let Some(position) = position(last) else { return };
        // The place first: where it cannot be kept, nothing is done, so that nothing is done twice.
        let next = Source { position, ..source.clone() };
        if next.write(process).is_err() {
            return;
        }
        *source = next;
        for row in reply.rows {
            let line = row.into_iter().nth(1).flatten().unwrap_or_default();
            if let Ok((database, statement)) = serde_json::from_str::<(String, String)>(&line) {
                session.database = database;
                // What failed there fails here.
                let _ = session.run(&statement);
            }
        }
    }
}
