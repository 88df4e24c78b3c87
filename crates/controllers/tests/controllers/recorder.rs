//! The client's event recorder and leader elector on the real API server.
use std::time::Duration;

use client::{Client, Context, EventRecorder, EventType, LeaderElector};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Event, Namespace};
use machinery::ObjectKey;

use crate::world::World;

fn events(world: &World, reason: &str) -> Vec<std::sync::Arc<Event>> {
    let mut events = world.list::<Event>("default");
    events.retain(|event| event.reason.as_deref() == Some(reason));
    events
}

#[test]
fn alike_events_become_one() {
    let world = World::new(0);
    let namespace = world.get::<Namespace>("", "default");
    let mut recorder = EventRecorder::new(world.client.clone(), "test-controller", "host");
    for _ in 0..3 {
        recorder.event(world.now(), &*namespace, EventType::Warning, "Again", "the same");
    }
    let found = events(&world, "Again");
    assert_eq!((found.len(), found[0].count), (1, Some(3)));
    let source = found[0].source.clone().unwrap();
    assert_eq!((source.component.as_deref(), source.host.as_deref()), (Some("test-controller"), Some("host")));
    assert_eq!(found[0].reporting_component.as_deref(), Some("test-controller"));

    for number in 0..15 {
        recorder.event(world.now(), &*namespace, EventType::Normal, "Many", &format!("number {number}"));
    }
    let found = events(&world, "Many");
    assert_eq!(found.len(), 10, "nine of their own, and one that stands for the rest");
    let combined = found.iter().find(|event| event.count == Some(6)).unwrap();
    assert_eq!(combined.message.as_deref(), Some("(combined from similar events): number 14"));

    for number in 0..40 {
        recorder.event(world.now(), &*namespace, EventType::Normal, &format!("Flood{number}"), "");
    }
    assert_eq!(world.events("default").len(), 1 + 10 + 7, "an object may make 25 at once");
}

#[test]
fn one_candidate_leads_at_a_time() {
    let world = World::new(0);
    let lease = ObjectKey::new("kube-system", "test");
    let elector = |name: &str| LeaderElector::new(Client::new(world.wire.clone(), name), lease.clone(), name, name);
    let (mut first, mut second) = (elector("a"), elector("b"));
    let start = world.now();
    let poll = |elector: &mut LeaderElector, seconds: u64| {
        elector.poll(&mut Context::new(start + Duration::from_secs(seconds), std::task::Waker::noop()))
    };
    assert!(poll(&mut first, 0));
    assert!(!poll(&mut second, 0));
    assert!(poll(&mut first, 2) && !poll(&mut second, 2));
    // The first falls silent: it stops leading before the second may start.
    let leads = |elector: &LeaderElector, seconds: u64| elector.leads(start + Duration::from_secs(seconds));
    for seconds in (4..30).step_by(2) {
        assert!(!(poll(&mut second, seconds) && leads(&first, seconds)), "two leaders after {seconds} s");
    }
    assert!(leads(&second, 29) && !leads(&first, 29));
    let spec = world.get::<Lease>("kube-system", "test").spec.clone().unwrap();
    assert_eq!((spec.holder_identity.as_deref(), spec.lease_transitions), (Some("b"), Some(1)));
    assert!(!poll(&mut first, 30));
}
