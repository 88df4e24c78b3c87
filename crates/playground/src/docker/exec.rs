//! Commands in containers, and joining their main process.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::exec::{CreateExecOptions, ResizeExecOptions, StartExecOptions, StartExecResults};
use bollard::query_parameters::{AttachContainerOptionsBuilder, ResizeContainerTTYOptionsBuilder};
use bytes::Bytes;
use futures::channel::mpsc;
use futures::{SinkExt, Stream, StreamExt};
use kubelet::runtime::{AttachRequest, ContainerState, ErrorCode, ExecRequest, ExecResult, RuntimeError, exit_status};
use machinery::wire::{Channels, Frame};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::connection::failed;
use super::containers;
use super::engine::Engine;
use super::network;

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const RESIZE: u8 = 4;
/// What is kept of a command's output.
const OUTPUT_BYTES_MAX: usize = 16 * 1024;
/// What is said of a container that has ended to those who want to join it.
const EXITED: &str = "error attaching to container: container is in CONTAINER_EXITED state";
/// How long after its container's end an attached stream may take to end by itself.
const ATTACHED_GRACE: Duration = Duration::from_secs(1);

type Output = Pin<Box<dyn Stream<Item = Result<LogOutput, Error>> + Send>>;
type Input = Pin<Box<dyn AsyncWrite + Send>>;

/// Runs a command to its end.
pub async fn exec_sync(
    engine: &Engine,
    container_id: &str,
    command: Vec<String>,
    timeout: Duration,
) -> Result<ExecResult, RuntimeError> {
    let run = async {
        let options = CreateExecOptions {
            cmd: Some(command.clone()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..CreateExecOptions::default()
        };
        let id = engine.docker.create_exec(container_id, options).await.map_err(failed)?.id;
        let mut out = Vec::new();
        if let StartExecResults::Attached { mut output, .. } =
            engine.docker.start_exec(&id, None::<StartExecOptions>).await.map_err(failed)?
        {
            while let Some(part) = output.next().await {
                let part = part.map_err(failed)?.into_bytes();
                let room = OUTPUT_BYTES_MAX.saturating_sub(out.len());
                out.extend_from_slice(&part[..part.len().min(room)]);
            }
        }
        Ok(ExecResult { exit_code: exit_code(engine, &id).await?, output: out.into() })
    };
    match tokio::time::timeout(timeout, run).await {
        Ok(result) => result,
        Err(_) => {
            let message = format!("command {:?} timed out", command.join(" "));
            Err(RuntimeError::new(ErrorCode::DeadlineExceeded, message))
        }
    }
}

async fn exit_code(engine: &Engine, exec_id: &str) -> Result<i32, RuntimeError> {
    let end = engine.docker.inspect_exec(exec_id).await.map_err(failed)?;
    Ok(end.exit_code.and_then(|code| i32::try_from(code).ok()).unwrap_or_default())
}

/// Runs a command over channels.
pub async fn exec(engine: Arc<Engine>, request: ExecRequest, channels: Channels) {
    let Channels { mut sender, receiver } = channels;
    let options = CreateExecOptions {
        cmd: Some(request.command),
        attach_stdin: Some(request.stdin),
        attach_stdout: Some(request.stdout),
        attach_stderr: Some(request.stderr && !request.tty),
        tty: Some(request.tty),
        ..CreateExecOptions::default()
    };
    let started = async {
        let id = engine.docker.create_exec(&request.container_id, options).await?.id;
        let start = StartExecOptions { tty: request.tty, ..StartExecOptions::default() };
        Ok((engine.docker.start_exec(&id, Some(start)).await?, id))
    };
    let (output, input, id) = match started.await {
        Ok((StartExecResults::Attached { output, input }, id)) => (output, input, id),
        Ok((StartExecResults::Detached, _)) => return finish(&mut sender, exit_status(0)).await,
        Err(error) => return finish(&mut sender, failure(&failed(error))).await,
    };
    let resized = engine.clone();
    let resize_id = id.clone();
    let input = feed(receiver, request.stdin.then_some(input), move |width, height| {
        let (engine, id) = (resized.clone(), resize_id.clone());
        async move {
            // A terminal that is gone needs no size.
            let _ = engine.docker.resize_exec(&id, ResizeExecOptions { height, width }).await;
        }
    });
    let status = async {
        if !drain(output, &mut sender).await {
            return;
        }
        let status = match exit_code(&engine, &id).await {
            Ok(code) => exit_status(code),
            Err(error) => failure(&error),
        };
        finish(&mut sender, status).await;
    };
    run(status, input).await;
}

/// Joins a container's main process over channels.
pub async fn attach(engine: Arc<Engine>, request: AttachRequest, channels: Channels) {
    let Channels { mut sender, receiver } = channels;
    let options = AttachContainerOptionsBuilder::new()
        .stream(true)
        .stdin(request.stdin)
        .stdout(request.stdout)
        .stderr(request.stderr && !request.tty)
        .build();
    let attached = match engine.docker.attach_container(&request.container_id, Some(options)).await {
        Ok(attached) => attached,
        Err(error) => return finish(&mut sender, failure(&failed(error))).await,
    };
    // Docker would let the stream wait for the next start of a container that does not run.
    match containers::status(&engine, &request.container_id).await {
        Ok(status) if status.state == ContainerState::Running => {}
        Ok(_) => {
            return finish(&mut sender, internal(EXITED)).await;
        }
        Err(error) => return finish(&mut sender, failure(&error)).await,
    }
    let resized = engine.clone();
    let id = request.container_id.clone();
    let input = feed(receiver, request.stdin.then_some(attached.input), move |width, height| {
        let (engine, id) = (resized.clone(), id.clone());
        async move {
            let size = ResizeContainerTTYOptionsBuilder::new().w(width.into()).h(height.into()).build();
            let _ = engine.docker.resize_container_tty(&id, size).await;
        }
    });
    let said = Arc::new(AtomicBool::new(false));
    let saying = said.clone();
    let output = attached.output.inspect(move |_| saying.store(true, Ordering::Relaxed)).boxed();
    let began = Instant::now();
    let ended = async {
        network::ended(&engine.docker, &request.container_id).await;
        tokio::time::sleep(ATTACHED_GRACE).await;
    };
    let status = async {
        let heard = tokio::select! {
            heard = drain(output, &mut sender) => heard,
            () = ended => true,
        };
        if heard {
            // What ended as it was joined had said its words before: those who are refused look into the log.
            let missed = !said.load(Ordering::Relaxed) && began.elapsed() < ATTACHED_GRACE * 2;
            finish(&mut sender, if missed { internal(EXITED) } else { exit_status(0) }).await;
        }
    };
    run(status, input).await;
}

/// Runs until the output has ended, or the other side has gone.
async fn run(output: impl Future<Output = ()>, input: impl Future<Output = ()>) {
    tokio::pin!(output, input);
    tokio::select! {
        () = &mut output => {}
        () = &mut input => {}
    }
}

/// Carries output to its channels. False if nobody listens.
async fn drain(mut output: Output, sender: &mut mpsc::Sender<Frame>) -> bool {
    while let Some(part) = output.next().await {
        let (channel, data) = match part {
            Ok(LogOutput::StdErr { message }) => (STDERR, message),
            Ok(LogOutput::StdOut { message } | LogOutput::Console { message }) => (STDOUT, message),
            Ok(LogOutput::StdIn { .. }) => continue,
            Err(_) => return true,
        };
        if sender.send(Frame { channel, data: Some(data) }).await.is_err() {
            return false;
        }
    }
    true
}

/// Carries standard input and sizes into the process; ends when the other side closes the connection.
async fn feed<F: Future<Output = ()>>(
    mut frames: mpsc::Receiver<Frame>,
    mut input: Option<Input>,
    resize: impl Fn(u16, u16) -> F,
) {
    while let Some(frame) = frames.next().await {
        match (frame.channel, frame.data) {
            (STDIN, Some(data)) => {
                if let Some(writer) = &mut input
                    && (writer.write_all(&data).await.is_err() || writer.flush().await.is_err())
                {
                    input = None;
                }
            }
            (STDIN, None) => {
                if let Some(mut writer) = input.take() {
                    let _ = writer.shutdown().await;
                }
            }
            (RESIZE, Some(data)) => {
                let size: serde_json::Value = serde_json::from_slice(&data).unwrap_or_default();
                let side = |name: &str| size[name].as_u64().and_then(|side| u16::try_from(side).ok());
                if let (Some(width), Some(height)) = (side("Width"), side("Height")) {
                    resize(width, height).await;
                }
            }
            _ => {}
        }
    }
}

async fn finish(sender: &mut mpsc::Sender<Frame>, status: Bytes) {
    let _ = sender.send(Frame { channel: ERROR, data: Some(status) }).await;
}

/// The Status of a command that could not be run.
fn failure(error: &RuntimeError) -> Bytes {
    internal(&format!("error executing command in container: {}", error.message))
}

/// The Status of a stream that could not be had.
fn internal(why: &str) -> Bytes {
    serde_json::json!({
        "metadata": {},
        "status": "Failure",
        "reason": "InternalError",
        "message": format!("Internal error occurred: {why}"),
        "code": 500,
    })
    .to_string()
    .into()
}
