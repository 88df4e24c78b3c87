//! The Worker's loop: short turns of the cluster's event loop, and between them the browser's.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use gloo::timers::callback::Timeout;
use js_sys::Reflect;
use machinery::Timestamp;
use machinery::wire::{Request, Response};
use playground_core::control::{ClockPatch, ClockStatus};
use wasm_bindgen::prelude::*;
use web_sys::{MessageChannel, Performance};

use super::Machine;
use super::pace::Pace;

/// A turn is over after this long, so that calls are answered in between.
const TURN_MS: f64 = 8.0;
/// Steps between two looks at the host's clock.
const STEPS: usize = 32;
/// A cluster that is later than this has more to do than the host can: it goes on from where it is.
const LATE_MAX: Duration = Duration::from_millis(500);
/// The loop looks again after this long at the latest.
const SLEEP_MS_MAX: f64 = 1_000.0;

thread_local! {
    static TURNS: RefCell<Option<Rc<Turns>>> = const { RefCell::new(None) };
}

/// The loop and its cluster.
pub struct Turns {
    machine: Rc<dyn Machine>,
    pace: RefCell<Pace>,
    performance: Performance,
    channel: MessageChannel,
    on_turn: RefCell<Option<Closure<dyn Fn()>>>,
    /// Whether a turn is going to come at once.
    soon: Cell<bool>,
    timer: RefCell<Option<Timeout>>,
}

impl Turns {
    /// Starts the loop.
    pub fn start(machine: Rc<dyn Machine>) -> Rc<Self> {
        let performance: Performance =
            Reflect::get(&js_sys::global(), &"performance".into()).unwrap_throw().unchecked_into();
        let pace = RefCell::new(Pace::new(performance.now(), machine.now()));
        let turns = Rc::new(Self {
            machine,
            pace,
            performance,
            channel: MessageChannel::new().unwrap_throw(),
            on_turn: RefCell::default(),
            soon: Cell::new(false),
            timer: RefCell::default(),
        });
        let weak = Rc::downgrade(&turns);
        let on_turn = Closure::<dyn Fn()>::new(move || {
            if let Some(turns) = weak.upgrade() {
                turns.soon.set(false);
                turns.turn();
            }
        });
        turns.channel.port1().set_onmessage(Some(on_turn.as_ref().unchecked_ref()));
        turns.on_turn.replace(Some(on_turn));
        TURNS.set(Some(Rc::clone(&turns)));
        turns.machine.on_wake(|| {
            TURNS.with_borrow(|turns| {
                if let Some(turns) = turns {
                    turns.come_soon();
                }
            });
        });
        turns.come_soon();
        turns
    }

    /// Passes a request to the cluster.
    pub fn handle(&self, request: Request) -> futures::future::LocalBoxFuture<'static, Response> {
        self.machine.handle(request)
    }

    /// What the clock says.
    pub fn clock(&self) -> ClockStatus {
        self.pace.borrow().status(self.machine.now())
    }

    /// Changes the clock.
    ///
    /// # Errors
    /// What is wrong with the change.
    pub fn patch_clock(&self, patch: &ClockPatch) -> Result<ClockStatus, String> {
        self.pace.borrow_mut().patch(patch, self.performance.now(), self.machine.now())?;
        self.come_soon();
        Ok(self.clock())
    }

    /// Goes to the next event, and all that follows from it in the same instant.
    pub fn step_clock(&self) -> ClockStatus {
        let next = self.machine.next_timer().unwrap_or_else(|| self.machine.now());
        let start_ms = self.performance.now();
        while self.machine.step(next) && self.performance.now() - start_ms < TURN_MS * 10.0 {}
        self.pace.borrow_mut().restart(self.performance.now(), self.machine.now());
        self.come_soon();
        self.clock()
    }

    fn turn(&self) {
        self.timer.take();
        let start_ms = self.performance.now();
        let limit = self.pace.borrow().limit(start_ms);
        loop {
            let more = (0..STEPS).all(|_| self.machine.step(limit));
            if !more {
                return self.sleep();
            }
            if self.performance.now() - start_ms >= TURN_MS {
                break;
            }
        }
        let now = self.machine.now();
        if limit.duration_since(now).unsigned_abs() > LATE_MAX {
            self.pace.borrow_mut().restart(self.performance.now(), now);
        }
        self.come_soon();
    }

    /// Nothing is due: come back when something is.
    fn sleep(&self) {
        if self.machine.has_ready() {
            return self.come_soon();
        }
        let now_ms = self.performance.now();
        let due = |next: Timestamp| self.pace.borrow().wait_ms(now_ms, next);
        let Some(wait_ms) = self.machine.next_timer().and_then(due) else { return };
        TURNS.with_borrow(|turns| {
            let turns = turns.clone();
            let again = move || {
                if let Some(turns) = turns {
                    turns.turn();
                }
            };
            *self.timer.borrow_mut() = Some(Timeout::new(wait_ms.min(SLEEP_MS_MAX).ceil() as u32, again));
        });
    }

    /// A message to oneself comes sooner than any timer.
    fn come_soon(&self) {
        if !self.soon.replace(true) && self.channel.port2().post_message(&JsValue::NULL).is_err() {
            self.soon.set(false);
        }
    }
}
