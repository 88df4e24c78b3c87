//! The cluster as tables: every kind, with the server's own columns. It tells in text what the map
//! shows in pictures.

use std::rc::Rc;

use gloo::timers::callback::Interval;
use serde_json::Value;
use yew::prelude::*;

use super::kinds::Kind;
use crate::api::{Api, Call};
use crate::world::{items, text};

/// How often the table is asked for anew while it is shown.
const REFRESH_MS: u32 = 1_000;
const AS_TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
/// The kinds most looked at, offered first.
const FIRST: [&str; 8] =
    ["pods", "deployments", "replicasets", "services", "endpointslices", "nodes", "configmaps", "events"];

/// What the explorer is given.
#[derive(Properties)]
pub struct ExplorerProps {
    /// The way to the cluster.
    pub api: Api,
    /// The cluster's kinds.
    pub kinds: Rc<Vec<Kind>>,
    /// The namespace to show, or all.
    pub namespace: Option<AttrValue>,
    /// `resource/key` of what is chosen.
    pub selected: AttrValue,
    /// Hears what is chosen.
    pub on_select: Callback<String>,
}

impl PartialEq for ExplorerProps {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.kinds, &other.kinds) && self.namespace == other.namespace && self.selected == other.selected
    }
}

/// The tables.
#[component]
pub fn Explorer(props: &ExplorerProps) -> Html {
    let resource = use_state_eq(|| "pods".to_owned());
    let table = use_state(|| None::<Result<Value, String>>);
    let filter = use_state_eq(String::new);
    let tick = use_state(|| 0u32);
    {
        let tick = tick.clone();
        use_effect_with(*tick, move |now| {
            let now = *now;
            let timer = Interval::new(REFRESH_MS, move || tick.set(now.wrapping_add(1)));
            move || drop(timer)
        });
    }
    let kind = props.kinds.iter().find(|kind| kind.resource == *resource).cloned();
    let wide = props.namespace.is_none();
    {
        let (api, table) = (props.api.clone(), table.clone());
        let path = kind.as_ref().map(|kind| kind.list_path(props.namespace.as_deref()));
        use_effect_with((path, *tick), move |(path, _)| {
            let path = path.clone();
            wasm_bindgen_futures::spawn_local(async move {
                let Some(path) = path else { return };
                let answer = api.json(Call::get(path).header("accept", AS_TABLE)).await;
                table.set(Some(answer.map_err(|error| error.0)));
            });
        });
    }
    let choose = |name: &str| {
        let (resource, table, name) = (resource.clone(), table.clone(), name.to_owned());
        Callback::from(move |_: MouseEvent| {
            table.set(None);
            resource.set(name.clone());
        })
    };
    let on_filter = {
        let filter = filter.clone();
        Callback::from(move |event: InputEvent| {
            if let Some(input) = event.target_dyn_into::<web_sys::HtmlInputElement>() {
                filter.set(input.value());
            }
        })
    };
    let rank = |kind: &Kind| FIRST.iter().position(|first| *first == kind.resource).unwrap_or(FIRST.len());
    let mut kinds: Vec<&Kind> = props.kinds.iter().collect();
    kinds.sort_by_key(|kind| rank(kind));
    html! {
        <div class="explorer">
            <nav aria-label="Kinds">
                { for kinds.into_iter().map(|kind| {
                    let here = kind.resource == *resource;
                    html! {
                        <button type="button" onclick={choose(&kind.resource)} aria-current={here.then_some("true")}>
                            { &kind.kind }
                        </button>
                    }
                }) }
            </nav>
            <div class="table">
                <label class="filter"><span class="hidden">{ "Filter" }</span>
                    <input type="search" placeholder="Filter by any column" value={(*filter).clone()} oninput={on_filter} />
                </label>
                { match &*table {
                    None => html! { <p class="empty">{ "Asking the API server…" }</p> },
                    Some(Err(error)) => html! { <p class="empty" role="alert">{ error }</p> },
                    Some(Ok(table)) => rows(props, &resource, table, &filter, wide && kind.is_some_and(|kind| kind.namespaced)),
                } }
            </div>
        </div>
    }
}

fn rows(props: &ExplorerProps, resource: &str, table: &Value, filter: &str, with_namespace: bool) -> Html {
    let columns: Vec<(usize, &str)> = items(table, "/columnDefinitions")
        .iter()
        .enumerate()
        .filter(|(_, column)| column.get("priority").and_then(Value::as_i64).unwrap_or(0) == 0 || resource == "pods")
        .map(|(index, column)| (index, text(column, "/name")))
        .collect();
    let wanted = filter.to_lowercase();
    let rows = items(table, "/rows").iter().filter_map(|row| {
        let cells: Vec<String> = columns.iter().map(|(index, _)| cell(row, *index)).collect();
        let namespace = text(row, "/object/metadata/namespace");
        let fits = wanted.is_empty() || cells.iter().any(|cell| cell.to_lowercase().contains(&wanted));
        let name = text(row, "/object/metadata/name");
        let key = if namespace.is_empty() { name.to_owned() } else { format!("{namespace}/{name}") };
        fits.then(|| (format!("{resource}/{key}"), namespace.to_owned(), cells))
    });
    let rows: Vec<_> = rows.collect();
    if rows.is_empty() {
        return html! { <p class="empty">{ format!("No {resource} here.") }</p> };
    }
    html! {
        <div class="scroll" tabindex="0">
            <table>
                <thead><tr>
                    if with_namespace { <th scope="col">{ "Namespace" }</th> }
                    { for columns.iter().map(|(_, name)| html! { <th scope="col">{ (*name).to_owned() }</th> }) }
                </tr></thead>
                <tbody>{ for rows.into_iter().map(|(id, namespace, cells)| {
                    let here = *props.selected == id;
                    let on_select = props.on_select.clone();
                    let choose = id.clone();
                    let onclick = Callback::from(move |_: MouseEvent| on_select.emit(choose.clone()));
                    html! {
                        <tr key={id} aria-selected={here.to_string()}>
                            if with_namespace { <td class="soft">{ namespace }</td> }
                            { for cells.into_iter().enumerate().map(|(index, cell)| if index == 0 {
                                html! { <th scope="row"><button type="button" class="link" onclick={onclick.clone()}>{ cell }</button></th> }
                            } else {
                                html! { <td>{ cell }</td> }
                            }) }
                        </tr>
                    }
                }) }</tbody>
            </table>
        </div>
    }
}

fn cell(row: &Value, index: usize) -> String {
    match items(row, "/cells").get(index) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    }
}
