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

/// A part of a pattern.
#[derive(Clone, Copy)]
enum Atom<'a> {
    Star,
    Any,
    One(char),
    Set(&'a [Char]),
}

impl Atom<'_> {
    fn takes(self, c: char) -> bool {
        match self {
            Self::Star | Self::Any => true,
            Self::One(known) => known == c,
            Self::Set(set) => bracket(set, c).is_some_and(|(found, _)| found),
        }
    }
}

fn atoms(pattern: &[Char]) -> Vec<Atom<'_>> {
    let (mut out, mut at) = (Vec::new(), 0);
    while let Some((c, quoted)) = pattern.get(at) {
        let rest = pattern.get(at..).unwrap_or_default();
        let set = (*c == '[' && !quoted).then(|| bracket(rest, ' ')).flatten();
        let (atom, length) = match (*c, *quoted, set) {
            ('*', false, _) => (Atom::Star, 1),
            ('?', false, _) => (Atom::Any, 1),
            (_, false, Some((_, length))) => (Atom::Set(rest.get(..length).unwrap_or_default()), length),
            (c, ..) => (Atom::One(c), 1),
        };
        out.push(atom);
        at += length;
    }
    out
}

/// How a pattern meets the beginning of a text.
enum Meeting {
    /// It matches so many characters.
    Length(usize),
    /// It does not match, but may further on.
    None,
    /// It matches neither here nor further on: what follows its first `*` is not there.
    Never,
}

/// The shortest or longest beginning of a text that matches: what is between stars is taken where it first is, what
/// follows the last one where it first or last is.
fn meet(pattern: &[Atom<'_>], text: &[char], longest: bool) -> Meeting {
    let fits = |part: &[Atom<'_>], at: usize| {
        text.get(at..at + part.len()).is_some_and(|text| part.iter().zip(text).all(|(atom, c)| atom.takes(*c)))
    };
    let mut parts = pattern.split(|atom| matches!(atom, Atom::Star));
    let first = parts.next().unwrap_or_default();
    if !fits(first, 0) {
        return Meeting::None;
    }
    let mut at = first.len();
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        let last = parts.peek().is_none();
        let places = at..=text.len().saturating_sub(part.len()).max(at);
        let found = match last && longest {
            true => places.rev().find(|place| fits(part, *place)),
            false => places.into_iter().find(|place| fits(part, *place)),
        };
        match found {
            Some(place) => at = place + part.len(),
            None => return Meeting::Never,
        }
    }
    Meeting::Length(at)
}

/// Cuts off what matches at one end.
pub(super) fn trim(text: &str, pattern: &[Char], suffix: bool, longest: bool) -> String {
    let (mut pattern, mut text) = (atoms(pattern), text.chars().collect::<Vec<char>>());
    if suffix {
        pattern.reverse();
        text.reverse();
    }
    if let Meeting::Length(length) = meet(&pattern, &text, longest) {
        text.drain(..length);
    }
    if suffix {
        text.reverse();
    }
    text.into_iter().collect()
}

/// Puts a text in the place of the first or of every longest match.
pub(super) fn replace(text: &str, pattern: &[Char], with: &str, all: bool) -> String {
    let (pattern, text) = (atoms(pattern), text.chars().collect::<Vec<char>>());
    let (mut out, mut at) = (String::new(), 0);
    while at < text.len() {
        let rest = text.get(at..).unwrap_or_default();
        match meet(&pattern, rest, true) {
            Meeting::Length(length) if length > 0 => {
                out.push_str(with);
                at += length;
                if !all {
                    break;
                }
            }
            Meeting::Never => break,
            _ => {
                out.extend(rest.first());
                at += 1;
            }
        }
    }
    out.extend(text.get(at..).unwrap_or_default());
    out
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
    use super::{Char, matches_text, replace, trim};

    fn chars(pattern: &str) -> Vec<Char> {
        pattern.chars().map(|c| (c, false)).collect()
    }

    #[test]
    fn ends_are_cut_and_matches_replaced() {
        for (text, pattern, suffix, longest, cut) in [
            ("a.b.c", "*.", false, false, "b.c"),
            ("a.b.c", "*.", false, true, "c"),
            ("a.b.c", ".*", true, false, "a.b"),
            ("a.b.c", ".*", true, true, "a"),
            ("abc", "x*", false, true, "abc"),
            ("abc7", "[[:digit:]]", true, false, "abc"),
            ("abc", "*", true, false, "abc"),
            ("abc", "*", true, true, ""),
            ("a/b/c", "*/b", false, false, "/c"),
            ("", "?", false, false, ""),
        ] {
            assert_eq!(trim(text, &chars(pattern), suffix, longest), cut, "{text} {pattern}");
        }
        for (text, pattern, with, all, made) in [
            ("a-b-c", "-", "+", true, "a+b+c"),
            ("a-b-c", "-", "+", false, "a+b-c"),
            ("a-b-c", "-*", "", true, "a"),
            ("xaybzb", "a*b", "_", true, "x_"),
            ("xaya", "a*b", "_", true, "xaya"),
            ("abc", "?", ".", true, "..."),
            ("abc", "[ac]", "", true, "b"),
            ("äbä", "ä", "a", true, "aba"),
        ] {
            assert_eq!(replace(text, &chars(pattern), with, all), made, "{text} {pattern}");
        }
        let long = "a\"".repeat(200_000);
        assert_eq!(replace(&long, &chars("\""), "", true).len(), 200_000);
        assert_eq!(replace(&long, &chars("a*x"), "", true).len(), 400_000);
        assert_eq!(trim(&long, &chars("*x"), false, true).len(), 400_000);
    }

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
