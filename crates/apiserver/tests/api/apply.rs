//! Server-side apply.

use serde_json::{Value, json};

use crate::bench::{Answer, Bench, CONFIG_MAPS, DEPLOYMENTS, deployment};

fn apply(bench: &Bench, path: &str, query: &str, config: &Value) -> Answer {
    bench.patch(&format!("{path}?{query}"), "apply-patch+yaml", config)
}

fn config(data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data})
}

#[test]
fn an_applied_configuration_is_the_managers() {
    let bench = Bench::new();
    let path = format!("{CONFIG_MAPS}/a");
    apply(&bench, &path, "fieldManager=one", &config(json!({"x": "1", "y": "1"}))).expect(201);
    let revision = bench.store.revision();
    bench.pass(60);
    apply(&bench, &path, "fieldManager=one", &config(json!({"x": "1", "y": "1"}))).expect(200);
    assert_eq!(bench.store.revision(), revision, "applying the same changes nothing");
    let left_out = apply(&bench, &path, "fieldManager=one", &config(json!({"x": "1"}))).expect(200);
    assert_eq!(left_out.at("/data"), json!({"x": "1"}));
    let two = apply(&bench, &path, "fieldManager=two", &config(json!({"z": "2"}))).expect(200);
    assert_eq!(two.at("/data"), json!({"x": "1", "z": "2"}));
    let shared = apply(&bench, &path, "fieldManager=two", &config(json!({"z": "2", "x": "1"}))).expect(200);
    assert_eq!(shared.at("/metadata/managedFields").as_array().unwrap().len(), 2);
    let kept = apply(&bench, &path, "fieldManager=two", &config(json!({"z": "2"}))).expect(200);
    assert_eq!(kept.at("/data/x"), json!("1"), "somebody else still owns it");
    bench.patch(&path, "apply-patch+yaml", &config(json!({}))).expect(422);
    let mut unknown = config(json!({}));
    unknown["dat"] = json!({});
    assert_eq!(
        apply(&bench, &path, "fieldManager=two", &unknown).expect(500).message(),
        "failed to create typed patch object (default/a; v1, Kind=ConfigMap): .dat: field not declared in schema"
    );
}

#[test]
fn conflicts_are_named_and_can_be_forced() {
    let bench = Bench::new();
    let path = format!("{DEPLOYMENTS}/web");
    apply(&bench, &path, "fieldManager=one", &deployment("web")).expect(201);
    let mut other = deployment("web");
    other["spec"]["replicas"] = 9.into();
    let conflict = apply(&bench, &path, "fieldManager=two", &other).expect(409);
    assert_eq!(conflict.message(), "Apply failed with 1 conflict: conflict with \"one\": .spec.replicas");
    assert_eq!(conflict.at("/details/causes/0/reason"), json!("FieldManagerConflict"));
    assert_eq!(conflict.at("/details/causes/0/field"), json!(".spec.replicas"));
    other["spec"]["template"]["spec"]["containers"][0]["image"] = "nginx:9".into();
    let conflicts = apply(&bench, &path, "fieldManager=two", &other).expect(409);
    assert_eq!(
        conflicts.message(),
        "Apply failed with 2 conflicts: conflicts with \"one\":\n- .spec.replicas\n- .spec.template.spec.containers[name=\"web\"].image"
    );
    let forced = apply(&bench, &path, "fieldManager=two&force=true", &other).expect(200);
    assert_eq!(forced.at("/spec/replicas"), json!(9));
    let back = apply(&bench, &path, "fieldManager=one", &deployment("web")).expect(409);
    assert!(back.message().contains("\"two\""));
}

#[test]
fn clients_may_hand_fields_to_another_manager() {
    let bench = Bench::new();
    let path = format!("{CONFIG_MAPS}/a");
    bench
        .tell(&format!("POST {CONFIG_MAPS}?fieldManager=kubectl-client-side-apply"), &config(json!({"x": "1"})))
        .expect(201);
    // As kubectl does when it turns to server-side apply.
    let rename = json!([{"op": "replace", "path": "/metadata/managedFields/0/manager", "value": "kubectl"}]);
    let renamed = bench.patch(&format!("{path}?fieldManager=kubectl"), "json-patch+json", &rename).expect(200);
    assert_eq!(renamed.at("/metadata/managedFields/0/manager"), json!("kubectl"));
    let reset = json!({"metadata": {"managedFields": [{}]}});
    let reset = bench.patch(&format!("{path}?fieldManager=x"), "merge-patch+json", &reset).expect(200);
    assert_eq!(reset.at("/metadata/managedFields"), Value::Null);
}

#[test]
fn who_loses_all_fields_is_no_manager_any_more() {
    let bench = Bench::new();
    let path = format!("{CONFIG_MAPS}/a");
    let managers = |answer: &Answer| -> Vec<String> {
        let entries = answer.at("/metadata/managedFields");
        entries.as_array().unwrap().iter().map(|entry| entry["manager"].as_str().unwrap().to_owned()).collect()
    };
    let first = apply(&bench, &path, "fieldManager=first", &config(json!({"k": "1"}))).expect(201);
    assert_eq!(first.at("/metadata/managedFields/0/fieldsV1"), json!({"f:data": {"f:k": {}}}));
    let forced = apply(&bench, &path, "fieldManager=second&force=true", &config(json!({"k": "2"}))).expect(200);
    assert_eq!(managers(&forced), ["second"]);
}

#[test]
fn what_is_emptied_is_given_up_and_no_conflict() {
    let bench = Bench::new();
    let path = format!("{CONFIG_MAPS}/a");
    apply(&bench, &path, "fieldManager=one", &config(json!({"k": "v"}))).expect(201);
    let emptied = apply(&bench, &path, "fieldManager=one", &config(json!({}))).expect(200);
    assert_eq!(emptied.at("/data"), Value::Null);

    let path = format!("{DEPLOYMENTS}/web");
    let mut limited = deployment("web");
    limited["spec"]["template"]["spec"]["containers"][0]["resources"] = json!({"limits": {"cpu": "1"}});
    apply(&bench, &path, "fieldManager=one", &limited).expect(201);
    let mut other = deployment("web");
    other["status"] = json!({});
    other["spec"]["strategy"] = json!({});
    other["spec"]["template"]["spec"]["containers"][0]["resources"] = json!({});
    let second = apply(&bench, &path, "fieldManager=two", &other).expect(200);
    assert_eq!(second.at("/spec/template/spec/containers/0/resources/limits/cpu"), json!("1"));
    assert!(!second.at("/metadata/managedFields").to_string().contains("f:status"));
    let mut put = second.json();
    put["spec"]["template"]["spec"]["containers"][0]["resources"] = json!({});
    let put = bench.tell(&format!("PUT {path}"), &put).expect(200);
    assert!(!put.at("/metadata/managedFields").to_string().contains("f:limits"), "{}", put.text);
}

#[test]
fn a_probe_that_is_given_up_takes_its_defaults_with_it() {
    let bench = Bench::new();
    let path = format!("{DEPLOYMENTS}/web");
    let mut probed = deployment("web");
    probed["spec"]["template"]["spec"]["containers"][0]["livenessProbe"] = json!({"httpGet": {"port": 80}});
    apply(&bench, &path, "fieldManager=one", &probed).expect(201);
    let without = apply(&bench, &path, "fieldManager=one", &deployment("web")).expect(200);
    assert_eq!(without.at("/spec/template/spec/containers/0/livenessProbe"), Value::Null);
}

#[test]
fn an_item_applied_twice_is_refused() {
    let bench = Bench::new();
    let mut twice = deployment("web");
    twice["spec"]["template"]["spec"]["containers"][0]["env"] = json!([{"name": "A"}, {"name": "B"}, {"name": "A"}]);
    let refused = apply(&bench, &format!("{DEPLOYMENTS}/web"), "fieldManager=one", &twice).expect(500);
    assert_eq!(
        refused.message(),
        "failed to create typed patch object (default/web; apps/v1, Kind=Deployment): .spec.template.spec.containers[name=\"web\"].env: duplicate entries for key [name=\"A\"]"
    );
}

#[test]
fn what_was_there_before_the_first_apply_has_a_manager() {
    let bench = Bench::new();
    let path = format!("{CONFIG_MAPS}/a");
    let mut reset = config(json!({"x": "1", "y": "1"}));
    bench.tell(&format!("POST {CONFIG_MAPS}"), &reset).expect(201);
    reset["metadata"]["managedFields"] = json!([{}]);
    let none = bench.tell(&format!("PUT {path}"), &reset).expect(200);
    assert_eq!(none.at("/metadata/managedFields"), Value::Null);
    let merged = bench.patch(&path, "merge-patch+json", &json!({"data": {"z": "1"}})).expect(200);
    assert_eq!(merged.at("/metadata/managedFields"), Value::Null, "nobody asks for managers any more");
    assert_eq!(
        apply(&bench, &path, "fieldManager=one", &config(json!({"x": "2"}))).expect(409).message(),
        "Apply failed with 1 conflict: conflict with \"before-first-apply\" using v1 at 2026-01-01T00:00:00Z: .data.x"
    );
    let applied = apply(&bench, &path, "fieldManager=one", &config(json!({"w": "1"}))).expect(200);
    let managers = applied.at("/metadata/managedFields");
    let name = |at: usize| (managers[at]["manager"].clone(), managers[at]["operation"].clone());
    assert_eq!([name(0), name(1)], [(json!("one"), json!("Apply")), (json!("before-first-apply"), json!("Update"))]);
    assert_eq!(managers[1]["fieldsV1"], json!({"f:data": {".": {}, "f:x": {}, "f:y": {}, "f:z": {}}}));
}

#[test]
fn the_oldest_of_many_updates_become_one() {
    let bench = Bench::new();
    let path = format!("{CONFIG_MAPS}/a");
    bench.tell(&format!("POST {CONFIG_MAPS}?fieldManager=m0"), &config(json!({"k0": "0"}))).expect(201);
    for index in 1..13 {
        bench.pass(1);
        let change = json!({"data": {format!("k{index}"): "1"}});
        bench.patch(&format!("{path}?fieldManager=m{index}"), "merge-patch+json", &change).expect(200);
    }
    let entries = bench.ask(&format!("GET {path}")).at("/metadata/managedFields");
    let names: Vec<&str> = entries.as_array().unwrap().iter().map(|entry| entry["manager"].as_str().unwrap()).collect();
    assert_eq!(names, ["ancient-changes", "m4", "m5", "m6", "m7", "m8", "m9", "m10", "m11", "m12"]);
    assert_eq!(
        entries[0]["fieldsV1"],
        json!({"f:data": {".": {}, "f:k0": {}, "f:k1": {}, "f:k2": {}, "f:k3": {}}}),
        "{entries}"
    );
    assert_eq!(entries[0]["time"], json!("2026-01-01T00:00:03Z"));
}

#[test]
fn kubectl_takes_over_what_it_applied_on_its_own_side() {
    const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";
    let bench = Bench::new();
    let path = format!("{CONFIG_MAPS}/a");
    let mut client_side = config(json!({"x": "1", "y": "1"}));
    let last = client_side.to_string();
    client_side["metadata"]["annotations"] = json!({ANNOTATION: last});
    bench.tell(&format!("POST {CONFIG_MAPS}?fieldManager=kubectl-client-side-apply"), &client_side).expect(201);
    bench.patch(&format!("{path}?fieldManager=edit"), "merge-patch+json", &json!({"data": {"y": "2"}})).expect(200);
    let both = config(json!({"x": "3", "y": "3"}));
    apply(&bench, &path, "fieldManager=other", &config(json!({"x": "3"}))).expect(409);
    let conflict = apply(&bench, &path, "fieldManager=kubectl", &both).expect(409).message();
    assert!(conflict.starts_with("Apply failed with 1 conflict: conflict with \"edit\""), "{conflict}");
    assert!(conflict.ends_with(": .data.y"), "{conflict}");
    let applied = apply(&bench, &path, "fieldManager=kubectl", &config(json!({"x": "3"}))).expect(200);
    assert_eq!(applied.at("/data"), json!({"x": "3", "y": "2"}));
    let kept = applied.at("/metadata/annotations")[ANNOTATION].as_str().unwrap().to_owned();
    let mut expected = config(json!({"x": "3"}));
    expected["metadata"]["namespace"] = "default".into();
    assert_eq!(serde_json::from_str::<Value>(&kept).unwrap(), expected);
}
