//! What makes pods.

use machinery::sort::Order;
use serde_json::Value;

use super::page::{Page, count, joined, long_time, or, plain, selector};
use super::pod;
use crate::api::Url;
use crate::error::Error;
use crate::resources::{items, text};
use crate::select;
use crate::session::Session;
use crate::value::ValueExt;

fn owned_by(object: &Value, owner: &Value) -> bool {
    let uid = &owner["metadata"]["uid"];
    items(&object["metadata"]["ownerReferences"]).any(|owner| owner["uid"] == *uid && owner["controller"] == true)
}

/// Objects of a resource in the owner's namespace that the owner controls.
async fn children(session: &Session<'_>, owner: &Value, prefix: &str, plural: &str) -> Result<Vec<Value>, Error> {
    let namespace = text(&owner["metadata"]["namespace"]);
    let list = select::list_all(session, Url::new(format!("{prefix}/namespaces/{namespace}/{plural}"))).await?;
    Ok(list.into_iter().filter(|object| owned_by(object, owner)).collect())
}

async fn pods_status(session: &Session<'_>, page: &mut Page, owner: &Value) -> Result<(), Error> {
    let pods = children(session, owner, "/api/v1", "pods").await?;
    let in_phase = |phase: &str| pods.iter().filter(|pod| pod["status"]["phase"] == phase).count();
    page.field(
        "Pods Status",
        format!(
            "{} Running / {} Waiting / {} Succeeded / {} Failed",
            in_phase("Running"),
            in_phase("Pending"),
            in_phase("Succeeded"),
            in_phase("Failed")
        ),
    );
    Ok(())
}

pub(super) async fn deployment(session: &Session<'_>, page: &mut Page, object: &Value) -> Result<(), Error> {
    let (spec, status) = (&object["spec"], &object["status"]);
    page.name(object);
    page.field("CreationTimestamp", long_time(&object["metadata"]["creationTimestamp"]));
    page.meta(object);
    page.field("Selector", selector(&spec["selector"]));
    page.field(
        "Replicas",
        format!(
            "{} desired | {} updated | {} total | {} available | {} unavailable",
            count(&spec["replicas"]),
            count(&status["updatedReplicas"]),
            count(&status["replicas"]),
            count(&status["availableReplicas"]),
            count(&status["unavailableReplicas"])
        ),
    );
    page.field("StrategyType", text(&spec["strategy"]["type"]));
    page.field("MinReadySeconds", count(&spec["minReadySeconds"]).to_string());
    let rolling = &spec["strategy"]["rollingUpdate"];
    if !rolling.is_null() {
        let (unavailable, surge) = (plain(&rolling["maxUnavailable"]), plain(&rolling["maxSurge"]));
        page.field("RollingUpdateStrategy", format!("{unavailable} max unavailable, {surge} max surge"));
    }
    pod::template(page, &spec["template"]);
    page.conditions(&status["conditions"]);
    let mut sets = children(session, object, "/apis/apps/v1", "replicasets").await?;
    sets.order_by_key(|set| text(&set["metadata"]["creationTimestamp"]));
    if sets.is_empty() {
        return Ok(());
    }
    let (new, old): (Vec<&Value>, Vec<&Value>) =
        sets.iter().partition(|set| same_template(&set["spec"]["template"], &spec["template"]));
    let show = |sets: &[&Value]| {
        let texts: Vec<String> = sets
            .iter()
            .map(|set| {
                let name = text(&set["metadata"]["name"]);
                let (made, wanted) = (count(&set["status"]["replicas"]), count(&set["spec"]["replicas"]));
                format!("{name} ({made}/{wanted} replicas created)")
            })
            .collect();
        if texts.is_empty() { "<none>".to_owned() } else { texts.join(", ") }
    };
    page.field("OldReplicaSets", show(&old));
    page.field("NewReplicaSet", show(&new));
    Ok(())
}

/// Whether a ReplicaSet's template is the Deployment's, but for the hash.
fn same_template(set: &Value, deployment: &Value) -> bool {
    let mut set = set.clone();
    if let Some(labels) = set.fields_mut(&["metadata", "labels"]) {
        labels.remove("pod-template-hash");
    }
    set == *deployment
}

fn replicas(page: &mut Page, object: &Value) {
    let (now, wanted) = (count(&object["status"]["replicas"]), count(&object["spec"]["replicas"]));
    page.field("Replicas", format!("{now} current / {wanted} desired"));
}

pub(super) async fn replica_set(session: &Session<'_>, page: &mut Page, object: &Value) -> Result<(), Error> {
    page.name(object);
    page.field("Selector", selector(&object["spec"]["selector"]));
    page.meta(object);
    page.controller(object);
    replicas(page, object);
    pods_status(session, page, object).await?;
    pod::template(page, &object["spec"]["template"]);
    page.conditions(&object["status"]["conditions"]);
    Ok(())
}

pub(super) async fn replication_controller(
    session: &Session<'_>,
    page: &mut Page,
    object: &Value,
) -> Result<(), Error> {
    page.name(object);
    page.field("Selector", joined(&object["spec"]["selector"]));
    page.meta(object);
    replicas(page, object);
    pods_status(session, page, object).await?;
    pod::template(page, &object["spec"]["template"]);
    page.conditions(&object["status"]["conditions"]);
    Ok(())
}

pub(super) async fn daemon_set(session: &Session<'_>, page: &mut Page, object: &Value) -> Result<(), Error> {
    let status = &object["status"];
    page.field("Name", text(&object["metadata"]["name"]));
    page.field("Selector", selector(&object["spec"]["selector"]));
    page.labels("Node-Selector", &object["spec"]["template"]["spec"]["nodeSelector"]);
    page.meta(object);
    for (title, field) in [
        ("Desired Number of Nodes Scheduled", "desiredNumberScheduled"),
        ("Current Number of Nodes Scheduled", "currentNumberScheduled"),
        ("Number of Nodes Scheduled with Up-to-date Pods", "updatedNumberScheduled"),
        ("Number of Nodes Scheduled with Available Pods", "numberAvailable"),
        ("Number of Nodes Misscheduled", "numberMisscheduled"),
    ] {
        // The original ends its titles without a tab here.
        page.line(0, format!("{title}: {}", count(&status[field])));
    }
    pods_status(session, page, object).await?;
    pod::template(page, &object["spec"]["template"]);
    Ok(())
}

pub(super) async fn stateful_set(session: &Session<'_>, page: &mut Page, object: &Value) -> Result<(), Error> {
    let (spec, status) = (&object["spec"], &object["status"]);
    page.name(object);
    page.field("CreationTimestamp", long_time(&object["metadata"]["creationTimestamp"]));
    page.field("Selector", selector(&spec["selector"]));
    page.meta(object);
    page.field("Replicas", format!("{} desired | {} total", count(&spec["replicas"]), count(&status["replicas"])));
    page.field("Update Strategy", text(&spec["updateStrategy"]["type"]));
    if let Some(partition) = spec["updateStrategy"]["rollingUpdate"]["partition"].as_i64() {
        page.line(1, format!("Partition:\t{partition}"));
    }
    pods_status(session, page, object).await?;
    pod::template(page, &spec["template"]);
    let claims: Vec<&Value> = items(&spec["volumeClaimTemplates"]).collect();
    if claims.is_empty() {
        page.field("Volume Claims", "<none>");
        return Ok(());
    }
    page.line(0, "Volume Claims:");
    for claim in claims {
        page.line(1, format!("Name:\t{}", text(&claim["metadata"]["name"])));
        page.line(1, format!("StorageClass:\t{}", text(&claim["spec"]["storageClassName"])));
        page.labels("  Labels", &claim["metadata"]["labels"]);
        page.labels("  Annotations", &claim["metadata"]["annotations"]);
        page.line(
            1,
            format!("Capacity:\t{}", or(&plain(&claim["spec"]["resources"]["requests"]["storage"]), "<default>")),
        );
        let modes: Vec<String> = items(&claim["spec"]["accessModes"]).map(text).collect();
        page.line(1, format!("Access Modes:\t[{}]", modes.join(" ")));
    }
    Ok(())
}

pub(super) fn job(page: &mut Page, object: &Value) {
    let (spec, status) = (&object["spec"], &object["status"]);
    page.name(object);
    page.field("Selector", selector(&spec["selector"]));
    page.meta(object);
    page.controller(object);
    page.some("Parallelism", &spec["parallelism"]);
    match spec["completions"].as_i64() {
        Some(completions) => page.field("Completions", completions.to_string()),
        None => page.field("Completions", "<unset>"),
    }
    page.some("Completion Mode", &spec["completionMode"]);
    if let Some(suspend) = spec["suspend"].as_bool() {
        page.field("Suspend", suspend.to_string());
    }
    page.some("Backoff Limit", &spec["backoffLimit"]);
    if let Some(seconds) = spec["ttlSecondsAfterFinished"].as_i64() {
        page.field("TTL Seconds After Finished", seconds.to_string());
    }
    if !status["startTime"].is_null() {
        page.field("Start Time", long_time(&status["startTime"]));
    }
    if !status["completionTime"].is_null() {
        page.field("Completed At", long_time(&status["completionTime"]));
        let span = super::page::timestamp(&status["startTime"])
            .zip(super::page::timestamp(&status["completionTime"]))
            .map(|(start, end)| machinery::time::human_duration(end.as_second() - start.as_second()));
        page.field("Duration", span.unwrap_or_default());
    }
    if let Some(seconds) = spec["activeDeadlineSeconds"].as_i64() {
        page.field("Active Deadline Seconds", format!("{seconds}s"));
    }
    let (active, succeeded, failed) = (count(&status["active"]), count(&status["succeeded"]), count(&status["failed"]));
    let ready = status["ready"].as_i64();
    page.field(
        "Pods Statuses",
        match ready {
            None => format!("{active} Active / {succeeded} Succeeded / {failed} Failed"),
            Some(ready) => format!("{active} Active ({ready} Ready) / {succeeded} Succeeded / {failed} Failed"),
        },
    );
    if spec["completionMode"] == "Indexed" {
        let done = text(&status["completedIndexes"]);
        page.field("Completed Indexes", or(&done, "<none>"));
    }
    pod::template(page, &spec["template"]);
}

pub(super) fn cron_job(page: &mut Page, object: &Value) {
    let (spec, status) = (&object["spec"], &object["status"]);
    page.head(object);
    page.field("Schedule", text(&spec["schedule"]));
    page.field("Concurrency Policy", text(&spec["concurrencyPolicy"]));
    page.field("Suspend", if spec["suspend"] == true { "True" } else { "False" });
    let limit = |field: &str| spec[field].as_i64().map_or("<unset>".to_owned(), |limit| limit.to_string());
    page.field("Successful Job History Limit", limit("successfulJobsHistoryLimit"));
    page.field("Failed Job History Limit", limit("failedJobsHistoryLimit"));
    page.field(
        "Starting Deadline Seconds",
        spec["startingDeadlineSeconds"].as_i64().map_or("<unset>".to_owned(), |seconds| format!("{seconds}s")),
    );
    let job = &spec["jobTemplate"]["spec"];
    page.field("Selector", if job["selector"].is_null() { "<unset>".into() } else { selector(&job["selector"]) });
    let number = |field: &str| job[field].as_i64().map_or("<unset>".to_owned(), |number| number.to_string());
    page.field("Parallelism", number("parallelism"));
    page.field("Completions", number("completions"));
    if let Some(seconds) = job["activeDeadlineSeconds"].as_i64() {
        page.field("Active Deadline Seconds", format!("{seconds}s"));
    }
    pod::template(page, &job["template"]);
    match status["lastScheduleTime"].is_null() {
        true => page.field("Last Schedule Time", "<unset>"),
        false => page.field("Last Schedule Time", long_time(&status["lastScheduleTime"])),
    }
    let active: Vec<String> = items(&status["active"]).map(|job| text(&job["name"])).collect();
    page.field("Active Jobs", if active.is_empty() { "<none>".into() } else { active.join(", ") });
}

/// A metric of an autoscaler, of whatever kind: what it is of, what it is and what it should be.
fn metric_of(metric: &Value, status: &Value) -> String {
    let kind = text(&metric["type"]);
    let field = match kind.as_str() {
        "External" => "external",
        "Pods" => "pods",
        "Object" => "object",
        "Resource" => "resource",
        "ContainerResource" => "containerResource",
        _ => return format!("<unknown metric type {kind:?}>"),
    };
    let (source, current) = (&metric[field], &status[field]["current"]);
    let target = &source["target"];
    let amounts = |field: &str| {
        let now = plain(&current[field]);
        format!("{} / {}", or(&now, "<unknown>"), plain(&target[field]))
    };
    let average = target["type"] == "AverageValue" || !target["averageValue"].is_null();
    let (average, how) = match average {
        true => (amounts("averageValue"), "target average value"),
        false => (amounts("value"), "target value"),
    };
    let name = text(&source["metric"]["name"]);
    let of = match field {
        "external" => return format!("{name:?} ({how}):\t{average}"),
        "pods" => return format!("{name:?} on pods:\t{}", amounts("averageValue")),
        "object" => {
            let object = &source["describedObject"];
            let object = format!("{}/{}", text(&object["kind"]), text(&object["name"]));
            return format!("{name:?} on {object} ({how}):\t{average}");
        }
        "resource" => format!("resource {} on pods", text(&source["name"])),
        _ => format!("resource {} of container {:?} on pods", text(&source["name"]), text(&source["container"])),
    };
    if !target["averageValue"].is_null() {
        return format!("{of}:\t{average}");
    }
    let now = match current["averageUtilization"].as_i64() {
        Some(now) => format!("{now}% ({})", plain(&current["averageValue"])),
        None => "<unknown>".into(),
    };
    let wanted = target["averageUtilization"].as_i64().map_or("<auto>".into(), |percent| format!("{percent}%"));
    format!("{of}  (as a percentage of request):\t{now} / {wanted}")
}

/// How fast an autoscaler may scale one way.
fn direction(page: &mut Page, title: &str, rules: &Value) {
    if rules.is_null() {
        return;
    }
    page.line(1, format!("{title}:"));
    if let Some(seconds) = rules["stabilizationWindowSeconds"].as_i64() {
        page.line(2, format!("Stabilization Window: {seconds} seconds"));
    }
    let mut policies = items(&rules["policies"]).peekable();
    if policies.peek().is_none() {
        return;
    }
    let select = text(&rules["selectPolicy"]);
    page.line(2, format!("Select Policy: {}", or(&select, "Max")));
    page.line(2, "Policies:");
    for policy in policies {
        let (value, period) = (count(&policy["value"]), count(&policy["periodSeconds"]));
        page.line(3, format!("- Type: {}\tValue: {value}\tPeriod: {period} seconds", text(&policy["type"])));
    }
}

pub(super) fn autoscaler(page: &mut Page, object: &Value) {
    let (spec, status) = (&object["spec"], &object["status"]);
    page.head(object);
    page.field("CreationTimestamp", long_time(&object["metadata"]["creationTimestamp"]));
    let target = &spec["scaleTargetRef"];
    let reference = format!("{}/{}", text(&target["kind"]), text(&target["name"]));
    page.field("Reference", &reference);
    if let Some(wanted) = spec["targetCPUUtilizationPercentage"].as_i64() {
        let current = status["currentCPUUtilizationPercentage"].as_i64();
        page.field("Target CPU utilization", format!("{wanted}%"));
        page.field("Current CPU utilization", current.map_or("<unknown>%".into(), |percent| format!("{percent}%")));
    } else {
        page.line(0, "Metrics:\t( current / target )");
        for (index, metric) in items(&spec["metrics"]).enumerate() {
            page.line(0, format!("  {}", metric_of(metric, &status["currentMetrics"][index])));
        }
    }
    page.field("Min replicas", spec["minReplicas"].as_i64().map_or("<unset>".into(), |min| min.to_string()));
    page.field("Max replicas", count(&spec["maxReplicas"]).to_string());
    if !spec["behavior"].is_null() {
        page.line(0, "Behavior:");
        direction(page, "Scale Up", &spec["behavior"]["scaleUp"]);
        direction(page, "Scale Down", &spec["behavior"]["scaleDown"]);
    }
    let kind = text(&target["kind"]);
    page.field(
        &format!("{kind} pods"),
        format!("{} current / {} desired", count(&status["currentReplicas"]), count(&status["desiredReplicas"])),
    );
    let mut conditions = items(&status["conditions"]).peekable();
    if conditions.peek().is_some() {
        page.line(0, "Conditions:\n  Type\tStatus\tReason\tMessage");
        page.line(1, "----\t------\t------\t-------");
        for condition in conditions {
            let cell = |field: &str| text(&condition[field]);
            page.line(1, format!("{}\t{}\t{}\t{}", cell("type"), cell("status"), cell("reason"), cell("message")));
        }
    }
}

pub(super) fn disruption_budget(page: &mut Page, object: &Value) {
    let (spec, status) = (&object["spec"], &object["status"]);
    page.name(object);
    page.some("Min available", &spec["minAvailable"]);
    page.some("Max unavailable", &spec["maxUnavailable"]);
    page.field("Selector", if spec["selector"].is_null() { "<unset>".into() } else { selector(&spec["selector"]) });
    page.line(0, "Status:");
    for (title, field) in [
        ("Allowed disruptions", "disruptionsAllowed"),
        ("Current", "currentHealthy"),
        ("Desired", "desiredHealthy"),
        ("Total", "expectedPods"),
    ] {
        page.line(2, format!("{title}:\t{}", count(&status[field])));
    }
}
