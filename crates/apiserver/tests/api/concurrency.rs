//! Many threads at one server, as a host with sockets has them.

#![allow(clippy::disallowed_methods, reason = "a test is a host")]

use std::collections::BTreeMap;

use serde_json::json;

use crate::bench::{Bench, CONFIG_MAPS, SERVICES, config_map, item, service};

const THREADS: usize = 4;
const ROUNDS: usize = 60;

#[test]
fn no_write_is_lost_and_a_watch_replays_to_the_list() {
    let bench = Bench::new();
    bench.tell(&format!("POST {CONFIG_MAPS}"), &config_map("shared")).expect(201);
    let mut watch = bench.watch(&format!("GET {CONFIG_MAPS}?watch=1&resourceVersion=0"));
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let bench = &bench;
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let name = format!("c{}", (thread + round) % 7);
                    bench.tell(&format!("POST {CONFIG_MAPS}"), &config_map(&name));
                    bench.ask(&format!("DELETE {CONFIG_MAPS}/c{}", round % 7));
                    // Optimistic concurrency: read, change, try again if somebody was faster.
                    loop {
                        let mut object = bench.ask(&format!("GET {CONFIG_MAPS}/shared")).expect(200).json();
                        let count = object["data"]["count"].as_str().map_or(0, |count| count.parse::<usize>().unwrap());
                        object["data"] = json!({"count": (count + 1).to_string()});
                        match bench.tell(&format!("PUT {CONFIG_MAPS}/shared"), &object).code {
                            200 => break,
                            409 => {}
                            other => panic!("{other}"),
                        }
                    }
                }
            });
        }
    });
    let shared = bench.ask(&format!("GET {CONFIG_MAPS}/shared")).expect(200);
    assert_eq!(shared.at("/data/count"), json!((THREADS * ROUNDS).to_string()));
    let mut replayed = BTreeMap::new();
    let mut newest = 0;
    for (kind, object) in watch.events() {
        let revision: i64 = object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
        assert!(revision > newest, "revisions only grow");
        newest = revision;
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        if kind == "DELETED" {
            replayed.remove(&name)
        } else {
            replayed.insert(name, item(object))
        };
    }
    let listed = bench.ask(&format!("GET {CONFIG_MAPS}")).expect(200).at("/items");
    assert_eq!(replayed.into_values().collect::<Vec<_>>(), *listed.as_array().unwrap());
}

#[test]
fn a_node_port_is_given_once() {
    let bench = Bench::with(|options| options.node_ports = (30000, 30019));
    let created = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let bench = &bench;
                scope.spawn(move || {
                    let spec = json!({"type": "NodePort", "ports": [{"port": 80}]});
                    let create = |round| {
                        bench.tell(&format!("POST {SERVICES}"), &service(&format!("s{thread}-{round}"), spec.clone()))
                    };
                    (0..10).filter(|round| create(*round).code == 201).count()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum::<usize>()
    });
    assert_eq!(created, 20, "as many as there are ports");
    let items = bench.ask(&format!("GET {SERVICES}")).at("/items");
    let ports: std::collections::BTreeSet<i64> =
        items.as_array().unwrap().iter().filter_map(|item| item["spec"]["ports"][0]["nodePort"].as_i64()).collect();
    assert_eq!(ports.len(), 20);
}
