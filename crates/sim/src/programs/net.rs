//! Tools for the network: curl, wget, nslookup, nc, ping, ip.

use std::time::Duration;

use futures::future::{Either, select};
use proxy::dns::{Answer, RecordType};

use super::options::Options;
use crate::network::http::{self, Headers, HttpError, Request, Response};
use crate::network::{CONNECT_TIMEOUT, ConnectError};
use crate::process::Process;

/// How many redirects are followed.
const REDIRECTS_MAX: usize = 50;

/// A URL's parts.
struct Url {
    scheme: String,
    host: String,
    port: u16,
    target: String,
}

impl Url {
    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let authority = authority.rsplit('@').next()?;
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !host.ends_with(':') => (host, port.parse().ok()?),
            _ => (authority, if scheme == "https" { 443 } else { 80 }),
        };
        let target = match target.split('#').next().unwrap_or_default() {
            "" => "/".to_owned(),
            query if query.starts_with('?') => format!("/{query}"),
            path => path.to_owned(),
        };
        (!host.is_empty()).then(|| Self { scheme: scheme.to_lowercase(), host: host.to_owned(), port, target })
    }

    /// The `Host` header.
    fn authority(&self) -> String {
        let default = if self.scheme == "https" { 443 } else { 80 };
        if self.port == default { self.host.clone() } else { format!("{}:{}", self.host, self.port) }
    }

    fn file_name(&self) -> &str {
        let path = self.target.split('?').next().unwrap_or_default();
        path.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("index.html")
    }
}

/// Where a redirect leads.
fn redirected(url: &Url, response: &Response) -> Option<Url> {
    let location = response.header("Location").filter(|_| (300..400).contains(&response.status))?;
    match location.starts_with('/') {
        true => Some(Url {
            target: location.to_owned(),
            scheme: url.scheme.clone(),
            host: url.host.clone(),
            port: url.port,
        }),
        false => Url::parse(location),
    }
}

/// Why a transfer failed: curl's exit code and message.
type Failure = (i32, String);

struct Transfer {
    method: String,
    headers: Headers,
    body: Vec<u8>,
    connect_timeout: Duration,
    verbose: bool,
    resolve: Vec<(String, u16, String)>,
}

impl Transfer {
    async fn once(&self, process: &Process, url: &Url) -> Result<Response, Failure> {
        if url.scheme != "http" && url.scheme != "https" {
            return Err((1, format!("Protocol \"{}\" not supported", url.scheme)));
        }
        let begun = process.machine.now();
        let interface = process.machine.interface().clone();
        let pinned = self.resolve.iter().find(|(host, port, _)| *host == url.host && *port == url.port);
        let host = pinned.map_or(url.host.as_str(), |(_, _, address)| address);
        let connect = Box::pin(interface.connect(host, url.port));
        let connected = match select(connect, process.machine.executor().sleep(self.connect_timeout)).await {
            Either::Left((connected, _)) => connected,
            Either::Right(_) => Err(ConnectError::TimedOut),
        };
        let waited = process.machine.now().duration_since(begun).as_millis();
        let stream = connected.map_err(|error| match error {
            ConnectError::NameNotFound(name) => (6, format!("Could not resolve host: {name}")),
            ConnectError::TimedOut if self.connect_timeout < CONNECT_TIMEOUT => (
                28,
                format!("Failed to connect to {} port {} after {waited} ms: Timeout was reached", url.host, url.port),
            ),
            ConnectError::TimedOut => {
                let what = "Couldn't connect to server";
                (28, format!("Failed to connect to {} port {} after {waited} ms: {what}", url.host, url.port))
            }
            _ => {
                let what = "Couldn't connect to server";
                (7, format!("Failed to connect to {} port {} after {waited} ms: {what}", url.host, url.port))
            }
        })?;
        if url.scheme == "https" {
            return Err((35, "OpenSSL/3.0.15: error:0A00010B:SSL routines::wrong version number".into()));
        }
        let mut request = Request::new(&self.method, &url.target, &url.authority());
        for (name, value) in &self.headers {
            request.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
            request.headers.push((name.clone(), value.clone()));
        }
        request.body = self.body.clone().into();
        if self.verbose {
            let remote = stream.info().remote;
            let mut text =
                format!("*   Trying {remote}...\n* Connected to {} ({}) port {}\n", url.host, remote.ip(), url.port);
            text.push_str(&format!("> {} {} HTTP/1.1\n", request.method, request.target));
            for (name, value) in &request.headers {
                text.push_str(&format!("> {name}: {value}\n"));
            }
            process.eprint(format!("{text}> \n")).await;
        }
        let response = http::fetch(&stream, &request).await.map_err(|error| match error {
            HttpError::Io(_) => (56, "Recv failure: Connection reset by peer".to_owned()),
            HttpError::Closed => (52, "Empty reply from server".to_owned()),
            HttpError::Malformed => (1, "Received HTTP/0.9 when not allowed".to_owned()),
        })?;
        if self.verbose {
            let head = head_of(&response).replace("\r\n", "\n");
            let lines: String = head.lines().map(|line| format!("< {line}\n")).collect();
            process.eprint(lines).await;
        }
        Ok(response)
    }
}

fn head_of(response: &Response) -> String {
    let mut text = format!("HTTP/1.1 {} {}\r\n", response.status, response.reason());
    for (name, value) in &response.headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text + "\r\n"
}

const CURL_LONG: [(&str, &str); 24] = [
    ("silent", "s"),
    ("show-error", "S"),
    ("head", "I"),
    ("include", "i"),
    ("output", "o"),
    ("request", "X"),
    ("header", "H"),
    ("data", "d"),
    ("data-raw", "d"),
    ("location", "L"),
    ("fail", "f"),
    ("insecure", "k"),
    ("verbose", "v"),
    ("max-time", "m"),
    ("write-out", "w"),
    ("user-agent", "A"),
    ("user", "u"),
    ("remote-name", "O"),
    ("connect-timeout", "c"),
    ("resolve", "r"),
    ("no-progress-meter", "N"),
    ("retry", "y"),
    ("retry-delay", "Y"),
    ("version", "V"),
];

pub(super) async fn curl(process: Process) -> i32 {
    let options = match Options::parse(process.operands(), "sSIio:X:H:d:LfkvVm:w:A:u:ONc:r:y:Y:g46", &CURL_LONG) {
        Ok(options) => options,
        Err(message) => {
            let option = message.rsplit(": ").next().unwrap_or_default();
            let dashes = if option.chars().count() > 1 { "--" } else { "-" };
            let text = format!(
                "curl: option {dashes}{option}: is unknown\ncurl: try 'curl --help' or 'curl --manual' for more information\n"
            );
            process.eprint(text).await;
            return 2;
        }
    };
    if options.has("V") {
        process.print("curl 8.14.1 (x86_64-pc-linux-gnu) libcurl/8.14.1\nProtocols: http https\n").await;
        return 0;
    }
    if options.operands.is_empty() {
        process
            .eprint("curl: (2) no URL specified\ncurl: try 'curl --help' or 'curl --manual' for more information\n")
            .await;
        return 2;
    }
    let seconds = |letter: &str| {
        let value = options.value(letter).and_then(|value| value.parse::<f64>().ok());
        value.and_then(|value| Duration::try_from_secs_f64(value).ok())
    };
    let mut code = 0;
    for operand in &options.operands {
        let work = Box::pin(curl_one(&process, &options, operand, seconds("c").unwrap_or(CONNECT_TIMEOUT)));
        let limit = seconds("m");
        let result = match select(work, process.machine.executor().sleep(limit.unwrap_or(Duration::MAX))).await {
            Either::Left((result, _)) => result,
            Either::Right(_) => {
                let ms = limit.unwrap_or_default().as_millis();
                Err((28, format!("Operation timed out after {ms} milliseconds with 0 bytes received")))
            }
        };
        if let Err((failed, message)) = result {
            code = failed;
            if !options.has("s") || options.has("S") {
                process.eprint(format!("curl: ({failed}) {message}\n")).await;
            }
        }
    }
    code
}

async fn curl_one(process: &Process, options: &Options, text: &str, connect_timeout: Duration) -> Result<(), Failure> {
    let mut url = Url::parse(text).ok_or_else(|| (3, "URL rejected: Malformed input to a URL function".to_owned()))?;
    let body = options.values("d").join("&").into_bytes();
    let method = match options.value("X") {
        Some(method) => method.to_owned(),
        None if options.has("I") => "HEAD".into(),
        None if options.has("d") => "POST".into(),
        None => "GET".into(),
    };
    let agent = options.value("A").unwrap_or("curl/8.14.1");
    let mut headers: Headers = vec![("User-Agent".into(), agent.into()), ("Accept".into(), "*/*".into())];
    if options.has("d") {
        headers.push(("Content-Type".into(), "application/x-www-form-urlencoded".into()));
    }
    if let Some(user) = options.value("u") {
        use base64::Engine;
        let encoded = base64::engine::general_purpose::STANDARD.encode(user);
        headers.push(("Authorization".into(), format!("Basic {encoded}")));
    }
    for header in options.values("H") {
        if let Some((name, value)) = header.split_once(':') {
            headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
    }
    let resolve = options.values("r").iter().filter_map(|entry| {
        let mut parts = entry.splitn(3, ':');
        Some((parts.next()?.to_owned(), parts.next()?.parse().ok()?, parts.next()?.to_owned()))
    });
    let resolve = resolve.collect();
    let transfer = Transfer { method, headers, body, connect_timeout, verbose: options.has("v"), resolve };
    let mut response = transfer.once(process, &url).await?;
    for _ in 0..REDIRECTS_MAX {
        let Some(next) = redirected(&url, &response).filter(|_| options.has("L")) else { break };
        url = next;
        response = transfer.once(process, &url).await?;
    }
    if options.has("f") && response.status >= 400 {
        return Err((22, format!("The requested URL returned error: {}", response.status)));
    }
    let mut out = Vec::new();
    if options.has("i") || options.has("I") {
        out.extend_from_slice(head_of(&response).as_bytes());
    }
    out.extend_from_slice(&response.body);
    let file = options.value("o").map(str::to_owned).or_else(|| options.has("O").then(|| url.file_name().to_owned()));
    match file.as_deref() {
        None | Some("-") => {
            process.print(&out).await;
        }
        Some("/dev/null") => {}
        Some(path) => {
            let written = process.fs().write(&process.path(path), out, process.machine.now());
            written.map_err(|_| (23, "client returned ERROR on write".to_owned()))?;
        }
    }
    if let Some(format) = options.value("w") {
        let text = format
            .replace("%{http_code}", &format!("{:03}", response.status))
            .replace("%{response_code}", &format!("{:03}", response.status))
            .replace("%{size_download}", &response.body.len().to_string())
            .replace("\\n", "\n")
            .replace("\\t", "\t");
        process.print(text).await;
    }
    Ok(())
}

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
        if url.scheme == "https" {
            return process.fail(1, "error getting response: wrong version number").await;
        }
        let address = match interface.resolve(&url.host).await {
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
            http::fetch(&stream, &request).await.map_err(|_| "error getting response".to_owned())
        });
        let response = match select(work, process.machine.executor().sleep(timeout)).await {
            Either::Left((Ok(response), _)) => response,
            Either::Left((Err(message), _)) => return process.fail(1, message).await,
            Either::Right(_) => return process.fail(1, "download timed out").await,
        };
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

pub(super) async fn nslookup(process: Process) -> i32 {
    let options = process.operands().iter().filter(|word| word.starts_with('-'));
    let kind =
        options.filter_map(|word| word.split_once('=')).find(|(name, _)| matches!(*name, "-type" | "-q" | "-query"));
    let kind = match kind.map(|(_, kind)| kind.to_ascii_uppercase()).as_deref() {
        Some("SRV") => RecordType::Srv,
        Some("AAAA") => RecordType::Aaaa,
        Some("PTR") => RecordType::Ptr,
        _ => RecordType::A,
    };
    let Some(name) = process.operands().iter().find(|word| !word.starts_with('-')) else {
        process.eprint("Usage: nslookup [-type=QUERY_TYPE] [-debug] HOST [DNS_SERVER]\n").await;
        return 1;
    };
    let interface = process.machine.interface();
    let conf = interface.resolv_conf().clone();
    let server = conf.nameservers.first().map_or_else(|| "127.0.0.1".to_owned(), ToString::to_string);
    process.print(format!("Server:\t\t{server}\nAddress:\t{server}:53\n\n")).await;
    let query = match name.parse::<std::net::Ipv4Addr>() {
        Ok(address) => {
            let [a, b, c, d] = address.octets();
            vec![format!("{d}.{c}.{b}.{a}.in-addr.arpa")]
        }
        Err(_) => conf.candidates(name),
    };
    let kind = if query.first().is_some_and(|name| name.ends_with(".in-addr.arpa")) { RecordType::Ptr } else { kind };
    let last = query.last().cloned().unwrap_or_default();
    for candidate in query {
        let Answer::Records(records) = interface.query(&candidate, kind).await else { continue };
        for record in &records {
            let line = match kind {
                RecordType::Srv => format!("{}\tservice = {}\n", record.name, record.data),
                RecordType::Ptr => {
                    format!("{}\tname = {}\n", record.name, record.data.to_string().trim_end_matches('.'))
                }
                _ => match &record.data {
                    proxy::dns::RecordData::Cname(target) => format!("{}\tcanonical name = {target}\n", record.name),
                    data => format!("Name:\t{}\nAddress: {data}\n", record.name),
                },
            };
            process.print(line).await;
        }
        if records.is_empty() {
            process.print("*** Can't find ").await;
            process.print(format!("{candidate}: No answer\n")).await;
        }
        process.print("\n").await;
        return 0;
    }
    process.print(format!("** server can't find {last}: NXDOMAIN\n\n")).await;
    1
}

/// `nc`: `-z` to try a port, `-l` to wait for a connection, or a connection with standard input and
/// output.
pub(super) async fn nc(process: Process) -> i32 {
    let options = match Options::parse(process.operands(), "lzvnw:p:k", &[]) {
        Ok(options) => options,
        Err(message) => return process.fail(1, message).await,
    };
    let interface = process.machine.interface().clone();
    let port = |text: &str| text.parse::<u16>().ok();
    let stream = if options.has("l") {
        let wanted = options.value("p").or(options.operands.first().map(String::as_str)).and_then(port);
        match interface.listen(wanted.unwrap_or(0)) {
            Ok((_, listener)) => listener.accept().await,
            Err(error) => return process.fail(1, format_args!("bind: {error}")).await,
        }
    } else {
        let (Some(host), Some(number)) =
            (options.operands.first(), options.operands.get(1).and_then(|text| port(text)))
        else {
            return process.fail(1, "missing host or port").await;
        };
        let limit =
            options.value("w").and_then(|seconds| seconds.parse().ok()).map_or(CONNECT_TIMEOUT, Duration::from_secs);
        let connect = Box::pin(interface.connect(host, number));
        let connected = match select(connect, process.machine.executor().sleep(limit)).await {
            Either::Left((connected, _)) => connected,
            Either::Right(_) => Err(ConnectError::TimedOut),
        };
        match connected {
            Ok(stream) if options.has("z") => {
                if options.has("v") {
                    process.eprint(format!("{host} ({}) open\n", stream.info().remote)).await;
                }
                return 0;
            }
            Ok(stream) => stream,
            Err(ConnectError::NameNotFound(name)) => {
                return process.fail(1, format_args!("bad address '{name}'")).await;
            }
            Err(error) => {
                return if options.has("z") && !options.has("v") {
                    1
                } else {
                    process.fail(1, format_args!("{host} ({host}:{number}): {error}")).await
                };
            }
        }
    };
    let (stdin, stdout) = (process.stdin(), process.stdout());
    let up = Box::pin(async {
        loop {
            let part = stdin.read(65536).await.unwrap_or_default();
            if part.is_empty() || stream.write_all(&part).await.is_err() {
                stream.shutdown();
                return std::future::pending::<()>().await;
            }
        }
    });
    let down = Box::pin(async {
        loop {
            let part = stream.read(65536).await.unwrap_or_default();
            if part.is_empty() || stdout.write_all(&part).await.is_err() {
                return;
            }
        }
    });
    select(up, down).await;
    0
}

/// `ip addr`, `ip route`; `ifconfig`.
pub(super) async fn ip(process: Process) -> i32 {
    let address = process.machine.interface().address();
    let route = process.operands().first().is_some_and(|word| word.starts_with('r'));
    let text = if route {
        format!("default dev eth0\n{address} dev eth0 scope link src {address}\n")
    } else {
        format!(
            "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN qlen 1000\n    inet 127.0.0.1/8 scope host lo\n\
             2: eth0@if3: <BROADCAST,MULTICAST,UP,LOWER_UP,M-DOWN> mtu 1500 qdisc noqueue state UP\n    inet {address}/24 scope global eth0\n"
        )
    };
    i32::from(!process.print(text).await)
}
