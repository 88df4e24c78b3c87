//! The examples of Kubernetes' documentation: all are taken, and each does what its page shows.

use std::time::Duration;

use crate::lab::Lab;
use crate::test;

const EXAMPLES: &str = include_str!("../../src/world/examples/documentation.txt");
const AT: &str = "https://k8s.io/examples";

/// The paths of all examples, those among them that are others with some words changed.
fn paths() -> Vec<&'static str> {
    let lines = EXAMPLES.lines().filter_map(|line| line.strip_prefix("### ").or_else(|| line.strip_prefix("#= ")));
    lines.map(|line| line.split('|').next().unwrap_or_default()).collect()
}

#[test]
fn the_api_server_takes_every_example() {
    /// What is no object of the API; and addresses of a family that the cluster has not.
    const OTHERS: [&str; 4] = ["Dockerfile", ".py", ".json", "seccomp/kind.yaml"];
    const REFUSED: [(&str, &str); 3] = [
        (
            "dual-stack-ipfamilies-ipv6.yaml",
            "spec.ipFamilies[0]: Invalid value: \"IPv6\": not configured on this cluster",
        ),
        // A template, and a part that is applied by its server-side manager.
        ("job-tmpl.yaml", "metadata.name: Invalid value: \"process-item-$ITEM\""),
        ("nginx-deployment-replicas-only.yaml", "spec.selector: Required value"),
    ];
    let lab = Lab::bare(1);
    for namespace in ["mem-example", "cpu-example", "qos-example", "development", "pod-resources-example"] {
        lab.ok(&format!("kubectl create namespace {namespace}"));
    }
    lab.ok("kubectl create priorityclass high --value=1000 && kubectl create serviceaccount build-robot");
    let mut failed = String::new();
    for path in paths().into_iter().filter(|path| !OTHERS.iter().any(|end| path.ends_with(end))) {
        let output = lab.run(&format!("kubectl apply --dry-run=server --validate=strict -f {AT}/{path}"));
        let refused = REFUSED.iter().find(|(end, _)| path.ends_with(end));
        let as_wanted = match refused {
            Some((_, why)) => output.code != 0 && output.stderr.contains(why),
            None => output.code == 0 && output.stdout.contains("(server dry run)"),
        };
        if !as_wanted {
            failed += &format!("{path}: {}{}", output.stdout, output.stderr);
        }
    }
    assert!(failed.is_empty(), "{failed}");
}

/// Where an example is, what a reader of its page types, and what is to be seen then, sooner or later.
type Row = (&'static str, &'static str, &'static str);

fn come_true(lab: &Lab, rows: &[Row]) {
    for (path, ..) in rows.iter().filter(|(path, ..)| !path.is_empty()) {
        lab.ok(&format!("kubectl apply -f {AT}/{path}"));
    }
    for (_, line, wanted) in rows {
        lab.until(line, |text| text.contains(wanted));
    }
}

#[test]
fn what_pods_are_told_of_themselves() {
    let lab = Lab::new(2);
    for (name, value) in [("backend-user", "backend-username=backend-admin"), ("db-user", "db-username=db-admin")] {
        lab.ok(&format!("kubectl create secret generic {name} --from-literal={value}"));
    }
    lab.ok("echo -n admin > username.txt && echo -n 1f2d1e2e67df > password.txt");
    for (name, file) in [("user", "username"), ("pass", "password")] {
        lab.ok(&format!("kubectl create secret generic {name} --from-file=./{file}.txt"));
    }
    come_true(
        &lab,
        &[
            (
                "pods/inject/dapi-envars-pod.yaml",
                "kubectl logs dapi-envars-fieldref",
                "\ndapi-envars-fieldref\ndefault\n10.244.",
            ),
            (
                "pods/inject/dapi-envars-container.yaml",
                "kubectl logs dapi-envars-resourcefieldref",
                "\n1\n1\n33554432\n67108864\n",
            ),
            (
                "pods/inject/dapi-volume.yaml",
                "kubectl logs kubernetes-downwardapi-volume-example",
                "cluster=\"test-cluster1\"\nrack=\"rack-22\"\nzone=\"us-est-coast\"\n\nbuild=\"two\"\nbuilder=\"john-doe\"",
            ),
            (
                "pods/inject/dapi-volume-resources.yaml",
                "kubectl exec kubernetes-downwardapi-volume-example-2 -- sh -c 'cat /etc/podinfo/*'",
                "2501256432",
            ),
            (
                "pods/inject/dependent-envars.yaml",
                "kubectl logs dependent-envars-demo",
                "UNCHANGED_REFERENCE=$(PROTOCOL)://172.17.0.1:80\nSERVICE_ADDRESS=https://172.17.0.1:80\n\
                 ESCAPED_REFERENCE=$(PROTOCOL)://172.17.0.1:80\n",
            ),
            (
                "pods/inject/envars.yaml",
                "kubectl exec envar-demo -- printenv DEMO_GREETING DEMO_FAREWELL",
                "Hello from the environment\nSuch a sweet sorrow\n",
            ),
            (
                "pods/inject/pod-multiple-secret-env-variable.yaml",
                "kubectl exec -i envvars-multiple-secrets -- /bin/sh -c 'env | grep _USERNAME | sort'",
                "BACKEND_USERNAME=backend-admin\nDB_USERNAME=db-admin\n",
            ),
            (
                "pods/storage/projected.yaml",
                "kubectl exec test-projected-volume -- ls /projected-volume/",
                "password.txt\nusername.txt\n",
            ),
            (
                "pods/storage/projected-service-account-token.yaml",
                "kubectl exec sa-token-test -- cat /service-account/token",
                "ey",
            ),
            (
                "service/networking/custom-dns.yaml",
                "kubectl exec dns-example -- cat /etc/resolv.conf",
                "options ndots:2 edns0",
            ),
            ("", "kubectl exec dns-example -- cat /etc/resolv.conf", "nameserver 192.0.2.1"),
            (
                "",
                "kubectl exec dns-example -- cat /etc/resolv.conf",
                "search ns1.svc.cluster-domain.example my.dns.search.suffix",
            ),
            (
                "debug/termination.yaml",
                "kubectl get pod termination-demo -o go-template='{{range .status.containerStatuses}}{{printf \"%s:\\n%s\\n\\n\" .name .lastState.terminated.message}}{{end}}'",
                "termination-demo-container:\nSleep expired\n",
            ),
        ],
    );
}

#[test]
fn what_becomes_of_pods_by_probes_hooks_and_resources() {
    let lab = Lab::new(3);
    for namespace in ["mem-example", "cpu-example", "qos-example"] {
        lab.ok(&format!("kubectl create namespace {namespace}"));
    }
    lab.ok("kubectl label node hello-worker2 topology.kubernetes.io/zone=antarctica-east1");
    come_true(
        &lab,
        &[
            (
                "pods/probe/exec-liveness.yaml",
                "kubectl describe pod liveness-exec",
                "Liveness probe failed: cat: can't open '/tmp/healthy': No such file or directory",
            ),
            ("", "kubectl describe pod liveness-exec", "Container liveness failed liveness probe, will be restarted"),
            (
                "pods/probe/http-liveness.yaml",
                "kubectl describe pod liveness-http",
                "Liveness probe failed: HTTP probe failed with statuscode: 500",
            ),
            ("pods/probe/tcp-liveness-readiness.yaml", "kubectl get pod goproxy", "1/1     Running   0 "),
            ("pods/probe/grpc-liveness.yaml", "kubectl get pod etcd-with-grpc", "1/1     Running   0 "),
            (
                "pods/lifecycle-events.yaml",
                "kubectl exec lifecycle-demo -- cat /usr/share/message",
                "Hello from the postStart handler\n",
            ),
            (
                "pods/resource/memory-request-limit.yaml",
                "kubectl top pod memory-demo -n mem-example --no-headers",
                " 151Mi",
            ),
            (
                "pods/resource/memory-request-limit-2.yaml",
                "kubectl get pod memory-demo-2 -n mem-example -o yaml",
                "reason: OOMKilled",
            ),
            (
                "pods/resource/memory-request-limit-3.yaml",
                "kubectl describe pod memory-demo-3 -n mem-example",
                "Insufficient memory",
            ),
            ("pods/resource/cpu-request-limit.yaml", "kubectl top pod cpu-demo -n cpu-example --no-headers", " 1000m "),
            (
                "pods/resource/cpu-request-limit-2.yaml",
                "kubectl describe pod cpu-demo-2 -n cpu-example",
                "Insufficient cpu",
            ),
            ("pods/qos/qos-pod.yaml", "kubectl get pod qos-demo -n qos-example -o yaml", "qosClass: Guaranteed"),
            ("pods/qos/qos-pod-2.yaml", "kubectl get pod qos-demo-2 -n qos-example -o yaml", "qosClass: Burstable"),
            ("pods/qos/qos-pod-3.yaml", "kubectl get pod qos-demo-3 -n qos-example -o yaml", "qosClass: BestEffort"),
            ("pods/qos/qos-pod-4.yaml", "kubectl get pod qos-demo-4 -n qos-example -o yaml", "qosClass: Burstable"),
            ("pods/pod-with-node-affinity.yaml", "kubectl get pod with-node-affinity -o wide", " hello-worker2 "),
            ("pods/pod-with-scheduling-gates.yaml", "kubectl get pod test-pod", "SchedulingGated"),
        ],
    );
    come_true(&lab, &[("pods/pod-without-scheduling-gates.yaml", "kubectl get pod test-pod", "1/1     Running")]);
}

#[test]
fn containers_that_work_together_and_controllers() {
    let lab = Lab::new(3);
    come_true(
        &lab,
        &[
            ("pods/multi-container/adapter.yaml", "kubectl logs adapter-pattern-example -c adapter", "adapted: "),
            ("pods/multi-container/ambassador.yaml", "kubectl get pod ambassador-sidecar-example", "2/2     Running"),
            (
                "pods/multi-container/localhost.yaml",
                "kubectl logs localhost-example -c client",
                "<title>Welcome to nginx!</title>",
            ),
            (
                "pods/multi-container/shared-volume.yaml",
                "kubectl exec shared-volume-example -- curl -s localhost",
                "Hello from the init container\n",
            ),
            (
                "pods/multi-container/startup-coordination.yaml",
                "kubectl logs startup-coordination-example -c main-app",
                "greeting=hello\n",
            ),
            ("admin/logging/two-files-counter-pod-streaming-sidecar.yaml", "kubectl logs counter count-log-1", "1: "),
            ("", "kubectl logs counter count-log-2", " INFO 1"),
            ("application/job/job-sidecar.yaml", "kubectl get job myjob", "Complete   1/1"),
            ("application/job/cronjob.yaml", "kubectl get cronjob hello", "* * * * *   <none>     False"),
            ("", "kubectl logs -l batch.kubernetes.io/job-name --tail=-1", "Hello from the Kubernetes cluster\n"),
            ("controllers/replicaset.yaml", "kubectl get rs my-repset", "my-repset   3         3         3 "),
            (
                "controllers/replication.yaml",
                "kubectl describe replicationcontrollers/nginx",
                "Pods Status:  3 Running / 0 Waiting / 0 Succeeded / 0 Failed",
            ),
            (
                "application/basic-daemonset.yaml",
                "kubectl get daemonset example-daemonset",
                "2         2         2       2            2 ",
            ),
        ],
    );
    // "Canary deployments", "Use a Service to Access an Application in a Cluster".
    for name in ["app-service", "app-v1-deployment", "app-v2-deployment"] {
        lab.ok(&format!("kubectl apply -f {AT}/application/canary/{name}.yaml"));
    }
    lab.until("kubectl get deployments", |table| table.contains("3/3") && table.contains("1/1"));
    lab.ok("kubectl run client --image=busybox --restart=Never -- sleep 1d");
    lab.until("kubectl get pod client", |row| row.contains("1/1"));
    let both = "kubectl exec client -- sh -c 'for i in $(seq 40); do wget -qO- rollout-demo; done'";
    lab.until(both, |text| {
        let (old, new) = (text.matches("Version: 1.0.0").count(), text.matches("Version: 2.0.0").count());
        old > new && new > 0 && old + new == 40
    });
    lab.ok(&format!("kubectl apply -f {AT}/service/access/hello-application.yaml"));
    lab.ok("kubectl expose deployment hello-world --type=NodePort --name=example-service");
    lab.until("kubectl get pods --selector='run=load-balancer-example'", |table| table.matches("1/1").count() == 2);
    let port = lab.ok("kubectl get services example-service -o jsonpath={.spec.ports[0].nodePort}");
    let node = lab.ok("kubectl get node hello-worker -o jsonpath={.status.addresses[0].address}");
    lab.until(&format!("curl -s http://{node}:{port}"), |page| page.starts_with("Hello, world!\nVersion: 2.0.0\n"));
}

/// "Explore Termination Behavior for Pods And Their Endpoints".
#[test]
fn endpoints_of_pods_that_end() {
    let lab = Lab::new(2);
    lab.ok(&format!("kubectl apply -f {AT}/service/pod-with-graceful-termination.yaml"));
    lab.ok(&format!("kubectl apply -f {AT}/service/explore-graceful-termination-nginx.yaml"));
    lab.until("kubectl get deployment nginx-deployment", |row| row.contains("1/1"));
    let slices = "kubectl get endpointslice -l kubernetes.io/service-name=nginx-service -o \
                  jsonpath='{range .items[*].endpoints[*]}{.addresses[0]} {.conditions.ready} {.conditions.serving} {.conditions.terminating};{end}'";
    let old = lab.ok("kubectl get pods -l app=nginx -o jsonpath={.items[0].status.podIP}");
    lab.until(slices, |text| text == format!("{old} true true false;"));
    lab.ok("kubectl delete $(kubectl get pods -l app=nginx -o name) --wait=false");
    lab.until("kubectl get pods", |table| table.contains("Terminating") && table.contains("1/1     Running"));
    let both = lab.until(slices, |text| text.contains(" true true false;"));
    assert!(both.contains(&format!("{old} false true true;")), "{both}");
    // New connections go to the one that stays.
    lab.ok("kubectl run client --image=busybox --restart=Never -- sleep 1d");
    lab.until("kubectl get pod client", |row| row.contains("1/1"));
    lab.ok("kubectl exec client -- sh -c 'for i in 1 2 3 4 5 6; do wget -qO /dev/null nginx-service || exit 1; done'");
    let log = lab.ok("kubectl logs -l app=nginx --tail=-1 --prefix | grep 'GET / HTTP' | cut -d ' ' -f 1 | sort -u");
    assert_eq!(log.lines().count(), 1, "{log}");
    lab.ok("kubectl scale deployment nginx-deployment --replicas=0");
    // Without another, the one that ends but serves gets them, until its time is over.
    lab.until(slices, |text| !text.is_empty() && !text.contains("true true false"));
    lab.ok("kubectl exec client -- wget -qO /dev/null nginx-service");
    lab.pass(Duration::from_secs(125));
    lab.until("kubectl get pods -l app=nginx 2>&1", |table| table.starts_with("No resources found"));
    let refused = lab.fails("kubectl exec client -- wget -q -T 5 -O- nginx-service").1;
    assert!(refused.contains("Connection refused"), "{refused}");
}

/// "Apply Pod Security Standards at the Namespace Level"; "Update API Objects in Place Using kubectl patch".
#[test]
fn what_is_refused_and_what_is_warned_of() {
    let lab = Lab::bare(1);
    for level in ["privileged", "baseline", "restricted"] {
        lab.ok(&format!("kubectl apply -f {AT}/security/podsecurity-{level}.yaml"));
    }
    lab.pass(Duration::from_secs(2));
    let create = |level: &str| {
        lab.run(&format!("kubectl apply -n my-{level}-namespace -f {AT}/security/example-baseline-pod.yaml"))
    };
    let warning = "Warning: would violate PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false (container \
                   \"nginx\" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container \
                   \"nginx\" must set securityContext.capabilities.drop=[\"ALL\"]), runAsNonRoot != true (pod or container \
                   \"nginx\" must set securityContext.runAsNonRoot=true), seccompProfile (pod or container \"nginx\" must set \
                   securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")";
    for level in ["privileged", "baseline"] {
        let output = create(level);
        assert!(output.code == 0 && output.stderr.contains(warning), "{output:?}");
    }
    let output = create("restricted");
    assert!(output.code == 1 && output.stderr.contains("is forbidden: violates PodSecurity"), "{output:?}");

    lab.ok(&format!("kubectl apply -f {AT}/application/deployment-retainkeys.yaml"));
    let (_, text) = lab.fails(
        "kubectl patch deployment retainkeys-demo --type strategic --patch 'spec: {strategy: {type: Recreate}}'",
    );
    let why = "The Deployment \"retainkeys-demo\" is invalid: spec.strategy.rollingUpdate: Forbidden: may not be specified \
               when strategy `type` is 'Recreate'";
    assert!(text.contains(why), "{text}");
    lab.ok("kubectl patch deployment retainkeys-demo --type strategic --patch 'spec: {strategy: {$retainKeys: [type], type: Recreate}}'");
    assert_eq!(
        lab.ok("kubectl get deployment retainkeys-demo -o jsonpath={.spec.strategy}"),
        "{\"type\":\"Recreate\"}"
    );
    lab.ok(&format!("kubectl apply -f {AT}/configmap/immutable-configmap.yaml"));
    let (_, text) =
        lab.fails("kubectl patch configmap company-name-20150801 -p '{\"data\": {\"company_name\": \"x\"}}'");
    assert!(text.contains("field is immutable when `immutable` is set"), "{text}");
}
