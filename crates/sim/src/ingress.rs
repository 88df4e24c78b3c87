//! A simulated ingress-nginx: Ingress objects to HTTP requests passed on to pods.

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use client::{Client, Component, Context, EventRecorder, EventType, Informer, SharedInformers, key_of};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, Ingress, IngressBackend, IngressClass, IngressClassSpec, IngressLoadBalancerIngress,
    IngressLoadBalancerStatus, IngressStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use machinery::time::after;
use machinery::{ObjectKey, Timestamp};
use proxy::{SharedTables, Tables, TrafficPolicy};
use regex_lite::Regex;

use crate::network::http::{self, Request, Response};
use crate::network::{Interface, TcpListener, TcpStream};

/// The class it serves, which it makes itself.
const CLASS: &str = "nginx";
const CONTROLLER: &str = "k8s.io/ingress-nginx";
const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";
const DEFAULT_CLASS: &str = "ingressclass.kubernetes.io/is-default-class";
const REWRITE: &str = "nginx.ingress.kubernetes.io/rewrite-target";
/// How often addresses are written into statuses: ingress-nginx's status sync is slower still.
const STATUS_INTERVAL: Duration = Duration::from_secs(5);
/// Where the controller is reached, as kind's manifest publishes it.
const ADDRESS: &str = "localhost";

/// The Ingresses in force, shared between the component that hears of them and the server.
pub type SharedIngresses = Rc<RefCell<Vec<Arc<Ingress>>>>;

/// Told of the Ingresses in force.
type Changed = Box<dyn Fn(&[Arc<Ingress>])>;

/// Keeps [`SharedIngresses`] in step with the API, and writes addresses into statuses.
pub struct IngressController {
    client: Client,
    recorder: EventRecorder,
    ingresses: Informer<Ingress>,
    classes: Informer<IngressClass>,
    shared: SharedIngresses,
    changed: Option<Changed>,
    class_made: bool,
    status_at: Timestamp,
    synced: Vec<(ObjectKey, Option<i64>)>,
}

impl IngressController {
    /// The name under which it writes.
    pub const NAME: &str = "nginx-ingress-controller";

    /// A controller over a process' informers.
    pub fn new(client: Client, shared: SharedIngresses) -> Self {
        let informers = SharedInformers::new(client.clone());
        Self {
            recorder: EventRecorder::new(client.clone(), Self::NAME, ""),
            ingresses: informers.informer(),
            classes: informers.informer(),
            client,
            shared,
            changed: None,
            class_made: false,
            status_at: Timestamp::MIN,
            synced: Vec::new(),
        }
    }

    /// Also tells of the Ingresses in force when they change.
    #[must_use]
    pub fn on_change(self, changed: impl Fn(&[Arc<Ingress>]) + 'static) -> Self {
        Self { changed: Some(Box::new(changed)), ..self }
    }

    /// Whether an Ingress is this controller's: by its class, the old annotation, or because it is the
    /// default's.
    fn is_mine(&self, ingress: &Ingress) -> bool {
        let annotations = ingress.metadata.annotations.as_ref();
        let named = ingress.spec.as_ref().and_then(|spec| spec.ingress_class_name.as_deref());
        let named = named.or_else(|| annotations.and_then(|all| all.get(CLASS_ANNOTATION)).map(String::as_str));
        let class = |name: &str| self.classes.get(&ObjectKey::new("", name));
        let ours =
            |class: &IngressClass| class.spec.as_ref().and_then(|spec| spec.controller.as_deref()) == Some(CONTROLLER);
        match named {
            Some(name) => class(name).is_some_and(|class| ours(&class)),
            None => class(CLASS).is_some_and(|class| {
                let annotations = class.metadata.annotations.as_ref();
                annotations.and_then(|all| all.get(DEFAULT_CLASS)).is_some_and(|value| value == "true")
            }),
        }
    }

    fn make_class(&mut self) {
        let class = IngressClass {
            metadata: ObjectMeta {
                name: Some(CLASS.into()),
                annotations: Some([(DEFAULT_CLASS.to_owned(), "true".to_owned())].into()),
                ..ObjectMeta::default()
            },
            spec: Some(IngressClassSpec { controller: Some(CONTROLLER.into()), parameters: None }),
        };
        let made = self.client.create(class);
        self.class_made = made.is_ok() || made.is_err_and(|error| error.is_already_exists());
    }

    fn write_statuses(&mut self, now: Timestamp) {
        let wanted = IngressStatus {
            load_balancer: Some(IngressLoadBalancerStatus {
                ingress: Some(vec![IngressLoadBalancerIngress {
                    hostname: Some(ADDRESS.into()),
                    ..IngressLoadBalancerIngress::default()
                }]),
            }),
        };
        for ingress in self.shared.borrow().iter() {
            let seen = (key_of(&**ingress), ingress.metadata.generation);
            if !self.synced.contains(&seen) {
                self.synced.retain(|(key, _)| *key != seen.0);
                self.synced.push(seen);
                let reference = ObjectReference {
                    api_version: Some("networking.k8s.io/v1".into()),
                    kind: Some("Ingress".into()),
                    namespace: ingress.metadata.namespace.clone(),
                    name: ingress.metadata.name.clone(),
                    uid: ingress.metadata.uid.clone(),
                    resource_version: ingress.metadata.resource_version.clone(),
                    field_path: None,
                };
                self.recorder.event_for(now, reference, EventType::Normal, "Sync", "Scheduled for sync");
            }
            if ingress.status.as_ref() != Some(&wanted) {
                // A conflict is tried again at the next turn.
                let _ = self.client.update_status(Ingress { status: Some(wanted.clone()), ..(**ingress).clone() });
            }
        }
    }
}

impl Component for IngressController {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn poll(&mut self, cx: &mut Context<'_>) {
        let changed = !self.ingresses.poll(cx).is_empty() | !self.classes.poll(cx).is_empty();
        if !self.classes.synced() || !self.ingresses.synced() {
            return;
        }
        if !self.class_made {
            self.make_class();
            if !self.class_made {
                cx.wake_at(after(cx.now(), STATUS_INTERVAL));
            }
        }
        if changed {
            let mine = self.ingresses.list().into_iter().filter(|ingress| self.is_mine(ingress)).collect();
            *self.shared.borrow_mut() = mine;
            if let Some(changed) = &self.changed {
                changed(&self.shared.borrow());
            }
            self.status_at = self.status_at.max(after(cx.now(), STATUS_INTERVAL));
        }
        if self.status_at > Timestamp::MIN && cx.now() >= self.status_at {
            self.status_at = Timestamp::MIN;
            self.write_statuses(cx.now());
        }
        if self.status_at > Timestamp::MIN {
            cx.wake_at(self.status_at);
        }
    }
}

/// Serves HTTP for the Ingresses.
pub async fn serve(listener: TcpListener, interface: Interface, tables: SharedTables, ingresses: SharedIngresses) {
    http::serve(&listener, move |request, stream| {
        let (interface, tables, ingresses) = (interface.clone(), tables.clone(), ingresses.clone());
        async move { pass_on(&interface, &tables, &ingresses, request, &stream).await }
    })
    .await;
}

/// Where a request goes.
#[derive(Debug, PartialEq, Eq)]
pub enum Route {
    /// To a pod, with this target.
    To {
        /// The pod's address.
        address: IpAddr,
        /// Its port.
        port: u16,
        /// What is asked of it: path and query.
        target: String,
    },
    /// Nowhere: the answer's status.
    Nowhere(u16),
}

/// Where a request for a host's target goes, to one of a backend's pods by chance.
pub fn route(ingresses: &[Arc<Ingress>], tables: &Tables, host: &str, target: &str, random: u64) -> Route {
    let Some(found) = find(ingresses, host, target) else { return Route::Nowhere(404) };
    match endpoint(tables, &found, random) {
        Some((address, port)) => Route::To { address, port, target: found.target },
        None => Route::Nowhere(503),
    }
}

/// A rule that fits a request.
struct Match {
    namespace: String,
    backend: IngressBackend,
    target: String,
}

async fn pass_on(
    interface: &Interface,
    tables: &SharedTables,
    ingresses: &SharedIngresses,
    mut request: Request,
    stream: &TcpStream,
) -> Response {
    let client = stream.info().remote.ip().to_string();
    let host = request.header("Host").unwrap_or_default().to_owned();
    let random = interface.network().random();
    let (address, port) = match route(&ingresses.borrow(), &tables.borrow(), &host, &request.target, random) {
        Route::To { address, port, target } => {
            request.target = target;
            (address, port)
        }
        Route::Nowhere(status) => return page(status),
    };
    for (name, value) in [
        ("X-Real-IP", client.as_str()),
        ("X-Forwarded-For", &client),
        ("X-Forwarded-Host", &host),
        ("X-Forwarded-Port", "80"),
        ("X-Forwarded-Proto", "http"),
        ("X-Scheme", "http"),
    ] {
        request.headers.push((name.into(), value.into()));
    }
    request.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("connection"));
    request.headers.push(("Connection".into(), "close".into()));
    let Ok(upstream) = interface.dial(address, port).await else { return page(502) };
    match http::fetch(&upstream, &request).await {
        Ok(mut response) => {
            response.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("connection"));
            response
        }
        Err(_) => page(502),
    }
}

/// The rule for a request: of its host before wildcards before none; the longest path, exact ones first.
fn find(ingresses: &[Arc<Ingress>], host: &str, target: &str) -> Option<Match> {
    let host = host.split(':').next().unwrap_or_default().to_ascii_lowercase();
    let (path, query) = target.split_at(target.find('?').unwrap_or(target.len()));
    let mut best: Option<((u8, bool, usize), Match)> = None;
    let mut fallback = None;
    for ingress in ingresses {
        let Some(spec) = &ingress.spec else { continue };
        let namespace = ingress.metadata.namespace.clone().unwrap_or_default();
        let rewrite = ingress.metadata.annotations.as_ref().and_then(|all| all.get(REWRITE));
        for rule in spec.rules.iter().flatten() {
            let Some(rank) = host_rank(rule.host.as_deref().unwrap_or_default(), &host) else { continue };
            for entry in rule.http.iter().flat_map(|http| &http.paths) {
                let Some(asked) = path_target(entry, path, rewrite.map(String::as_str)) else { continue };
                let exact = entry.path_type == "Exact";
                let order = (rank, exact, entry.path.as_deref().unwrap_or("/").len());
                if best.as_ref().is_none_or(|(known, _)| order > *known) {
                    let target = format!("{asked}{query}");
                    let backend = entry.backend.clone();
                    best = Some((order, Match { namespace: namespace.clone(), backend, target }));
                }
            }
        }
        if let (Some(backend), None) = (&spec.default_backend, &fallback) {
            fallback = Some(Match { namespace, backend: backend.clone(), target: target.to_owned() });
        }
    }
    best.map(|(_, found)| found).or(fallback)
}

/// How well a rule's host fits: its own name best, then a wildcard, then any.
fn host_rank(rule: &str, host: &str) -> Option<u8> {
    match rule.strip_prefix("*.") {
        _ if rule.is_empty() => Some(0),
        Some(domain) => {
            let rest = host.strip_suffix(domain)?.strip_suffix('.')?;
            (!rest.is_empty() && !rest.contains('.')).then_some(1)
        }
        None => (rule == host).then_some(2),
    }
}

/// The path that is asked of the backend, if the rule's path fits. With a rewrite target, paths are
/// regular expressions as ingress-nginx has it.
fn path_target(entry: &HTTPIngressPath, path: &str, rewrite: Option<&str>) -> Option<String> {
    let rule = entry.path.as_deref().unwrap_or("/");
    if let Some(rewrite) = rewrite
        && (rewrite.contains('$') || rule.contains(['(', '*', '[']))
    {
        let regex = Regex::new(&format!("^(?i:{rule})")).ok()?;
        let captures = regex.captures(path)?;
        let mut target = rewrite.to_owned();
        for index in (1..10).rev() {
            let text = captures.get(index).map_or("", |group| group.as_str());
            target = target.replace(&format!("${index}"), text);
        }
        return Some(if target.starts_with('/') { target } else { format!("/{target}") });
    }
    let fits = match entry.path_type.as_str() {
        "Exact" => rule == path,
        _ => {
            let prefix = rule.trim_end_matches('/');
            path == prefix || path.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/'))
        }
    };
    fits.then(|| rewrite.unwrap_or(path).to_owned())
}

/// One of the pods behind a backend, as the controller chooses it: past the Service's address.
fn endpoint(tables: &Tables, found: &Match, random: u64) -> Option<(IpAddr, u16)> {
    let service = found.backend.service.as_ref()?;
    let key = ObjectKey::new(found.namespace.clone(), service.name.clone());
    let wanted = service.port.as_ref()?;
    let fits = |rule: &&proxy::Rule| match (&wanted.name, wanted.number) {
        (Some(name), _) => rule.port_name == *name,
        (None, number) => number == Some(i32::from(rule.port)),
    };
    let rule = tables.rules(&key).iter().find(fits)?;
    let ready = rule.eligible(TrafficPolicy::Cluster, None);
    let chosen = random.checked_rem(ready.len() as u64)?;
    let endpoint = ready.get(usize::try_from(chosen).ok()?)?;
    Some((endpoint.address, endpoint.port))
}

/// nginx' page for a status.
fn page(status: u16) -> Response {
    let reason = Response::new(status, "text/html", "").reason();
    Response::new(status, "text/html", page_text(status, reason))
}

/// The text of nginx' page for a status.
pub fn page_text(status: u16, reason: &str) -> String {
    let reason = if status == 503 { "Service Temporarily Unavailable" } else { reason };
    format!(
        "<html>\r\n<head><title>{status} {reason}</title></head>\r\n<body>\r\n<center><h1>{status} {reason}</h1></center>\r\n\
         <hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str, kind: &str) -> HTTPIngressPath {
        HTTPIngressPath { path: Some(path.into()), path_type: kind.into(), ..HTTPIngressPath::default() }
    }

    #[test]
    fn paths_fit_as_documented() {
        for (rule, kind, path, fits) in [
            ("/", "Prefix", "/any/thing", true),
            ("/foo", "Exact", "/foo", true),
            ("/foo", "Exact", "/foo/", false),
            ("/foo/", "Exact", "/foo", false),
            ("/foo", "Prefix", "/foo/", true),
            ("/foo/", "Prefix", "/foo", true),
            ("/aaa/bb", "Prefix", "/aaa/bbb", false),
            ("/aaa/bbb", "Prefix", "/aaa/bbb/ccc", true),
            ("/aaa/bbb", "Prefix", "/aaa/bbbxyz", false),
        ] {
            assert_eq!(path_target(&entry(rule, kind), path, None).is_some(), fits, "{rule} {kind} {path}");
        }
        let rewritten = |rule, path, target| path_target(&entry(rule, "ImplementationSpecific"), path, Some(target));
        assert_eq!(rewritten("/something(/|$)(.*)", "/something/new", "/$2").as_deref(), Some("/new"));
        assert_eq!(rewritten("/v2", "/v2/x", "/").as_deref(), Some("/"));
        assert_eq!(host_rank("*.foo.com", "bar.foo.com"), Some(1));
        assert_eq!(host_rank("*.foo.com", "baz.bar.foo.com"), None);
        assert_eq!(host_rank("*.foo.com", "foo.com"), None);
    }
}
