//! The files that images are built on.

use std::cell::RefCell;
use std::rc::{Rc, Weak};

use machinery::Timestamp;

use crate::fs::{Entry, Tree};
use crate::programs;

/// What an image is built `FROM`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// Nothing: not even a shell.
    Scratch,
    /// busybox: all tools in `/bin`.
    Busybox,
    /// Alpine: busybox' tools.
    Alpine,
    /// Debian: bash and the GNU tools, but neither `ps` nor `wget`.
    Debian,
    /// A node: Debian with what looks after it.
    Node,
    /// The learner's own computer: everything.
    Workstation,
}

/// Sizes of huge pages: as Kubernetes names them, in KiB.
pub(crate) const HUGE_PAGES: [(&str, u64); 2] = [("2Mi", 2 << 10), ("1Gi", 1 << 20)];

/// The file of a node that says how many huge pages of a size are set aside.
pub(crate) fn huge_pages_file(kib: u64) -> String {
    format!("/sys/kernel/mm/hugepages/hugepages-{kib}kB/nr_hugepages")
}

/// Tools that a slim Debian has not.
const NOT_IN_DEBIAN: [&str; 38] = [
    "apk",
    "bc",
    "clear",
    "column",
    "curl",
    "dig",
    "envsubst",
    "gawk",
    "host",
    "ifconfig",
    "ip",
    "iptables",
    "iptables-save",
    "killall",
    "less",
    "man",
    "nano",
    "nc",
    "netstat",
    "nslookup",
    "pgrep",
    "pidof",
    "ping",
    "pkill",
    "ps",
    "route",
    "ss",
    "sysctl",
    "telnet",
    "top",
    "uptime",
    "vi",
    "vim",
    "watch",
    "wget",
    "free",
    "jq",
    "yq",
];
/// What a node has beyond that.
const ON_NODES: [&str; 19] = [
    "clear",
    "curl",
    "free",
    "ifconfig",
    "ip",
    "iptables",
    "iptables-save",
    "jq",
    "killall",
    "less",
    "netstat",
    "pgrep",
    "pkill",
    "ping",
    "ps",
    "ss",
    "sysctl",
    "top",
    "uptime",
];
/// Tools that busybox and Alpine have not.
const NOT_IN_BUSYBOX: [&str; 18] = [
    "apt",
    "apt-get",
    "bash",
    "column",
    "curl",
    "dig",
    "envsubst",
    "gawk",
    "getent",
    "host",
    "iptables",
    "iptables-save",
    "man",
    "nano",
    "ss",
    "vim",
    "jq",
    "yq",
];

thread_local! {
    /// The layer that was made last, as long as somebody has it.
    static LAST_LAYER: RefCell<Option<(Base, Timestamp, Weak<Tree>)>> = const { RefCell::new(None) };
}

impl Base {
    /// A fresh tree of its files, to add to.
    pub fn tree(self, time: Timestamp) -> Tree {
        let mut tree = Tree::new(time);
        for name in ["null", "zero", "full", "urandom", "random", "tty"] {
            let device = match name {
                "random" => "urandom",
                other => other,
            };
            tree.insert(&format!("/dev/{name}"), Entry::device(device, time));
        }
        for folder in ["/etc", "/proc", "/sys", "/tmp"] {
            tree.insert(folder, Entry::directory(time));
        }
        tree.insert("/tmp", Entry { mode: 0o1777, ..Entry::directory(time) });
        if self == Self::Scratch {
            return tree;
        }
        for folder in
            ["/root", "/home", "/var/log", "/var/run", "/run", "/usr/bin", "/usr/local/bin", "/opt", "/srv", "/mnt"]
        {
            tree.insert(folder, Entry::directory(time));
        }
        tree.insert("/root", Entry { mode: 0o700, ..Entry::directory(time) });
        // Whose computer it is.
        let (user, group) = match self {
            Self::Workstation => ("learner:x:1000:1000:learner:/home/learner:/bin/bash\n", "learner:x:1000:\n"),
            _ => ("", ""),
        };
        tree.insert("/etc/passwd", Entry::file(format!("{}{user}", self.passwd()), time));
        tree.insert("/etc/group", Entry::file(format!("root:x:0:\n{group}nogroup:x:65534:\n"), time));
        if self == Self::Node {
            for (_, kib) in HUGE_PAGES {
                tree.insert(&huge_pages_file(kib), Entry::file("0\n", time));
            }
        }
        if let Some(release) = self.os_release() {
            tree.insert("/etc/os-release", Entry::file(release, time));
        }
        let merged = matches!(self, Self::Debian | Self::Node | Self::Workstation);
        let folder = if merged { "/usr/bin" } else { "/bin" };
        for tool in programs::tool_names().filter(|tool| self.has(tool)) {
            tree.insert(&format!("{folder}/{tool}"), Entry::program(tool, time));
        }
        if folder == "/usr/bin" {
            tree.insert("/bin", Entry::symlink("usr/bin", time));
        }
        tree
    }

    /// As [`Base::tree`], to put layers over: one for all that are made at the same time, as a cluster's nodes are.
    pub fn layer(self, time: Timestamp) -> Rc<Tree> {
        LAST_LAYER.with_borrow_mut(|last| {
            let same = last.as_ref().filter(|(base, at, _)| (*base, *at) == (self, time));
            if let Some(tree) = same.and_then(|(_, _, tree)| tree.upgrade()) {
                return tree;
            }
            let tree = Rc::new(self.tree(time));
            *last = Some((self, time, Rc::downgrade(&tree)));
            tree
        })
    }

    fn has(self, tool: &str) -> bool {
        match self {
            Self::Scratch => false,
            Self::Busybox => tool != "apk" && !NOT_IN_BUSYBOX.contains(&tool),
            Self::Alpine => !NOT_IN_BUSYBOX.contains(&tool),
            Self::Debian => !NOT_IN_DEBIAN.contains(&tool),
            Self::Node => !NOT_IN_DEBIAN.contains(&tool) || ON_NODES.contains(&tool),
            Self::Workstation => !matches!(tool, "apk" | "apt" | "apt-get" | "iptables" | "iptables-save"),
        }
    }

    fn passwd(self) -> &'static str {
        match self {
            Self::Debian | Self::Node | Self::Workstation => {
                "root:x:0:0:root:/root:/bin/bash\nwww-data:x:33:33:www-data:/var/www:/usr/sbin/nologin\n\
                 nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
            }
            _ => {
                "root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33:www-data:/var/www:/bin/false\n\
                 nobody:x:65534:65534:nobody:/home:/bin/false\n"
            }
        }
    }

    fn os_release(self) -> Option<&'static str> {
        match self {
            Self::Alpine => {
                Some("NAME=\"Alpine Linux\"\nID=alpine\nVERSION_ID=3.22.0\nPRETTY_NAME=\"Alpine Linux v3.22\"\n")
            }
            Self::Debian | Self::Node | Self::Workstation => Some(
                "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\n\
                 VERSION=\"12 (bookworm)\"\nID=debian\n",
            ),
            Self::Scratch | Self::Busybox => None,
        }
    }
}
