//! Lists: selectors, chunks, versions.

use serde_json::{Value, json};

use crate::bench::{Answer, Bench, CONFIG_MAPS, PODS, config_map, pod};

fn names(answer: &Answer) -> Vec<String> {
    let items = answer.at("/items");
    let name = |item: &Value| item["metadata"]["name"].as_str().unwrap().to_owned();
    items.as_array().unwrap().iter().map(name).collect()
}

fn with_config_maps(count: usize) -> Bench {
    let bench = Bench::new();
    for number in 0..count {
        let mut object = config_map(&format!("c{number}"));
        object["metadata"]["labels"] = json!({"even": (number % 2 == 0).to_string()});
        bench.tell(&format!("POST {CONFIG_MAPS}"), &object).expect(201);
    }
    bench
}

#[test]
fn selectors_choose() {
    let bench = with_config_maps(4);
    bench.tell(&format!("POST {PODS}"), &pod("p")).expect(201);
    let cases = [
        (CONFIG_MAPS, "labelSelector=even%3Dtrue", vec!["c0", "c2"]),
        (CONFIG_MAPS, "labelSelector=even%20notin%20(true)", vec!["c1", "c3"]),
        (CONFIG_MAPS, "fieldSelector=metadata.name%3Dc3", vec!["c3"]),
        (CONFIG_MAPS, "fieldSelector=metadata.name%3Dc3&labelSelector=even%3Dtrue", vec![]),
        (CONFIG_MAPS, "fieldSelector=metadata.name!%3Dc3", vec!["c0", "c1", "c2"]),
        ("/api/v1/configmaps", "fieldSelector=metadata.namespace%3Dkube-public", vec![]),
        (PODS, "fieldSelector=spec.nodeName%3D", vec!["p"]),
        (PODS, "fieldSelector=status.phase%3DRunning", vec![]),
    ];
    for (path, query, expected) in cases {
        assert_eq!(names(&bench.ask(&format!("GET {path}?{query}")).expect(200)), expected, "{query}");
    }
    for query in ["labelSelector=a%3D%3D%3Db", "fieldSelector=a", "fieldSelector=spec.unknown%3Db"] {
        bench.ask(&format!("GET {PODS}?{query}")).expect(400);
    }
}

#[test]
fn chunks_are_of_one_revision() {
    let bench = with_config_maps(5);
    let first = bench.ask(&format!("GET {CONFIG_MAPS}?limit=2")).expect(200);
    assert_eq!(names(&first), ["c0", "c1"]);
    assert_eq!(first.at("/metadata/remainingItemCount"), json!(3));
    bench.tell(&format!("POST {CONFIG_MAPS}"), &config_map("c2a")).expect(201);
    bench.ask(&format!("DELETE {CONFIG_MAPS}/c3")).expect(200);
    let token = first.at("/metadata/continue").as_str().unwrap().to_owned();
    let second = bench.ask(&format!("GET {CONFIG_MAPS}?limit=2&continue={token}")).expect(200);
    assert_eq!(names(&second), ["c2", "c3"]);
    assert_eq!(second.at("/metadata/resourceVersion"), first.at("/metadata/resourceVersion"));
    let last = second.at("/metadata/continue").as_str().unwrap().to_owned();
    let third = bench.ask(&format!("GET {CONFIG_MAPS}?limit=2&continue={last}")).expect(200);
    assert_eq!((names(&third), third.at("/metadata/continue")), (vec!["c4".to_owned()], Value::Null));
    bench.store.compact(bench.store.revision()).unwrap();
    let expired = bench.ask(&format!("GET {CONFIG_MAPS}?limit=2&continue={token}")).expect(410);
    assert_eq!(expired.at("/reason"), json!("Expired"));
    assert!(expired.message().starts_with("The provided continue parameter is too old"));
    let inconsistent = expired.at("/metadata/continue").as_str().unwrap().to_owned();
    let rest = bench.ask(&format!("GET {CONFIG_MAPS}?continue={inconsistent}")).expect(200);
    assert_eq!(names(&rest), ["c2", "c2a", "c4"]);
    bench.ask(&format!("GET {CONFIG_MAPS}?continue=nonsense")).expect(400);
    let selected = bench.ask(&format!("GET {CONFIG_MAPS}?limit=1&labelSelector=even%3Dtrue")).expect(200);
    assert_eq!((names(&selected), selected.at("/metadata/remainingItemCount")), (vec!["c0".to_owned()], Value::Null));
}

#[test]
fn versions_are_any_exact_or_the_newest() {
    let bench = with_config_maps(1);
    let old = bench.store.revision();
    bench.tell(&format!("POST {CONFIG_MAPS}"), &config_map("c1")).expect(201);
    let new = bench.store.revision();
    let cases = [
        (String::new(), vec!["c0", "c1"], new),
        ("resourceVersion=0".into(), vec!["c0", "c1"], new),
        (format!("resourceVersion={old}"), vec!["c0", "c1"], new),
        (format!("resourceVersion={old}&resourceVersionMatch=NotOlderThan"), vec!["c0", "c1"], new),
        (format!("resourceVersion={old}&resourceVersionMatch=Exact"), vec!["c0"], old),
        (format!("resourceVersion={old}&limit=10"), vec!["c0"], old),
    ];
    for (query, expected, revision) in cases {
        let answer = bench.ask(&format!("GET {CONFIG_MAPS}?{query}")).expect(200);
        assert_eq!(names(&answer), expected, "{query}");
        assert_eq!(answer.at("/metadata/resourceVersion"), json!(revision.to_string()), "{query}");
    }
    let future = bench.ask(&format!("GET {CONFIG_MAPS}?resourceVersion=999")).expect(504);
    assert_eq!(future.message(), format!("Timeout: Too large resource version: 999, current: {new}"));
    for query in [
        "resourceVersionMatch=Exact",
        "resourceVersion=0&resourceVersionMatch=Exact",
        "resourceVersion=1&resourceVersionMatch=No",
    ] {
        bench.ask(&format!("GET {CONFIG_MAPS}?{query}")).expect(422);
    }
    bench.store.compact(new).unwrap();
    bench.ask(&format!("GET {CONFIG_MAPS}?resourceVersion={old}&resourceVersionMatch=Exact")).expect(410);
}

#[test]
fn events_are_selected_by_the_names_of_their_group() {
    let bench = Bench::new();
    let event = json!({
        "metadata": {"name": "e"}, "type": "Normal", "reason": "Test", "message": "m",
        "involvedObject": {"kind": "Pod", "name": "web", "namespace": "default"},
    });
    bench.tell("POST /api/v1/namespaces/default/events", &event).expect(201);
    for (path, field, code) in [
        ("/apis/events.k8s.io/v1/events", "regarding.name", 200),
        ("/apis/events.k8s.io/v1/events", "involvedObject.name", 400),
        ("/api/v1/events", "involvedObject.name", 200),
        ("/api/v1/events", "regarding.name", 400),
    ] {
        for (name, count) in [("web", 1), ("other", 0)] {
            let answer = bench.ask(&format!("GET {path}?fieldSelector={field}%3D{name}")).expect(code);
            if code == 200 {
                assert_eq!(answer.json()["items"].as_array().unwrap().len(), count, "{path} {field} {name}");
            }
        }
    }
}

#[test]
fn what_is_no_number_is_refused() {
    let bench = Bench::new();
    for (query, error) in [
        ("limit=abc", "strconv.ParseInt: parsing \"abc\": invalid syntax"),
        ("limit=99999999999999999999", "strconv.ParseInt: parsing \"99999999999999999999\": value out of range"),
        ("watch=1&timeoutSeconds=x", "strconv.ParseInt: parsing \"x\": invalid syntax"),
    ] {
        assert_eq!(bench.ask(&format!("GET {CONFIG_MAPS}?{query}")).expect(400).message(), error);
    }
}

#[test]
fn items_are_of_their_lists_kind_and_do_not_say_so() {
    let bench = with_config_maps(2);
    let list = bench.ask(&format!("GET {CONFIG_MAPS}")).expect(200).json();
    assert_eq!((&list["kind"], &list["apiVersion"]), (&json!("ConfigMapList"), &json!("v1")));
    for item in list["items"].as_array().unwrap() {
        assert!(item.get("kind").is_none() && item.get("apiVersion").is_none(), "{item}");
        assert!(item["metadata"]["resourceVersion"].is_string());
    }
    let line = format!("GET {CONFIG_MAPS}\naccept: application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1");
    assert_eq!(bench.ask(&line).expect(200).at("/items/0/kind"), "PartialObjectMetadata");
    let mut watch = bench.watch(&format!("GET {CONFIG_MAPS}?watch=1"));
    assert!(watch.events().iter().all(|(_, object)| object["kind"] == "ConfigMap"));
}
