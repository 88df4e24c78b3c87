//! nginx: its configuration, its servers and locations, and its signals.

mod conf;
mod site;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::LazyLock;

use futures::future::{Either, select};

use self::conf::{Configuration, Directive};
use self::site::Sites;
use super::web::combined;
use super::{GRACEFUL, bind, stamp, until_stopped};
use crate::errno::Errno;
use crate::network::{TcpListener, http};
use crate::process::{Child, Environment, Process, Signal, Spawn};

/// The first minor version of nginx 1 whose image has an entrypoint script that says what it does.
const ENTRYPOINT_SINCE_MINOR: u32 = 19;
/// The user that workers are, in the images.
const WORKER: u32 = 101;
/// Where a master makes its folders for temporary files.
const CACHE: &str = "/var/cache/nginx";

/// `/docker-entrypoint.sh` of nginx' image: what it says, then nginx in its place.
pub(super) async fn entrypoint(mut process: Process) -> i32 {
    let command = process.operands().to_vec();
    if command.first().is_none_or(|name| name != "nginx" && name != "nginx-debug") {
        return crate::programs::exec(process, command).await;
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
    main(process).await
}

/// nginx: serves what its configuration says, and `-s`, `-t`, `-T`, `-v`.
pub(super) async fn main(process: Process) -> i32 {
    // By itself: what gets a server ready is not to take memory as long as it serves.
    let ready = Box::pin(ready(Rc::new(process))).await;
    let (serving, listeners) = match ready {
        Ok(ready) => ready,
        Err(code) => return code,
    };
    let ports = listeners.into_iter().map(|(port, listener)| serving.clone().port(port, listener));
    let ports: Vec<_> = ports.collect();
    let served = Box::pin(async move {
        // Without a server it waits all the same.
        if ports.is_empty() {
            std::future::pending::<()>().await;
        }
        futures::future::join_all(ports).await;
    });
    match select(served, Box::pin(serving.govern())).await {
        Either::Left(_) => 0,
        Either::Right((code, _)) => code,
    }
}

/// What serves, and where clients come in; or the code that it ends with.
async fn ready(process: Rc<Process>) -> Result<(Rc<Serving>, Vec<(u16, TcpListener)>), i32> {
    let version = match process.var("NGINX_VERSION") {
        "" => "1.29.1".to_owned(),
        version => version.to_owned(),
    };
    let operands: Vec<&str> = process.operands().iter().map(String::as_str).collect();
    match operands.as_slice() {
        ["-v"] | ["-V"] => {
            process.eprint(format!("nginx version: nginx/{version}\n")).await;
            return Err(0);
        }
        ["-s", signal] => return Err(send(&process, signal).await),
        _ => {}
    }
    let path =
        operands.iter().position(|word| *word == "-c").and_then(|at| operands.get(at + 1)).unwrap_or(&conf::MAIN);
    let tests = operands.iter().any(|word| matches!(*word, "-t" | "-T"));
    let server = format!("nginx/{version}");
    let sites = match read(&process, path, &server).await {
        Ok((configuration, sites)) => {
            if tests {
                let fine = format!(
                    "nginx: the configuration file {path} syntax is ok\nnginx: configuration file {path} test is successful\n"
                );
                process.eprint(fine).await;
                let files = configuration.files.iter().filter(|_| operands.contains(&"-T"));
                let files = files.map(|(name, text)| format!("# configuration file {name}:\n{text}\n"));
                process.print(files.collect::<String>()).await;
                return Err(0);
            }
            for name in unserved(&configuration.directives) {
                process.eprint(format!("playground: the stand-in for nginx takes no notice of \"{name}\"\n")).await;
            }
            Rc::new(sites)
        }
        Err(error) => {
            let time = stamp(process.machine.now(), "%Y/%m/%d %H:%M:%S");
            let what = format!("[emerg] {0}#{0}: {error}", process.pid);
            let log = if tests { String::new() } else { format!("{time} {what}\n") };
            process.eprint(format!("{log}nginx: [emerg] {error}\n")).await;
            if tests {
                process.eprint(format!("nginx: configuration file {path} test failed\n")).await;
            }
            return Err(1);
        }
    };
    if let Err(what) = folders(&process, &sites) {
        let time = stamp(process.machine.now(), "%Y/%m/%d %H:%M:%S");
        process.eprint(format!("{time} [emerg] {0}#{0}: {what}\nnginx: [emerg] {what}\n", process.pid)).await;
        return Err(1);
    }
    let mut listeners = Vec::new();
    for port in sites.ports() {
        match bind(&process, port) {
            Ok(listener) => {
                let listener = match sites.certificate(port) {
                    Some(certificate) => listener.with_tls(Rc::new(move |_: &str| certificate.clone())),
                    None => listener,
                };
                listeners.push((port, listener));
            }
            Err(error) => {
                let time = stamp(process.machine.now(), "%Y/%m/%d %H:%M:%S");
                let what = format!("bind() to 0.0.0.0:{port} failed (98: {error})");
                process.eprint(format!("{time} [emerg] {0}#{0}: {what}\nnginx: [emerg] {what}\n", process.pid)).await;
                return Err(1);
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
    let master = format!("nginx: master process {}", process.args.join(" "));
    process.machine.set_args(process.pid, &[master]);
    let serving = Serving { sites: RefCell::new(sites), path: (*path).to_owned(), server, process: process.clone() };
    Ok((Rc::new(serving), listeners))
}

/// What keeps serving while the configuration changes.
struct Serving {
    sites: RefCell<Rc<Sites>>,
    path: String,
    server: String,
    process: Rc<Process>,
}

impl Serving {
    fn notice(&self, text: &str) -> String {
        let time = stamp(self.process.machine.now(), "%Y/%m/%d %H:%M:%S");
        format!("{time} [notice] {0}#{0}: {text}\n", self.process.pid)
    }

    /// Serves a port.
    async fn port(self: Rc<Self>, port: u16, listener: TcpListener) {
        http::serve(&listener, |request, stream| {
            let own = self.clone();
            async move {
                let process = &own.process;
                let sites = own.sites.borrow().clone();
                let client = stream.info().remote.ip();
                let reply = sites.answer(process, port, &request, client).await;
                let now = process.machine.now();
                if let Some(error) = reply.error {
                    let line = format!(
                        "{} [error] 29#29: *{} {error}, client: {client}, server: {}, request: \"{} {} HTTP/1.1\", \
                         host: \"{}\"\n",
                        stamp(now, "%Y/%m/%d %H:%M:%S"),
                        stream.info().connection,
                        sites.name(port, &request),
                        request.method,
                        request.target,
                        request.header("Host").unwrap_or_default(),
                    );
                    let _ = process.stderr().write_all(line.as_bytes()).await;
                }
                let line = combined(&request, &reply.response, &client.to_string(), now);
                let _ = process.stdout().write_all(format!("{line} \"-\"\n").as_bytes()).await;
                reply.response
            }
        })
        .await;
    }

    /// The worker process: there, and as long as its master wants.
    fn worker(&self) -> Child {
        let process = &self.process;
        let worker = |process: Process| async move { until_stopped(&process, GRACEFUL, std::future::pending()).await };
        let group = process.machine.processes().into_iter().find(|info| info.pid == process.pid).map(|info| info.group);
        let (uid, gid) = if process.uid == 0 { (WORKER, WORKER) } else { (process.uid, process.gid) };
        process.machine.spawn(Spawn {
            program: Rc::new(worker),
            args: vec!["nginx: worker process".into()],
            env: Environment::default(),
            cwd: process.cwd.clone(),
            uid,
            gid,
            fds: BTreeMap::new(),
            parent: process.pid,
            group,
        })
    }

    /// What the master process does: it keeps a worker, and heeds signals.
    async fn govern(&self) -> i32 {
        let process = &self.process;
        for signal in [Signal::Term, Signal::Int, Signal::Quit, Signal::Hup, Signal::Usr1] {
            process.signals.handle(signal);
        }
        let mut worker = self.worker();
        loop {
            let heard = match select(Box::pin(process.signals.next()), Box::pin(worker.wait())).await {
                Either::Left((signal, _)) => Ok(signal),
                Either::Right((code, _)) => Err(code),
            };
            let signal = match heard {
                Ok(signal) => signal,
                Err(code) => {
                    let how = if code > 128 {
                        format!("exited on signal {}", code - 128)
                    } else {
                        format!("exited with code {code}")
                    };
                    let line = self.notice("signal 17 (SIGCHLD) received")
                        + &self.notice(&format!("worker process {} {how}", worker.pid));
                    process.eprint(line).await;
                    worker = self.worker();
                    continue;
                }
            };
            match signal {
                Signal::Hup => {
                    process
                        .eprint(
                            self.notice("signal 1 (SIGHUP) received, reconfiguring") + &self.notice("reconfiguring"),
                        )
                        .await;
                    match read(process, &self.path, &self.server).await {
                        Ok((_, sites)) => {
                            *self.sites.borrow_mut() = Rc::new(sites);
                            let before = std::mem::replace(&mut worker, self.worker());
                            let _ = process.machine.kill(before.pid, Signal::Quit);
                            let started = format!("start worker process {}", worker.pid);
                            process.eprint(self.notice("start worker processes") + &self.notice(&started)).await;
                        }
                        Err(error) => {
                            let time = stamp(process.machine.now(), "%Y/%m/%d %H:%M:%S");
                            process.eprint(format!("{time} [emerg] {0}#{0}: {error}\n", process.pid)).await;
                        }
                    }
                }
                Signal::Term | Signal::Int | Signal::Quit => {
                    let _ = process.machine.kill(worker.pid, signal);
                    return 0;
                }
                _ => {}
            }
        }
    }
}

/// Reads the configuration and what it serves; the error is what follows `[emerg]` in the log.
async fn read(process: &Process, path: &str, server: &str) -> Result<(Rc<Configuration>, Sites), String> {
    let configuration = Configuration::read(process.fs(), path)?;
    known(&configuration.directives)?;
    let sites = Sites::new(process, &configuration.directives, server).await?;
    Ok((configuration, sites))
}

/// Directives that are served, or change nothing that can be seen here.
const SERVED: &str = "absolute_redirect access_log add_header alias allow client_body_buffer_size client_body_timeout \
    client_header_timeout client_max_body_size charset daemon default_type deny error_log error_page events expires etag \
    gzip gzip_comp_level gzip_disable gzip_http_version gzip_min_length gzip_proxied gzip_static gzip_types gzip_vary http \
    index internal keepalive keepalive_requests keepalive_timeout large_client_header_buffers listen location log_format \
    log_not_found multi_accept open_file_cache pid port_in_redirect proxy_buffer_size proxy_buffering proxy_buffers \
    proxy_busy_buffers_size proxy_connect_timeout proxy_http_version proxy_pass proxy_read_timeout proxy_redirect \
    proxy_request_buffering proxy_send_timeout proxy_set_header recursive_error_pages reset_timedout_connection resolver \
    return rewrite root sendfile server server_name server_name_in_redirect server_names_hash_bucket_size server_tokens set \
    send_timeout stub_status tcp_nodelay tcp_nopush try_files types types_hash_max_size underscores_in_headers upstream use \
    user variables_hash_max_size worker_connections worker_processes worker_rlimit_nofile zone";

/// Other directives of nginx' own modules: they are read, and said in the log to be without effect.
const UNSERVED: &str = "add_before_body auth_basic auth_basic_user_file auth_request autoindex autoindex_exact_size \
    autoindex_localtime break env fastcgi_index fastcgi_param fastcgi_pass geo grpc_pass hash if if_modified_since ip_hash \
    least_conn limit_conn limit_conn_zone limit_except limit_rate limit_req limit_req_status limit_req_zone load_module map \
    map_hash_bucket_size mirror proxy_cache proxy_cache_key proxy_cache_path proxy_cache_valid proxy_hide_header \
    proxy_intercept_errors proxy_next_upstream proxy_pass_header proxy_ssl_server_name proxy_ssl_verify random real_ip_header \
    real_ip_recursive satisfy scgi_pass secure_link set_real_ip_from split_clients ssi ssl ssl_certificate \
    ssl_certificate_key ssl_ciphers ssl_prefer_server_ciphers ssl_protocols ssl_session_cache ssl_session_timeout \
    ssl_session_tickets stream sub_filter sub_filter_once sub_filter_types uwsgi_pass valid_referers http2 merge_slashes \
    chunked_transfer_encoding client_body_temp_path proxy_temp_path fastcgi_temp_path uwsgi_temp_path scgi_temp_path \
    proxy_bind proxy_ignore_headers proxy_method proxy_cookie_path proxy_cookie_domain worker_cpu_affinity \
    worker_shutdown_timeout resolver_timeout keepalive_time lingering_close output_buffers post_action aio directio js_import";

/// Words of a list, to be looked up: every nginx that starts looks up all it reads.
type Words = LazyLock<BTreeSet<&'static str>>;

static SERVED_WORDS: Words = LazyLock::new(|| SERVED.split_whitespace().collect());
static UNSERVED_WORDS: Words = LazyLock::new(|| UNSERVED.split_whitespace().collect());

/// Blocks whose lines are no directives but rows.
const ROWS: [&str; 4] = ["map", "geo", "split_clients", "types"];

fn known(block: &[Directive]) -> Result<(), String> {
    for directive in block {
        let name = directive.name.as_str();
        if !SERVED_WORDS.contains(name) && !UNSERVED_WORDS.contains(name) {
            return Err(format!("unknown directive \"{}\" in {}", directive.name, directive.place));
        }
        if !ROWS.contains(&directive.name.as_str()) {
            known(&directive.block)?;
        }
    }
    Ok(())
}

/// The names of directives that have no effect here.
fn unserved(block: &[Directive]) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    for directive in block {
        if UNSERVED_WORDS.contains(directive.name.as_str()) {
            names.insert(directive.name.as_str());
        } else if !ROWS.contains(&directive.name.as_str()) {
            names.extend(unserved(&directive.block));
        }
    }
    names
}

/// Whether the master can make what it makes when it starts; what it says where it cannot.
fn folders(process: &Process, sites: &Sites) -> Result<(), String> {
    let (cache, pid) = (process.fs().writable(CACHE), sites.pid_file());
    let number = |error: Errno| match error {
        Errno::ReadOnly => 30,
        Errno::NotFound => 2,
        _ => 13,
    };
    // Images that are made for other users keep all of that below /tmp.
    if pid.starts_with("/tmp/") {
        return Ok(());
    }
    cache.map_err(|error| format!("mkdir() \"{CACHE}/client_temp\" failed ({}: {error})", number(error)))?;
    let made = process.fs().writable(crate::fs::parent(&pid));
    made.map_err(|error| format!("open() \"{pid}\" failed ({}: {error})", number(error)))
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
    let is_master =
        |info: &crate::process::ProcessInfo| info.args.first().is_some_and(|name| name.starts_with("nginx: master"));
    let master = process.machine.processes().into_iter().find(is_master);
    if master.is_some_and(|master| process.machine.kill(master.pid, signal).is_ok()) {
        return 0;
    }
    process.eprint("nginx: [error] open() \"/run/nginx.pid\" failed (2: No such file or directory)\n").await;
    1
}
