//! The documentation's own tutorials and tasks, by their literal commands, driven to what those pages promise.

use std::time::Duration;

use crate::lab::Lab;
use crate::test;

const EXAMPLES: &str = "https://k8s.io/examples";

fn apply(lab: &Lab, path: &str) {
    lab.ok(&format!("kubectl apply -f {EXAMPLES}/{path}"));
}

/// Waits until a pod is in a state, which stands in its row.
fn pod(lab: &Lab, name: &str, state: &str) {
    lab.until(&format!("kubectl get pod {name} --no-headers"), |row| row.contains(state));
}

#[test]
fn stateful_set_basics() {
    let lab = Lab::new(2);
    apply(&lab, "application/web/web.yaml");
    lab.until("kubectl get statefulset web", |table| table.contains("2/2"));
    assert_eq!(lab.ok("for i in 0 1; do kubectl exec \"web-$i\" -- sh -c 'hostname'; done"), "web-0\nweb-1\n");
    assert_eq!(lab.ok("kubectl exec web-0 -- hostname -f"), "web-0.nginx.default.svc.cluster.local\n");
    let names = "kubectl run dns-test -i --image=busybox:1.28 --restart=Never --rm -- sh -c 'nslookup web-0.nginx'";
    let answer = lab.ok(names);
    assert!(answer.starts_with("Server:    10.96.0.10\nAddress 1: 10.96.0.10 kube-dns.kube-system"), "{answer}");
    assert!(answer.contains("Name:      web-0.nginx\nAddress 1: 10.244."), "{answer}");
    assert!(
        answer.contains(" web-0.nginx.default.svc.cluster.local\n"),
        "its address leads back to its name: {answer}"
    );
    lab.ok("for i in 0 1; do kubectl exec \"web-$i\" -- sh -c 'echo \"$(hostname)\" > /usr/share/nginx/html/index.html'; done");
    let served = "for i in 0 1; do kubectl exec -i \"web-$i\" -- curl -s http://localhost/; done";
    assert_eq!(lab.ok(served), "web-0\nweb-1\n");
    lab.ok("kubectl delete pod -l app=nginx");
    lab.until("kubectl get statefulset web", |table| table.contains("2/2"));
    assert_eq!(lab.ok(served), "web-0\nweb-1\n");
    lab.ok("kubectl scale sts web --replicas=5 && kubectl rollout status sts web --timeout=300s");
    lab.ok("kubectl patch sts web -p '{\"spec\":{\"replicas\":3}}'");
    lab.until("kubectl get pods -l app=nginx --no-headers", |table| table.lines().count() == 3);
    assert_eq!(lab.ok("kubectl get pvc -l app=nginx --no-headers | wc -l"), "5\n");
}

#[test]
fn debugging_dns_resolution() {
    let lab = Lab::new(1);
    apply(&lab, "admin/dns/dnsutils.yaml");
    pod(&lab, "dnsutils", "1/1");
    let answer = lab.ok("kubectl exec -i dnsutils -- nslookup kubernetes.default");
    let wanted = "Server:\t\t10.96.0.10\nAddress:\t10.96.0.10#53\n\nName:\tkubernetes.default.svc.cluster.local\nAddress: 10.96.0.1\n\n";
    assert_eq!(answer, wanted);
    assert!(lab.ok("kubectl exec dnsutils -- cat /etc/resolv.conf").contains("nameserver 10.96.0.10"));
    assert_eq!(lab.ok("kubectl exec dnsutils -- dig +short kubernetes.default.svc.cluster.local"), "10.96.0.1\n");
    let dig = lab.ok("kubectl exec dnsutils -- dig nope.default.svc.cluster.local");
    assert!(dig.contains("status: NXDOMAIN") && dig.contains(";; SERVER: 10.96.0.10#53(10.96.0.10)"), "{dig}");
    lab.ok("kubectl create service clusterip web --tcp=80");
    let srv = "kubectl exec dnsutils -- dig +noall +answer SRV _80._tcp.web.default.svc.cluster.local";
    lab.until(srv, |text| text.contains("\tIN\tSRV\t0 100 80 web.default.svc.cluster.local."));
    assert_eq!(lab.run("kubectl exec dnsutils -- host nope").stdout, "Host nope not found: 3(NXDOMAIN)\n");
    lab.ok("kubectl run peer --image=registry.k8s.io/pause:3.9");
    pod(&lab, "peer", "1/1");
    lab.ok("kubectl run box --image=busybox -- sleep 1d");
    pod(&lab, "box", "1/1");
    let ping = lab.ok("kubectl exec box -- ping -c 2 $(kubectl get pod peer -o jsonpath={.status.podIP})");
    assert!(ping.contains("2 packets transmitted, 2 packets received, 0% packet loss"), "{ping}");
    let ping = lab.run("kubectl exec box -- ping -c 1 -W 1 10.96.0.1");
    assert!(ping.stdout.contains("100% packet loss") && ping.code == 1, "a Service's address answers no ping");
}

#[test]
fn updating_configuration_via_a_config_map() {
    let lab = Lab::new(1);
    lab.ok("kubectl create configmap sport --from-literal=sport=football");
    apply(&lab, "deployments/deployment-with-configmap-as-volume.yaml");
    lab.until("kubectl get deployment configmap-volume", |table| table.contains("3/3"));
    lab.until("kubectl logs deployments/configmap-volume", |log| log.contains("My preferred sport is football"));
    let listed = lab.ok("kubectl exec deploy/configmap-volume -- ls -l /etc/config/sport /etc/config/..data");
    assert!(listed.contains("/etc/config/sport -> ..data/sport"), "{listed}");
    assert!(listed.contains("/etc/config/..data -> ..2026_01_01_"), "{listed}");
    lab.ok("KUBE_EDITOR='sed -i s/football/cricket/' kubectl edit configmap sport");
    lab.pass(Duration::from_secs(100));
    assert!(lab.ok("kubectl logs deployments/configmap-volume --tail=1").contains("My preferred sport is cricket"));
    let folders = lab.ok("kubectl exec deploy/configmap-volume -- ls -A /etc/config");
    assert_eq!(folders.lines().count(), 3, "one folder, ..data and the file: {folders}");
}

#[test]
fn a_path_inside_a_config_map_does_not_follow_it() {
    let lab = Lab::new(1);
    lab.ok("kubectl create configmap conf --from-literal=a=one");
    lab.apply(
        "apiVersion: v1
kind: Pod
metadata: {name: sub}
spec:
  containers:
  - name: main
    image: busybox
    command: [sleep, 1d]
    volumeMounts:
    - {name: conf, mountPath: /whole}
    - {name: conf, mountPath: /etc/a.conf, subPath: a}
  volumes:
  - {name: conf, configMap: {name: conf}}
",
    );
    pod(&lab, "sub", "1/1");
    assert_eq!(lab.ok("kubectl exec sub -- cat /whole/a /etc/a.conf"), "oneone");
    lab.ok("kubectl patch configmap conf -p '{\"data\":{\"a\":\"two\"}}'");
    lab.pass(Duration::from_secs(100));
    assert_eq!(lab.ok("kubectl exec sub -- cat /whole/a /etc/a.conf"), "twoone");
}

#[test]
fn sidecars_and_jobs() {
    let lab = Lab::new(2);
    apply(&lab, "application/deployment-sidecar.yaml");
    lab.until("kubectl get pods -l app=myapp --no-headers", |row| row.contains("2/2"));
    lab.until("kubectl logs deploy/myapp -c logshipper", |log| log.contains("logging\nlogging\n"));
    assert!(lab.ok("kubectl get pods -l app=myapp --no-headers").contains(" 0 "), "tail -F waits for its file");
    apply(&lab, "application/job/indexed-job.yaml");
    lab.ok("kubectl wait --for=condition=complete --timeout=300s job/indexed-job");
    let mut words: Vec<String> = (0..5)
        .map(|index| lab.ok(&format!("kubectl logs -l batch.kubernetes.io/job-completion-index={index}")))
        .collect();
    words.sort();
    assert_eq!(words.concat(), "oof\nrab\nxuq\nzab\nzyx\n");
    apply(&lab, "controllers/job.yaml");
    lab.ok("kubectl wait --for=condition=complete --timeout=300s job/pi");
    let pi = lab.ok("kubectl logs jobs/pi");
    assert!(pi.starts_with("3.14159265358979323846264338327950288419716939937510") && pi.len() == 2002, "{pi}");
}

#[test]
fn source_ips_of_services() {
    let lab = Lab::new(2);
    lab.ok("kubectl create deployment source-ip-app --image=registry.k8s.io/echoserver:1.10");
    lab.ok("kubectl expose deployment source-ip-app --name=clusterip --port=80 --target-port=8080");
    lab.until("kubectl get deployment source-ip-app", |table| table.contains("1/1"));
    lab.ok("kubectl run busybox --image=busybox:1.28 -- sleep 1d");
    pod(&lab, "busybox", "1/1");
    lab.pass(Duration::from_secs(2));
    let page = lab.ok("kubectl exec busybox -- wget -qO - http://clusterip");
    let address = lab.ok("kubectl get pod busybox -o jsonpath={.status.podIP}");
    assert!(page.contains(&format!("client_address={address}\n")), "{page}");
}

#[test]
fn packages_bring_their_programs() {
    let lab = Lab::new(1);
    lab.ok("kubectl run deb --image=redis && kubectl run alp --image=alpine -- sleep 1d");
    pod(&lab, "deb", "1/1");
    pod(&lab, "alp", "1/1");
    lab.fails("kubectl exec deb -- ps");
    let out = lab.ok("kubectl exec deb -- sh -c 'apt-get update && apt-get install -y procps && ps'");
    assert!(out.contains("Setting up procps") && out.contains("redis-server"), "{out}");
    let (code, message) = lab.fails("kubectl exec deb -- apt-get install -y no-such-thing");
    assert!(message.contains("E: Unable to locate package no-such-thing") && code == 100, "{message}");
    lab.fails("kubectl exec alp -- curl --version");
    assert!(lab.ok("kubectl exec alp -- sh -c 'apk add --no-cache curl && curl --version'").contains("libcurl"));
}

#[test]
fn an_ingress_on_minikube() {
    let lab = Lab::new(1);
    lab.ok("minikube start");
    lab.ok("minikube addons enable ingress");
    lab.ok("kubectl create deployment web --image=gcr.io/google-samples/hello-app:1.0");
    lab.ok("kubectl expose deployment web --type=NodePort --port=8080");
    lab.until("kubectl get deployment web", |table| table.contains("1/1"));
    let url = lab.ok("minikube service web --url");
    assert!(lab.ok(&format!("curl -s {}", url.trim())).contains("Hello, world!\nVersion: 1.0.0"));
    apply(&lab, "service/networking/example-ingress.yaml");
    lab.until("kubectl get ingress", |table| table.contains("localhost") || table.contains("192.168."));
    let asked = "curl -s --resolve \"hello-world.example:80:$(minikube ip)\" http://hello-world.example";
    assert!(lab.until(asked, |page| page.contains("Hostname: web-")).contains("Hello, world!\nVersion: 1.0.0"));
}

#[test]
fn objects_are_edited_in_an_editor() {
    let lab = Lab::new(1);
    lab.ok("kubectl create deployment web --image=nginx");
    let output = lab.run("EDITOR=true kubectl edit deployment web");
    assert_eq!((output.code, output.stderr.as_str()), (0, "Edit cancelled, no changes made.\n"));
    assert_eq!(
        lab.ok("KUBE_EDITOR='sed -i s/replicas:.1/replicas:\\ 2/' kubectl edit deployment web"),
        "deployment.apps/web edited\n"
    );
    lab.until("kubectl get deployment web", |table| table.contains("2/2"));
    let (code, message) = lab.fails("kubectl edit deployment web < /dev/null");
    assert_eq!(code, 1);
    assert!(message.contains("error: there was a problem with the editor \"vi\""), "{message}");
}

#[test]
fn processes_are_seen_where_they_are_shared() {
    let lab = Lab::new(1);
    lab.ok("kubectl run ephemeral-demo --image=registry.k8s.io/pause:3.1 --restart=Never");
    pod(&lab, "ephemeral-demo", "1/1");
    lab.fails("kubectl exec ephemeral-demo -- sh");
    lab.ok("kubectl debug ephemeral-demo -q -c debugger --image=busybox:1.28 --target=ephemeral-demo -- sh -c 'ps; sleep 1d'");
    let log = lab.until("kubectl logs ephemeral-demo -c debugger", |log| log.contains("ps; sleep 1d"));
    assert!(log.contains("    1 ") && log.contains("/pause"), "{log}");
    // Without the target, it sees its own alone.
    lab.ok("kubectl debug ephemeral-demo -q -c other --image=busybox:1.28 -- sh -c 'ps; sleep 1d'");
    let log = lab.until("kubectl logs ephemeral-demo -c other", |log| log.contains("ps; sleep 1d"));
    assert!(!log.contains("/pause"), "{log}");
    apply(&lab, "pods/share-process-namespace.yaml");
    pod(&lab, "nginx", "2/2");
    let processes = lab.ok("kubectl exec nginx -c shell -- ps ax");
    for command in ["/pause", "nginx", "sleep 3600"] {
        assert!(processes.contains(command), "{processes}");
    }
    // A signal to the neighbour's process restarts the neighbour alone.
    lab.ok("kubectl exec nginx -c shell -- sh -c 'kill $(pidof nginx)'");
    lab.until("kubectl get pod nginx -o jsonpath='{.status.containerStatuses[*].restartCount}'", |counts| {
        counts == "1 0"
    });
}

/// "Configure a Security Context for a Pod or Container": who a process is, and what that means for files.
#[test]
fn configure_a_security_context() {
    let lab = Lab::new(1);
    lab.apply(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: security-context-demo}\nspec:\n  securityContext:\n    runAsUser: 1000\n    \
         runAsGroup: 3000\n    fsGroup: 2000\n    supplementalGroups: [4000]\n  volumes:\n  - name: sec-ctx-vol\n    emptyDir: {}\n  \
         - name: config\n    secret: {secretName: hidden, defaultMode: 0400}\n  containers:\n  - name: sec-ctx-demo\n    \
         image: busybox:1.28\n    command: [sh, -c, sleep 1h]\n    volumeMounts:\n    - {name: sec-ctx-vol, mountPath: /data/demo}\n    \
         - {name: config, mountPath: /config}\n",
    );
    lab.ok("kubectl create secret generic hidden --from-literal=key=value");
    lab.ok("kubectl wait --for=condition=Ready pod/security-context-demo --timeout=300s");
    let run = |line: &str| lab.run(&format!("kubectl exec security-context-demo -- sh -c '{line}'"));
    assert_eq!(run("id").stdout, "uid=1000 gid=3000 groups=2000,3000,4000\n");
    assert!(run("ps").stdout.contains("    1 1000 "), "{}", run("ps").stdout);
    let folder = run("ls -l /data").stdout;
    assert!(folder.contains("drwxrwsrwx    2 root     2000 "), "{folder}");
    let file = run("cd /data/demo; echo hello > testfile; ls -l").stdout;
    assert!(file.contains("-rw-r--r--    1 1000     2000             6 "), "{file}");
    let denied = run("echo x >> /etc/passwd");
    assert_eq!((denied.code, denied.stderr.contains("Permission denied")), (1, true), "{}", denied.stderr);
    assert_eq!(run("cat /config/key").stdout, "value", "by its group");
    assert_ne!(run("ls /root").code, 0);
    assert_ne!(run("chown 0 /data/demo/testfile").code, 0);
    // Capabilities, as the page reads them.
    for (name, capabilities, mask) in [
        ("usual", "{}", "00000000a80425fb"),
        ("more", "{add: [NET_ADMIN, SYS_TIME]}", "00000000aa0435fb"),
        ("none", "{drop: [ALL]}", "0000000000000000"),
    ] {
        lab.apply(&format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec: {{containers: [{{name: c, image: busybox, \
             command: [sleep, 1h], securityContext: {{capabilities: {capabilities}}}}}]}}\n"
        ));
        lab.ok(&format!("kubectl wait --for=condition=Ready pod/{name} --timeout=300s"));
        let status = lab.ok(&format!("kubectl exec {name} -- sh -c 'cd /proc/1 && cat status'"));
        assert!(status.contains(&format!("CapPrm:\t{mask}\nCapEff:\t{mask}\n")), "{name}: {status}");
    }
    let (_, text) = lab.fails("kubectl exec none -- ping -c 1 127.0.0.1");
    assert!(text.contains("ping: permission denied (are you root?)"), "{text}");
    let (_, text) = lab.fails("kubectl exec none -- chown 1000 /tmp");
    assert!(text.contains("Operation not permitted"), "{text}");
    assert!(run("cat /proc/self/status").stdout.contains("CapEff:\t0000000000000000\nCapBnd:\t00000000a80425fb\n"));
}

/// "Adding entries to Pod /etc/hosts with HostAliases".
#[test]
fn host_aliases() {
    let lab = Lab::new(1);
    lab.ok("kubectl run web --image=nginx --port=80 && kubectl wait --for=condition=Ready pod/web --timeout=300s");
    let address = lab.ok("kubectl get pod web -o jsonpath='{.status.podIP}'");
    lab.apply(&format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: hostaliases-pod}}\nspec:\n  hostAliases:\n  - ip: {address}\n    hostnames: \
         [foo.local, bar.local]\n  containers:\n  - name: box\n    image: busybox:1.28\n    command: [sleep, 1h]\n"
    ));
    lab.ok("kubectl wait --for=condition=Ready pod/hostaliases-pod --timeout=300s");
    let hosts = lab.ok("kubectl exec hostaliases-pod -- cat /etc/hosts");
    assert!(
        hosts.ends_with(&format!("\n# Entries added by HostAliases.\n{address}\tfoo.local\tbar.local\n")),
        "{hosts}"
    );
    assert!(lab.ok("kubectl exec hostaliases-pod -- wget -qO- http://foo.local").contains("Welcome to nginx"));
    // What somebody writes there counts too.
    lab.ok(&format!("kubectl exec hostaliases-pod -- sh -c 'echo {address} mine.example >> /etc/hosts'"));
    assert!(lab.ok("kubectl exec hostaliases-pod -- wget -qO- http://mine.example").contains("Welcome to nginx"));
}

#[test]
fn configuring_redis_using_a_config_map() {
    let lab = Lab::new(1);
    let config = |settings: &str| {
        lab.apply(&format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: example-redis-config\ndata:\n  redis-config: \"{settings}\"\n"
        ))
    };
    let asked = |what: &str| lab.ok(&format!("echo CONFIG GET {what} | kubectl exec -i redis -- redis-cli"));
    config("");
    apply(&lab, "pods/config/redis-pod.yaml");
    pod(&lab, "redis", "1/1");
    assert_eq!(
        (asked("maxmemory"), asked("maxmemory-policy")),
        ("maxmemory\n0\n".into(), "maxmemory-policy\nnoeviction\n".into())
    );
    config("maxmemory 2mb\\nmaxmemory-policy allkeys-lru\\n");
    assert_eq!(asked("maxmemory"), "maxmemory\n0\n", "until the pod starts anew");
    lab.ok("kubectl delete pod redis");
    apply(&lab, "pods/config/redis-pod.yaml");
    pod(&lab, "redis", "1/1");
    assert_eq!(
        (asked("maxmemory"), asked("maxmemory-policy")),
        ("maxmemory\n2097152\n".into(), "maxmemory-policy\nallkeys-lru\n".into())
    );
    assert!(lab.ok("kubectl exec redis -- ls").is_empty(), "its folder is there");
}
