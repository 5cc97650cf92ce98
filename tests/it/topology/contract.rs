//! Compare-and-swap, transactions and watches.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use shardlift::topology::store::{Change, DEADLINE};
use shardlift::topology::{Compare, StoreError, Topology, TopologyError, Txn, TxnOutcome};

use super::backend::{Backend, changes, committed, put, snapshot};

pub(super) async fn compare_and_swap(backend: &Backend) {
    let topology = backend.topology().await;
    let store = topology.store();
    let first = put(store, "/a/1", "one").await;
    let found = store.get("/a/1").await.unwrap();
    assert_eq!(found.entry.as_ref().map(|e| (e.mod_revision, e.value.as_slice())), Some((first, &b"one"[..])));
    assert!(found.revision >= first);
    let second = put(store, "/a/1", "two").await;
    assert!(second > first);

    let key = || "/a/1".to_string();
    for (holds, compare) in [
        (true, Compare::Exists(key())),
        (false, Compare::Exists("/a/2".into())),
        (true, Compare::Absent("/a/2".into())),
        (false, Compare::Absent(key())),
        (true, Compare::ModRevision(key(), second)),
        (false, Compare::ModRevision(key(), first)),
        (false, Compare::ModRevision("/a/2".into(), 0)),
        (true, Compare::Value(key(), b"two".into())),
        (false, Compare::Value(key(), b"one".into())),
        (false, Compare::Value("/a/2".into(), b"".into())),
        (true, Compare::NoneAfter("/a/".into(), second)),
        (false, Compare::NoneAfter("/a/".into(), first)),
        (true, Compare::NoneAfter("/b/".into(), 0)),
        (false, Compare::NoneAfter("/".into(), 0)),
    ] {
        let before = store.get("/witness").await.unwrap();
        match store.txn(Txn::new().when(compare.clone()).put("/witness", "x").delete("/none")).await.unwrap() {
            TxnOutcome::Committed { revision } => {
                assert!(holds, "{compare:?}");
                assert_eq!(store.get("/witness").await.unwrap().entry.unwrap().mod_revision, revision);
            }
            TxnOutcome::Refused { found, .. } => {
                assert!(!holds, "{compare:?}");
                assert_eq!(store.get("/witness").await.unwrap().entry, before.entry);
                let expected = match &compare {
                    Compare::NoneAfter(..) => None,
                    other => store.get(other.key()).await.unwrap().entry,
                };
                assert_eq!(found, [expected]);
            }
        }
    }
    // Prefixes are exact, listings whole and in order beyond one page.
    for n in 0..1100 {
        if n % 100 == 0 {
            let txn = (n..n + 100).fold(Txn::new(), |txn, n| txn.put(format!("/l/{n:04}"), n.to_string()));
            committed(store.txn(txn).await.unwrap());
        }
    }
    put(store, "/l0", "not below /l/").await;
    let listing = store.list("/l/").await.unwrap();
    let keys: Vec<String> = listing.entries.into_iter().map(|entry| entry.key).collect();
    assert_eq!(keys, (0..1100).map(|n| format!("/l/{n:04}")).collect::<Vec<_>>());
    // A transaction with nothing to do is no revision.
    let before = store.get("/l0").await.unwrap().revision;
    assert_eq!(committed(store.txn(Txn::new().delete("/none")).await.unwrap()), before);
}

pub(super) async fn a_transaction_is_one_change_for_watchers(backend: &Backend) {
    let (writer, reader) = (backend.topology().await, backend.topology().await);
    put(writer.store(), "/w/old", "x").await;
    let mut watch = reader.store().watch("/w/", None);
    assert_eq!(snapshot(&mut watch).await.entries.len(), 1);
    for round in 0..3 {
        // More than etcd takes as one list of operations.
        let mut txn = (0..300).fold(Txn::new(), |txn, n| txn.put(format!("/w/{n:03}"), format!("{round}")));
        txn = txn.put("/elsewhere", "x");
        txn = if round == 0 { txn.delete("/w/old") } else { txn };
        let revision = committed(writer.store().txn(txn).await.unwrap());
        let (seen, changes) = changes(&mut watch).await;
        assert_eq!(seen, revision);
        assert_eq!(changes.len(), if round == 0 { 301 } else { 300 });
        for change in &changes {
            match change {
                Change::Put(entry) => assert_eq!(entry.mod_revision, revision),
                Change::Delete(key) => assert_eq!(key, "/w/old"),
            }
        }
    }
}

pub(super) async fn watches_see_every_revision_in_order_and_resume(backend: &Backend) {
    const EACH: usize = 150;
    let reader = backend.topology().await;
    let start = put(reader.store(), "/o/first", "x").await;
    let mut watch = reader.store().watch("/o/", Some(start));
    let mut writers = Vec::new();
    for w in 0..3 {
        let topology = backend.topology().await;
        writers.push(tokio::spawn(async move {
            let mut written = Vec::new();
            for n in 0..EACH {
                let key = format!("/o/{w}");
                written.push((put(topology.store(), &key, &n.to_string()).await, key, n.to_string()));
            }
            written
        }));
    }
    let mut seen = Vec::new();
    while seen.len() < 3 * EACH {
        let (revision, changes) = changes(&mut watch).await;
        let [Change::Put(entry)] = changes.as_slice() else { panic!("{changes:?}") };
        assert_eq!(entry.mod_revision, revision);
        seen.push((revision, entry.key.clone(), String::from_utf8(entry.value.clone()).unwrap()));
    }
    let mut written = Vec::new();
    for writer in writers {
        written.extend(writer.await.unwrap());
    }
    written.sort();
    assert_eq!(seen, written);
    // A watch that has seen the first part gets exactly the rest.
    let (old, rest) = seen.split_at(seen.len() / 2);
    let mut resumed = reader.store().watch("/o/", Some(old.last().unwrap().0));
    for expected in rest {
        assert_eq!(changes(&mut resumed).await.0, expected.0);
    }
}

pub(super) async fn a_watch_from_a_compacted_revision_lists_anew(backend: &Backend) {
    let topology = backend.topology().await;
    let store = topology.store();
    let mut revisions = Vec::new();
    for n in 0..10 {
        revisions.push(put(store, &format!("/c/{}", n % 3), &n.to_string()).await);
    }
    store.compact(revisions[7]).await.unwrap();
    store.compact(revisions[7]).await.unwrap();
    let mut late = store.watch("/c/", Some(revisions[2]));
    let listing = snapshot(&mut late).await;
    assert_eq!(listing.entries.len(), 3);
    assert!(listing.revision >= revisions[9]);
    let mut timely = store.watch("/c/", Some(revisions[7]));
    for expected in &revisions[8..] {
        assert_eq!(changes(&mut timely).await.0, *expected);
    }
    let next = put(store, "/c/new", "x").await;
    assert_eq!(changes(&mut late).await.0, next);
    assert_eq!(changes(&mut timely).await.0, next);
    // A revision the store has never reached: it is not the store we knew.
    let mut future = store.watch("/c/", Some(next + 1000));
    assert_eq!(snapshot(&mut future).await.entries.len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_may_restart_under_watches_and_calls() {
    let backend = Backend::etcd().await;
    let etcd = backend.etcd.as_ref().unwrap();
    let topology = Arc::new(backend.topology().await);
    let mut watch = topology.store().watch("/r/", None);
    snapshot(&mut watch).await;
    for round in 0..3 {
        let before = put(topology.store(), "/r/a", "before").await;
        assert_eq!(changes(&mut watch).await.0, before);
        etcd.kill9().await.unwrap();
        if round == 0 {
            // Nothing listens, so nothing was sent, and that is known; unless the old connection had not noticed yet.
            let began = Instant::now();
            let down = topology.store().txn(Txn::new().put("/r/a", "down")).await;
            assert!(matches!(down, Err(StoreError::Unavailable { .. } | StoreError::Ambiguous { .. })), "{down:?}");
            assert!(began.elapsed() < DEADLINE + Duration::from_secs(1));
        }
        let during = tokio::spawn({
            let topology = topology.clone();
            async move { topology.store().get("/r/a").await }
        });
        etcd.restart().await.unwrap();
        assert_eq!(during.await.unwrap().unwrap().entry.unwrap().mod_revision, before);
        // A call on a connection that broke is ambiguous, and settled by reading.
        let value = format!("after {round}");
        let after = loop {
            match topology.store().txn(Txn::new().put("/r/b", value.as_bytes())).await {
                Ok(TxnOutcome::Committed { revision }) => break revision,
                Err(StoreError::Ambiguous { .. }) => {
                    let entry = topology.store().get("/r/b").await.unwrap().entry;
                    if let Some(entry) = entry.filter(|entry| entry.value == value.as_bytes()) {
                        break entry.mod_revision;
                    }
                }
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(changes(&mut watch).await.0, after);
    }
}

#[tokio::test]
async fn a_file_of_another_program_is_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("other.sqlite");
    rusqlite::Connection::open(&file).unwrap().execute_batch("CREATE TABLE t (a); INSERT INTO t VALUES (1)").unwrap();
    let open = async |path: &Path| Topology::open(&path.display().to_string(), &"main".parse().unwrap()).await;
    let before = std::fs::read(&file).unwrap();
    let error = open(&file).await.unwrap_err().to_string();
    assert!(error.contains("not a shardlift topology"), "{error}");
    assert_eq!(std::fs::read(&file).unwrap(), before);
    std::fs::write(&file, "not SQLite at all, but long enough to look at").unwrap();
    assert!(matches!(open(&file).await, Err(TopologyError::Store(StoreError::Corrupt { .. }))));
}
