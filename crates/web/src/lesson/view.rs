//! A lesson as a pane: a step at a time, its commands, its checks.

use std::collections::BTreeSet;
use std::rc::Rc;

use gloo::storage::{LocalStorage, Storage};
use yew::prelude::*;

use super::{Block, Inline, Lesson};
use crate::trace::Trace;
use crate::ui::icon::{Icon, IconName};
use crate::world::{Object, Snapshot, World};

/// What the pane is given.
#[derive(Properties)]
pub struct LessonProps {
    /// The lesson's name, under which progress is kept.
    pub id: AttrValue,
    /// The lesson.
    pub lesson: Rc<Lesson>,
    /// The cluster's objects.
    pub world: Rc<World>,
    /// What has passed.
    pub trace: Rc<Trace>,
    /// Counts up when world or trace have news.
    pub news: u32,
    /// Hears a command line to type into the terminal.
    pub on_run: Callback<String>,
}

impl PartialEq for LessonProps {
    fn eq(&self, other: &Self) -> bool {
        self.news == other.news && self.id == other.id && Rc::ptr_eq(&self.lesson, &other.lesson)
    }
}

/// Which checks have been true, as (step, check).
type Done = BTreeSet<(usize, usize)>;

/// The pane.
#[component]
pub fn LessonPane(props: &LessonProps) -> Html {
    let storage_key = format!("lesson:{}", props.id);
    let stored = storage_key.clone();
    let at = use_state_eq(|| 0usize);
    let done = use_state_eq(move || LocalStorage::get::<Done>(&stored).unwrap_or_default());
    let steps = &props.lesson.steps;
    {
        let (done, world, trace, lesson) =
            (done.clone(), props.world.clone(), props.trace.clone(), props.lesson.clone());
        use_effect_with((props.news, *at), move |(_, at)| {
            let mut now = (*done).clone();
            // What was read so far counts; what comes later is not given away by an accident.
            for (step, index, check) in checks(&lesson).filter(|(step, ..)| step <= at) {
                if !now.contains(&(step, index)) && check.holds(&world.snapshot(), &trace) {
                    now.insert((step, index));
                }
            }
            if now != *done {
                let _ = LocalStorage::set(&storage_key, &now);
                done.set(now);
            }
        });
    }
    let Some(step) = steps.get(*at) else { return html! {} };
    let step_done = |index: usize| (0..steps[index].checks.len()).all(|check| done.contains(&(index, check)));
    let go = |to: usize| {
        let at = at.clone();
        Callback::from(move |_: MouseEvent| at.set(to))
    };
    let restart = {
        let (at, done, key) = (at.clone(), done.clone(), format!("lesson:{}", props.id));
        Callback::from(move |_: MouseEvent| {
            LocalStorage::delete(&key);
            done.set(Done::new());
            at.set(0);
        })
    };
    let last = *at + 1 == steps.len();
    let complete = (0..steps.len()).all(step_done);
    let snapshot = props.world.snapshot();
    let show = Show { snapshot: &snapshot, on_run: &props.on_run };
    html! {
        <article class="lesson" aria-label={props.lesson.title.clone()}>
            <header>
                <p class="eyebrow">{ format!("Lesson · {} minutes", props.lesson.minutes) }</p>
                <h1>{ &props.lesson.title }</h1>
                if *at == 0 { <p class="lead">{ &props.lesson.summary }</p> }
                <ol class="steps" aria-label="Steps">
                    { for steps.iter().enumerate().map(|(index, step)| {
                        let class = classes!(
                            (index == *at).then_some("here"),
                            (step_done(index) && (index < *at || !step.checks.is_empty())).then_some("done"),
                        );
                        let name = if step.title.is_empty() { "Start" } else { &step.title };
                        html! {
                            <li {class}>
                                <button type="button" onclick={go(index)} title={name.to_owned()}
                                    aria-label={format!("Step {}: {name}", index + 1)}
                                    aria-current={(index == *at).then_some("step")} />
                            </li>
                        }
                    }) }
                </ol>
            </header>
            <div class="step" key={*at}>
                if !step.title.is_empty() { <h2>{ &step.title }</h2> }
                { for step.blocks.iter().map(|block| show.block(block)) }
                if !step.checks.is_empty() {
                    <ul class="checks" aria-label="Checks" aria-live="polite">
                        { for step.checks.iter().enumerate().map(|(index, check)| {
                            let is_done = done.contains(&(*at, index));
                            html! {
                                <li class={classes!(is_done.then_some("done"))}>
                                    <Icon name={if is_done { IconName::Check } else { IconName::Circle }} />
                                    <span>{ &check.text }<span class="hidden">{ if is_done { ": done" } else { ": not yet" } }</span></span>
                                </li>
                            }
                        }) }
                    </ul>
                }
                if last && complete {
                    <p class="complete" role="status"><Icon name={IconName::Check} />{ "You have completed this lesson." }</p>
                }
            </div>
            <footer>
                <button type="button" class="quiet" disabled={*at == 0} onclick={go(at.saturating_sub(1))}>{ "Back" }</button>
                <button type="button" class="quiet" onclick={restart}>{ "Start over" }</button>
                <button type="button" class={classes!("primary", (!step_done(*at)).then_some("later"))} disabled={last} onclick={go(*at + 1)}>
                    { "Next" }
                </button>
            </footer>
        </article>
    }
}

fn checks(lesson: &Lesson) -> impl Iterator<Item = (usize, usize, &super::Check)> {
    let steps = lesson.steps.iter().enumerate();
    steps.flat_map(|(step, of)| of.checks.iter().enumerate().map(move |(index, check)| (step, index, check)))
}

/// How blocks become elements.
struct Show<'a> {
    snapshot: &'a Snapshot,
    on_run: &'a Callback<String>,
}

impl Show<'_> {
    fn block(&self, block: &Block) -> Html {
        match block {
            Block::Paragraph(words) => html! { <p>{ inlines(words) }</p> },
            Block::Heading(words) => html! { <h3>{ inlines(words) }</h3> },
            Block::Quote(blocks) => {
                html! { <aside class="note">{ for blocks.iter().map(|block| self.block(block)) }</aside> }
            }
            Block::Code(text) => html! { <pre tabindex="0"><code>{ text }</code></pre> },
            Block::List(ordered, items) => {
                let items =
                    items.iter().map(|item| html! { <li>{ for item.iter().map(|block| self.block(block)) }</li> });
                if *ordered {
                    html! { <ol>{ for items }</ol> }
                } else {
                    html! { <ul>{ for items }</ul> }
                }
            }
            Block::Run(lines) => html! {
                <div class="run">{ for lines.iter().map(|line| self.command(&filled(line, self.snapshot))) }</div>
            },
        }
    }

    fn command(&self, line: &str) -> Html {
        let (on_run, typed) = (self.on_run.clone(), line.to_owned());
        let onclick = Callback::from(move |_: MouseEvent| on_run.emit(typed.clone()));
        html! {
            <button type="button" class="command" {onclick} title="Type this into the terminal">
                <code>{ line }</code><Icon name={IconName::Play} />
            </button>
        }
    }
}

/// The command line with names in place of `{resource:labels}`. Where there is no such object yet,
/// the place stays as it is.
fn filled(line: &str, snapshot: &Snapshot) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let found = after.split_once('}').and_then(|(place, after)| {
            let (resource, labels) = place.split_once(':')?;
            let fits = |object: &&Rc<Object>| object.matches(labels) && !object.terminating();
            let ready = |object: &&Rc<Object>| fits(object) && object.condition("Ready") == "True";
            let object = snapshot.list(resource).find(ready).or_else(|| snapshot.list(resource).find(fits))?;
            Some((object.name().to_owned(), after))
        });
        match found {
            Some((name, after)) => {
                out.push_str(&name);
                rest = after;
            }
            None => {
                out.push('{');
                rest = after;
            }
        }
    }
    out + rest
}

fn inlines(words: &[Inline]) -> Html {
    let parts = words.iter().map(|word| match word {
        Inline::Text(text) => html! { <>{ text }</> },
        Inline::Code(code) => html! { <code>{ code }</code> },
        Inline::Strong(parts) => html! { <strong>{ inlines(parts) }</strong> },
        Inline::Emphasis(parts) => html! { <em>{ inlines(parts) }</em> },
        Inline::Link(href, parts) => {
            let safe = href.starts_with("https://") || href.starts_with('#');
            html! { <a href={safe.then(|| href.clone())} target="_blank" rel="noreferrer">{ inlines(parts) }</a> }
        }
    });
    html! { <>{ for parts }</> }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::filled;
    use crate::world::{Object, Snapshot};

    #[wasm_bindgen_test]
    fn places_in_commands_are_filled() {
        let mut snapshot = Snapshot::default();
        assert_eq!(
            filled("kubectl delete pod {pods:app=web} -o json{x", &snapshot),
            "kubectl delete pod {pods:app=web} -o json{x"
        );
        let pod = json!({"metadata": {"namespace": "default", "name": "web-1", "labels": {"app": "web"}}});
        snapshot.put("pods", Object(pod));
        assert_eq!(filled("delete {pods:app=web} -o {.x}", &snapshot), "delete web-1 -o {.x}");
    }
}
