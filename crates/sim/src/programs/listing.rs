//! `ls`.

use std::time::Duration;

use machinery::Timestamp;

use super::options::Options;
use super::system::{is_gnu, name_of};
use crate::fs::{Entry, Kind};
use crate::process::Process;
use crate::readline::columns_of;
use machinery::sort::Order;

pub(super) async fn ls(process: Process) -> i32 {
    let options = match Options::parse(
        process.operands(),
        "laA1hRdtrFipSLnU",
        &[("all", "a"), ("color", "U"), ("human-readable", "h")],
    ) {
        Ok(options) => options,
        Err(message) => return process.fail(1, message).await,
    };
    let here = vec![".".to_owned()];
    let operands = if options.operands.is_empty() { here } else { options.operands.clone() };
    let mut code = 0;
    let (mut files, mut folders) = (Vec::new(), Vec::new());
    for path in operands {
        let absolute = process.path(&path);
        match process.fs().metadata(&absolute).or_else(|_| process.fs().symlink_metadata(&absolute)) {
            // A link to a folder is itself what is listed, where its own attributes are.
            Ok(entry)
                if entry.kind == Kind::Directory
                    && !options.has("d")
                    && (!options.has("l") || path.ends_with('/') || !is_link(&process, &absolute)) =>
            {
                folders.push(path);
            }
            Ok(_) => {
                let entry = if options.has("L") {
                    process.fs().metadata(&absolute)
                } else {
                    process.fs().symlink_metadata(&absolute)
                };
                files.extend(entry.ok().map(|entry| (path, entry)));
            }
            Err(error) => code = process.fail(1, format_args!("{path}: {error}")).await,
        }
    }
    let headed = folders.len() + usize::from(!files.is_empty()) + usize::from(code != 0) > 1 || options.has("R");
    if !files.is_empty() {
        process.print(listing(&process, &options, files)).await;
    }
    let mut queue: std::collections::VecDeque<String> = folders.into();
    while let Some(folder) = queue.pop_front() {
        let mut entries = match process.fs().list(&process.path(&folder)) {
            Ok(entries) => entries,
            Err(error) => {
                code = process.fail(1, format_args!("can't open '{folder}': {error}")).await;
                continue;
            }
        };
        if options.has("L") {
            for (name, entry) in &mut entries {
                let path = process.path(&format!("{folder}/{name}"));
                *entry = process.fs().metadata(&path).unwrap_or_else(|_| entry.clone());
            }
        }
        entries.retain(|(name, _)| options.has("a") || options.has("A") || !name.starts_with('.'));
        if options.has("R") {
            let inner = entries.iter().filter(|(_, entry)| entry.kind == Kind::Directory);
            queue.extend(inner.map(|(name, _)| format!("{}/{name}", folder.trim_end_matches('/'))));
        }
        if options.has("a") {
            for name in ["..", "."] {
                let entry = process.fs().metadata(&process.path(&format!("{folder}/{name}")));
                entries.splice(0..0, entry.ok().map(|entry| (name.to_owned(), entry)));
            }
        }
        if headed {
            process.print(format!("{folder}:\n")).await;
        }
        if options.has("l") {
            process.print(format!("total {}\n", entries.len() * 4)).await;
        }
        process.print(listing(&process, &options, entries)).await;
        if headed && !queue.is_empty() {
            process.print("\n").await;
        }
    }
    code
}

fn is_link(process: &Process, path: &str) -> bool {
    process.fs().symlink_metadata(path).is_ok_and(|entry| matches!(entry.kind, Kind::Symlink(_)))
}

fn listing(process: &Process, options: &Options, mut entries: Vec<(String, Entry)>) -> String {
    if options.has("t") {
        entries.order_by_key(|(_, entry)| std::cmp::Reverse(entry.modified));
    }
    if options.has("S") {
        entries.order_by_key(|(_, entry)| std::cmp::Reverse(entry.size()));
    }
    if options.has("r") {
        entries.reverse();
    }
    let decorated = |name: &str, entry: &Entry| match (&entry.kind, options.has("F") || options.has("p")) {
        (Kind::Directory, true) => format!("{name}/"),
        _ => name.to_owned(),
    };
    if options.has("l") {
        let gnu = is_gnu(process);
        let short = if gnu { human_gnu } else { human };
        let size = |entry: &Entry| if options.has("h") { short(entry.size() as u64) } else { entry.size().to_string() };
        let name = |file: &str, id: u32| if options.has("n") { id.to_string() } else { name_of(process, file, id) };
        let user = |uid: u32| name("/etc/passwd", uid);
        let group = |gid: u32| name("/etc/group", gid);
        let wide = |values: Vec<String>| values.iter().map(String::len).max().unwrap_or(0);
        // GNU's columns are as wide as what is in them, busybox' always the same.
        let (links_width, user_width, group_width, size_width) = match gnu {
            true => (
                1,
                wide(entries.iter().map(|(_, entry)| user(entry.uid)).collect()),
                wide(entries.iter().map(|(_, entry)| group(entry.gid)).collect()),
                wide(entries.iter().map(|(_, entry)| size(entry)).collect()),
            ),
            false => (4, 8, 8, 9),
        };
        let now = process.machine.now();
        let time = |at: Timestamp| {
            let recent = machinery::time::since(at, now) < RECENT;
            at.strftime(if recent { "%b %e %H:%M" } else { "%b %e  %Y" }).to_string()
        };
        let row = |(name, entry): &(String, Entry)| {
            let target = match &entry.kind {
                Kind::Symlink(target) => format!(" -> {target}"),
                _ => String::new(),
            };
            format!(
                "{} {:>links_width$} {:<user_width$} {:<group_width$} {:>size_width$} {} {}{target}\n",
                entry.mode_text(),
                if entry.kind == Kind::Directory { 2 } else { 1 },
                user(entry.uid),
                group(entry.gid),
                size(entry),
                time(entry.modified),
                decorated(name, entry),
            )
        };
        return entries.iter().map(row).collect();
    }
    let names: Vec<String> = entries.iter().map(|(name, entry)| decorated(name, entry)).collect();
    let stdout = process.stdout();
    match stdout.tty().filter(|_| !options.has("1")) {
        Some(tty) => columns_of(&names, usize::from(tty.size().0)).replace("\r\n", "\n"),
        None => names.iter().map(|name| format!("{name}\n")).collect(),
    }
}

/// What is older is listed with its year in place of the time of day: half a year.
const RECENT: Duration = Duration::from_secs(15_778_476);

/// A size with a unit as GNU's tools write it, rounded up: `1.2K`, `13K`.
pub(super) fn human_gnu(bytes: u64) -> String {
    const UNITS: [char; 5] = ['K', 'M', 'G', 'T', 'P'];
    if bytes < 1024 {
        return bytes.to_string();
    }
    let mut value = bytes as f64;
    let mut unit = ' ';
    for next in UNITS {
        value /= 1024.0;
        unit = next;
        if value.ceil() < 1024.0 {
            break;
        }
    }
    let tenths = (value * 10.0).ceil() / 10.0;
    if tenths < 10.0 { format!("{tenths:.1}{unit}") } else { format!("{:.0}{unit}", value.ceil()) }
}

/// A size with a unit: `1.2K`.
pub(super) fn human(bytes: u64) -> String {
    const UNITS: [char; 4] = ['K', 'M', 'G', 'T'];
    if bytes < 1024 {
        return bytes.to_string();
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = UNITS[0];
    for next in &UNITS[1..] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = *next;
    }
    format!("{value:.1}{unit}")
}
