//! The form in which modules travel: instructions in one stream, their operands in others, one for each sort.
//! Numbers of one sort resemble each other, so that brotli makes a Worker an eighth smaller of it. `www/unpack.js`
//! puts modules together again, to the byte.
//!
//! A module on the wire: [`MAGIC`]; five little-endian numbers of four bytes: the module's length, its functions,
//! the length of the code section, those of the bytes before that section and after it; the lengths of the
//! [`STREAMS`] streams in as many such numbers; the bytes before, those after, the streams.

/// How a module on the wire begins, where others have `\0asm`.
const MAGIC: [u8; 4] = *b"\0wpk";

/// How many streams there are; see [`Sort`].
const STREAMS: usize = 15;

/// What a stream holds.
#[derive(Clone, Copy)]
enum Sort {
    /// Instructions, a byte each.
    Instruction,
    /// Places in the list of a function's [`Recent`] locals.
    Local,
    I32,
    Offset,
    Align,
    Function,
    /// Types and tables of indirect calls.
    Indirect,
    Branch,
    BranchTable,
    Block,
    I64,
    Float,
    Global,
    /// Functions' declarations of locals.
    Locals,
    Other,
}

/// A module in its form for the wire, or as it is when something in it is not known here (vectors, exceptions).
pub fn wire(module: Vec<u8>) -> Vec<u8> {
    streams(&module).unwrap_or(module)
}

fn streams(module: &[u8]) -> Option<Vec<u8>> {
    const CODE: u8 = 10;
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
    use Sort::*;
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
                let operands = match copy(Other)? {
                    0..=7 => 0,
                    8 | 10 | 12 | 14 => 2,
                    9 | 11 | 13 | 15..=17 => 1,
                    _ => return None,
                };
                for _ in 0..operands {
                    copy(Other)?;
                }
            }
            _ => return None,
        }
    }
}

/// The locals of a function, the one used last first: functions that do the same have the same numbers, wherever
/// they keep things.
struct Recent(Vec<usize>);

impl Recent {
    /// As if these had been used in falling order.
    const FIRST: usize = 64;

    fn new() -> Self {
        Self((0..Self::FIRST).collect())
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
