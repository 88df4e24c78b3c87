//! Batches of nf_tables messages, as `nft -f` would send them: one table, replaced as a whole.
//!
//! The kernel's names and numbers are those of `linux/netfilter/nf_tables.h`. Numbers are big-endian,
//! but for headers, attribute lengths, and what expressions compute.

use std::net::Ipv4Addr;

use playground_agent::attribute;

/// The table's name: everything of ours in a namespace is in it.
const TABLE: &str = "playground";

const NFPROTO_IPV4: u8 = 2;
const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const NEW_TABLE: u16 = 0;
const DELETE_TABLE: u16 = 2;
const NEW_CHAIN: u16 = 3;
const NEW_RULE: u16 = 6;
const NEW_SET: u16 = 9;
const NEW_ELEMENTS: u16 = 12;
const REQUEST: u16 = 1;
const ACKNOWLEDGE: u16 = 4;
const CREATE: u16 = 0x400;
const APPEND: u16 = 0x800;
const NESTED: u16 = 0x8000;
/// `NFTA_LIST_ELEM`
const ITEM: u16 = 1;
/// Elements of one message: an attribute's length has 16 bits.
const ELEMENTS_AT_ONCE: usize = 500;

/// Where a chain hangs in a packet's way.
#[derive(Clone, Copy)]
pub enum Hook {
    Prerouting = 0,
    Input = 1,
    Output = 3,
    Postrouting = 4,
}

/// What becomes of a packet.
#[derive(Clone)]
pub enum Verdict {
    Drop,
    Accept,
    Goto(String),
}

/// A register of 32 bits, by its number; those from 0 to 3 are the 128 bits that sets are asked with.
#[derive(Clone, Copy)]
pub struct Register(pub u32);

impl Register {
    fn number(self) -> [u8; 4] {
        const FIRST_OF_32_BITS: u32 = 8;
        (FIRST_OF_32_BITS + self.0).to_be_bytes()
    }
}

/// One step of a rule.
pub struct Expression(Vec<u8>);

/// Messages to be sent at once.
pub struct Batch {
    bytes: Vec<u8>,
    sequence: u32,
    sets: u32,
}

impl Batch {
    /// A batch that empties the table.
    pub fn new() -> Self {
        let mut batch = Self { bytes: Vec::new(), sequence: 0, sets: 0 };
        batch.bare(BATCH_BEGIN, REQUEST);
        let name = text(1, TABLE);
        // Made first, so that there is one to be deleted.
        batch.message(NEW_TABLE, CREATE, &name);
        batch.message(DELETE_TABLE, 0, &name);
        batch.message(NEW_TABLE, CREATE, &name);
        batch
    }

    /// A chain that only other chains lead to.
    pub fn chain(&mut self, name: &str) {
        self.message(NEW_CHAIN, CREATE, &[text(1, TABLE), text(3, name)].concat());
    }

    /// A chain at a hook. `kind` is `nat` or `filter`; the lower the priority, the earlier.
    pub fn base_chain(&mut self, name: &str, kind: &str, hook: Hook, priority: i32) {
        let hook = [number(1, hook as u32), attribute(2, &priority.to_be_bytes())].concat();
        let all = [text(1, TABLE), text(3, name), attribute(4 | NESTED, &hook), text(7, kind)].concat();
        self.message(NEW_CHAIN, CREATE, &all);
    }

    /// A rule at a chain's end.
    pub fn rule(&mut self, chain: &str, expressions: impl IntoIterator<Item = Expression>) {
        let list: Vec<u8> =
            expressions.into_iter().flat_map(|expression| attribute(ITEM | NESTED, &expression.0)).collect();
        let all = [text(1, TABLE), text(2, chain), attribute(4 | NESTED, &list)].concat();
        self.message(NEW_RULE, CREATE | APPEND, &all);
    }

    /// A set of keys, all of one length.
    pub fn set(&mut self, name: &str, keys: &[Vec<u8>]) {
        self.new_set(name, keys.first().map_or(4, Vec::len), &[]);
        let element = |key: &Vec<u8>| attribute(1 | NESTED, &attribute(1, key));
        self.elements(name, keys.iter().map(element).collect());
    }

    /// A map from keys to values.
    pub fn map(&mut self, name: &str, pairs: &[(Vec<u8>, Vec<u8>)]) {
        let Some((key, value)) = pairs.first() else { return };
        let length = u32::try_from(value.len()).unwrap_or_default();
        let of_values = number(6, type_of(value.len()));
        self.new_set(name, key.len(), &[number(3, MAP), of_values, number(7, length)].concat());
        let element = |(key, value): &(Vec<u8>, Vec<u8>)| {
            [attribute(1 | NESTED, &attribute(1, key)), attribute(2 | NESTED, &attribute(1, value))].concat()
        };
        self.elements(name, pairs.iter().map(element).collect());
    }

    /// A map from keys to verdicts. The chains they lead to are there already.
    pub fn verdict_map(&mut self, name: &str, key_length: usize, pairs: &[(Vec<u8>, Verdict)]) {
        const VERDICTS: u32 = 0xffff_ff00;
        self.new_set(name, key_length, &[number(3, MAP), number(6, VERDICTS), number(7, 16)].concat());
        let element = |(key, verdict): &(Vec<u8>, Verdict)| {
            [attribute(1 | NESTED, &attribute(1, key)), attribute(2 | NESTED, &data_of(verdict))].concat()
        };
        self.elements(name, pairs.iter().map(element).collect());
    }

    /// The whole batch; the kernel acknowledges it once it is in force.
    pub fn finish(mut self) -> Vec<u8> {
        // Changes nothing; it stands for all before it.
        self.message(NEW_TABLE, CREATE | ACKNOWLEDGE, &text(1, TABLE));
        self.bare(BATCH_END, REQUEST);
        self.bytes
    }

    fn new_set(&mut self, name: &str, key_length: usize, more: &[u8]) {
        self.sets += 1;
        let flags = if more.is_empty() { number(3, 0) } else { Vec::new() };
        let length = u32::try_from(key_length).unwrap_or_default();
        let all = [
            text(1, TABLE),
            text(2, name),
            flags,
            more.to_vec(),
            number(4, type_of(key_length)),
            number(5, length),
            number(10, self.sets),
        ];
        self.message(NEW_SET, CREATE, &all.concat());
    }

    fn elements(&mut self, set: &str, elements: Vec<Vec<u8>>) {
        for some in elements.chunks(ELEMENTS_AT_ONCE) {
            let list: Vec<u8> = some.iter().flat_map(|element| attribute(ITEM | NESTED, element)).collect();
            let all = [text(1, TABLE), text(2, set), attribute(3 | NESTED, &list)].concat();
            self.message(NEW_ELEMENTS, CREATE, &all);
        }
    }

    fn message(&mut self, kind: u16, flags: u16, attributes: &[u8]) {
        self.push(SUBSYSTEM << 8 | kind, REQUEST | flags, NFPROTO_IPV4, 0, attributes);
    }

    fn bare(&mut self, kind: u16, flags: u16) {
        self.push(kind, flags, 0, SUBSYSTEM, &[]);
    }

    fn push(&mut self, kind: u16, flags: u16, family: u8, resource: u16, attributes: &[u8]) {
        const HEADERS_BYTES: usize = 20;
        let length = u32::try_from(HEADERS_BYTES + attributes.len()).unwrap_or_default();
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(&flags.to_ne_bytes());
        self.bytes.extend_from_slice(&self.sequence.to_ne_bytes());
        self.bytes.extend_from_slice(&0_u32.to_ne_bytes());
        self.bytes.extend_from_slice(&[family, 0]);
        self.bytes.extend_from_slice(&resource.to_be_bytes());
        self.bytes.extend_from_slice(attributes);
        self.sequence += 1;
    }
}

/// `NFT_SET_MAP`
const MAP: u32 = 8;

/// What user space calls the type of a key or value, for `nft list ruleset`; the kernel compares lengths
/// alone.
fn type_of(length: usize) -> u32 {
    const ADDRESS: u32 = 7;
    const PROTOCOL: u32 = 12;
    const PORT: u32 = 13;
    const BITS: u32 = 6;
    match length {
        12 => ADDRESS << (2 * BITS) | PROTOCOL << BITS | PORT,
        8 => ADDRESS << BITS | PORT,
        _ => ADDRESS,
    }
}

/// What a packet says, or what is known of it, into a register.
pub mod load {
    use super::{Expression, Register, expression, number};

    fn payload(base: u32, offset: u32, length: u32, to: Register) -> Expression {
        let to = u32::from_be_bytes(to.number());
        expression("payload", &[number(1, to), number(2, base), number(3, offset), number(4, length)].concat())
    }

    fn meta(key: u32, to: Register) -> Expression {
        expression("meta", &[number(1, u32::from_be_bytes(to.number())), number(2, key)].concat())
    }

    /// The source address.
    pub fn source(to: Register) -> Expression {
        payload(1, 12, 4, to)
    }

    /// The destination address.
    pub fn destination(to: Register) -> Expression {
        payload(1, 16, 4, to)
    }

    /// The destination's port.
    pub fn port(to: Register) -> Expression {
        payload(2, 2, 2, to)
    }

    /// The transport protocol, one byte.
    pub fn protocol(to: Register) -> Expression {
        meta(16, to)
    }

    /// The name of the interface by which a packet came in; 16 bytes.
    pub fn interface_in(to: Register) -> Expression {
        meta(6, to)
    }

    /// The name of the interface by which it goes out; 16 bytes.
    pub fn interface_out(to: Register) -> Expression {
        meta(7, to)
    }

    /// What is known of a packet's connection: `key` 0 is its state, 2 its status.
    pub fn connection(key: u32, to: Register) -> Expression {
        expression("ct", &[number(1, u32::from_be_bytes(to.number())), number(2, key)].concat())
    }

    /// A random number below `modulus`.
    pub fn random(modulus: u32, to: Register) -> Expression {
        let to = u32::from_be_bytes(to.number());
        expression("numgen", &[number(1, to), number(2, modulus), number(3, 1), number(4, 0)].concat())
    }

    /// A number below `modulus` that stands for the four bytes of a register.
    pub fn hash(from: Register, modulus: u32, to: Register) -> Expression {
        let [from, to] = [from, to].map(|register| u32::from_be_bytes(register.number()));
        expression(
            "hash",
            &[number(1, from), number(2, to), number(3, 4), number(4, modulus), number(5, 1), number(7, 0)].concat(),
        )
    }
}

/// Goes on only where a register has a value, or (`equal` false) has not.
pub fn compare(register: Register, equal: bool, value: &[u8]) -> Expression {
    let all =
        [attribute(1, &register.number()), number(2, u32::from(!equal)), attribute(3 | NESTED, &attribute(1, value))];
    expression("cmp", &all.concat())
}

/// Goes on only where a register's value is in a range.
pub fn within(register: Register, first: &[u8], last: &[u8]) -> Expression {
    let all = [
        attribute(1, &register.number()),
        number(2, 0),
        attribute(3 | NESTED, &attribute(1, first)),
        attribute(4 | NESTED, &attribute(1, last)),
    ];
    expression("range", &all.concat())
}

/// Keeps the bits of a mask in a register.
pub fn mask(register: Register, mask: [u8; 4]) -> Expression {
    let all = [
        attribute(1, &register.number()),
        attribute(2, &register.number()),
        number(3, 4),
        attribute(4 | NESTED, &attribute(1, &mask)),
        attribute(5 | NESTED, &attribute(1, &[0; 4])),
    ];
    expression("bitwise", &all.concat())
}

/// Goes on only where what begins at register 0 is in a set.
pub fn in_set(name: &str) -> Expression {
    expression("lookup", &[text(1, name), attribute(2, &Register(0).number())].concat())
}

/// From a key that begins at register 0 to a map's value, which takes its place.
pub fn map(name: &str) -> Expression {
    let register = Register(0).number();
    expression("lookup", &[text(1, name), attribute(2, &register), attribute(3, &register)].concat())
}

/// From a key that begins at register 0 to a map's verdict.
pub fn verdict_by(name: &str) -> Expression {
    expression("lookup", &[text(1, name), attribute(2, &Register(0).number()), number(3, 0)].concat())
}

/// A value into a register.
pub fn value(register: Register, value: &[u8]) -> Expression {
    expression("immediate", &[attribute(1, &register.number()), attribute(2 | NESTED, &attribute(1, value))].concat())
}

/// A verdict.
pub fn verdict(verdict: &Verdict) -> Expression {
    expression("immediate", &[number(1, 0), attribute(2 | NESTED, &data_of(verdict))].concat())
}

/// Sends a connection to the address in register 0 and the port in register 1.
pub fn destination_nat() -> Expression {
    let all = [
        number(1, 1),
        number(2, u32::from(NFPROTO_IPV4)),
        attribute(3, &Register(0).number()),
        attribute(5, &Register(1).number()),
    ];
    expression("nat", &all.concat())
}

/// Gives a connection the address of the interface by which it leaves.
pub fn masquerade() -> Expression {
    expression("masq", &[])
}

/// Refuses a packet: nobody listens there.
pub fn reject() -> Expression {
    const PORT_UNREACHABLE: u8 = 3;
    expression("reject", &[number(1, 0), attribute(2, &[PORT_UNREACHABLE])].concat())
}

/// Key of a map that [`load::random`] or [`load::hash`] asks.
pub fn index(index: usize) -> Vec<u8> {
    u32::try_from(index).unwrap_or_default().to_ne_bytes().to_vec()
}

/// An address and a port, as they lie in two registers.
pub fn address_and_port(address: Ipv4Addr, port: u16) -> Vec<u8> {
    [&address.octets()[..], &port.to_be_bytes(), &[0, 0]].concat()
}

/// Address, protocol and port, as they lie in three registers.
pub fn address_protocol_port(address: Ipv4Addr, protocol: u8, port: u16) -> Vec<u8> {
    [&address.octets()[..], &[protocol, 0, 0, 0], &port.to_be_bytes(), &[0, 0]].concat()
}

/// An interface's name, as long as the kernel has it.
pub fn interface(name: &str) -> Vec<u8> {
    const NAME_BYTES: usize = 16;
    let mut bytes = name.as_bytes().to_vec();
    bytes.resize(NAME_BYTES, 0);
    bytes
}

fn data_of(verdict: &Verdict) -> Vec<u8> {
    const GOTO: i32 = -4;
    let code = |code: i32| attribute(1, &code.to_be_bytes());
    let inner = match verdict {
        Verdict::Drop => code(0),
        Verdict::Accept => code(1),
        Verdict::Goto(chain) => [code(GOTO), text(2, chain)].concat(),
    };
    attribute(2 | NESTED, &inner)
}

fn expression(name: &str, attributes: &[u8]) -> Expression {
    Expression([text(1, name), attribute(2 | NESTED, attributes)].concat())
}

fn number(kind: u16, value: u32) -> Vec<u8> {
    attribute(kind, &value.to_be_bytes())
}

fn text(kind: u16, value: &str) -> Vec<u8> {
    attribute(kind, &[value.as_bytes(), &[0]].concat())
}
