//! redis: a working subset of its protocol, and its client.

mod cli;
mod config;
mod lists;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use bytes::BytesMut;
use futures::future::{Either, select};
use machinery::Timestamp;

use self::config::Config;
use super::{GRACEFUL, bind, each_client, stamp, until_stopped};
use crate::executor::Executor;
use crate::network::TcpStream;
use crate::process::Process;

pub(super) use self::cli::cli;
pub(in super::super) use self::cli::{Reply, call};

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
    /// When keys go that are to go.
    expiries: BTreeMap<Vec<u8>, Timestamp>,
    config: Config,
    /// Who waits for something to be pushed to a list.
    waiting: Vec<Waker>,
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
    let data =
        Data::new(RefCell::new(Database { keys: Keys::new(), expiries: BTreeMap::new(), config, waiting: Vec::new() }));
    let executor = process.machine.executor().clone();
    let code = until_stopped(&process, GRACEFUL, async {
        each_client(&listener, |stream| client(stream, data.clone(), executor.clone())).await
    })
    .await;
    process.print(log("Redis is now ready to exit, bye bye...")).await;
    code
}

async fn client(stream: TcpStream, data: Data, executor: Executor) {
    let mut buffer = BytesMut::new();
    loop {
        while let Some((command, used)) = parse(&buffer) {
            let _ = buffer.split_to(used);
            // Nothing is popped for a client that has gone.
            let more = Box::pin(stream.read(65536));
            let reply = match select(Box::pin(run_or_wait(&command, &data, &executor)), more).await {
                Either::Left((reply, _)) => reply,
                Either::Right((Ok(part), waiting)) if !part.is_empty() => {
                    buffer.extend_from_slice(&part);
                    waiting.await
                }
                Either::Right(_) => return,
            };
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

/// What a command that waits does once it need not, and how long it waits, in seconds: 0 for ever.
fn waits(command: &[Vec<u8>]) -> Option<(Vec<Vec<u8>>, f64)> {
    let (name, arguments) = command.split_first()?;
    let name = String::from_utf8_lossy(name).to_uppercase();
    let at_once = match name.as_str() {
        "BLPOP" | "BRPOP" | "BRPOPLPUSH" | "BLMOVE" => name.strip_prefix('B')?,
        _ => return None,
    };
    let (timeout, arguments) = arguments.split_last()?;
    let seconds = String::from_utf8_lossy(timeout).parse().ok().filter(|seconds: &f64| (0.0..1e9).contains(seconds))?;
    Some(([&[at_once.as_bytes().to_vec()], arguments].concat(), seconds))
}

/// Runs a command; one that pops from a list that is empty waits for what is pushed.
async fn run_or_wait(command: &[Vec<u8>], data: &Data, executor: &Executor) -> Vec<u8> {
    let Some((at_once, seconds)) = waits(command) else { return run(command, data, executor.now()) };
    let pop = poll_fn(|cx| {
        let mut data = data.borrow_mut();
        let Some(reply) = lists::pop_any(&at_once, &mut data.keys) else {
            data.waiting.push(cx.waker().clone());
            return Poll::Pending;
        };
        // What was taken may have gone to another list.
        data.waiting.drain(..).for_each(Waker::wake);
        Poll::Ready(reply)
    });
    if seconds == 0.0 {
        return pop.await;
    }
    match select(pop, executor.sleep(Duration::from_secs_f64(seconds))).await {
        Either::Left((reply, _)) => reply,
        Either::Right(_) if at_once.len() > 2 && at_once.first().is_some_and(|name| name.ends_with(b"H")) => {
            b"$-1\r\n".to_vec()
        }
        Either::Right(_) => b"*-1\r\n".to_vec(),
    }
}

fn run(command: &[Vec<u8>], data: &Data, now: Timestamp) -> Vec<u8> {
    let Database { keys: data, expiries, config, waiting } = &mut *data.borrow_mut();
    expiries.retain(|key, at| {
        let stays = *at > now && data.contains_key(key);
        if !stays {
            data.remove(key);
        }
        stays
    });
    waiting.drain(..).for_each(Waker::wake);
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
        ("SET", [key, value, options @ ..]) => {
            let options: Vec<String> =
                options.iter().map(|word| String::from_utf8_lossy(word).to_uppercase()).collect();
            let has = |name: &str| options.iter().any(|word| word == name);
            if has("NX") && data.contains_key(key) || has("XX") && !data.contains_key(key) {
                return text("$-1\r\n");
            }
            let value_of = |name: &str| {
                let at = options.iter().position(|word| word == name)?;
                options.get(at + 1)?.parse::<u64>().ok()
            };
            let span = value_of("EX").map(Duration::from_secs).or(value_of("PX").map(Duration::from_millis));
            data.insert(key.clone(), Value::Text(value.clone()));
            expiries.remove(key);
            expiries.extend(span.map(|span| (key.clone(), machinery::time::after(now, span))));
            text("+OK\r\n")
        }
        ("SETEX", [key, seconds, value]) => match String::from_utf8_lossy(seconds).parse() {
            Ok(seconds) => {
                data.insert(key.clone(), Value::Text(value.clone()));
                expiries.insert(key.clone(), machinery::time::after(now, Duration::from_secs(seconds)));
                text("+OK\r\n")
            }
            Err(_) => text(NOT_AN_INTEGER),
        },
        ("EXPIRE", [key, seconds]) => match String::from_utf8_lossy(seconds).parse() {
            Ok(_) if !data.contains_key(key) => integer(0),
            Ok(seconds) => {
                expiries.insert(key.clone(), machinery::time::after(now, Duration::from_secs(seconds)));
                integer(1)
            }
            Err(_) => text(NOT_AN_INTEGER),
        },
        ("PERSIST", [key]) => integer(usize::from(expiries.remove(key).is_some())),
        ("TTL", [key]) => match (data.contains_key(key), expiries.get(key)) {
            (false, _) => text(":-2\r\n"),
            (true, None) => text(":-1\r\n"),
            (true, Some(at)) => {
                let left = machinery::time::since(now, *at);
                integer(usize::try_from(left.as_secs() + u64::from(left.subsec_nanos() > 0)).unwrap_or(0))
            }
        },
        ("TYPE", [key]) => text(match data.get(key) {
            Some(Value::Text(_)) => "+string\r\n",
            Some(Value::List(_)) => "+list\r\n",
            None => "+none\r\n",
        }),
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
        ("KEYS", [pattern]) => {
            let pattern = String::from_utf8_lossy(pattern);
            let fits = |key: &&Vec<u8>| crate::shell::pattern::matches_text(&pattern, &String::from_utf8_lossy(key));
            array(&data.keys().filter(fits).cloned().collect::<Vec<_>>())
        }
        ("DBSIZE", []) => integer(data.len()),
        ("INFO", sections) => bulk(info(sections.first(), data, config).as_bytes()),
        ("CONFIG", [verb, arguments @ ..]) => config_command(config, verb, arguments),
        ("COMMAND", _) => array(&[]),
        _ if lists::COMMANDS.contains(&name.as_str()) => lists::run(&name, arguments, data),
        (
            "GET" | "SET" | "SETEX" | "EXPIRE" | "TTL" | "TYPE" | "PERSIST" | "KEYS" | "INCR" | "DECR" | "INCRBY"
            | "ECHO" | "CONFIG",
            _,
        ) => wrong_number(&name),
        _ => {
            let words: String = arguments.iter().map(|word| format!("'{}' ", String::from_utf8_lossy(word))).collect();
            format!("-ERR unknown command '{}', with args beginning with: {words}\r\n", name).into_bytes()
        }
    }
}

fn wrong_number(name: &str) -> Vec<u8> {
    format!("-ERR wrong number of arguments for '{}' command\r\n", name.to_lowercase()).into_bytes()
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
