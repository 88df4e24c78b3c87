//! Commands that the shell runs itself.

use std::time::Duration;

use super::{Flow, Shell, Variable};
use crate::fs;
use crate::process::{Process, SIGNALS, Signal};
use crate::programs;

/// Commands that change the shell.
const BUILTINS: [&str; 30] = [
    ":", ".", "source", "alias", "break", "cd", "command", "continue", "eval", "exec", "exit", "export", "hash",
    "jobs", "local", "logout", "read", "readonly", "return", "set", "shift", "times", "trap", "type", "ulimit",
    "umask", "unalias", "unset", "wait", "fg",
];
/// Tools that run inside the shell's own process, as every shell has them.
const INLINE: [&str; 8] = ["echo", "printf", "test", "[", "true", "false", "pwd", "kill"];

pub(super) fn is_builtin(name: &str) -> bool {
    BUILTINS.contains(&name) || INLINE.contains(&name)
}

pub(super) async fn run(shell: &mut Shell, words: Vec<String>) -> Result<i32, Flow> {
    let name = words.first().cloned().unwrap_or_default();
    let arguments = words.get(1..).unwrap_or_default();
    let first = arguments.first().map(String::as_str);
    match name.as_str() {
        ":" | "hash" | "times" | "ulimit" | "umask" => Ok(0),
        "break" | "continue" => {
            let levels = first.and_then(|levels| levels.parse().ok()).unwrap_or(1).max(1);
            Err(if name == "break" { Flow::Break(levels) } else { Flow::Continue(levels) })
        }
        "return" | "exit" | "logout" => {
            let code = match first.map(str::parse::<i32>) {
                None => shell.status,
                Some(Ok(code)) => code & 0xff,
                Some(Err(_)) => {
                    shell.error(&format!("{name}: Illegal number: {}", first.unwrap_or_default())).await;
                    2
                }
            };
            Err(if name == "return" { Flow::Return(code) } else { Flow::Exit(code) })
        }
        "cd" => cd(shell, first).await,
        "eval" => {
            let text = arguments.join(" ");
            match super::parse(&text) {
                Ok(command) => shell.run(&command).await,
                Err(error) => Err(shell.fatal(&format!("eval: {}", error.message)).await),
            }
        }
        "." | "source" => source(shell, arguments).await,
        "exec" => shell.replace(arguments.to_vec()).await,
        "command" => command(shell, arguments).await,
        "type" => {
            let mut code = 0;
            for name in arguments {
                let (what, found) = match describe(shell, name) {
                    Some(what) => (what, 0),
                    None => (format!("{name}: not found"), 127),
                };
                let _ = shell.fd(1).write_all(format!("{what}\n").as_bytes()).await;
                code = code.max(found);
            }
            Ok(code)
        }
        "export" | "readonly" | "local" => declare(shell, &name, arguments).await,
        "unset" => {
            for name in arguments.iter().filter(|name| !name.starts_with('-')) {
                shell.vars.remove(name);
                shell.functions.remove(name);
            }
            Ok(0)
        }
        "alias" => {
            for word in arguments {
                if let Some((name, value)) = word.split_once('=') {
                    shell.aliases.insert(name.to_owned(), value.to_owned());
                }
            }
            if arguments.is_empty() {
                let lines: String =
                    shell.aliases.iter().map(|(name, value)| format!("alias {name}='{value}'\n")).collect();
                let _ = shell.fd(1).write_all(lines.as_bytes()).await;
            }
            Ok(0)
        }
        "unalias" => {
            for name in arguments {
                shell.aliases.remove(name);
            }
            Ok(0)
        }
        "set" => set(shell, arguments).await,
        "shift" => {
            let count = first.and_then(|count| count.parse().ok()).unwrap_or(1);
            if count > shell.params.len() {
                shell.error("shift: can't shift that many").await;
                return Ok(1);
            }
            shell.params.drain(..count);
            Ok(0)
        }
        "read" => read(shell, arguments).await,
        "trap" => trap(shell, arguments).await,
        "wait" | "fg" => wait(shell, arguments).await,
        "jobs" => {
            let running = shell.jobs.iter().filter(|job| job.exit_code().is_none()).enumerate();
            let lines: String =
                running.map(|(index, job)| format!("[{}]  Running  {}\n", index + 1, job.pid)).collect();
            let _ = shell.fd(1).write_all(lines.as_bytes()).await;
            Ok(0)
        }
        _ => {
            let Some(program) = programs::find(&name) else { return Ok(127) };
            let args = if name == "kill" { job_numbers(shell, words) } else { words };
            let process = Process { args, ..shell.process() };
            Ok(program.run(process).await & 0xff)
        }
    }
}

/// `%1` as the process it means.
fn job_numbers(shell: &Shell, words: Vec<String>) -> Vec<String> {
    let pid = |word: &String| {
        let number: usize = word.strip_prefix('%')?.parse().ok()?;
        shell.jobs.get(number.checked_sub(1)?).map(|job| job.pid.to_string())
    };
    words.into_iter().map(|word| pid(&word).unwrap_or(word)).collect()
}

async fn cd(shell: &mut Shell, target: Option<&str>) -> Result<i32, Flow> {
    let target = match target {
        None | Some("~") => shell.get("HOME").unwrap_or_else(|| "/".into()),
        Some("-") => shell.get("OLDPWD").unwrap_or_else(|| shell.cwd.clone()),
        Some(path) => path.to_owned(),
    };
    let path = fs::absolute(&shell.cwd, &target);
    if !shell.machine.fs().is_dir(&path) {
        let why = if shell.machine.fs().exists(&path) { "Not a directory" } else { "No such file or directory" };
        shell.error(&format!("cd: can't cd to {target}: {why}")).await;
        return Ok(2);
    }
    shell.set("OLDPWD", shell.cwd.clone());
    shell.cwd = path.clone();
    shell.set("PWD", path);
    Ok(0)
}

async fn source(shell: &mut Shell, arguments: &[String]) -> Result<i32, Flow> {
    let Some(path) = arguments.first() else {
        shell.error(".: filename argument required").await;
        return Ok(2);
    };
    let text = match shell.machine.fs().read_text(&fs::absolute(&shell.cwd, path)) {
        Ok(text) => text,
        Err(error) => return Err(shell.fatal(&format!(".: {path}: {error}")).await),
    };
    match super::parse(&text) {
        Ok(command) => match shell.run(&command).await {
            Err(Flow::Return(code)) => Ok(code),
            result => result,
        },
        Err(error) => Err(shell.fatal(&format!("{path}: {}", error.message)).await),
    }
}

/// What a name means as a command.
fn describe(shell: &Shell, name: &str) -> Option<String> {
    if let Some(value) = shell.aliases.get(name) {
        return Some(format!("{name} is an alias for {value}"));
    }
    if shell.functions.contains_key(name) {
        return Some(format!("{name} is a function"));
    }
    if is_builtin(name) {
        return Some(format!("{name} is a shell builtin"));
    }
    path_of(shell, name).map(|path| format!("{name} is {path}"))
}

fn path_of(shell: &Shell, name: &str) -> Option<String> {
    let folders = shell.get("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    let candidates = folders.split(':').map(|folder| format!("{folder}/{name}"));
    candidates.into_iter().find(|path| shell.machine.fs().exists(path) && !shell.machine.fs().is_dir(path))
}

async fn command(shell: &mut Shell, arguments: &[String]) -> Result<i32, Flow> {
    let flag = arguments.first().map(String::as_str);
    if flag == Some("-v") || flag == Some("-V") {
        let name = arguments.get(1).cloned().unwrap_or_default();
        let known = shell.functions.contains_key(&name) || is_builtin(&name);
        let text = match flag {
            Some("-v") if known => Some(name),
            Some("-v") => path_of(shell, &name),
            _ => describe(shell, &name),
        };
        return Ok(match text {
            Some(text) => {
                let _ = shell.fd(1).write_all(format!("{text}\n").as_bytes()).await;
                0
            }
            None => 127,
        });
    }
    if arguments.is_empty() {
        return Ok(0);
    }
    let functions = std::mem::take(&mut shell.functions);
    let quoted: Vec<String> = arguments.iter().map(|word| programs::text::quote(word)).collect();
    let result = match super::parse(&quoted.join(" ")) {
        Ok(command) => shell.run(&command).await,
        Err(_) => Ok(2),
    };
    shell.functions = functions;
    result
}

async fn declare(shell: &mut Shell, how: &str, arguments: &[String]) -> Result<i32, Flow> {
    let arguments: Vec<&String> = arguments.iter().filter(|word| !matches!(word.as_str(), "-p" | "-n")).collect();
    if arguments.is_empty() {
        let chosen = shell.vars.iter().filter(|(_, variable)| match how {
            "export" => variable.exported,
            _ => variable.read_only,
        });
        let lines: String = chosen
            .map(|(name, variable)| format!("{how} {name}={}\n", programs::text::quote_always(&variable.value)))
            .collect();
        let _ = shell.fd(1).write_all(lines.as_bytes()).await;
        return Ok(0);
    }
    for word in arguments {
        let (name, value) = word.split_once('=').map_or((word.as_str(), None), |(name, value)| (name, Some(value)));
        let valid = name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric());
        if !valid || name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            shell.error(&format!("{how}: {name}: bad variable name")).await;
            return Ok(2);
        }
        if how == "local"
            && let Some(hidden) = shell.locals.last_mut()
        {
            hidden.entry(name.to_owned()).or_insert_with(|| shell.vars.get(name).cloned());
            if value.is_none() {
                shell.vars.insert(name.to_owned(), Variable::default());
            }
        }
        if let Some(value) = value {
            shell.set(name, value.to_owned());
        }
        let variable = shell.vars.entry(name.to_owned()).or_default();
        variable.exported |= how == "export";
        variable.read_only |= how == "readonly";
    }
    Ok(0)
}

impl Shell {
    /// Switches an option by its letter; false if there is none.
    pub(super) fn set_option(&mut self, flag: char, on: bool) -> bool {
        let option = match flag {
            'e' => &mut self.options.errexit,
            'u' => &mut self.options.nounset,
            'x' => &mut self.options.xtrace,
            'f' => &mut self.options.noglob,
            _ => return false,
        };
        *option = on;
        true
    }

    /// Switches an option by its name; false if there is none.
    pub(super) fn set_option_named(&mut self, name: &str, on: bool) -> bool {
        match name {
            "errexit" => self.set_option('e', on),
            "nounset" => self.set_option('u', on),
            "xtrace" => self.set_option('x', on),
            "noglob" => self.set_option('f', on),
            "pipefail" => {
                self.options.pipefail = on;
                true
            }
            _ => false,
        }
    }
}

async fn set(shell: &mut Shell, arguments: &[String]) -> Result<i32, Flow> {
    if arguments.is_empty() {
        let lines: String = shell
            .vars
            .iter()
            .map(|(name, variable)| format!("{name}={}\n", programs::text::quote_always(&variable.value)))
            .collect();
        let _ = shell.fd(1).write_all(lines.as_bytes()).await;
        return Ok(0);
    }
    let mut rest = arguments;
    while let Some((word, tail)) = rest.split_first() {
        if word == "--" {
            shell.params = tail.to_vec();
            return Ok(0);
        }
        let Some(flags) = word.strip_prefix(['-', '+']).filter(|flags| !flags.is_empty()) else {
            shell.params = rest.to_vec();
            return Ok(0);
        };
        let on = word.starts_with('-');
        rest = tail;
        for flag in flags.chars() {
            let known = match flag {
                'o' => {
                    let name = rest.first().cloned().unwrap_or_default();
                    rest = rest.get(1..).unwrap_or_default();
                    name.is_empty() || shell.set_option_named(&name, on)
                }
                'm' | 'h' | 'b' | 'a' | 'n' | 'v' | 'C' | 'E' | 'T' => true,
                flag => shell.set_option(flag, on),
            };
            if !known {
                shell.error(&format!("set: illegal option {word}")).await;
                return Ok(2);
            }
        }
    }
    Ok(0)
}

/// `read`: one line into variables, split at the separators.
async fn read(shell: &mut Shell, arguments: &[String]) -> Result<i32, Flow> {
    let mut raw = false;
    let mut names = Vec::new();
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "-r" => raw = true,
            "-p" => {
                let prompt = words.next().cloned().unwrap_or_default();
                let _ = shell.fd(2).write_all(prompt.as_bytes()).await;
            }
            "-s" => {}
            "-t" | "-n" => {
                words.next();
            }
            name => names.push(name.to_owned()),
        }
    }
    let stdin = shell.fd(0);
    let mut line = Vec::new();
    let ended = loop {
        let byte = match stdin.read(1).await {
            Ok(part) => part.first().copied(),
            Err(_) => None,
        };
        match byte {
            None => break line.is_empty(),
            Some(b'\n') if !raw && line.last() == Some(&b'\\') => {
                line.pop();
            }
            Some(b'\n') => break false,
            Some(byte) => line.push(byte),
        }
    };
    let text = String::from_utf8_lossy(&line).into_owned();
    let text = if raw { text } else { text.replace('\\', "") };
    let separators = shell.get("IFS").unwrap_or_else(|| " \t\n".into());
    if names.is_empty() {
        names.push("REPLY".into());
    }
    let blank = |c: char| separators.contains(c) && c.is_whitespace();
    let mut rest = text.trim_matches(blank);
    for (index, name) in names.iter().enumerate() {
        let end = rest.find(|c| separators.contains(c));
        let (value, tail) = match end {
            Some(end) if index + 1 < names.len() => {
                let (value, tail) = rest.split_at(end);
                let tail = tail.trim_start_matches(blank);
                (value, tail.strip_prefix(|c: char| separators.contains(c) && !c.is_whitespace()).unwrap_or(tail))
            }
            _ => (rest, ""),
        };
        shell.set(name, value.to_owned());
        rest = tail;
    }
    Ok(i32::from(ended))
}

async fn trap(shell: &mut Shell, arguments: &[String]) -> Result<i32, Flow> {
    if arguments.is_empty() {
        let lines: String = shell
            .traps
            .iter()
            .map(|(name, script)| format!("trap -- {} {name}\n", programs::text::quote_always(script)))
            .collect();
        let _ = shell.fd(1).write_all(lines.as_bytes()).await;
        return Ok(0);
    }
    if arguments.first().is_some_and(|word| word == "-l") {
        let names: Vec<String> = SIGNALS.iter().map(|(signal, name)| format!("{}) {name}", *signal as i32)).collect();
        let _ = shell.fd(1).write_all(format!("{}\n", names.join("\n")).as_bytes()).await;
        return Ok(0);
    }
    let arguments = if arguments.first().is_some_and(|word| word == "--") { &arguments[1..] } else { arguments };
    let Some((action, conditions)) = arguments.split_first() else { return Ok(0) };
    for condition in conditions {
        let signal = Signal::parse(condition);
        let name = match signal {
            Some(signal) => signal.to_string(),
            None if matches!(condition.to_ascii_uppercase().as_str(), "EXIT" | "0") => "EXIT".to_owned(),
            None if condition == "ERR" => continue,
            None => {
                shell.error(&format!("trap: {condition}: invalid signal specification")).await;
                return Ok(1);
            }
        };
        match (action.as_str(), signal) {
            ("-", signal) => {
                shell.traps.remove(&name);
                if let Some(signal) = signal {
                    shell.signals.reset(signal);
                }
            }
            ("", Some(signal)) => shell.signals.ignore(signal),
            (script, signal) => {
                shell.traps.insert(name, script.to_owned());
                if let Some(signal) = signal {
                    shell.signals.handle(signal);
                }
            }
        }
    }
    Ok(0)
}

async fn wait(shell: &mut Shell, arguments: &[String]) -> Result<i32, Flow> {
    /// How often `wait` looks for signals with traps: it ends early then.
    const LOOK: Duration = Duration::from_millis(10);
    let wanted: Vec<u32> = arguments.iter().filter_map(|word| word.trim_start_matches('%').parse().ok()).collect();
    let jobs: Vec<_> =
        shell.jobs.iter().filter(|job| wanted.is_empty() || wanted.contains(&job.pid)).cloned().collect();
    if jobs.is_empty() && !wanted.is_empty() {
        return Ok(127);
    }
    let mut code = 0;
    for job in jobs {
        if shell.traps.is_empty() {
            code = job.wait().await;
            continue;
        }
        while job.exit_code().is_none() {
            shell.machine.executor().sleep(LOOK).await;
            shell.run_traps().await?;
        }
        code = job.exit_code().unwrap_or(0);
    }
    shell.jobs.retain(|job| job.exit_code().is_none());
    Ok(if wanted.is_empty() { 0 } else { code })
}
