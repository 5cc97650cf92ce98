//! What a reply says of the session: its transaction, its settings, what it has left on the connection.

use mysql_common::constants::StatusFlags;
use tokio::time::timeout;

use crate::gateway::backend::Checkout;
use crate::gateway::sql::{Handler, Kind, SqlMode, Statement};
use crate::mysql::wire::relay::{Outcome, Relayed, Tracking};

use super::Session;
use super::local::UNSAFE;
use super::send::{Ask, OWN, is_told};
use super::txn::Txn;

impl Session {
    /// Takes in what a reply says of the session, and keeps the connection or gives it back.
    pub(super) async fn digest(
        &mut self,
        statement: &Statement,
        sql: &[u8],
        ask: Ask<'_>,
        relayed: &Relayed,
        carried: bool,
        mut checkout: Checkout,
    ) {
        let alias = checkout.key().tablet().clone();
        self.last.any = true;
        self.last.refusal = None;
        self.last.at = Some((alias.clone(), checkout.backend.connection_id()));
        self.last.partial = false;
        let status = match relayed.status {
            Some(status) => Some((status, carried)),
            // An error may have ended a transaction, or left one that a procedure began, and does not say so.
            None => self.status_after_error(&mut checkout).await,
        };
        let Some((status, carried)) = status else {
            let text = format!("the connection to tablet {alias} was lost after an error");
            drop(checkout);
            drop(self.doom(&text));
            return;
        };
        let open = status.contains(StatusFlags::SERVER_STATUS_IN_TRANS);
        let had_part = self.txn.is_on(&alias);
        if open || !matches!(self.txn, Txn::Begun { .. }) {
            self.txn.after(&alias, open);
        }
        if had_part && !open && self.txn.tablet().is_some() {
            // A server has ended its part of the transaction, which is then over everywhere.
            self.abandon().await;
            if !matches!(relayed.outcome, Outcome::Failed { .. }) {
                // Its client takes it for committed, or for still open.
                drop(self.doom("the server of one shard has ended its part of the transaction by itself"));
            }
        }
        if let Outcome::Done { last_insert_id, .. } = relayed.outcome
            && last_insert_id > 0
        {
            self.last.insert_id = last_insert_id;
            self.last.insert_id_at = self.last.at.clone();
        }
        self.keep.learn(statement, sql, relayed);
        if !carried {
            self.keep.for_good();
        }
        if matches!(statement.kind, Kind::Prepare { .. } | Kind::Handler(Handler::Open)) {
            self.remember_prepared(statement, sql, &alias);
        }
        if let Ask::Execute { id, .. } = ask {
            let cursor = ask.wants_cursor() && status.contains(StatusFlags::SERVER_STATUS_CURSOR_EXISTS);
            self.executed(id, cursor, &mut checkout).await;
        }
        if checkout.backend.is_unread() && relayed.warnings == 0 {
            // Where it cannot be read the connection is broken, and not given back.
            let read = timeout(OWN, checkout.backend.read_back()).await;
            if !matches!(read, Ok(Ok(()))) {
                tracing::debug!(tablet = %alias, "a session's variables could not be read back");
            }
        }
        if checkout.backend.is_usable() {
            self.learn_settings(&checkout);
        }
        self.settle(checkout);
        if !relayed.changed.is_empty() {
            self.mode = self.settings.get("sql_mode").map_or(self.base_mode, SqlMode::parse);
            let charset = self.settings.get("character_set_client").unwrap_or_default();
            if UNSAFE.contains(&charset) {
                drop(self.doom("statements in this character set cannot be read safely by a gateway"));
            }
        }
    }

    /// The session's status after an error, and whether all that changed can be carried to another connection. What the
    /// client has yet to hear is noted.
    async fn status_after_error(&mut self, checkout: &mut Checkout) -> Option<(StatusFlags, bool)> {
        let keyspace = self.target.keyspace.as_ref().map(ToString::to_string);
        let schema = |_: &str| keyspace.clone();
        let tracking = Tracking { variables: &is_told, schema: &schema, ..Tracking::SILENT };
        let asked = timeout(OWN, checkout.backend.status_after_error(&tracking)).await;
        let (status, told, carried) = asked.ok()?.ok()?;
        self.untold.extend_from_slice(&told);
        Some((status, carried))
    }
}
