//! A POSIX-like shell: the same in containers and on the learner's own computer.
//!
//! [`parse`] makes commands of text, [`Shell`] runs them. External commands are processes of the
//! machine; subshells and the parts of a pipeline are too.

mod arith;
mod arrays;
mod ast;
mod braces;
mod builtins;
mod compound;
mod condition;
mod expand;
mod heredoc;
mod history;
mod interactive;
mod jobs;
mod parser;
pub(crate) mod pattern;
mod redirect;
mod run;
mod spawn;
mod variables;
mod word;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

pub use ast::Command;
pub use parser::{SyntaxError, parse};

use arrays::Elements;
use machinery::Timestamp;

use crate::io::Fd;
use crate::process::{Environment, Machine, Pid, Process, Signal, Signals};

/// A variable.
#[derive(Clone, Debug, Default)]
struct Variable {
    value: String,
    exported: bool,
    read_only: bool,
    /// What it holds if it is an array, in place of the value.
    elements: Option<Elements>,
}

/// What `set -…` switches.
#[derive(Clone, Copy, Debug, Default)]
struct Options {
    errexit: bool,
    nounset: bool,
    xtrace: bool,
    noglob: bool,
    pipefail: bool,
}

/// Why commands are not run to their end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    /// `break`, out of so many loops.
    Break(u32),
    /// `continue`, with so many loops.
    Continue(u32),
    /// `return`.
    Return(i32),
    /// `exit`, or an error that ends a shell that is not interactive.
    Exit(i32),
    /// Ctrl-C: back to the prompt.
    Interrupted,
}

/// A shell.
#[derive(Clone)]
pub struct Shell {
    machine: Machine,
    /// Its process; a subshell has its own.
    pid: Pid,
    /// What `$$` is: the first shell's process.
    shell_pid: Pid,
    group: Pid,
    /// The machine's files as its user sees them.
    fs: crate::fs::Fs,
    uid: u32,
    gid: u32,
    signals: Signals,
    /// `$0`, for messages.
    name: String,
    cwd: String,
    vars: BTreeMap<String, Variable>,
    /// What `local` hid, innermost function last.
    locals: Vec<BTreeMap<String, Option<Variable>>>,
    functions: BTreeMap<String, Rc<Command>>,
    aliases: BTreeMap<String, String>,
    params: Vec<String>,
    status: i32,
    last_background: Option<Pid>,
    jobs: Vec<jobs::Job>,
    /// What was typed last.
    typed: Rc<str>,
    /// Whether it has said that there are stopped jobs.
    warned: bool,
    /// Lines that were entered, oldest first.
    history: Rc<RefCell<Vec<String>>>,
    /// How far `getopts` is within a word of several options.
    option_at: usize,
    /// Whether it is bash: braces are expanded, `~/.bashrc` is read.
    bash: bool,
    started_at: Timestamp,
    parent: Pid,
    options: Options,
    traps: BTreeMap<String, String>,
    fds: BTreeMap<u32, Fd>,
    interactive: bool,
    /// How deeply commands are nested now.
    depth: usize,
    /// Inside a condition, where `set -e` does not hold.
    condition: u32,
    /// How many loops it is in: those that `break` can leave.
    loops: u32,
    /// The exit code of the last `$(…)` of this command, which is that of a command that only assigns.
    substituted: Option<i32>,
}

impl Shell {
    /// A shell in a process' place.
    pub fn new(process: Process) -> Self {
        let vars = process
            .env
            .iter()
            .map(|(name, value)| {
                (name.clone(), Variable { value: value.clone(), exported: true, ..Variable::default() })
            })
            .collect();
        let info = process.machine.processes().into_iter().find(|info| info.pid == process.pid);
        let (group, parent) = (info.as_ref().map(|info| info.group), info.map_or(0, |info| info.parent));
        let mut shell = Self {
            pid: process.pid,
            shell_pid: process.pid,
            group: group.unwrap_or(process.pid),
            fs: process.fs.clone(),
            uid: process.uid,
            gid: process.gid,
            signals: process.signals.clone(),
            name: process.name().to_owned(),
            cwd: process.cwd.clone(),
            vars,
            locals: Vec::new(),
            functions: BTreeMap::new(),
            aliases: BTreeMap::new(),
            params: Vec::new(),
            status: 0,
            last_background: None,
            jobs: Vec::new(),
            typed: Rc::from(""),
            warned: false,
            history: Rc::default(),
            option_at: 1,
            bash: process.name().ends_with("bash") || process.var("SHELL").ends_with("/bash"),
            started_at: process.machine.now(),
            parent,
            options: Options::default(),
            traps: BTreeMap::new(),
            fds: process.fds.clone(),
            interactive: false,
            depth: 0,
            condition: 0,
            loops: 0,
            substituted: None,
            machine: process.machine,
        };
        shell.set("PWD", shell.cwd.clone());
        shell
    }

    /// A variable, positional or special parameter.
    pub fn get(&self, name: &str) -> Option<String> {
        if let Ok(number) = name.parse::<usize>() {
            return if number == 0 { Some(self.name.clone()) } else { self.params.get(number - 1).cloned() };
        }
        match name {
            "@" | "*" => {
                let separator = self.vars.get("IFS").map_or(Some(' '), |ifs| ifs.value.chars().next());
                Some(self.params.join(&separator.map(String::from).unwrap_or_default()))
            }
            "#" => Some(self.params.len().to_string()),
            "?" => Some(self.status.to_string()),
            "$" => Some(self.shell_pid.to_string()),
            "!" => Some(self.last_background.map(|pid| pid.to_string()).unwrap_or_default()),
            "-" => Some(self.flags()),
            "RANDOM" => Some((self.machine.random() % 32768).to_string()),
            "PPID" => Some(self.parent.to_string()),
            "SECONDS" => Some(self.machine.now().duration_since(self.started_at).as_secs().to_string()),
            "UID" | "EUID" if self.bash => Some(self.uid.to_string()),
            "EPOCHSECONDS" if self.bash => Some(self.machine.now().as_second().to_string()),
            "BASH_VERSION" if self.bash => Some("5.2.37(1)-release".into()),
            "BASHPID" if self.bash => Some(self.pid.to_string()),
            "HOSTNAME" if !self.vars.contains_key(name) => Some(self.machine.hostname().to_owned()),
            name => {
                let variable = self.vars.get(name)?;
                match &variable.elements {
                    Some(elements) => elements.get("0").cloned(),
                    None => Some(variable.value.clone()),
                }
            }
        }
    }

    /// Assigns a variable; one that is read-only keeps its value.
    pub fn set(&mut self, name: &str, value: String) {
        let variable = self.vars.entry(name.to_owned()).or_default();
        if variable.read_only {
            return;
        }
        match &mut variable.elements {
            Some(elements) => elements.set("0".into(), value),
            None => variable.value = value,
        }
    }

    fn flags(&self) -> String {
        let options = self.options;
        let flags = [
            (options.errexit, 'e'),
            (options.noglob, 'f'),
            (self.interactive, 'i'),
            (options.nounset, 'u'),
            (options.xtrace, 'x'),
        ];
        flags.iter().filter(|(set, _)| *set).map(|(_, flag)| *flag).collect()
    }

    /// The environment of the commands it runs.
    fn env(&self) -> Environment {
        let exported = self.vars.iter().filter(|(_, variable)| variable.exported);
        exported.map(|(name, variable)| (name.clone(), variable.value.clone())).collect()
    }

    fn fd(&self, number: u32) -> Fd {
        self.fds.get(&number).cloned().unwrap_or_else(Fd::null)
    }

    async fn error(&self, message: &str) {
        let _ = self.fd(2).write_all(format!("{}: {message}\n", self.name).as_bytes()).await;
    }

    /// An error that ends the shell, or in an interactive one the command line.
    async fn fatal(&mut self, message: &str) -> Flow {
        self.error(message).await;
        self.status = 2;
        if self.interactive { Flow::Interrupted } else { Flow::Exit(2) }
    }
}

/// The program `sh`: `sh -c 'script' name args…`, `sh file args…`, or from standard input.
pub(crate) async fn main(process: Process) -> i32 {
    let stdin = process.stdin();
    let arguments = process.operands().to_vec();
    let mut shell = Shell::new(process);
    let mut command = false;
    let mut interactive = false;
    let mut rest = arguments.as_slice();
    while let Some((flag, tail)) = rest.split_first() {
        let Some(flags) = flag.strip_prefix(['-', '+']).filter(|flags| !flags.is_empty()) else { break };
        rest = tail;
        if flag == "--" {
            break;
        }
        let on = flag.starts_with('-');
        for c in if flags.starts_with('-') { "" } else { flags }.chars() {
            match c {
                'c' => command = true,
                'i' => interactive = true,
                'o' => {
                    let name = rest.first().cloned().unwrap_or_default();
                    rest = rest.get(1..).unwrap_or_default();
                    shell.set_option_named(&name, on);
                }
                c => {
                    shell.set_option(c, on);
                }
            }
        }
    }
    if command {
        let Some((script, tail)) = rest.split_first() else {
            shell.error("-c requires an argument").await;
            return 2;
        };
        if let Some((name, params)) = tail.split_first() {
            shell.name = name.clone();
            shell.params = params.to_vec();
        }
        return shell.run_script(script, true).await;
    }
    if let Some((file, params)) = rest.split_first() {
        let path = crate::fs::absolute(&shell.cwd, file);
        let text = match shell.fs.read_text(&path) {
            Ok(text) => text,
            Err(error) => {
                shell.error(&format!("can't open '{file}': {error}")).await;
                return 2;
            }
        };
        shell.name = file.clone();
        shell.params = params.to_vec();
        return shell.run_script(&text, false).await;
    }
    if interactive || stdin.tty().is_some() {
        return shell.interact().await;
    }
    shell.run_input(&stdin).await
}

impl Shell {
    /// Runs a whole script, with its EXIT trap, and gives the exit code.
    pub async fn run_script(&mut self, text: &str, last_may_replace: bool) -> i32 {
        let command = match parse(text) {
            Ok(command) => command,
            Err(error) => {
                self.error(&error.message).await;
                return 2;
            }
        };
        let code = match &*command {
            // A shell whose only command is an external one becomes it, as ash, dash and bash do.
            Command::Simple(simple) if last_may_replace && self.traps.is_empty() => self.simple(simple, true).await,
            _ => self.run(&command).await,
        };
        let code = match code {
            Ok(code) | Err(Flow::Exit(code) | Flow::Return(code)) => code,
            Err(Flow::Interrupted) => Signal::Int.exit_code(),
            Err(Flow::Break(_) | Flow::Continue(_)) => 0,
        };
        self.finish(code).await
    }

    /// Runs what comes on standard input, each command as soon as it is complete. It is read byte by
    /// byte, so that a command that reads gets what follows its own line.
    async fn run_input(&mut self, stdin: &Fd) -> i32 {
        let mut text = Vec::new();
        loop {
            let byte = stdin.read(1).await.ok().and_then(|part| part.first().copied());
            text.extend(byte);
            let goes_on = text.ends_with(b"\\\n");
            if byte.is_some_and(|byte| byte != b'\n' || goes_on) {
                continue;
            }
            let command = match parse(&String::from_utf8_lossy(&text)) {
                Ok(command) => command,
                Err(error) if error.incomplete && byte.is_some() => continue,
                Err(error) => {
                    self.error(&error.message).await;
                    return self.finish(2).await;
                }
            };
            text.clear();
            match self.run(&command).await {
                Err(Flow::Exit(code) | Flow::Return(code)) => return self.finish(code).await,
                Err(Flow::Interrupted) => return self.finish(Signal::Int.exit_code()).await,
                _ if byte.is_none() => break,
                _ => {}
            }
        }
        let status = self.status;
        self.finish(status).await
    }

    /// Runs the EXIT trap.
    async fn finish(&mut self, code: i32) -> i32 {
        self.status = code;
        let Some(script) = self.traps.remove("EXIT") else { return code };
        let Ok(command) = parse(&script) else { return code };
        match self.run(&command).await {
            Err(Flow::Exit(code)) => code,
            _ => code,
        }
    }
}
