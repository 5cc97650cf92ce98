//! Statements that several shards answer.
//!
//! Invariants:
//! - A write outside of a transaction is committed only after all shards have done it, and rolled back where one has not.
//! - A write within a transaction that one shard refuses is undone on the others.
//! - What a fence has refused is rolled back on all shards before it is held and planned anew.
//! - Shards are asked for rows at the same time. Writes go to one after another, always in the order of their ranges: of two
//!   that meet, one waits where they meet first and holds nothing that the other has yet to ask for. No server sees a cycle over
//!   several, and only a timeout would end it.
//! - Connections are taken in that order, too.

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::join_all;
use tokio::time::timeout;

use crate::gateway::backend::Checkout;
use crate::gateway::buffer::words;
use crate::gateway::client::{ClientError, OkPacket, SqlError};
use crate::gateway::plan::bind::Answer;
use crate::gateway::route::{Route, Several, Stop};
use crate::gateway::scatter::row::Form;
use crate::gateway::sql::{Statement, splice};
use crate::gateway::view::View;
use crate::metrics::{Aborted, Outcome as Ended};
use crate::model::fence::FENCE_ERRNO;
use crate::mysql::MysqlError;

use super::columns::Bindings;
use super::counts::counted;
use super::gather::{Gathered, Lost};
use super::hold::{Stopped, Waits};
use super::prepared::CURSOR;
use super::send::{Ask, NotSent, OWN};
use super::sequence::first_given;
use super::several::{ROLLBACK, told};
use super::txn::Txn;
use super::verb::verb;
use super::{Flow, Session};

/// What a write within a transaction is undone to.
const SAVEPOINT: &[u8] = b"SAVEPOINT `_shardlift`";
const UNDO: &[u8] = b"ROLLBACK TO SAVEPOINT `_shardlift`";
const RELEASE: &[u8] = b"RELEASE SAVEPOINT `_shardlift`";

/// A statement as its client has sent it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub statement: &'a Statement,
    pub sql: &'a [u8],
    pub ask: Ask<'a>,
    pub bindings: &'a Bindings<'a>,
    pub more: bool,
}

impl Asked<'_> {
    /// How its rows are put.
    fn form(&self) -> Form {
        if matches!(self.ask, Ask::Execute { .. }) { Form::Binary } else { Form::Text }
    }
}

impl Session {
    /// Has several shards do a statement; `None` if it had no effect, and is to be planned again.
    pub(super) async fn spread(
        &mut self,
        asked: Asked<'_>,
        several: Several,
        view: &Arc<View>,
        (began, waits): (Instant, &mut Waits),
    ) -> Result<Option<Flow>, ClientError> {
        let writes = matches!(several.answer, Answer::Counts { .. });
        let within = self.txn.is_active() || self.settings.get("autocommit") == Some("OFF");
        let alone = several.stops.len() == 1;
        if !self.multi && !alone && (writes || within) {
            let text = format!(
                "it is about several shards of keyspace {}, and transaction_mode is single; find its rows by their sharding column, or \
                 SET transaction_mode = 'multi'",
                several.keyspace
            );
            return self.fail(SqlError::new(1235, b"42000", text)).await.map(Some);
        }
        let opens = self.txn.tablet().is_none();
        if within && !alone && self.txn == Txn::None {
            // In so many words, so that each shard is in it whatever comes of the statement there.
            self.txn = Txn::Begun { text: b"BEGIN".to_vec(), read_only: self.begins_read_only(None) };
        }
        let numbers = several.stops.first().map(|stop| self.numbers(&stop.route));
        let done = |ended| {
            if let Some(numbers) = &numbers {
                numbers.done(verb(&asked.statement.kind), ended, began.elapsed());
            }
        };
        let checkouts = match self.ready_all(asked, &several, view, (within, opens)).await {
            Ok(Some(checkouts)) => checkouts,
            Ok(None) => return Ok(None),
            Err(error) => {
                done(Ended::Error);
                return self.fail(error).await.map(Some);
            }
        };
        let gathered = match writes {
            true => self.ask_in_turn(asked, checkouts, &several).await,
            false => self.ask_together(asked, checkouts, &several).await,
        };
        let gathered = match gathered {
            Ok(gathered) => gathered,
            Err(lost) => {
                done(Ended::Lost);
                return self.lost(lost, within).await.map(Some);
            }
        };
        let failed = gathered.failed();
        done(if failed.is_some() || gathered.refused.is_some() { Ended::Error } else { Ended::Ok });
        if let (Some(FENCE_ERRNO), None) = (failed.as_ref().map(|error| error.code), gathered.flow) {
            let why = failed.map(|error| error.message).unwrap_or_default();
            return self.fenced_all(asked, gathered.checkouts(), &several, (why, waits), (within, opens)).await;
        }
        waits.through(&several.keyspace);
        let error = failed.or_else(|| gathered.refused.clone());
        let flow = match (gathered.flow, writes) {
            // Rows were answered, to the end or until something failed.
            (Some(flow), _) => {
                self.take_in(gathered, asked).await;
                flow
            }
            (None, false) => {
                self.take_in(gathered, asked).await;
                let error =
                    error.unwrap_or_else(|| SqlError::new(1105, b"HY000", "the shards have not answered with rows"));
                self.fail(error).await?
            }
            (None, true) => self.end_write(gathered, asked, &several, within, error).await?,
        };
        self.note(opens, view, asked.statement, asked.sql);
        Ok(Some(flow))
    }

    /// A connection to each shard, ready for the statement. `None`: rows may have moved meanwhile.
    async fn ready_all(
        &mut self,
        asked: Asked<'_>,
        several: &Several,
        view: &Arc<View>,
        (within, opens): (bool, bool),
    ) -> Result<Option<Vec<Checkout>>, SqlError> {
        let mut checkouts: Vec<Checkout> = Vec::with_capacity(several.stops.len());
        for stop in &several.stops {
            let error = match self.obtain(&stop.route, asked.statement, asked.sql).await {
                Ok(mut checkout) => match self.ready_one(asked, &stop.route, view, &mut checkout).await {
                    Ok(()) => {
                        checkouts.push(checkout);
                        continue;
                    }
                    Err(NotSent::Told(error)) => {
                        checkouts.push(checkout);
                        error
                    }
                    Err(NotSent::Lost(error)) => {
                        drop(checkout);
                        let text = format!("shard {}: {error}", stop.route.tablet.record.shard);
                        match !opens || self.keep.any() {
                            true => self.doom(&text),
                            false => SqlError::new(2013, b"HY000", text),
                        }
                    }
                },
                Err(error) => error,
            };
            if within && self.txn.tablet().is_none() {
                // It was open and is over.
                self.held.append(&mut checkouts);
                self.abandon().await;
            }
            checkouts.into_iter().for_each(|checkout| self.settle(checkout));
            return Err(error);
        }
        if !Arc::ptr_eq(view, &self.view()) {
            checkouts.into_iter().for_each(|checkout| self.settle(checkout));
            if within && opens {
                // Nothing is done in it, and the shards may be others now.
                self.abandon().await;
                self.begin_again();
            }
            return Ok(None);
        }
        let writes = matches!(several.answer, Answer::Counts { .. }) && several.stops.len() > 1;
        let first = if within { SAVEPOINT } else { &b"BEGIN"[..] };
        if writes {
            let begun =
                join_all(checkouts.iter_mut().map(|checkout| timeout(OWN, checkout.backend.execute(first)))).await;
            if let Some(error) = begun.into_iter().find_map(|begun| told(begun).err()) {
                return Err(match self.undo_write(checkouts, within).await {
                    true => error,
                    false => words::begin_again(&error.message),
                });
            }
        }
        Ok(Some(checkouts))
    }

    /// Sends the statement to a shard.
    async fn ask_one(&mut self, asked: Asked<'_>, stop: &Stop, checkout: &mut Checkout) -> Result<(), SqlError> {
        let ask = match asked.ask {
            // Rows of several shards have no cursor.
            Ask::Execute { id, flags, rest } => Ask::Execute { id, flags: flags & !CURSOR, rest },
            text @ Ask::Text(_) => text,
        };
        let text = splice(asked.sql, &mut stop.route.edits.clone());
        match self.request(checkout, &text, ask, stop.kept.as_deref(), asked.bindings).await {
            Ok(()) => Ok(()),
            Err(NotSent::Told(error)) => Err(error),
            Err(NotSent::Lost(error)) => Err(SqlError::new(2013, b"HY000", error.to_string())),
        }
    }

    /// Asks all shards at the same time.
    async fn ask_together(
        &mut self,
        asked: Asked<'_>,
        checkouts: Vec<Checkout>,
        several: &Several,
    ) -> Result<Gathered, Lost> {
        let (mut sent, mut unasked, mut refused) = (Vec::with_capacity(checkouts.len()), Vec::new(), None);
        for (mut checkout, stop) in checkouts.into_iter().zip(&several.stops) {
            match self.ask_one(asked, stop, &mut checkout).await {
                Ok(()) => sent.push(checkout),
                Err(error) => {
                    refused = refused.or(Some(error));
                    unasked.push(checkout);
                }
            }
        }
        let gathered = self.gather(sent, &several.answer, refused, (asked.form(), asked.more)).await?;
        Ok(Gathered { unasked, ..gathered })
    }

    /// Asks one shard after another, until one fails.
    async fn ask_in_turn(
        &mut self,
        asked: Asked<'_>,
        checkouts: Vec<Checkout>,
        several: &Several,
    ) -> Result<Gathered, Lost> {
        let mut all = Gathered::default();
        for (mut checkout, stop) in checkouts.into_iter().zip(&several.stops) {
            if self.seat.killed().is_cancelled() {
                all.refused = all.refused.or_else(|| Some(words::interrupted()));
            }
            if all.refused.is_some() || all.failed().is_some() {
                all.unasked.push(checkout);
                continue;
            }
            match self.ask_one(asked, stop, &mut checkout).await {
                Ok(()) => {
                    let one = self.gather(vec![checkout], &several.answer, None, (asked.form(), asked.more)).await?;
                    all.answered.extend(one.answered);
                    all.refused = one.refused;
                }
                Err(error) => {
                    all.refused = Some(error);
                    all.unasked.push(checkout);
                }
            }
        }
        Ok(all)
    }

    async fn ready_one(
        &mut self,
        asked: Asked<'_>,
        route: &Route,
        view: &View,
        checkout: &mut Checkout,
    ) -> Result<(), NotSent> {
        match timeout(OWN, self.make_ready(asked.statement, asked.sql, checkout)).await {
            Ok(Ok(())) => self.take_fence(view, route, asked.statement, checkout).await,
            Ok(Err(error)) => Err(error),
            Err(_) => {
                Err(NotSent::Lost(MysqlError::Unexpected { what: "it did not take the session's state in time" }))
            }
        }
    }

    /// Takes in what the answers say of the session, and keeps the connections or gives them back.
    async fn take_in(&mut self, gathered: Gathered, asked: Asked<'_>) {
        let Gathered { answered, mut unasked, .. } = gathered;
        let warned = answered.iter().any(|one| one.relayed.warnings > 0);
        let open = self.txn.tablet().is_some();
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
        if !warned {
            // What one shard has counted is not what the statement has.
            self.last.at = self.last.at.take().map(|(alias, _)| (alias, 0));
        }
    }

    /// Undoes a write on all its shards; false where that ends the whole transaction.
    async fn undo_write(&mut self, mut checkouts: Vec<Checkout>, within: bool) -> bool {
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
    async fn end_write(
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
        let at =
            answered.first().map(|one| (one.checkout.key().tablet().clone(), one.checkout.backend.connection_id()));
        if within || alone {
            if within && !alone {
                join_all(answered.iter_mut().map(|one| timeout(OWN, one.checkout.backend.execute(RELEASE)))).await;
            }
            self.take_in(Gathered { answered, ..Gathered::default() }, asked).await;
        } else {
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
            // No connection's own is right.
            self.last.at = self.last.at.take().map(|(alias, _)| (alias, 0));
        }
        if packet.last_insert_id > 0 {
            self.last.insert_id = packet.last_insert_id;
        }
        let mut packet = OkPacket { status: self.status(), ..packet };
        packet.status.set(mysql_common::constants::StatusFlags::SERVER_MORE_RESULTS_EXISTS, asked.more);
        self.client.ok(&packet).await?;
        Ok(Flow::On)
    }

    /// Undoes on all shards what a fence has refused on one.
    async fn fenced_all(
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
    async fn lost(&mut self, lost: Lost, within: bool) -> Result<Flow, ClientError> {
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
