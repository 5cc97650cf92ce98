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
use crate::gateway::client::{ClientError, SqlError};
use crate::gateway::plan::bind::Answer;
use crate::gateway::route::{Route, Several, Stop};
use crate::gateway::scatter::row::Form;
use crate::gateway::sql::{Statement, splice};
use crate::gateway::view::View;
use crate::metrics::Outcome as Ended;
use crate::model::fence::FENCE_ERRNO;
use crate::mysql::MysqlError;

use super::columns::Bindings;
use super::conclude::SAVEPOINT;
use super::gather::{Gathered, Lost};
use super::hold::Waits;
use super::prepared::CURSOR;
use super::send::{Ask, NotSent, OWN};
use super::several::told;
use super::txn::Txn;
use super::verb::verb;
use super::{Flow, Session};

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
            if within && !opens && self.txn.tablet().is_none() {
                // It was open and is over. One that no shard has seen yet is not: its client was answered BEGIN.
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
}
