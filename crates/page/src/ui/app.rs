//! The whole page.

use std::rc::Rc;

use gloo::events::EventListener;
use gloo::storage::{LocalStorage, Storage};
use gloo::timers::callback::Interval;
use playground_control::{ClockStatus, Fault};
use serde::{Deserialize, Serialize};
use wasm_bindgen::JsCast;
use web_sys::{HtmlElement, HtmlInputElement, HtmlSelectElement, KeyboardEvent};
use yew::prelude::*;

use super::boot::{self, Found, Locked};
use super::clock::{self, Clock, ClockAct};
use super::clusters::ClustersProps;
use super::contexts;
use super::explorer::ExplorerProps;
use super::faults::{self, FaultsProps};
use super::icon::{Icon, IconName};
use super::kinds::{self, Kind};
use super::late::use_views;
use super::menu::Menu;
use super::palette::{Chosen, Command, Early, PaletteProps};
use super::split::Split;
use super::theme;
use super::timeline::Timeline;
use crate::api::Api;
use crate::inspect::Inspector;
use crate::lesson::Book;
use crate::map::MapView;
use crate::saved::{Entry, Keeper, keeper, shelf};
use crate::story::Spot;
use crate::terminals::Terminals;
use crate::text::*;
use crate::trace::Trace;
use crate::world::{Shown, Subscription, World};

/// How often the clock is read, and what is wrong.
const CLOCK_MS: u32 = 250;
const FAULTS_MS: u32 = 1_000;

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

/// What lies over the page.
#[derive(Clone, Copy, PartialEq)]
enum Over {
    Nothing,
    Palette,
    Clusters,
    Faults,
}

/// The page: finds its cluster, then shows it.
#[component]
pub fn App() -> Html {
    let failure = use_state_eq(|| None::<String>);
    let found = use_state_eq(|| None::<Found>);
    let locked = use_state_eq(|| None::<Locked>);
    {
        let (failure, found, locked) = (failure.clone(), found.clone(), locked.clone());
        use_effect_with((), move |()| {
            wasm_bindgen_futures::spawn_local(async move {
                if let Some(why) = boot::locked().await {
                    return locked.set(Some(why));
                }
                let died = failure.clone();
                match boot::connect(move |message| died.set(Some(message))).await {
                    Ok(cluster) => found.set(Some(cluster)),
                    Err(message) => failure.set(Some(message)),
                }
            });
        });
    }
    let begin_anew = Callback::from(|_: MouseEvent| {
        shelf::begin_anew(shelf::nodes());
        keeper::reload();
    });
    if let Some(why) = *locked {
        return html! { <Door {why} /> };
    }
    match (&*found, &*failure) {
        (Some(found), None) => html! { <Desk api={found.api.clone()} entry={found.entry.clone()} /> },
        (None, None) => html! { <main class="stopped" aria-busy="true"><h1>{ t(STARTING) }</h1></main> },
        (_, Some(message)) => html! {
            <main class="stopped" role="alert">
                <h1>{ t(CLUSTER_STOPPED) }</h1>
                <p>{ message }</p>
                <button type="button" class="primary" onclick={begin_anew}>{ t(BEGIN_NEW_ONE) }</button>
            </main>
        },
    }
}

/// Asks for something again and again, for as long as what it is asked of stays the same.
#[hook]
fn use_often<T: Future<Output = ()> + 'static>(
    every_ms: u32,
    of: impl PartialEq + 'static,
    ask: impl Fn() -> T + 'static,
) {
    use_effect_with(of, move |_| {
        let timer = Interval::new(every_ms, move || wasm_bindgen_futures::spawn_local(ask()));
        move || drop(timer)
    });
}

#[derive(Properties, PartialEq)]
struct DoorProps {
    why: Locked,
}

/// A server's page that was opened without its token: how to get in, or a cluster of one's own.
#[component]
fn Door(props: &DoorProps) -> Html {
    let link = use_state_eq(String::new);
    let oninput = {
        let link = link.clone();
        Callback::from(move |event: InputEvent| {
            if let Some(input) = event.target_dyn_into::<HtmlInputElement>() {
                link.set(input.value());
            }
        })
    };
    let onsubmit = {
        let link = link.clone();
        Callback::from(move |event: SubmitEvent| {
            event.prevent_default();
            boot::unlock(&link);
        })
    };
    html! {
        <main class="stopped">
            <h1>{ t(SERVED_PAGE) }</h1>
            <p>{ t(if props.why == Locked::Refused { TOKEN_REFUSED } else { TOKEN_SAYS }) }</p>
            <form class="door" {onsubmit}>
                <label><span class="hidden">{ t(PASTE_LINK) }</span>
                    <input type="search" autocomplete="off" spellcheck="false" placeholder={t(PASTE_LINK)} value={(*link).clone()} {oninput} /></label>
                <button type="submit" class="primary" disabled={link.trim().is_empty()}>{ t(OPEN) }</button>
            </form>
            <button type="button" class="quiet" onclick={Callback::from(|_: MouseEvent| boot::own())}>{ t(OWN_CLUSTER) }</button>
        </main>
    }
}

#[derive(Properties, PartialEq)]
struct DeskProps {
    api: Api,
    entry: Option<Entry>,
}

/// What follows the cluster; made once.
struct Follow {
    world: Rc<World>,
    trace: Rc<Trace>,
    keeper: Option<Rc<Keeper>>,
    _subscription: Subscription,
}

impl Drop for Follow {
    fn drop(&mut self) {
        self.world.leave();
        self.trace.leave();
    }
}

/// The page with a cluster: the one with which kubectl speaks.
#[component]
fn Desk(props: &DeskProps) -> Html {
    let home = &props.api;
    let news = use_reducer(|| News(0));
    let at_home = {
        let (api, entry, news) = (home.clone(), props.entry.clone(), news.dispatcher());
        use_memo((), move |()| Rc::new(follow(&api, entry, news)))
    };
    // The context of another cluster, while kubectl speaks with that.
    let context = use_state_eq(|| None::<AttrValue>);
    let away = {
        let (home, news) = (home.clone(), news.dispatcher());
        use_memo((*context).clone(), move |context| {
            let api = home.other(context.as_ref()?);
            let follow = Rc::new(follow(&api, None, news));
            Some((api, follow))
        })
    };
    let (api, follow) = match &*away {
        Some((api, follow)) => (api, follow.clone()),
        None => (home, (*at_home).clone()),
    };
    let kinds = use_state(|| Rc::new(Vec::<Kind>::new()));
    let clock = use_state_eq(|| None::<ClockStatus>);
    let theme = use_state_eq(theme::start);
    {
        let theme = theme.setter();
        use_effect_with((), move |()| {
            let listeners = theme::follow(move |now| theme.set(now));
            move || drop(listeners)
        });
    }
    let spoken = use_state_eq(language);
    let table = use_state_eq(|| false);
    let resource = use_state_eq(|| AttrValue::from("pods"));
    let filtering = use_state_eq(|| false);
    let more_terminals = use_reducer(|| News(0));
    let searching = use_reducer(|| News(0));
    let telling = use_reducer(|| News(0));
    let spot = use_state_eq(|| None::<Spot>);
    let pane = use_state_eq(|| Pane::Cluster);
    let over = use_state_eq(|| Over::Nothing);
    // Each palette is a new one.
    let palettes = use_reducer(|| News(0));
    let early = use_memo((), |()| Early::default());
    let menu = use_state_eq(|| None::<(String, (i32, i32))>);
    let wrong = use_state_eq(Vec::<Fault>::new);
    let notice = use_state_eq(|| None::<String>);
    let chaos = use_state_eq(|| None::<u32>);
    let shown_namespaces = use_state_eq(Shown::default);
    let selected = use_state_eq(|| AttrValue::from(""));
    let typed = use_reducer(|| Typed(boot::asked_command(home).map(|command| (0, command))));
    let sizes = use_state_eq(|| {
        LocalStorage::get::<Sizes>("sizes").unwrap_or(Sizes { lesson: 360.0, inspector: 340.0, terminal: 280.0 })
    });

    use_effect_with(*sizes, |sizes| {
        let _ = LocalStorage::set("sizes", sizes);
    });
    {
        // Kinds are asked for again when the connection comes (back).
        let (api, kinds) = (api.clone(), kinds.clone());
        use_effect_with((follow.world.connected(), (*context).clone()), move |_| {
            wasm_bindgen_futures::spawn_local(async move {
                if let Ok(found) = kinds::discover(&api).await {
                    kinds.set(Rc::new(found));
                }
            });
        });
    }
    {
        let (api, clock) = (home.clone(), clock.setter());
        use_often(CLOCK_MS, (), move || {
            let (api, clock) = (api.clone(), clock.clone());
            async move { clock.set(clock::read(&api).await.ok()) }
        });
    }
    {
        let (api, wrong) = (api.clone(), wrong.setter());
        use_often(FAULTS_MS, (*context).clone(), move || {
            let (api, wrong) = (api.clone(), wrong.clone());
            async move {
                if let Ok(now) = faults::list(&api).await {
                    wrong.set(now);
                }
            }
        });
    }
    {
        // Another cluster has faults of its own, of which nothing is known yet.
        let wrong = wrong.setter();
        use_effect_with((*context).clone(), move |_| wrong.set(Vec::new()));
    }
    {
        let world = follow.world.clone();
        use_effect_with(((*wrong).clone(), (*context).clone()), move |(wrong, _)| {
            let off = wrong.iter().filter_map(|fault| match fault {
                Fault::NodeDown { node } => Some(node.clone()),
                _ => None,
            });
            world.set_powerless(off.collect());
        });
    }
    {
        let (home, context) = (home.clone(), context.setter());
        use_often(FAULTS_MS, (), move || {
            let (home, context) = (home.clone(), context.clone());
            async move {
                if let Ok(other) = contexts::current(&home).await {
                    context.set(other);
                }
            }
        });
    }
    {
        // What was chosen is of the cluster that was shown before.
        let (selected, spot) = (selected.clone(), spot.clone());
        use_effect_with((*context).clone(), move |_| {
            selected.set("".into());
            spot.set(None);
        });
    }
    {
        // Whoever goes back to the present sees all of it.
        let spot = spot.clone();
        use_effect_with(follow.world.revision(), move |past| {
            if past.is_none() {
                spot.set(None);
            }
        });
    }
    {
        let (api, world) = (api.clone(), follow.world.clone());
        use_effect_with((*chaos, (*context).clone()), move |(seed, _)| {
            let reign = seed.map(|seed| faults::chaos(api, world, seed));
            move || drop(reign)
        });
    }
    let views = {
        let wanted = *table || *over != Over::Nothing || !selected.is_empty();
        let (notice, over, early) = (notice.clone(), over.clone(), early.clone());
        use_views(wanted.then(|| (*table, *over, (*selected).clone())), move || {
            early.end();
            over.set(Over::Nothing);
            notice.set(Some(t(NOT_LOADED).into()));
        })
    };
    let on_clock = {
        let (api, clock) = (home.clone(), clock.clone());
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
        let (typed, pane) = (typed.dispatcher(), pane.clone());
        Callback::from(move |command: String| {
            pane.set(Pane::Terminal);
            typed.dispatch(command);
        })
    };
    let on_fault = {
        let (api, wrong, notice) = (api.clone(), wrong.clone(), notice.clone());
        Callback::from(move |fault: Fault| {
            let (api, wrong, notice) = (api.clone(), wrong.clone(), notice.clone());
            wasm_bindgen_futures::spawn_local(async move {
                match faults::begin(&api, &fault).await {
                    Ok(now) => {
                        notice.set(None);
                        wrong.set(now);
                    }
                    Err(error) => notice.set(Some(error.0)),
                }
            });
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
    let on_command = {
        let (over, table, pane, theme, spoken) =
            (over.clone(), table.clone(), pane.clone(), theme.clone(), spoken.clone());
        let (filtering, more, searching, telling) =
            (filtering.clone(), more_terminals.dispatcher(), searching.dispatcher(), telling.dispatcher());
        let on_select = on_select.clone();
        let (on_clock, follow, notice) = (on_clock.clone(), follow.clone(), notice.clone());
        Callback::from(move |command: Command| {
            over.set(Over::Nothing);
            let show = |as_table: bool| {
                table.set(as_table);
                pane.set(Pane::Cluster);
            };
            match command {
                Command::Map => show(false),
                Command::Table => show(true),
                Command::Filter => {
                    show(true);
                    filtering.set(true);
                }
                Command::Pause => on_clock.emit(ClockAct::Toggle),
                Command::Step => on_clock.emit(ClockAct::Step),
                Command::Undo => undo(&follow, &notice),
                Command::Story => {
                    show(false);
                    on_select.emit(String::new());
                    pane.set(Pane::Inspector);
                    telling.dispatch(());
                }
                Command::Faults => over.set(Over::Faults),
                Command::Clusters => over.set(Over::Clusters),
                Command::Theme => {
                    theme::choose(theme.next());
                    theme.set(theme.next());
                }
                Command::Language => {
                    choose(language().other().0);
                    spoken.set(language());
                }
                Command::NewTerminal => {
                    pane.set(Pane::Terminal);
                    more.dispatch(());
                }
                Command::FindInTerminal => {
                    pane.set(Pane::Terminal);
                    searching.dispatch(());
                }
            }
        })
    };
    let on_choose = {
        let (over, table, pane, resource) = (over.clone(), table.clone(), pane.clone(), resource.clone());
        let (on_command, on_select) = (on_command.clone(), on_select.clone());
        Callback::from(move |chosen: Chosen| {
            over.set(Over::Nothing);
            match chosen {
                Chosen::Command(command) => on_command.emit(command),
                Chosen::Object(id) => on_select.emit(id),
                Chosen::Kind(kind) => {
                    resource.set(kind.into());
                    table.set(true);
                    pane.set(Pane::Cluster);
                }
            }
        })
    };
    {
        let (over, palettes, on_command) = (over.clone(), palettes.dispatcher(), on_command.clone());
        use_keys(
            &early,
            on_clock.clone(),
            Callback::from(move |key: Key| match key {
                Key::Palette => {
                    palettes.dispatch(());
                    over.set(Over::Palette);
                }
                Key::Command(command) => on_command.emit(command),
            }),
        );
    }
    let close = {
        let over = over.clone();
        Callback::from(move |()| over.set(Over::Nothing))
    };
    let open = |what: Over| {
        let over = over.clone();
        Callback::from(move |_: MouseEvent| over.set(what))
    };
    let command = |command: Command| on_command.reform(move |_: MouseEvent| command);
    let on_namespace = {
        let shown = shown_namespaces.clone();
        Callback::from(move |event: Event| {
            let chosen = event.target_dyn_into::<HtmlSelectElement>().map(|select| select.value()).unwrap_or_default();
            shown.set(Shown::from_value(&chosen));
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
    let Follow { world, trace, keeper, .. } = &*follow;
    let own = &at_home.keeper;
    let namespaces: Vec<String> = world.snapshot().list("namespaces").map(|found| found.name().to_owned()).collect();
    let style =
        format!("--lesson: {}px; --inspector: {}px; --terminal: {}px", sizes.lesson, sizes.inspector, sizes.terminal);
    let shown = match *pane {
        Pane::Lesson => "show-lesson",
        Pane::Cluster => "show-cluster",
        Pane::Terminal => "show-terminal",
        Pane::Inspector => "show-inspector",
    };
    let host = match home {
        Api::Origin(_) => "playground serve",
        _ => t(IN_THIS_TAB),
    };
    let host = match &*context {
        Some(context) => format!("{context} · {host}"),
        None => host.to_owned(),
    };
    let past = world.revision();
    let on_now = {
        let (api, world) = (api.clone(), world.clone());
        Callback::from(move |()| {
            let (api, world) = (api.clone(), world.clone());
            // Nothing has to be asked for to look at what is there.
            wasm_bindgen_futures::spawn_local(async move { _ = world.go_to(&api, None).await });
        })
    };
    let embedded =
        boot::asked("embed").map(|_| if boot::asked("lesson").is_some() { "embed with-lesson" } else { "embed" });
    let (theme_label, theme_icon) = theme.next().label();
    let said = |part: &str| format!("{part}-{}-{}", spoken.tag(), context.as_deref().unwrap_or_default());
    let on_resource = {
        let resource = resource.clone();
        Callback::from(move |chosen: String| resource.set(chosen.into()))
    };
    let faults_label = match wrong.len() {
        0 => t(FAULTS).to_owned(),
        count => format!("{} ({count})", t(FAULTS)),
    };
    let on_menu = {
        let menu = menu.clone();
        Callback::from(move |wanted: (String, (i32, i32))| menu.set(Some(wanted)))
    };
    html! {
        <div class={classes!("desk", shown, embedded)} {style}>
            <header class="top">
                <a class="brand" href="./" target={embedded.map(|_| "_blank")} aria-label={t(START_PAGE)}><Mark /><span>{ "playground" }</span></a>
                <span class={classes!("link-state", (world.connected() == Some(true)).then_some("up"))} role="status">
                    { match world.connected() {
                        Some(true) => host,
                        Some(false) => t(NOT_CONNECTED).to_owned(),
                        None => t(STARTING).to_owned(),
                    } }
                </span>
                if let Some(keeper) = own {
                    <button type="button" class={classes!("cluster-name", keeper.is_current().then_some("saved"))}
                        title={t(CLUSTERS)} onclick={open(Over::Clusters)}>
                        <Icon name={IconName::Shelf} /><span>{ keeper.entry().name }</span>
                        <span class="hidden">{ t(if keeper.is_current() { SAVED } else { SAVING }) }</span>
                    </button>
                }
                <Clock key={said("clock")} status={(*clock).clone()} on_act={on_clock.clone()} />
                <div class="top-end">
                    <label class="namespace"><span class="hidden">{ t(NAMESPACE) }</span>
                        <select onchange={on_namespace} data-after-terminal="">
                            { for [(Shown::Workloads, t(WORKLOADS)), (Shown::All, t(ALL_NAMESPACES))].map(|(shown, label)| html! {
                                <option value={shown.value().to_owned()} selected={*shown_namespaces == shown}>{ label }</option>
                            }) }
                            { for namespaces.into_iter().map(|name| html! {
                                <option value={name.clone()} selected={shown_namespaces.only() == Some(name.as_str())}>{ name }</option>
                            }) }
                        </select>
                    </label>
                    <div class="segmented" role="group" aria-label={t(VIEW)}>
                        { view(t(MAP), IconName::Map, false) }
                        { view(t(TABLE), IconName::Table, true) }
                    </div>
                    <button type="button" class="icon" aria-label={t(theme_label)} title={t(theme_label)} onclick={command(Command::Theme)}>
                        <Icon name={theme_icon} />
                    </button>
                    <button type="button" class="icon language" lang={spoken.other().0.tag()} title={spoken.other().1} onclick={command(Command::Language)}>
                        { if *spoken == Language::English { "中" } else { "En" } }<span class="hidden">{ spoken.other().1 }</span>
                    </button>
                    <button type="button" class={classes!("icon", "fault-button", (!wrong.is_empty() || chaos.is_some()).then_some("wrong"))}
                        aria-label={faults_label} title={t(FAULTS)} onclick={open(Over::Faults)}>
                        <Icon name={IconName::Bolt} />
                        if !wrong.is_empty() { <span class="count">{ wrong.len() }</span> }
                    </button>
                    <button type="button" class="icon palette-button" aria-label={t(COMMANDS_TITLE)} title={t(COMMANDS_KEY)} onclick={open(Over::Palette)}>
                        <Icon name={IconName::Command} />
                    </button>
                </div>
            </header>
            <div class="lesson-pane">
                <Book key={said("book")} api={api.clone()} world={world.clone()} trace={trace.clone()} news={news.0} on_run={on_run.clone()} />
            </div>
            <Split label={t(LESSON_WIDTH)} upright={true} before={true} size={sizes.lesson} limits={(260.0, 640.0)}
                on_resize={resize(|sizes, size| sizes.lesson = size)} />
            <main class="cluster-pane" aria-label={t(THE_CLUSTER)}>
                if *table {
                    <key={said("table")}>{ views.as_ref().map(|views| (views.explorer)(ExplorerProps {
                        api: api.clone(), kinds: (*kinds).clone(), shown: (*shown_namespaces).clone(),
                        resource: (*resource).clone(), on_resource, filtering: *filtering,
                        on_filtering: { let filtering = filtering.clone(); Callback::from(move |()| filtering.set(false)) },
                        revision: world.revision(), selected: (*selected).clone(), on_select: on_select.clone(), on_run: on_run.clone(),
                    })) }</>
                } else {
                    <MapView key={said("map")} world={world.clone()} trace={trace.clone()} news={news.0} shown={(*shown_namespaces).clone()}
                        theme={*theme} selected={(*selected).clone()} spot={(*spot).clone()} on_select={on_select.clone()} {on_menu} />
                }
                <Timeline key={said("time")} api={api.clone()} world={world.clone()} trace={trace.clone()} keeper={keeper.clone()} news={news.0}
                    on_story={on_command.reform(|()| Command::Story)} />
            </main>
            <Split label={t(TERMINAL_HEIGHT)} upright={false} before={false} size={sizes.terminal} limits={(120.0, 700.0)}
                on_resize={resize(|sizes, size| sizes.terminal = size)} />
            <section class="terminal-pane" aria-label={t(TERMINAL_SAYS)}>
                <Terminals api={home.clone()} {past} {on_now} theme={*theme} language={*spoken} typed={typed.0.clone()} more={more_terminals.0}
                    search={searching.0} on_run={on_run.clone()} paused={clock.as_ref().is_some_and(|clock| clock.paused)}
                    on_clock={on_clock.clone()} />
            </section>
            <Split label={t(INSPECTOR_WIDTH)} upright={true} before={false} size={sizes.inspector} limits={(240.0, 720.0)}
                on_resize={resize(|sizes, size| sizes.inspector = size)} />
            <aside class="inspector-pane">
                <Inspector key={said("inspector")} api={api.clone()} world={world.clone()} trace={trace.clone()} news={news.0}
                    kinds={(*kinds).clone()} selected={(*selected).clone()} chosen={views.as_ref().map(|views| views.chosen)} told={telling.0} on_select={on_select.clone()} on_run={on_run.clone()} on_fault={on_fault.clone()}
                    on_spot={ { let spot = spot.clone(); Callback::from(move |lit| spot.set(lit)) } } />
            </aside>
            <nav class="bottom" aria-label={t(PANES)}>
                { tab(t(LESSON), IconName::Book, Pane::Lesson) }
                { tab(t(CLUSTER), IconName::Map, Pane::Cluster) }
                { tab(t(TERMINAL), IconName::Terminal, Pane::Terminal) }
                { tab(t(INSPECT), IconName::Inspect, Pane::Inspector) }
            </nav>
            { match (*over, &*views) {
                (Over::Nothing, _) | (_, None) => html! {},
                (Over::Palette, Some(views)) => html! { <key={palettes.0}>{ (views.palette)(PaletteProps {
                    kinds: (*kinds).clone(), world: world.clone(), early: early.clone(), on_choose, on_close: close,
                }) }</> },
                (Over::Clusters, Some(views)) => (views.clusters)(ClustersProps {
                    api: home.clone(), keeper: own.clone(), on_close: close,
                }),
                (Over::Faults, Some(views)) => (views.faults)(FaultsProps {
                    api: api.clone(), world: world.clone(), now: (*wrong).clone(), chaos: *chaos,
                    on_change: { let wrong = wrong.clone(); Callback::from(move |now| wrong.set(now)) },
                    on_chaos: { let chaos = chaos.clone(); Callback::from(move |seed| chaos.set(seed)) }, on_close: close,
                }),
            } }
            { match &*menu {
                None => html! {},
                Some((id, at)) => object_menu(world, id, *at, &menu, &on_select, &on_fault),
            } }
            if let Some(said) = &*notice {
                <p class="notice" role="alert">{ said }
                    <button type="button" class="icon" aria-label={t(CLOSE)} title={t(CLOSE)}
                        onclick={ { let notice = notice.clone(); Callback::from(move |_: MouseEvent| notice.set(None)) } }>
                        <Icon name={IconName::Close} /></button>
                </p>
            }
        </div>
    }
}

/// What there is to do with an object of the map.
fn object_menu(
    world: &World,
    id: &str,
    at: (i32, i32),
    menu: &UseStateHandle<Option<(String, (i32, i32))>>,
    on_select: &Callback<String>,
    on_fault: &Callback<Fault>,
) -> Html {
    let (resource, key) = id.split_once('/').unwrap_or_default();
    let done = {
        let menu = menu.clone();
        Callback::from(move |()| menu.set(None))
    };
    let mut items = vec![(AttrValue::from(t(INSPECT)), {
        let (done, on_select, id) = (done.clone(), on_select.clone(), id.to_owned());
        Callback::from(move |()| {
            done.emit(());
            on_select.emit(id.clone());
        })
    })];
    if let Some(object) = world.live().get(resource, key) {
        items.extend(faults::of(resource, object).into_iter().map(|(label, fault)| {
            let (done, on_fault) = (done.clone(), on_fault.clone());
            let act = Callback::from(move |()| {
                done.emit(());
                on_fault.emit(fault.clone());
            });
            (AttrValue::from(label), act)
        }));
    }
    html! { <Menu label={key.to_owned()} {at} {items} on_close={done} /> }
}

/// Goes on from before the last change of a person.
fn undo(follow: &Follow, notice: &UseStateHandle<Option<String>>) {
    let (Some(keeper), Some(point)) = (follow.keeper.clone(), follow.trace.undo_point()) else {
        notice.set(Some(t(NOTHING_TO_UNDO).into()));
        return;
    };
    let notice = notice.clone();
    wasm_bindgen_futures::spawn_local(async move {
        if let Err(error) = keeper.undo(&point).await {
            notice.set(Some(error.0));
        }
    });
}

/// Counts changes of world and trace, so that what shows them is drawn anew.
struct News(u32);

impl Reducible for News {
    type Action = ();

    fn reduce(self: Rc<Self>, (): ()) -> Rc<Self> {
        Rc::new(Self(self.0.wrapping_add(1)))
    }
}

/// The command line that was last to be typed, and a number that makes each of them new.
struct Typed(Option<(u32, String)>);

impl Reducible for Typed {
    type Action = String;

    fn reduce(self: Rc<Self>, command: String) -> Rc<Self> {
        Rc::new(Self(Some((self.0.as_ref().map_or(0, |(count, _)| count + 1), command))))
    }
}

fn follow(api: &Api, entry: Option<Entry>, news: UseReducerDispatcher<News>) -> Follow {
    let world = World::new();
    let trace = Rc::new(Trace::default());
    let subscription = world.subscribe(move || news.dispatch(()));
    world.follow(api);
    let listener = Rc::clone(&world);
    trace.follow(api, move || listener.touch());
    let keeper = entry.map(|entry| Keeper::start(api, entry, &trace));
    Follow { world, trace, keeper, _subscription: subscription }
}

/// What a key asks for, beside the clock.
enum Key {
    Palette,
    Command(Command),
}

/// The page's keys: space, full stop and brackets for the clock, colon and slash for commands; not where a
/// person types or presses. Ctrl+K opens the commands from anywhere but the terminal. Whoever begins to write where
/// nothing can be written writes into the terminal.
#[hook]
fn use_keys(early: &Rc<Early>, on_clock: Callback<ClockAct>, on_key: Callback<Key>) {
    // The listener stays; what it calls is of the newest drawing.
    let newest = use_mut_ref(|| None);
    newest.replace(Some((on_clock, on_key)));
    let early = early.clone();
    use_effect_with((), move |()| {
        let listener = web_sys::window().map(|window| {
            EventListener::new_with_options(
                &window,
                "keydown",
                gloo::events::EventListenerOptions::enable_prevent_default(),
                move |event| {
                    let Some(event) = event.dyn_ref::<KeyboardEvent>() else { return };
                    let Some((on_clock, on_key)) = newest.borrow().clone() else { return };
                    let element = event.target().and_then(|target| target.dyn_into::<HtmlElement>().ok());
                    let tag = element.as_ref().map(|element| element.tag_name()).unwrap_or_default();
                    // The editor is an element whose content can be edited.
                    let typing = matches!(tag.as_str(), "INPUT" | "TEXTAREA" | "SELECT")
                        || element.as_ref().is_some_and(HtmlElement::is_content_editable);
                    let dialog =
                        element.is_some_and(|element| matches!(element.closest("dialog, [role=menu]"), Ok(Some(_))));
                    if (event.ctrl_key() || event.meta_key()) && event.key() == "k" && tag != "TEXTAREA" {
                        event.prevent_default();
                        early.begin();
                        return on_key.emit(Key::Palette);
                    }
                    if typing || dialog || event.alt_key() || event.default_prevented() {
                        return;
                    }
                    if event.ctrl_key() || event.meta_key() {
                        if event.key() == "z" && !event.repeat() {
                            event.prevent_default();
                            on_key.emit(Key::Command(Command::Undo));
                        }
                        return;
                    }
                    if early.hear(&event.key()) {
                        return event.prevent_default();
                    }
                    let pressing = matches!(tag.as_str(), "BUTTON" | "A" | "SUMMARY");
                    match event.key().as_str() {
                        ":" | "?" => {
                            early.begin();
                            on_key.emit(Key::Palette);
                        }
                        "/" => on_key.emit(Key::Command(Command::Filter)),
                        ";" => on_key.emit(Key::Command(Command::Story)),
                        " " if !pressing => on_clock.emit(ClockAct::Toggle),
                        "." => on_clock.emit(ClockAct::Step),
                        "]" => on_clock.emit(ClockAct::Faster(1)),
                        "[" => on_clock.emit(ClockAct::Faster(-1)),
                        key => {
                            let mut letters = key.chars();
                            let letter = letters.next().is_some_and(char::is_alphabetic) && letters.next().is_none();
                            if letter && matches!(tag.as_str(), "BODY" | "CANVAS") {
                                // The letter itself goes where the focus is then.
                                focus_terminal();
                            }
                            return;
                        }
                    }
                    event.prevent_default();
                },
            )
        });
        move || drop(listener)
    });
}

/// Gives the keyboard to the terminal that is shown.
fn focus_terminal() {
    let fields = web_sys::window().and_then(|window| window.document()?.query_selector_all(".terminal textarea").ok());
    let Some(fields) = fields else { return };
    let fields = (0..fields.length()).filter_map(|at| fields.item(at)?.dyn_into::<HtmlElement>().ok());
    if let Some(field) = fields.into_iter().find(|field| field.offset_parent().is_some()) {
        // What is not there any more takes no focus.
        let _ = field.focus();
    }
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
