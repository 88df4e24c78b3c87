//! Saves the cluster of this tab while it runs, and makes others of it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use futures::StreamExt;
use futures::channel::mpsc;
use futures::future::{Either, select};
use gloo::events::{EventListener, EventListenerOptions};
use gloo::timers::future::TimeoutFuture;
use wasm_bindgen::JsCast;
use web_sys::KeyboardEvent;

use super::shelf::{self, Entry, Mark};
use crate::api::{Api, ApiError, Call};
use crate::text::{NOT_KEPT, t};
use crate::trace::{Trace, UndoPoint};

/// Between two looks whether there is something to save. Saving takes a twentieth of the time at most.
const PAUSE_MS: f64 = 1_500.0;
const SHARE: f64 = 20.0;
/// The same for some time after a person has done something: what a command has changed is saved by the time its answer
/// has been read. Saving takes a fifth of that time at most, and a large cluster is saved more rarely: so many bytes in
/// a millisecond.
const SOON_MS: f64 = 100.0;
const SOON_FOR_MS: f64 = 2_000.0;
const SHARE_SOON: f64 = 4.0;
const BYTES_PER_MS: f64 = 5_000.0;
/// Time alone is worth a save this often.
const IDLE_MS: f64 = 15_000.0;

/// Saves the cluster of this tab.
pub struct Keeper {
    api: Api,
    trace: Rc<Trace>,
    entry: RefCell<Entry>,
    /// How many hops there had been at the last save.
    seen: Cell<Option<usize>>,
    /// The version of all that can be saved, now and at the last save: files change without a hop.
    version: RefCell<String>,
    saved: RefCell<String>,
    saved_ms: Cell<f64>,
    stopped: Cell<bool>,
    /// Whether a branch of this cluster is being made.
    branching: Cell<bool>,
}

impl Keeper {
    /// Saves a cluster from now on, for as long as the page lives.
    pub fn start(api: &Api, entry: Entry, trace: &Rc<Trace>) -> Rc<Self> {
        let keeper = Rc::new(Self {
            api: api.clone(),
            trace: Rc::clone(trace),
            entry: RefCell::new(entry),
            seen: Cell::new(None),
            version: RefCell::default(),
            saved: RefCell::default(),
            saved_ms: Cell::new(0.0),
            stopped: Cell::new(false),
            branching: Cell::new(false),
        });
        wasm_bindgen_futures::spawn_local(Rc::clone(&keeper).run(acts()));
        keeper
    }

    async fn run(self: Rc<Self>, mut acts: mpsc::Receiver<()>) {
        // When the last save ended, how long it took, and until when a person's act is fresh.
        let (mut ended_ms, mut took_ms, mut fresh_ms) = (0.0, 0.0, 0.0);
        while !self.stopped.get() {
            let pause = |acted: bool| {
                let bytes = self.entry.borrow().bytes;
                TimeoutFuture::new(pause_ms(acted, took_ms, bytes, js_sys::Date::now() - ended_ms))
            };
            if let Either::Right(_) = select(pause(js_sys::Date::now() < fresh_ms), acts.next()).await {
                fresh_ms = js_sys::Date::now() + SOON_FOR_MS;
                // Whoever goes may not come back; everybody else waits for an answer first.
                let hidden = || gloo::utils::document().hidden();
                let mut answer = pause(true);
                while !hidden()
                    && let Either::Right((Some(()), rest)) = select(answer, acts.next()).await
                {
                    answer = rest;
                }
            }
            self.look().await;
            if self.is_current() && js_sys::Date::now() - self.saved_ms.get() < IDLE_MS {
                continue;
            }
            let start_ms = js_sys::Date::now();
            // A browser that keeps nothing is said where clusters are listed.
            let _ = self.save().await;
            ended_ms = js_sys::Date::now();
            took_ms = ended_ms - start_ms;
        }
    }

    /// Whether all that has passed is saved.
    pub fn is_current(&self) -> bool {
        self.seen.get() == Some(self.trace.count()) && *self.version.borrow() == *self.saved.borrow()
    }

    async fn look(&self) {
        if let Ok(version) = self.api.json(Call::get("/playground/v1/saved/version")).await {
            *self.version.borrow_mut() = crate::world::text(&version, "/version").to_owned();
        }
    }

    /// What is told of the cluster.
    pub fn entry(&self) -> Entry {
        self.entry.borrow().clone()
    }

    /// Gives the cluster another name.
    pub async fn rename(&self, name: &str) {
        {
            let mut entry = self.entry.borrow_mut();
            (entry.name, entry.mark) = (name.trim().to_owned(), Mark::Named);
        }
        shelf::tell(&self.entry()).await;
    }

    /// Saves the cluster now.
    ///
    /// # Errors
    /// When the cluster does not answer, or the browser keeps nothing.
    pub async fn save(&self) -> Result<(), ApiError> {
        let seen = self.trace.count();
        self.look().await;
        let version = self.version.borrow().clone();
        let state = state(&self.api, "").await?;
        if self.stopped.get() {
            return Ok(());
        }
        {
            let mut entry = self.entry.borrow_mut();
            (entry.at_ms, entry.bytes) = (js_sys::Date::now(), state.len());
        }
        if !shelf::keep(&self.entry(), &state).await {
            return Err(ApiError(t(NOT_KEPT).into()));
        }
        self.seen.set(Some(seen));
        *self.saved.borrow_mut() = version;
        self.saved_ms.set(js_sys::Date::now());
        Ok(())
    }

    /// Goes on with the cluster as it was at a revision and its time. The present stays where it is saved.
    ///
    /// # Errors
    /// When the cluster does not answer, has forgotten the revision, or the browser keeps nothing.
    pub async fn fork(&self, revision: u64, time: &str) -> Result<(), ApiError> {
        self.branch(revision, time, Mark::Begun).await
    }

    /// Goes on with the cluster as it was, in place of what the undo before this one has made, if this is it.
    ///
    /// # Errors
    /// As [`Self::fork`].
    pub async fn undo(&self, point: &UndoPoint) -> Result<(), ApiError> {
        self.branch(point.revision, &point.time, Mark::Undo).await
    }

    async fn branch(&self, revision: u64, time: &str, mark: Mark) -> Result<(), ApiError> {
        // One at a time: the page comes anew with it.
        if self.branching.replace(true) {
            return Ok(());
        }
        let done = async {
            let state = state(&self.api, &format!("?revision={revision}&time={time}")).await?;
            let old = self.entry();
            let replaced = (old.mark, mark) == (Mark::Undo, Mark::Undo);
            if !replaced {
                self.save().await?;
            }
            let base = old.name.split(" · ").next().unwrap_or(&old.name);
            let entry = self.keep_new(Some(format!("{base} · {revision}")), &state, mark).await?;
            self.leave();
            if replaced {
                shelf::remove(&old.id).await;
            }
            self.open(&entry.id);
            Ok(())
        };
        let done = done.await;
        self.branching.set(done.is_ok());
        done
    }

    /// Goes on with a state, under a name.
    ///
    /// # Errors
    /// When the browser keeps nothing.
    pub async fn begin(&self, name: Option<String>, state: &[u8]) -> Result<(), ApiError> {
        let entry = self.keep_new(name, state, Mark::Begun).await?;
        self.open(&entry.id);
        Ok(())
    }

    async fn keep_new(&self, name: Option<String>, state: &[u8], mark: Mark) -> Result<Entry, ApiError> {
        let entry = Entry { bytes: state.len(), mark, ..shelf::fresh(name).await };
        match shelf::keep(&entry, state).await {
            true => Ok(entry),
            false => Err(ApiError(t(NOT_KEPT).into())),
        }
    }

    /// Goes on with another saved cluster.
    pub fn open(&self, id: &str) {
        self.leave();
        shelf::set_current(id);
        reload();
    }

    /// Goes on with a new cluster of so many nodes.
    pub fn begin_anew(&self, nodes: u16) {
        self.leave();
        shelf::begin_anew(nodes);
        reload();
    }

    /// Throws this cluster away for a new one.
    pub async fn reset(&self) {
        self.leave();
        shelf::remove(&self.entry().id).await;
        shelf::begin_anew(shelf::nodes());
        reload();
    }

    fn leave(&self) {
        self.stopped.set(true);
    }
}

/// How long to wait, in milliseconds, after a person has done something or not, where the last save took so long, of
/// so many bytes, and ended so long ago.
fn pause_ms(acted: bool, took_ms: f64, bytes: usize, since_ms: f64) -> u32 {
    let (least_ms, apart_ms) = match acted {
        true => (SOON_MS, (bytes as f64 / BYTES_PER_MS).max(took_ms * SHARE_SOON)),
        false => (PAUSE_MS, took_ms * SHARE),
    };
    least_ms.max(apart_ms - since_ms) as u32
}

/// What a person does by which a cluster may change, for as long as the page lives: Enter, a click, what is pasted or
/// dropped; and that the page is hidden, or left. Of several at once, one is told.
fn acts() -> mpsc::Receiver<()> {
    let (tell, acts) = mpsc::channel(0);
    let Some(window) = web_sys::window() else { return acts };
    let document = gloo::utils::document();
    let hear = |target: &web_sys::EventTarget, event: &'static str| {
        let tell = RefCell::new(tell.clone());
        let early = EventListenerOptions::run_in_capture_phase();
        EventListener::new_with_options(target, event, early, move |event| {
            if event.dyn_ref::<KeyboardEvent>().is_none_or(|event| event.key() == "Enter") {
                // One that is not heard yet stands for this too; whoever has ended saves no more.
                let _ = tell.borrow_mut().try_send(());
            }
        })
        .forget();
    };
    for event in ["keydown", "click", "paste", "drop"] {
        hear(&window, event);
    }
    hear(&document, "visibilitychange");
    acts
}

/// A cluster's state, which the query chooses.
///
/// # Errors
/// When the cluster does not answer with it.
pub async fn state(api: &Api, query: &str) -> Result<Vec<u8>, ApiError> {
    let answer = api.send(Call::get(format!("/playground/v1/saved{query}"))).await?;
    let status = answer.status;
    let bytes = answer.bytes().await;
    if status == 200 {
        return Ok(bytes);
    }
    let status: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
    Err(ApiError(crate::world::text(&status, "/message").to_owned()))
}

/// Shows the page anew.
pub fn reload() {
    if let Some(window) = web_sys::window() {
        // A page that is going away already needs no reload.
        let _ = window.location().reload();
    }
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::pause_ms;

    #[wasm_bindgen_test]
    fn what_a_person_does_is_saved_at_once() {
        const SMALL: usize = 500_000;
        const LARGE: usize = 30_000_000;
        assert_eq!(pause_ms(true, 20.0, SMALL, 0.0), 100);
        assert_eq!(pause_ms(true, 5_000.0, SMALL, 1_000.0), 19_000);
        assert_eq!(pause_ms(true, 5_000.0, LARGE, 60_000.0), 100);
        assert_eq!(pause_ms(true, 500.0, LARGE, 1_000.0), 5_000);
        assert_eq!(pause_ms(false, 5.0, SMALL, 0.0), 1_500);
        assert_eq!(pause_ms(false, 500.0, LARGE, 1_000.0), 9_000);
    }
}
