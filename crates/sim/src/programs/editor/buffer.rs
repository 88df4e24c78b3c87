//! The text that is edited.

use crate::errno::Errno;
use crate::process::Process;

/// How many changes can be undone.
const UNDO_MAX: usize = 100;

/// Lines and a cursor.
#[derive(Clone, Default)]
struct State {
    lines: Vec<Vec<char>>,
    row: usize,
    column: usize,
}

/// A file's text, what was done to it, and what was cut from it.
pub(super) struct Buffer {
    pub(super) path: String,
    /// Lines, at least one.
    pub(super) lines: Vec<Vec<char>>,
    pub(super) row: usize,
    pub(super) column: usize,
    pub(super) changed: bool,
    /// Whether the file was there.
    pub(super) existed: bool,
    /// Bytes of the file as it was read or written last.
    pub(super) bytes: usize,
    undone: Vec<State>,
    redone: Vec<State>,
    /// What was cut or copied; whole lines or a part of one.
    pub(super) cut: (Vec<Vec<char>>, bool),
}

impl Buffer {
    /// Reads a file; one that is not there yet is empty.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn open(process: &Process, path: &str) -> Result<Self, Errno> {
        let mut buffer = Self {
            path: path.to_owned(),
            lines: vec![Vec::new()],
            row: 0,
            column: 0,
            changed: false,
            existed: false,
            bytes: 0,
            undone: Vec::new(),
            redone: Vec::new(),
            cut: (Vec::new(), true),
        };
        if path.is_empty() {
            return Ok(buffer);
        }
        let full = process.path(path);
        if process.fs().is_dir(&full) {
            return Err(Errno::IsADirectory);
        }
        match process.fs().read(&full) {
            Ok(data) => {
                let text = String::from_utf8_lossy(&data);
                buffer.lines = text.lines().map(|line| line.chars().collect()).collect();
                if buffer.lines.is_empty() {
                    buffer.lines.push(Vec::new());
                }
                buffer.existed = true;
                buffer.bytes = data.len();
                Ok(buffer)
            }
            Err(Errno::NotFound) => Ok(buffer),
            Err(error) => Err(error),
        }
    }

    /// The text, each line with its end.
    pub(super) fn text(&self) -> String {
        match self.lines.as_slice() {
            [only] if only.is_empty() => String::new(),
            lines => lines.iter().flat_map(|line| line.iter().chain(&['\n'])).collect(),
        }
    }

    /// Writes the text to a file.
    ///
    /// # Errors
    /// When that fails.
    pub(super) fn write(&mut self, process: &Process, path: &str) -> Result<(), Errno> {
        let text = self.text();
        self.bytes = text.len();
        process.fs().write(&process.path(path), text, process.machine.now())?;
        if path == self.path {
            self.changed = false;
            self.existed = true;
        }
        Ok(())
    }

    pub(super) fn line(&self) -> &[char] {
        self.lines.get(self.row).map_or(&[], Vec::as_slice)
    }

    pub(super) fn line_mut(&mut self) -> &mut Vec<char> {
        if self.lines.is_empty() {
            self.lines.push(Vec::new());
        }
        self.row = self.row.min(self.lines.len() - 1);
        let row = self.row;
        &mut self.lines[row]
    }

    fn state(&self) -> State {
        State { lines: self.lines.clone(), row: self.row, column: self.column }
    }

    /// Remembers the text as it is, before it changes.
    pub(super) fn remember(&mut self) {
        if self.undone.len() == UNDO_MAX {
            self.undone.remove(0);
        }
        self.undone.push(self.state());
        self.redone.clear();
        self.changed = true;
    }

    /// Takes the last change back, or with `again` makes it again; false if there is none.
    pub(super) fn undo(&mut self, again: bool) -> bool {
        let now = self.state();
        let (from, to) =
            if again { (&mut self.redone, &mut self.undone) } else { (&mut self.undone, &mut self.redone) };
        let Some(state) = from.pop() else { return false };
        to.push(now);
        (self.lines, self.row, self.column) = (state.lines, state.row, state.column);
        self.changed = true;
        true
    }

    pub(super) fn insert(&mut self, c: char) {
        let column = self.column.min(self.line().len());
        self.line_mut().insert(column, c);
        self.column = column + 1;
    }

    /// Splits the line at the cursor.
    pub(super) fn break_line(&mut self) {
        let column = self.column.min(self.line().len());
        let rest = self.line_mut().split_off(column);
        self.row += 1;
        self.lines.insert(self.row, rest);
        self.column = 0;
    }

    /// Removes the character before the cursor, or joins with the line before.
    pub(super) fn backspace(&mut self) {
        if self.column > 0 {
            let column = self.column.min(self.line().len());
            if column > 0 {
                self.line_mut().remove(column - 1);
            }
            self.column = column.saturating_sub(1);
        } else if self.row > 0 {
            let line = self.lines.remove(self.row);
            self.row -= 1;
            self.column = self.line().len();
            self.line_mut().extend(line);
        }
    }

    /// Removes the character under the cursor, or joins with the next line.
    pub(super) fn delete(&mut self) {
        if self.column < self.line().len() {
            let column = self.column;
            self.line_mut().remove(column);
        } else if self.row + 1 < self.lines.len() {
            let next = self.lines.remove(self.row + 1);
            self.line_mut().extend(next);
        }
    }

    /// Takes whole lines out, to paste.
    pub(super) fn cut_lines(&mut self, from: usize, count: usize) {
        let end = (from + count).min(self.lines.len());
        let taken: Vec<Vec<char>> = self.lines.drain(from.min(end)..end).collect();
        self.cut = (taken, true);
        if self.lines.is_empty() {
            self.lines.push(Vec::new());
        }
        self.row = from.min(self.lines.len() - 1);
        self.column = 0;
    }

    /// Finds a text from the cursor on, and from the start after the end; back with `back`.
    pub(super) fn find(&mut self, wanted: &str, back: bool) -> bool {
        let wanted: Vec<char> = wanted.chars().collect();
        if wanted.is_empty() {
            return false;
        }
        let mut places = Vec::new();
        for (row, line) in self.lines.iter().enumerate() {
            let found = line.windows(wanted.len()).enumerate().filter(|(_, window)| **window == *wanted);
            places.extend(found.map(|(column, _)| (row, column)));
        }
        let here = (self.row, self.column);
        let place = if back {
            places.iter().rev().find(|place| **place < here).or(places.last())
        } else {
            places.iter().find(|place| **place > here).or(places.first())
        };
        match place {
            Some((row, column)) => {
                (self.row, self.column) = (*row, *column);
                true
            }
            None => false,
        }
    }
}
