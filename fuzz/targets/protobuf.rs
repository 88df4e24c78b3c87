//! Bodies in Kubernetes' protobuf, as client-go sends them.
#![no_main]

use machinery::wire::Body;
use playground_fuzz::{objects, send, server};

thread_local! {
    static SERVER: apiserver::ApiServer = server();
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut body = b"k8s\0".to_vec();
    body.extend_from_slice(bytes);
    for (path, _) in objects() {
        let request = http::Request::post(format!("{path}?dryRun=All"))
            .header("content-type", "application/vnd.kubernetes.protobuf");
        SERVER.with(|api| send(api, request.body(Body::Bytes(body.clone().into())).expect("a request")));
    }
});
