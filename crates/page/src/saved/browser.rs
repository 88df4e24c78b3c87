//! What www/widgets/keep.js has of the browser.

use js_sys::{Array, Uint8Array};
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = PlaygroundKeep, js_name = keys, catch)]
    async fn js_keys() -> Result<JsValue, JsValue>;
    #[wasm_bindgen(js_namespace = PlaygroundKeep, js_name = get, catch)]
    async fn js_get(key: &str) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(js_namespace = PlaygroundKeep, js_name = set, catch)]
    async fn js_set(key: &str, value: &JsValue) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(js_namespace = PlaygroundKeep, js_name = remove, catch)]
    async fn js_remove(key: &str) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(js_namespace = PlaygroundKeep, js_name = compress, catch)]
    async fn js_compress(bytes: &Uint8Array) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(js_namespace = PlaygroundKeep, js_name = expand, catch)]
    async fn js_expand(bytes: &Uint8Array) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(js_namespace = PlaygroundKeep, js_name = claim, catch)]
    async fn js_claim(name: &str) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(js_namespace = PlaygroundKeep, js_name = pick, catch)]
    async fn js_pick(accept: &str) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(js_namespace = PlaygroundKeep, js_name = dropped, catch)]
    async fn js_dropped(transfer: &JsValue) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(js_namespace = PlaygroundKeep, js_name = download, catch)]
    fn js_download(name: &str, bytes: &Uint8Array) -> Result<(), JsValue>;
}

/// All keys; none where the browser keeps nothing.
pub(super) async fn keys() -> Vec<String> {
    let keys = js_keys().await.map(|keys| Array::from(&keys)).unwrap_or_default();
    keys.iter().filter_map(|key| key.as_string()).collect()
}

/// A text.
pub(super) async fn text(key: &str) -> Option<String> {
    js_get(key).await.ok()?.as_string()
}

/// Bytes.
pub(super) async fn bytes(key: &str) -> Option<Vec<u8>> {
    bytes_of(&js_get(key).await.ok()?)
}

/// Keeps a text. Whether the browser did.
pub(super) async fn set_text(key: &str, text: &str) -> bool {
    js_set(key, &text.into()).await.is_ok()
}

/// Keeps bytes. Whether the browser did.
pub(super) async fn set_bytes(key: &str, bytes: &[u8]) -> bool {
    js_set(key, &Uint8Array::from(bytes)).await.is_ok()
}

/// Forgets a key.
pub(super) async fn remove(key: &str) {
    // A browser that keeps nothing has nothing to forget.
    let _ = js_remove(key).await;
}

/// Bytes made small, as raw deflate.
pub(super) async fn compress(bytes: &[u8]) -> Option<Vec<u8>> {
    bytes_of(&js_compress(&Uint8Array::from(bytes)).await.ok()?)
}

/// The bytes that were made small.
pub(super) async fn expand(bytes: &[u8]) -> Option<Vec<u8>> {
    bytes_of(&js_expand(&Uint8Array::from(bytes)).await.ok()?)
}

/// Whether this tab has a name for itself from now on.
pub(super) async fn claim(name: &str) -> bool {
    js_claim(name).await.is_ok_and(|claimed| claimed.is_truthy())
}

/// Gives a file to the person.
pub(super) fn download(name: &str, bytes: &[u8]) {
    // A browser that forbids it has said so itself.
    let _ = js_download(name, &Uint8Array::from(bytes));
}

/// Asks the person for a file; its name and bytes.
pub async fn pick(accept: &str) -> Option<(String, Vec<u8>)> {
    let parts = js_pick(accept).await.ok().filter(JsValue::is_truthy).map(|parts| Array::from(&parts))?;
    Some((parts.get(0).as_string()?, bytes_of(&parts.get(1))?))
}

/// The files that were dropped, as names and texts.
pub async fn dropped(transfer: Option<web_sys::DataTransfer>) -> Vec<(String, String)> {
    let files = js_dropped(&transfer.into()).await.map(|files| Array::from(&files)).unwrap_or_default();
    let file = |parts: JsValue| {
        let parts = Array::from(&parts);
        Some((parts.get(0).as_string()?, parts.get(1).as_string()?))
    };
    files.iter().filter_map(file).collect()
}

fn bytes_of(value: &JsValue) -> Option<Vec<u8>> {
    value.dyn_ref::<Uint8Array>().map(Uint8Array::to_vec)
}
