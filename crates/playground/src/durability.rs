//! The store's disk: a thread writes what was committed, many changes at once, and tells the store how
//! far it has come. Answers to clients wait for it.

use std::path::Path;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Result;
use futures::channel::oneshot;
use futures::executor::block_on;
use futures::future::{self, Either};
use machinery::Timestamp;
use store::redb::Disk;
use store::{Options, Store};

/// Between attempts to write to a disk that does not take it.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// How many bytes history may take at most, within the minutes that it is kept.
const HISTORY_BYTES_MAX: usize = 8 << 20;

/// The writer's thread. It ends, and closes the database, when [`Writer::close`] is called.
pub struct Writer {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

/// Opens the store of a data directory.
///
/// # Errors
/// When the directory cannot be used, is in use, or is damaged: one line that says what to do.
pub fn open(directory: &Path) -> Result<(Store, Writer)> {
    let (disk, contents) = Disk::open(directory)?;
    let options = Options { journal: true, history_bytes_max: HISTORY_BYTES_MAX, ..Options::default() };
    let store = Store::restore(&options, contents, Timestamp::now());
    let (stop, stopped) = oneshot::channel();
    let writer = {
        let store = store.clone();
        move || write_until(&store, disk, stopped)
    };
    let thread = std::thread::Builder::new().name("store".into()).spawn(writer)?;
    Ok((store, Writer { stop, thread }))
}

impl Writer {
    /// Writes what is left, and closes the database.
    pub fn close(self) {
        let _ = self.stop.send(());
        let _ = self.thread.join();
    }
}

fn write_until(store: &Store, mut disk: Disk, mut stopped: oneshot::Receiver<()>) {
    loop {
        let batch = future::poll_fn(|cx| store.poll_journal(cx));
        match block_on(future::select(batch, &mut stopped)) {
            Either::Left((batch, _)) => {
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
            Either::Right(_) => {
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
