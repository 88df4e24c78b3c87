//! The store's disk: a thread writes what was committed, many changes at once, and tells the store how
//! far it has come. Answers to clients wait for it. Beside the store it keeps the disks of the simulated world, as the
//! cluster's thread hands them over.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::Poll;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Result;
use futures::channel::{mpsc, oneshot};
use futures::executor::block_on;
use futures::{Future, StreamExt, future};
use machinery::Timestamp;
use playground_core::{Saved, Versions};
use store::redb::{Disk, Parts};
use store::{JournalEntry, Options, Store};

/// Between attempts to write to a disk that does not take it.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// A version that no part has.
const NEVER: u64 = u64::MAX;

/// How many bytes history may take at most, within the minutes that it is kept.
const HISTORY_BYTES_MAX: usize = 8 << 20;

/// The writer's thread. It ends, and closes the database, when [`Writer::close`] is called.
pub struct Writer {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

/// What a data directory holds.
pub struct Kept {
    /// The store.
    pub store: Store,
    /// The disks of the simulated world.
    pub disks: Saved,
    /// Takes what has changed on them.
    pub changed: DiskWriter,
    /// Writes both.
    pub writer: Writer,
}

/// The writer, for who has parts of disks to write.
pub struct DiskWriter {
    parts: mpsc::UnboundedSender<Parts>,
    progress: Arc<Progress>,
    /// What was there at the start: parts that nobody has any more are to be removed.
    pub known: Versions,
}

/// What the writer has of parts, and how long it took for the last of them.
#[derive(Default)]
struct Progress {
    waiting: AtomicUsize,
    took_ms: AtomicU64,
}

impl DiskWriter {
    /// Whether all that it was told is written, or waits for a disk that takes it.
    pub fn is_free(&self) -> bool {
        self.progress.waiting.load(Ordering::Acquire) == 0
    }

    /// How long it took to write, since this was asked last.
    pub fn took(&self) -> Duration {
        Duration::from_millis(self.progress.took_ms.swap(0, Ordering::Relaxed))
    }

    /// Writes parts, in time.
    pub fn write(&self, parts: Parts) {
        self.progress.waiting.fetch_add(1, Ordering::AcqRel);
        // The writer ends after the cluster's thread.
        let _ = self.parts.unbounded_send(parts);
    }
}

/// What the writer has to do.
enum Work {
    Commits(Vec<JournalEntry>),
    Disks(Parts),
    Stop,
}

/// Opens a data directory.
///
/// # Errors
/// When the directory cannot be used, is in use, or is damaged: one line that says what to do.
pub fn open(directory: &Path) -> Result<Kept> {
    let (mut disk, contents) = Disk::open(directory)?;
    let found = disk.parts()?;
    let known = found.iter().map(|(name, _)| (name.clone(), NEVER)).collect();
    let disks = Saved::new(found.into_iter().map(|(name, bytes)| (name, bytes.into())).collect());
    let (parts, changes) = mpsc::unbounded();
    let progress = Arc::<Progress>::default();
    let changed = DiskWriter { parts, progress: progress.clone(), known };
    let options = Options { journal: true, history_bytes_max: HISTORY_BYTES_MAX, ..Options::default() };
    let store = Store::restore(&options, contents, Timestamp::now());
    let (stop, stopped) = oneshot::channel();
    let writer = {
        let store = store.clone();
        move || write_until(&store, disk, changes, &progress, stopped)
    };
    let thread = std::thread::Builder::new().name("store".into()).spawn(writer)?;
    Ok(Kept { store, disks, changed, writer: Writer { stop, thread } })
}

impl Writer {
    /// Writes what is left, and closes the database.
    pub fn close(self) {
        let _ = self.stop.send(());
        let _ = self.thread.join();
    }
}

fn write_until(
    store: &Store,
    mut disk: Disk,
    mut disks: mpsc::UnboundedReceiver<Parts>,
    progress: &Progress,
    mut stopped: oneshot::Receiver<()>,
) {
    let mut unwritten = Parts::new();
    loop {
        let work = block_on(future::poll_fn(|cx| {
            // First, for commits may come without end; of these there are few.
            if let Poll::Ready(Some(parts)) = disks.poll_next_unpin(cx) {
                return Poll::Ready(Work::Disks(parts));
            }
            if let Poll::Ready(batch) = store.poll_journal(cx) {
                return Poll::Ready(Work::Commits(batch));
            }
            Pin::new(&mut stopped).poll(cx).map(|_| Work::Stop)
        }));
        match work {
            Work::Commits(batch) => {
                let mut told = String::new();
                while let Err(reason) = write(store, &mut disk, &batch) {
                    if reason != told {
                        tracing::error!("{reason}; it is tried again, and changes are refused until then");
                        told = reason;
                    }
                    std::thread::sleep(RETRY_PAUSE);
                    // A full disk must not keep the process from ending: what is lost was never
                    // acknowledged, and the next start knows that this end was not a clean one.
                    if stopped.try_recv() != Ok(None) {
                        return;
                    }
                }
            }
            Work::Disks(parts) => {
                // What could not be written before is not, where there is something newer.
                unwritten.retain(|(name, _)| !parts.iter().any(|(newer, _)| newer == name));
                unwritten.extend(parts);
                let began = Instant::now();
                keep(&mut disk, &mut unwritten);
                let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                progress.took_ms.fetch_add(took, Ordering::Relaxed);
                progress.waiting.fetch_sub(1, Ordering::AcqRel);
            }
            Work::Stop => {
                keep(&mut disk, &mut unwritten);
                if let Err(error) = write(store, &mut disk, &store.take_journal())
                    .and_then(|()| disk.close().map_err(|error| error.to_string()))
                {
                    tracing::error!("{error}");
                }
                return;
            }
        }
    }
}

/// Writes what has changed on the simulated world's disks; what cannot be written is tried again with what changes
/// next. Nobody waits for it: as on a machine whose power goes, what was written last may be lost.
fn keep(disk: &mut Disk, parts: &mut Parts) {
    if parts.is_empty() {
        return;
    }
    match disk.write_parts(parts) {
        Ok(()) => parts.clear(),
        Err(error) => tracing::error!("{error}; files of simulated nodes are not kept"),
    }
}

/// Writes a batch. Whoever waits for an answer learns why if it cannot be written.
fn write(store: &Store, disk: &mut Disk, batch: &[store::JournalEntry]) -> Result<(), String> {
    match disk.write(batch) {
        Ok(revision) => {
            // A batch of leases alone has no revision, but shows that the disk takes writes again.
            store.mark_durable(revision.unwrap_or_default());
            Ok(())
        }
        Err(error) => {
            store.mark_not_durable(error.to_string());
            Err(error.to_string())
        }
    }
}
