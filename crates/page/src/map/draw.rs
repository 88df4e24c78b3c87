//! One frame of the map on a canvas.

use playground_control::HopKind;
use web_sys::{CanvasRenderingContext2d as Canvas, CanvasWindingRule};

use super::flow::{Flow, Places, along};
use super::geometry::{Point, Rect};
use super::layout::{Detail, Layout, NODE_HEADER, Station};
use super::motion::{Motion, Sprite};
use super::palette::Palette;
use super::pen::{MONO, fitting};
use super::scene::{ContainerItem, ContainerState, NodeItem, PodItem, PodState, Scene, ServiceItem};
use crate::story::Spot;
use crate::text::*;

/// With more ready endpoints than this, a Service's lines go to nodes.
const LINES_MAX: usize = 60;
/// How many dots carry words: more would cover the map.
const WORDS_MAX: usize = 4;
/// For how many of them room is looked for.
const WORDS_TRIED: usize = 12;

/// What a frame shows.
pub struct Frame<'a> {
    /// Where to paint, in CSS pixels.
    pub canvas: &'a Canvas,
    /// Colours.
    pub palette: &'a Palette,
    /// What there is.
    pub scene: &'a Scene,
    /// Where it is.
    pub layout: &'a Layout,
    /// Where pods are now.
    pub motion: &'a Motion,
    /// Dots.
    pub flow: &'a Flow,
    /// `resource/key` of what is chosen, empty for nothing.
    pub selected: &'a str,
    /// The same of what the pointer is over.
    pub hovered: &'a str,
    /// The step of a story that is shown.
    pub spot: Option<&'a Spot>,
    /// How large a unit of the layout is on the screen, in CSS pixels.
    pub scale: f64,
    /// What of the layout is on the screen.
    pub view: Rect,
    /// The containers of a pod, by its key.
    pub containers: &'a dyn Fn(&str) -> Vec<ContainerItem>,
    /// Whether nothing is to move by itself.
    pub calm: bool,
    /// The browser's time in milliseconds.
    pub now_ms: f64,
}

impl Frame<'_> {
    /// Paints the frame.
    pub fn paint(&self) {
        self.control_plane();
        for (node, rect) in self.scene.nodes.iter().zip(&self.layout.nodes) {
            self.node(node, *rect);
        }
        for (service, rect) in self.scene.services.iter().zip(&self.layout.services) {
            self.service_lines(service, *rect);
        }
        self.pods();
        for (node, rect) in self.scene.nodes.iter().zip(&self.layout.nodes).filter(|(node, _)| !node.powered) {
            self.dark_node(node, *rect);
        }
        self.client();
        for (service, rect) in self.scene.services.iter().zip(&self.layout.services) {
            self.service(service, *rect);
        }
        match self.spot {
            Some(spot) => self.spotlight(spot),
            None => self.dots(),
        }
    }

    fn control_plane(&self) {
        let bus = self.layout.bus;
        self.canvas.set_line_width(1.0);
        for (_, rect) in &self.layout.stations {
            self.wire(rect.center().x, rect.bottom(), bus.y);
        }
        for rect in &self.layout.nodes {
            self.wire(rect.center().x, bus.bottom(), rect.y);
        }
        self.tray();
        self.surface(bus, 8.0, &self.palette.panel, &self.palette.line, self.flow.glow("kube-apiserver", self.now_ms));
        let title = if self.layout.narrow { t(API_SERVER) } else { t(API_SERVER_SAYS) };
        self.words(title, bus.center().x, bus.center().y, 12.5, 600, &self.palette.ink, "center", bus.w - 16.0);
        for (station, rect) in &self.layout.stations {
            let (name, short, what) = match station {
                Station::You => (t(YOU), t(YOU), t(YOU_SAYS)),
                Station::Controllers => (t(CONTROLLERS), t(CONTROLLERS_SHORT), t(CONTROLLERS_SAY)),
                Station::Scheduler => (t(SCHEDULER), t(SCHEDULER_SHORT), t(SCHEDULER_SAYS)),
                Station::Etcd => ("etcd", "etcd", t(ETCD_SAYS)),
            };
            let glow = self.flow.glow(&format!("{station:?}"), self.now_ms);
            self.surface(*rect, 8.0, &self.palette.panel, &self.palette.line, glow);
            let middle = rect.center();
            if rect.w < 120.0 {
                let name = if rect.w < 84.0 { short } else { name };
                self.words(name, middle.x, middle.y, 12.5, 600, &self.palette.ink, "center", rect.w - 8.0);
            } else {
                self.words(name, rect.x + 12.0, middle.y - 8.0, 13.0, 600, &self.palette.ink, "left", rect.w - 20.0);
                self.words(
                    what,
                    rect.x + 12.0,
                    middle.y + 9.0,
                    11.0,
                    400,
                    &self.palette.ink_soft,
                    "left",
                    rect.w - 18.0,
                );
            }
        }
    }

    fn tray(&self) {
        let (tray, count) = (self.layout.tray, self.scene.unscheduled.len());
        if count == 0 || tray.w < 20.0 {
            return;
        }
        self.dash(true);
        self.outline(tray, 8.0, &self.palette.line, 1.0);
        self.dash(false);
        // No wire leads from here to the API server, so that there is room for words.
        let words = if self.layout.narrow { PENDING } else { PENDING_SAYS }.with(&[&count.to_string()]);
        let (x, y) = (tray.center().x, (tray.bottom() + self.layout.bus.y) / 2.0);
        self.words(&words, x, y, 10.5, 500, &self.palette.ink_soft, "center", tray.w * 1.8);
    }

    fn node(&self, node: &NodeItem, rect: Rect) {
        let id = format!("nodes/{}", node.name);
        let glow = self.flow.glow(&format!("node/{}", node.name), self.now_ms);
        self.surface(
            rect,
            12.0,
            &self.palette.land,
            if node.ready { &self.palette.line } else { &self.palette.bad },
            glow,
        );
        if self.selected == id || self.hovered == id {
            self.outline(rect, 12.0, &self.palette.accent, 2.0);
        }
        if node.powered {
            self.node_header(node, rect);
        }
    }

    /// A node without power: its lights are out, whatever Kubernetes still believes of its pods.
    fn dark_node(&self, node: &NodeItem, rect: Rect) {
        self.canvas.set_global_alpha(0.7);
        self.canvas.set_fill_style_str(&self.palette.water);
        self.fill(rect, 12.0);
        self.canvas.set_global_alpha(1.0);
        let chosen = [self.selected, self.hovered].iter().any(|id| id.strip_prefix("nodes/") == Some(&node.name));
        self.dash(true);
        self.outline(rect, 12.0, if chosen { &self.palette.accent } else { &self.palette.bad }, 2.0);
        self.dash(false);
        self.node_header(node, rect);
    }

    /// A node's name and state.
    fn node_header(&self, node: &NodeItem, rect: Rect) {
        if rect.w < 70.0 {
            return;
        }
        let (x, y) = (rect.x + 12.0, rect.y + NODE_HEADER / 2.0 + 1.0);
        let unit = self.thin(1.0);
        let well = node.ready && node.powered;
        let mark = Point { x: x + 3.0 * unit, y };
        if node.powered {
            self.canvas.set_fill_style_str(if well { &self.palette.watch } else { &self.palette.bad });
            self.circle(mark, 3.5 * unit);
        } else {
            self.power(mark, 4.0 * unit, &self.palette.bad);
        }
        let pods = match node.pods.len() {
            count if rect.w < 200.0 => count.to_string(),
            1 => t(ONE_POD).to_owned(),
            count => MANY_PODS.with(&[&count.to_string()]),
        };
        let state = match (node.ready, node.cordoned) {
            _ if !node.powered => t(NODE_WITHOUT_POWER).to_owned(),
            (false, _) => t(NODE_NOT_READY).to_owned(),
            (_, true) => format!("{} · {pods}", t(NODE_CORDONED)),
            _ if rect.w < 300.0 => pods,
            _ => format!("kubelet · {pods}"),
        };
        let color = if well { &self.palette.ink_soft } else { &self.palette.bad };
        self.words(&state, rect.right() - 12.0, y, 11.0 * unit, 400, color, "right", rect.w * 0.5);
        // The font is still that of the state.
        let taken = self.canvas.measure_text(&state).map(|measure| measure.width()).unwrap_or(0.0);
        let room = rect.w - taken - 50.0;
        self.words(&node.name, x + 14.0 * unit, y, 12.5 * unit, 600, &self.palette.ink, "left", room);
    }

    /// All pods. Where they are mere dots, those that look alike are one shape: a thousand of them cost no more than
    /// a few.
    fn pods(&self) {
        let dots = self.layout.detail == Some(Detail::Dot);
        let mut alike: Vec<((&str, PodState), Vec<Rect>)> = Vec::new();
        for sprite in self.motion.sprites() {
            let item = &sprite.item;
            let plain =
                matches!(item.state, PodState::Ready | PodState::Succeeded | PodState::NotReady | PodState::Creating);
            if !dots || !plain || self.is_marked(item) || sprite.alpha < 1.0 || self.is_near(sprite.rect) {
                self.pod(sprite);
                continue;
            }
            let look = (self.palette.owner(&item.owner), item.state);
            match alike.iter_mut().find(|(known, _)| *known == look) {
                Some((_, places)) => places.push(sprite.rect),
                None => alike.push((look, vec![sprite.rect])),
            }
        }
        for ((color, state), places) in alike {
            // Without a line around them: of a thousand shapes, lines take a browser the most time.
            let full = state == PodState::Ready;
            self.canvas.begin_path();
            for place in places.iter().map(|place| if full { place.inset(-0.5) } else { *place }) {
                self.canvas.rect(place.x, place.y, place.w, place.h);
            }
            self.canvas.set_fill_style_str(if full { color } else { &self.palette.panel });
            self.canvas.fill();
            if full {
                continue;
            }
            self.canvas.set_fill_style_str(color);
            self.canvas.set_global_alpha(if state == PodState::Succeeded { 0.12 } else { 0.3 });
            self.canvas.fill();
            self.canvas.set_global_alpha(1.0);
            self.canvas.set_stroke_style_str(color);
            self.canvas.set_line_width(1.0);
            self.canvas.stroke();
        }
    }

    /// Whether a pod is chosen, or under the pointer.
    fn is_marked(&self, item: &PodItem) -> bool {
        [self.selected, self.hovered].iter().any(|id| id.strip_prefix("pods/") == Some(item.key.as_str()))
    }

    fn pod(&self, sprite: &Sprite) {
        let Sprite { item, rect, alpha, .. } = sprite;
        let state = item.state;
        let color = if state == PodState::Failing { &self.palette.bad } else { self.palette.owner(&item.owner) };
        let faded = if state == PodState::Terminating { 0.55 } else { 1.0 };
        let breath = match state {
            PodState::Creating => 0.65 + 0.35 * (self.now_ms / 260.0).sin(),
            _ => 1.0,
        };
        let radius = (rect.h * 0.22).min(self.thin(9.0));
        let solid = matches!(state, PodState::Ready);
        let fill = match state {
            PodState::Ready => 0.2,
            PodState::Succeeded => 0.06,
            _ => 0.1,
        };
        self.canvas.set_fill_style_str(&self.palette.panel);
        self.canvas.set_global_alpha(*alpha);
        self.fill(*rect, radius);
        self.canvas.set_fill_style_str(color);
        let small = rect.h < 20.0;
        self.canvas.set_global_alpha(alpha * faded * breath * if small && solid { 0.9 } else { fill });
        self.fill(*rect, radius);
        self.canvas.set_global_alpha(alpha * faded * breath);
        let dashed = !solid && !small && state != PodState::Failing && state != PodState::Succeeded;
        if dashed {
            self.dash(true);
        }
        self.outline(*rect, radius, color, if small { 1.0 } else { 1.5 });
        if dashed {
            self.dash(false);
        }
        if self.is_marked(item) {
            self.canvas.set_global_alpha(1.0);
            let apart = self.thin(3.0);
            self.outline(rect.inset(-apart), radius + apart, &self.palette.accent, 2.0);
        }
        self.canvas.set_global_alpha(alpha * faded);
        match self.layout.detail {
            _ if self.is_near(*rect) => self.pod_near(sprite, color),
            Some(Detail::Card) if rect.w > 90.0 => self.pod_card(sprite, color),
            Some(Detail::Tile) if rect.w > 40.0 => {
                let end = item.name.rsplit('-').next().unwrap_or(&item.name);
                let middle = rect.center();
                self.mono(end, middle.x, middle.y - 5.0, 10.5, &self.palette.ink, "center", rect.w - 6.0);
                self.containers(sprite, Point { x: middle.x - 6.0, y: rect.bottom() - 9.0 }, 5.0, color);
            }
            _ => {
                // Shape tells failing and finishing apart where there is no room for words.
                if rect.h > 10.0 && state == PodState::Failing {
                    let middle = rect.center();
                    self.words("!", middle.x, middle.y + 0.5, rect.h * 0.7, 700, &self.palette.bad, "center", rect.w);
                }
            }
        }
        self.canvas.set_global_alpha(1.0);
    }

    fn pod_card(&self, sprite: &Sprite, color: &str) {
        let Sprite { item, rect, .. } = sprite;
        let left = rect.x + 11.0;
        let room = rect.w - 20.0;
        let name = fitting(&item.name, (room / 6.7) as usize);
        self.mono(&name, left, rect.y + 17.0, 11.0, &self.palette.ink, "left", room);
        let words_y = rect.bottom() - 15.0;
        self.containers(sprite, Point { x: left, y: words_y }, 9.0, color);
        let after = left + item.containers.len().min(6) as f64 * 13.0 + 5.0;
        let mut words = item.state.label().to_owned();
        if item.restarts > 0 {
            words.push_str(&format!(" · ↻ {}", item.restarts));
        }
        let ink = if item.state == PodState::Failing { &self.palette.bad } else { &self.palette.ink_soft };
        self.words(&words, after, words_y, 11.0, 500, ink, "left", rect.right() - after - 6.0);
    }

    /// Containers as squares: full when running, hollow while waiting, crossed out when ended.
    fn containers(&self, sprite: &Sprite, from: Point, size: f64, color: &str) {
        for (index, container) in sprite.item.containers.iter().take(6).enumerate() {
            let place = Rect::new(from.x + index as f64 * (size + 4.0), from.y - size / 2.0, size, size);
            self.container(*container, place, color, 1.0);
        }
    }

    /// One of them; a pixel is so many units of the layout.
    pub(super) fn container(&self, state: ContainerState, place: Rect, color: &str, unit: f64) {
        self.canvas.set_fill_style_str(color);
        match state {
            ContainerState::Running => self.fill(place, 2.0 * unit),
            ContainerState::Waiting => self.outline(place.inset(0.5 * unit), 2.0 * unit, color, 1.2),
            ContainerState::Terminated => {
                self.outline(place.inset(0.5 * unit), 2.0 * unit, color, 1.2);
                self.line(&[Point { x: place.x, y: place.bottom() }, Point { x: place.right(), y: place.y }]);
            }
        }
    }

    fn service_lines(&self, service: &ServiceItem, rect: Rect) {
        if service.endpoints.is_empty() {
            return;
        }
        let id = format!("services/{}", service.key);
        let chosen = self.selected == id || self.hovered == id;
        self.canvas.set_stroke_style_str(&self.palette.accent);
        self.canvas.set_line_width(self.thin(if chosen { 2.0 } else { 1.25 }));
        self.canvas.set_global_alpha(if chosen { 0.95 } else { 0.45 });
        let start = self.past_services(rect);
        if service.endpoints.len() <= LINES_MAX {
            for sprite in service.endpoints.iter().filter_map(|key| self.motion.get(key)) {
                let end = sprite.rect.center();
                self.curve(start, Point { x: end.x, y: sprite.rect.bottom() });
            }
        } else {
            for (node, place) in self.scene.nodes.iter().zip(&self.layout.nodes) {
                if service.nodes.contains(&node.name) {
                    self.curve(start, Point { x: place.center().x, y: place.bottom() });
                }
            }
        }
        self.canvas.set_global_alpha(1.0);
    }

    /// Where a Service's lines rise to its pods: above the Services, which those of the lower rows pass between.
    fn past_services(&self, rect: Rect) -> Point {
        let first = self.layout.client;
        if rect.y <= first.y {
            return Point { x: rect.center().x, y: rect.y };
        }
        let (beside, middle) = (rect.right() + self.layout.gap / 2.0, rect.center().y);
        let above = Point { x: beside, y: first.y - self.layout.gap / 2.0 };
        self.line(&[Point { x: rect.right(), y: middle }, Point { x: beside, y: middle }, above]);
        above
    }

    fn service(&self, service: &ServiceItem, rect: Rect) {
        let id = format!("services/{}", service.key);
        let glow = self.flow.glow(&format!("service/{}", service.key), self.now_ms);
        self.surface(rect, rect.h / 2.0, &self.palette.panel, &self.palette.accent, glow);
        if self.selected == id || self.hovered == id {
            self.outline(rect.inset(-2.0), rect.h / 2.0 + 2.0, &self.palette.accent, 2.0);
        }
        let x = rect.x + 18.0;
        self.words(&service.name, x, rect.center().y - 8.0, 12.5, 600, &self.palette.ink, "left", rect.w - 34.0);
        let ready = match service.endpoints.len() {
            0 => String::new(),
            count => format!(" → {count}"),
        };
        let detail = format!("{}{ready}", service.detail);
        self.words(&detail, x, rect.center().y + 9.0, 11.0, 400, &self.palette.ink_soft, "left", rect.w - 34.0);
    }

    fn client(&self) {
        let rect = self.layout.client;
        self.dash(true);
        self.outline(rect, rect.h / 2.0, &self.palette.line, 1.0);
        self.dash(false);
        let x = rect.x + 18.0;
        self.words(t(OUTSIDE), x, rect.center().y - 8.0, 12.5, 600, &self.palette.ink, "left", rect.w - 30.0);
        self.words(t(OUTSIDE_SAYS), x, rect.center().y + 9.0, 11.0, 400, &self.palette.ink_soft, "left", rect.w - 30.0);
    }

    fn dots(&self) {
        let places = Places { scene: self.scene, layout: self.layout, motion: self.motion };
        let mut worded: Vec<(Point, String, &str)> = Vec::new();
        for dot in self.flow.dots() {
            let Some(points) = dot.position(self.now_ms, &places) else { continue };
            let color = match dot.hop.kind {
                _ if dot.hop.error.is_some() => &self.palette.bad,
                HopKind::Request => &self.palette.request,
                HopKind::Write => &self.palette.write,
                HopKind::Watch => &self.palette.watch,
                HopKind::Runtime => &self.palette.runtime,
                HopKind::Network => &self.palette.accent,
            };
            self.canvas.set_fill_style_str(color);
            for (point, (radius, alpha)) in points.into_iter().zip([(5.0, 1.0), (3.6, 0.45), (2.4, 0.2)]) {
                self.canvas.set_global_alpha(alpha);
                self.circle(point, self.thin(radius));
            }
            self.canvas.set_global_alpha(1.0);
            // What is not shown itself is not told of either.
            let parts: Vec<&str> = dot.hop.object.split('/').collect();
            let shown = match parts.as_slice() {
                // Of the cluster's own, that is all: `nodes/worker/status`.
                [_, _, "status" | "finalize" | "approval"] => true,
                [_, namespace, _, ..] => self.scene.namespaces.has(namespace),
                _ => true,
            };
            if worded.len() < WORDS_TRIED && shown && !self.layout.narrow {
                worded.push((points[0], format!("{} {}", dot.hop.verb, dot.hop.object), color));
            }
        }
        // Words lie over dots, and cover no names.
        let stations = self.layout.stations.iter().map(|(_, rect)| *rect);
        let headers = self.layout.nodes.iter().filter(|node| self.view.meets(**node));
        let headers = headers.map(|node| Rect { h: NODE_HEADER, ..*node });
        let mut tags: Vec<Rect> = stations.chain([self.layout.bus]).chain(headers).collect();
        let most = tags.len() + WORDS_MAX;
        for (at, words, color) in worded {
            if tags.len() < most {
                tags.extend(self.tag(at, &words, color, &tags));
            }
        }
    }

    /// Words that travel with a dot, below other words where they would lie on them. Nothing where there is no room
    /// near it.
    fn tag(&self, at: Point, words: &str, color: &str, others: &[Rect]) -> Option<Rect> {
        const FAR: f64 = 40.0;
        let words = fitting(words.trim(), 44);
        let (unit, size) = (self.thin(1.0), self.thin(10.5));
        self.canvas.set_font(&format!("500 {size}px {MONO}"));
        let width = self.canvas.measure_text(&words).map(|measure| measure.width()).unwrap_or(0.0) + 12.0 * unit;
        let x = (at.x + 10.0 * unit).min(self.layout.width - width - 4.0);
        let mut place = Rect::new(x, at.y - 9.0 * unit, width, 18.0 * unit);
        while let Some(other) = others.iter().find(|other| other.meets(place)) {
            place.y = other.bottom() + 3.0 * unit;
            if place.y - at.y > FAR * unit {
                return None;
            }
        }
        self.canvas.set_fill_style_str(&self.palette.panel);
        self.fill(place, 5.0 * unit);
        self.outline(place, 5.0 * unit, color, 1.0);
        self.mono(&words, place.x + 6.0 * unit, place.center().y, size, &self.palette.ink, "left", width);
        Some(place)
    }

    /// A step of a story: what does not act is dimmed, and what passes is an arrow with a dot on it.
    fn spotlight(&self, spot: &Spot) {
        const DIM: f64 = 0.55;
        const ROUND_MS: f64 = 1_500.0;
        const FAR: f64 = 20_000.0;
        let places = Places { scene: self.scene, layout: self.layout, motion: self.motion };
        let mut lit: Vec<Rect> = Vec::new();
        for leg in &spot.legs {
            for rect in [&leg.from, &leg.to].into_iter().filter_map(|part| places.rect(part, leg)) {
                if !lit.contains(&rect) {
                    lit.push(rect);
                }
            }
        }
        self.canvas.begin_path();
        self.canvas.rect(-FAR, -FAR, 2.0 * FAR, 2.0 * FAR);
        for rect in &lit {
            let hole = rect.inset(-5.0);
            self.canvas.rect(hole.x, hole.y, hole.w, hole.h);
        }
        self.canvas.set_fill_style_str(&self.palette.water);
        self.canvas.set_global_alpha(DIM);
        self.canvas.fill_with_canvas_winding_rule(CanvasWindingRule::Evenodd);
        self.canvas.set_global_alpha(1.0);
        let mut bus_x = None;
        let count = spot.legs.len().max(1) as f64;
        // The legs are passed one after the other.
        let part = if self.calm { count } else { self.now_ms / ROUND_MS % 1.0 * (count + 0.4) };
        for (index, leg) in spot.legs.iter().enumerate() {
            let color = match leg.kind {
                _ if leg.error.is_some() => &self.palette.bad,
                HopKind::Request => &self.palette.request,
                HopKind::Write => &self.palette.write,
                HopKind::Watch => &self.palette.watch,
                HopKind::Runtime => &self.palette.runtime,
                HopKind::Network => &self.palette.accent,
            };
            for part in [&leg.from, &leg.to] {
                if let Some(rect) = places.rect(part, leg) {
                    self.outline(rect.inset(-2.5), 10.0, color, 2.5);
                }
            }
            let path = places.path(leg, bus_x);
            bus_x = places.anchor(&leg.from, leg).map(|point| point.x);
            self.canvas.set_stroke_style_str(color);
            self.canvas.set_line_width(self.thin(3.0));
            self.line(&path);
            let (Some(end), false) = (path.last(), path.len() < 2) else { continue };
            let before = along(&path, 0.985);
            let turn = (end.y - before.y).atan2(end.x - before.x);
            let wing = |by: f64| Point { x: end.x - 11.0 * (turn + by).cos(), y: end.y - 11.0 * (turn + by).sin() };
            self.line(&[wing(0.45), *end, wing(-0.45)]);
            let here = part - index as f64;
            if (0.0..=1.0).contains(&here) {
                self.canvas.set_fill_style_str(color);
                self.circle(along(&path, here * here * (3.0 - 2.0 * here)), 6.5);
            }
        }
        if let Some(leg) = spot.legs.first().filter(|leg| !self.layout.narrow && !leg.verb.is_empty()) {
            let at = along(&places.path(leg, None), 0.5);
            self.tag(at, &format!("{} {}", leg.verb, leg.object), &self.palette.ink_soft, &[]);
        }
    }

    fn wire(&self, x: f64, top: f64, bottom: f64) {
        self.canvas.set_stroke_style_str(&self.palette.line);
        self.line(&[Point { x, y: top }, Point { x, y: bottom }]);
    }

    fn surface(&self, rect: Rect, radius: f64, fill: &str, line: &str, glow: f64) {
        if glow > 0.0 {
            self.canvas.set_global_alpha(glow * 0.35);
            self.canvas.set_fill_style_str(&self.palette.accent);
            self.fill(rect.inset(-4.0 * glow), radius + 4.0 * glow);
            self.canvas.set_global_alpha(1.0);
        }
        self.canvas.set_fill_style_str(fill);
        self.fill(rect, radius);
        self.outline(rect, radius, line, 1.0);
    }
}
