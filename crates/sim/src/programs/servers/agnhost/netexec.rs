//! `agnhost netexec`: a server that does what it is asked, over HTTP and UDP (upstream test/images/agnhost/netexec).

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use futures::channel::oneshot;
use futures::future::{Either, select};
use serde_json::json;

use super::super::{GO, bind, serve};
use super::port;
use crate::io::Fd;
use crate::network::TcpStream;
use crate::network::http::{Request, Response, fetch};
use crate::process::Process;
use crate::programs::spawn_with;

const PLAIN: &str = "text/plain; charset=utf-8";
/// How long `/dial` waits for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) async fn main(process: Process) -> i32 {
    let (http_port, udp_port) = (port(&process, "--http-port", 8080), port(&process, "--udp-port", 8081));
    let Ok(listener) = bind(&process, http_port) else {
        return process.fail(1, format!("listen tcp :{http_port}: bind: address already in use")).await;
    };
    process.eprint(format!("Started HTTP server on port {http_port}\n")).await;
    let process = Rc::new(process);
    let (end, ended) = oneshot::channel();
    let end = Rc::new(RefCell::new(Some(end)));
    let own = process.clone();
    let http = serve(&process, listener, GO, move |request, stream| {
        let (process, end) = (own.clone(), end.clone());
        Box::pin(async move { answer(&process, &request, &stream, &end).await })
    });
    let serving = select(Box::pin(http), Box::pin(udp(&process, udp_port)));
    match select(serving, ended).await {
        Either::Left((Either::Left((code, _)) | Either::Right((code, _)), _)) => code,
        Either::Right((code, _)) => code.unwrap_or(0),
    }
}

/// Answers `echo WORDS` and `hostname`.
async fn udp(process: &Process, port: u16) -> i32 {
    let Ok(socket) = process.machine.interface().bind(port) else { return std::future::pending().await };
    loop {
        let datagram = socket.receive().await;
        let answer = match String::from_utf8_lossy(&datagram.data).trim().split_once(' ') {
            Some(("echo", message)) => message.to_owned(),
            None if datagram.data.trim_ascii().eq_ignore_ascii_case(b"hostname") => {
                process.machine.hostname().to_owned()
            }
            _ => continue,
        };
        // Whoever asked may have gone.
        let _ = socket.send(datagram.from, answer.into()).await;
    }
}

type End = RefCell<Option<oneshot::Sender<i32>>>;

async fn answer(process: &Process, request: &Request, stream: &TcpStream, end: &End) -> Response {
    let query = request.target.split_once('?').map_or("", |(_, query)| query);
    let parameter = |name: &str| {
        let found = query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name);
        found.map(|(_, value)| decoded(value))
    };
    let code = || parameter("code").and_then(|code| code.parse().ok());
    match request.path() {
        "/" => Response::text(format!("NOW: {}", process.machine.now())),
        "/clientip" => Response::text(stream.info().remote.to_string()),
        "/hostname" | "/hostName" => Response::text(process.machine.hostname()),
        "/healthz" => Response::text(""),
        "/echo" => Response::new(code().unwrap_or(200), PLAIN, parameter("msg").unwrap_or_default()),
        "/header" => Response::text(parameter("key").and_then(|key| request.header(&key)).unwrap_or_default()),
        "/redirect" => {
            let place = parameter("location").unwrap_or_default();
            Response::new(code().unwrap_or(302), PLAIN, "").with("Location", place)
        }
        "/shell" => {
            let command = parameter("shellCommand").or_else(|| parameter("cmd")).unwrap_or_default();
            let (output, code) = run(process, vec!["sh".into(), "-c".into(), command]).await;
            let answer = match code {
                0 => json!({ "output": output }),
                code => json!({ "error": format!("exit status {code}"), "output": output }),
            };
            Response::new(200, PLAIN, answer.to_string())
        }
        "/exit" | "/shutdown" => {
            let code = i32::from(code().unwrap_or(0));
            if let Some(end) = end.borrow_mut().take() {
                // It ends anyway.
                let _ = end.send(code);
            }
            Response::text("")
        }
        "/dial" => {
            let (host, port) = (parameter("host").unwrap_or_default(), parameter("port").unwrap_or_default());
            let wanted = parameter("request").unwrap_or_else(|| "hostname".into());
            let tries: usize = parameter("tries").and_then(|tries| tries.parse().ok()).unwrap_or(1);
            let (mut responses, mut errors) = (Vec::new(), Vec::new());
            for _ in 0..tries.min(100) {
                match dial(process, &host, port.parse().unwrap_or(80), &wanted).await {
                    Ok(text) => responses.push(text),
                    Err(why) => errors.push(why),
                }
            }
            let mut answer = json!({ "responses": responses });
            if !errors.is_empty() {
                answer["errors"] = json!(errors);
            }
            Response::new(200, PLAIN, answer.to_string())
        }
        _ => Response::new(404, PLAIN, "404 page not found\n"),
    }
}

/// What a command prints, and its exit code.
async fn run(process: &Process, command: Vec<String>) -> (String, i32) {
    let (output, written) = Fd::buffer();
    let fds = BTreeMap::from([(0, Fd::null()), (1, output.clone()), (2, output)]);
    let code = match spawn_with(process, command, fds).await {
        Some(child) => child.wait().await,
        None => 127,
    };
    let text = String::from_utf8_lossy(&written.borrow()).into_owned();
    (text, code)
}

async fn dial(process: &Process, host: &str, port: u16, path: &str) -> Result<String, String> {
    let ask = async {
        let stream =
            process.machine.connect(host, port).await.map_err(|error| format!("dial tcp {host}:{port}: {error}"))?;
        let request = Request::new("GET", &format!("/{path}"), host);
        let response = fetch(&stream, &request).await.map_err(|_| "unexpected EOF".to_owned())?;
        Ok(String::from_utf8_lossy(&response.body).into_owned())
    };
    match select(Box::pin(ask), process.machine.executor().sleep(PATIENCE)).await {
        Either::Left((answer, _)) => answer,
        Either::Right(_) => Err(format!("dial tcp {host}:{port}: i/o timeout")),
    }
}

/// A query's value as it was meant: `a+b%21` is `a b!`.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digits = [rest.next(), rest.next()].map(|digit| digit.map_or('0', char::from));
                let number = u8::from_str_radix(&String::from_iter(digits), 16);
                bytes.push(number.unwrap_or(b'%'));
            }
            byte => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
