//! Links between namespaces and the pods' network: a pair of virtual interfaces, one end of which is the namespace's
//! `eth0`, the other a port of the bridge that Docker made for the network.
//!
//! Docker would do the same, three times as slowly: for each container it starts itself anew up to three times, to make
//! a namespace, to hand it over, and to set up a name server that pods have no use for.
//!
//! The numbers are those of `linux/rtnetlink.h`, `linux/if_link.h` and `linux/if_addr.h`.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::{Mutex, PoisonError};

use playground_agent::{Link, attribute};

use crate::netlink::{Socket, find, number};

const NAME: &[u8] = b"eth0\0";

const NEW_LINK: u16 = 16;
const GET_LINK: u16 = 18;
const SET_LINK: u16 = 19;
const NEW_ADDRESS: u16 = 20;
const DELETE_ADDRESS: u16 = 21;
const GET_ADDRESS: u16 = 22;
const NEW_ROUTE: u16 = 24;

const EXCLUSIVE: u16 = 0x200;
const CREATE: u16 = 0x400;
const NESTED: u16 = 0x8000;

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_AF_SPEC: u16 = 26;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_LINK_NETNSID: u16 = 37;
const IFLA_TARGET_NETNSID: u16 = 46;

const AF_INET: u8 = 2;
const AF_INET6: u16 = 10;
const IFF_UP: u32 = 1;
const ENODEV: i32 = 19;

/// Length of the fixed part of messages about links, and of those about addresses.
const LINK_BYTES: usize = 16;
const ADDRESS_BYTES: usize = 8;

/// This program's own link, which is like those that it makes: its other end is a port of the bridge. By it the bridge
/// is found in whatever namespace Docker keeps it, which need not be entered.
pub struct Uplink {
    socket: Mutex<Socket>,
}

/// The network's bridge.
struct Bridge {
    /// Its namespace, as this program's own numbers it.
    namespace: u32,
    /// Its number there.
    index: u32,
    mtu: u32,
}

impl Uplink {
    /// In the namespace of this thread.
    pub fn open() -> io::Result<Self> {
        Ok(Self { socket: Mutex::new(Socket::open(None)?) })
    }
}

fn bridge(socket: &Socket) -> io::Result<Bridge> {
    let missing = |what: &str| io::Error::other(format!("the agent's link has no {what}"));
    let own = socket.ask(GET_LINK, &[link(0, 0), attribute(IFLA_IFNAME, NAME)].concat())?;
    let other_end = number(&own, LINK_BYTES, IFLA_LINK).ok_or_else(|| missing("other end"))?;
    let namespace = number(&own, LINK_BYTES, IFLA_LINK_NETNSID).ok_or_else(|| missing("namespace beside its own"))?;
    let target = attribute(IFLA_TARGET_NETNSID, &namespace.to_ne_bytes());
    let port = socket.ask(GET_LINK, &[link(other_end, 0), target].concat())?;
    let index = number(&port, LINK_BYTES, IFLA_MASTER).ok_or_else(|| missing("bridge"))?;
    const ETHERNET_MTU: u32 = 1500;
    Ok(Bridge { namespace, index, mtu: number(&own, LINK_BYTES, IFLA_MTU).unwrap_or(ETHERNET_MTU) })
}

/// Makes a namespace's link, or what of it is missing. `inside` is a socket of that namespace.
pub fn make(uplink: &Uplink, inside: &Socket, namespace: &File, wanted: &Link) -> io::Result<()> {
    let index = match find_link(inside)? {
        Some(index) => index,
        None => {
            let socket = uplink.socket.lock().unwrap_or_else(PoisonError::into_inner);
            pair(&socket, namespace, wanted.address)?;
            drop(socket);
            find_link(inside)?.ok_or_else(|| io::Error::other("the link that was made is not there"))?
        }
    };
    // No addresses of a kind that rules are not made for. Fails where the kernel does not know that kind.
    const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
    const NONE: u8 = 1;
    let of_ipv6 = attribute(AF_INET6 | NESTED, &attribute(IFLA_INET6_ADDR_GEN_MODE, &[NONE]));
    let _ = inside.change(SET_LINK, 0, &[link(index, 0), attribute(IFLA_AF_SPEC | NESTED, &of_ipv6)].concat());
    const LOOPBACK: u32 = 1;
    for index in [LOOPBACK, index] {
        inside.change(NEW_LINK, 0, &link(index, IFF_UP))?;
    }
    there(inside.change(NEW_ADDRESS, CREATE | EXCLUSIVE, &address(index, wanted.address, wanted.bits)))?;
    there(inside.change(NEW_ROUTE, CREATE | EXCLUSIVE, &default_route(wanted.gateway)))
}

/// Makes the pair: one end for the namespace, the other the bridge's.
fn pair(socket: &Socket, namespace: &File, own: Ipv4Addr) -> io::Result<()> {
    const IFLA_INFO_KIND: u16 = 1;
    const IFLA_INFO_DATA: u16 = 2;
    const VETH_INFO_PEER: u16 = 1;
    let Bridge { namespace: beside, index, mtu } = bridge(socket)?;
    // As Docker has them: a neighbour that knew the last one with this address knows the next.
    let hardware = [&[0x02, 0x42][..], &own.octets()].concat();
    let inner = [
        link(0, 0),
        attribute(IFLA_IFNAME, NAME),
        attribute(IFLA_ADDRESS, &hardware),
        attribute(IFLA_MTU, &mtu.to_ne_bytes()),
        attribute(IFLA_NET_NS_FD, &namespace.as_raw_fd().to_ne_bytes()),
    ];
    let info = [
        attribute(IFLA_INFO_KIND, b"veth"),
        attribute(IFLA_INFO_DATA | NESTED, &attribute(VETH_INFO_PEER | NESTED, &inner.concat())),
    ];
    let outer = [
        link(0, IFF_UP),
        attribute(IFLA_MTU, &mtu.to_ne_bytes()),
        attribute(IFLA_MASTER, &index.to_ne_bytes()),
        attribute(IFLA_TARGET_NETNSID, &beside.to_ne_bytes()),
        attribute(IFLA_LINKINFO | NESTED, &info.concat()),
    ];
    socket.change(NEW_LINK, CREATE | EXCLUSIVE, &outer.concat())
}

/// Gives a namespace's link just these addresses beside its own, each alone in its network.
pub fn hold(inside: &Socket, wanted: &[Ipv4Addr]) -> io::Result<()> {
    const ALONE: u8 = 32;
    const IFA_LOCAL: u16 = 2;
    let index = find_link(inside)?.ok_or_else(|| io::Error::from_raw_os_error(ENODEV))?;
    let mut has = Vec::new();
    for found in inside.list(GET_ADDRESS, &[AF_INET, 0, 0, 0, 0, 0, 0, 0])? {
        let Some([_, bits, _, _, on @ ..]) = found.first_chunk::<ADDRESS_BYTES>() else { continue };
        let local = find(&found, ADDRESS_BYTES, IFA_LOCAL).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
        if let Some(local) = local.filter(|_| *bits == ALONE && u32::from_ne_bytes(*on) == index) {
            has.push(Ipv4Addr::from(local));
        }
    }
    for gone in has.iter().filter(|address| !wanted.contains(address)) {
        inside.change(DELETE_ADDRESS, 0, &address(index, *gone, ALONE))?;
    }
    for new in wanted.iter().filter(|address| !has.contains(address)) {
        there(inside.change(NEW_ADDRESS, CREATE | EXCLUSIVE, &address(index, *new, ALONE)))?;
        tell_neighbours(*new);
    }
    Ok(())
}

/// Has the kernel look for a neighbour that is not there, in the name of an address: all who hear it, and knew the
/// address elsewhere, know now that it is here. Nothing is lost if that fails, it takes them longer.
fn tell_neighbours(address: Ipv4Addr) {
    const DISCARD: u16 = 9;
    let nobody = Ipv4Addr::from(u32::from(address) | 0xff);
    let _ = UdpSocket::bind((address, 0)).and_then(|socket| socket.send_to(&[], (nobody, DISCARD)));
}

/// The number of a namespace's link, if it has one.
fn find_link(inside: &Socket) -> io::Result<Option<u32>> {
    match inside.ask(GET_LINK, &[link(0, 0), attribute(IFLA_IFNAME, NAME)].concat()) {
        Ok(found) => Ok(found.get(4..8).and_then(|bytes| bytes.try_into().ok()).map(u32::from_ne_bytes)),
        Err(error) if error.raw_os_error() == Some(ENODEV) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What is there already is what is wanted.
fn there(outcome: io::Result<()>) -> io::Result<()> {
    outcome.or_else(|error| if error.kind() == io::ErrorKind::AlreadyExists { Ok(()) } else { Err(error) })
}

/// The fixed part of a message about a link: its number, or 0, and flags to be set.
fn link(index: u32, flags: u32) -> Vec<u8> {
    [[0; 4], index.to_ne_bytes(), flags.to_ne_bytes(), flags.to_ne_bytes()].concat()
}

fn address(index: u32, own: Ipv4Addr, bits: u8) -> Vec<u8> {
    const IFA_ADDRESS: u16 = 1;
    const IFA_LOCAL: u16 = 2;
    const IFA_BROADCAST: u16 = 4;
    let mut out = vec![AF_INET, bits, 0, 0];
    out.extend_from_slice(&index.to_ne_bytes());
    out.extend(attribute(IFA_LOCAL, &own.octets()));
    out.extend(attribute(IFA_ADDRESS, &own.octets()));
    if let Some(others) = u32::MAX.checked_shr(bits.into()) {
        out.extend(attribute(IFA_BROADCAST, &(u32::from(own) | others).to_be_bytes()));
    }
    out
}

fn default_route(gateway: Ipv4Addr) -> Vec<u8> {
    const MAIN_TABLE: u8 = 254;
    const BOOT: u8 = 3;
    const UNICAST: u8 = 1;
    const RTA_GATEWAY: u16 = 5;
    let fixed = [AF_INET, 0, 0, 0, MAIN_TABLE, BOOT, 0, UNICAST, 0, 0, 0, 0];
    [&fixed[..], &attribute(RTA_GATEWAY, &gateway.octets())].concat()
}
