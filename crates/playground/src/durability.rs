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
    let options = Options { journal: true, ..Options::default() };
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

fn write_until(store: &Store, disk: Disk, mut stopped: oneshot::Receiver<()>) {
    loop {
        let batch = future::poll_fn(|cx| store.poll_journal(cx));
        match block_on(future::select(batch, &mut stopped)) {
            Either::Left((batch, _)) => {
                while !write(store, &disk, &batch) {
                    std::thread::sleep(RETRY_PAUSE);
                }
            }
            Either::Right(_) => {
                // Tried once: a full disk must not keep the process from ending.
                write(store, &disk, &store.take_journal());
                if let Err(error) = disk.close() {
                    tracing::error!("{error}");
                }
                return;
            }
        }
    }
}

/// Writes a batch; whether it is written. Whoever waits for an answer learns why if it is not.
fn write(store: &Store, disk: &Disk, batch: &[store::JournalEntry]) -> bool {
    match disk.write(batch) {
        Ok(revision) => {
            if let Some(revision) = revision {
                store.mark_durable(revision);
            }
            true
        }
        Err(error) => {
            tracing::error!("{error}");
            store.mark_not_durable(error.to_string());
            false
        }
    }
}
