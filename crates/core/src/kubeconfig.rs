//! What makers of clusters do to kubeconfig files (upstream kind, pkg/cluster/internal/kubeconfig).

use serde_json::{Value, json};

const SECTIONS: [&str; 3] = ["clusters", "contexts", "users"];

/// A kubeconfig file's contents; an empty one where there was none.
pub fn or_empty(contents: Value) -> Value {
    if contents.is_object() { contents } else { json!({"apiVersion": "v1", "kind": "Config", "preferences": {}}) }
}

/// Adds another file's entries, in the place of those with the same names, and makes its context the
/// current one.
pub fn insert(config: &mut Value, new: &Value) {
    for section in SECTIONS {
        for entry in new[section].as_array().into_iter().flatten() {
            let list = list_of(config, section);
            list.retain(|old| old["name"] != entry["name"]);
            list.push(entry.clone());
        }
    }
    config["current-context"] = new["current-context"].clone();
}

/// Takes the entries of a name out; no context is current then, if it was that one.
pub fn take_out(config: &mut Value, name: &str) {
    for section in SECTIONS {
        list_of(config, section).retain(|entry| entry["name"] != name);
    }
    if config["current-context"] == name {
        config["current-context"] = "".into();
    }
}

fn list_of<'a>(config: &'a mut Value, section: &str) -> &'a mut Vec<Value> {
    let entry = &mut config[section];
    if !entry.is_array() {
        *entry = json!([]);
    }
    match entry {
        Value::Array(list) => list,
        _ => unreachable!("it was made a list"),
    }
}
