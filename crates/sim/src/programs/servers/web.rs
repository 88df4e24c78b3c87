//! httpd, and what web servers share.

use machinery::Timestamp;

use super::{Stops, bind, content_type, serve, stamp};
use crate::errno::Errno;
use crate::fs::{Fs, Kind};
use crate::network::TcpListener;
use crate::network::http::{Request, Response};
use crate::process::{Process, Signal};

const HTTPD_STOPS: Stops = &[(Signal::Term, 0), (Signal::Int, 0), (Signal::Winch, 0)];
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
            let path = format!("/usr/local/apache2/htdocs{}", crate::fs::absolute("/", request.path()));
            let at = FileRoot { fs: &fs, path: &path, index: "index.html", server: &server };
            let response = file_response(&at, &request, now);
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

/// A path on disk that is asked for.
pub(super) struct FileRoot<'a> {
    pub(super) fs: &'a Fs,
    pub(super) path: &'a str,
    /// The file that a folder shows.
    pub(super) index: &'a str,
    /// The `Server` header.
    pub(super) server: &'a str,
}

/// A file, with the headers a web server adds; the path that is missing if it is.
pub(super) fn file_response(at: &FileRoot<'_>, request: &Request, now: Timestamp) -> Result<Response, String> {
    let FileRoot { fs, path, index, server } = *at;
    if !matches!(request.method.as_str(), "GET" | "HEAD") {
        return Ok(error_page(405, server));
    }
    let mut path = path.to_owned();
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

pub(super) fn date_and_server(now: Timestamp, server: &str) -> Vec<(String, String)> {
    vec![("Server".into(), server.into()), ("Date".into(), http_date(now))]
}

fn http_date(time: Timestamp) -> String {
    stamp(time, "%a, %d %b %Y %H:%M:%S GMT")
}

pub(super) fn error_page(status: u16, server: &str) -> Response {
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
pub(super) fn combined(request: &Request, response: &Response, client: &str, now: Timestamp) -> String {
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

/// `apache2-foreground` of PHP's images, on port 80; the exit code where another has it.
pub(super) async fn apache(process: &Process) -> Result<TcpListener, i32> {
    let Ok(listener) = bind(process, 80) else {
        let text = "(98)Address already in use: AH00072: make_sock: could not bind to address 0.0.0.0:80";
        return Err(process.fail(1, text).await);
    };
    process.eprint("AH00094: Command line: 'apache2 -D FOREGROUND'\n").await;
    Ok(listener)
}
