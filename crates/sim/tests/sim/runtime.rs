//! The simulated runtime, by behaviour, in virtual time.

use std::time::Duration;

use futures::channel::mpsc;
use futures::{SinkExt, StreamExt};
use kubelet::runtime::{
    ContainerConfig, ContainerRuntime, ContainerState, ErrorCode, ExecRequest, LogLine, LogRequest, Mount, MountSource,
    Operation, Outcome, Volume, VolumeFile, VolumeKind,
};
use machinery::wire::{Channels, Frame};
use playground_sim::process::Signal;

use crate::world::{World, container};

#[test]
fn nginx_serves_its_page_and_logs_the_access() {
    let mut world = World::new();
    let (sandbox, id) = world.run_pod("web", container("nginx:1.7.9"));
    assert_eq!(sandbox.ips, ["10.244.0.2"]);
    let response = world.get("10.244.0.2", 80, "/").unwrap();
    assert_eq!(response.status, 200);
    assert_eq!(response.header("Server"), Some("nginx/1.7.9"));
    assert!(String::from_utf8_lossy(&response.body).contains("Welcome to nginx!"));
    assert_eq!(world.get("10.244.0.2", 80, "/nope").unwrap().status, 404);
    let log = world.log(&id);
    assert!(log.contains("\"GET / HTTP/1.1\" 200 "), "{log}");
    assert!(log.contains("\"/usr/share/nginx/html/nope\" failed (2: No such file or directory)"), "{log}");
    assert!(world.get("10.244.0.2", 81, "/").unwrap_err().contains("Connection refused"));
}

#[test]
fn hellokube_answers_with_gos_time() {
    let mut world = World::new();
    world.run_pod("hello", container("hellokube:1.0.0"));
    let body = world.get("10.244.0.2", 8080, "/").unwrap().body;
    let text = String::from_utf8_lossy(&body).into_owned();
    assert!(text.starts_with("Hello Kube! 2026-01-01 00:00:") && text.contains(" +0000 UTC m=+"), "{text}");
}

#[test]
fn a_pull_fails_as_a_registry_would() {
    let mut world = World::new();
    let pull = |image: &str| Operation::PullImage { image: image.into(), pull_secrets: Vec::new() };
    let error = world.run(pull("nginx:does-not-exist")).unwrap_err();
    assert_eq!(error.code, ErrorCode::NotFound);
    assert!(error.message.starts_with("rpc error: code = NotFound desc = failed to pull and unpack image"));
    assert_eq!(world.run(pull("Not A Name")).unwrap_err().code, ErrorCode::InvalidImageName);
}

#[test]
fn stopping_ends_gracefully_or_by_force() {
    let mut world = World::new();
    let stop =
        |id: &str, seconds| Operation::StopContainer { container_id: id.into(), grace: Duration::from_secs(seconds) };
    let (_, graceful) = world.run_pod("a", container("nginx"));
    let before = world.now();
    world.run(stop(&graceful, 30)).unwrap();
    assert_eq!(world.status(&graceful).exit_code, 0);
    assert!(world.now().duration_since(before).as_secs() < 1);
    let (_, stubborn) = world.run_pod("b", container("jocatalin/kubernetes-bootcamp:v1"));
    let before = world.now();
    world.run(stop(&stubborn, 30)).unwrap();
    assert_eq!(world.status(&stubborn).exit_code, 137);
    assert_eq!(world.now().duration_since(before).as_secs(), 30);
    assert!(world.get("10.244.0.3", 8080, "/").unwrap_err().contains("refused"));
    world.run(stop(&stubborn, 30)).unwrap();
}

#[test]
fn a_killed_container_tells_its_exit() {
    let mut world = World::new();
    let (_, id) = world.run_pod("web", container("nginx"));
    assert!(world.runtime.kill(&id, Signal::Kill));
    world.settle();
    let status = world.status(&id);
    assert_eq!((status.state, status.exit_code), (ContainerState::Exited, 137));
    assert_eq!(world.changes(&id), [ContainerState::Running, ContainerState::Exited]);
}

#[test]
fn a_command_that_is_missing_is_a_start_error() {
    let mut world = World::new();
    let config = ContainerConfig { command: vec!["nonsense".into()], ..container("nginx") };
    let error = world.try_run_pod("web", config).unwrap_err();
    assert!(error.message.ends_with("exec: \"nonsense\": executable file not found in $PATH"), "{error}");
}

#[test]
fn memory_beyond_the_limit_is_an_oom_kill() {
    let mut world = World::new();
    let mut config = container("nginx");
    config.resources.memory_limit_bytes = Some(1 << 20);
    let (_, id) = world.run_pod("web", config);
    let status = world.status(&id);
    assert_eq!((status.exit_code, status.reason.as_str()), (137, "OOMKilled"));
}

#[test]
fn volumes_are_mounted_and_their_files_updated() {
    let mut world = World::new();
    let file = |text: &str| VolumeFile { data: text.to_owned().into(), mode: 0o644 };
    let volumes = |text: &str| Operation::SetUpVolumes {
        pod_uid: "uid-web".into(),
        volumes: vec![Volume {
            name: "html".into(),
            kind: VolumeKind::Files([("index.html".to_owned(), file(text))].into()),
        }],
    };
    world.run(volumes("first\n")).unwrap();
    let mount = Mount {
        container_path: "/usr/share/nginx/html".into(),
        read_only: true,
        source: MountSource::Volume { name: "html".into(), sub_path: String::new() },
    };
    world.run_pod("web", ContainerConfig { mounts: vec![mount], ..container("nginx") });
    assert_eq!(world.get("10.244.0.2", 80, "/").unwrap().body, "first\n");
    world.run(volumes("second\n")).unwrap();
    assert_eq!(world.get("10.244.0.2", 80, "/").unwrap().body, "second\n");
}

#[test]
fn logs_are_followed_to_the_containers_end() {
    let mut world = World::new();
    let (_, id) = world.run_pod("hello", container("hellokube:1.0.0"));
    let (sender, receiver) = mpsc::channel(1);
    world.runtime.logs(LogRequest { container_id: id.clone(), follow: true, ..LogRequest::default() }, sender);
    world.get("10.244.0.2", 8080, "/a").unwrap();
    world.runtime.kill(&id, Signal::Kill);
    let lines: Vec<LogLine> = world.wait(receiver.map(Result::unwrap).collect());
    let text: Vec<String> = lines.iter().map(|line| String::from_utf8_lossy(&line.content).into_owned()).collect();
    assert_eq!(text.len(), 2);
    assert!(text[1].contains("GET /a from 10.244.0.1"), "{text:?}");
    let (sender, receiver) = mpsc::channel(1);
    world.runtime.logs(LogRequest { container_id: id, tail: Some(1), ..LogRequest::default() }, sender);
    assert_eq!(world.wait(receiver.collect::<Vec<_>>()).len(), 1);
}

#[test]
fn exec_of_what_is_not_there_says_so_on_the_error_channel() {
    let mut world = World::new();
    let (_, id) = world.run_pod("web", container("nginx"));
    let (client, server) = Channels::pair();
    let request =
        ExecRequest { container_id: id, command: vec!["nope".into()], stdout: true, ..ExecRequest::default() };
    world.runtime.exec(request, server);
    let frames: Vec<Frame> = world.wait(client.receiver.collect());
    assert_eq!(frames.len(), 1);
    assert_eq!(frames[0].channel, 3);
    let status: serde_json::Value = serde_json::from_slice(frames[0].data.as_ref().unwrap()).unwrap();
    assert_eq!(status["status"], "Failure");
    assert!(status["message"].as_str().unwrap().ends_with("exec: \"nope\": executable file not found in $PATH"));
}

#[test]
fn port_forward_reaches_the_pods_own_ports() {
    let mut world = World::new();
    let (sandbox, _) = world.run_pod("web", container("nginx"));
    let (mut client, server) = Channels::pair();
    world.runtime.port_forward(&sandbox.id, &[80, 81], server);
    let request = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let frames: Vec<Frame> = world.wait(async move {
        client.sender.send(Frame { channel: 0, data: Some(request.into()) }).await.unwrap();
        client.receiver.collect().await
    });
    let text = |channel: u8| -> String {
        let data = frames.iter().filter(|frame| frame.channel == channel).filter_map(|frame| frame.data.clone());
        data.map(|data| String::from_utf8_lossy(&data).into_owned()).collect()
    };
    assert!(text(0).starts_with("HTTP/1.1 200 OK"), "{frames:?}");
    assert!(text(3).contains("dial tcp4 127.0.0.1:81: connect: connection refused"));
}

#[test]
fn removing_a_sandbox_silences_its_address() {
    let mut world = World::new();
    let (sandbox, _) = world.run_pod("web", container("nginx"));
    world.run(Operation::RemovePodSandbox { sandbox_id: sandbox.id }).unwrap();
    assert!(world.get("10.244.0.2", 80, "/").unwrap_err().contains("timed out"));
    assert!(matches!(world.run(Operation::List), Ok(Outcome::Listing(listing)) if listing.containers.is_empty()));
}

#[test]
fn the_same_seed_gives_the_same_history() {
    let history = || {
        let mut world = World::new();
        let (_, id) = world.run_pod("web", container("nginx"));
        world.get("10.244.0.2", 80, "/").unwrap();
        (world.now(), world.log(&id), world.status(&id))
    };
    assert_eq!(history(), history());
}

#[test]
fn malformed_requests_are_answered_with_400() {
    let mut world = World::new();
    world.run_pod("web", container("nginx"));
    let node = world.node.clone();
    let reply = world.wait(async move {
        let stream = node.connect("10.244.0.2", 80).await.unwrap();
        stream.write_all(b"nonsense\r\n\r\n").await.unwrap();
        stream.fd().read_to_end().await.unwrap()
    });
    assert!(reply.starts_with(b"HTTP/1.1 400 Bad Request"));
}
