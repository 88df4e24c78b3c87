//! `playground serve` killed without warning, again and again, while clients write and containers run.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed helper is a failed test")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, ResourceExt};
use playground_tests::{Server, docker};
use serde_json::json;

/// How often the server is killed.
const ROUNDS: usize = 200;
/// Clients that write at the same time.
const WRITERS: usize = 8;
/// Objects that each of them makes in a round, before it goes on to change one.
const OBJECTS_MAX: usize = 20;
/// How long a writer waits for an answer.
const ANSWERED_WITHIN: Duration = Duration::from_secs(20);

/// What a writer knows to be done.
#[derive(Default)]
struct Acknowledged {
    created: BTreeSet<String>,
    counter: u64,
}

async fn client(server: &Server) -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let kubeconfig = Kubeconfig::read_from(server.kubeconfig()).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    Client::try_from(config).unwrap()
}

/// Writes until the server does not answer any more.
async fn write(client: Client, round: usize, writer: usize, mut counter: u64) -> Acknowledged {
    let maps: Api<ConfigMap> = Api::namespaced(client, "default");
    let mut done = Acknowledged { counter, ..Acknowledged::default() };
    for index in 0.. {
        // An answer that does not come is none: the client may not have heard of the server's end.
        let outcome = tokio::time::timeout(ANSWERED_WITHIN, async {
            if index < OBJECTS_MAX {
                let name = format!("made-{round}-{writer}-{index}");
                let map = json!({ "metadata": { "name": name, "labels": { "made": "yes" } } });
                let created = maps.create(&PostParams::default(), &serde_json::from_value(map).unwrap()).await;
                created.map(|map| _ = done.created.insert(map.name_any()))
            } else {
                counter += 1;
                let map = json!({
                    "apiVersion": "v1", "kind": "ConfigMap",
                    "metadata": { "name": format!("counter-{writer}") },
                    "data": { "count": counter.to_string() },
                });
                let name = format!("counter-{writer}");
                let patched = maps.patch(&name, &PatchParams::apply("test").force(), &Patch::Apply(map)).await;
                patched.map(|_| done.counter = counter)
            }
        });
        if !matches!(outcome.await, Ok(Ok(()))) {
            break;
        }
    }
    done
}

/// The containers of the server's pods, and since when they run.
fn containers(server: &Server) -> BTreeSet<String> {
    let own = format!("label=playground.data-dir={}", server.data_dir().join("volumes").display());
    let ids = docker(&["ps", "--quiet", "--filter", &own, "--filter", "label=io.kubernetes.pod.uid"]);
    ids.split_whitespace()
        .map(|id| docker(&["inspect", "--format", "{{.Name}} {{.Id}} {{.State.StartedAt}}", id]))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_it_keeps_what_it_acknowledged() {
    playground_tests::image("playground-test/sleeper:1", "sleep 100000");
    let mut server = Server::start(&["--runtime", "docker", "--nodes", "1"]);
    server.until("get serviceaccounts default", |table| !table.is_empty());
    server.ok("create deployment sleepers --image=playground-test/sleeper:1 --replicas=3");
    server.until("get pods", |table| table.matches("1/1     Running").count() == 3);
    let running = containers(&server);
    assert_eq!(running.len(), 6, "{running:?}");

    let mut counters = [0; WRITERS];
    // A generator of numbers is enough: the moments only have to differ.
    let mut random = 0x2545_F491_4F6C_DD1D_u64;
    for round in 0..ROUNDS {
        let client = client(&server).await;
        let writers: Vec<_> =
            (0..WRITERS).map(|writer| tokio::spawn(write(client.clone(), round, writer, counters[writer]))).collect();
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        tokio::time::sleep(Duration::from_micros(random % 150_000)).await;
        server.kill();
        let mut acknowledged = Vec::new();
        for writer in writers {
            acknowledged.push(writer.await.unwrap());
        }
        server.start_again();

        let maps: Api<ConfigMap> = Api::namespaced(self::client(&server).await, "default");
        let found = maps.list(&ListParams::default()).await.unwrap();
        let found: BTreeMap<_, _> = found.items.into_iter().map(|map| (map.name_any(), map)).collect();
        for (writer, done) in acknowledged.iter().enumerate() {
            let lost: Vec<_> = done.created.iter().filter(|name| !found.contains_key(*name)).collect();
            assert!(lost.is_empty(), "round {round}: lost {lost:?}");
            let map = found.get(&format!("counter-{writer}"));
            let count = map.and_then(|map| map.data.as_ref()?.get("count")?.parse().ok()).unwrap_or(0);
            // What was under way may have been done too.
            assert!(
                (done.counter..=done.counter + 1).contains(&count),
                "round {round}: counter {writer} is {count}, {} was acknowledged",
                done.counter
            );
            counters[writer] = count;
        }
        let old = found
            .keys()
            .filter(|name| name.starts_with("made-"))
            .find(|name| !name.starts_with(&format!("made-{round}-")));
        assert_eq!(old, None, "round {round}: what was deleted is there again");
        maps.delete_collection(&DeleteParams::default(), &ListParams::default().labels("made=yes")).await.unwrap();
    }
    server.until("get pods", |table| {
        table.matches("1/1     Running      0").count() == 3 || table.matches(" Running   0 ").count() == 3
    });
    assert_eq!(containers(&server), running, "a workload was restarted");
    server.delete_cluster();
}
