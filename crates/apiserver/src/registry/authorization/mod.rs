//! The kinds of `authorization.k8s.io`.

use k8s_openapi::api::authorization::v1::{
    LocalSubjectAccessReview, SelfSubjectAccessReview, SelfSubjectRulesReview, SubjectAccessReview,
};

use super::info::ResourceInfo;
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
            &LOCAL_SUBJECT_ACCESS_REVIEW,
        )
    },
    ResourceInfo {
        namespaced: false,
        verbs: &["create"],
        ..ResourceInfo::new(V, "selfsubjectaccessreviews", "SelfSubjectAccessReview", "", &SELF_SUBJECT_ACCESS_REVIEW)
    },
    ResourceInfo {
        namespaced: false,
        verbs: &["create"],
        ..ResourceInfo::new(V, "selfsubjectrulesreviews", "SelfSubjectRulesReview", "", &SELF_SUBJECT_RULES_REVIEW)
    },
    ResourceInfo {
        namespaced: false,
        verbs: &["create"],
        ..ResourceInfo::new(V, "subjectaccessreviews", "SubjectAccessReview", "", &SUBJECT_ACCESS_REVIEW)
    },
];

static LOCAL_SUBJECT_ACCESS_REVIEW: Typed<LocalSubjectAccessReview> =
    Typed::new(parts!(LocalSubjectAccessReview: spec; status));
static SELF_SUBJECT_ACCESS_REVIEW: Typed<SelfSubjectAccessReview> =
    Typed::new(parts!(SelfSubjectAccessReview: spec; status));
static SELF_SUBJECT_RULES_REVIEW: Typed<SelfSubjectRulesReview> =
    Typed::new(parts!(SelfSubjectRulesReview: spec; status));
static SUBJECT_ACCESS_REVIEW: Typed<SubjectAccessReview> = Typed::new(parts!(SubjectAccessReview: spec; status));
