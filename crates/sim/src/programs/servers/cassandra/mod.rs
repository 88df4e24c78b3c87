//! Cassandra as the documentation's tutorial looks at it: nodes that find each other by their seeds, `nodetool`, and
//! `cqlsh`. Each node holds all data: what changes it is told to all, and who joins asks for what there was before.

mod cql;
mod cqlsh;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use futures::future::{Either, join3, select};

use serde_json::{Value, json};

pub(super) use self::cqlsh::cqlsh;
use super::{JAVA, bind, each_client, stamp, until_stopped};
use crate::network::{TcpListener, TcpStream};
use crate::process::Process;

/// Gossip, CQL and JMX.
const PORTS: [u16; 3] = [7000, CQL, 7199];
const CQL: u16 = 9042;
/// How long a node that is asked by another one has to answer.
const PATIENCE: Duration = Duration::from_secs(2);
const FOLDER: &str = "/cassandra_data";
const LOG: &str = "/cassandra_data/data/commitlog.json";

/// The addresses of the nodes that a node has heard of, sorted, its own among them.
type Known = Rc<RefCell<Vec<String>>>;

/// What a node holds, and the statements that made it so: an id and the statement in its keyspace.
#[derive(Default)]
struct Held {
    data: cql::Data,
    log: Vec<(String, String, String)>,
}

type Shared = Rc<RefCell<Held>>;

impl Held {
    /// Takes in what was done to the data, unless it has that already; false then.
    fn take(&mut self, entry: (String, String, String)) -> bool {
        if self.log.iter().any(|(id, ..)| *id == entry.0) {
            return false;
        }
        self.data.run(&entry.1, &entry.2);
        self.log.push(entry);
        true
    }

    fn take_all(&mut self, log: &Value) {
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        for entry in log.as_array().into_iter().flatten() {
            self.take((word(&entry[0]), word(&entry[1]), word(&entry[2])));
        }
    }
}

/// Sends a line to a node, and gives the line that it answers.
async fn request(process: &Process, host: &str, port: u16, message: &str, patience: Duration) -> Option<String> {
    let ask = async {
        let stream = process.machine.connect(host, port).await.ok()?;
        stream.write_all(format!("{message}\n").as_bytes()).await.ok()?;
        line(&stream).await
    };
    match select(Box::pin(ask), process.machine.executor().sleep(patience)).await {
        Either::Left((answer, _)) => answer,
        Either::Right(_) => None,
    }
}

/// What is sent up to the end of a line.
async fn line(stream: &TcpStream) -> Option<String> {
    /// Most bytes of it.
    const LINE_BYTES_MAX: usize = 1 << 20;
    let mut all = Vec::new();
    while !all.ends_with(b"\n") && all.len() < LINE_BYTES_MAX {
        let part = stream.read(65536).await.ok()?;
        if part.is_empty() {
            break;
        }
        all.extend_from_slice(&part);
    }
    Some(String::from_utf8_lossy(&all).trim_end().to_owned())
}

/// What another node knows, after it was told of those that this one does.
async fn gossip(process: &Process, host: &str, known: &[String]) -> Option<Vec<String>> {
    let answer = request(process, host, PORTS[0], &known.join(" "), PATIENCE).await?;
    Some(answer.split_whitespace().map(str::to_owned).collect())
}

fn merge(known: &Known, heard: impl IntoIterator<Item = String>) {
    let mut known = known.borrow_mut();
    known.extend(heard);
    known.sort_unstable();
    known.dedup();
}

/// `/run.sh`: starts the server.
pub(super) async fn main(process: Process) -> i32 {
    let log = |text: &str| format!("INFO  {} {text}\n", stamp(process.machine.now(), "%H:%M:%S"));
    let Ok(listeners) = PORTS.into_iter().map(|port| bind(&process, port)).collect::<Result<Vec<_>, _>>() else {
        return process.fail(1, "Address already in use").await;
    };
    let own = process.machine.interface().address().to_string();
    let _ = process.fs().create_dir_all(&format!("{FOLDER}/data"), process.machine.now());
    process
        .print(format!(
            "Starting Cassandra on {own}\n{}",
            log("Configuration location: file:/etc/cassandra/cassandra.yaml")
        ))
        .await;
    let known: Known = Rc::new(RefCell::new(vec![own.clone()]));
    let held = Shared::default();
    let or = |name: &str, other: &str| match process.var(name) {
        "" => other.to_owned(),
        value => value.to_owned(),
    };
    held.borrow_mut().data.local = [
        ("key", "local".to_owned()),
        ("cluster_name", or("CASSANDRA_CLUSTER_NAME", "Test Cluster")),
        ("data_center", or("CASSANDRA_DC", "datacenter1")),
        ("listen_address", own.clone()),
        ("rack", or("CASSANDRA_RACK", "rack1")),
        ("release_version", "3.11.2".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    let before = process.fs().read_text(LOG).ok().and_then(|text| serde_json::from_str(&text).ok());
    held.borrow_mut().take_all(&before.unwrap_or_default());
    let code = until_stopped(&process, JAVA, async {
        let join = async {
            for seed in process.var("CASSANDRA_SEEDS").split(',').map(str::trim) {
                let mine = known.borrow().clone();
                let heard = gossip(&process, seed, &mine).await.unwrap_or_default();
                merge(&known, heard);
            }
            // The others hear of this one too.
            let (all, mine) = (known.borrow().clone(), [own.clone()]);
            for other in all.iter().filter(|other| **other != own) {
                process.print(log(&format!("Node /{other} is now part of the cluster"))).await;
                gossip(&process, other, &mine).await;
                let there = request(&process, other, PORTS[0], "[\"log\"]", PATIENCE).await;
                let there = there.and_then(|text| serde_json::from_str(&text).ok());
                held.borrow_mut().take_all(&there.unwrap_or_default());
            }
            keep(&process, &held);
            process.print(log("JOINING: Finish joining ring")).await;
            process.print(log("Starting listening for CQL clients on /0.0.0.0:9042 (unencrypted)...")).await;
            std::future::pending::<()>().await;
        };
        let [gossiping, cql, jmx] = &listeners[..] else { return 1 };
        let each = |listener| serve(&process, listener, &known, &held);
        let serving = join3(each(gossiping), each(cql), each(jmx));
        futures::future::join(join, serving).await;
        0
    })
    .await;
    process.print(log("Announcing shutdown")).await;
    code
}

/// Answers the other nodes and clients: with the addresses of the nodes, with what there is to know of the data, with
/// what a statement gives.
async fn serve(process: &Process, listener: &TcpListener, known: &Known, held: &Shared) {
    let answer = |stream: TcpStream| async move {
        let Some(message) = line(&stream).await else { return };
        let asked: Option<Value> = serde_json::from_str(&message).ok().filter(Value::is_array);
        let answer = match &asked {
            None => {
                merge(known, message.split_whitespace().map(str::to_owned));
                known.borrow().join(" ")
            }
            Some(asked) => match asked[0].as_str() {
                Some("log") => json!(held.borrow().log).to_string(),
                Some("put") => {
                    held.borrow_mut().take_all(&asked[1]);
                    keep(process, held);
                    "[]".into()
                }
                _ => {
                    let word = |at: usize| asked[at].as_str().unwrap_or_default();
                    let reply = run(process, known, held, word(1), word(2)).await;
                    serde_json::to_string(&reply).unwrap_or_default()
                }
            },
        };
        // Who asked may have gone.
        let _ = stream.write_all(format!("{answer}\n").as_bytes()).await;
    };
    each_client(listener, answer).await
}

/// Runs a client's statement; what it changes is told to all nodes.
async fn run(process: &Process, known: &Known, held: &Shared, keyspace: &str, statement: &str) -> cql::Reply {
    let random = |bits: u32| process.machine.random() >> (64 - bits);
    let mut statement = statement.to_owned();
    for function in ["uuid()", "now()"] {
        while let Some(at) = statement.to_ascii_lowercase().find(function) {
            let id = format!(
                "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
                random(32),
                random(16),
                random(12),
                random(12),
                random(48)
            );
            statement.replace_range(at..at + function.len(), &id);
        }
    }
    let reply = held.borrow_mut().data.run(keyspace, &statement);
    if reply.error.is_some() || !cql::changes(&statement) {
        return reply;
    }
    let own = process.machine.interface().address().to_string();
    let entry = (format!("{own}-{:016x}", process.machine.random()), keyspace.to_owned(), statement);
    held.borrow_mut().log.push(entry.clone());
    keep(process, held);
    let message = json!(["put", [entry]]).to_string();
    let others: Vec<String> = known.borrow().iter().filter(|other| **other != own).cloned().collect();
    let told = others.iter().map(|other| request(process, other, PORTS[0], &message, PATIENCE));
    // One that does not answer asks when it is back.
    futures::future::join_all(told).await;
    reply
}

/// Writes what there is to the node's volume.
fn keep(process: &Process, held: &Shared) {
    let text = json!(held.borrow().log).to_string();
    // A full disk keeps no more.
    let _ = process.fs().write(LOG, text, process.machine.now());
}

/// A number that an address always has.
fn number_of(address: &str) -> u64 {
    address.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// `nodetool status`, and what needs no answer.
pub(super) async fn nodetool(process: Process) -> i32 {
    let word = process.operands().iter().find(|word| !word.starts_with('-')).cloned().unwrap_or_default();
    let Some(known) = gossip(&process, "127.0.0.1", &[]).await else {
        let why = "nodetool: Failed to connect to '127.0.0.1:7199' - ConnectException: 'Connection refused (Connection refused)'.\n";
        process.eprint(why).await;
        return 1;
    };
    match word.as_str() {
        "status" => {}
        "drain" | "flush" | "repair" | "cleanup" => return 0,
        _ => {
            process.eprint(format!("nodetool: Found unexpected parameters: [{word}]\nSee 'nodetool help' or 'nodetool help <command>'.\n")).await;
            return 1;
        }
    }
    let or = |name: &str, other: &str| {
        if process.var(name).is_empty() { other.to_owned() } else { process.var(name).to_owned() }
    };
    let mut text = format!("Datacenter: {}\n======================\n", or("CASSANDRA_DC", "datacenter1"));
    text.push_str("Status=Up/Down\n|/ State=Normal/Leaving/Joining/Moving\n");
    text.push_str(&format!(
        "--  {:<12}{:<12}{:<13}{:<18}{:<38}Rack\n",
        "Address", "Load", "Tokens", "Owns (effective)", "Host ID"
    ));
    let owns = 100.0 * 2.0_f64.min(known.len() as f64) / known.len() as f64;
    for address in &known {
        let up = gossip(&process, address, &[]).await.is_some();
        let number = number_of(address);
        let id = format!(
            "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
            number >> 32,
            number >> 16 & 0xffff,
            number >> 8 & 0xfff,
            number & 0xfff,
            number & 0xffff_ffff_ffff
        );
        text.push_str(&format!(
            "{}  {address:<12}{:<12}{:<13}{:<18}{id:<38}{}\n",
            if up { "UN" } else { "DN" },
            format!("{}.{:02} KiB", 65 + number % 40, number % 97),
            "32",
            format!("{owns:.1}%"),
            or("CASSANDRA_RACK", "rack1"),
        ));
    }
    process.print(format!("{text}\n")).await;
    0
}

/// `/ready-probe.sh`: whether this node is up and has joined.
pub(super) async fn ready(process: Process) -> i32 {
    let own = process.machine.interface().address().to_string();
    let known = gossip(&process, "127.0.0.1", &[]).await.unwrap_or_default();
    if known.contains(&own) {
        return 0;
    }
    process.eprint("nodetool: Failed to connect to '127.0.0.1:7199'\n").await;
    1
}
