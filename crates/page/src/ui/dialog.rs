//! What lies over the page until it is closed: the browser's own dialog, which keeps the keyboard inside and
//! gives it back.

use wasm_bindgen::JsCast;
use web_sys::{Element, HtmlDialogElement, HtmlElement, KeyboardEvent};
use yew::prelude::*;

use super::icon::{Icon, IconName};
use crate::text::{CLOSE, t};

/// What a dialog is given.
#[derive(Properties, PartialEq)]
pub struct DialogProps {
    /// Its title.
    pub title: AttrValue,
    /// Its class.
    pub class: &'static str,
    /// Whether the title is shown, with a button that closes.
    #[prop_or(true)]
    pub titled: bool,
    /// Hears that it is to be closed.
    pub on_close: Callback<()>,
    /// What is in it.
    pub children: Html,
}

/// A dialog, open for as long as it is there.
#[component]
pub fn Dialog(props: &DialogProps) -> Html {
    let place = use_node_ref();
    {
        let place = place.clone();
        use_effect_with((), move |()| {
            let dialog = place.cast::<HtmlDialogElement>();
            let before = gloo::utils::document().active_element().and_then(|it| it.dyn_into::<HtmlElement>().ok());
            if let Some(dialog) = &dialog {
                // It is open already only where it could not have been closed.
                let _ = dialog.show_modal();
            }
            move || {
                if let Some(dialog) = dialog {
                    dialog.close();
                }
                // The browser gives it back only from a dialog that is still in the page.
                if let Some(before) = before {
                    let _ = before.focus();
                }
            }
        });
    }
    let onclick = {
        let on_close = props.on_close.clone();
        Callback::from(move |event: MouseEvent| {
            // Outside of the content lies the dialog's own backdrop.
            let target = event.target().and_then(|target| target.dyn_into::<Element>().ok());
            if target.is_some_and(|target| target.tag_name() == "DIALOG") {
                on_close.emit(());
            }
        })
    };
    let onkeydown = {
        let on_close = props.on_close.clone();
        Callback::from(move |event: KeyboardEvent| {
            // What is open within takes it for itself.
            if event.key() == "Escape" && !event.default_prevented() {
                event.prevent_default();
                on_close.emit(());
            }
        })
    };
    html! {
        <dialog ref={place} class={props.class} aria-label={props.title.clone()} {onclick} {onkeydown}>
            <div class="sheet">
                if props.titled {
                    <header>
                        <h2>{ props.title.clone() }</h2>
                        <button type="button" class="icon" aria-label={t(CLOSE)} title={t(CLOSE)}
                            onclick={props.on_close.reform(|_: MouseEvent| ())}><Icon name={IconName::Close} /></button>
                    </header>
                }
                { props.children.clone() }
            </div>
        </dialog>
    }
}
