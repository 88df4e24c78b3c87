//! Probes and hooks, over every outcome that upstream documents.

use crate::common::{Bed, Plan};
use serde_json::{Value, json};

fn http(port: u16) -> Value {
    json!({"httpGet": {"path": "/", "port": port}, "periodSeconds": 5, "failureThreshold": 2})
}

fn pod(policy: &str, probes: &[(&str, Value)]) -> Value {
    let mut container = json!({"name": "app", "image": "app:1"});
    for (name, probe) in probes {
        container[*name] = probe.clone();
    }
    json!({"restartPolicy": policy, "terminationGracePeriodSeconds": 1, "containers": [container]})
}

/// What a pod looks like after 20 s, by restart policy, the probe that is there, and whether it answers.
#[test]
fn what_becomes_of_a_pod_by_restart_policy_and_probe() {
    let table = [
        // policy, probe, answer, outcome
        ("Always", "readinessProbe", Some(200), "Running, app: running ready 0"),
        ("Always", "readinessProbe", Some(500), "Running, app: running unready 0"),
        ("Always", "readinessProbe", None, "Running, app: running unready 0"),
        ("Never", "readinessProbe", Some(500), "Running, app: running unready 0"),
        ("Always", "livenessProbe", Some(200), "Running, app: running ready 0"),
        // Fails at 0 and 5 s, is gone at 7 s and restarted; again at 14 s, and now waits until 24 s.
        ("Always", "livenessProbe", Some(500), "Running, app: CrashLoopBackOff unready 1"),
        ("OnFailure", "livenessProbe", None, "Running, app: CrashLoopBackOff unready 1"),
        ("Never", "livenessProbe", Some(500), "Failed, app: Error(137) unready 0"),
        ("Always", "startupProbe", Some(200), "Running, app: running ready 0"),
        ("Always", "startupProbe", Some(503), "Running, app: CrashLoopBackOff unready 1"),
        ("Never", "startupProbe", None, "Failed, app: Error(137) unready 0"),
    ];
    for (policy, probe, answer, outcome) in table {
        let mut bed = Bed::new();
        bed.world.plan("app", [Plan { exits: None, term: None }]);
        if let Some(status) = answer {
            bed.world.0.borrow_mut().http.insert((80, "/".into()), status);
        }
        bed.create("web", pod(policy, &[(probe, http(80))]));
        bed.run(20);
        assert_eq!(bed.summary("web"), outcome, "{policy} {probe} {answer:?}");
    }
}

#[test]
fn messages_of_failed_probes() {
    let mut bed = Bed::new();
    bed.world.0.borrow_mut().http.insert((81, "/".into()), 500);
    bed.world.0.borrow_mut().commands.insert("check".into(), 1);
    for (name, probe) in [
        ("refused", http(80)),
        ("status", http(81)),
        ("tcp", json!({"tcpSocket": {"port": 9}})),
        ("exec", json!({"exec": {"command": ["check"]}})),
    ] {
        bed.create(name, pod("Always", &[("readinessProbe", probe)]));
    }
    bed.run(2);
    let events = bed.events();
    let unhealthy: Vec<_> =
        events.iter().filter_map(|event| event.strip_prefix("Unhealthy Readiness probe ")).collect();
    for message in ["failed: HTTP probe failed with statuscode: 500", "failed: said so"] {
        assert!(unhealthy.contains(&message), "{unhealthy:#?}");
    }
    let ends = |end: &str| unhealthy.iter().any(|message| message.ends_with(end));
    assert!(ends(":80: connect: connection refused"), "{unhealthy:#?}");
    assert!(ends(":9: connect: connection refused"), "{unhealthy:#?}");
}

#[test]
fn a_startup_probe_holds_back_the_others() {
    let mut bed = Bed::new();
    bed.create(
        "web",
        pod(
            "Always",
            &[
                ("startupProbe", json!({"httpGet": {"port": 80}, "periodSeconds": 1, "failureThreshold": 60})),
                ("livenessProbe", http(80)),
                ("readinessProbe", http(80)),
            ],
        ),
    );
    bed.run(20);
    assert_eq!(bed.summary("web"), "Running, app: running unready 0");
    bed.world.0.borrow_mut().http.insert((80, "/".into()), 200);
    bed.run(3);
    assert_eq!(bed.summary("web"), "Running, app: running ready 0");
    bed.world.0.borrow_mut().http.clear();
    bed.run(13);
    assert_eq!(bed.summary("web"), "Running, app: running unready 1", "now the liveness probe counts");
}

#[test]
fn a_pod_is_ready_again_when_its_probe_is() {
    let mut bed = Bed::new();
    bed.create("web", pod("Always", &[("readinessProbe", http(80))]));
    for (status, ready) in [(200, "ready"), (404, "unready"), (204, "ready")] {
        bed.world.0.borrow_mut().http.insert((80, "/".into()), status);
        bed.run(11);
        assert_eq!(bed.summary("web"), format!("Running, app: running {ready} 0"));
    }
}

#[test]
fn a_failed_post_start_hook_ends_the_container() {
    let mut bed = Bed::new();
    bed.world.0.borrow_mut().commands.insert("hook".into(), 1);
    let hook = json!({"postStart": {"exec": {"command": ["hook"]}}});
    bed.create("web", pod("Never", &[("lifecycle", hook)]));
    bed.run(5);
    assert!(bed.events().iter().any(|event| event.starts_with("FailedPostStartHook")));
    assert_eq!(bed.summary("web"), "Succeeded, app: Completed(0) unready 0");
}

#[test]
fn a_pre_stop_hook_that_sleeps_is_waited_for() {
    let mut bed = Bed::new();
    let hook = json!({"preStop": {"sleep": {"seconds": 4}}});
    let mut spec = pod("Always", &[("lifecycle", hook)]);
    spec["terminationGracePeriodSeconds"] = 30.into();
    bed.create("web", spec);
    bed.run(2);
    bed.api.delete_pod("web", bed.now, 30);
    bed.run(3);
    assert_eq!(bed.world.running(), ["app"]);
    bed.run(2);
    assert_eq!(bed.summary("web"), "gone");
}
