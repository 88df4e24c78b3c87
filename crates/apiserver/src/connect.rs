//! Subresources behind which there is a node: log, exec, attach, portforward, proxy.
//!
//! The request goes on to the kubelet, in the paths of the kubelet's own HTTP server, or into the pod
//! network; what comes back goes to the client as it is.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::{self, BoxFuture};
use http::{Method, StatusCode, Uri};
use k8s_openapi::api::core::v1::{Node, Pod, Service};
use machinery::field::{Error, ErrorList, Path};
use machinery::wire::{Body, Request, Response, Unreachable};
use machinery::{ApiError, GroupVersionKind, Kind};

use crate::call::{Call, Result};
use crate::options::NodeConnector;
use crate::registry;
use crate::storage;

/// The port of kubelets' servers.
const KUBELET_PORT: u16 = 10250;

/// Whether a subresource is one of these.
pub(crate) fn is_connection(subresource: &str) -> bool {
    matches!(subresource, "log" | "exec" | "attach" | "portforward" | "proxy")
}

/// Finds out where the request goes; the answer comes when the node gives it.
pub(crate) fn prepare(call: &mut Call, method: Method, body: Body) -> Result<BoxFuture<'static, Response>> {
    let method_fits = match call.info.subresource.as_str() {
        "log" => method == Method::GET,
        "proxy" => true,
        _ => matches!(method, Method::GET | Method::POST),
    };
    if !method_fits {
        return Err(ApiError::wrong_method());
    }
    let nodes = call.server.options().nodes.clone();
    let target = match (call.row.resource, call.info.subresource.as_str()) {
        ("pods", "log") => {
            check_log_options(call)?;
            let path = log_path(call)?;
            // A pod that no node has yet has said nothing.
            if node_of(&*pod(call)?).is_empty() {
                let mut nothing = Response::new(Body::empty());
                *nothing.status_mut() = StatusCode::NO_CONTENT;
                return Ok(Box::pin(future::ready(nothing)));
            }
            kubelet(call, path)?
        }
        ("pods", "exec") => kubelet(call, stream_path(call, "exec")?)?,
        ("pods", "attach") => kubelet(call, stream_path(call, "attach")?)?,
        ("pods", "portforward") => {
            let pod = pod(call)?;
            kubelet(call, with_query(format!("/portForward/{}", pod_path(&pod)), &forwarded(call, &[])))?
        }
        ("pods", "proxy") => pod_proxy(call)?,
        ("services", "proxy") => service_proxy(call)?,
        ("nodes", "proxy") => Target::Node(call.info.name.clone(), with_query(rest(call), &forwarded(call, &[]))),
        _ => return Err(ApiError::method_not_supported(&call.resource(), "connect")),
    };
    let Some(nodes) = nodes else {
        return Ok(Box::pin(future::ready(ApiError::service_unavailable("no nodes are connected").into_response())));
    };
    send(&nodes, call, target, method, body)
}

enum Target {
    /// A kubelet: node and path.
    Node(String, String),
    /// An address in the pod network, and the path.
    Address(String, String),
}

fn send(
    nodes: &Arc<dyn NodeConnector>,
    call: &mut Call,
    target: Target,
    method: Method,
    body: Body,
) -> Result<BoxFuture<'static, Response>> {
    let (Target::Node(_, path) | Target::Address(_, path)) = &target;
    let uri: Uri = path.parse().map_err(|_| ApiError::bad_request(format!("invalid path {path:?}")))?;
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    *request.headers_mut() = std::mem::take(&mut call.headers);
    Ok(match target {
        Target::Node(node, path) => {
            let found = find::<Node>(call, "nodes", &node);
            let place = format!("{}:{KUBELET_PORT}", found.as_deref().and_then(internal_address).unwrap_or(&node));
            let answer = nodes.connect(&node, request);
            Box::pin(answer.map(move |response| match response.extensions().get::<Unreachable>() {
                Some(why) => unreachable(&place, &path, *why),
                None => response,
            }))
        }
        Target::Address(address, _) => nodes.dial(&address, request),
    })
}

/// Where the API server dials a node's kubelet.
fn internal_address(node: &Node) -> Option<&str> {
    let mut addresses = node.status.as_ref()?.addresses.iter().flatten();
    addresses.find(|address| address.type_ == "InternalIP").map(|address| address.address.as_str())
}

/// What upstream's API server says where it cannot connect to a kubelet: its log reader, its upgrades, its proxy.
fn unreachable(place: &str, path: &str, Unreachable(why): Unreachable) -> Response {
    let why = format!("dial tcp {place}: {why}");
    let error = match path.split('/').nth(1) {
        Some("containerLogs") => ApiError::new(500, "", format!("Get \"https://{place}{path}\": {why}")),
        Some("exec" | "attach" | "portForward") => ApiError::new(500, "", format!("error dialing backend: {why}")),
        _ => ApiError::service_unavailable(format!("error trying to reach service: {why}")),
    };
    error.into_response()
}

fn find<K: Kind>(call: &Call, resource: &str, name: &str) -> Option<Arc<K>> {
    let row = registry::by_resource("", "v1", resource)?;
    let kv = call.server.store().get(&storage::key(row, &call.info.namespace, name))?;
    storage::stored(&kv).get::<K>().ok()
}

fn pod(call: &Call) -> Result<Arc<Pod>> {
    find::<Pod>(call, "pods", &call.info.name).ok_or_else(|| call.not_found())
}

fn pod_path(pod: &Pod) -> String {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    format!("{}/{}", text(&pod.metadata.namespace), text(&pod.metadata.name))
}

/// The name of the node that has a pod; empty for none.
fn node_of(pod: &Pod) -> &str {
    pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or_default()
}

/// Upstream's `ValidatePodLogOptions`.
fn check_log_options(call: &Call) -> Result<()> {
    const NONNEGATIVE: &str = "must be greater than or equal to 0";
    const POSITIVE: &str = "must be greater than 0";
    let query = &call.info.query;
    let mut errors = ErrorList::new();
    if let Some(lines) = query.number("tailLines")?.filter(|lines| *lines < 0) {
        errors.push(Error::invalid(&Path::new("tailLines"), lines, NONNEGATIVE));
    }
    if let Some(bytes) = query.number("limitBytes")?.filter(|bytes| *bytes < 1) {
        errors.push(Error::invalid(&Path::new("limitBytes"), bytes, POSITIVE));
    }
    match query.number("sinceSeconds")? {
        Some(_) if !query.get("sinceTime").is_empty() => {
            let detail = "at most one of `sinceTime` or `sinceSeconds` may be specified";
            errors.push(Error::forbidden(&Path::new("[]"), detail));
        }
        Some(seconds @ ..1) => errors.push(Error::invalid(&Path::new("sinceSeconds"), seconds, POSITIVE)),
        _ => {}
    }
    let kind = GroupVersionKind::from_api_version("v1", "PodLogOptions");
    if errors.is_empty() { Ok(()) } else { Err(ApiError::invalid(&kind, &call.info.name, &errors)) }
}

/// The kubelet that has the pod the request names.
fn kubelet(call: &Call, path: String) -> Result<Target> {
    let pod = pod(call)?;
    let node = node_of(&pod).to_owned();
    if node.is_empty() {
        let name = &call.info.name;
        return Err(ApiError::bad_request(format!("pod {name} does not have a host assigned")));
    }
    if find::<Node>(call, "nodes", &node).is_none() {
        return Err(ApiError::not_found(
            &machinery::GroupResource { group: String::new(), resource: "nodes".into() },
            &node,
        ));
    }
    Ok(Target::Node(node, path))
}

/// The container a request means: the one it names, or the pod's only one, or its default.
fn container(call: &Call, pod: &Pod) -> Result<String> {
    const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";
    let named = call.info.query.get("container");
    let name = &call.info.name;
    let Some(spec) = &pod.spec else { return Err(call.not_found()) };
    let containers: Vec<&str> = spec.containers.iter().map(|container| container.name.as_str()).collect();
    let inits: Vec<&str> = spec.init_containers.iter().flatten().map(|container| container.name.as_str()).collect();
    let ephemeral = spec.ephemeral_containers.iter().flatten().map(|container| container.name.as_str());
    if !named.is_empty() {
        let mut known = containers.iter().chain(&inits).copied().chain(ephemeral);
        return if known.any(|known| known == named) {
            Ok(named.to_owned())
        } else {
            Err(ApiError::bad_request(format!("container {named} is not valid for pod {name}")))
        };
    }
    if let [only] = containers.as_slice() {
        return Ok((*only).to_owned());
    }
    let annotated = pod.metadata.annotations.as_ref().and_then(|all| all.get(DEFAULT_CONTAINER));
    if let Some(default) = annotated.filter(|default| containers.contains(&default.as_str())) {
        return Ok(default.clone());
    }
    let choices = containers.join(" ");
    let mut message = format!("a container name must be specified for pod {name}, choose one of: [{choices}]");
    if !inits.is_empty() {
        message += &format!(" or one of the init containers: [{}]", inits.join(" "));
    }
    Err(ApiError::bad_request(message))
}

fn log_path(call: &Call) -> Result<String> {
    let pod = pod(call)?;
    let container = container(call, &pod)?;
    let path = format!("/containerLogs/{}/{container}", pod_path(&pod));
    Ok(with_query(path, &forwarded(call, &["container"])))
}

/// Path of exec and attach, whose flags the kubelet has under names of its own.
fn stream_path(call: &Call, what: &str) -> Result<String> {
    let pod = pod(call)?;
    let container = container(call, &pod)?;
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default();
    if matches!(phase, "Succeeded" | "Failed") {
        return Err(ApiError::bad_request(format!(
            "cannot {what} into a container in a completed pod; current phase is {phase}"
        )));
    }
    let query = &call.info.query;
    let mut parameters = Vec::new();
    for (flag, kubelets) in [("stdin", "input"), ("stdout", "output"), ("stderr", "error"), ("tty", "tty")] {
        if query.flag(flag) {
            parameters.push((kubelets.to_owned(), "1".to_owned()));
        }
    }
    parameters.extend(query.all("command").iter().map(|word| ("command".to_owned(), word.clone())));
    Ok(with_query(format!("/{what}/{}/{container}", pod_path(&pod)), &parameters))
}

/// The request's own parameters, but for some.
fn forwarded(call: &Call, but: &[&str]) -> Vec<(String, String)> {
    call.info.query.pairs().filter(|(name, _)| !but.contains(name)).map(|(n, v)| (n.into(), v.into())).collect()
}

fn with_query(path: String, parameters: &[(String, String)]) -> String {
    if parameters.is_empty() {
        return path;
    }
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    format!("{path}?{query}")
}

fn rest(call: &Call) -> String {
    if call.info.rest.is_empty() { "/".into() } else { call.info.rest.clone() }
}

/// `[scheme:]name[:port]`, as the proxy paths name pods and services.
fn scheme_name_port(text: &str) -> (String, String, String) {
    let parts: Vec<&str> = text.split(':').collect();
    let (scheme, name, port) = match parts.as_slice() {
        [scheme, name, port] => (*scheme, *name, *port),
        [name, port] => ("", *name, *port),
        _ => ("", text, ""),
    };
    (scheme.into(), name.into(), port.into())
}

fn pod_proxy(call: &mut Call) -> Result<Target> {
    let (_, name, port) = scheme_name_port(&call.info.name);
    call.info.name = name;
    let pod = pod(call)?;
    let ip = pod.status.as_ref().and_then(|status| status.pod_ip.clone()).unwrap_or_default();
    if ip.is_empty() {
        return Err(ApiError::bad_request("address not allowed"));
    }
    let ports =
        pod.spec.iter().flat_map(|spec| &spec.containers).flat_map(|container| container.ports.iter().flatten());
    let mut ports = ports.map(|port| (port.name.clone().unwrap_or_default(), port.container_port));
    let port = match port.parse::<i32>() {
        Ok(port) => port,
        Err(_) if port.is_empty() => ports.next().map_or(80, |(_, number)| number),
        Err(_) => ports
            .find(|(known, _)| *known == port)
            .map(|(_, number)| number)
            .ok_or_else(|| ApiError::bad_request(format!("no port named {port:?} in pod {:?}", call.info.name)))?,
    };
    Ok(Target::Address(format!("{ip}:{port}"), with_query(rest(call), &forwarded(call, &[]))))
}

fn service_proxy(call: &mut Call) -> Result<Target> {
    let (_, name, port) = scheme_name_port(&call.info.name);
    call.info.name.clone_from(&name);
    let service = find::<Service>(call, "services", &name).ok_or_else(|| call.not_found())?;
    let ports = service.spec.as_ref().and_then(|spec| spec.ports.as_deref()).unwrap_or_default();
    let chosen = match (port.as_str(), ports) {
        ("", [only]) => Some(only),
        (port, ports) => ports.iter().find(|one| one.name.as_deref() == Some(port) || one.port.to_string() == port),
    };
    let unavailable = || {
        let shown = if port.is_empty() { String::new() } else { format!(":{port}") };
        ApiError::service_unavailable(match ports {
            [] => format!("no service port {port:?} found for service {name:?}"),
            _ if chosen.is_none() => format!("no service port {port:?} found for service {name:?}"),
            _ => format!("no endpoints available for service {:?}", format!("{name}{shown}")),
        })
    };
    let chosen = chosen.ok_or_else(unavailable)?;
    let port_name = chosen.name.clone().unwrap_or_default();
    let endpoints = find::<k8s_openapi::api::core::v1::Endpoints>(call, "endpoints", &name).ok_or_else(unavailable)?;
    let subsets = endpoints.subsets.iter().flatten();
    let mut addresses = subsets.flat_map(|subset| {
        let number = subset.ports.iter().flatten().find(|one| one.name.clone().unwrap_or_default() == port_name);
        let number = number.map(|port| port.port);
        subset.addresses.iter().flatten().filter_map(move |address| Some(format!("{}:{}", address.ip, number?)))
    });
    let all: Vec<String> = addresses.by_ref().collect();
    let chosen = call.server.rng().pick(&all).cloned().ok_or_else(unavailable)?;
    Ok(Target::Address(chosen, with_query(rest(call), &forwarded(call, &[]))))
}
