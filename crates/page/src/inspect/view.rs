//! The inspector pane.

use std::rc::Rc;

use futures::StreamExt;
use futures::future::{AbortHandle, abortable};
use playground_control::Fault;
use serde_json::Value;
use yew::prelude::*;

use super::actions::Actions;
use super::edit::Edit;
use super::logs::Logs;
use super::why::Why;
use super::{Activity, yaml};
use crate::api::{Api, Call};
use crate::text::*;
use crate::trace::Trace;
use crate::ui::faults;
use crate::ui::icon::{Icon, IconName};
use crate::ui::kinds::Kind;
use crate::world::{Object, World, text};

/// What the inspector is given.
#[derive(Properties)]
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
    /// Hears what is chosen.
    pub on_select: Callback<String>,
    /// Hears what is to go wrong.
    pub on_fault: Callback<Fault>,
}

impl PartialEq for InspectorProps {
    fn eq(&self, other: &Self) -> bool {
        self.news == other.news && self.selected == other.selected && Rc::ptr_eq(&self.kinds, &other.kinds)
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Tab {
    Overview,
    Yaml,
    Events,
    Logs,
}

/// The pane.
#[component]
pub fn Inspector(props: &InspectorProps) -> Html {
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
        let title = if key.is_empty() { t(ACTIVITY) } else { key };
        return html! {
            <section class="inspector" aria-label={t(INSPECTOR)}>
                <header><h2>{ title }</h2>{ close(props, !key.is_empty()) }</header>
                if key.is_empty() {
                    <Activity trace={props.trace.clone()} news={props.news} />
                } else {
                    <p class="empty">{ t(NOT_THERE) }</p>
                }
            </section>
        };
    };
    let mut tabs = vec![(Tab::Overview, t(OVERVIEW)), (Tab::Yaml, "YAML"), (Tab::Events, t(EVENTS))];
    if resource == "pods" {
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
                { close(props, true) }
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
                            { overview(props, &object) }
                        </>
                    },
                    Tab::Yaml => {
                        let lines = yaml::lines(&without_managed_fields(&object, &kind_name, kind.as_ref()));
                        match kind {
                            Some(kind) => html! {
                                <Edit key={props.selected.to_string()} api={props.api.clone()} {kind} object_key={object.key()} shown={lines} />
                            },
                            None => yaml::show(&lines),
                        }
                    }
                    Tab::Logs => html! { <Logs api={props.api.clone()} pod={object.clone()} /> },
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

fn close(props: &InspectorProps, shown: bool) -> Html {
    let onclick = props.on_select.reform(|_: MouseEvent| String::new());
    if !shown {
        return html! {};
    }
    html! { <button type="button" class="icon" aria-label={t(CLOSE)} title={t(CLOSE)} {onclick}><Icon name={IconName::Close} /></button> }
}

fn overview(props: &InspectorProps, object: &Object) -> Html {
    let labels = object.0.pointer("/metadata/labels").and_then(Value::as_object);
    let owners = object.items("/metadata/ownerReferences");
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
            if !owners.is_empty() {
                <h3>{ t(OWNED_BY) }</h3>
                <ul class="links">{ for owners.iter().map(|owner| {
                    let (kind, name) = (text(owner, "/kind"), text(owner, "/name"));
                    let found = props.kinds.iter().find(|known| known.kind == kind);
                    let label = format!("{kind} {name}");
                    let to = found.map(|known| match known.namespaced {
                        true => format!("{}/{}/{name}", known.resource, object.namespace()),
                        false => format!("{}/{name}", known.resource),
                    });
                    html! { <li>{ to.map_or_else(|| html! { { label.clone() } }, |to| link(props, to, &label)) }</li> }
                }) }</ul>
            }
            { dependants(props, object) }
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

/// What an object owns, among what the page follows, and the pods of a node.
fn dependants(props: &InspectorProps, object: &Object) -> Html {
    let uid = object.text("/metadata/uid");
    let on_node =
        |other: &Object| props.selected.starts_with("nodes/") && other.text("/spec/nodeName") == object.name();
    let owned = |other: &Object| {
        other.items("/metadata/ownerReferences").iter().any(|owner| text(owner, "/uid") == uid) || on_node(other)
    };
    let snapshot = props.world.snapshot();
    let found = ["replicasets", "pods", "endpointslices"].into_iter().flat_map(|resource| {
        let objects = snapshot.list(resource).filter(|other| owned(other));
        objects.map(move |other| (format!("{resource}/{}", other.key()), other.name().to_owned()))
    });
    let found: Vec<_> = found.collect();
    if found.is_empty() {
        return html! {};
    }
    html! {
        <>
            <h3>{ if props.selected.starts_with("nodes/") { t(PODS) } else { t(OWNS) } }</h3>
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

/// What a person wants to read: kind and version first, without the bookkeeping of field owners.
fn without_managed_fields(object: &Object, kind: &str, known: Option<&Kind>) -> Value {
    let mut value = object.0.clone();
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    // Items of a list come without these two.
    if let (Some(map), Some(known)) = (value.as_object_mut(), known) {
        let version = known.base.trim_start_matches("/apis/").trim_start_matches("/api/");
        map.entry("apiVersion").or_insert_with(|| version.into());
        map.entry("kind").or_insert_with(|| kind.into());
    }
    value
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
