//! `grep`, and POSIX regular expressions.

use regex_lite::{Regex, RegexBuilder};

use super::options::Options;
use super::text::{inputs, lines};
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
    let (texts, errors) = inputs(&process, &operands).await;
    let mut found = false;
    for (path, data) in texts {
        let all: Vec<String> =
            lines(&data).map(|line| String::from_utf8_lossy(line).trim_end_matches('\n').to_owned()).collect();
        let hits: Vec<usize> = all
            .iter()
            .enumerate()
            .filter(|(_, line)| regexes.iter().any(|regex| regex.is_match(line)) != options.has("v"))
            .map(|(index, _)| index)
            .take(most)
            .collect();
        found |= !hits.is_empty();
        if options.has("q") {
            continue;
        }
        let name = if path == "-" { "(standard input)" } else { &path };
        if options.has("l") {
            if !hits.is_empty() {
                process.print(format!("{name}\n")).await;
            }
            continue;
        }
        let prefix = if named { format!("{name}:") } else { String::new() };
        if options.has("c") {
            process.print(format!("{prefix}{}\n", hits.len())).await;
            continue;
        }
        let mut out = String::new();
        let mut next = 0;
        for hit in &hits {
            let start = hit.saturating_sub(before).max(next);
            let end = (hit + after + 1).min(all.len());
            if (before > 0 || after > 0) && next > 0 && start > next {
                out.push_str("--\n");
            }
            for index in start..end.max(start) {
                let Some(line) = all.get(index) else { break };
                let number = if options.has("n") { format!("{}:", index + 1) } else { String::new() };
                if options.has("o") {
                    for found in regexes.iter().flat_map(|regex| regex.find_iter(line)) {
                        out.push_str(&format!("{prefix}{number}{}\n", found.as_str()));
                    }
                } else {
                    out.push_str(&format!("{prefix}{number}{line}\n"));
                }
            }
            next = end;
        }
        if !process.print(out).await {
            break;
        }
    }
    match (found, errors) {
        (_, 1..) if !options.has("q") || !found => 2,
        (true, _) => 0,
        _ => 1,
    }
}
