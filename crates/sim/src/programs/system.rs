//! Tools for processes, users, time and the shell's conditions.

use machinery::sort::Order;
use std::time::Duration;

use machinery::Timestamp;

use super::listing::human_gnu;
use crate::fs::{Entry, Kind};
use crate::process::{Process, SIGNALS, Signal};

/// Whether the tools here are GNU's, as Debian and its kin have them, or busybox'.
pub(super) fn is_gnu(process: &Process) -> bool {
    // Debian has long merged its folders of programs; busybox and Alpine have not.
    matches!(process.fs().symlink_metadata("/bin"), Ok(Entry { kind: Kind::Symlink(_), .. }))
}

/// The name of a user or group number in a file such as `/etc/passwd`; the number if it has none.
pub(super) fn name_of(process: &Process, file: &str, id: u32) -> String {
    let text = process.fs().read_text(file).unwrap_or_default();
    let number = id.to_string();
    let row = text.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|row| row.get(2) == Some(&&*number));
    row.and_then(|row| row.first().map(|name| (*name).to_owned())).unwrap_or(number)
}

/// The number of a user or group, given by name or number.
pub(super) fn id_of(process: &Process, file: &str, name: &str) -> Option<u32> {
    let text = process.fs().read_text(file).unwrap_or_default();
    let row = text.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|row| row.first() == Some(&name));
    name.parse().ok().or_else(|| row.and_then(|row| row.get(2)?.parse().ok()))
}

pub(super) async fn succeed(_: Process) -> i32 {
    0
}

pub(super) async fn fail(_: Process) -> i32 {
    1
}

pub(super) async fn pwd(process: Process) -> i32 {
    i32::from(!process.print(format!("{}\n", process.cwd)).await)
}

pub(super) async fn env(process: Process) -> i32 {
    let mut env = process.env.clone();
    let mut words = process.operands();
    if words.first().is_some_and(|word| word == "-i") {
        env.clear();
        words = &words[1..];
    }
    while let Some((name, value)) = words.first().and_then(|word| word.split_once('=')) {
        env.insert(name.to_owned(), value.to_owned());
        words = &words[1..];
    }
    if words.is_empty() {
        let text: String = env.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
        return i32::from(!process.print(text).await);
    }
    let command = words.to_vec();
    super::exec(Process { env, ..process }, command).await
}

pub(super) async fn printenv(process: Process) -> i32 {
    let names = process.operands();
    if names.is_empty() {
        return env(process).await;
    }
    let mut code = 0;
    for name in names {
        match process.env.get(name) {
            Some(value) => {
                process.print(format!("{value}\n")).await;
            }
            None => code = 1,
        }
    }
    code
}

/// A span such as `1`, `0.5`, `2m`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    if text == "infinity" || text == "inf" {
        return Some(Duration::from_secs(u64::from(u32::MAX)));
    }
    let (number, unit) = match text.char_indices().last()? {
        (at, 's') => (text.get(..at)?, 1.0),
        (at, 'm') => (text.get(..at)?, 60.0),
        (at, 'h') => (text.get(..at)?, 3600.0),
        (at, 'd') => (text.get(..at)?, 86400.0),
        _ => (text, 1.0),
    };
    let seconds: f64 = number.parse().ok()?;
    Duration::try_from_secs_f64(seconds * unit).ok()
}

pub(super) async fn sleep(process: Process) -> i32 {
    let mut total = Duration::ZERO;
    for word in process.operands() {
        match duration(word) {
            Some(span) => total = total.saturating_add(span),
            None => return process.fail(1, format_args!("invalid number '{word}'")).await,
        }
    }
    process.sleep(total).await;
    0
}

pub(super) async fn timeout(process: Process) -> i32 {
    let words = process.operands();
    let words = if words.first().is_some_and(|word| word == "-t") { &words[1..] } else { words };
    let Some((span, command)) = words.split_first() else { return process.fail(125, "missing operand").await };
    let Some(span) = duration(span) else {
        return process.fail(125, format_args!("invalid time interval '{span}'")).await;
    };
    let Some(child) = super::spawn(&process, command.to_vec()).await else { return 127 };
    let late = process.machine.executor().sleep(span);
    match futures::future::select(Box::pin(child.wait()), late).await {
        futures::future::Either::Left((code, _)) => code,
        futures::future::Either::Right(_) => {
            let _ = process.machine.kill(child.pid, Signal::Term);
            let code = child.wait().await;
            // What tells GNU's that the time was up; busybox passes on how the command ended.
            if is_gnu(&process) { 124 } else { code }
        }
    }
}

pub(super) async fn watch(process: Process) -> i32 {
    let mut words = process.operands();
    let mut span = Duration::from_secs(2);
    let mut titled = true;
    while let Some((flag, rest)) = words.split_first().filter(|(flag, _)| flag.starts_with('-')) {
        words = rest;
        let value = flag.strip_prefix("--interval=").or(flag.strip_prefix("-n"));
        match (flag.as_str(), value, words.split_first()) {
            ("-n" | "--interval", _, Some((value, rest))) => {
                span = duration(value).unwrap_or(span);
                words = rest;
            }
            ("-t" | "--no-title", ..) => titled = false,
            (_, Some(value), _) => span = duration(value).unwrap_or(span),
            _ => {}
        }
    }
    let command = words.join(" ");
    loop {
        let time = process.machine.now().strftime("%a %b %e %H:%M:%S %Y").to_string();
        let title = match titled {
            true => format!("Every {:.1}s: {command}    {time}\n\n", span.as_secs_f64()),
            false => String::new(),
        };
        process.print(format!("\x1b[H\x1b[2J{title}")).await;
        let script = vec!["sh".to_owned(), "-c".to_owned(), command.clone()];
        super::run(&process, script).await;
        process.sleep(span.max(Duration::from_millis(100))).await;
    }
}

pub(super) async fn date(process: Process) -> i32 {
    let mut now = process.machine.now();
    let mut format = "%a %b %e %H:%M:%S UTC %Y".to_owned();
    let mut words = process.operands().iter();
    while let Some(word) = words.next() {
        let given = word.strip_prefix("--date=").or_else(|| word.strip_prefix("-d"));
        if let Some(text) =
            given.filter(|text| !text.is_empty()).or_else(|| given.and_then(|_| words.next().map(String::as_str)))
        {
            match moment(text, now) {
                Some(moment) => now = moment,
                None => return process.fail(1, format_args!("invalid date '{text}'")).await,
            }
            continue;
        }
        match word.strip_prefix('+') {
            Some(given) => format = given.to_owned(),
            None if matches!(word.as_str(), "-u" | "--utc") => {}
            None if matches!(word.as_str(), "-Iseconds" | "-Is" | "--iso-8601=seconds") => {
                format = "%Y-%m-%dT%H:%M:%S+00:00".into()
            }
            None if word == "-R" => format = "%a, %d %b %Y %H:%M:%S +0000".into(),
            None => return process.fail(1, format_args!("invalid date '{word}'")).await,
        }
    }
    // Nanoseconds and the time zone are not what jiff's conversions of these letters print for UTC.
    let format = format
        .replace("%N", &format!("{:09}", now.subsec_nanosecond()))
        .replace("%Z", "UTC")
        .replace("%z", "+0000")
        .replace("%s", &now.as_second().to_string());
    match jiff::fmt::strtime::format(format.as_bytes(), now) {
        Ok(text) => i32::from(!process.print(format!("{text}\n")).await),
        Err(_) => process.fail(1, "invalid format").await,
    }
}

/// A moment as `date -d` takes it: `@SECONDS`, a date with or without a time, a word, or a span from now on.
pub(super) fn moment(text: &str, now: Timestamp) -> Option<Timestamp> {
    const DAY: i64 = 86400;
    let from_now = |seconds: i64| Timestamp::from_second(now.as_second().checked_add(seconds)?).ok();
    let text = text.trim();
    if let Some(seconds) = text.strip_prefix('@') {
        return Timestamp::from_second(seconds.parse().ok()?).ok();
    }
    match text {
        "now" | "today" => return Some(now),
        "yesterday" => return from_now(-DAY),
        "tomorrow" => return from_now(DAY),
        _ => {}
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    if let [count, unit, rest @ ..] = words.as_slice()
        && let Ok(count) = count.parse::<i64>()
    {
        let seconds = match unit.trim_end_matches('s') {
            "second" | "sec" => 1,
            "minute" | "min" => 60,
            "hour" => 3600,
            "day" => DAY,
            "week" => 7 * DAY,
            _ => return None,
        };
        let sign = if rest == ["ago"] { -1 } else { 1 };
        return from_now(count.checked_mul(seconds)?.checked_mul(sign)?);
    }
    let text = text.trim_end_matches(" UTC").trim_end_matches('Z').replace(' ', "T");
    let full = if text.contains('T') { format!("{text}Z") } else { format!("{text}T00:00:00Z") };
    full.parse().ok()
}

pub(super) async fn hostname(process: Process) -> i32 {
    let text = match process.operands().first().map(String::as_str) {
        Some("-i" | "-I") => process.machine.interface().address().to_string(),
        Some("-f" | "--fqdn") => long_name(&process),
        _ => process.machine.hostname().to_owned(),
    };
    i32::from(!process.print(format!("{text}\n")).await)
}

/// The machine's name with its domain, as `/etc/hosts` has it: a name's first form is the long one.
fn long_name(process: &Process) -> String {
    let name = process.machine.hostname();
    let hosts = process.fs().read_text("/etc/hosts").unwrap_or_default();
    let found = hosts.lines().find_map(|line| {
        let mut names = line.split_whitespace().skip(1).take_while(|word| !word.starts_with('#'));
        let first = names.next()?;
        (first == name || names.any(|other| other == name)).then(|| first.to_owned())
    });
    found.unwrap_or_else(|| name.to_owned())
}

pub(super) async fn uname(process: Process) -> i32 {
    const KERNEL: &str = "6.8.0";
    let host = process.machine.hostname();
    let text = match process.operands().first().map(String::as_str) {
        None | Some("-s") => "Linux".to_owned(),
        Some("-r") => KERNEL.to_owned(),
        Some("-m") => "x86_64".to_owned(),
        Some("-n") => host.to_owned(),
        _ => format!("Linux {host} {KERNEL} #1 SMP x86_64 GNU/Linux"),
    };
    i32::from(!process.print(format!("{text}\n")).await)
}

pub(super) async fn kill(process: Process) -> i32 {
    let mut signal = Signal::Term;
    let mut words = process.operands();
    if let Some(flag) = words.first().filter(|word| *word != "--").and_then(|word| word.strip_prefix('-')) {
        if flag == "l" {
            let names: Vec<&str> = SIGNALS.iter().map(|(_, name)| *name).collect();
            return i32::from(!process.print(format!("{}\n", names.join(" "))).await);
        }
        let (name, used) = if flag == "s" { (words.get(1).map_or("", String::as_str), 2) } else { (flag, 1) };
        if name == "0" {
            let alive = words
                .get(used..)
                .unwrap_or_default()
                .iter()
                .all(|word| process.machine.processes().iter().any(|info| info.pid.to_string() == *word));
            return i32::from(!alive);
        }
        match Signal::parse(name) {
            Some(parsed) => signal = parsed,
            None => return process.fail(1, format_args!("bad signal name '{name}'")).await,
        }
        words = words.get(used..).unwrap_or_default();
    }
    let words: Vec<&String> = words.iter().filter(|word| *word != "--").collect();
    if words.is_empty() {
        return process.fail(1, "you need to specify whom to kill").await;
    }
    let mut code = 0;
    for word in words {
        let group = word.strip_prefix('-').and_then(|group| group.parse().ok());
        let killed = match (word.parse::<u32>(), group) {
            (_, Some(group)) => {
                let any = process.machine.kill_group(group, signal);
                any.then_some(()).ok_or_else(|| "No such process".to_owned())
            }
            (Ok(pid), _) => process.machine.kill(pid, signal).map_err(|error| error.to_string()),
            (Err(_), _) => Err(format!("invalid number '{word}'")),
        };
        if let Err(error) = killed {
            code = process.fail(1, format_args!("can't kill pid {word}: {error}")).await;
        }
    }
    code
}

/// `groups`: the names of one's groups.
pub(super) async fn groups(process: Process) -> i32 {
    let ids = [&[process.gid], process.machine.groups()].concat();
    let names: Vec<String> = ids.iter().map(|id| name_of(&process, "/etc/group", *id)).collect();
    i32::from(!process.print(format!("{}\n", names.join(" "))).await)
}

pub(super) async fn id(process: Process) -> i32 {
    let user = |id: u32| name_of(&process, "/etc/passwd", id);
    let group = |id: u32| name_of(&process, "/etc/group", id);
    let mut groups = [&[process.gid], process.machine.groups()].concat();
    groups.order();
    groups.dedup();
    let list = |separator: &str, of: &dyn Fn(u32) -> String| {
        groups.iter().map(|id| of(*id)).collect::<Vec<_>>().join(separator)
    };
    let named = |id: u32, name: String| if name == id.to_string() { name } else { format!("{id}({name})") };
    let text = match process.operands().first().map(String::as_str) {
        Some("-u") => process.uid.to_string(),
        Some("-g") => process.gid.to_string(),
        Some("-G") => list(" ", &|id| id.to_string()),
        Some("-un") => user(process.uid),
        Some("-gn") => group(process.gid),
        Some("-Gn" | "-nG") => list(" ", &group),
        _ => format!(
            "uid={} gid={} groups={}",
            named(process.uid, user(process.uid)),
            named(process.gid, group(process.gid)),
            list(",", &|id| named(id, group(id)))
        ),
    };
    i32::from(!process.print(format!("{text}\n")).await)
}

pub(super) async fn whoami(process: Process) -> i32 {
    let user = name_of(&process, "/etc/passwd", process.uid);
    if user == process.uid.to_string() {
        return process.fail(1, format_args!("unknown uid {user}")).await;
    }
    i32::from(!process.print(format!("{user}\n")).await)
}

pub(super) async fn which(process: Process) -> i32 {
    let mut code = 0;
    for name in process.operands() {
        let folders = if process.var("PATH").is_empty() { "/usr/local/bin:/usr/bin:/bin" } else { process.var("PATH") };
        let paths = folders.split(':').map(|folder| format!("{folder}/{name}"));
        match paths.into_iter().find(|path| process.fs().exists(path)) {
            Some(path) => {
                process.print(format!("{path}\n")).await;
            }
            None => code = 1,
        }
    }
    code
}

pub(super) async fn clear(process: Process) -> i32 {
    i32::from(!process.print("\x1b[H\x1b[2J\x1b[3J").await)
}

pub(super) async fn nproc(process: Process) -> i32 {
    i32::from(!process.print("4\n").await)
}

/// `free [-b|-k|-m|-g|-h]`.
pub(super) async fn free(process: Process) -> i32 {
    let total: u64 = 8 << 20;
    let used = process.machine.memory_bytes() / 1024;
    let has = |letter: char| process.operands().iter().any(|word| word.starts_with('-') && word.contains(letter));
    let shown = |kib: u64| match () {
        () if has('h') => format!("{}i", human_gnu(kib << 10)).replace("0i", "0B"),
        () if has('g') => (kib >> 20).to_string(),
        () if has('m') => (kib >> 10).to_string(),
        () if has('b') => (kib << 10).to_string(),
        () => kib.to_string(),
    };
    let left = total.saturating_sub(used);
    let row = |name: &str, cells: &[String]| {
        let cells: String = cells.iter().map(|cell| format!("{cell:>12}")).collect();
        format!("{name:<8}{cells}\n")
    };
    let heads = ["total", "used", "free", "shared", "buff/cache", "available"].map(str::to_owned);
    let memory = [total, used, left, 0, 0, left].map(shown);
    let text = row("", &heads) + &row("Mem:", &memory) + &row("Swap:", &[0, 0, 0].map(shown));
    i32::from(!process.print(text).await)
}

pub(super) async fn uptime(process: Process) -> i32 {
    let up = process.machine.now().duration_since(process.machine.booted_at()).as_secs() / 60;
    let time = process.machine.now().strftime("%H:%M:%S").to_string();
    i32::from(!process.print(format!(" {time} up {up} min,  0 users,  load average: 0.00, 0.00, 0.00\n")).await)
}
