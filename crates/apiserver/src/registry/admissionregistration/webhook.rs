//! What the two kinds of webhook configuration share.

use std::collections::BTreeSet;

use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhook, RuleWithOperations, ValidatingWebhook, WebhookClientConfig,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use machinery::field::{Error, ErrorList, Path};
use machinery::labels::validate_label_selector;
use machinery::names::{is_dns1123_subdomain, range_message};

use crate::registry::shared::defaults::{set, text};
use crate::registry::shared::validate::{anything, optional_one_of, required, shown};

const TIMEOUT_SECONDS: i32 = 10;
const TIMEOUT_SECONDS_MAX: i32 = 30;

/// A webhook of either kind.
pub struct Webhook<'a> {
    name: &'a str,
    client_config: &'a WebhookClientConfig,
    rules: &'a [RuleWithOperations],
    failure_policy: Option<&'a str>,
    match_policy: Option<&'a str>,
    namespace_selector: Option<&'a LabelSelector>,
    object_selector: Option<&'a LabelSelector>,
    side_effects: &'a str,
    timeout_seconds: Option<i32>,
    review_versions: &'a [String],
}

macro_rules! webhook {
    ($kind:ty) => {
        impl<'a> From<&'a $kind> for Webhook<'a> {
            fn from(webhook: &'a $kind) -> Self {
                Self {
                    name: &webhook.name,
                    client_config: &webhook.client_config,
                    rules: webhook.rules.as_deref().unwrap_or_default(),
                    failure_policy: webhook.failure_policy.as_deref(),
                    match_policy: webhook.match_policy.as_deref(),
                    namespace_selector: webhook.namespace_selector.as_ref(),
                    object_selector: webhook.object_selector.as_ref(),
                    side_effects: &webhook.side_effects,
                    timeout_seconds: webhook.timeout_seconds,
                    review_versions: &webhook.admission_review_versions,
                }
            }
        }
    };
}
webhook!(MutatingWebhook);
webhook!(ValidatingWebhook);

/// Sets the defaults of a mutating webhook.
pub fn mutating_defaults(webhook: &mut MutatingWebhook) {
    text(&mut webhook.failure_policy, "Fail");
    text(&mut webhook.match_policy, "Equivalent");
    text(&mut webhook.reinvocation_policy, "Never");
    webhook.namespace_selector.get_or_insert_default();
    webhook.object_selector.get_or_insert_default();
    set(&mut webhook.timeout_seconds, TIMEOUT_SECONDS);
    inner_defaults(&mut webhook.client_config, webhook.rules.as_deref_mut());
}

/// Sets the defaults of a validating webhook.
pub fn validating_defaults(webhook: &mut ValidatingWebhook) {
    text(&mut webhook.failure_policy, "Fail");
    text(&mut webhook.match_policy, "Equivalent");
    webhook.namespace_selector.get_or_insert_default();
    webhook.object_selector.get_or_insert_default();
    set(&mut webhook.timeout_seconds, TIMEOUT_SECONDS);
    inner_defaults(&mut webhook.client_config, webhook.rules.as_deref_mut());
}

fn inner_defaults(config: &mut WebhookClientConfig, rules: Option<&mut [RuleWithOperations]>) {
    if let Some(service) = &mut config.service {
        set(&mut service.port, 443);
    }
    for rule in rules.into_iter().flatten() {
        text(&mut rule.scope, "*");
    }
}

/// What is wrong with a list of webhooks.
pub fn validate<'a>(webhooks: impl Iterator<Item = Webhook<'a>>) -> ErrorList {
    let list = Path::new("webhooks");
    let mut errors = ErrorList::new();
    let mut names = BTreeSet::new();
    for (index, webhook) in webhooks.enumerate() {
        let at = list.index(index);
        self::webhook(&mut errors, &at, &webhook);
        if !names.insert(webhook.name.to_owned()) {
            errors.push(Error::duplicate(&at.child("name"), webhook.name));
        }
    }
    errors
}

fn webhook(errors: &mut ErrorList, path: &Path<'_>, webhook: &Webhook<'_>) {
    let name = path.child("name");
    required(errors, &name, webhook.name, is_dns1123_subdomain);
    if !webhook.name.is_empty() && webhook.name.split('.').count() < 3 {
        let detail = "should be a domain with at least three segments separated by dots";
        errors.push(Error::invalid(&name, webhook.name, detail));
    }
    if webhook.review_versions.is_empty() {
        let detail = "must specify one of v1, v1beta1";
        errors.push(Error::required(&path.child("admissionReviewVersions"), detail));
    }
    let rules = path.child("rules");
    for (index, rule) in webhook.rules.iter().enumerate() {
        self::rule(errors, &rules.index(index), rule);
    }
    optional_one_of(errors, &path.child("failurePolicy"), webhook.failure_policy, &["Fail", "Ignore"]);
    optional_one_of(errors, &path.child("matchPolicy"), webhook.match_policy, &["Equivalent", "Exact"]);
    let side_effects = path.child("sideEffects");
    match webhook.side_effects {
        "" => errors.push(Error::required(&side_effects, "must specify one of None, NoneOnDryRun")),
        "None" | "NoneOnDryRun" => {}
        other => errors.push(Error::not_supported(&side_effects, other, &["None", "NoneOnDryRun"])),
    }
    if let Some(seconds) = webhook.timeout_seconds.filter(|it| !(1..=TIMEOUT_SECONDS_MAX).contains(it)) {
        let detail = format!("the timeout value {}", range_message(1, TIMEOUT_SECONDS_MAX.into()));
        errors.push(Error::invalid(&path.child("timeoutSeconds"), seconds, detail));
    }
    errors.extend(validate_label_selector(webhook.namespace_selector, &path.child("namespaceSelector")));
    errors.extend(validate_label_selector(webhook.object_selector, &path.child("objectSelector")));
    let config = path.child("clientConfig");
    match (&webhook.client_config.url, &webhook.client_config.service) {
        (Some(_), None) => {}
        (None, Some(service)) => {
            required(errors, &config.child("service.name"), &service.name, anything);
            required(errors, &config.child("service.namespace"), &service.namespace, anything);
        }
        _ => errors.push(Error::required(&config, "exactly one of url or service is required")),
    }
}

fn rule(errors: &mut ErrorList, path: &Path<'_>, rule: &RuleWithOperations) {
    const OPERATIONS: [&str; 5] = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
    for (field, list) in [
        ("operations", &rule.operations),
        ("apiGroups", &rule.api_groups),
        ("apiVersions", &rule.api_versions),
        ("resources", &rule.resources),
    ] {
        let at = path.child(field);
        let list = list.as_deref().unwrap_or_default();
        if list.is_empty() {
            errors.push(Error::required(&at, ""));
        }
        if list.len() > 1 && field != "resources" && list.iter().any(|item| item == "*") {
            errors.push(Error::invalid(&at, shown(&list), "if '*' is present, must not specify other entries"));
        }
        if field == "operations" {
            for (index, operation) in list.iter().enumerate() {
                if !OPERATIONS.contains(&operation.as_str()) {
                    errors.push(Error::not_supported(&at.index(index), operation.as_str(), &OPERATIONS));
                }
            }
        }
    }
    optional_one_of(errors, &path.child("scope"), rule.scope.as_deref(), &["*", "Cluster", "Namespaced"]);
}
