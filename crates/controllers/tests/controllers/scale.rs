//! Work per pod stays flat as a set grows.

use k8s_openapi::api::apps::v1::Deployment;
use serde_json::json;

use crate::world::World;

/// Requests and polls from a Deployment's creation until all its pods are ready.
fn cost(replicas: i32) -> (usize, usize) {
    let mut world = World::new(10);
    world.run(1);
    let (requests, polls) = (world.wire.requests.get(), world.polls);
    world.create::<Deployment>(json!({
        "metadata": { "name": "web", "namespace": "default" },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { "app": "web" } },
            "template": {
                "metadata": { "labels": { "app": "web" } },
                "spec": { "containers": [{ "name": "web", "image": "nginx:1" }] },
            },
        },
    }));
    world.run(10);
    let web = world.get::<Deployment>("default", "web");
    assert_eq!(web.status.as_ref().and_then(|status| status.available_replicas), Some(replicas));
    (world.wire.requests.get() - requests, world.polls - polls)
}

#[test]
fn a_pod_costs_the_same_in_a_large_set() {
    let (small, large) = (cost(100), cost(2000));
    println!("requests and polls: {small:?} for 100 pods, {large:?} for 2000");
    // One write a pod, and what the set, its events and the Deployment need besides.
    assert!(large.0 < 2000 * 2, "{} requests for 2000 pods", large.0);
    assert!(large.1 < small.1 * 20, "{} polls for 2000 pods, {} for 100", large.1, small.1);
}

#[test]
fn a_cluster_at_rest_does_next_to_nothing() {
    let mut world = World::new(3);
    world.run(120);
    let (requests, polls) = (world.wire.requests.get(), world.polls);
    world.run(600);
    let (requests, polls) = (world.wire.requests.get() - requests, world.polls - polls);
    println!("at rest: {requests} requests and {polls} polls in ten minutes");
    // Discovery every half minute; a lease of each node every ten seconds, which three controllers see.
    assert!(requests <= 20 * 30, "{requests} requests");
    assert!(polls <= 60 * 3 * 6, "{polls} polls");
}
