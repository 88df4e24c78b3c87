//! What containers say and hear: `docker exec`, `logs`, and the terminal of `docker run`.

use std::rc::Rc;

use futures::channel::mpsc;
use futures::{SinkExt, StreamExt};
use kubelet::ContainerRuntime;
use kubelet::runtime::{AttachRequest, ContainerStatus, ExecRequest, LogRequest, LogStream};
use machinery::wire::{Channels, Frame};
use sim::io::PIPE_BYTES_MAX;
use sim::process::Process;

use super::super::flags::{Flags, Known};
use super::super::nodes;
use super::{Code, Container, Own, Run};

impl Run {
    /// Shows what a container writes until it ends; its exit code.
    pub(super) async fn follow(&self, own: &Own, stdin: bool, tty: bool) -> i32 {
        let (ours, theirs) = Channels::pair();
        let request = AttachRequest { container_id: own.container_id.clone(), stdin, stdout: true, stderr: !tty, tty };
        let mut runtime = self.docker.0.runtime.clone();
        if !stdin {
            self.copy_log(&own.container_id, true, None).await;
        } else {
            runtime.attach(request, theirs);
            self.converse(ours, stdin, tty).await;
        }
        let ended = |status: &ContainerStatus| status.id == own.container_id;
        runtime.containers().into_iter().find(ended).map_or(0, |status| status.exit_code)
    }

    /// Carries a terminal's two ways over channels, until the other side ends; the exit code it tells.
    pub(super) async fn converse(&self, channels: Channels, stdin: bool, tty: bool) -> i32 {
        converse(&self.process, channels, stdin, tty).await
    }

    async fn copy_log(&self, id: &str, follow: bool, tail: Option<u64>) {
        let (sender, mut lines) = mpsc::channel(16);
        let request = LogRequest { container_id: id.to_owned(), follow, since: None, tail };
        self.docker.0.runtime.clone().logs(request, sender);
        while let Some(Ok(line)) = lines.next().await {
            let fd = match line.stream {
                LogStream::Stdout => self.process.stdout(),
                LogStream::Stderr => self.process.stderr(),
            };
            if fd.write_all(&line.content).await.is_err() {
                return;
            }
        }
    }

    pub(super) async fn exec(&self, words: &[String]) -> Code {
        const KNOWN: &[Known] = &[
            ("interactive", 'i', false),
            ("tty", 't', false),
            ("env", 'e', true),
            ("workdir", 'w', true),
            ("user", 'u', true),
            ("detach", 'd', false),
        ];
        let flags = Flags::parse(words, KNOWN, 1)?;
        let Some((name, command)) = flags.words.split_first().filter(|(_, command)| !command.is_empty()) else {
            return Err("docker: 'docker exec' requires at least 2 arguments\n\nUsage:  docker exec [OPTIONS] CONTAINER COMMAND [ARG...]".into());
        };
        let (stdin, tty) = (flags.is_on("interactive"), flags.is_on("tty"));
        match self.docker.find(name)? {
            Container::Node(cluster, node) => {
                if node.stopped || !cluster.is_running() {
                    return Err(format!("Error response from daemon: container {} is not running", node.id));
                }
                let inner = cluster.inner().clone();
                let inner =
                    inner.ok_or_else(|| format!("Error response from daemon: container {} is not running", node.id))?;
                Ok(nodes::run(&inner, &node.options.name, &self.process, command).await)
            }
            Container::Own(own) => {
                let (ours, theirs) = Channels::pair();
                let request = ExecRequest {
                    container_id: own.container_id.clone(),
                    command: command.to_vec(),
                    stdin,
                    stdout: true,
                    stderr: !tty,
                    tty,
                };
                self.docker.0.runtime.clone().exec(request, theirs);
                Ok(self.converse(ours, stdin, tty).await)
            }
        }
    }

    pub(super) async fn logs(&self, words: &[String]) -> Code {
        let flags = Flags::parse(
            words,
            &[("follow", 'f', false), ("tail", 'n', true), ("timestamps", 't', false)],
            usize::MAX,
        )?;
        match self.docker.find(flags.word(0))? {
            Container::Own(own) => {
                let tail = flags.value("tail").and_then(|tail| tail.parse().ok());
                self.copy_log(&own.container_id, flags.is_on("follow"), tail).await;
                Ok(0)
            }
            Container::Node(_, node) => {
                self.print(format!(
                    "INFO: ensuring we can execute mount/umount even with userns-remap\nINFO: setting iptables to detected \
                     mode: nft\nINFO: starting init\nsystemd running in system mode\nWelcome to Debian GNU/Linux 12 \
                     (bookworm)!\nHostname set to <{}>.\n",
                    node.options.name
                ))
                .await
            }
        }
    }
}

/// Carries a terminal's two ways over channels, until the other side ends; the exit code it tells.
async fn converse(process: &Rc<Process>, channels: Channels, stdin: bool, tty: bool) -> i32 {
    let Channels { mut sender, mut receiver } = channels;
    let terminal = process.stdin().tty().cloned().filter(|_| tty);
    if let Some(terminal) = &terminal {
        terminal.set_raw(true);
        let (columns, rows) = terminal.size();
        let size = format!("{{\"Width\":{columns},\"Height\":{rows}}}");
        let _ = sender.send(Frame { channel: 4, data: Some(size.into()) }).await;
    }
    let input = async {
        let mut open = stdin;
        while open {
            let data = process.stdin().read(PIPE_BYTES_MAX).await.unwrap_or_default();
            let ended = data.is_empty();
            let data = (!ended).then_some(data);
            open = sender.send(Frame { channel: 0, data }).await.is_ok() && !ended;
        }
        std::future::pending::<i32>().await
    };
    let output = async {
        while let Some(Frame { channel, data }) = receiver.next().await {
            let Some(data) = data else { continue };
            match channel {
                1 => _ = process.stdout().write_all(&data).await,
                2 => _ = process.stderr().write_all(&data).await,
                3 => return exit_code(process, &data).await,
                _ => {}
            }
        }
        0
    };
    let (input, output) = (std::pin::pin!(input), std::pin::pin!(output));
    let code = futures::future::select(input, output).await.factor_first().0;
    if let Some(terminal) = terminal {
        terminal.set_raw(false);
    }
    code
}

/// What the Status at the end of an exec says.
async fn exit_code(process: &Process, status: &[u8]) -> i32 {
    let status: serde_json::Value = serde_json::from_slice(status).unwrap_or_default();
    if status["status"] == "Success" {
        return 0;
    }
    let code = status["details"]["causes"][0]["message"].as_str().and_then(|code| code.parse().ok());
    if code.is_none() {
        let message = status["message"].as_str().unwrap_or_default();
        let reason = message.split_once("OCI runtime").map_or(message, |(_, reason)| reason);
        process.eprint(format!("OCI runtime{reason}\n")).await;
    }
    code.unwrap_or(126)
}
