//! `kubectl config`

mod common;
use common::World;

#[test]
fn contexts() {
    let world = World::alone();
    world.check("config get-contexts", "CURRENT   NAME   CLUSTER   AUTHINFO   NAMESPACE");
    world.check("config current-context", "! error: current-context is not set\nexit 1");
    world.check("config set-cluster c --server=https://1.2.3.4", "Cluster \"c\" set.");
    world.check("config set-credentials u --token=secret", "User \"u\" set.");
    world.check("config set-context x --cluster=c --user=u", "Context \"x\" created.");
    world.check("config use-context x", "Switched to context \"x\".");
    world.check("config set-context --current --namespace=shop", "Context \"x\" modified.");
    world.check(
        "config get-contexts",
        "
        CURRENT   NAME   CLUSTER   AUTHINFO   NAMESPACE
        *         x      c         u          shop
        ",
    );
    world.check("config use-context y", "! error: no context exists with the name: \"y\"\nexit 1");
    world.check(
        "config view",
        "
        apiVersion: v1
        clusters:
        - cluster:
            server: https://1.2.3.4
          name: c
        contexts:
        - context:
            cluster: c
            namespace: shop
            user: u
          name: x
        current-context: x
        kind: Config
        preferences: {}
        users:
        - name: u
          user:
            token: REDACTED
        ",
    );
    world.check_refused("get pods", "https://1.2.3.4");
}

#[test]
fn usage() {
    let world = World::alone();
    world.check(
        "gte pods",
        "! Error: unknown command \"gte\" for \"kubectl\"\n!\n! Did you mean this?\n! \tget\n!\nexit 1",
    );
    world.check("get --foo", "! Error: unknown flag: --foo\n! See 'kubectl get --help' for usage.\nexit 1");
    world.check(
        "rollout foo",
        "! error: unknown command \"foo\"\n! See 'kubectl rollout -h' for help and examples\nexit 1",
    );
    assert!(world.run("get --help").starts_with("Display one or many resources.\n"));
}

#[test]
fn completion() {
    let world = World::new();
    assert_eq!(world.complete("kubectl ro"), ["rollout"]);
    assert_eq!(world.complete("kubectl rollout st"), ["status"]);
    assert_eq!(world.complete("kubectl get deploy"), ["deployments"]);
    assert_eq!(world.complete("kubectl get ns kube-n"), ["kube-node-lease"]);
    assert_eq!(world.complete("kubectl get ns/kube-n"), ["ns/kube-node-lease"]);
    assert_eq!(world.complete("kubectl get pods -n kube-s"), ["kube-system"]);
    assert_eq!(world.complete("kubectl get pods --name"), ["--namespace="]);
    assert_eq!(world.complete("kubectl get pods -o ya"), ["yaml"]);
}
