//! The built-in kinds, and the one place where their codecs are compiled.
//!
//! A generic function over a kind is compiled again in each crate that calls it, and reading a Pod alone
//! is 200 KB of WebAssembly. So [`Kind`] is implemented here type by type, in functions without type
//! parameters.

use std::any::Any;

use bytes::Bytes;
use k8s_openapi::api::{
    admissionregistration, apps, authentication, authorization, autoscaling, batch, certificates, coordination, core,
    discovery, flowcontrol, networking, node, policy, rbac, scheduling, storage,
};
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration;
use serde::Serialize;
use serde::de::{DeserializeOwned, Error};
use serde_json::Value;

use crate::json::encode;
use crate::object::{Kind, Object, encoded, from_value};
use crate::split;

macro_rules! kinds {
    ($($group:ident::$version:ident: $($kind:ident),+;)+) => {$($(
        impl Kind for $group::$version::$kind {
            fn from_value(value: Value) -> Result<Self, serde_json::Error> {
                from_value(value)
            }
            fn encode(&self) -> Bytes {
                encoded(&|out| encode(out, self))
            }
            fn boxed(&self) -> Box<dyn Object> {
                Box::new(self.clone())
            }
        }
    )+)+};
}

/// Kinds that most clusters have no object of: their codecs are in the chunk `rare`.
macro_rules! rare_kinds {
    ($($group:ident::$version:ident: $($kind:ident),+;)+) => {
        #[derive(Clone, Copy)]
        enum Rare {
            $($($kind,)+)+
        }

        split! {
            rare,
            fn codec(kind: Rare) -> &'static Codec {
                match kind {
                    $($(Rare::$kind => &const { Codec::of::<$group::$version::$kind>() },)+)+
                }
            }
        }

        $($(impl Kind for $group::$version::$kind {
            fn from_value(value: Value) -> Result<Self, serde_json::Error> {
                let mut read = None;
                (loaded(Rare::$kind)?.read)(value, &mut read)?;
                read.ok_or_else(|| serde_json::Error::custom("no object"))
            }
            fn encode(&self) -> Bytes {
                loaded(Rare::$kind).map(|codec| (codec.encode)(self)).unwrap_or_default()
            }
            fn boxed(&self) -> Box<dyn Object> {
                let copy = loaded(Rare::$kind).ok().and_then(|codec| (codec.boxed)(self));
                copy.unwrap_or_else(|| Box::<Self>::default())
            }
        })+)+
    };
}

kinds! {
    apiregistration::v1: APIService;
    apps::v1: ControllerRevision, DaemonSet, Deployment, ReplicaSet;
    authentication::v1: TokenRequest;
    autoscaling::v1: Scale;
    coordination::v1: Lease;
    core::v1: Binding, ConfigMap, Endpoints, Event, Namespace, Node, Pod, Secret, Service, ServiceAccount;
    discovery::v1: EndpointSlice;
    flowcontrol::v1: FlowSchema, PriorityLevelConfiguration;
    networking::v1: IngressClass, IPAddress, ServiceCIDR;
    policy::v1: Eviction;
    rbac::v1: ClusterRole, ClusterRoleBinding, Role, RoleBinding;
    scheduling::v1: PriorityClass;
    storage::v1: CSINode, StorageClass;
}

rare_kinds! {
    admissionregistration::v1: MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding,
        MutatingWebhookConfiguration, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
        ValidatingWebhookConfiguration;
    apps::v1: StatefulSet;
    authentication::v1: SelfSubjectReview, TokenReview;
    authorization::v1: LocalSubjectAccessReview, SelfSubjectAccessReview, SelfSubjectRulesReview,
        SubjectAccessReview;
    autoscaling::v2: HorizontalPodAutoscaler;
    batch::v1: CronJob, Job;
    certificates::v1: CertificateSigningRequest;
    core::v1: ComponentStatus, LimitRange, PersistentVolume, PersistentVolumeClaim, PodTemplate,
        ReplicationController, ResourceQuota;
    networking::v1: Ingress, NetworkPolicy;
    node::v1: RuntimeClass;
    policy::v1: PodDisruptionBudget;
    storage::v1: CSIDriver, CSIStorageCapacity, VolumeAttachment, VolumeAttributesClass;
}

/// How objects of a rare kind are read and written.
struct Codec {
    /// Puts what it reads into an `Option` of the kind.
    read: fn(Value, &mut dyn Any) -> Result<(), serde_json::Error>,
    encode: fn(&dyn Any) -> Bytes,
    boxed: fn(&dyn Any) -> Option<Box<dyn Object>>,
}

impl Codec {
    const fn of<K: Kind + DeserializeOwned + Serialize>() -> Self {
        Self {
            read: |value, to| {
                if let Some(to) = to.downcast_mut::<Option<K>>() {
                    *to = Some(from_value(value)?);
                }
                Ok(())
            },
            encode: |object| match object.downcast_ref::<K>() {
                Some(object) => encoded(&|out| encode(out, object)),
                None => Bytes::new(),
            },
            boxed: |object| Some(Box::new(object.downcast_ref::<K>()?.clone())),
        }
    }
}

fn loaded(kind: Rare) -> Result<&'static Codec, serde_json::Error> {
    split::at_once(codec(kind)).map_err(serde_json::Error::custom)
}
