//! Tools that read and write text.

use std::time::Duration;

use base64::Engine;

use super::options::Options;
use crate::errno::Errno;
use crate::io::{Fd, PIPE_BYTES_MAX};
use crate::process::Process;

/// Reads all operands, or standard input; what cannot be read is told. Texts and the exit code.
pub(super) async fn inputs(process: &Process, operands: &[String]) -> (Vec<(String, Vec<u8>)>, i32) {
    let standard = ["-".to_owned()];
    let mut code = 0;
    let mut texts = Vec::new();
    for path in if operands.is_empty() { &standard } else { operands } {
        let data = match process.open(path) {
            Ok(fd) => read_all(process, &fd).await,
            Err(error) => Err(error),
        };
        match data {
            Ok(data) => texts.push((path.clone(), data)),
            Err(error) => code = process.fail(1, format_args!("{path}: {error}")).await,
        }
    }
    (texts, code)
}

/// Reads to the end, holding what is read in memory as the originals do: what has no end (`/dev/zero`)
/// exhausts it.
async fn read_all(process: &Process, fd: &Fd) -> Result<Vec<u8>, Errno> {
    /// Beyond this, nothing real is held any more.
    const BYTES_MAX: usize = 64 << 20;
    let mut data = Vec::new();
    loop {
        let part = fd.read(PIPE_BYTES_MAX).await?;
        if part.is_empty() {
            return Ok(data);
        }
        data.extend_from_slice(&part);
        if data.len() > BYTES_MAX {
            drop(data);
            process.machine.set_memory(process.pid, u64::MAX / 2);
            process.sleep(Duration::from_secs(1)).await;
            process.machine.set_memory(process.pid, 0);
            return Err(Errno::NoMemory);
        }
    }
}

/// The lines of a text, each with its end.
pub(super) fn lines(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    data.split_inclusive(|byte| *byte == b'\n')
}

/// Whole lines of all operands, or of standard input, as they come; what cannot be read is told.
pub(super) struct Texts<'a> {
    process: &'a Process,
    paths: std::collections::VecDeque<String>,
    fd: Option<Fd>,
    begun: Vec<u8>,
    /// The exit code that what could not be read makes.
    pub(super) code: i32,
}

impl<'a> Texts<'a> {
    pub(super) fn new(process: &'a Process, operands: &[String]) -> Self {
        let mut paths: std::collections::VecDeque<String> = operands.iter().cloned().collect();
        if paths.is_empty() {
            paths.push_back("-".into());
        }
        Self { process, paths, fd: None, begun: Vec::new(), code: 0 }
    }

    /// The lines that are complete after the next read, with their ends: the last one may have none. Nothing at the
    /// end.
    pub(super) async fn part(&mut self) -> Option<Vec<u8>> {
        loop {
            let Some(fd) = &self.fd else {
                let Some(path) = self.paths.pop_front() else {
                    let rest = std::mem::take(&mut self.begun);
                    return (!rest.is_empty()).then_some(rest);
                };
                match self.process.open(&path) {
                    Ok(fd) => self.fd = Some(fd),
                    Err(error) => self.code = self.process.fail(1, format_args!("{path}: {error}")).await,
                }
                continue;
            };
            let part = fd.read(PIPE_BYTES_MAX).await.unwrap_or_default();
            if part.is_empty() {
                self.fd = None;
                continue;
            }
            let end = part.iter().rposition(|byte| *byte == b'\n');
            let before = self.begun.len();
            self.begun.extend_from_slice(&part);
            if let Some(end) = end {
                let rest = self.begun.split_off(before + end + 1);
                return Some(std::mem::replace(&mut self.begun, rest));
            }
        }
    }
}

/// The lines of what is read, without their ends, as they come.
pub(super) struct Lines {
    fd: Fd,
    begun: Vec<u8>,
    ended: bool,
}

impl Lines {
    pub(super) fn new(fd: Fd) -> Self {
        Self { fd, begun: Vec::new(), ended: false }
    }

    /// The lines that are complete after the next read, maybe none; nothing at the end.
    pub(super) async fn part(&mut self) -> Option<Vec<String>> {
        if self.ended {
            return None;
        }
        let part = self.fd.read(PIPE_BYTES_MAX).await.unwrap_or_default();
        self.ended = part.is_empty();
        self.begun.extend_from_slice(&part);
        let whole = match self.ended {
            true => self.begun.len(),
            false => self.begun.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1),
        };
        let text: Vec<u8> = self.begun.drain(..whole).collect();
        let line = |line: &[u8]| String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(line)).into_owned();
        Some(lines(&text).map(line).collect())
    }
}

pub(super) async fn cat(process: Process) -> i32 {
    let options = match Options::parse(process.operands(), "unvte", &[]) {
        Ok(options) => options,
        Err(message) => return process.fail(1, message).await,
    };
    let standard = vec!["-".to_owned()];
    let operands = if options.operands.is_empty() { standard } else { options.operands.clone() };
    let mut code = 0;
    let mut number = 0;
    for path in operands {
        let fd = match process.open(&path) {
            Ok(fd) => fd,
            Err(error) => {
                let what = if error == Errno::NotFound {
                    format!("can't open '{path}': {error}")
                } else {
                    format!("{path}: {error}")
                };
                code = process.fail(1, what).await;
                continue;
            }
        };
        loop {
            // What has no end must not hold the time still.
            process.sleep(Duration::from_nanos(100)).await;
            let part = match fd.read(PIPE_BYTES_MAX).await {
                Ok(part) if part.is_empty() => break,
                Ok(part) => part,
                Err(error) => {
                    code = process.fail(1, format_args!("read error: {error}")).await;
                    break;
                }
            };
            let shown = if options.has("n") {
                let mut shown = Vec::new();
                for line in lines(&part) {
                    number += 1;
                    shown.extend_from_slice(format!("{number:>6}\t").as_bytes());
                    shown.extend_from_slice(line);
                }
                shown
            } else {
                part.to_vec()
            };
            if !process.print(shown).await {
                return 1;
            }
        }
    }
    code
}

/// `-n 5`, `-5`, `-c 5`: how much of a text.
fn amount(process: &Process, short: &str) -> Result<(Options, String), String> {
    let arguments: Vec<String> = process
        .operands()
        .iter()
        .map(|word| {
            let digits = word.strip_prefix('-').filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
            digits.map_or_else(|| word.clone(), |digits| format!("-n{digits}"))
        })
        .collect();
    let options = Options::parse(&arguments, short, &[("lines", "n"), ("bytes", "c"), ("follow", "f")])?;
    let count = options.value("n").or(options.value("c")).unwrap_or("10").to_owned();
    if count.trim_start_matches(['-', '+']).parse::<usize>().is_err() {
        return Err(format!("invalid number '{count}'"));
    }
    Ok((options, count))
}

pub(super) async fn head(process: Process) -> i32 {
    let (options, count) = match amount(&process, "n:c:qv") {
        Ok(parsed) => parsed,
        Err(message) => return process.fail(1, message).await,
    };
    let number: usize = count.trim_start_matches('-').parse().unwrap_or(0);
    let from_end = count.starts_with('-');
    let several = options.operands.len() > 1 && !options.has("q");
    if !from_end && !several {
        let path = options.operands.first().map_or("-", String::as_str);
        let input = match process.open(path) {
            Ok(input) => input,
            Err(error) => return process.fail(1, format_args!("{path}: {error}")).await,
        };
        return head_stream(&process, &input, number, options.has("c")).await;
    }
    let (texts, code) = inputs(&process, &options.operands).await;
    for (index, (path, data)) in texts.iter().enumerate() {
        if several {
            process.print(format!("{}==> {path} <==\n", if index > 0 { "\n" } else { "" })).await;
        }
        let shown: Vec<u8> = if options.has("c") {
            data.iter().copied().take(number).collect()
        } else {
            let all: Vec<&[u8]> = lines(data).collect();
            let count = if from_end { all.len().saturating_sub(number) } else { number };
            all.iter().take(count).copied().flatten().copied().collect()
        };
        process.print(shown).await;
    }
    code
}

/// The first lines of what comes, ending as soon as they are there.
async fn head_stream(process: &Process, input: &Fd, mut count: usize, bytes: bool) -> i32 {
    while count > 0 {
        let most = if bytes { count.min(PIPE_BYTES_MAX) } else { PIPE_BYTES_MAX };
        let part = input.read(most).await.unwrap_or_default();
        if part.is_empty() {
            break;
        }
        if bytes {
            count -= part.len().min(count);
            if !process.print(part).await {
                return 1;
            }
            continue;
        }
        let mut shown = Vec::new();
        for line in lines(&part).take(count) {
            shown.extend_from_slice(line);
        }
        count -= shown.iter().filter(|byte| **byte == b'\n').count().min(count);
        if !process.print(shown).await {
            return 1;
        }
    }
    0
}

pub(super) async fn tail(process: Process) -> i32 {
    /// How often a followed file is looked at: the original's.
    const LOOK: Duration = Duration::from_secs(1);
    let (options, count) = match amount(&process, "n:c:fFqv") {
        Ok(parsed) => parsed,
        Err(message) => return process.fail(1, message).await,
    };
    let number: usize = count.trim_start_matches(['-', '+']).parse().unwrap_or(0);
    let follow = options.has("f") || options.has("F");
    let (mut texts, code) = inputs(&process, &options.operands).await;
    let several = options.operands.len() > 1 && !options.has("q");
    if options.has("F") {
        // What is not there yet may come.
        let missing = options.operands.iter().filter(|path| texts.iter().all(|(known, _)| known != *path));
        texts.extend(missing.map(|path| (path.clone(), Vec::new())).collect::<Vec<_>>());
    }
    let mut sizes = Vec::new();
    for (index, (path, data)) in texts.iter().enumerate() {
        if several {
            process.print(format!("{}==> {path} <==\n", if index > 0 { "\n" } else { "" })).await;
        }
        let pieces: Vec<&[u8]> = if options.has("c") { data.chunks(1).collect() } else { lines(data).collect() };
        let skip = if count.starts_with('+') { number.saturating_sub(1) } else { pieces.len().saturating_sub(number) };
        process.print(pieces.iter().skip(skip).copied().flatten().copied().collect::<Vec<u8>>()).await;
        sizes.push((path.clone(), data.len()));
    }
    while follow && sizes.iter().any(|(path, _)| path != "-") {
        process.sleep(LOOK).await;
        for (path, size) in &mut sizes {
            let data = process.fs().read(&process.path(path)).unwrap_or_default();
            let start = if data.len() < *size { 0 } else { *size };
            *size = data.len();
            if start < data.len() && !process.print(data.slice(start..)).await {
                return code;
            }
        }
    }
    code
}

pub(super) async fn base64(process: Process) -> i32 {
    let options = match Options::parse(process.operands(), "dDiw:", &[("decode", "d"), ("wrap", "w")]) {
        Ok(options) => options,
        Err(message) => return process.fail(1, message).await,
    };
    let (texts, code) = inputs(&process, &options.operands).await;
    let engine = base64::engine::general_purpose::STANDARD;
    for (_, data) in texts {
        if options.has("d") || options.has("D") {
            let clean: Vec<u8> = data.into_iter().filter(|byte| !byte.is_ascii_whitespace()).collect();
            match engine.decode(clean) {
                Ok(decoded) => process.print(decoded).await,
                Err(_) => return process.fail(1, "invalid input").await,
            };
            continue;
        }
        let encoded = engine.encode(data);
        let width = options.value("w").and_then(|width| width.parse().ok()).unwrap_or(76);
        let wrapped = if width == 0 {
            encoded
        } else {
            let lines: Vec<&str> =
                encoded.as_bytes().chunks(width).filter_map(|line| std::str::from_utf8(line).ok()).collect();
            lines.join("\n") + "\n"
        };
        process.print(wrapped).await;
    }
    code
}

pub(super) async fn tee(process: Process) -> i32 {
    let options = match Options::parse(process.operands(), "ai", &[("append", "a")]) {
        Ok(options) => options,
        Err(message) => return process.fail(1, message).await,
    };
    let mode = if options.has("a") { crate::fs::Mode::Append } else { crate::fs::Mode::Truncate };
    let mut outputs = vec![process.stdout()];
    let mut code = 0;
    for path in &options.operands {
        match process.machine.open(&process.fs, &process.path(path), mode) {
            Ok(file) => outputs.push(file),
            Err(error) => code = process.fail(1, format_args!("{path}: {error}")).await,
        }
    }
    let stdin = process.stdin();
    loop {
        let part = stdin.read(PIPE_BYTES_MAX).await.unwrap_or_default();
        if part.is_empty() {
            return code;
        }
        for output in &outputs {
            let _ = output.write_all(&part).await;
        }
    }
}

pub(super) async fn yes(process: Process) -> i32 {
    let text = match process.operands() {
        [] => "y".to_owned(),
        words => words.join(" "),
    };
    while process.print(format!("{text}\n")).await {
        process.sleep(Duration::from_micros(1)).await;
    }
    1
}

pub(super) async fn xargs(process: Process) -> i32 {
    let mut size = usize::MAX;
    let mut replace = None;
    let mut rest = process.operands();
    while let Some((flag, tail)) = rest.split_first() {
        let Some(letter) = flag.get(..2).filter(|flag| matches!(*flag, "-n" | "-I" | "-r" | "-t" | "-0")) else {
            break;
        };
        rest = tail;
        let mut value = flag.get(2..).unwrap_or_default().to_owned();
        if matches!(letter, "-n" | "-I")
            && value.is_empty()
            && let Some((next, tail)) = rest.split_first()
        {
            value = next.clone();
            rest = tail;
        }
        match letter {
            "-n" => size = value.parse().unwrap_or(usize::MAX).max(1),
            "-I" => replace = Some(value),
            _ => {}
        }
    }
    let command: Vec<String> = if rest.is_empty() { vec!["echo".into()] } else { rest.to_vec() };
    let input = process.stdin().read_to_end().await.unwrap_or_default();
    let text = String::from_utf8_lossy(&input).into_owned();
    let lines: Vec<Vec<String>> = match &replace {
        Some(mark) => {
            text.lines().map(|line| command.iter().map(|word| word.replace(mark, line.trim())).collect()).collect()
        }
        None => {
            let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
            words.chunks(size.min(words.len().max(1))).map(|words| [command.as_slice(), words].concat()).collect()
        }
    };
    let mut code = 0;
    for line in lines {
        let ended = super::run(&process, line).await;
        if ended != 0 {
            code = 123;
        }
    }
    code
}
