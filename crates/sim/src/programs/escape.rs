//! Escapes and quotes: `echo`, `printf`.

use crate::process::Process;

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

/// An argument by a conversion of `printf`, such as `%5.2f`: the letter, and what stands before it.
///
/// # Errors
/// For what is no such conversion, or no number.
pub(super) fn convert(conversion: char, spec: &str, argument: &str) -> Result<String, String> {
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
            let places = places.unwrap_or(6);
            match conversion {
                'f' => format!("{value:.places$}"),
                'e' => exponential(value, places),
                _ => general(value, places),
            }
        }
        other => return Err(format!("%{other}: invalid format")),
    };
    let left = flags.contains('-');
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

/// `%e`: one digit, the point, and an exponent of two digits at least.
fn exponential(value: f64, places: usize) -> String {
    let text = format!("{value:.places$e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let number = exponent.trim_start_matches('-');
    format!("{digits}e{}{number:0>2}", if exponent.starts_with('-') { '-' } else { '+' })
}

/// `%g`: so many digits that matter, without zeros at the end.
fn general(value: f64, places: usize) -> String {
    let places = places.max(1);
    if value == 0.0 || !value.is_finite() {
        return if value == 0.0 { "0".into() } else { value.to_string().to_lowercase() };
    }
    let rounded = exponential(value, places - 1);
    let exponent: i32 = rounded.split_once('e').and_then(|(_, exponent)| exponent.parse().ok()).unwrap_or(0);
    let trim = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if exponent < -4 || exponent >= places as i32 {
        let (digits, exponent) = rounded.split_once('e').unwrap_or((&rounded, "+00"));
        return format!("{}e{exponent}", trim(digits));
    }
    let decimals = usize::try_from(places as i32 - 1 - exponent).unwrap_or(0);
    trim(&format!("{value:.decimals$}"))
}
