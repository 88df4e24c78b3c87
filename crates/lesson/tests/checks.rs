//! When checks hold, and what stands in the places of commands.
#![cfg(feature = "compile")]
#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

use playground_lesson::{Check, View, compile, filled, is_like};
use serde_json::{Value, json};

#[derive(Default)]
struct Cluster {
    live: Vec<(&'static str, Value)>,
    gone: Vec<(&'static str, Value)>,
}

impl View for Cluster {
    fn objects(&self, resource: &str) -> Vec<&Value> {
        self.live.iter().filter(|(name, _)| *name == resource).map(|(_, object)| object).collect()
    }

    fn gone(&self, resource: &str) -> Vec<&Value> {
        self.gone.iter().filter(|(name, _)| *name == resource).map(|(_, object)| object).collect()
    }

    fn reached(&self, part: &str) -> bool {
        part == "service/default/web"
    }

    fn asked(&self, verb: &str, object: &str) -> bool {
        verb == "get" && is_like("pods/default/web-1/log", object)
    }
}

fn check(fence: &str) -> Check {
    let text = format!("---\ntitle: t\nsummary: s\nminutes: 1\n---\n```check\ntext: t\n{fence}\n```\n");
    compile::lesson(&text).unwrap().steps.remove(0).checks.remove(0)
}

fn pod(name: &str, ready: &str) -> (&'static str, Value) {
    let conditions = json!([{"type": "Ready", "status": ready}]);
    ("pods", json!({"metadata": {"name": name, "labels": {"app": "web"}}, "status": {"conditions": conditions}}))
}

#[test]
fn a_replacement_is_a_pod_gone_and_enough_ready() {
    let check = check("resource: pods\nlabels: app=web\nready: true\nleast: 2\ngone: 1");
    let mut cluster = Cluster { live: vec![pod("a", "True"), pod("b", "True")], ..Cluster::default() };
    assert!(!check.holds(&cluster));
    cluster.gone.push(cluster.live.remove(0));
    assert!(!check.holds(&cluster));
    cluster.live.push(pod("c", "False"));
    assert!(!check.holds(&cluster));
    cluster.live.push(pod("d", "True"));
    assert!(check.holds(&cluster));
}

#[test]
fn fields_are_compared() {
    let object = json!({"metadata": {"name": "web-1"}, "spec": {"replicas": 3, "taints": [{"key": "a"}, {"key": "b"}]},
        "message": "0/3 nodes are available"});
    let cluster = Cluster { live: vec![("deployments", object)], ..Cluster::default() };
    for (lines, expected) in [
        ("field: /spec/replicas\nis: 3", true),
        ("field: /spec/replicas\nis: 2", false),
        ("field: /spec/paused\nis:", true),
        ("field: /spec/replicas\nover: 2", true),
        ("field: /spec/replicas\nover: 3", false),
        ("field: /spec/taints/*/key\nis: b", true),
        ("field: /spec/taints/*/key\nis: c", false),
        ("field: /message\nhas: nodes are", true),
        ("field: /message\nhas: pods are", false),
        ("field: /message\nhas: nodes\nfield: /spec/replicas\nis: 4", false),
        ("name: web-*", true),
        ("name: web", false),
    ] {
        assert_eq!(check(&format!("resource: deployments\n{lines}")).holds(&cluster), expected, "{lines}");
    }
}

#[test]
fn requests_are_seen() {
    let cluster = Cluster::default();
    assert!(check("reached: service/default/web").holds(&cluster));
    assert!(!check("reached: service/default/db").holds(&cluster));
    assert!(check("asked: get pods/default/*/log").holds(&cluster));
    assert!(!check("asked: get pods/default/*/exec").holds(&cluster));
}

#[test]
fn places_in_commands_are_filled() {
    let mut cluster = Cluster::default();
    let line = "kubectl delete pod {pods:app=web} -o json{x";
    assert_eq!(filled(line, &cluster), line);
    cluster.live = vec![pod("a", "False"), pod("b", "True")];
    assert_eq!(filled("delete {pods:app=web} -o {.x}", &cluster), "delete b -o {.x}");
}
