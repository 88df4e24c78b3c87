//! The kinds of `admissionregistration.k8s.io`.

mod policy;
mod webhook;

use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration};

use self::webhook::Webhook;
use super::info::{Column, ResourceInfo, STATUS};
use super::shared::printer::{AGE, NAME, age, column, name};
use super::strategy::{Strategy, Typed, parts};

/// The rows of the group.
pub(super) static ROWS: &[ResourceInfo] = &[
    row(
        "mutatingadmissionpolicies",
        "MutatingAdmissionPolicy",
        "/registry/mutatingadmissionpolicies",
        &policy::MUTATING,
    ),
    row(
        "mutatingadmissionpolicybindings",
        "MutatingAdmissionPolicyBinding",
        "/registry/mutatingadmissionpolicybindings",
        &policy::MUTATING_BINDING,
    ),
    row(
        "mutatingwebhookconfigurations",
        "MutatingWebhookConfiguration",
        "/registry/mutatingwebhookconfigurations",
        &MUTATING_WEBHOOKS,
    ),
    ResourceInfo {
        subresources: &[STATUS],
        ..row(
            "validatingadmissionpolicies",
            "ValidatingAdmissionPolicy",
            "/registry/validatingadmissionpolicies",
            &policy::VALIDATING,
        )
    },
    row(
        "validatingadmissionpolicybindings",
        "ValidatingAdmissionPolicyBinding",
        "/registry/validatingadmissionpolicybindings",
        &policy::VALIDATING_BINDING,
    ),
    row(
        "validatingwebhookconfigurations",
        "ValidatingWebhookConfiguration",
        "/registry/validatingwebhookconfigurations",
        &VALIDATING_WEBHOOKS,
    ),
];

const fn row(
    resource: &'static str,
    kind: &'static str,
    storage_prefix: &'static str,
    strategy: &'static dyn Strategy,
) -> ResourceInfo {
    ResourceInfo {
        namespaced: false,
        categories: &["api-extensions"],
        ..ResourceInfo::new(("admissionregistration.k8s.io", "v1"), resource, kind, storage_prefix, strategy)
    }
}

const WEBHOOK_COLUMNS: &[Column] = &[NAME, column("Webhooks", "integer", "Number of webhooks."), AGE];

static MUTATING_WEBHOOKS: Typed<MutatingWebhookConfiguration> = Typed {
    generation: true,
    defaults: |object| object.webhooks.iter_mut().flatten().for_each(webhook::mutating_defaults),
    validate: |object| webhook::validate(object.webhooks.iter().flatten().map(Webhook::from)),
    validate_update: |new, _| webhook::validate(new.webhooks.iter().flatten().map(Webhook::from)),
    columns: WEBHOOK_COLUMNS,
    cells: |object, now| {
        let count = object.webhooks.as_ref().map_or(0, |webhooks| webhooks.len());
        vec![name(&object.metadata), count.into(), age(&object.metadata, now)]
    },
    unconditional_update: false,
    ..Typed::new(parts!(MutatingWebhookConfiguration: webhooks))
};

static VALIDATING_WEBHOOKS: Typed<ValidatingWebhookConfiguration> = Typed {
    generation: true,
    defaults: |object| object.webhooks.iter_mut().flatten().for_each(webhook::validating_defaults),
    validate: |object| webhook::validate(object.webhooks.iter().flatten().map(Webhook::from)),
    validate_update: |new, _| webhook::validate(new.webhooks.iter().flatten().map(Webhook::from)),
    columns: WEBHOOK_COLUMNS,
    cells: |object, now| {
        let count = object.webhooks.as_ref().map_or(0, |webhooks| webhooks.len());
        vec![name(&object.metadata), count.into(), age(&object.metadata, now)]
    },
    unconditional_update: false,
    ..Typed::new(parts!(ValidatingWebhookConfiguration: webhooks))
};
