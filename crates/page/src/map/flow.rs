//! Trace hops as dots on their way.
//!
//! Within the cluster a whole rollout takes milliseconds; dots leave one after the other, so that an
//! eye can follow cause and effect, and closer together the more of them wait.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use playground_control::{Hop, HopKind};

use super::geometry::{Point, Rect};
use super::layout::{Layout, Station};
use super::motion::Motion;
use super::scene::Scene;

/// How long a queue of hops may take to play, and how far apart dots leave.
const QUEUE_MS: f64 = 2_200.0;
const APART_MS: (f64, f64) = (5.0, 140.0);
/// How much time a slow frame may make up for.
const LATE_MS_MAX: f64 = 300.0;
const QUEUED_MAX: usize = 400;
const UNDER_WAY_MAX: usize = 240;
/// How far back a hop that says the same is looked for.
const ECHOES_MAX: usize = 24;
/// How long a part glows after something came to it.
const GLOW_MS: f64 = 420.0;

/// Which kinds of hops are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HopFilter {
    /// Requests, and the writes and watch events they cause.
    pub control: bool,
    /// Traffic in the cluster's network.
    pub network: bool,
}

/// A dot under way.
pub struct Dot {
    /// What passes.
    pub hop: Rc<Hop>,
    from_bus_x: Option<f64>,
    left_ms: f64,
}

/// The dots.
#[derive(Default)]
pub struct Flow {
    queued: VecDeque<Rc<Hop>>,
    dots: Vec<Dot>,
    next_ms: f64,
    bus_x: Option<f64>,
    glow: BTreeMap<String, f64>,
}

impl Flow {
    /// Queues a hop.
    pub fn push(&mut self, hop: Rc<Hop>, filter: HopFilter) {
        let shown = if hop.kind == HopKind::Network { filter.network } else { filter.control };
        // Many controllers hear of one change at once; on the map they are one station.
        let echo = |last: &Rc<Hop>| {
            hop.kind == HopKind::Watch
                && (last.kind, &last.verb, &last.object, station(&last.to))
                    == (hop.kind, &hop.verb, &hop.object, station(&hop.to))
        };
        // It runs on every node and asks for nothing: on the map it would only be in the way.
        let shown = shown && hop.to != "kube-proxy" && hop.from != "kube-proxy";
        let repeated = self.queued.iter().rev().take(ECHOES_MAX).any(echo);
        if shown && !repeated && self.queued.len() < QUEUED_MAX {
            self.queued.push_back(hop);
        }
    }

    /// Lets dots leave and arrive and says whether any is under way or a part still glows.
    pub fn advance(&mut self, now_ms: f64, places: &Places<'_>) -> bool {
        while now_ms >= self.next_ms && self.dots.len() < UNDER_WAY_MAX {
            let Some(hop) = self.queued.pop_front() else { break };
            // The system's pods may be hidden, and with them what passes between them.
            if !places.shows(&hop.from) || !places.shows(&hop.to) {
                continue;
            }
            let apart = (QUEUE_MS / (self.queued.len() + 1) as f64).clamp(APART_MS.0, APART_MS.1);
            self.next_ms = self.next_ms.max(now_ms - LATE_MS_MAX) + apart;
            let dot = Dot { from_bus_x: self.bus_x, left_ms: now_ms, hop };
            // Whatever follows on the bus starts where this one entered it.
            if dot.hop.kind == HopKind::Request {
                self.bus_x = places.anchor(&dot.hop.from, &dot.hop).map(|point| point.x);
            }
            self.dots.push(dot);
        }
        let glow = &mut self.glow;
        self.dots.retain(|dot| {
            let under_way = dot.progress(now_ms, places).is_some();
            if !under_way {
                glow.insert(places.glow_key(&dot.hop.to), now_ms);
            }
            under_way
        });
        self.glow.retain(|_, since| now_ms - *since < GLOW_MS);
        !self.dots.is_empty() || !self.queued.is_empty() || !self.glow.is_empty()
    }

    /// The dots under way.
    pub fn dots(&self) -> &[Dot] {
        &self.dots
    }

    /// How much a part glows, from 1 down to 0.
    pub fn glow(&self, part: &str, now_ms: f64) -> f64 {
        self.glow.get(part).map_or(0.0, |since| (1.0 - (now_ms - since) / GLOW_MS).clamp(0.0, 1.0))
    }
}

impl Dot {
    /// Where the dot is, with two points behind it; `None` once it has arrived.
    pub fn position(&self, now_ms: f64, places: &Places<'_>) -> Option<[Point; 3]> {
        let progress = self.progress(now_ms, places)?;
        let path = places.path(&self.hop, self.from_bus_x);
        let at = |progress: f64| along(&path, ease(progress.max(0.0)));
        Some([at(progress), at(progress - 0.05), at(progress - 0.1)])
    }

    fn progress(&self, now_ms: f64, places: &Places<'_>) -> Option<f64> {
        let length = length(&places.path(&self.hop, self.from_bus_x));
        let progress = (now_ms - self.left_ms) / (320.0 + length * 0.9).min(1_100.0);
        (length > 0.0 && progress < 1.0).then_some(progress)
    }
}

/// Where the parts are now.
pub struct Places<'a> {
    /// The scene, for the order of nodes and Services.
    pub scene: &'a Scene,
    /// The places of what stands still.
    pub layout: &'a Layout,
    /// The places of pods.
    pub motion: &'a Motion,
}

impl Places<'_> {
    /// The way of a hop, point by point.
    pub fn path(&self, hop: &Hop, from_bus_x: Option<f64>) -> Vec<Point> {
        // Along its lower edge, not through its name.
        let bus_y = self.layout.bus.bottom() - 4.0;
        let from = self.anchor(&hop.from, hop);
        let to = self.anchor(&hop.to, hop);
        match (from, to) {
            (Some(from), Some(to)) => vec![from, to],
            (Some(from), None) => vec![from, Point { x: from.x, y: bus_y }],
            (None, Some(to)) => {
                let start = from_bus_x.unwrap_or(self.layout.bus.center().x);
                vec![Point { x: start, y: bus_y }, Point { x: to.x, y: bus_y }, to]
            }
            (None, None) => Vec::new(),
        }
    }

    /// Whether a part is on the map: whoever is no pod and no Service has a place at least in its margins.
    fn shows(&self, part: &str) -> bool {
        match part.split_once('/') {
            Some(("pod", key)) => self.motion.get(key).is_some(),
            Some(("service", key)) => self.scene.services.iter().any(|service| service.key == key),
            _ => true,
        }
    }

    /// Where a part is touched; `None` for the API server, which is touched everywhere.
    pub fn anchor(&self, part: &str, hop: &Hop) -> Option<Point> {
        if part == "kube-apiserver" {
            return None;
        }
        let (kind, name) = part.split_once('/').unwrap_or((part, ""));
        let node =
            || self.scene.nodes.iter().position(|node| node.name == name).and_then(|at| self.layout.nodes.get(at));
        let point = match kind {
            "kubelet" | "node" => node().map(|node| Point { x: node.center().x, y: node.y }),
            "runtime" => {
                let pod = hop.object.strip_prefix("pods/").and_then(|key| self.motion.get(key));
                pod.map(|pod| pod.rect.center()).or_else(|| node().map(|node| node.center()))
            }
            "pod" => self.motion.get(name).map(|sprite| sprite.rect.center()),
            "service" => {
                let index = self.scene.services.iter().position(|service| service.key == name);
                index.and_then(|at| self.layout.services.get(at)).map(|rect| Point { x: rect.center().x, y: rect.y })
            }
            _ if hop.kind == HopKind::Network => {
                Some(Point { x: self.layout.client.center().x, y: self.layout.client.center().y })
            }
            _ => None,
        };
        let station = self.layout.station(station(kind));
        Some(point.unwrap_or(Point { x: station.center().x, y: station.bottom() }))
    }

    /// The place of a part, where it has one of its own.
    pub fn rect(&self, part: &str, hop: &Hop) -> Option<Rect> {
        let (kind, name) = part.split_once('/').unwrap_or((part, ""));
        let node = || {
            self.scene.nodes.iter().position(|node| node.name == name).and_then(|at| self.layout.nodes.get(at)).copied()
        };
        match kind {
            "kube-apiserver" => Some(self.layout.bus),
            "kubelet" | "node" => node(),
            "runtime" => {
                let pod = hop.object.strip_prefix("pods/").and_then(|key| self.motion.get(key));
                pod.map(|pod| pod.rect).or_else(node)
            }
            _ => Some(self.layout.station(station(kind))),
        }
    }

    /// The name under which a part glows.
    pub fn glow_key(&self, part: &str) -> String {
        let kind = part.split('/').next().unwrap_or_default();
        match kind {
            "kube-apiserver" | "node" | "pod" | "service" => part.into(),
            "kubelet" => part.replacen("kubelet", "node", 1),
            "runtime" => part.replacen("runtime", "node", 1),
            _ => format!("{:?}", station(kind)),
        }
    }
}

fn station(component: &str) -> Station {
    match component {
        "etcd" => Station::Etcd,
        "kube-scheduler" => Station::Scheduler,
        _ if component.contains("controller") || component.ends_with("collector") => Station::Controllers,
        _ => Station::You,
    }
}

fn length(path: &[Point]) -> f64 {
    path.windows(2).map(|pair| distance(pair[0], pair[1])).sum()
}

fn distance(a: Point, b: Point) -> f64 {
    (a.x - b.x).hypot(a.y - b.y)
}

/// The point a part of the way along a path.
pub fn along(path: &[Point], part: f64) -> Point {
    let mut left = length(path) * part;
    for pair in path.windows(2) {
        let leg = distance(pair[0], pair[1]);
        if left <= leg && leg > 0.0 {
            let part = left / leg;
            return Point {
                x: pair[0].x + (pair[1].x - pair[0].x) * part,
                y: pair[0].y + (pair[1].y - pair[0].y) * part,
            };
        }
        left -= leg;
    }
    path.last().copied().unwrap_or_default()
}

/// Slow at both ends.
fn ease(part: f64) -> f64 {
    part * part * (3.0 - 2.0 * part)
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::super::scene::tests::scene;
    use super::*;

    #[wasm_bindgen_test]
    fn what_passes_between_hidden_pods_is_hidden() {
        let scene = scene(2, 1);
        let layout = Layout::new(&scene, 900.0, 600.0);
        let motion = Motion::default();
        let places = Places { scene: &scene, layout: &layout, motion: &motion };
        let hop = Hop {
            kind: HopKind::Network,
            from: "node/a".into(),
            to: "pod/kube-system/etcd-a".into(),
            verb: "GET /livez".into(),
            ..Hop::default()
        };
        let mut flow = Flow::default();
        flow.push(Rc::new(hop), HopFilter { control: true, network: true });
        assert!(!flow.advance(1_000.0, &places));
    }

    #[wasm_bindgen_test]
    fn a_dot_leaves_and_arrives() {
        let scene = scene(2, 1);
        let layout = Layout::new(&scene, 900.0, 600.0);
        let motion = Motion::default();
        let places = Places { scene: &scene, layout: &layout, motion: &motion };
        let hop = Hop {
            sequence: 1,
            from: "kubectl".into(),
            to: "kube-apiserver".into(),
            verb: "create".into(),
            object: "deployments/default/web".into(),
            ..Hop::default()
        };
        let mut flow = Flow::default();
        flow.push(Rc::new(hop), HopFilter { control: true, network: true });
        assert!(flow.advance(1_000.0, &places));
        let [at, ..] = flow.dots()[0].position(1_000.0, &places).unwrap();
        assert_eq!(at.y, layout.station(Station::You).bottom());
        assert!(flow.advance(9_000.0, &places), "the API server glows");
        assert!(flow.dots().is_empty());
        assert!(flow.glow("kube-apiserver", 9_000.0) > 0.9);
        assert!(!flow.advance(10_000.0, &places));
    }
}
