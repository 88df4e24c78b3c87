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
    assert_eq!(status(&world).failed, Some(3));
    let active = status(&world).active.unwrap_or(0);
    assert_eq!(active, 0, "they wait for their backoff");
    world.run(60);
    assert_eq!((status(&world).failed, status(&world).failed_indexes), (Some(6), Some("0-2".into())));
    assert_eq!(end(&world), words("Failed", "FailedIndexes", "Job has failed indexes"));
    assert_eq!(world.list::<Pod>("default").len(), 6);
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
