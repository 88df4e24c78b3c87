//! List, then watch, for ever: what client-go calls a reflector.

use std::rc::Rc;

use futures::StreamExt;
use gloo::timers::future::TimeoutFuture;
use playground_lesson::RESOURCES;
use serde_json::Value;

use super::object::text;
use super::{Object, World};
use crate::api::{Api, ApiError, Call};

/// How long to wait before asking again after a failure.
const RETRY_MS: u32 = 1_000;
/// How often lists are asked for where watches would use up the browser's connections.
const POLL_MS: u32 = 2_000;

impl World {
    /// Keeps every watched resource current, until the page goes or [`World::leave`].
    pub fn follow(self: &Rc<Self>, api: &Api) {
        for (resource, path) in RESOURCES {
            let (world, api) = (Rc::clone(self), api.clone());
            self.following.start(async move {
                loop {
                    let outcome = world.list_and_watch(&api, resource, path).await;
                    world.set_connected(outcome.is_ok());
                    if outcome.is_err() {
                        TimeoutFuture::new(RETRY_MS).await;
                    }
                }
            });
        }
    }

    /// One list and the watch from it. Returns when the watch ended: then a new list is due.
    async fn list_and_watch(&self, api: &Api, resource: &'static str, path: &str) -> Result<(), ApiError> {
        let mut list = api.json(Call::get(path)).await?;
        let version = text(&list, "/metadata/resourceVersion").to_owned();
        let items = match list.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => items.into_iter().map(Object).collect(),
            _ => Vec::new(),
        };
        self.change(|snapshot| snapshot.replace(resource, items));
        self.set_connected(true);

        if resource != "pods" && !api.many_streams() {
            TimeoutFuture::new(POLL_MS).await;
            return Ok(());
        }
        let watch = format!("{path}?watch=true&allowWatchBookmarks=true&resourceVersion={version}");
        let answer = api.send(Call::get(watch)).await?;
        if answer.status != 200 {
            return Err(ApiError(format!("watch of {resource}: HTTP {}", answer.status)));
        }
        let mut lines = answer.lines();
        while let Some(line) = lines.next().await {
            let Ok(mut event) = serde_json::from_slice::<Value>(&line) else { break };
            let object = Object(event.get_mut("object").map(Value::take).unwrap_or_default());
            match event.get("type").and_then(Value::as_str).unwrap_or_default() {
                "ADDED" | "MODIFIED" => self.change(|snapshot| snapshot.put(resource, object)),
                "DELETED" => self.change(|snapshot| snapshot.remove(resource, &object.key())),
                "BOOKMARK" => {}
                _ => break,
            }
        }
        // A watch that ends at once, time after time, must not become a busy loop.
        TimeoutFuture::new(50).await;
        Ok(())
    }
}
