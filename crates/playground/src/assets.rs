//! The page, built into the binary.

use axum::body::Body;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{Response, StatusCode};
use rust_embed::RustEmbed;

/// `dist/`, as `cargo xtask page` builds it; empty in a build without the page.
#[derive(RustEmbed)]
#[folder = "../../dist"]
#[allow_missing = true]
struct Page;

/// Whether this build has the page in it.
pub fn present() -> bool {
    Page::get("index.html").is_some()
}

/// The asset at a path of the page.
pub fn serve(path: &str) -> Response<Body> {
    let name = match path.trim_start_matches('/') {
        "" => "index.html",
        name => name,
    };
    let Some(file) = Page::get(name) else { return not_found(name) };
    let caching = if names_its_content(name) { "public, max-age=31536000, immutable" } else { "no-cache" };
    let mut response = Response::new(Body::from(file.data));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, http::HeaderValue::from_static(content_type(name)));
    headers.insert(CACHE_CONTROL, http::HeaderValue::from_static(caching));
    response
}

/// Whether a file's name has the hash that Trunk gives it: another content would have another name.
fn names_its_content(name: &str) -> bool {
    const HASH_DIGITS_MIN: usize = 13;
    name.split(['-', '_', '.'])
        .any(|part| part.len() >= HASH_DIGITS_MIN && part.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn not_found(name: &str) -> Response<Body> {
    let text = if name == "index.html" {
        "This build of playground has no page in it: build it with `cargo xtask serve`.\n"
    } else {
        "404 page not found\n"
    };
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "wasm" => "application/wasm",
        "json" | "webmanifest" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "md" | "yaml" | "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::names_its_content;

    #[test]
    fn only_names_with_a_hash_are_kept_for_ever() {
        for name in
            ["playground-page-42d350377a36ab30_bg.wasm", "page-97882addd016be67.css", "page-18479828331f55c.css"]
        {
            assert!(names_its_content(name), "{name}");
        }
        for name in ["index.html", "playground-worker_bg.wasm", "split_kubectl.wasm", "lessons/index.json"] {
            assert!(!names_its_content(name), "{name}");
        }
    }
}
