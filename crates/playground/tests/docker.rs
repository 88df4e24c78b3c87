//! The Docker runtime against a real Docker Engine, operation by operation.
//!
//! Needs a reachable engine, the `docker` command and a static busybox; where one is missing the test
//! says so and does nothing. `cargo xtask test` provides them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed helper is a failed test")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::task::Poll;
use std::time::Duration;

use futures::StreamExt;
use futures::channel::mpsc;
use kubelet::runtime::*;
use machinery::Timestamp;
use machinery::wire::{Channels, Frame};
use playground::docker::{DockerConfig, DockerRuntime, OwnConfig, PodNetwork, cleanup};

const IMAGE: &str = "playground-test/busybox:1";

/// Why the test cannot run here, if it cannot.
fn missing() -> Option<String> {
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| Path::new(path).exists());
    let Some(busybox) = busybox else { return Some("no /bin/busybox (apt install busybox-static)".into()) };
    let script = format!(
        "set -e; d=$(mktemp -d); mkdir -p $d/bin $d/etc $d/tmp; cp {busybox} $d/bin/busybox; \
         for a in sh cat sleep echo wget httpd kill true false env id touch; do ln -s busybox $d/bin/$a; done; \
         tar -C $d -c . | docker import -c 'CMD [\"sh\"]' - {IMAGE}; rm -rf $d"
    );
    let output = Command::new("sh").arg("-c").arg(script).output().ok()?;
    (!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).trim().to_string())
}

/// A runtime with what it has told so far.
struct Node {
    runtime: DockerRuntime,
    pod_range: String,
    events: Vec<Event>,
    ticket: u64,
}

impl Node {
    async fn connect(own: &OwnConfig) -> Self {
        let network = PodNetwork::connect(None, own.clone(), ([127, 0, 0, 1], 6443).into(), None, Default::default())
            .await
            .unwrap();
        let config = DockerConfig {
            node: "node-1".into(),
            index: 0,
            publish: true,
            ports: Vec::new(),
            mounts: Vec::new(),
            power: tokio::sync::mpsc::unbounded_channel().0,
        };
        let pod_range = network.pod_range(config.index);
        let runtime = DockerRuntime::connect(config, network).await.unwrap();
        Self { runtime, pod_range, events: Vec::new(), ticket: 0 }
    }

    async fn next(&mut self) -> Event {
        let wait = std::future::poll_fn(|task_cx| {
            let mut cx = Context::new(Timestamp::UNIX_EPOCH, task_cx.waker());
            match self.runtime.poll_event(&mut cx) {
                Some(event) => Poll::Ready(event),
                None => Poll::Pending,
            }
        });
        tokio::time::timeout(Duration::from_secs(60), wait).await.expect("Docker says nothing")
    }

    /// Submits an operation and waits for its end; keeps other events.
    async fn perform(&mut self, operation: Operation) -> Result<Outcome, RuntimeError> {
        self.ticket += 1;
        let wanted = Ticket(self.ticket);
        self.runtime.submit(wanted, operation);
        loop {
            match self.next().await {
                Event::Completed { ticket, result } if ticket == wanted => return result,
                event => self.events.push(event),
            }
        }
    }

    async fn container(&mut self, operation: Operation) -> ContainerStatus {
        match self.perform(operation).await.unwrap() {
            Outcome::Container(status) => *status,
            other => panic!("{other:?}"),
        }
    }

    async fn start(&mut self, sandbox: &SandboxStatus, config: ContainerConfig) -> ContainerStatus {
        let sandbox_id = sandbox.id.clone();
        let made = self.container(Operation::CreateContainer { sandbox_id, config: Box::new(config) }).await;
        self.container(Operation::StartContainer { container_id: made.id }).await
    }

    /// Waits until a container has ended.
    async fn end_of(&mut self, id: &str) -> ContainerStatus {
        loop {
            let ended = self.events.iter().find_map(|event| match event {
                Event::ContainerChanged(status) if status.id == id && status.state == ContainerState::Exited => {
                    Some((**status).clone())
                }
                _ => None,
            });
            if let Some(status) = ended {
                return status;
            }
            let event = self.next().await;
            self.events.push(event);
        }
    }

    async fn log(&mut self, request: LogRequest) -> Vec<LogLine> {
        let (sender, lines) = mpsc::channel(8);
        self.runtime.logs(request, sender);
        lines.map(|line| line.unwrap()).collect().await
    }
}

fn shell(name: &str, script: &str) -> ContainerConfig {
    ContainerConfig {
        name: name.into(),
        pod_name: "web".into(),
        pod_namespace: "default".into(),
        pod_uid: "uid-1".into(),
        image: IMAGE.into(),
        image_id: IMAGE.into(),
        command: vec!["sh".into(), "-c".into(), script.into()],
        termination_message_path: "/dev/termination-log".into(),
        pid: NamespaceMode::Container,
        ..ContainerConfig::default()
    }
}

#[test]
fn a_pod_on_docker() {
    if let Some(reason) = missing() {
        println!("SKIPPED: the Docker runtime was not tested: {reason}");
        return;
    }
    let dir = std::env::temp_dir().join(format!("playground-docker-{}", std::process::id()));
    let config =
        OwnConfig { cluster: "test".into(), suffix: format!("-{}", std::process::id()), data_dir: dir.clone() };
    let tokio = tokio::runtime::Runtime::new().unwrap();
    tokio.block_on(async {
        let result = tokio::spawn(scenario(config.clone())).await;
        cleanup(None, &config).await.unwrap();
        let names = names();
        assert!(!names.iter().any(|name| name.ends_with(&config.suffix)), "{names:?}");
        let _ = std::fs::remove_dir_all(&dir);
        result.unwrap();
    });
}

async fn scenario(config: OwnConfig) {
    let mut node = Node::connect(&config).await;
    assert_eq!(node.runtime.version().name, "docker");

    // Volumes, then the sandbox.
    let file = |text: &'static str| VolumeFile { data: text.into(), mode: 0o644 };
    let files = |text| VolumeKind::Files(BTreeMap::from([("greeting".to_string(), file(text))]));
    let volume = |name: &str, kind| Volume { name: name.into(), kind };
    let empty = VolumeKind::EmptyDir { medium: Medium::Disk, size_limit: None };
    let volumes = vec![volume("config", files("hello")), volume("scratch", empty)];
    node.perform(Operation::SetUpVolumes { pod_uid: "uid-1".into(), volumes }).await.unwrap();
    let sandbox = PodSandboxConfig {
        name: "web".into(),
        namespace: "default".into(),
        uid: "uid-1".into(),
        hostname: "web".into(),
        pod_cidr: Some(node.pod_range.clone()),
        ..PodSandboxConfig::default()
    };
    let Outcome::Sandbox(sandbox) = node.perform(Operation::RunPodSandbox(Box::new(sandbox))).await.unwrap() else {
        panic!("no sandbox")
    };
    assert_eq!(sandbox.state, SandboxState::Ready);
    let ip = sandbox.ips.first().cloned().unwrap();
    assert!(names().contains(&"k8s_POD_web_default_uid-1_0".to_string()));

    // Images.
    let status = node.perform(Operation::ImageStatus { image: IMAGE.into() }).await.unwrap();
    assert!(matches!(status, Outcome::Image(Some(_))), "{status:?}");
    let image = "playground-test/no-such-image:1".to_string();
    let status = node.perform(Operation::ImageStatus { image: image.clone() }).await.unwrap();
    assert_eq!(status, Outcome::Image(None));
    node.perform(Operation::PullImage { image, pull_secrets: Vec::new() }).await.unwrap_err();
    let image = IMAGE.to_string();
    node.perform(Operation::PullImage { image, pull_secrets: Vec::new() }).await.unwrap();

    // A container with environment, volumes, hosts file, last words and a log.
    let mut app = shell(
        "app",
        "echo $GREETING; cat /config/greeting; echo; cat /etc/hosts >&2; echo bye > /dev/termination-log; touch /scratch/x; exit 3",
    );
    app.env = vec![("GREETING".into(), "hi".into())];
    app.etc_hosts = "# ours\n".into();
    let mount = |path: &str, name: &str, read_only| Mount {
        container_path: path.into(),
        read_only,
        source: MountSource::Volume { name: name.into(), sub_path: String::new() },
    };
    app.mounts = vec![mount("/config", "config", true), mount("/scratch", "scratch", false)];
    let started = node.start(&sandbox, app).await;
    let ended = node.end_of(&started.id).await;
    assert_eq!((ended.exit_code, ended.message.as_str(), ended.image.as_str()), (3, "bye\n", IMAGE));
    assert!(config.data_dir.join("pods/uid-1/volumes/scratch/x").exists());
    let all = LogRequest { container_id: started.id.clone(), ..LogRequest::default() };
    let lines = node.log(all.clone()).await;
    let text = |stream| -> Vec<_> {
        let of = lines.iter().filter(|line| line.stream == stream);
        of.map(|line| String::from_utf8_lossy(&line.content).into_owned()).collect()
    };
    assert_eq!(text(LogStream::Stdout), ["hi\n", "hello\n"]);
    assert_eq!(text(LogStream::Stderr), ["# ours\n"]);
    assert!(lines.iter().all(|line| line.time > Timestamp::UNIX_EPOCH));
    assert_eq!(node.log(LogRequest { tail: Some(1), ..all }).await.len(), 1);

    // A server that shares the pod's network; probes; commands.
    let server = "mkdir -p /tmp/www; echo page > /tmp/www/index.html; exec httpd -f -p 8080 -h /tmp/www";
    let server = node.start(&sandbox, shell("server", &server.replace("mkdir", "busybox mkdir"))).await;
    assert!(names().contains(&"k8s_server_web_default_uid-1_0".to_string()));
    let get = |port, path: &str| Operation::HttpGet {
        https: false,
        host: ip.clone(),
        port,
        path: path.into(),
        headers: Vec::new(),
        timeout: Duration::from_secs(5),
    };
    let mut answer = node.perform(get(8080, "/")).await;
    for _ in 0..50 {
        if answer.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        answer = node.perform(get(8080, "/")).await;
    }
    assert_eq!(answer, Ok(Outcome::Http(HttpResult { status: 200, body: "page\n".into() })));
    let refused = node.perform(get(8081, "/")).await.unwrap_err();
    assert_eq!(refused.message, format!("dial tcp {ip}:8081: connect: connection refused"));
    let exec = |words: &[&str], seconds| Operation::ExecSync {
        container_id: server.id.clone(),
        command: words.iter().map(|word| (*word).to_string()).collect(),
        timeout: Duration::from_secs(seconds),
    };
    let end = node.perform(exec(&["sh", "-c", "echo out; exit 4"], 10)).await;
    assert_eq!(end, Ok(Outcome::Exec(ExecResult { exit_code: 4, output: "out\n".into() })));
    let late = node.perform(exec(&["sleep", "30"], 1)).await.unwrap_err();
    assert_eq!(late.code, ErrorCode::DeadlineExceeded);

    // Exec and port-forward over channels.
    let (ours, mut theirs) = Channels::pair();
    let request = ExecRequest {
        container_id: server.id.clone(),
        command: vec!["cat".into()],
        stdin: true,
        stdout: true,
        stderr: true,
        tty: false,
    };
    node.runtime.exec(request, ours);
    theirs.sender.try_send(Frame { channel: 0, data: Some("echoed".into()) }).unwrap();
    theirs.sender.try_send(Frame { channel: 0, data: None }).unwrap();
    let frames: Vec<Frame> = theirs.receiver.collect().await;
    let text = |channel| -> String {
        let of = frames.iter().filter(|frame| frame.channel == channel).filter_map(|frame| frame.data.clone());
        of.map(|data| String::from_utf8_lossy(&data).into_owned()).collect()
    };
    assert_eq!(text(1), "echoed");
    assert!(text(3).contains("Success"), "{frames:?}");
    let (ours, mut theirs) = Channels::pair();
    node.runtime.port_forward(&sandbox.id, &[8080], ours);
    let request = "GET / HTTP/1.0\r\n\r\n";
    theirs.sender.try_send(Frame { channel: 0, data: Some(request.into()) }).unwrap();
    let mut got = Vec::new();
    while let Some(Frame { channel: 0, data: Some(data) }) = theirs.receiver.next().await {
        got.extend_from_slice(&data);
    }
    assert!(String::from_utf8_lossy(&got).ends_with("page\n"));

    // Files of a volume are replaced under a running container's feet.
    let volumes = vec![volume("config", files("changed"))];
    node.perform(Operation::SetUpVolumes { pod_uid: "uid-1".into(), volumes }).await.unwrap();
    let path = config.data_dir.join("pods/uid-1/volumes/config/greeting");
    assert_eq!(std::fs::read_to_string(path).unwrap(), "changed");

    // Killed behind our back: told as an exit.
    Command::new("docker").args(["kill", &server.id]).output().unwrap();
    assert_eq!(node.end_of(&server.id).await.exit_code, 137);

    // A process that ignores SIGTERM is killed when its grace time is over.
    let stubborn = node.start(&sandbox, shell("stubborn", "trap '' TERM; while true; do sleep 1; done")).await;
    let begin = std::time::Instant::now();
    let stop = Operation::StopContainer { container_id: stubborn.id.clone(), grace: Duration::from_secs(2) };
    assert_eq!(node.container(stop).await.exit_code, 137);
    assert!(begin.elapsed() < Duration::from_secs(15));

    // What cannot be run says why.
    let mut broken = shell("broken", "");
    broken.command = vec!["/no/such/program".into()];
    let sandbox_id = sandbox.id.clone();
    let made = node.container(Operation::CreateContainer { sandbox_id, config: Box::new(broken) }).await;
    let error = node.perform(Operation::StartContainer { container_id: made.id }).await.unwrap_err();
    assert!(error.message.contains("no such file or directory"), "{}", error.message);

    // A new runtime finds what the old one left.
    let alive = node.start(&sandbox, shell("alive", "sleep 1000")).await;
    drop(node);
    let mut node = Node::connect(&config).await;
    let Outcome::Listing(listing) = node.perform(Operation::List).await.unwrap() else { panic!("no listing") };
    assert_eq!(listing.sandboxes.len(), 1);
    assert_eq!(listing.sandboxes[0].ips, [ip]);
    let found = listing.containers.iter().find(|container| container.id == alive.id).unwrap();
    assert_eq!((found.state, found.name.as_str(), found.attempt), (ContainerState::Running, "alive", 0));

    // Everything goes.
    let sandbox_id = sandbox.id.clone();
    node.perform(Operation::StopPodSandbox { sandbox_id: sandbox_id.clone() }).await.unwrap();
    node.perform(Operation::StopPodSandbox { sandbox_id: sandbox_id.clone() }).await.unwrap();
    node.perform(Operation::RemovePodSandbox { sandbox_id: sandbox_id.clone() }).await.unwrap();
    node.perform(Operation::RemovePodSandbox { sandbox_id }).await.unwrap();
    node.perform(Operation::TearDownVolumes { pod_uid: "uid-1".into() }).await.unwrap();
    node.perform(Operation::TearDownVolumes { pod_uid: "uid-1".into() }).await.unwrap();
    assert!(!names().iter().any(|name| name.contains("uid-1")));
    assert!(!config.data_dir.join("pods/uid-1").exists());
}

/// Names of all containers Docker has.
fn names() -> Vec<String> {
    let output = Command::new("docker").args(["ps", "-a", "--format", "{{.Names}}"]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_string).collect()
}

#[test]
fn no_docker_is_one_clear_line() {
    let own = OwnConfig { cluster: "none".into(), suffix: String::new(), data_dir: "/nonexistent".into() };
    let host = Some("unix:///nonexistent/docker.sock");
    let tokio = tokio::runtime::Runtime::new().unwrap();
    let error = tokio
        .block_on(PodNetwork::connect(host, own, ([127, 0, 0, 1], 6443).into(), None, Default::default()))
        .err()
        .unwrap();
    assert_eq!(
        error.to_string(),
        "Docker does not answer: start it (sudo systemctl start docker, or Docker Desktop), or use --runtime sim"
    );
}
