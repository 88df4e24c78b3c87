//! The log of a container, as it is written.

use std::collections::VecDeque;
use std::rc::Rc;

use futures::StreamExt;
use futures::future::{AbortHandle, abortable};
use web_sys::HtmlSelectElement;
use yew::prelude::*;

use crate::api::{Api, Call};
use crate::text::{CONTAINER, NOTHING_LOGGED, t};
use crate::world::{Object, items, text};

/// How many lines are kept.
const LINES_MAX: usize = 500;

/// What the log is given.
#[derive(Properties)]
pub struct LogsProps {
    /// The way to the cluster.
    pub api: Api,
    /// The pod.
    pub pod: Rc<Object>,
}

impl PartialEq for LogsProps {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.pod, &other.pod)
    }
}

/// The log.
#[component]
pub fn Logs(props: &LogsProps) -> Html {
    let lists = ["/spec/containers", "/spec/initContainers"];
    let containers: Vec<String> =
        lists.iter().flat_map(|list| items(&props.pod.0, list)).map(|it| text(it, "/name").to_owned()).collect();
    let chosen = use_state_eq(String::new);
    let lines = use_state(|| Rc::new(String::new()));
    let container =
        containers.iter().find(|name| **name == *chosen).or(containers.first()).cloned().unwrap_or_default();
    {
        let (api, lines) = (props.api.clone(), lines.clone());
        let (namespace, name) = (props.pod.namespace().to_owned(), props.pod.name().to_owned());
        // A container that was restarted has a new log.
        let restarts: i64 = items(&props.pod.0, "/status/containerStatuses")
            .iter()
            .filter_map(|status| status.get("restartCount")?.as_i64())
            .sum();
        let running = props.pod.text("/status/phase").to_owned();
        use_effect_with(
            (namespace, name, container.clone(), restarts, running),
            move |(namespace, name, container, ..)| {
                let path = format!(
                    "/api/v1/namespaces/{namespace}/pods/{name}/log?container={container}&follow=true&tailLines={LINES_MAX}"
                );
                let (task, handle) = abortable(follow(api, path, lines));
                wasm_bindgen_futures::spawn_local(async move {
                    let _ = task.await;
                });
                move || AbortHandle::abort(&handle)
            },
        );
    }
    let onchange = Callback::from(move |event: Event| {
        if let Some(select) = event.target_dyn_into::<HtmlSelectElement>() {
            chosen.set(select.value());
        }
    });
    html! {
        <>
            if containers.len() > 1 {
                <label><span class="hidden">{ t(CONTAINER) }</span>
                    <select {onchange}>{ for containers.iter().map(|name| html! {
                        <option selected={*name == container}>{ name }</option>
                    }) }</select>
                </label>
            }
            if lines.is_empty() {
                <p class="empty">{ t(NOTHING_LOGGED) }</p>
            } else {
                <pre class="log" tabindex="0">{ (**lines).clone() }</pre>
            }
        </>
    }
}

async fn follow(api: Api, path: String, shown: UseStateHandle<Rc<String>>) {
    shown.set(Rc::default());
    let Ok(answer) = api.send(Call::get(path)).await else { return };
    if answer.status != 200 {
        return;
    }
    let mut kept: VecDeque<String> = VecDeque::new();
    let mut lines = answer.lines();
    while let Some(line) = lines.next().await {
        if kept.len() == LINES_MAX {
            kept.pop_front();
        }
        kept.push_back(String::from_utf8_lossy(&line).into_owned() + "\n");
        shown.set(Rc::new(kept.iter().map(String::as_str).collect()));
    }
}
