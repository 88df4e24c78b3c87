//! What is wrong with new objects, in upstream's words.

use serde_json::json;

use super::{create_errors, created};

const NONE: [&str; 0] = [];

fn pod(spec: &str) -> Vec<String> {
    create_errors(&format!("{{apiVersion: v1, kind: Pod, spec: {spec}}}"))
}

/// A pod with one container, of which `fields` says more than name and image.
fn container(fields: &str) -> Vec<String> {
    pod(&format!("{{containers: [{{name: a, image: b, {fields}}}]}}"))
}

#[test]
fn a_right_pod_is_right() {
    let (pod, errors) =
        created("{apiVersion: v1, kind: Pod, status: {phase: Running}, spec: {containers: [{name: a, image: b}]}}");
    assert_eq!(errors, NONE);
    assert_eq!(pod["status"], json!({"phase": "Pending", "qosClass": "BestEffort"}));
    assert_eq!(pod["metadata"]["generation"], 1);
}

#[test]
fn metadata() {
    let cases = [
        (
            "{name: Web}",
            r"metadata.name: Invalid value: 'Web': a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
        ),
        ("{name: ''}", "metadata.name: Required value: name or generateName is required"),
        (
            "{finalizers: [orphan, foregroundDeletion]}",
            "metadata.finalizers: Invalid value: ['orphan','foregroundDeletion']: finalizer orphan and foregroundDeletion cannot be both set",
        ),
        (
            "{ownerReferences: [{apiVersion: v1, kind: Pod, name: a, uid: ''}]}",
            "metadata.ownerReferences.uid: Invalid value: '': must not be empty",
        ),
    ];
    for (metadata, expected) in cases {
        let errors = create_errors(&format!("{{apiVersion: v1, kind: ConfigMap, metadata: {metadata}}}"));
        let expected = match expected.split_once("Invalid value: ") {
            Some((path, rest)) => {
                let (value, detail) = rest.split_once(": ").unwrap();
                format!("{path}Invalid value: {}: {detail}", value.replace('\'', "\""))
            }
            None => expected.to_owned(),
        };
        assert_eq!(errors, [expected]);
    }
    let errors = create_errors("{apiVersion: v1, kind: Node, metadata: {namespace: a}}");
    assert_eq!(errors, ["metadata.namespace: Forbidden: not allowed on this type"]);
}

#[test]
fn containers() {
    assert_eq!(pod("{}"), ["spec.containers: Required value"]);
    assert_eq!(pod("{containers: [{name: a}]}"), ["spec.containers[0].image: Required value"]);
    assert_eq!(pod("{containers: [{image: a}]}"), ["spec.containers[0].name: Required value"]);
    assert_eq!(
        pod("{containers: [{name: a, image: b}, {name: a, image: b}]}"),
        [r#"spec.containers[1].name: Duplicate value: "a""#]
    );
    assert_eq!(
        pod("{containers: [{name: a.b, image: ' c'}]}"),
        [
            r#"spec.containers[0].name: Invalid value: "a.b": must not contain dots"#,
            r#"spec.containers[0].image: Invalid value: " c": must not have leading or trailing whitespace"#,
        ]
    );
    assert_eq!(
        container("imagePullPolicy: Sometimes"),
        [
            r#"spec.containers[0].imagePullPolicy: Unsupported value: "Sometimes": supported values: "Always", "IfNotPresent", "Never""#
        ]
    );
    assert_eq!(
        container("ports: [{name: web, containerPort: 80}, {name: web, containerPort: 70000}, {protocol: X}]"),
        [
            r#"spec.containers[0].ports[1].name: Duplicate value: "web""#,
            "spec.containers[0].ports[1].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
            "spec.containers[0].ports[2].containerPort: Required value",
            r#"spec.containers[0].ports[2].protocol: Unsupported value: "X": supported values: "SCTP", "TCP", "UDP""#,
        ]
    );
    assert_eq!(
        pod("{containers: [{name: a, image: b}], initContainers: [{name: a, image: b, lifecycle: {}}]}"),
        [
            r#"spec.initContainers[0].name: Duplicate value: "a""#,
            "spec.initContainers[0].lifecycle: Forbidden: may not be set for init containers without restartPolicy=Always",
        ]
    );
}

#[test]
fn resources() {
    assert_eq!(
        container("resources: {requests: {cpu: 2}, limits: {cpu: 1}}"),
        [r#"spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1"#]
    );
    assert_eq!(
        container("resources: {limits: {memory: -1}}"),
        [
            r#"spec.containers[0].resources.limits[memory]: Invalid value: "-1": must be greater than or equal to 0"#,
            r#"spec.containers[0].resources.requests[memory]: Invalid value: "-1": must be greater than or equal to 0"#,
        ]
    );
    assert_eq!(
        container("resources: {requests: {apples: 1}}"),
        [
            r#"spec.containers[0].resources.requests[apples]: Invalid value: "apples": must be a standard resource type or fully qualified"#,
            r#"spec.containers[0].resources.requests[apples]: Invalid value: "apples": must be a standard resource for containers"#,
        ]
    );
    assert_eq!(
        container("resources: {requests: {example.com/gpu: 1}}"),
        ["spec.containers[0].resources.limits: Required value: Limit must be set for non overcommitable resources"]
    );
}

#[test]
fn environment_and_mounts() {
    assert_eq!(container("env: [{value: a}]"), ["spec.containers[0].env[0].name: Required value"]);
    assert_eq!(
        container("env: [{name: A, value: a, valueFrom: {fieldRef: {fieldPath: metadata.nam}}}]"),
        [
            r#"spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Invalid value: "metadata.nam": error converting fieldPath: field label not supported: metadata.nam"#,
            r#"spec.containers[0].env[0].valueFrom: Invalid value: "": may not be specified when `value` is not empty"#,
        ]
    );
    assert_eq!(
        container("volumeMounts: [{name: data, mountPath: /a}]"),
        [r#"spec.containers[0].volumeMounts[0].name: Not found: "data""#]
    );
    assert_eq!(
        pod(
            "{containers: [{name: a, image: b, volumeMounts: [{name: v, mountPath: /a}, {name: v, mountPath: /a, subPath: ../x}]}], volumes: [{name: v}]}"
        ),
        [
            r#"spec.containers[0].volumeMounts[1].mountPath: Invalid value: "/a": must be unique"#,
            r#"spec.containers[0].volumeMounts[1].subPath: Invalid value: "../x": must not contain '..'"#,
        ]
    );
    assert_eq!(
        pod(
            "{containers: [{name: a, image: b}], volumes: [{name: v, secret: {}}, {name: v, configMap: {name: c}, emptyDir: {}}]}"
        ),
        [
            "spec.volumes[0].secret.secretName: Required value",
            "spec.volumes[1].emptyDir: Forbidden: may not specify more than 1 volume type",
            r#"spec.volumes[1].name: Duplicate value: "v""#,
        ]
    );
}

#[test]
fn probes() {
    assert_eq!(
        container("livenessProbe: {}, readinessProbe: {httpGet: {port: 0}, periodSeconds: -1}"),
        [
            "spec.containers[0].livenessProbe: Required value: must specify a handler type",
            "spec.containers[0].readinessProbe.httpGet.port: Invalid value: 0: must be between 1 and 65535, inclusive",
            "spec.containers[0].readinessProbe.periodSeconds: Invalid value: -1: must be greater than or equal to 0",
        ]
    );
    assert_eq!(
        container("livenessProbe: {exec: {command: [a]}, tcpSocket: {port: 1}, successThreshold: 2}"),
        [
            "spec.containers[0].livenessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type",
            "spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1",
        ]
    );
}

#[test]
fn the_rest_of_a_pod() {
    let with = |field: &str| pod(&format!("{{containers: [{{name: a, image: b}}], {field}}}"));
    assert_eq!(
        with("restartPolicy: Often"),
        [r#"spec.restartPolicy: Unsupported value: "Often": supported values: "Always", "OnFailure", "Never""#]
    );
    assert_eq!(
        with("tolerations: [{operator: Equal}]"),
        [
            r#"spec.tolerations[0].operator: Invalid value: "Equal": operator must be Exists when `key` is empty, which means "match all values and all keys""#
        ]
    );
    assert_eq!(
        with("affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: []}}}"),
        [
            "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms: Required value: must have at least one node selector term"
        ]
    );
    assert_eq!(
        with("activeDeadlineSeconds: 0"),
        ["spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive"]
    );
    assert_eq!(
        with("securityContext: {runAsUser: -1}"),
        ["spec.securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive"]
    );
}

#[test]
fn deployments() {
    let deployment = |spec: &str| create_errors(&format!("{{apiVersion: apps/v1, kind: Deployment, spec: {spec}}}"));
    let template = "template: {metadata: {labels: {app: x}}, spec: {containers: [{name: a, image: b}]}}";
    assert_eq!(deployment(&format!("{{selector: {{matchLabels: {{app: x}}}}, {template}}}")), NONE);
    assert_eq!(
        deployment(&format!("{{selector: {{matchLabels: {{app: z}}}}, {template}}}")),
        [r#"spec.template.metadata.labels: Invalid value: {"app":"x"}: `selector` does not match template `labels`"#]
    );
    assert_eq!(
        deployment(&format!("{{{template}}}")),
        [
            "spec.selector: Required value",
            r#"spec.template.metadata.labels: Invalid value: {"app":"x"}: `selector` does not match template `labels`"#,
        ]
    );
    assert_eq!(
        deployment(
            "{replicas: -1, selector: {matchLabels: {app: x}}, template: {metadata: {labels: {app: x}}, spec: {restartPolicy: Never, containers: [{name: a, image: b}]}}}"
        ),
        [
            "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
            r#"spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always""#,
        ]
    );
    assert_eq!(
        deployment(&format!(
            "{{strategy: {{rollingUpdate: {{maxSurge: 0, maxUnavailable: 0%}}}}, selector: {{matchLabels: {{app: x}}}}, {template}}}"
        )),
        [r#"spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "0%": may not be 0 when `maxSurge` is 0"#]
    );
}

#[test]
fn stateful_sets_mount_their_claims() {
    let errors = create_errors(
        "{apiVersion: apps/v1, kind: StatefulSet, spec: {selector: {matchLabels: {app: x}}, template: {metadata: {labels: {app: x}}, spec: {containers: [{name: a, image: b, volumeMounts: [{name: data, mountPath: /data}]}]}}, volumeClaimTemplates: [{metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}]}}",
    );
    assert_eq!(errors, NONE);
}

#[test]
fn services() {
    let service = |spec: &str| create_errors(&format!("{{apiVersion: v1, kind: Service, spec: {spec}}}"));
    assert_eq!(service("{ports: [{port: 80}]}"), NONE);
    assert_eq!(service("{}"), ["spec.ports: Required value"]);
    assert_eq!(
        service("{ports: [{port: 80}, {port: 80}]}"),
        [
            "spec.ports[0].name: Required value",
            "spec.ports[1].name: Required value",
            r#"spec.ports[1]: Duplicate value: {"AppProtocol":null,"Name":"","NodePort":0,"Port":80,"Protocol":"TCP","TargetPort":0}"#,
        ]
    );
    assert_eq!(
        service("{ports: [{port: 0, nodePort: 30000}]}"),
        [
            "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
            "spec.ports[0].targetPort: Invalid value: 0: must be between 1 and 65535, inclusive",
            "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
        ]
    );
    assert_eq!(
        service("{type: NodePort, clusterIP: None, ports: [{port: 80}]}"),
        [r#"spec.clusterIPs[0]: Invalid value: "None": may not be set to 'None' for NodePort services"#]
    );
    assert_eq!(service("{type: ExternalName}"), ["spec.externalName: Required value"]);
    let errors = create_errors("{apiVersion: v1, kind: Service, metadata: {name: 1a}, spec: {ports: [{port: 80}]}}");
    assert_eq!(
        errors,
        [
            r#"metadata.name: Invalid value: "1a": a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"#
        ]
    );
}

#[test]
fn data() {
    let errors = create_errors("{apiVersion: v1, kind: ConfigMap, data: {'a b': x, c: z}, binaryData: {c: eA==}}");
    assert_eq!(
        errors,
        [
            r#"data[a b]: Invalid value: "a b": a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"#,
            r#"binaryData[c]: Invalid value: "c": duplicate of key present in data"#,
        ]
    );
    let errors = create_errors(&format!("{{apiVersion: v1, kind: ConfigMap, data: {{a: '{}'}}}}", "x".repeat(1 << 21)));
    assert_eq!(errors, ["[]: Too long: may not be more than 1048576 bytes"]);
    assert_eq!(
        create_errors("{apiVersion: v1, kind: Secret, type: kubernetes.io/tls}"),
        ["data[tls.crt]: Required value", "data[tls.key]: Required value"]
    );
}

#[test]
fn events_are_where_their_object_is() {
    assert_eq!(
        create_errors("{apiVersion: v1, kind: Event, involvedObject: {kind: Pod, name: a, namespace: other}}"),
        [r#"involvedObject.namespace: Invalid value: "other": does not match event.namespace"#]
    );
    assert_eq!(create_errors("{apiVersion: v1, kind: Event, involvedObject: {kind: Node, name: a}}"), NONE);
}

#[test]
fn what_is_unwise_is_warned_of() {
    let warnings = |yaml: &str| {
        let value = super::manifest(yaml);
        super::row(&value).strategy.warnings(&*super::decode(&value), None)
    };
    assert_eq!(
        warnings(
            "{apiVersion: v1, kind: Pod, spec: {terminationGracePeriodSeconds: -1, nodeSelector: {beta.kubernetes.io/os: linux}, containers: [{name: a, image: b, env: [{name: A, value: a}, {name: A, value: b}], ports: [{containerPort: 1}, {containerPort: 1}], resources: {requests: {memory: 100m}}}]}}"
        ),
        [
            r#"spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use "kubernetes.io/os" instead"#,
            r#"spec.containers[0].resources.requests[memory]: fractional byte value "100m" is invalid, must be an integer"#,
            r#"spec.containers[0].env[1]: hides previous definition of "A", which may be dropped when using apply"#,
            "spec.containers[0].ports[1]: duplicate port definition with spec.containers[0].ports[0]",
            "spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1",
        ]
    );
    assert_eq!(
        warnings("{apiVersion: v1, kind: Service, spec: {externalName: a, ports: [{port: 80}]}}"),
        [r#"spec.externalName is ignored when spec.type is not "ExternalName""#]
    );
}
