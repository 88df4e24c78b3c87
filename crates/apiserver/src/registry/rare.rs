//! Kinds that most clusters have no object of. What is done to their objects is in the chunk `rare`, which the tab
//! loads when the first of them is read.

use machinery::field::ErrorList;
use machinery::split::{self, NotLoaded};
use machinery::{Object, Timestamp};
use serde::de::Error;
use serde_json::Value;

use super::info::Column;
use super::strategy::{Decoded, Propagation, ScaleView, Strategy, Update};
use super::{
    admissionregistration, apps, authentication, authorization, autoscaling, batch, certificates, core, networking,
    node, policy, storage,
};

/// The [`Strategy`] of each of these kinds.
#[derive(Clone, Copy, Debug)]
pub enum Rare {
    StatefulSet,
    SelfSubjectReview,
    TokenReview,
    LocalSubjectAccessReview,
    SelfSubjectAccessReview,
    SelfSubjectRulesReview,
    SubjectAccessReview,
    HorizontalPodAutoscaler,
    CronJob,
    Job,
    CertificateSigningRequest,
    ComponentStatus,
    LimitRange,
    PersistentVolumeClaim,
    PersistentVolume,
    PodTemplate,
    ReplicationController,
    ResourceQuota,
    Ingress,
    NetworkPolicy,
    RuntimeClass,
    PodDisruptionBudget,
    CSIDriver,
    CSIStorageCapacity,
    VolumeAttachment,
    VolumeAttributesClass,
    MutatingAdmissionPolicy,
    MutatingAdmissionPolicyBinding,
    MutatingWebhookConfiguration,
    ValidatingAdmissionPolicy,
    ValidatingAdmissionPolicyBinding,
    ValidatingWebhookConfiguration,
}

machinery::split! {
    rare,
    fn strategy(kind: Rare) -> &'static dyn Strategy {
        match kind {
            Rare::StatefulSet => &apps::stateful_set::STRATEGY,
            Rare::SelfSubjectReview => &authentication::SELF_SUBJECT_REVIEW,
            Rare::TokenReview => &authentication::TOKEN_REVIEW,
            Rare::LocalSubjectAccessReview => &authorization::LOCAL_SUBJECT_ACCESS_REVIEW,
            Rare::SelfSubjectAccessReview => &authorization::SELF_SUBJECT_ACCESS_REVIEW,
            Rare::SelfSubjectRulesReview => &authorization::SELF_SUBJECT_RULES_REVIEW,
            Rare::SubjectAccessReview => &authorization::SUBJECT_ACCESS_REVIEW,
            Rare::HorizontalPodAutoscaler => &autoscaling::STRATEGY,
            Rare::CronJob => &batch::cron_job::STRATEGY,
            Rare::Job => &batch::job::STRATEGY,
            Rare::CertificateSigningRequest => &certificates::STRATEGY,
            Rare::ComponentStatus => &core::component_status::STRATEGY,
            Rare::LimitRange => &core::limit_range::STRATEGY,
            Rare::PersistentVolumeClaim => &core::persistent_volume_claim::STRATEGY,
            Rare::PersistentVolume => &core::persistent_volume::STRATEGY,
            Rare::PodTemplate => &core::pod_template::STRATEGY,
            Rare::ReplicationController => &core::replication_controller::STRATEGY,
            Rare::ResourceQuota => &core::resource_quota::STRATEGY,
            Rare::Ingress => &networking::ingress::STRATEGY,
            Rare::NetworkPolicy => &networking::network_policy::STRATEGY,
            Rare::RuntimeClass => &node::RUNTIME_CLASS,
            Rare::PodDisruptionBudget => &policy::pod_disruption_budget::STRATEGY,
            Rare::CSIDriver => &storage::csi::DRIVER,
            Rare::CSIStorageCapacity => &storage::csi::STORAGE_CAPACITY,
            Rare::VolumeAttachment => &storage::VOLUME_ATTACHMENT,
            Rare::VolumeAttributesClass => &storage::VOLUME_ATTRIBUTES_CLASS,
            Rare::MutatingAdmissionPolicy => &admissionregistration::policy::MUTATING,
            Rare::MutatingAdmissionPolicyBinding => &admissionregistration::policy::MUTATING_BINDING,
            Rare::MutatingWebhookConfiguration => &admissionregistration::MUTATING_WEBHOOKS,
            Rare::ValidatingAdmissionPolicy => &admissionregistration::policy::VALIDATING,
            Rare::ValidatingAdmissionPolicyBinding => &admissionregistration::policy::VALIDATING_BINDING,
            Rare::ValidatingWebhookConfiguration => &admissionregistration::VALIDATING_WEBHOOKS,
        }
    }
}

impl Rare {
    fn load(self) -> Result<&'static dyn Strategy, NotLoaded> {
        split::at_once(strategy(self))
    }

    /// Where it could not be loaded there is no object either: a strategy of another kind leaves all as it is.
    fn get(self) -> &'static dyn Strategy {
        self.load().unwrap_or(&core::config_map::STRATEGY)
    }
}

impl Strategy for Rare {
    fn decode(&self, value: Value) -> Decoded {
        self.load().map_err(serde_json::Error::custom)?.decode(value)
    }
    fn default(&self, object: &mut dyn Object) {
        self.get().default(object);
    }
    fn has_generation(&self) -> bool {
        self.get().has_generation()
    }
    fn has_status(&self) -> bool {
        self.get().has_status()
    }
    fn validate_name(&self, name: &str, prefix: bool) -> Vec<String> {
        self.get().validate_name(name, prefix)
    }
    fn prepare_for_create(&self, object: &mut dyn Object) {
        self.get().prepare_for_create(object);
    }
    fn validate(&self, object: &dyn Object) -> ErrorList {
        self.get().validate(object)
    }
    fn prepare_for_update(&self, update: Update<'_>, new: &mut dyn Object, old: &dyn Object) {
        self.get().prepare_for_update(update, new, old);
    }
    fn validate_update(&self, update: Update<'_>, new: &dyn Object, old: &dyn Object) -> ErrorList {
        self.get().validate_update(update, new, old)
    }
    fn spec_differs(&self, new: &dyn Object, old: &dyn Object) -> bool {
        self.get().spec_differs(new, old)
    }
    fn warnings(&self, new: &dyn Object, old: Option<&dyn Object>) -> Vec<String> {
        self.get().warnings(new, old)
    }
    fn field(&self, object: &dyn Object, field: &str) -> Option<String> {
        self.get().field(object, field)
    }
    fn fields(&self) -> Vec<&'static str> {
        self.get().fields()
    }
    fn columns(&self) -> &'static [Column] {
        self.get().columns()
    }
    fn cells(&self, object: &dyn Object, now: Timestamp) -> Vec<Value> {
        self.get().cells(object, now)
    }
    fn grace_period_seconds(&self, object: &dyn Object, requested: Option<i64>) -> i64 {
        self.get().grace_period_seconds(object, requested)
    }
    fn scale(&self, object: &dyn Object) -> Option<ScaleView> {
        self.get().scale(object)
    }
    fn set_replicas(&self, object: &mut dyn Object, replicas: i32) {
        self.get().set_replicas(object, replicas);
    }
    fn allow_create_on_update(&self) -> bool {
        self.get().allow_create_on_update()
    }
    fn allow_unconditional_update(&self) -> bool {
        self.get().allow_unconditional_update()
    }
    fn default_propagation(&self) -> Propagation {
        self.get().default_propagation()
    }
}
