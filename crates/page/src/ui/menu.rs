//! A menu where the pointer is, or what is chosen.

use wasm_bindgen::JsCast;
use web_sys::{HtmlElement, KeyboardEvent};
use yew::prelude::*;

/// What a menu is given.
#[derive(Properties, PartialEq)]
pub struct MenuProps {
    /// What it is about.
    pub label: AttrValue,
    /// Where it opens, in pixels of the page.
    pub at: (i32, i32),
    /// What there is to choose.
    pub items: Vec<(AttrValue, Callback<()>)>,
    /// Hears that it is to be closed.
    pub on_close: Callback<()>,
}

/// The menu.
#[component]
pub fn Menu(props: &MenuProps) -> Html {
    let place = use_node_ref();
    {
        let place = place.clone();
        use_effect_with((), move |()| focus(&place, 0));
    }
    let onkeydown = {
        let (place, on_close) = (place.clone(), props.on_close.clone());
        let count = props.items.len() as i32;
        Callback::from(move |event: KeyboardEvent| {
            let here = (0..count).find(|index| item(&place, *index).is_some_and(|item| has_focus(&item))).unwrap_or(0);
            match event.key().as_str() {
                "ArrowDown" => focus(&place, (here + 1).rem_euclid(count)),
                "ArrowUp" => focus(&place, (here - 1).rem_euclid(count)),
                "Home" => focus(&place, 0),
                "End" => focus(&place, count - 1),
                "Escape" | "Tab" => on_close.emit(()),
                _ => return,
            }
            event.prevent_default();
            event.stop_propagation();
        })
    };
    let close = props.on_close.reform(|_: MouseEvent| ());
    let style = format!("--x: {}px; --y: {}px", props.at.0, props.at.1);
    html! {
        <div class="menu-veil" onclick={close.clone()} oncontextmenu={props.on_close.reform(|event: MouseEvent| event.prevent_default())}>
            <div class="menu" role="menu" aria-label={props.label.clone()} {style} ref={place} {onkeydown}>
                <p class="eyebrow" role="presentation">{ props.label.clone() }</p>
                { for props.items.iter().map(|(label, act)| {
                    let act = act.clone();
                    let onclick = Callback::from(move |_: MouseEvent| act.emit(()));
                    html! { <button type="button" role="menuitem" tabindex="-1" {onclick}>{ label.clone() }</button> }
                }) }
            </div>
        </div>
    }
}

fn item(place: &NodeRef, index: i32) -> Option<HtmlElement> {
    let items = place.cast::<HtmlElement>()?.query_selector_all("[role=menuitem]").ok()?;
    items.get(u32::try_from(index).ok()?)?.dyn_into().ok()
}

fn focus(place: &NodeRef, index: i32) {
    if let Some(item) = item(place, index) {
        // An element that is not shown takes no focus.
        let _ = item.focus();
    }
}

fn has_focus(item: &HtmlElement) -> bool {
    let active = web_sys::window().and_then(|window| window.document()).and_then(|document| document.active_element());
    active.is_some_and(|active| active.is_same_node(Some(item)))
}
