//! A statement's pieces: which words of it are names, and which text is only said.

use super::SqlError;

/// A part of a statement. Comments are none.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Piece {
    /// A name, a keyword or a number, without the backticks that it may have had.
    Word(String),
    /// What a string in quotes of either kind says.
    Text(String),
    /// A sign between them, or a space.
    Mark(char),
}

/// Takes a statement to pieces.
pub(super) fn pieces(statement: &str) -> Result<Vec<Piece>, SqlError> {
    let mut out = Vec::new();
    let mut chars = statement.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '-' if chars.peek() == Some(&'-') => while chars.next_if(|c| *c != '\n').is_some() {},
            '#' => while chars.next_if(|c| *c != '\n').is_some() {},
            '/' if chars.peek() == Some(&'*') => {
                let mut before = ' ';
                while let Some(inner) = chars.next().filter(|inner| !(before == '*' && *inner == '/')) {
                    before = inner;
                }
                out.push(Piece::Mark(' '));
            }
            '\'' | '"' | '`' => {
                let mut text = String::new();
                loop {
                    match chars.next() {
                        Some(end) if end == c && chars.next_if_eq(&c).is_none() => break,
                        Some('\\') if c != '`' => text.push(match chars.next() {
                            Some('n') => '\n',
                            Some('r') => '\r',
                            Some('t') => '\t',
                            Some(escaped) => escaped,
                            None => break,
                        }),
                        Some(inner) => text.push(inner),
                        None => return Err(("42000", format!("unterminated quoted string at or near \"{c}{text}\""))),
                    }
                }
                match (c, out.as_mut_slice()) {
                    // A name in backticks goes on after its database's point, and a point after it.
                    ('`', [.., Piece::Word(word)]) if word.ends_with('.') => word.push_str(&text),
                    ('`', _) => out.push(Piece::Word(text)),
                    _ => out.push(Piece::Text(text)),
                }
            }
            _ if is_of_word(c) => match out.last_mut() {
                Some(Piece::Word(word)) => word.push(c),
                _ => out.push(Piece::Word(c.into())),
            },
            mark => out.push(Piece::Mark(mark)),
        }
    }
    Ok(out)
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.' | '$')
}

/// The statement of pieces, with strings as standard SQL writes them.
pub(super) fn joined(pieces: &[Piece]) -> String {
    let mut out = String::new();
    let mut before = None;
    for piece in pieces {
        if let (Some(Piece::Word(_)), Piece::Word(_)) = (before.replace(piece), piece) {
            out.push(' ');
        }
        match piece {
            Piece::Word(word) => out.push_str(word),
            Piece::Text(text) => out.push_str(&format!("'{}'", text.replace('\'', "''"))),
            Piece::Mark(mark) => out.push(*mark),
        }
    }
    out
}

/// Takes the database off the tables' names of a statement: that of the first table that is named with one.
pub(super) fn take_database(pieces: &mut [Piece]) -> Option<String> {
    /// A table's name follows these, and these may be between.
    const BEFORE: [&str; 8] = ["FROM", "INTO", "UPDATE", "TABLE", "JOIN", "INSERT", "REPLACE", "TRUNCATE"];
    const BETWEEN: [&str; 5] = ["IF", "NOT", "EXISTS", "IGNORE", "LOW_PRIORITY"];
    let mut named: Option<String> = None;
    let mut awaits = false;
    for piece in pieces {
        let Piece::Word(word) = piece else {
            awaits &= matches!(piece, Piece::Mark(mark) if mark.is_whitespace());
            continue;
        };
        let upper = word.to_uppercase();
        if BEFORE.contains(&upper.as_str()) {
            awaits = true;
        } else if awaits && !BETWEEN.contains(&upper.as_str()) {
            awaits = false;
            if let Some((database, table)) = word.split_once('.')
                && !table.is_empty()
                && named.as_deref().is_none_or(|known| known == database)
            {
                let (database, table) = (database.to_owned(), table.to_owned());
                *word = table;
                named = Some(database);
            }
        }
    }
    named
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_databases_are_those_of_tables() {
        let cases = [
            ("INSERT INTO users VALUES ('root@mysql.com')", "", "INSERT INTO users VALUES ('root@mysql.com')"),
            ("insert into `test`.`users` values (\"it's\")", "test", "insert into users values ('it''s')"),
            (
                "UPDATE t SET url='http://test.example', b='a\\'b'",
                "",
                "UPDATE t SET url='http://test.example', b='a''b'",
            ),
            ("SELECT test.m.id FROM test.m WHERE a='sys.exit'", "test", "SELECT test.m.id FROM m WHERE a='sys.exit'"),
            ("DROP TABLE IF EXISTS a.b -- c.d isn't", "a", "DROP TABLE IF EXISTS b "),
            ("SELECT * FROM a.b JOIN c.d", "a", "SELECT * FROM b JOIN c.d"),
        ];
        for (statement, database, rest) in cases {
            let mut pieces = pieces(statement).unwrap();
            assert_eq!(take_database(&mut pieces).unwrap_or_default(), database, "{statement}");
            assert_eq!(joined(&pieces), rest);
        }
        assert!(pieces("SELECT 'a").is_err());
    }
}
