//! `docker build`: an image from a Dockerfile among the learner's files. What copies, sets and runs in the
//! simulated world is done; a program that is not in it (a compiler, a package manager) is told and taken
//! as done, and what it would have made is a server that stands in for it.

use std::collections::BTreeMap;
use std::rc::Rc;

use kubelet::runtime::RuntimeError;
use machinery::random::fnv64a;
use sim::fs::{self, Entry, Fs, Tree};
use sim::image::{Base, Image, Reference};
use sim::io::Fd;
use sim::process::{Environment, Machine, MachineConfig, Process, Signal, Spawn};

use super::docker::Docker;
use super::flags::{Flags, Known};

const KNOWN: &[Known] = &[
    ("tag", 't', true),
    ("file", 'f', true),
    ("build-arg", ' ', true),
    ("quiet", 'q', false),
    ("no-cache", ' ', false),
    ("platform", ' ', true),
    ("progress", ' ', true),
    ("target", ' ', true),
    ("load", ' ', false),
];
/// The program that stands in for one that is not simulated.
const STAND_IN: &str = "generic-server";

/// A stage of a Dockerfile.
struct Stage {
    name: String,
    image: Image,
    tree: Tree,
}

/// Builds an image as the words after `docker build` say.
///
/// # Errors
/// BuildKit's words for what is wrong.
pub async fn run(docker: &Docker, process: &Rc<Process>, words: &[String]) -> Result<i32, String> {
    let flags = Flags::parse(words, KNOWN, usize::MAX)?;
    let [context] = flags.words.as_slice() else {
        return Err("ERROR: docker: 'docker buildx build' requires 1 argument\n\nUsage:  docker buildx build [OPTIONS] PATH | URL | -".into());
    };
    let context = process.path(context);
    let named = flags.value("file");
    let path = named.map_or_else(|| format!("{context}/Dockerfile"), |path| process.path(path));
    let text = process.fs().read_text(&path).map_err(|_| {
        let file = sim::fs::file_name(named.unwrap_or("Dockerfile"));
        format!(
            "ERROR: failed to build: failed to solve: failed to read dockerfile: open {file}: no such file or directory"
        )
    })?;
    let is_quiet = flags.is_on("quiet");
    let say = async |text: String| {
        if !is_quiet {
            process.eprint(text).await;
        }
    };
    let mut builder = Builder { docker, process, context, stages: Vec::new(), arguments: BTreeMap::new() };
    for argument in flags.values("build-arg") {
        let (name, value) = argument.split_once('=').unwrap_or((argument, ""));
        builder.arguments.insert(name.to_owned(), value.to_owned());
    }
    let steps = instructions(&text);
    let total = steps.len();
    say(format!("[+] Building ({total}/{total})                                docker:default\n")).await;
    for (number, (line, instruction, rest)) in (1..).zip(&steps) {
        say(format!(" => [{number}/{total}] {instruction} {rest}\n")).await;
        builder
            .step(instruction, rest)
            .await
            .map_err(|reason| format!("ERROR: failed to build: failed to solve: Dockerfile:{line}: {reason}"))?;
    }
    let target = flags.value("target");
    let wanted = |stage: &Stage| target.is_none_or(|target| stage.name == target);
    let stages = std::mem::take(&mut builder.stages);
    let mut stage = stages
        .into_iter()
        .rev()
        .find(wanted)
        .ok_or("ERROR: failed to build: failed to solve: file with no instructions")?;
    let tags: Vec<&str> = flags.values("tag").collect();
    let first = tags.first().copied().unwrap_or("build:latest");
    builder.stand_in(&mut stage, first).await;
    let hash = [&*text, first].iter().fold(0, |hash, part| fnv64a(format!("{hash}{part}").as_bytes()));
    stage.image.id = format!(
        "sha256:{}",
        (0..4).map(|part| format!("{:016x}", fnv64a(format!("{hash}{part}").as_bytes()))).collect::<String>()
    );
    stage.image.digest.clone_from(&stage.image.id);
    stage.image.layer = Rc::new(stage.tree);
    say(format!(" => exporting to image\n => => writing image {}\n", stage.image.id)).await;
    for tag in if tags.is_empty() { vec![first] } else { tags } {
        let reference =
            Reference::parse(tag).map_err(|error| format!("ERROR: failed to build: invalid tag {tag:?}: {error}"))?;
        say(format!(" => => naming to {reference}\n")).await;
        docker.put_image(Rc::new(Image { reference, ..stage.image.clone() }));
    }
    if is_quiet {
        process.print(format!("{}\n", stage.image.id)).await;
    }
    Ok(0)
}

/// Line numbers, instructions in capitals, and what follows them; continued lines joined.
fn instructions(text: &str) -> Vec<(usize, String, String)> {
    let mut found = Vec::new();
    let mut pending = String::new();
    let mut start = 0;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if pending.is_empty() {
            start = number;
        }
        if let Some(part) = line.strip_suffix('\\') {
            pending.push_str(part);
            continue;
        }
        pending.push_str(line);
        let (instruction, rest) = pending.split_once(char::is_whitespace).unwrap_or((&pending, ""));
        found.push((start, instruction.to_uppercase(), rest.trim().to_owned()));
        pending.clear();
    }
    found
}

struct Builder<'a> {
    docker: &'a Docker,
    process: &'a Rc<Process>,
    context: String,
    stages: Vec<Stage>,
    arguments: BTreeMap<String, String>,
}

impl Builder<'_> {
    async fn step(&mut self, instruction: &str, rest: &str) -> Result<(), String> {
        if instruction == "FROM" {
            return self.from(rest);
        }
        if instruction == "ARG" {
            let (name, default) = rest.split_once('=').unwrap_or((rest, ""));
            self.arguments.entry(name.to_owned()).or_insert_with(|| default.to_owned());
            return Ok(());
        }
        if self.stages.is_empty() {
            return Err("no build stage in current context".into());
        }
        match instruction {
            "COPY" | "ADD" => return self.copy(rest),
            "RUN" => return self.execute(rest).await,
            _ => {}
        }
        let rest = self.filled(rest);
        let Some(stage) = self.stages.last_mut() else { return Ok(()) };
        let image = &mut stage.image;
        match instruction {
            "CMD" => image.cmd = command(&rest),
            "ENTRYPOINT" => {
                image.entrypoint = command(&rest);
                image.cmd.clear();
            }
            "ENV" => {
                let pairs: Vec<(String, String)> = match rest.split_once('=') {
                    Some(_) => words(&rest)
                        .iter()
                        .filter_map(|pair| pair.split_once('='))
                        .map(|(name, value)| (name.to_owned(), value.to_owned()))
                        .collect(),
                    None => rest
                        .split_once(' ')
                        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
                        .into_iter()
                        .collect(),
                };
                for (name, value) in pairs {
                    image.env.retain(|(known, _)| *known != name);
                    image.env.push((name, value));
                }
            }
            "WORKDIR" => {
                image.working_dir =
                    fs::absolute(if image.working_dir.is_empty() { "/" } else { &image.working_dir }, &rest);
                let folder = image.working_dir.clone();
                make_folders(&mut stage.tree, &folder, self.process.machine.now());
            }
            "EXPOSE" => {
                let ports = rest.split_whitespace().filter_map(|port| port.split('/').next()?.parse::<u16>().ok());
                image.ports.extend(ports);
            }
            "USER" => image.user = rest,
            "STOPSIGNAL" => image.stop_signal = Signal::parse(&rest).unwrap_or(image.stop_signal),
            "LABEL" | "MAINTAINER" | "VOLUME" | "HEALTHCHECK" | "SHELL" | "ONBUILD" => {}
            other => return Err(format!("unknown instruction: {other}")),
        }
        Ok(())
    }

    /// The text with `$NAME` and `${NAME}` of the stage's environment and of the build's arguments.
    fn filled(&self, text: &str) -> String {
        let environment = self.stages.last().map(|stage| stage.image.env.clone()).unwrap_or_default();
        let variables = self.arguments.iter().map(|(name, value)| (name.clone(), value.clone())).chain(environment);
        variables.fold(text.to_owned(), |text, (name, value)| {
            text.replace(&format!("${{{name}}}"), &value).replace(&format!("${name}"), &value)
        })
    }

    fn from(&mut self, rest: &str) -> Result<(), String> {
        let rest = self.filled(rest);
        let mut words = rest.split_whitespace().filter(|word| !word.starts_with("--"));
        let base = words.next().ok_or("FROM requires either one or three arguments")?;
        let name = words.nth(1).unwrap_or_default().to_owned();
        let stage = match self.stages.iter().find(|stage| stage.name == base) {
            Some(stage) => Stage { name, image: stage.image.clone(), tree: stage.tree.clone() },
            None if base == "scratch" => {
                let now = self.process.machine.now();
                let image = self.image("busybox")?;
                let image = Image { entrypoint: Vec::new(), cmd: Vec::new(), env: Vec::new(), ..(*image).clone() };
                Stage { name, image, tree: Base::Scratch.tree(now) }
            }
            None => {
                let image = self.image(base)?;
                Stage { name, tree: Tree::over(image.layer.clone()), image: (*image).clone() }
            }
        };
        self.stages.push(stage);
        Ok(())
    }

    fn image(&self, name: &str) -> Result<Rc<Image>, String> {
        let failed = |error: &RuntimeError| error.message.rsplit("desc = ").next().unwrap_or_default().to_owned();
        match self.docker.image(name) {
            Some(image) => Ok(image),
            None => self
                .docker
                .fetch(name)
                .map_err(|message| failed(&RuntimeError::new(kubelet::runtime::ErrorCode::NotFound, message))),
        }
    }

    fn copy(&mut self, rest: &str) -> Result<(), String> {
        let rest = self.filled(rest);
        let all = if rest.starts_with('[') { command(&rest) } else { words(&rest) };
        let from = all.iter().find_map(|word| word.strip_prefix("--from=")).map(str::to_owned);
        let paths: Vec<&String> = all.iter().filter(|word| !word.starts_with("--")).collect();
        let Some((target, sources)) = paths.split_last().filter(|(_, sources)| !sources.is_empty()) else {
            return Err(
                "COPY requires at least two arguments, but only one was provided. Destination could not be determined"
                    .into(),
            );
        };
        let now = self.process.machine.now();
        let mut copied: Vec<(String, Entry)> = Vec::new();
        for source in sources {
            match &from {
                Some(name) => {
                    let index = name.parse::<usize>().ok();
                    let stage =
                        self.stages.iter().enumerate().find(|(at, stage)| stage.name == *name || Some(*at) == index);
                    let path = fs::absolute("/", source);
                    // What a program that is not simulated would have made there is stood in for.
                    let entry = stage
                        .and_then(|(_, stage)| stage.tree.get(&path))
                        .unwrap_or_else(|| Entry::program(STAND_IN, now));
                    copied.push((fs::file_name(&path).to_owned(), entry));
                }
                None => self.gather(source, &mut copied)?,
            }
        }
        let Some(stage) = self.stages.last_mut() else { return Ok(()) };
        let base = if stage.image.working_dir.is_empty() { "/" } else { &stage.image.working_dir };
        let path = fs::absolute(base, target);
        let into_folder = target.ends_with('/')
            || target.as_str() == "."
            || copied.len() > 1
            || stage.tree.get(&path).is_some_and(|entry| entry.kind == fs::Kind::Directory);
        for (name, entry) in copied {
            let path = if into_folder { fs::absolute(&path, &name) } else { path.clone() };
            make_folders(&mut stage.tree, fs::parent(&path), now);
            stage.tree.insert(&path, entry);
        }
        Ok(())
    }

    /// Files of the build's context, by their names below what is copied.
    fn gather(&self, source: &str, copied: &mut Vec<(String, Entry)>) -> Result<(), String> {
        let files = self.process.fs();
        let path = fs::absolute(&self.context, source.trim_start_matches('/'));
        if let Some((folder, pattern)) = path.rsplit_once('/').filter(|(_, name)| name.contains('*')) {
            let (head, tail) = pattern.split_once('*').unwrap_or((pattern, ""));
            for (name, entry) in files.list(folder).unwrap_or_default() {
                if name.starts_with(head) && name.ends_with(tail) && entry.kind != fs::Kind::Directory {
                    copied.push((name, entry));
                }
            }
            return Ok(());
        }
        let entry = files.metadata(&path).map_err(|_| {
            format!(
                "failed to calculate checksum of ref: {:?}: not found",
                format!("/{}", source.trim_start_matches('/'))
            )
        })?;
        if entry.kind != fs::Kind::Directory {
            copied.push((fs::file_name(&path).to_owned(), entry));
            return Ok(());
        }
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            for (name, entry) in files.list(&format!("{path}/{folder}")).unwrap_or_default() {
                let name = if folder.is_empty() { name } else { format!("{folder}/{name}") };
                if entry.kind == fs::Kind::Directory {
                    folders.push(name);
                } else {
                    copied.push((name, entry));
                }
            }
        }
        Ok(())
    }

    /// Runs a step's command in the image as it is so far.
    async fn execute(&mut self, rest: &str) -> Result<(), String> {
        let Some(stage) = self.stages.last_mut() else { return Ok(()) };
        let command =
            if rest.starts_with('[') { command(rest) } else { vec!["/bin/sh".into(), "-c".into(), rest.to_owned()] };
        let below = Rc::new(std::mem::replace(&mut stage.tree, Tree::new(self.process.machine.now())));
        let tree = Tree::over(below).share();
        let machine = Machine::new(MachineConfig {
            executor: self.process.machine.executor().clone(),
            fs: Fs::new(tree.clone(), false),
            interface: self.process.machine.interface().clone(),
            hostname: "buildkitsandbox".into(),
            first_pid: 1,
            memory_bytes_max: None,
            cpu_nano_cores_max: None,
            groups: None,
            rng: machinery::random::Rng::new(self.process.machine.random()),
        });
        let mut env: Environment = stage.image.env.iter().cloned().collect();
        env.entry("PATH".into())
            .or_insert_with(|| "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into());
        let cwd = if stage.image.working_dir.is_empty() { "/".to_owned() } else { stage.image.working_dir.clone() };
        let outcome = match machine.find(&command, &env, &cwd) {
            Ok(found) => {
                let (output, text) = Fd::buffer();
                let child = machine.spawn(Spawn {
                    program: found.program,
                    args: found.args,
                    env,
                    cwd,
                    uid: 0,
                    gid: 0,
                    fds: BTreeMap::from([(0, Fd::null()), (1, output.clone()), (2, output)]),
                    parent: 0,
                    group: None,
                });
                let code = child.wait().await;
                (code, String::from_utf8_lossy(&text.borrow()).into_owned())
            }
            Err(_) => (127, String::new()),
        };
        drop(machine);
        let now = self.process.machine.now();
        stage.tree = tree.replace(Tree::new(now));
        let (code, text) = outcome;
        for line in text.lines() {
            self.process.eprint(format!(" => => {line}\n")).await;
        }
        match code {
            0 => Ok(()),
            127 => {
                let text = " => => (a program of this step is not simulated here: the step is taken as done)\n";
                self.process.eprint(text).await;
                Ok(())
            }
            code => Err(format!("process \"{}\" did not complete successfully: exit code: {code}", command.join(" "))),
        }
    }

    /// Where the image's program is none that can run here, another stands in: that of the built-in image of
    /// the name, or a plain server on the image's ports.
    async fn stand_in(&self, stage: &mut Stage, tag: &str) {
        let Some(program) = stage.image.entrypoint.first().or(stage.image.cmd.first()).cloned() else { return };
        let folders = ["", "/usr/local/bin/", "/usr/bin/", "/bin/", "/usr/local/sbin/", "/usr/sbin/", "/sbin/"];
        let base = if stage.image.working_dir.is_empty() { "/" } else { &stage.image.working_dir };
        let path = |folder: &str| fs::absolute(base, &format!("{folder}{program}"));
        let there = folders
            .iter()
            .filter_map(|folder| stage.tree.get(&path(folder)))
            .find(|entry| entry.kind != fs::Kind::Directory);
        let built =
            there.as_ref().is_none_or(|entry| matches!(&entry.kind, fs::Kind::Program(name) if name == STAND_IN));
        if !built {
            return;
        }
        let now = self.process.machine.now();
        let known = self.docker.built_in(tag);
        let ports = stage.image.ports.clone();
        if let Some(known) = known {
            let (working_dir, id) = (stage.image.working_dir.clone(), stage.image.id.clone());
            stage.image = Image { id, working_dir, ..(*known).clone() };
            stage.tree = Tree::over(known.layer.clone());
            if !ports.is_empty() {
                stage.image.ports = ports;
            }
            return;
        }
        self.process
            .eprint(format!(" => => ({program} cannot run here: a plain HTTP server stands in for it)\n"))
            .await;
        stage.image.env.push(("GENERIC_IMAGE".into(), tag.to_owned()));
        let path = fs::absolute(base, &program);
        let path = if program.contains('/') { path } else { format!("/usr/local/bin/{program}") };
        make_folders(&mut stage.tree, fs::parent(&path), now);
        stage.tree.insert(&path, Entry::program(STAND_IN, now));
    }
}

fn make_folders(tree: &mut Tree, path: &str, now: machinery::Timestamp) {
    let mut folder = String::new();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        folder.push('/');
        folder.push_str(part);
        if tree.get(&folder).is_none() {
            tree.insert(&folder, Entry::directory(now));
        }
    }
}

/// A command in either form: `["a", "b"]` or a line for the shell.
fn command(text: &str) -> Vec<String> {
    match serde_json::from_str::<Vec<String>>(text) {
        Ok(words) => words,
        Err(_) => vec!["/bin/sh".into(), "-c".into(), text.to_owned()],
    }
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(|word| word.trim_matches('"').to_owned()).collect()
}
