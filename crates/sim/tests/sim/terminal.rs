//! The interactive shell at a terminal: what is typed and what the screen shows.
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use playground_sim::process::{Child, Machine, Spawn};
use playground_sim::tty::Tty;

use crate::world::{World, machine};

struct Terminal {
    world: World,
    machine: Machine,
    tty: Tty,
    screen: Rc<RefCell<Vec<u8>>>,
    shell: Child,
}

impl Terminal {
    fn open() -> Self {
        let mut world = World::new();
        let machine = machine(&world);
        let screen = Rc::new(RefCell::new(Vec::new()));
        let target = screen.clone();
        let tty = Tty::new(&machine, (40, 10), move |data| target.borrow_mut().extend_from_slice(data));
        let env = BTreeMap::from([
            ("PATH".to_owned(), "/usr/local/bin:/usr/bin".to_owned()),
            ("PS1".to_owned(), "> ".to_owned()),
        ]);
        let args = vec!["sh".to_owned()];
        let shell = machine.spawn(Spawn {
            program: machine.find(&args, &env, "/").unwrap().program,
            args,
            env: env.into(),
            cwd: "/tmp".into(),
            uid: 0,
            gid: 0,
            fds: (0..3).map(|number| (number, tty.fd())).collect(),
            parent: 0,
            group: None,
        });
        world.settle();
        Self { world, machine, tty, screen, shell }
    }

    /// Types, lets a second pass, and gives what was written to the screen since.
    fn type_in(&mut self, text: &str) -> String {
        self.screen.borrow_mut().clear();
        self.tty.feed(text.as_bytes());
        self.world.settle();
        String::from_utf8_lossy(&self.screen.borrow()).into_owned()
    }

    /// As [`Terminal::type_in`], for a line: only what its command printed.
    fn output_of(&mut self, line: &str) -> String {
        let screen = self.type_in(&format!("{line}\r"));
        let (_, after) =
            screen.rsplit_once(&format!("{line}\r\x1b[{}C\r\n", line.chars().count() + 2)).unwrap_or(("", &screen));
        after.split("\r\x1b[J> ").next().unwrap_or_default().to_owned()
    }
}

#[test]
fn lines_are_edited_before_they_are_run() {
    let mut terminal = Terminal::open();
    assert_eq!(terminal.output_of("echo hello"), "hello\r\n");
    // Left twice and an insertion; to the start, and to the end; a word is cut and put back.
    assert!(terminal.type_in("echo ad\x1b[Dbc\r").contains("\r\nabcd\r\n"));
    assert!(terminal.type_in("cho x\x01e\x05y\r").contains("\r\nxy\r\n"));
    assert!(terminal.type_in("one two\x17\x15echo \x19\r").contains("echo one"));
    assert!(terminal.type_in("echo größe\x7f\x7fß\r").contains("\r\ngröß\r\n"));
}

#[test]
fn history_is_walked_and_searched() {
    let mut terminal = Terminal::open();
    terminal.type_in("echo first\r");
    terminal.type_in("echo second\r");
    assert!(terminal.type_in("\x1b[A\x1b[A\r").contains("\r\nfirst\r\n"));
    assert!(terminal.type_in("\x12sec\r").contains("\r\nsecond\r\n"));
}

#[test]
fn tab_completes_commands_paths_and_what_a_command_proposes() {
    let mut terminal = Terminal::open();
    assert!(terminal.type_in("hostn\t\r").contains("\r\ndesk\r\n"));
    terminal.type_in("mkdir folder; echo in >folder/file.txt\r");
    assert!(terminal.type_in("cat fol\tfi\t\r").contains("\r\nin\r\n"));
    terminal
        .machine
        .set_completer("echo", Rc::new(|_, words| Box::pin(async move { vec![format!("{}-completed", words.len())] })));
    assert!(terminal.type_in("echo a \t\r").contains("\r\na 3-completed\r\n"));
    let listed = terminal.type_in("ba\t\t");
    assert!(listed.contains("base64") && listed.contains("bash"), "{listed:?}");
}

#[test]
fn control_c_ends_what_runs_or_gives_up_the_line() {
    let mut terminal = Terminal::open();
    terminal.type_in("sleep 1000; echo not reached\r");
    let screen = terminal.type_in("\x03");
    assert!(screen.starts_with("^C\r\n") && screen.contains("> ") && !screen.contains("not reached"), "{screen:?}");
    terminal.type_in("while true; do :; done\r");
    terminal.type_in("\x03");
    assert_eq!(terminal.output_of("echo $?"), "130\r\n");
    terminal.type_in("sleep 1000\recho typed ahead\r");
    let screen = terminal.type_in("\x03");
    assert!(!screen.contains("\ntyped ahead"), "{screen:?}");
    terminal.type_in("echo half\x03");
    assert_eq!(terminal.output_of("echo whole"), "whole\r\n");
    assert_eq!(terminal.machine.processes().len(), 1);
}

/// What others write while a line is edited begins at the left.
#[test]
fn jobs_write_whole_lines_beside_the_prompt() {
    let mut terminal = Terminal::open();
    let screen = terminal.type_in("(sleep 0.1; echo a; echo b) &\r");
    assert!(screen.contains("a\r\nb\r\n") && !screen.contains("\r\r\n"), "{screen:?}");
}

#[test]
fn programs_read_the_terminal_line_by_line_until_control_d() {
    let mut terminal = Terminal::open();
    terminal.type_in("cat\r");
    assert_eq!(terminal.type_in("tpo\x7f\x7fwo\r"), "tpo\x08 \x08\x08 \x08wo\r\ntwo\r\n");
    terminal.type_in("\x04");
    assert_eq!(terminal.output_of("echo $?"), "0\r\n");
}

#[test]
fn several_lines_make_one_command_and_pasted_ones_run_in_turn() {
    let mut terminal = Terminal::open();
    terminal.type_in("for i in 1 2; do\r");
    assert!(terminal.type_in("echo $i\rdone\r").contains("1\r\n2\r\n"));
    let screen = terminal.type_in("echo a\recho b\r");
    assert!(screen.contains("\r\na\r\n") && screen.contains("\r\nb\r\n"), "{screen:?}");
}

#[test]
fn the_shell_ends_with_control_d_exit_or_the_terminal() {
    let mut terminal = Terminal::open();
    terminal.type_in("\x04");
    assert_eq!(terminal.shell.exit_code(), Some(0));
    let mut terminal = Terminal::open();
    terminal.type_in("exit 3\r");
    assert_eq!(terminal.shell.exit_code(), Some(3));
    let mut terminal = Terminal::open();
    terminal.tty.hang_up();
    terminal.world.settle();
    assert!(terminal.shell.exit_code().is_some());
}

#[test]
fn any_bytes_may_be_typed() {
    let mut terminal = Terminal::open();
    for byte in 0..=255_u8 {
        terminal.tty.feed(&[byte, b'[', byte, 0x1b, byte]);
    }
    terminal.world.settle();
    terminal.tty.resize(0, 0);
    terminal.tty.feed("wide 字 text that is longer than the line \x01\x05\r".as_bytes());
    terminal.world.settle();
}

#[test]
fn lines_are_recalled_and_listed() {
    let mut terminal = Terminal::open();
    assert_eq!(terminal.output_of("echo one"), "one\r\n");
    assert_eq!(terminal.output_of("!!"), "echo one\r\none\r\n");
    assert_eq!(terminal.output_of("!ec two"), "echo one two\r\none two\r\n");
    assert!(terminal.output_of("!nope").contains("!nope: event not found"));
    assert!(terminal.output_of("history 2").contains("  history 2"));
}

#[test]
fn vi_edits_a_file() {
    let mut terminal = Terminal::open();
    terminal.type_in("printf 'one\\ntwo\\nthree\\n' > f; vi f\r");
    // Change a word, delete a line and put it back below, add one, substitute everywhere.
    terminal.type_in("cwONE\x1b");
    terminal.type_in("jddp");
    assert!(terminal.type_in("ofour\x1b").contains("four"));
    terminal.type_in(":%s/o/0/g\r");
    let screen = terminal.type_in(":w\r");
    assert!(screen.contains("\"f\" 4L, 19B written"), "{screen}");
    terminal.type_in("Gdd");
    assert!(terminal.type_in(":q\r").contains("E37: No write since last change"));
    terminal.type_in("uG$xxiUR\x1b");
    terminal.type_in(":nope\r");
    let screen = terminal.type_in("/thr\r");
    assert!(!screen.contains("E486"), "{screen}");
    assert!(terminal.type_in(":wq\r").contains("\x1b[J> "));
    assert_eq!(terminal.output_of("cat f"), "ONE\r\nthree\r\ntw0\r\nfUR0\r\n");
}

#[test]
fn nano_edits_a_file() {
    let mut terminal = Terminal::open();
    let screen = terminal.type_in("nano new.txt\r");
    assert!(screen.contains("GNU nano") && screen.contains("[ New File ]"), "{screen}");
    terminal.type_in("first\rsecond\rthird");
    // Cut the first line, paste it at the end.
    terminal.type_in("\x1b[A\x1b[A\x0b\x1b[B\x1b[B\r\x15");
    let screen = terminal.type_in("\x18");
    assert!(screen.contains("Save modified buffer?"), "{screen}");
    assert!(terminal.type_in("y").contains("File Name to Write: new.txt"));
    assert!(terminal.type_in("\r").contains("\x1b[J> "));
    assert_eq!(terminal.output_of("grep -c . new.txt"), "3\r\n");
}

#[test]
fn less_shows_page_by_page() {
    let mut terminal = Terminal::open();
    let screen = terminal.type_in("seq 30 | less\r");
    assert!(screen.contains("\r\n9\r\n") && !screen.contains("\r\n10\r\n"), "{screen}");
    assert!(terminal.type_in(" ").contains("\r\n18\r\n"));
    assert!(terminal.type_in("G").contains("(END)"));
    assert!(terminal.type_in("q").contains("\x1b[J> "));
}

#[test]
fn jobs_are_told_stopped_and_ended_as_bash_does() {
    let mut terminal = Terminal::open();
    let started = terminal.output_of("sleep 100 &");
    assert!(started.starts_with("[1] ") && started.lines().count() == 1, "{started:?}");
    terminal.output_of("sleep 200 | cat &");
    assert_eq!(
        terminal.output_of("jobs"),
        "[1]-  Running                 sleep 100 &\r\n[2]+  Running                 sleep 200 | cat &\r\n"
    );
    // It ends a moment later than the shell asks again.
    assert_eq!(terminal.output_of("kill %1"), "");
    assert_eq!(terminal.output_of("true"), "[1]-  Terminated              sleep 100\r\n");
    assert_eq!(terminal.output_of("kill %7"), "sh: kill: %7: no such job\r\n");
    terminal.output_of("kill -9 %sleep");
    assert_eq!(terminal.output_of("true"), "[2]+  Killed                  sleep 200 | cat\r\n");
    assert_eq!(terminal.machine.processes().len(), 1);
    assert_eq!(terminal.output_of("fg"), "sh: fg: current: no such job\r\n");
    // Ctrl-Z, and on from there.
    terminal.type_in("sleep 100\r");
    let screen = terminal.type_in("\x1a");
    assert!(screen.starts_with("^Z\r\n[1]+  Stopped                 sleep 100\r\n"), "{screen:?}");
    assert_eq!(terminal.output_of("echo $?"), "148\r\n");
    assert_eq!(terminal.output_of("exit"), "There are stopped jobs.\r\n");
    assert_eq!(terminal.output_of("bg"), "[1]+ sleep 100 &\r\n");
    assert_eq!(terminal.output_of("bg"), "sh: bg: job 1 already in background\r\n");
    assert_eq!(terminal.output_of("jobs"), "[1]+  Running                 sleep 100 &\r\n");
    assert!(terminal.type_in("fg %1\r").ends_with("sleep 100\r\n"));
    assert!(terminal.type_in("\x03").starts_with("^C\r\n"));
    assert_eq!(terminal.output_of("jobs"), "");
    // What ends by itself.
    terminal.output_of("(exit 3) &");
    assert_eq!(terminal.output_of("echo"), "\r\n[1]+  Exit 3                  (exit 3)\r\n");
    terminal.output_of("sleep 0.1 &");
    assert_eq!(terminal.output_of("wait; echo $?"), "0\r\n[1]+  Done                    sleep 0.1\r\n");
    terminal.output_of("sleep 100 &");
    assert_eq!(
        terminal.output_of("kill $(jobs -p); wait %1; echo $?"),
        "143\r\n[1]+  Terminated              sleep 100\r\n"
    );
    assert_eq!(terminal.output_of("wait %3; echo $?"), "sh: wait: %3: no such job\r\n127\r\n");
    terminal.output_of("sleep 100 & sleep 50 &");
    assert_eq!(terminal.output_of("disown %1; jobs"), "[2]+  Running                 sleep 50 &\r\n");
    assert_eq!(terminal.output_of("sh -c 'kill $$'"), "Terminated\r\n");
}

#[test]
fn a_stopped_process_does_nothing_until_it_is_told_to_go_on() {
    let mut terminal = Terminal::open();
    terminal.output_of("(while true; do echo x >>/tmp/out; sleep 0.05; done) &");
    terminal.output_of("kill -STOP %1");
    let count = terminal.output_of("wc -l < /tmp/out");
    terminal.output_of("sleep 0.5");
    assert_eq!(terminal.output_of("wc -l < /tmp/out"), count);
    assert_eq!(
        terminal.output_of("jobs -s"),
        "[1]+  Stopped                 (while true; do echo x >>/tmp/out; sleep 0.05; done)\r\n"
    );
    terminal.output_of("kill -CONT %1");
    terminal.output_of("sleep 0.5");
    assert_ne!(terminal.output_of("wc -l < /tmp/out"), count);
}
