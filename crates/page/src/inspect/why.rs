//! The answer to "why?", above everything else there is to read about an object.

use std::rc::Rc;

use serde_json::Value;
use yew::prelude::*;

use super::findings::{Sign, findings};
use crate::api::{Api, Call};
use crate::text::{NODE, PLUGINS, SCORE, WHY, WHY_NOWHERE, WHY_ON, t};
use crate::ui::icon::{Icon, IconName};
use crate::world::{Object, World, items, text};

/// What the answer is made from.
#[derive(Properties)]
pub struct WhyProps {
    /// The way to the cluster.
    pub api: Api,
    /// The cluster's objects.
    pub world: Rc<World>,
    /// Counts up when there is news.
    pub news: u32,
    /// The object's resource.
    pub resource: AttrValue,
    /// The object.
    pub object: Rc<Object>,
    /// Hears what is chosen.
    pub on_select: Callback<String>,
}

impl PartialEq for WhyProps {
    fn eq(&self, other: &Self) -> bool {
        self.news == other.news && self.resource == other.resource && Rc::ptr_eq(&self.object, &other.object)
    }
}

/// The answer.
#[component]
pub fn Why(props: &WhyProps) -> Html {
    let decision = use_state(|| None::<Value>);
    {
        let (api, decision) = (props.api.clone(), decision.clone());
        let object = props.object.clone();
        let version = object.text("/metadata/resourceVersion").to_owned();
        use_effect_with((props.resource.clone(), object.key(), version), move |(resource, ..)| {
            decision.set(None);
            if *resource != "pods" {
                return;
            }
            wasm_bindgen_futures::spawn_local(async move {
                let path = format!("/playground/v1/decisions/{}", object.key());
                decision.set(api.json(Call::get(path)).await.ok());
            });
        });
    }
    let found = findings(&props.resource, &props.object, &props.world.snapshot());
    if found.is_empty() && decision.is_none() {
        return html! {};
    }
    html! {
        <section class="why" aria-label={t(WHY)}>
            <ul>{ for found.into_iter().map(|finding| {
                let (class, icon) = match finding.sign {
                    Sign::Good => ("good", IconName::Check),
                    Sign::Bad => ("bad", IconName::Close),
                    Sign::Next => ("next", IconName::Play),
                };
                html! {
                    <li {class}>
                        <Icon name={icon} />
                        if finding.link.is_empty() {
                            <span>{ finding.text }</span>
                        } else {
                            <button type="button" class="link" onclick={props.on_select.reform(move |_: MouseEvent| finding.link.clone())}>
                                { finding.text }
                            </button>
                        }
                    </li>
                }
            }) }</ul>
            if let Some(decision) = &*decision { { nodes(decision) } }
        </section>
    }
}

/// What the scheduler thought of each node.
fn nodes(decision: &Value) -> Html {
    let chosen = text(decision, "/node");
    let title = if chosen.is_empty() { t(WHY_NOWHERE).to_owned() } else { WHY_ON.with(&[chosen]) };
    let verdicts = decision.get("verdicts").and_then(Value::as_object);
    let rows = verdicts.into_iter().flatten().map(|(node, verdict)| {
        let fits = text(verdict, "/verdict") == "Feasible";
        let words = if fits {
            let scores = verdict.get("scores").and_then(Value::as_object);
            let scores = scores.into_iter().flatten().map(|(plugin, score)| format!("{plugin} {score}"));
            scores.collect::<Vec<_>>().join(", ")
        } else {
            let reasons = items(verdict, "/reasons").iter().filter_map(Value::as_str);
            format!("{}: {}", text(verdict, "/plugin"), reasons.collect::<Vec<_>>().join(", "))
        };
        let total = verdict.get("total").map_or_else(|| "–".to_owned(), Value::to_string);
        html! {
            <tr class={if node == chosen { "here" } else if fits { "good" } else { "bad" }}>
                <th scope="row">{ node.clone() }</th><td>{ total }</td><td>{ words }</td>
            </tr>
        }
    });
    html! {
        <details open={chosen.is_empty()}>
            <summary>{ title }</summary>
            <table>
                <thead><tr><th scope="col">{ t(NODE) }</th><th scope="col">{ t(SCORE) }</th><th scope="col">{ t(PLUGINS) }</th></tr></thead>
                <tbody>{ for rows }</tbody>
            </table>
        </details>
    }
}
