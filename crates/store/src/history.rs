//! Revisions kept for watches that start in the past and for time travel.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::error::StoreError;
use crate::kv::Commit;
use crate::snapshot::Snapshot;

/// How many commits keep what readers made of the values they wrote and replaced. Watchers that keep up are
/// well within it; older values are only bytes, until somebody asks for them again.
const COMMITS_WARM: usize = 256;

/// The commits after `compact_revision`, oldest first.
pub(crate) struct History {
    commits: VecDeque<Arc<Commit>>,
    /// Snapshots of some revisions, oldest first.
    checkpoints: VecDeque<Snapshot>,
    /// What was read last of the past: who goes back reads one kind after the other.
    read: Option<Snapshot>,
    commits_since_checkpoint: usize,
    commits_per_checkpoint: usize,
    /// What the commits take, about.
    bytes: usize,
    compact_revision: i64,
    hash: u64,
}

/// What a commit takes, about: itself, and the values that it alone still has.
fn weight(commit: &Commit) -> usize {
    const COMMIT_BYTES: usize = 512;
    let replaced = commit.changes.iter().filter_map(|change| change.previous.as_ref());
    COMMIT_BYTES + replaced.map(|kv| kv.value.weight()).sum::<usize>()
}

impl History {
    /// No history before `revision`.
    pub(crate) fn new(revision: i64, commits_per_checkpoint: usize) -> Self {
        Self {
            commits: VecDeque::new(),
            checkpoints: VecDeque::new(),
            read: None,
            commits_since_checkpoint: 0,
            commits_per_checkpoint,
            bytes: 0,
            compact_revision: revision,
            hash: 0xcbf2_9ce4_8422_2325,
        }
    }

    /// The oldest revision that can be read.
    pub(crate) fn compact_revision(&self) -> i64 {
        self.compact_revision
    }

    /// A hash over every revision since the store was made, compacted or not.
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    /// Whether there are more than these many commits, or bytes in them, and a tenth: compaction is not to be
    /// done at each commit.
    pub(crate) fn exceeds(&self, commits: usize, bytes: usize) -> bool {
        let with_tenth = |limit: usize| limit.saturating_add(limit / 10);
        self.commits.len() > with_tenth(commits) || self.bytes > with_tenth(bytes)
    }

    /// Adds the newest commit and the snapshot after it.
    pub(crate) fn push(&mut self, commit: Arc<Commit>, after: &Snapshot) {
        self.hash_number(commit.revision);
        self.hash_bytes(commit.origin.writer.as_bytes());
        for change in &commit.changes {
            self.hash_bytes(change.key.as_bytes());
            match &change.current {
                Some(kv) => self.hash_bytes(kv.value.part()),
                None => self.hash_number(-1),
            }
        }
        self.bytes += weight(&commit);
        self.commits.push_back(commit);
        let cooled = self.commits.len().checked_sub(COMMITS_WARM + 1).and_then(|index| self.commits.get(index));
        for change in cooled.iter().flat_map(|commit| &commit.changes) {
            change.memo.fade();
            change.previous.iter().chain(&change.current).for_each(|kv| kv.memo.fade());
        }
        self.commits_since_checkpoint += 1;
        if self.commits_since_checkpoint >= self.commits_per_checkpoint {
            self.commits_since_checkpoint = 0;
            self.checkpoints.push_back(after.clone());
        }
    }

    /// The commits from `revision` on.
    pub(crate) fn since(&self, revision: i64) -> impl Iterator<Item = &Arc<Commit>> {
        let first = self.commits.partition_point(|commit| commit.revision < revision);
        self.commits.range(first..)
    }

    /// The store as it was at `revision`.
    pub(crate) fn snapshot_at(&mut self, revision: i64, newest: &Snapshot) -> Result<Snapshot, StoreError> {
        if revision > newest.revision() {
            return Err(StoreError::FutureRevision { revision: newest.revision() });
        }
        if revision < self.compact_revision {
            return Err(StoreError::Compacted { compact_revision: self.compact_revision });
        }
        if let Some(read) = self.read.as_ref().filter(|read| read.revision() == revision) {
            return Ok(read.clone());
        }
        let next = self.checkpoints.partition_point(|checkpoint| checkpoint.revision() < revision);
        let mut snapshot = self.checkpoints.get(next).unwrap_or(newest).clone();
        let last = self.commits.partition_point(|commit| commit.revision <= snapshot.revision());
        let first = self.commits.partition_point(|commit| commit.revision <= revision);
        for commit in self.commits.range(first..last).rev() {
            commit.changes.iter().rev().for_each(|change| snapshot.undo(change));
        }
        snapshot.set_revision(revision);
        self.read = Some(snapshot.clone());
        Ok(snapshot)
    }

    /// Forgets what came before `revision`, which stays readable.
    pub(crate) fn compact(&mut self, revision: i64) {
        self.compact_revision = revision;
        while let Some(commit) = self.commits.pop_front_if(|commit| commit.revision <= revision) {
            self.bytes = self.bytes.saturating_sub(weight(&commit));
        }
        while self.checkpoints.front().is_some_and(|checkpoint| checkpoint.revision() < revision) {
            self.checkpoints.pop_front();
        }
        self.read.take_if(|read| read.revision() < revision);
    }

    /// The revision to compact to, to keep no more than these many commits, and bytes in them.
    pub(crate) fn revision_beyond(&self, commits: usize, bytes: usize) -> Option<i64> {
        let (mut count, mut sum) = (self.commits.len(), self.bytes);
        let beyond = self.commits.iter().take_while(|commit| {
            let beyond = count > commits || sum > bytes;
            count -= 1;
            sum = sum.saturating_sub(weight(commit));
            beyond
        });
        beyond.last().map(|commit| commit.revision)
    }

    fn hash_bytes(&mut self, bytes: &[u8]) {
        self.hash_number(bytes.len() as i64);
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.hash_number(i64::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            let mut word = [0; 8];
            word.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            self.hash_number(i64::from_le_bytes(word));
        }
    }

    /// FNV's multiply and xor, a word at a time, rotated so that high bits come down again.
    fn hash_number(&mut self, number: i64) {
        self.hash = (self.hash ^ number as u64).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
    }
}
