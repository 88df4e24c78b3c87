//! `kubectl apply --prune`.

use std::collections::BTreeSet;

use super::create::LAST_APPLIED;
use super::delete::{self, Deletion};
use crate::api::Url;
use crate::error::Error;
use crate::resources::text;
use crate::select::{self, Info};
use crate::session::{DryRun, Session};

/// Kinds that are pruned unless `--prune-allowlist` says otherwise: `(apiVersion, kind)`.
const DEFAULT: &[(&str, &str)] = &[
    ("v1", "ConfigMap"),
    ("v1", "Endpoints"),
    ("v1", "PersistentVolumeClaim"),
    ("v1", "Pod"),
    ("v1", "ReplicationController"),
    ("v1", "Secret"),
    ("v1", "Service"),
    ("batch/v1", "Job"),
    ("batch/v1", "CronJob"),
    ("networking.k8s.io/v1", "Ingress"),
    ("apps/v1", "DaemonSet"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "ReplicaSet"),
    ("apps/v1", "StatefulSet"),
    ("v1", "Namespace"),
    ("v1", "PersistentVolume"),
];

/// The kinds of `--prune-allowlist`: `(apiVersion, kind)`.
///
/// # Errors
/// What is no kind, or none of the server's.
pub(super) async fn allowlist(session: &Session<'_>) -> Result<Vec<(String, String)>, Error> {
    let mut kinds = Vec::new();
    for entry in session.args.list("prune-allowlist") {
        let parts: Vec<&str> = entry.split('/').collect();
        let [group, version, kind] = parts.as_slice() else {
            return Err(Error::message(format!(
                "invalid GroupVersionKind format: {entry}, please follow <group/version/kind>"
            )));
        };
        let group = if *group == "core" { "" } else { group };
        let api_version = machinery::gvk::api_version(group, version);
        if session.mapper().await?.for_kind(&api_version, kind).is_none() {
            return Err(Error::message(format!("no matches for kind {kind:?} in version {api_version:?}")));
        }
        kinds.push((api_version, (*kind).to_owned()));
    }
    Ok(kinds)
}

/// Deletes applied objects that were not applied this time.
pub(super) async fn prune(
    session: &Session<'_>,
    kept: &BTreeSet<String>,
    namespaces: &BTreeSet<String>,
    dry_run: DryRun,
) -> Result<(), Error> {
    let grace_period = session.args.int("grace-period");
    let deletion = Deletion { grace_period, propagation: delete::propagation(session)?, dry_run };
    for info in outdated(session, kept, namespaces).await? {
        delete::delete(session, &info, &deletion).await?;
        session.outln(format!("{} pruned{}", info.display(), dry_run.suffix()));
    }
    Ok(())
}

/// Applied objects that are not among those to keep, by their uids.
pub(super) async fn outdated(
    session: &Session<'_>,
    kept: &BTreeSet<String>,
    namespaces: &BTreeSet<String>,
) -> Result<Vec<Info>, Error> {
    let mapper = session.mapper().await?;
    let mut kinds = allowlist(session).await?;
    if kinds.is_empty() {
        let text = "Deprecated: kubectl apply will no longer prune non-namespaced resources by default when used with the \
                    --namespace flag in a future release. To preserve the current behaviour, list the resources you want \
                    to target explicitly in the --prune-allowlist flag.";
        session.klog('W', "prune.go:71", text);
        kinds.extend(DEFAULT.iter().map(|(version, kind)| ((*version).to_owned(), (*kind).to_owned())));
    }
    let mut outdated = Vec::new();
    for (version, kind) in &kinds {
        let Some(resource) = mapper.for_kind(version, kind) else { continue };
        let everywhere = BTreeSet::from([String::new()]);
        for namespace in if resource.namespaced { namespaces } else { &everywhere } {
            let url =
                Url::new(resource.path(namespace, "")).with_some("labelSelector", session.args.string("selector"));
            for object in select::list_all(session, url).await? {
                let metadata = &object["metadata"];
                let applied = !metadata["annotations"][LAST_APPLIED].is_null();
                if !applied || kept.contains(&text(&metadata["uid"])) {
                    continue;
                }
                outdated.push(select::of_object(resource, object));
            }
        }
    }
    Ok(outdated)
}
