//! A lease kept alive by a task of its own.
//!
//! Invariant: [`Lease::check`] succeeds only while the store cannot have let the lease expire: it is valid for its time
//! to live counted from *before* the last renewal was sent, by the monotonic clock. A process that was stopped and wakes
//! up finds the time passed, whatever its tasks had no chance to notice. A lost lease stays lost.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::store::{LeaseId, Store, StoreError};

/// For how long a lost lease is still to be revoked, where the store cannot be told.
const PATIENCE: Duration = Duration::from_secs(60);

/// A handle on a lease; clones share it. When the last is dropped, or [`Lease::release`] is called, the lease is revoked.
#[derive(Debug, Clone)]
pub struct Lease {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    id: LeaseId,
    ttl: Duration,
    valid_until: watch::Receiver<Instant>,
    lost: CancellationToken,
    stopped: CancellationToken,
    _stop: DropGuard,
    /// Owner keys a guard of this process holds by this lease.
    held: Mutex<HashSet<String>>,
}

impl Lease {
    /// Takes a lease of at least `ttl` and keeps it alive.
    pub async fn take(store: Arc<dyn Store>, ttl: Duration) -> Result<Self, StoreError> {
        let asked = Instant::now();
        let (id, ttl) = store.grant(ttl).await?;
        let (renewed, valid_until) = watch::channel(asked + ttl);
        let (lost, stop, stopped) = (CancellationToken::new(), CancellationToken::new(), CancellationToken::new());
        let keeper =
            Keeper { store, id, ttl, renewed, lost: lost.clone(), stop: stop.clone(), stopped: stopped.clone() };
        tokio::spawn(keeper.run());
        let held = Mutex::default();
        Ok(Self { shared: Arc::new(Shared { id, ttl, valid_until, lost, stopped, _stop: stop.drop_guard(), held }) })
    }

    /// Its name in the store.
    pub fn id(&self) -> LeaseId {
        self.shared.id
    }

    /// Its time to live, as the store granted it.
    pub fn ttl(&self) -> Duration {
        self.shared.ttl
    }

    /// How long it is certain to live if it is never renewed again.
    pub fn remaining(&self) -> Duration {
        if self.shared.lost.is_cancelled() {
            return Duration::ZERO;
        }
        let valid_until = *self.shared.valid_until.borrow();
        valid_until.saturating_duration_since(Instant::now())
    }

    /// Fails if the lease may be gone.
    pub fn check(&self) -> Result<(), StoreError> {
        if self.remaining().is_zero() {
            self.shared.lost.cancel();
            return Err(StoreError::LeaseGone(self.shared.id));
        }
        Ok(())
    }

    /// Cancelled when the lease may be gone. After a stop of the process it may lag behind [`Self::check`].
    pub fn lost(&self) -> &CancellationToken {
        &self.shared.lost
    }

    /// Ends the lease now, for all clones, and waits until the store knows or cannot be told.
    pub async fn release(self) {
        self.shared.lost.cancel();
        self.shared.stopped.cancelled().await;
    }

    /// Marks `key` as held; false if a guard holds it already.
    pub(super) fn hold(&self, key: &str) -> bool {
        self.shared.held.lock().unwrap_or_else(PoisonError::into_inner).insert(key.into())
    }

    pub(super) fn let_go(&self, key: &str) {
        self.shared.held.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

struct Keeper {
    store: Arc<dyn Store>,
    id: LeaseId,
    ttl: Duration,
    renewed: watch::Sender<Instant>,
    lost: CancellationToken,
    stop: CancellationToken,
    stopped: CancellationToken,
}

impl Keeper {
    async fn run(self) {
        let told = self.stopped.clone().drop_guard();
        tokio::select! {
            () = self.keep() => {}
            () = self.stop.cancelled() => {}
            () = self.lost.cancelled() => {}
        }
        self.lost.cancel();
        let mut revoked = self.revoke().await;
        drop(told);
        // etcd lets a lease that ran out while it was away live anew, for the whole of its time, when it comes back.
        let until = Instant::now() + PATIENCE;
        while !revoked && Instant::now() < until {
            sleep(self.ttl / 10).await;
            revoked = self.revoke().await;
        }
    }

    /// Saves a successor the wait; whether that could be said. If it cannot, the lease expires by itself.
    async fn revoke(&self) -> bool {
        match timeout(self.ttl, self.store.revoke(self.id)).await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                tracing::debug!(lease = %self.id, %error, "the lease cannot be revoked yet");
                false
            }
            Err(_) => false,
        }
    }

    /// Returns when the lease may be gone.
    async fn keep(&self) {
        let mut rest = self.ttl / 3;
        loop {
            let valid_until = *self.renewed.borrow();
            tokio::select! {
                () = sleep(rest) => {}
                () = sleep_until(valid_until) => return,
            }
            let asked = Instant::now();
            match timeout_at(valid_until, timeout(self.ttl / 3, self.store.keep_alive(self.id))).await {
                Ok(Ok(Ok(()))) if asked + self.ttl > Instant::now() => {
                    self.renewed.send_replace(asked + self.ttl);
                    rest = self.ttl / 3;
                }
                Ok(Ok(Err(error @ StoreError::LeaseGone(_)))) => {
                    tracing::warn!(%error, "lost a lease");
                    return;
                }
                Ok(Ok(Err(error))) => {
                    tracing::warn!(lease = %self.id, %error, "lease renewal failed; trying again");
                    rest = self.ttl / 10;
                }
                Ok(Err(_)) => rest = Duration::ZERO,
                Ok(Ok(Ok(()))) | Err(_) => return,
            }
        }
    }
}
