//! The contract of `topology::store`, over both backends, and what stands on it.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use shardlift::local::{self, Account, Etcd, EtcdPorts, InstallOptions, Lifetime, Mysqld, MysqldSpec, Ports};
use shardlift::model::workflow::TabletType;
use shardlift::mysql::endpoint::Endpoint;
use shardlift::topology::records::{Keyspace, Owner, Shard, Tablet};
use shardlift::topology::store::{Change, DEADLINE, Listing, WatchEvent};
use shardlift::topology::transfer::Document;
use shardlift::topology::{
    Compare, Revision, Store, StoreError, Topology, TopologyError, Txn, TxnOutcome, paths, store::Watch,
};

const SOON: Duration = Duration::from_secs(15);

/// A topology of one's own.
struct Backend {
    address: String,
    etcd: Option<Etcd>,
    folder: tempfile::TempDir,
}

impl Backend {
    async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { address: folder.path().join("new/topology.sqlite").display().to_string(), etcd: None, folder }
    }

    async fn etcd() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let servers =
            local::ensure(&InstallOptions { need_etcd: true, ..InstallOptions::from_env() }, &()).await.unwrap();
        let ports = Ports::open(&servers.cache).unwrap();
        let ports = EtcdPorts { client: ports.lease().unwrap(), peer: ports.lease().unwrap() };
        let etcd = Etcd::start(&servers, folder.path(), ports, Lifetime::Owned).await.unwrap();
        Self { address: etcd.endpoint().replace("http", "etcd"), etcd: Some(etcd), folder }
    }

    /// A client of its own, as another process would have.
    async fn topology(&self) -> Topology {
        Topology::open(&self.address, &"main".parse().unwrap()).await.unwrap()
    }

    /// Keeps the store from answering until what is returned is dropped.
    fn freeze(&self) -> Box<dyn Send + '_> {
        struct Thaw<'a>(&'a Etcd);
        impl Drop for Thaw<'_> {
            fn drop(&mut self) {
                self.0.resume().unwrap();
            }
        }
        match &self.etcd {
            Some(etcd) => {
                etcd.pause().unwrap();
                Box::new(Thaw(etcd))
            }
            None => {
                let connection = rusqlite::Connection::open(&self.address).unwrap();
                connection.execute_batch("BEGIN IMMEDIATE").unwrap();
                Box::new(connection)
            }
        }
    }

    fn run(&self, line: &str) -> Output {
        self.command(line).output().unwrap()
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shardlift"));
        command.args(["--topo", &self.address]).args(line.split(' '));
        command
    }

    fn must(&self, line: &str) -> String {
        let output = self.run(line);
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn refused(&self, line: &str) -> String {
        let output = self.run(line);
        assert_eq!(output.status.code(), Some(1), "{line}: {}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8(output.stderr).unwrap()
    }
}

macro_rules! conformance {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(&super::Backend::sqlite().await).await;
            })+
        }
        mod etcd {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(&super::Backend::etcd().await).await;
            })+
        }
    };
}

conformance!(
    compare_and_swap,
    a_transaction_is_one_change_for_watchers,
    watches_see_every_revision_in_order_and_resume,
    a_watch_from_a_compacted_revision_lists_anew,
    leases_expire_for_readers_and_watchers,
    a_lease_is_lost_when_the_store_is_silent,
    only_the_owner_writes,
    contended_updates_all_count,
    processes_count_every_swap_once,
    the_catalog_refuses_what_would_dangle,
    import_is_all_or_nothing,
);

fn committed(outcome: TxnOutcome) -> Revision {
    match outcome {
        TxnOutcome::Committed { revision } => revision,
        refused => panic!("{refused:?}"),
    }
}

async fn put(store: &dyn Store, key: &str, value: &str) -> Revision {
    committed(store.txn(Txn::new().put(key, value)).await.unwrap())
}

async fn next(watch: &mut Watch) -> WatchEvent {
    tokio::time::timeout(SOON, watch.next()).await.expect("the watch says nothing").unwrap()
}

async fn snapshot(watch: &mut Watch) -> Listing {
    match next(watch).await {
        WatchEvent::Snapshot(listing) => listing,
        other => panic!("{other:?}"),
    }
}

async fn changes(watch: &mut Watch) -> (Revision, Vec<Change>) {
    match next(watch).await {
        WatchEvent::Changes { revision, changes } => (revision, changes),
        other => panic!("{other:?}"),
    }
}

async fn compare_and_swap(backend: &Backend) {
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

async fn a_transaction_is_one_change_for_watchers(backend: &Backend) {
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

async fn watches_see_every_revision_in_order_and_resume(backend: &Backend) {
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

async fn a_watch_from_a_compacted_revision_lists_anew(backend: &Backend) {
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

async fn leases_expire_for_readers_and_watchers(backend: &Backend) {
    let (one, other) = (backend.topology().await, backend.topology().await);
    let mut watch = other.store().watch("/e/", None);
    snapshot(&mut watch).await;
    let asked = Instant::now();
    let (lease, ttl) = one.store().grant(Duration::from_secs(2)).await.unwrap();
    let txn = Txn::new().put_leased("/e/a", "x", lease).put_leased("/e/b", "x", lease).put("/e/c", "x");
    committed(one.store().txn(txn).await.unwrap());
    assert_eq!(changes(&mut watch).await.1.len(), 3);
    assert_eq!(one.store().get("/e/a").await.unwrap().entry.unwrap().lease, Some(lease));
    // Kept alive, it outlives its time; put without it, a key leaves it.
    while asked.elapsed() < ttl + Duration::from_secs(1) {
        one.store().keep_alive(lease).await.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    put(one.store(), "/e/b", "stays").await;
    changes(&mut watch).await;
    let renewed = Instant::now();
    one.store().keep_alive(lease).await.unwrap();
    let (_, gone) = changes(&mut watch).await;
    assert_eq!(gone, [Change::Delete("/e/a".into())]);
    assert!(renewed.elapsed() >= ttl - Duration::from_millis(100), "{:?}", renewed.elapsed());
    assert_eq!(other.store().list("/e/").await.unwrap().entries.len(), 2);
    assert_eq!(one.store().keep_alive(lease).await, Err(StoreError::LeaseGone(lease)));
    let late = one.store().txn(Txn::new().put_leased("/e/a", "x", lease)).await;
    assert_eq!(late, Err(StoreError::LeaseGone(lease)));
    one.store().revoke(lease).await.unwrap();
    // Revoked, its keys go at once and together.
    let (lease, _) = one.store().grant(Duration::from_secs(60)).await.unwrap();
    committed(one.store().txn(Txn::new().put_leased("/e/x", "x", lease).put_leased("/e/y", "x", lease)).await.unwrap());
    changes(&mut watch).await;
    one.store().revoke(lease).await.unwrap();
    assert_eq!(changes(&mut watch).await.1, [Change::Delete("/e/x".into()), Change::Delete("/e/y".into())]);
}

async fn a_lease_is_lost_when_the_store_is_silent(backend: &Backend) {
    let topology = backend.topology().await;
    let lease = topology.lease(Duration::from_secs(2)).await.unwrap();
    tokio::time::sleep(lease.ttl() * 2).await;
    lease.check().unwrap();
    let silence = backend.freeze();
    let began = Instant::now();
    let txn = topology.txn(Txn::new().put("/s", "x"));
    let (outcome, ()) = tokio::join!(txn, async {
        tokio::time::timeout(SOON, lease.lost().cancelled()).await.expect("still believed in");
        assert!(began.elapsed() <= lease.ttl() + Duration::from_millis(300), "{:?}", began.elapsed());
        assert!(lease.check().is_err());
    });
    assert!(began.elapsed() < DEADLINE + Duration::from_secs(3));
    // SQLite knows that it has not begun; whether etcd will still do it cannot be known.
    match (outcome.unwrap_err(), &backend.etcd) {
        (TopologyError::Store(StoreError::Ambiguous { .. }), Some(_)) => {}
        (TopologyError::Store(StoreError::Unavailable { .. }), None) => {}
        (other, _) => panic!("{other}"),
    }
    drop(silence);
    put(topology.store(), "/s/after", "x").await;
    assert!(lease.check().is_err(), "a lost lease stays lost");
}

async fn only_the_owner_writes(backend: &Backend) {
    let (one, other) = (backend.topology().await, backend.topology().await);
    let path = paths::owner(&"customer".parse().unwrap(), &"move".parse().unwrap());
    let owner = |id: &str| Owner { engine: id.parse().unwrap() };
    let lease = one.lease(Duration::from_secs(30)).await.unwrap();
    let guard = one.claim_owner(&lease, &path, &owner("e1")).await.unwrap().unwrap();
    assert!(one.claim_owner(&lease, &path, &owner("e1")).await.unwrap().is_none());
    let other_lease = other.lease(Duration::from_secs(30)).await.unwrap();
    assert!(other.claim_owner(&other_lease, &path, &owner("e2")).await.unwrap().is_none());
    committed(one.txn_as_owner(&guard, Txn::new().put("/x", "1")).await.unwrap());
    let refused = one.txn_as_owner(&guard, Txn::new().when(Compare::Absent("/x".into())).put("/x", "2")).await.unwrap();
    assert!(matches!(refused, TxnOutcome::Refused { found, .. } if found.len() == 1));
    // A dropped guard leaves the key to the lease, so its holder finds it again.
    let token = guard.token();
    drop(guard);
    let guard = one.claim_owner(&lease, &path, &owner("e1")).await.unwrap().unwrap();
    assert_eq!(guard.token(), token);

    // The lease ends behind the owner's back; before it can notice, another claims.
    other.store().revoke(lease.id()).await.unwrap();
    let next = other.claim_owner(&other_lease, &path, &owner("e2")).await.unwrap().unwrap();
    assert!(next.token() > guard.token());
    lease.check().unwrap();
    let late = one.txn_as_owner(&guard, Txn::new().put("/x", "stale")).await;
    assert!(matches!(late, Err(TopologyError::NotOwner { .. })), "{late:?}");
    assert_eq!(other.store().get("/x").await.unwrap().entry.unwrap().value, b"1");
    tokio::time::timeout(SOON, lease.lost().cancelled()).await.expect("the loss goes unnoticed");

    // Given up or released with its lease, the next claim need not wait.
    other.release_owner(next).await.unwrap();
    let lease = one.lease(Duration::from_secs(30)).await.unwrap();
    let _guard = one.claim_owner(&lease, &path, &owner("e1")).await.unwrap().unwrap();
    lease.release().await;
    assert!(other.claim_owner(&other_lease, &path, &owner("e2")).await.unwrap().is_some());
}

async fn contended_updates_all_count(backend: &Backend) {
    let path = paths::shard(&"commerce".parse().unwrap(), &"0".parse().unwrap());
    let shard = Shard { primary: None, term: 0, serving: Default::default() };
    backend.topology().await.create(&path, &shard).await.unwrap();
    let mut tasks = Vec::new();
    for _ in 0..4 {
        let (topology, path) = (backend.topology().await, path.clone());
        tasks.push(tokio::spawn(async move {
            let mut counted = 0;
            for _ in 0..25 {
                let step = |shard: &mut Shard| {
                    shard.term += 1;
                    Ok(())
                };
                match topology.update(&path, step).await {
                    Ok(_) => counted += 1,
                    Err(TopologyError::Contended { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            counted
        }));
    }
    let mut counted = 0;
    for task in tasks {
        counted += task.await.unwrap();
    }
    assert!(counted > 50, "{counted} of 100");
    assert_eq!(backend.topology().await.need::<Shard>(&path).await.unwrap().record.term, counted);
}

async fn processes_count_every_swap_once(backend: &Backend) {
    // The first processes ever to open it do so at once.
    let cells: Vec<_> =
        (0..6).map(|n| backend.command(&format!("cell add zone{n}")).stdout(Stdio::null()).spawn().unwrap()).collect();
    for mut cell in cells {
        assert!(cell.wait().unwrap().success());
    }
    backend.must("keyspace add commerce");
    backend.must("shard add commerce/0");
    for n in 0..3 {
        backend.must(&format!("tablet add zone{n}-1 --keyspace commerce --mysql db{n}:3306"));
    }
    let run = |n: usize| {
        let line = format!("shard set-primary commerce/0 zone{n}-1");
        let mut children = Vec::new();
        for _ in 0..8 {
            children.push(backend.command(&line).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        }
        children
    };
    let mut counted = 0;
    for _ in 0..4 {
        for mut child in (0..3).flat_map(run) {
            counted += u64::from(child.wait().unwrap().success());
        }
    }
    assert!(counted > 48, "{counted} of 96");
    let shard: Value = serde_json::from_str(&backend.must("shard show commerce/0 --format json")).unwrap();
    assert_eq!(shard["term"], json!(counted));
    let tablets: Value = serde_json::from_str(&backend.must("tablet list --format json")).unwrap();
    for tablet in tablets.as_array().unwrap() {
        assert_eq!(tablet["type"] == "PRIMARY", tablet["alias"] == shard["primary"], "{tablet}");
    }
}

async fn the_catalog_refuses_what_would_dangle(backend: &Backend) {
    let no = |line: &str, why: &str| {
        let said = backend.refused(line);
        assert!(said.contains(why), "{line}: {said}");
    };
    no("shard add commerce/0", "keyspace commerce does not exist");
    backend.must("keyspace add commerce --database shop");
    no("keyspace add commerce", "keyspace commerce exists already");
    backend.must("shard add commerce/0");
    no("shard add commerce/0", "exists already");
    assert!(backend.must("shard add commerce/-80").contains("overlaps"));
    assert!(backend.must("shard add commerce/80-").contains("overlaps"));
    let shards: Value = serde_json::from_str(&backend.must("--format json shard list commerce")).unwrap();
    let serving = |name: &str| {
        let shard = shards.as_array().unwrap().iter().find(|shard| shard["shard"] == name);
        shard.unwrap()["serving"].as_array().unwrap().len()
    };
    assert_eq!((serving("0"), serving("-80"), serving("80-")), (3, 0, 0));

    let add = "tablet add zone1-100 --keyspace commerce --type PRIMARY --mysql db1";
    no(add, "cell zone1 does not exist");
    backend.must("cell add zone1");
    backend.must(add);
    no(add, "tablet zone1-0000000100 exists already");
    no("tablet add zone1-101 --keyspace commerce --shard -80 --mysql db1", "is database shop on db1:3306 already");
    no("tablet add zone1-101 --keyspace commerce --type primary --mysql db2", "has a primary");
    no("tablet add zone1-101 --keyspace customer --mysql db2", "keyspace customer does not exist");
    backend.must("tablet add zone1-101 --keyspace commerce --shard -80 --mysql db2");
    no("shard set-primary commerce/0 zone1-101", "belongs to shard commerce/-80");
    no("shard remove commerce/0", "still has tablets: zone1-0000000100");
    no("tablet remove zone1-100", "is the primary of shard commerce/0");
    no("cell remove zone1", "still has tablets");
    no("keyspace remove commerce", "still has shards");
    for line in ["tablet remove zone1-100 --allow-primary", "tablet remove zone1-101", "cell remove zone1"] {
        backend.must(line);
    }
    no("shard remove commerce/0", "is serving");
    for line in ["shard remove commerce/0 --even-if-serving", "shard remove commerce/-80", "shard remove commerce/80-"]
    {
        backend.must(line);
    }
    backend.must("keyspace remove commerce");
    assert_eq!(backend.must("topo list --format json").trim(), "[]");
    assert_eq!(backend.run("cell frob").status.code(), Some(2));
}

async fn import_is_all_or_nothing(backend: &Backend) {
    let topology = backend.topology().await;
    topology.add_cell(&"zone1".parse().unwrap()).await.unwrap();
    let commerce = "commerce".parse().unwrap();
    topology.add_keyspace(&commerce, &Keyspace { database: "commerce".parse().unwrap() }).await.unwrap();
    topology.add_shard(&commerce, &"0".parse().unwrap()).await.unwrap();
    // More records than etcd takes as one list of operations.
    for n in 0..150 {
        let tablet = Tablet {
            keyspace: commerce.clone(),
            shard: "0".parse().unwrap(),
            tablet_type: if n == 0 { TabletType::Primary } else { TabletType::Replica },
            endpoint: Endpoint::new(format!("db{n}:3306").parse().unwrap()),
            database: "commerce".parse().unwrap(),
            credential: "app".parse().unwrap(),
        };
        topology.add_tablet(&format!("zone1-{n}").parse().unwrap(), &tablet).await.unwrap();
    }
    let file = backend.folder.path().join("export.json");
    backend.must(&format!("topo export --output {}", file.display()));
    let document = Document::parse(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(document.records.len(), 153);
    assert!(backend.refused(&format!("topo import {}", file.display())).contains("not empty"));

    let mut view = Topology::open(&backend.address, &"copy".parse().unwrap()).await.unwrap().view_all();
    view.changed().await.unwrap();
    let mut broken = serde_json::to_value(&document).unwrap();
    broken["records"].as_object_mut().unwrap().remove("cells/zone1");
    let bad = backend.folder.path().join("broken.json");
    std::fs::write(&bad, broken.to_string()).unwrap();
    let said = backend.refused(&format!("--cluster copy topo import {}", bad.display()));
    assert!(said.contains("names cells/zone1, which is not in the document"), "{said}");
    backend.must(&format!("--cluster copy topo import {}", file.display()));
    assert_eq!(view.changed().await.unwrap().len(), 153, "a watcher sees the import as one change");
    let copied: Value = serde_json::from_str(&backend.must("--cluster copy topo export")).unwrap();
    assert_eq!(copied, serde_json::to_value(&document).unwrap());

    // By force it replaces all, and still as one change; but not under a working engine.
    topology.add_cell(&"zone2".parse().unwrap()).await.unwrap();
    backend.must(&format!("topo import --force {}", file.display()));
    assert_eq!(topology.export().await.unwrap(), document);
    let lease = topology.lease(Duration::from_secs(30)).await.unwrap();
    let owner = paths::owner(&commerce, &"move".parse().unwrap());
    let _guard = topology.claim_owner(&lease, &owner, &Owner { engine: "e1".parse().unwrap() }).await.unwrap();
    assert!(backend.refused(&format!("topo import --force {}", file.display())).contains("stop the engines"));
}

/// As after SIGSTOP: no task of the process has run, yet the lease is known to be gone.
#[tokio::test(flavor = "current_thread")]
async fn a_process_that_slept_knows_at_once() {
    let backend = Backend::sqlite().await;
    let lease = backend.topology().await.lease(Duration::from_millis(300)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    lease.check().unwrap();
    std::thread::sleep(Duration::from_millis(400));
    assert!(matches!(lease.check(), Err(StoreError::LeaseGone(_))));
    assert!(lease.lost().is_cancelled());
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
            // Nothing listens, so nothing was sent, and that is known.
            let began = Instant::now();
            let down = topology.store().txn(Txn::new().put("/r/a", "down")).await;
            assert!(matches!(down, Err(StoreError::Unavailable { .. })), "{down:?}");
            assert!(began.elapsed() < DEADLINE + Duration::from_secs(1));
        }
        let during = tokio::spawn({
            let topology = topology.clone();
            async move { topology.store().get("/r/a").await }
        });
        etcd.restart().await.unwrap();
        assert_eq!(during.await.unwrap().unwrap().entry.unwrap().mod_revision, before);
        let after = put(topology.store(), "/r/b", "after").await;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tablet_check_names_what_is_wrong() {
    let backend = Backend::sqlite().await;
    let servers = local::ensure(&InstallOptions::from_env(), &()).await.unwrap();
    let ports = Ports::open(&servers.cache).unwrap();
    let (port, nobody) = (ports.lease().unwrap(), ports.lease().unwrap());
    let account = Account::engine("shardlift", "p@ss");
    let mut spec = MysqldSpec::new(backend.folder.path().join("db"), port.clone(), 1, account);
    spec.extra_args = vec!["--binlog-row-image=MINIMAL".into()];
    let _mysqld = Mysqld::start(&servers, spec).await.unwrap();
    for line in ["cell add zone1", "keyspace add commerce --database mysql", "shard add commerce/0"] {
        backend.must(line);
    }
    let add = |alias: &str, port: u16, more: &str| {
        backend.must(&format!("tablet add {alias} --keyspace commerce --mysql 127.0.0.1:{port} {more}"));
    };
    add("zone1-1", port.number(), "--type PRIMARY");
    add("zone1-2", port.number(), "--database none");
    add("zone1-3", nobody.number(), "--type RDONLY");
    add("zone1-4", port.number(), "--database sys --credential stranger");
    let mut check = backend.command("tablet check --format json");
    check
        .env("SHARDLIFT_CREDENTIAL_SHARDLIFT_USER", "shardlift")
        .env("SHARDLIFT_CREDENTIAL_SHARDLIFT_PASSWORD", "p@ss");
    let output = check.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let findings: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let problems = |n: usize| findings[n]["problems"].as_array().unwrap();
    assert_eq!(problems(0), &[json!("binlog_row_image is MINIMAL, it must be FULL")]);
    assert!(problems(1).last().unwrap().as_str().unwrap().starts_with("database none does not exist"), "{findings:?}");
    assert!(problems(2)[0].as_str().unwrap().contains("refused"), "{findings:?}");
    assert!(problems(3)[0].as_str().unwrap().contains("SHARDLIFT_CREDENTIAL_STRANGER"), "{findings:?}");
}
