//! mongod and its shell, as far as a first look goes: databases, collections, documents; ping. What passes between
//! them is JSON in lines.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use bytes::BytesMut;
use serde_json::{Map, Value, json};

use super::{GRACEFUL, bind, each_client, next_line, stamp, until_stopped};
use crate::network::TcpStream;
use crate::process::Process;

const PORT: u16 = 27017;
/// Most bytes of one line.
const LINE_BYTES_MAX: usize = 16 << 20;

/// Most bytes of all documents together: what the disk of a small server has.
const BYTES_MAX: usize = 64 << 20;
/// Most collections.
const COLLECTIONS_MAX: usize = 10_000;

/// Collections by database and name, and about what they take.
#[derive(Default)]
struct Collections {
    all: BTreeMap<(String, String), Vec<Value>>,
    bytes: usize,
}

type Data = Rc<RefCell<Collections>>;

/// About what a value takes.
fn size(value: &Value) -> usize {
    32 + match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(size).sum(),
        Value::Object(fields) => fields.iter().map(|(name, value)| 32 + name.len() + size(value)).sum(),
        _ => 0,
    }
}

/// `mongod [--port PORT]`.
pub(super) async fn server(process: Process) -> i32 {
    let at = process.operands().iter().position(|word| word == "--port");
    let port = at.and_then(|at| process.operands().get(at + 1)?.parse().ok()).unwrap_or(PORT);
    let time = stamp(process.machine.now(), "%Y-%m-%dT%H:%M:%S.%3f+00:00");
    let log = |component: &str, id: u32, context: &str, message: &str| {
        format!(
            "{{\"t\":{{\"$date\":\"{time}\"}},\"s\":\"I\",\"c\":\"{component}\",\"id\":{id},\"ctx\":\"{context}\",\"msg\":\"{message}\"}}\n"
        )
    };
    let Ok(listener) = bind(&process, port) else {
        process
            .print(log("STORAGE", 20568, "initandlisten", "Error setting up listener: Address already in use"))
            .await;
        return 48;
    };
    let lines = log("CONTROL", 4_615_611, "initandlisten", "MongoDB starting")
        + &log("NETWORK", 23015, "listener", "Listening on")
        + &log("NETWORK", 23016, "listener", "Waiting for connections");
    process.print(lines).await;
    let data = Data::default();
    until_stopped(&process, GRACEFUL, async { each_client(&listener, |stream| client(&process, stream, &data)).await })
        .await
}

async fn client(process: &Process, stream: TcpStream, data: &Data) {
    let mut buffer = BytesMut::new();
    while let Some(line) = line(&stream, &mut buffer).await {
        let reply = match serde_json::from_str::<Value>(&line) {
            Ok(asked) => answer(process, &asked, data),
            Err(_) => json!({"ok": 0, "errmsg": "not understood"}),
        };
        if stream.write_all(format!("{reply}\n").as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn line(stream: &TcpStream, buffer: &mut BytesMut) -> Option<String> {
    loop {
        if let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
            let line = buffer.split_to(end + 1);
            return Some(String::from_utf8_lossy(line.get(..end)?).into_owned());
        }
        let part = stream.read(65536).await.ok().filter(|part| !part.is_empty())?;
        if buffer.len() > LINE_BYTES_MAX {
            return None;
        }
        buffer.extend_from_slice(&part);
    }
}

/// Whether a document has all that a query names.
fn fits(document: &Value, query: &Value) -> bool {
    query.as_object().is_none_or(|query| query.iter().all(|(name, value)| document.get(name) == Some(value)))
}

fn answer(process: &Process, asked: &Value, data: &Data) -> Value {
    let text = |name: &str| asked.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let place = (text("db"), text("collection"));
    let argument = asked.get("argument").cloned().unwrap_or(Value::Null);
    let mut data = data.borrow_mut();
    let Collections { all: data, bytes } = &mut *data;
    match text("do").as_str() {
        "ping" => json!({"ok": 1}),
        "version" => json!("8.0.13"),
        "hello" => json!({"isWritablePrimary": true, "maxBsonObjectSize": 16_777_216, "ok": 1}),
        "databases" => {
            let mut names: Vec<&str> = data.keys().map(|(database, _)| database.as_str()).collect();
            names.dedup();
            json!(["admin", "config", "local"].into_iter().chain(names).collect::<Vec<_>>())
        }
        "collections" => {
            let names = data.keys().filter(|(database, _)| *database == place.0).map(|(_, name)| name.as_str());
            json!(names.collect::<Vec<_>>())
        }
        "insert" => {
            let documents = match argument {
                Value::Array(documents) => documents,
                one => vec![one],
            };
            if *bytes + documents.iter().map(size).sum::<usize>() > BYTES_MAX
                || data.len() >= COLLECTIONS_MAX && !data.contains_key(&place)
            {
                return json!({"ok": 0, "errmsg": "No space left on device", "codeName": "OutOfDiskSpace"});
            }
            let mut ids = Vec::new();
            for document in documents {
                let mut with_id = Map::new();
                let made = json!(format!("{:024x}", u128::from(process.machine.random())));
                let fields = document.as_object().cloned().unwrap_or_default();
                with_id.insert("_id".into(), fields.get("_id").cloned().unwrap_or(made));
                ids.extend(with_id.get("_id").cloned());
                with_id.extend(fields);
                let document = Value::Object(with_id);
                *bytes += size(&document);
                data.entry(place.clone()).or_default().push(document);
            }
            json!({"acknowledged": true, "insertedIds": ids})
        }
        "find" => {
            let found = data.get(&place).into_iter().flatten().filter(|document| fits(document, &argument));
            Value::Array(found.cloned().collect())
        }
        "count" => json!(data.get(&place).into_iter().flatten().filter(|document| fits(document, &argument)).count()),
        "delete" => {
            let Some(documents) = data.get_mut(&place) else { return json!({"acknowledged": true, "deletedCount": 0}) };
            let before = documents.len();
            documents.retain(|document| {
                let stays = !fits(document, &argument);
                *bytes -= if stays { 0 } else { size(document).min(*bytes) };
                stays
            });
            json!({"acknowledged": true, "deletedCount": before - documents.len()})
        }
        "drop" => {
            let gone = data.remove(&place);
            *bytes = bytes.saturating_sub(gone.iter().flatten().map(size).sum());
            json!(gone.is_some())
        }
        _ => json!({"ok": 0, "errmsg": "no such command"}),
    }
}

/// `mongosh` and `mongo`: `[HOST[:PORT][/DATABASE]] [--host H] [--port P] [--eval SCRIPT] [--quiet]`.
pub(super) async fn shell(process: Process) -> i32 {
    let (mut host, mut port, mut database) = ("127.0.0.1".to_owned(), PORT, "test".to_owned());
    let mut script = None;
    let mut words = process.operands().iter();
    while let Some(word) = words.next() {
        let (flag, value) = match word.split_once('=') {
            Some((flag, value)) if flag.starts_with("--") => (flag, Some(value.to_owned())),
            _ => (word.as_str(), None),
        };
        let mut value = || value.clone().or_else(|| words.next().cloned()).unwrap_or_default();
        match flag {
            "--host" => host = value(),
            "--port" => port = value().parse().unwrap_or(PORT),
            "--eval" => script = Some(value()),
            "-u" | "-p" | "--username" | "--password" | "--authenticationDatabase" => drop(value()),
            "--version" => {
                process.print("2.5.8\n").await;
                return 0;
            }
            flag if flag.starts_with('-') => {}
            place => {
                let place = place.trim_start_matches("mongodb://");
                let place = place.rsplit('@').next().unwrap_or_default();
                let (at, name) = match place.split_once('/') {
                    Some((at, name)) => (at, name.split('?').next().unwrap_or_default()),
                    None if place.contains(['.', ':']) || place == "localhost" => (place, ""),
                    None => ("", place),
                };
                let (name_of_host, number) = at.split_once(':').unwrap_or((at, ""));
                if !name_of_host.is_empty() {
                    host = name_of_host.to_owned();
                }
                port = number.parse().unwrap_or(port);
                if !name.is_empty() {
                    database = name.to_owned();
                }
            }
        }
    }
    let stream = match process.machine.connect(&host, port).await {
        Ok(stream) => stream,
        Err(error) => {
            process.eprint(format!("MongoNetworkError: connect ECONNREFUSED {host}:{port}: {error}\n")).await;
            return 1;
        }
    };
    let mut session = Session { stream, buffer: BytesMut::new(), database };
    if let Some(script) = script {
        return session.script(&process, &script).await;
    }
    let asks = process.stdout().tty().is_some();
    let mut typed = BytesMut::new();
    loop {
        if asks && !process.print(format!("{}> ", session.database)).await {
            return 0;
        }
        let Some(line) = next_line(&process, &mut typed).await else { return 0 };
        let line = String::from_utf8_lossy(&line).trim().to_owned();
        if matches!(line.as_str(), "exit" | "quit" | "quit()") {
            return 0;
        }
        session.script(&process, &line).await;
    }
}

struct Session {
    stream: TcpStream,
    buffer: BytesMut,
    database: String,
}

impl Session {
    /// Runs what is between semicolons.
    async fn script(&mut self, process: &Process, script: &str) -> i32 {
        let mut code = 0;
        for statement in script.split(';').map(str::trim).filter(|statement| !statement.is_empty()) {
            match self.statement(statement).await {
                Ok(text) if text.is_empty() => {}
                Ok(text) => {
                    process.print(format!("{text}\n")).await;
                }
                Err(error) => {
                    process.eprint(format!("{error}\n")).await;
                    code = 1;
                }
            }
        }
        code
    }

    async fn ask(&mut self, action: &str, collection: &str, argument: Value) -> Result<Value, String> {
        let asked = json!({"do": action, "db": self.database, "collection": collection, "argument": argument});
        let sent = self.stream.write_all(format!("{asked}\n").as_bytes()).await;
        let answer = if sent.is_ok() { line(&self.stream, &mut self.buffer).await } else { None };
        answer
            .and_then(|line| serde_json::from_str(&line).ok())
            .ok_or_else(|| "MongoNetworkError: connection closed".into())
    }

    async fn statement(&mut self, statement: &str) -> Result<String, String> {
        if let Some(name) = statement.strip_prefix("use ") {
            self.database = name.trim().to_owned();
            return Ok(format!("switched to db {}", self.database));
        }
        if let "show dbs" | "show databases" = statement {
            let names = self.ask("databases", "", Value::Null).await?;
            let names = names.as_array().into_iter().flatten().filter_map(Value::as_str);
            return Ok(names.map(|name| format!("{name:<8} 40.00 KiB")).collect::<Vec<_>>().join("\n"));
        }
        if let "show collections" | "show tables" = statement {
            let names = self.ask("collections", "", Value::Null).await?;
            return Ok(names.as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join("\n"));
        }
        let mut inner = statement;
        while let Some(printed) = inner.strip_prefix("print(").or(inner.strip_prefix("printjson(")) {
            inner = printed.trim_start();
        }
        let statement = if inner.len() == statement.len() { statement } else { closed(inner) };
        let unknown = || format!("ReferenceError: this stand-in for the MongoDB shell does not know: {statement}");
        let Some(rest) = statement.strip_prefix("db") else { return Err(unknown()) };
        if rest.is_empty() {
            return Ok(self.database.clone());
        }
        let (path, arguments) = rest.split_once('(').ok_or_else(unknown)?;
        // What is said of the result (`.ok`, `.pretty()`) comes after the call's end.
        let end = closing(arguments).ok_or_else(unknown)?;
        let (argument, tail) = arguments.split_at(end);
        let value = relaxed(argument.split_once("},").map_or(argument, |(first, _)| first), argument);
        let mut parts = path.trim_start_matches('.').rsplitn(2, '.');
        let (method, collection) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let result = match method {
            "runCommand" | "adminCommand" => {
                let name = match &value {
                    Value::String(name) => name.clone(),
                    Value::Object(map) => map.keys().next().cloned().unwrap_or_default(),
                    _ => String::new(),
                };
                let action = match name.as_str() {
                    "ping" => "ping",
                    "hello" | "isMaster" | "ismaster" => "hello",
                    other => return Err(format!("MongoServerError[CommandNotFound]: no such command: '{other}'")),
                };
                self.ask(action, "", Value::Null).await?
            }
            "hello" | "isMaster" => self.ask("hello", "", Value::Null).await?,
            "version" => self.ask("version", "", Value::Null).await?,
            "getName" => Value::String(self.database.clone()),
            "getCollectionNames" => self.ask("collections", "", Value::Null).await?,
            "insertOne" | "insertMany" | "insert" => self.ask("insert", collection, value).await?,
            "find" | "findOne" => {
                let found = self.ask("find", collection, value).await?;
                let first = found.get(0).cloned();
                if method == "findOne" { first.unwrap_or(Value::Null) } else { found }
            }
            "countDocuments" | "count" | "estimatedDocumentCount" => self.ask("count", collection, value).await?,
            "deleteMany" | "deleteOne" | "remove" => self.ask("delete", collection, value).await?,
            "drop" => self.ask("drop", collection, Value::Null).await?,
            _ => return Err(format!("TypeError: db{path} is not a function")),
        };
        let field = tail.trim_start_matches(')').strip_prefix('.').filter(|field| !field.contains('('));
        Ok(shown(field.map_or(&result, |field| result.get(field).unwrap_or(&Value::Null)), 0))
    }
}

/// A call without the parentheses that close what is before it.
fn closed(text: &str) -> &str {
    closing(text).and_then(|end| text.get(..end)).unwrap_or(text)
}

/// Where the parenthesis that is open closes.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 1;
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

/// JavaScript's notation of an object as a value: names without quotes, either sort of quotes.
fn relaxed(first: &str, whole: &str) -> Value {
    let read = |text: &str| {
        let mut out = String::new();
        let mut quote = None;
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match (quote, c) {
                (Some(open), c) if c == open => {
                    quote = None;
                    out.push('"');
                }
                (Some(_), '"') => out.push_str("\\\""),
                (Some(_), c) => out.push(c),
                (None, '"' | '\'') => {
                    quote = Some(c);
                    out.push('"');
                }
                (None, c) if c.is_alphabetic() || matches!(c, '_' | '$') => {
                    let mut word = String::from(c);
                    while let Some(next) = chars.next_if(|c| c.is_alphanumeric() || matches!(c, '_' | '$')) {
                        word.push(next);
                    }
                    let literal = matches!(word.as_str(), "true" | "false" | "null");
                    out.push_str(&if literal { word } else { format!("\"{word}\"") });
                }
                (None, c) => out.push(c),
            }
        }
        serde_json::from_str(&out).ok()
    };
    read(whole).or_else(|| read(&format!("{first}}}"))).unwrap_or(Value::Null)
}

/// A value as the shell prints it.
fn shown(value: &Value, depth: usize) -> String {
    match value {
        Value::String(text) if depth == 0 => text.clone(),
        Value::String(text) => format!("'{text}'"),
        Value::Object(map) => {
            let fields = map.iter().map(|(name, value)| {
                let id = name == "_id" && value.as_str().is_some_and(|id| id.len() == 24);
                let value = shown(value, depth + 1);
                if id { format!("{name}: ObjectId({value})") } else { format!("{name}: {value}") }
            });
            format!("{{ {} }}", fields.collect::<Vec<_>>().join(", "))
        }
        Value::Array(items) if items.is_empty() => "[]".into(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| format!("  {}", shown(item, depth + 1))).collect();
            format!("[\n{}\n]", items.join(",\n"))
        }
        other => other.to_string(),
    }
}
