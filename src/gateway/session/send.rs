//! One statement to one tablet, and its reply to the client.
//!
//! Invariants:
//! - What a client gets after its statement failed behind us says whether it may have taken effect.
//! - A statement is tried again only if it reads, outside a transaction, and nothing of its reply has reached the client.
//! - While a server works the client is watched: when it goes away, its statement is ended too.

use std::sync::Arc;
use std::time::Instant;

use mysql_common::constants::StatusFlags;

use crate::gateway::backend::Checkout;
use crate::gateway::client::{ClientError, SqlError};
use crate::gateway::route::{Refusal, Route, Router};
use crate::gateway::sql::{Kind, SqlMode, Statement, splice};
use crate::metrics::{Outcome as Ended, Refusal as Reason, RouteMetrics, Verb};
use crate::mysql::MysqlError;
use crate::mysql::wire::relay::{ClientSide, Outcome, Reached, RelayError, RelayOptions, Relayed, ReplyKind, Tracking};

use super::txn::Txn;
use super::{Flow, Session};

const QUERY: u8 = 0x03;

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

/// How an attempt came out.
enum Tried {
    Over(Flow),
    Again,
}

impl Session {
    /// Where a statement goes.
    pub(super) fn routed(&self, statement: &Statement, sql: &[u8]) -> Result<Route, SqlError> {
        let (view, most) = (self.view(), self.gateway.limits.replica_lag);
        let healths = self.gateway.healths.borrow();
        let health = |tablet: &super::Tablet| healths.fitness(&tablet.alias, most);
        let seed = self.number as usize;
        let router = Router { view: &view, health: &health, target: &self.target, mode: self.mode, seed };
        router.route(statement, sql).map_err(|refusal| self.refused(refusal))
    }

    fn refused(&self, refusal: Refusal) -> SqlError {
        self.gateway.metrics.refused(match refusal.code {
            1046 => Reason::NoDatabase,
            1049 => Reason::UnknownDatabase,
            1290 => Reason::ReadOnly,
            1105 => Reason::NoTablet,
            _ => Reason::Unsupported,
        });
        refusal.into()
    }

    /// Has a statement run where its tables are.
    pub(super) async fn forward(
        &mut self,
        statement: &Statement,
        sql: &[u8],
        ask: Ask<'_>,
        more: bool,
    ) -> Result<Flow, ClientError> {
        let began = Instant::now();
        let mut tries = 0;
        loop {
            let mut route = match self.routed(statement, sql) {
                Ok(route) => route,
                Err(error) => return self.fail(error).await,
            };
            let checkout = match self.obtain(&route, statement).await {
                Ok(checkout) => checkout,
                Err(error) => return self.fail(error).await,
            };
            let numbers = self.numbers(&route);
            let text = if route.edits.is_empty() { None } else { Some(splice(sql, &mut route.edits)) };
            let sql = text.as_deref().unwrap_or(sql);
            tries += 1;
            let attempt = Attempt { statement, sql, ask, more, again: tries == 1, numbers: &numbers, began };
            match self.attempt(attempt, checkout).await? {
                Tried::Over(flow) => return Ok(flow),
                Tried::Again => tracing::debug!("a read is tried again: its connection was lost"),
            }
        }
    }

    async fn attempt(&mut self, now: Attempt<'_>, mut checkout: Checkout) -> Result<Tried, ClientError> {
        let alias = checkout.key().tablet().clone();
        let alone = !self.txn.is_active() && !self.keep.any();
        let again = now.again && alone && matches!(now.statement.kind, Kind::Query) && !now.statement.uses.locking_read;
        let sent = match self.make_ready(now.statement, &mut checkout).await {
            Ok(()) => self.request(&mut checkout, now.sql, now.ask).await,
            Err(error) => Err(error),
        };
        if let Err(error) = sent {
            return match error {
                NotSent::Told(error) => {
                    self.settle(checkout);
                    self.fail(error).await.map(Tried::Over)
                }
                NotSent::Lost(_) if again => Ok(Tried::Again),
                NotSent::Lost(error) => {
                    now.numbers.done(verb(&now.statement.kind), Ended::Lost, now.began.elapsed());
                    let error = self.gone(&error, checkout, false);
                    self.fail(error).await.map(Tried::Over)
                }
            };
        }
        self.seat.runs(Some(checkout.running()));
        let heard = tokio::select! {
            biased;
            () = checkout.backend.begun() => true,
            () = self.client.closed() => false,
        };
        if !heard {
            self.seat.runs(None);
            now.numbers.done(verb(&now.statement.kind), Ended::Abandoned, now.began.elapsed());
            if let Err(error) = self.gateway.pools.kill_query(&checkout.running()).await {
                tracing::warn!(tablet = %alias, %error, "the statement of a client that is gone could not be ended");
            }
            return Err(ClientError::Gone);
        }
        let relayed = self.relay(&mut checkout, ReplyKind::Query, now.more).await;
        self.seat.runs(None);
        let (relayed, carried) = match relayed {
            Ok(relayed) => relayed,
            Err(RelayError::Client(error)) => return Err(error.into()),
            Err(RelayError::Server { reached: Reached::Nothing, .. }) if again => return Ok(Tried::Again),
            Err(RelayError::Server { error, reached }) => {
                now.numbers.done(verb(&now.statement.kind), Ended::Lost, now.began.elapsed());
                let error = self.gone(&error, checkout, true);
                return match reached {
                    Reached::Midway => Err(ClientError::Refused(error)),
                    Reached::Nothing | Reached::Packets => self.fail(error).await.map(Tried::Over),
                };
            }
        };
        now.numbers.relayed(now.sql.len() as u64, relayed.bytes);
        let failed = matches!(relayed.outcome, Outcome::Failed { .. });
        now.numbers.done(verb(&now.statement.kind), if failed { Ended::Error } else { Ended::Ok }, now.began.elapsed());
        self.digest(now.statement, now.ask, &relayed, carried, checkout).await;
        let quits = matches!(now.statement.kind, Kind::Commit { release: true, .. } | Kind::Rollback { release: true, .. });
        Ok(Tried::Over(match failed {
            true => Flow::Failed,
            false if quits => Flow::Quit,
            false => Flow::On,
        }))
    }

    /// Does on a connection what must be done there before the statement.
    async fn make_ready(&mut self, statement: &Statement, checkout: &mut Checkout) -> Result<(), NotSent> {
        for held in self.held.iter_mut().filter(|held| held.backend.is_unread()) {
            held.backend.read_back().await?;
            self.settings = held.backend.settings().clone();
        }
        let wanted = self.wanted();
        let backend = &mut checkout.backend;
        let asks_back = statement.kind == Kind::Diagnostics || statement.uses.previous_statement;
        if backend.is_unread() && !asks_back {
            backend.read_back().await?;
        } else if !backend.is_unread() {
            backend.follow(&wanted).await?;
        }
        if !statement.uses.variables_read.is_empty() || !statement.uses.variables_assigned.is_empty() {
            self.carry_variables(checkout).await?;
        }
        if asks_back && !checkout.continued && self.held.is_empty() {
            if self.last.any && statement.kind == Kind::Diagnostics {
                let text = "what the last statement left for this one is gone: its connection has served another session \
                            since; run both in one transaction, or raise the gateway's --pool-size";
                return Err(NotSent::Told(SqlError::new(1105, b"HY000", text)));
            }
            checkout.backend.reset().await?;
            checkout.backend.prepare_for(&wanted).await?;
            let sql = format!("SET last_insert_id = {}", self.last.insert_id);
            checkout.backend.execute(sql.as_bytes()).await?;
        }
        if let Txn::Begun(begin) = &self.txn {
            let begun = checkout.backend.execute(begin).await;
            self.txn = Txn::None;
            begun?;
            self.txn = Txn::Open(checkout.key().tablet().clone());
        }
        Ok(())
    }

    async fn request(&mut self, checkout: &mut Checkout, sql: &[u8], ask: Ask<'_>) -> Result<(), NotSent> {
        match ask {
            Ask::Text(attributes) => checkout.backend.request_parts(QUERY, attributes, sql).await?,
            Ask::Execute { id, flags, rest } => self.request_execution(checkout, sql, id, flags, rest).await?,
        }
        Ok(())
    }

    /// Relays the reply to a command just sent.
    pub(super) async fn relay(
        &mut self,
        checkout: &mut Checkout,
        kind: ReplyKind,
        more: bool,
    ) -> Result<(Relayed, bool), RelayError> {
        let keyspace = self.target.keyspace.as_ref().map(ToString::to_string);
        let tracking = Tracking { variables: &is_told, schema: &|_| keyspace.clone(), state_change: false };
        let client_capabilities = self.client.identity().capabilities;
        let options =
            RelayOptions { kind, client_capabilities, more_follow: more, withhold: &[], tracking: &tracking, in_transaction: None };
        let (reader, writer, stream) = self.client.parts();
        checkout.backend.relay(&mut ClientSide { reader, writer, stream }, &options).await
    }

    /// Takes in what a reply says of the session, and keeps the connection or gives it back.
    async fn digest(
        &mut self,
        statement: &Statement,
        ask: Ask<'_>,
        relayed: &Relayed,
        carried: bool,
        mut checkout: Checkout,
    ) {
        let alias = checkout.key().tablet().clone();
        self.last.any = true;
        self.last.refusal = None;
        let status = match relayed.status {
            Some(status) => status,
            // An error may have ended the transaction, and does not say so.
            None if self.txn.is_active() || self.settings.get("autocommit") == Some("OFF") => {
                checkout.backend.ping().await.unwrap_or(StatusFlags::empty())
            }
            None => checkout.backend.status(),
        };
        self.txn.after(&alias, status.contains(StatusFlags::SERVER_STATUS_IN_TRANS));
        if let Outcome::Done { last_insert_id, .. } = relayed.outcome
            && last_insert_id > 0
        {
            self.last.insert_id = last_insert_id;
        }
        if !matches!(relayed.outcome, Outcome::Failed { .. }) {
            self.keep.learn(statement, relayed);
        }
        if !carried {
            self.keep.for_good();
        }
        if let Ask::Execute { id, .. } = ask {
            let cursor = status.contains(StatusFlags::SERVER_STATUS_CURSOR_EXISTS);
            self.executed(id, cursor, &mut checkout).await;
        }
        if checkout.backend.is_unread() && relayed.warnings == 0 {
            // Where it cannot be read the connection is broken, and not given back.
            if let Err(error) = checkout.backend.read_back().await {
                tracing::debug!(tablet = %alias, %error, "a session's variables could not be read back");
            }
        }
        let changed = !relayed.changed.is_empty();
        self.settle(checkout);
        if changed {
            self.mode = self.settings.get("sql_mode").map(SqlMode::parse).unwrap_or_default();
        }
    }

    /// The error for a client whose connection behind us is gone.
    pub(super) fn gone(&mut self, error: &MysqlError, checkout: Checkout, sent: bool) -> SqlError {
        let alias = checkout.key().tablet().clone();
        drop(checkout);
        let mut text = format!("tablet {alias}: {error}");
        let open = self.txn.is_active();
        if open {
            text.push_str("; the transaction was rolled back");
        } else if sent {
            text.push_str("; whether the statement took effect is not known");
        }
        if self.keep.any() {
            text.push_str("; what the session had set up on that connection is gone (user variables, temporary tables, locks)");
        }
        self.lost(&alias);
        SqlError::new(2013, b"HY000", text)
    }

    fn numbers(&mut self, route: &Route) -> Arc<RouteMetrics> {
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

/// One try at a statement.
struct Attempt<'a> {
    statement: &'a Statement,
    sql: &'a [u8],
    ask: Ask<'a>,
    more: bool,
    again: bool,
    numbers: &'a RouteMetrics,
    began: Instant,
}

/// Why nothing was asked of the server.
pub(super) enum NotSent {
    /// The client is to be told this; the connection is well.
    Told(SqlError),
    /// The connection is not.
    Lost(MysqlError),
}

impl From<MysqlError> for NotSent {
    fn from(error: MysqlError) -> Self {
        match error {
            MysqlError::Server { code, state, message } => {
                let state = <[u8; 5]>::try_from(state.as_bytes()).unwrap_or(*b"HY000");
                NotSent::Told(SqlError::new(code, &state, message))
            }
            error => NotSent::Lost(error),
        }
    }
}

/// The variables that servers report to clients unless told otherwise.
fn is_told(name: &str) -> bool {
    ["time_zone", "autocommit", "character_set_client", "character_set_results", "character_set_connection"].contains(&name)
}

fn verb(kind: &Kind) -> Verb {
    use crate::gateway::sql::Dml;
    match kind {
        Kind::Query => Verb::Select,
        Kind::Dml(Dml::Insert) => Verb::Insert,
        Kind::Dml(Dml::Replace) => Verb::Replace,
        Kind::Dml(Dml::Update) => Verb::Update,
        Kind::Dml(Dml::Delete) => Verb::Delete,
        Kind::Dml(Dml::LoadData { .. } | Dml::LoadXml { .. }) => Verb::Load,
        Kind::Call | Kind::Do => Verb::Call,
        Kind::Ddl(_) | Kind::CreateTemporary | Kind::DropTemporary | Kind::TableAdmin => Verb::Ddl,
        Kind::Show(_) | Kind::Describe | Kind::Explain { .. } | Kind::Diagnostics | Kind::Help => Verb::Show,
        Kind::Set(_) | Kind::SetTransaction { .. } | Kind::SetRole => Verb::Set,
        Kind::Commit { .. } | Kind::Rollback { .. } | Kind::Savepoint | Kind::RollbackTo | Kind::ReleaseSavepoint => {
            Verb::Transaction
        }
        Kind::Begin { .. } | Kind::Xa(_) => Verb::Transaction,
        Kind::Prepare { .. } | Kind::Execute { .. } | Kind::Deallocate { .. } => Verb::Prepare,
        _ => Verb::Other,
    }
}
