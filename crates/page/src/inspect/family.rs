//! Whom an object belongs to and what belongs to it, as a tree from the first owner down.

use yew::prelude::*;

use crate::map::{PodState, pod_state};
use crate::text::*;
use crate::ui::kinds::Kind;
use crate::world::{Object, Snapshot, items, text};

/// How many are shown of those that one object has.
const SHOWN_MAX: usize = 24;
/// How deep trees are: Deployment, ReplicaSet, pod; Service, slice, pod.
const DEPTH_MAX: usize = 4;

/// One of the tree.
struct Relative {
    /// `resource/key`; empty where the page cannot show it.
    id: String,
    kind: String,
    name: String,
    /// Whether it is as it should be, for those that say so.
    good: Option<bool>,
    below: Vec<Relative>,
    /// How many more there are below.
    more: usize,
}

/// The tree that an object is in; nothing where it is alone.
pub fn family(
    object: &Object,
    resource: &str,
    snapshot: &Snapshot,
    kinds: &[Kind],
    on_select: &Callback<String>,
) -> Html {
    let here = format!("{resource}/{}", object.key());
    let mut tree = below(object, resource, snapshot, kinds, 0);
    let mut child = object.clone();
    // Up to the first owner, as far as the page knows them.
    for _ in 0..DEPTH_MAX {
        let Some(owner) = child.items("/metadata/ownerReferences").first() else { break };
        let (kind, name, namespace) = (text(owner, "/kind"), text(owner, "/name"), child.namespace());
        let known = kinds.iter().find(|known| known.kind == kind);
        let key = |known: &Kind| if known.namespaced { format!("{namespace}/{name}") } else { name.to_owned() };
        let found = known.and_then(|known| snapshot.get(&known.resource, &key(known)).cloned());
        let Some((above, known)) = found.zip(known) else {
            let id = known.map_or_else(String::new, |known| format!("{}/{}", known.resource, key(known)));
            let (kind, name) = (kind.to_owned(), name.to_owned());
            tree = Relative { id, kind, name, good: None, below: vec![tree], more: 0 };
            break;
        };
        tree = below(&above, &known.resource, snapshot, kinds, 0);
        child = (*above).clone();
    }
    if tree.below.is_empty() {
        return html! {};
    }
    html! {
        <>
            <h3>{ t(FAMILY) }</h3>
            <ul class="family">{ show(&tree, &here, on_select) }</ul>
        </>
    }
}

/// An object with what it owns, or leads to.
fn below(object: &Object, resource: &str, snapshot: &Snapshot, kinds: &[Kind], depth: usize) -> Relative {
    let uid = object.text("/metadata/uid");
    let mut found: Vec<(&str, &Object)> = Vec::new();
    if depth < DEPTH_MAX {
        for resource in ["deployments", "replicasets", "pods", "endpointslices"] {
            let owned = |other: &&std::rc::Rc<Object>| {
                other.items("/metadata/ownerReferences").iter().any(|owner| text(owner, "/uid") == uid)
            };
            found.extend(snapshot.list(resource).filter(owned).map(|other| (resource, &**other)));
        }
        // A slice does not own the pods that a Service leads to, but that is what it is for.
        for endpoint in object.items("/endpoints") {
            let key = format!("{}/{}", object.namespace(), text(endpoint, "/targetRef/name"));
            found.extend(snapshot.get("pods", &key).map(|pod| ("pods", &**pod)));
        }
    }
    let more = found.len().saturating_sub(SHOWN_MAX);
    let known = kinds.iter().find(|kind| kind.resource == resource);
    Relative {
        id: format!("{resource}/{}", object.key()),
        kind: known.map_or(resource, |kind| kind.kind.as_str()).to_owned(),
        name: object.name().to_owned(),
        good: standing(object, resource),
        below: found
            .into_iter()
            .take(SHOWN_MAX)
            .map(|(resource, other)| below(other, resource, snapshot, kinds, depth + 1))
            .collect(),
        more,
    }
}

/// Whether an object is as it should be.
fn standing(object: &Object, resource: &str) -> Option<bool> {
    match resource {
        "pods" => Some(matches!(pod_state(object), PodState::Ready | PodState::Succeeded)),
        "deployments" | "replicasets" => {
            Some(object.number("/status/readyReplicas") >= object.number("/spec/replicas"))
        }
        "endpointslices" => {
            Some(items(&object.0, "/endpoints").iter().any(|endpoint| {
                endpoint.pointer("/conditions/ready").and_then(serde_json::Value::as_bool) != Some(false)
            }))
        }
        _ => None,
    }
}

fn show(relative: &Relative, here: &str, on_select: &Callback<String>) -> Html {
    let class = match relative.good {
        Some(true) => "good",
        Some(false) => "bad",
        None => "",
    };
    let id = relative.id.clone();
    let onclick = on_select.reform(move |_: MouseEvent| id.clone());
    html! {
        <li key={relative.id.clone()} {class}>
            <span class="member"><small>{ &relative.kind }</small>
                if relative.id == here {
                    <strong aria-current="true">{ &relative.name }</strong>
                } else if relative.id.is_empty() {
                    { &relative.name }
                } else {
                    <button type="button" class="link" {onclick}>{ &relative.name }</button>
                }
            </span>
            if !relative.below.is_empty() {
                <ul>
                    { for relative.below.iter().map(|relative| show(relative, here, on_select)) }
                    if relative.more > 0 { <li>{ AND_MORE.with(&[&relative.more.to_string()]) }</li> }
                </ul>
            }
        </li>
    }
}
