//! Each kind of patch: the first byte chooses kind and object, the rest is the patch.
#![no_main]

use std::cell::RefCell;

use apiserver::ApiServer;
use machinery::wire::Body;
use playground_fuzz::{objects, send, server};
use serde_json::Value;

const TYPES: [&str; 4] = [
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
];

thread_local! {
    static SERVER: RefCell<(ApiServer, u32)> = RefCell::new((server(), 0));
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((choice, patch)) = bytes.split_first() else { return };
    let choice = usize::from(*choice);
    let kind = TYPES[choice % TYPES.len()];
    let objects = objects();
    let (path, _) = &objects[choice / TYPES.len() % objects.len()];
    let status = if choice & 0x80 == 0 { "" } else { "/status" };
    SERVER.with_borrow_mut(|(api, uses)| {
        *uses += 1;
        if *uses > 1000 {
            (*api, *uses) = (server(), 0);
        }
        let uri = format!("{path}/web{status}?fieldManager=fuzz&force=true");
        let request = http::Request::patch(uri).header("content-type", kind);
        let (code, text) = send(api, request.body(Body::Bytes(patch.to_vec().into())).expect("a request"));
        if !code.is_success() {
            return;
        }
        // Whoever manages a field manages one that is there.
        let object: Value = serde_json::from_str(&text).expect("an object is JSON");
        for entry in object["metadata"]["managedFields"].as_array().into_iter().flatten() {
            assert!(entry["fieldsV1"].is_object(), "{text}");
        }
    });
});
