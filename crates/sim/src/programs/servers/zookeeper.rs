//! ZooKeeper as the documentation's tutorial looks at it: an ensemble that keeps what it is told while most of it is
//! there, `zkCli.sh` and the probe.

use std::rc::Rc;
use std::time::Duration;

use futures::future::{Either, select};
use machinery::Timestamp;

use super::{JAVA, bind, each_client, stamp, until_stopped};
use crate::network::TcpStream;
use crate::process::{Process, Signal, Spawn};

const PORT: u16 = 2181;
const DATA: &str = "/var/lib/zookeeper/data";
const CONFIG: &str = "/opt/zookeeper/conf/zoo.cfg";
const KEPT: &str = "/var/lib/zookeeper/data/nodes";
const PATIENCE: Duration = Duration::from_secs(2);

/// One of ZooKeeper's nodes.
#[derive(Clone)]
struct Node {
    /// How often it was written.
    version: u64,
    /// When it was made and written last, in seconds.
    created: i64,
    modified: i64,
    path: String,
    value: String,
}

impl Node {
    fn read(line: &str) -> Option<Self> {
        let mut parts = line.splitn(5, ' ');
        Some(Self {
            version: parts.next()?.parse().ok()?,
            created: parts.next()?.parse().ok()?,
            modified: parts.next()?.parse().ok()?,
            path: parts.next()?.to_owned(),
            value: parts.next().unwrap_or_default().to_owned(),
        })
    }

    fn line(&self) -> String {
        format!("{} {} {} {} {}\n", self.version, self.created, self.modified, self.path, self.value)
    }

    /// What `get` and `stat` show beside the value.
    fn facts(&self) -> String {
        let time =
            |seconds: i64| stamp(Timestamp::from_second(seconds).unwrap_or_default(), "%a %b %d %H:%M:%S UTC %Y");
        format!(
            "cZxid = 0x100000002\nctime = {}\nmZxid = 0x10000000{}\nmtime = {}\npZxid = 0x100000002\ncversion = 0\n\
             dataVersion = {}\naclVersion = 0\nephemeralOwner = 0x0\ndataLength = {}\nnumChildren = 0",
            time(self.created),
            self.version + 1,
            time(self.modified),
            self.version - 1,
            self.value.len(),
        )
    }
}

/// What this server keeps.
fn kept(process: &Process) -> Vec<Node> {
    process.fs().read_text(KEPT).unwrap_or_default().lines().filter_map(Node::read).collect()
}

fn keep(process: &Process, nodes: &[Node]) {
    let text: String = nodes.iter().map(Node::line).collect();
    // A full disk loses what is written, and the ensemble has it elsewhere.
    let _ = process.fs().write(KEPT, text, process.machine.now());
}

/// The ensemble's hosts, this server's among them: what `zoo.cfg` says.
fn ensemble(process: &Process) -> Vec<String> {
    let config = process.fs().read_text(CONFIG).unwrap_or_default();
    let servers = config.lines().filter_map(|line| line.strip_prefix("server.")?.split_once('='));
    servers.map(|(_, place)| place.split(':').next().unwrap_or_default().to_owned()).collect()
}

/// What a server answers to a word or a line.
async fn ask(process: &Process, host: &str, line: &str) -> Option<String> {
    let asking = async {
        let stream = process.machine.connect(host, PORT).await.ok()?;
        stream.write_all(format!("{line}\n").as_bytes()).await.ok()?;
        stream.shutdown();
        let mut all = Vec::new();
        loop {
            let part = stream.read(65536).await.ok()?;
            if part.is_empty() {
                return String::from_utf8(all).ok();
            }
            all.extend_from_slice(&part);
        }
    };
    match select(Box::pin(asking), process.machine.executor().sleep(PATIENCE)).await {
        Either::Left((answer, _)) => answer,
        Either::Right(_) => None,
    }
}

/// Takes in what is newer.
fn learn(process: &Process, text: &str) {
    let mut nodes = kept(process);
    for new in text.lines().filter_map(Node::read) {
        match nodes.iter_mut().find(|node| node.path == new.path) {
            Some(node) if node.version < new.version => *node = new,
            Some(_) => {}
            None => nodes.push(new),
        }
    }
    keep(process, &nodes);
}

/// The server's own process.
const JVM: &str = "/usr/lib/jvm/java-8-openjdk-amd64/bin/java -Dzookeeper.log.dir=/var/log/zookeeper \
    -Dzookeeper.root.logger=INFO,CONSOLE -cp /opt/zookeeper/bin/../build/classes:/opt/zookeeper/bin/../build/lib/*.jar: \
    -Xmx{heap} -Xms{heap} -Dcom.sun.management.jmxremote -Dcom.sun.management.jmxremote.local.only=false \
    org.apache.zookeeper.server.quorum.QuorumPeerMain /opt/zookeeper/bin/../conf/zoo.cfg";
/// Its log goes to standard output.
const LOG4J: &str = "zookeeper.root.logger=CONSOLE\nzookeeper.console.threshold={level}\n\
    log4j.rootLogger=${zookeeper.root.logger}\nlog4j.appender.CONSOLE=org.apache.log4j.ConsoleAppender\n\
    log4j.appender.CONSOLE.Threshold=${zookeeper.console.threshold}\n\
    log4j.appender.CONSOLE.layout=org.apache.log4j.PatternLayout\n\
    log4j.appender.CONSOLE.layout.ConversionPattern=%d{ISO8601} [myid:%X{myid}] - %-5p [%t:%C{1}@%L] - %m%n\n";

/// `start-zookeeper --servers=3 …`: writes the configuration, and runs the server until it ends.
pub(super) async fn main(process: Process) -> i32 {
    let flag = |name: &str, other: &str| {
        let found =
            process.operands().iter().find_map(|word| word.strip_prefix(&format!("--{name}="))).map(str::to_owned);
        found.unwrap_or_else(|| other.to_owned())
    };
    let servers: usize = flag("servers", "1").parse().unwrap_or(1);
    let host = process.machine.hostname().to_owned();
    let Some((name, ordinal)) =
        host.rsplit_once('-').and_then(|(name, number)| Some((name, number.parse::<usize>().ok()?)))
    else {
        process.print(format!("Fialed to parse name and ordinal of Pod {host}\n")).await;
        return 1;
    };
    // `hostname -d`, by the pod's own entry in the hosts file.
    let hosts = process.fs().read_text("/etc/hosts").unwrap_or_default();
    let full = hosts.split_whitespace().find_map(|word| word.strip_prefix(&format!("{host}.")));
    let domain = full.map(|domain| format!(".{domain}")).unwrap_or_default();
    let mut config = format!(
        "#This file was autogenerated DO NOT EDIT\nclientPort={PORT}\ndataDir={DATA}\ndataLogDir={DATA}/log\ntickTime={}\n\
         initLimit={}\nsyncLimit={}\nmaxClientCnxns={}\nautopurge.purgeInteval={}\n",
        flag("tick_time", "2000"),
        flag("init_limit", "10"),
        flag("sync_limit", "5"),
        flag("max_client_cnxns", "60"),
        flag("purge_interval", "12"),
    );
    for index in 0..servers {
        config.push_str(&format!("server.{}={name}-{index}{domain}:2888:3888\n", index + 1));
    }
    let now = process.machine.now();
    let made = process.fs().create_dir_all(DATA, now);
    let made = made.and_then(|()| process.fs().write(&format!("{DATA}/myid"), format!("{}\n", ordinal + 1), now));
    if let Err(error) = made {
        return process.fail(1, format_args!("cannot write {DATA}/myid: {error}")).await;
    }
    let _ = process.fs().create_dir_all("/opt/zookeeper/conf", now);
    let _ = process.fs().write(CONFIG, config, now);
    let log4j = LOG4J.replace("{level}", &flag("log_level", "INFO"));
    let _ = process.fs().write("/opt/zookeeper/conf/log4j.properties", log4j, now);
    let command = JVM.replace("{heap}", &flag("heap", "2G"));
    let own: Rc<str> = format!("{host}{domain}").into();
    let server = process.machine.spawn(Spawn {
        program: Rc::new(move |process: Process| {
            let own = own.clone();
            async move { run(process, ordinal + 1, &own).await }
        }),
        args: command.split_whitespace().map(str::to_owned).collect(),
        env: process.env.clone(),
        cwd: process.cwd.clone(),
        uid: process.uid,
        gid: process.gid,
        fds: process.fds.clone(),
        parent: process.pid,
        group: process.machine.processes().into_iter().find(|info| info.pid == process.pid).map(|info| info.group),
    });
    let pid = server.pid;
    let code = until_stopped(&process, JAVA, server.wait()).await;
    // It may have ended already.
    let _ = process.machine.kill(pid, Signal::Term);
    code
}

/// A line of the server's log.
async fn log(process: &Process, id: usize, text: String) {
    let time = stamp(process.machine.now(), "%Y-%m-%d %H:%M:%S,%3f");
    process.print(format!("{time} [myid:{id}] - INFO  {text}\n")).await;
}

/// The server.
async fn run(process: Process, id: usize, own: &str) -> i32 {
    let Ok(listener) = bind(&process, PORT) else {
        return process.fail(1, "java.net.BindException: Address already in use").await;
    };
    let process = Rc::new(process);
    log(&process, id, "[main:QuorumPeerMain@127] - Starting quorum peer".into()).await;
    log(&process, id, format!("[main:NIOServerCnxnFactory@89] - binding to port 0.0.0.0/0.0.0.0:{PORT}")).await;
    until_stopped(&process, JAVA, async {
        let learning = async {
            for other in ensemble(&process).iter().filter(|other| **other != own) {
                if let Some(text) = ask(&process, other, "nodes").await {
                    learn(&process, &text);
                }
            }
            std::future::pending::<()>().await;
        };
        let serving = each_client::<(), _>(&listener, |stream| serve(stream, &process, id, own));
        select(Box::pin(learning), Box::pin(serving)).await;
        0
    })
    .await
}

async fn serve(stream: TcpStream, process: &Process, id: usize, own: &str) {
    let Ok(asked) = stream.read(65536).await else { return };
    let asked = String::from_utf8_lossy(&asked).trim().to_owned();
    let (word, rest) = asked.split_once(' ').unwrap_or((&asked, ""));
    let answer = match word {
        "ruok" => {
            const FACTORY: &str = "[NIOServerCxn.Factory:0.0.0.0/0.0.0.0:2181:NIOServerCnxn";
            let (client, thread) = (stream.info().remote, stream.info().connection % 10_000);
            log(process, id, format!("{FACTORY}Factory@192] - Accepted socket connection from /{client}")).await;
            log(process, id, format!("{FACTORY}@827] - Processing ruok command from /{client}")).await;
            let closed = format!(
                "[Thread-{thread}:NIOServerCnxn@1008] - Closed socket connection for client /{client} (no session \
                 established for client)"
            );
            log(process, id, closed).await;
            "imok".to_owned()
        }
        "nodes" => kept(process).iter().map(Node::line).collect(),
        "learn" => {
            learn(process, rest);
            "ok".into()
        }
        "alive" | "create" | "set" | "get" | "ls" | "delete" => {
            let all = ensemble(process);
            let others: Vec<&String> = all.iter().filter(|other| **other != own).collect();
            let asked =
                others.iter().map(|other| async move { ask(process, other, "ruok").await.map(|_| (*other).clone()) });
            let mut alive: Vec<String> = futures::future::join_all(asked).await.into_iter().flatten().collect();
            alive.push(own.to_owned());
            if alive.len() * 2 <= all.len() { "lost".into() } else { act(process, word, rest, &alive, own).await }
        }
        _ => String::new(),
    };
    let _ = stream.write_all(answer.as_bytes()).await;
}

/// What comes of a command where most of the ensemble is there.
async fn act(process: &Process, word: &str, rest: &str, alive: &[String], own: &str) -> String {
    let (path, value) = rest.split_once(' ').unwrap_or((rest, ""));
    let nodes = kept(process);
    let found = nodes.iter().find(|node| node.path == path);
    let now = process.machine.now().as_second();
    let new = match (word, found) {
        // The newest of those who are there leads.
        ("alive", _) => {
            let all = ensemble(process);
            let leads = all.iter().rev().find(|host| alive.contains(host)).is_some_and(|host| host == own);
            return if all.len() < 2 {
                "standalone"
            } else if leads {
                "leader"
            } else {
                "follower"
            }
            .into();
        }
        ("ls", _) => {
            let prefix = format!("{}/", path.trim_end_matches('/'));
            let names =
                nodes.iter().filter_map(|node| node.path.strip_prefix(&prefix)).filter(|name| !name.contains('/'));
            return format!(
                "[{}]",
                ["zookeeper"].into_iter().filter(|_| path == "/").chain(names).collect::<Vec<_>>().join(", ")
            );
        }
        ("get", Some(node)) => return format!("{}\n{}", node.value, node.facts()),
        ("create", None) => {
            Node { version: 1, created: now, modified: now, path: path.to_owned(), value: value.to_owned() }
        }
        ("create", Some(_)) => return format!("Node already exists: {path}"),
        ("set", Some(node)) => {
            Node { version: node.version + 1, modified: now, value: value.to_owned(), ..node.clone() }
        }
        _ => return format!("Node does not exist: {path}"),
    };
    let line = new.line();
    learn(process, &line);
    for other in alive.iter().filter(|other| *other != own) {
        ask(process, other, &format!("learn {}", line.trim_end())).await;
    }
    if word == "create" { format!("Created {path}") } else { new.facts() }
}

/// `zookeeper-ready`, `zkOk.sh`: whether the server says that it is well.
pub(super) async fn ready(process: Process) -> i32 {
    i32::from(ask(&process, "127.0.0.1", "ruok").await.as_deref() != Some("imok"))
}

/// `zkCli.sh` with a command, and `zkServer.sh status`.
pub(super) async fn cli(process: Process) -> i32 {
    let mut words: Vec<String> = process.operands().to_vec();
    let mut host = "127.0.0.1".to_owned();
    if words.first().is_some_and(|word| word == "-server") {
        host = words.get(1).map(|place| place.split(':').next().unwrap_or_default().to_owned()).unwrap_or_default();
        words.drain(..words.len().min(2));
    }
    let status = words.first().is_some_and(|word| word == "status");
    if status {
        words = vec!["alive".into()];
        process.eprint("ZooKeeper JMX enabled by default\nUsing config: /opt/zookeeper/conf/zoo.cfg\n").await;
    } else {
        process
            .print(format!(
                "Connecting to {host}:{PORT}\n\nWATCHER::\n\nWatchedEvent state:SyncConnected type:None path:null\n"
            ))
            .await;
    }
    match ask(&process, &host, &words.join(" ")).await.as_deref() {
        Some("lost") | None if status => {
            process.print("Error contacting service. It is probably not running.\n").await;
            1
        }
        Some("lost") | None => {
            process.eprint("Exception in thread \"main\" org.apache.zookeeper.KeeperException$ConnectionLossException: KeeperErrorCode = ConnectionLoss\n").await;
            1
        }
        Some(mode) if status => {
            process.print(format!("Mode: {mode}\n")).await;
            0
        }
        Some(answer) => {
            process.print(format!("{answer}\n")).await;
            0
        }
    }
}
