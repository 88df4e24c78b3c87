//! `apt-get` and `apk`: packages whose programs there are.

use crate::fs::Entry;
use crate::process::Process;

/// Packages by their names in Debian and Alpine, with the executables they bring: where they differ from the program's
/// name, `name=program`.
const PACKAGES: &[(&[&str], &[&str])] = &[
    (
        &["amqp-tools"],
        &[
            "amqp-consume=amqp-tools",
            "amqp-declare-queue=amqp-tools",
            "amqp-delete-queue=amqp-tools",
            "amqp-get=amqp-tools",
            "amqp-publish=amqp-tools",
        ],
    ),
    (&["bash"], &["bash"]),
    (&["bc"], &["bc"]),
    (&["ca-certificates", "coreutils", "apt-transport-https", "gnupg"], &[]),
    (&["curl"], &["curl"]),
    (&["dnsutils", "bind9-dnsutils", "bind-tools", "bind9-host"], &["dig", "host", "nslookup=nslookup-bind"]),
    (&["gawk"], &["gawk"]),
    (&["gettext-base", "gettext"], &["envsubst"]),
    (&["iproute2"], &["ip", "ss"]),
    (&["iputils-ping", "iputils"], &["ping"]),
    (&["jq"], &["jq"]),
    (&["less"], &["less"]),
    (&["mysql-client", "default-mysql-client", "mariadb-client"], &["mysql"]),
    (&["nano"], &["nano"]),
    (&["net-tools"], &["ifconfig", "netstat", "route"]),
    (&["netcat", "netcat-openbsd", "netcat-traditional"], &["nc"]),
    (&["postgresql-client", "postgresql"], &["psql", "pg_isready"]),
    (&["python", "python3", "python3-minimal"], &["python=python3", "python3"]),
    (&["procps"], &["free", "pgrep", "pidof", "pkill", "ps", "top", "uptime", "watch"]),
    (&["psmisc"], &["killall"]),
    (&["redis-tools", "redis"], &["redis-cli"]),
    (&["stress", "stress-ng"], &["stress", "stress-ng=stress"]),
    (&["telnet", "busybox-extras"], &["telnet"]),
    (&["vim", "vim-tiny"], &["vi", "vim"]),
    (&["wget"], &["wget"]),
];

fn executables(package: &str) -> Option<&'static [&'static str]> {
    PACKAGES.iter().find(|(names, _)| names.contains(&package)).map(|(_, executables)| *executables)
}

fn install(process: &Process, executables: &[&str]) {
    let now = process.machine.now();
    for executable in executables {
        let (name, program) = executable.split_once('=').unwrap_or((executable, executable));
        let path = format!("/usr/bin/{name}");
        // What cannot be written is told by the command that is not there.
        let _ = process.fs().write(&path, "", now);
        let _ = process.fs().update(&path, |entry| *entry = Entry::program(program, now));
    }
}

/// `apt-get update`, `apt-get install -y NAME…`, and `apt`.
pub(super) async fn apt(process: Process) -> i32 {
    let (flags, words): (Vec<&String>, Vec<&String>) =
        process.operands().iter().partition(|word| word.starts_with('-'));
    let Some((command, packages)) = words.split_first() else {
        process.print("apt 2.6.1 (amd64)\nUsage: apt-get [options] command\n").await;
        return 0;
    };
    if process.uid != 0 {
        process
            .eprint(
                "E: Could not open lock file /var/lib/apt/lists/lock - open (13: Permission denied)\n\
                 E: Unable to lock directory /var/lib/apt/lists/\n",
            )
            .await;
        return 100;
    }
    const LISTS: &str = "Reading package lists...\n";
    match command.as_str() {
        "update" | "upgrade" | "clean" | "autoremove" | "dist-upgrade" | "autoclean" => {
            process.print(if command.ends_with("clean") { "" } else { LISTS }).await;
            0
        }
        "install" => {
            process.print(format!("{LISTS}Building dependency tree...\nReading state information...\n")).await;
            let unknown: Vec<_> = packages.iter().filter(|package| executables(package).is_none()).collect();
            for package in &unknown {
                process.eprint(format!("E: Unable to locate package {package}\n")).await;
            }
            if !unknown.is_empty() {
                return 100;
            }
            let sure = flags.iter().any(|flag| {
                matches!(flag.as_str(), "--yes" | "--assume-yes") || !flag.starts_with("--") && flag.contains('y')
            });
            let names: Vec<&str> = packages.iter().map(|package| package.as_str()).collect();
            process.print(format!("The following NEW packages will be installed:\n  {}\n", names.join(" "))).await;
            if !sure {
                process.print("Do you want to continue? [Y/n] ").await;
                let answer = process.stdin().read(64).await.unwrap_or_default();
                if answer.is_empty() || !matches!(answer.first(), Some(b'y' | b'Y' | b'\n' | b'\r')) {
                    process.print("Abort.\n").await;
                    return 1;
                }
            }
            for package in names {
                process.print(format!("Setting up {package} ...\n")).await;
                install(&process, executables(package).unwrap_or_default());
            }
            0
        }
        other => {
            process.eprint(format!("E: Invalid operation {other}\n")).await;
            100
        }
    }
}

/// `pip install NAME…`: what Python's programs here may import is there already.
pub(super) async fn pip(process: Process) -> i32 {
    let mut words = process.operands().iter().skip_while(|word| word.starts_with('-'));
    match words.next().map(String::as_str) {
        Some("install") => {
            let names: Vec<&String> = words.filter(|word| !word.starts_with('-')).collect();
            if names.is_empty() {
                process
                    .eprint("ERROR: You must give at least one requirement to install (see \"pip help install\")\n")
                    .await;
                return 1;
            }
            for name in &names {
                process.print(format!("Collecting {name}\n")).await;
            }
            let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
            i32::from(!process.print(format!("Successfully installed {}\n", names.join(" "))).await)
        }
        Some("--version") | None => {
            i32::from(!process.print("pip 25.2 from /usr/local/lib/python3.13 (python 3.13)\n").await)
        }
        Some(other) => process.fail(1, format_args!("ERROR: unknown command \"{other}\"")).await,
    }
}

/// `apk add NAME…`, `apk update`.
pub(super) async fn apk(process: Process) -> i32 {
    let words: Vec<&String> = process.operands().iter().filter(|word| !word.starts_with('-')).collect();
    let Some((command, packages)) = words.split_first() else {
        process
            .print("apk-tools 2.14.9, compiled for x86_64.\n\nusage: apk [<OPTIONS>...] COMMAND [<ARGUMENTS>...]\n")
            .await;
        return 1;
    };
    if process.uid != 0 {
        process.eprint("ERROR: Unable to lock database: Permission denied\nERROR: Failed to open apk database: Permission denied\n").await;
        return 99;
    }
    match command.as_str() {
        "update" | "upgrade" => {
            process.print("OK: 25393 distinct packages available\n").await;
            0
        }
        "add" => {
            let unknown: Vec<_> = packages.iter().filter(|package| executables(package).is_none()).collect();
            if !unknown.is_empty() {
                let lines: String = unknown
                    .iter()
                    .map(|package| format!("  {package} (no such package):\n    required by: world[{package}]\n"))
                    .collect();
                process.eprint(format!("ERROR: unable to select packages:\n{lines}")).await;
                return i32::try_from(unknown.len()).unwrap_or(1);
            }
            for (index, package) in packages.iter().enumerate() {
                process.print(format!("({}/{}) Installing {package}\n", index + 1, packages.len())).await;
                install(&process, executables(package).unwrap_or_default());
            }
            process.print(format!("OK: {} MiB in {} packages\n", 10 + packages.len(), 16 + packages.len())).await;
            0
        }
        other => {
            process.eprint(format!("ERROR: '{other}' is not an apk command. See 'apk --help'.\n")).await;
            1
        }
    }
}
