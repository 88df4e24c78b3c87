//! The store's behaviour. Each test runs over memory alone and over `redb`, where the store is written
//! and read back before it is looked at again.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Waker;

use bytes::Bytes;
use futures::task::{ArcWake, waker};
use futures::{FutureExt, StreamExt};
use jiff::{SignedDuration, Timestamp};
use playground_store::{
    Compare, Event, Op, Options, Origin, Relation, Remembered, Scope, Snapshot, Store, StoreError, Target, Txn, Watch,
    WatchOptions,
};

const ZERO: Timestamp = Timestamp::UNIX_EPOCH;

fn at(seconds: i64) -> Timestamp {
    ZERO + SignedDuration::from_secs(seconds)
}

/// Checkpoints so near to each other that the tests go past many.
fn options() -> Options {
    Options { commits_per_checkpoint: 100, ..Options::default() }
}

/// A store, and how it comes back after its host has stopped cleanly.
struct Bench {
    store: Store,
    #[cfg(feature = "redb")]
    disk: Option<(tempfile::TempDir, playground_store::redb::Disk)>,
}

impl Bench {
    fn memory() -> Self {
        Self {
            store: Store::new(&options()),
            #[cfg(feature = "redb")]
            disk: None,
        }
    }

    #[cfg(feature = "redb")]
    fn redb() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (disk, contents) = playground_store::redb::Disk::open(directory.path()).unwrap();
        let options = Options { journal: true, ..options() };
        Self { store: Store::restore(&options, contents, ZERO), disk: Some((directory, disk)) }
    }

    /// Stops and starts again; memory goes through the contents a fork would take.
    fn restart(self, now: Timestamp) -> Self {
        #[cfg(feature = "redb")]
        if let Some((directory, mut disk)) = self.disk {
            let revision = disk.write(&self.store.take_journal()).unwrap();
            self.store.mark_durable(revision.unwrap_or_default());
            disk.close().unwrap();
            let (disk, contents) = playground_store::redb::Disk::open(directory.path()).unwrap();
            let options = Options { journal: true, ..options() };
            return Self { store: Store::restore(&options, contents, now), disk: Some((directory, disk)) };
        }
        let contents = self.store.contents(0).unwrap();
        Self { store: Store::restore(&Options::default(), contents, now), ..Self::memory() }
    }
}

fn each(test: impl Fn(Bench)) {
    test(Bench::memory());
    #[cfg(feature = "redb")]
    test(Bench::redb());
}

fn origin() -> Origin {
    Origin::new("test")
}

fn put(store: &Store, key: &str, value: &str) -> i64 {
    let txn = Txn { then: vec![Op::put(key, Bytes::copy_from_slice(value.as_bytes()))], ..Txn::default() };
    store.txn(txn, origin()).unwrap().revision
}

fn put_triggered(store: &Store, key: &str, value: &str, trigger: Option<&str>) {
    let value = Bytes::copy_from_slice(value.as_bytes());
    let op = Op::Put { key: key.into(), value: value.into(), lease: None, trigger: trigger.map(Into::into) };
    store.txn(Txn { then: vec![op], ..Txn::default() }, origin()).unwrap();
}

fn delete(store: &Store, key: &str) -> i64 {
    store.txn(Txn { then: vec![Op::delete(key)], ..Txn::default() }, origin()).unwrap().revision
}

fn show(snapshot: &Snapshot, prefix: &str) -> String {
    let entries = snapshot.range(prefix, "");
    let entries: Vec<String> =
        entries.map(|kv| format!("{}={}", kv.key, String::from_utf8_lossy(&kv.value.bytes()))).collect();
    entries.join(" ")
}

fn show_event(event: &Event) -> String {
    let change = event.change();
    let text = |kv: &Option<Arc<playground_store::KeyValue>>| {
        kv.as_ref().map_or("-".into(), |kv| String::from_utf8_lossy(&kv.value.bytes()).into_owned())
    };
    format!("{}:{} {}>{}", event.commit.revision, change.key, text(&change.previous), text(&change.current))
}

/// What a watch has ready.
fn drain(watch: &mut Watch) -> Vec<String> {
    let mut events = Vec::new();
    while let Some(Some(event)) = watch.next().now_or_never() {
        events.push(event.map_or_else(|error| error.to_string(), |event| show_event(&event)));
    }
    events
}

fn watch(store: &Store, scope: Scope, start_revision: i64) -> Watch {
    store.watch(WatchOptions::new(scope, start_revision)).unwrap()
}

#[test]
fn keys_know_their_revisions() {
    each(|bench| {
        put(&bench.store, "/a", "1");
        put(&bench.store, "/b", "1");
        put(&bench.store, "/a", "2");
        let bench = bench.restart(ZERO);
        let kv = bench.store.get("/a").unwrap();
        assert_eq!((kv.create_revision, kv.mod_revision, kv.version), (2, 4, 2));
        assert_eq!(bench.store.revision(), 4);
        delete(&bench.store, "/a");
        put(&bench.store, "/a", "3");
        let kv = bench.store.get("/a").unwrap();
        assert_eq!((kv.create_revision, kv.mod_revision, kv.version), (6, 6, 1));
    });
}

#[test]
fn a_transaction_is_all_or_nothing_and_one_revision() {
    each(|bench| {
        let store = &bench.store;
        let compare = |target, relation| Compare { key: "/a".into(), target, relation };
        let txn = Txn {
            compare: vec![compare(Target::Version(0), Relation::Equal)],
            then: vec![Op::put("/a", "1"), Op::put("/b", "1"), Op::Get { key: "/a".into() }],
            otherwise: vec![Op::delete("/b")],
        };
        let first = store.txn(txn.clone(), origin()).unwrap();
        assert!(first.succeeded);
        assert_eq!((first.revision, first.responses.len()), (2, 3));
        let second = store.txn(txn, origin()).unwrap();
        assert_eq!((second.succeeded, second.revision), (false, 3));
        assert_eq!(show(&store.snapshot(), ""), "/a=1");
        for (target, relation, holds) in [
            (Target::ModRevision(2), Relation::Equal, true),
            (Target::ModRevision(2), Relation::NotEqual, false),
            (Target::CreateRevision(1), Relation::Greater, true),
            (Target::Version(2), Relation::Less, true),
            (Target::Value("1".into()), Relation::Equal, true),
            (Target::Value("2".into()), Relation::Greater, false),
        ] {
            let txn = Txn { compare: vec![compare(target.clone(), relation)], ..Txn::default() };
            assert_eq!(store.txn(txn, origin()).unwrap().succeeded, holds, "{target:?} {relation:?}");
        }
        assert_eq!(store.revision(), 3, "what changes nothing makes no revision");
        let too_large = Txn { then: vec![Op::put("/c", "1"), Op::put("/d", vec![0; 2 << 20])], ..Txn::default() };
        assert_eq!(store.txn(too_large, origin()).unwrap_err(), StoreError::TooLarge);
        assert_eq!(show(&store.snapshot(), ""), "/a=1");
    });
}

#[test]
fn optimistic_writes_see_who_was_faster() {
    each(|bench| {
        let revision = put(&bench.store, "/a", "1");
        let write = |mod_revision| bench.store.txn(Txn::if_unchanged("/a", mod_revision, Op::put("/a", "2")), origin());
        assert!(!write(0).unwrap().succeeded);
        assert_eq!(write(0).unwrap().first().unwrap().mod_revision, revision);
        assert!(write(revision).unwrap().succeeded);
        assert!(!write(revision).unwrap().succeeded);
    });
}

#[test]
fn every_revision_can_be_read_until_compacted() {
    each(|bench| {
        let store = &bench.store;
        for round in 0..1400 {
            put(store, &format!("/k/{}", round % 7), &round.to_string());
            if round % 5 == 0 {
                delete(store, &format!("/k/{}", (round + 3) % 7));
            }
        }
        let newest = store.revision();
        let mut replayed = std::collections::BTreeMap::new();
        let commits = store.commits(2, usize::MAX).unwrap();
        for (index, commit) in commits.iter().enumerate() {
            for change in &commit.changes {
                match &change.current {
                    Some(kv) => replayed.insert(change.key.to_string(), kv.value.bytes()),
                    None => replayed.remove(&change.key.to_string()),
                };
            }
            // Each takes the steps back from the newest.
            if index % 5 > 0 {
                continue;
            }
            let snapshot = store.snapshot_at(commit.revision).unwrap();
            let read = snapshot.range("/k/", "").map(|kv| (kv.key.to_string(), kv.value.bytes())).collect();
            assert_eq!(replayed, read, "at revision {}", commit.revision);
            assert_eq!(snapshot.revision(), commit.revision);
        }
        store.compact(newest - 10).unwrap();
        assert!(store.snapshot_at(newest - 10).is_ok());
        let compacted = StoreError::Compacted { compact_revision: newest - 10 };
        assert_eq!(store.snapshot_at(newest - 11).unwrap_err(), compacted);
        assert_eq!(store.compact(newest - 20).unwrap_err(), compacted);
        assert_eq!(store.snapshot_at(newest + 1).unwrap_err(), StoreError::FutureRevision { revision: newest });
        assert_eq!(compacted.to_string(), "etcdserver: mvcc: required revision has been compacted");
    });
}

#[test]
fn ranges_begin_where_they_are_told() {
    each(|bench| {
        for key in ["/a/1", "/a/2", "/a/3", "/ab", "/b/1"] {
            put(&bench.store, key, "x");
        }
        let snapshot = bench.restart(ZERO).store.snapshot();
        let keys =
            |prefix: &str, from: &str| snapshot.range(prefix, from).map(|kv| kv.key.to_string()).collect::<Vec<_>>();
        assert_eq!(keys("/a/", ""), ["/a/1", "/a/2", "/a/3"]);
        assert_eq!(keys("/a/", "/a/2\0"), ["/a/3"]);
        assert_eq!(keys("/a/", "/a/2"), ["/a/2", "/a/3"]);
        assert_eq!(keys("", "/ab"), ["/ab", "/b/1"]);
        assert!(keys("/c", "").is_empty());
    });
}

#[test]
fn watches_replay_history_and_go_on() {
    each(|bench| {
        let store = &bench.store;
        put(store, "/p/a", "1");
        put(store, "/q/a", "1");
        put(store, "/p/a", "2");
        let mut from_2 = watch(store, Scope::Prefix("/p".into()), 2);
        let mut live = watch(store, Scope::Prefix("/p/".into()), 0);
        let mut key = watch(store, Scope::Key("/q/a".into()), 3);
        let mut all = watch(store, Scope::Prefix("".into()), 4);
        let mut future = watch(store, Scope::Prefix("/p/".into()), 6);
        delete(store, "/p/a");
        put(store, "/pp", "1");
        put(store, "/p/b", "1");
        assert_eq!(drain(&mut from_2), ["2:/p/a ->1", "4:/p/a 1>2", "5:/p/a 2>-", "7:/p/b ->1"]);
        assert_eq!(drain(&mut live), ["5:/p/a 2>-", "7:/p/b ->1"]);
        assert_eq!(drain(&mut key), ["3:/q/a ->1"]);
        assert_eq!(drain(&mut all), ["4:/p/a 1>2", "5:/p/a 2>-", "6:/pp ->1", "7:/p/b ->1"]);
        assert_eq!(drain(&mut future), ["7:/p/b ->1"]);
        assert_eq!(live.progress(), Some(7));
        put(store, "/p/c", "1");
        assert_eq!(live.progress(), None, "an event waits");
        store.compact(6).unwrap();
        let late = store.watch(WatchOptions::new(Scope::Prefix("/p/".into()), 6));
        assert_eq!(late.err(), Some(StoreError::Compacted { compact_revision: 6 }));
        assert!(store.watch(WatchOptions::new(Scope::Prefix("/p/".into()), 7)).is_ok());
    });
}

#[test]
fn triggers_reach_only_those_who_asked() {
    each(|bench| {
        let store = &bench.store;
        let on = |value: &str| Scope::Trigger { prefix: "/pods".into(), value: value.into() };
        let mut node1 = watch(store, on("node1"), 0);
        let mut node2 = watch(store, on("node2"), 0);
        put_triggered(store, "/pods/a", "1", None);
        put_triggered(store, "/pods/a", "2", Some("node1"));
        put_triggered(store, "/pods/a", "3", Some("node2"));
        put_triggered(store, "/other/a", "3", Some("node2"));
        delete(store, "/pods/a");
        let expected1 = ["3:/pods/a 1>2", "4:/pods/a 2>3"];
        let expected2 = ["4:/pods/a 2>3", "6:/pods/a 3>-"];
        assert_eq!(drain(&mut node1), expected1);
        assert_eq!(drain(&mut node2), expected2);
        assert_eq!(drain(&mut watch(store, on("node1"), 2)), expected1);
        assert_eq!(drain(&mut watch(store, on("node2"), 2)), expected2);
        put_triggered(store, "/pods/b", "1", Some("node1"));
        let bench = bench.restart(ZERO);
        assert_eq!(bench.store.get("/pods/b").unwrap().trigger.as_deref(), Some("node1"));
    });
}

#[test]
fn a_slow_watcher_is_cut_off_and_nobody_else() {
    each(|bench| {
        let store = &bench.store;
        let options = WatchOptions { queued_max: 3, ..WatchOptions::new(Scope::Prefix("/a/".into()), 0) };
        let mut slow = store.watch(options).unwrap();
        let mut other = watch(store, Scope::Prefix("/a/".into()), 0);
        for number in 0..5 {
            put(store, "/a/x", &number.to_string());
        }
        assert_eq!(drain(&mut slow), ["the watcher was too slow: 3 events waited"]);
        assert_eq!(slow.next().now_or_never().map(|end| end.is_none()), Some(true));
        assert_eq!(drain(&mut other).len(), 5);
    });
}

#[derive(Default)]
struct Count(AtomicUsize);

impl ArcWake for Count {
    fn wake_by_ref(this: &Arc<Self>) {
        this.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_commit_wakes_the_interested_only() {
    let store = Store::new(&Options::default());
    let counts: Vec<Arc<Count>> = (0..3).map(|_| Arc::default()).collect();
    let scopes = [
        Scope::Trigger { prefix: "/pods/".into(), value: "a".into() },
        Scope::Trigger { prefix: "/pods/".into(), value: "b".into() },
        Scope::Key("/pods/x".into()),
    ];
    let mut watches: Vec<Watch> = scopes.into_iter().map(|scope| watch(&store, scope, 0)).collect();
    for (watch, count) in watches.iter_mut().zip(&counts) {
        let waker: Waker = waker(count.clone());
        assert!(watch.poll_next_unpin(&mut std::task::Context::from_waker(&waker)).is_pending());
    }
    put_triggered(&store, "/pods/y", "1", Some("a"));
    put_triggered(&store, "/pods/y", "2", Some("a"));
    let woken: Vec<usize> = counts.iter().map(|count| count.0.load(Ordering::Relaxed)).collect();
    assert_eq!(woken, [1, 0, 0]);
    drop(watches);
    put_triggered(&store, "/pods/y", "3", Some("b"));
}

#[test]
fn leases_take_their_keys_with_them() {
    each(|bench| {
        let store = &bench.store;
        let lease = store.lease_grant(None, 10, at(0)).unwrap();
        let with_lease = |key: &str, lease| {
            let op = Op::Put { key: key.into(), value: "x".into(), lease, trigger: None };
            store.txn(Txn { then: vec![op], ..Txn::default() }, origin()).map(|_| ())
        };
        with_lease("/a", Some(lease)).unwrap();
        with_lease("/b", Some(lease)).unwrap();
        with_lease("/c", Some(lease)).unwrap();
        with_lease("/c", None).unwrap();
        assert_eq!(with_lease("/d", Some(99)), Err(StoreError::LeaseNotFound));
        assert_eq!(store.lease_grant(Some(lease), 1, at(0)), Err(StoreError::LeaseExists));
        assert_eq!(store.next_lease_expiry(), Some(at(10)));
        store.expire_leases(at(9), &origin());
        assert_eq!(store.lease_keep_alive(lease, at(9)), Ok(10));
        store.expire_leases(at(18), &origin());
        // A restart gives leases their full time again.
        let bench = bench.restart(at(100));
        let store = &bench.store;
        assert_eq!(store.next_lease_expiry(), Some(at(110)));
        let revision = store.revision();
        store.expire_leases(at(110), &origin());
        assert_eq!(show(&store.snapshot(), ""), "/c=x");
        assert_eq!(store.revision(), revision + 1, "one revision for all keys of a lease");
        assert_eq!(store.lease_keep_alive(lease, at(110)), Err(StoreError::LeaseNotFound));
        assert_eq!(store.next_lease_expiry(), None);
        let second = store.lease_grant(None, 5, at(110)).unwrap();
        store.lease_revoke(second, origin()).unwrap();
        assert_eq!(store.lease_revoke(second, origin()), Err(StoreError::LeaseNotFound));
    });
}

#[test]
fn answers_wait_until_durable() {
    let store = Store::new(&Options { journal: true, ..Options::default() });
    let first = put(&store, "/a", "1");
    let mut durable = store.durable(first);
    assert!((&mut durable).now_or_never().is_none());
    assert_eq!(store.take_journal().len(), 1);
    store.mark_not_durable("no space left on device".into());
    assert_eq!(durable.now_or_never(), Some(Err(StoreError::NotDurable("no space left on device".into()))));
    assert!(store.accepts_changes().is_err());
    store.mark_durable(first);
    assert_eq!(store.accepts_changes(), Ok(()));
    assert_eq!(store.durable(first).now_or_never(), Some(Ok(())));
    assert!(store.durable(first + 1).now_or_never().is_none());
    let without_journal = Store::new(&Options::default());
    let revision = put(&without_journal, "/a", "1");
    assert_eq!(without_journal.durable(revision).now_or_never(), Some(Ok(())));
}

#[test]
fn equal_histories_have_equal_hashes() {
    let run = |values: &[&str]| {
        let store = Store::new(&Options::default());
        for value in values {
            put(&store, "/a", value);
        }
        store.history_hash()
    };
    assert_eq!(run(&["1", "2"]), run(&["1", "2"]));
    assert_ne!(run(&["1", "2"]), run(&["2", "1"]));
    assert_ne!(run(&["1"]), run(&["1", "1"]));
}

#[test]
fn history_is_bounded() {
    let store = Store::new(&Options { commits_max: 100, ..Options::default() });
    for number in 0..1000 {
        put(&store, "/a", &number.to_string());
    }
    let kept = store.revision() - store.compact_revision();
    assert!((100..=110).contains(&kept), "{kept}");

    let store = Store::new(&Options { history_bytes_max: 1 << 20, ..Options::default() });
    let large = "x".repeat(10_000);
    for _ in 0..1000 {
        put(&store, "/a", &large);
    }
    let kept = store.revision() - store.compact_revision();
    assert!((90..=110).contains(&kept), "{kept}");
}

#[test]
fn a_fork_starts_from_any_revision() {
    let store = Store::new(&Options::default());
    put(&store, "/a", "1");
    let revision = put(&store, "/b", "1");
    put(&store, "/a", "2");
    let fork = Store::restore(&Options::default(), store.contents(revision).unwrap(), ZERO);
    assert_eq!(show(&fork.snapshot(), ""), "/a=1 /b=1");
    assert_eq!(put(&fork, "/c", "1"), revision + 1);
}

#[cfg(feature = "redb")]
mod redb {
    use playground_store::redb::{Disk, DiskError};

    use super::*;

    #[test]
    fn after_a_crash_revisions_jump_ahead() {
        let directory = tempfile::tempdir().unwrap();
        let (mut disk, contents) = Disk::open(directory.path()).unwrap();
        let store = Store::restore(&Options { journal: true, ..Options::default() }, contents, ZERO);
        put(&store, "/a", "1");
        disk.write(&store.take_journal()).unwrap();
        let seen_by_a_client = put(&store, "/a", "2");
        drop(disk);
        let (_disk, contents) = Disk::open(directory.path()).unwrap();
        let store = Store::restore(&Options::default(), contents, ZERO);
        assert_eq!(show(&store.snapshot(), ""), "/a=1");
        assert!(store.revision() > seen_by_a_client + 100_000);
        let watch = store.watch(WatchOptions::new(Scope::Key("/a".into()), seen_by_a_client + 1));
        assert!(matches!(watch.err(), Some(StoreError::Compacted { .. })));
    }

    #[test]
    fn what_cannot_be_opened_is_said_in_one_line() {
        let directory = tempfile::tempdir().unwrap();
        let (disk, _) = Disk::open(directory.path()).unwrap();
        let in_use = Disk::open(directory.path()).err().unwrap();
        assert!(matches!(in_use, DiskError::InUse { .. }), "{in_use}");
        disk.close().unwrap();
        std::fs::write(directory.path().join("store.redb"), b"not a database, but longer than nothing").unwrap();
        let corrupt = Disk::open(directory.path()).err().unwrap();
        assert!(matches!(corrupt, DiskError::Corrupt { .. }), "{corrupt}");
        assert!(!corrupt.to_string().contains('\n'));
        let file = directory.path().join("file");
        std::fs::write(&file, b"x").unwrap();
        let no_directory = Disk::open(&file).err().unwrap();
        assert!(matches!(no_directory, DiskError::Directory { .. }), "{no_directory}");
    }
}

/// A number that is halved as it fades; nothing is left of one.
#[derive(Debug, PartialEq)]
struct Made(u32);

impl Remembered for Made {
    fn faded(&self) -> Option<Self> {
        (self.0 > 1).then_some(Self(self.0 / 2))
    }
}

#[test]
fn a_memo_is_shared_and_fades() {
    let store = Store::new(&Options::default());
    put(&store, "/a", "1");
    let old = store.get("/a").unwrap();
    let first = old.memo.get_or_init(|| Made(1));
    assert!(Arc::ptr_eq(&first, &old.memo.get_or_init(|| Made(2))));
    put(&store, "/b", "1");
    let living = store.get("/b").unwrap();
    living.memo.get_or_init(|| Made(8));
    for number in 0..2000 {
        put(&store, "/a", &number.to_string());
    }
    assert_eq!(*old.memo.get_or_init(|| Made(3)), Made(3), "superseded long ago");
    assert_eq!(*living.memo.get_or_init(|| Made(9)), Made(4), "written long ago");
    for number in 0..2000 {
        put(&store, "/a", &number.to_string());
    }
    assert_eq!(*living.memo.get_or_init(|| Made(9)), Made(4), "what is current keeps the rest");
}
