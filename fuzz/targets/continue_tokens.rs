//! Tokens of a list's next chunk, encoded and as they are.
#![no_main]

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use machinery::wire::Body;
use playground_fuzz::{send, server};

thread_local! {
    static SERVER: apiserver::ApiServer = server();
}

libfuzzer_sys::fuzz_target!(|token: &[u8]| {
    let encoded = URL_SAFE_NO_PAD.encode(token);
    for token in [Some(encoded.as_str()), std::str::from_utf8(token).ok()].into_iter().flatten() {
        for path in ["/api/v1/namespaces/default/configmaps", "/apis/rbac.authorization.k8s.io/v1/clusterroles"] {
            let Ok(request) = http::Request::get(format!("{path}?limit=2&continue={token}")).body(Body::empty()) else {
                return;
            };
            SERVER.with(|api| send(api, request));
        }
    }
});
