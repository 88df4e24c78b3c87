//! What is built into the binary, compressed: the page, each file as browsers take it, and the API's field documentation.

use std::io::Read;

use axum::body::Body;
use flate2::read::GzDecoder;
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use crate::http::accepts_gzip;

/// `dist/`, as `cargo xtask page` builds it, by path, compressed by gzip: brotli is smaller, but not every browser
/// takes it without TLS. Sorted; empty in a build without the page.
static FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/page.rs"));

static DESCRIPTIONS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptions.json.gz"));

/// The API's field documentation: see [`machinery::schema`].
///
/// # Errors
/// None: it is linked.
pub fn descriptions() -> Result<bytes::Bytes, machinery::split::NotLoaded> {
    Ok(unpacked(DESCRIPTIONS).into())
}

/// Whether this build has the page in it.
pub fn present() -> bool {
    find("index.html").is_some()
}

fn find(name: &str) -> Option<&'static [u8]> {
    FILES.iter().find(|(known, _)| *known == name).map(|(_, file)| *file)
}

/// The asset at a path of the page.
pub fn serve(path: &str, asked: &HeaderMap) -> Response<Body> {
    let name = match path.trim_start_matches('/') {
        "" => "index.html",
        name => name,
    };
    let Some(file) = find(name) else { return not_found(name) };
    let caching = if names_its_content(name) { "public, max-age=31536000, immutable" } else { "no-cache" };
    // A page without its token is not to be taken for this server's: it tells by this mark who brought it.
    let marked = name == "index.html";
    let gzip = accepts_gzip(asked) && !marked;
    let body = match (marked, gzip) {
        (true, _) => Body::from(String::from_utf8_lossy(&unpacked(file)).replacen("<html ", "<html data-served ", 1)),
        (false, true) => Body::from(file),
        (false, false) => Body::from(unpacked(file)),
    };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type(name)));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(caching));
    headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    if gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// A file as it was; what the build has compressed is whole.
pub fn unpacked(file: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let _ = GzDecoder::new(file).read_to_end(&mut out);
    out
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
    use super::*;

    #[test]
    fn who_takes_no_gzip_gets_the_file_as_it_was() {
        for (name, file) in FILES {
            assert!(!unpacked(file).is_empty() || file.len() < 40, "{name}");
        }
        if present() {
            let plain = serve("/", &HeaderMap::new());
            assert!(!plain.headers().contains_key(CONTENT_ENCODING));
            let asked = HeaderMap::from_iter([(http::header::ACCEPT_ENCODING, HeaderValue::from_static("gzip, br"))]);
            let (script, _) = FILES.iter().find(|(name, _)| name.ends_with(".js")).unwrap();
            assert_eq!(serve(script, &asked).headers()[CONTENT_ENCODING], "gzip");
            assert!(!serve(script, &HeaderMap::new()).headers().contains_key(CONTENT_ENCODING));
        }
        assert_eq!(serve("/no/such/file", &HeaderMap::new()).status(), StatusCode::NOT_FOUND);
    }

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
