//! agnhost, the image of Kubernetes' own tests: its subcommands.

mod netexec;

use std::cell::Cell;
use std::rc::Rc;

use futures::future::{Either, select, select_all};

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
        "dns-server-list" => resolver(process, "nameserver").await,
        "dns-suffix" => resolver(process, "search").await,
        "entrypoint-tester" => {
            let words: Vec<&str> = process.args.iter().map(String::as_str).collect();
            i32::from(!process.print(format!("[{}]\n", words.join(" "))).await)
        }
        "etc-hosts" => {
            let text = process.fs().read_text("/etc/hosts").unwrap_or_default();
            i32::from(!process.print(text).await)
        }
        "mounttest" => mounttest(process).await,
        "netexec" => netexec::main(process).await,
        "porter" => porter(process).await,
        "stress" => {
            let cpus = number(&process, "--cpus", 0);
            let memory =
                text(&process, "--mem-total").and_then(|amount| machinery::quantity::Quantity::parse(&amount).ok());
            process.machine.set_cpu(process.pid, cpus.saturating_mul(1_000_000_000));
            let bytes = memory.map_or(0, |amount| amount.value());
            process.machine.set_memory(process.pid, u64::try_from(bytes).unwrap_or(0));
            until_stopped(&process, GO, std::future::pending()).await
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

/// A numeric flag, as `--name=value` or `--name value`.
fn number(process: &Process, name: &str, default: u64) -> u64 {
    text(process, name).and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// A flag's text, as `--name=value` or `--name value`.
fn text(process: &Process, name: &str) -> Option<String> {
    let words = process.operands();
    let prefix = format!("{name}=");
    words.iter().enumerate().find_map(|(at, word)| match word.strip_prefix(&prefix) {
        Some(value) => Some(value.to_owned()),
        None if word == name => words.get(at + 1).cloned(),
        None => None,
    })
}

/// `dns-suffix`, `dns-server-list`: what `/etc/resolv.conf` says, with commas.
async fn resolver(process: Process, keyword: &str) -> i32 {
    let config = process.fs().read_text("/etc/resolv.conf").unwrap_or_default();
    let lines = config.lines().filter_map(|line| line.strip_prefix(keyword));
    let words: Vec<&str> = lines.flat_map(str::split_whitespace).collect();
    i32::from(!process.print(format!("{}\n", words.join(","))).await)
}

/// `mounttest`: what is to be seen of files, as its flags ask.
async fn mounttest(process: Process) -> i32 {
    let mut code = 0;
    let mounts = process.fs().mounts();
    for flag in ["--fs_type", "--file_mode", "--file_perm", "--file_owner", "--file_content", "--file_content_in_loop"]
    {
        let Some(path) = text(&process, flag) else { continue };
        let entry = match process.fs().metadata(&path) {
            Ok(entry) => entry,
            Err(error) => {
                process.print(format!("error with {path:?}: {error}\n")).await;
                code = 1;
                continue;
            }
        };
        let line = match flag {
            "--fs_type" => {
                let mounted = mounts.iter().rfind(|mounted| mounted.path == path);
                format!("mount type of {path:?}: {}\n", mounted.map_or("overlay", |mounted| mounted.device))
            }
            "--file_mode" => format!("mode of file {path:?}: {}\n", entry.mode_text()),
            "--file_perm" => format!("perms of file {path:?}: {}\n", entry.mode_text()),
            "--file_owner" => format!("owner UID of {path:?}: {}\nowner GID of {path:?}: {}\n", entry.uid, entry.gid),
            _ => {
                let content = process.fs().read_text(&path).unwrap_or_default();
                format!("content of file {path:?}: {content}\n")
            }
        };
        process.print(line).await;
    }
    code
}

/// `porter`: serves the value of each `SERVE_PORT_N` on that port.
async fn porter(process: Process) -> i32 {
    let wanted = process
        .env
        .iter()
        .filter_map(|(name, value)| Some((name.strip_prefix("SERVE_PORT_")?.parse::<u16>().ok()?, value.clone())));
    let wanted: Vec<(u16, String)> = wanted.collect();
    let mut serving = Vec::new();
    for (port, text) in wanted {
        let Ok(listener) = bind(&process, port) else {
            return process.fail(1, format!("listen tcp :{port}: bind: address already in use")).await;
        };
        serving.push(Box::pin(serve(&process, listener, GO, move |_, _| {
            let answer = Response::text(text.clone());
            Box::pin(async move { answer })
        })));
    }
    if serving.is_empty() {
        return until_stopped(&process, GO, std::future::pending()).await;
    }
    select_all(serving).await.0
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
