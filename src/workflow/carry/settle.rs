//! A workflow's first and last traces on the servers: its fences' rows, and what is left when it goes.

use crate::engine::EngineError;
use crate::engine::sidecar;
use crate::model::switch::Direction;
use crate::mysql::Credentials;
use crate::topology::records::Workflow;
use crate::topology::{Topology, TopologyError, Txn, TxnOutcome, Versioned};
use crate::workflow::fence;
use crate::workflow::replace;
use crate::workflow::switch::SwitchError;
use crate::workflow::switch::ends::{End, Ends};
use crate::workflow::switch::open;
use crate::workflow::switch::pause;
use crate::workflow::switch::route::route;

use super::cleanup;
use super::complete;
use super::desk::Desk;
use super::streaming::key_of;

/// Makes sure that the fences' rows are there on both sides, open where writes go and closed where they do not any more, and
/// that nobody who carried the workflow before works on them. Only while no switch is under way.
pub async fn fence_in(topology: &Topology, credentials: &Credentials, record: &Workflow) -> Result<(), EngineError> {
    let made = async {
        let ends = Ends::resolve(topology, credentials, record, record.flow()).await?;
        // Writes are where changes flow away from.
        for (closed, ends) in [(false, &ends.closing), (record.fenced, &ends.opening)] {
            for End { fence, .. } in ends {
                match closed {
                    true => fence::ensure_closed(fence, record.epoch).await?,
                    false => fence::ensure(fence).await?,
                }
                fence::take_over(fence).await?;
            }
        }
        open::keep_open(topology, credentials, record).await
    };
    made.await.map_err(SwitchError::into_engine)
}

/// Undoes the workflow on both sides, if the sources have all that they were given back. Reads that were switched go back
/// before the tables they are sent to go.
pub async fn cancel(desk: &Desk, credentials: &Credentials, record: &Workflow) -> Result<(), SwitchError> {
    let mut ends = Ends::resolve(&desk.topology, credentials, record, Direction::Forward).await?;
    if !record.switched.is_empty() {
        bring_reads_back(desk, &ends).await?;
        ends = Ends::resolve(&desk.topology, credentials, record, Direction::Forward).await?;
    }
    open::have_all(record, &ends.closing).await?;
    for (_, source, target) in ends.flowing() {
        let key = key_of(record, Direction::Forward, &source.fence.key.shard, &target.fence.key.shard);
        let undone = cleanup::undo(&target.fence.side, &key, &record.created_tables).await;
        unless_given_up(record, target, undone.map_err(SwitchError::from))?;
    }
    forget_fences(record, &ends).await?;
    // Only now: several shards may be on one server.
    forget_streams(record, &ends.opening).await?;
    forget_streams(record, &ends.closing).await?;
    replace::undo(&desk.topology, &desk.guard, credentials, record).await
}

/// Lets the workflow end with its tables at the target, if that has all that it was given: what is left of them at the source
/// goes as was asked, and every trace of the workflow on both sides.
pub async fn complete(desk: &Desk, credentials: &Credentials, record: &Workflow) -> Result<(), SwitchError> {
    let ends = Ends::resolve(&desk.topology, credentials, record, Direction::Forward).await?;
    open::have_all(record, &ends.opening).await?;
    if let Some(completion) = record.completion {
        for source in ends.closing.iter().filter(|source| !record.retired.contains(&source.fence.key.shard)) {
            // While they are fenced, so that nothing is written to them that nobody will read.
            let done = complete::old_tables(&source.fence.side, &record.spec.tables, completion.old_tables).await;
            let retired = done.is_ok();
            unless_given_up(record, source, done)?;
            if retired {
                // Once only: if this is tried again, a table of such a name may have been made since.
                let shard = &source.fence.key.shard;
                desk.change(|record| _ = record.retired.insert(shard.clone())).await?;
            }
        }
    }
    forget_fences(record, &ends).await?;
    forget_streams(record, &ends.closing).await?;
    forget_streams(record, &ends.opening).await
}

/// A server that the operator has given up (`workflow repair`) keeps what it has of the workflow, if it comes back at all.
fn unless_given_up(record: &Workflow, end: &End, done: Result<(), SwitchError>) -> Result<(), SwitchError> {
    let mut named = record.closed.iter().flat_map(|closed| closed.shards.values());
    let given_up = named.any(|shard| shard.given_up && shard.primary.as_ref() == Some(&end.primary));
    match done {
        Err(error) if given_up => {
            tracing::warn!(%error, side = end.fence.side.label, "given up: what is left there stays");
            Ok(())
        }
        done => done,
    }
}

async fn forget_fences(record: &Workflow, ends: &Ends) -> Result<(), SwitchError> {
    for end in ends.all() {
        let gone = async {
            fence::take_over(&end.fence).await?;
            fence::forget(&end.fence).await
        };
        unless_given_up(record, end, gone.await.map_err(SwitchError::from))?;
    }
    Ok(())
}

async fn forget_streams(record: &Workflow, ends: &[End]) -> Result<(), SwitchError> {
    for end in ends {
        let gone = async {
            let mut session = end.fence.side.session().await?;
            sidecar::forget(&mut session, &record.uid).await?;
            session.close().await;
            Ok::<_, EngineError>(())
        };
        unless_given_up(record, end, gone.await.map_err(SwitchError::from))?;
    }
    Ok(())
}

async fn bring_reads_back(desk: &Desk, ends: &Ends) -> Result<(), SwitchError> {
    let gone = || TopologyError::Missing { what: format!("workflow {}", desk.label()) };
    let Versioned { mut record, revision } = desk.read().await?.ok_or_else(gone)?;
    record.switched.clear();
    let mut txn = desk.topology.unchanged(Txn::new(), desk.path(), revision);
    for end in ends.all() {
        txn = desk.topology.unchanged(txn, &end.path, end.revision);
    }
    let txn = desk.topology.put(txn, desk.path(), &record)?;
    let txn = route(&desk.topology, txn, &record, ends, Direction::Forward)?;
    match desk.topology.txn_as_owner(&desk.guard, txn).await? {
        TxnOutcome::Committed { revision } => {
            pause::heard(&desk.topology, revision, pause::PATIENCE).await?;
            Ok(())
        }
        TxnOutcome::Refused { .. } => Err(SwitchError::Changed { what: "a shard, or the workflow's record".into() }),
    }
}
