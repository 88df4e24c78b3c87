//! What holds whatever is written: applying twice is applying once, managers own what is there, a chunked
//! list is the list, and a watch replays the history.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::bench::{Answer, Bench, CONFIG_MAPS, DEPLOYMENTS, config_map, item};

const WEB: &str = "/apis/apps/v1/namespaces/default/deployments/web";

/// A Deployment with some of the fields one can apply.
fn config() -> impl Strategy<Value = Value> {
    let text = prop::sample::select(vec!["a", "b", "c"]);
    let map = || prop::collection::btree_map(text.clone(), prop::sample::select(vec!["1", "2"]), 0..3);
    let variables = prop::collection::btree_map(prop::sample::select(vec!["X", "Y", "Z"]), "[a-c]{0,2}", 0..3);
    let ports = prop::collection::btree_set(80..84u16, 0..3);
    let container = (variables, ports, prop::option::of(text.clone())).prop_map(|(variables, ports, image)| {
        let variables: Vec<Value> =
            variables.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
        let ports: Vec<Value> = ports.iter().map(|port| json!({"containerPort": port, "protocol": "TCP"})).collect();
        json!({"image": image.unwrap_or("nginx"), "env": variables, "ports": ports})
    });
    let containers = prop::collection::btree_map(text.clone(), container, 1..3);
    (map(), map(), containers, prop::option::of(0..4u8), prop::option::of(prop::bool::ANY)).prop_map(
        |(labels, annotations, containers, replicas, paused)| {
            let containers: Vec<Value> = containers
                .into_iter()
                .map(|(name, mut container)| {
                    container["name"] = name.into();
                    // An empty list and none are not the same to who applies them.
                    container
                        .as_object_mut()
                        .unwrap()
                        .retain(|_, value| value.as_array().is_none_or(|list| !list.is_empty()));
                    container
                })
                .collect();
            let mut config = json!({
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": "web"},
                "spec": {
                    "selector": {"matchLabels": {"app": "web"}},
                    "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": containers}},
                },
            });
            for (name, map) in [("labels", labels), ("annotations", annotations)] {
                if !map.is_empty() {
                    config["metadata"][name] = json!(map);
                }
            }
            if let Some(replicas) = replicas {
                config["spec"]["replicas"] = replicas.into();
            }
            if let Some(paused) = paused {
                config["spec"]["paused"] = paused.into();
            }
            config
        },
    )
}

fn apply(bench: &Bench, manager: &str, config: &Value) -> Answer {
    let line = format!("PATCH {WEB}?fieldManager={manager}&force=true\ncontent-type: application/apply-patch+yaml");
    bench.tell(&line, config)
}

/// Whether everything of `part` is in `whole`; items of lists by their names or ports.
fn contains(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            part.iter().all(|(key, part)| whole.get(key).is_some_and(|whole| contains(whole, part)))
        }
        (Value::Array(whole), Value::Array(part)) => {
            part.iter().all(|part| whole.iter().any(|whole| contains(whole, part)))
        }
        _ => whole == part || (part == false && whole.is_null()),
    }
}

/// Fields as `fieldsV1` names them that the object has not.
fn missing(fields: &Map<String, Value>, object: &Value, at: &str, found: &mut Vec<String>) {
    for (step, below) in fields {
        let target = match step.split_once(':') {
            Some(("f", name)) => object.get(name).cloned(),
            Some(("k", keys)) => {
                let keys: Value = serde_json::from_str(keys).unwrap();
                object.as_array().and_then(|items| items.iter().find(|item| contains(item, &keys)).cloned())
            }
            Some(("v", value)) => {
                let value: Value = serde_json::from_str(value).unwrap();
                object.as_array().and_then(|items| items.iter().find(|item| **item == value).cloned())
            }
            _ => Some(object.clone()),
        };
        match target {
            Some(target) => missing(below.as_object().unwrap(), &target, &format!("{at}/{step}"), found),
            None => found.push(format!("{at}/{step}")),
        }
    }
}

/// Nobody owns what is not there, nothing, or twice.
fn check_managers(object: &Value) {
    let mut seen = Vec::new();
    for entry in object["metadata"]["managedFields"].as_array().into_iter().flatten() {
        let fields = entry["fieldsV1"].as_object().unwrap();
        assert!(!fields.is_empty(), "an entry without fields: {object:#}");
        let mut found = Vec::new();
        missing(fields, object, "", &mut found);
        // False, zero and empty are left out of JSON.
        found.retain(|field| !field.ends_with("f:paused") && !field.ends_with("f:value"));
        assert!(found.is_empty(), "{} owns what is not there: {found:?}\n{object:#}", entry["manager"]);
        let who = [&entry["manager"], &entry["operation"], &entry["subresource"]].map(Value::to_string).concat();
        assert!(!seen.contains(&who), "two entries of {who}");
        seen.push(who);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn applying_twice_is_applying_once(first in config(), second in config()) {
        let bench = Bench::new();
        apply(&bench, "me", &first).expect(201);
        let applied = apply(&bench, "me", &second).expect(200).json();
        prop_assert!(contains(&applied, &second), "{second:#}\nis not in\n{applied:#}");
        let again = apply(&bench, "me", &second).expect(200).json();
        prop_assert_eq!(&again, &applied);
        check_managers(&applied);
        // What was given up is gone: a fresh object of the second configuration has the same spec.
        bench.ask(&format!("DELETE {WEB}?propagationPolicy=Background")).expect(200);
        let fresh = apply(&bench, "me", &second).expect(201).json();
        prop_assert_eq!(&fresh["spec"], &applied["spec"]);
        prop_assert_eq!(&fresh["metadata"]["labels"], &applied["metadata"]["labels"]);
        // A client that sends back what it got changes nothing.
        let sent_back = bench.tell(&format!("PUT {WEB}"), &fresh).expect(200).json();
        prop_assert_eq!(sent_back, fresh);
    }

    #[test]
    fn managers_own_what_is_there(steps in prop::collection::vec((0..5usize, 0..3usize, config()), 1..12)) {
        let bench = Bench::new();
        apply(&bench, "m0", &steps[0].2).expect(201);
        for (kind, manager, config) in &steps {
            let line = format!("{WEB}?fieldManager=m{manager}");
            let answer = match kind {
                0 => apply(&bench, &format!("m{manager}"), config),
                1 => bench.patch(&line, "merge-patch+json", config),
                2 => bench.patch(&line, "strategic-merge-patch+json", config),
                3 => bench.patch(&line, "json-patch+json", &json!([
                    {"op": "add", "path": "/metadata/labels", "value": config["metadata"].get("labels").cloned().unwrap_or(json!({}))},
                    {"op": "replace", "path": "/spec/template/spec/containers", "value": config["spec"]["template"]["spec"]["containers"]},
                ])),
                _ => bench.tell(&format!("PUT {line}"), config),
            };
            prop_assert!(matches!(answer.code, 200 | 422), "{}", answer.text);
            check_managers(&bench.ask(&format!("GET {WEB}")).expect(200).json());
        }
    }

    #[test]
    fn a_list_and_its_watch_make_the_newest_list(
        steps in prop::collection::vec((0..4usize, 0..3usize, prop::bool::ANY), 1..20),
        begin in any::<prop::sample::Index>(),
        compacted in any::<prop::sample::Index>(),
    ) {
        let bench = Bench::new();
        let mut versions = vec![bench.store.revision()];
        for (name, action, labelled) in &steps {
            let mut object = config_map(&format!("c{name}"));
            object["metadata"]["labels"] = json!({"chosen": labelled.to_string()});
            let line = format!("{CONFIG_MAPS}/c{name}");
            let _ = match action {
                0 => bench.ask(&format!("DELETE {line}")),
                1 => bench.tell(&format!("PUT {line}"), &object),
                _ => bench.tell(&format!("POST {CONFIG_MAPS}"), &object),
            };
            versions.push(bench.store.revision());
        }
        let items = |query: &str| {
            let list = bench.ask(&format!("GET {CONFIG_MAPS}?{query}")).expect(200).json();
            let items = list["items"].as_array().unwrap().clone();
            items.into_iter().map(|item| (item["metadata"]["name"].to_string(), item)).collect::<BTreeMap<_, _>>()
        };
        let version = versions[begin.index(versions.len())];
        for selector in ["", "labelSelector=chosen%3Dtrue"] {
            let mut seen = items(&format!("resourceVersion={version}&resourceVersionMatch=Exact&{selector}"));
            let mut watch = bench.watch(&format!("GET {CONFIG_MAPS}?watch=1&resourceVersion={version}&{selector}"));
            let mut newest = version;
            for (kind, object) in watch.events() {
                let revision: i64 = object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
                prop_assert!(revision > newest, "each event has a revision of its own");
                newest = revision;
                let name = object["metadata"]["name"].to_string();
                let object = item(object);
                match kind.as_str() {
                    "ADDED" => prop_assert!(seen.insert(name, object).is_none()),
                    "MODIFIED" => prop_assert!(seen.insert(name, object).is_some()),
                    _ => prop_assert!(seen.remove(&name).is_some()),
                }
            }
            prop_assert_eq!(&seen, &items(selector), "from {}", version);
        }
        // What is compacted is gone, and said to be.
        let compact = versions[compacted.index(versions.len())];
        if bench.store.compact(compact).is_ok() {
            let first = bench.watch(&format!("GET {CONFIG_MAPS}?watch=1&resourceVersion={version}")).events();
            let gone = first.first().is_some_and(|(kind, status)| kind == "ERROR" && status["code"] == 410);
            prop_assert_eq!(gone, version < compact);
        }
    }

    #[test]
    fn chunks_make_the_list(count in 0..30usize, limit in 1..12usize) {
        let bench = Bench::new();
        for index in 0..count {
            bench.tell(&format!("POST {CONFIG_MAPS}"), &config_map(&format!("c{index}"))).expect(201);
        }
        let whole = bench.ask(&format!("GET {CONFIG_MAPS}")).expect(200).json();
        let (mut items, mut token) = (Vec::new(), String::new());
        loop {
            let page = bench.ask(&format!("GET {CONFIG_MAPS}?limit={limit}&continue={token}")).expect(200).json();
            let page_items = page["items"].as_array().unwrap();
            prop_assert!(page_items.len() <= limit);
            items.extend(page_items.iter().cloned());
            token = page["metadata"]["continue"].as_str().unwrap_or_default().to_owned();
            if token.is_empty() {
                break;
            }
            prop_assert_eq!(page["metadata"]["remainingItemCount"].as_u64().unwrap() as usize, count - items.len());
            // What is made meanwhile belongs to no chunk.
            bench.tell(&format!("POST {DEPLOYMENTS}?dryRun=All"), &json!({})).expect(422);
            bench.tell(&format!("POST {CONFIG_MAPS}"), &config_map(&format!("z{}", items.len()))).expect(201);
        }
        prop_assert_eq!(&Value::Array(items), &whole["items"]);
    }

    #[test]
    fn any_token_is_a_list_or_an_error(token: String, number: i64, start: String) {
        use base64::Engine;
        let bench = Bench::new();
        let made = json!({"v": "meta.k8s.io/v1", "rv": number, "start": start}).to_string();
        let made = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(made);
        for token in [token, made] {
            let token: String = form_urlencoded::byte_serialize(token.as_bytes()).collect();
            let code = bench.ask(&format!("GET {CONFIG_MAPS}?limit=3&continue={token}")).code;
            prop_assert!(matches!(code, 200 | 400 | 410 | 504), "{code}");
        }
    }

    #[test]
    fn any_patch_is_applied_or_refused(kind in 0..4usize, text in "[\\[\\]{}\":,a-z0-9$/~. -]{0,60}") {
        let bench = Bench::new();
        bench.tell(&format!("POST {CONFIG_MAPS}"), &config_map("a")).expect(201);
        let kinds = ["json-patch+json", "merge-patch+json", "strategic-merge-patch+json", "apply-patch+yaml"];
        let line = format!("PATCH {CONFIG_MAPS}/a?fieldManager=me\ncontent-type: application/{}", kinds[kind]);
        let answer = bench.tell_text(&line, &text);
        // Upstream answers 500 to an apply of fields that a kind has not.
        let unknown_field = answer.message().starts_with("failed to create typed patch object");
        prop_assert!((200..500).contains(&answer.code) || unknown_field, "{}", answer.text);
    }
}
