//! The kubeconfig on the learner's computer, as kind and minikube write it.

use serde_json::{Value, json};
use sim::process::Process;

use crate::kubeconfig;

/// A kubeconfig with one cluster, which needs no credentials.
pub fn of(context: &str, server: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": context, "cluster": {"server": server}}],
        "users": [{"name": context, "user": {}}],
        "contexts": [{"name": context, "context": {"cluster": context, "user": context}}],
        "current-context": context,
        "preferences": {},
    })
}

/// Adds a cluster's entries and makes its context the current one.
pub fn add(process: &Process, path: Option<&str>, context: &str, server: &str) {
    change(process, path, |config| kubeconfig::insert(config, &of(context, server)));
}

/// Takes a cluster's entries out; no context is current then, if it was that one.
pub fn remove(process: &Process, path: Option<&str>, context: &str) {
    change(process, path, |config| kubeconfig::take_out(config, context));
}

/// The current context; empty if there is none.
pub fn current(process: &Process) -> String {
    read(process, &path_of(process, None))["current-context"].as_str().unwrap_or_default().to_owned()
}

/// Makes a context the current one.
pub fn use_context(process: &Process, context: &str) {
    change(process, None, |config| config["current-context"] = context.into());
}

fn path_of(process: &Process, given: Option<&str>) -> String {
    let named = process.var("KUBECONFIG").split(':').next().filter(|path| !path.is_empty());
    let path = given.or(named).map_or_else(|| format!("{}/.kube/config", process.var("HOME")), str::to_owned);
    process.path(&path)
}

fn read(process: &Process, path: &str) -> Value {
    let text = process.fs().read_text(path).unwrap_or_default();
    kubeconfig::or_empty(machinery::yaml::from_str(&text).unwrap_or_default())
}

fn change(process: &Process, path: Option<&str>, change: impl FnOnce(&mut Value)) {
    let path = path_of(process, path);
    let mut config = read(process, &path);
    change(&mut config);
    let now = process.machine.now();
    // A home that cannot be written to keeps the kubeconfig it has.
    let _ = process.fs().create_dir_all(sim::fs::parent(&path), now);
    let _ = process.fs().write(&path, machinery::yaml::emit(&config), now);
}
