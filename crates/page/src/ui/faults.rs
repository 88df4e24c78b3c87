//! What can go wrong: a panel that breaks things and heals them, and the same for menus.

use std::rc::Rc;

use gloo::timers::callback::Interval;
use playground_control::{Fault, is_clusters_own};
use web_sys::HtmlInputElement;
use yew::prelude::*;

use super::dialog::Dialog;
use crate::api::{Api, ApiError, Call};
use crate::text::*;
use crate::world::{Object, World, items, text};

const PATH: &str = "/playground/v1/faults";
/// A link that loses everything, and one that is slow.
const LOSS_ALL: f64 = 1.0;
const SLOW_MS: u64 = 400;
/// More than any simulated node has.
const PRESSURE_BYTES: u64 = 1 << 40;
/// Between two acts of chaos.
const CHAOS_MS: u32 = 6_000;

/// What is wrong now.
///
/// # Errors
/// When the cluster does not answer.
pub async fn list(api: &Api) -> Result<Vec<Fault>, ApiError> {
    answer(api, Call::get(PATH)).await
}

/// Lets something go wrong; what is wrong then.
///
/// # Errors
/// When the cluster does not answer or cannot.
pub async fn begin(api: &Api, fault: &Fault) -> Result<Vec<Fault>, ApiError> {
    answer(api, Call::json("POST", PATH, "application/json", fault)).await
}

/// Makes something good again, or all; what is wrong then.
///
/// # Errors
/// When the cluster does not answer or cannot.
pub async fn heal(api: &Api, fault: Option<&Fault>) -> Result<Vec<Fault>, ApiError> {
    let mut call = match fault {
        Some(fault) => Call::json("DELETE", PATH, "application/json", fault),
        None => Call::get(PATH),
    };
    call.method = "DELETE".into();
    answer(api, call).await
}

async fn answer(api: &Api, call: Call) -> Result<Vec<Fault>, ApiError> {
    serde_json::from_value(api.json(call).await?).map_err(|error| ApiError(error.to_string()))
}

/// What can go wrong with an object, in words.
pub fn of(resource: &str, object: &Object) -> Vec<(String, Fault)> {
    let name = || object.name().to_owned();
    match resource {
        "nodes" => vec![
            (t(POWER_OFF).into(), Fault::NodeDown { node: name() }),
            (t(CUT_LINK).into(), Fault::Link { node: name(), delay_ms: 0, loss: LOSS_ALL }),
            (t(SLOW_LINK).into(), Fault::Link { node: name(), delay_ms: SLOW_MS, loss: 0.0 }),
            (t(FILL_DISK).into(), Fault::Pressure { node: name(), memory_bytes: 0, disk_bytes: PRESSURE_BYTES }),
            (t(STOP_KUBELET).into(), Fault::ComponentDown { component: format!("kubelet/{}", object.name()) }),
        ],
        "pods" => {
            let containers = object.items("/spec/containers").iter().map(|container| text(container, "/name"));
            let both = containers.flat_map(|container| {
                let (pod, name) = (object.key(), container.to_owned());
                [
                    (CRASH.with(&[container]), Fault::ContainerCrash { pod: pod.clone(), container: name.clone() }),
                    (HANG.with(&[container]), Fault::ContainerHang { pod, container: name }),
                ]
            });
            both.collect()
        }
        _ => Vec::new(),
    }
}

/// A fault in words.
fn words(fault: &Fault) -> String {
    match fault {
        Fault::NodeDown { node } => IS_OFF.with(&[node]),
        Fault::ComponentDown { component } => DOES_NOT_RUN.with(&[component]),
        Fault::ComponentCut { component } => IS_CUT_OFF.with(&[component]),
        Fault::ApiServerDown => DOES_NOT_RUN.with(&["kube-apiserver"]),
        Fault::ContainerCrash { pod, container } => CRASHED.with(&[container, pod]),
        Fault::ContainerHang { pod, container } => HANGS.with(&[container, pod]),
        Fault::Link { node, loss, .. } if *loss > 0.0 => LINK_LOSES.with(&[node, &format!("{:.0} %", loss * 100.0)]),
        Fault::Link { node, delay_ms, .. } => LINK_SLOW.with(&[node, &delay_ms.to_string()]),
        Fault::Pressure { node, .. } => IS_FULL.with(&[node]),
        Fault::RegistryDown { registry } => DOES_NOT_RUN.with(&[registry]),
    }
}

/// What the panel is given.
#[derive(Properties)]
pub struct FaultsProps {
    /// The way to the cluster.
    pub api: Api,
    /// The cluster's objects.
    pub world: Rc<World>,
    /// What is wrong now.
    pub now: Vec<Fault>,
    /// Whether chaos reigns, and its seed.
    pub chaos: Option<u32>,
    /// Hears what is wrong.
    pub on_change: Callback<Vec<Fault>>,
    /// Hears that chaos begins, or ends.
    pub on_chaos: Callback<Option<u32>>,
    /// Hears that it is to be closed.
    pub on_close: Callback<()>,
}

impl PartialEq for FaultsProps {
    fn eq(&self, other: &Self) -> bool {
        self.now == other.now && self.chaos == other.chaos && self.on_close == other.on_close
    }
}

/// The panel.
#[component]
pub fn Faults(props: &FaultsProps) -> Html {
    let error = use_state_eq(|| None::<String>);
    let seed = use_state_eq(|| 7u32);
    let act = |what: Act| {
        let (api, error, on_change) = (props.api.clone(), error.clone(), props.on_change.clone());
        Callback::from(move |_: MouseEvent| {
            let (api, error, on_change, what) = (api.clone(), error.clone(), on_change.clone(), what.clone());
            wasm_bindgen_futures::spawn_local(async move {
                match perform(&api, &what).await {
                    Ok(now) => {
                        error.set(None);
                        on_change.emit(now);
                    }
                    Err(failed) => error.set(Some(failed.0)),
                }
            });
        })
    };
    let button = |label: String, fault: Fault| {
        html! { <button type="button" class="small" onclick={act(Act::Begin(fault))}>{ label }</button> }
    };
    let parts = ["kube-scheduler", "deployment-controller", "replicaset-controller", "kube-proxy"];
    let on_seed = {
        let seed = seed.clone();
        Callback::from(move |event: Event| {
            if let Some(number) =
                event.target_dyn_into::<HtmlInputElement>().and_then(|input| input.value().parse().ok())
            {
                seed.set(number);
            }
        })
    };
    let toggle = {
        let (next, on_chaos) = (props.chaos.is_none().then_some(*seed), props.on_chaos.clone());
        Callback::from(move |_: MouseEvent| on_chaos.emit(next))
    };
    let snapshot = props.world.live();
    html! {
        <Dialog title={t(FAULTS)} class="faults" on_close={props.on_close.clone()}>
            if let Some(error) = &*error { <p class="error" role="alert">{ error }</p> }
            <section aria-live="polite">
                <h3>{ t(WRONG_NOW) }</h3>
                if props.now.is_empty() {
                    <p class="soft">{ t(NOTHING_WRONG) }</p>
                } else {
                    <ul class="rows">{ for props.now.iter().map(|fault| html! {
                        <li><strong>{ words(fault) }</strong>
                            <button type="button" class="small heal" onclick={act(Act::Heal(Some(fault.clone())))}>{ t(HEAL) }</button></li>
                    }) }</ul>
                    <div class="actions"><button type="button" class="small" onclick={act(Act::Heal(None))}>{ t(HEAL_ALL) }</button></div>
                }
            </section>
            <section>
                <h3>{ t(NODES) }</h3>
                { for snapshot.list("nodes").map(|node| html! {
                    <div class="row"><strong>{ node.name().to_owned() }</strong>
                        <div class="actions">{ for of("nodes", node).into_iter().map(|(label, fault)| button(label, fault)) }</div></div>
                }) }
            </section>
            <section>
                <h3>{ t(PARTS) }</h3>
                <div class="actions">
                    { button(STOP.with(&["kube-apiserver"]), Fault::ApiServerDown) }
                    { for parts.into_iter().map(|part| button(STOP.with(&[part]), Fault::ComponentDown { component: part.into() })) }
                    { button(STOP.with(&["docker.io"]), Fault::RegistryDown { registry: "docker.io".into() }) }
                </div>
                <p class="soft">{ t(PODS_SAY) }</p>
            </section>
            <section>
                <h3>{ t(CHAOS) }</h3>
                <p class="soft">{ t(CHAOS_SAYS) }</p>
                <div class="actions">
                    <label>{ t(SEED) }{ " " }<input class="seed" type="number" min="1" value={seed.to_string()} disabled={props.chaos.is_some()} onchange={on_seed} /></label>
                    <button type="button" class="small" aria-pressed={props.chaos.is_some().to_string()} onclick={toggle}>
                        { t(if props.chaos.is_some() { CHAOS_END } else { CHAOS_BEGIN }) }
                    </button>
                </div>
            </section>
        </Dialog>
    }
}

#[derive(Clone)]
enum Act {
    Begin(Fault),
    Heal(Option<Fault>),
}

async fn perform(api: &Api, act: &Act) -> Result<Vec<Fault>, ApiError> {
    match act {
        Act::Begin(fault) => begin(api, fault).await,
        Act::Heal(fault) => heal(api, fault.as_ref()).await,
    }
}

/// Breaks something every few seconds and heals what it broke before, for as long as it is held. The seed
/// decides what.
pub fn chaos(api: Api, world: Rc<World>, seed: u32) -> Interval {
    let dice = Rc::new(std::cell::Cell::new(seed.max(1)));
    let broken = Rc::new(std::cell::RefCell::new(None::<Fault>));
    Interval::new(CHAOS_MS, move || {
        let Some(fault) = next(&dice, &world) else { return };
        let (api, before) = (api.clone(), broken.replace(Some(fault.clone())));
        wasm_bindgen_futures::spawn_local(async move {
            // What cannot be healed is gone; what cannot be broken any more is gone too.
            if let Some(before) = before {
                let _ = heal(&api, Some(&before)).await;
            }
            let _ = begin(&api, &fault).await;
        });
    })
}

/// A number below `end`, by xorshift.
fn roll(dice: &std::cell::Cell<u32>, end: usize) -> usize {
    let mut x = dice.get();
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    dice.set(x);
    x as usize % end.max(1)
}

/// What chaos breaks next: mostly containers, now and then a worker node.
fn next(dice: &std::cell::Cell<u32>, world: &World) -> Option<Fault> {
    let snapshot = world.live();
    let pick = |resource: &str, fits: &dyn Fn(&Object) -> bool| {
        let all: Vec<_> = snapshot.list(resource).filter(|object| fits(object)).cloned().collect();
        let index = roll(dice, all.len());
        all.get(index).cloned()
    };
    let pods = |object: &Object| object.text("/status/phase") == "Running" && !is_clusters_own(object.namespace());
    let workers = |object: &Object| items(&object.0, "/spec/taints").is_empty();
    let (resource, object) = match roll(dice, 4) {
        0 => ("nodes", pick("nodes", &workers)?),
        _ => ("pods", pick("pods", &pods).or_else(|| pick("pods", &|_| true))?),
    };
    let mut choices = of(resource, &object);
    choices.retain(|(_, fault)| !matches!(fault, Fault::ComponentDown { .. }));
    let index = roll(dice, choices.len());
    (!choices.is_empty()).then(|| choices.swap_remove(index).1)
}
