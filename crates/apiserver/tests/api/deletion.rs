//! Delete and deletecollection.

use serde_json::{Value, json};

use crate::bench::{Bench, CONFIG_MAPS, DEPLOYMENTS, PODS, config_map, deployment, pod};

fn bound_pod(bench: &Bench, name: &str) {
    bench.tell(&format!("POST {PODS}"), &pod(name)).expect(201);
    let binding = json!({"target": {"kind": "Node", "name": "n1"}});
    bench.tell(&format!("POST {PODS}/{name}/binding"), &binding).expect(201);
}

#[test]
fn what_is_gone_is_answered_with_a_status() {
    let bench = Bench::new();
    let created = bench.tell(&format!("POST {CONFIG_MAPS}"), &config_map("a")).expect(201);
    let deleted = bench.ask(&format!("DELETE {CONFIG_MAPS}/a")).expect(200).json();
    assert_eq!(deleted["status"], json!("Success"));
    assert_eq!(deleted["details"], json!({"name": "a", "kind": "configmaps", "uid": created.at("/metadata/uid")}));
    bench.ask(&format!("DELETE {CONFIG_MAPS}/a")).expect(404);
}

#[test]
fn options_that_cannot_be_read_delete_nothing() {
    let bench = Bench::new();
    bench.tell(&format!("POST {CONFIG_MAPS}"), &config_map("a")).expect(201);
    let delete = |options: Value| bench.tell(&format!("DELETE {CONFIG_MAPS}/a"), &options);
    for options in [
        json!({"dryRun": "All"}),
        json!({"gracePeriodSeconds": "0"}),
        json!({"preconditions": "x"}),
        json!({"propagationPolicy": 1}),
        json!([]),
        json!("x"),
    ] {
        delete(options).expect(400);
    }
    let other = delete(json!({"dryRun": ["Some"]})).expect(422);
    let message =
        "DeleteOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: \"Some\": supported values: \"All\"";
    assert_eq!(other.message(), message);
    delete(json!({"dryRun": ["All"]})).expect(200);
    bench.ask(&format!("GET {CONFIG_MAPS}/a")).expect(200);
}

#[test]
fn preconditions_hold_or_nothing_happens() {
    let bench = Bench::new();
    let created = bench.tell(&format!("POST {CONFIG_MAPS}"), &config_map("a")).expect(201);
    let line = format!("DELETE {CONFIG_MAPS}/a");
    let other = bench.tell(&line, &json!({"preconditions": {"uid": "other"}})).expect(409);
    let uid = created.at("/metadata/uid").as_str().unwrap().to_owned();
    assert_eq!(
        other.message(),
        format!(
            "Operation cannot be fulfilled on configmaps \"a\": Precondition failed: UID in precondition: other, UID in object meta: {uid}"
        )
    );
    bench.tell(&line, &json!({"preconditions": {"resourceVersion": "1"}})).expect(409);
    let right = json!({"preconditions": {"uid": uid, "resourceVersion": created.at("/metadata/resourceVersion")}});
    bench.tell(&line, &right).expect(200);
}

#[test]
fn finalizers_keep_an_object_until_they_are_gone() {
    let bench = Bench::new();
    let mut object = config_map("a");
    object["metadata"]["finalizers"] = json!(["example.com/one", "example.com/two"]);
    bench.tell(&format!("POST {CONFIG_MAPS}"), &object).expect(201);
    let path = format!("{CONFIG_MAPS}/a");
    let pending = bench.ask(&format!("DELETE {path}")).expect(200);
    assert_eq!(pending.at("/metadata/deletionTimestamp"), json!("2026-01-01T00:00:00Z"));
    assert_eq!(pending.at("/metadata/deletionGracePeriodSeconds"), json!(0));
    let revision = bench.store.revision();
    bench.ask(&format!("DELETE {path}")).expect(200);
    assert_eq!(bench.store.revision(), revision, "being deleted already");
    let more = json!({"metadata": {"finalizers": ["example.com/one", "example.com/three"]}});
    let refused = bench.patch(&path, "merge-patch+json", &more).expect(422).message();
    assert!(refused.contains("no new finalizers can be added if the object is being deleted"), "{refused}");
    let mut watch = bench.watch(&format!("GET {CONFIG_MAPS}?watch=1&resourceVersion={revision}"));
    bench.patch(&path, "merge-patch+json", &json!({"metadata": {"finalizers": ["example.com/one"]}})).expect(200);
    bench.patch(&path, "merge-patch+json", &json!({"metadata": {"finalizers": null}})).expect(200);
    bench.ask(&format!("GET {path}")).expect(404);
    assert_eq!(watch.names(), ["MODIFIED a", "DELETED a"]);
}

#[test]
fn pods_have_their_grace() {
    let bench = Bench::new();
    bench.tell(&format!("POST {PODS}"), &pod("unbound")).expect(201);
    bench.ask(&format!("DELETE {PODS}/unbound")).expect(200);
    bench.ask(&format!("GET {PODS}/unbound")).expect(404);
    bound_pod(&bench, "a");
    let path = format!("{PODS}/a");
    let pending = bench.ask(&format!("DELETE {path}")).expect(200);
    assert_eq!(pending.at("/metadata/deletionTimestamp"), json!("2026-01-01T00:00:30Z"));
    assert_eq!(pending.at("/metadata/deletionGracePeriodSeconds"), json!(30));
    bench.pass(5);
    let longer = bench.ask(&format!("DELETE {path}?gracePeriodSeconds=60")).expect(200);
    assert_eq!(longer.at("/metadata/deletionGracePeriodSeconds"), json!(30), "grace is only shortened");
    let shorter = bench.tell(&format!("DELETE {path}"), &json!({"gracePeriodSeconds": 10})).expect(200);
    assert_eq!(shorter.at("/metadata/deletionTimestamp"), json!("2026-01-01T00:00:10Z"));
    // The kubelet, when the containers have stopped.
    bench.tell(&format!("DELETE {path}"), &json!({"gracePeriodSeconds": 0})).expect(200);
    bench.ask(&format!("GET {path}")).expect(404);
}

#[test]
fn what_deletes_says_nothing_else() {
    let bench = Bench::new();
    bench.tell(&format!("POST {CONFIG_MAPS}"), &config_map("a")).expect(201);
    let delete = |body: &Value| bench.tell(&format!("DELETE {CONFIG_MAPS}/a"), body);
    let other = delete(&config_map("a")).expect(400);
    assert!(other.message().starts_with("no kind \"ConfigMap\" is registered for version \"v1\" in scheme"));
    let other = delete(&json!({"apiVersion": "v1", "kind": "Status"})).expect(400);
    assert_eq!(other.message(), "decoded object cannot be converted to DeleteOptions");
    delete(&json!({"apiVersion": "apps/v1", "kind": "DeleteOptions"})).expect(200);
}

#[test]
fn propagation_becomes_a_finalizer() {
    let bench = Bench::new();
    for (policy, finalizers) in
        [("Foreground", json!(["foregroundDeletion"])), ("Orphan", json!(["orphan"])), ("Background", Value::Null)]
    {
        bench.tell(&format!("POST {DEPLOYMENTS}"), &deployment("web")).expect(201);
        let path = format!("{DEPLOYMENTS}/web");
        bench.tell(&format!("DELETE {path}"), &json!({"propagationPolicy": policy})).expect(200);
        let left = bench.ask(&format!("GET {path}"));
        assert_eq!(left.at("/metadata/finalizers"), finalizers, "{policy}");
        if left.code == 200 {
            bench.patch(&path, "merge-patch+json", &json!({"metadata": {"finalizers": null}})).expect(200);
        }
        bench.ask(&format!("GET {path}")).expect(404);
    }
    let other = bench.tell(&format!("DELETE {DEPLOYMENTS}/web"), &json!({"propagationPolicy": "X"})).expect(422);
    assert!(other.message().contains("propagationPolicy: Unsupported value: \"X\""));
}

#[test]
fn namespaces_go_in_two_steps_and_refuse_new_content() {
    let bench = Bench::new();
    let namespace = json!({"metadata": {"name": "team"}});
    bench.tell("POST /api/v1/namespaces", &namespace).expect(201);
    let pending = bench.ask("DELETE /api/v1/namespaces/team").expect(200);
    assert_eq!(pending.at("/status/phase"), json!("Terminating"));
    let refused = bench.tell("POST /api/v1/namespaces/team/configmaps", &config_map("a")).expect(403);
    assert_eq!(
        refused.message(),
        "configmaps \"a\" is forbidden: unable to create new content in namespace team because it is being terminated"
    );
    let mut finalized = pending.json();
    finalized["spec"]["finalizers"] = json!([]);
    bench.tell("PUT /api/v1/namespaces/team/finalize", &finalized).expect(200);
    bench.ask("GET /api/v1/namespaces/team").expect(404);
    let immortal = bench.ask("DELETE /api/v1/namespaces/default").expect(403);
    assert_eq!(immortal.message(), "namespaces \"default\" is forbidden: this namespace may not be deleted");
}

#[test]
fn collections_are_deleted_by_selector() {
    let bench = Bench::new();
    for (name, label) in [("a", "x"), ("b", "y"), ("c", "x")] {
        let mut object = config_map(name);
        object["metadata"]["labels"] = json!({"l": label});
        bench.tell(&format!("POST {CONFIG_MAPS}"), &object).expect(201);
    }
    let deleted = bench.ask(&format!("DELETE {CONFIG_MAPS}?labelSelector=l%3Dx")).expect(200);
    assert_eq!(deleted.at("/kind"), json!("ConfigMapList"));
    assert_eq!(deleted.at("/items").as_array().unwrap().len(), 2);
    let left = bench.ask(&format!("GET {CONFIG_MAPS}")).expect(200);
    assert_eq!(left.at("/items/0/metadata/name"), json!("b"));
}
