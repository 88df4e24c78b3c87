//! Claims, volumes, and what keeps them, on the real API server.
use client::DeleteOptions;
use k8s_openapi::api::core::v1::{Event, PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::StorageClass;
use serde_json::{Value, json};

use crate::world::World;

fn volume(name: &str, more: Value) -> Value {
    let mut volume = json!({
        "metadata": { "name": name },
        "spec": {
            "capacity": { "storage": "1Gi" }, "accessModes": ["ReadWriteOnce"], "hostPath": { "path": "/mnt" },
        },
    });
    for (part, fields) in more.as_object().into_iter().flatten() {
        for (field, value) in fields.as_object().into_iter().flatten() {
            volume[part][field] = value.clone();
        }
    }
    volume
}

fn claim(name: &str, size: &str, volume: &str) -> Value {
    json!({
        "metadata": { "name": name, "namespace": "default" },
        "spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": "", "volumeName": volume,
            "resources": { "requests": { "storage": size } },
        },
    })
}

fn phase(world: &World, name: &str) -> String {
    world.get::<PersistentVolume>("", name).status.as_ref().unwrap().phase.clone().unwrap()
}

fn claim_phase(world: &World, name: &str) -> String {
    let claim = world.get::<PersistentVolumeClaim>("default", name);
    claim.status.as_ref().unwrap().phase.clone().unwrap()
}

#[test]
fn a_claim_does_not_get_a_volume_that_cannot_serve_it() {
    let mut world = World::new(0);
    world.create::<PersistentVolume>(volume("asked", json!({})));
    world.create::<PersistentVolumeClaim>(claim("large", "2Gi", "asked"));
    world.run(2);
    assert_eq!(claim_phase(&world, "large"), "Pending");
    let event = "VolumeMismatch Cannot bind to requested volume \"asked\": requested PV is too small";
    assert_eq!(world.events("large"), [event]);
    world.create::<PersistentVolumeClaim>(claim("small", "1Gi", "asked"));
    world.run(2);
    assert_eq!((claim_phase(&world, "small"), phase(&world, "asked")), ("Bound".into(), "Bound".into()));

    // One that is kept for a claim, and too small for it, does not keep the claim from another.
    let kept = json!({ "spec": { "claimRef": { "namespace": "default", "name": "waiting" } } });
    world.create::<PersistentVolume>(volume("kept", kept));
    world.create::<PersistentVolumeClaim>(claim("waiting", "2Gi", ""));
    world.run(2);
    assert_eq!(claim_phase(&world, "waiting"), "Pending");
    world.create::<PersistentVolume>(volume("larger", json!({ "spec": { "capacity": { "storage": "3Gi" } } })));
    world.run(2);
    assert_eq!((claim_phase(&world, "waiting"), phase(&world, "larger")), ("Bound".into(), "Bound".into()));
}

#[test]
fn a_volume_to_be_deleted_that_nobody_can_delete_fails() {
    let mut world = World::new(0);
    for (name, path) in [("temporary", "/tmp/data"), ("lasting", "/mnt/data")] {
        let spec = json!({ "persistentVolumeReclaimPolicy": "Delete", "hostPath": { "path": path } });
        world.create::<PersistentVolume>(volume(name, json!({ "spec": spec })));
        world.create::<PersistentVolumeClaim>(claim(name, "1Gi", name));
        world.run(2);
        assert_eq!(phase(&world, name), "Bound");
        world.delete::<PersistentVolumeClaim>("default", name, &DeleteOptions::default());
    }
    world.run(2);
    assert!(!world.exists::<PersistentVolume>("", "temporary"));
    assert_eq!(phase(&world, "lasting"), "Failed");
    let problem = "host_path deleter only supports /tmp/.+ but received provided /mnt/data";
    let status = world.get::<PersistentVolume>("", "lasting").status.clone().unwrap();
    assert_eq!(status.message.as_deref(), Some(problem));
    assert_eq!(world.events("lasting").last().unwrap(), &format!("VolumeFailedDelete {problem}"));
}

#[test]
fn a_volume_whose_claim_got_another_is_free_again_or_goes() {
    let mut world = World::new(0);
    world.create::<PersistentVolume>(volume("first", json!({})));
    let data = world.create::<PersistentVolumeClaim>(claim("data", "1Gi", "first"));
    world.run(2);
    assert_eq!(claim_phase(&world, "data"), "Bound");
    let reference = json!({ "namespace": "default", "name": "data", "uid": data.metadata.uid });
    let second = |name: &str, annotation: &str, policy: &str| {
        let annotations = json!({ annotation: "yes" });
        let spec = json!({ "claimRef": reference, "persistentVolumeReclaimPolicy": policy });
        world.create::<PersistentVolume>(volume(
            name,
            json!({ "metadata": { "annotations": annotations }, "spec": spec }),
        ));
    };
    second("chosen", "pv.kubernetes.io/bound-by-controller", "Retain");
    second("made", "pv.kubernetes.io/provisioned-by", "Delete");
    second("written", "example.com/note", "Retain");
    world.run(2);
    let reference = |name: &str| world.get::<PersistentVolume>("", name).spec.clone().unwrap().claim_ref;
    assert_eq!((phase(&world, "chosen"), reference("chosen")), ("Available".into(), None));
    assert_eq!(phase(&world, "made"), "Released");
    let written = reference("written").unwrap();
    assert_eq!((written.name.as_deref(), written.uid), (Some("data"), None), "what somebody wrote stays");
    assert_eq!(phase(&world, "written"), "Available");
    assert_eq!(phase(&world, "first"), "Bound");
}

#[test]
fn a_pod_that_has_ended_keeps_its_claim() {
    let mut world = World::new(1);
    world.create::<PersistentVolumeClaim>(claim("data", "1Gi", ""));
    world.run(1);
    let node = world.list::<k8s_openapi::api::core::v1::Node>("").remove(0).metadata.name.clone();
    world.create::<Pod>(json!({
        "metadata": { "name": "done", "namespace": "default" },
        "spec": {
            "nodeName": node, "containers": [{ "name": "c", "image": "busybox:1" }],
            "volumes": [{ "name": "data", "persistentVolumeClaim": { "claimName": "data" } }],
        },
    }));
    world.run(2);
    let ended = client::Patch::Merge(json!({ "status": { "phase": "Succeeded" } }));
    world.client.patch_status::<Pod>(&machinery::ObjectKey::new("default", "done"), &ended).unwrap();
    world.run(2);
    world.delete::<PersistentVolumeClaim>("default", "data", &DeleteOptions::default());
    world.run(2);
    assert!(world.exists::<PersistentVolumeClaim>("default", "data"));
    let options = DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::default() };
    world.delete::<Pod>("default", "done", &options);
    world.run(2);
    assert!(!world.exists::<PersistentVolumeClaim>("default", "data"));
}

#[test]
fn a_pod_follows_its_claim_when_the_node_chosen_for_that_changes() {
    use k8s_openapi::api::storage::v1::StorageClass;
    const SELECTED: &str = "volume.kubernetes.io/selected-node";
    let mut world = World::with_scheduler(3, 1);
    world.create::<StorageClass>(json!({
        "metadata": { "name": "slow" }, "provisioner": "example.com/disk",
        "volumeBindingMode": "WaitForFirstConsumer",
    }));
    let mut data = claim("data", "1Gi", "");
    data["spec"]["storageClassName"] = json!("slow");
    let data = world.create::<PersistentVolumeClaim>(data);
    world.create::<Pod>(json!({
        "metadata": { "name": "user", "namespace": "default" },
        "spec": {
            "containers": [{ "name": "c", "image": "busybox:1" }],
            "volumes": [{ "name": "data", "persistentVolumeClaim": { "claimName": "data" } }],
        },
    }));
    let selected = |world: &World| {
        let claim = world.get::<PersistentVolumeClaim>("default", "data");
        claim.metadata.annotations.as_ref().and_then(|it| it.get(SELECTED)).cloned()
    };
    let node = |world: &World| world.get::<Pod>("default", "user").spec.as_ref().unwrap().node_name.clone();
    let select = |world: &World, node: Value| {
        let patch = json!({ "metadata": { "annotations": { SELECTED: node } } });
        world.patch::<PersistentVolumeClaim>("default", "data", patch);
    };
    world.run(2);
    let first = selected(&world).unwrap();
    assert_eq!(node(&world), None);

    // The provisioner gives the node up: the scheduler chooses anew.
    select(&world, Value::Null);
    world.run(2);
    assert!(selected(&world).is_some());

    // Nothing comes: after ten minutes that is an event.
    world.run(600);
    let late = "FailedScheduling running PreBind plugin \"VolumeBinding\": binding volumes: context deadline exceeded";
    assert!(world.events("user").iter().any(|event| event == late), "{:?}", world.events("user"));

    // Somebody else's choice counts.
    let nodes = world.list::<k8s_openapi::api::core::v1::Node>("");
    let other = nodes.iter().filter_map(|it| it.metadata.name.clone()).find(|name| *name != first).unwrap();
    select(&world, json!(other));
    world.run(2);
    let reference = json!({ "namespace": "default", "name": "data", "uid": data.metadata.uid });
    let spec = json!({ "storageClassName": "slow", "claimRef": reference });
    world.create::<PersistentVolume>(volume("disk", json!({ "spec": spec })));
    world.run(2);
    assert_eq!((claim_phase(&world, "data"), node(&world)), ("Bound".into(), Some(other)));
}

#[test]
fn a_volume_to_be_recycled_is_emptied_by_a_pod_and_available_again() {
    for (succeeds, expected, event) in [
        (true, "Available", "VolumeRecycled Volume recycled"),
        (false, "Failed", "VolumeFailedRecycle Recycle failed: pod failed, pod.Status.Message unknown"),
    ] {
        let mut world = World::new(1);
        world.nodes.borrow_mut().ending_images.insert("busybox".into(), succeeds);
        let recycled = json!({ "persistentVolumeReclaimPolicy": "Recycle" });
        world.create::<PersistentVolume>(volume("scratch", json!({ "spec": recycled })));
        world.create::<PersistentVolumeClaim>(claim("scratch", "1Gi", "scratch"));
        world.run(2);
        world.nodes.borrow_mut().start = std::time::Duration::from_secs(5);
        world.delete::<PersistentVolumeClaim>("default", "scratch", &DeleteOptions::default());
        world.run(2);
        let pod = world.get::<Pod>("default", "recycler-for-scratch").spec.clone().unwrap();
        assert_eq!((phase(&world, "scratch").as_str(), pod.active_deadline_seconds), ("Released", Some(60)));
        assert_eq!(pod.volumes.unwrap()[0].host_path.as_ref().unwrap().path, "/mnt");
        world.run(10);
        assert_eq!(phase(&world, "scratch"), expected);
        assert!(!world.exists::<Pod>("default", "recycler-for-scratch"));
        assert_eq!(world.events("scratch").last().unwrap(), event);
        let kept = world.get::<PersistentVolume>("", "scratch").spec.clone().unwrap().claim_ref;
        assert_eq!(kept.is_some_and(|claim| claim.uid.is_some()), !succeeds);
    }
}

/// A volume whose claim is gone, and that is to be emptied.
fn left(name: &str) -> Value {
    let reference = json!({ "namespace": "default", "name": name, "uid": "gone" });
    volume(name, json!({ "spec": { "persistentVolumeReclaimPolicy": "Recycle", "claimRef": reference } }))
}

#[test]
fn only_its_own_pod_says_that_a_volume_is_empty() {
    const CONTROLLER: &str = "persistentvolume-binder-controller";
    let mut world = World::new(1);
    world.nodes.borrow_mut().ending_images.insert("busybox".into(), true);
    let containers = json!([{ "name": "c", "image": "busybox" }]);
    let stranger = world.create::<Pod>(json!({
        "metadata": { "name": "recycler-for-scratch", "namespace": "default" }, "spec": { "containers": containers },
    }));
    world.run(2);
    world.nodes.borrow_mut().start = std::time::Duration::from_secs(5);
    world.create::<PersistentVolume>(left("scratch"));
    world.run(2);
    let pod = world.get::<Pod>("default", "recycler-for-scratch");
    assert_ne!(pod.metadata.uid, stranger.metadata.uid);
    assert_eq!(phase(&world, "scratch"), "Released");
    let found = "VolumeFailedRecycle Recycle failed: old recycler pod found, will retry later";
    assert_eq!(world.events("scratch"), [found]);

    // As long as the pod stays the volume is not available: the next one would take it for its own.
    let pod_deletions = |request: &machinery::wire::Request| {
        request.method() == "DELETE" && request.uri().path().ends_with("/pods/recycler-for-scratch")
    };
    world.wire.refuses.set(Some(pod_deletions));
    world.run(10);
    assert_eq!(phase(&world, "scratch"), "Released");
    world.wire.refuses.set(None);
    world.run(1100);
    assert_eq!(phase(&world, "scratch"), "Available");
    assert!(!world.exists::<Pod>("default", "recycler-for-scratch"));
    assert_eq!(world.events("scratch"), [found, "VolumeRecycled Volume recycled"]);

    // Nor is one that was at work before the controller was.
    world.create::<PersistentVolume>(left("other"));
    world.run(1);
    let uid = |world: &World| world.get::<Pod>("default", "recycler-for-other").metadata.uid.clone();
    let first = uid(&world);
    world.stop(CONTROLLER);
    world.start(CONTROLLER);
    world.run(1);
    assert_ne!(uid(&world), first);
    world.run(10);
    assert_eq!(phase(&world, "other"), "Available");
}

#[test]
fn a_volume_in_use_is_recycled_when_it_is_so_no_more() {
    let mut world = World::new(1);
    world.nodes.borrow_mut().ending_images.insert("busybox".into(), true);
    world.create::<Pod>(json!({
        "metadata": { "name": "user", "namespace": "default" },
        "spec": {
            "containers": [{ "name": "c", "image": "nginx:1" }],
            "volumes": [{ "name": "data", "persistentVolumeClaim": { "claimName": "scratch" } }],
        },
    }));
    world.create::<PersistentVolume>(left("scratch"));
    world.run(2);
    assert_eq!(world.events("scratch"), ["VolumeFailedRecycle Volume is used by pods: default/user"]);
    assert!(!world.exists::<Pod>("default", "recycler-for-scratch"));
    let options = DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::default() };
    world.delete::<Pod>("default", "user", &options);
    world.run(15);
    assert_eq!(phase(&world, "scratch"), "Available");
}

#[test]
fn a_volume_that_nothing_can_recycle_fails() {
    let mut world = World::new(0);
    let csi = json!({ "driver": "d", "volumeHandle": "v" });
    let spec = json!({ "persistentVolumeReclaimPolicy": "Recycle", "hostPath": null, "csi": csi });
    world.create::<PersistentVolume>(volume("strange", json!({ "spec": spec })));
    world.create::<PersistentVolumeClaim>(claim("strange", "1Gi", "strange"));
    world.run(2);
    world.delete::<PersistentVolumeClaim>("default", "strange", &DeleteOptions::default());
    world.run(2);
    assert_eq!(phase(&world, "strange"), "Failed");
    let problem = "VolumeFailedRecycle No recycler plugin found for the volume!";
    assert_eq!(world.events("strange").last().unwrap(), problem);
}

#[test]
fn an_ephemeral_volume_is_no_claim_that_was_there_before() {
    let mut world = World::new(0);
    world.create::<PersistentVolumeClaim>(claim("work-scratch", "1Gi", ""));
    let spec = claim("any", "1Gi", "")["spec"].clone();
    world.create::<Pod>(json!({
        "metadata": { "name": "work", "namespace": "default" },
        "spec": {
            "containers": [{ "name": "work", "image": "work" }],
            "volumes": [{ "name": "scratch", "ephemeral": { "volumeClaimTemplate": { "spec": spec } } }],
        },
    }));
    world.run(2);
    let told = "FailedBinding ephemeral volume scratch: PVC default/work-scratch was not created for pod default/work \
                (pod is not owner)";
    assert_eq!(world.events("work"), [told]);
}

#[test]
fn what_a_claim_waits_for_is_told_again_and_again() {
    let mut world = World::new(0);
    world.create::<PersistentVolumeClaim>(claim("waiting", "1Gi", ""));
    world.run(40);
    let events = world.list::<k8s_openapi::api::core::v1::Event>("default");
    let told = events.iter().find(|event| event.reason.as_deref() == Some("FailedBinding"));
    assert_eq!(told.and_then(|event| event.count), Some(3));
}

#[test]
fn a_pod_whose_volumes_are_not_bound_in_time_is_tried_again_after_its_backoff() {
    // An attempt takes the bind timeout; the backoffs are 1, 2, 4, 8 and 10 seconds.
    for (timeout, seconds, attempts) in
        [(0, 0, 1), (0, 2, 2), (0, 6, 3), (0, 16, 5), (0, 30, 6), (30, 29, 0), (30, 30, 1), (30, 60, 1), (30, 61, 2)]
    {
        let volumes = json!({ "name": "VolumeBinding", "args": { "bindTimeoutSeconds": timeout } });
        let configuration = serde_json::from_value(json!({ "profiles": [{ "pluginConfig": [volumes] }] })).unwrap();
        let mut world = World::with_configured_scheduler(1, 1, configuration);
        world.create::<StorageClass>(json!({
            "metadata": { "name": "slow" }, "provisioner": "example.com/disk",
            "volumeBindingMode": "WaitForFirstConsumer",
        }));
        world.create::<PersistentVolumeClaim>(json!({
            "metadata": { "name": "data", "namespace": "default" },
            "spec": {
                "storageClassName": "slow", "accessModes": ["ReadWriteOnce"],
                "resources": { "requests": { "storage": "1Gi" } },
            },
        }));
        world.run(5);
        world.create::<Pod>(json!({
            "metadata": { "name": "user", "namespace": "default" },
            "spec": {
                "containers": [{ "name": "c", "image": "busybox:1" }],
                "volumes": [{ "name": "data", "persistentVolumeClaim": { "claimName": "data" } }],
            },
        }));
        world.run(seconds);
        let late = "running PreBind plugin \"VolumeBinding\": binding volumes: context deadline exceeded";
        let events = world.list::<Event>("default");
        let told = events.iter().filter(|event| event.message.as_deref() == Some(late));
        let told: i32 = told.map(|event| event.count.unwrap_or(1)).sum();
        assert_eq!(told, attempts, "{timeout} s, after {seconds} s");
    }
}
