//! The five documents, every command line of each, in order, and lines of Kubernetes' documentation, typed into the
//! learner's terminal.
//!
//! `transcripts/N.txt` is the Nth document of the seeds. Its lines:
//!
//! | begins with | is |
//! | --- | --- |
//! | `$ ` | typed; it succeeds |
//! | `! ` | typed; it fails, as the remark before says |
//! | `? ` | typed again until it prints what follows |
//! | `& ` | typed into a second terminal, where it goes on running |
//! | `^C` | ends what runs in the second terminal |
//! | `> ` | what the line before prints, somewhere: words in order, with `*` for anything in between |
//! | `= ` | done out of sight: what the document takes to be there |
//! | `@ NAME LINE` | what a line prints, to stand for `{NAME}` from here on |
//! | `# ` | a remark: what is not literally the document's, and why |
//! | `~ ` | why the next line is not typed into a native terminal (`tests/tests/transcripts.rs`) |
//! | `% ` | what is typed there instead, and below it what that prints, if it is something else |

#[allow(dead_code, reason = "what is typed natively is another test's")]
mod format;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use format::{Line, missing};
use futures::{FutureExt, StreamExt};
use machinery::wire::{Channels, Frame};

use crate::lab::Lab;
use crate::test;

/// Virtual time that a line may take.
const PATIENCE: Duration = Duration::from_secs(300);
const STEP: Duration = Duration::from_millis(100);
/// So many steps until what was started has said what it says at its start.
const SETTLING_STEPS: usize = 30;
const PROMPT: &str = "~ $ ";
const INPUT: u8 = 0;
const RESIZE: u8 = 4;

/// A terminal of the learner's, and what it shows.
struct Terminal {
    channels: Channels,
    shown: String,
}

impl Terminal {
    fn open(lab: &Lab) -> Self {
        let mut terminal = Self { channels: lab.cluster.learner().open_terminal(), shown: String::new() };
        // Wide enough for every line and table.
        terminal.send(RESIZE, r#"{"Width":400,"Height":50}"#);
        terminal.wait_for_prompt(lab);
        terminal
    }

    fn send(&mut self, channel: u8, text: &str) {
        let data = Bytes::copy_from_slice(text.as_bytes());
        self.channels.sender.try_send(Frame { channel, data: Some(data) }).expect("room in the terminal's queue");
    }

    fn read(&mut self) {
        while let Some(Some(frame)) = self.channels.receiver.next().now_or_never() {
            self.shown.push_str(&String::from_utf8_lossy(&frame.data.unwrap_or_default()));
        }
    }

    fn wait_for_prompt(&mut self, lab: &Lab) {
        let deadline = machinery::time::after(lab.cluster.now(), PATIENCE);
        loop {
            lab.pass(STEP);
            self.read();
            if plain(&self.shown).ends_with(PROMPT) {
                return;
            }
            assert!(lab.cluster.now() < deadline, "no prompt after:\n{:?}", self.shown);
        }
    }

    /// Types a line and gives what it printed.
    fn type_line(&mut self, lab: &Lab, line: &str) -> String {
        self.shown.clear();
        self.send(INPUT, &format!("{line}\r"));
        self.wait_for_prompt(lab);
        let shown = plain(&self.shown);
        let printed = shown.split_once('\n').map_or("", |(_, printed)| printed);
        printed.strip_suffix(PROMPT).unwrap_or(printed).to_owned()
    }

    fn exit_code(&mut self, lab: &Lab) -> i32 {
        self.type_line(lab, "echo $?").trim().parse().expect("an exit code")
    }
}

/// What a terminal shows: the lines, with what moves the cursor within one and erases it done.
fn plain(shown: &str) -> String {
    let mut lines = vec![Vec::new()];
    let mut column = 0;
    let mut chars = shown.chars().peekable();
    while let Some(c) = chars.next() {
        let line = lines.last_mut().expect("a line");
        match c {
            '\x1b' if chars.next_if_eq(&'[').is_some() => {
                let mut number = String::new();
                while let Some(digit) = chars.next_if(|c| !c.is_ascii_alphabetic()) {
                    number.push(digit);
                }
                match chars.next() {
                    Some('C') => column += number.parse().unwrap_or(1),
                    Some('J' | 'K') => line.truncate(column),
                    _ => {}
                }
            }
            // The title, or an address to open.
            '\x1b' => while chars.next().is_some_and(|c| c != '\x07') {},
            '\r' => column = 0,
            '\n' => {
                lines.push(Vec::new());
                column = 0;
            }
            c => {
                line.resize(line.len().max(column + 1), ' ');
                line[column] = c;
                column += 1;
            }
        }
    }
    lines.into_iter().map(|line| line.into_iter().collect()).collect::<Vec<String>>().join("\n")
}

fn play(text: &str, nodes: u16) {
    let lab = Lab::new(nodes);
    let mut first = Terminal::open(&lab);
    let mut second: Option<Terminal> = None;
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    for Line { kind, text, wanted, .. } in format::lines(text) {
        let filled =
            names.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value));
        match kind {
            '$' | '!' => {
                let printed = first.type_line(&lab, &filled);
                let code = first.exit_code(&lab);
                assert_eq!(code == 0, kind == '$', "{filled}\nexit code {code}\n{printed}");
                assert_eq!(missing(&printed, &wanted), None, "{filled}\n{printed}");
            }
            '?' => {
                let deadline = machinery::time::after(lab.cluster.now(), PATIENCE);
                loop {
                    let printed = first.type_line(&lab, &filled);
                    let Some(missing) = missing(&printed, &wanted) else { break };
                    assert!(lab.cluster.now() < deadline, "{filled}\nstill without {missing}:\n{printed}");
                    lab.pass(STEP * 5);
                }
            }
            '&' => {
                let mut terminal = Terminal::open(&lab);
                terminal.send(INPUT, &format!("{filled}\r"));
                for _ in 0..SETTLING_STEPS {
                    lab.pass(STEP);
                    terminal.read();
                }
                let shown = plain(&terminal.shown);
                assert_eq!(missing(&shown, &wanted), None, "{filled}\n{shown}");
                second = Some(terminal);
            }
            '^' => {
                let mut terminal = second.take().expect("a second terminal");
                terminal.send(INPUT, "\x03");
                terminal.wait_for_prompt(&lab);
            }
            '=' => {
                println!("{filled}");
                lab.ok(&filled);
            }
            _ => {
                let (name, line) = filled.split_once(' ').expect("a name and a line");
                names.insert(name.to_owned(), lab.ok(line).trim().to_owned());
            }
        }
    }
}

#[test]
fn the_first_document() {
    play(include_str!("transcripts/1.txt"), 1);
}

#[test]
fn the_second_document() {
    play(include_str!("transcripts/2.txt"), 1);
}

#[test]
fn the_third_document() {
    play(include_str!("transcripts/3.txt"), 1);
}

#[test]
fn the_fourth_document() {
    play(include_str!("transcripts/4.txt"), 1);
}

#[test]
fn the_fifth_document() {
    play(include_str!("transcripts/5.txt"), 3);
}

#[test]
fn the_documentation() {
    play(include_str!("transcripts/documentation.txt"), 2);
}
