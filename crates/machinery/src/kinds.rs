//! The built-in kinds, and the one place where their codecs are compiled.
//!
//! A generic function over a kind is compiled again in each crate that calls it, and reading a Pod alone
//! is 200 KB of WebAssembly. So [`Kind`] is implemented here type by type, in functions without type
//! parameters.

use bytes::Bytes;
use k8s_openapi::api::{
    admissionregistration, apps, authentication, authorization, autoscaling, batch, certificates, coordination, core,
    discovery, flowcontrol, networking, node, policy, rbac, scheduling, storage,
};
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration;
use serde_json::Value;

use crate::object::{Kind, Object, encoded, from_value};

macro_rules! kinds {
    ($($group:ident::$version:ident: $($kind:ident),+;)+) => {$($(
        impl Kind for $group::$version::$kind {
            fn from_value(value: Value) -> Result<Self, serde_json::Error> {
                from_value(value)
            }
            fn encode(&self) -> Bytes {
                encoded(&mut |out| _ = serde_json::to_writer(out, self))
            }
            fn boxed(&self) -> Box<dyn Object> {
                Box::new(self.clone())
            }
        }
    )+)+};
}

kinds! {
    admissionregistration::v1: MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding,
        MutatingWebhookConfiguration, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
        ValidatingWebhookConfiguration;
    apiregistration::v1: APIService;
    apps::v1: ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet;
    authentication::v1: SelfSubjectReview, TokenRequest, TokenReview;
    authorization::v1: LocalSubjectAccessReview, SelfSubjectAccessReview, SelfSubjectRulesReview,
        SubjectAccessReview;
    autoscaling::v1: Scale;
    autoscaling::v2: HorizontalPodAutoscaler;
    batch::v1: CronJob, Job;
    certificates::v1: CertificateSigningRequest;
    coordination::v1: Lease;
    core::v1: Binding, ComponentStatus, ConfigMap, Endpoints, Event, LimitRange, Namespace, Node,
        PersistentVolume, PersistentVolumeClaim, Pod, PodTemplate, ReplicationController, ResourceQuota, Secret,
        Service, ServiceAccount;
    discovery::v1: EndpointSlice;
    flowcontrol::v1: FlowSchema, PriorityLevelConfiguration;
    networking::v1: Ingress, IngressClass, IPAddress, NetworkPolicy, ServiceCIDR;
    node::v1: RuntimeClass;
    policy::v1: Eviction, PodDisruptionBudget;
    rbac::v1: ClusterRole, ClusterRoleBinding, Role, RoleBinding;
    scheduling::v1: PriorityClass;
    storage::v1: CSIDriver, CSINode, CSIStorageCapacity, StorageClass, VolumeAttachment, VolumeAttributesClass;
}
