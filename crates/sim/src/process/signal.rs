//! Signals.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// A signal, by Linux' numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Signal {
    /// The terminal is gone.
    Hup = 1,
    /// Ctrl-C.
    Int = 2,
    /// Ctrl-\; a graceful stop for some servers.
    Quit = 3,
    /// Cannot be handled.
    Kill = 9,
    /// The program's own.
    Usr1 = 10,
    /// The program's own.
    Usr2 = 12,
    /// Nobody reads the pipe.
    Pipe = 13,
    /// A timer.
    Alrm = 14,
    /// Please end.
    Term = 15,
    /// A child ended.
    Chld = 17,
    /// Go on.
    Cont = 18,
    /// Stand still, whatever the process thinks of it.
    Stop = 19,
    /// Ctrl-Z.
    Tstp = 20,
    /// The window's size changed; a graceful stop for httpd.
    Winch = 28,
}

/// Names without `SIG`, as `kill -l` lists them.
pub const SIGNALS: [(Signal, &str); 14] = [
    (Signal::Hup, "HUP"),
    (Signal::Int, "INT"),
    (Signal::Quit, "QUIT"),
    (Signal::Kill, "KILL"),
    (Signal::Usr1, "USR1"),
    (Signal::Usr2, "USR2"),
    (Signal::Pipe, "PIPE"),
    (Signal::Alrm, "ALRM"),
    (Signal::Term, "TERM"),
    (Signal::Chld, "CHLD"),
    (Signal::Cont, "CONT"),
    (Signal::Stop, "STOP"),
    (Signal::Tstp, "TSTP"),
    (Signal::Winch, "WINCH"),
];

impl Signal {
    /// From `9`, `KILL` or `SIGKILL`, in any case.
    pub fn parse(text: &str) -> Option<Self> {
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        let number = name.parse::<i32>().ok();
        SIGNALS
            .iter()
            .find(|(signal, known)| *known == name || number == Some(*signal as i32))
            .map(|(signal, _)| *signal)
    }

    /// The exit code of a process that died of it.
    pub fn exit_code(self) -> i32 {
        128 + self as i32
    }

    /// How shells call the end of a process by it.
    pub fn description(self) -> &'static str {
        match self {
            Self::Hup => "Hangup",
            Self::Int => "Interrupt",
            Self::Quit => "Quit",
            Self::Kill => "Killed",
            Self::Usr1 => "User defined signal 1",
            Self::Usr2 => "User defined signal 2",
            Self::Pipe => "Broken pipe",
            Self::Alrm => "Alarm clock",
            Self::Term => "Terminated",
            Self::Chld => "Child exited",
            Self::Cont => "Continued",
            Self::Stop | Self::Tstp => "Stopped",
            Self::Winch => "Window changed",
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SIGNALS.iter().find(|(signal, _)| signal == self).map_or("?", |(_, name)| name))
    }
}

/// Remembers whom to wake: once, however often it asks.
pub(super) fn register(wakers: &mut Vec<Waker>, waker: &Waker) {
    if !wakers.iter().any(|known| known.will_wake(waker)) {
        wakers.push(waker.clone());
    }
}

/// What a process does on a signal, where it is not the default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Disposition {
    Handle,
    Ignore,
}

/// A process' signals, shared between the process and those who send to it.
#[derive(Clone)]
pub struct Signals(Rc<RefCell<State>>);

struct State {
    /// The first process of a PID namespace: signals it does not handle do nothing, except KILL from
    /// outside.
    is_init: bool,
    dispositions: BTreeMap<Signal, Disposition>,
    pending: VecDeque<Signal>,
    fatal: Option<Signal>,
    /// It stands still until it is told to go on.
    stopped: bool,
    wakers: Vec<Waker>,
}

impl Signals {
    pub(super) fn new(is_init: bool) -> Self {
        Self(Rc::new(RefCell::new(State {
            is_init,
            dispositions: BTreeMap::new(),
            pending: VecDeque::new(),
            fatal: None,
            stopped: false,
            wakers: Vec::new(),
        })))
    }

    /// From now on the process takes the signal itself: [`Signals::next`].
    pub fn handle(&self, signal: Signal) {
        self.0.borrow_mut().dispositions.insert(signal, Disposition::Handle);
    }

    /// From now on the signal does nothing.
    pub fn ignore(&self, signal: Signal) {
        self.0.borrow_mut().dispositions.insert(signal, Disposition::Ignore);
    }

    /// From now on the signal does what it does by default.
    pub fn reset(&self, signal: Signal) {
        self.0.borrow_mut().dispositions.remove(&signal);
    }

    /// A handled signal that has arrived, if any.
    pub fn take(&self) -> Option<Signal> {
        self.0.borrow_mut().pending.pop_front()
    }

    /// Waits for a handled signal.
    pub async fn next(&self) -> Signal {
        poll_fn(|cx| match self.take() {
            Some(signal) => Poll::Ready(signal),
            None => {
                register(&mut self.0.borrow_mut().wakers, cx.waker());
                Poll::Pending
            }
        })
        .await
    }

    /// Waits until a handled signal is there, and leaves it there.
    pub async fn arrived(&self) -> Signal {
        poll_fn(|cx| {
            let mut state = self.0.borrow_mut();
            match state.pending.front() {
                Some(signal) => Poll::Ready(*signal),
                None => {
                    register(&mut state.wakers, cx.waker());
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// The signal that ends the process, if one has come.
    pub(super) fn killed_by(&self) -> Option<Signal> {
        self.0.borrow().fatal
    }

    /// Waits for the signal that ends the process.
    pub(super) async fn fatal(&self) -> Signal {
        poll_fn(|cx| {
            let mut state = self.0.borrow_mut();
            match state.fatal {
                Some(signal) => Poll::Ready(signal),
                None => {
                    register(&mut state.wakers, cx.waker());
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// Whether the process stands still; whoever asks is woken when that changes.
    pub(super) fn poll_stopped(&self, cx: &Context<'_>) -> bool {
        let mut state = self.0.borrow_mut();
        register(&mut state.wakers, cx.waker());
        state.stopped
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.0.borrow().stopped
    }

    pub(super) fn deliver(&self, signal: Signal) {
        let mut state = self.0.borrow_mut();
        if signal == Signal::Cont && state.stopped {
            state.stopped = false;
            state.wakers.drain(..).for_each(Waker::wake);
        }
        match state.dispositions.get(&signal) {
            _ if signal == Signal::Kill => state.fatal = Some(signal),
            _ if signal == Signal::Stop && !state.is_init => state.stopped = true,
            None if signal == Signal::Tstp && !state.is_init => state.stopped = true,
            Some(Disposition::Ignore) => return,
            Some(Disposition::Handle) if state.pending.contains(&signal) => return,
            Some(Disposition::Handle) => state.pending.push_back(signal),
            None if state.is_init || matches!(signal, Signal::Chld | Signal::Cont | Signal::Winch) => return,
            None => state.fatal = state.fatal.or(Some(signal)),
        }
        for waker in state.wakers.drain(..) {
            waker.wake();
        }
    }
}
