//! Tools that read and write text.

use std::time::Duration;

use base64::Engine;

use super::options::Options;
use crate::errno::Errno;
use crate::io::PIPE_BYTES_MAX;
use crate::process::Process;
use crate::shell::pattern::in_class;

/// Turns backslash escapes into what they mean; true if `\c` asked to stop.
pub(crate) fn unescape(text: &str) -> (String, bool) {
    let mut out = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some('a') => out.push('\x07'),
            Some('b') => out.push('\x08'),
            Some('e') => out.push('\x1b'),
            Some('f') => out.push('\x0c'),
            Some('v') => out.push('\x0b'),
            Some('\\') => out.push('\\'),
            Some('c') => return (out, true),
            Some(first @ ('0'..='7' | 'x')) => {
                let radix = if first == 'x' { 16 } else { 8 };
                let most = if first == 'x' { 2 } else { 3 };
                let mut digits = if matches!(first, 'x' | '0') { String::new() } else { first.to_string() };
                while digits.len() < most && chars.peek().is_some_and(|c| c.is_digit(radix)) {
                    digits.extend(chars.next());
                }
                let code = u32::from_str_radix(&digits, radix).unwrap_or(0);
                out.extend(char::from_u32(code & 0xff));
            }
            Some(other) => {
                out.push('\\');
                out.push(other);
            }
            None => out.push('\\'),
        }
    }
    (out, false)
}

/// A word as the shell reads it back, quoted if need be.
pub(crate) fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { quote_always(word) }
}

/// A word in single quotes.
pub(crate) fn quote_always(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

pub(super) async fn echo(process: Process) -> i32 {
    let mut words = process.operands();
    let (mut newline, mut escapes) = (true, false);
    while let Some((flag, rest)) = words.split_first() {
        match flag.as_str() {
            "-n" => newline = false,
            "-e" => escapes = true,
            "-E" => escapes = false,
            "-ne" | "-en" => (newline, escapes) = (false, true),
            _ => break,
        }
        words = rest;
    }
    let mut text = words.join(" ");
    if escapes {
        let (unescaped, stop) = unescape(&text);
        text = unescaped;
        newline &= !stop;
    }
    if newline {
        text.push('\n');
    }
    i32::from(!process.print(text).await)
}

pub(super) async fn printf(process: Process) -> i32 {
    let Some((format, arguments)) = process.operands().split_first() else {
        process.eprint("printf: usage: printf format [arguments]\n").await;
        return 2;
    };
    let mut arguments = arguments.iter();
    let mut out = String::new();
    let mut code = 0;
    loop {
        let before = arguments.len();
        let mut chars = format.chars().peekable();
        let mut literal = String::new();
        let mut stopped = false;
        while let Some(c) = chars.next() {
            if c != '%' {
                literal.push(c);
                continue;
            }
            let (text, stop) = unescape(&std::mem::take(&mut literal));
            out.push_str(&text);
            stopped |= stop;
            let mut spec = String::new();
            while let Some(c) = chars.peek().copied().filter(|c| "-+ #0123456789.*".contains(*c)) {
                chars.next();
                if c == '*' {
                    spec.push_str(arguments.next().map_or("0", String::as_str));
                } else {
                    spec.push(c);
                }
            }
            match chars.next() {
                Some('%') => out.push('%'),
                Some(conversion) => {
                    let argument = arguments.next().map_or("", String::as_str);
                    match convert(conversion, &spec, argument) {
                        Ok(text) => out.push_str(&text),
                        Err(message) => {
                            code = process.fail(1, message).await;
                            out.push_str(&convert(conversion, &spec, "0").unwrap_or_default());
                        }
                    }
                }
                None => out.push('%'),
            }
        }
        let (text, stop) = unescape(&literal);
        out.push_str(&text);
        // The format is used again while there are arguments, provided it takes any.
        if stop || stopped || arguments.len() == 0 || arguments.len() == before {
            break;
        }
    }
    process.print(out).await;
    code
}

fn convert(conversion: char, spec: &str, argument: &str) -> Result<String, String> {
    let (flags, precision) = spec.split_once('.').map_or((spec, None), |(flags, precision)| (flags, Some(precision)));
    let number = || -> Result<i64, String> {
        let quoted = argument.strip_prefix(['\'', '"']).and_then(|rest| rest.chars().next());
        match (quoted, argument.strip_prefix("0x")) {
            (Some(c), _) => Ok(i64::from(c as u32)),
            (None, Some(hex)) => i64::from_str_radix(hex, 16).map_err(|_| format!("{argument}: invalid number")),
            _ if argument.is_empty() => Ok(0),
            _ => argument.parse().map_err(|_| format!("{argument}: invalid number")),
        }
    };
    let places = precision.and_then(|precision| precision.parse::<usize>().ok()).map(|places| places.min(100));
    let text = match conversion {
        's' => match places {
            Some(most) => argument.chars().take(most).collect(),
            None => argument.to_owned(),
        },
        'b' => unescape(argument).0,
        'q' => quote(argument),
        'c' => argument.chars().take(1).collect(),
        'd' | 'i' | 'u' => {
            let number = number()?;
            if flags.contains('+') && number >= 0 { format!("+{number}") } else { number.to_string() }
        }
        'x' => format!("{:x}", number()?),
        'X' => format!("{:X}", number()?),
        'o' => format!("{:o}", number()?),
        'f' | 'e' | 'g' => {
            let value: f64 = if argument.is_empty() {
                0.0
            } else {
                argument.parse().map_err(|_| format!("{argument}: invalid number"))?
            };
            format!("{value:.*}", places.unwrap_or(6))
        }
        other => return Err(format!("%{other}: invalid format")),
    };
    let left = flags.starts_with('-');
    let width: usize = flags.trim_start_matches(['-', '+', ' ', '#']).parse().unwrap_or(0).min(10_000);
    let zero =
        flags.trim_start_matches(['+', ' ', '#']).starts_with('0') && !left && !matches!(conversion, 's' | 'c' | 'b');
    let missing = width.saturating_sub(text.chars().count());
    Ok(match (left, zero) {
        (true, _) => text + &" ".repeat(missing),
        (_, true) => match text.strip_prefix('-') {
            Some(digits) => format!("-{}{digits}", "0".repeat(missing)),
            None => "0".repeat(missing) + &text,
        },
        _ => " ".repeat(missing) + &text,
    })
}

/// Reads all operands, or standard input; what cannot be read is told. Texts and the exit code.
pub(super) async fn inputs(process: &Process, operands: &[String]) -> (Vec<(String, Vec<u8>)>, i32) {
    let standard = ["-".to_owned()];
    let mut code = 0;
    let mut texts = Vec::new();
    for path in if operands.is_empty() { &standard } else { operands } {
        let data = match process.open(path) {
            Ok(fd) => fd.read_to_end().await,
            Err(error) => Err(error),
        };
        match data {
            Ok(data) => texts.push((path.clone(), data)),
            Err(error) => code = process.fail(1, format_args!("{path}: {error}")).await,
        }
    }
    (texts, code)
}

/// The lines of a text, each with its end.
pub(super) fn lines(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    data.split_inclusive(|byte| *byte == b'\n')
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
    if options.operands.is_empty() && !from_end && !options.has("c") {
        return head_stream(&process, number).await;
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
async fn head_stream(process: &Process, mut count: usize) -> i32 {
    let stdin = process.stdin();
    while count > 0 {
        let part = stdin.read(PIPE_BYTES_MAX).await.unwrap_or_default();
        if part.is_empty() {
            break;
        }
        let mut shown = Vec::new();
        for line in lines(&part).take(count) {
            shown.extend_from_slice(line);
        }
        count -= shown.iter().filter(|byte| **byte == b'\n').count().min(count);
        if !process.print(shown).await {
            break;
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
    let (texts, code) = inputs(&process, &options.operands).await;
    let several = options.operands.len() > 1 && !options.has("q");
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

pub(super) async fn wc(process: Process) -> i32 {
    let options = match Options::parse(process.operands(), "lwcm", &[("lines", "l")]) {
        Ok(options) => options,
        Err(message) => return process.fail(1, message).await,
    };
    let (texts, code) = inputs(&process, &options.operands).await;
    let all = !["l", "w", "c", "m"].iter().any(|letter| options.has(letter));
    let mut totals = [0; 3];
    let row = |counts: [usize; 3], name: &str| {
        let wanted = [("l", 0), ("w", 1), ("c", 2)]
            .into_iter()
            .filter(|(letter, index)| all || options.has(letter) || (*index == 2 && options.has("m")));
        let numbers: Vec<String> = wanted.map(|(_, index)| counts[index].to_string()).collect();
        let text = if numbers.len() > 1 {
            numbers.iter().map(|number| format!("{number:>9}")).collect::<String>()
        } else {
            numbers.concat()
        };
        if name == "-" { format!("{text}\n") } else { format!("{text} {name}\n") }
    };
    for (path, data) in &texts {
        let text = String::from_utf8_lossy(data);
        let size = if options.has("m") { text.chars().count() } else { data.len() };
        let counts = [data.iter().filter(|byte| **byte == b'\n').count(), text.split_whitespace().count(), size];
        for (total, count) in totals.iter_mut().zip(counts) {
            *total += count;
        }
        process.print(row(counts, path)).await;
    }
    if texts.len() > 1 {
        process.print(row(totals, "total")).await;
    }
    code
}

pub(super) async fn sort(process: Process) -> i32 {
    let options = match Options::parse(process.operands(), "nrufbhk:t:", &[("reverse", "r"), ("unique", "u")]) {
        Ok(options) => options,
        Err(message) => return process.fail(2, message).await,
    };
    let (texts, code) = inputs(&process, &options.operands).await;
    let mut all: Vec<String> = texts
        .iter()
        .flat_map(|(_, data)| String::from_utf8_lossy(data).lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let spec = options.value("k").map(str::to_owned);
    let field: Option<usize> =
        spec.as_deref().and_then(|key| key.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok());
    let numeric = options.has("n") || options.has("h") || spec.is_some_and(|key| key.contains('n'));
    let key = |line: &str| -> String {
        let Some(field) = field else { return line.to_owned() };
        let index = field.saturating_sub(1);
        match options.value("t") {
            Some(separator) => line.split(separator).skip(index).collect::<Vec<_>>().join(separator),
            None => line.split_whitespace().skip(index).collect::<Vec<_>>().join(" "),
        }
    };
    let number = |text: &str| -> f64 {
        let text = text.trim_start();
        let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '-')).unwrap_or(text.len());
        text.get(..end).and_then(|text| text.parse().ok()).unwrap_or(0.0)
    };
    all.sort_by(|a, b| {
        let (left, right) = (key(a), key(b));
        let order = if numeric { number(&left).total_cmp(&number(&right)) } else { std::cmp::Ordering::Equal };
        let fold = |text: &str| if options.has("f") { text.to_lowercase() } else { text.to_owned() };
        let order = order.then_with(|| fold(&left).cmp(&fold(&right))).then_with(|| a.cmp(b));
        if options.has("r") { order.reverse() } else { order }
    });
    if options.has("u") {
        all.dedup();
    }
    process.print(all.iter().map(|line| format!("{line}\n")).collect::<String>()).await;
    code
}

pub(super) async fn uniq(process: Process) -> i32 {
    let options = match Options::parse(process.operands(), "cdu", &[]) {
        Ok(options) => options,
        Err(message) => return process.fail(1, message).await,
    };
    let (texts, code) = inputs(&process, options.operands.get(..1).unwrap_or_default()).await;
    let mut groups: Vec<(usize, String)> = Vec::new();
    for line in texts.iter().flat_map(|(_, data)| lines(data)) {
        let line = String::from_utf8_lossy(line).trim_end_matches('\n').to_owned();
        match groups.last_mut() {
            Some((count, last)) if *last == line => *count += 1,
            _ => groups.push((1, line)),
        }
    }
    let wanted =
        groups.into_iter().filter(|(count, _)| (!options.has("d") || *count > 1) && (!options.has("u") || *count == 1));
    let text: String = wanted
        .map(|(count, line)| if options.has("c") { format!("{count:>7} {line}\n") } else { format!("{line}\n") })
        .collect();
    process.print(text).await;
    code
}

pub(super) async fn cut(process: Process) -> i32 {
    let options = match Options::parse(process.operands(), "d:f:c:b:s", &[("delimiter", "d"), ("fields", "f")]) {
        Ok(options) => options,
        Err(message) => return process.fail(1, message).await,
    };
    let Some(list) = options.value("f").or(options.value("c")).or(options.value("b")) else {
        return process.fail(1, "expected a list of bytes, characters, or fields").await;
    };
    let ranges: Option<Vec<(usize, usize)>> = list
        .split(',')
        .map(|range| match range.split_once('-') {
            None => range.parse().ok().map(|n| (n, n)),
            Some((from, to)) => {
                let from = if from.is_empty() { Some(1) } else { from.parse().ok() };
                let to = if to.is_empty() { Some(usize::MAX) } else { to.parse().ok() };
                from.zip(to)
            }
        })
        .collect();
    let Some(ranges) = ranges else { return process.fail(1, format_args!("bad range '{list}'")).await };
    let wanted = |index: usize| ranges.iter().any(|(from, to)| (*from..=*to).contains(&(index + 1)));
    let delimiter = options.value("d").unwrap_or("\t").to_owned();
    let (texts, code) = inputs(&process, &options.operands).await;
    let mut out = String::new();
    for line in texts.iter().flat_map(|(_, data)| lines(data)) {
        let line = String::from_utf8_lossy(line);
        let line = line.trim_end_matches('\n');
        if !options.has("f") {
            out.extend(line.chars().enumerate().filter(|(index, _)| wanted(*index)).map(|(_, c)| c));
        } else if !delimiter.is_empty() && line.contains(&delimiter) {
            let fields: Vec<&str> =
                line.split(&delimiter).enumerate().filter(|(index, _)| wanted(*index)).map(|(_, f)| f).collect();
            out.push_str(&fields.join(&delimiter));
        } else if options.has("s") {
            continue;
        } else {
            out.push_str(line);
        }
        out.push('\n');
    }
    process.print(out).await;
    code
}

pub(super) async fn tr(process: Process) -> i32 {
    let options = match Options::parse(process.operands(), "dsc", &[("delete", "d")]) {
        Ok(options) => options,
        Err(message) => return process.fail(1, message).await,
    };
    let Some(first) = options.operands.first() else {
        return process.fail(1, "missing operand").await;
    };
    let from = Set::parse(first);
    let to = Set::parse(options.operands.get(1).map_or("", String::as_str)).0;
    let text = process.stdin().read_to_end().await.unwrap_or_default();
    let mut out = String::new();
    let mut last = None;
    for c in String::from_utf8_lossy(&text).chars() {
        let place = from.0.iter().position(|known| *known == c);
        let hit = if options.has("c") { place.is_none() } else { place.is_some() };
        let new = match (hit, options.has("d")) {
            (true, true) => continue,
            (true, false) => to.get(place.unwrap_or(usize::MAX)).or(to.last()).copied().unwrap_or(c),
            (false, _) => c,
        };
        let squeezed = options.has("s") && last == Some(new) && (hit || to.contains(&new));
        if !squeezed {
            out.push(new);
        }
        last = Some(new);
    }
    i32::from(!process.print(out).await)
}

/// Characters of a `tr` set: ranges, classes and escapes.
struct Set(Vec<char>);

impl Set {
    fn parse(text: &str) -> Self {
        let text: Vec<char> = unescape(text).0.chars().collect();
        let mut set = Vec::new();
        let mut at = 0;
        while let Some(c) = text.get(at) {
            let rest: String = text.iter().skip(at).collect();
            if let Some((class, _)) = rest.strip_prefix("[:").and_then(|rest| rest.split_once(":]")) {
                set.extend((0..128_u8).map(char::from).filter(|c| in_class(class, *c)));
                at += class.chars().count() + 4;
            } else if text.get(at + 1) == Some(&'-')
                && let Some(end) = text.get(at + 2)
            {
                set.extend(*c..=*end);
                at += 3;
            } else {
                set.push(*c);
                at += 1;
            }
        }
        Self(set)
    }
}

pub(super) async fn seq(process: Process) -> i32 {
    let numbers: Option<Vec<i64>> = process.operands().iter().map(|word| word.parse().ok()).collect();
    let (first, step, last) = match numbers.as_deref() {
        Some([last]) => (1, 1, *last),
        Some([first, last]) => (*first, 1, *last),
        Some([first, step, last]) if *step != 0 => (*first, *step, *last),
        _ => return process.fail(1, "invalid number").await,
    };
    let mut at = first;
    while (step > 0 && at <= last) || (step < 0 && at >= last) {
        if !process.print(format!("{at}\n")).await {
            return 1;
        }
        at = match at.checked_add(step) {
            Some(next) => next,
            None => break,
        };
    }
    0
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
        match process.fs().open(&process.path(path), mode, process.machine.now()) {
            Ok(file) => outputs.push(crate::io::Fd::new(file)),
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
