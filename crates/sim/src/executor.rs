//! The event loop: tasks in one queue, timers in one heap, time as a value.
//!
//! Tasks are simulated processes (futures) or components of the cluster. Ready tasks are polled first
//! in, first out, those in the foreground in turn with all others; timers fire by time, then by the order in which
//! they were set. Nothing else decides what happens next, so the same inputs give the same history.
//!
//! Virtual time stands still while anything is ready. The simulated world lets [`Executor::run_until`]
//! jump from timer to timer; a host that lives in wall time calls it with the time it has become.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{self, Poll, Wake, Waker};
use std::time::Duration;

use client::{Component, Context};
use machinery::{Clock, Timestamp};

/// A task's name within its executor; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TaskId(u64);

/// A handle to the event loop. Cheap to clone; all clones are one loop on one thread.
#[derive(Clone)]
pub struct Executor {
    shared: Rc<Shared>,
    /// Where what this handle starts waits for its turn.
    lane: Lane,
}

/// Where ready tasks wait.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lane {
    /// What somebody waits for who looks at it.
    Foreground,
    Background,
}

struct Shared {
    clock: Arc<VirtualClock>,
    ready: Arc<ReadyQueue>,
    tasks: RefCell<BTreeMap<TaskId, Slot>>,
    timers: RefCell<BTreeMap<TimerKey, Waker>>,
    last_id: Cell<u64>,
}

/// Timers in the order they fire: time, then the order of setting.
type TimerKey = (Timestamp, u64);

struct Slot {
    waker: Arc<TaskWaker>,
    /// Absent while the task is being polled.
    work: Option<Work>,
    /// The component's own timer, replaced after each poll.
    timer: Option<TimerKey>,
}

enum Work {
    Process(Pin<Box<dyn Future<Output = ()>>>),
    Component(Box<dyn Component>),
}

impl Executor {
    /// An event loop whose time starts at `start`.
    pub fn new(start: Timestamp) -> Self {
        let shared = Shared {
            clock: Arc::new(VirtualClock::new(start)),
            ready: Arc::default(),
            tasks: RefCell::default(),
            timers: RefCell::default(),
            last_id: Cell::new(0),
        };
        Self { shared: Rc::new(shared), lane: Lane::Background }
    }

    /// A handle whose tasks do not wait behind all that is ready, but take turns with it: for what somebody sits in
    /// front of, while a cluster is busy.
    pub fn foreground(&self) -> Self {
        Self { shared: self.shared.clone(), lane: Lane::Foreground }
    }

    /// The loop's clock, to share with the API server and others.
    pub fn clock(&self) -> Arc<dyn Clock> {
        self.shared.clock.clone()
    }

    /// The loop's time.
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// Starts a process; it is first polled when the loop next runs.
    pub fn spawn(&self, process: impl Future<Output = ()> + 'static) -> TaskId {
        self.start(Work::Process(Box::pin(process)))
    }

    /// Starts a component; it is first polled when the loop next runs.
    pub fn spawn_component(&self, component: Box<dyn Component>) -> TaskId {
        self.start(Work::Component(component))
    }

    /// Ends a task where it stands, dropping all it holds. A task that has ended already is ignored.
    pub fn cancel(&self, id: TaskId) {
        let slot = self.shared.tasks.borrow_mut().remove(&id);
        if let Some(key) = slot.as_ref().and_then(|slot| slot.timer) {
            self.shared.timers.borrow_mut().remove(&key);
        }
        // Dropped here, with nothing borrowed: what the task held may wake or cancel others.
        drop(slot);
    }

    /// Whether the task has not ended yet.
    pub fn is_running(&self, id: TaskId) -> bool {
        self.shared.tasks.borrow().contains_key(&id)
    }

    /// Waits for a span of the loop's time.
    pub fn sleep(&self, duration: Duration) -> Sleep {
        self.sleep_until(self.now().saturating_add(duration).unwrap_or(Timestamp::MAX))
    }

    /// Waits until the loop's time has reached `deadline`.
    pub fn sleep_until(&self, deadline: Timestamp) -> Sleep {
        Sleep { executor: self.clone(), deadline, key: None }
    }

    /// Does one thing: polls the next ready task, or else lets time pass to the next timer not after
    /// `limit` and fires it. False when there was nothing to do up to `limit`; time then is `limit`,
    /// unless it was later already.
    pub fn step(&self, limit: Timestamp) -> bool {
        if let Some(id) = self.shared.ready.pop() {
            self.poll(id);
            return true;
        }
        let due = self.shared.timers.borrow().first_key_value().map(|(key, _)| *key).filter(|(time, _)| *time <= limit);
        if let Some(key) = due {
            self.shared.clock.advance_to(key.0);
            let waker = self.shared.timers.borrow_mut().remove(&key);
            if let Some(waker) = waker {
                waker.wake();
            }
            return true;
        }
        self.shared.clock.advance_to(limit);
        false
    }

    /// Lets time pass to `time`, though not beyond the next timer, before ready tasks are polled: for a
    /// host that was woken by something from outside, which happens now and not when it fell asleep.
    pub fn advance_to(&self, time: Timestamp) {
        let next = self.shared.timers.borrow().first_key_value().map(|(key, _)| key.0);
        self.shared.clock.advance_to(next.map_or(time, |next| next.min(time)));
    }

    /// Runs everything there is to do up to `limit`, jumping from timer to timer.
    pub fn run_until(&self, limit: Timestamp) {
        while self.step(limit) {}
    }

    /// Polls ready tasks until none is ready; time stands still.
    pub fn run_ready(&self) {
        while let Some(id) = self.shared.ready.pop() {
            self.poll(id);
        }
    }

    /// Whether a task is ready to be polled.
    pub fn has_ready(&self) -> bool {
        !self.shared.ready.lock().is_empty()
    }

    /// The time of the next timer, if any is set.
    pub fn next_timer(&self) -> Option<Timestamp> {
        self.shared.timers.borrow().first_key_value().map(|((time, _), _)| *time)
    }

    /// Runs the loop until `future` is ready or nothing is left to do up to `limit`. The tasks of
    /// the loop run meanwhile, except those that are being polled around this call.
    pub fn block_on<T>(&self, limit: Timestamp, future: impl Future<Output = T>) -> Option<T> {
        let mut future = std::pin::pin!(future);
        let flag = Arc::new(Flag(AtomicBool::new(true)));
        let waker = Waker::from(flag.clone());
        loop {
            if flag.0.swap(false, Ordering::AcqRel)
                && let Poll::Ready(value) = future.as_mut().poll(&mut task::Context::from_waker(&waker))
            {
                return Some(value);
            }
            if !flag.0.load(Ordering::Acquire) && !self.step(limit) {
                return None;
            }
        }
    }

    /// Calls `notify` whenever a task becomes ready, from whichever thread woke it: a host that sleeps
    /// between steps learns that there is work. Only the first call counts.
    pub fn on_wake(&self, notify: impl Fn() + Send + Sync + 'static) {
        let _ = self.shared.ready.notify.set(Box::new(notify));
    }

    fn start(&self, work: Work) -> TaskId {
        let id = TaskId(self.next_id());
        let waker = Arc::new(TaskWaker {
            id,
            lane: self.lane,
            ready: self.shared.ready.clone(),
            queued: AtomicBool::new(false),
        });
        let slot = Slot { waker: waker.clone(), work: Some(work), timer: None };
        self.shared.tasks.borrow_mut().insert(id, slot);
        waker.wake();
        id
    }

    fn poll(&self, id: TaskId) {
        let (mut work, task_waker) = {
            let mut tasks = self.shared.tasks.borrow_mut();
            let Some(slot) = tasks.get_mut(&id) else { return };
            if let Some(key) = slot.timer.take() {
                self.shared.timers.borrow_mut().remove(&key);
            }
            let Some(work) = slot.work.take() else { return };
            slot.waker.queued.store(false, Ordering::Release);
            (work, slot.waker.clone())
        };
        let waker = Waker::from(task_waker);
        let mut timer = None;
        let ended = match &mut work {
            Work::Process(process) => process.as_mut().poll(&mut task::Context::from_waker(&waker)).is_ready(),
            Work::Component(component) => {
                let mut cx = Context::new(self.now(), &waker);
                component.poll(&mut cx);
                timer = cx.next_wake();
                false
            }
        };
        let key = timer.map(|time| (time.max(self.now()), self.next_id()));
        // The task may have been cancelled while it was polled; then it is dropped below.
        let mut tasks = self.shared.tasks.borrow_mut();
        if ended {
            tasks.remove(&id);
        } else if let Some(slot) = tasks.get_mut(&id) {
            slot.work = Some(work);
            slot.timer = key;
            if let Some(key) = key {
                self.shared.timers.borrow_mut().insert(key, waker);
            }
            return;
        }
        drop(tasks);
        drop(work);
    }

    fn next_id(&self) -> u64 {
        self.shared.last_id.set(self.shared.last_id.get() + 1);
        self.shared.last_id.get()
    }
}

/// The future of [`Executor::sleep`]. Dropping it takes its timer back.
pub struct Sleep {
    executor: Executor,
    deadline: Timestamp,
    key: Option<TimerKey>,
}

impl Sleep {
    fn clear(&mut self) {
        if let Some(key) = self.key.take() {
            self.executor.shared.timers.borrow_mut().remove(&key);
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<()> {
        if self.executor.now() >= self.deadline {
            self.clear();
            return Poll::Ready(());
        }
        // The place among timers of the same time is that of the first poll.
        let key = self.key.unwrap_or_else(|| (self.deadline, self.executor.next_id()));
        self.key = Some(key);
        self.executor.shared.timers.borrow_mut().insert(key, cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Time that only the executor moves. Nanoseconds since the epoch, readable from any thread.
struct VirtualClock(AtomicI64);

impl VirtualClock {
    fn new(start: Timestamp) -> Self {
        Self(AtomicI64::new(nanoseconds(start)))
    }

    fn advance_to(&self, time: Timestamp) {
        self.0.fetch_max(nanoseconds(time), Ordering::AcqRel);
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_nanosecond(i128::from(self.0.load(Ordering::Acquire))).unwrap_or(Timestamp::MAX)
    }
}

/// The years 1677 to 2262, which is all that 64 bits hold.
fn nanoseconds(time: Timestamp) -> i64 {
    i64::try_from(time.as_nanosecond()).unwrap_or(if time.as_nanosecond() < 0 { i64::MIN } else { i64::MAX })
}

#[derive(Default)]
struct ReadyQueue {
    lanes: Mutex<Lanes>,
    notify: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl ReadyQueue {
    fn lock(&self) -> std::sync::MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pop(&self) -> Option<TaskId> {
        self.lock().pop()
    }
}

#[derive(Default)]
struct Lanes {
    foreground: VecDeque<TaskId>,
    background: VecDeque<TaskId>,
    /// Whether the next turn is the background's, if it has anything to do.
    others: bool,
}

impl Lanes {
    fn is_empty(&self) -> bool {
        self.foreground.is_empty() && self.background.is_empty()
    }

    fn push(&mut self, lane: Lane, id: TaskId) {
        match lane {
            Lane::Foreground => self.foreground.push_back(id),
            Lane::Background => self.background.push_back(id),
        }
    }

    fn pop(&mut self) -> Option<TaskId> {
        let foreground = !self.foreground.is_empty() && (!self.others || self.background.is_empty());
        self.others = foreground;
        if foreground { self.foreground.pop_front() } else { self.background.pop_front() }
    }
}

struct TaskWaker {
    id: TaskId,
    lane: Lane,
    ready: Arc<ReadyQueue>,
    queued: AtomicBool,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::AcqRel) {
            self.ready.lock().push(self.lane, self.id);
            if let Some(notify) = self.ready.notify.get() {
                notify();
            }
        }
    }
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn what_comes_from_outside_finds_the_present_but_no_timer_is_passed() {
        let executor = Executor::new(at(0));
        let seen = Rc::new(Cell::new(0));
        let look = |executor: &Executor| {
            let (handle, told) = (executor.clone(), seen.clone());
            executor.spawn(async move { told.set(handle.now().as_second()) });
            executor.run_ready();
            seen.get()
        };
        executor.advance_to(at(7));
        assert_eq!(look(&executor), 7);
        let sleeper = executor.clone();
        executor.spawn(async move { sleeper.sleep(Duration::from_secs(2)).await });
        executor.run_ready();
        executor.advance_to(at(20));
        assert_eq!(look(&executor), 9);
    }

    #[test]
    fn the_foreground_takes_turns_with_all_that_is_ready() {
        let executor = Executor::new(at(0));
        let log = Rc::new(RefCell::new(String::new()));
        let write = |executor: &Executor, letters: [char; 3]| {
            for letter in letters {
                let log = log.clone();
                executor.spawn(async move { log.borrow_mut().push(letter) });
            }
        };
        write(&executor, ['a', 'b', 'c']);
        write(&executor.foreground(), ['1', '2', '3']);
        write(&executor, ['d', 'e', 'f']);
        executor.run_ready();
        assert_eq!(*log.borrow(), "1a2b3cdef");
    }

    #[test]
    fn timers_fire_by_time_then_by_order_of_setting() {
        let executor = Executor::new(at(0));
        let log = Rc::new(RefCell::new(Vec::new()));
        for (name, delay) in [("late", 3), ("first", 1), ("second", 1)] {
            let (handle, log) = (executor.clone(), log.clone());
            executor.spawn(async move {
                handle.sleep(Duration::from_secs(delay)).await;
                log.borrow_mut().push((name, handle.now().as_second()));
            });
        }
        executor.run_until(at(2));
        assert_eq!(*log.borrow(), [("first", 1), ("second", 1)]);
        assert_eq!(executor.now(), at(2));
        executor.run_until(at(10));
        assert_eq!(log.borrow().last(), Some(&("late", 3)));
        assert_eq!(executor.next_timer(), None);
    }

    struct Ticker {
        ticks: Rc<Cell<u32>>,
    }

    impl Component for Ticker {
        fn name(&self) -> &str {
            "ticker"
        }
        fn poll(&mut self, cx: &mut Context<'_>) {
            self.ticks.set(self.ticks.get() + 1);
            cx.wake_at(cx.now().saturating_add(Duration::from_secs(10)).unwrap());
        }
    }

    #[test]
    fn a_component_is_polled_when_its_time_has_come_and_not_after_its_cancellation() {
        let executor = Executor::new(at(0));
        let ticks = Rc::new(Cell::new(0));
        let id = executor.spawn_component(Box::new(Ticker { ticks: ticks.clone() }));
        executor.run_until(at(25));
        assert_eq!(ticks.get(), 3);
        executor.cancel(id);
        assert!(!executor.is_running(id));
        executor.run_until(at(100));
        assert_eq!(ticks.get(), 3);
        assert_eq!(executor.next_timer(), None);
    }

    #[test]
    fn a_dropped_sleep_leaves_no_timer() {
        let executor = Executor::new(at(0));
        let handle = executor.clone();
        let id = executor.spawn(async move { handle.sleep(Duration::from_secs(5)).await });
        executor.run_ready();
        assert_eq!(executor.next_timer(), Some(at(5)));
        executor.cancel(id);
        assert_eq!(executor.next_timer(), None);
    }

    #[test]
    fn blocking_runs_the_other_tasks_meanwhile() {
        let executor = Executor::new(at(0));
        let (sender, receiver) = futures::channel::oneshot::channel();
        let handle = executor.clone();
        executor.spawn(async move {
            handle.sleep(Duration::from_secs(1)).await;
            let _ = sender.send("answer");
        });
        assert_eq!(executor.block_on(at(60), receiver), Some(Ok("answer")));
        assert_eq!(executor.block_on(at(61), std::future::pending::<()>()), None);
        assert_eq!(executor.now(), at(61));
    }
}
