//! Addresses and node ports of Services.

use serde_json::{Value, json};

use crate::bench::{Bench, SERVICES, service};

fn create(bench: &Bench, name: &str, spec: Value) -> crate::bench::Answer {
    bench.tell(&format!("POST {SERVICES}"), &service(name, spec))
}

fn node_port(port: Value) -> Value {
    json!({"type": "NodePort", "selector": {"a": "b"}, "ports": [{"port": 80, "nodePort": port}]})
}

#[test]
fn addresses_and_ports_are_given_and_given_back() {
    let bench = Bench::new();
    let first = create(&bench, "a", json!({"selector": {"a": "b"}, "ports": [{"port": 80}]})).expect(201);
    let ip = first.at("/spec/clusterIP");
    assert!(ip.as_str().unwrap().starts_with("10.96."), "{ip}");
    assert_eq!(first.at("/spec/clusterIPs"), json!([ip]));
    let taken = json!({"clusterIP": ip, "ports": [{"port": 80}]});
    let refused = create(&bench, "b", taken.clone()).expect(422);
    let ip = ip.as_str().unwrap();
    assert_eq!(
        refused.message(),
        format!(
            "Service \"b\" is invalid: spec.clusterIPs: Invalid value: [\"{ip}\"]: failed to allocate IP {ip}: provided IP is already allocated"
        )
    );
    bench.ask(&format!("DELETE {SERVICES}/a")).expect(200);
    create(&bench, "b", taken).expect(201);
    let outside = create(&bench, "c", json!({"clusterIP": "1.2.3.4", "ports": [{"port": 80}]})).expect(422).message();
    assert!(outside.ends_with("failed to allocate IP 1.2.3.4: the provided IP (1.2.3.4) is not in the valid range. The range of valid IPs is 10.96.0.0/16"), "{outside}");
    assert_eq!(
        create(&bench, "h", json!({"clusterIP": "None", "ports": [{"port": 80}]})).expect(201).at("/spec/clusterIPs"),
        json!(["None"])
    );
    let external = create(&bench, "e", json!({"type": "ExternalName", "externalName": "example.com"})).expect(201);
    assert_eq!(external.at("/spec/clusterIP"), Value::Null);
}

#[test]
fn node_ports_conflict_in_upstreams_words() {
    let bench = Bench::new();
    create(&bench, "a", node_port(json!(30950))).expect(201);
    assert_eq!(
        create(&bench, "b", node_port(json!(30950))).expect(422).message(),
        "Service \"b\" is invalid: spec.ports[0].nodePort: Invalid value: 30950: provided port is already allocated"
    );
    assert_eq!(
        create(&bench, "b", node_port(json!(80))).expect(422).message(),
        "Service \"b\" is invalid: spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range. The range of valid ports is 30000-32767"
    );
    let given = create(&bench, "b", node_port(Value::Null)).expect(201).at("/spec/ports/0/nodePort").as_i64().unwrap();
    assert!((30000..=32767).contains(&given));
    bench.patch(&format!("{SERVICES}/a"), "merge-patch+json", &json!({"spec": {"type": "ClusterIP"}})).expect(200);
    assert_eq!(bench.ask(&format!("GET {SERVICES}/a")).at("/spec/ports/0/nodePort"), Value::Null);
    create(&bench, "c", node_port(json!(30950))).expect(201);
    let dry = format!("POST {SERVICES}?dryRun=All");
    bench.tell(&dry, &service("d", node_port(json!(31000)))).expect(201);
    create(&bench, "d", node_port(json!(31000))).expect(201);
}

#[test]
fn an_update_keeps_what_was_given() {
    let bench = Bench::new();
    let created = create(&bench, "a", node_port(Value::Null)).expect(201);
    let replaced = bench.tell(&format!("PUT {SERVICES}/a"), &service("a", node_port(Value::Null))).expect(200);
    for pointer in ["/spec/clusterIP", "/spec/ports/0/nodePort"] {
        assert_eq!(replaced.at(pointer), created.at(pointer), "{pointer}");
    }
}

#[test]
fn a_new_server_on_the_same_store_knows_what_is_taken() {
    let bench = Bench::new();
    create(&bench, "a", node_port(json!(30950))).expect(201);
    let store = bench.store.clone();
    let again = Bench::with(|options| options.store = store);
    assert_eq!(create(&again, "b", node_port(json!(30950))).code, 422);
}

#[test]
fn the_kubernetes_service_is_there_at_birth() {
    let bench = Bench::new();
    let service = bench.ask(&format!("GET {SERVICES}/kubernetes")).expect(200);
    assert_eq!(service.at("/spec/clusterIP"), json!("10.96.0.1"));
    let endpoints = bench.ask("GET /api/v1/namespaces/default/endpoints/kubernetes").expect(200);
    assert_eq!(endpoints.at("/subsets/0/ports/0/port"), json!(6443));
    let revision = bench.store.revision();
    bench.server.bootstrap().unwrap();
    assert_eq!(bench.store.revision(), revision, "a second start changes nothing");
}

#[test]
fn addresses_are_objects_as_long_as_their_service_lives() {
    const ADDRESSES: &str = "/apis/networking.k8s.io/v1/ipaddresses";
    let bench = Bench::new();
    let names = || {
        let list = bench.ask(&format!("GET {ADDRESSES}")).expect(200);
        let items = list.at("/items").as_array().unwrap().clone();
        items.iter().map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(), ["10.96.0.1"]);
    let web = json!({"metadata": {"name": "web"}, "spec": {"clusterIP": "10.96.0.9", "ports": [{"port": 80}]}});
    bench.tell(&format!("POST {SERVICES}?dryRun=All"), &web).expect(201);
    assert_eq!(names(), ["10.96.0.1"]);
    bench.tell(&format!("POST {SERVICES}"), &web).expect(201);
    let address = bench.ask(&format!("GET {ADDRESSES}/10.96.0.9")).expect(200);
    let parent = json!({"resource": "services", "namespace": "default", "name": "web"});
    assert_eq!(address.at("/spec/parentRef"), parent);
    assert_eq!(
        address.at("/metadata/labels"),
        json!({"ipaddress.kubernetes.io/ip-family": "IPv4", "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io"})
    );
    let external =
        json!({"spec": {"type": "ExternalName", "externalName": "example.org", "clusterIP": "", "clusterIPs": null}});
    bench.patch(&format!("{SERVICES}/web"), "merge-patch+json", &external).expect(200);
    assert_eq!(names(), ["10.96.0.1"]);
    bench.patch(&format!("{SERVICES}/web"), "merge-patch+json", &json!({"spec": {"type": "ClusterIP"}})).expect(200);
    assert_eq!(names().len(), 2);
    bench.ask(&format!("DELETE {SERVICES}/web")).expect(200);
    assert_eq!(names(), ["10.96.0.1"]);
}
