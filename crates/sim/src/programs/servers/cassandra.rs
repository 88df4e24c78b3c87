//! Cassandra as the documentation's tutorial looks at it: nodes that find each other by their seeds, `nodetool`.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use futures::future::{Either, join3, select};

use super::{JAVA, bind, each_client, stamp, until_stopped};
use crate::network::{TcpListener, TcpStream};
use crate::process::Process;

/// Gossip, CQL and JMX.
const PORTS: [u16; 3] = [7000, 9042, 7199];
/// Who is asked of others has that long to answer.
const PATIENCE: Duration = Duration::from_secs(2);
const FOLDER: &str = "/cassandra_data";

/// The addresses of the nodes that a node has heard of, sorted, its own among them.
type Known = Rc<RefCell<Vec<String>>>;

/// What another node knows, after it was told of those that this one does.
async fn gossip(process: &Process, host: &str, known: &[String]) -> Option<Vec<String>> {
    let ask = async {
        let stream = process.machine.connect(host, PORTS[0]).await.ok()?;
        stream.write_all(format!("{}\n", known.join(" ")).as_bytes()).await.ok()?;
        let answer = stream.read(65536).await.ok()?;
        Some(String::from_utf8_lossy(&answer).split_whitespace().map(str::to_owned).collect())
    };
    match select(Box::pin(ask), process.machine.executor().sleep(PATIENCE)).await {
        Either::Left((known, _)) => known,
        Either::Right(_) => None,
    }
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
            }
            process.print(log("JOINING: Finish joining ring")).await;
            process.print(log("Starting listening for CQL clients on /0.0.0.0:9042 (unencrypted)...")).await;
            std::future::pending::<()>().await;
        };
        let [gossiping, cql, jmx] = &listeners[..] else { return 1 };
        let serving = join3(serve(gossiping, &known), serve(cql, &known), serve(jmx, &known));
        futures::future::join(join, serving).await;
        0
    })
    .await;
    process.print(log("Announcing shutdown")).await;
    code
}

async fn serve(listener: &TcpListener, known: &Known) {
    let answer = |stream: TcpStream| async move {
        if let Ok(heard) = stream.read(65536).await {
            merge(known, String::from_utf8_lossy(&heard).split_whitespace().map(str::to_owned));
            let all = known.borrow().join(" ");
            let _ = stream.write_all(all.as_bytes()).await;
        }
    };
    each_client(listener, answer).await
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
