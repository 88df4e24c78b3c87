//! The cluster's name server: what the forwarding tables say of the cluster's names, and this machine's
//! own name servers for all others. Messages are those of RFC 1035.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use proxy::dns::{self, Answer, CLUSTER_DOMAIN, RecordData, RecordType};
use proxy::message::{AUTHORITATIVE, NO_ERROR, NO_SUCH_NAME, NOT_IMPLEMENTED, OPCODE, Question, SERVER_FAILURE};
use proxy::{ResolvConf, Tables};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// How long one of this machine's name servers may take.
const UPSTREAM_TIMEOUT: Duration = Duration::from_secs(2);
/// Names that lead to names.
const ALIASES_MAX: usize = 8;

/// How a message came.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Udp,
    Tcp,
}

/// The answer to a message; none for what is no question.
pub async fn answer(tables: &Tables, message: &[u8], transport: Transport) -> Option<Vec<u8>> {
    let question = Question::parse(message)?;
    if question.flags & OPCODE != 0 {
        return Some(question.respond(NOT_IMPLEMENTED, &[]));
    }
    let kind = question.record_type();
    // Of other types there is nothing, but the name may exist.
    match dns::answer(tables, CLUSTER_DOMAIN, &question.name, kind.unwrap_or(RecordType::A)) {
        Answer::NotOurs => Some(match upstream(message, transport).await {
            Some(answer) => answer,
            None => by_this_machine(&question).await,
        }),
        Answer::NoAnswer => Some(question.respond(SERVER_FAILURE, &[])),
        Answer::NxDomain => Some(question.respond(NO_SUCH_NAME | AUTHORITATIVE, &[])),
        Answer::Records(records) => {
            let data = records.into_iter().filter(|_| kind.is_some()).map(|record| (record.name, record.data));
            let records = follow(tables, data.collect(), kind).await;
            let response = question.respond(NO_ERROR | AUTHORITATIVE, &records);
            Some(if transport == Transport::Udp { question.fit(response) } else { response })
        }
    }
}

/// Adds what an alias leads to: resolvers do not ask again.
async fn follow(
    tables: &Tables,
    mut records: Vec<(String, RecordData)>,
    kind: Option<RecordType>,
) -> Vec<(String, RecordData)> {
    for _ in 0..ALIASES_MAX {
        let Some((_, RecordData::Cname(target))) = records.last() else { break };
        let (target, Some(kind)) = (target.clone(), kind) else { break };
        match dns::answer(tables, CLUSTER_DOMAIN, &target, kind) {
            Answer::Records(more) => {
                let before = records.len();
                records.extend(more.into_iter().map(|record| (record.name, record.data)));
                if records.len() == before {
                    break;
                }
            }
            Answer::NotOurs => {
                for address in lookup(&target, kind).await.unwrap_or_default() {
                    records.push((target.clone(), RecordData::Address(address)));
                }
                break;
            }
            Answer::NxDomain | Answer::NoAnswer => break,
        }
    }
    records
}

/// A name's addresses as this machine knows them; none if it does not exist.
async fn lookup(name: &str, kind: RecordType) -> Option<Vec<IpAddr>> {
    let found = timeout(UPSTREAM_TIMEOUT, tokio::net::lookup_host((name, 0))).await.ok()?.ok()?;
    let fits = |address: &IpAddr| match kind {
        RecordType::A => address.is_ipv4(),
        RecordType::Aaaa => address.is_ipv6(),
        RecordType::Srv | RecordType::Ptr => false,
    };
    Some(found.map(|found| found.ip()).filter(fits).collect())
}

/// The answer of the first of this machine's name servers that has one.
async fn upstream(message: &[u8], transport: Transport) -> Option<Vec<u8>> {
    let file = std::fs::read_to_string("/etc/resolv.conf").ok()?;
    for server in ResolvConf::parse(&file).nameservers {
        let server = SocketAddr::new(server, playground_agent::DNS_PORT);
        let asked = async {
            match transport {
                Transport::Udp => ask(server, message).await,
                Transport::Tcp => {
                    let mut stream = TcpStream::connect(server).await?;
                    write(&mut stream, message).await?;
                    read(&mut stream).await
                }
            }
        };
        if let Ok(Ok(answer)) = timeout(UPSTREAM_TIMEOUT, asked).await {
            return Some(answer);
        }
    }
    None
}

async fn ask(server: SocketAddr, message: &[u8]) -> std::io::Result<Vec<u8>> {
    let any: SocketAddr = if server.is_ipv4() { ([0; 4], 0).into() } else { ([0_u16; 8], 0).into() };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    socket.send(message).await?;
    let mut buffer = vec![0; usize::from(u16::MAX)];
    loop {
        let length = socket.recv(&mut buffer).await?;
        let answer = buffer.get(..length).unwrap_or_default();
        if answer.get(..2) == message.get(..2) {
            return Ok(answer.to_vec());
        }
    }
}

/// Reads a message from a stream: its length goes before it.
///
/// # Errors
/// When the stream ends or fails.
pub async fn read(stream: &mut (impl AsyncReadExt + Unpin)) -> std::io::Result<Vec<u8>> {
    let length = stream.read_u16().await?;
    let mut message = vec![0; usize::from(length)];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

/// Writes a message to a stream.
///
/// # Errors
/// When the stream fails.
pub async fn write(stream: &mut (impl AsyncWriteExt + Unpin), message: &[u8]) -> std::io::Result<()> {
    let length = u16::try_from(message.len()).map_err(std::io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), message].concat()).await
}

/// For machines whose name servers are not in a file.
async fn by_this_machine(question: &Question) -> Vec<u8> {
    let Some(kind @ (RecordType::A | RecordType::Aaaa)) = question.record_type() else {
        return question.respond(SERVER_FAILURE, &[]);
    };
    match lookup(&question.name, kind).await {
        Some(found) => {
            let records: Vec<_> =
                found.into_iter().map(|address| (question.name.clone(), RecordData::Address(address))).collect();
            question.respond(NO_ERROR, &records)
        }
        None => question.respond(SERVER_FAILURE, &[]),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use k8s_openapi::api::core::v1::Service;
    use k8s_openapi::api::discovery::v1::EndpointSlice;
    use machinery::ObjectKey;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn parsed<T: serde::de::DeserializeOwned>(value: Value) -> Arc<T> {
        Arc::new(serde_json::from_value(value).unwrap())
    }

    fn tables() -> Tables {
        let mut tables = Tables::default();
        let mut apply = |name: &str, spec: Value| {
            let service = json!({ "metadata": { "name": name, "namespace": "default" }, "spec": spec });
            tables.apply_service(&ObjectKey::new("default", name), parsed::<Service>(service));
        };
        apply("web", json!({ "clusterIP": "10.96.1.2", "ports": [{ "port": 80, "name": "http" }] }));
        apply("alias", json!({ "type": "ExternalName", "externalName": "web.default.svc.cluster.local" }));
        apply("many", json!({ "clusterIP": "None" }));
        let endpoints: Vec<Value> = (0..100).map(|n| json!({ "addresses": [format!("10.244.0.{n}")] })).collect();
        let slice = json!({
            "metadata": { "name": "many-1", "namespace": "default", "labels": { "kubernetes.io/service-name": "many" } },
            "addressType": "IPv4",
            "endpoints": endpoints,
        });
        tables.apply_slice(&ObjectKey::new("default", "many-1"), parsed::<EndpointSlice>(slice));
        tables
    }

    fn ask(name: &str, kind: u16) -> Vec<u8> {
        let mut message = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.') {
            message.push(label.len() as u8);
            message.extend(label.as_bytes());
        }
        message.push(0);
        message.extend(kind.to_be_bytes());
        message.extend([0, 1]);
        message
    }

    fn answered(message: &[u8], transport: Transport) -> Option<Vec<u8>> {
        futures::executor::block_on(answer(&tables(), message, transport))
    }

    /// Code, and number of answers.
    fn outcome(response: &[u8]) -> (u8, u8) {
        (response[3] & 15, response[7])
    }

    #[test]
    fn services_have_addresses() {
        let response = answered(&ask("Web.default.svc.cluster.local", 1), Transport::Udp).unwrap();
        assert_eq!(response[..4], [0x12, 0x34, 0x85, 0x80]);
        assert_eq!(outcome(&response), (0, 1));
        assert!(response.ends_with(&[0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 30, 0, 4, 10, 96, 1, 2]));
        // The name exists, but has no such record.
        for kind in [28, 16] {
            let response = answered(&ask("web.default.svc.cluster.local", kind), Transport::Udp).unwrap();
            assert_eq!(outcome(&response), (0, 0));
        }
        let response = answered(&ask("absent.default.svc.cluster.local", 1), Transport::Udp).unwrap();
        assert_eq!(outcome(&response), (3, 0));
    }

    #[test]
    fn an_alias_comes_with_what_it_leads_to() {
        let response = answered(&ask("alias.default.svc.cluster.local", 1), Transport::Udp).unwrap();
        assert_eq!(outcome(&response), (0, 2));
        assert!(response.ends_with(&[10, 96, 1, 2]));
    }

    #[test]
    fn what_a_datagram_does_not_hold_is_asked_for_by_tcp() {
        let message = ask("many.default.svc.cluster.local", 1);
        let response = answered(&message, Transport::Udp).unwrap();
        assert_eq!((outcome(&response), response[2] & 2, response.len()), ((0, 0), 2, message.len()));
        assert_eq!(outcome(&answered(&message, Transport::Tcp).unwrap()), (0, 100));
        // With room for it, as EDNS says.
        let mut message = message;
        message.extend([0, 0, 41, 0x10, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(outcome(&answered(&message, Transport::Udp).unwrap()), (0, 100));
    }

    proptest! {
        #[test]
        fn no_message_does_harm(tail in proptest::collection::vec(any::<u8>(), 0..64)) {
            // In the cluster's domain, so that nobody else is asked.
            let _ = Question::parse(&tail);
            let mut message = ask("web.default.svc.cluster.local", 1);
            message.extend(tail);
            prop_assert!(answered(&message, Transport::Udp).is_some());
        }
    }
}
