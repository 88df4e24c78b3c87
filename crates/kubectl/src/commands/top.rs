//! `kubectl top`.

use std::cmp::Reverse;

use machinery::Quantity;
use machinery::sort::Order;
use serde_json::Value;

use crate::api::Url;
use crate::error::Error;
use crate::print::tabs;
use crate::resources::{items, text};
use crate::session::Session;

const METRICS: &str = "/apis/metrics.k8s.io/v1beta1";

fn amount(usage: &Value, name: &str) -> Quantity {
    usage[name].as_str().and_then(|text| Quantity::parse(text).ok()).unwrap_or_else(|| Quantity::of(None))
}

fn cpu(quantity: &Quantity) -> String {
    format!("{}m", quantity.milli_value())
}

fn memory(quantity: &Quantity) -> String {
    format!("{}Mi", quantity.value() / (1024 * 1024))
}

/// Runs the subcommands.
///
/// # Errors
/// What kubectl says.
pub async fn run(session: &Session<'_>) -> Result<(), Error> {
    let args = &session.args;
    match args.string("sort-by") {
        "" | "cpu" | "memory" => {}
        _ => return Err(Error::message("--sort-by accepts only cpu or memory")),
    }
    let is_node = args.command.name() == "node";
    if args.args.len() > 1 {
        return Err(args.usage_error(if is_node { "node [NAME | -l label]" } else { "pod [NAME | -l label]" }));
    }
    let (selector, fields) = (args.string("selector"), args.string("field-selector"));
    let selects = !selector.is_empty() || !fields.is_empty();
    if selects && !args.args.is_empty() {
        let what = if is_node { "--selector" } else { "selector" };
        return Err(Error::message(format!("only one of NAME or {what} can be provided")));
    }
    machinery::labels::Selector::parse(selector).map_err(|error| Error::message(error.to_string()))?;
    let broken = |part: &&str| !part.is_empty() && !part.contains('=');
    if let Some(part) = fields.split(',').find(broken) {
        return Err(Error::message(format!("invalid selector: '{fields}'; can't understand '{part}'")));
    }
    let groups = session.client().await?.get("/apis").await?;
    if !items(&groups["groups"]).any(|group| group["name"] == "metrics.k8s.io") {
        return Err(Error::message("Metrics API not available"));
    }
    if args.command.name() == "node" { nodes(session).await } else { pods(session).await }
}

async fn metrics(session: &Session<'_>, path: String) -> Result<Vec<Value>, Error> {
    let args = &session.args;
    let client = session.client().await?;
    if let Some(name) = args.args.first() {
        return Ok(vec![client.get(format!("{path}/{name}")).await?]);
    }
    let url = Url::new(path)
        .with_some("labelSelector", args.string("selector"))
        .with_some("fieldSelector", args.string("field-selector"));
    Ok(items(&client.get(url).await?["items"]).cloned().collect())
}

fn sort(rows: &mut [(String, Quantity, Quantity, Vec<String>)], by: &str) {
    match by {
        "cpu" => rows.order_by_key(|(_, cpu, ..)| Reverse(*cpu)),
        "memory" => rows.order_by_key(|(_, _, memory, _)| Reverse(*memory)),
        _ => rows.order_by(|a, b| a.0.cmp(&b.0)),
    }
}

async fn nodes(session: &Session<'_>) -> Result<(), Error> {
    let args = &session.args;
    let found = metrics(session, format!("{METRICS}/nodes")).await?;
    if found.is_empty() {
        return Err(Error::message("metrics not available yet"));
    }
    let nodes = session.client().await?.get("/api/v1/nodes").await?;
    let field = if args.bool("show-capacity") { "capacity" } else { "allocatable" };
    let mut rows = Vec::new();
    for metric in &found {
        let name = text(&metric["metadata"]["name"]);
        let node = items(&nodes["items"]).find(|node| node["metadata"]["name"] == name.as_str());
        let available = node.map(|node| node["status"][field].clone()).unwrap_or_default();
        let (used_cpu, used_memory) = (amount(&metric["usage"], "cpu"), amount(&metric["usage"], "memory"));
        let share = |used: &Quantity, name: &str| {
            let whole = amount(&available, name).as_f64();
            if whole == 0.0 { "0%".to_owned() } else { format!("{}%", (used.as_f64() / whole * 100.0) as i64) }
        };
        let cells = vec![cpu(&used_cpu), share(&used_cpu, "cpu"), memory(&used_memory), share(&used_memory, "memory")];
        rows.push((name, used_cpu, used_memory, cells));
    }
    sort(&mut rows, args.string("sort-by"));
    let headers = ["NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)"];
    print(session, &headers, rows.into_iter().map(|(name, _, _, cells)| [vec![name], cells].concat()));
    Ok(())
}

async fn pods(session: &Session<'_>) -> Result<(), Error> {
    let args = &session.args;
    let all = args.bool("all-namespaces");
    let path = match all {
        true => format!("{METRICS}/pods"),
        false => format!("{METRICS}/namespaces/{}/pods", session.namespace().await?.0),
    };
    let found = metrics(session, path).await?;
    if found.is_empty() {
        match all {
            true => session.errln("No resources found"),
            false => session.errln(format!("No resources found in {} namespace.", session.namespace().await?.0)),
        }
        return Ok(());
    }
    let containers = args.bool("containers");
    let mut headers = Vec::new();
    headers.extend(all.then_some("NAMESPACE"));
    headers.extend(containers.then_some("POD"));
    headers.extend(["NAME", "CPU(cores)", "MEMORY(bytes)"]);
    let mut rows = Vec::new();
    for metric in &found {
        let (namespace, name) = (text(&metric["metadata"]["namespace"]), text(&metric["metadata"]["name"]));
        let mut lead = Vec::new();
        lead.extend(all.then(|| namespace.clone()));
        let key = format!("{namespace}/{name}");
        if containers {
            lead.push(name);
            for container in items(&metric["containers"]) {
                let (cores, bytes) = (amount(&container["usage"], "cpu"), amount(&container["usage"], "memory"));
                let cells = [lead.clone(), vec![text(&container["name"]), cpu(&cores), memory(&bytes)]].concat();
                rows.push((key.clone(), cores, bytes, cells));
            }
            continue;
        }
        let total = |resource: &str| {
            let amounts = items(&metric["containers"]).map(|container| amount(&container["usage"], resource));
            amounts.fold(Quantity::of(None), |sum, amount| sum + amount)
        };
        let (cores, bytes) = (total("cpu"), total("memory"));
        rows.push((key, cores, bytes, [lead, vec![name, cpu(&cores), memory(&bytes)]].concat()));
    }
    sort(&mut rows, args.string("sort-by"));
    let mut sum = Vec::new();
    if args.bool("sum") {
        let zero = Quantity::of(None);
        let (cores, bytes) = rows.iter().fold((zero, zero), |sum, (_, cpu, memory, _)| (sum.0 + *cpu, sum.1 + *memory));
        let blank = |count: usize| vec![String::new(); count];
        sum.push([blank(headers.len() - 2), vec!["________".into(), "________".into()]].concat());
        // The name is empty too.
        sum.push([blank(headers.len() - 2), vec![cpu(&cores), memory(&bytes)]].concat());
    }
    print(session, &headers, rows.into_iter().map(|(.., cells)| cells).chain(sum));
    Ok(())
}

/// The original ends its last column with a tab, too.
fn print(session: &Session<'_>, headers: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    let mut lines = String::new();
    if !session.args.bool("no-headers") {
        lines.push_str(&(headers.join("\t") + "\t\n"));
    }
    rows.for_each(|cells| lines.push_str(&(cells.join("\t") + "\t\n")));
    session.out(tabs::align(&lines, tabs::TABLE));
}
