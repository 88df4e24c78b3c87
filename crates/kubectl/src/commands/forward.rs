//! `kubectl port-forward`.

use futures::stream::{FuturesUnordered, StreamExt};
use futures::{SinkExt, future};
use machinery::wire::{Channels, Frame};
use serde_json::Value;

use super::exec::{the_pod, upgrade};
use super::logs::{attachable_within, pods};
use crate::api::Url;
use crate::args::Invocation;
use crate::error::Error;
use crate::host::{Connection, Listener};
use crate::resources::{items, text};
use crate::select::{self, Choice};
use crate::session::Session;

/// `kubectl port-forward`
pub(super) async fn port_forward(session: &Session<'_>) -> Result<(), Error> {
    let args = &session.args;
    let Some((target, specs)) = args.args.split_first().filter(|(_, specs)| !specs.is_empty()) else {
        return Err(args.usage_error("TYPE/NAME and list of ports are required for port-forward"));
    };
    let (pod, service) = target_pod(session, target).await?;
    let specs = specs.iter().map(|spec| translated(&pod, service.as_ref(), spec)).collect::<Result<Vec<_>, _>>()?;
    if pod["status"]["phase"] != "Running" {
        return Err(Error::message(format!(
            "unable to forward port because pod is not running. Current status={}",
            text(&pod["status"]["phase"])
        )));
    }
    let addresses = addresses(args)?;
    let ports = specs.iter().map(|spec| parsed(spec)).collect::<Result<Vec<_>, _>>()?;
    let mut listeners = Vec::new();
    let mut refused = Vec::new();
    for (mut local, remote) in ports {
        let mut failures = Vec::new();
        let before = listeners.len();
        for (address, shown, is_optional) in &addresses {
            match session.host.listen(address, local).await {
                Ok(listener) => {
                    local = listener.port;
                    session.outln(format!("Forwarding from {shown}:{local} -> {remote}"));
                    listeners.push((listener, remote));
                }
                Err(_) if *is_optional && listeners.len() > before => {}
                Err(error) => failures.push(error),
            }
        }
        if listeners.len() == before && !failures.is_empty() {
            let failures = failures.join(" ");
            session.errln(format!(
                "Unable to listen on port {local}: Listeners failed to create with the following errors: [{failures}]"
            ));
            refused.push(format!("{{{local} {remote}}}"));
        }
    }
    if listeners.is_empty() {
        let all = refused.join(" ");
        return Err(Error::message(format!("unable to listen on any of the requested ports: [{all}]")));
    }
    let mut running: FuturesUnordered<_> =
        listeners.into_iter().map(|(listener, remote)| serve(session, &pod, listener, remote)).collect();
    while running.next().await.is_some() {}
    Ok(())
}

/// `(address, as it is shown, whether it may fail)` of what `--address` lists; `localhost` is both of its own.
fn addresses(args: &Invocation) -> Result<Vec<(String, String, bool)>, Error> {
    let mut addresses = Vec::new();
    let list = args.list("address");
    if list.is_empty() && args.changed("address") {
        return Err(Error::message("you must specify at least 1 address"));
    }
    let localhost = ["localhost".to_owned()];
    for address in if list.is_empty() { &localhost[..] } else { list } {
        if address == "localhost" {
            addresses.push(("127.0.0.1".into(), "127.0.0.1".into(), false));
            addresses.push(("::1".into(), "[::1]".into(), true));
            continue;
        }
        let shown = match address.parse() {
            Ok(std::net::IpAddr::V4(_)) => address.clone(),
            Ok(std::net::IpAddr::V6(_)) => format!("[{address}]"),
            Err(_) => return Err(Error::message(format!("{address} is not a valid IP"))),
        };
        addresses.push((address.clone(), shown, false));
    }
    Ok(addresses)
}

/// The pod that a target means, and the Service if it was named.
async fn target_pod(session: &Session<'_>, target: &String) -> Result<(Value, Option<Value>), Error> {
    if !target.contains('/') {
        return Ok((the_pod(session, std::slice::from_ref(target)).await?, None));
    }
    let choice = Choice { args: std::slice::from_ref(target), latest: true, ..Choice::default() };
    let (infos, errors) = select::infos(session, &choice).await?;
    Error::all(errors)?;
    let info = infos.into_iter().next().ok_or_else(select::missing)?;
    if info.resource.kind == "Pod" {
        return Ok((info.object, None));
    }
    let pod = attachable_within(session, &info).await?.into_iter().next();
    let pod = pod.ok_or_else(|| Error::message("timed out waiting for the condition"))?;
    Ok((pod, (info.resource.kind == "Service").then_some(info.object)))
}

/// A Service's port by name or number: its number, and its target.
fn port_of(service: &Value, wanted: &str) -> (Option<u16>, Value) {
    let found = items(&service["spec"]["ports"])
        .find(|port| port["name"] == wanted || wanted.parse::<u64>().is_ok_and(|wanted| port["port"] == wanted));
    let number = found.and_then(|port| port["port"].as_u64()).and_then(|port| port.try_into().ok());
    (number, found.map(|port| port["targetPort"].clone()).unwrap_or_default())
}

/// `LOCAL:REMOTE` with the numbers of ports that are named, and of the target of a Service's port.
fn translated(pod: &Value, service: Option<&Value>, spec: &str) -> Result<String, Error> {
    let parts: Vec<&str> = spec.split(':').collect();
    let first = parts.first().copied().unwrap_or_default();
    let (mut local, mut remote) = match parts.as_slice() {
        [local, remote] => ((*local).to_owned(), (*remote).to_owned()),
        _ => (first.to_owned(), first.to_owned()),
    };
    if remote.is_empty() {
        return Err(Error::message("remote port cannot be empty"));
    }
    let same = local == remote;
    if let Some(service) = service {
        let (number, target) = port_of(service, &remote);
        let Some(number) = number else {
            let name = text(&service["metadata"]["name"]);
            return Err(Error::message(match remote.parse::<i64>() {
                Ok(_) => format!("Service {name} does not have a service port {remote}"),
                Err(_) => format!("Service '{name}' does not have a named port '{remote}'"),
            }));
        };
        if same {
            local = number.to_string();
        }
        remote = target.as_str().map_or_else(|| target.to_string(), str::to_owned);
    }
    if remote.parse::<i64>().is_err() {
        let named = items(&pod["spec"]["containers"])
            .flat_map(|container| items(&container["ports"]))
            .find(|port| port["name"] == remote.as_str());
        let Some(named) = named else {
            let name = text(&pod["metadata"]["name"]);
            return Err(Error::message(format!("Pod '{name}' does not have a named port '{remote}'")));
        };
        remote = named["containerPort"].to_string();
        if same && service.is_none() {
            local.clone_from(&remote);
        }
    }
    Ok(format!("{local}:{remote}"))
}

/// The two ports of `LOCAL:REMOTE`; no local one is any that is free.
fn parsed(spec: &str) -> Result<(u16, u16), Error> {
    let (local, remote) = spec.split_once(':').unwrap_or((spec, spec));
    let number = |side: &str, text: &str| {
        text.parse::<u16>().map_err(|_| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let problem = if digits { "value out of range" } else { "invalid syntax" };
            Error::message(format!(
                "error parsing {side} port '{text}': strconv.ParseUint: parsing {text:?}: {problem}"
            ))
        })
    };
    let local = number("local", if local.is_empty() { "0" } else { local })?;
    match number("remote", remote)? {
        0 => Err(Error::message("remote port must be > 0")),
        remote => Ok((local, remote)),
    }
}

async fn serve(session: &Session<'_>, pod: &Value, mut listener: Listener, remote: u16) {
    let mut open = FuturesUnordered::new();
    loop {
        let next = future::select(listener.connections.next(), open.next()).await;
        match next {
            future::Either::Left((Some(connection), _)) => {
                session.outln(format!("Handling connection for {}", listener.port));
                open.push(carry(session, pod, connection, remote));
            }
            future::Either::Left((None, _)) => break,
            future::Either::Right((Some(()), _)) => {}
            // Nothing is open: only the listener can bring something.
            future::Either::Right((None, waiting)) => match waiting.await {
                Some(connection) => {
                    session.outln(format!("Handling connection for {}", listener.port));
                    open.push(carry(session, pod, connection, remote));
                }
                None => break,
            },
        }
    }
}

/// Carries one connection's bytes both ways.
async fn carry(session: &Session<'_>, pod: &Value, connection: Connection, remote: u16) {
    let (namespace, name) = (text(&pod["metadata"]["namespace"]), text(&pod["metadata"]["name"]));
    let url = Url::new(format!("{}/portforward", pods().path(&namespace, &name))).with("ports", remote.to_string());
    let upstream = match upgrade(session, url, "v2.portforward.k8s.io").await {
        Ok(upstream) => upstream,
        Err(error) => {
            session.errln(format!("error: error upgrading connection: {}", error.plain()));
            return;
        }
    };
    let Channels { sender: mut to_pod, receiver: from_pod } = upstream;
    let Channels { sender: mut to_client, receiver: mut from_client } = connection.channels;
    let up = async {
        while let Some(frame) = from_client.next().await {
            let ended = frame.data.is_none();
            if to_pod.send(Frame { channel: 0, data: frame.data }).await.is_err() || ended {
                break;
            }
        }
        future::pending::<()>().await;
    };
    let down = async {
        let mut from_pod = from_pod;
        while let Some(frame) = from_pod.next().await {
            match (frame.channel, frame.data) {
                (0, data) => {
                    let ended = data.is_none();
                    if to_client.send(Frame { channel: 0, data }).await.is_err() || ended {
                        break;
                    }
                }
                (_, Some(error)) if !error.is_empty() => {
                    let error = String::from_utf8_lossy(&error).into_owned();
                    session.klog(
                        'E',
                        "portforward.go:424",
                        &format!(
                            "\"Unhandled Error\" err=\"an error occurred forwarding {remote} -> {remote}: {error}\""
                        ),
                    );
                    break;
                }
                _ => {}
            }
        }
    };
    let (up, down) = (std::pin::pin!(up), std::pin::pin!(down));
    future::select(up, down).await;
}
