//! The terminal: xterm.js (www/widgets/terminal.js) joined to the learner's shell.

use std::cell::RefCell;
use std::rc::Rc;

use bytes::Bytes;
use futures::StreamExt;
use gloo::timers::future::TimeoutFuture;
use js_sys::Uint8Array;
use playground_control::{EDITOR, EditorFile, EditorWord};
use wasm_bindgen::prelude::*;
use web_sys::HtmlElement;
use yew::prelude::*;

use crate::api::{Api, Frame};
use crate::text::{SHELL_ENDED, t};
use crate::ui::edit_file::Wish;
use crate::ui::theme::Theme;

/// Channels of exec, by Kubernetes' numbers.
const STDIN: u8 = 0;
const RESIZE: u8 = 4;

#[wasm_bindgen]
extern "C" {
    /// The class in www/widgets/terminal.js.
    type PlaygroundTerminal;

    #[wasm_bindgen(constructor)]
    fn new(element: &HtmlElement, on_input: &JsValue, on_resize: &JsValue) -> PlaygroundTerminal;
    #[wasm_bindgen(method)]
    fn write(this: &PlaygroundTerminal, bytes: &Uint8Array);
    #[wasm_bindgen(method, js_name = "type")]
    fn type_text(this: &PlaygroundTerminal, text: &str);
    #[wasm_bindgen(method)]
    fn find(this: &PlaygroundTerminal, text: &str) -> bool;
    #[wasm_bindgen(method)]
    fn focus(this: &PlaygroundTerminal);
    #[wasm_bindgen(method, js_name = "setTheme")]
    fn set_theme(this: &PlaygroundTerminal, json: &str);
    #[wasm_bindgen(method)]
    fn size(this: &PlaygroundTerminal) -> Vec<u32>;
    #[wasm_bindgen(method)]
    fn dispose(this: &PlaygroundTerminal);
}

/// An open terminal, and what it needs to stay so.
struct Open {
    widget: PlaygroundTerminal,
    _on_input: Closure<dyn Fn(Uint8Array)>,
    _on_resize: Closure<dyn Fn(u32, u32)>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.widget.dispose();
    }
}

/// Where typed bytes go. They wait while there is no connection.
type Line = Rc<RefCell<Typing>>;

#[derive(Default)]
struct Typing {
    send: Option<Rc<dyn Fn(Frame)>>,
    waiting: Vec<Frame>,
}

/// What a terminal is given.
#[derive(Properties, PartialEq)]
pub struct TerminalProps {
    /// The way to the shell.
    pub api: Api,
    /// The colours.
    pub theme: Theme,
    /// A command line to type, with a number that makes each of them new.
    pub typed: Option<(u32, String)>,
    /// Keys that were pressed beside it, as a terminal sends them, with a number that makes each of them new.
    pub pressed: Option<(u32, &'static str)>,
    /// Wishes that the keyboard be its own, counted.
    pub focus: u32,
    /// A text to look for, with a number that makes each search new.
    pub sought: Option<(u32, String)>,
    /// Hears whether what was looked for is there.
    pub on_found: Callback<bool>,
    /// Hears of a file to edit.
    pub on_edit: Callback<Wish>,
}

/// The terminal.
#[component]
pub fn Terminal(props: &TerminalProps) -> Html {
    let place = use_node_ref();
    let open = use_mut_ref(|| None::<Rc<Open>>);
    {
        let (open, place, api) = (open.clone(), place.clone(), props.api.clone());
        let on_edit = props.on_edit.clone();
        use_effect_with((), move |()| {
            if let Some(element) = place.cast::<HtmlElement>() {
                let (terminal, line) = open_in(&element);
                let terminal = Rc::new(terminal);
                wasm_bindgen_futures::spawn_local(join(Rc::downgrade(&terminal), line, api, on_edit));
                *open.borrow_mut() = Some(terminal);
            }
            move || drop(open.take())
        });
    }
    {
        let open = open.clone();
        use_effect_with(props.theme, move |theme| {
            if let Some(open) = open.borrow().as_ref() {
                open.widget.set_theme(theme.terminal());
            }
        });
    }
    {
        let (open, on_found) = (open.clone(), props.on_found.clone());
        use_effect_with(props.sought.clone(), move |sought| {
            if let (Some((_, text)), Some(open)) = (sought, open.borrow().as_ref()) {
                on_found.emit(open.widget.find(text));
            }
        });
    }
    {
        let open = open.clone();
        use_effect_with(props.typed.clone(), move |typed| {
            if let (Some((_, command)), Some(open)) = (typed, open.borrow().as_ref()) {
                open.widget.type_text(&format!("{command}\r"));
                open.widget.focus();
            }
        });
    }
    {
        let open = open.clone();
        use_effect_with(props.pressed, move |pressed| {
            if let (Some((_, keys)), Some(open)) = (pressed, open.borrow().as_ref()) {
                open.widget.type_text(keys);
                open.widget.focus();
            }
        });
    }
    {
        let open = open.clone();
        use_effect_with(props.focus, move |wishes| {
            if let Some(open) = open.borrow().as_ref().filter(|_| *wishes > 0) {
                open.widget.focus();
            }
        });
    }
    html! { <div class="terminal" ref={place} /> }
}

fn open_in(element: &HtmlElement) -> (Open, Line) {
    let line = Line::default();
    let send = |line: &Line, frame: Frame| {
        let mut line = line.borrow_mut();
        match &line.send {
            Some(send) => send(frame),
            None => line.waiting.push(frame),
        }
    };
    let typed = Rc::clone(&line);
    let on_input = Closure::<dyn Fn(Uint8Array)>::new(move |bytes: Uint8Array| {
        send(&typed, (STDIN, Bytes::from(bytes.to_vec())));
    });
    let resized = Rc::clone(&line);
    let on_resize = Closure::<dyn Fn(u32, u32)>::new(move |columns, rows| send(&resized, size_frame(columns, rows)));
    let widget = PlaygroundTerminal::new(element, on_input.as_ref(), on_resize.as_ref());
    (Open { widget, _on_input: on_input, _on_resize: on_resize }, line)
}

/// Kubernetes' TerminalSize, as exec's resize channel has it.
fn size_frame(columns: u32, rows: u32) -> Frame {
    (RESIZE, Bytes::from(format!("{{\"Width\":{columns},\"Height\":{rows}}}")))
}

/// What the page's editor says to the shell's side.
fn editor_frame(word: &EditorWord) -> Frame {
    (EDITOR, serde_json::to_vec(word).unwrap_or_default().into())
}

/// Joins terminal and shell for as long as the terminal is open, again when the shell goes away.
async fn join(terminal: std::rc::Weak<Open>, line: Line, api: Api, on_edit: Callback<Wish>) {
    loop {
        let connection = api.connect("/playground/v1/terminal").await;
        let Some(open) = terminal.upgrade() else { return };
        if let Ok(mut connection) = connection {
            if let [columns, rows] = open.widget.size()[..] {
                (connection.send)(size_frame(columns, rows));
            }
            let waiting = {
                let mut line = line.borrow_mut();
                line.send = Some(Rc::clone(&connection.send));
                std::mem::take(&mut line.waiting)
            };
            (connection.send)(editor_frame(&EditorWord::Ready));
            waiting.into_iter().for_each(|frame| (connection.send)(frame));
            drop(open);
            let mut heard = false;
            while let Some((channel, data)) = connection.receive.next().await {
                let Some(open) = terminal.upgrade() else { return };
                heard = true;
                if channel == 1 || channel == 2 {
                    open.widget.write(&Uint8Array::from(&data[..]));
                }
                if channel == EDITOR
                    && let Ok(file) = serde_json::from_slice::<EditorFile>(&data)
                {
                    let send = Rc::clone(&connection.send);
                    let answer = Callback::from(move |word| send(editor_frame(&word)));
                    on_edit.emit(Wish { file, answer });
                }
            }
            line.borrow_mut().send = None;
            if let Some(open) = terminal.upgrade().filter(|_| heard) {
                open.widget.write(&Uint8Array::from(format!("\r\n[{}]\r\n", t(SHELL_ENDED)).as_bytes()));
            }
        }
        TimeoutFuture::new(1_000).await;
    }
}
