//! CertificateSigningRequests: who asks, and who may approve and sign for a signer
//! (`pkg/registry/certificates`, `plugin/pkg/admission/certificates`).

use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use machinery::{Object, go};

use super::{Operation, Terms, refused};
use crate::call::{Call, Result};
use crate::request_info::RequestInfo;

/// Writes down who asks for a certificate, whatever the request itself says.
pub(crate) fn requested_by(call: &Call, object: &mut dyn Object) {
    let Some(request) = object.as_any_mut().downcast_mut::<CertificateSigningRequest>() else { return };
    let given = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    let (user, spec) = (&call.user, &mut request.spec);
    spec.username = given(&user.username);
    spec.uid = given(&user.uid);
    spec.groups = Some(user.groups.clone()).filter(|groups| !groups.is_empty());
    spec.extra = Some(user.extra.clone()).filter(|extra| !extra.is_empty());
}

/// Refuses decisions and certificates of those who may not `approve` or `sign` for the signer.
pub(super) fn check(
    call: &Call,
    _: Operation,
    object: &dyn Object,
    old: Option<&dyn Object>,
    _: &mut Terms,
) -> Result<()> {
    let request = |object: &dyn Object| object.as_any().downcast_ref::<CertificateSigningRequest>().cloned();
    let (Some(new), Some(old)) = (request(object), old.and_then(request)) else { return Ok(()) };
    let decided = |one: &CertificateSigningRequest| {
        one.status.clone().map(|status| (status.certificate, status.conditions.unwrap_or_default()))
    };
    let verb = match call.info.subresource.as_str() {
        "approval" => "approve",
        "status" if decided(&new).unwrap_or_default() != decided(&old).unwrap_or_default() => "sign",
        _ => return Ok(()),
    };
    let signer = &old.spec.signer_name;
    let domain = signer.split('/').next().unwrap_or_default();
    let may = |name: String| {
        let asked = RequestInfo {
            verb: verb.into(),
            resource: "signers".into(),
            subresource: String::new(),
            name,
            ..call.info.clone()
        };
        call.server.authorize(&call.user, &asked).is_ok()
    };
    if may(signer.clone()) || may(format!("{domain}/*")) {
        return Ok(());
    }
    refused(call, object, format!("user not permitted to {verb} requests with signerName {}", go::quote(signer)))
}
