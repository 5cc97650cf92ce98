//! What must be done on a connection before a statement of the session is sent there.

use std::sync::Arc;

use crate::gateway::backend::{Checkout, Settings};
use crate::gateway::client::SqlError;
use crate::gateway::sql::{Handler, Kind, Name, Statement, analyze};
use crate::model::TabletAlias;
use crate::mysql::MysqlError;
use crate::sharding::RoutingRules;

use super::Session;
use super::nature::{asks_back, asks_insert_id, asks_insert_id_only, begins_nothing};
use super::txn::{Origin, Txn};

impl Session {
    /// What was prepared or opened in SQL before tables moved must not be used after, unless it is known to be about others.
    pub(super) fn outdated(&self, statement: &Statement) -> Option<SqlError> {
        let view = self.view();
        let changed = |rules: &Arc<RoutingRules>| !Arc::ptr_eq(rules, &view.rules);
        let again = || {
            let text =
                "the routing rules have changed since this was prepared or opened: do that again, in a new session";
            SqlError::new(1235, b"42000", text)
        };
        match &statement.kind {
            Kind::Execute { name: Some(name) }
                if let Some(known) = self.prepared_in_sql.get(&name.text.to_lowercase()) =>
            {
                if !changed(&known.rules) {
                    return None;
                }
                match self.routed(&view, &known.statement, &known.sql) {
                    Ok(route) => (route.tablet.alias != known.tablet).then(again),
                    Err(error) => Some(error),
                }
            }
            Kind::Execute { .. } | Kind::Handler(Handler::Read) => {
                self.rules_at_prepare.as_ref().is_some_and(changed).then(again)
            }
            _ => None,
        }
    }

    /// Whether what was prepared in SQL under a name cannot end a transaction.
    pub(super) fn is_harmless(&self, name: Option<&Name>) -> bool {
        let known = name.and_then(|name| self.prepared_in_sql.get(&name.text.to_lowercase()));
        let inner = known.and_then(|known| match &known.statement.kind {
            Kind::Prepare { source, .. } => source.as_deref(),
            _ => None,
        });
        inner.is_some_and(|text| matches!(analyze(text, self.mode).kind, Kind::Query | Kind::Dml(_) | Kind::Do))
    }

    /// Remembers what was prepared in SQL, or that a handler was opened.
    pub(super) fn remember_prepared(&mut self, statement: &Statement, sql: &[u8], tablet: &TabletAlias) {
        let rules = self.view().rules.clone();
        if let Kind::Prepare { name: Some(name), .. } = &statement.kind {
            let name = name.text.to_lowercase();
            if sql.len() <= LONGEST && (self.prepared_in_sql.len() < MOST || self.prepared_in_sql.contains_key(&name)) {
                let (statement, sql, tablet) = (statement.clone(), sql.to_vec(), tablet.clone());
                self.prepared_in_sql.insert(name, PreparedInSql { statement, sql, tablet, rules });
                return;
            }
            self.prepared_in_sql.remove(&name);
        }
        // The oldest: which handler it is that is read later is not known.
        self.rules_at_prepare.get_or_insert(rules);
    }

    /// Does on a connection what must be done there before the statement.
    pub(super) async fn make_ready(
        &mut self,
        statement: &Statement,
        sql: &[u8],
        checkout: &mut Checkout,
    ) -> Result<(), NotSent> {
        let asks_back = asks_back(statement);
        for held in self.held.iter_mut().filter(|held| held.backend.is_unread()) {
            held.backend.read_back().await?;
            self.settings = held.backend.settings().clone();
        }
        let alias = checkout.key().tablet().clone();
        let wanted = self.wanted(&alias);
        if checkout.backend.is_unread() && !asks_back {
            checkout.backend.read_back().await?;
        } else if !checkout.backend.is_unread() {
            checkout.backend.follow(&wanted).await?;
        }
        let uses = &statement.uses;
        // Where no variable is asked for, what the last statement left is not disturbed.
        if !asks_back || !uses.variables_read.is_empty() || !uses.variables_assigned.is_empty() {
            self.carry_variables(checkout).await?;
        }
        if asks_back {
            self.give_back(statement, sql, &wanted, checkout).await?;
        }
        if self.keep.locks_tables() && matches!(statement.kind, Kind::LockTables | Kind::UnlockTables) {
            // They let go of all that the session has locked, wherever.
            for held in &mut self.held {
                held.backend.execute(b"UNLOCK TABLES").await?;
            }
        }
        if begins_nothing(statement, sql) {
            return Ok(());
        }
        if self.txn.is_on(&alias) {
            return Ok(());
        }
        if self.txn.tablet().is_some() {
            if !statement.kind.commits_implicitly() {
                return self.join(checkout).await;
            }
            // Its server commits what is open there; the transaction is elsewhere.
            self.commit_all().await.map_err(NotSent::Told)?;
        }
        self.begin_on(checkout).await
    }

    /// Opens the session's transaction there, if it has begun one, as SET TRANSACTION wants it.
    pub(super) async fn begin_on(&mut self, checkout: &mut Checkout) -> Result<(), NotSent> {
        let mut origin = Origin::default();
        for text in &self.characteristics {
            checkout.backend.execute(text).await?;
        }
        if let Txn::Begun { text, read_only } = &self.txn {
            checkout.backend.execute(text).await?;
            origin.begun = Some((text.clone(), *read_only));
            self.txn = Txn::Open(vec![checkout.key().tablet().clone()]);
        } else if !self.characteristics.is_empty() {
            // A statement that opens no transaction leaves them for the next one, whose session may be another.
            checkout.backend.soil();
        }
        // Not before the server has taken all: a client that was answered BEGIN must never write outside of a transaction.
        origin.characteristics = std::mem::take(&mut self.characteristics);
        self.origin = origin;
        Ok(())
    }

    /// Sees to it that what the last statement has left for this one, which asks for it, is on the connection; else refuses.
    async fn give_back(
        &mut self,
        statement: &Statement,
        sql: &[u8],
        wanted: &Settings,
        checkout: &mut Checkout,
    ) -> Result<(), NotSent> {
        let this = (checkout.key().tablet().clone(), checkout.backend.connection_id());
        if !self.last.any {
            // Another session's leavings are none of this one's business.
            checkout.backend.reset().await?;
            checkout.backend.prepare_for(wanted).await?;
        }
        let has_id = checkout.continued && self.last.insert_id_at.as_ref() == Some(&this);
        if self.last.any && !asks_insert_id_only(statement, sql) {
            let ran_here = self.last.at.as_ref().is_none_or(|last| *last == this && checkout.continued);
            let whole = statement.kind == Kind::Diagnostics || !self.last.partial;
            // To tell the connection the number would wipe out the rest.
            if ran_here && whole && (has_id || !asks_insert_id(sql)) {
                return Ok(());
            }
            let text = "what the last statement left for this one is not on this connection: it ran on another tablet or several \
                        shards, or its connection has served another session since; ask in one transaction, or raise --pool-size";
            return Err(NotSent::Told(SqlError::new(1105, b"HY000", text)));
        }
        if !has_id {
            let sql = format!("SET last_insert_id = {}", self.last.insert_id);
            checkout.backend.execute(sql.as_bytes()).await?;
            self.last.insert_id_at = Some(this);
        }
        Ok(())
    }
}

/// Statements prepared in SQL of which a session remembers the text, and the longest of these, bytes.
const MOST: usize = 64;
const LONGEST: usize = 64 << 10;

/// A statement that was prepared in SQL.
#[derive(Debug)]
pub(super) struct PreparedInSql {
    statement: Statement,
    sql: Vec<u8>,
    tablet: TabletAlias,
    /// As they were then.
    rules: Arc<RoutingRules>,
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
