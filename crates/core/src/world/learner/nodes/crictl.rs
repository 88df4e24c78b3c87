//! `crictl` on a node: what its runtime holds, and what can be done to it.

use std::rc::Rc;
use std::time::Duration;

use futures::future::{Either, select};
use kubelet::runtime::{ContainerState, ContainerStatus, Operation, Outcome, SandboxState, SandboxStatus};
use machinery::sort::Order;
use serde_json::{Value, json};
use sim::SimRuntime;
use sim::image::Image;
use sim::process::{Process, Signal};

use crate::world::learner::docker::ago;

const USAGE: &str = "NAME:
   crictl - client for CRI

USAGE:
   crictl [global options] command [command options] [arguments...]

COMMANDS:
   exec                Run a command in a running container
   images, image, img  List images
   info                Display information of the container runtime
   inspect             Display the status of one or more containers
   inspecti            Return the status of one or more images
   inspectp            Display the status of one or more pods
   logs                Fetch the logs of a container
   pods                List pods
   ps                  List containers
   pull                Pull an image from a registry
   rm                  Remove one or more containers
   rmi                 Remove one or more images
   rmp                 Remove one or more pods
   stats               List container(s) resource usage statistics
   stop                Stop one or more running containers
   stopp               Stop one or more running pods
   version             Display runtime version information
";

/// Options of crictl itself, as in [`COMMANDS`].
const GLOBAL: &str = "config,c= debug,D enable-tracing help,h image-endpoint,i= profile-cpu= profile-mem= runtime-endpoint,r= \
                      timeout,t= tracing-endpoint= version,v";
/// The commands: their names, and their options: the long name, other ones, `=` where a value follows.
const COMMANDS: [(&[&str], &str); 18] = [
    (&["exec"], "interactive,i sync,s timeout= tty,t"),
    (&["help", "h"], ""),
    (&["images", "image", "img"], "no-trunc output,o= quiet,q"),
    (&["info"], "output,o= quiet,q"),
    (&["inspect"], "output,o= quiet,q"),
    (&["inspecti"], "output,o= quiet,q"),
    (&["inspectp"], "output,o= quiet,q"),
    (&["logs"], "follow,f previous,p tail="),
    (&["pods"], "id= label= last,n= latest,l name= namespace= no-trunc output,o= quiet,q state,s="),
    (&["ps"], "all,a id= image= label= last,n= latest,l name= namespace= no-trunc output,o= pod,p= quiet,q state,s="),
    (&["pull"], "auth= creds="),
    (&["rm"], "all,a force,f keep-logs,k"),
    (&["rmi"], "all,a prune,q"),
    (&["rmp"], "all,a force,f"),
    (&["stats"], "id="),
    (&["stop"], "timeout,t="),
    (&["stopp"], ""),
    (&["version"], ""),
];

/// An option of a table by one of its names: the long one, and whether a value follows.
fn option(table: &'static str, name: &str) -> Option<(&'static str, bool)> {
    table.split_whitespace().find_map(|row| {
        let names = row.trim_end_matches('=');
        let long = names.split(',').next()?;
        names.split(',').any(|known| known == name).then_some((long, row.ends_with('=')))
    })
}

/// The words of a command: options by their long names, and the others.
#[derive(Default)]
struct Words<'a> {
    command: &'static str,
    options: Vec<(&'static str, &'a str)>,
    operands: Vec<&'a str>,
}

impl<'a> Words<'a> {
    /// Reads them; what follows the first operand of `exec` is the command's own.
    fn read(words: &'a [String]) -> Result<Self, String> {
        let mut out = Self::default();
        let mut table = GLOBAL;
        let mut rest = words.iter().map(String::as_str);
        while let Some(word) = rest.next() {
            let own = out.command == "exec" && !out.operands.is_empty();
            if own || !word.starts_with('-') || word == "-" {
                if !out.command.is_empty() {
                    out.operands.push(word);
                    continue;
                }
                let found = COMMANDS.iter().find(|(names, _)| names.contains(&word));
                let (names, options) = found.ok_or_else(|| format!("No help topic for '{word}'"))?;
                table = *options;
                out.command = names.first().copied().unwrap_or_default();
                // What is said to crictl itself has no effect on the command.
                out.options.clear();
                continue;
            }
            let name = word.trim_start_matches('-');
            let (name, given) = name.split_once('=').map_or((name, None), |(name, value)| (name, Some(value)));
            match option(table, name) {
                Some((long, true)) => {
                    let value = given.or_else(|| rest.next());
                    out.options.push((long, value.ok_or_else(|| format!("flag needs an argument: -{name}"))?));
                }
                Some((long, false)) => out.options.push((long, given.unwrap_or_default())),
                // Letters that stand together.
                None if !word.starts_with("--") && given.is_none() => {
                    for letter in name.chars() {
                        let known = option(table, letter.encode_utf8(&mut [0; 4])).filter(|(_, valued)| !valued);
                        let (long, _) = known.ok_or_else(|| format!("flag provided but not defined: -{name}"))?;
                        out.options.push((long, ""));
                    }
                }
                None => return Err(format!("flag provided but not defined: -{name}")),
            }
        }
        Ok(out)
    }

    fn has(&self, name: &str) -> bool {
        self.options.iter().any(|(known, value)| *known == name && *value != "false")
    }

    fn value(&self, name: &str) -> Option<&'a str> {
        self.options.iter().rev().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    /// A number, such as a count of seconds.
    fn number(&self, name: &str) -> Result<Option<usize>, String> {
        let number =
            |value: &str| value.parse().map_err(|_| format!("invalid value {value:?} for flag -{name}: parse error"));
        self.value(name).map(number).transpose()
    }

    /// How many of the newest are asked for.
    fn last(&self) -> Result<usize, String> {
        Ok(if self.has("latest") { 1 } else { self.number("last")?.unwrap_or(usize::MAX) })
    }

    /// The value in the form that is asked for; none for a table.
    fn written(&self, value: impl FnOnce() -> Value) -> Result<Option<String>, String> {
        match self.value("output") {
            None | Some("table") => Ok(None),
            Some("json") => Ok(Some(format!("{:#}\n", value()))),
            Some("yaml") => Ok(Some(machinery::yaml::emit(&value()))),
            Some(other) => Err(format!("unsupported output format {other:?}")),
        }
    }

    /// An id as tables show it.
    fn id(&self, id: &str) -> String {
        if self.has("no-trunc") { id.to_owned() } else { short(id) }
    }
}

/// Runs `crictl`.
pub(super) async fn run(process: Process, runtime: SimRuntime) -> i32 {
    let all = process.operands().to_vec();
    let words = match Words::read(&all) {
        Ok(words) => words,
        Err(message) => return fatal(&process, &message).await,
    };
    let operands = words.operands.as_slice();
    if words.command.is_empty() && words.has("version") {
        return i32::from(!process.print("crictl version v1.36.0\n").await);
    }
    if !matches!(words.command, "" | "help") && runtime.is_down() {
        let message = "validate service connection: validate CRI v1 runtime API for endpoint \
                       \"unix:///run/containerd/containerd.sock\": rpc error: code = Unavailable desc = connection error: \
                       desc = \"transport: Error while dialing: dial unix /run/containerd/containerd.sock: connect: \
                       connection refused\"";
        return fatal(&process, message).await;
    }
    let text = match words.command {
        "ps" => ps(&process, &runtime, &words),
        "pods" => pods(&process, &runtime, &words),
        "images" => images(&runtime, &words, operands.first().copied()),
        "info" => {
            words.written(|| info(&runtime)).map(|text| text.unwrap_or_else(|| format!("{:#}\n", info(&runtime))))
        }
        "version" => {
            Ok("Version:  0.1.0\nRuntimeName:  containerd\nRuntimeVersion:  v2.2.1\nRuntimeApiVersion:  v1\n".into())
        }
        "inspect" | "inspectp" | "inspecti" => inspect(&runtime, &words),
        "logs" => return logs(&process, &runtime, &words).await,
        "stats" => stats(&runtime, words.value("id").or(operands.first().copied())).await,
        "exec" => return exec(process, &runtime, operands).await,
        "pull" => pull(&runtime, operands).await,
        "rmi" => remove_images(&runtime, &words),
        "stop" | "stopp" | "rm" | "rmp" => change(&runtime, &words).await,
        _ => Ok(USAGE.to_owned()),
    };
    match text {
        Ok(text) => i32::from(!process.print(text).await),
        Err(message) => fatal(&process, &message).await,
    }
}

/// How crictl ends when it cannot go on.
async fn fatal(process: &Process, message: &str) -> i32 {
    let now = process.machine.now().strftime("%Y-%m-%dT%H:%M:%SZ");
    process.eprint(format!("time=\"{now}\" level=fatal msg={message:?}\n")).await;
    1
}

/// The beginning of an id, as tables show it: 13 digits.
fn short(id: &str) -> String {
    id.chars().take(13).collect()
}

/// A table as Go's `tabwriter` sets it for crictl: columns of 20 at least, three spaces between them.
fn table(rows: &[Vec<String>]) -> String {
    const WIDTH_MIN: usize = 20;
    const PADDING: usize = 3;
    let width = |at: usize| {
        let widest = rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max();
        (widest.unwrap_or(0) + PADDING).max(WIDTH_MIN)
    };
    let mut out = String::new();
    for row in rows {
        let last = row.len().saturating_sub(1);
        for (at, cell) in row.iter().enumerate() {
            let width = if at == last { 0 } else { width(at) };
            out += &format!("{cell:<width$}");
        }
        out.push('\n');
    }
    out
}

/// The containers, the newest first.
pub(super) fn listed(runtime: &SimRuntime, all: bool) -> Vec<ContainerStatus> {
    let mut found = runtime.containers();
    found.retain(|container| all || container.state == ContainerState::Running);
    found.order_by_key(|container| std::cmp::Reverse(container.created_at));
    found
}

/// The one of which an id is meant: all of it, or a beginning that no other has.
fn one<T>(kind: &str, id: &str, mut found: Vec<T>, id_of: fn(&T) -> &str) -> Result<T, String> {
    let failed = |code: &str, why: String| {
        Err(format!("rpc error: code = {code} desc = an error occurred when try to find {kind} \"{id}\": {why}"))
    };
    found.retain(|one| !id.is_empty() && id_of(one).starts_with(id));
    match (found.pop(), found.is_empty()) {
        (Some(one), true) => Ok(one),
        (None, _) => failed("NotFound", "not found".into()),
        _ => failed("Unknown", format!("multiple IDs found with provided prefix: {id}")),
    }
}

fn container(runtime: &SimRuntime, id: &str) -> Result<ContainerStatus, String> {
    one("container", id, runtime.containers(), |container| &container.id)
}

fn sandbox(runtime: &SimRuntime, id: &str) -> Result<SandboxStatus, String> {
    one("sandbox", id, runtime.sandboxes(), |sandbox| &sandbox.id)
}

/// The digits of an image's id.
fn digits(image: &Image) -> &str {
    image.id.trim_start_matches("sha256:")
}

/// An image by name or id, or by a beginning of its id that no other has.
fn image(runtime: &SimRuntime, name: &str) -> Result<Rc<Image>, String> {
    if let Some(image) = runtime.image(name) {
        return Ok(image);
    }
    let wanted = name.trim_start_matches("sha256:");
    let mut found = runtime.images();
    found.retain(|image| !wanted.is_empty() && digits(image).starts_with(wanted));
    found.dedup_by(|one, other| one.id == other.id);
    match (found.pop(), found.is_empty()) {
        (Some(image), true) => Ok(image),
        _ => Err(format!("no such image {name:?} present")),
    }
}

fn metadata_of(sandbox: &SandboxStatus) -> Value {
    json!({
        "attempt": sandbox.attempt, "name": sandbox.pod_name, "namespace": sandbox.pod_namespace, "uid": sandbox.pod_uid,
    })
}

fn state(prefix: &str, state: &dyn std::fmt::Debug) -> String {
    format!("{prefix}_{state:?}").to_uppercase()
}

/// Whether labels hold `name=value`, if that is asked for.
fn labelled(words: &Words<'_>, labels: &std::collections::BTreeMap<String, String>) -> bool {
    let wanted = words.value("label").map(|label| label.split_once('=').unwrap_or((label, "")));
    wanted.is_none_or(|(name, value)| labels.get(name).is_some_and(|known| known == value))
}

fn ps(process: &Process, runtime: &SimRuntime, words: &Words<'_>) -> Result<String, String> {
    let last = words.last()?;
    let asked = words.value("state").map(str::to_lowercase);
    let all = words.has("all") || asked.is_some() || last != usize::MAX;
    let sandboxes = runtime.sandboxes();
    let of = |container: &ContainerStatus| sandboxes.iter().find(|sandbox| sandbox.id == container.sandbox_id);
    let image_id = words.value("image").map(|name| image(runtime, name).map(|image| image.id.clone())).transpose()?;
    let mut found = listed(runtime, all);
    found.retain(|container| {
        let in_namespace = |namespace| of(container).is_some_and(|sandbox| sandbox.pod_namespace == namespace);
        let is_of = |id: &String| runtime.image(&container.image).is_some_and(|image| image.id == *id);
        words.value("name").is_none_or(|name| container.name.contains(name))
            && words.value("id").is_none_or(|id| container.id.starts_with(id))
            && words.value("pod").is_none_or(|pod| container.sandbox_id.starts_with(pod))
            && words.value("namespace").is_none_or(in_namespace)
            && image_id.as_ref().is_none_or(is_of)
            && labelled(words, &container.labels)
            && asked.as_ref().is_none_or(|state| format!("{:?}", container.state).to_lowercase() == *state)
    });
    found.truncate(last);
    let value = || {
        let one = |container: &ContainerStatus| {
            json!({
                "id": container.id,
                "podSandboxId": container.sandbox_id,
                "metadata": {"attempt": container.attempt, "name": container.name},
                "image": {"image": container.image},
                "imageRef": container.image_ref,
                "state": state("CONTAINER", &container.state),
                "createdAt": container.created_at.as_nanosecond().to_string(),
                "labels": *container.labels,
                "annotations": *container.annotations,
            })
        };
        json!({"containers": found.iter().map(one).collect::<Vec<_>>()})
    };
    if words.has("quiet") {
        return Ok(found.iter().map(|container| format!("{}\n", container.id)).collect());
    }
    if let Some(text) = words.written(value)? {
        return Ok(text);
    }
    let head = ["CONTAINER", "IMAGE", "CREATED", "STATE", "NAME", "ATTEMPT", "POD ID", "POD", "NAMESPACE"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for container in &found {
        let (pod, namespace) = of(container)
            .map_or_else(Default::default, |sandbox| (sandbox.pod_name.clone(), sandbox.pod_namespace.clone()));
        let image = runtime.image(&container.image);
        rows.push(vec![
            words.id(&container.id),
            image.map_or_else(|| container.image.clone(), |image| words.id(digits(&image))),
            format!("{} ago", ago(process.machine.now(), container.created_at)),
            format!("{:?}", container.state),
            container.name.clone(),
            container.attempt.to_string(),
            words.id(&container.sandbox_id),
            pod,
            namespace,
        ]);
    }
    Ok(table(&rows))
}

fn pods(process: &Process, runtime: &SimRuntime, words: &Words<'_>) -> Result<String, String> {
    let mut found = runtime.sandboxes();
    found.order_by_key(|sandbox| std::cmp::Reverse(sandbox.created_at));
    found.retain(|sandbox| {
        words.value("name").is_none_or(|name| sandbox.pod_name.contains(name))
            && words.value("id").is_none_or(|id| sandbox.id.starts_with(id))
            && words.value("namespace").is_none_or(|namespace| sandbox.pod_namespace == namespace)
            && words.value("state").is_none_or(|state| format!("{:?}", sandbox.state).eq_ignore_ascii_case(state))
            && labelled(words, &sandbox.labels)
    });
    found.truncate(words.last()?);
    let value = || {
        let one = |sandbox: &SandboxStatus| {
            json!({
                "id": sandbox.id,
                "metadata": metadata_of(sandbox),
                "state": state("SANDBOX", &sandbox.state),
                "createdAt": sandbox.created_at.as_nanosecond().to_string(),
                "labels": *sandbox.labels,
                "annotations": *sandbox.annotations,
                "runtimeHandler": "",
            })
        };
        json!({"items": found.iter().map(one).collect::<Vec<_>>()})
    };
    if words.has("quiet") {
        return Ok(found.iter().map(|sandbox| format!("{}\n", sandbox.id)).collect());
    }
    if let Some(text) = words.written(value)? {
        return Ok(text);
    }
    let head = ["POD ID", "CREATED", "STATE", "NAME", "NAMESPACE", "ATTEMPT", "RUNTIME"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for sandbox in &found {
        rows.push(vec![
            words.id(&sandbox.id),
            format!("{} ago", ago(process.machine.now(), sandbox.created_at)),
            format!("{:?}", sandbox.state),
            sandbox.pod_name.clone(),
            sandbox.pod_namespace.clone(),
            sandbox.attempt.to_string(),
            "(default)".into(),
        ]);
    }
    Ok(table(&rows))
}

fn image_json(image: &Image) -> Value {
    json!({
        "id": image.id,
        "repoTags": [format!("{}:{}", image.reference.name(), image.reference.tag)],
        "repoDigests": [format!("{}@{}", image.reference.name(), image.digest)],
        "size": image.size_bytes.to_string(),
        "username": image.user,
    })
}

fn images(runtime: &SimRuntime, words: &Words<'_>, wanted: Option<&str>) -> Result<String, String> {
    let mut found = runtime.images();
    found.retain(|image| {
        wanted.is_none_or(|wanted| {
            let name = image.reference.name();
            name == wanted
                || name.ends_with(&format!("/{wanted}"))
                || format!("{name}:{}", image.reference.tag) == wanted
        })
    });
    if words.has("quiet") {
        return Ok(found.iter().map(|image| format!("{}\n", image.id)).collect());
    }
    let value = || json!({"images": found.iter().map(|image| image_json(image)).collect::<Vec<_>>()});
    if let Some(text) = words.written(value)? {
        return Ok(text);
    }
    let mut rows = vec![["IMAGE", "TAG", "IMAGE ID", "SIZE"].map(str::to_owned).to_vec()];
    for image in &found {
        let tenths = image.size_bytes / 100_000;
        let size = format!("{}.{}MB", tenths / 10, tenths % 10);
        rows.push(vec![image.reference.name(), image.reference.tag.clone(), words.id(digits(image)), size]);
    }
    Ok(table(&rows))
}

fn info(runtime: &SimRuntime) -> Value {
    let condition = |kind: &str| json!({"message": "", "reason": "", "status": true, "type": kind});
    json!({
        "runtimeHandlers": [{"name": "runc"}],
        "status": {"conditions": [condition("RuntimeReady"), condition("NetworkReady")]},
        "config": {"containerdEndpoint": "/run/containerd/containerd.sock", "nodeName": runtime.node_name()},
    })
}

fn inspect(runtime: &SimRuntime, words: &Words<'_>) -> Result<String, String> {
    let mut out = String::new();
    for id in &words.operands {
        let value = match words.command {
            "inspect" => {
                let found = container(runtime, id)?;
                let time = |time: Option<machinery::Timestamp>| time.map(machinery::time::format_seconds);
                let running = runtime.machine(&found.id);
                let first = running.and_then(|machine| machine.processes().first().map(|process| process.args.clone()));
                json!({
                    "status": {
                        "id": found.id,
                        "metadata": {"attempt": found.attempt, "name": found.name},
                        "state": state("CONTAINER", &found.state),
                        "createdAt": time(Some(found.created_at)),
                        "startedAt": time(found.started_at),
                        "finishedAt": time(found.finished_at),
                        "exitCode": found.exit_code,
                        "reason": found.reason,
                        "message": found.message,
                        "image": {"image": found.image},
                        "imageRef": found.image_ref,
                        "labels": *found.labels,
                        "annotations": *found.annotations,
                    },
                    "info": {"sandboxID": found.sandbox_id, "args": first},
                })
            }
            "inspectp" => {
                let found = sandbox(runtime, id)?;
                json!({
                    "status": {
                        "id": found.id,
                        "metadata": metadata_of(&found),
                        "state": state("SANDBOX", &found.state),
                        "createdAt": machinery::time::format_seconds(found.created_at),
                        "network": {"ip": found.ips.first(), "additionalIps": found.ips.get(1..)},
                        "labels": found.labels,
                    },
                })
            }
            _ => json!({"status": image_json(&*image(runtime, id)?)}),
        };
        out += &words.written(|| value.clone())?.unwrap_or_else(|| format!("{value:#}\n"));
    }
    Ok(out)
}

async fn logs(process: &Process, runtime: &SimRuntime, words: &Words<'_>) -> i32 {
    /// How often a log is looked at by who follows it.
    const PAUSE: Duration = Duration::from_millis(500);
    let found = container(runtime, words.operands.first().copied().unwrap_or_default());
    let found = found.and_then(|found| match words.has("previous") {
        false => Ok((found, words.number("tail")?)),
        true => {
            let mut earlier = listed(runtime, true);
            earlier.retain(|other| {
                other.pod_uid == found.pod_uid && other.name == found.name && other.attempt < found.attempt
            });
            earlier.order_by_key(|other| other.attempt);
            let previous = earlier.pop().ok_or_else(|| {
                format!("failed to get previous container: container {} has no previous instance", found.name)
            })?;
            Ok((previous, words.number("tail")?))
        }
    });
    let (found, tail) = match found {
        Ok(found) => found,
        Err(message) => return fatal(process, &message).await,
    };
    let text = runtime.log_text(&found.id);
    let mut shown = text.len();
    let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    let first = lines.len().saturating_sub(tail.unwrap_or(usize::MAX));
    if !process.print(lines.get(first..).unwrap_or_default().concat()).await || !words.has("follow") {
        return 0;
    }
    process.signals.handle(Signal::Int);
    loop {
        let pause = process.sleep(PAUSE);
        if let Either::Right(_) = select(Box::pin(pause), Box::pin(process.signals.next())).await {
            return 130;
        }
        let runs = container(runtime, &found.id).is_ok_and(|found| found.state == ContainerState::Running);
        let text = runtime.log_text(&found.id);
        let new = text.get(shown..).unwrap_or_default().to_vec();
        shown = text.len();
        if !new.is_empty() && !process.print(new).await || !runs {
            return 0;
        }
    }
}

async fn stats(runtime: &SimRuntime, id: Option<&str>) -> Result<String, String> {
    let answer = runtime.ask(Operation::ListStats).await.map_err(|error| error.message)?;
    let Outcome::Stats(found) = answer else { return Ok(String::new()) };
    let mut rows = vec![["CONTAINER", "NAME", "CPU %", "MEM", "DISK", "INODES"].map(str::to_owned).to_vec()];
    for stats in found.iter().filter(|stats| id.is_none_or(|id| stats.container_id.starts_with(id))) {
        let name = container(runtime, &stats.container_id).map(|container| container.name).unwrap_or_default();
        rows.push(vec![
            short(&stats.container_id),
            name,
            format!("{:.2}", stats.cpu_nano_cores as f64 / 1e7),
            format!("{:.2}MB", stats.memory_working_set_bytes as f64 / 1e6),
            "0B".into(),
            "0".into(),
        ]);
    }
    Ok(table(&rows))
}

async fn exec(process: Process, runtime: &SimRuntime, operands: &[&str]) -> i32 {
    let Some((id, command)) = operands.split_first().filter(|(_, command)| !command.is_empty()) else {
        return fatal(&process, "no command specified").await;
    };
    let found = match container(runtime, id) {
        Ok(found) => found,
        Err(message) => return fatal(&process, &message).await,
    };
    let command = command.iter().map(|word| (*word).to_owned()).collect();
    let child = match runtime.exec_with(&found.id, command, process.fds.clone()) {
        Ok(child) => child,
        Err(error) => return fatal(&process, &format!("execing command in container: {}", error.message)).await,
    };
    let terminal = process.stdin().tty().cloned();
    let before = terminal.as_ref().map(|terminal| terminal.set_foreground(child.pid));
    let code = child.wait().await;
    if let (Some(terminal), Some(before)) = (terminal, before) {
        terminal.set_foreground(before);
    }
    match code {
        0 => 0,
        code => {
            fatal(&process, &format!("execing command in container: command terminated with exit code {code}")).await
        }
    }
}

async fn pull(runtime: &SimRuntime, operands: &[&str]) -> Result<String, String> {
    let image = operands.first().copied().unwrap_or_default().to_owned();
    let operation = Operation::PullImage { image: image.clone(), pull_secrets: Vec::new() };
    let answer = runtime.ask(operation).await;
    answer
        .map(|_| format!("Image is up to date for {image}\n"))
        .map_err(|error| format!("pulling image: {}", error.message))
}

/// Takes images off the node, by all their names.
fn remove_images(runtime: &SimRuntime, words: &Words<'_>) -> Result<String, String> {
    let mut found = Vec::new();
    if words.has("all") || words.has("prune") {
        let used = |image: &Rc<Image>| {
            let of =
                |container: &ContainerStatus| runtime.image(&container.image).is_some_and(|own| own.id == image.id);
            image.reference.name().ends_with("/pause") || runtime.containers().iter().any(of)
        };
        found = runtime.images();
        found.retain(|image| words.has("all") || !used(image));
    } else {
        for name in &words.operands {
            found.push(image(runtime, name).map_err(|_| format!("no such image {name}"))?);
        }
    }
    let mut out = String::new();
    for image in found {
        for known in runtime.images().iter().filter(|known| known.id == image.id) {
            let name = known.reference.to_string();
            if runtime.remove_image(&name) {
                out += &format!("Deleted: {name}\n");
            }
        }
    }
    Ok(out)
}

/// Stops or removes; the kubelet hears of it, and makes what should be there anew.
async fn change(runtime: &SimRuntime, words: &Words<'_>) -> Result<String, String> {
    let (force, all) = (words.has("force"), words.has("all"));
    let mut ids: Vec<String> = words.operands.iter().map(|id| (*id).to_owned()).collect();
    match words.command {
        "rm" if all => ids = runtime.containers().into_iter().map(|container| container.id).collect(),
        "rmp" if all => ids = runtime.sandboxes().into_iter().map(|sandbox| sandbox.id).collect(),
        _ if ids.is_empty() => return Err("ID cannot be empty".into()),
        _ => {}
    }
    let timeout = words.number("timeout")?.unwrap_or_default();
    let mut out = String::new();
    for id in &ids {
        let (operations, said) = match words.command {
            "stop" | "rm" => {
                let found = container(runtime, id)?;
                let (container_id, grace) = (found.id.clone(), Duration::from_secs(timeout as u64));
                let stop = Operation::StopContainer { container_id: container_id.clone(), grace };
                let running = found.state == ContainerState::Running;
                match words.command {
                    "stop" => (vec![stop], found.id),
                    _ if running && !force => {
                        return Err(format!(
                            "unable to remove container(s): container {} is running, please stop it first",
                            found.id
                        ));
                    }
                    _ => (vec![stop, Operation::RemoveContainer { container_id }], found.id),
                }
            }
            _ => {
                let found = sandbox(runtime, id)?;
                let sandbox_id = found.id.clone();
                let stop = Operation::StopPodSandbox { sandbox_id: sandbox_id.clone() };
                match words.command {
                    "stopp" => (vec![stop], format!("Stopped sandbox {}", found.id)),
                    _ if found.state == SandboxState::Ready && !force => {
                        return Err(format!(
                            "unable to remove sandbox(es): pod {} is running, please stop it first",
                            found.id
                        ));
                    }
                    _ => (
                        vec![stop, Operation::RemovePodSandbox { sandbox_id }],
                        format!("Removed sandbox {}", found.id),
                    ),
                }
            }
        };
        for operation in operations {
            runtime.ask(operation).await.map_err(|error| error.message)?;
        }
        out += &format!("{said}\n");
    }
    Ok(out)
}
