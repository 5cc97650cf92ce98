//! Connections of a session: which one a statement gets, and whether the session keeps it afterwards.

use std::sync::Arc;

use crate::gateway::backend::{Checkout, CheckoutError, PoolKey, Settings};
use crate::gateway::client::SqlError;
use crate::gateway::route::Route;
use crate::gateway::sql::Statement;
use crate::gateway::view::Tablet;
use crate::metrics::Refusal as Reason;
use crate::model::TabletAlias;
use crate::mysql::MysqlError;

use super::Session;
use super::nature::{asks_back, is_bound, is_indifferent};

/// Pool keys a session remembers.
const KEYS: usize = 16;
/// On tablets that are no primaries.
pub(super) const READ_ONLY: &str = "transaction_read_only";

impl Session {
    /// A connection for a statement that is routed to `route`.
    pub(super) async fn obtain(
        &mut self,
        route: &Route,
        statement: &Statement,
        sql: &[u8],
    ) -> Result<Checkout, SqlError> {
        let anywhere = is_indifferent(statement, sql);
        let named = |alias: &TabletAlias| {
            route.tablet.alias == *alias || route.others.iter().any(|other| other.alias == *alias)
        };
        if let Some(first) = self.txn.tablet().cloned() {
            let here =
                if anywhere { Some(first.clone()) } else { self.txn.tablets().iter().find(|on| named(on)).cloned() };
            match here {
                Some(alias) => {
                    return self
                        .take_held(&alias)
                        .ok_or_else(|| self.doom("the connection of the open transaction is gone"));
                }
                None if self.may_join(route) => return self.lend(std::slice::from_ref(&route.tablet)).await,
                None => return Err(self.other_transaction(&first, route)),
            }
        }
        // What asks for the last statement's leavings goes to where that was, if it may.
        if let Some((alias, _)) =
            self.last.at.clone().filter(|(alias, _)| asks_back(statement) && (anywhere || named(alias)))
        {
            if let Some(checkout) = self.take_held(&alias) {
                return Ok(checkout);
            }
            let tablet =
                self.view().tablets().find(|(_, tablet)| tablet.alias == alias).map(|(_, tablet)| tablet.clone());
            if let Some(tablet) = tablet {
                return self.lend(&[tablet]).await;
            }
        }
        let here = self.held.iter().rposition(|held| named(held.key().tablet()));
        let bound = anywhere && is_bound(statement);
        if let Some(at) = here.or_else(|| self.held.len().checked_sub(1).filter(|_| bound)) {
            return Ok(self.held.remove(at));
        }
        let tablets: Vec<Arc<Tablet>> = std::iter::once(&route.tablet).chain(&route.others).cloned().collect();
        self.lend(&tablets).await
    }

    /// A connection to the first of these tablets that has one.
    pub(super) async fn lend(&mut self, tablets: &[Arc<Tablet>]) -> Result<Checkout, SqlError> {
        let mut failed = None;
        for tablet in tablets {
            let (key, wanted) = (self.key(tablet), self.wanted(&tablet.alias));
            match self.gateway.pools.checkout(&key, self.number, &wanted).await {
                Ok(checkout) => return Ok(checkout),
                // Another tablet of the type may do.
                Err(error) => failed = Some(error),
            }
        }
        let text = match failed {
            Some(CheckoutError::Server { tablet, error: error @ MysqlError::Server { .. } }) => {
                format!("tablet {tablet} refuses the session: {error}")
            }
            Some(error) => {
                let full = matches!(error, CheckoutError::Full { .. });
                self.gateway.metrics.refused(if full { Reason::PoolExhausted } else { Reason::NoTablet });
                error.to_string()
            }
            None => "there is no tablet to ask".to_owned(),
        };
        Err(SqlError::new(1105, b"HY000", text))
    }

    /// The connection to a tablet that the session has kept.
    pub(super) fn take_held(&mut self, alias: &TabletAlias) -> Option<Checkout> {
        let at = self.held.iter().position(|held| held.key().tablet() == alias)?;
        Some(self.held.swap_remove(at))
    }

    fn other_transaction(&self, open: &TabletAlias, route: &Route) -> SqlError {
        self.gateway.metrics.refused(Reason::OtherTransaction);
        let record = &route.tablet.record;
        SqlError::new(
            1235,
            b"42000",
            format!(
                "the transaction is open on tablet {open}, and this statement belongs to tablet {} (shard {}/{}): a \
                 transaction stays on one tablet{}; COMMIT or ROLLBACK first",
                route.tablet.alias,
                record.keyspace,
                record.shard,
                if self.multi { "" } else { " (transaction_mode is single)" }
            ),
        )
    }

    /// The variables a connection to a tablet must have.
    pub(super) fn wanted(&self, alias: &TabletAlias) -> Settings {
        let mut wanted = self.settings.clone();
        if self.is_replica(alias) {
            // Stored programs are not looked into; the server refuses what they write.
            wanted.absorb(&[(READ_ONLY.into(), "ON".into())]);
        }
        wanted
    }

    /// Which connections to a tablet are this session's kind.
    pub(super) fn key(&mut self, tablet: &Arc<Tablet>) -> Arc<PoolKey> {
        if let Some((_, key)) = self.keys.iter().find(|(known, _)| Arc::ptr_eq(known, tablet)) {
            return key.clone();
        }
        let identity = self.client.identity();
        let key = PoolKey::new(tablet, identity.credential.clone(), identity.capabilities, identity.collation);
        let key = Arc::new(key);
        if self.keys.len() == KEYS {
            self.keys.remove(0);
        }
        self.keys.push((tablet.clone(), key.clone()));
        key
    }

    /// Learns what the session has set from the connection it has just used.
    pub(super) fn learn_settings(&mut self, checkout: &Checkout) {
        let own = self.settings.get(READ_ONLY).map(ToOwned::to_owned);
        self.settings = checkout.backend.settings().clone();
        if self.is_replica(checkout.key().tablet()) {
            match own {
                Some(value) => drop(self.settings.absorb(&[(READ_ONLY.into(), value)])),
                None => self.settings.forget(READ_ONLY),
            }
        }
    }

    /// Keeps a connection or gives it back, whichever is right.
    pub(super) fn settle(&mut self, mut checkout: Checkout) {
        let open = self.txn.is_on(checkout.key().tablet());
        if !checkout.backend.is_usable() {
            if open || self.keep.any() {
                drop(self.doom("the connection with the session's state is gone"));
            }
            return;
        }
        if open || self.keep.any() || checkout.backend.is_unread() {
            checkout.continued = true;
            self.held.push(checkout);
            return;
        }
        checkout.checkin();
        // A transaction elsewhere is not touched by a statement here.
        for held in std::mem::take(&mut self.held) {
            match self.txn.is_on(held.key().tablet()) {
                true => self.held.push(held),
                false => held.checkin(),
            }
        }
    }

    /// Whether a tablet serves reads only.
    pub(super) fn is_replica(&self, alias: &TabletAlias) -> bool {
        self.gateway.views.borrow().replicas.contains(alias)
    }

    /// Gives everything back; what something of the session is left on is closed.
    pub(super) fn let_go(&mut self) {
        let kept = self.keep.any();
        for held in std::mem::take(&mut self.held) {
            if !kept && !held.backend.is_unread() {
                held.checkin();
            }
        }
        self.keep = super::Keep::default();
        self.variables_at = None;
    }

    /// State of the session is lost for good: after this command's reply the client's connection ends, as it would have
    /// ended with the server's.
    pub(super) fn doom(&mut self, why: &str) -> SqlError {
        let error = SqlError::new(
            2013,
            b"HY000",
            format!("{why}: this connection ends; what was not committed is rolled back"),
        );
        self.doomed = true;
        error
    }
}
