//! MySQL and MariaDB: tables kept in the data directory, a folder a database, and `mysql`. Server and client speak to
//! each other as PostgreSQL's do here; nobody else's client is in the simulated world.

mod replication;
mod words;

use std::rc::Rc;

use super::notice::Notice;
use super::postgres::{Client, Login, Reply, Wire, admit, statements};
use super::postgres::{Database, SqlError, failure, message, result, texts};
use super::{GRACEFUL, bind, each_client, stamp, until_stopped};
use crate::network::{ConnectError, TcpStream};
use crate::process::Process;
use crate::programs::columns;
pub(super) use replication::{BINLOG_FILE, Source, binlog_end};
use replication::{Settings, Shared};
use words::Piece;

const PORT: u16 = 3306;
pub(super) const FOLDER: &str = "/var/lib/mysql";
const TABLES: &str = "tables.json";
/// What every server has, in no folder.
const OWN: [&str; 4] = ["information_schema", "mysql", "performance_schema", "sys"];

/// The server's part of a connection.
struct Session {
    process: Rc<Process>,
    database: String,
    shared: Rc<Shared>,
    /// Whether it does what another server has done already.
    applies: bool,
}

impl Session {
    fn file(&self) -> String {
        format!("{FOLDER}/{}/{TABLES}", self.database)
    }

    fn databases(&self) -> Vec<String> {
        let folders = self.process.fs().list(FOLDER).unwrap_or_default();
        let made = folders.into_iter().map(|(name, _)| name);
        let made = made.filter(|name| self.process.fs().exists(&format!("{FOLDER}/{name}/{TABLES}")));
        let mut all: Vec<String> = OWN.map(String::from).into_iter().chain(made).collect();
        all.sort_unstable();
        all
    }

    /// Chooses a database.
    fn choose(&mut self, name: &str) -> Result<Reply, SqlError> {
        if !self.databases().iter().any(|known| known == name) {
            return Err(("42000", format!("1049 (42000): Unknown database '{name}'")));
        }
        name.clone_into(&mut self.database);
        Ok(Reply::default())
    }

    /// Runs a statement, and writes it down for the servers that follow this one.
    fn run(&mut self, statement: &str) -> Result<Reply, SqlError> {
        if let Some(reply) = self.asks_of_server(statement)? {
            return Ok(reply);
        }
        let mut pieces = words::pieces(statement)?;
        let changes = replication::is_change(&words::joined(&pieces));
        if changes && self.shared.settings.read_only && !self.applies {
            let words = "1290 (HY000): The MySQL server is running with the --super-read-only option so it cannot execute \
                         this statement";
            return Err(("HY000", words.into()));
        }
        let line = if changes { self.to_record(statement)? } else { None };
        let reply = self.in_its_database(&mut pieces)?;
        if let Some(line) = line {
            self.record(&line)?;
        }
        Ok(reply)
    }

    /// Runs a statement whose tables are named with their database in that one.
    fn in_its_database(&mut self, pieces: &mut [Piece]) -> Result<Reply, SqlError> {
        let Some(database) = words::take_database(pieces) else { return self.perform(&words::joined(pieces)) };
        let chosen = self.database.clone();
        let reply = self.choose(&database).and_then(|_| self.perform(&words::joined(pieces)));
        self.database = chosen;
        reply
    }

    fn perform(&mut self, statement: &str) -> Result<Reply, SqlError> {
        let words: Vec<&str> = statement.split_whitespace().collect();
        let upper: Vec<String> = words.iter().map(|word| word.to_uppercase()).collect();
        let upper: Vec<&str> = upper.iter().map(String::as_str).collect();
        let last = words.last().copied().unwrap_or_default();
        let list = |name: String, rows: Vec<String>| {
            Ok(Reply {
                columns: vec![name],
                rows: rows.into_iter().map(|row| vec![Some(row)]).collect(),
                tag: String::new(),
            })
        };
        match upper.as_slice() {
            ["SHOW", "DATABASES" | "SCHEMAS"] => return list("Database".into(), self.databases()),
            ["USE", _] => return self.choose(last),
            ["CREATE", "DATABASE" | "SCHEMA", rest @ ..] => {
                if self.databases().iter().any(|known| known == last) {
                    return match rest {
                        ["IF", "NOT", "EXISTS", _] => Ok(Reply::default()),
                        _ => Err(("HY000", format!("1007 (HY000): Can't create database '{last}'; database exists"))),
                    };
                }
                return make(&self.process, last).map(|()| Reply::default());
            }
            ["DROP", "DATABASE" | "SCHEMA", ..] => {
                let gone = self.process.fs().remove_all(&format!("{FOLDER}/{last}"));
                return gone.map(|()| Reply::default()).map_err(|_| {
                    ("HY000", format!("1008 (HY000): Can't drop database '{last}'; database doesn't exist"))
                });
            }
            ["SELECT", "VERSION()" | "@@VERSION"] => {
                return list(last.to_owned(), vec![self.process.var("MYSQL_VERSION").to_owned()]);
            }
            ["CREATE" | "GRANT" | "ALTER", "USER" | "ALL", ..] | ["FLUSH", ..] => return Ok(Reply::default()),
            _ => {}
        }
        let statement = statement.to_owned();
        let Ok(kept) = self.process.fs().read(&self.file()) else {
            // What needs no table needs no database.
            if upper.first() == Some(&"SELECT") && !upper.contains(&"FROM") {
                return Database::default().run(&statement, "");
            }
            return Err(("3D000", "1046 (3D000): No database selected".into()));
        };
        let mut database: Database = serde_json::from_slice(&kept).unwrap_or_default();
        if upper.as_slice() == ["SHOW", "TABLES"] {
            return list(format!("Tables_in_{}", self.database), database.names());
        }
        let now = self.process.machine.now();
        let reply = database.run(&statement, &stamp(now, "%Y-%m-%d %H:%M:%S"));
        let reply = reply.map_err(|(code, words)| match (code, words.split('"').nth(1)) {
            ("42P01", Some(table)) => {
                ("42S02", format!("1146 (42S02): Table '{}.{table}' doesn't exist", self.database))
            }
            _ => (code, words),
        })?;
        if !reply.tag.starts_with("SELECT") {
            let kept = serde_json::to_vec(&database).unwrap_or_default();
            let written = self.process.fs().write(&self.file(), kept, now);
            written.map_err(|error| ("HY000", format!("1114 (HY000): The table is full: {error}")))?;
        }
        Ok(reply)
    }
}

fn make(process: &Process, database: &str) -> Result<(), SqlError> {
    let (folder, now) = (format!("{FOLDER}/{database}"), process.machine.now());
    let made = process.fs().create_dir_all(&folder, now);
    let made = made.and_then(|()| process.fs().write(&format!("{folder}/{TABLES}"), "{\"tables\":{}}", now));
    made.map_err(|error| ("HY000", format!("1006 (HY000): Can't create database '{database}' (errno: {error})")))
}

/// An environment variable of either server's images.
fn variable<'a>(process: &'a Process, name: &str) -> &'a str {
    let of = |server: &str| process.var(&format!("{server}_{name}"));
    if of("MYSQL").is_empty() { of("MARIADB") } else { of("MYSQL") }
}

const NO_PASSWORD: &str = "[ERROR] [Entrypoint]: Database is uninitialized and password option is not specified
    You need to specify one of the following as an environment variable:
    - MYSQL_ROOT_PASSWORD
    - MYSQL_ALLOW_EMPTY_PASSWORD
    - MYSQL_RANDOM_ROOT_PASSWORD
";

/// `docker-entrypoint.sh mysqld`.
pub(super) async fn server(process: Process) -> i32 {
    let operands = process.operands();
    if let Some(command) =
        operands.first().filter(|word| !matches!(word.as_str(), "mysqld" | "mariadbd") && !word.starts_with('-'))
    {
        let command = [vec![command.clone()], operands.get(1..).unwrap_or_default().to_vec()].concat();
        return super::super::exec(process, command).await;
    }
    let log = |process: &Process, text: &str| {
        format!("{} 0 {text}\n", stamp(process.machine.now(), "%Y-%m-%dT%H:%M:%S.%6fZ"))
    };
    let entry = |process: &Process, text: &str| {
        format!("{} [Note] [Entrypoint]: {text}\n", stamp(process.machine.now(), "%Y-%m-%d %H:%M:%S+00:00"))
    };
    let version = process.var("MYSQL_VERSION").to_owned();
    let password_file = format!("{FOLDER}/mysql/password");
    process.print(entry(&process, &format!("Entrypoint script for MySQL Server {version} started."))).await;
    if process.fs().list(FOLDER).unwrap_or_default().iter().all(|(name, _)| name == "lost+found") {
        let password = variable(&process, "ROOT_PASSWORD").to_owned();
        if password.is_empty() && variable(&process, "ALLOW_EMPTY_PASSWORD").is_empty() {
            process.eprint(format!("{} {NO_PASSWORD}", stamp(process.machine.now(), "%Y-%m-%d %H:%M:%S+00:00"))).await;
            return 1;
        }
        process.print(entry(&process, "Initializing database files")).await;
        let now = process.machine.now();
        let made = process.fs().create_dir_all(&format!("{FOLDER}/mysql"), now);
        let user = variable(&process, "USER");
        let kept = format!("{password}\n{user}\n{}", variable(&process, "PASSWORD"));
        if let Err(error) = made.and_then(|()| process.fs().write(&password_file, kept, now)) {
            return process
                .fail(1, format_args!("initialize specified but the data directory is unusable: {error}"))
                .await;
        }
        let database = variable(&process, "DATABASE").to_owned();
        if !database.is_empty() {
            process.print(entry(&process, &format!("Creating database {database}"))).await;
            let _ = make(&process, &database);
        }
        process.print(entry(&process, "MySQL init process done. Ready for start up.")).await;
    }
    let Ok(listener) = bind(&process, PORT) else {
        process
            .eprint(log(
                &process,
                "[ERROR] [MY-010262] [Server] Can't start server: Bind on TCP/IP port: Address already in use",
            ))
            .await;
        return 1;
    };
    let process = Rc::new(process);
    let shared = Rc::new(Shared { settings: Settings::read(&process), news: Notice::default() });
    let ready = format!(
        "[System] [MY-010931] [Server] /usr/sbin/mysqld: ready for connections. Version: '{version}'  socket: \
         '/var/run/mysqld/mysqld.sock'  port: {PORT}  MySQL Community Server - GPL."
    );
    process.eprint(log(&process, &ready)).await;
    let kept = process.fs().read_text(&password_file).unwrap_or_default();
    let code = until_stopped(&process, GRACEFUL, async {
        let serving = each_client(&listener, |stream| serve(stream, process.clone(), shared.clone(), &kept));
        futures::future::join(serving, replication::follow(process.clone(), shared.clone())).await.0
    })
    .await;
    process.eprint(log(&process, "[System] [MY-010910] [Server] /usr/sbin/mysqld: Shutdown complete")).await;
    code
}

/// One client. `kept`: root's password, the other user, and that one's.
async fn serve(stream: TcpStream, process: Rc<Process>, shared: Rc<Shared>, kept: &str) {
    let mut lines = kept.lines();
    let mut line = || lines.next().unwrap_or_default();
    let (root, user, password) = (line(), line(), line());
    let mut wire = Wire::new(stream.clone());
    let known = |name: &str, given: &str| name == "root" && given == root || name == user && given == password;
    let Some(Login { user, database, password: given }) = admit(&mut wire).await else { return };
    if !known(&user, &given) {
        let using = if given.is_empty() { "NO" } else { "YES" };
        let from = stream.info().remote.ip();
        let words = format!("1045 (28000): Access denied for user '{user}'@'{from}' (using password: {using})");
        let _ = stream.write_all(&failure("FATAL", "28000", &words)).await;
        return;
    }
    let mut session = Session { process, database: String::new(), shared, applies: false };
    if !database.is_empty()
        && let Err((code, words)) = session.choose(&database)
    {
        let _ = stream.write_all(&failure("FATAL", code, &words)).await;
        return;
    }
    let mut out = message(b'R', &0_u32.to_be_bytes());
    loop {
        out.extend(message(b'Z', b"I"));
        if stream.write_all(&out).await.is_err() {
            return;
        }
        let Some((b'Q', body)) = wire.next().await else { return };
        let query = texts(&body).into_iter().next().unwrap_or_default();
        if let Some(from) = replication::asked_from(&query) {
            session.wait_for_news(from).await;
        }
        out = match session.run(&query) {
            Ok(reply) => result(&reply),
            Err((code, words)) => failure("ERROR", code, &words),
        };
    }
}

/// How an error of the server looks: its number before its words, or that of a syntax error.
fn error_text(words: &str) -> String {
    let words = words.trim_start_matches("FATAL:  ");
    match words.split_once(' ') {
        Some((number, words)) if number.len() == 4 && number.parse::<u16>().is_ok() => {
            format!("ERROR {number} {words}")
        }
        _ => format!("ERROR 1064 (42000): You have an error in your SQL syntax: {words}"),
    }
}

/// Connects as `mysql` does; errors as it tells them.
pub(super) async fn connect(
    process: &Process,
    host: &str,
    user: &str,
    password: &str,
    database: &str,
) -> Result<Client, String> {
    let (host, local) = if host.is_empty() { ("127.0.0.1", true) } else { (host, false) };
    match process.machine.connect(host, PORT).await {
        Ok(_) => {}
        Err(ConnectError::NameNotFound(name)) => {
            return Err(format!("ERROR 2005 (HY000): Unknown MySQL server host '{name}' (-2)"));
        }
        Err(_) if local => {
            let socket = "/var/run/mysqld/mysqld.sock";
            return Err(format!(
                "ERROR 2002 (HY000): Can't connect to local MySQL server through socket '{socket}' (2)"
            ));
        }
        Err(_) => return Err(format!("ERROR 2003 (HY000): Can't connect to MySQL server on '{host}:{PORT}' (111)")),
    }
    let connected = Client::connect(process, host, PORT, user, database, Some(password)).await;
    connected.map_err(|words| error_text(words.rsplit_once(" failed: ").map_or(words.as_str(), |(_, words)| words)))
}

/// `mysql`: statements from `-e`, or from its input.
pub(super) async fn client(process: Process) -> i32 {
    let (mut host, mut user, mut password, mut database) =
        (String::new(), "root".to_owned(), String::new(), String::new());
    let (mut script, mut table, mut names) = (None, process.stdout().tty().is_some(), true);
    let mut words = process.operands().iter();
    while let Some(word) = words.next() {
        let (flag, attached) = match word.strip_prefix("--") {
            Some(long) => long.split_once('=').unwrap_or((long, "")),
            None if word.starts_with('-') => (word.get(1..2).unwrap_or_default(), word.get(2..).unwrap_or_default()),
            None => {
                database.clone_from(word);
                continue;
            }
        };
        let mut value = || match attached {
            "" => words.next().cloned().unwrap_or_default(),
            attached => attached.to_owned(),
        };
        match flag {
            "h" | "host" => host = value(),
            "u" | "user" => user = value(),
            // A password is never a word of its own.
            "p" | "password" => attached.clone_into(&mut password),
            "P" | "port" | "protocol" | "S" | "socket" => _ = value(),
            "D" | "database" => database = value(),
            "e" | "execute" => script = Some(value()),
            "t" | "table" => table = true,
            "N" | "skip-column-names" => names = false,
            "B" | "s" | "batch" | "silent" => table = false,
            _ => {}
        }
    }
    if process.name().contains("admin") {
        // `mysqladmin ping`: a server that refuses the user is alive.
        let alive =
            !matches!(connect(&process, &host, &user, &password, "").await, Err(why) if why.contains("(HY000)"));
        if alive {
            process.print("mysqld is alive\n").await;
            return 0;
        }
        process.eprint("mysqladmin: connect to server failed\nerror: 'Can't connect to MySQL server'\n").await;
        return 1;
    }
    if !password.is_empty() {
        process.eprint("mysql: [Warning] Using a password on the command line interface can be insecure.\n").await;
    }
    let mut client = match connect(&process, &host, &user, &password, &database).await {
        Ok(client) => client,
        Err(error) => {
            process.eprint(format!("{error}\n")).await;
            return 1;
        }
    };
    let prompt = process.stdin().tty().is_some() && script.is_none();
    if prompt {
        process.print("Welcome to the MySQL monitor.  Commands end with ; or \\g.\n\nmysql> ").await;
    } else if script.is_none() {
        let data = process.stdin().read_to_end().await.unwrap_or_default();
        script = Some(String::from_utf8_lossy(&data).into_owned());
    }
    let mut typed = script.unwrap_or_default();
    loop {
        let all = statements(&typed);
        if !prompt
            || typed.trim_end().ends_with(';')
            || all.first().is_some_and(|first| first == "exit" || first == "quit")
        {
            typed.clear();
            for statement in all {
                if matches!(statement.trim(), "exit" | "quit") {
                    process.print("Bye\n").await;
                    return 0;
                }
                match client.query(&statement).await {
                    Ok(reply) => _ = process.print(render(&reply, table, names, prompt)).await,
                    Err(error) => {
                        process.eprint(format!("{}\n", error_text(&error))).await;
                        if !prompt {
                            return 1;
                        }
                    }
                }
            }
            if !prompt {
                return 0;
            }
            process.print("mysql> ").await;
        }
        let part = process.stdin().read(4096).await.unwrap_or_default();
        if part.is_empty() {
            return 0;
        }
        typed.push_str(&String::from_utf8_lossy(&part));
    }
}

fn render(reply: &Reply, table: bool, names: bool, talkative: bool) -> String {
    if reply.columns.is_empty() {
        return if talkative { "Query OK\n\n".into() } else { String::new() };
    }
    let rows =
        reply.rows.iter().map(|row| row.iter().map(|cell| cell.clone().unwrap_or_else(|| "NULL".into())).collect());
    let head = names.then(|| reply.columns.clone());
    let lines: Vec<Vec<String>> = head.into_iter().chain(rows).collect();
    if !table {
        return lines.iter().map(|line| format!("{}\n", line.join("\t"))).collect();
    }
    let width = |index: usize| lines.iter().filter_map(|line| line.get(index)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..reply.columns.len()).map(|index| width(index).unwrap_or(0)).collect();
    let rule: String = widths.iter().map(|width| format!("+{}", "-".repeat(width + 2))).collect::<String>() + "+\n";
    let mut out = rule.clone();
    for (index, line) in lines.iter().enumerate() {
        for (cell, width) in line.iter().zip(&widths) {
            out.push_str(&format!("| {} ", columns::left(cell, *width)));
        }
        out.push_str("|\n");
        if index == 0 && names {
            out.push_str(&rule);
        }
    }
    out.push_str(&rule);
    let count = reply.rows.len();
    if talkative {
        out.push_str(&format!("{count} row{} in set\n\n", if count == 1 { "" } else { "s" }));
    }
    out
}
