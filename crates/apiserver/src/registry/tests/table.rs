//! The table itself.

use std::collections::BTreeSet;

use super::super::{all, by_kind, by_resource, by_short_name};

#[test]
fn rows_are_found_by_every_name() {
    assert_eq!(by_resource("apps", "v1", "deployments").unwrap().kind, "Deployment");
    assert_eq!(by_kind("", "v1", "Pod").unwrap().resource, "pods");
    assert_eq!(by_short_name("po").unwrap().resource, "pods");
    assert_eq!(by_short_name("Service").unwrap().resource, "services");
    assert_eq!(by_short_name("ev").unwrap().group, "");
    assert!(by_short_name("nothing").is_none());
    assert!(by_resource("apps", "v2", "deployments").is_none());
}

#[test]
fn rows_have_names_of_their_own() {
    let mut seen = BTreeSet::new();
    for row in all() {
        assert!(seen.insert((row.group, row.version, row.resource)), "{} twice", row.resource);
        assert!(!row.columns().is_empty(), "{} has no columns", row.resource);
        assert!(row.storage_prefix.is_empty() || row.storage_prefix.starts_with("/registry/"), "{}", row.resource);
        assert_eq!(
            row.subresource("status").is_some(),
            row.is_stored() && row.strategy.has_status(),
            "{}",
            row.resource
        );
    }
}

#[test]
fn etcd_prefixes_are_upstreams() {
    for (resource, prefix) in [
        ("pods", "/registry/pods"),
        ("nodes", "/registry/minions"),
        ("services", "/registry/services/specs"),
        ("endpoints", "/registry/services/endpoints"),
        ("replicationcontrollers", "/registry/controllers"),
    ] {
        assert_eq!(by_resource("", "v1", resource).unwrap().storage_prefix, prefix);
    }
    let core = by_resource("", "v1", "events").unwrap();
    assert_eq!(by_resource("events.k8s.io", "v1", "events").unwrap().storage_prefix, core.storage_prefix);
}
