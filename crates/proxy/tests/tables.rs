//! Forwarding and names, by behaviour.
#![allow(clippy::unwrap_used, reason = "helpers of tests, which clippy does not see as tests")]

use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use machinery::{ObjectKey, Timestamp};
use playground_proxy::dns::{self, Answer, RecordType};
use playground_proxy::{Affinity, Forward, Protocol, Source, Tables};
use serde_json::{Value, json};

fn key(name: &str) -> ObjectKey {
    ObjectKey::new("default", name)
}

fn service(tables: &mut Tables, name: &str, spec: Value, status: Value) {
    let object = json!({"metadata": {"name": name, "namespace": "default"}, "spec": spec, "status": status});
    let service: Service = serde_json::from_value(object).unwrap();
    tables.apply_service(&key(name), Arc::new(service));
}

/// Endpoints as (address, node, ready, serving, terminating).
fn slice(tables: &mut Tables, service: &str, endpoints: &[(&str, &str, bool, bool, bool)]) {
    let endpoints: Vec<Value> = endpoints
        .iter()
        .map(|(address, node, ready, serving, terminating)| {
            json!({
                "addresses": [address],
                "nodeName": node,
                "hostname": format!("host-{node}"),
                "conditions": {"ready": ready, "serving": serving, "terminating": terminating},
                "targetRef": {"kind": "Pod", "namespace": "default", "name": format!("pod-{node}")},
            })
        })
        .collect();
    let object = json!({
        "addressType": "IPv4",
        "metadata": {"labels": {"kubernetes.io/service-name": service}},
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": endpoints,
    });
    let slice: EndpointSlice = serde_json::from_value(object).unwrap();
    tables.apply_slice(&key(&format!("{service}-abc")), Arc::new(slice));
}

const PORTS: &str = r#"[{"name": "http", "port": 80, "targetPort": 8080, "nodePort": 30950, "protocol": "TCP"}]"#;

fn spec(extra: Value) -> Value {
    let ports: Value = serde_json::from_str(PORTS).unwrap();
    let mut spec = json!({"type": "LoadBalancer", "clusterIP": "10.96.0.20", "ports": ports});
    for (name, value) in extra.as_object().unwrap() {
        spec[name] = value.clone();
    }
    spec
}

fn source(random: u64) -> Source<'static> {
    let address = IpAddr::from([10, 244, 0, 9]);
    Source { address, node: Some("a"), internal: false, now: Timestamp::UNIX_EPOCH, random }
}

fn web() -> Tables {
    let mut tables = Tables::default();
    service(&mut tables, "web", spec(json!({})), json!({"loadBalancer": {"ingress": [{"hostname": "localhost"}]}}));
    slice(&mut tables, "web", &[("10.244.1.2", "a", true, true, false), ("10.244.2.2", "b", true, true, false)]);
    tables
}

fn target(forward: Forward<'_>) -> String {
    match forward {
        Forward::Direct => "direct".into(),
        Forward::To { via, endpoint, .. } => format!("{via:?} {}:{}", endpoint.address, endpoint.port),
        Forward::Reject { service, .. } => format!("reject {service}"),
        Forward::Drop { .. } => "drop".into(),
    }
}

fn cluster_ip(tables: &Tables, source: Source<'_>, affinity: &mut Affinity) -> String {
    target(tables.forward([10, 96, 0, 20].into(), 80, Protocol::Tcp, source, affinity))
}

#[test]
fn each_door_of_a_service_leads_to_its_endpoints() {
    let tables = web();
    let none = &mut Affinity::default();
    assert_eq!(cluster_ip(&tables, source(0), none), "ClusterIP 10.244.1.2:8080");
    assert_eq!(cluster_ip(&tables, source(1), none), "ClusterIP 10.244.2.2:8080");
    let node = target(tables.forward_node_port(30950, Protocol::Tcp, source(1), none));
    assert_eq!(node, "NodePort 10.244.2.2:8080");
    let outside = tables.forward_node_port(30950, Protocol::Tcp, source(1), none);
    assert!(matches!(outside, Forward::To { masqueraded: true, .. }));
    let balancer = target(tables.forward_host("localhost", 80, Protocol::Tcp, source(0), none));
    assert_eq!(balancer, "LoadBalancer 10.244.1.2:8080");
    assert_eq!(target(tables.forward([10, 96, 0, 20].into(), 81, Protocol::Tcp, source(0), none)), "drop");
    assert_eq!(target(tables.forward([1, 1, 1, 1].into(), 80, Protocol::Tcp, source(0), none)), "direct");
    let external: Vec<u16> = tables.external_ports("localhost").into_iter().map(|(port, _)| port).collect();
    assert_eq!(external, [80, 30950]);
}

#[test]
fn ready_endpoints_come_first_then_serving_ones_then_refusal() {
    let mut tables = web();
    let none = &mut Affinity::default();
    slice(&mut tables, "web", &[("10.244.1.2", "a", false, true, true), ("10.244.2.2", "b", true, true, false)]);
    assert_eq!(cluster_ip(&tables, source(0), none), "ClusterIP 10.244.2.2:8080");
    slice(&mut tables, "web", &[("10.244.1.2", "a", false, true, true), ("10.244.2.2", "b", false, false, false)]);
    assert_eq!(cluster_ip(&tables, source(0), none), "ClusterIP 10.244.1.2:8080");
    tables.remove_slice(&key("web-abc"));
    assert_eq!(cluster_ip(&tables, source(0), none), "reject default/web");
    tables.remove_service(&key("web"));
    assert_eq!(cluster_ip(&tables, source(0), none), "direct");
}

#[test]
fn policy_local_keeps_to_the_node_and_drops_without_an_endpoint() {
    let mut tables = web();
    let none = &mut Affinity::default();
    service(
        &mut tables,
        "web",
        spec(json!({"internalTrafficPolicy": "Local", "externalTrafficPolicy": "Local"})),
        json!({}),
    );
    for random in 0..4 {
        assert_eq!(cluster_ip(&tables, source(random), none), "ClusterIP 10.244.1.2:8080");
    }
    let elsewhere = Source { node: Some("c"), ..source(0) };
    assert_eq!(cluster_ip(&tables, elsewhere, none), "drop");
    assert_eq!(target(tables.forward_node_port(30950, Protocol::Tcp, elsewhere, none)), "drop");
    let inside = Source { internal: true, ..elsewhere };
    assert_eq!(target(tables.forward_node_port(30950, Protocol::Tcp, inside, none)), "NodePort 10.244.1.2:8080");
    // What balances in front of the nodes knows which of them have an endpoint.
    let balanced = Source { node: None, ..elsewhere };
    let reached = tables.forward_node_port(30950, Protocol::Tcp, balanced, none);
    assert!(matches!(reached, Forward::To { masqueraded: false, .. }));
    // Endpoints elsewhere that only end are endpoints: nothing refuses in their place.
    slice(&mut tables, "web", &[("10.244.1.2", "a", false, true, true)]);
    assert_eq!(cluster_ip(&tables, elsewhere, none), "drop");
}

#[test]
fn session_affinity_keeps_a_client_on_its_endpoint_until_it_times_out() {
    let mut tables = web();
    let affinity = &mut Affinity::default();
    service(&mut tables, "web", spec(json!({"sessionAffinity": "ClientIP"})), json!({}));
    assert_eq!(cluster_ip(&tables, source(1), affinity), "ClusterIP 10.244.2.2:8080");
    assert_eq!(cluster_ip(&tables, source(0), affinity), "ClusterIP 10.244.2.2:8080");
    let later = Source { now: Timestamp::from_second(20_000).unwrap(), ..source(0) };
    assert_eq!(cluster_ip(&tables, later, affinity), "ClusterIP 10.244.1.2:8080");
    slice(&mut tables, "web", &[("10.244.2.2", "b", true, true, false)]);
    assert_eq!(cluster_ip(&tables, later, affinity), "ClusterIP 10.244.2.2:8080");
}

#[test]
fn slices_may_come_before_their_service() {
    let mut tables = Tables::default();
    slice(&mut tables, "web", &[("10.244.1.2", "a", true, true, false)]);
    service(&mut tables, "web", spec(json!({})), json!({}));
    assert_eq!(cluster_ip(&tables, source(0), &mut Affinity::default()), "ClusterIP 10.244.1.2:8080");
}

fn ask(tables: &Tables, name: &str, kind: RecordType) -> String {
    match dns::answer(tables, dns::CLUSTER_DOMAIN, name, kind) {
        Answer::Records(records) => records.iter().map(|record| record.data.to_string()).collect::<Vec<_>>().join(", "),
        Answer::NxDomain => "NXDOMAIN".into(),
        Answer::NotOurs => "not ours".into(),
        Answer::NoAnswer => "no answer".into(),
    }
}

#[test]
fn cluster_names_follow_the_dns_specification() {
    let mut tables = web();
    service(&mut tables, "db", spec(json!({"type": "ClusterIP", "clusterIP": "None"})), json!({}));
    slice(&mut tables, "db", &[("10.244.1.3", "a", true, true, false), ("10.244.2.3", "b", false, false, false)]);
    service(&mut tables, "ext", json!({"type": "ExternalName", "externalName": "example.com"}), json!({}));
    service(&mut tables, "empty", spec(json!({"type": "ClusterIP", "clusterIP": "None"})), json!({}));
    let cases = [
        ("web.default.svc.cluster.local", RecordType::A, "10.96.0.20"),
        ("WEB.default.svc.cluster.local.", RecordType::A, "10.96.0.20"),
        ("web.default.svc.cluster.local", RecordType::Aaaa, ""),
        ("web.other.svc.cluster.local", RecordType::A, "NXDOMAIN"),
        ("_http._tcp.web.default.svc.cluster.local", RecordType::Srv, "0 100 80 web.default.svc.cluster.local."),
        ("_http._udp.web.default.svc.cluster.local", RecordType::Srv, "NXDOMAIN"),
        ("db.default.svc.cluster.local", RecordType::A, "10.244.1.3"),
        ("host-a.db.default.svc.cluster.local", RecordType::A, "10.244.1.3"),
        ("host-b.db.default.svc.cluster.local", RecordType::A, "NXDOMAIN"),
        ("_http._tcp.db.default.svc.cluster.local", RecordType::Srv, "0 100 8080 host-a.db.default.svc.cluster.local."),
        ("empty.default.svc.cluster.local", RecordType::A, "NXDOMAIN"),
        ("ext.default.svc.cluster.local", RecordType::A, "example.com."),
        ("10-244-1-3.default.pod.cluster.local", RecordType::A, "10.244.1.3"),
        ("20.0.96.10.in-addr.arpa", RecordType::Ptr, "web.default.svc.cluster.local."),
        ("3.1.244.10.in-addr.arpa", RecordType::Ptr, "host-a.db.default.svc.cluster.local."),
        ("3.2.244.10.in-addr.arpa", RecordType::Ptr, "NXDOMAIN"),
        ("example.com", RecordType::A, "not ours"),
        ("nonsense.cluster.local", RecordType::A, "NXDOMAIN"),
    ];
    for (name, kind, expected) in cases {
        assert_eq!(ask(&tables, name, kind), expected, "{name} {kind:?}");
    }
}

#[test]
fn hints_keep_traffic_in_its_zone_and_ranges_keep_strangers_out() {
    let mut tables = Tables::default();
    let status = json!({"loadBalancer": {"ingress": [{"ip": "172.18.0.100"}]}});
    service(&mut tables, "web", spec(json!({"loadBalancerSourceRanges": ["10.244.0.0/16"]})), status);
    let endpoint = |address: &str, zone: &str| json!({"addresses": [address], "conditions": {"ready": true}, "hints": {"forZones": [{"name": zone}]}});
    let object = json!({
        "addressType": "IPv4",
        "metadata": {"labels": {"kubernetes.io/service-name": "web"}},
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": [endpoint("10.244.1.1", "a"), endpoint("10.244.1.2", "b"), endpoint("10.244.1.3", "b")],
    });
    tables.apply_slice(&key("web-1"), Arc::new(serde_json::from_value(object).unwrap()));
    let reached = |tables: &Tables, node: &'static str| -> Vec<String> {
        let mut found: Vec<String> = (0..6)
            .map(|random| {
                let source = Source { node: Some(node), ..source(random) };
                match tables.forward([10, 96, 0, 20].into(), 80, Protocol::Tcp, source, &mut Affinity::default()) {
                    Forward::To { endpoint, .. } => endpoint.address.to_string(),
                    other => format!("{other:?}"),
                }
            })
            .collect();
        found.sort();
        found.dedup();
        found
    };
    assert_eq!(reached(&tables, "one").len(), 3);
    tables.set_zone("one", Some("a"));
    tables.set_zone("two", Some("b"));
    tables.set_zone("three", Some("c"));
    assert_eq!(reached(&tables, "one"), ["10.244.1.1"]);
    assert_eq!(reached(&tables, "two"), ["10.244.1.2", "10.244.1.3"]);
    assert_eq!(reached(&tables, "three").len(), 3);
    let through = |address: [u8; 4]| {
        let source = Source { address: address.into(), ..source(0) };
        tables.forward([172, 18, 0, 100].into(), 80, Protocol::Tcp, source, &mut Affinity::default())
    };
    assert!(matches!(through([10, 244, 0, 9]), Forward::To { .. }));
    assert!(matches!(through([192, 168, 0, 1]), Forward::Drop { .. }));
}
