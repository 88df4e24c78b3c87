//! `kubectl events`.

use futures::StreamExt;
use machinery::sort::Order;
use machinery::time;
use serde_json::{Value, json};

use super::describe::seen_at;
use crate::api::Url;
use crate::error::Error;
use crate::print::output::{COMMON, Output};
use crate::print::tabs;
use crate::resources::text;
use crate::select;
use crate::session::Session;

/// Runs the command.
///
/// # Errors
/// What kubectl says.
pub async fn run(session: &Session<'_>) -> Result<(), Error> {
    let args = &session.args;
    let namespace = if args.bool("all-namespaces") { String::new() } else { session.namespace().await?.0 };
    let mut selector = String::new();
    let wanted = args.list("for").first().cloned().unwrap_or_default();
    if !wanted.is_empty() {
        let Some((kind, name)) = wanted.split_once('/') else {
            return Err(Error::message("--for must be in resource/name form"));
        };
        let resource = session.mapper().await?.find(kind).map_err(|error| Error::Verbatim(error.plain()))?;
        if !name.is_empty() {
            selector = format!(
                "involvedObject.kind={},involvedObject.apiVersion={},involvedObject.name={name}",
                resource.kind,
                resource.api_version()
            );
        }
    }
    let output = Output::new(session, COMMON).await?;
    let types = args.list("types");
    if types.iter().any(|kind| !kind.eq_ignore_ascii_case("Normal") && !kind.eq_ignore_ascii_case("Warning")) {
        return Err(Error::message("valid --types are Normal or Warning"));
    }
    let chosen =
        |event: &Value| types.is_empty() || types.iter().any(|kind| kind.eq_ignore_ascii_case(&text(&event["type"])));
    let path = match namespace.as_str() {
        "" => "/api/v1/events".to_owned(),
        namespace => format!("/api/v1/namespaces/{namespace}/events"),
    };
    let url = Url::new(path).with_some("fieldSelector", &selector);
    let with_namespace = args.bool("all-namespaces");
    let mut printer = Printer { with_namespace, headers: !args.bool("no-headers"), widths: Vec::new() };
    if args.bool("watch") {
        let mut events = session.client().await?.watch(url, "application/json").await?;
        while let Some((kind, event)) = events.next().await {
            if matches!(kind.as_str(), "ADDED" | "MODIFIED") && chosen(&event) {
                match output.is_human() {
                    true => session.out(printer.print(session, std::slice::from_ref(&event))),
                    false => session.out(output.render(&event)?),
                }
            }
        }
        return Ok(());
    }
    let mut list: Vec<Value> = select::list_all(session, url).await?.into_iter().filter(chosen).collect();
    if list.is_empty() {
        match with_namespace {
            true => session.errln("No events found."),
            false => session.errln(format!("No events found in {namespace} namespace.")),
        }
        return Ok(());
    }
    list.order_by_key(seen_at);
    if output.is_human() {
        session.out(printer.print(session, &list));
        return Ok(());
    }
    // Of this list, the original's printer of names prints none.
    if args.string("output") == "name" {
        return Ok(());
    }
    for event in &mut list {
        event["apiVersion"] = "v1".into();
        event["kind"] = "Event".into();
    }
    let whole = json!({ "apiVersion": "v1", "kind": "EventList", "metadata": {}, "items": list });
    session.out(output.render(&whole)?);
    Ok(())
}

struct Printer {
    with_namespace: bool,
    headers: bool,
    widths: Vec<usize>,
}

impl Printer {
    fn print(&mut self, session: &Session<'_>, events: &[Value]) -> String {
        let mut lines = String::new();
        if std::mem::take(&mut self.headers) {
            lines.push_str(if self.with_namespace { "NAMESPACE\t" } else { "" });
            lines.push_str("LAST SEEN\tTYPE\tREASON\tOBJECT\tMESSAGE\n");
        }
        for event in events {
            if self.with_namespace {
                lines.push_str(&format!("{}\t", text(&event["metadata"]["namespace"])));
            }
            let object = &event["involvedObject"];
            lines.push_str(&format!(
                "{}\t{}\t{}\t{}/{}\t{}\n",
                interval(session, event),
                text(&event["type"]),
                text(&event["reason"]),
                text(&object["kind"]),
                text(&object["name"]),
                text(&event["message"]).trim()
            ));
        }
        tabs::align_remembering(&lines, tabs::TABLE, &mut self.widths)
    }
}

fn interval(session: &Session<'_>, event: &Value) -> String {
    let age = |value: &Value| match value.as_str().and_then(|text| text.parse().ok()) {
        Some(moment) => time::human_age(Some(moment), session.now()),
        None => "<unknown>".to_owned(),
    };
    let first = age(if event["eventTime"].is_null() { &event["firstTimestamp"] } else { &event["eventTime"] });
    if event["series"].is_object() {
        let series = &event["series"];
        return format!("{} (x{} over {first})", age(&series["lastObservedTime"]), series["count"]);
    }
    if event["count"].as_i64().unwrap_or_default() > 1 {
        return format!("{} (x{} over {first})", age(&event["lastTimestamp"]), event["count"]);
    }
    first
}
