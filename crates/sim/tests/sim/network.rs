//! Connections through Services, names, and what passes being seen.
use std::sync::Arc;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kubelet::runtime::{ContainerConfig, ContainerRuntime, DnsConfig, ExecRequest};
use machinery::ObjectKey;
use machinery::wire::{Channels, Frame};
use playground_sim::network::{HopEvent, Party};
use proxy::Via;
use serde_json::{Value, json};

use crate::world::{World, container};

fn key(name: &str) -> ObjectKey {
    ObjectKey::new("default", name)
}

/// A Service of type LoadBalancer at `localhost`, and its one endpoint.
fn expose(world: &mut World, name: &str, address: &str, port: u16) {
    let service: Service = serde_json::from_value(json!({
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "type": "LoadBalancer",
            "clusterIP": "10.96.0.20",
            "ports": [{"port": 8086, "targetPort": port, "nodePort": 30950, "protocol": "TCP"}],
        },
        "status": {"loadBalancer": {"ingress": [{"hostname": "localhost"}]}},
    }))
    .unwrap();
    let endpoints: Value = if address.is_empty() {
        json!([])
    } else {
        json!([{"addresses": [address], "conditions": {"ready": true}, "nodeName": "worker"}])
    };
    let slice: EndpointSlice = serde_json::from_value(json!({
        "addressType": "IPv4",
        "metadata": {"labels": {"kubernetes.io/service-name": name}},
        "ports": [{"port": port, "protocol": "TCP"}],
        "endpoints": endpoints,
    }))
    .unwrap();
    let mut tables = world.tables.borrow_mut();
    tables.apply_service(&key(name), Arc::new(service));
    tables.apply_slice(&key(&format!("{name}-1")), Arc::new(slice));
}

fn cluster_dns() -> DnsConfig {
    DnsConfig {
        servers: vec!["10.96.0.10".into()],
        searches: ["default.svc.cluster.local", "svc.cluster.local", "cluster.local"].map(str::to_owned).into(),
        options: vec!["ndots:5".into()],
    }
}

fn exec(world: &mut World, id: &str, script: &str) -> (String, Value) {
    let (client, server) = Channels::pair();
    let request = ExecRequest {
        container_id: id.into(),
        command: vec!["sh".into(), "-c".into(), script.into()],
        stdout: true,
        stderr: true,
        ..ExecRequest::default()
    };
    world.runtime.exec(request, server);
    let frames: Vec<Frame> = world.wait(client.receiver.collect());
    let text = |channels: &[u8]| -> Vec<u8> {
        let chosen = frames.iter().filter(|frame| channels.contains(&frame.channel));
        chosen.filter_map(|frame| frame.data.clone()).flatten().collect()
    };
    let status = serde_json::from_slice(&text(&[3])).unwrap();
    (String::from_utf8_lossy(&text(&[1, 2])).into_owned(), status)
}

#[test]
fn a_service_is_reached_by_its_node_port_its_load_balancer_and_its_cluster_address() {
    let mut world = World::new();
    world.run_pod("web", container("nginx"));
    expose(&mut world, "web", "10.244.0.2", 80);
    let host = world.host.clone();
    for port in [30950, 8086] {
        let response = world.request(host.clone(), "localhost", port, "/").unwrap();
        assert_eq!(response.status, 200, "{port}");
    }
    assert_eq!(world.get("10.96.0.20", 8086, "/").unwrap().status, 200);
    assert_eq!(world.request(host.clone(), "10.244.0.1", 30950, "/").unwrap().status, 200);
    assert!(world.request(host, "localhost", 9999, "/").unwrap_err().contains("refused"));
}

#[test]
fn refusal_timeout_and_reset_are_distinct() {
    let mut world = World::new();
    expose(&mut world, "web", "", 80);
    assert!(world.get("10.96.0.20", 8086, "/").unwrap_err().contains("refused"));
    let before = world.now();
    assert!(world.get("10.96.0.20", 1, "/").unwrap_err().contains("timed out"));
    assert!(world.now().duration_since(before).as_secs() > 100);
    let (_, id) = world.run_pod("db", container("redis"));
    let node = world.node.clone();
    let runtime = world.runtime.clone();
    let sandbox = world.status(&id).sandbox_id;
    let stream = world.wait(async move { node.dial([10, 244, 0, 2].into(), 6379).await.unwrap() });
    drop(runtime);
    world.run(kubelet::runtime::Operation::RemovePodSandbox { sandbox_id: sandbox }).unwrap();
    let read = world.wait(async move { stream.read(10).await });
    assert!(matches!(read, Ok(ref end) if end.is_empty()) || read == Err(playground_sim::Errno::ConnectionReset));
}

#[test]
fn pods_find_services_by_name() {
    let mut world = World::new();
    world.dns = cluster_dns();
    world.run_pod("web", container("nginx"));
    expose(&mut world, "web", "10.244.0.2", 80);
    let config = ContainerConfig { command: vec!["sleep".into(), "1000".into()], ..container("busybox") };
    let (_, id) = world.run_pod("client", config);
    let (out, _) = exec(&mut world, &id, "wget -qO- http://web:8086 | grep -c Welcome; cat /etc/resolv.conf");
    assert!(out.starts_with("2\nsearch default.svc.cluster.local"), "{out}");
    let (out, _) = exec(&mut world, &id, "nslookup web");
    let expected = "Server:\t\t10.96.0.10\nAddress:\t10.96.0.10:53\n\nName:\tweb.default.svc.cluster.local\nAddress: 10.96.0.20\n\n";
    assert_eq!(out, expected);
    let (out, status) = exec(&mut world, &id, "wget -qO- http://nope; exit 5");
    assert_eq!(out, "wget: bad address 'nope'\n");
    assert_eq!(status["details"]["causes"][0]["message"], "5");
}

#[test]
fn the_containers_of_a_pod_share_its_network_and_a_restart_keeps_it() {
    let mut world = World::new();
    let (sandbox, _) = world.run_pod("web", container("nginx"));
    let id = world.add_container(
        &sandbox.id,
        ContainerConfig {
            command: ["sh", "-c", "wget -qO- localhost | grep -o 'Welcome to nginx!' | head -n1"]
                .map(str::to_owned)
                .into(),
            ..container("busybox")
        },
    );
    assert_eq!(world.log(&id), "Welcome to nginx!\n");
    assert_eq!(world.status(&id).exit_code, 0);
}

#[test]
fn what_passes_is_seen_with_the_way_it_took() {
    let mut world = World::new();
    world.run_pod("web", container("nginx"));
    expose(&mut world, "web", "10.244.0.2", 80);
    let hops = world.network.subscribe();
    let host = world.host.clone();
    world.request(host, "localhost", 30950, "/x").unwrap();
    world.settle();
    let seen: Vec<HopEvent> = world.wait(async move { hops.take(3).map(|hop| hop.event).collect().await });
    let pod = Party::Pod(key("web"));
    assert!(matches!(&seen[0], HopEvent::Connected { service: Some((service, Via::NodePort)), to, .. }
        if *service == key("web") && *to == pod));
    assert!(matches!(&seen[1], HopEvent::Request { target, .. } if target == "/x"));
    assert!(matches!(&seen[2], HopEvent::Response { status: 404, .. }));
}

#[test]
fn a_shell_with_a_terminal_runs_in_a_container() {
    use futures::SinkExt;
    let mut world = World::new();
    let config = ContainerConfig { command: vec!["sleep".into(), "1000".into()], ..container("busybox") };
    let (_, id) = world.run_pod("box", config);
    let (mut client, server) = Channels::pair();
    let request = ExecRequest {
        container_id: id,
        command: vec!["sh".into()],
        stdin: true,
        stdout: true,
        tty: true,
        ..ExecRequest::default()
    };
    world.runtime.exec(request, server);
    let frames: Vec<Frame> = world.wait(async move {
        for text in ["hostname\r", "ls /nope\r", "exit 4\r"] {
            client.sender.send(Frame { channel: 0, data: Some(text.into()) }).await.unwrap();
        }
        client.receiver.collect().await
    });
    let screen: Vec<u8> =
        frames.iter().filter(|frame| frame.channel == 1).filter_map(|f| f.data.clone()).flatten().collect();
    let screen = String::from_utf8_lossy(&screen).into_owned();
    assert!(screen.contains("/ # "), "{screen}");
    assert!(screen.contains("\r\nbox\r\n"), "{screen}");
    assert!(screen.contains("ls: /nope: No such file or directory\r\n"), "{screen}");
    let status: Value = serde_json::from_slice(frames.last().unwrap().data.as_ref().unwrap()).unwrap();
    assert_eq!(status["details"]["causes"][0]["message"], "4");
}
