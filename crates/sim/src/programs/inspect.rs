//! Tools that look at files and processes: stat, du, file, top, pgrep, pkill.

use std::time::Duration;

use futures::future::{Either, select};

use super::files::walk;
use super::listing::{human, human_gnu};
use super::options::Options;
use super::system::{is_gnu, name_of};
use super::tool_names;
use crate::fs::Kind;
use crate::process::{Process, ProcessInfo, Signal};

pub(super) async fn stat(process: Process) -> i32 {
    let options = match Options::parse(process.operands(), "c:Ltf", &[("format", "c")]) {
        Ok(options) => options,
        Err(message) => return process.fail(1, message).await,
    };
    let mut code = 0;
    for path in &options.operands {
        let absolute = process.path(path);
        let found = match options.has("L") {
            true => process.fs().metadata(&absolute),
            false => process.fs().symlink_metadata(&absolute),
        };
        let entry = match found {
            Ok(entry) => entry,
            Err(error) => {
                code = process.fail(1, format_args!("can't stat '{path}': {error}")).await;
                continue;
            }
        };
        let (name, kind) = match &entry.kind {
            Kind::Directory => (path.clone(), "directory"),
            Kind::File(data) if data.is_empty() => (path.clone(), "regular empty file"),
            Kind::File(_) | Kind::Program(_) => (path.clone(), "regular file"),
            Kind::Symlink(target) => (format!("'{path}' -> '{target}'"), "symbolic link"),
            Kind::Device(_) => (path.clone(), "character special file"),
        };
        let user = name_of(&process, "/etc/passwd", entry.uid);
        let group = name_of(&process, "/etc/group", entry.gid);
        let modified = entry.modified.strftime("%Y-%m-%d %H:%M:%S.%9f +0000").to_string();
        let mode = entry.mode & 0o7777;
        let (size, blocks) = (entry.size(), entry.size().div_ceil(4096) * 8);
        let text = match options.value("c") {
            Some(format) => {
                let mut text = format.to_owned();
                for (mark, value) in [
                    ("%a", format!("{mode:o}")),
                    ("%A", entry.mode_text()),
                    ("%U", user),
                    ("%G", group),
                    ("%u", entry.uid.to_string()),
                    ("%g", entry.gid.to_string()),
                    ("%s", size.to_string()),
                    ("%n", path.clone()),
                    ("%F", kind.to_owned()),
                    ("%y", modified),
                    ("%Y", entry.modified.as_second().to_string()),
                    ("%b", blocks.to_string()),
                ] {
                    text = text.replace(mark, &value);
                }
                text + "\n"
            }
            None => format!(
                "  File: {name}\n  Size: {size:<10}\tBlocks: {blocks:<10} IO Block: 4096   {kind}\n\
                 Access: ({mode:04o}/{})  Uid: ({:>5}/{user:>8})   Gid: ({:>5}/{group:>8})\n\
                 Access: {modified}\nModify: {modified}\nChange: {modified}\n",
                entry.mode_text(),
                entry.uid,
                entry.gid,
            ),
        };
        process.print(text).await;
    }
    code
}

pub(super) async fn du(process: Process) -> i32 {
    let options = match Options::parse(process.operands(), "shakmcd:x", &[("max-depth", "d")]) {
        Ok(options) => options,
        Err(message) => return process.fail(1, message).await,
    };
    let here = vec![".".to_owned()];
    let roots = if options.operands.is_empty() { here } else { options.operands.clone() };
    let depth_max: usize = match options.value("d").and_then(|depth| depth.parse().ok()) {
        Some(depth) => depth,
        None if options.has("s") => 0,
        None => usize::MAX,
    };
    let shown = |kib: usize| match (options.has("h"), options.has("m")) {
        (true, _) if is_gnu(&process) => human_gnu(kib as u64 * 1024),
        (true, _) => human(kib as u64 * 1024),
        (_, true) => kib.div_ceil(1024).to_string(),
        _ => kib.to_string(),
    };
    let (mut code, mut total) = (0, 0);
    let (is_busybox, mut counted) = (!is_gnu(&process), false);
    for root in roots {
        let absolute = process.path(&root);
        if process.fs().symlink_metadata(&absolute).is_err() {
            code = process.fail(1, format_args!("{root}: No such file or directory")).await;
            continue;
        }
        let mut all: Vec<(String, usize, bool)> = Vec::new();
        walk(process.fs(), &absolute, &root, &mut |path, entry| {
            let kib = match &entry.kind {
                Kind::Symlink(_) => 0,
                // busybox' tools are one file under many names, which counts once.
                Kind::Program(name) if is_busybox && tool_names().any(|tool| tool == name) => {
                    let first = !std::mem::replace(&mut counted, true);
                    if first { entry.size().div_ceil(4096) * 4 } else { 0 }
                }
                _ => entry.size().div_ceil(4096) * 4,
            };
            all.push((path.to_owned(), kib, entry.kind == Kind::Directory));
        });
        let base = root.trim_end_matches('/').to_owned();
        let depth = |path: &str| path.get(base.len()..).unwrap_or_default().trim_end_matches('/').matches('/').count();
        // What is inside comes before what it is in.
        for (path, kib, folder) in all.iter().rev() {
            if depth(path) > depth_max || !folder && !options.has("a") && *path != root {
                continue;
            }
            let inside = format!("{}/", path.trim_end_matches('/'));
            let below: usize = all.iter().filter(|(inner, ..)| inner.starts_with(&inside)).map(|(_, kib, _)| kib).sum();
            process.print(format!("{}\t{path}\n", shown(kib + below))).await;
        }
        total += all.iter().map(|(_, kib, _)| kib).sum::<usize>();
    }
    if options.has("c") {
        process.print(format!("{}\ttotal\n", shown(total))).await;
    }
    code
}

/// A page of `top`: the machine, then its processes.
fn top_page(process: &Process) -> String {
    const TOTAL_KIB: u64 = 8 << 20;
    let used = process.machine.memory_bytes() / 1024;
    let mut text = format!(
        "Mem: {used}K used, {}K free, 0K shrd, 0K buff, 0K cached\nCPU:   0% usr   0% sys   0% nic 100% idle   0% io   0% irq   0% sirq\n\
         Load average: 0.00 0.00 0.00 1/{} {}\n  PID  PPID USER     STAT   VSZ %VSZ CPU %CPU COMMAND\n",
        TOTAL_KIB.saturating_sub(used),
        process.machine.processes().len(),
        process.pid,
    );
    for info in process.machine.processes() {
        let user = name_of(process, "/etc/passwd", info.uid);
        let state = if info.pid == process.pid { "R" } else { "S" };
        let (pid, parent, command) = (info.pid, info.parent, info.args.join(" "));
        text.push_str(&format!("{pid:>5} {parent:>5} {user:<8} {state:<4} {:>5}   0%   0   0% {command}\n", 4400));
    }
    text
}

pub(super) async fn top(process: Process) -> i32 {
    let options = match Options::parse(process.operands(), "bn:d:HmE:o:p:u:w", &[]) {
        Ok(options) => options,
        Err(message) => return process.fail(1, message).await,
    };
    let turns: u64 = options.value("n").and_then(|turns| turns.parse().ok()).unwrap_or(u64::MAX);
    let pause = options.value("d").and_then(super::system::duration).unwrap_or(Duration::from_secs(5));
    let tty = process.stdin().tty().filter(|_| !options.has("b")).cloned();
    if let Some(tty) = &tty {
        tty.set_raw(true);
    }
    for turn in 0..turns {
        if turn > 0 {
            let wait = process.machine.executor().sleep(pause);
            match &tty {
                Some(tty) => {
                    let input = tty.fd();
                    if let Either::Left((Ok(keys), _)) = select(Box::pin(input.read(64)), wait).await
                        && keys.iter().any(|key| matches!(key, b'q' | 3))
                    {
                        break;
                    }
                }
                None => wait.await,
            }
        }
        let page = top_page(&process);
        let shown = match &tty {
            Some(tty) => {
                let lines: Vec<&str> = page.lines().take(usize::from(tty.size().1).saturating_sub(1)).collect();
                format!("\x1b[H\x1b[2J{}\r\n", lines.join("\r\n"))
            }
            None => page,
        };
        if !process.print(shown).await {
            break;
        }
    }
    if let Some(tty) = &tty {
        tty.set_raw(false);
    }
    0
}

/// `pgrep`, `pkill`, `pidof` and `killall`: processes by name.
pub(super) async fn by_name(process: Process) -> i32 {
    let name = process.name().to_owned();
    let mut signal = Signal::Term;
    let (mut full, mut long, mut probes) = (false, false, false);
    let mut wanted = None;
    for word in process.operands() {
        match word.strip_prefix('-') {
            Some("f") => full = true,
            Some("l" | "a") => long = true,
            Some("0") => probes = true,
            Some("x" | "o" | "n" | "q" | "s") => {}
            Some(text) => match Signal::parse(text) {
                Some(parsed) => signal = parsed,
                None => return process.fail(2, format_args!("unrecognized option: {text}")).await,
            },
            None => wanted = Some(word.clone()),
        }
    }
    let Some(wanted) = wanted else {
        process.eprint(format!("{name}: missing pattern\n")).await;
        return 2;
    };
    let exact = matches!(name.as_str(), "pidof" | "killall");
    let Ok(regex) = regex_lite::Regex::new(&wanted) else { return process.fail(2, "bad pattern").await };
    let fits = |info: &ProcessInfo| {
        let command = info.name();
        match (exact, full) {
            (true, _) => command == wanted,
            (false, true) => regex.is_match(&info.args.join(" ")),
            (false, false) => regex.is_match(command),
        }
    };
    let found: Vec<ProcessInfo> =
        process.machine.processes().into_iter().filter(|info| info.pid != process.pid && fits(info)).collect();
    match name.as_str() {
        "pidof" => {
            let pids: Vec<String> = found.iter().map(|info| info.pid.to_string()).collect();
            if !pids.is_empty() {
                process.print(pids.join(" ") + "\n").await;
            }
        }
        "pgrep" => {
            let line = |info: &ProcessInfo| match long {
                true => format!("{} {}\n", info.pid, info.args.join(" ")),
                false => format!("{}\n", info.pid),
            };
            process.print(found.iter().map(line).collect::<String>()).await;
        }
        _ => {
            for info in found.iter().filter(|_| !probes) {
                // One that has just ended needs no signal.
                let _ = process.machine.kill(info.pid, signal);
            }
            if found.is_empty() && name == "killall" {
                return process.fail(1, format_args!("{wanted}: no process killed")).await;
            }
        }
    }
    i32::from(found.is_empty())
}
