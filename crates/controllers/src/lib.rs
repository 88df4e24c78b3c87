//! kube-controller-manager: a file a controller.
//!
//! A [`controller::Controller`] is informers whose events only add keys to a queue, and one idempotent
//! sync. [`all`] makes a component of each; [`CONTROLLERS`] names them, so that each can be stopped
//! and made anew alone. They know only the API, through `client`.
//!
//! Start reading at [`controller`], then [`replicaset`] as the plainest example.

use std::net::Ipv4Addr;
use std::rc::Rc;

use client::{Client, Component, Informer, SharedInformers, Transport};
use k8s_openapi::api::apps::v1::ReplicaSet;
use machinery::Kind;

pub mod certificates;
pub mod claim;
pub mod clusterrole_aggregation;
pub mod controller;
pub mod cronjob;
pub mod daemonset;
pub mod deployment;
pub mod disruption;
pub mod endpoints;
pub mod endpointslice;
pub mod endpointslicemirroring;
pub mod ephemeral_volume;
pub mod garbagecollector;
pub mod history;
pub mod horizontalpodautoscaler;
pub mod job;
pub mod metadata;
pub mod namespace;
pub mod nodeipam;
pub mod nodelifecycle;
pub mod persistentvolume;
pub mod pod_control;
pub mod podgc;
pub mod pods;
pub mod ranking;
mod rare;
pub mod replicaset;
pub mod replication;
pub mod resourcequota;
pub mod rootca;
pub mod service_lb;
pub mod serviceaccount;
pub mod serviceaccount_tokens;
pub mod servicecidr;
pub mod services;
pub mod statefulset;
pub mod taint_eviction;
pub mod topology_hints;
pub mod ttlafterfinished;
pub mod volume_protection;

use controller::Driver;
use rare::Rare;

/// The process the controllers belong to: its name is the manager of the fields they write.
const PROCESS: &str = "kube-controller-manager";

/// What all controllers of a process share.
#[derive(Clone)]
pub struct Setup {
    /// The way to the API server.
    pub transport: Rc<dyn Transport>,
    /// One watch for each kind, however many controllers follow it.
    pub informers: SharedInformers,
    /// What can be chosen.
    pub options: Rc<Options>,
}

impl Setup {
    /// Objects that have controllers: found by their controller's uid, and those without one by namespace.
    fn dependents<K: Kind>(&self) -> Informer<K> {
        let all = self.informers.informer();
        all.indexed(pods::BY_CONTROLLER, pods::controller_uid).indexed(pods::ORPHANS, pods::orphan_namespace)
    }
}

/// What can be chosen about the controllers, as kube-controller-manager's flags do.
#[derive(Clone, Debug)]
pub struct Options {
    /// The PEM of the cluster's certificate authority, published as `kube-root-ca.crt`.
    pub root_ca: String,
    /// What signs certificates, where there is something.
    pub authority: Option<Rc<dyn certificates::Authority>>,
    /// The ingress that LoadBalancer Services get: an address, or else a host name. Without, there is no cloud: they are
    /// pending, and whoever gives them an address is not meddled with.
    pub load_balancer: Option<String>,
    /// The range (of 24 bits) from which each of them gets an address of its own besides, where there is one.
    pub load_balancers: Option<Ipv4Addr>,
}

impl Default for Options {
    fn default() -> Self {
        Self { root_ca: String::new(), authority: None, load_balancer: Some("localhost".into()), load_balancers: None }
    }
}

impl Setup {
    /// A process's controllers over a transport.
    pub fn new(transport: Rc<dyn Transport>, options: Options) -> Self {
        let informers = SharedInformers::new(Client::new(transport.clone(), PROCESS));
        Self { transport, informers, options: Rc::new(options) }
    }
}

/// Makes a controller's component.
pub type Build = fn(&Setup, Client) -> Box<dyn Component>;

/// Every controller by the name under which it writes, in the order in which they start.
pub const CONTROLLERS: &[(&str, Build)] = &[
    ("serviceaccount-controller", |setup, client| {
        driver(serviceaccount::ServiceAccountController::new(setup, &client), client)
    }),
    ("serviceaccount-token-controller", |setup, client| Rare::ServiceAccountTokens.asleep(setup, client)),
    ("root-ca-certificate-publisher-controller", |setup, client| {
        driver(rootca::RootCaPublisher::new(setup, &client), client)
    }),
    ("namespace-controller", |setup, client| driver(namespace::NamespaceController::new(setup, &client), client)),
    ("garbage-collector-controller", |_, client| driver(garbagecollector::GarbageCollector::new(&client), client)),
    ("deployment-controller", |setup, client| driver(deployment::DeploymentController::new(setup, &client), client)),
    ("replicaset-controller", |setup, client| {
        driver(replicaset::ReplicaSetController::<ReplicaSet>::new(setup, &client), client)
    }),
    ("replicationcontroller-controller", |setup, client| Rare::ReplicationController.asleep(setup, client)),
    ("daemonset-controller", |setup, client| driver(daemonset::DaemonSetController::new(setup, &client), client)),
    ("statefulset-controller", |setup, client| Rare::StatefulSet.asleep(setup, client)),
    ("job-controller", |setup, client| Rare::Job.asleep(setup, client)),
    ("ttl-after-finished-controller", |setup, client| Rare::TtlAfterFinished.asleep(setup, client)),
    ("cronjob-controller", |setup, client| Rare::CronJob.asleep(setup, client)),
    ("disruption-controller", |setup, client| Rare::Disruption.asleep(setup, client)),
    ("resourcequota-controller", |setup, client| Rare::ResourceQuota.asleep(setup, client)),
    ("endpoints-controller", |setup, client| driver(endpoints::EndpointsController::new(setup, &client), client)),
    ("endpointslice-controller", |setup, client| {
        driver(endpointslice::EndpointSliceController::new(setup, &client), client)
    }),
    ("endpointslice-mirroring-controller", |setup, client| Rare::EndpointSliceMirroring.asleep(setup, client)),
    ("horizontal-pod-autoscaler-controller", |setup, client| Rare::HorizontalPodAutoscaler.asleep(setup, client)),
    ("persistentvolume-binder-controller", |setup, client| Rare::VolumeBinder.asleep(setup, client)),
    ("local-path-provisioner", |setup, client| Rare::LocalPathProvisioner.asleep(setup, client)),
    ("ephemeral-volume-controller", |setup, client| Rare::EphemeralVolume.asleep(setup, client)),
    ("persistentvolumeclaim-protection-controller", |setup, client| Rare::ClaimProtection.asleep(setup, client)),
    ("persistentvolume-protection-controller", |setup, client| Rare::VolumeProtection.asleep(setup, client)),
    ("clusterrole-aggregation-controller", |setup, client| {
        driver(clusterrole_aggregation::ClusterRoleAggregation::new(setup, &client), client)
    }),
    ("pod-garbage-collector-controller", |setup, client| driver(podgc::PodGcController::new(setup, &client), client)),
    ("node-ipam-controller", |setup, client| driver(nodeipam::NodeIpamController::new(setup, &client), client)),
    ("node-lifecycle-controller", |setup, client| {
        driver(nodelifecycle::NodeLifecycleController::new(setup, &client), client)
    }),
    ("taint-eviction-controller", |setup, client| {
        driver(taint_eviction::TaintEvictionController::new(setup, &client), client)
    }),
    ("service-cidr-controller", |setup, client| {
        driver(servicecidr::ServiceCidrController::new(setup, &client), client)
    }),
    ("certificatesigningrequest-approving-controller", |setup, client| Rare::CertificateApprover.asleep(setup, client)),
    ("certificatesigningrequest-signing-controller", |setup, client| Rare::CertificateSigner.asleep(setup, client)),
    ("certificatesigningrequest-cleaner-controller", |setup, client| Rare::CertificateCleaner.asleep(setup, client)),
    ("service-lb-controller", |setup, client| Rare::ServiceLb.asleep(setup, client)),
];

/// All controllers as components.
pub fn all(setup: &Setup) -> Vec<Box<dyn Component>> {
    CONTROLLERS.iter().map(|(name, build)| build(setup, client_of(setup.transport.clone(), name))).collect()
}

/// One controller by its name in [`CONTROLLERS`], anew; over a transport of its own where it is given
/// one, which can then be cut without the others noticing.
pub fn named(setup: &Setup, name: &str, transport: Option<Rc<dyn Transport>>) -> Option<Box<dyn Component>> {
    let (name, build) = CONTROLLERS.iter().find(|(known, _)| *known == name)?;
    Some(build(setup, client_of(transport.unwrap_or_else(|| setup.transport.clone()), name)))
}

fn client_of(transport: Rc<dyn Transport>, name: &str) -> Client {
    Client::new(transport, name).with_user_agent(PROCESS)
}

fn driver<C: controller::Controller + 'static>(controller: C, client: Client) -> Box<dyn Component> {
    Box::new(Driver::new(client, Box::new(controller)))
}
