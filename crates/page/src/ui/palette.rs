//! The command palette: kinds as `:deploy`, commands and objects by their names, from the keyboard.

use std::cell::RefCell;
use std::rc::Rc;

use web_sys::{HtmlInputElement, KeyboardEvent};
use yew::prelude::*;

use super::dialog::Dialog;
use super::kinds::Kind;
use crate::text::*;
use crate::world::World;

const SHOWN_MAX: usize = 12;

/// What a person may ask the page for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// The map.
    Map,
    /// The tables.
    Table,
    /// The table's filter.
    Filter,
    /// Pause, or go on.
    Pause,
    /// The next event.
    Step,
    /// Back to before the last change.
    Undo,
    /// What the last command did, step by step.
    Story,
    /// What can go wrong.
    Faults,
    /// Saved clusters, sharing.
    Clusters,
    /// The next theme.
    Theme,
    /// The other language.
    Language,
    /// One more terminal.
    NewTerminal,
    /// Search in the terminal.
    FindInTerminal,
}

const COMMANDS: [(Text, &str, Command); 13] = [
    (SHOW_MAP, "", Command::Map),
    (SHOW_TABLE, "", Command::Table),
    (FILTER_TABLE, "/", Command::Filter),
    (PAUSE_OR_GO_ON, "space", Command::Pause),
    (NEXT_EVENT, ".", Command::Step),
    (UNDO, "Ctrl Z", Command::Undo),
    (WHAT_HAPPENED, ";", Command::Story),
    (FAULTS, "", Command::Faults),
    (CLUSTERS, "", Command::Clusters),
    (NEXT_THEME, "", Command::Theme),
    (OTHER_LANGUAGE, "", Command::Language),
    (NEW_TERMINAL, "", Command::NewTerminal),
    (FIND_IN_TERMINAL, "", Command::FindInTerminal),
];

/// What was chosen.
#[derive(Clone, Debug, PartialEq)]
pub enum Chosen {
    /// The table of a kind, by its plural.
    Kind(String),
    /// An object, as `resource/key`.
    Object(String),
    /// A command.
    Command(Command),
}

/// Keys that are pressed after the palette's own and before the palette is there: whoever knows the keys waits for
/// nothing.
#[derive(Debug, Default)]
pub struct Early(RefCell<Option<String>>);

impl Early {
    /// The palette has been asked for.
    pub fn begin(&self) {
        self.0.replace(Some(String::new()));
    }

    /// Takes a key, if the palette is on its way.
    pub fn hear(&self, key: &str) -> bool {
        let mut written = self.0.borrow_mut();
        let Some(written) = written.as_mut() else { return false };
        match key {
            "Enter" => written.push('\n'),
            "Backspace" => drop(written.pop()),
            key if key.chars().count() == 1 => written.push_str(key),
            _ => {}
        }
        true
    }

    /// What was written; from now on keys go where the focus is.
    pub fn end(&self) -> String {
        self.0.take().unwrap_or_default()
    }
}

/// What the palette is given.
#[derive(Clone, Properties)]
pub struct PaletteProps {
    /// The cluster's kinds.
    pub kinds: Rc<Vec<Kind>>,
    /// The cluster's objects.
    pub world: Rc<World>,
    /// What was written before it was there.
    pub early: Rc<Early>,
    /// Hears what was chosen.
    pub on_choose: Callback<Chosen>,
    /// Hears that it is to be closed.
    pub on_close: Callback<()>,
}

impl PartialEq for PaletteProps {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.kinds, &other.kinds) && self.on_choose == other.on_choose && self.on_close == other.on_close
    }
}

/// The palette.
#[component]
pub fn Palette(props: &PaletteProps) -> Html {
    let asked = use_state_eq(String::new);
    let at = use_state_eq(|| 0usize);
    let input = use_node_ref();
    {
        let (input, asked, props) = (input.clone(), asked.clone(), props.clone());
        use_effect_with((), move |()| {
            let early = props.early.end();
            let (written, chosen) = early.split_once('\n').map_or((&*early, false), |(written, _)| (written, true));
            if let Some(input) = input.cast::<HtmlInputElement>() {
                // The dialog focuses its first control otherwise, which is the same.
                let _ = input.focus();
                input.set_value(written);
            }
            asked.set(written.to_owned());
            if let Some(first) = find(written, &props.kinds, &props.world).into_iter().next().filter(|_| chosen) {
                props.on_choose.emit(first.chosen);
            }
        });
    }
    let found = find(&asked, &props.kinds, &props.world);
    let here = (*at).min(found.len().saturating_sub(1));
    let oninput = {
        let (asked, at) = (asked.clone(), at.clone());
        Callback::from(move |event: InputEvent| {
            if let Some(input) = event.target_dyn_into::<HtmlInputElement>() {
                asked.set(input.value());
                at.set(0);
            }
        })
    };
    let onkeydown = {
        let (at, on_choose, count) = (at.clone(), props.on_choose.clone(), found.len());
        let (drawn, kinds, world) = (asked.clone(), props.kinds.clone(), props.world.clone());
        Callback::from(move |event: KeyboardEvent| {
            match event.key().as_str() {
                "ArrowDown" if count > 0 => at.set((here + 1) % count),
                "ArrowUp" if count > 0 => at.set((here + count - 1) % count),
                "Enter" => {
                    // A fast hand is ahead of the list: what counts is what is written.
                    let input = event.target_dyn_into::<HtmlInputElement>();
                    let written = input.map(|input| input.value()).unwrap_or_default();
                    let place = if written == *drawn { here } else { 0 };
                    if let Some(found) = find(&written, &kinds, &world).into_iter().nth(place) {
                        on_choose.emit(found.chosen);
                    }
                }
                _ => return,
            }
            event.prevent_default();
        })
    };
    html! {
        <Dialog title={t(COMMANDS_TITLE)} class="palette" titled={false} on_close={props.on_close.clone()}>
            <input ref={input} type="text" role="combobox" aria-label={t(COMMANDS_TITLE)} aria-expanded="true"
                aria-controls="palette-list" aria-autocomplete="list" autocomplete="off" spellcheck="false"
                aria-activedescendant={(!found.is_empty()).then(|| format!("palette-{here}"))}
                placeholder={t(PALETTE_HINT)} value={(*asked).clone()} {oninput} {onkeydown} />
            <ul id="palette-list" role="listbox" aria-label={t(COMMANDS_TITLE)}>
                { for found.into_iter().enumerate().map(|(index, Found { label, hint, chosen })| {
                    let on_choose = props.on_choose.clone();
                    let onclick = Callback::from(move |_: MouseEvent| on_choose.emit(chosen.clone()));
                    html! {
                        <li id={format!("palette-{index}")} role="option" aria-selected={(index == here).to_string()} {onclick}>
                            <span>{ label }</span><small>{ hint }</small>
                        </li>
                    }
                }) }
            </ul>
        </Dialog>
    }
}

struct Found {
    label: String,
    hint: String,
    chosen: Chosen,
}

/// What fits what was asked for: best first.
fn find(asked: &str, kinds: &[Kind], world: &World) -> Vec<Found> {
    let only_kinds = asked.starts_with(':');
    let wanted = asked.trim_start_matches(':').trim().to_lowercase();
    let rank = |names: &[&str]| {
        let ranks = names.iter().filter(|name| !name.is_empty()).map(|name| {
            let name = name.to_lowercase();
            match name.find(&wanted) {
                _ if name == wanted => 0,
                Some(0) => 1,
                Some(_) => 2,
                None => 9,
            }
        });
        ranks.min().unwrap_or(9)
    };
    let mut found: Vec<(usize, usize, Found)> = Vec::new();
    for kind in kinds {
        let short: Vec<&str> = kind.short.iter().map(String::as_str).collect();
        let names = [&[kind.resource.as_str(), kind.kind.as_str()], &short[..]].concat();
        let chosen = Chosen::Kind(kind.resource.clone());
        let hint =
            if short.is_empty() { kind.resource.clone() } else { format!("{} · {}", kind.resource, short.join(", ")) };
        found.push((
            rank(&names),
            if wanted.is_empty() && !only_kinds { 2 } else { 0 },
            Found { label: kind.kind.clone(), hint, chosen },
        ));
    }
    if !only_kinds {
        for (label, key, command) in COMMANDS {
            let chosen = Chosen::Command(command);
            found.push((rank(&[t(label)]), 1, Found { label: t(label).into(), hint: key.into(), chosen }));
        }
        let snapshot = world.snapshot();
        for resource in ["pods", "deployments", "services", "nodes"].iter().filter(|_| !wanted.is_empty()) {
            for object in snapshot.list(resource) {
                let chosen = Chosen::Object(format!("{resource}/{}", object.key()));
                found.push((
                    rank(&[object.name()]),
                    3,
                    Found { label: object.key(), hint: (*resource).into(), chosen },
                ));
            }
        }
    }
    found.retain(|(rank, ..)| *rank < 9);
    found.sort_by_key(|(rank, group, _)| (*rank, *group));
    found.into_iter().take(SHOWN_MAX).map(|(_, _, found)| found).collect()
}
