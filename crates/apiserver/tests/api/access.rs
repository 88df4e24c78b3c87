//! Who may do what where no authorizer decides.

use std::sync::Arc;

use playground_apiserver::{Authenticator, Authorizer, RequestInfo, UserInfo};
use serde_json::json;

use crate::bench::{Bench, PODS, pod};

struct OneToken;

impl Authenticator for OneToken {
    fn authenticate_token(&self, token: &str) -> Option<UserInfo> {
        (token == "secret").then(|| UserInfo::new("ada", &["system:masters"]))
    }
}

fn behind_a_socket() -> Bench {
    Bench::with(|options| {
        options.default_user = UserInfo::anonymous();
        options.authenticator = Some(Arc::new(OneToken));
    })
}

#[test]
fn the_unknown_may_read_what_is_public_and_nothing_else() {
    let bench = behind_a_socket();
    for path in ["/healthz", "/livez", "/readyz?verbose", "/version"] {
        bench.ask(&format!("GET {path}")).expect(200);
    }
    for line in [
        "GET /",
        "GET /api",
        "GET /apis/apps/v1",
        "GET /openapi/v3",
        "GET /livez/ping",
        "POST /version",
        "GET /playground/v1/terminal",
        "GET /nothing",
        "GET /api/v1/namespaces/default/secrets",
        "GET /api/v1/namespaces/default/secrets?watch=1",
        "GET /api/v1/namespaces/default/pods/a/exec?command=sh",
        "DELETE /api/v1/namespaces/default",
        "GET /api/v1/nothing",
    ] {
        let refused = bench.ask(line).expect(403);
        assert_eq!(refused.at("/reason"), json!("Forbidden"), "{line}");
    }
    let review = json!({"spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}});
    bench.tell("POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews", &review).expect(403);
    assert_eq!(
        bench.tell(&format!("POST {PODS}"), &pod("a")).expect(403).message(),
        "pods is forbidden: User \"system:anonymous\" cannot create resource \"pods\" in API group \"\" in the namespace \"default\""
    );
    assert_eq!(
        bench.ask("GET /api").expect(403).message(),
        "forbidden: User \"system:anonymous\" cannot get path \"/api\""
    );
}

#[test]
fn a_token_says_who_one_is() {
    let bench = behind_a_socket();
    let with = |header: &str| bench.ask(&format!("GET {PODS}\n{header}"));
    with("authorization: Bearer secret").expect(200);
    with("authorization: bearer  secret").expect(200);
    assert_eq!(with("authorization: Bearer wrong").expect(401).message(), "Unauthorized");
    with("authorization: Bearer").expect(403);
    with("authorization: Basic c2VjcmV0").expect(403);
}

/// Everything is allowed but to create a Lease.
struct NoLeases;

impl Authorizer for NoLeases {
    fn authorize(&self, _: &UserInfo, request: &RequestInfo) -> Result<(), String> {
        if (&*request.verb, &*request.resource) == ("create", "leases") { Err("no leases".into()) } else { Ok(()) }
    }
}

#[test]
fn whoever_may_not_create_may_not_by_put_or_apply() {
    let bench = Bench::with(|options| options.authorizer = Some(Arc::new(NoLeases)));
    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "a"}});
    const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/default/leases/a";
    for answer in [
        bench.tell(&format!("PUT {LEASE}"), &lease),
        bench.patch(&format!("{LEASE}?fieldManager=me"), "apply-patch+yaml", &lease),
    ] {
        assert!(answer.expect(403).message().contains("cannot create resource \"leases\""));
    }
}
