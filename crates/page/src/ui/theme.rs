//! Light and dark: as the system has it, until the person chooses.

use gloo::storage::{LocalStorage, Storage};
use web_sys::window;

const KEY: &str = "theme";

/// Puts the theme on the page and says whether it is dark.
pub fn start() -> bool {
    let dark = dark();
    apply(dark);
    dark
}

/// Whether the page is to be dark now.
fn dark() -> bool {
    if let Ok(chosen) = LocalStorage::get::<String>(KEY) {
        return chosen == "dark";
    }
    let query = window().and_then(|window| window.match_media("(prefers-color-scheme: dark)").ok().flatten());
    query.is_some_and(|query| query.matches())
}

/// Keeps a choice and puts it on the page.
pub fn choose(dark: bool) {
    apply(dark);
    let _ = LocalStorage::set(KEY, if dark { "dark" } else { "light" });
}

/// Puts it on the page, for the style sheet.
fn apply(dark: bool) {
    if let Some(root) = window().and_then(|window| window.document()).and_then(|document| document.document_element()) {
        let _ = root.set_attribute("data-theme", if dark { "dark" } else { "light" });
    }
}

/// The terminal's colours, as xterm.js takes them.
pub fn terminal(dark: bool) -> &'static str {
    if dark {
        r##"{"background":"#0a1220","foreground":"#dce6f2","cursor":"#ff7ab8","cursorAccent":"#0a1220","selectionBackground":"#2b4468",
        "black":"#1b2a41","red":"#ff8080","green":"#7fd8a6","yellow":"#f2c46d","blue":"#7fb4ff","magenta":"#ff8fc4","cyan":"#6fd6e0","white":"#dce6f2",
        "brightBlack":"#7f93ad","brightRed":"#ffa0a0","brightGreen":"#a0e8c0","brightYellow":"#ffd98f","brightBlue":"#a5cbff","brightMagenta":"#ffb0d6","brightCyan":"#9ae6ee","brightWhite":"#ffffff"}"##
    } else {
        r##"{"background":"#fffdf8","foreground":"#1b2a3a","cursor":"#b0126a","cursorAccent":"#fffdf8","selectionBackground":"#cfe3f1",
        "black":"#1b2a3a","red":"#b3261e","green":"#17694a","yellow":"#845200","blue":"#1d5fae","magenta":"#a1125f","cyan":"#0b6b78","white":"#5a6878",
        "brightBlack":"#5a6878","brightRed":"#c4372e","brightGreen":"#1d7a57","brightYellow":"#946000","brightBlue":"#2a6fc2","brightMagenta":"#b82274","brightCyan":"#117c8a","brightWhite":"#1b2a3a"}"##
    }
}
