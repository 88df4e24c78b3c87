//! Where pods go, why, and what it takes to make room for them.

use std::time::Duration;

use serde_json::{Value, json};

use crate::lab::Lab;
use crate::test;

/// A lab with this many workers beside the control plane.
fn lab(workers: u16) -> Lab {
    Lab::bare(workers + 1)
}

fn apply(lab: &Lab, object: &Value) {
    lab.ok(&format!("echo '{object}' | kubectl apply -f -"));
}

/// A Deployment of a pod that asks for `spec`.
fn deployment(name: &str, replicas: u32, spec: Value) -> Value {
    let mut pod =
        json!({ "terminationGracePeriodSeconds": 1, "containers": [{ "name": "app", "image": "nginx:1.27" }] });
    for (key, value) in spec.as_object().into_iter().flatten() {
        pod[key] = value.clone();
    }
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": name },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { "app": name } },
            "template": { "metadata": { "labels": { "app": name } }, "spec": pod },
        },
    })
}

fn nodes_of(lab: &Lab, selector: &str) -> Vec<String> {
    let line = format!("kubectl get pods -l {selector} -o jsonpath={{.items[*].spec.nodeName}}");
    let mut nodes: Vec<String> = lab.ok(&line).split_whitespace().map(str::to_owned).collect();
    nodes.sort();
    nodes
}

fn failures(lab: &Lab) -> String {
    lab.pass(Duration::from_secs(2));
    lab.ok("kubectl get events --field-selector reason=FailedScheduling -o jsonpath={.items[*].message}")
}

#[test]
fn anti_affinity_keeps_alike_pods_apart_and_says_why() {
    let lab = lab(2);
    let anti = json!({ "affinity": { "podAntiAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": [
        { "topologyKey": "kubernetes.io/hostname", "labelSelector": { "matchLabels": { "app": "web" } } },
    ] } } });
    apply(&lab, &deployment("web", 3, anti));
    lab.until("kubectl get pods", |table| table.matches("1/1").count() == 2);
    assert_eq!(nodes_of(&lab, "app=web"), ["hello-worker", "hello-worker2"]);
    assert_eq!(
        failures(&lab),
        "0/3 nodes are available: 1 node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }, \
         2 node(s) didn't match pod anti-affinity rules. preemption: 0/3 nodes are available: \
         1 Preemption is not helpful for scheduling, 2 No preemption victims found for incoming pod."
    );
    // Others stay away from it as well, though they do not say so themselves.
    apply(
        &lab,
        &json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "twin", "labels": { "app": "web" } },
            "spec": { "containers": [{ "name": "app", "image": "nginx:1.27" }] },
        }),
    );
    assert!(failures(&lab).contains("2 node(s) didn't satisfy existing pods anti-affinity rules"));
    // A pod that goes makes room for one that waits.
    lab.ok("kubectl delete pod twin");
    lab.ok("kubectl scale deployment web --replicas=2");
    lab.until("kubectl get pods", |table| table.lines().count() == 3 && table.matches("1/1").count() == 2);
}

#[test]
fn affinity_brings_pods_together_and_the_first_of_a_group_begins() {
    let lab = lab(3);
    let near = |app: &str| {
        json!({ "affinity": { "podAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": [
            { "topologyKey": "kubernetes.io/hostname", "labelSelector": { "matchLabels": { "app": app } } },
        ] } } })
    };
    apply(&lab, &deployment("group", 4, near("group")));
    lab.until("kubectl get pods", |table| table.matches("1/1").count() == 4);
    let mut nodes = nodes_of(&lab, "app=group");
    nodes.dedup();
    assert_eq!(nodes.len(), 1);
    apply(&lab, &deployment("lonely", 1, near("nobody")));
    assert!(failures(&lab).contains("3 node(s) didn't match pod affinity rules"));
}

#[test]
fn pods_spread_over_zones_as_asked_and_over_nodes_without_being_asked() {
    let lab = lab(3);
    for (node, zone) in [("hello-worker", "a"), ("hello-worker2", "a"), ("hello-worker3", "b")] {
        lab.ok(&format!("kubectl label node {node} topology.kubernetes.io/zone={zone}"));
    }
    let spread = json!({ "topologySpreadConstraints": [{
        "maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": { "matchLabels": { "app": "even" } },
    }] });
    apply(&lab, &deployment("even", 6, spread));
    lab.until("kubectl get pods", |table| table.matches("1/1").count() == 6);
    let nodes = nodes_of(&lab, "app=even");
    assert_eq!(nodes.iter().filter(|node| *node == "hello-worker3").count(), 3, "{nodes:?}");
    lab.ok("kubectl cordon hello-worker3");
    lab.ok("kubectl scale deployment even --replicas=8");
    assert!(failures(&lab).contains("2 node(s) didn't match pod topology spread constraints"), "{}", failures(&lab));
    lab.ok("kubectl delete deployment even");
    lab.ok("kubectl uncordon hello-worker3");
    lab.until("kubectl get pods", |table| !table.contains("even"));
    apply(&lab, &deployment("plain", 3, json!({})));
    lab.until("kubectl get pods", |table| table.matches("1/1").count() == 3);
    assert_eq!(nodes_of(&lab, "app=plain"), ["hello-worker", "hello-worker2", "hello-worker3"]);
}

#[test]
fn a_more_important_pod_gets_room() {
    let lab = lab(1);
    lab.ok("kubectl create priorityclass important --value=1000");
    lab.ok("kubectl create priorityclass patient --value=1000 --preemption-policy=Never");
    let half = json!({ "containers": [
        { "name": "app", "image": "nginx:1.27", "resources": { "requests": { "cpu": "1500m" } } },
    ] });
    apply(&lab, &deployment("small", 2, half));
    lab.until("kubectl get pods", |table| table.matches("1/1").count() == 2);
    let pod = |name: &str, spec: Value| json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name }, "spec": spec });
    let containers = json!([{ "name": "app", "image": "nginx:1.27", "resources": { "requests": { "cpu": "1500m" } } }]);
    apply(&lab, &pod("patient", json!({ "priorityClassName": "patient", "containers": containers })));
    let message = failures(&lab);
    let cpu = "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint \
               {node-role.kubernetes.io/control-plane: }.";
    assert_eq!(message, format!("{cpu} preemption: not eligible due to preemptionPolicy=Never."));
    lab.ok("kubectl delete pod patient");
    apply(&lab, &pod("urgent", json!({ "priorityClassName": "important", "containers": containers })));
    lab.until("kubectl get pod urgent", |table| table.contains("1/1"));
    let preempted = lab.ok("kubectl get events --field-selector reason=Preempted -o jsonpath={.items[*].message}");
    let uid = lab.ok("kubectl get pod urgent -o jsonpath={.metadata.uid}");
    assert_eq!(preempted, format!("Preempted by pod {uid} on node hello-worker"));
    assert!(lab.ok("kubectl get events").contains(&format!("{cpu}\n")), "{}", lab.ok("kubectl get events"));
}

#[test]
fn a_decision_can_be_explained() {
    let lab = lab(2);
    lab.ok("kubectl run web --image=nginx:1.27");
    lab.until("kubectl get pod web", |table| table.contains("1/1"));
    let decision = lab.control("decisions/default/web");
    let node = lab.ok("kubectl get pod web -o jsonpath={.spec.nodeName}");
    assert_eq!(decision["node"], json!(node));
    let verdicts = decision["verdicts"].as_object().unwrap();
    assert_eq!(verdicts.len(), 3);
    assert_eq!(verdicts["hello-control-plane"]["plugin"], "TaintToleration");
    assert_eq!(verdicts[&node]["scores"].as_object().unwrap().len(), 7);
}

#[test]
fn what_makes_room_is_noticed_at_once() {
    let lab = lab(2);
    let asks = |cpu: &str| {
        json!({ "nodeSelector": { "kubernetes.io/hostname": "hello-worker" }, "containers": [
            { "name": "app", "image": "nginx:1.27", "resources": { "requests": { "cpu": cpu } } },
        ] })
    };
    let pod = |name: &str, spec: Value| json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name }, "spec": spec });
    apply(&lab, &pod("large", asks("3")));
    lab.until("kubectl get pod large", |table| table.contains("1/1"));
    apply(&lab, &pod("waiting", asks("1500m")));
    assert!(failures(&lab).contains("1 Insufficient cpu"), "{}", failures(&lab));
    // A pod that asks for less than before.
    let less = json!({ "spec": { "containers": [{ "name": "app", "resources": { "requests": { "cpu": "1" } } }] } });
    lab.ok(&format!("kubectl patch pod large --subresource resize -p '{less}'"));
    lab.pass(Duration::from_secs(15));
    assert!(lab.ok("kubectl get pod waiting").contains("1/1"));
    lab.ok("kubectl delete pod large waiting");

    // A node that is gone is no domain any more, though its pods are not collected yet.
    lab.ok("kubectl label node hello-worker topology.kubernetes.io/zone=a");
    lab.ok("kubectl label node hello-worker2 topology.kubernetes.io/zone=b");
    let spread = json!({ "topologySpreadConstraints": [{
        "maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": { "matchLabels": { "app": "even" } },
    }] });
    apply(&lab, &deployment("even", 2, spread));
    lab.until("kubectl get pods", |table| table.matches("1/1").count() == 2);
    lab.ok("kubectl cordon hello-worker2");
    lab.ok("kubectl scale deployment even --replicas=4");
    lab.until("kubectl get pods", |table| table.matches("1/1").count() == 3 && table.contains("Pending"));
    lab.ok("kubectl delete node hello-worker2");
    lab.pass(Duration::from_secs(15));
    assert!(!lab.ok("kubectl get pods").contains("Pending"), "{}", lab.ok("kubectl get pods"));
}
