//! rabbitmq: named queues of messages, and `amqp-tools`, which declare, fill and empty them. What passes between them
//! is a line and a body each, not AMQP.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::rc::Rc;

use bytes::BytesMut;
use futures::future::{Either, select};

use super::notice::Notice;
use super::{GRACEFUL, bind, each_client, stamp, until_stopped};
use crate::io::Fd;
use crate::network::TcpStream;
use crate::process::Process;
use crate::programs;

const PORT: u16 = 5672;
const MANAGEMENT_PORT: u16 = 15672;
/// Most bytes of a message.
const MESSAGE_BYTES_MAX: usize = 16 << 20;
/// Most bytes of all messages together: RabbitMQ's memory alarm, which holds publishers back until there is room.
const BYTES_MAX: usize = 64 << 20;
/// What a message takes beside its body.
const MESSAGE_BYTES: usize = 64;
/// Most queues.
const QUEUES_MAX: usize = 10_000;

/// The queues, and who waits for a message or for room.
#[derive(Default)]
struct Queues {
    queues: RefCell<BTreeMap<String, VecDeque<Vec<u8>>>>,
    bytes: Cell<usize>,
    news: Notice,
}

impl Queues {
    /// Takes a message; none where the queue is empty.
    fn take(&self, queue: &str) -> Option<Vec<u8>> {
        let message = self.queues.borrow_mut().get_mut(queue)?.pop_front()?;
        self.bytes.set(self.bytes.get().saturating_sub(message.len() + MESSAGE_BYTES));
        Some(message)
    }

    /// Puts a message at the queue's end, or back at its beginning.
    fn put(&self, queue: &str, message: Vec<u8>, back: bool) {
        let mut queues = self.queues.borrow_mut();
        // The default exchange drops what is for no queue.
        let Some(messages) = queues.get_mut(queue) else { return };
        self.bytes.set(self.bytes.get().saturating_add(message.len() + MESSAGE_BYTES));
        if back {
            messages.push_front(message);
        } else {
            messages.push_back(message);
        }
        drop(queues);
        self.news.changed();
    }
}

/// `rabbitmq-server`.
pub(super) async fn server(process: Process) -> i32 {
    let (Ok(listener), Ok(_management)) = (bind(&process, PORT), bind(&process, MANAGEMENT_PORT)) else {
        return process
            .fail(1, format_args!("Failed to start Ranch listener on port {PORT}: address already in use"))
            .await;
    };
    let time = stamp(process.machine.now(), "%Y-%m-%d %H:%M:%S.%6f+00:00");
    process
        .print(format!(
            "{time} [info] <0.209.0>  Starting RabbitMQ 4.1.3 on Erlang 27.3.4\n\
             {time} [info] <0.740.0> started TCP listener on [::]:{PORT}\n\
             {time} [info] <0.650.0> Server startup complete; 4 plugins started.\n"
        ))
        .await;
    let queues = Rc::new(Queues::default());
    until_stopped(&process, GRACEFUL, async { each_client(&listener, |stream| client(stream, &queues)).await }).await
}

/// Serves a connection. A message that was taken and not acknowledged goes back to its place.
async fn client(stream: TcpStream, queues: &Queues) {
    struct Taken<'a>(&'a Queues, Option<(String, Vec<u8>)>);
    impl Drop for Taken<'_> {
        fn drop(&mut self) {
            if let Some((queue, message)) = self.1.take() {
                self.0.put(&queue, message, true);
            }
        }
    }
    let mut taken = Taken(queues, None);
    let mut buffer = BytesMut::new();
    while let Some((line, body)) = receive(&stream, &mut buffer).await {
        let (verb, queue) = line.split_once(' ').unwrap_or((&line, ""));
        let known = queues.queues.borrow().contains_key(queue);
        let (answer, message) = match verb {
            "declare" if !known && queues.queues.borrow().len() >= QUEUES_MAX => {
                ("PRECONDITION_FAILED - cannot declare queue: queue limit is reached".to_owned(), Vec::new())
            }
            "declare" => {
                queues.queues.borrow_mut().entry(queue.to_owned()).or_default();
                ("ok".to_owned(), Vec::new())
            }
            "delete" => {
                let gone = queues.queues.borrow_mut().remove(queue).unwrap_or_default();
                let bytes = gone.iter().map(|message| message.len() + MESSAGE_BYTES).sum();
                queues.bytes.set(queues.bytes.get().saturating_sub(bytes));
                queues.news.changed();
                ("ok".to_owned(), Vec::new())
            }
            "publish" => {
                let size = body.len() + MESSAGE_BYTES;
                let room = || (queues.bytes.get() + size <= BYTES_MAX).then_some(());
                if or_gone(&stream, queues.news.until(room)).await.is_none() {
                    return;
                }
                queues.put(queue, body, false);
                ("ok".to_owned(), Vec::new())
            }
            "get" | "consume" if !known => (format!("NOT_FOUND - no queue '{queue}' in vhost '/'"), Vec::new()),
            "get" | "consume" => {
                let found = match queues.take(queue) {
                    None if verb == "consume" => match or_gone(&stream, queues.news.until(|| queues.take(queue))).await
                    {
                        Some(message) => Some(message),
                        None => return,
                    },
                    found => found,
                };
                match found {
                    Some(message) => {
                        taken.1 = Some((queue.to_owned(), message.clone()));
                        ("message".to_owned(), message)
                    }
                    None => ("empty".to_owned(), Vec::new()),
                }
            }
            "ack" => {
                taken.1 = None;
                queues.news.changed();
                ("ok".to_owned(), Vec::new())
            }
            "list" => {
                let rows: String =
                    queues.queues.borrow().iter().map(|(name, all)| format!("{name}\t{}\n", all.len())).collect();
                ("ok".to_owned(), rows.into_bytes())
            }
            _ => ("COMMAND_INVALID".to_owned(), Vec::new()),
        };
        if send(&stream, &answer, &message).await.is_none() {
            return;
        }
    }
}

/// What is waited for; none when the client goes first.
async fn or_gone<T>(stream: &TcpStream, wait: impl Future<Output = T>) -> Option<T> {
    // Who waits for an answer says nothing meanwhile.
    match select(Box::pin(wait), Box::pin(stream.read(1))).await {
        Either::Left((found, _)) => Some(found),
        Either::Right(_) => None,
    }
}

async fn send(stream: &TcpStream, line: &str, body: &[u8]) -> Option<()> {
    let head = format!("{} {line}\n", body.len());
    stream.write_all(&[head.as_bytes(), body].concat()).await.ok()
}

/// A line and its body.
async fn receive(stream: &TcpStream, buffer: &mut BytesMut) -> Option<(String, Vec<u8>)> {
    loop {
        if let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
            let head = String::from_utf8_lossy(buffer.get(..end)?).into_owned();
            let (length, line) = head.split_once(' ')?;
            let length = length.parse::<usize>().ok().filter(|length| *length <= MESSAGE_BYTES_MAX)?;
            if buffer.len() > end + length {
                let _ = buffer.split_to(end + 1);
                return Some((line.to_owned(), buffer.split_to(length).to_vec()));
            }
        }
        if buffer.len() > 2 * MESSAGE_BYTES_MAX {
            return None;
        }
        let part = stream.read(65536).await.ok().filter(|part| !part.is_empty())?;
        buffer.extend_from_slice(&part);
    }
}

/// A connection of a tool.
struct Broker {
    stream: TcpStream,
    buffer: BytesMut,
}

impl Broker {
    async fn ask(&mut self, line: &str, body: &[u8]) -> Result<(String, Vec<u8>), String> {
        let asked = send(&self.stream, line, body).await;
        let answer = if asked.is_some() { receive(&self.stream, &mut self.buffer).await } else { None };
        match answer.ok_or("connection closed")? {
            (word, body) if matches!(word.as_str(), "ok" | "message" | "empty") => Ok((word, body)),
            (error, _) => Err(format!("server channel error 404, message: {error}")),
        }
    }
}

/// Options of `amqp-tools`.
#[derive(Default)]
struct Asked {
    url: String,
    queue: String,
    body: Option<String>,
    count: Option<u64>,
    command: Vec<String>,
}

fn read(process: &Process) -> Asked {
    let mut asked = Asked { url: process.var("AMQP_URL").to_owned(), ..Asked::default() };
    let mut words = process.operands().iter();
    while let Some(word) = words.next() {
        let (flag, value) = match word.split_once('=') {
            Some((flag, value)) if flag.starts_with("--") => (flag, Some(value.to_owned())),
            _ => (word.as_str(), None),
        };
        let mut value = || value.clone().or_else(|| words.next().cloned()).unwrap_or_default();
        match flag {
            "-u" | "--url" => asked.url = value(),
            "-s" | "--server" => asked.url = format!("amqp://{}", value()),
            "-q" | "--queue" | "-r" | "--routing-key" => asked.queue = value(),
            "-b" | "--body" => asked.body = Some(value()),
            "-c" | "--count" => asked.count = value().parse().ok(),
            "-e" | "--exchange" | "-C" | "--content-type" | "--vhost" | "--username" | "--password" | "--port" => {
                drop(value())
            }
            flag if flag.starts_with('-') => {}
            _ => {
                asked.command = [vec![word.clone()], words.cloned().collect()].concat();
                break;
            }
        }
    }
    asked
}

async fn connect(process: &Process, url: &str) -> Result<Broker, String> {
    let place = url.trim_start_matches("amqp://");
    let place = place.rsplit('@').next().unwrap_or_default().split('/').next().unwrap_or_default();
    let (host, port) = place.split_once(':').unwrap_or((place, ""));
    let host = if host.is_empty() { "localhost" } else { host };
    match process.machine.connect(host, port.parse().unwrap_or(PORT)).await {
        Ok(stream) => Ok(Broker { stream, buffer: BytesMut::new() }),
        Err(crate::network::ConnectError::NameNotFound(_)) => {
            Err(format!("opening socket to {host}:{PORT}: hostname lookup failed"))
        }
        Err(_) => Err(format!("opening socket to {host}:{PORT}: a socket error occurred")),
    }
}

/// `amqp-declare-queue`, `amqp-delete-queue`, `amqp-publish`, `amqp-get` and `amqp-consume`.
pub(super) async fn tools(process: Process) -> i32 {
    let asked = read(&process);
    match run(&process, &asked).await {
        Ok(code) => code,
        Err(error) => {
            process.eprint(format!("{error}\n")).await;
            1
        }
    }
}

async fn run(process: &Process, asked: &Asked) -> Result<i32, String> {
    let mut broker = connect(process, &asked.url).await?;
    let queue = &asked.queue;
    match process.name() {
        "amqp-declare-queue" => {
            broker.ask(&format!("declare {queue}"), b"").await?;
            process.print(format!("{queue}\n")).await;
        }
        "amqp-delete-queue" => drop(broker.ask(&format!("delete {queue}"), b"").await?),
        "amqp-publish" => {
            let body = match &asked.body {
                Some(body) => body.clone().into_bytes(),
                None => process.stdin().read_to_end().await.unwrap_or_default(),
            };
            broker.ask(&format!("publish {queue}"), &body).await?;
        }
        "amqp-get" => {
            let (word, body) = broker.ask(&format!("get {queue}"), b"").await?;
            if word == "empty" {
                return Ok(2);
            }
            broker.ask("ack", b"").await?;
            process.print(body).await;
        }
        _ => {
            if asked.command.is_empty() {
                return Err("consuming command not specified".into());
            }
            let mut left = asked.count;
            while left != Some(0) {
                let (_, body) = broker.ask(&format!("consume {queue}"), b"").await?;
                let mut fds = process.fds.clone();
                fds.insert(0, Fd::from_bytes(body));
                let Some(child) = programs::spawn_with(process, asked.command.clone(), fds).await else { return Ok(1) };
                // What fails is not acknowledged: another consumer gets it.
                if child.wait().await != 0 {
                    return Ok(1);
                }
                broker.ask("ack", b"").await?;
                left = left.map(|left| left - 1);
            }
        }
    }
    Ok(0)
}

/// `rabbitmqctl list_queues`, `status` and `rabbitmq-diagnostics ping`.
pub(super) async fn control(process: Process) -> i32 {
    let command = process.operands().iter().find(|word| !word.starts_with('-')).map_or("", String::as_str).to_owned();
    let node = format!("rabbit@{}", process.machine.hostname());
    let listed = match connect(&process, "amqp://127.0.0.1").await {
        Ok(mut broker) => broker.ask("list", b"").await,
        Err(error) => Err(error),
    };
    let Ok((_, rows)) = listed else {
        process.eprint(format!("Error: unable to perform an operation on node '{node}'. Please see diagnostics information and suggestions below.\n")).await;
        return 69;
    };
    let text = match command.as_str() {
        "list_queues" => {
            let rows = String::from_utf8_lossy(&rows).into_owned();
            format!("Timeout: 60.0 seconds ...\nListing queues for vhost / ...\nname\tmessages\n{rows}")
        }
        "status" => format!(
            "Status of node {node} ...\nRuntime\n\nRabbitMQ version: 4.1.3\nRelease series support status: supported\n"
        ),
        "ping" => format!(
            "Will ping {node}. This only checks if the OS process is running and registered with epmd. Timeout: 60000 ms.\nPing succeeded\n"
        ),
        other => return process.fail(64, format_args!("Command '{other}' not found.")).await,
    };
    i32::from(!process.print(text).await)
}
