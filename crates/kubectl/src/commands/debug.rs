//! `kubectl debug`: a container beside those of a running pod.

use serde_json::{Value, json};

use super::exec::{attach_pod, the_pod};
use super::logs::{all_containers, pods};
use super::run::wait_for;
use crate::error::Error;
use crate::resources::{self, items, text};
use crate::session::Session;

/// Runs the command.
///
/// # Errors
/// What kubectl says.
pub async fn run(session: &Session<'_>) -> Result<(), Error> {
    let args = &session.args;
    let end = args.dash.unwrap_or(args.args.len());
    let (names, command) = args.args.split_at(end.min(args.args.len()));
    let image = args.string("image");
    if image.is_empty() && args.string("copy-to").is_empty() {
        return Err(Error::message("you must specify --image when not using --copy-to."));
    }
    if names.is_empty() {
        return Err(Error::message("NAME or TYPE/NAME is required for debug"));
    }
    if !args.string("copy-to").is_empty() || names.iter().any(|name| name.starts_with("node/")) {
        return Err(Error::message("only ephemeral containers in pods are supported here"));
    }
    let pod = the_pod(session, names).await?;
    let (namespace, pod_name) = (text(&pod["metadata"]["namespace"]), text(&pod["metadata"]["name"]));
    let name = match args.string("container") {
        "" => {
            let name = unused_name(&pod);
            session.errln(format!("Defaulting debug container name to {name}."));
            name
        }
        name => name.to_owned(),
    };
    let (stdin, tty) = (args.bool("stdin"), args.bool("tty"));
    let mut container = json!({
        "name": name,
        "image": image,
        "resources": {},
        "terminationMessagePolicy": "File",
        "imagePullPolicy": args.string("image-pull-policy"),
    });
    if !command.is_empty() {
        container[if args.bool("arguments-only") { "args" } else { "command" }] = json!(command);
    }
    for (field, wanted) in [("stdin", stdin), ("tty", tty)] {
        if wanted {
            container[field] = true.into();
        }
    }
    if !args.string("target").is_empty() {
        container["targetContainerName"] = args.string("target").into();
    }
    let path = format!("{}/ephemeralcontainers", pods().path(&namespace, &pod_name));
    let patch = json!({ "spec": { "ephemeralContainers": [container] } });
    resources::patch(session.client().await?, path, super::STRATEGIC_PATCH, &patch).await?;
    let attach = if args.changed("attach") { args.bool("attach") } else { stdin };
    if !attach {
        return Ok(());
    }
    let started = |pod: &Value| {
        items(&pod["status"]["ephemeralContainerStatuses"])
            .any(|status| status["name"] == name.as_str() && status["state"]["waiting"].is_null())
    };
    let pod = wait_for(session, &namespace, &pod_name, started).await?;
    if !args.bool("quiet") {
        session.errln("If you don't see a command prompt, try pressing enter.");
    }
    attach_pod(session, &pod, &name, (stdin, tty)).await
}

/// A name like those the original draws, counted instead of drawn.
fn unused_name(pod: &Value) -> String {
    let known: Vec<String> = all_containers(pod).into_iter().map(|(_, name)| name).collect();
    (1..).map(|number| format!("debugger-{number:05}")).find(|name| !known.contains(name)).unwrap_or_default()
}
