//! nginx' servers: which of them a request is for, which of its locations, and what that answers.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::Rc;

use regex_lite::Regex;

use super::super::content_type;
use super::super::web::{FileRoot, date_and_server, error_page, file_response};
use super::conf::{Block, Directive, all};
use crate::network::ConnectError;
use crate::network::http::{self, Request, Response};
use crate::process::Process;
use crate::programs::grep;
use crate::x509::Certificate;

/// How often a request may go from one place to another within the configuration.
const TURNS_MAX: u32 = 10;
/// What is not asked for by name of a file, nor otherwise known.
const UNKNOWN_TYPE: &str = "application/octet-stream";

/// What nginx serves.
pub(super) struct Sites {
    http: Block,
    servers: Vec<Server>,
    /// Addresses by the name that a `proxy_pass` says.
    upstreams: BTreeMap<String, Upstream>,
    software: String,
    /// Certificates by port, where TLS is spoken.
    certificates: BTreeMap<u16, Option<Rc<Certificate>>>,
    pid_file: String,
}

struct Server {
    ports: Vec<(u16, bool)>,
    names: Vec<String>,
    block: Block,
}

#[derive(Default)]
struct Upstream {
    servers: Vec<(IpAddr, u16)>,
    next: Cell<usize>,
}

/// What there is to say of a request.
pub(super) struct Reply {
    pub(super) response: Response,
    /// What the error log says of it, without time and client.
    pub(super) error: Option<String>,
}

/// What a place in the configuration does with a request.
enum Outcome {
    Answer(Response),
    /// It goes on as a request for this.
    Internal(String),
}

/// A request on its way through the configuration.
struct Visit<'a> {
    process: &'a Process,
    request: &'a Request,
    client: IpAddr,
    port: u16,
    server: &'a Server,
    uri: String,
    error: Option<String>,
}

/// The certificate of a server that speaks TLS; none where its file says nothing.
fn certificate(
    process: &Process,
    server: &[Directive],
    http: &[Directive],
    listen: &Directive,
) -> Result<Option<Rc<Certificate>>, String> {
    let find = |name: &'static str| all(server, name).chain(all(http, name)).next();
    let Some(file) = find("ssl_certificate") else {
        return Err(format!(
            "no \"ssl_certificate\" is defined for the \"listen ... ssl\" directive in {}",
            listen.place
        ));
    };
    let path = crate::fs::absolute("/etc/nginx", file.argument(0));
    let text = process.fs().read(&path).map_err(|error| {
        format!(
            "cannot load certificate \"{path}\": BIO_new_file() failed (SSL: error:80000002:system library::{error}:calling \
             fopen({path}, r) error:10000080:BIO routines::no such file)"
        )
    })?;
    Ok(Certificate::of_pem(&text).into_iter().next().map(Rc::new))
}

impl Sites {
    /// Reads the servers and finds the addresses that they pass requests to. The error is what follows
    /// `[emerg]` in the log.
    pub(super) async fn new(process: &Process, directives: &[Directive], software: &str) -> Result<Self, String> {
        let blocks: Vec<&Block> = all(directives, "http").map(|http| &http.block).collect();
        let http = match blocks.as_slice() {
            [only] => Block::clone(only),
            several => several.iter().flat_map(|block| block.iter().cloned()).collect(),
        };
        let pid_file = all(directives, "pid").last().map_or("/run/nginx.pid", |pid| pid.argument(0)).to_owned();
        let mut sites = Self {
            servers: Vec::new(),
            upstreams: BTreeMap::new(),
            software: software.to_owned(),
            http: http.clone(),
            certificates: BTreeMap::new(),
            pid_file,
        };
        for upstream in all(&http, "upstream") {
            let mut servers = Vec::new();
            for server in all(&upstream.block, "server") {
                servers.extend(resolve(process, server.argument(0), &server.place).await?);
            }
            if servers.is_empty() {
                return Err(format!("no servers are inside upstream in {}", upstream.place));
            }
            sites.upstreams.insert(upstream.argument(0).to_owned(), Upstream { servers, next: Cell::default() });
        }
        for server in all(&http, "server") {
            let mut ports = Vec::new();
            for listen in all(&server.block, "listen") {
                let port = listen.argument(0).rsplit(':').next().unwrap_or_default();
                let port = port.parse().or_else(|_| if port.contains('.') || port == "*" { Ok(80) } else { Err(()) });
                let port = port.map_err(|()| {
                    format!(
                        "invalid port in \"{}\" of the \"listen\" directive in {}",
                        listen.argument(0),
                        listen.place
                    )
                })?;
                if listen.arguments.iter().any(|word| word == "ssl") {
                    let certificate = certificate(process, &server.block, &http, listen)?;
                    sites.certificates.insert(port, certificate);
                }
                ports.push((port, listen.arguments.iter().any(|word| word == "default_server")));
            }
            if ports.is_empty() {
                ports.push((80, false));
            }
            let names = all(&server.block, "server_name").flat_map(|names| names.arguments.clone()).collect();
            sites.find_upstreams(process, &server.block).await?;
            sites.servers.push(Server { ports, names, block: server.block.clone() });
        }
        Ok(sites)
    }

    /// The addresses of the hosts that a block's locations pass requests to, as they are when nginx starts.
    async fn find_upstreams(&mut self, process: &Process, block: &[Directive]) -> Result<(), String> {
        let mut blocks = vec![block];
        while let Some(block) = blocks.pop() {
            blocks.extend(all(block, "location").map(|location| &*location.block));
            for pass in all(block, "proxy_pass") {
                let Some((host, _)) = target(pass.argument(0)) else {
                    return Err(format!("invalid URL prefix in {}", pass.place));
                };
                if !host.contains('$') && !self.upstreams.contains_key(host) {
                    let servers = resolve(process, host, &pass.place).await?;
                    self.upstreams.insert(host.to_owned(), Upstream { servers, next: Cell::default() });
                }
            }
        }
        Ok(())
    }

    /// What is presented at a port where TLS is spoken.
    pub(super) fn certificate(&self, port: u16) -> Option<Option<Rc<Certificate>>> {
        self.certificates.get(&port).cloned()
    }

    /// Where the master's number is to be written.
    pub(super) fn pid_file(&self) -> String {
        self.pid_file.clone()
    }

    /// The ports to listen on.
    pub(super) fn ports(&self) -> Vec<u16> {
        let mut ports: Vec<u16> = self.servers.iter().flat_map(|server| &server.ports).map(|(port, _)| *port).collect();
        ports.sort_unstable();
        ports.dedup();
        ports
    }

    /// The name of the server that a request is for, as the error log says it.
    pub(super) fn name(&self, port: u16, request: &Request) -> &str {
        self.server(port, request).and_then(|server| server.names.first()).map_or("", String::as_str)
    }

    fn server(&self, port: u16, request: &Request) -> Option<&Server> {
        let host = request.header("Host").unwrap_or_default().split(':').next().unwrap_or_default();
        let here: Vec<&Server> =
            self.servers.iter().filter(|server| server.ports.iter().any(|(known, _)| *known == port)).collect();
        let is_named = |server: &&&Server| server.names.iter().any(|name| names(name, host));
        let is_default = |server: &&&Server| server.ports.contains(&(port, true));
        here.iter().find(is_named).or_else(|| here.iter().find(is_default)).or(here.first()).copied()
    }

    /// Answers a request.
    pub(super) async fn answer(&self, process: &Process, port: u16, request: &Request, client: IpAddr) -> Reply {
        let Some(server) = self.server(port, request) else {
            return Reply { response: error_page(404, &self.software), error: None };
        };
        let uri = request.path().to_owned();
        let mut visit = Visit { process, request, client, port, server, uri, error: None };
        // An error's own page is asked for once.
        let mut failed: Option<u16> = None;
        for _ in 0..TURNS_MAX {
            let location = locate(&server.block, &visit.uri);
            let block = location.map_or(&[] as &[Directive], |location| &*location.block);
            let scopes = [block, &*server.block, &*self.http];
            let outcome = match self.directed(&visit, &server.block).or_else(|| self.directed(&visit, block)) {
                Some(outcome) => outcome,
                None => self.content(&mut visit, location, scopes).await,
            };
            let mut response = match outcome {
                Outcome::Internal(uri) => {
                    visit.uri = uri;
                    continue;
                }
                Outcome::Answer(response) => response,
            };
            let own = response.header("Server") == Some(self.software.as_str());
            if let Some(status) = failed {
                response.status = status;
            } else if response.status >= 400
                && own
                && let Some((uri, status)) = error_uri(scopes, response.status)
            {
                failed = Some(status);
                visit.uri = uri;
                continue;
            }
            self.add_headers(&visit, scopes, &mut response);
            return Reply { response, error: visit.error };
        }
        let error =
            Some(format!("rewrite or internal redirection cycle while internally redirecting to \"{}\"", visit.uri));
        Reply { response: error_page(500, &self.software), error }
    }

    /// What `return` and `rewrite` in a block make of a request.
    fn directed(&self, visit: &Visit<'_>, block: &[Directive]) -> Option<Outcome> {
        for directive in block {
            match directive.name.as_str() {
                "return" => return Some(Outcome::Answer(self.returned(visit, directive))),
                "rewrite" => {
                    let Ok(regex) = grep::regex(directive.argument(0), true, false) else { continue };
                    let Some(found) = regex.captures(&visit.uri) else { continue };
                    let mut to = visit.expand(directive.argument(1));
                    for index in (1..found.len()).rev() {
                        to = to.replace(&format!("${index}"), found.get(index).map_or("", |it| it.as_str()));
                    }
                    let code = match directive.argument(2) {
                        "permanent" => 301,
                        "redirect" => 302,
                        _ if to.contains("://") => 302,
                        _ if to == visit.uri => continue,
                        _ => return Some(Outcome::Internal(to)),
                    };
                    return Some(Outcome::Answer(self.redirect(visit, code, &to)));
                }
                _ => {}
            }
        }
        None
    }

    fn returned(&self, visit: &Visit<'_>, directive: &Directive) -> Response {
        let (code, text) = match directive.argument(0).parse::<u16>() {
            Ok(code) => (code, directive.arguments.get(1).map(|text| visit.expand(text))),
            Err(_) => (302, Some(visit.expand(directive.argument(0)))),
        };
        match text {
            Some(to) if matches!(code, 301 | 302 | 303 | 307 | 308) => self.redirect(visit, code, &to),
            Some(text) => {
                let mut response = Response::new(code, visit.type_of(&self.http), text);
                response.headers.splice(0..0, date_and_server(visit.process.machine.now(), &self.software));
                response
            }
            None => error_page(code, &self.software),
        }
    }

    fn redirect(&self, visit: &Visit<'_>, code: u16, to: &str) -> Response {
        let to = if to.starts_with('/') { visit.expand(&format!("$scheme://$http_host{to}")) } else { to.to_owned() };
        error_page(code, &self.software).with("Location", to)
    }

    /// What a location serves: another server's answer, or files.
    async fn content(&self, visit: &mut Visit<'_>, location: Option<&Directive>, scopes: [&[Directive]; 3]) -> Outcome {
        let block = scopes[0];
        if find(scopes, "deny").is_some_and(|deny| deny.argument(0) == "all") && find(scopes, "allow").is_none() {
            visit.error = Some("access forbidden by rule".into());
            return Outcome::Answer(error_page(403, &self.software));
        }
        if all(block, "stub_status").next().is_some() {
            let text =
                "Active connections: 1 \nserver accepts handled requests\n 1 1 1 \nReading: 0 Writing: 1 Waiting: 0 \n";
            return Outcome::Answer(Response::new(200, "text/plain", text));
        }
        if let Some(pass) = all(block, "proxy_pass").next() {
            return Outcome::Answer(self.pass(visit, pass, location, scopes).await);
        }
        let alias = all(block, "alias").next().map(|alias| alias.argument(0).to_owned());
        let prefix = location.map_or("", |location| location.arguments.last().map_or("", String::as_str));
        let root = match (&alias, find(scopes, "root")) {
            (Some(alias), _) => alias.clone(),
            (None, Some(root)) => visit.expand(root.argument(0)),
            (None, None) => "/etc/nginx/html".into(),
        };
        // Relative to nginx' own folder.
        let root = crate::fs::absolute("/etc/nginx", &root);
        let path_of = |uri: &str| match alias {
            Some(_) => format!("{root}/{}", uri.strip_prefix(prefix).unwrap_or(uri).trim_start_matches('/')),
            None => format!("{root}{uri}"),
        };
        let fs = visit.process.fs().clone();
        let mut uri = visit.uri.clone();
        if let Some(tries) = find(scopes, "try_files")
            && let Some((last, tried)) = tries.arguments.split_last()
        {
            let exists = |uri: &String| match uri.strip_suffix('/') {
                Some(folder) => fs.is_dir(&path_of(folder)),
                None => fs.exists(&path_of(uri)) && !fs.is_dir(&path_of(uri)),
            };
            match (tried.iter().map(|text| visit.expand(text)).find(exists), last.strip_prefix('=')) {
                (Some(found), _) => uri = found,
                (None, Some(code)) => {
                    return Outcome::Answer(error_page(code.parse().unwrap_or(404), &self.software));
                }
                (None, None) => return Outcome::Internal(visit.expand(last)),
            }
        }
        let indexes = find(scopes, "index").map_or_else(|| vec!["index.html".to_owned()], |it| it.arguments.clone());
        let folder = path_of(&uri);
        let index = indexes.iter().find(|name| fs.exists(&format!("{}/{name}", folder.trim_end_matches('/'))));
        if fs.is_dir(&folder) && !uri.ends_with('/') {
            return Outcome::Answer(self.redirect(visit, 301, &format!("{uri}/")));
        }
        let index = index.or(indexes.first()).map_or("index.html", String::as_str);
        let is_alone = fs.is_dir(&folder) && !fs.exists(&format!("{}/{index}", folder.trim_end_matches('/')));
        if is_alone && fs.list(&folder).is_ok_and(|files| !files.is_empty()) {
            visit.error = Some(format!("directory index of \"{folder}\" is forbidden"));
            return Outcome::Answer(error_page(403, &self.software));
        }
        let at = FileRoot { fs: &fs, path: &folder, index, server: &self.software };
        match file_response(&at, visit.request, visit.process.machine.now()) {
            Ok(response) => Outcome::Answer(response),
            Err(missing) => {
                visit.error = Some(format!("open() \"{missing}\" failed (2: No such file or directory)"));
                Outcome::Answer(error_page(404, &self.software))
            }
        }
    }

    /// Passes a request on, and the answer back.
    async fn pass(
        &self,
        visit: &mut Visit<'_>,
        pass: &Directive,
        location: Option<&Directive>,
        scopes: [&[Directive]; 3],
    ) -> Response {
        let url = visit.expand(pass.argument(0));
        let (host, path) = target(&url).unwrap_or_default();
        let prefix = location.map_or("", |location| location.arguments.last().map_or("", String::as_str));
        let query = visit.request.target.split_once('?').map_or(String::new(), |(_, query)| format!("?{query}"));
        let uri = match path {
            "" => visit.uri.clone(),
            path => format!("{path}{}", visit.uri.strip_prefix(prefix).unwrap_or(&visit.uri)),
        };
        let mut headers = vec![("Host".to_owned(), host.to_owned()), ("Connection".into(), "close".into())];
        let set: Vec<&Directive> = scopes
            .iter()
            .find_map(|scope| {
                let set: Vec<&Directive> = all(scope, "proxy_set_header").collect();
                (!set.is_empty()).then_some(set)
            })
            .unwrap_or_default();
        for header in set {
            headers.retain(|(name, _)| !name.eq_ignore_ascii_case(header.argument(0)));
            headers.push((header.argument(0).to_owned(), visit.expand(header.argument(1))));
        }
        let given = visit.request.headers.iter().filter(|(name, _)| {
            !["connection", "keep-alive", "host"].contains(&name.to_ascii_lowercase().as_str())
                && !headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name))
        });
        let given: Vec<_> = given.cloned().collect();
        headers.retain(|(_, value)| !value.is_empty());
        headers.extend(given);
        let request = Request {
            method: visit.request.method.clone(),
            target: format!("{uri}{query}"),
            headers,
            body: visit.request.body.clone(),
        };
        let next = self.upstreams.get(host).and_then(|upstream| {
            let turn = upstream.next.replace(upstream.next.get().wrapping_add(1));
            upstream.servers.get(turn % upstream.servers.len().max(1))
        });
        let Some((address, port)) = next.copied() else {
            visit.error = Some(format!("no resolver defined to resolve {host}"));
            return error_page(502, &self.software);
        };
        let failed = |why: String, status: u16| {
            let upstream = format!("http://{address}:{port}{uri}");
            (format!("{why}, upstream: \"{upstream}\""), error_page(status, &self.software))
        };
        let outcome = match visit.process.machine.interface().dial(address, port).await {
            Err(ConnectError::TimedOut) => {
                Err(failed("upstream timed out (110: Connection timed out) while connecting to upstream".into(), 504))
            }
            Err(ConnectError::Unreachable) => {
                Err(failed("connect() failed (113: No route to host) while connecting to upstream".into(), 502))
            }
            Err(_) => {
                Err(failed("connect() failed (111: Connection refused) while connecting to upstream".into(), 502))
            }
            Ok(stream) => http::fetch(&stream, &request).await.map_err(|_| {
                failed("upstream prematurely closed connection while reading response header from upstream".into(), 502)
            }),
        };
        match outcome {
            Ok(mut response) => {
                response.headers.retain(|(name, _)| {
                    !["server", "date", "connection", "transfer-encoding"].contains(&name.to_ascii_lowercase().as_str())
                });
                response.headers.splice(0..0, date_and_server(visit.process.machine.now(), &self.software));
                response
            }
            Err((error, response)) => {
                visit.error = Some(error);
                response
            }
        }
    }

    fn add_headers(&self, visit: &Visit<'_>, scopes: [&[Directive]; 3], response: &mut Response) {
        let fine = matches!(response.status, 200 | 201 | 204 | 206 | 301..=304 | 307 | 308);
        let scope = scopes.into_iter().find(|scope| all(scope, "add_header").next().is_some()).unwrap_or_default();
        for header in all(scope, "add_header").filter(|header| fine || header.argument(2) == "always") {
            let value = visit.expand(header.argument(1));
            response.headers.push((header.argument(0).to_owned(), value));
        }
    }
}

impl Visit<'_> {
    /// A text with the values of its variables.
    fn expand(&self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            out.push_str(before);
            let braced = after.strip_prefix('{').and_then(|inner| inner.split_once('}'));
            let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
            let (name, left) = braced.unwrap_or_else(|| after.split_at(end));
            match self.variable(name) {
                Some(value) => out.push_str(&value),
                None => out.push_str(&format!("${name}")),
            }
            rest = left;
        }
        out + rest
    }

    fn variable(&self, name: &str) -> Option<String> {
        let request = self.request;
        let set = || {
            let mut set = all(&self.server.block, "set");
            set.find(|set| set.argument(0).strip_prefix('$') == Some(name)).map(|set| set.argument(1).to_owned())
        };
        Some(match name {
            "host" => {
                let host = request.header("Host").unwrap_or_default();
                host.split(':').next().unwrap_or_default().to_owned()
            }
            "proxy_host" | "http_host" => request.header("Host").unwrap_or_default().to_owned(),
            "hostname" => self.process.machine.hostname().to_owned(),
            "uri" | "document_uri" => self.uri.clone(),
            "request_uri" => request.target.clone(),
            "args" | "query_string" => request.target.split_once('?').map_or("", |(_, query)| query).to_owned(),
            "is_args" => if request.target.contains('?') { "?" } else { "" }.to_owned(),
            "request_method" => request.method.clone(),
            "request" => format!("{} {} HTTP/1.1", request.method, request.target),
            "remote_addr" => self.client.to_string(),
            "proxy_add_x_forwarded_for" => match request.header("X-Forwarded-For") {
                Some(before) => format!("{before}, {}", self.client),
                None => self.client.to_string(),
            },
            "server_addr" => self.process.machine.interface().address().to_string(),
            "server_port" => self.port.to_string(),
            "server_name" => self.server.names.first().cloned().unwrap_or_default(),
            "server_protocol" => "HTTP/1.1".into(),
            "scheme" => "http".into(),
            "nginx_version" => self.process.var("NGINX_VERSION").to_owned(),
            "time_iso8601" => super::super::stamp(self.process.machine.now(), "%Y-%m-%dT%H:%M:%S+00:00"),
            "time_local" => super::super::stamp(self.process.machine.now(), "%d/%b/%Y:%H:%M:%S +0000"),
            _ => match name.strip_prefix("http_") {
                Some(header) => request.header(&header.replace('_', "-")).unwrap_or_default().to_owned(),
                None => return set(),
            },
        })
    }

    /// The content type of what is returned: by the name that was asked for, or as the configuration says.
    fn type_of(&self, http: &[Directive]) -> &'static str {
        let block = locate(&self.server.block, &self.uri).map_or(&[] as &[Directive], |location| &*location.block);
        match content_type(&self.uri) {
            UNKNOWN_TYPE => match find([block, &self.server.block, http], "default_type").map(|it| it.argument(0)) {
                Some("text/plain") => "text/plain",
                Some("text/html") => "text/html",
                Some("application/json") => "application/json",
                None => "text/plain",
                _ => UNKNOWN_TYPE,
            },
            known => known,
        }
    }
}

/// The innermost directive of a name.
fn find<'a>(scopes: [&'a [Directive]; 3], name: &'a str) -> Option<&'a Directive> {
    scopes.into_iter().find_map(|scope| all(scope, name).next())
}

/// The location of a request: an equal name, else the longest beginning, unless an expression matches.
fn locate<'a>(block: &'a [Directive], uri: &str) -> Option<&'a Directive> {
    let mut longest: Option<(&Directive, bool, usize)> = None;
    let locations = || all(block, "location");
    for location in locations() {
        let (kind, name) = match location.arguments.as_slice() {
            [name] => ("", name),
            [kind, name] => (kind.as_str(), name),
            _ => continue,
        };
        match kind {
            "=" if uri == name => return Some(location),
            "" if name.starts_with('@') && uri == name => return Some(location),
            "" | "^~" if uri.starts_with(name.as_str()) && longest.is_none_or(|(.., length)| name.len() >= length) => {
                longest = Some((location, kind == "^~", name.len()));
            }
            _ => {}
        }
    }
    if let Some((location, true, _)) = longest {
        return Some(location);
    }
    let matches = |location: &&Directive| match location.arguments.as_slice() {
        [kind, pattern] if kind.starts_with('~') => {
            grep::regex(pattern, true, kind == "~*").is_ok_and(|regex: Regex| regex.is_match(uri))
        }
        _ => false,
    };
    locations().find(matches).or(longest.map(|(location, ..)| location))
}

/// Where the page of an error is, and the status it is answered with.
fn error_uri(scopes: [&[Directive]; 3], status: u16) -> Option<(String, u16)> {
    let scope = scopes.into_iter().find(|scope| all(scope, "error_page").next().is_some())?;
    let of_status = |page: &&Directive| page.arguments.iter().any(|code| code.parse() == Ok(status));
    let page = all(scope, "error_page").find(of_status)?;
    let other = page.arguments.iter().find_map(|word| word.strip_prefix('=')?.parse().ok());
    Some((page.arguments.last()?.clone(), other.unwrap_or(status)))
}

/// Whether a `server_name` is a host's.
fn names(name: &str, host: &str) -> bool {
    match (name.strip_prefix('*'), name.strip_suffix('*'), name.strip_prefix('~')) {
        (Some(end), ..) => host.ends_with(end),
        (_, Some(begin), _) => host.starts_with(begin),
        (.., Some(pattern)) => grep::regex(pattern, true, true).is_ok_and(|regex| regex.is_match(host)),
        _ => name.eq_ignore_ascii_case(host),
    }
}

/// The host with its port, and the path, of an `http` address.
fn target(url: &str) -> Option<(&str, &str)> {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"))?;
    Some(rest.split_at(rest.find('/').unwrap_or(rest.len())))
}

/// The addresses of a host, with its port.
async fn resolve(process: &Process, host: &str, place: &str) -> Result<Vec<(IpAddr, u16)>, String> {
    let (name, port) = host.rsplit_once(':').unwrap_or((host, "80"));
    let port = port.parse().map_err(|_| format!("invalid port in upstream \"{host}\" in {place}"))?;
    let found = process.machine.interface().resolve(name).await;
    let found = found.map_err(|_| format!("host not found in upstream \"{host}\" in {place}"))?;
    Ok(found.into_iter().map(|address| (address, port)).collect())
}
