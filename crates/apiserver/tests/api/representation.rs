//! Table, PartialObjectMetadata, YAML, pretty, negotiation.

use futures::{FutureExt, StreamExt};
use machinery::wire::Body;
use serde_json::{Value, json};

use crate::bench::{Bench, CONFIG_MAPS, DEPLOYMENTS, PODS, config_map, deployment, pod, request};

const TABLE: &str = "accept: application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

#[test]
fn tables_have_the_columns_of_their_kind() {
    let bench = Bench::new();
    bench.tell(&format!("POST {DEPLOYMENTS}"), &deployment("web")).expect(201);
    bench.pass(150);
    let table = bench.ask(&format!("GET {DEPLOYMENTS}\n{TABLE}")).expect(200);
    let columns = table.at("/columnDefinitions");
    let columns: Vec<&str> = columns.as_array().unwrap().iter().filter_map(|column| column["name"].as_str()).collect();
    assert_eq!(columns[..5], ["Name", "Ready", "Up-to-date", "Available", "Age"]);
    assert_eq!(table.at("/rows/0/cells/0"), json!("web"));
    assert_eq!(table.at("/rows/0/cells/4"), json!("2m30s"));
    assert_eq!(table.at("/rows/0/object/kind"), json!("PartialObjectMetadata"));
    let one = bench.ask(&format!("GET {DEPLOYMENTS}/web?includeObject=Object\n{TABLE}")).expect(200);
    assert_eq!(one.at("/rows/0/object/spec/replicas"), json!(2));
    let none = bench.ask(&format!("GET {DEPLOYMENTS}?includeObject=None\n{TABLE}")).expect(200);
    assert_eq!(none.at("/rows/0/object"), Value::Null);
    bench.ask(&format!("GET {DEPLOYMENTS}?includeObject=All\n{TABLE}")).expect(400);
    let created = bench.tell(&format!("POST {PODS}\n{TABLE}"), &pod("a")).expect(201);
    assert_eq!(created.at("/rows/0/cells/0"), json!("a"));
}

#[test]
fn metadata_can_be_had_alone() {
    let bench = Bench::new();
    bench.tell(&format!("POST {CONFIG_MAPS}"), &config_map("a")).expect(201);
    let partial = "accept: application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io";
    let one = bench.ask(&format!("GET {CONFIG_MAPS}/a\n{partial}")).expect(200).json();
    assert_eq!((&one["kind"], &one["metadata"]["name"]), (&json!("PartialObjectMetadata"), &json!("a")));
    assert_eq!(one["metadata"]["resourceVersion"], json!(bench.store.revision().to_string()));
    let partial = "accept: application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
    let list = bench.ask(&format!("GET {CONFIG_MAPS}\n{partial}")).expect(200).json();
    assert_eq!(
        (&list["kind"], &list["items"][0]["kind"]),
        (&json!("PartialObjectMetadataList"), &json!("PartialObjectMetadata"))
    );
}

#[test]
fn encodings_are_negotiated() {
    let bench = Bench::new();
    bench.tell(&format!("POST {CONFIG_MAPS}"), &config_map("a")).expect(201);
    let path = format!("GET {CONFIG_MAPS}/a");
    let yaml = bench.ask(&format!("{path}\naccept: application/yaml")).expect(200);
    assert!(yaml.text.starts_with("apiVersion: v1\nkind: ConfigMap\n"), "{}", yaml.text);
    assert_eq!(yaml.headers["content-type"], "application/yaml");
    let pretty = bench.ask(&format!("{path}?pretty=true")).expect(200);
    assert!(pretty.text.starts_with("{\n  \"kind\": \"ConfigMap\",\n  \"apiVersion\""));
    bench.ask(&format!("{path}\naccept: application/vnd.kubernetes.protobuf, */*")).expect(200);
    let none = bench.ask(&format!("{path}\naccept: text/html")).expect(406);
    assert!(none.message().starts_with("only the following media types are accepted: application/json"));
    bench.ask(&format!("GET {CONFIG_MAPS}\naccept: text/html")).expect(406);
}

#[test]
fn protobuf_is_written_where_it_is_wanted() {
    const PROTOBUF: &str = "accept: application/vnd.kubernetes.protobuf";
    let bench = Bench::new();
    bench.tell(&format!("POST {CONFIG_MAPS}"), &config_map("a")).expect(201);
    let ask = |line: &str, code: u16, kind: &str| {
        let answer = bench.ask(line).expect(code);
        assert_eq!(answer.headers["content-type"], "application/vnd.kubernetes.protobuf", "{line}");
        let start =
            format!("k8s\0\n{}\n\u{2}v1\u{12}{}{kind}", (kind.len() as u8 + 6) as char, kind.len() as u8 as char);
        assert!(answer.text.starts_with(&start), "{:?}", answer.text);
    };
    ask(&format!("GET {CONFIG_MAPS}/a\n{PROTOBUF}, */*"), 200, "ConfigMap");
    ask(&format!("GET {CONFIG_MAPS}\n{PROTOBUF}, application/json"), 200, "ConfigMapList");
    ask(&format!("GET {CONFIG_MAPS}/b\n{PROTOBUF}"), 404, "Status");
    ask(&format!("DELETE {CONFIG_MAPS}\n{PROTOBUF}"), 200, "ConfigMapList");
    let partial = "as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
    let partial = bench.ask(&format!("GET {CONFIG_MAPS}\n{PROTOBUF};{partial}")).expect(200);
    assert!(partial.text.contains("PartialObjectMetadataList"), "{:?}", partial.text);
    // Its cells can be anything, which protobuf cannot say.
    bench.ask(&format!("GET {CONFIG_MAPS}\n{PROTOBUF};as=Table;v=v1;g=meta.k8s.io")).expect(406);

    let path = format!("GET {CONFIG_MAPS}?watch=true&resourceVersion=0&timeoutSeconds=1");
    let answer = bench.server.handle(request(&format!("{path}\n{PROTOBUF}"), Body::empty())).now_or_never().unwrap();
    assert_eq!(answer.headers()["content-type"], "application/vnd.kubernetes.protobuf;stream=watch");
    bench.tell(&format!("POST {CONFIG_MAPS}"), &config_map("c")).expect(201);
    let Body::Stream(mut frames) = answer.into_body() else { panic!("no stream") };
    let frame = frames.next().now_or_never().flatten().unwrap();
    let (length, message) = frame.split_first_chunk::<4>().unwrap();
    assert_eq!(u32::from_be_bytes(*length) as usize, message.len());
    assert!(message.starts_with(b"\n\x05ADDED\x12"), "{message:?}");
    bench.pass(1);
    assert_eq!(frames.next().now_or_never(), Some(None));
    let yaml = bench.ask(&format!("{path}\naccept: application/yaml")).expect(406);
    let accepted = "accepted: application/json;stream=watch,";
    assert!(yaml.text.contains(accepted), "{}", yaml.text);
}

#[test]
fn errors_come_in_the_encoding_asked_for() {
    let bench = Bench::new();
    let yaml = bench.ask(&format!("GET {CONFIG_MAPS}/a\naccept: application/yaml")).expect(404);
    assert!(yaml.text.contains("\nkind: Status\n"), "{}", yaml.text);
    assert_eq!(yaml.headers["content-type"], "application/yaml");
    let table = bench.ask(&format!("GET {CONFIG_MAPS}/a\n{TABLE}")).expect(404);
    assert_eq!(table.at("/kind"), json!("Status"));
}

#[test]
fn what_is_too_large_for_etcd_is_refused_in_its_words() {
    let bench = Bench::new();
    let mut large = config_map("a");
    large["metadata"]["annotations"] = json!({"a": "x".repeat(200_000)});
    large["data"] = json!({"a": "x".repeat(1_000_000)});
    bench.tell(&format!("POST {CONFIG_MAPS}"), &large).expect(201);
    let mut list = deployment("web");
    list["spec"]["template"]["spec"]["containers"][0]["args"] = json!(["x".repeat(1_600_000)]);
    let refused = bench.tell(&format!("POST {DEPLOYMENTS}"), &list).expect(500);
    assert_eq!(refused.message(), "etcdserver: request is too large");
}

#[test]
fn what_is_counted_has_upstreams_names() {
    let bench = Bench::new();
    bench.tell(&format!("POST {CONFIG_MAPS}"), &config_map("a")).expect(201);
    bench.ask(&format!("GET {CONFIG_MAPS}/b")).expect(404);
    bench.ask("GET /api/v1/configmaps").expect(200);
    let watch = bench.watch(&format!("GET {CONFIG_MAPS}?watch=1"));
    let text = bench.ask("GET /metrics").expect(200);
    assert!(text.headers["content-type"].to_str().unwrap().starts_with("text/plain; version=0.0.4"));
    let labels = |verb: &str, scope: &str| {
        format!(
            "component=\"apiserver\",group=\"\",resource=\"configmaps\",scope=\"{scope}\",subresource=\"\",verb=\"{verb}\",version=\"v1\""
        )
    };
    for line in [
        format!("apiserver_request_total{{code=\"201\",dry_run=\"\",{}}} 1", labels("POST", "namespace")),
        format!("apiserver_request_total{{code=\"404\",dry_run=\"\",{}}} 1", labels("GET", "resource")),
        format!("apiserver_request_total{{code=\"200\",dry_run=\"\",{}}} 1", labels("LIST", "cluster")),
        format!("apiserver_request_duration_seconds_count{{dry_run=\"\",{}}} 1", labels("LIST", "cluster")),
        format!("apiserver_longrunning_requests{{{}}} 1", labels("WATCH", "namespace")),
        "apiserver_storage_objects{resource=\"configmaps\"} 2".into(),
        "apiserver_current_inflight_requests{request_kind=\"readOnly\"} 1".into(),
    ] {
        assert!(text.text.contains(&format!("{line}\n")), "{line}\n{}", text.text);
    }
    drop(watch);
    let text = bench.ask("GET /metrics").expect(200).text;
    assert!(text.contains(&format!("apiserver_longrunning_requests{{{}}} 0\n", labels("WATCH", "namespace"))));
}

/// A name, labels, and a value.
type Sample = (String, String, f64);

/// Reads Prometheus' text format as strictly as its own parser: the samples, each with its labels.
fn prometheus(text: &str) -> Vec<Sample> {
    let is_name = |name: &str| {
        name.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    assert!(text.ends_with('\n'), "the last line ends");
    let (mut families, mut samples) = (Vec::<(&str, &str)>::new(), Vec::<Sample>::new());
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let name = help.split(' ').next().unwrap();
            let kind = lines.next().unwrap().strip_prefix("# TYPE ").unwrap().strip_prefix(name).unwrap().trim();
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}: {kind}");
            assert!(is_name(name) && !families.iter().any(|(other, _)| *other == name), "{name} once");
            families.push((name, kind));
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let labels = labels.strip_suffix('}').unwrap();
        let (family, kind) = families.last().unwrap();
        let suffix = name.strip_prefix(family).unwrap_or_else(|| panic!("{name} under {family}"));
        let fits =
            if *kind == "histogram" { ["_bucket", "_sum", "_count"].contains(&suffix) } else { suffix.is_empty() };
        assert!(fits && is_name(name), "{line} is of a {kind}");
        let mut names = Vec::new();
        for label in labels.split(',').filter(|label| !label.is_empty()) {
            let (name, value) = label.split_once('=').unwrap();
            assert!(is_name(name) && !names.contains(&name), "{line}");
            assert!(value.len() > 1 && value.starts_with('"') && value.ends_with('"'), "{line}");
            names.push(name);
        }
        samples.push((name.to_owned(), labels.to_owned(), value.parse().unwrap()));
        let same = |(other, others, _): &&Sample| other == name && others == labels;
        assert_eq!(samples.iter().filter(same).count(), 1, "{line} once");
    }
    // A histogram's buckets grow, and the last has all.
    for pair in samples.windows(2).filter(|pair| pair[0].0.ends_with("_bucket")) {
        let same_series = pair[0].1.split("le=").next() == pair[1].1.split("le=").next();
        assert!(pair[0].0 != pair[1].0 || !same_series || pair[0].2 <= pair[1].2, "{pair:?}");
    }
    samples
}

#[test]
fn metrics_can_be_read() {
    let bench = Bench::new();
    bench.tell(&format!("POST {CONFIG_MAPS}?dryRun=All"), &config_map("a")).expect(201);
    let mut watch = bench.watch(&format!("GET {CONFIG_MAPS}?watch=1&resourceVersion=0"));
    bench.tell(&format!("POST {CONFIG_MAPS}"), &config_map("a")).expect(201);
    bench.ask(&format!("GET {CONFIG_MAPS}/\"x\\")).expect(404);
    let seen = watch.events().len();
    let samples = prometheus(&bench.ask("GET /metrics").expect(200).text);
    let sent = samples.iter().find(|(name, labels, _)| {
        name == "apiserver_watch_events_total" && labels == "group=\"\",resource=\"configmaps\",version=\"v1\""
    });
    assert_eq!(sent.unwrap().2, seen as f64);
    let value = |name: &str, labels: &str| {
        samples.iter().find(|sample| sample.0 == name && sample.1 == labels).map(|sample| sample.2)
    };
    let admit = "operation=\"CREATE\",rejected=\"false\",type=\"admit\"";
    let admission = "apiserver_admission_step_admission_duration_seconds_count";
    assert!(value(admission, admit) >= Some(2.0));
    let admission = "apiserver_admission_controller_admission_duration_seconds_count";
    assert!(value(admission, &format!("name=\"LimitRanger\",{admit}")) >= Some(2.0));
    assert!(value("authentication_attempts", "result=\"success\"") >= Some(5.0));
    assert!(value("authorization_attempts_total", "result=\"allowed\"") >= Some(5.0));
    let get = "component=\"apiserver\",group=\"\",resource=\"configmaps\",scope=\"resource\",subresource=\"\",verb=\"GET\",version=\"v1\"";
    assert_eq!(value("apiserver_response_sizes_bucket", &format!("{get},le=\"1000\"")), Some(1.0));
    bench.ask("GET /livez").expect(200);
    let checks = prometheus(&bench.ask("GET /metrics/slis").expect(200).text);
    let made = ("kubernetes_healthchecks_total".into(), "name=\"ping\",status=\"success\",type=\"livez\"".into(), 1.0);
    assert!(checks.contains(&made));
}

#[test]
fn answers_are_kept_by_nobody() {
    let bench = Bench::new();
    for line in ["GET /api", "GET /version", "GET /api/v1/pods", "GET /api/v1/pods/a", "POST /api/v1/pods"] {
        assert_eq!(bench.ask(line).headers["cache-control"], "no-cache, private", "{line}");
    }
}

#[test]
fn a_scale_is_a_table_too() {
    let bench = Bench::new();
    bench.tell(&format!("POST {DEPLOYMENTS}"), &deployment("web")).expect(201);
    let accept = "accept: application/json;as=Table;g=meta.k8s.io;v=v1";
    let table = bench.ask(&format!("GET {DEPLOYMENTS}/web/scale\n{accept}")).expect(200).json();
    let names: Vec<_> = table["columnDefinitions"].as_array().unwrap().iter().map(|column| &column["name"]).collect();
    assert_eq!(names, ["Name", "Desired", "Available", "Age"]);
    assert_eq!(table["rows"][0]["cells"], json!(["web", 2, 0, "0s"]));
    let gone = bench.ask(&format!("DELETE {DEPLOYMENTS}/web?propagationPolicy=Background\n{accept}")).expect(200);
    assert_eq!(gone.at("/kind"), "Status");
}
