//! agnhost, the image of Kubernetes' own tests: its subcommands that serve.

use super::{GO, GRACEFUL, bind, serve, until_stopped};
use crate::network::http::{Request, Response};
use crate::process::{Machine, Process};

pub(super) async fn main(process: Process) -> i32 {
    let command = process.operands().first().cloned().unwrap_or_default();
    match command.as_str() {
        "pause" => {
            process.print("Paused\n").await;
            until_stopped(&process, GRACEFUL, std::future::pending()).await
        }
        "netexec" => http(process, "http-port", 8080, netexec).await,
        "serve-hostname" => http(process, "port", 9376, |_, machine| Response::text(machine.hostname())).await,
        "test-webserver" => {
            http(process, "port", 80, |request, machine| match machine.fs().read(request.path()) {
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
    let flag = format!("--{flag}=");
    let port = process.operands().iter().find_map(|word| word.strip_prefix(&flag)?.parse().ok()).unwrap_or(default);
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
