//! Components: what the cluster's event loop drives.

use std::task::Waker;

use machinery::Timestamp;

/// A part of the cluster with a control loop of its own: a controller, the scheduler, a kubelet.
///
/// Components are level-triggered: one that is stopped, made anew, or cut off from the API at any
/// moment converges afterwards.
pub trait Component {
    /// The name under which it writes, such as `deployment-controller`.
    fn name(&self) -> &str;

    /// Does a bounded piece of work: takes what its informers have, then a key of its work queue, or a few. The
    /// component is polled again when [`Context::waker`] is woken (watches do that), or at the time given to
    /// [`Context::wake_at`].
    fn poll(&mut self, cx: &mut Context<'_>);
}

/// What a component is polled with.
pub struct Context<'a> {
    now: Timestamp,
    waker: &'a Waker,
    wake_at: Option<Timestamp>,
}

impl<'a> Context<'a> {
    /// A context at a time, for one poll.
    pub fn new(now: Timestamp, waker: &'a Waker) -> Self {
        Self { now, waker, wake_at: None }
    }

    /// The time of this poll.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// To give to streams and futures, so that the component is polled when they are ready.
    pub fn waker(&self) -> &'a Waker {
        self.waker
    }

    /// Asks for a poll at the given time, or earlier if something earlier was asked for.
    pub fn wake_at(&mut self, time: Timestamp) {
        self.wake_at = Some(self.wake_at.map_or(time, |earlier| earlier.min(time)));
    }

    /// Asks for another poll as soon as the others have had theirs: there is more work ready.
    pub fn wake_now(&self) {
        self.waker.wake_by_ref();
    }

    /// The earliest time asked for in this poll.
    pub fn next_wake(&self) -> Option<Timestamp> {
        self.wake_at
    }
}
