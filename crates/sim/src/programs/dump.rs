//! Bytes made visible: `od` and `xxd`.

use super::options::Options;
use crate::process::Process;

/// How `od` writes a byte: its width, and the text.
type Form = (usize, fn(u8) -> String);

const BYTES_A_LINE: usize = 16;

/// What a byte is for `od -c`.
fn character(byte: u8) -> String {
    match byte {
        0 => "\\0".into(),
        7 => "\\a".into(),
        8 => "\\b".into(),
        b'\t' => "\\t".into(),
        b'\n' => "\\n".into(),
        11 => "\\v".into(),
        12 => "\\f".into(),
        b'\r' => "\\r".into(),
        b' '..=b'~' => char::from(byte).into(),
        other => format!("{other:03o}"),
    }
}

/// The form that a letter or an argument of `-t` means, and how many bytes a number has.
fn form(text: &str) -> Option<(Form, usize)> {
    Some(match text {
        "c" => ((4, character), 1),
        "x1" => ((3, |byte| format!("{byte:02x}")), 1),
        "o1" => ((4, |byte| format!("{byte:03o}")), 1),
        "u1" => ((4, |byte| byte.to_string()), 1),
        "d1" => ((5, |byte| byte.cast_signed().to_string()), 1),
        "x" | "x2" => ((5, |_| String::new()), 2),
        "o" | "o2" => ((7, |_| String::new()), 2),
        "x4" => ((9, |_| String::new()), 4),
        _ => return None,
    })
}

/// `xxd` has no longer lines.
const COLUMNS_MAX: usize = 256;

/// `od`: octal words, or bytes and characters by `-c`, `-b`, `-x` and `-t`.
pub(super) async fn od(process: Process) -> i32 {
    let long = [("address-radix", "A"), ("format", "t"), ("read-bytes", "N"), ("skip-bytes", "j")];
    let options = match Options::parse(process.operands(), "A:N:bcj:t:vx", &long) {
        Ok(options) => options,
        Err(message) => return process.fail(1, message).await,
    };
    let kind = match (options.value("t"), options.has("c"), options.has("b"), options.has("x")) {
        (Some(kind), ..) => kind.to_owned(),
        (None, true, ..) => "c".to_owned(),
        (None, _, true, _) => "o1".to_owned(),
        (None, _, _, true) => "x2".to_owned(),
        _ => "o2".to_owned(),
    };
    let Some(((width, shown), size)) = form(&kind) else {
        return process.fail(1, format_args!("invalid type string '{kind}'")).await;
    };
    let number = |letter: &str| options.value(letter).and_then(|text| text.parse::<usize>().ok());
    let skipped = number("j").unwrap_or_default();
    let limit = number("N").map(|limit| limit.saturating_add(skipped));
    let Some((data, code)) = contents(&process, &options.operands, limit).await else { return 1 };
    let Some(data) = data.get(skipped..) else {
        return process.fail(1, "cannot skip past end of combined input").await;
    };
    let radix = options.value("A").unwrap_or("o").to_owned();
    let address = |at: usize| match radix.as_str() {
        "n" => String::new(),
        "x" => format!("{at:06x}"),
        "d" => format!("{at:07}"),
        _ => format!("{at:07o}"),
    };
    let word = |part: &[u8]| part.iter().rev().fold(0_u32, |sum, byte| (sum << 8) | u32::from(*byte));
    let mut out = String::new();
    let mut last: Option<&[u8]> = None;
    let mut starred = false;
    for (at, line) in data.chunks(BYTES_A_LINE).enumerate() {
        if last == Some(line) && line.len() == BYTES_A_LINE && !options.has("v") {
            if !starred {
                out.push_str("*\n");
            }
            starred = true;
            continue;
        }
        (last, starred) = (Some(line), false);
        out.push_str(&address(skipped + at * BYTES_A_LINE));
        for part in line.chunks(size) {
            let text = match (size, part) {
                (1, [byte]) => shown(*byte),
                (2, _) if kind.starts_with('o') => format!("{:06o}", word(part)),
                (size, _) => format!("{:0width$x}", word(part), width = size * 2),
            };
            out.push_str(&format!("{text:>width$}"));
        }
        out.push('\n');
    }
    if radix != "n" {
        out.push_str(&address(skipped + data.len()));
        out.push('\n');
    }
    process.print(out).await;
    code
}

/// `xxd`: pairs of bytes and their characters; `-p` the digits alone, `-r -p` back again.
pub(super) async fn xxd(process: Process) -> i32 {
    let options = match Options::parse(process.operands(), "c:g:l:prsu", &[]) {
        Ok(options) => options,
        Err(message) => return process.fail(1, message).await,
    };
    let number = |letter: &str| options.value(letter).and_then(|text| text.parse::<usize>().ok());
    let Some((data, code)) = contents(&process, &options.operands, number("l")).await else { return 1 };
    if options.has("r") {
        let digits: Vec<u32> = data.iter().filter_map(|byte| char::from(*byte).to_digit(16)).collect();
        let pairs = digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |sum, digit| sum * 16 + digit));
        let bytes: Vec<u8> = pairs.filter_map(|byte| u8::try_from(byte).ok()).collect();
        process.print(bytes).await;
        return code;
    }
    const PLAIN_BYTES_A_LINE: usize = 30;
    let plain = options.has("p");
    let columns = number("c").unwrap_or(if plain { PLAIN_BYTES_A_LINE } else { BYTES_A_LINE }).clamp(1, COLUMNS_MAX);
    let group = number("g").unwrap_or(2).max(1);
    let hex = |byte: &u8| if options.has("u") { format!("{byte:02X}") } else { format!("{byte:02x}") };
    let mut out = String::new();
    for (at, line) in data.chunks(columns).enumerate() {
        if plain {
            out.push_str(&format!("{}\n", line.iter().map(hex).collect::<String>()));
            continue;
        }
        let groups: Vec<String> = line.chunks(group).map(|part| part.iter().map(hex).collect()).collect();
        let width = columns * 2 + columns.div_ceil(group);
        let text: String =
            line.iter().map(|byte| if matches!(byte, b' '..=b'~') { char::from(*byte) } else { '.' }).collect();
        out.push_str(&format!("{:08x}: {:<width$} {text}\n", at * columns, groups.join(" ")));
    }
    process.print(out).await;
    code
}

/// What the operands hold, one after the other, as far as it is wanted; and the exit code. Reading ends with that: what
/// has no end (`/dev/urandom`) is not waited for.
async fn contents(process: &Process, operands: &[String], limit: Option<usize>) -> Option<(Vec<u8>, i32)> {
    const BYTES_MAX: usize = 64 << 20;
    let limit = limit.unwrap_or(BYTES_MAX);
    let standard = ["-".to_owned()];
    let (mut data, mut code) = (Vec::new(), 0);
    for path in if operands.is_empty() { &standard } else { operands } {
        let fd = match process.open(path) {
            Ok(fd) => fd,
            Err(error) => {
                code = process.fail(1, format_args!("{path}: {error}")).await;
                continue;
            }
        };
        while data.len() < limit {
            match fd.read(limit - data.len()).await {
                Ok(part) if part.is_empty() => break,
                Ok(part) => data.extend_from_slice(&part),
                Err(error) => {
                    process.fail(1, format_args!("{path}: {error}")).await;
                    return None;
                }
            }
        }
    }
    data.truncate(limit);
    Some((data, code))
}
