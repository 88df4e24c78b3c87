//! Generators of Services and Ingresses.

use serde_json::{Value, json};

use super::{Generated, generated, name};
use crate::error::Error;
use crate::session::Session;

/// `80:8080` or `80:http` or `80`.
fn service_port(spec: &str) -> Result<Value, Error> {
    // What follows a second colon is not read, as upstream's.
    let mut parts = spec.split(':');
    let (port, target) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let problem = if digits { "value out of range" } else { "invalid syntax" };
    let number: u16 =
        port.parse().map_err(|_| Error::message(format!("strconv.ParseUint: parsing {port:?}: {problem}")))?;
    let target = match (target, target.parse::<i64>()) {
        ("", _) => json!(number),
        (_, Ok(1..=65535)) => json!(target.parse::<u16>().unwrap_or_default()),
        (_, Ok(_)) => return Err(Error::message("must be between 1 and 65535, inclusive")),
        (name, Err(_)) => match machinery::names::is_port_name(name).as_slice() {
            [] => json!(name),
            problems => return Err(Error::message(problems.join(","))),
        },
    };
    let port_name = spec.replace(':', "-");
    Ok(json!({ "name": port_name, "port": number, "protocol": "TCP", "targetPort": target }))
}

pub(super) fn service(session: &Session<'_>, kind: &str) -> Result<Generated, Error> {
    let args = &session.args;
    if kind == "ExternalName" {
        args.require(&["external-name"])?;
    }
    let name = name(session)?;
    let cluster_ip = args.string("clusterip");
    let mut ports = Vec::new();
    for spec in args.list("tcp") {
        ports.push(service_port(spec)?);
    }
    if ports.is_empty() && kind != "ExternalName" && cluster_ip != "None" {
        return Err(Error::message("at least one tcp port specifier must be provided"));
    }
    if args.changed("node-port") && args.int("node-port") != 0 {
        for port in &mut ports {
            port["nodePort"] = args.int("node-port").into();
        }
    }
    let mut spec = json!({ "selector": { "app": name }, "type": kind });
    if !ports.is_empty() {
        spec["ports"] = Value::Array(ports);
    }
    if !cluster_ip.is_empty() {
        spec["clusterIP"] = cluster_ip.into();
    }
    if kind == "ExternalName" {
        let external = args.string("external-name");
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
        if external.is_empty() || !external.chars().all(allowed) {
            return Err(Error::message(format!("invalid service external name {external}")));
        }
        spec["externalName"] = args.string("external-name").into();
    }
    let fields = json!({ "labels": { "app": name }, "spec": spec, "status": { "loadBalancer": {} } });
    Ok(generated("v1", "Service", "services", true, name, fields))
}

/// The `name:port` of a backend.
fn backend(text: &str) -> Option<Value> {
    let (service, port) = text.split_once(':')?;
    let port = match port.parse::<u16>() {
        Ok(number) => json!({ "number": number }),
        Err(_) => json!({ "name": port }),
    };
    Some(json!({ "service": { "name": service, "port": port } }))
}

pub(super) fn ingress(session: &Session<'_>) -> Result<Generated, Error> {
    let args = &session.args;
    let name = name(session)?;
    let (rules, default) = (args.list("rule"), args.string("default-backend"));
    if rules.is_empty() && default.is_empty() {
        return Err(Error::message(
            "not enough information provided: every ingress has to either specify a default-backend (which catches all traffic) or a list of rules (which catch specific paths)",
        ));
    }
    let mut by_host: Vec<(String, Vec<Value>)> = Vec::new();
    let mut tls: Vec<(String, Vec<String>)> = Vec::new();
    for rule in rules {
        let invalid = || {
            Error::message(format!(
                "rule {rule} is invalid and should be in format host/path=svcname:svcport[,tls[=secret]]"
            ))
        };
        let mut parts = rule.split(',');
        let (place, target) = parts.next().and_then(|first| first.split_once('=')).ok_or_else(invalid)?;
        let backend = backend(target).ok_or_else(invalid)?;
        let (host, path) = place.split_once('/').ok_or_else(invalid)?;
        let (path, path_type) = match path.strip_suffix('*') {
            Some(prefix) => (format!("/{prefix}"), "Prefix"),
            None => (format!("/{path}"), "Exact"),
        };
        let path = json!({ "path": path, "pathType": path_type, "backend": backend });
        match by_host.iter_mut().find(|(known, _)| known == host) {
            Some((_, paths)) => paths.push(path),
            None => by_host.push((host.to_owned(), vec![path])),
        }
        for option in parts {
            let (key, secret) = option.split_once('=').unwrap_or((option, ""));
            // The original's pattern lets anything follow.
            if key != "tls" {
                continue;
            }
            match tls.iter_mut().find(|(known, _)| known == secret) {
                Some((_, hosts)) if hosts.iter().any(|known| known == host) => {}
                Some((_, hosts)) => hosts.push(host.to_owned()),
                None => tls.push((secret.to_owned(), vec![host.to_owned()])),
            }
        }
    }
    let mut spec = json!({});
    if !args.string("class").is_empty() {
        spec["ingressClassName"] = args.string("class").into();
    }
    if !default.is_empty() {
        spec["defaultBackend"] = backend(default)
            .ok_or_else(|| Error::message("default-backend should be in format servicename:serviceport"))?;
    }
    if !by_host.is_empty() {
        let rules = by_host.into_iter().map(|(host, paths)| match host.as_str() {
            "" => json!({ "http": { "paths": paths } }),
            host => json!({ "host": host, "http": { "paths": paths } }),
        });
        spec["rules"] = rules.collect();
    }
    if !tls.is_empty() {
        let entries = tls.into_iter().map(|(secret, hosts)| {
            let mut entry = json!({});
            if hosts.iter().any(|host| !host.is_empty()) {
                entry["hosts"] = json!(hosts);
            }
            if !secret.is_empty() {
                entry["secretName"] = secret.into();
            }
            entry
        });
        spec["tls"] = entries.collect();
    }
    let fields = json!({ "spec": spec, "status": { "loadBalancer": {} } });
    let mut made = generated("networking.k8s.io/v1", "Ingress", "ingresses", true, name, fields);
    for annotation in args.list("annotation") {
        let (key, value) = annotation.split_once('=').ok_or_else(|| {
            Error::message(format!("annotation {annotation} is invalid and should be in format key=[value]"))
        })?;
        let annotations = &mut made.object["metadata"]["annotations"];
        if annotations.is_null() {
            *annotations = json!({});
        }
        annotations[key] = value.into();
    }
    Ok(made)
}
