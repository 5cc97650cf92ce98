//! Prepared statements of the protocol.
//!
//! A client's statement is a text with an id of its own; the server's statement behind it is prepared wherever it is executed,
//! and shared by sessions. One that is sent long data or opens a cursor gets a server's statement of its own, on a connection
//! that the session keeps until that is over.
//!
//! Invariant: ids are the session's; none is used twice.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use mysql_common::constants::CapabilityFlags;

use crate::gateway::backend::{self, Checkout};
use crate::gateway::client::{ClientError, ColumnSpec, SqlError};
use crate::gateway::sql::{Kind, Statement, splice};
use crate::model::TabletAlias;
use crate::mysql::wire::relay::{Outcome, ReplyKind};

use super::columns::Body;
use super::local::use_fault;
use super::parameters::complete;
use super::ready::NotSent;
use super::send::{Ask, Follows};
use super::sequence::nextval;
use super::txn::Txn;
use super::{Flow, Session};

const EXECUTE: u8 = 0x17;
const PREPARE: u8 = 0x16;
const FETCH: u8 = 0x1C;
/// Who misses an unknown statement, in MySQL's words.
const PRECHECK: &str = "mysql_stmt_precheck";
/// Statements of one session, and bytes of their texts.
const MOST: usize = 16_382;
const MOST_BYTES: usize = 32 << 20;
/// Cursor types, in the flags of COM_STMT_EXECUTE.
pub(super) const CURSOR: u8 = 0x07;

/// The statements a client has prepared.
#[derive(Debug, Default)]
pub(super) struct Statements {
    last: u32,
    bytes: usize,
    pub(super) by_id: BTreeMap<u32, Prepared>,
}

/// A statement a client has prepared.
#[derive(Debug, Clone)]
pub(super) struct Prepared {
    pub(super) sql: Bytes,
    pub(super) statement: Statement,
    parameters: u16,
    /// The parameters' types as sent last.
    types: Option<Vec<u8>>,
    /// The server's statement that is its own.
    pub(super) own: Option<Own>,
    /// Long data was lost: it must not be executed without it.
    pub(super) holed: bool,
}

/// A server's statement for one client's alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Own {
    tablet: TabletAlias,
    connection_id: u32,
    pub(super) server_id: u32,
}

impl Own {
    pub(super) fn new(checkout: &Checkout, server_id: u32) -> Self {
        Self { tablet: checkout.key().tablet().clone(), connection_id: checkout.backend.connection_id(), server_id }
    }

    pub(super) fn is_on(&self, checkout: &Checkout) -> bool {
        self.tablet == *checkout.key().tablet() && self.connection_id == checkout.backend.connection_id()
    }
}

impl Statements {
    fn insert(&mut self, prepared: Prepared) -> u32 {
        self.last = self.next();
        self.bytes += prepared.sql.len();
        self.by_id.insert(self.last, prepared);
        self.last
    }

    fn next(&self) -> u32 {
        let mut id = self.last.wrapping_add(1).max(1);
        while self.by_id.contains_key(&id) {
            id = id.wrapping_add(1).max(1);
        }
        id
    }
}

impl Session {
    /// COM_STMT_PREPARE.
    pub(super) async fn prepare(&mut self, sql: &Bytes) -> Result<Flow, ClientError> {
        let bytes: usize = self.statements.bytes + sql.len();
        if self.statements.by_id.len() >= MOST || bytes > MOST_BYTES {
            let text = format!(
                "Can't create more than {MOST} prepared statements, or {} MiB of their texts, in a session; close some",
                MOST_BYTES >> 20
            );
            return self.fail(SqlError::new(1461, b"42000", text)).await;
        }
        let statement = match self.alone(sql) {
            Ok(statement) => statement,
            Err(error) => return self.fail(error).await,
        };
        let fault = match &statement.kind {
            Kind::Use(name) => use_fault(name, sql).or_else(not_preparable),
            Kind::Begin { .. } if statement.certain => not_preparable(),
            _ => None,
        };
        if let Some(error) = fault {
            return self.fail(error).await;
        }
        let mut prepared = Prepared {
            sql: Bytes::copy_from_slice(sql),
            statement,
            parameters: 0,
            types: None,
            own: None,
            holed: false,
        };
        if let Some(answer) = self.listing(&prepared.statement) {
            return match answer {
                Ok(answer) => {
                    let columns: Vec<_> = answer.columns.iter().copied().map(ColumnSpec::text).collect();
                    let id = self.statements.insert(prepared);
                    let status = self.status();
                    self.client.prepared(id, &columns, status).await?;
                    Ok(Flow::On)
                }
                Err(error) => self.fail(error).await,
            };
        }
        if self.sequence_asked(&prepared.statement, sql).is_some() {
            let (id, status) = (self.statements.insert(prepared), self.status());
            self.client.prepared(id, &[nextval()], status).await?;
            return Ok(Flow::On);
        }
        if matches!(prepared.statement.kind, Kind::Kill { .. }) {
            let (id, status) = (self.statements.insert(prepared), self.status());
            self.client.prepared(id, &[], status).await?;
            return Ok(Flow::On);
        }
        let placed = match self.where_to(&prepared).await {
            Ok((mut checkout, text)) => match self.begin_read_only(&prepared.statement, &mut checkout).await {
                Ok(()) => Ok((checkout, text)),
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        let (mut checkout, text) = match placed {
            Ok(found) => found,
            Err(NotSent::Told(error)) => return self.fail(error).await,
            Err(NotSent::Lost(error)) => return self.fail(SqlError::new(2013, b"HY000", error.to_string())).await,
        };
        let client_id = self.statements.next();
        if let Err(error) = checkout.backend.request(PREPARE, &text).await {
            return self.gone(&error, checkout, false).await;
        }
        match self.exchange(&mut checkout, ReplyKind::Prepare { client_id }, Follows::default()).await {
            Ok((relayed, _)) => {
                self.last.refusal = None;
                self.last.any = true;
                self.last.at = Some((checkout.key().tablet().clone(), checkout.backend.connection_id()));
                self.last.partial = false;
                let Outcome::Prepared { id, columns, params } = relayed.outcome else {
                    self.settle(checkout);
                    return Ok(Flow::Failed);
                };
                prepared.parameters = params;
                self.statements.insert(prepared);
                // Where it cannot be kept the connection is broken, which its next use finds out.
                if let Err(error) = checkout.backend.keep(&text, backend::Statement { id, columns, params }).await {
                    tracing::debug!(%error, "a prepared statement was not kept");
                }
                self.last.refusal = None;
                self.settle(checkout);
                Ok(Flow::On)
            }
            Err(error) => self.broken(error, checkout).await,
        }
    }

    /// COM_STMT_EXECUTE.
    pub(super) async fn execute_prepared(&mut self, id: u32, flags: u8, rest: &[u8]) -> Result<Flow, ClientError> {
        let Some(prepared) = self.statements.by_id.get(&id) else {
            return self.unknown(id, PRECHECK).await;
        };
        if prepared.holed {
            let text =
                format!("long data of statement {id} was lost with a server's connection: reset it and send it again");
            return self.fail(SqlError::new(2013, b"HY000", text)).await;
        }
        let Prepared { sql, statement, .. } = prepared.clone();
        match self.answer(&statement, &sql, true, false).await? {
            Some(flow) => Ok(flow),
            None => self.forward(&statement, &sql, Ask::Execute { id, flags, rest }, false).await,
        }
    }

    /// Sends an execution, the server's statement prepared if need be. `packed`: `rest` has all that the text needs.
    pub(super) async fn request_execution(
        &mut self,
        checkout: &mut Checkout,
        sql: &[u8],
        id: u32,
        flags: u8,
        rest: &[u8],
        packed: bool,
    ) -> Result<(), NotSent> {
        let whole =
            if packed { Cow::Borrowed(rest) } else { self.whole_body(id, flags, rest).map_err(NotSent::Told)?.0 };
        let Some(prepared) = self.statements.by_id.get_mut(&id) else {
            return Err(NotSent::Told(unknown(id, "execute")));
        };
        let server_id = match &prepared.own {
            Some(own) if own.is_on(checkout) => own.server_id,
            Some(_) => {
                let text = format!("statement {id} has long data or a cursor on another connection: reset it first");
                return Err(NotSent::Told(SqlError::new(1105, b"HY000", text)));
            }
            None if flags & CURSOR != 0 => {
                let server_id = checkout.backend.prepare(sql).await?.id;
                prepared.own = Some(Own::new(checkout, server_id));
                server_id
            }
            None => checkout.backend.statement(sql).await?.id,
        };
        let mut head = server_id.to_le_bytes().to_vec();
        head.push(flags);
        checkout.backend.request_parts(EXECUTE, &head, &whole).await?;
        Ok(())
    }

    /// An execution's body with the parameters' types in it.
    pub(super) fn whole_body<'a>(&mut self, id: u32, flags: u8, rest: &'a [u8]) -> Result<Body<'a>, SqlError> {
        let attributes = self.client.identity().capabilities.contains(CapabilityFlags::CLIENT_QUERY_ATTRIBUTES);
        let prepared = self.statements.by_id.get_mut(&id).ok_or_else(|| unknown(id, "execute"))?;
        let whole = complete(flags, rest, prepared.parameters, attributes, &mut prepared.types);
        let whole = whole.map_err(|_| SqlError::malformed_packet())?;
        Ok((whole.map_or(Cow::Borrowed(rest), Cow::Owned), prepared.parameters))
    }

    /// Whether long data was sent for a statement: it is used up by its execution.
    pub(super) fn has_long_data(&self, id: u32) -> bool {
        self.statements.by_id.get(&id).is_some_and(|prepared| prepared.own.is_some())
    }

    /// An execution is over; `cursor`: it has left one open.
    pub(super) async fn executed(&mut self, id: u32, cursor: bool, checkout: &mut Checkout) {
        if cursor {
            self.keep.statements.insert(id);
            return;
        }
        self.keep.statements.remove(&id);
        let own = self.statements.by_id.get_mut(&id).and_then(|prepared| prepared.own.take());
        if let Some(own) = own.filter(|own| own.is_on(checkout))
            && let Err(error) = checkout.backend.close_statement(own.server_id).await
        {
            tracing::debug!(%error, "a prepared statement was not closed");
        }
    }

    /// COM_STMT_CLOSE.
    pub(super) async fn close_prepared(&mut self, id: u32) -> Result<Flow, ClientError> {
        if let Some(prepared) = self.statements.by_id.remove(&id) {
            self.statements.bytes -= prepared.sql.len();
            self.disown(id, prepared.own).await;
        }
        Ok(Flow::On)
    }

    /// COM_STMT_RESET: long data and cursors are forgotten.
    pub(super) async fn reset_prepared(&mut self, id: u32) -> Result<Flow, ClientError> {
        let Some(prepared) = self.statements.by_id.get_mut(&id) else {
            return self.unknown(id, PRECHECK).await;
        };
        prepared.holed = false;
        let own = prepared.own.take();
        self.disown(id, own).await;
        self.done().await
    }

    /// A statement has no server's statement of its own any more.
    async fn disown(&mut self, id: u32, own: Option<Own>) {
        self.keep.statements.remove(&id);
        let Some(own) = own else { return };
        let Some(mut checkout) = self.take_held(&own.tablet) else { return };
        if own.is_on(&checkout)
            && let Err(error) = checkout.backend.close_statement(own.server_id).await
        {
            tracing::debug!(%error, "a prepared statement was not closed");
        }
        self.settle(checkout);
    }

    /// COM_STMT_FETCH.
    pub(super) async fn fetch(&mut self, id: u32, rows: u32) -> Result<Flow, ClientError> {
        let Some(prepared) = self.statements.by_id.get(&id) else { return self.unknown(id, "mysqld_stmt_fetch").await };
        let own = prepared.own.clone();
        let at = own.as_ref().and_then(|own| self.held.iter().position(|held| own.is_on(held)));
        let (Some(own), Some(at)) = (own, at) else {
            let text = format!("The statement ({id}) has no open cursor.");
            return self.fail(SqlError::new(1421, b"HY000", text)).await;
        };
        let mut checkout = self.held.swap_remove(at);
        let body = [own.server_id.to_le_bytes(), rows.to_le_bytes()].concat();
        if let Err(error) = checkout.backend.request(FETCH, &body).await {
            return self.gone(&error, checkout, false).await;
        }
        match self.exchange(&mut checkout, ReplyKind::Rows, Follows::default()).await {
            Ok((relayed, _)) => {
                self.settle(checkout);
                Ok(if matches!(relayed.outcome, Outcome::Failed { .. }) { Flow::Failed } else { Flow::On })
            }
            Err(error) => self.broken(error, checkout).await,
        }
    }

    /// A connection for a prepared statement, with what the session has set, and its text there.
    pub(super) async fn where_to(&mut self, prepared: &Prepared) -> Result<(Checkout, Vec<u8>), NotSent> {
        let placed = self.place(&prepared.statement, &prepared.sql).await;
        let (mut checkout, mut route) = placed.map_err(NotSent::Told)?;
        let wanted = self.wanted(checkout.key().tablet());
        if !checkout.backend.is_unread() {
            checkout.backend.follow(&wanted).await?;
        }
        Ok((checkout, splice(&prepared.sql, &mut route.edits)))
    }

    /// Begins a read-only transaction for the preparation of a write, which the server refuses in one.
    async fn begin_read_only(&mut self, statement: &Statement, checkout: &mut Checkout) -> Result<(), NotSent> {
        if let (Txn::Begun { read_only: true, .. }, Kind::Dml(_)) = (&self.txn, &statement.kind) {
            self.begin_on(checkout).await?;
        }
        Ok(())
    }

    async fn unknown(&mut self, id: u32, what: &str) -> Result<Flow, ClientError> {
        self.fail(unknown(id, what)).await
    }
}

fn not_preparable() -> Option<SqlError> {
    let text = "This command is not supported in the prepared statement protocol yet";
    Some(SqlError::new(1295, b"HY000", text))
}

fn unknown(id: u32, what: &str) -> SqlError {
    SqlError::new(1243, b"HY000", format!("Unknown prepared statement handler ({id}) given to {what}"))
}
