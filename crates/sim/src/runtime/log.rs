//! Container logs.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use bytes::Bytes;
use futures::SinkExt;
use futures::channel::mpsc;
use kubelet::runtime::{LogLine, LogRequest, LogStream, RuntimeError};
use machinery::Timestamp;

use crate::saved::{put, take};

/// Most bytes a log keeps: the kubelet's default `containerLogMaxSize`. Older lines go.
const LOG_BYTES_MAX: usize = 10 << 20;
/// What a line takes of memory beside its content: the entry, and a heap block's overhead.
const LINE_BYTES: usize = size_of::<LogLine>() + 32;
/// Most memory that a log takes: one of very short lines keeps fewer of them.
const HELD_BYTES_MAX: usize = 2 * LOG_BYTES_MAX;
/// Most bytes of a log that are saved.
const SAVED_BYTES_MAX: usize = 256 << 10;
/// A line longer than this is split, as CRI runtimes split lines.
const LINE_BYTES_MAX: usize = 16 << 10;
/// How many pieces of output an attached client may be behind before it loses some.
const PIECES_QUEUED_MAX: usize = 1024;

/// What a container wrote. Cheap to clone; all clones are one.
#[derive(Clone, Default)]
pub(super) struct Log(Rc<RefCell<State>>);

#[derive(Default)]
struct State {
    lines: VecDeque<LogLine>,
    bytes: usize,
    /// What that takes of memory.
    held: usize,
    /// How many lines were dropped at the front.
    dropped: u64,
    partial: [Vec<u8>; 2],
    attached: Vec<mpsc::Sender<(LogStream, Bytes)>>,
    closed: bool,
    wakers: Vec<Waker>,
}

thread_local! {
    /// Lines that were written last: many containers say the same.
    static WRITTEN: RefCell<VecDeque<Bytes>> = const { RefCell::new(VecDeque::new()) };
}

/// A line's content, with whoever wrote the same lately.
fn shared(line: &[u8]) -> Bytes {
    const REMEMBERED: usize = 32;
    WRITTEN.with_borrow_mut(|written| {
        if let Some(found) = written.iter().position(|other| other == line) {
            written.swap(0, found);
        } else {
            written.truncate(REMEMBERED - 1);
            written.push_front(Bytes::copy_from_slice(line));
        }
        written.front().cloned().unwrap_or_default()
    })
}

impl Log {
    /// Takes what the container wrote.
    pub(super) fn write(&self, stream: LogStream, data: &[u8], time: Timestamp) {
        let mut state = self.0.borrow_mut();
        let mut attached = std::mem::take(&mut state.attached);
        attached.retain_mut(|client| {
            let sent = client.try_send((stream, Bytes::copy_from_slice(data)));
            sent.map_or_else(|error| error.is_full(), |()| true)
        });
        state.attached = attached;
        let mut partial = std::mem::take(&mut state.partial[stream as usize]);
        for mut part in data.split_inclusive(|byte| *byte == b'\n') {
            while !part.is_empty() {
                let (taken, rest) = part.split_at(part.len().min(LINE_BYTES_MAX - partial.len()));
                partial.extend_from_slice(taken);
                part = rest;
                if partial.ends_with(b"\n") || partial.len() == LINE_BYTES_MAX {
                    // No larger than it is: it may stay for long.
                    let content = shared(&partial);
                    partial.clear();
                    state.push(LogLine { time, stream, content });
                }
            }
        }
        state.partial[stream as usize] = if partial.is_empty() { Vec::new() } else { partial };
        state.wake();
    }

    /// The container has ended.
    pub(super) fn close(&self, time: Timestamp) {
        let mut state = self.0.borrow_mut();
        for stream in [LogStream::Stdout, LogStream::Stderr] {
            let content: Bytes = std::mem::take(&mut state.partial[stream as usize]).into();
            if !content.is_empty() {
                state.push(LogLine { time, stream, content });
            }
        }
        state.closed = true;
        state.attached.clear();
        state.wake();
    }

    /// Output from now on, as it is written; ends with the container.
    pub(super) fn attach(&self) -> mpsc::Receiver<(LogStream, Bytes)> {
        let (sender, receiver) = mpsc::channel(PIECES_QUEUED_MAX);
        let mut state = self.0.borrow_mut();
        if !state.closed {
            state.attached.push(sender);
        }
        receiver
    }

    /// How much it holds.
    pub(super) fn bytes(&self) -> usize {
        self.0.borrow().bytes
    }

    /// Its end, as it stands for a termination message: at most 80 lines and 2048 bytes.
    pub(super) fn last_words(&self) -> String {
        const LINES_MAX: usize = 80;
        const BYTES_MAX: usize = 2048;
        let state = self.0.borrow();
        let lines = state.lines.iter().skip(state.lines.len().saturating_sub(LINES_MAX));
        let text: Vec<u8> = lines.flat_map(|line| line.content.iter().copied()).collect();
        let kept = text.get(text.len().saturating_sub(BYTES_MAX)..).unwrap_or_default();
        String::from_utf8_lossy(kept).into_owned()
    }

    /// How many lines it has had.
    pub(super) fn count(&self) -> u64 {
        let state = self.0.borrow();
        state.dropped + state.lines.len() as u64
    }

    /// Its end as bytes: each line's microsecond, stream and content.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let state = self.0.borrow();
        let (mut kept, mut bytes) = (0, 0);
        for line in state.lines.iter().rev() {
            bytes += line.content.len();
            if bytes > SAVED_BYTES_MAX {
                break;
            }
            kept += 1;
        }
        let mut out = Vec::new();
        for line in state.lines.iter().skip(state.lines.len() - kept) {
            put(&mut out, &line.time.as_microsecond().to_le_bytes());
            put(&mut out, &[line.stream as u8]);
            put(&mut out, &line.content);
        }
        out
    }

    /// Adds what [`Log::to_bytes`] has written.
    pub(super) fn restore(&self, bytes: &[u8]) {
        let mut rest = bytes;
        let mut state = self.0.borrow_mut();
        while let (Some(time), Some(stream), Some(content)) = (take(&mut rest), take(&mut rest), take(&mut rest)) {
            let time = time.try_into().ok().and_then(|time| Timestamp::from_microsecond(i64::from_le_bytes(time)).ok());
            let Some(time) = time else { return };
            let error = stream == [LogStream::Stderr as u8].as_slice();
            let stream = if error { LogStream::Stderr } else { LogStream::Stdout };
            state.push(LogLine { time, stream, content: Bytes::copy_from_slice(content) });
        }
    }

    /// All lines that are kept.
    pub(super) fn text(&self) -> Vec<u8> {
        self.0.borrow().lines.iter().flat_map(|line| line.content.iter().copied()).collect()
    }

    /// Sends the lines that are asked for.
    pub(super) async fn send(self, request: LogRequest, mut lines: mpsc::Sender<Result<LogLine, RuntimeError>>) {
        let mut next = {
            let state = self.0.borrow();
            let kept = state.lines.len() as u64;
            state.dropped + request.tail.map_or(0, |tail| kept.saturating_sub(tail))
        };
        while let Some(line) = self.line(next, request.follow).await {
            next = line.0 + 1;
            if request.since.is_some_and(|since| line.1.time < since) {
                continue;
            }
            if lines.send(Ok(line.1)).await.is_err() {
                return;
            }
        }
    }

    /// The line of a number, or the first one kept after it, waiting for it if asked to; with its number.
    async fn line(&self, number: u64, wait: bool) -> Option<(u64, LogLine)> {
        poll_fn(|cx| {
            let mut state = self.0.borrow_mut();
            let number = number.max(state.dropped);
            let index = usize::try_from(number - state.dropped).unwrap_or(usize::MAX);
            if let Some(line) = state.lines.get(index) {
                return Poll::Ready(Some((number, line.clone())));
            }
            if state.closed || !wait {
                return Poll::Ready(None);
            }
            state.wakers.push(cx.waker().clone());
            Poll::Pending
        })
        .await
    }
}

impl State {
    fn push(&mut self, line: LogLine) {
        self.bytes += line.content.len();
        self.held += LINE_BYTES + line.content.len();
        self.lines.push_back(line);
        while self.bytes > LOG_BYTES_MAX || self.held > HELD_BYTES_MAX {
            let Some(oldest) = self.lines.pop_front() else { break };
            self.bytes -= oldest.content.len();
            self.held -= LINE_BYTES + oldest.content.len();
            self.dropped += 1;
        }
    }

    fn wake(&mut self) {
        for waker in self.wakers.drain(..) {
            waker.wake();
        }
    }
}
