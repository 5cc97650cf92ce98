//! One statement to one tablet, and its reply to the client.
//!
//! Invariants:
//! - What a client gets after its statement failed behind us says whether it may have taken effect.
//! - No statement is sent twice, unless what a fence has refused ([`super::hold`]).
//! - Where a connection is lost with something of the session on it, the client's ends too: it must not go on as if nothing
//!   had happened.
//! - While a server works the client is watched: when it goes away, its statement is ended too.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use crate::gateway::backend::Checkout;
use crate::gateway::buffer::plan::Refused;
use crate::gateway::client::{ClientError, SqlError};
use crate::gateway::route::{Fitness, Refusal, Route, Router, Spreading, Stop};
use crate::gateway::sql::{Kind, Statement, splice};
use crate::gateway::view::View;
use crate::metrics::{Outcome as Ended, Refusal as Reason, RouteMetrics};
use crate::model::fence::FENCE_ERRNO;
use crate::mysql::MysqlError;
use crate::mysql::wire::channel::ChannelError;
use crate::mysql::wire::relay::{ClientSide, Outcome, Reached, RelayError, RelayOptions, Relayed, ReplyKind, Tracking};

use super::columns::Bindings;
use super::hold::{Placed, Stopped, Waits};
use super::prepared::CURSOR;
pub(super) use super::ready::NotSent;
use super::spread::Asked;
use super::verb::verb;
use super::{Flow, Session};

const QUERY: u8 = 0x03;
/// The server has rolled the transaction back.
const DEADLOCK: u16 = 1213;
/// How long the gateway's own statements before and after a client's may take.
pub(super) const OWN: Duration = Duration::from_secs(10);

/// What is sent for a statement.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ask<'a> {
    /// Its text, behind these query attributes.
    Text(&'a [u8]),
    /// COM_STMT_EXECUTE of a prepared statement with these flags and parameters.
    Execute {
        /// The client's id of it.
        id: u32,
        /// Its flags.
        flags: u8,
        /// What follows them.
        rest: &'a [u8],
    },
}

impl Ask<'_> {
    /// Bytes beside the statement's text.
    pub(super) fn len(&self) -> usize {
        match self {
            Ask::Text(rest) | Ask::Execute { rest, .. } => rest.len(),
        }
    }

    pub(super) fn wants_cursor(&self) -> bool {
        matches!(self, Ask::Execute { flags, .. } if flags & CURSOR != 0)
    }
}

impl Session {
    /// One tablet that a statement may be put to; of a statement on several shards any that tells what its answer looks like.
    pub(super) fn routed(&self, view: &View, statement: &Statement, sql: &[u8]) -> Result<Route, SqlError> {
        let most = self.gateway.limits.replica_lag;
        let healths = self.gateway.healths.borrow();
        let health = |tablet: &super::Tablet| healths.fitness(&tablet.alias, most);
        let columns = |keyspace: &_, table: &str| self.gateway.columns.get(keyspace, table);
        let spreading = view.spreads.then(|| Spreading {
            plans: &self.gateway.plans,
            columns: &columns,
            bound: None,
            utf8: self.speaks_utf8(),
            given: &[],
            asked: true,
        });
        let router = self.router(view, &health, spreading);
        router.route(statement, sql).map_err(|refusal| self.refused(refusal))
    }

    pub(super) fn router<'a>(
        &'a self,
        view: &'a View,
        health: Fitness<'a>,
        spreading: Option<Spreading<'a>>,
    ) -> Router<'a> {
        let seed = self.number as usize;
        Router { view, health, target: &self.target, mode: self.mode, seed, spreading }
    }

    pub(super) fn refused(&self, refusal: Refusal) -> SqlError {
        self.gateway.metrics.refused(match refusal.code {
            1046 => Reason::NoDatabase,
            1049 => Reason::UnknownDatabase,
            1290 => Reason::ReadOnly,
            1105 => Reason::NoTablet,
            _ => Reason::Unsupported,
        });
        refusal.into()
    }

    /// A connection where a statement's tables are now, and its text there.
    pub(super) async fn place(&mut self, statement: &Statement, sql: &[u8]) -> Result<(Checkout, Route), SqlError> {
        loop {
            let view = self.view();
            if view.spreads {
                self.know_columns(&view, statement).await?;
            }
            let route = self.routed(&view, statement, sql)?;
            let checkout = self.obtain(&route, statement, sql).await?;
            // Waiting for a connection takes time, in which tables may move.
            if Arc::ptr_eq(&view, &self.view()) {
                return Ok((checkout, route));
            }
            self.settle(checkout);
        }
    }

    /// Has a statement run where its tables are.
    pub(super) async fn forward(
        &mut self,
        statement: &Statement,
        sql: &[u8],
        ask: Ask<'_>,
        more: bool,
    ) -> Result<Flow, ClientError> {
        let (began, mut waits) = (Instant::now(), Waits::default());
        if let Some(flow) = self.for_all(statement, sql, more).await? {
            return Ok(flow);
        }
        let mut bindings = Bindings::default();
        loop {
            if let Some(flow) = self.attempt(statement, sql, (ask, &mut bindings), more, (began, &mut waits)).await? {
                return Ok(flow);
            }
        }
    }

    /// Sends a statement; `None` if it had no effect, and is to be planned again.
    async fn attempt<'a>(
        &mut self,
        statement: &Statement,
        sql: &[u8],
        (ask, bindings): (Ask<'a>, &mut Bindings<'a>),
        more: bool,
        (began, waits): (Instant, &mut Waits),
    ) -> Result<Option<Flow>, ClientError> {
        if let Some(error) = self.outdated(statement) {
            return self.fail(error).await.map(Some);
        }
        let bytes = sql.len() + ask.len();
        let (mut checkout, Stop { mut route, kept }, view) =
            match self.place_unheld(statement, sql, ask, waits, bindings).await {
                Ok(Placed::One(checkout, stop, view)) => (checkout, stop, view),
                Ok(Placed::Several(several, view)) => {
                    let asked = Asked { statement, sql, ask, bindings, more };
                    return self.spread(asked, several, &view, (began, waits)).await;
                }
                Err(Stopped::Told(error)) => return self.fail(error).await.map(Some),
                Err(Stopped::Client(error)) => return Err(error),
            };
        let opens = self.txn.tablet().is_none();
        let refused = self.if_refused(&view, &route, statement, sql, ask);
        let numbers = self.numbers(&route);
        let verb = verb(&statement.kind);
        let text = if route.edits.is_empty() { None } else { Some(splice(sql, &mut route.edits)) };
        let written = sql;
        let sql = text.as_deref().unwrap_or(sql);
        let sent = match timeout(OWN, self.make_ready(statement, sql, &mut checkout)).await {
            Ok(Ok(())) => match self.take_fence(&view, &route, statement, &mut checkout).await {
                Ok(()) => self.request(&mut checkout, sql, ask, kept.as_deref(), bindings).await,
                Err(error) => Err(error),
            },
            Ok(Err(error)) => Err(error),
            Err(_) => {
                let text =
                    format!("tablet {} did not take the session's state within {OWN:?}", checkout.key().tablet());
                drop(checkout);
                numbers.done(verb, Ended::Lost, began.elapsed());
                let error = if self.keep.any() || self.txn.is_active() {
                    self.doom(&text)
                } else {
                    SqlError::new(1105, b"HY000", text)
                };
                return self.fail(error).await.map(Some);
            }
        };
        match sent {
            Ok(()) => {}
            Err(NotSent::Told(error)) => {
                self.settle(checkout);
                return self.fail(error).await.map(Some);
            }
            Err(NotSent::Lost(error)) => {
                numbers.done(verb, Ended::Lost, began.elapsed());
                return self.gone(&error, checkout, false).await.map(Some);
            }
        }
        let kind = ReplyKind::Query { cursor: ask.wants_cursor() };
        let withhold: &[u16] = match refused {
            Refused::Told => &[],
            Refused::Again if self.may_begin_again(waits) => &[FENCE_ERRNO, DEADLOCK],
            _ => &[FENCE_ERRNO],
        };
        let touched = self.txn.is_active() && self.begins_another(&statement.kind);
        let follows = Follows { more, touched, withhold };
        let (relayed, carried) = match self.exchange(&mut checkout, kind, follows).await {
            Ok(relayed) => relayed,
            Err(error) => {
                let ended = if matches!(error, RelayError::Client(_)) { Ended::Abandoned } else { Ended::Lost };
                numbers.done(verb, ended, began.elapsed());
                return self.broken(error, checkout).await.map(Some);
            }
        };
        if let Outcome::Failed { code: FENCE_ERRNO, message, withheld, .. } = &relayed.outcome {
            self.gateway.metrics.buffer().fenced();
            if *withheld {
                let refusal = message.clone();
                return self.fenced(refused, refusal, ask, checkout, &route, (bytes, waits)).await;
            }
        }
        if matches!(relayed.outcome, Outcome::Failed { code: DEADLOCK, withheld: true, .. }) {
            return self.deadlocked(ask, checkout, waits).await;
        }
        waits.through(&route.tablet.record.keyspace);
        numbers.relayed(sql.len() as u64, relayed.bytes);
        let failed = matches!(relayed.outcome, Outcome::Failed { .. });
        numbers.done(verb, if failed { Ended::Error } else { Ended::Ok }, began.elapsed());
        self.digest(statement, sql, ask, &relayed, carried, checkout).await;
        self.note(opens, &view, statement, sql);
        if !failed {
            self.remember_savepoint(statement, sql);
        }
        self.watch(&view, &route, statement, written);
        let quits = matches!(statement.kind, Kind::Commit { release: true, .. } | Kind::Rollback { release: true, .. });
        Ok(Some(match failed {
            true => Flow::Failed,
            false if quits => Flow::Quit,
            false => Flow::On,
        }))
    }

    /// Sends a statement; `kept`: only these of its parameters.
    pub(super) async fn request(
        &mut self,
        checkout: &mut Checkout,
        sql: &[u8],
        ask: Ask<'_>,
        kept: Option<&[usize]>,
        bindings: &Bindings<'_>,
    ) -> Result<(), NotSent> {
        match (ask, kept.zip(bindings.parameters.as_ref())) {
            (Ask::Text(attributes), _) => checkout.backend.request_parts(QUERY, attributes, sql).await?,
            (Ask::Execute { id, flags, rest }, None) => {
                self.request_execution(checkout, sql, id, flags, rest, false).await?
            }
            (Ask::Execute { id, flags, .. }, Some((kept, parameters))) => {
                let rest = parameters.only(kept, flags);
                self.request_execution(checkout, sql, id, flags, &rest, true).await?;
            }
        }
        Ok(())
    }

    /// Whether a transaction that ends with this is followed by another.
    pub(super) fn begins_another(&self, kind: &Kind) -> bool {
        match kind {
            Kind::Begin { .. } => true,
            Kind::Commit { chain, release } | Kind::Rollback { chain, release } => {
                *chain || !release && self.settings.get("completion_type") == Some("CHAIN")
            }
            _ => false,
        }
    }

    /// Relays the reply to a command just sent. Meanwhile KILL finds it, and it ends when its client goes away.
    pub(super) async fn exchange(
        &mut self,
        checkout: &mut Checkout,
        kind: ReplyKind,
        Follows { more, touched, withhold }: Follows<'_>,
    ) -> Result<(Relayed, bool), RelayError> {
        self.seat.runs(Some(checkout.running())).await;
        let heard = tokio::select! {
            biased;
            () = checkout.backend.begun() => true,
            () = self.client.closed() => false,
        };
        if !heard {
            self.seat.runs(None).await;
            if let Err(error) = self.gateway.pools.kill_query(&checkout.running()).await {
                tracing::warn!(tablet = %checkout.key().tablet(), %error, "the statement of a client that is gone goes on");
            }
            return Err(RelayError::Client(ChannelError::Eof));
        }
        let keyspace = self.target.keyspace.as_ref();
        let schema = |_: &str| keyspace.map(ToString::to_string);
        let before = self.untold.clone();
        let tracking = Tracking { variables: &is_told, schema: &schema, before: &before, touched, state_change: false };
        let in_transaction = self.txn.flags_of_begun();
        let client_capabilities = self.client.identity().capabilities;
        let options = RelayOptions {
            kind,
            client_capabilities,
            more_follow: more,
            withhold,
            tracking: &tracking,
            in_transaction,
        };
        let killed = self.seat.killed();
        let (reader, writer, stream) = self.client.parts();
        let mut client = ClientSide { reader, writer, stream };
        let relayed = tokio::select! {
            biased;
            relayed = checkout.backend.relay(&mut client, &options) => relayed,
            // A client that does not take its answer is not waited for.
            () = killed.cancelled() => Err(RelayError::Client(ChannelError::Eof)),
        };
        self.seat.runs(None).await;
        if relayed.as_ref().is_ok_and(|(relayed, _)| relayed.told_before) {
            self.untold.clear();
        }
        relayed
    }

    /// Tells the client that the connection behind it is gone.
    pub(super) async fn gone(
        &mut self,
        error: &MysqlError,
        checkout: Checkout,
        sent: bool,
    ) -> Result<Flow, ClientError> {
        let alias = checkout.key().tablet().clone();
        drop(checkout);
        let text = format!("tablet {alias}: {error}");
        if self.txn.is_active() || self.keep.any() {
            let error = self.doom(&text);
            return self.fail(error).await;
        }
        let effect = if sent { "; whether the statement took effect is not known" } else { "" };
        self.fail(SqlError::new(2013, b"HY000", format!("{text}{effect}"))).await
    }

    /// Ends a relay that failed.
    pub(super) async fn broken(&mut self, error: RelayError, checkout: Checkout) -> Result<Flow, ClientError> {
        match error {
            RelayError::Client(error) => Err(error.into()),
            RelayError::Server { error, reached: Reached::Midway } => {
                Err(ClientError::Refused(SqlError::new(2013, b"HY000", error.to_string())))
            }
            RelayError::Server { error, .. } => self.gone(&error, checkout, true).await,
        }
    }

    pub(super) fn numbers(&mut self, route: &Route) -> Arc<RouteMetrics> {
        if let Some((tablet, numbers)) = &self.route
            && Arc::ptr_eq(tablet, &route.tablet)
        {
            return numbers.clone();
        }
        let keyspace = route.tablet.record.keyspace.as_str();
        let numbers = self.gateway.metrics.route(keyspace, self.target.tablet_type.as_str());
        self.route = Some((route.tablet.clone(), numbers.clone()));
        numbers
    }
}

/// What follows a reply, and what of it is not to be told.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Follows<'a> {
    /// Another statement of the text.
    pub more: bool,
    /// Another transaction, in the place of the one that ends.
    pub touched: bool,
    /// Errors that are not the client's to see.
    pub withhold: &'a [u16],
}

/// The variables that servers report to clients unless told otherwise.
pub(super) fn is_told(name: &str) -> bool {
    ["time_zone", "autocommit", "character_set_client", "character_set_results", "character_set_connection"]
        .contains(&name)
}
