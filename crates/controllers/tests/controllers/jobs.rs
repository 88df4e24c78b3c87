//! Jobs on the real API server.
use k8s_openapi::api::batch::v1::{Job, JobStatus};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use crate::world::World;

fn job(image: &str, more: Value) -> Value {
    let mut manifest = json!({
        "metadata": { "name": "work", "namespace": "default" },
        "spec": { "template": { "spec": {
            "restartPolicy": "Never", "containers": [{ "name": "work", "image": image }],
        } } },
    });
    manifest["spec"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    manifest
}

fn world() -> World {
    let world = World::new(2);
    world.nodes.borrow_mut().start = std::time::Duration::from_millis(500);
    world.nodes.borrow_mut().ending_images.extend([("good".into(), true), ("bad".into(), false)]);
    world
}

fn status(world: &World) -> JobStatus {
    world.get::<Job>("default", "work").status.clone().unwrap()
}

/// The condition that says how the Job ended: type, reason, message.
fn end(world: &World) -> Option<(String, String, String)> {
    let conditions = status(world).conditions.unwrap_or_default();
    let last =
        conditions.into_iter().find(|c| ["Complete", "Failed"].contains(&c.type_.as_str()) && c.status == "True")?;
    Some((last.type_, last.reason.unwrap(), last.message.unwrap()))
}

fn words(kind: &str, reason: &str, message: &str) -> Option<(String, String, String)> {
    Some((kind.into(), reason.into(), message.into()))
}

#[test]
fn a_job_runs_to_completion() {
    let mut world = world();
    world.create::<Job>(job("good", json!({ "completions": 5, "parallelism": 2 })));
    for _ in 0..20 {
        world.run(1);
        let pods = world.list::<Pod>("default");
        assert!(pods.iter().filter(|pod| playground_controllers::pods::is_active(pod)).count() <= 2);
    }
    assert_eq!(end(&world), words("Complete", "CompletionsReached", "Reached expected number of succeeded pods"));
    assert_eq!((status(&world).succeeded, status(&world).failed), (Some(5), None));
    assert!(status(&world).completion_time.is_some());
    let pods = world.list::<Pod>("default");
    assert_eq!(pods.len(), 5);
    assert!(pods.iter().all(|pod| pod.metadata.finalizers.iter().flatten().next().is_none()));
    assert_eq!(world.events("work").last().unwrap(), "Completed Job completed");
}

#[test]
fn a_job_that_fails_gives_up_after_backing_off() {
    let mut world = world();
    world.create::<Job>(job("bad", json!({ "backoffLimit": 2 })));
    world.run(5);
    assert_eq!(world.list::<Pod>("default").len(), 1);
    world.run(10);
    assert_eq!(world.list::<Pod>("default").len(), 2);
    world.run(60);
    assert_eq!(end(&world), words("Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit"));
    assert_eq!(status(&world).failed, Some(3));
}

#[test]
fn indexes_are_done_each_once() {
    let mut world = world();
    world.create::<Job>(job("good", json!({ "completions": 4, "parallelism": 3, "completionMode": "Indexed" })));
    world.run(2);
    let pods = world.list::<Pod>("default");
    assert!(pods.iter().all(|pod| pod.metadata.name.as_ref().unwrap().starts_with("work-")));
    world.run(10);
    assert_eq!(status(&world).completed_indexes.as_deref(), Some("0-3"));
    assert_eq!(world.list::<Pod>("default").len(), 4);
    assert_eq!(end(&world).unwrap().0, "Complete");
}

#[test]
fn suspending_and_deadlines() {
    let mut world = world();
    world.create::<Job>(job("forever", json!({ "parallelism": 2, "completions": 2, "suspend": true })));
    world.run(2);
    assert!(world.list::<Pod>("default").is_empty());
    world.patch::<Job>("default", "work", json!({ "spec": { "suspend": false, "activeDeadlineSeconds": 30 } }));
    world.run(5);
    assert_eq!((status(&world).active, status(&world).ready), (Some(2), Some(2)));
    world.patch::<Job>("default", "work", json!({ "spec": { "suspend": true } }));
    world.run(5);
    assert!(world.list::<Pod>("default").is_empty());
    assert_eq!(status(&world).failed, None, "pods that were suspended have not failed");
    world.patch::<Job>("default", "work", json!({ "spec": { "suspend": false } }));
    world.run(40);
    assert_eq!(end(&world), words("Failed", "DeadlineExceeded", "Job was active longer than specified deadline"));
    assert!(world.list::<Pod>("default").is_empty());
}

#[test]
fn a_finished_job_goes_after_its_time() {
    let mut world = world();
    world.create::<Job>(job("good", json!({ "completions": 1, "ttlSecondsAfterFinished": 20 })));
    world.run(15);
    assert!(end(&world).is_some());
    world.run(30);
    assert!(!world.exists::<Job>("default", "work"));
    assert!(world.list::<Pod>("default").is_empty());
}

fn cron_job(schedule: &str, image: &str, policy: &str) -> Value {
    json!({
        "metadata": { "name": "tick", "namespace": "default" },
        "spec": {
            "schedule": schedule,
            "concurrencyPolicy": policy,
            "successfulJobsHistoryLimit": 2,
            "failedJobsHistoryLimit": 1,
            "jobTemplate": job(image, json!({})),
        },
    })
}

#[test]
fn cron_jobs_come_by_the_clock() {
    use k8s_openapi::api::batch::v1::CronJob;
    let mut world = world();
    world.create::<CronJob>(cron_job("*/2 * * * *", "good", "Allow"));
    world.run(100);
    assert!(world.list::<Job>("default").is_empty());
    world.run(30);
    let jobs = world.list::<Job>("default");
    assert_eq!(jobs.len(), 1);
    assert_eq!(
        jobs[0].metadata.annotations.as_ref().unwrap()["batch.kubernetes.io/cronjob-scheduled-timestamp"],
        "2026-01-01T00:02:00Z"
    );
    world.run(600);
    assert_eq!(world.list::<Job>("default").len(), 2, "the history has its limit");
    let status = world.get::<CronJob>("default", "tick").status.clone().unwrap();
    assert!(status.active.is_none() && status.last_successful_time.is_some());
}

#[test]
fn a_job_made_by_hand_is_unexpected() {
    use k8s_openapi::api::batch::v1::CronJob;
    let mut world = world();
    let mut manifest = cron_job("0 5 * * *", "good", "Forbid");
    manifest["spec"]["timeZone"] = "America/New_York".into();
    let cron_job = world.create::<CronJob>(manifest);
    world.run(1);
    // As `kubectl create job --from=cronjob/tick` makes it.
    let mut by_hand = job("good", json!({}));
    by_hand["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "batch/v1", "kind": "CronJob", "name": "tick", "uid": cron_job.metadata.uid, "controller": true,
    }]);
    world.create::<Job>(by_hand);
    world.run(10);
    assert_eq!(world.events("tick"), ["UnexpectedJob Saw a job that the controller did not create or forgot: work"]);
    let status = world.get::<CronJob>("default", "tick").status.clone().unwrap();
    assert!(status.active.is_none() && status.last_schedule_time.is_none());
    assert!(status.last_successful_time.is_some());
    world.run(10 * 3600 + 10);
    let jobs = world.list::<Job>("default");
    let scheduled = jobs.iter().find_map(|job| job.metadata.annotations.as_ref()?.values().next().cloned());
    assert_eq!(scheduled.as_deref(), Some("2026-01-01T05:00:00-05:00"), "in the schedule's time zone");
}

#[test]
fn what_still_runs_may_forbid_the_next() {
    use k8s_openapi::api::batch::v1::CronJob;
    for (policy, count) in [("Forbid", 1), ("Replace", 1), ("Allow", 3)] {
        let mut world = world();
        world.create::<CronJob>(cron_job("* * * * *", "forever", policy));
        world.run(190);
        assert_eq!(world.list::<Job>("default").len(), count, "{policy}");
    }
}

#[test]
fn a_job_that_cannot_be_replaced_yet_is_not_forgotten() {
    use k8s_openapi::api::batch::v1::CronJob;
    let mut world = world();
    world.create::<CronJob>(cron_job("* * * * *", "forever", "Replace"));
    world.run(70);
    let active = |world: &World| {
        let status = world.get::<CronJob>("default", "tick").status.clone().unwrap();
        status.active.into_iter().flatten().map(|job| job.name.unwrap()).collect::<Vec<_>>()
    };
    let names = |world: &World| {
        world.list::<Job>("default").iter().map(|job| job.metadata.name.clone().unwrap()).collect::<Vec<_>>()
    };
    let first = names(&world);
    world.wire.refuses.set(Some(|request| request.method() == "DELETE" && request.uri().path().contains("/jobs/")));
    world.run(60);
    assert_eq!((active(&world), names(&world)), (first.clone(), first.clone()));
    assert!(world.events("tick").iter().any(|event| event.starts_with("FailedDelete Deleted job: ")));
    world.wire.refuses.set(None);
    world.run(60);
    assert_eq!((active(&world), names(&world).len()), (names(&world), 1));
    assert_ne!(names(&world), first);
}

#[test]
fn a_job_that_finished_unnoted_is_told_of() {
    use k8s_openapi::api::batch::v1::CronJob;
    let mut world = world();
    let cron_job = world.create::<CronJob>(cron_job("* * * * *", "good", "Forbid"));
    world.run(1);
    world.stop("cronjob-controller");
    // What the controller had made before it could note it.
    let minute = world.now().as_second() / 60 + 1;
    let mut started = job("good", json!({}));
    started["metadata"]["name"] = format!("tick-{minute}").into();
    started["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "batch/v1", "kind": "CronJob", "name": "tick", "uid": cron_job.metadata.uid, "controller": true,
    }]);
    world.create::<Job>(started);
    world.run(62);
    world.start("cronjob-controller");
    world.run(5);
    let told = format!("SawCompletedJob Saw completed job: tick-{minute}, condition: Complete");
    assert_eq!(world.events("tick"), [told]);
    assert!(world.get::<CronJob>("default", "tick").status.clone().unwrap().active.is_none());
}

#[test]
fn each_index_has_its_own_backoff_limit() {
    let mut world = world();
    world.create::<Job>(job(
        "bad",
        json!({
            "completions": 3, "parallelism": 3, "completionMode": "Indexed", "backoffLimitPerIndex": 1,
        }),
    ));
    world.run(2);
    assert_eq!((status(&world).failed, status(&world).active.unwrap_or(0)), (None, 0), "they wait for their backoff");
    let waiting = world.list::<Pod>("default");
    assert!(waiting.iter().all(|pod| pod.metadata.finalizers.is_some()), "the next ones take over their counts");
    world.run(60);
    assert_eq!((status(&world).failed, status(&world).failed_indexes), (Some(6), Some("0-2".into())));
    assert_eq!(end(&world), words("Failed", "FailedIndexes", "Job has failed indexes"));
    assert_eq!(world.list::<Pod>("default").len(), 6);
}

#[test]
fn failures_of_an_index_are_counted_apart_where_they_are_ignored() {
    let mut world = world();
    world.create::<Job>(job(
        "forever",
        json!({
            "completions": 1, "completionMode": "Indexed", "backoffLimitPerIndex": 1,
            "podFailurePolicy": { "rules": [
                { "action": "Ignore", "onPodConditions": [{ "type": "DisruptionTarget" }] },
            ] },
        }),
    ));
    world.run(2);
    let counts = |world: &World| {
        let pods = world.list::<Pod>("default");
        let pod = pods.iter().find(|pod| playground_controllers::pods::is_active(pod)).unwrap();
        let count =
            |name: &str| pod.metadata.annotations.as_ref()?.get(&format!("batch.kubernetes.io/{name}")).cloned();
        let counts = [count("job-index-failure-count"), count("job-index-ignored-failure-count")];
        (pod.metadata.name.clone().unwrap(), counts.map(Option::unwrap_or_default))
    };
    let (first, none) = counts(&world);
    assert_eq!(none, ["0", ""]);
    let disrupted = json!({ "type": "DisruptionTarget", "status": "True" });
    let client = client::Client::new(world.wire.clone(), "kubelet");
    let fail = |name: &str, conditions: Value| {
        let patch = client::Patch::Strategic(json!({ "status": { "phase": "Failed", "conditions": conditions } }));
        client.patch_status::<Pod>(&machinery::ObjectKey::new("default", name), &patch).unwrap();
    };
    fail(&first, json!([disrupted]));
    world.run(15);
    let (second, ignored) = counts(&world);
    assert_eq!(ignored, ["0", "1"]);
    world.delete::<Pod>("default", &second, &client::DeleteOptions::default());
    fail(&second, json!([]));
    world.run(10);
    assert!(world.exists::<Pod>("default", &second), "it waits for the one that takes over its counts");
    world.run(20);
    assert!(!world.exists::<Pod>("default", &second));
    let (third, counted) = counts(&world);
    assert_eq!((counted, status(&world).failed), (["1".to_owned(), "1".to_owned()], Some(1)));
    fail(&third, json!([]));
    world.run(5);
    assert_eq!(end(&world), words("Failed", "FailedIndexes", "Job has failed indexes"));
}

#[test]
fn counts_that_somebody_wrote_into_a_pod_do_no_harm() {
    let mut world = world();
    let limits = json!({ "completions": 1, "completionMode": "Indexed", "backoffLimitPerIndex": 5 });
    world.create::<Job>(job("forever", limits));
    world.run(2);
    let pod = world.list::<Pod>("default")[0].metadata.name.clone().unwrap();
    let annotations = json!({
        "batch.kubernetes.io/job-index-failure-count": "1",
        "batch.kubernetes.io/job-index-ignored-failure-count": i32::MAX.to_string(),
    });
    world.patch::<Pod>("default", &pod, json!({ "metadata": { "annotations": annotations } }));
    let client = client::Client::new(world.wire.clone(), "kubelet");
    let failed = client::Patch::Strategic(json!({ "status": { "phase": "Failed" } }));
    client.patch_status::<Pod>(&machinery::ObjectKey::new("default", pod), &failed).unwrap();
    world.run(500);
    assert_eq!(world.list::<Pod>("default").len(), 1, "it waits as long as any");
    world.run(200);
    assert_eq!(world.list::<Pod>("default").len(), 2);
}

#[test]
fn an_indexed_job_that_shrinks_loses_its_last_indexes() {
    let mut world = world();
    let wide = json!({ "completions": 3, "parallelism": 3, "completionMode": "Indexed" });
    world.create::<Job>(job("forever", wide));
    world.run(2);
    let pods = |world: &World| {
        let pods = world.list::<Pod>("default");
        pods.iter().map(|pod| pod.metadata.name.clone().unwrap()).collect::<Vec<_>>()
    };
    let first = pods(&world);
    world.patch::<Job>("default", "work", json!({ "spec": { "completions": 2, "parallelism": 2 } }));
    world.run(5);
    assert_eq!(pods(&world), first[..2]);
    assert_eq!(status(&world).failed, None);
}

#[test]
fn what_a_success_leaves_over_has_not_failed() {
    let mut world = world();
    world.create::<Job>(job(
        "forever",
        json!({
            "completions": 2, "parallelism": 2, "completionMode": "Indexed",
            "successPolicy": { "rules": [{ "succeededIndexes": "0" }] },
        }),
    ));
    world.run(2);
    let first = world.list::<Pod>("default")[0].metadata.name.clone().unwrap();
    let client = client::Client::new(world.wire.clone(), "kubelet");
    let patch = client::Patch::Strategic(json!({ "status": { "phase": "Succeeded" } }));
    client.patch_status::<Pod>(&machinery::ObjectKey::new("default", first), &patch).unwrap();
    world.run(5);
    assert_eq!(end(&world), words("Complete", "SuccessPolicy", "Matched rules at index 0"));
    assert_eq!((status(&world).succeeded, status(&world).failed), (Some(1), None));
}

#[test]
fn more_successes_than_asked_for_are_told_of() {
    let mut world = world();
    world.create::<Job>(job("forever", json!({ "completions": 2, "parallelism": 2 })));
    world.run(2);
    world.stop("job-controller");
    let client = client::Client::new(world.wire.clone(), "kubelet");
    for pod in world.list::<Pod>("default") {
        let patch = client::Patch::Strategic(json!({ "status": { "phase": "Succeeded" } }));
        client.patch_status::<Pod>(&client::key_of(&*pod), &patch).unwrap();
        let mut third = (*pod).clone();
        third.metadata = k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
            name: Some("third".into()),
            resource_version: None,
            uid: None,
            ..third.metadata
        };
        if let Ok(third) = client.create(third) {
            client.patch_status::<Pod>(&client::key_of(&*third), &patch).unwrap();
        }
    }
    world.start("job-controller");
    world.run(5);
    let told = "TooManySucceededPods Too many succeeded pods running after completion count reached";
    assert_eq!(world.events("work")[2..], [told.to_owned(), "Completed Job completed".to_owned()]);
}

#[test]
fn too_many_failed_indexes_end_the_job() {
    let mut world = world();
    world.create::<Job>(job(
        "bad",
        json!({
            "completions": 5, "parallelism": 1, "completionMode": "Indexed",
            "backoffLimitPerIndex": 0, "maxFailedIndexes": 1,
        }),
    ));
    world.run(60);
    let message = "Job has exceeded the specified maximal number of failed indexes";
    assert_eq!(end(&world), words("Failed", "MaxFailedIndexesExceeded", message));
    assert_eq!(status(&world).failed_indexes, Some("0,1".into()));
}
