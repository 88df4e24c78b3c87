//! The saved clusters of this browser: open, rename, throw away, begin anew, share.

use std::rc::Rc;

use web_sys::{HtmlInputElement, HtmlSelectElement};
use yew::prelude::*;

use super::dialog::Dialog;
use super::icon::{Icon, IconName};
use crate::api::Api;
use crate::saved::shelf::{self, Entry, KEPT_MAX};
use crate::saved::{Keeper, keeper, link};
use crate::text::*;

/// How many nodes a new cluster may have.
const NODE_COUNTS: [u16; 6] = [1, 2, 3, 5, 10, 25];
const SLIM: &str = "?slim=true";

/// What the dialog is given.
#[derive(Properties)]
pub struct ClustersProps {
    /// The way to the cluster.
    pub api: Api,
    /// Saves this tab's cluster; none where the cluster is not the tab's own.
    pub keeper: Option<Rc<Keeper>>,
    /// Hears that it is to be closed.
    pub on_close: Callback<()>,
}

impl PartialEq for ClustersProps {
    fn eq(&self, other: &Self) -> bool {
        self.on_close == other.on_close
    }
}

/// The dialog.
#[component]
pub fn Clusters(props: &ClustersProps) -> Html {
    let all = use_state(|| None::<Vec<Entry>>);
    let notice = use_state_eq(|| None::<Result<String, String>>);
    let address = use_state_eq(|| None::<String>);
    let nodes = use_state_eq(shelf::nodes);
    {
        let all = all.clone();
        use_effect_with((), move |()| {
            wasm_bindgen_futures::spawn_local(async move { all.set(Some(shelf::list().await)) });
        });
    }
    let share = {
        let (api, notice, address) = (props.api.clone(), notice.clone(), address.clone());
        Callback::from(move |_: MouseEvent| {
            let (api, notice, address) = (api.clone(), notice.clone(), address.clone());
            wasm_bindgen_futures::spawn_local(async move {
                match keeper::state(&api, SLIM).await {
                    Err(error) => notice.set(Some(Err(error.0))),
                    Ok(state) => match link::address(&state).await {
                        Some(found) if found.len() <= link::LINK_CHARS_MAX => {
                            let copied = copy(&found).await;
                            notice.set(Some(Ok(t(if copied { LINK_COPIED } else { LINK_HERE }).into())));
                            address.set(Some(found));
                        }
                        _ => notice.set(Some(Err(t(LINK_TOO_LONG).into()))),
                    },
                }
            });
        })
    };
    let download = {
        let (api, notice, keeper) = (props.api.clone(), notice.clone(), props.keeper.clone());
        Callback::from(move |_: MouseEvent| {
            let (api, notice) = (api.clone(), notice.clone());
            let name = keeper.as_ref().map_or_else(|| "cluster".to_owned(), |keeper| keeper.entry().name);
            wasm_bindgen_futures::spawn_local(async move {
                match keeper::state(&api, SLIM).await {
                    Err(error) => notice.set(Some(Err(error.0))),
                    Ok(state) => link::download(&name, &state).await,
                }
            });
        })
    };
    let sharing = html! {
        <section>
            <h3>{ t(SHARE) }</h3>
            <p class="soft">{ t(SHARE_SAYS) }</p>
            <div class="actions">
                <button type="button" class="small" onclick={share}>{ t(COPY_LINK) }</button>
                <button type="button" class="small" onclick={download}>{ t(SAVE_FILE) }</button>
                if let Some(keeper) = &props.keeper {
                    <button type="button" class="small" onclick={open_file(keeper, &notice)}>{ t(OPEN_FILE) }</button>
                }
            </div>
            if let Some(address) = &*address {
                <label><span class="hidden">{ t(LINK) }</span><input class="address" readonly=true value={address.clone()} /></label>
            }
            { match &*notice {
                None => html! {},
                Some(Ok(said)) => html! { <p class="soft" role="status">{ said }</p> },
                Some(Err(error)) => html! { <p class="error" role="alert">{ error }</p> },
            } }
        </section>
    };
    html! {
        <Dialog title={t(CLUSTERS)} class="clusters" on_close={props.on_close.clone()}>
            if let Some(keeper) = &props.keeper {
                { own(keeper, &notice) }
                <section>
                    <h3>{ t(SAVED_CLUSTERS) }</h3>
                    { match &*all {
                        None => html! {},
                        Some(entries) => rows(keeper, entries, &all),
                    } }
                    <p class="soft">{ SAVED_SAYS.with(&[&KEPT_MAX.to_string()]) }</p>
                </section>
                <section>
                    <h3>{ t(NEW_CLUSTER) }</h3>
                    <div class="actions">
                        <label>{ t(NODES) }{ " " }<select onchange={choose(&nodes)}>
                            { for NODE_COUNTS.into_iter().map(|count| html! {
                                <option value={count.to_string()} selected={count == *nodes}>{ count }</option>
                            }) }
                        </select></label>
                        <button type="button" class="small" onclick={ {
                            let (keeper, nodes) = (keeper.clone(), *nodes);
                            Callback::from(move |_: MouseEvent| keeper.begin_anew(nodes))
                        } }>{ t(BEGIN) }</button>
                    </div>
                </section>
            }
            { sharing }
        </Dialog>
    }
}

/// This tab's cluster.
fn own(keeper: &Rc<Keeper>, notice: &UseStateHandle<Option<Result<String, String>>>) -> Html {
    let onchange = {
        let keeper = keeper.clone();
        Callback::from(move |event: Event| {
            let name = event.target_dyn_into::<HtmlInputElement>().map(|input| input.value()).unwrap_or_default();
            let keeper = keeper.clone();
            if !name.trim().is_empty() {
                wasm_bindgen_futures::spawn_local(async move { keeper.rename(&name).await });
            }
        })
    };
    let save = {
        let (keeper, notice) = (keeper.clone(), notice.clone());
        Callback::from(move |_: MouseEvent| {
            let (keeper, notice) = (keeper.clone(), notice.clone());
            wasm_bindgen_futures::spawn_local(async move {
                notice.set(Some(keeper.save().await.map(|()| t(SAVED).to_owned()).map_err(|error| error.0)));
            });
        })
    };
    let reset = {
        let keeper = keeper.clone();
        Callback::from(move |_: MouseEvent| {
            let keeper = keeper.clone();
            wasm_bindgen_futures::spawn_local(async move { keeper.reset().await });
        })
    };
    html! {
        <section>
            <h3>{ t(THIS_CLUSTER) }</h3>
            <div class="actions">
                <label><span class="hidden">{ t(NAME) }</span><input class="name" value={keeper.entry().name} maxlength="60" {onchange} /></label>
                <button type="button" class="small" onclick={save}>{ t(SAVE_NOW) }</button>
                <button type="button" class="small reset" onclick={reset}>{ t(RESET) }</button>
            </div>
            <p class="soft">{ t(RESUME_SAYS) }</p>
        </section>
    }
}

fn rows(keeper: &Rc<Keeper>, entries: &[Entry], all: &UseStateHandle<Option<Vec<Entry>>>) -> Html {
    let here = keeper.entry().id;
    html! {
        <ul class="rows">{ for entries.iter().map(|entry| {
            let open = {
                let (keeper, id) = (keeper.clone(), entry.id.clone());
                Callback::from(move |_: MouseEvent| {
                    let (keeper, id) = (keeper.clone(), id.clone());
                    wasm_bindgen_futures::spawn_local(async move {
                        // What cannot be saved is left as it was saved last.
                        let _ = keeper.save().await;
                        keeper.open(&id);
                    });
                })
            };
            let remove = {
                let (id, all) = (entry.id.clone(), all.clone());
                Callback::from(move |_: MouseEvent| {
                    let (id, all) = (id.clone(), all.clone());
                    wasm_bindgen_futures::spawn_local(async move {
                        shelf::remove(&id).await;
                        all.set(Some(shelf::list().await));
                    });
                })
            };
            let label = DELETE_CLUSTER.with(&[&entry.name]);
            html! {
                <li key={entry.id.clone()} class={classes!((entry.id == here).then_some("here"))}>
                    if entry.id == here {
                        <strong>{ &entry.name }</strong>
                    } else {
                        <button type="button" class="link" onclick={open}>{ &entry.name }</button>
                    }
                    <small>{ shelf::when(entry.at_ms) }{ " · " }{ shelf::size(entry.bytes) }</small>
                    if entry.id != here {
                        <button type="button" class="icon" aria-label={label.clone()} title={label} onclick={remove}>
                            <Icon name={IconName::Close} />
                        </button>
                    }
                </li>
            }
        }) }</ul>
    }
}

fn choose(nodes: &UseStateHandle<u16>) -> Callback<Event> {
    let nodes = nodes.clone();
    Callback::from(move |event: Event| {
        if let Some(count) = event.target_dyn_into::<HtmlSelectElement>().and_then(|select| select.value().parse().ok())
        {
            nodes.set(count);
        }
    })
}

fn open_file(keeper: &Rc<Keeper>, notice: &UseStateHandle<Option<Result<String, String>>>) -> Callback<MouseEvent> {
    let (keeper, notice) = (keeper.clone(), notice.clone());
    Callback::from(move |_: MouseEvent| {
        let (keeper, notice) = (keeper.clone(), notice.clone());
        wasm_bindgen_futures::spawn_local(async move {
            match link::open_file().await {
                None => {}
                Some(Err(())) => notice.set(Some(Err(t(NO_CLUSTER_IN_IT).into()))),
                Some(Ok((name, state))) => {
                    if let Err(error) = keeper.begin(Some(name), &state).await {
                        notice.set(Some(Err(error.0)));
                    }
                }
            }
        });
    })
}

/// Puts a text into the clipboard. Whether the browser allows it.
async fn copy(text: &str) -> bool {
    let Some(window) = web_sys::window() else { return false };
    if !window.is_secure_context() {
        return false;
    }
    wasm_bindgen_futures::JsFuture::from(window.navigator().clipboard().write_text(text)).await.is_ok()
}
