//! History expansion: `!!`, `!5`, `!-2`, `!kub`, `!$`.

/// The line with what it recalls in its place; `None` if it recalls nothing.
///
/// # Errors
/// `event not found`, with the event.
pub(super) fn recalled(line: &str, history: &[String]) -> Result<Option<String>, String> {
    let chars: Vec<char> = line.chars().collect();
    let mut out = String::new();
    let (mut at, mut single, mut changed) = (0, false, false);
    while let Some(c) = chars.get(at).copied() {
        match c {
            '\'' => single = !single,
            '\\' => {
                out.push(c);
                out.extend(chars.get(at + 1));
                at += 2;
                continue;
            }
            '!' if !single => {
                let next = chars.get(at + 1).copied().unwrap_or(' ');
                let word: String = chars
                    .iter()
                    .skip(at + 1)
                    .take_while(|c| !c.is_whitespace() && !matches!(c, ';' | '|' | '&' | '"' | ')' | '!'))
                    .collect();
                let inside = out.ends_with(['$', '[', '{', '(']) || matches!(next, ' ' | '=' | '(' | '"' | '~' | '\t');
                if !inside {
                    let (found, length) = match next {
                        '!' => (history.last().cloned(), 1),
                        '$' => {
                            let last = history.last().and_then(|line| line.split_whitespace().last());
                            (last.map(str::to_owned), 1)
                        }
                        _ => (event(&word, history), word.chars().count()),
                    };
                    let event: String = chars.iter().skip(at).take(length + 1).collect();
                    out.push_str(&found.ok_or(format!("{event}: event not found"))?);
                    at += length + 1;
                    changed = true;
                    continue;
                }
            }
            _ => {}
        }
        out.push(c);
        at += 1;
    }
    Ok(changed.then_some(out))
}

fn event(word: &str, history: &[String]) -> Option<String> {
    if word.is_empty() {
        return None;
    }
    match word.parse::<i64>() {
        Ok(number) if number < 0 => {
            let back = usize::try_from(number.unsigned_abs()).ok()?;
            history.len().checked_sub(back).and_then(|at| history.get(at)).cloned()
        }
        Ok(number) => history.get(usize::try_from(number).ok()?.checked_sub(1)?).cloned(),
        Err(_) => history.iter().rev().find(|line| line.starts_with(word)).cloned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_recalled() {
        let history = ["kubectl get pods", "ls /tmp"].map(str::to_owned);
        for (line, wanted) in [
            ("!!", Some("ls /tmp")),
            ("sudo !!", Some("sudo ls /tmp")),
            ("!1 -o wide", Some("kubectl get pods -o wide")),
            ("!-2", Some("kubectl get pods")),
            ("!kub", Some("kubectl get pods")),
            ("cat !$", Some("cat /tmp")),
            ("! true", None),
            ("[ a != b ]", None),
            ("echo '!!'", None),
            ("echo $!", None),
            ("echo ${!x}", None),
        ] {
            assert_eq!(recalled(line, &history), Ok(wanted.map(str::to_owned)), "{line}");
        }
        assert_eq!(recalled("!nope", &history), Err("!nope: event not found".into()));
    }
}
