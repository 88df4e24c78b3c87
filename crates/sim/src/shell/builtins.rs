//! Commands that the shell runs itself.

use machinery::sort::Order;

use super::variables::{declare, read, set};
use super::{Flow, Shell, jobs};
use crate::fs;
use crate::process::{Process, SIGNALS, Signal};
use crate::programs;

/// Commands that change the shell.
const BUILTINS: [&str; 48] = [
    ":",
    ".",
    "source",
    "alias",
    "break",
    "cd",
    "command",
    "continue",
    "eval",
    "exec",
    "exit",
    "export",
    "hash",
    "jobs",
    "local",
    "logout",
    "read",
    "readonly",
    "return",
    "set",
    "shift",
    "times",
    "trap",
    "type",
    "ulimit",
    "umask",
    "unalias",
    "unset",
    "wait",
    "fg",
    "bg",
    "builtin",
    "complete",
    "compgen",
    "compopt",
    "declare",
    "disown",
    "enable",
    "getopts",
    "help",
    "history",
    "let",
    "mapfile",
    "readarray",
    "shopt",
    "typeset",
    "bind",
    "suspend",
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
        // What they switch is the same here either way: the shell completes and edits lines by itself.
        "bind" | "complete" | "compgen" | "compopt" | "enable" | "shopt" | "suspend" => Ok(0),
        "builtin" => Box::pin(run(shell, arguments.to_vec())).await,
        "local" | "export" if first.is_some_and(|word| word.starts_with("-") && !matches!(word, "-p" | "-n")) => {
            Box::pin(declare_typed(shell, arguments)).await
        }
        "declare" | "typeset" | "getopts" | "help" | "history" | "let" | "mapfile" | "readarray" => {
            Box::pin(of_bash(shell, &name, arguments)).await
        }
        // Outside a loop there is nothing to leave.
        "break" | "continue" if shell.loops == 0 => Ok(0),
        "break" | "continue" => {
            let levels = first.and_then(|levels| levels.parse().ok()).unwrap_or(1).clamp(1, shell.loops);
            Err(if name == "break" { Flow::Break(levels) } else { Flow::Continue(levels) })
        }
        "exit" | "logout" if shell.keeps_stopped_jobs().await => Ok(1),
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
        "type" if first == Some("-t") => {
            let name = arguments.get(1).map_or("", String::as_str);
            let what = match describe(shell, name) {
                Some(what) if what.contains(" alias ") => "alias",
                Some(what) if what.ends_with("function") => "function",
                Some(what) if what.ends_with("builtin") => "builtin",
                Some(_) => "file",
                None => return Ok(1),
            };
            let _ = shell.fd(1).write_all(format!("{what}\n").as_bytes()).await;
            Ok(0)
        }
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
                if shell.unset_element(name) {
                    continue;
                }
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
        "wait" => jobs::wait(shell, arguments).await,
        "fg" | "bg" => Box::pin(jobs::go_on(shell, &name, arguments)).await,
        "disown" => jobs::disown(shell, arguments).await,
        "jobs" => jobs::jobs(shell, arguments).await,
        "printf" if first == Some("-v") => Box::pin(print_to(shell, arguments)).await,
        _ => {
            let Some(program) = programs::find(&name) else { return Ok(127) };
            let args = match name.as_str() {
                "kill" => jobs::kill_words(shell, words).await,
                _ => Some(words),
            };
            let Some(args) = args else { return Ok(1) };
            let process = Process { args, ..shell.process() };
            Ok(program.run(process).await & 0xff)
        }
    }
}

/// Builtins that bash has and POSIX has not, and the longer ones: apart, so that others need less of the stack.
async fn of_bash(shell: &mut Shell, name: &str, arguments: &[String]) -> Result<i32, Flow> {
    match name {
        "declare" | "typeset" => declare_typed(shell, arguments).await,
        "getopts" => getopts(shell, arguments).await,
        "help" => help(shell, arguments.first().map(String::as_str)).await,
        "history" => history(shell, arguments).await,
        "let" => {
            let mut value = 0;
            for expression in arguments {
                value = match super::arith::evaluate(expression, shell) {
                    Ok(value) => value,
                    Err(message) => return Err(shell.fatal(message).await),
                };
            }
            Ok(i32::from(value == 0))
        }
        _ => mapfile(shell, arguments).await,
    }
}

/// `printf -v NAME`: into a variable.
async fn print_to(shell: &mut Shell, arguments: &[String]) -> Result<i32, Flow> {
    let variable = arguments.get(1).cloned().unwrap_or_default();
    let words = std::iter::once("printf".to_owned()).chain(arguments.iter().skip(2).cloned()).collect();
    let (out, written) = crate::io::Fd::buffer();
    let before = shell.fds.insert(1, out);
    let code = run(shell, words).await;
    match before {
        Some(before) => shell.fds.insert(1, before),
        None => shell.fds.remove(&1),
    };
    let text = String::from_utf8_lossy(&written.borrow()).into_owned();
    shell.set(&variable, text);
    code
}

async fn cd(shell: &mut Shell, target: Option<&str>) -> Result<i32, Flow> {
    let target = match target {
        None | Some("~") => shell.get("HOME").unwrap_or_else(|| "/".into()),
        Some("-") => shell.get("OLDPWD").unwrap_or_else(|| shell.cwd.clone()),
        Some(path) => path.to_owned(),
    };
    let path = fs::absolute(&shell.cwd, &target);
    if !shell.fs.is_dir(&path) {
        let why = if shell.fs.exists(&path) { "Not a directory" } else { "No such file or directory" };
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
    let pipe = path.strip_prefix("/dev/fd/").and_then(|number| shell.fds.get(&number.parse().ok()?).cloned());
    let text = match pipe {
        Some(pipe) => pipe.read_to_end().await.map(|text| String::from_utf8_lossy(&text).into_owned()),
        None => shell.fs.read_text(&fs::absolute(&shell.cwd, path)),
    };
    let text = match text {
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
    candidates.into_iter().find(|path| shell.fs.exists(path) && !shell.fs.is_dir(path))
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
            None if matches!(condition.to_ascii_uppercase().as_str(), "ERR" | "DEBUG" | "RETURN") => {
                condition.to_ascii_uppercase()
            }
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

/// `declare` and `typeset`: variables with a kind.
async fn declare_typed(shell: &mut Shell, arguments: &[String]) -> Result<i32, Flow> {
    let (flags, names): (Vec<&String>, Vec<&String>) =
        arguments.iter().partition(|word| word.starts_with(['-', '+']) && word.len() > 1);
    let has = |flag: char| flags.iter().any(|word| word.starts_with('-') && word.contains(flag));
    if has('f') || has('F') {
        let known = names.iter().all(|name| shell.functions.contains_key(*name));
        return Ok(i32::from(!known));
    }
    if has('p') {
        let mut code = 0;
        for name in names {
            match shell.vars.get(name) {
                Some(variable) => {
                    let flag = if variable.exported { "-x" } else { "--" };
                    let value = shell.get(name).unwrap_or_default();
                    let line = format!("declare {flag} {name}={value:?}\n");
                    let _ = shell.fd(1).write_all(line.as_bytes()).await;
                }
                None => {
                    shell.error(&format!("declare: {name}: not found")).await;
                    code = 1;
                }
            }
        }
        return Ok(code);
    }
    let how = if shell.locals.is_empty() || has('g') { "" } else { "local" };
    let words: Vec<String> = names.iter().map(|name| (*name).clone()).collect();
    let code = if words.is_empty() { 0 } else { declare(shell, how, &words).await? };
    for word in &words {
        let name = word.split('=').next().unwrap_or_default();
        if has('a') || has('A') {
            shell.make_array(name, has('A'));
        }
        if let Some(variable) = shell.vars.get_mut(name) {
            variable.exported |= has('x');
            variable.read_only |= has('r');
        }
    }
    Ok(code)
}

/// `getopts`: the next option of the arguments or the parameters.
async fn getopts(shell: &mut Shell, arguments: &[String]) -> Result<i32, Flow> {
    let [known, name, given @ ..] = arguments else {
        shell.error("getopts: usage: getopts optstring name [arg]").await;
        return Ok(2);
    };
    let words = if given.is_empty() { shell.params.clone() } else { given.to_vec() };
    let mut index: usize = shell.get("OPTIND").and_then(|index| index.parse().ok()).unwrap_or(1).max(1);
    if index == 1 && shell.get("OPTIND").is_none() {
        shell.option_at = 1;
    }
    let word = words.get(index - 1).filter(|word| word.len() > 1 && word.starts_with('-') && *word != "--").cloned();
    let Some(word) = word else {
        if words.get(index - 1).is_some_and(|word| word == "--") {
            index += 1;
        }
        shell.set("OPTIND", index.to_string());
        shell.set(name, "?".into());
        shell.option_at = 1;
        return Ok(1);
    };
    let letters: Vec<char> = word.chars().collect();
    let letter = letters.get(shell.option_at).copied().unwrap_or('?');
    let rest: String = letters.iter().skip(shell.option_at + 1).collect();
    let silent = known.starts_with(':');
    let place = known.trim_start_matches(':').find(letter).filter(|_| letter != ':');
    let takes = place.is_some_and(|at| {
        known.trim_start_matches(':').get(at + letter.len_utf8()..).is_some_and(|rest| rest.starts_with(':'))
    });
    let mut option = letter.to_string();
    shell.vars.remove("OPTARG");
    shell.option_at += 1;
    let mut ended = rest.is_empty();
    if place.is_none() {
        option = "?".into();
        match silent {
            true => shell.set("OPTARG", letter.to_string()),
            false => shell.error(&format!("illegal option -{letter}")).await,
        }
    } else if takes {
        ended = true;
        let value = match rest.is_empty() {
            false => Some(rest),
            true => {
                index += 1;
                words.get(index - 1).cloned()
            }
        };
        match value {
            Some(value) => shell.set("OPTARG", value),
            None if silent => {
                option = ":".into();
                shell.set("OPTARG", letter.to_string());
            }
            None => {
                option = "?".into();
                shell.error(&format!("option requires an argument -{letter}")).await;
            }
        }
    }
    if ended {
        index += 1;
        shell.option_at = 1;
    }
    shell.set("OPTIND", index.to_string());
    shell.set(name, option);
    Ok(0)
}

/// `history`: the lines that were entered; `-c` forgets them.
async fn history(shell: &mut Shell, arguments: &[String]) -> Result<i32, Flow> {
    if arguments.iter().any(|word| word == "-c") {
        shell.history.borrow_mut().clear();
        return Ok(0);
    }
    let most = arguments.iter().find_map(|word| word.parse::<usize>().ok()).unwrap_or(usize::MAX);
    let lines: String = {
        let history = shell.history.borrow();
        let skip = history.len().saturating_sub(most);
        history.iter().enumerate().skip(skip).map(|(index, line)| format!("{:>5}  {line}\n", index + 1)).collect()
    };
    let _ = shell.fd(1).write_all(lines.as_bytes()).await;
    Ok(0)
}

/// `mapfile`: the lines of the input as an array.
async fn mapfile(shell: &mut Shell, arguments: &[String]) -> Result<i32, Flow> {
    let strip = arguments.iter().any(|word| word == "-t");
    let name = arguments.iter().find(|word| !word.starts_with('-')).cloned().unwrap_or_else(|| "MAPFILE".into());
    let input = shell.fd(0).read_to_end().await.unwrap_or_default();
    let text = String::from_utf8_lossy(&input).into_owned();
    let lines =
        text.split_inclusive('\n').map(|line| if strip { line.trim_end_matches('\n') } else { line }.to_owned());
    shell.set_list(&name, lines);
    Ok(0)
}

/// Of a terminal with an editor beside it.
const EDITORS: &str = "vi, nano and kubectl edit open the page's editor; after `export EDITOR=vi` (or nano) they stay in \
                       the terminal.\n";

/// `help`: what the shell does itself, and what else there is to run.
async fn help(shell: &mut Shell, name: Option<&str>) -> Result<i32, Flow> {
    let text = match name {
        Some(name) => match describe(shell, name) {
            Some(what) => format!("{what}\n"),
            None => {
                shell.error(&format!("help: no help topics match `{name}'. Try `{name} --help'.")).await;
                return Ok(1);
            }
        },
        None => {
            let mut names: Vec<&str> = BUILTINS.iter().chain(&INLINE).copied().filter(|name| name.len() > 1).collect();
            names.order();
            let path = shell.get("PATH");
            let programs = shell.machine.commands(path.as_deref());
            let beside = shell.fd(0).tty().is_some_and(|tty| tty.editor().is_some());
            format!(
                "These commands are the shell's own:\n\n  {}\n\nThese programs are here:\n\n  {}\n\nMost say more with --help.\n{}",
                wrapped(names.iter().copied()),
                wrapped(programs.iter().map(String::as_str)),
                if beside { EDITORS } else { "" },
            )
        }
    };
    let _ = shell.fd(1).write_all(text.as_bytes()).await;
    Ok(0)
}

/// Words in lines that fit a terminal.
fn wrapped<'a>(words: impl Iterator<Item = &'a str>) -> String {
    const WIDTH: usize = 76;
    let (mut out, mut column) = (String::new(), 0);
    for word in words {
        if column + word.len() > WIDTH {
            out.push_str("\n  ");
            column = 0;
        }
        out.push_str(word);
        out.push(' ');
        column += word.len() + 1;
    }
    out.trim_end().to_owned()
}
