//! What requests carry: JSON, YAML, unknown and duplicate fields.

use machinery::wire::Body;
use serde_json::json;

use crate::bench::{Bench, CONFIG_MAPS, DEPLOYMENTS, deployment, request};

#[test]
fn yaml_is_read_as_json_is() {
    let bench = Bench::new();
    let yaml = "metadata:\n  name: a\ndata:\n  k: |\n    one\n    two\n";
    let line = format!("POST {CONFIG_MAPS}\ncontent-type: application/yaml");
    assert_eq!(bench.tell_text(&line, yaml).expect(201).at("/data/k"), json!("one\ntwo\n"));
    let bad = bench.tell_text(&line, "a: [1\nb: 2").expect(400).message();
    assert!(bad.starts_with("the object provided is unrecognized (must be of type ConfigMap): "), "{bad}");
}

#[test]
fn what_is_no_object_is_said_to_be_none() {
    let bench = Bench::new();
    let line = format!("POST {CONFIG_MAPS}");
    for body in ["", "[]", "7", "{", "null", "\"text\""] {
        let message = bench.tell_text(&line, body).expect(400).message();
        assert!(
            message.starts_with("the object provided is unrecognized (must be of type ConfigMap): "),
            "{body}: {message}"
        );
    }
    let answer = bench.tell_text(&format!("{line}\ncontent-type: text/plain"), "{}").expect(415);
    assert!(answer.message().starts_with(
        "the body of the request was in an unknown format - accepted media types include: application/json"
    ));
}

#[test]
fn unknown_fields_are_ignored_warned_of_or_refused() {
    let bench = Bench::new();
    let mut body = deployment("web");
    body["spec"]["replicass"] = 3.into();
    body["spec"]["template"]["spec"]["containers"][0]["imag"] = "x".into();
    let line = |validation: &str| format!("POST {DEPLOYMENTS}?dryRun=All&fieldValidation={validation}");
    let strict = bench.tell(&line("Strict"), &body).expect(400);
    assert_eq!(
        strict.message(),
        "Deployment in version \"v1\" cannot be handled as a Deployment: strict decoding error: unknown field \"spec.replicass\", unknown field \"spec.template.spec.containers[0].imag\""
    );
    let warned = bench.tell(&line("Warn"), &body).expect(201);
    assert_eq!(warned.warnings().len(), 2, "{:?}", warned.warnings());
    assert!(warned.warnings()[0].starts_with("unknown field"));
    assert!(bench.tell(&line("Ignore"), &body).expect(201).warnings().is_empty());
    bench.tell(&line("Whatever"), &body).expect(422);
    let twice = r#"{"metadata": {"name": "a"}, "data": {"k": "1", "k": "2"}}"#;
    let strict = bench.tell_text(&format!("POST {CONFIG_MAPS}?fieldValidation=Strict"), twice).expect(400).message();
    assert!(strict.ends_with("strict decoding error: duplicate field \"data.k\""), "{strict}");
    let warned = bench.tell_text(&format!("POST {CONFIG_MAPS}"), twice).expect(201);
    assert_eq!(warned.at("/data/k"), json!("2"));
}

#[test]
fn a_client_in_the_same_process_hands_over_objects() {
    use k8s_openapi::api::core::v1::ConfigMap;
    use machinery::Encoded;

    let bench = Bench::new();
    let mut object = ConfigMap::default();
    object.metadata.name = Some("a".into());
    let body = Body::Object(Encoded::from_object(std::sync::Arc::new(object)));
    let created = bench.send(request(&format!("POST {CONFIG_MAPS}"), body)).expect(201);
    assert_eq!(created.at("/metadata/namespace"), json!("default"));
    assert_eq!(bench.ask(&format!("GET {CONFIG_MAPS}/a")).json(), created.json());
}

/// Upstream's own case, from its field validation tests.
#[test]
fn yaml_keys_given_twice_are_told_in_goyamls_words() {
    const BODY: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: dupename\n  name: web\n  unknownMeta: metaVal\n  labels:\n    app: nginx\nspec:\n  unknown1: val1\n  unknownDupe: valDupe\n  unknownDupe: valDupe2\n  paused: true\n  paused: false\n  selector:\n    matchLabels:\n      app: nginx\n  template:\n    metadata:\n      labels:\n        app: nginx\n    spec:\n      containers:\n      - name: nginx\n        image: nginx:latest\n        unknownNested: val1\n        imagePullPolicy: Always\n        imagePullPolicy: Never\n";
    let bench = Bench::new();
    let line = |validation: &str| {
        format!("POST {DEPLOYMENTS}?dryRun=All&fieldValidation={validation}\ncontent-type: application/yaml")
    };
    let strict = bench.tell_text(&line("Strict"), BODY).expect(400).message();
    let expected = "strict decoding error: yaml: unmarshal errors:\n  line 5: key \"name\" already set in map\n  line 12: key \"unknownDupe\" already set in map\n  line 14: key \"paused\" already set in map\n  line 28: key \"imagePullPolicy\" already set in map, unknown field \"metadata.unknownMeta\", unknown field \"spec.template.spec.containers[0].unknownNested\", unknown field \"spec.unknown1\", unknown field \"spec.unknownDupe\"";
    assert!(strict.ends_with(expected), "{strict}");
    let warned = bench.tell_text(&line("Warn"), BODY).expect(201).warnings();
    assert_eq!(warned.len(), 8);
    assert_eq!(warned[0], r#"line 5: key \"name\" already set in map"#);
    assert!(bench.tell_text(&line("Ignore"), BODY).expect(201).warnings().is_empty());
}

#[test]
fn patches_are_checked_themselves_and_in_what_they_make() {
    let bench = Bench::new();
    bench.tell(&format!("POST {DEPLOYMENTS}"), &deployment("web")).expect(201);
    let patch = |kind: &str, validation: &str, body: &str| {
        let line = format!("PATCH {DEPLOYMENTS}/web?fieldManager=me&fieldValidation={validation}");
        bench.tell_text(&format!("{line}\ncontent-type: application/{kind}"), body)
    };
    let twice = r#"{"spec": {"unknown": 1, "paused": true, "paused": false}}"#;
    for kind in ["merge-patch+json", "strategic-merge-patch+json"] {
        let refused = patch(kind, "Strict", twice).expect(422).message();
        assert!(refused.starts_with(" \"\" is invalid: patch: Invalid value: \""), "{refused}");
        let expected = "strict decoding error: duplicate field \"spec.paused\", unknown field \"spec.unknown\"";
        assert!(refused.ends_with(expected), "{refused}");
        assert_eq!(patch(kind, "Warn", twice).expect(200).warnings().len(), 2);
    }
    let operations = r#"[{"op": "add", "path": "/spec/x", "path": "/spec/paused", "value": true, "foo": 1}]"#;
    let refused = patch("json-patch+json", "Strict", operations).expect(422).message();
    let expected = "json patch duplicate field \"[0].path\", json patch unknown field \"[0].foo\"";
    assert!(refused.ends_with(expected), "{refused}");
    let refused = patch("strategic-merge-patch+json", "Strict", r#"{"spec": {"replicas": "x", "a": [1, null]}}"#);
    assert_eq!(
        refused.expect(422).message(),
        " \"\" is invalid: patch: Invalid value: \"map[spec:map[a:[1 <nil>] replicas:x]]\": json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32"
    );
    for (list, code) in [("{}", 400), ("[1]", 400), ("[]", 200)] {
        patch("json-patch+json", "Warn", list).expect(code);
    }
    let operation = r#"{"op": "test", "path": "/kind", "value": "Deployment"}"#;
    let many = format!("[{}]", vec![operation; 10_001].join(","));
    let refused = patch("json-patch+json", "Warn", &many).expect(413).message();
    assert!(refused.ends_with("The allowed maximum operations in a JSON patch is 10000, got 10001"), "{refused}");
    let applied = "kind: Deployment\napiVersion: apps/v1\nspec:\n  paused: true\n  paused: false\n";
    let refused = patch("apply-patch+yaml", "Strict", applied).expect(400).message();
    let expected = "error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:\n  line 5: key \"paused\" already set in map";
    assert_eq!(refused, expected);
    let warned = patch("apply-patch+yaml", "Warn", applied).expect(200).warnings();
    assert_eq!(warned, [r#"line 5: key \"paused\" already set in map"#]);
}

#[test]
fn base64_may_be_broken_into_lines() {
    let bench = Bench::new();
    let secret = |data: &str| json!({"metadata": {"name": "a"}, "data": {"k": data}});
    let line = "POST /api/v1/namespaces/default/secrets";
    let broken = bench.tell(line, &secret("YWJj\r\nZGVm\n")).expect(201);
    assert_eq!(broken.at("/data/k"), json!("YWJjZGVm"));
    let wrong = bench.tell(line, &secret("YWJj-")).expect(400).message();
    assert_eq!(wrong, "Secret in version \"v1\" cannot be handled as a Secret: illegal base64 data at input byte 4");
}

#[test]
fn a_revision_that_is_no_number_is_no_revision() {
    let bench = Bench::new();
    let object = json!({"metadata": {"name": "a", "resourceVersion": "v1"}});
    let created = bench.tell(&format!("POST {CONFIG_MAPS}"), &object).expect(201);
    assert_ne!(created.at("/metadata/resourceVersion"), json!("v1"));
}
