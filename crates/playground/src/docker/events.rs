//! What happens in Docker without having been asked for, and Docker's own coming and going.

use std::sync::Arc;
use std::time::Duration;

use bollard::models::EventMessage;
use bollard::query_parameters::EventsOptionsBuilder;
use futures::StreamExt;
use kubelet::runtime::{ContainerState, Event, SandboxState};

use super::connection::explain;
use super::containers;
use super::engine::Engine;
use super::names;
use super::own;
use super::sandbox;

/// How long to wait before Docker is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Follows Docker's events until the runtime is dropped. When they end, Docker has gone away: it is
/// tried until it answers, and then the kubelet lists anew.
pub async fn watch(engine: Arc<Engine>) {
    loop {
        let mut filters = engine.filters(names::CONTAINER);
        // Sandboxes too: the filter for the type is taken out.
        filters.entry("label".into()).or_default().retain(|label| !label.starts_with(names::TYPE));
        filters.insert("type".into(), vec!["container".into()]);
        let options = EventsOptionsBuilder::new().filters(&filters).build();
        let mut events = engine.docker.events(Some(options)).boxed();
        let why = loop {
            match events.next().await {
                Some(Ok(event)) => happened(&engine, event).await,
                Some(Err(error)) => break explain(&error),
                None => break "Docker closed the connection".to_string(),
            }
        };
        drop(events);
        engine.docker_is_gone(&why);
        loop {
            tokio::time::sleep(RETRY).await;
            if engine.prepare().await.is_ok() {
                break;
            }
        }
        engine.found();
    }
}

async fn happened(engine: &Engine, event: EventMessage) {
    let action = event.action.unwrap_or_default();
    let actor = event.actor.unwrap_or_default();
    let Some(id) = actor.id else { return };
    let attributes = actor.attributes.unwrap_or_default();
    let kind = attributes.get(names::TYPE).map(String::as_str).unwrap_or_default();
    // Ends with its node's power: the kubelet hears of nothing, and finds all of it at once when there is power again.
    if engine.is_off() && kind != own::NODE {
        if action == "die" && kind == names::SANDBOX {
            engine.network.leave(&id);
        }
        return;
    }
    match (action.as_str(), kind) {
        ("die", own::NODE) => engine.power_off().await,
        ("start", own::NODE) => engine.power_on().await,
        // Told by the operation that started it.
        ("start", names::CONTAINER) if engine.started().remove(&id) => {}
        ("die" | "start", names::CONTAINER) => {
            // One that is gone already tells so itself.
            if let Ok(status) = containers::status(engine, &id).await {
                // A start that is over by now will be told as the end it came to.
                let stale = action == "die" && status.state == ContainerState::Running;
                if !stale {
                    engine.tell(Event::ContainerChanged(Box::new(status)));
                }
            }
        }
        ("destroy", names::CONTAINER) => {
            engine.take(&id);
            engine.tell(Event::ContainerRemoved { container_id: id });
        }
        ("die", names::SANDBOX) => {
            engine.network.leave(&id);
            if let Ok(status) = sandbox::status(engine, &id).await {
                engine.tell(Event::SandboxChanged(status));
            }
        }
        ("destroy", names::SANDBOX) => {
            let attribute = |key: &str| attributes.get(key).cloned().unwrap_or_default();
            engine.tell(Event::SandboxChanged(kubelet::runtime::SandboxStatus {
                id,
                pod_name: attribute(names::POD_NAME),
                pod_namespace: attribute(names::POD_NAMESPACE),
                pod_uid: attribute(names::POD_UID),
                attempt: attribute(names::ATTEMPT).parse().unwrap_or_default(),
                state: SandboxState::NotReady,
                ..kubelet::runtime::SandboxStatus::default()
            }));
        }
        _ => {}
    }
}
