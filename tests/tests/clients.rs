//! The official clients of other languages: `cargo xtask test` installs them beside their scenarios.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::process::Command;

use playground_tests::{Server, root};

fn run(program: &Path, library: &str, scenario: &str) {
    let folder = root().join("tests/clients");
    assert!(folder.join(library).exists(), "{library} is missing: `cargo xtask test` installs it");
    let server = Server::start(&["--runtime", "sim"]);
    let output =
        Command::new(program).arg(folder.join(scenario)).env("KUBECONFIG", server.kubeconfig()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
}

#[test]
fn the_python_client_is_served() {
    let python = root().join("tests/clients/python/.venv/bin/python");
    run(&python, "python/.venv/bin/python", "python/scenario.py");
}

#[test]
fn the_javascript_client_is_served() {
    run(Path::new("node"), "javascript/node_modules/@kubernetes/client-node", "javascript/scenario.js");
}
