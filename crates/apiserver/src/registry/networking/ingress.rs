//! Ingress.

use k8s_openapi::api::networking::v1::{HTTPIngressPath, Ingress, IngressBackend, IngressRule};
use machinery::Timestamp;
use machinery::field::{Error, ErrorList, Path};
use machinery::names::{is_dns1123_subdomain, is_port_name, is_wildcard_dns1123_subdomain};
use serde_json::Value;

use crate::registry::info::Column;
use crate::registry::shared::printer::{AGE, NAME, age, column, joined, name, or_none};
use crate::registry::shared::validate::{anything, complain, optional, port_number, required, shown};
use crate::registry::strategy::{Typed, parts};

const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";

/// Ingress' strategy.
pub static STRATEGY: Typed<Ingress> = Typed {
    generation: true,
    validate,
    validate_update: |new, _| validate(new),
    columns: COLUMNS,
    cells,
    ..Typed::new(parts!(Ingress: spec; status))
};

fn validate(ingress: &Ingress) -> ErrorList {
    let path = Path::new("spec");
    let mut errors = ErrorList::new();
    let spec = ingress.spec.clone().unwrap_or_default();
    let rules = spec.rules.unwrap_or_default();
    if rules.is_empty() && spec.default_backend.is_none() {
        let detail = "either `defaultBackend` or `rules` must be specified";
        errors.push(Error::invalid(&path, shown(&rules), detail));
    }
    if let Some(backend) = &spec.default_backend {
        self::backend(&mut errors, &path.child("defaultBackend"), backend);
    }
    let list = path.child("rules");
    for (index, rule) in rules.iter().enumerate() {
        self::rule(&mut errors, &list.index(index), rule);
    }
    let list = path.child("tls");
    for (index, tls) in spec.tls.iter().flatten().enumerate() {
        let at = list.index(index);
        let hosts = at.child("hosts");
        for (index, host) in tls.hosts.iter().flatten().enumerate() {
            self::host(&mut errors, &hosts.index(index), host);
        }
        optional(&mut errors, &at.child("secretName"), tls.secret_name.as_deref(), is_dns1123_subdomain);
    }
    let class = spec.ingress_class_name.as_deref();
    optional(&mut errors, &path.child("ingressClassName"), class, is_dns1123_subdomain);
    errors
}

fn host(errors: &mut ErrorList, path: &Path<'_>, host: &str) {
    let rule: fn(&str) -> Vec<String> =
        if host.contains('*') { is_wildcard_dns1123_subdomain } else { is_dns1123_subdomain };
    complain(errors, path, host, rule(host));
}

fn rule(errors: &mut ErrorList, path: &Path<'_>, rule: &IngressRule) {
    if let Some(host) = rule.host.as_deref().filter(|host| !host.is_empty()) {
        if host.parse::<std::net::IpAddr>().is_ok() {
            errors.push(Error::invalid(&path.child("host"), host, "must be a DNS name, not an IP address"));
        } else {
            self::host(errors, &path.child("host"), host);
        }
    }
    let Some(http) = &rule.http else { return };
    let list = path.child("http.paths");
    if http.paths.is_empty() {
        errors.push(Error::required(&list, ""));
    }
    for (index, one) in http.paths.iter().enumerate() {
        self::path(errors, &list.index(index), one);
    }
}

fn path(errors: &mut ErrorList, at: &Path<'_>, one: &HTTPIngressPath) {
    let path = one.path.as_deref().unwrap_or_default();
    match one.path_type.as_str() {
        "" => errors.push(Error::required(&at.child("pathType"), "pathType must be specified")),
        "Exact" | "Prefix" => {
            if !path.starts_with('/') {
                errors.push(Error::invalid(&at.child("path"), path, "must be an absolute path"));
            }
            for part in ["//", "/./", "/../", "%2f", "%2F"] {
                if path.contains(part) {
                    let detail = format!("must not contain '{part}'");
                    errors.push(Error::invalid(&at.child("path"), path, detail));
                }
            }
        }
        "ImplementationSpecific" => {
            if !path.is_empty() && !path.starts_with('/') {
                errors.push(Error::invalid(&at.child("path"), path, "must be an absolute path"));
            }
        }
        other => {
            let supported = ["Exact", "ImplementationSpecific", "Prefix"];
            errors.push(Error::not_supported(&at.child("pathType"), other, &supported));
        }
    }
    backend(errors, &at.child("backend"), &one.backend);
}

fn backend(errors: &mut ErrorList, path: &Path<'_>, backend: &IngressBackend) {
    match (&backend.service, &backend.resource) {
        (Some(_), Some(_)) => {
            errors.push(Error::invalid(path, "", "cannot set both resource and service backends"));
        }
        (None, None) => errors.push(Error::invalid(path, "", "resource or service backend is required")),
        (None, Some(resource)) => {
            required(errors, &path.child("resource.kind"), &resource.kind, anything);
            required(errors, &path.child("resource.name"), &resource.name, anything);
        }
        (Some(service), None) => {
            required(errors, &path.child("service.name"), &service.name, anything);
            let port = service.port.clone().unwrap_or_default();
            let name = port.name.as_deref().filter(|name| !name.is_empty());
            let number = port.number.filter(|number| *number != 0);
            let at = path.child("service.port");
            match (name, number) {
                (Some(_), Some(_)) => errors.push(Error::invalid(path, "", "cannot set both port name & port number")),
                (Some(name), None) => complain(errors, &at.child("name"), name, is_port_name(name)),
                (None, Some(number)) => port_number(errors, &at.child("number"), number),
                (None, None) => errors.push(Error::required(path, "port name or number is required")),
            }
        }
    }
}

const COLUMNS: &[Column] = &[
    NAME,
    column("Class", "string", "Which controller serves the ingress."),
    column("Hosts", "string", "Host names the rules are for."),
    column("Address", "string", "Addresses of the load balancer."),
    column("Ports", "string", "Ports that are open."),
    AGE,
];

fn cells(ingress: &Ingress, now: Timestamp) -> Vec<Value> {
    let spec = ingress.spec.clone().unwrap_or_default();
    let annotation = ingress.metadata.annotations.as_ref().and_then(|all| all.get(CLASS_ANNOTATION));
    let class = spec.ingress_class_name.as_ref().or(annotation);
    let balancer = ingress.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let addresses = balancer.and_then(|balancer| balancer.ingress.as_deref()).unwrap_or_default();
    let address = |ip: &Option<String>, host: &Option<String>| {
        ip.clone().filter(|ip| !ip.is_empty()).or_else(|| host.clone()).filter(|text| !text.is_empty())
    };
    let addresses: std::collections::BTreeSet<String> =
        addresses.iter().filter_map(|one| address(&one.ip, &one.hostname)).collect();
    let tls = spec.tls.as_ref().is_some_and(|tls| !tls.is_empty());
    vec![
        name(&ingress.metadata),
        or_none(class.map(String::as_str)),
        hosts(spec.rules.as_deref().unwrap_or_default()).into(),
        joined(addresses.iter().map(String::as_str)).into(),
        if tls { "80, 443" } else { "80" }.into(),
        age(&ingress.metadata, now),
    ]
}

/// The first three hosts, or `*`.
fn hosts(rules: &[IngressRule]) -> String {
    const SHOWN: usize = 3;
    let named: Vec<&str> =
        rules.iter().filter_map(|rule| rule.host.as_deref()).filter(|host| !host.is_empty()).collect();
    if named.is_empty() {
        return "*".into();
    }
    let shown = joined(named.iter().take(SHOWN).copied());
    if named.len() > SHOWN { format!("{shown} + {} more...", rules.len() - SHOWN) } else { shown }
}
