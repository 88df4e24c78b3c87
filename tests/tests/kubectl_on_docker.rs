//! The seed documents' manifests by the machine's own kubectl on real containers.
//!
//! Images are made on the spot from the machine's static busybox: nothing is pulled.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use playground_tests::{Server, curl, eventually, manifest, names};

fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().expect("docker");
    assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// An image whose command is a shell line, made of nothing but busybox.
fn image(name: &str, line: &str) {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| fs::exists(path).unwrap_or(false));
    let bin = folder.path().join("bin");
    fs::create_dir_all(&bin).expect("a folder");
    fs::create_dir_all(folder.path().join("tmp")).expect("a folder");
    fs::copy(busybox.expect("busybox-static"), bin.join("busybox")).expect("busybox");
    for applet in ["sh", "echo", "sleep", "httpd", "date", "cat", "mkdir", "hostname", "kill"] {
        std::os::unix::fs::symlink("busybox", bin.join(applet)).expect("a link");
    }
    let archive = Command::new("tar").args(["-C"]).arg(folder.path()).args(["-c", "."]).output().expect("tar");
    let command = format!("CMD [\"/bin/sh\", \"-c\", {line:?}]");
    let mut import = Command::new("docker")
        .args(["import", "--change", &command, "-", name])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("docker import");
    import.stdin.take().expect("its input").write_all(&archive.stdout).expect("an archive to import");
    assert!(import.wait().expect("docker import").success());
}

fn web_image(name: &str, port: u16, answer: &str) {
    let line = format!(
        "mkdir -p /www && echo '{answer}' > /www/index.html && echo listening on {port} && exec httpd -f -p {port} -h /www"
    );
    image(name, &line);
}

/// The containers of one of the pods in this server, by `docker ps`.
fn containers(filter: &str) -> Vec<String> {
    let listing = docker(&["ps", "--all", "--format", "{{.Names}}", "--filter", &format!("name={filter}")]);
    listing.lines().map(str::to_owned).collect()
}

#[test]
fn hello_kube_is_a_real_container() {
    web_image("hellokube:1.0.0", 8080, "Hello Kube! from a container");
    let mut server = Server::start(&["--runtime", "docker", "--nodes", "1"]);
    server.until("get nodes", |table| table.contains(" Ready "));
    server.ok(&format!("apply -f {}", manifest("hellodep.yaml")));
    let pods = server.until("get pods", |table| table.matches("1/1     Running").count() == 2);
    let pod = names(&pods).remove(0);

    // One sandbox and one container for each pod, named as the kubelet names them.
    let uid = server.ok(&format!("get pod {pod} -o jsonpath={{.metadata.uid}}"));
    let container = format!("k8s_hellokube_{pod}_default_{uid}_0");
    let sandbox = format!("k8s_POD_{pod}_default_{uid}_0");
    assert_eq!(containers(&format!("^/{container}$")), [container.as_str()]);
    assert_eq!(containers(&format!("^/{sandbox}$")), [sandbox.as_str()]);
    assert!(server.ok(&format!("logs {pod}")).contains("listening on 8080"));
    let address = server.ok(&format!("get pod {pod} -o jsonpath={{.status.podIP}}"));
    assert!(eventually("the pod answers", || curl(&format!("http://{address}:8080/"))).contains("from a container"));

    server.ok(&format!("apply -f {}", manifest("helloservice.yaml")));
    server.until("get endpoints helleservice", |table| table.matches(":8080").count() == 2);
    assert!(eventually("the node port answers", || curl("http://localhost:30950")).contains("from a container"));

    // Killed behind our back, it comes again.
    docker(&["kill", &container]);
    server.until(&format!("get pod {pod}"), |table| {
        table
            .lines()
            .nth(1)
            .is_some_and(|line| line.contains("1/1     Running") && line.split_whitespace().nth(3) == Some("1"))
    });
    let again = format!("k8s_hellokube_{pod}_default_{uid}_1");
    assert_eq!(containers(&format!("^/{again}$")), [again.as_str()]);

    // A restart of the server changes nothing for the containers.
    let running = |name: &str| docker(&["inspect", "--format", "{{.Id}} {{.State.StartedAt}}", name]);
    let before = running(&again);
    server.interrupt();
    server.start_again();
    server.until("get pods", |table| table.matches("1/1     Running").count() == 2);
    assert_eq!(running(&again), before);

    server.ok("delete deployment hellodep");
    server.until("get pods", str::is_empty);
    eventually("no container is left", || containers("_hellodep-").is_empty().then_some(()));
}

#[test]
fn an_image_that_is_not_there_is_said_so() {
    let server = Server::start(&["--runtime", "docker", "--nodes", "1"]);
    server.until("get serviceaccounts default", |table| !table.is_empty());
    server.ok("run absent --image=playground.invalid/no-such-image:1.0.0 --image-pull-policy=IfNotPresent");
    server.until("get pod absent", |table| table.contains("ErrImagePull") || table.contains("ImagePullBackOff"));
    server.until("describe pod absent", |text| {
        text.contains("Failed to pull image \"playground.invalid/no-such-image:1.0.0\"")
    });
    server.ok("delete pod absent");
    eventually("no container is left", || containers("_absent_default_").is_empty().then_some(()));
}
