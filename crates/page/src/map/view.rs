//! The map as a component: pointer, keyboard, buttons and a legend around the canvas.

use std::cell::Cell;
use std::rc::Rc;

use web_sys::{HtmlCanvasElement, KeyboardEvent, PointerEvent, WheelEvent};
use yew::prelude::*;

use super::engine::Engine;
use super::flow::HopFilter;
use super::scene::containers;
use crate::story::Spot;
use crate::text::{CONTROL_LEGEND, MAP_SAYS, SHOW_ALL, TRAFFIC, WHAT_PASSES, ZOOM, ZOOM_IN, ZOOM_OUT, t};
use crate::trace::Trace;
use crate::ui::icon::{Icon, IconName};
use crate::ui::theme::Theme;
use crate::world::{Shown, World};

/// What the map is given.
#[derive(Properties)]
pub struct MapProps {
    /// The cluster's objects.
    pub world: Rc<World>,
    /// What passes.
    pub trace: Rc<Trace>,
    /// Counts up when world or trace have news.
    pub news: u32,
    /// The namespaces to show.
    pub shown: Shown,
    /// The colours; the engine reads them anew when they change.
    pub theme: Theme,
    /// `resource/key` of what is chosen.
    pub selected: AttrValue,
    /// The step of a story to light.
    pub spot: Option<Spot>,
    /// Hears what was chosen, empty for nothing.
    pub on_select: Callback<String>,
    /// Hears of what a menu is wanted, and where on the page.
    pub on_menu: Callback<(String, (i32, i32))>,
}

impl PartialEq for MapProps {
    fn eq(&self, other: &Self) -> bool {
        (self.news, &self.shown, self.theme, &self.selected, &self.spot)
            == (other.news, &other.shown, other.theme, &other.selected, &other.spot)
    }
}

/// How far a pointer may go between down and up and still be a click, in pixels.
const CLICK_MAX: f64 = 5.0;

/// The map.
#[component]
pub fn MapView(props: &MapProps) -> Html {
    let canvas = use_node_ref();
    let engine = use_mut_ref(|| None::<Rc<Engine>>);
    let filter = use_state_eq(|| HopFilter { control: true, network: true });
    let drag = use_mut_ref(|| None::<(f64, f64)>);
    let dragged = use_memo((), |()| Cell::new(0.0));

    {
        let (engine, canvas) = (engine.clone(), canvas.clone());
        use_effect_with((), move |()| {
            *engine.borrow_mut() = canvas.cast::<HtmlCanvasElement>().and_then(Engine::new);
            move || drop(engine.take())
        });
    }
    {
        let (engine, world, trace, filter) = (engine.clone(), props.world.clone(), props.trace.clone(), *filter);
        use_effect_with((props.news, props.shown.clone()), move |(_, shown)| {
            if let Some(engine) = engine.borrow().as_ref() {
                let near = world.clone();
                let of = move |key: &str| near.snapshot().get("pods", key).map(|pod| containers(pod));
                engine.show(&world.snapshot(), shown, Rc::new(move |key| of(key).unwrap_or_default()));
                // What passes now is not of the past.
                let none = HopFilter { control: false, network: false };
                engine.tell(&trace, if world.revision().is_some() { none } else { filter });
            }
        });
    }
    {
        let engine = engine.clone();
        use_effect_with((props.selected.clone(), props.theme), move |(selected, _)| {
            if let Some(engine) = engine.borrow().as_ref() {
                engine.select(selected);
                engine.recolor();
            }
        });
    }

    {
        let engine = engine.clone();
        use_effect_with(props.spot.clone(), move |spot| {
            if let Some(engine) = engine.borrow().as_ref() {
                engine.light(spot.clone());
            }
        });
    }

    let with_engine = {
        let engine = engine.clone();
        move |act: &dyn Fn(&Engine)| {
            if let Some(engine) = engine.borrow().as_ref() {
                act(engine);
            }
        }
    };
    let on_down = {
        let (drag, dragged) = (drag.clone(), dragged.clone());
        Callback::from(move |event: PointerEvent| {
            *drag.borrow_mut() = Some((event.client_x().into(), event.client_y().into()));
            dragged.set(0.0);
        })
    };
    let on_move = {
        let (drag, dragged, canvas, with_engine) = (drag.clone(), dragged.clone(), canvas.clone(), with_engine.clone());
        Callback::from(move |event: PointerEvent| {
            let (x, y) = (f64::from(event.client_x()), f64::from(event.client_y()));
            let mut drag = drag.borrow_mut();
            if let Some((from_x, from_y)) = *drag {
                dragged.set(dragged.get() + (x - from_x).abs() + (y - from_y).abs());
                *drag = Some((x, y));
                if dragged.get() > CLICK_MAX {
                    with_engine(&|engine| engine.pan(x - from_x, y - from_y));
                }
            } else if let Some(canvas) = canvas.cast::<HtmlCanvasElement>() {
                with_engine(&|engine| {
                    let over = engine.hover(event.offset_x().into(), event.offset_y().into());
                    let _ = canvas.style().set_property("cursor", if over { "pointer" } else { "grab" });
                });
            }
        })
    };
    let on_up = {
        let (drag, dragged, with_engine, on_select) =
            (drag.clone(), dragged.clone(), with_engine.clone(), props.on_select.clone());
        Callback::from(move |event: PointerEvent| {
            if drag.take().is_some() && dragged.get() <= CLICK_MAX {
                with_engine(&|engine| {
                    let found = engine.at(event.offset_x().into(), event.offset_y().into());
                    on_select.emit(found.unwrap_or_default());
                });
            }
        })
    };
    let on_menu = {
        let (with_engine, on_menu, selected) = (with_engine.clone(), props.on_menu.clone(), props.selected.clone());
        Callback::from(move |event: MouseEvent| {
            event.prevent_default();
            with_engine(&|engine| {
                // The keyboard's menu key means what is chosen.
                let found =
                    engine.at(event.offset_x().into(), event.offset_y().into()).unwrap_or_else(|| selected.to_string());
                if !found.is_empty() {
                    on_menu.emit((found, (event.client_x(), event.client_y())));
                }
            });
        })
    };
    let on_leave = {
        let (drag, with_engine) = (drag.clone(), with_engine.clone());
        Callback::from(move |_: PointerEvent| {
            drag.take();
            with_engine(&|engine| {
                engine.hover(-1.0, -1.0);
            });
        })
    };
    let on_wheel = {
        let with_engine = with_engine.clone();
        Callback::from(move |event: WheelEvent| {
            event.prevent_default();
            let factor = (-event.delta_y() / 400.0).exp();
            with_engine(&|engine| engine.zoom(factor, event.offset_x().into(), event.offset_y().into()));
        })
    };
    let on_key = {
        let (with_engine, on_select, selected) = (with_engine.clone(), props.on_select.clone(), props.selected.clone());
        Callback::from(move |event: KeyboardEvent| {
            let step = match event.key().as_str() {
                "ArrowRight" | "ArrowDown" => 1,
                "ArrowLeft" | "ArrowUp" => -1,
                "+" | "=" => return with_engine(&|engine| engine.zoom_middle(1.25)),
                "-" => return with_engine(&|engine| engine.zoom_middle(0.8)),
                "0" => return with_engine(&Engine::fit),
                "Escape" => return on_select.emit(String::new()),
                _ => return,
            };
            event.prevent_default();
            with_engine(&|engine| {
                let order = engine.order();
                let here = order.iter().position(|id| *id == *selected).map_or(-1, |at| at as isize);
                let next = (here + step).rem_euclid(order.len().max(1) as isize) as usize;
                if let Some(next) = order.get(next) {
                    on_select.emit(next.clone());
                }
            });
        })
    };
    let button = |name: &'static str, icon: IconName, act: fn(&Engine)| {
        let with_engine = with_engine.clone();
        let onclick = Callback::from(move |_: MouseEvent| with_engine(&act));
        html! { <button type="button" class="icon" aria-label={name} title={name} {onclick}><Icon name={icon} /></button> }
    };
    let toggle = |label: &'static str, class: &'static str, on: bool, change: fn(&mut HopFilter)| {
        let state = filter.clone();
        let onclick = Callback::from(move |_: MouseEvent| {
            let mut next = *state;
            change(&mut next);
            state.set(next);
        });
        html! {
            <button type="button" class={classes!("legend", class)} aria-pressed={on.to_string()} {onclick}>{ label }</button>
        }
    };
    html! {
        <div class="map" data-lit={props.spot.is_some().then_some("true")}>
            <canvas ref={canvas} tabindex="0" role="application"
                aria-label={t(MAP_SAYS)}
                onpointerdown={on_down} onpointermove={on_move} onpointerup={on_up} onpointerleave={on_leave}
                onwheel={on_wheel} onkeydown={on_key} oncontextmenu={on_menu} />
            <div class="map-legend" role="group" aria-label={t(WHAT_PASSES)}>
                { toggle(t(CONTROL_LEGEND), "control", filter.control, |filter| filter.control = !filter.control) }
                { toggle(t(TRAFFIC), "network", filter.network, |filter| filter.network = !filter.network) }
            </div>
            <div class="map-buttons" role="group" aria-label={t(ZOOM)}>
                { button(t(ZOOM_IN), IconName::Plus, |engine| engine.zoom_middle(1.25)) }
                { button(t(ZOOM_OUT), IconName::Minus, |engine| engine.zoom_middle(0.8)) }
                { button(t(SHOW_ALL), IconName::Fit, Engine::fit) }
            </div>
        </div>
    }
}
