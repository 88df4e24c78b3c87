//! `ps`, as busybox has it and as procps does: the processes of a namespace, by columns.

use std::time::Duration;

use super::system::{is_gnu, name_of};
use crate::process::{Process, ProcessInfo};

/// What a node has of memory, in bytes: what `%MEM` is of.
const MEMORY_BYTES: u64 = 8 << 30;

/// A process as the columns see it.
struct Seen<'a> {
    of: &'a Process,
    info: &'a ProcessInfo,
    cpu: Duration,
    memory_bytes: u64,
}

impl Seen<'_> {
    fn age(&self) -> Duration {
        machinery::time::since(self.info.started_at, self.of.machine.now())
    }

    fn user(&self) -> String {
        name_of(self.of, "/etc/passwd", self.info.uid)
    }

    fn group(&self) -> String {
        name_of(self.of, "/etc/group", self.info.gid)
    }

    /// A name as procps shows it: `zookeep+`, where it does not fit.
    fn fitted(name: String) -> String {
        const WIDTH: usize = 8;
        match name.get(..WIDTH - 1) {
            Some(begin) if name.len() > WIDTH => format!("{begin}+"),
            _ => name,
        }
    }

    /// Running, or asleep; the leader of a session; in the foreground.
    fn state(&self) -> String {
        let state = if self.info.pid == self.of.pid { "R" } else { "S" };
        let leads = if self.info.group == self.info.pid { "s" } else { "" };
        let front = if self.info.terminal && self.info.pid == self.of.pid { "+" } else { "" };
        format!("{state}{leads}{front}")
    }

    fn percent(part: f64, whole: f64) -> String {
        format!("{:.1}", if whole > 0.0 { (part * 100.0 / whole).min(999.0) } else { 0.0 })
    }

    /// `10:42` of today, `Jan01` of earlier.
    fn started(&self) -> String {
        let format = if self.age() < Duration::from_secs(86400) { "%H:%M" } else { "%b%d" };
        self.info.started_at.strftime(format).to_string()
    }
}

/// A column: its names, its heading, its width (0: as wide as it is), whether it stands at the right.
type Column = (&'static [&'static str], &'static str, usize, bool, fn(&Seen<'_>) -> String);

/// The columns of procps.
const PROCPS: &[Column] = &[
    (&["pid", "tgid"], "PID", 7, true, |seen| seen.info.pid.to_string()),
    (&["ppid"], "PPID", 7, true, |seen| seen.info.parent.to_string()),
    (&["pgid", "pgrp"], "PGID", 7, true, |seen| seen.info.group.to_string()),
    (&["sid", "sess"], "SID", 7, true, |seen| seen.info.group.to_string()),
    (&["user", "euser", "ruser", "uname"], "USER", 8, false, |seen| Seen::fitted(seen.user())),
    (&["group", "egroup"], "GROUP", 8, false, |seen| Seen::fitted(seen.group())),
    (&["uid", "euid"], "UID", 5, true, |seen| seen.info.uid.to_string()),
    (&["gid", "egid"], "GID", 5, true, |seen| seen.info.gid.to_string()),
    (&["%cpu", "pcpu"], "%CPU", 4, true, |seen| Seen::percent(seen.cpu.as_secs_f64(), seen.age().as_secs_f64())),
    (&["c"], "C", 2, true, |seen| {
        Seen::percent(seen.cpu.as_secs_f64(), seen.age().as_secs_f64()).split('.').next().unwrap_or("0").to_owned()
    }),
    (&["%mem", "pmem"], "%MEM", 4, true, |seen| Seen::percent(seen.memory_bytes as f64, MEMORY_BYTES as f64)),
    (&["vsz", "vsize"], "VSZ", 6, true, |seen| (seen.memory_bytes / 1024 * 2).to_string()),
    (&["rss", "rssize"], "RSS", 5, true, |seen| (seen.memory_bytes / 1024).to_string()),
    (&["tty", "tt", "tname"], "TTY", 8, false, |seen| if seen.info.terminal { "pts/0" } else { "?" }.into()),
    (&["stat"], "STAT", 4, false, |seen| seen.state()),
    (&["state", "s"], "S", 1, false, |seen| seen.state().chars().take(1).collect()),
    (&["f", "flag", "flags"], "F", 1, true, |seen| if seen.info.parent == 0 { "4" } else { "0" }.into()),
    (&["pri"], "PRI", 3, true, |_| "80".into()),
    (&["addr"], "ADDR", 4, false, |_| "-".into()),
    (&["sz"], "SZ", 5, true, |seen| (seen.memory_bytes / 4096 * 2).to_string()),
    (&["start", "start_time"], "START", 5, true, |seen| seen.started()),
    (&["stime"], "STIME", 5, true, |seen| seen.started()),
    (&["lstart"], "STARTED", 24, true, |seen| seen.info.started_at.strftime("%a %b %e %H:%M:%S %Y").to_string()),
    (&["etime"], "ELAPSED", 11, true, |seen| elapsed(seen.age())),
    (&["etimes"], "ELAPSED", 7, true, |seen| seen.age().as_secs().to_string()),
    (&["bsdtime"], "TIME", 6, true, |seen| minutes(seen.cpu)),
    (&["time", "cputime"], "TIME", 8, true, |seen| hours(seen.cpu)),
    (&["ni", "nice"], "NI", 3, true, |_| "0".into()),
    (&["nlwp", "thcount"], "NLWP", 4, true, |_| "1".into()),
    (&["wchan"], "WCHAN", 6, false, |_| "-".into()),
    (&["comm", "ucmd", "ucomm"], "COMMAND", 15, false, |seen| seen.info.name().to_owned()),
    (&["cmd"], "CMD", 0, false, |seen| seen.info.args.join(" ")),
    (&["args", "command"], "COMMAND", 0, false, |seen| seen.info.args.join(" ")),
];

/// Those of busybox.
const BUSYBOX: &[Column] = &[
    (&["pid"], "PID", 5, true, |seen| seen.info.pid.to_string()),
    (&["ppid"], "PPID", 5, true, |seen| seen.info.parent.to_string()),
    (&["pgid"], "PGID", 5, true, |seen| seen.info.group.to_string()),
    (&["sid"], "SID", 5, true, |seen| seen.info.group.to_string()),
    (&["user", "ruser"], "USER", 8, false, |seen| seen.user()),
    (&["group", "rgroup"], "GROUP", 8, false, |seen| seen.group()),
    (&["time"], "TIME", 5, true, |seen| minutes(seen.cpu)),
    (&["etime"], "ELAPSED", 7, true, |seen| elapsed(seen.age())),
    (&["tty"], "TT", 6, false, |seen| if seen.info.terminal { "136,0" } else { "?" }.into()),
    (&["stat"], "STAT", 4, false, |seen| seen.state()),
    (&["vsz"], "VSZ", 4, true, |seen| kib(seen.memory_bytes * 2)),
    (&["rss"], "RSS", 4, true, |seen| kib(seen.memory_bytes)),
    (&["nice"], "NI", 5, true, |_| "0".into()),
    (&["comm"], "COMMAND", 16, false, |seen| seen.info.name().to_owned()),
    (&["args"], "COMMAND", 0, false, |seen| seen.info.args.join(" ")),
];

/// `3:07`.
fn minutes(span: Duration) -> String {
    format!("{}:{:02}", span.as_secs() / 60, span.as_secs() % 60)
}

/// `00:03:07`.
fn hours(span: Duration) -> String {
    let seconds = span.as_secs();
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// `03:07`, `1-02:03:07`.
fn elapsed(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0..3600 => format!("{:02}:{:02}", seconds / 60, seconds % 60),
        3600..86400 => hours(span),
        _ => format!("{}-{}", seconds / 86400, hours(Duration::from_secs(seconds % 86400))),
    }
}

/// `812`, `44m`.
fn kib(bytes: u64) -> String {
    match bytes / 1024 {
        kib @ 0..10_000 => kib.to_string(),
        kib => format!("{}m", kib / 1024),
    }
}

/// A chosen column with its heading, which `-o name=heading` changes.
type Chosen = (&'static Column, String);

/// The columns that a list names: `pid,comm=`.
fn chosen(table: &'static [Column], list: &str) -> Result<Vec<Chosen>, String> {
    let words = list.split([',', ' ']).filter(|word| !word.is_empty());
    words
        .map(|word| {
            let (name, heading) = word.split_once('=').map_or((word, None), |(name, head)| (name, Some(head)));
            let column = table.iter().find(|(names, ..)| names.contains(&name));
            let column = column.ok_or_else(|| name.to_owned())?;
            Ok((column, heading.unwrap_or(column.1).to_owned()))
        })
        .collect()
}

/// The table of some processes.
fn table(process: &Process, columns: &[Chosen], headed: bool, fits: impl Fn(&ProcessInfo) -> bool) -> String {
    let last = columns.len().saturating_sub(1);
    let cell = |index: usize, text: String| {
        let Some(((_, _, width, right, _), heading)) = columns.get(index) else { return text };
        let width = (*width).max(heading.len());
        match right {
            true => format!("{text:>width$}"),
            false if index == last => text,
            false => format!("{text:<width$}"),
        }
    };
    let line = |cells: Vec<String>| cells.join(" ") + "\n";
    let mut out = String::new();
    if headed && columns.iter().any(|(_, heading)| !heading.is_empty()) {
        out += &line(columns.iter().enumerate().map(|(index, (_, heading))| cell(index, heading.clone())).collect());
    }
    for info in process.machine.processes().iter().filter(|info| fits(info)) {
        let (cpu, memory_bytes) = process.machine.usage(info.pid);
        let seen = Seen { of: process, info, cpu, memory_bytes };
        let cells = columns.iter().enumerate().map(|(index, (column, _))| cell(index, (column.4)(&seen)));
        out += &line(cells.collect());
    }
    out
}

/// `ps`, as the system around has it.
pub(super) async fn ps(process: Process) -> i32 {
    if is_gnu(&process) { procps(process).await } else { busybox(process).await }
}

/// busybox' `ps`: everything there is, by `-o`'s columns. Its headings stand at the left.
async fn busybox(process: Process) -> i32 {
    let mut list = String::new();
    let mut words = process.operands().iter();
    while let Some(word) = words.next() {
        match word.strip_prefix("-o") {
            Some("") => list += &format!(",{}", words.next().map_or("", String::as_str)),
            Some(rest) => list += &format!(",{rest}"),
            // It takes all else and heeds none of it.
            None => {}
        }
    }
    if list.is_empty() {
        list = "pid,user,time,args".into();
    }
    let columns = match chosen(BUSYBOX, &list) {
        Ok(columns) => columns,
        Err(name) => return process.fail(1, format_args!("bad -o argument '{name}'")).await,
    };
    let mut head = String::new();
    for (index, ((_, _, width, ..), heading)) in columns.iter().enumerate() {
        let width = if index + 1 == columns.len() { 0 } else { *width };
        head += &format!("{heading:<width$} ");
    }
    let rows = table(&process, &columns, false, |_| true);
    i32::from(!process.print(format!("{}\n{rows}", head.trim_end())).await)
}

/// What procps was asked for.
#[derive(Default)]
struct Asked {
    everything: bool,
    /// Also those without a terminal.
    without_terminal: bool,
    full: bool,
    long: bool,
    users: bool,
    bsd: bool,
    unheaded: bool,
    columns: String,
    pids: Vec<u32>,
    names: Vec<String>,
    of_user: Option<String>,
    sort: String,
}

impl Asked {
    fn read(words: &[String]) -> Result<Self, String> {
        let mut asked = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let letters = word.strip_prefix('-').unwrap_or(word);
            // `-aux` would be the processes of a user called x; procps takes it for `aux`.
            let is_aux = letters.contains('u') && letters.ends_with('x') && letters.chars().all(|c| "aux".contains(c));
            asked.bsd |= is_aux || !word.starts_with('-');
            if let Some(long) = letters.strip_prefix('-') {
                let (name, value) = long.split_once('=').unwrap_or((long, ""));
                match name {
                    "no-headers" | "no-heading" | "noheaders" => asked.unheaded = true,
                    "sort" => asked.sort = value.to_owned(),
                    "pid" => asked.pid(value)?,
                    "format" => asked.columns += &format!(",{value}"),
                    "forest" | "headers" => {}
                    _ => return Err(format!("error: unknown gnu long option\n\n{USAGE}")),
                }
                continue;
            }
            if letters.starts_with(|letter: char| letter.is_ascii_digit()) {
                asked.pid(letters)?;
                continue;
            }
            for (at, letter) in letters.char_indices() {
                let rest = letters.get(at + 1..).unwrap_or_default();
                let mut value = || match rest {
                    "" => words.next().map_or("", String::as_str).to_owned(),
                    rest => rest.to_owned(),
                };
                match letter {
                    'o' | 'O' => asked.columns += &format!(",{}", value()),
                    'p' | 'q' => {
                        let value = value();
                        asked.pid(&value)?;
                    }
                    'C' => asked.names.extend(value().split(',').map(str::to_owned)),
                    'u' | 'U' if !asked.bsd => asked.of_user = Some(value()),
                    'e' | 'A' if !asked.bsd => asked.everything = true,
                    'f' | 'F' if !asked.bsd => {
                        asked.full = true;
                        continue;
                    }
                    'l' if !asked.bsd => asked.long = true,
                    'a' if asked.bsd => asked.everything |= asked.without_terminal,
                    'x' => {
                        asked.without_terminal = true;
                        asked.everything |= letters.contains('a');
                    }
                    'u' => asked.users = true,
                    'h' => asked.unheaded = true,
                    'a' | 'd' => asked.everything = true,
                    'e' | 'f' | 'w' | 'l' | 'j' | 'T' | 'L' | 'H' | 'c' | 'r' | 'y' => {}
                    _ => return Err(format!("error: unsupported option (BSD syntax)\n\n{USAGE}")),
                }
                if matches!(letter, 'o' | 'O' | 'p' | 'q' | 'C') || matches!(letter, 'u' | 'U') && !asked.bsd {
                    break;
                }
            }
        }
        Ok(asked)
    }

    fn pid(&mut self, list: &str) -> Result<(), String> {
        for word in list.split([',', ' ']).filter(|word| !word.is_empty()) {
            self.pids.push(word.parse().map_err(|_| format!("error: process ID list syntax error\n\n{USAGE}"))?);
        }
        Ok(())
    }

    /// The columns that its letters stand for.
    fn format(&self) -> &str {
        match self {
            _ if !self.columns.is_empty() => &self.columns,
            _ if self.users => "user,pid,%cpu,%mem,vsz,rss,tty,stat,start,bsdtime,args",
            _ if self.full && self.long => "f,s,user=UID,pid,ppid,c,pri,ni,addr,sz,wchan,stime,tty,time,cmd",
            _ if self.long => "f,s,uid,pid,ppid,c,pri,ni,addr,sz,wchan,tty,time,comm=CMD",
            _ if self.full => "user=UID,pid,ppid,c,stime,tty,time,cmd",
            _ if self.bsd => "pid,tty,stat,bsdtime,args",
            _ => "pid,tty,time,comm=CMD",
        }
    }
}

const USAGE: &str = "Usage:\n ps [options]\n\n Try 'ps --help <simple|list|output|threads|misc|all>'\n  or 'ps --help <s|l|o|t|m|a>'\n for additional help text.\n\nFor more details see ps(1).";

/// procps' `ps`: those of one's own and of one's terminal, unless more are asked for.
async fn procps(process: Process) -> i32 {
    let asked = match Asked::read(process.operands()) {
        Ok(asked) => asked,
        Err(message) => {
            process.eprint(format!("{message}\n")).await;
            return 1;
        }
    };
    let columns = match chosen(PROCPS, asked.format()) {
        Ok(columns) => columns,
        Err(name) => {
            process.eprint(format!("error: unknown user-defined format specifier \"{name}\"\n\n{USAGE}\n")).await;
            return 1;
        }
    };
    let own = process.machine.processes().into_iter().find(|info| info.pid == process.pid);
    let terminal = own.is_some_and(|info| info.terminal);
    let selects = !asked.pids.is_empty() || !asked.names.is_empty() || asked.of_user.is_some();
    let fits = |info: &ProcessInfo| match () {
        () if asked.everything => true,
        () if selects => {
            asked.pids.contains(&info.pid)
                || asked.names.iter().any(|name| name == info.name())
                || asked.of_user.as_ref().is_some_and(|user| {
                    *user == info.uid.to_string() || *user == name_of(&process, "/etc/passwd", info.uid)
                })
        }
        () => info.uid == process.uid && (asked.without_terminal || info.terminal == terminal),
    };
    let found = process.machine.processes().iter().any(&fits);
    let text = table(&process, &columns, !asked.unheaded, fits);
    let text = if asked.sort.is_empty() { text } else { sorted(&text, &columns, &asked) };
    process.print(text).await;
    i32::from(!found)
}

/// The rows by a column, `-` before it for the largest first.
fn sorted(text: &str, columns: &[Chosen], asked: &Asked) -> String {
    let (name, down) = match asked.sort.strip_prefix('-') {
        Some(name) => (name, true),
        None => (asked.sort.trim_start_matches('+'), false),
    };
    let Some(at) = columns.iter().position(|((names, ..), _)| names.contains(&name)) else { return text.to_owned() };
    let mut lines: Vec<&str> = text.lines().collect();
    let head = if asked.unheaded || lines.is_empty() { 0 } else { 1 };
    let mut rows = lines.split_off(head);
    let key = |row: &&str| {
        let word = row.split_whitespace().nth(at).unwrap_or_default();
        let number: f64 = word.replace(':', "").parse().unwrap_or(0.0);
        ((number * 1000.0) as i64, word.to_owned())
    };
    machinery::sort::Order::order_by_key(rows.as_mut_slice(), key);
    if down {
        rows.reverse();
    }
    lines.extend(rows);
    lines.iter().map(|line| format!("{line}\n")).collect()
}
