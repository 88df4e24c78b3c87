//! Saves the cluster of this tab while it runs, and makes others of it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use gloo::timers::future::TimeoutFuture;

use super::shelf::{self, Entry};
use crate::api::{Api, ApiError, Call};
use crate::text::{NOT_KEPT, t};
use crate::trace::Trace;

/// Between two saves, at least; a large cluster is saved more rarely, so that saving takes a twentieth of the
/// time at most.
const PAUSE_MS: u32 = 1_500;
const SHARE: f64 = 20.0;
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
        });
        wasm_bindgen_futures::spawn_local(Rc::clone(&keeper).run());
        keeper
    }

    async fn run(self: Rc<Self>) {
        let mut pause_ms = PAUSE_MS;
        while !self.stopped.get() {
            TimeoutFuture::new(pause_ms).await;
            self.look().await;
            if self.is_current() && js_sys::Date::now() - self.saved_ms.get() < IDLE_MS {
                continue;
            }
            let start_ms = js_sys::Date::now();
            // A browser that keeps nothing is said where clusters are listed.
            let _ = self.save().await;
            pause_ms = PAUSE_MS.max(((js_sys::Date::now() - start_ms) * SHARE) as u32);
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
        self.entry.borrow_mut().name = name.trim().to_owned();
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
        let state = state(&self.api, &format!("?revision={revision}&time={time}")).await?;
        self.save().await?;
        let name = self.entry().name;
        let base = name.split(" · ").next().unwrap_or(&name);
        self.begin(Some(format!("{base} · {revision}")), &state).await
    }

    /// Goes on with a state, under a name.
    ///
    /// # Errors
    /// When the browser keeps nothing.
    pub async fn begin(&self, name: Option<String>, state: &[u8]) -> Result<(), ApiError> {
        let entry = shelf::fresh(name).await;
        if !shelf::keep(&Entry { bytes: state.len(), ..entry.clone() }, state).await {
            return Err(ApiError(t(NOT_KEPT).into()));
        }
        self.open(&entry.id);
        Ok(())
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
