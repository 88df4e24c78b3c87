//! Tools for the network: curl, wget, nslookup, nc, ping, ip.

use std::time::Duration;

use futures::future::{Either, select};
use proxy::dns::{Answer, RecordType};

use super::options::Options;
use crate::network::{CONNECT_TIMEOUT, ConnectError};
use crate::process::Process;

pub(super) async fn nslookup(process: Process) -> i32 {
    let options = process.operands().iter().filter(|word| word.starts_with('-'));
    let kind =
        options.filter_map(|word| word.split_once('=')).find(|(name, _)| matches!(*name, "-type" | "-q" | "-query"));
    let kind = match kind.map(|(_, kind)| kind.to_ascii_uppercase()).as_deref() {
        Some("SRV") => RecordType::Srv,
        Some("AAAA") => RecordType::Aaaa,
        Some("PTR") => RecordType::Ptr,
        _ => RecordType::A,
    };
    let Some(name) = process.operands().iter().find(|word| !word.starts_with('-')) else {
        process.eprint("Usage: nslookup [-type=QUERY_TYPE] [-debug] HOST [DNS_SERVER]\n").await;
        return 1;
    };
    let interface = process.machine.interface();
    let conf = interface.resolv_conf().clone();
    let server = conf.nameservers.first().map_or_else(|| "127.0.0.1".to_owned(), ToString::to_string);
    process.print(format!("Server:\t\t{server}\nAddress:\t{server}:53\n\n")).await;
    let query = match name.parse::<std::net::Ipv4Addr>() {
        Ok(address) => {
            let [a, b, c, d] = address.octets();
            vec![format!("{d}.{c}.{b}.{a}.in-addr.arpa")]
        }
        Err(_) => conf.candidates(name),
    };
    let kind = if query.first().is_some_and(|name| name.ends_with(".in-addr.arpa")) { RecordType::Ptr } else { kind };
    let last = query.last().cloned().unwrap_or_default();
    for candidate in query {
        let Answer::Records(records) = interface.query(&candidate, kind).await else { continue };
        for record in &records {
            let line = match kind {
                RecordType::Srv => format!("{}\tservice = {}\n", record.name, record.data),
                RecordType::Ptr => {
                    format!("{}\tname = {}\n", record.name, record.data.to_string().trim_end_matches('.'))
                }
                _ => match &record.data {
                    proxy::dns::RecordData::Cname(target) => format!("{}\tcanonical name = {target}\n", record.name),
                    data => format!("Name:\t{}\nAddress: {data}\n", record.name),
                },
            };
            process.print(line).await;
        }
        if records.is_empty() {
            process.print("*** Can't find ").await;
            process.print(format!("{candidate}: No answer\n")).await;
        }
        process.print("\n").await;
        return 0;
    }
    process.print(format!("** server can't find {last}: NXDOMAIN\n\n")).await;
    1
}

/// `nc`: `-z` to try a port, `-l` to wait for a connection, or a connection with standard input and
/// output.
pub(super) async fn nc(process: Process) -> i32 {
    let options = match Options::parse(process.operands(), "lzvnw:p:k", &[]) {
        Ok(options) => options,
        Err(message) => return process.fail(1, message).await,
    };
    let interface = process.machine.interface().clone();
    let port = |text: &str| text.parse::<u16>().ok();
    let stream = if options.has("l") {
        let wanted = options.value("p").or(options.operands.first().map(String::as_str)).and_then(port);
        match interface.listen(wanted.unwrap_or(0)) {
            Ok((_, listener)) => listener.accept().await,
            Err(error) => return process.fail(1, format_args!("bind: {error}")).await,
        }
    } else {
        let (Some(host), Some(number)) =
            (options.operands.first(), options.operands.get(1).and_then(|text| port(text)))
        else {
            return process.fail(1, "missing host or port").await;
        };
        let limit =
            options.value("w").and_then(|seconds| seconds.parse().ok()).map_or(CONNECT_TIMEOUT, Duration::from_secs);
        let connect = Box::pin(interface.connect(host, number));
        let connected = match select(connect, process.machine.executor().sleep(limit)).await {
            Either::Left((connected, _)) => connected,
            Either::Right(_) => Err(ConnectError::TimedOut),
        };
        match connected {
            Ok(stream) if options.has("z") => {
                if options.has("v") {
                    process.eprint(format!("{host} ({}) open\n", stream.info().remote)).await;
                }
                return 0;
            }
            Ok(stream) => stream,
            Err(ConnectError::NameNotFound(name)) => {
                return process.fail(1, format_args!("bad address '{name}'")).await;
            }
            Err(error) => {
                return if options.has("z") && !options.has("v") {
                    1
                } else {
                    process.fail(1, format_args!("{host} ({host}:{number}): {error}")).await
                };
            }
        }
    };
    let (stdin, stdout) = (process.stdin(), process.stdout());
    let up = Box::pin(async {
        loop {
            let part = stdin.read(65536).await.unwrap_or_default();
            if part.is_empty() || stream.write_all(&part).await.is_err() {
                stream.shutdown();
                return std::future::pending::<()>().await;
            }
        }
    });
    let down = Box::pin(async {
        loop {
            let part = stream.read(65536).await.unwrap_or_default();
            if part.is_empty() || stdout.write_all(&part).await.is_err() {
                return;
            }
        }
    });
    select(up, down).await;
    0
}

/// `ip addr`, `ip route`; `ifconfig`.
pub(super) async fn ip(process: Process) -> i32 {
    let address = process.machine.interface().address();
    let route = process.operands().first().is_some_and(|word| word.starts_with('r'));
    let text = if route {
        format!("default dev eth0\n{address} dev eth0 scope link src {address}\n")
    } else {
        format!(
            "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN qlen 1000\n    inet 127.0.0.1/8 scope host lo\n\
             2: eth0@if3: <BROADCAST,MULTICAST,UP,LOWER_UP,M-DOWN> mtu 1500 qdisc noqueue state UP\n    inet {address}/24 scope global eth0\n"
        )
    };
    i32::from(!process.print(text).await)
}
