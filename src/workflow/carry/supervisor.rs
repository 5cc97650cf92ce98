//! One engine process: is present in the topology, claims workflows nobody carries, and runs them.
//!
//! An engine that loses its lease drops everything at once and begins again with a new one; its workflows are then
//! claimed by whoever comes first.

use std::collections::HashMap;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::failpoint::Failpoints;
use crate::metrics::EngineMetrics;
use crate::model::InstanceId;
use crate::mysql::Credentials;
use crate::topology::records::{EnginePresence, Owner, Workflow};
use crate::topology::{Lease, Path, Topology, Txn, paths};

use super::report::now;
use super::runner::Runner;
use crate::engine::error::EngineError;

/// Time to live of an engine's lease (design P1).
pub const LEASE: Duration = Duration::from_secs(3);
/// How often workflows are looked for.
const LOOK: Duration = Duration::from_millis(500);
/// How long the workflows may take to rest at the end.
const JOIN: Duration = Duration::from_secs(15);

/// An engine.
#[derive(Debug)]
pub struct Supervisor {
    /// The topology.
    pub topology: Topology,
    /// Where logins come from.
    pub credentials: Credentials,
    /// Its name.
    pub id: InstanceId,
    /// Where its HTTP service listens; empty for none.
    pub address: String,
    /// Is told how it goes.
    pub metrics: EngineMetrics,
    /// Failures on demand, for tests.
    pub failpoints: Failpoints,
    /// Ends it.
    pub shutdown: CancellationToken,
}

impl Supervisor {
    /// Runs until shut down.
    pub async fn run(self) -> Result<(), EngineError> {
        while !self.shutdown.is_cancelled() {
            match self.reign().await {
                Ok(()) => {}
                Err(error) => {
                    if let EngineError::Topology(error) = &error {
                        self.metrics.topology().failed(error);
                    }
                    tracing::warn!(engine = %self.id, %error, "begins again");
                    let _ = timeout(LOOK, self.shutdown.cancelled()).await;
                }
            }
        }
        Ok(())
    }

    /// For the life of one lease.
    async fn reign(&self) -> Result<(), EngineError> {
        let lease = self.topology.lease(LEASE).await?;
        let host = std::fs::read_to_string("/etc/hostname").unwrap_or_default().trim().to_string();
        let presence = EnginePresence { address: self.address.clone(), started: now(), pid: std::process::id(), host };
        let txn = self.topology.put_leased(Txn::new(), &paths::engine(&self.id), &presence, &lease)?;
        self.topology.txn(txn).await?;
        self.metrics.lease_taken();
        let mut running: HashMap<Path, JoinHandle<()>> = HashMap::new();
        let outcome = loop {
            running.retain(|_, task| !task.is_finished());
            match self.claim(&lease, &mut running).await {
                Ok(()) => self.metrics.topology().made(),
                Err(error) => {
                    self.metrics.topology().failed(&error);
                    tracing::warn!(%error, "workflows cannot be listed");
                }
            }
            tokio::select! {
                () = self.shutdown.cancelled() => break Ok(()),
                () = lease.lost().cancelled() => break Err(EngineError::NotOwner),
                () = tokio::time::sleep(LOOK) => {}
            }
        };
        self.metrics.lease_ended(outcome.is_err());
        for (path, mut task) in running {
            if timeout(JOIN, &mut task).await.is_err() {
                tracing::warn!(workflow = %path, "did not come to rest in time and is dropped");
                task.abort();
            }
        }
        lease.release().await;
        outcome
    }

    async fn claim(&self, lease: &Lease, running: &mut HashMap<Path, JoinHandle<()>>) -> Result<(), EngineError> {
        let workflows = self.topology.list::<Workflow>(&paths::all_workflows()).await?;
        for (path, _) in workflows.records {
            if running.contains_key(&path) {
                continue;
            }
            let Some((keyspace, name)) = paths::workflow_names(&path) else { continue };
            let owner = Owner { engine: self.id.clone() };
            if let Some(guard) = self.topology.claim_owner(lease, &paths::owner(&keyspace, &name), &owner).await? {
                tracing::info!(engine = %self.id, workflow = %path, "claimed");
                let Some(runner) = Runner::new(self, guard, &path) else { continue };
                let label = path.clone();
                let task = tokio::spawn(async move {
                    if let Err(error) = runner.run().await {
                        tracing::warn!(workflow = %label, %error, "given up");
                    }
                });
                running.insert(path, task);
            }
        }
        Ok(())
    }
}
