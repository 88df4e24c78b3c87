//! Stories as a list, and one of them as a player: its steps, what the present one did, and the map's light on it.

use std::rc::Rc;

use gloo::timers::callback::{Interval, Timeout};
use playground_control::{Hop, HopKind};
use wasm_bindgen::JsCast;
use web_sys::{HtmlElement, KeyboardEvent};
use yew::prelude::*;

use super::chain::{Chain, Step, base, chains};
use super::log::Act;
use super::{change, lanes, words};
use crate::api::Api;
use crate::text::*;
use crate::trace::Trace;
use crate::ui::icon::{Icon, IconName};
use crate::ui::kinds::Kind;
use crate::world::World;

/// How long a step is shown while the story plays.
const STEP_MS: u32 = 2_200;
/// How often stories are told anew.
const NEWS_MS: u32 = 600;
/// How many stories, steps and lines of a change are shown.
const STORIES_MAX: usize = 40;
const STEPS_MAX: usize = 300;
const ROWS_MAX: usize = 400;

/// Where the map's light is: the legs of a step, one after the other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spot {
    /// What passes.
    pub legs: Vec<Rc<Hop>>,
}

/// What the view is given.
#[derive(Properties)]
pub struct StoryProps {
    /// The way to the cluster.
    pub api: Api,
    /// The cluster's objects; they are shown as the present step left them.
    pub world: Rc<World>,
    /// What has passed.
    pub trace: Rc<Trace>,
    /// Whether anybody sees it.
    pub shown: bool,
    /// The cluster's kinds.
    pub kinds: Rc<Vec<Kind>>,
    /// Counts the wishes to see the newest story.
    pub wished: u32,
    /// Hears where the map's light is to be.
    pub on_spot: Callback<Option<Spot>>,
    /// Hears what is chosen.
    pub on_select: Callback<String>,
}

impl PartialEq for StoryProps {
    fn eq(&self, other: &Self) -> bool {
        (self.shown, self.wished) == (other.shown, other.wished) && Rc::ptr_eq(&self.kinds, &other.kinds)
    }
}

/// Where the player is.
#[derive(Clone, Copy, PartialEq)]
struct Play {
    story: u64,
    at: usize,
    running: bool,
}

/// A change as it was read: of the revision, its rows or what was wrong.
type Read = (u64, Result<Vec<change::Row>, String>);

/// What happened.
#[component]
pub fn Story(props: &StoryProps) -> Html {
    let play = use_state_eq(|| None::<Play>);
    let all = use_state_eq(|| false);
    let stories = use_state(|| Rc::new((0, Vec::<Chain>::new())));
    {
        // Stories are told anew now and then: a rollout of a thousand pods has many hops a frame.
        let (trace, state) = (props.trace.clone(), stories.clone());
        let known = use_mut_ref(|| 0);
        use_effect_with((props.shown || play.is_some(), props.wished), move |(shown, _)| {
            let look = move || {
                let log = trace.log();
                if std::mem::replace(&mut *known.borrow_mut(), log.count()) != log.count() {
                    state.set(Rc::new((log.count(), chains(&log))));
                }
            };
            let timer = shown.then(|| {
                look();
                Interval::new(NEWS_MS, look)
            });
            move || drop(timer)
        });
    }
    let stories = stories.1.as_slice();
    {
        let play = play.clone();
        let trace = props.trace.clone();
        // What was wished before this was there is another cluster's, or was seen in another language.
        let first = use_mut_ref(|| props.wished);
        use_effect_with(props.wished, move |wished| {
            if *wished != *first.borrow() {
                let newest = chains(&trace.log()).iter().rev().find(|story| story.by_person).map(|story| story.id);
                play.set(newest.map(|story| Play { story, at: 0, running: true }));
            }
        });
    }
    let open = play.and_then(|play| Some((play, stories.iter().find(|story| story.id == play.story)?.clone())));
    let on_play = {
        let play = play.clone();
        Callback::from(move |next: Option<Play>| play.set(next))
    };
    if let Some((play, story)) = open {
        let id = story.id;
        return html! {
            <Player key={id} api={props.api.clone()} world={props.world.clone()} trace={props.trace.clone()}
                kinds={props.kinds.clone()} {story} {play} {on_play} on_spot={props.on_spot.clone()} on_select={props.on_select.clone()} />
        };
    }
    let shown: Vec<&Chain> = stories.iter().rev().filter(|story| *all || story.by_person).take(STORIES_MAX).collect();
    let toggle = {
        let all = all.clone();
        Callback::from(move |_: MouseEvent| all.set(!*all))
    };
    html! {
        <div class="stories">
            <p class="soft">{ t(STORY_SAYS) }</p>
            if shown.is_empty() { <p class="empty">{ t(NO_STORY) }</p> }
            <ol>{ for shown.into_iter().map(|story| {
                let id = story.id;
                let onclick = on_play.reform(move |_: MouseEvent| Some(Play { story: id, at: 0, running: false }));
                html! {
                    <li key={id}><button type="button" {onclick}>
                        <Icon name={IconName::Play} />
                        <code>{ &story.title }</code>
                        <small>{ story.time.get(11..19).unwrap_or_default().to_owned() }{ " · " }{ STORY_STEPS.with(&[&story.steps.len().to_string()]) }</small>
                    </button></li>
                }
            }) }</ol>
            <button type="button" class="small" aria-pressed={all.to_string()} onclick={toggle}>{ t(STORY_ALL) }</button>
        </div>
    }
}

#[derive(Properties)]
struct PlayerProps {
    api: Api,
    world: Rc<World>,
    trace: Rc<Trace>,
    kinds: Rc<Vec<Kind>>,
    story: Chain,
    play: Play,
    on_play: Callback<Option<Play>>,
    on_spot: Callback<Option<Spot>>,
    on_select: Callback<String>,
}

impl PartialEq for PlayerProps {
    fn eq(&self, other: &Self) -> bool {
        self.play == other.play && self.story == other.story && Rc::ptr_eq(&self.kinds, &other.kinds)
    }
}

/// One story.
#[component]
fn Player(props: &PlayerProps) -> Html {
    let (story, play) = (&props.story, props.play);
    let count = story.steps.len().min(STEPS_MAX);
    let at = play.at.min(count.saturating_sub(1));
    let list = use_node_ref();
    let read = use_state_eq(|| None::<Read>);
    // The revision that the story went to last.
    let told_of = use_mut_ref(|| props.world.revision());
    let go = {
        let on_play = props.on_play.clone();
        move |at: usize, running: bool| on_play.emit(Some(Play { at, running, ..play }))
    };
    let step = story.steps.get(at);
    let revision = step.and_then(Step::revision);
    let shown = step.and_then(|step| step.acts().iter().find(|act| act.revision.is_some())).cloned();
    {
        // The map shows the cluster as this step left it, with its light on the parts that act.
        let (api, world, on_spot) = (props.api.clone(), props.world.clone(), props.on_spot.clone());
        let told = told_of.clone();
        let legs = step.map(legs).unwrap_or_default();
        use_effect_with((at, revision), move |(_, revision)| {
            on_spot.emit(Some(Spot { legs }));
            if let Some(revision) = *revision {
                wasm_bindgen_futures::spawn_local(async move {
                    // A revision that is forgotten shows the step without its map.
                    if world.go_to(&api, Some(revision)).await.is_ok() {
                        *told.borrow_mut() = Some(revision);
                    }
                });
            }
        });
    }
    {
        let (api, read, kinds) = (props.api.clone(), read.clone(), props.kinds.clone());
        let wanted = shown.as_ref().and_then(|act| Some((act.revision?, base(&act.hop.object))));
        use_effect_with((wanted, kinds.len()), move |(wanted, _)| {
            let Some((revision, address)) = wanted.clone() else { return };
            let (resource, key) = address.split_once('/').unwrap_or_default();
            let Some(kind) = kinds.iter().find(|kind| kind.resource == resource).cloned() else { return };
            let key = key.to_owned();
            wasm_bindgen_futures::spawn_local(async move {
                let rows = change::of(&api, &kind, &key, revision).await.map_err(|error| error.0);
                read.set(Some((revision, rows)));
            });
        });
    }
    {
        // The next step comes by itself while the story plays; at the end it waits for more. Whoever goes to
        // another revision, or back to the present, has stopped it.
        let (go, running) = (go.clone(), play.running);
        let (world, told) = (props.world.clone(), told_of.clone());
        use_effect_with((at, running, count), move |(at, running, count)| {
            let (at, next) = (*at, *at + 1 < *count);
            let timer = (*running && next).then(|| {
                Timeout::new(STEP_MS, move || {
                    let alone = world.revision() == *told.borrow();
                    go(if alone { at + 1 } else { at }, alone);
                })
            });
            move || drop(timer)
        });
    }
    {
        let list = list.clone();
        use_effect_with(at, move |_| {
            let here = list.cast::<HtmlElement>().and_then(|list| list.query_selector("[aria-current]").ok()?);
            if let Some(here) = here {
                let options = web_sys::ScrollIntoViewOptions::new();
                options.set_block(web_sys::ScrollLogicalPosition::Nearest);
                here.scroll_into_view_with_scroll_into_view_options(&options);
                // The keyboard goes with the steps, unless it is elsewhere.
                let active = web_sys::window().and_then(|window| window.document()?.active_element());
                if active.is_none_or(|active| {
                    active.tag_name() == "BODY" || active.closest(".story-steps").is_ok_and(|list| list.is_some())
                }) && let Ok(here) = here.dyn_into::<HtmlElement>()
                {
                    // An element that is not shown takes no focus.
                    let _ = here.focus();
                }
            }
        });
    }
    {
        // Whoever leaves is back in the present.
        let (api, world, on_spot) = (props.api.clone(), props.world.clone(), props.on_spot.clone());
        use_effect_with((), move |()| {
            move || {
                on_spot.emit(None);
                wasm_bindgen_futures::spawn_local(async move {
                    // The present needs nobody's answer.
                    let _ = world.go_to(&api, None).await;
                });
            }
        });
    }
    let onkeydown = {
        let (go, on_play) = (go.clone(), props.on_play.clone());
        Callback::from(move |event: KeyboardEvent| {
            match event.key().as_str() {
                "ArrowRight" | "ArrowDown" | "n" | "j" => go((at + 1).min(count.saturating_sub(1)), false),
                "ArrowLeft" | "ArrowUp" | "p" | "k" => go(at.saturating_sub(1), false),
                "Home" => go(0, false),
                "End" => go(count.saturating_sub(1), false),
                " " => go(if at + 1 == count { 0 } else { at }, !play.running),
                "Escape" => on_play.emit(None),
                _ => return,
            }
            event.prevent_default();
            event.stop_propagation();
        })
    };
    let button = |label: Text, icon: IconName, to: usize, running: bool, off: bool| {
        let go = go.clone();
        let onclick = Callback::from(move |_: MouseEvent| go(to, running));
        html! { <button type="button" class="icon" aria-label={t(label)} title={t(label)} disabled={off} {onclick}><Icon name={icon} /></button> }
    };
    let start_ms = js_sys::Date::parse(&story.time);
    html! {
        <div class="story" {onkeydown}>
            <div class="story-head">
                <button type="button" class="link" onclick={props.on_play.reform(|_: MouseEvent| None)}>{ t(ALL_STORIES) }</button>
                <p class="line"><code>{ &story.title }</code></p>
                <div class="story-bar" role="group" aria-label={t(STORY)}>
                    { button(STEP_BACK, IconName::Back, at.saturating_sub(1), false, at == 0) }
                    if play.running && at + 1 < count {
                        { button(PAUSE, IconName::Pause, at, false, false) }
                    } else {
                        { button(PLAY, IconName::Play, if at + 1 == count { 0 } else { at }, true, count < 2) }
                    }
                    { button(STEP_ON, IconName::Step, at + 1, false, at + 1 >= count) }
                    <progress max={count.to_string()} value={(at + 1).to_string()} aria-label={t(STORY)} />
                    <span class="soft" role="status">{ STORY_AT.with(&[&(at + 1).to_string(), &count.to_string()]) }</span>
                </div>
            </div>
            <div class="story-steps">
                { lanes::heads() }
                <ol ref={list}>{ for story.steps.iter().take(STEPS_MAX).enumerate().map(|(index, step)| {
                    let go = go.clone();
                    let onclick = Callback::from(move |_: MouseEvent| go(index, false));
                    html! {
                        <li key={index} class={classes!((index > at).then_some("ahead"))}>
                            <button type="button" {onclick} aria-current={(index == at).then_some("step")}>
                                { lanes::arrows(step) }
                                <span>{ words::sentence(step, &props.kinds) }</span>
                            </button>
                        </li>
                    }
                }) }</ol>
            </div>
            if let Some(step) = step {
                <section class="story-detail" aria-live="polite" tabindex="0" aria-label={t(STORY_STEP)}>
                    <h3>{ words::sentence(step, &props.kinds) }</h3>
                    { told(props, step, start_ms) }
                    if let Some(revision) = shown.and_then(|act| act.revision) {
                        { changed((*read).clone().filter(|(of, _)| *of == revision)) }
                    }
                </section>
            }
        </div>
    }
}

/// What there is to know of a step beside its change.
fn told(props: &PlayerProps, step: &Step, start_ms: f64) -> Html {
    let link = |address: &str| {
        let id = base(address);
        let onclick = props.on_select.reform(move |_: MouseEvent| id.clone());
        html! { <button type="button" class="link" {onclick}><code>{ base(address) }</code></button> }
    };
    let purpose = |part: &str| match words::purpose(part) {
        "" => html! {},
        said => html! { <p>{ said }</p> },
    };
    match step {
        Step::Hear { who, object, revision } => {
            let others = props.trace.log().heard(*revision).iter().filter(|name| ***name != **who).count();
            html! {
                <>
                    { purpose(who) }
                    <p class="soft">{ link(object) }{ " · " }{ REVISION_IS.with(&[&revision.to_string()]) }
                        if others > 0 { { " · " }{ STORY_OTHERS.with(&[&others.to_string()]) } }
                    </p>
                </>
            }
        }
        Step::Do(acts) => {
            let Some(first) = acts.first() else { return html! {} };
            // Whoever is outside of the event loop reads the clock a little ahead of it.
            let after_ms = (js_sys::Date::parse(&first.hop.time) - start_ms).max(0.0);
            let runtime = first.hop.kind == HopKind::Runtime;
            html! {
                <>
                    { purpose(if runtime { "runtime" } else { &first.hop.from }) }
                    <p class="soft">
                        { format!("+{:.3} s · {}", after_ms / 1_000.0, first.hop.verb) }
                        if let Some(revision) = first.revision { { " · " }{ REVISION_IS.with(&[&revision.to_string()]) } }
                    </p>
                    <ul class="links">{ for acts.iter().take(12).map(|act| html! { <li>{ link(&act.hop.object) }</li> }) }</ul>
                </>
            }
        }
    }
}

/// What a revision made of its object.
fn changed(read: Option<Read>) -> Html {
    match read {
        Some((_, Ok(rows))) if rows.is_empty() => html! { <p class="soft">{ t(STORY_SAME) }</p> },
        Some((_, Ok(rows))) => {
            let cut = rows.len() > ROWS_MAX;
            let shown = rows.into_iter().take(ROWS_MAX).map(|row| {
                let class = match row.sign {
                    '+' => "plus",
                    '-' => "minus",
                    _ => "above",
                };
                html! { <span {class}>{ format!("{} {}\n", row.sign, row.text) }</span> }
            });
            html! {
                <pre class="diff" tabindex="0" aria-label={t(STORY_CHANGE)}>{ for shown }{ if cut { "…" } else { "" } }</pre>
            }
        }
        Some((_, Err(error))) => html! { <p class="soft">{ error }</p> },
        None => html! {},
    }
}

/// What passes in a step, leg by leg.
fn legs(step: &Step) -> Vec<Rc<Hop>> {
    match step {
        Step::Hear { who, object, revision } => vec![Rc::new(Hop {
            kind: HopKind::Watch,
            from: "kube-apiserver".into(),
            to: who.clone(),
            verb: String::new(),
            object: object.clone(),
            revision: Some(*revision),
            ..Hop::default()
        })],
        Step::Do(acts) => {
            let leg = |Act { hop, revision }: &Act| {
                let write = revision.map(|_| {
                    let (kind, from, to) = (HopKind::Write, "kube-apiserver".into(), "etcd".into());
                    Rc::new(Hop { kind, from, to, ..(**hop).clone() })
                });
                [Some(hop.clone()), write]
            };
            acts.first().into_iter().flat_map(leg).flatten().collect()
        }
    }
}
