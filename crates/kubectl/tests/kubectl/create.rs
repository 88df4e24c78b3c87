//! `kubectl create`, `run` and `expose`

use crate::common::World;

#[test]
fn generators_show_what_they_would_make() {
    let world = World::new();
    world.check(
        "create deployment web --image=nginx:1.27 --dry-run=client -o yaml",
        "
        apiVersion: apps/v1
        kind: Deployment
        metadata:
          creationTimestamp: null
          labels:
            app: web
          name: web
        spec:
          replicas: 1
          selector:
            matchLabels:
              app: web
          strategy: {}
          template:
            metadata:
              creationTimestamp: null
              labels:
                app: web
            spec:
              containers:
              - image: nginx:1.27
                name: nginx
                resources: {}
        status: {}
        ",
    );
    world.check(
        "run web --image=nginx --port=80 --dry-run=client -o yaml -- sleep 1",
        "
        apiVersion: v1
        kind: Pod
        metadata:
          creationTimestamp: null
          labels:
            run: web
          name: web
        spec:
          containers:
          - args:
            - sleep
            - \"1\"
            image: nginx
            name: web
            ports:
            - containerPort: 80
            resources: {}
          dnsPolicy: ClusterFirst
          restartPolicy: Always
        status: {}
        ",
    );
}

#[test]
fn generators_make_it() {
    let world = World::new();
    world.check("create deployment web --image=nginx", "deployment.apps/web created");
    world.check(
        "create deployment web --image=nginx",
        "! error: failed to create deployment: deployments.apps \"web\" already exists\nexit 1",
    );
    world.check("create ns shop", "namespace/shop created");
    world.check("create ns shop", "! Error from server (AlreadyExists): namespaces \"shop\" already exists\nexit 1");
    world.check("create configmap c --from-literal=a=b -n shop", "configmap/c created");
    world.check("run p --image=nginx", "pod/p created");
    world.check("run p", "! error: required flag(s) \"image\" not set\nexit 1");
    world.check("expose deploy web --port=80", "service/web exposed");
    world.check(
        "expose deploy web --name=other",
        "! error: couldn't find port via --port flag or introspection\nexit 1",
    );
    world.check(
        "create foo",
        "! error: Unexpected args: [foo]\n! See 'kubectl create -h' for help and examples\nexit 1",
    );
}

#[test]
fn overrides_in_three_ways() {
    let world = World::new();
    let line = |kind: &str, patch: &str| {
        let path = "-o jsonpath={.spec.containers[0].image}";
        world.run(&format!("run web --image=a --dry-run=client --override-type={kind} --overrides='{patch}' {path}"))
    };
    assert_eq!(line("merge", "{\"spec\":{\"containers\":[{\"name\":\"web\",\"image\":\"b\"}]}}"), "b");
    assert_eq!(line("strategic", "{\"spec\":{\"containers\":[{\"name\":\"web\",\"image\":\"c\"}]}}"), "c");
    assert_eq!(line("json", "[{\"op\":\"replace\",\"path\":\"/spec/containers/0/image\",\"value\":\"d\"}]"), "d");
    assert_eq!(line("odd", "{}"), "! error: invalid override type: odd\nexit 1\n");
}
