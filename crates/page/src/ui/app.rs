//! The whole page.

use std::rc::Rc;

use gloo::events::EventListener;
use gloo::storage::{LocalStorage, Storage};
use gloo::timers::callback::Interval;
use playground_control::ClockStatus;
use serde::{Deserialize, Serialize};
use wasm_bindgen::JsCast;
use web_sys::{HtmlElement, HtmlSelectElement, KeyboardEvent};
use yew::prelude::*;

use super::clock::{self, Clock, ClockAct};
use super::explorer::Explorer;
use super::icon::{Icon, IconName};
use super::kinds::{self, Kind};
use super::split::Split;
use super::timeline::Timeline;
use super::{boot, theme};
use crate::api::Api;
use crate::inspect::Inspector;
use crate::lesson::Book;
use crate::map::MapView;
use crate::terminal::Terminal;
use crate::trace::Trace;
use crate::world::{Subscription, World};

/// How often the clock is read.
const CLOCK_MS: u32 = 250;

/// Sizes of the panes in pixels, kept between visits.
#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Sizes {
    lesson: f64,
    inspector: f64,
    terminal: f64,
}

/// What a small screen shows.
#[derive(Clone, Copy, PartialEq)]
enum Pane {
    Lesson,
    Cluster,
    Terminal,
    Inspector,
}

/// The page: finds its cluster, then shows it.
#[component]
pub fn App() -> Html {
    let failure = use_state(|| None::<String>);
    let api = {
        let failure = failure.clone();
        use_memo((), move |()| boot::connect(move |message| failure.set(Some(message))))
    };
    let failed = failure.as_ref().cloned().or_else(|| api.as_ref().as_ref().err().cloned());
    match (&*api, failed) {
        (Ok(api), None) => html! { <Desk api={api.clone()} /> },
        (_, message) => html! {
            <main class="stopped" role="alert">
                <h1>{ "The cluster has stopped" }</h1>
                <p>{ message.unwrap_or_default() }</p>
                <a class="button primary" href="">{ "Start a new one" }</a>
            </main>
        },
    }
}

#[derive(Properties, PartialEq)]
struct DeskProps {
    api: Api,
}

/// What follows the cluster; made once.
struct Follow {
    world: Rc<World>,
    trace: Rc<Trace>,
    _subscription: Subscription,
}

/// The page with a cluster.
#[component]
fn Desk(props: &DeskProps) -> Html {
    let api = &props.api;
    let news = use_reducer(|| News(0));
    let follow = {
        let (api, news) = (api.clone(), news.dispatcher());
        use_memo((), move |()| follow(&api, news))
    };
    let kinds = use_state(|| Rc::new(Vec::<Kind>::new()));
    let clock = use_state_eq(|| None::<ClockStatus>);
    let dark = use_state_eq(theme::start);
    let table = use_state_eq(|| false);
    let pane = use_state_eq(|| Pane::Cluster);
    let namespace = use_state_eq(|| None::<AttrValue>);
    let selected = use_state_eq(|| AttrValue::from(""));
    let typed = use_state_eq(|| None::<(u32, String)>);
    let sizes = use_state_eq(|| {
        LocalStorage::get::<Sizes>("sizes").unwrap_or(Sizes { lesson: 360.0, inspector: 340.0, terminal: 280.0 })
    });

    use_effect_with(*sizes, |sizes| {
        let _ = LocalStorage::set("sizes", sizes);
    });
    {
        // Kinds are asked for again when the connection comes (back).
        let (api, kinds) = (api.clone(), kinds.clone());
        use_effect_with(follow.world.connected(), move |_| {
            wasm_bindgen_futures::spawn_local(async move {
                if let Ok(found) = kinds::discover(&api).await {
                    kinds.set(Rc::new(found));
                }
            });
        });
    }
    {
        let (api, clock) = (api.clone(), clock.clone());
        use_effect_with((), move |()| {
            let timer = Interval::new(CLOCK_MS, move || {
                let (api, clock) = (api.clone(), clock.clone());
                wasm_bindgen_futures::spawn_local(async move { clock.set(clock::read(&api).await.ok()) });
            });
            move || drop(timer)
        });
    }
    let on_clock = {
        let (api, clock) = (api.clone(), clock.clone());
        Callback::from(move |act: ClockAct| {
            let (api, clock) = (api.clone(), clock.clone());
            wasm_bindgen_futures::spawn_local(async move {
                if let Ok(status) = clock::read(&api).await
                    && let Ok(status) = clock::act(&api, &status, act).await
                {
                    clock.set(Some(status));
                }
            });
        })
    };
    use_keys(on_clock.clone());

    let on_select = {
        let (selected, pane) = (selected.clone(), pane.clone());
        Callback::from(move |id: String| {
            match (id.is_empty(), *pane) {
                (false, _) => pane.set(Pane::Inspector),
                (true, Pane::Inspector) => pane.set(Pane::Cluster),
                (true, _) => {}
            }
            selected.set(id.into());
        })
    };
    let on_run = {
        let (typed, pane) = (typed.clone(), pane.clone());
        Callback::from(move |command: String| {
            pane.set(Pane::Terminal);
            typed.set(Some((typed.as_ref().map_or(0, |(count, _)| count + 1), command)));
        })
    };
    let resize = |change: fn(&mut Sizes, f64)| {
        let sizes = sizes.clone();
        Callback::from(move |size: f64| {
            let mut next = *sizes;
            change(&mut next, size);
            sizes.set(next);
        })
    };
    let on_theme = {
        let dark = dark.clone();
        Callback::from(move |_: MouseEvent| {
            theme::choose(!*dark);
            dark.set(!*dark);
        })
    };
    let on_namespace = {
        let namespace = namespace.clone();
        Callback::from(move |event: Event| {
            let chosen = event.target_dyn_into::<HtmlSelectElement>().map(|select| select.value()).unwrap_or_default();
            namespace.set((!chosen.is_empty()).then(|| chosen.into()));
        })
    };
    let view = |label: &'static str, icon: IconName, is_table: bool| {
        let state = table.clone();
        let onclick = Callback::from(move |_: MouseEvent| state.set(is_table));
        let pressed = (*table == is_table).to_string();
        html! { <button type="button" aria-pressed={pressed} {onclick}><Icon name={icon} />{ label }</button> }
    };
    let tab = |label: &'static str, icon: IconName, which: Pane| {
        let state = pane.clone();
        let onclick = Callback::from(move |_: MouseEvent| state.set(which));
        html! {
            <button type="button" {onclick} aria-current={(*pane == which).then_some("page")}>
                <Icon name={icon} /><span>{ label }</span>
            </button>
        }
    };
    let Follow { world, trace, .. } = &*follow;
    let namespaces: Vec<String> = world.snapshot().list("namespaces").map(|found| found.name().to_owned()).collect();
    let style =
        format!("--lesson: {}px; --inspector: {}px; --terminal: {}px", sizes.lesson, sizes.inspector, sizes.terminal);
    let shown = match *pane {
        Pane::Lesson => "show-lesson",
        Pane::Cluster => "show-cluster",
        Pane::Terminal => "show-terminal",
        Pane::Inspector => "show-inspector",
    };
    let host = match api {
        Api::Worker(_) => "in this tab",
        Api::Origin(_) => "playground serve",
    };
    let (theme_label, theme_icon) = if *dark { ("Light theme", IconName::Sun) } else { ("Dark theme", IconName::Moon) };
    html! {
        <div class={classes!("desk", shown)} {style}>
            <header class="top">
                <a class="brand" href="./" aria-label="playground, start page"><Mark /><span>{ "playground" }</span></a>
                <span class={classes!("link-state", world.connected().then_some("up"))} role="status">
                    { if world.connected() { host } else { "starting…" } }
                </span>
                <Clock status={(*clock).clone()} on_act={on_clock} />
                <div class="top-end">
                    <label class="namespace"><span class="hidden">{ "Namespace" }</span>
                        <select onchange={on_namespace} data-after-terminal="">
                            <option value="" selected={namespace.is_none()}>{ "All namespaces" }</option>
                            { for namespaces.into_iter().map(|name| html! {
                                <option value={name.clone()} selected={namespace.as_deref() == Some(&name)}>{ name }</option>
                            }) }
                        </select>
                    </label>
                    <div class="segmented" role="group" aria-label="View">
                        { view("Map", IconName::Map, false) }
                        { view("Table", IconName::Table, true) }
                    </div>
                    <button type="button" class="icon" aria-label={theme_label} title={theme_label} onclick={on_theme}>
                        <Icon name={theme_icon} />
                    </button>
                </div>
            </header>
            <div class="lesson-pane">
                <Book api={api.clone()} world={world.clone()} trace={trace.clone()} news={news.0} {on_run} />
            </div>
            <Split label="Width of the lesson" upright={true} before={true} size={sizes.lesson} limits={(260.0, 640.0)}
                on_resize={resize(|sizes, size| sizes.lesson = size)} />
            <main class="cluster-pane" aria-label="The cluster">
                if *table {
                    <Explorer api={api.clone()} kinds={(*kinds).clone()} namespace={(*namespace).clone()}
                        revision={world.revision()} selected={(*selected).clone()} on_select={on_select.clone()} />
                } else {
                    <MapView world={world.clone()} trace={trace.clone()} news={news.0} namespace={(*namespace).clone()}
                        dark={*dark} selected={(*selected).clone()} on_select={on_select.clone()} />
                }
                <Timeline api={api.clone()} world={world.clone()} trace={trace.clone()} news={news.0} />
            </main>
            <Split label="Height of the terminal" upright={false} before={false} size={sizes.terminal} limits={(120.0, 700.0)}
                on_resize={resize(|sizes, size| sizes.terminal = size)} />
            <section class="terminal-pane" aria-label="Terminal. Shift and Escape leave it.">
                <Terminal api={api.clone()} dark={*dark} typed={(*typed).clone()} />
            </section>
            <Split label="Width of the inspector" upright={true} before={false} size={sizes.inspector} limits={(240.0, 720.0)}
                on_resize={resize(|sizes, size| sizes.inspector = size)} />
            <aside class="inspector-pane">
                <Inspector api={api.clone()} world={world.clone()} trace={trace.clone()} news={news.0}
                    kinds={(*kinds).clone()} selected={(*selected).clone()} on_select={on_select} />
            </aside>
            <nav class="bottom" aria-label="Panes">
                { tab("Lesson", IconName::Book, Pane::Lesson) }
                { tab("Cluster", IconName::Map, Pane::Cluster) }
                { tab("Terminal", IconName::Terminal, Pane::Terminal) }
                { tab("Inspect", IconName::Inspect, Pane::Inspector) }
            </nav>
        </div>
    }
}

/// Counts changes of world and trace, so that what shows them is drawn anew.
struct News(u32);

impl Reducible for News {
    type Action = ();

    fn reduce(self: Rc<Self>, (): ()) -> Rc<Self> {
        Rc::new(Self(self.0.wrapping_add(1)))
    }
}

fn follow(api: &Api, news: UseReducerDispatcher<News>) -> Follow {
    let world = World::new();
    let trace = Rc::new(Trace::default());
    let subscription = world.subscribe(move || news.dispatch(()));
    world.follow(api);
    let listener = Rc::clone(&world);
    trace.follow(api, move || listener.touch());
    Follow { world, trace, _subscription: subscription }
}

/// The keys of the clock: space, full stop, brackets; not where a person types or presses.
#[hook]
fn use_keys(on_clock: Callback<ClockAct>) {
    use_effect_with((), move |()| {
        let listener = web_sys::window().map(|window| {
            EventListener::new_with_options(
                &window,
                "keydown",
                gloo::events::EventListenerOptions::enable_prevent_default(),
                move |event| {
                    let Some(event) = event.dyn_ref::<KeyboardEvent>() else { return };
                    let element = event.target().and_then(|target| target.dyn_into::<HtmlElement>().ok());
                    let busy = element.is_some_and(|element| {
                        matches!(element.tag_name().as_str(), "INPUT" | "TEXTAREA" | "SELECT" | "BUTTON" | "A")
                    });
                    if busy || event.ctrl_key() || event.meta_key() || event.alt_key() {
                        return;
                    }
                    let act = match event.key().as_str() {
                        " " => ClockAct::Toggle,
                        "." => ClockAct::Step,
                        "]" => ClockAct::Faster(1),
                        "[" => ClockAct::Faster(-1),
                        _ => return,
                    };
                    event.prevent_default();
                    on_clock.emit(act);
                },
            )
        });
        move || drop(listener)
    });
}

/// The mark: a helm of seven spokes over water, drawn as a chart would.
#[component]
fn Mark() -> Html {
    html! {
        <svg class="mark" viewBox="0 0 32 32" width="26" height="26" aria-hidden="true">
            <circle cx="16" cy="16" r="9" fill="none" stroke="currentColor" stroke-width="2.4" />
            <circle class="hub" cx="16" cy="16" r="3.4" />
            <g stroke="currentColor" stroke-width="2.4" stroke-linecap="round">
                { for (0..7).map(|spoke| html! {
                    <path d="M16 9.5V2.6" transform={format!("rotate({} 16 16)", f64::from(spoke) * 360.0 / 7.0)} />
                }) }
            </g>
        </svg>
    }
}
