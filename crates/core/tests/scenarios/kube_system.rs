//! kube-system as kubeadm leaves it: what a learner sees there, and that it is what it says.

use std::time::Duration;

use crate::lab::{Lab, names};
use crate::test;

#[test]
fn kube_system_holds_what_a_kubeadm_cluster_holds() {
    let lab = Lab::new(3);
    let table = lab.ok("kubectl get pods -n kube-system");
    let found: Vec<&str> = names(&table);
    for part in ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"] {
        assert!(found.contains(&format!("{part}-hello-control-plane").as_str()), "{table}");
    }
    assert_eq!(found.iter().filter(|name| name.starts_with("coredns-")).count(), 2, "{table}");
    assert_eq!(found.iter().filter(|name| name.starts_with("kube-proxy-")).count(), 3, "{table}");
    assert_eq!(found.iter().filter(|name| name.starts_with("kindnet-")).count(), 3, "{table}");
    assert_eq!(table.matches("1/1     Running   0").count(), 12, "{table}");
    let info = lab.ok("kubectl cluster-info");
    assert!(info.contains("CoreDNS is running at "), "{info}");
    assert!(info.contains("/api/v1/namespaces/kube-system/services/kube-dns:dns/proxy"), "{info}");
    let service = lab.until("kubectl get svc,ds,deploy,cm -n kube-system", |table| table.contains("coredns   2/2"));
    assert!(
        service.contains("service/kube-dns   ClusterIP   10.96.0.10   <none>        53/UDP,53/TCP,9153/TCP"),
        "{service}"
    );
    assert!(service.contains("daemonset.apps/kube-proxy   3         3         3"), "{service}");
    assert!(service.contains("deployment.apps/coredns   2/2     2            2"), "{service}");
    assert!(service.contains("configmap/kube-proxy"), "{service}");
    let logs = lab.ok("kubectl logs -n kube-system kube-scheduler-hello-control-plane");
    assert!(logs.contains("Starting Kubernetes Scheduler"), "{logs}");
}

/// What joins a cluster, or looks after it, finds how in ConfigMaps.
#[test]
fn a_cluster_says_how_it_is_configured() {
    let lab = Lab::new(1);
    let info = lab.ok("kubectl get cm cluster-info -n kube-public -o jsonpath='{.data.kubeconfig}'");
    assert!(
        info.contains("certificate-authority-data: LS0tLS1CRUdJTi") && info.contains("    server: https://"),
        "{info}"
    );
    let config = lab.ok("kubectl get cm kubelet-config -n kube-system -o jsonpath='{.data.kubelet}'");
    assert!(config.contains("staticPodPath: /etc/kubernetes/manifests") && config.contains("- 10.96.0.10"), "{config}");
    assert_eq!(lab.ok("ssh hello-control-plane cat /var/lib/kubelet/config.yaml"), config);
    let authority =
        lab.ok("kubectl get cm extension-apiserver-authentication -n kube-system -o jsonpath='{.data.client-ca-file}'");
    assert!(authority.starts_with("-----BEGIN CERTIFICATE-----"), "{authority}");
    // Who has no identity yet may read how to get one.
    lab.ok("kubectl run tool --image=curlimages/curl --command -- sleep 1d");
    lab.ok("kubectl wait --for=condition=Ready pod/tool --timeout=120s");
    let path = "/api/v1/namespaces/kube-public/configmaps/cluster-info";
    let read = lab.ok(&format!("kubectl exec tool -- curl -sk https://kubernetes.default.svc{path}"));
    assert!(read.contains("kubeconfig"), "{read}");
}

/// kind's own parts: without the provisioner there are no volumes, without kindnet no new policies.
#[test]
fn kinds_parts_do_what_they_stand_for() {
    let lab = Lab::new(2);
    lab.ok("kubectl rollout status deployment/local-path-provisioner -n local-path-storage --timeout=120s");
    assert!(lab.ok("kubectl logs -n local-path-storage deploy/local-path-provisioner").contains("Provisioner started"));
    let logs = lab.ok("kubectl logs -n kube-system ds/kindnet");
    assert!(logs.contains("noMask IPv4 subnets: [10.244.0.0/16]"), "{logs}");
    let claim = |name: &str| {
        format!(
            "apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: {name}}}
spec: {{accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 1Gi}}}}}}
---
apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  containers: [{{name: c, image: busybox, command: [sleep, 1d], volumeMounts: [{{name: data, mountPath: /data}}]}}]
  volumes: [{{name: data, persistentVolumeClaim: {{claimName: {name}}}}}]
"
        )
    };
    lab.apply(&claim("one"));
    lab.until("kubectl get pvc one", |table| table.contains("Bound"));
    lab.ok("kubectl scale deployment local-path-provisioner -n local-path-storage --replicas=0");
    lab.until("kubectl get pods -n local-path-storage", str::is_empty);
    lab.apply(&claim("two"));
    lab.pass(Duration::from_secs(60));
    assert!(lab.ok("kubectl describe pvc two").contains("verify that the provisioner is running"));
    lab.ok("kubectl scale deployment local-path-provisioner -n local-path-storage --replicas=1");
    lab.until("kubectl get pod two", |table| table.contains("1/1"));

    lab.ok("kubectl run web --image=nginx --expose --port=80");
    lab.ok("kubectl wait --for=condition=Ready pod/web --timeout=120s");
    let ask = "kubectl exec one -- wget -qO- -T 2 http://web";
    lab.until(ask, |page| page.contains("Welcome to nginx!"));
    let policy = "-f https://k8s.io/examples/service/networking/network-policy-default-deny-ingress.yaml";
    let denied = || lab.until(&format!("{ask} || echo refused"), |page| page.contains("refused"));
    lab.ok(&format!("kubectl apply {policy}"));
    denied();
    lab.ok(&format!("kubectl delete {policy}"));
    lab.until(ask, |page| page.contains("Welcome to nginx!"));
    lab.ok("kubectl get daemonset kindnet -n kube-system -o yaml | grep -v resourceVersion > kindnet.yaml");
    lab.ok("kubectl delete daemonset kindnet -n kube-system");
    lab.until("kubectl get pods -n kube-system", |table| !table.contains("kindnet"));
    lab.ok(&format!("kubectl apply {policy}"));
    lab.pass(Duration::from_secs(10));
    assert!(lab.ok(ask).contains("Welcome to nginx!"), "nobody is there to enforce the policy");
    lab.ok("kubectl create -f kindnet.yaml");
    denied();
}

/// The tab has the code of rare kinds in a chunk, which is not to be part of each visit.
#[test]
fn a_clusters_birth_and_a_deployment_need_no_code_of_rare_kinds() {
    let before = machinery::split::calls();
    let lab = Lab::new(3);
    lab.ok("kubectl create deployment web --image=nginx:1.27");
    lab.ok("kubectl expose deployment web --port=80");
    lab.ok("kubectl rollout status deployment/web");
    lab.ok("kubectl describe pods");
    assert_eq!(machinery::split::calls(), before);
    lab.ok("kubectl create job one --image=busybox:1.36 -- true");
    assert_ne!(machinery::split::calls(), before);
}

#[test]
fn a_mirror_pod_comes_back_and_a_manifest_that_goes_stops_its_part() {
    let lab = Lab::new(2);
    let uid = "kubectl get pod -n kube-system kube-scheduler-hello-control-plane -o jsonpath='{.metadata.uid}'";
    let before = lab.ok(uid);
    lab.ok("kubectl delete pod -n kube-system kube-scheduler-hello-control-plane");
    lab.until(uid, |after| !after.is_empty() && *after != before);
    // Kubernetes the hard way: without its manifest there is no scheduler, and nothing is scheduled.
    lab.ok("ssh hello-control-plane mv /etc/kubernetes/manifests/kube-scheduler.yaml /root/");
    lab.until("kubectl get pods -n kube-system", |table| !table.contains("kube-scheduler"));
    lab.ok("kubectl run web --image=nginx");
    lab.pass(Duration::from_secs(60));
    assert!(lab.ok("kubectl get pod web").contains("Pending"));
    lab.ok("ssh hello-control-plane mv /root/kube-scheduler.yaml /etc/kubernetes/manifests/");
    lab.until("kubectl get pod web", |table| table.contains("Running"));
}

#[test]
fn names_are_answered_by_coredns_pods() {
    let lab = Lab::new(2);
    lab.ok("kubectl run tool --image=busybox:1.36 --command -- sleep 1d");
    lab.ok("kubectl wait --for=condition=Ready pod/tool --timeout=120s");
    let answer = lab.ok("kubectl exec tool -- nslookup kubernetes.default.svc.cluster.local");
    assert!(answer.contains("Server:\t\t10.96.0.10") && answer.contains("Address: 10.96.0.1\n"), "{answer}");
    // Of one pod of them, asked by its own address.
    let address = lab.ok("kubectl get pods -n kube-system -l k8s-app=kube-dns -o jsonpath='{.items[0].status.podIP}'");
    let answer = lab.ok(&format!("kubectl exec tool -- nslookup kubernetes.default.svc.cluster.local {address}"));
    assert!(answer.contains("Address: 10.96.0.1\n"), "{answer}");

    lab.ok("kubectl -n kube-system scale deployment coredns --replicas=0");
    lab.until("kubectl get pods -n kube-system -l k8s-app=kube-dns", str::is_empty);
    let (code, _) = lab.fails("kubectl exec tool -- wget -qO- http://kubernetes.default");
    assert_eq!(code, 1);
    let gone = lab.run("kubectl exec tool -- nslookup kubernetes.default.svc.cluster.local");
    assert!(gone.stdout.contains("connection timed out; no servers could be reached"), "{}", gone.stdout);
    lab.ok("kubectl -n kube-system scale deployment coredns --replicas=2");
    lab.ok("kubectl -n kube-system rollout status deployment coredns --timeout=120s");
    lab.ok("kubectl exec tool -- nslookup kubernetes.default.svc.cluster.local");
}

/// "Debugging DNS Resolution" and "Customizing DNS Service" of the documentation.
#[test]
fn coredns_does_what_its_corefile_says() {
    let lab = Lab::new(2);
    lab.ok("kubectl run tool --image=busybox:1.36 --command -- sleep 1d");
    lab.ok("kubectl wait --for=condition=Ready pod/tool --timeout=120s");
    let logs = "kubectl logs -n kube-system -l k8s-app=kube-dns --tail=-1";
    assert!(lab.ok(logs).contains(".:53\n[INFO] plugin/reload: Running configuration SHA512 = "));
    lab.ok(
        "kubectl get cm coredns -n kube-system -o yaml | sed 's/^\\( *\\)errors/\\1errors\\n\\1log\\n\\1hosts {\\n\\1  10.1.2.3 db.example\\n\\1  fallthrough\\n\\1}/' | kubectl replace -f -",
    );
    lab.until(logs, |text| text.matches("[INFO] Reloading complete").count() == 2);
    assert!(lab.ok("kubectl exec tool -- nslookup db.example").contains("Address: 10.1.2.3"));
    let text = lab.ok(logs);
    assert!(text.contains("\"A IN db.example. udp ") && text.contains("NOERROR qr,aa,rd "), "{text}");
    // What CoreDNS cannot read it does not take.
    lab.ok("kubectl get cm coredns -n kube-system -o yaml | sed 's/errors/erors/' | kubectl replace -f -");
    lab.until(logs, |text| text.contains("Error during parsing: Unknown directive 'erors'"));
    lab.ok("kubectl exec tool -- nslookup db.example");
    lab.ok("kubectl delete pods -n kube-system -l k8s-app=kube-dns");
    lab.until("kubectl get pods -n kube-system -l k8s-app=kube-dns", |table| table.contains("CrashLoopBackOff"));
}

/// "Accessing the Kubernetes API from a Pod" of the documentation.
#[test]
fn the_api_server_answers_pods() {
    let lab = Lab::new(1);
    lab.ok("kubectl run tool --image=curlimages/curl --command -- sleep 1d");
    lab.ok("kubectl wait --for=condition=Ready pod/tool --timeout=120s");
    let path = "/var/run/secrets/kubernetes.io/serviceaccount";
    let ask = |url: &str| {
        lab.ok(&format!(
            "kubectl exec tool -- sh -c 'curl -s --cacert {path}/ca.crt --header \"Authorization: Bearer $(cat {path}/token)\" https://kubernetes.default.svc{url}'"
        ))
    };
    let versions = ask("/api");
    assert!(versions.replace(' ', "").contains("\"kind\":\"APIVersions\""), "{versions}");
    let refused = ask("/api/v1/namespaces/default/pods");
    assert!(refused.contains("User \\\"system:serviceaccount:default:default\\\" cannot list resource"), "{refused}");
    let anonymous = lab.ok("kubectl exec tool -- curl -sk https://kubernetes.default.svc/api/v1/nodes");
    assert!(anonymous.contains("User \\\"system:anonymous\\\" cannot list resource"), "{anonymous}");
}

#[test]
fn datagrams_go_through_services() {
    let lab = Lab::new(2);
    lab.ok("kubectl create deployment echo --image=registry.k8s.io/e2e-test-images/agnhost:2.40 -- /agnhost netexec");
    lab.ok("kubectl create service clusterip echo --tcp=80:8080");
    lab.ok("kubectl patch service echo -p '{\"spec\":{\"ports\":[{\"port\":81,\"targetPort\":8081,\"protocol\":\"UDP\",\"name\":\"udp\"}]}}'");
    lab.ok("kubectl run tool --image=busybox:1.36 --command -- sleep 1d");
    lab.ok("kubectl wait --for=condition=Ready pods --all --timeout=120s");
    lab.until("kubectl exec tool -- sh -c 'echo echo hello | nc -u -w 1 echo 81'", |answer| answer == "hello");
}
