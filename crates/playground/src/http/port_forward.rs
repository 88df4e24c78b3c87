//! Port-forward over SPDY: each connection to a forwarded port is a pair of streams, data and error,
//! that share a request id (upstream cri/streaming/portforward).

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::stream::FuturesUnordered;
use futures::{SinkExt, StreamExt};
use machinery::wire::{Channels, Frame};

use super::spdy::{Headers, Stream, Streams};

/// The protocol, as `X-Stream-Protocol-Version` has it.
pub const PROTOCOL: &str = "portforward.k8s.io";

/// Channels of the one port that a request to the API server asks for.
const DATA: u8 = 0;
const ERROR: u8 = 1;

/// Carries connections until the client has gone. Each gets channels of its own from `connect`, or the
/// reason why there are none.
pub async fn carry<Connect, Connecting>(mut streams: Streams, connect: Connect)
where
    Connect: Fn(u16) -> Connecting,
    Connecting: Future<Output = Result<Channels, String>>,
{
    // Streams whose other half has not come, by request id and type. The connection's limit of streams
    // is theirs too.
    let mut halves: BTreeMap<(String, bool), Stream> = BTreeMap::new();
    let mut connections = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some(()) = connections.next() => {}
            stream = streams.recv() => {
                let Some(mut stream) = stream else { return };
                let Some((port, request, is_data)) = purpose(&stream.headers) else {
                    stream.writer.reset().await;
                    continue;
                };
                stream.writer.accept().await;
                match (halves.remove(&(request.clone(), !is_data)), is_data) {
                    (Some(error), true) => connections.push(forward(connect(port), stream, error)),
                    (Some(data), false) => connections.push(forward(connect(port), data, stream)),
                    (None, _) => {
                        // One that had the same purpose before has lost it.
                        if let Some(old) = halves.insert((request, is_data), stream) {
                            old.writer.reset().await;
                        }
                    }
                }
            }
        }
    }
}

/// What a stream is for: port, request id, and whether it is the data stream of the two.
fn purpose(headers: &Headers) -> Option<(u16, String, bool)> {
    let port = headers.get("port")?.parse().ok().filter(|port| *port > 0)?;
    let is_data = match headers.get("streamtype")?.as_str() {
        "data" => true,
        "error" => false,
        _ => return None,
    };
    Some((port, headers.get("requestid")?.clone(), is_data))
}

/// One connection, until its end.
async fn forward(connecting: impl Future<Output = Result<Channels, String>>, data: Stream, error: Stream) {
    let Stream { mut reader, mut writer, .. } = data;
    let Stream { writer: mut error, reader: unread, .. } = error;
    drop(unread);
    match connecting.await {
        Err(message) => error.send(Bytes::from(message)).await,
        Ok(Channels { mut sender, mut receiver }) => {
            let outward = async {
                while let Some(Frame { channel, data }) = receiver.next().await {
                    match (channel, data) {
                        (DATA, Some(data)) => writer.send(data).await,
                        (DATA, None) => writer.finish().await,
                        (ERROR, Some(text)) => error.send(text).await,
                        _ => {}
                    }
                }
            };
            // Ends when the client has reset the stream; one that has finished sending still listens.
            let inward = async {
                while let Some(data) = reader.recv().await {
                    let _ = sender.send(Frame { channel: DATA, data }).await;
                }
            };
            futures::future::select(std::pin::pin!(outward), std::pin::pin!(inward)).await;
        }
    }
    writer.finish().await;
    error.finish().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_say_what_they_are_for() {
        let headers = |pairs: &[(&str, &str)]| pairs.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect();
        let full = [("port", "80"), ("requestid", "3"), ("streamtype", "data")];
        assert_eq!(purpose(&headers(&full)), Some((80, "3".into(), true)));
        for (name, bad) in [("port", "0"), ("port", "65536"), ("port", "web"), ("streamtype", "stdin")] {
            let changed = full.map(|(known, value)| (known, if known == name { bad } else { value }));
            assert_eq!(purpose(&headers(&changed)), None, "{name}: {bad}");
        }
        for missing in 0..full.len() {
            let rest: Vec<_> = full.into_iter().enumerate().filter(|(at, _)| *at != missing).map(|(_, h)| h).collect();
            assert_eq!(purpose(&headers(&rest)), None);
        }
    }
}
