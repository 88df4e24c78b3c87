//! CertificateSigningRequests: who is approved without being asked for, what is signed, and what is
//! cleaned away (`pkg/controller/certificates`).

pub mod approver;
pub mod cleaner;
pub mod signer;

use std::fmt::Debug;

use client::{Context, Event, Informer, key_of};
use k8s_openapi::api::certificates::v1::{CertificateSigningRequest, CertificateSigningRequestCondition};
use machinery::Timestamp;

use crate::controller::Queue;

/// The host's certificate authority: keys and X.509 are its business. Without one, requests are
/// approved and denied by hand, and nothing is signed, as where kube-controller-manager has no
/// `--cluster-signing-cert-file`.
pub trait Authority: Debug {
    /// What a PEM request asks for, provided that its signature is its key's.
    ///
    /// # Errors
    /// Why it cannot be read.
    fn read(&self, request: &[u8]) -> Result<Requested, String>;

    /// The PEM certificate for a request: its subject, alternative names and key, with these usages of
    /// the API (`client auth`) and this validity, which ends with the authority's own at the latest.
    ///
    /// # Errors
    /// Why it cannot be signed.
    fn sign(&self, request: &[u8], usages: &[String], valid: (Timestamp, Timestamp)) -> Result<Vec<u8>, String>;

    /// When a PEM certificate ends.
    fn not_after(&self, certificate: &[u8]) -> Option<Timestamp>;
}

/// Whom a request asks a certificate for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requested {
    /// The subject's common name.
    pub common_name: String,
    /// The subject's organizations.
    pub organizations: Vec<String>,
    /// Alternative names, by kind: how many DNS names…
    pub dns_names: usize,
    /// …addresses…
    pub addresses: usize,
    /// …e-mail addresses…
    pub emails: usize,
    /// …and URIs.
    pub uris: usize,
}

/// The signer of client certificates.
pub const CLIENT: &str = "kubernetes.io/kube-apiserver-client";
/// The signer of kubelets' client certificates.
pub const KUBELET_CLIENT: &str = "kubernetes.io/kube-apiserver-client-kubelet";
/// The signer of kubelets' server certificates.
pub const KUBELET_SERVING: &str = "kubernetes.io/kubelet-serving";
/// The signer of anything, which only v1beta1 could ask for.
pub const LEGACY_UNKNOWN: &str = "kubernetes.io/legacy-unknown";

/// The group of nodes, and what their users' names begin with.
const NODES: &str = "system:nodes";
const NODE_PREFIX: &str = "system:node:";

fn conditions(request: &CertificateSigningRequest) -> impl Iterator<Item = &CertificateSigningRequestCondition> {
    request.status.iter().filter_map(|status| status.conditions.as_ref()).flatten()
}

fn has(request: &CertificateSigningRequest, condition: &str) -> bool {
    conditions(request).any(|one| one.type_ == condition)
}

fn certificate(request: &CertificateSigningRequest) -> Option<&[u8]> {
    let certificate = request.status.as_ref()?.certificate.as_ref()?;
    Some(&certificate.0).filter(|bytes| !bytes.is_empty()).map(Vec::as_slice)
}

/// Adds every request that is there.
fn observe(requests: &mut Informer<CertificateSigningRequest>, cx: &mut Context<'_>, queue: &mut Queue) {
    for event in requests.poll(cx) {
        if !matches!(event, Event::Deleted(_)) {
            queue.add_for(key_of(&**event.object()), &**event.object());
        }
    }
}

/// What is wrong with a kubelet's request for a client certificate (`ValidateKubeletClientCSR`).
fn check_kubelet_client(requested: &Requested, usages: &[String]) -> Result<(), String> {
    check_organization(requested)?;
    let forbidden = [
        ("DNS", requested.dns_names),
        ("Email", requested.emails),
        ("IP", requested.addresses),
        ("URI", requested.uris),
    ];
    if let Some((kind, _)) = forbidden.iter().find(|(_, count)| *count > 0) {
        return Err(format!("{kind} subjectAltNames are not allowed"));
    }
    check_common_name(requested)?;
    check_usages(usages, "client auth")
}

/// What is wrong with a kubelet's request for a server certificate (`ValidateKubeletServingCSR`).
fn check_kubelet_serving(requested: &Requested, usages: &[String]) -> Result<(), String> {
    check_organization(requested)?;
    if requested.dns_names + requested.addresses == 0 {
        return Err("DNS or IP subjectAltName is required".into());
    }
    if let Some((kind, _)) = [("Email", requested.emails), ("URI", requested.uris)].iter().find(|(_, count)| *count > 0)
    {
        return Err(format!("{kind} subjectAltNames are not allowed"));
    }
    check_usages(usages, "server auth")?;
    check_common_name(requested)
}

fn check_organization(requested: &Requested) -> Result<(), String> {
    if requested.organizations == [NODES] { Ok(()) } else { Err("subject organization is not system:nodes".into()) }
}

fn check_common_name(requested: &Requested) -> Result<(), String> {
    let begins = requested.common_name.starts_with(NODE_PREFIX);
    if begins { Ok(()) } else { Err("subject common name does not begin with system:node:".into()) }
}

/// `key encipherment` is for RSA keys.
fn check_usages(usages: &[String], purpose: &str) -> Result<(), String> {
    let mut required = ["digital signature", "key encipherment", purpose];
    let is_set = |wanted: &[&str]| {
        wanted.iter().all(|one| usages.iter().any(|usage| usage == one))
            && usages.iter().all(|usage| wanted.contains(&usage.as_str()))
    };
    if is_set(&required) || is_set(&["digital signature", purpose]) {
        return Ok(());
    }
    required.sort_unstable();
    Err(format!("usages did not match [{}]", required.join(" ")))
}
