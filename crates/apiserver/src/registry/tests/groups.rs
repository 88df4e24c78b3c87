//! What is wrong with new objects outside the core group and `apps`.

use serde_json::json;

use super::{create_errors, created};

const NONE: [&str; 0] = [];

#[test]
fn jobs_and_schedules() {
    let job = |policy: &str| {
        created(&format!(
            "{{apiVersion: batch/v1, kind: Job, spec: {{template: {{spec: {{{policy} containers: [{{name: a, image: b}}]}}}}}}}}"
        ))
    };
    let (job_, errors) = job("restartPolicy: Never,");
    assert_eq!(errors, NONE);
    assert_eq!(job_["spec"]["selector"], json!({"matchLabels": {"batch.kubernetes.io/controller-uid": "u"}}));
    assert_eq!(job_["spec"]["template"]["metadata"]["labels"]["job-name"], "x");
    assert_eq!(job("").1, [r#"spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never""#]);
    let schedule = |schedule: &str| {
        create_errors(&format!(
            "{{apiVersion: batch/v1, kind: CronJob, spec: {{schedule: '{schedule}', jobTemplate: {{spec: {{template: {{spec: {{restartPolicy: Never, containers: [{{name: a, image: b}}]}}}}}}}}}}}}"
        ))
    };
    for right in ["*/5 * * * *", "0 9-17 * * mon-fri", "@hourly", "1,2 0 1 jan *"] {
        assert_eq!(schedule(right), NONE);
    }
    assert_eq!(
        schedule("* * *"),
        [r#"spec.schedule: Invalid value: "* * *": expected exactly 5 fields, found 3: [* * *]"#]
    );
    assert_eq!(
        schedule("61 * * * *"),
        [r#"spec.schedule: Invalid value: "61 * * * *": end of range (61) above maximum (59): 61"#]
    );
}

#[test]
fn the_other_groups() {
    let cases: [(&str, &[&str]); 8] = [
        (
            "{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, spec: {minReplicas: 3, maxReplicas: 2, scaleTargetRef: {kind: Deployment, name: web}}}",
            &["spec.maxReplicas: Invalid value: 2: must be greater than or equal to `minReplicas`"],
        ),
        (
            "{apiVersion: networking.k8s.io/v1, kind: Ingress, spec: {rules: [{http: {paths: [{path: a, pathType: Prefix, backend: {service: {name: s}}}]}}]}}",
            &[
                r#"spec.rules[0].http.paths[0].path: Invalid value: "a": must be an absolute path"#,
                "spec.rules[0].http.paths[0].backend: Required value: port name or number is required",
            ],
        ),
        (
            "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, spec: {ingress: [{from: [{}]}]}}",
            &["spec.ingress[0].from[0]: Required value: must specify a peer"],
        ),
        (
            "{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, rules: [{resources: [pods]}]}",
            &[
                "rules[0].verbs: Required value: verbs must contain at least one value",
                "rules[0].apiGroups: Required value: resource rules must supply at least one api group",
            ],
        ),
        (
            "{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, roleRef: {kind: Role, name: r}}",
            &[r#"roleRef.kind: Unsupported value: "Role": supported values: "ClusterRole""#],
        ),
        ("{apiVersion: storage.k8s.io/v1, kind: StorageClass}", &["provisioner: Required value"]),
        (
            "{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, value: 1000000001}",
            &["value: Forbidden: maximum allowed value of a user defined priority is 1000000000"],
        ),
        (
            "{apiVersion: coordination.k8s.io/v1, kind: Lease, spec: {leaseDurationSeconds: 0}}",
            &["spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0"],
        ),
    ];
    for (manifest, expected) in cases {
        assert_eq!(create_errors(manifest), expected, "{manifest}");
    }
}
