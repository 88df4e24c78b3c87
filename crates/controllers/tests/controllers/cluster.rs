//! Services, namespaces and nodes on the real API server.
use std::rc::Rc;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Endpoints, Namespace, Node, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{IPAddress, ServiceCIDR};
use playground_controllers::Options;
use serde_json::{Value, json};

use crate::world::World;

fn deployment(namespace: &str, replicas: i32) -> Value {
    json!({
        "metadata": { "name": "web", "namespace": namespace },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { "app": "web" } },
            "template": {
                "metadata": { "labels": { "app": "web" } },
                "spec": { "containers": [{
                    "name": "web", "image": "nginx:1", "ports": [{ "name": "http", "containerPort": 8080 }],
                }] },
            },
        },
    })
}

fn service(kind: &str) -> Value {
    json!({
        "metadata": { "name": "web", "namespace": "default", "labels": { "team": "a" } },
        "spec": { "type": kind, "selector": { "app": "web" }, "ports": [{ "port": 80, "targetPort": "http" }] },
    })
}

/// All slices of the Service `web`.
fn slices(world: &World) -> Vec<std::sync::Arc<EndpointSlice>> {
    let mut slices = world.list::<EndpointSlice>("default");
    slices.retain(|slice| slice.metadata.name.as_ref().unwrap().starts_with("web-"));
    slices
}

#[test]
fn endpoints_are_the_ready_pods() {
    let mut world = World::new(2);
    world.create::<Service>(service("ClusterIP"));
    world.run(2);
    let empty = slices(&world);
    assert_eq!(empty.len(), 1, "an empty slice says that there is nothing");
    assert!(empty[0].endpoints.iter().flatten().next().is_none());

    world.create::<Deployment>(deployment("default", 3));
    world.run(5);
    let endpoints = world.get::<Endpoints>("default", "web");
    let subsets = endpoints.subsets.clone().unwrap();
    assert_eq!(subsets.len(), 1);
    assert_eq!(subsets[0].addresses.as_ref().unwrap().len(), 3);
    assert_eq!(subsets[0].ports.as_ref().unwrap()[0].port, 8080);
    assert_eq!(endpoints.metadata.labels.as_ref().unwrap()["team"], "a");

    let slice = slices(&world).remove(0);
    let labels = slice.metadata.labels.as_ref().unwrap();
    assert_eq!(labels["kubernetes.io/service-name"], "web");
    assert_eq!(labels["endpointslice.kubernetes.io/managed-by"], "endpointslice-controller.k8s.io");
    assert_eq!(slice.ports.as_ref().unwrap()[0].port, Some(8080));
    let found = slice.endpoints.clone().unwrap();
    assert_eq!(found.len(), 3);
    assert!(found.iter().all(|endpoint| endpoint.conditions.as_ref().unwrap().ready == Some(true)));
    assert!(found.iter().all(|endpoint| endpoint.zone.as_ref().unwrap().starts_with("zone-")));

    // A pod on its way out still serves, but is not ready.
    world.nodes.borrow_mut().stuck = true;
    let pod = world.list::<Pod>("default").remove(0).metadata.name.clone().unwrap();
    world.delete::<Pod>("default", &pod, &client::DeleteOptions::default());
    world.run(5);
    let endpoints = slices(&world).remove(0).endpoints.clone().unwrap();
    let going = endpoints.iter().find(|e| e.target_ref.as_ref().unwrap().name.as_ref() == Some(&pod)).unwrap();
    let conditions = going.conditions.clone().unwrap();
    assert_eq!((conditions.ready, conditions.serving, conditions.terminating), (Some(false), Some(true), Some(true)));
    assert_eq!(endpoints.len(), 4);
    let subsets = world.get::<Endpoints>("default", "web").subsets.clone().unwrap();
    assert_eq!(subsets[0].addresses.as_ref().unwrap().len(), 3);

    world.delete::<Service>("default", "web", &client::DeleteOptions::default());
    world.run(5);
    assert!(slices(&world).is_empty());
    assert!(!world.exists::<Endpoints>("default", "web"));
}

#[test]
fn a_slice_keeps_its_name() {
    let mut world = World::new(1);
    world.create::<Service>(service("ClusterIP"));
    world.create::<Deployment>(deployment("default", 2));
    world.run(5);
    let found = |world: &World| {
        let slices = slices(world);
        assert_eq!(slices.len(), 1);
        let port = slices[0].ports.iter().flatten().next().and_then(|port| port.port);
        (slices[0].metadata.uid.clone(), slices[0].endpoints.iter().flatten().count(), port)
    };
    let uid = found(&world).0;
    for (app, port, wanted) in
        [("other", "http", (0, None)), ("web", "http", (2, Some(8080))), ("web", "none", (2, None))]
    {
        let ports = json!([{ "port": 80, "targetPort": port, "protocol": "TCP" }]);
        world.patch::<Service>("default", "web", json!({ "spec": { "selector": { "app": app }, "ports": ports } }));
        world.run(2);
        assert_eq!(found(&world), (uid.clone(), wanted.0, wanted.1), "{app} {port}");
    }
}

#[test]
fn slices_hold_a_hundred_each() {
    let mut world = World::new(3);
    world.create::<Service>(service("ClusterIP"));
    world.create::<Deployment>(deployment("default", 250));
    world.run(10);
    let sizes = |world: &World| {
        let mut sizes: Vec<_> = slices(world).iter().map(|slice| slice.endpoints.iter().flatten().count()).collect();
        sizes.sort_unstable();
        sizes
    };
    assert_eq!(sizes(&world).iter().sum::<usize>(), 250);
    assert!(sizes(&world).iter().all(|size| *size <= 100));
    world.patch::<Deployment>("default", "web", json!({ "spec": { "replicas": 0 } }));
    world.run(10);
    assert_eq!(sizes(&world), [0]);
}

#[test]
fn load_balancers_are_localhost() {
    let mut world = World::new(1);
    world.create::<Service>(service("LoadBalancer"));
    world.run(2);
    let found = world.get::<Service>("default", "web");
    let ingress = found.status.as_ref().unwrap().load_balancer.as_ref().unwrap().ingress.clone().unwrap();
    assert_eq!(ingress[0].hostname.as_deref(), Some("localhost"));
    assert_eq!(
        world.events("web"),
        ["EnsuringLoadBalancer Ensuring load balancer", "EnsuredLoadBalancer Ensured load balancer"]
    );
    let told = |world: &World, reason: &str| {
        let events = world.list::<k8s_openapi::api::core::v1::Event>("default");
        let event = events.into_iter().find(|it| it.reason.as_deref() == Some(reason));
        event.map(|event| (event.message.clone().unwrap(), event.count.unwrap()))
    };
    // What its load balancer knows of the Service, the nodes it sends to, and what it does not know.
    world.patch::<Service>("default", "web", json!({ "spec": { "sessionAffinity": "ClientIP" } }));
    world.patch::<Service>("default", "web", json!({ "spec": { "selector": { "app": "other" } } }));
    for excluded in ["", "false"] {
        let label = json!({ "node.kubernetes.io/exclude-from-external-load-balancers": excluded });
        world.patch::<Node>("", "node-0", json!({ "metadata": { "labels": label } }));
        world.run(2);
    }
    assert_eq!(told(&world, "EnsuredLoadBalancer"), Some(("Ensured load balancer".into(), 2)));
    let none = "There are no available nodes for LoadBalancer";
    assert_eq!(told(&world, "UnAvailableLoadBalancer"), Some((none.into(), 1)));
    assert_eq!(told(&world, "UpdatedLoadBalancer"), Some(("Updated load balancer with new hosts".into(), 1)));
    world.wire.refuses.set(Some(|request| request.method() == "PATCH" && request.uri().path().ends_with("/status")));
    world.patch::<Service>("default", "web", json!({ "spec": { "type": "ClusterIP" } }));
    world.run(2);
    world.wire.refuses.set(None);
    world.run(10);
    let failed = "Error syncing load balancer: failed to update load balancer status: connection refused";
    assert_eq!(told(&world, "SyncLoadBalancerFailed"), Some((failed.into(), 1)));
    assert_eq!(told(&world, "DeletingLoadBalancer"), Some(("Deleting load balancer".into(), 2)));
    assert_eq!(told(&world, "DeletedLoadBalancer"), Some(("Deleted load balancer".into(), 1)));
    assert_eq!(told(&world, "Type"), None);
    let found = world.get::<Service>("default", "web");
    assert!(found.metadata.finalizers.iter().flatten().next().is_none());
    world.delete::<Service>("default", "web", &client::DeleteOptions::default());
    world.run(2);
    assert!(!world.exists::<Service>("default", "web"));
}

#[test]
fn load_balancers_have_addresses_where_there_are_some() {
    const CONTROLLER: &str = "service-lb-controller";
    let mut world = World::new(1);
    world.stop(CONTROLLER);
    let options = Options { load_balancers: Some([10, 244, 253, 0].into()), ..(*world.setup.options).clone() };
    world.setup.options = Rc::new(options);
    world.start(CONTROLLER);
    let balanced = |name: &str, asked: Option<&str>| {
        let mut service = service("LoadBalancer");
        service["metadata"]["name"] = name.into();
        service["spec"]["loadBalancerIP"] = asked.into();
        service
    };
    // At once: the second is made before the controller has heard of the first one's status.
    for (name, asked) in [("web", None), ("shop", None), ("asked", Some("10.244.253.9")), ("strange", Some("8.8.8.8"))]
    {
        world.create::<Service>(balanced(name, asked));
    }
    world.run(2);
    let ingresses = |world: &World, name: &str| {
        let status = world.get::<Service>("default", name).status.clone().unwrap_or_default();
        status.load_balancer.and_then(|balancer| balancer.ingress).unwrap_or_default()
    };
    let ingress = |world: &World, name: &str| {
        let all = ingresses(world, name);
        assert_eq!((all.len(), all[1].hostname.as_deref()), (2, Some("localhost")));
        all[0].ip.clone().unwrap()
    };
    let mut given = ["web", "shop"].map(|name| ingress(&world, name));
    given.sort();
    assert_eq!(given, ["10.244.253.1", "10.244.253.2"]);
    assert_eq!(ingress(&world, "asked"), "10.244.253.9");
    // What is not to be had leaves it pending.
    assert!(ingresses(&world, "strange").is_empty());
    let refused =
        |name: &str, why: &str| format!("AllocationFailed Failed to allocate IP for \"default/{name}\": {why}");
    assert_eq!(world.events("strange"), [refused("strange", "[\"8.8.8.8\"] is not allowed in config")]);

    // Its own is kept over the controller's restart; what was given back goes to who waits for it, or is given anew.
    let own = ingress(&world, "shop");
    world.stop(CONTROLLER);
    world.start(CONTROLLER);
    let free = ingress(&world, "web");
    world.create::<Service>(balanced("waits", Some(&free)));
    world.run(2);
    assert!(ingresses(&world, "waits").is_empty());
    let in_use = "can't change sharing key for \"default/waits\", address also in use by default/web";
    assert_eq!(world.events("waits"), [refused("waits", in_use)]);
    world.delete::<Service>("default", "web", &client::DeleteOptions::default());
    world.run(2);
    assert_eq!((ingress(&world, "shop"), ingress(&world, "waits")), (own, free.clone()));
    // Another wish gives the address back, also that of a Service whose finalizer somebody took away.
    world.patch::<Service>("default", "waits", json!({ "spec": { "loadBalancerIP": "10.244.253.20" } }));
    world.run(2);
    world.create::<Service>(balanced("next", None));
    world.run(2);
    assert_eq!((ingress(&world, "waits").as_str(), ingress(&world, "next")), ("10.244.253.20", free.clone()));
    world.patch::<Service>("default", "next", json!({ "metadata": { "finalizers": null } }));
    world.delete::<Service>("default", "next", &client::DeleteOptions::default());
    world.create::<Service>(balanced("last", Some(&free)));
    world.run(2);
    assert_eq!(ingress(&world, "last"), free);
}

#[test]
fn namespaces_come_furnished_and_go_empty() {
    let mut world = World::new(1);
    world.create::<Namespace>(json!({ "metadata": { "name": "team" } }));
    world.run(2);
    assert!(world.exists::<ServiceAccount>("team", "default"));
    assert_eq!(world.get::<ConfigMap>("team", "kube-root-ca.crt").data.as_ref().unwrap()["ca.crt"], "PEM");
    world.delete::<ConfigMap>("team", "kube-root-ca.crt", &client::DeleteOptions::default());
    world.run(2);
    assert!(world.exists::<ConfigMap>("team", "kube-root-ca.crt"));

    world.create::<Deployment>(deployment("team", 2));
    world.run(5);
    world.nodes.borrow_mut().stuck = true;
    world.delete::<Namespace>("", "team", &client::DeleteOptions::default());
    world.run(5);
    let namespace = world.get::<Namespace>("", "team");
    let status = namespace.status.clone().unwrap();
    assert_eq!(status.phase.as_deref(), Some("Terminating"));
    let remaining = status.conditions.unwrap().into_iter().find(|c| c.type_ == "NamespaceContentRemaining").unwrap();
    assert_eq!(
        (remaining.status.as_str(), remaining.message.as_deref()),
        ("True", Some("Some resources are remaining: pods. has 2 resource instances"))
    );
    world.nodes.borrow_mut().stuck = false;
    for pod in world.list::<Pod>("team") {
        let options = client::DeleteOptions { grace_period_seconds: Some(0), ..client::DeleteOptions::default() };
        world.delete::<Pod>("team", pod.metadata.name.as_ref().unwrap(), &options);
    }
    world.run(5);
    assert!(!world.exists::<Namespace>("", "team"));
    assert!(world.list::<ConfigMap>("team").is_empty());
}

#[test]
fn a_secret_for_an_account_gets_its_token() {
    let mut world = World::new(1);
    let secret = |name: &str, account: &str| {
        json!({
            "metadata": {
                "name": name, "namespace": "default", "annotations": { "kubernetes.io/service-account.name": account },
            },
            "type": "kubernetes.io/service-account-token",
        })
    };
    world.create::<ServiceAccount>(json!({ "metadata": { "name": "robot", "namespace": "default" } }));
    world.create::<Secret>(secret("robot", "robot"));
    world.create::<Secret>(secret("nobody", "nobody"));
    world.run(2);
    let found = world.get::<Secret>("default", "robot");
    let account = world.get::<ServiceAccount>("default", "robot").metadata.uid.clone();
    assert_eq!(found.metadata.annotations.as_ref().unwrap().get("kubernetes.io/service-account.uid"), account.as_ref());
    let data = found.data.clone().unwrap();
    assert_eq!((data["namespace"].0.as_slice(), data["ca.crt"].0.as_slice()), (&b"default"[..], &b"PEM"[..]));
    assert_eq!(data["token"].0.split(|byte| *byte == b'.').count(), 3, "a signed token");
    assert!(!world.exists::<Secret>("default", "nobody"));
    world.delete::<ServiceAccount>("default", "robot", &client::DeleteOptions::default());
    world.run(2);
    assert!(!world.exists::<Secret>("default", "robot"));
}

#[test]
fn nodes_have_ranges_and_are_missed_when_they_die() {
    let mut world = World::new(2);
    world.create::<Deployment>(deployment("default", 4));
    world.run(5);
    let mut ranges: Vec<_> =
        world.list::<Node>("").iter().map(|node| node.spec.as_ref().unwrap().pod_cidr.clone().unwrap()).collect();
    ranges.sort();
    assert_eq!(ranges, ["10.244.0.0/24", "10.244.1.0/24"]);

    world.nodes.borrow_mut().dead.insert("node-1".into());
    world.run(40);
    let ready = |world: &World| {
        let node = world.get::<Node>("", "node-1");
        playground_controllers::nodelifecycle::condition(&node, "Ready").unwrap().clone()
    };
    assert_eq!(ready(&world).status, "True");
    world.run(30);
    assert_eq!(ready(&world).status, "Unknown");
    assert_eq!(ready(&world).message.as_deref(), Some("Kubelet stopped posting node status."));
    let taints = world.get::<Node>("", "node-1").spec.as_ref().unwrap().taints.clone().unwrap();
    let mut taints: Vec<_> = taints.iter().map(|taint| format!("{}:{}", taint.key, taint.effect)).collect();
    taints.sort();
    assert_eq!(taints, ["node.kubernetes.io/unreachable:NoExecute", "node.kubernetes.io/unreachable:NoSchedule"]);
    let of_node = |world: &World, node: &str| {
        let mut pods = world.list::<Pod>("default");
        pods.retain(|pod| pod.spec.as_ref().unwrap().node_name.as_deref() == Some(node));
        pods
    };
    assert!(of_node(&world, "node-1").iter().all(|pod| !playground_controllers::pods::is_ready(pod)));
    assert!(of_node(&world, "node-1").iter().all(|pod| pod.metadata.deletion_timestamp.is_none()));
    world.run(400);
    assert!(of_node(&world, "node-1").iter().all(|pod| pod.metadata.deletion_timestamp.is_some()));

    // The node goes for good: what was stuck on it goes too.
    world.delete::<Node>("", "node-1", &client::DeleteOptions::default());
    world.run(120);
    assert!(of_node(&world, "node-1").is_empty());
    assert_eq!(of_node(&world, "node-0").len(), 4);
}

/// Nodes whose pods are evicted.
fn evicted(world: &World) -> usize {
    let nodes = world.list::<Node>("");
    let taints = nodes.iter().flat_map(|node| node.spec.iter().flat_map(|spec| spec.taints.iter().flatten()));
    taints.filter(|taint| taint.effect == "NoExecute").count()
}

#[test]
fn nodes_of_a_zone_are_evicted_one_after_the_other() {
    let mut world = World::new(6);
    world.run(5);
    // Of the first zone's three, two.
    world.nodes.borrow_mut().dead.extend(["node-0".into(), "node-2".into()]);
    let lost = |world: &World| {
        !world.list::<Node>("").iter().all(|node| playground_controllers::nodelifecycle::is_ready(node))
    };
    for _ in 0..90 {
        if lost(&world) {
            break;
        }
        world.run(1);
    }
    assert!(lost(&world));
    world.run(1);
    assert_eq!(evicted(&world), 1);
    world.run(7);
    assert_eq!(evicted(&world), 1);
    world.run(4);
    assert_eq!(evicted(&world), 2);
}

#[test]
fn most_of_a_zone_lost_at_once_is_not_evicted() {
    let mut world = World::new(8);
    world.run(5);
    world.nodes.borrow_mut().dead.extend(["node-0".into(), "node-2".into(), "node-4".into()]);
    world.run(300);
    assert_eq!(evicted(&world), 0);
    let nodes = world.list::<Node>("");
    let lost = nodes.iter().filter(|node| node.spec.as_ref().unwrap().taints.is_some()).count();
    assert_eq!(lost, 3, "no new pods come to them");
}

#[test]
fn a_node_that_comes_back_is_welcome() {
    let mut world = World::new(2);
    world.run(5);
    world.nodes.borrow_mut().dead.insert("node-1".into());
    world.run(70);
    assert!(world.get::<Node>("", "node-1").spec.as_ref().unwrap().taints.is_some());
    world.nodes.borrow_mut().dead.clear();
    let now = machinery::time::meta_time(world.now());
    let ready = json!({ "type": "Ready", "status": "True", "lastHeartbeatTime": now });
    let patch = client::Patch::Strategic(json!({ "status": { "conditions": [ready] } }));
    world.client.patch_status::<Node>(&machinery::ObjectKey::new("", "node-1"), &patch).unwrap();
    world.run(30);
    assert!(world.get::<Node>("", "node-1").spec.as_ref().unwrap().taints.is_none());
}

#[test]
fn quotas_show_what_is_used() {
    use k8s_openapi::api::core::v1::ResourceQuota;
    let mut world = World::new(1);
    world.create::<ResourceQuota>(json!({
        "metadata": { "name": "quota", "namespace": "default" },
        "spec": { "hard": {
            "pods": "10", "requests.cpu": "4", "limits.memory": "1Gi", "services": "5", "count/deployments.apps": "3",
            "services.nodeports": "4",
        } },
    }));
    world.create::<Service>(json!({
        "metadata": { "name": "two-ports", "namespace": "default" },
        "spec": { "type": "NodePort", "ports": [{ "name": "a", "port": 80 }, { "name": "b", "port": 81 }] },
    }));
    let mut manifest = deployment("default", 3);
    manifest["spec"]["template"]["spec"]["containers"][0]["resources"] =
        json!({ "requests": { "cpu": "250m" }, "limits": { "memory": "64Mi" } });
    world.create::<Deployment>(manifest);
    world.run(310);
    let status = world.get::<ResourceQuota>("default", "quota").status.clone().unwrap();
    let used: Vec<_> = status.used.unwrap().into_iter().map(|(name, amount)| format!("{name}={}", amount.0)).collect();
    assert_eq!(
        used,
        [
            "count/deployments.apps=1",
            "limits.memory=192Mi",
            "pods=3",
            "requests.cpu=750m",
            "services=2",
            "services.nodeports=2"
        ]
    );
}

#[test]
fn traffic_stays_in_its_zone_where_a_service_asks_for_that() {
    let mut world = World::new(2);
    let mode =
        |mode: Option<&str>| json!({ "metadata": { "annotations": { "service.kubernetes.io/topology-mode": mode } } });
    world.create::<Service>(service("ClusterIP"));
    world.create::<Deployment>(deployment("default", 2));
    world.run(5);
    let zones = |world: &World| {
        let hints = slices(world)[0].endpoints.clone().unwrap().into_iter().map(|endpoint| endpoint.hints);
        let mut zones: Vec<_> = hints.flatten().flat_map(|it| it.for_zones.unwrap()).map(|zone| zone.name).collect();
        zones.sort();
        zones
    };
    assert!(zones(&world).is_empty());
    world.patch::<Service>("default", "web", mode(Some("Auto")));
    world.run(2);
    assert_eq!(zones(&world), ["zone-0", "zone-1"]);
    world.patch::<Deployment>("default", "web", json!({ "spec": { "replicas": 1 } }));
    world.run(2);
    assert!(zones(&world).is_empty(), "one zone would have none");
    world.patch::<Deployment>("default", "web", json!({ "spec": { "replicas": 2 } }));
    world.run(5);
    world.patch::<Service>("default", "web", mode(None));
    world.run(2);
    assert!(zones(&world).is_empty());
    for told in [
        "TopologyAwareHintsEnabled Topology Aware Hints has been enabled, addressType: IPv4",
        "TopologyAwareHintsDisabled Insufficient number of endpoints (1 endpoints, 2 zones), addressType: IPv4",
        "TopologyAwareHintsDisabled Topology Aware Hints has been disabled, addressType: IPv4",
    ] {
        assert!(world.events("web").iter().any(|event| event == told), "{told}: {:?}", world.events("web"));
    }
}

#[test]
fn mirrored_slices_say_what_their_endpoints_do() {
    let mut world = World::new(1);
    world.create::<Service>(json!({
        "metadata": { "name": "web", "namespace": "default" }, "spec": { "ports": [{ "port": 80 }] },
    }));
    let mut manifest = json!({
        "metadata": { "name": "web", "namespace": "default", "annotations": {
            "team": "a", "kubectl.kubernetes.io/last-applied-configuration": "{}",
        } },
        "subsets": [{ "addresses": [{ "ip": "192.0.2.7" }], "ports": [{ "port": 80 }] }],
    });
    world.create::<Endpoints>(manifest.clone());
    world.run(2);
    let annotations = |world: &World| slices(world)[0].metadata.annotations.clone().unwrap();
    assert_eq!(annotations(&world).into_iter().collect::<Vec<_>>(), [("team".to_owned(), "a".to_owned())]);
    manifest["metadata"]["annotations"]["team"] = "b".into();
    world.patch::<Endpoints>("default", "web", manifest);
    world.run(2);
    assert_eq!(annotations(&world)["team"], "b");
    let uid = slices(&world)[0].metadata.uid.clone();
    let address = |it: u32| json!({ "ip": if it < 2 { format!("2001:db8::{it}") } else { format!("192.0.{}.{}", it / 250, it % 250) } });
    let addresses: Vec<Value> = (0..1002).map(address).collect();
    let subsets = json!([{ "addresses": addresses, "ports": [{ "port": 8080 }] }]);
    world.patch::<Endpoints>("default", "web", json!({ "subsets": subsets }));
    world.run(2);
    let all = slices(&world);
    let mirrored: Vec<_> = all.iter().map(|slice| slice.endpoints.iter().flatten().count()).collect();
    assert_eq!(mirrored.iter().sum::<usize>(), 1000, "of both families together: {mirrored:?}");
    let slice = all.iter().find(|slice| slice.address_type == "IPv4").unwrap();
    let ports: Vec<_> = slice.ports.iter().flatten().map(|port| port.port).collect();
    assert_eq!((&slice.metadata.uid, ports), (&uid, vec![Some(8080)]), "a slice takes over other ports");
    let told = "TooManyAddressesToMirror A max of 1000 addresses can be mirrored to EndpointSlices per Endpoints subset. \
                2 addresses were skipped";
    assert_eq!(world.events("web"), [told]);
    let events = world.list::<k8s_openapi::api::core::v1::Event>("default");
    let event = events.iter().find(|event| event.reason.as_deref() == Some("TooManyAddressesToMirror")).unwrap();
    assert_eq!(event.count, Some(1), "what it writes itself it need not look at again");
}

#[test]
fn an_owner_in_another_namespace_is_none() {
    let mut world = World::new(1);
    world.create::<Namespace>(json!({ "metadata": { "name": "team" } }));
    let owner = world.create::<ConfigMap>(json!({ "metadata": { "name": "owner", "namespace": "default" } }));
    let owned = |name: &str, namespace: Option<&str>| {
        json!({ "metadata": { "name": name, "namespace": namespace, "ownerReferences": [{
            "apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner.metadata.uid,
        }] } })
    };
    world.run(5);
    world.create::<ConfigMap>(owned("kept", Some("default")));
    world.create::<ConfigMap>(owned("misplaced", Some("team")));
    world.create::<Namespace>(owned("cluster-wide", None));
    world.run(60);
    assert!(world.exists::<ConfigMap>("default", "kept"));
    assert!(!world.exists::<ConfigMap>("team", "misplaced"));
    assert!(world.exists::<Namespace>("", "cluster-wide"), "what cannot be resolved stays");
    let uid = owner.metadata.uid.clone().unwrap();
    for (name, namespace) in [("misplaced", "team"), ("cluster-wide", "")] {
        let told = format!(
            "OwnerRefInvalidNamespace ownerRef [v1/ConfigMap, namespace: {namespace}, name: owner, uid: {uid}] does not \
             exist in namespace {namespace:?}"
        );
        assert_eq!(world.events(name), [told]);
    }
}

#[test]
fn a_pod_of_a_lost_node_says_why_it_goes() {
    let mut world = World::new(2);
    world.create::<Deployment>(deployment("default", 2));
    world.run(5);
    for pod in world.list::<Pod>("default") {
        let finalizers = json!({ "metadata": { "finalizers": ["example.com/keep"] } });
        world.patch::<Pod>("default", pod.metadata.name.as_ref().unwrap(), finalizers);
    }
    world.nodes.borrow_mut().dead.insert("node-1".into());
    world.run(400);
    let pods = world.list::<Pod>("default");
    let lost = pods.iter().find(|pod| pod.metadata.deletion_timestamp.is_some()).unwrap();
    let condition = playground_controllers::pods::condition(lost, "DisruptionTarget").unwrap();
    let message = "Taint manager: deleting due to NoExecute taint";
    assert_eq!(condition.reason.as_deref(), Some("DeletionByTaintManager"));
    assert_eq!((condition.message.as_deref(), condition.observed_generation), (Some(message), Some(1)));

    // The node goes for good: so does the pod, but for a finalizer.
    let name = lost.metadata.name.clone().unwrap();
    world.delete::<Node>("", "node-1", &client::DeleteOptions::default());
    world.run(120);
    let pod = world.get::<Pod>("default", &name);
    let condition = playground_controllers::pods::condition(&pod, "DisruptionTarget").unwrap();
    assert_eq!(condition.reason.as_deref(), Some("DeletionByPodGC"));
    assert_eq!(condition.observed_generation, Some(2), "its deletion was the second");
}

#[test]
fn a_pod_that_cannot_be_bound_says_why() {
    let mut world = World::with_scheduler(1, 1);
    world.run(5);
    world.wire.refuses.set(Some(|request| request.uri().path().ends_with("/binding")));
    let containers = json!([{ "name": "c", "image": "nginx:1" }]);
    let metadata = json!({ "name": "stray", "namespace": "default" });
    world.create::<Pod>(json!({ "metadata": metadata, "spec": { "containers": containers } }));
    world.run(2);
    let pod = world.get::<Pod>("default", "stray");
    let condition = playground_controllers::pods::condition(&pod, "PodScheduled").unwrap();
    let message = "binding rejected: running Bind plugin \"DefaultBinder\": connection refused";
    assert_eq!((condition.reason.as_deref(), condition.message.as_deref()), (Some("SchedulerError"), Some(message)));
    world.wire.refuses.set(None);
    world.run(10);
    assert_eq!(world.get::<Pod>("default", "stray").spec.clone().unwrap().node_name.as_deref(), Some("node-0"));
}

/// How often the scheduler told that it found no node for a pod.
fn tried(world: &World, name: &str) -> i32 {
    let events = world.list::<k8s_openapi::api::core::v1::Event>("default");
    let of_pod = |it: &&std::sync::Arc<k8s_openapi::api::core::v1::Event>| {
        it.involved_object.name.as_deref() == Some(name) && it.reason.as_deref() == Some("FailedScheduling")
    };
    let count = |it: &std::sync::Arc<k8s_openapi::api::core::v1::Event>| {
        it.series.as_ref().and_then(|it| it.count).or(it.count).unwrap_or(1)
    };
    events.iter().filter(of_pod).map(count).sum()
}

#[test]
fn a_pod_that_fits_nowhere_is_tried_again_when_another_comes_or_goes_as_it_needs() {
    let mut world = World::with_scheduler(1, 1);
    world.run(5);
    let pod = |name: &str, app: &str, port: Option<i32>, affinity: Value| {
        json!({
            "metadata": { "name": name, "namespace": "default", "labels": { "app": app } },
            "spec": { "affinity": affinity, "containers": [{
                "name": "c", "image": "nginx:1", "ports": port.map(|port| [json!({ "containerPort": port, "hostPort": port })]),
            }] },
        })
    };
    let term = |app: &str| json!([{ "topologyKey": "kubernetes.io/hostname", "labelSelector": { "matchLabels": { "app": app } } }]);
    let near = json!({ "podAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": term("db") } });
    let far = json!({ "podAntiAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": term("lonely") } });
    world.patch::<Node>("", "node-0", json!({ "metadata": { "labels": { "kubernetes.io/hostname": "node-0" } } }));
    for (name, app, port, affinity) in [
        ("server", "server", Some(80), Value::Null),
        ("hermit", "lonely", None, Value::Null),
        ("second", "server", Some(80), Value::Null),
        ("other", "lonely", None, far),
        ("friend", "friend", None, near),
    ] {
        world.create::<Pod>(pod(name, app, port, affinity));
        world.run(2);
    }
    let waiting = ["second", "other", "friend"];
    world.run(20);
    let before = waiting.map(|name| tried(&world, name));
    world.create::<Pod>(pod("cache", "cache", Some(6379), Value::Null));
    world.run(20);
    world.delete::<Pod>("default", "cache", &client::DeleteOptions::default());
    world.run(20);
    assert_eq!(waiting.map(|name| tried(&world, name)), before, "what is no matter to them");
    world.create::<Pod>(pod("db", "db", None, Value::Null));
    world.delete::<Pod>("default", "server", &client::DeleteOptions::default());
    world.delete::<Pod>("default", "hermit", &client::DeleteOptions::default());
    world.run(20);
    for name in waiting {
        assert!(world.get::<Pod>("default", name).spec.as_ref().unwrap().node_name.is_some(), "{name}");
    }
}

#[test]
fn a_pod_that_fits_nowhere_is_tried_again_when_a_node_changes_as_it_needs() {
    let mut world = World::with_scheduler(2, 1);
    world.run(5);
    let pod = |name: &str, spec: Value| {
        let mut spec = spec;
        spec["containers"] = json!([{ "name": "c", "image": "nginx:1", "resources": spec["resources"] }]);
        spec.as_object_mut().unwrap().remove("resources");
        json!({ "metadata": { "name": name, "namespace": "default" }, "spec": spec })
    };
    world.create::<Pod>(pod("picky", json!({ "nodeSelector": { "disk": "ssd" } })));
    world.create::<Pod>(pod("large", json!({ "resources": { "requests": { "cpu": "6" } } })));
    world.run(20);
    let before = [tried(&world, "picky"), tried(&world, "large")];
    let label = |value: &str| json!({ "metadata": { "labels": { "disk": value } } });
    world.patch::<Node>("", "node-0", label("hdd"));
    world.run(20);
    world.patch::<Node>("", "node-1", json!({ "spec": { "unschedulable": true } }));
    world.run(20);
    assert_eq!([tried(&world, "picky"), tried(&world, "large")], before, "neither helps");
    world.patch::<Node>("", "node-0", label("ssd"));
    world.run(20);
    let bound = |world: &World, name: &str| world.get::<Pod>("default", name).spec.clone().unwrap().node_name;
    assert_eq!((bound(&world, "picky"), bound(&world, "large")), (Some("node-0".into()), None));
    assert_eq!(tried(&world, "large"), before[1]);
    let client = client::Client::new(world.wire.clone(), "kubelet");
    let more = client::Patch::Merge(json!({ "status": { "allocatable": { "cpu": "8" } } }));
    client.patch_status::<Node>(&machinery::ObjectKey::new("", "node-0"), &more).unwrap();
    world.run(20);
    assert_eq!(bound(&world, "large"), Some("node-0".into()));
}

#[test]
fn endpoints_that_somebody_makes_are_his() {
    let mut world = World::new(1);
    world.run(2);
    world.create::<Endpoints>(json!({ "metadata": { "name": "theirs", "namespace": "default" } }));
    world.run(5);
    assert!(world.exists::<Endpoints>("default", "theirs"));
}

#[test]
fn a_service_cidr_stays_while_a_service_has_an_address_from_it() {
    let mut world = World::new(1);
    world.create::<ServiceCIDR>(json!({ "metadata": { "name": "more" }, "spec": { "cidrs": ["10.250.0.0/24"] } }));
    world.run(2);
    let ready = |world: &World| {
        let status = world.get::<ServiceCIDR>("", "more").status.clone().unwrap_or_default();
        status
            .conditions
            .unwrap_or_default()
            .iter()
            .map(|one| format!("{}={}", one.type_, one.status))
            .collect::<Vec<_>>()
    };
    assert_eq!(ready(&world), ["Ready=True"]);
    world.create::<IPAddress>(json!({
        "metadata": { "name": "10.250.0.7" },
        "spec": { "parentRef": { "resource": "services", "namespace": "default", "name": "web" } },
    }));
    world.run(2);
    world.delete::<ServiceCIDR>("", "more", &client::DeleteOptions::default());
    world.run(2);
    assert_eq!(ready(&world), ["Ready=False"]);
    world.delete::<IPAddress>("", "10.250.0.7", &client::DeleteOptions::default());
    world.run(2);
    assert!(!world.exists::<ServiceCIDR>("", "more"));
}
