//! Signs what was approved (`pkg/controller/certificates/signer`).

use std::rc::Rc;
use std::time::Duration;

use client::{Client, Context, Informer};
use k8s_openapi::ByteString;
use k8s_openapi::api::certificates::v1::{CertificateSigningRequest, CertificateSigningRequestCondition};
use machinery::status::ApiError;
use machinery::time::{after, meta_time};
use machinery::{ObjectKey, Timestamp};

use super::{
    CLIENT, KUBELET_CLIENT, KUBELET_SERVING, LEGACY_UNKNOWN, Requested, certificate, check_kubelet_client,
    check_kubelet_serving, has, observe,
};
use crate::controller::{Controller, Queue};
use crate::{Options, Setup};

/// The longest a certificate is valid (`--cluster-signing-duration`).
const DURATION_MAX: Duration = Duration::from_secs(365 * 24 * 3600);
/// The shortest.
const DURATION_MIN: Duration = Duration::from_secs(600);
/// Certificates begin earlier, for clocks that are late…
const BACKDATE: Duration = Duration::from_secs(300);
/// …and end as much earlier, unless they are as short as this.
const SHORT: Duration = Duration::from_secs(8 * 3600);

/// What a signer demands of a request.
type Check = fn(&Requested, &[String]) -> Result<(), String>;

/// The signers that this controller is.
const SIGNERS: &[(&str, Check)] = &[
    (KUBELET_SERVING, check_kubelet_serving),
    (KUBELET_CLIENT, check_kubelet_client),
    (CLIENT, check_client),
    (LEGACY_UNKNOWN, |_, _| Ok(())),
];

/// The signer.
pub struct CertificateSigner {
    client: Client,
    options: Rc<Options>,
    requests: Informer<CertificateSigningRequest>,
}

impl CertificateSigner {
    /// From the process's informers.
    pub fn new(setup: &Setup, client: &Client) -> Self {
        Self { client: client.clone(), options: setup.options.clone(), requests: setup.informers.informer() }
    }
}

impl Controller for CertificateSigner {
    type Key = ObjectKey;

    fn observe(&mut self, cx: &mut Context<'_>, queue: &mut Queue) {
        observe(&mut self.requests, cx, queue);
    }

    fn synced(&self) -> bool {
        self.requests.synced()
    }

    fn sync(&mut self, key: &ObjectKey, queue: &mut Queue) -> Result<(), ApiError> {
        let (Some(authority), Some(request)) = (&self.options.authority, self.requests.get(key)) else { return Ok(()) };
        if !has(&request, "Approved") || has(&request, "Failed") || certificate(&request).is_some() {
            return Ok(());
        }
        let Some((_, check)) = SIGNERS.iter().find(|(name, _)| *name == request.spec.signer_name) else {
            return Ok(());
        };
        let wrong = |error| ApiError::internal(format!("unable to parse csr {:?}: {error}", key.name));
        let requested = authority.read(&request.spec.request.0).map_err(wrong)?;
        let usages = request.spec.usages.as_deref().unwrap_or_default();
        let mut signed = (*request).clone();
        let status = signed.status.get_or_insert_default();
        match check(&requested, usages) {
            Err(message) => {
                status.conditions.get_or_insert_default().push(CertificateSigningRequestCondition {
                    type_: "Failed".into(),
                    status: "True".into(),
                    reason: Some("SignerValidationFailure".into()),
                    message: Some(message),
                    last_update_time: Some(meta_time(queue.now())),
                    ..CertificateSigningRequestCondition::default()
                });
            }
            Ok(()) => {
                let valid = validity(queue.now(), request.spec.expiration_seconds);
                let wrong = |error| ApiError::internal(format!("error auto signing csr: {error}"));
                let certificate = authority.sign(&request.spec.request.0, usages, valid).map_err(wrong)?;
                status.certificate = Some(ByteString(certificate));
            }
        }
        self.client.update_status(signed).map(drop)
    }
}

/// From when to when a certificate signed now is valid, if its request asks for some seconds.
fn validity(now: Timestamp, seconds: Option<i32>) -> (Timestamp, Timestamp) {
    let asked = seconds.map(|seconds| Duration::from_secs(u64::try_from(seconds).unwrap_or(0)));
    let duration = asked.unwrap_or(DURATION_MAX).clamp(DURATION_MIN, DURATION_MAX);
    let end = after(now, duration);
    let before = |time: Timestamp| time.saturating_sub(BACKDATE).unwrap_or(Timestamp::MIN);
    (before(now), if duration < SHORT { end } else { before(end) })
}

/// `validAPIServerClientUsages`; and what upstream's admission refuses, where a request can be read.
fn check_client(requested: &Requested, usages: &[String]) -> Result<(), String> {
    if requested.organizations.iter().any(|group| group == "system:masters") {
        return Err(format!("use of {CLIENT} signer with system:masters group is not allowed"));
    }
    let known = ["digital signature", "key encipherment", "client auth"];
    if let Some(usage) = usages.iter().find(|usage| !known.contains(&usage.as_str())) {
        return Err(format!("invalid usage for client certificate: {usage}"));
    }
    let has = usages.iter().any(|usage| usage == "client auth");
    if has { Ok(()) } else { Err("missing required usage for client certificate: client auth".into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usages(list: &[&str]) -> Vec<String> {
        list.iter().map(|usage| (*usage).to_owned()).collect()
    }

    #[test]
    fn each_signer_says_what_it_misses() {
        let subject = |name: &str, group: &str| Requested {
            common_name: name.into(),
            organizations: vec![group.into()],
            ..Requested::default()
        };
        let node = subject("system:node:one", "system:nodes");
        let serving = Requested { dns_names: 1, ..node.clone() };
        let client_usages = ["digital signature", "client auth"];
        for (signer, requested, given, wanted) in [
            (CLIENT, subject("jane", "dev"), &client_usages[..], ""),
            (
                CLIENT,
                subject("jane", "dev"),
                &client_usages[..1],
                "missing required usage for client certificate: client auth",
            ),
            (CLIENT, subject("jane", "dev"), &["server auth"], "invalid usage for client certificate: server auth"),
            (
                CLIENT,
                subject("jane", "system:masters"),
                &client_usages,
                "use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed",
            ),
            (KUBELET_CLIENT, node.clone(), &client_usages, ""),
            (KUBELET_CLIENT, serving.clone(), &client_usages, "DNS subjectAltNames are not allowed"),
            (KUBELET_CLIENT, subject("jane", "dev"), &client_usages, "subject organization is not system:nodes"),
            (
                KUBELET_CLIENT,
                node.clone(),
                &client_usages[..1],
                "usages did not match [client auth digital signature key encipherment]",
            ),
            (KUBELET_SERVING, serving.clone(), &["digital signature", "server auth", "key encipherment"], ""),
            (KUBELET_SERVING, node, &["digital signature", "server auth"], "DNS or IP subjectAltName is required"),
            (
                KUBELET_SERVING,
                Requested { common_name: "one".into(), ..serving },
                &["digital signature", "server auth"],
                "subject common name does not begin with system:node:",
            ),
        ] {
            let (_, check) = SIGNERS.iter().find(|(name, _)| *name == signer).unwrap();
            let said = check(&requested, &usages(given)).err().unwrap_or_default();
            assert_eq!(said, wanted, "{signer} {requested:?} {given:?}");
        }
    }

    #[test]
    fn certificates_are_backdated_and_last_as_long_as_asked_for() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let seconds = |asked| {
            let (from, to) = validity(now, asked);
            (from.as_second() - now.as_second(), to.as_second() - now.as_second())
        };
        assert_eq!(seconds(Some(3600)), (-300, 3600));
        assert_eq!(seconds(Some(86400)), (-300, 86100));
        assert_eq!(seconds(Some(1)), (-300, 600));
        assert_eq!(seconds(None), (-300, 365 * 86400 - 300));
        assert_eq!(seconds(Some(i32::MAX)), seconds(None));
    }
}
