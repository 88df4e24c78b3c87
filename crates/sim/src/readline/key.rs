//! Keys, from a terminal's bytes.

/// A key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Char(char),
    Control(char),
    Up,
    Down,
    Left,
    Right,
    Home,
    End,
    Delete,
    Backspace,
    WordLeft,
    WordRight,
    KillWord,
    Enter,
    Tab,
    Escape,
    Unknown,
}

/// The first key in the bytes, and how many of them it takes; `None` if more are needed.
pub(crate) fn decode(bytes: &[u8]) -> Option<(Key, usize)> {
    let first = *bytes.first()?;
    match first {
        b'\r' | b'\n' => {
            let both = bytes.starts_with(b"\r\n");
            Some((Key::Enter, if both { 2 } else { 1 }))
        }
        b'\t' => Some((Key::Tab, 1)),
        8 | 127 => Some((Key::Backspace, 1)),
        27 => Some(escape(bytes)),
        0..32 => Some((Key::Control(char::from(first + 96)), 1)),
        _ => {
            let length = match first {
                0..=0x7f => 1,
                0xc0..=0xdf => 2,
                0xe0..=0xef => 3,
                0xf0..=0xf7 => 4,
                _ => return Some((Key::Unknown, 1)),
            };
            let part = bytes.get(..length)?;
            let c = std::str::from_utf8(part).ok().and_then(|text| text.chars().next());
            Some((c.map_or(Key::Unknown, Key::Char), length))
        }
    }
}

fn escape(bytes: &[u8]) -> (Key, usize) {
    const SEQUENCES: [(&[u8], Key); 20] = [
        (b"\x1b[A", Key::Up),
        (b"\x1bOA", Key::Up),
        (b"\x1b[B", Key::Down),
        (b"\x1bOB", Key::Down),
        (b"\x1b[C", Key::Right),
        (b"\x1bOC", Key::Right),
        (b"\x1b[D", Key::Left),
        (b"\x1bOD", Key::Left),
        (b"\x1b[H", Key::Home),
        (b"\x1bOH", Key::Home),
        (b"\x1b[1~", Key::Home),
        (b"\x1b[F", Key::End),
        (b"\x1bOF", Key::End),
        (b"\x1b[4~", Key::End),
        (b"\x1b[3~", Key::Delete),
        (b"\x1b[1;5D", Key::WordLeft),
        (b"\x1bb", Key::WordLeft),
        (b"\x1b[1;5C", Key::WordRight),
        (b"\x1bf", Key::WordRight),
        (b"\x1bd", Key::KillWord),
    ];
    if let Some((sequence, key)) = SEQUENCES.iter().find(|(sequence, _)| bytes.starts_with(sequence)) {
        return (*key, sequence.len());
    }
    match bytes.get(1) {
        Some(b'[') => {
            // An unknown sequence goes up to its final byte.
            let end = bytes.iter().skip(2).position(|byte| (0x40..=0x7e).contains(byte));
            (Key::Unknown, end.map_or(bytes.len(), |end| end + 3))
        }
        Some(_) => (Key::Unknown, 2),
        None => (Key::Escape, 1),
    }
}
