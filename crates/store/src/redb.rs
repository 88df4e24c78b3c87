//! The store on one machine's disk, by `redb`.
//!
//! The host opens a [`Disk`], restores the store from what it read, and then writes the journal in
//! batches, each one transaction of the database: group commit.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{Database, DatabaseError, Durability, ReadableDatabase, ReadableTable, TableDefinition, TableError};
use thiserror::Error;

use crate::journal::{Contents, JournalEntry};
use crate::record::{decode, encode};

const KEYS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("keys");
const LEASES: TableDefinition<'_, i64, i64> = TableDefinition::new("leases");
const DISKS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("disks");
const META: TableDefinition<'_, &str, i64> = TableDefinition::new("meta");

const FORMAT: i64 = 1;
const FILE_NAME: &str = "store.redb";

/// Clients may have seen revisions that were not written before an unclean stop. The store goes on
/// this far ahead, so that none of them is ever used again for something else.
const REVISIONS_SKIPPED_AFTER_CRASH: i64 = 1_000_000;

/// What a host keeps beside the store, by name; none for what is gone.
pub type Parts = Vec<(String, Option<Vec<u8>>)>;

/// What is wrong with the disk, in one line that says what to do.
#[derive(Debug, Error)]
pub enum DiskError {
    /// The directory cannot be made or written.
    #[error("cannot use the data directory {}: {reason}; choose another with --data-dir or change its permissions", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// Another process has it open.
    #[error("the data directory {} is in use by another process; stop it or choose another with --data-dir", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// What is there is not a database of this program, or is damaged.
    #[error("the database {} is damaged or not of this version: {reason}; move it away to start empty", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// A batch could not be written.
    #[error("cannot write to {}: {reason}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says: the disk is full, …
        reason: String,
    },
}

/// What the database may keep of the file in memory. Everything is in memory already: it is read once, at the
/// start, and then only written.
const CACHE_BYTES_MAX: usize = 4 << 20;

fn open_file(path: &Path) -> Result<Database, DatabaseError> {
    Database::builder().set_cache_size(CACHE_BYTES_MAX).create(path)
}

/// An open database.
pub struct Disk {
    path: PathBuf,
    /// Absent after a write has failed: redb takes no other until the database is opened anew.
    database: Option<Database>,
}

impl Disk {
    /// Opens the database in a directory, both made if absent, and reads everything.
    ///
    /// # Errors
    /// [`DiskError`], all but `Write`.
    pub fn open(directory: &Path) -> Result<(Self, Contents), DiskError> {
        let unusable = |reason: String| DiskError::Directory { path: directory.to_path_buf(), reason };
        std::fs::create_dir_all(directory).map_err(|error| unusable(error.to_string()))?;
        let path = directory.join(FILE_NAME);
        let corrupt = |reason: String| DiskError::Corrupt { path: path.clone(), reason };
        let database = open_file(&path).map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => DiskError::InUse { path: directory.to_path_buf() },
            DatabaseError::Storage(redb::StorageError::Io(error))
                if error.kind() != std::io::ErrorKind::InvalidData
                    && error.kind() != std::io::ErrorKind::UnexpectedEof =>
            {
                unusable(error.to_string())
            }
            other => corrupt(other.to_string()),
        })?;
        let (mut contents, clean) = read(&database).map_err(corrupt)?;
        let mut disk = Self { path: path.clone(), database: Some(database) };
        if !clean {
            contents.revision += REVISIONS_SKIPPED_AFTER_CRASH;
        }
        disk.write_meta(&[("format", FORMAT), ("revision", contents.revision), ("clean", 0)])?;
        Ok((disk, contents))
    }

    /// Writes a batch; the revision that is durable now, if the batch had any.
    ///
    /// # Errors
    /// [`DiskError::Write`]; then nothing of the batch is written, and it may be tried again.
    pub fn write(&mut self, batch: &[JournalEntry]) -> Result<Option<i64>, DiskError> {
        let outcome = self.try_write(batch);
        if outcome.is_err() {
            self.database = None;
        }
        outcome.map_err(|error| self.write_error(&error))
    }

    /// What the host has kept beside the store.
    ///
    /// # Errors
    /// [`DiskError::Corrupt`].
    pub fn parts(&mut self) -> Result<Vec<(String, Vec<u8>)>, DiskError> {
        let path = self.path.clone();
        let mut read = || -> Result<Vec<(String, Vec<u8>)>, redb::Error> {
            let transaction = self.database()?.begin_read()?;
            let table = match transaction.open_table(DISKS) {
                Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
                table => table?,
            };
            let mut parts = Vec::new();
            for entry in table.iter()? {
                let (name, bytes) = entry?;
                parts.push((name.value().to_owned(), bytes.value().to_vec()));
            }
            Ok(parts)
        };
        read().map_err(|error| DiskError::Corrupt { path, reason: error.to_string() })
    }

    /// Keeps parts beside the store.
    ///
    /// # Errors
    /// [`DiskError::Write`]; then none of them is kept.
    pub fn write_parts(&mut self, parts: &Parts) -> Result<(), DiskError> {
        let outcome = self.try_write_parts(parts);
        if outcome.is_err() {
            self.database = None;
        }
        outcome.map_err(|error| self.write_error(&error))
    }

    fn try_write_parts(&mut self, parts: &Parts) -> Result<(), redb::Error> {
        let transaction = self.database()?.begin_write()?;
        {
            let mut table = transaction.open_table(DISKS)?;
            for (name, bytes) in parts {
                match bytes {
                    Some(bytes) => table.insert(name.as_str(), bytes.as_slice())?,
                    None => table.remove(name.as_str())?,
                };
            }
        }
        Ok(transaction.commit()?)
    }

    /// Closes the database, so that the next start knows that nothing was lost.
    ///
    /// # Errors
    /// [`DiskError::Write`].
    pub fn close(mut self) -> Result<(), DiskError> {
        self.write_meta(&[("clean", 1)])
    }

    fn write_error(&self, error: &redb::Error) -> DiskError {
        DiskError::Write { path: self.path.clone(), reason: error.to_string() }
    }

    fn database(&mut self) -> Result<&Database, redb::Error> {
        let database = match self.database.take() {
            Some(database) => database,
            None => open_file(&self.path)?,
        };
        Ok(self.database.insert(database))
    }

    fn try_write(&mut self, batch: &[JournalEntry]) -> Result<Option<i64>, redb::Error> {
        let mut revision = None;
        let mut transaction = self.database()?.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        {
            let mut keys = transaction.open_table(KEYS)?;
            let mut leases = transaction.open_table(LEASES)?;
            for entry in batch {
                match entry {
                    JournalEntry::Commit(commit) => {
                        revision = Some(commit.revision);
                        for change in &commit.changes {
                            match &change.current {
                                Some(kv) => keys.insert(&*change.key, encode(kv).as_slice())?,
                                None => keys.remove(&*change.key)?,
                            };
                        }
                    }
                    JournalEntry::LeaseGranted { id, ttl_seconds } => {
                        leases.insert(id, ttl_seconds)?;
                    }
                    JournalEntry::LeaseEnded { id } => {
                        leases.remove(id)?;
                    }
                }
            }
            if let Some(revision) = revision {
                transaction.open_table(META)?.insert("revision", revision)?;
            }
        }
        transaction.commit()?;
        Ok(revision)
    }

    fn write_meta(&mut self, values: &[(&str, i64)]) -> Result<(), DiskError> {
        let mut write = || -> Result<(), redb::Error> {
            let transaction = self.database()?.begin_write()?;
            {
                let mut meta = transaction.open_table(META)?;
                for (name, value) in values {
                    meta.insert(name, value)?;
                }
            }
            Ok(transaction.commit()?)
        };
        write().map_err(|error| self.write_error(&error))
    }
}

/// Everything, and whether the last process closed the database.
fn read(database: &Database) -> Result<(Contents, bool), String> {
    let text = |error: &dyn std::error::Error| error.to_string();
    let transaction = database.begin_read().map_err(|error| text(&error))?;
    let meta = match transaction.open_table(META) {
        Ok(meta) => meta,
        Err(TableError::TableDoesNotExist(_)) => {
            return Ok((Contents { revision: 1, ..Contents::default() }, true));
        }
        Err(error) => return Err(text(&error)),
    };
    let number = |name: &str| -> Result<i64, String> {
        let value = meta.get(name).map_err(|error| text(&error))?;
        Ok(value.map_or(0, |value| value.value()))
    };
    if number("format")? != FORMAT {
        return Err(format!("format {} is unknown", number("format")?));
    }
    let mut contents = Contents { revision: number("revision")?, ..Contents::default() };
    // A process that stopped before its first write has left no other tables.
    if let Ok(keys) = transaction.open_table(KEYS) {
        for entry in keys.iter().map_err(|error| text(&error))? {
            let (key, record) = entry.map_err(|error| text(&error))?;
            let kv = decode(key.value(), record.value());
            contents.entries.push(Arc::new(kv.ok_or_else(|| format!("the record of {} is cut", key.value()))?));
        }
    }
    if let Ok(leases) = transaction.open_table(LEASES) {
        for entry in leases.iter().map_err(|error| text(&error))? {
            let (id, ttl_seconds) = entry.map_err(|error| text(&error))?;
            contents.leases.push((id.value(), ttl_seconds.value()));
        }
    }
    Ok((contents, number("clean")? == 1))
}
