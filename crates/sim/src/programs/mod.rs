//! Programs: what `/bin` holds, and the servers that images run.

pub mod archive;
mod awk;
mod columns;
pub(crate) mod conditions;
mod curl;
mod dump;
mod editor;
pub(crate) mod escape;
mod files;
mod grep;
mod gzip;
mod inspect;
mod iptables;
mod jq;
mod lines;
mod listing;
mod lookup;
mod md5;
mod misc;
mod net;
mod options;
mod packages;
mod ps;
mod python;
mod sed;
pub mod servers;
mod system;
mod tar;
mod text;
mod url;
mod wget;

use std::collections::BTreeMap;
use std::rc::Rc;

use futures::future::LocalBoxFuture;

use crate::io::Fd;
use crate::process::{Child, Process, Program};
use machinery::split;

/// A program's main function.
pub type Main = fn(Process) -> LocalBoxFuture<'static, i32>;

/// Tools by name: the same in containers and on the learner's computer.
const TOOLS: &[(&str, Main)] = &[
    ("[", |process| Box::pin(conditions::test(process))),
    ("apk", |process| Box::pin(packages::apk(process))),
    ("apt", |process| Box::pin(packages::apt(process))),
    ("apt-get", |process| Box::pin(packages::apt(process))),
    ("awk", |process| Box::pin(awk::awk(process))),
    ("base64", |process| Box::pin(text::base64(process))),
    ("basename", |process| Box::pin(files::basename(process))),
    ("bc", |process| Box::pin(misc::bc(process))),
    ("cat", |process| Box::pin(text::cat(process))),
    ("chmod", |process| Box::pin(files::chmod(process))),
    ("chown", |process| Box::pin(files::chown(process))),
    ("chroot", |process| Box::pin(files::chroot(process))),
    ("clear", |process| Box::pin(system::clear(process))),
    ("cmp", |process| Box::pin(columns::cmp(process))),
    ("column", |process| Box::pin(columns::column(process))),
    ("comm", |process| Box::pin(columns::comm(process))),
    ("cp", |process| Box::pin(files::cp(process))),
    ("curl", |process| Box::pin(curl::curl(process))),
    ("cut", |process| Box::pin(lines::cut(process))),
    ("date", |process| Box::pin(system::date(process))),
    ("dd", |process| Box::pin(misc::dd(process))),
    ("df", |process| Box::pin(files::df(process))),
    ("diff", |process| Box::pin(columns::diff(process))),
    ("dig", |process| Box::pin(lookup::dig(process))),
    ("dirname", |process| Box::pin(files::basename(process))),
    ("du", |process| Box::pin(inspect::du(process))),
    ("echo", |process| Box::pin(escape::echo(process))),
    ("egrep", |process| Box::pin(grep::grep(process))),
    ("env", |process| Box::pin(system::env(process))),
    ("envsubst", |process| Box::pin(misc::envsubst(process))),
    ("expr", |process| Box::pin(misc::expr(process))),
    ("false", |process| Box::pin(system::fail(process))),
    ("find", |process| Box::pin(files::find(process))),
    ("fold", |process| Box::pin(columns::fold(process))),
    ("free", |process| Box::pin(system::free(process))),
    ("gawk", |process| Box::pin(awk::awk(process))),
    ("getent", |process| Box::pin(lookup::getent(process))),
    ("grep", |process| Box::pin(grep::grep(process))),
    ("gunzip", |process| Box::pin(gzip::gzip(process, gzip::Tool::Gunzip))),
    ("gzip", |process| Box::pin(gzip::gzip(process, gzip::Tool::Gzip))),
    ("head", |process| Box::pin(text::head(process))),
    ("host", |process| Box::pin(lookup::host(process))),
    ("hostname", |process| Box::pin(system::hostname(process))),
    ("groups", |process| Box::pin(system::groups(process))),
    ("id", |process| Box::pin(system::id(process))),
    ("ifconfig", |process| Box::pin(net::ip(process))),
    ("ip", |process| Box::pin(net::ip(process))),
    ("iptables", |process| Box::pin(iptables::iptables(process))),
    ("iptables-save", |process| Box::pin(iptables::iptables(process))),
    ("jq", |process| Box::pin(jq::jq(process))),
    ("kill", |process| Box::pin(system::kill(process))),
    ("killall", |process| Box::pin(inspect::by_name(process))),
    ("less", |process| Box::pin(misc::pager(process))),
    ("ln", |process| Box::pin(files::ln(process))),
    ("ls", |process| Box::pin(listing::ls(process))),
    ("man", |process| Box::pin(misc::man(process))),
    ("md5sum", |process| Box::pin(misc::digest(process))),
    ("mkdir", |process| Box::pin(files::mkdir(process))),
    ("mktemp", |process| Box::pin(files::mktemp(process))),
    ("more", |process| Box::pin(misc::pager(process))),
    ("mount", |process| Box::pin(files::mount(process))),
    ("mv", |process| Box::pin(files::mv(process))),
    ("nano", |process| Box::pin(editor::nano(process))),
    ("nc", |process| Box::pin(net::nc(process))),
    ("netstat", |process| Box::pin(net::netstat(process))),
    ("nice", |process| Box::pin(misc::wrapped(process))),
    ("nl", |process| Box::pin(columns::nl(process))),
    ("nohup", |process| Box::pin(misc::wrapped(process))),
    ("nproc", |process| Box::pin(system::nproc(process))),
    ("nslookup", |process| Box::pin(lookup::nslookup(process))),
    ("od", |process| Box::pin(dump::od(process))),
    ("paste", |process| Box::pin(columns::paste(process))),
    ("pgrep", |process| Box::pin(inspect::by_name(process))),
    ("pidof", |process| Box::pin(inspect::by_name(process))),
    ("ping", |process| Box::pin(lookup::ping(process))),
    ("pkill", |process| Box::pin(inspect::by_name(process))),
    ("printenv", |process| Box::pin(system::printenv(process))),
    ("printf", |process| Box::pin(escape::printf(process))),
    ("ps", |process| Box::pin(ps::ps(process))),
    ("pwd", |process| Box::pin(system::pwd(process))),
    ("readlink", |process| Box::pin(files::readlink(process))),
    ("realpath", |process| Box::pin(files::readlink(process))),
    ("rev", |process| Box::pin(columns::rev(process))),
    ("rm", |process| Box::pin(files::rm(process))),
    ("rmdir", |process| Box::pin(files::rmdir(process))),
    ("route", |process| Box::pin(net::ip(process))),
    ("sed", |process| Box::pin(sed::sed(process))),
    ("seq", |process| Box::pin(lines::seq(process))),
    ("setsid", |process| Box::pin(misc::wrapped(process))),
    ("sha256sum", |process| Box::pin(misc::digest(process))),
    ("sha512sum", |process| Box::pin(misc::digest(process))),
    ("shuf", |process| Box::pin(misc::shuf(process))),
    ("sleep", |process| Box::pin(system::sleep(process))),
    ("sort", |process| Box::pin(lines::sort(process))),
    ("ss", |process| Box::pin(net::netstat(process))),
    ("stat", |process| Box::pin(inspect::stat(process))),
    ("stty", |process| Box::pin(misc::stty(process))),
    ("sysctl", |process| Box::pin(misc::sysctl(process))),
    ("tac", |process| Box::pin(columns::tac(process))),
    ("tail", |process| Box::pin(text::tail(process))),
    ("tar", |process| Box::pin(tar::tar(process))),
    ("tee", |process| Box::pin(text::tee(process))),
    ("telnet", |process| Box::pin(net::nc(process))),
    ("test", |process| Box::pin(conditions::test(process))),
    ("timeout", |process| Box::pin(system::timeout(process))),
    ("top", |process| Box::pin(inspect::top(process))),
    ("touch", |process| Box::pin(files::touch(process))),
    ("tr", |process| Box::pin(lines::tr(process))),
    ("true", |process| Box::pin(system::succeed(process))),
    ("tty", |process| Box::pin(misc::tty(process))),
    ("uname", |process| Box::pin(system::uname(process))),
    ("uniq", |process| Box::pin(lines::uniq(process))),
    ("uptime", |process| Box::pin(system::uptime(process))),
    ("vi", |process| Box::pin(editor::vi(process))),
    ("vim", |process| Box::pin(editor::vi(process))),
    ("watch", |process| Box::pin(system::watch(process))),
    ("wc", |process| Box::pin(lines::wc(process))),
    ("wget", |process| Box::pin(wget::wget(process))),
    ("which", |process| Box::pin(system::which(process))),
    ("whoami", |process| Box::pin(system::whoami(process))),
    ("xargs", |process| Box::pin(text::xargs(process))),
    ("xxd", |process| Box::pin(dump::xxd(process))),
    ("yes", |process| Box::pin(text::yes(process))),
    ("yq", |process| Box::pin(jq::jq(process))),
    ("zcat", |process| Box::pin(gzip::gzip(process, gzip::Tool::Zcat))),
];

/// The shell, under each of its names.
const SHELLS: &[(&str, Main)] = &[
    ("ash", |process| Box::pin(crate::shell::main(process))),
    ("bash", |process| Box::pin(crate::shell::main(process))),
    ("sh", |process| Box::pin(crate::shell::main(process))),
];

/// What only images have: entrypoints, and tools that differ from those of the same name elsewhere.
const ENTRYPOINTS: &[(&str, Main)] = &[
    ("curl-entrypoint", |process| Box::pin(curl_entrypoint(process))),
    ("nslookup-bind", |process| Box::pin(lookup::nslookup_bind(process))),
    ("nslookup-old", |process| Box::pin(lookup::nslookup_old(process))),
    ("pip", |process| Box::pin(packages::pip(process))),
    ("python3", |process| Box::pin(python::python(process))),
];

const TOOL_NAMES: [&str; TOOLS.len()] = names(TOOLS);
const SHELL_NAMES: [&str; SHELLS.len()] = names(SHELLS);
const SERVER_NAMES: [&str; servers::SERVERS.len()] = names(servers::SERVERS);
const SYSTEM_NAMES: [&str; servers::SYSTEM.len()] = names(servers::SYSTEM);
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
    /// The main function of any other program.
    fn program_main(name: &'static str) -> Option<Main> {
        main_in(&[TOOLS, servers::SERVERS, ENTRYPOINTS], name)
    }
}

/// Loads the shell's code, for somebody who is going to type.
pub async fn load_shell() {
    // What cannot be loaded is told when it is wanted.
    let _ = shell_main(SHELL_NAMES[0]).await;
}

fn main_in(tables: &[&[(&str, Main)]], name: &str) -> Option<Main> {
    tables.iter().flat_map(|table| table.iter()).find(|(known, _)| *known == name).map(|(_, main)| *main)
}

/// A built-in program by the name its executables carry ([`crate::fs::Kind::Program`]).
pub fn find(name: &str) -> Option<Rc<dyn Program>> {
    let names = [TOOL_NAMES.as_slice(), &SHELL_NAMES, &SYSTEM_NAMES, &SERVER_NAMES, &ENTRYPOINT_NAMES];
    let name = *names.into_iter().flatten().find(|known| **known == name)?;
    Some(Rc::new(move |process: Process| async move {
        let main = if SHELL_NAMES.contains(&name) {
            shell_main(name).await
        } else if SYSTEM_NAMES.contains(&name) {
            Ok(main_in(&[servers::SYSTEM], name))
        } else {
            program_main(name).await
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
            process.machine.set_args(process.pid, &found.args);
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
    spawn_with(process, command, process.fds.clone()).await
}

/// The same with other descriptors.
pub(crate) async fn spawn_with(process: &Process, command: Vec<String>, fds: BTreeMap<u32, Fd>) -> Option<Child> {
    let group = process.machine.processes().into_iter().find(|info| info.pid == process.pid).map(|info| info.group);
    match process.spawn(&command, fds, group) {
        Ok(child) => Some(child),
        Err(error) => {
            let name = command.into_iter().next().unwrap_or_default();
            process.fail(127, format_args!("can't execute '{name}': {error}")).await;
            None
        }
    }
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
