//! The typed client.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use machinery::status::ApiError;
use machinery::wire::{Body, Origin, Request, Response, WatchStream};
use machinery::{Encoded, Kind, Metrics, ObjectKey, Timestamp};
use serde_json::{Value, json};

use crate::options::{DeleteOptions, ListOptions, Patch};
use crate::resource::{is_namespaced, path_of};
use crate::transport::Transport;

/// A component's client. Clones are one component to the server: they share its name and its [`Origin`].
///
/// Every call answers at once, with the object as it now is, or with the [`ApiError`] that Kubernetes
/// would answer. Objects cross over as they are, shared and not encoded.
#[derive(Clone)]
pub struct Client {
    transport: Rc<dyn Transport>,
    user_agent: HeaderValue,
    origin: Rc<RefCell<Origin>>,
}

/// A list: typed items and the revision they were read at.
#[derive(Clone, Debug)]
pub struct ObjectList<K> {
    /// The revision to watch from.
    pub resource_version: String,
    /// Token of the next chunk; empty on the last.
    pub continue_token: String,
    /// The items, in key order.
    pub items: Vec<Arc<K>>,
}

impl Client {
    /// A client of the component with this name, which is its user agent and field manager too,
    /// unless [`Client::with_user_agent`] says otherwise.
    pub fn new(transport: Rc<dyn Transport>, component: &str) -> Self {
        let user_agent = HeaderValue::from_str(component).unwrap_or_else(|_| HeaderValue::from_static("component"));
        let origin = Origin { writer: component.into(), ..Origin::default() };
        Self { transport, user_agent, origin: Rc::new(RefCell::new(origin)) }
    }

    /// The same client under another user agent: the process's name, where several components of one
    /// process write. It is the manager of the fields they write.
    #[must_use]
    pub fn with_user_agent(mut self, user_agent: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(user_agent) {
            self.user_agent = value;
        }
        self
    }

    /// A client of another component over the same transport.
    pub fn named(&self, component: &str) -> Self {
        Self::new(self.transport.clone(), component)
    }

    /// The component's name.
    pub fn component(&self) -> Arc<str> {
        self.origin.borrow().writer.clone()
    }

    /// Where the component's process counts, if it does.
    pub fn metrics(&self) -> Option<&Metrics> {
        self.transport.metrics()
    }

    /// What the component works at from now on: the key it processes, and the revision whose event
    /// made it do so (0 for none). Later writes carry both.
    pub fn set_cause(&self, key: &str, revision: u64) {
        let mut origin = self.origin.borrow_mut();
        if &*origin.key != key {
            origin.key = key.into();
        }
        origin.cause = revision;
    }

    /// Creates the object, in the namespace its metadata names.
    ///
    /// # Errors
    /// What the server answers: AlreadyExists, Invalid, Forbidden, …
    pub fn create<K: Kind>(&self, object: K) -> Result<Arc<K>, ApiError> {
        let path = path_of::<K>(object.metadata().namespace.as_deref().unwrap_or_default(), "", "");
        self.object(Method::POST, &path, whole(object))
    }

    /// Reads an object. A cluster-scoped kind ignores the key's namespace.
    ///
    /// # Errors
    /// NotFound, or what else the server answers.
    pub fn get<K: Kind>(&self, key: &ObjectKey) -> Result<Arc<K>, ApiError> {
        self.object(Method::GET, &path_of::<K>(&key.namespace, &key.name, ""), Body::empty())
    }

    /// Lists a namespace, or everything where `namespace` is empty.
    ///
    /// # Errors
    /// What the server answers; 410 Expired for a revision or a token that is compacted.
    pub fn list<K: Kind>(&self, namespace: &str, options: &ListOptions) -> Result<ObjectList<K>, ApiError> {
        let path = with_query(path_of::<K>(namespace, "", ""), &options.query(false));
        let list = self.list_path(&path)?;
        let items = list.items.iter().map(|item| item.get::<K>().map_err(|e| unreadable(&e)));
        Ok(ObjectList {
            items: items.collect::<Result<_, _>>()?,
            resource_version: list.resource_version,
            continue_token: list.continue_token,
        })
    }

    /// Watches a namespace, or everything where `namespace` is empty.
    ///
    /// # Errors
    /// What the server answers before the first event. Later errors are events of the watch.
    pub fn watch<K: Kind>(&self, namespace: &str, options: &ListOptions) -> Result<WatchStream, ApiError> {
        self.watch_path(&path_of::<K>(namespace, "", ""), options)
    }

    /// Replaces an object.
    ///
    /// # Errors
    /// Conflict when the object's resourceVersion is not the newest; else what the server answers.
    pub fn update<K: Kind>(&self, object: K) -> Result<Arc<K>, ApiError> {
        self.replace(object, "")
    }

    /// Replaces an object's status.
    ///
    /// # Errors
    /// As [`Client::update`].
    pub fn update_status<K: Kind>(&self, object: K) -> Result<Arc<K>, ApiError> {
        self.replace(object, "status")
    }

    /// Replaces through a subresource such as `approval` or `finalize`; `""` is the object itself.
    ///
    /// # Errors
    /// As [`Client::update`].
    pub fn replace<K: Kind>(&self, object: K, subresource: &str) -> Result<Arc<K>, ApiError> {
        let metadata = object.metadata();
        let namespace = metadata.namespace.as_deref().unwrap_or_default();
        let path = path_of::<K>(namespace, metadata.name.as_deref().unwrap_or_default(), subresource);
        self.object(Method::PUT, &path, whole(object))
    }

    /// Patches an object.
    ///
    /// # Errors
    /// What the server answers: NotFound, Invalid, Conflict, …
    pub fn patch<K: Kind>(&self, key: &ObjectKey, patch: &Patch) -> Result<Arc<K>, ApiError> {
        self.patch_subresource(key, "", patch)
    }

    /// Patches an object's status.
    ///
    /// # Errors
    /// As [`Client::patch`].
    pub fn patch_status<K: Kind>(&self, key: &ObjectKey, patch: &Patch) -> Result<Arc<K>, ApiError> {
        self.patch_subresource(key, "status", patch)
    }

    fn patch_subresource<K: Kind>(&self, key: &ObjectKey, sub: &str, patch: &Patch) -> Result<Arc<K>, ApiError> {
        let response = self.patch_path(&path_of::<K>(&key.namespace, &key.name, sub), patch)?;
        decode(response)
    }

    /// Deletes an object. It may stay a while, for its grace period or its finalizers.
    ///
    /// # Errors
    /// NotFound, Conflict when a precondition does not hold, or what else the server answers.
    pub fn delete<K: Kind>(&self, key: &ObjectKey, options: &DeleteOptions) -> Result<(), ApiError> {
        self.delete_path(&path_of::<K>(&key.namespace, &key.name, ""), options)
    }

    /// Evicts a pod, which disruption budgets may refuse with 429 TooManyRequests.
    ///
    /// # Errors
    /// NotFound, TooManyRequests, or what else the server answers.
    pub fn evict(&self, pod: &ObjectKey, options: &DeleteOptions) -> Result<(), ApiError> {
        let path = path_of::<k8s_openapi::api::core::v1::Pod>(&pod.namespace, &pod.name, "eviction");
        let eviction = json!({
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": { "name": pod.name, "namespace": pod.namespace },
            "deleteOptions": options.to_value(),
        });
        self.send(Method::POST, &path, "application/json", json_body(&eviction)).map(drop)
    }

    /// Binds a pod to a node.
    ///
    /// # Errors
    /// NotFound, Conflict when the pod is bound already, or what else the server answers.
    pub fn bind(&self, pod: &ObjectKey, uid: &str, node: &str) -> Result<(), ApiError> {
        let path = path_of::<k8s_openapi::api::core::v1::Pod>(&pod.namespace, &pod.name, "binding");
        let binding = json!({
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": { "name": pod.name, "namespace": pod.namespace, "uid": uid },
            "target": { "apiVersion": "v1", "kind": "Node", "name": node },
        });
        self.send(Method::POST, &path, "application/json", json_body(&binding)).map(drop)
    }

    /// Lists what stands at a path, untyped.
    ///
    /// # Errors
    /// What the server answers.
    pub fn list_path(&self, path_and_query: &str) -> Result<UntypedList, ApiError> {
        let response = self.send(Method::GET, path_and_query, "", Body::empty())?;
        UntypedList::read(response.into_body())
    }

    /// Watches what stands at a path, untyped.
    ///
    /// # Errors
    /// What the server answers before the first event.
    pub fn watch_path(&self, path: &str, options: &ListOptions) -> Result<WatchStream, ApiError> {
        let path = with_query(path.into(), &options.query(true));
        match self.send(Method::GET, &path, "", Body::empty())?.into_body() {
            Body::Watch(events) => Ok(events),
            other => Err(ApiError::internal(format!("the answer to a watch is no watch: {other:?}"))),
        }
    }

    /// Patches what stands at a path, untyped.
    ///
    /// # Errors
    /// What the server answers.
    pub fn patch_path(&self, path: &str, patch: &Patch) -> Result<Body, ApiError> {
        let path = with_query(path.into(), &patch.query(self.user_agent.to_str().unwrap_or_default()));
        self.send(Method::PATCH, &path, patch.content_type(), Body::Bytes(patch.body())).map(Response::into_body)
    }

    /// Deletes what stands at a path: an object, or a collection with the query it may carry.
    ///
    /// # Errors
    /// What the server answers.
    pub fn delete_path(&self, path: &str, options: &DeleteOptions) -> Result<(), ApiError> {
        let body = if *options == DeleteOptions::default() { Body::empty() } else { json_body(&options.to_value()) };
        self.send(Method::DELETE, path, "application/json", body).map(drop)
    }

    /// Reads what stands at a path as a JSON tree: discovery, a custom resource.
    ///
    /// # Errors
    /// What the server answers.
    pub fn get_path(&self, path: &str) -> Result<Value, ApiError> {
        let body = self.send(Method::GET, path, "", Body::empty())?.into_body();
        match body {
            Body::Object(object) => object.value().map_err(|e| unreadable(&e)),
            Body::List(list) => serde_json::from_slice(&list.to_bytes()).map_err(|e| unreadable(&e)),
            Body::Bytes(bytes) => serde_json::from_slice(&bytes).map_err(|e| unreadable(&e)),
            other => Err(ApiError::internal(format!("the answer to a get is no object: {other:?}"))),
        }
    }

    /// Reads the metadata of what stands at a path, whatever it is.
    ///
    /// # Errors
    /// What the server answered.
    pub fn get_metadata(&self, path: &str) -> Result<ObjectMeta, ApiError> {
        let object = match self.send(Method::GET, path, "", Body::empty())?.into_body() {
            Body::Object(object) => object,
            Body::Bytes(bytes) => Encoded::from_bytes(bytes),
            other => return Err(ApiError::internal(format!("the answer to a get is no object: {other:?}"))),
        };
        if let Some(object) = object.object() {
            return Ok(object.metadata().clone());
        }
        let mut value = object.value().map_err(|e| unreadable(&e))?;
        machinery::object::from_value(value["metadata"].take()).map_err(|e| unreadable(&e))
    }

    fn object<K: Kind>(&self, method: Method, path: &str, body: Body) -> Result<Arc<K>, ApiError> {
        decode(self.send(method, path, "application/json", body)?.into_body())
    }

    /// Sends a request and turns every answer of 400 and above into its error.
    ///
    /// # Errors
    /// The Status the server answered.
    pub fn send(
        &self,
        method: Method,
        path_and_query: &str,
        content_type: &'static str,
        body: Body,
    ) -> Result<Response, ApiError> {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = path_and_query
            .parse()
            .map_err(|error| ApiError::bad_request(format!("the path {path_and_query:?} is not one: {error}")))?;
        let headers = request.headers_mut();
        headers.insert(http::header::USER_AGENT, self.user_agent.clone());
        if !content_type.is_empty() {
            headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        request.extensions_mut().insert(self.origin.borrow().clone());
        let response = self.transport.send(request);
        if response.status().as_u16() < 400 { Ok(response) } else { Err(error_of(response)) }
    }
}

/// The time an object was created, if the server has filled it in.
pub fn creation_time<K: Kind>(object: &K) -> Option<Timestamp> {
    object.metadata().creation_timestamp.as_ref().map(|time| time.0)
}

/// An object's key: its namespace, empty for cluster-scoped kinds, and its name.
pub fn key_of<K: Kind>(object: &K) -> ObjectKey {
    let metadata = object.metadata();
    let namespace = if is_namespaced::<K>() { metadata.namespace.clone().unwrap_or_default() } else { String::new() };
    ObjectKey { namespace, name: metadata.name.clone().unwrap_or_default() }
}

/// A list whose items are not decoded yet.
pub struct UntypedList {
    /// The revision to watch from.
    pub resource_version: String,
    /// Token of the next chunk; empty on the last.
    pub continue_token: String,
    /// The items, in key order.
    pub items: Vec<Encoded>,
}

impl UntypedList {
    fn read(body: Body) -> Result<Self, ApiError> {
        let bytes = match body {
            Body::List(list) => {
                return Ok(Self {
                    resource_version: list.resource_version,
                    continue_token: list.continue_token,
                    items: list.items,
                });
            }
            Body::Bytes(bytes) => bytes,
            Body::Object(object) => object.bytes().clone(),
            other => return Err(ApiError::internal(format!("the answer to a list is no list: {other:?}"))),
        };
        let mut list: Value = serde_json::from_slice(&bytes).map_err(|e| unreadable(&e))?;
        let text = |pointer: &str| list.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (resource_version, continue_token) = (text("/metadata/resourceVersion"), text("/metadata/continue"));
        let items = match list.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => items,
            _ => Vec::new(),
        };
        let items = items.iter().map(|item| Encoded::from_bytes(serde_json::to_vec(item).unwrap_or_default().into()));
        Ok(Self { resource_version, continue_token, items: items.collect() })
    }
}

fn whole<K: Kind>(object: K) -> Body {
    Body::Object(Encoded::from_object(Arc::new(object)))
}

fn json_body(value: &Value) -> Body {
    Body::Bytes(Bytes::from(serde_json::to_vec(value).unwrap_or_default()))
}

fn with_query(path: String, query: &str) -> String {
    if query.is_empty() { path } else { format!("{path}?{query}") }
}

fn decode<K: Kind>(body: Body) -> Result<Arc<K>, ApiError> {
    let object = match body {
        Body::Object(object) => object,
        Body::Bytes(bytes) => Encoded::from_bytes(bytes),
        other => return Err(ApiError::internal(format!("the answer is no object: {other:?}"))),
    };
    object.get().map_err(|error| unreadable(&error))
}

fn unreadable(error: &serde_json::Error) -> ApiError {
    ApiError::internal(format!("the server's answer cannot be read: {error}"))
}

/// The error in an answer, or one made of its HTTP status where the body is no Status.
fn error_of(response: Response) -> ApiError {
    let code = response.status();
    let bytes = match response.into_body() {
        Body::Bytes(bytes) => bytes,
        Body::Object(object) => object.bytes().clone(),
        _ => Bytes::new(),
    };
    ApiError::from_answer(code, &bytes)
}
