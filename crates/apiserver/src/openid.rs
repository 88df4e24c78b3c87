//! `/.well-known/openid-configuration` and `/openid/v1/jwks`: how others check ServiceAccounts' tokens.

use http::StatusCode;
use http::header::{CACHE_CONTROL, HeaderValue};
use machinery::wire::{Body, Response};

use crate::auth::token::{DISCOVERY_PATH, JWKS_PATH};
use crate::request_info::RequestInfo;
use crate::server::{ApiServer, response};

/// Answers, if the path is one of the two.
pub(crate) fn answer(server: &ApiServer, info: &RequestInfo) -> Option<Response> {
    let (content_type, document) = match info.path.as_str() {
        DISCOVERY_PATH => ("application/json", server.signer().discovery(server)),
        JWKS_PATH => ("application/jwk-set+json", server.signer().key_set()),
        _ => return None,
    };
    let mut response = response(StatusCode::OK, content_type, Body::Bytes(document.to_string().into()));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    Some(response)
}
