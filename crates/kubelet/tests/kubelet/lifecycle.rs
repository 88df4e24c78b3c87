//! The life of a pod, told by its status.

use crate::common::{Bed, Plan};
use serde_json::{Value, json};

fn container(name: &str) -> Value {
    json!({"name": name, "image": "app:1"})
}

fn exits(seconds: u64, code: i32) -> Plan {
    Plan { exits: Some((seconds, code)), ..Plan::default() }
}

#[test]
fn a_pod_runs_and_is_removed_with_all_it_had() {
    let mut bed = Bed::new();
    bed.create("web", json!({"containers": [container("app")]}));
    bed.run(5);
    assert_eq!(bed.summary("web"), "Running, app: running ready 0");
    let status = bed.pod("web").unwrap().status.unwrap();
    assert_eq!(status.pod_ip.as_deref(), Some("10.0.0.1"));
    assert_eq!(status.host_ip.as_deref(), Some("192.168.0.1"));
    assert_eq!(status.qos_class.as_deref(), Some("BestEffort"));
    assert_eq!(
        bed.events(),
        [
            "Pulling Pulling image \"app:1\"",
            "Pulled Successfully pulled image \"app:1\" in 0s (0s including waiting). Image size: 5 bytes.",
            "Created Container created",
            "Started Container started",
        ]
    );
    bed.api.delete_pod("web", bed.now, 30);
    bed.run(1);
    assert_eq!(bed.summary("web"), "gone");
    assert!(bed.world.0.borrow().sandboxes.is_empty());
    assert!(bed.world.0.borrow().containers.is_empty());
    assert!(bed.events().contains(&"Killing Stopping container app".into()));
}

#[test]
fn containers_are_made_while_their_sandbox_starts() {
    let mut bed = Bed::new();
    bed.world.0.borrow_mut().sandbox_starts.extend([false, true]);
    bed.create("web", json!({"containers": [container("app")]}));
    bed.run(3);
    let made = |bed: &Bed| bed.world.0.borrow().containers.len();
    assert_eq!((made(&bed), bed.world.running().len()), (1, 0));
    assert_eq!(bed.pod("web").unwrap().status.unwrap().pod_ip, None, "nobody can reach it yet");
    bed.run(4);
    assert_eq!(made(&bed), 0, "what was made in it goes with a sandbox that does not start");
    let failed = "FailedCreatePodSandBox Failed to create pod sandbox: no network";
    assert!(bed.events().contains(&failed.into()), "{:?}", bed.events());
    bed.run(15);
    assert_eq!(bed.summary("web"), "Running, app: running ready 0");
    assert_eq!(made(&bed), 1);
}

#[test]
fn what_cannot_be_removed_is_tried_again() {
    let mut bed = Bed::new();
    bed.create("web", json!({"containers": [container("app")]}));
    bed.run(5);
    bed.world.0.borrow_mut().removals_refused = 2;
    bed.api.delete_pod("web", bed.now, 0);
    bed.run(1);
    assert_eq!(bed.world.0.borrow().sandboxes.len(), 1);
    bed.run(10);
    assert!(bed.world.0.borrow().sandboxes.is_empty());
    assert!(bed.world.0.borrow().containers.is_empty());
}

#[test]
fn what_becomes_of_a_pod_by_restart_policy_and_exit_code() {
    for (policy, code, after_4s, after_16s) in [
        ("Always", 0, "Running, app: CrashLoopBackOff unready 1", "Running, app: CrashLoopBackOff unready 2"),
        ("Always", 3, "Running, app: CrashLoopBackOff unready 1", "Running, app: CrashLoopBackOff unready 2"),
        ("OnFailure", 0, "Succeeded, app: Completed(0) unready 0", "Succeeded, app: Completed(0) unready 0"),
        ("OnFailure", 3, "Running, app: CrashLoopBackOff unready 1", "Running, app: CrashLoopBackOff unready 2"),
        ("Never", 0, "Succeeded, app: Completed(0) unready 0", "Succeeded, app: Completed(0) unready 0"),
        ("Never", 3, "Failed, app: Error(3) unready 0", "Failed, app: Error(3) unready 0"),
    ] {
        let mut bed = Bed::new();
        bed.world.plan("app", [exits(0, code)]);
        bed.create("web", json!({"restartPolicy": policy, "containers": [container("app")]}));
        bed.run(4);
        assert_eq!(bed.summary("web"), after_4s, "{policy} {code}");
        bed.run(12);
        assert_eq!(bed.summary("web"), after_16s, "{policy} {code}");
        let backs_off = bed
            .events()
            .iter()
            .any(|event| event == "BackOff Back-off restarting failed container app in pod web_default(uid-web)");
        assert_eq!(backs_off, after_4s.contains("CrashLoopBackOff"));
    }
}

#[test]
fn restarts_follow_the_back_off() {
    let mut bed = Bed::new();
    bed.world.plan("app", [exits(1, 1)]);
    bed.create("web", json!({"containers": [container("app")]}));
    let mut starts = Vec::new();
    let begin = bed.now;
    let mut seen = 0;
    for _ in 0..700 {
        bed.run(1);
        let count = bed.world.log().iter().filter(|line| *line == "start app").count();
        if count > seen {
            seen = count;
            starts.push(bed.now.duration_since(begin).as_secs());
        }
    }
    // Each run lasts a second; the first restart is immediate (0 and 1 are one look), then 10, 20, 40, …
    // seconds of waiting, at most 300.
    assert_eq!(starts, [1, 12, 33, 74, 155, 316, 617]);
}

#[test]
fn init_containers_run_in_order_and_sidecars_stay() {
    let mut bed = Bed::new();
    bed.world.plan("first", [exits(1, 1), exits(1, 0)]);
    bed.world.plan("second", [exits(2, 0)]);
    bed.world.plan("app", [exits(60, 0)]);
    bed.create(
        "web",
        json!({
            "restartPolicy": "Never",
            "initContainers": [
                container("first"),
                {"name": "side", "image": "app:1", "restartPolicy": "Always"},
                container("second"),
            ],
            "containers": [container("app")],
        }),
    );
    bed.run(5);
    assert_eq!(bed.summary("web").split(',').next(), Some("Failed"), "an init container of a Never pod failed");

    let mut bed = Bed::new();
    bed.world.plan("first", [exits(1, 1), exits(1, 0)]);
    bed.world.plan("second", [exits(2, 0)]);
    bed.world.plan("app", [exits(60, 0)]);
    bed.create(
        "web",
        json!({
            "restartPolicy": "OnFailure",
            "initContainers": [
                container("first"),
                {"name": "side", "image": "app:1", "restartPolicy": "Always"},
                container("second"),
            ],
            "containers": [container("app")],
        }),
    );
    bed.run(3);
    assert_eq!(
        bed.summary("web"),
        "Pending, first: Completed(0) ready 1, side: running ready 0, second: running unready 0, app: PodInitializing unready 0"
    );
    bed.run(10);
    assert_eq!(
        bed.summary("web"),
        "Running, first: Completed(0) ready 1, side: running ready 0, second: Completed(0) ready 0, app: running ready 0"
    );
    bed.run(60);
    assert_eq!(
        bed.summary("web"),
        "Succeeded, first: Completed(0) ready 1, side: Completed(0) unready 0, second: Completed(0) ready 0, app: Completed(0) unready 0"
    );
}

#[test]
fn termination_gives_grace_and_then_kills() {
    let mut bed = Bed::new();
    bed.world.plan("app", [Plan { exits: None, term: None }]);
    let hook = json!({"preStop": {"exec": {"command": ["drain"]}}});
    let mut app = container("app");
    app["lifecycle"] = hook;
    bed.create("web", json!({"containers": [app]}));
    bed.run(2);
    bed.api.delete_pod("web", bed.now, 10);
    bed.run(9);
    assert_eq!(bed.summary("web"), "Running, app: running ready 0");
    bed.run(2);
    assert_eq!(bed.summary("web"), "gone");
    let log = bed.world.log();
    assert!(log.contains(&"exec drain".into()) && log.contains(&"exit app 137".into()), "{log:?}");
}

#[test]
fn images_that_cannot_be_had() {
    let mut bed = Bed::new();
    bed.world.0.borrow_mut().missing.insert("app:1".into());
    bed.create("web", json!({"containers": [container("app")]}));
    bed.run(1);
    assert_eq!(bed.summary("web"), "Pending, app: ErrImagePull unready 0");
    bed.run(5);
    assert_eq!(bed.summary("web"), "Pending, app: ImagePullBackOff unready 0");
    let status = bed.pod("web").unwrap().status.unwrap().container_statuses.unwrap();
    let message = status[0].state.as_ref().unwrap().waiting.as_ref().unwrap().message.clone().unwrap();
    assert_eq!(message, "Back-off pulling image \"app:1\": ErrImagePull: manifest unknown");
    bed.world.0.borrow_mut().missing.clear();
    bed.run(10);
    assert_eq!(bed.summary("web"), "Running, app: running ready 0");

    let mut bed = Bed::new();
    bed.create("never", json!({"containers": [{"name": "a", "image": "x", "imagePullPolicy": "Never"}]}));
    bed.create("bad", json!({"containers": [{"name": "a", "image": "X y"}]}));
    bed.run(1);
    assert_eq!(bed.summary("never"), "Pending, a: ErrImageNeverPull unready 0");
    assert_eq!(bed.summary("bad"), "Pending, a: InvalidImageName unready 0");
}

#[test]
fn a_new_kubelet_takes_over_what_runs() {
    let mut bed = Bed::new();
    bed.create("web", json!({"containers": [container("app")]}));
    bed.create("gone", json!({"containers": [container("old")]}));
    bed.run(2);
    bed.restart();
    bed.api.remove("/api/v1/namespaces/default/pods", "gone");
    bed.run(5);
    assert_eq!(bed.summary("web"), "Running, app: running ready 0");
    assert_eq!(bed.world.running(), ["app"]);
    let starts = bed.world.log().iter().filter(|line| line.starts_with("start")).count();
    assert_eq!(starts, 2, "nothing was started again");
    assert_eq!(bed.world.0.borrow().sandboxes.len(), 1);
}

#[test]
fn a_pod_that_has_ended_stays_so_when_its_containers_are_lost() {
    let mut bed = Bed::new();
    bed.world.plan("app", [exits(1, 3)]);
    bed.create("web", json!({"restartPolicy": "Never", "containers": [container("app")]}));
    bed.run(3);
    let before = bed.pod("web").unwrap().status;
    bed.world.0.borrow_mut().sandboxes.clear();
    bed.world.0.borrow_mut().containers.clear();
    bed.restart();
    bed.run(5);
    assert_eq!(bed.pod("web").unwrap().status, before);
    assert_eq!(bed.world.log().iter().filter(|line| *line == "start app").count(), 1);
}

#[test]
fn containers_that_lost_their_sandbox_and_their_pod_are_removed() {
    let mut bed = Bed::new();
    bed.create("web", json!({"containers": [container("app")]}));
    bed.run(2);
    bed.world.0.borrow_mut().sandboxes.clear();
    bed.restart();
    bed.api.remove("/api/v1/namespaces/default/pods", "web");
    bed.run(40);
    assert!(bed.world.0.borrow().containers.is_empty());
}

#[test]
fn a_sandbox_that_ends_is_made_anew() {
    let mut bed = Bed::new();
    bed.create("web", json!({"containers": [container("app")]}));
    bed.run(2);
    bed.world.end_sandbox();
    bed.run(5);
    assert_eq!(bed.summary("web"), "Running, app: running ready 1");
    assert!(bed.events().contains(&"SandboxChanged Pod sandbox changed, it will be killed and re-created.".into()));
    let ip = bed.pod("web").unwrap().status.unwrap().pod_ip.unwrap();
    assert_ne!(ip, "10.0.0.1");
    bed.api.delete_pod("web", bed.now, 1);
    bed.run(3);
    assert!(bed.world.0.borrow().sandboxes.is_empty());
}

#[test]
fn a_container_killed_behind_its_back_is_started_again() {
    let mut bed = Bed::new();
    bed.create("web", json!({"containers": [container("app")]}));
    bed.run(2);
    bed.world.kill("app", bed.now, 137);
    bed.run(2);
    assert_eq!(bed.summary("web"), "Running, app: running ready 1");
}

#[test]
fn an_api_outage_heals() {
    let mut bed = Bed::new();
    bed.create("web", json!({"containers": [container("app")]}));
    bed.api.down.set(true);
    bed.run(20);
    bed.api.down.set(false);
    bed.run(60);
    assert_eq!(bed.summary("web"), "Running, app: running ready 0");
    bed.api.down.set(true);
    bed.world.kill("app", bed.now, 1);
    bed.run(5);
    bed.api.down.set(false);
    bed.run(5);
    assert_eq!(bed.summary("web"), "Running, app: running ready 1");
}

#[test]
fn idle_costs_next_to_nothing() {
    let mut bed = Bed::new();
    for index in 0..30 {
        bed.create(&format!("web-{index}"), json!({"containers": [container("app")]}));
    }
    bed.run(30);
    bed.api.writes.set(0);
    let polls = bed.polls(600);
    assert!(polls < 80, "{polls} polls in ten minutes");
    assert!(bed.api.writes.get() < 70, "{} writes in ten minutes", bed.api.writes.get());
}

#[test]
fn a_pod_that_does_not_fit_is_refused() {
    let mut bed = Bed::new();
    bed.create("big", json!({"containers": [{"name": "a", "image": "x:1", "resources": {"requests": {"cpu": "5"}}}]}));
    bed.run(1);
    let status = bed.pod("big").unwrap().status.unwrap();
    assert_eq!(status.phase.as_deref(), Some("Failed"));
    assert_eq!(status.reason.as_deref(), Some("OutOfcpu"));
    assert_eq!(
        status.message.as_deref(),
        Some("Pod was rejected: Node didn't have enough resource: cpu, requested: 5000, used: 0, capacity: 4000")
    );
}

#[test]
fn an_active_deadline_ends_the_pod() {
    let mut bed = Bed::new();
    bed.create("web", json!({"activeDeadlineSeconds": 10, "containers": [container("app")]}));
    bed.run(9);
    assert_eq!(bed.summary("web"), "Running, app: running ready 0");
    bed.run(5);
    assert_eq!(bed.summary("web"), "Failed, app: Completed(0) unready 0");
    assert_eq!(bed.pod("web").unwrap().status.unwrap().reason.as_deref(), Some("DeadlineExceeded"));
}
