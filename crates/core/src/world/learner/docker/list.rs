//! What there is: `docker ps`, `port`, `inspect`.

use machinery::Timestamp;
use machinery::sort::Order;

use kubelet::runtime::ContainerState;
use serde_json::{Value, json};

use super::super::clusters::{LocalNode, Tool};
use super::super::flags::{Flags, Known};
use super::text::{ago, columns};
use super::{Code, Container, Own, Run};

impl Run {
    pub(super) async fn ps(&self, words: &[String]) -> Code {
        const KNOWN: &[Known] = &[
            ("all", 'a', false),
            ("quiet", 'q', false),
            ("no-trunc", ' ', false),
            ("filter", 'f', true),
            ("format", ' ', true),
            ("latest", 'l', false),
            ("last", 'n', true),
            ("size", 's', false),
        ];
        let flags = Flags::parse(words, KNOWN, usize::MAX)?;
        let mut rows = Vec::new();
        for cluster in self.docker.0.clusters.all() {
            for node in cluster.nodes.borrow().iter().rev() {
                let up = cluster.is_running() && !node.stopped;
                rows.push(Row {
                    id: node.id.clone(),
                    image: node.image.clone(),
                    command: "/usr/local/bin/entrypoint /sbin/init".into(),
                    created_at: node.created_at,
                    status: if up { format!("Up {}", self.ago(node.created_at)) } else { "Exited (137)".into() },
                    up,
                    ports: if up { node_ports(node) } else { String::new() },
                    name: node.options.name.clone(),
                });
            }
        }
        for (own, status) in self.docker.own() {
            let up = status.state == ContainerState::Running;
            let since = status.finished_at.or(status.started_at).unwrap_or(own.created_at);
            rows.push(Row {
                id: status.id.clone(),
                image: own.config.image.clone(),
                command: self.command_of(&own),
                created_at: own.created_at,
                status: match status.state {
                    ContainerState::Running => format!("Up {}", self.ago(since)),
                    ContainerState::Created => "Created".into(),
                    _ => format!("Exited ({}) {} ago", status.exit_code, self.ago(since)),
                },
                up,
                ports: if up { own_ports(&own) } else { String::new() },
                name: own.name.clone(),
            });
        }
        rows.order_by_key(|row| std::cmp::Reverse(row.created_at));
        rows.retain(|row| flags.is_on("all") || row.up);
        for filter in flags.values("filter") {
            match filter.split_once('=') {
                Some(("name", name)) => rows.retain(|row| row.name.contains(name)),
                Some(("ancestor", image)) => rows.retain(|row| row.image.starts_with(image)),
                Some(("status", status)) => rows.retain(|row| (status == "running") == row.up),
                _ => return Err(format!("invalid filter '{filter}'")),
            }
        }
        let length = if flags.is_on("no-trunc") { usize::MAX } else { 12 };
        let short = |id: &str| id.chars().take(length).collect::<String>();
        if flags.is_on("quiet") {
            let ids: String = rows.iter().map(|row| format!("{}\n", short(&row.id))).collect();
            return self.print(ids).await;
        }
        if let Some(format) = flags.value("format").filter(|format| !format.starts_with("table")) {
            let of = |row: &Row| row.fields(&short(&row.id), &self.ago(row.created_at));
            return self.fill(format, rows.iter().map(of).collect()).await;
        }
        let mut table = vec![
            ["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"].map(str::to_owned).to_vec(),
        ];
        table.extend(rows.into_iter().map(|row| {
            let created = format!("{} ago", self.ago(row.created_at));
            vec![short(&row.id), row.image, quoted(&row.command, length), created, row.status, row.ports, row.name]
        }));
        self.print(columns(&table)).await
    }

    /// What a container runs, as words.
    fn command_of(&self, own: &Own) -> String {
        let image = self.docker.image(&own.config.image);
        let entrypoint = match (&own.config.command, &image) {
            (given, _) if !given.is_empty() => given.clone(),
            (_, Some(image)) => image.entrypoint.clone(),
            _ => Vec::new(),
        };
        let arguments = match (&own.config.args, &image) {
            (given, _) if !given.is_empty() => given.clone(),
            (_, Some(image)) if own.config.command.is_empty() => image.cmd.clone(),
            _ => Vec::new(),
        };
        [entrypoint, arguments].concat().join(" ")
    }

    pub(super) fn ago(&self, then: Timestamp) -> String {
        ago(self.now(), then)
    }

    pub(super) async fn ports(&self, words: &[String]) -> Code {
        let name = words.first().ok_or("docker: 'docker port' requires at least 1 argument")?;
        let lines: String = match self.docker.find(name)? {
            Container::Own(own) => own
                .ports
                .iter()
                .map(|port| format!("{}/tcp -> 0.0.0.0:{}\n", port.container_port, port.host_port))
                .collect(),
            Container::Node(_, node) => {
                node.ports.iter().map(|port| format!("{}/tcp -> {}:{}\n", port.node, port.address, port.host)).collect()
            }
        };
        self.print(lines).await
    }

    pub(super) async fn inspect(&self, words: &[String]) -> Code {
        let flags = Flags::parse(words, &[("format", 'f', true)], usize::MAX)?;
        let mut all = Vec::new();
        for name in &flags.words {
            all.push(match self.docker.find(name) {
                Ok(Container::Own(own)) => {
                    let sandboxes = self.docker.0.runtime.sandboxes();
                    let address = sandboxes.into_iter().find(|sandbox| sandbox.id == own.sandbox_id);
                    let address = address.and_then(|sandbox| sandbox.ips.into_iter().next()).unwrap_or_default();
                    let statuses = self.docker.0.runtime.containers();
                    let status = statuses.into_iter().find(|status| status.id == own.container_id);
                    Described {
                        id: &own.container_id,
                        name: &own.name,
                        image: &own.config.image,
                        created_at: own.created_at,
                        address: &address,
                        network: "bridge",
                        up: status.as_ref().is_some_and(|status| status.state == ContainerState::Running),
                        exit_code: status.map_or(0, |status| status.exit_code),
                    }
                    .json()
                }
                Ok(Container::Node(cluster, node)) => {
                    let up = cluster.is_running() && !node.stopped;
                    Described {
                        id: &node.id,
                        name: &node.options.name,
                        image: &node.image,
                        created_at: node.created_at,
                        address: &node.options.address.to_string(),
                        network: if cluster.tool == Tool::Kind { "kind" } else { &cluster.name },
                        up,
                        exit_code: if up { 0 } else { 137 },
                    }
                    .json()
                }
                Err(_) => match self.docker.image(name) {
                    Some(image) => json!({
                        "Id": image.id,
                        "RepoTags": [format!("{}:{}", image.reference.familiar(), image.reference.tag)],
                        "Config": {"Entrypoint": image.entrypoint, "Cmd": image.cmd, "WorkingDir": image.working_dir},
                        "Architecture": "amd64",
                        "Os": "linux",
                        "Size": image.size_bytes,
                    }),
                    None => return Err(format!("[]\nerror: no such object: {name}")),
                },
            });
        }
        if let Some(format) = flags.value("format") {
            return self.fill(format, all).await;
        }
        self.print(format!("{:#}\n", Value::Array(all))).await
    }
}

/// A line of `docker ps`.
struct Row {
    id: String,
    image: String,
    command: String,
    created_at: Timestamp,
    status: String,
    up: bool,
    ports: String,
    name: String,
}

impl Row {
    /// What `--format` knows of it.
    fn fields(&self, id: &str, ago: &str) -> Value {
        json!({
            "ID": id,
            "Names": self.name,
            "Image": self.image,
            "Status": self.status,
            "State": if self.up { "running" } else { "exited" },
            "Ports": self.ports,
            "Command": format!("\"{}\"", self.command),
            "CreatedAt": self.created_at.strftime("%Y-%m-%d %H:%M:%S +0000 UTC").to_string(),
            "RunningFor": format!("{ago} ago"),
        })
    }
}

/// A container, as `inspect` shows it.
struct Described<'a> {
    id: &'a str,
    name: &'a str,
    image: &'a str,
    created_at: Timestamp,
    address: &'a str,
    network: &'a str,
    up: bool,
    exit_code: i32,
}

impl Described<'_> {
    fn json(&self) -> Value {
        json!({
            "Id": self.id,
            "Created": self.created_at.to_string(),
            "Name": format!("/{}", self.name),
            "State": {
                "Status": if self.up { "running" } else { "exited" },
                "Running": self.up,
                "ExitCode": self.exit_code,
                "StartedAt": self.created_at.to_string(),
            },
            "Config": {"Image": self.image, "Hostname": self.name},
            "NetworkSettings": {
                "IPAddress": self.address,
                "Networks": {self.network: {"IPAddress": self.address}},
            },
        })
    }
}

fn own_ports(own: &Own) -> String {
    let ports = own.ports.iter().map(|port| format!("0.0.0.0:{}->{}/tcp", port.host_port, port.container_port));
    ports.collect::<Vec<_>>().join(", ")
}

fn node_ports(node: &LocalNode) -> String {
    let port = |port: &crate::kind_config::PortMapping| {
        format!("{}:{}->{}/{}", port.address, port.host, port.node, port.protocol)
    };
    node.ports.iter().map(port).collect::<Vec<_>>().join(", ")
}

fn quoted(command: &str, length: usize) -> String {
    const SHOWN: usize = 20;
    let shown: String = match command.chars().count() > SHOWN && length != usize::MAX {
        true => command.chars().take(SHOWN - 1).chain(['…']).collect(),
        false => command.to_owned(),
    };
    format!("\"{shown}\"")
}
