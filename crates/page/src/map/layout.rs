//! Where everything lies: control above, traffic below, nodes between.
//!
//! ```text
//! [you] [controllers] [scheduler] (pods without a node) [etcd]
//! [======================= API server ========================]
//!   [node [pod][pod]]   [node [pod]]   [node [pod][pod]]
//! (client)   (service)   (service)
//! ```

use std::collections::BTreeMap;

use super::geometry::Rect;
use super::scene::Scene;

/// Space around and between things.
const GAP: f64 = 14.0;
/// Below this width names are shortened and stations shrink.
const NARROW: f64 = 640.0;
const STATION_HEIGHT: f64 = 44.0;
const BUS_HEIGHT: f64 = 30.0;
const SERVICE_HEIGHT: f64 = 44.0;
const SERVICE_WIDTH: f64 = 172.0;
/// Height of a node's title line.
pub const NODE_HEADER: f64 = 30.0;

/// How much of a pod there is room to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Name, state in words, containers, restarts.
    Card,
    /// A tile with the end of its name.
    Tile,
    /// A square in its colours.
    Dot,
}

impl Detail {
    /// How far one can zoom: until a pod fills the view.
    fn zoom_max(self) -> f64 {
        match self {
            Self::Card => 4.0,
            Self::Tile => 8.0,
            Self::Dot => 48.0,
        }
    }
}

/// Cell sizes that are tried, largest first: width, height, gap, detail.
const CELLS: [(f64, f64, f64, Detail); 9] = [
    (164.0, 58.0, 8.0, Detail::Card),
    (132.0, 50.0, 7.0, Detail::Card),
    (62.0, 38.0, 6.0, Detail::Tile),
    (26.0, 26.0, 5.0, Detail::Dot),
    (20.0, 20.0, 4.0, Detail::Dot),
    (16.0, 16.0, 3.0, Detail::Dot),
    (12.0, 12.0, 2.0, Detail::Dot),
    (9.0, 9.0, 2.0, Detail::Dot),
    (5.0, 5.0, 1.0, Detail::Dot),
];

/// The control plane's parts besides the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Station {
    /// Whoever types: kubectl, other clients.
    You,
    /// kube-controller-manager.
    Controllers,
    /// kube-scheduler.
    Scheduler,
    /// etcd.
    Etcd,
}

/// Everything's place.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layout {
    /// Whether there is little width.
    pub narrow: bool,
    /// Space around and between things.
    pub gap: f64,
    /// The stations from left to right.
    pub stations: Vec<(Station, Rect)>,
    /// Pods without a node wait here.
    pub tray: Rect,
    /// The API server.
    pub bus: Rect,
    /// Nodes, in the scene's order.
    pub nodes: Vec<Rect>,
    /// Pods by key.
    pub pods: BTreeMap<String, Rect>,
    /// How pods are drawn.
    pub detail: Option<Detail>,
    /// Clients of the cluster's network.
    pub client: Rect,
    /// Services, in the scene's order.
    pub services: Vec<Rect>,
    /// The whole, which may be higher than the view.
    pub width: f64,
    /// Its height.
    pub height: f64,
}

impl Layout {
    /// How large a scale makes sense.
    pub fn zoom_max(&self) -> f64 {
        self.detail.unwrap_or(Detail::Card).zoom_max()
    }

    /// Lays a scene out in a view of this size.
    pub fn new(scene: &Scene, width: f64, height: f64) -> Self {
        let narrow = width < NARROW;
        let gap = if narrow { 8.0 } else { GAP };
        let mut layout = Self { narrow, gap, width, ..Self::default() };
        layout.place_control_plane(gap);

        let per_row = (((width - gap) / (SERVICE_WIDTH.min(width / 2.0 - gap) + gap)).floor() as usize).max(2);
        let service_rows = (scene.services.len() + 1).div_ceil(per_row);
        let services_height = service_rows as f64 * (SERVICE_HEIGHT + gap);

        let top = layout.bus.bottom() + 2.2 * gap;
        let room = Rect::new(gap, top, width - 2.0 * gap, (height - top - services_height - 2.0 * gap).max(120.0));
        let nodes_bottom = layout.place_nodes(scene, room, gap);

        let services_top = (nodes_bottom + 1.8 * gap).max(height - services_height);
        let service_width = (width - gap) / per_row as f64 - gap;
        let mut cells = (0..).map(|index: usize| {
            let x = gap + (index % per_row) as f64 * (service_width + gap);
            let y = services_top + (index / per_row) as f64 * (SERVICE_HEIGHT + gap);
            Rect::new(x, y, service_width.min(SERVICE_WIDTH * 1.4), SERVICE_HEIGHT)
        });
        layout.client = cells.next().unwrap_or_default();
        layout.services = cells.take(scene.services.len()).collect();
        layout.height = height.max(services_top + services_height);
        layout
    }

    /// The place of a station.
    pub fn station(&self, station: Station) -> Rect {
        self.stations.iter().find(|(which, _)| *which == station).map(|(_, rect)| *rect).unwrap_or_default()
    }

    fn place_control_plane(&mut self, gap: f64) {
        let usable = self.width - 2.0 * gap;
        let station = ((usable - 4.0 * gap) / 5.0).min(168.0);
        let at = |x: f64| Rect::new(x, gap, station, STATION_HEIGHT);
        let controllers = gap + station + gap;
        let scheduler = controllers + station + gap;
        let etcd = self.width - gap - station;
        self.stations = vec![
            (Station::You, at(gap)),
            (Station::Controllers, at(controllers)),
            (Station::Scheduler, at(scheduler)),
            (Station::Etcd, at(etcd)),
        ];
        let tray = scheduler + station + gap;
        self.tray = Rect::new(tray, gap, (etcd - gap - tray).max(0.0), STATION_HEIGHT);
        self.bus = Rect::new(gap, gap + STATION_HEIGHT + 1.6 * gap, usable, BUS_HEIGHT);
    }

    /// Gives nodes and pods their places and returns where they end below.
    fn place_nodes(&mut self, scene: &Scene, room: Rect, gap: f64) -> f64 {
        let count = scene.nodes.len();
        let most = scene.nodes.iter().map(|node| node.pods.len()).max().unwrap_or(0);
        let columns = columns(count, room);
        let rows = count.div_ceil(columns).max(1);
        let gap = if count > 60 { 4.0 } else { gap };
        let node_width = (room.w - gap * (columns - 1) as f64) / columns as f64;
        let ideal_height = ((room.h - gap * (rows - 1) as f64) / rows as f64).max(NODE_HEADER + 14.0);
        let padding = if node_width > 120.0 { 10.0 } else { 3.0 };
        let inner = node_width - 2.0 * padding;

        let per_row = |cell_width: f64, cell_gap: f64| (((inner + cell_gap) / (cell_width + cell_gap)) as usize).max(1);
        let needed = |(width, height, cell_gap, _): (f64, f64, f64, Detail)| {
            most.div_ceil(per_row(width, cell_gap)) as f64 * (height + cell_gap) + NODE_HEADER + padding
        };
        let fits = |cell: &(f64, f64, f64, Detail)| cell.0 <= inner && needed(*cell) <= ideal_height;
        let cell = CELLS.into_iter().find(fits).unwrap_or(CELLS[CELLS.len() - 1]);
        let (cell_width, cell_height, cell_gap, detail) = cell;
        let pods_per_row = per_row(cell_width, cell_gap);
        // Large cells stretch to fill their row.
        let cell_width = match detail {
            Detail::Dot => cell_width,
            _ => ((inner + cell_gap) / pods_per_row as f64 - cell_gap).min(cell_width * 1.5),
        };
        let node_height = ideal_height.min(420.0).max(needed(cell));

        for (index, node) in scene.nodes.iter().enumerate() {
            let x = room.x + (index % columns) as f64 * (node_width + gap);
            let y = room.y + (index / columns) as f64 * (node_height + gap);
            self.nodes.push(Rect::new(x, y, node_width, node_height));
            for (position, pod) in node.pods.iter().enumerate() {
                let pod_x = x + padding + (position % pods_per_row) as f64 * (cell_width + cell_gap);
                let pod_y = y + NODE_HEADER + (position / pods_per_row) as f64 * (cell_height + cell_gap);
                self.pods.insert(pod.key.clone(), Rect::new(pod_x, pod_y, cell_width, cell_height));
            }
        }
        self.detail = Some(detail);
        self.place_tray(scene);
        room.y + rows as f64 * (node_height + gap) - gap
    }

    /// Pods in the tray share it, in rows, as large as they can be.
    fn place_tray(&mut self, scene: &Scene) {
        let count = scene.unscheduled.len();
        let inner = self.tray.inset(4.0);
        let size = [16.0, 11.0, 7.0, 4.0, 2.0]
            .into_iter()
            .find(|size| (inner.w / (size + 2.0)).floor() * (inner.h / (size + 2.0)).floor() >= count as f64)
            .unwrap_or(2.0);
        let per_row = ((inner.w / (size + 2.0)) as usize).max(1);
        for (index, pod) in scene.unscheduled.iter().enumerate() {
            let x = inner.x + (index % per_row) as f64 * (size + 2.0);
            let y = inner.y + (index / per_row) as f64 * (size + 2.0);
            self.pods.insert(pod.key.clone(), Rect::new(x, y, size, size));
        }
    }
}

/// How many nodes lie side by side: as many as make them about half as wide again as high.
fn columns(count: usize, room: Rect) -> usize {
    if room.w < 460.0 && count <= 4 {
        return 1;
    }
    let ideal = (count as f64 * room.w / room.h.max(1.0) / 1.3).sqrt() as usize;
    // Of the two nearest numbers, the one whose nodes have the better shape and whose last row is full.
    let cost = |columns: usize| {
        let rows = count.div_ceil(columns);
        let shape = (room.w / columns as f64) / (room.h / rows as f64).max(1.0) / 1.3;
        shape.ln().abs() + 0.35 * (columns * rows - count) as f64 / columns as f64 * 2.0
    };
    let candidates = [ideal, ideal + 1].map(|columns| columns.clamp(1, count.max(1)));
    if cost(candidates[0]) <= cost(candidates[1]) { candidates[0] } else { candidates[1] }
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::super::scene::tests::scene;
    use super::*;

    fn within(inner: Rect, outer: Rect) -> bool {
        inner.x >= outer.x - 0.01
            && inner.y >= outer.y - 0.01
            && inner.right() <= outer.right() + 0.01
            && inner.bottom() <= outer.bottom() + 0.01
    }

    #[wasm_bindgen_test]
    fn pods_lie_within_their_nodes_and_apart() {
        for (nodes, pods, width, height) in
            [(1, 1, 390.0, 500.0), (3, 2, 900.0, 560.0), (10, 100, 1000.0, 700.0), (1000, 3, 1200.0, 800.0)]
        {
            let scene = scene(nodes, pods);
            let layout = Layout::new(&scene, width, height);
            for (node, place) in scene.nodes.iter().zip(&layout.nodes) {
                let places: Vec<Rect> = node.pods.iter().map(|pod| layout.pods[&pod.key]).collect();
                for (index, pod) in places.iter().enumerate() {
                    assert!(within(*pod, *place), "{nodes} nodes: {pod:?} in {place:?}");
                    assert!(places[..index].iter().all(|other| !other.inset(0.1).holds(pod.center())));
                }
                assert!(place.bottom() <= layout.client.y);
            }
        }
    }

    #[wasm_bindgen_test]
    fn a_small_cluster_shows_cards_and_a_large_one_dots() {
        assert_eq!(Layout::new(&scene(3, 2), 1000.0, 600.0).detail, Some(Detail::Card));
        assert_eq!(Layout::new(&scene(10, 100), 1000.0, 600.0).detail, Some(Detail::Dot));
    }
}
