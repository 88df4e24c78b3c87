//! redis: a working subset of its protocol, and its client.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use bytes::BytesMut;
use futures::StreamExt;
use futures::future::{Either, select};
use futures::stream::FuturesUnordered;

use super::{GRACEFUL, bind, stamp, until_stopped};
use crate::network::TcpStream;
use crate::process::Process;

/// Most bytes of one command.
const COMMAND_BYTES_MAX: usize = 16 << 20;

enum Value {
    Text(Vec<u8>),
    List(Vec<Vec<u8>>),
}

type Data = Rc<RefCell<BTreeMap<Vec<u8>, Value>>>;

const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";
const NOT_AN_INTEGER: &str = "-ERR value is not an integer or out of range\r\n";

/// redis-server on 6379.
pub(super) async fn server(process: Process) -> i32 {
    let operands = process.operands();
    let flag = operands.iter().position(|flag| flag == "--port").and_then(|index| operands.get(index + 1));
    let port = flag.and_then(|port| port.parse().ok()).unwrap_or(6379);
    let log =
        |text: &str| format!("{}:M {} * {text}\n", process.pid, stamp(process.machine.now(), "%d %b %Y %H:%M:%S.%3f"));
    let Ok(listener) = bind(&process, port) else {
        process
            .print(log(&format!(
                "Warning: Could not create server TCP listening socket *:{port}: bind: Address already in use"
            )))
            .await;
        return 1;
    };
    process.print(log("oO0OoO0OoO0Oo Redis is starting oO0OoO0OoO0Oo")).await;
    process.print(log(&format!("Redis version={}, bits=64, commit=00000000", process.var("REDIS_VERSION")))).await;
    process.print(log("Server initialized")).await;
    process.print(log("Ready to accept connections tcp")).await;
    let data = Data::default();
    let code = until_stopped(&process, GRACEFUL, async {
        let mut clients = FuturesUnordered::new();
        loop {
            let accept = Box::pin(listener.accept());
            if clients.is_empty() {
                clients.push(client(accept.await, data.clone()));
                continue;
            }
            if let Either::Left((stream, _)) = select(accept, clients.next()).await {
                clients.push(client(stream, data.clone()));
            }
        }
    })
    .await;
    process.print(log("Redis is now ready to exit, bye bye...")).await;
    code
}

async fn client(stream: TcpStream, data: Data) {
    let mut buffer = BytesMut::new();
    loop {
        while let Some((command, used)) = parse(&buffer) {
            let _ = buffer.split_to(used);
            let reply = run(&command, &data);
            if stream.write_all(&reply).await.is_err() {
                return;
            }
        }
        match stream.read(65536).await {
            Ok(part) if !part.is_empty() && buffer.len() <= COMMAND_BYTES_MAX => buffer.extend_from_slice(&part),
            _ => return,
        }
    }
}

/// A command in the buffer, as an array of bulk strings or a line of words; and its length.
fn parse(buffer: &[u8]) -> Option<(Vec<Vec<u8>>, usize)> {
    let line = |from: usize| {
        let rest = buffer.get(from..)?;
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        let text = String::from_utf8_lossy(rest.get(..end)?).trim_end().to_owned();
        Some((text, from + end + 1))
    };
    let (first, mut at) = line(0)?;
    let Some(count) = first.strip_prefix('*') else {
        return Some((first.split_whitespace().map(|word| word.as_bytes().to_vec()).collect(), at));
    };
    let mut words = Vec::new();
    for _ in 0..count.parse::<u32>().unwrap_or(0) {
        let (header, start) = line(at)?;
        let length: usize = header.strip_prefix('$').and_then(|length| length.parse().ok()).unwrap_or(0);
        words.push(buffer.get(start..start.checked_add(length)?)?.to_vec());
        at = start.checked_add(length)?.checked_add(2)?;
        buffer.get(..at)?;
    }
    Some((words, at))
}

fn bulk(value: &[u8]) -> Vec<u8> {
    let mut reply = format!("${}\r\n", value.len()).into_bytes();
    reply.extend_from_slice(value);
    reply.extend_from_slice(b"\r\n");
    reply
}

fn array(values: &[Vec<u8>]) -> Vec<u8> {
    let mut reply = format!("*{}\r\n", values.len()).into_bytes();
    reply.extend(values.iter().flat_map(|value| bulk(value)));
    reply
}

fn run(command: &[Vec<u8>], data: &Data) -> Vec<u8> {
    let mut data = data.borrow_mut();
    let name = command.first().map(|name| String::from_utf8_lossy(name).to_uppercase()).unwrap_or_default();
    let arguments = command.get(1..).unwrap_or_default();
    let integer = |number: usize| format!(":{number}\r\n").into_bytes();
    let text = |text: &str| text.as_bytes().to_vec();
    match (name.as_str(), arguments) {
        ("PING", []) => text("+PONG\r\n"),
        ("PING" | "ECHO", [message]) => bulk(message),
        ("SELECT" | "AUTH" | "CLIENT" | "HELLO", _) | ("FLUSHALL" | "FLUSHDB", []) => {
            if name.starts_with("FLUSH") {
                data.clear();
            }
            text("+OK\r\n")
        }
        ("SET", [key, value, ..]) => {
            data.insert(key.clone(), Value::Text(value.clone()));
            text("+OK\r\n")
        }
        ("GET", [key]) => match data.get(key) {
            Some(Value::Text(value)) => bulk(value),
            Some(Value::List(_)) => text(WRONG_TYPE),
            None => text("$-1\r\n"),
        },
        ("INCR" | "DECR", [key]) => add(&mut data, key, if name == "INCR" { 1 } else { -1 }),
        ("INCRBY", [key, by]) => match String::from_utf8_lossy(by).parse() {
            Ok(by) => add(&mut data, key, by),
            Err(_) => text(NOT_AN_INTEGER),
        },
        ("DEL", keys) => integer(keys.iter().filter(|key| data.remove(*key).is_some()).count()),
        ("EXISTS", keys) => integer(keys.iter().filter(|key| data.contains_key(*key)).count()),
        ("KEYS", _) => array(&data.keys().cloned().collect::<Vec<_>>()),
        ("DBSIZE", []) => integer(data.len()),
        ("LPUSH" | "RPUSH", [key, values @ ..]) => {
            match data.entry(key.clone()).or_insert_with(|| Value::List(Vec::new())) {
                Value::Text(_) => text(WRONG_TYPE),
                Value::List(list) => {
                    for value in values {
                        let at = if name == "LPUSH" { 0 } else { list.len() };
                        list.insert(at, value.clone());
                    }
                    integer(list.len())
                }
            }
        }
        ("LPOP" | "RPOP", [key]) => match data.get_mut(key) {
            Some(Value::List(list)) if !list.is_empty() => {
                bulk(&if name == "LPOP" { list.remove(0) } else { list.pop().unwrap_or_default() })
            }
            Some(Value::Text(_)) => text(WRONG_TYPE),
            _ => text("$-1\r\n"),
        },
        ("LLEN", [key]) => match data.get(key) {
            Some(Value::List(list)) => integer(list.len()),
            Some(Value::Text(_)) => text(WRONG_TYPE),
            None => integer(0),
        },
        ("LRANGE", [key, _, _]) => match data.get(key) {
            Some(Value::List(list)) => array(list),
            Some(Value::Text(_)) => text(WRONG_TYPE),
            None => array(&[]),
        },
        ("INFO", _) => bulk(b"# Server\r\nredis_mode:standalone\r\n# Replication\r\nrole:master\r\n"),
        ("COMMAND" | "CONFIG", _) => array(&[]),
        (
            "GET" | "SET" | "INCR" | "DECR" | "INCRBY" | "LPUSH" | "RPUSH" | "LPOP" | "RPOP" | "LLEN" | "LRANGE"
            | "ECHO",
            _,
        ) => format!("-ERR wrong number of arguments for '{}' command\r\n", name.to_lowercase()).into_bytes(),
        _ => {
            let words: String = arguments.iter().map(|word| format!("'{}' ", String::from_utf8_lossy(word))).collect();
            format!("-ERR unknown command '{}', with args beginning with: {words}\r\n", name).into_bytes()
        }
    }
}

fn add(data: &mut BTreeMap<Vec<u8>, Value>, key: &[u8], by: i64) -> Vec<u8> {
    let old = match data.get(key) {
        None => Some(0),
        Some(Value::Text(text)) => String::from_utf8_lossy(text).parse::<i64>().ok(),
        Some(Value::List(_)) => return WRONG_TYPE.into(),
    };
    let Some(new) = old.and_then(|old| old.checked_add(by)) else { return NOT_AN_INTEGER.into() };
    data.insert(key.to_vec(), Value::Text(new.to_string().into_bytes()));
    format!(":{new}\r\n").into_bytes()
}

/// redis-cli: one command from its arguments.
pub(super) async fn cli(process: Process) -> i32 {
    let (mut host, mut port) = ("127.0.0.1".to_owned(), 6379);
    let mut words = process.operands().iter();
    let mut command: Vec<Vec<u8>> = Vec::new();
    while let Some(word) = words.next() {
        match word.as_str() {
            "-h" if command.is_empty() => host = words.next().cloned().unwrap_or_default(),
            "-p" if command.is_empty() => port = words.next().and_then(|port| port.parse().ok()).unwrap_or(6379),
            word => command.push(word.as_bytes().to_vec()),
        }
    }
    let stream = match process.machine.connect(&host, port).await {
        Ok(stream) => stream,
        Err(error) => {
            process.eprint(format!("Could not connect to Redis at {host}:{port}: {error}\n")).await;
            return 1;
        }
    };
    if command.is_empty() {
        command.push(b"PING".to_vec());
    }
    if stream.write_all(&array(&command)).await.is_err() {
        return 1;
    }
    let reply = stream.read(65536).await.unwrap_or_default();
    process.print(render(&String::from_utf8_lossy(&reply))).await;
    0
}

/// A reply as redis-cli prints it to something that is not a terminal.
fn render(reply: &str) -> String {
    let mut lines = reply.split("\r\n");
    let mut text = String::new();
    while let Some(line) = lines.next() {
        match line.chars().next() {
            Some('$') if line == "$-1" => text.push('\n'),
            Some('$') => text.push_str(&format!("{}\n", lines.next().unwrap_or_default())),
            Some('+' | '-' | ':') => text.push_str(&format!("{}\n", line.get(1..).unwrap_or_default())),
            Some('*') if line == "*0" => text.push('\n'),
            _ => {}
        }
    }
    text
}
