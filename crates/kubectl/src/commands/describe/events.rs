//! What happened to an object.

use machinery::Timestamp;
use machinery::sort::Order;
use serde_json::Value;

use super::page::{Page, timestamp};
use crate::api::Url;
use crate::error::Error;
use crate::resources::text;
use crate::select::{self, Info};
use crate::session::Session;

/// The events about an object.
pub(super) async fn of(session: &Session<'_>, info: &Info) -> Result<Vec<Value>, Error> {
    let metadata = &info.object["metadata"];
    let (name, namespace) = (text(&metadata["name"]), text(&metadata["namespace"]));
    let uid = match metadata["annotations"]["kubernetes.io/config.mirror"].as_str() {
        Some(mirror) => mirror.to_owned(),
        None => text(&metadata["uid"]),
    };
    let mut selector = format!("involvedObject.name={name},involvedObject.namespace={namespace}");
    let kind = info.resource.kind.as_str();
    if kind != "Pod" {
        selector.push_str(&format!(",involvedObject.kind={kind}"));
    }
    let path = match namespace.as_str() {
        "" => "/api/v1/events".to_owned(),
        namespace => format!("/api/v1/namespaces/{namespace}/events"),
    };
    let mut found = Vec::new();
    // Kubelets name nodes by their name where a UID is asked for.
    let uids = if kind == "Node" { vec![uid, name] } else { vec![uid] };
    for uid in uids {
        let url = Url::new(path.as_str()).with("fieldSelector", format!("{selector},involvedObject.uid={uid}"));
        found.extend(select::list_all(session, url).await?);
    }
    Ok(found)
}

/// When an event was last seen.
fn last_seen(event: &Value) -> Option<Timestamp> {
    [&event["series"]["lastObservedTime"], &event["lastTimestamp"], &event["eventTime"]].into_iter().find_map(timestamp)
}

/// Age, source and message of events, the oldest first: `type, reason, age, from, message`.
pub(in crate::commands) fn rows(mut events: Vec<Value>, now: Timestamp) -> Vec<[String; 5]> {
    events.order_by_key(|event| timestamp(&event["lastTimestamp"]));
    let page = Page::new(now);
    let rows = events.iter().map(|event| {
        let first = match event["eventTime"].is_null() {
            true => page.age(&event["firstTimestamp"]),
            false => page.age(&event["eventTime"]),
        };
        let age = if event["series"].is_object() {
            let count = event["series"]["count"].as_i64().unwrap_or_default();
            format!("{} (x{count} over {first})", page.age(&event["series"]["lastObservedTime"]))
        } else if event["count"].as_i64().unwrap_or_default() > 1 {
            let count = event["count"].as_i64().unwrap_or_default();
            format!("{} (x{count} over {first})", page.age(&event["lastTimestamp"]))
        } else {
            first
        };
        let source = match text(&event["source"]["component"]) {
            source if source.is_empty() => text(&event["reportingComponent"]),
            source => source,
        };
        let message = text(&event["message"]).trim().to_owned();
        [text(&event["type"]), text(&event["reason"]), age, source, message]
    });
    rows.collect()
}

/// The section at the end of a description.
pub(super) fn section(page: &mut Page, events: Vec<Value>) {
    if events.is_empty() {
        page.field("Events", "<none>");
        return;
    }
    page.flush();
    page.line(0, "Events:\n  Type\tReason\tAge\tFrom\tMessage");
    page.line(1, "----\t------\t----\t----\t-------");
    for row in rows(events, page.now) {
        page.line(1, row.join("\t"));
    }
}

/// When an event was last seen, for lists of events.
pub(in crate::commands) fn seen_at(event: &Value) -> Option<Timestamp> {
    last_seen(event)
}
