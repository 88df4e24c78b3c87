//! Where text is written: CodeMirror (www/widgets/editor.js), whose code comes with the first use.

use js_sys::Promise;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, future_to_promise};
use web_sys::{HtmlElement, HtmlTextAreaElement};
use yew::prelude::*;

use crate::api::{Api, Call};

#[wasm_bindgen]
extern "C" {
    /// The class in www/widgets/editor.js.
    type PlaygroundEditor;

    #[wasm_bindgen(js_name = playgroundEditor)]
    fn open_editor(
        element: &HtmlElement,
        text: &str,
        label: &str,
        on_change: &JsValue,
        ask: Option<&JsValue>,
    ) -> Promise;
    #[wasm_bindgen(method, js_name = "setError")]
    fn set_error(this: &PlaygroundEditor, message: &str);
    #[wasm_bindgen(method, js_name = "setText")]
    fn set_text(this: &PlaygroundEditor, text: &str, at: u32);
    #[wasm_bindgen(method)]
    fn focus(this: &PlaygroundEditor);
    #[wasm_bindgen(method)]
    fn dispose(this: &PlaygroundEditor);
}

/// What the place is given.
#[derive(Properties, PartialEq)]
pub struct AreaProps {
    /// The way to the cluster, whose schema helps with manifests. Without it the text is any text.
    pub api: Option<Api>,
    /// What is edited, for those who do not see it.
    pub label: String,
    /// The text to begin with.
    pub text: String,
    /// The text as it is now.
    pub now: String,
    /// What the server has against it.
    #[prop_or_default]
    pub error: String,
    /// Hears each text that it becomes.
    pub on_write: Callback<String>,
}

/// An editor that is open, and what it needs to stay so.
struct Open {
    widget: PlaygroundEditor,
    _on_change: Closure<dyn Fn(String)>,
    _ask: Option<Closure<dyn Fn(String) -> Promise>>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.widget.dispose();
    }
}

/// The place: a plain field until the editor's code has come.
#[component]
pub fn Area(props: &AreaProps) -> Html {
    let (place, field) = (use_node_ref(), use_node_ref());
    let open = use_mut_ref(|| None::<Open>);
    let rich = use_state_eq(|| false);
    {
        let (place, field, open, rich) = (place.clone(), field.clone(), open.clone(), rich.clone());
        let (api, label, text, on_write) =
            (props.api.clone(), props.label.clone(), props.text.clone(), props.on_write.clone());
        use_effect_with((), move |()| {
            let on_change = Closure::<dyn Fn(String)>::new(move |text: String| on_write.emit(text));
            let ask = api.map(|api| {
                Closure::<dyn Fn(String) -> Promise>::new(move |path: String| {
                    let api = api.clone();
                    future_to_promise(async move {
                        let answer = api.send(Call::get(path)).await.map_err(|error| JsValue::from(error.0))?;
                        Ok(String::from_utf8_lossy(&answer.bytes().await).as_ref().into())
                    })
                })
            });
            if let Some(field) = field.cast::<HtmlTextAreaElement>() {
                // At the beginning, as the editor is.
                let _ = field.set_selection_range(0, 0);
                field.set_scroll_top(0);
            }
            let gone = std::rc::Rc::new(std::cell::Cell::new(false));
            let (left, keep) = (gone.clone(), open.clone());
            if let Some(element) = place.cast::<HtmlElement>() {
                let coming = open_editor(&element, &text, &label, on_change.as_ref(), ask.as_ref().map(AsRef::as_ref));
                wasm_bindgen_futures::spawn_local(async move {
                    // Without the editor's code the plain field stays.
                    let Ok(widget) = JsFuture::from(coming).await else { return };
                    let opened = Open { widget: widget.unchecked_into(), _on_change: on_change, _ask: ask };
                    if !left.get() {
                        // What was written meanwhile goes on in the editor.
                        let written = field.cast::<HtmlTextAreaElement>().filter(|field| field.value() != text);
                        if let Some(field) = written {
                            let at = field.selection_start().ok().flatten().unwrap_or_default();
                            opened.widget.set_text(&field.value(), at);
                        }
                        *keep.borrow_mut() = Some(opened);
                        rich.set(true);
                    }
                });
            }
            move || {
                gone.set(true);
                drop(open.take());
            }
        });
    }
    {
        // What is hidden takes no keyboard.
        let open = open.clone();
        use_effect_with(*rich, move |_| {
            if let Some(open) = open.borrow().as_ref() {
                open.widget.focus();
            }
        });
    }
    {
        let open = open.clone();
        use_effect_with((props.error.clone(), *rich), move |(error, _)| {
            if let Some(open) = open.borrow().as_ref() {
                open.widget.set_error(error);
            }
        });
    }
    let oninput = props.on_write.reform(|event: InputEvent| {
        event.target_dyn_into::<HtmlTextAreaElement>().map(|area| area.value()).unwrap_or_default()
    });
    html! {
        <>
            <div class="editor" ref={place} hidden={!*rich} />
            if !*rich {
                <label><span class="hidden">{ &props.label }</span>
                    <textarea ref={field} autofocus=true spellcheck="false" autocapitalize="off" value={props.now.clone()} {oninput} />
                </label>
            }
        </>
    }
}
