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
