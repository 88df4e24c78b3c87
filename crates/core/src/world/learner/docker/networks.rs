//! Networks: `docker network ls`, `docker network inspect`.

use machinery::sort::Order;
use serde_json::{Map, Value, json};

use super::super::clusters::Tool;
use super::super::flags::{Flags, Known};
use super::text::columns;
use super::{Code, Run};

/// A network of this computer.
struct Network {
    name: String,
    driver: &'static str,
    /// Its range and its gateway, where it has some.
    range: Option<(&'static str, &'static str)>,
    tool: Option<Tool>,
}

impl Network {
    fn new(name: &str, driver: &'static str, range: Option<(&'static str, &'static str)>, tool: Option<Tool>) -> Self {
        Self { name: name.to_owned(), driver, range, tool }
    }

    fn id(&self) -> String {
        let hash = |salt: &str| machinery::random::fnv64a(format!("{salt}{}", self.name).as_bytes());
        ["a", "b", "c", "d"].map(|salt| format!("{:016x}", hash(salt))).concat()
    }
}

impl Run {
    /// Docker's own three, and those of kind and of each profile of minikube's while there are such clusters.
    fn networks(&self) -> Vec<Network> {
        const MINIKUBE: (&str, &str) = ("192.168.49.0/24", "192.168.49.1");
        let clusters = &self.docker.0.clusters;
        let mut all = vec![
            Network::new("bridge", "bridge", Some(("172.17.0.0/16", "172.17.0.1")), None),
            Network::new("host", "host", None, None),
            Network::new("none", "null", None, None),
        ];
        if !clusters.of(Tool::Kind).is_empty() {
            all.push(Network::new("kind", "bridge", Some(("172.18.0.0/16", "172.18.0.1")), Some(Tool::Kind)));
        }
        let profiles = clusters.of(Tool::Minikube);
        let profiles = profiles.iter().map(|profile| profile.name.as_str());
        all.extend(profiles.map(|name| Network::new(name, "bridge", Some(MINIKUBE), Some(Tool::Minikube))));
        all.order_by(|a, b| a.name.cmp(&b.name));
        all
    }

    pub(super) async fn network(&self, words: &[String]) -> Code {
        const KNOWN: &[Known] =
            &[("quiet", 'q', false), ("no-trunc", ' ', false), ("filter", 'f', true), ("format", ' ', true)];
        let (command, rest) = words.split_first().map_or(("", words), |(first, rest)| (first.as_str(), rest));
        match command {
            "ls" | "list" => {
                let flags = Flags::parse(rest, KNOWN, usize::MAX)?;
                let mut networks = self.networks();
                for filter in flags.values("filter") {
                    match filter.split_once('=') {
                        Some(("name", name)) => networks.retain(|network| network.name.contains(name)),
                        Some(("driver", driver)) => networks.retain(|network| network.driver == driver),
                        _ => return Err(format!("invalid filter '{filter}'")),
                    }
                }
                let length = if flags.is_on("no-trunc") { usize::MAX } else { 12 };
                let id = |network: &Network| network.id().chars().take(length).collect::<String>();
                if flags.is_on("quiet") {
                    return self.print(networks.iter().map(|network| id(network) + "\n").collect::<String>()).await;
                }
                if let Some(format) = flags.value("format") {
                    let of = |network: &Network| json!({"ID": id(network), "Name": network.name, "Driver": network.driver, "Scope": "local"});
                    return self.fill(format, networks.iter().map(of).collect()).await;
                }
                let mut table = vec![["NETWORK ID", "NAME", "DRIVER", "SCOPE"].map(str::to_owned).to_vec()];
                table.extend(networks.iter().map(|network| {
                    vec![id(network), network.name.clone(), network.driver.to_owned(), "local".to_owned()]
                }));
                self.print(columns(&table)).await
            }
            "inspect" => {
                let flags = Flags::parse(rest, &[("format", 'f', true), ("verbose", 'v', false)], usize::MAX)?;
                let networks = self.networks();
                let mut found = Vec::new();
                for name in &flags.words {
                    let network =
                        networks.iter().find(|network| network.name == *name || network.id().starts_with(name));
                    let network =
                        network.ok_or_else(|| format!("[]\nError response from daemon: network {name} not found"))?;
                    found.push(self.described_network(network));
                }
                match flags.value("format") {
                    Some(format) => self.fill(format, found).await,
                    None => self.print(format!("{:#}\n", Value::Array(found))).await,
                }
            }
            _ => Err("docker: 'docker network' knows ls and inspect here".into()),
        }
    }

    fn described_network(&self, network: &Network) -> Value {
        let ranges: Vec<Value> =
            network.range.iter().map(|(range, gateway)| json!({"Subnet": range, "Gateway": gateway})).collect();
        let mut containers = Map::new();
        let clusters = network.tool.map(|tool| self.docker.0.clusters.of(tool)).unwrap_or_default();
        let here = |name: &str| network.tool == Some(Tool::Kind) || name == network.name;
        for cluster in clusters.iter().filter(|cluster| here(&cluster.name)) {
            for node in cluster.nodes.borrow().iter() {
                let address = format!("{}/16", node.options.address);
                containers.insert(node.id.clone(), json!({"Name": node.options.name, "IPv4Address": address}));
            }
        }
        json!({
            "Name": network.name,
            "Id": network.id(),
            "Scope": "local",
            "Driver": network.driver,
            "IPAM": {"Driver": "default", "Config": ranges},
            "Containers": containers,
        })
    }

    /// Fills a template in for each object, a line each. `table` before it is for people's tables; `json` is all.
    pub(super) async fn fill(&self, format: &str, objects: Vec<Value>) -> Code {
        let format = format.strip_prefix("table ").unwrap_or(format).replace("\\t", "\t").replace("\\n", "\n");
        let mut lines = String::new();
        if format == "json" {
            lines.extend(objects.iter().map(|object| format!("{object}\n")));
            return self.print(lines).await;
        }
        let template = kubectl::Template::parse(&format).map_err(|error| format!("template parsing error: {error}"))?;
        for object in &objects {
            match template.render(object, true) {
                (text, None) => lines.push_str(&format!("{text}\n")),
                (_, Some(error)) => return Err(format!("template parsing error: {error}")),
            }
        }
        self.print(lines).await
    }
}
