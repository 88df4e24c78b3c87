//! Modules travel in a form of their own: instructions in one stream, their operands in others, one for each sort.
//! Numbers of one sort resemble each other, so that brotli makes a Worker an eighth smaller of it. `cargo xtask split`
//! writes this form (`xtask/src/split/wire.rs`); this crate puts modules together again, to the byte. In the page it
//! is a module itself, of three kilobytes, which `www/unpack.js` holds.
//!
//! A module on the wire: [`MAGIC`]; five little-endian numbers of four bytes: the module's length, its functions,
//! the length of the code section, those of the bytes before that section and after it; the lengths of the
//! [`STREAMS`] streams in as many such numbers; the bytes before, those after, the streams.
#![cfg_attr(all(target_arch = "wasm32", not(test)), no_std)]

#[cfg(all(target_arch = "wasm32", not(test)))]
mod page;

/// How a module on the wire begins, where others have `\0asm`.
pub const MAGIC: [u8; 4] = *b"\0wpk";

/// How many streams there are; see [`Sort`].
pub const STREAMS: usize = 15;

/// As if these locals had been used before a function, in falling order. See [`Sort::Local`].
pub const RECENT_FIRST: usize = 64;

/// A function may have so many locals in WebAssembly's implementations.
const LOCALS_MAX: usize = 50_000;

/// How many numbers stand before the streams' lengths.
const HEADER_NUMBERS: usize = 5;

/// The section of a module that is taken apart.
pub const CODE: u8 = 10;

/// A function's length stands before it and is known after it: room for the longest.
const LENGTH_BYTES: usize = 5;

/// What a stream holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// Instructions, a byte each.
    Instruction,
    /// Places in the list of a function's locals, the one used last first; the list's length and the local's number
    /// for one that is not in it yet. Functions that do the same have the same numbers, wherever they keep things.
    Local,
    /// Constants.
    I32,
    /// Where in memory, from an address.
    Offset,
    /// How memory is aligned.
    Align,
    /// Functions that are called.
    Function,
    /// Types and tables of indirect calls.
    Indirect,
    /// How many blocks a branch leaves.
    Branch,
    /// The same of `br_table`, after their number.
    BranchTable,
    /// Types of blocks.
    Block,
    /// Constants.
    I64,
    /// Constants, of both sizes.
    Float,
    /// Global variables.
    Global,
    /// Functions' declarations of locals.
    Locals,
    /// What is left.
    Other,
}

/// How many operands instructions with the prefix 0xfc have, by the number after it; `None` for unknown ones.
#[must_use]
pub fn operands(extended: usize) -> Option<usize> {
    match extended {
        0..=7 => Some(0),
        8 | 10 | 12 | 14 => Some(2),
        9 | 11 | 13 | 15..=17 => Some(1),
        _ => None,
    }
}

/// How many bytes [`unpack`] needs for the module; `None` for what is not in this form.
#[must_use]
pub fn room(wire: &[u8]) -> Option<usize> {
    length(wire)?.checked_add(LENGTH_BYTES)
}

/// How long the module is; `None` for what is not in this form.
#[must_use]
pub fn length(wire: &[u8]) -> Option<usize> {
    wire.starts_with(&MAGIC).then(|| number(wire, 0)).flatten()
}

fn number(wire: &[u8], index: usize) -> Option<usize> {
    let start = MAGIC.len() + 4 * index;
    let bytes = wire.get(start..start + 4)?.try_into().ok()?;
    usize::try_from(u32::from_le_bytes(bytes)).ok()
}

/// Puts a module together at the beginning of `out`, which has the [`room`] for it, and gives its length. `None` for
/// what is not in this form, or broken.
pub fn unpack(wire: &[u8], out: &mut [u8]) -> Option<usize> {
    let length = length(wire)?;
    let [functions, code, before, after] = [1, 2, 3, 4].map(|index| number(wire, index));
    let (functions, code, before, after) = (functions?, code?, before?, after?);
    let before = Span { start: MAGIC.len() + 4 * (HEADER_NUMBERS + STREAMS), length: before };
    let after = Span { start: before.end()?, length: after };
    let mut at = [0; STREAMS];
    let mut start = after.end()?;
    for (stream, at) in at.iter_mut().enumerate() {
        *at = start;
        start = start.checked_add(number(wire, HEADER_NUMBERS + stream)?)?;
    }
    let mut unpacker = Unpacker { wire, at, out, to: 0, recent: [0; _] };
    unpacker.span(before)?;
    unpacker.push(CODE)?;
    unpacker.write(code)?;
    unpacker.write(functions)?;
    for _ in 0..functions {
        unpacker.function()?;
    }
    unpacker.span(after)?;
    (unpacker.to == length).then_some(length)
}

/// A part of what came.
#[derive(Clone, Copy)]
struct Span {
    start: usize,
    length: usize,
}

impl Span {
    fn end(self) -> Option<usize> {
        self.start.checked_add(self.length)
    }
}

struct Unpacker<'a> {
    wire: &'a [u8],
    /// Where the streams are to be read, each by its [`Sort`].
    at: [usize; STREAMS],
    out: &'a mut [u8],
    to: usize,
    recent: [u32; LOCALS_MAX + RECENT_FIRST],
}

impl Unpacker<'_> {
    fn function(&mut self) -> Option<()> {
        let first = self.to + LENGTH_BYTES;
        self.to = first;
        self.body()?;
        let end = self.to;
        self.to = first - LENGTH_BYTES;
        self.write(end - first)?;
        self.out.copy_within(first..end, self.to);
        self.to += end - first;
        Some(())
    }

    fn body(&mut self) -> Option<()> {
        use Sort::{
            Align, Block, Branch, BranchTable, Float, Function, Global, I32, I64, Indirect, Locals, Offset, Other,
        };
        for _ in 0..self.copy(Locals)? {
            self.copy(Locals)?;
            self.bytes(Locals, 1)?;
        }
        let mut known = RECENT_FIRST;
        for (local, recent) in (0_u32..).zip(self.recent.iter_mut().take(RECENT_FIRST)) {
            *recent = local;
        }
        let mut depth = 0_usize;
        loop {
            let instruction = self.next(Sort::Instruction)?;
            self.push(instruction)?;
            match instruction {
                0x20..=0x22 => known = self.local(known)?,
                0x28..=0x3e => {
                    self.copy(Align)?;
                    self.copy(Offset)?;
                }
                0x41 => _ = self.copy(I32)?,
                0x02..=0x04 => {
                    self.copy(Block)?;
                    depth += 1;
                }
                0x0b => match depth.checked_sub(1) {
                    Some(outer) => depth = outer,
                    None => return Some(()),
                },
                0x0c | 0x0d => _ = self.copy(Branch)?,
                0x0e => {
                    for _ in 0..=self.copy(BranchTable)? {
                        self.copy(BranchTable)?;
                    }
                }
                0x10 | 0x12 | 0xd2 => _ = self.copy(Function)?,
                0x11 | 0x13 => {
                    self.copy(Indirect)?;
                    self.copy(Indirect)?;
                }
                0x1c => {
                    for _ in 0..self.copy(Other)? {
                        self.copy(Other)?;
                    }
                }
                0x23 | 0x24 => _ = self.copy(Global)?,
                0x25 | 0x26 | 0x3f | 0x40 | 0xd0 => _ = self.copy(Other)?,
                0x42 => _ = self.copy(I64)?,
                0x43 => self.bytes(Float, 4)?,
                0x44 => self.bytes(Float, 8)?,
                0xfc => {
                    for _ in 0..operands(self.copy(Other)?)? {
                        self.copy(Other)?;
                    }
                }
                _ => {}
            }
        }
    }

    /// Puts a local first, of so many that are known, and says how many are known then.
    fn local(&mut self, known: usize) -> Option<usize> {
        let (mut told, mut shift) = (0_usize, 0_u32);
        loop {
            let byte = self.next(Sort::Local)?;
            told |= usize::from(byte & 0x7f).checked_shl(shift)?;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let (place, found, known) = match told.checked_sub(known) {
            Some(new) => (known, u32::try_from(new).ok()?, known + 1),
            None => (told, *self.recent.get(told)?, known),
        };
        let recent = self.recent.get_mut(..=place)?;
        for place in (0..place).rev() {
            recent[place + 1] = recent[place];
        }
        recent[0] = found;
        self.write(usize::try_from(found).ok()?)?;
        Some(known)
    }

    /// Copies a number of any kind as it is, and gives its value if that is a small one without a sign.
    #[inline]
    fn copy(&mut self, sort: Sort) -> Option<usize> {
        let (mut value, mut place) = (0, 0);
        loop {
            let byte = self.next(sort)?;
            self.push(byte)?;
            if place < 4 {
                value |= usize::from(byte & 0x7f) << (7 * place);
            }
            place += 1;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
    }

    fn bytes(&mut self, sort: Sort, count: usize) -> Option<()> {
        for _ in 0..count {
            let byte = self.next(sort)?;
            self.push(byte)?;
        }
        Some(())
    }

    #[inline]
    fn next(&mut self, sort: Sort) -> Option<u8> {
        let at = &mut self.at[sort as usize];
        let byte = *self.wire.get(*at)?;
        *at += 1;
        Some(byte)
    }

    #[inline]
    fn push(&mut self, byte: u8) -> Option<()> {
        *self.out.get_mut(self.to)? = byte;
        self.to += 1;
        Some(())
    }

    /// Writes a number without a sign, in as few bytes as it needs.
    #[inline]
    fn write(&mut self, mut number: usize) -> Option<()> {
        while number > 0x7f {
            self.push(number as u8 | 0x80)?;
            number >>= 7;
        }
        self.push(number as u8)
    }

    fn span(&mut self, span: Span) -> Option<()> {
        let end = self.to.checked_add(span.length)?;
        self.out.get_mut(self.to..end)?.copy_from_slice(self.wire.get(span.start..span.end()?)?);
        self.to = end;
        Some(())
    }
}
