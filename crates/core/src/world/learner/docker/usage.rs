//! What containers and images take: `docker top`, `stats`, `system df`, `system prune`.

use std::rc::Rc;
use std::time::Duration;

use kubelet::runtime::ContainerState;
use serde_json::{Value, json};
use sim::process::Machine;

use super::super::flags::{Flags, Known};
use super::super::nodes;
use super::images::size;
use super::text::columns;
use super::{Code, Container, Own, Run};

/// Between two looks at how much CPU a container has used.
const PERIOD: Duration = Duration::from_secs(1);
const MEMORY_BYTES: u64 = 16 << 30;

impl Run {
    fn machine_of(&self, own: &Own) -> Result<Machine, String> {
        let machine = self.docker.0.runtime.machine(&own.container_id);
        machine.ok_or_else(|| format!("Error response from daemon: container {} is not running", own.container_id))
    }

    pub(super) async fn top(&self, words: &[String]) -> Code {
        let name = words
            .first()
            .ok_or("docker: 'docker top' requires at least 1 argument\n\nUsage:  docker top CONTAINER [ps OPTIONS]")?;
        let processes = match self.docker.find(name)? {
            Container::Own(own) => self.machine_of(&own)?.processes(),
            Container::Node(cluster, node) => {
                let stopped = || format!("Error response from daemon: container {} is not running", node.id);
                let inner = cluster.inner().clone().filter(|_| !node.stopped).ok_or_else(stopped)?;
                let mut runtimes = inner.world.runtimes().into_iter();
                let runtime = runtimes.find(|runtime| runtime.node_name() == node.options.name).ok_or_else(stopped)?;
                nodes::machine(Rc::downgrade(&inner), &runtime).processes()
            }
        };
        let head = ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"];
        let mut table = vec![head.map(str::to_owned).to_vec()];
        table.extend(processes.into_iter().map(|process| {
            let user = if process.uid == 0 { "root".to_owned() } else { process.uid.to_string() };
            let started = process.started_at.strftime("%H:%M").to_string();
            let (pid, parent) = (process.pid.to_string(), process.parent.to_string());
            vec![user, pid, parent, "0".into(), started, "?".into(), "00:00:00".into(), process.args.join(" ")]
        }));
        self.print(columns(&table)).await
    }

    /// Use now, or again and again where somebody looks on.
    pub(super) async fn stats(&self, words: &[String]) -> Code {
        const KNOWN: &[Known] =
            &[("all", 'a', false), ("no-stream", ' ', false), ("no-trunc", ' ', false), ("format", ' ', true)];
        let flags = Flags::parse(words, KNOWN, usize::MAX)?;
        loop {
            let rows = self.use_of(&flags).await?;
            if let Some(format) = flags.value("format").filter(|format| !format.starts_with("table")) {
                self.fill(format, rows).await?;
            } else {
                let fields = ["Container", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs"];
                let head =
                    ["CONTAINER ID", "NAME", "CPU %", "MEM USAGE / LIMIT", "MEM %", "NET I/O", "BLOCK I/O", "PIDS"];
                let mut table = vec![head.map(str::to_owned).to_vec()];
                let of = |row: &Value| fields.map(|field| row[field].as_str().unwrap_or_default().to_owned()).to_vec();
                table.extend(rows.iter().map(of));
                let clear = if flags.is_on("no-stream") { "" } else { "\x1b[2J\x1b[H" };
                if !self.process.print(format!("{clear}{}", columns(&table))).await {
                    return Ok(0);
                }
            }
            if flags.is_on("no-stream") {
                return Ok(0);
            }
        }
    }

    async fn use_of(&self, flags: &Flags) -> Result<Vec<Value>, String> {
        let mut wanted = Vec::new();
        for (own, status) in self.docker.own() {
            let named = flags.words.iter().any(|name| *name == own.name || own.container_id.starts_with(name.as_str()));
            let runs = status.state == ContainerState::Running;
            if named || (flags.words.is_empty() && (runs || flags.is_on("all"))) {
                wanted.push(own);
            }
        }
        for name in &flags.words {
            if let Container::Node(..) = self.docker.find(name)? {
                return Err(format!("{name}: what a node uses is told by `kubectl top node`"));
            }
        }
        let used = |own: &Own| self.machine_of(own).map_or(0, |machine| machine.cpu_usage_ns());
        let before: Vec<u64> = wanted.iter().map(used).collect();
        self.process.sleep(PERIOD).await;
        let length = if flags.is_on("no-trunc") { usize::MAX } else { 12 };
        Ok(wanted
            .iter()
            .zip(before)
            .map(|(own, before)| {
                let machine = self.machine_of(own).ok();
                let memory = machine.as_ref().map_or(0, Machine::memory_bytes);
                let cpu = used(own).saturating_sub(before) as f64 / PERIOD.as_nanos() as f64;
                json!({
                    "Container": own.container_id.chars().take(length).collect::<String>(),
                    "ID": own.container_id.chars().take(length).collect::<String>(),
                    "Name": own.name,
                    "CPUPerc": format!("{:.2}%", cpu * 100.0),
                    "MemUsage": format!("{} / {}", binary(memory), binary(MEMORY_BYTES)),
                    "MemPerc": format!("{:.2}%", memory as f64 / MEMORY_BYTES as f64 * 100.0),
                    "NetIO": "0B / 0B",
                    "BlockIO": "0B / 0B",
                    "PIDs": machine.map_or(0, |machine| machine.processes().len()).to_string(),
                })
            })
            .collect())
    }

    pub(super) async fn system(&self, words: &[String]) -> Code {
        let (command, rest) = words.split_first().map_or(("", words), |(first, rest)| (first.as_str(), rest));
        match command {
            "df" => self.disk_use(rest).await,
            "info" => self.info().await,
            "prune" => self.prune_all(rest).await,
            "" | "--help" | "-h" | "help" => {
                self.print("Usage:  docker system COMMAND\n\nManage Docker\n\nCommands:\n  df          Show docker disk usage\n  info        Display system-wide information\n  prune       Remove unused data\n\nRun 'docker system COMMAND --help' for more information on a command.\n").await
            }
            other => Err(format!("docker: unknown command: docker system {other}\n\nRun 'docker system --help' for more information")),
        }
    }

    async fn disk_use(&self, words: &[String]) -> Code {
        let flags = Flags::parse(words, &[("verbose", 'v', false), ("format", ' ', true)], usize::MAX)?;
        let (images, own, volumes) = (self.docker.0.runtime.images(), self.docker.own(), self.docker.volumes());
        let used = |id: &str| own.iter().any(|(own, _)| own.config.image_id == id);
        let sum = |active: bool| -> u64 {
            images.iter().filter(|image| !active || !used(&image.id)).map(|image| image.size_bytes).sum()
        };
        let written = |running: bool| -> u64 {
            let all = own.iter().filter(|(_, status)| !running || status.state != ContainerState::Running);
            let layers = all.filter_map(|(own, _)| self.docker.0.runtime.layer(&own.container_id));
            layers.map(|layer| u64::try_from(layer.borrow().own_bytes()).unwrap_or(u64::MAX)).sum()
        };
        let in_use = volumes.iter().filter(|name| self.docker.is_used(name)).count();
        let held = |unused: bool| -> u64 {
            let counted = volumes.iter().filter(|name| !unused || !self.docker.is_used(name));
            counted.map(|name| self.docker.volume_bytes(name)).sum()
        };
        let row = |what: &str, total: usize, active: usize, all: u64, free: u64| {
            let share = (free * 100).checked_div(all).unwrap_or(0);
            [what.to_owned(), total.to_string(), active.to_string(), size(all), format!("{} ({share}%)", size(free))]
        };
        let active = images.iter().filter(|image| used(&image.id)).count();
        let running = own.iter().filter(|(_, status)| status.state == ContainerState::Running).count();
        let rows = [
            row("Images", images.len(), active, sum(false), sum(true)),
            row("Containers", own.len(), running, written(false), written(true)),
            row("Local Volumes", volumes.len(), in_use, held(false), held(true)),
            ["Build Cache", "0", "0", "0B", "0B"].map(str::to_owned),
        ];
        if let Some(format) = flags.value("format").filter(|format| !format.starts_with("table")) {
            let of = |[kind, total, active, size, free]: &[String; 5]| json!({"Type": kind, "TotalCount": total, "Active": active, "Size": size, "Reclaimable": free});
            return self.fill(format, rows.iter().map(of).collect()).await;
        }
        let mut table = vec![["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"].map(str::to_owned).to_vec()];
        table.extend(rows.map(|row| row.to_vec()));
        self.print(columns(&table)).await
    }

    /// `docker system prune`: containers that do not run, and with `-a` images that no container has.
    async fn prune_all(&self, words: &[String]) -> Code {
        const KNOWN: &[Known] = &[("all", 'a', false), ("force", 'f', false), ("volumes", ' ', false)];
        let flags = Flags::parse(words, KNOWN, usize::MAX)?;
        let (all, volumes) = (flags.is_on("all"), flags.is_on("volumes"));
        let mut warning =
            "This will remove:\n  - all stopped containers\n  - all networks not used by at least one container\n"
                .to_owned();
        if volumes {
            warning.push_str("  - all anonymous volumes not used by at least one container\n");
        }
        warning.push_str(match all {
            true => "  - all images without at least one container associated to them\n  - all build cache\n",
            false => "  - all dangling images\n  - unused build cache\n",
        });
        if !flags.is_on("force") && !self.is_sure(&warning).await {
            return Ok(1);
        }
        let mut told = self.prune_containers().await;
        if volumes {
            told.push_str(&self.prune_volumes(false));
        }
        let mut freed = 0;
        if all {
            let (deleted, bytes) = self.prune_images();
            told.push_str(&deleted);
            freed = bytes;
        }
        self.print(format!("{told}Total reclaimed space: {}\n", size(freed))).await
    }

    /// `docker image prune`: no image is without a name, so that only `-a` finds any.
    pub(super) async fn prune_unused_images(&self, words: &[String]) -> Code {
        let flags = Flags::parse(words, &[("all", 'a', false), ("force", 'f', false)], usize::MAX)?;
        let what = match flags.is_on("all") {
            true => "images without at least one container associated to them",
            false => "dangling images",
        };
        if !flags.is_on("force") && !self.is_sure(&format!("This will remove all {what}.")).await {
            return Ok(1);
        }
        let (told, freed) = if flags.is_on("all") { self.prune_images() } else { (String::new(), 0) };
        self.print(format!("{told}Total reclaimed space: {}\n", size(freed))).await
    }

    /// Removes the images that no container has; what is told of it, and their bytes.
    fn prune_images(&self) -> (String, u64) {
        let (own, mut told, mut freed) = (self.docker.own(), String::new(), 0);
        for image in self.docker.0.runtime.images() {
            if own.iter().any(|(own, _)| own.config.image_id == image.id) {
                continue;
            }
            self.docker.0.runtime.remove_image(&image.reference.to_string());
            freed += image.size_bytes;
            let (familiar, tag) = (image.reference.familiar(), &image.reference.tag);
            told.push_str(&format!("untagged: {familiar}:{tag}\ndeleted: {}\n", image.id));
        }
        (if told.is_empty() { told } else { format!("Deleted Images:\n{told}\n") }, freed)
    }
}

/// Bytes by powers of two, as `docker stats` shows memory.
fn binary(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["B", "KiB", "MiB", "GiB"];
    let (mut amount, mut unit) = (bytes as f64, 0);
    while amount >= 1024.0 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    let text = match amount {
        0.0..10.0 => format!("{amount:.3}"),
        10.0..100.0 => format!("{amount:.2}"),
        100.0..1000.0 => format!("{amount:.1}"),
        _ => format!("{amount:.0}"),
    };
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{}", UNITS.get(unit).copied().unwrap_or("B"))
}
