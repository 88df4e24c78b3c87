//! The terminals: tabs, two side by side, search, and files that are dropped on them.

use std::rc::Rc;

use web_sys::{DragEvent, HtmlInputElement, KeyboardEvent};
use yew::prelude::*;

use crate::api::{Api, Call};
use crate::import;
use crate::saved::dropped;
use crate::terminal::Terminal;
use crate::text::*;
use crate::ui::clock::ClockAct;
use crate::ui::edit_file::{EditFiles, WishAct, Wishes};
use crate::ui::icon::{Icon, IconName};
use crate::ui::theme::Theme;

/// What a keyboard on glass has not, or hides: the label, its name, and what a terminal sends.
const KEYS_OF_A_TERMINAL: [(&str, Text, &str); 10] = [
    ("Tab", KEY_TAB, "\t"),
    ("Esc", KEY_ESCAPE, "\x1b"),
    ("^C", KEY_INTERRUPT, "\x03"),
    ("↑", KEY_UP, "\x1b[A"),
    ("↓", KEY_DOWN, "\x1b[B"),
    ("←", KEY_LEFT, "\x1b[D"),
    ("→", KEY_RIGHT, "\x1b[C"),
    ("|", KEY_PIPE, "|"),
    ("/", KEY_SLASH, "/"),
    ("-", KEY_DASH, "-"),
];

/// What a file needs to be applied.
const MANIFESTS: [&str; 3] = [".yaml", ".yml", ".json"];

/// What the pane is given.
#[derive(Properties, PartialEq)]
pub struct TerminalsProps {
    /// The way to the shells.
    pub api: Api,
    /// The colours.
    pub theme: Theme,
    /// The language: what is written is drawn anew with it, and the shells stay.
    pub language: Language,
    /// A command line to type into the terminal in front, with a number that makes each of them new.
    pub typed: Option<(u32, String)>,
    /// Counts the wishes for one more terminal.
    pub more: u32,
    /// Counts the wishes to search.
    pub search: u32,
    /// Hears a command line to type.
    pub on_run: Callback<String>,
    /// The revision that the page shows, where it is an earlier one: terminals answer from now.
    pub past: Option<u64>,
    /// Hears that the page is to show the present again.
    pub on_now: Callback<()>,
    /// Whether time stands still: programs wait then.
    pub paused: bool,
    /// Hears what is to become of the clock.
    pub on_clock: Callback<ClockAct>,
}

/// Which terminals there are.
#[derive(Clone, Debug, PartialEq)]
struct Tabs {
    /// Their numbers, in order.
    all: Rc<Vec<u32>>,
    /// The one in front.
    front: u32,
    /// The one beside it.
    beside: Option<u32>,
}

enum Act {
    Open,
    Show(u32),
    Close(u32),
    Split,
}

impl Default for Tabs {
    fn default() -> Self {
        Self { all: Rc::new(vec![1]), front: 1, beside: None }
    }
}

impl Tabs {
    fn with_new(&self) -> (Rc<Vec<u32>>, u32) {
        let next = self.all.iter().max().map_or(1, |last| last + 1);
        (Rc::new(self.all.iter().copied().chain([next]).collect()), next)
    }
}

impl Reducible for Tabs {
    type Action = Act;

    fn reduce(self: Rc<Self>, act: Act) -> Rc<Self> {
        let mut next = (*self).clone();
        match act {
            Act::Open => (next.all, next.front) = self.with_new(),
            Act::Show(which) => {
                if next.beside == Some(which) {
                    next.beside = Some(next.front);
                }
                next.front = which;
            }
            Act::Close(which) => {
                let left: Vec<u32> = self.all.iter().copied().filter(|tab| *tab != which).collect();
                let Some(last) = left.last() else { return self };
                next.beside = next.beside.filter(|beside| *beside != which);
                if next.front == which {
                    next.front = next.beside.take().unwrap_or(*last);
                }
                next.all = Rc::new(left);
            }
            Act::Split if next.beside.is_some() => next.beside = None,
            Act::Split => match self.all.iter().find(|tab| **tab != self.front) {
                Some(other) => next.beside = Some(*other),
                None => {
                    let (all, new) = self.with_new();
                    (next.all, next.beside) = (all, Some(new));
                }
            },
        }
        Rc::new(next)
    }
}

/// The pane.
#[component]
pub fn Terminals(props: &TerminalsProps) -> Html {
    let tabs = use_reducer_eq(Tabs::default);
    let typed = use_state_eq(|| None::<(u32, (u32, String))>);
    let search = use_state_eq(|| false);
    let sought = use_state_eq(|| None::<(u32, String)>);
    let found = use_state_eq(|| true);
    let over = use_state_eq(|| false);
    let pressed = use_state_eq(|| None::<(u32, &'static str)>);
    let field = use_node_ref();
    let wishes = use_reducer(Wishes::default);
    let on_edit = {
        let wishes = wishes.dispatcher();
        Callback::from(move |wish| wishes.dispatch(WishAct::Add(wish)))
    };
    {
        let (typed, front) = (typed.clone(), tabs.front);
        use_effect_with(props.typed.clone(), move |line| {
            if let Some(line) = line.clone() {
                typed.set(Some((front, line)));
            }
        });
    }
    {
        let tabs = tabs.dispatcher();
        use_effect_with(props.more, move |wishes| {
            if *wishes > 0 {
                tabs.dispatch(Act::Open);
            }
        });
    }
    {
        let search = search.clone();
        use_effect_with(props.search, move |wishes| {
            if *wishes > 0 {
                search.set(true);
            }
        });
    }
    {
        let field = field.clone();
        use_effect_with(*search, move |open| {
            if let Some(field) = field.cast::<HtmlInputElement>().filter(|_| *open) {
                // An element that is not shown takes no focus.
                let _ = field.focus();
            }
        });
    }
    // Who points at a terminal, or asks for a new one, will type there; who goes through the tabs by keys will not yet.
    let focus = use_state_eq(|| 0);
    let act = |act: fn(u32) -> Act, which: u32| {
        let (tabs, focus) = (tabs.dispatcher(), focus.clone());
        Callback::from(move |event: MouseEvent| {
            let act = act(which);
            if event.detail() > 0 || matches!(act, Act::Open) {
                focus.set(*focus + 1);
            }
            tabs.dispatch(act);
        })
    };
    let toggle_search = {
        let (search, sought) = (search.clone(), sought.clone());
        Callback::from(move |_: MouseEvent| {
            search.set(!*search);
            sought.set(None);
        })
    };
    let seek = {
        let sought = sought.clone();
        move |text: String| {
            let count = sought.as_ref().map_or(0, |(count, _)| count + 1);
            sought.set(Some((count, text)));
        }
    };
    let on_search_key = {
        let (seek, search) = (seek.clone(), search.clone());
        Callback::from(move |event: KeyboardEvent| match event.key().as_str() {
            "Escape" => search.set(false),
            "Enter" => {
                if let Some(field) = event.target_dyn_into::<HtmlInputElement>() {
                    seek(field.value());
                }
            }
            _ => {}
        })
    };
    let ondragover = {
        let over = over.clone();
        Callback::from(move |event: DragEvent| {
            event.prevent_default();
            over.set(true);
        })
    };
    let ondragleave = {
        let over = over.clone();
        Callback::from(move |_: DragEvent| over.set(false))
    };
    let ondrop = {
        let (over, api, on_run) = (over.clone(), props.api.clone(), props.on_run.clone());
        Callback::from(move |event: DragEvent| {
            event.prevent_default();
            over.set(false);
            let (api, on_run, transfer) = (api.clone(), on_run.clone(), event.data_transfer());
            wasm_bindgen_futures::spawn_local(async move {
                for (name, text) in dropped(transfer).await {
                    take_in(&api, &on_run, &name, text).await;
                }
            });
        })
    };
    let many = tabs.all.len() > 1;
    html! {
        <div class={classes!("terminals", over.then_some("over"))} {ondragover} {ondragleave} {ondrop}>
            <div class="terminal-bar">
                <div class="shells" role="tablist" aria-label={t(TERMINALS)}>
                    { for tabs.all.iter().map(|which| {
                        let here = *which == tabs.front;
                        let label = TERMINAL_NUMBER.with(&[&which.to_string()]);
                        html! {
                            <button key={*which} type="button" role="tab" id={format!("shell-tab-{which}")} aria-selected={here.to_string()}
                                aria-controls={format!("shell-{which}")} onclick={act(Act::Show, *which)}>{ label }</button>
                        }
                    }) }
                </div>
                <button type="button" class="icon" aria-label={t(NEW_TERMINAL)} title={t(NEW_TERMINAL)} onclick={act(|_| Act::Open, 0)}>
                    <Icon name={IconName::Plus} /></button>
                <button type="button" class="icon" aria-label={t(SIDE_BY_SIDE)} title={t(SIDE_BY_SIDE)}
                    aria-pressed={tabs.beside.is_some().to_string()} onclick={act(|_| Act::Split, 0)}><Icon name={IconName::Columns} /></button>
                <button type="button" class="icon" aria-label={t(FIND_IN_TERMINAL)} title={t(FIND_IN_TERMINAL)}
                    aria-pressed={search.to_string()} onclick={toggle_search}><Icon name={IconName::Inspect} /></button>
                if many {
                    <button type="button" class="icon" aria-label={t(CLOSE_TERMINAL)} title={t(CLOSE_TERMINAL)} onclick={act(Act::Close, tabs.front)}>
                        <Icon name={IconName::Close} /></button>
                }
                if *search {
                    <label class="find"><span class="hidden">{ t(FIND_IN_TERMINAL) }</span>
                        <input ref={field} type="search" placeholder={t(FIND_UPWARDS)} onkeydown={on_search_key}
                            class={classes!((!*found).then_some("none"))} />
                    </label>
                    <span class="hidden" role="status">{ if *found { "" } else { t(NOT_FOUND) } }</span>
                }
            </div>
            if props.paused {
                <div class="stands-still" role="status">
                    <Icon name={IconName::Pause} /><span>{ t(STANDS_STILL) }</span>
                    <button type="button" class="small" onclick={props.on_clock.reform(|_: MouseEvent| ClockAct::Toggle)}>{ t(GO_ON) }</button>
                </div>
            }
            if let Some(revision) = props.past {
                <div class="stands-still" role="status">
                    <Icon name={IconName::Story} /><span>{ ANSWERS_FROM_NOW.with(&[&revision.to_string()]) }</span>
                    <button type="button" class="small" onclick={props.on_now.reform(|_: MouseEvent| ())}>{ t(BACK_TO_NOW) }</button>
                </div>
            }
            <div class={classes!("shells-shown", tabs.beside.map(|_| "two"))}>
                { for tabs.all.iter().map(|which| {
                    let shown = *which == tabs.front || Some(*which) == tabs.beside;
                    let typed = typed.as_ref().filter(|(of, _)| of == which).map(|(_, line)| line.clone());
                    let sought = (*sought).clone().filter(|_| *which == tabs.front);
                    let pressed = (*pressed).filter(|_| *which == tabs.front);
                    let found = found.clone();
                    html! {
                        <div key={*which} id={format!("shell-{which}")} class={classes!("shell", shown.then_some("shown"), (*which == tabs.front).then_some("front"))}
                            role="tabpanel" aria-labelledby={format!("shell-tab-{which}")}>
                            <Terminal api={props.api.clone()} theme={props.theme} {typed} {pressed} {sought}
                                focus={if *which == tabs.front { *focus } else { 0 }} on_edit={on_edit.clone()}
                                on_found={Callback::from(move |there| found.set(there))} />
                        </div>
                    }
                }) }
            </div>
            <div class="keys" role="group" aria-label={t(KEYS)}>
                { for KEYS_OF_A_TERMINAL.into_iter().map(|(label, name, keys)| {
                    let pressed = pressed.clone();
                    let onclick = Callback::from(move |_: MouseEvent| {
                        pressed.set(Some((pressed.map_or(0, |(count, _)| count + 1), keys)));
                    });
                    html! { <button type="button" aria-label={t(name)} {onclick}>{ label }</button> }
                }) }
            </div>
            <EditFiles api={props.api.clone()} {wishes} />
            if *over { <p class="drop-here">{ t(DROP_HERE) }</p> }
        </div>
    }
}

/// Puts a file on the learner's computer, and applies it if it is a manifest. What a live cluster said of its
/// objects is made fit for this one.
async fn take_in(api: &Api, on_run: &Callback<String>, name: &str, text: String) {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '-' };
    let name: String = name.trim_start_matches('.').chars().map(plain).collect();
    let text = if import::is_dump(&text) { import::cleaned(&text) } else { text };
    let mut call = Call::get(format!("/playground/v1/files/{name}"));
    (call.method, call.body) = ("PUT".into(), text.into());
    let there = api.send(call).await.is_ok_and(|answer| answer.status == 200);
    if there && MANIFESTS.iter().any(|ending| name.ends_with(ending)) {
        on_run.emit(format!("kubectl apply -f {name}"));
    }
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;

    #[wasm_bindgen_test]
    fn tabs_come_go_and_stand_side_by_side() {
        let step = |tabs: Tabs, act: Act| (*Rc::new(tabs).reduce(act)).clone();
        let tabs = step(Tabs::default(), Act::Close(1));
        assert_eq!(tabs, Tabs::default(), "the last one stays");
        let tabs = step(tabs, Act::Split);
        assert_eq!((tabs.all.len(), tabs.front, tabs.beside), (2, 1, Some(2)));
        let tabs = step(step(tabs, Act::Open), Act::Close(3));
        assert_eq!((tabs.all.len(), tabs.front, tabs.beside), (2, 2, None));
    }
}
