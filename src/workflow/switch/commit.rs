//! The commit: one transaction of the topology, after which the switch is only ever brought to its end.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use crate::model::switch::{Phase, Step, Switch, SwitchRequest};
use crate::model::{ClosedShard, ClosedSide};
use crate::topology::records::Workflow;
use crate::topology::{TopologyError, Txn, TxnOutcome, Versioned, paths};

use super::SwitchError;
use super::kit::Tail;
use super::plan::switched_after;
use super::route::route;
use super::run::{Course, Failed, PAUSE, failed};
use super::undo::turn;

/// Between two attempts to learn what became of the commit.
const ASK_AGAIN: Duration = Duration::from_millis(100);
/// How often the commit is sent; each but the last was refused for certain.
const TRIES: u32 = 3;

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
        let seen = self.watchers.iter().find_map(|watcher| watcher.found().map(str::to_owned));
        if let Some(why) = seen.or_else(|| self.tools.watch.broken()) {
            return Err(SwitchError::Refused(why).into());
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

    /// Sends the commit: routing, the record and the pause, all or nothing. `false`: the store has refused it. If that was
    /// because the record had changed, but not in what concerns the switch, it is sent again.
    async fn send(&mut self) -> Result<bool, SwitchError> {
        let mut known = self.written.take();
        for _ in 0..TRIES {
            let found = match known.take() {
                Some(found) => found,
                None => self.record().await?,
            };
            let ours =
                |switch: &Switch| switch.request.uid == self.request.uid && matches!(switch.phase, Phase::Doing { .. });
            if !found.record.switch.as_ref().is_some_and(ours) {
                return Ok(false);
            }
            if self.send_upon(found).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The side that is closed from now on.
    fn closed(&self) -> ClosedSide {
        let shards = self.ends.closing.iter().zip(&self.fence).map(|(end, drained)| {
            let (drained, watched) = (drained.clone(), drained.clone());
            (
                end.fence.key.shard.clone(),
                ClosedShard { primary: Some(end.primary.clone()), given_up: false, drained, watched },
            )
        });
        let arrived = self.tail.iter().flat_map(Tail::arrived).cloned();
        let opened = self.ends.opening.iter().map(|end| end.fence.key.shard.clone()).zip(arrived).collect();
        let SwitchRequest { uid: by, direction, .. } = *self.request;
        ClosedSide { by, direction, shards: shards.collect(), opened, broken: None }
    }

    /// Sends it on the condition that the record is this one.
    async fn send_upon(&mut self, found: Versioned<Workflow>) -> Result<bool, SwitchError> {
        let (desk, request) = (self.tools.desk, self.request);
        let Versioned { mut record, revision } = found;
        record.switched = switched_after(&record, request);
        if request.writes() {
            record.way_back = request.way_back;
            record.fenced = true;
            record.closed = Some(self.closed());
        }
        if let Some(switch) = record.switch.as_mut() {
            switch.phase = Phase::Finishing;
            switch.drained = self.fence.iter().map(ToString::to_string).collect();
        }
        let topology = &desk.topology;
        let mut txn = topology.unchanged(Txn::new(), desk.path(), revision);
        for end in self.ends.all() {
            txn = topology.unchanged(txn, &end.path, end.revision);
        }
        txn = topology.put(txn, desk.path(), &record)?;
        txn = route(topology, txn, &record, &self.ends, request.direction)?;
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
