//! A workflow's first and last traces on the servers: its fences' rows, and what is left when it goes.

use crate::engine::EngineError;
use crate::engine::sidecar;
use crate::model::switch::Direction;
use crate::mysql::Credentials;
use crate::topology::records::Workflow;
use crate::topology::{Topology, TopologyError, Txn, TxnOutcome, Versioned, paths};
use crate::workflow::fence;
use crate::workflow::switch::SwitchError;
use crate::workflow::switch::ends::{End, Ends, fences};
use crate::workflow::switch::pause;

use super::cleanup;
use super::complete;
use super::desk::Desk;
use super::streaming::key_of;

/// Makes sure that the fences' rows are there on both sides, and that nobody who carried the workflow before works on them
/// any more.
pub async fn fence_in(topology: &Topology, credentials: &Credentials, record: &Workflow) -> Result<(), EngineError> {
    let made = async {
        for fence in fences(topology, credentials, record).await? {
            fence::ensure(&fence).await?;
            fence::take_over(&fence).await?;
        }
        Ok::<_, SwitchError>(())
    };
    made.await.map_err(SwitchError::into_engine)
}

/// Undoes the workflow on both sides. Reads that were switched go back before the tables they are sent to go.
pub async fn cancel(desk: &Desk, credentials: &Credentials, record: &Workflow) -> Result<(), SwitchError> {
    if !record.switched.is_empty() {
        bring_reads_back(desk).await?;
    }
    let ends = Ends::resolve(&desk.topology, credentials, record, Direction::Forward).await?;
    for target in &ends.opening {
        for source in &ends.closing {
            let key = key_of(record, Direction::Forward, &source.fence.key.shard, &target.fence.key.shard);
            cleanup::undo(&target.fence.side, &key, &record.created_tables).await?;
        }
    }
    forget_fences(&ends).await?;
    forget_streams(record, &ends.closing).await
}

/// Lets the workflow end with its tables at the target: what is left of them at the source goes as was asked, and every
/// trace of the workflow on both sides.
pub async fn complete(desk: &Desk, credentials: &Credentials, record: &Workflow) -> Result<(), SwitchError> {
    let ends = Ends::resolve(&desk.topology, credentials, record, Direction::Forward).await?;
    if let Some(completion) = record.completion {
        for source in &ends.closing {
            // While they are fenced, so that nothing is written to them that nobody will read.
            complete::old_tables(&source.fence.side, &record.spec.tables, completion.old_tables).await?;
        }
    }
    forget_fences(&ends).await?;
    forget_streams(record, &ends.closing).await?;
    forget_streams(record, &ends.opening).await
}

async fn forget_fences(ends: &Ends) -> Result<(), SwitchError> {
    for end in ends.all() {
        fence::take_over(&end.fence).await?;
        fence::forget(&end.fence).await?;
    }
    Ok(())
}

async fn forget_streams(record: &Workflow, ends: &[End]) -> Result<(), SwitchError> {
    for end in ends {
        let mut session = end.fence.side.session().await?;
        sidecar::forget(&mut session, &record.uid).await?;
        session.close().await;
    }
    Ok(())
}

async fn bring_reads_back(desk: &Desk) -> Result<(), SwitchError> {
    let gone = || TopologyError::Missing { what: format!("workflow {}", desk.label()) };
    let Versioned { mut record, revision } = desk.read().await?.ok_or_else(gone)?;
    record.switched.clear();
    let txn = desk.topology.unchanged(Txn::new(), desk.path(), revision);
    let txn = desk.topology.put(txn, desk.path(), &record)?;
    let txn = desk.topology.put(txn, &paths::workflow_rules(&desk.keyspace, &desk.name), &record.rules())?;
    match desk.topology.txn_as_owner(&desk.guard, txn).await? {
        TxnOutcome::Committed { revision } => {
            pause::heard(&desk.topology, revision, pause::PATIENCE).await?;
            Ok(())
        }
        TxnOutcome::Refused { .. } => Err(SwitchError::Changed { what: "the workflow's record".into() }),
    }
}
