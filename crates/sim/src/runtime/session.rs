//! Exec, attach and port-forward: Kubernetes' channel protocols into containers.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures::channel::mpsc;
use futures::future::{Either, select};
use futures::stream::FuturesUnordered;
use futures::{SinkExt, StreamExt};
use kubelet::runtime::{
    AttachRequest, ErrorCode, ExecRequest, ExecResult, LogStream, Outcome, RuntimeError, exit_status,
};
use machinery::wire::{Channels, Frame};

use super::container::Container;
use super::{Completion, Node};
use crate::io::{self, Fd, Gate, PIPE_BYTES_MAX};
use crate::process::{Child, Machine, Signal};
use crate::tty::Tty;

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const RESIZE: u8 = 4;
/// Most bytes of output that a probe's command gives back: the kubelet's limit.
const OUTPUT_BYTES_MAX: usize = 16 << 10;

/// Starts a command in a container. The error is that of containerd for kubectl's user to see.
fn start(
    container: &Container,
    machine: &Machine,
    command: Vec<String>,
    fds: BTreeMap<u32, Fd>,
    tty: bool,
) -> Result<Child, RuntimeError> {
    let mut env = container.env(machine);
    if tty {
        env.insert("TERM".into(), "xterm".into());
    }
    let executable = machine.find(&command, &env, &container.cwd()).map_err(|error| {
        let name = command.first().cloned().unwrap_or_default();
        let stat = if name.contains('/') { format!("stat {name}: {error}") } else { error.to_string() };
        let message = format!(
            "failed to exec in container: failed to start exec: OCI runtime exec failed: exec failed: unable to start \
             container process: exec: {name:?}: {stat}"
        );
        RuntimeError::new(ErrorCode::Unknown, message)
    })?;
    Ok(container.spawn(machine, executable, env, fds))
}

fn running(container: &Container) -> Result<Machine, RuntimeError> {
    container.machine().ok_or_else(|| {
        let id = container.status().id;
        let message = format!(
            "rpc error: code = FailedPrecondition desc = failed to exec in container: container {id:?} is not in running \
             state"
        );
        RuntimeError::new(ErrorCode::Unknown, message)
    })
}

/// Starts a command with descriptors of the caller's.
pub(super) fn exec_with(
    node: &Rc<Node>,
    id: &str,
    command: Vec<String>,
    fds: BTreeMap<u32, Fd>,
) -> Result<Child, RuntimeError> {
    let container = node.container(id)?;
    let machine = running(&container)?;
    let tty = fds.get(&0).is_some_and(|fd| fd.tty().is_some());
    start(&container, &machine, command, fds, tty)
}

/// Runs a command and waits for its end.
pub(super) async fn exec_sync(node: &Rc<Node>, id: &str, command: Vec<String>, timeout: Duration) -> Completion {
    let container = node.container(id)?;
    let machine = running(&container)?;
    let (stdout, out) = Fd::buffer_of(OUTPUT_BYTES_MAX);
    let (stderr, err) = Fd::buffer_of(OUTPUT_BYTES_MAX);
    let fds = BTreeMap::from([(0, Fd::null()), (1, stdout), (2, stderr)]);
    let text = command.join(" ");
    let child = start(&container, &machine, command, fds, false)?;
    let limit = if timeout.is_zero() { Duration::MAX } else { timeout };
    match select(Box::pin(child.wait()), node.executor.sleep(limit)).await {
        Either::Left((exit_code, _)) => {
            let mut output = out.borrow().clone();
            output.extend_from_slice(&err.borrow());
            output.truncate(OUTPUT_BYTES_MAX);
            Ok(Outcome::Exec(ExecResult { exit_code, output: output.into() }))
        }
        Either::Right(_) => {
            let _ = machine.kill(child.pid, Signal::Kill);
            let message = format!("command {text:?} timed out");
            Err(RuntimeError::new(ErrorCode::DeadlineExceeded, message))
        }
    }
}

/// Frames to the client, in the order they were written. What is written while the client's queue is
/// full waits here.
#[derive(Clone)]
struct Outbox(mpsc::UnboundedSender<Frame>, Gate);

impl Outbox {
    fn sink(&self, channel: u8) -> Fd {
        let outbox = self.clone();
        Fd::gated(&self.1, move |data| outbox.send(channel, Some(Bytes::copy_from_slice(data))))
    }

    fn send(&self, channel: u8, data: Option<Bytes>) {
        self.1.sent(data.as_ref().map_or(0, Bytes::len));
        let _ = self.0.unbounded_send(Frame { channel, data });
    }
}

fn outbox(mut sender: mpsc::Sender<Frame>) -> (Outbox, impl Future<Output = ()>) {
    let (outbox, mut queue) = mpsc::unbounded::<Frame>();
    let gate = Gate::default();
    let on_way = gate.clone();
    let pump = async move {
        while let Some(frame) = queue.next().await {
            let bytes = frame.data.as_ref().map_or(0, Bytes::len);
            let sent = sender.send(frame).await;
            on_way.arrived(bytes);
            if sent.is_err() {
                break;
            }
        }
        on_way.open();
    };
    (Outbox(outbox, gate), pump)
}

fn failure(error: &RuntimeError) -> Bytes {
    let status = serde_json::json!({
        "metadata": {},
        "status": "Failure",
        "message": format!("error executing command in container: {}", error.message),
        "reason": "InternalError",
        "details": {"causes": [{"message": format!("error executing command in container: {}", error.message)}]},
        "code": 500,
    });
    status.to_string().into()
}

/// Runs a command over the channels of the exec protocol.
pub(super) async fn exec(node: &Rc<Node>, request: ExecRequest, channels: Channels) {
    let Channels { sender, receiver } = channels;
    let (outbox, pump) = outbox(sender);
    let work = async {
        let status = match exec_in(node, request, &outbox, receiver).await {
            Ok(code) => exit_status(code),
            Err(error) => failure(&error),
        };
        outbox.send(ERROR, Some(status));
        drop(outbox);
    };
    futures::join!(work, pump);
}

async fn exec_in(
    node: &Rc<Node>,
    request: ExecRequest,
    outbox: &Outbox,
    mut receiver: mpsc::Receiver<Frame>,
) -> Result<i32, RuntimeError> {
    let container = node.container(&request.container_id)?;
    let machine = running(&container)?;
    let wanted = |wanted: bool, channel: u8| if wanted { outbox.sink(channel) } else { Fd::null() };
    let (fds, tty, mut stdin) = if request.tty {
        let screen = outbox.clone();
        let tty = Tty::gated(&machine, (80, 24), &outbox.1, move |data| {
            screen.send(STDOUT, Some(Bytes::copy_from_slice(data)))
        });
        ((0..3).map(|number| (number, tty.fd())).collect(), Some(tty), None)
    } else {
        let (reader, writer) = if request.stdin {
            let (reader, writer) = io::pipe(&node.executor);
            (reader, Some(writer))
        } else {
            (Fd::null(), None)
        };
        let fds =
            BTreeMap::from([(0, reader), (1, wanted(request.stdout, STDOUT)), (2, wanted(request.stderr, STDERR))]);
        (fds, None, writer)
    };
    let child = start(&container, &machine, request.command, fds, request.tty)?;
    if let Some(tty) = &tty {
        tty.set_foreground(child.pid);
    }
    let input = Box::pin(async {
        while let Some(frame) = receiver.next().await {
            feed(&frame, tty.as_ref(), &mut stdin).await;
        }
        // The client is gone.
        match &tty {
            Some(tty) => tty.hang_up(),
            None => stdin = None,
        }
        std::future::pending::<()>().await;
    });
    let code = match select(Box::pin(child.wait()), input).await {
        Either::Left((code, _)) => code,
        Either::Right(_) => 0,
    };
    Ok(code)
}

/// One frame from the client: input, its end, or the window's size.
async fn feed(frame: &Frame, tty: Option<&Tty>, stdin: &mut Option<Fd>) {
    match (frame.channel, &frame.data, tty) {
        (STDIN, Some(data), Some(tty)) => tty.feed(data),
        (STDIN, Some(data), None) => {
            if let Some(fd) = stdin
                && fd.write_all(data).await.is_err()
            {
                *stdin = None;
            }
        }
        (STDIN, None, None) => *stdin = None,
        (RESIZE, Some(data), Some(tty)) => {
            let size: serde_json::Value = serde_json::from_slice(data).unwrap_or_default();
            let side =
                |name: &str| size.get(name).and_then(serde_json::Value::as_u64).and_then(|n| u16::try_from(n).ok());
            if let (Some(columns), Some(rows)) = (side("Width"), side("Height")) {
                tty.resize(columns, rows);
            }
        }
        _ => {}
    }
}

/// Joins a container's first process.
pub(super) async fn attach(node: &Rc<Node>, request: AttachRequest, channels: Channels) {
    let Channels { sender, mut receiver } = channels;
    let (outbox, pump) = outbox(sender);
    let container = match node.container(&request.container_id) {
        Ok(container) => container,
        Err(error) => {
            outbox.send(ERROR, Some(failure(&error)));
            drop(outbox);
            return pump.await;
        }
    };
    let mut output = container.log().attach();
    let tty = container.tty();
    let stdin = RefCell::new(container.stdin().filter(|_| request.stdin));
    let input = Box::pin(async {
        while let Some(frame) = receiver.next().await {
            let mut fd = stdin.take();
            feed(&frame, tty.as_ref(), &mut fd).await;
            if fd.is_none() && container.config().stdin_once {
                container.close_stdin();
            }
            stdin.replace(fd);
        }
        if container.config().stdin_once {
            container.close_stdin();
        }
    });
    let work = async {
        let shown = Box::pin(async {
            while let Some((stream, data)) = output.next().await {
                match stream {
                    LogStream::Stdout if request.stdout => outbox.send(STDOUT, Some(data)),
                    LogStream::Stderr if request.stderr => outbox.send(STDERR, Some(data)),
                    _ => {}
                }
            }
        });
        if let Either::Left(_) = select(shown, input).await {
            // Unlike exec, attaching succeeds however the process ends.
            outbox.send(ERROR, Some(exit_status(0)));
        }
        drop(outbox);
    };
    futures::join!(work, pump);
}

/// Connects pairs of channels (data, error) to ports inside the sandbox's network.
pub(super) async fn port_forward(node: &Rc<Node>, sandbox_id: &str, ports: Vec<u16>, channels: Channels) {
    let Channels { sender, mut receiver } = channels;
    let (outbox, pump) = outbox(sender);
    let interface = node.sandboxes.borrow().get(sandbox_id).map(|sandbox| sandbox.interface.clone());
    let mut inputs: BTreeMap<u8, mpsc::UnboundedSender<Option<Bytes>>> = BTreeMap::new();
    let mut connections = FuturesUnordered::new();
    for (index, port) in ports.into_iter().enumerate() {
        let Ok(channel) = u8::try_from(index * 2) else { break };
        let (input, mut queue) = mpsc::unbounded::<Option<Bytes>>();
        inputs.insert(channel, input);
        let (outbox, interface) = (outbox.clone(), interface.clone());
        connections.push(async move {
            let connected = match &interface {
                Some(interface) => interface.connect("localhost", port).await.map_err(|error| error.to_string()),
                None => Err("network namespace is closed".to_owned()),
            };
            let stream = match connected {
                Ok(stream) => stream,
                Err(error) => {
                    let text = format!(
                        "error forwarding port {port} to pod: failed to execute portforward in network namespace: failed to \
                         connect to localhost:{port} inside namespace: dial tcp4 127.0.0.1:{port}: connect: {}",
                        error.to_lowercase()
                    );
                    outbox.send(channel + 1, Some(text.into()));
                    outbox.send(channel + 1, None);
                    outbox.send(channel, None);
                    return;
                }
            };
            let up = Box::pin(async {
                while let Some(data) = queue.next().await {
                    match data {
                        Some(data) if stream.write_all(&data).await.is_err() => break,
                        Some(_) => {}
                        None => stream.shutdown(),
                    }
                }
                std::future::pending::<()>().await;
            });
            let down = Box::pin(async {
                loop {
                    let data = stream.read(PIPE_BYTES_MAX).await.unwrap_or_default();
                    if data.is_empty() {
                        return;
                    }
                    outbox.send(channel, Some(data));
                }
            });
            select(up, down).await;
            outbox.send(channel, None);
            outbox.send(channel + 1, None);
        });
    }
    drop(outbox);
    let input = Box::pin(async move {
        while let Some(frame) = receiver.next().await {
            if let Some(input) = inputs.get(&frame.channel) {
                let _ = input.unbounded_send(frame.data);
            }
        }
    });
    let served = Box::pin(async { while connections.next().await.is_some() {} });
    let both = Box::pin(async {
        select(served, input).await;
    });
    // The outbox closes when the last connection has; what is queued is still sent, as fast as the client
    // takes it. A client that is gone ends that too.
    if let Either::Left(((), pump)) = select(both, Box::pin(pump)).await {
        pump.await;
    }
}
