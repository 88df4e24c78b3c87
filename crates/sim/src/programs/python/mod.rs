//! `python3`: as much of the language as the short programs in manifests have, and `-m http.server`.
//!
//! What is not known ends the program with a `SyntaxError` that says so: nothing is passed over in silence.

mod builtins;
mod eval;
mod lex;
mod methods;
mod operators;
mod parse;
mod rediswq;
mod value;

use self::eval::{Stop, World, input};
use self::value::LENGTH_MAX;
use super::servers::folder_server;
use crate::process::Process;

const VERSION: &str = "3.13.7";
/// What `python -m http.server` listens on by itself.
const HTTP_PORT: u16 = 8000;

/// `python3 [-u] [-c PROGRAM | -m http.server [PORT] | FILE] [ARGUMENT…]`.
pub(super) async fn python(process: Process) -> i32 {
    let words: Vec<&str> = process.operands().iter().map(String::as_str).filter(|word| *word != "-u").collect();
    let (file, text, arguments) = match words.as_slice() {
        ["-V" | "--version", ..] => return i32::from(!process.print(format!("Python {VERSION}\n")).await),
        ["-m", "http.server", rest @ ..] => {
            let port = rest.iter().find_map(|word| word.parse().ok()).unwrap_or(HTTP_PORT);
            return folder_server(process, port).await;
        }
        ["-m", module, ..] => {
            return process.fail(1, format_args!("No module named {module}")).await;
        }
        ["-c", text, rest @ ..] => ("<string>".to_owned(), (*text).to_owned(), [&["-c"], rest].concat()),
        [file, ..] if !file.starts_with('-') => match process.fs().read_text(&process.path(file)) {
            Ok(text) => ((*file).to_owned(), text, words.clone()),
            Err(error) => {
                let name = process.args.first().map_or("python3", String::as_str);
                process.eprint(format!("{name}: can't open file '{file}': [Errno 2] {error}\n")).await;
                return 2;
            }
        },
        [] => match input(&process).await {
            Ok(text) => ("<stdin>".to_owned(), text, vec![""]),
            Err(_) => {
                process.eprint("MemoryError\n").await;
                return 1;
            }
        },
        _ => return process.fail(2, format_args!("unknown option {}", words.first().unwrap_or(&""))).await,
    };
    if text.len() > LENGTH_MAX {
        process.eprint("MemoryError\n").await;
        return 1;
    }
    let program = match parse::program(&text) {
        Ok(program) => program,
        Err((line, what)) => {
            process.eprint(format!("  File \"{file}\", line {line}\nSyntaxError: {what}\n")).await;
            return 1;
        }
    };
    let mut world = World::new(&process, arguments.iter().map(|word| (*word).to_owned()).collect());
    let (kind, message) = match world.run(&program).await {
        Ok(()) => return 0,
        Err(Stop::Exit(code)) => return code,
        Err(Stop::Error { kind, message }) => (kind, message),
        Err(Stop::Break | Stop::Continue | Stop::Return(_)) => {
            ("SyntaxError".into(), "not in a loop or function".into())
        }
    };
    let text = if message.is_empty() { kind } else { format!("{kind}: {message}") };
    let place = format!("Traceback (most recent call last):\n  File \"{file}\", line {}, in <module>\n", world.line);
    process.eprint(format!("{place}{text}\n")).await;
    1
}
