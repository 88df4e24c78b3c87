//! What the kernel shows below `/proc`.

use std::rc::Weak;

use super::Pid;
use super::machine::{Machine, Restrictions, Shared};
use super::namespace::ProcessInfo;
use crate::fs::{self, Entry, Fs};

/// What `/proc` shows of a machine's processes.
pub(super) struct ProcOf(pub(super) Weak<Shared>);

impl fs::Proc for ProcOf {
    fn entry(&self, path: &str, pid: Pid) -> Option<Entry> {
        let machine = Machine(self.0.upgrade()?);
        let at = machine.booted_at();
        let (first, rest) = path.split_once('/').unwrap_or((path, ""));
        if let "self" | "thread-self" = first {
            return Some(Entry::symlink(&pid.to_string(), at));
        }
        let Ok(number) = first.parse::<Pid>() else {
            let folder =
                SYSCTLS.iter().any(|(name, _)| format!("sys.{name}").starts_with(&(path.replace('/', ".") + ".")));
            let file = || machine.kernel_file(path).map(|text| Entry { mode: 0o444, ..Entry::file(text, at) });
            return if folder { Some(Entry { mode: 0o555, ..Entry::directory(at) }) } else { file() };
        };
        let (info, owner, environ) =
            machine.rows().get(&number).map(|row| (row.info.clone(), row.owner.clone(), row.environ.clone()))?;
        let owned = |entry: Entry| Some(Entry { uid: info.uid, gid: info.gid, modified: info.started_at, ..entry });
        let seen = owner.upgrade().map(|owner| owner.config.fs.clone());
        match rest.split_once('/').unwrap_or((rest, "")) {
            ("" | "root", "") => owned(Entry { mode: 0o555, ..Entry::directory(at) }),
            ("root", inner) if inner.split('/').next() == Some(PROC) => None,
            ("root", inner) => seen?.entry(&format!("/{inner}")),
            ("attr", "") => owned(Entry { mode: 0o555, ..Entry::directory(at) }),
            ("attr", "current") => {
                let owner = owner.upgrade();
                let profile = owner.map_or_else(|| "unconfined".into(), |owner| owner.confinement.borrow().0.clone());
                owned(Entry { mode: 0o444, ..Entry::file(format!("{profile}\n"), at) })
            }
            ("ns", "") => owned(Entry { mode: 0o511, ..Entry::directory(at) }),
            ("ns", kind) => {
                let (_, initial) = NAMESPACES.into_iter().find(|(known, _)| *known == kind)?;
                let number = owner.upgrade().map_or(initial, |owner| Machine(owner).namespace_number(kind, initial));
                owned(Entry::symlink(&format!("{kind}:[{number}]"), at))
            }
            ("environ", "") => owned(Entry { mode: 0o400, ..Entry::file(environ.block(), at) }),
            (name, "") => {
                let text = match name {
                    "cmdline" => info.args.join("\0") + "\0",
                    "comm" => format!("{}\n", info.name()),
                    "status" => {
                        let restrictions = owner.upgrade().map(|owner| owner.restrictions.get()).unwrap_or_default();
                        machine.status_text(&info, restrictions)
                    }
                    "mounts" => mounts_text(&seen?),
                    "uid_map" | "gid_map" => {
                        let first = owner.upgrade().and_then(|owner| owner.restrictions.get().first_user);
                        let (first, count) = first.map_or((0, u32::MAX), |first| (first, USERS));
                        format!("{:>10} {first:>10} {count:>10}\n", 0)
                    }
                    _ => return None,
                };
                owned(Entry { mode: 0o444, ..Entry::file(text, at) })
            }
            _ => None,
        }
    }

    fn children(&self, path: &str, pid: Pid) -> Vec<(String, Entry)> {
        let Some(machine) = self.0.upgrade().map(Machine) else { return Vec::new() };
        let names: Vec<String> = match path.split_once('/') {
            _ if path.is_empty() => {
                let pids = machine.rows().keys().map(Pid::to_string).collect::<Vec<_>>();
                pids.into_iter().chain(KERNEL_FILES.map(str::to_owned)).chain(["self".to_owned()]).collect()
            }
            None => PROCESS_FILES.map(str::to_owned).into(),
            Some((number, inner)) if inner == "root" || inner.starts_with("root/") => {
                let owner = number.parse().ok().and_then(|pid: Pid| machine.rows().get(&pid)?.owner.upgrade());
                let inner = format!("/{}", inner.trim_start_matches("root").trim_start_matches('/'));
                let listed = owner.and_then(|owner| owner.config.fs.list(&inner).ok()).unwrap_or_default();
                return listed.into_iter().filter(|(name, _)| inner != "/" || name != PROC).collect();
            }
            Some((_, "ns")) => NAMESPACES.map(|(kind, _)| kind.to_owned()).into(),
            Some(_) => return Vec::new(),
        };
        let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
        let entry = |name: String| Some((name.clone(), self.entry(&format!("{prefix}{name}"), pid)?));
        names.into_iter().filter_map(entry).collect()
    }
}

/// What there is below `/proc` that is no process, and in each process' folder.
const KERNEL_FILES: [&str; 6] = ["cpuinfo", "loadavg", "meminfo", "mounts", "uptime", "version"];
/// `root` is not among them: it is found by its name, and the kernel shows a link there, which nobody follows who
/// walks through folders.
const PROCESS_FILES: [&str; 7] = ["cmdline", "comm", "environ", "gid_map", "mounts", "status", "uid_map"];
/// The kinds of namespaces, with the numbers of those that a node's own processes are in.
const NAMESPACES: [(&str, u64); 7] = [
    ("cgroup", 4_026_531_835),
    ("ipc", 4_026_531_839),
    ("mnt", 4_026_531_841),
    ("net", 4_026_531_840),
    ("pid", 4_026_531_836),
    ("user", 4_026_531_837),
    ("uts", 4_026_531_838),
];
/// Kernel parameters as they usually are.
const SYSCTLS: [(&str, &str); 16] = [
    ("fs.file-max", "9223372036854775807"),
    ("kernel.msgmax", "8192"),
    ("kernel.pid_max", "32768"),
    ("kernel.shm_rmid_forced", "0"),
    ("net.core.somaxconn", "4096"),
    ("net.ipv4.ip_forward", "1"),
    ("net.ipv4.ip_local_port_range", "32768\t60999"),
    ("net.ipv4.ip_unprivileged_port_start", "0"),
    ("net.ipv4.ping_group_range", "0\t2147483647"),
    ("net.ipv4.tcp_fin_timeout", "60"),
    ("net.ipv4.tcp_keepalive_intvl", "75"),
    ("net.ipv4.tcp_keepalive_probes", "9"),
    ("net.ipv4.tcp_keepalive_time", "7200"),
    ("net.ipv4.tcp_syncookies", "1"),
    ("vm.max_map_count", "65530"),
    ("vm.overcommit_memory", "1"),
];
/// How many users a user namespace has.
const USERS: u32 = 65536;
/// Of what is below a process' root, `/proc` shows nothing of `/proc`.
const PROC: &str = "proc";

/// `/proc/mounts`.
pub(crate) fn mounts_text(fs: &Fs) -> String {
    let line = |mounted: fs::Mounted| {
        let kind = if mounted.device == fs::DISK { "ext4" } else { mounted.device };
        let mode = if mounted.read_only { "ro" } else { "rw" };
        format!("{} {} {kind} {mode},relatime 0 0\n", mounted.device, mounted.path)
    };
    fs.mounts().into_iter().map(line).collect()
}

impl Machine {
    /// A kernel parameter by its name with dots.
    fn sysctl(&self, name: &str) -> Option<String> {
        let own = self
            .0
            .sysctls
            .borrow()
            .iter()
            .find(|(known, _)| known.replace('/', ".") == name)
            .map(|(_, value)| value.clone());
        own.or_else(|| SYSCTLS.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
    }

    /// A file below `/proc` that is no process'.
    fn kernel_file(&self, name: &str) -> Option<String> {
        if let Some(name) = name.strip_prefix("sys/") {
            return self.sysctl(&name.replace('/', ".")).map(|value| value + "\n");
        }
        let up = self.now().duration_since(self.booted_at()).as_secs_f64();
        Some(match name {
            "mounts" => mounts_text(self.fs()),
            "version" => "Linux version 6.8.0 (builder@playground) #1 SMP\n".into(),
            "uptime" => format!("{up:.2} {up:.2}\n"),
            "loadavg" => format!("0.00 0.01 0.05 1/{} 1\n", self.rows().len()),
            "meminfo" => {
                let total: u64 = 8 << 20;
                let free = total.saturating_sub(self.memory_bytes() / 1024);
                format!("MemTotal:       {total} kB\nMemFree:        {free} kB\nMemAvailable:   {free} kB\n")
            }
            "cpuinfo" => (0..4).map(|cpu| format!("processor\t: {cpu}\nmodel name\t: playground\n\n")).collect(),
            _ => return None,
        })
    }

    /// The number of a namespace that its processes are in: a container has its own, but for users.
    fn namespace_number(&self, kind: &str, initial: u64) -> u64 {
        let own = self.is_container() && (kind != "user" || self.restrictions().first_user.is_some());
        let seed = machinery::random::fnv64a(format!("{kind}/{}", self.hostname()).as_bytes());
        if own { 4_026_532_000 + seed % 100_000 } else { initial }
    }

    /// `/proc/<pid>/status`.
    fn status_text(&self, info: &ProcessInfo, restrictions: Restrictions) -> String {
        let name = info.name();
        let bound = self.capabilities();
        // Only root has any in force.
        let own = if info.uid == 0 { bound } else { 0 };
        let ids = |id: u32| format!("{id}\t{id}\t{id}\t{id}");
        format!(
            "Name:\t{name}\nState:\tS (sleeping)\nPid:\t{}\nPPid:\t{}\nUid:\t{}\nGid:\t{}\nCapInh:\t{:016x}\n\
             CapPrm:\t{own:016x}\nCapEff:\t{own:016x}\nCapBnd:\t{bound:016x}\nCapAmb:\t{:016x}\n\
             NoNewPrivs:\t{}\nSeccomp:\t{}\n",
            info.pid,
            info.parent,
            ids(info.uid),
            ids(info.gid),
            0,
            0,
            u8::from(restrictions.no_new_privileges),
            if restrictions.seccomp { 2 } else { 0 },
        )
    }
}
