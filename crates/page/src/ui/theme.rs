//! Light, dark, high contrast: as the system has it, until the person chooses.

use gloo::events::EventListener;
use gloo::storage::{LocalStorage, Storage};
use web_sys::{MediaQueryList, window};

use super::icon::IconName;
use crate::text::{CONTRAST_THEME, DARK_THEME, LIGHT_THEME, Text};

const KEY: &str = "theme";

/// How the page looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    /// By day.
    Light,
    /// By night.
    Dark,
    /// Black, white and few strong colours.
    Contrast,
}

impl Theme {
    const ALL: [Self; 3] = [Self::Light, Self::Dark, Self::Contrast];

    /// Its name in the style sheet.
    fn name(self) -> &'static str {
        match self {
            Self::Light => "light",
            Self::Dark => "dark",
            Self::Contrast => "contrast",
        }
    }

    /// The one after it.
    pub fn next(self) -> Self {
        match self {
            Self::Light => Self::Dark,
            Self::Dark => Self::Contrast,
            Self::Contrast => Self::Light,
        }
    }

    /// What a button that chooses it says.
    pub fn label(self) -> (Text, IconName) {
        match self {
            Self::Light => (LIGHT_THEME, IconName::Sun),
            Self::Dark => (DARK_THEME, IconName::Moon),
            Self::Contrast => (CONTRAST_THEME, IconName::Contrast),
        }
    }

    /// The terminal's colours, as xterm.js takes them.
    pub fn terminal(self) -> &'static str {
        match self {
            Self::Light => {
                r##"{"background":"#fffdf8","foreground":"#1b2a3a","cursor":"#b0126a","cursorAccent":"#fffdf8","selectionBackground":"#cfe3f1",
        "black":"#1b2a3a","red":"#b3261e","green":"#17694a","yellow":"#845200","blue":"#1d5fae","magenta":"#a1125f","cyan":"#0b6b78","white":"#5a6878",
        "brightBlack":"#5a6878","brightRed":"#c4372e","brightGreen":"#1d7a57","brightYellow":"#946000","brightBlue":"#2a6fc2","brightMagenta":"#b82274","brightCyan":"#117c8a","brightWhite":"#1b2a3a"}"##
            }
            Self::Dark => {
                r##"{"background":"#0a1220","foreground":"#dce6f2","cursor":"#ff7ab8","cursorAccent":"#0a1220","selectionBackground":"#2b4468",
        "black":"#1b2a41","red":"#ff8080","green":"#7fd8a6","yellow":"#f2c46d","blue":"#7fb4ff","magenta":"#ff8fc4","cyan":"#6fd6e0","white":"#dce6f2",
        "brightBlack":"#7f93ad","brightRed":"#ffa0a0","brightGreen":"#a0e8c0","brightYellow":"#ffd98f","brightBlue":"#a5cbff","brightMagenta":"#ffb0d6","brightCyan":"#9ae6ee","brightWhite":"#ffffff"}"##
            }
            Self::Contrast => {
                r##"{"background":"#000000","foreground":"#ffffff","cursor":"#ffe14d","cursorAccent":"#000000","selectionBackground":"#5a5200",
        "black":"#000000","red":"#ff9b9b","green":"#7dffb0","yellow":"#ffe14d","blue":"#9cc9ff","magenta":"#ffb3da","cyan":"#8af5ff","white":"#ffffff",
        "brightBlack":"#c8c8c8","brightRed":"#ffb8b8","brightGreen":"#a8ffcb","brightYellow":"#fff08a","brightBlue":"#bcdcff","brightMagenta":"#ffcfe8","brightCyan":"#b5f9ff","brightWhite":"#ffffff"}"##
            }
        }
    }
}

/// Puts the theme on the page and says which it is.
pub fn start() -> Theme {
    let theme = wanted();
    apply(theme);
    theme
}

/// How the page is to look now.
fn wanted() -> Theme {
    let chosen = LocalStorage::get::<String>(KEY).ok();
    if let Some(theme) = chosen.and_then(|chosen| Theme::ALL.into_iter().find(|theme| theme.name() == chosen)) {
        return theme;
    }
    let wants = |query: &str| {
        let query = window().and_then(|window| window.match_media(query).ok().flatten());
        query.is_some_and(|query| query.matches())
    };
    // Colours of the system's: the theme whose drawings are on such a ground.
    if wants("(forced-colors: active) and (prefers-color-scheme: light)") {
        Theme::Light
    } else if wants("(forced-colors: active)") || wants("(prefers-contrast: more)") {
        Theme::Contrast
    } else if wants("(prefers-color-scheme: dark)") {
        Theme::Dark
    } else {
        Theme::Light
    }
}

/// What of the system's settings a theme depends on.
const SETTINGS: [&str; 3] = ["(prefers-color-scheme: dark)", "(prefers-contrast: more)", "(forced-colors: active)"];

/// Follows the system's settings while the listeners are kept, as long as nobody has chosen.
pub fn follow(change: impl Fn(Theme) + Clone + 'static) -> Vec<EventListener> {
    let settings = SETTINGS.iter().filter_map(|query| window()?.match_media(query).ok()?);
    let listen = |setting: MediaQueryList| {
        let change = change.clone();
        EventListener::new(&setting, "change", move |_| change(start()))
    };
    settings.map(listen).collect()
}

/// Keeps a choice and puts it on the page.
pub fn choose(theme: Theme) {
    apply(theme);
    // A browser that keeps nothing asks the system again.
    let _ = LocalStorage::set(KEY, theme.name());
}

/// Puts it on the page, for the style sheet.
fn apply(theme: Theme) {
    if let Some(root) = window().and_then(|window| window.document()).and_then(|document| document.document_element()) {
        let _ = root.set_attribute("data-theme", theme.name());
    }
}
