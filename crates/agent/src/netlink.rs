//! Netlink sockets. One belongs to the namespace in which its thread was when it was opened.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, send, socket_with, sockopt,
};

/// How long the kernel may take to answer.
const ANSWER_SECONDS_MAX: u64 = 10;
/// Room for a batch, which must be sent at once.
const SEND_BYTES: usize = 8 * 1024 * 1024;
const ANSWER_BYTES: usize = 64 * 1024;
/// Length of a message's header.
const HEADER_BYTES: usize = 16;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;

const REQUEST: u16 = 1;
const ACKNOWLEDGE: u16 = 4;
/// All objects, not one.
const DUMP: u16 = 0x300;

/// An open socket.
pub struct Socket(OwnedFd);

impl Socket {
    /// One for a protocol of netlink; routes and links without.
    pub fn open(protocol: Option<Protocol>) -> io::Result<Self> {
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?;
        // Beyond the system's limit where that is allowed.
        if sockopt::set_socket_send_buffer_size_force(&socket, SEND_BYTES).is_err() {
            sockopt::set_socket_send_buffer_size(&socket, SEND_BYTES)?;
        }
        let patience = Duration::from_secs(ANSWER_SECONDS_MAX);
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(patience))?;
        bind(&socket, &SocketAddrNetlink::new(0, 0))?;
        Ok(Self(socket))
    }

    /// Sends what ends with a message that is acknowledged, and waits for that, or for the first error.
    pub fn send(&self, messages: &[u8]) -> io::Result<()> {
        let answer = self.exchange(messages)?;
        match parts(&answer).next() {
            Some((NLMSG_ERROR, body)) => outcome(body),
            _ => Err(io::Error::other("the kernel gave no answer")),
        }
    }

    /// Has something changed.
    pub fn change(&self, kind: u16, flags: u16, body: &[u8]) -> io::Result<()> {
        self.send(&message(kind, REQUEST | ACKNOWLEDGE | flags, body))
    }

    /// The body of the one message that answers a question.
    pub fn ask(&self, kind: u16, body: &[u8]) -> io::Result<Vec<u8>> {
        let answer = self.exchange(&message(kind, REQUEST, body))?;
        match parts(&answer).next() {
            Some((NLMSG_ERROR, body)) => outcome(body).map(|()| Vec::new()),
            Some((_, body)) => Ok(body.to_vec()),
            None => Err(io::Error::other("the kernel gave no answer")),
        }
    }

    /// The bodies of all messages that answer a question.
    pub fn list(&self, kind: u16, body: &[u8]) -> io::Result<Vec<Vec<u8>>> {
        let mut answer = self.exchange(&message(kind, REQUEST | DUMP, body))?;
        let mut out = Vec::new();
        loop {
            for (kind, body) in parts(&answer) {
                match kind {
                    NLMSG_DONE => return Ok(out),
                    NLMSG_ERROR => return outcome(body).map(|()| out),
                    _ => out.push(body.to_vec()),
                }
            }
            answer = self.receive()?;
        }
    }

    fn exchange(&self, messages: &[u8]) -> io::Result<Vec<u8>> {
        if send(&self.0, messages, SendFlags::empty())? != messages.len() {
            return Err(io::Error::other("the kernel took half of a batch"));
        }
        self.receive()
    }

    fn receive(&self) -> io::Result<Vec<u8>> {
        let mut buffer = vec![0; ANSWER_BYTES];
        let (length, _) = recv(&self.0, buffer.as_mut_slice(), RecvFlags::empty())?;
        buffer.truncate(length);
        Ok(buffer)
    }
}

/// A message alone.
fn message(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
    let mut out = u32::try_from(HEADER_BYTES + body.len()).unwrap_or(u32::MAX).to_ne_bytes().to_vec();
    out.extend_from_slice(&kind.to_ne_bytes());
    out.extend_from_slice(&flags.to_ne_bytes());
    // Sequence and port: each answer is awaited.
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(body);
    out
}

/// Kinds and bodies of an answer's messages.
fn parts(mut answer: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::try_from(u32::from_ne_bytes(*answer.first_chunk()?)).ok()?;
        let kind = u16::from_ne_bytes(answer.get(4..6)?.try_into().ok()?);
        let body = answer.get(HEADER_BYTES..length)?;
        answer = answer.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, body))
    })
}

/// What an error message says; 0 is an acknowledgement.
fn outcome(body: &[u8]) -> io::Result<()> {
    match body.first_chunk().map(|code| i32::from_ne_bytes(*code)) {
        Some(0) => Ok(()),
        Some(code) => Err(io::Error::from_raw_os_error(code.saturating_neg())),
        None => Err(io::Error::other("the kernel gave no answer")),
    }
}

/// The value of an attribute among some, in a body after its fixed part.
pub fn find(body: &[u8], fixed: usize, wanted: u16) -> Option<&[u8]> {
    let mut rest = body.get(fixed..)?;
    loop {
        let length = usize::from(u16::from_ne_bytes(*rest.first_chunk()?));
        let kind = u16::from_ne_bytes(rest.get(2..4)?.try_into().ok()?);
        if kind == wanted {
            return rest.get(4..length);
        }
        rest = rest.get(length.max(4).next_multiple_of(4)..)?;
    }
}

/// An attribute that is a number.
pub fn number(body: &[u8], fixed: usize, wanted: u16) -> Option<u32> {
    find(body, fixed, wanted)?.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}
