//! Descriptors: what processes read from and write to.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use machinery::Timestamp;

use crate::errno::Errno;
use crate::executor::{Executor, Sleep};
use crate::tty::Tty;

/// How many bytes a pipe or one direction of a connection holds before its writer waits: Linux' pipe.
pub const PIPE_BYTES_MAX: usize = 65536;

/// What is behind a descriptor. What a device cannot do fails with [`Errno::BadDescriptor`].
pub trait Device {
    /// Reads at most `max` bytes; no bytes is the end.
    fn poll_read(&self, cx: &mut Context<'_>, max: usize) -> Poll<Result<Bytes, Errno>> {
        let _ = (cx, max);
        Poll::Ready(Err(Errno::BadDescriptor))
    }

    /// Writes some of the data and says how much.
    fn poll_write(&self, cx: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize, Errno>> {
        let _ = (cx, data);
        Poll::Ready(Err(Errno::BadDescriptor))
    }

    /// The terminal, if it is one.
    fn tty(&self) -> Option<&Tty> {
        None
    }
}

/// A descriptor: a shared handle to a device, which closes when the last handle is dropped.
#[derive(Clone)]
pub struct Fd(Rc<dyn Device>);

impl Fd {
    /// A descriptor of a device.
    pub fn new(device: impl Device + 'static) -> Self {
        Self(Rc::new(device))
    }

    /// `/dev/null`.
    pub fn null() -> Self {
        Self::new(Null)
    }

    /// Reads bytes that are all at hand.
    pub fn from_bytes(data: impl Into<Bytes>) -> Self {
        Self::new(Source(RefCell::new(data.into())))
    }

    /// Hands whatever is written to a function, at once.
    pub fn sink(write: impl Fn(&[u8]) + 'static) -> Self {
        Self::new(Sink(write))
    }

    /// The same, while a gate is open: its writers wait until there is room.
    pub fn gated(gate: &Gate, write: impl Fn(&[u8]) + 'static) -> Self {
        Self::new(Gated(gate.clone(), write))
    }

    /// Collects what is written, the first so many bytes of it.
    pub fn buffer_of(max: usize) -> (Self, Rc<RefCell<Vec<u8>>>) {
        let buffer = Rc::new(RefCell::new(Vec::new()));
        let target = buffer.clone();
        let keep = move |data: &[u8]| {
            let mut target = target.borrow_mut();
            let room = max.saturating_sub(target.len()).min(data.len());
            target.extend_from_slice(data.get(..room).unwrap_or_default());
        };
        (Self::sink(keep), buffer)
    }

    /// Collects what is written.
    pub fn buffer() -> (Self, Rc<RefCell<Vec<u8>>>) {
        let buffer = Rc::new(RefCell::new(Vec::new()));
        let target = buffer.clone();
        (Self::sink(move |data| target.borrow_mut().extend_from_slice(data)), buffer)
    }

    /// Reads at most `max` bytes; no bytes is the end.
    ///
    /// # Errors
    /// What the device reports.
    pub async fn read(&self, max: usize) -> Result<Bytes, Errno> {
        poll_fn(|cx| self.0.poll_read(cx, max)).await
    }

    /// Reads up to the end.
    ///
    /// # Errors
    /// What the device reports.
    pub async fn read_to_end(&self) -> Result<Vec<u8>, Errno> {
        let mut all = Vec::new();
        loop {
            let part = self.read(PIPE_BYTES_MAX).await?;
            if part.is_empty() {
                return Ok(all);
            }
            all.extend_from_slice(&part);
        }
    }

    /// Reads up to the end, which is to come before so many bytes: what never ends is not kept.
    ///
    /// # Errors
    /// What the device reports; `NoSpace` for more.
    pub async fn read_up_to(&self, max: usize) -> Result<Vec<u8>, Errno> {
        let mut all = Vec::new();
        loop {
            let part = self.read(PIPE_BYTES_MAX).await?;
            if part.is_empty() {
                return Ok(all);
            }
            if all.len() + part.len() > max {
                return Err(Errno::NoSpace);
            }
            all.extend_from_slice(&part);
        }
    }

    /// Writes everything.
    ///
    /// # Errors
    /// What the device reports; some of the data may have been written then.
    pub async fn write_all(&self, mut data: &[u8]) -> Result<(), Errno> {
        while !data.is_empty() {
            let written = poll_fn(|cx| self.0.poll_write(cx, data)).await?;
            data = data.get(written..).unwrap_or_default();
        }
        Ok(())
    }

    /// The terminal, if it is one.
    pub fn tty(&self) -> Option<&Tty> {
        self.0.tty()
    }
}

struct Null;

impl Device for Null {
    fn poll_read(&self, _: &mut Context<'_>, _: usize) -> Poll<Result<Bytes, Errno>> {
        Poll::Ready(Ok(Bytes::new()))
    }
    fn poll_write(&self, _: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize, Errno>> {
        Poll::Ready(Ok(data.len()))
    }
}

struct Source(RefCell<Bytes>);

impl Device for Source {
    fn poll_read(&self, _: &mut Context<'_>, max: usize) -> Poll<Result<Bytes, Errno>> {
        let mut rest = self.0.borrow_mut();
        let size = max.min(rest.len());
        Poll::Ready(Ok(rest.split_to(size)))
    }
}

struct Sink<F>(F);

impl<F: Fn(&[u8])> Device for Sink<F> {
    fn poll_write(&self, _: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize, Errno>> {
        (self.0)(data);
        Poll::Ready(Ok(data.len()))
    }
}

/// How much is on its way to somebody who reads at their own pace: a screen, a client. Cheap to clone; all clones are
/// one.
#[derive(Clone, Default)]
pub struct Gate(Rc<Waiting>);

#[derive(Default)]
struct Waiting {
    bytes: Cell<usize>,
    writers: RefCell<Vec<Waker>>,
}

/// How many bytes may be on their way before writers wait.
const GATE_BYTES_MAX: usize = 1 << 20;

impl Gate {
    /// So many bytes are on their way now.
    pub fn sent(&self, bytes: usize) {
        self.0.bytes.set(self.0.bytes.get() + bytes);
    }

    /// So many bytes have arrived.
    pub fn arrived(&self, bytes: usize) {
        self.0.bytes.set(self.0.bytes.get().saturating_sub(bytes));
        if self.0.bytes.get() < GATE_BYTES_MAX {
            Pipe::wake(&mut self.0.writers.borrow_mut());
        }
    }

    /// Nobody reads any more: what is written goes nowhere, at once.
    pub fn open(&self) {
        self.arrived(usize::MAX);
    }

    /// Ready while there is room.
    pub(crate) fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.0.bytes.get() < GATE_BYTES_MAX {
            return Poll::Ready(());
        }
        self.0.writers.borrow_mut().push(cx.waker().clone());
        Poll::Pending
    }
}

struct Gated<F>(Gate, F);

impl<F: Fn(&[u8])> Device for Gated<F> {
    fn poll_write(&self, cx: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize, Errno>> {
        std::task::ready!(self.0.poll_ready(cx));
        (self.1)(data);
        Poll::Ready(Ok(data.len()))
    }
}

/// A pipe between processes: (reading end, writing end).
pub fn pipe(executor: &Executor) -> (Fd, Fd) {
    let (reader, writer) = channel(executor, Duration::ZERO);
    (Fd::new(reader), Fd::new(writer))
}

/// A queue of bytes, each part of which arrives `latency` after it was written.
pub(crate) fn channel(executor: &Executor, latency: Duration) -> (PipeReader, PipeWriter) {
    let pipe = Rc::new(RefCell::new(Pipe {
        executor: executor.clone(),
        latency,
        parts: VecDeque::new(),
        queued_bytes: 0,
        closed_at: None,
        reader_gone: false,
        reset: false,
        arrival: None,
        readers: Vec::new(),
        writers: Vec::new(),
    }));
    (PipeReader(pipe.clone()), PipeWriter(pipe))
}

struct Pipe {
    executor: Executor,
    latency: Duration,
    /// Written and not yet read, with the time of arrival.
    parts: VecDeque<(Timestamp, Bytes)>,
    queued_bytes: usize,
    /// When the writer's end arrives at the reader.
    closed_at: Option<Timestamp>,
    reader_gone: bool,
    reset: bool,
    /// Wakes the reader when the next part arrives.
    arrival: Option<Pin<Box<Sleep>>>,
    readers: Vec<Waker>,
    writers: Vec<Waker>,
}

impl Pipe {
    fn arrival_time(&self) -> Timestamp {
        let now = self.executor.now();
        now.saturating_add(self.latency).unwrap_or(now)
    }

    /// Ready when `time` has come; until then the reader is woken at it.
    fn poll_until(&mut self, cx: &mut Context<'_>, time: Timestamp) -> Poll<()> {
        if self.executor.now() >= time {
            self.arrival = None;
            return Poll::Ready(());
        }
        let executor = self.executor.clone();
        self.arrival.get_or_insert_with(|| Box::pin(executor.sleep_until(time))).as_mut().poll(cx)
    }

    fn wake(wakers: &mut Vec<Waker>) {
        for waker in wakers.drain(..) {
            waker.wake();
        }
    }
}

/// The reading end of a pipe.
pub(crate) struct PipeReader(Rc<RefCell<Pipe>>);

/// The writing end of a pipe.
pub(crate) struct PipeWriter(Rc<RefCell<Pipe>>);

impl Device for PipeReader {
    fn poll_read(&self, cx: &mut Context<'_>, max: usize) -> Poll<Result<Bytes, Errno>> {
        let mut pipe = self.0.borrow_mut();
        if pipe.reset {
            return Poll::Ready(Err(Errno::ConnectionReset));
        }
        let next = pipe.parts.front().map(|(time, _)| *time).or(pipe.closed_at);
        let Some(time) = next else {
            pipe.readers.push(cx.waker().clone());
            return Poll::Pending;
        };
        if pipe.poll_until(cx, time).is_pending() {
            pipe.readers.push(cx.waker().clone());
            return Poll::Pending;
        }
        let Some((_, part)) = pipe.parts.front_mut() else { return Poll::Ready(Ok(Bytes::new())) };
        let size = max.min(part.len());
        let read = part.split_to(size);
        if part.is_empty() {
            pipe.parts.pop_front();
        }
        pipe.queued_bytes -= size;
        Pipe::wake(&mut pipe.writers);
        Poll::Ready(Ok(read))
    }
}

impl Device for PipeWriter {
    fn poll_write(&self, cx: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize, Errno>> {
        let mut pipe = self.0.borrow_mut();
        if pipe.reset {
            return Poll::Ready(Err(Errno::ConnectionReset));
        }
        if pipe.reader_gone || pipe.closed_at.is_some() {
            return Poll::Ready(Err(Errno::BrokenPipe));
        }
        let size = data.len().min(PIPE_BYTES_MAX - pipe.queued_bytes);
        if size == 0 && !data.is_empty() {
            pipe.writers.push(cx.waker().clone());
            return Poll::Pending;
        }
        let time = pipe.arrival_time();
        pipe.queued_bytes += size;
        pipe.parts.push_back((time, Bytes::copy_from_slice(data.get(..size).unwrap_or_default())));
        Pipe::wake(&mut pipe.readers);
        Poll::Ready(Ok(size))
    }
}

impl PipeWriter {
    /// No more will be written; what was written still arrives.
    pub(crate) fn close(&self) {
        let mut pipe = self.0.borrow_mut();
        if pipe.closed_at.is_none() {
            pipe.closed_at = Some(pipe.arrival_time());
            Pipe::wake(&mut pipe.readers);
        }
    }

    /// Both ends fail from now on.
    pub(crate) fn reset(&self) {
        let mut pipe = self.0.borrow_mut();
        pipe.reset = true;
        Pipe::wake(&mut pipe.readers);
        Pipe::wake(&mut pipe.writers);
    }
}

impl Drop for PipeWriter {
    fn drop(&mut self) {
        self.close();
    }
}

impl Drop for PipeReader {
    fn drop(&mut self) {
        let mut pipe = self.0.borrow_mut();
        pipe.reader_gone = true;
        Pipe::wake(&mut pipe.writers);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn executor() -> Executor {
        Executor::new(Timestamp::UNIX_EPOCH)
    }

    fn limit() -> Timestamp {
        Timestamp::from_second(1000).unwrap()
    }

    #[test]
    fn bytes_arrive_after_the_latency_and_so_does_the_end() {
        let executor = executor();
        let (reader, writer) = channel(&executor, Duration::from_millis(5));
        let (reader, writer) = (Fd::new(reader), Fd::new(writer));
        let all = executor.block_on(limit(), async {
            writer.write_all(b"hello").await.unwrap();
            drop(writer);
            reader.read_to_end().await.unwrap()
        });
        assert_eq!(all.unwrap(), b"hello");
        assert_eq!(executor.now().as_millisecond(), 5);
    }

    #[test]
    fn a_full_pipe_makes_its_writer_wait_and_a_dropped_reader_breaks_it() {
        let executor = executor();
        let (reader, writer) = pipe(&executor);
        let big = vec![7; PIPE_BYTES_MAX + 1];
        assert!(executor.block_on(Timestamp::UNIX_EPOCH, writer.write_all(&big)).is_none());
        drop(reader);
        let end = executor.block_on(limit(), writer.write_all(&big)).unwrap();
        assert_eq!(end, Err(Errno::BrokenPipe));
    }
}
