//! What a workflow's owner reads and writes in the topology.
//!
//! Invariant: every write compares the owner's fencing token, and one of the workflow's record also the revision it is based
//! on; whatever a former owner sends comes to nothing.

use tokio::time::Instant;

use crate::engine::EngineError;
use crate::engine::throttle::Valve;
use crate::model::workflow::StreamState;
use crate::model::{InstanceId, KeyspaceName, WorkflowName};
use crate::topology::records::{Log, Stopped, Workflow};
use crate::topology::{OwnerGuard, Path, Topology, TopologyError, Txn, TxnOutcome, Versioned, paths};

use super::report::{Reporter, note, now};
use super::standing::Standing;

/// The owner's desk for one workflow.
#[derive(Debug)]
pub struct Desk {
    /// The topology.
    pub topology: Topology,
    /// Proof of owning the workflow.
    pub guard: OwnerGuard,
    /// The keyspace it is under.
    pub keyspace: KeyspaceName,
    /// Its name.
    pub name: WorkflowName,
    path: Path,
    reporter: Reporter,
    reported: Instant,
    standing: Standing,
    valve: Valve,
}

impl Desk {
    /// For the workflow at `path`, claimed by `guard`; `None` if that is no workflow's path.
    pub fn new(
        topology: Topology,
        guard: OwnerGuard,
        path: &Path,
        engine: InstanceId,
        standing: Standing,
        valve: Valve,
    ) -> Option<Self> {
        let (keyspace, name) = paths::workflow_names(path)?;
        let (reporter, reported, path) = (Reporter::new(engine), Instant::now(), path.clone());
        Some(Self { topology, guard, keyspace, name, path, reporter, reported, standing, valve })
    }

    /// The workflow as operators call it.
    pub fn label(&self) -> String {
        format!("{}/{}", self.keyspace, self.name)
    }

    /// The path of its record.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The record.
    pub async fn read(&self) -> Result<Option<Versioned<Workflow>>, TopologyError> {
        self.topology.get(&self.path).await
    }

    /// Changes the record; `None` if it is gone. `change` may be called again, with the record as another has written it.
    pub async fn change(
        &self,
        mut change: impl FnMut(&mut Workflow),
    ) -> Result<Option<Versioned<Workflow>>, TopologyError> {
        loop {
            let Some(Versioned { mut record, revision }) = self.read().await? else { return Ok(None) };
            change(&mut record);
            let txn =
                self.topology.put(self.topology.unchanged(Txn::new(), &self.path, revision), &self.path, &record)?;
            if let TxnOutcome::Committed { revision } = self.topology.txn_as_owner(&self.guard, txn).await? {
                return Ok(Some(Versioned { record, revision }));
            }
        }
    }

    /// Notes in the record that the workflow rests by itself.
    pub async fn stop(&self, state: StreamState, message: &str) -> Result<(), EngineError> {
        self.log(&format!("{state}: {message}")).await?;
        let stopped = Stopped { state, message: message.to_string(), at: now() };
        self.change(|record| record.stopped = Some(stopped.clone())).await?;
        Ok(())
    }

    /// How long ago the last report was.
    pub fn silent_for(&self) -> std::time::Duration {
        self.reported.elapsed()
    }

    /// Writes a report.
    pub async fn report(&mut self) -> Result<(), EngineError> {
        self.reported = Instant::now();
        let status = self.reporter.status(&self.standing, &self.valve);
        let path = paths::status(&self.keyspace, &self.name);
        let txn = self.topology.put_leased(Txn::new(), &path, &status, self.guard.lease())?;
        self.topology.txn_as_owner(&self.guard, txn).await?;
        Ok(())
    }

    /// Adds a line to the workflow's log.
    pub async fn log(&self, message: &str) -> Result<(), EngineError> {
        let path = paths::log(&self.keyspace, &self.name);
        let mut log = self.topology.get::<Log>(&path).await?.map(|found| found.record).unwrap_or_default();
        note(&mut log, message);
        let txn = self.topology.put(Txn::new(), &path, &log)?;
        self.topology.txn_as_owner(&self.guard, txn).await?;
        Ok(())
    }

    /// Removes everything the topology knows of the workflow, its routing rules unless they are to stay.
    pub async fn forget(&self, keep_rules: bool) -> Result<(), EngineError> {
        let mut gone = vec![
            self.path.clone(),
            paths::status(&self.keyspace, &self.name),
            paths::log(&self.keyspace, &self.name),
            paths::pause(&self.keyspace, &self.name),
        ];
        gone.extend((!keep_rules).then(|| paths::workflow_rules(&self.keyspace, &self.name)));
        let txn = gone.iter().fold(Txn::new(), |txn, path| self.topology.delete(txn, path));
        self.topology.txn_as_owner(&self.guard, txn).await?;
        Ok(())
    }
}
