//! What goes wrong beside the cluster, and what comes of it: a clear message or event, and a server that
//! goes on.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use playground_tests::daemon::Daemon;
use playground_tests::{Server, binary, docker, eventually, image, node_port, port_of, within};
use tempfile::TempDir;

const IMAGE: &str = "playground-test/faults:1";
const PATIENCE: Duration = Duration::from_secs(120);
/// Any answer while something is wrong must come within this.
const AT_ONCE: Duration = Duration::from_secs(5);

fn pod(name: &str, image: &str, rest: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, labels: {{app: {name}}}}}\nspec:\n  terminationGracePeriodSeconds: 0\n  \
         containers: [{{name: c, image: \"{image}\", imagePullPolicy: IfNotPresent{rest}}}]\n"
    )
}

/// The server answers while something is wrong.
fn answers(server: &Server) {
    let begin = Instant::now();
    server.ok("get nodes");
    assert!(begin.elapsed() < AT_ONCE, "the server took {:?}", begin.elapsed());
}

fn containers(server: &Server, filter: &str) -> Vec<String> {
    let listing = server.docker(&["ps", "--format", "{{.Names}}", "--filter", &format!("name={filter}")]);
    listing.lines().map(str::to_owned).collect()
}

/// Where the server listens, and the page's token: enough for requests over a plain connection.
fn plain(server: &Server) -> (String, String) {
    let page = server.page();
    let (address, token) = page.trim_start_matches("http://").split_once("/#token=").expect("a page with a token");
    (address.to_owned(), token.to_owned())
}

/// Sends bytes, and gives the answer's first line.
fn first_line(address: &str, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).expect("the server");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    // A server that has seen enough does not read the rest.
    let _ = stream.write_all(bytes);
    let mut answer = vec![0; 1024];
    let length = stream.read(&mut answer).unwrap_or(0);
    String::from_utf8_lossy(&answer[..length]).lines().next().unwrap_or_default().to_owned()
}

#[test]
fn docker_is_stopped_slow_and_back() {
    let Some(mut daemon) = Daemon::start() else { return };
    daemon.image(IMAGE, "sleep 100000");
    let mut server = Server::start_on(&daemon, &["--runtime", "docker", "--nodes", "1"]);
    server.apply(&pod("first", IMAGE, ""));
    server.until("get pod first", |table| table.contains("1/1     Running"));

    // It says nothing for a while: the API does, and what was asked for comes later.
    daemon.freeze();
    answers(&server);
    server.apply(&pod("second", IMAGE, ""));
    answers(&server);
    let known = server.until("get pod second -o wide", |table| table.contains("playground-control-plane"));
    assert!(!known.contains("Running"), "{known}");
    daemon.thaw();
    server.until_within(PATIENCE, "get pods", |table| table.matches("1/1     Running").count() == 2);

    // It is gone: the node says why, pods stay as they are known.
    daemon.stop();
    answers(&server);
    server.until_within(PATIENCE, "get nodes", |table| table.contains(" NotReady "));
    server.until("describe node playground-control-plane", |text| text.contains("Docker does not answer"));
    server.apply(&pod("third", IMAGE, ""));
    daemon.run();
    server.until_within(PATIENCE, "get nodes", |table| table.contains(" Ready "));
    server.until_within(PATIENCE, "get pods", |table| table.matches("1/1     Running").count() == 3);
    server.delete_cluster();
}

#[test]
fn containers_are_killed_and_removed_behind_our_back() {
    image(IMAGE, "sleep 100000");
    let mut server = Server::start(&["--runtime", "docker", "--nodes", "1"]);
    server.apply(&pod("victim", IMAGE, ""));
    let runs = |restarts: u64| {
        server.until_within(PATIENCE, "get pod victim -o jsonpath={.status.containerStatuses[0]}", |status| {
            let status: serde_json::Value = serde_json::from_str(status).unwrap_or_default();
            status["ready"] == true && status["restartCount"].as_u64() >= Some(restarts)
        });
    };
    runs(0);
    let one = |filter: &str| eventually(filter, || containers(&server, filter).into_iter().next());
    docker(&["kill", &one("^/k8s_c_victim_")]);
    runs(1);
    docker(&["rm", "--force", &one("^/k8s_c_victim_")]);
    runs(1);
    docker(&["rm", "--force", &one("^/k8s_POD_victim_")]);
    eventually("there is another sandbox", || containers(&server, "^/k8s_POD_victim_").into_iter().next());
    runs(1);
    server.until("describe pod victim", |text| text.contains("SandboxChanged") || text.contains("Pod sandbox changed"));
    // All at once, and the network's agent with them.
    let own = format!("label=playground.data-dir={}", server.data_dir().join("volumes").display());
    let all = docker(&["ps", "--all", "--quiet", "--filter", &own, "--filter", "label=io.kubernetes.pod.uid"]);
    docker(&["rm", "--force"].into_iter().chain(all.split_whitespace()).collect::<Vec<_>>());
    eventually("there is another sandbox", || containers(&server, "^/k8s_POD_victim_").into_iter().next());
    runs(0);
    answers(&server);
    server.delete_cluster();
}

#[test]
fn the_disk_is_full() {
    let folder = TempDir::new().expect("a temporary folder");
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=24m", "tmpfs"]).arg(folder.path()).output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        println!("SKIPPED: a small disk needs root");
        return;
    }
    let path = folder.path().to_owned();
    let _unmounted = Unmount(path.clone());
    let mut server = Server::start_with(&["--runtime", "sim", "--nodes", "1"], None, folder);
    server.until("get serviceaccounts default", |table| !table.is_empty());
    server.ok("create configmap before");

    let filler = path.join("filler");
    // As much as there is: writing ends where the disk does.
    let _ = Command::new("dd").args(["if=/dev/zero", "bs=64k"]).arg(format!("of={}", filler.display())).output();
    let elsewhere = TempDir::new().expect("a temporary folder");
    std::fs::write(elsewhere.path().join("x"), "x".repeat(500_000)).expect("a file");
    let value = format!("--from-file={}", elsewhere.path().join("x").display());
    let refused = within(PATIENCE, "a change is refused", || {
        let output = server.command(&["create", "configmap", "large", &value]).output().expect("kubectl");
        if output.status.success() {
            server.ok("delete configmap large");
            return None;
        }
        Some(String::from_utf8_lossy(&output.stderr).into_owned())
    });
    assert!(refused.contains("not durable") && refused.contains("No space left on device"), "{refused}");
    // What is there can be read.
    server.ok("get configmap before");
    answers(&server);

    std::fs::remove_file(&filler).expect("the filler");
    within(PATIENCE, "changes are taken again", || {
        server.kubectl("create configmap after").status.success().then_some(())
    });
    server.kill();
    server.start_again();
    // What was refused may have been made after all, as with any answer that is lost.
    server.ok("get configmap before after");
    server.kill();
}

struct Unmount(std::path::PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
        // It could not be removed while it was mounted.
        let _ = std::fs::remove_dir(&self.0);
    }
}

/// What a command says that fails.
fn refused(command: &mut Command) -> String {
    let output = command.output().expect("playground");
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn ports_are_taken() {
    image(IMAGE, "sleep 100000");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address");
    let folder = TempDir::new().expect("a temporary folder");
    let said = refused(
        Command::new(binary())
            .args(["serve", "--runtime", "sim", "--listen", &address.to_string(), "--data-dir"])
            .arg(folder.path().join("data")),
    );
    assert!(said.contains(&format!("{address} is in use: stop what listens there, or choose another port")), "{said}");
    assert!(!folder.path().join("data").exists(), "nothing is made before the port is there");

    // A Service's: the Service is there, the port is told of.
    let busy = node_port();
    let port = port_of(&busy);
    let mut server = Server::start(&["--runtime", "docker", "--nodes", "1"]);
    server.apply(&pod("web", IMAGE, ""));
    server.ok(&format!(
        "expose pod web --port 80 --type NodePort --overrides {{\"spec\":{{\"ports\":[{{\"port\":80,\"nodePort\":{port}}}]}}}}"
    ));
    let told = format!("port {port} of the cluster's localhost cannot be opened on this machine");
    eventually("the port is told of", || server.log().contains(&told).then_some(()));
    let told = format!("listen tcp 127.0.0.1:{port}: bind: address already in use");
    server.until("describe service web", |text| text.contains(&told));
    server.ok("delete service web");
    drop(busy);

    // A host port that something else has: the pod says so.
    let busy = node_port();
    let port = port_of(&busy);
    let wanted = format!(", ports: [{{containerPort: 80, hostPort: {port}}}]");
    server.apply(&pod("outside", IMAGE, &wanted));
    server.until("describe pod outside", |text| {
        text.contains(&port.to_string()) && text.contains("FailedCreatePodSandBox")
    });
    drop(busy);
    server.until_within(PATIENCE, "get pod outside", |table| table.contains("1/1     Running"));

    // One that another pod has: the scheduler finds no node.
    server.apply(&pod("rival", IMAGE, &wanted));
    server.until("describe pod rival", |text| {
        text.contains("0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports")
    });
    server.ok("delete pod outside");
    server.until_within(PATIENCE, "get pod rival", |table| table.contains("1/1     Running"));
    answers(&server);
    server.delete_cluster();
}

#[test]
fn the_socket_is_not_for_everybody() {
    let folder = TempDir::new().expect("a temporary folder");
    let public = |path: &Path, mode: u32| {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).expect("permissions");
    };
    public(folder.path(), 0o777);
    let program = folder.path().join("playground");
    std::fs::copy(binary(), &program).expect("a copy");
    public(&program, 0o755);
    let nobody = |arguments: &[&str]| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&program).args(arguments);
        command.arg("--data-dir").arg(folder.path().join("data")).env_remove("DOCKER_HOST");
        command
    };
    if !nobody(&["--help"]).output().is_ok_and(|output| output.status.code() != Some(127)) {
        println!("SKIPPED: another user needs root");
        return;
    }
    let said = refused(&mut nobody(&["serve", "--listen", "127.0.0.1:0", "--runtime", "docker"]));
    let wanted = "permission denied at the Docker socket: add your user to the group `docker`";
    assert!(said.contains(wanted), "{said}");
}

#[test]
fn a_pod_floods_its_log() {
    image("playground-test/flood:1", "yes 0123456789012345678901234567890123456789012345678901234567890123456789");
    let mut server = Server::start(&["--runtime", "docker", "--nodes", "1"]);
    server.apply(&pod("flood", "playground-test/flood:1", ""));
    server.until("get pod flood", |table| table.contains("1/1     Running"));
    // Somebody follows it and reads nothing.
    let mut follower = server.command(&["logs", "-f", "flood"]);
    let mut follower = follower.stdout(std::process::Stdio::piped()).spawn().expect("kubectl");
    // Docker begins its log anew once it has 10 MB.
    let id = containers(&server, "^/k8s_c_flood_").remove(0);
    let log = docker(&["inspect", "--format", "{{.LogPath}}", &id]);
    eventually("the log has been full once", || Path::new(&format!("{}.1", log.trim())).exists().then_some(()));
    answers(&server);
    assert_eq!(server.ok("logs flood --tail=5").lines().count(), 5);
    let memory = resident_mib(server.pid());
    assert!(memory < 150, "the server has {memory} MiB");
    follower.kill().expect("kubectl");
    let _ = follower.wait();
    // What is kept has an end.
    let options = docker(&["inspect", "--format", "{{json .HostConfig.LogConfig}}", &id]);
    assert!(options.contains("max-size"), "{options}");
    server.ok("delete pod flood");
    server.delete_cluster();
}

fn resident_mib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("its memory");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("a number") / 1024
}

#[test]
fn clients_that_do_not_behave() {
    let server = Server::start(&["--runtime", "sim", "--nodes", "1"]);
    server.until("get serviceaccounts default", |table| !table.is_empty());
    let (address, token) = plain(&server);
    let head = format!("Host: {address}\r\nAuthorization: Bearer {token}\r\n");

    // Watches of everything, which nobody reads.
    let watch = format!("GET /api/v1/configmaps?watch=true HTTP/1.1\r\n{head}\r\n");
    let deaf: Vec<TcpStream> = (0..50)
        .map(|_| {
            let mut stream = TcpStream::connect(&address).expect("the server");
            stream.write_all(watch.as_bytes()).expect("a request");
            stream
        })
        .collect();
    let value = "x".repeat(100_000);
    server.ok(&format!("create configmap large --from-literal=x={value}"));
    for round in 0..30 {
        server.ok(&format!("label configmap large round={round} --overwrite"));
    }
    answers(&server);
    assert!(resident_mib(server.pid()) < 300, "{} MiB", resident_mib(server.pid()));

    // Thousands that say nothing, as far as this process may open files.
    let mut idle = Vec::new();
    while idle.len() < 3000 {
        match TcpStream::connect(&address) {
            Ok(stream) => idle.push(stream),
            Err(_) => break,
        }
    }
    assert!(idle.len() > 500, "only {}", idle.len());
    answers(&server);
    let begin = Instant::now();
    within(PATIENCE, "those that say nothing are put out", || {
        let mut one = idle.pop()?;
        one.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
        (one.read(&mut [0]).ok() == Some(0)).then_some(())
    });
    assert!(begin.elapsed() < Duration::from_secs(60));
    drop((deaf, idle));

    // Requests that are none, or too much.
    let post = |body: &str| {
        let length = body.len();
        let start =
            format!("POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\n{head}Content-Type: application/json\r\n");
        first_line(&address, format!("{start}Content-Length: {length}\r\n\r\n{body}").as_bytes())
    };
    assert!(post("{").contains(" 400 "));
    assert!(post(&format!("\"{}\"", "x".repeat(4 << 20))).contains(" 413 "));
    assert!(post(&"[".repeat(1 << 20)).contains(" 400 "));
    let lines = format!("GET /version HTTP/1.1\r\n{head}{}\r\n", "X: y\r\n".repeat(2000));
    assert!(first_line(&address, lines.as_bytes()).contains(" 431 "));
    for garbage in ["\r\n\r\n\0\0\0", "GET\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nxx", "\x16\x03\x01\x02\x00nonsense"] {
        let line = first_line(&address, garbage.as_bytes());
        assert!(
            line.is_empty() || line.contains(" 400 ") || line.as_bytes()[0] < 0x20 || line.contains(" 505 "),
            "{line:?}"
        );
    }
    assert!(first_line(&address, b"GET /version HTTP/1.1\r\nHost: evil.example\r\n\r\n").contains(" 403 "));
    answers(&server);
}

/// As after a reboot of the node: what is on its disk is there, and the container was restarted.
#[test]
fn files_of_simulated_nodes_outlive_the_server() {
    let mut server = Server::start(&["--runtime", "sim", "--nodes", "1"]);
    server.until("get serviceaccounts default", |table| !table.is_empty());
    server.apply(
        "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: data}\nspec:\n  accessModes: [ReadWriteOnce]\n  \
         resources: {requests: {storage: 1Gi}}\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: writer}\nspec:\n  \
         containers:\n  - {name: c, image: \"nginx:1.27\", volumeMounts: [{name: data, mountPath: /data}, {name: empty, \
         mountPath: /empty}]}\n  volumes:\n  - {name: data, persistentVolumeClaim: {claimName: data}}\n  - {name: empty, \
         emptyDir: {}}\n",
    );
    server.until("get pod writer", |table| table.contains("1/1"));
    server.ok("exec writer -- cp /etc/hostname /data/name");
    server.ok("exec writer -- cp /data/name /empty/name");
    server.interrupt();
    server.start_again();
    server.until("get pod writer", |table| table.contains("1/1") && table.contains("1 ("));
    assert_eq!(server.ok("exec writer -- cat /data/name /empty/name"), "writer\nwriter\n");
}
