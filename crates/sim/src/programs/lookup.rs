//! Names and reachability: nslookup, dig, host, getent, ping.

use std::cell::Cell;
use std::net::IpAddr;
use std::time::Duration;

use futures::future::select;
use proxy::dns::{Answer, Record, RecordData, RecordType, TTL_SECONDS};

use crate::network::Interface;
use crate::process::{Machine, Process, Signal, capabilities};

/// Record types by name.
const TYPES: [(&str, RecordType); 4] =
    [("A", RecordType::A), ("AAAA", RecordType::Aaaa), ("SRV", RecordType::Srv), ("PTR", RecordType::Ptr)];

fn record_type(name: &str) -> Option<RecordType> {
    TYPES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, kind)| *kind)
}

fn type_name(record: &Record) -> &'static str {
    match &record.data {
        RecordData::Address(IpAddr::V4(_)) => "A",
        RecordData::Address(IpAddr::V6(_)) => "AAAA",
        RecordData::Cname(_) => "CNAME",
        RecordData::Srv { .. } => "SRV",
        RecordData::Ptr(_) => "PTR",
    }
}

/// The name under which an address is looked up backwards.
fn reverse_name(text: &str) -> Option<String> {
    let [a, b, c, d] = text.parse::<std::net::Ipv4Addr>().ok()?.octets();
    Some(format!("{d}.{c}.{b}.{a}.in-addr.arpa"))
}

fn server_of(interface: &Interface) -> String {
    let server = interface.resolv_conf().nameservers.first();
    server.map_or_else(|| "127.0.0.1".to_owned(), ToString::to_string)
}

/// What the name servers say to the names that a name may mean, the alias in an answer followed.
struct Found {
    name: String,
    answer: Answer,
}

/// Asks a name server, or those of resolv.conf.
async fn ask(interface: &Interface, server: Option<IpAddr>, name: &str, kind: RecordType) -> Answer {
    match server {
        Some(server) => interface.ask(server, name, kind).await,
        None => interface.query(name, kind).await,
    }
}

async fn look_up(interface: &Interface, server: Option<IpAddr>, names: Vec<String>, kind: RecordType) -> Found {
    let mut found = Found { name: String::new(), answer: Answer::NxDomain };
    for name in names {
        let answer = ask(interface, server, &name, kind).await;
        let ended = matches!(answer, Answer::Records(_) | Answer::NoAnswer);
        found = Found { name, answer };
        if ended {
            break;
        }
    }
    if let Answer::Records(records) = &mut found.answer
        && let Some(RecordData::Cname(target)) = records.last().map(|record| record.data.clone())
        && let Answer::Records(more) = ask(interface, server, &target, kind).await
    {
        records.extend(more);
    }
    found
}

/// The address of the name server that a command names, if it names one; the name that has none.
async fn named_server(machine: &Machine, name: Option<&str>) -> Result<Option<IpAddr>, String> {
    let Some(name) = name else { return Ok(None) };
    let addresses = machine.resolve(name).await.unwrap_or_default();
    addresses.first().copied().map(Some).ok_or_else(|| name.to_owned())
}

/// What nslookup was asked.
struct Question {
    name: String,
    kind: Option<RecordType>,
    server: Option<String>,
}

/// The question on nslookup's command line.
fn question(process: &Process) -> Option<Question> {
    let mut options = process.operands().iter().filter_map(|word| word.strip_prefix('-')?.split_once('='));
    let kind = options.rfind(|(name, _)| matches!(*name, "type" | "q" | "query" | "querytype"));
    let mut words = process.operands().iter().filter(|word| !word.starts_with('-')).cloned();
    Some(Question { name: words.next()?, kind: kind.and_then(|(_, kind)| record_type(kind)), server: words.next() })
}

/// A line for a record as both nslookups write it.
fn nslookup_line(record: &Record) -> String {
    match &record.data {
        RecordData::Cname(target) => format!("{}\tcanonical name = {target}.\n", record.name),
        RecordData::Srv { .. } => format!("{}\tservice = {}\n", record.name, record.data),
        RecordData::Ptr(name) => format!("{}\tname = {name}.\n", record.name),
        RecordData::Address(address) => format!("Name:\t{}\nAddress: {address}\n", record.name),
    }
}

/// busybox' nslookup since 1.29, and BIND's: they write a server's port and a failure differently.
async fn nslookup_with(process: &Process, port: char, quiet_dot: bool) -> i32 {
    let Some(asked) = question(process) else {
        process.eprint("Usage: nslookup [-type=QUERY_TYPE] [-debug] HOST [DNS_SERVER]\n").await;
        return 1;
    };
    let interface = process.machine.interface();
    let chosen = match named_server(&process.machine, asked.server.as_deref()).await {
        Ok(server) => server,
        Err(name) => {
            process.eprint(format!("nslookup: couldn't get address for '{name}': not found\n")).await;
            return 1;
        }
    };
    let server = chosen.map_or_else(|| server_of(interface), |server| server.to_string());
    process.print(format!("Server:\t\t{server}\nAddress:\t{server}{port}53\n\n")).await;
    let backwards = reverse_name(&asked.name);
    let names = backwards.clone().map_or_else(|| interface.resolv_conf().candidates(&asked.name), |name| vec![name]);
    let kind = if backwards.is_some() { RecordType::Ptr } else { asked.kind.unwrap_or(RecordType::A) };
    let found = look_up(interface, chosen, names, kind).await;
    match found.answer {
        Answer::Records(records) => {
            for record in &records {
                let line = nslookup_line(record);
                let quiet = quiet_dot && !matches!(record.data, RecordData::Srv { .. });
                process.print(if quiet { line.replace(".\n", "\n") } else { line }).await;
            }
            if records.is_empty() {
                process.print(format!("*** Can't find {}: No answer\n", asked.name)).await;
            }
            process.print("\n").await;
            0
        }
        Answer::NoAnswer => {
            process.print(";; connection timed out; no servers could be reached\n\n").await;
            1
        }
        Answer::NxDomain | Answer::NotOurs => {
            process.print(format!("** server can't find {}: NXDOMAIN\n\n", asked.name)).await;
            1
        }
    }
}

pub(super) async fn nslookup(process: Process) -> i32 {
    nslookup_with(&process, ':', true).await
}

pub(super) async fn nslookup_bind(process: Process) -> i32 {
    nslookup_with(&process, '#', false).await
}

/// busybox' nslookup before 1.29, which the documentation's tutorials use: it asks as other programs do, and names
/// each address.
pub(super) async fn nslookup_old(process: Process) -> i32 {
    let Some(asked) = question(&process) else {
        process.eprint("BusyBox v1.28.4 multi-call binary.\n\nUsage: nslookup [HOST] [SERVER]\n").await;
        return 1;
    };
    let interface = process.machine.interface();
    let server = asked.server.unwrap_or_else(|| server_of(interface));
    let numbered = async |addresses: Vec<IpAddr>| {
        let mut text = String::new();
        for (index, address) in addresses.iter().enumerate() {
            let name = match reverse_name(&address.to_string()) {
                Some(name) => look_up(interface, None, vec![name], RecordType::Ptr).await.answer,
                None => Answer::NxDomain,
            };
            let name = match name {
                Answer::Records(records) => records.into_iter().find_map(|record| match record.data {
                    RecordData::Ptr(name) => Some(name),
                    _ => None,
                }),
                _ => None,
            };
            text.push_str(&format!("Address {}: {address} {}", index + 1, name.unwrap_or_default()));
            text.truncate(text.trim_end().len());
            text.push('\n');
        }
        text
    };
    let head = numbered(server.parse().into_iter().collect()).await;
    process.print(format!("Server:    {server}\n{head}\n")).await;
    match process.machine.resolve(&asked.name).await {
        Ok(addresses) => {
            let lines = numbered(addresses).await;
            process.print(format!("Name:      {}\n{lines}", asked.name)).await;
            0
        }
        Err(_) => {
            process.eprint(format!("nslookup: can't resolve '{}'\n", asked.name)).await;
            1
        }
    }
}

/// BIND's `dig`: `[@server] [name] [type] [-x address] [+short] [+search] [+noall +answer]`.
pub(super) async fn dig(process: Process) -> i32 {
    let interface = process.machine.interface();
    let (mut name, mut kind, mut chosen) = (String::new(), RecordType::A, None);
    let (mut short, mut search, mut all, mut answer_only) = (false, false, true, false);
    let mut words = process.operands().iter();
    while let Some(word) = words.next() {
        if let Some(given) = word.strip_prefix('@') {
            chosen = match named_server(&process.machine, Some(given)).await {
                Ok(server) => server,
                Err(name) => {
                    process.eprint(format!("dig: couldn't get address for '{name}': not found\n")).await;
                    return 10;
                }
            };
        } else if let Some(flag) = word.strip_prefix('+') {
            match flag {
                "short" => short = true,
                "search" => search = true,
                "nosearch" => search = false,
                "noall" => all = false,
                "answer" => answer_only = true,
                _ => {}
            }
        } else if word == "-x" {
            let address = words.next().cloned().unwrap_or_default();
            let Some(reversed) = reverse_name(&address) else {
                process.eprint(format!("Invalid IP address {address}\n")).await;
                return 1;
            };
            (name, kind) = (reversed, RecordType::Ptr);
        } else if word == "-t" {
            kind = words.next().and_then(|word| record_type(word)).unwrap_or(kind);
        } else if let Some(given) = record_type(word) {
            kind = given;
        } else if !word.starts_with('-') && !matches!(word.to_ascii_uppercase().as_str(), "IN" | "ANY") {
            name = word.clone();
        }
    }
    let server = chosen.map_or_else(|| server_of(interface), |server| server.to_string());
    let absolute = name.trim_end_matches('.').to_owned();
    let names = if search { interface.resolv_conf().candidates(&absolute) } else { vec![absolute] };
    let begun = process.machine.now();
    let found = look_up(interface, chosen, names, kind).await;
    let waited = process.machine.now().duration_since(begun).as_millis();
    let header = format!("\n; <<>> DiG 9.18.28 <<>> {}\n;; global options: +cmd\n", process.operands().join(" "));
    let (status, records) = match found.answer {
        Answer::Records(records) => ("NOERROR", records),
        Answer::NxDomain | Answer::NotOurs => ("NXDOMAIN", Vec::new()),
        Answer::NoAnswer => {
            process.print(format!("{header};; connection timed out; no servers could be reached\n")).await;
            return 9;
        }
    };
    if short {
        let lines: String = records.iter().map(|record| format!("{}\n", record.data)).collect();
        process.print(lines).await;
        return 0;
    }
    let line =
        |record: &Record| format!("{}.\t{TTL_SECONDS}\tIN\t{}\t{}\n", record.name, type_name(record), record.data);
    let answers: String = records.iter().map(line).collect();
    if !all {
        process.print(if answer_only { answers } else { String::new() }).await;
        return 0;
    }
    let asked = TYPES.iter().find(|(_, known)| *known == kind).map_or("A", |(name, _)| name);
    let section = if answers.is_empty() { String::new() } else { format!(";; ANSWER SECTION:\n{answers}\n") };
    let size = 56 + found.name.len() * (1 + records.len()) + records.len() * 16;
    let text = format!(
        "{header};; Got answer:\n;; ->>HEADER<<- opcode: QUERY, status: {status}, id: {}\n\
         ;; flags: qr aa rd; QUERY: 1, ANSWER: {}, AUTHORITY: 0, ADDITIONAL: 1\n\
         ;; WARNING: recursion requested but not available\n\n;; OPT PSEUDOSECTION:\n; EDNS: version: 0, flags:; udp: 1232\n\
         ;; QUESTION SECTION:\n;{}.\t\tIN\t{asked}\n\n{section};; Query time: {waited} msec\n\
         ;; SERVER: {server}#53({server}) (UDP)\n;; WHEN: {}\n;; MSG SIZE  rcvd: {size}\n\n",
        process.machine.random() % 65536,
        records.len(),
        found.name,
        process.machine.now().strftime("%a %b %d %H:%M:%S UTC %Y"),
    );
    process.print(text).await;
    0
}

/// BIND's `host`.
pub(super) async fn host(process: Process) -> i32 {
    let Some(asked) = question(&process) else {
        process.eprint("Usage: host [-aCdilrTvVw] hostname [server]\n").await;
        return 1;
    };
    let interface = process.machine.interface();
    let backwards = reverse_name(&asked.name);
    let kind = if backwards.is_some() { RecordType::Ptr } else { RecordType::A };
    let names = backwards.map_or_else(|| interface.resolv_conf().candidates(&asked.name), |name| vec![name]);
    let Ok(chosen) = named_server(&process.machine, asked.server.as_deref()).await else {
        process
            .print(format!("host: couldn't get address for '{}': not found\n", asked.server.unwrap_or_default()))
            .await;
        return 1;
    };
    match look_up(interface, chosen, names, kind).await.answer {
        Answer::Records(records) => {
            for Record { name, data } in &records {
                let line = match data {
                    RecordData::Address(address) => format!("{name} has address {address}\n"),
                    RecordData::Cname(target) => format!("{name} is an alias for {target}.\n"),
                    RecordData::Ptr(target) => format!("{name} domain name pointer {target}.\n"),
                    RecordData::Srv { .. } => format!("{name} has SRV record {data}\n"),
                };
                process.print(line).await;
            }
            0
        }
        Answer::NoAnswer => {
            process.print(";; connection timed out; no servers could be reached\n").await;
            1
        }
        Answer::NxDomain | Answer::NotOurs => {
            process.print(format!("Host {} not found: 3(NXDOMAIN)\n", asked.name)).await;
            1
        }
    }
}

/// `getent hosts NAME`, `ahosts`, `passwd`, `group`.
pub(super) async fn getent(process: Process) -> i32 {
    let Some((database, keys)) = process.operands().split_first() else {
        return process.fail(1, "wrong number of arguments").await;
    };
    let mut code = 0;
    match database.as_str() {
        "hosts" | "ahosts" | "ahostsv4" => {
            for key in keys {
                match process.machine.resolve(key).await {
                    Ok(addresses) => {
                        let lines: String = addresses.iter().map(|address| format!("{address:<15} {key}\n")).collect();
                        process.print(lines).await;
                    }
                    Err(_) => code = 2,
                }
            }
        }
        "passwd" | "group" => {
            let text = process.fs().read_text(&format!("/etc/{database}")).unwrap_or_default();
            let wanted =
                |line: &&str| keys.is_empty() || keys.iter().any(|key| line.split(':').any(|part| part == key));
            let lines: String = text.lines().filter(wanted).map(|line| format!("{line}\n")).collect();
            code = if lines.is_empty() { 2 } else { 0 };
            process.print(lines).await;
        }
        other => return process.fail(1, format_args!("Unknown database: {other}")).await,
    }
    code
}

/// busybox' `ping`.
pub(super) async fn ping(process: Process) -> i32 {
    const INTERVAL: Duration = Duration::from_secs(1);
    let options = match super::options::Options::parse(process.operands(), "c:W:w:i:qnA46s:t:I:", &[]) {
        Ok(options) => options,
        Err(message) => return process.fail(1, message).await,
    };
    let Some(name) = options.operands.first() else { return process.fail(1, "missing host").await };
    if process.machine.capabilities() & capabilities::named("NET_RAW") == 0 {
        return process.fail(1, "permission denied (are you root?)").await;
    }
    let seconds = |letter: &str| options.value(letter).and_then(super::system::duration);
    let count: u64 = options.value("c").and_then(|count| count.parse().ok()).unwrap_or(u64::MAX);
    let limit = seconds("W").unwrap_or(Duration::from_secs(10));
    let interval = seconds("i").unwrap_or(INTERVAL);
    let interface = process.machine.interface().clone();
    let address = match process.machine.resolve(name).await.ok().and_then(|addresses| addresses.first().copied()) {
        Some(address) => address,
        None => return process.fail(1, format_args!("bad address '{name}'")).await,
    };
    process.print(format!("PING {name} ({address}): 56 data bytes\n")).await;
    process.signals.handle(Signal::Int);
    let sent = Cell::new(0_u64);
    let mut times = Vec::new();
    let pings = async {
        while sent.get() < count {
            let echo = interface.ping(address, limit).await;
            sent.set(sent.get() + 1);
            match echo {
                Some((time, hops)) => {
                    let ms = time.as_secs_f64() * 1000.0;
                    times.push(ms);
                    if !options.has("q") {
                        let (seq, ttl) = (sent.get() - 1, 64 - hops);
                        let line = format!("64 bytes from {address}: seq={seq} ttl={ttl} time={ms:.3} ms\n");
                        process.print(line).await;
                    }
                }
                // The next one is sent when its time has come, whether or not the last was answered.
                None => continue,
            }
            if sent.get() < count {
                process.sleep(interval).await;
            }
        }
    };
    let all = seconds("w").unwrap_or(Duration::MAX);
    let ended = select(Box::pin(process.signals.next()), process.machine.executor().sleep(all));
    select(Box::pin(pings), ended).await;
    let sent = sent.get().max(1);
    let lost = 100 - times.len() as u64 * 100 / sent;
    let mut text = format!(
        "\n--- {name} ping statistics ---\n{sent} packets transmitted, {} packets received, {lost}% packet loss\n",
        times.len()
    );
    if !times.is_empty() {
        let (least, most) = times.iter().fold((f64::MAX, 0.0_f64), |(least, most), ms| (least.min(*ms), most.max(*ms)));
        let mean = times.iter().sum::<f64>() / times.len() as f64;
        text.push_str(&format!("round-trip min/avg/max = {least:.3}/{mean:.3}/{most:.3} ms\n"));
    }
    process.print(text).await;
    i32::from(times.is_empty())
}
