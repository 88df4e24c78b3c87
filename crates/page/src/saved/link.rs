//! A cluster in an address: raw deflate in base64url, after `#cluster=`. Nothing of it is sent to a server.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use web_sys::window;

use super::browser;

const NAME: &str = "cluster=";
/// The longest address that mail and chat programs can be trusted with; a larger cluster is shared as a file.
pub const LINK_CHARS_MAX: usize = 60_000;

/// The address at which a state opens.
pub async fn address(state: &[u8]) -> Option<String> {
    let packed = browser::compress(state).await?;
    let location = window()?.location();
    let page = format!("{}{}", location.origin().ok()?, location.pathname().ok()?);
    Some(format!("{page}#{NAME}{}", URL_SAFE_NO_PAD.encode(packed)))
}

/// The state in this page's address, which is taken out of it. `Err` where it cannot be read.
pub async fn take() -> Option<Result<Vec<u8>, ()>> {
    let location = window()?.location();
    let hash = location.hash().ok()?;
    let data = hash.trim_start_matches('#').strip_prefix(NAME)?.to_owned();
    let plain = format!("{}{}", location.pathname().ok()?, location.search().ok()?);
    // The address bar is all that would tell.
    let _ = window()?.history().ok()?.replace_state_with_url(&wasm_bindgen::JsValue::NULL, "", Some(&plain));
    let packed = URL_SAFE_NO_PAD.decode(data).ok();
    let state = match packed {
        Some(packed) => browser::expand(&packed).await,
        None => None,
    };
    Some(state.ok_or(()))
}

/// Gives the person a state as a file.
pub async fn download(name: &str, state: &[u8]) {
    if let Some(packed) = browser::compress(state).await {
        let plain: String = name.chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).collect();
        browser::download(&format!("{plain}.playground"), &packed);
    }
}

/// The state in a file that the person chooses, and the file's name. `Err` where it cannot be read.
pub async fn open_file() -> Option<Result<(String, Vec<u8>), ()>> {
    let (name, packed) = browser::pick(".playground").await?;
    let state = browser::expand(&packed).await;
    Some(state.map(|state| (name.trim_end_matches(".playground").to_owned(), state)).ok_or(()))
}
