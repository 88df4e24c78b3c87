//! Writes modules in the form in which they travel; `crates/unpack` says what it is like, and puts them together.

use playground_unpack::{CODE, MAGIC, RECENT_FIRST, STREAMS, Sort, operands};

/// A module in its form for the wire, or as it is when something in it is not known here (vectors, exceptions).
pub fn wire(module: Vec<u8>) -> Vec<u8> {
    streams(&module).unwrap_or(module)
}

fn streams(module: &[u8]) -> Option<Vec<u8>> {
    const HEADER_BYTES: usize = 8;
    let mut at = HEADER_BYTES;
    let (start, code, end) = loop {
        let mut section = Reader { bytes: module, at: at + 1 };
        let length = section.number()?;
        let end = section.at.checked_add(length)?;
        if *module.get(at)? == CODE {
            break (at, module.get(section.at..end)?, end);
        }
        at = end;
    };
    let mut streams = [const { Vec::new() }; STREAMS];
    let mut reader = Reader { bytes: code, at: 0 };
    let functions = reader.number()?;
    for _ in 0..functions {
        reader.number()?;
        function(&mut reader, &mut streams)?;
    }
    if reader.at != code.len() {
        return None;
    }
    let after = module.get(end..)?;
    let mut wire = MAGIC.to_vec();
    let numbers = [module.len(), functions, code.len(), start, after.len()];
    for number in numbers.into_iter().chain(streams.iter().map(Vec::len)) {
        wire.extend(u32::try_from(number).ok()?.to_le_bytes());
    }
    wire.extend(module.get(..start)?);
    wire.extend(after);
    streams.iter().for_each(|stream| wire.extend(stream));
    Some(wire)
}

/// The instructions of a function's body without their operands, as far as they are known.
pub fn instructions(body: &[u8]) -> Vec<u8> {
    let mut streams = [const { Vec::new() }; STREAMS];
    // What is not known makes functions less alike, no more.
    let _ = function(&mut Reader { bytes: body, at: 0 }, &mut streams);
    std::mem::take(&mut streams[Sort::Instruction as usize])
}

/// Deals out a function's body. `None` for what is not known, or not written as short as it can be where the
/// other side writes it.
fn function(reader: &mut Reader<'_>, streams: &mut [Vec<u8>; STREAMS]) -> Option<()> {
    use Sort::{
        Align, Block, Branch, BranchTable, Float, Function, Global, I32, I64, Indirect, Instruction, Local, Locals,
        Offset, Other,
    };
    let locals = &mut streams[Locals as usize];
    for _ in 0..reader.copy(locals)? {
        reader.copy(locals)?;
        let simple = reader.byte()?;
        matches!(simple, 0x6f | 0x70 | 0x7b..=0x7f).then_some(())?;
        locals.push(simple);
    }
    let mut depth = 0;
    let mut recent = Recent::new();
    loop {
        let instruction = reader.byte()?;
        streams[Instruction as usize].push(instruction);
        let mut copy = |sort: Sort| reader.copy(&mut streams[sort as usize]);
        match instruction {
            0x00 | 0x01 | 0x05 | 0x0f | 0x1a | 0x1b | 0x45..=0xc4 | 0xd1 => {}
            0x02..=0x04 => {
                copy(Block)?;
                depth += 1;
            }
            0x0b if depth == 0 => return Some(()),
            0x0b => depth -= 1,
            0x0c | 0x0d => _ = copy(Branch)?,
            0x0e => {
                for _ in 0..=copy(BranchTable)? {
                    copy(BranchTable)?;
                }
            }
            0x10 | 0x12 | 0xd2 => _ = copy(Function)?,
            0x11 | 0x13 => {
                copy(Indirect)?;
                copy(Indirect)?;
            }
            0x1c => {
                for _ in 0..copy(Other)? {
                    copy(Other)?;
                }
            }
            0x20..=0x22 => recent.tell(reader.number()?, &mut streams[Local as usize]),
            0x23 | 0x24 => _ = copy(Global)?,
            0x25 | 0x26 | 0x3f | 0x40 | 0xd0 => _ = copy(Other)?,
            0x28..=0x3e => {
                // Larger ones name another memory.
                (copy(Align)? < 0x40).then_some(())?;
                copy(Offset)?;
            }
            0x41 => _ = copy(I32)?,
            0x42 => _ = copy(I64)?,
            0x43 => reader.take(4, &mut streams[Float as usize])?,
            0x44 => reader.take(8, &mut streams[Float as usize])?,
            0xfc => {
                for _ in 0..operands(copy(Other)?)? {
                    copy(Other)?;
                }
            }
            _ => return None,
        }
    }
}

/// The locals of a function, the one used last first: see [`Local`](Sort::Local).
struct Recent(Vec<usize>);

impl Recent {
    fn new() -> Self {
        Self((0..RECENT_FIRST).collect())
    }

    /// Writes where a local is in the list, or the list's length and its number where it is not, and puts it first.
    fn tell(&mut self, local: usize, to: &mut Vec<u8>) {
        let place = self.0.iter().position(|known| *known == local);
        let mut told = place.unwrap_or(self.0.len() + local);
        if let Some(place) = place {
            self.0.remove(place);
        }
        self.0.insert(0, local);
        while told > 0x7f {
            to.push(told as u8 | 0x80);
            told >>= 7;
        }
        to.push(told as u8);
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    /// A number without a sign, of at most 32 bits, in as few bytes as it needs.
    fn number(&mut self) -> Option<usize> {
        let start = self.at;
        let mut number = 0_u64;
        loop {
            let byte = self.byte()?;
            let place = self.at - start - 1;
            number |= u64::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                let short = place == 0 || byte != 0;
                return usize::try_from(number).ok().filter(|_| short && place < 5);
            }
            if place == 4 {
                return None;
            }
        }
    }

    /// Copies a number of any kind as it is, and gives its value if that is a small one without a sign.
    fn copy(&mut self, to: &mut Vec<u8>) -> Option<usize> {
        let mut value = 0;
        for place in 0.. {
            let byte = self.byte()?;
            to.push(byte);
            if place < 4 {
                value |= usize::from(byte & 0x7f) << (7 * place);
            }
            if byte & 0x80 == 0 {
                break;
            }
        }
        Some(value)
    }

    fn take(&mut self, count: usize, to: &mut Vec<u8>) -> Option<()> {
        to.extend(self.bytes.get(self.at..self.at + count)?);
        self.at += count;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Code with operands of all sorts, between two other sections, as a module.
    fn module(bodies: &[&[u8]]) -> Vec<u8> {
        // A long function that does nothing, for the section's length.
        let long = [&[0_u8][..], &[0x01; 100], &[0x0b]].concat();
        let mut code = vec![bodies.len() as u8 + 2];
        for body in bodies.iter().copied().chain([&long[..], &long]) {
            code.push(body.len() as u8);
            code.extend(body);
        }
        let mut module = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x0a".to_vec();
        assert!((0x80..0x4000).contains(&code.len()), "its length takes two bytes");
        module.extend([code.len() as u8 | 0x80, (code.len() >> 7) as u8]);
        module.extend(code);
        module.extend(b"\x0b\x03abc");
        module
    }

    fn unpacked(wire: &[u8]) -> Option<Vec<u8>> {
        let mut out = vec![0; playground_unpack::room(wire)?];
        let length = playground_unpack::unpack(wire, &mut out)?;
        out.truncate(length);
        Some(out)
    }

    #[test]
    fn modules_come_back_the_same() {
        let all: &[u8] = &[
            2, 1, 0x7f, 3, 0x7e, // locals: one i32, three i64
            0x20, 3, 0x21, 0x85, 0x01, 0x22, 3, 0x20, 0x85, 0x01, // locals near and far, used again
            0x41, 0xe5, 0x8e, 0x26, 0x42, 0x7f, 0x43, 0, 0, 0x80, 0x3f, 0x44, 0, 0, 0, 0, 0, 0, 0xf0,
            0x3f, // constants
            0x28, 2, 0x88, 0x01, 0x3a, 0, 0, // memory
            0x02, 0x40, 0x03, 0x40, 0x0d, 1, 0x0e, 2, 0, 1, 0, 0x0b, 0x0b, // blocks and branches
            0x10, 0, 0x11, 0, 0, 0x23, 0, 0xfc, 0x0a, 0, 0, 0xfc, 0, 0x1c, 1, 0x7f, 0x6a, 0x1a, 0x0b,
        ];
        let module = module(&[all, &[0, 0x0b], all]);
        let sent = wire(module.clone());
        assert!(sent.starts_with(&MAGIC));
        assert_eq!(unpacked(&sent), Some(module));
    }

    #[test]
    fn what_is_not_known_is_sent_as_it_is() {
        let vector = module(&[&[0, 0xfd, 0x0c, 0x0b]]);
        assert_eq!(wire(vector.clone()), vector);
        assert_eq!(unpacked(&vector), None);
    }

    #[test]
    fn what_is_broken_is_no_module() {
        let sent = wire(module(&[&[0, 0x20, 1, 0x41, 5, 0x1a, 0x1a, 0x0b]]));
        for length in 0..sent.len() {
            assert_eq!(unpacked(&sent[..length]), None, "{length} bytes of {}", sent.len());
        }
        for at in 0..sent.len() {
            let mut broken = sent.clone();
            broken[at] ^= 0xff;
            // Another module or none; never a panic, and no more memory than the module may have.
            let _ =
                playground_unpack::length(&broken).filter(|length| *length < 1 << 20).and_then(|_| unpacked(&broken));
        }
    }
}
