//! Hints by which traffic stays in its zone, where a Service asks for that by annotation
//! (`k8s.io/endpointslice/topologycache`): each zone gets as many endpoints as it has processors.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Service};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use machinery::split;

use crate::endpointslice::target_uid;
use crate::nodelifecycle::is_ready;
use crate::pods;

/// The annotations that ask for it, the older one first.
const ANNOTATIONS: [&str; 2] = ["service.kubernetes.io/topology-aware-hints", "service.kubernetes.io/topology-mode"];
/// The zone a node is in.
pub const ZONE: &str = "topology.kubernetes.io/zone";
/// Labels of nodes that do not count.
const EXCLUDED: [&str; 2] = ["node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master"];
/// An endpoint may get so much more than its share: a fifth.
const OVERLOAD: (i128, i128) = (6, 5);

/// Whether the Service asks for hints.
pub fn enabled(service: &Service) -> bool {
    let stated = ANNOTATIONS.iter().find_map(|name| pods::annotation(service, name));
    matches!(stated, Some("Auto" | "auto"))
}

split! {
    rare,
    /// See [`hints`].
    fn allocate(
        nodes: Vec<Arc<Node>>,
        slices: Vec<Arc<EndpointSlice>>,
        endpoints: Vec<(Option<String>, String)>
    ) -> Result<Vec<String>, String> {
        let present = slices.iter().flat_map(|slice| slice.endpoints.iter().flatten());
        let present: BTreeMap<&str, &Endpoint> = present.map(|it| (target_uid(it), it)).collect();
        let serves = |uid: &str| Some(&present.get(uid)?.hints.as_ref()?.for_zones.as_ref()?.first()?.name);
        let shares = shares(&nodes);
        let count = endpoints.len() as i128;
        let of = |why: &str, zones: usize| format!("{why} ({count} endpoints, {zones} zones)");
        if shares.len() < 2 {
            let why = "Insufficient Node information: allocatable CPU or zone not specified on one or more nodes";
            return Ok(Err(why.into()));
        }
        if shares.len() > endpoints.len() {
            return Ok(Err(of("Insufficient number of endpoints", shares.len())));
        }
        let all: i128 = shares.values().sum();
        let least = |share: i128| (share * count * OVERLOAD.1 + all * OVERLOAD.0 - 1) / (all * OVERLOAD.0);
        if shares.values().map(|share| least(*share)).sum::<i128>() > count {
            let why = "Unable to allocate minimum required endpoints to each zone without exceeding overload threshold";
            return Ok(Err(of(why, shares.len())));
        }
        // What each zone has too much or lacks, in parts of an endpoint.
        let mut surplus: BTreeMap<&str, i128> =
            shares.iter().map(|(zone, share)| (&**zone, -(share * count).max(least(*share) * all))).collect();
        for (zone, _) in &endpoints {
            let Some(zone) = zone else { return Ok(Err("One or more endpoints do not have a zone specified".into())) };
            if let Some(surplus) = surplus.get_mut(&**zone) {
                *surplus += all;
            }
        }
        // As long as there is half an endpoint to give and to take, and a whole one to one of both.
        let mut moves: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        while let (Some((giver, gives)), Some((taker, takes))) =
            (most(&surplus, |it| it), most(&surplus, |it| -it))
        {
            if gives.max(takes) < all || 2 * gives.min(takes) < all {
                break;
            }
            *moves.entry((giver, taker)).or_default() += 1;
            *surplus.entry(giver).or_default() -= all;
            *surplus.entry(taker).or_default() += all;
        }
        // Those that serve the other zone already go on with it.
        let mut moved = vec![None; endpoints.len()];
        for again in [true, false] {
            for ((zone, uid), moved) in endpoints.iter().zip(&mut moved).filter(|(_, moved)| moved.is_none()) {
                let fits = |giver: &str, taker: &str| {
                    zone.as_deref() == Some(giver) && (!again || serves(uid).is_some_and(|zone| zone == taker))
                };
                let chosen = moves.iter_mut().find(|((giver, taker), left)| **left > 0 && fits(giver, taker));
                if let Some(((_, taker), left)) = chosen {
                    *left -= 1;
                    *moved = Some((*taker).to_owned());
                }
            }
        }
        Ok(endpoints.iter().zip(moved).filter_map(|((zone, _), moved)| moved.or_else(|| zone.clone())).collect())
    }
}

/// The zone that each ready endpoint serves, given the zones they are in with their uids, and the slices that say which
/// they serve now; or why they get none. Nothing where the code for it could not be loaded.
pub fn hints(
    nodes: Vec<Arc<Node>>,
    slices: Vec<Arc<EndpointSlice>>,
    endpoints: Vec<(Option<String>, String)>,
) -> Option<Result<Vec<String>, String>> {
    split::at_once(allocate(nodes, slices, endpoints)).ok()
}

/// Whether a node's change may change hints.
pub fn matters(old: &Node, new: &Node) -> bool {
    let stated = [old, new].map(|node| {
        let allocatable = node.status.as_ref().and_then(|status| status.allocatable.as_ref());
        (is_ready(node), allocatable.and_then(|it| it.get("cpu")))
    });
    old.metadata.labels != new.metadata.labels || stated[0] != stated[1]
}

/// The zone with the most by a measure, if that is more than nothing.
fn most<'a>(zones: &BTreeMap<&'a str, i128>, measure: impl Fn(i128) -> i128) -> Option<(&'a str, i128)> {
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
fn shares(nodes: &[Arc<Node>]) -> BTreeMap<String, i128> {
    let mut shares = BTreeMap::new();
    for node in nodes.iter().filter(|node| is_ready(node)) {
        let labels = node.metadata.labels.as_ref();
        let label = |name: &str| labels.and_then(|labels| labels.get(name));
        if EXCLUDED.iter().any(|name| label(name).is_some()) {
            continue;
        }
        let allocatable = node.status.as_ref().and_then(|status| status.allocatable.as_ref());
        let cpu = allocatable.and_then(|it| machinery::quantity::Quantity::try_from(it.get("cpu")?).ok());
        let cpu = cpu.map_or(0, |cpu| cpu.milli_value().into());
        match label(ZONE).filter(|zone| !zone.is_empty() && cpu > 0) {
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
        let huge = [node("a", "1e18"), node("b", "1e18")];
        for (nodes, zones, expected) in [
            (&even[..], "a a b b", Ok("a a b b")),
            (&even, "a a a b", Ok("b a a b")),
            (&even, "a a a a a a a", Ok("b b b a a a a")),
            (&uneven, "a a b b", Ok("a a a b")),
            (&huge, "a a a b", Ok("b a a b")),
            (&even, "a", Err("Insufficient number of endpoints (1 endpoints, 2 zones)")),
            (
                &even[..1],
                "a a",
                Err("Insufficient Node information: allocatable CPU or zone not specified on one or more nodes"),
            ),
        ] {
            let endpoints = zones.split(' ').map(|zone| (Some(zone.to_owned()), String::new())).collect();
            let found = hints(nodes.to_vec(), Vec::new(), endpoints).unwrap();
            assert_eq!(
                found.map(|zones| zones.join(" ")),
                expected.map(str::to_owned).map_err(str::to_owned),
                "{zones}"
            );
        }
        let unknown =
            hints(even.to_vec(), Vec::new(), vec![(Some("a".into()), String::new()), (None, String::new())]).unwrap();
        assert_eq!(unknown, Err("One or more endpoints do not have a zone specified".into()));
        let three = [node("a", "1"), node("b", "1"), node("c", "1")];
        let few = hints(three.to_vec(), Vec::new(), vec![(Some("a".into()), String::new()); 4]).unwrap();
        assert!(few.unwrap_err().starts_with("Unable to allocate minimum required endpoints to each zone"));
    }
    #[test]
    fn who_serves_another_zone_goes_on_with_it() {
        let even = vec![node("a", "2"), node("b", "2")];
        let served = ["a", "a", "b", "b"].into_iter().enumerate().map(|(uid, zone)| {
            json!({ "addresses": [], "targetRef": { "uid": uid.to_string() }, "hints": { "forZones": [{ "name": zone }] } })
        });
        let slice = json!({ "addressType": "IPv4", "endpoints": served.collect::<Vec<_>>() });
        let slices = vec![Arc::new(serde_json::from_value(slice).unwrap())];
        let endpoints = (0..4).map(|uid| (Some("a".into()), uid.to_string())).collect();
        assert_eq!(hints(even, slices, endpoints).unwrap().unwrap(), ["a", "a", "b", "b"]);
    }

    #[test]
    fn a_heartbeat_does_not_matter() {
        let (old, mut new) = (node("a", "2"), (*node("a", "2")).clone());
        let status = new.status.as_mut().unwrap();
        status.conditions.as_mut().unwrap()[0].message = Some("still".into());
        assert!(!matters(&old, &new));
        for other in [node("b", "2"), node("a", "3")] {
            assert!(matters(&old, &other));
        }
    }
}
