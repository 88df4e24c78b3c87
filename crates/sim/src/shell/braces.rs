//! Brace expansion: `{a,b}` and `{1..5}`, as bash has it.

use super::ast::{Piece, Word};

/// How many words one may become.
const WORDS_MAX: usize = 10_000;

/// A character that was not quoted, or what was.
#[derive(Clone)]
enum Atom {
    Char(char),
    Piece(Piece),
}

/// The words that a word becomes.
pub(super) fn expand(word: &Word) -> Vec<Word> {
    let has_brace = |piece: &Piece| matches!(piece, Piece::Literal(text) if text.contains('{'));
    if !word.iter().any(has_brace) {
        return vec![word.clone()];
    }
    let atoms: Vec<Atom> = word
        .iter()
        .flat_map(|piece| match piece {
            Piece::Literal(text) => text.chars().map(Atom::Char).collect(),
            other => vec![Atom::Piece(other.clone())],
        })
        .collect();
    let mut budget = WORDS_MAX;
    alternatives(&atoms, &mut budget).into_iter().map(|atoms| join(&atoms)).collect()
}

fn join(atoms: &[Atom]) -> Word {
    let mut word = Word::new();
    for atom in atoms {
        match (atom, word.last_mut()) {
            (Atom::Char(c), Some(Piece::Literal(text))) => text.push(*c),
            (Atom::Char(c), _) => word.push(Piece::Literal(c.to_string())),
            (Atom::Piece(piece), _) => word.push(piece.clone()),
        }
    }
    word
}

fn is(atom: Option<&Atom>, wanted: char) -> bool {
    matches!(atom, Some(Atom::Char(c)) if *c == wanted)
}

fn alternatives(atoms: &[Atom], budget: &mut usize) -> Vec<Vec<Atom>> {
    let mut at = 0;
    while at < atoms.len() {
        if !is(atoms.get(at), '{') {
            at += 1;
            continue;
        }
        let Some((parts, end)) = parts(atoms, at) else {
            at += 1;
            continue;
        };
        let tails = alternatives(atoms.get(end..).unwrap_or_default(), budget);
        let head = atoms.get(..at).unwrap_or_default();
        let mut all = Vec::new();
        for part in parts {
            for middle in alternatives(&part, budget) {
                for tail in &tails {
                    if *budget == 0 {
                        return vec![atoms.to_vec()];
                    }
                    *budget -= 1;
                    all.push([head, middle.as_slice(), tail.as_slice()].concat());
                }
            }
        }
        return all;
    }
    vec![atoms.to_vec()]
}

/// What stands between the brace at `start` and its end, and where that is; none if it expands to nothing.
fn parts(atoms: &[Atom], start: usize) -> Option<(Vec<Vec<Atom>>, usize)> {
    let mut depth = 0;
    let mut parts = vec![Vec::new()];
    for (at, atom) in atoms.iter().enumerate().skip(start + 1) {
        match atom {
            Atom::Char('{') => depth += 1,
            Atom::Char('}') if depth > 0 => depth -= 1,
            Atom::Char('}') => {
                if parts.len() == 1 {
                    parts = sequence(parts.first()?)?;
                }
                return Some((parts, at + 1));
            }
            Atom::Char(',') if depth == 0 => {
                parts.push(Vec::new());
                continue;
            }
            _ => {}
        }
        parts.last_mut()?.push(atom.clone());
    }
    None
}

/// `1..5`, `5..1..2`, `a..e`.
fn sequence(inside: &[Atom]) -> Option<Vec<Vec<Atom>>> {
    let text: String = inside
        .iter()
        .map(|atom| match atom {
            Atom::Char(c) => Some(*c),
            Atom::Piece(_) => None,
        })
        .collect::<Option<_>>()?;
    let mut ends = text.split("..");
    let (first, last) = (ends.next()?, ends.next()?);
    let step = ends.next().map_or(Some(1), |step| step.parse::<i64>().ok())?.unsigned_abs().max(1);
    let letter = |text: &str| text.chars().next().filter(|c| text.len() == 1 && c.is_ascii_alphabetic());
    let (from, to, letters) = match (first.parse::<i64>(), last.parse::<i64>()) {
        (Ok(from), Ok(to)) => (from, to, false),
        _ => (letter(first)? as i64, letter(last)? as i64, true),
    };
    if from.abs_diff(to) / step >= WORDS_MAX as u64 {
        return None;
    }
    let padded = |text: &str| text.len() > 1 && text.trim_start_matches('-').starts_with('0');
    let width =
        if !letters && (padded(first) || padded(last)) { first.len().max(last.len()).min(WORDS_MAX) } else { 0 };
    let step = i64::try_from(step).ok()?;
    let mut all = Vec::new();
    let mut value = from;
    while if from <= to { value <= to } else { value >= to } {
        let shown = match letters {
            true => char::from(u8::try_from(value).ok()?).to_string(),
            false => format!("{value:0width$}"),
        };
        all.push(shown.chars().map(Atom::Char).collect());
        value += if from <= to { step } else { -step };
    }
    Some(all)
}
