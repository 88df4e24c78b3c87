//! Container logs.

use std::sync::Arc;

use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptionsBuilder;
use bytes::Bytes;
use futures::channel::mpsc;
use futures::{SinkExt, StreamExt};
use kubelet::runtime::{LogLine, LogRequest, LogStream, RuntimeError};
use machinery::Timestamp;

use super::connection::failed;
use super::engine::Engine;

/// Sends the wanted lines until the log, or the interest in it, ends.
pub async fn follow(engine: Arc<Engine>, request: LogRequest, mut lines: mpsc::Sender<Result<LogLine, RuntimeError>>) {
    let tail = request.tail.map_or("all".into(), |tail| tail.to_string());
    // Docker takes whole seconds here; the lines' own times decide.
    let since = request.since.map_or(0, |since| i32::try_from(since.as_second()).unwrap_or(i32::MAX));
    let options = LogsOptionsBuilder::new()
        .follow(request.follow)
        .stdout(true)
        .stderr(true)
        .timestamps(true)
        .since(since)
        .tail(&tail)
        .build();
    let mut output = engine.docker.logs(&request.container_id, Some(options)).boxed();
    while let Some(next) = output.next().await {
        let line = match next {
            Ok(output) => parse(output),
            Err(error) => Err(failed(error)),
        };
        let early = line.as_ref().is_ok_and(|line| request.since.is_some_and(|since| line.time < since));
        if early {
            continue;
        }
        let over = line.is_err();
        if lines.send(line).await.is_err() || over {
            return;
        }
    }
}

/// A line of Docker's with its time in front.
fn parse(output: LogOutput) -> Result<LogLine, RuntimeError> {
    let stream = match &output {
        LogOutput::StdErr { .. } => LogStream::Stderr,
        _ => LogStream::Stdout,
    };
    let bytes = output.into_bytes();
    let space = bytes.iter().position(|byte| *byte == b' ').unwrap_or(bytes.len());
    let time = std::str::from_utf8(&bytes[..space]).ok().and_then(|time| time.parse::<Timestamp>().ok());
    Ok(match time {
        Some(time) => LogLine { time, stream, content: bytes.slice((space + 1).min(bytes.len())..) },
        // The rest of a line too long for one piece.
        None => LogLine { time: Timestamp::UNIX_EPOCH, stream, content: Bytes::clone(&bytes) },
    })
}
