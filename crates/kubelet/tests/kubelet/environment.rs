//! What a container finds: environment, arguments, volumes, hosts file; and what it is told when that
//! cannot be had.

use crate::common::Bed;
use playground_kubelet::runtime::{ContainerConfig, MountSource, VolumeKind};
use serde_json::json;

fn config_of(bed: &Bed, name: &str) -> ContainerConfig {
    let state = bed.world.0.borrow();
    state.configs.values().find(|config| config.name == name).cloned().expect("the container was made")
}

fn put(bed: &Bed, resource: &str, name: &str, mut object: serde_json::Value) {
    object["metadata"] = json!({"name": name, "namespace": "default"});
    bed.api.put(&format!("/api/v1/namespaces/default/{resource}"), name, object);
}

#[test]
fn environment_in_all_its_forms() {
    let mut bed = Bed::new();
    put(&bed, "configmaps", "settings", json!({"data": {"color": "blue", "size": "9"}}));
    put(&bed, "secrets", "keys", json!({"data": {"token": "czNjcmV0"}}));
    let service = json!({"spec": {"clusterIP": "10.96.0.7", "ports": [{"name": "http", "port": 80}]}});
    put(&bed, "services", "web-front", service);
    bed.create(
        "web",
        json!({
            "hostAliases": [{"ip": "1.2.3.4", "hostnames": ["db", "db.local"]}],
            "containers": [{
                "name": "app", "image": "app:1",
                "command": ["run", "$(COLOR)", "$(NOPE)"],
                "args": ["--front=$(WEB_FRONT_SERVICE_HOST)"],
                "resources": {"limits": {"cpu": "1500m", "memory": "64Mi"}},
                "envFrom": [{"prefix": "CFG_", "configMapRef": {"name": "settings"}}],
                "env": [
                    {"name": "COLOR", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "color"}}},
                    {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "token"}}},
                    {"name": "MAYBE", "valueFrom": {"secretKeyRef": {"name": "no", "key": "x", "optional": true}}},
                    {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                    {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                    {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
                    {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
                    {"name": "MEM", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}},
                    {"name": "URL", "value": "http://$(POD)/$(CFG_size)/$$(POD)"},
                ],
            }],
        }),
    );
    bed.run(2);
    let config = config_of(&bed, "app");
    let env: Vec<String> = config.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let expected = [
        "CFG_color=blue",
        "CFG_size=9",
        "COLOR=blue",
        "TOKEN=s3cret",
        "POD=web",
        "IP=10.0.0.1",
        "NODE=node-1",
        "CPU=2",
        "MEM=64",
        "URL=http://web/9/$(POD)",
    ];
    assert_eq!(env[..expected.len()], expected);
    assert!(env.contains(&"WEB_FRONT_PORT_80_TCP_ADDR=10.96.0.7".to_string()));
    assert!(env.contains(&"WEB_FRONT_SERVICE_PORT_HTTP=80".to_string()));
    assert_eq!(config.command, ["run", "blue", "$(NOPE)"]);
    assert_eq!(config.args, ["--front=10.96.0.7"]);
    assert_eq!(config.resources.cpu_quota_us, Some(150_000));
    assert_eq!(config.resources.memory_limit_bytes, Some(64 << 20));
    assert!(config.etc_hosts.contains("10.0.0.1\tweb\n"));
    assert!(config.etc_hosts.ends_with("1.2.3.4\tdb\tdb.local\n"));
}

#[test]
fn what_is_missing_is_named() {
    for (env, message) in [
        (
            json!({"name": "A", "valueFrom": {"configMapKeyRef": {"name": "no", "key": "x"}}}),
            "configmap \"no\" not found",
        ),
        (
            json!({"name": "A", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "x"}}}),
            "couldn't find key x in ConfigMap default/settings",
        ),
        (json!({"name": "A", "valueFrom": {"secretKeyRef": {"name": "no", "key": "x"}}}), "secret \"no\" not found"),
    ] {
        let mut bed = Bed::new();
        put(&bed, "configmaps", "settings", json!({"data": {"color": "blue"}}));
        bed.create("web", json!({"containers": [{"name": "app", "image": "app:1", "env": [env]}]}));
        bed.run(2);
        assert_eq!(bed.summary("web"), "Pending, app: CreateContainerConfigError unready 0");
        assert!(bed.events().contains(&format!("Failed Error: {message}")), "{:#?}", bed.events());
        // Level-triggered: it starts once the source is there.
        put(&bed, "configmaps", "no", json!({"data": {"x": "1"}}));
        put(&bed, "configmaps", "settings", json!({"data": {"x": "1"}}));
        put(&bed, "secrets", "no", json!({"data": {"x": ""}}));
        bed.run(15);
        assert_eq!(bed.summary("web"), "Running, app: running ready 0");
    }
}

#[test]
fn volumes_are_made_before_anything_runs_and_follow_their_sources() {
    let mut bed = Bed::new();
    bed.create(
        "web",
        json!({
            "volumes": [
                {"name": "settings", "configMap": {"name": "settings", "items": [{"key": "color", "path": "a/b"}]}},
                {"name": "scratch", "emptyDir": {"sizeLimit": "1Mi"}},
                {"name": "self", "downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}},
            ],
            "containers": [{
                "name": "app", "image": "app:1",
                "volumeMounts": [
                    {"name": "settings", "mountPath": "/etc/app", "subPath": "a"},
                    {"name": "scratch", "mountPath": "/tmp"},
                ],
            }],
        }),
    );
    bed.run(3);
    assert_eq!(bed.summary("web"), "Pending, app: ContainerCreating unready 0");
    let message = "FailedMount MountVolume.SetUp failed for volume \"settings\" : configmap \"settings\" not found";
    assert!(bed.events().contains(&message.to_string()), "{:#?}", bed.events());
    put(&bed, "configmaps", "settings", json!({"data": {"color": "blue"}}));
    bed.run(5);
    assert_eq!(bed.summary("web"), "Running, app: running ready 0");
    let content = |bed: &Bed| match &bed.world.0.borrow().volumes["uid-web"][0].kind {
        VolumeKind::Files(files) => String::from_utf8_lossy(&files["a/b"].data.read()).into_owned(),
        other => panic!("{other:?}"),
    };
    assert_eq!(content(&bed), "blue");
    let mounts = config_of(&bed, "app").mounts;
    assert_eq!(mounts[0].source, MountSource::Volume { name: "settings".into(), sub_path: "a".into() });
    assert!(mounts[0].read_only && !mounts[1].read_only);
    put(&bed, "configmaps", "settings", json!({"data": {"color": "red"}}));
    bed.run(65);
    assert_eq!(content(&bed), "red");
}
