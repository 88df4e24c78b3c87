//! `kubectl exec` and `kubectl attach`.

use bytes::Bytes;
use futures::channel::mpsc::Sender;
use futures::{SinkExt, StreamExt};
use http::Method;
use machinery::wire::{Body, Channels, Frame};
use serde_json::{Value, json};

use super::logs::{all_containers, attachable_within, container_names, pods};
use crate::api::Url;
use crate::error::Error;
use crate::files;
use crate::resources::{self, items, text};
use crate::select::{self, Choice};
use crate::session::Session;

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const RESIZE: u8 = 4;

/// `kubectl exec`
pub(super) async fn exec(session: &Session<'_>) -> Result<(), Error> {
    let args = &session.args;
    let dash = args.dash.unwrap_or(args.args.len());
    let from_file = files::given(session);
    let (words, command): (&[String], &[String]) = match (args.dash, from_file) {
        (Some(dash), _) => args.args.split_at(dash),
        (None, true) => (&[], &args.args),
        (None, false) => args.args.split_at(1.min(dash)),
    };
    if words.is_empty() && !from_file {
        return Err(Error::message("pod, type/name or --filename must be specified"));
    }
    if command.is_empty() {
        return Err(Error::message("you must specify at least one command for the container"));
    }
    if args.dash.is_none() && command.iter().any(|word| !word.is_empty()) {
        return Err(Error::message(
            "exec [POD] [COMMAND] is not supported anymore. Use exec [POD] -- [COMMAND] instead\nSee 'kubectl exec -h' \
             for help and examples",
        ));
    }
    let pod = the_pod(session, words.get(..1).unwrap_or_default()).await?;
    if matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed")) {
        return Err(Error::message(format!(
            "cannot exec into a container in a completed pod; current phase is {}",
            text(&pod["status"]["phase"])
        )));
    }
    // Whether there is a container of this name, the server says.
    let container = match args.string("container") {
        "" => choose_container(session, &pod, "", args.bool("quiet"))?,
        name => name.to_owned(),
    };
    let (stdin, tty) = (args.bool("stdin"), args.bool("tty"));
    let tty = tty_of(session, stdin && tty);
    let url = subresource(&pod, "exec");
    let url = command.iter().fold(url, |url, word| url.with("command", word));
    let url = streams(url.with("container", container), stdin, tty);
    connect(session, url, stdin, tty).await
}

/// `kubectl attach`
pub(super) async fn attach(session: &Session<'_>) -> Result<(), Error> {
    let args = &session.args;
    if args.args.is_empty() && !files::given(session) {
        return Err(Error::message("at least 1 argument is required for attach"));
    }
    if args.args.len() > 2 {
        return Err(Error::message("expected POD, TYPE/NAME, or TYPE NAME, (at most 2 arguments)"));
    }
    let pod = the_pod(session, &args.args).await?;
    if let phase @ ("Succeeded" | "Failed") = pod["status"]["phase"].as_str().unwrap_or_default() {
        return Err(Error::message(format!("cannot attach a container in a completed pod; current phase is {phase}")));
    }
    let container = choose_container(session, &pod, args.string("container"), args.bool("quiet"));
    let container =
        container.map_err(|error| Error::message(format!("cannot attach to the container: {}", error.plain())))?;
    let (stdin, tty) = (args.bool("stdin"), args.bool("tty"));
    if !args.bool("quiet") {
        session.errln("If you don't see a command prompt, try pressing enter.");
    }
    attach_pod(session, &pod, &container, (stdin, tty)).await
}

/// Attaches to a container of a pod.
///
/// # Errors
/// What the server says.
pub(super) async fn attach_pod(
    session: &Session<'_>,
    pod: &Value,
    container: &str,
    (stdin, tty): (bool, bool),
) -> Result<(), Error> {
    let tty = tty_of(session, stdin && tty);
    let url = streams(subresource(pod, "attach").with("container", container), stdin, tty);
    connect(session, url, stdin, tty).await
}

/// Whether there is a terminal to connect.
fn tty_of(session: &Session<'_>, wanted: bool) -> bool {
    let there = session.host.terminal().is_some();
    if wanted && !there {
        session.errln("Unable to use a TTY - input is not a terminal or the right kind of file");
    }
    wanted && there
}

fn subresource(pod: &Value, name: &str) -> Url {
    let (namespace, pod) = (text(&pod["metadata"]["namespace"]), text(&pod["metadata"]["name"]));
    Url::new(format!("{}/{name}", pods().path(&namespace, &pod)))
}

fn streams(url: Url, stdin: bool, tty: bool) -> Url {
    let url = if stdin { url.with("stdin", "true") } else { url };
    let url = url.with("stdout", "true");
    if tty { url.with("tty", "true") } else { url.with("stderr", "true") }
}

/// The pod that `POD` or `TYPE/NAME` means.
pub(super) async fn the_pod(session: &Session<'_>, words: &[String]) -> Result<Value, Error> {
    let namespace = session.namespace().await?.0;
    if let [name] = words
        && !name.contains('/')
    {
        return resources::get(session.client().await?, &pods(), &namespace, name).await;
    }
    let choice = Choice { args: words, latest: true, ..Choice::default() };
    if files::given(session) && select::plan(session, &choice).await?.len() > 1 {
        return Err(Error::message("cannot exec into multiple objects at a time"));
    }
    let (infos, errors) = select::infos(session, &choice).await?;
    Error::all(errors)?;
    let info = infos.into_iter().next().ok_or_else(select::missing)?;
    if info.resource.kind == "Pod" {
        return Ok(info.object);
    }
    let first = attachable_within(session, &info).await?.into_iter().next();
    first.ok_or_else(|| Error::message("timed out waiting for the condition"))
}

/// The container to work in; says so where it is not clear from the command line.
pub(super) fn choose_container(session: &Session<'_>, pod: &Value, wanted: &str, quiet: bool) -> Result<String, Error> {
    let known = all_containers(pod);
    let name = text(&pod["metadata"]["name"]);
    if !wanted.is_empty() {
        if known.iter().any(|(_, name)| name == wanted) {
            return Ok(wanted.to_owned());
        }
        return Err(Error::message(format!("container {wanted} not found in pod {name}")));
    }
    if let Some(default) = pod["metadata"]["annotations"]["kubectl.kubernetes.io/default-container"].as_str()
        && known.iter().any(|(_, name)| name == default)
    {
        return Ok(default.to_owned());
    }
    let first = items(&pod["spec"]["containers"]).map(|container| text(&container["name"])).next();
    let first = first.unwrap_or_default();
    if known.len() > 1 && !quiet {
        session.errln(format!("Defaulted container {first:?} out of: {}", container_names(pod)));
    }
    Ok(first)
}

/// Upgrades a connection to channels.
pub(super) async fn upgrade(session: &Session<'_>, url: Url, protocol: &str) -> Result<Channels, Error> {
    let headers = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Protocol", protocol),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="),
    ];
    let response = session.client().await?.pass(Method::GET, url, &headers, Bytes::new()).await?;
    let code = response.status();
    let body = match response.into_body() {
        Body::Upgrade(channels) => return Ok(channels),
        body => body.collect().await,
    };
    // Kubelets say in plain words what is wrong, the API server by a Status.
    if serde_json::from_slice(&body).is_ok_and(|answer: Value| answer["kind"] == "Status") {
        return Err(Error::Status(machinery::ApiError::from_answer(code, &body)));
    }
    let reason = String::from_utf8_lossy(&body);
    Err(Error::message(format!("unable to upgrade connection: {}", reason.trim())))
}

/// Connects the terminal to the channels of a container, until its process ends.
async fn connect(session: &Session<'_>, url: Url, stdin: bool, tty: bool) -> Result<(), Error> {
    let channels = upgrade(session, url, "v5.channel.k8s.io").await?;
    let Channels { mut sender, mut receiver } = channels;
    if tty {
        session.host.set_raw_mode(true);
        tell_size(session, &mut sender).await;
    }
    let input = async {
        // What has been read of the input is not lost when the size changes meanwhile.
        let mut read = stdin.then(|| session.host.read_stdin());
        let next_size = || match tty {
            true => session.host.resized(),
            false => Box::pin(futures::future::pending()),
        };
        let mut resized = next_size();
        loop {
            let typed = match &mut read {
                Some(read) => match futures::future::select(read, &mut resized).await {
                    futures::future::Either::Left((typed, _)) => Some(typed),
                    futures::future::Either::Right(_) => None,
                },
                // The sender stays open: dropping it would close the connection under the output.
                None => {
                    (&mut resized).await;
                    None
                }
            };
            let Some(typed) = typed else {
                resized = next_size();
                tell_size(session, &mut sender).await;
                continue;
            };
            let over = typed.is_none();
            let sent = sender.send(Frame { channel: STDIN, data: typed }).await;
            read = (!over && sent.is_ok()).then(|| session.host.read_stdin());
        }
    };
    let output = async {
        while let Some(frame) = receiver.next().await {
            let Some(data) = frame.data else { continue };
            match frame.channel {
                STDOUT => session.host.stdout(&data),
                STDERR => session.host.stderr(&data),
                ERROR => return ended(&data),
                _ => {}
            }
        }
        Ok(())
    };
    let (input, output) = (std::pin::pin!(input), std::pin::pin!(output));
    let outcome = match futures::future::select(input, output).await {
        futures::future::Either::Left(_) => Ok(()),
        futures::future::Either::Right((outcome, _)) => outcome,
    };
    if tty {
        session.host.set_raw_mode(false);
    }
    outcome
}

/// Tells the other side how large the terminal is.
async fn tell_size(session: &Session<'_>, sender: &mut Sender<Frame>) {
    if let Some((columns, rows)) = session.host.terminal() {
        let size = json!({ "Width": columns, "Height": rows }).to_string();
        let _ = sender.send(Frame { channel: RESIZE, data: Some(size.into()) }).await;
    }
}

/// Takes what a command writes to standard error.
pub(super) type Tell<'a> = dyn Fn(&[u8]) + 'a;

/// Runs a command in a container, with some input; its output and how it ended come back. `told` gets what it writes to standard
/// error, as far as anybody is told.
///
/// # Errors
/// What the server says.
pub(super) async fn run_for_output(
    session: &Session<'_>,
    pod: &Value,
    container: &str,
    command: &[&str],
    input: Option<Bytes>,
    told: Option<&Tell<'_>>,
) -> Result<(Bytes, Result<(), Error>), Error> {
    let url = command.iter().fold(subresource(pod, "exec"), |url, word| url.with("command", word));
    let url = streams(url.with("container", container), input.is_some(), false);
    let Channels { mut sender, mut receiver } = upgrade(session, url, "v5.channel.k8s.io").await?;
    if let Some(input) = input {
        let _ = sender.send(Frame { channel: STDIN, data: Some(input) }).await;
        let _ = sender.send(Frame { channel: STDIN, data: None }).await;
    }
    let mut output = Vec::new();
    while let Some(frame) = receiver.next().await {
        let Some(data) = frame.data else { continue };
        match frame.channel {
            STDOUT => output.extend_from_slice(&data),
            STDERR => told.into_iter().for_each(|tell| tell(&data)),
            ERROR => {
                return Ok((output.into(), ended(&data)));
            }
            _ => {}
        }
    }
    Err(Error::message("error reading from error stream: EOF"))
}

/// What the Status on the error channel says about the process's end.
fn ended(data: &[u8]) -> Result<(), Error> {
    let status: Value = serde_json::from_slice(data).unwrap_or_default();
    if status["status"] == "Success" {
        return Ok(());
    }
    if status["reason"] == "NonZeroExitCode" {
        let cause = items(&status["details"]["causes"]).find(|cause| cause["reason"] == "ExitCode");
        let code: i32 = cause.and_then(|cause| text(&cause["message"]).parse().ok()).unwrap_or(1);
        return Err(Error::Many(vec![
            Error::Verbatim(format!("command terminated with exit code {code}")),
            Error::Exit(code),
        ]));
    }
    Err(Error::message(text(&status["message"])))
}
