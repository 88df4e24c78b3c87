//! The line between two panes, which a pointer or the arrow keys move.

use wasm_bindgen::JsCast;
use web_sys::{Element, KeyboardEvent, PointerEvent};
use yew::prelude::*;

/// How far an arrow key moves the line, in pixels.
const KEY_STEP: f64 = 24.0;

/// What a line is given.
#[derive(Properties, PartialEq)]
pub struct SplitProps {
    /// What it resizes, for those who hear the page.
    pub label: AttrValue,
    /// Whether the line stands upright, between left and right.
    pub upright: bool,
    /// The size of the pane it resizes, in pixels.
    pub size: f64,
    /// The smallest and the largest size.
    pub limits: (f64, f64),
    /// Whether the pane lies before the line (left or above) or after it.
    pub before: bool,
    /// Hears the new size.
    pub on_resize: Callback<f64>,
}

/// The line.
#[component]
pub fn Split(props: &SplitProps) -> Html {
    let from = use_mut_ref(|| None::<(f64, f64)>);
    let (upright, size, limits) = (props.upright, props.size, props.limits);
    let sign = if props.before { 1.0 } else { -1.0 };
    let resize = {
        let on_resize = props.on_resize.clone();
        move |size: f64| on_resize.emit(size.clamp(limits.0, limits.1))
    };
    let along = move |event: &PointerEvent| f64::from(if upright { event.client_x() } else { event.client_y() });
    let onpointerdown = {
        let from = from.clone();
        Callback::from(move |event: PointerEvent| {
            *from.borrow_mut() = Some((along(&event), size));
            if let Some(element) = event.target().and_then(|target| target.dyn_into::<Element>().ok()) {
                let _ = element.set_pointer_capture(event.pointer_id());
            }
        })
    };
    let onpointermove = {
        let (from, resize) = (from.clone(), resize.clone());
        Callback::from(move |event: PointerEvent| {
            if let Some((start, size)) = *from.borrow() {
                resize(size + sign * (along(&event) - start));
            }
        })
    };
    let onpointerup = Callback::from(move |_: PointerEvent| {
        from.take();
    });
    let onkeydown = Callback::from(move |event: KeyboardEvent| {
        let step = match (event.key().as_str(), upright) {
            ("ArrowRight", true) | ("ArrowDown", false) => KEY_STEP,
            ("ArrowLeft", true) | ("ArrowUp", false) => -KEY_STEP,
            _ => return,
        };
        event.prevent_default();
        resize(size + sign * step);
    });
    html! {
        <div class={classes!("split", if upright { "upright" } else { "level" })} role="separator" tabindex="0"
            aria-label={props.label.clone()} aria-orientation={if upright { "vertical" } else { "horizontal" }}
            aria-valuenow={(size.round() as i64).to_string()} aria-valuemin={limits.0.to_string()}
            aria-valuemax={limits.1.to_string()} {onpointerdown} {onpointermove} {onpointerup} {onkeydown} />
    }
}
