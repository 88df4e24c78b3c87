//! CoreDNS: the cluster's name server. It reads its Corefile, answers by UDP and TCP what that says, logs what it is
//! told to log and reads the Corefile again when it changes (upstream coredns/coredns, plugins `kubernetes`, `forward`,
//! `hosts`, `rewrite`, `log`, `loadbalance`, `reload`, `health`, `ready`, `prometheus`).
//!
//! What it knows of Services comes from its node's forwarding tables, which follow the same API objects that the
//! original watches.

mod corefile;

use std::cell::{Cell, RefCell};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::future::{Either, LocalBoxFuture, select};
use futures::stream::FuturesUnordered;
use proxy::ResolvConf;
use proxy::dns::{self, Answer, RecordData, RecordType};
use proxy::message::{
    AUTHORITATIVE, NO_ERROR, NO_SUCH_NAME, NOT_IMPLEMENTED, OPCODE, Question, REFUSED, SERVER_FAILURE,
};

use super::bind;
use crate::network::http::{self, Response};
use crate::network::{Datagram, TcpListener, TcpStream, UdpSocket};
use crate::process::{Process, Signal};
use corefile::{Block, Directive, zone_match};

const VERSION: &str = "1.14.2";
const DNS_PORT: u16 = 53;
/// `health`, `ready` and `prometheus`.
const PORTS: [u16; 3] = [8080, 8181, 9153];
/// How often `reload` looks at the Corefile.
const RELOAD: Duration = Duration::from_secs(30);
/// How many aliases are followed.
const ALIASES_MAX: u32 = 8;

/// Records, and under which name.
type Records = Vec<(String, RecordData)>;

/// What a question is answered with: its code, perhaps as the server's own answer, and records.
struct Reply {
    code: u16,
    records: Records,
}

impl Reply {
    fn empty(code: u16) -> Self {
        Self { code, records: Vec::new() }
    }
}

struct Server {
    process: Process,
    blocks: RefCell<Vec<Block>>,
    asked: Cell<u64>,
}

/// The program.
pub(super) async fn main(process: Process) -> i32 {
    let path = match process.operands().iter().position(|word| word == "-conf") {
        Some(at) => process.operands().get(at + 1).cloned().unwrap_or_default(),
        None => "Corefile".to_owned(),
    };
    let path = process.path(&path);
    let mut text = match process.fs().read_text(&path) {
        Ok(text) => text,
        Err(error) => {
            let error = error.as_str().to_lowercase();
            return process.fail(1, format_args!("plugin/file: open {path}: {error}")).await;
        }
    };
    let blocks = match corefile::parse(&path, &text) {
        Ok(blocks) => blocks,
        Err(message) => {
            process.eprint(format!("{message}\n")).await;
            return 1;
        }
    };
    let (socket, listener) = match (process.machine.interface().bind(DNS_PORT), bind(&process, DNS_PORT)) {
        (Ok(socket), Ok(listener)) => (socket, listener),
        _ => {
            process.eprint("Listen: listen tcp :53: bind: address already in use\n").await;
            return 1;
        }
    };
    let mut labels: Vec<String> =
        blocks.iter().flat_map(|block| block.labels.iter()).map(|label| label.to_owned()).collect();
    labels.dedup();
    let banner = format!("CoreDNS-{VERSION}\nlinux/amd64, go1.25.5, d4f4ba7\n");
    process.print(format!("{}\n{}{banner}", labels.join("\n"), running(&text))).await;
    process.signals.handle(Signal::Term);
    process.signals.handle(Signal::Int);
    let server = Server { process, blocks: RefCell::new(blocks), asked: Cell::new(0) };
    let process = &server.process;
    let others = PORTS.iter().filter_map(|port| bind(process, *port).ok());
    let others: FuturesUnordered<_> = others.map(|listener| server.watch_over(listener)).collect();
    let reload = async {
        loop {
            process.sleep(RELOAD).await;
            if !server.blocks.borrow().iter().any(|block| block.has("reload")) {
                continue;
            }
            let now = process.fs().read_text(&path).unwrap_or_default();
            if now == text || now.is_empty() {
                continue;
            }
            text = now;
            process.print("[INFO] Reloading\n").await;
            match corefile::parse(&path, &text) {
                Ok(blocks) => {
                    *server.blocks.borrow_mut() = blocks;
                    process.print(format!("{}[INFO] Reloading complete\n", running(&text))).await;
                }
                Err(message) => {
                    let text = format!(
                        "[ERROR] Restart failed: {message}\n[ERROR] plugin/reload: Corefile changed but reload failed: \
                         {message}\n"
                    );
                    process.print(text).await;
                }
            }
        }
    };
    let ended = async {
        let signal = process.signals.next().await;
        let lameduck = server.lameduck();
        let name = if signal == Signal::Term { "SIGTERM" } else { "SIGINT" };
        process.print(format!("[INFO] {name}: Shutting down servers then terminating\n")).await;
        if !lameduck.is_zero() {
            let text = format!("[INFO] plugin/health: Going into lameduck mode for {}s\n", lameduck.as_secs());
            process.print(text).await;
            process.sleep(lameduck).await;
        }
    };
    let work = futures::future::join4(server.datagrams(&socket), server.streams(&listener), others.count(), reload);
    select(Box::pin(work), Box::pin(ended)).await;
    0
}

/// What `reload` says of the configuration in force.
fn running(text: &str) -> String {
    let seed = machinery::random::fnv64a(text.as_bytes());
    let mut rng = machinery::random::Rng::new(seed);
    let digest: String = (0..8).map(|_| format!("{:016x}", rng.next_u64())).collect();
    format!("[INFO] plugin/reload: Running configuration SHA512 = {digest}\n")
}

impl Server {
    /// How long it answers on after it was asked to end.
    fn lameduck(&self) -> Duration {
        let blocks = self.blocks.borrow();
        let health = blocks.iter().flat_map(|block| block.all("health"));
        let line =
            health.flat_map(|directive| &directive.body).find(|line| line.first().is_some_and(|w| w == "lameduck"));
        let seconds = line.and_then(|line| line.get(1)?.trim_end_matches('s').parse().ok());
        Duration::from_secs(seconds.unwrap_or(0))
    }

    /// `/health`, `/ready` and `/metrics`.
    async fn watch_over(&self, listener: TcpListener) {
        http::serve(&listener, |request, _| {
            let response = match request.path() {
                "/health" | "/ready" => Response::text("OK"),
                "/metrics" => Response::text(format!(
                    "coredns_build_info{{goversion=\"go1.25.5\",revision=\"d4f4ba7\",version=\"{VERSION}\"}} 1\n\
                     coredns_dns_requests_total{{family=\"1\",proto=\"udp\",server=\"dns://:53\",zone=\".\"}} {}\n",
                    self.asked.get()
                )),
                _ => Response::new(404, "text/plain; charset=utf-8", "404 page not found\n"),
            };
            async move { response }
        })
        .await;
    }

    async fn datagrams(&self, socket: &UdpSocket) {
        let mut working = FuturesUnordered::new();
        loop {
            let next = Box::pin(socket.receive());
            let datagram = if working.is_empty() {
                next.await
            } else {
                match select(next, working.next()).await {
                    Either::Left((datagram, _)) => datagram,
                    Either::Right(_) => continue,
                }
            };
            working.push(async move {
                let Datagram { from, data } = datagram;
                if let Some((question, answer)) = self.serve(&data, &from.to_string(), "udp").await {
                    // Whoever asked may have gone.
                    let _ = socket.send(from, Bytes::from(question.fit(answer))).await;
                }
            });
        }
    }

    async fn streams(&self, listener: &TcpListener) {
        loop {
            let stream = listener.accept().await;
            // One question a connection, as resolvers ask.
            let _ = self.stream(&stream).await;
        }
    }

    async fn stream(&self, stream: &TcpStream) -> Option<()> {
        const LENGTH_BYTES: usize = 2;
        let mut message = Vec::new();
        loop {
            let part = stream.read(65_536).await.ok().filter(|part| !part.is_empty())?;
            message.extend_from_slice(&part);
            let length = message.get(..LENGTH_BYTES).map(|head| usize::from(head[0]) << 8 | usize::from(head[1]));
            if length.is_some_and(|length| message.len() >= LENGTH_BYTES + length) {
                break;
            }
        }
        let client = stream.info().remote.to_string();
        let (_, answer) = self.serve(message.get(LENGTH_BYTES..)?, &client, "tcp").await?;
        let length = u16::try_from(answer.len()).ok()?;
        stream.write_all(&[&length.to_be_bytes(), &answer[..]].concat()).await.ok()
    }

    /// The answer to a message, and the question that it was.
    async fn serve(&self, message: &[u8], client: &str, protocol: &str) -> Option<(Question, Vec<u8>)> {
        let question = Question::parse(message)?;
        self.asked.set(self.asked.get() + 1);
        let begun = self.process.machine.now();
        let (block, reply) = if question.flags & OPCODE != 0 {
            (None, Reply::empty(NOT_IMPLEMENTED))
        } else {
            let block = self.block(&question.name);
            let reply = match &block {
                Some(block) => self.resolve(block, &question.name, question.record_type()).await,
                None => Reply::empty(REFUSED),
            };
            (block, reply)
        };
        let answer = question.respond(reply.code, &reply.records);
        if block.is_some_and(|block| block.has("log")) {
            let kind = match question.kind {
                1 => "A",
                12 => "PTR",
                28 => "AAAA",
                33 => "SRV",
                _ => "TYPE",
            };
            let code = match reply.code & !AUTHORITATIVE {
                NO_ERROR => "NOERROR",
                NO_SUCH_NAME => "NXDOMAIN",
                REFUSED => "REFUSED",
                _ => "SERVFAIL",
            };
            let own = if reply.code & AUTHORITATIVE != 0 { "aa," } else { "" };
            let took = machinery::time::since(begun, self.process.machine.now()).as_secs_f64().max(0.000_05);
            let line = format!(
                "[INFO] {client} - {} \"{kind} IN {}. {protocol} {} false {}\" {code} qr,{own}rd{} {} {took:.9}s\n",
                question.id,
                question.name,
                message.len(),
                question.size,
                if own.is_empty() { ",ra" } else { "" },
                answer.len(),
            );
            self.process.print(line).await;
        }
        Some((question, answer))
    }

    /// The block whose zone has most of a name.
    fn block(&self, name: &str) -> Option<Block> {
        let blocks = self.blocks.borrow();
        let fit = |block: &Block| block.zones.iter().filter_map(|zone| zone_match(zone, name)).max();
        let best = blocks
            .iter()
            .filter_map(|block| Some((fit(block)?, block)))
            .reduce(|best, next| if next.0 > best.0 { next } else { best });
        best.map(|(_, block)| block.clone())
    }

    /// What a block's plugins say, aliases followed.
    async fn resolve(&self, block: &Block, name: &str, kind: Option<RecordType>) -> Reply {
        // Of other types there is nothing, but the name may exist.
        let asked = kind.unwrap_or(RecordType::A);
        let meant = rewritten(block, name);
        let mut reply = self.one(block, &meant, asked).await;
        for _ in 0..ALIASES_MAX {
            let Some((_, RecordData::Cname(target))) = reply.records.last() else { break };
            let target = target.clone();
            let Some(block) = self.block(&target) else { break };
            let more = self.one(&block, &target, asked).await;
            if more.records.is_empty() {
                break;
            }
            reply.records.extend(more.records);
        }
        if meant != name {
            for (of, _) in reply.records.iter_mut().filter(|(of, _)| *of == meant) {
                *of = name.to_owned();
            }
        }
        if kind.is_none() {
            reply.records.clear();
        }
        if block.has("loadbalance") && reply.records.len() > 1 {
            let addresses = reply.records.iter().filter(|(_, data)| matches!(data, RecordData::Address(_))).count();
            if addresses == reply.records.len() {
                let by = self.process.machine.random() % addresses as u64;
                reply.records.rotate_left(usize::try_from(by).unwrap_or(0));
            }
        }
        reply
    }

    /// What a block's plugins say to a name, each in its turn.
    async fn one(&self, block: &Block, name: &str, kind: RecordType) -> Reply {
        for directive in block.all("hosts") {
            if let Some(reply) = self.hosts(directive, name, kind) {
                return reply;
            }
        }
        for directive in block.all("kubernetes") {
            if let Some(reply) = self.kubernetes(directive, name, kind) {
                return reply;
            }
        }
        for directive in block.all("forward") {
            let from = directive.args.first().map(|from| from.trim_end_matches('.')).unwrap_or_default();
            if zone_match(from, name).is_some() {
                return self.forward(directive.args.get(1..).unwrap_or_default(), name, kind).await;
            }
        }
        Reply::empty(SERVER_FAILURE)
    }

    /// The names that a block lists itself.
    fn hosts(&self, directive: &Directive, name: &str, kind: RecordType) -> Option<Reply> {
        let mut lines = directive.body.clone();
        if let Some(file) = directive.args.first().filter(|file| file.starts_with('/')) {
            let text = self.process.fs().read_text(file).unwrap_or_default();
            lines.extend(text.lines().map(|line| line.split_whitespace().map(str::to_owned).collect()));
        }
        let mut records = Vec::new();
        for line in &lines {
            let Some((address, names)) = line.split_first() else { continue };
            let Ok(address) = address.parse::<std::net::IpAddr>() else { continue };
            if names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                records.push((name.to_owned(), RecordData::Address(address)));
            }
        }
        if !records.is_empty() {
            if kind != RecordType::A {
                records.clear();
            }
            return Some(Reply { code: NO_ERROR | AUTHORITATIVE, records });
        }
        let through = lines.iter().any(|line| line.first().is_some_and(|word| word == "fallthrough"));
        (!through).then(|| Reply::empty(NO_SUCH_NAME | AUTHORITATIVE))
    }

    /// The cluster's own names.
    fn kubernetes(&self, directive: &Directive, name: &str, kind: RecordType) -> Option<Reply> {
        let zones = || directive.args.iter().map(|zone| zone.trim_end_matches('.'));
        let zone = zones().find(|zone| zone_match(zone, name).is_some())?;
        let domain = zones().find(|zone| !zone.ends_with(".arpa")).unwrap_or(dns::CLUSTER_DOMAIN);
        let tables = self.process.machine.interface().tables()?.borrow();
        let through = || {
            let line = directive.body.iter().find(|line| line.first().is_some_and(|word| word == "fallthrough"));
            line.is_some_and(|line| {
                line.len() == 1
                    || line.iter().skip(1).any(|zone| zone_match(zone.trim_end_matches('.'), name).is_some())
            })
        };
        let kind = if zone.ends_with(".arpa") { RecordType::Ptr } else { kind };
        match dns::answer(&tables, domain, name, kind) {
            Answer::Records(records) => {
                let records = records.into_iter().map(|record| (record.name, record.data)).collect();
                Some(Reply { code: NO_ERROR | AUTHORITATIVE, records })
            }
            Answer::NxDomain | Answer::NotOurs if through() => None,
            Answer::NxDomain | Answer::NotOurs => Some(Reply::empty(NO_SUCH_NAME | AUTHORITATIVE)),
            Answer::NoAnswer => Some(Reply::empty(SERVER_FAILURE)),
        }
    }

    /// What other name servers say.
    fn forward<'a>(&'a self, to: &'a [String], name: &'a str, kind: RecordType) -> LocalBoxFuture<'a, Reply> {
        Box::pin(async move {
            let interface = self.process.machine.interface();
            let mut answer = Answer::NoAnswer;
            for server in to {
                if server.starts_with('/') {
                    let text = self.process.fs().read_text(server).unwrap_or_default();
                    let servers = ResolvConf::parse(&text).nameservers;
                    // The machine's own resolver, which is in the world outside.
                    if servers.is_empty() {
                        answer = interface.query_outside(name, kind).await;
                    }
                    for server in servers {
                        answer = interface.ask(server, name, kind).await;
                        if answer != Answer::NoAnswer {
                            break;
                        }
                    }
                } else if let Ok(server) = server.split(':').next().unwrap_or_default().parse() {
                    answer = interface.ask(server, name, kind).await;
                }
                if answer != Answer::NoAnswer {
                    break;
                }
            }
            match answer {
                Answer::Records(records) => {
                    let records = records.into_iter().map(|record| (record.name, record.data)).collect();
                    Reply { code: NO_ERROR, records }
                }
                Answer::NxDomain => Reply::empty(NO_SUCH_NAME),
                Answer::NotOurs | Answer::NoAnswer => Reply::empty(SERVER_FAILURE),
            }
        })
    }
}

/// The name that a name means by `rewrite name [exact|suffix|prefix|substring] FROM TO`.
fn rewritten(block: &Block, name: &str) -> String {
    for directive in block.all("rewrite") {
        let words: Vec<&str> = directive.args.iter().map(|word| word.trim_end_matches('.')).collect();
        let words = match words.as_slice() {
            ["stop" | "continue", rest @ ..] => rest,
            all => all,
        };
        let (how, from, to) = match words {
            ["name", how @ ("exact" | "suffix" | "prefix" | "substring"), from, to, ..] => (*how, *from, *to),
            ["name", from, to, ..] => ("exact", *from, *to),
            _ => continue,
        };
        let found = match how {
            "exact" => (name == from).then(|| to.to_owned()),
            "suffix" => name.strip_suffix(from).map(|rest| format!("{rest}{to}")),
            "prefix" => name.strip_prefix(from).map(|rest| format!("{to}{rest}")),
            _ => name.contains(from).then(|| name.replace(from, to)),
        };
        if let Some(found) = found {
            return found;
        }
    }
    name.to_owned()
}

/// The Corefile of a cluster as kubeadm writes it.
pub const COREFILE: &str = include_str!("Corefile");
