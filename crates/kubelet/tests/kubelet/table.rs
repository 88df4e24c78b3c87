//! Every probe with every restart policy and every hook, against what upstream documents.

use serde_json::{Value, json};

use crate::common::Bed;

/// What a probe does from the start.
const PROBES: [(&str, bool); 7] = [
    ("", true),
    ("livenessProbe", true),
    ("livenessProbe", false),
    ("readinessProbe", true),
    ("readinessProbe", false),
    ("startupProbe", true),
    ("startupProbe", false),
];
/// A hook, and whether it succeeds.
const HOOKS: [(&str, bool); 5] =
    [("", true), ("postStart", true), ("postStart", false), ("preStop", true), ("preStop", false)];
const POLICIES: [&str; 3] = ["Always", "OnFailure", "Never"];

/// How a probe asks.
fn handlers() -> [Value; 4] {
    [
        json!({"httpGet": {"port": 80, "path": "/"}}),
        json!({"tcpSocket": {"port": 80}}),
        json!({"exec": {"command": ["probe"]}}),
        json!({"grpc": {"port": 80, "service": "/"}}),
    ]
}

#[test]
fn every_probe_with_every_restart_policy_and_every_hook() {
    for (probe, healthy) in PROBES {
        for (hook, works) in HOOKS {
            for policy in POLICIES {
                for handler in handlers() {
                    check(probe, healthy, hook, works, policy, handler);
                }
            }
        }
    }
}

fn check(probe: &str, healthy: bool, hook: &str, works: bool, policy: &str, handler: Value) {
    let case = format!("{probe} {healthy}, {hook} {works}, {policy}, {handler}");
    let tcp = handler.get("tcpSocket").is_some();
    let mut bed = Bed::new();
    {
        let mut world = bed.world.0.borrow_mut();
        if healthy || !tcp {
            world.http.insert((80, "/".into()), if healthy { 200 } else { 500 });
        }
        world.commands.insert("probe".into(), i32::from(!healthy));
        world.commands.insert("hook".into(), i32::from(!works));
    }
    let mut app = json!({"name": "app", "image": "app:1"});
    if !probe.is_empty() {
        app[probe] = handler;
        app[probe]["periodSeconds"] = 2.into();
        app[probe]["failureThreshold"] = 2.into();
    }
    if !hook.is_empty() {
        app["lifecycle"] = json!({hook: {"exec": {"command": ["hook"]}}});
    }
    bed.create("web", json!({"restartPolicy": policy, "terminationGracePeriodSeconds": 2, "containers": [app]}));
    bed.run(8);
    let summary = bed.summary("web");
    let events = bed.events();
    let told = |text: &str| events.iter().any(|event| event.contains(text));
    // A failed postStart hook ends the container, and so do two failures of liveness or startup probes.
    let hook_kills = hook == "postStart" && !works;
    let probe_kills = !healthy && matches!(probe, "livenessProbe" | "startupProbe");
    // The killed process ends well (the plan's SIGTERM handler exits with 0): only Always restarts it.
    match (hook_kills || probe_kills, policy) {
        (false, _) => {
            let ready = if probe == "readinessProbe" && !healthy { "unready" } else { "ready" };
            assert_eq!(summary, format!("Running, app: running {ready} 0"), "{case}");
        }
        (true, "Always") => {
            assert!(summary.starts_with("Running, app: ") && !summary.ends_with(" 0"), "{case}: {summary}");
        }
        (true, _) => assert_eq!(summary, "Succeeded, app: Completed(0) unready 0", "{case}"),
    }
    assert_eq!(told("FailedPostStartHook"), hook_kills, "{case} {events:?}");
    if !hook_kills {
        assert_eq!(told("Unhealthy"), !healthy, "{case} {events:?}");
        assert_eq!(told("probe, will be restarted"), probe_kills, "{case} {events:?}");
    }
    // preStop runs before every end that is not the process' own, and its failure is told.
    if hook == "preStop" && probe_kills {
        let log = bed.world.log();
        let (ran, stopped) =
            (log.iter().position(|l| l == "exec hook"), log.iter().position(|l| l.starts_with("stop app")));
        assert!(ran < stopped && ran.is_some(), "{case} {log:?}");
        assert_eq!(told("FailedPreStopHook"), !works, "{case}");
    }
    bed.api.delete_pod("web", bed.now, 2);
    bed.run(6);
    assert_eq!(bed.summary("web"), "gone", "{case}");
}
