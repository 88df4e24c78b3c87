//! What `playground serve` and its agent say to each other.
//!
//! The agent is the program in the cluster's own containers on Docker. It is started inside a container
//! by an exec of the Docker Engine, whose standard input and output carry [`Frame`]s: that way works
//! wherever the Docker socket is reachable, needs no port, and ends with `serve`. The agent knows nothing
//! of Kubernetes. It puts what it is given into the kernel, in the network namespace of a given process,
//! and passes on what arrives at its sockets.

use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddrV4};

/// What a frame is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// From the agent: its sockets are open. No payload.
    Ready = 1,
    /// To the agent: put something in force in the namespace of a process. The payload is a [`Program`].
    Program = 2,
    /// From the agent: a program's outcome, by its id. The payload is empty, or says what went wrong.
    Programmed = 3,
    /// From the agent: a datagram for the name server.
    Query = 4,
    /// To the agent: the answer to a datagram, by its id.
    Answer = 5,
    /// From the agent: a connection was accepted. The payload is the port, two bytes.
    Open = 6,
    /// Either way: bytes of a connection, at most as many as the other end has room for.
    Data = 7,
    /// Either way: no more bytes of a connection come from this side.
    Shut = 8,
    /// Either way: there is room for more bytes of a connection. The payload is their count, four bytes.
    Room = 9,
    /// To the agent: open a connection to an address of the network. The payload is a [`place`].
    Dial = 10,
    /// From the agent: the outcome of a dial, by its id, which is the connection's from then on. The payload
    /// is empty, or says what went wrong.
    Dialled = 11,
}

/// The ids of connections that are dialled have this bit; those that the agent accepts have not.
pub const DIALLED: u32 = 1 << 31;

/// Bytes of a connection that may be on their way unacknowledged, each way.
pub const WINDOW_BYTES: usize = 256 * 1024;
/// Most bytes of a connection in one frame.
pub const DATA_BYTES_MAX: usize = 32 * 1024;
/// No frame has a longer payload.
pub const PAYLOAD_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Length of a frame before its payload: kind, id, length.
pub const HEAD_BYTES: usize = 9;

/// The name server's port.
pub const DNS_PORT: u16 = 53;
/// The API server's port.
pub const API_PORT: u16 = 6443;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it is about.
    pub kind: Kind,
    /// Which program, query or connection it is about.
    pub id: u32,
    /// What it says.
    pub payload: Vec<u8>,
}

impl Frame {
    /// A frame.
    pub fn new(kind: Kind, id: u32, payload: impl Into<Vec<u8>>) -> Self {
        Self { kind, id, payload: payload.into() }
    }

    /// The frame that gives room for more bytes.
    pub fn room(id: u32, bytes: usize) -> Self {
        Self::new(Kind::Room, id, u32::try_from(bytes).unwrap_or(u32::MAX).to_le_bytes())
    }

    /// The count in a frame that gives room.
    pub fn bytes(&self) -> usize {
        let count = self.payload.get(..4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes);
        usize::try_from(count).unwrap_or_default()
    }

    /// As it goes over the wire.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEAD_BYTES + self.payload.len());
        out.push(self.kind as u8);
        out.extend_from_slice(&self.id.to_le_bytes());
        out.extend_from_slice(&u32::try_from(self.payload.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend_from_slice(&self.payload);
        out
    }

    /// Kind, id, and length of the payload that follows.
    ///
    /// # Errors
    /// When that is no frame's head.
    pub fn parse_head(head: [u8; HEAD_BYTES]) -> io::Result<(Kind, u32, usize)> {
        const KINDS: [Kind; 11] = [
            Kind::Ready,
            Kind::Program,
            Kind::Programmed,
            Kind::Query,
            Kind::Answer,
            Kind::Open,
            Kind::Data,
            Kind::Shut,
            Kind::Room,
            Kind::Dial,
            Kind::Dialled,
        ];
        let [kind, a, b, c, d, length @ ..] = head;
        let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
        let kind = KINDS.into_iter().find(|known| *known as u8 == kind).filter(|_| length <= PAYLOAD_BYTES_MAX);
        let kind = kind.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not a frame"))?;
        Ok((kind, u32::from_le_bytes([a, b, c, d]), length))
    }

    /// The next frame; none where the stream ends between two.
    ///
    /// # Errors
    /// When the stream fails, ends inside a frame or carries something else.
    pub fn read(from: &mut impl Read) -> io::Result<Option<Self>> {
        let mut head = [0; HEAD_BYTES];
        let (first, rest) = head.split_at_mut(1);
        if from.read(first)? == 0 {
            return Ok(None);
        }
        from.read_exact(rest)?;
        let (kind, id, length) = Self::parse_head(head)?;
        let mut payload = vec![0; length];
        from.read_exact(&mut payload)?;
        Ok(Some(Self { kind, id, payload }))
    }
}

/// An address and port, as [`Kind::Dial`] has them.
pub fn place(address: SocketAddrV4) -> Vec<u8> {
    let mut out = address.ip().octets().to_vec();
    out.extend_from_slice(&address.port().to_le_bytes());
    out
}

/// The address and port of a [`place`], if that is one.
pub fn read_place(payload: &[u8]) -> Option<SocketAddrV4> {
    let [a, b, c, d, port @ ..] = payload else { return None };
    Some(SocketAddrV4::new([*a, *b, *c, *d].into(), u16::from_le_bytes(port.try_into().ok()?)))
}

/// Why a connection was not made, in the words of Go's dialer.
pub fn why(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connect: connection refused".into(),
        io::ErrorKind::HostUnreachable => "connect: no route to host".into(),
        io::ErrorKind::NetworkUnreachable => "connect: network is unreachable".into(),
        io::ErrorKind::TimedOut => "i/o timeout".into(),
        _ => error.to_string(),
    }
}

/// What is to be in force in a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// A process in the namespace, as the host numbers it.
    pub pid: u32,
    /// One of the process's arguments: by it the agent knows that the process is still the one meant.
    pub argument: String,
    /// The link that the namespace is to have, if it is the agent that makes it.
    pub link: Option<Link>,
    /// Addresses that the namespace's link has beside its own; none where they are not the agent's business.
    pub held: Option<Vec<Ipv4Addr>>,
    /// Messages of nfnetlink, to be sent at once; the last but one wants to be acknowledged.
    pub batch: Vec<u8>,
}

/// A namespace's link into the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its address.
    pub address: Ipv4Addr,
    /// How many bits of it are the network's.
    pub bits: u8,
    /// Where packets for elsewhere go.
    pub gateway: Ipv4Addr,
}

impl Program {
    /// A frame's payload.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = self.pid.to_le_bytes().to_vec();
        out.push(u8::try_from(self.argument.len()).unwrap_or_default());
        out.extend_from_slice(self.argument.as_bytes());
        out.push(u8::from(self.link.is_some()));
        if let Some(Link { address, bits, gateway }) = self.link {
            out.extend_from_slice(&address.octets());
            out.push(bits);
            out.extend_from_slice(&gateway.octets());
        }
        out.push(u8::from(self.held.is_some()));
        if let Some(held) = &self.held {
            out.push(u8::try_from(held.len()).unwrap_or(u8::MAX));
            held.iter().take(usize::from(u8::MAX)).for_each(|address| out.extend_from_slice(&address.octets()));
        }
        out.extend_from_slice(&self.batch);
        out
    }

    /// From a frame's payload.
    pub fn decode(payload: &[u8]) -> Option<Self> {
        let mut rest = payload;
        let mut take = |count: usize| -> Option<&[u8]> {
            let (taken, left) = rest.split_at_checked(count)?;
            rest = left;
            Some(taken)
        };
        let address = |bytes: &[u8]| Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?));
        let pid = u32::from_le_bytes(take(4)?.try_into().ok()?);
        let length = *take(1)?.first()?;
        let argument = String::from_utf8(take(length.into())?.to_vec()).ok()?;
        let link = match take(1)? {
            [0] => None,
            _ => {
                let own = address(take(4)?)?;
                let bits = *take(1)?.first()?;
                Some(Link { address: own, bits, gateway: address(take(4)?)? })
            }
        };
        let held = match take(1)? {
            [0] => None,
            _ => {
                let count = *take(1)?.first()?;
                Some((0..count).map(|_| address(take(4)?)).collect::<Option<Vec<_>>>()?)
            }
        };
        Some(Self { pid, argument, link, held, batch: rest.to_vec() })
    }
}

/// A netlink attribute: its length, kind and value, and as many zeros as the next one's place wants.
pub fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    const HEADER_BYTES: usize = 4;
    let length = HEADER_BYTES + value.len();
    let mut out = Vec::with_capacity(length.next_multiple_of(4));
    out.extend_from_slice(&u16::try_from(length).unwrap_or(u16::MAX).to_ne_bytes());
    out.extend_from_slice(&kind.to_ne_bytes());
    out.extend_from_slice(value);
    out.resize(length.next_multiple_of(4), 0);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_and_programs_read_back() {
        let link = Link { address: [10, 244, 0, 7].into(), bits: 16, gateway: [10, 244, 0, 1].into() };
        let held = Some(vec![[10, 244, 253, 1].into(), [10, 244, 253, 2].into()]);
        let program = Program { pid: 7, argument: "uid-1".into(), link: Some(link), held, batch: vec![1, 2, 3] };
        let bare = Program { link: None, held: None, ..program.clone() };
        assert_eq!(Program::decode(&bare.encode()), Some(bare));
        let frames = [Frame::new(Kind::Program, 3, program.encode()), Frame::room(9, 70_000)];
        let bytes: Vec<u8> = frames.iter().flat_map(Frame::encode).collect();
        let mut input = bytes.as_slice();
        for frame in &frames {
            assert_eq!(Frame::read(&mut input).unwrap().as_ref(), Some(frame));
        }
        assert_eq!(Frame::read(&mut input).unwrap(), None);
        assert_eq!(Program::decode(&frames[0].payload), Some(program));
        assert_eq!(frames[1].bytes(), 70_000);
        let address = SocketAddrV4::new([10, 244, 0, 7].into(), 8080);
        assert_eq!(read_place(&place(address)), Some(address));
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        for bytes in [&[1, 0, 0][..], &[99; HEAD_BYTES], &[7, 0, 0, 0, 0, 255, 255, 255, 255]] {
            Frame::read(&mut &bytes[..]).unwrap_err();
        }
        assert_eq!(Program::decode(&[1, 0, 0, 0, 200, 1]), None);
        assert_eq!(Program::decode(&[1, 0, 0, 0, 0, 0, 1, 9, 10, 244]), None);
        assert_eq!(read_place(&[1, 2, 3, 4, 5]), None);
    }
}
