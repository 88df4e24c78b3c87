//! Whole requests: `METHOD path?query` in the first line, headers until an empty line, the body.
#![no_main]

use std::cell::RefCell;

use apiserver::ApiServer;
use machinery::wire::{Body, Request};
use playground_fuzz::{send, server};

thread_local! {
    static SERVER: RefCell<(ApiServer, u32)> = RefCell::new((server(), 0));
}

fn request(text: &[u8]) -> Option<Request> {
    let end = text.windows(2).position(|pair| pair == b"\n\n").unwrap_or(text.len());
    let body = text.get(end + 2..).unwrap_or_default().to_vec();
    let mut lines = std::str::from_utf8(&text[..end]).ok()?.lines();
    let (method, uri) = lines.next()?.split_once(' ')?;
    let mut request = http::Request::builder().method(method).uri(uri);
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        request = request.header(name, value);
    }
    request.body(Body::Bytes(body.into())).ok()
}

libfuzzer_sys::fuzz_target!(|text: &[u8]| {
    let Some(request) = request(text) else { return };
    SERVER.with_borrow_mut(|(api, uses)| {
        *uses += 1;
        if *uses > 1000 {
            (*api, *uses) = (server(), 0);
        }
        send(api, request);
    });
});
