//! The five documents, every command line of each, in order, and lines of Kubernetes' documentation, typed into a
//! shell of this machine, with `playground kubectl` for kubectl and `playground serve --runtime sim` for the cluster.
//! The transcripts are those of the tab's terminal (`crates/core/tests/scenarios/transcripts.rs`), and say what is not typed here
//! and why. The documentation's examples are files of this machine, which may have no network.

#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

#[path = "../../crates/core/src/lesson_files/examples.rs"]
mod examples;
#[path = "../../crates/core/tests/scenarios/transcripts/format.rs"]
mod format;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use format::{Line, Natively, missing};
use playground_tests::{Server, binary, eventually, root};
use tempfile::TempDir;

const EXAMPLES: &str = include_str!("../../crates/core/src/world/examples/documentation.txt");
const PATIENCE: Duration = Duration::from_secs(120);
/// Stands before a line's exit code, which ends what it printed.
const END: &str = "-- exit code of the line: ";

/// A shell in the learner's folder.
struct Shell {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Shell {
    fn open(home: &Path) -> Self {
        let mut child = shell(home).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        writeln!(input, "exec 2>&1").unwrap();
        Self { child, input, output }
    }

    /// Types a line and gives what it printed, and its exit code.
    fn type_line(&mut self, line: &str) -> (String, i32) {
        let quoted = line.replace('\'', r"'\''");
        writeln!(self.input, "eval '{quoted}' </dev/null; echo \"{END}$?\"").unwrap();
        let mut printed = String::new();
        loop {
            let mut line = String::new();
            let count = self.output.read_line(&mut line).unwrap();
            assert_ne!(count, 0, "the shell has ended:\n{printed}");
            // What a line prints need not end with a line.
            if let Some((before, code)) = line.split_once(END) {
                printed.push_str(before);
                return (printed, code.trim().parse().unwrap());
            }
            printed.push_str(&line);
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Bash with the learner's files, kubeconfig and kubectl.
fn shell(home: &Path) -> Command {
    let mut command = Command::new("bash");
    let path = std::env::var("PATH").unwrap();
    command
        .current_dir(home)
        .env("HOME", home)
        .env("PWD", home)
        .env("PATH", format!("{}:{path}", home.join("bin").display()))
        .env_remove("KUBECONFIG");
    command
}

fn home(server: &Server) -> TempDir {
    let folder = TempDir::new().unwrap();
    let copied = Command::new("cp").arg("-r").arg(root().join("www/lessons/files/.")).arg(folder.path()).status();
    assert!(copied.unwrap().success());
    let dashboard = root().join("crates/core/src/world/learner/addons/dashboard-recommended.yaml");
    std::fs::copy(dashboard, folder.path().join("dashboard-recommended.yaml")).unwrap();
    std::fs::create_dir(folder.path().join(".kube")).unwrap();
    std::fs::copy(server.kubeconfig(), folder.path().join(".kube/config")).unwrap();
    let kubectl = folder.path().join("bin/kubectl");
    std::fs::create_dir(folder.path().join("bin")).unwrap();
    std::fs::write(&kubectl, format!("#!/bin/sh\nexec '{}' kubectl \"$@\"\n", binary().display())).unwrap();
    std::fs::set_permissions(&kubectl, PermissionsExt::from_mode(0o755)).unwrap();
    folder
}

/// A line with files in the place of the examples' addresses.
fn with_examples(line: &str, home: &Path) -> String {
    let here = |word: &str| {
        let text = examples::example(EXAMPLES, word)?;
        let name = word.rsplit('/').next()?;
        std::fs::write(home.join(name), text).unwrap();
        Some(name.to_owned())
    };
    line.split(' ').map(|word| here(word).unwrap_or_else(|| word.to_owned())).collect::<Vec<_>>().join(" ")
}

/// What runs in a terminal of its own.
struct Background {
    child: Child,
    printed: PathBuf,
}

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn play(text: &str, nodes: &str) {
    let server = Server::start(&["--runtime", "sim", "--nodes", nodes]);
    let home = home(&server);
    let mut first = Shell::open(home.path());
    server.until("get nodes", |table| Ok(table.matches(" Ready ").count()) == nodes.parse());
    let (ready, code) = first.type_line("kubectl wait --for=create serviceaccount/default --timeout=60s");
    assert_eq!(code, 0, "{ready}");
    let mut second: Option<Background> = None;
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    for Line { kind, text, wanted, natively } in format::lines(text) {
        let (text, mut wanted) = match natively {
            Natively::Same => (text, wanted),
            Natively::Instead(text, wanted) => (text, wanted),
            Natively::Nothing(reason) => {
                println!("not here: {text}\n  {reason}");
                continue;
            }
        };
        // What the learner's terminal adds to kubectl's errors.
        wanted.retain(|pattern| !pattern.starts_with("playground:"));
        let filled =
            names.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value));
        let filled = with_examples(&filled, home.path());
        match kind {
            '$' | '!' | '=' => {
                let (printed, code) = first.type_line(&filled);
                assert_eq!(code == 0, kind != '!', "{filled}\nexit code {code}\n{printed}\n{}", server.log());
                assert_eq!(missing(&printed, &wanted), None, "{filled}\n{printed}");
            }
            '?' => {
                let deadline = Instant::now() + PATIENCE;
                loop {
                    let (printed, _) = first.type_line(&filled);
                    let Some(missing) = missing(&printed, &wanted) else { break };
                    assert!(Instant::now() < deadline, "{filled}\nstill without {missing}:\n{printed}");
                    std::thread::sleep(Duration::from_millis(200));
                }
            }
            '&' => {
                let printed = home.path().join("second-terminal");
                let file = File::create(&printed).unwrap();
                let child = shell(home.path())
                    .args(["-c", &format!("exec {filled}")])
                    .stdin(Stdio::null())
                    .stdout(file.try_clone().unwrap())
                    .stderr(file)
                    .spawn()
                    .unwrap();
                let background = second.insert(Background { child, printed });
                eventually(&filled, || {
                    let printed = std::fs::read_to_string(&background.printed).unwrap();
                    missing(&printed, &wanted).is_none().then_some(())
                });
            }
            '^' => drop(second.take().expect("a second terminal")),
            _ => {
                let (name, line) = filled.split_once(' ').unwrap();
                let (value, code) = first.type_line(line);
                assert_eq!(code, 0, "{line}\n{value}");
                names.insert(name.to_owned(), value.trim().to_owned());
            }
        }
    }
}

// One after the other: the documents' ports are fixed.
#[test]
fn the_five_documents_and_the_documentation() {
    play(include_str!("../../crates/core/tests/scenarios/transcripts/1.txt"), "1");
    play(include_str!("../../crates/core/tests/scenarios/transcripts/2.txt"), "3");
    play(include_str!("../../crates/core/tests/scenarios/transcripts/3.txt"), "1");
    play(include_str!("../../crates/core/tests/scenarios/transcripts/4.txt"), "1");
    play(include_str!("../../crates/core/tests/scenarios/transcripts/5.txt"), "3");
    play(include_str!("../../crates/core/tests/scenarios/transcripts/documentation.txt"), "2");
}
