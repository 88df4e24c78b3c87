//! The kinds of `admissionregistration.k8s.io`.

pub(super) mod policy;
mod webhook;

use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration};

use self::webhook::Webhook;
use super::info::{Column, ResourceInfo, STATUS};
use super::rare::Rare;
use super::shared::printer::{AGE, NAME, age, column, name};
use super::strategy::{Strategy, Typed, parts};

/// The rows of the group.
pub(super) static ROWS: &[ResourceInfo] = &[
    row(
        "mutatingadmissionpolicies",
        "MutatingAdmissionPolicy",
        "/registry/mutatingadmissionpolicies",
        &Rare::MutatingAdmissionPolicy,
    ),
    row(
        "mutatingadmissionpolicybindings",
        "MutatingAdmissionPolicyBinding",
        "/registry/mutatingadmissionpolicybindings",
        &Rare::MutatingAdmissionPolicyBinding,
    ),
    row(
        "mutatingwebhookconfigurations",
        "MutatingWebhookConfiguration",
        "/registry/mutatingwebhookconfigurations",
        &Rare::MutatingWebhookConfiguration,
    ),
    ResourceInfo {
        subresources: &[STATUS],
        ..row(
            "validatingadmissionpolicies",
            "ValidatingAdmissionPolicy",
            "/registry/validatingadmissionpolicies",
            &Rare::ValidatingAdmissionPolicy,
        )
    },
    row(
        "validatingadmissionpolicybindings",
        "ValidatingAdmissionPolicyBinding",
        "/registry/validatingadmissionpolicybindings",
        &Rare::ValidatingAdmissionPolicyBinding,
    ),
    row(
        "validatingwebhookconfigurations",
        "ValidatingWebhookConfiguration",
        "/registry/validatingwebhookconfigurations",
        &Rare::ValidatingWebhookConfiguration,
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

pub(super) static MUTATING_WEBHOOKS: Typed<MutatingWebhookConfiguration> = Typed {
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

pub(super) static VALIDATING_WEBHOOKS: Typed<ValidatingWebhookConfiguration> = Typed {
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
