//! A line editor over a terminal's raw bytes: history, arrows, Emacs keys, reverse search, completion.

use std::future::Future;

use crate::io::PIPE_BYTES_MAX;
use crate::tty::Tty;

/// How many lines are kept.
const HISTORY_MAX: usize = 1000;

/// What came of reading a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A line, without its end.
    Line(String),
    /// Ctrl-C: the line is given up.
    Interrupted,
    /// Ctrl-D on an empty line, or the terminal is gone.
    End,
}

/// How a word under the cursor may go on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Completion {
    /// Where the word begins, in characters of the line.
    pub start: usize,
    /// What may stand in its place. One that ends in `/` or `=` gets no blank after it.
    pub candidates: Vec<String>,
}

/// A line editor with its history.
#[derive(Clone, Debug, Default)]
pub struct Readline {
    history: Vec<String>,
    killed: String,
}

/// A line being edited.
struct Line<'a> {
    tty: &'a Tty,
    prompt: &'a str,
    text: Vec<char>,
    cursor: usize,
    /// The screen row of the cursor below the prompt's first row.
    row: usize,
}

/// A key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
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

impl Readline {
    /// Lines that were entered, oldest first.
    pub fn history(&self) -> &[String] {
        &self.history
    }

    /// Adds a line to the history, unless it is blank or repeats the last one.
    pub fn remember(&mut self, line: &str) {
        if line.trim().is_empty() || self.history.last().is_some_and(|last| last == line) {
            return;
        }
        if self.history.len() == HISTORY_MAX {
            self.history.remove(0);
        }
        self.history.push(line.to_owned());
    }

    /// Reads a line from a terminal. `complete` is asked at Tab, with the line up to the cursor.
    pub async fn read<F, T>(&mut self, tty: &Tty, prompt: &str, complete: F) -> Input
    where
        F: Fn(String) -> T,
        T: Future<Output = Completion>,
    {
        tty.set_raw(true);
        let input = self.edit(tty, prompt, complete).await;
        tty.set_raw(false);
        input
    }

    async fn edit<F, T>(&mut self, tty: &Tty, prompt: &str, complete: F) -> Input
    where
        F: Fn(String) -> T,
        T: Future<Output = Completion>,
    {
        let mut line = Line { tty, prompt, text: Vec::new(), cursor: 0, row: 0 };
        let mut bytes: Vec<u8> = Vec::new();
        // The place in the history, and the line that was being typed before going there.
        let (mut place, mut typed) = (self.history.len(), Vec::new());
        let mut tabs = 0;
        line.draw();
        loop {
            let Some((key, used)) = decode(&bytes) else {
                let part = tty.fd().read(PIPE_BYTES_MAX).await.unwrap_or_default();
                if part.is_empty() {
                    return Input::End;
                }
                bytes.extend_from_slice(&part);
                continue;
            };
            bytes.drain(..used);
            tabs = if key == Key::Tab { tabs + 1 } else { 0 };
            match key {
                Key::Enter => {
                    line.cursor = line.text.len();
                    line.draw();
                    tty.write(b"\r\n");
                    tty.unread(&bytes);
                    let text: String = line.text.iter().collect();
                    self.remember(&text);
                    return Input::Line(text);
                }
                Key::Control('c') => {
                    tty.write(b"^C\r\n");
                    tty.unread(&bytes);
                    return Input::Interrupted;
                }
                Key::Control('d') if line.text.is_empty() => {
                    tty.write(b"\r\n");
                    tty.unread(&bytes);
                    return Input::End;
                }
                Key::Control('l') => {
                    tty.write(b"\x1b[H\x1b[2J");
                    line.row = 0;
                    line.draw();
                }
                Key::Control('r') => match self.search(&mut line, &mut bytes).await {
                    Some(text) => {
                        line.set(text.chars().collect());
                        line.draw();
                    }
                    None => line.draw(),
                },
                Key::Up | Key::Control('p') if place > 0 => {
                    if place == self.history.len() {
                        typed = line.text.clone();
                    }
                    place -= 1;
                    line.set(self.history.get(place).map(|text| text.chars().collect()).unwrap_or_default());
                    line.draw();
                }
                Key::Down | Key::Control('n') if place < self.history.len() => {
                    place += 1;
                    let text = self.history.get(place).map(|text| text.chars().collect());
                    line.set(text.unwrap_or_else(|| typed.clone()));
                    line.draw();
                }
                Key::Tab => {
                    let before: String = line.text.iter().take(line.cursor).collect();
                    let completion = complete(before).await;
                    line.complete(&completion, tabs > 1);
                }
                Key::Char(c) => line.insert(c),
                key => {
                    self.move_or_kill(&mut line, key);
                    line.draw();
                }
            }
        }
    }

    fn move_or_kill(&mut self, line: &mut Line<'_>, key: Key) {
        let (length, cursor) = (line.text.len(), line.cursor);
        let mut kill = |line: &mut Line<'_>, from: usize, to: usize| {
            self.killed = line.text.drain(from..to).collect();
            line.cursor = from;
        };
        match key {
            Key::Left | Key::Control('b') => line.cursor = cursor.saturating_sub(1),
            Key::Right | Key::Control('f') => line.cursor = (cursor + 1).min(length),
            Key::Home | Key::Control('a') => line.cursor = 0,
            Key::End | Key::Control('e') => line.cursor = length,
            Key::WordLeft => line.cursor = line.word_start(),
            Key::WordRight => line.cursor = line.word_end(),
            Key::Backspace if cursor > 0 => {
                line.text.remove(cursor - 1);
                line.cursor -= 1;
            }
            Key::Delete | Key::Control('d') if cursor < length => {
                line.text.remove(cursor);
            }
            Key::Control('k') => kill(line, cursor, length),
            Key::Control('u') => kill(line, 0, cursor),
            Key::Control('w') => {
                let start = line.blank_start();
                kill(line, start, cursor);
            }
            Key::KillWord => {
                let end = line.word_end();
                kill(line, cursor, end);
            }
            Key::Control('y') => {
                let text = self.killed.clone();
                for c in text.chars() {
                    line.text.insert(line.cursor, c);
                    line.cursor += 1;
                }
            }
            Key::Control('t') if cursor > 0 && length > 1 => {
                let at = cursor.min(length - 1);
                line.text.swap(at - 1, at);
                line.cursor = at + 1;
            }
            _ => {}
        }
    }

    /// Ctrl-R: the line that was chosen, or `None` if the search was given up.
    async fn search(&self, line: &mut Line<'_>, bytes: &mut Vec<u8>) -> Option<String> {
        let mut query = String::new();
        let mut skip = 0;
        loop {
            let hits = || self.history.iter().rev().filter(|text| !query.is_empty() && text.contains(&query));
            let found = hits().nth(skip).cloned();
            let failed = if found.is_none() && !query.is_empty() { "failed " } else { "" };
            let shown = found.clone().unwrap_or_default();
            let text = format!("\r\x1b[J({failed}reverse-i-search)`{query}': {shown}");
            line.leave_to_first_row();
            line.tty.write(text.as_bytes());
            let key = loop {
                if let Some((key, used)) = decode(bytes) {
                    bytes.drain(..used);
                    break key;
                }
                let part = line.tty.fd().read(PIPE_BYTES_MAX).await.unwrap_or_default();
                if part.is_empty() {
                    return None;
                }
                bytes.extend_from_slice(&part);
            };
            match key {
                Key::Char(c) => {
                    query.push(c);
                    skip = 0;
                }
                Key::Backspace => {
                    query.pop();
                    skip = 0;
                }
                Key::Control('r') => skip = (skip + 1).min(hits().count().saturating_sub(1)),
                Key::Control('g' | 'c') => return None,
                Key::Enter => {
                    // The line is drawn again, then entered.
                    bytes.insert(0, b'\r');
                    return found.or(Some(query));
                }
                _ => return found.or(Some(query)),
            }
        }
    }
}

impl Line<'_> {
    fn set(&mut self, text: Vec<char>) {
        self.cursor = text.len();
        self.text = text;
    }

    fn insert(&mut self, c: char) {
        self.text.insert(self.cursor, c);
        self.cursor += 1;
        let column = (self.width_before(self.text.len())) % self.columns();
        if self.cursor == self.text.len() && column > 1 {
            // Typing at the end: nothing else on the screen moves.
            let mut buffer = [0; 4];
            self.tty.write(c.encode_utf8(&mut buffer).as_bytes());
        } else {
            self.draw();
        }
    }

    fn columns(&self) -> usize {
        usize::from(self.tty.size().0).max(1)
    }

    /// Screen cells of the prompt and the text before a place.
    fn width_before(&self, place: usize) -> usize {
        visible_width(self.prompt) + self.text.iter().take(place).map(|c| width(*c)).sum::<usize>()
    }

    fn leave_to_first_row(&mut self) {
        if self.row > 0 {
            self.tty.write(format!("\x1b[{}A", self.row).as_bytes());
            self.row = 0;
        }
    }

    /// Draws prompt and text anew and puts the cursor in its place.
    fn draw(&mut self) {
        self.leave_to_first_row();
        let columns = self.columns();
        let text: String = self.text.iter().collect();
        let total = self.width_before(self.text.len());
        let mut out = format!("\r\x1b[J{}{text}", self.prompt);
        if total > 0 && total % columns == 0 {
            // The terminal waits at the line's end: go to the next one for certain.
            out.push_str("\r\n");
        }
        let at = self.width_before(self.cursor);
        let (end_row, row) = (total / columns, at / columns);
        if end_row > row {
            out.push_str(&format!("\x1b[{}A", end_row - row));
        }
        out.push('\r');
        if at % columns > 0 {
            out.push_str(&format!("\x1b[{}C", at % columns));
        }
        self.row = row;
        self.tty.write(out.as_bytes());
    }

    /// Where the word before the cursor begins.
    fn word_start(&self) -> usize {
        let mut at = self.cursor;
        let word = |at: usize| self.text.get(at).is_some_and(|c| c.is_alphanumeric());
        while at > 0 && !word(at - 1) {
            at -= 1;
        }
        while at > 0 && word(at - 1) {
            at -= 1;
        }
        at
    }

    /// Where the word after the cursor ends.
    fn word_end(&self) -> usize {
        let mut at = self.cursor;
        let word = |at: usize| self.text.get(at).is_some_and(|c| c.is_alphanumeric());
        while at < self.text.len() && !word(at) {
            at += 1;
        }
        while word(at) {
            at += 1;
        }
        at
    }

    /// Where the text before the cursor, up to a blank, begins.
    fn blank_start(&self) -> usize {
        let mut at = self.cursor;
        let blank = |at: usize| self.text.get(at).is_some_and(|c| c.is_whitespace());
        while at > 0 && blank(at - 1) {
            at -= 1;
        }
        while at > 0 && !blank(at - 1) {
            at -= 1;
        }
        at
    }

    fn complete(&mut self, completion: &Completion, list: bool) {
        let start = completion.start.min(self.cursor);
        let typed: String = self.text.iter().take(self.cursor).skip(start).collect();
        let common = common_prefix(&completion.candidates);
        match completion.candidates.as_slice() {
            [] => self.tty.write(b"\x07"),
            [only] => {
                let open = only.ends_with('/') || only.ends_with('=');
                self.replace(start, only, if open { "" } else { " " });
            }
            _ if common.len() > typed.len() && common.starts_with(&typed) => self.replace(start, &common, ""),
            candidates if list => {
                let lines = columns_of(candidates, self.columns());
                self.tty.write(format!("\r\n{lines}").as_bytes());
                self.row = 0;
                self.draw();
            }
            _ => self.tty.write(b"\x07"),
        }
    }

    fn replace(&mut self, start: usize, text: &str, end: &str) {
        let new: Vec<char> = text.chars().chain(end.chars()).collect();
        let count = new.len();
        self.text.splice(start..self.cursor, new);
        self.cursor = start + count;
        self.draw();
    }
}

/// The first key in the bytes, and how many of them it takes; `None` if more are needed.
fn decode(bytes: &[u8]) -> Option<(Key, usize)> {
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

fn common_prefix(candidates: &[String]) -> String {
    let Some((first, rest)) = candidates.split_first() else { return String::new() };
    let mut common: Vec<char> = first.chars().collect();
    for candidate in rest {
        let same = common.iter().zip(candidate.chars()).take_while(|(a, b)| **a == *b).count();
        common.truncate(same);
    }
    common.into_iter().collect()
}

/// Words in columns, as `ls` shows them.
pub(crate) fn columns_of(words: &[String], columns: usize) -> String {
    let cell = words.iter().map(|word| visible_width(word)).max().unwrap_or(0) + 2;
    let across = (columns / cell).max(1);
    let rows = words.len().div_ceil(across);
    let mut out = String::new();
    for row in 0..rows {
        let line: Vec<&String> = words.iter().skip(row).step_by(rows).collect();
        for (index, word) in line.iter().enumerate() {
            out.push_str(word);
            if index + 1 < line.len() {
                out.push_str(&" ".repeat(cell - visible_width(word)));
            }
        }
        out.push_str("\r\n");
    }
    out
}

/// Screen cells of a text, without its escape sequences.
fn visible_width(text: &str) -> usize {
    let mut cells = 0;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c == '\x1b' {
            chars.find(|c| c.is_ascii_alphabetic());
        } else {
            cells += width(c);
        }
    }
    cells
}

/// Screen cells of a character: two for East Asian wide ones.
fn width(c: char) -> usize {
    match c as u32 {
        0..0x20 | 0x300..0x370 | 0x200b..0x2010 => 0,
        0x1100..0x1160
        | 0x2e80..0xa4d0
        | 0xac00..0xd7a4
        | 0xf900..0xfb00
        | 0xfe30..0xfe70
        | 0xff00..0xff61
        | 0x1f300..0x1f650
        | 0x1f900..0x1fa00
        | 0x20000..0x40000 => 2,
        _ => 1,
    }
}
