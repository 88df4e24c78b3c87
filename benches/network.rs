//! What a network between containers carries: `cargo xtask bench docker` compiles this by itself into a static
//! program, and runs it in pods.
//!
//! `serve PORT` answers; `stream HOST:PORT SECONDS` prints bytes per second; `ping HOST:PORT COUNT` prints the
//! median of round trips in nanoseconds; `connect HOST:PORT COUNT` prints connections per second.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

const BUFFER_BYTES: usize = 128 * 1024;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["serve", port] => serve(port),
        ["stream", to, seconds] => println!("{}", stream(to, seconds.parse().expect("seconds"))),
        ["ping", to, count] => println!("{}", ping(to, count.parse().expect("a count"))),
        ["connect", to, count] => println!("{}", connect(to, count.parse().expect("a count"))),
        _ => panic!("network serve | stream | ping | connect"),
    }
}

/// Answers messages of one byte, and swallows longer ones.
fn serve(port: &str) {
    let listener = TcpListener::bind(format!("0.0.0.0:{port}")).expect("a port");
    for mut socket in listener.incoming().flatten() {
        std::thread::spawn(move || {
            let _ = socket.set_nodelay(true);
            let mut buffer = vec![0; BUFFER_BYTES];
            while let Ok(length) = socket.read(&mut buffer) {
                if length == 0 || length == 1 && socket.write_all(&buffer[..1]).is_err() {
                    return;
                }
            }
        });
    }
}

fn open(to: &str) -> TcpStream {
    let socket = TcpStream::connect(to).expect("the server");
    socket.set_nodelay(true).expect("no delay");
    socket
}

fn stream(to: &str, seconds: u64) -> u64 {
    let (mut socket, buffer) = (open(to), vec![7; BUFFER_BYTES]);
    let (begin, mut bytes) = (Instant::now(), 0);
    while begin.elapsed() < Duration::from_secs(seconds) {
        socket.write_all(&buffer).expect("the server");
        bytes += buffer.len() as u64;
    }
    (bytes as f64 / begin.elapsed().as_secs_f64()) as u64
}

fn ping(to: &str, count: usize) -> u128 {
    let mut socket = open(to);
    let mut times: Vec<u128> = (0..count)
        .map(|_| {
            let begin = Instant::now();
            socket.write_all(&[1]).expect("the server");
            socket.read_exact(&mut [0]).expect("the server");
            begin.elapsed().as_nanos()
        })
        .collect();
    times.sort_unstable();
    times[times.len() / 2]
}

fn connect(to: &str, count: u32) -> u64 {
    let begin = Instant::now();
    for _ in 0..count {
        let mut socket = open(to);
        socket.write_all(&[1]).expect("the server");
        socket.read_exact(&mut [0]).expect("the server");
    }
    (f64::from(count) / begin.elapsed().as_secs_f64()) as u64
}
