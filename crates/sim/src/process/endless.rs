//! Devices that never end: `/dev/zero`, `/dev/urandom`.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;

use super::Machine;
use crate::errno::Errno;
use crate::executor::Sleep;
use crate::io::{Device, PIPE_BYTES_MAX};

/// What a read takes, so that a loop that reads for ever lets the others run.
const READ_TIME: Duration = Duration::from_micros(20);

/// A device that always has more to read: zeros, or the machine's random numbers.
pub(super) struct Endless {
    machine: Machine,
    random: bool,
    sleep: RefCell<Option<Pin<Box<Sleep>>>>,
}

impl Endless {
    pub(super) fn new(machine: Machine, random: bool) -> Self {
        Self { machine, random, sleep: RefCell::new(None) }
    }
}

impl Device for Endless {
    fn poll_read(&self, cx: &mut Context<'_>, max: usize) -> Poll<Result<Bytes, Errno>> {
        let mut sleep = self.sleep.borrow_mut();
        let running = sleep.get_or_insert_with(|| Box::pin(self.machine.executor().sleep(READ_TIME)));
        ready!(running.as_mut().poll(cx));
        *sleep = None;
        let mut data = vec![0; max.min(PIPE_BYTES_MAX)];
        if self.random {
            for part in data.chunks_mut(8) {
                part.copy_from_slice(&self.machine.random().to_le_bytes()[..part.len()]);
            }
        }
        Poll::Ready(Ok(data.into()))
    }
}
