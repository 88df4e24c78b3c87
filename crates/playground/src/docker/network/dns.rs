//! The cluster's name server: what the forwarding tables say of the cluster's names, and this machine's
//! own name servers for all others. Messages are those of RFC 1035.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use proxy::dns::{self, Answer, CLUSTER_DOMAIN, RecordData, RecordType, TTL_SECONDS};
use proxy::{ResolvConf, Tables};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// What a resolver without EDNS takes in a datagram.
const DATAGRAM_BYTES: usize = 512;
/// How long one of this machine's name servers may take.
const UPSTREAM_TIMEOUT: Duration = Duration::from_secs(2);
/// Names that lead to names.
const ALIASES_MAX: usize = 8;
const HEADER_BYTES: usize = 12;

const NO_ERROR: u16 = 0;
const SERVER_FAILURE: u16 = 2;
const NO_SUCH_NAME: u16 = 3;
const NOT_IMPLEMENTED: u16 = 4;
const RESPONSE: u16 = 0x8000;
const OPCODE: u16 = 0x7800;
const AUTHORITATIVE: u16 = 0x0400;
const TRUNCATED: u16 = 0x0200;
const RECURSION_DESIRED: u16 = 0x0100;
const RECURSION_AVAILABLE: u16 = 0x0080;

/// How a message came.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Udp,
    Tcp,
}

/// A question.
struct Question {
    id: u16,
    flags: u16,
    name: String,
    kind: u16,
    /// Where the question ends.
    end: usize,
    /// What the asker takes in a datagram.
    size: usize,
}

/// The answer to a message; none for what is no question.
pub async fn answer(tables: &Tables, message: &[u8], transport: Transport) -> Option<Vec<u8>> {
    let question = Question::parse(message)?;
    if question.flags & OPCODE != 0 {
        return Some(question.respond(message, NOT_IMPLEMENTED, &[]));
    }
    let kind = record_type(question.kind);
    // Of other types there is nothing, but the name may exist.
    match dns::answer(tables, CLUSTER_DOMAIN, &question.name, kind.unwrap_or(RecordType::A)) {
        Answer::NotOurs => Some(match upstream(message, transport).await {
            Some(answer) => answer,
            None => question.by_this_machine(message, kind).await,
        }),
        Answer::NoAnswer => Some(question.respond(message, SERVER_FAILURE, &[])),
        Answer::NxDomain => Some(question.respond(message, NO_SUCH_NAME | AUTHORITATIVE, &[])),
        Answer::Records(records) => {
            let data = records.into_iter().filter(|_| kind.is_some()).map(|record| (record.name, record.data));
            let records = follow(tables, data.collect(), kind).await;
            let response = question.respond(message, NO_ERROR | AUTHORITATIVE, &records);
            Some(if transport == Transport::Udp { fit(response, question.end, question.size) } else { response })
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

impl Question {
    fn parse(message: &[u8]) -> Option<Self> {
        let word = |at: usize| Some(u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]));
        let (id, flags, questions) = (word(0)?, word(2)?, word(4)?);
        if flags & RESPONSE != 0 || questions != 1 {
            return None;
        }
        let (name, at) = name(message, HEADER_BYTES)?;
        let (kind, end) = (word(at)?, at + 4);
        word(at + 2)?;
        // EDNS says how much the asker takes: the class of a record of the root.
        const EDNS: u16 = 41;
        let edns = message.get(end) == Some(&0) && word(end + 1) == Some(EDNS);
        let size = word(end + 3).filter(|_| edns).map_or(DATAGRAM_BYTES, usize::from).max(DATAGRAM_BYTES);
        Some(Self { id, flags, name, kind, end, size })
    }

    fn respond(&self, message: &[u8], code: u16, records: &[(String, RecordData)]) -> Vec<u8> {
        let flags = RESPONSE | RECURSION_AVAILABLE | self.flags & RECURSION_DESIRED | code;
        let count = u16::try_from(records.len()).unwrap_or(u16::MAX);
        let mut out = Vec::new();
        for word in [self.id, flags, 1, count, 0, 0] {
            out.extend_from_slice(&word.to_be_bytes());
        }
        out.extend_from_slice(message.get(HEADER_BYTES..self.end).unwrap_or_default());
        for (name, data) in records.iter().take(count.into()) {
            const INTERNET: u16 = 1;
            // The question's own name stands for itself.
            const QUESTION: [u8; 2] = [0xC0, 12];
            let name = if *name == self.name { QUESTION.to_vec() } else { labels(name) };
            let (kind, data) = wire(data);
            out.extend_from_slice(&name);
            out.extend_from_slice(&kind.to_be_bytes());
            out.extend_from_slice(&INTERNET.to_be_bytes());
            out.extend_from_slice(&TTL_SECONDS.to_be_bytes());
            out.extend_from_slice(&u16::try_from(data.len()).unwrap_or_default().to_be_bytes());
            out.extend_from_slice(&data);
        }
        out
    }

    /// For machines whose name servers are not in a file.
    async fn by_this_machine(&self, message: &[u8], kind: Option<RecordType>) -> Vec<u8> {
        let Some(kind @ (RecordType::A | RecordType::Aaaa)) = kind else {
            return self.respond(message, SERVER_FAILURE, &[]);
        };
        match lookup(&self.name, kind).await {
            Some(found) => {
                let records: Vec<_> =
                    found.into_iter().map(|address| (self.name.clone(), RecordData::Address(address))).collect();
                self.respond(message, NO_ERROR, &records)
            }
            None => self.respond(message, SERVER_FAILURE, &[]),
        }
    }
}

/// Cuts an answer that a datagram does not hold down to its question: the asker comes again by TCP.
fn fit(mut response: Vec<u8>, question_end: usize, size: usize) -> Vec<u8> {
    if response.len() <= size {
        return response;
    }
    response.truncate(question_end);
    let [high, _] = TRUNCATED.to_be_bytes();
    if let Some(flags) = response.get_mut(2) {
        *flags |= high;
    }
    if let Some(count) = response.get_mut(6..8) {
        count.fill(0);
    }
    response
}

fn record_type(kind: u16) -> Option<RecordType> {
    match kind {
        1 => Some(RecordType::A),
        12 => Some(RecordType::Ptr),
        28 => Some(RecordType::Aaaa),
        33 => Some(RecordType::Srv),
        _ => None,
    }
}

fn wire(data: &RecordData) -> (u16, Vec<u8>) {
    match data {
        RecordData::Address(IpAddr::V4(address)) => (1, address.octets().to_vec()),
        RecordData::Address(IpAddr::V6(address)) => (28, address.octets().to_vec()),
        RecordData::Cname(name) => (5, labels(name)),
        RecordData::Ptr(name) => (12, labels(name)),
        RecordData::Srv { port, target } => {
            const PRIORITY_AND_WEIGHT: [u8; 4] = [0, 0, 0, 100];
            (33, [&PRIORITY_AND_WEIGHT[..], &port.to_be_bytes(), &labels(target)].concat())
        }
    }
}

/// A name in a message, in lower case, and where it ends. Questions come first, so nothing is compressed.
fn name(message: &[u8], mut at: usize) -> Option<(String, usize)> {
    let mut out = String::new();
    loop {
        const LABEL_BYTES_MAX: u8 = 63;
        let length = *message.get(at)?;
        at += 1;
        if length == 0 {
            return Some((out, at));
        }
        if length > LABEL_BYTES_MAX {
            return None;
        }
        let label = message.get(at..at + usize::from(length))?;
        if !out.is_empty() {
            out.push('.');
        }
        out.push_str(&String::from_utf8_lossy(label).to_ascii_lowercase());
        at += usize::from(length);
    }
}

fn labels(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        let label = label.as_bytes().get(..label.len().min(63)).unwrap_or_default();
        out.push(u8::try_from(label.len()).unwrap_or_default());
        out.extend_from_slice(label);
    }
    out.push(0);
    out
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
        message.extend(labels(name));
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
