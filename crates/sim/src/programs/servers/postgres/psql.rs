//! `psql`.

use super::Client;
use super::sql::{self, Reply};
use crate::process::Process;
use crate::programs::columns;

/// Statements from `-c`, `-f` or standard input.
pub(in crate::programs::servers) async fn psql(process: Process) -> i32 {
    let var = |name: &str, default: &str| match process.var(name) {
        "" => default.to_owned(),
        value => value.to_owned(),
    };
    let mut host = var("PGHOST", "127.0.0.1");
    let mut port = var("PGPORT", "5432");
    let mut user = var("PGUSER", &var("POSTGRES_USER", "postgres"));
    let mut database = var("PGDATABASE", "");
    let mut password = process.var("PGPASSWORD").to_owned();
    let (mut scripts, mut plain, mut tuples) = (Vec::new(), false, false);
    let mut words = process.operands().iter();
    while let Some(word) = words.next() {
        let (flag, attached) = match word.strip_prefix("--") {
            Some(long) => match long.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (long.to_owned(), None),
            },
            None if word.starts_with('-') => (word.chars().skip(1).take(1).collect(), word.get(2..).map(str::to_owned)),
            None => {
                match word.strip_prefix("postgresql://").or(word.strip_prefix("postgres://")) {
                    Some(url) => {
                        let (login, place) = url.split_once('@').unwrap_or(("postgres", url));
                        let (name, secret) = login.split_once(':').unwrap_or((login, ""));
                        let (place, path) = place.split_once('/').unwrap_or((place, ""));
                        let (at, number) = place.split_once(':').unwrap_or((place, "5432"));
                        (user, password) = (name.into(), secret.into());
                        (host, port, database) = (at.into(), number.into(), path.into());
                    }
                    None if database.is_empty() => database.clone_from(word),
                    None => user.clone_from(word),
                }
                continue;
            }
        };
        let mut flag = flag;
        let mut attached = attached.filter(|value| !value.is_empty());
        match flag.as_str() {
            "t" | "tuples-only" | "A" | "no-align" | "q" | "quiet" | "w" | "W" | "X" | "l" | "list" => {
                let letters = format!("{flag}{}", attached.take().unwrap_or_default());
                tuples |= letters.contains('t');
                plain |= letters.contains('A');
                if letters.contains('l') && letters.len() == 1 {
                    scripts.push("\\l".to_owned());
                }
                // `-tAc` ends in a letter that takes a value.
                match letters.chars().last().filter(|last| letters.len() > 1 && "cdfhpU".contains(*last)) {
                    Some(last) => flag = last.into(),
                    None => continue,
                }
            }
            _ => {}
        }
        let value = attached.or_else(|| words.next().cloned()).unwrap_or_default();
        match flag.as_str() {
            "h" | "host" => host = value,
            "p" | "port" => port = value,
            "U" | "username" => user = value,
            "d" | "dbname" => database = value,
            "c" | "command" => scripts.push(value),
            "f" | "file" => match process.fs().read_text(&process.path(&value)) {
                Ok(text) => scripts.push(text),
                Err(error) => {
                    process.eprint(format!("psql: error: {value}: {error}\n")).await;
                    return 1;
                }
            },
            _ => {
                process.eprint(format!("psql: unrecognized option: {word}\n")).await;
                return 1;
            }
        }
    }
    if host.starts_with('/') {
        host = "127.0.0.1".into();
    }
    let port = port.parse().unwrap_or(5432);
    let mut client = match Client::connect(
        &process,
        &host,
        port,
        &user,
        &database,
        (!password.is_empty()).then_some(password.as_str()),
    )
    .await
    {
        Ok(client) => client,
        Err(error) => {
            process.eprint(format!("psql: error: {error}\n")).await;
            return 2;
        }
    };
    if scripts.is_empty() {
        let data = process.stdin().read_to_end().await.unwrap_or_default();
        scripts.push(String::from_utf8_lossy(&data).into_owned());
    }
    let mut code = 0;
    for script in scripts {
        // Commands of psql's own stand on lines of their own.
        let (own, rest): (Vec<&str>, Vec<&str>) = script.lines().partition(|line| line.trim_start().starts_with('\\'));
        let own = own.into_iter().filter_map(|line| query_of(line.trim()));
        for statement in own.chain(sql::statements(&rest.join("\n"))) {
            match client.query(&statement).await {
                Ok(reply) => {
                    process.print(render(&reply, plain, tuples)).await;
                }
                Err(error) => {
                    process.eprint(format!("ERROR:  {error}\n")).await;
                    code = 1;
                }
            }
        }
    }
    code
}

/// The query behind one of psql's own commands.
fn query_of(line: &str) -> Option<String> {
    match line.split_whitespace().next()? {
        "\\conninfo" | "\\l" => Some("SELECT current_database() AS \"Name\"".into()),
        _ => None,
    }
}

fn render(reply: &Reply, plain: bool, tuples: bool) -> String {
    if reply.columns.is_empty() {
        return format!("{}\n", reply.tag);
    }
    let rows: Vec<Vec<String>> =
        reply.rows.iter().map(|row| row.iter().map(|cell| cell.clone().unwrap_or_default()).collect()).collect();
    let footer = format!("({} row{})\n", rows.len(), if rows.len() == 1 { "" } else { "s" });
    if plain {
        let lines: String = rows.iter().map(|row| format!("{}\n", row.join("|"))).collect();
        return if tuples { lines } else { format!("{}\n{lines}{footer}", reply.columns.join("|")) };
    }
    let width = |index: usize| {
        let cells = rows.iter().filter_map(|row| row.get(index)).map(|cell| cell.chars().count());
        cells.max().unwrap_or(0).max(if tuples {
            0
        } else {
            reply.columns.get(index).map_or(0, |name| name.chars().count())
        })
    };
    let widths: Vec<usize> = (0..reply.columns.len()).map(width).collect();
    let numeric = |index: usize| rows.iter().filter_map(|row| row.get(index)).all(|cell| cell.parse::<f64>().is_ok());
    let mut out = String::new();
    if !tuples {
        let head: Vec<String> = reply
            .columns
            .iter()
            .zip(&widths)
            .map(|(name, width)| {
                let before = width.saturating_sub(name.chars().count()) / 2;
                format!(" {} ", columns::left(&(" ".repeat(before) + name), *width))
            })
            .collect();
        out.push_str(head.join("|").trim_end_matches('\n'));
        out.push('\n');
        out.push_str(&widths.iter().map(|width| "-".repeat(width + 2)).collect::<Vec<_>>().join("+"));
        out.push('\n');
    }
    for row in &rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(index, (cell, width))| match numeric(index) {
            true => format!(" {} ", columns::right(cell, *width)),
            false => format!(" {} ", columns::left(cell, *width)),
        });
        out.push_str(cells.collect::<Vec<_>>().join("|").trim_end());
        out.push('\n');
    }
    out.push_str(if tuples { "" } else { &footer });
    out.push('\n');
    out
}
