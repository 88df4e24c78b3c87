//! Create, get, update, patch.

use serde_json::{Value, json};

use crate::bench::{Bench, CONFIG_MAPS, DEPLOYMENTS, PODS, config_map, deployment, item, pod};

#[test]
fn create_sets_what_the_server_sets() {
    let bench = Bench::new();
    let created = bench.tell(&format!("POST {DEPLOYMENTS}"), &deployment("web")).expect(201);
    for (pointer, expected) in [
        ("/metadata/namespace", json!("default")),
        ("/metadata/creationTimestamp", json!("2026-01-01T00:00:00Z")),
        ("/metadata/generation", json!(1)),
        ("/spec/strategy/type", json!("RollingUpdate")),
        ("/apiVersion", json!("apps/v1")),
    ] {
        assert_eq!(created.at(pointer), expected, "{pointer}");
    }
    assert_eq!(created.at("/metadata/uid").as_str().unwrap().len(), 36);
    let read = bench.ask(&format!("GET {DEPLOYMENTS}/web")).expect(200);
    assert_eq!(read.json(), created.json());
    let listed = bench.ask(&format!("GET {DEPLOYMENTS}")).expect(200);
    assert_eq!(listed.at("/items/0"), item(created.json()));
}

#[test]
fn the_same_requests_give_the_same_bytes() {
    let run = || {
        let bench = Bench::new();
        bench.tell(&format!("POST {PODS}"), &pod("a"));
        bench.tell(&format!("POST {CONFIG_MAPS}"), &json!({"metadata": {"generateName": "x-"}}));
        bench.store.history_hash()
    };
    assert_eq!(run(), run());
}

#[test]
fn what_cannot_be_created_is_refused_in_upstreams_words() {
    let bench = Bench::new();
    bench.tell(&format!("POST {CONFIG_MAPS}"), &config_map("a")).expect(201);
    let cases = [
        (CONFIG_MAPS, config_map("a"), 409, "configmaps \"a\" already exists"),
        (
            CONFIG_MAPS,
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b", "namespace": "other"}}),
            400,
            "the namespace of the provided object does not match the namespace sent on the request",
        ),
        ("/api/v1/namespaces/nope/configmaps", config_map("a"), 404, "namespaces \"nope\" not found"),
        (
            CONFIG_MAPS,
            json!({"apiVersion": "v2", "kind": "ConfigMap", "metadata": {"name": "b"}}),
            400,
            "the API version in the data (v2) does not match the expected API version (v1)",
        ),
        (
            CONFIG_MAPS,
            json!({"metadata": {"name": "b", "resourceVersion": "7"}}),
            500,
            "resourceVersion should not be set on objects to be created",
        ),
        (
            CONFIG_MAPS,
            json!({"metadata": {}}),
            422,
            "ConfigMap \"\" is invalid: metadata.name: Required value: name or generateName is required",
        ),
        (
            DEPLOYMENTS,
            json!({"metadata": {"name": "x"}, "spec": {"replicas": "two"}}),
            400,
            "Deployment in version \"v1\" cannot be handled as a Deployment: json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
    ];
    for (path, body, code, message) in cases {
        let answer = bench.tell(&format!("POST {path}"), &body).expect(code);
        assert_eq!(answer.message(), message);
        assert_eq!((answer.at("/kind"), answer.at("/status")), (json!("Status"), json!("Failure")));
    }
    let name = bench.tell(&format!("POST {CONFIG_MAPS}"), &config_map("A_b")).expect(422).message();
    assert!(name.starts_with(
        "ConfigMap \"A_b\" is invalid: metadata.name: Invalid value: \"A_b\": a lowercase RFC 1123 subdomain"
    ));
    assert_eq!(bench.ask(&format!("GET {CONFIG_MAPS}/b")).expect(404).message(), "configmaps \"b\" not found");
    bench.ask("GET /api/v1/nothing").expect(404);
    bench.ask("GET /apis/nope/v1/pods").expect(404);
    bench.ask("PUT /api/v1/namespaces/default/pods").expect(405);
    bench.ask("GET /api/v1/namespaces/default/pods/a/nothing").expect(404);
}

#[test]
fn names_are_generated() {
    let bench = Bench::new();
    let body = json!({"metadata": {"generateName": "web-"}});
    let names: Vec<Value> =
        (0..20).map(|_| bench.tell(&format!("POST {CONFIG_MAPS}"), &body).expect(201).at("/metadata/name")).collect();
    for name in &names {
        let name = name.as_str().unwrap();
        assert!(name.starts_with("web-") && name.len() == 9, "{name}");
    }
    let distinct: std::collections::BTreeSet<String> = names.iter().map(Value::to_string).collect();
    assert_eq!(distinct.len(), 20);
}

#[test]
fn updates_need_the_newest_version_or_none() {
    let bench = Bench::new();
    let created = bench.tell(&format!("POST {CONFIG_MAPS}"), &config_map("a")).expect(201).json();
    let mut first = created.clone();
    first["data"] = json!({"k": "1"});
    let updated = bench.tell(&format!("PUT {CONFIG_MAPS}/a"), &first).expect(200).json();
    assert_ne!(updated["metadata"]["resourceVersion"], created["metadata"]["resourceVersion"]);
    let stale = bench.tell(&format!("PUT {CONFIG_MAPS}/a"), &first).expect(409);
    assert_eq!(
        stale.message(),
        "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your changes to the latest version and try again"
    );
    assert_eq!(stale.at("/reason"), json!("Conflict"));
    bench.tell(&format!("PUT {CONFIG_MAPS}/a"), &config_map("a")).expect(200);
    let other = bench.tell(&format!("PUT {CONFIG_MAPS}/a"), &config_map("b")).expect(400);
    assert_eq!(other.message(), "the name of the object (b) does not match the name on the URL (a)");
    bench.tell(&format!("PUT {CONFIG_MAPS}/zzz"), &config_map("zzz")).expect(404);
    let mut reborn = config_map("a");
    reborn["metadata"]["uid"] = "other".into();
    assert!(
        bench.tell(&format!("PUT {CONFIG_MAPS}/a"), &reborn).expect(409).message().contains("Precondition failed: UID")
    );
}

#[test]
fn what_changes_nothing_is_not_written() {
    let bench = Bench::new();
    let created = bench.tell(&format!("POST {DEPLOYMENTS}"), &deployment("web")).expect(201).json();
    let revision = bench.store.revision();
    bench.pass(60);
    bench.tell(&format!("PUT {DEPLOYMENTS}/web"), &created).expect(200);
    bench.patch(&format!("{DEPLOYMENTS}/web"), "merge-patch+json", &json!({"spec": {"replicas": 2}})).expect(200);
    assert_eq!(bench.store.revision(), revision);
}

#[test]
fn generation_counts_changes_of_spec_and_status_has_its_own_door() {
    let bench = Bench::new();
    let path = format!("{DEPLOYMENTS}/web");
    let mut object = bench.tell(&format!("POST {DEPLOYMENTS}"), &deployment("web")).expect(201).json();
    object["status"] = json!({"replicas": 9, "readyReplicas": 9});
    object["spec"]["replicas"] = 3.into();
    let spec = bench.tell(&format!("PUT {path}"), &object).expect(200).json();
    assert_eq!((&spec["metadata"]["generation"], &spec["spec"]["replicas"]), (&json!(2), &json!(3)));
    assert_eq!(spec["status"]["replicas"], Value::Null);
    let mut object = spec;
    object["status"] = json!({"replicas": 9});
    object["spec"]["replicas"] = 4.into();
    let status = bench.tell(&format!("PUT {path}/status"), &object).expect(200).json();
    assert_eq!((&status["metadata"]["generation"], &status["spec"]["replicas"]), (&json!(2), &json!(3)));
    assert_eq!(status["status"]["replicas"], json!(9));
    let labels = bench.patch(&path, "merge-patch+json", &json!({"metadata": {"labels": {"a": "b"}}})).expect(200);
    assert_eq!(labels.at("/metadata/generation"), json!(2));
}

#[test]
fn patches_of_each_kind() {
    let bench = Bench::new();
    bench.tell(&format!("POST {DEPLOYMENTS}"), &deployment("web")).expect(201);
    let path = format!("{DEPLOYMENTS}/web");
    let container = json!({"spec": {"template": {"spec": {"containers": [{"name": "web", "image": "nginx:2"}]}}}});
    let strategic = bench.patch(&path, "strategic-merge-patch+json", &container).expect(200);
    assert_eq!(strategic.at("/spec/template/spec/containers/0/image"), json!("nginx:2"));
    assert_eq!(strategic.at("/spec/template/spec/containers/0/ports/0/containerPort"), json!(80));
    let merge = bench.patch(&path, "merge-patch+json", &container).expect(200);
    assert_eq!(merge.at("/spec/template/spec/containers/0/ports"), Value::Null);
    let replace = json!([{"op": "replace", "path": "/spec/replicas", "value": 5}]);
    assert_eq!(bench.patch(&path, "json-patch+json", &replace).expect(200).at("/spec/replicas"), json!(5));
    let failing = json!([{"op": "test", "path": "/spec/replicas", "value": 6}]);
    bench.patch(&path, "json-patch+json", &failing).expect(422);
    let stale = json!({"metadata": {"resourceVersion": "1"}, "spec": {"replicas": 7}});
    bench.patch(&path, "merge-patch+json", &stale).expect(409);
    let renamed = bench.patch(&path, "merge-patch+json", &json!({"metadata": {"name": "other"}})).expect(400);
    assert!(renamed.message().contains("does not match the name on the URL"));
    bench.patch(&path, "json", &json!({})).expect(415);
    bench.patch(&format!("{DEPLOYMENTS}/nope"), "merge-patch+json", &json!({})).expect(404);
    assert_eq!(bench.ask(&format!("GET {path}")).at("/spec/replicas"), json!(5));
}

#[test]
fn a_dry_run_writes_nothing() {
    let bench = Bench::new();
    let revision = bench.store.revision();
    let line = |verb: &str, rest: &str| format!("{verb} {CONFIG_MAPS}{rest}?dryRun=All");
    let created = bench.tell(&line("POST", ""), &config_map("a")).expect(201);
    assert_eq!(created.at("/metadata/name"), json!("a"));
    assert_eq!(bench.store.revision(), revision);
    bench.tell(&format!("POST {CONFIG_MAPS}"), &config_map("a")).expect(201);
    let revision = bench.store.revision();
    bench.tell(&line("PUT", "/a"), &json!({"metadata": {"name": "a"}, "data": {"k": "v"}})).expect(200);
    bench.ask(&line("DELETE", "/a")).expect(200);
    assert_eq!(bench.store.revision(), revision);
    let other = bench.tell(&format!("POST {CONFIG_MAPS}?dryRun=Some"), &config_map("b")).expect(422);
    assert_eq!(
        other.message(),
        "CreateOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: \"Some\": supported values: \"All\""
    );
}

#[test]
fn managers_own_what_they_set() {
    let bench = Bench::new();
    bench.tell(
        &format!("POST {CONFIG_MAPS}?fieldManager=one"),
        &json!({"metadata": {"name": "a"}, "data": {"x": "1", "y": "1"}}),
    );
    bench.pass(60);
    let patch = json!({"data": {"y": "2", "z": "2"}});
    let line = format!("{CONFIG_MAPS}/a?fieldManager=two");
    let answer = bench.patch(&line, "merge-patch+json", &patch).expect(200);
    let managed = answer.at("/metadata/managedFields");
    let fields = |manager: &str| {
        let all = managed.as_array().unwrap();
        all.iter().find(|entry| entry["manager"] == manager).map(|entry| entry["fieldsV1"].clone()).unwrap_or_default()
    };
    assert_eq!(fields("one"), json!({"f:data": {".": {}, "f:x": {}}}));
    assert_eq!(fields("two"), json!({"f:data": {"f:y": {}, "f:z": {}}}));
    assert_eq!(managed[1]["time"], json!("2026-01-01T00:01:00Z"));
    assert_eq!(managed[1]["operation"], json!("Update"));
}

#[test]
fn an_autoscaler_needs_a_policy_where_it_lists_them() {
    let bench = Bench::new();
    let path = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers";
    let autoscaler = |name: &str, rules: Value| {
        json!({"metadata": {"name": name}, "spec": {
            "maxReplicas": 3,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "behavior": {"scaleUp": rules},
        }})
    };
    let refused = bench.tell(&format!("POST {path}"), &autoscaler("a", json!({"policies": []}))).expect(422).message();
    assert!(
        refused.contains("spec.behavior.scaleUp.policies: Required value: must specify at least one Policy"),
        "{refused}"
    );
    let usual = bench.tell(&format!("POST {path}"), &autoscaler("b", json!({"selectPolicy": "Max"}))).expect(201);
    assert!(!usual.at("/spec/behavior/scaleUp/policies").as_array().unwrap().is_empty());
}

/// Schedules and time zones are read where they come in, and refused in upstream's words.
#[test]
fn cron_jobs_with_a_wrong_clock_are_refused() {
    let bench = Bench::new();
    let create = |spec: Value| {
        let mut cron_job = json!({
            "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "report"},
            "spec": {"schedule": "0 3 * * *", "jobTemplate": {"spec": {"template": {"spec": {
                "restartPolicy": "Never", "containers": [{"name": "main", "image": "busybox"}],
            }}}}},
        });
        for (field, value) in spec.as_object().unwrap() {
            cron_job["spec"][field] = value.clone();
        }
        bench.tell("POST /apis/batch/v1/namespaces/default/cronjobs?dryRun=All", &cron_job)
    };
    for zone in ["Europe/Berlin", "Asia/Shanghai", "UTC", "Etc/GMT+3"] {
        create(json!({"timeZone": zone})).expect(201);
    }
    for (spec, complaint) in [
        (
            json!({"timeZone": "Mars/Olympus"}),
            "spec.timeZone: Invalid value: \"Mars/Olympus\": unknown time zone Mars/Olympus",
        ),
        (
            json!({"timeZone": "Local"}),
            "spec.timeZone: Invalid value: \"Local\": timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones",
        ),
        (json!({"timeZone": ""}), "spec.timeZone: Invalid value: \"\": timeZone must be nil or non-empty string"),
        (
            json!({"schedule": "61 * * * *"}),
            "spec.schedule: Invalid value: \"61 * * * *\": end of range (61) above maximum (59): 61",
        ),
        (
            json!({"schedule": "TZ=UTC 0 3 * * *"}),
            "spec.schedule: Invalid value: \"TZ=UTC 0 3 * * *\": cannot use TZ or CRON_TZ in schedule, use timeZone field instead",
        ),
    ] {
        let expected = format!("CronJob.batch \"report\" is invalid: {complaint}");
        assert_eq!(create(spec).expect(422).message(), expected);
    }
}
