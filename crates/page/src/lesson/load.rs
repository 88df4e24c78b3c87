//! Lessons from beside the page, as the build left them there.

use playground_lesson::{Index, Lesson};
use serde::de::DeserializeOwned;
use wasm_bindgen::JsCast;
use wasm_bindgen_futures::JsFuture;

use crate::text::{Language, NO_LESSON, language};

/// All lessons there are.
///
/// # Errors
/// Words for the person at the page.
pub async fn index() -> Result<Index, String> {
    json("index").await
}

/// One lesson.
///
/// # Errors
/// Words for the person at the page.
pub async fn lesson(id: &str) -> Result<Lesson, String> {
    json(id).await
}

async fn json<T: DeserializeOwned>(name: &str) -> Result<T, String> {
    let folder = match language() {
        Language::English => "",
        Language::Chinese => "zh/",
    };
    let text = text(&format!("./lessons/{folder}{name}.json")).await;
    text.and_then(|text| serde_json::from_str(&text).ok()).ok_or_else(|| NO_LESSON.with(&[name]))
}

async fn text(path: &str) -> Option<String> {
    let response: web_sys::Response =
        JsFuture::from(web_sys::window()?.fetch_with_str(path)).await.ok()?.dyn_into().ok()?;
    if !response.ok() {
        return None;
    }
    JsFuture::from(response.text().ok()?).await.ok()?.as_string()
}
