//! `awk`: the language of POSIX.

mod ast;
mod input;
mod parse;
mod run;
mod value;

use super::escape::unescape;
use crate::process::Process;

pub(super) async fn awk(process: Process) -> i32 {
    let mut rest = process.operands();
    let mut assignments: Vec<(String, String)> = Vec::new();
    let mut text: Option<String> = None;
    while let Some((word, tail)) = rest.split_first() {
        let Some(flag) = word.strip_prefix('-').filter(|flag| !flag.is_empty()) else { break };
        rest = tail;
        if flag == "-" {
            break;
        }
        let (letter, attached) = flag.split_at(flag.chars().next().map_or(0, char::len_utf8));
        let value = match attached {
            "" => match rest.split_first() {
                Some((value, tail)) => {
                    rest = tail;
                    value.clone()
                }
                None => return process.fail(2, format_args!("option requires an argument -- '{letter}'")).await,
            },
            attached => attached.to_owned(),
        };
        match letter {
            "F" => assignments.push(("FS".into(), if value == "t" { "\t".into() } else { value })),
            "v" => match value.split_once('=') {
                Some((name, value)) => assignments.push((name.to_owned(), value.to_owned())),
                None => {
                    return process.fail(2, format_args!("`{value}' argument to `-v' not in `var=value' form")).await;
                }
            },
            "f" => match process.fs().read_text(&process.path(&value)) {
                Ok(part) => text = Some(text.unwrap_or_default() + &part + "\n"),
                Err(error) => return process.fail(2, format_args!("can't open file {value}: {error}")).await,
            },
            _ => {
                process.eprint(format!("awk: unknown option -{letter} ignored\n")).await;
            }
        }
    }
    let text = match text {
        Some(text) => text,
        None => match rest.split_first() {
            Some((program, tail)) => {
                rest = tail;
                program.clone()
            }
            None => {
                process.eprint("Usage: awk [-v VAR=VALUE] [-F SEPARATOR] [-f FILE | PROGRAM] [FILE]...\n").await;
                return 2;
            }
        },
    };
    let program = match parse::parse(&text) {
        Ok(program) => program,
        Err(message) => return process.fail(2, message).await,
    };
    let operands = rest.to_vec();
    let mut awk = run::Awk::new(process, &program.functions, operands);
    for (name, value) in assignments {
        awk.assign(&name, &unescape(&value).0);
    }
    awk.main(&program).await
}
