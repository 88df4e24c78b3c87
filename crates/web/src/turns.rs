//! The Worker's loop: short turns of the cluster's event loop, and between them the browser's.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use gloo::timers::callback::Timeout;
use playground_core::{Cluster, Wait};
use wasm_bindgen::prelude::*;
use web_sys::MessageChannel;

use crate::now_ms;
use crate::room::Room;

/// A turn is over after this long, so that calls are answered in between.
const TURN_MS: f64 = 8.0;
/// Steps between two looks at the browser's clock: the first of a kind take milliseconds, while they are compiled.
const STEPS: usize = 4;
/// The loop looks again after this long at the latest: speed may have changed meanwhile.
const SLEEP_MS_MAX: u32 = 250;

thread_local! {
    /// For the executor's wake-ups, which may come from any thread by their type and carry nothing.
    static TURNS: RefCell<Option<Rc<Turns>>> = const { RefCell::new(None) };
}

/// The loop and its cluster.
struct Turns {
    cluster: Rc<Cluster>,
    room: Room,
    channel: MessageChannel,
    on_turn: RefCell<Option<Closure<dyn Fn()>>>,
    /// Whether a turn is going to come at once.
    soon: Cell<bool>,
    timer: RefCell<Option<Timeout>>,
}

/// Starts the loop, which runs for as long as the Worker lives.
///
/// # Errors
/// When there is no MessageChannel.
pub fn start(cluster: Rc<Cluster>, room: Room) -> Result<(), JsValue> {
    let turns = Rc::new(Turns {
        cluster,
        room,
        channel: MessageChannel::new()?,
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
    turns.cluster.executor().on_wake(come_soon);
    TURNS.set(Some(turns));
    come_soon();
    Ok(())
}

fn come_soon() {
    TURNS.with_borrow(|turns| {
        if let Some(turns) = turns {
            turns.come_soon();
        }
    });
}

impl Turns {
    fn turn(&self) {
        self.timer.take();
        self.room.make();
        let start_ms = now_ms();
        loop {
            match self.cluster.run(STEPS) {
                Wait::Ready if now_ms() - start_ms < TURN_MS => {}
                Wait::Ready => return self.come_soon(),
                Wait::For(wait) => return self.come_after(u32::try_from(wait.as_millis()).unwrap_or(u32::MAX)),
                Wait::Idle => return self.come_after(SLEEP_MS_MAX),
            }
        }
    }

    /// A message to oneself comes sooner than any timer.
    fn come_soon(&self) {
        if !self.soon.replace(true) && self.channel.port2().post_message(&JsValue::NULL).is_err() {
            self.soon.set(false);
        }
    }

    fn come_after(&self, wait_ms: u32) {
        let again = Timeout::new(wait_ms.saturating_add(1).min(SLEEP_MS_MAX), come_soon);
        *self.timer.borrow_mut() = Some(again);
    }
}
