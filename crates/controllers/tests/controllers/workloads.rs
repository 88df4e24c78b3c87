//! Deployments and ReplicaSets on the real API server.
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use crate::world::World;

fn deployment(name: &str, replicas: i32, image: &str) -> Value {
    json!({
        "metadata": { "name": name, "namespace": "default" },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { "app": name } },
            "template": {
                "metadata": { "labels": { "app": name } },
                "spec": { "containers": [{ "name": "web", "image": image }] },
            },
        },
    })
}

fn image_patch(image: &str) -> Value {
    json!({ "spec": { "template": { "spec": { "containers": [{ "name": "web", "image": image }] } } } })
}

/// Status, reason and message of a Deployment's condition.
fn condition(deployment: &Deployment, kind: &str) -> (String, String, String) {
    let conditions = deployment.status.as_ref().unwrap().conditions.clone().unwrap();
    let found = conditions.into_iter().find(|condition| condition.type_.as_deref() == Some(kind)).unwrap();
    (found.status.unwrap(), found.reason.unwrap(), found.message.unwrap())
}

fn images(world: &World) -> Vec<String> {
    let pods = world.list::<Pod>("default");
    let mut images: Vec<_> =
        pods.iter().map(|pod| pod.spec.as_ref().unwrap().containers[0].image.clone().unwrap()).collect();
    images.sort();
    images
}

#[test]
fn a_deployment_gets_its_pods() {
    let mut world = World::new(3);
    world.create::<Deployment>(deployment("web", 3, "nginx:1"));
    world.run(5);
    let web = world.get::<Deployment>("default", "web");
    let status = web.status.clone().unwrap();
    assert_eq!((status.replicas, status.ready_replicas, status.updated_replicas), (Some(3), Some(3), Some(3)));
    assert_eq!((status.available_replicas, status.observed_generation), (Some(3), web.metadata.generation));
    assert_eq!(web.metadata.annotations.as_ref().unwrap()["deployment.kubernetes.io/revision"], "1");
    let set = world.list::<ReplicaSet>("default").remove(0);
    let name = set.metadata.name.clone().unwrap();
    assert_eq!(
        condition(&web, "Progressing"),
        ("True".into(), "NewReplicaSetAvailable".into(), format!("ReplicaSet \"{name}\" has successfully progressed."))
    );
    assert_eq!(condition(&web, "Available").1, "MinimumReplicasAvailable");
    let pods = world.list::<Pod>("default");
    assert_eq!(pods.len(), 3);
    assert!(pods.iter().all(|pod| pod.metadata.name.as_ref().unwrap().starts_with(&format!("{name}-"))));
    assert_eq!(world.events("web"), [format!("ScalingReplicaSet Scaled up replica set {name} from 0 to 3")]);
    assert_eq!(world.events(&name).len(), 3);

    let pod = pods[0].metadata.name.clone().unwrap();
    world.delete::<Pod>("default", &pod, &client::DeleteOptions::default());
    world.run(5);
    assert_eq!(world.list::<Pod>("default").len(), 3, "a replacement comes");
    assert!(!world.exists::<Pod>("default", &pod));
}

#[test]
fn a_rolling_update_keeps_its_bounds() {
    let mut world = World::new(3);
    world.create::<Deployment>(deployment("web", 10, "nginx:1"));
    world.run(5);
    world.nodes.borrow_mut().start = std::time::Duration::from_millis(700);
    world.patch::<Deployment>("default", "web", image_patch("nginx:2"));
    for _ in 0..20 {
        world.run(1);
        let pods = world.list::<Pod>("default");
        let available = pods.iter().filter(|pod| playground_controllers::pods::is_ready(pod)).count();
        assert!(pods.len() <= 13 && available >= 8, "{} pods, {available} available", pods.len());
    }
    assert_eq!(images(&world), vec!["nginx:2"; 10]);
    let sets = world.list::<ReplicaSet>("default");
    let mut sizes: Vec<_> = sets.iter().map(|set| set.spec.replicas.unwrap()).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [0, 10]);

    // And back: the old set is taken again, under a new revision.
    world.patch::<Deployment>("default", "web", image_patch("nginx:1"));
    world.run(20);
    assert_eq!(images(&world), vec!["nginx:1"; 10]);
    assert_eq!(world.list::<ReplicaSet>("default").len(), 2);
    let web = world.get::<Deployment>("default", "web");
    assert_eq!(web.metadata.annotations.as_ref().unwrap()["deployment.kubernetes.io/revision"], "3");
}

#[test]
fn a_rollout_that_does_not_move_times_out() {
    let mut world = World::new(2);
    world.create::<Deployment>(deployment("web", 4, "nginx:1"));
    world.run(5);
    world.nodes.borrow_mut().broken_images.insert("broken".into());
    world.patch::<Deployment>("default", "web", image_patch("broken"));
    world.run(300);
    let web = world.get::<Deployment>("default", "web");
    assert_eq!(condition(&web, "Progressing").1, "ReplicaSetUpdated");
    assert_eq!(web.status.as_ref().unwrap().available_replicas, Some(3));
    world.run(400);
    let (status, reason, message) = condition(&world.get::<Deployment>("default", "web"), "Progressing");
    assert_eq!((status.as_str(), reason.as_str()), ("False", "ProgressDeadlineExceeded"));
    assert!(message.ends_with("has timed out progressing."), "{message}");
}

#[test]
fn recreate_waits_for_the_last_old_pod() {
    let mut world = World::new(2);
    let mut manifest = deployment("web", 3, "nginx:1");
    manifest["spec"]["strategy"] = json!({ "type": "Recreate" });
    world.create::<Deployment>(manifest);
    world.run(5);
    world.nodes.borrow_mut().stuck = true;
    world.patch::<Deployment>("default", "web", image_patch("nginx:2"));
    world.run(5);
    assert_eq!(images(&world), vec!["nginx:1"; 3]);
    world.nodes.borrow_mut().stuck = false;
    for pod in world.list::<Pod>("default") {
        let options = client::DeleteOptions { grace_period_seconds: Some(0), ..client::DeleteOptions::default() };
        world.delete::<Pod>("default", pod.metadata.name.as_ref().unwrap(), &options);
    }
    world.run(5);
    assert_eq!(images(&world), vec!["nginx:2"; 3]);
}

#[test]
fn pausing_holds_a_rollout_but_not_scaling() {
    let mut world = World::new(2);
    world.create::<Deployment>(deployment("web", 2, "nginx:1"));
    world.run(5);
    world.patch::<Deployment>("default", "web", json!({ "spec": { "paused": true } }));
    world.patch::<Deployment>("default", "web", image_patch("nginx:2"));
    world.patch::<Deployment>("default", "web", json!({ "spec": { "replicas": 4 } }));
    world.run(5);
    assert_eq!(images(&world), vec!["nginx:1"; 4]);
    assert_eq!(condition(&world.get::<Deployment>("default", "web"), "Progressing").1, "DeploymentPaused");
    world.patch::<Deployment>("default", "web", json!({ "spec": { "paused": false } }));
    world.run(10);
    assert_eq!(images(&world), vec!["nginx:2"; 4]);
}

#[test]
fn history_is_kept_as_long_as_asked() {
    let mut world = World::new(2);
    let mut manifest = deployment("web", 1, "nginx:0");
    manifest["spec"]["revisionHistoryLimit"] = json!(2);
    world.create::<Deployment>(manifest);
    for version in 1..6 {
        world.run(10);
        world.patch::<Deployment>("default", "web", image_patch(&format!("nginx:{version}")));
    }
    world.run(10);
    assert_eq!(world.list::<ReplicaSet>("default").len(), 3);
    assert_eq!(images(&world), ["nginx:5"]);
}

#[test]
fn sets_adopt_and_release_by_label() {
    let mut world = World::new(1);
    world.create::<Pod>(json!({
        "metadata": { "name": "stray", "namespace": "default", "labels": { "app": "web" } },
        "spec": { "containers": [{ "name": "web", "image": "nginx:1" }] },
    }));
    let mut manifest = deployment("web", 2, "nginx:1");
    manifest["spec"].as_object_mut().unwrap().remove("strategy");
    world.create::<ReplicaSet>(manifest);
    world.run(5);
    assert_eq!(world.list::<Pod>("default").len(), 2, "the stray pod is adopted");
    world.patch::<Pod>("default", "stray", json!({ "metadata": { "labels": { "app": "mine" } } }));
    world.run(5);
    assert_eq!(world.list::<Pod>("default").len(), 3);
    assert!(world.get::<Pod>("default", "stray").metadata.owner_references.iter().flatten().next().is_none());
    world.patch::<ReplicaSet>("default", "web", json!({ "spec": { "replicas": 0 } }));
    world.run(5);
    assert_eq!(world.list::<Pod>("default").len(), 1);
}

#[test]
fn controllers_may_stop_and_come_back() {
    let mut world = World::new(2);
    world.create::<Deployment>(deployment("web", 3, "nginx:1"));
    world.run(5);
    world.stop("replicaset-controller");
    world.patch::<Deployment>("default", "web", json!({ "spec": { "replicas": 5 } }));
    world.run(5);
    assert_eq!(world.list::<Pod>("default").len(), 3);
    world.start("replicaset-controller");
    world.run(5);
    assert_eq!(world.list::<Pod>("default").len(), 5);

    world.wire.cut.set(true);
    world.run(60);
    world.wire.cut.set(false);
    world.patch::<Deployment>("default", "web", image_patch("nginx:2"));
    world.run(60);
    assert_eq!(images(&world), vec!["nginx:2"; 5]);
}

#[test]
fn a_deployment_deleted_takes_all_with_it() {
    let mut world = World::new(2);
    world.create::<Deployment>(deployment("web", 3, "nginx:1"));
    world.run(5);
    world.delete::<Deployment>("default", "web", &client::DeleteOptions::default());
    world.run(10);
    assert!(world.list::<ReplicaSet>("default").is_empty());
    assert!(world.list::<Pod>("default").is_empty());

    for propagation in [client::Propagation::Foreground, client::Propagation::Orphan] {
        world.create::<Deployment>(deployment("web", 3, "nginx:1"));
        world.run(5);
        let options = client::DeleteOptions { propagation: Some(propagation), ..client::DeleteOptions::default() };
        world.delete::<Deployment>("default", "web", &options);
        world.run(10);
        assert!(!world.exists::<Deployment>("default", "web"), "{propagation:?}");
        let left = if propagation == client::Propagation::Orphan { (1, 3) } else { (0, 0) };
        assert_eq!((world.list::<ReplicaSet>("default").len(), world.list::<Pod>("default").len()), left);
    }
}

fn daemon_set(image: &str, strategy: Value) -> Value {
    let mut manifest = deployment("agent", 0, image);
    manifest["spec"].as_object_mut().unwrap().remove("replicas");
    manifest["spec"]["updateStrategy"] = strategy;
    manifest
}

#[test]
fn daemons_run_on_every_node() {
    use k8s_openapi::api::apps::v1::DaemonSet;
    use k8s_openapi::api::core::v1::Node;
    let mut world = World::new(4);
    world.create::<DaemonSet>(daemon_set("agent:1", json!({})));
    world.run(5);
    let status = |world: &World| world.get::<DaemonSet>("default", "agent").status.clone().unwrap();
    assert_eq!((status(&world).desired_number_scheduled, status(&world).number_available), (4, Some(4)));

    world.nodes.borrow_mut().start = std::time::Duration::from_millis(300);
    world.patch::<DaemonSet>("default", "agent", image_patch("agent:2"));
    for _ in 0..10 {
        world.run(1);
        assert!(status(&world).number_unavailable.unwrap_or(0) <= 1);
    }
    assert_eq!(images(&world), vec!["agent:2"; 4]);
    assert_eq!(status(&world).updated_number_scheduled, Some(4));
    assert_eq!(world.list::<k8s_openapi::api::apps::v1::ControllerRevision>("default").len(), 2);

    let surge = json!({ "spec": { "updateStrategy": { "rollingUpdate": { "maxSurge": 2, "maxUnavailable": 0 } } } });
    world.patch::<DaemonSet>("default", "agent", surge);
    world.patch::<DaemonSet>("default", "agent", image_patch("agent:1"));
    for _ in 0..10 {
        world.run(1);
        assert!(world.list::<Pod>("default").len() <= 6);
    }
    assert_eq!(images(&world), vec!["agent:1"; 4]);

    let taint = json!({ "spec": { "taints": [{ "key": "dedicated", "effect": "NoExecute" }] } });
    world.patch::<Node>("", "node-3", taint);
    world.run(5);
    assert_eq!(world.list::<Pod>("default").len(), 3);
    world.patch::<Node>("", "node-3", json!({ "spec": { "taints": null } }));
    world.run(5);
    assert_eq!(world.list::<Pod>("default").len(), 4);
}

#[test]
fn stateful_pods_come_and_go_in_order() {
    use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet};
    use k8s_openapi::api::core::v1::PersistentVolumeClaim;
    let mut world = World::new(2);
    world.nodes.borrow_mut().start = std::time::Duration::from_millis(700);
    let mut manifest = deployment("db", 3, "db:1");
    manifest["spec"]["serviceName"] = json!("db");
    manifest["spec"]["volumeClaimTemplates"] = json!([{
        "metadata": { "name": "data" },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } },
    }]);
    manifest["spec"]["template"]["spec"]["volumes"] = json!([{ "name": "cache", "emptyDir": {} }]);
    world.create::<StatefulSet>(manifest);
    let names = |world: &World| {
        let pods = world.list::<Pod>("default");
        pods.iter().map(|pod| pod.metadata.name.clone().unwrap()).collect::<Vec<_>>()
    };
    world.run(1);
    assert_eq!(names(&world), ["db-0", "db-1"], "the second comes once the first is ready");
    world.run(5);
    assert_eq!(names(&world), ["db-0", "db-1", "db-2"]);
    let claims = world.list::<PersistentVolumeClaim>("default");
    let claims: Vec<_> = claims.iter().map(|claim| claim.metadata.name.clone().unwrap()).collect();
    assert_eq!(claims, ["data-db-0", "data-db-1", "data-db-2"]);
    let pod = world.get::<Pod>("default", "db-1");
    assert_eq!(pod.spec.as_ref().unwrap().hostname.as_deref(), Some("db-1"));
    let volumes = pod.spec.as_ref().unwrap().volumes.clone().unwrap();
    assert_eq!((volumes[0].name.as_str(), volumes[1].name.as_str()), ("data", "cache"));
    let claim = volumes[0].persistent_volume_claim.as_ref().unwrap();
    assert_eq!((claim.claim_name.as_str(), claim.read_only), ("data-db-1", None));
    let told = world.events("db");
    let both = [
        "SuccessfulCreate create Claim data-db-0 Pod db-0 in StatefulSet db success",
        "SuccessfulCreate create Pod db-0 in StatefulSet db successful",
    ];
    assert_eq!(told[..2], both);
    let revision = world.list::<ControllerRevision>("default").remove(0);
    let (name, labels) = (revision.metadata.name.clone().unwrap(), revision.metadata.labels.clone().unwrap());
    assert_eq!(format!("db-{}", labels["controller.kubernetes.io/hash"]), name);
    assert_eq!(pod.metadata.labels.as_ref().unwrap()["controller-revision-hash"], name);
    let status = |world: &World| world.get::<StatefulSet>("default", "db").status.clone().unwrap();
    assert_eq!((status(&world).ready_replicas, status(&world).current_replicas), (Some(3), Some(3)));

    let partition = json!({ "spec": { "updateStrategy": { "rollingUpdate": { "partition": 2 } } } });
    world.patch::<StatefulSet>("default", "db", partition);
    world.patch::<StatefulSet>("default", "db", image_patch("db:2"));
    world.run(10);
    assert_eq!(images(&world), ["db:1", "db:1", "db:2"]);
    assert_ne!(status(&world).current_revision, status(&world).update_revision);
    world.delete::<Pod>("default", "db-0", &client::DeleteOptions::default());
    world.run(10);
    assert_eq!(images(&world), ["db:1", "db:1", "db:2"], "below the partition the old revision comes again");

    let partition = json!({ "spec": { "updateStrategy": { "rollingUpdate": { "partition": 0 } } } });
    world.patch::<StatefulSet>("default", "db", partition);
    for _ in 0..10 {
        world.run(1);
        assert!(
            world.list::<Pod>("default").iter().filter(|pod| playground_controllers::pods::is_ready(pod)).count() >= 2
        );
    }
    assert_eq!(images(&world), ["db:2"; 3]);
    assert_eq!(status(&world).current_revision, status(&world).update_revision);

    world.patch::<StatefulSet>("default", "db", json!({ "spec": { "replicas": 1 } }));
    world.run(10);
    assert_eq!(names(&world), ["db-0"]);
    assert_eq!(world.list::<PersistentVolumeClaim>("default").len(), 3, "claims stay");
}

#[test]
fn a_share_of_stateful_pods_may_be_missing() {
    use k8s_openapi::api::apps::v1::StatefulSet;
    let mut world = World::new(2);
    let mut manifest = deployment("db", 5, "db:1");
    manifest["spec"]["podManagementPolicy"] = json!("Parallel");
    manifest["spec"]["updateStrategy"] = json!({ "rollingUpdate": { "maxUnavailable": "50%" } });
    world.create::<StatefulSet>(manifest);
    world.run(5);
    world.nodes.borrow_mut().start = std::time::Duration::from_secs(5);
    world.patch::<StatefulSet>("default", "db", image_patch("db:2"));
    let mut least = 5;
    for _ in 0..30 {
        world.run(1);
        let pods = world.list::<Pod>("default");
        least = least.min(pods.iter().filter(|pod| playground_controllers::pods::is_ready(pod)).count());
    }
    assert_eq!((least, images(&world)), (3, vec!["db:2".to_owned(); 5]), "half of five, rounded down");
}

#[test]
fn a_stateful_pod_that_is_missing_is_updated_at_once_where_pods_are_managed_in_parallel() {
    use k8s_openapi::api::apps::v1::StatefulSet;
    for (policy, expected) in
        [("Parallel", ["db:1", "db:1", "db:2", "db:2"]), ("OrderedReady", ["db:1", "db:1", "db:1", "db:2"])]
    {
        let mut world = World::new(2);
        let mut manifest = deployment("db", 4, "db:1");
        manifest["spec"]["podManagementPolicy"] = json!(policy);
        world.create::<StatefulSet>(manifest);
        world.run(10);
        world.nodes.borrow_mut().broken_images.insert("db:2".into());
        world.patch::<StatefulSet>("default", "db", image_patch("db:2"));
        world.run(10);
        let client = client::Client::new(world.wire.clone(), "kubelet");
        let unready = json!({ "status": { "conditions": [{ "type": "Ready", "status": "False" }] } });
        let first = machinery::ObjectKey::new("default", "db-0");
        client.patch_status::<Pod>(&first, &client::Patch::Strategic(unready)).unwrap();
        world.run(10);
        assert_eq!(images(&world), expected, "{policy}");
    }
}

#[test]
fn a_daemon_that_fails_is_replaced_ever_more_slowly() {
    use k8s_openapi::api::apps::v1::DaemonSet;
    let mut world = World::new(1);
    world.nodes.borrow_mut().ending_images.insert("bad".into(), false);
    world.create::<DaemonSet>(daemon_set("bad", json!({})));
    world.run(60);
    let failed = world.events("agent").iter().filter(|event| event.starts_with("FailedDaemonPod")).count();
    assert_eq!(failed, 6, "at once, and after 1, 2, 4, 8 and 16 seconds");
}

#[test]
fn replication_controllers_still_work() {
    use k8s_openapi::api::core::v1::ReplicationController;
    let mut world = World::new(2);
    let mut manifest = deployment("web", 3, "nginx:1");
    manifest["spec"]["selector"] = json!({ "app": "web" });
    world.create::<ReplicationController>(manifest);
    world.run(5);
    let status = world.get::<ReplicationController>("default", "web").status.clone().unwrap();
    assert_eq!((status.replicas, status.available_replicas), (3, Some(3)));
}

#[test]
fn budgets_say_how_many_may_go() {
    use k8s_openapi::api::policy::v1::PodDisruptionBudget;
    let mut world = World::new(2);
    world.create::<Deployment>(deployment("web", 4, "nginx:1"));
    world.create::<PodDisruptionBudget>(json!({
        "metadata": { "name": "web", "namespace": "default" },
        "spec": { "maxUnavailable": "25%", "selector": { "matchLabels": { "app": "web" } } },
    }));
    world.run(5);
    let status = |world: &World| world.get::<PodDisruptionBudget>("default", "web").status.clone().unwrap();
    let found = status(&world);
    assert_eq!((found.current_healthy, found.desired_healthy, found.expected_pods), (Some(4), Some(3), Some(4)));
    assert_eq!(found.disruptions_allowed, Some(1));
    assert_eq!(found.conditions.unwrap()[0].reason, "SufficientPods");

    world.nodes.borrow_mut().stuck = true;
    let pod = world.list::<Pod>("default").remove(0).metadata.name.clone().unwrap();
    world.nodes.borrow_mut().broken_images.insert("nginx:1".into());
    world.delete::<Pod>("default", &pod, &client::DeleteOptions::default());
    world.run(5);
    assert_eq!(status(&world).disruptions_allowed, Some(0));
}

#[test]
fn a_pod_that_was_to_be_disrupted_and_was_not_is_no_longer() {
    let mut world = World::new(2);
    world.create::<Deployment>(deployment("web", 2, "nginx:1"));
    world.run(5);
    let client = client::Client::new(world.wire.clone(), "kubelet");
    let names: Vec<_> = world.list::<Pod>("default").iter().map(|pod| client::key_of(&**pod)).collect();
    for (name, reason) in names.iter().zip(["EvictionByEvictionAPI", "TerminationByKubelet"]) {
        let now = machinery::time::format_seconds(world.now());
        let condition =
            json!({ "type": "DisruptionTarget", "status": "True", "reason": reason, "lastTransitionTime": now });
        let patch = client::Patch::Strategic(json!({ "status": { "conditions": [condition] } }));
        client.patch_status::<Pod>(name, &patch).unwrap();
    }
    let targets = |world: &World| {
        let target = |name: &machinery::ObjectKey| {
            let pod = world.get::<Pod>("default", &name.name);
            let condition = playground_controllers::pods::condition(&pod, "DisruptionTarget").unwrap().clone();
            (condition.status, condition.reason)
        };
        names.iter().map(target).collect::<Vec<_>>()
    };
    let kubelets = ("True".to_owned(), Some("TerminationByKubelet".to_owned()));
    // Nobody is to write over what has happened to the pod meanwhile.
    world.wire.refuses.set(Some(|request| {
        let machinery::wire::Body::Bytes(body) = request.body() else { return false };
        let body = String::from_utf8_lossy(body);
        body.contains("DisruptionTarget") && !body.contains("resourceVersion")
    }));
    world.run(115);
    assert_eq!(targets(&world)[0], ("True".into(), Some("EvictionByEvictionAPI".into())));
    world.run(10);
    assert_eq!(targets(&world), [("False".into(), None), kubelets]);
}

#[test]
fn a_pod_that_is_disrupted_wakes_nobody() {
    let mut world = World::new(1);
    world.create::<Pod>(json!({
        "metadata": { "name": "stray", "namespace": "default" },
        "spec": { "containers": [{ "name": "c", "image": "nginx:1" }] },
    }));
    world.run(5);
    let before = machinery::split::calls();
    let now = machinery::time::format_seconds(world.now());
    let condition = json!({ "type": "DisruptionTarget", "status": "True", "lastTransitionTime": now });
    let patch = client::Patch::Strategic(json!({ "status": { "conditions": [condition] } }));
    world.client.patch_status::<Pod>(&machinery::ObjectKey::new("default", "stray"), &patch).unwrap();
    world.run(60);
    world.delete::<Pod>("default", "stray", &client::DeleteOptions::default());
    world.run(180);
    assert!(!world.exists::<Pod>("default", "stray"));
    assert_eq!(machinery::split::calls(), before);
}

#[test]
fn budgets_tell_of_pods_that_nothing_scales() {
    use k8s_openapi::api::batch::v1::Job;
    use k8s_openapi::api::policy::v1::PodDisruptionBudget;
    let mut world = World::new(1);
    let budget = |name: &str| {
        json!({
            "metadata": { "name": name, "namespace": "default" },
            "spec": { "minAvailable": "50%", "selector": { "matchLabels": { "app": name } } },
        })
    };
    let template = |name: &str| {
        json!({
            "metadata": { "name": name, "namespace": "default", "labels": { "app": name } },
            "spec": { "restartPolicy": "Never", "containers": [{ "name": "c", "image": "forever" }] },
        })
    };
    world.create::<Pod>(template("naked"));
    world.create::<Job>(json!({
        "metadata": { "name": "work", "namespace": "default" }, "spec": { "template": template("work") },
    }));
    world.run(2);
    world.create::<PodDisruptionBudget>(budget("naked"));
    world.create::<PodDisruptionBudget>(budget("work"));
    world.run(2);
    let found = world.get::<PodDisruptionBudget>("default", "naked").status.clone().unwrap();
    assert_eq!((found.expected_pods, found.current_healthy, found.disruptions_allowed), (Some(0), Some(1), Some(0)));
    assert_eq!(
        world.events("naked").iter().find(|event| event.starts_with("Unmanaged")).map(String::as_str),
        Some(
            "UnmanagedPods Pods selected by this PodDisruptionBudget (selector: \
             &LabelSelector{MatchLabels:map[string]string{app: naked,},MatchExpressions:[]LabelSelectorRequirement{},}) \
             were found to be unmanaged. As a result, the status of the PDB cannot be calculated correctly, which may \
             result in undefined behavior. To account for these pods please set \".spec.minAvailable\" field of the PDB \
             to an integer value."
        )
    );
    let failed = "CalculateExpectedPodCountFailed Failed to calculate the number of expected pods: \
                  jobs.batch does not implement the scale subresource";
    assert!(world.events("work").iter().any(|event| event == failed), "{:?}", world.events("work"));
}

#[test]
fn budgets_ask_what_owns_the_pods() {
    use k8s_openapi::api::policy::v1::PodDisruptionBudget;
    let mut world = World::new(1);
    world.stop("garbage-collector-controller");
    let owner = |api_version: &str, kind: &str, name: &str, uid: &str| json!([{ "apiVersion": api_version, "kind": kind, "name": name, "uid": uid, "controller": true }]);
    let mut orphan = deployment("orphan", 3, "nginx:1");
    orphan["metadata"]["ownerReferences"] = owner("apps/v1", "Deployment", "gone", "gone");
    world.create::<ReplicaSet>(orphan);
    for (name, api_version, kind) in [("reborn", "apps/v1", "ReplicaSet"), ("foreign", "example.com/v1", "ReplicaSet")]
    {
        world.create::<Pod>(json!({
            "metadata": {
                "name": name, "namespace": "default", "labels": { "app": name },
                "ownerReferences": owner(api_version, kind, "orphan", "another"),
            },
            "spec": { "containers": [{ "name": "c", "image": "nginx:1" }] },
        }));
    }
    for name in ["orphan", "reborn", "foreign"] {
        world.create::<PodDisruptionBudget>(json!({
            "metadata": { "name": name, "namespace": "default" },
            "spec": { "maxUnavailable": 1, "selector": { "matchLabels": { "app": name } } },
        }));
    }
    world.run(5);
    let status = |name: &str| world.get::<PodDisruptionBudget>("default", name).status.clone().unwrap();
    let problem = |name: &str| status(name).conditions.unwrap()[0].message.clone();
    assert_eq!(status("orphan").expected_pods, Some(3), "its own scale");
    assert_eq!(problem("reborn"), "found no controllers for pod \"reborn\"");
    assert_eq!(problem("foreign"), "no matches for kind \"ReplicaSet\" in version \"example.com/v1\"");
}

#[test]
fn two_autoscalers_of_the_same_pods_do_nothing() {
    use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
    let mut world = World::new(1);
    world.create::<Deployment>(deployment("web", 1, "nginx:1"));
    for name in ["first", "second"] {
        world.create::<HorizontalPodAutoscaler>(json!({
            "metadata": { "name": name, "namespace": "default" },
            "spec": {
                "maxReplicas": 3,
                "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" },
            },
        }));
    }
    world.run(20);
    let message = "pods by selector app=web are controlled by multiple HPAs: [{first default} {second default}]";
    for name in ["first", "second"] {
        let events = world.events(name);
        assert!(events.contains(&format!("AmbiguousSelector {message}")), "{events:?}");
        assert!(events.contains(&format!("FailedComputeMetricsReplicas {message}")));
        let status = world.get::<HorizontalPodAutoscaler>("default", name).status.clone().unwrap();
        let active =
            status.conditions.unwrap().into_iter().find(|condition| condition.type_ == "ScalingActive").unwrap();
        assert_eq!((active.status.as_str(), active.message.as_deref()), ("False", Some(message)));
    }
    // Alone again, and without metrics to be had.
    world.delete::<HorizontalPodAutoscaler>("default", "second", &client::DeleteOptions::default());
    world.run(20);
    let events = world.events("first");
    assert!(events.iter().any(|event| event.starts_with("FailedGetResourceMetric ")), "{events:?}");
    let status = world.get::<HorizontalPodAutoscaler>("default", "first").status.clone().unwrap();
    let metrics: Vec<_> = status.current_metrics.iter().flatten().map(|metric| metric.resource.is_some()).collect();
    assert_eq!(metrics, [false], "the metric's place is empty");
}
