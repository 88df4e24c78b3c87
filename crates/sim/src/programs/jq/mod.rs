//! `jq` and `yq`: JSON and YAML by jq's language. A language of our own rather than a library's: the one there is takes
//! more bytes than all other programs of the tab together.

mod ast;
mod builtin;
mod parse;
mod run;
mod value;

use std::rc::Rc;
use std::time::Duration;

use serde_json::ser::PrettyFormatter;
use serde_json::{Map, Serializer, Value};

use super::text::inputs;
use crate::fs::Kind;
use crate::process::Process;
use ast::{Filter, Node};
use run::{Env, Machine, Stop};

/// What an input costs: keeps virtual time from standing still.
const INPUT_TIME: Duration = Duration::from_micros(10);
/// The functions that are written in the language itself.
const PRELUDE: &str = include_str!("prelude.jq");

const JQ_USAGE: &str = "Usage:\tjq [OPTIONS] FILTER [FILES...]\n\n  -n, --null-input   -R, --raw-input   -s, --slurp   \
                        -c, --compact-output   -r, --raw-output\n  -j, --join-output   -S, --sort-keys   -e, --exit-status   \
                        --tab   --indent N\n  --arg NAME VALUE   --argjson NAME JSON   -f, --from-file FILE\n\n\
                        The keys of objects come out sorted.\n";
const YQ_USAGE: &str = "Usage:\n  yq [OPTIONS] EXPRESSION [FILES...]\n\n  -o, --output-format yaml|json   -i, --inplace   \
                        -n, --null-input   -r, --unwrapScalar\n\nExpressions are jq's. Comments are not kept, and keys come out sorted.\n";

#[derive(Default)]
struct Options {
    null_input: bool,
    raw_input: bool,
    slurp: bool,
    raw_output: bool,
    join: bool,
    exit_status: bool,
    in_place: bool,
    sort_keys: bool,
    /// What a level is indented by; `None` for one line.
    indent: Option<String>,
    yaml_input: bool,
    yaml_output: bool,
    filter: Option<String>,
    files: Vec<String>,
    vars: Vec<(String, Value)>,
}

/// What is wrong with a command line: message and exit code.
type Wrong = (String, i32);

fn options(process: &Process) -> Result<Options, Wrong> {
    let name = process.name();
    let is_yq = name == "yq";
    let mut options = Options {
        yaml_input: is_yq,
        yaml_output: is_yq,
        raw_output: is_yq,
        indent: Some("  ".into()),
        ..Options::default()
    };
    let mut words = process.operands().iter();
    let mut rest: Vec<String> = Vec::new();
    let unknown = |word: &str| (format!("{name}: Unknown option: {word}\nUse {name} --help for help"), 2);
    while let Some(word) = words.next() {
        let mut next = || words.next().cloned().ok_or((format!("{name}: {word} takes a parameter"), 2));
        match word.as_str() {
            "--arg" => options.vars.push((next()?, Value::String(next()?))),
            "--argjson" => {
                let variable = next()?;
                let value = serde_json::from_str(&next()?);
                let value = value.map_err(|_| (format!("{name}: Invalid JSON text passed to --argjson"), 2))?;
                options.vars.push((variable, value));
            }
            "--tab" => options.indent = Some("\t".into()),
            "--indent" => {
                let spaces = next()?.parse::<usize>().unwrap_or(2).min(7);
                options.indent = (spaces > 0).then(|| " ".repeat(spaces));
            }
            "-f" | "--from-file" => {
                let path = next()?;
                let text = process.fs().read_text(&process.path(&path));
                let failed = |error| (format!("{name}: error: Could not open {path}: {error}"), 2);
                options.filter = Some(text.map_err(failed)?);
            }
            "-o" | "--output-format" if is_yq => options.set_format(&next()?),
            "-p" | "--input-format" if is_yq => options.yaml_input = !next()?.starts_with('j'),
            "--null-input" => options.null_input = true,
            "--raw-input" => options.raw_input = true,
            "--slurp" => options.slurp = true,
            "--compact-output" => options.indent = None,
            "--raw-output" | "--unwrapScalar" => options.raw_output = true,
            "--join-output" => (options.raw_output, options.join) = (true, true),
            "--sort-keys" => options.sort_keys = true,
            "--exit-status" => options.exit_status = true,
            "--inplace" if is_yq => options.in_place = true,
            "--monochrome-output" | "--color-output" | "--no-colors" => {}
            flag if is_yq && (flag.starts_with("-o=") || flag.starts_with("--output-format=")) => {
                options.set_format(flag.split_once('=').map_or("", |(_, format)| format));
            }
            // yq's old subcommands.
            "eval" | "e" if is_yq && rest.is_empty() => {}
            flags if flags.len() > 1 && flags.starts_with('-') && !flags.starts_with("--") => {
                for flag in flags.chars().skip(1) {
                    match flag {
                        'n' => options.null_input = true,
                        'R' => options.raw_input = true,
                        's' => options.slurp = true,
                        'c' => options.indent = None,
                        'r' => options.raw_output = true,
                        'j' => (options.raw_output, options.join) = (true, true),
                        'S' => options.sort_keys = true,
                        'e' => options.exit_status = true,
                        'i' if is_yq => options.in_place = true,
                        'M' | 'C' | 'a' => {}
                        _ => return Err(unknown(flags)),
                    }
                }
            }
            flag if flag.starts_with("--") && flag.len() > 2 => return Err(unknown(flag)),
            _ => rest.push(word.clone()),
        }
    }
    if options.filter.is_none() {
        // yq without an expression shows the file.
        let is_file = |path: &str| process.fs().metadata(path).is_ok_and(|entry| entry.kind != Kind::Directory);
        let only_file = is_yq && rest.len() == 1 && is_file(&process.path(&rest[0]));
        options.filter = match rest.is_empty() || only_file {
            true => is_yq.then(|| ".".to_owned()),
            false => Some(rest.remove(0)),
        };
    }
    options.files = rest;
    Ok(options)
}

impl Options {
    fn set_format(&mut self, format: &str) {
        self.yaml_output = !format.starts_with('j');
        self.raw_output &= self.yaml_output;
    }

    /// A value as it is shown.
    fn shown(&self, value: &Value) -> Vec<u8> {
        if let (true, Value::String(text)) = (self.raw_output, value) {
            return text.clone().into_bytes();
        }
        let sorted = if self.sort_keys { Some(sorted(value)) } else { None };
        let value = sorted.as_ref().unwrap_or(value);
        if self.yaml_output {
            return machinery::yaml::emit(value).trim_end_matches('\n').as_bytes().to_vec();
        }
        let Some(indent) = &self.indent else { return value.to_string().into_bytes() };
        let mut out = Vec::new();
        let formatter = PrettyFormatter::with_indent(indent.as_bytes());
        // Memory takes everything.
        let _ = serde::Serialize::serialize(value, &mut Serializer::with_formatter(&mut out, formatter));
        out
    }

    /// The values in a text; the message where it is none.
    fn values(&self, data: &[u8]) -> Result<Vec<Value>, String> {
        let text = String::from_utf8_lossy(data);
        if self.raw_input {
            return Ok(text.lines().map(Value::from).collect());
        }
        if self.yaml_input {
            return machinery::yaml::parse(&text).map_err(|error| error.to_string());
        }
        let all: Result<Vec<Value>, _> = serde_json::Deserializer::from_str(&text).into_iter().collect();
        all.map_err(|error| format!("parse error: {error}"))
    }
}

/// The same with the keys of all objects in order.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Array(all) => all.iter().map(sorted).collect(),
        Value::Object(map) => {
            let keys = value::sorted_keys(map);
            Value::Object(keys.into_iter().map(|key| (key.clone(), sorted(&map[&key]))).collect())
        }
        other => other.clone(),
    }
}

/// The functions before a program, as what their names mean.
fn prelude() -> Env {
    let mut env = Env::default();
    let mut rest: Option<Node> = parse::parse(PRELUDE).ok();
    while let Some(node) = rest {
        let Filter::Define(definition, after) = &*node else { break };
        env = env.define(definition);
        rest = Some(Rc::clone(after));
    }
    env
}

pub(super) async fn jq(process: Process) -> i32 {
    let name = process.name().to_owned();
    if process.operands().iter().any(|word| matches!(word.as_str(), "--help" | "-h")) {
        process.print(if name == "yq" { YQ_USAGE } else { JQ_USAGE }).await;
        return 0;
    }
    let options = match options(&process) {
        Ok(options) => options,
        Err((message, code)) => {
            process.eprint(format!("{message}\n")).await;
            return code;
        }
    };
    let Some(text) = &options.filter else {
        process.eprint(JQ_USAGE).await;
        return 2;
    };
    let filter = match parse::parse(text) {
        Ok(filter) => filter,
        Err(message) => {
            process.eprint(format!("{name}: error: {message}\n{text}\n{name}: 1 compile error\n")).await;
            return 3;
        }
    };
    let (texts, unread) = match options.null_input && options.files.is_empty() {
        true => (Vec::new(), 0),
        false => inputs(&process, &options.files).await,
    };
    let mut values = Vec::new();
    for (_, data) in &texts {
        match options.values(data) {
            Ok(more) => values.extend(more),
            Err(message) => {
                process.eprint(format!("{name}: {message}\n")).await;
                return 2;
            }
        }
    }
    if options.slurp {
        values = vec![Value::Array(values)];
    }
    if options.null_input {
        values = vec![Value::Null];
    }
    let environment: Map<String, Value> =
        process.env.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
    let mut env = prelude().variable("ENV", Value::Object(environment));
    for (name, value) in &options.vars {
        env = env.variable(name, value.clone());
    }
    let now = process.machine.now();
    let machine = Machine::at(now.as_second() as f64 + f64::from(now.subsec_nanosecond()) / 1e9);
    let (mut code, mut last, mut shown_any) = (unread, None, false);
    let mut whole: Vec<u8> = Vec::new();
    for input in values {
        process.sleep(INPUT_TIME).await;
        machine.start();
        let mut out: Vec<u8> = Vec::new();
        let done = machine.run(&filter, &env, input.into(), &mut |item| {
            if options.yaml_output && shown_any {
                out.extend_from_slice(b"---\n");
            }
            shown_any = !matches!(item.value, Value::String(_) | Value::Number(_) | Value::Bool(_) | Value::Null);
            out.extend_from_slice(&options.shown(&item.value));
            if !options.join {
                out.push(b'\n');
            }
            last = Some(item.value);
            Ok(())
        });
        if options.in_place {
            whole.extend_from_slice(&out);
        } else if !process.print(out).await {
            return code;
        }
        let message = match done {
            Ok(()) | Err(Stop::Enough) => continue,
            Err(Stop::Break(_)) => "break".to_owned(),
            Err(Stop::Error(Value::String(message))) => message,
            Err(Stop::Error(value)) => format!("{value} (not a string)"),
        };
        process.eprint(format!("{name}: error (at <stdin>:0): {message}\n")).await;
        code = 5;
    }
    if let (true, Some(path)) = (options.in_place && code == 0, options.files.first())
        && let Err(error) = process.fs().write(&process.path(path), whole, process.machine.now())
    {
        return process.fail(1, format_args!("{path}: {error}")).await;
    }
    match last {
        _ if code != 0 || !options.exit_status => code,
        Some(Value::Null | Value::Bool(false)) => 1,
        Some(_) => 0,
        None => 4,
    }
}
