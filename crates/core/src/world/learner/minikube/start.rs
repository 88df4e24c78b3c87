//! `minikube start`.

use std::time::Duration;

use super::addons::ADDONS;
use super::{Minikube, Outcome, VERSION, usage};
use crate::options::NodeOptions;
use crate::world::learner::clusters::{LocalCluster, LocalNode, Tool};
use crate::world::learner::flags::Flags;
use crate::world::learner::kubeconfig;

const BASE_IMAGE: &str = "gcr.io/k8s-minikube/kicbase:v0.0.48";
/// The first node's address in the network of minikube's docker driver.
const FIRST_ADDRESS: u32 = u32::from_be_bytes([192, 168, 49, 2]);
const API_PORT: u16 = 8443;

impl Minikube {
    pub(super) fn new_node(&self, profile: &str, number: u16) -> LocalNode {
        let name = if number == 1 { profile.to_owned() } else { format!("{profile}-m{number:02}") };
        let mut options = NodeOptions::worker(name, 0);
        // Profiles share a network: their nodes come one after the other.
        let taken = self.clusters.of(Tool::Minikube).iter().map(|cluster| cluster.nodes.borrow().len()).sum::<usize>();
        let index = u32::try_from(taken).unwrap_or(0) + u32::from(number) - 1;
        options.address = (FIRST_ADDRESS + index).into();
        if number == 1 {
            options.labels.insert("node-role.kubernetes.io/control-plane".into(), String::new());
            options.labels.insert("minikube.k8s.io/primary".into(), "true".into());
            options.labels.insert("minikube.k8s.io/name".into(), profile.to_owned());
            options.labels.insert("minikube.k8s.io/version".into(), VERSION.into());
        }
        LocalNode {
            options,
            control_plane: number == 1,
            id: self.clusters.new_id(),
            image: BASE_IMAGE.into(),
            ports: Vec::new(),
            created_at: self.process.machine.now(),
            stopped: false,
        }
    }

    pub(super) async fn start(&self, flags: &Flags, profile: &str) -> Outcome {
        let driver = self.setting(flags, "driver").or_else(|| self.setting(flags, "vm-driver"));
        let driver = driver.as_deref();
        if let Some(driver) = driver.filter(|driver| {
            !matches!(*driver, "docker" | "none" | "podman" | "kvm2" | "virtualbox" | "hyperkit" | "qemu" | "qemu2")
        }) {
            return Err((64, format!("DRV_UNSUPPORTED_OS: The driver '{driver}' is not supported on linux/amd64")));
        }
        let count: u16 = match flags.value("nodes").unwrap_or("1").parse() {
            Ok(count @ 1..=20) => count,
            _ => return Err(usage("invalid number of nodes")),
        };
        let title = if profile == "minikube" { String::new() } else { format!("[{profile}] ") };
        self.step(&format!("😄  {title}minikube {VERSION} on Debian 12.0 (amd64)"), 200).await;
        if let Some(cluster) = self.find(profile) {
            self.step("✨  Using the docker driver based on existing profile", 200).await;
            self.step(&format!("👍  Starting \"{profile}\" primary control-plane node in \"{profile}\" cluster"), 200)
                .await;
            let was = cluster.is_running();
            let what = if was {
                "🏃  Updating the running docker"
            } else {
                "🔄  Restarting existing docker container for"
            };
            self.step(&format!("{what} \"{profile}\" {}...", if was { "container " } else { "" }), 2500).await;
            self.clusters.start(&cluster).map_err(|error| (80, format!("GUEST_START: {error}")))?;
            return self.finish(&cluster).await;
        }
        let how = if driver.is_some() {
            "Using the docker driver based on user configuration"
        } else {
            "Automatically selected the docker driver"
        };
        self.step(&format!("✨  {how}"), 100).await;
        if let Some(driver) = driver.filter(|driver| *driver != "docker") {
            self.step(&format!("❗  This playground has containers only: the docker driver stands in for {driver}"), 0)
                .await;
        }
        let version = self.setting(flags, "kubernetes-version").unwrap_or_default();
        let version = version.trim_start_matches('v');
        if !matches!(version, "" | "stable" | "latest") && version != kubelet::VERSION.trim_start_matches('v') {
            self.step(
                &format!("❗  This playground has Kubernetes {} only: it stands in for v{version}", kubelet::VERSION),
                0,
            )
            .await;
        }
        self.step("📌  Using Docker driver with root privileges", 0).await;
        self.step(&format!("👍  Starting \"{profile}\" primary control-plane node in \"{profile}\" cluster"), 300)
            .await;
        self.step("🚜  Pulling base image v0.0.48 ...", 900).await;
        let memory = self.setting(flags, "memory").unwrap_or_else(|| "3900".to_owned());
        let memory = memory.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let cpus = self.setting(flags, "cpus").unwrap_or_else(|| "2".to_owned());
        self.step(&format!("🔥  Creating docker container (CPUs={cpus}, Memory={memory}MB) ..."), 1500).await;
        self.step(&format!("🐳  Preparing Kubernetes {} on Docker 28.4.0 ...", kubelet::VERSION), 0).await;
        let nodes: Vec<LocalNode> = (1..=count).map(|number| self.new_node(profile, number)).collect();
        let server =
            nodes.first().map(|node| format!("https://{}:{API_PORT}", node.options.address)).unwrap_or_default();
        let created = self.clusters.create(Tool::Minikube, profile, profile, &server, nodes);
        let cluster = created.map_err(|error| (80, format!("GUEST_START: {error}")))?;
        self.process.sleep(Duration::from_millis(2500)).await;
        let cni = if count > 1 { "CNI" } else { "bridge CNI" };
        self.step(&format!("🔗  Configuring {cni} (Container Networking Interface) ..."), 400).await;
        let asked = flags.values("addons").flat_map(|names| names.split(','));
        let wanted: Vec<&str> =
            ADDONS.iter().filter(|(.., default)| *default).map(|(name, ..)| *name).chain(asked).collect();
        for name in &wanted {
            self.switch(&cluster, name, true).await?;
        }
        for number in 2..=count {
            self.step("", 0).await;
            self.step(&format!("👍  Starting \"{profile}-m{number:02}\" worker node in \"{profile}\" cluster"), 1500)
                .await;
        }
        self.finish(&cluster).await
    }

    pub(super) async fn finish(&self, cluster: &LocalCluster) -> Outcome {
        self.step("🔎  Verifying Kubernetes components...", 800).await;
        self.step("    ▪ Using image gcr.io/k8s-minikube/storage-provisioner:v5", 0).await;
        let addons = cluster.addons.borrow().join(", ");
        self.step(&format!("🌟  Enabled addons: {addons}"), 0).await;
        kubeconfig::add(&self.process, None, &cluster.context, &cluster.server);
        self.say(&format!(
            "🏄  Done! kubectl is now configured to use \"{}\" cluster and \"default\" namespace by default\n",
            cluster.name
        ))
        .await
    }
}
