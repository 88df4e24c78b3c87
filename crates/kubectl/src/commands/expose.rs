//! `kubectl expose`.

use serde_json::{Value, json};

use super::create;
use crate::error::Error;
use crate::print::output::{COMMON, Output, done};
use crate::resources::{Resource, items, text};
use crate::select::{self, Choice, Info};
use crate::session::{DryRun, Session};

/// Longest name of a Service.
const NAME_LENGTH_MAX: usize = 63;

/// Runs the command.
///
/// # Errors
/// What kubectl says.
pub async fn run(session: &Session<'_>) -> Result<(), Error> {
    let args = &session.args;
    let dry_run = session.dry_run()?;
    let output = Output::new(session, COMMON).await?;
    let choice = Choice { args: &args.args, ..Choice::default() };
    let (infos, errors) = select::infos(session, &choice).await?;
    Error::all(errors)?;
    for info in infos {
        let mut object = service(session, &info)?;
        super::record::note(session, &mut object);
        let object = if dry_run == DryRun::Client {
            object
        } else {
            create::save_generated(session, &mut object);
            create::post(session, &services(), &info.namespace, &object, "kubectl-expose", dry_run).await?
        };
        done(session, &output, &object, &format!("exposed{}", dry_run.suffix()))?;
    }
    Ok(())
}

pub(super) fn services() -> Resource {
    Resource {
        version: "v1".into(),
        name: "services".into(),
        singular: "service".into(),
        kind: "Service".into(),
        namespaced: true,
        ..Resource::default()
    }
}

/// `(port, protocol)` of the ports that an object's containers, or a Service, have.
fn ports_of(info: &Info) -> Vec<(i64, String)> {
    let port = |port: &Value, field: &str| {
        let protocol = port["protocol"].as_str().unwrap_or("TCP").to_owned();
        Some((port[field].as_i64()?, protocol))
    };
    if info.resource.kind == "Service" {
        return items(&info.object["spec"]["ports"]).filter_map(|found| port(found, "port")).collect();
    }
    let spec = match info.resource.kind.as_str() {
        "Pod" => &info.object["spec"],
        _ => &info.object["spec"]["template"]["spec"],
    };
    items(&spec["containers"])
        .flat_map(|container| items(&container["ports"]))
        .filter_map(|found| port(found, "containerPort"))
        .collect()
}

fn selector_of(info: &Info) -> Result<Value, Error> {
    let object = &info.object;
    let failed = |text: String| {
        Error::message(format!("couldn't retrieve selectors via --selector flag or introspection: {text}"))
    };
    let selector = match info.resource.kind.as_str() {
        "Service" => {
            let selector = &object["spec"]["selector"];
            if selector.is_null() {
                return Err(failed("invalid service: no selector set".into()));
            }
            selector
        }
        "Pod" => {
            let labels = &object["metadata"]["labels"];
            if labels.as_object().is_none_or(|labels| labels.is_empty()) {
                return Err(failed("the pod has no labels and cannot be exposed".into()));
            }
            labels
        }
        "ReplicationController" => &object["spec"]["selector"],
        "Deployment" | "ReplicaSet" => {
            if object["spec"]["selector"]["matchExpressions"].as_array().is_some_and(|list| !list.is_empty()) {
                return Err(failed("couldn't convert expressions - to map-based selector format".into()));
            }
            &object["spec"]["selector"]["matchLabels"]
        }
        kind => return Err(failed(format!("cannot extract pod selector from {kind}"))),
    };
    Ok(selector.clone())
}

fn service(session: &Session<'_>, info: &Info) -> Result<Value, Error> {
    let args = &session.args;
    let exposable = ["Pod", "Service", "ReplicationController", "Deployment", "ReplicaSet"];
    if !exposable.contains(&info.resource.kind.as_str()) {
        return Err(Error::message(format!("cannot expose a {}", info.resource.kind)));
    }
    let name: String = match args.string("name") {
        "" => info.name.chars().take(NAME_LENGTH_MAX).collect(),
        name => name.to_owned(),
    };
    let selector = match args.string("selector") {
        "" => selector_of(info)?,
        given => create::parse_labels(given)?,
    };
    let known = ports_of(info);
    let wanted: Vec<i64> = match args.string("port") {
        "" => known.iter().map(|(port, _)| *port).collect(),
        given => given
            .split(',')
            .map(|port| {
                port.parse().map_err(|_| Error::message(format!("strconv.Atoi: parsing {port:?}: invalid syntax")))
            })
            .collect::<Result<_, _>>()?,
    };
    let headless_without_ports = args.string("cluster-ip") == "None";
    if wanted.is_empty() && !headless_without_ports {
        return Err(Error::message("couldn't find port via --port flag or introspection"));
    }
    let several = wanted.len() > 1;
    let ports: Vec<Value> = wanted
        .iter()
        .enumerate()
        .map(|(index, port)| {
            let protocol = match args.string("protocol") {
                "" => known.iter().find(|(known, _)| known == port).map_or("TCP", |(_, protocol)| protocol),
                given => given,
            };
            let target = match args.string("target-port") {
                "" => json!(port),
                given => given.parse::<i64>().map_or_else(|_| json!(given), |number| json!(number)),
            };
            let mut entry = json!({ "port": port, "protocol": protocol, "targetPort": target });
            if several {
                entry["name"] = format!("port-{}", index + 1).into();
            }
            entry
        })
        .collect();
    let affinity = args.string("session-affinity");
    if !matches!(affinity, "" | "None" | "ClientIP") {
        return Err(Error::message(format!("unknown session affinity: {affinity}")));
    }
    let mut spec = json!({ "selector": selector });
    if !ports.is_empty() {
        spec["ports"] = Value::Array(ports);
    }
    for (flag, field) in [
        ("type", "type"),
        ("cluster-ip", "clusterIP"),
        ("load-balancer-ip", "loadBalancerIP"),
        ("session-affinity", "sessionAffinity"),
    ] {
        if !args.string(flag).is_empty() {
            spec[field] = args.string(flag).into();
        }
    }
    if !args.string("external-ip").is_empty() {
        spec["externalIPs"] = json!([args.string("external-ip")]);
    }
    let mut metadata = json!({ "name": name, "creationTimestamp": null });
    let labels = match args.string("labels") {
        "" => info.object["metadata"]["labels"].clone(),
        given => create::parse_labels(given)?,
    };
    if labels.as_object().is_some_and(|labels| !labels.is_empty()) {
        metadata["labels"] = labels;
    }
    if !info.namespace.is_empty() && args.changed("namespace") {
        metadata["namespace"] = text(&info.object["metadata"]["namespace"]).into();
    }
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": spec,
        "status": { "loadBalancer": {} },
    });
    create::overridden(session, service)
}
