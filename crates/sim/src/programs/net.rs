//! Tools for connections and addresses: nc, telnet, ip, ifconfig, netstat, ss.

use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use futures::future::{Either, select};

use super::options::Options;
use crate::io::Fd;
use crate::network::{CONNECT_TIMEOUT, ConnectError, TcpStream};
use crate::process::Process;

/// `nc`: `-z` to try a port, `-l` to wait for a connection, `-u` for datagrams, or a connection with standard input
/// and output.
pub(super) async fn nc(process: Process) -> i32 {
    let options = match Options::parse(process.operands(), "lzvnuw:p:k", &[]) {
        Ok(options) => options,
        Err(message) => return process.fail(1, message).await,
    };
    let interface = process.machine.interface().clone();
    let port = |text: &str| text.parse::<u16>().ok();
    if options.has("u") {
        return datagrams(&process, &options).await;
    }
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
        let connect = Box::pin(process.machine.connect(host, number));
        let connected = match select(connect, process.machine.executor().sleep(limit)).await {
            Either::Left((connected, _)) => connected,
            Either::Right(_) => Err(ConnectError::TimedOut),
        };
        match connected {
            Ok(stream) if options.has("z") => {
                if options.has("v") {
                    process.eprint(format!("{host} ({}) open\n", stream.info().dialled)).await;
                }
                return 0;
            }
            Ok(stream) => {
                if process.name() == "telnet" {
                    process.print(format!("Connected to {host}\n")).await;
                }
                stream
            }
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
    carry(&stream, &process.stdin(), &process.stdout()).await;
    0
}

/// Sends an input and writes what comes, until the other side ends.
pub(super) async fn carry(stream: &TcpStream, stdin: &Fd, stdout: &Fd) {
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
}

/// `nc -u`: a line is a datagram. With `-l`, whoever sends first is answered.
async fn datagrams(process: &Process, options: &Options) -> i32 {
    let port = |text: Option<&str>| text.and_then(|text| text.parse::<u16>().ok());
    let listens = options.has("l");
    let first = options.operands.first().map(String::as_str);
    let own = if listens { port(options.value("p").or(first)) } else { port(options.value("p")) };
    let socket = match process.machine.interface().bind(own.unwrap_or(0)) {
        Ok(socket) => socket,
        Err(error) => return process.fail(1, format_args!("bind: {error}")).await,
    };
    let peer = Cell::new(None);
    if !listens {
        let (Some(host), Some(number)) = (first, port(options.operands.get(1).map(String::as_str))) else {
            return process.fail(1, "missing host or port").await;
        };
        match process.machine.resolve(host).await.ok().and_then(|addresses| addresses.first().copied()) {
            Some(address) => peer.set(Some(SocketAddr::new(address, number))),
            None => return process.fail(1, format_args!("bad address '{host}'")).await,
        }
        if options.has("z") {
            // What nobody refuses is taken for open.
            let Some(to) = peer.get() else { return 1 };
            return i32::from(socket.send(to, Bytes::new()).await.is_err());
        }
    }
    let limit = options.value("w").and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
    let (stdin, stdout) = (process.stdin(), process.stdout());
    let up = Box::pin(async {
        loop {
            let part = stdin.read(65536).await.unwrap_or_default();
            let Some(to) = peer.get().filter(|_| !part.is_empty()) else { return std::future::pending::<()>().await };
            if socket.send(to, part).await.is_err() {
                return;
            }
        }
    });
    let down = Box::pin(async {
        loop {
            let next = Box::pin(socket.receive());
            let datagram = match limit {
                None => next.await,
                Some(limit) => match select(next, process.machine.executor().sleep(limit)).await {
                    Either::Left((datagram, _)) => datagram,
                    Either::Right(_) => return,
                },
            };
            if peer.get().is_none() {
                peer.set(Some(datagram.from));
            }
            if stdout.write_all(&datagram.data).await.is_err() {
                return;
            }
        }
    });
    match select(up, down).await {
        Either::Left(_) => 1,
        Either::Right(_) => 0,
    }
}

/// `ip addr`, `ip route`; `ifconfig`, `route`.
pub(super) async fn ip(process: Process) -> i32 {
    let address = process.machine.interface().address();
    let route = process.name() == "route" || process.operands().iter().any(|word| word.starts_with('r'));
    let text = match (process.name(), route) {
        ("ifconfig", _) => format!(
            "eth0      Link encap:Ethernet\n          inet addr:{address}  Mask:255.255.255.0\n          \
             UP BROADCAST RUNNING MULTICAST  MTU:1500  Metric:1\n\n\
             lo        Link encap:Local Loopback\n          inet addr:127.0.0.1  Mask:255.0.0.0\n          \
             UP LOOPBACK RUNNING  MTU:65536  Metric:1\n\n"
        ),
        ("route", _) => route_table(address),
        (_, true) => routes(address),
        _ => format!(
            "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN qlen 1000\n    inet 127.0.0.1/8 scope host lo\n\
             2: eth0@if3: <BROADCAST,MULTICAST,UP,LOWER_UP,M-DOWN> mtu 1500 qdisc noqueue state UP\n    inet {address}/24 scope global eth0\n"
        ),
    };
    i32::from(!process.print(text).await)
}

/// The way out of an address's network, that network, and the bits of its mask. Nodes are in Docker's network, pods in
/// their node's range.
fn gateway(address: IpAddr) -> (String, String, u8) {
    match address {
        IpAddr::V4(address) => match address.octets() {
            [172, b, ..] => (format!("172.{b}.0.1"), format!("172.{b}.0.0"), 16),
            [a, b, c, _] => (format!("{a}.{b}.{c}.1"), format!("{a}.{b}.{c}.0"), 24),
        },
        IpAddr::V6(address) => (address.to_string(), address.to_string(), 64),
    }
}

/// `ip route`, as in kind's pods and nodes.
fn routes(address: IpAddr) -> String {
    let (gateway, network, bits) = gateway(address);
    let own = match bits {
        16 => format!("{network}/{bits} dev eth0 scope link  src {address}\n"),
        _ => format!(
            "{network}/{bits} via {gateway} dev eth0  src {address}\n{gateway} dev eth0 scope link  src {address}\n"
        ),
    };
    format!("default via {gateway} dev eth0\n{own}")
}

/// `route -n`.
fn route_table(address: IpAddr) -> String {
    let (gateway, network, bits) = gateway(address);
    let mask = if bits == 16 { "255.255.0.0" } else { "255.255.255.0" };
    let own = match bits {
        16 => vec![(network.as_str(), "0.0.0.0", mask, "U")],
        _ => vec![
            (network.as_str(), gateway.as_str(), mask, "UG"),
            (gateway.as_str(), "0.0.0.0", "255.255.255.255", "UH"),
        ],
    };
    let mut text = String::from(
        "Kernel IP routing table\nDestination     Gateway         Genmask         Flags Metric Ref    Use Iface\n",
    );
    for (to, via, mask, flags) in [("0.0.0.0", gateway.as_str(), "0.0.0.0", "UG")].into_iter().chain(own) {
        text += &format!("{to:<15} {via:<15} {mask:<15} {flags:<5} {:<6} {:<6} {:>3} eth0\n", 0, 0, 0);
    }
    text
}

/// `netstat` and `ss`: the ports that are listened on.
pub(super) async fn netstat(process: Process) -> i32 {
    let ss = process.name() == "ss";
    let mut text = if ss {
        format!(
            "{:<6} {:<6} {:<6} {:<20} {:<20}\n",
            "State", "Recv-Q", "Send-Q", "Local Address:Port", "Peer Address:Port"
        )
    } else {
        format!(
            "Active Internet connections (only servers)\n{:<5} {:>6} {:>6} {:<23} {:<23} {}\n",
            "Proto", "Recv-Q", "Send-Q", "Local Address", "Foreign Address", "State"
        )
    };
    for port in process.machine.interface().listening_ports() {
        let local = format!("0.0.0.0:{port}");
        text.push_str(&match ss {
            true => format!("{:<6} {:<6} {:<6} {local:<20} {:<20}\n", "LISTEN", 0, 4096, "0.0.0.0:*"),
            false => format!("{:<5} {:>6} {:>6} {local:<23} {:<23} LISTEN\n", "tcp", 0, 0, "0.0.0.0:*"),
        });
    }
    i32::from(!process.print(text).await)
}
