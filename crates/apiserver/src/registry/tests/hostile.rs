//! Whatever a client sends: no panic, and what defaults twice equals what defaults once.

use proptest::prelude::*;
use serde_json::Value;

use super::{manifest, now, row};
use crate::registry::Update;

/// Objects with much in them; one value of one of them is replaced.
const OBJECTS: [&str; 8] = [
    "{apiVersion: v1, kind: Pod, spec: {nodeName: a, initContainers: [{name: i, image: 'b:1', restartPolicy: Always}], containers: [{name: a, image: b, ports: [{containerPort: 80, hostPort: 80, protocol: TCP}], env: [{name: A, value: b}, {name: B, valueFrom: {fieldRef: {fieldPath: metadata.name}}}], resources: {requests: {cpu: 1, memory: 1Gi}, limits: {cpu: 2}}, livenessProbe: {httpGet: {path: /, port: web}, periodSeconds: 1}, volumeMounts: [{name: v, mountPath: /v, subPath: a}]}], volumes: [{name: v, secret: {secretName: s, items: [{key: a, path: b, mode: 1}]}}], tolerations: [{key: a, operator: Equal, value: b, effect: NoExecute, tolerationSeconds: 1}]}, status: {phase: Running, containerStatuses: [{name: a, image: i, imageID: '', ready: true, restartCount: 1, lastState: {terminated: {exitCode: 1, finishedAt: '2026-01-01T00:00:00Z'}}}]}}",
    "{apiVersion: apps/v1, kind: Deployment, spec: {replicas: 1, strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 25%, maxUnavailable: 1}}, selector: {matchLabels: {a: b}, matchExpressions: [{key: a, operator: In, values: [b]}]}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: a, image: b}]}}}, status: {replicas: 1, readyReplicas: 1}}",
    "{apiVersion: v1, kind: Service, spec: {type: LoadBalancer, clusterIP: 10.0.0.1, clusterIPs: [10.0.0.1], ipFamilies: [IPv4], externalIPs: [1.2.3.4], ports: [{name: a, port: 80, targetPort: web, nodePort: 30000}, {name: b, port: 81}], sessionAffinity: ClientIP}, status: {loadBalancer: {ingress: [{ip: 1.2.3.4}, {hostname: a}]}}}",
    "{apiVersion: batch/v1, kind: CronJob, spec: {schedule: '*/5 1-2 * jan mon', timeZone: Etc/UTC, jobTemplate: {spec: {completions: 1, parallelism: 1, template: {spec: {restartPolicy: Never, containers: [{name: a, image: b}]}}}}}, status: {lastScheduleTime: '2026-01-01T00:00:00Z'}}",
    "{apiVersion: autoscaling/v1, kind: HorizontalPodAutoscaler, spec: {minReplicas: 1, maxReplicas: 2, targetCPUUtilizationPercentage: 50, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: a}}}",
    "{apiVersion: networking.k8s.io/v1, kind: Ingress, spec: {rules: [{host: a.b, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: a, port: {number: 80}}}}]}}, {host: c}, {host: d}, {host: e}], tls: [{hosts: [a.b], secretName: s}]}}",
    "{apiVersion: v1, kind: Node, spec: {podCIDRs: [10.0.0.0/24], taints: [{key: a, value: b, effect: NoSchedule}]}, status: {capacity: {cpu: 1, memory: 1Ki}, conditions: [{type: Ready, status: 'True'}], addresses: [{type: InternalIP, address: 10.0.0.1}]}}",
    "{apiVersion: events.k8s.io/v1, kind: Event, eventTime: '2026-01-01T00:00:00.000000Z', regarding: {kind: Pod, name: a, namespace: default}, reason: r, action: a, note: n, reportingController: c, reportingInstance: i, deprecatedCount: 1, series: {count: 2, lastObservedTime: '2026-01-01T00:00:00.000000Z'}}",
];

/// The paths of all values in a tree.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(key, value)| pointers(value, &format!("{at}/{}", key.replace('/', "~1")), found))
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, value)| pointers(value, &format!("{at}/{index}"), found))
        }
        _ => {}
    }
}

fn anything() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<String>().prop_map(Value::from),
        "[-a-z0-9./%:*@ \\[\\]]{0,80}".prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        Just(Value::Null),
        Just(serde_json::json!([])),
        Just(serde_json::json!({})),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn nothing_a_client_sends_panics(which in 0..OBJECTS.len(), place in any::<prop::sample::Index>(), value in anything()) {
        let mut object = manifest(OBJECTS[which]);
        let row = row(&object);
        let mut places = Vec::new();
        pointers(&object, "", &mut places);
        places.retain(|at| !matches!(at.as_str(), "" | "/apiVersion" | "/kind"));
        if let Some(found) = object.pointer_mut(place.get(&places).as_str()) {
            *found = value;
        }
        let stored = match row.conversion {
            Some(conversion) => (conversion.to_stored)(object),
            None => object,
        };
        let Ok(mut new) = row.strategy.decode(stored) else { return Ok(()) };
        row.strategy.default(&mut *new);
        let once = new.to_value();
        row.strategy.default(&mut *new);
        prop_assert_eq!(once, new.to_value());
        let old = new.clone_object();
        row.before_create(&mut *new);
        row.before_update(Update::Main, &mut *new, &*old);
        row.before_update(Update::Subresource("status"), &mut *new, &*old);
        row.strategy.warnings(&*new, Some(&*old));
        prop_assert_eq!(row.cells(&*new, now()).len(), row.columns().len());
    }
}
