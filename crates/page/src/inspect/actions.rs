//! What can be done to an object with a button: scale, restart, cordon, drain, delete.

use std::rc::Rc;

use serde_json::{Value, json};
use yew::prelude::*;

use crate::api::{Api, ApiError, Call};
use crate::text::{CORDON, DELETE, DRAIN, REALLY, RESTART, SCALE_TO, UNCORDON, t};
use crate::ui::kinds::Kind;
use crate::world::{Object, World};

const MERGE: &str = "application/merge-patch+json";

/// Something to do.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Act {
    Scale(i64),
    Restart,
    Cordon(bool),
    Drain,
    Delete,
}

impl Act {
    fn words(self) -> String {
        match self {
            Self::Scale(to) => SCALE_TO.with(&[&to.to_string()]),
            Self::Restart => t(RESTART).into(),
            Self::Cordon(true) => t(CORDON).into(),
            Self::Cordon(false) => t(UNCORDON).into(),
            Self::Drain => t(DRAIN).into(),
            Self::Delete => t(DELETE).into(),
        }
    }

    /// Whether it is asked twice.
    fn is_grave(self) -> bool {
        matches!(self, Self::Drain | Self::Delete)
    }

    /// What there is to do to an object.
    fn of(kind: &Kind, object: &Object) -> Vec<Self> {
        let mut acts = Vec::new();
        if matches!(kind.resource.as_str(), "deployments" | "replicasets" | "statefulsets") {
            let replicas = object.0.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(1);
            acts.push(Self::Scale(replicas + 1));
            acts.extend((replicas > 0).then_some(Self::Scale(replicas - 1)));
        }
        if matches!(kind.resource.as_str(), "deployments" | "daemonsets" | "statefulsets") {
            acts.push(Self::Restart);
        }
        if kind.resource == "nodes" {
            let closed = object.0.pointer("/spec/unschedulable") == Some(&Value::Bool(true));
            acts.extend([Self::Cordon(!closed), Self::Drain]);
        }
        acts.push(Self::Delete);
        acts
    }
}

/// What the buttons are given.
#[derive(Properties)]
pub struct ActionsProps {
    /// The way to the cluster.
    pub api: Api,
    /// The cluster's objects.
    pub world: Rc<World>,
    /// The object's kind.
    pub kind: Kind,
    /// The object.
    pub object: Rc<Object>,
}

impl PartialEq for ActionsProps {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind && Rc::ptr_eq(&self.object, &other.object)
    }
}

/// The buttons.
#[component]
pub fn Actions(props: &ActionsProps) -> Html {
    let asked = use_state_eq(|| None::<(String, Act)>);
    let error = use_state_eq(|| None::<String>);
    let id = props.object.text("/metadata/uid").to_owned();
    let button = |act: Act| {
        let grave = act.is_grave();
        let sure = !grave || asked.as_ref().is_some_and(|(of, asked)| *of == id && *asked == act);
        let (asked, error, id) = (asked.clone(), error.clone(), id.clone());
        let (api, world, kind, object) =
            (props.api.clone(), props.world.clone(), props.kind.clone(), props.object.clone());
        let words = if grave && sure { REALLY.with(&[&act.words()]) } else { act.words() };
        let onclick = Callback::from(move |_: MouseEvent| {
            if !sure {
                asked.set(Some((id.clone(), act)));
                return;
            }
            asked.set(None);
            let (api, world, kind, object, error) =
                (api.clone(), world.clone(), kind.clone(), object.clone(), error.clone());
            wasm_bindgen_futures::spawn_local(async move {
                error.set(perform(&api, &world, &kind, &object, act).await.err().map(|error| error.0));
            });
        });
        html! { <button type="button" class={classes!("small", (grave && sure).then_some("grave"))} {onclick}>{ words }</button> }
    };
    html! {
        <>
            <div class="actions">{ for Act::of(&props.kind, &props.object).into_iter().map(button) }</div>
            if let Some(error) = &*error { <p class="error" role="alert">{ error }</p> }
        </>
    }
}

async fn perform(api: &Api, world: &World, kind: &Kind, object: &Object, act: Act) -> Result<(), ApiError> {
    let path = kind.path_of(&object.key());
    let patch = match act {
        Act::Scale(replicas) => json!({"spec": {"replicas": replicas}}),
        Act::Restart => {
            let now = String::from(js_sys::Date::new_0().to_iso_string());
            let annotation = json!({"kubectl.kubernetes.io/restartedAt": now});
            json!({"spec": {"template": {"metadata": {"annotations": annotation}}}})
        }
        Act::Cordon(closed) => json!({"spec": {"unschedulable": closed.then_some(true)}}),
        Act::Drain => return drain(api, world, object, &path).await,
        Act::Delete => {
            let mut call = Call::get(path);
            call.method = "DELETE".into();
            return api.json(call).await.map(drop);
        }
    };
    api.json(Call::json("PATCH", &path, MERGE, &patch)).await.map(drop)
}

/// Closes a node and evicts its pods, but for those of DaemonSets and of the node itself. What a
/// disruption budget forbids stays, and is the error.
async fn drain(api: &Api, world: &World, node: &Object, path: &str) -> Result<(), ApiError> {
    let closed = json!({"spec": {"unschedulable": true}});
    api.json(Call::json("PATCH", path, MERGE, &closed)).await?;
    let pods: Vec<Rc<Object>> = world.live().list("pods").cloned().collect();
    let mut outcome = Ok(());
    for pod in pods {
        let stays = matches!(pod.controller(), Some(("DaemonSet" | "Node", _)));
        if pod.text("/spec/nodeName") != node.name() || stays || pod.terminating() {
            continue;
        }
        let (namespace, name) = (pod.namespace(), pod.name());
        let path = format!("/api/v1/namespaces/{namespace}/pods/{name}/eviction");
        let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction",
            "metadata": {"namespace": namespace, "name": name}});
        if let Err(error) = api.json(Call::json("POST", &path, "application/json", &eviction)).await {
            outcome = Err(error);
        }
    }
    outcome
}
