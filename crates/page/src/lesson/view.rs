//! A lesson as a pane: a step at a time, its commands, its checks.

use std::rc::Rc;

use playground_lesson::{Check, Lesson, Piece, filled, waiting};
use yew::prelude::*;

use super::progress::{Progress, use_other_tabs};
use super::seen::Seen;
use crate::api::{Api, Call};
use crate::text::*;
use crate::trace::Trace;
use crate::ui::icon::{Icon, IconName};
use crate::world::World;

/// What the pane is given.
#[derive(Properties)]
pub struct LessonProps {
    /// The lesson's name, under which progress is kept.
    pub id: AttrValue,
    /// The lesson.
    pub lesson: Rc<Lesson>,
    /// The way to the cluster, for faults.
    pub api: Api,
    /// The cluster's objects.
    pub world: Rc<World>,
    /// What has passed.
    pub trace: Rc<Trace>,
    /// Counts up when world or trace have news.
    pub news: u32,
    /// Hears a command line to type into the terminal.
    pub on_run: Callback<String>,
    /// The lesson after this one.
    pub next: Option<String>,
    /// Hears which lesson to open; none for the catalogue.
    pub on_open: Callback<Option<String>>,
}

impl PartialEq for LessonProps {
    fn eq(&self, other: &Self) -> bool {
        self.news == other.news && self.next == other.next && Rc::ptr_eq(&self.lesson, &other.lesson)
    }
}

/// How far somebody is.
#[derive(PartialEq)]
struct Way(Progress);

/// What happens on the way through a lesson. Each is put together with what came before it, whatever was drawn then.
enum Act {
    /// A step is opened.
    Open(usize),
    /// So far has somebody come, here or in another tab.
    Reach(Progress),
    StartOver,
}

impl Reducible for Way {
    type Action = Act;

    fn reduce(self: Rc<Self>, act: Act) -> Rc<Self> {
        let progress = self.0.clone();
        Rc::new(Self(match act {
            Act::Open(at) => Progress { at, ..progress },
            Act::Reach(other) => progress.with(other),
            Act::StartOver => progress.anew(),
        }))
    }
}

/// The pane.
#[component]
pub fn LessonPane(props: &LessonProps) -> Html {
    let id = props.id.clone();
    let other_tabs = use_other_tabs();
    let progress = use_reducer_eq(|| Way(Progress::of(&id)));
    {
        let (id, way) = (props.id.clone(), progress.dispatcher());
        use_effect_with(progress.0.clone(), move |progress| {
            way.dispatch(Act::Reach(progress.clone().keep(&id)));
        });
        // What another tab keeps is read alone: two that answered each other would never end.
        let (id, way) = (props.id.clone(), progress.dispatcher());
        use_effect_with(other_tabs, move |_| way.dispatch(Act::Reach(Progress::of(&id))));
    }
    let steps = &props.lesson.steps;
    let at = progress.0.at.min(steps.len().saturating_sub(1));
    {
        let (progress, world, trace, lesson) =
            (progress.clone(), props.world.clone(), props.trace.clone(), props.lesson.clone());
        use_effect_with((props.news, at), move |(_, at)| {
            let mut now = progress.0.clone();
            let snapshot = world.live();
            let seen = Seen { snapshot: &snapshot, trace: &trace };
            // What was read so far counts; what comes later is not given away by an accident.
            for (step, index, check) in checks(&lesson).filter(|(step, ..)| step <= at) {
                if !now.done.contains(&(step, index)) && check.holds(&seen) {
                    now.done.insert((step, index));
                }
            }
            now.complete |= checks(&lesson).all(|(step, index, _)| now.done.contains(&(step, index)));
            if now != progress.0 {
                progress.dispatch(Act::Reach(now));
            }
        });
    }
    let Some(step) = steps.get(at) else { return html! {} };
    let step_done =
        |index: usize| (0..steps[index].checks.len()).all(|check| progress.0.done.contains(&(index, check)));
    let go = |to: usize| {
        let progress = progress.dispatcher();
        Callback::from(move |_: MouseEvent| progress.dispatch(Act::Open(to)))
    };
    let start_over = {
        let progress = progress.dispatcher();
        Callback::from(move |_: MouseEvent| progress.dispatch(Act::StartOver))
    };
    let last = at + 1 == steps.len();
    let snapshot = props.world.live();
    let seen = Seen { snapshot: &snapshot, trace: &props.trace };
    html! {
        <article class="lesson" aria-label={props.lesson.title.clone()}>
            <header>
                <p class="eyebrow">
                    <button type="button" class="link" onclick={props.on_open.reform(|_: MouseEvent| None)}>{ t(ALL_LESSONS) }</button>
                    { format!(" · {}", MINUTES.with(&[&props.lesson.minutes.to_string()])) }
                </p>
                <h1>{ &props.lesson.title }</h1>
                if at == 0 { <p class="lead">{ &props.lesson.summary }</p> }
                <ol class="steps" aria-label={t(STEPS)}>
                    { for steps.iter().enumerate().map(|(index, step)| {
                        let class = classes!(
                            (index == at).then_some("here"),
                            (step_done(index) && (index < at || !step.checks.is_empty())).then_some("done"),
                        );
                        let name = if step.title.is_empty() { t(START) } else { step.title.as_str() };
                        html! {
                            <li {class}>
                                <button type="button" onclick={go(index)} title={name.to_owned()}
                                    aria-label={STEP.with(&[&(index + 1).to_string(), name])}
                                    aria-current={(index == at).then_some("step")} />
                            </li>
                        }
                    }) }
                </ol>
            </header>
            <div class="step" key={at} tabindex="0">
                if !step.title.is_empty() { <h2>{ &step.title }</h2> }
                { for step.pieces.iter().map(|piece| show(props, piece, &seen)) }
                if !step.checks.is_empty() {
                    <ul class="checks" aria-label={t(CHECKS)} aria-live="polite">
                        { for step.checks.iter().enumerate().map(|(index, check)| {
                            let is_done = progress.0.done.contains(&(at, index));
                            html! {
                                <li class={classes!(is_done.then_some("done"))}>
                                    <Icon name={if is_done { IconName::Check } else { IconName::Circle }} />
                                    <span>{ &check.text }<span class="hidden">{ t(if is_done { DONE } else { NOT_YET }) }</span></span>
                                </li>
                            }
                        }) }
                    </ul>
                }
                if last && progress.0.complete {
                    <p class="complete" role="status"><Icon name={IconName::Check} />{ t(LESSON_DONE) }</p>
                }
            </div>
            <footer>
                <button type="button" class="quiet" disabled={at == 0} onclick={go(at.saturating_sub(1))}>{ t(BACK) }</button>
                <button type="button" class="quiet" onclick={start_over}>{ t(START_OVER) }</button>
                if last {
                    <button type="button" class="primary" disabled={props.next.is_none()}
                        onclick={ { let next = props.next.clone(); props.on_open.reform(move |_: MouseEvent| next.clone()) } }>
                        { t(NEXT_LESSON) }
                    </button>
                } else {
                    <button type="button" class={classes!("primary", (!step_done(at)).then_some("later"))} onclick={go(at + 1)}>
                        { t(NEXT) }
                    </button>
                }
            </footer>
        </article>
    }
}

fn checks(lesson: &Lesson) -> impl Iterator<Item = (usize, usize, &Check)> {
    let steps = lesson.steps.iter().enumerate();
    steps.flat_map(|(step, of)| of.checks.iter().enumerate().map(move |(index, check)| (step, index, check)))
}

fn show(props: &LessonProps, piece: &Piece, seen: &Seen<'_>) -> Html {
    match piece {
        Piece::Html(text) => Html::from_html_unchecked(text.clone().into()),
        Piece::Run(lines) => commands(props, lines, seen),
        Piece::Fails(lines) => html! { <div class="fails">{ commands(props, lines, seen) }</div> },
        Piece::File(name, text) => html! {
            <figure class="file"><figcaption>{ name }</figcaption><pre tabindex="0"><code>{ text }</code></pre></figure>
        },
        Piece::Hint(text) => html! {
            <details><summary>{ t(HINT) }</summary>{ Html::from_html_unchecked(text.clone().into()) }</details>
        },
        Piece::Solution(lines) => html! {
            <details><summary>{ t(SOLUTION) }</summary>{ commands(props, lines, seen) }</details>
        },
        Piece::Fault(lines) => html! {
            <div class="run">{ for lines.iter().map(|line| fault(props, line)) }</div>
        },
    }
}

fn commands(props: &LessonProps, lines: &[String], seen: &Seen<'_>) -> Html {
    let command = |line: &String| {
        let line = filled(line, seen);
        if let Some((resource, labels)) = waiting(&line) {
            let shown = line.replace(&format!("{{{resource}:{labels}}}"), "…");
            return html! {
                <button type="button" class="command" disabled={true}>
                    <code>{ shown }</code><small>{ WAITS_FOR.with(&[resource, labels]) }</small>
                </button>
            };
        }
        let (on_run, typed) = (props.on_run.clone(), line.clone());
        let onclick = Callback::from(move |_: MouseEvent| on_run.emit(typed.clone()));
        html! {
            <button type="button" class="command" {onclick} title={t(TYPE_THIS)}>
                <code>{ line }</code><Icon name={IconName::Play} />
            </button>
        }
    };
    html! { <div class="run">{ for lines.iter().map(command) }</div> }
}

/// A button that cuts a component off from the API server, or joins it again.
fn fault(props: &LessonProps, line: &str) -> Html {
    let (act, name) = line.split_once(' ').unwrap_or((line, ""));
    let cut = act == "cut";
    let words = if cut { CUT_PART.with(&[name]) } else { JOIN_PART.with(&[name]) };
    let (api, path) = (props.api.clone(), format!("/playground/v1/components/{name}"));
    let onclick = Callback::from(move |_: MouseEvent| {
        let (api, call) =
            (api.clone(), Call::json("PATCH", &path, "application/json", &serde_json::json!({"cut": cut})));
        wasm_bindgen_futures::spawn_local(async move {
            let _ = api.send(call).await;
        });
    });
    html! { <button type="button" class="command fault" {onclick}><span>{ words }</span><Icon name={IconName::Play} /></button> }
}
