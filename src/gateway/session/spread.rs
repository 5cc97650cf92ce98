//! Statements that several shards answer.
//!
//! Invariants:
//! - A write outside of a transaction is committed only after all shards have done it, and rolled back where one has not.
//! - A write within a transaction that one shard refuses is undone on the others.
//! - What a fence has refused is rolled back on all shards before it is held and planned anew.
//! - Shards are asked at the same time, and their connections taken in the order of their ranges.

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::join_all;
use tokio::time::timeout;

use crate::gateway::backend::Checkout;
use crate::gateway::buffer::words;
use crate::gateway::client::{ClientError, OkPacket, SqlError};
use crate::gateway::plan::bind::Answer;
use crate::gateway::route::{Route, Several};
use crate::gateway::scatter::row::Form;
use crate::gateway::sql::{Statement, splice};
use crate::gateway::view::View;
use crate::metrics::{Aborted, Outcome as Ended};
use crate::model::fence::FENCE_ERRNO;
use crate::mysql::MysqlError;
use crate::mysql::wire::relay::{Outcome, Relayed};

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

/// A shard's connection with what it has answered.
pub(super) struct Answered {
    pub checkout: Checkout,
    pub relayed: Relayed,
    pub carried: bool,
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
        let numbers = several.stops.first().map(|stop| self.numbers(&stop.route));
        let done = |ended| {
            if let Some(numbers) = &numbers {
                numbers.done(verb(&asked.statement.kind), ended, began.elapsed());
            }
        };
        let checkouts = match self.ready_all(asked, &several, view, writes && !within && !alone).await {
            Ok(Some(checkouts)) => checkouts,
            Ok(None) => return Ok(None),
            Err(error) => {
                done(Ended::Error);
                return self.fail(error).await.map(Some);
            }
        };
        let form = if matches!(asked.ask, Ask::Execute { .. }) { Form::Binary } else { Form::Text };
        let gathered = match self.gather(checkouts, &several.answer, (form, asked.more)).await {
            Ok(gathered) => gathered,
            Err(lost) => {
                done(Ended::Lost);
                return self.lost(lost, within).await.map(Some);
            }
        };
        let Gathered { answered, flow, refused } = gathered;
        let failed = answered.iter().find_map(|one| match &one.relayed.outcome {
            Outcome::Failed { code, state, message, .. } => Some((*code, state.clone(), message.clone())),
            _ => None,
        });
        let fenced =
            answered.iter().any(|one| matches!(one.relayed.outcome, Outcome::Failed { code: FENCE_ERRNO, .. }));
        done(if failed.is_some() || refused.is_some() { Ended::Error } else { Ended::Ok });
        if fenced && flow.is_none() {
            let why = failed.map(|(.., message)| message).unwrap_or_default();
            return self.fenced_all(asked, answered, &several, (why, waits), within).await;
        }
        waits.through(&several.keyspace);
        let error = failed.map(|(code, state, message)| {
            SqlError::new(code, &<[u8; 5]>::try_from(state.as_bytes()).unwrap_or(*b"HY000"), message)
        });
        let error = error.or(refused);
        let flow = match (flow, writes) {
            // Rows were answered, to the end or until something failed.
            (Some(flow), _) => {
                self.take_in(answered, asked).await;
                flow
            }
            (None, false) => {
                self.take_in(answered, asked).await;
                let error =
                    error.unwrap_or_else(|| SqlError::new(1105, b"HY000", "the shards have not answered with rows"));
                self.fail(error).await?
            }
            (None, true) => self.end_write(answered, asked, &several, within, error).await?,
        };
        self.note(opens, view, asked.statement, asked.sql);
        Ok(Some(flow))
    }

    /// A connection to each shard, with the statement sent there; `own`: in a transaction of the gateway's. `None`: rows may have
    /// moved meanwhile.
    async fn ready_all(
        &mut self,
        asked: Asked<'_>,
        several: &Several,
        view: &Arc<View>,
        own: bool,
    ) -> Result<Option<Vec<(Checkout, Result<(), SqlError>)>>, SqlError> {
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
                        match self.txn.is_active() || self.keep.any() {
                            true => self.doom(&text),
                            false => SqlError::new(2013, b"HY000", text),
                        }
                    }
                },
                Err(error) => error,
            };
            checkouts.into_iter().for_each(|checkout| self.settle(checkout));
            return Err(error);
        }
        if !Arc::ptr_eq(view, &self.view()) {
            checkouts.into_iter().for_each(|checkout| self.settle(checkout));
            return Ok(None);
        }
        let writes = matches!(several.answer, Answer::Counts { .. });
        let first: Option<&[u8]> = match (own, writes && self.txn.tablet().is_some()) {
            (true, _) => Some(b"BEGIN"),
            (false, true) => Some(SAVEPOINT),
            (false, false) => None,
        };
        if let Some(first) = first {
            let begun =
                join_all(checkouts.iter_mut().map(|checkout| timeout(OWN, checkout.backend.execute(first)))).await;
            if let Some(error) = begun.into_iter().find_map(|begun| told(begun).err()) {
                if own {
                    join_all(checkouts.iter_mut().map(|checkout| timeout(OWN, checkout.backend.execute(ROLLBACK))))
                        .await;
                }
                checkouts.into_iter().for_each(|checkout| self.settle(checkout));
                return Err(error);
            }
        }
        let ask = match asked.ask {
            // Rows of several shards have no cursor.
            Ask::Execute { id, flags, rest } => Ask::Execute { id, flags: flags & !CURSOR, rest },
            text @ Ask::Text(_) => text,
        };
        let mut sent = Vec::with_capacity(checkouts.len());
        for (mut checkout, stop) in checkouts.into_iter().zip(&several.stops) {
            let text = splice(asked.sql, &mut stop.route.edits.clone());
            let requested = match self.request(&mut checkout, &text, ask, stop.kept.as_deref(), asked.bindings).await {
                Ok(()) => Ok(()),
                Err(NotSent::Told(error)) => Err(error),
                Err(NotSent::Lost(error)) => Err(SqlError::new(2013, b"HY000", error.to_string())),
            };
            sent.push((checkout, requested));
        }
        Ok(Some(sent))
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
    async fn take_in(&mut self, answered: Vec<Answered>, asked: Asked<'_>) {
        let warned = answered.iter().any(|one| one.relayed.warnings > 0);
        for one in answered {
            let text = Ask::Text(b"");
            self.digest(asked.statement, asked.sql, text, &one.relayed, one.carried, one.checkout).await;
        }
        if !warned {
            // What one shard has counted is not what the statement has.
            self.last.at = self.last.at.take().map(|(alias, _)| (alias, 0));
        }
    }

    /// Ends a write that all shards have answered.
    async fn end_write(
        &mut self,
        mut answered: Vec<Answered>,
        asked: Asked<'_>,
        several: &Several,
        within: bool,
        error: Option<SqlError>,
    ) -> Result<Flow, ClientError> {
        let all = self.txn.tablet().is_some();
        let last: Option<&[u8]> = match (within && all, error.is_some()) {
            (true, true) => Some(UNDO),
            (true, false) => Some(RELEASE),
            // Where autocommit is off, the statement has begun a transaction that goes on; one that has failed has not.
            (false, true) => Some(ROLLBACK),
            (false, false) => None,
        };
        if let Some(error) = error {
            if let Some(last) = last {
                let open = answered.iter_mut().filter(|one| one.checkout.backend.is_usable());
                let undone = join_all(open.map(|one| timeout(OWN, one.checkout.backend.execute(last)))).await;
                if all && undone.into_iter().any(|undone| told(undone).is_err()) {
                    // A shard has given up its part: the rest must not go on without it.
                    answered.into_iter().for_each(|one| drop(one.checkout));
                    self.abandon().await;
                    return self.fail(words::begin_again(&error.message)).await;
                }
            }
            for one in answered {
                if within && all && one.checkout.backend.in_transaction() {
                    self.txn.after(one.checkout.key().tablet(), true);
                }
                self.settle(one.checkout);
            }
            self.last.any = true;
            return self.fail(error).await;
        }
        let mut packet = counted(&answered, several, asked.statement, asked.sql);
        let at =
            answered.first().map(|one| (one.checkout.key().tablet().clone(), one.checkout.backend.connection_id()));
        if within || several.stops.len() == 1 {
            if let Some(last) = last {
                join_all(answered.iter_mut().map(|one| timeout(OWN, one.checkout.backend.execute(last)))).await;
            }
            self.take_in(answered, asked).await;
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
        mut answered: Vec<Answered>,
        several: &Several,
        (why, waits): (String, &mut Waits),
        within: bool,
    ) -> Result<Option<Flow>, ClientError> {
        self.gateway.metrics.buffer().fenced();
        let again = !within || self.only_read() || self.txn.tablet().is_none();
        join_all(answered.iter_mut().map(|one| timeout(OWN, one.checkout.backend.execute(ROLLBACK)))).await;
        let mut checkouts: Vec<Checkout> = answered.into_iter().map(|one| one.checkout).collect();
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
