//! One connection: the streams its client opens, carried until either side ends.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::frame::{DATA_BYTES_MAX, Decoder, Encoder, Error, Frame};
use super::headers::Headers;

/// Streams that a connection may have at a time.
const STREAMS_MAX: usize = 1000;
/// Frames that wait, of one stream or of the connection. A full queue stops the reading, and with it
/// the client's sending.
const FRAMES_QUEUED_MAX: usize = 16;
/// How long a client has to close a connection whose work is done. moby/spdystream loses what it has
/// not yet passed on when the connection closes under it.
const LINGER: Duration = Duration::from_secs(10);

/// Statuses of RST_STREAM.
const REFUSED_STREAM: u32 = 3;
const CANCEL: u32 = 5;
/// Status of GOAWAY.
const PROTOCOL_ERROR: u32 = 1;

/// The streams that a client opens, as they come; ends with the connection.
pub type Streams = Receiver<Stream>;

/// A stream that the client has opened.
pub struct Stream {
    /// What the client says it is for.
    pub headers: Headers,
    /// What comes from the client. To be dropped where nobody reads it: a full queue holds up all
    /// streams.
    pub reader: Reader,
    /// The way to the client.
    pub writer: Writer,
}

/// The client's side of a stream: data, `None` when it has finished, and the queue's end when the
/// stream is reset or the connection lost.
pub type Reader = Receiver<Option<Bytes>>;

/// The server's side of a stream. It is in use until it is dropped.
pub struct Writer {
    stream: u32,
    finished: bool,
    frames: Sender<Frame>,
    _place: OwnedSemaphorePermit,
}

impl Writer {
    /// Accepts the stream.
    pub async fn accept(&mut self) {
        self.frame(Frame::SynReply { stream: self.stream }).await;
    }

    /// Sends data, once there is room for it. It goes nowhere when the stream is over.
    pub async fn send(&mut self, data: Bytes) {
        if !self.finished && !data.is_empty() {
            self.frame(Frame::Data { stream: self.stream, data, fin: false }).await;
        }
    }

    /// Says that no more is sent.
    pub async fn finish(&mut self) {
        if !std::mem::replace(&mut self.finished, true) {
            self.frame(Frame::Data { stream: self.stream, data: Bytes::new(), fin: true }).await;
        }
    }

    /// Ends the stream both ways.
    pub async fn reset(mut self) {
        self.frame(Frame::RstStream { stream: self.stream, status: CANCEL }).await;
    }

    async fn frame(&mut self, frame: Frame) {
        // A connection that is gone drops whoever works for it; there is nobody to tell.
        let _ = self.frames.send(frame).await;
    }
}

/// Serves a connection: `work` gets the streams. Returns when the client has gone, or the work is done
/// and sent.
pub async fn serve<Io, Work>(io: Io, work: impl FnOnce(Streams) -> Work)
where
    Io: AsyncRead + AsyncWrite,
    Work: Future<Output = ()>,
{
    let (reader, writer) = tokio::io::split(io);
    let (frames, queue) = mpsc::channel(FRAMES_QUEUED_MAX);
    let (incoming, streams) = mpsc::channel(FRAMES_QUEUED_MAX);
    let mut writing = Box::pin(write(writer, queue));
    let work = work(streams);
    let mut reading = Box::pin(read(reader, Inbound::new(frames, incoming)));
    let both = Box::pin(async move {
        tokio::select! {
            () = &mut reading => return,
            () = work => {}
        }
        let _ = timeout(LINGER, reading).await;
    });
    // What `both` holds of the queue goes with it, so that the writing comes to an end.
    tokio::select! {
        () = both => {}
        () = &mut writing => return,
    }
    let _ = timeout(LINGER, writing).await;
}

async fn write(mut io: impl AsyncWrite + Unpin, mut queue: Receiver<Frame>) {
    let (mut encoder, mut buffer) = (Encoder::new(), BytesMut::new());
    while let Some(frame) = queue.recv().await {
        let mut next = Some(frame);
        while let Some(frame) = next {
            if encoder.encode(&frame, &mut buffer).is_err() {
                return;
            }
            next = (buffer.len() < DATA_BYTES_MAX).then(|| queue.try_recv().ok()).flatten();
        }
        if io.write_all_buf(&mut buffer).await.is_err() || io.flush().await.is_err() {
            return;
        }
    }
    let _ = io.shutdown().await;
}

async fn read(mut io: impl AsyncRead + Unpin, mut inbound: Inbound) {
    let (mut decoder, mut buffer) = (Decoder::new(), BytesMut::new());
    loop {
        let result = match decoder.decode(&mut buffer) {
            Ok(Some(frame)) => inbound.handle(frame).await,
            Ok(None) => match io.read_buf(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(_) => Ok(()),
            },
            Err(error) => Err(error),
        };
        if let Err(error) = result {
            tracing::debug!("SPDY: {error}");
            let goodbye = Frame::GoAway { last_stream: inbound.last_stream, status: PROTOCOL_ERROR };
            let _ = inbound.frames.send(goodbye).await;
            return;
        }
    }
}

/// Where received frames go.
struct Inbound {
    frames: Sender<Frame>,
    incoming: Sender<Stream>,
    /// The streams whose data somebody may want.
    inputs: BTreeMap<u32, Input>,
    last_stream: u32,
    places: Arc<Semaphore>,
}

struct Input {
    queue: Sender<Option<Bytes>>,
    finished: bool,
}

impl Inbound {
    fn new(frames: Sender<Frame>, incoming: Sender<Stream>) -> Self {
        let places = Arc::new(Semaphore::new(STREAMS_MAX));
        Self { frames, incoming, inputs: BTreeMap::new(), last_stream: 0, places }
    }

    async fn handle(&mut self, frame: Frame) -> Result<(), Error> {
        match frame {
            Frame::SynStream { stream, headers, fin } => {
                self.open(stream, headers).await?;
                self.data(stream, Bytes::new(), fin).await;
            }
            Frame::Data { stream, data, fin } => self.data(stream, data, fin).await,
            Frame::Headers { stream, fin } => self.data(stream, Bytes::new(), fin).await,
            Frame::RstStream { stream, .. } => _ = self.inputs.remove(&stream),
            // The client's numbers are odd. The server sends no pings that even ones could answer.
            Frame::Ping(id) if id % 2 == 1 => _ = self.frames.send(Frame::Ping(id)).await,
            // After GOAWAY the client closes the connection as soon as its streams are done.
            Frame::Ping(_) | Frame::SynReply { .. } | Frame::GoAway { .. } => {}
        }
        Ok(())
    }

    async fn open(&mut self, stream: u32, headers: Headers) -> Result<(), Error> {
        if stream.is_multiple_of(2) || stream <= self.last_stream {
            return Err(Error::Stream(stream));
        }
        self.last_stream = stream;
        self.inputs.retain(|_, input| !input.queue.is_closed());
        let place = self.places.clone().try_acquire_owned().ok();
        let (queue, reader) = mpsc::channel(FRAMES_QUEUED_MAX);
        let opened = place.map(|place| Stream {
            headers,
            reader,
            writer: Writer { stream, finished: false, frames: self.frames.clone(), _place: place },
        });
        let taken = match opened {
            Some(opened) => self.incoming.send(opened).await.is_ok(),
            None => false,
        };
        if taken {
            self.inputs.insert(stream, Input { queue, finished: false });
        } else {
            let _ = self.frames.send(Frame::RstStream { stream, status: REFUSED_STREAM }).await;
        }
        Ok(())
    }

    /// Data for a stream that is over goes nowhere, as in moby/spdystream.
    async fn data(&mut self, stream: u32, data: Bytes, fin: bool) {
        let Some(input) = self.inputs.get_mut(&stream).filter(|input| !input.finished) else { return };
        if !data.is_empty() {
            let _ = input.queue.send(Some(data)).await;
        }
        if fin {
            input.finished = true;
            let _ = input.queue.send(None).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tokio::io::DuplexStream;

    /// A client: frames to bytes and back.
    struct Client {
        io: DuplexStream,
        encoder: Encoder,
        decoder: Decoder,
        buffer: BytesMut,
    }

    impl Client {
        fn new(io: DuplexStream) -> Self {
            Self { io, encoder: Encoder::new(), decoder: Decoder::new(), buffer: BytesMut::new() }
        }

        async fn send(&mut self, frame: Frame) {
            let mut bytes = BytesMut::new();
            self.encoder.encode(&frame, &mut bytes).unwrap();
            self.io.write_all(&bytes).await.unwrap();
        }

        async fn open(&mut self, stream: u32) {
            let headers = Headers::from([("streamtype".into(), "data".into())]);
            self.send(Frame::SynStream { stream, headers, fin: false }).await;
        }

        async fn receive(&mut self) -> Option<Frame> {
            loop {
                if let Some(frame) = self.decoder.decode(&mut self.buffer).unwrap() {
                    return Some(frame);
                }
                if self.io.read_buf(&mut self.buffer).await.unwrap() == 0 {
                    return None;
                }
            }
        }
    }

    /// A connection whose server sends back what each stream sends, until the client has gone.
    fn echo() -> (Client, impl Future<Output = ()>) {
        let (near, far) = tokio::io::duplex(256);
        let serving = serve(far, async |mut streams| {
            while let Some(mut stream) = streams.recv().await {
                tokio::spawn(async move {
                    stream.writer.accept().await;
                    while let Some(Some(data)) = stream.reader.recv().await {
                        stream.writer.send(data).await;
                    }
                    stream.writer.finish().await;
                });
            }
        });
        (Client::new(near), serving)
    }

    #[tokio::test]
    async fn streams_answer_each_for_itself_and_pings_come_back() {
        let (mut client, serving) = echo();
        let talk = async move {
            client.open(1).await;
            assert_eq!(client.receive().await, Some(Frame::SynReply { stream: 1 }));
            client.open(3).await;
            assert_eq!(client.receive().await, Some(Frame::SynReply { stream: 3 }));
            for stream in [3, 1] {
                let hello = Frame::Data { stream, data: "hello".into(), fin: false };
                client.send(hello.clone()).await;
                assert_eq!(client.receive().await, Some(hello));
            }
            client.send(Frame::Ping(7)).await;
            assert_eq!(client.receive().await, Some(Frame::Ping(7)));
            let end = Frame::Data { stream: 1, data: Bytes::new(), fin: true };
            client.send(end.clone()).await;
            assert_eq!(client.receive().await, Some(end));
            client.send(Frame::RstStream { stream: 3, status: CANCEL }).await;
            assert_eq!(client.receive().await, Some(Frame::Data { stream: 3, data: Bytes::new(), fin: true }));
        };
        tokio::join!(talk, serving);
    }

    #[tokio::test]
    async fn a_stream_number_that_is_not_new_ends_the_connection() {
        let (mut client, serving) = echo();
        let talk = async move {
            client.open(5).await;
            assert_eq!(client.receive().await, Some(Frame::SynReply { stream: 5 }));
            client.open(3).await;
            assert_eq!(client.receive().await, Some(Frame::GoAway { last_stream: 5, status: PROTOCOL_ERROR }));
        };
        tokio::join!(talk, serving);
    }

    #[tokio::test]
    async fn streams_beyond_the_limit_are_refused() {
        let (near, far) = tokio::io::duplex(1 << 20);
        let mut client = Client::new(near);
        let serving = serve(far, async |mut streams| {
            let mut held = Vec::new();
            while let Some(stream) = streams.recv().await {
                held.push(stream);
            }
        });
        let talk = async move {
            for place in 0..=STREAMS_MAX as u32 {
                client.open(2 * place + 1).await;
            }
            let stream = 2 * STREAMS_MAX as u32 + 1;
            assert_eq!(client.receive().await, Some(Frame::RstStream { stream, status: REFUSED_STREAM }));
        };
        tokio::join!(talk, serving);
    }

    proptest! {
        #[test]
        fn hostile_bytes_end_the_connection_or_are_ignored(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            runtime.block_on(async {
                let (mut client, serving) = echo();
                let talk = async move {
                    // The server may close before it has read everything.
                    let _ = client.io.write_all(&bytes).await;
                };
                tokio::join!(talk, serving);
            });
        }
    }
}
