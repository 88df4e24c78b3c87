//! Every text of the page, in each of its languages. Kubernetes' own words (kinds, fields, events, errors) stay
//! as they are, and lessons have a language of their own.

use std::cell::Cell;

use gloo::storage::{LocalStorage, Storage};
use web_sys::window;

/// A language of the page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// English.
    #[default]
    English,
    /// Simplified Chinese.
    Chinese,
}

impl Language {
    /// As HTML names it.
    pub fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh-Hans",
        }
    }

    /// The other one, and its own name for itself.
    pub fn other(self) -> (Self, &'static str) {
        match self {
            Self::English => (Self::Chinese, "中文"),
            Self::Chinese => (Self::English, "English"),
        }
    }
}

const KEY: &str = "language";

thread_local! {
    static LANGUAGE: Cell<Language> = const { Cell::new(Language::English) };
}

/// Begins with the language that the person has chosen, or that the browser prefers.
pub fn start() {
    let chosen = LocalStorage::get::<String>(KEY).ok();
    let prefers = || window().and_then(|window| window.navigator().language());
    let tag = chosen.or_else(prefers).unwrap_or_default();
    apply(if tag.starts_with("zh") { Language::Chinese } else { Language::English });
}

/// Keeps a choice. What is shown already changes when it is drawn anew.
pub fn choose(language: Language) {
    // A browser that keeps nothing asks again.
    let _ = LocalStorage::set(KEY, language.tag());
    apply(language);
}

/// The language that is spoken now.
pub fn language() -> Language {
    LANGUAGE.get()
}

fn apply(language: Language) {
    LANGUAGE.set(language);
    let Some(document) = window().and_then(|window| window.document()) else { return };
    document.set_title(t(TITLE));
    if let Some(root) = document.document_element() {
        // A page without a root element has no words either.
        let _ = root.set_attribute("lang", language.tag());
    }
}

/// A text: English, then Chinese. `{}` stands for what is put in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text(&'static str, &'static str);

/// The text in the language that is spoken.
pub fn t(text: Text) -> &'static str {
    match language() {
        Language::English => text.0,
        Language::Chinese => text.1,
    }
}

impl Text {
    /// The text with its gaps filled, in order.
    pub fn with(self, parts: &[&str]) -> String {
        let mut out = String::new();
        let mut parts = parts.iter();
        for (index, piece) in t(self).split("{}").enumerate() {
            if index > 0 {
                out.push_str(parts.next().copied().unwrap_or_default());
            }
            out.push_str(piece);
        }
        out
    }
}

macro_rules! texts {
    ($($name:ident: $english:literal, $chinese:literal;)*) => {
        $(#[doc = $english] pub const $name: Text = Text($english, $chinese);)*
        #[cfg(test)]
        const ALL: &[Text] = &[$($name),*];
    };
}

include!("texts.rs");

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;

    #[wasm_bindgen_test]
    fn languages_have_the_same_gaps() {
        for text in ALL {
            assert_eq!(text.0.matches("{}").count(), text.1.matches("{}").count(), "{}", text.0);
        }
        assert_eq!(CLUSTER_NUMBER.with(&["4"]), "Cluster 4");
    }
}
