//! The agent's container, and what is said with the program in it.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::pin::Pin;
use std::sync::Arc;

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use bollard::models::{ContainerCreateBody, HostConfig, HostConfigLogConfig};
use futures::{Stream, StreamExt};
use playground_agent::{API_PORT, DATA_BYTES_MAX, DIALLED, DNS_PORT, Frame, HEAD_BYTES, Kind, WINDOW_BYTES};
use proxy::Tables;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};

use super::super::images;
use super::super::own;
use super::PodNetwork;
use super::dns::{self, Transport};

/// Datagrams answered at a time; further ones are not answered, as a name server under load does it.
const QUERIES_AT_ONCE: usize = 256;

type Output = Pin<Box<dyn Stream<Item = Result<LogOutput, Error>> + Send>>;

/// Makes sure that the agent's container runs; its id.
pub async fn ensure(network: &PodNetwork) -> Result<String, Error> {
    let name = network.agent_name();
    let body = ContainerCreateBody {
        image: Some(images::AGENT.into()),
        cmd: Some(vec!["pause".into(), name.clone()]),
        hostname: Some(name.clone()),
        labels: Some(own::labels(&network.config, own::AGENT)),
        networking_config: Some(network.at(network.agent_address())),
        host_config: Some(HostConfig {
            network_mode: Some(network.name()),
            // It enters the namespaces of pods, which it finds by their processes. Not `privileged`: nothing
            // of this machine is its business.
            cap_add: Some(["NET_ADMIN", "SYS_ADMIN", "SYS_PTRACE"].map(String::from).into()),
            security_opt: Some(["apparmor=unconfined", "label=disable"].map(String::from).into()),
            pid_mode: Some("host".into()),
            // As it is: rootless engines may not mount one of this machine's processes anew. `/proc` not read-only:
            // engines themselves write to it as the container starts, and then make `/proc/sys` and its like read-only.
            binds: Some(vec!["/proc:/proc".into(), "/sys/fs/cgroup:/sys/fs/cgroup:ro".into()]),
            log_config: Some(HostConfigLogConfig { typ: Some("none".into()), config: None }),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    };
    own::ensure_running(&network.docker, &name, body).await.map(|running| running.id)
}

/// Waits until a container has ended.
pub async fn ended(docker: &Docker, container: &str) {
    loop {
        let mut waiting = docker.wait_container(container, None).boxed();
        if !matches!(waiting.next().await, Some(Err(Error::RequestTimeoutError))) {
            return;
        }
    }
}

/// The conversation with a running agent.
pub struct Conversation {
    frames: Frames,
    /// What is to be said; written in order.
    pub say: mpsc::UnboundedSender<Frame>,
    streams: HashMap<u32, Carried>,
    dialling: HashMap<u32, Reply>,
    dialled: u32,
    queries: Arc<Semaphore>,
    writer: tokio::task::JoinHandle<()>,
}

/// What this machine says to the agent at its address, to find out whether that is this agent: another cluster's may
/// have the same.
pub struct Greeting {
    word: [u8; 16],
    heard: Notify,
}

impl Greeting {
    /// One that nobody else has.
    pub fn new() -> Self {
        let random = || RandomState::new().build_hasher().finish().to_le_bytes();
        let mut word = [0; 16];
        word[..8].copy_from_slice(&random());
        word[8..].copy_from_slice(&random());
        Self { word, heard: Notify::new() }
    }

    /// Says it at an address, and waits until it has come here.
    ///
    /// # Errors
    /// When nobody takes it there.
    pub async fn say(&self, to: SocketAddr) -> std::io::Result<()> {
        let mut stream = TcpStream::connect(to).await?;
        dns::write(&mut stream, &self.word).await?;
        self.heard.notified().await;
        Ok(())
    }
}

/// A connection that is to be opened in the network.
pub struct Dial {
    /// Where to.
    pub to: SocketAddrV4,
    /// Who waits for it.
    pub reply: Reply,
}

/// Told of the connection, or why there is none.
pub type Reply = oneshot::Sender<Result<tokio::io::DuplexStream, String>>;

/// This end of a connection of the agent's.
struct Carried {
    to_socket: mpsc::UnboundedSender<Option<Vec<u8>>>,
    room: Arc<Semaphore>,
}

impl Drop for Conversation {
    fn drop(&mut self) {
        self.writer.abort();
    }
}

impl Conversation {
    /// Starts the agent's program and waits until it is ready.
    pub async fn start(docker: &Docker, container: &str) -> Result<Self, String> {
        let options = CreateExecOptions {
            cmd: Some(vec!["/playground-agent".to_string(), "serve".to_string()]),
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..CreateExecOptions::default()
        };
        let words = |error: Error| super::super::connection::explain(&error);
        let id = docker.create_exec(container, options).await.map_err(words)?.id;
        let started = docker.start_exec(&id, None::<StartExecOptions>).await.map_err(words)?;
        let StartExecResults::Attached { output, mut input } = started else {
            return Err("Docker did not attach the agent".into());
        };
        let (say, mut said) = mpsc::unbounded_channel::<Frame>();
        let writer = tokio::spawn(async move {
            while let Some(frame) = said.recv().await {
                if input.write_all(&frame.encode()).await.is_err() || input.flush().await.is_err() {
                    return;
                }
            }
        });
        let queries = Arc::new(Semaphore::new(QUERIES_AT_ONCE));
        let frames = Frames { output, buffer: Vec::new(), complaint: String::new() };
        let mut conversation =
            Self { frames, say, streams: HashMap::new(), dialling: HashMap::new(), dialled: 0, queries, writer };
        match conversation.frames.next().await {
            Some(Frame { kind: Kind::Ready, .. }) => Ok(conversation),
            _ => Err(conversation.complaint()),
        }
    }

    /// The next outcome of a program: its id, and what went wrong. Everything else is answered on the
    /// way. None when the agent has ended.
    pub async fn next_outcome(
        &mut self,
        tables: impl Fn() -> Arc<Tables>,
        api: SocketAddr,
        greeting: &Arc<Greeting>,
    ) -> Option<(u32, String)> {
        loop {
            let frame = self.frames.next().await?;
            match frame.kind {
                Kind::Programmed => return Some((frame.id, String::from_utf8_lossy(&frame.payload).into_owned())),
                Kind::Query => self.answer(frame, tables()),
                Kind::Open => self.open(&frame, tables(), api, greeting.clone()),
                Kind::Data | Kind::Shut => {
                    if let Some(carried) = self.streams.get(&frame.id) {
                        let part = (frame.kind == Kind::Data).then_some(frame.payload);
                        // Its task ended: the agent is told by that.
                        let _ = carried.to_socket.send(part);
                    }
                }
                Kind::Room => {
                    if let Some(carried) = self.streams.get(&frame.id) {
                        carried.room.add_permits(frame.bytes().min(WINDOW_BYTES));
                    }
                }
                Kind::Dialled => self.dialled(&frame),
                Kind::Ready | Kind::Program | Kind::Answer | Kind::Dial => {}
            }
        }
    }

    /// Why the agent ended, as far as it said so.
    pub fn complaint(&self) -> String {
        match self.frames.complaint.trim() {
            "" => "the agent has ended".into(),
            said => format!("the agent has ended: {said}"),
        }
    }

    fn answer(&self, query: Frame, tables: Arc<Tables>) {
        let Ok(place) = self.queries.clone().try_acquire_owned() else { return };
        let say = self.say.clone();
        tokio::spawn(async move {
            if let Some(answer) = dns::answer(&tables, &query.payload, Transport::Udp).await {
                let _ = say.send(Frame::new(Kind::Answer, query.id, answer));
            }
            drop(place);
        });
    }

    /// Has a connection opened.
    pub fn dial(&mut self, dial: Dial) {
        self.dialling.retain(|_, reply| !reply.is_closed());
        self.dialled = self.dialled.wrapping_add(1);
        let id = self.dialled | DIALLED;
        self.dialling.insert(id, dial.reply);
        // The agent's end is noticed elsewhere.
        let _ = self.say.send(Frame::new(Kind::Dial, id, playground_agent::place(dial.to)));
    }

    /// A connection was opened, or not. One that nobody waits for any more is closed at once.
    fn dialled(&mut self, frame: &Frame) {
        let reply = self.dialling.remove(&frame.id);
        if !frame.payload.is_empty() {
            let why = String::from_utf8_lossy(&frame.payload).into_owned();
            reply.map(|reply| reply.send(Err(why)));
            return;
        }
        let link = self.link(frame.id);
        let (near, far) = tokio::io::duplex(DATA_BYTES_MAX);
        tokio::spawn(link.carry(far));
        if let Some(reply) = reply {
            let _ = reply.send(Ok(near));
        }
    }

    fn link(&mut self, id: u32) -> Link {
        self.streams.retain(|_, carried| !carried.to_socket.is_closed());
        let (to_socket, parts) = mpsc::unbounded_channel();
        let room = Arc::new(Semaphore::new(WINDOW_BYTES));
        self.streams.insert(id, Carried { to_socket, room: room.clone() });
        Link { id, say: self.say.clone(), parts, room }
    }

    fn open(&mut self, frame: &Frame, tables: Arc<Tables>, api: SocketAddr, greeting: Arc<Greeting>) {
        let link = self.link(frame.id);
        let port = frame.payload.as_slice().try_into().map_or(0, u16::from_le_bytes);
        tokio::spawn(async move {
            match port {
                API_PORT => match TcpStream::connect(api).await {
                    Ok(socket) => {
                        let _ = socket.set_nodelay(true);
                        link.carry(socket).await;
                    }
                    Err(error) => {
                        tracing::warn!("a pod cannot reach the API server at {api}: {error}");
                        link.carry(tokio::io::empty()).await;
                    }
                },
                DNS_PORT => {
                    let (near, far) = tokio::io::duplex(DATA_BYTES_MAX);
                    futures::join!(link.carry(near), questions(far, tables, &greeting));
                }
                _ => link.carry(tokio::io::empty()).await,
            }
        });
    }
}

/// Answers a connection's questions, one after the other.
async fn questions(mut stream: tokio::io::DuplexStream, tables: Arc<Tables>, greeting: &Greeting) {
    while let Ok(message) = dns::read(&mut stream).await {
        if message == greeting.word {
            greeting.heard.notify_one();
            return;
        }
        let Some(answer) = dns::answer(&tables, &message, Transport::Tcp).await else { return };
        if dns::write(&mut stream, &answer).await.is_err() {
            return;
        }
    }
}

/// One connection between the agent's socket and one of ours.
struct Link {
    id: u32,
    say: mpsc::UnboundedSender<Frame>,
    parts: mpsc::UnboundedReceiver<Option<Vec<u8>>>,
    room: Arc<Semaphore>,
}

impl Link {
    /// Carries bytes both ways until both have ended.
    async fn carry(self, socket: impl AsyncRead + AsyncWrite) {
        let Self { id, say, mut parts, room } = self;
        let (mut from, mut to) = tokio::io::split(socket);
        let inward = async {
            let mut fails = false;
            while let Some(Some(part)) = parts.recv().await {
                // What nobody takes is thrown away: the agent learns of the end by the other direction.
                fails = fails || to.write_all(&part).await.is_err();
                let _ = say.send(Frame::room(id, part.len()));
            }
            let _ = to.shutdown().await;
        };
        let outward = async {
            let mut buffer = vec![0; DATA_BYTES_MAX];
            // The semaphore is never closed.
            while let Ok(first) = room.acquire().await {
                first.forget();
                let more = room.available_permits().min(DATA_BYTES_MAX - 1);
                let more = u32::try_from(more).ok().and_then(|count| room.try_acquire_many(count).ok());
                let most = 1 + more.map_or(0, |permits| {
                    let count = permits.num_permits();
                    permits.forget();
                    count
                });
                let length = from.read(buffer.get_mut(..most).unwrap_or_default()).await.unwrap_or(0);
                room.add_permits(most - length);
                let Some(data) = buffer.get(..length).filter(|data| !data.is_empty()) else { break };
                if say.send(Frame::new(Kind::Data, id, data)).is_err() {
                    return;
                }
            }
            let _ = say.send(Frame::new(Kind::Shut, id, []));
        };
        futures::join!(inward, outward);
    }
}

/// Frames out of what Docker passes on, which it cuts as it likes.
struct Frames {
    output: Output,
    buffer: Vec<u8>,
    complaint: String,
}

impl Frames {
    /// The next frame; none when the agent has ended, or says what it should not.
    async fn next(&mut self) -> Option<Frame> {
        const COMPLAINT_BYTES_MAX: usize = 4096;
        loop {
            if let Some(head) = self.buffer.first_chunk::<HEAD_BYTES>() {
                let (kind, id, length) = Frame::parse_head(*head).ok()?;
                if self.buffer.len() >= HEAD_BYTES + length {
                    let rest = self.buffer.split_off(HEAD_BYTES + length);
                    let mut payload = std::mem::replace(&mut self.buffer, rest);
                    payload.drain(..HEAD_BYTES);
                    return Some(Frame { kind, id, payload });
                }
            }
            match self.output.next().await?.ok()? {
                LogOutput::StdErr { message } if self.complaint.len() < COMPLAINT_BYTES_MAX => {
                    self.complaint.push_str(&String::from_utf8_lossy(&message));
                }
                LogOutput::StdErr { .. } => {}
                other => self.buffer.extend_from_slice(&other.into_bytes()),
            }
        }
    }
}

impl PodNetwork {
    /// The name of the agent's container.
    pub fn agent_name(&self) -> String {
        format!("{}-agent{}", self.config.cluster, self.config.suffix)
    }

    /// The agent's address.
    pub fn agent_address(&self) -> Ipv4Addr {
        const LAST: u8 = 254;
        self.address(super::NODES, LAST)
    }
}
