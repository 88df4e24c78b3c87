//! `nano`.

use super::buffer::Buffer;
use super::screen::Screen;
use crate::process::Process;
use crate::readline::key::Key;

const HELP: [&str; 2] = [
    "^O Write Out    ^W Where Is     ^K Cut          ^A Line Start   ^Y Page Up      M-U Undo",
    "^X Exit         ^_ Go To Line   ^U Paste        ^E Line End     ^V Page Down",
];

pub(in super::super) async fn nano(process: Process) -> i32 {
    let path = process.operands().iter().rev().find(|word| !word.starts_with(['-', '+'])).cloned().unwrap_or_default();
    let Some(tty) = process.stdin().tty().cloned() else {
        process.eprint("Standard input is not a terminal\n").await;
        return 1;
    };
    let buffer = match Buffer::open(&process, &path) {
        Ok(buffer) => buffer,
        Err(error) => return process.fail(1, format_args!("{path}: {error}")).await,
    };
    if let Some(code) = super::beside(&process, &tty, &buffer).await {
        return code;
    }
    let message = if buffer.existed { format!("[ Read {} lines ]", buffer.lines.len()) } else { "[ New File ]".into() };
    let mut nano = Nano { process, buffer, screen: Screen::new(tty), message };
    nano.run().await
}

struct Nano {
    process: Process,
    buffer: Buffer,
    screen: Screen,
    message: String,
}

impl Nano {
    fn draw(&mut self, line: &str, prompt: bool) {
        let (_, columns) = self.screen.size();
        let name = if self.buffer.path.is_empty() { "New Buffer" } else { &self.buffer.path };
        let mark = if self.buffer.changed { "Modified" } else { "" };
        let side = columns.saturating_sub(name.chars().count()) / 2;
        let head = format!("{:<side$}{name}{mark:>1$}", "  GNU nano 7.2", side.saturating_sub(2));
        let foot = [line.to_owned(), HELP[0].to_owned(), HELP[1].to_owned()];
        self.screen.draw(&self.buffer, Some(&head), &foot, "", prompt);
    }

    /// Asks for a line; `None` if it was given up.
    async fn ask(&mut self, question: &str, default: &str) -> Option<String> {
        let mut answer = default.to_owned();
        loop {
            self.draw(&format!("{question}: {answer}"), true);
            match self.screen.key().await? {
                Key::Enter => return Some(answer),
                Key::Control('c') | Key::Escape => {
                    self.message = "[ Cancelled ]".into();
                    return None;
                }
                Key::Backspace => _ = answer.pop(),
                Key::Char(c) => answer.push(c),
                _ => {}
            }
        }
    }

    /// Writes the file; false if it was not.
    async fn write(&mut self) -> bool {
        let default = self.buffer.path.clone();
        let Some(path) = self.ask("File Name to Write", &default).await.filter(|path| !path.is_empty()) else {
            return false;
        };
        self.buffer.path = path.clone();
        let written = self.buffer.write(&self.process, &path);
        self.message = match &written {
            Ok(()) => format!("[ Wrote {} lines ]", self.buffer.text().lines().count()),
            Err(error) => format!("[ Error writing {path}: {error} ]"),
        };
        written.is_ok()
    }

    /// Whether it may be left.
    async fn leave(&mut self) -> bool {
        if !self.buffer.changed {
            return true;
        }
        loop {
            self.draw("Save modified buffer?  (Y Yes, N No, ^C Cancel)", true);
            match self.screen.key().await {
                None | Some(Key::Char('n' | 'N')) => return true,
                Some(Key::Char('y' | 'Y')) => return self.write().await,
                Some(Key::Control('c') | Key::Escape) => return false,
                _ => {}
            }
        }
    }

    async fn run(&mut self) -> i32 {
        let mut cutting = false;
        let mut escaped = false;
        loop {
            let message = std::mem::take(&mut self.message);
            let (_, columns) = self.screen.size();
            self.draw(&format!("{message:^columns$}"), false);
            let Some(key) = self.screen.key().await else { return 0 };
            if key == Key::Control('x') {
                if self.leave().await {
                    return 0;
                }
                continue;
            }
            let page = self.screen.size().0.saturating_sub(5).max(1);
            let buffer = &mut self.buffer;
            let (rows, length) = (buffer.lines.len(), buffer.line().len());
            let cut_before = std::mem::take(&mut cutting);
            if std::mem::take(&mut escaped) {
                match key {
                    Key::Char('u' | 'U') => _ = buffer.undo(false),
                    Key::Char('e' | 'E') => _ = buffer.undo(true),
                    _ => {}
                }
                continue;
            }
            match key {
                Key::Escape => escaped = true,
                Key::Control('o' | 's') => _ = self.write().await,
                Key::Control('k') => {
                    buffer.remember();
                    let before = std::mem::take(&mut buffer.cut.0);
                    let row = buffer.row;
                    buffer.cut_lines(row, 1);
                    if cut_before {
                        buffer.cut.0.splice(0..0, before);
                    }
                    cutting = true;
                }
                Key::Control('u') => {
                    buffer.remember();
                    let (row, lines) = (buffer.row, buffer.cut.0.clone());
                    buffer.row += lines.len();
                    buffer.lines.splice(row..row, lines);
                    buffer.column = 0;
                }
                Key::Control('w') => {
                    if let Some(wanted) = self.ask("Search", "").await
                        && !self.buffer.find(&wanted, false)
                    {
                        self.message = format!("[ \"{wanted}\" not found ]");
                    }
                }
                Key::Control('\u{7f}') => {
                    if let Some(line) = self.ask("Enter line number", "").await
                        && let Ok(line) = line.trim().parse::<usize>()
                    {
                        self.buffer.row = line.saturating_sub(1).min(rows - 1);
                        self.buffer.column = 0;
                    }
                }
                Key::Up | Key::Control('p') => buffer.row = buffer.row.saturating_sub(1),
                Key::Down | Key::Control('n') => buffer.row = (buffer.row + 1).min(rows - 1),
                Key::Left | Key::Control('b') if buffer.column > 0 => buffer.column -= 1,
                Key::Left | Key::Control('b') if buffer.row > 0 => {
                    buffer.row -= 1;
                    buffer.column = buffer.line().len();
                }
                Key::Right | Key::Control('f') if buffer.column < length => buffer.column += 1,
                Key::Right | Key::Control('f') if buffer.row + 1 < rows => {
                    buffer.row += 1;
                    buffer.column = 0;
                }
                Key::Home | Key::Control('a') => buffer.column = 0,
                Key::End | Key::Control('e') => buffer.column = length,
                Key::Control('y') => buffer.row = buffer.row.saturating_sub(page),
                Key::Control('v') => buffer.row = (buffer.row + page).min(rows - 1),
                Key::Enter => {
                    buffer.remember();
                    buffer.break_line();
                }
                Key::Tab => {
                    buffer.remember();
                    buffer.insert('\t');
                }
                Key::Backspace => {
                    buffer.remember();
                    buffer.backspace();
                }
                Key::Delete | Key::Control('d') => {
                    buffer.remember();
                    buffer.delete();
                }
                Key::Char(c) => {
                    buffer.remember();
                    buffer.insert(c);
                }
                _ => {}
            }
            self.buffer.column = self.buffer.column.min(self.buffer.line().len());
        }
    }
}
