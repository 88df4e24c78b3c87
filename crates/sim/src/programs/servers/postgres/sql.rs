//! As much SQL as tutorials type: tables, rows, simple conditions, counting.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use machinery::sort::Order;
use serde::{Deserialize, Serialize};

/// A cell; `None` is NULL.
pub(in crate::programs::servers) type Cell = Option<String>;

/// A table: columns with their types, a key if there is one, and rows.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(in crate::programs::servers) struct Table {
    pub(in crate::programs::servers) columns: Vec<(String, String)>,
    key: Option<usize>,
    next_serial: i64,
    rows: Vec<Vec<Cell>>,
}

/// A database.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(in crate::programs::servers) struct Database {
    pub(in crate::programs::servers) tables: BTreeMap<String, Table>,
}

/// What a statement gives.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::programs::servers) struct Reply {
    /// Column names; none where there are no rows to show.
    pub(in crate::programs::servers) columns: Vec<String>,
    /// Rows.
    pub(in crate::programs::servers) rows: Vec<Vec<Cell>>,
    /// `SELECT 3`, `INSERT 0 1`, …
    pub(in crate::programs::servers) tag: String,
}

/// An error: its code, and what psql prints after `ERROR:  `.
pub(in crate::programs::servers) type SqlError = (&'static str, String);

#[derive(Clone, Debug, PartialEq)]
enum Token {
    /// A name or keyword, in lower case unless it was quoted.
    Word(String),
    Text(String),
    Number(String),
    Mark(char),
    /// `<=`, `>=`, `<>`, `!=`.
    Compare(String),
}

fn tokens(text: &str) -> Result<Vec<Token>, SqlError> {
    let mut out = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            _ if c.is_whitespace() => {}
            '-' if chars.peek() == Some(&'-') => while chars.next().is_some_and(|c| c != '\n') {},
            '\'' | '"' => {
                let mut word = String::new();
                loop {
                    match chars.next() {
                        Some(end) if end == c && chars.peek() == Some(&c) => {
                            chars.next();
                            word.push(c);
                        }
                        Some(end) if end == c => break,
                        Some(inner) => word.push(inner),
                        None => return Err(("42601", format!("unterminated quoted string at or near \"{c}{word}\""))),
                    }
                }
                out.push(if c == '\'' { Token::Text(word) } else { Token::Word(word) });
            }
            '0'..='9' => {
                let mut number = String::from(c);
                while let Some(next) = chars.next_if(|c| c.is_ascii_digit() || *c == '.') {
                    number.push(next);
                }
                out.push(Token::Number(number));
            }
            '<' | '>' | '!' => {
                let second = chars.next_if(|next| *next == '=' || (c == '<' && *next == '>'));
                out.push(second.map_or(Token::Mark(c), |second| Token::Compare(format!("{c}{second}"))));
            }
            _ if c.is_alphanumeric() || c == '_' => {
                let mut word = String::from(c.to_ascii_lowercase());
                while let Some(next) = chars.next_if(|c| c.is_alphanumeric() || matches!(c, '_' | '.')) {
                    word.push(next.to_ascii_lowercase());
                }
                out.push(Token::Word(word));
            }
            mark => out.push(Token::Mark(mark)),
        }
    }
    Ok(out)
}

/// Splits a text into statements at semicolons outside of quotes.
pub(in crate::programs::servers) fn statements(text: &str) -> Vec<String> {
    let mut out = vec![String::new()];
    let mut quote = None;
    for c in text.chars() {
        match (quote, c) {
            (None, ';') => out.push(String::new()),
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), _) if open == c => quote = None,
            _ => {}
        }
        if !(quote.is_none() && c == ';')
            && let Some(last) = out.last_mut()
        {
            last.push(c);
        }
    }
    out.into_iter().map(|one| one.trim().to_owned()).filter(|one| !one.is_empty()).collect()
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    fn eat(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Word(known)) if known == word);
        self.at += usize::from(found);
        found
    }

    fn eat_mark(&mut self, mark: char) -> bool {
        let found = self.peek() == Some(&Token::Mark(mark));
        self.at += usize::from(found);
        found
    }

    fn error(&self) -> SqlError {
        let near = match self.peek() {
            None => return ("42601", "syntax error at end of input".into()),
            Some(Token::Word(text) | Token::Text(text) | Token::Number(text) | Token::Compare(text)) => text.clone(),
            Some(Token::Mark(mark)) => mark.to_string(),
        };
        ("42601", format!("syntax error at or near \"{near}\""))
    }

    fn expect(&mut self, word: &str) -> Result<(), SqlError> {
        if self.eat(word) { Ok(()) } else { Err(self.error()) }
    }

    fn expect_mark(&mut self, mark: char) -> Result<(), SqlError> {
        if self.eat_mark(mark) { Ok(()) } else { Err(self.error()) }
    }

    fn name(&mut self) -> Result<String, SqlError> {
        match self.peek() {
            Some(Token::Word(_)) => match self.next() {
                Some(Token::Word(word)) => Ok(word.trim_start_matches("public.").to_owned()),
                _ => Err(self.error()),
            },
            _ => Err(self.error()),
        }
    }

    fn names(&mut self) -> Result<Vec<String>, SqlError> {
        let mut out = Vec::new();
        self.expect_mark('(')?;
        loop {
            out.push(self.name()?);
            if !self.eat_mark(',') {
                break;
            }
        }
        self.expect_mark(')')?;
        Ok(out)
    }

    /// A constant.
    fn value(&mut self) -> Result<Cell, SqlError> {
        let minus = self.eat_mark('-');
        match self.next() {
            Some(Token::Number(number)) => Ok(Some(if minus { format!("-{number}") } else { number })),
            Some(Token::Text(text)) => Ok(Some(text)),
            Some(Token::Word(word)) if word == "null" || word == "default" => Ok(None),
            Some(Token::Word(word)) if word == "true" || word == "false" => Ok(word.get(..1).map(str::to_owned)),
            _ => {
                self.at = self.at.saturating_sub(1);
                Err(self.error())
            }
        }
    }

    /// `WHERE a = 1 AND b <> 'x'`.
    fn conditions(&mut self) -> Result<Vec<Condition>, SqlError> {
        let mut out = Vec::new();
        if !self.eat("where") {
            return Ok(out);
        }
        loop {
            let column = self.name()?;
            if self.eat("is") {
                let operator = if self.eat("not") { "<>" } else { "=" };
                self.expect("null")?;
                out.push(Condition { column, operator: operator.into(), value: None });
            } else {
                let operator = match self.next() {
                    Some(Token::Mark(mark @ ('=' | '<' | '>'))) => mark.to_string(),
                    Some(Token::Compare(text)) => text.replace("!=", "<>"),
                    Some(Token::Word(word)) if word == "like" => word,
                    _ => {
                        self.at = self.at.saturating_sub(1);
                        return Err(self.error());
                    }
                };
                let value = self.value()?;
                out.push(Condition { column, operator, value });
            }
            if !self.eat("and") {
                return Ok(out);
            }
        }
    }
}

struct Condition {
    column: String,
    operator: String,
    value: Cell,
}

/// Numbers by value, all else as text.
fn compare(a: &str, b: &str) -> Ordering {
    match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) => a.total_cmp(&b),
        _ => a.cmp(b),
    }
}

impl Condition {
    fn holds(&self, table: &Table, row: &[Cell]) -> Result<bool, SqlError> {
        let cell = row.get(table.column(&self.column)?).cloned().flatten();
        let (Some(cell), Some(value)) = (&cell, &self.value) else {
            return Ok((cell.is_none() && self.value.is_none()) == (self.operator == "=") && self.value.is_none());
        };
        let order = compare(cell, value);
        Ok(match self.operator.as_str() {
            "=" => order.is_eq(),
            "<>" => order.is_ne(),
            "<" => order.is_lt(),
            ">" => order.is_gt(),
            "<=" => order.is_le(),
            ">=" => order.is_ge(),
            _ => cell.contains(value.trim_matches('%')),
        })
    }
}

impl Table {
    fn column(&self, name: &str) -> Result<usize, SqlError> {
        let name = name.rsplit('.').next().unwrap_or(name);
        let found = self.columns.iter().position(|(known, _)| known == name);
        found.ok_or_else(|| ("42703", format!("column \"{name}\" does not exist")))
    }

    fn select(&self, conditions: &[Condition]) -> Result<Vec<usize>, SqlError> {
        let mut out = Vec::new();
        for (index, row) in self.rows.iter().enumerate() {
            let mut all = true;
            for condition in conditions {
                all &= condition.holds(self, row)?;
            }
            if all {
                out.push(index);
            }
        }
        Ok(out)
    }
}

/// A column of a result: `*` is spread out before.
enum Column {
    Field(String),
    Count,
    Constant(Cell),
}

impl Database {
    /// Its tables' names.
    pub(in crate::programs::servers) fn names(&self) -> Vec<String> {
        self.tables.keys().cloned().collect()
    }

    /// Runs one statement. `now` is what `now()` says.
    pub(in crate::programs::servers) fn run(&mut self, text: &str, now: &str) -> Result<Reply, SqlError> {
        let mut parser = Parser { tokens: tokens(text)?, at: 0 };
        let verb = parser.name()?;
        let reply = match verb.as_str() {
            "create" => self.create(&mut parser),
            "drop" => self.drop(&mut parser),
            "insert" => self.insert(&mut parser),
            "select" => self.select(&mut parser, now),
            "update" => self.update(&mut parser),
            "delete" | "truncate" => self.delete(&mut parser, &verb),
            "begin" | "commit" | "rollback" | "set" | "grant" | "alter" | "vacuum" | "analyze" => {
                return Ok(Reply { tag: verb.to_uppercase(), ..Reply::default() });
            }
            _ => {
                parser.at = 0;
                Err(parser.error())
            }
        }?;
        if parser.peek().is_some() {
            return Err(parser.error());
        }
        Ok(reply)
    }

    fn table(&mut self, name: &str) -> Result<&mut Table, SqlError> {
        self.tables.get_mut(name).ok_or_else(|| ("42P01", format!("relation \"{name}\" does not exist")))
    }

    fn create(&mut self, parser: &mut Parser) -> Result<Reply, SqlError> {
        let tag = |tag: &str| Reply { tag: tag.into(), ..Reply::default() };
        if parser.eat("database") {
            parser.at = parser.tokens.len();
            return Ok(tag("CREATE DATABASE"));
        }
        if !parser.eat("table") {
            parser.at = parser.tokens.len();
            return Ok(tag("CREATE"));
        }
        let lenient = parser.eat("if");
        if lenient {
            parser.expect("not")?;
            parser.expect("exists")?;
        }
        let name = parser.name()?;
        parser.expect_mark('(')?;
        let mut table = Table { next_serial: 1, ..Table::default() };
        loop {
            let column = parser.name()?;
            // What follows up to the comma is type and constraints.
            let (mut kind, mut depth) = (Vec::new(), 0);
            while let Some(token) = parser.peek() {
                match token {
                    Token::Mark('(') => depth += 1,
                    Token::Mark(')') if depth == 0 => break,
                    Token::Mark(')') => depth -= 1,
                    Token::Mark(',') if depth == 0 => break,
                    Token::Word(word) => kind.push(word.clone()),
                    _ => {}
                }
                parser.at += 1;
            }
            if !matches!(column.as_str(), "primary" | "constraint" | "unique" | "foreign" | "check") {
                let has = |word: &str| kind.iter().any(|known| known == word);
                if has("primary") || has("unique") {
                    table.key = Some(table.columns.len());
                }
                table.columns.push((column, kind.first().cloned().unwrap_or_else(|| "text".into())));
            }
            if !parser.eat_mark(',') {
                break;
            }
        }
        parser.expect_mark(')')?;
        if self.tables.contains_key(&name) {
            return if lenient {
                Ok(tag("CREATE TABLE"))
            } else {
                Err(("42P07", format!("relation \"{name}\" already exists")))
            };
        }
        self.tables.insert(name, table);
        Ok(tag("CREATE TABLE"))
    }

    fn drop(&mut self, parser: &mut Parser) -> Result<Reply, SqlError> {
        let what = parser.name()?;
        let lenient = parser.eat("if");
        if lenient {
            parser.expect("exists")?;
        }
        let name = parser.name()?;
        if what == "table" && self.tables.remove(&name).is_none() && !lenient {
            return Err(("42P01", format!("table \"{name}\" does not exist")));
        }
        Ok(Reply { tag: format!("DROP {}", what.to_uppercase()), ..Reply::default() })
    }

    fn insert(&mut self, parser: &mut Parser) -> Result<Reply, SqlError> {
        parser.expect("into")?;
        let name = parser.name()?;
        let table = self.table(&name)?;
        let columns = match parser.peek() {
            Some(Token::Mark('(')) => parser.names()?,
            _ => table.columns.iter().map(|(name, _)| name.clone()).collect(),
        };
        let places = columns.iter().map(|name| table.column(name)).collect::<Result<Vec<_>, _>>()?;
        parser.expect("values")?;
        let mut rows = Vec::new();
        loop {
            parser.expect_mark('(')?;
            let mut row = vec![None; table.columns.len()];
            for (index, place) in places.iter().enumerate() {
                if index > 0 {
                    parser.expect_mark(',')?;
                }
                if let Some(cell) = row.get_mut(*place) {
                    *cell = parser.value()?;
                }
            }
            parser.expect_mark(')')?;
            rows.push(row);
            if !parser.eat_mark(',') {
                break;
            }
        }
        // ON CONFLICT …: the new row wins, or nothing is done.
        let conflict = parser.eat("on");
        let nothing = conflict && parser.tokens.iter().any(|token| *token == Token::Word("nothing".into()));
        if conflict {
            parser.at = parser.tokens.len();
        }
        let count = rows.len();
        for mut row in rows {
            for (cell, (_, kind)) in row.iter_mut().zip(&table.columns) {
                if cell.is_none() && kind.contains("serial") {
                    *cell = Some(table.next_serial.to_string());
                    table.next_serial += 1;
                }
            }
            let key = table.key.and_then(|key| row.get(key).cloned().flatten().map(|value| (key, value)));
            let same = key.as_ref().and_then(|(key, value)| {
                table.rows.iter().position(|row| row.get(*key).cloned().flatten().as_ref() == Some(value))
            });
            match (same.and_then(|at| table.rows.get_mut(at)), conflict, nothing) {
                (None, ..) => table.rows.push(row),
                (Some(_), true, true) => {}
                (Some(old), true, false) => *old = row,
                (Some(_), false, _) => {
                    let message = format!("duplicate key value violates unique constraint \"{name}_pkey\"");
                    return Err(("23505", message));
                }
            }
        }
        Ok(Reply { tag: format!("INSERT 0 {count}"), ..Reply::default() })
    }

    fn select(&mut self, parser: &mut Parser, now: &str) -> Result<Reply, SqlError> {
        let mut wanted: Vec<(String, Column)> = Vec::new();
        loop {
            if parser.eat_mark('*') {
                wanted.push(("*".into(), Column::Field("*".into())));
            } else if let Some(Token::Word(word)) = parser.peek().cloned() {
                parser.at += 1;
                let called = parser.eat_mark('(');
                if called {
                    while !parser.eat_mark(')') {
                        if parser.next().is_none() {
                            return Err(parser.error());
                        }
                    }
                }
                let column = match (word.as_str(), called) {
                    ("count", true) => Column::Count,
                    ("version", true) => Column::Constant(Some("PostgreSQL 17.6 on x86_64-pc-linux-gnu".into())),
                    ("now", true) | ("current_timestamp", false) => Column::Constant(Some(now.into())),
                    ("current_database", true) => Column::Constant(Some("postgres".into())),
                    ("current_user", false) => Column::Constant(Some("postgres".into())),
                    (_, true) => return Err(("42883", format!("function {word}() does not exist"))),
                    _ => Column::Field(word.clone()),
                };
                wanted.push((word, column));
            } else {
                let mut value = parser.value()?;
                while parser.eat_mark('+') {
                    let sum =
                        |a: &Cell, b: &Cell| Some(a.as_ref()?.parse::<i64>().ok()? + b.as_ref()?.parse::<i64>().ok()?);
                    let more = parser.value()?;
                    value = sum(&value, &more).map(|sum| sum.to_string());
                }
                wanted.push(("?column?".into(), Column::Constant(value)));
            }
            if parser.eat("as")
                && let Some(last) = wanted.last_mut()
            {
                last.0 = parser.name()?;
            }
            if !parser.eat_mark(',') {
                break;
            }
        }
        let none = Table { rows: vec![Vec::new()], ..Table::default() };
        let table = if parser.eat("from") { &*self.table(&parser.name()?)? } else { &none };
        let conditions = parser.conditions()?;
        let mut chosen = table.select(&conditions)?;
        let group = if parser.eat("group") {
            parser.expect("by")?;
            Some(table.column(&parser.name()?)?)
        } else {
            None
        };
        let mut order = None;
        if parser.eat("order") {
            parser.expect("by")?;
            let column = match parser.peek() {
                Some(Token::Number(_)) => parser.value()?.unwrap_or_default(),
                _ => parser.name()?,
            };
            let descending = parser.eat("desc");
            parser.eat("asc");
            order = Some((column, descending));
        }
        let limit = if parser.eat("limit") { parser.value()?.and_then(|text| text.parse().ok()) } else { None };
        let mut columns: Vec<(String, Column)> = Vec::new();
        for (name, column) in wanted {
            match column {
                Column::Field(field) if field == "*" => {
                    columns.extend(table.columns.iter().map(|(name, _)| (name.clone(), Column::Field(name.clone()))));
                }
                column => columns.push((name.rsplit('.').next().unwrap_or(&name).to_owned(), column)),
            }
        }
        // Rows of one group stand together; without groups, counting makes one of all.
        let counts = columns.iter().any(|(_, column)| matches!(column, Column::Count));
        let mut groups: Vec<Vec<usize>> = Vec::new();
        if let Some(by) = group {
            let value = |index: &usize| table.rows.get(*index).and_then(|row| row.get(by)).cloned().flatten();
            chosen.order_by_key(&value);
            for index in chosen {
                match groups.last_mut().filter(|last| last.first().map(value) == Some(value(&index))) {
                    Some(last) => last.push(index),
                    None => groups.push(vec![index]),
                }
            }
        } else if counts {
            groups.push(chosen);
        } else {
            groups.extend(chosen.into_iter().map(|index| vec![index]));
        }
        let mut rows = Vec::new();
        for members in &groups {
            let mut row = Vec::new();
            for (_, column) in &columns {
                row.push(match column {
                    Column::Count => Some(members.len().to_string()),
                    Column::Constant(cell) => cell.clone(),
                    Column::Field(name) => {
                        let place = table.column(name)?;
                        let first = members.first().and_then(|index| table.rows.get(*index));
                        first.and_then(|row| row.get(place)).cloned().flatten()
                    }
                });
            }
            rows.push(row);
        }
        if let Some((by, descending)) = order {
            let place = match by.parse::<usize>() {
                Ok(number) => number.checked_sub(1),
                Err(_) => columns.iter().position(|(name, _)| *name == by),
            };
            let place = place.ok_or_else(|| ("42703", format!("column \"{by}\" does not exist")))?;
            let cell = |row: &Vec<Cell>| row.get(place).cloned().flatten().unwrap_or_default();
            rows.order_by(|a, b| compare(&cell(a), &cell(b)));
            if descending {
                rows.reverse();
            }
        }
        rows.truncate(limit.unwrap_or(usize::MAX));
        let tag = format!("SELECT {}", rows.len());
        Ok(Reply { columns: columns.into_iter().map(|(name, _)| name).collect(), rows, tag })
    }

    fn update(&mut self, parser: &mut Parser) -> Result<Reply, SqlError> {
        let name = parser.name()?;
        parser.expect("set")?;
        let mut changes = Vec::new();
        loop {
            let column = parser.name()?;
            parser.expect_mark('=')?;
            changes.push((column, parser.value()?));
            if !parser.eat_mark(',') {
                break;
            }
        }
        let conditions = parser.conditions()?;
        let table = self.table(&name)?;
        let chosen = table.select(&conditions)?;
        for (column, value) in changes {
            let place = table.column(&column)?;
            for index in &chosen {
                if let Some(cell) = table.rows.get_mut(*index).and_then(|row| row.get_mut(place)) {
                    cell.clone_from(&value);
                }
            }
        }
        Ok(Reply { tag: format!("UPDATE {}", chosen.len()), ..Reply::default() })
    }

    fn delete(&mut self, parser: &mut Parser, verb: &str) -> Result<Reply, SqlError> {
        parser.eat(if verb == "delete" { "from" } else { "table" });
        let name = parser.name()?;
        let conditions = parser.conditions()?;
        let table = self.table(&name)?;
        let chosen = table.select(&conditions)?;
        let mut index = 0;
        table.rows.retain(|_| {
            index += 1;
            !chosen.contains(&(index - 1))
        });
        let tag = if verb == "delete" { format!("DELETE {}", chosen.len()) } else { "TRUNCATE TABLE".into() };
        Ok(Reply { tag, ..Reply::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tutorials_session() {
        let mut database = Database::default();
        let mut run = |text: &str| match database.run(text, "now") {
            Ok(reply) if reply.columns.is_empty() => reply.tag,
            Ok(reply) => {
                let row =
                    |row: &Vec<Cell>| row.iter().map(|cell| cell.clone().unwrap_or("NULL".into())).collect::<Vec<_>>();
                let rows: Vec<String> = reply.rows.iter().map(|one| row(one).join(",")).collect();
                format!("{}: {}", reply.columns.join(","), rows.join(" "))
            }
            Err((code, message)) => format!("{code} {message}"),
        };
        for (line, answer) in [
            ("SELECT 1 + 1", "?column?: 2"),
            ("CREATE TABLE users (id SERIAL PRIMARY KEY, name VARCHAR(20) NOT NULL, age int)", "CREATE TABLE"),
            ("create table users (id int)", "42P07 relation \"users\" already exists"),
            ("INSERT INTO users (name, age) VALUES ('Ann', 30), ('O''Hara', 9)", "INSERT 0 2"),
            ("SELECT * FROM users", "id,name,age: 1,Ann,30 2,O'Hara,9"),
            ("SELECT name FROM users WHERE age > 9 AND name <> 'x'", "name: Ann"),
            ("SELECT name FROM users ORDER BY name DESC LIMIT 1", "name: O'Hara"),
            ("SELECT count(*) FROM users", "count: 2"),
            ("UPDATE users SET age = 31 WHERE id = 1", "UPDATE 1"),
            ("DELETE FROM users WHERE age = 9", "DELETE 1"),
            ("SELECT * FROM users", "id,name,age: 1,Ann,31"),
            (
                "INSERT INTO users VALUES (1, 'again', 1)",
                "23505 duplicate key value violates unique constraint \"users_pkey\"",
            ),
            (
                "INSERT INTO users VALUES (1, 'Bob', 1) ON CONFLICT (id) DO UPDATE SET name = excluded.name",
                "INSERT 0 1",
            ),
            ("SELECT age, COUNT(id) AS count FROM users GROUP BY age", "age,count: 1,1"),
            ("SELECT x FROM users", "42703 column \"x\" does not exist"),
            ("SELEC 1", "42601 syntax error at or near \"selec\""),
            ("SELECT * FROM nobody", "42P01 relation \"nobody\" does not exist"),
            ("DROP TABLE users", "DROP TABLE"),
        ] {
            assert_eq!(run(line), answer, "{line}");
        }
        assert_eq!(statements("a ';' b; c;\n"), ["a ';' b", "c"]);
    }
}
