//! What tables show.

use super::cells;

/// Ready, status and restarts of a pod with containers `a` and `b`.
fn pod(metadata: &str, spec: &str, status: &str) -> String {
    let cells = cells(&format!(
        "{{apiVersion: v1, kind: Pod, metadata: {metadata}, spec: {{{spec} containers: [{{name: a, image: i}}, {{name: b, image: i}}]}}, status: {status}}}"
    ));
    format!("{} {} {}", cells[1], cells[2], cells[3])
}

#[test]
fn pods_are_summed_up() {
    let running = "{running: {startedAt: '2026-01-01T00:00:00Z'}}";
    let status = |a: &str, b: &str| format!("{{phase: Running, containerStatuses: [{a}, {b}]}}");
    let one = |name: &str, ready: bool, restarts: u32, state: &str, more: &str| {
        format!(
            "{{name: {name}, image: i, imageID: '', ready: {ready}, restartCount: {restarts}, state: {state}{more}}}"
        )
    };
    let up = one("b", true, 0, running, "");
    let crashed = "{terminated: {exitCode: 1, reason: Error, finishedAt: '2025-12-30T00:00:00Z'}}";
    let cases = [
        (pod("{}", "", "{phase: Pending}"), "0/2 Pending 0"),
        (pod("{}", "", &status(&one("a", true, 0, running, ""), &up)), "2/2 Running 0"),
        (
            pod("{}", "", &status(&one("a", false, 0, "{waiting: {reason: ContainerCreating}}", ""), &up)),
            "1/2 ContainerCreating 0",
        ),
        (
            pod(
                "{}",
                "",
                &status(
                    &one("a", false, 4, "{waiting: {reason: CrashLoopBackOff}}", &format!(", lastState: {crashed}")),
                    &up,
                ),
            ),
            "1/2 CrashLoopBackOff 4 (3d ago)",
        ),
        (
            pod("{}", "", &status(&one("a", false, 0, "{terminated: {exitCode: 137, signal: 9}}", ""), &up)),
            "1/2 Signal:9 0",
        ),
        (pod("{}", "", &status(&one("a", false, 0, "{terminated: {exitCode: 2}}", ""), &up)), "1/2 ExitCode:2 0"),
        (
            pod("{}", "", &status(&one("a", false, 0, "{terminated: {exitCode: 0, reason: Completed}}", ""), &up)),
            "1/2 NotReady 0",
        ),
        (
            pod("{deletionTimestamp: '2026-01-01T00:00:00Z'}", "", &status(&up.replace("name: b", "name: a"), &up)),
            "2/2 Terminating 0",
        ),
        (pod("{deletionTimestamp: '2026-01-01T00:00:00Z'}", "", "{phase: Running, reason: NodeLost}"), "0/2 Unknown 0"),
        (pod("{}", "", "{phase: Failed, reason: Evicted}"), "0/2 Evicted 0"),
        (
            pod(
                "{}",
                "",
                "{phase: Pending, conditions: [{type: PodScheduled, status: 'False', reason: SchedulingGated}]}",
            ),
            "0/2 SchedulingGated 0",
        ),
        (
            pod(
                "{}",
                "initContainers: [{name: i, image: i}, {name: j, image: i}],",
                "{phase: Pending, initContainerStatuses: [{name: i, image: i, imageID: '', ready: false, restartCount: 0, state: {running: {}}}, {name: j, image: i, imageID: '', ready: false, restartCount: 0, state: {waiting: {reason: PodInitializing}}}]}",
            ),
            "0/2 Init:0/2 0",
        ),
        (
            pod(
                "{}",
                "initContainers: [{name: i, image: i}],",
                &format!(
                    "{{phase: Pending, initContainerStatuses: [{{name: i, image: i, imageID: '', ready: false, restartCount: 2, state: {crashed}}}]}}"
                ),
            ),
            "0/2 Init:Error 2",
        ),
        (
            pod(
                "{}",
                "initContainers: [{name: i, image: i, restartPolicy: Always}],",
                &format!(
                    "{{phase: Running, initContainerStatuses: [{{name: i, image: i, imageID: '', ready: true, started: true, restartCount: 0, state: {running}}}], containerStatuses: [{up}]}}"
                ),
            ),
            "2/3 Running 0",
        ),
    ];
    for (actual, expected) in cases {
        assert_eq!(actual, expected);
    }
}

#[test]
fn a_pod_says_where_it_is() {
    let cells = cells(
        "{apiVersion: v1, kind: Pod, spec: {nodeName: n1, readinessGates: [{conditionType: a}], containers: []}, status: {podIP: 10.0.0.1, conditions: [{type: a, status: 'True'}]}}",
    );
    assert_eq!(cells[4..], ["24h", "10.0.0.1", "n1", "<none>", "1/1"]);
}

#[test]
fn services_say_how_they_are_reached() {
    let service = |spec: &str, status: &str| {
        let cells = cells(&format!("{{apiVersion: v1, kind: Service, spec: {spec}, status: {status}}}"));
        cells[1..5].join(" ")
    };
    assert_eq!(service("{clusterIP: 10.0.0.1, ports: [{port: 80}]}", "{}"), "ClusterIP 10.0.0.1 <none> 80/TCP");
    assert_eq!(
        service(
            "{type: NodePort, clusterIP: 10.0.0.1, ports: [{port: 80, nodePort: 30080}, {port: 53, protocol: UDP}]}",
            "{}"
        ),
        "NodePort 10.0.0.1 <none> 80:30080/TCP,53/UDP"
    );
    assert_eq!(service("{type: LoadBalancer, clusterIP: 10.0.0.1}", "{}"), "LoadBalancer 10.0.0.1 <pending> <none>");
    assert_eq!(
        service(
            "{type: LoadBalancer, clusterIP: 10.0.0.1, externalIPs: [1.2.3.4]}",
            "{loadBalancer: {ingress: [{hostname: localhost}]}}"
        ),
        "LoadBalancer 10.0.0.1 localhost,1.2.3.4 <none>"
    );
    assert_eq!(service("{type: ExternalName, externalName: a.b}", "{}"), "ExternalName <none> a.b <none>");
}

#[test]
fn endpoints_show_the_first_three() {
    let endpoints =
        |subsets: &str| cells(&format!("{{apiVersion: v1, kind: Endpoints, subsets: {subsets}}}"))[1].clone();
    assert_eq!(endpoints("[]"), "<none>");
    assert_eq!(
        endpoints("[{addresses: [{ip: 10.0.0.1}, {ip: 10.0.0.2}], ports: [{port: 80}, {port: 81}]}]"),
        "10.0.0.1:80,10.0.0.2:80,10.0.0.1:81 + 1 more..."
    );
}

#[test]
fn workloads_count_their_pods() {
    let deployment = cells(
        "{apiVersion: apps/v1, kind: Deployment, spec: {replicas: 3, selector: {matchLabels: {app: x}}, template: {spec: {containers: [{name: a, image: b}]}}}, status: {readyReplicas: 2, updatedReplicas: 3, availableReplicas: 1}}",
    );
    assert_eq!(deployment, ["x", "2/3", "3", "1", "24h", "a", "b", "app=x"]);
    let set = cells(
        "{apiVersion: apps/v1, kind: ReplicaSet, spec: {replicas: 3, selector: {matchLabels: {app: x}}}, status: {replicas: 3, readyReplicas: 2}}",
    );
    assert_eq!(set, ["x", "3", "3", "2", "24h", "", "", "app=x"]);
}

#[test]
fn nodes_and_events() {
    let node = cells(
        "{apiVersion: v1, kind: Node, metadata: {labels: {node-role.kubernetes.io/control-plane: ''}}, spec: {unschedulable: true}, status: {conditions: [{type: Ready, status: 'True'}], addresses: [{type: InternalIP, address: 10.0.0.1}], nodeInfo: {kubeletVersion: v1.37.0}}}",
    );
    assert_eq!(
        node,
        [
            "x",
            "Ready,SchedulingDisabled",
            "control-plane",
            "24h",
            "v1.37.0",
            "10.0.0.1",
            "<none>",
            "<unknown>",
            "<unknown>",
            "<unknown>"
        ]
    );
    let event = cells(
        "{apiVersion: v1, kind: Event, involvedObject: {kind: Pod, name: web}, type: Normal, reason: Pulled, message: ' done ', source: {component: kubelet, host: n1}, firstTimestamp: '2026-01-01T23:50:00Z', lastTimestamp: '2026-01-01T23:59:00Z', count: 3}",
    );
    assert_eq!(event, ["60s", "Normal", "Pulled", "pod/web", "", "kubelet, n1", "done", "10m", "3", "x"]);
}

#[test]
fn the_other_groups() {
    let cases: [(&str, &[&str]); 9] = [
        (
            "{apiVersion: batch/v1, kind: Job, spec: {completions: 3, template: {spec: {containers: [{name: a, image: b}]}}}, status: {succeeded: 1, startTime: '2026-01-01T23:58:00Z'}}",
            &["x", "Running", "1/3", "2m", "24h", "a", "b", "<none>"],
        ),
        (
            "{apiVersion: batch/v1, kind: CronJob, spec: {schedule: '* * * * *', jobTemplate: {spec: {template: {spec: {containers: [{name: a, image: b}]}}}}}, status: {lastScheduleTime: '2026-01-01T23:59:30Z'}}",
            &["x", "* * * * *", "<none>", "False", "0", "30s", "24h", "a", "b", "<none>"],
        ),
        (
            "{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, spec: {maxReplicas: 5, scaleTargetRef: {kind: Deployment, name: web}}, status: {currentReplicas: 2, desiredReplicas: 2, currentMetrics: [{type: Resource, resource: {name: cpu, current: {averageUtilization: 12}}}]}}",
            &["x", "Deployment/web", "cpu: 12%/80%", "1", "5", "2", "24h"],
        ),
        (
            "{apiVersion: networking.k8s.io/v1, kind: Ingress, spec: {ingressClassName: nginx, rules: [{host: a.b}, {host: c.d}], tls: [{}]}}",
            &["x", "nginx", "a.b,c.d", "", "80, 443", "24h"],
        ),
        (
            "{apiVersion: policy/v1, kind: PodDisruptionBudget, spec: {minAvailable: 50%}, status: {disruptionsAllowed: 1}}",
            &["x", "50%", "N/A", "1", "24h"],
        ),
        (
            "{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, roleRef: {kind: Role, name: r}, subjects: [{kind: ServiceAccount, name: s, namespace: d}, {kind: User, name: u}]}",
            &["x", "Role/r", "24h", "u", "", "d/s"],
        ),
        ("{apiVersion: rbac.authorization.k8s.io/v1, kind: Role}", &["x", "2026-01-01T00:00:00Z"]),
        (
            "{apiVersion: storage.k8s.io/v1, kind: StorageClass, provisioner: p, metadata: {annotations: {storageclass.kubernetes.io/is-default-class: 'true'}}}",
            &["x (default)", "p", "Delete", "Immediate", "false", "24h"],
        ),
        (
            "{apiVersion: v1, kind: PersistentVolumeClaim, spec: {volumeName: v, storageClassName: s}, status: {phase: Bound, capacity: {storage: 1Gi}, accessModes: [ReadWriteMany, ReadWriteOnce]}}",
            &["x", "Bound", "v", "1Gi", "RWO,RWX", "s", "<unset>", "24h", "Filesystem"],
        ),
    ];
    for (manifest, expected) in cases {
        assert_eq!(cells(manifest), expected);
    }
}

#[test]
fn every_kind_has_a_cell_for_each_column() {
    for row in super::super::all() {
        cells(&format!("{{apiVersion: {}, kind: {}}}", row.api_version(), row.kind));
    }
}
