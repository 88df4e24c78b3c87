//! PostgreSQL: its protocol's simple queries over tables kept in PGDATA, and `psql`.

mod psql;
mod sql;

use std::cell::RefCell;
use std::rc::Rc;

use bytes::{Buf, BytesMut};

use super::{GRACEFUL, bind, each_client, stamp, until_stopped};
use crate::network::TcpStream;
use crate::process::Process;
pub(super) use psql::psql;
use sql::Cell;
pub(super) use sql::{Database, Reply, SqlError, statements};

/// Most bytes of one message.
const MESSAGE_BYTES_MAX: usize = 16 << 20;
/// Asks for TLS, in place of a protocol version.
const SSL_REQUEST: u32 = 80_877_103;

/// Messages of a connection: a letter and a body.
pub(super) struct Wire {
    stream: TcpStream,
    buffer: BytesMut,
}

impl Wire {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, buffer: BytesMut::new() }
    }

    async fn fill(&mut self, size: usize) -> Option<()> {
        while self.buffer.len() < size {
            let part = self.stream.read(65536).await.ok().filter(|part| !part.is_empty())?;
            self.buffer.extend_from_slice(&part);
        }
        Some(())
    }

    /// The next message.
    pub(super) async fn next(&mut self) -> Option<(u8, BytesMut)> {
        self.fill(1).await?;
        let kind = self.buffer.get_u8();
        Some((kind, self.body().await?))
    }

    /// The next message that has no letter: a connection's first.
    async fn body(&mut self) -> Option<BytesMut> {
        self.fill(4).await?;
        let size = usize::try_from(self.buffer.get_u32()).ok()?.checked_sub(4)?;
        if size > MESSAGE_BYTES_MAX {
            return None;
        }
        self.fill(size).await?;
        Some(self.buffer.split_to(size))
    }
}

/// A message.
pub(super) fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![kind];
    out.extend(u32::try_from(body.len() + 4).unwrap_or_default().to_be_bytes());
    out.extend_from_slice(body);
    out
}

fn text(parts: &[&str]) -> Vec<u8> {
    parts.iter().flat_map(|part| part.bytes().chain([0])).collect()
}

/// The texts of a message that consists of them.
pub(super) fn texts(body: &[u8]) -> Vec<String> {
    body.split(|byte| *byte == 0).map(|part| String::from_utf8_lossy(part).into_owned()).collect()
}

/// An `ErrorResponse`.
pub(super) fn failure(severity: &str, code: &str, words: &str) -> Vec<u8> {
    let body = [text(&[&format!("S{severity}"), &format!("C{code}"), &format!("M{words}")]), vec![0]].concat();
    message(b'E', &body)
}

pub(super) fn result(reply: &Reply) -> Vec<u8> {
    let mut out = Vec::new();
    if !reply.columns.is_empty() {
        let mut body = u16::try_from(reply.columns.len()).unwrap_or_default().to_be_bytes().to_vec();
        for name in &reply.columns {
            body.extend(text(&[name]));
            // No table, no column; type text of any size, as text.
            body.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 25, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0]);
        }
        out.extend(message(b'T', &body));
    }
    for row in &reply.rows {
        let mut body = u16::try_from(row.len()).unwrap_or_default().to_be_bytes().to_vec();
        for cell in row {
            match cell {
                None => body.extend(u32::MAX.to_be_bytes()),
                Some(value) => {
                    body.extend(u32::try_from(value.len()).unwrap_or_default().to_be_bytes());
                    body.extend(value.bytes());
                }
            }
        }
        out.extend(message(b'D', &body));
    }
    out.extend(message(b'C', &text(&[&reply.tag])));
    out
}

/// Who a client says that it is.
#[derive(Default)]
pub(super) struct Login {
    pub(super) user: String,
    pub(super) database: String,
    pub(super) password: String,
}

/// Takes a client's first message.
async fn greeted(wire: &mut Wire) -> Option<Login> {
    let parameters = loop {
        let mut start = wire.body().await.filter(|body| body.len() >= 4)?;
        if start.get_u32() != SSL_REQUEST {
            break texts(&start);
        }
        wire.stream.write_all(b"N").await.ok()?;
    };
    let value = |name: &str| {
        let mut pairs = parameters.chunks(2);
        let found = pairs.find(|pair| pair.first().is_some_and(|known| known == name));
        found.and_then(|pair| pair.get(1)).cloned().unwrap_or_default()
    };
    Some(Login { user: value("user"), database: value("database"), password: String::new() })
}

/// Asks for a client's password.
async fn password(wire: &mut Wire) -> Option<String> {
    wire.stream.write_all(&message(b'R', &3_u32.to_be_bytes())).await.ok()?;
    let (_, body) = wire.next().await?;
    texts(&body).into_iter().next()
}

/// Who a client says that it is, with its password.
pub(super) async fn admit(wire: &mut Wire) -> Option<Login> {
    let login = greeted(wire).await?;
    Some(Login { password: password(wire).await?, ..login })
}

/// A server's state: its tables, and the file that keeps them.
struct Server {
    database: RefCell<Database>,
    file: String,
    password: String,
    process: Process,
}

impl Server {
    fn log(&self, line: &str) -> String {
        let at = stamp(self.process.machine.now(), "%Y-%m-%d %H:%M:%S.%3f UTC");
        format!("{at} [{}] {line}\n", self.process.pid)
    }

    fn run(&self, statement: &str) -> Result<Reply, sql::SqlError> {
        let now = self.process.machine.now();
        let mut database = self.database.borrow_mut();
        let reply = database.run(statement, &stamp(now, "%Y-%m-%d %H:%M:%S.%6f+00"))?;
        if !reply.tag.starts_with("SELECT") {
            let kept = serde_json::to_vec(&*database).unwrap_or_default();
            self.process
                .fs()
                .write(&self.file, kept, now)
                .map_err(|error| ("53100", format!("could not write to file \"base\": {error}")))?;
        }
        Ok(reply)
    }

    async fn serve(self: Rc<Self>, stream: TcpStream) {
        let local = stream.info().remote.ip() == stream.info().local.ip();
        let mut wire = Wire::new(stream.clone());
        let Some(Login { user, .. }) = greeted(&mut wire).await else { return };
        if !local && !self.password.is_empty() {
            let given = password(&mut wire).await;
            if given.as_deref() != Some(self.password.as_str()) {
                let words = format!("password authentication failed for user \"{user}\"");
                let _ = self.process.stderr().write_all(self.log(&format!("FATAL:  {words}")).as_bytes()).await;
                let _ = stream.write_all(&failure("FATAL", "28P01", &words)).await;
                return;
            }
        }
        let mut hello = message(b'R', &0_u32.to_be_bytes());
        hello.extend(message(b'S', &text(&["server_version", "17.6"])));
        hello.extend(message(b'Z', b"I"));
        if stream.write_all(&hello).await.is_err() {
            return;
        }
        while let Some((kind, body)) = wire.next().await {
            let mut out = Vec::new();
            match kind {
                b'X' => return,
                b'Q' => {
                    let query = texts(&body).into_iter().next().unwrap_or_default();
                    for statement in sql::statements(&query) {
                        match self.run(&statement) {
                            Ok(reply) => out.extend(result(&reply)),
                            Err((code, words)) => {
                                let lines = self.log(&format!("ERROR:  {words}"))
                                    + &self.log(&format!("STATEMENT:  {statement}"));
                                let _ = self.process.stderr().write_all(lines.as_bytes()).await;
                                out.extend(failure("ERROR", code, &words));
                                break;
                            }
                        }
                    }
                }
                _ => out.extend(failure("ERROR", "0A000", "only simple queries are supported")),
            }
            out.extend(message(b'Z', b"I"));
            if stream.write_all(&out).await.is_err() {
                return;
            }
        }
    }
}

const NO_PASSWORD: &str = "Error: Database is uninitialized and superuser password is not specified.
       You must specify POSTGRES_PASSWORD to a non-empty value for the
       superuser. For example, \"-e POSTGRES_PASSWORD=password\" on \"docker run\".

       You may also use \"POSTGRES_HOST_AUTH_METHOD=trust\" to allow all
       connections without a password. This is *not* recommended.

       See PostgreSQL documentation about \"trust\":
       https://www.postgresql.org/docs/current/auth-trust.html
";

/// `docker-entrypoint.sh postgres`.
pub(super) async fn server(process: Process) -> i32 {
    if let Some(command) = process.operands().first().filter(|word| *word != "postgres" && !word.starts_with('-')) {
        let command = [vec![command.clone()], process.operands().get(1..).unwrap_or_default().to_vec()].concat();
        return super::super::exec(process, command).await;
    }
    let folder = if process.var("PGDATA").is_empty() { "/var/lib/postgresql/data" } else { process.var("PGDATA") };
    let file = format!("{folder}/base.json");
    let now = process.machine.now();
    let trust = process.var("POSTGRES_HOST_AUTH_METHOD") == "trust";
    let password = if trust { String::new() } else { process.var("POSTGRES_PASSWORD").to_owned() };
    let kept = process.fs().read(&file).ok();
    if kept.is_some() {
        process
            .print("\nPostgreSQL Database directory appears to contain a database; Skipping initialization\n\n")
            .await;
    } else {
        if password.is_empty() && !trust {
            process.eprint(NO_PASSWORD).await;
            return 1;
        }
        process
            .print(format!(
                "The files belonging to this database system will be owned by user \"postgres\".\n\nfixing permissions on \
                 existing directory {folder} ... ok\ncreating configuration files ... ok\nrunning bootstrap script ... ok\n\
                 \nSuccess. You can now start the database server using:\n\n    pg_ctl -D {folder} -l logfile start\n\n\
                 \nPostgreSQL init process complete; ready for start up.\n\n"
            ))
            .await;
        let made =
            process.fs().create_dir_all(folder, now).and_then(|()| process.fs().write(&file, "{\"tables\":{}}", now));
        if let Err(error) = made {
            process.eprint(format!("initdb: error: could not access directory \"{folder}\": {error}\n")).await;
            return 1;
        }
        let _ = process.fs().write(&format!("{folder}/PG_VERSION"), "17\n", now);
    }
    let database = kept.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
    let Ok(listener) = bind(&process, 5432) else {
        return process.fail(1, "could not bind IPv4 address \"0.0.0.0\": Address already in use").await;
    };
    let server = Rc::new(Server { database: RefCell::new(database), file, password, process });
    let process = &server.process;
    process
        .eprint(
            server.log("LOG:  starting PostgreSQL 17.6 on x86_64-pc-linux-gnu")
                + &server.log("LOG:  listening on IPv4 address \"0.0.0.0\", port 5432")
                + &server.log("LOG:  database system is ready to accept connections"),
        )
        .await;
    let code =
        until_stopped(process, GRACEFUL, async { each_client(&listener, |stream| server.clone().serve(stream)).await })
            .await;
    process.eprint(server.log("LOG:  database system is shut down")).await;
    code
}

/// `pg_isready`.
pub(super) async fn pg_isready(process: Process) -> i32 {
    let words = process.operands();
    let host = words.iter().position(|word| word == "-h").and_then(|at| words.get(at + 1));
    let host = host.map_or("127.0.0.1", String::as_str);
    let ready = process.machine.connect(host, 5432).await.is_ok();
    let place = if host == "127.0.0.1" { "/var/run/postgresql" } else { host };
    let words = if ready { "accepting connections" } else { "no response" };
    process.print(format!("{place}:5432 - {words}\n")).await;
    if ready { 0 } else { 2 }
}

/// A client's connection.
pub(super) struct Client(Wire);

impl Client {
    /// Logs in.
    pub(super) async fn connect(
        process: &Process,
        host: &str,
        port: u16,
        user: &str,
        database: &str,
        password: Option<&str>,
    ) -> Result<Self, String> {
        let place = format!("connection to server at \"{host}\", port {port} failed");
        let stream = match process.machine.connect(host, port).await {
            Ok(stream) => stream,
            Err(crate::network::ConnectError::NameNotFound(name)) => {
                return Err(format!("could not translate host name \"{name}\" to address: Name or service not known"));
            }
            Err(error) => {
                return Err(format!(
                    "{place}: {error}\n\tIs the server running on that host and accepting TCP/IP connections?"
                ));
            }
        };
        let body = [196_608_u32.to_be_bytes().to_vec(), text(&["user", user, "database", database, ""])].concat();
        let start = [u32::try_from(body.len() + 4).unwrap_or_default().to_be_bytes().to_vec(), body].concat();
        let mut wire = Wire::new(stream);
        let closed = || format!("{place}: server closed the connection unexpectedly");
        wire.stream.write_all(&start).await.map_err(|_| closed())?;
        loop {
            let (kind, mut body) = wire.next().await.ok_or_else(closed)?;
            match kind {
                b'R' if body.len() >= 4 && body.get_u32() == 3 => {
                    let Some(password) = password else {
                        return Err(format!("{place}: fe_sendauth: no password supplied"));
                    };
                    wire.stream.write_all(&message(b'p', &text(&[password]))).await.map_err(|_| closed())?;
                }
                b'E' => return Err(format!("{place}: FATAL:  {}", words(&body))),
                b'Z' => return Ok(Self(wire)),
                _ => {}
            }
        }
    }

    /// Runs one statement.
    pub(super) async fn query(&mut self, statement: &str) -> Result<Reply, String> {
        let closed = || "server closed the connection unexpectedly".to_owned();
        self.0.stream.write_all(&message(b'Q', &text(&[statement]))).await.map_err(|_| closed())?;
        let (mut reply, mut error) = (Reply::default(), None);
        loop {
            let (kind, mut body) = self.0.next().await.ok_or_else(closed)?;
            match kind {
                b'T' if body.len() >= 2 => {
                    for _ in 0..body.get_u16() {
                        let end = body.iter().position(|byte| *byte == 0).unwrap_or(body.len());
                        reply.columns.push(String::from_utf8_lossy(body.get(..end).unwrap_or_default()).into_owned());
                        body.advance((end + 19).min(body.len()));
                    }
                }
                b'D' if body.len() >= 2 => {
                    let mut row: Vec<Cell> = Vec::new();
                    for _ in 0..body.get_u16() {
                        if body.len() < 4 {
                            break;
                        }
                        let size = body.get_u32();
                        row.push(if size == u32::MAX {
                            None
                        } else {
                            let size = usize::try_from(size).unwrap_or_default().min(body.len());
                            Some(String::from_utf8_lossy(&body.split_to(size)).into_owned())
                        });
                    }
                    reply.rows.push(row);
                }
                b'C' => reply.tag = texts(&body).into_iter().next().unwrap_or_default(),
                b'E' => error = Some(words(&body)),
                b'Z' => return error.map_or(Ok(reply), Err),
                _ => {}
            }
        }
    }
}

/// What an `ErrorResponse` says.
fn words(body: &[u8]) -> String {
    texts(body).iter().find_map(|field| field.strip_prefix('M')).unwrap_or_default().to_owned()
}
