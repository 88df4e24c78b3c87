//! Hints by which traffic stays in its zone, where a Service asks for that by annotation
//! (`k8s.io/endpointslice/topologycache`): each zone gets as many endpoints as it has processors.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Service};
use machinery::split;

use crate::nodelifecycle::is_ready;
use crate::pods;

/// The annotations that ask for it, the older one first.
const ANNOTATIONS: [&str; 2] = ["service.kubernetes.io/topology-aware-hints", "service.kubernetes.io/topology-mode"];
/// The zone a node is in.
pub const ZONE: &str = "topology.kubernetes.io/zone";
/// Labels of nodes that do not count.
const EXCLUDED: [&str; 2] = ["node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master"];
/// An endpoint may get so much more than its share: a fifth.
const OVERLOAD: (i64, i64) = (6, 5);

/// Whether the Service asks for hints.
pub fn enabled(service: &Service) -> bool {
    let stated = ANNOTATIONS.iter().find_map(|name| pods::annotation(service, name));
    matches!(stated, Some("Auto" | "auto"))
}

split! {
    rare,
    /// The zone that each ready endpoint serves, given the zones they are in; or why they get none.
    fn allocate(nodes: Vec<Arc<Node>>, endpoints: Vec<Option<String>>) -> Result<Vec<String>, String> {
        let shares = shares(&nodes);
        let count = i64::try_from(endpoints.len()).unwrap_or(i64::MAX);
        let of = |why: &str, zones: usize| format!("{why} ({count} endpoints, {zones} zones)");
        if shares.len() < 2 {
            let why = "Insufficient Node information: allocatable CPU or zone not specified on one or more nodes";
            return Ok(Err(why.into()));
        }
        if shares.len() > endpoints.len() {
            return Ok(Err(of("Insufficient number of endpoints", shares.len())));
        }
        let all: i64 = shares.values().sum();
        let least = |share: i64| (share * count * OVERLOAD.1 + all * OVERLOAD.0 - 1) / (all * OVERLOAD.0);
        if shares.values().map(|share| least(*share)).sum::<i64>() > count {
            let why = "Unable to allocate minimum required endpoints to each zone without exceeding overload threshold";
            return Ok(Err(of(why, shares.len())));
        }
        let Some(mut zones) = endpoints.into_iter().collect::<Option<Vec<String>>>() else {
            return Ok(Err("One or more endpoints do not have a zone specified".into()));
        };
        // What each zone has too much or lacks, in parts of an endpoint.
        let mut surplus: BTreeMap<&str, i64> = BTreeMap::new();
        for (zone, share) in &shares {
            let has = zones.iter().filter(|it| *it == zone).count();
            let wanted = (share * count).max(least(*share) * all);
            surplus.insert(zone, i64::try_from(has).unwrap_or(i64::MAX) * all - wanted);
        }
        // As long as there is half an endpoint to give and to take, and a whole one to one of both.
        while let (Some((giver, gives)), Some((taker, takes))) =
            (most(&surplus, |it| it), most(&surplus, |it| -it))
        {
            if gives.max(takes) < all || 2 * gives.min(takes) < all {
                break;
            }
            let Some(moved) = zones.iter_mut().find(|zone| *zone == giver) else { break };
            *moved = taker.to_owned();
            *surplus.entry(giver).or_default() -= all;
            *surplus.entry(taker).or_default() += all;
        }
        Ok(zones)
    }
}

/// [`allocate`]; none where its code could not be loaded.
pub fn hints(nodes: Vec<Arc<Node>>, endpoints: Vec<Option<String>>) -> Option<Result<Vec<String>, String>> {
    split::at_once(allocate(nodes, endpoints)).ok()
}

/// The zone with the most by a measure, if that is more than nothing.
fn most<'a>(zones: &BTreeMap<&'a str, i64>, measure: impl Fn(i64) -> i64) -> Option<(&'a str, i64)> {
    let mut found = None;
    for (zone, amount) in zones {
        let amount = measure(*amount);
        if amount > found.map_or(0, |(_, most)| most) {
            found = Some((*zone, amount));
        }
    }
    found
}

/// Each zone's processors, in thousandths; nothing where a node does not say.
fn shares(nodes: &[Arc<Node>]) -> BTreeMap<String, i64> {
    let mut shares = BTreeMap::new();
    for node in nodes.iter().filter(|node| is_ready(node)) {
        let labels = node.metadata.labels.clone().unwrap_or_default();
        if EXCLUDED.iter().any(|label| labels.contains_key(*label)) {
            continue;
        }
        let allocatable = node.status.as_ref().and_then(|status| status.allocatable.as_ref());
        let cpu = allocatable.and_then(|it| machinery::quantity::Quantity::try_from(it.get("cpu")?).ok());
        let cpu = cpu.map_or(0, |cpu| cpu.milli_value());
        match labels.get(ZONE).filter(|zone| !zone.is_empty() && cpu > 0) {
            Some(zone) => *shares.entry(zone.clone()).or_default() += cpu,
            None => return BTreeMap::new(),
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node(zone: &str, cpu: &str) -> Arc<Node> {
        let node = json!({
            "metadata": { "labels": { ZONE: zone } },
            "status": { "allocatable": { "cpu": cpu }, "conditions": [{ "type": "Ready", "status": "True" }] },
        });
        Arc::new(serde_json::from_value(node).unwrap())
    }

    #[test]
    fn zones_get_endpoints_by_their_processors() {
        let even = [node("a", "2"), node("b", "2")];
        let uneven = [node("a", "3"), node("b", "1")];
        for (nodes, zones, expected) in [
            (&even[..], "a a b b", Ok("a a b b")),
            (&even, "a a a b", Ok("b a a b")),
            (&even, "a a a a a a a", Ok("b b b a a a a")),
            (&uneven, "a a b b", Ok("a a a b")),
            (&even, "a", Err("Insufficient number of endpoints (1 endpoints, 2 zones)")),
            (
                &even[..1],
                "a a",
                Err("Insufficient Node information: allocatable CPU or zone not specified on one or more nodes"),
            ),
        ] {
            let endpoints = zones.split(' ').map(|zone| Some(zone.to_owned())).collect();
            let found = hints(nodes.to_vec(), endpoints).unwrap();
            assert_eq!(
                found.map(|zones| zones.join(" ")),
                expected.map(str::to_owned).map_err(str::to_owned),
                "{zones}"
            );
        }
        let unknown = hints(even.to_vec(), vec![Some("a".into()), None]).unwrap();
        assert_eq!(unknown, Err("One or more endpoints do not have a zone specified".into()));
        let three = [node("a", "1"), node("b", "1"), node("c", "1")];
        let few = hints(three.to_vec(), vec![Some("a".into()); 4]).unwrap();
        assert!(few.unwrap_err().starts_with("Unable to allocate minimum required endpoints to each zone"));
    }
}
