//! Linux' capabilities, as far as the simulated world knows them: by name and number (`capability.h`).

/// All names, by number.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// A set of capabilities, a bit each.
pub type Capabilities = u64;

/// All of them.
pub const ALL: Capabilities = (1 << NAMES.len()) - 1;
/// What a container has if nothing is said, as containerd gives it.
const OF_CONTAINERS: Capabilities = 0xa804_25fb;

/// The set of one capability, by its name with or without `CAP_`; of all for `ALL`.
pub fn named(name: &str) -> Capabilities {
    let name = name.to_uppercase();
    let name = name.strip_prefix("CAP_").unwrap_or(&name);
    match NAMES.iter().position(|known| *known == name) {
        Some(number) => 1 << number,
        None if name == "ALL" => ALL,
        None => 0,
    }
}

/// A container's set: what is dropped goes first, as runtimes do it where all are, else last.
pub fn of_container(privileged: bool, add: &[String], drop: &[String]) -> Capabilities {
    if privileged {
        return ALL;
    }
    let sum = |names: &[String]| names.iter().fold(0, |set, name| set | named(name));
    let (add, drop) = (sum(add), sum(drop));
    if drop == ALL { add } else { (OF_CONTAINERS | add) & !drop }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_those_of_the_documentation() {
        let words = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(of_container(false, &[], &[]), 0xa804_25fb);
        assert_eq!(of_container(false, &words(&["NET_ADMIN", "SYS_TIME"]), &[]), 0xaa04_35fb);
        assert_eq!(of_container(false, &words(&["NET_BIND_SERVICE"]), &words(&["ALL"])), 0x400);
        assert_eq!(of_container(true, &[], &words(&["ALL"])), 0x1ff_ffff_ffff);
    }
}
