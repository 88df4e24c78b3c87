//! The screen of an editor, and its keys.

use super::buffer::Buffer;
use crate::io::PIPE_BYTES_MAX;
use crate::readline::key::{Key, decode};
use crate::tty::Tty;

const TAB_WIDTH: usize = 8;

/// A terminal with an editor's view on it.
pub(super) struct Screen {
    pub(super) tty: Tty,
    /// The first line that is shown.
    top: usize,
    bytes: Vec<u8>,
}

impl Screen {
    /// Takes the terminal over, until dropped.
    pub(super) fn new(tty: Tty) -> Self {
        tty.set_raw(true);
        tty.write(b"\x1b[?1049h");
        Self { tty, top: 0, bytes: Vec::new() }
    }

    /// Lines and columns.
    pub(super) fn size(&self) -> (usize, usize) {
        let (columns, rows) = self.tty.size();
        (usize::from(rows).max(4), usize::from(columns).max(10))
    }

    /// The next key; none if the terminal is gone.
    pub(super) async fn key(&mut self) -> Option<Key> {
        loop {
            // Escape alone, whatever key follows it: in these editors it is a key of its own.
            let alone = self.bytes.first() == Some(&27) && !matches!(self.bytes.get(1), Some(b'[' | b'O'));
            if alone {
                self.bytes.remove(0);
                return Some(Key::Escape);
            }
            if let Some((key, used)) = decode(&self.bytes) {
                self.bytes.drain(..used);
                return Some(key);
            }
            let part = self.tty.fd().read(PIPE_BYTES_MAX).await.unwrap_or_default();
            if part.is_empty() {
                return None;
            }
            self.bytes.extend_from_slice(&part);
        }
    }

    /// Draws the text between a head and the lines at the foot, and puts the cursor where it is; `filler` stands
    /// for lines beyond the text. With `prompt`, the cursor is at the end of the first line of the foot.
    pub(super) fn draw(&mut self, buffer: &Buffer, head: Option<&str>, foot: &[String], filler: &str, prompt: bool) {
        let (rows, columns) = self.size();
        let height = rows.saturating_sub(foot.len() + usize::from(head.is_some())).max(1);
        if buffer.row < self.top {
            self.top = buffer.row;
        }
        if buffer.row >= self.top + height {
            self.top = buffer.row + 1 - height;
        }
        // A long line moves under the cursor as a whole.
        let cursor = width(buffer.line(), buffer.column);
        let left = if cursor >= columns { cursor + 1 - columns } else { 0 };
        let mut out = String::from("\x1b[?25l\x1b[H");
        if let Some(head) = head {
            out.push_str(&format!("\x1b[7m{:<columns$.columns$}\x1b[0m\r\n", head));
        }
        for row in self.top..self.top + height {
            match buffer.lines.get(row) {
                Some(line) => out.extend(expanded(line).into_iter().skip(left).take(columns)),
                None => out.push_str(filler),
            }
            out.push_str("\x1b[K\r\n");
        }
        let lines: Vec<String> = foot.iter().map(|line| line.chars().take(columns).collect()).collect();
        out.push_str(&lines.iter().map(|line| format!("{line}\x1b[K")).collect::<Vec<_>>().join("\r\n"));
        let (row, column) = if prompt {
            (height + usize::from(head.is_some()), foot.first().map_or(0, |line| line.chars().count()))
        } else {
            (buffer.row - self.top + usize::from(head.is_some()), cursor - left)
        };
        out.push_str(&format!("\x1b[{};{}H\x1b[?25h", row + 1, column + 1));
        self.tty.write(out.as_bytes());
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.tty.write(b"\x1b[?1049l");
        self.tty.set_raw(false);
        self.tty.unread(&self.bytes);
    }
}

fn expanded(line: &[char]) -> Vec<char> {
    let mut shown = Vec::new();
    for c in line {
        match c {
            '\t' => shown.resize((shown.len() / TAB_WIDTH + 1) * TAB_WIDTH, ' '),
            c if c.is_control() => shown.extend(['^', char::from(*c as u8 ^ 64)]),
            c => shown.push(*c),
        }
    }
    shown
}

/// The column on the screen of a column of a line.
fn width(line: &[char], column: usize) -> usize {
    expanded(line.get(..column.min(line.len())).unwrap_or_default()).len()
}
