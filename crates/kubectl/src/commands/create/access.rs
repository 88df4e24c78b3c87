//! Generators of RBAC objects, and tokens.

use http::Method;
use machinery::sort::Order;
use serde_json::{Value, json};

use super::{Generated, generated, name, parse_labels};
use crate::error::Error;
use crate::print::output::{COMMON, Output};
use crate::session::Session;

/// Verbs that requests for resources have.
const STANDARD_VERBS: [&str; 14] = [
    "*",
    "get",
    "delete",
    "list",
    "create",
    "update",
    "patch",
    "watch",
    "proxy",
    "deletecollection",
    "use",
    "bind",
    "escalate",
    "impersonate",
];

const RBAC: &str = "rbac.authorization.k8s.io";

fn unique(values: &[String]) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for value in values {
        if !out.contains(value) {
            out.push(value.clone());
        }
    }
    out
}

/// Verbs that only certain resources know: `(resource, group)`.
const SPECIAL: &[(&str, &[(&str, &str)])] = &[
    ("use", &[("podsecuritypolicies", "policy"), ("podsecuritypolicies", "extensions")]),
    ("bind", &[("roles", RBAC), ("clusterroles", RBAC)]),
    ("escalate", &[("roles", RBAC), ("clusterroles", RBAC)]),
    ("impersonate", &[("users", ""), ("serviceaccounts", ""), ("groups", ""), ("userextras", "authentication.k8s.io")]),
];

pub(super) async fn role(session: &Session<'_>, kind: &str) -> Result<Generated, Error> {
    let args = &session.args;
    let name = name(session)?;
    let plural = if kind == "Role" { "roles" } else { "clusterroles" };
    let api_version = format!("{RBAC}/v1");
    let make = |fields: Value| generated(&api_version, kind, plural, kind == "Role", name, fields);
    let aggregation = args.string("aggregation-rule");
    if !aggregation.is_empty() {
        if ["verb", "resource", "resource-name", "non-resource-url"].iter().any(|flag| args.changed(flag)) {
            return Err(Error::message(
                "aggregation rule must be specified without nonResourceURLs, verbs, resources or resourceNames",
            ));
        }
        let labels = parse_labels(aggregation)?;
        return Ok(make(json!({
            "aggregationRule": { "clusterRoleSelectors": [{ "matchLabels": labels }] },
            "rules": null,
        })));
    }
    let mut verbs = unique(args.list("verb"));
    if verbs.iter().any(|verb| verb == "*") {
        verbs = vec!["*".into()];
    }
    if verbs.is_empty() {
        return Err(Error::message("at least one verb must be specified"));
    }
    if !args.list("resource").is_empty() {
        for verb in verbs.iter().filter(|verb| !STANDARD_VERBS.contains(&verb.as_str())) {
            session.errln(format!("Warning: '{verb}' is not a standard resource verb"));
        }
    }
    let urls = args.list("non-resource-url");
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    if args.list("resource").is_empty() && urls.is_empty() {
        let what = if kind == "Role" { "at least one resource" } else { "one of resource or nonResourceURL" };
        return Err(Error::message(format!("{what} must be specified")));
    }
    for url in urls {
        if url != "*" && !url.starts_with('/') {
            return Err(Error::message("nonResourceURL should start with /"));
        }
    }
    if !urls.is_empty() {
        let allowed = ["*", "get", "post", "put", "delete", "patch", "head", "options"];
        if let Some(verb) = verbs.iter().find(|verb| !allowed.contains(&verb.as_str())) {
            return Err(Error::message(format!("invalid verb: '{verb}' for nonResourceURL")));
        }
    }
    for spec in &unique(args.list("resource")) {
        let (typed, subresource) = match spec.split_once('/') {
            Some((typed, subresource)) => (typed, format!("/{subresource}")),
            None => (spec.as_str(), String::new()),
        };
        let (group, plural) = match typed {
            _ if typed == "*" || typed.starts_with("*.") => {
                (typed.trim_start_matches('*').trim_start_matches('.').to_owned(), "*".to_owned())
            }
            _ => {
                let found = session.mapper().await?.find(typed);
                let special = verbs.iter().find_map(|verb| Some((verb, SPECIAL.iter().find(|(it, _)| it == verb)?)));
                if let Some((verb, (_, allowed))) = special {
                    let (name, group) = typed.split_once('.').unwrap_or((typed, ""));
                    let name = found.as_ref().map_or(name, |found| found.name.as_str()).to_owned();
                    let group = found.as_ref().map_or(group, |found| found.group.as_str()).to_owned();
                    if !allowed.contains(&(name.as_str(), group.as_str())) {
                        return Err(Error::message(format!("can not perform '{verb}' on '{name}' in group '{group}'")));
                    }
                    (group, name)
                } else {
                    let found = found
                        .map_err(|_| Error::Verbatim(format!("the server doesn't have a resource type {typed:?}")))?;
                    (found.group, found.name)
                }
            }
        };
        let full = format!("{plural}{subresource}");
        match groups.iter_mut().find(|(known, _)| *known == group) {
            Some((_, resources)) => resources.push(full),
            None => groups.push((group, vec![full])),
        }
    }
    groups.order();
    let names = unique(args.list("resource-name"));
    let mut rules: Vec<Value> = groups
        .into_iter()
        .map(|(group, resources)| {
            let mut rule = json!({ "apiGroups": [group], "resources": resources, "verbs": verbs });
            if !names.is_empty() {
                rule["resourceNames"] = json!(names);
            }
            rule
        })
        .collect();
    if !urls.is_empty() {
        rules.push(json!({ "nonResourceURLs": urls, "verbs": verbs }));
    }
    Ok(make(json!({ "rules": rules })))
}

pub(super) fn binding(session: &Session<'_>, kind: &str) -> Result<Generated, Error> {
    let args = &session.args;
    if kind == "ClusterRoleBinding" {
        args.require(&["clusterrole"])?;
    }
    let name = name(session)?;
    let (role, cluster_role) = (args.string("role"), args.string("clusterrole"));
    let (role_kind, role_name) = match (role.is_empty(), cluster_role.is_empty()) {
        (true, false) => ("ClusterRole", cluster_role),
        (false, true) => ("Role", role),
        _ => return Err(Error::message("exactly one of clusterrole or role must be specified")),
    };
    let mut subjects = Vec::new();
    for (flag, subject) in [("user", "User"), ("group", "Group")] {
        for name in args.list(flag) {
            subjects.push(json!({ "apiGroup": RBAC, "kind": subject, "name": name }));
        }
    }
    for account in args.list("serviceaccount") {
        let (namespace, name) = account
            .split_once(':')
            .filter(|(namespace, name)| !namespace.is_empty() && !name.is_empty() && !name.contains(':'))
            .ok_or_else(|| Error::message("serviceaccount must be <namespace>:<name>"))?;
        subjects.push(json!({ "kind": "ServiceAccount", "name": name, "namespace": namespace }));
    }
    let mut fields = json!({ "roleRef": { "apiGroup": RBAC, "kind": role_kind, "name": role_name } });
    if !subjects.is_empty() {
        fields["subjects"] = Value::Array(subjects);
    }
    let plural = if kind == "RoleBinding" { "rolebindings" } else { "clusterrolebindings" };
    Ok(generated(&format!("{RBAC}/v1"), kind, plural, kind == "RoleBinding", name, fields))
}

pub(super) async fn token(session: &Session<'_>) -> Result<(), Error> {
    let args = &session.args;
    let name = name(session)?;
    let bound = |flag: &str| args.string(&format!("bound-object-{flag}"));
    if args.string("duration").starts_with('-') {
        return Err(Error::message("--duration must be greater than or equal to 0"));
    }
    match (bound("kind"), bound("name"), bound("uid")) {
        ("", "", "") => {}
        ("", name, _) => {
            let flag = if name.is_empty() { "uid" } else { "name" };
            return Err(Error::message(format!(
                "--bound-object-{flag} can only be set if --bound-object-kind is provided"
            )));
        }
        (kind, ..) if !matches!(kind, "Node" | "Pod" | "Secret") => {
            return Err(Error::message("supported --bound-object-kind values are Node, Pod, Secret"));
        }
        (_, "", _) => {
            return Err(Error::message("--bound-object-name is required if --bound-object-kind is provided"));
        }
        _ => {}
    }
    let namespace = session.namespace().await?.0;
    let mut spec = json!({ "audiences": null, "expirationSeconds": null, "boundObjectRef": null });
    if !args.list("audience").is_empty() {
        spec["audiences"] = json!(args.list("audience"));
    }
    let duration = args.duration("duration").as_secs();
    if duration > 0 {
        spec["expirationSeconds"] = duration.into();
    }
    if !args.string("bound-object-kind").is_empty() {
        spec["boundObjectRef"] = json!({
            "kind": args.string("bound-object-kind"),
            "apiVersion": "v1",
            "name": args.string("bound-object-name"),
            "uid": args.string("bound-object-uid"),
        });
    }
    let request = json!({
        "kind": "TokenRequest",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": { "creationTimestamp": null },
        "spec": spec,
        "status": { "token": "", "expirationTimestamp": null },
    });
    let url = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token");
    let answer = session
        .client()
        .await?
        .write(Method::POST, url, "application/json", &request)
        .await
        .map_err(|error| super::prefixed(error, "failed to create token: "))?;
    let output = Output::new(session, COMMON).await?;
    if output.is_human() {
        // A line end is for people; a program gets the token alone.
        let token = answer["status"]["token"].as_str().unwrap_or_default();
        session.out(if session.host.terminal().is_some() { format!("{token}\n") } else { token.to_owned() });
    } else {
        session.out(output.render(&answer)?);
    }
    Ok(())
}
