//! Patterns: `*`, `?`, `[…]`, in file names, `case` and `${…#…}`.

use crate::fs::{self, Fs};

/// A character and whether it was quoted; quoted ones stand for themselves.
pub(super) type Char = (char, bool);

/// Whether the text has an active `*`, `?` or `[`.
pub(super) fn is_pattern(text: &[Char]) -> bool {
    text.iter().any(|(c, quoted)| !quoted && matches!(c, '*' | '?' | '['))
}

/// Whether a pattern matches all of a text.
pub(super) fn matches(pattern: &[Char], text: &[char]) -> bool {
    // The usual greedy walk with one point to go back to: linear in practice, quadratic at worst.
    let (mut p, mut t) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while t < text.len() || p < pattern.len() {
        let step = match (pattern.get(p), text.get(t)) {
            (Some(('*', false)), _) => {
                back = Some((p, t));
                p += 1;
                continue;
            }
            (Some(('?', false)), Some(_)) => Some(1),
            (Some(('[', false)), Some(c)) => match bracket(pattern.get(p..).unwrap_or_default(), *c) {
                Some((true, length)) => Some(length),
                Some((false, _)) => None,
                None => (*c == '[').then_some(1),
            },
            (Some((expected, _)), Some(c)) => (expected == c).then_some(1),
            _ => None,
        };
        match (step, back) {
            (Some(length), _) => {
                p += length;
                t += 1;
            }
            (None, Some((star, from))) if from < text.len() => {
                back = Some((star, from + 1));
                p = star + 1;
                t = from + 1;
            }
            _ => return false,
        }
    }
    true
}

/// Whether a bracket expression takes a character, and its length; `None` if it has no end.
fn bracket(pattern: &[Char], c: char) -> Option<(bool, usize)> {
    let mut at = 1;
    let negated = matches!(pattern.get(at), Some(('!' | '^', false)));
    at += usize::from(negated);
    let first = at;
    let mut found = false;
    loop {
        let (from, _) = *pattern.get(at)?;
        if from == ']' && at > first {
            return Some((found != negated, at + 1));
        }
        if from == '[' && pattern.get(at + 1).map(|(c, _)| *c) == Some(':') {
            let name: String = pattern.iter().skip(at + 2).map(|(c, _)| *c).take_while(|c| *c != ':').collect();
            found |= in_class(&name, c);
            at += name.chars().count() + 4;
            continue;
        }
        let range_end = pattern.get(at + 2).map(|(c, _)| *c).filter(|end| *end != ']');
        if pattern.get(at + 1).map(|(c, _)| *c) == Some('-')
            && let Some(end) = range_end
        {
            found |= (from..=end).contains(&c);
            at += 3;
        } else {
            found |= from == c;
            at += 1;
        }
    }
}

/// Whether a character is of a class such as `digit`.
pub(crate) fn in_class(name: &str, c: char) -> bool {
    match name {
        "alpha" => c.is_alphabetic(),
        "digit" => c.is_ascii_digit(),
        "alnum" => c.is_alphanumeric(),
        "upper" => c.is_uppercase(),
        "lower" => c.is_lowercase(),
        "space" => c.is_whitespace(),
        "blank" => c == ' ' || c == '\t',
        "punct" => c.is_ascii_punctuation(),
        "xdigit" => c.is_ascii_hexdigit(),
        "cntrl" => c.is_control(),
        "print" => !c.is_control(),
        "graph" => !c.is_control() && c != ' ',
        _ => false,
    }
}

/// A pattern without quoted parts.
pub(crate) fn matches_text(pattern: &str, text: &str) -> bool {
    let pattern: Vec<Char> = pattern.chars().map(|c| (c, false)).collect();
    matches(&pattern, &text.chars().collect::<Vec<_>>())
}

/// The paths that match, sorted; none if none does.
pub(super) fn expand(fs: &Fs, cwd: &str, pattern: &[Char]) -> Vec<String> {
    let rooted = pattern.first().is_some_and(|(c, _)| *c == '/');
    let parts: Vec<&[Char]> = pattern.split(|(c, _)| *c == '/').filter(|part| !part.is_empty()).collect();
    let mut found = vec![if rooted { "/".to_owned() } else { String::new() }];
    for part in parts {
        let mut next = Vec::new();
        for base in found {
            let joined = |name: &str| {
                if base.is_empty() || base == "/" { format!("{base}{name}") } else { format!("{base}/{name}") }
            };
            if !is_pattern(part) {
                let path = joined(&part.iter().map(|(c, _)| *c).collect::<String>());
                if fs.symlink_metadata(&fs::absolute(cwd, &path)).is_ok() {
                    next.push(path);
                }
                continue;
            }
            let hidden = part.first().is_some_and(|(c, _)| *c == '.');
            for (name, _) in fs.list(&fs::absolute(cwd, &base)).unwrap_or_default() {
                let text: Vec<char> = name.chars().collect();
                if (hidden || !name.starts_with('.')) && matches(part, &text) {
                    next.push(joined(&name));
                }
            }
        }
        found = next;
    }
    found.retain(|path| !path.is_empty());
    found
}

#[cfg(test)]
mod tests {
    use super::matches_text;

    #[test]
    fn patterns() {
        let yes = [
            ("*", ""),
            ("a*c", "abbc"),
            ("a?c", "abc"),
            ("[a-c]x", "bx"),
            ("[!a]", "b"),
            ("*.y*ml", "a.yaml"),
            ("[[:digit:]]*", "7a"),
        ];
        let no = [("a*c", "ab"), ("?", ""), ("[a-c]", "d"), ("[!a]", "a"), ("*.txt", "a.txt.gz")];
        assert!(yes.iter().all(|(pattern, text)| matches_text(pattern, text)));
        assert!(no.iter().all(|(pattern, text)| !matches_text(pattern, text)));
        assert!(!matches_text(&"*a".repeat(30), &"a".repeat(29)));
    }
}
