//! Random histories: whatever was stopped or cut off in between, the cluster converges.
use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Endpoints, Pod, Service};
use machinery::Rng;
use playground_controllers::{CONTROLLERS, pods};
use serde_json::json;

use crate::world::World;

/// Controllers that are stopped and started.
const STOPPED: [&str; 4] =
    ["deployment-controller", "replicaset-controller", "garbage-collector-controller", "endpoints-controller"];

fn history(seed: u64) {
    let mut rng = Rng::new(seed);
    let mut world = World::new(3);
    world.run(1);
    let mut stopped = BTreeSet::new();
    let (mut replicas, mut image) = (3, "nginx:0".to_owned());
    let mut exists = false;
    world.create::<Service>(json!({
        "metadata": { "name": "web", "namespace": "default" },
        "spec": { "selector": { "app": "web" }, "ports": [{ "port": 80 }] },
    }));
    for step in 0..40 {
        match rng.below(9) {
            0 | 1 if !exists => {
                world.create::<Deployment>(json!({
                    "metadata": { "name": "web", "namespace": "default" },
                    "spec": {
                        "replicas": replicas,
                        "selector": { "matchLabels": { "app": "web" } },
                        "template": {
                            "metadata": { "labels": { "app": "web" } },
                            "spec": { "containers": [{ "name": "web", "image": image }] },
                        },
                    },
                }));
                exists = true;
            }
            0 if rng.chance(1, 3) => {
                let all =
                    [client::Propagation::Background, client::Propagation::Foreground, client::Propagation::Orphan];
                let options =
                    client::DeleteOptions { propagation: rng.pick(&all).copied(), ..client::DeleteOptions::default() };
                world.delete::<Deployment>("default", "web", &options);
                // Held back by a finalizer while the garbage collector is away.
                if stopped.remove("garbage-collector-controller") {
                    world.start("garbage-collector-controller");
                }
                world.run(100);
                exists = world.exists::<Deployment>("default", "web");
                assert!(!exists, "seed {seed}: the Deployment does not go");
            }
            2 if exists => {
                replicas = i32::try_from(rng.below(8)).unwrap();
                world.patch::<Deployment>("default", "web", json!({ "spec": { "replicas": replicas } }));
            }
            3 if exists => {
                image = format!("nginx:{step}");
                let containers = json!([{ "name": "web", "image": image }]);
                let template = json!({ "spec": { "containers": containers } });
                world.patch::<Deployment>("default", "web", json!({ "spec": { "template": template } }));
            }
            4 => {
                let pods = world.list::<Pod>("default");
                if let Some(pod) = rng.pick(&pods) {
                    world.delete::<Pod>("default", pods::name(&**pod), &client::DeleteOptions::default());
                }
            }
            5 | 6 => {
                let name = *rng.pick(&STOPPED).unwrap();
                if stopped.remove(name) {
                    world.start(name);
                } else {
                    world.stop(name);
                    stopped.insert(name);
                }
            }
            7 => {
                world.wire.cut.set(true);
                world.run(rng.range(1, 60));
                world.wire.cut.set(false);
            }
            _ => world.run(rng.range(1, 20)),
        }
        if rng.chance(1, 2) {
            world.run(1);
        }
    }
    for name in stopped {
        world.start(name);
    }
    world.run(1500);

    let all = world.list::<Pod>("default");
    let sets = world.list::<ReplicaSet>("default");
    for pod in &all {
        let owner = pods::controller_of(&pod.metadata).unwrap_or_else(|| panic!("seed {seed}: an orphan is left"));
        assert!(sets.iter().any(|set| pods::uid(&**set) == owner.uid), "seed {seed}: a pod's owner is gone");
    }
    for set in &sets {
        let own = all.iter().filter(|pod| pods::controller_uid(&***pod) == [pods::uid(&**set)]).count();
        assert_eq!(i32::try_from(own).unwrap(), set.spec.replicas.unwrap(), "seed {seed}: {}", pods::name(&**set));
    }
    if exists {
        let web = world.get::<Deployment>("default", "web");
        let status = web.status.clone().unwrap();
        assert_eq!(status.updated_replicas.unwrap_or(0), replicas, "seed {seed}: {status:?}");
        assert_eq!(status.available_replicas.unwrap_or(0), replicas, "seed {seed}: {status:?}");
        let images: BTreeSet<_> =
            all.iter().filter_map(|pod| pod.spec.as_ref()?.containers.first()?.image.clone()).collect();
        assert!(images.is_empty() || images == BTreeSet::from([image]), "seed {seed}: {images:?}");
    }
    let subsets = world.get::<Endpoints>("default", "web").subsets.clone().unwrap_or_default();
    let served: usize = subsets.iter().map(|subset| subset.addresses.iter().flatten().count()).sum();
    assert_eq!(served, all.len(), "seed {seed}: endpoints");
    assert_eq!(CONTROLLERS.iter().filter(|(name, _)| STOPPED.contains(name)).count(), STOPPED.len());
}

#[test]
fn random_histories_converge() {
    for seed in 0..8 {
        history(seed);
    }
}
