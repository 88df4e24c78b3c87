//! `kubectl proxy`: the API server, and files, on a port of this machine (upstream's pkg/proxy).

use bytes::Bytes;
use futures::stream::{FuturesUnordered, StreamExt};
use futures::{SinkExt, future};
use http::Method;
use machinery::wire::{Channels, Frame};
use regex_lite::Regex;

use crate::api::Client;
use crate::error::Error;
use crate::host::{Connection, FileError};
use crate::session::Session;

const HEAD_BYTES_MAX: usize = 64 * 1024;
const PORT: i64 = 8001;
/// Types of the files that are served, by their names' ends.
const CONTENT_TYPES: [(&str, &str); 8] = [
    (".html", "text/html; charset=utf-8"),
    (".css", "text/css; charset=utf-8"),
    (".js", "text/javascript; charset=utf-8"),
    (".json", "application/json"),
    (".svg", "image/svg+xml"),
    (".png", "image/png"),
    (".jpg", "image/jpeg"),
    (".wasm", "application/wasm"),
];

/// Which requests pass: what keeps a page of another site, whose name resolves to this machine, from using the
/// cluster by the learner's browser.
struct Filter {
    accepted_paths: Vec<Regex>,
    rejected_paths: Vec<Regex>,
    accepted_hosts: Vec<Regex>,
    rejected_methods: Vec<Regex>,
}

/// What is served where.
struct Site<'h> {
    client: Client<'h>,
    filter: Option<Filter>,
    api_prefix: String,
    /// `(prefix, folder)`
    files: Option<(String, String)>,
}

struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Bytes,
}

/// Runs the command.
///
/// # Errors
/// A port that cannot be listened on, patterns that are none.
pub(super) async fn run(session: &Session<'_>) -> Result<(), Error> {
    let args = &session.args;
    let mut target = session.target().await?.clone();
    let host = target.endpoint.server.split_once("://").map_or("", |(_, rest)| rest);
    let path = host.find('/').map_or("", |at| host.get(at..).unwrap_or_default()).to_owned();
    if !args.bool("append-server-path") && !path.is_empty() {
        let text = format!(
            "Your kube context contains a server path {path}, use --append-server-path to automatically append the \
             path to each request"
        );
        session.klog('W', "proxy.go:169", &text);
        let length = target.endpoint.server.len() - path.len();
        target.endpoint.server.truncate(length);
    }
    let socket = args.string("unix-socket");
    if !socket.is_empty() && args.int("port") != PORT {
        return Err(Error::message("cannot set --unix-socket and --port at the same time"));
    }
    let folder = args.string("www");
    if !folder.is_empty()
        && let Err(error) = session.host.read_dir(folder).await
    {
        match error {
            FileError::NotFound | FileError::PermissionDenied => {
                let reason = error.as_str();
                let text = format!("Failed to stat static file directory {folder}: stat {folder}: {reason}");
                session.klog('W', "proxy.go:200", &text);
            }
            _ => session.klog('W', "proxy.go:203", &format!("Static file directory {folder} is not a directory")),
        }
    }
    let site = Site {
        client: Client::new(session.host, target),
        filter: filter(session)?,
        api_prefix: format!("{}/", args.string("api-prefix").trim_end_matches('/')),
        files: (!folder.is_empty())
            .then(|| (format!("{}/", args.string("www-prefix").trim_end_matches('/')), folder.to_owned())),
    };
    let address = match (socket, args.string("address")) {
        ("", "") => "127.0.0.1",
        ("", address) => address,
        (socket, _) => socket,
    };
    let port = u16::try_from(args.int("port"))
        .map_err(|_| Error::message(format!("listen tcp: address {}: invalid port", args.int("port"))))?;
    let listener = session
        .host
        .listen(address, if socket.is_empty() { port } else { 0 })
        .await
        .map_err(|error| not_listening(&error))?;
    session.outln(match socket {
        "" => format!("Starting to serve on {address}:{}", listener.port),
        socket => format!("Starting to serve on {socket}"),
    });
    let mut connections = listener.connections;
    let mut open = FuturesUnordered::new();
    loop {
        match future::select(connections.next(), open.next()).await {
            future::Either::Left((Some(connection), _)) => open.push(serve(session, &site, connection)),
            future::Either::Left((None, _)) => return Ok(()),
            future::Either::Right((Some(()), _)) => {}
            future::Either::Right((None, waiting)) => match waiting.await {
                Some(connection) => open.push(serve(session, &site, connection)),
                None => return Ok(()),
            },
        }
    }
}

/// Why there is no listener, without what `port-forward` says before it.
fn not_listening(error: &str) -> Error {
    match error.strip_prefix("unable to create listener: Error listen tcp4 ") {
        Some(place) => Error::message(format!("listen tcp {place}")),
        None => Error::message(error),
    }
}

fn filter(session: &Session<'_>) -> Result<Option<Filter>, Error> {
    let args = &session.args;
    if args.bool("disable-filter") {
        if args.string("unix-socket").is_empty() {
            let text = "Request filter disabled, your proxy is vulnerable to XSRF attacks, please be cautious";
            session.klog('W', "proxy.go:175", text);
        }
        return Ok(None);
    }
    let (rejected_paths, rejected_methods) = (args.string("reject-paths"), args.string("reject-methods"));
    if rejected_paths.is_empty() || rejected_methods.is_empty() {
        let text = "Request filter has been relaxed, your proxy may be vulnerable to attacks, please be cautious";
        session.klog('W', "proxy.go:180", text);
    }
    Ok(Some(Filter {
        accepted_paths: patterns(args.string("accept-paths"))?,
        rejected_paths: patterns(rejected_paths)?,
        accepted_hosts: patterns(args.string("accept-hosts"))?,
        rejected_methods: patterns(rejected_methods)?,
    }))
}

fn patterns(list: &str) -> Result<Vec<Regex>, Error> {
    let parts = list.split(',').filter(|_| !list.is_empty());
    let failed = |part: &str, error: &str| Error::Fatal {
        place: "proxy_server.go:83",
        text: format!("Error compiling re: error parsing regexp: {}", why_no_pattern(part, error)),
        code: 255,
    };
    parts.map(|part| Regex::new(part).map_err(|error| failed(part, &error.to_string()))).collect()
}

/// Go's words for what is wrong with a pattern.
fn why_no_pattern(pattern: &str, error: &str) -> String {
    let from = |at: Option<usize>| at.and_then(|at| pattern.get(at..)).unwrap_or(pattern);
    if error.contains("unclosed character class") {
        format!("missing closing ]: `{}`", from(pattern.rfind('[')))
    } else if error.contains("without closing") {
        format!("missing closing ): `{pattern}`")
    } else if error.contains("without opening") || error.contains("unopened") {
        format!("unexpected ): `{pattern}`")
    } else {
        error.to_owned()
    }
}

impl Filter {
    fn accepts(&self, method: &str, path: &str, host: &str) -> bool {
        let any = |patterns: &[Regex], text: &str| patterns.iter().any(|pattern| pattern.is_match(text));
        // `localhost:8001` without its port, `[::1]:8001` without brackets too: so does Go.
        let host = match (host.strip_prefix('[').and_then(|host| host.split_once("]:")), host.split_once(':')) {
            (Some((name, _)), _) => name,
            (None, Some((name, port))) if !port.contains(':') => name,
            _ => host,
        };
        !any(&self.rejected_paths, path)
            && !any(&self.rejected_methods, method)
            && any(&self.accepted_paths, path)
            && any(&self.accepted_hosts, host)
    }
}

impl Answer {
    fn text(status: u16, text: &str) -> Self {
        let headers =
            vec![("Content-Type", "text/plain; charset=utf-8".into()), ("X-Content-Type-Options", "nosniff".into())];
        Self { status, headers, body: format!("{text}\n").into() }
    }

    fn not_found() -> Self {
        Self::text(404, "404 page not found")
    }

    fn moved(to: &str) -> Self {
        let headers = vec![("Location", to.to_owned()), ("Content-Type", "text/html; charset=utf-8".into())];
        Self { status: 301, headers, body: format!("<a href=\"{to}\">Moved Permanently</a>.\n\n").into() }
    }
}

/// Answers one HTTP/1.1 request of a connection.
async fn serve(session: &Session<'_>, site: &Site<'_>, connection: Connection) {
    let Channels { mut sender, mut receiver } = connection.channels;
    let mut received: Vec<u8> = Vec::new();
    let head_end = loop {
        if let Some(at) = received.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        match receiver.next().await {
            Some(Frame { data: Some(data), .. }) if received.len() < HEAD_BYTES_MAX => {
                received.extend_from_slice(&data)
            }
            _ => return,
        }
    };
    let head = String::from_utf8_lossy(received.get(..head_end).unwrap_or_default()).into_owned();
    let mut lines = head.split("\r\n");
    let mut request_line = lines.next().unwrap_or_default().split(' ');
    let method = request_line.next().unwrap_or_default().to_owned();
    let target = request_line.next().unwrap_or("/").to_owned();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_lowercase(), value.trim().to_owned()))
        .collect();
    let header = |name: &str| headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str());
    let length: usize = header("content-length").parse().unwrap_or(0);
    let mut body = received.split_off((head_end + 4).min(received.len()));
    while body.len() < length {
        match receiver.next().await {
            Some(Frame { data: Some(data), .. }) => body.extend_from_slice(&data),
            _ => break,
        }
    }
    let path = target.split('?').next().unwrap_or_default();
    let own = match &site.files {
        Some((prefix, folder)) if path.starts_with(prefix.as_str()) => {
            Some(file(session, folder, path.get(prefix.len()..).unwrap_or_default()).await)
        }
        Some((prefix, _)) if prefix.strip_suffix('/') == Some(path) => Some(Answer::moved(prefix)),
        _ if site.api_prefix.strip_suffix('/') == Some(path) && !path.is_empty() => {
            Some(Answer::moved(&site.api_prefix))
        }
        _ if !path.starts_with(&site.api_prefix) => Some(Answer::not_found()),
        _ => None,
    };
    // Only below `/api` the prefix is part of what the server is asked for.
    let cut = if site.api_prefix.starts_with("/api") { 0 } else { site.api_prefix.len().saturating_sub(1) };
    let target = target.get(cut..).unwrap_or_default().to_owned();
    let path = target.split('?').next().unwrap_or_default();
    let refused = |filter: &Filter| !filter.accepts(&method, path, header("host"));
    let own = match own {
        None if site.filter.as_ref().is_some_and(refused) => Some(Answer::text(403, "Forbidden")),
        own => own,
    };
    let passed: Vec<(&str, &str)> = headers
        .iter()
        .filter(|(name, _)| matches!(name.as_str(), "accept" | "content-type"))
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let method = Method::from_bytes(method.as_bytes()).unwrap_or(Method::GET);
    let answer = match own {
        Some(answer) => Err(answer),
        None => {
            let answer = site.client.pass(method, target, &passed, Bytes::from(body)).await;
            answer.map_err(|error| Answer::text(502, &error.to_string()))
        }
    };
    let mut send = async |data: Option<Bytes>| sender.send(Frame { channel: 0, data }).await.is_ok();
    match answer {
        Ok(response) => {
            let (parts, body) = response.into_parts();
            let mut head = format!("HTTP/1.1 {}\r\nConnection: close\r\n", parts.status);
            for (name, value) in
                parts.headers.iter().filter(|(name, _)| *name != "connection" && *name != "transfer-encoding")
            {
                head.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap_or_default()));
            }
            head.push_str("\r\n");
            let mut going = send(Some(head.into())).await;
            let mut stream = body.into_stream();
            while going && let Some(part) = stream.next().await {
                going = send(Some(part)).await;
            }
        }
        Err(Answer { status, headers, body }) => {
            let status = http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
            let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            let length = body.len();
            let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n");
            send(Some(head.into())).await;
            send(Some(body)).await;
        }
    }
    send(None).await;
}

/// A file below a folder, or what is in one of its folders.
async fn file(session: &Session<'_>, folder: &str, path: &str) -> Answer {
    let path = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
    if path.split('/').any(|part| part == "..") {
        return Answer::text(400, "invalid URL path");
    }
    let place = format!("{}/{path}", folder.trim_end_matches('/'));
    let (place, listed) = match session.host.read_dir(place.trim_end_matches('/')).await {
        Ok(entries) if path.is_empty() || path.ends_with('/') => (format!("{place}index.html"), Some(entries)),
        Ok(_) => return Answer::moved(&format!("{}/", path.rsplit('/').next().unwrap_or_default())),
        Err(_) => (place, None),
    };
    match (session.host.read_file(&place).await, listed) {
        (Ok(body), _) => {
            let known = CONTENT_TYPES.iter().find(|(end, _)| place.ends_with(end));
            let content_type = known.map_or("text/plain; charset=utf-8", |(_, content_type)| content_type);
            Answer { status: 200, headers: vec![("Content-Type", content_type.into())], body }
        }
        (Err(_), Some(entries)) => {
            let names = entries.iter().map(|entry| format!("{}{}", entry.name, if entry.is_dir { "/" } else { "" }));
            let links: String = names.map(|name| format!("<a href=\"{name}\">{name}</a>\n")).collect();
            let page = format!(
                "<!doctype html>\n<meta name=\"viewport\" content=\"width=device-width\">\n<pre>\n{links}</pre>\n"
            );
            Answer {
                status: 200,
                headers: vec![("Content-Type", "text/html; charset=utf-8".into())],
                body: page.into(),
            }
        }
        (Err(_), None) => Answer::not_found(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_may_ask() {
        let filter = Filter {
            accepted_paths: patterns("^.*").unwrap(),
            rejected_paths: patterns("^/api/.*/pods/.*/exec,^/api/.*/pods/.*/attach").unwrap(),
            accepted_hosts: patterns("^localhost$,^127\\.0\\.0\\.1$,^\\[::1\\]$").unwrap(),
            rejected_methods: patterns("^$").unwrap(),
        };
        assert!(filter.accepts("GET", "/api/v1/pods", "localhost:8001"));
        assert!(filter.accepts("GET", "/api/v1/pods", "127.0.0.1:8001"));
        assert!(filter.accepts("GET", "/", "[::1]"));
        assert!(!filter.accepts("GET", "/api/v1/pods", "evil.example:8001"));
        assert!(!filter.accepts("GET", "/api/v1/pods", ""));
        assert!(!filter.accepts("POST", "/api/v1/namespaces/default/pods/web/exec", "localhost"));
    }
}
