//! memcached: keeps what it is given.

use std::cell::RefCell;

use super::{GRACEFUL, bind, each_client, until_stopped};
use crate::network::TcpStream;
use crate::process::Process;

const PORT: u16 = 11211;

type Kept = RefCell<Vec<(String, Vec<u8>)>>;

/// memcached, on its port.
pub(super) async fn memcached(process: Process) -> i32 {
    let Ok(listener) = bind(&process, PORT) else {
        return process.fail(71, format_args!("failed to listen on TCP port {PORT}: Address already in use")).await;
    };
    let kept = Kept::default();
    until_stopped(&process, GRACEFUL, async { each_client(&listener, |stream| client(stream, &kept)).await }).await
}

async fn client(stream: TcpStream, kept: &Kept) {
    let mut buffer: Vec<u8> = Vec::new();
    while let Ok(part) = stream.read(65536).await {
        if part.is_empty() {
            return;
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
