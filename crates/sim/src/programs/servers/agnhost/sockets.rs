//! agnhost's subcommands that look at connections: `serve-hostname`, `tcp-reset`, `port-forward-tester`, `no-snat-test`.

use std::rc::Rc;
use std::time::Duration;

use futures::future::{Either, select};

use super::super::{GO, bind, each_client, serve, until_stopped};
use super::{PATIENCE, PLAIN, get, logged, parameter, port, taken};
use crate::network::http::Response;
use crate::network::{TcpListener, TcpStream};
use crate::process::Process;

/// `serve-hostname`: by HTTP, or by `--tcp` and `--udp` alone.
pub(super) async fn serve_hostname(process: Process) -> i32 {
    let port = port(&process, "--port", 9376);
    let has = |flag: &str| process.operands().iter().any(|word| word == flag || *word == format!("{flag}=true"));
    let (tcp, udp) = (has("--tcp"), has("--udp"));
    if (tcp || udp) && !process.operands().iter().any(|word| word == "--http=false") {
        let text = "Can't server TCP/UDP mode and HTTP mode at the same time";
        process.eprint(logged(&process.machine, text)).await;
        return 1;
    }
    let listener = match (tcp || !udp).then(|| bind(&process, port)) {
        Some(Err(_)) => return taken(&process, port).await,
        Some(Ok(listener)) => Some(listener),
        None => None,
    };
    process.eprint(logged(&process.machine, &format!("Serving on port {port}."))).await;
    if let Some(listener) = listener.filter(|_| !tcp) {
        let hostname = process.machine.hostname().to_owned();
        return serve(&process, listener, GO, move |_, _| {
            let answer = Response::text(hostname.clone());
            Box::pin(async move { answer })
        })
        .await;
    }
    let (streams, datagrams) = (streams(&process, tcp, port), datagrams(&process, udp, port));
    let work = async {
        match select(Box::pin(streams), Box::pin(datagrams)).await {
            Either::Left((code, _)) | Either::Right((code, _)) => code,
        }
    };
    until_stopped(&process, GO, work).await
}

/// The host's name for each who connects.
async fn streams(process: &Process, wanted: bool, port: u16) -> i32 {
    let Some(Ok(listener)) = wanted.then(|| bind(process, port)) else { return std::future::pending().await };
    let client = |stream: TcpStream| async move { stream.write_all(process.machine.hostname().as_bytes()).await };
    each_client(&listener, client).await
}

/// The host's name for each who sends anything.
async fn datagrams(process: &Process, wanted: bool, port: u16) -> i32 {
    let Some(Ok(socket)) = wanted.then(|| process.machine.interface().bind(port)) else {
        return std::future::pending().await;
    };
    loop {
        let datagram = socket.receive().await;
        // Whoever asked may have gone.
        let _ = socket.send(datagram.from, process.machine.hostname().to_owned().into()).await;
    }
}

/// `tcp-reset`: reads a byte and closes, which the system answers with a reset where more was sent.
pub(super) async fn tcp_reset(process: Process) -> i32 {
    let port = port(&process, "--port", 8080);
    let Ok(listener) = bind(&process, port) else { return taken(&process, port).await };
    process.eprint(logged(&process.machine, &format!("Listening on port {port}"))).await;
    let client = |stream: TcpStream| async move {
        const ALL_BYTES: usize = 65536;
        if stream.read(ALL_BYTES).await.is_ok_and(|sent| sent.len() > 1) {
            stream.reset();
        }
    };
    until_stopped(&process, GO, each_client(&listener, client)).await
}

/// `port-forward-tester`: one client, of whom it expects something, and to whom it sends so many chunks.
pub(super) async fn port_forward_tester(process: Process) -> i32 {
    let number = |name: &str| {
        let text = process.var(name);
        text.parse::<u64>()
            .map_err(|_| format!("Error parsing {name} {text:?}: strconv.Atoi: parsing {text:?}: invalid syntax\n"))
    };
    let bind_port = u16::try_from(number("BIND_PORT").unwrap_or_default()).unwrap_or_default();
    let Ok(listener) = bind(&process, bind_port) else {
        process.print(format!("Error listening: listen tcp :{bind_port}: bind: address already in use\n")).await;
        return 1;
    };
    let numbers = [number("CHUNKS"), number("CHUNK_SIZE"), number("CHUNK_INTERVAL")];
    until_stopped(&process, GO, chunks(&process, listener, numbers)).await
}

async fn chunks(process: &Process, listener: TcpListener, numbers: [Result<u64, String>; 3]) -> i32 {
    let stream = listener.accept().await;
    process.print("Accepted client connection\n").await;
    let expected = process.var("EXPECTED_CLIENT_DATA");
    if !expected.is_empty() {
        let sent = stream.read(expected.len()).await.unwrap_or_default();
        if sent.len() != expected.len() {
            let (wanted, got) = (expected.len(), sent.len());
            let text = format!("Expected to read {wanted} bytes from client, but got {got} instead. err=EOF\n");
            process.print(text).await;
            return 2;
        }
        if sent != expected.as_bytes() {
            let got = String::from_utf8_lossy(&sent);
            process.print(format!("Expect to read {expected:?}, but got {got:?}. err=<nil>\n")).await;
            return 3;
        }
        process.print("Received expected client data\n").await;
    }
    let (chunks, size, interval) = match numbers {
        [Ok(chunks), Ok(size), Ok(interval)] => (chunks, size, interval),
        [Err(why), ..] | [_, Err(why), _] | [.., Err(why)] => {
            process.print(why).await;
            return 1;
        }
    };
    let chunk = vec![b'x'; usize::try_from(size).unwrap_or_default().min(1 << 20)];
    for index in 0..chunks {
        if let Err(error) = stream.write_all(&chunk).await {
            let text = format!("Expected to write {size} bytes from client, but wrote 0 instead. err={error}\n");
            process.print(text).await;
            return 4;
        }
        if index + 1 < chunks {
            process.sleep(Duration::from_millis(interval)).await;
        }
    }
    process.print("Shutting down connection\n").await;
    stream.shutdown();
    process.sleep(Duration::from_millis(500)).await;
    process.print("Done\n").await;
    0
}

/// `no-snat-test`: tells clients by which address they come, and asks others by which this pod comes to them.
pub(super) async fn no_snat(process: Process) -> i32 {
    for name in ["POD_IP", "NODE_IP"] {
        let text = match process.env.get(name) {
            None => format!("{name} env var was not present in the environment\n"),
            Some(value) if value.parse::<std::net::IpAddr>().is_err() => {
                format!("{name} env var contained {value:?}, which is not an IP address\n")
            }
            Some(_) => continue,
        };
        process.eprint(text).await;
        return 1;
    }
    let port = port(&process, "--port", 8080);
    let Ok(listener) = bind(&process, port) else { return taken(&process, port).await };
    let process = Rc::new(process);
    let own = process.clone();
    serve(&process, listener, GO, move |request, stream| {
        let process = own.clone();
        Box::pin(async move {
            match request.path() {
                "/whoami" => Response::text(stream.info().remote.to_string()),
                "/checknosnat" => check(&process, &parameter(&request, "ips").unwrap_or_default()).await,
                _ => Response::new(404, PLAIN, "404 page not found\n"),
            }
        })
    })
    .await
}

/// Host and port of `host:port`.
fn place(text: &str) -> (&str, u16) {
    let (host, port) = text.rsplit_once(':').unwrap_or((text, "80"));
    (host, port.parse().unwrap_or(80))
}

async fn check(process: &Process, places: &str) -> Response {
    let (pod, node) = (process.var("POD_IP"), process.var("NODE_IP"));
    let mut errors = Vec::new();
    for asked in places.split(',') {
        let (host, port) = place(asked);
        let seen = match get(process, host, port, "/whoami").await {
            Ok(response) => String::from_utf8_lossy(&response.body).into_owned(),
            Err(why) => {
                errors.push(format!("Get \"http://{asked}/whoami\": {why}"));
                continue;
            }
        };
        let seen = seen.split(':').next().unwrap_or_default();
        if seen == node {
            errors.push(format!("Returned ip {seen:?} != my Pod ip {pod:?}, == my Node ip {node:?} - SNAT"));
        } else if seen != pod {
            errors.push(format!(
                "Returned ip {seen:?} != my Pod ip {pod:?} or my Node ip {node:?} - SNAT to unexpected ip (possible \
                 SNAT through unexpected interface on the way into another node)"
            ));
        }
    }
    Response::new(if errors.is_empty() { 200 } else { 500 }, PLAIN, errors.join(", "))
}

/// `no-snat-test-proxy`: has another one check.
pub(super) async fn no_snat_proxy(process: Process) -> i32 {
    let port = port(&process, "--port", 31235);
    let Ok(listener) = bind(&process, port) else { return taken(&process, port).await };
    let process = Rc::new(process);
    let own = process.clone();
    serve(&process, listener, GO, move |request, _| {
        let process = own.clone();
        Box::pin(async move {
            let of = |name: &str| parameter(&request, name).unwrap_or_default();
            let target = of("target");
            let (host, port) = place(&target);
            let wanted = format!("/checknosnat?ips={}", of("ips"));
            let asked = get(&process, host, port, &wanted);
            match select(Box::pin(asked), process.machine.executor().sleep(PATIENCE * 2)).await {
                Either::Left((Ok(response), _)) => response,
                Either::Left((Err(why), _)) => Response::new(500, PLAIN, why),
                Either::Right(_) => Response::new(500, PLAIN, "timeout"),
            }
        })
    })
    .await
}
