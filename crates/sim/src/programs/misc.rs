//! Small tools that fit nowhere else: expr, bc, dd, envsubst, shuf, digests, pagers, wrappers, man.

use sha2::{Digest, Sha256, Sha512};

use super::options::Options;
use super::text::inputs;
use crate::process::Process;
use crate::readline::key::{Key, decode};

/// `tty`: the terminal that standard input is.
pub(super) async fn tty(process: Process) -> i32 {
    let (text, code) = if process.stdin().tty().is_some() { ("/dev/pts/0\n", 0) } else { ("not a tty\n", 1) };
    process.print(text).await;
    code
}

/// `stty [size | -a | SETTING…]`: what there is to say of a terminal; `raw`, `-echo` and their opposites are heeded.
pub(super) async fn stty(process: Process) -> i32 {
    let stdin = process.stdin();
    let Some(tty) = stdin.tty() else {
        return process.fail(1, "standard input: Inappropriate ioctl for device").await;
    };
    let (columns, rows) = tty.size();
    let words: Vec<&str> = process.operands().iter().map(String::as_str).collect();
    let text = match words.as_slice() {
        ["size"] => format!("{rows} {columns}\n"),
        [] | ["-a" | "--all"] => {
            format!(
                "speed 38400 baud; rows {rows}; columns {columns};\nintr = ^C; quit = ^\\; erase = ^?; eof = ^D; susp = ^Z;\n"
            )
        }
        settings => {
            for setting in settings {
                match *setting {
                    "raw" | "-icanon" | "-echo" => tty.set_raw(true),
                    "sane" | "cooked" | "-raw" | "icanon" | "echo" => tty.set_raw(false),
                    _ => {}
                }
            }
            String::new()
        }
    };
    i32::from(!process.print(text).await)
}

/// `sha256sum` and `sha512sum`, with `-c`.
pub(super) async fn digest(process: Process) -> i32 {
    let options = match Options::parse(process.operands(), "cbts", &[("check", "c")]) {
        Ok(options) => options,
        Err(message) => return process.fail(1, message).await,
    };
    let name = process.name().to_owned();
    let hex = |data: &[u8]| -> String {
        let bytes = match name.as_str() {
            "md5sum" => super::md5::digest(data).to_vec(),
            "sha512sum" => Sha512::digest(data).to_vec(),
            _ => Sha256::digest(data).to_vec(),
        };
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let (texts, mut code) = inputs(&process, &options.operands).await;
    for (path, data) in texts {
        if !options.has("c") {
            process.print(format!("{}  {path}\n", hex(&data))).await;
            continue;
        }
        for line in String::from_utf8_lossy(&data).lines() {
            let Some((wanted, file)) = line.split_once("  ") else { continue };
            let same = process.fs().read(&process.path(file)).is_ok_and(|data| hex(&data) == wanted);
            process.print(format!("{file}: {}\n", if same { "OK" } else { "FAILED" })).await;
            code = code.max(i32::from(!same));
        }
    }
    code
}

/// `expr`, as POSIX has it.
pub(super) async fn expr(process: Process) -> i32 {
    let words: Vec<&str> = process.operands().iter().map(String::as_str).collect();
    let mut at = 0;
    match expr_level(&words, &mut at, 0) {
        Ok(value) if at == words.len() && at > 0 => {
            let zero = value.is_empty() || value.parse::<i64>() == Ok(0);
            process.print(format!("{value}\n")).await;
            i32::from(zero)
        }
        Err(message) => process.fail(2, message).await,
        Ok(_) => process.fail(2, "syntax error").await,
    }
}

/// Operators by precedence, loosest first.
const EXPR_LEVELS: [&[&str]; 6] =
    [&["|"], &["&"], &["=", "==", "!=", "<", "<=", ">", ">="], &["+", "-"], &["*", "/", "%"], &[":"]];

fn expr_level(words: &[&str], at: &mut usize, level: usize) -> Result<String, String> {
    let Some(operators) = EXPR_LEVELS.get(level) else { return expr_primary(words, at) };
    let mut left = expr_level(words, at, level + 1)?;
    while let Some(operator) = words.get(*at).filter(|word| operators.contains(word)) {
        *at += 1;
        let right = expr_level(words, at, level + 1)?;
        left = expr_apply(operator, &left, &right)?;
    }
    Ok(left)
}

fn expr_apply(operator: &str, left: &str, right: &str) -> Result<String, String> {
    let truth = |holds: bool| i64::from(holds).to_string();
    let null = |text: &str| text.is_empty() || text == "0";
    let numbers = left.parse::<i64>().ok().zip(right.parse::<i64>().ok());
    Ok(match operator {
        "|" => if null(left) { right } else { left }.to_owned(),
        "&" => if null(left) || null(right) { "0" } else { left }.to_owned(),
        ":" => {
            let regex = super::grep::regex(&format!("^\\({right}\\)"), false, false)?;
            match regex.captures(left) {
                Some(found) if found.len() > 2 => found.get(2).map_or("", |group| group.as_str()).to_owned(),
                Some(found) => found.get(0).map_or(0, |group| group.as_str().chars().count()).to_string(),
                None => {
                    if right.contains("\\(") {
                        String::new()
                    } else {
                        "0".into()
                    }
                }
            }
        }
        "=" | "==" | "!=" | "<" | "<=" | ">" | ">=" => {
            let order = numbers.map_or_else(|| left.cmp(right), |(left, right)| left.cmp(&right));
            truth(match operator {
                "=" | "==" => order.is_eq(),
                "!=" => order.is_ne(),
                "<" => order.is_lt(),
                "<=" => order.is_le(),
                ">" => order.is_gt(),
                _ => order.is_ge(),
            })
        }
        _ => {
            let (left, right) = numbers.ok_or("non-integer argument")?;
            let value = match operator {
                "+" => left.checked_add(right),
                "-" => left.checked_sub(right),
                "*" => left.checked_mul(right),
                "/" | "%" if right == 0 => return Err("division by zero".into()),
                "/" => left.checked_div(right),
                _ => left.checked_rem(right),
            };
            value.ok_or("number out of range")?.to_string()
        }
    })
}

fn expr_primary(words: &[&str], at: &mut usize) -> Result<String, String> {
    let left = words.len().saturating_sub(*at + 1);
    let mut next = || {
        let word = words.get(*at).copied().ok_or("syntax error");
        *at += 1;
        word
    };
    match next()? {
        "(" => {
            let value = expr_level(words, at, 0)?;
            if words.get(*at) != Some(&")") {
                return Err("syntax error".into());
            }
            *at += 1;
            Ok(value)
        }
        "length" if left >= 1 => Ok(next()?.chars().count().to_string()),
        "substr" if left >= 3 => {
            let (text, start, length) = (next()?, next()?, next()?);
            let start: usize = start.parse().map_err(|_| "non-integer argument")?;
            let length: usize = length.parse().map_err(|_| "non-integer argument")?;
            Ok(text.chars().skip(start.saturating_sub(1)).take(length).collect())
        }
        "index" if left >= 2 => {
            let (text, wanted) = (next()?, next()?);
            Ok(text.chars().position(|c| wanted.contains(c)).map_or(0, |place| place + 1).to_string())
        }
        word => Ok(word.to_owned()),
    }
}

/// `bc`: arithmetic, comparisons, variables, `scale`, `sqrt` and with `-l` the usual functions, through awk's
/// expressions; no loops and no numbers beyond a double's.
pub(super) async fn bc(process: Process) -> i32 {
    let library = process.operands().iter().any(|word| word.contains('l'));
    let input = process.stdin().read_to_end().await.unwrap_or_default();
    let mut scale: usize = if library { 20 } else { 0 };
    let mut code = 0;
    let mut assigned = String::new();
    for line in String::from_utf8_lossy(&input).split(['\n', ';']).map(str::trim).filter(|line| !line.is_empty()) {
        if let Some(digits) = line.strip_prefix("scale").and_then(|rest| rest.trim().strip_prefix('=')) {
            scale = digits.trim().parse().unwrap_or(0).min(15);
            continue;
        }
        if line == "quit" {
            break;
        }
        let is_assignment = line
            .split_once('=')
            .is_some_and(|(name, rest)| !rest.starts_with('=') && name.trim().chars().all(|c| c.is_ascii_lowercase()));
        if is_assignment {
            assigned.push_str(&format!("{line}; "));
            continue;
        }
        if line.contains(['"', '{', '$', '|']) {
            code = process.fail(1, format_args!("this bc does not know: {line}")).await;
            continue;
        }
        // Division keeps as many digits as the scale says; so does what comes of it.
        let digits = if line.contains('/') || library {
            scale
        } else {
            places(line).max(if line.contains("sqrt") { scale } else { 0 })
        };
        let line = line.replace("s(", "sin(").replace("c(", "cos(").replace("l(", "log(").replace("e(", "exp(");
        let program = format!("BEGIN {{ {assigned} printf \"%.{}f\", ({line}) }}", digits + 2);
        let (reader, writer) = crate::io::pipe(process.machine.executor());
        let mut fds = process.fds.clone();
        fds.insert(1, writer);
        let Some(child) = super::spawn_with(&process, vec!["awk".into(), program], fds).await else { return 1 };
        let text = reader.read_to_end().await.unwrap_or_default();
        if child.wait().await != 0 {
            code = 1;
            continue;
        }
        let text = String::from_utf8_lossy(&text).into_owned();
        // bc cuts off where awk rounds.
        let cut = text.get(..text.len().saturating_sub(2)).unwrap_or_default().trim_end_matches('.').to_owned();
        let shown = match cut.strip_prefix("-0.") {
            Some(rest) => format!("-.{rest}"),
            None => cut.strip_prefix("0.").map_or_else(|| cut.clone(), |rest| format!(".{rest}")),
        };
        process.print(format!("{shown}\n")).await;
    }
    code
}

/// Digits after the point of the number in a text that has most.
fn places(text: &str) -> usize {
    let digits = |rest: &str| rest.chars().take_while(char::is_ascii_digit).count();
    text.split('.').skip(1).map(digits).max().unwrap_or(0)
}

/// `dd if= of= bs= count=`.
pub(super) async fn dd(process: Process) -> i32 {
    const BYTES_MAX: u64 = 1 << 30;
    let value = |name: &str| process.operands().iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    let size = |text: &str| -> Option<u64> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = match text.get(digits.len()..)?.to_ascii_uppercase().as_str() {
            "" | "C" => 1,
            "K" | "KB" | "KIB" => 1 << 10,
            "M" | "MB" | "MIB" => 1 << 20,
            "G" | "GB" | "GIB" => 1 << 30,
            _ => return None,
        };
        digits.parse::<u64>().ok()?.checked_mul(unit)
    };
    let block = value("bs").map_or(Some(512), size).filter(|block| *block > 0);
    let count = value("count").map_or(Some(u64::MAX), size);
    let (Some(block), Some(count)) = (block, count) else { return process.fail(1, "invalid number").await };
    let wanted = block.saturating_mul(count).min(BYTES_MAX);
    let input = match value("if").map_or_else(|| Ok(process.stdin()), |path| process.open(path)) {
        Ok(input) => input,
        Err(error) => {
            let path = value("if").unwrap_or_default();
            return process.fail(1, format_args!("can't open '{path}': {error}")).await;
        }
    };
    let mut data = Vec::new();
    while (data.len() as u64) < wanted {
        let most = (wanted - data.len() as u64).min(1 << 20) as usize;
        let part = input.read(most).await.unwrap_or_default();
        if part.is_empty() {
            break;
        }
        data.extend_from_slice(&part);
        process.sleep(std::time::Duration::from_micros(1)).await;
    }
    let copied = data.len() as u64;
    match value("of") {
        Some(path) => {
            if let Err(error) = process.fs().write(&process.path(path), data, process.machine.now()) {
                return process.fail(1, format_args!("error writing '{path}': {error}")).await;
            }
        }
        None => _ = process.print(data).await,
    }
    let blocks = format!("{}+{}", copied / block, u64::from(!copied.is_multiple_of(block)));
    let seconds = (copied as f64 / 1e9).max(0.000_01);
    let speed = super::listing::human((copied as f64 / seconds) as u64);
    let human = super::listing::human(copied);
    process
        .eprint(format!(
            "{blocks} records in\n{blocks} records out\n{copied} bytes ({human}B) copied, {seconds:.6} seconds, {speed}B/s\n"
        ))
        .await;
    0
}

/// `sysctl [-n] NAME…`: kernel parameters; with a value, one cannot be set here.
pub(super) async fn sysctl(process: Process) -> i32 {
    let (flags, names): (Vec<&String>, Vec<&String>) =
        process.operands().iter().partition(|word| word.starts_with('-'));
    let plain = flags.iter().any(|flag| flag.contains('n'));
    let mut code = 0;
    for name in names {
        let (name, value) = name.split_once('=').map_or((name.as_str(), None), |(name, value)| (name, Some(value)));
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        match (process.fs().read_text(&path), value) {
            (Ok(_), Some(_)) => {
                code = process.fail(1, format_args!("error setting key '{name}': Read-only file system")).await;
            }
            (Ok(text), None) if plain => _ = process.print(text).await,
            (Ok(text), None) => _ = process.print(format!("{name} = {text}")).await,
            (Err(_), _) => {
                code = process.fail(1, format_args!("cannot stat {path}: No such file or directory")).await;
            }
        }
    }
    code
}

/// `envsubst`: `$NAME` and `${NAME}` by the environment.
pub(super) async fn envsubst(process: Process) -> i32 {
    let only = process.operands().first().cloned().unwrap_or_default();
    let input = process.stdin().read_to_end().await.unwrap_or_default();
    let text = String::from_utf8_lossy(&input).into_owned();
    let mut out = String::new();
    let mut rest = text.as_str();
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let inner = from.get(1..).unwrap_or_default();
        let braced = inner.starts_with('{');
        let name: String =
            inner.chars().skip(usize::from(braced)).take_while(|c| *c == '_' || c.is_ascii_alphanumeric()).collect();
        let length = 1 + name.len() + if braced { 2 } else { 0 };
        let whole = from.get(..length).unwrap_or_default();
        let known = !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && (!braced || whole.ends_with('}'))
            && (only.is_empty() || only.contains(&format!("${name}")) || only.contains(&format!("${{{name}}}")));
        if known {
            out.push_str(process.var(&name));
            rest = from.get(length..).unwrap_or_default();
        } else {
            out.push('$');
            rest = inner;
        }
    }
    out.push_str(rest);
    i32::from(!process.print(out).await)
}

pub(super) async fn shuf(process: Process) -> i32 {
    let options = match Options::parse(process.operands(), "n:i:e", &[]) {
        Ok(options) => options,
        Err(message) => return process.fail(1, message).await,
    };
    let mut lines: Vec<String> = match options.value("i").and_then(|range| range.split_once('-')) {
        Some((from, to)) => match (from.parse::<u32>(), to.parse::<u32>()) {
            (Ok(from), Ok(to)) if to.saturating_sub(from) < 1_000_000 => (from..=to).map(|n| n.to_string()).collect(),
            _ => return process.fail(1, "invalid input range").await,
        },
        None if options.has("e") => options.operands.clone(),
        None => {
            let (texts, _) = inputs(&process, &options.operands).await;
            texts
                .iter()
                .flat_map(|(_, data)| String::from_utf8_lossy(data).lines().map(str::to_owned).collect::<Vec<_>>())
                .collect()
        }
    };
    for last in (1..lines.len()).rev() {
        let other = usize::try_from(process.machine.random() % (last as u64 + 1)).unwrap_or(0);
        lines.swap(last, other);
    }
    let most = options.value("n").and_then(|most| most.parse().ok()).unwrap_or(usize::MAX);
    let text: String = lines.iter().take(most).map(|line| format!("{line}\n")).collect();
    i32::from(!process.print(text).await)
}

/// `nohup`, `nice`, `setsid`: the command itself, as they change nothing that is seen here.
pub(super) async fn wrapped(process: Process) -> i32 {
    let mut words = process.operands();
    if process.name() == "nice" && words.first().is_some_and(|word| word == "-n") {
        words = words.get(2..).unwrap_or_default();
    }
    let command: Vec<String> = words.iter().skip_while(|word| word.starts_with('-')).cloned().collect();
    if command.is_empty() {
        return process.fail(125, "missing operand").await;
    }
    if process.name() == "nohup" {
        process.signals.ignore(crate::process::Signal::Hup);
    }
    super::exec(process, command).await
}

/// `less` and `more`: page by page on a terminal, all at once elsewhere.
pub(super) async fn pager(process: Process) -> i32 {
    let operands: Vec<String> =
        process.operands().iter().filter(|word| !word.starts_with(['-', '+'])).cloned().collect();
    let (texts, code) = inputs(&process, &operands).await;
    let data: Vec<u8> = texts.into_iter().flat_map(|(_, data)| data).collect();
    let stdout = process.stdout();
    // The keys come from the terminal, also where the text comes through a pipe.
    let tty = match stdout.tty().cloned() {
        Some(tty) => tty,
        None => {
            process.print(data).await;
            return code;
        }
    };
    let text = String::from_utf8_lossy(&data).replace('\t', "        ");
    let (columns, rows) = (usize::from(tty.size().0).max(1), usize::from(tty.size().1).max(2) - 1);
    let lines: Vec<String> = text
        .lines()
        .flat_map(|line| {
            let chars: Vec<char> = line.chars().collect();
            let parts: Vec<String> = chars.chunks(columns).map(|part| part.iter().collect()).collect();
            if parts.is_empty() { vec![String::new()] } else { parts }
        })
        .collect();
    if lines.len() <= rows {
        process.print(text).await;
        return code;
    }
    tty.set_raw(true);
    let last = lines.len() - rows;
    let (mut top, mut bytes, mut wanted) = (0_usize, Vec::new(), String::new());
    let mut message = String::new();
    loop {
        let page: Vec<&str> = lines.iter().skip(top).take(rows).map(String::as_str).collect();
        let foot = match std::mem::take(&mut message) {
            message if !message.is_empty() => message,
            _ if top == last => "(END)".to_owned(),
            _ => ":".to_owned(),
        };
        tty.write(format!("\x1b[H\x1b[2J{}\r\n\x1b[7m{foot}\x1b[0m", page.join("\r\n")).as_bytes());
        let Some(key) = next_key(&tty, &mut bytes).await else { break };
        let mut find = |from: usize, wanted: &str| match lines.iter().skip(from).position(|line| line.contains(wanted))
        {
            Some(at) => Some((from + at).min(last)),
            None => {
                message = "Pattern not found".into();
                None
            }
        };
        match key {
            Key::Char('q' | 'Q') | Key::Control('c') => break,
            Key::Char(' ' | 'f') | Key::Control('f') => top = (top + rows).min(last),
            Key::Char('b') | Key::Control('b') => top = top.saturating_sub(rows),
            Key::Char('d') | Key::Control('d') => top = (top + rows / 2).min(last),
            Key::Char('u') | Key::Control('u') => top = top.saturating_sub(rows / 2),
            Key::Char('j') | Key::Down | Key::Enter => top = (top + 1).min(last),
            Key::Char('k') | Key::Up => top = top.saturating_sub(1),
            Key::Char('g') | Key::Home => top = 0,
            Key::Char('G') | Key::End => top = last,
            Key::Char('n') => top = find(top + 1, &wanted).unwrap_or(top),
            Key::Char('/') => {
                wanted.clear();
                loop {
                    tty.write(format!("\r\x1b[K/{wanted}").as_bytes());
                    match next_key(&tty, &mut bytes).await {
                        Some(Key::Char(c)) => wanted.push(c),
                        Some(Key::Backspace) => _ = wanted.pop(),
                        _ => break,
                    }
                }
                top = find(top, &wanted).unwrap_or(top);
            }
            _ => {}
        }
    }
    tty.write(b"\r\x1b[K");
    tty.set_raw(false);
    tty.unread(&bytes);
    code
}

async fn next_key(tty: &crate::tty::Tty, bytes: &mut Vec<u8>) -> Option<Key> {
    loop {
        if let Some((key, used)) = decode(bytes) {
            bytes.drain(..used);
            return Some(key);
        }
        let part = tty.fd().read(crate::io::PIPE_BYTES_MAX).await.unwrap_or_default();
        if part.is_empty() {
            return None;
        }
        bytes.extend_from_slice(&part);
    }
}

/// `man NAME`: there are no pages here; a command's own help is.
pub(super) async fn man(process: Process) -> i32 {
    let Some(name) = process.operands().iter().rev().find(|word| word.parse::<u8>().is_err()).cloned() else {
        process.eprint("What manual page do you want?\nFor example, try 'man man'.\n").await;
        return 1;
    };
    if !matches!(name.as_str(), "kubectl" | "k" | "kind" | "minikube" | "docker") {
        process.eprint(format!("No manual entry for {name}\n")).await;
        return 16;
    }
    super::run(&process, vec![name, "--help".into()]).await
}
