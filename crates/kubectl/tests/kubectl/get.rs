//! `kubectl get`

use crate::common::{DEPLOYMENT, POD, World};

#[test]
fn tables() {
    let world = World::new();
    world.check("get pods", "! No resources found in default namespace.");
    world.check("get pods -A", "! No resources found");
    world.check("get nodes", "! No resources found");
    world.file("web.yaml", DEPLOYMENT).file("pod.yaml", POD);
    world.run("apply -f web.yaml -f pod.yaml");
    world.later(75);
    world.check(
        "get po",
        "
        NAME   READY   STATUS    RESTARTS   AGE
        web    0/1     Pending   0          75s
        ",
    );
    world.check("get pods web --no-headers", "web   0/1   Pending   0     75s");
    world.check(
        "get deployments.apps,pods --show-labels",
        "
        NAME                  READY   UP-TO-DATE   AVAILABLE   AGE   LABELS
        deployment.apps/web   0/2     0            0           75s   app=web

        NAME      READY   STATUS    RESTARTS   AGE   LABELS
        pod/web   0/1     Pending   0          75s   app=web
        ",
    );
    world.check(
        "get deploy -A -L app",
        "
        NAMESPACE   NAME   READY   UP-TO-DATE   AVAILABLE   AGE   APP
        default     web    0/2     0            0           75s   web
        ",
    );
}

#[test]
fn other_forms() {
    let world = World::new();
    world.file("pod.yaml", POD);
    world.run("apply -f pod.yaml");
    world.check("get pods -o name", "pod/web");
    world.check("get pod web -o jsonpath={.spec.containers[*].image}", "nginx");
    world.check("get pods -o jsonpath='{range .items[*]}{.metadata.name}{\"\\n\"}{end}'", "web");
    world.check("get pods -o go-template='{{range .items}}{{.metadata.name}}{{end}}'", "web");
    world.check(
        "get pods -o custom-columns=NAME:.metadata.name,IP:.status.podIP",
        "
        NAME   IP
        web    <none>
        ",
    );
    world.check("get pods,nope", "! error: the server doesn't have a resource type \"nope\"\nexit 1");
    world.check(
        "get pod web nope -o name",
        "
        pod/web
        ! Error from server (NotFound): pods \"nope\" not found
        exit 1
        ",
    );
    world.check("get pod nope --ignore-not-found", "");
}

#[test]
fn usage() {
    let world = World::new();
    world.check(
        "get",
        "
        ! You must specify the type of resource to get. Use \"kubectl api-resources\" for a complete list of supported resources.
        !
        ! error: Required resource not specified.
        ! Use \"kubectl explain <resource>\" for a detailed description of that resource (e.g. kubectl explain pods).
        ! See 'kubectl get -h' for help and examples
        exit 1
        ",
    );
    World::alone().check_refused("get pods", "http://localhost:8080");
}

#[test]
fn flags_that_change_the_table() {
    let world = World::new();
    world.run("create configmap settings --from-literal=colour=red");
    world.later(60);
    world.check("get cm settings --server-print=false", "NAME       AGE\nsettings   60s");
    world.check("get cm a b --ignore-not-found -o json", "");
    world.check("get cm settings --profile=cake", "! error: unknown profile 'cake'\nexit 1");
    let told = world.run("get cm settings -v=6");
    assert!(told.contains("\"Response\" verb=\"GET\" url=\""), "{told}");
}
