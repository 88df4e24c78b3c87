//! `kubectl config`

use crate::common::World;

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

#[test]
fn credentials_of_plugins() {
    let world = World::alone();
    world.check(
        "config set-credentials ada --exec-command=aws --exec-api-version=client.authentication.k8s.io/v1beta1 \
         --exec-arg=eks,get-token --exec-env=A=b",
        "User \"ada\" set.",
    );
    world.check(
        "config view -o jsonpath={.users[0].user}",
        "{\"exec\":{\"apiVersion\":\"client.authentication.k8s.io/v1beta1\",\"args\":[\"eks\",\"get-token\"],\"command\":\"aws\",\
         \"env\":[{\"name\":\"A\",\"value\":\"b\"}],\"provideClusterInfo\":false}}",
    );
    world.run("config set-cluster here --server=http://127.0.0.1:1");
    world.run("config set-context here --cluster=here --user=ada");
    world.run("config use-context here");
    world.check(
        "get pods",
        "! Unable to connect to the server: getting credentials: exec: this machine runs no aws: it is a simulated \
         one\nexit 1",
    );
}

#[test]
fn a_flat_view_has_the_files() {
    let world = World::alone();
    world.file("/home/learner/.kube/ca.crt", "PEM");
    world.run("config set-cluster here --server=https://127.0.0.1:1 --certificate-authority=ca.crt");
    world.check("config view -o jsonpath={.clusters[0].cluster.certificate-authority}", "/home/learner/.kube/ca.crt");
    world.check("config view --flatten -o jsonpath={.clusters[0].cluster.certificate-authority-data}", "UEVN");
}

#[test]
fn preferences() {
    let world = World::alone();
    world.file(
        "rc",
        "apiVersion: kubectl.config.k8s.io/v1beta1\nkind: Preference\naliases:\n- name: mk\n  command: create configmap\n  \
         options:\n  - {name: dry-run, default: client}\n  appendArgs: [--from-literal=a=b]\ndefaults:\n- command: create \
         configmap\n  options:\n  - {name: output, default: name}\n",
    );
    world.check("--kuberc=rc mk x", "configmap/x");
    world.check("mk x --kuberc rc -o jsonpath={.data.a}", "b");
    world.check("--kuberc=rc create configmap x --dry-run=client", "configmap/x");
    world.check("create configmap x --dry-run=client", "configmap/x created (dry run)");
    assert!(world.run("mk x").contains("unknown command \"mk\" for \"kubectl\""));
    world.check("--kuberc=none options", "! error: kuberc: open none: no such file or directory\nexit 1");
}

#[test]
fn preferences_are_set_and_shown() {
    let world = World::alone();
    let offer = "kuberc file not found at /home/learner/.kube/kuberc\nWould you like to generate a default kuberc file \
                 with recommended options? (y/N):";
    world.check("kuberc view", offer);
    world.check("kuberc view --kuberc=rc", "! error: kuberc file not found at rc\nexit 1");
    world.check("kuberc set --command=get", "! error: required flag(s) \"section\" not set\nexit 1");
    let set = "kuberc set --section=defaults --command=get --option=output=name";
    world.check(set, "Updated /home/learner/.kube/kuberc");
    let known = "! error: defaults for command \"get\" already exist, use --overwrite to replace\nexit 1";
    world.check(set, known);
    world.check(
        "kuberc set --section=aliases --name=mk --command=run --option=image=nginx --option=dry-run=client \
         --prependarg=x --appendarg=--port=1,2",
        "Updated /home/learner/.kube/kuberc",
    );
    world.check(
        "kuberc set --section=aliases --name=mk --command=run --overwrite",
        "Updated /home/learner/.kube/kuberc",
    );
    world.check(
        "kuberc view",
        "aliases:\n- appendArgs:\n  - --port=1,2\n  command: run\n  name: mk\n  options:\n  - default: nginx\n    name: \
         image\n  - default: client\n    name: dry-run\n  prependArgs:\n  - x\napiVersion: kubectl.config.k8s.io/v1beta1\n\
         defaults:\n- command: get\n  options:\n  - default: name\n    name: output\nkind: Preference",
    );
    world.check("kuberc view -o jsonpath={.defaults[0].options[0].default}", "name");
    world.check(
        "kuberc set --section=x --command=get",
        "! error: --section must be \"defaults\", \"aliases\", or \"credentialplugin\", got: x\nexit 1",
    );
    world.check(
        "kuberc set --section=credentialplugin --policy=Allowlist --allowlist-entry=command=aws --kuberc=other",
        "Updated other",
    );
    world.check("kuberc view --kuberc=other -o jsonpath={.credentialPluginAllowlist[*].command}", "aws");
}
