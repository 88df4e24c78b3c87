//! `agnhost netexec`: a server that does what it is asked, over HTTP and UDP (upstream test/images/agnhost/netexec).

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use futures::channel::oneshot;
use futures::future::{Either, select};
use serde_json::json;

use super::super::{GO, bind, serve};
use super::{PATIENCE, PLAIN, get, parameter, port, taken};
use crate::io::Fd;
use crate::network::TcpStream;
use crate::network::http::{Request, Response};
use crate::process::Process;
use crate::programs::spawn_with;

/// What a request fails with that was understood but came to nothing.
const EXPECTATION_FAILED: u16 = 417;

pub(super) async fn main(process: Process) -> i32 {
    let (http_port, udp_port) = (port(&process, "--http-port", 8080), port(&process, "--udp-port", 8081));
    let Ok(listener) = bind(&process, http_port) else { return taken(&process, http_port).await };
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

/// Answers `echo WORDS`, `hostname` and `clientip`.
async fn udp(process: &Process, port: u16) -> i32 {
    let Ok(socket) = process.machine.interface().bind(port) else { return std::future::pending().await };
    loop {
        let datagram = socket.receive().await;
        let answer = match String::from_utf8_lossy(&datagram.data).trim().split_once(' ') {
            Some(("echo", message)) => message.to_owned(),
            None if datagram.data.trim_ascii().eq_ignore_ascii_case(b"hostname") => {
                process.machine.hostname().to_owned()
            }
            None if datagram.data.trim_ascii().eq_ignore_ascii_case(b"clientip") => datagram.from.to_string(),
            _ => continue,
        };
        // Whoever asked may have gone.
        let _ = socket.send(datagram.from, answer.into()).await;
    }
}

type End = RefCell<Option<oneshot::Sender<i32>>>;

async fn answer(process: &Process, request: &Request, stream: &TcpStream, end: &End) -> Response {
    let parameter = |name: &str| parameter(request, name);
    let code = || parameter("code").and_then(|code| code.parse().ok());
    match request.path() {
        "/" => Response::text(format!("NOW: {}", process.machine.now())),
        "/clientip" => Response::text(stream.info().remote.to_string()),
        "/serverport" => Response::text(stream.info().local.port().to_string()),
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
            let (status, answer) = match code {
                0 => (200, json!({ "output": output })),
                code => (EXPECTATION_FAILED, json!({ "error": format!("exit status {code}"), "output": output })),
            };
            Response::new(status, PLAIN, answer.to_string())
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
            let protocol = parameter("protocol").unwrap_or_else(|| "http".into());
            let Some(wanted) = parameter("request") else {
                return Response::new(400, PLAIN, "request parameter not specified. Expected URL.\n");
            };
            if !matches!(protocol.as_str(), "http" | "udp") {
                return Response::new(
                    400,
                    PLAIN,
                    format!("unsupported protocol: {protocol}. Supported protocols: http, udp\n"),
                );
            }
            let tries: usize = parameter("tries").and_then(|tries| tries.parse().ok()).unwrap_or(1);
            let (mut responses, mut errors) = (Vec::new(), Vec::new());
            let mut status = 200;
            for _ in 0..tries.min(100) {
                match dial(process, &protocol, &host, port.parse().unwrap_or(80), &wanted).await {
                    Ok(text) => {
                        responses.push(text);
                        status = 200;
                    }
                    Err(why) => {
                        errors.push(why);
                        status = EXPECTATION_FAILED;
                    }
                }
            }
            let mut answer = json!({ "responses": responses });
            if !errors.is_empty() {
                answer["errors"] = json!(errors);
            }
            Response::new(status, PLAIN, answer.to_string())
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

/// What `/dial` is told: by HTTP the page, by UDP what comes back for the words.
async fn dial(process: &Process, protocol: &str, host: &str, port: u16, wanted: &str) -> Result<String, String> {
    if protocol != "udp" {
        let response = get(process, host, port, &format!("/{wanted}")).await?;
        return Ok(String::from_utf8_lossy(&response.body).into_owned());
    }
    let address = process.machine.resolve(host).await.ok().and_then(|addresses| addresses.first().copied());
    let address = address.ok_or_else(|| format!("lookup {host}: no such host"))?;
    let socket = process.machine.interface().bind(0).map_err(|error| error.to_string())?;
    let failed = |why: &str| format!("read udp {address}:{port}: {why}");
    socket.send((address, port).into(), wanted.to_owned().into()).await.map_err(|_| failed("connection refused"))?;
    match select(Box::pin(socket.receive()), process.machine.executor().sleep(PATIENCE)).await {
        Either::Left((datagram, _)) => Ok(String::from_utf8_lossy(&datagram.data).into_owned()),
        Either::Right(_) => Err(failed("i/o timeout")),
    }
}
