//! agnhost's subcommands that speak with the API server by their service account: `inclusterclient`, `nettest`.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::channel::oneshot;
use futures::future::{Either, select};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::super::{GO, bind, serve, stamp, until_stopped};
use super::{PLAIN, exchange, logged, number, port, taken, text};
use crate::network::http::{Request, Response};
use crate::process::Process;

const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// The API server's place and the token for it, as `rest.InClusterConfig` finds them.
fn config(process: &Process) -> Result<(String, u16, String), String> {
    let (host, port) = (process.var("KUBERNETES_SERVICE_HOST"), process.var("KUBERNETES_SERVICE_PORT"));
    let (false, Ok(port)) = (host.is_empty(), port.parse()) else {
        return Err(
            "unable to load in-cluster configuration, KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT must \
                    be defined"
                .into(),
        );
    };
    let path = format!("{ACCOUNT}/token");
    let token = process.fs().read_text(&path).map_err(|_| format!("open {path}: no such file or directory"))?;
    Ok((host.to_owned(), port, token))
}

/// What the API server answers to a GET.
async fn ask(process: &Process, target: &str) -> Result<Response, String> {
    let (host, port, token) = config(process)?;
    let mut request = Request::new("GET", target, &host);
    request.headers.push(("Authorization".into(), format!("Bearer {token}")));
    exchange(process, &host, port, &request).await
}

/// `inclusterclient`: asks the API server time and again whether it is well, and tells tokens apart by a hash.
pub(super) async fn poll(process: Process) -> i32 {
    process.eprint(klog(&process, 'I', 61, "started")).await;
    if let Err(why) = config(&process) {
        process.eprint(logged(&process.machine, &format!("err: {why}"))).await;
        return 1;
    }
    until_stopped(&process, GO, ask_for_ever(&process)).await
}

/// A line of klog's.
fn klog(process: &Process, level: char, line: u32, text: &str) -> String {
    let time = stamp(process.machine.now(), "%m%d %H:%M:%S.%6f");
    format!("{level}{time} {:>7} main.go:{line}] {text}\n", process.pid)
}

async fn ask_for_ever(process: &Process) -> i32 {
    let interval = Duration::from_secs(number(process, "--poll-interval", 30).max(1));
    loop {
        process.sleep(interval).await;
        process.eprint(klog(process, 'I', 79, "calling /healthz")).await;
        let token = config(process).map(|(.., token)| token).unwrap_or_default();
        let hash = URL_SAFE_NO_PAD.encode(Sha256::digest(format!("salt|Bearer {token}")));
        process.eprint(klog(process, 'I', 98, &format!("authz_header={hash}"))).await;
        let failed = match ask(process, "/healthz").await {
            Ok(response) if response.status == 200 => continue,
            Ok(response) => String::from_utf8_lossy(&response.body).into_owned(),
            Err(why) => why,
        };
        process.eprint(klog(process, 'E', 82, "status=failed")).await;
        process.eprint(klog(process, 'E', 83, &format!("error checking /healthz: {failed}"))).await;
    }
}

/// What `nettest` has seen so far.
#[derive(Default)]
struct State {
    sent: BTreeMap<String, u64>,
    received: BTreeMap<String, u64>,
    log: Vec<String>,
    errors: Vec<String>,
    done: bool,
}

/// `nettest`: says hello to every pod of a Service, and passes once it has heard from enough of them.
pub(super) async fn nettest(process: Process) -> i32 {
    let port = port(&process, "--port", 8080);
    let peers = usize::try_from(number(&process, "--peers", 8)).unwrap_or(usize::MAX);
    let Ok(listener) = bind(&process, port) else { return taken(&process, port).await };
    let state = Rc::new(RefCell::new(State::default()));
    let process = Rc::new(process);
    let (quit, ended) = oneshot::channel::<()>();
    let quit = Rc::new(RefCell::new(Some(quit)));
    let (own, seen) = (process.clone(), state.clone());
    let serving = serve(&process, listener, GO, move |request, _| {
        let hostname = own.machine.hostname();
        let mut state = seen.borrow_mut();
        let response = match request.path() {
            "/quit" => {
                quit.borrow_mut().take();
                Response::text("")
            }
            "/read" => {
                let text = json!({
                    "Hostname": hostname, "Sent": state.sent, "Received": state.received, "Errors": state.errors,
                    "Log": state.log, "StillContactingPeers": !state.done,
                });
                Response::text(format!("{text:#}"))
            }
            "/write" => {
                let post: Value = serde_json::from_slice(&request.body).unwrap_or_default();
                match post["Source"].as_str().filter(|source| !source.is_empty()) {
                    Some(source) => *state.received.entry(source.to_owned()).or_default() += 1,
                    None => state.errors.push(format!("{hostname}: Got request with no source")),
                }
                Response::text(json!({ "Hostname": hostname }).to_string())
            }
            "/status" => Response::text(match (state.sent.len().min(state.received.len()) >= peers, state.done) {
                (true, _) => "pass",
                (false, false) => "running",
                (false, true) => "fail",
            }),
            _ => Response::new(404, PLAIN, "404 page not found\n"),
        };
        Box::pin(async move { response })
    });
    let contacting = async {
        contact(&process, &state, peers).await;
        state.borrow_mut().done = true;
        std::future::pending::<()>().await;
    };
    let working = select(Box::pin(serving), Box::pin(contacting));
    match select(working, ended).await {
        Either::Left((Either::Left((code, _)), _)) => code,
        _ => 0,
    }
}

/// Finds the pods of the Service and posts to each, fifteen times: some may come later.
async fn contact(process: &Process, state: &RefCell<State>, peers: usize) {
    const ROUNDS: u32 = 15;
    const PAUSE: Duration = Duration::from_secs(5);
    const WAITS: u32 = 60;
    let service = text(process, "--service").unwrap_or_else(|| "nettest".into());
    let namespace = text(process, "--namespace").unwrap_or_else(|| "default".into());
    for _ in 0..WAITS {
        let found = endpoints(process, state, &namespace, &service).await;
        if found.len() >= peers {
            break;
        }
        state.borrow_mut().log.push(format!(
            "{namespace}/{service} has {} endpoints, which is less than {peers} as expected. Waiting for all endpoints \
             to come up.",
            found.len()
        ));
        process.sleep(PAUSE).await;
    }
    for _ in 0..ROUNDS {
        for (host, port) in endpoints(process, state, &namespace, &service).await {
            let mut request = Request::new("POST", "/write", &host);
            let source = process.machine.hostname();
            request.body = json!({ "Source": source, "Dest": format!("http://{host}:{port}") }).to_string().into();
            let answer = exchange(process, &host, port, &request).await;
            let mut state = state.borrow_mut();
            state.log.push(format!("Attempting to contact http://{host}:{port}"));
            match answer {
                Ok(response) => {
                    let answer: Value = serde_json::from_slice(&response.body).unwrap_or_default();
                    let name = answer["Hostname"].as_str().unwrap_or_default().to_owned();
                    *state.sent.entry(name).or_default() += 1;
                }
                Err(why) => {
                    state.log.push(format!("Warning: unable to contact the endpoint \"http://{host}:{port}\": {why}"));
                }
            }
        }
        process.sleep(PAUSE).await;
    }
}

/// The addresses and ports of a Service's Endpoints.
async fn endpoints(
    process: &Process,
    state: &RefCell<State>,
    namespace: &str,
    service: &str,
) -> BTreeSet<(String, u16)> {
    let answer = ask(process, &format!("/api/v1/namespaces/{namespace}/endpoints/{service}")).await;
    let object: Value = match answer {
        Ok(response) => serde_json::from_slice(&response.body).unwrap_or_default(),
        Err(why) => {
            let text = format!("Unable to read the endpoints for {namespace}/{service}: {why}.");
            state.borrow_mut().log.push(text);
            return BTreeSet::new();
        }
    };
    let mut found = BTreeSet::new();
    for subset in object["subsets"].as_array().into_iter().flatten() {
        for address in subset["addresses"].as_array().into_iter().flatten() {
            let ports = subset["ports"].as_array().into_iter().flatten();
            let ports = ports.filter_map(|port| u16::try_from(port["port"].as_u64()?).ok());
            let host = address["ip"].as_str().unwrap_or_default();
            found.extend(ports.map(|port| (host.to_owned(), port)));
        }
    }
    found
}
