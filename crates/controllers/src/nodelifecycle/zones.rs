//! How each zone's nodes are, and so how fast their pods may be evicted: when most of a zone is gone at once, it
//! rather is the network or this controller (`ComputeZoneState`, `handleDisruption`).

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::Node;
use machinery::Timestamp;
use machinery::time::after;

use super::is_ready;

/// Between two nodes of a zone whose pods are evicted (`--node-eviction-rate=0.1`).
const PAUSE: Duration = Duration::from_secs(10);
/// The same in a large zone that is disrupted in part (`--secondary-node-eviction-rate=0.01`).
const SECONDARY_PAUSE: Duration = Duration::from_secs(100);
/// A zone with more nodes is large (`--large-cluster-size-threshold`).
const LARGE: usize = 50;
/// A zone is disrupted in part from this share on, in per cent (`--unhealthy-zone-threshold=0.55`), and with more
/// nodes than this.
const UNHEALTHY: (usize, usize) = (55, 2);
/// The labels that say where a node is.
const REGION: &str = "topology.kubernetes.io/region";
const ZONE: &str = "topology.kubernetes.io/zone";
/// Keeps a node from being counted.
const EXCLUDED: &str = "node.kubernetes.io/exclude-disruption";

/// The zones of a cluster.
#[derive(Default)]
pub struct Zones(BTreeMap<Place, Zone>);

/// Region and zone.
type Place = (String, String);

#[derive(Clone, Copy, Default)]
struct Zone {
    ready: usize,
    not_ready: usize,
    /// When the next of its nodes may be evicted.
    next: Option<Timestamp>,
}

/// How a zone is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Most nodes are ready.
    Normal,
    /// Most are not.
    PartialDisruption,
    /// None is.
    FullDisruption,
}

/// When a node's pods may be evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eviction {
    /// At once.
    Now,
    /// Others of its zone were before it.
    At(Timestamp),
    /// Not as things are.
    Never,
}

impl Zone {
    fn state(&self) -> State {
        let all = self.ready + self.not_ready;
        match self {
            Self { ready: 0, not_ready: 1.., .. } => State::FullDisruption,
            _ if self.not_ready > UNHEALTHY.1 && self.not_ready * 100 >= all * UNHEALTHY.0 => State::PartialDisruption,
            _ => State::Normal,
        }
    }

    /// Between two of its nodes; none where there is to be no next one.
    fn pause(&self) -> Option<Duration> {
        match self.state() {
            State::Normal | State::FullDisruption => Some(PAUSE),
            State::PartialDisruption => (self.ready + self.not_ready > LARGE).then_some(SECONDARY_PAUSE),
        }
    }
}

impl Zones {
    /// Counts a node in, or out.
    pub fn count(&mut self, node: &Node, there: bool) {
        if node.metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(EXCLUDED)) {
            return;
        }
        let zone = self.0.entry(place_of(node)).or_default();
        let count = if is_ready(node) { &mut zone.ready } else { &mut zone.not_ready };
        *count = if there { *count + 1 } else { count.saturating_sub(1) };
    }

    /// How the zones with nodes are.
    pub fn states(&self) -> Vec<(Place, State)> {
        let zones = self.0.iter().filter(|(_, zone)| zone.ready + zone.not_ready > 0);
        zones.map(|(place, zone)| (place.clone(), zone.state())).collect()
    }

    /// When the pods of a node that is not ready may be evicted, which is not before `earliest`. No node anywhere that
    /// is ready rather means that this controller is cut off.
    pub fn eviction(&self, node: &Node, earliest: Option<Timestamp>, now: Timestamp) -> Eviction {
        let zone = self.0.get(&place_of(node)).copied().unwrap_or_default();
        if zone.pause().is_none() || is_cut_off(&self.states()) {
            return Eviction::Never;
        }
        match zone.next.max(earliest) {
            Some(time) if time > now => Eviction::At(time),
            _ => Eviction::Now,
        }
    }

    /// A node's pods are evicted from now on: the next of its zone has to wait.
    pub fn evicted(&mut self, node: &Node, now: Timestamp) {
        let zone = self.0.entry(place_of(node)).or_default();
        zone.next = zone.pause().map(|pause| after(now, pause));
    }
}

/// Whether all zones are fully disrupted. Where no node counts there is none that could be.
pub fn is_cut_off(states: &[(Place, State)]) -> bool {
    !states.is_empty() && states.iter().all(|(_, state)| *state == State::FullDisruption)
}

fn place_of(node: &Node) -> Place {
    let label = |name: &str| node.metadata.labels.as_ref().and_then(|labels| labels.get(name)).cloned();
    (label(REGION).unwrap_or_default(), label(ZONE).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_that_do_not_count_are_evicted_at_once() {
        let mut zones = Zones::default();
        let mut node = Node::default();
        node.metadata.labels = Some(BTreeMap::from([(EXCLUDED.into(), String::new())]));
        zones.count(&node, true);
        assert_eq!(zones.eviction(&node, None, Timestamp::UNIX_EPOCH), Eviction::Now);
        node.metadata.labels = None;
        zones.count(&node, true);
        assert_eq!(zones.eviction(&node, None, Timestamp::UNIX_EPOCH), Eviction::Never, "cut off");
    }

    #[test]
    fn a_zone_is_disrupted_when_most_of_it_is_gone() {
        for (ready, not_ready, state, pause) in [
            (0, 0, State::Normal, Some(PAUSE)),
            (0, 1, State::FullDisruption, Some(PAUSE)),
            (1, 2, State::Normal, Some(PAUSE)),
            (2, 3, State::PartialDisruption, None),
            (3, 3, State::Normal, Some(PAUSE)),
            (20, 40, State::PartialDisruption, Some(SECONDARY_PAUSE)),
        ] {
            let zone = Zone { ready, not_ready, next: None };
            assert_eq!((zone.state(), zone.pause()), (state, pause), "{ready} ready, {not_ready} not");
        }
    }
}
