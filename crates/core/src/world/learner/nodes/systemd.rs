//! `systemctl` on a node: its kubelet and its container runtime; and what they write to the journal.

use std::rc::Rc;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Event;
use machinery::Timestamp;
use machinery::sort::Order;
use sim::SimRuntime;
use sim::fs::{Entry, Fs, Kind};
use sim::process::Process;

use super::journalctl::SHORT;
use crate::cluster::Inner;
use crate::control::Fault;

/// A service: its name, what it is, its program and its number.
pub(super) const UNITS: [(&str, &str, &str, u32); 3] = [
    ("containerd", "containerd container runtime", "/usr/local/bin/containerd", 109),
    ("kubelet", "kubelet: The Kubernetes Node Agent", "/usr/bin/kubelet", 230),
    ("systemd-journald", "Journal Service", "/usr/lib/systemd/systemd-journald", 96),
];
/// What was started and stopped by hand, a line each.
const STORY: &str = "/var/log/journal/story";
/// So many of them are kept.
const STORY_LINES_MAX: usize = 1000;
/// The services that are not to be started with the node, a line each.
const DISABLED: &str = "/etc/systemd/disabled";

fn kubelet(runtime: &SimRuntime) -> String {
    format!("kubelet/{}", runtime.node_name())
}

fn is_active(inner: &Inner, runtime: &SimRuntime, unit: &str) -> bool {
    match unit {
        "kubelet" => inner.is_running(&kubelet(runtime)),
        "containerd" => !runtime.is_down(),
        _ => true,
    }
}

/// Starts or stops a service.
fn set_active(inner: &Inner, runtime: &SimRuntime, unit: &str, active: bool) {
    match unit {
        "containerd" => runtime.set_down(!active),
        "kubelet" => {
            let fault = Fault::ComponentDown { component: kubelet(runtime) };
            // What is so already stays so.
            let _ = if active { inner.heal(&fault) } else { inner.begin(fault) };
            if active {
                inner.start_component(&kubelet(runtime));
            }
        }
        _ => {}
    }
}

fn tell(runtime: &SimRuntime, now: Timestamp, unit: &str, text: &str) {
    let fs = Fs::new(runtime.host_tree(), false);
    let before = fs.read_text(STORY).unwrap_or_default();
    let lines: Vec<&str> = before.lines().collect();
    let kept = lines.get(lines.len().saturating_sub(STORY_LINES_MAX - 1)..).unwrap_or_default();
    let mut story: String = kept.iter().map(|line| format!("{line}\n")).collect();
    story += &format!("{}\t{unit}\t{text}\n", now.as_microsecond());
    // A full disk keeps no journal.
    let _ = fs.create_dir_all("/var/log/journal", now).and_then(|()| fs.write(STORY, story, now));
    runtime.note();
}

fn disabled(runtime: &SimRuntime) -> Vec<String> {
    let text = Fs::new(runtime.host_tree(), false).read_text(DISABLED).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// A span as systemd writes it: `2h 5min`, `8min`, `3s`.
fn ago(span: std::time::Duration) -> String {
    const UNITS: [(&str, u64); 4] = [("day", 86400), ("h", 3600), ("min", 60), ("s", 1)];
    let seconds = span.as_secs();
    let first = UNITS.iter().position(|(_, unit)| seconds >= *unit).unwrap_or(UNITS.len() - 1);
    let mut left = seconds;
    let mut parts = Vec::new();
    for (name, unit) in UNITS.iter().skip(first).take(2) {
        let count = left / unit;
        left %= unit;
        if count > 0 || parts.is_empty() {
            let gap = if *name == "day" { " " } else { "" };
            let plural = if *name == "day" && count > 1 { "s" } else { "" };
            parts.push(format!("{count}{gap}{name}{plural}"));
        }
    }
    parts.join(" ")
}

/// Where a link to nothing keeps a service from being started at all.
fn mask_of(unit: &str) -> String {
    format!("/etc/systemd/system/{unit}.service")
}

fn is_masked(runtime: &SimRuntime, unit: &str) -> bool {
    let fs = Fs::new(runtime.host_tree(), false);
    matches!(fs.symlink_metadata(&mask_of(unit)), Ok(Entry { kind: Kind::Symlink(to), .. }) if to == "/dev/null")
}

/// Forbids that a service is started, or allows it again; what systemd says of it.
fn set_masked(runtime: &SimRuntime, now: Timestamp, unit: &str, masked: bool) -> String {
    if is_masked(runtime, unit) == masked {
        return String::new();
    }
    let (fs, link) = (Fs::new(runtime.host_tree(), false), mask_of(unit));
    let (done, said) = match masked {
        true => (
            fs.create_dir_all("/etc/systemd/system", now).and_then(|()| fs.symlink("/dev/null", &link, now)),
            format!("Created symlink {link} → /dev/null.\n"),
        ),
        false => (fs.remove(&link), format!("Removed \"{link}\".\n")),
    };
    done.map_or_else(|error| format!("Failed to change unit {unit}.service: {error}\n"), |()| said)
}

/// Whether a service is started when its node is.
pub(crate) fn starts_with_node(runtime: &SimRuntime, unit: &str) -> bool {
    !is_masked(runtime, unit) && !disabled(runtime).iter().any(|known| known == unit)
}

/// Has a service started with its node, or not; what systemd says of it.
fn set_enabled(runtime: &SimRuntime, now: Timestamp, unit: &str, enabled: bool) -> String {
    let mut units = disabled(runtime);
    if units.iter().any(|known| known == unit) != enabled {
        return String::new();
    }
    units.retain(|known| known != unit);
    let link = format!("/etc/systemd/system/multi-user.target.wants/{unit}.service");
    let said = match enabled {
        true => format!("Created symlink {link} → /usr/lib/systemd/system/{unit}.service.\n"),
        false => {
            units.push(unit.to_owned());
            format!("Removed \"{link}\".\n")
        }
    };
    let fs = Fs::new(runtime.host_tree(), false);
    match fs.create_dir_all("/etc/systemd", now).and_then(|()| fs.write(DISABLED, units.join("\n"), now)) {
        Ok(()) => said,
        Err(error) => format!("Failed to change unit {unit}.service: {error}\n"),
    }
}

/// Runs `systemctl`.
pub(super) async fn systemctl(process: Process, inner: Rc<Inner>, runtime: SimRuntime) -> i32 {
    let (inner, runtime) = (&*inner, &runtime);
    let words: Vec<&str> =
        process.operands().iter().map(String::as_str).filter(|word| !word.starts_with('-')).collect();
    let Some((command, names)) = words.split_first() else { return list(&process, inner, runtime).await };
    if matches!(*command, "list-units" | "daemon-reload") {
        return if *command == "list-units" { list(&process, inner, runtime).await } else { 0 };
    }
    if names.is_empty() {
        process.eprint("Too few arguments.\n").await;
        return 1;
    }
    let at_once = process.operands().iter().any(|word| word == "--now");
    let mut code = 0;
    for name in names {
        let name = name.trim_end_matches(".service");
        let Some((unit, title, program, pid)) = UNITS.into_iter().find(|(unit, ..)| *unit == name) else {
            match *command {
                "status" => process.eprint(format!("Unit {name}.service could not be found.\n")).await,
                "is-active" => _ = process.print("inactive\n").await,
                "is-enabled" => _ = process.print("not-found\n").await,
                "enable" | "disable" | "mask" | "unmask" => {
                    let missing = format!("Failed to {command} unit: Unit file {name}.service does not exist.\n");
                    process.eprint(missing).await;
                }
                _ => {
                    let missing = format!("Failed to {command} {name}.service: Unit {name}.service not found.\n");
                    process.eprint(missing).await;
                }
            }
            code = match *command {
                "status" | "is-active" | "is-enabled" => 4,
                "enable" | "disable" | "mask" | "unmask" => 1,
                _ => 5,
            };
            continue;
        };
        let now = process.machine.now();
        let active = is_active(inner, runtime, unit);
        let masked = is_masked(runtime, unit);
        let verb = match *command {
            "mask" | "unmask" => {
                process.eprint(set_masked(runtime, now, unit, *command == "mask")).await;
                match (*command, at_once) {
                    ("mask", true) => "stop",
                    _ => continue,
                }
            }
            "enable" if masked => {
                let file = mask_of(unit);
                process.eprint(format!("Failed to enable unit: Unit file {file} is masked.\n")).await;
                code = 1;
                continue;
            }
            "start" | "restart" if masked => {
                process.eprint(format!("Failed to {command} {unit}.service: Unit {unit}.service is masked.\n")).await;
                code = 1;
                continue;
            }
            "enable" | "disable" => {
                process.eprint(set_enabled(runtime, now, unit, *command == "enable")).await;
                match (*command, at_once) {
                    (_, false) => continue,
                    ("enable", true) => "start",
                    (_, true) => "stop",
                }
            }
            verb => verb,
        };
        let enabled = !disabled(runtime).iter().any(|known| known == unit);
        match verb {
            "stop" | "start" | "restart" => {
                if active && verb != "start" {
                    set_active(inner, runtime, unit, false);
                    tell(runtime, now, unit, &format!("systemd[1]: Stopped {unit}.service - {title}."));
                }
                if verb != "stop" && !is_active(inner, runtime, unit) {
                    set_active(inner, runtime, unit, true);
                    tell(runtime, now, unit, &format!("systemd[1]: Started {unit}.service - {title}."));
                }
            }
            "is-active" => {
                process.print(if active { "active\n" } else { "inactive\n" }).await;
                code = if active { code } else { 3 };
            }
            "is-enabled" => {
                let state = if masked {
                    "masked\n"
                } else if enabled {
                    "enabled\n"
                } else {
                    "disabled\n"
                };
                process.print(state).await;
                code = if enabled && !masked { code } else { 1 };
            }
            "status" => {
                let since = story(runtime, unit).last().map_or(runtime.booted_at(), |(time, _)| *time);
                let since_text = since.strftime("%a %Y-%m-%d %H:%M:%S UTC");
                let ago = ago(machinery::time::since(since, now));
                let (dot, state) = match active {
                    true => ("●", format!("active (running) since {since_text}; {ago} ago")),
                    false => ("○", format!("inactive (dead) since {since_text}; {ago} ago")),
                };
                let main = if active { format!("   Main PID: {pid} ({unit})\n") } else { String::new() };
                let tail = journal(inner, runtime, unit);
                let tail: String = {
                    let entry = |(time, line): &(Timestamp, String)| {
                        format!("{} {} {line}\n", time.strftime(SHORT), runtime.node_name())
                    };
                    tail.iter().skip(tail.len().saturating_sub(10)).map(entry).collect()
                };
                let state_of_file = if enabled { "enabled" } else { "disabled" };
                let loaded = match masked {
                    true => format!("masked (Reason: Unit {unit}.service is masked.)"),
                    false => {
                        format!("loaded (/usr/lib/systemd/system/{unit}.service; {state_of_file}; preset: enabled)")
                    }
                };
                let group = match active {
                    true => format!("     CGroup: /system.slice/{unit}.service\n             └─{pid} {program}\n"),
                    false => String::new(),
                };
                let text = format!(
                    "{dot} {unit}.service - {title}\n     Loaded: {loaded}\n     Active: {state}\n{main}{group}\n{tail}"
                );
                process.print(text).await;
                code = if active { code } else { 3 };
            }
            other => return process.fail(1, format!("Unknown command verb '{other}'.")).await,
        }
    }
    code
}

async fn list(process: &Process, inner: &Inner, runtime: &SimRuntime) -> i32 {
    let mut text = format!("  {:<26} {:<6} {:<8} {:<7} {}\n", "UNIT", "LOAD", "ACTIVE", "SUB", "DESCRIPTION");
    for (unit, title, ..) in UNITS {
        let (active, sub) = if is_active(inner, runtime, unit) { ("active", "running") } else { ("inactive", "dead") };
        text += &format!("  {:<26} {:<6} {active:<8} {sub:<7} {title}\n", format!("{unit}.service"), "loaded");
    }
    text += &format!("\n{} loaded units listed.\n", UNITS.len());
    i32::from(!process.print(text).await)
}

/// What was started and stopped by hand.
fn story(runtime: &SimRuntime, unit: &str) -> Vec<(Timestamp, String)> {
    let text = Fs::new(runtime.host_tree(), false).read_text(STORY).unwrap_or_default();
    let line = |line: &str| {
        let mut words = line.splitn(3, '\t');
        let time = Timestamp::from_microsecond(words.next()?.parse().ok()?).ok()?;
        (words.next()? == unit).then_some((time, words.next()?.to_owned()))
    };
    text.lines().filter_map(line).collect()
}

/// What a service has written: of what it did to the node's containers, of what the kubelet told as Events.
pub(super) fn journal(inner: &Inner, runtime: &SimRuntime, unit: &str) -> Vec<(Timestamp, String)> {
    let boot = runtime.booted_at();
    let mut lines: Vec<(Timestamp, String)> = story(runtime, unit);
    if let Some((_, title, ..)) = UNITS.iter().find(|(known, ..)| *known == unit) {
        lines.push((boot, format!("systemd[1]: Started {unit}.service - {title}.")));
    }
    let klog = |time: Timestamp, level: char, source: &str, text: String| {
        (time, format!("kubelet[230]: {level}{}     230 {source}] {text}", time.strftime("%m%d %H:%M:%S.%6f")))
    };
    let sandboxes = runtime.sandboxes();
    match unit {
        "kubelet" => {
            lines.push(klog(
                boot,
                'I',
                "server.go:525",
                format!("\"Kubelet version\" kubeletVersion={:?}", kubelet::VERSION),
            ));
            for sandbox in &sandboxes {
                let pod = format!("{}/{}", sandbox.pod_namespace, sandbox.pod_name);
                let text = format!("\"SyncLoop ADD\" source=\"api\" pods=[{pod:?}]");
                lines.push(klog(sandbox.created_at, 'I', "kubelet.go:2537", text));
            }
            for container in runtime.containers() {
                let of = sandboxes.iter().find(|sandbox| sandbox.id == container.sandbox_id);
                let pod =
                    of.map(|sandbox| format!("{}/{}", sandbox.pod_namespace, sandbox.pod_name)).unwrap_or_default();
                let event = |kind: &str| {
                    format!(
                        "\"SyncLoop (PLEG): event for pod\" pod={pod:?} event={{\"ID\":{:?},\"Type\":{kind:?},\"Data\":{:?}}}",
                        container.pod_uid, container.id
                    )
                };
                let started = container.started_at.map(|time| (time, "ContainerStarted"));
                let ended = container.finished_at.map(|time| (time, "ContainerDied"));
                for (time, kind) in started.into_iter().chain(ended) {
                    lines.push(klog(time, 'I', "kubelet.go:2569", event(kind)));
                }
            }
            let client = client::Client::new(inner.line("journalctl", Arc::default()), "journalctl");
            // Without an API server there are no Events to be read.
            let warnings = client::ListOptions {
                field_selector: "source=kubelet,type=Warning".into(),
                ..client::ListOptions::default()
            };
            let events = client.list::<Event>("", &warnings).map(|list| list.items).unwrap_or_default();
            for event in events {
                let source = event.source.clone().unwrap_or_default();
                if source.host.as_deref() != Some(runtime.node_name()) {
                    continue;
                }
                let Some(time) = event.last_timestamp.as_ref().map(|time| time.0) else { continue };
                let object = &event.involved_object;
                let name =
                    [object.namespace.as_deref(), object.name.as_deref()].into_iter().flatten().collect::<Vec<_>>();
                let text = format!(
                    "\"Error syncing pod, skipping\" err={:?} pod={:?}",
                    event.message.as_deref().unwrap_or_default(),
                    name.join("/")
                );
                lines.push(klog(time, 'E', "pod_workers.go:1324", text));
            }
        }
        "containerd" => {
            let say = |time: Timestamp, text: String| {
                let stamp = time.strftime("%Y-%m-%dT%H:%M:%S.%9fZ");
                (time, format!("containerd[109]: time=\"{stamp}\" level=info msg={text:?}"))
            };
            for sandbox in &sandboxes {
                let text = format!("RunPodSandbox for {:?} returns sandbox id {:?}", sandbox.pod_name, sandbox.id);
                lines.push(say(sandbox.created_at, text));
            }
            for container in runtime.containers() {
                if let Some(time) = container.started_at {
                    lines.push(say(time, format!("StartContainer for {:?} returns successfully", container.id)));
                }
            }
        }
        _ => {}
    }
    lines.order_by_key(|(time, _)| *time);
    lines
}
