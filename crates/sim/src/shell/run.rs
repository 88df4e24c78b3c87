//! Running commands.

use std::rc::Rc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::LocalBoxFuture;

use super::ast::{Assigned, Command, Simple};
use super::{Flow, Shell, Variable, arith, builtins, pattern};
use crate::io::Fd;
use crate::process::Signal;

/// What a builtin costs: keeps an endless loop from holding virtual time still.
const BUILTIN_TIME: Duration = Duration::from_micros(20);
/// How deeply functions and compound commands may be nested.
const DEPTH_MAX: usize = 90;

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
                self.check_errexit(code).await
            }
            Command::Sequence(commands) => {
                let mut code = 0;
                for command in commands {
                    code = self.run(command).await?;
                }
                Ok(code)
            }
            Command::And(..) | Command::Or(..) => self.list(command).await,
            Command::Pipeline { negated, commands } => {
                let code = match commands.as_slice() {
                    [only] => self.run_condition(only).await?,
                    commands => self.pipeline(commands).await?,
                };
                if *negated { Ok(i32::from(code == 0)) } else { self.check_errexit(code).await }
            }
            Command::Background(inner, text) => {
                let child = self.subshell(inner, None, |shell| {
                    if !shell.interactive {
                        shell.fds.insert(0, Fd::null());
                    }
                });
                let pid = child.pid;
                self.last_background = Some(pid);
                let number = self.add_job(child, self.interactive.then_some(pid), text.clone());
                if self.interactive {
                    let _ = self.fd(2).write_all(format!("[{number}] {pid}\n").as_bytes()).await;
                }
                Ok(0)
            }
            Command::Subshell(inner) => {
                let child = self.subshell(inner, None, |_| {});
                let code = self.wait_foreground(&child, child.pid).await?;
                self.check_errexit(code).await
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
            Command::Count { .. }
            | Command::Select { .. }
            | Command::Arithmetic(_)
            | Command::Condition(_)
            | Command::Time(_) => self.of_bash(command).await,
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

    /// Runs a chain of `&&` and `||`: however long, it is no deeper than one command.
    async fn list(&mut self, command: &Rc<Command>) -> Result<i32, Flow> {
        let mut first = command;
        let mut rest = Vec::new();
        while let Command::And(left, right) | Command::Or(left, right) = &**first {
            rest.push((matches!(&**first, Command::And(..)), right));
            first = left;
        }
        let mut code = self.run_condition(first).await?;
        while let Some((and, command)) = rest.pop() {
            if (code == 0) == and {
                code = if rest.is_empty() { self.run(command).await? } else { self.run_condition(command).await? };
            }
        }
        Ok(code)
    }

    /// Runs the body or condition of a loop: `None` to leave the loop.
    async fn looping(&mut self, body: &Rc<Command>, condition: bool) -> Result<Option<i32>, Flow> {
        self.loops += 1;
        let result = if condition { self.run_condition(body).await } else { self.run(body).await };
        self.loops -= 1;
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

    /// Commands that bash has and POSIX has not: apart, so that others need less of the stack.
    fn of_bash<'a>(&'a mut self, command: &'a Rc<Command>) -> LocalBoxFuture<'a, Result<i32, Flow>> {
        async move {
            match &**command {
                Command::Count { expressions: [first, condition, step], body } => {
                    self.count(first).await?;
                    let mut code = 0;
                    loop {
                        self.pause().await?;
                        let text = self.expand_one(condition).await?;
                        if !text.trim().is_empty() && self.count(condition).await? == 0 {
                            return Ok(code);
                        }
                        match self.looping(body, false).await? {
                            Some(last) => code = last,
                            None => return Ok(0),
                        }
                        self.count(step).await?;
                    }
                }
                Command::Select { name, words, body } => self.select(name, words, body).await,
                Command::Arithmetic(expression) => {
                    let value = self.count(expression).await?;
                    self.check_errexit(i32::from(value == 0)).await
                }
                Command::Condition(condition) => {
                    let code = self.test(condition).await?;
                    self.check_errexit(code).await
                }
                Command::Time(inner) => {
                    let begun = self.machine.now();
                    let result = self.run(inner).await;
                    let span = self.machine.now().duration_since(begun);
                    let (minutes, seconds) = (span.as_secs() / 60, span.as_secs() % 60);
                    let text = format!(
                        "\nreal\t{minutes}m{seconds}.{:03}s\nuser\t0m0.000s\nsys\t0m0.000s\n",
                        span.subsec_millis()
                    );
                    let _ = self.fd(2).write_all(text.as_bytes()).await;
                    result
                }
                _ => Ok(0),
            }
        }
        .boxed_local()
    }

    /// The value of an expression.
    async fn count(&mut self, expression: &super::ast::Word) -> Result<i64, Flow> {
        let text = self.expand_one(expression).await?;
        match arith::evaluate(&text, self) {
            Ok(value) => Ok(value),
            Err(message) => Err(self.fatal(message).await),
        }
    }

    /// `select`: a menu, asked until the input ends or the body leaves.
    async fn select(&mut self, name: &str, words: &[super::ast::Word], body: &Rc<Command>) -> Result<i32, Flow> {
        let choices = self.expand(words).await?;
        let mut code = 0;
        loop {
            let menu: String =
                choices.iter().enumerate().map(|(index, choice)| format!("{}) {choice}\n", index + 1)).collect();
            let prompt = self.get("PS3").unwrap_or_else(|| "#? ".into());
            let _ = self.fd(2).write_all(format!("{menu}{prompt}").as_bytes()).await;
            if super::variables::read(self, &["-r".into(), "REPLY".into()]).await? != 0 {
                return Ok(code);
            }
            let reply = self.get("REPLY").unwrap_or_default();
            let choice = reply.trim().parse::<usize>().ok().and_then(|number| choices.get(number.checked_sub(1)?));
            self.set(name, choice.cloned().unwrap_or_default());
            match self.looping(body, false).await? {
                Some(last) => code = last,
                None => return Ok(0),
            }
        }
    }

    async fn check_errexit(&mut self, code: i32) -> Result<i32, Flow> {
        if code != 0
            && self.condition == 0
            && let Some(script) = self.traps.get("ERR").cloned()
            && let Ok(command) = super::parse(&script)
        {
            // What fails in the trap does not call it again.
            self.condition += 1;
            self.status = code;
            let trapped = self.run(&command).await;
            self.condition -= 1;
            trapped?;
        }
        if code != 0 && self.options.errexit && self.condition == 0 { Err(Flow::Exit(code)) } else { Ok(code) }
    }

    /// Lets a moment of virtual time pass, and looks for Ctrl-C.
    async fn pause(&mut self) -> Result<(), Flow> {
        self.machine.executor().sleep(self.machine.stretch(BUILTIN_TIME)).await;
        self.machine.use_cpu(self.pid, BUILTIN_TIME);
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
                None if signal == Signal::Int => {
                    self.status = signal.exit_code();
                    return Err(Flow::Interrupted);
                }
                None => {}
            }
        }
        Ok(())
    }

    /// Runs a simple command. With `replace`, an external one takes the shell's place.
    pub(super) async fn simple(&mut self, simple: &Simple, replace: bool) -> Result<i32, Flow> {
        self.substituted = None;
        let saved = self.fds.clone();
        let result = self.simple_with(simple, replace, &saved).boxed_local().await;
        // Pipes that have a name for this command have it no longer.
        self.fds.retain(|number, _| *number < 10 || saved.contains_key(number));
        result
    }

    async fn simple_with(
        &mut self,
        simple: &Simple,
        replace: bool,
        saved: &std::collections::BTreeMap<u32, Fd>,
    ) -> Result<i32, Flow> {
        let saved = saved.clone();
        let mut words = self.expand_command(&simple.words).await?;
        if let Some(alias) = words.first().and_then(|name| self.aliases.get(name)) {
            let mut replaced: Vec<String> = alias.split_whitespace().map(str::to_owned).collect();
            replaced.extend(words.drain(..).skip(1));
            words = replaced;
        }
        let mut assigned = Vec::new();
        for assignment in &simple.assignments {
            if words.is_empty() {
                self.assign(assignment).await?;
            } else if let (Assigned::One(word), None) = (&assignment.value, &assignment.index) {
                assigned.push((assignment.name.clone(), self.expand_one(word).await?));
            }
        }
        if self.options.xtrace {
            let assignments = assigned.iter().map(|(name, value)| format!(" {name}={value}"));
            let line: String = assignments.chain(words.iter().map(|word| format!(" {word}"))).collect();
            let _ = self.fd(2).write_all(format!("+{line}\n").as_bytes()).await;
        }
        if !self.redirect(&simple.redirects).await? {
            self.fds = saved;
            return Ok(1);
        }
        let Some(name) = words.first().cloned() else {
            self.fds = saved;
            return Ok(self.substituted.unwrap_or(0));
        };
        if name == "exec" && words.len() == 1 {
            return Ok(0);
        }
        let result = self.call(&name, words, assigned, replace).await;
        self.fds = saved;
        for assignment in &simple.arrays {
            self.assign(assignment).await?;
        }
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
                self.machine.executor().sleep(self.machine.stretch(BUILTIN_TIME)).await;
                self.machine.use_cpu(self.pid, BUILTIN_TIME);
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
}
