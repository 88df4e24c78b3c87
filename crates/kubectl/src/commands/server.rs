//! `kubectl version`, `api-resources`, `api-versions` and `cluster-info`.

use std::collections::BTreeSet;

use machinery::sort::Order;
use serde_json::{Value, json};

use crate::api::Url;
use crate::error::Error;
use crate::print::output::{COMMON, Format, Output};
use crate::print::{json, tabs};
use crate::resources::{Resource, items, text};
use crate::select;
use crate::session::Session;
use crate::yaml;

/// The version of Kubernetes whose kubectl this is.
pub(crate) const CLIENT_VERSION: &str = "v1.37.0";
/// The version of Kustomize in it.
const KUSTOMIZE_VERSION: &str = "v5.8.1";
/// Minor versions that client and server may be apart.
const SKEW_MAX: i64 = 1;

/// `kubectl version`
pub(super) async fn version(session: &Session<'_>) -> Result<(), Error> {
    let args = &session.args;
    let form = args.string("output");
    if !args.args.is_empty() {
        return Err(Error::message(format!("extra arguments: [{}]", args.args.join(" "))));
    }
    if !matches!(form, "" | "json" | "yaml") {
        return Err(Error::message("--output must be 'yaml' or 'json'"));
    }
    let server = if args.bool("client") { None } else { Some(session.client().await?.get("/version").await) };
    let (server, failure) = match server {
        Some(Ok(server)) => (Some(server), None),
        Some(Err(error)) => (None, Some(error)),
        None => (None, None),
    };
    let client = json!({
        "major": "1",
        "minor": "37",
        "gitVersion": CLIENT_VERSION,
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "rustc",
        "platform": "linux/amd64",
    });
    let mut whole = json!({ "clientVersion": client, "kustomizeVersion": KUSTOMIZE_VERSION });
    if let Some(server) = &server {
        whole["serverVersion"] = server.clone();
    }
    match form {
        "json" => session.outln(json::pretty_two(&whole)),
        "yaml" => session.outln(yaml::to_string(&whole)),
        _ => {
            session.outln(format!("Client Version: {CLIENT_VERSION}"));
            session.outln(format!("Kustomize Version: {KUSTOMIZE_VERSION}"));
            if let Some(server) = &server {
                session.outln(format!("Server Version: {}", text(&server["gitVersion"])));
            }
        }
    }
    if let Some(server) = &server {
        let minor = |text: &str| text.trim_end_matches('+').parse::<i64>().unwrap_or_default();
        let (ours, theirs) = (minor("37"), minor(&text(&server["minor"])));
        if (ours - theirs).abs() > SKEW_MAX {
            session.errln(format!(
                "WARNING: version difference between client (1.{ours}) and server (1.{theirs}) exceeds the supported \
                 minor version skew of +/-1"
            ));
        }
    }
    failure.map_or(Ok(()), Err)
}

/// `kubectl api-versions`
pub(super) async fn api_versions(session: &Session<'_>) -> Result<(), Error> {
    let args = &session.args;
    if !args.args.is_empty() {
        return Err(args.usage_error(format!("unexpected arguments: [{}]", args.args.join(" "))));
    }
    let mapper = session.mapper().await?;
    let mut versions: Vec<String> = mapper
        .groups
        .iter()
        .flat_map(|(group, versions)| versions.iter().map(move |version| machinery::gvk::api_version(group, version)))
        .collect();
    versions.order();
    versions.iter().for_each(|version| session.outln(version));
    Ok(())
}

/// `kubectl api-resources`
pub(super) async fn api_resources(session: &Session<'_>) -> Result<(), Error> {
    let args = &session.args;
    if !args.args.is_empty() {
        return Err(args.usage_error(format!("unexpected arguments: [{}]", args.args.join(" "))));
    }
    let form = args.string("output");
    if !matches!(form, "" | "wide" | "name" | "json" | "yaml") {
        return Err(Error::message(format!(
            "unable to match a printer suitable for the output format {form:?}, allowed formats are: json,name,wide,yaml"
        )));
    }
    let sort = args.string("sort-by");
    if !matches!(sort, "" | "name" | "kind") {
        return Err(Error::message("--sort-by accepts only name or kind"));
    }
    let mapper = session.mapper().await?;
    let mut seen = BTreeSet::new();
    // Of each group only the preferred version, which comes first, counts.
    let preferred =
        mapper.resources.iter().filter(|resource| seen.insert((resource.group.as_str(), resource.name.as_str())));
    let has_all = |wanted: &[String], offered: &[String]| wanted.iter().all(|one| offered.contains(one));
    let mut resources: Vec<&Resource> = preferred
        .filter(|resource| !resource.verbs.is_empty())
        .filter(|resource| !args.changed("api-group") || resource.group == args.string("api-group"))
        .filter(|resource| !args.changed("namespaced") || resource.namespaced == args.bool("namespaced"))
        .filter(|resource| has_all(args.list("verbs"), &resource.verbs))
        .filter(|resource| has_all(args.list("categories"), &resource.categories))
        .collect();
    let key = |resource: &Resource| match sort {
        "name" => resource.name.clone(),
        "kind" => resource.kind.clone(),
        _ => resource.group.clone(),
    };
    resources.order_by_key(|resource| (key(resource), resource.name.clone()));
    match form {
        "name" => resources.iter().for_each(|resource| session.outln(resource.qualified())),
        "json" | "yaml" => {
            let list: Vec<Value> = resources.iter().map(|resource| as_api_resource(resource)).collect();
            let list = json!({ "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "", "resources": list });
            session.out(if form == "json" { json::pretty(&list) } else { yaml::to_string(&list) });
        }
        _ => session.out(table(&resources, form == "wide", args.bool("no-headers"))),
    }
    Ok(())
}

fn as_api_resource(resource: &Resource) -> Value {
    let mut value = json!({
        "name": resource.name,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "group": resource.group,
        "version": resource.version,
        "kind": resource.kind,
        "verbs": resource.verbs,
    });
    for (field, list) in [("shortNames", &resource.short_names), ("categories", &resource.categories)] {
        if !list.is_empty() {
            value[field] = json!(list);
        }
    }
    if resource.group.is_empty()
        && let Some(fields) = value.as_object_mut()
    {
        fields.remove("group");
    }
    value
}

fn table(resources: &[&Resource], wide: bool, no_headers: bool) -> String {
    let mut lines = String::new();
    if !no_headers {
        lines.push_str("NAME\tSHORTNAMES\tAPIVERSION\tNAMESPACED\tKIND");
        lines.push_str(if wide { "\tVERBS\tCATEGORIES\n" } else { "\n" });
    }
    for resource in resources {
        lines.push_str(&format!(
            "{}\t{}\t{}\t{}\t{}",
            resource.name,
            resource.short_names.join(","),
            resource.api_version(),
            resource.namespaced,
            resource.kind
        ));
        if wide {
            lines.push_str(&format!("\t{}\t{}", resource.verbs.join(","), resource.categories.join(",")));
        }
        lines.push('\n');
    }
    tabs::align(&lines, tabs::TABLE)
}

/// `kubectl cluster-info`
pub(super) async fn cluster_info(session: &Session<'_>) -> Result<(), Error> {
    if session.args.command.path == "cluster-info dump" {
        return dump(session).await;
    }
    let outcome = services(session).await;
    session.out("\nTo further debug and diagnose cluster problems, use 'kubectl cluster-info dump'.\n");
    outcome
}

async fn services(session: &Session<'_>) -> Result<(), Error> {
    let server = session.target().await?.endpoint.server.clone();
    let url =
        Url::new("/api/v1/namespaces/kube-system/services").with("labelSelector", "kubernetes.io/cluster-service=true");
    let list = select::list_all(session, url).await?;
    session.outln(format!("Kubernetes control plane is running at {server}"));
    for service in list {
        let (metadata, spec) = (&service["metadata"], &service["spec"]);
        let ingress = &service["status"]["loadBalancer"]["ingress"][0];
        let link = if ingress.is_null() {
            let port = &spec["ports"][0];
            let (name, port_name) = (text(&metadata["name"]), text(&port["name"]));
            let secure = port_name == "https" || port["port"] == 443;
            let name = match (secure, port_name.as_str()) {
                (true, port) => format!("https:{name}:{port}"),
                (false, "") => name,
                (false, port) => format!("{name}:{port}"),
            };
            format!("{server}/api/v1/namespaces/{}/services/{name}/proxy", text(&metadata["namespace"]))
        } else {
            let host = match ingress["ip"].as_str() {
                Some(ip) => ip.to_owned(),
                None => text(&ingress["hostname"]),
            };
            items(&spec["ports"]).map(|port| format!("http://{host}:{} ", port["port"])).collect()
        };
        let name = match text(&metadata["labels"]["kubernetes.io/name"]) {
            name if name.is_empty() => text(&metadata["name"]),
            name => name,
        };
        session.outln(format!("{name} is running at {link}"));
    }
    Ok(())
}

/// `kubectl cluster-info dump`: everything of interest as JSON.
async fn dump(session: &Session<'_>) -> Result<(), Error> {
    /// Path, plural, and the name of the file.
    const LISTS: [(&str, &str, &str); 7] = [
        ("/api/v1", "events", "events"),
        ("/api/v1", "replicationcontrollers", "replication-controllers"),
        ("/api/v1", "services", "services"),
        ("/apis/apps/v1", "daemonsets", "daemonsets"),
        ("/apis/apps/v1", "deployments", "deployments"),
        ("/apis/apps/v1", "replicasets", "replicasets"),
        ("/api/v1", "pods", "pods"),
    ];
    let client = session.client().await?;
    let output = Output::new(session, COMMON).await?;
    let extension = match output.format {
        Format::Human | Format::Json => "json",
        Format::Yaml => "yaml",
        _ => "txt",
    };
    let render = |list: &Value| match output.format {
        Format::Human => Ok(json::pretty(list)),
        _ => output.render(list),
    };
    let nodes = render(&client.get("/api/v1/nodes").await?)?;
    dumped(session, &format!("nodes.{extension}"), nodes.as_bytes()).await?;
    let mut namespaces = session.args.list("namespaces").to_vec();
    if namespaces.is_empty() {
        namespaces = vec!["kube-system".into(), session.namespace().await?.0];
    }
    if session.args.bool("all-namespaces") {
        let list = select::list_all(session, Url::new("/api/v1/namespaces")).await?;
        namespaces = list.iter().map(|namespace| text(&namespace["metadata"]["name"])).collect();
    }
    for namespace in namespaces {
        let mut pods = Value::Null;
        for (prefix, plural, file) in LISTS {
            let list = client.get(format!("{prefix}/namespaces/{namespace}/{plural}")).await?;
            dumped(session, &format!("{namespace}/{file}.{extension}"), render(&list)?.as_bytes()).await?;
            pods = list;
        }
        for pod in items(&pods["items"]) {
            let name = text(&pod["metadata"]["name"]);
            let mut logs = Vec::new();
            for container in items(&pod["spec"]["initContainers"]).chain(items(&pod["spec"]["containers"])) {
                let container = text(&container["name"]);
                let of = format!("logs for container {container} of pod {namespace}/{name} ====\n");
                logs.extend_from_slice(format!("==== START {of}").as_bytes());
                let url =
                    Url::new(format!("/api/v1/namespaces/{namespace}/pods/{name}/log")).with("container", &container);
                match client.get_bytes(url).await {
                    Ok(log) => logs.extend_from_slice(&log),
                    Err(error) => logs.extend_from_slice(format!("Request log error: {}\n", error.plain()).as_bytes()),
                }
                logs.extend_from_slice(format!("==== END {of}").as_bytes());
            }
            dumped(session, &format!("{namespace}/{name}/logs.txt"), &logs).await?;
        }
    }
    match session.args.string("output-directory") {
        "" | "-" => {}
        folder => session.outln(format!("Cluster info dumped to {folder}")),
    }
    Ok(())
}

/// Writes a part of the dump: to standard output, or to its file below `--output-directory`.
async fn dumped(session: &Session<'_>, file: &str, data: &[u8]) -> Result<(), Error> {
    match session.args.string("output-directory") {
        "" | "-" => session.host.stdout(data),
        folder => {
            let path = format!("{}/{file}", folder.trim_end_matches('/'));
            let written = session.host.write_file(&path, data.to_vec().into()).await;
            written.map_err(|error| Error::message(format!("open {path}: {}", error.as_str())))?;
        }
    }
    Ok(())
}
