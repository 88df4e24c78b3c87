//! TLS as a kubeconfig wants it.

use std::sync::Arc;

use kubectl::{Endpoint, SendError};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, Error, RootCertStore};

use crate::tls::Anybody;

/// The configuration for an endpoint's servers.
///
/// # Errors
/// When a certificate or a key cannot be read.
pub fn config(endpoint: &Endpoint) -> Result<Arc<ClientConfig>, SendError> {
    let failed = |error: &dyn std::fmt::Display| SendError::Failed(error.to_string());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(&error))?;
    let builder = if endpoint.insecure_skip_tls_verify {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider)))
    } else {
        builder.with_root_certificates(roots(endpoint)?)
    };
    let config = if endpoint.client_certificate.is_empty() {
        builder.with_no_client_auth()
    } else {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&endpoint.client_certificate).collect();
        let chain = chain.map_err(|error| failed(&error))?;
        let key = PrivateKeyDer::from_pem_slice(&endpoint.client_key).map_err(|error| failed(&error))?;
        builder.with_client_auth_cert(chain, key).map_err(|error| failed(&error))?
    };
    Ok(Arc::new(config))
}

/// Whom to trust: the endpoint's authority, or those of the system.
fn roots(endpoint: &Endpoint) -> Result<RootCertStore, SendError> {
    let mut roots = RootCertStore::empty();
    if endpoint.certificate_authority.is_empty() {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return Ok(roots);
    }
    for certificate in CertificateDer::pem_slice_iter(&endpoint.certificate_authority) {
        let certificate = certificate.map_err(|_| {
            SendError::Failed("unable to load root certificates: unable to parse bytes as PEM block".into())
        })?;
        roots.add(certificate).map_err(|error| SendError::Failed(error.to_string()))?;
    }
    Ok(roots)
}

/// A failed handshake in the words of Go's crypto/tls.
pub fn reason(error: &std::io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    let detail = match inner {
        Some(Error::InvalidCertificate(reason)) => match reason {
            rustls::CertificateError::UnknownIssuer => "x509: certificate signed by unknown authority",
            rustls::CertificateError::Expired | rustls::CertificateError::ExpiredContext { .. } => {
                "x509: certificate has expired or is not yet valid"
            }
            rustls::CertificateError::NotValidForName | rustls::CertificateError::NotValidForNameContext { .. } => {
                "x509: certificate is not valid for that name"
            }
            _ => return format!("tls: failed to verify certificate: {reason}"),
        },
        _ => return super::go_reason(error),
    };
    format!("tls: failed to verify certificate: {detail}")
}
