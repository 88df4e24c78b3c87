//! Services, endpoints, ingresses and network policies.

use serde_json::Value;

use super::page::{Page, count, joined, or, plain, selector};
use crate::api::Url;
use crate::error::Error;
use crate::resources::{items, text};
use crate::select;
use crate::session::Session;

/// Endpoints shown before the rest is counted.
const SHOWN_MAX: usize = 3;

async fn slices(session: &Session<'_>, namespace: &str, service: &str) -> Vec<Value> {
    let url = Url::new(format!("/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"))
        .with("labelSelector", format!("kubernetes.io/service-name={service}"));
    select::list_all(session, url).await.unwrap_or_default()
}

/// The ready addresses behind the port of a name.
fn addresses(slices: &[Value], port: &str) -> String {
    let mut all = Vec::new();
    for slice in slices {
        let ready: Vec<String> = items(&slice["endpoints"])
            .filter(|endpoint| endpoint["conditions"]["ready"] != false)
            .map(|endpoint| text(&endpoint["addresses"][0]))
            .collect();
        if items(&slice["ports"]).next().is_none() {
            all.extend(ready);
            continue;
        }
        for found in items(&slice["ports"]).filter(|found| text(&found["name"]) == port) {
            all.extend(ready.iter().map(|address| match address.contains(':') {
                true => format!("[{address}]:{}", count(&found["port"])),
                false => format!("{address}:{}", count(&found["port"])),
            }));
        }
    }
    let more = all.len().saturating_sub(SHOWN_MAX);
    all.truncate(SHOWN_MAX);
    let shown = all.join(",");
    if slices.is_empty() {
        return "<none>".into();
    }
    if more > 0 { format!("{shown} + {more} more...") } else { shown }
}

pub(super) async fn service(session: &Session<'_>, page: &mut Page, object: &Value) -> Result<(), Error> {
    let spec = &object["spec"];
    let list = |value: &Value| items(value).map(text).collect::<Vec<_>>().join(",");
    page.head(object);
    page.field("Selector", joined(&spec["selector"]));
    page.field("Type", text(&spec["type"]));
    page.some("IP Family Policy", &spec["ipFamilyPolicy"]);
    page.field("IP Families", or(&list(&spec["ipFamilies"]), "<none>"));
    page.field("IP", text(&spec["clusterIP"]));
    page.field("IPs", or(&list(&spec["clusterIPs"]), "<none>"));
    if items(&spec["externalIPs"]).next().is_some() {
        page.field("External IPs", list(&spec["externalIPs"]));
    }
    page.some("Desired LoadBalancer IP", &spec["loadBalancerIP"]);
    page.some("External Name", &spec["externalName"]);
    let ingress: Vec<String> = items(&object["status"]["loadBalancer"]["ingress"])
        .map(|ingress| match (ingress["ip"].as_str(), ingress["ipMode"].as_str()) {
            (Some(ip), Some(mode)) => format!("{ip} ({mode})"),
            (Some(ip), None) => ip.to_owned(),
            _ => text(&ingress["hostname"]),
        })
        .collect();
    if !ingress.is_empty() {
        page.field("LoadBalancer Ingress", ingress.join(", "));
    }
    let slices = slices(session, &text(&object["metadata"]["namespace"]), &text(&object["metadata"]["name"])).await;
    for port in items(&spec["ports"]) {
        let (name, protocol) = (text(&port["name"]), text(&port["protocol"]));
        let shown = or(&name, "<unset>");
        page.field("Port", format!("{shown}\t{}/{protocol}", count(&port["port"])));
        page.field("TargetPort", format!("{}/{protocol}", plain(&port["targetPort"])));
        page.some("AppProtocol", &port["appProtocol"]);
        if count(&port["nodePort"]) != 0 {
            page.field("NodePort", format!("{shown}\t{}/{protocol}", count(&port["nodePort"])));
        }
        page.field("Endpoints", addresses(&slices, &name));
    }
    page.field("Session Affinity", text(&spec["sessionAffinity"]));
    page.some("External Traffic Policy", &spec["externalTrafficPolicy"]);
    page.some("Internal Traffic Policy", &spec["internalTrafficPolicy"]);
    if count(&spec["healthCheckNodePort"]) != 0 {
        page.field("HealthCheck NodePort", count(&spec["healthCheckNodePort"]).to_string());
    }
    if items(&spec["loadBalancerSourceRanges"]).next().is_some() {
        page.field("LoadBalancer Source Ranges", list(&spec["loadBalancerSourceRanges"]));
    }
    page.some("Traffic Distribution", &spec["trafficDistribution"]);
    Ok(())
}

fn port_table(page: &mut Page, ports: &Value) {
    if items(ports).next().is_none() {
        return;
    }
    page.line(1, "Ports:");
    page.line(2, "Name\tPort\tProtocol");
    page.line(2, "----\t----\t--------");
    for port in items(ports) {
        let name = text(&port["name"]);
        page.line(2, format!("{}\t{}\t{}", or(&name, "<unset>"), count(&port["port"]), text(&port["protocol"])));
    }
}

pub(super) fn endpoints(page: &mut Page, object: &Value) {
    page.head(object);
    page.line(0, "Subsets:");
    for subset in items(&object["subsets"]) {
        for (title, field) in [("Addresses", "addresses"), ("NotReadyAddresses", "notReadyAddresses")] {
            let addresses: Vec<String> = items(&subset[field]).map(|address| text(&address["ip"])).collect();
            page.line(1, format!("{title}:\t{}", or(&addresses.join(","), "<none>")));
        }
        port_table(page, &subset["ports"]);
        page.line(0, "");
    }
}

pub(super) fn endpoint_slice(page: &mut Page, object: &Value) {
    page.head(object);
    page.field("AddressType", text(&object["addressType"]));
    if items(&object["ports"]).next().is_none() {
        page.field("Ports", "<unset>");
    } else {
        page.line(0, "Ports:");
        page.line(1, "Name\tPort\tProtocol");
        page.line(1, "----\t----\t--------");
        for port in items(&object["ports"]) {
            let name = text(&port["name"]);
            let number = port["port"].as_i64().map_or("<unset>".to_owned(), |port| port.to_string());
            page.line(1, format!("{}\t{number}\t{}", or(&name, "<unset>"), text(&port["protocol"])));
        }
    }
    if items(&object["endpoints"]).next().is_none() {
        page.field("Endpoints", "<none>");
        return;
    }
    page.line(0, "Endpoints:");
    for endpoint in items(&object["endpoints"]) {
        let addresses: Vec<String> = items(&endpoint["addresses"]).map(text).collect();
        page.line(1, format!("- Addresses:\t{}", or(&addresses.join(","), "<none>")));
        page.line(2, "Conditions:");
        let ready = endpoint["conditions"]["ready"].as_bool().map_or("<unset>".to_owned(), |ready| ready.to_string());
        page.line(3, format!("Ready:\t{ready}"));
        let hostname = text(&endpoint["hostname"]);
        page.line(2, format!("Hostname:\t{}", or(&hostname, "<unset>")));
        let target = &endpoint["targetRef"];
        if !target.is_null() {
            page.line(2, format!("TargetRef:\t{}/{}", text(&target["kind"]), text(&target["name"])));
        }
        for (title, field) in [("NodeName", "nodeName"), ("Zone", "zone")] {
            let value = text(&endpoint[field]);
            page.line(2, format!("{title}:\t{}", or(&value, "<unset>")));
        }
    }
}

async fn backend(session: &Session<'_>, namespace: &str, backend: &Value) -> String {
    let service = &backend["service"];
    if service.is_null() {
        let resource = &backend["resource"];
        let group = text(&resource["apiGroup"]);
        let (kind, name) = (text(&resource["kind"]), text(&resource["name"]));
        return format!("APIGroup: {}, Kind: {kind}, Name: {name}", or(&group, "<none>"));
    }
    let name = text(&service["name"]);
    let port = match service["port"]["name"].as_str() {
        Some(port) => port.to_owned(),
        None => count(&service["port"]["number"]).to_string(),
    };
    let client = match session.client().await {
        Ok(client) => client,
        Err(error) => return format!("{name}:{port} (<error: {}>)", error.plain()),
    };
    match client.get(format!("/api/v1/namespaces/{namespace}/services/{name}")).await {
        Ok(found) => {
            let port_of =
                |found: &&Value| found["port"] == service["port"]["number"] || found["name"] == service["port"]["name"];
            let port_name =
                items(&found["spec"]["ports"]).find(port_of).map(|port| text(&port["name"])).unwrap_or_default();
            let slices = slices(session, namespace, &name).await;
            format!("{name}:{port} ({})", addresses(&slices, &port_name))
        }
        Err(error) => format!("{name}:{port} (<error: {}>)", error.plain()),
    }
}

pub(super) async fn ingress(session: &Session<'_>, page: &mut Page, object: &Value) -> Result<(), Error> {
    let spec = &object["spec"];
    let namespace = text(&object["metadata"]["namespace"]);
    page.field("Name", text(&object["metadata"]["name"]));
    page.labels("Labels", &object["metadata"]["labels"]);
    page.field("Namespace", &namespace);
    let addresses: Vec<String> = items(&object["status"]["loadBalancer"]["ingress"])
        .map(|ingress| match ingress["ip"].as_str() {
            Some(ip) => ip.to_owned(),
            None => text(&ingress["hostname"]),
        })
        .collect();
    page.field("Address", addresses.join(","));
    let class = text(&spec["ingressClassName"]);
    page.field("Ingress Class", or(&class, "<none>"));
    let default = match spec["defaultBackend"].is_null() {
        true => "<default>".to_owned(),
        false => backend(session, &namespace, &spec["defaultBackend"]).await,
    };
    page.field("Default backend", &default);
    if items(&spec["tls"]).next().is_some() {
        page.line(0, "TLS:");
        for tls in items(&spec["tls"]) {
            let hosts: Vec<String> = items(&tls["hosts"]).map(text).collect();
            match tls["secretName"].as_str() {
                Some(secret) => page.line(1, format!("{secret} terminates {}", hosts.join(","))),
                None => page.line(1, format!("SNI routes {}", hosts.join(","))),
            }
        }
    }
    page.line(0, "Rules:\n  Host\tPath\tBackends");
    page.line(1, "----\t----\t--------");
    let mut any = false;
    for rule in items(&spec["rules"]).filter(|rule| !rule["http"].is_null()) {
        any = true;
        let host = text(&rule["host"]);
        page.line(1, format!("{}\t", or(&host, "*")));
        for path in items(&rule["http"]["paths"]) {
            let backend = backend(session, &namespace, &path["backend"]).await;
            page.line(1, format!("  \t{} \t{backend}", text(&path["path"])));
        }
    }
    if !any {
        page.line(1, format!("*\t*\t{default}"));
    }
    page.annotations("Annotations", &object["metadata"]["annotations"]);
    Ok(())
}

fn rule_ports(page: &mut Page, title: &str, ports: &Value) {
    if items(ports).next().is_none() {
        page.line(2, format!("{title}: <any> (traffic allowed to all ports)"));
    }
    for port in items(ports) {
        let (number, protocol) = (plain(&port["port"]), text(&port["protocol"]));
        let end = port["endPort"].as_i64();
        let title = if end.is_some() { format!("{title} Range") } else { title.to_owned() };
        let range = end.map_or(String::new(), |end| format!("-{end}"));
        page.line(2, format!("{title}: {number}{range}/{}", or(&protocol, "TCP")));
    }
}

fn peers(page: &mut Page, title: &str, peers: &Value) {
    if items(peers).next().is_none() {
        let direction = if title == "From" { "source" } else { "destination" };
        let any = if direction == "source" {
            "traffic not restricted by source"
        } else {
            "traffic not restricted by destination"
        };
        page.line(2, format!("{title}: <any> ({any})"));
        return;
    }
    for peer in items(peers) {
        page.line(2, format!("{title}:"));
        let (namespaces, pods, block) = (&peer["namespaceSelector"], &peer["podSelector"], &peer["ipBlock"]);
        if !namespaces.is_null() {
            page.line(3, format!("NamespaceSelector: {}", selector(namespaces)));
        }
        if !pods.is_null() {
            page.line(3, format!("PodSelector: {}", selector(pods)));
        }
        if !block.is_null() {
            let except: Vec<String> = items(&block["except"]).map(text).collect();
            page.line(3, "IPBlock:");
            page.line(4, format!("CIDR: {}", text(&block["cidr"])));
            page.line(4, format!("Except: {}", except.join(", ")));
        }
    }
}

pub(super) fn policy(page: &mut Page, object: &Value) {
    let spec = &object["spec"];
    page.name(object);
    let created = super::page::timestamp(&object["metadata"]["creationTimestamp"]);
    let created = created.map(|time| time.strftime("%Y-%m-%d %H:%M:%S +0000 UTC").to_string());
    page.field("Created on", created.unwrap_or_default());
    page.meta(object);
    page.line(0, "Spec:");
    let chosen = selector(&spec["podSelector"]);
    let chosen = if chosen == "<none>" {
        "<none> (Allowing the specific traffic to all pods in this namespace)".into()
    } else {
        chosen
    };
    page.line(1, format!("PodSelector:     {chosen}"));
    let types: Vec<String> = items(&spec["policyTypes"]).map(text).collect();
    for (kind, field, title, from, to) in [
        ("Ingress", "ingress", "Allowing ingress traffic:", "From", "from"),
        ("Egress", "egress", "Allowing egress traffic:", "To", "to"),
    ] {
        if !types.iter().any(|known| known == kind) {
            page.line(1, format!("Not affecting {} traffic", kind.to_lowercase()));
            continue;
        }
        page.line(1, title);
        let rules: Vec<&Value> = items(&spec[field]).collect();
        if rules.is_empty() {
            page.line(2, format!("<none> (Selected pods are isolated for {} connectivity)", kind.to_lowercase()));
        }
        for (index, rule) in rules.iter().enumerate() {
            rule_ports(page, "To Port", &rule["ports"]);
            peers(page, from, &rule[to]);
            if index + 1 < rules.len() {
                page.line(2, "----------");
            }
        }
    }
    page.line(1, format!("Policy Types: {}", types.join(", ")));
}
