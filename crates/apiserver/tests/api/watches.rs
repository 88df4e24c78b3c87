//! Watches.

use serde_json::json;

use crate::bench::{Bench, CONFIG_MAPS, PODS, config_map, pod};

fn create(bench: &Bench, name: &str) {
    bench.tell(&format!("POST {CONFIG_MAPS}"), &config_map(name)).expect(201);
}

#[test]
fn a_watch_begins_where_it_is_told() {
    let bench = Bench::new();
    create(&bench, "a");
    let revision = bench.store.revision();
    create(&bench, "b");
    let mut from_revision = bench.watch(&format!("GET {CONFIG_MAPS}?watch=1&resourceVersion={revision}"));
    let mut from_zero = bench.watch(&format!("GET {CONFIG_MAPS}?watch=1&resourceVersion=0"));
    let mut from_unset = bench.watch(&format!("GET {CONFIG_MAPS}?watch=true"));
    let mut by_path = bench.watch("GET /api/v1/watch/namespaces/default/configmaps");
    assert_eq!(from_revision.names(), ["ADDED b"]);
    for watch in [&mut from_zero, &mut from_unset, &mut by_path] {
        assert_eq!(watch.names(), ["ADDED a", "ADDED b"]);
    }
    bench.patch(&format!("{CONFIG_MAPS}/a"), "merge-patch+json", &json!({"data": {"k": "v"}})).expect(200);
    bench.ask(&format!("DELETE {CONFIG_MAPS}/b")).expect(200);
    let events = from_revision.events();
    assert_eq!(events[0].0, "MODIFIED");
    assert_eq!((events[1].0.as_str(), &events[1].1["metadata"]["name"]), ("DELETED", &json!("b")));
    let deleted_at = bench.store.revision().to_string();
    assert_eq!(events[1].1["metadata"]["resourceVersion"], json!(deleted_at), "a deletion has a version of its own");
}

#[test]
fn what_a_selector_no_longer_matches_is_deleted_for_its_watcher() {
    let bench = Bench::new();
    let mut labels = bench.watch(&format!("GET {PODS}?watch=1&labelSelector=app%3Dweb"));
    let mut node = bench.watch("GET /api/v1/pods?watch=1&fieldSelector=spec.nodeName%3Dn1");
    let mut name = bench.watch(&format!("GET {PODS}?watch=1&fieldSelector=metadata.name%3Dweb"));
    bench.tell(&format!("POST {PODS}"), &pod("web")).expect(201);
    bench.tell(&format!("POST {PODS}"), &pod("other")).expect(201);
    let binding = json!({"target": {"kind": "Node", "name": "n1"}});
    bench.tell(&format!("POST {PODS}/web/binding"), &binding).expect(201);
    bench.patch(&format!("{PODS}/web"), "merge-patch+json", &json!({"metadata": {"labels": {"app": "x"}}})).expect(200);
    bench.ask(&format!("DELETE {PODS}/web?gracePeriodSeconds=0")).expect(200);
    assert_eq!(labels.names(), ["ADDED web", "MODIFIED web", "DELETED web"]);
    assert_eq!(node.names(), ["ADDED web", "MODIFIED web", "DELETED web"]);
    assert_eq!(name.names(), ["ADDED web", "MODIFIED web", "MODIFIED web", "DELETED web"]);
}

#[test]
fn a_compacted_version_is_an_error_event() {
    let bench = Bench::new();
    create(&bench, "a");
    let revision = bench.store.revision();
    bench.store.compact(revision).unwrap();
    let mut watch = bench.watch(&format!("GET {CONFIG_MAPS}?watch=1&resourceVersion=2"));
    let events = watch.events();
    assert_eq!(events.len(), 1);
    assert_eq!((events[0].0.as_str(), &events[0].1["code"]), ("ERROR", &json!(410)));
    assert_eq!(events[0].1["message"], json!(format!("too old resource version: 2 ({revision})")));
    assert!(watch.has_ended());
}

#[test]
fn bookmarks_and_timeouts_come_with_time() {
    let bench = Bench::new();
    let line = "watch=1&resourceVersion=0&allowWatchBookmarks=true&timeoutSeconds=100";
    let mut watch = bench.watch(&format!("GET {CONFIG_MAPS}?{line}"));
    assert!(watch.events().is_empty());
    bench.tell(&format!("POST {PODS}"), &pod("unrelated")).expect(201);
    assert!(watch.events().is_empty());
    bench.pass(61);
    let events = watch.events();
    assert_eq!(events[0].0, "BOOKMARK");
    assert_eq!(events[0].1["metadata"]["resourceVersion"], json!(bench.store.revision().to_string()));
    assert_eq!(events[0].1["kind"], json!("ConfigMap"));
    create(&bench, "a");
    assert_eq!(watch.names(), ["ADDED a"]);
    assert!(!watch.has_ended());
    bench.pass(61);
    assert!(watch.events().iter().all(|(kind, _)| kind == "BOOKMARK"));
    assert!(watch.has_ended());
}

#[test]
fn initial_events_end_with_a_bookmark() {
    let bench = Bench::new();
    create(&bench, "a");
    let line = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let events = bench.watch(&format!("GET {CONFIG_MAPS}?{line}")).events();
    let kinds: Vec<&str> = events.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["ADDED", "BOOKMARK"]);
    assert_eq!(events[1].1["metadata"]["annotations"]["k8s.io/initial-events-end"], json!("true"));
    let refused = bench.ask(&format!("GET {CONFIG_MAPS}?watch=1&sendInitialEvents=true")).expect(422);
    assert!(refused.message().contains("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"));
}

#[test]
fn tables_are_watched_too() {
    let bench = Bench::new();
    create(&bench, "a");
    create(&bench, "b");
    let accept = "accept: application/json;as=Table;v=v1;g=meta.k8s.io";
    let events = bench.watch(&format!("GET {CONFIG_MAPS}?watch=1&resourceVersion=0\n{accept}")).events();
    assert_eq!(events[0].1["kind"], json!("Table"));
    assert_eq!(events[0].1["columnDefinitions"][0]["name"], json!("Name"));
    assert_eq!(events[1].1["columnDefinitions"], json!(null), "columns come once");
    assert_eq!(events[1].1["rows"][0]["cells"][0], json!("b"));
}

#[test]
fn a_watch_replays_exactly_the_history() {
    let bench = Bench::new();
    let start = bench.store.revision();
    let mut live = bench.watch(&format!("GET /api/v1/configmaps?watch=1&resourceVersion={start}"));
    for round in 0..30 {
        let name = format!("c{}", round % 4);
        if bench.tell(&format!("POST {CONFIG_MAPS}"), &config_map(&name)).code == 409 {
            if round % 3 == 0 {
                bench.ask(&format!("DELETE {CONFIG_MAPS}/{name}")).expect(200);
            } else {
                let patch = json!({"data": {"k": round.to_string()}});
                bench.patch(&format!("{CONFIG_MAPS}/{name}"), "merge-patch+json", &patch).expect(200);
            }
        }
    }
    let lived = live.events();
    assert!(lived.len() >= 30);
    for (index, (_, object)) in lived.iter().enumerate() {
        let version = object["metadata"]["resourceVersion"].as_str().unwrap();
        let mut replay = bench.watch(&format!("GET /api/v1/configmaps?watch=1&resourceVersion={version}"));
        assert_eq!(replay.events(), lived[index + 1..], "from {version}");
    }
}

#[test]
fn a_watch_without_a_timeout_ends_after_half_an_hour_to_an_hour() {
    let bench = Bench::new();
    let mut watch = bench.watch(&format!("GET {CONFIG_MAPS}?watch=1&resourceVersion=0"));
    watch.events();
    bench.pass(1799);
    watch.events();
    assert!(!watch.has_ended());
    bench.pass(1801);
    watch.events();
    assert!(watch.has_ended());
}

#[test]
fn who_does_not_read_is_cut_off_and_burdens_nobody() {
    let bench = Bench::new();
    create(&bench, "a");
    let mut slow = bench.watch(&format!("GET {CONFIG_MAPS}?watch=1&resourceVersion=0"));
    let mut other = bench.watch(&format!("GET {CONFIG_MAPS}?watch=1&resourceVersion=0"));
    for round in 0..70_000 {
        let op = store::Op::put("/registry/configmaps/default/a", format!("{{\"metadata\":{{\"name\":\"{round}\"}}}}"));
        bench.store.txn(store::Txn { then: vec![op], ..store::Txn::default() }, store::Origin::default()).unwrap();
        if round % 1000 == 0 {
            other.events();
        }
    }
    assert!(slow.events().len() < 70_000);
    assert!(slow.has_ended());
    other.events();
    assert!(!other.has_ended());
}

#[test]
fn what_cannot_be_asked_for_together_is_refused() {
    let bench = Bench::new();
    let forbidden = "ListOptions.meta.k8s.io \"\" is invalid: ";
    for (query, message) in [
        (
            "resourceVersionMatch=Exact",
            "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided",
        ),
        (
            "resourceVersionMatch=Exact&resourceVersion=0",
            "resourceVersionMatch: Forbidden: resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
        ),
        (
            "resourceVersionMatch=Newest&resourceVersion=1",
            "resourceVersionMatch: Unsupported value: \"Newest\": supported values: \"Exact\", \"NotOlderThan\", \"\"",
        ),
        (
            "resourceVersionMatch=Exact&resourceVersion=1&continue=x",
            "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden when continue is provided",
        ),
        ("sendInitialEvents=true", "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list"),
        (
            "watch=1&resourceVersionMatch=NotOlderThan",
            "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
        ),
        (
            "watch=1&sendInitialEvents=true&resourceVersionMatch=Exact",
            "[resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan, resourceVersionMatch: Unsupported value: \"Exact\": supported values: \"NotOlderThan\"]",
        ),
    ] {
        let refused = bench.ask(&format!("GET {CONFIG_MAPS}?{query}")).expect(422);
        assert_eq!(refused.message(), format!("{forbidden}{message}"), "{query}");
    }
    let future = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=999999";
    let refused = bench.ask(&format!("GET {CONFIG_MAPS}?{future}")).expect(504);
    assert!(refused.message().contains("Too large resource version: 999999, current: "), "{}", refused.message());
}
