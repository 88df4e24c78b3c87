//! Programs: what `/bin` holds, and the servers that images run.

mod archive;
mod conditions;
mod curl;
pub(crate) mod escape;
mod files;
mod grep;
mod lines;
mod listing;
mod net;
mod options;
mod sed;
pub mod servers;
mod system;
mod tar;
mod text;
mod url;
mod wget;

use std::rc::Rc;

use futures::future::LocalBoxFuture;

use crate::process::{Child, Process, Program, Spawn};
use crate::split;

/// A program's main function.
pub type Main = fn(Process) -> LocalBoxFuture<'static, i32>;

/// Tools by name: the same in containers and on the learner's computer.
const TOOLS: &[(&str, Main)] = &[
    ("[", |process| Box::pin(conditions::test(process))),
    ("base64", |process| Box::pin(text::base64(process))),
    ("basename", |process| Box::pin(files::basename(process))),
    ("cat", |process| Box::pin(text::cat(process))),
    ("chmod", |process| Box::pin(files::chmod(process))),
    ("chown", |process| Box::pin(files::chown(process))),
    ("clear", |process| Box::pin(system::clear(process))),
    ("cp", |process| Box::pin(files::cp(process))),
    ("curl", |process| Box::pin(curl::curl(process))),
    ("cut", |process| Box::pin(lines::cut(process))),
    ("date", |process| Box::pin(system::date(process))),
    ("df", |process| Box::pin(files::df(process))),
    ("dirname", |process| Box::pin(files::basename(process))),
    ("echo", |process| Box::pin(escape::echo(process))),
    ("egrep", |process| Box::pin(grep::grep(process))),
    ("env", |process| Box::pin(system::env(process))),
    ("false", |process| Box::pin(system::fail(process))),
    ("find", |process| Box::pin(files::find(process))),
    ("free", |process| Box::pin(system::free(process))),
    ("grep", |process| Box::pin(grep::grep(process))),
    ("head", |process| Box::pin(text::head(process))),
    ("hostname", |process| Box::pin(system::hostname(process))),
    ("id", |process| Box::pin(system::id(process))),
    ("ip", |process| Box::pin(net::ip(process))),
    ("kill", |process| Box::pin(system::kill(process))),
    ("ln", |process| Box::pin(files::ln(process))),
    ("ls", |process| Box::pin(listing::ls(process))),
    ("mkdir", |process| Box::pin(files::mkdir(process))),
    ("mktemp", |process| Box::pin(files::mktemp(process))),
    ("mount", |process| Box::pin(files::mount(process))),
    ("mv", |process| Box::pin(files::mv(process))),
    ("nc", |process| Box::pin(net::nc(process))),
    ("nproc", |process| Box::pin(system::nproc(process))),
    ("nslookup", |process| Box::pin(net::nslookup(process))),
    ("printenv", |process| Box::pin(system::printenv(process))),
    ("printf", |process| Box::pin(escape::printf(process))),
    ("ps", |process| Box::pin(system::ps(process))),
    ("pwd", |process| Box::pin(system::pwd(process))),
    ("readlink", |process| Box::pin(files::readlink(process))),
    ("realpath", |process| Box::pin(files::readlink(process))),
    ("rm", |process| Box::pin(files::rm(process))),
    ("rmdir", |process| Box::pin(files::rmdir(process))),
    ("sed", |process| Box::pin(sed::sed(process))),
    ("seq", |process| Box::pin(lines::seq(process))),
    ("sleep", |process| Box::pin(system::sleep(process))),
    ("sort", |process| Box::pin(lines::sort(process))),
    ("tail", |process| Box::pin(text::tail(process))),
    ("tar", |process| Box::pin(tar::tar(process))),
    ("tee", |process| Box::pin(text::tee(process))),
    ("test", |process| Box::pin(conditions::test(process))),
    ("timeout", |process| Box::pin(system::timeout(process))),
    ("touch", |process| Box::pin(files::touch(process))),
    ("tr", |process| Box::pin(lines::tr(process))),
    ("true", |process| Box::pin(system::succeed(process))),
    ("uname", |process| Box::pin(system::uname(process))),
    ("uniq", |process| Box::pin(lines::uniq(process))),
    ("uptime", |process| Box::pin(system::uptime(process))),
    ("watch", |process| Box::pin(system::watch(process))),
    ("wc", |process| Box::pin(lines::wc(process))),
    ("wget", |process| Box::pin(wget::wget(process))),
    ("which", |process| Box::pin(system::which(process))),
    ("whoami", |process| Box::pin(system::whoami(process))),
    ("xargs", |process| Box::pin(text::xargs(process))),
    ("yes", |process| Box::pin(text::yes(process))),
];

/// The shell, under each of its names.
const SHELLS: &[(&str, Main)] = &[
    ("ash", |process| Box::pin(crate::shell::main(process))),
    ("bash", |process| Box::pin(crate::shell::main(process))),
    ("sh", |process| Box::pin(crate::shell::main(process))),
];

/// What only images start.
const ENTRYPOINTS: &[(&str, Main)] = &[("curl-entrypoint", |process| Box::pin(curl_entrypoint(process)))];

const TOOL_NAMES: [&str; TOOLS.len()] = names(TOOLS);
const SHELL_NAMES: [&str; SHELLS.len()] = names(SHELLS);
const SERVER_NAMES: [&str; servers::SERVERS.len()] = names(servers::SERVERS);
const ENTRYPOINT_NAMES: [&str; ENTRYPOINTS.len()] = names(ENTRYPOINTS);

/// The names alone: who refers to a table refers to its programs' code.
const fn names<const N: usize>(table: &[(&'static str, Main)]) -> [&'static str; N] {
    let mut names = [""; N];
    let mut index = 0;
    while index < N {
        names[index] = table[index].0;
        index += 1;
    }
    names
}

split! {
    shell,
    /// The shell's main function.
    fn shell_main(name: &'static str) -> Option<Main> {
        main_in(&[SHELLS], name)
    }
}

split! {
    programs,
    /// The main function of a program that is no shell.
    fn program_main(name: &'static str) -> Option<Main> {
        main_in(&[TOOLS, servers::SERVERS, ENTRYPOINTS], name)
    }
}

fn main_in(tables: &[&[(&str, Main)]], name: &str) -> Option<Main> {
    tables.iter().flat_map(|table| table.iter()).find(|(known, _)| *known == name).map(|(_, main)| *main)
}

/// A built-in program by the name its executables carry ([`crate::fs::Kind::Program`]).
pub fn find(name: &str) -> Option<Rc<dyn Program>> {
    let names = [TOOL_NAMES.as_slice(), &SHELL_NAMES, &SERVER_NAMES, &ENTRYPOINT_NAMES];
    let name = *names.into_iter().flatten().find(|known| **known == name)?;
    Some(Rc::new(move |process: Process| async move {
        let main = match SHELL_NAMES.contains(&name) {
            true => shell_main(name).await,
            false => program_main(name).await,
        };
        match main {
            Ok(Some(main)) => main(process).await,
            Ok(None) => process.fail(127, format_args!("{name}: not found")).await,
            Err(not_loaded) => process.fail(126, format_args!("{name}: {not_loaded}")).await,
        }
    }))
}

/// Names of all tools.
pub fn tool_names() -> impl Iterator<Item = &'static str> {
    TOOL_NAMES.into_iter().chain(SHELL_NAMES)
}

/// Becomes another program, as `exec` does: same process, other arguments.
pub async fn exec(mut process: Process, command: Vec<String>) -> i32 {
    match process.machine.find(&command, &process.env, &process.cwd) {
        Ok(found) => {
            process.args = found.args;
            found.program.run(process).await
        }
        Err(error) => {
            let name = command.into_iter().next().unwrap_or_default();
            process.fail(127, format!("exec: {name}: {error}")).await
        }
    }
}

/// Starts a command as a child with the same descriptors and group; what cannot be run is told.
pub(crate) async fn spawn(process: &Process, command: Vec<String>) -> Option<Child> {
    let found = match process.machine.find(&command, &process.env, &process.cwd) {
        Ok(found) => found,
        Err(error) => {
            let name = command.into_iter().next().unwrap_or_default();
            process.fail(127, format_args!("can't execute '{name}': {error}")).await;
            return None;
        }
    };
    let group = process.machine.processes().into_iter().find(|info| info.pid == process.pid).map(|info| info.group);
    Some(process.machine.spawn(Spawn {
        program: found.program,
        args: found.args,
        env: process.env.clone(),
        cwd: process.cwd.clone(),
        uid: process.uid,
        gid: process.gid,
        fds: process.fds.clone(),
        parent: process.pid,
        group,
    }))
}

/// Runs a command as a child and waits for its end.
pub(crate) async fn run(process: &Process, command: Vec<String>) -> i32 {
    match spawn(process, command).await {
        Some(child) => child.wait().await,
        None => 127,
    }
}

/// The entrypoint of curl's image: a first argument that is no command is curl's.
async fn curl_entrypoint(process: Process) -> i32 {
    let words = process.operands().to_vec();
    let is_command = words.first().is_some_and(|name| {
        !name.starts_with('-') && process.machine.find(std::slice::from_ref(name), &process.env, &process.cwd).is_ok()
    });
    let command = if is_command { words } else { [vec!["curl".to_owned()], words].concat() };
    exec(process, command).await
}
