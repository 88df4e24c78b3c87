//! Nodes.

use std::collections::BTreeMap;

use machinery::Quantity;
use machinery::sort::Order;
use serde_json::Value;

use super::page::{Page, long_time, or, plain};
use crate::api::Url;
use crate::error::Error;
use crate::resources::{items, text};
use crate::select;
use crate::session::Session;

type Amounts = BTreeMap<String, Quantity>;

pub(super) async fn node(session: &Session<'_>, page: &mut Page, object: &Value) -> Result<(), Error> {
    let (metadata, spec, status) = (&object["metadata"], &object["spec"], &object["status"]);
    let name = text(&metadata["name"]);
    page.field("Name", &name);
    let mut roles: Vec<String> = metadata["labels"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| match key.strip_prefix("node-role.kubernetes.io/") {
            Some(role) => Some(role.to_owned()),
            None if key == "kubernetes.io/role" => Some(text(value)),
            None => None,
        })
        .filter(|role| !role.is_empty())
        .collect();
    roles.order();
    page.field("Roles", or(&roles.join(","), "<none>"));
    page.meta(object);
    page.field("CreationTimestamp", long_time(&metadata["creationTimestamp"]));
    taints(page, &spec["taints"]);
    page.field("Unschedulable", (spec["unschedulable"] == true).to_string());
    let client = session.client().await?;
    match client.get(format!("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{name}")).await {
        Ok(lease) => {
            let lease = &lease["spec"];
            page.line(0, "Lease:");
            let holder = text(&lease["holderIdentity"]);
            page.line(1, format!("HolderIdentity:\t{}", or(&holder, "<unset>")));
            for (title, field) in [("AcquireTime", "acquireTime"), ("RenewTime", "renewTime")] {
                let time = if lease[field].is_null() { "<unset>".into() } else { long_time(&lease[field]) };
                page.line(1, format!("{title}:\t{time}"));
            }
        }
        Err(error) => page.field("Lease", format!("Failed to get lease: {}", error.plain())),
    }
    conditions(page, &status["conditions"]);
    page.line(0, "Addresses:");
    for address in items(&status["addresses"]) {
        page.line(1, format!("{}:\t{}", text(&address["type"]), text(&address["address"])));
    }
    for (title, field) in [("Capacity:", "capacity"), ("Allocatable:", "allocatable")] {
        let amounts = status[field].as_object().filter(|amounts| !amounts.is_empty());
        if let Some(amounts) = amounts {
            page.line(0, title);
            amounts.iter().for_each(|(name, amount)| page.line(0, format!("  {name}:\t{}", plain(amount))));
        }
    }
    let system = &status["nodeInfo"];
    page.line(0, "System Info:");
    for (title, field) in [
        ("Machine ID", "machineID"),
        ("System UUID", "systemUUID"),
        ("Boot ID", "bootID"),
        ("Kernel Version", "kernelVersion"),
        ("OS Image", "osImage"),
        ("Operating System", "operatingSystem"),
        ("Architecture", "architecture"),
        ("Container Runtime Version", "containerRuntimeVersion"),
        ("Kubelet Version", "kubeletVersion"),
        ("Kube-Proxy Version", "kubeProxyVersion"),
    ] {
        page.line(0, format!("  {title}:\t{}", text(&system[field])));
    }
    page.some("PodCIDR", &spec["podCIDR"]);
    let ranges: Vec<String> = items(&spec["podCIDRs"]).map(text).collect();
    if !ranges.is_empty() {
        page.field("PodCIDRs", ranges.join(","));
    }
    page.some("ProviderID", &spec["providerID"]);
    pods(session, page, &name, status).await
}

fn taints(page: &mut Page, taints: &Value) {
    let mut sorted: Vec<&Value> = items(taints).collect();
    sorted.order_by_key(|taint| (text(&taint["effect"]), text(&taint["key"])));
    let lines = sorted.iter().map(|taint| {
        let (key, value, effect) = (text(&taint["key"]), text(&taint["value"]), text(&taint["effect"]));
        match value.as_str() {
            "" => format!("{key}:{effect}"),
            value => format!("{key}={value}:{effect}"),
        }
    });
    page.list("Taints", lines.collect());
}

fn conditions(page: &mut Page, conditions: &Value) {
    let mut conditions = items(conditions).peekable();
    if conditions.peek().is_none() {
        return;
    }
    page.line(0, "Conditions:\n  Type\tStatus\tLastHeartbeatTime\tLastTransitionTime\tReason\tMessage");
    page.line(1, "----\t------\t-----------------\t------------------\t------\t-------");
    for condition in conditions {
        let cell = |field: &str| text(&condition[field]);
        page.line(
            1,
            format!(
                "{} \t{} \t{} \t{} \t{} \t{}",
                cell("type"),
                cell("status"),
                long_time(&condition["lastHeartbeatTime"]),
                long_time(&condition["lastTransitionTime"]),
                cell("reason"),
                cell("message")
            ),
        );
    }
}

/// What a pod's containers ask for together: init containers run alone before the others.
fn pod_amounts(pod: &Value, field: &str) -> Amounts {
    let of = |container: &Value| -> Amounts {
        let amounts = container["resources"][field].as_object().into_iter().flatten();
        amounts.filter_map(|(name, amount)| Some((name.clone(), Quantity::parse(&plain(amount)).ok()?))).collect()
    };
    let mut total = Amounts::new();
    let spec = &pod["spec"];
    let sidecars = items(&spec["initContainers"]).filter(|container| container["restartPolicy"] == "Always");
    for container in items(&spec["containers"]).chain(sidecars) {
        add(&mut total, &of(container));
    }
    for container in items(&spec["initContainers"]).filter(|container| container["restartPolicy"] != "Always") {
        for (name, amount) in of(container) {
            let entry = total.entry(name).or_insert(amount);
            if *entry < amount {
                *entry = amount;
            }
        }
    }
    let overhead = spec["overhead"].as_object().into_iter().flatten();
    let overhead: Amounts =
        overhead.filter_map(|(name, amount)| Some((name.clone(), Quantity::parse(&plain(amount)).ok()?))).collect();
    if !overhead.is_empty() && (field == "requests" || !total.is_empty()) {
        add(&mut total, &overhead);
    }
    total
}

fn add(total: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        let sum = total.get(name).map_or(*amount, |old| *old + *amount);
        total.insert(name.clone(), sum);
    }
}

fn share(amount: &Quantity, of: &Quantity) -> i64 {
    let (part, whole) = (amount.as_f64(), of.as_f64());
    if whole == 0.0 { 0 } else { (part / whole * 100.0) as i64 }
}

async fn pods(session: &Session<'_>, page: &mut Page, node: &str, status: &Value) -> Result<(), Error> {
    let url = Url::new("/api/v1/pods")
        .with("fieldSelector", format!("spec.nodeName={node},status.phase!=Failed,status.phase!=Succeeded"));
    let pods = select::list_all(session, url).await?;
    let allocatable = if status["allocatable"].is_object() { &status["allocatable"] } else { &status["capacity"] };
    let available = |name: &str| Quantity::parse(&plain(&allocatable[name])).unwrap_or_else(|_| zero());
    page.field("Non-terminated Pods", format!("({} in total)", pods.len()));
    page.line(1, "Namespace\tName\t\tCPU Requests\tCPU Limits\tMemory Requests\tMemory Limits\tAge");
    page.line(1, "---------\t----\t\t------------\t----------\t---------------\t-------------\t---");
    let (mut requests, mut limits) = (Amounts::new(), Amounts::new());
    let cell = |amounts: &Amounts, name: &str| {
        let amount = amounts.get(name).cloned().unwrap_or_else(zero);
        format!("{amount} ({}%)", share(&amount, &available(name)))
    };
    for pod in &pods {
        let (request, limit) = (pod_amounts(pod, "requests"), pod_amounts(pod, "limits"));
        page.line(
            1,
            format!(
                "{}\t{}\t\t{}\t{}\t{}\t{}\t{}",
                text(&pod["metadata"]["namespace"]),
                text(&pod["metadata"]["name"]),
                cell(&request, "cpu"),
                cell(&limit, "cpu"),
                cell(&request, "memory"),
                cell(&limit, "memory"),
                page.age(&pod["metadata"]["creationTimestamp"])
            ),
        );
        add(&mut requests, &request);
        add(&mut limits, &limit);
    }
    page.line(0, "Allocated resources:\n  (Total limits may be over 100 percent, i.e., overcommitted.)");
    page.line(1, "Resource\tRequests\tLimits");
    page.line(1, "--------\t--------\t------");
    let names: Vec<String> = allocatable.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect();
    for name in ["cpu", "memory", "ephemeral-storage"] {
        page.line(1, format!("{name}\t{}\t{}", cell(&requests, name), cell(&limits, name)));
    }
    for name in names.iter().filter(|name| name.starts_with("hugepages-")) {
        page.line(1, format!("{name}\t{}\t{}", cell(&requests, name), cell(&limits, name)));
    }
    let standard = |name: &str| {
        matches!(name, "cpu" | "memory" | "ephemeral-storage" | "pods" | "storage") || name.starts_with("hugepages-")
    };
    for name in names.iter().filter(|name| !standard(name)) {
        let amount = |amounts: &Amounts| amounts.get(name).cloned().unwrap_or_else(zero).to_string();
        page.line(1, format!("{name}\t{}\t{}", amount(&requests), amount(&limits)));
    }
    Ok(())
}

fn zero() -> Quantity {
    Quantity::of(None)
}
