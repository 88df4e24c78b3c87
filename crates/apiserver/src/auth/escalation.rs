//! Whoever writes roles and bindings grants nothing that he has not himself, unless he may `escalate`
//! roles or `bind` them (`pkg/registry/rbac/*/policybased`, `validation.ConfirmNoEscalation`).

use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef};
use machinery::{ApiError, Object, go};

use super::MASTERS;
use super::rbac::{self, ALL};
use crate::call::{Call, Result};
use crate::request_info::RequestInfo;

/// Checks a role or binding that is to be written, in the place of `old` if there was one. Objects of
/// other kinds grant nothing.
///
/// # Errors
/// 403 that lists what the user has not; 404 where a bound role does not exist.
pub(crate) fn check(call: &Call, object: &dyn Object, old: Option<&dyn Object>) -> Result<()> {
    if call.row.group != rbac::GROUP || call.user.is_in(MASTERS) || old.is_some_and(|old| is_same(object, old)) {
        return Ok(());
    }
    let any = object.as_any();
    let (granted, aggregates) = if let Some(role) = any.downcast_ref::<Role>() {
        (Grant::Rules(&role.rules), false)
    } else if let Some(role) = any.downcast_ref::<ClusterRole>() {
        let before = old.and_then(|old| old.as_any().downcast_ref::<ClusterRole>());
        (Grant::Rules(&role.rules), [Some(role), before].into_iter().flatten().any(aggregates))
    } else if let Some(binding) = any.downcast_ref::<RoleBinding>() {
        (Grant::Role(&binding.role_ref), false)
    } else if let Some(binding) = any.downcast_ref::<ClusterRoleBinding>() {
        (Grant::Role(&binding.role_ref), false)
    } else {
        return Ok(());
    };
    if may(call, &granted) {
        return Ok(());
    }
    let forbidden = |reason: String| {
        let name = object.metadata().name.as_deref().unwrap_or_default();
        ApiError::forbidden(&call.resource(), name, reason)
    };
    let rules = match granted {
        Grant::Rules(rules) => rules.clone().unwrap_or_default(),
        Grant::Role(role) => rbac::rules_of(&call.server.store().snapshot(), role, &call.info.namespace)?,
    };
    confirm(call, &rules).map_err(forbidden)?;
    if aggregates && confirm(call, &everything()).is_err() {
        return Err(forbidden("must have cluster-admin privileges to use an aggregationRule".into()));
    }
    Ok(())
}

/// What an object gives.
enum Grant<'a> {
    /// A role: its rules.
    Rules(&'a Option<Vec<PolicyRule>>),
    /// A binding: another object's.
    Role(&'a RoleRef),
}

/// Whether the user may grant whatever there is, by `escalate` on the role or `bind` on the one bound.
fn may(call: &Call, grant: &Grant<'_>) -> bool {
    let (verb, resource, name) = match grant {
        Grant::Rules(_) => ("escalate", call.info.resource.as_str(), &call.info.name),
        Grant::Role(role) if role.kind == "Role" => ("bind", "roles", &role.name),
        Grant::Role(role) => ("bind", "clusterroles", &role.name),
    };
    let asked = RequestInfo {
        verb: verb.into(),
        resource: resource.into(),
        subresource: String::new(),
        name: name.clone(),
        ..call.info.clone()
    };
    call.server.authorize(&call.user, &asked).is_ok()
}

/// Whether nothing differs but what the garbage collector changes (`IsOnlyMutatingGCFields`).
fn is_same(object: &dyn Object, old: &dyn Object) -> bool {
    let mut copy = object.clone_object();
    let (metadata, before) = (copy.metadata_mut(), old.metadata());
    metadata.owner_references.clone_from(&before.owner_references);
    metadata.finalizers.clone_from(&before.finalizers);
    metadata.managed_fields.clone_from(&before.managed_fields);
    copy.to_value() == old.to_value()
}

fn aggregates(role: &ClusterRole) -> bool {
    role.aggregation_rule.as_ref().is_some_and(|rule| rule.cluster_role_selectors.iter().flatten().next().is_some())
}

/// The rules of an administrator.
fn everything() -> [PolicyRule; 2] {
    let all = || Some(vec![ALL.to_owned()]);
    let verbs = vec![ALL.to_owned()];
    [
        PolicyRule { api_groups: all(), resources: all(), verbs: verbs.clone(), ..PolicyRule::default() },
        PolicyRule { non_resource_urls: all(), verbs, ..PolicyRule::default() },
    ]
}

/// Whether the user has all that some rules allow.
///
/// # Errors
/// With what is missing, as upstream says it.
fn confirm(call: &Call, rules: &[PolicyRule]) -> std::result::Result<(), String> {
    let (own, errors) = rbac::rules_for(&call.server.store().snapshot(), &call.user, &call.info.namespace);
    let mut missing = Vec::new();
    for part in rules.iter().flat_map(atoms) {
        if !own.iter().any(|rule| covers(rule, &part)) {
            add(&mut missing, part);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let mut missing: Vec<String> = missing.iter().map(shown).collect();
    missing.sort();
    missing.dedup();
    let mut message = format!(
        "user {} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
        go::quote(&call.user.username),
        quoted(&call.user.groups),
        missing.join("\n")
    );
    if !errors.is_empty() {
        message += &format!("; resolution errors: [{}]", errors.join(", "));
    }
    Err(message)
}

/// The smallest rules a rule is made of (`BreakdownRule`).
fn atoms(rule: &PolicyRule) -> Vec<PolicyRule> {
    let one = |text: &String| Some(vec![text.clone()]);
    let mut atoms = Vec::new();
    for verb in &rule.verbs {
        let atom = PolicyRule { verbs: vec![verb.clone()], ..PolicyRule::default() };
        for group in rule.api_groups.iter().flatten() {
            for resource in rule.resources.iter().flatten() {
                let atom = PolicyRule { api_groups: one(group), resources: one(resource), ..atom.clone() };
                match rule.resource_names.as_deref() {
                    None | Some([]) => atoms.push(atom),
                    Some(names) => {
                        atoms.extend(names.iter().map(|name| PolicyRule { resource_names: one(name), ..atom.clone() }));
                    }
                }
            }
        }
        for url in rule.non_resource_urls.iter().flatten() {
            atoms.push(PolicyRule { non_resource_urls: one(url), ..atom.clone() });
        }
    }
    atoms
}

/// Whether a rule allows all that an atom does (`ruleCovers`).
fn covers(rule: &PolicyRule, atom: &PolicyRule) -> bool {
    fn has(list: Option<&[String]>, part: Option<&[String]>) -> bool {
        let list = list.unwrap_or_default();
        part.unwrap_or_default().iter().all(|entry| list.iter().any(|own| own == ALL || own == entry))
    }
    let resources = rule.resources.as_deref().unwrap_or_default();
    let covers_resource = |wanted: &String| {
        let of_all = wanted.split_once('/').map(|(_, subresource)| format!("{ALL}/{subresource}"));
        resources.iter().any(|own| own == ALL || own == wanted || Some(own) == of_all.as_ref())
    };
    let urls = rule.non_resource_urls.as_deref().unwrap_or_default();
    let names = rule.resource_names.as_deref().unwrap_or_default();
    let wanted = atom.resource_names.as_deref().unwrap_or_default();
    has(Some(&rule.verbs), Some(&atom.verbs))
        && has(rule.api_groups.as_deref(), atom.api_groups.as_deref())
        && atom.resources.iter().flatten().all(covers_resource)
        && atom.non_resource_urls.iter().flatten().all(|path| urls.iter().any(|url| rbac::covers_path(url, path)))
        && (names.is_empty() || (!wanted.is_empty() && wanted.iter().all(|name| names.contains(name))))
}

/// Adds an atom to others, together with those about the same resource (`CompactRules`).
fn add(rules: &mut Vec<PolicyRule>, atom: PolicyRule) {
    let about_same = |rule: &&mut PolicyRule| {
        rule.non_resource_urls.is_none()
            && (&rule.api_groups, &rule.resources, &rule.resource_names)
                == (&atom.api_groups, &atom.resources, &atom.resource_names)
    };
    match rules.iter_mut().find(about_same).filter(|_| atom.non_resource_urls.is_none()) {
        Some(rule) => rule.verbs.extend(atom.verbs),
        None => rules.push(atom),
    }
}

/// A rule as upstream's `CompactString` writes it.
fn shown(rule: &PolicyRule) -> String {
    let parts = [
        ("APIGroups", rule.api_groups.as_deref()),
        ("Resources", rule.resources.as_deref()),
        ("NonResourceURLs", rule.non_resource_urls.as_deref()),
        ("ResourceNames", rule.resource_names.as_deref()),
        ("Verbs", Some(rule.verbs.as_slice())),
    ];
    let parts = parts.into_iter().filter_map(|(name, list)| Some((name, list.filter(|list| !list.is_empty())?)));
    let parts: Vec<String> = parts.map(|(name, list)| format!("{name}:{}", quoted(list))).collect();
    format!("{{{}}}", parts.join(", "))
}

/// A list as Go's `%q` writes it.
fn quoted(list: &[String]) -> String {
    format!("[{}]", list.iter().map(|entry| go::quote(entry)).collect::<Vec<_>>().join(" "))
}
