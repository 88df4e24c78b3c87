//! Who may talk to this server at all.

use std::net::SocketAddr;

use apiserver::UserInfo;
use axum::body::Body;
use http::header::{HOST, ORIGIN};
use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::Peer;

/// A certificate's common name is the user, its organizations are the groups, and its fingerprint says by what the
/// user is known (upstream authentication/request/x509).
pub fn user_of(der: &CertificateDer<'_>) -> Option<UserInfo> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let subject = certificate.subject();
    let name = subject.iter_common_name().next()?.as_str().ok()?;
    let groups: Vec<&str> = subject.iter_organization().filter_map(|group| group.as_str().ok()).collect();
    let mut user = UserInfo::new(name, &groups);
    let fingerprint: String = Sha256::digest(der).iter().map(|byte| format!("{byte:02x}")).collect();
    user.extra.insert("authentication.kubernetes.io/credential-id".into(), vec![format!("X509SHA256={fingerprint}")]);
    Some(user)
}

/// Keeps other web pages out: a browser that was led here by a foreign name (DNS rebinding), or that
/// sends a foreign page's request, is refused. Over TLS a foreign name does not get this far, since the
/// server's certificate does not have it; who is there may do what the API server allows them.
///
/// # Errors
/// What is wrong with the request.
pub fn check(request: &http::Request<Body>, peer: &Peer, address: SocketAddr) -> Result<(), String> {
    if peer.secure {
        return Ok(());
    }
    let header = |name| request.headers().get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
    let host = request.uri().authority().map(|authority| authority.as_str()).or_else(|| header(HOST));
    let host = host.unwrap_or_default();
    if !is_this_machine(host, address) {
        return Err(format!("{host:?} is not a name of this server"));
    }
    match header(ORIGIN) {
        Some(origin) if origin.split_once("://").is_none_or(|(_, origin)| origin != host) => {
            Err(format!("requests from {origin} are not answered"))
        }
        _ => Ok(()),
    }
}

fn is_this_machine(host: &str, address: SocketAddr) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || name.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback() || ip == address.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(host: &str, origin: &str) -> http::Request<Body> {
        let mut builder = http::Request::get("/api").header(HOST, host);
        if !origin.is_empty() {
            builder = builder.header(ORIGIN, origin);
        }
        builder.body(Body::empty()).unwrap()
    }

    #[test]
    fn foreign_names_and_foreign_pages_are_refused() {
        let peer = Peer { user: None, secure: false };
        let address = "127.0.0.1:6443".parse().unwrap();
        for (host, origin, allowed) in [
            ("127.0.0.1:6443", "", true),
            ("localhost:6443", "http://localhost:6443", true),
            ("[::1]:6443", "", true),
            ("evil.example:6443", "", false),
            ("localhost:6443", "http://evil.example", false),
            ("localhost:6443", "http://localhost:8000", false),
            ("localhost:6443", "null", false),
            ("", "", false),
        ] {
            assert_eq!(check(&request(host, origin), &peer, address).is_ok(), allowed, "{host} {origin}");
        }
    }
}
