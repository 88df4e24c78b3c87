//! What is wrong with a pod spec: what is not about one container or volume.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{HostAlias, PodDNSConfig, PodSpec, Toleration, TopologySpreadConstraint};
use machinery::field::{Error, ErrorList, Path};
use machinery::labels::{validate_label_selector, validate_labels};
use machinery::names::{is_dns1123_label, is_dns1123_subdomain, is_label_value, is_qualified_name, range_message};

use super::{affinity, container, security, volume};
use crate::registry::shared::resources;
use crate::registry::shared::validate::{complain, ip, one_of, optional, optional_one_of, required, shown};

/// Everything that is wrong with a pod spec.
pub fn pod_spec(path: &Path<'_>, spec: &PodSpec) -> ErrorList {
    let mut errors = ErrorList::new();
    let volumes = volume::volumes(&mut errors, &path.child("volumes"), spec);
    container::containers(&mut errors, path, spec, &volumes);
    if let Some(resources) = &spec.resources {
        resources::of_container(&mut errors, &path.child("resources"), resources);
    }
    let restart_policy = spec.restart_policy.as_deref();
    one_of(&mut errors, &path.child("restartPolicy"), restart_policy, &["Always", "OnFailure", "Never"]);
    dns_policy(&mut errors, path, spec);
    errors.extend(validate_labels(spec.node_selector.as_ref(), &path.child("nodeSelector")));
    security::pod_security_context(&mut errors, path, spec);
    image_pull_secrets(&mut errors, path, spec);
    if let Some(affinity) = &spec.affinity {
        affinity::affinity(&mut errors, &path.child("affinity"), affinity);
    }
    if let Some(config) = &spec.dns_config {
        dns_config(&mut errors, &path.child("dnsConfig"), config);
    }
    gates(&mut errors, path, spec);
    spread(&mut errors, &path.child("topologySpreadConstraints"), spec.topology_spread_constraints.as_deref());
    let name: fn(&str) -> Vec<String> = is_dns1123_subdomain;
    optional(&mut errors, &path.child("serviceAccountName"), spec.service_account_name.as_deref(), name);
    optional(&mut errors, &path.child("nodeName"), spec.node_name.as_deref(), name);
    let deadline_max = i64::from(i32::MAX);
    if let Some(seconds) = spec.active_deadline_seconds.filter(|seconds| !(1..=deadline_max).contains(seconds)) {
        let detail = range_message(1, deadline_max);
        errors.push(Error::invalid(&path.child("activeDeadlineSeconds"), seconds, detail));
    }
    optional(&mut errors, &path.child("hostname"), spec.hostname.as_deref(), is_dns1123_label);
    optional(&mut errors, &path.child("subdomain"), spec.subdomain.as_deref(), is_dns1123_label);
    tolerations(&mut errors, &path.child("tolerations"), spec.tolerations.as_deref());
    host_aliases(&mut errors, &path.child("hostAliases"), spec.host_aliases.as_deref());
    optional(&mut errors, &path.child("priorityClassName"), spec.priority_class_name.as_deref(), name);
    optional(&mut errors, &path.child("runtimeClassName"), spec.runtime_class_name.as_deref(), name);
    let preemption = spec.preemption_policy.as_deref();
    optional_one_of(&mut errors, &path.child("preemptionPolicy"), preemption, &["PreemptLowerPriority", "Never"]);
    let overhead = path.child("overhead");
    for (resource, quantity) in spec.overhead.iter().flatten() {
        resources::quantity(&mut errors, &overhead.key(resource), resource, quantity);
    }
    if let Some(os) = &spec.os {
        one_of(&mut errors, &path.child("os.name"), Some(&os.name), &["linux", "windows"]);
    }
    errors
}

fn dns_policy(errors: &mut ErrorList, path: &Path<'_>, spec: &PodSpec) {
    let policy = spec.dns_policy.as_deref();
    let supported = ["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"];
    one_of(errors, &path.child("dnsPolicy"), policy, &supported);
    if policy != Some("None") {
        return;
    }
    let config = path.child("dnsConfig");
    match &spec.dns_config {
        None => errors.push(Error::required(&config, "must provide `dnsConfig` when `dnsPolicy` is None")),
        Some(dns) if dns.nameservers.iter().flatten().next().is_none() => {
            let detail = "must provide at least one DNS nameserver when `dnsPolicy` is None";
            errors.push(Error::required(&config.child("nameservers"), detail));
        }
        Some(_) => {}
    }
}

fn dns_config(errors: &mut ErrorList, path: &Path<'_>, config: &PodDNSConfig) {
    const NAMESERVERS_MAX: usize = 3;
    const SEARCHES_MAX: usize = 32;
    let servers = config.nameservers.as_deref().unwrap_or_default();
    let servers_path = path.child("nameservers");
    if servers.len() > NAMESERVERS_MAX {
        let detail = format!("must not have more than {NAMESERVERS_MAX} nameservers");
        errors.push(Error::invalid(&servers_path, shown(&servers), detail));
    }
    for (index, server) in servers.iter().enumerate() {
        ip(errors, &servers_path.index(index), server);
    }
    let searches = config.searches.as_deref().unwrap_or_default();
    let searches_path = path.child("searches");
    if searches.len() > SEARCHES_MAX {
        let detail = format!("must not have more than {SEARCHES_MAX} search paths");
        errors.push(Error::invalid(&searches_path, shown(&searches), detail));
    }
    for (index, search) in searches.iter().enumerate().filter(|(_, search)| *search != ".") {
        let complaints = is_dns1123_subdomain(search.strip_suffix('.').unwrap_or(search));
        complain(errors, &searches_path.index(index), search, complaints);
    }
    let options = path.child("options");
    for (index, option) in config.options.iter().flatten().enumerate() {
        if option.name.as_deref().unwrap_or_default().is_empty() {
            errors.push(Error::required(&options.index(index), "must not be empty"));
        }
    }
}

fn image_pull_secrets(errors: &mut ErrorList, path: &Path<'_>, spec: &PodSpec) {
    let list = path.child("imagePullSecrets");
    for (index, secret) in spec.image_pull_secrets.iter().flatten().enumerate() {
        if secret.name.is_empty() {
            let at = list.index(index);
            errors.push(Error::required(&at.child("name"), ""));
        }
    }
}

fn gates(errors: &mut ErrorList, path: &Path<'_>, spec: &PodSpec) {
    let readiness = path.child("readinessGates");
    for (index, gate) in spec.readiness_gates.iter().flatten().enumerate() {
        let at = readiness.index(index);
        complain(errors, &at.child("conditionType"), &gate.condition_type, is_qualified_name(&gate.condition_type));
    }
    let scheduling = path.child("schedulingGates");
    let mut seen = BTreeSet::new();
    for (index, gate) in spec.scheduling_gates.iter().flatten().enumerate() {
        let at = scheduling.index(index);
        complain(errors, &at, &gate.name, is_qualified_name(&gate.name));
        if !seen.insert(&gate.name) {
            errors.push(Error::duplicate(&at, gate.name.as_str()));
        }
    }
}

fn spread(errors: &mut ErrorList, path: &Path<'_>, constraints: Option<&[TopologySpreadConstraint]>) {
    let mut seen = BTreeSet::new();
    for (index, constraint) in constraints.into_iter().flatten().enumerate() {
        let at = path.index(index);
        if constraint.max_skew <= 0 {
            errors.push(Error::invalid(&at.child("maxSkew"), constraint.max_skew, "must be greater than zero"));
        }
        match constraint.topology_key.as_str() {
            "" => errors.push(Error::required(&at.child("topologyKey"), "can not be empty")),
            key => complain(errors, &at.child("topologyKey"), key, is_qualified_name(key)),
        }
        let unsatisfiable = constraint.when_unsatisfiable.as_str();
        if !matches!(unsatisfiable, "DoNotSchedule" | "ScheduleAnyway") {
            let supported = ["DoNotSchedule", "ScheduleAnyway"];
            errors.push(Error::not_supported(&at.child("whenUnsatisfiable"), unsatisfiable, &supported));
        }
        if !seen.insert((&constraint.topology_key, unsatisfiable)) {
            let value = format!("{{{}, {unsatisfiable}}}", constraint.topology_key);
            errors.push(Error::duplicate(&at.child("{topologyKey, whenUnsatisfiable}"), value));
        }
        if let Some(domains) = constraint.min_domains {
            if domains <= 0 {
                errors.push(Error::invalid(&at.child("minDomains"), domains, "must be greater than zero"));
            }
            if unsatisfiable != "DoNotSchedule" {
                let detail = format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {unsatisfiable}");
                errors.push(Error::invalid(&at.child("minDomains"), domains, detail));
            }
        }
        let policies = ["Honor", "Ignore"];
        optional_one_of(errors, &at.child("nodeAffinityPolicy"), constraint.node_affinity_policy.as_deref(), &policies);
        optional_one_of(errors, &at.child("nodeTaintsPolicy"), constraint.node_taints_policy.as_deref(), &policies);
        errors.extend(validate_label_selector(constraint.label_selector.as_ref(), &at.child("labelSelector")));
    }
}

/// Everything that is wrong with tolerations.
pub fn tolerations(errors: &mut ErrorList, path: &Path<'_>, tolerations: Option<&[Toleration]>) {
    for (index, toleration) in tolerations.into_iter().flatten().enumerate() {
        let at = path.index(index);
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let (key, operator) = (text(&toleration.key), text(&toleration.operator));
        let (value, effect) = (text(&toleration.value), text(&toleration.effect));
        optional(errors, &at.child("key"), Some(&key), is_qualified_name);
        if key.is_empty() && operator != "Exists" {
            let detail = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            errors.push(Error::invalid(&at.child("operator"), operator.as_str(), detail));
        }
        if toleration.toleration_seconds.is_some() && effect != "NoExecute" {
            let detail = "effect must be 'NoExecute' when `tolerationSeconds` is set";
            errors.push(Error::invalid(&at.child("effect"), effect.as_str(), detail));
        }
        match operator.as_str() {
            "" | "Equal" => {
                let complaints = is_label_value(&value);
                if !complaints.is_empty() {
                    errors.push(Error::invalid(&at.child("operator"), value, complaints.join(";")));
                }
            }
            "Exists" if !value.is_empty() => {
                let detail = "value must be empty when `operator` is 'Exists'";
                errors.push(Error::invalid(&at.child("operator"), shown(toleration), detail));
            }
            "Exists" => {}
            other => errors.push(Error::not_supported(&at.child("operator"), other, &["Equal", "Exists"])),
        }
        if !effect.is_empty() {
            taint_effect(errors, &at.child("effect"), &effect);
        }
    }
}

/// The effects that taints have.
pub fn taint_effect(errors: &mut ErrorList, path: &Path<'_>, effect: &str) {
    one_of(errors, path, Some(effect), &["NoSchedule", "PreferNoSchedule", "NoExecute"]);
}

fn host_aliases(errors: &mut ErrorList, path: &Path<'_>, aliases: Option<&[HostAlias]>) {
    for (index, alias) in aliases.into_iter().flatten().enumerate() {
        let at = path.index(index);
        ip(errors, &at.child("ip"), &alias.ip);
        let names = at.child("hostnames");
        for (index, name) in alias.hostnames.iter().flatten().enumerate() {
            required(errors, &names.index(index), name, is_dns1123_subdomain);
        }
    }
}
