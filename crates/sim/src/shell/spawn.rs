//! Processes of the shell: external commands, subshells, pipelines, `$(…)`.

use std::cell::RefCell;
use std::rc::Rc;

use super::ast::{Command, Redirect, Simple, Target, Word};
use super::{Flow, Shell};
use crate::errno::Errno;
use crate::fs::Mode;
use crate::io::{self, Fd};
use crate::process::{Child, ExecError, Executable, Pid, Process, Signal, Spawn};

/// How long the output of `$(…)` may be.
const SUBSTITUTION_BYTES_MAX: usize = 16 << 20;

impl Shell {
    /// Finds what a command line runs; the exit code and message where it runs nothing.
    fn find(&self, words: &[String]) -> Result<Executable, (i32, String)> {
        let name = words.first().map_or("", String::as_str);
        self.machine.find(words, &self.env(), &self.cwd).map_err(|error| match error {
            ExecError::NotInPath => (127, format!("{name}: not found")),
            ExecError::Path(Errno::PermissionDenied) => (126, format!("{name}: Permission denied")),
            ExecError::Path(Errno::NotFound) => (127, format!("{name}: not found")),
            ExecError::Path(error) => (126, format!("{name}: {error}")),
        })
    }

    pub(super) async fn external(
        &mut self,
        words: Vec<String>,
        assigned: Vec<(String, String)>,
        replace: bool,
    ) -> Result<i32, Flow> {
        let executable = match self.find(&words) {
            Ok(executable) => executable,
            Err((code, message)) => {
                self.error(&message).await;
                return Ok(code);
            }
        };
        let mut env = self.env();
        env.extend(assigned);
        if replace {
            self.machine.set_args(self.pid, &executable.args);
            let process = Process { env, args: executable.args, ..self.process() };
            return Err(Flow::Exit(executable.program.run(process).await & 0xff));
        }
        let group = if self.interactive { None } else { Some(self.group) };
        let child = self.machine.spawn(Spawn {
            program: executable.program,
            args: executable.args,
            env,
            cwd: self.cwd.clone(),
            uid: self.uid,
            gid: self.gid,
            fds: self.fds.clone(),
            parent: self.pid,
            group,
        });
        self.wait_foreground(&child, group.unwrap_or(child.pid)).await
    }

    /// The shell's own process, for what runs in its place.
    pub(super) fn process(&self) -> Process {
        Process {
            machine: self.machine.clone(),
            fs: self.fs.clone(),
            pid: self.pid,
            args: Vec::new(),
            env: self.env(),
            cwd: self.cwd.clone(),
            uid: self.uid,
            gid: self.gid,
            fds: self.fds.clone(),
            signals: self.signals.clone(),
        }
    }

    /// Replaces the shell by a command: `exec`.
    pub(super) async fn replace(&mut self, words: Vec<String>) -> Result<i32, Flow> {
        for name in std::mem::take(&mut self.traps).into_keys() {
            if let Some(signal) = Signal::parse(&name) {
                self.signals.reset(signal);
            }
        }
        match self.find(&words) {
            Err((code, message)) => {
                self.error(&format!("exec: {message}")).await;
                Err(Flow::Exit(code))
            }
            Ok(_) => self.external(words, Vec::new(), true).await,
        }
    }

    /// Waits for a process in the foreground: Ctrl-C is its own until it ends.
    pub(super) async fn wait_foreground(&mut self, child: &Child, group: Pid) -> Result<i32, Flow> {
        if !self.interactive {
            return Ok(child.wait().await);
        }
        let tty = self.fd(0).tty().or(self.fd(2).tty()).cloned();
        let before = tty.as_ref().map(|tty| tty.set_foreground(group));
        let code = child.wait_or_stop().await;
        if let (Some(tty), Some(before)) = (&tty, before) {
            tty.set_foreground(before);
            tty.set_raw(false);
        }
        let Some(code) = code else { return Err(self.stopped(child, group).await) };
        if code == Signal::Int.exit_code() {
            let _ = self.fd(2).write_all(b"\n").await;
            self.status = code;
            return Err(Flow::Interrupted);
        }
        if let Some(signal) = child.killed_by().filter(|signal| *signal != Signal::Pipe) {
            let _ = self.fd(2).write_all(format!("{}\n", signal.description()).as_bytes()).await;
        }
        Ok(code)
    }

    /// Starts a copy of the shell as a process of its own.
    pub(super) fn subshell(&self, command: &Rc<Command>, group: Option<Pid>, change: impl FnOnce(&mut Shell)) -> Child {
        let mut copy = self.clone();
        copy.jobs.clear();
        change(&mut copy);
        copy.interactive = false;
        copy.traps.clear();
        copy.depth = 0;
        let group = if self.interactive { group } else { Some(self.group) };
        let fds = std::mem::take(&mut copy.fds);
        let start = RefCell::new(Some((copy, command.clone())));
        let program = move |process: Process| {
            let started = start.borrow_mut().take();
            async move {
                let Some((mut shell, command)) = started else { return 1 };
                shell.pid = process.pid;
                shell.group = group.unwrap_or(process.pid);
                shell.signals = process.signals;
                shell.fds = process.fds;
                let ended = match &*command {
                    // A subshell of one external command becomes it.
                    Command::Simple(simple) => shell.simple(simple, true).await,
                    _ => shell.run(&command).await,
                };
                let code = match ended {
                    Ok(code) | Err(Flow::Exit(code) | Flow::Return(code)) => code,
                    Err(Flow::Interrupted) => Signal::Int.exit_code(),
                    Err(Flow::Break(_) | Flow::Continue(_)) => 0,
                };
                shell.finish(code).await
            }
        };
        self.machine.spawn(Spawn {
            program: Rc::new(program),
            args: vec![self.name.clone()],
            env: self.env(),
            cwd: self.cwd.clone(),
            uid: self.uid,
            gid: self.gid,
            fds,
            parent: self.pid,
            group,
        })
    }

    pub(super) async fn pipeline(&mut self, commands: &[Rc<Command>]) -> Result<i32, Flow> {
        let mut input = self.fd(0);
        let mut children: Vec<Child> = Vec::new();
        for (index, command) in commands.iter().enumerate() {
            let last = index + 1 == commands.len();
            let (next, output) = if last { (Fd::null(), self.fd(1)) } else { io::pipe(self.machine.executor()) };
            let group = children.first().map(|child| child.pid);
            let child = self.subshell(command, group, |shell| {
                shell.fds.insert(0, input);
                shell.fds.insert(1, output);
            });
            input = next;
            children.push(child);
        }
        drop(input);
        let Some((last, others)) = children.split_last() else { return Ok(0) };
        let group = others.first().map_or(last.pid, |child| child.pid);
        let mut code = self.wait_foreground(last, group).await?;
        for child in others.iter().rev() {
            let other = child.wait().await;
            if self.options.pipefail && code == 0 {
                code = other;
            }
        }
        Ok(code)
    }

    /// `$(…)`.
    pub(super) async fn substitute(&mut self, command: &Rc<Command>) -> Result<String, Flow> {
        if let Some(file) = file_alone(command) {
            let path = self.expand_one(file).await?;
            let file = self.open(&path, Mode::Read).await;
            self.status = i32::from(file.is_none());
            self.substituted = Some(self.status);
            return Ok(match file {
                Some(file) => text_of(&file).await,
                None => String::new(),
            });
        }
        let (reader, writer) = io::pipe(self.machine.executor());
        // Of the shell's own group: Ctrl-C is for both. `$(jobs -p)` is of the shell's jobs.
        let jobs = self.jobs.clone();
        let child = self.subshell(command, Some(self.group), |shell| {
            shell.fds.insert(1, writer);
            shell.jobs = jobs;
        });
        let text = text_of(&reader).await;
        drop(reader);
        self.status = child.wait().await;
        self.substituted = Some(self.status);
        Ok(text)
    }
}

/// The file of `$(<file)`.
fn file_alone(command: &Command) -> Option<&Word> {
    let Command::Simple(Simple { assignments, words, redirects, .. }) = command else { return None };
    match redirects.as_slice() {
        [Redirect { fd: 0, target: Target::Read(file) }] if assignments.is_empty() && words.is_empty() => Some(file),
        _ => None,
    }
}

/// What a substitution is replaced by.
async fn text_of(reader: &Fd) -> String {
    let mut text = Vec::new();
    loop {
        let part = reader.read(io::PIPE_BYTES_MAX).await.unwrap_or_default();
        if part.is_empty() || text.len() > SUBSTITUTION_BYTES_MAX {
            break;
        }
        text.extend_from_slice(&part);
    }
    let text = String::from_utf8_lossy(&text).replace('\0', "");
    text.trim_end_matches('\n').to_owned()
}
