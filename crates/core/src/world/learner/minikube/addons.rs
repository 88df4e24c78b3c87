//! `minikube addons`.

use super::{Minikube, Outcome, boxed, usage};
use crate::world::learner::clusters::LocalCluster;
use crate::world::learner::flags::Flags;
use crate::world::learner::{kubeconfig, tools};

/// Addons: name, maintainer, and whether a new cluster has it.
pub(super) const ADDONS: &[(&str, &str, bool)] = &[
    ("dashboard", "Kubernetes", false),
    ("default-storageclass", "Kubernetes", true),
    ("ingress", "Kubernetes", false),
    ("ingress-dns", "minikube", false),
    ("metrics-server", "Kubernetes", false),
    ("registry", "minikube", false),
    ("storage-provisioner", "minikube", true),
];

impl Minikube {
    pub(super) async fn addons(&self, flags: &Flags, profile: &str) -> Outcome {
        match flags.word(1) {
            "list" => {
                let cluster = self.find(profile);
                let on = |name: &str| {
                    cluster.as_ref().is_some_and(|cluster| cluster.addons.borrow().iter().any(|addon| addon == name))
                };
                let rows: Vec<[String; 4]> = ADDONS
                    .iter()
                    .map(|(name, maintainer, _)| {
                        let status = if on(name) { "enabled ✅" } else { "disabled" };
                        [(*name).to_owned(), profile.to_owned(), status.to_owned(), (*maintainer).to_owned()]
                    })
                    .collect();
                self.say(&boxed(&["ADDON NAME", "PROFILE", "STATUS", "MAINTAINER"], &rows)).await
            }
            action @ ("enable" | "disable") => {
                let cluster = self.running(profile)?;
                let name = flags.word(2);
                if name.is_empty() {
                    return Err(usage(format!("usage: minikube addons {action} ADDON_NAME")));
                }
                let Some((name, maintainer, _)) = ADDONS.iter().find(|(known, ..)| *known == name) else {
                    return Err((
                        10,
                        format!("MK_ADDON_{}: {action}: '{name}' is not a valid minikube addon", action.to_uppercase()),
                    ));
                };
                if action == "disable" {
                    self.switch(&cluster, name, false).await?;
                    return self.say(&format!("🌑  \"The '{name}' addon is disabled\n")).await;
                }
                self.step(
                    &format!(
                        "💡  {name} is an addon maintained by {maintainer}. For any concerns contact minikube on \
                         GitHub.\nYou can view the list of minikube maintainers at: \
                         https://github.com/kubernetes/minikube/blob/master/OWNERS"
                    ),
                    300,
                )
                .await;
                if *name == "ingress" {
                    self.step("🔎  Verifying ingress addon...", 500).await;
                }
                self.switch(&cluster, name, true).await?;
                self.say(&format!("🌟  The '{name}' addon is enabled\n")).await
            }
            other => Err(usage(format!("unknown addons command {other:?}: list, enable and disable are known"))),
        }
    }

    /// Switches an addon: what it consists of is applied or deleted.
    pub(super) async fn switch(&self, cluster: &LocalCluster, name: &str, on: bool) -> Result<(), (i32, String)> {
        if !ADDONS.iter().any(|(known, ..)| *known == name) {
            return Err((10, format!("MK_ADDON_ENABLE: '{name}' is not a valid minikube addon")));
        }
        cluster.addons.borrow_mut().retain(|addon| addon != name);
        if on {
            cluster.addons.borrow_mut().push(name.to_owned());
        }
        let manifest = match name {
            "dashboard" => include_str!("../addons/dashboard.yaml"),
            "ingress" => include_str!("../addons/ingress.yaml"),
            _ => return Ok(()),
        };
        // The kubeconfig has no entry yet while the cluster is being made.
        if on {
            kubeconfig::add(&self.process, None, &cluster.context, &cluster.server);
            self.apply(cluster, manifest).await;
        } else {
            let command = ["kubectl", "--context", &cluster.context, "delete", "--ignore-not-found", "-f", "-"];
            tools::run_quietly(&self.process, &command, manifest).await;
        }
        Ok(())
    }
}
