//! `curl`.

use std::time::Duration;

use futures::future::{Either, select};

use super::options::Options;
use super::url::{REDIRECTS_MAX, Url, redirected};
use crate::network::http::{self, Headers, HttpError, Request, Response};
use crate::network::{CONNECT_TIMEOUT, ConnectError};
use crate::process::Process;
use crate::x509::Certificate;

/// Why a transfer failed: curl's exit code and message.
type Failure = (i32, String);

struct Transfer {
    method: String,
    headers: Headers,
    body: Vec<u8>,
    connect_timeout: Duration,
    verbose: bool,
    /// `--insecure`.
    trusting: bool,
    /// The file of `--cacert`, and what is in it.
    authorities: Option<(String, Vec<Certificate>)>,
    resolve: Vec<(String, u16, String)>,
}

impl Transfer {
    async fn once(&self, process: &Process, url: &Url) -> Result<Response, Failure> {
        if url.scheme != "http" && url.scheme != "https" {
            return Err((1, format!("Protocol \"{}\" not supported", url.scheme)));
        }
        let begun = process.machine.now();
        let pinned = self.resolve.iter().find(|(host, port, _)| *host == url.host && *port == url.port);
        let host = pinned.map_or(url.host.as_str(), |(_, _, address)| address);
        let connect = Box::pin(process.machine.connect(host, url.port));
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
        let presents = stream.info().tls.clone();
        let secure = presents.is_some();
        if url.scheme == "https" && !secure {
            return Err((35, "OpenSSL/3.0.15: error:0A00010B:SSL routines::wrong version number".into()));
        }
        if secure && url.scheme == "http" {
            let text = "Client sent an HTTP request to an HTTPS server.\n";
            return Ok(Response::new(400, "text/plain; charset=utf-8", text));
        }
        let (mut shown, mut encrypted) = (String::new(), String::new());
        if let Some(presents) = presents {
            let certificate = presents(&url.host);
            let verdict = self.verify(process, certificate.as_deref(), &url.host);
            encrypted = words(certificate.as_deref(), &verdict);
            if let Err(what) = verdict.as_ref().map_err(|(_, what)| what.clone())
                && !self.trusting
            {
                return Err((60, format!("{what}\n{MORE}")));
            }
            shown.push_str("* ALPN: curl offers h2,http/1.1\n");
        }
        let mut request = Request::new(&self.method, &url.target, &url.authority());
        for (name, value) in &self.headers {
            request.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
            request.headers.push((name.clone(), value.clone()));
        }
        request.body = self.body.clone().into();
        if self.verbose {
            let remote = stream.info().dialled;
            let mut text = format!("*   Trying {remote}...\n{shown}{encrypted}");
            text.push_str(&format!("* Connected to {} ({}) port {}\n", url.host, remote.ip(), url.port));
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

/// What curl adds where it trusts nobody.
const MORE: &str = "More details here: https://curl.se/docs/sslcerts.html\n\n\
                    curl failed to verify the legitimacy of the server and therefore could not\n\
                    establish a secure connection to it. To learn more about this situation and\n\
                    how to fix it, please visit the webpage mentioned above.";

impl Transfer {
    /// Whether the server is who it is said to be; OpenSSL's number of what is wrong, and curl's words.
    fn verify(&self, process: &Process, certificate: Option<&Certificate>, host: &str) -> Result<(), (u8, String)> {
        let authorities = self.authorities.as_ref().map(|(_, known)| known.as_slice()).unwrap_or_default();
        // The cluster's own certificates are signed by its authority, which is in the file if any is.
        let Some(certificate) = certificate else {
            return if authorities.is_empty() { Err(problem(20)) } else { Ok(()) };
        };
        let known = certificate.issuer == crate::outside::AUTHORITY
            || authorities.iter().any(|known| known == certificate || known.subject == certificate.issuer);
        if !known {
            return Err(problem(if certificate.subject == certificate.issuer { 18 } else { 20 }));
        }
        let now: String = process.machine.now().strftime("%Y%m%d%H%M%SZ").to_string();
        if now < certificate.not_before {
            return Err(problem(9));
        }
        if now > certificate.not_after {
            return Err(problem(10));
        }
        match certificate.is_for(host) {
            true => Ok(()),
            false => {
                Err((0, format!("SSL: no alternative certificate subject name matches target host name '{host}'")))
            }
        }
    }
}

/// What is wrong with a certificate, by OpenSSL's number.
fn problem(number: u8) -> (u8, String) {
    (number, format!("SSL certificate problem: {}", reason(number)))
}

fn reason(number: u8) -> &'static str {
    match number {
        9 => "certificate is not yet valid",
        10 => "certificate has expired",
        18 => "self-signed certificate",
        _ => "unable to get local issuer certificate",
    }
}

/// What `--verbose` says of a certificate.
fn words(certificate: Option<&Certificate>, verdict: &Result<(), (u8, String)>) -> String {
    let mut out =
        String::from("* SSL connection using TLSv1.3 / TLS_AES_256_GCM_SHA384\n* ALPN: server accepted http/1.1\n");
    if let Some(certificate) = certificate {
        let Certificate { subject, issuer, not_before, not_after, .. } = certificate;
        out.push_str("* Server certificate:\n");
        for (key, value) in
            [("subject", subject), ("start date", not_before), ("expire date", not_after), ("issuer", issuer)]
        {
            out.push_str(&format!("*  {key}: {value}\n"));
        }
    }
    out.push_str(&match verdict {
        Ok(()) => "*  SSL certificate verify ok.\n".to_owned(),
        Err((0, what)) => format!("* {what}\n"),
        Err((number, _)) => {
            format!("*  SSL certificate verify result: {} ({number}), continuing anyway.\n", reason(*number))
        }
    });
    out
}

fn head_of(response: &Response) -> String {
    let mut text = format!("HTTP/1.1 {} {}\r\n", response.status, response.reason());
    for (name, value) in &response.headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text + "\r\n"
}

const CURL_LONG: [(&str, &str); 27] = [
    ("cacert", "C"),
    ("cert", "E"),
    ("key", "K"),
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
    let options = match Options::parse(process.operands(), "sSIio:X:H:d:LfkvVm:w:A:u:ONc:r:y:Y:g46C:E:K:", &CURL_LONG) {
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
    let authorities = match options.value("C") {
        None => None,
        Some(file) => {
            let text = process.fs().read(&process.path(file)).unwrap_or_default();
            let known = Certificate::of_pem(&text);
            if known.is_empty() {
                return Err((77, format!("error setting certificate verify locations:  CAfile: {file} CApath: none")));
            }
            Some((file.to_owned(), known))
        }
    };
    let (verbose, trusting) = (options.has("v"), options.has("k"));
    let transfer = Transfer { method, headers, body, connect_timeout, verbose, trusting, authorities, resolve };
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
