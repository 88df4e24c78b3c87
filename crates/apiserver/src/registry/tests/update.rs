//! What updates may change.

use serde_json::json;

use super::{Update, update_errors, updated};

const NONE: [&str; 0] = [];
const POD: &str = "{apiVersion: v1, kind: Pod, spec: {containers: [{name: a, image: b}]}}";

fn deployment(name: &str, replicas: u32, status: &str) -> String {
    format!(
        "{{apiVersion: apps/v1, kind: Deployment, status: {status}, spec: {{replicas: {replicas}, selector: {{matchLabels: {{app: {name}}}}}, template: {{metadata: {{labels: {{app: {name}}}}}, spec: {{containers: [{{name: a, image: b}}]}}}}}}}}"
    )
}

#[test]
fn a_pods_image_may_change_and_little_else() {
    assert_eq!(update_errors(POD, &POD.replace("image: b", "image: c")), NONE);
    let errors = update_errors(POD, &POD.replace("image: b", "image: b, command: [x]"));
    assert!(
        errors[0].starts_with("spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n"),
        "{errors:?}"
    );
    let errors = update_errors(POD, &POD.replace("[{", "[{name: z, image: z}, {"));
    assert_eq!(errors, ["spec.containers: Forbidden: pod updates may not add or remove containers"]);
    assert_eq!(update_errors(POD, &POD.replace("spec: {", "spec: {tolerations: [{operator: Exists}], ")), NONE);
}

#[test]
fn a_change_of_spec_counts_a_generation() {
    let (same, errors) = updated(Update::Main, &deployment("x", 1, "{}"), &deployment("x", 1, "{replicas: 9}"));
    assert_eq!(errors, NONE);
    assert_eq!((&same["metadata"]["generation"], &same["status"]), (&json!(1), &json!({})));
    let (more, _) = updated(Update::Main, &deployment("x", 1, "{}"), &deployment("x", 2, "{}"));
    assert_eq!(more["metadata"]["generation"], 2);
}

#[test]
fn status_changes_apart_from_spec() {
    let (object, errors) =
        updated(Update::Subresource("status"), &deployment("x", 1, "{}"), &deployment("z", 5, "{replicas: 3}"));
    assert_eq!(errors, NONE);
    assert_eq!(object["spec"]["replicas"], 1);
    assert_eq!(object["status"]["replicas"], 3);
    assert_eq!(object["metadata"]["generation"], 1);
}

#[test]
fn a_selector_stays() {
    assert_eq!(
        update_errors(&deployment("x", 1, "{}"), &deployment("z", 1, "{}")),
        [r#"spec.selector: Invalid value: {"matchLabels":{"app":"z"}}: field is immutable"#]
    );
}

#[test]
fn a_service_keeps_what_it_was_given() {
    let old = "{apiVersion: v1, kind: Service, spec: {type: NodePort, clusterIP: 10.0.0.9, ports: [{port: 80, nodePort: 30080}]}}";
    let (service, errors) = updated(
        Update::Main,
        old,
        "{apiVersion: v1, kind: Service, spec: {type: NodePort, ports: [{port: 80, targetPort: 8080}]}}",
    );
    assert_eq!(errors, NONE);
    assert_eq!(service["spec"]["clusterIP"], "10.0.0.9");
    assert_eq!(service["spec"]["clusterIPs"], json!(["10.0.0.9"]));
    assert_eq!(service["spec"]["ports"][0]["nodePort"], 30080);
    let (service, errors) = updated(Update::Main, old, &old.replace("NodePort", "ClusterIP"));
    assert_eq!(errors, NONE);
    assert_eq!(service["spec"]["ports"][0].get("nodePort"), None);
    assert_eq!(
        update_errors(old, &old.replace("10.0.0.9", "10.0.0.8")),
        [r#"spec.clusterIPs[0]: Invalid value: ["10.0.0.8"]: may not change once set"#]
    );
}

#[test]
fn what_is_closed_stays_closed() {
    let old = "{apiVersion: v1, kind: ConfigMap, immutable: true, data: {a: b}}";
    assert_eq!(
        update_errors(old, "{apiVersion: v1, kind: ConfigMap, data: {a: c}}"),
        [
            "immutable: Forbidden: field is immutable when `immutable` is set",
            "data: Forbidden: field is immutable when `immutable` is set",
        ]
    );
    assert_eq!(
        update_errors("{apiVersion: v1, kind: Secret}", "{apiVersion: v1, kind: Secret, type: other}"),
        [r#"type: Invalid value: "other": field is immutable"#]
    );
}

#[test]
fn a_namespaces_finalizers_go_by_their_own_door() {
    let old = "{apiVersion: v1, kind: Namespace, metadata: {name: dev}}";
    let new = "{apiVersion: v1, kind: Namespace, metadata: {name: dev}, spec: {finalizers: []}}";
    let (kept, _) = updated(Update::Main, old, new);
    assert_eq!(kept["spec"], json!({"finalizers": ["kubernetes"]}));
    let (gone, _) = updated(Update::Subresource("finalize"), old, new);
    assert_eq!(gone["spec"], json!({"finalizers": []}));
}

#[test]
fn a_resize_keeps_the_class_of_service() {
    let pod = |resources: &str| {
        format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: a}}, spec: {{containers: [{{name: c, image: i{resources}}}]}}}}"
        )
    };
    let (_, errors) = updated(Update::Subresource("resize"), &pod(""), &pod(", resources: {requests: {cpu: 100m}}"));
    assert_eq!(errors, [r#"spec: Invalid value: "BestEffort": Pod QOS Class may not change as a result of resizing"#]);
    let burstable = |cpu: &str| pod(&format!(", resources: {{requests: {{cpu: {cpu}}}}}"));
    assert_eq!(updated(Update::Subresource("resize"), &burstable("100m"), &burstable("200m")).1, [""; 0]);
}
