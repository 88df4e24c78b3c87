//! kube-rs as a client, in the spirit of its own integration tests.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed helper is a failed test")]

use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{AttachParams, DeleteParams, EvictParams, ListParams, LogParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::kubelet_debug::KubeletDebugParams;
use kube::runtime::wait::{await_condition, conditions};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Config, ResourceExt};
use playground_tests::Server;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(60);

async fn client(server: &Server) -> Client {
    Client::try_from(config(server).await).unwrap()
}

async fn config(server: &Server) -> Config {
    // Several are compiled in; another test of this process may have chosen already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let kubeconfig = Kubeconfig::read_from(server.kubeconfig()).unwrap();
    Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap()
}

fn config_map(name: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name}, "data": {"k": "v"}})).unwrap()
}

#[tokio::test]
async fn objects_are_created_listed_patched_and_deleted() {
    let server = Server::start(&["--runtime", "sim"]);
    let client = client(&server).await;
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "kube-public");
    for index in 0..7 {
        maps.create(&PostParams::default(), &config_map(&format!("c{index}"))).await.unwrap();
    }
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    maps.create(&dry, &config_map("dry")).await.unwrap();
    assert!(maps.get_opt("dry").await.unwrap().is_none());
    // Those that each cluster has are not counted.
    let named = ListParams::default().fields("metadata.name!=kube-root-ca.crt,metadata.name!=cluster-info");
    let mut names = Vec::new();
    let mut page = named.clone().limit(3);
    loop {
        let list = maps.list(&page).await.unwrap();
        names.extend(list.items.iter().map(ResourceExt::name_any));
        match list.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => break,
        }
    }
    assert_eq!(names.len(), 7, "{names:?}");
    let metadata = maps.list_metadata(&named).await.unwrap();
    assert_eq!(metadata.items.len(), 7);
    let manager = PatchParams::apply("kube-rs").force();
    let applied = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c0"}, "data": {"k": "w"}});
    let applied = maps.patch("c0", &manager, &Patch::Apply(applied)).await.unwrap();
    assert_eq!(applied.data.unwrap()["k"], "w");
    let merged = maps.patch("c0", &PatchParams::default(), &Patch::Merge(json!({"data": {"k": null}}))).await.unwrap();
    assert!(merged.data.is_none_or(|data| data.is_empty()));
    let mut entry = maps.entry("c1").await.unwrap().or_insert(ConfigMap::default);
    entry.get_mut().data.get_or_insert_default().insert("more".into(), "1".into());
    entry.commit(&PostParams::default()).await.unwrap();
    assert_eq!(maps.get("c1").await.unwrap().data.unwrap().len(), 2);
    maps.delete_collection(&DeleteParams::default(), &named).await.unwrap();
    assert!(maps.list(&named).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn a_watcher_sees_what_is_there_and_what_comes() {
    let server = Server::start(&["--runtime", "sim"]);
    let maps: Api<ConfigMap> = Api::default_namespaced(client(&server).await);
    for (strategy, name) in
        [(watcher::Config::default(), "listed"), (watcher::Config::default().streaming_lists(), "streamed")]
    {
        maps.create(&PostParams::default(), &config_map(name)).await.unwrap();
        let mut seen =
            watcher(maps.clone(), strategy.fields(&format!("metadata.name={name}"))).applied_objects().boxed();
        let first = timeout(PATIENCE, seen.try_next()).await.unwrap().unwrap().unwrap();
        assert_eq!(first.data.unwrap()["k"], "v");
        maps.patch(name, &PatchParams::default(), &Patch::Merge(json!({"data": {"k": "w"}}))).await.unwrap();
        let second = timeout(PATIENCE, seen.try_next()).await.unwrap().unwrap().unwrap();
        assert_eq!(second.data.unwrap()["k"], "w");
    }
}

#[tokio::test]
async fn pods_run_talk_and_are_evicted() {
    let server = Server::start(&["--runtime", "sim"]);
    let client = client(&server).await;
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    let pod = json!({
        "metadata": {"name": "busybox"},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [
            {"name": "busybox", "image": "busybox", "command": ["sh", "-c", "echo started; sleep 300"]},
        ]},
    });
    pods.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
    let running = await_condition(pods.clone(), "busybox", conditions::is_pod_running());
    timeout(PATIENCE, running).await.unwrap().unwrap();
    let mut attached = pods.exec("busybox", ["sh", "-c", "seq 3"], &AttachParams::default()).await.unwrap();
    let mut output = String::new();
    attached.stdout().unwrap().read_to_string(&mut output).await.unwrap();
    assert_eq!(output, "1\n2\n3\n");
    assert_eq!(pods.logs("busybox", &LogParams::default()).await.unwrap(), "started\n");

    // The kubelet's own exec, through the node's proxy.
    let node = pods.get("busybox").await.unwrap().spec.unwrap().node_name.unwrap();
    let mut config = config(&server).await;
    config.cluster_url = format!("{}api/v1/nodes/{node}/proxy", config.cluster_url).parse().unwrap();
    let pod = KubeletDebugParams { name: "busybox", namespace: "default", ..KubeletDebugParams::default() };
    let parameters = AttachParams::default().stderr(false);
    let kubelet = Client::try_from(config).unwrap();
    let mut attached = kubelet.kubelet_node_exec(&pod, "busybox", ["seq", "2"], &parameters).await.unwrap();
    let mut output = String::new();
    attached.stdout().unwrap().read_to_string(&mut output).await.unwrap();
    assert_eq!(output, "1\n2\n");
    pods.evict("busybox", &EvictParams::default()).await.unwrap();

    let deployments: Api<Deployment> = Api::default_namespaced(client);
    let labels = json!({"app": "web"});
    let deployment = json!({"metadata": {"name": "web"}, "spec": {
        "replicas": 2, "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "web", "image": "nginx"}]}},
    }});
    deployments.create(&PostParams::default(), &serde_json::from_value(deployment).unwrap()).await.unwrap();
    let completed = await_condition(deployments.clone(), "web", conditions::is_deployment_completed());
    timeout(PATIENCE, completed).await.unwrap().unwrap();
    let scale = Patch::Merge(json!({"spec": {"replicas": 1}}));
    deployments.patch_scale("web", &PatchParams::default(), &scale).await.unwrap();
    assert_eq!(deployments.get_scale("web").await.unwrap().spec.unwrap().replicas, Some(1));
}
