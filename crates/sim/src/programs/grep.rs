//! `grep`, and POSIX regular expressions.

use std::collections::VecDeque;

use regex_lite::{Regex, RegexBuilder};

use super::options::Options;
use super::text::Lines;
use crate::process::Process;

/// A POSIX basic regular expression as an extended one.
fn extended(basic: &str) -> String {
    let mut out = String::new();
    let mut chars = basic.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(c @ ('(' | ')' | '{' | '}' | '|' | '+' | '?')) => out.push(c),
                Some(c) => {
                    out.push('\\');
                    out.push(c);
                }
                None => out.push_str("\\\\"),
            },
            '(' | ')' | '{' | '}' | '|' | '+' | '?' => {
                out.push('\\');
                out.push(c);
            }
            '*' if out.is_empty() => out.push_str("\\*"),
            c => out.push(c),
        }
    }
    out
}

pub(super) fn regex(pattern: &str, is_extended: bool, ignore_case: bool) -> Result<Regex, String> {
    let pattern = if is_extended { pattern.to_owned() } else { extended(pattern) };
    RegexBuilder::new(&pattern)
        .case_insensitive(ignore_case)
        .multi_line(false)
        .build()
        .map_err(|_| format!("bad regex '{pattern}'"))
}

pub(super) async fn grep(process: Process) -> i32 {
    let long = [("ignore-case", "i"), ("invert-match", "v"), ("count", "c"), ("quiet", "q"), ("color", "C")];
    let options = match Options::parse(process.operands(), "iEFvncqrRolwxhHse:A:B:C:m:", &long) {
        Ok(options) => options,
        Err(message) => return process.fail(2, message).await,
    };
    let mut operands = options.operands.clone();
    let mut patterns: Vec<String> = options.values("e").to_vec();
    if patterns.is_empty() {
        if operands.is_empty() {
            process
                .eprint("Usage: grep [-HhnlLoqvsrRiwFE] [-m N] [-A|B|C N] { PATTERN | -e PATTERN... } [FILE]...\n")
                .await;
            return 2;
        }
        patterns.push(operands.remove(0));
    }
    let is_extended = options.has("E") || process.name() == "egrep";
    let mut regexes = Vec::new();
    for pattern in patterns.iter().flat_map(|pattern| pattern.split('\n')) {
        let text = if options.has("F") { regex_lite::escape(pattern) } else { pattern.to_owned() };
        let text = match (options.has("x"), options.has("w"), is_extended || options.has("F")) {
            (false, false, _) => text,
            (whole, _, is_extended) => {
                let inner = if is_extended { text } else { extended(&text) };
                if whole { format!("^(?:{inner})$") } else { format!("\\b(?:{inner})\\b") }
            }
        };
        let wrapped = options.has("x") || options.has("w");
        match regex(&text, is_extended || options.has("F") || wrapped, options.has("i")) {
            Ok(regex) => regexes.push(regex),
            Err(message) => return process.fail(2, message).await,
        }
    }
    if options.has("r") || options.has("R") {
        let mut files = Vec::new();
        let roots = if operands.is_empty() { vec![".".to_owned()] } else { operands };
        for root in roots {
            super::files::walk(process.fs(), &process.path(&root), &root, &mut |path, entry| {
                if matches!(entry.kind, crate::fs::Kind::File(_)) {
                    files.push(path.to_owned());
                }
            });
        }
        operands = files;
        if operands.is_empty() {
            return 1;
        }
    }
    let named = (operands.len() > 1 || options.has("r") || options.has("R") || options.has("H")) && !options.has("h");
    let context = |letter: &str| -> usize {
        options.value(letter).or(options.value("C")).and_then(|count| count.parse().ok()).unwrap_or(0)
    };
    let (before, after) = (context("B"), context("A"));
    let most = options.value("m").and_then(|most| most.parse().ok()).unwrap_or(usize::MAX);
    let standard = ["-".to_owned()];
    let mut errors = 0;
    let mut found = false;
    'files: for path in if operands.is_empty() { &standard[..] } else { &operands } {
        let fd = match process.open(path) {
            Ok(fd) => fd,
            Err(error) => {
                errors = process.fail(2, format_args!("{path}: {error}")).await;
                continue;
            }
        };
        let name = if path == "-" { "(standard input)" } else { path };
        let mut hits = 0;
        // Lines before a hit that may yet be shown, how many after one are still to be, and the last shown.
        let (mut earlier, mut later, mut shown) = (VecDeque::<(usize, String)>::new(), 0_usize, 0);
        let mut input = Lines::new(fd);
        let mut number = 0;
        // What is at hand is told before more is waited for, so that `kubectl logs -f | grep` shows it as it comes.
        while hits < most || later > 0 {
            let Some(part) = input.part().await else { break };
            let mut out = String::new();
            for line in part {
                number += 1;
                let hit = hits < most && regexes.iter().any(|regex| regex.is_match(&line)) != options.has("v");
                let shown_as = |number: usize, line: &str, mark: char| {
                    let prefix = if named { format!("{name}{mark}") } else { String::new() };
                    let count = if options.has("n") { format!("{number}{mark}") } else { String::new() };
                    match (options.has("o"), mark) {
                        (false, _) => format!("{prefix}{count}{line}\n"),
                        (true, ':') => regexes
                            .iter()
                            .flat_map(|regex| regex.find_iter(line))
                            .map(|found| format!("{prefix}{count}{}\n", found.as_str()))
                            .collect(),
                        (true, _) => String::new(),
                    }
                };
                if hit {
                    found = true;
                    hits += 1;
                    if options.has("q") {
                        return 0;
                    }
                    if options.has("l") {
                        process.print(format!("{name}\n")).await;
                        continue 'files;
                    }
                    if options.has("c") {
                        continue;
                    }
                    let first = earlier.front().map_or(number, |(number, _)| *number);
                    if (before > 0 || after > 0) && shown > 0 && first > shown + 1 {
                        out.push_str("--\n");
                    }
                    for (number, line) in earlier.drain(..) {
                        out.push_str(&shown_as(number, &line, '-'));
                    }
                    out.push_str(&shown_as(number, &line, ':'));
                    (later, shown) = (after, number);
                } else if later > 0 {
                    later -= 1;
                    out.push_str(&shown_as(number, &line, '-'));
                    shown = number;
                } else if before > 0 {
                    earlier.push_back((number, line));
                    if earlier.len() > before {
                        earlier.pop_front();
                    }
                }
                if hits >= most && later == 0 {
                    break;
                }
            }
            if !out.is_empty() && !process.print(out).await {
                break 'files;
            }
        }
        if options.has("c") {
            let prefix = if named { format!("{name}:") } else { String::new() };
            process.print(format!("{prefix}{hits}\n")).await;
        }
    }
    match (found, errors) {
        (_, 1..) if !options.has("q") || !found => 2,
        (true, _) => 0,
        _ => 1,
    }
}
