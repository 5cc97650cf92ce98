//! The commit: one transaction of the topology, after which the switch is only ever brought to its end.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use crate::model::switch::{Phase, Step};
use crate::topology::{TopologyError, Txn, TxnOutcome, Versioned, paths};

use super::SwitchError;
use super::plan::switched_after;
use super::run::{Course, Failed, PAUSE, failed};
use super::undo::turn;

/// Between two attempts to learn what became of the commit.
const ASK_AGAIN: Duration = Duration::from_millis(100);

impl Course<'_> {
    /// The point of no return.
    pub(super) async fn commit(&mut self) -> Result<(), Failed> {
        if let Some(guard) = self.guard.as_mut() {
            guard.still_there().await?;
        }
        if self.began.is_some() && Instant::now() >= self.deadline() {
            return Err(
                SwitchError::TooSlow { step: Step::Commit, waiting: "the steps before".into(), limit: PAUSE }.into()
            );
        }
        let outcome = match self.send().await {
            Ok(true) => return Ok(()),
            Ok(false) => SwitchError::Changed { what: "a primary, or the workflow's record".into() },
            Err(error) => error,
        };
        tracing::warn!(error = %outcome, "the commit of the switch is not confirmed; asking");
        loop {
            match turn(self.tools.desk, &Phase::Undoing { why: outcome.to_string() }, false).await {
                Ok(found) => {
                    let committed = found.record.switch.as_ref().is_some_and(|switch| switch.phase == Phase::Finishing);
                    if committed {
                        return Ok(());
                    }
                    // It never will be: so what this switch has closed may be opened again by whoever comes first. One
                    // of reads has closed nothing, and what is closed then must stay so.
                    self.reopen = self.request.writes().then(|| self.reopener());
                    return Err(Failed::Before(outcome));
                }
                Err(error @ SwitchError::Topology(TopologyError::NotOwner { .. } | TopologyError::Missing { .. })) => {
                    return Err(Failed::Lost(error));
                }
                Err(error) => tracing::warn!(%error, "whether the switch is committed is not known yet"),
            }
            sleep(ASK_AGAIN).await;
        }
    }

    /// Sends the commit: routing, the record and the pause, all or nothing. `false`: the store has refused it.
    async fn send(&mut self) -> Result<bool, SwitchError> {
        let (desk, request) = (self.tools.desk, self.request);
        let Versioned { mut record, revision } = self.record().await?;
        if record.switch.as_ref().is_none_or(|switch| switch.phase != (Phase::Doing { step: Step::Commit })) {
            return Ok(false);
        }
        record.switched = switched_after(&record, request);
        if request.writes() {
            record.way_back = request.way_back;
            record.fenced = true;
        }
        if let Some(switch) = record.switch.as_mut() {
            switch.phase = Phase::Finishing;
            switch.drained = self.fence.iter().map(ToString::to_string).collect();
        }
        let topology = &desk.topology;
        let mut txn = topology.unchanged(Txn::new(), desk.path(), revision);
        for end in self.ends.all() {
            txn = topology.unchanged(txn, &end.shard.0, end.shard.1);
        }
        txn = topology.put(txn, desk.path(), &record)?;
        txn = topology.put(txn, &paths::workflow_rules(&desk.keyspace, &desk.name), &record.rules())?;
        txn = topology.delete(txn, &paths::pause(&desk.keyspace, &desk.name));
        self.tools.failpoints.reach("unsent-commit").await.map_err(failed)?;
        // From here on nothing may be opened before the record is read again.
        if let Some(reopen) = self.reopen.take() {
            reopen.stand_down();
        }
        let sent = timeout(PAUSE, topology.txn_as_owner(&desk.guard, txn)).await;
        self.tools.failpoints.reach("lost-commit").await.map_err(failed)?;
        match sent {
            Ok(outcome) => Ok(matches!(outcome?, TxnOutcome::Committed { .. })),
            Err(_) => Err(SwitchError::TooSlow { step: Step::Commit, waiting: "the topology".into(), limit: PAUSE }),
        }
    }
}
