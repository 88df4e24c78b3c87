//! The cluster's thread: the event loop in wall time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use playground_core::{Cluster, Inlet, Options, PublicApi, Wait};

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
    /// Starts the thread; `options` makes the cluster's options there. Returns when the API answers.
    ///
    /// # Errors
    /// When the thread cannot be started, or the cluster cannot.
    pub fn start(options: impl FnOnce() -> Result<Options> + Send + 'static) -> Result<Self> {
        /// Steps between looks at whether to stop.
        const STEPS_AT_ONCE: usize = 1000;
        let stopping = Arc::new(AtomicBool::new(false));
        let (ready, started) = mpsc::channel();
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
            while !stop.load(Ordering::Acquire) {
                match cluster.run(STEPS_AT_ONCE) {
                    Wait::Ready => {}
                    Wait::For(time) => thread::park_timeout(time),
                    Wait::Idle => thread::park(),
                }
            }
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
