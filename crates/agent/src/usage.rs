//! What containers use, by the kernel's account: their control groups, of either version.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

const ROOT: &str = "/sys/fs/cgroup";
/// How long it is looked for the use of CPUs now.
const WINDOW: Duration = Duration::from_secs(1);

/// Prints a line for each of the containers that has a control group: its place in the list, nanoseconds of CPU time
/// since its start, billionths of a CPU now, and the bytes of memory in use.
pub fn run(ids: &[String]) -> ExitCode {
    let groups = Groups::find(Path::new(ROOT), ids);
    let begin = Instant::now();
    let before: Vec<Option<u64>> = ids.iter().map(|id| groups.cpu(id)).collect();
    sleep(WINDOW);
    let window = begin.elapsed().as_nanos().max(1);
    for (place, (id, before)) in ids.iter().zip(before).enumerate() {
        if let (Some(before), Some(total), Some(memory)) = (before, groups.cpu(id), groups.memory(id)) {
            let now = u128::from(total.saturating_sub(before)) * 1_000_000_000 / window;
            println!("{place} {total} {now} {memory}");
        }
    }
    ExitCode::SUCCESS
}

/// Where the control groups of containers are.
struct Groups {
    /// Whether all controllers share one hierarchy (version 2).
    unified: bool,
    cpu: HashMap<String, PathBuf>,
    memory: HashMap<String, PathBuf>,
}

impl Groups {
    fn find(root: &Path, ids: &[String]) -> Self {
        let unified = root.join("cgroup.controllers").exists();
        let below = |controller: &str| {
            let mut found = HashMap::new();
            let folder = if unified { root.to_owned() } else { root.join(controller) };
            collect(&folder, ids, &mut found);
            found
        };
        let cpu = below("cpuacct");
        let memory = if unified { cpu.clone() } else { below("memory") };
        Self { unified, cpu, memory }
    }

    /// Nanoseconds of CPU time.
    fn cpu(&self, id: &str) -> Option<u64> {
        let folder = self.cpu.get(id)?;
        match self.unified {
            true => Some(field(&folder.join("cpu.stat"), "usage_usec")? * 1000),
            false => number(&folder.join("cpuacct.usage")),
        }
    }

    /// Bytes that cannot be given back at once: without the files' pages that were not used of late.
    fn memory(&self, id: &str) -> Option<u64> {
        let folder = self.memory.get(id)?;
        let (usage, inactive) = match self.unified {
            true => ("memory.current", "inactive_file"),
            false => ("memory.usage_in_bytes", "total_inactive_file"),
        };
        let inactive = field(&folder.join("memory.stat"), inactive).unwrap_or_default();
        Some(number(&folder.join(usage))?.saturating_sub(inactive))
    }
}

/// Finds the containers' folders, which are named `ID` or, by systemd, `docker-ID.scope`.
fn collect(folder: &Path, ids: &[String], found: &mut HashMap<String, PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let name = entry.file_name().to_string_lossy().into_owned();
        let stem = name.strip_suffix(".scope").unwrap_or(&name);
        let own = stem.rsplit('-').next().unwrap_or(stem);
        match ids.iter().find(|id| *id == own) {
            Some(id) => _ = found.insert(id.clone(), entry.path()),
            None => collect(&entry.path(), ids, found),
        }
    }
}

fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// A line `name number` of a file.
fn field(file: &Path, name: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_of_control_groups() {
        let root = std::env::temp_dir().join(format!("playground-agent-usage-{}", std::process::id()));
        let write = |path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("one/cpuacct/docker/abc/cpuacct.usage", "5000\n");
        write("one/memory/docker/abc/memory.usage_in_bytes", "900\n");
        write("one/memory/docker/abc/memory.stat", "inactive_file 1\ntotal_inactive_file 100\n");
        write("two/cgroup.controllers", "cpu memory\n");
        write("two/system.slice/docker-abc.scope/cpu.stat", "usage_usec 5\nuser_usec 4\n");
        write("two/system.slice/docker-abc.scope/memory.current", "900\n");
        write("two/system.slice/docker-abc.scope/memory.stat", "inactive_file 100\n");
        let ids = ["abc".to_owned(), "def".to_owned()];
        for version in ["one", "two"] {
            let groups = Groups::find(&root.join(version), &ids);
            assert_eq!((groups.cpu("abc"), groups.memory("abc")), (Some(5000), Some(800)), "{version}");
            assert_eq!((groups.cpu("def"), groups.memory("def")), (None, None), "{version}");
        }
        fs::remove_dir_all(root).unwrap();
    }
}
