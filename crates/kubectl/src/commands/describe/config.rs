//! Namespaces, configuration, accounts and access.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use machinery::sort::Order;
use serde_json::Value;

use super::page::{Page, long_time, or, plain};
use crate::api::Url;
use crate::commands::policy_rules;
use crate::error::Error;
use crate::resources::{items, text};
use crate::select;
use crate::session::Session;

pub(super) async fn namespace(session: &Session<'_>, page: &mut Page, object: &Value) -> Result<(), Error> {
    let name = text(&object["metadata"]["name"]);
    page.field("Name", &name);
    page.meta(object);
    page.field("Status", text(&object["status"]["phase"]));
    if items(&object["status"]["conditions"]).next().is_some() {
        page.line(0, "Conditions:");
        page.line(1, "Type\tStatus\tLastTransitionTime\tReason\tMessage");
        page.line(1, "----\t------\t------------------\t------\t-------");
        for condition in items(&object["status"]["conditions"]) {
            let cell = |field: &str| text(&condition[field]);
            let changed = long_time(&condition["lastTransitionTime"]);
            page.line(
                1,
                format!("{}\t{}\t{changed}\t{}\t{}", cell("type"), cell("status"), cell("reason"), cell("message")),
            );
        }
    }
    let list = async |plural: &str| {
        select::list_all(session, Url::new(format!("/api/v1/namespaces/{name}/{plural}"))).await.unwrap_or_default()
    };
    let quotas = list("resourcequotas").await;
    page.line(0, "");
    if quotas.is_empty() {
        page.line(0, "No resource quota.");
    } else {
        page.line(0, "Resource Quotas");
        for quota in &quotas {
            page.line(1, format!("Name:\t{}", text(&quota["metadata"]["name"])));
            scopes(page, 1, " ", quota);
            page.line(1, "Resource\tUsed\tHard");
            page.line(1, "--------\t---\t---");
            for (resource, hard) in quota["status"]["hard"].as_object().into_iter().flatten() {
                let used = plain(&quota["status"]["used"][resource]);
                page.line(1, format!("{resource}\t{used}\t{}", plain(hard)));
            }
        }
    }
    let limits = list("limitranges").await;
    page.line(0, "");
    if limits.is_empty() {
        page.line(0, "No LimitRange resource.");
    } else {
        page.line(
            0,
            "Resource Limits\n Type\tResource\tMin\tMax\tDefault Request\tDefault Limit\tMax Limit/Request Ratio",
        );
        page.line(0, " ----\t--------\t---\t---\t---------------\t-------------\t-----------------------");
        limits.iter().for_each(|limit| limit_rows(page, limit, " "));
    }
    Ok(())
}

fn limit_rows(page: &mut Page, range: &Value, indent: &str) {
    const FIELDS: [&str; 5] = ["min", "max", "defaultRequest", "default", "maxLimitRequestRatio"];
    for limit in items(&range["spec"]["limits"]) {
        let mut names: Vec<&String> =
            FIELDS.iter().filter_map(|field| limit[*field].as_object()).flat_map(|map| map.keys()).collect();
        names.order();
        names.dedup();
        for name in names {
            let cells: Vec<String> = FIELDS
                .iter()
                .map(|field| {
                    let value = plain(&limit[*field][name]);
                    or(&value, "-").to_owned()
                })
                .collect();
            page.line(0, format!("{indent}{}\t{name}\t{}", text(&limit["type"]), cells.join("\t")));
        }
    }
}

pub(super) fn limit_range(page: &mut Page, object: &Value) {
    page.name(object);
    page.line(0, "Type\tResource\tMin\tMax\tDefault Request\tDefault Limit\tMax Limit/Request Ratio");
    page.line(0, "----\t--------\t---\t---\t---------------\t-------------\t-----------------------");
    limit_rows(page, object, "");
}

/// What a quota counts only, each with what that means.
fn scopes(page: &mut Page, level: usize, indent: &str, quota: &Value) {
    const MEANINGS: [(&str, &str); 4] = [
        (
            "Terminating",
            "Matches all pods that have an active deadline. These pods have a limited lifespan on a node before being \
             actively terminated by the system.",
        ),
        (
            "NotTerminating",
            "Matches all pods that do not have an active deadline. These pods usually include long running pods whose \
             container command is not expected to terminate.",
        ),
        (
            "BestEffort",
            "Matches all pods that do not have resource requirements set. These pods have a best effort quality of \
             service.",
        ),
        (
            "NotBestEffort",
            "Matches all pods that have at least one resource requirement set. These pods have a burstable or \
             guaranteed quality of service.",
        ),
    ];
    let mut scopes: Vec<String> = items(&quota["spec"]["scopes"]).map(text).collect();
    if scopes.is_empty() {
        return;
    }
    scopes.order();
    page.line(level, format!("Scopes:\t{}", scopes.join(", ")));
    for scope in &scopes {
        if let Some((_, meaning)) = MEANINGS.iter().find(|(known, _)| known == scope) {
            page.line(level, format!("{}* {meaning}", if level == 0 { indent } else { "" }));
        }
    }
}

pub(super) fn quota(page: &mut Page, object: &Value) {
    page.name(object);
    scopes(page, 0, " ", object);
    page.line(0, "Resource\tUsed\tHard");
    page.line(0, "--------\t----\t----");
    for (resource, hard) in object["status"]["hard"].as_object().into_iter().flatten() {
        page.line(0, format!("{resource}\t{}\t{}", plain(&object["status"]["used"][resource]), plain(hard)));
    }
}

pub(super) fn config_map(page: &mut Page, object: &Value) {
    page.head(object);
    page.line(0, "\nData\n====");
    for (key, value) in object["data"].as_object().into_iter().flatten() {
        page.line(0, format!("{key}:\n----\n{}\n", text(value)));
    }
    page.line(0, "\nBinaryData\n====");
    for (key, value) in object["binaryData"].as_object().into_iter().flatten() {
        page.line(0, format!("{key}: {} bytes", decoded(value).len()));
    }
    page.line(0, "");
}

fn decoded(value: &Value) -> Vec<u8> {
    BASE64.decode(text(value)).unwrap_or_default()
}

pub(super) fn secret(page: &mut Page, object: &Value) {
    page.head(object);
    let kind = text(&object["type"]);
    page.line(0, format!("\nType:\t{kind}"));
    page.line(0, "\nData\n====");
    for (key, value) in object["data"].as_object().into_iter().flatten() {
        let bytes = decoded(value);
        if key == "token" && kind == "kubernetes.io/service-account-token" {
            page.field(key, String::from_utf8_lossy(&bytes));
        } else {
            page.field(key, format!("{} bytes", bytes.len()));
        }
    }
}

pub(super) async fn service_account(session: &Session<'_>, page: &mut Page, object: &Value) {
    page.head(object);
    let namespace = text(&object["metadata"]["namespace"]);
    let there = match items(&object["secrets"]).chain(items(&object["imagePullSecrets"])).next() {
        Some(_) => {
            let url = Url::new(format!("/api/v1/namespaces/{namespace}/secrets"));
            select::list_all(session, url).await.unwrap_or_default()
        }
        None => Vec::new(),
    };
    let shown = |secret: &Value| match there.iter().any(|other| other["metadata"]["name"] == secret["name"]) {
        true => text(&secret["name"]),
        false => format!("{} (not found)", text(&secret["name"])),
    };
    let names = |field: &str| items(&object[field]).map(shown).collect::<Vec<_>>();
    for (title, names) in [
        ("Image pull secrets:", names("imagePullSecrets")),
        ("Mountable secrets: ", names("secrets")),
        ("Tokens:            ", Vec::new()),
    ] {
        if names.is_empty() {
            page.line(0, format!("{title}\t<none>"));
        }
        for (index, name) in names.iter().enumerate() {
            page.line(0, format!("{}\t{name}", if index == 0 { title } else { "                   " }));
        }
    }
}

pub(super) fn role(page: &mut Page, object: &Value) {
    page.field("Name", text(&object["metadata"]["name"]));
    page.meta(object);
    page.line(0, "PolicyRule:");
    page.line(1, "Resources\tNon-Resource URLs\tResource Names\tVerbs");
    page.line(1, "---------\t-----------------\t--------------\t-----");
    policy_rules::lines(items(&object["rules"])).iter().for_each(|line| page.line(1, line));
}

pub(super) fn role_binding(page: &mut Page, object: &Value) {
    page.field("Name", text(&object["metadata"]["name"]));
    page.meta(object);
    page.line(0, "Role:");
    page.line(1, format!("Kind:\t{}", text(&object["roleRef"]["kind"])));
    page.line(1, format!("Name:\t{}", text(&object["roleRef"]["name"])));
    page.line(0, "Subjects:");
    page.line(1, "Kind\tName\tNamespace");
    page.line(1, "----\t----\t---------");
    for subject in items(&object["subjects"]) {
        let cell = |field: &str| text(&subject[field]);
        page.line(1, format!("{}\t{}\t{}", cell("kind"), cell("name"), cell("namespace")));
    }
}

pub(super) fn priority_class(page: &mut Page, object: &Value) {
    page.field("Name", text(&object["metadata"]["name"]));
    page.field("Value", plain(&object["value"]));
    page.field("GlobalDefault", (object["globalDefault"] == true).to_string());
    page.field("PreemptionPolicy", text(&object["preemptionPolicy"]));
    page.field("Description", text(&object["description"]));
    page.field("Annotations", crate::print::table::format_labels(&object["metadata"]["annotations"]));
}

pub(super) fn ingress_class(page: &mut Page, object: &Value) {
    page.field("Name", text(&object["metadata"]["name"]));
    page.meta(object);
    page.field("Controller", text(&object["spec"]["controller"]));
    let parameters = &object["spec"]["parameters"];
    if parameters.is_null() {
        return;
    }
    page.line(0, "Parameters:");
    for (title, field) in [("APIGroup", "apiGroup"), ("Kind", "kind"), ("Name", "name")] {
        if !parameters[field].is_null() {
            page.line(1, format!("{title}:\t{}", text(&parameters[field])));
        }
    }
}
