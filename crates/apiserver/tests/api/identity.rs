//! ServiceAccounts' tokens, impersonation, RBAC and the reviews.

use playground_apiserver::UserInfo;
use serde_json::{Value, json};

use crate::bench::{Answer, Bench, PODS, pod};

const ACCOUNTS: &str = "/api/v1/namespaces/default/serviceaccounts";
const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
const AUTHORIZATION: &str = "/apis/authorization.k8s.io/v1";

/// A server behind a socket, with an account `robot`.
fn bench() -> Bench {
    let bench = Bench::with(|options| options.default_user = UserInfo::anonymous());
    admin(&bench, &format!("POST {ACCOUNTS}"), &json!({"metadata": {"name": "robot"}})).expect(201);
    bench
}

fn admin(bench: &Bench, line: &str, body: &Value) -> Answer {
    let mut request = crate::bench::request(line, machinery::wire::Body::Bytes(body.to_string().into()));
    request.extensions_mut().insert(UserInfo::admin());
    bench.send(request)
}

fn token(bench: &Bench, spec: Value) -> String {
    let answer = admin(bench, &format!("POST {ACCOUNTS}/robot/token"), &json!({"spec": spec})).expect(201);
    answer.at("/status/token").as_str().unwrap().to_owned()
}

fn claims(token: &str) -> Value {
    use base64::Engine;
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn grant(bench: &Bench, role: &str, rules: Value) {
    let roles = format!("{RBAC}/namespaces/default/roles");
    admin(bench, &format!("POST {roles}"), &json!({"metadata": {"name": role}, "rules": rules})).expect(201);
    let binding = json!({
        "metadata": {"name": role},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": "robot", "namespace": "default"}],
    });
    admin(bench, &format!("POST {RBAC}/namespaces/default/rolebindings"), &binding).expect(201);
}

#[test]
fn a_token_is_asked_for_and_says_who_asks() {
    let bench = bench();
    let answer = admin(&bench, &format!("POST {ACCOUNTS}/robot/token"), &json!({})).expect(201);
    assert_eq!(answer.at("/kind"), json!("TokenRequest"));
    assert_eq!(answer.at("/metadata/name"), json!("robot"));
    assert_eq!(answer.at("/spec/expirationSeconds"), json!(3600));
    assert_eq!(answer.at("/spec/audiences"), json!(["https://kubernetes.default.svc.cluster.local"]));
    assert_eq!(answer.at("/status/expirationTimestamp"), json!("2026-01-01T01:00:00Z"));
    let token = answer.at("/status/token").as_str().unwrap().to_owned();
    let told = claims(&token);
    assert_eq!(told["sub"], "system:serviceaccount:default:robot");
    assert_eq!(told["exp"].as_i64().unwrap() - told["iat"].as_i64().unwrap(), 3600);
    assert_eq!(told["kubernetes.io"]["serviceaccount"]["name"], "robot");

    let line = format!("POST /apis/authentication.k8s.io/v1/selfsubjectreviews\nauthorization: Bearer {token}");
    let who = bench.tell(&line, &json!({})).expect(201);
    assert_eq!(who.at("/status/userInfo/username"), json!("system:serviceaccount:default:robot"));
    assert_eq!(
        who.at("/status/userInfo/groups"),
        json!(["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"])
    );
    let id = format!("JTI={}", told["jti"].as_str().unwrap());
    assert_eq!(who.at("/status/userInfo/extra/authentication.kubernetes.io~1credential-id"), json!([id]));

    // A token of another signature, of another audience, that has expired, of an account that is gone.
    let list = |token: &str| bench.ask(&format!("GET {PODS}\nauthorization: Bearer {token}"));
    let forged = format!("{}.{}", token.rsplit_once('.').unwrap().0, "A".repeat(86));
    assert_eq!(list(&forged).expect(401).message(), "Unauthorized");
    list(&self::token(&bench, json!({"audiences": ["vault"]}))).expect(401);
    list(&token).expect(403);
    bench.pass(3700);
    list(&token).expect(401);
    let token = self::token(&bench, json!({"expirationSeconds": 600}));
    list(&token).expect(403);
    admin(&bench, &format!("DELETE {ACCOUNTS}/robot"), &Value::Null).expect(200);
    list(&token).expect(401);
}

#[test]
fn what_a_token_may_be_asked_for() {
    let bench = bench();
    let ask = |spec: Value| admin(&bench, &format!("POST {ACCOUNTS}/robot/token"), &json!({"spec": spec}));
    assert_eq!(
        ask(json!({"expirationSeconds": 30})).expect(422).message(),
        "TokenRequest.authentication.k8s.io \"\" is invalid: spec.expirationSeconds: Invalid value: 30: may not specify a duration less than 10 minutes"
    );
    admin(&bench, &format!("POST {PODS}"), &pod("other")).expect(201);
    let bound =
        |kind: &str, name: &str| ask(json!({"boundObjectRef": {"apiVersion": "v1", "kind": kind, "name": name}}));
    assert_eq!(
        bound("Pod", "other").expect(400).message(),
        "cannot bind token for serviceaccount \"robot\" to pod running with different serviceaccount name."
    );
    assert_eq!(bound("Pod", "none").expect(404).message(), "pods \"none\" not found");
    assert_eq!(
        bound("ConfigMap", "x").expect(400).message(),
        "cannot bind token to object of type /v1, Kind=ConfigMap"
    );
    let answer = admin(&bench, &format!("POST {ACCOUNTS}/nobody/token"), &json!({})).expect(404);
    assert_eq!(answer.message(), "serviceaccounts \"nobody\" not found");
}

#[test]
fn a_bound_token_ends_with_its_pod() {
    let bench = bench();
    let mut own = pod("own");
    own["spec"]["serviceAccountName"] = "robot".into();
    let own = admin(&bench, &format!("POST {PODS}"), &own).expect(201);
    let reference = json!({"apiVersion": "v1", "kind": "Pod", "name": "own", "uid": own.at("/metadata/uid")});
    let token = token(&bench, json!({"expirationSeconds": 3607, "boundObjectRef": reference}));
    let told = claims(&token);
    assert_eq!(told["kubernetes.io"]["pod"]["name"], "own");
    // Volumes' tokens live on for a year, for clients that never read them again.
    assert_eq!(told["exp"].as_i64().unwrap() - told["iat"].as_i64().unwrap(), 365 * 24 * 3600);
    let list = || bench.ask(&format!("GET {PODS}\nauthorization: Bearer {token}"));
    list().expect(403);
    let review = json!({"spec": {"token": token}});
    let reviews = "POST /apis/authentication.k8s.io/v1/tokenreviews";
    let answer = admin(&bench, reviews, &review).expect(201);
    assert_eq!(answer.at("/status/authenticated"), json!(true));
    assert_eq!(answer.at("/status/user/extra/authentication.kubernetes.io~1pod-name"), json!(["own"]));
    admin(&bench, &format!("DELETE {PODS}/own"), &json!({"gracePeriodSeconds": 0})).expect(200);
    list().expect(401);
    let answer = admin(&bench, reviews, &review).expect(201);
    assert_eq!(answer.at("/status/authenticated"), Value::Null);
    assert_eq!(answer.at("/status/error"), json!("[invalid bearer token, service account token has been invalidated]"));
}

#[test]
fn the_world_can_check_tokens() {
    let bench = bench();
    let token = token(&bench, json!({}));
    let with = |path: &str| bench.ask(&format!("GET {path}\nauthorization: Bearer {token}")).expect(200);
    let issuer = with("/.well-known/openid-configuration");
    assert_eq!(issuer.at("/id_token_signing_alg_values_supported"), json!(["ES256"]));
    let keys = with("/openid/v1/jwks");
    assert_eq!(keys.headers["content-type"], "application/jwk-set+json");

    use p256::ecdsa::signature::Verifier;
    use p256::ecdsa::{Signature, VerifyingKey};
    let decode = |text: &str| {
        use base64::Engine;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).unwrap()
    };
    let coordinate = |name: &str| decode(keys.at(&format!("/keys/0/{name}")).as_str().unwrap());
    let point = [vec![4], coordinate("x"), coordinate("y")].concat();
    let key = VerifyingKey::from_sec1_bytes(&point).unwrap();
    let (text, signature) = token.rsplit_once('.').unwrap();
    key.verify(text.as_bytes(), &Signature::from_slice(&decode(signature)).unwrap()).unwrap();
}

#[test]
fn roles_decide() {
    let bench = bench();
    let token = token(&bench, json!({}));
    let ask = |line: &str| bench.ask(&format!("{line}\nauthorization: Bearer {token}"));
    assert_eq!(
        ask(&format!("GET {PODS}")).expect(403).message(),
        "pods is forbidden: User \"system:serviceaccount:default:robot\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\""
    );
    // Everybody who is known may look around.
    ask("GET /apis").expect(200);
    ask("GET /openapi/v3").expect(200);
    grant(
        &bench,
        "reader",
        json!([
            {"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods", "pods/log"]},
            {"verbs": ["*"], "apiGroups": ["apps"], "resources": ["*/scale"]},
            {"verbs": ["get"], "apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["mine"]},
        ]),
    );
    ask(&format!("GET {PODS}")).expect(200);
    ask(&format!("GET {PODS}/none")).expect(404);
    ask("GET /api/v1/namespaces/kube-system/pods").expect(403);
    ask("GET /api/v1/pods").expect(403);
    ask(&format!("GET {PODS}/none/status")).expect(403);
    ask(&format!("DELETE {PODS}/none")).expect(403);
    ask("GET /apis/apps/v1/namespaces/default/deployments/none/scale").expect(404);
    ask("GET /apis/apps/v1/namespaces/default/deployments/none").expect(403);
    ask("GET /api/v1/namespaces/default/configmaps/mine").expect(404);
    ask("GET /api/v1/namespaces/default/configmaps/other").expect(403);
    ask("GET /api/v1/namespaces/default/configmaps").expect(403);

    let review = |attributes: Value| {
        let body = json!({"spec": {"user": "system:serviceaccount:default:robot", "resourceAttributes": attributes}});
        admin(&bench, &format!("POST {AUTHORIZATION}/subjectaccessreviews"), &body).expect(201)
    };
    let answer = review(json!({"verb": "list", "resource": "pods", "namespace": "default"}));
    assert_eq!(
        answer.at("/status"),
        json!({
            "allowed": true,
            "reason": "RBAC: allowed by RoleBinding \"reader/default\" of Role \"reader\" to ServiceAccount \"robot/default\"",
        })
    );
    let answer = review(json!({"verb": "list", "resource": "pods", "namespace": "other"}));
    assert_eq!(answer.at("/status"), json!({"allowed": false}));
    admin(&bench, &format!("DELETE {RBAC}/namespaces/default/roles/reader"), &Value::Null).expect(200);
    assert_eq!(
        ask(&format!("GET {PODS}")).expect(403).message(),
        "pods is forbidden: User \"system:serviceaccount:default:robot\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\": RBAC: role.rbac.authorization.k8s.io \"reader\" not found"
    );
}

#[test]
fn reviews_must_ask_one_thing() {
    let bench = Bench::new();
    let ask =
        |resource: &str, spec: Value| bench.tell(&format!("POST {AUTHORIZATION}/{resource}"), &json!({"spec": spec}));
    assert_eq!(
        ask("selfsubjectaccessreviews", json!({})).expect(422).message(),
        "SelfSubjectAccessReview.authorization.k8s.io \"\" is invalid: spec.resourceAttributes: Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified"
    );
    let pods = json!({"verb": "get", "resource": "pods"});
    ask("subjectaccessreviews", json!({"resourceAttributes": pods})).expect(422);
    let local = "namespaces/default/localsubjectaccessreviews";
    ask(local, json!({"user": "ada", "resourceAttributes": pods})).expect(422);
    let pods = json!({"verb": "get", "resource": "pods", "namespace": "default"});
    let answer = ask(local, json!({"user": "ada", "resourceAttributes": pods})).expect(201);
    assert_eq!(answer.at("/status/allowed"), json!(false));
    let paths = json!({"user": "ada", "groups": ["system:authenticated"], "nonResourceAttributes": {"verb": "get", "path": "/apis/apps"}});
    assert_eq!(ask("subjectaccessreviews", paths).expect(201).at("/status/allowed"), json!(true));
    assert_eq!(ask("selfsubjectrulesreviews", json!({})).expect(400).message(), "no namespace on request");
    let rules = ask("selfsubjectrulesreviews", json!({"namespace": "default"})).expect(201);
    let everything = json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]});
    assert_eq!(rules.at("/status/resourceRules/0"), everything);
    assert_eq!(rules.at("/status/incomplete"), json!(false));
}

#[test]
fn an_administrator_may_be_anybody() {
    let bench = Bench::new();
    let who = |headers: &str| {
        bench.tell(&format!("POST /apis/authentication.k8s.io/v1/selfsubjectreviews{headers}"), &json!({}))
    };
    let user = |headers: &str| who(headers).expect(201).at("/status/userInfo");
    assert_eq!(
        user(
            "\nimpersonate-user: ada\nimpersonate-group: dev\nimpersonate-group: ops\nimpersonate-uid: 7\nimpersonate-extra-acme.com%2fteam: a"
        ),
        json!({
            "username": "ada",
            "uid": "7",
            "groups": ["dev", "ops", "system:authenticated"],
            "extra": {"acme.com/team": ["a"]},
        })
    );
    assert_eq!(
        user("\nimpersonate-user: system:serviceaccount:default:robot")["groups"],
        json!(["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"])
    );
    // Who nobody is may not even ask who that is.
    who("\nimpersonate-user: system:anonymous").expect(403);
    assert_eq!(
        bench.ask(&format!("GET {PODS}\nimpersonate-user: ada")).expect(403).message(),
        "pods is forbidden: User \"ada\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\""
    );
    who("\nimpersonate-group: dev").expect(500);

    let binding = json!({
        "metadata": {"name": "ada-views"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "ada"}],
    });
    bench.tell(&format!("POST {RBAC}/namespaces/default/rolebindings"), &binding).expect(201);
    bench.ask(&format!("GET {PODS}\nimpersonate-user: ada")).expect(200);
    bench.ask("GET /api/v1/namespaces/default/secrets\nimpersonate-user: ada").expect(403);
}

#[test]
fn others_may_not() {
    let bench = bench();
    let token = token(&bench, json!({}));
    let ask = |headers: &str| bench.ask(&format!("GET {PODS}\nauthorization: Bearer {token}\n{headers}"));
    assert_eq!(
        ask("impersonate-user: ada").expect(403).message(),
        "users \"ada\" is forbidden: User \"system:serviceaccount:default:robot\" cannot impersonate resource \"users\" in API group \"\" at the cluster scope"
    );
    assert_eq!(
        ask("impersonate-user: system:serviceaccount:a:b").expect(403).message(),
        "serviceaccounts \"b\" is forbidden: User \"system:serviceaccount:default:robot\" cannot impersonate resource \"serviceaccounts\" in API group \"\" in the namespace \"a\""
    );
}

#[test]
fn roles_are_there_at_birth() {
    let bench = Bench::new();
    let role = |name: &str| bench.ask(&format!("GET {RBAC}/clusterroles/{name}")).expect(200);
    let has = |name: &str, group: &str, resource: &str, verb: &str| {
        let contains =
            |list: &Value, wanted: &str| list.as_array().is_some_and(|list| list.iter().any(|entry| entry == wanted));
        role(name).at("/rules").as_array().unwrap().iter().any(|rule| {
            contains(&rule["apiGroups"], group)
                && contains(&rule["resources"], resource)
                && contains(&rule["verbs"], verb)
        })
    };
    assert!(has("view", "", "pods", "list") && !has("view", "", "secrets", "get"));
    assert!(has("edit", "apps", "deployments", "create") && has("edit", "", "pods", "list"));
    assert!(!has("edit", "rbac.authorization.k8s.io", "roles", "create"));
    assert!(has("admin", "rbac.authorization.k8s.io", "roles", "create") && has("admin", "", "pods", "delete"));
    assert_eq!(
        role("cluster-admin").at("/rules"),
        json!([
            {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
            {"verbs": ["*"], "nonResourceURLs": ["*"]},
        ])
    );
    assert_eq!(
        role("system:controller:ttl-after-finished-controller").at("/metadata/labels"),
        json!({"kubernetes.io/bootstrapping": "rbac-defaults"})
    );
    let binding = bench.ask(&format!("GET {RBAC}/clusterrolebindings/system:controller:job-controller")).expect(200);
    assert_eq!(
        binding.at("/subjects"),
        json!([{"kind": "ServiceAccount", "name": "job-controller", "namespace": "kube-system"}])
    );
    // A second start finds everything in its place.
    let revision = bench.store.revision();
    bench.server.bootstrap().unwrap();
    assert_eq!(bench.store.revision(), revision);
}

#[test]
fn who_asks_for_a_certificate_is_written_down_and_not_everybody_may_approve() {
    const REQUESTS: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
    let bench = Bench::new();
    let grant = |name: &str, rules: Value| {
        let role = json!({"metadata": {"name": name}, "rules": rules});
        bench.tell(&format!("POST {RBAC}/clusterroles"), &role).expect(201);
        let binding = json!({
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
            "subjects": [{"kind": "User", "name": "ada", "apiGroup": "rbac.authorization.k8s.io"}],
        });
        bench.tell(&format!("POST {RBAC}/clusterrolebindings"), &binding).expect(201);
    };
    let rule = |resources: &[&str], verbs: &[&str]| json!({"apiGroups": ["certificates.k8s.io"], "resources": resources, "verbs": verbs});
    let all =
        ["certificatesigningrequests", "certificatesigningrequests/approval", "certificatesigningrequests/status"];
    grant("asker", json!([rule(&all, &["create", "get", "update"])]));
    let ada = |line: &str, body: &Value| bench.tell(&format!("{line}\nimpersonate-user: ada"), body);
    let mut request = json!({
        "metadata": {"name": "ada"},
        "spec": {"request": "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUE9PQotLS0tLUVORCBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0K", "signerName": "example.com/signer", "usages": ["client auth"], "username": "root"},
    });
    let mut made = ada(&format!("POST {REQUESTS}"), &request).expect(201).json();
    assert_eq!(made["spec"]["username"], json!("ada"));
    assert_eq!(made["spec"]["groups"], json!(["system:authenticated"]));
    let condition = |kind: &str| json!({"type": kind, "status": "True", "reason": "Test"});
    made["status"] = json!({"conditions": [condition("Approved")]});
    assert_eq!(
        ada(&format!("PUT {REQUESTS}/ada/approval"), &made).expect(403).message(),
        "certificatesigningrequests.certificates.k8s.io \"ada\" is forbidden: user not permitted to approve requests with signerName \"example.com/signer\""
    );
    let mut signed = made.clone();
    signed["status"] = json!({"certificate": "eA=="});
    let refused = ada(&format!("PUT {REQUESTS}/ada/status"), &signed).expect(403).message();
    assert!(
        refused.ends_with("user not permitted to sign requests with signerName \"example.com/signer\""),
        "{refused}"
    );
    let mut signers = rule(&["signers"], &["approve"]);
    signers["resourceNames"] = json!(["example.com/*"]);
    grant("approver", json!([signers]));
    ada(&format!("PUT {REQUESTS}/ada/approval"), &made).expect(200);
    request["metadata"]["name"] = "root".into();
    let made = bench.tell(&format!("POST {REQUESTS}"), &request).expect(201);
    assert_eq!(made.at("/spec/username"), json!("kubernetes-admin"));
}
