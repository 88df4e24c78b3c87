//! kind, minikube and docker on the learner's computer.

use crate::lab::Lab;
use crate::test;

const CONFIG: &str = "cat > kind.yaml <<'EOF'
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes:
- role: control-plane
  extraPortMappings:
  - containerPort: 30950
    hostPort: 8080
- role: worker
  labels:
    disk: fast
- role: worker
EOF";

#[test]
fn kind_makes_clusters_beside_each_other() {
    let lab = Lab::new(1);
    assert_eq!(lab.run("kind get clusters").stderr, "No kind clusters found.\n");
    lab.ok(CONFIG);
    let told = lab.run("kind create cluster --name hello --config kind.yaml");
    assert_eq!(told.code, 0, "{}", told.stderr);
    for part in
        ["Creating cluster \"hello\" ...\n", " ✓ Joining worker nodes 🚜\n", "Set kubectl context to \"kind-hello\"\n"]
    {
        assert!(told.stderr.contains(part), "{part} in {}", told.stderr);
    }
    assert_eq!(lab.ok("kind get clusters"), "hello\n");
    assert_eq!(lab.ok("kind get nodes --name hello"), "hello-control-plane\nhello-worker\nhello-worker2\n");
    assert_eq!(lab.ok("kubectl config current-context"), "kind-hello\n");
    lab.until("kubectl get nodes", |table| table.matches(" Ready ").count() == 3);
    assert!(lab.ok("kubectl get nodes -l disk=fast -o name") == "node/hello-worker\n");
    let (_, error) = lab.fails("kind create cluster --name hello");
    assert!(error.contains("node(s) already exist for a cluster with the name \"hello\""), "{error}");

    let told = lab.run("kind load docker-image hellokube:1.0.0 --name hello").stderr;
    assert!(told.contains("not yet present on node \"hello-worker2\", loading..."), "{told}");
    assert!(
        lab.run("kind load docker-image hellokube:1.0.0 --name hello").stderr.contains("already present on all nodes")
    );
    let (_, error) = lab.fails("kind load docker-image absent:1 --name hello");
    assert_eq!(error, "ERROR: image: \"absent:1\" not present locally\n");

    lab.ok("kubectl apply -f hellodep.yaml -f helloservice.yaml");
    lab.until("kubectl get pods", |table| table.matches("1/1     Running").count() == 2);
    assert!(lab.until("curl -s http://localhost:8080", |_| true).starts_with("Hello Kube! "));

    // Whoever follows kubectl finds which cluster that is, and a way to it.
    assert_eq!(
        lab.control("clusters"),
        serde_json::json!([{"context": "playground", "current": false}, {"context": "kind-hello", "current": true}])
    );
    let there = lab.control("clusters/kind-hello/apis/apps/v1/deployments?limit=500");
    assert_eq!(there["items"][0]["metadata"]["name"], "hellodep");
    assert_eq!(lab.control("clusters/kind-hello/playground/v1/faults"), serde_json::json!([]));
    assert_eq!(lab.control("clusters/kind-other/api/v1/pods")["reason"], "ServiceUnavailable");

    // The second cluster knows nothing of the first.
    lab.run("kind create cluster");
    assert_eq!(lab.ok("kubectl config get-contexts -o name"), "kind-hello\nkind-kind\nplayground\n");
    lab.until("kubectl get nodes", |table| table.contains("kind-control-plane   Ready"));
    assert_eq!(lab.ok("kubectl get pods"), "");
    lab.ok("kubectl --context kind-hello get deployment hellodep");
    assert_eq!(lab.ok("kubectl --context playground get pods"), "");

    let table = lab.ok("docker ps");
    assert!(table.starts_with("CONTAINER ID   IMAGE"), "{table}");
    assert!(table.contains("0.0.0.0:8080->30950/tcp   hello-control-plane"), "{table}");
    assert!(lab.ok("docker exec hello-worker crictl ps").contains("hellokube"));

    let told = lab.run("kind delete cluster --name hello").stderr;
    assert!(told.starts_with("Deleting cluster \"hello\" ...\nDeleted nodes: [\"hello-control-plane\" "), "{told}");
    lab.fails("curl -s http://localhost:8080");
    assert_eq!(lab.ok("kind get clusters"), "kind\n");
}

#[test]
fn minikube_starts_serves_stops_and_deletes() {
    let lab = Lab::new(1);
    assert!(lab.ok("minikube version").starts_with("minikube version: v"));
    assert_eq!(lab.run("minikube status").code, 85);
    let told = lab.ok("minikube start --nodes 2 --driver=docker");
    assert!(told.contains("🏄  Done! kubectl is now configured to use \"minikube\" cluster"), "{told}");
    lab.until("kubectl get nodes", |table| table.contains("minikube-m02") && !table.contains("NotReady"));
    assert!(lab.ok("minikube status").starts_with("minikube\ntype: Control Plane\nhost: Running\n"));
    lab.ok("kubectl create deployment hello-node --image=nginx");
    lab.ok("kubectl expose deployment hello-node --type=NodePort --port=80");
    lab.until("kubectl get pods", |table| table.contains("1/1     Running"));
    let url = lab.ok("minikube service hello-node --url");
    assert!(url.starts_with("http://192.168.49.2:3"), "{url}");
    assert!(lab.until("curl -s $(minikube service hello-node --url)", |_| true).contains("Welcome to nginx!"));
    assert_eq!(lab.ok("minikube ip"), "192.168.49.2\n");
    assert!(lab.ok("minikube service list").contains("| hello-node"));
    assert!(lab.ok("minikube addons list").contains("| storage-provisioner  | minikube | enabled ✅"));
    assert!(lab.ok("minikube addons enable metrics-server").ends_with("🌟  The 'metrics-server' addon is enabled\n"));
    assert!(lab.ok("minikube ssh -- docker ps").contains("COMMAND"));
    lab.ok("minikube node add");
    lab.until("kubectl get nodes", |table| table.matches(" Ready ").count() == 3);
    assert!(lab.ok("minikube stop").ends_with("🛑  3 nodes stopped.\n"));
    assert_eq!(lab.run("minikube status").code, 7);
    assert!(lab.fails("kubectl get nodes").1.contains("was refused"));
    lab.ok("minikube start");
    assert!(lab.until("kubectl get deployment hello-node", |table| table.contains("1/1")).contains("hello-node"));
    assert!(lab.ok("minikube delete").contains("💀  Removed all traces of the \"minikube\" cluster."));
    assert_eq!(lab.ok("kubectl config get-contexts -o name"), "playground\n");
}

/// Whoever asks without kubectl is nobody, as at any API server.
#[test]
fn the_api_server_answers_where_the_kubeconfig_says() {
    let lab = Lab::new(1);
    let server = "https://127.0.0.1:6443";
    assert!(lab.ok("kubectl config view").contains(server));
    assert!(lab.ok(&format!("curl -sk {server}/version")).contains("gitVersion"));
    let refused = lab.ok(&format!("curl -sk {server}/api/v1/pods"));
    assert!(refused.contains("\\\"system:anonymous\\\" cannot list resource"), "{refused}");
}

/// minikube has no cloud: a load balancer waits for the tunnel, and has an address while that is there.
#[test]
fn minikube_tunnel_gives_load_balancers_their_address() {
    let lab = Lab::new(1);
    lab.ok("minikube start");
    lab.ok("kubectl create deployment hello --image=nginx && kubectl expose deployment hello --type=LoadBalancer --port=8081 --target-port=80");
    lab.ok("kubectl wait --for=condition=Available deployment/hello");
    let address = "kubectl get service hello --no-headers | awk '{print $4}'";
    assert_eq!(lab.ok(address), "<pending>\n");
    assert_ne!(lab.run("curl -s localhost:8081").code, 0);
    lab.run("minikube tunnel > tunnel.log 2>&1 & sleep 3");
    assert_eq!(lab.ok(address), "127.0.0.1\n");
    assert!(lab.ok("curl -s http://127.0.0.1:8081").contains("Welcome to nginx!"));
    assert!(lab.ok("cat tunnel.log").contains("Starting tunnel for service hello."));
    lab.run("pkill minikube; sleep 1");
    assert_eq!(lab.ok(address), "<pending>\n");
}

#[test]
fn docker_builds_runs_and_shows_containers() {
    let lab = Lab::new(1);
    assert!(lab.ok("docker images").contains("hellokube    1.0.0"));
    assert!(lab.ok("docker version").contains("Server: Docker Engine"));
    lab.ok("docker run -d --name web -p 8090:80 nginx");
    assert!(lab.until("curl -s localhost:8090", |_| true).contains("Welcome to nginx!"));
    assert!(lab.ok("docker container ls").contains("0.0.0.0:8090->80/tcp   web"));
    assert_eq!(lab.ok("docker exec web echo hello"), "hello\n");
    assert!(lab.ok("docker logs web 2>&1").contains("start worker process"));
    assert_eq!(lab.ok("docker run --rm busybox echo hello"), "hello\n");
    assert!(lab.fails("docker rm web").1.contains("container is running"));
    assert_eq!(lab.ok("docker stop web && docker rm web"), "web\nweb\n");
    lab.ok("mkdir app && echo '<h1>mine</h1>' > app/index.html");
    lab.ok("printf 'FROM nginx:1.27\\nCOPY index.html /usr/share/nginx/html/\\nRUN echo built > /built\\n' > app/Dockerfile");
    assert!(lab.fails("docker build -f nope app").1.contains("open nope: no such file"));
    lab.ok("docker build -t mine:1 app");
    let quiet = lab.run("docker build -q -t mine:1 app");
    assert!(quiet.stdout.starts_with("sha256:") && quiet.stderr.is_empty(), "{}{}", quiet.stdout, quiet.stderr);
    assert!(lab.ok("docker images").contains("mine         1"));
    assert_eq!(lab.ok("docker run --rm mine:1 cat /built"), "built\n");
    lab.ok("docker run -d --name mine -p 8091:80 mine:1");
    assert_eq!(lab.until("curl -s localhost:8091", |_| true), "<h1>mine</h1>\n");
    lab.ok("kind create cluster");
    lab.ok("kind load docker-image mine:1 && kubectl run mine --image=mine:1");
    lab.until("kubectl get pod mine", |table| table.contains("1/1"));
    assert_eq!(lab.ok("kubectl exec mine -- cat /built"), "built\n");
    assert_eq!(lab.fails("docker stop nothing").1, "Error response from daemon: No such container: nothing\n");
}

#[test]
fn minikube_keeps_settings_and_takes_images() {
    let lab = Lab::new(1);
    assert!(lab.ok("minikube config set memory 4096").contains("These changes will take effect"));
    assert_eq!(lab.ok("minikube config get memory"), "4096\n");
    assert!(lab.fails("minikube config set nope 1").1.contains("property name \"nope\" not found"));
    let told = lab.ok("minikube start -p one");
    assert!(told.contains("(CPUs=2, Memory=4096MB)"), "{told}");
    assert_eq!(lab.ok("minikube config view"), "- memory: 4096\n");
    lab.ok("minikube config unset memory");
    assert_eq!(lab.run("minikube status").code, 85);
    lab.ok("minikube profile one");
    assert_eq!(lab.ok("minikube profile"), "one\n");
    assert_eq!(lab.ok("minikube ip"), "192.168.49.2\n");
    assert!(lab.ok("minikube kubectl -- get nodes").contains("one "));
    assert!(lab.ok("minikube update-context").contains("Current context is \"one\""));

    lab.ok("minikube image load nginx:1.27");
    assert!(lab.ok("minikube image ls").contains("docker.io/library/nginx:1.27\n"));
    lab.ok("minikube image rm nginx:1.27");
    assert!(!lab.ok("minikube image ls").contains("library/nginx:1.27\n"));

    // What is built in the shell that points to the node's Docker is on the node, which pulls nothing then.
    lab.ok("printf 'FROM nginx:1.27\\nRUN echo mine > /usr/share/nginx/html/index.html\\n' > Dockerfile");
    let built =
        lab.ok("eval $(minikube docker-env) && docker build -q -t mine:v1 . >/dev/null; docker images; docker ps");
    assert!(built.contains("mine") && built.contains("k8s_kube-apiserver"), "{built}");
    lab.ok("kubectl run mine --image=mine:v1 --image-pull-policy=Never");
    lab.until("kubectl get pod mine", |table| table.contains("1/1     Running"));
    lab.ok("minikube delete");
    assert_eq!(lab.ok("minikube profile"), "minikube\n");
}

#[test]
fn docker_tells_by_templates() {
    let lab = Lab::new(1);
    assert_eq!(lab.ok("kind --version"), "kind version 0.31.0\n");
    lab.ok("kind create cluster");
    let node = "kind-control-plane";
    assert_eq!(lab.ok(&format!("docker inspect -f '{{{{.State.Status}}}}' {node}")), "running\n");
    let address = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
    let address = lab.ok(&format!("docker inspect -f '{address}' {node}"));
    assert!(address.starts_with("172.18."), "{address}");
    assert_eq!(lab.ok("docker ps --format '{{.Names}} {{.State}}'"), "kind-control-plane running\n");
    let networks = lab.ok("docker network ls");
    assert!(networks.starts_with("NETWORK ID     NAME      DRIVER    SCOPE\n"), "{networks}");
    assert_eq!(lab.ok("docker network ls --format '{{.Name}}'"), "bridge\nhost\nkind\nnone\n");
    let range = "{{(index .IPAM.Config 0).Subnet}}";
    assert_eq!(lab.ok(&format!("docker network inspect kind -f '{range}'")), "172.18.0.0/16\n");
    assert!(lab.fails("docker network inspect nope").1.contains("network nope not found"));
    lab.ok("docker run --name one busybox true");
    lab.ok("docker rename one two");
    assert_eq!(lab.ok("docker ps -a --filter name=two --format '{{.Names}}'"), "two\n");
    assert!(lab.ok("docker container prune -f").starts_with("Deleted Containers:\n"));
    assert!(lab.ok("docker images --format '{{.Repository}}:{{.Tag}}'").contains("busybox:latest\n"));
    assert!(lab.ok("docker exec kind-control-plane clear").starts_with("\x1b[H"));
    lab.ok("kind delete clusters --all");
    assert_eq!(lab.run("kind get clusters").stdout, "");
}

#[test]
fn docker_keeps_volumes_copies_files_and_moves_images() {
    let lab = Lab::new(1);
    // A volume begins with what the image has, and outlives its containers.
    assert_eq!(lab.ok("docker volume create pages"), "pages\n");
    lab.ok("docker run -d --name web -p 8080:80 -v pages:/usr/share/nginx/html nginx");
    lab.until("curl -s localhost:8080", |page| page.contains("Welcome to nginx!"));
    lab.ok("docker run --rm --mount source=pages,target=/pages busybox sh -c 'echo changed > /pages/index.html'");
    assert_eq!(lab.ok("curl -s localhost:8080"), "changed\n");
    assert_eq!(lab.ok("docker volume ls"), "DRIVER    VOLUME NAME\nlocal     pages\n");
    assert_eq!(lab.ok("docker volume inspect pages -f '{{.Mountpoint}}'"), "/var/lib/docker/volumes/pages/_data\n");
    assert!(lab.fails("docker volume rm pages").1.contains("remove pages: volume is in use - ["));
    assert!(lab.fails("docker volume inspect nope").1.ends_with("get nope: no such volume\n"));
    // A folder of this computer, which is read-only there.
    lab.ok("mkdir site && echo mine > site/index.html");
    let run = "docker run --rm -v $PWD/site:/site:ro busybox";
    assert_eq!(lab.ok(&format!("{run} cat /site/index.html")), "mine\n");
    assert!(lab.fails(&format!("{run} touch /site/x")).1.contains("Read-only file system"));
    assert!(
        lab.fails("docker run --rm --mount type=bind,source=/nope,target=/x busybox true")
            .1
            .contains("bind source path does not exist: /nope")
    );
    assert!(lab.fails("docker run -v a:b busybox true").1.contains("mount path must be absolute"));

    lab.ok("docker cp site/index.html web:/usr/share/nginx/html/mine.html");
    assert_eq!(lab.ok("curl -s localhost:8080/mine.html"), "mine\n");
    lab.ok("docker cp web:/usr/share/nginx/html copied && docker cp web:/etc/hostname .");
    assert_eq!(lab.ok("cat copied/index.html hostname"), "changed\nweb\n");
    assert!(lab.fails("docker cp web:/nope .").1.contains("Could not find the file /nope in container web"));
    assert_eq!(lab.fails("docker cp a b").1, "must specify at least one container source\n");

    let top = lab.ok("docker top web");
    assert!(top.starts_with("UID") && top.contains("nginx: master process"), "{top}");
    let stats = lab.ok("docker stats --no-stream --format '{{.Name}} {{.MemUsage}} {{.PIDs}}'");
    assert!(stats.starts_with("web ") && stats.contains("MiB / 16GiB"), "{stats}");
    assert!(lab.ok("docker system df").contains("Local Volumes   1         1"));
    assert!(lab.ok("docker history nginx").contains("<missing>"));
    lab.ok("docker rm -f web && docker volume rm pages");

    // An image in a file, for another Docker or for nodes.
    lab.ok("printf 'FROM busybox\\nRUN echo kept > /kept\\n' > Dockerfile && docker build -t mine:2 .");
    lab.ok("docker save mine:2 -o mine.tar && docker rmi mine:2");
    assert!(lab.ok("tar -tf mine.tar").starts_with("manifest.json\n"));
    lab.ok("kind create cluster && kind load image-archive mine.tar");
    lab.ok("kubectl run mine --image=mine:2 --image-pull-policy=Never -- sleep 1d");
    lab.until("kubectl get pod mine", |table| table.contains("1/1     Running"));
    assert_eq!(lab.ok("docker load -i mine.tar"), "Loaded image: mine:2\n");
    assert_eq!(lab.ok("docker run --rm mine:2 cat /kept"), "kept\n");
    assert_eq!(lab.fails("docker load -i nope.tar").1, "open nope.tar: no such file or directory\n");

    lab.ok("docker run --name once busybox true");
    assert!(lab.ok("yes | docker system prune -a").contains("Deleted Containers:\n"));
    assert_eq!(lab.ok("docker ps -aq --filter name=once"), "");
    assert!(lab.ok("echo secret | docker login -u me --password-stdin").ends_with("Login Succeeded\n"));
    assert!(lab.ok("cat .docker/config.json").contains("\"auth\": \"bWU6c2VjcmV0\""));
    lab.ok("kubectl create secret generic regcred --from-file=.dockerconfigjson=.docker/config.json --type=kubernetes.io/dockerconfigjson");
    assert_eq!(lab.ok("docker logout"), "Removing login credentials for https://index.docker.io/v1/\n");
    lab.ok("echo '[]' > .docker/config.json");
    assert!(lab.fails("docker login -u me -p secret").1.contains("Error loading config file: "));
    lab.ok("docker run -d --name beside -v $PWD:/w busybox sleep 1d && docker cp . beside:/w/copy");
    lab.fails("ls copy/copy/copy");
    assert!(lab.fails("docker volume nope").1.starts_with("docker: unknown command: docker volume nope\n"));
}

#[test]
fn minikube_is_paused_and_looked_into() {
    let lab = Lab::new(1);
    lab.ok("minikube start --nodes 2");
    lab.ok("kubectl run web --image=nginx");
    lab.until("kubectl get pod web", |table| table.contains("1/1"));
    assert!(lab.ok("minikube pause").contains("⏯️  Paused "));
    let status = lab.run("minikube status");
    assert!(status.code == 2 && status.stdout.contains("apiserver: Paused\n"), "{}", status.stdout);
    lab.fails("kubectl get pods");
    // Longer than any probe waits: nothing starts what stands still.
    lab.ok("sleep 120");
    assert!(lab.ok("minikube unpause").contains("Unpaused"));
    lab.until("kubectl get pod web", |table| table.contains("1/1"));
    let restarts = "kubectl get pods -A -o jsonpath='{.items[*].status.containerStatuses[*].restartCount}'";
    let restarts = lab.ok(restarts);
    assert!(restarts.contains('0') && !restarts.contains(|c: char| c.is_ascii_digit() && c != '0'), "{restarts}");
    lab.ok("echo hello > note && minikube cp note /home/docker/note && minikube cp note m02:/root/note");
    assert_eq!(lab.ok("minikube ssh cat /home/docker/note"), "hello\n");
    assert_eq!(lab.ok("minikube ssh --node minikube-m02 cat /root/note"), "hello\n");
    lab.ok("minikube cp minikube:/etc/hostname name");
    assert_eq!(lab.ok("cat name"), "minikube\n");
    let logs = lab.ok("minikube logs --length 5");
    for part in ["==> container status <==\n", "==> coredns [", "==> kubelet <==\n"] {
        assert!(logs.contains(part), "{part} in {logs}");
    }
    let page = lab.ok("kind create cluster --help");
    assert!(
        page.contains("  kind create cluster [flags]\n")
            && page.contains("  -h, --help                help for cluster\n"),
        "{page}"
    );
    assert_eq!(lab.fails("kind load").1, "ERROR: Subcommand is required\n");
}
