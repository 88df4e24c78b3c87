//! The cluster's history under the map: every change since the page came, to scrub through.

use std::rc::Rc;

use web_sys::HtmlInputElement;
use yew::prelude::*;

use super::icon::{Icon, IconName};
use crate::api::Api;
use crate::saved::Keeper;
use crate::text::*;
use crate::trace::{Trace, UndoPoint};
use crate::world::World;

/// What the timeline is given.
#[derive(Properties)]
pub struct TimelineProps {
    /// The way to the cluster.
    pub api: Api,
    /// The cluster's objects.
    pub world: Rc<World>,
    /// What has passed.
    pub trace: Rc<Trace>,
    /// Saves the cluster, and makes others of its past; none where the cluster is not the tab's own.
    pub keeper: Option<Rc<Keeper>>,
    /// Counts up when world or trace have news.
    pub news: u32,
    /// Hears that somebody wants to know what happened.
    pub on_story: Callback<()>,
}

impl PartialEq for TimelineProps {
    fn eq(&self, other: &Self) -> bool {
        self.news == other.news
    }
}

/// The timeline.
#[component]
pub fn Timeline(props: &TimelineProps) -> Html {
    let error = use_state_eq(|| None::<String>);
    let writes = props.trace.writes();
    let Some(last) = writes.len().checked_sub(1) else { return html! {} };
    let revision = props.world.revision();
    let at = revision.map_or(last, |revision| writes.partition_point(|write| write.revision < revision).min(last));
    let go = {
        let (api, world, error) = (props.api.clone(), props.world.clone(), error.clone());
        move |revision: Option<u64>| {
            let (api, world, error) = (api.clone(), world.clone(), error.clone());
            wasm_bindgen_futures::spawn_local(async move {
                error.set(world.go_to(&api, revision).await.err().map(|error| error.0));
            });
        }
    };
    let oninput = {
        let (go, trace) = (go.clone(), props.trace.clone());
        Callback::from(move |event: InputEvent| {
            let Some(input) = event.target_dyn_into::<HtmlInputElement>() else { return };
            let index = input.value_as_number() as usize;
            let writes = trace.writes();
            let present = index + 1 >= writes.len();
            let revision = writes.get(index).map(|write| write.revision);
            drop(writes);
            go(revision.filter(|_| !present));
        })
    };
    let step = |to: Option<usize>, label: &'static str, words: &'static str| {
        let revision = to.and_then(|to| writes.get(to)).map(|write| write.revision);
        let go = go.clone();
        let onclick = Callback::from(move |_: MouseEvent| go(revision));
        html! { <button type="button" class="icon" disabled={revision.is_none()} aria-label={label} title={label} {onclick}>{ words }</button> }
    };
    let shown = &writes[at];
    let fork = |revision: u64, time: String| {
        let (keeper, error) = (props.keeper.clone(), error.clone());
        Callback::from(move |_: MouseEvent| {
            let (error, time) = (error.clone(), time.clone());
            let Some(keeper) = keeper.clone() else { return };
            wasm_bindgen_futures::spawn_local(async move {
                error.set(keeper.fork(revision, &time).await.err().map(|error| error.0));
            });
        })
    };
    let undo_to = |point: UndoPoint| {
        let (keeper, error) = (props.keeper.clone(), error.clone());
        Callback::from(move |_: MouseEvent| {
            let (error, point) = (error.clone(), point.clone());
            let Some(keeper) = keeper.clone() else { return };
            wasm_bindgen_futures::spawn_local(async move {
                error.set(keeper.undo(&point).await.err().map(|error| error.0));
            });
        })
    };
    let undo = props.trace.undo_point();
    let why_no_fork = match props.api {
        Api::Origin(_) => FORK_NOT_SERVED,
        _ => FORK_NOT_OTHER,
    };
    let say_why = {
        let error = error.clone();
        Callback::from(move |_: MouseEvent| error.set(Some(t(why_no_fork).into())))
    };
    let time = shown.time.get(11..19).unwrap_or_default().to_owned();
    let what = match (&*error, revision) {
        (Some(error), _) => error.clone(),
        (None, Some(_)) => {
            format!("{time} · {} · {} {}", REVISION_IS.with(&[&shown.revision.to_string()]), shown.verb, shown.object)
        }
        (None, None) => format!("{} · {}", t(NOW), REVISION_IS.with(&[&shown.revision.to_string()])),
    };
    html! {
        <div class={classes!("timeline", revision.map(|_| "past"))} role="group" aria-label={t(HISTORY)}>
            { step(at.checked_sub(1), t(CHANGE_BACK), "‹") }
            <input type="range" min="0" max={last.to_string()} value={at.to_string()} {oninput}
                aria-label={t(REVISION)} aria-valuetext={REVISION_AT.with(&[&shown.revision.to_string(), &time])} />
            { step((at + 1 < last).then_some(at + 1), t(CHANGE_ON), "›") }
            <span class="what" role="status" title={what.clone()}>{ what }</span>
            if revision.is_some() {
                <button type="button" class="small" onclick={Callback::from(move |_: MouseEvent| go(None))}>
                    <Icon name={IconName::Play} />{ t(BACK_TO_NOW) }
                </button>
                if props.keeper.is_some() {
                    <button type="button" class="small fork" title={t(FORK_SAYS)} onclick={fork(shown.revision, shown.time.clone())}>
                        <Icon name={IconName::Fork} />{ t(FORK) }
                    </button>
                } else {
                    <button type="button" class="small fork" aria-disabled="true" title={t(why_no_fork)} onclick={say_why}>
                        <Icon name={IconName::Fork} />{ t(FORK) }
                    </button>
                }
            } else if let Some(point) = undo {
                <button type="button" class="small story-button" title={t(STORY_SAYS)} onclick={props.on_story.reform(|_: MouseEvent| ())}>
                    <Icon name={IconName::Story} />{ t(WHAT_HAPPENED) }
                </button>
                if props.keeper.is_some() {
                    <button type="button" class="small undo" title={UNDO_SAYS.with(&[&point.what])} onclick={undo_to(point)}>
                        <Icon name={IconName::Undo} />{ t(UNDO) }
                    </button>
                }
            }
        </div>
    }
}
