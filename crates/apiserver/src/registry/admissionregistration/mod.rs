//! The kinds of `admissionregistration.k8s.io`.

use k8s_openapi::api::admissionregistration::v1::{
    MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding, MutatingWebhookConfiguration, ValidatingAdmissionPolicy,
    ValidatingAdmissionPolicyBinding, ValidatingWebhookConfiguration,
};

use super::info::{ResourceInfo, STATUS};
use super::strategy::{Typed, parts};

/// The group and version of these rows.
const V: (&str, &str) = ("admissionregistration.k8s.io", "v1");

/// The rows of the group.
pub(super) static ROWS: &[ResourceInfo] = &[
    ResourceInfo {
        namespaced: false,
        categories: &["api-extensions"],
        ..ResourceInfo::new(
            V,
            "mutatingadmissionpolicies",
            "MutatingAdmissionPolicy",
            "/registry/mutatingadmissionpolicies",
            &MUTATING_ADMISSION_POLICY,
        )
    },
    ResourceInfo {
        namespaced: false,
        categories: &["api-extensions"],
        ..ResourceInfo::new(
            V,
            "mutatingadmissionpolicybindings",
            "MutatingAdmissionPolicyBinding",
            "/registry/mutatingadmissionpolicybindings",
            &MUTATING_ADMISSION_POLICY_BINDING,
        )
    },
    ResourceInfo {
        namespaced: false,
        categories: &["api-extensions"],
        ..ResourceInfo::new(
            V,
            "mutatingwebhookconfigurations",
            "MutatingWebhookConfiguration",
            "/registry/mutatingwebhookconfigurations",
            &MUTATING_WEBHOOK_CONFIGURATION,
        )
    },
    ResourceInfo {
        namespaced: false,
        categories: &["api-extensions"],
        subresources: &[STATUS],
        ..ResourceInfo::new(
            V,
            "validatingadmissionpolicies",
            "ValidatingAdmissionPolicy",
            "/registry/validatingadmissionpolicies",
            &VALIDATING_ADMISSION_POLICY,
        )
    },
    ResourceInfo {
        namespaced: false,
        categories: &["api-extensions"],
        ..ResourceInfo::new(
            V,
            "validatingadmissionpolicybindings",
            "ValidatingAdmissionPolicyBinding",
            "/registry/validatingadmissionpolicybindings",
            &VALIDATING_ADMISSION_POLICY_BINDING,
        )
    },
    ResourceInfo {
        namespaced: false,
        categories: &["api-extensions"],
        ..ResourceInfo::new(
            V,
            "validatingwebhookconfigurations",
            "ValidatingWebhookConfiguration",
            "/registry/validatingwebhookconfigurations",
            &VALIDATING_WEBHOOK_CONFIGURATION,
        )
    },
];

static MUTATING_ADMISSION_POLICY: Typed<MutatingAdmissionPolicy> =
    Typed { generation: true, ..Typed::new(parts!(MutatingAdmissionPolicy: spec)) };
static MUTATING_ADMISSION_POLICY_BINDING: Typed<MutatingAdmissionPolicyBinding> =
    Typed { generation: true, ..Typed::new(parts!(MutatingAdmissionPolicyBinding: spec)) };
static MUTATING_WEBHOOK_CONFIGURATION: Typed<MutatingWebhookConfiguration> =
    Typed { generation: true, ..Typed::new(parts!(MutatingWebhookConfiguration: webhooks)) };
static VALIDATING_ADMISSION_POLICY: Typed<ValidatingAdmissionPolicy> =
    Typed { generation: true, ..Typed::new(parts!(ValidatingAdmissionPolicy: spec; status)) };
static VALIDATING_ADMISSION_POLICY_BINDING: Typed<ValidatingAdmissionPolicyBinding> =
    Typed { generation: true, ..Typed::new(parts!(ValidatingAdmissionPolicyBinding: spec)) };
static VALIDATING_WEBHOOK_CONFIGURATION: Typed<ValidatingWebhookConfiguration> =
    Typed { generation: true, ..Typed::new(parts!(ValidatingWebhookConfiguration: webhooks)) };
