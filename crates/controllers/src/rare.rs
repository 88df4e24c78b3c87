//! Controllers that have nothing to do in most clusters: each sleeps until there is an object it is for. Their code is
//! in the chunk `rare`, which the tab loads when the first of them wakes.

use std::time::Duration;

use client::{Client, Component, Context, Informer, key_of};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use k8s_openapi::api::core::v1::{
    PersistentVolume, PersistentVolumeClaim, Pod, ReplicationController, ResourceQuota, Service,
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use machinery::{Kind, ObjectKey, split};

use crate::{
    Build, Setup, certificates, cronjob, disruption, driver, endpointslicemirroring, ephemeral_volume,
    horizontalpodautoscaler, job, persistentvolume, replicaset, resourcequota, service_lb, serviceaccount_tokens,
    statefulset, ttlafterfinished, volume_protection,
};

/// How long a controller whose code could not be loaded waits before it asks again.
pub const RETRY: Duration = Duration::from_secs(5);

/// These controllers.
#[derive(Clone, Copy, Debug)]
pub enum Rare {
    ServiceAccountTokens,
    ReplicationController,
    StatefulSet,
    Job,
    TtlAfterFinished,
    CronJob,
    Disruption,
    EndpointSliceMirroring,
    ResourceQuota,
    HorizontalPodAutoscaler,
    VolumeBinder,
    LocalPathProvisioner,
    EphemeralVolume,
    ClaimProtection,
    VolumeProtection,
    CertificateApprover,
    CertificateSigner,
    CertificateCleaner,
    ServiceLb,
}

machinery::split! {
    rare,
    fn build(controller: Rare) -> Build {
        match controller {
            Rare::ServiceAccountTokens => |setup, client| driver(serviceaccount_tokens::TokensController::new(setup, &client), client),
            Rare::ReplicationController => |setup, client| driver(replicaset::ReplicaSetController::<ReplicationController>::new(setup, &client), client),
            Rare::StatefulSet => |setup, client| driver(statefulset::StatefulSetController::new(setup, &client), client),
            Rare::Job => |setup, client| driver(job::JobController::new(setup, &client), client),
            Rare::TtlAfterFinished => |setup, client| driver(ttlafterfinished::TtlAfterFinishedController::new(setup, &client), client),
            Rare::CronJob => |setup, client| driver(cronjob::CronJobController::new(setup, &client), client),
            Rare::Disruption => |setup, client| driver(disruption::DisruptionController::new(setup, &client), client),
            Rare::EndpointSliceMirroring => |setup, client| driver(endpointslicemirroring::EndpointSliceMirroring::new(setup, &client), client),
            Rare::ResourceQuota => |setup, client| driver(resourcequota::ResourceQuotaController::new(setup, &client), client),
            Rare::HorizontalPodAutoscaler => |setup, client| driver(horizontalpodautoscaler::HorizontalPodAutoscalerController::new(setup, &client), client),
            Rare::VolumeBinder => |setup, client| driver(persistentvolume::PersistentVolumeController::new(setup, &client), client),
            Rare::LocalPathProvisioner => |setup, client| driver(persistentvolume::LocalPathProvisioner::new(setup, &client), client),
            Rare::EphemeralVolume => |setup, client| driver(ephemeral_volume::EphemeralVolumeController::new(setup, &client), client),
            Rare::ClaimProtection => |setup, client| driver(volume_protection::ClaimProtection::new(setup, &client), client),
            Rare::VolumeProtection => |setup, client| driver(volume_protection::VolumeProtection::new(setup, &client), client),
            Rare::CertificateApprover => |setup, client| driver(certificates::approver::CertificateApprover::new(setup, &client), client),
            Rare::CertificateSigner => |setup, client| driver(certificates::signer::CertificateSigner::new(setup, &client), client),
            Rare::CertificateCleaner => |setup, client| driver(certificates::cleaner::CertificateCleaner::new(setup, &client), client),
            Rare::ServiceLb => |setup, client| driver(service_lb::ServiceLbController::new(setup, &client), client),
        }
    }
}

/// Looks whether something is there, and is woken when that changes.
type Look = Box<dyn FnMut(&mut Context<'_>) -> bool>;

impl Rare {
    /// The controller, which sleeps until there is something for it.
    pub fn asleep(self, setup: &Setup, client: Client) -> Box<dyn Component> {
        let looks = self.wakes(setup);
        let name = client.component();
        Box::new(Asleep { name, controller: self, setup: setup.clone(), client, looks, awake: None })
    }

    /// What wakes it.
    fn wakes(self, setup: &Setup) -> Vec<Look> {
        match self {
            Self::ServiceAccountTokens => vec![any_of(serviceaccount_tokens::secrets(setup))],
            Self::ReplicationController => vec![any::<ReplicationController>(setup)],
            Self::StatefulSet => vec![any::<StatefulSet>(setup)],
            // Pods of a Job that is gone wait for it, too.
            Self::Job => vec![any::<Job>(setup), tracked_pod(setup)],
            Self::TtlAfterFinished => vec![any::<Job>(setup)],
            Self::CronJob => vec![any::<CronJob>(setup)],
            Self::Disruption => vec![any::<PodDisruptionBudget>(setup), stale_disruption(setup)],
            Self::EndpointSliceMirroring => vec![unselecting_service(setup), mirror(setup)],
            Self::ResourceQuota => vec![any::<ResourceQuota>(setup)],
            Self::HorizontalPodAutoscaler => vec![any::<HorizontalPodAutoscaler>(setup)],
            Self::VolumeBinder | Self::LocalPathProvisioner => {
                vec![any::<PersistentVolumeClaim>(setup), any::<PersistentVolume>(setup)]
            }
            Self::EphemeralVolume => vec![ephemeral_pod(setup)],
            Self::ClaimProtection => vec![any::<PersistentVolumeClaim>(setup)],
            Self::VolumeProtection => vec![any::<PersistentVolume>(setup)],
            Self::CertificateApprover | Self::CertificateSigner | Self::CertificateCleaner => {
                vec![any::<CertificateSigningRequest>(setup)]
            }
            // Without a cloud there are none.
            Self::ServiceLb if setup.options.load_balancer.is_none() => Vec::new(),
            Self::ServiceLb => vec![balanced_service(setup)],
        }
    }
}

/// Any object of a kind.
fn any<K: Kind>(setup: &Setup) -> Look {
    any_of(setup.informers.informer::<K>())
}

/// Any object that an informer has.
fn any_of<K: Kind>(mut informer: Informer<K>) -> Look {
    Box::new(move |cx| {
        informer.poll(cx);
        !informer.is_empty()
    })
}

/// A pod that is not to go before its Job has counted it.
fn tracked_pod(setup: &Setup) -> Look {
    let mut pods: Informer<Pod> = setup.informers.informer();
    Box::new(move |cx| {
        let tracked =
            |pod: &Pod| pod.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == job::pod::FINALIZER);
        pods.poll(cx).iter().any(|event| tracked(event.object()))
    })
}

/// A pod that was to be disrupted, and is not after a while. Most go before, which needs nobody.
fn stale_disruption(setup: &Setup) -> Look {
    let mut pods: Informer<Pod> = setup.informers.informer();
    let mut next = None;
    Box::new(move |cx| {
        let now = cx.now();
        next = pods.poll(cx).iter().filter_map(|event| disruption::stale_at(event.object())).chain(next).min();
        if next.is_some_and(|time| time <= now) {
            next = pods.list().iter().filter_map(|pod| disruption::stale_at(pod)).min();
        }
        if let Some(time) = next.filter(|time| *time > now) {
            cx.wake_at(time);
        }
        next.is_some_and(|time| time <= now)
    })
}

/// A pod with a volume that is a claim of its own.
fn ephemeral_pod(setup: &Setup) -> Look {
    let mut pods: Informer<Pod> = setup.informers.informer();
    Box::new(move |cx| pods.poll(cx).iter().any(|event| ephemeral_volume::has_ephemeral(event.object())))
}

/// A Service to whose Endpoints somebody else may have to see; not the API server's own, whose slice it makes itself.
fn unselecting_service(setup: &Setup) -> Look {
    let mut services: Informer<Service> = setup.informers.informer();
    Box::new(move |cx| {
        let unselecting = |service: &Service| !endpointslicemirroring::selects(service) && !is_api_server(service);
        services.poll(cx).iter().any(|event| unselecting(event.object()))
    })
}

/// `default/kubernetes`.
fn is_api_server(service: &Service) -> bool {
    key_of(service) == ObjectKey::new("default", "kubernetes")
}

/// A Service that has a load balancer, or is to have one.
fn balanced_service(setup: &Setup) -> Look {
    let mut services: Informer<Service> = setup.informers.informer();
    Box::new(move |cx| {
        let balanced =
            |service: &Service| service_lb::wants_load_balancer(service) || service_lb::has_finalizer(service);
        services.poll(cx).iter().any(|event| balanced(event.object()))
    })
}

/// A slice that was made of Endpoints.
fn mirror(setup: &Setup) -> Look {
    let mut slices: Informer<EndpointSlice> = setup.informers.informer();
    Box::new(move |cx| slices.poll(cx).iter().any(|event| endpointslicemirroring::service_of(event.object()).is_some()))
}

/// A controller that sleeps, or is awake for good.
struct Asleep {
    name: std::sync::Arc<str>,
    controller: Rare,
    setup: Setup,
    client: Client,
    looks: Vec<Look>,
    awake: Option<Box<dyn Component>>,
}

impl Component for Asleep {
    fn name(&self) -> &str {
        &self.name
    }

    fn poll(&mut self, cx: &mut Context<'_>) {
        if let Some(controller) = &mut self.awake {
            return controller.poll(cx);
        }
        let mut found = false;
        for look in &mut self.looks {
            found |= look(cx);
        }
        if !found {
            return;
        }
        match split::at_once(build(self.controller)) {
            Ok(build) => {
                let controller = self.awake.insert(build(&self.setup, self.client.clone()));
                controller.poll(cx);
                self.looks.clear();
            }
            Err(_) => cx.wake_at(cx.now() + RETRY),
        }
    }
}
