//! agnhost, the image of Kubernetes' own tests: its subcommands.

mod guestbook;
mod in_cluster;
mod netexec;
mod sockets;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use futures::future::{Either, select, select_all};

use super::{GO, GRACEFUL, bind, serve, until_stopped};
use crate::network::ConnectError;
use crate::network::http::{Request, Response, fetch};
use crate::process::{Machine, Process};
use crate::programs::Main;
use crate::runtime::HEALTH_CHECK;

const PLAIN: &str = "text/plain; charset=utf-8";
/// How long an answer of somebody else is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// The subcommands: name, what `help` says of it, and what it does.
const COMMANDS: &[(&str, &str, Main)] = &[
    ("audit-proxy", "Listens on port 8080 for incoming audit events", |process| Box::pin(audit_proxy(process))),
    ("connect", "Attempts a TCP connection and returns useful errors", |process| Box::pin(connect(process))),
    ("dns-server-list", "Prints the configured DNS servers, separated by commas", |process| {
        Box::pin(resolver(process, "nameserver"))
    }),
    ("dns-suffix", "Prints the configured DNS suffix list, separated by commas", |process| {
        Box::pin(resolver(process, "search"))
    }),
    ("entrypoint-tester", "Prints the args it's passed and exits", |process| Box::pin(entrypoint_tester(process))),
    ("etc-hosts", "Prints the host's /etc/hosts file", |process| Box::pin(etc_hosts(process))),
    ("fake-gitserver", "Fakes a git server", |process| {
        let answer = |_: &Request, _: &Machine| Response::text("I am a fake git server");
        Box::pin(http(process, "--port", 8000, answer))
    }),
    ("grpc-health-checking", "Starts a simple grpc health checking endpoint", |process| {
        Box::pin(grpc_health_checking(process))
    }),
    ("guestbook", "Creates a HTTP server with various endpoints representing a guestbook app", |process| {
        Box::pin(guestbook::main(process))
    }),
    ("help", "Help about any command", |process| Box::pin(help(process))),
    ("inclusterclient", "Periodically poll the Kubernetes \"/healthz\" endpoint", |process| {
        Box::pin(in_cluster::poll(process))
    }),
    ("liveness", "Starts a server that is alive for 10 seconds", |process| Box::pin(liveness(process))),
    ("logs-generator", "Outputs lines of logs to stdout uniformly", |process| Box::pin(logs_generator(process))),
    ("mounttest", "Creates files with given permissions and outputs information about them", |process| {
        Box::pin(mounttest(process))
    }),
    ("netexec", "Creates HTTP(S), UDP, and (optionally) SCTP servers with various endpoints", |process| {
        Box::pin(netexec::main(process))
    }),
    ("nettest", "Starts a tiny web server for checking networking connectivity", |process| {
        Box::pin(in_cluster::nettest(process))
    }),
    ("no-snat-test", "Creates the /checknosnat and /whoami endpoints", |process| Box::pin(sockets::no_snat(process))),
    ("no-snat-test-proxy", "Creates a proxy for the /checknosnat endpoint", |process| {
        Box::pin(sockets::no_snat_proxy(process))
    }),
    ("pause", "Pauses", |process| Box::pin(pause(process))),
    ("port-forward-tester", "Creates a TCP server that sends chunks of data", |process| {
        Box::pin(sockets::port_forward_tester(process))
    }),
    ("porter", "Serves requested data on ports specified in ENV variables", |process| Box::pin(porter(process))),
    ("serve-hostname", "Serves the hostname", |process| Box::pin(sockets::serve_hostname(process))),
    ("stress", "Lightweight compute resource stress utlity", |process| Box::pin(stress(process))),
    ("tcp-reset", "Serves on a tcp port and RST connections received", |process| Box::pin(sockets::tcp_reset(process))),
    ("test-webserver", "Starts a simple HTTP fileserver", |process| Box::pin(test_webserver(process))),
];

pub(super) async fn main(process: Process) -> i32 {
    let command = process.operands().first().map_or("help", String::as_str);
    match COMMANDS.iter().find(|(name, ..)| *name == command || *name == "help" && matches!(command, "-h" | "--help")) {
        Some((.., main)) => main(process).await,
        None => {
            let text = format!("Error: unknown command {command:?} for \"app\"\nRun 'app --help' for usage.\n");
            process.eprint(text).await;
            1
        }
    }
}

/// `help`, `help COMMAND`.
async fn help(process: Process) -> i32 {
    let about = process.operands().get(1);
    let text = match COMMANDS.iter().find(|(name, ..)| about.is_some_and(|about| about == name)) {
        Some((name, short, _)) => format!("{short}\n\nUsage:\n  app {name} [flags]\n"),
        None => {
            let rows: String = COMMANDS.iter().map(|(name, short, _)| format!("  {name:<20} {short}\n")).collect();
            format!(
                "Usage:\n  app [command]\n\nAvailable Commands:\n{rows}\nFlags:\n  -h, --help   help for app\n\n\
                 Use \"app [command] --help\" for more information about a command.\n"
            )
        }
    };
    i32::from(!process.print(text).await)
}

async fn pause(process: Process) -> i32 {
    process.print("Paused\n").await;
    until_stopped(&process, GRACEFUL, std::future::pending()).await
}

async fn entrypoint_tester(process: Process) -> i32 {
    let words: Vec<&str> = process.args.iter().map(String::as_str).collect();
    i32::from(!process.print(format!("[{}]\n", words.join(" "))).await)
}

async fn etc_hosts(process: Process) -> i32 {
    let text = process.fs().read_text("/etc/hosts").unwrap_or_default();
    i32::from(!process.print(text).await)
}

async fn stress(process: Process) -> i32 {
    let cpus = number(&process, "--cpus", 0);
    let memory = text(&process, "--mem-total").and_then(|amount| machinery::quantity::Quantity::parse(&amount).ok());
    process.machine.set_cpu(process.pid, cpus.saturating_mul(1_000_000_000));
    let bytes = memory.map_or(0, |amount| amount.value());
    process.machine.set_memory(process.pid, u64::try_from(bytes).unwrap_or(0));
    until_stopped(&process, GO, std::future::pending()).await
}

async fn test_webserver(process: Process) -> i32 {
    http(process, "--port", 80, |request, machine| match machine.fs().read(request.path()) {
        Ok(body) => Response::new(200, PLAIN, body),
        Err(_) => Response::new(404, PLAIN, "404 page not found\n"),
    })
    .await
}

/// `audit-proxy`: prints the events that it is sent, a line each.
async fn audit_proxy(process: Process) -> i32 {
    const PORT: u16 = 8080;
    let Ok(listener) = bind(&process, PORT) else { return taken(&process, PORT).await };
    let stdout = process.stdout();
    serve(&process, listener, GO, move |request, _| {
        let stdout = stdout.clone();
        Box::pin(async move {
            let list: serde_json::Value = serde_json::from_slice(&request.body).unwrap_or_default();
            for event in list["items"].as_array().into_iter().flatten() {
                let _ = stdout.write_all(format!("{event}\n").as_bytes()).await;
            }
            Response::text("")
        })
    })
    .await
}

/// A port that somebody else has ends a server.
async fn taken(process: &Process, port: u16) -> i32 {
    process.fail(1, format_args!("listen tcp :{port}: bind: address already in use")).await
}

/// A parameter of a request's query.
fn parameter(request: &Request, name: &str) -> Option<String> {
    raw_parameter(request, name).map(decoded)
}

/// The same as it was sent.
fn raw_parameter<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    let query = request.target.split_once('?').map_or("", |(_, query)| query);
    query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
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

/// What a server answers to a GET, within [`PATIENCE`].
async fn get(process: &Process, host: &str, port: u16, target: &str) -> Result<Response, String> {
    let request = Request::new("GET", target, host);
    exchange(process, host, port, &request).await
}

/// What a server answers to a request, within [`PATIENCE`].
async fn exchange(process: &Process, host: &str, port: u16, request: &Request) -> Result<Response, String> {
    let ask = async {
        let stream =
            process.machine.connect(host, port).await.map_err(|error| format!("dial tcp {host}:{port}: {error}"))?;
        fetch(&stream, request).await.map_err(|_| "unexpected EOF".to_owned())
    };
    match select(Box::pin(ask), process.machine.executor().sleep(PATIENCE)).await {
        Either::Left((answer, _)) => answer,
        Either::Right(_) => Err(format!("dial tcp {host}:{port}: i/o timeout")),
    }
}

/// A line of a Go program's log.
fn logged(machine: &Machine, text: &str) -> String {
    format!("{} {text}\n", super::stamp(machine.now(), "%Y/%m/%d %H:%M:%S"))
}

async fn http(process: Process, flag: &str, default: u16, answer: fn(&Request, &Machine) -> Response) -> i32 {
    let port = port(&process, flag, default);
    let Ok(listener) = bind(&process, port) else { return taken(&process, port).await };
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
    let limit = process.machine.executor().sleep(timeout.unwrap_or(Duration::from_secs(30)));
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
