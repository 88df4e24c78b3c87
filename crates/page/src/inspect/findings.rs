//! Why an object is as it is: what a good engineer would look at first, asked of the live objects.

use serde_json::Value;

use super::near::near;
use crate::text::*;
use crate::world::{Object, Snapshot, items, text};

/// Something found out.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// What it is to who reads it.
    pub sign: Sign,
    /// In words.
    pub text: String,
    /// `resource/key` of the object to look at next; empty for none.
    pub link: String,
}

/// What a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// As it should be.
    Good,
    /// Not as it should be.
    Bad,
    /// What to do or to look at next.
    Next,
}

fn good(text: impl Into<String>) -> Finding {
    Finding { sign: Sign::Good, text: text.into(), link: String::new() }
}

fn bad(text: impl Into<String>) -> Finding {
    Finding { sign: Sign::Bad, text: text.into(), link: String::new() }
}

/// What there is to say about an object of a resource.
pub fn findings(resource: &str, object: &Object, snapshot: &Snapshot) -> Vec<Finding> {
    match resource {
        "pods" => pod(object, snapshot),
        "services" => service(object, snapshot),
        "deployments" | "replicasets" => workload(resource, object, snapshot),
        "nodes" => node(object, snapshot),
        _ => Vec::new(),
    }
}

/// Exit codes that mean something by themselves.
fn meaning(code: i64) -> &'static str {
    match code {
        0 => t(ENDED_WELL),
        1 | 2 => t(OWN_ERROR),
        126 => t(NOT_RUNNABLE),
        127 => t(NO_COMMAND),
        137 => t(KILLED),
        139 => t(SEGFAULT),
        143 => t(ASKED_TO_STOP),
        _ => t(OWN_CODE),
    }
}

fn pod(pod: &Object, snapshot: &Snapshot) -> Vec<Finding> {
    let mut found = Vec::new();
    if pod.terminating() {
        found.push(bad(match pod.text("/spec/nodeName") {
            "" => t(IS_DELETED).into(),
            node => IS_DELETED_ON.with(&[node]),
        }));
    }
    if pod.text("/spec/nodeName").is_empty() {
        let condition = items(&pod.0, "/status/conditions").iter().find(|it| text(it, "/type") == "PodScheduled");
        let message = condition.map_or("", |condition| text(condition, "/message"));
        found.push(bad(match message {
            "" => t(NO_NODE_YET).to_owned(),
            message => NO_NODE_FITS.with(&[message]),
        }));
    }
    let inits = items(&pod.0, "/status/initContainerStatuses").iter();
    for status in inits.chain(items(&pod.0, "/status/containerStatuses")) {
        container(status, &mut found);
    }
    for event in about(pod, "Pod", snapshot).filter(|event| event.text("/type") == "Warning") {
        let reason = event.text("/reason");
        // What the scheduler and the back-offs say stands above already.
        let told = matches!(reason, "FailedScheduling" | "BackOff" | "Failed");
        let message = event.text("/message");
        let stale = reason == "Unhealthy" && pod.condition("Ready") == "True";
        if !told && !stale && !found.iter().any(|finding| finding.text.ends_with(message)) {
            found.push(bad(format!("{reason}: {message}")));
        }
    }
    if found.is_empty() && pod.condition("Ready") == "True" {
        let leads_here = |endpoint: &Value| {
            text(endpoint, "/targetRef/kind") == "Pod" && text(endpoint, "/targetRef/name") == pod.name()
        };
        let mut slices = snapshot.list("endpointslices").filter(|slice| slice.namespace() == pod.namespace());
        let serves = slices.any(|slice| slice.items("/endpoints").iter().any(leads_here));
        found.push(good(t(if serves { POD_SERVES } else { POD_RUNS })));
    }
    found
}

fn container(status: &Value, found: &mut Vec<Finding>) {
    let name = text(status, "/name");
    let reason = text(status, "/state/waiting/reason");
    let last = ["/state/terminated", "/lastState/terminated"].into_iter().find_map(|path| status.pointer(path));
    match reason {
        "" | "ContainerCreating" | "PodInitializing" => {}
        "CrashLoopBackOff" => {
            found.push(bad(CRASH_LOOP.with(&[name])));
        }
        "ErrImagePull" | "ImagePullBackOff" => {
            found.push(bad(NO_IMAGE.with(&[name, text(status, "/image"), text(status, "/state/waiting/message")])))
        }
        other => found.push(bad(WAITS.with(&[name, other, text(status, "/state/waiting/message")]))),
    }
    if let Some(last) = last
        && let Some(code) = last.get("exitCode").and_then(Value::as_i64)
    {
        let restarts = status.get("restartCount").and_then(Value::as_i64).unwrap_or(0);
        let why = match text(last, "/reason") {
            "OOMKilled" => t(OUT_OF_MEMORY),
            _ => meaning(code),
        };
        if restarts > 0 {
            found.push(bad(RESTARTED.with(&[name, &restarts.to_string(), &code.to_string(), why])));
        } else {
            let finding = HAS_ENDED.with(&[name, &code.to_string(), why]);
            found.push(if code == 0 { good(finding) } else { bad(finding) });
        }
    }
}

/// The events about an object.
fn about<'a>(object: &'a Object, kind: &'a str, snapshot: &'a Snapshot) -> impl Iterator<Item = &'a Object> {
    let events = snapshot.list("events").map(AsRef::as_ref);
    events.filter(move |event: &&Object| {
        event.text("/involvedObject/kind") == kind
            && event.text("/involvedObject/name") == object.name()
            && event.text("/involvedObject/namespace") == object.namespace()
    })
}

/// Whether every label of a selector is on the object.
fn selected(object: &Object, selector: &serde_json::Map<String, Value>) -> bool {
    selector.iter().all(|(label, value)| object.label(label) == value.as_str())
}

fn written(selector: &serde_json::Map<String, Value>) -> String {
    let terms = selector.iter().map(|(label, value)| format!("{label}={}", value.as_str().unwrap_or_default()));
    terms.collect::<Vec<_>>().join(",")
}

/// The way from a Service to a container, step by step, up to the first that fails.
fn service(service: &Object, snapshot: &Snapshot) -> Vec<Finding> {
    let selector = service.0.pointer("/spec/selector").and_then(Value::as_object).filter(|it| !it.is_empty());
    let Some(selector) = selector else {
        return vec![good(t(NO_SELECTOR))];
    };
    let here = |pod: &&Object| pod.namespace() == service.namespace() && selected(pod, selector) && !pod.terminating();
    let matched: Vec<&Object> = snapshot.list("pods").map(AsRef::as_ref).filter(here).collect();
    let wanted = written(selector);
    if matched.is_empty() {
        let mut found = vec![bad(MATCHES_NONE.with(&[&wanted]))];
        found.extend(near(service.namespace(), selector, snapshot));
        return found;
    }
    let mut found = vec![good(MATCHES.with(&[&wanted, &matched.len().to_string()]))];
    let ready = matched.iter().filter(|pod| pod.condition("Ready") == "True").count();
    if ready == 0 {
        let text = t(NONE_READY).to_owned();
        found.push(Finding { sign: Sign::Bad, text, link: format!("pods/{}", matched[0].key()) });
        return found;
    }
    found.push(match matched.len() - ready {
        0 => good(ALL_READY.with(&[&ready.to_string()])),
        unready => bad(SOME_READY.with(&[&ready.to_string(), &unready.to_string()])),
    });
    for port in items(&service.0, "/spec/ports") {
        let number = port.get("port").and_then(Value::as_i64).unwrap_or(0);
        let target = match port.get("targetPort") {
            Some(Value::String(name)) => name.clone(),
            Some(Value::Number(number)) => number.to_string(),
            _ => number.to_string(),
        };
        let declared = || {
            let containers = matched.iter().flat_map(|pod| items(&pod.0, "/spec/containers"));
            containers.flat_map(|container| items(container, "/ports"))
        };
        let is_target = |port: &Value| {
            text(port, "/name") == target
                || port.get("containerPort").and_then(Value::as_i64).is_some_and(|it| it.to_string() == target)
        };
        found.push(if declared().any(is_target) || declared().next().is_none() {
            good(PORT_LEADS.with(&[&number.to_string(), &target]))
        } else {
            bad(PORT_LEADS_NOWHERE.with(&[&number.to_string(), &target]))
        });
    }
    found
}

fn workload(resource: &str, object: &Object, snapshot: &Snapshot) -> Vec<Finding> {
    let wanted = object.0.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(1);
    let ready = object.number("/status/readyReplicas");
    if ready >= wanted {
        return vec![good(READY_OF.with(&[&ready.to_string(), &wanted.to_string()]))];
    }
    let mut found = vec![bad(READY_OF.with(&[&ready.to_string(), &wanted.to_string()]))];
    for condition in items(&object.0, "/status/conditions") {
        let failing = matches!(
            (text(condition, "/type"), text(condition, "/status")),
            ("Progressing", "False") | ("ReplicaFailure", "True")
        );
        if failing {
            found.push(bad(format!("{}: {}", text(condition, "/reason"), text(condition, "/message"))));
        }
    }
    let selector = object.0.pointer("/spec/selector/matchLabels").and_then(Value::as_object);
    let Some(selector) = selector else { return found };
    let pods = snapshot.list("pods").map(AsRef::as_ref).filter(|pod: &&Object| {
        pod.namespace() == object.namespace() && selected(pod, selector) && pod.condition("Ready") != "True"
    });
    for stuck in pods.take(3) {
        let why = pod(stuck, snapshot).into_iter().find(|finding| finding.sign == Sign::Bad);
        let why = why.map_or_else(|| t(NOT_READY_YET).into(), |finding| finding.text);
        found.push(Finding {
            sign: Sign::Bad,
            text: format!("{}: {why}", stuck.name()),
            link: format!("pods/{}", stuck.key()),
        });
    }
    if found.len() == 1 && resource == "replicasets" {
        for event in about(object, "ReplicaSet", snapshot).filter(|event| event.text("/type") == "Warning").take(1) {
            found.push(bad(event.text("/message")));
        }
    }
    found
}

fn node(node: &Object, snapshot: &Snapshot) -> Vec<Finding> {
    let mut found = Vec::new();
    if snapshot.is_powerless(node.name()) {
        found.push(bad(t(POWERLESS)));
    }
    match node.condition("Ready") {
        "True" => {}
        "Unknown" => found.push(bad(t(KUBELET_SILENT))),
        _ => found.push(bad(t(KUBELET_NOT_READY))),
    }
    for pressure in ["MemoryPressure", "DiskPressure", "PIDPressure"] {
        if node.condition(pressure) == "True" {
            found.push(bad(RUNS_SHORT.with(&[pressure])));
        }
    }
    for taint in items(&node.0, "/spec/taints") {
        let (key, effect) = (text(taint, "/key"), text(taint, "/effect"));
        let words = if effect == "NoExecute" { TAINT_STAYS } else { TAINT_COMES };
        found.push(bad(words.with(&[key, effect])));
    }
    let count = snapshot.list("pods").filter(|pod| pod.text("/spec/nodeName") == node.name()).count();
    found.push(good(PODS_ON_IT.with(&[&count.to_string()])));
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;

    fn web(label: &str, ready: &str) -> Object {
        Object(json!({"metadata": {"namespace": "default", "name": "web-1", "labels": {"app": label}},
            "spec": {"nodeName": "n", "containers": [{"ports": [{"containerPort": 80}]}]},
            "status": {"conditions": [{"type": "Ready", "status": ready}]}}))
    }

    fn texts(found: &[Finding]) -> String {
        found.iter().map(|it| format!("{}{}\n", if it.sign == Sign::Good { "+" } else { "-" }, it.text)).collect()
    }

    #[wasm_bindgen_test]
    fn a_service_says_where_the_way_ends() {
        let to = |port: i64| {
            Object(json!({"metadata": {"namespace": "default", "name": "web"},
                "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": port}]}}))
        };
        let mut snapshot = Snapshot::default();
        snapshot.put("pods", web("wep", "True"));
        let found = texts(&findings("services", &to(80), &snapshot));
        assert!(
            found.contains("-Its selector app=web matches no pod") && found.contains("app=wep is here, on 1 of 1"),
            "{found}"
        );
        snapshot.put("pods", web("web", "False"));
        assert!(texts(&findings("services", &to(80), &snapshot)).contains("-None of them is ready"));
        snapshot.put("pods", web("web", "True"));
        assert!(findings("services", &to(80), &snapshot).iter().all(|finding| finding.sign == Sign::Good));
        assert!(texts(&findings("services", &to(81), &snapshot)).contains("-Port 80 leads to port 81"));
    }

    #[wasm_bindgen_test]
    fn a_container_that_ends_says_how() {
        let mut pod = web("web", "False");
        pod.0["status"]["containerStatuses"] = json!([{"name": "c", "restartCount": 3,
            "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}]);
        let found = texts(&findings("pods", &pod, &Snapshot::default()));
        assert!(found.contains("again and again") && found.contains("restarted 3 times"), "{found}");
        assert!(found.contains("more memory"), "{found}");
    }
}
