//! The API server: from request to response, through the chain.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode};
use machinery::wire::{Body, Request, Response};
use machinery::{ApiError, GroupResource, Rng, Timestamp};
use store::{LeaseId, Store};

use crate::aggregated::{self, AggregatedApi};
use crate::auth::UserInfo;
use crate::auth::token::TokenSigner;
use crate::call::{Call, Result};
use crate::codec::{self, Payload};
use crate::managed_fields::Shapes;
use crate::metrics::{Labels, Metrics, Step};
use crate::negotiate::{Encoding, content_type, encode, negotiate};
use crate::options::Options;
use crate::registry::{self, ResourceInfo};
use crate::request_info::RequestInfo;
use crate::service_allocation::ServiceAllocation;
use crate::timers::Timers;
use crate::{
    connect, create, delete, discovery, health, list, metrics, openapi, openid, patch, read, reviews, subresources,
    token_request, update, warnings, watch,
};

/// The revision that a write made, among the extensions of its response: a host that writes the
/// store's journal answers once it is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommittedRevision(pub i64);

/// The API server: a handle, cheap to clone, usable from any thread.
#[derive(Clone)]
pub struct ApiServer(Arc<Inner>);

struct Inner {
    options: Options,
    rng: Mutex<Rng>,
    signer: TokenSigner,
    services: Mutex<ServiceAllocation>,
    timers: Timers,
    metrics: Metrics,
    /// What the components of the server's process count.
    component_metrics: machinery::Metrics,
    address: String,
    /// Watches that have begun.
    watches: AtomicU64,
    /// The newest lease of Events: its span of time, and its id.
    event_lease: Mutex<Option<(i64, LeaseId)>>,
    /// Documents that are made once, by their path.
    documents: Mutex<BTreeMap<String, discovery::Document>>,
    /// The fields of objects that were made.
    shapes: Mutex<Shapes>,
}

impl ApiServer {
    /// An API server on a store, whose objects may be there already. A new store needs
    /// [`ApiServer::bootstrap`].
    ///
    /// # Errors
    /// When the service CIDR is not an IPv4 block.
    pub fn new(options: Options) -> std::result::Result<Self, String> {
        let services = ServiceAllocation::new(&options)?;
        Ok(Self(Arc::new(Inner {
            rng: Mutex::new(Rng::new(options.seed)),
            signer: TokenSigner::new(signing_key(&options)),
            services: Mutex::new(services),
            timers: Timers::default(),
            metrics: Metrics::default(),
            component_metrics: machinery::Metrics::new(options.clock.clone()),
            address: format!("{}:{}", options.advertise_address, options.advertise_port),
            watches: AtomicU64::new(0),
            event_lease: Mutex::new(None),
            documents: Mutex::new(BTreeMap::new()),
            shapes: Mutex::default(),
            options,
        })))
    }

    /// Answers a request. What needs no node and has its body at hand is ready at the first poll.
    pub fn handle(&self, request: Request) -> impl Future<Output = Response> + Send + 'static {
        let server = self.clone();
        async move {
            let head = *request.method() == Method::HEAD;
            let revision = server.store().revision();
            let info =
                RequestInfo::parse(request.method(), request.uri().path(), request.uri().query().unwrap_or_default());
            let row = registry::by_resource(&info.group, &info.version, &info.resource);
            let labels = Labels::of(&info, row, content_type(request.headers()) == patch::APPLY);
            let (metrics, began) = (server.metrics(), server.now());
            let _in_flight = metrics.begin(labels);
            let mut response = server.serve(request, info, row).await;
            let duration = server.now().duration_since(began).unsigned_abs();
            metrics.end(labels, response.status(), duration, response.body());
            if head {
                *response.body_mut() = Body::empty();
            }
            // Upstream's filter WithCacheControl: nothing that is for one user is kept for another.
            let private = HeaderValue::from_static("no-cache, private");
            response.headers_mut().entry(CACHE_CONTROL).or_insert(private);
            let committed = server.store().revision();
            if committed != revision {
                response.extensions_mut().insert(CommittedRevision(committed));
            }
            response
        }
    }

    /// Whether whoever asks is known, and may ask for what a request's head says: a host need not read
    /// the body of any other request.
    pub fn admits(&self, head: &Parts) -> bool {
        let info = RequestInfo::parse(&head.method, head.uri.path(), head.uri.query().unwrap_or_default());
        let mut request = Request::from_parts(head.clone(), Body::empty());
        self.authenticate(&mut request).is_ok_and(|user| self.authorize(&user, &info).is_ok())
    }

    /// Does what the time brings: ends watches, sends bookmarks, lets Events expire. To be called as
    /// often as one likes, and at the time it gives; `driver` is woken when that becomes earlier.
    pub fn advance(&self, driver: &Waker) -> Option<Timestamp> {
        let now = self.now();
        self.0.timers.wake_until(now);
        self.store().expire_leases(now, &store::Origin::new("kube-apiserver"));
        self.0.timers.next(driver).into_iter().chain(self.store().next_lease_expiry()).min()
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.0.options.store
    }

    pub(crate) fn options(&self) -> &Options {
        &self.0.options
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.0.options.clock.now()
    }

    pub(crate) fn rng(&self) -> MutexGuard<'_, Rng> {
        self.0.rng.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What signs ServiceAccounts' tokens.
    pub(crate) fn signer(&self) -> &TokenSigner {
        &self.0.signer
    }

    pub(crate) fn services(&self) -> MutexGuard<'_, ServiceAllocation> {
        self.0.services.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn event_lease(&self) -> MutexGuard<'_, Option<(i64, LeaseId)>> {
        self.0.event_lease.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn documents(&self) -> MutexGuard<'_, BTreeMap<String, discovery::Document>> {
        self.0.documents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn shapes(&self) -> MutexGuard<'_, Shapes> {
        self.0.shapes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn aggregated(&self) -> impl Iterator<Item = &dyn AggregatedApi> {
        self.0.options.aggregated.iter().map(AsRef::as_ref)
    }

    /// What the components of the server's process count: shown at `/metrics`, with what it counts itself.
    pub fn component_metrics(&self) -> &machinery::Metrics {
        &self.0.component_metrics
    }

    /// The address and the port at which it is reached.
    pub fn address(&self) -> &str {
        &self.0.address
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// Counts steps of the chain.
    pub(crate) fn count(&self, steps: &[(Step, Duration)]) {
        self.metrics().steps(steps);
    }

    /// The number of a watch that begins: each has its own.
    pub(crate) fn next_watch(&self) -> u64 {
        self.0.watches.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn timers(&self) -> &Timers {
        &self.0.timers
    }

    async fn serve(&self, mut request: Request, info: RequestInfo, row: Option<&'static ResourceInfo>) -> Response {
        let since = |began| self.now().duration_since(began).unsigned_abs();
        let began = self.now();
        let user = self.authenticate(&mut request);
        self.count(&[(Step::Authentication(if user.is_ok() { "success" } else { "error" }), since(began))]);
        let user = match user {
            Ok(user) => user,
            Err(error) => return error.into_response(),
        };
        let began = self.now();
        let allowed = self.authorize(&user, &info);
        self.count(&[(Step::Authorization(if allowed.is_ok() { "allowed" } else { "denied" }), since(began))]);
        if let Err(reason) = allowed {
            return forbidden(&user, &info, &reason).into_response();
        }
        if !info.is_resource_request() {
            if info.path.starts_with("/playground/v1/")
                && let Some(control) = &self.0.options.control
            {
                request.extensions_mut().insert(user);
                return control.handle(request).await;
            }
            return self.non_resource(&info, request.headers());
        }
        if let Some(answer) = aggregated::answer(self, &info) {
            return answer.unwrap_or_else(ApiError::into_response);
        }
        let Some(row) = row else { return not_found_page() };
        let (parts, body) = request.into_parts();
        let origin = match parts.extensions.get::<machinery::wire::Origin>() {
            Some(origin) => store::Origin {
                writer: origin.writer.clone(),
                key: origin.key.clone(),
                cause: i64::try_from(origin.cause).unwrap_or_default(),
            },
            None => store::Origin::default(),
        };
        let mut call = Call {
            server: self.clone(),
            headers: parts.headers,
            user,
            row,
            origin,
            from_component: parts.extensions.get::<machinery::wire::Origin>().is_some(),
            now: self.now(),
            applied: None,
            scales: false,
            warnings: row.deprecation.iter().map(ToString::to_string).collect(),
            info,
        };
        if call.origin.writer.is_empty() {
            call.origin.writer = call.field_manager().into();
        }
        let subresource = call.info.subresource.clone();
        if !subresource.is_empty() && row.subresource(&subresource).is_none() {
            return not_found_page();
        }
        if connect::is_connection(&subresource) {
            return match connect::prepare(&mut call, parts.method, body) {
                Ok(answer) => answer.await,
                Err(error) => refusal(&call, error),
            };
        }
        if row.namespaced && call.info.namespace.is_empty() && !call.info.name.is_empty() {
            return not_found_page();
        }
        // Routes are GET's, and no more than that.
        if !matches!(parts.method, Method::GET | Method::POST | Method::PUT | Method::PATCH | Method::DELETE) {
            return refusal(&call, ApiError::wrong_method());
        }
        let mut payload = Payload::read(body).await;
        let answer = dispatch(&mut call, &mut payload);
        finish(&call, answer)
    }

    fn non_resource(&self, info: &RequestInfo, headers: &HeaderMap) -> Response {
        let answer = health::answer(self, info)
            .or_else(|| metrics::answer(self, info))
            .or_else(|| openid::answer(self, info))
            .or_else(|| discovery::answer(self, info, headers))
            .or_else(|| openapi::answer(self, info, headers));
        answer.unwrap_or_else(not_found_page)
    }
}

/// Which function answers which verb of which subresource.
fn dispatch(call: &mut Call, payload: &mut Payload) -> Result<Response> {
    let (verb, subresource) = (call.info.verb.clone(), call.info.subresource.clone());
    if !supports(call, &verb, &subresource) {
        return Err(ApiError::wrong_method());
    }
    if matches!(verb.as_str(), "create" | "update" | "patch") {
        if verb == "patch" {
            patch::check_content_type(call)?;
        }
        call.check_field_manager()?;
        call.dry_run()?;
        codec::field_validation(call)?;
    }
    if !call.row.is_stored() {
        return reviews::answer(call, payload);
    }
    match (verb.as_str(), subresource.as_str()) {
        ("get", "") => read::get(call),
        ("list", "") => list::list(call),
        ("watch", "") => watch::watch(call),
        ("create", "") => create::create(call, payload),
        ("delete", "") => delete::delete(call, payload),
        ("deletecollection", "") => delete::delete_collection(call, payload),
        ("get", "scale") => subresources::get_scale(call),
        ("update" | "patch", "scale") => subresources::update_scale(call, payload),
        ("create", "binding") => subresources::bind(call, payload),
        ("create", "token") => token_request::create(call, payload),
        ("create", "eviction") => subresources::evict(call, payload),
        ("get", _) => read::get(call),
        ("update", _) => update::update(call, payload),
        ("patch", _) => patch::patch(call, payload),
        _ => Err(ApiError::method_not_supported(&call.resource(), &verb)),
    }
}

fn supports(call: &Call, verb: &str, subresource: &str) -> bool {
    let verbs = match subresource {
        "" => call.row.verbs,
        name => call.row.subresource(name).map_or(&[][..], |row| row.verbs),
    };
    // Of all namespaces' objects there is no more than a list.
    if call.row.namespaced && call.info.namespace.is_empty() && !matches!(verb, "list" | "watch") {
        return false;
    }
    // A name belongs to an object's verbs, and only to them.
    let named = !call.info.name.is_empty();
    verbs.contains(&verb) && named == (matches!(verb, "get" | "update" | "patch" | "delete") || !subresource.is_empty())
}

/// Puts the warnings on, and errors into their Status.
fn finish(call: &Call, answer: Result<Response>) -> Response {
    let mut response = answer.unwrap_or_else(|error| refusal(call, error));
    warnings::write(&call.warnings, response.headers_mut());
    response
}

/// An error in the encoding the client wants; JSON if it accepts none that there is.
fn refusal(call: &Call, error: ApiError) -> Response {
    let mut response = error.clone().into_response();
    if let Ok(representation) = negotiate(&call.headers, read::pretty(call))
        && representation.encoding != Encoding::Json
    {
        let (bytes, content_type) = encode(error.to_bytes(), representation.encoding);
        *response.body_mut() = Body::Bytes(bytes);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    response
}

/// An answer with a body of a content type.
pub(crate) fn response(code: StatusCode, content_type: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// 404 as upstream answers paths it does not know: plain text, which clients read as "could not find
/// the requested resource".
fn not_found_page() -> Response {
    let mut response = response(
        StatusCode::NOT_FOUND,
        "text/plain; charset=utf-8",
        Body::Bytes(Bytes::from_static(b"404 page not found\n")),
    );
    response
        .headers_mut()
        .insert(HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));
    response
}

/// The key that signs tokens: the host's, or one of the seed's.
fn signing_key(options: &Options) -> [u8; 32] {
    options.service_account_key.unwrap_or_else(|| {
        let mut bytes = [0; 32];
        // A stream of its own: names and uids stay what they are.
        Rng::new(!options.seed).fill(&mut bytes);
        bytes
    })
}

/// 403 in upstream's words (`responsewriters.Forbidden`).
pub(crate) fn forbidden(user: &UserInfo, info: &RequestInfo, reason: &str) -> ApiError {
    let quote = machinery::go::quote;
    let mut error = format!("User {} cannot {} ", quote(&user.username), info.verb);
    if info.is_resource_request() {
        let resource = match info.subresource.as_str() {
            "" => info.resource.clone(),
            subresource => format!("{}/{subresource}", info.resource),
        };
        error += &format!("resource {} in API group {}", quote(&resource), quote(&info.group));
        error += &match info.namespace.as_str() {
            "" => " at the cluster scope".to_owned(),
            namespace => format!(" in the namespace {}", quote(namespace)),
        };
    } else {
        error += &format!("path {}", quote(&info.path));
    }
    if !reason.is_empty() {
        error += &format!(": {reason}");
    }
    let resource = GroupResource { group: info.group.clone(), resource: info.resource.clone() };
    ApiError::forbidden(&resource, &info.name_asked(), error)
}
