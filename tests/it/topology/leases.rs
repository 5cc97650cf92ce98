//! Leases, and owning a workflow by one.

use std::time::{Duration, Instant};

use shardlift::topology::records::Owner;
use shardlift::topology::store::{Change, DEADLINE};
use shardlift::topology::{Compare, StoreError, TopologyError, Txn, TxnOutcome, paths};

use super::backend::{Backend, SOON, changes, committed, put, snapshot};

pub(super) async fn leases_expire_for_readers_and_watchers(backend: &Backend) {
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

pub(super) async fn a_lease_is_lost_when_the_store_is_silent(backend: &Backend) {
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

pub(super) async fn only_the_owner_writes(backend: &Backend) {
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
