//! nginx and httpd.

use std::rc::Rc;

use machinery::Timestamp;

use super::{GRACEFUL, Stops, bind, content_type, serve, stamp};
use crate::errno::Errno;
use crate::fs::{Fs, Kind};
use crate::network::http::{Request, Response};
use crate::process::{Process, Signal};

const HTTPD_STOPS: Stops = &[(Signal::Term, 0), (Signal::Int, 0), (Signal::Winch, 0)];
/// The first minor version of nginx 1 whose image has an entrypoint script that says what it does.
const ENTRYPOINT_SINCE_MINOR: u32 = 19;

/// `/docker-entrypoint.sh` of nginx' image: what it says, then nginx in its place.
pub(super) async fn nginx_entrypoint(mut process: Process) -> i32 {
    let command = process.operands().to_vec();
    if command.first().is_none_or(|name| name != "nginx" && name != "nginx-debug") {
        return super::super::exec(process, command).await;
    }
    let minor = process.var("NGINX_VERSION").split('.').nth(1).and_then(|minor| minor.parse::<u32>().ok());
    if minor.is_none_or(|minor| minor >= ENTRYPOINT_SINCE_MINOR) {
        let script = "/docker-entrypoint.sh";
        let listen = "10-listen-on-ipv6-by-default.sh";
        process
            .print(format!(
                "{script}: /docker-entrypoint.d/ is not empty, will attempt to perform configuration\n\
                 {script}: Looking for shell scripts in /docker-entrypoint.d/\n\
                 {script}: Launching /docker-entrypoint.d/{listen}\n\
                 {listen}: info: Getting the checksum of /etc/nginx/conf.d/default.conf\n\
                 {listen}: info: Enabled listen on IPv6 in /etc/nginx/conf.d/default.conf\n\
                 {script}: Sourcing /docker-entrypoint.d/15-local-resolvers.envsh\n\
                 {script}: Launching /docker-entrypoint.d/20-envsubst-on-templates.sh\n\
                 {script}: Launching /docker-entrypoint.d/30-tune-worker-processes.sh\n\
                 {script}: Configuration complete; ready for start up\n"
            ))
            .await;
    }
    process.machine.set_args(process.pid, &command);
    process.args = command;
    nginx(process).await
}

/// nginx: serves the files of its servers, and `-s`, `-t`, `-v`.
pub(super) async fn nginx(process: Process) -> i32 {
    let version = match process.var("NGINX_VERSION") {
        "" => "1.29.1".to_owned(),
        version => version.to_owned(),
    };
    let operands: Vec<&str> = process.operands().iter().map(String::as_str).collect();
    match operands.as_slice() {
        ["-v"] | ["-V"] => {
            process.eprint(format!("nginx version: nginx/{version}\n")).await;
            return 0;
        }
        ["-t"] => {
            let conf = "/etc/nginx/nginx.conf";
            let text = format!(
                "nginx: the configuration file {conf} syntax is ok\nnginx: configuration file {conf} test is successful\n"
            );
            process.eprint(text).await;
            return 0;
        }
        ["-s", signal] => return send(&process, signal).await,
        _ => {}
    }
    let sites = Rc::new(sites(process.fs()));
    let mut listeners = Vec::new();
    for port in sites.iter().map(|site| site.port) {
        match bind(&process, port) {
            Ok(listener) => listeners.push(listener),
            Err(error) => {
                let time = stamp(process.machine.now(), "%Y/%m/%d %H:%M:%S");
                let what = format!("[emerg] {0}#{0}: bind() to 0.0.0.0:{port} failed (98: {error})", process.pid);
                process.eprint(format!("{time} {what}\nnginx: {what}\n")).await;
                return 1;
            }
        }
    }
    let notice = |text: &str| {
        let time = stamp(process.machine.now(), "%Y/%m/%d %H:%M:%S");
        format!("{time} [notice] {0}#{0}: {text}\n", process.pid)
    };
    let start = [
        "using the \"epoll\" event method".to_owned(),
        format!("nginx/{version}"),
        "built by gcc 12.2.0 (Debian 12.2.0-14+deb12u1)".to_owned(),
        "OS: Linux 6.8.0".to_owned(),
        "getrlimit(RLIMIT_NOFILE): 1048576:1048576".to_owned(),
        "start worker processes".to_owned(),
        "start worker process 29".to_owned(),
    ];
    // Versions before 1.19 logged at level warn by default.
    let minor = version.split('.').nth(1).and_then(|minor| minor.parse::<u32>().ok());
    if minor.is_none_or(|minor| minor >= ENTRYPOINT_SINCE_MINOR) {
        process.eprint(start.iter().map(|text| notice(text)).collect::<String>()).await;
    }
    let server = format!("nginx/{version}");
    let run = |listener, index: usize| {
        let (sites, fs, server) = (sites.clone(), process.fs().clone(), server.clone());
        let (stdout, stderr, machine) = (process.stdout(), process.stderr(), process.machine.clone());
        serve(&process, listener, GRACEFUL, move |request, stream| {
            let (sites, fs, server) = (sites.clone(), fs.clone(), server.clone());
            let (stdout, stderr, machine) = (stdout.clone(), stderr.clone(), machine.clone());
            Box::pin(async move {
                let root = sites.get(index).map_or("/usr/share/nginx/html", |site| site.root.as_str());
                let now = machine.now();
                let client = stream.info().remote.ip();
                let response = file_response(&fs, root, "index.html", &request, &server, now);
                if let Err(missing) = &response {
                    let line = format!(
                        "{} [error] 29#29: *{} open() \"{missing}\" failed (2: No such file or directory), client: {client}, \
                         server: localhost, request: \"{} {} HTTP/1.1\", host: \"{}\"\n",
                        stamp(now, "%Y/%m/%d %H:%M:%S"),
                        stream.info().connection,
                        request.method,
                        request.target,
                        request.header("Host").unwrap_or_default(),
                    );
                    let _ = stderr.write_all(line.as_bytes()).await;
                }
                let response = response.unwrap_or_else(|_| error_page(404, &server));
                let line = format!("{} \"{}\"\n", combined(&request, &response, &client.to_string(), now), "-");
                let _ = stdout.write_all(line.as_bytes()).await;
                response
            })
        })
    };
    let mut all: Vec<_> =
        listeners.into_iter().enumerate().map(|(index, listener)| Box::pin(run(listener, index))).collect();
    if all.is_empty() {
        return super::until_stopped(&process, GRACEFUL, std::future::pending()).await;
    }
    let (code, ..) = futures::future::select_all(all.drain(..)).await;
    code
}

/// `nginx -s <signal>`: to the master process.
async fn send(process: &Process, signal: &str) -> i32 {
    let signal = match signal {
        "stop" => Signal::Term,
        "quit" => Signal::Quit,
        "reload" => Signal::Hup,
        "reopen" => Signal::Usr1,
        other => {
            process.eprint(format!("nginx: invalid option: \"-s {other}\"\n")).await;
            return 1;
        }
    };
    if signal == Signal::Hup || process.machine.kill(1, signal).is_ok() {
        return 0;
    }
    process.eprint("nginx: [error] open() \"/run/nginx.pid\" failed (2: No such file or directory)\n").await;
    1
}

/// One `server` block.
struct Site {
    port: u16,
    root: String,
}

/// The servers in `/etc/nginx/conf.d`, as far as `listen` and `root` go.
fn sites(fs: &Fs) -> Vec<Site> {
    let mut sites: Vec<Site> = Vec::new();
    for (name, _) in fs.list("/etc/nginx/conf.d").unwrap_or_default() {
        if !name.ends_with(".conf") {
            continue;
        }
        let text = fs.read_text(&format!("/etc/nginx/conf.d/{name}")).unwrap_or_default();
        for block in text.split("server {").chain(text.split("server{").skip(1)).skip(1) {
            let words: Vec<&str> = block.split([';', '{', '}', '\n']).collect();
            let value = |name: &str| {
                words.iter().find_map(|line| line.trim().strip_prefix(name).map(|rest| rest.trim().to_owned()))
            };
            let listen = value("listen ").unwrap_or_else(|| "80".into());
            let port = listen.split_whitespace().next().and_then(|word| word.rsplit(':').next()?.parse().ok());
            let root = value("root ").unwrap_or_else(|| "/usr/share/nginx/html".into());
            if let Some(port) = port.filter(|port| sites.iter().all(|site| site.port != *port)) {
                sites.push(Site { port, root });
            }
        }
    }
    sites
}

/// httpd: serves its document root.
pub(super) async fn httpd(process: Process) -> i32 {
    let version = process.var("HTTPD_VERSION").to_owned();
    let conf = process.fs().read_text("/usr/local/apache2/conf/httpd.conf").unwrap_or_default();
    let port = conf.lines().find_map(|line| line.strip_prefix("Listen ")?.trim().parse().ok()).unwrap_or(80);
    let address = process.machine.interface().address();
    let fqdn = format!(
        "AH00558: httpd: Could not reliably determine the server's fully qualified domain name, using {address}. Set the \
         'ServerName' directive globally to suppress this message\n"
    );
    process.eprint(fqdn.repeat(2)).await;
    let listener = match bind(&process, port) {
        Ok(listener) => listener,
        Err(error) => {
            let text = format!(
                "(98){error}: AH00072: make_sock: could not bind to address 0.0.0.0:{port}\nno listening sockets available, \
                 shutting down\nAH00015: Unable to open logs\n"
            );
            process.eprint(text).await;
            return 1;
        }
    };
    let time = stamp(process.machine.now(), "%a %b %d %H:%M:%S.%6f %Y");
    let log = |module: &str, text: String| format!("[{time}] [{module}:notice] [pid 1:tid 1] {text}\n");
    process
        .eprint(
            log("mpm_event", format!("AH00489: Apache/{version} (Unix) configured -- resuming normal operations"))
                + &log("core", "AH00094: Command line: 'httpd -D FOREGROUND'".into()),
        )
        .await;
    let (fs, stdout, machine) = (process.fs().clone(), process.stdout(), process.machine.clone());
    let server = format!("Apache/{version} (Unix)");
    serve(&process, listener, HTTPD_STOPS, move |request, stream| {
        let (fs, stdout, machine, server) = (fs.clone(), stdout.clone(), machine.clone(), server.clone());
        Box::pin(async move {
            let now = machine.now();
            let response = file_response(&fs, "/usr/local/apache2/htdocs", "index.html", &request, &server, now);
            let response = response.unwrap_or_else(|_| {
                let body = "<!DOCTYPE HTML PUBLIC \"-//IETF//DTD HTML 2.0//EN\">\n<html><head>\n<title>404 Not Found</title>\n\
                            </head><body>\n<h1>Not Found</h1>\n<p>The requested URL was not found on this server.</p>\n\
                            </body></html>\n";
                Response { headers: date_and_server(now, &server), ..Response::new(404, "", body) }
                    .with("Content-Type", "text/html; charset=iso-8859-1")
            });
            let client = stream.info().remote.ip();
            let line = format!(
                "{client} - - [{}] \"{} {} HTTP/1.1\" {} {}\n",
                stamp(now, "%d/%b/%Y:%H:%M:%S +0000"),
                request.method,
                request.target,
                response.status,
                response.body.len()
            );
            let _ = stdout.write_all(line.as_bytes()).await;
            response
        })
    })
    .await
}

/// A file below a root, with the headers a web server adds; the path that is missing if it is.
fn file_response(
    fs: &Fs,
    root: &str,
    index: &str,
    request: &Request,
    server: &str,
    now: Timestamp,
) -> Result<Response, String> {
    if !matches!(request.method.as_str(), "GET" | "HEAD") {
        return Ok(error_page(405, server));
    }
    let inside = crate::fs::absolute("/", request.path());
    let mut path = format!("{}{inside}", root.trim_end_matches('/'));
    if fs.is_dir(&path) {
        path = format!("{}/{index}", path.trim_end_matches('/'));
    }
    let entry = fs.metadata(&path).map_err(|_| path.clone())?;
    if !matches!(entry.kind, Kind::File(_)) {
        return Ok(error_page(403, server));
    }
    let body = entry.content().map_err(|_: Errno| path.clone())?;
    let etag = format!("\"{:x}-{:x}\"", entry.modified.as_second(), body.len());
    let mut headers = date_and_server(now, server);
    headers.push(("Content-Type".into(), content_type(&path).into()));
    headers.push(("Content-Length".into(), body.len().to_string()));
    headers.push(("Last-Modified".into(), http_date(entry.modified)));
    headers.push(("Connection".into(), "keep-alive".into()));
    headers.push(("ETag".into(), etag));
    headers.push(("Accept-Ranges".into(), "bytes".into()));
    Ok(Response { status: 200, headers, body })
}

fn date_and_server(now: Timestamp, server: &str) -> Vec<(String, String)> {
    vec![("Server".into(), server.into()), ("Date".into(), http_date(now))]
}

fn http_date(time: Timestamp) -> String {
    stamp(time, "%a, %d %b %Y %H:%M:%S GMT")
}

fn error_page(status: u16, server: &str) -> Response {
    let mut response = Response::new(status, "text/html", "");
    let title = format!("{status} {}", response.reason());
    response.body = format!(
        "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n\
         <hr><center>{server}</center>\r\n</body>\r\n</html>\r\n"
    )
    .into();
    response.with("Server", server)
}

/// The combined log format.
fn combined(request: &Request, response: &Response, client: &str, now: Timestamp) -> String {
    let header = |name| request.header(name).unwrap_or("-").to_owned();
    format!(
        "{client} - - [{}] \"{} {} HTTP/1.1\" {} {} \"{}\" \"{}\"",
        stamp(now, "%d/%b/%Y:%H:%M:%S +0000"),
        request.method,
        request.target,
        response.status,
        response.body.len(),
        header("Referer"),
        header("User-Agent"),
    )
}
