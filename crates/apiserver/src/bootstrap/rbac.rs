//! The roles and bindings every cluster has: data in `rbac.txt`, and what reads it.

use std::collections::BTreeSet;

use machinery::sort::Order;
use serde_json::{Value, json};

const POLICY: &str = include_str!("rbac.txt");
const GROUP: &str = "rbac.authorization.k8s.io";
/// What comes before a controller's name in its role's.
const CONTROLLER: &str = "system:controller:";
const READ: [&str; 3] = ["get", "list", "watch"];
const WRITE: [&str; 5] = ["create", "delete", "deletecollection", "patch", "update"];

/// All roles, aggregated ones with the rules they gather, and all bindings; in the data's order.
pub(super) fn objects() -> Vec<Value> {
    let mut objects: Vec<Value> = Vec::new();
    for line in POLICY.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        if line.starts_with(' ') {
            let role = objects.iter_mut().rfind(|object| object.get("rules").is_some());
            if let Some(rules) = role.and_then(|role| role["rules"].as_array_mut()) {
                rules.push(rule(&words));
            }
            continue;
        }
        match words.as_slice() {
            ["role", name, marks @ ..] => objects.push(cluster_role(name, marks)),
            ["in", namespace, name] => objects.push(object("Role", namespace, name, json!({"rules": []}))),
            ["controller", name] => {
                let role = format!("{CONTROLLER}{name}");
                objects.push(bind("", &role, &role, &[&format!("account:{name}")]));
                objects.push(cluster_role(&role, &[]));
            }
            ["bind", role, subjects @ ..] => objects.push(bind("", role, role, subjects)),
            ["bind-in", namespace, role, subjects @ ..] => {
                let (name, role) = role.split_once(":=").unwrap_or((role, role));
                objects.push(bind(namespace, name, role, subjects));
            }
            _ => {}
        }
    }
    // What a role gathers may gather itself: from the narrowest to the widest.
    for label in ["aggregate-to-view", "aggregate-to-edit", "aggregate-to-admin"] {
        let label = format!("{GROUP}/{label}");
        let gathered = gather(&objects, &label);
        let target = objects.iter_mut().find(|object| {
            let selector = object.pointer("/aggregationRule/clusterRoleSelectors/0/matchLabels");
            selector.is_some_and(|labels| labels.get(&label).is_some())
        });
        if let Some(target) = target {
            target["rules"] = gathered;
        }
    }
    objects
}

/// The rules of the roles with a label, in the order of their names, each rule once.
fn gather(objects: &[Value], label: &str) -> Value {
    let mut roles: Vec<&Value> = objects.iter().collect();
    roles.retain(|role| role.pointer("/metadata/labels").is_some_and(|labels| labels.get(label).is_some()));
    roles.order_by_key(|role| role.pointer("/metadata/name").and_then(Value::as_str));
    let mut rules: Vec<Value> = Vec::new();
    for rule in roles.iter().filter_map(|role| role["rules"].as_array()).flatten() {
        if !rules.contains(rule) {
            rules.push(rule.clone());
        }
    }
    rules.into()
}

fn object(kind: &str, namespace: &str, name: &str, mut fields: Value) -> Value {
    fields["apiVersion"] = format!("{GROUP}/v1").into();
    fields["kind"] = kind.into();
    fields["metadata"] = json!({
        "name": name,
        "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"},
        "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
    });
    if !namespace.is_empty() {
        fields["metadata"]["namespace"] = namespace.into();
    }
    fields
}

fn cluster_role(name: &str, marks: &[&str]) -> Value {
    let mut role = object("ClusterRole", "", name, json!({"rules": []}));
    for mark in marks {
        let (sign, label) = mark.split_at(1);
        let label = format!("{GROUP}/{label}");
        if sign == "+" {
            role["metadata"]["labels"][label] = "true".into();
        } else {
            role["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": {label: "true"}}]});
        }
    }
    role
}

fn rule(words: &[&str]) -> Value {
    match words {
        ["events"] => json!({
            "verbs": ["create", "patch", "update"], "apiGroups": ["", "events.k8s.io"], "resources": ["events"],
        }),
        [verbs, paths @ ..] if paths.first().is_some_and(|path| path.starts_with('/')) => {
            // Everything, written so that it begins as a path does.
            let paths: Vec<&str> = paths.iter().map(|path| if *path == "/*" { "*" } else { path }).collect();
            json!({"verbs": expand(verbs), "nonResourceURLs": paths})
        }
        [verbs, groups, resources, names @ ..] => {
            let mut rule = json!({"verbs": expand(verbs), "apiGroups": list(groups), "resources": list(resources)});
            if let [names] = names {
                rule["resourceNames"] = json!(list(names));
            }
            rule
        }
        _ => Value::Null,
    }
}

/// A list's objects in order.
fn list(text: &str) -> BTreeSet<&str> {
    text.split(',').map(|name| if name == "core" { "" } else { name }).collect()
}

/// Verbs, with those that stand for several.
fn expand(verbs: &str) -> BTreeSet<&str> {
    let mut expanded = BTreeSet::new();
    for verb in verbs.split(',') {
        match verb {
            "R" => expanded.extend(READ),
            "W" => expanded.extend(WRITE),
            "RW" => expanded.extend(READ.into_iter().chain(WRITE)),
            verb => _ = expanded.insert(verb),
        }
    }
    expanded
}

fn bind(namespace: &str, name: &str, role: &str, subjects: &[&str]) -> Value {
    let subjects: Vec<Value> = subjects
        .iter()
        .filter_map(|subject| subject.split_once(':'))
        .map(|(kind, name)| match kind {
            "group" => json!({"apiGroup": GROUP, "kind": "Group", "name": name}),
            "user" => json!({"apiGroup": GROUP, "kind": "User", "name": name}),
            _ => json!({"kind": "ServiceAccount", "name": name, "namespace": "kube-system"}),
        })
        .collect();
    let (kind, of) = if namespace.is_empty() { ("ClusterRoleBinding", "ClusterRole") } else { ("RoleBinding", "Role") };
    let mut fields = json!({"roleRef": {"apiGroup": GROUP, "kind": of, "name": role}});
    if !subjects.is_empty() {
        fields["subjects"] = subjects.into();
    }
    object(kind, namespace, name, fields)
}
