//! DNS messages as they pass over a network: RFC 1035, with RFC 2782's SRV and as much of EDNS as says how large an
//! answer may be.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::dns::{Answer, Record, RecordData, RecordType, TTL_SECONDS};

/// What a resolver without EDNS takes in a datagram.
const DATAGRAM_BYTES: usize = 512;
const HEADER_BYTES: usize = 12;
/// The only class there is.
const INTERNET: u16 = 1;
/// How often a name in a message may lead to another place in it.
const JUMPS_MAX: usize = 16;

/// Answer code: all is well.
pub const NO_ERROR: u16 = 0;
/// Answer code: the server could not find out.
pub const SERVER_FAILURE: u16 = 2;
/// Answer code: the name does not exist.
pub const NO_SUCH_NAME: u16 = 3;
/// Answer code: no such kind of question.
pub const NOT_IMPLEMENTED: u16 = 4;
/// Answer code: the server does not want to say.
pub const REFUSED: u16 = 5;
const CODE: u16 = 0x000F;
const RESPONSE: u16 = 0x8000;
/// The bits that tell what kind of question a message is; 0 for a query.
pub const OPCODE: u16 = 0x7800;
/// The answer is the server's own.
pub const AUTHORITATIVE: u16 = 0x0400;
const TRUNCATED: u16 = 0x0200;
const RECURSION_DESIRED: u16 = 0x0100;
const RECURSION_AVAILABLE: u16 = 0x0080;

/// A question.
#[derive(Clone, Debug)]
pub struct Question {
    /// The asker's number for it.
    pub id: u16,
    /// Its flags.
    pub flags: u16,
    /// The name, in lower case, without the last dot.
    pub name: String,
    /// What is asked for, as a number.
    pub kind: u16,
    /// What the asker takes in a datagram, in bytes.
    pub size: usize,
    /// The question's bytes, as an answer repeats them.
    question: Vec<u8>,
}

impl Question {
    /// Reads a message; none if it is no question.
    pub fn parse(message: &[u8]) -> Option<Self> {
        let (id, flags, questions) = (word(message, 0)?, word(message, 2)?, word(message, 4)?);
        if flags & RESPONSE != 0 || questions != 1 {
            return None;
        }
        let (name, at) = read_name(message, HEADER_BYTES)?;
        let (kind, end) = (word(message, at)?, at + 4);
        word(message, at + 2)?;
        // EDNS says how much the asker takes: the class of a record of the root.
        const EDNS: u16 = 41;
        let edns = message.get(end) == Some(&0) && word(message, end + 1) == Some(EDNS);
        let size = word(message, end + 3).filter(|_| edns).map_or(DATAGRAM_BYTES, usize::from).max(DATAGRAM_BYTES);
        let question = message.get(HEADER_BYTES..end)?.to_vec();
        Some(Self { id, flags, name, kind, size, question })
    }

    /// What is asked for, where it is known here.
    pub fn record_type(&self) -> Option<RecordType> {
        match self.kind {
            1 => Some(RecordType::A),
            12 => Some(RecordType::Ptr),
            28 => Some(RecordType::Aaaa),
            33 => Some(RecordType::Srv),
            _ => None,
        }
    }

    /// An answer: its code, perhaps with [`AUTHORITATIVE`], and records.
    pub fn respond(&self, code: u16, records: &[(String, RecordData)]) -> Vec<u8> {
        let flags = RESPONSE | RECURSION_AVAILABLE | self.flags & RECURSION_DESIRED | code;
        let count = u16::try_from(records.len()).unwrap_or(u16::MAX);
        let mut out = Vec::new();
        for word in [self.id, flags, 1, count, 0, 0] {
            out.extend_from_slice(&word.to_be_bytes());
        }
        out.extend_from_slice(&self.question);
        for (name, data) in records.iter().take(count.into()) {
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

    /// Cuts an answer that a datagram does not hold down to its question: the asker comes again by TCP.
    pub fn fit(&self, mut response: Vec<u8>) -> Vec<u8> {
        if response.len() <= self.size {
            return response;
        }
        response.truncate(HEADER_BYTES + self.question.len());
        let [high, _] = TRUNCATED.to_be_bytes();
        if let Some(flags) = response.get_mut(2) {
            *flags |= high;
        }
        if let Some(count) = response.get_mut(6..8) {
            count.fill(0);
        }
        response
    }
}

/// A question for a name's records, from an asker that takes as much as a datagram of today's networks holds.
pub fn ask(id: u16, name: &str, kind: RecordType) -> Vec<u8> {
    const SIZE: u16 = 1232;
    let kind: u16 = match kind {
        RecordType::A => 1,
        RecordType::Ptr => 12,
        RecordType::Aaaa => 28,
        RecordType::Srv => 33,
    };
    let mut out = Vec::new();
    for word in [id, RECURSION_DESIRED, 1, 0, 0, 1] {
        out.extend_from_slice(&word.to_be_bytes());
    }
    out.extend_from_slice(&labels(name));
    for word in [kind, INTERNET] {
        out.extend_from_slice(&word.to_be_bytes());
    }
    out.extend_from_slice(&[0, 0, 41]);
    out.extend_from_slice(&SIZE.to_be_bytes());
    out.extend_from_slice(&[0; 6]);
    out
}

/// An answer as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// What it says. A server that could not find out has not answered.
    pub answer: Answer,
    /// It was cut: all of it comes by TCP.
    pub truncated: bool,
}

/// Reads the answer to the question of a number; none if it is none.
pub fn read(message: &[u8], id: u16) -> Option<Reply> {
    let (answers, flags) = (word(message, 6)?, word(message, 2)?);
    if word(message, 0)? != id || flags & RESPONSE == 0 {
        return None;
    }
    let truncated = flags & TRUNCATED != 0;
    let answer = match flags & CODE {
        NO_ERROR => Answer::Records(read_records(message, answers)?),
        NO_SUCH_NAME => Answer::NxDomain,
        _ => Answer::NoAnswer,
    };
    Some(Reply { answer, truncated })
}

fn read_records(message: &[u8], count: u16) -> Option<Vec<Record>> {
    let (_, mut at) = read_name(message, HEADER_BYTES)?;
    at += 4;
    let mut records = Vec::new();
    for _ in 0..count {
        let (name, after) = read_name(message, at)?;
        let (kind, length) = (word(message, after)?, usize::from(word(message, after + 8)?));
        let start = after + 10;
        let data = message.get(start..start + length)?;
        at = start + length;
        let data = match kind {
            1 => RecordData::Address(Ipv4Addr::from(<[u8; 4]>::try_from(data).ok()?).into()),
            28 => RecordData::Address(Ipv6Addr::from(<[u8; 16]>::try_from(data).ok()?).into()),
            5 => RecordData::Cname(read_name(message, start)?.0),
            12 => RecordData::Ptr(read_name(message, start)?.0),
            33 => RecordData::Srv {
                weight: word(message, start + 2)?,
                port: word(message, start + 4)?,
                target: read_name(message, start + 6)?.0,
            },
            _ => continue,
        };
        records.push(Record { name, data });
    }
    Some(records)
}

fn word(message: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]))
}

fn wire(data: &RecordData) -> (u16, Vec<u8>) {
    match data {
        RecordData::Address(IpAddr::V4(address)) => (1, address.octets().to_vec()),
        RecordData::Address(IpAddr::V6(address)) => (28, address.octets().to_vec()),
        RecordData::Cname(name) => (5, labels(name)),
        RecordData::Ptr(name) => (12, labels(name)),
        RecordData::Srv { weight, port, target } => {
            const PRIORITY: [u8; 2] = [0, 0];
            (33, [&PRIORITY[..], &weight.to_be_bytes(), &port.to_be_bytes(), &labels(target)].concat())
        }
    }
}

/// A name in a message, in lower case, and where it ends. It may end with another one before it.
fn read_name(message: &[u8], mut at: usize) -> Option<(String, usize)> {
    const LABEL_BYTES_MAX: u8 = 63;
    const ELSEWHERE: u8 = 0xC0;
    let (mut out, mut end, mut jumps) = (String::new(), None, 0);
    loop {
        let length = *message.get(at)?;
        if length & ELSEWHERE == ELSEWHERE {
            end = end.or(Some(at + 2));
            at = usize::from(word(message, at)? & 0x3FFF);
            jumps += 1;
            if jumps > JUMPS_MAX {
                return None;
            }
            continue;
        }
        at += 1;
        if length == 0 {
            return Some((out, end.unwrap_or(at)));
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
    use super::*;

    #[test]
    fn what_is_asked_and_answered_reads_back() {
        for kind in [RecordType::A, RecordType::Aaaa, RecordType::Srv, RecordType::Ptr] {
            let question = Question::parse(&ask(7, "Web.default.svc.cluster.local", kind)).unwrap();
            assert_eq!((question.id, question.record_type(), question.size), (7, Some(kind), 1232));
            assert_eq!(question.name, "web.default.svc.cluster.local");
        }
        let question = Question::parse(&ask(9, "a.b", RecordType::A)).unwrap();
        let records = [
            ("a.b".to_owned(), RecordData::Cname("c.d".into())),
            ("c.d".to_owned(), RecordData::Address([10, 0, 0, 1].into())),
            ("c.d".to_owned(), RecordData::Srv { weight: 50, port: 80, target: "e.f".into() }),
            ("c.d".to_owned(), RecordData::Ptr("g.h".into())),
        ];
        let message = question.respond(NO_ERROR | AUTHORITATIVE, &records);
        let wanted = records.iter().cloned().map(|(name, data)| Record { name, data }).collect();
        assert_eq!(read(&message, 9), Some(Reply { answer: Answer::Records(wanted), truncated: false }));
        assert_eq!(read(&message, 8), None);
        assert_eq!(read(&question.respond(NO_SUCH_NAME, &[]), 9).unwrap().answer, Answer::NxDomain);
        assert_eq!(read(&question.respond(SERVER_FAILURE, &[]), 9).unwrap().answer, Answer::NoAnswer);
        let many = vec![("a.b".to_owned(), RecordData::Address([10, 0, 0, 1].into())); 100];
        let cut = question.fit(question.respond(NO_ERROR, &many));
        assert!(read(&cut, 9).unwrap().truncated && cut.len() < 100);
    }

    #[test]
    fn nonsense_is_no_message() {
        assert_eq!(read_name(&[0xC0, 0], 0), None);
        for length in 0..40 {
            let message = ask(1, "web.default.svc.cluster.local", RecordType::A);
            assert!(Question::parse(&message[..length]).is_none());
            assert_eq!(read(&message[..length], 1), None);
        }
    }
}
