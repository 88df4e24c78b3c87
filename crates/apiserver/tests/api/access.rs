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

#[test]
fn nobody_grants_what_he_has_not() {
    const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
    const ROLES: &str = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles";
    const BINDINGS: &str = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings";
    let bench = Bench::new();
    let role = |name: &str, rules: serde_json::Value| json!({"metadata": {"name": name}, "rules": rules});
    let rule = |groups: &[&str], resources: &[&str], verbs: &[&str]| json!({"apiGroups": groups, "resources": resources, "verbs": verbs});
    let bind = |name: &str, kind: &str, role: &str| {
        json!({"metadata": {"name": name}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
            "subjects": [{"kind": "User", "name": "ada", "apiGroup": "rbac.authorization.k8s.io"}]})
    };
    let writer = role(
        "writer",
        json!([
            rule(&["rbac.authorization.k8s.io"], &["*"], &["create", "update", "get"]),
            rule(&[""], &["pods"], &["get", "list"]),
        ]),
    );
    bench.tell(&format!("POST {ROLES}"), &writer).expect(201);
    bench.tell(&format!("POST {BINDINGS}"), &bind("writer", "Role", "writer")).expect(201);
    let ada = |line: &str, body: &serde_json::Value| bench.tell(&format!("{line}\nimpersonate-user: ada"), body);

    ada(&format!("POST {ROLES}"), &role("less", json!([rule(&[""], &["pods"], &["get"])]))).expect(201);
    let more = json!([rule(&["", "apps"], &["pods", "pods/log"], &["get", "delete"])]);
    let refused = ada(&format!("POST {ROLES}"), &role("more", more.clone())).expect(403);
    assert_eq!(
        refused.message(),
        "roles.rbac.authorization.k8s.io \"more\" is forbidden: user \"ada\" (groups=[\"system:authenticated\"]) is attempting to grant RBAC permissions not currently held:\n\
         {APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"delete\"]}\n\
         {APIGroups:[\"\"], Resources:[\"pods/log\"], Verbs:[\"get\" \"delete\"]}\n\
         {APIGroups:[\"apps\"], Resources:[\"pods\"], Verbs:[\"get\" \"delete\"]}\n\
         {APIGroups:[\"apps\"], Resources:[\"pods/log\"], Verbs:[\"get\" \"delete\"]}"
    );
    ada(&format!("PUT {ROLES}/less"), &role("less", more.clone())).expect(403);
    let refused = ada(&format!("POST {BINDINGS}"), &bind("admin", "ClusterRole", "view")).expect(403).message();
    assert!(
        refused.starts_with("rolebindings.rbac.authorization.k8s.io \"admin\" is forbidden: user \"ada\""),
        "{refused}"
    );
    let missing = ada(&format!("POST {BINDINGS}"), &bind("x", "ClusterRole", "nothing")).expect(404);
    assert_eq!(missing.message(), "clusterroles.rbac.authorization.k8s.io \"nothing\" not found");
    ada(&format!("POST {BINDINGS}"), &bind("less", "Role", "less")).expect(201);

    // Whoever may escalate roles and bind them needs nothing else.
    let escalator = role(
        "escalator",
        json!([
            rule(&["rbac.authorization.k8s.io"], &["roles"], &["escalate"]),
            {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["clusterroles"], "verbs": ["bind"], "resourceNames": ["view"]},
        ]),
    );
    bench.tell(&format!("POST {ROLES}"), &escalator).expect(201);
    bench.tell(&format!("POST {BINDINGS}"), &bind("escalator", "Role", "escalator")).expect(201);
    ada(&format!("POST {ROLES}"), &role("more", more)).expect(201);
    ada(&format!("POST {BINDINGS}"), &bind("view", "ClusterRole", "view")).expect(201);
    ada(&format!("POST {BINDINGS}"), &bind("edit", "ClusterRole", "edit")).expect(403);

    // What gathers other roles' rules is for administrators.
    let cluster = role("writers", json!([rule(&["rbac.authorization.k8s.io"], &["*"], &["create"])]));
    bench.tell(&format!("POST {RBAC}/clusterroles"), &cluster).expect(201);
    bench.tell(&format!("POST {RBAC}/clusterrolebindings"), &bind("writers", "ClusterRole", "writers")).expect(201);
    let mut gathering = role("gathering", json!([]));
    gathering["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]});
    assert_eq!(
        ada(&format!("POST {RBAC}/clusterroles"), &gathering).expect(403).message(),
        "clusterroles.rbac.authorization.k8s.io \"gathering\" is forbidden: must have cluster-admin privileges to use an aggregationRule"
    );
}

#[test]
fn a_list_of_one_name_needs_no_more_than_that_name() {
    let bench = Bench::new();
    const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1/namespaces/default";
    let rule = json!({"apiGroups": [""], "resources": ["pods"], "resourceNames": ["a"], "verbs": ["list", "watch"]});
    bench.tell(&format!("POST {RBAC}/roles"), &json!({"metadata": {"name": "one"}, "rules": [rule]})).expect(201);
    let binding = json!({
        "metadata": {"name": "one"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "one"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "bob"}],
    });
    bench.tell(&format!("POST {RBAC}/rolebindings"), &binding).expect(201);
    bench.tell(&format!("POST {PODS}"), &pod("a")).expect(201);
    let ask = |query: &str| bench.ask(&format!("GET {PODS}{query}\nimpersonate-user: bob"));
    assert_eq!(ask("?fieldSelector=metadata.name%3Da").expect(200).at("/items/0/metadata/name"), "a");
    assert!(ask("?fieldSelector=metadata.name%3Db").expect(403).message().starts_with("pods \"b\" is forbidden"));
    assert!(ask("").expect(403).message().starts_with("pods is forbidden"));
    let line = "GET /api/v1/watch/namespaces/default/pods/a\nimpersonate-user: bob";
    assert_eq!(bench.watch(line).names(), ["ADDED a"]);
}
