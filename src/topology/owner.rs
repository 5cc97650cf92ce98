//! Owning a workflow: one engine at a time, and everything it writes as the owner compares its fencing token.
//!
//! The token is the revision that wrote the owner key. The key dies with the engine's lease and a later owner's key has a
//! higher revision, so a write by a former owner is refused by the store however late it comes.

use super::error::TopologyError;
use super::lease::Lease;
use super::paths::Path;
use super::records::{Owner, Record};
use super::store::{Compare, Revision, StoreError, Txn, TxnOutcome};
use super::{Topology, record_error};

/// Proof of having claimed a workflow. Dropping it leaves the key to the lease; see [`Topology::release_owner`].
#[derive(Debug)]
pub struct OwnerGuard {
    path: Path,
    key: String,
    token: Revision,
    lease: Lease,
}

impl OwnerGuard {
    /// The fencing token.
    pub fn token(&self) -> Revision {
        self.token
    }

    /// The owner key's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The lease it stands on.
    pub fn lease(&self) -> &Lease {
        &self.lease
    }
}

impl Drop for OwnerGuard {
    fn drop(&mut self) {
        self.lease.let_go(&self.key);
    }
}

impl Topology {
    /// Becomes the owner at `path` (see `paths::owner`); `None` if another engine is, or another guard of this process.
    pub async fn claim_owner(
        &self,
        lease: &Lease,
        path: &Path,
        owner: &Owner,
    ) -> Result<Option<OwnerGuard>, TopologyError> {
        let key = self.paths().key(path);
        if !lease.hold(&key) {
            return Ok(None);
        }
        // From here on dropping the guard lets go of the key.
        let mut guard = OwnerGuard { path: path.clone(), key: key.clone(), token: 0, lease: lease.clone() };
        lease.check()?;
        let value = owner.encode().map_err(record_error(path))?;
        let txn = Txn::new().when(Compare::Absent(key.clone())).put_leased(&key, value, lease.id());
        let found = match self.store().txn(txn).await {
            Ok(TxnOutcome::Committed { revision }) => {
                guard.token = revision;
                return Ok(Some(guard));
            }
            Ok(TxnOutcome::Refused { found, .. }) => found.into_iter().next().flatten(),
            Err(StoreError::Ambiguous { .. }) => self.store().get(&key).await?.entry,
            Err(error) => return Err(error.into()),
        };
        // A claim by this very lease: an earlier one whose answer was lost, or whose guard was dropped.
        match found {
            Some(entry) if entry.lease == Some(lease.id()) => {
                guard.token = entry.mod_revision;
                Ok(Some(guard))
            }
            _ => Ok(None),
        }
    }

    /// Applies `txn` if `guard` still holds.
    pub async fn txn_as_owner(&self, guard: &OwnerGuard, txn: Txn) -> Result<TxnOutcome, TopologyError> {
        let not_owner = || TopologyError::NotOwner { owner: guard.path.to_string() };
        guard.lease.check().map_err(|_| not_owner())?;
        let outcome = self.store().txn(txn.when(Compare::ModRevision(guard.key.clone(), guard.token))).await?;
        match outcome {
            TxnOutcome::Refused { revision, mut found } => {
                let owner = found.pop().flatten();
                if owner.is_some_and(|entry| entry.mod_revision == guard.token) {
                    Ok(TxnOutcome::Refused { revision, found })
                } else {
                    Err(not_owner())
                }
            }
            committed => Ok(committed),
        }
    }

    /// Gives a workflow up, so that another engine may claim it at once.
    pub async fn release_owner(&self, guard: OwnerGuard) -> Result<(), TopologyError> {
        let txn = Txn::new().when(Compare::ModRevision(guard.key.clone(), guard.token)).delete(&guard.key);
        self.store().txn(txn).await?;
        Ok(())
    }
}
