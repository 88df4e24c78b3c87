//! Defaults.

use serde_json::{Value, json};

use super::super::all;
use super::{created, defaulted};

#[test]
fn defaulting_nothing_twice_is_defaulting_once_for_every_kind() {
    for row in all() {
        let (api_version, kind) = (row.api_version(), row.kind);
        defaulted(&format!("{{apiVersion: {api_version}, kind: {kind}, metadata: {{name: x}}}}"));
    }
}

#[test]
fn a_pod_is_filled_in() {
    let pod = defaulted(
        "
        apiVersion: v1
        kind: Pod
        spec:
          serviceAccount: robot
          containers:
          - name: a
            image: nginx
            ports: [{containerPort: 80}]
            resources: {limits: {cpu: 1, memory: 1Gi}, requests: {cpu: 500m}}
            livenessProbe: {httpGet: {port: 80}}
            readinessProbe: {grpc: {port: 9}}
            env: [{name: NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]
          - {name: b, image: 'nginx:1.27'}
          - {name: c, image: 'host:5000/nginx'}
          - {name: d, image: 'nginx@sha256:abc'}
          volumes:
          - {name: none}
          - {name: map, configMap: {name: m}}
          - {name: token, projected: {sources: [{serviceAccountToken: {path: token}}]}}
          - {name: host, hostPath: {path: /tmp}}
        ",
    );
    let spec = &pod["spec"];
    let mut expected = json!({
        "dnsPolicy": "ClusterFirst",
        "restartPolicy": "Always",
        "schedulerName": "default-scheduler",
        "terminationGracePeriodSeconds": 30,
        "securityContext": {},
        "enableServiceLinks": true,
        "serviceAccount": "robot",
        "serviceAccountName": "robot",
        "volumes": [
            {"name": "none", "emptyDir": {}},
            {"name": "map", "configMap": {"name": "m", "defaultMode": 420}},
            {"name": "token", "projected": {"defaultMode": 420, "sources": [
                {"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}},
            ]}},
            {"name": "host", "hostPath": {"path": "/tmp", "type": ""}},
        ],
    });
    expected["containers"] = spec["containers"].clone();
    assert_eq!(*spec, expected);
    assert_eq!(
        spec["containers"][0],
        json!({
            "name": "a",
            "image": "nginx",
            "imagePullPolicy": "Always",
            "terminationMessagePath": "/dev/termination-log",
            "terminationMessagePolicy": "File",
            "ports": [{"containerPort": 80, "protocol": "TCP"}],
            "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m", "memory": "1Gi"}},
            "livenessProbe": {
                "httpGet": {"path": "/", "port": 80, "scheme": "HTTP"},
                "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3,
            },
            "readinessProbe": {
                "grpc": {"port": 9, "service": ""},
                "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3,
            },
            "env": [{"name": "NAME", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}}],
        })
    );
    let policies: Vec<&Value> =
        spec["containers"].as_array().unwrap().iter().map(|it| &it["imagePullPolicy"]).collect();
    assert_eq!(policies, ["Always", "IfNotPresent", "Always", "IfNotPresent"]);
}

#[test]
fn a_pod_on_the_nodes_network_has_the_nodes_ports() {
    let pod = defaulted(
        "{apiVersion: v1, kind: Pod, spec: {hostNetwork: true, containers: [{name: a, image: b, ports: [{containerPort: 80}]}]}}",
    );
    assert_eq!(pod["spec"]["containers"][0]["ports"][0]["hostPort"], 80);
}

#[test]
fn a_deployment_is_filled_in() {
    let deployment = defaulted(
        "{apiVersion: apps/v1, kind: Deployment, spec: {template: {spec: {containers: [{name: a, image: b, resources: {limits: {cpu: 1}}}]}}}}",
    );
    let spec = &deployment["spec"];
    assert_eq!(spec["replicas"], 1);
    assert_eq!(spec["revisionHistoryLimit"], 10);
    assert_eq!(spec["progressDeadlineSeconds"], 600);
    assert_eq!(
        spec["strategy"],
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}})
    );
    assert_eq!(spec["template"]["spec"]["restartPolicy"], "Always");
    // Pods request what they limit; templates leave that to their pods.
    assert_eq!(spec["template"]["spec"]["containers"][0]["resources"], json!({"limits": {"cpu": "1"}}));
    let recreate =
        defaulted("{apiVersion: apps/v1, kind: Deployment, spec: {strategy: {type: Recreate}, template: {}}}");
    assert_eq!(recreate["spec"]["strategy"], json!({"type": "Recreate"}));
}

#[test]
fn services_are_filled_in_by_their_type() {
    let service =
        defaulted("{apiVersion: v1, kind: Service, spec: {ports: [{port: 80}, {port: 81, targetPort: web}]}}");
    assert_eq!(
        service["spec"],
        json!({
            "type": "ClusterIP",
            "sessionAffinity": "None",
            "internalTrafficPolicy": "Cluster",
            "ports": [
                {"port": 80, "protocol": "TCP", "targetPort": 80},
                {"port": 81, "protocol": "TCP", "targetPort": "web"},
            ],
        })
    );
    let balancer = defaulted(
        "{apiVersion: v1, kind: Service, spec: {type: LoadBalancer, sessionAffinity: ClientIP, ports: [{port: 80}]}}",
    );
    assert_eq!(balancer["spec"]["externalTrafficPolicy"], "Cluster");
    assert_eq!(balancer["spec"]["allocateLoadBalancerNodePorts"], true);
    assert_eq!(balancer["spec"]["sessionAffinityConfig"], json!({"clientIP": {"timeoutSeconds": 10800}}));
    let (headless, errors) = created("{apiVersion: v1, kind: Service, spec: {clusterIP: None}}");
    assert_eq!(errors, [""; 0]);
    assert_eq!(headless["spec"]["clusterIPs"], json!(["None"]));
    assert_eq!(headless["spec"]["ipFamilies"], json!(["IPv4", "IPv6"]));
    assert_eq!(headless["spec"]["ipFamilyPolicy"], "RequireDualStack");
}

#[test]
fn texts_of_a_secret_become_data() {
    let secret = defaulted("{apiVersion: v1, kind: Secret, data: {a: eA==}, stringData: {b: z}}");
    assert_eq!(secret["data"], json!({"a": "eA==", "b": "eg=="}));
    assert_eq!(secret["type"], "Opaque");
    assert_eq!(secret.get("stringData"), None);
}

#[test]
fn a_namespace_carries_its_name() {
    let (namespace, errors) = created("{apiVersion: v1, kind: Namespace, metadata: {name: dev}}");
    assert_eq!(errors, [""; 0]);
    assert_eq!(namespace["metadata"]["labels"], json!({"kubernetes.io/metadata.name": "dev"}));
    assert_eq!(namespace["spec"], json!({"finalizers": ["kubernetes"]}));
    assert_eq!(namespace["status"], json!({"phase": "Active"}));
}

#[test]
fn newer_events_are_stored_as_older_ones() {
    let event = defaulted(
        "
        apiVersion: events.k8s.io/v1
        kind: Event
        regarding: {kind: Pod, name: a}
        note: hello
        reportingController: kubelet
        ",
    );
    assert_eq!(event["apiVersion"], "v1");
    assert_eq!(event["involvedObject"], json!({"kind": "Pod", "name": "a"}));
    assert_eq!(event["message"], "hello");
    let conversion = super::super::by_resource("events.k8s.io", "v1", "events").unwrap().conversion.unwrap();
    let back = (conversion.from_stored)(event);
    assert_eq!(back["note"], "hello");
    assert_eq!(back["reportingController"], "kubelet");
}

#[test]
fn the_first_autoscaling_version_is_the_second_with_less() {
    let autoscaler = defaulted(
        "{apiVersion: autoscaling/v1, kind: HorizontalPodAutoscaler, spec: {maxReplicas: 3, targetCPUUtilizationPercentage: 50, scaleTargetRef: {kind: Deployment, name: a}}}",
    );
    assert_eq!(autoscaler["apiVersion"], "autoscaling/v2");
    assert_eq!(autoscaler["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"], 50);
    let conversion = super::super::by_kind("autoscaling", "v1", "HorizontalPodAutoscaler").unwrap().conversion.unwrap();
    let back = (conversion.from_stored)(autoscaler.clone());
    assert_eq!(
        back["spec"],
        json!({
            "maxReplicas": 3, "minReplicas": 1, "targetCPUUtilizationPercentage": 50,
            "scaleTargetRef": {"kind": "Deployment", "name": "a"},
        })
    );
    assert_eq!((conversion.to_stored)(back), autoscaler);
}

#[test]
fn the_other_groups_are_filled_in() {
    let cases = [
        (
            "{apiVersion: apps/v1, kind: DaemonSet}",
            "/spec/updateStrategy",
            json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}),
        ),
        (
            "{apiVersion: apps/v1, kind: StatefulSet}",
            "/spec/persistentVolumeClaimRetentionPolicy",
            json!({"whenDeleted": "Retain", "whenScaled": "Retain"}),
        ),
        ("{apiVersion: batch/v1, kind: Job}", "/spec/backoffLimit", json!(6)),
        ("{apiVersion: batch/v1, kind: CronJob}", "/spec/concurrencyPolicy", json!("Allow")),
        (
            "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, spec: {egress: [{}]}}",
            "/spec/policyTypes",
            json!(["Ingress", "Egress"]),
        ),
        (
            "{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, roleRef: {kind: Role, name: a}}",
            "/roleRef/apiGroup",
            json!("rbac.authorization.k8s.io"),
        ),
        ("{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass}", "/preemptionPolicy", json!("PreemptLowerPriority")),
        ("{apiVersion: v1, kind: PersistentVolume}", "/spec/persistentVolumeReclaimPolicy", json!("Retain")),
        (
            "{apiVersion: v1, kind: LimitRange, spec: {limits: [{type: Container, max: {cpu: 1}}]}}",
            "/spec/limits/0/defaultRequest",
            json!({"cpu": "1"}),
        ),
    ];
    for (manifest, path, expected) in cases {
        assert_eq!(defaulted(manifest).pointer(path), Some(&expected), "{manifest}");
    }
}
