//! The lines of a transcript, and whether what was printed is what it wants. The tab's terminal and the native one
//! play the same transcripts.

/// A line, and what it is to print.
pub struct Line<'a> {
    /// What begins it: `$`, `!`, `?`, `&`, `^`, `=`, `@`.
    pub kind: char,
    pub text: &'a str,
    pub wanted: Vec<&'a str>,
    /// What is typed natively.
    pub natively: Natively<'a>,
}

pub enum Natively<'a> {
    Same,
    /// This instead, which prints that.
    Instead(&'a str, Vec<&'a str>),
    /// Nothing, for a reason.
    Nothing(&'a str),
}

/// Reads a transcript.
pub fn lines(text: &str) -> Vec<Line<'_>> {
    let mut found = Vec::new();
    let mut natively = Natively::Same;
    let mut rest = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).peekable();
    while let Some(line) = rest.next() {
        let mut chars = line.chars();
        let kind = chars.next().unwrap_or(' ');
        let text = chars.as_str().trim_start();
        let mut wanted = Vec::new();
        while let Some(pattern) = rest.next_if(|line| line.starts_with("> ")) {
            wanted.push(pattern.get(2..).unwrap_or_default());
        }
        match kind {
            '~' => natively = Natively::Nothing(text),
            '%' => natively = Natively::Instead(text, wanted),
            '$' | '!' | '?' | '&' | '^' | '=' | '@' => {
                let mut natively = std::mem::replace(&mut natively, Natively::Same);
                if let Natively::Instead(_, none) = &mut natively
                    && none.is_empty()
                {
                    none.clone_from(&wanted);
                }
                found.push(Line { kind, text, wanted, natively });
            }
            _ => panic!("{line}: no line of a transcript"),
        }
    }
    found
}

/// The first of the patterns that no line of what was printed has.
pub fn missing<'a>(printed: &str, wanted: &[&'a str]) -> Option<&'a str> {
    wanted.iter().copied().find(|pattern| !printed.lines().any(|line| fits(line, pattern)))
}

/// Whether a line has some words in order, `*` standing for any of them.
fn fits(line: &str, pattern: &str) -> bool {
    let words: Vec<&str> = line.split_whitespace().collect();
    let line = words.join(" ");
    let mut rest = line.as_str();
    pattern.split('*').all(|part| {
        let part = part.split_whitespace().collect::<Vec<_>>().join(" ");
        match rest.find(&part) {
            Some(at) => {
                rest = rest.get(at + part.len()..).unwrap_or_default();
                true
            }
            None => false,
        }
    })
}
