//! How a statement ends that several shards have answered: committed or undone, held, or lost.
//!
//! Invariant: as [`super::spread`] says.

use futures_util::future::join_all;
use tokio::time::timeout;

use crate::gateway::backend::Checkout;
use crate::gateway::buffer::words;
use crate::gateway::client::{ClientError, OkPacket, SqlError};
use crate::gateway::route::Several;
use crate::metrics::Aborted;

use super::counts::counted;
use super::gather::{Gathered, Lost};
use super::hold::{Stopped, Waits};
use super::send::{Ask, OWN};
use super::sequence::first_given;
use super::several::{ROLLBACK, told};
use super::spread::Asked;
use super::txn::Txn;
use super::{Flow, Session};

/// What a write within a transaction is undone to, and how.
pub(super) const SAVEPOINT: &[u8] = b"SAVEPOINT `_shardlift`";
const UNDO: &[u8] = b"ROLLBACK TO SAVEPOINT `_shardlift`";
const RELEASE: &[u8] = b"RELEASE SAVEPOINT `_shardlift`";

impl Session {
    /// Takes in what the answers say of the session, and keeps the connections or gives them back.
    pub(super) async fn take_in(&mut self, gathered: Gathered, asked: Asked<'_>) {
        let Gathered { answered, mut unasked, .. } = gathered;
        let warned = answered.iter().any(|one| one.relayed.warnings > 0);
        let (open, partial) = (self.txn.tablet().is_some(), answered.len() > 1);
        let mut answered = answered.into_iter();
        while let Some(one) = answered.next() {
            let text = Ask::Text(b"");
            self.digest(asked.statement, asked.sql, text, &one.relayed, one.carried, one.checkout).await;
            if open && self.txn.tablet().is_none() {
                // It is over on one shard, and with that on those whose answers are not looked at yet.
                self.held.append(&mut unasked);
                self.held.extend(answered.by_ref().map(|one| one.checkout));
                self.abandon().await;
            }
        }
        unasked.into_iter().for_each(|checkout| self.settle(checkout));
        self.last.partial = partial;
        if !warned {
            // What one shard has counted is not what the statement has.
            self.last.at = self.last.at.take().map(|(alias, _)| (alias, 0));
        }
    }

    /// Undoes a write on all its shards; false where that ends the whole transaction.
    pub(super) async fn undo_write(&mut self, mut checkouts: Vec<Checkout>, within: bool) -> bool {
        let undo = if within { UNDO } else { ROLLBACK };
        let undone = join_all(checkouts.iter_mut().map(|one| timeout(OWN, one.backend.execute(undo)))).await;
        if within && undone.into_iter().any(|undone| told(undone).is_err()) {
            // A shard has given up its part: the rest must not go on without it.
            self.held.append(&mut checkouts);
            self.abandon().await;
            return false;
        }
        checkouts.into_iter().for_each(|checkout| self.settle(checkout));
        true
    }

    /// Ends a write that all shards have answered, or those up to one that has failed.
    pub(super) async fn end_write(
        &mut self,
        gathered: Gathered,
        asked: Asked<'_>,
        several: &Several,
        within: bool,
        error: Option<SqlError>,
    ) -> Result<Flow, ClientError> {
        let alone = several.stops.len() == 1;
        if let Some(error) = error {
            if alone {
                self.take_in(gathered, asked).await;
            } else if !self.undo_write(gathered.checkouts(), within).await {
                return self.fail(words::begin_again(&error.message)).await;
            }
            self.last.any = true;
            return self.fail(error).await;
        }
        let Gathered { mut answered, .. } = gathered;
        let mut packet = counted(&answered, several, asked.statement, asked.sql);
        // What the connection would tell of is the COMMIT.
        let at = answered.first().map(|one| (one.checkout.key().tablet().clone(), 0));
        if within || alone {
            if within && !alone {
                join_all(answered.iter_mut().map(|one| timeout(OWN, one.checkout.backend.execute(RELEASE)))).await;
            }
            self.take_in(Gathered { answered, ..Gathered::default() }, asked).await;
        } else {
            for one in &answered {
                self.keep.learn(asked.statement, asked.sql, &one.relayed);
            }
            let checkouts = answered.into_iter().map(|one| one.checkout).collect();
            if let Err(error) = self.commit_each(checkouts).await {
                return self.fail(error).await;
            }
            self.last.any = true;
            self.last.refusal = None;
            self.last.at = at;
        }
        if let Some(first) = first_given(asked.bindings) {
            packet.last_insert_id = first;
        }
        if packet.last_insert_id > 0 {
            self.last.insert_id = packet.last_insert_id;
            // No connection's own is right.
            self.last.insert_id_at = None;
        }
        let mut packet = OkPacket { status: self.status(), ..packet };
        packet.status.set(mysql_common::constants::StatusFlags::SERVER_MORE_RESULTS_EXISTS, asked.more);
        self.client.ok(&packet).await?;
        Ok(Flow::On)
    }

    /// Undoes on all shards what a fence has refused on one.
    pub(super) async fn fenced_all(
        &mut self,
        asked: Asked<'_>,
        mut checkouts: Vec<Checkout>,
        several: &Several,
        (why, waits): (String, &mut Waits),
        (within, opens): (bool, bool),
    ) -> Result<Option<Flow>, ClientError> {
        self.gateway.metrics.buffer().fenced();
        let again = !within || opens || self.only_read();
        join_all(checkouts.iter_mut().map(|one| timeout(OWN, one.backend.execute(ROLLBACK)))).await;
        if self.txn.tablet().is_some() {
            self.held.append(&mut checkouts);
            self.abandon().await;
        }
        checkouts.into_iter().for_each(|checkout| self.settle(checkout));
        if self.doomed {
            let error = self.doom("a connection with the session's state is gone");
            return self.fail(error).await.map(Some);
        }
        if !again {
            self.gateway.metrics.buffer().aborted(Aborted::Fence);
            return self.fail(words::begin_again(&why)).await.map(Some);
        }
        if within {
            self.begin_again();
        }
        let bytes = asked.sql.len();
        match self.wait_for_fence(waits, &several.keyspace, why, bytes).await {
            Ok(()) => Ok(None),
            Err(Stopped::Told(error)) => self.fail(error).await.map(Some),
            Err(Stopped::Client(error)) => Err(error),
        }
    }

    /// Ends the conversation about a statement whose shards cannot be heard to the end.
    pub(super) async fn lost(&mut self, lost: Lost, within: bool) -> Result<Flow, ClientError> {
        match lost {
            Lost::Client(error) => Err(error),
            Lost::Midway(error) => Err(ClientError::Refused(error)),
            Lost::Server(error) => {
                if within || self.keep.any() {
                    self.txn = Txn::None;
                    let error = self.doom(&error.message);
                    return self.fail(error).await;
                }
                self.fail(error).await
            }
        }
    }
}
