//! The kinds of `authorization.k8s.io`.

use k8s_openapi::api::authorization::v1::{
    LocalSubjectAccessReview, SelfSubjectAccessReview, SelfSubjectRulesReview, SubjectAccessReview,
};

use super::info::ResourceInfo;
use super::rare::Rare;
use super::strategy::{Typed, parts};

/// The group and version of these rows.
const V: (&str, &str) = ("authorization.k8s.io", "v1");

/// The rows of the group.
pub(super) static ROWS: &[ResourceInfo] = &[
    ResourceInfo {
        verbs: &["create"],
        ..ResourceInfo::new(
            V,
            "localsubjectaccessreviews",
            "LocalSubjectAccessReview",
            "",
            &Rare::LocalSubjectAccessReview,
        )
    },
    ResourceInfo {
        namespaced: false,
        verbs: &["create"],
        ..ResourceInfo::new(
            V,
            "selfsubjectaccessreviews",
            "SelfSubjectAccessReview",
            "",
            &Rare::SelfSubjectAccessReview,
        )
    },
    ResourceInfo {
        namespaced: false,
        verbs: &["create"],
        ..ResourceInfo::new(V, "selfsubjectrulesreviews", "SelfSubjectRulesReview", "", &Rare::SelfSubjectRulesReview)
    },
    ResourceInfo {
        namespaced: false,
        verbs: &["create"],
        ..ResourceInfo::new(V, "subjectaccessreviews", "SubjectAccessReview", "", &Rare::SubjectAccessReview)
    },
];

pub(super) static LOCAL_SUBJECT_ACCESS_REVIEW: Typed<LocalSubjectAccessReview> =
    Typed::new(parts!(LocalSubjectAccessReview: spec; status));
pub(super) static SELF_SUBJECT_ACCESS_REVIEW: Typed<SelfSubjectAccessReview> =
    Typed::new(parts!(SelfSubjectAccessReview: spec; status));
pub(super) static SELF_SUBJECT_RULES_REVIEW: Typed<SelfSubjectRulesReview> =
    Typed::new(parts!(SelfSubjectRulesReview: spec; status));
pub(super) static SUBJECT_ACCESS_REVIEW: Typed<SubjectAccessReview> =
    Typed::new(parts!(SubjectAccessReview: spec; status));
