//! agnhost, the image of Kubernetes' own tests: its subcommands that serve.

use std::cell::Cell;
use std::rc::Rc;

use futures::future::{Either, select};

use super::{GO, GRACEFUL, bind, serve, until_stopped};
use crate::network::ConnectError;
use crate::network::http::{Request, Response};
use crate::process::{Machine, Process};
use crate::runtime::HEALTH_CHECK;

pub(super) async fn main(process: Process) -> i32 {
    let command = process.operands().first().cloned().unwrap_or_default();
    match command.as_str() {
        "pause" => {
            process.print("Paused\n").await;
            until_stopped(&process, GRACEFUL, std::future::pending()).await
        }
        "connect" => connect(process).await,
        "grpc-health-checking" => grpc_health_checking(process).await,
        "liveness" => liveness(process).await,
        "logs-generator" => logs_generator(process).await,
        "netexec" => {
            let udp_port = port(&process, "--udp-port", 8081);
            let machine = process.machine.clone();
            let udp = async move {
                let Ok(socket) = machine.interface().bind(udp_port) else { return std::future::pending().await };
                loop {
                    let datagram = socket.receive().await;
                    let answer = match String::from_utf8_lossy(&datagram.data).trim().split_once(' ') {
                        Some(("echo", message)) => message.to_owned(),
                        None if datagram.data.trim_ascii().eq_ignore_ascii_case(b"hostname") => {
                            machine.hostname().to_owned()
                        }
                        _ => continue,
                    };
                    // Whoever asked may have gone.
                    let _ = socket.send(datagram.from, answer.into()).await;
                }
            };
            let http = Box::pin(http(process, "--http-port", 8080, netexec));
            match select(http, Box::pin(udp)).await {
                Either::Left((code, _)) | Either::Right((code, _)) => code,
            }
        }
        "serve-hostname" => http(process, "--port", 9376, |_, machine| Response::text(machine.hostname())).await,
        "test-webserver" => {
            http(process, "--port", 80, |request, machine| match machine.fs().read(request.path()) {
                Ok(body) => Response::new(200, "text/plain; charset=utf-8", body),
                Err(_) => Response::new(404, "text/plain; charset=utf-8", "404 page not found\n"),
            })
            .await
        }
        other => {
            process
                .eprint(format!("Error: unknown command {other:?} for \"app\"\nRun 'app --help' for usage.\n"))
                .await;
            1
        }
    }
}

async fn http(process: Process, flag: &str, default: u16, answer: fn(&Request, &Machine) -> Response) -> i32 {
    let port = port(&process, flag, default);
    let Ok(listener) = bind(&process, port) else {
        return process.fail(1, format!("listen tcp :{port}: bind: address already in use")).await;
    };
    process.eprint(format!("Started HTTP server on port {port}\n")).await;
    let machine = process.machine.clone();
    serve(&process, listener, GO, move |request, stream| {
        let response = match request.path() {
            "/clientip" => Response::text(stream.info().remote.to_string()),
            _ => answer(&request, &machine),
        };
        Box::pin(async move { response })
    })
    .await
}

fn netexec(request: &Request, machine: &Machine) -> Response {
    let query = request.target.split_once('?').map_or("", |(_, query)| query);
    let parameter = |name: &str| {
        query.split('&').find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name)).map(|(_, value)| value)
    };
    match request.path() {
        "/" => Response::text(format!("NOW: {}", machine.now())),
        "/hostname" | "/hostName" => Response::text(machine.hostname()),
        "/healthz" => Response::text(""),
        "/echo" => {
            let status = parameter("code").and_then(|code| code.parse().ok()).unwrap_or(200);
            Response::new(status, "text/plain; charset=utf-8", parameter("msg").unwrap_or_default().to_owned())
        }
        _ => Response::new(404, "text/plain; charset=utf-8", "404 page not found\n"),
    }
}

/// A numeric flag, as `--name=value` or `--name value`.
fn number(process: &Process, name: &str, default: u64) -> u64 {
    let words = process.operands();
    let prefix = format!("{name}=");
    let given = words.iter().enumerate().find_map(|(at, word)| match word.strip_prefix(&prefix) {
        Some(value) => Some(value.to_owned()),
        None if word == name => words.get(at + 1).cloned(),
        None => None,
    });
    given.and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn port(process: &Process, name: &str, default: u16) -> u16 {
    u16::try_from(number(process, name, default.into())).unwrap_or(default)
}

/// `grpc-health-checking`: a health service on one port, and its switch on another.
async fn grpc_health_checking(process: Process) -> i32 {
    let (grpc_port, http_port) = (port(&process, "--port", 5000), port(&process, "--http-port", 8080));
    let (Ok(grpc), Ok(switch)) = (bind(&process, grpc_port), bind(&process, http_port)) else {
        return process.fail(1, "listen tcp: bind: address already in use").await;
    };
    let line =
        format!("Http server starting to listen on :{http_port}\ngRPC server starting to listen on :{grpc_port}\n");
    process.eprint(line).await;
    let serving = Rc::new(Cell::new(true));
    let health = serving.clone();
    let asked = Box::pin(serve(&process, grpc, GO, move |request, _| {
        let response = match (request.path(), health.get()) {
            (HEALTH_CHECK, true) => Response::new(200, "application/grpc", "SERVING"),
            (HEALTH_CHECK, false) => Response::new(200, "application/grpc", "NOT_SERVING"),
            _ => Response::new(404, "application/grpc", ""),
        };
        Box::pin(async move { response })
    }));
    let switched = Box::pin(serve(&process, switch, GO, move |request, _| {
        match request.path() {
            "/make-not-serving" => serving.set(false),
            "/make-serving" => serving.set(true),
            _ => {}
        }
        Box::pin(async move { Response::text("") })
    }));
    match select(asked, switched).await {
        Either::Left((code, _)) | Either::Right((code, _)) => code,
    }
}

/// `serve_hostname`, an image of its own once.
pub(super) async fn serve_hostname(process: Process) -> i32 {
    http(process, "--port", 9376, |_, machine| Response::text(format!("{}\n", machine.hostname()))).await
}

/// etcd, as far as its health goes: by gRPC, and `/health` and `/version` by HTTP at the port of its clients.
pub(super) async fn etcd(process: Process) -> i32 {
    let listens = |flag: &str| process.operands().iter().position(|word| word == flag);
    let urls = listens("--listen-client-urls").and_then(|at| process.operands().get(at + 1).cloned());
    let port = urls.and_then(|urls| urls.rsplit(':').next()?.trim_end_matches('/').parse().ok()).unwrap_or(2379);
    let Ok(listener) = bind(&process, port) else {
        return process.fail(1, format_args!("listen tcp :{port}: bind: address already in use")).await;
    };
    let time = super::stamp(process.machine.now(), "%Y-%m-%dT%H:%M:%S.%3fZ");
    let line = |what: &str| {
        format!("{{\"level\":\"info\",\"ts\":\"{time}\",\"caller\":\"etcdmain/main.go:44\",\"msg\":\"{what}\"}}\n")
    };
    process.eprint(line("starting an etcd server") + &line("ready to serve client requests")).await;
    serve(&process, listener, GRACEFUL, |request, _| {
        let response = match request.path() {
            HEALTH_CHECK => Response::new(200, "application/grpc", "SERVING"),
            "/health" => Response::new(200, "application/json", "{\"health\":\"true\",\"reason\":\"\"}"),
            "/version" => {
                Response::new(200, "application/json", "{\"etcdserver\":\"3.5.1\",\"etcdcluster\":\"3.5.0\"}")
            }
            _ => Response::new(404, "text/plain; charset=utf-8", "404 page not found\n"),
        };
        Box::pin(async move { response })
    })
    .await
}

/// `liveness`: healthy for ten seconds, then no longer.
async fn liveness(process: Process) -> i32 {
    const HEALTHY_SECONDS: i64 = 10;
    let started = process.machine.now();
    let Ok(listener) = bind(&process, 8080) else {
        return process.fail(1, "listen tcp :8080: bind: address already in use").await;
    };
    let machine = process.machine.clone();
    serve(&process, listener, GO, move |request, _| {
        let age = machine.now().duration_since(started);
        let response = match request.path() {
            "/started" => Response::text(format!("{}ns", age.as_nanos())),
            "/healthz" if age.as_secs() >= HEALTHY_SECONDS => Response::new(
                500,
                "text/plain; charset=utf-8",
                format!("error: {}.{:09}", age.as_secs(), age.subsec_nanos()),
            ),
            "/healthz" => Response::text("ok"),
            _ => Response::new(404, "text/plain; charset=utf-8", "404 page not found\n"),
        };
        Box::pin(async move { response })
    })
    .await
}

/// `connect HOST:PORT [--timeout=5s]`: says why a connection fails, in one word.
async fn connect(process: Process) -> i32 {
    let words = process.operands().to_vec();
    let target = words.iter().skip(1).find(|word| !word.starts_with("--")).cloned().unwrap_or_default();
    let timeout = words.iter().find_map(|word| machinery::time::parse_duration(word.strip_prefix("--timeout=")?).ok());
    let Some((host, port)) = target.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?))) else {
        process.eprint("OTHER: address: missing port in address\n").await;
        return 1;
    };
    let dial = Box::pin(process.machine.connect(host, port));
    let limit = process.machine.executor().sleep(timeout.unwrap_or(std::time::Duration::from_secs(30)));
    let why = match select(dial, limit).await {
        Either::Left((Ok(_), _)) => return 0,
        Either::Left((Err(ConnectError::Refused), _)) => "REFUSED".to_owned(),
        Either::Left((Err(ConnectError::NameNotFound(name)), _)) => {
            format!("DNS: lookup {name}: no such host")
        }
        Either::Left((Err(ConnectError::TimedOut), _)) | Either::Right(_) => "TIMEOUT".to_owned(),
        Either::Left((Err(error), _)) => format!("OTHER: {error}"),
    };
    process.eprint(format!("{why}\n")).await;
    1
}

/// `logs-generator`: lines of a busy service's log.
async fn logs_generator(process: Process) -> i32 {
    let total = number(&process, "--log-lines-total", 0);
    let words = process.operands();
    let span =
        words.iter().find_map(|word| machinery::time::parse_duration(word.strip_prefix("--run-duration=")?).ok());
    let (Some(span), true) = (span, total > 0) else {
        process.eprint("Invalid total number of lines or duration\n").await;
        return 1;
    };
    let pause = span / u32::try_from(total).unwrap_or(u32::MAX);
    for id in 0..total {
        let verb = ["GET", "PUT", "POST"][usize::try_from(process.machine.random() % 3).unwrap_or_default()];
        let (name, code) = (process.machine.random() % 1000, 200 + process.machine.random() % 300);
        let time = super::stamp(process.machine.now(), "I%m%d %H:%M:%S.%6f");
        let line = format!(
            "{time}       {} logs_generator.go:76] {id} {verb} /api/v1/namespaces/ns/pods/{name:x} {code}\n",
            process.pid
        );
        if !process.print(line).await {
            return 1;
        }
        process.sleep(pause).await;
    }
    0
}
