//! Built-in admission.

use serde_json::json;

use crate::bench::{Bench, PODS, pod};

#[test]
fn pods_get_account_tolerations_and_priority() {
    let bench = Bench::new();
    let created = bench.tell(&format!("POST {PODS}"), &pod("a")).expect(201);
    for (pointer, expected) in [
        ("/spec/serviceAccountName", json!("default")),
        ("/spec/priority", json!(0)),
        ("/spec/preemptionPolicy", json!("PreemptLowerPriority")),
        ("/spec/tolerations/0/key", json!("node.kubernetes.io/not-ready")),
        ("/spec/tolerations/1/tolerationSeconds", json!(300)),
    ] {
        assert_eq!(created.at(pointer), expected, "{pointer}");
    }
    let mut named = pod("b");
    named["spec"]["priorityClassName"] = "system-node-critical".into();
    let created = bench.tell(&format!("POST {PODS}"), &named).expect(201);
    assert_eq!(created.at("/spec/priority"), json!(2_000_001_000));
    named["metadata"]["name"] = "c".into();
    named["spec"]["priorityClassName"] = "nope".into();
    let refused = bench.tell(&format!("POST {PODS}"), &named).expect(403);
    assert_eq!(refused.message(), "pods \"c\" is forbidden: no PriorityClass with name nope was found");
    let mut account = pod("d");
    account["spec"]["serviceAccountName"] = "robot".into();
    let refused = bench.tell(&format!("POST {PODS}"), &account).expect(403);
    assert_eq!(
        refused.message(),
        "pods \"d\" is forbidden: error looking up service account default/robot: serviceaccount \"robot\" not found"
    );
    let mut tolerant = pod("e");
    tolerant["spec"]["tolerations"] = json!([{"operator": "Exists"}]);
    let created = bench.tell(&format!("POST {PODS}"), &tolerant).expect(201);
    assert_eq!(created.at("/spec/tolerations").as_array().unwrap().len(), 1);
}

#[test]
fn events_expire() {
    let bench = Bench::new();
    let event = json!({
        "metadata": {"name": "e"},
        "involvedObject": {"kind": "Pod", "name": "a", "namespace": "default"},
        "reason": "Started", "message": "x", "type": "Normal",
    });
    let events = "/api/v1/namespaces/default/events";
    bench.tell(&format!("POST {events}"), &event).expect(201);
    bench.pass(3500);
    bench.ask(&format!("GET {events}/e")).expect(200);
    bench.pass(300);
    bench.ask(&format!("GET {events}/e")).expect(404);
}

#[test]
fn who_may_not_is_told_so() {
    use playground_apiserver::{Authorizer, RequestInfo, UserInfo};

    struct NoPods;
    impl Authorizer for NoPods {
        fn authorize(&self, user: &UserInfo, request: &RequestInfo) -> Result<(), String> {
            if request.resource == "pods" && user.username != "system:apiserver" { Err(String::new()) } else { Ok(()) }
        }
    }
    let bench = Bench::with(|options| options.authorizer = Some(std::sync::Arc::new(NoPods)));
    assert_eq!(
        bench.ask(&format!("GET {PODS}")).expect(403).message(),
        "pods is forbidden: User \"kubernetes-admin\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\""
    );
    let review = json!({"spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}});
    let reviews = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    assert_eq!(bench.tell(&format!("POST {reviews}"), &review).expect(201).at("/status/allowed"), json!(false));
    let who = bench.tell("POST /apis/authentication.k8s.io/v1/selfsubjectreviews", &json!({})).expect(201);
    assert_eq!(who.at("/status/userInfo/username"), json!("kubernetes-admin"));
}
