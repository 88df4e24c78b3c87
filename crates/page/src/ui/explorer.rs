//! The cluster as tables: every kind, with the server's own columns. It tells in text what the map
//! shows in pictures.

use std::rc::Rc;

use gloo::timers::callback::Interval;
use serde_json::Value;
use wasm_bindgen::JsCast;
use web_sys::{Element, HtmlElement, KeyboardEvent};
use yew::prelude::*;

use super::kinds::Kind;
use crate::api::{Api, Call};
use crate::text::{ASKING, FILTER, FILTER_ANY, KINDS, NAMESPACE, NONE_HERE, ROW_KEYS, t};
use crate::world::{Shown, items, text};

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
    /// The namespaces to show.
    pub shown: Shown,
    /// The kind whose table is shown, by its plural.
    pub resource: AttrValue,
    /// Hears which kind's table to show.
    pub on_resource: Callback<String>,
    /// Whether somebody wants to type a filter.
    pub filtering: bool,
    /// Hears that they can.
    pub on_filtering: Callback<()>,
    /// The revision to show, if not the present one.
    pub revision: Option<u64>,
    /// `resource/key` of what is chosen.
    pub selected: AttrValue,
    /// Hears what is chosen.
    pub on_select: Callback<String>,
    /// Hears a command line to type into the terminal.
    pub on_run: Callback<String>,
}

impl PartialEq for ExplorerProps {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.kinds, &other.kinds)
            && self.shown == other.shown
            && (self.revision, &self.selected) == (other.revision, &other.selected)
            && (self.filtering, &self.resource) == (other.filtering, &other.resource)
    }
}

/// The tables.
#[component]
pub fn Explorer(props: &ExplorerProps) -> Html {
    let resource = &props.resource;
    let search = use_node_ref();
    {
        let (search, on_filtering) = (search.clone(), props.on_filtering.clone());
        use_effect_with(props.filtering, move |wanted| {
            if let Some(input) = search.cast::<HtmlElement>().filter(|_| *wanted) {
                // An element that is not shown takes no focus.
                let _ = input.focus();
                on_filtering.emit(());
            }
        });
    }
    let table = use_state(|| None::<Result<Value, String>>);
    let filter = use_state_eq(String::new);
    let sort = use_state_eq(|| None::<Sort>);
    let tick = use_state(|| 0u32);
    {
        let tick = tick.clone();
        use_effect_with(*tick, move |now| {
            let now = *now;
            let timer = Interval::new(REFRESH_MS, move || tick.set(now.wrapping_add(1)));
            move || drop(timer)
        });
    }
    let kind = props.kinds.iter().find(|kind| kind.resource == resource.as_str()).cloned();
    let wide = props.shown.only().is_none();
    {
        let (api, table) = (props.api.clone(), table.clone());
        let path = kind.as_ref().map(|kind| kind.list_path(props.shown.only()));
        let path = path.map(|path| match props.revision {
            Some(revision) => format!("{path}?resourceVersion={revision}&resourceVersionMatch=Exact"),
            None => path,
        });
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
        let (on_resource, table, sort, name) =
            (props.on_resource.clone(), table.clone(), sort.clone(), name.to_owned());
        let here = name == resource.as_str();
        Callback::from(move |_: MouseEvent| {
            if !here {
                table.set(None);
                sort.set(None);
                on_resource.emit(name.clone());
            }
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
            <nav aria-label={t(KINDS)}>
                { for kinds.into_iter().map(|kind| {
                    let here = kind.resource == resource.as_str();
                    html! {
                        <button type="button" onclick={choose(&kind.resource)} aria-current={here.then_some("true")}>
                            { &kind.kind }
                        </button>
                    }
                }) }
            </nav>
            <div class="table">
                <label class="filter"><span class="hidden">{ t(FILTER) }</span>
                    <input ref={search} type="search" placeholder={t(FILTER_ANY)} value={(*filter).clone()} oninput={on_filter} />
                </label>
                { match &*table {
                    None => html! { <p class="empty">{ t(ASKING) }</p> },
                    Some(Err(error)) => html! { <p class="empty" role="alert">{ error }</p> },
                    Some(Ok(table)) => rows(props, resource, table, &filter, &sort, wide && kind.is_some_and(|kind| kind.namespaced)),
                } }
                <small class="row-keys" aria-hidden="true">{ t(ROW_KEYS) }</small>
            </div>
        </div>
    }
}

/// The column that rows are ordered by, as the server counts them, and whether backwards.
#[derive(Clone, Copy, PartialEq)]
struct Sort {
    column: usize,
    down: bool,
}

/// The first number of a cell, so that `10` comes after `9`, and ages are in order of time.
fn rank(cell: &str) -> Option<u64> {
    let unit = |unit: char| match unit {
        'd' => 86_400,
        'h' => 3_600,
        'm' => 60,
        _ => 1,
    };
    let mut total = None;
    let mut number = String::new();
    for c in cell.chars() {
        match c {
            '0'..='9' => number.push(c),
            _ if number.is_empty() => return total,
            _ => {
                total = Some(total.unwrap_or(0) + number.parse::<u64>().ok()? * unit(c));
                number.clear();
            }
        }
    }
    number.parse().ok().or(total)
}

/// The columns that are shown, and where they are in a row. Of the wide ones those of pods, as far as they say
/// something.
fn columns<'a>(table: &'a Value, resource: &str) -> Vec<(usize, &'a str)> {
    let says = |index: usize| items(table, "/rows").iter().any(|row| cell(row, index) != "<none>");
    let definitions = items(table, "/columnDefinitions").iter().enumerate();
    let shown = definitions.filter(|(index, column)| {
        let wide = column.get("priority").and_then(Value::as_i64).unwrap_or(0) > 0;
        !wide || (resource == "pods" && says(*index))
    });
    shown.map(|(index, column)| (index, text(column, "/name"))).collect()
}

/// Whether somebody has marked text in a row, as one does to copy it: no click is meant then.
fn is_text_marked(event: &MouseEvent) -> bool {
    // A key on a row's button is a click of nobody's pointer.
    if event.detail() == 0 {
        return false;
    }
    let row = event.target_dyn_into::<Element>().and_then(|target| target.closest("tr").ok()?);
    let selection = web_sys::window().and_then(|window| window.get_selection().ok()?);
    let marked = selection.filter(|selection| !selection.is_collapsed()).and_then(|marked| marked.anchor_node());
    row.is_some_and(|row| row.contains(marked.as_ref()))
}

fn rows(
    props: &ExplorerProps,
    resource: &str,
    table: &Value,
    filter: &str,
    sort: &UseStateHandle<Option<Sort>>,
    with_namespace: bool,
) -> Html {
    let columns = columns(table, resource);
    let wanted = filter.to_lowercase();
    let rows = items(table, "/rows").iter().filter_map(|row| {
        let cells: Vec<String> = columns.iter().map(|(index, _)| cell(row, *index)).collect();
        let namespace = text(row, "/object/metadata/namespace");
        let fits = wanted.is_empty() || cells.iter().any(|cell| cell.to_lowercase().contains(&wanted));
        let name = text(row, "/object/metadata/name");
        let key = if namespace.is_empty() { name.to_owned() } else { format!("{namespace}/{name}") };
        (fits && props.shown.has(namespace)).then(|| (format!("{resource}/{key}"), namespace.to_owned(), cells))
    });
    let mut rows: Vec<_> = rows.collect();
    if let Some(Sort { column, down }) = **sort {
        let shown = columns.iter().position(|(index, _)| *index == column);
        rows.sort_by_cached_key(|(_, _, cells)| {
            let cell = shown.and_then(|shown| cells.get(shown)).map_or("", String::as_str);
            (rank(cell), cell.to_owned())
        });
        if down {
            rows.reverse();
        }
    }
    let head = |index: usize, name: &str| {
        let here = sort.filter(|sort| sort.column == index);
        let next = Sort { column: index, down: here.is_some_and(|sort| !sort.down) };
        let sort = sort.clone();
        let onclick = Callback::from(move |_: MouseEvent| sort.set(Some(next)));
        let (order, arrow) = match here {
            None => ("none", ""),
            Some(Sort { down: false, .. }) => ("ascending", " ↑"),
            Some(_) => ("descending", " ↓"),
        };
        html! {
            <th scope="col" aria-sort={order}><button type="button" {onclick}>{ name.to_owned() }{ arrow }</button></th>
        }
    };
    if rows.is_empty() {
        return html! { <p class="empty">{ NONE_HERE.with(&[resource]) }</p> };
    }
    html! {
        <div class="scroll" tabindex="0">
            <table aria-keyshortcuts="j k d y e l s" onkeydown={on_row_key(props)}>
                <thead><tr>
                    if with_namespace { <th scope="col">{ t(NAMESPACE) }</th> }
                    { for columns.iter().map(|(index, name)| head(*index, name)) }
                </tr></thead>
                <tbody>{ for rows.into_iter().map(|(id, namespace, cells)| {
                    let here = *props.selected == id;
                    let on_select = props.on_select.clone();
                    let choose = id.clone();
                    // The button is the keyboard's; its click comes here too.
                    let onclick = Callback::from(move |event: MouseEvent| {
                        if !is_text_marked(&event) {
                            on_select.emit(choose.clone());
                        }
                    });
                    html! {
                        <tr key={id.clone()} data-id={id} aria-selected={here.to_string()} {onclick}>
                            if with_namespace { <td class="soft">{ namespace }</td> }
                            { for cells.into_iter().enumerate().map(|(index, cell)| if index == 0 {
                                html! { <th scope="row"><button type="button" class="link">{ cell }</button></th> }
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

/// What a key does to the row that it is pressed in, as k9s has it: a row on or back, or a command for the object.
fn on_row_key(props: &ExplorerProps) -> Callback<KeyboardEvent> {
    let on_run = props.on_run.clone();
    Callback::from(move |event: KeyboardEvent| {
        let target = event.target().and_then(|target| target.dyn_into::<HtmlElement>().ok());
        let row = target.and_then(|target| target.closest("tr[data-id]").ok()?);
        let Some(row) = row.filter(|_| !event.ctrl_key() && !event.meta_key() && !event.alt_key()) else { return };
        let to = match event.key().as_str() {
            "j" | "ArrowDown" => row.next_element_sibling(),
            "k" | "ArrowUp" => row.previous_element_sibling(),
            key => {
                let id = row.get_attribute("data-id").unwrap_or_default();
                let Some(line) = line_of(key, &id) else { return };
                event.prevent_default();
                event.stop_propagation();
                return on_run.emit(line);
            }
        };
        event.prevent_default();
        event.stop_propagation();
        let link =
            to.and_then(|row| row.query_selector(".link").ok()?).and_then(|link| link.dyn_into::<HtmlElement>().ok());
        if let Some(link) = link {
            // The last row has none after it.
            let _ = link.focus();
        }
    })
}

/// The command line for a key and `resource/namespace/name` or `resource/name`.
fn line_of(key: &str, id: &str) -> Option<String> {
    let (resource, object) = id.split_once('/')?;
    let (name, namespace) = match object.split_once('/') {
        Some((namespace, name)) => (name, format!(" -n {namespace}")),
        None => (object, String::new()),
    };
    let logged = matches!(resource, "pods" | "deployments" | "replicasets" | "statefulsets" | "daemonsets" | "jobs");
    Some(match key {
        "d" => format!("kubectl describe {resource} {name}{namespace}"),
        "y" => format!("kubectl get {resource} {name}{namespace} -o yaml"),
        "e" => format!("kubectl edit {resource} {name}{namespace}"),
        "l" if logged => format!("kubectl logs {resource}/{name}{namespace}"),
        "s" if resource == "pods" => format!("kubectl exec -it {name}{namespace} -- sh"),
        _ => return None,
    })
}

fn cell(row: &Value, index: usize) -> String {
    match items(row, "/cells").get(index) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test;

    use serde_json::json;

    use super::{columns, line_of};

    #[wasm_bindgen_test]
    fn wide_columns_are_shown_where_they_say_something() {
        let column = |name: &str, priority: u8| json!({"name": name, "priority": priority});
        let table = json!({
            "columnDefinitions": [column("Name", 0), column("Age", 0), column("Node", 1), column("Gates", 1)],
            "rows": [{"cells": ["web", "<none>", "n1", "<none>"]}, {"cells": ["db", "<none>", "<none>", "<none>"]}],
        });
        assert_eq!(columns(&table, "pods"), [(0, "Name"), (1, "Age"), (2, "Node")]);
        assert_eq!(columns(&table, "services"), [(0, "Name"), (1, "Age")]);
    }

    #[wasm_bindgen_test]
    fn keys_of_a_row_are_commands() {
        assert_eq!(line_of("d", "pods/default/web-1").as_deref(), Some("kubectl describe pods web-1 -n default"));
        assert_eq!(line_of("y", "nodes/n1").as_deref(), Some("kubectl get nodes n1 -o yaml"));
        assert_eq!(line_of("s", "nodes/n1"), None);
    }
}
