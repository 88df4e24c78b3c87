//! `kubectl auth reconcile`: what a role or binding lacks is added, and what it has beyond that goes only where a flag
//! says so (upstream's component-helpers/auth/rbac).

use http::Method;
use serde_json::{Map, Value, json};

use super::create::visit;
use crate::error::Error;
use crate::print::output::{COMMON, Output, done};
use crate::resources::{items, text};
use crate::select::Info;
use crate::session::{DryRun, Session};
use crate::value::ValueExt;

const GROUP: &str = "rbac.authorization.k8s.io";
const AUTO_UPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";

/// What has to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    None,
    Create,
    Update,
    Recreate,
}

/// What an object is to be, and what that changes.
struct Plan {
    object: Value,
    operation: Operation,
    is_protected: bool,
    missing: Vec<Value>,
    extra: Vec<Value>,
}

/// Runs the command.
///
/// # Errors
/// What kubectl says.
pub(super) async fn run(session: &Session<'_>) -> Result<(), Error> {
    let dry_run = session.dry_run()?;
    if dry_run == DryRun::Server {
        return Err(Error::message("--dry-run=server for command reconcile is not supported yet"));
    }
    let output = Output::new(session, COMMON).await?;
    if !crate::files::given(session) {
        return Err(Error::message("must specify one of -f and -k"));
    }
    for info in visit(session).await? {
        let info = info?;
        let list = match (info.resource.group.as_str(), info.resource.kind.as_str()) {
            (GROUP, "Role" | "ClusterRole") => "rules",
            (GROUP, "RoleBinding" | "ClusterRoleBinding") => "subjects",
            // Others stay as they are.
            _ => continue,
        };
        let remove = match list {
            "rules" => session.args.bool("remove-extra-permissions"),
            _ => session.args.bool("remove-extra-subjects"),
        };
        let mut plan = match session.client().await?.get(info.path()).await {
            Ok(existing) => planned(list, &existing, &info.object, remove),
            Err(error) if error.is_not_found() => Plan {
                missing: items(&info.object[list]).cloned().collect(),
                object: info.object.clone(),
                operation: Operation::Create,
                is_protected: false,
                extra: Vec::new(),
            },
            Err(error) => return Err(error),
        };
        if dry_run == DryRun::None && !plan.is_protected {
            plan.object = carried_out(session, &info, &plan).await?;
        }
        done(session, &output, &plan.object, &format!("reconciled{}", dry_run.suffix()))?;
        tell(session, list, &plan, remove);
    }
    Ok(())
}

async fn carried_out(session: &Session<'_>, info: &Info, plan: &Plan) -> Result<Value, Error> {
    const JSON: &str = "application/json";
    let client = session.client().await?;
    let collection = info.resource.path(&info.namespace, "");
    match plan.operation {
        Operation::None => Ok(plan.object.clone()),
        Operation::Create => client.write(Method::POST, collection, JSON, &plan.object).await,
        Operation::Update => client.write(Method::PUT, info.path(), JSON, &plan.object).await,
        Operation::Recreate => {
            client.write(Method::DELETE, info.path(), JSON, &Value::Null).await?;
            client.write(Method::POST, collection, JSON, &plan.object).await
        }
    }
}

/// What becomes of an object that is there.
fn planned(list: &str, existing: &Value, expected: &Value, remove: bool) -> Plan {
    let is_protected = existing["metadata"]["annotations"][AUTO_UPDATE] == "false";
    let mut object = existing.clone();
    let mut operation = Operation::None;
    for field in ["annotations", "labels"] {
        // What is there wins.
        let mut merged: Map<String, Value> = expected["metadata"][field].as_object().cloned().unwrap_or_default();
        merged.extend(existing["metadata"][field].as_object().cloned().unwrap_or_default());
        if !merged.is_empty() && existing["metadata"][field] != Value::Object(merged.clone()) {
            object.put(&["metadata", field], Value::Object(merged));
            operation = Operation::Update;
        }
    }
    let (old, new): (Vec<Value>, Vec<Value>) =
        (items(&existing[list]).cloned().collect(), items(&expected[list]).cloned().collect());
    let (missing, mut extra) = match list {
        "rules" => (uncovered(&old, &new), uncovered(&new, &old)),
        _ => (without(&new, &old), without(&old, &new)),
    };
    if list == "rules" {
        let (before, after) = (&existing["aggregationRule"], &expected["aggregationRule"]);
        if !before.is_null() && !after.is_null() {
            extra.clear();
        }
        if let Some(rule) = aggregation(before, after, remove) {
            object["aggregationRule"] = rule;
            operation = Operation::Update;
        }
    } else if existing["roleRef"] != expected["roleRef"] {
        return Plan { object: expected.clone(), operation: Operation::Recreate, is_protected, missing, extra };
    }
    if remove && !(missing.is_empty() && extra.is_empty()) {
        object[list] = new.into();
        operation = Operation::Update;
    } else if !remove && !missing.is_empty() {
        object[list] = [old, missing.clone()].concat().into();
        operation = Operation::Update;
    }
    Plan { object, operation, is_protected, missing, extra }
}

/// The aggregation rule to have instead of the one there is, if they differ.
fn aggregation(existing: &Value, expected: &Value, remove: bool) -> Option<Value> {
    if expected.is_null() {
        return (!existing.is_null()).then_some(Value::Null);
    }
    let selectors = |rule: &Value| -> Vec<Value> { items(&rule["clusterRoleSelectors"]).cloned().collect() };
    let (old, new) = (selectors(existing), selectors(expected));
    let (missing, extra) = (without(&new, &old), without(&old, &new));
    match remove {
        true if !(missing.is_empty() && extra.is_empty()) => Some(expected.clone()),
        false if !missing.is_empty() => {
            let all = [old, missing].concat();
            Some(json!({ "clusterRoleSelectors": all }))
        }
        _ => None,
    }
}

fn without(list: &[Value], others: &[Value]) -> Vec<Value> {
    list.iter().filter(|one| !others.contains(one)).cloned().collect()
}

/// What of some rules, taken apart into single permissions, others do not allow.
fn uncovered(owner: &[Value], servant: &[Value]) -> Vec<Value> {
    let single = servant.iter().flat_map(apart);
    single.filter(|rule| !owner.iter().any(|owner| covers(owner, rule))).collect()
}

fn words(value: &Value) -> Vec<String> {
    items(value).map(text).collect()
}

/// A rule as single permissions.
fn apart(rule: &Value) -> Vec<Value> {
    let mut single = Vec::new();
    let verbs = words(&rule["verbs"]);
    let names: Vec<Value> = match words(&rule["resourceNames"]) {
        names if names.is_empty() => vec![Value::Null],
        names => names.into_iter().map(|name| json!([name])).collect(),
    };
    for group in words(&rule["apiGroups"]) {
        for resource in words(&rule["resources"]) {
            for verb in &verbs {
                for name in &names {
                    let mut permission = json!({ "verbs": [verb], "apiGroups": [group], "resources": [resource] });
                    if !name.is_null() {
                        permission["resourceNames"] = name.clone();
                    }
                    single.push(permission);
                }
            }
        }
    }
    for url in words(&rule["nonResourceURLs"]) {
        single.extend(verbs.iter().map(|verb| json!({ "verbs": [verb], "nonResourceURLs": [url] })));
    }
    single
}

/// Whether a rule allows a single permission.
fn covers(owner: &Value, single: &Value) -> bool {
    let has = |field: &str| {
        let (owned, wanted) = (words(&owner[field]), words(&single[field]));
        owned.iter().any(|one| one == "*") || wanted.iter().all(|one| owned.contains(one))
    };
    if !has("verbs") {
        return false;
    }
    if single["nonResourceURLs"].is_array() {
        let owned = words(&owner["nonResourceURLs"]);
        return words(&single["nonResourceURLs"]).iter().all(|url| {
            owned.iter().any(|one| one == url || one.strip_suffix('*').is_some_and(|start| url.starts_with(start)))
        });
    }
    let owned = words(&owner["resources"]);
    let resources = words(&single["resources"]).iter().all(|wanted| {
        let below = wanted.split_once('/').map(|(_, subresource)| format!("*/{subresource}"));
        owned.iter().any(|one| one == "*" || one == wanted || Some(one) == below.as_ref())
    });
    let names = words(&owner["resourceNames"]);
    let single_names = words(&single["resourceNames"]);
    let named = names.is_empty() || (!single_names.is_empty() && single_names.iter().all(|name| names.contains(name)));
    has("apiGroups") && resources && named
}

/// Says what was done, as Go prints it.
fn tell(session: &Session<'_>, list: &str, plan: &Plan, remove: bool) {
    let verb = match plan.operation {
        Operation::None => return,
        Operation::Create => "create",
        Operation::Update => "update",
        Operation::Recreate => "recreate",
    };
    let caveat = match plan.is_protected {
        true => ", but object opted out (rbac.authorization.kubernetes.io/autoupdate: false)",
        false => "",
    };
    session.errln(format!("\treconciliation required {verb}{caveat}"));
    let show = |entry: &Value| {
        let list = |field: &str| words(&entry[field]).join(" ");
        match entry["verbs"].is_null() {
            true => format!(
                "{{Kind:{} APIGroup:{} Name:{} Namespace:{}}}",
                text(&entry["kind"]),
                text(&entry["apiGroup"]),
                text(&entry["name"]),
                text(&entry["namespace"])
            ),
            false => format!(
                "{{Verbs:[{}] APIGroups:[{}] Resources:[{}] ResourceNames:[{}] NonResourceURLs:[{}]}}",
                list("verbs"),
                list("apiGroups"),
                list("resources"),
                list("resourceNames"),
                list("nonResourceURLs")
            ),
        }
    };
    for (what, entries, is_told) in
        [("missing {} added", &plan.missing, true), ("extra {} removed", &plan.extra, remove)]
    {
        if is_told && !entries.is_empty() {
            session.errln(format!("\t{}:", what.replace("{}", list)));
            entries.iter().for_each(|entry| session.errln(format!("\t\t{}", show(entry))));
        }
    }
}
