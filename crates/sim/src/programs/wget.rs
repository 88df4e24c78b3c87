//! `wget`, as busybox has it.

use std::time::Duration;

use futures::future::{Either, select};

use super::options::Options;
use super::url::{REDIRECTS_MAX, Url, redirected};
use crate::network::CONNECT_TIMEOUT;
use crate::network::http::{self, Request, Response};
use crate::process::Process;

const WGET_LONG: [(&str, &str); 9] = [
    ("quiet", "q"),
    ("output-document", "O"),
    ("timeout", "T"),
    ("tries", "t"),
    ("spider", "p"),
    ("header", "h"),
    ("post-data", "d"),
    ("no-check-certificate", "k"),
    ("server-response", "S"),
];

pub(super) async fn wget(process: Process) -> i32 {
    let options = match Options::parse(process.operands(), "qO:T:t:pSch:d:k", &WGET_LONG) {
        Ok(options) => options,
        Err(message) => return process.fail(1, message).await,
    };
    let Some(text) = options.operands.first() else {
        process.eprint("Usage: wget [-cqS] [--spider] [-O FILE] [-T SEC] URL...\n").await;
        return 1;
    };
    let Some(mut url) = Url::parse(text) else { return process.fail(1, format_args!("bad address '{text}'")).await };
    let quiet = options.has("q");
    let timeout =
        options.value("T").and_then(|seconds| seconds.parse().ok()).map_or(CONNECT_TIMEOUT, Duration::from_secs);
    let interface = process.machine.interface().clone();
    for _ in 0..REDIRECTS_MAX {
        let address = match process.machine.resolve(&url.host).await {
            Ok(addresses) => addresses.first().copied(),
            Err(_) => None,
        };
        let Some(address) = address else {
            return process.fail(1, format_args!("bad address '{}'", url.authority())).await;
        };
        if !quiet {
            process.eprint(format!("Connecting to {} ({address}:{})\n", url.authority(), url.port)).await;
        }
        let mut request = Request::new(if options.has("d") { "POST" } else { "GET" }, &url.target, &url.authority());
        request.headers.push(("User-Agent".into(), "Wget".into()));
        request.headers.push(("Connection".into(), "close".into()));
        for header in options.values("h") {
            if let Some((name, value)) = header.split_once(':') {
                request.headers.push((name.to_owned(), value.trim().to_owned()));
            }
        }
        request.body = options.value("d").unwrap_or_default().to_owned().into();
        let work = Box::pin(async {
            let stream = interface
                .dial(address, url.port)
                .await
                .map_err(|error| format!("can't connect to remote host ({address}): {error}"))?;
            match (url.scheme == "https", stream.info().tls.is_some()) {
                (true, false) => return Err("error getting response: wrong version number".to_owned()),
                (false, true) => return Err("server returned error: HTTP/1.0 400 Bad Request".to_owned()),
                _ => {}
            }
            http::fetch(&stream, &request).await.map_err(|_| "error getting response".to_owned())
        });
        let response = match select(work, process.machine.executor().sleep(timeout)).await {
            Either::Left((Ok(response), _)) => response,
            Either::Left((Err(message), _)) => return process.fail(1, message).await,
            Either::Right(_) => return process.fail(1, "download timed out").await,
        };
        if options.has("S") {
            let headers: String = response.headers.iter().map(|(name, value)| format!("  {name}: {value}\n")).collect();
            process.eprint(format!("  HTTP/1.1 {} {}\n{headers}", response.status, response.reason())).await;
        }
        if let Some(next) = redirected(&url, &response) {
            url = next;
            continue;
        }
        if response.status >= 400 {
            let what = format!("server returned error: HTTP/1.1 {} {}", response.status, response.reason());
            return process.fail(1, what).await;
        }
        if options.has("p") {
            return 0;
        }
        return save(&process, &options, &url, &response, quiet).await;
    }
    process.fail(1, "too many redirections").await
}

async fn save(process: &Process, options: &Options, url: &Url, response: &Response, quiet: bool) -> i32 {
    let name = options.value("O").unwrap_or_else(|| url.file_name()).to_owned();
    if name == "-" {
        process.print(&response.body).await;
        if !quiet {
            process.eprint(progress("-", response.body.len())).await;
            process.eprint("written to stdout\n").await;
        }
        return 0;
    }
    if !quiet {
        process.eprint(format!("saving to '{name}'\n")).await;
    }
    if name != "/dev/null"
        && let Err(error) = process.fs().write(&process.path(&name), response.body.clone(), process.machine.now())
    {
        return process.fail(1, format_args!("can't open '{name}': {error}")).await;
    }
    if !quiet {
        process.eprint(progress(&name, response.body.len())).await;
        process.eprint(format!("'{name}' saved\n")).await;
    }
    0
}

fn progress(name: &str, size: usize) -> String {
    format!("{name:<20} 100% |{}| {size:>5}  0:00:00 ETA\n", "*".repeat(32))
}
