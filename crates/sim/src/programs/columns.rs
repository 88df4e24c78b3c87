//! Tools that turn, join, align and compare lines: tac, rev, nl, paste, column, fold, comm, diff, cmp.

use super::options::Options;
use super::text::{inputs, lines};
use crate::process::Process;

/// The lines of an input, without their ends.
fn split(data: &[u8]) -> Vec<String> {
    lines(data).map(|line| String::from_utf8_lossy(line).trim_end_matches('\n').to_owned()).collect()
}

/// Changes all lines of all inputs.
async fn mapped(process: Process, short: &str, change: fn(&Options, Vec<String>) -> Vec<String>) -> i32 {
    let options = match Options::parse(process.operands(), short, &[]) {
        Ok(options) => options,
        Err(message) => return process.fail(1, message).await,
    };
    let (texts, code) = inputs(&process, &options.operands).await;
    for (_, data) in texts {
        let text: String = change(&options, split(&data)).iter().map(|line| format!("{line}\n")).collect();
        process.print(text).await;
    }
    code
}

pub(super) async fn tac(process: Process) -> i32 {
    mapped(process, "", |_, lines| lines.into_iter().rev().collect()).await
}

pub(super) async fn rev(process: Process) -> i32 {
    mapped(process, "", |_, lines| lines.into_iter().map(|line| line.chars().rev().collect()).collect()).await
}

pub(super) async fn nl(process: Process) -> i32 {
    mapped(process, "b:", |options, lines| {
        let mut number = 0;
        let all = options.value("b") == Some("a");
        let numbered = |line: String| {
            if line.is_empty() && !all {
                return format!("{:6} {line}", "");
            }
            number += 1;
            format!("{number:>6}\t{line}")
        };
        lines.into_iter().map(numbered).collect()
    })
    .await
}

pub(super) async fn fold(process: Process) -> i32 {
    mapped(process, "w:s", |options, lines| {
        let width = options.value("w").and_then(|width| width.parse().ok()).unwrap_or(80).max(1);
        let folded = |line: String| -> Vec<String> {
            let chars: Vec<char> = line.chars().collect();
            match chars.is_empty() {
                true => vec![String::new()],
                false => chars.chunks(width).map(|part| part.iter().collect()).collect(),
            }
        };
        lines.into_iter().flat_map(folded).collect()
    })
    .await
}

/// `column -t`: fields one below the other.
pub(super) async fn column(process: Process) -> i32 {
    mapped(process, "ts:", |options, lines| {
        if !options.has("t") {
            return lines;
        }
        let rows: Vec<Vec<String>> = lines
            .iter()
            .map(|line| match options.value("s") {
                Some(separators) => line.split(|c| separators.contains(c)).map(str::to_owned).collect(),
                None => line.split_whitespace().map(str::to_owned).collect(),
            })
            .collect();
        let count = rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |index: usize| rows.iter().filter_map(|row| row.get(index)).map(|cell| cell.chars().count()).max();
        let widths: Vec<usize> = (0..count).map(|index| width(index).unwrap_or(0)).collect();
        let aligned = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths).map(|(cell, width)| left(cell, *width));
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        rows.iter().map(aligned).collect()
    })
    .await
}

/// A cell of a table, on the left of its column. Texts may be wider than what [`format!`] fills.
pub(super) fn left(cell: &str, width: usize) -> String {
    format!("{cell}{}", " ".repeat(width.saturating_sub(cell.chars().count())))
}

/// A cell on the right of its column.
pub(super) fn right(cell: &str, width: usize) -> String {
    format!("{}{cell}", " ".repeat(width.saturating_sub(cell.chars().count())))
}

pub(super) async fn paste(process: Process) -> i32 {
    let options = match Options::parse(process.operands(), "sd:", &[]) {
        Ok(options) => options,
        Err(message) => return process.fail(1, message).await,
    };
    let (texts, code) = inputs(&process, &options.operands).await;
    let between = super::escape::unescape(options.value("d").unwrap_or("\t")).0;
    let columns: Vec<Vec<String>> = texts.iter().map(|(_, data)| split(data)).collect();
    let text: String = if options.has("s") {
        columns.iter().map(|lines| lines.join(&between) + "\n").collect()
    } else {
        let rows = columns.iter().map(Vec::len).max().unwrap_or(0);
        let cell = |column: &Vec<String>, row: usize| column.get(row).cloned().unwrap_or_default();
        let line = |row| columns.iter().map(|column| cell(column, row)).collect::<Vec<_>>().join(&between) + "\n";
        (0..rows).map(line).collect()
    };
    process.print(text).await;
    code
}

/// Two inputs; the exit code if one cannot be read.
async fn two(process: &Process, operands: &[String]) -> Result<[Vec<u8>; 2], i32> {
    let [left, right] = operands else { return Err(process.fail(2, "needs two files").await) };
    let (mut texts, code) = inputs(process, &[left.clone(), right.clone()]).await;
    match (texts.pop(), texts.pop()) {
        (Some((_, right)), Some((_, left))) => Ok([left, right]),
        _ => Err(code.max(2)),
    }
}

pub(super) async fn cmp(process: Process) -> i32 {
    let options = match Options::parse(process.operands(), "sl", &[]) {
        Ok(options) => options,
        Err(message) => return process.fail(2, message).await,
    };
    let [left, right] = match two(&process, &options.operands).await {
        Ok(both) => both,
        Err(code) => return code,
    };
    if left == right {
        return 0;
    }
    if !options.has("s") {
        let names: Vec<&str> = options.operands.iter().map(String::as_str).collect();
        let text = match left.iter().zip(&right).position(|(a, b)| a != b) {
            Some(at) => {
                let line = left.iter().take(at).filter(|byte| **byte == b'\n').count() + 1;
                format!("{} differ: char {}, line {line}\n", names.join(" "), at + 1)
            }
            None => format!("cmp: EOF on {}\n", names[usize::from(right.len() < left.len())]),
        };
        process.print(text).await;
    }
    1
}

/// A step from one list of lines to another: kept, removed or added.
#[derive(Clone, Copy, PartialEq)]
enum Step {
    Keep(usize, usize),
    Remove(usize),
    Add(usize),
}

/// How one list becomes another, by their longest common subsequence.
fn steps(left: &[String], right: &[String]) -> Vec<Step> {
    /// Beyond so many cells of the table, everything between common ends counts as changed.
    const CELLS_MAX: usize = 4_000_000;
    let head = left.iter().zip(right).take_while(|(a, b)| a == b).count();
    let tail = left[head..].iter().rev().zip(right[head..].iter().rev()).take_while(|(a, b)| a == b).count();
    let (rows, columns) = (left.len() - head - tail, right.len() - head - tail);
    let wide = columns + 1;
    let mut table = vec![0_u32; if rows * wide <= CELLS_MAX { (rows + 1) * wide } else { 0 }];
    if !table.is_empty() {
        for row in (0..rows).rev() {
            for column in (0..columns).rev() {
                table[row * wide + column] = if left[head + row] == right[head + column] {
                    table[(row + 1) * wide + column + 1] + 1
                } else {
                    table[(row + 1) * wide + column].max(table[row * wide + column + 1])
                };
            }
        }
    }
    let mut all: Vec<Step> = (0..head).map(|index| Step::Keep(index, index)).collect();
    let (mut row, mut column) = (0, 0);
    while row < rows || column < columns {
        let same = row < rows && column < columns && left[head + row] == right[head + column];
        if same && !table.is_empty() {
            all.push(Step::Keep(head + row, head + column));
            row += 1;
            column += 1;
        } else if row < rows
            && (column == columns
                || table.is_empty()
                || table[(row + 1) * wide + column] >= table[row * wide + column + 1])
        {
            all.push(Step::Remove(head + row));
            row += 1;
        } else {
            all.push(Step::Add(head + column));
            column += 1;
        }
    }
    all.extend((0..tail).rev().map(|index| Step::Keep(left.len() - 1 - index, right.len() - 1 - index)));
    all
}

/// A range of lines as diff's classic format writes it.
fn range(start: usize, count: usize) -> String {
    if count > 1 { format!("{},{}", start + 1, start + count) } else { format!("{}", start + count) }
}

/// `diff`, classic or `-u`.
pub(super) async fn diff(process: Process) -> i32 {
    let long = [("unified", "u"), ("brief", "q"), ("ignore-all-space", "w"), ("color", "C")];
    let options = match Options::parse(process.operands(), "uqwbBirNaC", &long) {
        Ok(options) => options,
        Err(message) => return process.fail(2, message).await,
    };
    let [left, right] = match two(&process, &options.operands).await {
        Ok(both) => both,
        Err(code) => return code,
    };
    let (left, right) = (split(&left), split(&right));
    let norm = |lines: &[String]| -> Vec<String> {
        let fold = |line: &String| match (options.has("w") || options.has("b"), options.has("i")) {
            (true, _) => line.split_whitespace().collect::<Vec<_>>().join(if options.has("w") { "" } else { " " }),
            (_, true) => line.to_lowercase(),
            _ => line.clone(),
        };
        lines.iter().map(fold).collect()
    };
    let steps = steps(&norm(&left), &norm(&right));
    if steps.iter().all(|step| matches!(step, Step::Keep(..))) {
        return 0;
    }
    let names = [&options.operands[0], &options.operands[1]];
    let text = if options.has("q") {
        format!("Files {} and {} differ\n", names[0], names[1])
    } else if options.has("u") {
        unified(&steps, &left, &right, names)
    } else {
        classic(&steps, &left, &right)
    };
    process.print(text).await;
    1
}

fn classic(steps: &[Step], left: &[String], right: &[String]) -> String {
    let mut out = String::new();
    let (mut at, mut rows, mut columns) = (0, 0, 0);
    while let Some(step) = steps.get(at) {
        if let Step::Keep(row, column) = step {
            (rows, columns, at) = (row + 1, column + 1, at + 1);
            continue;
        }
        let block: Vec<Step> =
            steps.iter().skip(at).take_while(|step| !matches!(step, Step::Keep(..))).copied().collect();
        at += block.len();
        let removed = block.iter().filter(|step| matches!(step, Step::Remove(_))).count();
        let added = block.len() - removed;
        let letter = match (removed, added) {
            (0, _) => 'a',
            (_, 0) => 'd',
            _ => 'c',
        };
        out.push_str(&format!("{}{letter}{}\n", range(rows, removed), range(columns, added)));
        out.extend(left.iter().skip(rows).take(removed).map(|line| format!("< {line}\n")));
        if letter == 'c' {
            out.push_str("---\n");
        }
        out.extend(right.iter().skip(columns).take(added).map(|line| format!("> {line}\n")));
        rows += removed;
        columns += added;
    }
    out
}

fn unified(steps: &[Step], left: &[String], right: &[String], names: [&String; 2]) -> String {
    const CONTEXT: usize = 3;
    let mut out = format!("--- {}\n+++ {}\n", names[0], names[1]);
    let changed: Vec<usize> =
        steps.iter().enumerate().filter(|(_, step)| !matches!(step, Step::Keep(..))).map(|(at, _)| at).collect();
    let mut hunks: Vec<(usize, usize)> = Vec::new();
    for at in changed {
        let (start, end) = (at.saturating_sub(CONTEXT), (at + CONTEXT + 1).min(steps.len()));
        match hunks.last_mut() {
            Some((_, last)) if start <= *last => *last = end,
            _ => hunks.push((start, end)),
        }
    }
    for (start, end) in hunks {
        let before = |wanted: fn(&Step) -> bool| steps.iter().take(start).filter(|step| wanted(step)).count();
        let hunk = steps.get(start..end).unwrap_or_default();
        let rows = hunk.iter().filter(|step| !matches!(step, Step::Add(_))).count();
        let columns = hunk.iter().filter(|step| !matches!(step, Step::Remove(_))).count();
        let place = |start: usize, count: usize| match count {
            1 => format!("{}", start + 1),
            0 => format!("{start},0"),
            count => format!("{},{count}", start + 1),
        };
        let (row, column) =
            (before(|step| !matches!(step, Step::Add(_))), before(|step| !matches!(step, Step::Remove(_))));
        out.push_str(&format!("@@ -{} +{} @@\n", place(row, rows), place(column, columns)));
        for step in hunk {
            out.push_str(&match step {
                Step::Keep(row, _) => format!(" {}\n", left[*row]),
                Step::Remove(row) => format!("-{}\n", left[*row]),
                Step::Add(column) => format!("+{}\n", right[*column]),
            });
        }
    }
    out
}

/// `comm`: lines only in the first, only in the second, in both.
pub(super) async fn comm(process: Process) -> i32 {
    let options = match Options::parse(process.operands(), "123", &[]) {
        Ok(options) => options,
        Err(message) => return process.fail(1, message).await,
    };
    let [left, right] = match two(&process, &options.operands).await {
        Ok(both) => both,
        Err(code) => return code,
    };
    let (left, right) = (split(&left), split(&right));
    let (mut row, mut column) = (0, 0);
    let mut out = String::new();
    loop {
        let which = match (left.get(row), right.get(column)) {
            (None, None) => break,
            (Some(_), None) => 1,
            (None, Some(_)) => 2,
            (Some(a), Some(b)) => match a.cmp(b) {
                std::cmp::Ordering::Less => 1,
                std::cmp::Ordering::Greater => 2,
                std::cmp::Ordering::Equal => 3,
            },
        };
        let line = if which == 2 { &right[column] } else { &left[row] };
        row += usize::from(which != 2);
        column += usize::from(which != 1);
        if !options.has(&which.to_string()) {
            let tabs = (1..which).filter(|earlier| !options.has(&earlier.to_string())).count();
            out.push_str(&format!("{}{line}\n", "\t".repeat(tabs)));
        }
    }
    process.print(out).await;
    0
}
