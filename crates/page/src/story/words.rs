//! Steps in words: what happens, and what the part that does it is for.

use playground_control::HopKind;

use super::chain::{Step, base};
use super::log::Act;
use crate::text::*;

/// A part in words: `kubelet/hello-worker` is the kubelet of hello-worker.
pub fn part(name: &str) -> String {
    match name.split_once('/') {
        Some(("kubelet", node)) => KUBELET_OF.with(&[node]),
        Some(("runtime", node)) => RUNTIME_OF.with(&[node]),
        _ if name == "kube-apiserver" => t(API_SERVER).into(),
        _ if name == "page" => t(THIS_PAGE).into(),
        _ => name.to_owned(),
    }
}

/// `Deployment web` for `deployments/default/web`; a kind that is not known is called by its plural.
pub fn object(address: &str, kinds: &[crate::ui::kinds::Kind]) -> String {
    let address = base(address);
    let mut parts = address.split('/');
    let resource = parts.next().unwrap_or_default();
    let kind = kinds.iter().find(|kind| kind.resource == resource).map_or(resource, |kind| kind.kind.as_str());
    let name = parts.next_back().unwrap_or_default();
    format!("{kind} {name}").trim_end().to_owned()
}

/// What a step is, in a line.
pub fn sentence(step: &Step, kinds: &[crate::ui::kinds::Kind]) -> String {
    match step {
        Step::Hear { who, object: address, .. } => STORY_HEARS.with(&[&part(who), &object(address, kinds)]),
        Step::Do(acts) => {
            let Some(first) = acts.first() else { return String::new() };
            let what = match acts.len() {
                1 => object(&first.hop.object, kinds),
                count => {
                    let resource = first.hop.object.split('/').next().unwrap_or_default();
                    format!("{count} {resource}")
                }
            };
            let who = part(&first.hop.from);
            if first.hop.kind == HopKind::Runtime {
                return STORY_TELLS.with(&[&who, &first.hop.verb, &what]);
            }
            let words = match (first.hop.verb.as_str(), subresource(first)) {
                ("create", "binding") => STORY_BINDS,
                ("create", "eviction") => STORY_EVICTS,
                (_, "status") => STORY_REPORTS,
                (_, "scale") => STORY_SCALES,
                ("create", _) => STORY_CREATES,
                ("delete" | "deletecollection", _) => STORY_DELETES,
                _ => STORY_CHANGES,
            };
            let said = words.with(&[&who, &what]);
            match &first.hop.error {
                Some(error) => STORY_REFUSED.with(&[&said, error]),
                None => said,
            }
        }
    }
}

fn subresource(act: &Act) -> &str {
    act.hop.object.strip_prefix(base(&act.hop.object).as_str()).unwrap_or_default().trim_start_matches('/')
}

/// What a part is for, in a sentence; empty where it speaks for itself.
pub fn purpose(name: &str) -> &'static str {
    let known = [
        ("kubectl", FOR_KUBECTL),
        ("deployment-controller", FOR_DEPLOYMENTS),
        ("replicaset-controller", FOR_REPLICASETS),
        ("statefulset-controller", FOR_STATEFULSETS),
        ("daemonset-controller", FOR_DAEMONSETS),
        ("job-controller", FOR_JOBS),
        ("cronjob-controller", FOR_CRONJOBS),
        ("endpointslice-controller", FOR_SLICES),
        ("endpoints-controller", FOR_SLICES),
        ("garbage-collector-controller", FOR_GARBAGE),
        ("node-lifecycle-controller", FOR_NODES),
        ("taint-eviction-controller", FOR_TAINTS),
        ("namespace-controller", FOR_NAMESPACES),
        ("kube-scheduler", FOR_SCHEDULER),
        ("kubelet", FOR_KUBELETS),
        ("runtime", FOR_RUNTIMES),
    ];
    let name = name.split('/').next().unwrap_or_default();
    known.iter().find(|(part, _)| *part == name).map_or("", |(_, words)| t(*words))
}
