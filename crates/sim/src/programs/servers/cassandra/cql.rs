//! As much CQL as tutorials type: keyspaces, tables by their primary key, rows, `DESCRIBE`.

use std::collections::BTreeMap;

use machinery::sort::Order;
use serde::{Deserialize, Serialize};

/// What a statement gives.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Reply {
    /// Column names; none where there are no rows to show.
    pub(super) columns: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
    /// What `DESCRIBE` says.
    pub(super) text: String,
    /// The keyspace that is used from now on.
    pub(super) keyspace: Option<String>,
    /// The kind of an error, and its message.
    pub(super) error: Option<(String, String)>,
}

#[derive(Default)]
struct Keyspace {
    replication: String,
    tables: BTreeMap<String, Table>,
}

#[derive(Default)]
struct Table {
    /// Columns as they were named, with their types.
    columns: Vec<(String, String)>,
    partition: Vec<String>,
    clustering: Vec<String>,
    /// Rows by the values of the primary key.
    rows: BTreeMap<Vec<String>, BTreeMap<String, String>>,
}

/// What a node of Cassandra's holds.
#[derive(Default)]
pub(super) struct Data {
    keyspaces: BTreeMap<String, Keyspace>,
    /// Of the node: what `system.local` shows.
    pub(super) local: Vec<(String, String)>,
}

type Failure = (String, String);

fn invalid<T>(message: impl Into<String>) -> Result<T, Failure> {
    Err((
        "InvalidRequest".into(),
        format!("Error from server: code=2200 [Invalid query] message=\"{}\"", message.into()),
    ))
}

/// Whether a statement changes something, so that all nodes have to hear of it.
pub(super) fn changes(statement: &str) -> bool {
    let word = statement.split_whitespace().next().unwrap_or_default().to_uppercase();
    matches!(word.as_str(), "CREATE" | "DROP" | "ALTER" | "INSERT" | "UPDATE" | "DELETE" | "TRUNCATE")
}

/// The statements of a script.
pub(super) fn statements(script: &str) -> Vec<String> {
    let (mut out, mut current, mut quote) = (Vec::new(), String::new(), None);
    for line in script.lines() {
        let mut rest = line;
        if quote.is_none() && (rest.trim_start().starts_with("--") || rest.trim_start().starts_with("//")) {
            rest = "";
        }
        for c in rest.chars() {
            match (c, quote) {
                (';', None) => out.push(std::mem::take(&mut current)),
                _ => current.push(c),
            }
            quote = match (c, quote) {
                ('\'' | '"', None) => Some(c),
                (c, Some(open)) if c == open => None,
                _ => quote,
            };
        }
        current.push('\n');
    }
    out.push(current);
    out.retain(|statement| !statement.trim().is_empty());
    out.iter().map(|statement| statement.trim().to_owned()).collect()
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    /// A name or keyword as it was written, lower case unless it was quoted; a number too.
    Word(String),
    Text(String),
    /// A list, a set, a map: as it was written.
    Collection(String),
    Mark(char),
}

fn tokens(text: &str) -> Vec<Token> {
    let mut out = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            c if c.is_whitespace() => {}
            '\'' | '"' => {
                let mut word = String::new();
                while let Some(inner) = chars.next() {
                    if inner == c && chars.next_if_eq(&c).is_none() {
                        break;
                    }
                    word.push(inner);
                }
                out.push(if c == '\'' { Token::Text(word) } else { Token::Word(word) });
            }
            '{' | '[' => {
                let (mut depth, mut whole) = (1, String::from(c));
                while depth > 0
                    && let Some(inner) = chars.next()
                {
                    depth += i32::from(matches!(inner, '{' | '[')) - i32::from(matches!(inner, '}' | ']'));
                    whole.push(inner);
                }
                out.push(Token::Collection(whole));
            }
            c if c.is_alphanumeric() || matches!(c, '_' | '-') => {
                let mut word = String::from(c);
                while let Some(next) = chars.next_if(|c| c.is_alphanumeric() || matches!(c, '_' | '-')) {
                    word.push(next);
                }
                // `3.14`, but not `shop.users`.
                if word.starts_with(|c: char| c.is_ascii_digit() || c == '-') && chars.next_if_eq(&'.').is_some() {
                    word.push('.');
                    while let Some(next) = chars.next_if(char::is_ascii_digit) {
                        word.push(next);
                    }
                }
                out.push(Token::Word(word.to_lowercase()));
            }
            c => out.push(Token::Mark(c)),
        }
    }
    out
}

/// A statement as it is read.
struct Reader {
    tokens: Vec<Token>,
    at: usize,
    text: String,
}

impl Reader {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Option<Token> {
        self.at += 1;
        self.tokens.get(self.at - 1).cloned()
    }

    fn word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Word(known)) if known == word);
        self.at += usize::from(found);
        found
    }

    fn words(&mut self, words: &[&str]) -> bool {
        let start = self.at;
        let found = words.iter().all(|word| self.word(word));
        if !found {
            self.at = start;
        }
        found
    }

    fn mark(&mut self, mark: char) -> bool {
        let found = self.peek() == Some(&Token::Mark(mark));
        self.at += usize::from(found);
        found
    }

    fn failure<T>(&self) -> Result<T, Failure> {
        let at = match self.peek() {
            Some(Token::Word(word) | Token::Text(word) | Token::Collection(word)) => word.clone(),
            Some(Token::Mark(mark)) => mark.to_string(),
            None => "<EOF>".into(),
        };
        let begin: String = self.text.chars().take(20).collect();
        let message = format!("line 1:0 no viable alternative at input '{at}' ([{begin}]...)");
        Err(("SyntaxException".into(), message))
    }

    fn expect(&mut self, found: bool) -> Result<(), Failure> {
        if found { Ok(()) } else { self.failure() }
    }

    fn name(&mut self) -> Result<String, Failure> {
        match self.peek().cloned() {
            Some(Token::Word(word)) => {
                self.at += 1;
                Ok(word)
            }
            _ => self.failure(),
        }
    }

    fn value(&mut self) -> Result<String, Failure> {
        match self.next() {
            Some(Token::Text(text) | Token::Collection(text)) => Ok(text),
            Some(Token::Word(word)) => Ok(match word.as_str() {
                "true" => "True".into(),
                "false" => "False".into(),
                _ => word,
            }),
            _ => {
                self.at -= 1;
                self.failure()
            }
        }
    }

    /// `a, b` up to the closing parenthesis, which goes too.
    fn list<T>(&mut self, one: impl Fn(&mut Self) -> Result<T, Failure>) -> Result<Vec<T>, Failure> {
        let mut out = vec![one(self)?];
        while self.mark(',') {
            out.push(one(self)?);
        }
        let closed = self.mark(')');
        self.expect(closed)?;
        Ok(out)
    }

    /// `keyspace.table`, or a table of the keyspace that is used.
    fn table(&mut self, used: &str) -> Result<(String, String), Failure> {
        let first = self.name()?;
        match self.mark('.') {
            true => Ok((first, self.name()?)),
            false if used.is_empty() => {
                invalid("No keyspace has been specified. USE a keyspace, or explicitly specify keyspace.tablename")
            }
            false => Ok((used.to_owned(), first)),
        }
    }

    /// The conditions after `WHERE`: column, operator, values.
    fn conditions(&mut self) -> Result<Vec<(String, String, Vec<String>)>, Failure> {
        let mut out = Vec::new();
        if !self.word("where") {
            return Ok(out);
        }
        loop {
            let column = self.name()?;
            if self.word("in") {
                let open = self.mark('(');
                self.expect(open)?;
                out.push((column, "in".into(), self.list(Self::value)?));
            } else {
                let mut operator = String::new();
                for mark in ['<', '>', '='] {
                    if self.mark(mark) {
                        operator.push(mark);
                    }
                }
                self.expect(!operator.is_empty())?;
                out.push((column, operator, vec![self.value()?]));
            }
            if !self.word("and") {
                return Ok(out);
            }
        }
    }
}

impl Table {
    fn key(&self) -> impl Iterator<Item = &String> {
        self.partition.iter().chain(&self.clustering)
    }

    /// Columns as `SELECT *` has them: the key's, then the others by name.
    fn all_columns(&self) -> Vec<String> {
        let mut others: Vec<String> = self.columns.iter().map(|(name, _)| name.clone()).collect();
        others.retain(|name| !self.key().any(|key| key == name));
        others.order();
        self.key().cloned().chain(others).collect()
    }

    fn has(&self, column: &str) -> Result<(), Failure> {
        match self.columns.iter().any(|(name, _)| name == column) {
            true => Ok(()),
            false => invalid(format!("Undefined column name {column}")),
        }
    }

    /// How two values of a column follow each other: as numbers where it has numbers.
    fn compare(&self, column: &str, a: &str, b: &str) -> std::cmp::Ordering {
        const NUMBERS: [&str; 9] =
            ["tinyint", "smallint", "int", "bigint", "varint", "counter", "float", "double", "decimal"];
        let kind = self.columns.iter().find(|(name, _)| name == column).map_or("text", |(_, kind)| kind);
        let number = |text: &str| text.parse().unwrap_or(f64::NAN);
        if NUMBERS.contains(&kind) { number(a).total_cmp(&number(b)) } else { a.cmp(b) }
    }

    fn fits(&self, row: &BTreeMap<String, String>, conditions: &[(String, String, Vec<String>)]) -> bool {
        conditions.iter().all(|(column, operator, values)| {
            let Some(own) = row.get(column) else { return false };
            let order = |value: &String| self.compare(column, own, value);
            match operator.as_str() {
                "=" | "in" => values.iter().any(|value| order(value).is_eq()),
                "<" => values.iter().any(|value| order(value).is_lt()),
                ">" => values.iter().any(|value| order(value).is_gt()),
                "<=" => values.iter().any(|value| order(value).is_le()),
                _ => values.iter().any(|value| order(value).is_ge()),
            }
        })
    }

    /// Rows in the ring's order: by the hash of the partition, then by the clustering columns.
    fn ordered(&self) -> Vec<&BTreeMap<String, String>> {
        let mut rows: Vec<_> = self.rows.iter().collect();
        rows.order_by(|(a, _), (b, _)| {
            let hash = |key: &[String]| {
                let partition = key.get(..self.partition.len()).unwrap_or_default().join("\0");
                machinery::random::fnv64a(partition.as_bytes())
            };
            let rest = |key: &[String]| key.get(self.partition.len()..).unwrap_or_default().to_vec();
            let by_rest = || {
                let pairs = self.clustering.iter().zip(rest(a).into_iter().zip(rest(b)));
                pairs
                    .map(|(column, (a, b))| self.compare(column, &a, &b))
                    .find(|order| order.is_ne())
                    .unwrap_or(std::cmp::Ordering::Equal)
            };
            hash(a).cmp(&hash(b)).then_with(by_rest)
        });
        rows.into_iter().map(|(_, row)| row).collect()
    }

    fn described(&self, keyspace: &str, name: &str) -> String {
        let alone = self.partition.len() == 1 && self.clustering.is_empty();
        let mut lines: Vec<String> = Vec::new();
        for column in self.all_columns() {
            let kind = self.columns.iter().find(|(known, _)| *known == column).map_or("text", |(_, kind)| kind);
            let key = if alone && self.partition.contains(&column) { " PRIMARY KEY" } else { "" };
            lines.push(format!("    {column} {kind}{key}"));
        }
        if !alone {
            let partition = match &self.partition[..] {
                [one] => one.clone(),
                several => format!("({})", several.join(", ")),
            };
            let key: Vec<String> = std::iter::once(partition).chain(self.clustering.iter().cloned()).collect();
            lines.push(format!("    PRIMARY KEY ({})", key.join(", ")));
        }
        format!("CREATE TABLE {keyspace}.{name} (\n{}\n);\n", lines.join(",\n"))
    }
}

impl Data {
    fn keyspace(&mut self, name: &str) -> Result<&mut Keyspace, Failure> {
        self.keyspaces.get_mut(name).map_or_else(|| invalid(format!("Keyspace '{name}' does not exist")), Ok)
    }

    fn table(&mut self, (keyspace, table): &(String, String)) -> Result<&mut Table, Failure> {
        let tables = &mut self.keyspace(keyspace)?.tables;
        tables.get_mut(table).map_or_else(|| invalid(format!("unconfigured table {table}")), Ok)
    }

    /// Runs a statement in a keyspace; empty for none.
    pub(super) fn run(&mut self, used: &str, statement: &str) -> Reply {
        let mut reader = Reader { tokens: tokens(statement), at: 0, text: statement.to_owned() };
        let done = self.statement(used, &mut reader);
        done.unwrap_or_else(|error| Reply { error: Some(error), ..Reply::default() })
    }

    fn statement(&mut self, used: &str, reader: &mut Reader) -> Result<Reply, Failure> {
        if reader.word("use") {
            let name = reader.name()?;
            self.keyspace(&name)?;
            return Ok(Reply { keyspace: Some(name), ..Reply::default() });
        }
        if reader.word("describe") || reader.word("desc") {
            return self.describe(used, reader);
        }
        if reader.word("select") {
            return self.select(used, reader);
        }
        if reader.words(&["create", "keyspace"]) {
            let unless = reader.words(&["if", "not", "exists"]);
            let name = reader.name()?;
            if self.keyspaces.contains_key(&name) {
                let exists = ("AlreadyExists".to_owned(), format!("Keyspace '{name}' already exists"));
                return if unless { Ok(Reply::default()) } else { Err(exists) };
            }
            let stated = reader.words(&["with", "replication"]) && reader.mark('=');
            let Some(Token::Collection(replication)) = reader.next().filter(|_| stated) else {
                return Err(("ConfigurationException".into(), "Missing mandatory replication strategy class".into()));
            };
            self.keyspaces.insert(name, Keyspace { replication, tables: BTreeMap::new() });
            return Ok(Reply::default());
        }
        if reader.words(&["create", "table"]) || reader.words(&["create", "columnfamily"]) {
            return self.create_table(used, reader);
        }
        if reader.words(&["drop", "keyspace"]) {
            let lenient = reader.words(&["if", "exists"]);
            let name = reader.name()?;
            return match self.keyspaces.remove(&name) {
                None if !lenient => invalid(format!("Keyspace '{name}' doesn't exist")),
                _ => Ok(Reply::default()),
            };
        }
        if reader.words(&["drop", "table"]) {
            let lenient = reader.words(&["if", "exists"]);
            let (keyspace, table) = reader.table(used)?;
            return match self.keyspace(&keyspace)?.tables.remove(&table) {
                None if !lenient => invalid(format!("unconfigured table {table}")),
                _ => Ok(Reply::default()),
            };
        }
        if reader.word("truncate") {
            reader.word("table");
            let name = reader.table(used)?;
            self.table(&name)?.rows.clear();
            return Ok(Reply::default());
        }
        if reader.words(&["alter", "table"]) {
            let name = reader.table(used)?;
            let adds = reader.word("add");
            reader.expect(adds)?;
            let column = (reader.name()?, reader.name()?);
            self.table(&name)?.columns.push(column);
            return Ok(Reply::default());
        }
        if reader.words(&["insert", "into"]) {
            let name = reader.table(used)?;
            let open = reader.mark('(');
            reader.expect(open)?;
            let columns = reader.list(Reader::name)?;
            let opened = reader.word("values") && reader.mark('(');
            reader.expect(opened)?;
            let values = reader.list(Reader::value)?;
            if columns.len() != values.len() {
                return invalid("Unmatched column names/values");
            }
            let unless = reader.words(&["if", "not", "exists"]);
            let row = columns.into_iter().zip(values).collect();
            return self.put(&name, row, unless);
        }
        if reader.word("update") {
            let name = reader.table(used)?;
            let set = reader.word("set");
            reader.expect(set)?;
            let mut row = BTreeMap::new();
            loop {
                let column = reader.name()?;
                let equals = reader.mark('=');
                reader.expect(equals)?;
                row.insert(column, reader.value()?);
                if !reader.mark(',') {
                    break;
                }
            }
            for (column, _, values) in reader.conditions()? {
                row.extend(values.into_iter().next().map(|value| (column, value)));
            }
            return self.put(&name, row, false);
        }
        if reader.word("delete") {
            let from = reader.word("from");
            reader.expect(from)?;
            let name = reader.table(used)?;
            let conditions = reader.conditions()?;
            let table = self.table(&name)?;
            if !table.partition.iter().all(|key| conditions.iter().any(|(column, ..)| column == key)) {
                return invalid("Some partition key parts are missing: ".to_owned() + &table.partition.join(", "));
            }
            let rows = std::mem::take(&mut table.rows);
            let stay = rows.into_iter().filter(|(_, row)| !table.fits(row, &conditions)).collect();
            table.rows = stay;
            return Ok(Reply::default());
        }
        reader.failure()
    }

    fn create_table(&mut self, used: &str, reader: &mut Reader) -> Result<Reply, Failure> {
        let unless = reader.words(&["if", "not", "exists"]);
        let (keyspace, name) = reader.table(used)?;
        let open = reader.mark('(');
        reader.expect(open)?;
        let mut table = Table::default();
        loop {
            if reader.words(&["primary", "key"]) {
                let open = reader.mark('(');
                reader.expect(open)?;
                if reader.mark('(') {
                    table.partition = reader.list(Reader::name)?;
                    if reader.mark(',') {
                        table.clustering = reader.list(Reader::name)?;
                    } else {
                        let closed = reader.mark(')');
                        reader.expect(closed)?;
                    }
                } else {
                    let mut key = reader.list(Reader::name)?;
                    table.clustering = key.split_off(1);
                    table.partition = key;
                }
            } else {
                let column = reader.name()?;
                let mut kind = reader.name()?;
                if reader.mark('<') {
                    kind.push('<');
                    while !reader.mark('>') {
                        kind += &reader.name()?;
                        if reader.mark(',') {
                            kind += ", ";
                        }
                    }
                    kind.push('>');
                }
                if reader.words(&["primary", "key"]) {
                    table.partition = vec![column.clone()];
                }
                table.columns.push((column, kind));
            }
            if !reader.mark(',') {
                break;
            }
        }
        let closed = reader.mark(')');
        reader.expect(closed)?;
        if table.partition.is_empty() {
            return invalid(format!("No PRIMARY KEY specified for table '{keyspace}.{name}' (exactly one required)"));
        }
        let tables = &mut self.keyspace(&keyspace)?.tables;
        if tables.contains_key(&name) {
            let exists = ("AlreadyExists".to_owned(), format!("Table '{keyspace}.{name}' already exists"));
            return if unless { Ok(Reply::default()) } else { Err(exists) };
        }
        tables.insert(name, table);
        Ok(Reply::default())
    }

    fn put(&mut self, name: &(String, String), row: BTreeMap<String, String>, unless: bool) -> Result<Reply, Failure> {
        let table = self.table(name)?;
        for column in row.keys() {
            table.has(column)?;
        }
        let mut key = Vec::new();
        for column in table.key() {
            match row.get(column) {
                Some(value) => key.push(value.clone()),
                None => return invalid(format!("Some partition key parts are missing: {column}")),
            }
        }
        for (column, value) in &row {
            let kind = table.columns.iter().find(|(known, _)| known == column).map_or("", |(_, kind)| kind);
            let numeric = matches!(kind, "int" | "bigint" | "counter" | "smallint" | "tinyint" | "varint");
            if numeric && value != "null" && value.parse::<i128>().is_err() {
                return invalid(format!("Invalid STRING constant ({value}) for \"{column}\" of type {kind}"));
            }
        }
        let there = table.rows.contains_key(&key);
        if !(unless && there) {
            let own = table.rows.entry(key).or_default();
            own.extend(row);
            own.retain(|_, value| value != "null");
        }
        if !unless {
            return Ok(Reply::default());
        }
        let applied = if there { "False" } else { "True" };
        Ok(Reply { columns: vec!["[applied]".into()], rows: vec![vec![applied.into()]], ..Reply::default() })
    }

    fn select(&mut self, used: &str, reader: &mut Reader) -> Result<Reply, Failure> {
        let mut columns = Vec::new();
        let (mut all, mut counts) = (false, false);
        loop {
            if reader.mark('*') {
                all = true;
            } else {
                let name = reader.name()?;
                if reader.mark('(') {
                    counts = name == "count";
                    while !reader.mark(')') {
                        reader.expect(reader.peek().is_some())?;
                        reader.at += 1;
                    }
                } else {
                    columns.push(name);
                }
            }
            if !reader.mark(',') {
                break;
            }
        }
        let from = reader.word("from");
        reader.expect(from)?;
        let name = reader.table(used)?;
        let conditions = reader.conditions()?;
        if (name.0.as_str(), name.1.as_str()) == ("system", "local") {
            let found = self.local.iter().filter(|(column, _)| all || columns.contains(column)).cloned();
            let (columns, row) = found.unzip();
            return Ok(Reply { columns, rows: vec![row], ..Reply::default() });
        }
        let mut newest_first = false;
        if reader.words(&["order", "by"]) {
            reader.name()?;
            newest_first = reader.word("desc");
            reader.word("asc");
        }
        let limit = if reader.word("limit") { reader.value()?.parse().unwrap_or(usize::MAX) } else { usize::MAX };
        let filters = reader.words(&["allow", "filtering"]);
        reader.expect(reader.peek().is_none())?;
        let table = self.table(&name)?;
        for column in columns.iter().chain(conditions.iter().map(|(column, ..)| column)) {
            table.has(column)?;
        }
        let whole = table.partition.iter().all(|key| conditions.iter().any(|(column, ..)| column == key));
        let beside = conditions.iter().any(|(column, ..)| !table.key().any(|key| key == column));
        if !conditions.is_empty() && (!whole || beside) && !filters {
            return invalid(
                "Cannot execute this query as it might involve data filtering and thus may have unpredictable performance. \
                 If you want to execute this query despite the performance unpredictability, use ALLOW FILTERING",
            );
        }
        let mut found: Vec<_> = table.ordered().into_iter().filter(|row| table.fits(row, &conditions)).collect();
        if newest_first {
            found.reverse();
        }
        found.truncate(limit);
        if counts {
            let rows = vec![vec![found.len().to_string()]];
            return Ok(Reply { columns: vec!["count".into()], rows, ..Reply::default() });
        }
        let columns = if all { table.all_columns() } else { columns };
        let cell = |row: &BTreeMap<String, String>, column: &String| {
            row.get(column).cloned().unwrap_or_else(|| "null".to_owned())
        };
        let rows = found.into_iter().map(|row| columns.iter().map(|column| cell(row, column)).collect()).collect();
        Ok(Reply { columns, rows, ..Reply::default() })
    }

    fn describe(&mut self, used: &str, reader: &mut Reader) -> Result<Reply, Failure> {
        let said = |text: String| Ok(Reply { text, ..Reply::default() });
        const SYSTEM: [&str; 5] = ["system", "system_auth", "system_distributed", "system_schema", "system_traces"];
        if reader.word("keyspaces") {
            let names: Vec<&str> = SYSTEM.into_iter().chain(self.keyspaces.keys().map(String::as_str)).collect();
            return said(format!("\n{}\n", names.join("  ")));
        }
        if reader.word("tables") {
            let of = |(name, keyspace): (&String, &Keyspace)| {
                let tables: Vec<&str> = keyspace.tables.keys().map(String::as_str).collect();
                let tables = if tables.is_empty() { "<empty>".to_owned() } else { tables.join("  ") };
                match used.is_empty() {
                    true => format!("\nKeyspace {name}\n{}\n{tables}\n", "-".repeat(name.len() + 9)),
                    false => format!("\n{tables}\n"),
                }
            };
            return said(self.keyspaces.iter().filter(|(name, _)| used.is_empty() || *name == used).map(of).collect());
        }
        if reader.word("cluster") {
            let of = |name: &str| self.local.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value);
            return said(format!("\nCluster: {}\nPartitioner: Murmur3Partitioner\n", of("cluster_name")));
        }
        if reader.word("table") {
            let name = reader.table(used)?;
            return match self.table(&name) {
                Ok(table) => said(format!("\n{}", table.described(&name.0, &name.1))),
                Err(_) => Err((String::new(), format!("'{}' not found in keyspace '{}'", name.1, name.0))),
            };
        }
        reader.word("keyspace");
        let name = if reader.peek().is_some() { reader.name()? } else { used.to_owned() };
        let Some(keyspace) = self.keyspaces.get(&name) else {
            // A table of the keyspace that is used may be named alone.
            return match self.table(&(used.to_owned(), name.clone())) {
                Ok(table) => said(format!("\n{}", table.described(used, &name))),
                Err(_) => Err((String::new(), format!("'{name}' not found in keyspaces"))),
            };
        };
        let replication = &keyspace.replication;
        let mut text =
            format!("\nCREATE KEYSPACE {name} WITH replication = {replication}  AND durable_writes = true;\n");
        for (table, columns) in &keyspace.tables {
            text += &format!("\n{}", columns.described(&name, table));
        }
        said(text)
    }
}
