//! `kubectl port-forward` and `kubectl proxy`.

use bytes::Bytes;
use futures::stream::{FuturesUnordered, StreamExt};
use futures::{SinkExt, future};
use http::Method;
use machinery::wire::{Channels, Frame};
use serde_json::Value;

use super::exec::{the_pod, upgrade};
use super::logs::{attachable, pods};
use crate::api::Url;
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
    if pod["status"]["phase"] != "Running" {
        return Err(Error::message(format!(
            "unable to forward port because pod is not running. Current status={}",
            text(&pod["status"]["phase"])
        )));
    }
    let address = match args.string("address") {
        "" | "localhost" | "[localhost]" => "127.0.0.1",
        address => address,
    };
    let mut listeners = Vec::new();
    for spec in specs {
        let (local, remote) = spec.split_once(':').unwrap_or((spec, spec));
        let local = if local.is_empty() { "0" } else { local };
        let invalid = |text: &str| {
            Error::message(format!(
                "error parsing local port '{text}': strconv.ParseUint: parsing {text:?}: invalid syntax"
            ))
        };
        let local: u16 = match (local.parse(), service.as_ref()) {
            (Ok(port), _) => port,
            // A bare name means the Service's own port of that name.
            (Err(_), Some(service)) if local == remote => port_of(service, remote).0.unwrap_or(0),
            _ => return Err(invalid(local)),
        };
        let remote = remote_port(&pod, service.as_ref(), remote)?;
        let listener = session.host.listen(address, local).await.map_err(|error| {
            Error::message(format!(
                "unable to listen on port {local}: Listeners failed to create with the following errors: [{error}]"
            ))
        })?;
        session.outln(format!("Forwarding from {address}:{} -> {remote}", listener.port));
        listeners.push((listener, remote));
    }
    let mut running: FuturesUnordered<_> =
        listeners.into_iter().map(|(listener, remote)| serve(session, &pod, listener, remote)).collect();
    while running.next().await.is_some() {}
    Ok(())
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
    let pod = attachable(session, &info).await?.into_iter().next();
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

fn remote_port(pod: &Value, service: Option<&Value>, wanted: &str) -> Result<u16, Error> {
    let mut wanted = wanted.to_owned();
    if let Some(service) = service {
        wanted = match port_of(service, &wanted) {
            (None, _) => {
                let name = text(&service["metadata"]["name"]);
                return Err(Error::message(match wanted.parse::<u16>() {
                    Ok(_) => format!("Service {name} does not have a service port {wanted}"),
                    Err(_) => format!("Service '{name}' does not have a named port '{wanted}'"),
                }));
            }
            (_, Value::String(name)) => name,
            (_, target) => target.to_string(),
        };
    }
    if let Ok(port) = wanted.parse() {
        return Ok(port);
    }
    let named = items(&pod["spec"]["containers"])
        .flat_map(|container| items(&container["ports"]))
        .find(|port| port["name"] == wanted.as_str())
        .and_then(|port| port["containerPort"].as_u64())
        .and_then(|port| port.try_into().ok());
    named.ok_or_else(|| {
        Error::message(format!("Pod '{}' does not have a named port '{wanted}'", text(&pod["metadata"]["name"])))
    })
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

/// `kubectl proxy`
pub(super) async fn proxy(session: &Session<'_>) -> Result<(), Error> {
    let args = &session.args;
    let address = match args.string("address") {
        "" => "127.0.0.1",
        address => address,
    };
    let port = u16::try_from(args.int("port")).map_err(|_| Error::message("invalid port"))?;
    let listener = session
        .host
        .listen(address, port)
        .await
        .map_err(|error| Error::message(format!("listen tcp {address}:{port}: {error}")))?;
    session.outln(format!("Starting to serve on {address}:{}", listener.port));
    let mut connections = listener.connections;
    let mut open = FuturesUnordered::new();
    loop {
        match future::select(connections.next(), open.next()).await {
            future::Either::Left((Some(connection), _)) => open.push(proxy_connection(session, connection)),
            future::Either::Left((None, _)) => return Ok(()),
            future::Either::Right((Some(()), _)) => {}
            future::Either::Right((None, waiting)) => match waiting.await {
                Some(connection) => open.push(proxy_connection(session, connection)),
                None => return Ok(()),
            },
        }
    }
}

/// Answers one HTTP/1.1 request of a connection with the API server's answer.
async fn proxy_connection(session: &Session<'_>, connection: Connection) {
    const HEAD_LENGTH_MAX: usize = 64 * 1024;
    let Channels { mut sender, mut receiver } = connection.channels;
    let mut received: Vec<u8> = Vec::new();
    let head_end = loop {
        if let Some(at) = received.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        match receiver.next().await {
            Some(Frame { data: Some(data), .. }) if received.len() < HEAD_LENGTH_MAX => {
                received.extend_from_slice(&data)
            }
            _ => return,
        }
    };
    let head = String::from_utf8_lossy(received.get(..head_end).unwrap_or_default()).into_owned();
    let mut lines = head.split("\r\n");
    let mut request_line = lines.next().unwrap_or_default().split(' ');
    let method =
        request_line.next().and_then(|method| Method::from_bytes(method.as_bytes()).ok()).unwrap_or(Method::GET);
    let path = request_line.next().unwrap_or("/").to_owned();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_lowercase(), value.trim().to_owned()))
        .collect();
    let length: usize = headers
        .iter()
        .find(|(name, _)| name == "content-length")
        .and_then(|(_, value)| value.parse().ok())
        .unwrap_or(0);
    let mut body = received.split_off((head_end + 4).min(received.len()));
    while body.len() < length {
        match receiver.next().await {
            Some(Frame { data: Some(data), .. }) => body.extend_from_slice(&data),
            _ => break,
        }
    }
    let passed: Vec<(&str, &str)> = headers
        .iter()
        .filter(|(name, _)| matches!(name.as_str(), "accept" | "content-type"))
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let answer = match session.client().await {
        Ok(client) => client.pass(method, path, &passed, Bytes::from(body)).await,
        Err(error) => Err(error),
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
            let mut stream = body.into_stream();
            let mut going = send(Some(head.into())).await;
            while going && let Some(part) = stream.next().await {
                going = send(Some(part)).await;
            }
        }
        Err(error) => {
            let text = error.to_string();
            let head = format!(
                "HTTP/1.1 502 Bad Gateway\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{text}",
                text.len()
            );
            send(Some(head.into())).await;
        }
    }
    send(None).await;
}
