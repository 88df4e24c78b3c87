//! The interactive shell: prompt, line editing, completion.

use std::collections::BTreeMap;

use super::history::recalled;
use super::{Flow, Shell, parse};
use crate::fs::{self, Kind};
use crate::process::{Machine, Signal};
use crate::readline::{Completion, Input, Readline};

/// How many lines the history's file keeps: bash's `HISTFILESIZE`.
const HISTORY_LINES_MAX: usize = 500;

impl Shell {
    /// Reads and runs command lines until the end of input or `exit`.
    pub(super) async fn interact(&mut self) -> i32 {
        let tty = self.fd(0).tty().cloned();
        self.interactive = true;
        for signal in [Signal::Int, Signal::Quit, Signal::Term, Signal::Tstp] {
            self.signals.ignore(signal);
        }
        self.signals.handle(Signal::Int);
        let Some(tty) = tty else {
            let text = self.fd(0).read_to_end().await.unwrap_or_default();
            return self.run_script(&String::from_utf8_lossy(&text), false).await;
        };
        tty.set_foreground(self.group);
        if self.bash
            && let Some(home) = self.get("HOME")
            && let Ok(text) = self.fs.read_text(&format!("{home}/.bashrc"))
        {
            match parse(&text) {
                Ok(command) => {
                    if let Err(Flow::Exit(code)) = self.run(&command).await {
                        return self.finish(code).await;
                    }
                }
                Err(error) => self.error(&format!("{home}/.bashrc: {}", error.message)).await,
            }
        }
        let mut readline = Readline::default();
        let history = self.get("HISTFILE");
        if let Some((file, text)) = history.as_ref().and_then(|file| Some((file, self.fs.read_text(file).ok()?))) {
            let lines: Vec<&str> = text.lines().collect();
            let kept = lines.get(lines.len().saturating_sub(HISTORY_LINES_MAX)..).unwrap_or_default();
            if kept.len() < lines.len() {
                // A disk that is full keeps what it has.
                let _ = self.fs.write(file, kept.join("\n") + "\n", self.machine.now());
            }
            kept.iter().for_each(|line| readline.remember(line));
            *self.history.borrow_mut() = readline.history().to_vec();
        }
        let mut text = String::new();
        loop {
            let prompt = if text.is_empty() { self.prompt() } else { self.get("PS2").unwrap_or_else(|| "> ".into()) };
            let (machine, cwd) = (self.machine.clone(), self.cwd.clone());
            let aliases = self.aliases.clone();
            let path = self.get("PATH");
            let input = readline
                .read(&tty, &prompt, |before| {
                    let (machine, cwd, path) = (machine.clone(), cwd.clone(), path.clone());
                    let aliases = aliases.clone();
                    async move { complete(&machine, &cwd, path.as_deref(), &aliases, &before).await }
                })
                .await;
            match input {
                Input::End if text.is_empty() => match self.keeps_stopped_jobs().await {
                    true => continue,
                    false => break,
                },
                Input::End | Input::Interrupted => {
                    text.clear();
                    self.status = Signal::Int.exit_code();
                    continue;
                }
                Input::Line(line) => {
                    let line = match recalled(&line, &self.history.borrow()) {
                        Ok(None) => line,
                        Ok(Some(recalled)) => {
                            readline.amend(&recalled);
                            tty.write(format!("{recalled}\n").as_bytes());
                            recalled
                        }
                        Err(message) => {
                            tty.write(format!("{}: {message}\n", self.name).as_bytes());
                            self.status = 1;
                            continue;
                        }
                    };
                    if let Some(file) = history.as_ref().filter(|_| !line.trim().is_empty()) {
                        // Line by line, as `history -a` does: a terminal may go away at any time. A disk that is full
                        // keeps no more.
                        let _ = self.fs.append(file, format!("{line}\n").as_bytes(), self.machine.now());
                    }
                    *self.history.borrow_mut() = readline.history().to_vec();
                    if !text.is_empty() {
                        text.push('\n');
                    }
                    text.push_str(&line);
                }
            }
            let command = match parse(&text) {
                Ok(command) => command,
                Err(error) if error.incomplete => continue,
                Err(error) => {
                    self.error(&error.message).await;
                    self.status = 2;
                    text.clear();
                    continue;
                }
            };
            self.typed = std::mem::take(&mut text).trim().into();
            self.signals.take();
            self.depth = 0;
            let warned = self.warned;
            if let Err(Flow::Exit(code)) = self.run(&command).await {
                return self.finish(code).await;
            }
            self.warned &= !warned;
            self.condition = 0;
            self.report_jobs().await;
        }
        let status = self.status;
        self.finish(status).await
    }

    /// `PS1` with its escapes: `\u`, `\h`, `\w`, `\W`, `\$`, `\e`, `\n`.
    fn prompt(&self) -> String {
        let default = if self.name == "bash" { "\\u@\\h:\\w\\$ " } else { "\\w \\$ " };
        let pattern = self.get("PS1").unwrap_or_else(|| default.into());
        let home = self.get("HOME").unwrap_or_default();
        let shown = match self.cwd.strip_prefix(&home) {
            Some(rest) if !home.is_empty() && home != "/" && (rest.is_empty() || rest.starts_with('/')) => {
                format!("~{rest}")
            }
            _ => self.cwd.clone(),
        };
        let mut prompt = String::new();
        let mut chars = pattern.chars();
        while let Some(c) = chars.next() {
            if c != '\\' {
                prompt.push(c);
                continue;
            }
            match chars.next() {
                Some('u') => prompt.push_str(&self.get("USER").unwrap_or_else(|| self.user_name())),
                Some('h' | 'H') => prompt.push_str(self.machine.hostname()),
                Some('w') => prompt.push_str(&shown),
                Some('W') => prompt.push_str(if shown == "~" { "~" } else { fs::file_name(&self.cwd) }),
                Some('$') => prompt.push(if self.uid == 0 { '#' } else { '$' }),
                Some('e') => prompt.push('\x1b'),
                Some('n') => prompt.push_str("\r\n"),
                Some('[' | ']') => {}
                Some(other) => prompt.push(other),
                None => {}
            }
        }
        prompt
    }

    fn user_name(&self) -> String {
        let passwd = self.fs.read_text("/etc/passwd").unwrap_or_default();
        let uid = self.uid.to_string();
        let row = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|row| row.get(2) == Some(&&*uid));
        row.and_then(|row| row.first().map(|name| (*name).to_owned())).unwrap_or_else(|| "I have no name!".into())
    }
}

/// How a command line may go on: a command's name, what a command says itself, or a path.
async fn complete(
    machine: &Machine,
    cwd: &str,
    path: Option<&str>,
    aliases: &BTreeMap<String, String>,
    before: &str,
) -> Completion {
    let segment = before.rfind(['|', ';', '&', '(']).map_or(0, |at| at + 1);
    let line = before.get(segment..).unwrap_or_default();
    let mut words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    if line.is_empty() || line.ends_with(char::is_whitespace) {
        words.push(String::new());
    }
    let Some(last) = words.last().cloned() else { return Completion::default() };
    let start = before.chars().count() - last.chars().count();
    if words.len() == 1 && !last.contains('/') {
        let commands = machine.commands(path).into_iter().chain(aliases.keys().cloned());
        let commands = commands.filter(|name| name.starts_with(&last));
        return Completion { start, candidates: commands.collect() };
    }
    // An alias is completed as what it stands for.
    if let Some(alias) = words.first().and_then(|name| aliases.get(name)) {
        words.splice(..1, alias.split_whitespace().map(str::to_owned));
    }
    if let Some(completer) = words.first().and_then(|command| machine.completer(command)) {
        let mut candidates = completer(machine, words).await;
        candidates.retain(|candidate| candidate.starts_with(&last));
        if !candidates.is_empty() {
            return Completion { start, candidates };
        }
    }
    let (folder, name) = last
        .rsplit_once('/')
        .map_or(("", last.as_str()), |(_, name)| (last.get(..last.len() - name.len()).unwrap_or_default(), name));
    let entries = machine.fs().list(&fs::absolute(cwd, folder)).unwrap_or_default();
    let fitting = entries
        .into_iter()
        .filter(|(entry, _)| entry.starts_with(name) && (!entry.starts_with('.') || name.starts_with('.')));
    let candidates = fitting
        .map(|(entry, what)| format!("{folder}{entry}{}", if what.kind == Kind::Directory { "/" } else { "" }))
        .collect();
    Completion { start, candidates }
}
