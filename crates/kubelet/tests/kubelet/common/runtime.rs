//! A runtime that does what a script says.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use futures::channel::mpsc;
use machinery::Timestamp;
use machinery::wire::Channels;
use playground_kubelet::runtime::*;

/// How one run of a container goes.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Seconds until it exits by itself, and its code; `None` for never.
    pub exits: Option<(u64, i32)>,
    /// Seconds it takes to end after SIGTERM; `None` if it ignores that.
    pub term: Option<u64>,
}

impl Default for Plan {
    fn default() -> Self {
        Self { exits: None, term: Some(0) }
    }
}

/// How long a sandbox takes to start, where that is asked for.
const SANDBOX_START: Duration = Duration::from_secs(5);

/// What survives a kubelet.
#[derive(Clone, Default)]
pub struct World(pub Rc<RefCell<State>>);

#[derive(Default)]
pub struct State {
    /// Plans by container name: one for each run, the last for all further ones.
    pub plans: BTreeMap<String, Vec<Plan>>,
    /// Images that the node has.
    pub images: BTreeSet<String>,
    /// Images that cannot be pulled.
    pub missing: BTreeSet<String>,
    /// Ports that answer, with their HTTP status by path.
    pub http: BTreeMap<(u16, String), u16>,
    /// Exit codes of commands, by their first word.
    pub commands: BTreeMap<String, i32>,
    pub sandboxes: BTreeMap<String, SandboxStatus>,
    pub containers: BTreeMap<String, ContainerStatus>,
    /// Configurations containers were made with, by id.
    pub configs: BTreeMap<String, ContainerConfig>,
    pub volumes: BTreeMap<String, Vec<Volume>>,
    /// How many sandboxes will not be removed at the first attempt.
    pub removals_refused: u32,
    /// Ports whose connections are never answered.
    pub silent: BTreeSet<u16>,
    /// Commands that never end, by their first word.
    pub endless: BTreeSet<String>,
    /// Every operation, as one word and its subject.
    pub log: Vec<String>,
    ready: VecDeque<Event>,
    /// Ends to come, by time and container.
    ends: BTreeSet<(Timestamp, String, i32)>,
    /// Whether the next sandboxes start: they are made at once and take [`SANDBOX_START`] to start or fail.
    pub sandbox_starts: VecDeque<bool>,
    /// Completions to come.
    later: Vec<(Timestamp, Ticket, Result<Outcome, RuntimeError>)>,
    submitted: VecDeque<(Ticket, Operation)>,
    last_id: u64,
}

impl World {
    pub fn plan(&self, name: &str, plans: impl Into<Vec<Plan>>) {
        self.0.borrow_mut().plans.insert(name.into(), plans.into());
    }

    pub fn forget_operations(&self) {
        let mut state = self.0.borrow_mut();
        state.submitted.clear();
        state.ready.clear();
    }

    pub fn running(&self) -> Vec<String> {
        let state = self.0.borrow();
        let running = state.containers.values().filter(|run| run.state == ContainerState::Running);
        running.map(|run| run.name.clone()).collect()
    }

    pub fn log(&self) -> Vec<String> {
        self.0.borrow().log.clone()
    }

    /// Ends the only sandbox behind the kubelet's back.
    pub fn end_sandbox(&self) {
        let mut state = self.0.borrow_mut();
        let status = state.sandboxes.values_mut().next().unwrap();
        status.state = SandboxState::NotReady;
        let status = status.clone();
        state.ready.push_back(Event::SandboxChanged(status));
    }

    /// Ends a container behind the kubelet's back.
    pub fn kill(&self, name: &str, now: Timestamp, code: i32) {
        let mut state = self.0.borrow_mut();
        let id = state.containers.values().find(|run| run.name == name && run.state == ContainerState::Running);
        let id = id.map(|run| run.id.clone()).unwrap();
        state.end(&id, now, code);
    }
}

impl State {
    fn end(&mut self, id: &str, now: Timestamp, code: i32) {
        self.ends.retain(|(_, other, _)| other != id);
        let Some(run) = self.containers.get_mut(id).filter(|run| run.state == ContainerState::Running) else { return };
        run.state = ContainerState::Exited;
        run.exit_code = code;
        run.finished_at = Some(now);
        let run = run.clone();
        self.log.push(format!("exit {} {code}", run.name));
        self.ready.push_back(Event::ContainerChanged(Box::new(run)));
    }

    /// How long an operation waits in vain before it is given up.
    fn waits_in_vain(&self, operation: &Operation) -> Option<Duration> {
        let (silent, timeout) = match operation {
            Operation::ExecSync { command, timeout, .. } => {
                (command.first().is_some_and(|word| self.endless.contains(word)), timeout)
            }
            Operation::HttpGet { port, timeout, .. }
            | Operation::TcpDial { port, timeout, .. }
            | Operation::GrpcCheck { port, timeout, .. } => (self.silent.contains(port), timeout),
            _ => return None,
        };
        silent.then_some(*timeout)
    }

    fn perform(&mut self, now: Timestamp, operation: Operation) -> Option<Result<Outcome, RuntimeError>> {
        let error = |code, message: &str| Some(Err(RuntimeError::new(code, message)));
        let done = Some(Ok(Outcome::Done));
        match operation {
            Operation::List => Some(Ok(Outcome::Listing(Listing {
                sandboxes: self.sandboxes.values().cloned().collect(),
                containers: self.containers.values().cloned().collect(),
            }))),
            Operation::SetUpVolumes { pod_uid, volumes } => {
                self.volumes.insert(pod_uid, volumes);
                done
            }
            Operation::TearDownVolumes { pod_uid } => {
                self.volumes.remove(&pod_uid);
                done
            }
            Operation::RunPodSandbox(config) => {
                self.last_id += 1;
                let status = SandboxStatus {
                    id: format!("sandbox-{}", self.last_id),
                    pod_name: config.name,
                    pod_namespace: config.namespace,
                    pod_uid: config.uid,
                    attempt: config.attempt,
                    created_at: now,
                    ips: vec![format!("10.0.0.{}", self.last_id)],
                    ..SandboxStatus::default()
                };
                self.sandboxes.insert(status.id.clone(), status.clone());
                Some(Ok(Outcome::Sandbox(status)))
            }
            Operation::StopPodSandbox { sandbox_id } => {
                let inside: Vec<String> = self
                    .containers
                    .values()
                    .filter(|run| run.sandbox_id == sandbox_id)
                    .map(|run| run.id.clone())
                    .collect();
                for id in inside {
                    self.end(&id, now, 137);
                }
                if let Some(status) = self.sandboxes.get_mut(&sandbox_id) {
                    status.state = SandboxState::NotReady;
                }
                self.log.push("stop sandbox".into());
                done
            }
            Operation::RemovePodSandbox { .. } if self.removals_refused > 0 => {
                self.removals_refused -= 1;
                error(ErrorCode::Unknown, "device or resource busy")
            }
            Operation::RemovePodSandbox { sandbox_id } => {
                self.sandboxes.remove(&sandbox_id);
                self.containers.retain(|_, run| run.sandbox_id != sandbox_id);
                done
            }
            Operation::ImageStatus { image } => {
                let info = ImageInfo { id: format!("sha256:{image}"), ..ImageInfo::default() };
                Some(Ok(Outcome::Image(self.images.contains(&image).then_some(info))))
            }
            Operation::PullImage { image, .. } => {
                self.log.push(format!("pull {image}"));
                if self.missing.contains(&image) {
                    return error(ErrorCode::NotFound, "manifest unknown");
                }
                self.images.insert(image.clone());
                let info = ImageInfo { id: format!("sha256:{image}"), size_bytes: 5, ..ImageInfo::default() };
                Some(Ok(Outcome::Image(Some(info))))
            }
            Operation::ListImages => Some(Ok(Outcome::Images(Vec::new()))),
            Operation::CreateContainer { sandbox_id, config } => {
                self.last_id += 1;
                let status = ContainerStatus {
                    id: format!("{}-{}", config.name, self.last_id),
                    sandbox_id,
                    pod_uid: config.pod_uid.clone(),
                    name: config.name.clone(),
                    attempt: config.attempt,
                    created_at: now,
                    image: config.image.clone(),
                    image_ref: config.image_id.clone(),
                    ..ContainerStatus::default()
                };
                self.containers.insert(status.id.clone(), status.clone());
                self.configs.insert(status.id.clone(), *config);
                Some(Ok(Outcome::Container(Box::new(status))))
            }
            Operation::StartContainer { container_id } => {
                let run = self.containers.get_mut(&container_id)?;
                run.state = ContainerState::Running;
                run.started_at = Some(now);
                let run = run.clone();
                self.log.push(format!("start {}", run.name));
                let plans = self.plans.get(&run.name).cloned().unwrap_or_default();
                let plan = plans.get(run.attempt as usize).or(plans.last()).copied().unwrap_or_default();
                if let Some((seconds, code)) = plan.exits {
                    self.ends.insert((now + Duration::from_secs(seconds), container_id, code));
                }
                Some(Ok(Outcome::Container(Box::new(run))))
            }
            Operation::StopContainer { container_id, grace } => {
                let run = self.containers.get(&container_id)?.clone();
                self.log.push(format!("stop {} {}s", run.name, grace.as_secs()));
                let plans = self.plans.get(&run.name).cloned().unwrap_or_default();
                let plan = plans.get(run.attempt as usize).or(plans.last()).copied().unwrap_or_default();
                let (after, code) = match plan.term.map(Duration::from_secs) {
                    Some(term) if term <= grace => (term, 0),
                    _ => (grace, 137),
                };
                self.ends.insert((now + after, container_id, code));
                done
            }
            Operation::RemoveContainer { container_id } => {
                self.containers.remove(&container_id);
                done
            }
            Operation::ExecSync { command, .. } => {
                self.log.push(format!("exec {}", command.join(" ")));
                let exit_code = command.first().and_then(|word| self.commands.get(word)).copied().unwrap_or_default();
                Some(Ok(Outcome::Exec(ExecResult { exit_code, output: "said so".into() })))
            }
            Operation::HttpGet { host, port, path, .. } => match self.http.get(&(port, path)) {
                Some(status) => Some(Ok(Outcome::Http(HttpResult { status: *status, body: "".into() }))),
                None => error(ErrorCode::Unknown, &format!("dial tcp {host}:{port}: connect: connection refused")),
            },
            Operation::TcpDial { host, port, .. } => {
                if self.http.keys().any(|(open, _)| *open == port) {
                    return done;
                }
                error(ErrorCode::Unknown, &format!("dial tcp {host}:{port}: connect: connection refused"))
            }
            Operation::GrpcCheck { port, service, .. } => match self.http.get(&(port, service)) {
                Some(200) => Some(Ok(Outcome::Health(Health::Serving))),
                Some(_) => Some(Ok(Outcome::Health(Health::NotServing))),
                None => error(ErrorCode::DeadlineExceeded, "context deadline exceeded"),
            },
            Operation::UpdateContainer { container_id, resources } => {
                self.log.push(format!("update {:?} {:?}", resources.cpu_quota_us, resources.memory_limit_bytes));
                self.configs.get_mut(&container_id)?.resources = resources;
                done
            }
            Operation::ListStats => Some(Ok(Outcome::Stats(Vec::new()))),
            Operation::NodeUse => Some(Ok(Outcome::NodeUse(NodeUse::default()))),
        }
    }
}

pub struct FakeRuntime(World);

impl FakeRuntime {
    pub fn new(world: World) -> Self {
        Self(world)
    }
}

impl ContainerRuntime for FakeRuntime {
    fn version(&self) -> RuntimeVersion {
        RuntimeVersion { name: "fake".into(), version: "1.0".into() }
    }

    fn submit(&mut self, ticket: Ticket, operation: Operation) {
        self.0.0.borrow_mut().submitted.push_back((ticket, operation));
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Option<Event> {
        let mut state = self.0.0.borrow_mut();
        while let Some((time, id, code)) = state.ends.first().cloned().filter(|(time, ..)| *time <= cx.now()) {
            state.ends.remove(&(time, id.clone(), code));
            state.end(&id, time, code);
        }
        if let Some(event) = state.ready.pop_front() {
            return Some(event);
        }
        if let Some(place) = state.later.iter().position(|(time, ..)| *time <= cx.now()) {
            let (_, ticket, result) = state.later.remove(place);
            return Some(Event::Completed { ticket, result });
        }
        while let Some((ticket, operation)) = state.submitted.pop_front() {
            let slow = matches!(operation, Operation::RunPodSandbox(_)).then(|| state.sandbox_starts.pop_front());
            if let Some(starts) = slow.flatten() {
                let made = state.perform(cx.now(), operation);
                let Some(Ok(Outcome::Sandbox(status))) = made else { continue };
                let result = match starts {
                    true => Ok(Outcome::Sandbox(status.clone())),
                    false => {
                        state.sandboxes.remove(&status.id);
                        Err(RuntimeError::new(ErrorCode::Unknown, "no network"))
                    }
                };
                let time = cx.now() + SANDBOX_START;
                state.later.push((time, ticket, result));
                cx.wake_at(time);
                return Some(Event::SandboxMade { ticket, status });
            }
            if let Some(timeout) = state.waits_in_vain(&operation) {
                if let Operation::ExecSync { command, .. } = &operation {
                    state.log.push(format!("exec {}", command.join(" ")));
                }
                let late = RuntimeError::new(ErrorCode::DeadlineExceeded, "context deadline exceeded");
                state.later.push((cx.now() + timeout, ticket, Err(late)));
                continue;
            }
            if let Some(result) = state.perform(cx.now(), operation) {
                return Some(Event::Completed { ticket, result });
            }
        }
        let next = state.later.iter().map(|(time, ..)| *time).chain(state.ends.first().map(|(time, ..)| *time)).min();
        if let Some(time) = next {
            cx.wake_at(time);
        }
        None
    }

    fn logs(&mut self, _: LogRequest, mut lines: mpsc::Sender<Result<LogLine, RuntimeError>>) {
        for text in ["one\n", "two\n"] {
            let line = LogLine { time: Timestamp::UNIX_EPOCH, stream: LogStream::Stdout, content: text.into() };
            let _ = lines.try_send(Ok(line));
        }
    }

    fn exec(&mut self, _: ExecRequest, _: Channels) {}

    fn attach(&mut self, _: AttachRequest, _: Channels) {}

    fn port_forward(&mut self, _: &str, _: &[u16], _: Channels) {}
}
