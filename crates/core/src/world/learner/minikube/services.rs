//! Ways to what runs in a cluster: `minikube service`, `dashboard`, `tunnel`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use client::{Client, ListOptions, Patch, key_of};
use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use machinery::ObjectKey;
use serde_json::{Value, json};

use super::{Minikube, Outcome, boxed, usage};
use crate::world::learner::flags::Flags;
use crate::world::learner::tools;

/// How many seconds the dashboard has to come up.
const DASHBOARD_LOOKS: usize = 120;

impl Minikube {
    pub(super) async fn service(&self, flags: &Flags, profile: &str) -> Outcome {
        let cluster = self.running(profile)?;
        let list = flags.word(1) == "list";
        // Here `-n` is the namespace.
        let namespace = flags.value("namespace").or(flags.value("nodes")).unwrap_or("default");
        let path =
            if list { "/api/v1/services".to_owned() } else { format!("/api/v1/namespaces/{namespace}/services") };
        let answer = self.get(&cluster, &path).await;
        let address = cluster.nodes.borrow().first().map(|node| node.options.address.to_string()).unwrap_or_default();
        let name = flags.word(1);
        if name.is_empty() {
            return Err(usage("You must specify a service name"));
        }
        let mut rows = Vec::new();
        for service in answer["items"].as_array().into_iter().flatten() {
            let text = |pointer: &str| service.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
            if !list && text("/metadata/name") != name {
                continue;
            }
            let ports: Vec<&Value> = service["spec"]["ports"].as_array().into_iter().flatten().collect();
            let node_ports: Vec<u64> = ports.iter().filter_map(|port| port["nodePort"].as_u64()).collect();
            let target = |port: &&Value| match port["name"].as_str() {
                Some(name) => format!("{name}/{}", port["port"]),
                None => port["port"].to_string(),
            };
            let (targets, urls) = match node_ports.is_empty() {
                true => ("No node port".to_owned(), String::new()),
                false => (
                    ports.iter().map(target).collect::<Vec<_>>().join(" "),
                    node_ports.iter().map(|port| format!("http://{address}:{port}")).collect::<Vec<_>>().join(" "),
                ),
            };
            rows.push([text("/metadata/namespace"), text("/metadata/name"), targets, urls]);
        }
        if list {
            return self.say(&boxed(&["NAMESPACE", "NAME", "TARGET PORT", "URL"], &rows)).await;
        }
        let Some(row) = rows.first() else {
            return Err((
                115,
                format!(
                    "SVC_NOT_FOUND: Service '{name}' was not found in '{namespace}' namespace.\nYou may select another namespace by using 'minikube service {name} -n <namespace>'. Or list out all the services using 'minikube service list'"
                ),
            ));
        };
        let urls: Vec<&str> = row[3].split_whitespace().collect();
        if flags.is_on("url") {
            if urls.is_empty() {
                self.process.eprint(format!("😿  service {namespace}/{name} has no node port\n")).await;
            }
            let lines: String = urls.iter().map(|url| format!("{url}\n")).collect();
            return self.say(&lines).await;
        }
        self.process.print(boxed(&["NAMESPACE", "NAME", "TARGET PORT", "URL"], &rows)).await;
        if urls.is_empty() {
            return self.say(&format!("😿  service {namespace}/{name} has no node port\n")).await;
        }
        self.step(&format!("🎉  Opening service {namespace}/{name} in default browser..."), 0).await;
        let mut code = 0;
        for url in urls {
            code = tools::run(&self.process, vec!["open".into(), url.to_owned()]).await;
        }
        Ok(code)
    }

    pub(super) async fn dashboard(&self, flags: &Flags, profile: &str) -> Outcome {
        let cluster = self.running(profile)?;
        if !cluster.addons.borrow().iter().any(|addon| addon == "dashboard") {
            self.step("🔌  Enabling dashboard ...", 300).await;
            self.switch(&cluster, "dashboard", true).await?;
        }
        self.step("🤔  Verifying dashboard health ...", 500).await;
        let deployment = "/apis/apps/v1/namespaces/kubernetes-dashboard/deployments/kubernetes-dashboard";
        let mut looks = 0;
        while self.get(&cluster, deployment).await["status"]["availableReplicas"].as_u64().unwrap_or(0) == 0 {
            looks += 1;
            if looks > DASHBOARD_LOOKS {
                return Err((
                    115,
                    "SVC_URL_TIMEOUT: http://127.0.0.1 is not accessible: the Deployment kubernetes-dashboard of the \
                     namespace kubernetes-dashboard has no Pod that is ready; see 'kubectl get pods -n \
                     kubernetes-dashboard'"
                        .into(),
                ));
            }
            self.process.sleep(Duration::from_secs(1)).await;
        }
        self.step("🚀  Launching proxy ...", 0).await;
        let proxy = ["kubectl", "--context", &cluster.context, "proxy", "--port=0"];
        let port = tools::start_proxy(&self.process, &proxy).await;
        let port = port.ok_or_else(|| (80, "GUEST_DASHBOARD: kubectl proxy did not start".to_owned()))?;
        let path = "api/v1/namespaces/kubernetes-dashboard/services/http:kubernetes-dashboard:/proxy/";
        let url = format!("http://127.0.0.1:{port}/{path}");
        self.step("🤔  Verifying proxy health ...", 500).await;
        if flags.is_on("url") {
            self.process.print(format!("{url}\n")).await;
        } else {
            self.step(&format!("🎉  Opening {url} in your default browser..."), 0).await;
            tools::run(&self.process, vec!["open".into(), url]).await;
        }
        // The proxy lives as long as the command does.
        std::future::pending::<Outcome>().await
    }

    /// Load balancers have an address, and answer there, for as long as this runs.
    pub(super) async fn tunnel(&self, profile: &str) -> Outcome {
        let cluster = self.running(profile)?;
        self.process.print("✅  Tunnel successfully started\n\n📌  NOTE: Please do not close this terminal as this process must stay alive for the tunnel to be accessible ...\n\n").await;
        let mut open: BTreeMap<ObjectKey, Tunnel> = BTreeMap::new();
        let address = cluster.nodes.borrow().first().map(|node| node.options.address);
        let Some(address) = address else { return Ok(0) };
        let Some(line) = cluster.inner().as_ref().map(|inner| inner.line(TUNNEL, Arc::default())) else { return Ok(0) };
        let client = Client::new(line, TUNNEL);
        while cluster.is_running() {
            let list = client.list::<Service>("", &ListOptions::default());
            let mut services = list.map(|list| list.items).unwrap_or_default();
            services.retain(|service| spec_of(service).type_.as_deref() == Some("LoadBalancer"));
            open.retain(|key, _| services.iter().any(|service| key_of(&**service) == *key));
            for service in services {
                let key = key_of(&*service);
                if open.contains_key(&key) {
                    continue;
                }
                let ports = spec_of(&service).ports.unwrap_or_default();
                let number = |port: i32| u16::try_from(port).unwrap_or_default();
                let map = |port: &ServicePort| {
                    let inside = (address.into(), number(port.node_port.unwrap_or_default()));
                    tools::Mapped::new(self.clusters.computer(), number(port.port), inside)
                };
                // One whose port is taken waits until it is free.
                let Some(ways) = ports.iter().map(map).collect::<Option<Vec<_>>>() else { continue };
                self.process.print(format!("🏃  Starting tunnel for service {}.\n", key.name)).await;
                open.insert(key.clone(), Tunnel::new(client.clone(), key, ways));
            }
            self.process.sleep(Duration::from_secs(1)).await;
        }
        Ok(0)
    }
}

const TUNNEL: &str = "minikube-tunnel";

fn spec_of(service: &Service) -> ServiceSpec {
    service.spec.clone().unwrap_or_default()
}

/// The ways to one Service, which has an address as long as they are open: with Docker as minikube's driver, the
/// computer's own.
struct Tunnel {
    client: Client,
    service: ObjectKey,
    _ways: Vec<tools::Mapped>,
}

impl Tunnel {
    fn new(client: Client, service: ObjectKey, ways: Vec<tools::Mapped>) -> Self {
        let tunnel = Self { client, service, _ways: ways };
        tunnel.tell(&json!([{ "ip": "127.0.0.1" }]));
        tunnel
    }

    fn tell(&self, ingress: &Value) {
        let patch = Patch::Merge(json!({ "status": { "loadBalancer": { "ingress": ingress } } }));
        // A Service that is gone needs no address.
        let _ = self.client.patch_status::<Service>(&self.service, &patch);
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.tell(&Value::Null);
    }
}
