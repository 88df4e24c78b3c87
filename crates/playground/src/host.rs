//! The cluster's thread: the event loop in wall time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use playground_core::{Cluster, Inlet, Options, PublicApi, Versions, Wait};

use crate::durability::DiskWriter;

/// A cluster that runs in a thread of its own.
pub struct Host {
    /// Its API, for any thread.
    pub api: PublicApi,
    /// The way for connections into its network.
    pub inlet: Inlet,
    stopping: Arc<AtomicBool>,
    thread: Thread,
    handle: JoinHandle<()>,
}

/// The host's time: what has gone by since the start.
pub fn host_time() -> Arc<dyn Fn() -> Duration + Send + Sync> {
    let started = Instant::now();
    Arc::new(move || started.elapsed())
}

impl Host {
    /// Starts the thread; `options` makes the cluster's options there, `disks` takes what changes on the disks of the
    /// simulated world. Returns when the API answers.
    ///
    /// # Errors
    /// When the thread cannot be started, or the cluster cannot.
    pub fn start(options: impl FnOnce() -> Result<Options> + Send + 'static, disks: DiskWriter) -> Result<Self> {
        /// Steps between looks at whether to stop.
        const STEPS_AT_ONCE: usize = 1000;
        let stopping = Arc::new(AtomicBool::new(false));
        let (ready, started) = std::sync::mpsc::channel();
        let stop = stopping.clone();
        let run = move || {
            let cluster = match options().and_then(|options| Cluster::new(options).map_err(anyhow::Error::msg)) {
                Ok(cluster) => cluster,
                Err(error) => {
                    let _ = ready.send(Err(error));
                    return;
                }
            };
            let this = thread::current();
            cluster.executor().on_wake(move || this.unpark());
            // Nobody waits any more if the start was given up.
            let _ = ready.send(Ok((cluster.public_api().clone(), cluster.inlet())));
            let mut disks = disks;
            let mut versions = std::mem::take(&mut disks.known);
            versions.retain(|(part, _)| !cluster.leaves_alone(part));
            let mut keeper = Keeper { disks, versions, due: Instant::now() };
            while !stop.load(Ordering::Acquire) {
                let wait = cluster.run(STEPS_AT_ONCE);
                let due = keeper.look(&cluster);
                match (wait, due) {
                    (Wait::Ready, _) => {}
                    (Wait::For(time), due) => thread::park_timeout(due.map_or(time, |due| due.min(time))),
                    (Wait::Idle, Some(due)) => thread::park_timeout(due),
                    (Wait::Idle, None) => thread::park(),
                }
            }
            keeper.keep(&cluster);
        };
        let handle = thread::Builder::new().name("cluster".into()).spawn(run)?;
        let (api, inlet) = started.recv().context("the cluster did not start")??;
        Ok(Self { api, inlet, stopping, thread: handle.thread().clone(), handle })
    }

    /// Ends the event loop.
    pub fn stop(self) {
        self.stopping.store(true, Ordering::Release);
        self.thread.unpark();
        let _ = self.handle.join();
    }
}

/// Between two looks at what has changed on the simulated world's disks, at least; where looking and writing take long,
/// they take a twentieth of the time at most.
const LOOK_PAUSE: Duration = Duration::from_millis(500);
const LOOK_SHARE: u32 = 20;

/// Hands over what changes on the simulated world's disks.
struct Keeper {
    disks: DiskWriter,
    versions: Versions,
    due: Instant,
}

impl Keeper {
    /// Looks at the disks, if it is time to; else says when it will be. While the writer has not taken what it was
    /// told last, it is told nothing more: what changes meanwhile is seen next time.
    fn look(&mut self, cluster: &Cluster) -> Option<Duration> {
        let began = Instant::now();
        if let Some(due) = self.due.checked_duration_since(began).filter(|due| !due.is_zero()) {
            return Some(due);
        }
        if !self.disks.is_free() {
            self.due = began + LOOK_PAUSE;
            return Some(LOOK_PAUSE);
        }
        self.keep(cluster);
        let took = began.elapsed() + self.disks.took();
        self.due = Instant::now() + LOOK_PAUSE.max(took * LOOK_SHARE);
        None
    }

    fn keep(&mut self, cluster: &Cluster) {
        let changed = cluster.save_disks(&mut self.versions);
        if !changed.is_empty() {
            self.disks.write(changed);
        }
    }
}
