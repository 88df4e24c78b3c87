//! The kinds of `certificates.k8s.io`.

use k8s_openapi::api::certificates::v1::{CertificateSigningRequest, CertificateSigningRequestStatus};
use machinery::Timestamp;
use machinery::field::{Error, ErrorList, Path};
use machinery::time::human_duration;
use serde_json::Value;

use super::info::{Column, OBJECT_VERBS, ResourceInfo, STATUS, SubresourceInfo};
use super::rare::Rare;
use super::shared::meta::immutable;
use super::shared::names;
use super::shared::printer::{AGE, NAME, age, column, name};
use super::shared::validate::{anything, required, shown};
use super::strategy::{Field, Subresource, Typed, parts};

/// The shortest time a certificate may be asked for.
const EXPIRATION_SECONDS_MIN: i32 = 600;
const DECISIONS: [&str; 2] = ["Approved", "Denied"];
/// What a certificate can be used for.
const USAGES: [&str; 23] = [
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];

/// The rows of the group.
pub(super) static ROWS: &[ResourceInfo] = &[ResourceInfo {
    namespaced: false,
    short_names: &["csr"],
    subresources: &[SubresourceInfo::own("approval", OBJECT_VERBS), STATUS],
    ..ResourceInfo::new(
        ("certificates.k8s.io", "v1"),
        "certificatesigningrequests",
        "CertificateSigningRequest",
        "/registry/certificatesigningrequests",
        &Rare::CertificateSigningRequest,
    )
}];

pub(super) static STRATEGY: Typed<CertificateSigningRequest> = Typed {
    name: names::path_segment,
    validate,
    validate_update: |new, old| immutable(&new.spec, &old.spec, &Path::new("spec")),
    prepare_status_update: |new, old| {
        // Decisions are made at the other door.
        let decided = conditions(old, |kind| DECISIONS.contains(&kind));
        let others = conditions(new, |kind| !DECISIONS.contains(&kind));
        new.status.get_or_insert_default().conditions = Some(decided.into_iter().chain(others).collect());
    },
    subresources: &[Subresource {
        name: "approval",
        prepare: prepare_approval,
        validate: |new, _| validate_decisions(new),
    }],
    fields: &[Field { name: "spec.signerName", get: |request| request.spec.signer_name.clone() }],
    columns: COLUMNS,
    cells,
    ..Typed::new(parts!(CertificateSigningRequest: spec; status))
};

type Conditions = Vec<k8s_openapi::api::certificates::v1::CertificateSigningRequestCondition>;

fn conditions(request: &CertificateSigningRequest, keep: fn(&str) -> bool) -> Conditions {
    let all = request.status.iter().filter_map(|status| status.conditions.as_ref()).flatten();
    all.filter(|condition| keep(&condition.type_)).cloned().collect()
}

/// Of the new object, only the conditions are taken: decisions, and whatever an approver adds.
fn prepare_approval(new: &mut CertificateSigningRequest, old: &CertificateSigningRequest) {
    new.spec.clone_from(&old.spec);
    let conditions = new.status.take().and_then(|status| status.conditions);
    new.status = Some(CertificateSigningRequestStatus { conditions, ..old.status.clone().unwrap_or_default() });
}

fn validate_decisions(request: &CertificateSigningRequest) -> ErrorList {
    let decisions = conditions(request, |kind| DECISIONS.contains(&kind));
    let path = Path::new("status.conditions");
    let has = |kind: &str| decisions.iter().any(|condition| condition.type_ == kind);
    if has("Approved") && has("Denied") {
        let detail = "Approved and Denied conditions are mutually exclusive";
        return vec![Error::invalid(&path, shown(&decisions), detail)];
    }
    ErrorList::new()
}

fn validate(request: &CertificateSigningRequest) -> ErrorList {
    let path = Path::new("spec");
    let mut errors = ErrorList::new();
    let spec = &request.spec;
    if !is_request(&spec.request.0) {
        let detail = "PEM block type must be CERTIFICATE REQUEST";
        errors.push(Error::invalid(&path.child("request"), shown(&spec.request), detail));
    }
    let (usages, path_usages) = (spec.usages.as_deref().unwrap_or_default(), path.child("usages"));
    if usages.is_empty() {
        errors.push(Error::required(&path_usages, "usages must be provided"));
    }
    for (index, usage) in usages.iter().enumerate().filter(|(_, usage)| !USAGES.contains(&usage.as_str())) {
        errors.push(Error::not_supported(&path_usages.index(index), usage.as_str(), &USAGES));
    }
    for (index, usage) in usages.iter().enumerate() {
        if usages.iter().take(index).any(|other| other == usage) {
            errors.push(Error::duplicate(&path_usages.index(index), usage.as_str()));
        }
    }
    required(&mut errors, &path.child("signerName"), &spec.signer_name, anything);
    if !spec.signer_name.is_empty() && !spec.signer_name.contains('/') {
        let detail = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
        errors.push(Error::invalid(&path.child("signerName"), spec.signer_name.as_str(), detail));
    }
    if let Some(seconds) = spec.expiration_seconds.filter(|seconds| *seconds < EXPIRATION_SECONDS_MIN) {
        let detail = format!("may not specify a duration less than {EXPIRATION_SECONDS_MIN} seconds (10 minutes)");
        errors.push(Error::invalid(&path.child("expirationSeconds"), seconds, detail));
    }
    errors
}

/// Whether it is a request in PEM. Whether it is well-formed and signed, who signs it finds out: the server
/// knows no X.509.
fn is_request(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim();
    let body = text.split_once("-----BEGIN ").and_then(|(_, rest)| rest.strip_prefix("CERTIFICATE REQUEST-----"));
    body.is_some_and(|body| body.contains("-----END CERTIFICATE REQUEST-----"))
}

const COLUMNS: &[Column] = &[
    NAME,
    AGE,
    column("SignerName", "string", "Who is asked to sign."),
    column("Requestor", "string", "Who asks."),
    column("RequestedDuration", "string", "How long the certificate should be valid."),
    column("Condition", "string", "Whether it was approved and issued."),
];

fn cells(request: &CertificateSigningRequest, now: Timestamp) -> Vec<Value> {
    let status = request.status.clone().unwrap_or_default();
    let has = |kind: &str| status.conditions.iter().flatten().any(|condition| condition.type_ == kind);
    let mut condition = match () {
        () if has("Denied") => "Denied",
        () if has("Approved") => "Approved",
        () => "Pending",
    }
    .to_owned();
    if has("Failed") {
        condition.push_str(",Failed");
    }
    if status.certificate.is_some_and(|certificate| !certificate.0.is_empty()) {
        condition.push_str(",Issued");
    }
    let duration = request.spec.expiration_seconds.map(|seconds| human_duration(seconds.into()));
    vec![
        name(&request.metadata),
        age(&request.metadata, now),
        request.spec.signer_name.clone().into(),
        request.spec.username.clone().unwrap_or_default().into(),
        duration.unwrap_or_else(|| "<none>".into()).into(),
        condition.into(),
    ]
}
