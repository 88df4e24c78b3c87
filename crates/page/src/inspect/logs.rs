//! The logs of a pod's containers, or of all pods of a workload, as they are written.

use std::collections::VecDeque;
use std::rc::Rc;

use futures::future::{AbortHandle, abortable};
use futures::stream::{self, LocalBoxStream};
use futures::{FutureExt, StreamExt};
use web_sys::{HtmlInputElement, HtmlSelectElement};
use yew::prelude::*;

use crate::api::{Api, Call};
use crate::text::{ALL_CONTAINERS, CONTAINER, FILTER, NOTHING_LOGGED, PREVIOUS_LOG, t};
use crate::world::{Object, Snapshot, items, text};

/// How many lines are kept of all, and asked for of each.
const LINES_MAX: usize = 600;
const TAIL: usize = 200;
/// How many containers are followed at once, and how many where the browser allows six connections.
const SOURCES_MAX: usize = 16;
const SOURCES_FEW: usize = 2;
/// How many colours tell containers apart.
const COLOURS: usize = 8;

/// A container that writes a log.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    namespace: String,
    pod: String,
    container: String,
    /// Counts its lives: another one has another log.
    life: (i64, String),
}

/// The containers of the pods that an object is, or selects.
pub fn sources(object: &Object, resource: &str, snapshot: &Snapshot) -> Vec<Source> {
    if resource == "pods" {
        return of_pod(object);
    }
    let pointer = if resource == "services" { "/spec/selector" } else { "/spec/selector/matchLabels" };
    let Some(labels) = object.0.pointer(pointer).and_then(serde_json::Value::as_object) else { return Vec::new() };
    let selector: Vec<String> =
        labels.iter().map(|(label, value)| format!("{label}={}", value.as_str().unwrap_or_default())).collect();
    let selector = selector.join(",");
    let pods = snapshot.list("pods");
    let mine =
        pods.filter(|pod| pod.namespace() == object.namespace() && !selector.is_empty() && pod.matches(&selector));
    mine.flat_map(|pod| of_pod(pod)).collect()
}

fn of_pod(pod: &Object) -> Vec<Source> {
    let names = ["/spec/containers", "/spec/initContainers"].into_iter().flat_map(|list| items(&pod.0, list));
    let source = |container: &str| {
        let statuses = ["/status/containerStatuses", "/status/initContainerStatuses"];
        let status =
            statuses.into_iter().flat_map(|list| items(&pod.0, list)).find(|it| text(it, "/name") == container);
        let restarts = status.and_then(|status| status.get("restartCount")?.as_i64()).unwrap_or(0);
        let begun = status.is_some_and(|status| status.pointer("/state/waiting").is_none());
        Source {
            namespace: pod.namespace().to_owned(),
            pod: pod.name().to_owned(),
            container: container.to_owned(),
            life: (restarts, begun.to_string()),
        }
    };
    names.map(|it| source(text(it, "/name"))).collect()
}

/// What the log is given.
#[derive(Properties, PartialEq)]
pub struct LogsProps {
    /// The way to the cluster.
    pub api: Api,
    /// The containers.
    pub sources: Vec<Source>,
}

/// A line, and the container's place among the sources.
type Line = (usize, String);

/// The log.
#[component]
pub fn Logs(props: &LogsProps) -> Html {
    // The place of the one container that is looked at, counted from 1; 0 for all.
    let chosen = use_state_eq(|| 0usize);
    let previous = use_state_eq(|| false);
    let sought = use_state_eq(String::new);
    let lines = use_state(|| Rc::new(VecDeque::<Line>::new()));
    let single = props.sources.len() == 1;
    let at = if *chosen > props.sources.len() { 0 } else { *chosen };
    let most = if props.api.many_streams() { SOURCES_MAX } else { SOURCES_FEW };
    let followed: Vec<(usize, Source)> =
        props.sources.iter().cloned().enumerate().filter(|(index, _)| at == 0 || index + 1 == at).take(most).collect();
    {
        let (api, lines) = (props.api.clone(), lines.clone());
        use_effect_with((followed.clone(), *previous), move |(followed, previous)| {
            let (task, handle) = abortable(follow(api, followed.clone(), *previous, lines));
            wasm_bindgen_futures::spawn_local(async move {
                let _ = task.await;
            });
            move || AbortHandle::abort(&handle)
        });
    }
    let onchange = {
        let chosen = chosen.clone();
        Callback::from(move |event: Event| {
            if let Some(select) = event.target_dyn_into::<HtmlSelectElement>() {
                chosen.set(select.value().parse().unwrap_or(0));
            }
        })
    };
    let oninput = {
        let sought = sought.clone();
        Callback::from(move |event: InputEvent| {
            if let Some(input) = event.target_dyn_into::<HtmlInputElement>() {
                sought.set(input.value().to_lowercase());
            }
        })
    };
    let on_previous = {
        let previous = previous.clone();
        Callback::from(move |_: MouseEvent| previous.set(!*previous))
    };
    let one_pod = props.sources.windows(2).all(|pair| pair[0].pod == pair[1].pod);
    let label = |source: &Source| match (one_pod, source.pod.rsplit('-').next()) {
        (true, _) => source.container.clone(),
        (false, end) => format!("{} {}", end.unwrap_or(&source.pod), source.container),
    };
    let shown = lines.iter().filter(|(_, line)| sought.is_empty() || line.to_lowercase().contains(&*sought));
    let shown: Vec<Html> = shown
        .map(|(index, line)| {
            let from = props.sources.get(*index).filter(|_| at == 0 && !single);
            html! {
                <>
                    if let Some(source) = from {
                        <span class={format!("source owner-{}", index % COLOURS)}>{ label(source) }{ " " }</span>
                    }
                    { line.clone() }{ "\n" }
                </>
            }
        })
        .collect();
    html! {
        <>
            <div class="log-bar">
                if !single {
                    <label><span class="hidden">{ t(CONTAINER) }</span>
                        <select {onchange}>
                            <option value="0" selected={at == 0}>{ t(ALL_CONTAINERS) }</option>
                            { for props.sources.iter().enumerate().map(|(index, source)| html! {
                                <option value={(index + 1).to_string()} selected={index + 1 == at}>
                                    { if one_pod { source.container.clone() } else { format!("{} {}", source.pod, source.container) } }
                                </option>
                            }) }
                        </select>
                    </label>
                }
                <label class="sought"><span class="hidden">{ t(FILTER) }</span>
                    <input type="search" placeholder={t(FILTER)} value={(*sought).clone()} {oninput} /></label>
                if props.sources.iter().any(|source| source.life.0 > 0) {
                    <button type="button" class="small" aria-pressed={previous.to_string()} onclick={on_previous}>{ t(PREVIOUS_LOG) }</button>
                }
            </div>
            if shown.is_empty() {
                <p class="empty">{ t(NOTHING_LOGGED) }</p>
            } else {
                <pre class="log" tabindex="0">{ for shown }</pre>
            }
        </>
    }
}

async fn follow(api: Api, sources: Vec<(usize, Source)>, previous: bool, shown: UseStateHandle<Rc<VecDeque<Line>>>) {
    shown.set(Rc::default());
    let opened = sources.into_iter().map(|(index, source)| open(api.clone(), index, source, previous));
    let mut lines = stream::select_all(opened);
    let mut kept: VecDeque<Line> = VecDeque::new();
    while let Some(first) = lines.next().await {
        // What has come already is shown at once, not line by line.
        let mut next = Some(first);
        while let Some(line) = next {
            if kept.len() == LINES_MAX {
                kept.pop_front();
            }
            kept.push_back(line);
            next = lines.next().now_or_never().flatten();
        }
        shown.set(Rc::new(kept.clone()));
    }
}

/// The lines of a container's log; none where it has none.
fn open(api: Api, index: usize, source: Source, previous: bool) -> LocalBoxStream<'static, Line> {
    let Source { namespace, pod, container, .. } = source;
    let which = if previous { "previous=true" } else { "follow=true" };
    let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}/log?container={container}&{which}&tailLines={TAIL}");
    let answer = async move {
        match api.send(Call::get(path)).await {
            Ok(answer) if answer.status == 200 => answer.lines(),
            _ => stream::empty().boxed_local(),
        }
    };
    let lines = answer.flatten_stream();
    lines.map(move |line| (index, String::from_utf8_lossy(&line).into_owned())).boxed_local()
}
