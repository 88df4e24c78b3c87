//! Certificate signing requests: what they say is in PKCS #10 (RFC 2986).

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;

use super::page::{Page, long_time};
use crate::der::element;
use crate::print::table::format_labels;
use crate::resources::{items, text};

/// Parts of a subject's name, by the last byte of their object identifiers (2.5.4.x), in the order they are shown.
const PARTS: [(&str, u8); 9] = [
    ("Common Name", 3),
    ("Serial Number", 5),
    ("Organization", 10),
    ("Organizational Unit", 11),
    ("Country", 6),
    ("Locality", 7),
    ("Province", 8),
    ("StreetAddress", 9),
    ("PostalCode", 17),
];
/// Those that are shown even without a value.
const ALWAYS: [&str; 2] = ["Common Name", "Serial Number"];
/// subjectAltName (2.5.29.17).
const ALTERNATIVE_NAMES: [u8; 3] = [0x55, 0x1d, 0x11];

pub(super) fn request(page: &mut Page, object: &Value) {
    let (metadata, spec, status) = (&object["metadata"], &object["spec"], &object["status"]);
    page.field("Name", text(&metadata["name"]));
    page.field("Labels", format_labels(&metadata["labels"]));
    page.field("Annotations", format_labels(&metadata["annotations"]));
    page.field("CreationTimestamp", long_time(&metadata["creationTimestamp"]));
    page.field("Requesting User", text(&spec["username"]));
    page.some("Signer", &spec["signerName"]);
    if let Some(seconds) = spec["expirationSeconds"].as_i64() {
        page.field("Requested Duration", machinery::time::human_duration(seconds));
    }
    let mut states: Vec<&str> = Vec::new();
    for state in ["Denied", "Approved", "Failed"] {
        if items(&status["conditions"]).any(|condition| condition["type"] == state) {
            states.push(state);
        }
    }
    if states.is_empty() {
        states.push("Pending");
    }
    if !text(&status["certificate"]).is_empty() {
        states.push("Issued");
    }
    page.field("Status", states.join(","));
    let Some((subject, names)) = read(&text(&spec["request"])) else { return };
    page.line(0, "Subject:");
    for (title, kind) in PARTS {
        let values: Vec<&str> =
            subject.iter().filter(|(known, _)| *known == kind).map(|(_, value)| value.as_str()).collect();
        if !values.is_empty() || ALWAYS.contains(&title) {
            listed(page, title, &values);
        }
    }
    if names.is_empty() {
        return;
    }
    page.line(0, "Subject Alternative Names:");
    for (title, kind) in [("DNS Names", 2), ("Email Addresses", 1), ("URIs", 6), ("IP Addresses", 7)] {
        let values: Vec<&str> =
            names.iter().filter(|(known, _)| *known == kind).map(|(_, value)| value.as_str()).collect();
        if !values.is_empty() {
            listed(page, title, &values);
        }
    }
}

fn listed(page: &mut Page, title: &str, values: &[&str]) {
    page.line(0, format!("\t{title}:\t{}", values.first().unwrap_or(&"")));
    values.iter().skip(1).for_each(|value| page.line(0, format!("\t\t{value}")));
}

type Named = Vec<(u8, String)>;

/// The subject's parts and the alternative names in a request as it stands in an object.
fn read(encoded: &str) -> Option<(Named, Named)> {
    let pem = String::from_utf8(BASE64.decode(encoded).ok()?).ok()?;
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).map(str::trim).collect();
    let der = BASE64.decode(body).ok()?;
    let (_, request, _) = element(&der)?;
    let (_, info, _) = element(request)?;
    let (_, _version, info) = element(info)?;
    let (_, name, info) = element(info)?;
    let (_, _key, attributes) = element(info)?;
    let mut subject = Vec::new();
    each(name, &mut |_, set| {
        each(set, &mut |_, pair| {
            if let Some((_, [0x55, 0x04, kind], rest)) = element(pair)
                && let Some((_, value, _)) = element(rest)
            {
                subject.push((*kind, String::from_utf8_lossy(value).into_owned()));
            }
        });
    });
    let mut names = Vec::new();
    alternative_names(attributes, &mut names);
    Some((subject, names))
}

/// Looks through nested elements for the extension of alternative names.
fn alternative_names(data: &[u8], names: &mut Named) {
    let mut rest = data;
    while let Some((tag, contents, after)) = element(rest) {
        if tag == 0x06 && contents == ALTERNATIVE_NAMES.as_slice() {
            // The value is a string of bytes that holds a sequence; a flag may stand before it.
            each(after, &mut |tag, value| {
                if let Some((_, list, _)) = element(value).filter(|_| tag == 0x04) {
                    each(list, &mut |tag, value| names.push((tag & 0x1f, shown(tag & 0x1f, value))));
                }
            });
            return;
        }
        // Constructed elements, and what holds an extension's list.
        if tag & 0x20 != 0 {
            alternative_names(contents, names);
        }
        rest = after;
    }
}

fn shown(kind: u8, value: &[u8]) -> String {
    match (kind, <[u8; 4]>::try_from(value), <[u8; 16]>::try_from(value)) {
        (7, Ok(four), _) => std::net::Ipv4Addr::from(four).to_string(),
        (7, _, Ok(sixteen)) => std::net::Ipv6Addr::from(sixteen).to_string(),
        _ => String::from_utf8_lossy(value).into_owned(),
    }
}

fn each(data: &[u8], act: &mut dyn FnMut(u8, &[u8])) {
    let mut rest = data;
    while let Some((tag, contents, after)) = element(rest) {
        act(tag, contents);
        rest = after;
    }
}
