//! From a real connection, or an upgraded one, into the simulated network.

use futures::future::{Either, select};
use futures::{SinkExt, StreamExt};
use machinery::wire::{Channels, Frame};

use super::TcpStream;
use crate::io::PIPE_BYTES_MAX;

/// Carries bytes between a connection and one channel of an upgraded connection, both ways, until either
/// side ends. A closed channel (a frame without data) closes only that direction.
pub async fn bridge(stream: TcpStream, channels: Channels, channel: u8) {
    let Channels { mut sender, mut receiver } = channels;
    let up = Box::pin(async {
        while let Some(frame) = receiver.next().await {
            match frame.data {
                _ if frame.channel != channel => {}
                Some(data) => {
                    if stream.write_all(&data).await.is_err() {
                        return;
                    }
                }
                None => stream.shutdown(),
            }
        }
    });
    let down = Box::pin(async {
        loop {
            let data = stream.read(PIPE_BYTES_MAX).await.unwrap_or_default();
            let end = data.is_empty();
            let frame = Frame { channel, data: (!end).then_some(data) };
            if sender.send(frame).await.is_err() || end {
                return;
            }
        }
    });
    // The client going away ends it; so does the server's end, once it has been passed on.
    if let Either::Left((_, down)) = select(up, down).await {
        drop(down);
    }
}
