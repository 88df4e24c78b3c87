//! A line being edited, and how it is drawn.

use super::Completion;
use super::width::{columns_of, visible_width, width};
use crate::tty::Tty;

/// A line being edited.
pub(super) struct Line<'a> {
    pub(super) tty: &'a Tty,
    pub(super) prompt: &'a str,
    pub(super) text: Vec<char>,
    pub(super) cursor: usize,
    /// The screen row of the cursor below the prompt's first row.
    pub(super) row: usize,
}

impl Line<'_> {
    pub(super) fn set(&mut self, text: Vec<char>) {
        self.cursor = text.len();
        self.text = text;
    }

    pub(super) fn insert(&mut self, c: char) {
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

    pub(super) fn leave_to_first_row(&mut self) {
        if self.row > 0 {
            self.tty.write(format!("\x1b[{}A", self.row).as_bytes());
            self.row = 0;
        }
    }

    /// Draws prompt and text anew and puts the cursor in its place.
    pub(super) fn draw(&mut self) {
        self.leave_to_first_row();
        let columns = self.columns();
        let text: String = self.text.iter().collect();
        let total = self.width_before(self.text.len());
        let mut out = format!("\r\x1b[J{}{text}", self.prompt);
        if total > 0 && total.is_multiple_of(columns) {
            // The terminal waits at the line's end: go to the next one for certain.
            out.push_str("\r\n");
        }
        let at = self.width_before(self.cursor);
        let (end_row, row) = (total / columns, at / columns);
        if end_row > row {
            out.push_str(&format!("\x1b[{}A", end_row - row));
        }
        out.push('\r');
        if !at.is_multiple_of(columns) {
            out.push_str(&format!("\x1b[{}C", at % columns));
        }
        self.row = row;
        self.tty.write(out.as_bytes());
    }

    /// Where the word before the cursor begins.
    pub(super) fn word_start(&self) -> usize {
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
    pub(super) fn word_end(&self) -> usize {
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
    pub(super) fn blank_start(&self) -> usize {
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

    pub(super) fn complete(&mut self, completion: &Completion, list: bool) {
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

fn common_prefix(candidates: &[String]) -> String {
    let Some((first, rest)) = candidates.split_first() else { return String::new() };
    let mut common: Vec<char> = first.chars().collect();
    for candidate in rest {
        let same = common.iter().zip(candidate.chars()).take_while(|(a, b)| **a == *b).count();
        common.truncate(same);
    }
    common.into_iter().collect()
}
