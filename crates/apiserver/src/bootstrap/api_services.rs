//! An APIService for each version of each group: the server's own are always available.

use serde_json::{Value, json};

use crate::registry;
use crate::server::ApiServer;

/// Group, version, and how they come among others (`cmd/kube-apiserver/app/aggregator.go`).
const PRIORITIES: [(&str, &str, i32, i32); 19] = [
    ("", "v1", 18_000, 1),
    ("apps", "v1", 17_800, 15),
    ("events.k8s.io", "v1", 17_750, 15),
    ("authentication.k8s.io", "v1", 17_700, 15),
    ("authorization.k8s.io", "v1", 17_600, 15),
    ("autoscaling", "v1", 17_500, 15),
    ("autoscaling", "v2", 17_500, 30),
    ("batch", "v1", 17_400, 15),
    ("certificates.k8s.io", "v1", 17_300, 15),
    ("networking.k8s.io", "v1", 17_200, 15),
    ("policy", "v1", 17_100, 15),
    ("rbac.authorization.k8s.io", "v1", 17_000, 15),
    ("storage.k8s.io", "v1", 16_800, 15),
    ("admissionregistration.k8s.io", "v1", 16_700, 15),
    ("scheduling.k8s.io", "v1", 16_600, 15),
    ("coordination.k8s.io", "v1", 16_500, 15),
    ("node.k8s.io", "v1", 16_300, 15),
    ("discovery.k8s.io", "v1", 16_200, 12),
    ("flowcontrol.apiserver.k8s.io", "v1", 16_100, 21),
];

/// All of them, available since `now`.
pub(super) fn objects(server: &ApiServer, now: &str) -> Vec<Value> {
    let served = |group: &str, version: &str| registry::all().any(|row| (row.group, row.version) == (group, version));
    let own = PRIORITIES.iter().filter(|(group, version, ..)| served(group, version));
    let own = own.map(|(group, version, minimum, priority)| {
        let mut service = object(group, version, (*minimum, *priority), now, "Local");
        service["metadata"]["labels"] = json!({"kube-aggregator.kubernetes.io/automanaged": "onstart"});
        service
    });
    // As metrics-server's manifest has it.
    let others = server.aggregated().map(|api| {
        let mut service = object(api.group(), api.version(), (100, 100), now, "Passed");
        service["metadata"]["labels"] = json!({"k8s-app": api.service()});
        service["spec"]["service"] = json!({"namespace": "kube-system", "name": api.service(), "port": 443});
        service["spec"]["insecureSkipTLSVerify"] = true.into();
        service
    });
    own.chain(others).collect()
}

fn object(group: &str, version: &str, (minimum, priority): (i32, i32), now: &str, reason: &str) -> Value {
    let message = match reason {
        "Local" => "Local APIServices are always available",
        _ => "all checks passed",
    };
    let mut service = json!({
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": format!("{version}.{group}")},
        "spec": {
            "version": version,
            "groupPriorityMinimum": minimum,
            "versionPriority": priority,
        },
        "status": {"conditions": [{
            "type": "Available", "status": "True", "reason": reason, "message": message, "lastTransitionTime": now,
        }]},
    });
    if !group.is_empty() {
        service["spec"]["group"] = group.into();
    }
    service
}
