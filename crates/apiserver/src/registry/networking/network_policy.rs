//! NetworkPolicy.

use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use machinery::Timestamp;
use machinery::field::{Error, ErrorList, Path};
use machinery::labels::{format_label_selector, validate_label_selector};
use serde_json::Value;

use crate::registry::shared::defaults::text;
use crate::registry::shared::printer::{AGE, NAME, age, column, name};
use crate::registry::shared::validate::{one_of, port, shown};
use crate::registry::strategy::{Typed, parts};

/// NetworkPolicy's strategy.
pub static STRATEGY: Typed<NetworkPolicy> = Typed {
    generation: true,
    defaults,
    validate,
    validate_update: |new, _| validate(new),
    columns: &[NAME, column("Pod-Selector", "string", "Which pods the policy is for."), AGE],
    cells,
    ..Typed::new(parts!(NetworkPolicy: spec))
};

fn defaults(policy: &mut NetworkPolicy) {
    let spec = policy.spec.get_or_insert_default();
    spec.pod_selector.get_or_insert_default();
    if spec.policy_types.as_ref().is_none_or(|types| types.is_empty()) {
        let mut types = vec!["Ingress".to_owned()];
        if spec.egress.as_ref().is_some_and(|egress| !egress.is_empty()) {
            types.push("Egress".into());
        }
        spec.policy_types = Some(types);
    }
    let ingress = spec.ingress.iter_mut().flatten().filter_map(|rule| rule.ports.as_mut());
    let egress = spec.egress.iter_mut().flatten().filter_map(|rule| rule.ports.as_mut());
    for port in ingress.chain(egress).flatten() {
        text(&mut port.protocol, "TCP");
    }
}

fn validate(policy: &NetworkPolicy) -> ErrorList {
    let path = Path::new("spec");
    let mut errors = ErrorList::new();
    let spec = policy.spec.clone().unwrap_or_default();
    errors.extend(validate_label_selector(spec.pod_selector.as_ref(), &path.child("podSelector")));
    let list = path.child("ingress");
    for (index, rule) in spec.ingress.iter().flatten().enumerate() {
        let at = list.index(index);
        ports(&mut errors, &at.child("ports"), rule.ports.as_deref());
        peers(&mut errors, &at.child("from"), rule.from.as_deref());
    }
    let list = path.child("egress");
    for (index, rule) in spec.egress.iter().flatten().enumerate() {
        let at = list.index(index);
        ports(&mut errors, &at.child("ports"), rule.ports.as_deref());
        peers(&mut errors, &at.child("to"), rule.to.as_deref());
    }
    let types = spec.policy_types.unwrap_or_default();
    let at = path.child("policyTypes");
    if types.len() > 2 {
        errors.push(Error::invalid(&at, shown(&types), "may not specify more than two policyTypes"));
        return errors;
    }
    for (index, kind) in types.iter().enumerate() {
        one_of(&mut errors, &at.index(index), Some(kind), &["Egress", "Ingress"]);
    }
    errors
}

fn ports(errors: &mut ErrorList, path: &Path<'_>, ports: Option<&[NetworkPolicyPort]>) {
    for (index, one) in ports.into_iter().flatten().enumerate() {
        let at = path.index(index);
        one_of(errors, &at.child("protocol"), one.protocol.as_deref(), &["SCTP", "TCP", "UDP"]);
        if let Some(number) = &one.port {
            port(errors, &at.child("port"), number);
        }
        let Some(end) = one.end_port else { continue };
        match &one.port {
            None => errors.push(Error::required(&at.child("port"), "must be specified when `endPort` is specified")),
            Some(IntOrString::String(_)) => {
                errors.push(Error::forbidden(&at.child("endPort"), "may not be specified when `port` is non-numeric"));
            }
            Some(IntOrString::Int(start)) if end < *start => {
                errors.push(Error::invalid(&at.child("endPort"), end, "must be greater than or equal to `port`"));
            }
            Some(IntOrString::Int(_)) => {}
        }
    }
}

fn peers(errors: &mut ErrorList, path: &Path<'_>, peers: Option<&[NetworkPolicyPeer]>) {
    for (index, peer) in peers.into_iter().flatten().enumerate() {
        let at = path.index(index);
        errors.extend(validate_label_selector(peer.pod_selector.as_ref(), &at.child("podSelector")));
        errors.extend(validate_label_selector(peer.namespace_selector.as_ref(), &at.child("namespaceSelector")));
        let selects = peer.pod_selector.is_some() || peer.namespace_selector.is_some();
        match &peer.ip_block {
            Some(_) if selects => {
                errors.push(Error::forbidden(&at, "may not specify both ipBlock and another peer"));
            }
            Some(block) if block.cidr.is_empty() => errors.push(Error::required(&at.child("ipBlock.cidr"), "")),
            Some(_) => {}
            None if !selects => errors.push(Error::required(&at, "must specify a peer")),
            None => {}
        }
    }
}

fn cells(policy: &NetworkPolicy, now: Timestamp) -> Vec<Value> {
    let selector = policy.spec.as_ref().and_then(|spec| spec.pod_selector.as_ref());
    vec![name(&policy.metadata), format_label_selector(selector).into(), age(&policy.metadata, now)]
}
