//! Pods and pod templates.

use machinery::sort::Order;
use serde_json::Value;

use super::page::{Page, count, long_time, or, plain, selector, truth};
use crate::print::json::pretty_two;
use crate::resources::{items, text};

/// A pod.
pub(super) fn pod(page: &mut Page, pod: &Value) {
    let (spec, status) = (&pod["spec"], &pod["status"]);
    page.name(pod);
    page.some("Priority", &spec["priority"]);
    page.some("Priority Class Name", &spec["priorityClassName"]);
    page.some("Runtime Class Name", &spec["runtimeClassName"]);
    page.some("Service Account", &spec["serviceAccountName"]);
    match spec["nodeName"].as_str() {
        Some(node) if !node.is_empty() => page.field("Node", format!("{node}/{}", text(&status["hostIP"]))),
        _ => page.field("Node", "<none>"),
    }
    if !status["startTime"].is_null() {
        page.field("Start Time", long_time(&status["startTime"]));
    }
    page.meta(pod);
    let phase = text(&status["phase"]);
    if !pod["metadata"]["deletionTimestamp"].is_null() && phase != "Failed" && phase != "Succeeded" {
        page.field("Status", format!("Terminating (lasts {})", page.age(&pod["metadata"]["deletionTimestamp"])));
        let grace = count(&pod["metadata"]["deletionGracePeriodSeconds"]);
        page.field("Termination Grace Period", format!("{grace}s"));
    } else {
        page.field("Status", phase);
    }
    page.some("Reason", &status["reason"]);
    page.some("Message", &status["message"]);
    let seccomp = &spec["securityContext"]["seccompProfile"];
    page.some("SeccompProfile", &seccomp["type"]);
    page.some("LocalhostProfile", &seccomp["localhostProfile"]);
    page.field("IP", text(&status["podIP"]));
    let addresses: Vec<&Value> = items(&status["podIPs"]).collect();
    if addresses.is_empty() {
        page.field("IPs", "<none>");
    } else {
        page.line(0, "IPs:");
        addresses.iter().for_each(|address| page.line(1, format!("IP:\t{}", text(&address["ip"]))));
    }
    page.controller(pod);
    page.some("NominatedNodeName", &status["nominatedNodeName"]);
    if items(&spec["initContainers"]).next().is_some() {
        containers(page, "Init Containers", &spec["initContainers"], &status["initContainerStatuses"], Some(pod), "");
    }
    containers(page, "Containers", &spec["containers"], &status["containerStatuses"], Some(pod), "");
    if items(&spec["ephemeralContainers"]).next().is_some() {
        let statuses = &status["ephemeralContainerStatuses"];
        containers(page, "Ephemeral Containers", &spec["ephemeralContainers"], statuses, Some(pod), "");
    }
    let mut gates = items(&spec["readinessGates"]).peekable();
    if gates.peek().is_some() {
        page.line(0, "Readiness Gates:\n  Type\tStatus");
        for gate in gates {
            let found = items(&status["conditions"]).find(|condition| condition["type"] == gate["conditionType"]);
            let state = found.map_or("<none>".to_owned(), |condition| text(&condition["status"]));
            page.line(1, format!("{} \t{state} ", text(&gate["conditionType"])));
        }
    }
    let mut conditions = items(&status["conditions"]).peekable();
    if conditions.peek().is_some() {
        page.line(0, "Conditions:\n  Type\tStatus");
        for condition in conditions {
            page.line(1, format!("{} \t{} ", text(&condition["type"]), text(&condition["status"])));
        }
    }
    volumes(page, &spec["volumes"], "");
    let quality = text(&status["qosClass"]);
    page.field("QoS Class", or(&quality, "BestEffort"));
    page.labels("Node-Selectors", &spec["nodeSelector"]);
    tolerations(page, "Tolerations", &spec["tolerations"]);
    spread(page, &spec["topologySpreadConstraints"], "");
}

/// A pod template.
pub(super) fn template(page: &mut Page, template: &Value) {
    let spec = &template["spec"];
    page.line(0, "Pod Template:");
    page.labels("  Labels", &template["metadata"]["labels"]);
    if template["metadata"]["annotations"].as_object().is_some_and(|annotations| !annotations.is_empty()) {
        page.annotations("  Annotations", &template["metadata"]["annotations"]);
    }
    page.some("  Service Account", &spec["serviceAccountName"]);
    if items(&spec["initContainers"]).next().is_some() {
        containers(page, "Init Containers", &spec["initContainers"], &Value::Null, None, "  ");
    }
    containers(page, "Containers", &spec["containers"], &Value::Null, None, "  ");
    volumes(page, &spec["volumes"], "  ");
    spread(page, &spec["topologySpreadConstraints"], "  ");
    page.some("  Priority Class Name", &spec["priorityClassName"]);
    page.labels("  Node-Selectors", &spec["nodeSelector"]);
    tolerations(page, "  Tolerations", &spec["tolerations"]);
}

fn containers(page: &mut Page, title: &str, containers: &Value, statuses: &Value, pod: Option<&Value>, space: &str) {
    let none = if items(containers).next().is_some() { "" } else { " <none>" };
    page.line(0, format!("{space}{title}:{none}"));
    let indent = if space.is_empty() { "" } else { " " };
    for container in items(containers) {
        let status = items(statuses).find(|status| status["name"] == container["name"]);
        page.line(1, format!("{indent}{}:", text(&container["name"])));
        basics(page, container, status);
        for (title, words) in [("Command:", &container["command"]), ("Args:", &container["args"])] {
            if items(words).next().is_some() {
                page.line(2, title);
                let lines: Vec<String> = items(words).map(text).collect();
                lines.iter().flat_map(|word| word.split('\n')).for_each(|line| page.line(3, line));
            }
        }
        if let Some(status) = status {
            state(page, "State", &status["state"]);
            if !status["lastState"]["terminated"].is_null() {
                state(page, "Last State", &status["lastState"]);
            }
            page.line(2, format!("Ready:\t{}", truth(&status["ready"])));
            page.line(2, format!("Restart Count:\t{}", count(&status["restartCount"])));
        }
        for (title, field) in [("Limits:", "limits"), ("Requests:", "requests")] {
            let amounts = container["resources"][field].as_object().filter(|amounts| !amounts.is_empty());
            if let Some(amounts) = amounts {
                page.line(2, title);
                amounts.iter().for_each(|(name, amount)| page.line(3, format!("{name}:\t{}", plain(amount))));
            }
        }
        for (title, field) in
            [("Liveness", "livenessProbe"), ("Readiness", "readinessProbe"), ("Startup", "startupProbe")]
        {
            if !container[field].is_null() {
                page.line(2, format!("{title}:\t{}", probe(&container[field])));
            }
        }
        environment_from(page, &container["envFrom"]);
        environment(page, container, pod);
        mounts(page, container);
    }
}

fn basics(page: &mut Page, container: &Value, status: Option<&Value>) {
    if let Some(status) = status {
        page.line(2, format!("Container ID:\t{}", text(&status["containerID"])));
    }
    page.line(2, format!("Image:\t{}", text(&container["image"])));
    if let Some(status) = status {
        page.line(2, format!("Image ID:\t{}", text(&status["imageID"])));
    }
    for (title, field) in [("Port", "containerPort"), ("Host Port", "hostPort")] {
        let ports: Vec<String> = items(&container["ports"])
            .map(|port| {
                let protocol = text(&port["protocol"]);
                format!("{}/{}", count(&port[field]), or(&protocol, "TCP"))
            })
            .collect();
        let plural = if ports.len() > 1 { "s" } else { "" };
        let ports = ports.join(", ");
        page.line(2, format!("{title}{plural}:\t{}", or(&ports, "<none>")));
    }
    let seccomp = &container["securityContext"]["seccompProfile"];
    if let Some(kind) = seccomp["type"].as_str() {
        page.line(2, format!("SeccompProfile:\t{kind}"));
        if kind == "Localhost" {
            page.line(3, format!("LocalhostProfile:\t{}", text(&seccomp["localhostProfile"])));
        }
    }
}

fn state(page: &mut Page, title: &str, state: &Value) {
    let (running, waiting, terminated) = (&state["running"], &state["waiting"], &state["terminated"]);
    if !running.is_null() {
        page.line(2, format!("{title}:\tRunning"));
        page.line(3, format!("Started:\t{}", long_time(&running["startedAt"])));
        return;
    }
    if terminated.is_null() {
        page.line(2, format!("{title}:\tWaiting"));
        let reason = text(&waiting["reason"]);
        if !reason.is_empty() {
            page.line(3, format!("Reason:\t{reason}"));
        }
        return;
    }
    page.line(2, format!("{title}:\tTerminated"));
    for (name, field) in [("Reason", "reason"), ("Message", "message")] {
        let value = text(&terminated[field]);
        if !value.is_empty() {
            page.line(3, format!("{name}:\t{value}"));
        }
    }
    page.line(3, format!("Exit Code:\t{}", count(&terminated["exitCode"])));
    if count(&terminated["signal"]) > 0 {
        page.line(3, format!("Signal:\t{}", count(&terminated["signal"])));
    }
    page.line(3, format!("Started:\t{}", long_time(&terminated["startedAt"])));
    page.line(3, format!("Finished:\t{}", long_time(&terminated["finishedAt"])));
}

fn probe(probe: &Value) -> String {
    let number = |field: &str, default: i64| probe[field].as_i64().unwrap_or(default);
    let attributes = format!(
        "delay={}s timeout={}s period={}s #success={} #failure={}",
        number("initialDelaySeconds", 0),
        number("timeoutSeconds", 0),
        number("periodSeconds", 0),
        number("successThreshold", 0),
        number("failureThreshold", 0)
    );
    if !probe["exec"].is_null() {
        let words: Vec<String> = items(&probe["exec"]["command"]).map(text).collect();
        return format!("exec [{}] {attributes}", words.join(" "));
    }
    if !probe["httpGet"].is_null() {
        let get = &probe["httpGet"];
        let (scheme, host) = (text(&get["scheme"]).to_lowercase(), text(&get["host"]));
        let path = text(&get["path"]);
        let slash = if path.starts_with('/') || path.is_empty() { "" } else { "/" };
        return format!("http-get {scheme}://{host}:{}{slash}{path} {attributes}", plain(&get["port"]));
    }
    if !probe["tcpSocket"].is_null() {
        let socket = &probe["tcpSocket"];
        return format!("tcp-socket {}:{} {attributes}", text(&socket["host"]), plain(&socket["port"]));
    }
    if !probe["grpc"].is_null() {
        let grpc = &probe["grpc"];
        return format!("grpc <pod>:{} {} {attributes}", plain(&grpc["port"]), text(&grpc["service"]));
    }
    format!("unknown {attributes}")
}

fn environment_from(page: &mut Page, sources: &Value) {
    let mut sources = items(sources).peekable();
    if sources.peek().is_none() {
        return;
    }
    page.line(2, "Environment Variables from:");
    for source in sources {
        let (kind, reference) = match source["configMapRef"].is_null() {
            false => ("ConfigMap", &source["configMapRef"]),
            true => ("Secret", &source["secretRef"]),
        };
        let prefix = match source["prefix"].as_str() {
            Some(prefix) if !prefix.is_empty() => format!(" with prefix '{prefix}'"),
            _ => String::new(),
        };
        let optional = reference["optional"] == true;
        page.line(3, format!("{}\t{kind}{prefix}\tOptional: {optional}", text(&reference["name"])));
    }
}

fn environment(page: &mut Page, container: &Value, pod: Option<&Value>) {
    let none = if items(&container["env"]).next().is_some() { "" } else { "\t<none>" };
    page.line(2, format!("Environment:{none}"));
    for variable in items(&container["env"]) {
        let name = text(&variable["name"]);
        let from = &variable["valueFrom"];
        if from.is_null() {
            for (index, line) in text(&variable["value"]).split('\n').enumerate() {
                let title = if index == 0 { format!("{name}:") } else { String::new() };
                page.line(3, format!("{title}\t{line}"));
            }
        } else if !from["fieldRef"].is_null() {
            let path = text(&from["fieldRef"]["fieldPath"]);
            let version = text(&from["fieldRef"]["apiVersion"]);
            let value = pod.map(|pod| field_value(pod, &path)).unwrap_or_default();
            page.line(3, format!("{name}:\t{value} ({}:{path})", or(&version, "v1")));
        } else if !from["resourceFieldRef"].is_null() {
            let resource = text(&from["resourceFieldRef"]["resource"]);
            let (kind, amount) = resource.split_once('.').unwrap_or_default();
            let value = plain(&container["resources"][kind][amount]);
            let unlimited = value.is_empty() && kind == "limits";
            let value = if unlimited { "node allocatable".to_owned() } else { value };
            page.line(3, format!("{name}:\t{} ({resource})", or(&value, "0")));
        } else {
            let (what, reference) = match from["secretKeyRef"].is_null() {
                false => ("in secret", &from["secretKeyRef"]),
                true => ("of config map", &from["configMapKeyRef"]),
            };
            let (key, object) = (text(&reference["key"]), text(&reference["name"]));
            let optional = reference["optional"] == true;
            page.line(3, format!("{name}:\t<set to the key '{key}' {what} '{object}'>\tOptional: {optional}"));
        }
    }
}

/// The value of a downward API field such as `metadata.labels['app']`.
fn field_value(pod: &Value, path: &str) -> String {
    if let Some((map, key)) = path.strip_suffix("']").and_then(|path| path.split_once("['")) {
        let map = map.split('.').fold(pod, |value, field| &value[field]);
        return text(&map[key]);
    }
    plain(path.split('.').fold(pod, |value, field| &value[field]))
}

fn mounts(page: &mut Page, container: &Value) {
    let mut mounts: Vec<&Value> = items(&container["volumeMounts"]).collect();
    mounts.order_by_key(|mount| text(&mount["mountPath"]));
    page.line(2, if mounts.is_empty() { "Mounts:\t<none>" } else { "Mounts:" });
    for mount in mounts {
        let mut flags = vec![if mount["readOnly"] == true { "ro".to_owned() } else { "rw".to_owned() }];
        if let Some(path) = mount["subPath"].as_str().filter(|path| !path.is_empty()) {
            flags.push(format!("path={path:?}"));
        }
        let (path, name) = (text(&mount["mountPath"]), text(&mount["name"]));
        page.line(3, format!("{path} from {name} ({})", flags.join(",")));
    }
    let mut devices = items(&container["volumeDevices"]).peekable();
    if devices.peek().is_some() {
        page.line(2, "Devices:");
        devices.for_each(|device| {
            page.line(3, format!("{} from {}", text(&device["devicePath"]), text(&device["name"])));
        });
    }
}

/// Volume sources: field, what it is, and `(title, field)` of what is shown of it.
#[allow(clippy::type_complexity, reason = "one table, read in one place")]
const VOLUMES: &[(&str, &str, &[(&str, &str)])] = &[
    ("hostPath", "HostPath (bare host directory volume)", &[("Path", "path"), ("HostPathType", "type")]),
    (
        "emptyDir",
        "EmptyDir (a temporary directory that shares a pod's lifetime)",
        &[("Medium", "medium"), ("SizeLimit", "sizeLimit")],
    ),
    ("secret", "Secret (a volume populated by a Secret)", &[("SecretName", "secretName"), ("Optional", "optional")]),
    ("configMap", "ConfigMap (a volume populated by a ConfigMap)", &[("Name", "name"), ("Optional", "optional")]),
    (
        "persistentVolumeClaim",
        "PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same namespace)",
        &[("ClaimName", "claimName"), ("ReadOnly", "readOnly")],
    ),
    (
        "nfs",
        "NFS (an NFS mount that lasts the lifetime of a pod)",
        &[("Server", "server"), ("Path", "path"), ("ReadOnly", "readOnly")],
    ),
    ("image", "Image (a container image or OCI artifact)", &[("Reference", "reference"), ("PullPolicy", "pullPolicy")]),
];

pub(super) fn volumes(page: &mut Page, volumes: &Value, space: &str) {
    if items(volumes).next().is_none() {
        page.line(0, format!("{space}Volumes:\t<none>"));
        return;
    }
    page.line(0, format!("{space}Volumes:"));
    let indent = if space.is_empty() { "" } else { " " };
    for volume in items(volumes) {
        page.line(1, format!("{indent}{}:", text(&volume["name"])));
        if let Some((field, what, parts)) = VOLUMES.iter().find(|(field, ..)| !volume[*field].is_null()) {
            page.line(2, format!("Type:\t{what}"));
            for (title, part) in *parts {
                let value = plain(&volume[*field][*part]);
                let value = match (*part, value.as_str()) {
                    ("optional" | "readOnly", "") => "false",
                    ("sizeLimit", "") => "<unset>",
                    ("type", "") if *field == "hostPath" => "",
                    (_, value) => value,
                };
                page.line(2, format!("{title}:\t{value}"));
            }
        } else if !volume["csi"].is_null() {
            inline_driver(page, &volume["csi"]);
        } else if let claim @ Value::Object(_) = &volume["ephemeral"]["volumeClaimTemplate"] {
            page.line(
                2,
                "Type:\tEphemeralVolume (an inline specification for a volume that gets created and deleted with the pod)",
            );
            super::storage::claim_template(page, claim);
        } else if !volume["projected"].is_null() {
            projected(page, &volume["projected"]);
        } else if !volume["downwardAPI"].is_null() {
            page.line(2, "Type:\tDownwardAPI (a volume populated by information about the pod)\n    Items:");
            for item in items(&volume["downwardAPI"]["items"]) {
                if let Some(path) = item["fieldRef"]["fieldPath"].as_str() {
                    page.line(3, format!("{path} -> {}", text(&item["path"])));
                }
                if let Some(resource) = item["resourceFieldRef"]["resource"].as_str() {
                    page.line(3, format!("{resource} -> {}", text(&item["path"])));
                }
            }
        } else if let Some(source) = volume.as_object().and_then(|fields| fields.iter().find(|(key, _)| *key != "name"))
        {
            let (kind, value) = source;
            page.line(2, format!("Type:\t{kind} {}", pretty_two(value).replace('\n', " ")));
        } else {
            page.line(1, "<unknown>");
        }
    }
}

fn projected(page: &mut Page, volume: &Value) {
    page.line(2, "Type:\tProjected (a volume that contains injected data from multiple sources)");
    for source in items(&volume["sources"]) {
        if let Some(token) = source.get("serviceAccountToken") {
            page.line(2, format!("TokenExpirationSeconds:\t{}", count(&token["expirationSeconds"])));
        } else if let Some(map) = source.get("configMap") {
            page.line(2, format!("ConfigMapName:\t{}", text(&map["name"])));
            // The original prints a pointer here, which is nil unless the field is set.
            let optional = plain(&map["optional"]);
            page.line(2, format!("ConfigMapOptional:\t{}", or(&optional, "<nil>")));
        } else if let Some(secret) = source.get("secret") {
            page.line(2, format!("SecretName:\t{}", text(&secret["name"])));
            let optional = plain(&secret["optional"]);
            page.line(2, format!("SecretOptionalName:\t{}", or(&optional, "<nil>")));
        } else if source.get("downwardAPI").is_some() {
            page.line(2, "DownwardAPI:\ttrue");
        }
    }
}

fn tolerations(page: &mut Page, title: &str, tolerations: &Value) {
    let mut sorted: Vec<&Value> = items(tolerations).collect();
    sorted.order_by_key(|toleration| text(&toleration["key"]));
    let lines = sorted.iter().map(|toleration| {
        let (key, value) = (text(&toleration["key"]), text(&toleration["value"]));
        let effect = text(&toleration["effect"]);
        let mut line = key.clone();
        if !value.is_empty() {
            line.push_str(&format!("={value}"));
        }
        if !effect.is_empty() {
            line.push_str(&format!(":{effect}"));
        }
        if toleration["operator"] == "Exists" && value.is_empty() {
            line.push_str(if key.is_empty() && effect.is_empty() { "op=Exists" } else { " op=Exists" });
        }
        if let Some(seconds) = toleration["tolerationSeconds"].as_i64() {
            line.push_str(&format!(" for {seconds}s"));
        }
        line
    });
    page.list(title, lines.collect());
}

fn spread(page: &mut Page, constraints: &Value, space: &str) {
    let mut sorted: Vec<&Value> = items(constraints).collect();
    if sorted.is_empty() {
        return;
    }
    sorted.order_by_key(|constraint| text(&constraint["topologyKey"]));
    let lines = sorted.iter().map(|constraint| {
        let mut line = format!(
            "{}:{} when max skew {} is exceeded",
            text(&constraint["topologyKey"]),
            text(&constraint["whenUnsatisfiable"]),
            count(&constraint["maxSkew"])
        );
        if !constraint["labelSelector"].is_null() {
            line.push_str(&format!(" for selector {}", selector(&constraint["labelSelector"])));
        }
        line
    });
    page.list(&format!("{space}Topology Spread Constraints"), lines.collect());
}

/// A volume that a driver of the container storage interface makes for the pod alone.
fn inline_driver(page: &mut Page, csi: &Value) {
    page.line(2, "Type:\tCSI (a Container Storage Interface (CSI) volume source)");
    let read_only = csi["readOnly"] == true;
    page.line(2, format!("Driver:\t{}", text(&csi["driver"])));
    page.line(2, format!("FSType:\t{}", text(&csi["fsType"])));
    page.line(2, format!("ReadOnly:\t{read_only}"));
    super::storage::attributes(page, &csi["volumeAttributes"]);
}
