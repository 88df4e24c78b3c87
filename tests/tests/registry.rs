//! A private registry: refused without a pull secret, pulled with one, with its progress told.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use playground_tests::{Server, docker, image, within};
use serde_json::{Value, json};
use tempfile::TempDir;

const SOURCE: &str = "playground-test/private:1";
const USER: &str = "learner:secret";
const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// A layer takes this long, in so many parts: long enough for its progress to be told.
const PARTS: usize = 16;
const PART_PAUSE: Duration = Duration::from_millis(500);

/// What a registry has: type and bytes by path.
type Contents = BTreeMap<String, (&'static str, Vec<u8>)>;

fn digest(path: &Path) -> String {
    let output = Command::new("sha256sum").arg(path).output().expect("sha256sum");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    format!("sha256:{}", text.split_whitespace().next().expect("a sum"))
}

/// The image's parts as a registry has them, from `docker save`.
fn contents(folder: &Path) -> Contents {
    let archive = folder.join("image.tar");
    docker(&["save", "--output", &archive.display().to_string(), SOURCE]);
    let unpacked = Command::new("tar").arg("-C").arg(folder).arg("-xf").arg(&archive).status();
    assert!(unpacked.is_ok_and(|status| status.success()));
    let saved: Value =
        serde_json::from_slice(&std::fs::read(folder.join("manifest.json")).expect("a manifest")).expect("JSON");
    let mut contents = Contents::new();
    let mut blob = |name: &Value, media: &str| {
        let path = folder.join(name.as_str().expect("a path"));
        let (digest, bytes) = (digest(&path), std::fs::read(&path).expect("a part"));
        let described = json!({"mediaType": media, "size": bytes.len(), "digest": digest});
        contents.insert(format!("/v2/private/hello/blobs/{digest}"), ("application/octet-stream", bytes));
        described
    };
    let config = blob(&saved[0]["Config"], "application/vnd.docker.container.image.v1+json");
    let layers = saved[0]["Layers"].as_array().expect("layers");
    let layers: Vec<Value> =
        layers.iter().map(|layer| blob(layer, "application/vnd.docker.image.rootfs.diff.tar.gzip")).collect();
    let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}).to_string();
    let file = folder.join("pushed.json");
    std::fs::write(&file, &manifest).expect("a file");
    for reference in ["1".to_owned(), digest(&file)] {
        let path = format!("/v2/private/hello/manifests/{reference}");
        contents.insert(path, (MANIFEST, manifest.clone().into_bytes()));
    }
    contents.insert("/v2/".into(), ("application/json", b"{}".to_vec()));
    contents
}

fn answer(stream: &mut TcpStream, contents: &Contents) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte)? == 0 {
            return Ok(());
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut words = head.split_whitespace();
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let wanted = format!("Authorization: Basic {}", BASE64.encode(USER));
    let (status, kind, body): (&str, &str, &[u8]) = match contents.get(path) {
        _ if !head.lines().any(|line| line.eq_ignore_ascii_case(&wanted)) => (
            "401 Unauthorized",
            "application/json",
            br#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#,
        ),
        Some((kind, body)) => ("200 OK", kind, body),
        None => ("404 Not Found", "application/json", b"{}"),
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nDocker-Distribution-Api-Version: registry/2.0\r\n\
         WWW-Authenticate: Basic realm=\"test\"\r\nConnection: close\r\n\r\n",
        body.len()
    )?;
    if method == "HEAD" {
        return Ok(());
    }
    let slow = body.len() > 100_000;
    for part in body.chunks((body.len() / PARTS).max(1)) {
        stream.write_all(part)?;
        if slow {
            std::thread::sleep(PART_PAUSE);
        }
    }
    Ok(())
}

#[test]
fn a_private_registry() {
    image(SOURCE, "echo from a private registry; sleep 100000");
    let folder = TempDir::new().expect("a temporary folder");
    let contents = Arc::new(contents(folder.path()));
    docker(&["rmi", "--force", SOURCE]);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let registry = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let contents = contents.clone();
            // The client may have had enough.
            std::thread::spawn(move || _ = answer(&mut stream, &contents));
        }
    });

    let mut server = Server::start(&["--runtime", "docker", "--nodes", "1"]);
    server.until("get serviceaccounts default", |table| !table.is_empty());
    let name = format!("{registry}/private/hello:1");
    server.ok(&format!("run hello --image={name}"));
    server.until("describe pod hello", |text| {
        text.contains(&format!("Failed to pull image \"{name}\"")) && text.contains("no basic auth credentials")
    });
    server.ok("delete pod hello --grace-period=0");
    server.ok(&format!(
        "create secret docker-registry mine --docker-server={registry} --docker-username=learner --docker-password=secret"
    ));
    server.ok(&format!(
        "run hello --image={name} --overrides={{\"spec\":{{\"imagePullSecrets\":[{{\"name\":\"mine\"}}]}}}}"
    ));
    within(Duration::from_secs(90), "the pod runs", || {
        server.ok("get pod hello").contains("1/1     Running").then_some(())
    });
    assert!(server.ok("logs hello").contains("from a private registry"));
    let told = server.ok("describe pod hello");
    assert!(told.contains("Successfully pulled image"), "{told}");
    assert!(told.contains(" MB of ") && told.contains("%)"), "{told}");
    server.ok("delete pod hello --grace-period=0");
    server.delete_cluster();
    docker(&["rmi", "--force", &name]);
}
