//! The kinds of `authentication.k8s.io`.

use k8s_openapi::api::authentication::v1::{SelfSubjectReview, TokenReview};

use super::info::ResourceInfo;
use super::rare::Rare;
use super::strategy::{Typed, parts};

/// The group and version of these rows.
const V: (&str, &str) = ("authentication.k8s.io", "v1");

/// The rows of the group.
pub(super) static ROWS: &[ResourceInfo] = &[
    ResourceInfo {
        namespaced: false,
        verbs: &["create"],
        ..ResourceInfo::new(V, "selfsubjectreviews", "SelfSubjectReview", "", &Rare::SelfSubjectReview)
    },
    ResourceInfo {
        namespaced: false,
        verbs: &["create"],
        ..ResourceInfo::new(V, "tokenreviews", "TokenReview", "", &Rare::TokenReview)
    },
];

pub(super) static SELF_SUBJECT_REVIEW: Typed<SelfSubjectReview> = Typed::new(parts!(SelfSubjectReview: ; status));
pub(super) static TOKEN_REVIEW: Typed<TokenReview> = Typed::new(parts!(TokenReview: spec; status));
