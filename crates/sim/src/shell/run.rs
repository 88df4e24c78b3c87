//! Running commands.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::LocalBoxFuture;

use super::ast::{Command, Redirect, Simple, Target};
use super::{Flow, Shell, Variable, builtins, pattern};
use crate::errno::Errno;
use crate::fs::{self, Kind, Mode};
use crate::io::{self, Fd};
use crate::process::{Child, ExecError, Executable, Pid, Process, Signal, Spawn};

/// What a builtin costs: keeps an endless loop from holding virtual time still.
const BUILTIN_TIME: Duration = Duration::from_micros(20);
/// How deeply functions and compound commands may be nested.
const DEPTH_MAX: usize = 90;
/// How long the output of `$(…)` may be.
const SUBSTITUTION_BYTES_MAX: usize = 16 << 20;

impl Shell {
    /// Runs a command and sets `$?`.
    pub(super) fn run<'a>(&'a mut self, command: &'a Rc<Command>) -> LocalBoxFuture<'a, Result<i32, Flow>> {
        async move {
            self.depth += 1;
            if self.depth > DEPTH_MAX {
                self.depth = 0;
                return Err(self.fatal("maximum recursion depth exceeded").await);
            }
            let result = self.dispatch(command).await;
            self.depth = self.depth.saturating_sub(1);
            let code = result?;
            self.status = code;
            self.run_traps().await?;
            Ok(self.status)
        }
        .boxed_local()
    }

    async fn dispatch(&mut self, command: &Rc<Command>) -> Result<i32, Flow> {
        match &**command {
            Command::Simple(simple) => {
                let code = self.simple(simple, false).await?;
                self.check_errexit(code)
            }
            Command::Sequence(commands) => {
                let mut code = 0;
                for command in commands {
                    code = self.run(command).await?;
                }
                Ok(code)
            }
            Command::And(left, right) => match self.run_condition(left).await? {
                0 => self.run(right).await,
                code => Ok(code),
            },
            Command::Or(left, right) => match self.run_condition(left).await? {
                0 => Ok(0),
                _ => self.run(right).await,
            },
            Command::Pipeline { negated, commands } => {
                let code = match commands.as_slice() {
                    [only] => self.run_condition(only).await?,
                    commands => self.pipeline(commands).await?,
                };
                if *negated { Ok(i32::from(code == 0)) } else { self.check_errexit(code) }
            }
            Command::Background(inner) => {
                let child = self.subshell(inner, None, |shell| {
                    if !shell.interactive {
                        shell.fds.insert(0, Fd::null());
                    }
                });
                self.last_background = Some(child.pid);
                self.jobs.retain(|job| job.exit_code().is_none());
                if self.interactive {
                    let line = format!("[{}] {}\n", self.jobs.len() + 1, child.pid);
                    let _ = self.fd(2).write_all(line.as_bytes()).await;
                }
                self.jobs.push(child);
                Ok(0)
            }
            Command::Subshell(inner) => {
                let child = self.subshell(inner, None, |_| {});
                let code = self.wait_foreground(&child, child.pid).await?;
                self.check_errexit(code)
            }
            Command::If(branches, otherwise) => {
                for (condition, body) in branches {
                    if self.run_condition(condition).await? == 0 {
                        return self.run(body).await;
                    }
                }
                match otherwise {
                    Some(body) => self.run(body).await,
                    None => Ok(0),
                }
            }
            Command::Loop { until, condition, body } => {
                let mut code = 0;
                loop {
                    self.pause().await?;
                    let holds = match self.looping(condition, true).await {
                        Ok(Some(code)) => code == 0,
                        Ok(None) => break Ok(code),
                        Err(flow) => break Err(flow),
                    };
                    if holds == *until {
                        break Ok(code);
                    }
                    match self.looping(body, false).await? {
                        Some(last) => code = last,
                        None => break Ok(0),
                    }
                }
            }
            Command::For { name, words, body } => {
                let values = match words {
                    Some(words) => self.expand(words).await?,
                    None => self.params.clone(),
                };
                let mut code = 0;
                for value in values {
                    self.pause().await?;
                    self.set(name, value);
                    match self.looping(body, false).await? {
                        Some(last) => code = last,
                        None => return Ok(0),
                    }
                }
                Ok(code)
            }
            Command::Case { word, arms } => {
                let text: Vec<char> = self.expand_one(word).await?.chars().collect();
                for (patterns, body) in arms {
                    for candidate in patterns {
                        if pattern::matches(&self.expand_pattern(candidate).await?, &text) {
                            return self.run(body).await;
                        }
                    }
                }
                Ok(0)
            }
            Command::Function(name, body) => {
                self.functions.insert(name.clone(), body.clone());
                Ok(0)
            }
            Command::Redirected(inner, redirects) => {
                let saved = self.fds.clone();
                let result = match self.redirect(redirects).await? {
                    true => self.run(inner).await,
                    false => Ok(1),
                };
                self.fds = saved;
                result
            }
        }
    }

    /// Runs the body or condition of a loop: `None` to leave the loop.
    async fn looping(&mut self, body: &Rc<Command>, condition: bool) -> Result<Option<i32>, Flow> {
        let result = if condition { self.run_condition(body).await } else { self.run(body).await };
        match result {
            Err(Flow::Break(1)) => Ok(None),
            Err(Flow::Break(levels)) => Err(Flow::Break(levels - 1)),
            Err(Flow::Continue(1)) => Ok(Some(0)),
            Err(Flow::Continue(levels)) => Err(Flow::Continue(levels - 1)),
            result => result.map(Some),
        }
    }

    /// Runs a command whose failure is no error.
    async fn run_condition(&mut self, command: &Rc<Command>) -> Result<i32, Flow> {
        self.condition += 1;
        let result = self.run(command).await;
        self.condition -= 1;
        result
    }

    fn check_errexit(&mut self, code: i32) -> Result<i32, Flow> {
        if code != 0 && self.options.errexit && self.condition == 0 { Err(Flow::Exit(code)) } else { Ok(code) }
    }

    /// Lets a moment of virtual time pass, and looks for Ctrl-C.
    async fn pause(&mut self) -> Result<(), Flow> {
        self.machine.executor().sleep(BUILTIN_TIME).await;
        self.run_traps().await
    }

    /// Runs the traps of signals that have arrived.
    pub(super) async fn run_traps(&mut self) -> Result<(), Flow> {
        while let Some(signal) = self.signals.take() {
            let script = self.traps.get(&signal.to_string()).cloned();
            match script {
                Some(script) => {
                    let status = self.status;
                    if let Ok(command) = super::parse(&script) {
                        self.run(&command).await?;
                    }
                    self.status = status;
                }
                None if signal == Signal::Int => return Err(Flow::Interrupted),
                None => {}
            }
        }
        Ok(())
    }

    /// Runs a simple command. With `replace`, an external one takes the shell's place.
    pub(super) async fn simple(&mut self, simple: &Simple, replace: bool) -> Result<i32, Flow> {
        self.status = if simple.words.is_empty() { 0 } else { self.status };
        let mut words = self.expand(&simple.words).await?;
        if let Some(alias) = words.first().and_then(|name| self.aliases.get(name)) {
            let mut replaced: Vec<String> = alias.split_whitespace().map(str::to_owned).collect();
            replaced.extend(words.drain(..).skip(1));
            words = replaced;
        }
        let mut assigned = Vec::new();
        for (name, word) in &simple.assignments {
            let value = self.expand_one(word).await?;
            if words.is_empty() {
                if self.vars.get(name).is_some_and(|variable| variable.read_only) {
                    return Err(self.fatal(&format!("{name}: is read only")).await);
                }
                self.set(name, value);
            } else {
                assigned.push((name.clone(), value));
            }
        }
        if self.options.xtrace {
            let assignments = assigned.iter().map(|(name, value)| format!(" {name}={value}"));
            let line: String = assignments.chain(words.iter().map(|word| format!(" {word}"))).collect();
            let _ = self.fd(2).write_all(format!("+{line}\n").as_bytes()).await;
        }
        let saved = self.fds.clone();
        if !self.redirect(&simple.redirects).await? {
            self.fds = saved;
            return Ok(1);
        }
        let Some(name) = words.first().cloned() else {
            self.fds = saved;
            return Ok(self.status);
        };
        if name == "exec" && words.len() == 1 {
            return Ok(0);
        }
        let result = self.call(&name, words, assigned, replace).await;
        self.fds = saved;
        result
    }

    async fn call(
        &mut self,
        name: &str,
        words: Vec<String>,
        assigned: Vec<(String, String)>,
        replace: bool,
    ) -> Result<i32, Flow> {
        let function = self.functions.get(name).cloned();
        if function.is_none() && !builtins::is_builtin(name) {
            return self.external(words, assigned, replace).await;
        }
        let hidden: Vec<(String, Option<Variable>)> =
            assigned.iter().map(|(name, _)| (name.clone(), self.vars.get(name).cloned())).collect();
        for (name, value) in assigned {
            self.set(&name, value);
            if let Some(variable) = self.vars.get_mut(&name) {
                variable.exported = true;
            }
        }
        let result = match function {
            Some(body) => self.function(&body, words.into_iter().skip(1).collect()).await,
            None => {
                self.machine.executor().sleep(BUILTIN_TIME).await;
                builtins::run(self, words).await
            }
        };
        for (name, variable) in hidden {
            self.restore(name, variable);
        }
        result
    }

    fn restore(&mut self, name: String, variable: Option<Variable>) {
        match variable {
            Some(variable) => self.vars.insert(name, variable),
            None => self.vars.remove(&name),
        };
    }

    async fn function(&mut self, body: &Rc<Command>, arguments: Vec<String>) -> Result<i32, Flow> {
        let params = std::mem::replace(&mut self.params, arguments);
        self.locals.push(Default::default());
        let result = self.run(body).await;
        for (name, variable) in self.locals.pop().unwrap_or_default() {
            self.restore(name, variable);
        }
        self.params = params;
        match result {
            Err(Flow::Return(code)) => Ok(code),
            result => result,
        }
    }

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

    async fn external(
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
    async fn wait_foreground(&mut self, child: &Child, group: Pid) -> Result<i32, Flow> {
        if !self.interactive {
            return Ok(child.wait().await);
        }
        let tty = self.fd(0).tty().or(self.fd(2).tty()).cloned();
        let before = tty.as_ref().map(|tty| tty.set_foreground(group));
        let code = child.wait().await;
        if let (Some(tty), Some(before)) = (&tty, before) {
            tty.set_foreground(before);
            tty.set_raw(false);
        }
        if code == Signal::Int.exit_code() {
            let _ = self.fd(2).write_all(b"\n").await;
            self.status = code;
            return Err(Flow::Interrupted);
        }
        Ok(code)
    }

    /// Starts a copy of the shell as a process of its own.
    fn subshell(&self, command: &Rc<Command>, group: Option<Pid>, change: impl FnOnce(&mut Shell)) -> Child {
        let mut copy = self.clone();
        change(&mut copy);
        copy.interactive = false;
        copy.traps.clear();
        copy.jobs.clear();
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
                let code = match shell.run(&command).await {
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

    async fn pipeline(&mut self, commands: &[Rc<Command>]) -> Result<i32, Flow> {
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
        for child in others {
            let other = child.wait().await;
            if self.options.pipefail && code == 0 {
                code = other;
            }
        }
        Ok(code)
    }

    /// `$(…)`.
    pub(super) async fn substitute(&mut self, command: &Rc<Command>) -> Result<String, Flow> {
        let (reader, writer) = io::pipe(self.machine.executor());
        let child = self.subshell(command, None, |shell| {
            shell.fds.insert(1, writer);
        });
        let mut text = Vec::new();
        loop {
            let part = reader.read(io::PIPE_BYTES_MAX).await.unwrap_or_default();
            if part.is_empty() || text.len() > SUBSTITUTION_BYTES_MAX {
                break;
            }
            text.extend_from_slice(&part);
        }
        drop(reader);
        self.status = child.wait().await;
        let text = String::from_utf8_lossy(&text).replace('\0', "");
        Ok(text.trim_end_matches('\n').to_owned())
    }

    /// Applies redirections to the shell's descriptors; false where one failed, with its message told.
    pub(super) async fn redirect(&mut self, redirects: &[Redirect]) -> Result<bool, Flow> {
        for redirect in redirects {
            let opened = match &redirect.target {
                Target::Text(word) => Some(Fd::from_bytes(self.expand_one(word).await?.into_bytes())),
                Target::Duplicate(word) => {
                    let text = self.expand_one(word).await?;
                    match text.parse::<u32>() {
                        _ if text == "-" => None,
                        Ok(number) if self.fds.contains_key(&number) => self.fds.get(&number).cloned(),
                        Ok(_) => {
                            self.error(&format!("{text}: Bad file descriptor")).await;
                            return Ok(false);
                        }
                        Err(_) => match self.open(&text, Mode::Truncate).await {
                            // `>&file` is bash's `&>file`.
                            Some(fd) => {
                                self.fds.insert(2, fd.clone());
                                Some(fd)
                            }
                            None => return Ok(false),
                        },
                    }
                }
                Target::Read(word) | Target::Write(word) | Target::Append(word) => {
                    let mode = match redirect.target {
                        Target::Read(_) => Mode::Read,
                        Target::Append(_) => Mode::Append,
                        _ => Mode::Truncate,
                    };
                    let path = self.expand_one(word).await?;
                    match self.open(&path, mode).await {
                        Some(fd) => Some(fd),
                        None => return Ok(false),
                    }
                }
            };
            match opened {
                Some(fd) => self.fds.insert(redirect.fd, fd),
                None => self.fds.remove(&redirect.fd),
            };
        }
        Ok(true)
    }

    async fn open(&mut self, path: &str, mode: Mode) -> Option<Fd> {
        let absolute = fs::absolute(&self.cwd, path);
        let device = match self.machine.fs().metadata(&absolute).map(|entry| entry.kind) {
            Ok(Kind::Device("tty")) => self.fd(0).tty().map(crate::tty::Tty::fd),
            _ => match absolute.as_str() {
                "/dev/stdin" => Some(self.fd(0)),
                "/dev/stdout" | "/proc/self/fd/1" | "/proc/1/fd/1" => Some(self.fd(1)),
                "/dev/stderr" | "/proc/self/fd/2" | "/proc/1/fd/2" => Some(self.fd(2)),
                _ => None,
            },
        };
        if device.is_some() {
            return device;
        }
        match self.machine.fs().open(&absolute, mode, self.machine.now()) {
            Ok(file) => Some(Fd::new(file)),
            Err(error) => {
                let what = match (mode, error) {
                    (Mode::Read, Errno::NotFound) => format!("can't open {path}: no such file"),
                    (Mode::Read, error) => format!("can't open {path}: {error}"),
                    (_, Errno::NotFound) => format!("can't create {path}: nonexistent directory"),
                    (_, error) => format!("can't create {path}: {error}"),
                };
                self.error(&what).await;
                None
            }
        }
    }
}
