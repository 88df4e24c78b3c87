//! Commands that the shell runs itself.

use std::time::Duration;

use super::variables::{declare, read, set};
use super::{Flow, Shell};
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
    let quoted: Vec<String> = arguments.iter().map(|word| programs::escape::quote(word)).collect();
    let result = match super::parse(&quoted.join(" ")) {
        Ok(command) => shell.run(&command).await,
        Err(_) => Ok(2),
    };
    shell.functions = functions;
    result
}

async fn trap(shell: &mut Shell, arguments: &[String]) -> Result<i32, Flow> {
    if arguments.is_empty() {
        let lines: String = shell
            .traps
            .iter()
            .map(|(name, script)| format!("trap -- {} {name}\n", programs::escape::quote_always(script)))
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
