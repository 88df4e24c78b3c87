//! As much of an API server as a kubelet sees.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use client::Transport;
use futures::channel::mpsc;
use http::Method;
use machinery::wire::{Body, List, Request, Response, WatchEvent, WatchEventType};
use machinery::{ApiError, Encoded, GroupResource};
use serde_json::Value;

#[derive(Default)]
pub struct FakeApi {
    /// Objects by collection and name.
    objects: RefCell<BTreeMap<(String, String), Value>>,
    watchers: RefCell<Vec<mpsc::UnboundedSender<WatchEvent>>>,
    revision: Cell<u64>,
    pub down: Cell<bool>,
    pub writes: Cell<usize>,
}

impl FakeApi {
    /// Creates or replaces an object.
    pub fn put(&self, collection: &str, name: &str, mut object: Value) -> Value {
        self.revision.set(self.revision.get() + 1);
        object["metadata"]["resourceVersion"] = self.revision.get().to_string().into();
        let key = (collection.to_string(), name.to_string());
        let old = self.objects.borrow_mut().insert(key, object.clone());
        let kind = if old.is_some() { WatchEventType::Modified } else { WatchEventType::Added };
        self.tell(collection, kind, &object);
        object
    }

    pub fn find(&self, collection: &str, name: &str) -> Option<Value> {
        self.objects.borrow().get(&(collection.to_string(), name.to_string())).cloned()
    }

    pub fn list(&self, collection: &str) -> Vec<Value> {
        let objects = self.objects.borrow();
        objects.iter().filter(|((at, _), _)| at == collection).map(|(_, object)| object.clone()).collect()
    }

    /// Deletes at once, as with grace period 0.
    pub fn remove(&self, collection: &str, name: &str) {
        let old = self.objects.borrow_mut().remove(&(collection.to_string(), name.to_string()));
        if let Some(old) = old {
            self.tell(collection, WatchEventType::Deleted, &old);
        }
    }

    /// Asks for a pod's deletion, as `kubectl delete pod`.
    pub fn delete_pod(&self, name: &str, now: machinery::Timestamp, grace: i64) {
        let collection = "/api/v1/namespaces/default/pods";
        let mut pod = self.find(collection, name).unwrap();
        let end = now + std::time::Duration::from_secs(u64::try_from(grace).unwrap());
        pod["metadata"]["deletionTimestamp"] = machinery::time::format_seconds(end).into();
        pod["metadata"]["deletionGracePeriodSeconds"] = grace.into();
        self.put(collection, name, pod);
    }

    fn tell(&self, collection: &str, kind: WatchEventType, object: &Value) {
        if collection.ends_with("/pods") {
            let object = Encoded::from_bytes(object.to_string().into());
            self.watchers
                .borrow_mut()
                .retain(|watcher| watcher.unbounded_send(WatchEvent { kind, object: object.clone() }).is_ok());
        }
    }

    fn answer(&self, method: &Method, path: &str, query: &str, body: &Body) -> Result<Body, ApiError> {
        if self.down.get() {
            return Err(ApiError::service_unavailable("connection refused"));
        }
        let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
        let namespaced = segments.get(2).or(segments.get(3)) == Some(&"namespaces") || segments.contains(&"namespaces");
        let position = segments.iter().position(|segment| *segment == "namespaces");
        let resource = if namespaced {
            position.unwrap_or_default() + 2
        } else if segments[0] == "api" {
            2
        } else {
            3
        };
        let collection = format!("/{}", segments[..=resource].join("/"));
        let name = segments.get(resource + 1).copied().unwrap_or_default();
        let subresource = segments.get(resource + 2).copied().unwrap_or_default();
        let not_found = || {
            let resource = GroupResource { group: String::new(), resource: segments[resource].into() };
            ApiError::not_found(&resource, name)
        };
        let object = |value: Value| Body::Object(Encoded::from_bytes(value.to_string().into()));
        if *method == Method::GET {
            if !name.is_empty() {
                return self.find(&collection, name).map(object).ok_or_else(not_found);
            }
            if query.contains("watch=true") || query.contains("watch=1") {
                let (sender, receiver) = mpsc::unbounded();
                self.watchers.borrow_mut().push(sender);
                return Ok(Body::Watch(Box::pin(receiver)));
            }
            let all = self.objects.borrow();
            let items = all.iter().filter(|((at, _), _)| {
                let last = at.rsplit('/').next();
                *at == collection || (!namespaced && last == Some(segments[resource]))
            });
            return Ok(Body::List(List {
                api_version: "v1".into(),
                kind: "List".into(),
                resource_version: self.revision.get().to_string(),
                continue_token: String::new(),
                remaining_item_count: None,
                items: items.map(|(_, item)| Encoded::from_bytes(item.to_string().into())).collect(),
            }));
        }
        self.writes.set(self.writes.get() + 1);
        let mut value = match body {
            Body::Object(object) => object.value().unwrap(),
            Body::Bytes(bytes) => serde_json::from_slice(bytes).unwrap_or_default(),
            other => panic!("{other:?}"),
        };
        match method.as_str() {
            "POST" => {
                let name = value["metadata"]["name"].as_str().unwrap_or_default().to_string();
                if self.find(&collection, &name).is_some() {
                    let resource = GroupResource { group: String::new(), resource: segments[resource].into() };
                    return Err(ApiError::already_exists(&resource, &name));
                }
                value["metadata"]["uid"] = format!("uid-{name}").into();
                Ok(object(self.put(&collection, &name, value)))
            }
            "PUT" => {
                let old = self.find(&collection, name).ok_or_else(not_found)?;
                if old["metadata"]["resourceVersion"] != value["metadata"]["resourceVersion"] {
                    let resource = GroupResource { group: String::new(), resource: segments[resource].into() };
                    return Err(ApiError::modified(&resource, name));
                }
                if subresource == "status" {
                    let mut merged = old;
                    merged["status"] = value["status"].take();
                    value = merged;
                }
                Ok(object(self.put(&collection, name, value)))
            }
            "PATCH" => {
                let mut old = self.find(&collection, name).ok_or_else(not_found)?;
                for (key, field) in value.as_object().into_iter().flatten() {
                    old[key] = field.clone();
                }
                Ok(object(self.put(&collection, name, old)))
            }
            _ => {
                self.find(&collection, name).ok_or_else(not_found)?;
                self.remove(&collection, name);
                Ok(Body::empty())
            }
        }
    }
}

impl Transport for FakeApi {
    fn send(&self, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        match self.answer(&parts.method, parts.uri.path(), parts.uri.query().unwrap_or_default(), &body) {
            Ok(body) => http::Response::new(body),
            Err(error) => error.into_response(),
        }
    }
}
