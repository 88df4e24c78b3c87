//! Servers of which nothing is looked at but that they are there: their ports, and the lines that they log. memcached
//! also keeps what it is given.

use std::cell::RefCell;

use futures::StreamExt;
use futures::stream::FuturesUnordered;

use super::{GRACEFUL, bind, stamp, until_stopped};
use crate::network::TcpStream;
use crate::process::Process;

/// A program, its ports, and what it logs once they are open; `{time}` is the time.
const DAEMONS: [(&str, &[u16], &str); 3] = [
    (
        "mongod",
        &[27017],
        "{\"t\":{\"$date\":\"{time}\"},\"s\":\"I\",\"c\":\"CONTROL\",\"id\":4615611,\"ctx\":\"initandlisten\",\"msg\":\"MongoDB starting\"}\n\
         {\"t\":{\"$date\":\"{time}\"},\"s\":\"I\",\"c\":\"NETWORK\",\"id\":23016,\"ctx\":\"listener\",\"msg\":\"Waiting for connections\",\
         \"attr\":{\"port\":27017,\"ssl\":\"off\"}}\n",
    ),
    (
        "rabbitmq-server",
        &[5672, 15672],
        "{time} [info] <0.209.0>  Starting RabbitMQ\n\
         {time} [info] <0.740.0> started TCP listener on [::]:5672\n\
         {time} [info] <0.650.0> Server startup complete; 4 plugins started.\n",
    ),
    ("memcached", &[11211], ""),
];

type Kept = RefCell<Vec<(String, Vec<u8>)>>;

/// One of [`DAEMONS`], by the program's name.
pub(super) async fn main(process: Process, name: &str) -> i32 {
    let Some((_, ports, lines)) = DAEMONS.iter().find(|(known, ..)| *known == name) else { return 127 };
    let mut listeners = Vec::new();
    for port in *ports {
        match bind(&process, *port) {
            Ok(listener) => listeners.push(listener),
            Err(_) => {
                return process.fail(1, format_args!("cannot listen on port {port}: Address already in use")).await;
            }
        }
    }
    let time = stamp(process.machine.now(), "%Y-%m-%dT%H:%M:%S.%3f+00:00");
    process.print(lines.replace("{time}", &time)).await;
    let kept = Kept::default();
    until_stopped(&process, GRACEFUL, async {
        let accept = listeners.iter().map(|listener| async {
            let mut clients = FuturesUnordered::new();
            loop {
                let next = Box::pin(listener.accept());
                if clients.is_empty() {
                    clients.push(client(next.await, name, &kept));
                } else if let futures::future::Either::Left((stream, _)) =
                    futures::future::select(next, clients.next()).await
                {
                    clients.push(client(stream, name, &kept));
                }
            }
        });
        futures::future::join_all(accept).await;
        0
    })
    .await
}

async fn client(stream: TcpStream, name: &str, kept: &Kept) {
    let mut buffer: Vec<u8> = Vec::new();
    while let Ok(part) = stream.read(65536).await {
        if part.is_empty() {
            return;
        }
        // Others' protocols are not spoken here.
        if name != "memcached" {
            continue;
        }
        buffer.extend_from_slice(&part);
        while let Some(reply) = answer(&mut buffer, kept) {
            if stream.write_all(&reply).await.is_err() {
                return;
            }
        }
    }
}

/// The answer to memcached's next command, if all of it has come.
fn answer(buffer: &mut Vec<u8>, kept: &Kept) -> Option<Vec<u8>> {
    let end = buffer.windows(2).position(|pair| pair == b"\r\n")?;
    let line = String::from_utf8_lossy(buffer.get(..end)?).into_owned();
    let words: Vec<&str> = line.split_whitespace().collect();
    let mut used = end + 2;
    let mut kept = kept.borrow_mut();
    let reply = match words.as_slice() {
        ["set", key, _, _, length, ..] => {
            let length: usize = length.parse().unwrap_or(0);
            let data = buffer.get(used..used.checked_add(length)?)?.to_vec();
            used = used.checked_add(length)?.checked_add(2)?;
            buffer.get(..used)?;
            kept.retain(|(known, _)| known != key);
            kept.push(((*key).to_owned(), data));
            b"STORED\r\n".to_vec()
        }
        ["get", key] => match kept.iter().find(|(known, _)| known == key) {
            Some((_, data)) => [format!("VALUE {key} 0 {}\r\n", data.len()).as_bytes(), data, b"\r\nEND\r\n"].concat(),
            None => b"END\r\n".to_vec(),
        },
        ["delete", key] => {
            let before = kept.len();
            kept.retain(|(known, _)| known != key);
            if kept.len() < before { b"DELETED\r\n".to_vec() } else { b"NOT_FOUND\r\n".to_vec() }
        }
        ["stats", ..] => format!("STAT version 1.6.39\r\nSTAT curr_items {}\r\nEND\r\n", kept.len()).into_bytes(),
        ["version"] => b"VERSION 1.6.39\r\n".to_vec(),
        _ => b"ERROR\r\n".to_vec(),
    };
    buffer.drain(..used);
    Some(reply)
}
