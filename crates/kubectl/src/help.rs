//! Help pages, and what commands say that only have subcommands.

use crate::args::Invocation;
use crate::command::Command;
use crate::host::Host;

/// Commands without a job of their own: `(path, to standard output?, exit code)` when called bare.
const GROUPS: &[(&str, bool, i32)] = &[
    ("", true, 0),
    ("auth", false, 1),
    ("certificate", true, 0),
    ("config", false, 1),
    ("create secret", false, 1),
    ("create service", false, 1),
    ("kuberc", false, 1),
    ("plugin", false, 1),
    ("rollout", true, 1),
    ("set", false, 1),
    ("top", false, 1),
];

/// Answers `--help`, `help`, `options` and groups of commands; `None` if there is work to do.
pub fn answer(invocation: &Invocation, host: &dyn Host) -> Option<i32> {
    let command = invocation.command;
    let of_options = match command.path {
        "options" => true,
        "help" => invocation.args.first().is_some_and(|topic| topic == "options"),
        _ => false,
    };
    if of_options && (invocation.bool("help") || command.path == "help") {
        // The original has no words about it.
        return Some(0);
    }
    if invocation.bool("help") {
        host.stdout(page(&command, host).as_bytes());
        return Some(0);
    }
    match command.path {
        "help" => return Some(help(&invocation.args, host)),
        "options" => {
            host.stdout(page(&command, host).as_bytes());
            return Some(0);
        }
        _ => {}
    }
    let &(path, to_stdout, code) = GROUPS.iter().find(|(path, ..)| *path == command.path)?;
    if !invocation.args.is_empty() && path != "certificate" {
        let typed = invocation.args.join(" ");
        let name = command.full_name();
        host.stderr(format!("error: unknown command {typed:?}\nSee '{name} -h' for help and examples\n").as_bytes());
        return Some(1);
    }
    let text = page(&command, host);
    if to_stdout {
        host.stdout(text.as_bytes());
    } else {
        host.stderr(text.as_bytes());
    }
    Some(code)
}

/// A command's page, with the home folder of this machine.
fn page(command: &Command, host: &dyn Host) -> String {
    match host.env("HOME") {
        Some(home) => command.page.replace("$HOME/.kube/cache", &format!("{home}/.kube/cache")),
        None => command.page.to_owned(),
    }
}

/// `kubectl help create deployment`
fn help(words: &[String], host: &dyn Host) -> i32 {
    let mut command = Command::root();
    for (index, word) in words.iter().enumerate() {
        match command.subcommand(word) {
            Some(next) => command = next,
            None if index == 0 => {
                let text = page(&command, host);
                let commands = text.split_once("\n\n").map_or("", |(_, rest)| rest);
                let commands = commands.split_once("\n\n").map_or("", |(_, rest)| rest);
                host.stderr(format!("Unknown help topic [`{}`]\n\n\n{commands}", words.join("` `")).as_bytes());
                return 0;
            }
            None => break,
        }
    }
    host.stdout(page(&command, host).as_bytes());
    0
}
