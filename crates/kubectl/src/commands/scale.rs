//! `kubectl scale` and `kubectl autoscale`.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use super::create;
use crate::api::Url;
use crate::error::Error;
use crate::print::output::{COMMON, Output, done};
use crate::resources::{self, Resource, text};
use crate::select::{self, Choice, Info};
use crate::session::{DryRun, Session};

/// `kubectl scale`
pub(super) async fn scale(session: &Session<'_>) -> Result<(), Error> {
    let args = &session.args;
    args.require(&["replicas"])?;
    let replicas = args.int("replicas");
    let dry_run = session.dry_run()?;
    let output = Output::new(session, COMMON).await?;
    if replicas < 0 {
        return Err(Error::message(
            "The --replicas=COUNT flag is required, and COUNT must be greater than or equal to 0",
        ));
    }
    if args.int("current-replicas") < -1 {
        return Err(Error::message("The --current-replicas must specify an integer of -1 or greater"));
    }
    let choice =
        Choice { args: &args.args, selector: args.string("selector"), all: args.bool("all"), ..Choice::default() };
    let (infos, errors) = select::infos(session, &choice).await?;
    if !args.string("resource-version").is_empty() && infos.len() > 1 {
        return Err(Error::message("cannot use --resource-version with multiple resources"));
    }
    if infos.is_empty() {
        let reason = match errors.is_empty() {
            true => String::new(),
            false => format!(" {}", Error::Many(errors).plain()),
        };
        return Err(Error::message(format!("no objects passed to scale{reason}")));
    }
    for mut info in infos {
        if dry_run != DryRun::Client {
            scale_one(session, &info, replicas, dry_run).await?;
            super::record::afterwards(session, &info, dry_run).await?;
        }
        info.object["spec"]["replicas"] = replicas.into();
        done(session, &output, &info.object, &format!("scaled{}", dry_run.suffix()))?;
    }
    Error::all(errors)
}

/// How often and how long a write that others were faster than is tried again, as upstream's `RunScale`.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
const RETRY_TIMEOUT: Duration = Duration::from_secs(300);

async fn scale_one(session: &Session<'_>, info: &Info, replicas: i64, dry_run: DryRun) -> Result<(), Error> {
    let args = &session.args;
    let client = session.client().await?;
    let path = format!("{}/scale", info.path());
    let written = async {
        loop {
            match set_replicas(session, info, replicas, dry_run).await {
                Err(error) if error.is_reason("Conflict") => session.sleep(RETRY_INTERVAL).await,
                result => return result,
            }
        }
    };
    let timed_out = || Err(Error::message("timed out waiting for the condition"));
    session.within(Some(RETRY_TIMEOUT), written).await.unwrap_or_else(timed_out)?;
    let timeout = args.duration("timeout");
    if timeout.is_zero() || dry_run != DryRun::None {
        return Ok(());
    }
    let settled = async {
        loop {
            let scale = client.get(path.as_str()).await?;
            // Somebody else's number is not waited for.
            if scale["spec"]["replicas"] != replicas || scale["status"]["replicas"].as_i64().unwrap_or(0) == replicas {
                return Ok(());
            }
            session.sleep(RETRY_INTERVAL).await;
        }
    };
    let timed_out = || Err(Error::message(format!("timed out waiting for {:?} to be synced", info.name)));
    session.within(Some(timeout), settled).await.unwrap_or_else(timed_out)
}

/// Writes the scale once: with preconditions as they are read and checked, else whatever it was before.
async fn set_replicas(session: &Session<'_>, info: &Info, replicas: i64, dry_run: DryRun) -> Result<(), Error> {
    let args = &session.args;
    let client = session.client().await?;
    let path = format!("{}/scale", info.path());
    let (expected, version) = (args.int("current-replicas"), args.string("resource-version"));
    let url = Url::new(path.as_str()).with_some("dryRun", dry_run.parameter());
    if expected < 0 && version.is_empty() {
        let change = json!({ "spec": { "replicas": replicas } });
        let answer = resources::patch(client, url, super::MERGE_PATCH, &change).await;
        return answer.map(drop).map_err(|error| resources::unknown_path(error, "patch", &info.resource, &info.name));
    }
    let mut scale = client.get(path.as_str()).await?;
    let actual = scale["spec"]["replicas"].as_i64().unwrap_or(0);
    if expected >= 0 && actual != expected {
        return Err(Error::message(format!("Expected replicas to be {expected}, was {actual}")));
    }
    let found = text(&scale["metadata"]["resourceVersion"]);
    if !version.is_empty() && found != version {
        return Err(Error::message(format!("Expected resource version to be {version}, was {found}")));
    }
    scale["spec"]["replicas"] = replicas.into();
    client.write(Method::PUT, url, "application/json", &scale).await.map(drop)
}

/// `kubectl autoscale`
pub(super) async fn autoscale(session: &Session<'_>) -> Result<(), Error> {
    let args = &session.args;
    args.require(&["max"])?;
    let (min, max) = (args.int("min"), args.int("max"));
    let dry_run = session.dry_run()?;
    if max < 1 {
        return Err(Error::message(format!("--max=MAXPODS is required and must be at least 1, max: {max}")));
    }
    if max < min {
        return Err(Error::message(format!(
            "--max=MAXPODS must be larger or equal to --min=MINPODS, max: {max}, min: {min}"
        )));
    }
    let output = Output::new(session, COMMON).await?;
    let choice = Choice { args: &args.args, latest: true, ..Choice::default() };
    let (infos, errors) = select::infos(session, &choice).await?;
    Error::all(errors)?;
    if infos.is_empty() {
        return Err(Error::message("no objects passed to autoscale"));
    }
    for info in infos {
        let scalable = ["Deployment", "ReplicaSet", "StatefulSet", "ReplicationController"];
        if !scalable.contains(&info.resource.kind.as_str()) {
            return Err(Error::message(format!(
                "cannot autoscale a {}: could not find scale subresource for {}/{}, Resource={} in discovery information",
                info.resource.kind, info.resource.group, info.resource.version, info.resource.name
            )));
        }
        let name = match args.string("name") {
            "" => info.name.as_str(),
            name => name,
        };
        let mut spec = json!({
            "maxReplicas": max,
            "scaleTargetRef": {
                "apiVersion": info.resource.api_version(),
                "kind": info.resource.kind,
                "name": info.name,
            },
        });
        if min > 0 {
            spec["minReplicas"] = min.into();
        }
        if args.int("cpu-percent") >= 0 {
            spec["targetCPUUtilizationPercentage"] = args.int("cpu-percent").into();
        }
        let mut object = json!({
            "apiVersion": "autoscaling/v1",
            "kind": "HorizontalPodAutoscaler",
            "metadata": { "name": name, "creationTimestamp": null },
            "spec": spec,
            "status": { "currentReplicas": 0, "desiredReplicas": 0 },
        });
        super::record::note(session, &mut object);
        if dry_run != DryRun::Client {
            create::save_generated(session, &mut object);
            let resource = Resource {
                group: "autoscaling".into(),
                version: "v1".into(),
                name: "horizontalpodautoscalers".into(),
                kind: "HorizontalPodAutoscaler".into(),
                namespaced: true,
                ..Resource::default()
            };
            object = create::post(session, &resource, &info.namespace, &object, "kubectl-autoscale", dry_run).await?;
        }
        let operation = if dry_run == DryRun::Client { "created" } else { "autoscaled" };
        done(session, &output, &object, &format!("{operation}{}", dry_run.suffix()))?;
    }
    Ok(())
}

/// The pod spec inside an object's template, if its kind has one.
pub(super) fn pod_spec_path(kind: &str) -> Option<&'static str> {
    match kind {
        "Pod" => Some("/spec"),
        "CronJob" => Some("/spec/jobTemplate/spec/template/spec"),
        "Deployment" | "DaemonSet" | "StatefulSet" | "ReplicaSet" | "ReplicationController" | "Job" => {
            Some("/spec/template/spec")
        }
        _ => None,
    }
}

/// The pod spec itself.
pub(super) fn pod_spec<'a>(kind: &str, object: &'a mut Value) -> Option<&'a mut Value> {
    object.pointer_mut(pod_spec_path(kind)?)
}
