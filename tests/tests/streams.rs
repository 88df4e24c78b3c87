//! Exec, cp, logs and port-forward by the machine's own kubectl: over WebSocket, as it prefers, and over
//! SPDY, as older ones do.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed helper is a failed test")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Output, Stdio};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use playground_tests::{Server, curl, eventually};

/// kubectl's environment for each way to carry streams.
const WAYS: [(&str, &[(&str, &str)]); 2] = [
    ("WebSocket", &[]),
    ("SPDY", &[("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", "false"), ("KUBECTL_PORT_FORWARD_WEBSOCKETS", "false")]),
];

fn web() -> Server {
    let server = Server::start(&["--runtime", "sim", "--nodes", "1"]);
    server.ok("run web --image nginx");
    server.until("get pod web", |table| table.contains("Running"));
    server
}

/// Runs kubectl with these arguments and this input.
fn run(server: &Server, environment: &[(&str, &str)], arguments: &[&str], input: &[u8]) -> Output {
    let mut command = server.command(arguments);
    command.envs(environment.iter().copied());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || {
        // A command may end before it has read everything.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn exec_carries_output_input_and_the_exit_code() {
    let server = web();
    for (way, environment) in WAYS {
        let script = "echo out; echo err >&2; exit 3";
        let output = run(&server, environment, &["exec", "web", "--", "sh", "-c", script], b"");
        assert_eq!(text(&output.stdout), "out\n", "{way}");
        assert_eq!(text(&output.stderr), "err\ncommand terminated with exit code 3\n", "{way}");
        assert_eq!(output.status.code(), Some(3), "{way}");

        // More than fits into any queue, and not text.
        let data: Vec<u8> = (0..1_000_000u32).flat_map(|number| number.to_le_bytes()).collect();
        let output = run(&server, environment, &["exec", "-i", "web", "--", "cat"], &data);
        assert!(output.status.success(), "{way}: {}", text(&output.stderr));
        assert!(output.stdout == data, "{way}: {} bytes came back", output.stdout.len());

        let output = run(&server, environment, &["exec", "web", "--", "absent"], b"");
        assert_eq!(output.status.code(), Some(1), "{way}");
        let error = text(&output.stderr);
        assert!(error.contains("exec: \"absent\": executable file not found in $PATH"), "{way}: {error}");
    }
}

#[test]
fn cp_carries_files_and_folders_both_ways() {
    let server = web();
    for (way, environment) in WAYS {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
        let data: Vec<u8> = (0..300_000u32).flat_map(|number| number.to_be_bytes()).collect();
        fs::create_dir_all(path("sent/inner")).unwrap();
        fs::write(path("sent/inner/data"), &data).unwrap();
        fs::write(path("sent/note"), "hello").unwrap();
        for (from, to) in [(path("sent"), format!("web:/tmp/{way}")), (format!("web:/tmp/{way}"), path("back"))] {
            let output = run(&server, environment, &["cp", &from, &to], b"");
            assert!(output.status.success(), "{way}: {}", text(&output.stderr));
        }
        assert!(fs::read(path("back/inner/data")).unwrap() == data, "{way}");
        assert_eq!(fs::read_to_string(path("back/note")).unwrap(), "hello", "{way}");
    }
}

/// A kubectl that goes on until it is dropped, and the lines it prints.
struct Running {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Running {
    fn start(server: &Server, environment: &[(&str, &str)], arguments: &[&str]) -> Self {
        let mut command = server.command(arguments);
        let mut child = command.envs(environment.iter().copied()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    /// The next line.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line
    }

    /// What is printed until the end.
    fn rest(&mut self) -> String {
        let mut rest = String::new();
        self.lines.read_to_string(&mut rest).unwrap();
        rest
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn port_forward_carries_many_connections_and_says_what_fails() {
    let server = web();
    for (way, environment) in WAYS {
        let mut forward = Running::start(&server, environment, &["port-forward", "pod/web", ":80", ":81"]);
        let mut address = || {
            let line = forward.line();
            let address = line.strip_prefix("Forwarding from ").and_then(|rest| rest.split(' ').next());
            format!("http://{}/", address.unwrap_or_else(|| panic!("{way}: {line}")))
        };
        let (page, _page_by_ipv6, closed) = (address(), address(), address());
        let requests: Vec<_> = (0..20)
            .map(|_| {
                let page = page.clone();
                std::thread::spawn(move || curl(&page))
            })
            .collect();
        for request in requests {
            let answer = request.join().unwrap().unwrap_or_default();
            assert!(answer.contains("Welcome to nginx!"), "{way}: {answer}");
        }
        // As with Kubernetes, one refused connection ends them all.
        assert_eq!(curl(&closed), None, "{way}");
        forward.rest();
        let status = eventually("port-forward ends", || forward.child.try_wait().unwrap());
        assert_eq!(status.code(), Some(1), "{way}");
    }
}

#[test]
fn logs_follow_what_a_container_writes() {
    let server = web();
    let mut logs = Running::start(&server, &[], &["logs", "-f", "--tail=0", "web"]);
    let address = server.ok("get pod web -o jsonpath={.status.podIP}");
    let fetch = format!("exec web -- curl -s http://{address}/followed");
    eventually("a request is logged", || {
        server.ok(&fetch);
        Some(logs.line()).filter(|line| line.contains("GET /followed"))
    });
    server.ok("delete pod web --grace-period=1");
    logs.rest();
    let status = eventually("logs end with the container", || logs.child.try_wait().unwrap());
    assert!(status.success());
}

/// The head of the answer to a browser's request for a WebSocket.
fn upgrade(page: &str, path: &str, protocols: &str) -> String {
    let host = page.trim_start_matches("http://").split('/').next().unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\
         Sec-WebSocket-Protocol: {protocols}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let lines = BufReader::new(stream).lines().map_while(Result::ok);
    lines.take_while(|line| !line.is_empty()).map(|line| line + "\n").collect()
}

#[test]
fn a_browser_shows_its_token_as_a_subprotocol() {
    let server = web();
    let page = server.page();
    let (_, token) = page.split_once("token=").expect("the page's address has a token");
    let path = "/api/v1/namespaces/default/pods/web/exec?command=ls&stdout=true";
    let protocols = |token: &str| {
        let token = URL_SAFE_NO_PAD.encode(token);
        format!("v5.channel.k8s.io, base64url.bearer.authorization.k8s.io.{token}")
    };
    let answer = upgrade(&page, path, &protocols(token));
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    assert!(answer.contains("sec-websocket-protocol: v5.channel.k8s.io\n"), "{answer}");
    assert!(upgrade(&page, path, &protocols("wrong")).starts_with("HTTP/1.1 401 "));
    assert!(upgrade(&page, path, "v5.channel.k8s.io").starts_with("HTTP/1.1 403 "));
}
