//! redis-cli: one command from its arguments, or one a line.

use bytes::BytesMut;

use super::super::next_line;
use super::array;
use crate::network::TcpStream;
use crate::process::Process;

/// `redis-cli [-h HOST] [-p PORT] [COMMAND]`; commands come from standard input where none is given.
pub(in super::super) async fn cli(process: Process) -> i32 {
    let (mut host, mut port) = ("127.0.0.1".to_owned(), 6379);
    let mut words = process.operands().iter();
    let mut command: Vec<String> = Vec::new();
    while let Some(word) = words.next() {
        match word.as_str() {
            "-h" if command.is_empty() => host = words.next().cloned().unwrap_or_default(),
            "-p" if command.is_empty() => port = words.next().and_then(|port| port.parse().ok()).unwrap_or(6379),
            word => command.push(word.to_owned()),
        }
    }
    let stream = match process.machine.connect(&host, port).await {
        Ok(stream) => stream,
        Err(error) => {
            process.eprint(format!("Could not connect to Redis at {host}:{port}: {error}\n")).await;
            return 1;
        }
    };
    let told = process.stdout().tty().is_some();
    if !command.is_empty() {
        return ask(&process, &stream, &command, told).await;
    }
    let prompt = if told && process.stdin().tty().is_some() { format!("{host}:{port}> ") } else { String::new() };
    let mut typed = BytesMut::new();
    loop {
        if !process.print(prompt.clone()).await {
            return 0;
        }
        let Some(line) = next_line(&process, &mut typed).await else { return 0 };
        let words = words_of(&String::from_utf8_lossy(&line));
        match words.first().map(|word| word.to_lowercase()).as_deref() {
            None => {}
            Some("exit" | "quit") => return 0,
            Some(_) => {
                let code = ask(&process, &stream, &words, told).await;
                if code != 0 {
                    return code;
                }
            }
        }
    }
}

/// A reply to a program.
pub(in super::super::super) enum Reply {
    Nothing,
    Number(i64),
    Text(String),
    Error(String),
}

/// Sends one command to a server, on a connection of its own.
///
/// # Errors
/// Why there was no answer.
pub(in super::super::super) async fn call(
    process: &Process,
    host: &str,
    port: u16,
    words: &[&str],
) -> Result<Reply, String> {
    let stream = process.machine.connect(host, port).await.map_err(|error| error.to_string())?;
    let words: Vec<Vec<u8>> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
    let closed = |_| "Connection closed by server.".to_owned();
    stream.write_all(&array(&words)).await.map_err(closed)?;
    let reply = stream.read(65536).await.map_err(closed)?;
    let reply = String::from_utf8_lossy(&reply).into_owned();
    let (first, rest) = reply.split_once("\r\n").unwrap_or((&reply, ""));
    let word = first.get(1..).unwrap_or_default();
    Ok(match first.chars().next() {
        Some('$' | '*') if word == "-1" => Reply::Nothing,
        Some('$') => Reply::Text(rest.trim_end_matches("\r\n").to_owned()),
        Some(':') => Reply::Number(word.parse().unwrap_or(0)),
        Some('-') => Reply::Error(word.to_owned()),
        _ => Reply::Text(word.to_owned()),
    })
}

/// The words of a line, of which some are in quotes.
fn words_of(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.trim();
    while let Some(first) = rest.chars().next() {
        let (word, after) = match first {
            quote @ ('"' | '\'') => {
                let inner = rest.get(1..).unwrap_or_default();
                inner.split_once(quote).unwrap_or((inner, ""))
            }
            _ => rest.split_once(char::is_whitespace).unwrap_or((rest, "")),
        };
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    words
}

/// Sends a command and prints the reply; the exit code.
async fn ask(process: &Process, stream: &TcpStream, words: &[String], told: bool) -> i32 {
    let words: Vec<Vec<u8>> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
    if stream.write_all(&array(&words)).await.is_err() {
        process.eprint("Error: Server closed the connection\n").await;
        return 1;
    }
    let reply = stream.read(65536).await.unwrap_or_default();
    process.print(render(&String::from_utf8_lossy(&reply), told)).await;
    0
}

/// A reply as redis-cli prints it: on a terminal with the types of values, otherwise as they are.
fn render(reply: &str, told: bool) -> String {
    let (mut rest, mut text) = (reply, String::new());
    let (mut item, mut items) = (0, 0);
    while let Some((line, after)) = rest.split_once("\r\n") {
        rest = after;
        let Some(kind) = line.chars().next() else { continue };
        let word = line.get(kind.len_utf8()..).unwrap_or_default();
        let value = match (kind, told) {
            ('$', _) if word == "-1" => if told { "(nil)" } else { "" }.to_owned(),
            ('$', _) => {
                let length = word.parse().unwrap_or(0);
                let (body, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
                rest = after.strip_prefix("\r\n").unwrap_or(after);
                // Reports, of which there are lines, stand as they are.
                if told && !body.contains('\n') { machinery::go::quote(body) } else { body.to_owned() }
            }
            ('*', _) => {
                items = word.parse().unwrap_or(0);
                if items > 0 {
                    continue;
                }
                if told { "(empty array)" } else { "" }.to_owned()
            }
            (':', true) => format!("(integer) {word}"),
            ('-', true) => format!("(error) {word}"),
            _ => word.to_owned(),
        };
        item += 1;
        match items {
            1.. if told => text.push_str(&format!("{item}) {value}\n")),
            _ => text.push_str(&format!("{value}\n")),
        }
    }
    text
}
