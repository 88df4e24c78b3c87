//! The inspector pane.

use std::rc::Rc;

use futures::StreamExt;
use futures::future::{AbortHandle, abortable};
use playground_control::Fault;
use serde_json::Value;
use yew::prelude::*;

use super::actions::Actions;
use super::activity::Activity;
use super::edit::{self, Edit};
use super::family::family;
use super::logs::{Logs, sources};
use super::why::Why;
use super::yaml;
use crate::api::{Api, Call};
use crate::story::{Spot, Story};
use crate::text::*;
use crate::trace::Trace;
use crate::ui::faults;
use crate::ui::icon::{Icon, IconName};
use crate::ui::kinds::Kind;
use crate::world::{Object, World, text};

/// What the inspector is given.
#[derive(Clone, Properties)]
pub struct InspectorProps {
    /// The way to the cluster.
    pub api: Api,
    /// The cluster's objects.
    pub world: Rc<World>,
    /// What has passed.
    pub trace: Rc<Trace>,
    /// Counts up when there is news.
    pub news: u32,
    /// The cluster's kinds.
    pub kinds: Rc<Vec<Kind>>,
    /// `resource/key` of the chosen object, empty for none.
    pub selected: AttrValue,
    /// Draws a chosen object ([`Chosen`]), once that code is there.
    pub chosen: Option<fn(InspectorProps) -> Html>,
    /// Hears what is chosen.
    pub on_select: Callback<String>,
    /// Hears what is to go wrong.
    pub on_fault: Callback<Fault>,
    /// Hears a command line to type into the terminal.
    pub on_run: Callback<String>,
    /// Counts the wishes to know what happened last.
    pub told: u32,
    /// Hears where the map's light is to be.
    pub on_spot: Callback<Option<Spot>>,
}

impl PartialEq for InspectorProps {
    fn eq(&self, other: &Self) -> bool {
        self.news == other.news
            && self.told == other.told
            && self.selected == other.selected
            && self.chosen.is_some() == other.chosen.is_some()
            && Rc::ptr_eq(&self.kinds, &other.kinds)
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Tab {
    Overview,
    Yaml,
    Events,
    Logs,
}

/// The pane: what is chosen, over what happened, which goes on playing below.
#[component]
pub fn Inspector(props: &InspectorProps) -> Html {
    let raw = use_state_eq(|| false);
    let chosen = !props.selected.is_empty();
    let tab = |label: Text, which: bool| {
        let (raw, here) = (raw.clone(), *raw == which);
        let onclick = Callback::from(move |_: MouseEvent| raw.set(which));
        html! { <button type="button" role="tab" aria-selected={here.to_string()} {onclick}>{ t(label) }</button> }
    };
    html! {
        <>
            if chosen { { match props.chosen {
                Some(draw) => draw(props.clone()),
                None => html! {
                    <section class="inspector" aria-label={t(INSPECTOR)} aria-busy="true"><header>{ close(props) }</header></section>
                },
            } } }
            <section class="inspector" aria-label={t(WHAT_HAPPENED)} hidden={chosen}>
                <div class="tabs" role="tablist" aria-label={t(INSPECTOR)}>{ tab(WHAT_HAPPENED, false) }{ tab(ACTIVITY, true) }</div>
                <div class="happened" role="tabpanel" hidden={*raw}>
                    <Story api={props.api.clone()} world={props.world.clone()} trace={props.trace.clone()} shown={!chosen && !*raw}
                        kinds={props.kinds.clone()} wished={props.told} on_spot={props.on_spot.clone()} on_select={props.on_select.clone()} />
                </div>
                if *raw && !chosen { <Activity trace={props.trace.clone()} news={props.news} /> }
            </section>
        </>
    }
}

/// What is chosen.
#[component]
pub fn Chosen(props: &InspectorProps) -> Html {
    let tab = use_state_eq(|| Tab::Overview);
    let fetched = use_state(|| None::<Rc<Object>>);
    let (resource, key) = props.selected.split_once('/').unwrap_or_default();
    let live = props.world.snapshot().get(resource, key).cloned();
    let past = props.world.revision().is_some();
    let kind = props.kinds.iter().find(|kind| kind.resource == resource).cloned();
    {
        // What the page does not follow anyway is watched for as long as it is looked at.
        let (api, fetched) = (props.api.clone(), fetched.clone());
        let path = kind.as_ref().filter(|_| live.is_none() && !past).map(|kind| kind.single_path(key));
        use_effect_with(path, move |path| {
            fetched.set(None);
            let (task, handle) = abortable(watch_one(api, path.clone().unwrap_or_default(), fetched));
            wasm_bindgen_futures::spawn_local(async move {
                let _ = task.await;
            });
            move || AbortHandle::abort(&handle)
        });
    }
    let Some(object) = live.or_else(|| (*fetched).clone().filter(|_| !past)) else {
        return html! {
            <section class="inspector" aria-label={t(INSPECTOR)}>
                <header><h2>{ key }</h2>{ close(props) }</header>
                <p class="empty">{ t(NOT_THERE) }</p>
            </section>
        };
    };
    let mut tabs = vec![(Tab::Overview, t(OVERVIEW)), (Tab::Yaml, "YAML"), (Tab::Events, t(EVENTS))];
    let logs = if past { Vec::new() } else { sources(&object, resource, &props.world.live()) };
    if !logs.is_empty() {
        tabs.push((Tab::Logs, t(LOGS)));
    }
    let shown = if tabs.iter().any(|(which, _)| *which == *tab) { *tab } else { Tab::Overview };
    let kind_name = match (object.text("/kind"), &kind) {
        ("", Some(kind)) => kind.kind.clone(),
        (kind, _) => kind.to_owned(),
    };
    html! {
        <section class="inspector" aria-label={t(INSPECTOR)}>
            <header>
                <div>
                    <p class="eyebrow">{ kind_name.clone() }
                        if !object.namespace().is_empty() { { t(IN_NAMESPACE) }{ object.namespace().to_owned() } }
                    </p>
                    <h2>{ object.name().to_owned() }</h2>
                </div>
                { close(props) }
            </header>
            <div class="tabs" role="tablist">
                { for tabs.into_iter().map(|(which, name)| {
                    let tab = tab.clone();
                    let here = shown == which;
                    let onclick = Callback::from(move |_: MouseEvent| tab.set(which));
                    html! { <button type="button" role="tab" aria-selected={here.to_string()} {onclick}>{ name }</button> }
                }) }
            </div>
            <div class="inspector-body" role="tabpanel">
                { match shown {
                    Tab::Overview => html! {
                        <>
                            <Why api={props.api.clone()} world={props.world.clone()} news={props.news}
                                resource={resource.to_owned()} object={object.clone()} on_select={props.on_select.clone()} />
                            if let Some(kind) = &kind {
                                <Actions api={props.api.clone()} world={props.world.clone()} kind={kind.clone()} object={object.clone()} />
                            }
                            { breakage(props, resource, &object, past) }
                            { overview(props, resource, &object) }
                        </>
                    },
                    Tab::Yaml => match kind {
                        Some(kind) => html! { <Edit key={props.selected.to_string()} api={props.api.clone()} {kind} {object} {past} /> },
                        None => yaml::show(&edit::lines(&object, None)),
                    },
                    Tab::Logs => html! { <Logs key={props.selected.to_string()} api={props.api.clone()} sources={logs} /> },
                    Tab::Events => events(props, &object, &kind_name),
                } }
            </div>
        </section>
    }
}

/// What can go wrong with the object.
fn breakage(props: &InspectorProps, resource: &str, object: &Object, past: bool) -> Html {
    let faults = faults::of(resource, object);
    if faults.is_empty() || past {
        return html! {};
    }
    html! {
        <details class="break"><summary>{ t(BREAK_IT) }</summary>
            <div class="actions">{ for faults.into_iter().map(|(label, fault)| {
                let onclick = props.on_fault.reform(move |_: MouseEvent| fault.clone());
                html! { <button type="button" class="small" {onclick}>{ label }</button> }
            }) }</div>
        </details>
    }
}

/// Keeps an object current in a state, until aborted.
async fn watch_one(api: Api, path: String, state: UseStateHandle<Option<Rc<Object>>>) {
    if path.is_empty() {
        return;
    }
    let Ok(answer) = api.send(Call::get(format!("{path}&watch=true"))).await else { return };
    let mut lines = answer.lines();
    while let Some(line) = lines.next().await {
        let Ok(mut event) = serde_json::from_slice::<Value>(&line) else { return };
        match text(&event, "/type") {
            "DELETED" => state.set(None),
            "ADDED" | "MODIFIED" => {
                state.set(event.get_mut("object").map(|object| Rc::new(Object(object.take()))));
            }
            _ => {}
        }
    }
}

fn close(props: &InspectorProps) -> Html {
    let onclick = props.on_select.reform(|_: MouseEvent| String::new());
    html! { <button type="button" class="icon" aria-label={t(CLOSE)} title={t(CLOSE)} {onclick}><Icon name={IconName::Close} /></button> }
}

fn overview(props: &InspectorProps, resource: &str, object: &Object) -> Html {
    let labels = object.0.pointer("/metadata/labels").and_then(Value::as_object);
    let conditions = object.items("/status/conditions");
    let containers = object.items("/status/containerStatuses");
    let facts = [
        (CREATED, object.text("/metadata/creationTimestamp").to_owned()),
        (DELETING_SINCE, object.text("/metadata/deletionTimestamp").to_owned()),
        (PHASE, object.text("/status/phase").to_owned()),
        (NODE, object.text("/spec/nodeName").to_owned()),
        (POD_IP, object.text("/status/podIP").to_owned()),
        (TYPE, object.text("/spec/type").to_owned()),
        (CLUSTER_IP, object.text("/spec/clusterIP").to_owned()),
        (REPLICAS, number(object, "/spec/replicas")),
        (READY_REPLICAS, number(object, "/status/readyReplicas")),
        (REVISION, object.text("/metadata/resourceVersion").to_owned()),
    ];
    html! {
        <>
            <dl class="facts">
                { for facts.into_iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| {
                    let node = (name == NODE).then(|| link(props, format!("nodes/{value}"), &value));
                    html! { <><dt>{ t(name) }</dt><dd>{ node.unwrap_or_else(|| html! { { value } }) }</dd></> }
                }) }
            </dl>
            if resource == "nodes" {
                { on_node(props, object) }
            } else {
                { family(object, resource, &props.world.snapshot(), &props.kinds, &props.on_select) }
            }
            if !containers.is_empty() {
                <h3>{ t(CONTAINERS) }</h3>
                <ul class="conditions">{ for containers.iter().map(|status| {
                    let state = status.get("state").and_then(Value::as_object).and_then(|state| state.iter().next());
                    let (state, detail) = state.map_or(("waiting", &Value::Null), |(state, detail)| (state.as_str(), detail));
                    let reason = text(detail, "/reason");
                    html! {
                        <li class={if state == "running" { "true" } else { "false" }}>
                            <strong>{ text(status, "/name").to_owned() }</strong>
                            <span>{ state.to_owned() }{ if reason.is_empty() { String::new() } else { format!(", {reason}") } }
                                { match status.get("restartCount").and_then(Value::as_i64) {
                                    Some(count) if count > 0 => format!(" · {}", RESTARTS.with(&[&count.to_string()])),
                                    _ => String::new(),
                                } }
                            </span>
                            <code>{ text(status, "/image").to_owned() }</code>
                            if state == "running" { { shell(props, object, text(status, "/name")) } }
                        </li>
                    }
                }) }</ul>
            }
            if !conditions.is_empty() {
                <h3>{ t(CONDITIONS) }</h3>
                <ul class="conditions">{ for conditions.iter().map(|condition| {
                    let status = text(condition, "/status");
                    let why = [text(condition, "/reason"), text(condition, "/message")];
                    html! {
                        <li class={standing(text(condition, "/type"), status)}>
                            <strong>{ text(condition, "/type").to_owned() }</strong><span>{ status.to_owned() }</span>
                            <small>{ why.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(": ") }</small>
                        </li>
                    }
                }) }</ul>
            }
            if let Some(labels) = labels {
                <h3>{ t(LABELS) }</h3>
                <ul class="labels">{ for labels.iter().map(|(label, value)| html! {
                    <li><code>{ format!("{label}={}", value.as_str().unwrap_or_default()) }</code></li>
                }) }</ul>
            }
        </>
    }
}

/// A button that opens a shell in a container, in the terminal.
fn shell(props: &InspectorProps, pod: &Object, container: &str) -> Html {
    let line = format!("kubectl exec -it {} -n {} -c {container} -- sh", pod.name(), pod.namespace());
    let onclick = props.on_run.reform(move |_: MouseEvent| line.clone());
    html! { <button type="button" class="small" {onclick}>{ t(SHELL) }</button> }
}

/// The pods of a node.
fn on_node(props: &InspectorProps, node: &Object) -> Html {
    let snapshot = props.world.snapshot();
    let found = snapshot.list("pods").filter(|pod| pod.text("/spec/nodeName") == node.name());
    let found: Vec<_> = found.map(|pod| (format!("pods/{}", pod.key()), pod.name().to_owned())).collect();
    if found.is_empty() {
        return html! {};
    }
    html! {
        <>
            <h3>{ t(PODS) }</h3>
            <ul class="links">{ for found.into_iter().map(|(id, name)| html! { <li>{ link(props, id, &name) }</li> }) }</ul>
        </>
    }
}

fn number(object: &Object, pointer: &str) -> String {
    object.0.pointer(pointer).and_then(Value::as_i64).map_or_else(String::new, |number| number.to_string())
}

fn link(props: &InspectorProps, to: String, label: &str) -> Html {
    let onclick = props.on_select.reform(move |_: MouseEvent| to.clone());
    html! { <button type="button" class="link" {onclick}>{ label.to_owned() }</button> }
}

fn events(props: &InspectorProps, object: &Object, kind: &str) -> Html {
    let snapshot = props.world.snapshot();
    let about = |event: &&Rc<Object>| {
        event.text("/involvedObject/name") == object.name()
            && event.text("/involvedObject/kind") == kind
            && event.text("/involvedObject/namespace") == object.namespace()
    };
    let mut found: Vec<_> = snapshot.list("events").filter(about).collect();
    found.sort_by_key(|event| event.text("/lastTimestamp").to_owned());
    if found.is_empty() {
        return html! { <p class="empty">{ t(NO_EVENTS) }</p> };
    }
    html! {
        <ol class="events">{ for found.into_iter().rev().map(|event| {
            let time = event.text("/lastTimestamp");
            html! {
                <li class={event.text("/type").to_lowercase()}>
                    <strong>{ event.text("/reason").to_owned() }</strong>
                    <time>{ time.get(11..19).unwrap_or(time).to_owned() }</time>
                    <p>{ event.text("/message").to_owned() }</p>
                    <small>{ event.text("/source/component").to_owned() }
                        { match event.number("/count") { 0 | 1 => String::new(), count => format!(" · {}", TIMES.with(&[&count.to_string()])) } }
                    </small>
                </li>
            }
        }) }</ol>
    }
}

/// How a condition looks: as one that is `true`, which is well, or `false`. Some types are of what should not be.
fn standing(kind: &str, status: &str) -> &'static str {
    const ALARMS: [&str; 6] =
        ["NetworkUnavailable", "ReplicaFailure", "DisruptionTarget", "Failed", "FailureTarget", "ScalingLimited"];
    let alarm = kind.ends_with("Pressure") || ALARMS.contains(&kind);
    match status {
        "True" => ["true", "false"][usize::from(alarm)],
        "False" => ["false", "true"][usize::from(alarm)],
        _ => "unknown",
    }
}
