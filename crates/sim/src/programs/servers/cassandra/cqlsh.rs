//! `cqlsh`.

use std::time::Duration;

use bytes::BytesMut;

use super::super::next_line;
use super::cql::{Reply, statements};
use super::{CQL, request};
use crate::process::Process;

/// How long a statement may take without `--request-timeout`.
const PATIENCE: Duration = Duration::from_secs(10);
const VERSION: &str = "[cqlsh 5.0.1 | Cassandra 3.11.2 | CQL spec 3.4.4 | Native protocol v4]";

/// `cqlsh [-e STATEMENTS | -f FILE] [-k KEYSPACE] [HOST [PORT]]`; statements come from standard input where none is
/// given.
pub(in super::super) async fn cqlsh(process: Process) -> i32 {
    let (mut place, mut keyspace, mut script) = (Vec::new(), String::new(), None);
    let mut words = process.operands().iter();
    while let Some(word) = words.next() {
        let (flag, given) = word.split_once('=').map_or((word.as_str(), None), |(flag, value)| (flag, Some(value)));
        let mut value = || given.or_else(|| words.next().map(String::as_str)).unwrap_or_default().to_owned();
        match flag {
            "-e" | "--execute" => script = Some(value()),
            "-f" | "--file" => {
                let path = value();
                match process.fs().read_text(&process.path(&path)) {
                    Ok(text) => script = Some(text),
                    Err(error) => return process.fail(1, format_args!("Can't open '{path}': {error}")).await,
                }
            }
            "-k" | "--keyspace" => keyspace = value(),
            "-u" | "-p" | "--username" | "--password" | "--request-timeout" | "--connect-timeout" => drop(value()),
            "--version" => return i32::from(!process.print("cqlsh 5.0.1\n").await),
            flag if flag.starts_with('-') => {}
            _ => place.push(word.clone()),
        }
    }
    let host = place.first().cloned().unwrap_or_else(|| match process.var("CQLSH_HOST") {
        "" => "127.0.0.1".to_owned(),
        host => host.to_owned(),
    });
    let port: u16 = place.get(1).and_then(|port| port.parse().ok()).unwrap_or(CQL);
    let mut shell = Shell { process: &process, host, port, keyspace, code: 0 };
    let Some(reply) = shell.ask("SELECT cluster_name FROM system.local").await else {
        let (host, port) = (&shell.host, shell.port);
        process
            .eprint(format!(
                "Connection error: ('Unable to connect to any servers', {{'{host}': error(111, \"Tried connecting to \
                 [('{host}', {port})]. Last error: Connection refused\")}})\n"
            ))
            .await;
        return 1;
    };
    if let Some(script) = script {
        for statement in statements(&script) {
            shell.run(&statement).await;
        }
        return shell.code;
    }
    let typed = process.stdin().tty().is_some();
    if typed {
        let cluster = reply.rows.first().and_then(|row| row.first()).cloned().unwrap_or_default();
        let hello =
            format!("Connected to {cluster} at {}:{}.\n{VERSION}\nUse HELP for help.\n", shell.host, shell.port);
        process.print(hello).await;
    }
    let (mut read, mut open) = (BytesMut::new(), String::new());
    loop {
        let prompt = match (typed, open.is_empty(), shell.keyspace.is_empty()) {
            (false, ..) => String::new(),
            (true, false, _) => "   ... ".into(),
            (true, true, true) => "cqlsh> ".into(),
            (true, true, false) => format!("cqlsh:{}> ", shell.keyspace),
        };
        if !process.print(prompt).await {
            return shell.code;
        }
        let Some(line) = next_line(&process, &mut read).await else { break };
        let line = String::from_utf8_lossy(&line).into_owned();
        let first = line.trim().trim_end_matches(';').to_lowercase();
        if open.is_empty() && matches!(first.as_str(), "exit" | "quit") {
            return shell.code;
        }
        open += &line;
        // What cqlsh does itself ends with its line.
        let own = ["describe", "desc", "show", "help", "consistency", "expand"];
        if open.trim_end().ends_with(';') || own.iter().any(|word| first.split(' ').next() == Some(word)) {
            for statement in statements(&std::mem::take(&mut open)) {
                shell.run(&statement).await;
            }
        }
    }
    for statement in statements(&open) {
        shell.run(&statement).await;
    }
    shell.code
}

struct Shell<'a> {
    process: &'a Process,
    host: String,
    port: u16,
    keyspace: String,
    code: i32,
}

impl Shell<'_> {
    async fn ask(&self, statement: &str) -> Option<Reply> {
        let message = serde_json::json!(["cql", self.keyspace, statement]).to_string();
        let answer = request(self.process, &self.host, self.port, &message, PATIENCE).await?;
        serde_json::from_str(&answer).ok()
    }

    async fn run(&mut self, statement: &str) {
        let words: Vec<String> = statement.split_whitespace().map(str::to_lowercase).collect();
        let own = match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["show", "version"] => Some(format!("{VERSION}\n")),
            ["show", "host"] => Some(format!("Connected to {} at {}:{}.\n", "cluster", self.host, self.port)),
            ["consistency"] => Some("Current consistency level is ONE.\n".to_owned()),
            ["consistency", level] => Some(format!("Consistency level set to {}.\n", level.to_uppercase())),
            ["help" | "expand", ..] => Some(String::new()),
            _ => None,
        };
        if let Some(text) = own {
            self.process.print(text).await;
            return;
        }
        let Some(reply) = self.ask(statement).await else {
            self.process.eprint("<stdin>:1:NoHostAvailable: \n").await;
            self.code = 2;
            return;
        };
        if let Some((kind, message)) = &reply.error {
            let text = if kind.is_empty() { message.clone() } else { format!("{kind}: {message}") };
            self.process.eprint(format!("<stdin>:1:{text}\n")).await;
            self.code = 2;
        }
        if let Some(keyspace) = &reply.keyspace {
            self.keyspace.clone_from(keyspace);
        }
        self.process.print(rendered(&reply)).await;
    }
}

/// A reply as cqlsh prints it: names at the left, values at the right.
fn rendered(reply: &Reply) -> String {
    if reply.columns.is_empty() {
        return reply.text.clone();
    }
    let width = |(at, name): (usize, &String)| {
        let cells = reply.rows.iter().filter_map(|row| row.get(at));
        cells.map(|cell| cell.chars().count()).chain([name.chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = reply.columns.iter().enumerate().map(width).collect();
    let head: Vec<String> = reply.columns.iter().zip(&widths).map(|(name, width)| format!("{name:<width$}")).collect();
    let line: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
    let mut out = format!("\n {}\n-{}-\n", head.join(" | ").trim_end(), line.join("-+-"));
    for row in &reply.rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:>width$}")).collect();
        out += &format!(" {}\n", cells.join(" | "));
    }
    out + &format!("\n({} rows)\n", reply.rows.len())
}
