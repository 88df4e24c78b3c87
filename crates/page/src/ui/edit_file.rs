//! Files that programs in the terminals want edited (`vi`, `nano`, `kubectl edit`), one after the other in a dialog.

use std::rc::Rc;

use playground_control::{EditorFile, EditorWord};
use web_sys::KeyboardEvent;
use yew::prelude::*;

use super::area::Area;
use super::dialog::Dialog;
use super::late::use_views;
use crate::api::Api;
use crate::text::{CANCEL, EDIT_FILE, SAVE, UNSAVED, t};

/// What the cluster's schema helps to write.
const MANIFESTS: [&str; 3] = [".yaml", ".yml", ".json"];

/// A file that a program waits for.
#[derive(Clone, PartialEq)]
pub struct Wish {
    /// The file.
    pub file: EditorFile,
    /// Hears what became of it.
    pub answer: Callback<EditorWord>,
}

/// The files that programs wait for, the one that is shown first. Each has a number of its own: terminals number
/// theirs by themselves.
#[derive(Default, PartialEq)]
pub struct Wishes {
    waiting: Vec<(u32, Wish)>,
    last: u32,
}

/// What happens to them.
pub enum WishAct {
    /// There is another.
    Add(Wish),
    /// The first one is answered.
    Answer(EditorWord),
}

impl Reducible for Wishes {
    type Action = WishAct;

    fn reduce(self: Rc<Self>, act: WishAct) -> Rc<Self> {
        let (mut waiting, mut last) = (self.waiting.clone(), self.last);
        match act {
            WishAct::Add(wish) => {
                last = last.wrapping_add(1);
                waiting.push((last, wish));
            }
            WishAct::Answer(word) if !waiting.is_empty() => waiting.remove(0).1.answer.emit(word),
            WishAct::Answer(_) => {}
        }
        Rc::new(Self { waiting, last })
    }
}

/// What the dialogs are given.
#[derive(Properties, PartialEq)]
pub struct EditFilesProps {
    /// The way to the cluster, whose schema helps.
    pub api: Api,
    /// The files.
    pub wishes: UseReducerHandle<Wishes>,
}

/// The dialog of the first file, over everything.
#[component]
pub fn EditFiles(props: &EditFilesProps) -> Html {
    let first = props.wishes.waiting.first().map(|(number, wish)| (*number, &wish.file));
    let id = first.map(|(_, file)| file.id);
    let answer = {
        let wishes = props.wishes.dispatcher();
        move |word| wishes.dispatch(WishAct::Answer(word))
    };
    let views = {
        let answer = answer.clone();
        // The program goes on in the terminal then.
        use_views(first.map(|(number, _)| number), move || {
            answer(EditorWord::Unavailable { id: id.unwrap_or_default() })
        })
    };
    let body = gloo::utils::body();
    let (Some((number, file)), Some(views)) = (first, views.as_ref()) else { return Html::default() };
    let id = file.id;
    let on_done = Callback::from(move |text: Option<String>| {
        answer(match text {
            Some(text) => EditorWord::Saved { id, text },
            None => EditorWord::Cancelled { id },
        });
    });
    let dialog = (views.edit_file)(EditFileProps { api: props.api.clone(), file: file.clone(), on_done });
    create_portal(html! { <div key={number}>{ dialog }</div> }, body.into())
}

/// What a dialog is given.
#[derive(Properties, PartialEq)]
pub struct EditFileProps {
    /// The way to the cluster, whose schema helps.
    pub api: Api,
    /// The file.
    pub file: EditorFile,
    /// Hears the text to save, or nothing.
    pub on_done: Callback<Option<String>>,
}

/// A file's dialog.
#[component]
pub fn EditFile(props: &EditFileProps) -> Html {
    let now = use_state_eq(|| props.file.text.clone());
    let warned = use_state_eq(|| false);
    let save = {
        let (now, on_done) = (now.clone(), props.on_done.clone());
        Callback::from(move |()| on_done.emit(Some((*now).clone())))
    };
    let cancel = props.on_done.reform(|_: MouseEvent| None);
    let on_close = {
        // Escape is a reflex in an editor: nothing is lost by it.
        let (changed, warned, on_done) = (*now != props.file.text, warned.clone(), props.on_done.clone());
        Callback::from(move |()| if changed { warned.set(true) } else { on_done.emit(None) })
    };
    let onkeydown = {
        let save = save.clone();
        Callback::from(move |event: KeyboardEvent| {
            if (event.ctrl_key() || event.meta_key()) && event.key().eq_ignore_ascii_case("s") {
                event.prevent_default();
                save.emit(());
            }
        })
    };
    let on_write = {
        let now = now.clone();
        Callback::from(move |text: String| now.set(text))
    };
    let title = EDIT_FILE.with(&[&props.file.name]);
    let is_manifest = MANIFESTS.iter().any(|ending| props.file.name.ends_with(ending));
    html! {
        <Dialog title={title.clone()} class="edit-file" {on_close}>
            <div class="edit" {onkeydown}>
                <Area api={is_manifest.then(|| props.api.clone())} label={title} text={props.file.text.clone()} now={(*now).clone()} {on_write} />
                if *warned { <p class="error" role="alert">{ t(UNSAVED) }</p> }
                <div class="actions">
                    <button type="button" class="primary small" aria-keyshortcuts="Control+S Meta+S" title="Ctrl+S"
                        onclick={save.reform(|_: MouseEvent| ())}>{ t(SAVE) }</button>
                    <button type="button" class="small" onclick={cancel}>{ t(CANCEL) }</button>
                </div>
            </div>
        </Dialog>
    }
}
