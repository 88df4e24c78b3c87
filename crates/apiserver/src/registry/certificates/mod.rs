//! The kinds of `certificates.k8s.io`.

use k8s_openapi::api::certificates::v1::CertificateSigningRequest;

use super::info::{OBJECT_VERBS, ResourceInfo, STATUS, SubresourceInfo};
use super::strategy::{Typed, parts};

/// The group and version of these rows.
const V: (&str, &str) = ("certificates.k8s.io", "v1");

/// The rows of the group.
pub(super) static ROWS: &[ResourceInfo] = &[ResourceInfo {
    namespaced: false,
    short_names: &["csr"],
    subresources: &[SubresourceInfo::own("approval", OBJECT_VERBS), STATUS],
    ..ResourceInfo::new(
        V,
        "certificatesigningrequests",
        "CertificateSigningRequest",
        "/registry/certificatesigningrequests",
        &CERTIFICATE_SIGNING_REQUEST,
    )
}];

static CERTIFICATE_SIGNING_REQUEST: Typed<CertificateSigningRequest> =
    Typed::new(parts!(CertificateSigningRequest: spec; status));
