//! redis: a working subset of its protocol, and its client.

mod cli;
mod config;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use bytes::BytesMut;

use self::config::Config;
use super::{GRACEFUL, bind, each_client, stamp, until_stopped};
use crate::network::TcpStream;
use crate::process::Process;

pub(super) use self::cli::cli;

/// Most bytes of one command.
const COMMAND_BYTES_MAX: usize = 16 << 20;

enum Value {
    Text(Vec<u8>),
    List(Vec<Vec<u8>>),
}

type Keys = BTreeMap<Vec<u8>, Value>;

/// What a server holds, and how it is set.
struct Database {
    keys: Keys,
    config: Config,
}

type Data = Rc<RefCell<Database>>;

const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";
const NOT_AN_INTEGER: &str = "-ERR value is not an integer or out of range\r\n";

/// redis-server, by default on 6379: `redis-server [FILE] [--NAME VALUE…]`.
pub(super) async fn server(process: Process) -> i32 {
    let config = match Config::read(&process) {
        Ok(config) => config,
        Err(message) => {
            process.eprint(message).await;
            return 1;
        }
    };
    let port = config.get("port").parse().unwrap_or(6379);
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
    let data = Data::new(RefCell::new(Database { keys: Keys::new(), config }));
    let code = until_stopped(&process, GRACEFUL, async {
        each_client(&listener, |stream| client(stream, data.clone())).await
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
    let Database { keys: data, config } = &mut *data.borrow_mut();
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
        ("INCR" | "DECR", [key]) => add(data, key, if name == "INCR" { 1 } else { -1 }),
        ("INCRBY", [key, by]) => match String::from_utf8_lossy(by).parse() {
            Ok(by) => add(data, key, by),
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
        ("INFO", sections) => bulk(info(sections.first(), data, config).as_bytes()),
        ("CONFIG", [verb, arguments @ ..]) => config_command(config, verb, arguments),
        ("COMMAND", _) => array(&[]),
        (
            "GET" | "SET" | "INCR" | "DECR" | "INCRBY" | "LPUSH" | "RPUSH" | "LPOP" | "RPOP" | "LLEN" | "LRANGE"
            | "ECHO" | "CONFIG",
            _,
        ) => format!("-ERR wrong number of arguments for '{}' command\r\n", name.to_lowercase()).into_bytes(),
        _ => {
            let words: String = arguments.iter().map(|word| format!("'{}' ", String::from_utf8_lossy(word))).collect();
            format!("-ERR unknown command '{}', with args beginning with: {words}\r\n", name).into_bytes()
        }
    }
}

fn add(data: &mut Keys, key: &[u8], by: i64) -> Vec<u8> {
    let old = match data.get(key) {
        None => Some(0),
        Some(Value::Text(text)) => String::from_utf8_lossy(text).parse::<i64>().ok(),
        Some(Value::List(_)) => return WRONG_TYPE.into(),
    };
    let Some(new) = old.and_then(|old| old.checked_add(by)) else { return NOT_AN_INTEGER.into() };
    data.insert(key.to_vec(), Value::Text(new.to_string().into_bytes()));
    format!(":{new}\r\n").into_bytes()
}

/// `CONFIG GET PATTERN…` and `CONFIG SET NAME VALUE…`.
fn config_command(config: &mut Config, verb: &[u8], arguments: &[Vec<u8>]) -> Vec<u8> {
    let words: Vec<String> = arguments.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect();
    let verb = String::from_utf8_lossy(verb).to_uppercase();
    match (verb.as_str(), words.as_slice()) {
        ("GET", [_, ..]) => {
            let found = config.matching(&words).flat_map(|(name, value)| [name, value]);
            array(&found.map(|text| text.as_bytes().to_vec()).collect::<Vec<_>>())
        }
        ("SET", [_, _, ..]) if words.len().is_multiple_of(2) => {
            for pair in words.chunks(2) {
                let [name, value] = pair else { continue };
                if let Err(why) = config.set(name, value) {
                    let text = format!("-ERR CONFIG SET failed (possibly related to argument '{name}') - {why}\r\n");
                    return text.into_bytes();
                }
            }
            b"+OK\r\n".to_vec()
        }
        ("RESETSTAT" | "REWRITE", []) => b"+OK\r\n".to_vec(),
        _ => format!("-ERR unknown subcommand or wrong number of arguments for '{verb}'. Try CONFIG HELP.\r\n")
            .into_bytes(),
    }
}

/// The sections of `INFO`, or one of them.
fn info(section: Option<&Vec<u8>>, data: &Keys, config: &Config) -> String {
    let wanted = section.map(|name| String::from_utf8_lossy(name).to_lowercase()).unwrap_or_default();
    let keyspace = if data.is_empty() { String::new() } else { format!("db0:keys={},expires=0\r\n", data.len()) };
    let memory =
        format!("maxmemory:{}\r\nmaxmemory_policy:{}\r\n", config.get("maxmemory"), config.get("maxmemory-policy"));
    let server = format!("redis_mode:standalone\r\ntcp_port:{}\r\n", config.get("port"));
    let sections = [
        ("Server", server),
        ("Memory", memory),
        ("Replication", "role:master\r\nconnected_slaves:0\r\n".to_owned()),
        ("Keyspace", keyspace),
    ];
    let all = matches!(wanted.as_str(), "" | "all" | "default" | "everything");
    let shown = sections.iter().filter(|(name, _)| all || name.to_lowercase() == wanted);
    shown.map(|(name, text)| format!("# {name}\r\n{text}")).collect::<Vec<_>>().join("\r\n")
}
