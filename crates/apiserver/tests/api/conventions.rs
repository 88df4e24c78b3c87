//! What is the same for every resource: methods, parameters, and the words of refusals.

use serde_json::json;

use crate::bench::{Bench, CONFIG_MAPS, DEPLOYMENTS, PODS, config_map, deployment, pod};

#[test]
fn a_status_has_its_members_in_upstreams_order_and_ends_its_line() {
    let bench = Bench::new();
    bench.tell(&format!("POST {CONFIG_MAPS}"), &config_map("a")).expect(201);
    let twice = bench.tell(&format!("POST {CONFIG_MAPS}"), &config_map("a")).expect(409).text;
    let message = r#"configmaps \"a\" already exists"#;
    assert_eq!(
        twice,
        format!(
            r#"{{"kind":"Status","apiVersion":"v1","metadata":{{}},"status":"Failure","message":"{message}","reason":"AlreadyExists","details":{{"name":"a","kind":"configmaps"}},"code":409}}"#
        ) + "\n"
    );
    let deleted = bench.ask(&format!("DELETE {CONFIG_MAPS}/a")).expect(200).text;
    let begin = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success","details":{"name":"a","kind":"configmaps","uid":""#;
    assert!(deleted.starts_with(begin), "{deleted}");
}

#[test]
fn methods_without_a_route_are_refused() {
    let bench = Bench::new();
    bench.tell(&format!("POST {CONFIG_MAPS}"), &config_map("a")).expect(201);
    for line in [
        format!("HEAD {CONFIG_MAPS}"),
        format!("OPTIONS {CONFIG_MAPS}/a"),
        format!("PUT {CONFIG_MAPS}"),
        format!("POST {CONFIG_MAPS}/a"),
        format!("LOOK {CONFIG_MAPS}"),
        format!("PUT {PODS}/a/log"),
        format!("DELETE {PODS}/a/exec"),
    ] {
        let answer = bench.tell(&line, &config_map("a"));
        assert_eq!(answer.code, 405, "{line}: {}", answer.text);
    }
}

#[test]
fn parameters_are_checked_before_anything_is_done() {
    let bench = Bench::new();
    let long = "x".repeat(129);
    let message =
        bench.tell(&format!("POST {CONFIG_MAPS}?fieldManager={long}"), &config_map("a")).expect(422).message();
    assert_eq!(
        message,
        "CreateOptions.meta.k8s.io \"\" is invalid: fieldManager: Too long: may not be more than 128 bytes"
    );
    let message = bench.tell(&format!("POST {CONFIG_MAPS}?fieldManager=a%07"), &config_map("a")).expect(422).message();
    assert!(message.ends_with("should only contain printable characters (at position 1)"), "{message}");
    let merge = format!("PATCH {CONFIG_MAPS}/a?force=true\ncontent-type: application/merge-patch+json");
    assert_eq!(
        bench.tell(&merge, &json!({})).expect(422).message(),
        "PatchOptions.meta.k8s.io \"\" is invalid: force: Forbidden: may not be specified for non-apply patch"
    );
    let both = "propagationPolicy=Orphan&orphanDependents=true";
    assert_eq!(
        bench.ask(&format!("DELETE {CONFIG_MAPS}/none?{both}")).expect(422).message(),
        "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Invalid value: \"Orphan\": orphanDependents and deletionPropagation cannot be both set"
    );
    for (token, said) in [
        ("*", "illegal base64 data at input byte 0"),
        ("e30", "server does not recognize this encoded version"),
        ("ew", "unexpected end of JSON input"),
    ] {
        let message = bench.ask(&format!("GET {CONFIG_MAPS}?continue={token}")).expect(400).message();
        assert_eq!(message, format!("invalid continue token: continue key is not valid: {said}"));
    }
    let mut of_another = config_map("a");
    of_another["metadata"]["uid"] = "1".into();
    let apply = format!("PATCH {CONFIG_MAPS}/a?fieldManager=test\ncontent-type: application/apply-patch+yaml");
    let message = bench.tell(&apply, &of_another).expect(409).message();
    assert!(message.ends_with("the provided object specified uid 1, and no existing object was found"), "{message}");
    let mut of_a_revision = config_map("a");
    of_a_revision["metadata"]["resourceVersion"] = "7".into();
    let refused = bench.tell(&format!("POST {CONFIG_MAPS}"), &of_a_revision).expect(500).message();
    assert_eq!(refused, "resourceVersion should not be set on objects to be created");
}

#[test]
fn an_owner_is_named_once() {
    let bench = Bench::new();
    let owner = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": "7"});
    let mut owned = config_map("b");
    owned["metadata"]["ownerReferences"] = json!([owner, owner]);
    let answer = bench.tell(&format!("POST {CONFIG_MAPS}"), &owned).expect(201);
    assert_eq!(answer.at("/metadata/ownerReferences"), json!([owner]));
    assert!(answer.warnings()[0].ends_with("duplicate UID(s) observed: 7"), "{:?}", answer.warnings());
}

#[test]
fn who_scales_manages_replicas_through_the_scale() {
    let bench = Bench::new();
    bench.tell(&format!("POST {DEPLOYMENTS}"), &deployment("web")).expect(201);
    let scale = format!("{DEPLOYMENTS}/web/scale?fieldManager=scaler");
    bench.patch(&scale, "merge-patch+json", &json!({"spec": {"replicas": 5}})).expect(200);
    let entries = bench.ask(&format!("GET {DEPLOYMENTS}/web")).at("/metadata/managedFields");
    let scaler = entries.as_array().unwrap().iter().find(|entry| entry["manager"] == "scaler").unwrap();
    assert_eq!(scaler["subresource"], "scale");
    assert_eq!(scaler["fieldsV1"], json!({"f:spec": {"f:replicas": {}}}));

    // An apply to the scale is one to what it stands for.
    let apply = |force: &str, replicas: i32| {
        let line = format!("PATCH {DEPLOYMENTS}/web/scale?fieldManager=applier{force}");
        let scale = json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "web"}, "spec": {"replicas": replicas}});
        bench.tell(&format!("{line}\ncontent-type: application/apply-patch+yaml"), &scale)
    };
    let conflict = apply("", 7).expect(409).message();
    assert!(conflict.contains("conflict with \"scaler\" with subresource \"scale\" using apps/v1"), "{conflict}");
    let scale = apply("&force=true", 7).expect(200);
    assert_eq!((scale.at("/kind"), scale.at("/spec/replicas")), (json!("Scale"), json!(7)));
    let entries = bench.ask(&format!("GET {DEPLOYMENTS}/web")).at("/metadata/managedFields");
    let applier = entries.as_array().unwrap().iter().find(|entry| entry["manager"] == "applier").unwrap();
    assert_eq!((&applier["operation"], &applier["subresource"]), (&json!("Apply"), &json!("scale")));
    assert!(!entries.as_array().unwrap().iter().any(|entry| entry["manager"] == "scaler"));

    // What is no entry changes nothing.
    let none = json!({"metadata": {"managedFields": [{"manager": "x", "operation": "Guess"}]}});
    let kept = bench.patch(&format!("{DEPLOYMENTS}/web"), "merge-patch+json", &none).expect(200);
    assert_eq!(kept.at("/metadata/managedFields"), entries);
}

#[test]
fn what_has_no_table_is_not_acceptable_as_one() {
    let bench = Bench::new();
    let review = json!({"spec": {"resourceAttributes": {"verb": "list", "resource": "pods"}}});
    let reviews = "POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    bench.tell(reviews, &review).expect(201);
    bench.tell(&format!("{reviews}\naccept: application/json;as=Table;v=v1;g=meta.k8s.io"), &review).expect(406);
}

#[test]
fn logs_are_asked_for_by_numbers_that_mean_something() {
    let bench = Bench::new();
    bench.tell(&format!("POST {PODS}"), &pod("web")).expect(201);
    for (query, said) in [
        ("tailLines=-1", "tailLines: Invalid value: -1: must be greater than or equal to 0"),
        ("sinceSeconds=0", "sinceSeconds: Invalid value: 0: must be greater than 0"),
        ("limitBytes=0", "limitBytes: Invalid value: 0: must be greater than 0"),
        (
            "sinceSeconds=1&sinceTime=2026-01-01T00:00:00Z",
            "[]: Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified",
        ),
    ] {
        let message = bench.ask(&format!("GET {PODS}/web/log?{query}")).expect(422).message();
        assert_eq!(message, format!("PodLogOptions \"web\" is invalid: {said}"));
    }
    // No node has it yet: it has said nothing.
    assert_eq!(bench.ask(&format!("GET {PODS}/web/log")).expect(204).text, "");
    bench.ask(&format!("GET {PODS}/web/log?container=none")).expect(400);
}

#[test]
fn an_event_of_the_newer_group_says_who_did_what_when() {
    let bench = Bench::new();
    const EVENTS: &str = "/apis/events.k8s.io/v1/namespaces/default/events";
    let regarding = json!({"kind": "Pod", "namespace": "default", "name": "web"});
    let event = json!({"metadata": {"name": "e"}, "regarding": regarding, "deprecatedCount": 2});
    assert_eq!(
        bench.tell(&format!("POST {EVENTS}"), &event).expect(422).message(),
        "Event.events.k8s.io \"e\" is invalid: [eventTime: Required value, type: Invalid value: \"\": has invalid value: , count: Invalid value: \"\": needs to be unset]"
    );
    let event = json!({
        "metadata": {"name": "e"}, "regarding": regarding, "type": "Normal", "reason": "Seen", "action": "Look",
        "reportingController": "test", "reportingInstance": "test-1", "eventTime": "2026-01-01T00:00:00.000000Z",
    });
    bench.tell(&format!("POST {EVENTS}"), &event).expect(201);
    let old = json!({"metadata": {"name": "old"}, "involvedObject": regarding});
    bench.tell("POST /api/v1/namespaces/default/events", &old).expect(201);
}

#[test]
fn a_quotas_scopes_fit_what_it_limits() {
    let bench = Bench::new();
    const QUOTAS: &str = "/api/v1/namespaces/default/resourcequotas";
    let quota = |spec: serde_json::Value| json!({"metadata": {"name": "q"}, "spec": spec});
    let of = |scope: &str, operator: &str, values: &[&str]| {
        json!({"hard": {"pods": "1"}, "scopeSelector": {"matchExpressions": [
            {"scopeName": scope, "operator": operator, "values": values},
        ]}})
    };
    for (spec, said) in [
        (
            json!({"hard": {"services": "1"}, "scopes": ["BestEffort"]}),
            "spec.scopes: Invalid value: [\"BestEffort\"]: unsupported scope applied to resource",
        ),
        (
            json!({"hard": {"pods": "1"}, "scopes": ["None"]}),
            "spec.scopes: Invalid value: [\"None\"]: unsupported scope",
        ),
        (
            json!({"hard": {"pods": "1"}, "scopes": ["Terminating", "NotTerminating"]}),
            "spec.scopes: Invalid value: [\"Terminating\",\"NotTerminating\"]: conflicting scopes",
        ),
        (
            of("PriorityClass", "In", &[]),
            "spec.scopeSelector.matchExpressions.values: Required value: must be at least one value when `operator` is 'In' or 'NotIn' for scope selector",
        ),
    ] {
        let message = bench.tell(&format!("POST {QUOTAS}"), &quota(spec)).expect(422).message();
        assert_eq!(message, format!("ResourceQuota \"q\" is invalid: {said}"));
    }
    bench.tell(&format!("POST {QUOTAS}"), &quota(of("PriorityClass", "In", &["high"]))).expect(201);
}

#[test]
fn a_namespaces_objects_are_written_in_their_namespace() {
    let bench = Bench::new();
    bench.tell("POST /api/v1/configmaps", &config_map("a")).expect(405);
    bench.ask("DELETE /api/v1/configmaps").expect(405);
    bench.ask("GET /api/v1/configmaps").expect(200);
    assert_eq!(bench.ask("GET /api/v1/configmaps/a").expect(404).text, "404 page not found\n");
}

#[test]
fn what_is_asked_is_checked_before_what_there_is() {
    let bench = Bench::new();
    for (line, kind) in [("PUT", "UpdateOptions"), ("PATCH", "PatchOptions")] {
        let line = format!("{line} {CONFIG_MAPS}/a?dryRun=Some\ncontent-type: application/merge-patch+json");
        let message = format!(
            "{kind}.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: \"Some\": supported values: \"All\""
        );
        assert_eq!(bench.tell(&line, &config_map("a")).expect(422).message(), message);
    }
    bench
        .tell(
            &format!("PATCH {CONFIG_MAPS}/a?fieldValidation=Often\ncontent-type: application/merge-patch+json"),
            &json!({}),
        )
        .expect(422);
    bench.tell(&format!("PATCH {CONFIG_MAPS}/a\ncontent-type: application/json"), &json!({})).expect(415);
}

#[test]
fn a_version_is_a_number() {
    let bench = Bench::new();
    bench.tell(&format!("POST {CONFIG_MAPS}"), &config_map("a")).expect(201);
    let mut object = config_map("a");
    object["metadata"]["resourceVersion"] = json!("new");
    let answer = bench.tell(&format!("PUT {CONFIG_MAPS}/a"), &object).expect(500);
    assert_eq!(answer.message(), "strconv.ParseUint: parsing \"new\": invalid syntax");
}

#[test]
fn an_eviction_names_its_pod() {
    let bench = Bench::new();
    bench.tell(&format!("POST {PODS}"), &pod("a")).expect(201);
    let eviction = |name: &str| json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}});
    let answer = bench.tell(&format!("POST {PODS}/a/eviction"), &eviction("b")).expect(400);
    assert_eq!(answer.message(), "name in URL does not match name in Eviction object");
    bench.tell(&format!("POST {PODS}/a/eviction"), &eviction("a")).expect(201);
}

#[test]
fn an_apply_says_of_what_it_is() {
    let bench = Bench::new();
    let line = format!("PATCH {CONFIG_MAPS}/a?fieldManager=me\ncontent-type: application/apply-patch+yaml");
    for (body, code, message) in [
        ("{}", 400, "incorrect version specified in apply patch. Specified patch version: , expected: v1"),
        (
            "apiVersion: v2\nkind: ConfigMap\n",
            400,
            "incorrect version specified in apply patch. Specified patch version: v2, expected: v1",
        ),
        (
            "apiVersion: v1\n",
            500,
            "failed to create typed patch object (default/a; v1, Kind=): no corresponding type for v1, Kind=",
        ),
        (
            "[]",
            400,
            "error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal array into Go value of type map[string]interface {}",
        ),
    ] {
        assert_eq!(bench.tell_text(&line, body).expect(code).message(), message);
    }
    bench.tell_text(&line, "apiVersion: v1\nkind: ConfigMap\ndata: {a: b}\n").expect(201);
}

#[test]
fn networks_and_addresses_have_one_form() {
    let bench = Bench::new();
    let cidr = |cidrs: &[&str]| json!({"metadata": {"name": "more"}, "spec": {"cidrs": cidrs}});
    for (cidrs, said) in [
        (&[][..], "spec.cidrs: Required value: at least one CIDR required"),
        (
            &["x"],
            "spec.cidrs[0]: Invalid value: \"x\": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)",
        ),
        (
            &["10.0.0.0/8", "11.0.0.0/8"],
            "spec.cidrs: Invalid value: {\"cidrs\":[\"10.0.0.0/8\",\"11.0.0.0/8\"]}: may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64",
        ),
        (
            &["10.0.0.1/8"],
            "spec.cidrs[0]: Invalid value: \"10.0.0.1/8\": must not have bits set beyond the prefix length",
        ),
    ] {
        let answer = bench.tell("POST /apis/networking.k8s.io/v1/servicecidrs", &cidr(cidrs)).expect(422);
        assert_eq!(answer.message(), format!("ServiceCIDR.networking.k8s.io \"more\" is invalid: {said}"));
    }
    bench.tell("POST /apis/networking.k8s.io/v1/servicecidrs", &cidr(&["10.200.0.0/16", "fd00::/64"])).expect(201);
    let address = |name: &str| json!({"metadata": {"name": name}, "spec": {"parentRef": {"resource": "services"}}});
    assert_eq!(
        bench.tell("POST /apis/networking.k8s.io/v1/ipaddresses", &address("10.1.2.03")).expect(422).message(),
        "IPAddress.networking.k8s.io \"10.1.2.03\" is invalid: [metadata.name: Invalid value: \"10.1.2.03\": must not have leading 0s, spec.parentRef.name: Required value]"
    );
}

#[test]
fn a_certificate_request_is_one_and_says_what_for() {
    let bench = Bench::new();
    let request = json!({
        "metadata": {"name": "a"},
        "spec": {"request": "eA==", "signerName": "example.com/signer", "usages": ["client auth", "fun", "client auth"]},
    });
    let answer = bench.tell("POST /apis/certificates.k8s.io/v1/certificatesigningrequests", &request).expect(422);
    let causes: Vec<String> = answer
        .at("/details/causes")
        .as_array()
        .unwrap()
        .iter()
        .map(|cause| {
            cause["field"].as_str().unwrap().to_owned()
                + ": "
                + cause["message"].as_str().unwrap().split(": ").next().unwrap()
        })
        .collect();
    assert_eq!(
        causes,
        ["spec.request: Invalid value", "spec.usages[1]: Unsupported value", "spec.usages[2]: Duplicate value",]
    );
}

#[test]
fn a_limit_ranges_bounds_fit_each_other() {
    let bench = Bench::new();
    let range = |limit: serde_json::Value| json!({"metadata": {"name": "l"}, "spec": {"limits": [limit]}});
    for (limit, said) in [
        (json!({"type": "Some"}), "type: Invalid value: \"Some\": must be a standard limit type or fully qualified"),
        (
            json!({"type": "Pod", "default": {"cpu": "1"}}),
            "default: Forbidden: may not be specified when `type` is 'Pod'",
        ),
        (
            json!({"type": "PersistentVolumeClaim", "min": {"cpu": "1"}}),
            "limits: Required value: either minimum or maximum storage value is required, but neither was provided",
        ),
        (
            json!({"type": "Container", "min": {"cpu": "2"}, "defaultRequest": {"cpu": "1"}}),
            "defaultRequest[cpu]: Invalid value: \"1\": min value 2 is greater than default request value 1",
        ),
        (
            json!({"type": "Container", "max": {"cpu": "2"}, "min": {"cpu": "1"}, "maxLimitRequestRatio": {"cpu": "4"}}),
            "maxLimitRequestRatio[cpu]: Invalid value: \"4\": ratio 4 is greater than max/min = 2.000000",
        ),
        (
            json!({"type": "Container", "maxLimitRequestRatio": {"cpu": "500m"}}),
            "maxLimitRequestRatio[cpu]: Invalid value: \"500m\": ratio 500m is less than 1",
        ),
    ] {
        let answer = bench.tell("POST /api/v1/namespaces/default/limitranges", &range(limit)).expect(422);
        assert_eq!(answer.message(), format!("LimitRange \"l\" is invalid: spec.limits[0].{said}"));
    }
}
