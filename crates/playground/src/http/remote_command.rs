//! Exec and attach over SPDY: a stream for each of a command's channels (upstream
//! cri/streaming/remotecommand).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{SinkExt, StreamExt};
use machinery::wire::{Channels, Frame};
use tokio::time::timeout;

use super::spdy::{Stream, Streams, Writer};

/// Values of the `streamtype` header; each one's place is its channel's number.
const STREAM_TYPES: [&str; 5] = ["stdin", "stdout", "stderr", "error", "resize"];
const ERROR: u8 = 3;
/// How long a client may take to open its streams (upstream's default).
const CREATION_TIMEOUT: Duration = Duration::from_secs(30);

/// The protocols, best first. Before the fourth, the error stream has text in place of a Status.
pub const PROTOCOLS: [&str; 3] = ["v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io"];

/// The channels that a client opens streams for, by the parameters of its request.
pub fn expected(query: &str) -> BTreeSet<u8> {
    let flag = |name: &str| query.split('&').any(|part| part == format!("{name}=true") || part == format!("{name}=1"));
    let tty = flag("tty");
    let wanted = [flag("stdin"), flag("stdout"), flag("stderr") && !tty, true, tty];
    (0..).zip(wanted).filter_map(|(channel, wanted)| wanted.then_some(channel)).collect()
}

/// Carries frames between streams and channels until the command has ended.
pub async fn carry(mut streams: Streams, channels: Channels, mut expected: BTreeSet<u8>, protocol: &str) {
    let Channels { mut sender, mut receiver } = channels;
    if protocol == "v2.channel.k8s.io" {
        expected.remove(&4);
    }
    let mut writers = BTreeMap::new();
    let mut inputs = Vec::new();
    let opening = async {
        while !expected.is_empty() {
            let Some(stream) = streams.recv().await else { return false };
            if let Some((channel, writer, input)) = accept(stream).await {
                expected.remove(&channel);
                writers.insert(channel, writer);
                inputs.extend(input);
            }
        }
        true
    };
    if timeout(CREATION_TIMEOUT, opening).await != Ok(true) {
        return;
    }
    let outward = async {
        while let Some(Frame { channel, data }) = receiver.next().await {
            let Some(writer) = writers.get_mut(&channel) else { continue };
            match data {
                Some(status) if channel == ERROR && protocol != PROTOCOLS[0] => writer.send(message(&status)).await,
                Some(data) => writer.send(data).await,
                None => writer.finish().await,
            }
        }
        for writer in writers.values_mut() {
            writer.finish().await;
        }
    };
    let inward = async {
        let mut frames = stream::select_all(inputs);
        while let Some(frame) = frames.next().await {
            if sender.send(frame).await.is_err() {
                break;
            }
        }
        // The command goes on without input.
        std::future::pending::<()>().await;
    };
    futures::future::select(std::pin::pin!(outward), std::pin::pin!(inward)).await;
}

type Accepted = (u8, Writer, Option<BoxStream<'static, Frame>>);

/// Accepts a stream, unless it is of no known type.
async fn accept(stream: Stream) -> Option<Accepted> {
    let Stream { headers, mut reader, mut writer } = stream;
    let of_type = |kind: &String| (0..).zip(STREAM_TYPES).find(|(_, known)| *known == kind.as_str());
    let Some((channel, kind)) = headers.get("streamtype").and_then(of_type) else {
        writer.reset().await;
        return None;
    };
    writer.accept().await;
    let is_input = matches!(kind, "stdin" | "resize");
    let input = is_input.then(|| {
        let parts = stream::poll_fn(move |context| reader.poll_recv(context));
        parts.map(move |data| Frame { channel, data }).boxed()
    });
    Some((channel, writer, input))
}

/// A Status as the text of older protocols; nothing for success.
fn message(status: &Bytes) -> Bytes {
    let status: serde_json::Value = serde_json::from_slice(status).unwrap_or_default();
    match (status["status"].as_str(), status["message"].as_str()) {
        (Some("Failure"), Some(message)) => message.to_owned().into(),
        _ => Bytes::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_has_no_stderr_of_its_own() {
        for (query, channels) in [
            ("command=ls&stdout=true&stderr=true", vec![1, 2, 3]),
            ("command=sh&stdin=true&stdout=true&stderr=true&tty=true", vec![0, 1, 3, 4]),
            ("container=a&stdin=1&stdout=1", vec![0, 1, 3]),
            ("", vec![3]),
        ] {
            assert_eq!(expected(query), channels.into_iter().collect(), "{query}");
        }
    }

    #[test]
    fn old_protocols_say_how_a_command_failed_in_words() {
        assert_eq!(message(&r#"{"status":"Success"}"#.into()), "");
        assert_eq!(message(&r#"{"status":"Failure","message":"exit code 3"}"#.into()), "exit code 3");
    }
}
