//! One simulated node and a computer outside the cluster, driven by hand.
#![allow(clippy::unwrap_used, reason = "helpers of tests, which clippy does not see as tests")]
#![allow(dead_code, reason = "each test file uses some of it")]

use std::collections::BTreeMap;
use std::future::Future;
use std::net::IpAddr;
use std::task::Waker;

use futures::StreamExt;
use futures::channel::mpsc;
use kubelet::runtime::{
    ContainerConfig, ContainerRuntime, ContainerState, ContainerStatus, Context, DnsConfig, Event, LogRequest,
    Operation, Outcome, PodSandboxConfig, RuntimeError, SandboxStatus, Ticket,
};
use machinery::Timestamp;
use machinery::random::Rng;
use playground_sim::fs::{Fs, Tree};
use playground_sim::image::{Base, Registry};
use playground_sim::io::Fd;
use playground_sim::network::{Interface, InterfaceConfig, Network, Party, http};
use playground_sim::process::{Machine, MachineConfig, Spawn};
use playground_sim::{Executor, NodeConfig, SimRuntime};
use proxy::SharedTables;

pub struct World {
    pub executor: Executor,
    pub network: Network,
    pub node: Interface,
    pub host: Interface,
    pub tables: SharedTables,
    pub runtime: SimRuntime,
    /// DNS of the pods that are made.
    pub dns: DnsConfig,
    tickets: u64,
    events: Vec<Event>,
}

impl World {
    pub fn new() -> Self {
        let executor = Executor::new("2026-01-01T00:00:00Z".parse().unwrap());
        let network = Network::new(&executor, Rng::new(7));
        let tables = SharedTables::default();
        let node = network.attach(
            Party::Node("worker".into()),
            InterfaceConfig {
                addresses: vec![IpAddr::from([10, 244, 0, 1])],
                node: Some("worker".into()),
                is_node: true,
                tables: Some(tables.clone()),
                ..InterfaceConfig::default()
            },
        );
        let host = network.attach(
            Party::Host("curl".into()),
            InterfaceConfig {
                addresses: vec![IpAddr::from([192, 168, 0, 1])],
                tables: Some(tables.clone()),
                ..InterfaceConfig::default()
            },
        );
        playground_sim::name_server::run(&network, IpAddr::from([10, 96, 0, 10]), &tables, Rng::new(9));
        let runtime = SimRuntime::new(NodeConfig {
            name: "worker".into(),
            network: network.clone(),
            interface: node.clone(),
            tables: tables.clone(),
            registry: Registry::new(),
            pod_cidr: "10.244.0.0/24".into(),
            pull_bytes_per_second: 50_000_000,
            rng: Rng::new(8),
        });
        Self {
            executor,
            network,
            node,
            host,
            tables,
            runtime,
            dns: DnsConfig::default(),
            tickets: 0,
            events: Vec::new(),
        }
    }

    pub fn now(&self) -> Timestamp {
        self.executor.now()
    }

    fn limit(&self) -> Timestamp {
        self.now() + std::time::Duration::from_secs(600)
    }

    pub fn wait<T>(&mut self, future: impl Future<Output = T>) -> T {
        self.executor.block_on(self.limit(), future).expect("the future is ready within ten minutes")
    }

    /// Lets a second pass.
    pub fn settle(&mut self) {
        self.executor.run_until(self.now() + std::time::Duration::from_secs(1));
        self.drain();
    }

    fn drain(&mut self) {
        let mut cx = Context::new(self.executor.now(), Waker::noop());
        while let Some(event) = self.runtime.poll_event(&mut cx) {
            self.events.push(event);
        }
    }

    /// Runs one operation to its end.
    pub fn run(&mut self, operation: Operation) -> Result<Outcome, RuntimeError> {
        self.tickets += 1;
        let mine = Ticket(self.tickets);
        self.runtime.submit(mine, operation);
        let limit = self.limit();
        loop {
            self.drain();
            let done = self
                .events
                .iter()
                .position(|event| matches!(event, Event::Completed { ticket, .. } if *ticket == mine));
            if let Some(index) = done
                && let Event::Completed { result, .. } = self.events.remove(index)
            {
                return result;
            }
            assert!(self.executor.step(limit), "the operation ends within ten minutes");
        }
    }

    pub fn try_run_pod(
        &mut self,
        name: &str,
        config: ContainerConfig,
    ) -> Result<(SandboxStatus, String), RuntimeError> {
        let sandbox = PodSandboxConfig {
            name: name.into(),
            namespace: "default".into(),
            uid: format!("uid-{name}"),
            hostname: name.into(),
            dns: self.dns.clone(),
            pid: kubelet::runtime::NamespaceMode::Container,
            ..PodSandboxConfig::default()
        };
        let Outcome::Sandbox(sandbox) = self.run(Operation::RunPodSandbox(Box::new(sandbox)))? else {
            panic!("sandbox")
        };
        let config = ContainerConfig { pod_uid: sandbox.pod_uid.clone(), ..config };
        let id = self.try_add_container(&sandbox.id, config)?;
        Ok((sandbox, id))
    }

    pub fn try_add_container(&mut self, sandbox_id: &str, config: ContainerConfig) -> Result<String, RuntimeError> {
        self.run(Operation::PullImage { image: config.image.clone(), pull_secrets: Vec::new() })?;
        let create = Operation::CreateContainer { sandbox_id: sandbox_id.into(), config: Box::new(config) };
        let Outcome::Container(created) = self.run(create)? else { panic!("container") };
        self.run(Operation::StartContainer { container_id: created.id.clone() })?;
        self.settle();
        Ok(created.id)
    }

    pub fn add_container(&mut self, sandbox_id: &str, config: ContainerConfig) -> String {
        self.try_add_container(sandbox_id, config).expect("the container runs")
    }

    pub fn run_pod(&mut self, name: &str, config: ContainerConfig) -> (SandboxStatus, String) {
        self.try_run_pod(name, config).expect("the pod runs")
    }

    pub fn status(&self, id: &str) -> ContainerStatus {
        self.runtime.containers().into_iter().find(|status| status.id == id).expect("the container exists")
    }

    /// The states of a container that were told, in order.
    pub fn changes(&self, id: &str) -> Vec<ContainerState> {
        let told = self.events.iter().filter_map(|event| match event {
            Event::ContainerChanged(status) if status.id == id => Some(status.state),
            _ => None,
        });
        told.collect()
    }

    pub fn log(&mut self, id: &str) -> String {
        let (sender, receiver) = mpsc::channel(8);
        self.runtime.logs(LogRequest { container_id: id.into(), ..LogRequest::default() }, sender);
        let lines: Vec<_> = self.wait(receiver.collect());
        lines.into_iter().map(|line| String::from_utf8_lossy(&line.unwrap().content).into_owned()).collect()
    }

    /// A request from the node.
    pub fn get(&mut self, host: &str, port: u16, path: &str) -> Result<http::Response, String> {
        let node = self.node.clone();
        self.request(node, host, port, path)
    }

    pub fn request(&mut self, from: Interface, host: &str, port: u16, path: &str) -> Result<http::Response, String> {
        let (host, path) = (host.to_owned(), path.to_owned());
        self.wait(async move {
            let stream = from.connect(&host, port).await.map_err(|error| error.to_string())?;
            let request = http::Request::new("GET", &path, &host);
            http::fetch(&stream, &request).await.map_err(|error| format!("{error:?}"))
        })
    }
}

/// A container of an image, with the defaults the API server would give.
pub fn container(image: &str) -> ContainerConfig {
    ContainerConfig {
        name: "main".into(),
        image: image.into(),
        termination_message_path: "/dev/termination-log".into(),
        ..ContainerConfig::default()
    }
}

/// A learner's own machine.
pub fn machine(world: &World) -> Machine {
    let root = Tree::over(Base::Workstation.layer(world.now())).share();
    Machine::new(MachineConfig {
        executor: world.executor.clone(),
        fs: Fs::new(root, false),
        interface: world.host.clone(),
        hostname: "desk".into(),
        first_pid: 100,
        memory_bytes_max: None,
        cpu_nano_cores_max: None,
        groups: None,
        rng: machinery::random::Rng::new(3),
    })
}

/// What a script prints on such a machine, what of it as errors, and how it ends.
pub fn run_in(shell: &str, script: &str, input: &str) -> (String, String, i32) {
    let mut world = World::new();
    let machine = machine(&world);
    let (stdout, out) = Fd::buffer();
    let (stderr, err) = Fd::buffer();
    let env = BTreeMap::from([
        ("PATH".to_owned(), "/usr/bin:/usr/local/bin".to_owned()),
        ("HOME".to_owned(), "/root".to_owned()),
    ]);
    let args = vec![shell.to_owned(), "-c".to_owned(), script.to_owned()];
    if let Some(python) = playground_sim::programs::find("python3") {
        machine.install("python3", python);
    }
    let found = machine.find(&args, &env, "/").unwrap();
    let child = machine.spawn(Spawn {
        program: found.program,
        args,
        env: env.into(),
        cwd: "/root".into(),
        uid: 0,
        gid: 0,
        fds: BTreeMap::from([(0, Fd::from_bytes(input.to_owned())), (1, stdout), (2, stderr)]),
        parent: 0,
        group: None,
    });
    let code = world.wait(async move { child.wait().await });
    let text = |data: &[u8]| String::from_utf8_lossy(data).into_owned();
    (text(&out.borrow()), text(&err.borrow()), code)
}
