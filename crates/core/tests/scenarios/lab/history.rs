//! A day in a cluster's life, for the test that it is the same day everywhere.

use std::time::Duration;

use super::{Lab, names};

/// Deploys, exposes, scales, deletes, loses a controller for a while; gives the hash of the store's
/// whole history.
pub fn hash(seed: u64) -> u64 {
    let lab = Lab::seeded(3, seed);
    lab.ok("kubectl apply -f hellodep.yaml");
    lab.until("kubectl get pods", |table| table.matches("1/1").count() == 2);
    lab.ok("kubectl apply -f helloservice.yaml");
    lab.pass(Duration::from_secs(2));
    lab.ok("curl -s http://localhost:30950");
    lab.ok("kubectl scale deployment/hellodep --replicas=5");
    lab.cluster.stop_component("replicaset-controller");
    lab.pass(Duration::from_secs(30));
    lab.cluster.start_component("replicaset-controller");
    let pods = lab.until("kubectl get pods", |table| table.matches("1/1").count() == 5);
    let victim = names(&pods)[0];
    lab.ok(&format!("kubectl delete pod {victim}"));
    lab.ok("kubectl set image deployment/hellodep hellokube=nginx:1.27");
    lab.ok("kubectl rollout status deployment/hellodep");
    lab.ok("kubectl delete deployment hellodep");
    lab.pass(Duration::from_secs(120));
    lab.cluster.api().store().history_hash()
}
