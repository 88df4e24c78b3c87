//! Built-in admission that namespaces and classes ask for: limits, quotas, pod security, defaults.

use serde_json::{Value, json};

use crate::bench::{Bench, DEPLOYMENTS, PODS, SERVICES, deployment, pod, service};

const QUOTAS: &str = "/api/v1/namespaces/default/resourcequotas";
const CLAIMS: &str = "/api/v1/namespaces/default/persistentvolumeclaims";

fn quota(bench: &Bench, name: &str, spec: Value) {
    bench.tell(&format!("POST {QUOTAS}"), &json!({"metadata": {"name": name}, "spec": spec})).expect(201);
}

fn limits(bench: &Bench, limits: Value) {
    let range = json!({"metadata": {"name": "limits"}, "spec": {"limits": limits}});
    bench.tell("POST /api/v1/namespaces/default/limitranges", &range).expect(201);
}

fn asking(name: &str, resources: Value) -> Value {
    let mut pod = pod(name);
    pod["spec"]["containers"][0]["resources"] = resources;
    pod
}

fn create(bench: &Bench, pod: &Value) -> crate::bench::Answer {
    bench.tell(&format!("POST {PODS}"), pod)
}

#[test]
fn quotas_are_charged_with_the_write_and_never_exceeded() {
    let bench = Bench::new();
    create(&bench, &pod("before")).expect(201);
    quota(&bench, "q", json!({"hard": {"pods": "2", "count/deployments.apps": "1", "services": "2"}}));
    create(&bench, &pod("a")).expect(201);
    assert_eq!(bench.ask(&format!("GET {QUOTAS}/q")).at("/status/used/pods"), json!("2"));
    assert_eq!(
        create(&bench, &pod("b")).expect(403).message(),
        "pods \"b\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2"
    );
    // What is refused, and what is only tried, costs nothing.
    bench.tell(&format!("POST {SERVICES}?dryRun=All"), &service("s", json!({"ports": [{"port": 80}]}))).expect(201);
    bench.tell(&format!("POST {SERVICES}"), &service("s", json!({"ports": [{"port": 80}]}))).expect(201);
    bench.tell(&format!("POST {DEPLOYMENTS}"), &deployment("d")).expect(201);
    assert_eq!(
        bench.tell(&format!("POST {DEPLOYMENTS}"), &deployment("e")).expect(403).message(),
        "deployments.apps \"e\" is forbidden: exceeded quota: q, requested: count/deployments.apps=1, used: count/deployments.apps=1, limited: count/deployments.apps=1"
    );
    let used = bench.ask(&format!("GET {QUOTAS}/q")).at("/status/used");
    assert_eq!(used, json!({"pods": "2", "count/deployments.apps": "1", "services": "2"}));
}

#[test]
fn quotas_of_compute_want_to_be_told() {
    let bench = Bench::new();
    quota(&bench, "compute", json!({"hard": {"requests.cpu": "1", "limits.memory": "1Gi"}}));
    assert_eq!(
        create(&bench, &pod("a")).expect(403).message(),
        "pods \"a\" is forbidden: failed quota: compute: must specify limits.memory for: web; requests.cpu for: web"
    );
    let half = json!({"requests": {"cpu": "600m"}, "limits": {"memory": "256Mi"}});
    create(&bench, &asking("a", half.clone())).expect(201);
    assert_eq!(
        create(&bench, &asking("b", half)).expect(403).message(),
        "pods \"b\" is forbidden: exceeded quota: compute, requested: requests.cpu=600m, used: requests.cpu=600m, limited: requests.cpu=1"
    );
}

#[test]
fn quotas_have_scopes_and_grow_with_updates() {
    let bench = Bench::new();
    quota(&bench, "best-effort", json!({"hard": {"pods": "1"}, "scopes": ["BestEffort"]}));
    create(&bench, &asking("burstable", json!({"requests": {"cpu": "1m"}}))).expect(201);
    create(&bench, &pod("a")).expect(201);
    create(&bench, &pod("b")).expect(403);
    quota(&bench, "balancers", json!({"hard": {"services.loadbalancers": "0", "services.nodeports": "1"}}));
    let ports = json!([{"port": 80}]);
    bench.tell(&format!("POST {SERVICES}"), &service("s", json!({"ports": ports}))).expect(201);
    bench.patch(&format!("{SERVICES}/s"), "merge-patch+json", &json!({"spec": {"type": "LoadBalancer"}})).expect(403);
    bench.patch(&format!("{SERVICES}/s"), "merge-patch+json", &json!({"spec": {"type": "NodePort"}})).expect(200);
    let used = bench.ask(&format!("GET {QUOTAS}/balancers")).at("/status/used");
    assert_eq!(used, json!({"services.loadbalancers": "0", "services.nodeports": "1"}));
}

#[test]
fn a_quota_holds_under_contention() {
    let bench = Bench::new();
    quota(&bench, "q", json!({"hard": {"configmaps": "40"}}));
    let created = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|thread| {
                let bench = &bench;
                scope.spawn(move || {
                    let maps = (0..20).map(|index| json!({"metadata": {"name": format!("m{thread}-{index}")}}));
                    let path = format!("POST {}", crate::bench::CONFIG_MAPS);
                    maps.filter(|map| bench.tell(&path, map).code == 201).count()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum::<usize>()
    });
    assert_eq!(created, 40);
    assert_eq!(bench.ask(&format!("GET {QUOTAS}/q")).at("/status/used/configmaps"), json!("40"));
}

#[test]
fn limit_ranges_fill_and_refuse() {
    let bench = Bench::new();
    limits(
        &bench,
        json!([
            {"type": "Container", "default": {"cpu": "500m", "memory": "256Mi"}, "defaultRequest": {"cpu": "100m"},
             "min": {"cpu": "50m"}, "max": {"cpu": "1"}, "maxLimitRequestRatio": {"cpu": "5"}},
            {"type": "Pod", "max": {"memory": "1Gi"}},
            {"type": "PersistentVolumeClaim", "min": {"storage": "1Gi"}, "max": {"storage": "5Gi"}},
        ]),
    );
    let created = create(&bench, &pod("a")).expect(201);
    assert_eq!(
        created.at("/spec/containers/0/resources"),
        json!({"limits": {"cpu": "500m", "memory": "256Mi"}, "requests": {"cpu": "100m", "memory": "256Mi"}})
    );
    assert_eq!(
        created.at("/metadata/annotations/kubernetes.io~1limit-ranger"),
        json!("LimitRanger plugin set: cpu, memory request for container web; cpu, memory limit for container web")
    );
    let refused = |resources: Value| create(&bench, &asking("b", resources)).expect(403).message();
    assert_eq!(
        refused(json!({"requests": {"cpu": "2"}, "limits": {"cpu": "2"}})),
        "pods \"b\" is forbidden: maximum cpu usage per Container is 1, but limit is 2"
    );
    assert_eq!(
        refused(json!({"requests": {"cpu": "10m"}, "limits": {"cpu": "50m"}})),
        "pods \"b\" is forbidden: minimum cpu usage per Container is 50m, but request is 10m"
    );
    assert_eq!(
        refused(json!({"requests": {"cpu": "100m"}, "limits": {"cpu": "1"}})),
        "pods \"b\" is forbidden: cpu max limit to request ratio per Container is 5, but provided ratio is 10.000000"
    );
    assert_eq!(
        refused(json!({"limits": {"memory": "2Gi"}})),
        "pods \"b\" is forbidden: maximum memory usage per Pod is 1Gi, but limit is 2Gi"
    );
    let claim = json!({
        "metadata": {"name": "c"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "9Gi"}}},
    });
    assert_eq!(
        bench.tell(&format!("POST {CLAIMS}"), &claim).expect(403).message(),
        "persistentvolumeclaims \"c\" is forbidden: maximum storage usage per PersistentVolumeClaim is 5Gi, but request is 9Gi"
    );
}

fn secure(bench: &Bench, labels: Value) -> crate::bench::Answer {
    bench.patch("/api/v1/namespaces/default", "merge-patch+json", &json!({"metadata": {"labels": labels}}))
}

#[test]
fn pod_security_refuses_and_warns() {
    let bench = Bench::new();
    secure(&bench, json!({"pod-security.kubernetes.io/enforce": "restricted"})).expect(200);
    let all = "allowPrivilegeEscalation != false (container \"web\" must set securityContext.allowPrivilegeEscalation=false), \
               unrestricted capabilities (container \"web\" must set securityContext.capabilities.drop=[\"ALL\"]), \
               runAsNonRoot != true (pod or container \"web\" must set securityContext.runAsNonRoot=true), \
               seccompProfile (pod or container \"web\" must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")";
    assert_eq!(
        create(&bench, &pod("a")).expect(403).message(),
        format!("pods \"a\" is forbidden: violates PodSecurity \"restricted:latest\": {all}")
    );
    let mut good = pod("good");
    good["spec"]["securityContext"] = json!({"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}});
    good["spec"]["containers"][0]["securityContext"] =
        json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
    create(&bench, &good).expect(201);
    // What makes pods is only warned of.
    secure(&bench, json!({"pod-security.kubernetes.io/warn": "restricted"})).expect(200);
    let warned = bench.tell(&format!("POST {DEPLOYMENTS}"), &deployment("d")).expect(201);
    assert_eq!(warned.warnings().len(), 1);
    assert!(
        warned.warnings()[0]
            .replace("\\\"", "\"")
            .starts_with("would violate PodSecurity \"restricted:latest\": allowPriv")
    );

    secure(&bench, json!({"pod-security.kubernetes.io/enforce": "baseline", "pod-security.kubernetes.io/enforce-version": "v1.30"}))
        .expect(200);
    create(&bench, &pod("a")).expect(201);
    let mut bad = pod("bad");
    bad["spec"]["hostNetwork"] = true.into();
    bad["spec"]["volumes"] = json!([{"name": "v", "hostPath": {"path": "/"}}]);
    bad["spec"]["containers"][0]["ports"] = json!([{"containerPort": 80, "hostPort": 80}]);
    bad["spec"]["containers"][0]["securityContext"] =
        json!({"privileged": true, "capabilities": {"add": ["NET_ADMIN", "CHOWN"]}});
    assert_eq!(
        create(&bench, &bad).expect(403).message(),
        "pods \"bad\" is forbidden: violates PodSecurity \"baseline:v1.30\": \
         non-default capabilities (container \"web\" must not include \"NET_ADMIN\" in securityContext.capabilities.add), \
         host namespaces (hostNetwork=true), hostPath volumes (volume \"v\"), \
         hostPort (container \"web\" uses hostPort 80), \
         privileged (container \"web\" must not set securityContext.privileged=true)"
    );
}

#[test]
fn a_stricter_namespace_tells_of_its_pods() {
    let bench = Bench::new();
    for name in ["b", "a", "c"] {
        create(&bench, &pod(name)).expect(201);
    }
    let answer = secure(&bench, json!({"pod-security.kubernetes.io/enforce": "restricted"})).expect(200);
    let warnings: Vec<String> = answer.warnings().iter().map(|text| text.replace('\\', "")).collect();
    assert_eq!(
        warnings,
        [
            "existing pods in namespace \"default\" violate the new PodSecurity enforce level \"restricted:latest",
            "a (and 2 other pods): allowPrivilegeEscalation != false, unrestricted capabilities, runAsNonRoot != true, seccompProfile",
        ]
    );
    assert_eq!(
        secure(&bench, json!({"pod-security.kubernetes.io/enforce": "most"})).expect(422).message(),
        "Namespace \"default\" is invalid: metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: \"most\": must be one of privileged, baseline, restricted"
    );
}

#[test]
fn classes_have_defaults() {
    let bench = Bench::new();
    let claim = |name: &str| {
        let spec = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}});
        bench.tell(&format!("POST {CLAIMS}"), &json!({"metadata": {"name": name}, "spec": spec})).expect(201)
    };
    let early = claim("early");
    assert_eq!(early.at("/spec/storageClassName"), Value::Null);
    assert_eq!(early.at("/metadata/finalizers"), json!(["kubernetes.io/pvc-protection"]));
    for name in ["b", "a"] {
        let annotations = json!({"storageclass.kubernetes.io/is-default-class": "true"});
        let class = json!({"metadata": {"name": name, "annotations": annotations}, "provisioner": "acme.com/disk"});
        bench.tell("POST /apis/storage.k8s.io/v1/storageclasses", &class).expect(201);
    }
    assert_eq!(claim("late").at("/spec/storageClassName"), json!("a"));
    let annotations = json!({"ingressclass.kubernetes.io/is-default-class": "true"});
    let class =
        json!({"metadata": {"name": "web", "annotations": annotations}, "spec": {"controller": "acme.com/web"}});
    bench.tell("POST /apis/networking.k8s.io/v1/ingressclasses", &class).expect(201);
    let backend = json!({"service": {"name": "s", "port": {"number": 80}}});
    let ingress = json!({"metadata": {"name": "i"}, "spec": {"defaultBackend": backend}});
    let created = bench.tell("POST /apis/networking.k8s.io/v1/namespaces/default/ingresses", &ingress).expect(201);
    assert_eq!(created.at("/spec/ingressClassName"), json!("web"));
}

#[test]
fn runtime_classes_cost_and_place() {
    let bench = Bench::new();
    let mut gvisor = pod("a");
    gvisor["spec"]["runtimeClassName"] = "gvisor".into();
    assert_eq!(
        create(&bench, &gvisor).expect(403).message(),
        "pods \"a\" is forbidden: pod rejected: RuntimeClass \"gvisor\" not found"
    );
    let class = json!({
        "metadata": {"name": "gvisor"}, "handler": "runsc", "overhead": {"podFixed": {"cpu": "100m"}},
        "scheduling": {"nodeSelector": {"runtime": "gvisor"}},
    });
    bench.tell("POST /apis/node.k8s.io/v1/runtimeclasses", &class).expect(201);
    let created = create(&bench, &gvisor).expect(201);
    assert_eq!(created.at("/spec/overhead"), json!({"cpu": "100m"}));
    assert_eq!(created.at("/spec/nodeSelector"), json!({"runtime": "gvisor"}));
}

#[test]
fn pods_get_their_accounts_token() {
    let bench = Bench::new();
    let account = |name: &str, fields: Value| {
        let mut account = fields;
        account["metadata"] = json!({"name": name});
        bench.tell("POST /api/v1/namespaces/default/serviceaccounts", &account).expect(201);
    };
    account("robot", json!({"imagePullSecrets": [{"name": "registry"}]}));
    account("quiet", json!({"automountServiceAccountToken": false}));
    let of = |name: &str, account: &str| {
        let mut pod = pod(name);
        pod["spec"]["serviceAccountName"] = account.into();
        pod["spec"]["initContainers"] = json!([{"name": "init", "image": "busybox"}]);
        create(&bench, &pod).expect(201)
    };
    let created = of("a", "robot");
    assert_eq!(created.at("/spec/imagePullSecrets"), json!([{"name": "registry"}]));
    let name = created.at("/spec/volumes/0/name");
    assert!(name.as_str().unwrap().starts_with("kube-api-access-"));
    let mount = json!({"name": name, "readOnly": true, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"});
    assert_eq!(created.at("/spec/containers/0/volumeMounts"), json!([mount]));
    assert_eq!(created.at("/spec/initContainers/0/volumeMounts"), json!([mount]));
    assert_eq!(
        created.at("/spec/volumes/0/projected"),
        json!({
            "defaultMode": 420,
            "sources": [
                {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
                {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                {"downwardAPI": {"items": [
                    {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}},
                ]}},
            ],
        })
    );
    assert_eq!(of("b", "quiet").at("/spec/volumes"), Value::Null);
}

#[test]
fn nothing_is_created_in_a_namespace_that_goes() {
    let bench = Bench::new();
    bench.tell("POST /api/v1/namespaces", &json!({"metadata": {"name": "n"}})).expect(201);
    let created = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let path = "POST /api/v1/namespaces/n/configmaps";
            let created = |index| bench.tell(path, &json!({"metadata": {"name": format!("m{index}")}})).code == 201;
            (0..200).filter(|index| created(*index)).count()
        });
        bench.ask("DELETE /api/v1/namespaces/n").expect(200);
        let after = bench.ask("GET /api/v1/namespaces/n/configmaps").json()["items"].as_array().unwrap().len();
        (writer.join().unwrap(), after)
    });
    // Who is told that the namespace goes sees all that will ever be in it.
    assert_eq!(created.0, created.1);
}
