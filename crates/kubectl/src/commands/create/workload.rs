//! Generators of Deployments, Jobs and CronJobs.

use serde_json::{Value, json};

use super::{Generated, generated, name_and_command};
use crate::error::Error;
use crate::resources::text;
use crate::select::{self, Choice, Info};
use crate::session::Session;

/// `repo/nginx:1.27` becomes `nginx`; what had to be changed for a name gets a suffix, so that it stays unique.
fn container_name(session: &Session<'_>, image: &str) -> String {
    const SUFFIX_LENGTH: usize = 5;
    let name = image.rsplit('/').next().unwrap_or_default();
    let name = name.split([':', '@']).next().unwrap_or_default();
    if !name.contains(['_', '.']) {
        return name.to_owned();
    }
    format!("{}-{}", name.replace(['_', '.'], "-"), session.suffix(SUFFIX_LENGTH))
}

pub(super) fn deployment(session: &Session<'_>) -> Result<Generated, Error> {
    let args = &session.args;
    args.require(&["image"])?;
    let (name, command) = name_and_command(session)?;
    let images = args.list("image");
    if images.len() > 1 && !command.is_empty() {
        return Err(Error::message("cannot specify multiple --image options and command"));
    }
    let replicas = args.int("replicas");
    let containers: Vec<Value> = images
        .iter()
        .map(|image| {
            let mut container = json!({ "name": container_name(session, image), "image": image, "resources": {} });
            if !command.is_empty() {
                container["command"] = json!(command);
            }
            if args.int("port") >= 0 && args.changed("port") {
                container["ports"] = json!([{ "containerPort": args.int("port") }]);
            }
            container
        })
        .collect();
    let labels = json!({ "app": name });
    let fields = json!({
        "labels": labels,
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": labels },
            "strategy": {},
            "template": {
                "metadata": { "creationTimestamp": null, "labels": labels },
                "spec": { "containers": containers },
            },
        },
        "status": {},
    });
    Ok(generated("apps/v1", "Deployment", "deployments", true, name, fields))
}

fn pod_spec(name: &str, image: &str, command: &[String], restart: &str) -> Value {
    let mut container = json!({ "name": name, "image": image, "resources": {} });
    if !command.is_empty() {
        container["command"] = json!(command);
    }
    json!({
        "metadata": { "creationTimestamp": null },
        "spec": { "containers": [container], "restartPolicy": restart },
    })
}

pub(super) async fn job(session: &Session<'_>) -> Result<Generated, Error> {
    let args = &session.args;
    let (name, command) = name_and_command(session)?;
    let (image, from) = (args.string("image"), args.string("from"));
    match (image.is_empty(), from.is_empty()) {
        (true, true) | (false, false) => {
            return Err(Error::message("either --image or --from must be specified"));
        }
        (true, false) if !command.is_empty() => {
            return Err(Error::message("cannot specify --from and command"));
        }
        _ => {}
    }
    if from.is_empty() {
        let fields = json!({ "spec": { "template": pod_spec(name, image, command, "Never") }, "status": {} });
        return Ok(generated("batch/v1", "Job", "jobs", true, name, fields));
    }
    let named = [from.to_owned()];
    let (infos, errors) = select::infos(session, &Choice { args: &named, latest: true, ..Choice::default() }).await?;
    Error::all(errors)?;
    let [Info { resource, object: cron, .. }] = infos.as_slice() else {
        return Err(Error::message("from must be an existing cronjob"));
    };
    if cron["kind"] != "CronJob" {
        return Err(Error::message(format!("unknown object type *{}.{}", resource.version, resource.kind)));
    }
    let template = &cron["spec"]["jobTemplate"];
    let mut made =
        generated("batch/v1", "Job", "jobs", true, name, json!({ "spec": template["spec"].clone(), "status": {} }));
    let metadata = &mut made.object["metadata"];
    metadata["annotations"] = template["metadata"]["annotations"].clone();
    if !metadata["annotations"].is_object() {
        metadata["annotations"] = json!({});
    }
    metadata["annotations"]["cronjob.kubernetes.io/instantiate"] = "manual".into();
    if template["metadata"]["labels"].is_object() {
        metadata["labels"] = template["metadata"]["labels"].clone();
    }
    metadata["ownerReferences"] = json!([{
        "apiVersion": "batch/v1",
        "controller": true,
        "kind": "CronJob",
        "name": text(&cron["metadata"]["name"]),
        "uid": text(&cron["metadata"]["uid"]),
    }]);
    super::as_typed(&mut made.object);
    Ok(made)
}

pub(super) fn cron_job(session: &Session<'_>) -> Result<Generated, Error> {
    let args = &session.args;
    args.require(&["image", "schedule"])?;
    let (name, command) = name_and_command(session)?;
    let restart = match args.string("restart") {
        "" => "OnFailure",
        given => given,
    };
    let fields = json!({
        "spec": {
            "schedule": args.string("schedule"),
            "jobTemplate": {
                "metadata": { "creationTimestamp": null, "name": name },
                "spec": { "template": pod_spec(name, args.string("image"), command, restart) },
            },
        },
        "status": {},
    });
    Ok(generated("batch/v1", "CronJob", "cronjobs", true, name, fields))
}
