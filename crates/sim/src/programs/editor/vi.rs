//! `vi`: the modes, motions and commands of everyday.

use regex_lite::Regex;

use super::buffer::Buffer;
use super::screen::Screen;
use crate::process::Process;
use crate::readline::key::Key;

pub(in super::super) async fn vi(process: Process) -> i32 {
    let words = process.operands();
    let path = words.iter().rev().find(|word| !word.starts_with(['-', '+'])).cloned().unwrap_or_default();
    let line = words.iter().find_map(|word| word.strip_prefix('+')?.parse::<usize>().ok());
    let Some(tty) = process.stdin().tty().cloned() else {
        process.eprint("Vim: Warning: Input is not from a terminal\nVim: Error reading input, exiting...\n").await;
        return 1;
    };
    let mut buffer = match Buffer::open(&process, &path) {
        Ok(buffer) => buffer,
        Err(error) => return process.fail(1, format_args!("{path}: {error}")).await,
    };
    if let Some(code) = super::beside(&process, &tty, &buffer).await {
        return code;
    }
    buffer.row = line.unwrap_or(1).saturating_sub(1).min(buffer.lines.len() - 1);
    let message = match (path.as_str(), buffer.existed) {
        ("", _) => String::new(),
        (path, true) => format!("\"{path}\" {}L, {}B", buffer.text().lines().count(), buffer.bytes),
        (path, false) => format!("\"{path}\" [New]"),
    };
    let screen = Screen::new(tty);
    let mut vi = Vi { process, buffer, screen, message, wanted: String::new(), backwards: false };
    vi.run().await
}

struct Vi {
    process: Process,
    buffer: Buffer,
    screen: Screen,
    message: String,
    /// What was searched for last, and which way.
    wanted: String,
    backwards: bool,
}

/// What a command leads to.
enum After {
    Stay,
    Insert,
    Leave(i32),
}

impl Vi {
    fn draw(&mut self, foot: &str, prompt: bool) {
        self.screen.draw(&self.buffer, None, &[foot.to_owned()], "~", prompt);
    }

    async fn run(&mut self) -> i32 {
        loop {
            let length = self.buffer.line().len();
            self.buffer.column = self.buffer.column.min(length.saturating_sub(1));
            let message = std::mem::take(&mut self.message);
            self.draw(&message, false);
            let Some(key) = self.screen.key().await else { return 0 };
            let (count, key) = match self.count(key).await {
                Some(counted) => counted,
                None => return 0,
            };
            match self.command(key, count).await {
                After::Stay => {}
                After::Insert => {
                    if !self.insert().await {
                        return 0;
                    }
                }
                After::Leave(code) => return code,
            }
        }
    }

    /// The number before a command, and the command's key.
    async fn count(&mut self, first: Key) -> Option<(Option<usize>, Key)> {
        let mut count: Option<usize> = None;
        let mut key = first;
        loop {
            match key {
                Key::Char(c) if c.is_ascii_digit() && (c != '0' || count.is_some()) => {
                    let digit = c as usize - '0' as usize;
                    count = Some(count.unwrap_or(0).saturating_mul(10).saturating_add(digit).min(1_000_000));
                    key = self.screen.key().await?;
                }
                key => return Some((count, key)),
            }
        }
    }

    /// Types text until Escape; false if the terminal is gone.
    async fn insert(&mut self) -> bool {
        loop {
            self.draw("-- INSERT --", false);
            let Some(key) = self.screen.key().await else { return false };
            let buffer = &mut self.buffer;
            match key {
                Key::Escape | Key::Control('c') => {
                    buffer.column = buffer.column.saturating_sub(1);
                    return true;
                }
                Key::Enter => buffer.break_line(),
                Key::Tab => buffer.insert('\t'),
                Key::Backspace => buffer.backspace(),
                Key::Delete => buffer.delete(),
                Key::Char(c) => buffer.insert(c),
                Key::Left => buffer.column = buffer.column.saturating_sub(1),
                Key::Right => buffer.column = (buffer.column + 1).min(buffer.line().len()),
                Key::Up => buffer.row = buffer.row.saturating_sub(1),
                Key::Down => buffer.row = (buffer.row + 1).min(buffer.lines.len() - 1),
                Key::Home => buffer.column = 0,
                Key::End => buffer.column = buffer.line().len(),
                _ => {}
            }
            self.buffer.column = self.buffer.column.min(self.buffer.line().len());
        }
    }

    async fn command(&mut self, key: Key, count: Option<usize>) -> After {
        let times = count.unwrap_or(1);
        let buffer = &mut self.buffer;
        match key {
            Key::Char(':') => return self.ex_line().await,
            Key::Char(c @ ('/' | '?')) => {
                if let Some(wanted) = self.ask(c).await {
                    if !wanted.is_empty() {
                        self.wanted = wanted;
                    }
                    self.backwards = c == '?';
                    self.search(self.backwards);
                }
            }
            Key::Char('n') => self.search(self.backwards),
            Key::Char('N') => self.search(!self.backwards),
            Key::Char('u') => {
                if !buffer.undo(false) {
                    self.message = "Already at oldest change".into();
                }
            }
            Key::Control('r') => {
                if !buffer.undo(true) {
                    self.message = "Already at newest change".into();
                }
            }
            Key::Char('Z') => match self.screen.key().await {
                Some(Key::Char('Z')) => return self.ex("x").await,
                Some(Key::Char('Q')) => return After::Leave(0),
                _ => {}
            },
            Key::Char(c @ ('i' | 'I' | 'a' | 'A' | 'o' | 'O' | 's' | 'S' | 'C')) => {
                buffer.remember();
                self.begin_insert(c, times);
                return After::Insert;
            }
            Key::Char('x') | Key::Delete => {
                buffer.remember();
                let (from, length) = (buffer.column, buffer.line().len());
                self.cut_span(from, (from + times).min(length), true);
            }
            Key::Char('X') => {
                buffer.remember();
                let to = buffer.column;
                self.cut_span(to.saturating_sub(times), to, true);
            }
            Key::Char('D') => {
                buffer.remember();
                let (from, length) = (buffer.column, buffer.line().len());
                self.cut_span(from, length, true);
            }
            Key::Char('J') => {
                buffer.remember();
                for _ in 0..times.max(2) - 1 {
                    join(buffer);
                }
            }
            Key::Char('r') => {
                if let Some(Key::Char(c)) = self.screen.key().await {
                    self.buffer.remember();
                    let column = self.buffer.column;
                    if let Some(place) = self.buffer.line_mut().get_mut(column) {
                        *place = c;
                    }
                }
            }
            Key::Char('~') => {
                buffer.remember();
                let column = buffer.column;
                if let Some(place) = buffer.line_mut().get_mut(column) {
                    *place = if place.is_ascii_lowercase() {
                        place.to_ascii_uppercase()
                    } else {
                        place.to_ascii_lowercase()
                    };
                }
                buffer.column += 1;
            }
            Key::Char(c @ ('p' | 'P')) => {
                buffer.remember();
                for _ in 0..times {
                    paste(buffer, c == 'p');
                }
            }
            Key::Char(operator @ ('d' | 'c' | 'y' | '>' | '<')) => return self.operate(operator, times).await,
            key => {
                if let Some((row, column)) = self.motion(key, count).await {
                    (self.buffer.row, self.buffer.column) = (row, column);
                }
            }
        }
        After::Stay
    }

    fn begin_insert(&mut self, c: char, times: usize) {
        let buffer = &mut self.buffer;
        let length = buffer.line().len();
        match c {
            'I' => buffer.column = indent(buffer.line()),
            'a' => buffer.column = (buffer.column + 1).min(length),
            'A' => buffer.column = length,
            'o' => {
                buffer.column = length;
                buffer.break_line();
            }
            'O' => {
                buffer.lines.insert(buffer.row, Vec::new());
                buffer.column = 0;
            }
            's' => {
                let from = buffer.column;
                self.cut_span(from, (from + times).min(length), true);
            }
            'S' => self.cut_span(0, length, true),
            'C' => {
                let from = buffer.column;
                self.cut_span(from, length, true);
            }
            _ => {}
        }
    }

    /// Copies a part of the line, and removes it.
    fn cut_span(&mut self, from: usize, to: usize, remove: bool) {
        let buffer = &mut self.buffer;
        let part = buffer.line().get(from..to).unwrap_or_default().to_vec();
        buffer.cut = (vec![part], false);
        if remove && from <= to && to <= buffer.line().len() {
            buffer.line_mut().drain(from..to);
            buffer.column = from;
        }
    }

    /// `d`, `c`, `y`, `>` and `<`, with the motion or the key itself again.
    async fn operate(&mut self, operator: char, times: usize) -> After {
        let Some(first) = self.screen.key().await else { return After::Leave(0) };
        let Some((more, key)) = self.count(first).await else { return After::Leave(0) };
        let times = times * more.unwrap_or(1);
        let (row, column) = (self.buffer.row, self.buffer.column);
        let rows = self.buffer.lines.len();
        // Whole lines: how many, from which one.
        let lines = match key {
            Key::Char(c) if c == operator => Some((row, times.min(rows - row))),
            Key::Char('j') | Key::Down => Some((row, (times + 1).min(rows - row))),
            Key::Char('k') | Key::Up => Some((row.saturating_sub(times), times.min(row) + 1)),
            Key::Char('G') => Some((row, rows - row)),
            _ => None,
        };
        if let Some((from, count)) = lines {
            match operator {
                'y' => {
                    self.buffer.cut = (self.buffer.lines.get(from..from + count).unwrap_or_default().to_vec(), true);
                    if count > 2 {
                        self.message = format!("{count} lines yanked");
                    }
                }
                'd' => {
                    self.buffer.remember();
                    self.buffer.cut_lines(from, count);
                    if count > 2 {
                        self.message = format!("{count} fewer lines");
                    }
                }
                'c' => {
                    self.buffer.remember();
                    self.buffer.cut_lines(from, count);
                    self.buffer.lines.insert(from, Vec::new());
                    self.buffer.row = from;
                    return After::Insert;
                }
                shift => {
                    self.buffer.remember();
                    for line in self.buffer.lines.iter_mut().skip(from).take(count) {
                        if shift == '>' {
                            line.splice(0..0, [' ', ' ']);
                        } else {
                            let blanks = line.iter().take(2).take_while(|c| **c == ' ').count();
                            line.drain(..blanks);
                        }
                    }
                }
            }
            return After::Stay;
        }
        // A word that is changed goes without the blank after it.
        let key = if operator == 'c' && key == Key::Char('w') { Key::Char('e') } else { key };
        let inclusive = matches!(key, Key::Char('e' | '$') | Key::End);
        let mut target = None;
        for _ in 0..times {
            target = self.motion(key, None).await;
            if let Some((to_row, to_column)) = target {
                (self.buffer.row, self.buffer.column) = (to_row, to_column);
            }
        }
        (self.buffer.row, self.buffer.column) = (row, column);
        let Some((to_row, to_column)) = target else { return After::Stay };
        // Within the line: a motion beyond it ends with it.
        let length = self.buffer.line().len();
        let end = match to_row.cmp(&row) {
            std::cmp::Ordering::Greater => length,
            std::cmp::Ordering::Less => 0,
            std::cmp::Ordering::Equal => (to_column + usize::from(inclusive)).min(length),
        };
        if operator != 'y' {
            self.buffer.remember();
        }
        self.cut_span(column.min(end), column.max(end), operator != 'y');
        if operator == 'c' { After::Insert } else { After::Stay }
    }

    /// Where a motion leads.
    async fn motion(&mut self, key: Key, count: Option<usize>) -> Option<(usize, usize)> {
        let times = count.unwrap_or(1);
        let page = self.screen.size().0.saturating_sub(3).max(1);
        let buffer = &self.buffer;
        let (row, column, last) = (buffer.row, buffer.column, buffer.lines.len() - 1);
        let length = buffer.line().len();
        Some(match key {
            Key::Char('h') | Key::Left | Key::Backspace => (row, column.saturating_sub(times)),
            Key::Char('l' | ' ') | Key::Right => (row, (column + times).min(length)),
            Key::Char('j') | Key::Down | Key::Control('n') => ((row + times).min(last), column),
            Key::Char('k') | Key::Up | Key::Control('p') => (row.saturating_sub(times), column),
            Key::Enter | Key::Char('+') => {
                let row = (row + times).min(last);
                (row, indent(&buffer.lines[row]))
            }
            Key::Char('0') | Key::Home => (row, 0),
            Key::Char('^') => (row, indent(buffer.line())),
            Key::Char('$') | Key::End => (row, length.saturating_sub(1)),
            Key::Char('G') => (count.map_or(last, |line| line.saturating_sub(1).min(last)), 0),
            Key::Char('g') => match self.screen.key().await {
                Some(Key::Char('g')) => (times.saturating_sub(1).min(last), 0),
                _ => return None,
            },
            Key::Control('f') => ((row + page).min(last), column),
            Key::Control('d') => ((row + page / 2).min(last), column),
            Key::Control('b') => (row.saturating_sub(page), column),
            Key::Control('u') => (row.saturating_sub(page / 2), column),
            Key::Char(c @ ('w' | 'b' | 'e')) => {
                let mut place = (row, column);
                for _ in 0..times {
                    place = word(&buffer.lines, place, c);
                }
                place
            }
            _ => return None,
        })
    }

    fn search(&mut self, back: bool) {
        let wanted = self.wanted.clone();
        if !self.buffer.find(&wanted, back) {
            self.message = format!("E486: Pattern not found: {wanted}");
        }
    }

    /// A line typed at the foot.
    async fn ask(&mut self, first: char) -> Option<String> {
        let mut line = String::new();
        loop {
            self.draw(&format!("{first}{line}"), true);
            match self.screen.key().await? {
                Key::Enter => return Some(line),
                Key::Escape | Key::Control('c') => return None,
                Key::Backspace => {
                    line.pop()?;
                }
                Key::Char(c) => line.push(c),
                _ => {}
            }
        }
    }

    async fn ex_line(&mut self) -> After {
        match self.ask(':').await {
            Some(line) => self.ex(line.trim()).await,
            None => After::Stay,
        }
    }

    /// A command of the line at the foot.
    async fn ex(&mut self, line: &str) -> After {
        let (name, argument) = line.split_once(' ').map_or((line, ""), |(name, rest)| (name, rest.trim()));
        let forced = name.ends_with('!');
        match name.trim_end_matches('!') {
            "" => {}
            "q" | "quit" | "qa" => {
                if self.buffer.changed && !forced {
                    self.message = "E37: No write since last change (add ! to override)".into();
                } else {
                    return After::Leave(0);
                }
            }
            "cq" => return After::Leave(1),
            command @ ("w" | "write" | "wq" | "x" | "wqa" | "xa" | "exit") => {
                let leaves = !command.starts_with("w") || command.contains('q');
                let unchanged = command.starts_with('x') && !self.buffer.changed;
                if !unchanged && !self.write(argument) {
                    return After::Stay;
                }
                if leaves {
                    return After::Leave(0);
                }
            }
            "e" | "edit" => {
                if self.buffer.changed && !forced {
                    self.message = "E37: No write since last change (add ! to override)".into();
                } else {
                    let path = if argument.is_empty() { self.buffer.path.clone() } else { argument.to_owned() };
                    match Buffer::open(&self.process, &path) {
                        Ok(buffer) => self.buffer = buffer,
                        Err(error) => self.message = format!("\"{path}\" {error}"),
                    }
                }
            }
            // What they change is not shown here.
            "set" | "syntax" | "noh" | "nohlsearch" => {}
            "d" => {
                self.buffer.remember();
                let row = self.buffer.row;
                self.buffer.cut_lines(row, 1);
            }
            "$" => self.buffer.row = self.buffer.lines.len() - 1,
            number if number.parse::<usize>().is_ok() => {
                let line = number.parse::<usize>().unwrap_or(1);
                self.buffer.row = line.saturating_sub(1).min(self.buffer.lines.len() - 1);
            }
            _ if substitution(line).is_some() => self.substitute(line),
            _ => self.message = format!("E492: Not an editor command: {line}"),
        }
        After::Stay
    }

    fn write(&mut self, argument: &str) -> bool {
        let path = if argument.is_empty() { self.buffer.path.clone() } else { argument.to_owned() };
        if path.is_empty() {
            self.message = "E32: No file name".into();
            return false;
        }
        if self.buffer.path.is_empty() {
            self.buffer.path = path.clone();
        }
        let written = self.buffer.write(&self.process, &path);
        self.message = match &written {
            Ok(()) => {
                format!("\"{path}\" {}L, {}B written", self.buffer.text().lines().count(), self.buffer.bytes)
            }
            Err(error) => format!("\"{path}\" E212: Can't open file for writing: {error}"),
        };
        written.is_ok()
    }

    fn substitute(&mut self, line: &str) {
        let Some((range, pattern, with, flags)) = substitution(line) else { return };
        let Ok(regex) = Regex::new(&pattern) else {
            self.message = format!("E486: Pattern not found: {pattern}");
            return;
        };
        let rows = match range.as_str() {
            "%" => 0..self.buffer.lines.len(),
            _ => self.buffer.row..self.buffer.row + 1,
        };
        self.buffer.remember();
        let with = with.replace('$', "$$").replace('&', "${0}");
        let mut changed = 0;
        for line in self.buffer.lines.get_mut(rows).unwrap_or_default() {
            let text: String = line.iter().collect();
            let limit = if flags.contains('g') { 0 } else { 1 };
            let replaced = regex.replacen(&text, limit, with.as_str());
            if replaced != text {
                *line = replaced.chars().collect();
                changed += 1;
            }
        }
        if changed == 0 {
            self.buffer.undo(false);
            self.message = format!("E486: Pattern not found: {pattern}");
        }
    }
}

/// `s/pattern/text/flags`, perhaps after `%`: range, pattern, text and flags.
fn substitution(line: &str) -> Option<(String, String, String, String)> {
    let (range, rest) = line.strip_prefix('%').map_or(("", line), |rest| ("%", rest));
    let rest = rest.strip_prefix('s')?;
    let separator = rest.chars().next().filter(|c| !c.is_alphanumeric())?;
    let mut parts = rest.split(separator).skip(1);
    let (pattern, with) = (parts.next()?, parts.next().unwrap_or_default());
    let flags = parts.next().unwrap_or_default();
    Some((range.to_owned(), pattern.to_owned(), with.to_owned(), flags.to_owned()))
}

fn indent(line: &[char]) -> usize {
    line.iter().take_while(|c| c.is_whitespace()).count()
}

fn join(buffer: &mut Buffer) {
    if buffer.row + 1 < buffer.lines.len() {
        let next = buffer.lines.remove(buffer.row + 1);
        let blanks = indent(&next);
        buffer.column = buffer.line().len();
        let line = buffer.line_mut();
        line.push(' ');
        line.extend(next.into_iter().skip(blanks));
    }
}

fn paste(buffer: &mut Buffer, after: bool) {
    let (parts, whole) = buffer.cut.clone();
    if whole {
        let row = (buffer.row + usize::from(after)).min(buffer.lines.len());
        buffer.lines.splice(row..row, parts);
        buffer.row = row.min(buffer.lines.len() - 1);
        buffer.column = 0;
    } else if let Some(part) = parts.into_iter().next() {
        let column = (buffer.column + usize::from(after)).min(buffer.line().len());
        buffer.column = (column + part.len()).saturating_sub(1);
        buffer.line_mut().splice(column..column, part);
    }
}

/// Where `w`, `b` and `e` lead from a place.
fn word(lines: &[Vec<char>], from: (usize, usize), kind: char) -> (usize, usize) {
    // The text as one line, with the places of its characters.
    let mut all: Vec<(char, (usize, usize))> = Vec::new();
    for (row, line) in lines.iter().enumerate() {
        all.extend(line.iter().enumerate().map(|(column, c)| (*c, (row, column))));
        all.push(('\n', (row, line.len())));
    }
    let class = |c: char| {
        if c.is_whitespace() {
            0
        } else if c.is_alphanumeric() || c == '_' {
            1
        } else {
            2
        }
    };
    let at = |index: usize| all.get(index).map_or(0, |(c, _)| class(*c));
    let mut index = all.iter().position(|(_, place)| *place >= from).unwrap_or(0);
    let last = all.len().saturating_sub(1);
    match kind {
        'w' => {
            let here = at(index);
            while index < last && at(index) == here && here != 0 {
                index += 1;
            }
            while index < last && at(index) == 0 {
                index += 1;
            }
        }
        'e' => {
            index = (index + 1).min(last);
            while index < last && at(index) == 0 {
                index += 1;
            }
            while index < last && at(index + 1) == at(index) {
                index += 1;
            }
        }
        _ => {
            index = index.saturating_sub(1);
            while index > 0 && at(index) == 0 {
                index -= 1;
            }
            while index > 0 && at(index - 1) == at(index) {
                index -= 1;
            }
        }
    }
    all.get(index).map_or(from, |(_, place)| *place)
}
