//! A line editor over a terminal's raw bytes: history, arrows, Emacs keys, reverse search, completion.

pub(crate) mod key;
mod line;
mod width;

use std::future::Future;

use crate::io::PIPE_BYTES_MAX;
use crate::tty::Tty;
use key::{Key, decode};
use line::Line;
pub(crate) use width::columns_of;

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

    /// Puts another line in the place of the last, which recalled it.
    pub fn amend(&mut self, line: &str) {
        self.history.pop();
        self.remember(line);
    }

    /// Reads a line from a terminal. `complete` is asked at Tab, with the line up to the cursor.
    pub async fn read<F, T>(&mut self, tty: &Tty, prompt: &str, complete: F) -> Input
    where
        F: Fn(String) -> T,
        T: Future<Output = Completion>,
    {
        tty.set_keys();
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
        if tty.is_mid_line() {
            // What ended without a line feed stays to be read, as in zsh.
            tty.write(b"\r\n");
        }
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
