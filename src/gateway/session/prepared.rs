//! Prepared statements of the protocol.
//!
//! A client's statement is a text with an id of its own; the server's statement behind it is prepared wherever it is executed,
//! and shared by sessions. One that is sent long data or opens a cursor gets a server's statement of its own, on a connection
//! that the session keeps until that is over.
//!
//! Invariant: ids are the session's; none is used twice.

use std::collections::BTreeMap;

use bytes::Bytes;
use mysql_common::constants::CapabilityFlags;

use crate::gateway::backend::{self, Checkout};
use crate::gateway::client::{ClientError, ColumnSpec, SqlError};
use crate::gateway::sql::{Kind, Statement, analyze, splice, split};
use crate::model::TabletAlias;
use crate::mysql::wire::relay::{Outcome, Reached, RelayError, ReplyKind};

use super::parameters::complete;
use super::send::{Ask, NotSent};
use super::{Flow, Session};

const EXECUTE: u8 = 0x17;
const PREPARE: u8 = 0x16;
const LONG_DATA: u8 = 0x18;
const RESET: u8 = 0x1A;
const FETCH: u8 = 0x1C;
/// Statements of one session.
const MOST: usize = 16_382;
/// Cursor types, in the flags of COM_STMT_EXECUTE.
const CURSOR: u8 = 0x07;

/// The statements a client has prepared.
#[derive(Debug, Default)]
pub(super) struct Statements {
    last: u32,
    by_id: BTreeMap<u32, Prepared>,
}

/// A statement a client has prepared.
#[derive(Debug, Clone)]
struct Prepared {
    sql: Bytes,
    statement: Statement,
    parameters: u16,
    /// The parameters' types as sent last.
    types: Option<Vec<u8>>,
    /// The server's statement that is its own, and where.
    own: Option<(TabletAlias, u32)>,
}

impl Statements {
    fn insert(&mut self, prepared: Prepared) -> u32 {
        self.last = self.next();
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

    /// The connections are gone on which statements had something of their own.
    pub(super) fn disown(&mut self) {
        for prepared in self.by_id.values_mut() {
            prepared.own = None;
        }
    }
}

impl Session {
    /// COM_STMT_PREPARE.
    pub(super) async fn prepare(&mut self, sql: &Bytes) -> Result<Flow, ClientError> {
        if self.statements.by_id.len() >= MOST {
            let text = format!("Can't create more than {MOST} prepared statements in a session; close some");
            return self.fail(SqlError::new(1461, b"42000", text)).await;
        }
        if let [_, second, ..] = split(sql, self.mode).as_slice() {
            return self.fail(SqlError::syntax(sql.get(second.start..).unwrap_or_default())).await;
        }
        let statement = analyze(sql, self.mode);
        if matches!(statement.kind, Kind::Use(_) | Kind::Begin { .. } | Kind::Kill { .. }) {
            let text = "This command is not supported in the prepared statement protocol yet";
            return self.fail(SqlError::new(1295, b"HY000", text)).await;
        }
        let mut prepared =
            Prepared { sql: Bytes::copy_from_slice(sql), statement, parameters: 0, types: None, own: None };
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
        let (mut checkout, text) = match self.where_to(&prepared).await {
            Ok(found) => found,
            Err(error) => return self.fail(error).await,
        };
        let client_id = self.statements.next();
        if let Err(error) = checkout.backend.request(PREPARE, &text).await {
            let error = self.gone(&error, checkout, false);
            return self.fail(error).await;
        }
        match self.relay(&mut checkout, ReplyKind::Prepare { client_id }, false).await {
            Ok((relayed, _)) => {
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
        let Some(prepared) = self.statements.by_id.get(&id) else { return self.unknown(id, "mysqld_stmt_execute").await };
        let Prepared { sql, statement, .. } = prepared.clone();
        match self.answer(&statement, &sql, true, false).await? {
            Some(flow) => Ok(flow),
            None => self.forward(&statement, &sql, Ask::Execute { id, flags, rest }, false).await,
        }
    }

    /// Sends an execution, the server's statement prepared if need be.
    pub(super) async fn request_execution(
        &mut self,
        checkout: &mut Checkout,
        sql: &[u8],
        id: u32,
        flags: u8,
        rest: &[u8],
    ) -> Result<(), NotSent> {
        let alias = checkout.key().tablet().clone();
        let attributes = self.client.identity().capabilities.contains(CapabilityFlags::CLIENT_QUERY_ATTRIBUTES);
        let Some(prepared) = self.statements.by_id.get_mut(&id) else { return Err(NotSent::Told(unknown(id, "execute"))) };
        let own = prepared.own.as_ref().filter(|(at, _)| *at == alias).map(|(_, server_id)| *server_id);
        let server_id = match own {
            Some(server_id) => server_id,
            None if flags & CURSOR != 0 => {
                let server_id = checkout.backend.prepare(sql).await?.id;
                prepared.own = Some((alias, server_id));
                server_id
            }
            None => checkout.backend.statement(sql).await?.id,
        };
        let whole = complete(flags, rest, prepared.parameters, attributes, &mut prepared.types)
            .map_err(|_| NotSent::Told(SqlError::malformed_packet()))?;
        let mut head = server_id.to_le_bytes().to_vec();
        head.push(flags);
        checkout.backend.request_parts(EXECUTE, &head, whole.as_deref().unwrap_or(rest)).await?;
        Ok(())
    }

    /// An execution is over; `cursor`: it has left one open.
    pub(super) async fn executed(&mut self, id: u32, cursor: bool, checkout: &mut Checkout) {
        if cursor {
            self.keep.statements.insert(id);
            return;
        }
        self.keep.statements.remove(&id);
        let own = self.statements.by_id.get_mut(&id).and_then(|prepared| prepared.own.take());
        if let Some((_, server_id)) = own
            && let Err(error) = checkout.backend.close_statement(server_id).await
        {
            tracing::debug!(%error, "a prepared statement was not closed");
        }
    }

    /// COM_STMT_SEND_LONG_DATA. An error shows when the statement is executed, without what was lost.
    pub(super) async fn long_data(&mut self, id: u32, parameter: u16, data: &[u8]) -> Result<Flow, ClientError> {
        let Some(prepared) = self.statements.by_id.get(&id).cloned() else { return Ok(Flow::On) };
        let (mut checkout, text) = match self.where_to(&prepared).await {
            Ok(found) => found,
            Err(error) => {
                tracing::debug!(%error, "long data had nowhere to go");
                return Ok(Flow::On);
            }
        };
        let alias = checkout.key().tablet().clone();
        let own = prepared.own.filter(|(at, _)| *at == alias).map(|(_, server_id)| server_id);
        let sent = async {
            let server_id = match own {
                Some(server_id) => server_id,
                None => checkout.backend.prepare(&text).await?.id,
            };
            let mut body = Vec::with_capacity(6 + data.len());
            body.extend_from_slice(&server_id.to_le_bytes());
            body.extend_from_slice(&parameter.to_le_bytes());
            body.extend_from_slice(data);
            checkout.backend.notify(LONG_DATA, &body).await?;
            Ok::<_, crate::mysql::MysqlError>(server_id)
        };
        match sent.await {
            Ok(server_id) => {
                if let Some(prepared) = self.statements.by_id.get_mut(&id) {
                    prepared.own = Some((alias, server_id));
                }
                self.keep.statements.insert(id);
                self.settle(checkout);
            }
            Err(error) => tracing::debug!(error = %self.gone(&error, checkout, false), "long data was lost"),
        }
        Ok(Flow::On)
    }

    /// COM_STMT_CLOSE.
    pub(super) async fn close_prepared(&mut self, id: u32) -> Result<Flow, ClientError> {
        let own = self.statements.by_id.remove(&id).and_then(|prepared| prepared.own);
        self.keep.statements.remove(&id);
        if let Some((alias, server_id)) = own
            && let Some(mut checkout) = self.held_on(&alias)
        {
            if let Err(error) = checkout.backend.close_statement(server_id).await {
                tracing::debug!(%error, "a prepared statement was not closed");
            }
            self.settle(checkout);
        }
        Ok(Flow::On)
    }

    /// COM_STMT_RESET: long data and cursors are forgotten.
    pub(super) async fn reset_prepared(&mut self, id: u32) -> Result<Flow, ClientError> {
        let Some(prepared) = self.statements.by_id.get(&id) else { return self.unknown(id, "mysqld_stmt_reset").await };
        let Some((alias, server_id)) = prepared.own.clone() else { return self.done().await };
        let Some(checkout) = self.held_on(&alias) else { return self.done().await };
        self.keep.statements.remove(&id);
        self.pass(checkout, RESET, &server_id.to_le_bytes(), ReplyKind::Simple).await
    }

    /// COM_STMT_FETCH.
    pub(super) async fn fetch(&mut self, id: u32, rows: u32) -> Result<Flow, ClientError> {
        let Some(prepared) = self.statements.by_id.get(&id) else { return self.unknown(id, "mysqld_stmt_fetch").await };
        let own = prepared.own.clone();
        let held = own.and_then(|(alias, server_id)| Some((self.held_on(&alias)?, server_id)));
        let Some((checkout, server_id)) = held else {
            let text = format!("The statement ({id}) has no open cursor.");
            return self.fail(SqlError::new(1421, b"HY000", text)).await;
        };
        let body = [server_id.to_le_bytes(), rows.to_le_bytes()].concat();
        self.pass(checkout, FETCH, &body, ReplyKind::Rows).await
    }

    async fn pass(&mut self, mut checkout: Checkout, code: u8, body: &[u8], kind: ReplyKind) -> Result<Flow, ClientError> {
        if let Err(error) = checkout.backend.request(code, body).await {
            let error = self.gone(&error, checkout, false);
            return self.fail(error).await;
        }
        match self.relay(&mut checkout, kind, false).await {
            Ok((relayed, _)) => {
                self.settle(checkout);
                Ok(if matches!(relayed.outcome, Outcome::Failed { .. }) { Flow::Failed } else { Flow::On })
            }
            Err(error) => self.broken(error, checkout).await,
        }
    }

    async fn broken(&mut self, error: RelayError, checkout: Checkout) -> Result<Flow, ClientError> {
        match error {
            RelayError::Client(error) => Err(error.into()),
            RelayError::Server { error, reached } => {
                let error = self.gone(&error, checkout, true);
                match reached {
                    Reached::Midway => Err(ClientError::Refused(error)),
                    Reached::Nothing | Reached::Packets => self.fail(error).await,
                }
            }
        }
    }

    /// A connection for a prepared statement, and its text there.
    async fn where_to(&mut self, prepared: &Prepared) -> Result<(Checkout, Vec<u8>), SqlError> {
        let mut route = self.routed(&prepared.statement, &prepared.sql)?;
        let checkout = self.obtain(&route, &prepared.statement).await?;
        Ok((checkout, splice(&prepared.sql, &mut route.edits)))
    }

    fn held_on(&mut self, alias: &TabletAlias) -> Option<Checkout> {
        let at = self.held.iter().position(|held| held.key().tablet() == alias)?;
        Some(self.held.swap_remove(at))
    }

    async fn unknown(&mut self, id: u32, what: &str) -> Result<Flow, ClientError> {
        self.fail(unknown(id, what)).await
    }
}

fn unknown(id: u32, what: &str) -> SqlError {
    SqlError::new(1243, b"HY000", format!("Unknown prepared statement handler ({id}) given to {what}"))
}
