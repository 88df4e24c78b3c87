//! Tools that count, order, cut and translate lines.

use std::time::Duration;

use super::escape::unescape;
use super::options::Options;
use super::text::{Texts, inputs, lines};
use crate::io::PIPE_BYTES_MAX;
use crate::process::Process;
use crate::shell::pattern::in_class;
use machinery::sort::Order;

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
    all.order_by(|a, b| {
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
    let shown = |count: usize, line: &str| {
        let wanted = (!options.has("d") || count > 1) && (!options.has("u") || count == 1);
        match (wanted, options.has("c")) {
            (false, _) => String::new(),
            (true, true) => format!("{count:>7} {line}\n"),
            (true, false) => format!("{line}\n"),
        }
    };
    let mut texts = Texts::new(&process, options.operands.get(..1).unwrap_or_default());
    let mut group: Option<(usize, String)> = None;
    while let Some(part) = texts.part().await {
        let mut out = String::new();
        for line in lines(&part) {
            let line = String::from_utf8_lossy(line).trim_end_matches('\n').to_owned();
            match &mut group {
                Some((count, last)) if *last == line => *count += 1,
                group => {
                    if let Some((count, last)) = group.replace((1, line)) {
                        out.push_str(&shown(count, &last));
                    }
                }
            }
        }
        if !out.is_empty() && !process.print(out).await {
            return 1;
        }
    }
    if let Some((count, last)) = group {
        process.print(shown(count, &last)).await;
    }
    texts.code
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
    let part_of = |line: &str| {
        if !options.has("f") {
            let chars = line.chars().enumerate().filter(|(index, _)| wanted(*index));
            return Some(chars.map(|(_, c)| c).collect());
        }
        if delimiter.is_empty() || !line.contains(&delimiter) {
            return (!options.has("s")).then(|| line.to_owned());
        }
        let fields = line.split(&delimiter).enumerate().filter(|(index, _)| wanted(*index)).map(|(_, field)| field);
        Some(fields.collect::<Vec<_>>().join(&delimiter))
    };
    let mut texts = Texts::new(&process, &options.operands);
    while let Some(part) = texts.part().await {
        let mut out = String::new();
        for line in lines(&part) {
            if let Some(part) = part_of(String::from_utf8_lossy(line).trim_end_matches('\n')) {
                out.push_str(&part);
                out.push('\n');
            }
        }
        if !process.print(out).await {
            return 1;
        }
    }
    texts.code
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
    let stdin = process.stdin();
    let mut last = None;
    // The start of a character whose rest is still to come.
    let mut begun = Vec::new();
    loop {
        let part = stdin.read(PIPE_BYTES_MAX).await.unwrap_or_default();
        let ended = part.is_empty();
        begun.extend_from_slice(&part);
        let whole = match std::str::from_utf8(&begun) {
            Err(error) if error.error_len().is_none() && !ended => error.valid_up_to(),
            _ => begun.len(),
        };
        let text: Vec<u8> = begun.drain(..whole).collect();
        let mut out = String::new();
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
        if !out.is_empty() && !process.print(out).await {
            return 1;
        }
        if ended {
            return 0;
        }
    }
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
        process.sleep(Duration::from_micros(1)).await;
        at = match at.checked_add(step) {
            Some(next) => next,
            None => break,
        };
    }
    0
}
