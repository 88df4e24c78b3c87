//! Tools for files.

use machinery::Timestamp;

use crate::errno::Errno;
use crate::fs::{self, Entry, Fs, Kind, Mounted};
use crate::process::{Machine, Process, Spawn, capabilities};

use super::listing::{human, human_gnu};
use super::options::Options;
use super::system::{is_gnu, moment};

/// Visits a path and all below it, in order.
pub(super) fn walk(fs: &Fs, absolute: &str, shown: &str, visit: &mut dyn FnMut(&str, &Entry)) {
    let Ok(entry) = fs.symlink_metadata(absolute) else { return };
    visit(shown, &entry);
    if entry.kind == Kind::Directory {
        for (name, _) in fs.list(absolute).unwrap_or_default() {
            let inner = format!("{}/{name}", absolute.trim_end_matches('/'));
            walk(fs, &inner, &format!("{}/{name}", shown.trim_end_matches('/')), visit);
        }
    }
}

/// Runs something for each operand and tells what fails.
async fn each(process: &Process, operands: &[String], what: &str, run: impl Fn(&str) -> Result<(), Errno>) -> i32 {
    let mut code = 0;
    for path in operands {
        if let Err(error) = run(&process.path(path)) {
            code = process.fail(1, format_args!("{what} '{path}': {error}")).await;
        }
    }
    code
}

macro_rules! options {
    ($process:expr, $short:expr, $long:expr) => {
        match Options::parse($process.operands(), $short, $long) {
            Ok(options) => options,
            Err(message) => return $process.fail(1, message).await,
        }
    };
}

pub(super) async fn mkdir(process: Process) -> i32 {
    let options = options!(process, "pm:v", &[("parents", "p"), ("mode", "m"), ("verbose", "v")]);
    let mode = match options.value("m").map(|mode| u32::from_str_radix(mode, 8)) {
        Some(Err(_)) => {
            return process.fail(1, format_args!("invalid mode '{}'", options.value("m").unwrap_or_default())).await;
        }
        Some(Ok(mode)) => Some(mode & 0o7777),
        None => None,
    };
    let now = process.machine.now();
    each(&process, &options.operands, "can't create directory", |path| {
        let is_there = process.fs().is_dir(path);
        match options.has("p") {
            true => process.fs().create_dir_all(path, now)?,
            false => process.fs().create_dir(path, now)?,
        }
        match mode.filter(|_| !is_there) {
            Some(mode) => process.fs().update(path, |entry| entry.mode = mode),
            None => Ok(()),
        }
    })
    .await
}

pub(super) async fn rmdir(process: Process) -> i32 {
    let options = options!(process, "p", &[]);
    each(&process, &options.operands, "cannot remove", |path| match process.fs().is_dir(path) {
        true => process.fs().remove(path),
        false => Err(if process.fs().exists(path) { Errno::NotADirectory } else { Errno::NotFound }),
    })
    .await
}

pub(super) async fn rm(process: Process) -> i32 {
    let options = options!(process, "rRfiv", &[("recursive", "r"), ("force", "f")]);
    let recursive = options.has("r") || options.has("R");
    each(&process, &options.operands, "can't remove", |path| {
        if path == "/" {
            return Err(Errno::NotPermitted);
        }
        let entry = match process.fs().symlink_metadata(path) {
            Err(_) if options.has("f") => return Ok(()),
            entry => entry?,
        };
        match entry.kind {
            Kind::Directory if !recursive => Err(Errno::IsADirectory),
            Kind::Directory => process.fs().remove_all(path),
            _ => process.fs().remove(path),
        }
    })
    .await
}

/// `touch`: now, or the time of `-d`, `-t` or of another file (`-r`).
pub(super) async fn touch(process: Process) -> i32 {
    let long = [("date", "d"), ("reference", "r"), ("no-create", "c")];
    let options = options!(process, "acmht:d:r:", &long);
    let now = process.machine.now();
    let mut time = now;
    let given = options.value("d").map(|text| (text, moment(text, now)));
    if let Some((text, given)) = given.or_else(|| options.value("t").map(|text| (text, stamped(text, now)))) {
        let what = if is_gnu(&process) { "invalid date format" } else { "invalid date" };
        let Some(given) = given else { return process.fail(1, format_args!("{what} '{text}'")).await };
        time = given;
    } else if let Some(path) = options.value("r") {
        match process.fs().metadata(&process.path(path)) {
            Ok(entry) => time = entry.modified,
            Err(error) if is_gnu(&process) => {
                return process.fail(1, format_args!("failed to get attributes of '{path}': {error}")).await;
            }
            Err(error) => return process.fail(1, format_args!("{path}: {error}")).await,
        }
    }
    each(&process, &options.operands, "cannot touch", |path| {
        if process.fs().exists(path) {
            return process.fs().update(path, |entry| entry.modified = time);
        }
        if options.has("c") { Ok(()) } else { process.fs().append(path, &[], time) }
    })
    .await
}

/// A time as `touch -t` takes it: `[[CC]YY]MMDDhhmm[.ss]`.
fn stamped(text: &str, now: Timestamp) -> Option<Timestamp> {
    let (minutes, seconds) = text.split_once('.').unwrap_or((text, "00"));
    let year = match minutes.len() {
        8 => now.strftime("%Y").to_string(),
        // POSIX: years from 69 on are of the last century.
        10 if minutes.get(..2)? < "69" => format!("20{}", minutes.get(..2)?),
        10 => format!("19{}", minutes.get(..2)?),
        12 => minutes.get(..4)?.to_owned(),
        _ => return None,
    };
    let rest = minutes.get(minutes.len() - 8..)?;
    let part = |at: usize| rest.get(at..at + 2);
    format!("{year}-{}-{}T{}:{}:{seconds}Z", part(0)?, part(2)?, part(4)?, part(6)?).parse().ok()
}

/// Where something copied or moved to `target` ends up.
fn destination(process: &Process, source: &str, target: &str) -> String {
    let target = process.path(target);
    if process.fs().is_dir(&target) { fs::absolute(&target, fs::file_name(&process.path(source))) } else { target }
}

pub(super) async fn cp(process: Process) -> i32 {
    let options = options!(process, "rRafpvdLi", &[("recursive", "r")]);
    let Some((target, sources)) = options.operands.split_last().filter(|(_, sources)| !sources.is_empty()) else {
        return process.fail(1, "missing file operand").await;
    };
    let recursive = ["r", "R", "a"].iter().any(|letter| options.has(letter));
    let mut code = 0;
    for source in sources {
        let from = process.path(source);
        let result = match process.fs().metadata(&from) {
            Ok(entry) if entry.kind == Kind::Directory && !recursive => {
                code = process.fail(1, format_args!("omitting directory '{source}'")).await;
                continue;
            }
            Ok(_) => {
                // Only `-r` copies links; otherwise what they lead to.
                let from = if recursive { Ok(from.clone()) } else { process.fs().follow(&from) };
                let to = destination(&process, source, target);
                from.and_then(|from| process.fs().copy_all(&from, &to, process.machine.now()))
            }
            Err(error) => Err(error),
        };
        if let Err(error) = result {
            let what = if process.fs().exists(&from) {
                format!("can't create '{target}'")
            } else {
                format!("can't stat '{source}'")
            };
            code = process.fail(1, format_args!("{what}: {error}")).await;
        }
    }
    code
}

pub(super) async fn mv(process: Process) -> i32 {
    let options = options!(process, "fivn", &[]);
    let Some((target, sources)) = options.operands.split_last().filter(|(_, sources)| !sources.is_empty()) else {
        return process.fail(1, "missing file operand").await;
    };
    let mut code = 0;
    for source in sources {
        let to = destination(&process, source, target);
        if let Err(error) = process.fs().rename(&process.path(source), &to, process.machine.now()) {
            code = process.fail(1, format_args!("can't rename '{source}': {error}")).await;
        }
    }
    code
}

pub(super) async fn ln(process: Process) -> i32 {
    let options = options!(process, "sfnv", &[]);
    let [target, path] = options.operands.as_slice() else {
        return process.fail(1, "missing file operand").await;
    };
    let at = destination(&process, target, path);
    let now = process.machine.now();
    if options.has("f") {
        let _ = process.fs().remove(&at);
    }
    let result = if options.has("s") {
        process.fs().symlink(target, &at, now)
    } else {
        process.fs().copy_all(&process.path(target), &at, now)
    };
    match result {
        Ok(()) => 0,
        Err(error) => process.fail(1, format_args!("{path}: {error}")).await,
    }
}

pub(super) async fn chmod(process: Process) -> i32 {
    let options = options!(process, "Rv", &[]);
    let Some((mode, paths)) = options.operands.split_first() else {
        return process.fail(1, "missing operand").await;
    };
    if change_mode(0, mode).is_none() {
        return process.fail(1, format_args!("invalid mode '{mode}'")).await;
    }
    each(&process, paths, "", |path| {
        process.fs().update(path, |entry| entry.mode = change_mode(entry.mode, mode).unwrap_or(entry.mode))
    })
    .await
}

/// A mode such as `755`, `+x` or `u+rw,go-w`, applied to another.
fn change_mode(mut old: u32, text: &str) -> Option<u32> {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777);
    }
    for clause in text.split(',') {
        let operator = clause.find(['+', '-', '='])?;
        let (who, rest) = clause.split_at(operator);
        let bits = rest.get(1..)?.chars().try_fold(0, |bits, c| {
            Some(
                bits | match c {
                    'r' => 0o444,
                    'w' => 0o222,
                    'x' | 'X' => 0o111,
                    's' => 0o6000,
                    't' => 0o1000,
                    _ => return None,
                },
            )
        })?;
        let mask = if who.is_empty() || who.contains('a') {
            0o7777
        } else {
            who.chars().try_fold(0, |mask, c| {
                Some(
                    mask | match c {
                        'u' => 0o4700,
                        'g' => 0o2070,
                        'o' => 0o1007,
                        _ => return None,
                    },
                )
            })?
        };
        old = match rest.chars().next()? {
            '+' => old | (bits & mask),
            '-' => old & !(bits & mask),
            _ => (old & !mask) | (bits & mask),
        };
    }
    Some(old)
}

pub(super) async fn chown(process: Process) -> i32 {
    let options = options!(process, "Rv", &[]);
    let Some((owner, paths)) = options.operands.split_first() else {
        return process.fail(1, "missing operand").await;
    };
    if process.uid == 0 && process.machine.capabilities() & capabilities::named("CHOWN") == 0 {
        return process
            .fail(1, format_args!("{}: Operation not permitted", paths.first().map_or("", String::as_str)))
            .await;
    }
    let (user, group) = owner.split_once(':').unwrap_or((owner, ""));
    let uid = super::system::id_of(&process, "/etc/passwd", user);
    let gid = super::system::id_of(&process, "/etc/group", group);
    if uid.is_none() && !user.is_empty() {
        return process.fail(1, format_args!("unknown user {user}")).await;
    }
    each(&process, paths, "", |path| {
        process.fs().update(path, |entry| {
            entry.uid = uid.unwrap_or(entry.uid);
            entry.gid = gid.unwrap_or(entry.gid);
        })
    })
    .await
}

/// A condition of `find` on a path and what is there.
type Check = Box<dyn Fn(&str, &Entry) -> bool>;

pub(super) async fn find(process: Process) -> i32 {
    let words = process.operands();
    let tests = words.iter().position(|word| word.starts_with('-') || word == "!").unwrap_or(words.len());
    let (roots, tests) = words.split_at(tests);
    let mut checks: Vec<Check> = Vec::new();
    let mut deepest = usize::MAX;
    let mut rest = tests.iter();
    while let Some(test) = rest.next() {
        let value = |rest: &mut std::slice::Iter<'_, String>| rest.next().cloned().unwrap_or_default();
        match test.as_str() {
            "-name" | "-iname" | "-path" => {
                let (pattern, whole, fold) = (value(&mut rest), test == "-path", test == "-iname");
                checks.push(Box::new(move |path, _| {
                    let text = if whole { path } else { fs::file_name(path) };
                    match fold {
                        true => crate::shell::pattern::matches_text(&pattern.to_lowercase(), &text.to_lowercase()),
                        false => crate::shell::pattern::matches_text(&pattern, text),
                    }
                }));
            }
            "-type" => {
                let kind = value(&mut rest);
                checks.push(Box::new(move |_, entry| match kind.as_str() {
                    "d" => entry.kind == Kind::Directory,
                    "l" => matches!(entry.kind, Kind::Symlink(_)),
                    _ => matches!(entry.kind, Kind::File(_) | Kind::Program(_)),
                }));
            }
            "-maxdepth" => {
                deepest = value(&mut rest).parse().unwrap_or(usize::MAX);
            }
            "-print" => {}
            other => return process.fail(1, format_args!("unrecognized: {other}")).await,
        }
    }
    let here = [".".to_owned()];
    let mut code = 0;
    let mut out = String::new();
    for root in if roots.is_empty() { &here } else { roots } {
        let absolute = process.path(root);
        if process.fs().symlink_metadata(&absolute).is_err() {
            code = process.fail(1, format_args!("{root}: No such file or directory")).await;
        }
        let depth = |path: &str| path.trim_end_matches('/').matches('/').count();
        walk(process.fs(), &absolute, root, &mut |path, entry| {
            let near = depth(path).saturating_sub(depth(root)) <= deepest;
            if near && checks.iter().all(|check| check(path, entry)) {
                out.push_str(&format!("{path}\n"));
            }
        });
    }
    process.print(out).await;
    code
}

pub(super) async fn readlink(process: Process) -> i32 {
    let options = options!(process, "fn", &[]);
    let Some(path) = options.operands.first() else { return process.fail(1, "missing operand").await };
    let absolute = process.path(path);
    let shown = if options.has("f") || process.name() == "realpath" {
        process.fs().follow(&absolute).ok()
    } else {
        process.fs().symlink_metadata(&absolute).ok().and_then(|entry| match entry.kind {
            Kind::Symlink(target) => Some(target),
            _ => None,
        })
    };
    match shown {
        Some(text) => i32::from(!process.print(format!("{text}\n")).await),
        None => 1,
    }
}

pub(super) async fn basename(process: Process) -> i32 {
    let Some(path) = process.operands().first() else { return process.fail(1, "missing operand").await };
    let name = if process.name() == "dirname" {
        match path.trim_end_matches('/').rsplit_once('/') {
            Some(("", _)) => "/".to_owned(),
            Some((folder, _)) => folder.to_owned(),
            None => ".".to_owned(),
        }
    } else {
        let name = fs::file_name(path);
        let suffix = process.operands().get(1).map_or("", String::as_str);
        name.strip_suffix(suffix).filter(|rest| !rest.is_empty()).unwrap_or(name).to_owned()
    };
    i32::from(!process.print(format!("{name}\n")).await)
}

pub(super) async fn mktemp(process: Process) -> i32 {
    let folder = process.operands().iter().any(|word| word == "-d");
    let path = format!("/tmp/tmp.{:06x}", process.machine.random() & 0xff_ffff);
    let now = process.machine.now();
    let made = if folder { process.fs().create_dir(&path, now) } else { process.fs().write(&path, "", now) };
    match made {
        Ok(()) => i32::from(!process.print(format!("{path}\n")).await),
        Err(error) => process.fail(1, error).await,
    }
}

/// Bytes of a node's disk, and what is taken of it.
const DISK_KIB: (u64, u64) = (61_202_244, 9_180_336);
/// A tmpfs may have half of the memory.
const TMPFS_KIB: u64 = 4 << 20;

/// How wide busybox' columns of `df` are.
const BUSYBOX_DF: [usize; 6] = [20, 10, 9, 9, 9, 4];

/// `df [-h|-k|-m|-T|-P] [PATH…]`: the file systems that the paths are on, or all.
pub(super) async fn df(process: Process) -> i32 {
    let options = match Options::parse(process.operands(), "hkmTPa", &[("human-readable", "h")]) {
        Ok(options) => options,
        Err(message) => return process.fail(1, message).await,
    };
    let mut mounts = process.fs().mounts();
    let mut code = 0;
    if !options.operands.is_empty() {
        let mut wanted = Vec::new();
        for path in &options.operands {
            match process.fs().follow(&process.path(path)).and_then(|at| process.fs().metadata(&at).map(|_| at)) {
                Ok(at) => {
                    let holds = |mounted: &&Mounted| {
                        mounted.path == "/"
                            || at
                                .strip_prefix(&mounted.path)
                                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                    };
                    let found = mounts.iter().filter(holds).max_by_key(|mounted| mounted.path.len());
                    wanted.extend(found.map(|mounted| mounted.path.clone()));
                }
                Err(error) => code = process.fail(1, format_args!("{path}: {error}")).await,
            }
        }
        mounts.retain(|mounted| wanted.contains(&mounted.path));
    }
    let gnu = is_gnu(&process);
    let size = |kib: u64| match () {
        () if options.has("h") && gnu => human_gnu(kib << 10),
        () if options.has("h") => human(kib << 10),
        () if options.has("m") => (kib >> 10).to_string(),
        () => kib.to_string(),
    };
    let head = match () {
        () if options.has("h") => "Size",
        () if options.has("m") => "1M-blocks",
        () if options.has("P") => "1024-blocks",
        () => "1K-blocks",
    };
    let left = if gnu && options.has("h") { "Avail" } else { "Available" };
    let mut rows = vec![["Filesystem", "Type", head, "Used", left, "Use%", "Mounted on"].map(str::to_owned)];
    for Mounted { path, device, .. } in mounts {
        let (total, taken) = if device != fs::DISK { (TMPFS_KIB, 12) } else { DISK_KIB };
        let share = format!("{}%", (taken * 100).div_ceil(total));
        let kind = if device == fs::DISK { "ext4" } else { device };
        let [total, taken, left] = [total, taken, total - taken].map(size);
        rows.push([device.to_owned(), kind.to_owned(), total, taken, left, share, path]);
    }
    // GNU's columns are as wide as what is in them, busybox' always the same.
    let widest = |at: usize, least: usize| {
        let cells = rows.iter().filter_map(|row| row.get(at));
        if gnu {
            cells.map(String::len).max().unwrap_or(0).max(least)
        } else {
            BUSYBOX_DF.get(at).copied().unwrap_or(0)
        }
    };
    let least = if options.has("h") { 5 } else { 0 };
    let [device, kind, total, taken, left, share] =
        [widest(0, 14), widest(1, 4), widest(2, least), widest(3, 5), widest(4, 5), widest(5, 4)];
    let mut out = String::new();
    for [name, of, size, used, free, percent, path] in &rows {
        let of = if options.has("T") { format!(" {of:<kind$}") } else { String::new() };
        out += &format!("{name:<device$}{of} {size:>total$} {used:>taken$} {free:>left$} {percent:>share$} {path}\n");
    }
    if process.print(out).await { code } else { 1 }
}

pub(super) async fn mount(process: Process) -> i32 {
    let line = |Mounted { path, read_only, device }: Mounted| {
        let kind = if device == fs::DISK { "ext4" } else { device };
        format!("{device} on {path} type {kind} ({},relatime)\n", if read_only { "ro" } else { "rw" })
    };
    let text: String = process.fs().mounts().into_iter().map(line).collect();
    i32::from(!process.print(text).await)
}

/// `chroot FOLDER [COMMAND…]`.
pub(super) async fn chroot(process: Process) -> i32 {
    /// What runs there ends with whoever started it.
    struct Ends(Machine);
    impl Drop for Ends {
        fn drop(&mut self) {
            self.0.kill_all();
        }
    }
    let Some((folder, command)) = process.operands().split_first() else {
        return process.fail(1, "missing operand").await;
    };
    if process.uid != 0 {
        return process
            .fail(1, format_args!("can't change root directory to '{folder}': Operation not permitted"))
            .await;
    }
    let inner = match process.machine.chrooted(&process.path(folder)) {
        Ok(inner) => Ends(inner),
        Err(error) => return process.fail(1, format_args!("can't change root directory to '{folder}': {error}")).await,
    };
    let shell = || {
        let shell = if inner.0.fs().exists("/bin/bash") { "/bin/bash" } else { "/bin/sh" };
        vec![shell.to_owned(), "-i".to_owned()]
    };
    let command = if command.is_empty() { shell() } else { command.to_vec() };
    let found = match inner.0.find(&command, &process.env, "/") {
        Ok(found) => found,
        Err(error) => {
            let name = command.first().map_or("", String::as_str);
            return process.fail(127, format_args!("can't execute '{name}': {error}")).await;
        }
    };
    let group = process.machine.processes().into_iter().find(|info| info.pid == process.pid).map(|info| info.group);
    let child = inner.0.spawn(Spawn {
        program: found.program,
        args: found.args,
        env: process.env.clone(),
        cwd: "/".into(),
        uid: process.uid,
        gid: process.gid,
        fds: process.fds.clone(),
        parent: process.pid,
        group,
    });
    child.wait().await
}
