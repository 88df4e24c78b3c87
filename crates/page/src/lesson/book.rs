//! The catalogue of courses, or the lesson that was chosen from it.

use std::rc::Rc;

use playground_lesson::{Index, Lesson};
use yew::prelude::*;

use super::load;
use super::progress::{self, Progress};
use super::view::LessonPane;
use crate::api::{Api, Call};
use crate::text::{ALL_LESSONS, LESSON_COMES, LESSONS, MIN, t};
use crate::trace::Trace;
use crate::ui::icon::{Icon, IconName};
use crate::world::World;

/// The lesson of a first visit.
const FIRST: &str = "hello";

/// What the book is given.
#[derive(Properties)]
pub struct BookProps {
    /// The way to the cluster.
    pub api: Api,
    /// The cluster's objects.
    pub world: Rc<World>,
    /// What has passed.
    pub trace: Rc<Trace>,
    /// Counts up when world or trace have news.
    pub news: u32,
    /// Hears a command line to type into the terminal.
    pub on_run: Callback<String>,
}

impl PartialEq for BookProps {
    fn eq(&self, other: &Self) -> bool {
        self.news == other.news
    }
}

/// The book.
#[component]
pub fn Book(props: &BookProps) -> Html {
    // What another tab has reached is in the catalogue too.
    progress::use_other_tabs();
    let open = use_state_eq(|| progress::opened().unwrap_or_else(|| Some(FIRST.into())));
    let index = use_state(|| None::<Result<Rc<Index>, String>>);
    let lesson = use_state(|| None::<(String, Result<Rc<Lesson>, String>)>);
    {
        let index = index.clone();
        use_effect_with((), move |()| {
            wasm_bindgen_futures::spawn_local(async move { index.set(Some(load::index().await.map(Rc::new))) });
        });
    }
    {
        let (lesson, api) = (lesson.clone(), props.api.clone());
        use_effect_with((*open).clone(), move |open| {
            let Some(id) = open.clone() else { return progress::open(None) };
            wasm_bindgen_futures::spawn_local(async move {
                let loaded = load::lesson(&id).await.map(Rc::new);
                if let Ok(lesson) = &loaded {
                    // An address may name one that there is not.
                    progress::open(Some(&id));
                    put_files(&api, lesson).await;
                }
                lesson.set(Some((id, loaded)));
            });
        });
    }
    let on_open = {
        let open = open.clone();
        Callback::from(move |id: Option<String>| open.set(id))
    };
    match ((*open).clone(), &*lesson, &*index) {
        (Some(id), Some((loaded, Ok(lesson))), _) if *loaded == id => {
            let next = index.as_ref().and_then(|index| after(index.as_ref().ok()?, &id));
            html! {
                <LessonPane key={id.clone()} id={id.clone()} lesson={lesson.clone()} api={props.api.clone()}
                    world={props.world.clone()} trace={props.trace.clone()} news={props.news}
                    on_run={props.on_run.clone()} {next} {on_open} />
            }
        }
        (Some(id), Some((loaded, Err(error))), _) if *loaded == id => html! {
            <div class="lesson"><div class="step">
                <p role="alert">{ error }</p>
                <button type="button" class="primary" onclick={on_open.reform(|_: MouseEvent| None)}>{ t(ALL_LESSONS) }</button>
            </div></div>
        },
        (None, _, Some(Ok(index))) => catalogue(index, &on_open),
        (None, _, Some(Err(error))) => html! { <p class="empty" role="alert">{ error }</p> },
        _ => html! { <p class="empty">{ t(LESSON_COMES) }</p> },
    }
}

/// Puts a lesson's files on the learner's computer.
async fn put_files(api: &Api, lesson: &Lesson) {
    for (name, text) in lesson.files() {
        let mut call = Call::get(format!("/playground/v1/files/{name}"));
        call.method = "PUT".into();
        call.body = text.to_owned().into();
        // A host without a computer for learners shows the lesson nonetheless.
        let _ = api.send(call).await;
    }
}

/// The name of the lesson that follows one.
fn after(index: &Index, id: &str) -> Option<String> {
    let mut all = index.courses.iter().flat_map(|course| &course.lessons);
    all.find(|entry| entry.id == id)?;
    all.next().map(|entry| entry.id.clone())
}

fn catalogue(index: &Index, on_open: &Callback<Option<String>>) -> Html {
    html! {
        <nav class="catalogue" aria-label={t(LESSONS)}>
            <h1>{ t(LESSONS) }</h1>
            { for index.courses.iter().map(|course| html! {
                <section>
                    <h2>{ &course.title }</h2>
                    <p>{ &course.summary }</p>
                    <ul>{ for course.lessons.iter().map(|entry| {
                        let id = entry.id.clone();
                        let onclick = on_open.reform(move |_: MouseEvent| Some(id.clone()));
                        let complete = Progress::of(&entry.id).complete;
                        html! {
                            <li><button type="button" {onclick} title={entry.summary.clone()} class={classes!(complete.then_some("done"))}>
                                <Icon name={if complete { IconName::Check } else { IconName::Circle }} />
                                <span>{ &entry.title }</span>
                                <small>{ MIN.with(&[&entry.minutes.to_string()]) }</small>
                            </button></li>
                        }
                    }) }</ul>
                </section>
            }) }
        </nav>
    }
}
