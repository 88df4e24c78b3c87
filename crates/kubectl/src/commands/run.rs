//! `kubectl run`.

use futures::StreamExt;
use serde_json::{Value, json};

use super::create::{self, parse_labels};
use super::delete::{self, Deletion};
use super::exec;
use super::expose::services;
use super::logs::pods;
use crate::api::Url;
use crate::error::Error;
use crate::print::output::{COMMON, Output, done};
use crate::resources::text;
use crate::select::Info;
use crate::session::{DryRun, Session};

/// Runs the command.
///
/// # Errors
/// What kubectl says.
pub async fn run(session: &Session<'_>) -> Result<(), Error> {
    let args = &session.args;
    args.require(&["image"])?;
    let dry_run = session.dry_run()?;
    let (name, command) = match args.dash {
        Some(0) => return Err(args.usage_error("NAME is required for run")),
        _ => match args.args.split_first() {
            Some((name, command)) => (name.as_str(), command),
            None => return Err(args.usage_error("NAME is required for run")),
        },
    };
    let image = args.string("image");
    if image.is_empty() {
        return Err(Error::message("--image is required"));
    }
    if !is_image(image) {
        return Err(Error::message(format!("Invalid image name {image:?}: invalid reference format")));
    }
    let (stdin, tty) = (args.bool("stdin"), args.bool("tty"));
    if tty && !stdin {
        return Err(args.usage_error("-i/--stdin is required for containers with -t/--tty=true"));
    }
    let port = args.string("port");
    if args.bool("expose") && port.is_empty() {
        return Err(args.usage_error("--port must be set when exposing a service"));
    }
    let attach = if args.changed("attach") { args.bool("attach") } else { stdin || tty };
    let remove = args.bool("rm");
    if remove && !attach {
        return Err(args.usage_error("--rm should only be used for attached containers"));
    }
    if attach && dry_run != DryRun::None {
        return Err(args.usage_error(
            "--dry-run=[server|client] can't be used with attached containers options (--attach, --stdin, or --tty)",
        ));
    }
    let restart = match args.string("restart") {
        "" => "Always",
        restart @ ("Always" | "OnFailure" | "Never") => restart,
        other => return Err(args.usage_error(format!("invalid restart policy: {other}"))),
    };
    match args.string("image-pull-policy") {
        "" | "Always" | "IfNotPresent" | "Never" => {}
        other => return Err(args.usage_error(format!("invalid image pull policy: {other}"))),
    }
    let mut object = pod(session, name, command, restart)?;
    object = create::overridden(session, object)?;
    super::record::note(session, &mut object);
    let output = Output::new(session, COMMON).await?;
    // Which kinds the server has decides about the request, even when nothing is sent.
    session.mapper().await?;
    let namespace = session.namespace().await?.0;
    if dry_run != DryRun::Client {
        create::save_generated(session, &mut object);
        object = create::post(session, &pods(), &namespace, &object, "kubectl-run", dry_run).await?;
    }
    let suffix = dry_run.suffix();
    let mut service = None;
    if args.bool("expose") {
        let mut made = service_for(name, port, &object);
        if dry_run != DryRun::Client {
            create::save_generated(session, &mut made);
            made = create::post(session, &services(), &namespace, &made, "kubectl-run", dry_run).await?;
        }
        done(session, &output, &made, &format!("created{suffix}"))?;
        // The original's separator after it is followed by the one before the next.
        if args.string("output") == "yaml" {
            session.out("---\n");
        }
        service = Some(made);
    }
    let quiet = args.bool("quiet");
    if !attach {
        return done(session, &output, &object, &format!("created{suffix}"));
    }
    let outcome = attach_to(session, &namespace, name, (stdin, tty), quiet).await;
    if remove {
        let deletion = Deletion { grace_period: -1, propagation: delete::propagation(session)?, dry_run: DryRun::None };
        let info = Info {
            resource: pods(),
            namespace: namespace.clone(),
            name: name.to_owned(),
            object,
            source: String::new(),
        };
        if delete::delete(session, &info, &deletion).await.is_ok() && !quiet {
            session.outln(format!("pod \"{name}\" deleted"));
        }
        if service.is_some() {
            let info = Info { resource: services(), ..info };
            if delete::delete(session, &info, &deletion).await.is_ok() && !quiet {
                session.outln(format!("service \"{name}\" deleted"));
            }
        }
    }
    outcome
}

/// Whether a text can name an image: `host:port/path/name:tag@digest`.
fn is_image(image: &str) -> bool {
    let name = image.split('@').next().unwrap_or_default();
    let (path, tag) = match name.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
        _ => (name, None),
    };
    let tag_is_fine = tag.is_none_or(|tag| {
        !tag.is_empty() && tag.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
    });
    let mut segments = path.split('/').peekable();
    let mut fine = tag_is_fine;
    let mut first = true;
    while let Some(segment) = segments.next() {
        let is_host = first && segments.peek().is_some();
        let allowed = |c: char| {
            c.is_ascii_lowercase()
                || c.is_ascii_digit()
                || matches!(c, '.' | '_' | '-')
                || (is_host && (c == ':' || c.is_ascii_uppercase()))
        };
        fine &= !segment.is_empty()
            && segment.chars().all(allowed)
            && segment.starts_with(|c: char| c.is_ascii_alphanumeric())
            && segment.ends_with(|c: char| c.is_ascii_alphanumeric());
        first = false;
    }
    fine
}

/// Whether a word can name an environment variable.
pub(super) fn is_variable(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    !name.is_empty() && name.chars().all(allowed) && !name.starts_with(|c: char| c.is_ascii_digit())
}

fn pod(session: &Session<'_>, name: &str, command: &[String], restart: &str) -> Result<Value, Error> {
    let args = &session.args;
    let labels = match args.string("labels") {
        "" => json!({ "run": name }),
        given => parse_labels(given)?,
    };
    let mut container = json!({ "name": name, "image": args.string("image"), "resources": {} });
    if !args.string("image-pull-policy").is_empty() {
        container["imagePullPolicy"] = args.string("image-pull-policy").into();
    }
    if !command.is_empty() {
        let field = if args.bool("command") { "command" } else { "args" };
        container[field] = json!(command);
    }
    let mut env = Vec::new();
    for pair in args.list("env") {
        match pair.split_once('=').filter(|(name, _)| is_variable(name)) {
            Some((name, "")) => env.push(json!({ "name": name })),
            Some((name, value)) => env.push(json!({ "name": name, "value": value })),
            None => return Err(Error::message(format!("invalid env: {pair}"))),
        }
    }
    if !env.is_empty() {
        container["env"] = Value::Array(env);
    }
    if !args.string("port").is_empty() {
        let port: i32 = args
            .string("port")
            .parse()
            .map_err(|_| Error::message(format!("strconv.Atoi: parsing {:?}: invalid syntax", args.string("port"))))?;
        container["ports"] = json!([{ "containerPort": port }]);
    }
    if args.bool("stdin") {
        container["stdin"] = true.into();
        if !args.bool("leave-stdin-open") {
            container["stdinOnce"] = true.into();
        }
    }
    if args.bool("tty") {
        container["tty"] = true.into();
    }
    if args.bool("privileged") {
        container["securityContext"] = json!({ "privileged": true });
    }
    let mut metadata = json!({ "name": name, "creationTimestamp": null, "labels": labels });
    for annotation in args.list("annotations") {
        let (key, value) = annotation
            .split_once('=')
            .ok_or_else(|| Error::message(format!("invalid annotations format: {annotation}")))?;
        if metadata["annotations"].is_null() {
            metadata["annotations"] = json!({});
        }
        metadata["annotations"][key] = value.into();
    }
    if args.changed("namespace") {
        metadata["namespace"] = args.string("namespace").into();
    }
    Ok(json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": { "containers": [container], "dnsPolicy": "ClusterFirst", "restartPolicy": restart },
        "status": {},
    }))
}

fn service_for(name: &str, port: &str, pod: &Value) -> Value {
    let port: u16 = port.parse().unwrap_or_default();
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": name, "creationTimestamp": null },
        "spec": {
            "ports": [{ "port": port, "protocol": "TCP", "targetPort": port }],
            "selector": pod["metadata"]["labels"],
        },
        "status": { "loadBalancer": {} },
    })
}

/// Waits until the pod runs, attaches to it or prints its log, and ends as its container does.
async fn attach_to(
    session: &Session<'_>,
    namespace: &str,
    name: &str,
    (stdin, tty): (bool, bool),
    quiet: bool,
) -> Result<(), Error> {
    let running = wait_for(session, namespace, name, |pod| {
        matches!(pod["status"]["phase"].as_str(), Some("Running" | "Succeeded" | "Failed"))
    });
    let limit = session.args.duration("pod-running-timeout");
    let pod = session
        .within((!limit.is_zero()).then_some(limit), running)
        .await
        .unwrap_or_else(|| Err(Error::message("timed out waiting for the condition")))?;
    let container = text(&pod["spec"]["containers"][0]["name"]);
    if pod["status"]["phase"] == "Running" {
        if !quiet && stdin {
            session.errln("If you don't see a command prompt, try pressing enter.");
        }
        match exec::attach_pod(session, &pod, &container, (stdin, tty)).await {
            // The command itself has failed: that is no reason to look elsewhere.
            Err(error @ (Error::Many(_) | Error::Exit(_))) => return Err(error),
            Err(error) => {
                session.errln(format!(
                    "warning: couldn't attach to pod/{name}, falling back to streaming logs: {}",
                    error.plain()
                ));
                print_log(session, namespace, name, &container).await?;
            }
            Ok(()) => {}
        }
    } else {
        print_log(session, namespace, name, &container).await?;
    }
    if session.args.string("restart") == "Always" || session.args.string("restart").is_empty() {
        if tty && !quiet {
            session.errln(format!(
                "Session ended, resume using 'kubectl attach {name} -c {container} -i -t' command when the pod is running"
            ));
        }
        return Ok(());
    }
    let ended = wait_for(session, namespace, name, |pod| {
        matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"))
    })
    .await?;
    let state = &ended["status"]["containerStatuses"][0]["state"]["terminated"];
    match state["exitCode"].as_i64() {
        Some(0) => Ok(()),
        Some(code) => {
            session.errln(format!(
                "pod {namespace}/{name} terminated ({})\n{}",
                text(&state["reason"]),
                text(&state["message"])
            ));
            Err(Error::Exit(i32::try_from(code).unwrap_or(1)))
        }
        None if ended["status"]["phase"] == "Succeeded" => Ok(()),
        None => Err(Error::message(format!("pod {namespace}/{name} failed with unknown exit code"))),
    }
}

/// Follows a pod until it is as wanted.
pub(super) async fn wait_for(
    session: &Session<'_>,
    namespace: &str,
    name: &str,
    wanted: impl Fn(&Value) -> bool,
) -> Result<Value, Error> {
    let client = session.client().await?;
    loop {
        let pod = client.get(pods().path(namespace, name)).await?;
        if wanted(&pod) {
            return Ok(pod);
        }
        let url = Url::new(pods().path(namespace, ""))
            .with("fieldSelector", format!("metadata.name={name}"))
            .with("resourceVersion", pod["metadata"]["resourceVersion"].as_str().unwrap_or_default());
        let mut events = client.watch(url, "application/json").await?;
        while let Some((event, pod)) = events.next().await {
            match event.as_str() {
                "DELETED" => return Err(Error::message(format!("pods {name:?} not found"))),
                "ADDED" | "MODIFIED" if wanted(&pod) => return Ok(pod),
                "ERROR" => break,
                _ => {}
            }
        }
        session.sleep(std::time::Duration::from_millis(100)).await;
    }
}

/// Prints the log of a container that has ended.
async fn print_log(session: &Session<'_>, namespace: &str, name: &str, container: &str) -> Result<(), Error> {
    let url = Url::new(format!("{}/log", pods().path(namespace, name))).with("container", container);
    let mut log = session.client().await?.stream(url, "application/json, */*").await?;
    while let Some(part) = log.next().await {
        session.host.stdout(&part);
    }
    Ok(())
}
