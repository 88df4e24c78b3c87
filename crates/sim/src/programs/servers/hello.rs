//! The small servers that tutorials use.

use std::cell::Cell;
use std::rc::Rc;

use machinery::Timestamp;

use super::{GO, GRACEFUL, JAVA, Stops, bind, serve, stamp};
use crate::network::http::Response;
use crate::process::Process;

/// Node.js has no handlers, and as init it ignores what it does not handle.
const NODE: Stops = &[];

/// Docker's first image: says that all is well, and ends.
pub(super) async fn hello_world(process: Process) -> i32 {
    process
        .print(
            "\nHello from Docker!\nThis message shows that your installation appears to be working correctly.\n\n\
             For it to get here, the image was pulled, a container was made of it, and the one program in it has \
             written these lines.\n\nWhat has more in it:\n $ docker run -it ubuntu bash\n\n",
        )
        .await;
    0
}

/// The first seed document's server: `Hello Kube!` and the time on 8080.
pub(super) async fn hellokube(process: Process) -> i32 {
    let started = process.machine.now();
    let log = |time: Timestamp, text: String| format!("{} {text}\n", stamp(time, "%Y/%m/%d %H:%M:%S"));
    let Ok(listener) = bind(&process, 8080) else {
        process.eprint(log(started, "listen tcp :8080: bind: address already in use".into())).await;
        return 1;
    };
    process.eprint(log(started, "Hello Kube server listening on :8080".into())).await;
    let (machine, stderr) = (process.machine.clone(), process.stderr());
    serve(&process, listener, GO, move |request, stream| {
        let (machine, stderr) = (machine.clone(), stderr.clone());
        Box::pin(async move {
            let now = machine.now();
            let line = log(now, format!("{} {} from {}", request.method, request.target, stream.info().remote.ip()));
            let _ = stderr.write_all(line.as_bytes()).await;
            Response::text(format!("Hello Kube! {}\n", go_time(now, started)))
        })
    })
    .await
}

/// The back end of the documentation's two tiers: a greeting in JSON on 80.
pub(super) async fn hello_go(process: Process) -> i32 {
    let Ok(listener) = bind(&process, 80) else {
        return process.fail(1, "listen tcp :80: bind: address already in use").await;
    };
    serve(&process, listener, GO, |_, _| {
        Box::pin(async { Response::new(200, "application/json", "{\"message\":\"Hello\"}\n") })
    })
    .await
}

/// A time as Go prints it, with the monotonic reading since the process started:
/// `2021-04-09 17:47:04.5703924 +0000 UTC m=+5598.039692701`.
fn go_time(now: Timestamp, started: Timestamp) -> String {
    let nanos = now.subsec_nanosecond();
    let fraction = match nanos {
        0 => String::new(),
        _ => format!(".{nanos:09}").trim_end_matches('0').to_owned(),
    };
    let since = now.duration_since(started);
    let mono = format!("m=+{}.{:09}", since.as_secs(), since.subsec_nanos());
    format!("{}{fraction} +0000 UTC {mono}", stamp(now, "%Y-%m-%d %H:%M:%S"))
}

/// kubernetes-bootcamp v1 and v2: a Node.js server on 8080.
pub(super) async fn bootcamp(process: Process) -> i32 {
    let started = process.machine.now();
    let host = process.machine.hostname().to_owned();
    let version = process.var("BOOTCAMP_VERSION").replace("latest", "1");
    let Ok(listener) = bind(&process, 8080) else {
        process.eprint("Error: listen EADDRINUSE :::8080\n").await;
        return 1;
    };
    let at = stamp(started, "%Y-%m-%dT%H:%M:%S.%3fZ");
    process.print(format!("Kubernetes Bootcamp App Started At: {at} | Running On:  {host} \n\n")).await;
    let (machine, stdout, requests) = (process.machine.clone(), process.stdout(), Rc::new(Cell::new(0_u64)));
    serve(&process, listener, NODE, move |_, _| {
        let (machine, stdout, requests) = (machine.clone(), stdout.clone(), requests.clone());
        let (host, version) = (host.clone(), version.clone());
        Box::pin(async move {
            requests.set(requests.get() + 1);
            let now = machine.now();
            let uptime = now.duration_since(started).as_millis() as f64 / 1000.0;
            let line = format!(
                "Running On: {host} | Total Requests: {} | App Uptime: {uptime} seconds | Log Time: {}\n",
                requests.get(),
                stamp(now, "%Y-%m-%dT%H:%M:%S.%3fZ")
            );
            let _ = stdout.write_all(line.as_bytes()).await;
            let body = format!("Hello Kubernetes bootcamp! | Running on: {host} | v={version}\n");
            Response::new(200, "text/plain", body)
        })
    })
    .await
}

/// The currency-exchange service of the second seed document: Spring Boot on 8000.
pub(super) async fn currency_exchange(process: Process) -> i32 {
    /// What a JVM with Spring takes to start.
    const START: std::time::Duration = std::time::Duration::from_secs(6);
    let pid = process.pid;
    let log = move |time: Timestamp, thread: &str, class: &str, text: &str| {
        let at = stamp(time, "%Y-%m-%d %H:%M:%S.%3f");
        format!("{at}  INFO {pid} --- [{thread:>15}] {class:<40} : {text}\n")
    };
    let class = "c.i.m.c.CurrencyExchangeServiceApplication";
    let banner = "\n  .   ____          _            __ _ _\n /\\\\ / ___'_ __ _ _(_)_ __  __ _ \\ \\ \\ \\\n( ( )\\___ | '_ | '_| | '_ \\/ _` | \\ \\ \\ \\\n \\\\/  ___)| |_)| | | | | || (_| |  ) ) ) )\n  '  |____| .__|_| |_|_| |_\\__, | / / / /\n =========|_|==============|___/=/_/_/_/\n :: Spring Boot ::                (v2.4.1)\n\n";
    process.print(banner).await;
    process.print(log(process.machine.now(), "main", class, "Starting CurrencyExchangeServiceApplication")).await;
    process.sleep(START).await;
    let Ok(listener) = bind(&process, 8000) else {
        process.print("Web server failed to start. Port 8000 was already in use.\n").await;
        return 1;
    };
    let tomcat = "o.s.b.w.embedded.tomcat.TomcatWebServer";
    let now = process.machine.now();
    process.print(log(now, "main", tomcat, "Tomcat started on port(s): 8000 (http) with context path ''")).await;
    process
        .print(log(
            now,
            "main",
            class,
            "Started CurrencyExchangeServiceApplication in 6.0 seconds (JVM running for 6.4)",
        ))
        .await;
    let machine = process.machine.clone();
    serve(&process, listener, JAVA, move |request, _| {
        let response = exchange(request.path(), machine.hostname(), machine.now());
        Box::pin(async move { response })
    })
    .await
}

fn exchange(path: &str, host: &str, now: Timestamp) -> Response {
    const RATES: [(&str, &str, u32, &str); 3] =
        [("USD", "INR", 10001, "65.00"), ("EUR", "INR", 10002, "75.00"), ("AUD", "INR", 10003, "25.00")];
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    match parts.as_slice() {
        ["currency-exchange", "from", from, "to", to] => {
            match RATES.iter().find(|(known, other, ..)| known == from && other == to) {
                Some((from, to, id, rate)) => Response::new(
                    200,
                    "application/json",
                    format!(
                        "{{\"id\":{id},\"from\":\"{from}\",\"to\":\"{to}\",\"conversionMultiple\":{rate},\"environment\":\"8000 {host}\"}}"
                    ),
                ),
                None => spring_error(500, "Internal Server Error", path, now),
            }
        }
        ["actuator", "health", ..] => Response::new(200, "application/json", "{\"status\":\"UP\"}"),
        _ => spring_error(404, "Not Found", path, now),
    }
}

fn spring_error(status: u16, error: &str, path: &str, now: Timestamp) -> Response {
    let body = serde_json::json!({
        "timestamp": stamp(now, "%Y-%m-%dT%H:%M:%S.%3f+00:00"),
        "status": status,
        "error": error,
        "message": "",
        "path": path,
    });
    Response::new(status, "application/json", body.to_string())
}

/// Google's hello-app.
pub(super) async fn hello_app(process: Process) -> i32 {
    let port = process.var("PORT").parse().unwrap_or(8080);
    let Ok(listener) = bind(&process, port) else { return 1 };
    let now = |time| stamp(time, "%Y/%m/%d %H:%M:%S");
    process.eprint(format!("{} Server listening on port {port}\n", now(process.machine.now()))).await;
    let version = process.var("HELLO_VERSION").replace("latest", "1.0");
    let (machine, stderr) = (process.machine.clone(), process.stderr());
    serve(&process, listener, GO, move |request, _| {
        let (machine, stderr, version) = (machine.clone(), stderr.clone(), version.clone());
        Box::pin(async move {
            let line = format!("{} Serving request: {}\n", now(machine.now()), request.path());
            let _ = stderr.write_all(line.as_bytes()).await;
            Response::text(format!("Hello, world!\nVersion: {version}.0\nHostname: {}\n", machine.hostname()))
        })
    })
    .await
}

/// hashicorp/http-echo: answers with its `-text`.
pub(super) async fn http_echo(process: Process) -> i32 {
    let flag = |name: &str| {
        let flags = process.operands();
        flags.iter().enumerate().find_map(|(index, flag)| {
            let (key, value) = flag.split_once('=').map_or((flag.as_str(), None), |(key, value)| (key, Some(value)));
            let value = value.map(str::to_owned).or_else(|| flags.get(index + 1).cloned());
            (key.trim_start_matches('-') == name).then_some(value).flatten()
        })
    };
    let text = match flag("text").unwrap_or_else(|| process.var("ECHO_TEXT").to_owned()) {
        text if text.is_empty() => "hello-world".to_owned(),
        text => text,
    };
    let port = flag("listen").and_then(|listen| listen.rsplit(':').next()?.parse().ok()).unwrap_or(5678);
    let now = |time| stamp(time, "%Y/%m/%d %H:%M:%S");
    let Ok(listener) = bind(&process, port) else {
        let what = format!("[ERR] Error starting server: listen tcp :{port}: bind: address already in use");
        process.eprint(format!("{} {what}\n", now(process.machine.now()))).await;
        return 1;
    };
    process.print(format!("{} [INFO] server is listening on :{port}\n", now(process.machine.now()))).await;
    let (machine, stdout) = (process.machine.clone(), process.stdout());
    serve(&process, listener, GRACEFUL, move |request, stream| {
        let (machine, stdout, text) = (machine.clone(), stdout.clone(), text.clone());
        Box::pin(async move {
            let response = Response::text(format!("{text}\n")).with("X-App-Name", "http-echo");
            let host = request.header("Host").unwrap_or_default();
            let line = format!(
                "{} [INFO] {host} {} \"{} {} HTTP/1.1\" 200 {} \"{}\" 12.3µs\n",
                now(machine.now()),
                stream.info().remote,
                request.method,
                request.target,
                response.body.len(),
                request.header("User-Agent").unwrap_or_default(),
            );
            let _ = stdout.write_all(line.as_bytes()).await;
            response
        })
    })
    .await
}

/// traefik/whoami: says who answers and what was asked.
pub(super) async fn whoami(process: Process) -> i32 {
    let operands = process.operands();
    let flag = operands.iter().position(|flag| flag == "--port" || flag == "-port");
    let given = flag.and_then(|index| operands.get(index + 1)).map_or(process.var("WHOAMI_PORT_NUMBER"), |port| port);
    let port = given.parse().unwrap_or(80);
    let now = stamp(process.machine.now(), "%Y/%m/%d %H:%M:%S");
    let Ok(listener) = bind(&process, port) else {
        process.eprint(format!("{now} listen tcp :{port}: bind: address already in use\n")).await;
        return 1;
    };
    process.print(format!("{now} Starting up on port {port}\n")).await;
    let machine = process.machine.clone();
    serve(&process, listener, GO, move |request, stream| {
        let mut body = format!("Hostname: {}\nIP: 127.0.0.1\n", machine.hostname());
        body.push_str(&format!("IP: {}\nRemoteAddr: {}\n", machine.interface().address(), stream.info().remote));
        body.push_str(&format!("{} {} HTTP/1.1\n", request.method, request.target));
        for (name, value) in &request.headers {
            body.push_str(&format!("{name}: {value}\n"));
        }
        body.push('\n');
        Box::pin(async move { Response::text(body) })
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_printed_as_go_prints_it() {
        let started = Timestamp::new(1_617_984_000, 0).unwrap();
        let now = Timestamp::new(1_617_990_424, 570_392_400).unwrap();
        assert_eq!(go_time(now, started), "2021-04-09 17:47:04.5703924 +0000 UTC m=+6424.570392400");
    }
}
