//! A simulated ingress-nginx: Ingress objects to HTTP requests passed on to pods. Where TLS is spoken, each host has
//! the certificate of its Ingress' Secret, or the controller's own.

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use client::{Client, Component, Context, EventRecorder, EventType, Informer, ListOptions, SharedInformers, key_of};
use k8s_openapi::api::core::v1::{ObjectReference, Secret};
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
use crate::network::{Interface, Presents, TcpListener, TcpStream};
use crate::x509::{Certificate, covers};

/// The class it serves, which it makes itself.
const CLASS: &str = "nginx";
const CONTROLLER: &str = "k8s.io/ingress-nginx";
const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";
const DEFAULT_CLASS: &str = "ingressclass.kubernetes.io/is-default-class";
const TLS_SECRET: &str = "kubernetes.io/tls";
const SSL_REDIRECT: &str = "nginx.ingress.kubernetes.io/ssl-redirect";
const FORCE_SSL_REDIRECT: &str = "nginx.ingress.kubernetes.io/force-ssl-redirect";
const REWRITE: &str = "nginx.ingress.kubernetes.io/rewrite-target";
/// How often addresses are written into statuses: ingress-nginx's status sync is slower still.
const STATUS_INTERVAL: Duration = Duration::from_secs(5);
/// Where the controller is reached, as kind's manifest publishes it.
const ADDRESS: &str = "localhost";

/// The names in the certificate of hosts that have no other, as ingress-nginx makes it.
pub const FAKE_NAME: &str = "Kubernetes Ingress Controller Fake Certificate";
/// The organization in it.
pub const FAKE_ORGANIZATION: &str = "Acme Co";
/// The host it is for.
pub const FAKE_HOST: &str = "ingress.local";

/// What is in force.
#[derive(Clone, Debug, Default)]
pub struct InForce {
    /// The Ingresses.
    pub ingresses: Vec<Arc<Ingress>>,
    /// Hosts with TLS; the first entry of a host stands. Without a certificate of its own it has the controller's.
    pub hosts: Vec<(String, Option<Arc<HostCertificate>>)>,
}

/// A host's certificate, from a Secret of the type `kubernetes.io/tls`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostCertificate {
    /// `tls.crt`: PEM.
    pub chain: Vec<u8>,
    /// `tls.key`: PEM.
    pub key: Vec<u8>,
    /// What the first of the chain says.
    pub certificate: Certificate,
}

impl HostCertificate {
    fn of(secret: &Secret) -> Option<Self> {
        let data = secret.data.as_ref()?;
        let (chain, key) = (data.get("tls.crt")?.0.clone(), data.get("tls.key")?.0.clone());
        let certificate = Certificate::of_pem(&chain).into_iter().next()?;
        Some(Self { chain, key, certificate })
    }
}

impl InForce {
    /// The certificate for a host; none means the controller's own.
    pub fn certificate(&self, host: &str) -> Option<&Arc<HostCertificate>> {
        self.tls(host)?.as_ref()
    }

    /// The header by which browsers are kept to TLS, for answers over it from hosts that have it: ingress-nginx' `hsts`.
    pub fn transport_security(&self, host: &str, secure: bool) -> Option<(&'static str, &'static str)> {
        let name = host.split(':').next().unwrap_or_default();
        let header = ("Strict-Transport-Security", "max-age=31536000; includeSubDomains");
        (secure && self.tls(name).is_some()).then_some(header)
    }

    /// Whether a host has TLS, and by which certificate.
    fn tls(&self, host: &str) -> Option<&Option<Arc<HostCertificate>>> {
        let exact = self.hosts.iter().find(|(known, _)| known.eq_ignore_ascii_case(host));
        exact.or_else(|| self.hosts.iter().find(|(known, _)| covers(known, host))).map(|(_, found)| found)
    }
}

/// What is in force, shared between the component that hears of it and the server.
pub type SharedIngresses = Rc<RefCell<InForce>>;

/// Told of what is in force.
type Changed = Box<dyn Fn(&InForce)>;

/// Keeps [`SharedIngresses`] in step with the API, and writes addresses into statuses.
pub struct IngressController {
    client: Client,
    recorder: EventRecorder,
    ingresses: Informer<Ingress>,
    classes: Informer<IngressClass>,
    secrets: Informer<Secret>,
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
            secrets: Informer::new(&client, "", ListOptions::fields(format!("type={TLS_SECRET}"))),
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
    pub fn on_change(self, changed: impl Fn(&InForce) + 'static) -> Self {
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

    /// The hosts of an Ingress that have TLS, by ingress-nginx' rules (`createServers`): a host's Secret is that of the
    /// entry that names it, else of one whose certificate is for it.
    fn hosts(&self, ingress: &Ingress) -> Vec<(String, Option<Arc<HostCertificate>>)> {
        let Some(spec) = &ingress.spec else { return Vec::new() };
        let Some(tls) = spec.tls.as_deref().filter(|tls| !tls.is_empty()) else { return Vec::new() };
        let namespace = ingress.metadata.namespace.clone().unwrap_or_default();
        let read = |name: &Option<String>| {
            let key = ObjectKey::new(namespace.clone(), name.clone()?);
            HostCertificate::of(&*self.secrets.get(&key)?)
        };
        let hosts = spec.rules.iter().flatten().filter_map(|rule| rule.host.clone()).filter(|host| !host.is_empty());
        let with_certificate = hosts.map(|host| {
            let named = tls.iter().find(|entry| entry.hosts.iter().flatten().any(|name| *name == host));
            let found = match named {
                Some(entry) => read(&entry.secret_name),
                None => tls
                    .iter()
                    .find_map(|entry| read(&entry.secret_name).filter(|found| found.certificate.is_for(&host))),
            };
            let fits = found.filter(|found| found.certificate.names.contains(&host) || found.certificate.is_for(&host));
            (host, fits.map(Arc::new))
        });
        with_certificate.collect()
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
        for ingress in &self.shared.borrow().ingresses {
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
        let changed =
            !self.ingresses.poll(cx).is_empty() | !self.classes.poll(cx).is_empty() | !self.secrets.poll(cx).is_empty();
        if !self.classes.synced() || !self.ingresses.synced() || !self.secrets.synced() {
            return;
        }
        if !self.class_made {
            self.make_class();
            if !self.class_made {
                cx.wake_at(after(cx.now(), STATUS_INTERVAL));
            }
        }
        if changed {
            let mine: Vec<_> = self.ingresses.list().into_iter().filter(|ingress| self.is_mine(ingress)).collect();
            let hosts = mine.iter().flat_map(|ingress| self.hosts(ingress)).collect();
            *self.shared.borrow_mut() = InForce { ingresses: mine, hosts };
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

/// What is presented at the port of HTTPS.
pub fn presents(ingresses: SharedIngresses) -> Presents {
    let subject = format!("O={FAKE_ORGANIZATION}; CN={FAKE_NAME}");
    let fake = Rc::new(Certificate {
        issuer: subject.clone(),
        subject,
        names: vec![FAKE_HOST.into()],
        not_before: "20260101000000Z".into(),
        not_after: "20270101000000Z".into(),
    });
    Rc::new(move |host| {
        let found = ingresses.borrow().certificate(host).map(|found| Rc::new(found.certificate.clone()));
        Some(found.unwrap_or_else(|| fake.clone()))
    })
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
    /// To this address, over TLS, by 308.
    Redirect(String),
}

/// Where a request for a host's target goes, to one of a backend's pods by chance. `secure`: whether it came over TLS.
pub fn route(in_force: &InForce, tables: &Tables, host: &str, target: &str, secure: bool, random: u64) -> Route {
    let Some(found) = find(&in_force.ingresses, host, target) else { return Route::Nowhere(404) };
    let name = host.split(':').next().unwrap_or_default();
    if !secure && (found.force_redirect || found.redirect && in_force.tls(name).is_some()) {
        return Route::Redirect(format!("https://{name}{target}"));
    }
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
    /// Whether a host with TLS is asked for by nothing else, and whether any is.
    redirect: bool,
    force_redirect: bool,
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
    let secure = stream.info().tls.is_some();
    let found = route(&ingresses.borrow(), &tables.borrow(), &host, &request.target, secure, random);
    let (address, port) = match found {
        Route::To { address, port, target } => {
            request.target = target;
            (address, port)
        }
        Route::Nowhere(status) => return page(status),
        Route::Redirect(location) => {
            let mut response = page(308);
            response.headers.push(("Location".into(), location));
            return response;
        }
    };
    for (name, value) in forwarded(&client, &host, secure) {
        request.headers.push((name.into(), value.into()));
    }
    request.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("connection"));
    request.headers.push(("Connection".into(), "close".into()));
    let Ok(upstream) = interface.dial(address, port).await else { return page(502) };
    match http::fetch(&upstream, &request).await {
        Ok(mut response) => {
            response.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("connection"));
            if let Some((own, value)) = ingresses.borrow().transport_security(&host, secure) {
                response.headers.retain(|(name, _)| !name.eq_ignore_ascii_case(own));
                response.headers.push((own.to_owned(), value.to_owned()));
            }
            response
        }
        Err(_) => page(502),
    }
}

/// The headers that say to a pod for whom a request is.
pub fn forwarded<'a>(client: &'a str, host: &'a str, secure: bool) -> [(&'static str, &'a str); 6] {
    let (port, scheme) = if secure { ("443", "https") } else { ("80", "http") };
    [
        ("X-Real-IP", client),
        ("X-Forwarded-For", client),
        ("X-Forwarded-Host", host),
        ("X-Forwarded-Port", port),
        ("X-Forwarded-Proto", scheme),
        ("X-Scheme", scheme),
    ]
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
        let annotation = |key: &str| ingress.metadata.annotations.as_ref().and_then(|all| all.get(key));
        let rewrite = annotation(REWRITE);
        let redirect = annotation(SSL_REDIRECT).is_none_or(|value| value != "false");
        let force_redirect = annotation(FORCE_SSL_REDIRECT).is_some_and(|value| value == "true");
        let matched =
            |backend, target| Match { namespace: namespace.clone(), backend, target, redirect, force_redirect };
        for rule in spec.rules.iter().flatten() {
            let Some(rank) = host_rank(rule.host.as_deref().unwrap_or_default(), &host) else { continue };
            for entry in rule.http.iter().flat_map(|http| &http.paths) {
                let Some(asked) = path_target(entry, path, rewrite.map(String::as_str)) else { continue };
                let exact = entry.path_type == "Exact";
                let order = (rank, exact, entry.path.as_deref().unwrap_or("/").len());
                if best.as_ref().is_none_or(|(known, _)| order > *known) {
                    let target = format!("{asked}{query}");
                    best = Some((order, matched(entry.backend.clone(), target)));
                }
            }
        }
        if let (Some(backend), None) = (&spec.default_backend, &fallback) {
            fallback = Some(matched(backend.clone(), target.to_owned()));
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
