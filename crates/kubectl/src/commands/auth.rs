//! `kubectl auth` and `kubectl certificate`.

use http::Method;
use serde_json::{Value, json};

use super::{policy_rules, reconcile};
use crate::error::Error;
use crate::print::output::{COMMON, Output, done};
use crate::print::tabs;
use crate::resources::{items, text};
use crate::select::{self, Choice};
use crate::session::Session;
use crate::value::ValueExt;

/// `kubectl auth …`
pub(super) async fn run(session: &Session<'_>) -> Result<(), Error> {
    match session.args.command.name() {
        "can-i" => can_i(session).await,
        "whoami" => whoami(session).await,
        _ => reconcile::run(session).await,
    }
}

async fn review(session: &Session<'_>, kind: &str, group: &str, spec: Value) -> Result<Value, Error> {
    let path = format!("/apis/{group}/v1/{}s", kind.to_lowercase());
    let object = json!({ "apiVersion": format!("{group}/v1"), "kind": kind, "metadata": {}, "spec": spec });
    session.client().await?.write(Method::POST, path, "application/json", &object).await
}

/// Verbs that are not asked about by mistake.
const VERBS: [&str; 16] = [
    "get",
    "list",
    "watch",
    "create",
    "update",
    "patch",
    "delete",
    "deletecollection",
    "use",
    "bind",
    "impersonate",
    "*",
    "approve",
    "sign",
    "escalate",
    "attest",
];

async fn can_i(session: &Session<'_>) -> Result<(), Error> {
    const GROUP: &str = "authorization.k8s.io";
    let args = &session.args;
    if args.bool("no-headers") && !args.bool("list") {
        return Err(Error::message("--no-headers cannot be set without --list specified"));
    }
    let namespace = if args.bool("all-namespaces") { String::new() } else { session.namespace().await?.0 };
    if args.bool("list") {
        if !args.args.is_empty() {
            return Err(Error::message("list option must be specified with no arguments"));
        }
        let answer = review(session, "SelfSubjectRulesReview", GROUP, json!({ "namespace": namespace })).await?;
        session.out(rules(&answer["status"], args.bool("no-headers")));
        return Ok(());
    }
    let (verb, target, name) = match args.args.as_slice() {
        [verb, target] => match target.split_once('/') {
            Some((kind, name)) if !target.starts_with('/') => (verb, kind, name),
            _ => (verb, target.as_str(), ""),
        },
        _ => {
            return Err(Error::message(
                "you must specify two arguments: verb resource or verb resource/resourceName.\nSee 'kubectl auth \
                 can-i -h' for help and examples.",
            ));
        }
    };
    let mut spec = json!({});
    if target.starts_with('/') {
        if !args.string("subresource").is_empty() {
            return Err(Error::message("--subresource can not be used with NonResourceURL"));
        }
        spec["nonResourceAttributes"] = json!({ "verb": verb, "path": target });
    } else {
        let mapper = session.mapper().await?;
        let (group, plural, scoped) = match mapper.find(target) {
            Ok(resource) => (resource.group, resource.name, !resource.namespaced),
            Err(_) if target == "*" => ("*".to_owned(), "*".to_owned(), false),
            Err(_) => {
                let (plural, group) = target.split_once('.').unwrap_or((target, ""));
                let suffix = if group.is_empty() { String::new() } else { format!(" in group '{group}'") };
                session.errln(format!("Warning: the server doesn't have a resource type '{plural}'{suffix}\n"));
                (group.to_owned(), plural.to_owned(), false)
            }
        };
        if scoped && !namespace.is_empty() {
            let suffix = if group.is_empty() { String::new() } else { format!(" in group '{group}'") };
            session.errln(format!("Warning: resource '{plural}' is not namespace scoped{suffix}\n"));
        }
        if !VERBS.contains(&verb.as_str()) {
            session.errln(format!("Warning: verb '{verb}' is not a known verb\n"));
        }
        spec["resourceAttributes"] = json!({
            "namespace": namespace,
            "verb": verb,
            "group": group,
            "resource": plural,
            "subresource": args.string("subresource"),
            "name": name,
        });
    }
    let answer = review(session, "SelfSubjectAccessReview", GROUP, spec).await?;
    let status = &answer["status"];
    let allowed = status["allowed"] == true;
    if !args.bool("quiet") {
        let mut line = if allowed { "yes".to_owned() } else { "no".to_owned() };
        if !allowed {
            for field in ["reason", "evaluationError"] {
                let detail = text(&status[field]);
                if !detail.is_empty() {
                    line.push_str(&format!(" - {detail}"));
                }
            }
        }
        session.outln(line);
    }
    if allowed { Ok(()) } else { Err(Error::Exit(1)) }
}

/// The table of `can-i --list`.
fn rules(status: &Value, no_headers: bool) -> String {
    let rules = items(&status["resourceRules"]).chain(items(&status["nonResourceRules"]));
    let mut lines = String::new();
    if !no_headers {
        lines.push_str("Resources\tNon-Resource URLs\tResource Names\tVerbs\n");
    }
    for line in policy_rules::lines(rules) {
        lines.push_str(&format!("{line}\n"));
    }
    tabs::align(&lines, tabs::TABLE)
}

async fn whoami(session: &Session<'_>) -> Result<(), Error> {
    let output = Output::new(session, COMMON).await?;
    let mut answer = review(session, "SelfSubjectReview", "authentication.k8s.io", json!({})).await?;
    if !output.is_human() {
        answer.put(&["metadata", "creationTimestamp"], Value::Null);
        answer.as_object_mut().and_then(|fields| fields.remove("spec"));
        session.out(output.render(&answer)?);
        return Ok(());
    }
    let user = &answer["status"]["userInfo"];
    let list = |value: &Value| items(value).map(text).collect::<Vec<_>>().join(" ");
    let mut lines = format!("ATTRIBUTE\tVALUE\nUsername\t{}\n", text(&user["username"]));
    if !text(&user["uid"]).is_empty() {
        lines.push_str(&format!("UID\t{}\n", text(&user["uid"])));
    }
    if items(&user["groups"]).next().is_some() {
        lines.push_str(&format!("Groups\t[{}]\n", list(&user["groups"])));
    }
    for (key, values) in user["extra"].as_object().into_iter().flatten() {
        lines.push_str(&format!("Extra: {key}\t[{}]\n", list(values)));
    }
    session.out(tabs::align(&lines, tabs::TABLE));
    Ok(())
}

/// `kubectl certificate approve` and `deny`
pub(super) async fn certificate(session: &Session<'_>) -> Result<(), Error> {
    let args = &session.args;
    let approve = args.command.name() == "approve";
    let output = Output::new(session, COMMON).await?;
    if args.args.is_empty() && args.list("filename").is_empty() && args.string("kustomize").is_empty() {
        return Err(Error::message("one or more CSRs must be specified as <name> or -f <filename>"));
    }
    let mut words = vec!["certificatesigningrequests".to_owned()];
    words.extend(args.args.iter().cloned());
    let words = if args.args.is_empty() { &words[..0] } else { &words[..] };
    let choice = Choice { args: words, latest: true, ..Choice::default() };
    let (infos, errors) = select::infos(session, &choice).await?;
    Error::all(errors)?;
    for mut info in infos {
        let (kind, reason) = if approve { ("Approved", "KubectlApprove") } else { ("Denied", "KubectlDeny") };
        let known = items(&info.object["status"]["conditions"]).any(|condition| condition["type"] == kind);
        let other = if approve { "Denied" } else { "Approved" };
        if items(&info.object["status"]["conditions"]).any(|condition| condition["type"] == other) {
            let name = &info.name;
            return Err(Error::message(format!("certificate signing request {name:?} is already {other}")));
        }
        if !known || args.bool("force") {
            let now = machinery::time::format_seconds(session.now());
            let message =
                format!("This CSR was {} by kubectl certificate {}.", kind.to_lowercase(), args.command.name());
            let condition = json!({
                "type": kind,
                "status": "True",
                "reason": reason,
                "message": message,
                "lastUpdateTime": now,
            });
            let mut conditions: Vec<Value> = items(&info.object["status"]["conditions"]).cloned().collect();
            conditions.push(condition);
            info.object["status"]["conditions"] = Value::Array(conditions);
            let path = format!("{}/approval", info.path());
            info.object = session.client().await?.write(Method::PUT, path, "application/json", &info.object).await?;
        }
        done(session, &output, &info.object, &kind.to_lowercase())?;
    }
    Ok(())
}
