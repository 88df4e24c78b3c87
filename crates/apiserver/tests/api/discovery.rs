//! Discovery, version, health, OpenAPI.

use serde_json::{Value, json};

use crate::bench::Bench;

#[test]
fn classic_and_aggregated_discovery_agree() {
    let bench = Bench::new();
    assert_eq!(bench.ask("GET /api").expect(200).at("/versions"), json!(["v1"]));
    let groups = bench.ask("GET /apis").expect(200);
    assert_eq!(groups.at("/kind"), json!("APIGroupList"));
    let accept = "accept: application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
    let aggregated = bench.ask(&format!("GET /apis\n{accept}")).expect(200);
    assert_eq!(aggregated.at("/kind"), json!("APIGroupDiscoveryList"));
    assert_eq!(
        aggregated.headers["content-type"],
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    );
    for group in aggregated.at("/items").as_array().unwrap() {
        for version in group["versions"].as_array().unwrap() {
            let path = format!(
                "/apis/{}/{}",
                group["metadata"]["name"].as_str().unwrap(),
                version["version"].as_str().unwrap()
            );
            let classic = bench.ask(&format!("GET {path}")).expect(200);
            let names = |list: &Value, key: &str| -> Vec<String> {
                let names = list.as_array().unwrap().iter().filter_map(|one| one[key].as_str());
                names.filter(|name| !name.contains('/')).map(str::to_owned).collect()
            };
            assert_eq!(names(&classic.at("/resources"), "name"), names(&version["resources"], "resource"), "{path}");
        }
    }
    let core = bench.ask("GET /api/v1").expect(200);
    let pods = core.at("/resources");
    let pods = pods.as_array().unwrap().iter().find(|one| one["name"] == "pods").unwrap();
    assert_eq!(
        (&pods["shortNames"], &pods["namespaced"], &pods["singularName"]),
        (&json!(["po"]), &json!(true), &json!("pod"))
    );
    bench.ask("GET /apis/nope").expect(404);
    bench.ask("GET /api/v2").expect(404);
}

#[test]
fn documents_have_tags() {
    let bench = Bench::new();
    let tag = bench.ask("GET /apis").expect(200).headers["etag"].to_str().unwrap().to_owned();
    let again = bench.ask(&format!("GET /apis\nif-none-match: {tag}")).expect(304);
    assert!(again.text.is_empty());
}

#[test]
fn the_server_says_what_and_how_it_is() {
    let bench = Bench::new();
    assert_eq!(bench.ask("GET /version").expect(200).at("/gitVersion"), json!("v1.37.0"));
    for check in ["healthz", "livez", "readyz"] {
        assert_eq!(bench.ask(&format!("GET /{check}")).expect(200).text, "ok");
        let verbose = bench.ask(&format!("GET /{check}?verbose")).expect(200).text;
        assert!(verbose.starts_with("[+]ping ok\n") && verbose.ends_with(&format!("{check} check passed\n")));
    }
    assert_eq!(bench.ask("GET /readyz/etcd").expect(200).text, "ok");
    assert_eq!(bench.ask("GET /readyz/nope").expect(404).text, "404 page not found\n");
}

#[test]
fn openapi_has_what_kubectl_looks_for() {
    let bench = Bench::new();
    let index = bench.ask("GET /openapi/v3").expect(200);
    for path in ["api/v1", "apis/apps/v1"] {
        let url = index.json()["paths"][path]["serverRelativeURL"].as_str().unwrap().to_owned();
        let document = bench.ask(&format!("GET {url}")).expect(200).json();
        assert_eq!(document["openapi"], json!("3.0.0"));
        assert!(!document.to_string().contains("#/definitions/"));
    }
    let apps = bench.ask("GET /openapi/v3/apis/apps/v1").expect(200).json();
    let patch = &apps["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"];
    assert_eq!(patch["x-kubernetes-group-version-kind"]["kind"], json!("Deployment"));
    assert!(patch["parameters"].as_array().unwrap().iter().any(|one| one["name"] == "fieldValidation"));
    let containers = &apps["components"]["schemas"]["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"];
    assert_eq!(containers["x-kubernetes-patch-merge-key"], json!("name"));
    let v2 = bench.ask("GET /openapi/v2").expect(200).json();
    assert!(v2["definitions"]["io.k8s.api.core.v1.Pod"].is_object());
    let protobuf = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
    let v2 = bench.ask(&format!("GET /openapi/v2\naccept: {protobuf}")).expect(200);
    assert_eq!(v2.headers["content-type"], protobuf);
    assert!(v2.text.contains("io.k8s.api.core.v1.Pod"));
    bench.ask("GET /openapi/v2\naccept: text/html").expect(406);
    let spelled = "application/com.github.proto-openapi.spec.v3@v1.0+protobuf";
    let v3 = bench.ask(&format!("GET /openapi/v3/apis/apps/v1\naccept: {spelled}")).expect(200);
    assert_eq!(v3.headers["content-type"], spelled.replace('@', "."));
    assert!(v3.text.contains("#/components/schemas/io.k8s.api.core.v1.PodSpec"));
}

#[test]
fn deprecated_versions_that_are_asked_for_are_counted() {
    let bench = Bench::new();
    let line = "apiserver_requested_deprecated_apis{group=\"\",removed_release=\"\",resource=\"componentstatuses\"";
    assert!(!bench.ask("GET /metrics").text.contains(line));
    bench.ask("GET /api/v1/componentstatuses").expect(200);
    bench.ask("GET /api/v1/componentstatuses/etcd-0").expect(200);
    assert_eq!(bench.ask("GET /metrics").text.matches(line).count(), 1);
}

#[test]
fn every_version_of_a_group_has_its_service() {
    let bench = Bench::new();
    let path = "/apis/apiregistration.k8s.io/v1/apiservices";
    let list = bench.ask(&format!("GET {path}")).expect(200);
    let items = list.at("/items").as_array().unwrap().clone();
    let names: Vec<&str> = items.iter().map(|item| item["metadata"]["name"].as_str().unwrap()).collect();
    let groups = bench.ask("GET /apis").expect(200).at("/groups").as_array().unwrap().clone();
    for group in groups.iter().filter(|group| group["name"] != "apiregistration.k8s.io") {
        for version in group["versions"].as_array().unwrap() {
            let name = format!("{}.{}", version["version"].as_str().unwrap(), group["name"].as_str().unwrap());
            assert!(names.contains(&&*name), "{name}");
        }
    }
    let core = bench.ask(&format!("GET {path}/v1.")).expect(200);
    assert_eq!(core.at("/spec"), json!({"groupPriorityMinimum": 18000, "version": "v1", "versionPriority": 1}));
    assert_eq!(core.at("/status/conditions/0/reason"), json!("Local"));
}

#[test]
fn what_has_its_hash_in_its_address_may_be_kept() {
    let bench = Bench::new();
    let url = bench.ask("GET /openapi/v3").expect(200).at("/paths/apis~1apps~1v1/serverRelativeURL");
    let url = url.as_str().unwrap();
    let kept = bench.ask(&format!("GET {url}")).expect(200);
    assert_eq!(kept.headers["cache-control"], "public, immutable");
    assert_eq!(kept.headers["expires"], "Fri, 01 Jan 2027 00:00:00 UTC");
    assert_eq!(bench.ask("GET /openapi/v3/apis/apps/v1?hash=OLD").expect(301).headers["location"], url);
    assert_eq!(bench.ask("GET /openapi/v3/apis/apps/v1").expect(200).headers["cache-control"], "no-cache, private");
}
