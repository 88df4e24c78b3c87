//! The canvas: its size, its frames while something moves, and what lies under the pointer.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use gloo::render::{AnimationFrame, request_animation_frame};
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::*;
use web_sys::{CanvasRenderingContext2d, HtmlCanvasElement, ResizeObserver};

use super::draw::Frame;
use super::flow::{Flow, HopFilter, Places};
use super::geometry::{Point, Rect};
use super::layout::Layout;
use super::motion::Motion;
use super::palette::Palette;
use super::scene::{ContainerItem, PodState, Reader, Scene};
use crate::story::Spot;
use crate::trace::Trace;
use crate::world::{Shown, Snapshot};

/// How wide the column of the map's buttons is, in CSS pixels (`.map-buttons`).
const BUTTONS_WIDTH: f64 = 42.0;
const ZOOM_MIN: f64 = 0.4;

/// How the map is looked at: screen = world × scale + offset.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Camera {
    scale: f64,
    x: f64,
    y: f64,
}

impl Default for Camera {
    fn default() -> Self {
        Self { scale: 1.0, x: 0.0, y: 0.0 }
    }
}

/// What watches the canvas' size, and what it calls.
type Observer = (ResizeObserver, Closure<dyn Fn()>);

/// What the map shows and how; driven by [`super::view`].
pub struct Engine {
    canvas: HtmlCanvasElement,
    context: CanvasRenderingContext2d,
    reader: RefCell<Reader>,
    state: RefCell<State>,
    frame: RefCell<Option<AnimationFrame>>,
    last_ms: Cell<f64>,
    /// The view for which the grid lies where it is.
    grid: Cell<Option<Camera>>,
    observer: RefCell<Option<Observer>>,
    calm: bool,
    me: Weak<Self>,
}

/// The containers of a pod, by its key.
pub type Containers = dyn Fn(&str) -> Vec<ContainerItem>;

#[derive(Default)]
struct State {
    scene: Scene,
    layout: Layout,
    motion: Motion,
    flow: Flow,
    palette: Palette,
    camera: Camera,
    size: (f64, f64),
    selected: String,
    hovered: String,
    spot: Option<Spot>,
    containers: Option<Rc<Containers>>,
    /// How far the trace has been told; what passed before the map was there is no news.
    told: Option<usize>,
}

impl Engine {
    /// An engine for a canvas, which it keeps at its element's size.
    pub fn new(canvas: HtmlCanvasElement) -> Option<Rc<Self>> {
        let context = canvas.get_context("2d").ok()??.dyn_into().ok()?;
        let window = web_sys::window()?;
        let calm = window.match_media("(prefers-reduced-motion: reduce)").ok()?.is_some_and(|query| query.matches());
        let engine = Rc::new_cyclic(|me| Self {
            canvas,
            context,
            reader: RefCell::default(),
            state: RefCell::default(),
            frame: RefCell::default(),
            last_ms: Cell::new(0.0),
            grid: Cell::default(),
            observer: RefCell::default(),
            calm,
            me: me.clone(),
        });
        let me = Rc::downgrade(&engine);
        let on_resize = Closure::<dyn Fn()>::new(move || {
            if let Some(engine) = me.upgrade() {
                engine.resize();
            }
        });
        let observer = ResizeObserver::new(on_resize.as_ref().unchecked_ref()).ok()?;
        observer.observe(&engine.canvas);
        engine.observer.replace(Some((observer, on_resize)));
        engine.recolor();
        Some(engine)
    }

    /// Shows what there is now in these namespaces; pods have these containers.
    pub fn show(&self, snapshot: &Snapshot, namespaces: &Shown, containers: Rc<Containers>) {
        let scene = self.reader.borrow_mut().read(snapshot, namespaces);
        let mut state = self.state.borrow_mut();
        state.containers = Some(containers);
        if state.scene != scene {
            state.scene = scene;
            state.relayout();
        }
        drop(state);
        self.wake();
    }

    /// Takes over the hops that are new in the trace.
    pub fn tell(&self, trace: &Trace, filter: HopFilter) {
        let mut state = self.state.borrow_mut();
        let told = state.told.replace(trace.count()).unwrap_or(trace.count());
        let hops = trace.since(told);
        if !self.calm {
            hops.into_iter().for_each(|hop| state.flow.push(hop, filter));
        }
        drop(state);
        self.wake();
    }

    /// Marks `resource/key` as chosen.
    pub fn select(&self, selected: &str) {
        self.state.borrow_mut().selected = selected.into();
        self.wake();
    }

    /// Lights what acts in a step of a story, and dims the rest.
    pub fn light(&self, spot: Option<Spot>) {
        self.state.borrow_mut().spot = spot;
        self.wake();
    }

    /// Reads the colours anew, after the theme changed.
    pub fn recolor(&self) {
        self.state.borrow_mut().palette = Palette::read(&self.canvas);
        self.wake();
    }

    /// Marks what lies under a point of the canvas and says whether it can be chosen.
    pub fn hover(&self, x: f64, y: f64) -> bool {
        let found = self.at(x, y).unwrap_or_default();
        let any = !found.is_empty();
        let changed = std::mem::replace(&mut self.state.borrow_mut().hovered, found.clone()) != found;
        if changed {
            self.wake();
        }
        any
    }

    /// `resource/key` of what lies under a point of the canvas.
    pub fn at(&self, x: f64, y: f64) -> Option<String> {
        let state = self.state.borrow();
        let Camera { scale, x: offset_x, y: offset_y } = state.camera;
        let point = Point { x: (x - offset_x) / scale, y: (y - offset_y) / scale };
        let pod =
            state.motion.sprites().find(|sprite| sprite.rect.holds(point)).map(|pod| format!("pods/{}", pod.item.key));
        let service = || {
            let mut services = state.scene.services.iter().zip(&state.layout.services);
            services.find(|(_, rect)| rect.holds(point)).map(|(service, _)| format!("services/{}", service.key))
        };
        let node = || {
            let mut nodes = state.scene.nodes.iter().zip(&state.layout.nodes);
            nodes.find(|(_, rect)| rect.holds(point)).map(|(node, _)| format!("nodes/{}", node.name))
        };
        pod.or_else(service).or_else(node)
    }

    /// Everything that can be chosen, in reading order, for the keyboard.
    pub fn order(&self) -> Vec<String> {
        let state = self.state.borrow();
        let nodes = state.scene.nodes.iter().flat_map(|node| {
            let pods = node.pods.iter().map(|pod| format!("pods/{}", pod.key));
            std::iter::once(format!("nodes/{}", node.name)).chain(pods)
        });
        let waiting = state.scene.unscheduled.iter().map(|pod| format!("pods/{}", pod.key));
        let services = state.scene.services.iter().map(|service| format!("services/{}", service.key));
        waiting.chain(nodes).chain(services).collect()
    }

    /// Zooms about a point of the canvas.
    pub fn zoom(&self, factor: f64, x: f64, y: f64) {
        let State { camera, layout, .. } = &mut *self.state.borrow_mut();
        let scale = (camera.scale * factor).clamp(ZOOM_MIN, layout.zoom_max());
        let ratio = scale / camera.scale;
        *camera = Camera { scale, x: x - (x - camera.x) * ratio, y: y - (y - camera.y) * ratio };
        self.wake();
    }

    /// Zooms about the middle.
    pub fn zoom_middle(&self, factor: f64) {
        let (width, height) = self.state.borrow().size;
        self.zoom(factor, width / 2.0, height / 2.0);
    }

    /// Moves the view.
    pub fn pan(&self, x: f64, y: f64) {
        let mut state = self.state.borrow_mut();
        state.camera.x += x;
        state.camera.y += y;
        drop(state);
        self.wake();
    }

    /// Shows the whole map.
    pub fn fit(&self) {
        let mut state = self.state.borrow_mut();
        state.camera = state.fitting_camera();
        drop(state);
        self.wake();
    }

    /// Draws a frame soon, and more while anything moves.
    pub fn wake(&self) {
        let me = self.me.clone();
        self.frame.borrow_mut().get_or_insert_with(|| {
            request_animation_frame(move |now_ms| {
                if let Some(engine) = me.upgrade() {
                    engine.frame.borrow_mut().take();
                    if engine.draw(now_ms) {
                        engine.wake();
                    }
                }
            })
        });
    }

    fn resize(&self) {
        let rect = self.canvas.get_bounding_client_rect();
        let ratio = web_sys::window().map_or(1.0, |window| window.device_pixel_ratio());
        self.canvas.set_width((rect.width() * ratio).round() as u32);
        self.canvas.set_height((rect.height() * ratio).round() as u32);
        let mut state = self.state.borrow_mut();
        state.size = (rect.width(), rect.height());
        state.relayout();
        state.camera = state.fitting_camera();
        state.motion.settle();
        drop(state);
        // A canvas that was resized is blank until it is drawn: now, not in the next frame.
        self.draw(self.last_ms.get());
        self.wake();
    }

    /// Draws a frame and says whether another is needed.
    fn draw(&self, now_ms: f64) -> bool {
        let mut state = self.state.borrow_mut();
        let State { scene, layout, motion, flow, .. } = &mut *state;
        let elapsed_ms = (now_ms - self.last_ms.replace(now_ms)).clamp(0.0, 100.0);
        let mut moving = motion.advance(elapsed_ms);
        if self.calm {
            motion.settle();
            moving = false;
        }
        let places = Places { scene, layout, motion };
        moving |= flow.advance(now_ms, &places);
        moving |= !self.calm && scene.pods().any(|pod| pod.state == PodState::Creating);

        moving |= !self.calm && state.spot.is_some();

        let ratio = web_sys::window().map_or(1.0, |window| window.device_pixel_ratio());
        let Camera { scale, x, y } = state.camera;
        let context = &self.context;
        let _ = context.reset_transform();
        context.clear_rect(0.0, 0.0, self.canvas.width().into(), self.canvas.height().into());
        self.graticule(state.camera);
        let _ = context.set_transform(ratio * scale, 0.0, 0.0, ratio * scale, ratio * x, ratio * y);
        Frame {
            canvas: context,
            palette: &state.palette,
            scene: &state.scene,
            layout: &state.layout,
            motion: &state.motion,
            flow: &state.flow,
            selected: &state.selected,
            hovered: &state.hovered,
            spot: state.spot.as_ref(),
            scale,
            view: Rect::new(-x / scale, -y / scale, state.size.0 / scale, state.size.1 / scale),
            containers: &|key: &str| state.containers.as_ref().map(|of| of(key)).unwrap_or_default(),
            calm: self.calm,
            now_ms,
        }
        .paint();
        moving
    }

    /// The chart's grid: it moves with the view and says that there is room. It is the canvas' background, which the
    /// browser paints anew only when the view moves.
    fn graticule(&self, camera: Camera) {
        const STEP: f64 = 28.0;
        if self.grid.replace(Some(camera)) == Some(camera) {
            return;
        }
        let style = self.canvas.style();
        let step = STEP * camera.scale.max(0.6);
        for (name, pixels) in [("--grid-step", step), ("--grid-x", camera.x), ("--grid-y", camera.y)] {
            let _ = style.set_property(name, &format!("{pixels:.2}px"));
        }
    }
}

impl State {
    fn relayout(&mut self) {
        let whole = self.camera == self.fitting_camera();
        self.layout = Layout::new(&self.scene, self.width(), self.size.1);
        self.motion.retarget(&self.scene, &self.layout);
        if whole {
            self.camera = self.fitting_camera();
        }
    }

    /// How much of the canvas' width things are laid out in: the rest is the buttons' while one sees the whole.
    fn width(&self) -> f64 {
        (self.size.0 - BUTTONS_WIDTH).max(0.0)
    }

    fn fitting_camera(&self) -> Camera {
        let (width, height) = (self.width(), self.size.1);
        let scale = (height / self.layout.height.max(1.0)).min(1.0);
        Camera { scale, x: (width - width * scale) / 2.0, y: 0.0 }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some((observer, _)) = self.observer.take() {
            observer.disconnect();
        }
    }
}
